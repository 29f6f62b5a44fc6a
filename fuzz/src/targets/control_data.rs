//! Chains of control messages, as C clients give them to a send, and as they get them from a receive.

use wsk_core::control_data::ControlData;

use super::{Target, outcome, room, untouched};

pub(super) const TARGET: Target =
    Target { name: "control_data", what: "chains of CMSGHDRs (WskSendTo, WskReceiveFrom)", seeds, run };

fn message(level: u32, kind: u32, data: &[u8]) -> Vec<u8> {
    let mut out = (16 + data.len() as u64).to_le_bytes().to_vec();
    out.extend(level.to_le_bytes());
    out.extend(kind.to_le_bytes());
    out.extend(data);
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

fn seeds() -> Vec<Vec<u8>> {
    let one = [1, 0, 0, 0];
    let messages = [
        message(0, 19, &[127, 0, 0, 1, 7, 0, 0, 0]),
        message(41, 19, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0, 0]),
        message(0, 4, &one),
        message(0, 21, &one),
        message(41, 21, &one),
        message(0, 3, &one),
        message(41, 39, &one),
        message(0, 50, &one),
        message(41, 50, &one),
        message(17, 2, &[0xb0, 4, 0, 0]),
        message(0, 1, &[]),
        message(41, 32, &[]),
        message(17, 3, &[0xb0, 4, 0, 0]),
        message(0, 75, &[0; 12]),
    ];
    let all = messages.concat();
    // The first byte is the room for an answer.
    messages.into_iter().chain([all]).map(|chain| [vec![40], chain].concat()).collect()
}

fn run(input: &[u8]) -> u64 {
    let Some((&space, chain)) = input.split_first() else { return 0 };
    let parsed = ControlData::parse(chain);
    if let Ok(control) = &parsed {
        for (v6, data) in [false, true].into_iter().zip(control.both()) {
            let all = encoded(data, data.encoded_len());
            assert_eq!(all.len(), data.encoded_len());
            let again = ControlData::parse(&all).expect("what was written is read").of(v6);
            assert!(data.is_empty() || again == *data, "what was written is read again");
            let some = encoded(data, usize::from(space));
            assert!(all.starts_with(&some), "whole messages, as far as they fit");
            let kinds = ControlData::parse(&some).map(|some| some.of(v6).kinds());
            assert!(kinds.is_ok_and(|kinds| data.kinds().contains(kinds)));
        }
    }
    outcome(parsed.map(|control| control.both().map(|data| data.kinds().bits())))
}

fn encoded(data: &ControlData, space: usize) -> Vec<u8> {
    let mut bytes = room(space);
    let (length, whole) = data.encode(&mut bytes[..space]);
    assert!(length <= space);
    assert_eq!(whole, length == data.encoded_len());
    untouched(&bytes, length);
    bytes.truncate(length);
    bytes
}
