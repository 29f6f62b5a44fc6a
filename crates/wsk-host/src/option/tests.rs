//! Every option of the table that the transport keeps, on every kind of endpoint, against the kernel's own word.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::*;
use crate::stats::Stats;
use wsk_core::option::{Access, Categories, GroupAction, GroupInterface, GroupRequest, GroupShape, TABLE};
use wsk_core::transport::{Endpoint, Protocol};

const REFUSED: NtStatus = NtStatus::INVALID_PARAMETER;

fn endpoint(family: Family, protocol: Protocol, dual: bool) -> Result<Arc<HostEndpoint>, NtStatus> {
    let endpoint = HostEndpoint::create(family, protocol, 16, Arc::new(Stats::default()))?;
    if dual {
        endpoint.set_option(OptionName::V6Only, &OptionValue::Number(0))?;
    }
    Ok(endpoint)
}

fn endpoints(protocol: Protocol) -> Vec<(Arc<HostEndpoint>, &'static str)> {
    [(Family::V4, false, "IPv4"), (Family::V6, false, "IPv6"), (Family::V6, true, "dual mode")]
        .into_iter()
        .filter(|(_, dual, _)| !(*dual && matches!(protocol, Protocol::Raw(_))))
        .filter_map(|(family, dual, name)| match endpoint(family, protocol, dual) {
            Ok(endpoint) => Some((endpoint, name)),
            Err(NtStatus::ACCESS_DENIED) => {
                eprintln!("=== NOT TESTED: options of {protocol:?}: not allowed here ===");
                None
            }
            Err(status) => panic!("{protocol:?} {name}: {status:?}"),
        })
        .collect()
}

/// The kinds of endpoint that have this option.
fn protocols(row: &Row) -> Vec<Protocol> {
    if matches!(row.option, OptionName::HeaderIncluded4 | OptionName::HeaderIncluded6) {
        return vec![Protocol::Raw(253)];
    }
    let mut protocols = Vec::new();
    if row.on.intersects(Categories::LISTEN | Categories::CONNECTION) {
        protocols.push(Protocol::Tcp);
    }
    if row.on.contains(Categories::DATAGRAM) {
        protocols.push(Protocol::Udp);
    }
    protocols
}

/// Values to try.
fn values(row: &Row) -> Vec<OptionValue> {
    let loopback = u32::from_le_bytes([127, 0, 0, 1]);
    let numbers = match (row.option, &row.values) {
        (_, Values::Flag) => vec![1, 0, 1],
        (_, Values::Bytes) => vec![40_000, 20_000],
        (OptionName::MulticastInterface4, _) => vec![loopback, 1u32.to_be(), 0],
        (OptionName::UnicastInterface4, _) => vec![1u32.to_be(), 0],
        (OptionName::MulticastInterface6 | OptionName::UnicastInterface6, _) => vec![1, 0],
        (OptionName::MaxSegment, _) => vec![500, 1400],
        (OptionName::MaxRetransmit, _) => vec![7, 0],
        (_, Values::Number(range)) => vec![*range.start(), *range.end().min(&100)],
        (OptionName::CongestionAlgorithm, _) => return vec![OptionValue::Octets(b"reno".to_vec())],
        (OptionName::Options4, _) => return vec![OptionValue::Octets(vec![1, 1, 1, 0])],
        (_, Values::Octets(_)) => return vec![OptionValue::Octets(Vec::new())],
        (_, Values::Group(_)) => return Vec::new(), // below
        (_, values) => panic!("{}: what are {values:?}?", row.name),
    };
    numbers.into_iter().map(OptionValue::Number).collect()
}

/// C-20, C 4.1, C 4.2, C 4.3 (every row that the transport keeps): what is set reads back, and is what the kernel has.
#[test]
fn c20_every_row_is_set_and_read_back() {
    let mut seen = 0;
    for row in TABLE {
        if !matches!(row.keeper, Keeper::Linux(..) | Keeper::Transport(_)) {
            continue;
        }
        seen += 1;
        for protocol in protocols(row) {
            for (endpoint, name) in endpoints(protocol) {
                let what = format!("{} of {protocol:?} over {name}", row.name);
                // Raw sockets of Linux have the options of their own family only.
                let of_v6 = row.level == IPPROTO_IPV6;
                let foreign = of_v6 && endpoint.family == Family::V4
                    || !of_v6 && endpoint.family == Family::V6 && protocol == Protocol::Raw(253);
                if row.access != Access::Get {
                    for value in values(row) {
                        let value = row.check_value(value).expect("a value of the row");
                        try_one(row, &endpoint, &value, foreign, &what);
                    }
                }
                if row.access == Access::Get || !matches!(row.values, Values::Group(_)) {
                    match endpoint.option(row.option) {
                        Ok(value) => {
                            assert!(!foreign, "{what}");
                            assert_eq!(row.check_value(value.clone()), Ok(value), "{what}: a value of the row");
                        }
                        Err(REFUSED) if foreign => {}
                        Err(NtStatus::INVALID_DEVICE_STATE)
                            if matches!(row.option, OptionName::Mtu4 | OptionName::Mtu6) => {}
                        Err(status) => panic!("{what}: {status:?}"),
                    }
                }
            }
        }
    }
    assert!(seen > 70, "{seen} rows");
}

