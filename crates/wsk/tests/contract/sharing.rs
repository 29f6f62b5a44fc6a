//! Who may bind to what: control.md 7, cell by cell, between sockets that are really bound.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::support::{Arm, Finish, World, arms, status_of, v4, v6};
use wsk::option::{ExclusiveAddress, ReuseAddress, V6Only};
use wsk::security::{SecurityDescriptor, Sid, Subject};
use wsk::{DatagramSocket, Error, Family, ListenSocket, NtStatus, Request};

arms! {
    all: the_matrix_of_datagram_sockets, the_matrix_of_listeners, the_matrix_of_connections, c50_the_owner_is_asked_for,
        c43_dual_mode_wildcards, c51_a_closed_socket_counts_no_more, so_wsk_security_is_replaced_and_asked_for,
        both_of_a_shared_port_work;
    host: c52_a_restarted_server_binds_at_once, c51_foreign_use_is_in_use;
}

/// The three ways to share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    D,
    R,
    E,
}

const MODES: [Mode; 3] = [Mode::D, Mode::R, Mode::E];
const NAMES: [&str; 6] = ["D-W", "D-S", "R-W", "R-S", "E-W", "E-S"];

/// The cells of control.md 7: by the second bind, then by the first.
fn page() -> BTreeMap<(&'static str, &'static str), &'static str> {
    let page = include_str!("../../../../docs/spec/control.md");
    let mut cells = BTreeMap::new();
    for second in NAMES {
        let line = page.lines().find(|line| line.starts_with(&format!("| {second} |"))).expect("a row of the matrix");
        let row = line.split('|').skip(2).map(str::trim);
        cells.extend(NAMES.into_iter().zip(row).map(|(first, cell)| ((second, first), cell)));
    }
    assert_eq!(cells.len(), 36);
    cells
}

/// What the matrix test needs of a category.
trait Shares {
    fn make(world: &World) -> Self;
    fn share(&self, mode: Mode) -> Result<(), Error>;
    fn secure(&self, security: Option<Arc<SecurityDescriptor>>) -> Result<(), Error>;
    fn bind(&self, local: SocketAddr) -> Request<()>;
    fn port(&self) -> u16;
    fn end(&self) -> Request<()>;
}

macro_rules! shares {
    ($socket:ty, $make:expr) => {
        impl Shares for $socket {
            fn make(world: &World) -> Self {
                let make: fn(&World) -> Self = $make;
                make(world)
            }
            fn share(&self, mode: Mode) -> Result<(), Error> {
                match mode {
                    Mode::D => Ok(()),
                    Mode::R => self.set(ReuseAddress(true)),
                    Mode::E => self.set(ExclusiveAddress(true)),
                }
            }
            fn secure(&self, security: Option<Arc<SecurityDescriptor>>) -> Result<(), Error> {
                self.set_security(security)
            }
            fn bind(&self, local: SocketAddr) -> Request<()> {
                self.bind(local)
            }
            fn port(&self) -> u16 {
                self.local_address().unwrap().port()
            }
            fn end(&self) -> Request<()> {
                self.close()
            }
        }
    };
}

shares!(DatagramSocket, |world| world.client.datagram_socket(Family::V4, None).unwrap());
shares!(ListenSocket, |world| world.client.listen_socket(Family::V4, None).unwrap());
shares!(wsk::ConnectionSocket, |world| world.client.connection_socket(Family::V4, None).unwrap());

