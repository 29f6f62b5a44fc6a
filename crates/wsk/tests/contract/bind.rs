//! Binding: functions.md 3.5, control.md 5 and 7.

use std::net::SocketAddr;

use crate::support::{Acceptor, Arm, Finish, World, any, arms, status_of, v4, v6};
use wsk::{EventMask, Family, NtStatus};

arms! {
    all: f121_port_zero_is_chosen_from_the_dynamic_range, f122_bad_addresses, f123_a_taken_address,
        f122_a_failed_bind_leaves_the_socket_created, c40_dual_mode_accepts_both_families,
        c40_dual_mode_datagrams_of_both_families, c41_mapped_addresses_need_dual_mode, c44_v6_only_after_bind,
        e51_both_families_accept;
    host: c51_two_default_binds_of_one_address_conflict;
}

fn f121_port_zero_is_chosen_from_the_dynamic_range(arm: Arm) {
    let world = arm.world();
    for at in [v4(), v6(), "0.0.0.0:0".parse().unwrap(), "[::]:0".parse().unwrap()] {
        let family = Family::of(&at);
        let listener = world.client.listen_socket(family, None).unwrap();
        listener.bind(at).ok();
        let connection = world.client.connection_socket(family, None).unwrap();
        connection.bind(at).ok();
        let datagram = world.client.datagram_socket(family, None).unwrap();
        datagram.bind(at).ok();
        for local in [listener.local_address(), connection.local_address(), datagram.local_address()] {
            let local = local.unwrap();
            assert_eq!(local.ip(), at.ip()); // wildcard until connected (F-210)
            assert!(local.port() >= 49152, "{local} (control.md 6)");
        }
    }
}

fn f122_bad_addresses(arm: Arm) {
    let world = arm.world();
    let foreign: SocketAddr = "192.0.2.1:0".parse().unwrap();
    for (at, status) in [(v6(), NtStatus::INVALID_PARAMETER), (foreign, NtStatus::INVALID_ADDRESS_COMPONENT)] {
        let client = &world.client;
        assert_eq!(client.listen_socket(Family::V4, None).unwrap().bind(at).status(), status);
        assert_eq!(client.datagram_socket(Family::V4, None).unwrap().bind(at).status(), status);
        assert_eq!(client.connection_socket(Family::V4, None).unwrap().bind(at).status(), status);
        assert_eq!(client.stream_socket(Family::V4, None, None).unwrap().bind(at).status(), status);
    }
}

fn f122_a_failed_bind_leaves_the_socket_created(arm: Arm) {
    let world = arm.world();
    let (_taken, address) = world.listener(None);
    let listener = world.client.listen_socket(Family::V4, None).unwrap();
    assert_eq!(listener.bind(address).status(), NtStatus::ADDRESS_ALREADY_EXISTS);
    assert_eq!(status_of(listener.local_address()), NtStatus::INVALID_DEVICE_STATE);
    assert_eq!(listener.accept().status(), NtStatus::INVALID_DEVICE_STATE);
    listener.bind(v4()).ok();
    assert_ne!(listener.local_address().unwrap(), address);
}

fn f123_a_taken_address(arm: Arm) {
    let world = arm.world();
    let (_first, address) = world.listener(None);
    let second = world.client.listen_socket(Family::V4, None).unwrap();
    assert_eq!(second.bind(address).status(), NtStatus::ADDRESS_ALREADY_EXISTS);

    let first = world.client.datagram_socket(Family::V4, None).unwrap();
    first.bind(v4()).ok();
    let second = world.client.datagram_socket(Family::V4, None).unwrap();
    assert_eq!(second.bind(first.local_address().unwrap()).status(), NtStatus::ADDRESS_ALREADY_EXISTS);
}

/// Row and column D-S of control.md 7: also while neither socket listens.
fn c51_two_default_binds_of_one_address_conflict(arm: Arm) {
    let world = arm.world();
    let first = world.client.connection_socket(Family::V4, None).unwrap();
    first.bind(v4()).ok();
    let second = world.client.connection_socket(Family::V4, None).unwrap();
    assert_eq!(second.bind(first.local_address().unwrap()).status(), NtStatus::ADDRESS_ALREADY_EXISTS);
}

/// A dual-mode listener on `[::]`, accepting by event.
fn dual(world: &World) -> (wsk::ListenSocket, crate::support::Inbox<wsk::ConnectionSocket>, u16) {
    let (acceptor, sockets, _) = Acceptor::new(None);
    let listener = world.client.listen_socket(Family::V6, Some(std::sync::Arc::new(acceptor))).unwrap();
    listener.set(wsk::option::V6Only(false)).unwrap();
    listener.bind("[::]:0".parse().unwrap()).ok();
    let port = listener.local_address().unwrap().port();
    (listener, sockets, port)
}

