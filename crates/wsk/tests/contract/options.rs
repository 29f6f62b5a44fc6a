//! Socket options: control.md 3 and 4.

use std::time::Duration;

use crate::support::{Arm, Finish, World, arms, status_of, v4, v6};
use wsk::option::*;
use wsk::{DatagramSocket, Family, ListenSocket, NtStatus, Protocol};

/// The level of the options of IPv4.
const IPPROTO_IP: u32 = 0;

arms! {
    all: c16_options_of_another_category, c16_values_out_of_range, every_line_of_the_table,
        c50_reuse_and_exclusive_exclude_each_other, linger_and_dont_linger_are_one_switch, protection_levels,
        user_mtu_bounds_what_is_sent, a_basic_socket_tells_of_segmentation, c20_options_of_the_other_family;
    host: c19_options_read_back_as_set, c19_defaults, c18_accepted_sockets_inherit;
}

/// Asks a socket for an option.
macro_rules! get {
    ($socket:expr) => {
        $socket.get().map_err(|error| error.status())
    };
}

/// Sets an option of a socket.
macro_rules! set {
    ($socket:expr, $option:expr) => {
        $socket.set($option).map_err(|error| error.status())
    };
}

const REFUSED: Result<(), NtStatus> = Err(NtStatus::INVALID_PARAMETER);

fn datagram(world: &World, family: Family) -> DatagramSocket {
    world.client.datagram_socket(family, None).unwrap()
}

fn c19_options_read_back_as_set(arm: Arm) {
    let world = arm.world();
    let six = datagram(&world, Family::V6);
    let connection = world.client.connection_socket(Family::V4, None).unwrap();
    macro_rules! keeps {
        ($socket:expr, $($option:expr),*) => {$(
            $socket.set($option).unwrap();
            assert_eq!(get!($socket), Ok($option));
        )*};
    }
    keeps!(six, ReceiveBuffer(30_000), SendBuffer(30_000), DontRoute(true), DontRoute(false), HopLimit6(9));
    keeps!(six, MulticastHops6(0), MulticastHops6(3), MulticastLoop6(false), MulticastLoop6(true));
    keeps!(six, HopLimit4(5), MulticastHops4(6), MulticastLoop4(false)); // C-20
    keeps!(connection, KeepIdle(100), KeepCount(4), KeepInterval(7), HopLimit4(33), ReceiveBuffer(50_000));
    // After bind as well.
    six.bind(v6()).ok();
    keeps!(six, HopLimit6(77), SendBuffer(40_000));
}

fn c19_defaults(arm: Arm) {
    let world = arm.world();
    let socket = datagram(&world, Family::V6);
    assert_eq!((get!(socket), get!(socket)), (Ok(MulticastLoop6(true)), Ok(DontRoute(false))));
    assert!(matches!(socket.get(), Ok(ReceiveBuffer(1024..))));
    assert!(matches!(socket.get(), Ok(HopLimit6(1..))));
}

fn c16_options_of_another_category(arm: Arm) {
    let world = arm.world();
    let listener: ListenSocket = world.client.listen_socket(Family::V4, None).unwrap();
    assert_eq!(set!(datagram(&world, Family::V4), KeepIdle(5)), REFUSED);
    assert_eq!(set!(listener, MulticastHops4(5)), REFUSED);
    assert_eq!(status_of(listener.get::<MulticastLoop4>()), NtStatus::INVALID_PARAMETER);
    let basic = world.client.basic_socket(Family::V4, Protocol::Udp).unwrap();
    assert_eq!(set!(basic, HopLimit4(5)), REFUSED);
}

fn c16_values_out_of_range(arm: Arm) {
    let world = arm.world();
    let connection = world.client.connection_socket(Family::V4, None).unwrap();
    connection.set(KeepIdle(60)).unwrap();
    for bad in [KeepIdle(0), KeepIdle(32768), KeepIdle(u32::MAX)] {
        assert_eq!(set!(connection, bad), REFUSED);
    }
    assert_eq!(set!(connection, HopLimit4(0)), REFUSED);
    assert_eq!(get!(connection), Ok(KeepIdle(60)));
}

fn c20_options_of_the_other_family(arm: Arm) {
    let world = arm.world();
    let four = datagram(&world, Family::V4);
    assert_eq!(set!(four, HopLimit6(5)), REFUSED);
    assert_eq!(status_of(four.get::<HopLimit6>()), NtStatus::INVALID_PARAMETER);
    four.set(HopLimit4(5)).unwrap();
}

fn c18_accepted_sockets_inherit(arm: Arm) {
    let world = arm.world();
    let listener = world.client.listen_socket(Family::V4, None).unwrap();
    listener.set(KeepIdle(123)).unwrap();
    listener.bind(v4()).ok();
    let accept = listener.accept();
    let peer = std::net::TcpStream::connect(listener.local_address().unwrap()).unwrap();
    let accepted = accept.ok();
    assert_eq!(get!(accepted), Ok(KeepIdle(123)));
    accepted.set(KeepIdle(5)).unwrap();
    assert_eq!((get!(accepted), get!(listener)), (Ok(KeepIdle(5)), Ok(KeepIdle(123))));
    drop(peer);
}

