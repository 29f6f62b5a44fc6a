//! WskConnect and WskSocketConnect: functions.md 3.1 and 3.7.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use crate::support::loopback::BLACK_HOLE;
use crate::support::{Arm, Finish, World, arms, status_of, v4, v6};
use wsk::{Family, NtStatus};

arms! {
    all: f150_unbound_then_bound, f151_refused_then_retried, f152_bad_remotes, f152_already_connected,
        f155_a_connect_can_be_cancelled, f155_close_ends_a_connect, f152_while_connecting, f93_socket_connect,
        f93_a_failed_socket_connect_leaves_no_socket, f65_a_cancelled_socket_connect_leaves_no_socket,
        f210_addresses_of_a_connection, f156_connect_with_data, f81_a_broken_socket_ends_its_connect;
}

/// An address that takes no connection and refuses none.
struct Silent {
    address: SocketAddr,
    _full: Option<(OwnedFd, std::net::TcpStream)>,
}

fn silent(arm: Arm) -> Silent {
    if !arm.is_host() {
        return Silent { address: SocketAddr::new(BLACK_HOLE, 9), _full: None };
    }
    // A listener whose queue is full drops further SYNs.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let first = std::net::TcpStream::connect(address).unwrap();
    Silent { address, _full: Some((listener.into(), first)) }
}

fn bound(world: &World) -> wsk::ConnectionSocket {
    let socket = world.client.connection_socket(Family::V4, None).unwrap();
    socket.bind(v4()).ok();
    socket
}

/// An address where nobody listens: one that was bound a moment ago, and is still bound by a socket that does not listen.
fn nobody(world: &World) -> (wsk::ConnectionSocket, SocketAddr) {
    let socket = bound(world);
    let address = socket.local_address().unwrap();
    (socket, address)
}

fn f150_unbound_then_bound(arm: Arm) {
    let world = arm.world();
    let listener = world.peer_listener();
    let socket = world.client.connection_socket(Family::V4, None).unwrap();
    let refused = socket.connect(listener.address());
    assert!(refused.is_finished(), "inline");
    let error = refused.finish().unwrap_err();
    assert_eq!((error.status(), error.information()), (NtStatus::INVALID_DEVICE_STATE, 0));
    socket.bind("0.0.0.0:0".parse().unwrap()).ok();
    socket.connect(listener.address()).ok();
    listener.accept().send(b"hello");
    assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), b"hello");
}

fn f151_refused_then_retried(arm: Arm) {
    let world = arm.world();
    let (_holder, nobody) = nobody(&world);
    let socket = bound(&world);
    let local = socket.local_address().unwrap();
    for _ in 0..3 {
        assert_eq!(socket.connect(nobody).status(), NtStatus::CONNECTION_REFUSED);
        assert_eq!(status_of(socket.remote_address()), NtStatus::INVALID_DEVICE_STATE);
        assert_eq!(socket.local_address().unwrap(), local); // back in Bound (F-153)
    }
    let listener = world.peer_listener();
    socket.connect(listener.address()).ok();
    assert_eq!(socket.local_address().unwrap(), local);
    let peer = listener.accept();
    socket.send(&b"retried"[..]).ok();
    assert_eq!(peer.receive(7), b"retried");
}

fn f152_bad_remotes(arm: Arm) {
    let world = arm.world();
    let socket = bound(&world);
    for bad in ["0.0.0.0:80", "127.0.0.1:0"] {
        assert_eq!(socket.connect(bad.parse().unwrap()).status(), NtStatus::INVALID_ADDRESS_COMPONENT, "{bad}");
    }
    assert_eq!(socket.connect(v6()).status(), NtStatus::INVALID_PARAMETER);
    let listener = world.peer_listener();
    socket.connect(listener.address()).ok(); // unharmed
}

fn f152_already_connected(arm: Arm) {
    let world = arm.world();
    let (socket, _peer) = world.connected(None);
    let other = world.peer_listener();
    assert_eq!(socket.connect(other.address()).status(), NtStatus::CONNECTION_ACTIVE);
    assert_eq!(socket.bind(v4()).status(), NtStatus::INVALID_DEVICE_STATE);
}

fn f152_while_connecting(arm: Arm) {
    let world = arm.world();
    let silent = silent(arm);
    let socket = bound(&world);
    let connect = socket.connect(silent.address);
    assert_eq!(socket.connect(silent.address).status(), NtStatus::INVALID_DEVICE_STATE);
    assert!(!connect.is_finished());
}

fn f155_a_connect_can_be_cancelled(arm: Arm) {
    let world = arm.world();
    let silent = silent(arm);
    let socket = bound(&world);
    let connect = socket.connect(silent.address);
    world.settle();
    connect.cancel();
    connect.cancel();
    assert_eq!(connect.status(), NtStatus::CANCELLED);
    let listener = world.peer_listener(); // F-66: as after a failed one
    socket.connect(listener.address()).ok();
    listener.accept().send(b"x");
    assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), b"x");
}