fn try_one(row: &Row, endpoint: &HostEndpoint, value: &OptionValue, foreign: bool, what: &str) {
    match endpoint.set_option(row.option, value) {
        Ok(()) => assert!(!foreign, "{what}"),
        Err(REFUSED) if foreign => return,
        Err(NtStatus::ACCESS_DENIED) if matches!(row.option, OptionName::Debug | OptionName::HopOptions6) => {
            eprintln!("=== NOT TESTED: {what}: only for the privileged ===");
            return;
        }
        Err(status) => panic!("{what} = {value:?}: {status:?}"),
    }
    assert_eq!(endpoint.option(row.option).as_ref(), Ok(value), "{what}");
    let (Keeper::Linux(level, name), OptionValue::Number(number)) = (row.keeper, value) else { return };
    let own = endpoint.with_fd(|fd| Ok(get_int(fd, level, name).unwrap())).unwrap();
    let expected = if row.values == Values::Bytes { 2 * *number as i32 } else { *number as i32 };
    assert_eq!(own, expected, "{what}: what the kernel has");
}

fn kernel(endpoint: &HostEndpoint, level: i32, name: i32) -> i32 {
    endpoint.with_fd(|fd| Ok(get_int(fd, level, name).unwrap())).unwrap()
}

/// C 4.2: the numbers of MTU_DISCOVER and DONTFRAGMENT are not Linux'; MAXRT counts seconds.
#[test]
fn translated_options_are_what_the_kernel_has() {
    for (endpoint, name) in endpoints(Protocol::Udp) {
        let set = |option, value| endpoint.set_option(option, &OptionValue::Number(value)).unwrap();
        for (value, linux) in [(1, 2), (2, 0), (3, 3), (0, default_discovery(libc::IPPROTO_IP))] {
            set(OptionName::MtuDiscover4, value);
            assert_eq!(kernel(&endpoint, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER), linux, "{name}");
            if endpoint.family == Family::V6 {
                set(OptionName::MtuDiscover6, value);
                assert_eq!(kernel(&endpoint, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER), linux, "{name}");
            }
        }
        set(OptionName::DontFragment4, 1);
        assert_eq!(kernel(&endpoint, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER), 2);
        assert_eq!(endpoint.option(OptionName::MtuDiscover4), Ok(OptionValue::Number(1)));
        // Both kinds of news of a TOS byte share one option of Linux.
        set(OptionName::Ecn4, 1);
        set(OptionName::ReceiveTos, 1);
        set(OptionName::Ecn4, 0);
        assert_eq!(kernel(&endpoint, libc::IPPROTO_IP, libc::IP_RECVTOS), 1, "{name}");
        set(OptionName::ReceiveTos, 0);
        assert_eq!(kernel(&endpoint, libc::IPPROTO_IP, libc::IP_RECVTOS), 0, "{name}");
        if endpoint.family == Family::V6 {
            set(OptionName::UnicastInterface6, 1);
            assert_eq!(kernel(&endpoint, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_IF), 1i32.to_be());
        }
    }
    for (endpoint, _) in endpoints(Protocol::Tcp) {
        endpoint.set_option(OptionName::MaxRetransmit, &OptionValue::Number(7)).unwrap();
        assert_eq!(endpoint.option(OptionName::MaxRetransmitMs), Ok(OptionValue::Number(7000)));
        endpoint.set_option(OptionName::FastOpen, &OptionValue::Number(1)).unwrap();
        assert_eq!(kernel(&endpoint, libc::IPPROTO_TCP, TCP_FASTOPEN), FAST_OPEN_QUEUE);
    }
}