/// A value of each option that can be set by anybody, and the statuses of those that cannot.
fn sample(row: &Row) -> Result<OptionValue, NtStatus> {
    use OptionName::*;
    let number = |number| Ok(OptionValue::Number(number));
    let first_interface_in_network_order = u32::from_be(1);
    match (row.option, &row.values) {
        (MulticastInterface4 | UnicastInterface4, _) => number(first_interface_in_network_order),
        (MulticastInterface6 | UnicastInterface6, _) => number(1),
        (ProtectionLevel, _) => number(20),
        (Tos | TrafficClass4 | TrafficClass6, _) => number(0x20), // the low two bits are TCP's own
        (Options4, _) => Ok(OptionValue::Octets(vec![1, 1, 1, 1])), // no operation
        (CongestionAlgorithm, _) => Ok(OptionValue::Octets(b"reno".to_vec())),
        // Headers are the business of raw sockets.
        (HeaderIncluded4 | HeaderIncluded6, _) => Err(NtStatus::INVALID_PARAMETER),
        (_, Values::Flag) => number(1),
        (_, Values::Bytes) => number(20_000),
        (_, Values::Number(range)) => number(range.start() + (range.end() - range.start()) / 2),
        (_, Values::Signed) => number(1400),
        (_, Values::Octets(_)) => Ok(OptionValue::Octets(Vec::new())),
        (option, Values::Group(shape)) => {
            let group = if row.level == IPPROTO_IP { "239.1.2.3" } else { "ff02::1:7" }.parse().unwrap();
            let sender = if row.level == IPPROTO_IP { "10.0.0.9" } else { "fe80::9" }.parse().unwrap();
            let source = matches!(shape, GroupShape::MreqSource4 | GroupShape::SourceReq).then_some(sender);
            let interface = GroupInterface::Index(1);
            Ok(OptionValue::Group(GroupRequest { action: option.group_action().unwrap(), group, source, interface }))
        }
        (_, Values::Descriptor | Values::Events) => unreachable!("not here"),
    }
}

/// C 4.1 (every row), C 4.2 (every row), C 4.3 (every row): who has the option can set it and gets it back, before bind and
/// after; who has not gets the spec's status. On an IPv6 socket, which has the options of both families. The same on each
/// transport (C-8).
fn every_line_of_the_table(arm: Arm) {
    let world = arm.world();
    for row in TABLE {
        if matches!(row.values, Values::Descriptor | Values::Events) {
            continue; // `security`, `enable`: sharing.rs, callbacks.rs
        }
        let made = sample(row);
        macro_rules! check {
            ($socket:expr, $categories:expr) => {
                for bound in [false, true] {
                    let socket = $socket;
                    if bound {
                        socket.bind(v6()).ok();
                    }
                    check_row(
                        arm,
                        row,
                        &made,
                        bound,
                        $categories,
                        |value| status_of(socket.set_value(row.option, value)),
                        || socket.value(row.option).map_err(|error| error.status()),
                    );
                }
            };
        }
        let client = &world.client;
        check!(client.datagram_socket(Family::V6, None).unwrap(), Categories::DATAGRAM);
        check!(client.listen_socket(Family::V6, None).unwrap(), Categories::LISTEN);
        check!(client.connection_socket(Family::V6, None).unwrap(), Categories::CONNECTION);
        check!(client.stream_socket(Family::V6, None, None).unwrap(), Categories::LISTEN | Categories::CONNECTION);
    }
}

