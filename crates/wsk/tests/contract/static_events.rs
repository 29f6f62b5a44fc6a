//! Static event callbacks: events.md 4.3.

use std::sync::Arc;

use crate::support::{Acceptor, Arm, Conn, Dgram, Finish, Seen, arms, status_of, v4};
use wsk::{EventMask, Family, NtStatus};

arms! {
    all: e25_too_late_or_wrong, e26_each_socket_takes_the_bits_that_fit, e26_a_socket_accepted_by_function_counts,
        e27_static_events_stay_on, e28_they_fire_as_soon_as_the_state_allows, e4_missing_callbacks_are_skipped;
}

const ALL: EventMask =
    EventMask::ACCEPT.union(EventMask::RECEIVE).union(EventMask::DISCONNECT).union(EventMask::RECEIVE_FROM);

fn e25_too_late_or_wrong(arm: Arm) {
    let world = arm.world();
    let set = |mask| status_of(world.client.set_static_event_callbacks(mask));
    assert_eq!(set(EventMask::RECEIVE | EventMask::DISABLE), NtStatus::INVALID_PARAMETER);
    assert_eq!(set(EventMask::from_bits_retain(0x20)), NtStatus::INVALID_PARAMETER);
    assert_eq!(set(ALL | EventMask::SEND_BACKLOG), NtStatus::SUCCESS);
    assert_eq!(set(EventMask::RECEIVE_FROM), NtStatus::SUCCESS); // replaces the mask before the first socket
    let (recorder, seen) = Conn::recorder();
    let (socket, peer) = world.connected(Some(recorder));
    assert_eq!(set(ALL), NtStatus::INVALID_DEVICE_STATE);
    peer.send(b"x");
    world.settle();
    seen.nothing(); // RECEIVE was replaced
    socket.close().ok();
    assert_eq!(set(ALL), NtStatus::INVALID_DEVICE_STATE); // also when its sockets are gone
}

fn e26_each_socket_takes_the_bits_that_fit(arm: Arm) {
    let world = arm.world();
    world.client.set_static_event_callbacks(ALL).unwrap();
    let (recorder, seen) = Conn::recorder();
    let (acceptor, sockets, _) = Acceptor::new(Some(recorder));
    let (_listener, address) = world.listener(Some(Arc::new(acceptor)));
    let peer = world.peer_connect(address);
    peer.send(b"stream");
    assert_eq!(seen.data(6), b"stream");
    peer.end();
    assert_eq!(seen.next(), Seen::Disconnect { abortive: false });
    sockets.next();

    let (recorder, seen) = Dgram::recorder();
    let socket = world.client.datagram_socket(Family::V4, Some(recorder)).unwrap();
    socket.bind(v4()).ok();
    let peer = world.peer_udp(v4());
    peer.send(b"datagram", socket.local_address().unwrap());
    assert_eq!(seen.datagrams(1), [(b"datagram".to_vec(), peer.address())]);
}

fn e26_a_socket_accepted_by_function_counts(arm: Arm) {
    let world = arm.world();
    world.client.set_static_event_callbacks(EventMask::RECEIVE | EventMask::DISCONNECT).unwrap();
    let (recorder, seen) = Conn::recorder();
    let (_socket, peer) = world.accepted(Some(recorder));
    peer.send(b"static");
    assert_eq!(seen.data(6), b"static");
    peer.end();
    assert_eq!(seen.next(), Seen::Disconnect { abortive: false });
}

fn e27_static_events_stay_on(arm: Arm) {
    let world = arm.world();
    world.client.set_static_event_callbacks(ALL).unwrap();
    let (recorder, seen) = Conn::recorder();
    let (socket, peer) = world.connected(Some(recorder));
    assert_eq!(socket.disable(EventMask::RECEIVE).status(), NtStatus::INVALID_PARAMETER);
    assert_eq!(socket.disable_without_request(EventMask::DISCONNECT), NtStatus::INVALID_PARAMETER);
    assert_eq!(status_of(socket.enable(EventMask::RECEIVE)), NtStatus::SUCCESS);
    peer.send(b"on");
    assert_eq!(seen.data(2), b"on");
    // What is not static is as ever.
    socket.enable(EventMask::SEND_BACKLOG).unwrap();
    assert!(matches!(seen.next(), Seen::Backlog(64..)));
    socket.disable(EventMask::SEND_BACKLOG).ok();
}

/// A connection socket's data may be indicated before its connect has been waited for.
fn e28_they_fire_as_soon_as_the_state_allows(arm: Arm) {
    let world = arm.world();
    world.client.set_static_event_callbacks(EventMask::RECEIVE).unwrap();
    let (recorder, seen) = Conn::recorder();
    let listener = world.peer_listener();
    let socket = world.client.connection_socket(Family::V4, Some(recorder)).unwrap();
    socket.bind(v4()).ok();
    let connect = socket.connect(listener.address());
    let peer = listener.accept();
    peer.send(b"first");
    assert_eq!(seen.data(5), b"first");
    connect.ok();
}

// F-86
fn e4_missing_callbacks_are_skipped(arm: Arm) {
    let world = arm.world();
    world.client.set_static_event_callbacks(ALL).unwrap();
    let (conn, seen) = Conn::new();
    let (socket, peer) = world.connected(Some(Arc::new(conn.providing(EventMask::DISCONNECT))));
    peer.send(b"data");
    peer.end();
    assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), b"data");
    assert_eq!(socket.receive(vec![0; 8]).ok().len(), 0);
    assert_eq!(seen.next(), Seen::Disconnect { abortive: false });
    let (bare, peer) = world.connected(None);
    peer.send(b"data");
    assert_eq!(bare.receive(vec![0; 8]).ok().bytes(), b"data");
}
