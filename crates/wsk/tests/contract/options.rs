//! Socket options: control.md 3 and 4.

use crate::support::{Arm, Finish, World, arms, status_of, v4, v6};
use wsk::option::{
    Categories, DontRoute, HopLimit4, HopLimit6, KeepCount, KeepIdle, KeepInterval, MulticastHops4, MulticastHops6,
    MulticastLoop4, MulticastLoop6, NumberOption, ReceiveBuffer, SendBuffer, SocketOption, TABLE, Values,
};
use wsk::{DatagramSocket, Family, ListenSocket, NtStatus, Protocol};

arms! {
    all: c16_options_of_another_category, c16_values_out_of_range;
    host: c19_options_read_back_as_set, c19_defaults, c20_options_of_the_other_family, c18_accepted_sockets_inherit,
        every_line_of_the_table;
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

/// Whoever has an option can set it to a value of its range and get that back.
fn every_line_of_the_table(arm: Arm) {
    let world = arm.world();
    let datagram = datagram(&world, Family::V6);
    let listener = world.client.listen_socket(Family::V6, None).unwrap();
    let connection = world.client.connection_socket(Family::V6, None).unwrap();
    let stream = world.client.stream_socket(Family::V6, None, None).unwrap();
    for row in TABLE {
        let value = match &row.values {
            Values::Flag => 1,
            Values::Bytes => 20_000,
            Values::Number(range) => (range.start() + range.end()) / 2,
        };
        macro_rules! check {
            ($socket:ident: $categories:expr) => {
                let expected =
                    if row.on.intersects($categories) { Ok(value) } else { Err(NtStatus::INVALID_PARAMETER) };
                let set = $socket.set_number(row.option, value).map_err(|error| error.status());
                assert_eq!(set, expected.map(drop), "{}", row.name);
                let got = $socket.number(row.option).map_err(|error| error.status());
                assert_eq!(got, expected, "{}", row.name);
            };
        }
        check!(datagram: Categories::DATAGRAM);
        check!(listener: Categories::LISTEN);
        check!(connection: Categories::CONNECTION);
        check!(stream: Categories::LISTEN | Categories::CONNECTION);
    }
    assert_eq!(KeepCount::OPTION, NumberOption::KeepCount);
}