fn check_row(
    arm: Arm,
    row: &Row,
    sample: &Result<OptionValue, NtStatus>,
    bound: bool,
    on: Categories,
    set: impl Fn(OptionValue) -> NtStatus,
    get: impl Fn() -> Result<OptionValue, NtStatus>,
) {
    let what = format!("{} on {on:?}, bound: {bound}", row.name);
    let refused = |set: bool| match (row.keeper, row.access) {
        (Keeper::No, _) => Some(NtStatus::NOT_SUPPORTED),
        (_, Access::Get) if set => Some(NtStatus::NOT_SUPPORTED),
        (_, Access::Set) if !set => Some(NtStatus::NOT_SUPPORTED),
        _ if !row.on.intersects(on) => Some(NtStatus::INVALID_PARAMETER),
        _ => None,
    };
    if let Some(status) = refused(false) {
        assert_eq!(get(), Err(status), "{what}: asked for");
    } else if matches!(row.option, OptionName::Mtu4 | OptionName::Mtu6) {
        assert_eq!(get(), Err(NtStatus::INVALID_DEVICE_STATE), "{what}: without a destination (C-19)");
        return;
    } else if let (Some(default), Ok(_)) = (row.default, sample) {
        assert_eq!(get(), Ok(OptionValue::Number(default)), "{what}: its default (C-19)");
    }
    let value = match sample {
        Ok(value) => value.clone(),
        Err(_) if !arm.is_host() => return, // a virtual transport may take it
        Err(_) => OptionValue::Number(1),
    };
    let expected = match (refused(true), sample) {
        (Some(status), _) => status,
        (None, _) if row.state == State::BeforeBind && bound => NtStatus::INVALID_DEVICE_STATE,
        (None, Err(status)) => *status,
        // What leaves or unblocks has to be joined or blocked before; see `groups.rs`.
        (None, _) if matches!(row.values, Values::Group(_)) => return,
        (None, Ok(_)) => NtStatus::SUCCESS,
    };
    let status = set(value.clone());
    if row.option == OptionName::Debug && status == NtStatus::ACCESS_DENIED {
        return; // for the privileged
    }
    assert_eq!(status, expected, "{what}: set to {value:?}");
    if expected == NtStatus::SUCCESS && refused(false).is_none() {
        let got = get().map(|got| match got {
            // The host fills names up with zeros.
            OptionValue::Octets(bytes) if row.option == OptionName::CongestionAlgorithm => {
                OptionValue::Octets(bytes.into_iter().take_while(|byte| *byte != 0).collect())
            }
            other => other,
        });
        assert_eq!(got, Ok(value), "{what}: read back");
    }
}

/// C-50: the two ways to share exclude each other.
fn c50_reuse_and_exclusive_exclude_each_other(arm: Arm) {
    let world = arm.world();
    let socket = datagram(&world, Family::V4);
    socket.set(ReuseAddress(true)).unwrap();
    assert_eq!(set!(socket, ExclusiveAddress(true)), REFUSED);
    socket.set(ExclusiveAddress(false)).unwrap();
    socket.set(ReuseAddress(false)).unwrap();
    socket.set(ExclusiveAddress(true)).unwrap();
    assert_eq!(set!(socket, ReuseAddress(true)), REFUSED);
}

/// C 4.1 SO_LINGER, SO_DONTLINGER: one switch, seen from two sides.
fn linger_and_dont_linger_are_one_switch(arm: Arm) {
    let world = arm.world();
    let socket = world.client.connection_socket(Family::V4, None).unwrap();
    assert_eq!((get!(socket), get!(socket)), (Ok(Linger(None)), Ok(DontLinger(true))));
    socket.set(Linger(Some(Duration::from_secs(7)))).unwrap();
    assert_eq!((get!(socket), get!(socket)), (Ok(Linger(Some(Duration::from_secs(7)))), Ok(DontLinger(false))));
    socket.set(DontLinger(true)).unwrap();
    assert_eq!(get!(socket), Ok(Linger(None)));
}

/// C 4.2 PROTECTION_LEVEL: three values and the default.
fn protection_levels(arm: Arm) {
    let world = arm.world();
    let socket = datagram(&world, Family::V6);
    assert_eq!(get!(socket), Ok(ProtectionLevel(None)));
    for level in [Some(10), Some(20), Some(30), None] {
        socket.set(ProtectionLevel(level)).unwrap();
        assert_eq!(get!(socket), Ok(ProtectionLevel(level)));
    }
    assert_eq!(set!(socket, ProtectionLevel(Some(15))), REFUSED);
    assert_eq!(set!(datagram(&world, Family::V4), ProtectionLevel(None)), REFUSED);
}

/// C 4.2 USER_MTU: nothing longer is sent, headers included; per family.
fn user_mtu_bounds_what_is_sent(arm: Arm) {
    let world = arm.world();
    let socket = datagram(&world, Family::V4);
    socket.bind(v4()).ok();
    let to = socket.local_address().unwrap();
    socket.set(UserMtu4(Some(528))).unwrap();
    assert_eq!(socket.send_to(vec![0; 501], to).status(), NtStatus::INVALID_BUFFER_SIZE);
    assert_eq!(socket.send_to(vec![0; 500], to).ok().len(), 500);
    let messages = [vec![0; 10], vec![0; 501]];
    assert_eq!(socket.send_messages(messages, Some(to)).status(), NtStatus::INVALID_BUFFER_SIZE);
    socket.set(UserMtu4(None)).unwrap();
    assert_eq!(socket.send_to(vec![0; 501], to).ok().len(), 501);
}

/// C 4.3 UDP_SEND_MSG_SIZE: asked of a basic socket, to find out whether it is there.
fn a_basic_socket_tells_of_segmentation(arm: Arm) {
    let world = arm.world();
    let basic = world.client.basic_socket(Family::V6, Protocol::Udp).unwrap();
    assert_eq!(get!(basic), Ok(SegmentSize(0)));
    assert_eq!(status_of(basic.get::<CoalescedSize>()), NtStatus::INVALID_PARAMETER);
}