fn at(name: &str, port: u16) -> SocketAddr {
    let ip = if name.ends_with('W') { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    SocketAddr::new(ip.into(), port)
}

fn mode(name: &str) -> Mode {
    MODES[NAMES.iter().position(|known| *known == name).expect("a name of the matrix") / 2]
}

/// Binds both; the port is chosen for the first, or is one that was chosen before.
fn status<S: Shares>(world: &World, first: &str, second: &str, security: bool, chosen: bool) -> NtStatus {
    let everybody = Arc::new(SecurityDescriptor::sharing_with([Sid::everyone()]));
    let one = S::make(world);
    one.share(mode(first)).unwrap();
    one.secure(security.then_some(everybody)).unwrap();
    let port = if chosen {
        0
    } else {
        let scout = S::make(world);
        scout.bind(at(first, 0)).ok();
        let port = scout.port();
        scout.end().ok();
        port
    };
    one.bind(at(first, port)).ok();
    let two = S::make(world);
    two.share(mode(second)).unwrap();
    two.bind(at(second, one.port())).status()
}

/// C 7 (every row), C-50: prints the matrix as it is found, without and with a descriptor that lets everybody share.
fn matrix<S: Shares>(arm: Arm, what: &str) {
    let world = arm.world();
    let cells = page();
    let mut found = format!("{what} over {}, as found; second bind down, first across\n", arm.name());
    for security in [false, true] {
        found += if security { "\nfirst socket's descriptor: everybody may share\n" } else { "\nno descriptor\n" };
        found += &format!("      {}\n", NAMES.map(|name| format!("{name:>7}")).concat());
        for second in NAMES {
            found += &format!("{second:>6}");
            for first in NAMES {
                let expected = match (cells[&(second, first)], security) {
                    ("ok", _) | ("CHECK", true) => NtStatus::SUCCESS,
                    ("INUSE", _) => NtStatus::ADDRESS_ALREADY_EXISTS,
                    ("DENIED", _) | ("CHECK", false) => NtStatus::ACCESS_DENIED,
                    (other, _) => panic!("{other} in the matrix"),
                };
                for chosen in [true, false] {
                    let status = status::<S>(&world, first, second, security, chosen);
                    assert_eq!(
                        status, expected,
                        "{what}: {second} after {first}, descriptor {security}, chosen {chosen}"
                    );
                }
                found += &format!(
                    "{:>7}",
                    match expected {
                        NtStatus::SUCCESS => "ok",
                        NtStatus::ACCESS_DENIED => "DENIED",
                        _ => "INUSE",
                    }
                );
            }
            found += "\n";
        }
    }
    println!("{found}");
}

fn the_matrix_of_datagram_sockets(arm: Arm) {
    matrix::<DatagramSocket>(arm, "datagram sockets");
}

fn the_matrix_of_listeners(arm: Arm) {
    matrix::<ListenSocket>(arm, "listening sockets");
}

fn the_matrix_of_connections(arm: Arm) {
    matrix::<wsk::ConnectionSocket>(arm, "connection sockets");
}

/// C-50, F-87: the security context of the second socket against the descriptor of the first.
fn c50_the_owner_is_asked_for(arm: Arm) {
    let world = arm.world();
    let friend = Sid::new(5, &[21, 1, 2, 3, 1001]);
    let first = DatagramSocket::make(&world);
    first.set_security(Some(Arc::new(SecurityDescriptor::sharing_with([friend.clone()])))).unwrap();
    first.bind("0.0.0.0:0".parse().unwrap()).ok();
    let port = first.port();
    let bind = |user: Option<Sid>| {
        let second = DatagramSocket::make(&world);
        if let Some(user) = user {
            second.set_owner(Subject { user, groups: Vec::new() }).unwrap();
        }
        second.bind(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)).status()
    };
    assert_eq!(bind(None), NtStatus::ACCESS_DENIED); // the system is not the friend
    assert_eq!(bind(Some(Sid::new(5, &[21, 1, 2, 3, 1002]))), NtStatus::ACCESS_DENIED);
    assert_eq!(bind(Some(friend)), NtStatus::SUCCESS);
}

/// C 4.1 SO_WSK_SECURITY: before bind; set replaces the one before, none is none.
fn so_wsk_security_is_replaced_and_asked_for(arm: Arm) {
    let world = arm.world();
    let socket = DatagramSocket::make(&world);
    assert_eq!(socket.security(), None);
    let one = Arc::new(SecurityDescriptor::sharing_with([Sid::everyone()]));
    socket.set_security(Some(one.clone())).unwrap();
    assert!(socket.security().is_some_and(|kept| Arc::ptr_eq(&kept, &one)));
    socket.set_security(None).unwrap();
    assert_eq!(socket.security(), None);
    socket.bind(v4()).ok();
    assert_eq!(status_of(socket.set_security(Some(one.clone()))), NtStatus::INVALID_DEVICE_STATE);
    let basic = world.client.basic_socket(Family::V4, wsk::Protocol::Udp).unwrap();
    assert_eq!(status_of(basic.set_security(Some(one))), NtStatus::INVALID_PARAMETER);
}