/// C-19: the path MTU needs a connection. C 4.1: SO_ERROR is the status of the failure.
#[test]
fn c19_mtu_and_error_follow_the_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = endpoint(Family::V4, Protocol::Tcp, false).unwrap();
    assert_eq!(connection.option(OptionName::Mtu4), Err(NtStatus::INVALID_DEVICE_STATE));
    assert_eq!(connection.option(OptionName::Error), Ok(OptionValue::Number(0)));
    // The descriptor does not block; a connect by loopback is there at once all the same.
    let _ = connection.with_fd(|fd| Ok(rustix::net::connect(fd, &listener.local_addr().unwrap())));
    let (peer, _) = listener.accept().unwrap();
    connection.on_connected();
    let Ok(OptionValue::Number(mtu)) = connection.option(OptionName::Mtu4) else { panic!("no MTU") };
    assert!((68..=65536).contains(&mtu), "{mtu}");
    rustix::net::sockopt::set_socket_linger(&peer, Some(std::time::Duration::ZERO)).unwrap();
    drop(peer);
    assert_eq!(connection.option(OptionName::Error), Ok(OptionValue::Number(NtStatus::CONNECTION_RESET.0)));
    assert_eq!(connection.option(OptionName::Error), Ok(OptionValue::Number(NtStatus::CONNECTION_RESET.0)), "latched");
}

/// C 4.2, the rows about groups: each joins, blocks, unblocks and leaves, by address, by index and by the host's choice.
#[test]
fn every_row_about_groups_acts() {
    let v4 = Ipv4Addr::new(239, 1, 2, 3);
    let source4 = Ipv4Addr::new(10, 0, 0, 9);
    for (endpoint, name) in endpoints(Protocol::Udp) {
        for row in TABLE {
            let Values::Group(shape) = row.values else { continue };
            let of_v6 = row.level == IPPROTO_IPV6;
            let (group, source): (std::net::IpAddr, std::net::IpAddr) = if of_v6 {
                ("ff02::1:7".parse().unwrap(), "fe80::9".parse().unwrap())
            } else {
                (v4.into(), source4.into())
            };
            let with_source = matches!(shape, GroupShape::MreqSource4 | GroupShape::SourceReq);
            let by_address = matches!(shape, GroupShape::Mreq4 | GroupShape::MreqSource4);
            let mut interfaces = vec![GroupInterface::Index(1)];
            if by_address {
                interfaces.push(GroupInterface::Address(Ipv4Addr::LOCALHOST));
            }
            for interface in interfaces {
                let action = row.option.group_action().unwrap();
                let request = |action, source| GroupRequest { action, group, source, interface };
                let what = format!("{} {name} {interface:?}", row.name);
                let change = |request: GroupRequest| {
                    endpoint.with_fd(|fd| group::change(fd, &request).map_err(|e| panic!("{what}: {e}")))
                };
                if of_v6 && endpoint.family == Family::V4 {
                    let value = OptionValue::Group(request(action, with_source.then_some(source)));
                    assert_eq!(endpoint.set_option(row.option, &value), Err(REFUSED), "{what}");
                    continue;
                }
                // What must be so before, by the way that is not under test.
                let source = with_source.then_some(source);
                match action {
                    GroupAction::Join => {}
                    GroupAction::Leave => change(request(GroupAction::Join, source)).unwrap(),
                    GroupAction::Block => change(request(GroupAction::Join, None)).unwrap(),
                    GroupAction::Unblock => {
                        change(request(GroupAction::Join, None)).unwrap();
                        change(request(GroupAction::Block, source)).unwrap();
                    }
                }
                let value = row.check_value(OptionValue::Group(request(action, source))).unwrap();
                assert_eq!(endpoint.set_option(row.option, &value), Ok(()), "{what}");
                // Once more is refused: it has acted.
                let again = endpoint.set_option(row.option, &value);
                assert!(again.is_err(), "{what}: twice");
                match action {
                    GroupAction::Join => change(request(GroupAction::Leave, source)).unwrap(),
                    GroupAction::Leave => {}
                    GroupAction::Block | GroupAction::Unblock => change(request(GroupAction::Leave, None)).unwrap(),
                }
            }
        }
    }
}

#[test]
fn v6only_after_bind_is_a_state_error() {
    let endpoint = endpoint(Family::V6, Protocol::Tcp, true).unwrap();
    endpoint.bind("[::]:0".parse().unwrap(), false).unwrap();
    let late = endpoint.set_option(OptionName::V6Only, &OptionValue::Number(1));
    assert_eq!(late, Err(NtStatus::INVALID_DEVICE_STATE));
}