fn c40_dual_mode_accepts_both_families(arm: Arm) {
    let world = arm.world();
    let (listener, sockets, port) = dual(&world);
    let check = |socket: wsk::ConnectionSocket, peer: &crate::support::Peer| {
        let (remote, mut expected) = (socket.remote_address().unwrap(), peer.address());
        if let std::net::IpAddr::V4(ip) = expected.ip() {
            expected.set_ip(ip.to_ipv6_mapped().into()); // C-41
        }
        assert_eq!(remote, expected);
        assert!(socket.local_address().unwrap().is_ipv6(), "in the listener's family (E-51)");
        peer.send(b"hi");
        assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), b"hi");
    };
    for ip in ["127.0.0.1", "::1"] {
        let accept = listener.accept();
        let peer = world.peer_connect(SocketAddr::new(ip.parse().unwrap(), port));
        check(accept.ok(), &peer);
    }
    listener.enable(EventMask::ACCEPT).unwrap();
    for ip in ["127.0.0.1", "::1"] {
        let peer = world.peer_connect(SocketAddr::new(ip.parse().unwrap(), port));
        check(sockets.next(), &peer);
    }
}

fn c40_dual_mode_datagrams_of_both_families(arm: Arm) {
    let world = arm.world();
    let socket = world.client.datagram_socket(Family::V6, None).unwrap();
    socket.set(wsk::option::V6Only(false)).unwrap();
    socket.bind("[::]:0".parse().unwrap()).ok();
    let port = socket.local_address().unwrap().port();
    let peer = world.peer_udp(v4());
    peer.send(b"four", SocketAddr::new("127.0.0.1".parse().unwrap(), port));
    let received = socket.receive_from(vec![0; 16]).ok();
    assert_eq!(received.bytes(), b"four");
    let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", peer.address().port()).parse().unwrap();
    assert_eq!(received.source(), mapped);
    socket.send_to(&b"back"[..], mapped).ok(); // goes out as IPv4
    assert_eq!(peer.receive().0, b"back");
    let peer = world.peer_udp(v6());
    peer.send(b"six", SocketAddr::new("::1".parse().unwrap(), port));
    assert_eq!(socket.receive_from(vec![0; 16]).ok().source(), peer.address());
}

// F-92: sockets are IPv6 only unless told otherwise.
fn c41_mapped_addresses_need_dual_mode(arm: Arm) {
    let world = arm.world();
    let mapped: SocketAddr = "[::ffff:127.0.0.1]:9".parse().unwrap();
    let socket = world.client.datagram_socket(Family::V6, None).unwrap();
    socket.bind(v6()).ok();
    assert_eq!(socket.send_to(&b"x"[..], mapped).status(), NtStatus::INVALID_ADDRESS_COMPONENT);
    assert_eq!(status_of(socket.set_remote_address(Some(mapped))), NtStatus::INVALID_ADDRESS_COMPONENT);
    let socket = world.client.connection_socket(Family::V6, None).unwrap();
    socket.bind(v6()).ok();
    assert_eq!(socket.connect(mapped).status(), NtStatus::INVALID_ADDRESS_COMPONENT);
}

fn c44_v6_only_after_bind(arm: Arm) {
    let world = arm.world();
    let client = &world.client;
    for family in [Family::V4, Family::V6] {
        let wrong = match family {
            Family::V4 => NtStatus::INVALID_PARAMETER,
            Family::V6 => NtStatus::INVALID_DEVICE_STATE,
        };
        let listener = client.listen_socket(family, None).unwrap();
        listener.bind(any(family)).ok();
        assert_eq!(status_of(listener.set(wsk::option::V6Only(false))), wrong);
        let datagram = client.datagram_socket(family, None).unwrap();
        datagram.bind(any(family)).ok();
        assert_eq!(status_of(datagram.set(wsk::option::V6Only(false))), wrong);
        let connection = client.connection_socket(family, None).unwrap();
        connection.bind(any(family)).ok();
        assert_eq!(status_of(connection.set(wsk::option::V6Only(false))), wrong);
        let stream = client.stream_socket(family, None, None).unwrap();
        stream.bind(any(family)).ok();
        assert_eq!(status_of(stream.set(wsk::option::V6Only(false))), wrong);
    }
}

fn e51_both_families_accept(arm: Arm) {
    let world = arm.world();
    for family in [Family::V4, Family::V6] {
        let listener = world.client.listen_socket(family, None).unwrap();
        listener.bind(any(family)).ok();
        let address = listener.local_address().unwrap();
        let peer = world.peer_connect(address);
        let socket = listener.accept().ok();
        assert_eq!(socket.local_address().unwrap(), address);
        assert_eq!(socket.remote_address().unwrap(), peer.address());
    }
}
