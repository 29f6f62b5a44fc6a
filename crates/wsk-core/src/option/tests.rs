//! The table as a table: order, names, categories, sizes and values of every row (C 4.1, C 4.2, C 4.3, every row).

use std::net::IpAddr;

use super::*;
use wsk_abi::sockaddr::{AF_INET, AF_INET6};

const REFUSED: NtStatus = NtStatus::INVALID_PARAMETER;

#[test]
fn the_table_is_in_the_order_of_the_options_and_names_each_once() {
    for (at, row) in TABLE.iter().enumerate() {
        assert_eq!(row.option as usize, at, "{}", row.name);
        assert_eq!(OptionName::find(row.level, row.code), Some(row.option), "{}", row.name);
    }
    assert_eq!(OptionName::find(SOL_IP, 4), Some(OptionName::HopLimit4));
    assert_eq!(OptionName::find(SOL_IPV6, 4), Some(OptionName::HopLimit6));
    assert_eq!(OptionName::find(0x77, 4), None);
    assert_eq!(OptionName::find(0xFFFF, 0x7777), None);
}

/// C-16: categories, directions, and what is not there.
#[test]
fn c16_every_row_is_for_its_categories() {
    for row in TABLE {
        for category in Categories::all().iter() {
            for set in [false, true] {
                let direction = if set { row.access != Access::Get } else { row.access != Access::Set };
                let expected = match (row.keeper != Keeper::No && direction, row.on.contains(category)) {
                    (false, _) => Err(NtStatus::NOT_SUPPORTED),
                    (true, false) => Err(REFUSED),
                    (true, true) => Ok(()),
                };
                assert_eq!(row.check(category, set), expected, "{}", row.name);
            }
        }
    }
}

/// C-17: the sizes that each kind takes, and no other.
#[test]
fn c17_every_row_takes_its_sizes_only() {
    for row in TABLE {
        let sizes: Vec<usize> = match &row.values {
            Values::Flag => vec![1, 2, 4],
            Values::Bytes => vec![4, 8],
            Values::Number(_) | Values::Signed => vec![4],
            Values::Octets(most) => (0..=*most).collect(),
            Values::Group(_) | Values::Descriptor | Values::Events => vec![],
        };
        for size in 0..300 {
            let mut input = vec![0; size];
            if let (Values::Number(range), Some(first)) = (&row.values, input.first_chunk_mut::<4>()) {
                *first = range.start().to_le_bytes();
            }
            assert_eq!(row.decode(&input).is_ok(), sizes.contains(&size), "{} of {size} bytes", row.name);
        }
    }
}

#[test]
fn c16_every_number_is_in_its_range() {
    for row in TABLE {
        let (good, bad): (Vec<(u32, u32)>, Vec<u32>) = match &row.values {
            Values::Flag => (vec![(0, 0), (1, 1), (7, 1)], vec![]),
            Values::Bytes => (vec![(0, 0), (u32::MAX, u32::MAX)], vec![]),
            Values::Number(range) => {
                let (low, high) = (*range.start(), *range.end());
                let outside = [high.checked_add(1), low.checked_sub(1)];
                (vec![(low, low), (high, high)], outside.into_iter().flatten().collect())
            }
            Values::Signed => (vec![(0, 0), (u32::MAX, u32::MAX)], vec![u32::MAX - 1, 0x8000_0000]),
            _ => continue,
        };
        for (given, kept) in good {
            assert_eq!(row.decode(&given.to_le_bytes()), Ok(OptionValue::Number(kept)), "{} {given}", row.name);
        }
        for given in bad {
            assert_eq!(row.decode(&given.to_le_bytes()), Err(REFUSED), "{} {given}", row.name);
        }
        let octets = OptionValue::Octets(vec![0]);
        assert_eq!(row.check_value(octets), Err(REFUSED), "{}", row.name);
    }
}

