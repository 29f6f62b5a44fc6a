//! Values of options in a client's buffer, of every line of the table.

use wsk_core::option::{OptionName, OptionValue, TABLE};

use super::{Target, outcome};

pub(super) const TARGET: Target =
    Target { name: "options", what: "values of socket options (WskControlSocket)", seeds, run };

/// Line of the table, room for the answer, value.
fn seeds() -> Vec<Vec<u8>> {
    let mut group = vec![0; 264];
    group[0] = 3;
    group[8..16].copy_from_slice(&[2, 0, 0, 0, 224, 0, 0, 5]);
    group[136..144].copy_from_slice(&[2, 0, 0, 0, 10, 0, 0, 1]);
    let mut group6 = group.clone();
    group6[8..40].fill(0);
    group6[8] = 23;
    group6[16] = 0xff;
    group6[136..144].copy_from_slice(&[23, 0, 0, 0, 0, 0, 0, 0]);
    let mreq6 = [&[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5][..], &[3, 0, 0, 0]].concat();
    let values: [&[u8]; 10] = [
        &[1],
        &[1, 0],
        &[7, 0, 0, 0],
        &[0, 0, 1, 0, 0, 0, 0, 0],
        &[224, 0, 0, 5, 0, 0, 0, 3],
        &[224, 0, 0, 5, 10, 0, 0, 1, 127, 0, 0, 1],
        &mreq6,
        &group[..136],
        &group,
        &group6,
    ];
    (0..TABLE.len() as u8).flat_map(|line| values.map(|value| [&[line, 4], value].concat())).collect()
}

fn run(input: &[u8]) -> u64 {
    let [line, room, value @ ..] = input else { return 0 };
    let (line, room) = (usize::from(*line) % TABLE.len(), usize::from(*room));
    let row = &TABLE[line];
    assert_eq!(OptionName::find(row.level, row.code), Some(row.option));
    let decoded = row.decode(value);
    if let Ok(value) = &decoded {
        assert_eq!(row.check_value(value.clone()), Ok(value.clone()), "what was taken is as it is kept");
        let answer = row.encode(value, room);
        assert!(answer.as_ref().is_ok_and(|answer| answer.len() <= room) || answer.is_err());
        if let (Ok(answer), false) = (row.encode(value, usize::MAX), matches!(value, OptionValue::Group(_))) {
            assert_eq!(row.decode(&answer).as_ref(), Ok(value), "what is told can be set again");
        }
    }
    // Anything may be asked for.
    if let [a, b, c, d, e, f, g, h, ..] = *value {
        let (level, code) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        assert!(OptionName::find(level, code).is_none_or(|option| option.row().code == code));
    }
    outcome((line, decoded.map(|value| std::mem::discriminant(&value))))
}