fn f155_close_ends_a_connect(arm: Arm) {
    let world = arm.world();
    let silent = silent(arm);
    let socket = bound(&world);
    let connect = socket.connect(silent.address);
    let close = socket.close();
    assert_eq!(connect.status(), NtStatus::CANCELLED);
    close.ok();
}

fn f81_a_broken_socket_ends_its_connect(arm: Arm) {
    let world = arm.world();
    let silent = silent(arm);
    let socket = bound(&world);
    let connect = socket.connect(silent.address);
    let by_one_call = world.client.socket_connect(v4(), silent.address, None);
    world.provider.break_sockets();
    assert_eq!(connect.status(), NtStatus::FILE_FORCED_CLOSED);
    assert_eq!(by_one_call.status(), NtStatus::FILE_FORCED_CLOSED);
}

fn f93_socket_connect(arm: Arm) {
    let world = arm.world();
    let listener = world.peer_listener();
    let socket = world.client.socket_connect(v4(), listener.address(), None).ok();
    let peer = listener.accept();
    assert_eq!(
        socket.local_address().unwrap(),
        match &peer {
            crate::support::Peer::Std(stream) => stream.peer_addr().unwrap(),
            crate::support::Peer::Wsk(socket) => socket.remote_address().unwrap(),
        }
    );
    peer.send(b"x");
    assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), b"x");
    let mixed = world.client.socket_connect(v6(), listener.address(), None);
    assert_eq!(mixed.status(), NtStatus::INVALID_PARAMETER);
}

fn f93_a_failed_socket_connect_leaves_no_socket(arm: Arm) {
    let world = arm.world();
    let (holder, nobody) = nobody(&world);
    let connect = |local: SocketAddr, remote| world.client.socket_connect(local, remote, None).status();
    assert_eq!(connect(v4(), nobody), NtStatus::CONNECTION_REFUSED);
    assert_eq!(connect(v4(), "0.0.0.0:0".parse().unwrap()), NtStatus::INVALID_ADDRESS_COMPONENT);
    assert_eq!(connect("192.0.2.1:0".parse().unwrap(), nobody), NtStatus::INVALID_ADDRESS_COMPONENT);
    let (taken, address) = world.listener(None);
    assert_eq!(connect(address, nobody), NtStatus::ADDRESS_ALREADY_EXISTS);
    taken.close().ok();
    holder.close().ok();
    gone(world);
}

fn f65_a_cancelled_socket_connect_leaves_no_socket(arm: Arm) {
    let world = arm.world();
    let silent = silent(arm);
    let connect = world.client.socket_connect(v4(), silent.address, None);
    connect.cancel();
    assert_eq!(connect.status(), NtStatus::CANCELLED);
    drop(world.client.socket_connect(v4(), silent.address, None));
    gone(world);
}

/// Every socket is gone: the deregistration returns without anyone closing one. (The test's watchdog notices if not.)
fn gone(world: World) {
    let registration = world.into_registration();
    registration.deregister().unwrap();
}

fn f210_addresses_of_a_connection(arm: Arm) {
    let world = arm.world();
    let listener = world.peer_listener();
    let socket = world.client.connection_socket(Family::V4, None).unwrap();
    assert_eq!(status_of(socket.local_address()), NtStatus::INVALID_DEVICE_STATE);
    socket.bind("0.0.0.0:0".parse().unwrap()).ok();
    let port = socket.local_address().unwrap().port();
    assert_eq!(status_of(socket.remote_address()), NtStatus::INVALID_DEVICE_STATE);
    socket.connect(listener.address()).ok();
    assert_eq!(socket.local_address().unwrap(), SocketAddr::new("127.0.0.1".parse().unwrap(), port));
    assert_eq!(socket.remote_address().unwrap(), listener.address());
    listener.accept().reset();
    assert_eq!(socket.receive(vec![0; 8]).status(), NtStatus::CONNECTION_RESET);
    assert_eq!(socket.remote_address().unwrap(), listener.address()); // F-211: as it was
}

/// F-156, F-61: the data goes ahead of any later send; Information is its length; a failure gives the memory back.
fn f156_connect_with_data(arm: Arm) {
    let world = arm.world();
    let listener = world.peer_listener();
    let socket = bound(&world);
    let connect = socket.connect_with(listener.address(), crate::support::pattern(65_535));
    let peer = listener.accept();
    let transfer = connect.ok();
    assert_eq!(transfer.len(), 65_535);
    let behind = socket.send(&b"behind"[..]);
    assert!(peer.receive(65_535) == crate::support::pattern(65_535));
    assert_eq!(peer.receive(6), b"behind");
    behind.ok();

    let socket = bound(&world);
    let too_long = socket.connect_with(listener.address(), vec![0; 65_536]);
    assert_eq!(too_long.status(), NtStatus::BUFFER_OVERFLOW);
    let (_holder, nobody) = nobody(&world);
    let error = socket.connect_with(nobody, vec![7; 100]).finish().unwrap_err();
    assert_eq!((error.status(), error.information()), (NtStatus::CONNECTION_REFUSED, 0));
    assert_eq!(error.into_buffer(), Some(vec![7; 100]));
    assert_eq!(socket.connect_with(listener.address(), Vec::new()).ok().len(), 0);
}