/// C-43: the wildcard of a dual-mode socket overlaps both families.
fn c43_dual_mode_wildcards(arm: Arm) {
    let world = arm.world();
    let make = |ip: IpAddr, dual: bool, mode: Mode| {
        let family = if ip.is_ipv4() { Family::V4 } else { Family::V6 };
        let socket = world.client.datagram_socket(family, None).unwrap();
        if dual {
            socket.set(V6Only(false)).unwrap();
        }
        socket.share(mode).unwrap();
        (socket, ip)
    };
    let any6 = || IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let any4 = || IpAddr::from(Ipv4Addr::UNSPECIFIED);
    let cases = [
        ((any6(), true, Mode::D), (any4(), false, Mode::D), NtStatus::ADDRESS_ALREADY_EXISTS),
        ((any4(), false, Mode::D), (any6(), true, Mode::D), NtStatus::ADDRESS_ALREADY_EXISTS),
        ((any6(), false, Mode::D), (any4(), false, Mode::D), NtStatus::SUCCESS),
        ((any6(), true, Mode::D), (Ipv4Addr::LOCALHOST.into(), false, Mode::D), NtStatus::ACCESS_DENIED),
        ((Ipv4Addr::LOCALHOST.into(), false, Mode::D), (any6(), true, Mode::D), NtStatus::SUCCESS),
        ((any6(), true, Mode::R), (any4(), false, Mode::R), NtStatus::SUCCESS),
        ((any6(), true, Mode::R), (Ipv6Addr::LOCALHOST.into(), false, Mode::R), NtStatus::SUCCESS),
        ((any6(), true, Mode::E), (Ipv4Addr::LOCALHOST.into(), false, Mode::R), NtStatus::ACCESS_DENIED),
    ];
    for (first, second, expected) in cases {
        let (one, ip) = make(first.0, first.1, first.2);
        one.bind(SocketAddr::new(ip, 0)).ok();
        let (two, ip) = make(second.0, second.1, second.2);
        assert_eq!(two.bind(SocketAddr::new(ip, one.port())).status(), expected, "{second:?} after {first:?}");
    }
    assert_ne!(v6(), v4());
}

/// C-51: what was closed leaves its address free, at the completion of the close.
fn c51_a_closed_socket_counts_no_more(arm: Arm) {
    let world = arm.world();
    let mut ports = (0, 0);
    for _ in 0..50 {
        let (one, two) = (DatagramSocket::make(&world), ListenSocket::make(&world));
        for mode in [one.share(Mode::E), two.share(Mode::E)] {
            mode.unwrap();
        }
        one.bind(at("E-W", ports.0)).ok();
        two.bind(at("E-W", ports.1)).ok();
        ports = (one.port(), two.port());
        one.close().ok();
        two.close().ok();
    }
}

/// What is shared is shared: a second socket on the port gets what is sent to its own, more specific address or to both.
fn both_of_a_shared_port_work(arm: Arm) {
    let world = arm.world();
    let first = DatagramSocket::make(&world);
    first.share(Mode::R).unwrap();
    first.bind("0.0.0.0:0".parse().unwrap()).ok();
    let second = DatagramSocket::make(&world);
    second.share(Mode::R).unwrap();
    second.bind(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), first.port())).ok();
    let sender = DatagramSocket::make(&world);
    sender.bind(v4()).ok();
    let waiting = [first.receive_from(vec![0; 16]), second.receive_from(vec![0; 16])];
    sender.send_to(&b"to one of both"[..], SocketAddr::new(Ipv4Addr::LOCALHOST.into(), first.port())).ok();
    let [mut one, mut two] = waiting;
    let got = |request: &mut Request<wsk::ReceivedFrom>| {
        request.wait_timeout(std::time::Duration::from_millis(1)).map(|result| result.unwrap().bytes().to_vec())
    };
    loop {
        if let Some(bytes) = got(&mut one).or_else(|| got(&mut two)) {
            break assert_eq!(bytes, b"to one of both");
        }
    }
}

/// C-52: connections in TIME_WAIT, or still open, on a port do not keep a server from starting again.
fn c52_a_restarted_server_binds_at_once(arm: Arm) {
    let world = arm.world();
    let mut address = v4();
    let mut kept = Vec::new();
    for round in 0..3 {
        let listener = world.client.listen_socket(Family::V4, None).unwrap();
        listener.bind(address).ok();
        address = listener.local_address().unwrap();
        let accept = listener.accept();
        let peer = world.peer_connect(address);
        let accepted = accept.ok();
        if round == 0 {
            kept.push((accepted, peer)); // stays connected
        } else {
            accepted.disconnect().ok(); // this side ends first: TIME_WAIT is here
            drop(peer);
            accepted.close().ok();
        }
        listener.close().ok();
    }
}

/// C-51: what other sockets of the machine use is in use, whatever the mode.
fn c51_foreign_use_is_in_use(arm: Arm) {
    let world = arm.world();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for mode in MODES {
        for ip in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
            let socket = DatagramSocket::make(&world);
            socket.share(mode).unwrap();
            let status = socket.bind(SocketAddr::new(ip.into(), udp.local_addr().unwrap().port())).status();
            assert_eq!(status, NtStatus::ADDRESS_ALREADY_EXISTS, "UDP {mode:?} {ip}");
            let listener = ListenSocket::make(&world);
            listener.share(mode).unwrap();
            let status = listener.bind(SocketAddr::new(ip.into(), tcp.local_addr().unwrap().port())).status();
            assert_eq!(status, NtStatus::ADDRESS_ALREADY_EXISTS, "TCP {mode:?} {ip}");
        }
    }
}
