//! Stream sockets: F-244, F-130, F-154.

use std::sync::Arc;

use crate::support::{Acceptor, Arm, Conn, Finish, Seen, arms, status_of, v4};
use wsk::{EventMask, Family, NtStatus};

arms! {
    all: f130_listen_then_accept, f154_connect_commits, f244_a_failed_connect_commits_to_nothing,
        f133_accepted_sockets_are_connections, f244_events_by_role, f244_binding_does_not_listen;
}

fn f130_listen_then_accept(arm: Arm) {
    let world = arm.world();
    let (acceptor, sockets, _) = Acceptor::new(None);
    let stream = world.client.stream_socket(Family::V4, Some(Arc::new(acceptor)), None).unwrap();
    stream.bind(v4()).ok();
    stream.listen().ok(); // completes although nobody has come
    let address = stream.local_address().unwrap();
    let accept = stream.accept();
    let peer = world.peer_connect(address);
    assert_eq!(accept.ok().remote_address().unwrap(), peer.address());
    stream.as_listener(|listener| listener.enable(EventMask::ACCEPT)).unwrap();
    let peer = world.peer_connect(address);
    assert_eq!(sockets.next().remote_address().unwrap(), peer.address());
    let waiting = stream.accept();
    stream.close().ok();
    assert_eq!(waiting.status(), NtStatus::CANCELLED);
}

fn f154_connect_commits(arm: Arm) {
    let world = arm.world();
    let stream = world.client.stream_socket(Family::V4, None, None).unwrap();
    stream.bind(v4()).ok();
    let listener = world.peer_listener();
    stream.connect(listener.address()).ok();
    let peer = listener.accept();
    assert_eq!(stream.listen().status(), NtStatus::INVALID_DEVICE_STATE);
    assert_eq!(stream.accept().status(), NtStatus::INVALID_DEVICE_STATE);
    stream.as_connection(|socket| socket.send(&b"hello"[..])).ok();
    assert_eq!(peer.receive(5), b"hello");
    peer.end();
    assert_eq!(stream.as_connection(|socket| socket.receive(vec![0; 8])).ok().len(), 0);
    stream.as_connection(|socket| socket.disconnect()).ok();
    stream.close().ok();
    peer.expect_fin();
}

fn f244_a_failed_connect_commits_to_nothing(arm: Arm) {
    let world = arm.world();
    let holder = world.client.connection_socket(Family::V4, None).unwrap();
    holder.bind(v4()).ok();
    let stream = world.client.stream_socket(Family::V4, None, None).unwrap();
    stream.bind(v4()).ok();
    assert_eq!(stream.connect(holder.local_address().unwrap()).status(), NtStatus::CONNECTION_REFUSED);
    stream.listen().ok();
    let peer = world.peer_connect(stream.local_address().unwrap());
    assert_eq!(stream.accept().ok().remote_address().unwrap(), peer.address());
}

fn f133_accepted_sockets_are_connections(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let stream = world.client.stream_socket(Family::V4, None, None).unwrap();
    stream.bind(v4()).ok();
    stream.listen().ok();
    let peer = world.peer_connect(stream.local_address().unwrap());
    let socket = stream.accept_with(recorder).ok();
    socket.enable(EventMask::RECEIVE).unwrap();
    peer.send(b"data");
    assert_eq!(seen.data(4), b"data");
}

fn f244_events_by_role(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let acceptor = Arc::new(Acceptor::new(None).0);
    let connecting = world.client.stream_socket(Family::V4, Some(acceptor), Some(recorder)).unwrap();
    connecting.bind(v4()).ok();
    let listener = world.peer_listener();
    connecting.connect(listener.address()).ok();
    let peer = listener.accept();
    assert_eq!(status_of(connecting.enable(EventMask::ACCEPT)), NtStatus::INVALID_PARAMETER);
    connecting.enable(EventMask::RECEIVE | EventMask::DISCONNECT).unwrap();
    peer.send(b"data");
    assert_eq!(seen.data(4), b"data");
    peer.end();
    assert_eq!(seen.next(), Seen::Disconnect { abortive: false });

    let (inherited, seen) = Conn::recorder();
    let (acceptor, sockets, _) = Acceptor::new(Some(inherited));
    let listening = world.client.stream_socket(Family::V4, Some(Arc::new(acceptor)), None).unwrap();
    listening.bind(v4()).ok();
    listening.listen().ok();
    listening.enable(EventMask::ACCEPT | EventMask::RECEIVE).unwrap();
    let peer = world.peer_connect(listening.local_address().unwrap());
    peer.send(b"inherited");
    assert_eq!(seen.data(9), b"inherited");
    sockets.next();
}

fn f244_binding_does_not_listen(arm: Arm) {
    let world = arm.world();
    let stream = world.client.stream_socket(Family::V4, None, None).unwrap();
    stream.bind(v4()).ok();
    let socket = world.client.socket_connect(v4(), stream.local_address().unwrap(), None);
    assert_eq!(socket.status(), NtStatus::CONNECTION_REFUSED);
}