/// C-17: what comes back, by the room there is.
#[test]
fn c17_a_number_comes_back_as_four_bytes_or_its_low_one() {
    let row = OptionName::KeepAlive.row();
    let value = OptionValue::Number(1);
    assert_eq!(row.encode(&value, 0), Err(NtStatus::BUFFER_TOO_SMALL));
    assert_eq!(row.encode(&value, 1), Ok(vec![1]));
    assert_eq!(row.encode(&value, 3), Ok(vec![1]));
    assert_eq!(row.encode(&value, 4), Ok(vec![1, 0, 0, 0]));
    assert_eq!(OptionName::KeepIdle.row().encode(&OptionValue::Number(7200), 1), Ok(vec![0x20]));
    assert_eq!(row.encode(&value, 9), Ok(vec![1, 0, 0, 0]));
    assert_eq!(row.encode(&OptionValue::Octets(vec![1, 2]), 1), Err(NtStatus::BUFFER_TOO_SMALL));
    assert_eq!(row.encode(&OptionValue::Octets(vec![1, 2]), 2), Ok(vec![1, 2]));
}

fn storage(address: IpAddr) -> Vec<u8> {
    let mut out = vec![0; 128];
    match address {
        IpAddr::V4(v4) => {
            out[..2].copy_from_slice(&AF_INET.to_le_bytes());
            out[4..8].copy_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            out[..2].copy_from_slice(&AF_INET6.to_le_bytes());
            out[8..24].copy_from_slice(&v6.octets());
        }
    }
    out
}

/// Every structure of every row about groups (C 4.2 ADD/DROP MEMBERSHIP, ADD/DROP SOURCE, MCAST_JOIN/LEAVE).
#[test]
fn groups_in_every_shape() {
    let four = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap();
    let six = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap();
    for row in TABLE {
        let Values::Group(shape) = row.values else { continue };
        let of_v4 = row.level == IPPROTO_IP;
        let group: IpAddr = if of_v4 { four("239.1.2.3").into() } else { six("ff02::17").into() };
        let sender: IpAddr = if of_v4 { four("10.0.0.9").into() } else { six("fe80::9").into() };
        let index = |n: u32| [n.to_le_bytes(), [0; 4]].concat();
        let (bytes, source, interface) = match shape {
            GroupShape::Mreq4 => {
                ([[239, 1, 2, 3], [10, 0, 0, 1]].concat(), None, GroupInterface::Address(four("10.0.0.1")))
            }
            GroupShape::MreqSource4 => {
                ([[239, 1, 2, 3], [10, 0, 0, 9], [0, 0, 0, 7]].concat(), Some(sender), GroupInterface::Index(7))
            }
            GroupShape::Mreq6 => {
                ([&six("ff02::17").octets()[..], &9u32.to_le_bytes()].concat(), None, GroupInterface::Index(9))
            }
            GroupShape::Req => ([index(0), storage(group)].concat(), None, GroupInterface::Any),
            GroupShape::SourceReq => {
                ([index(3), storage(group), storage(sender)].concat(), Some(sender), GroupInterface::Index(3))
            }
        };
        let action = row.option.group_action().unwrap();
        let expected = GroupRequest { action, group, source, interface };
        assert_eq!(row.decode(&bytes), Ok(OptionValue::Group(expected)), "{}", row.name);
        assert_eq!(row.decode(&bytes[1..]), Err(REFUSED), "{}: short", row.name);
        assert_eq!(row.decode(&[&bytes[..], &[0]].concat()), Err(REFUSED), "{}: long", row.name);
        let no_group = GroupRequest { group: sender, ..expected };
        assert_eq!(row.check_value(OptionValue::Group(no_group)), Err(REFUSED), "{}: not a group", row.name);
        if matches!(shape, GroupShape::Req | GroupShape::SourceReq) {
            let other: IpAddr = if of_v4 { six("ff02::17").into() } else { four("239.1.2.3").into() };
            let bytes = [&bytes[..8], &storage(other), &bytes[136..]].concat();
            assert_eq!(row.decode(&bytes), Err(REFUSED), "{}: of the other family", row.name);
        }
    }
}
