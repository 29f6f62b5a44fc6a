//! Accepting, by WskAccept and by WskAcceptEvent: functions.md 3.6, events.md 6.

use std::sync::Arc;
use std::sync::mpsc;

use crate::support::{Acceptor, Arm, Conn, Finish, Gate, Seen, arms, tell};
use wsk::{EventMask, NtStatus};

arms! {
    all: f131_accept_before_and_after_the_connection, f134_accepts_are_fifo, f136_close_cancels_accepts,
        f65_a_cancelled_accept_leaves_the_connection, e50_accept_event, e52_the_socket_is_usable_in_the_callback,
        e55_a_rejected_connection_is_reset, e112_a_queued_accept_goes_before_the_event,
        e47_connections_wait_while_accept_is_disabled, e125_close_resets_what_waits_and_spares_what_was_accepted,
        e56_a_dead_listener_says_so_once, m13_many_connects_at_once, f132_accept_function_leaves_callbacks_off,
        m2_many_accepts_complete_in_order;
    bug_on_epoll: f137_a_peer_that_reset_before_accept_is_skipped;
}

// F-135: the late one waits in the backlog.
fn f131_accept_before_and_after_the_connection(arm: Arm) {
    let world = arm.world();
    let (listener, address) = world.listener(None);
    let accept = listener.accept();
    assert!(!accept.is_finished());
    let early = world.peer_connect(address);
    let socket = accept.ok();
    assert_eq!(socket.remote_address().unwrap(), early.address());
    assert_eq!(socket.local_address().unwrap(), address);
    let late = world.peer_connect(address);
    assert_eq!(listener.accept().ok().remote_address().unwrap(), late.address());
}

fn f134_accepts_are_fifo(arm: Arm) {
    let world = arm.world();
    let (listener, address) = world.listener(None);
    let peers: Vec<_> = (0..8).map(|_| world.peer_connect(address)).collect();
    for peer in &peers {
        assert_eq!(listener.accept().ok().remote_address().unwrap(), peer.address());
    }
}

fn m2_many_accepts_complete_in_order(arm: Arm) {
    let world = arm.world();
    let (listener, address) = world.listener(None);
    let (done, order) = mpsc::channel();
    for i in 0..256 {
        let done = done.clone();
        listener.accept().on_complete(move |result| tell(&done, (i, result.map(|s| s.remote_address().unwrap()))));
    }
    assert_eq!(listener.requests_queued(), 256);
    for i in 0..256 {
        let peer = world.peer_connect(address);
        let (which, remote) = order.recv_timeout(crate::support::PATIENCE).unwrap();
        assert_eq!((which, remote.unwrap()), (i, peer.address()));
    }
}

fn f136_close_cancels_accepts(arm: Arm) {
    let world = arm.world();
    let (listener, _) = world.listener(None);
    let accepts: Vec<_> = (0..3).map(|_| listener.accept()).collect();
    let close = listener.close();
    for accept in accepts {
        let error = accept.finish().unwrap_err();
        assert_eq!((error.status(), error.information()), (NtStatus::CANCELLED, 0));
    }
    close.ok();
    assert_eq!(listener.close().status(), NtStatus::INVALID_HANDLE); // F-110
}

fn f65_a_cancelled_accept_leaves_the_connection(arm: Arm) {
    let world = arm.world();
    let (listener, address) = world.listener(None);
    let (first, second) = (listener.accept(), listener.accept());
    first.cancel();
    assert_eq!(first.status(), NtStatus::CANCELLED);
    let peer = world.peer_connect(address);
    assert_eq!(second.ok().remote_address().unwrap(), peer.address());
    let third = listener.accept();
    drop(third); // which cancels it
    let peer = world.peer_connect(address);
    assert_eq!(listener.accept().ok().remote_address().unwrap(), peer.address());
}

fn e50_accept_event(arm: Arm) {
    let world = arm.world();
    let (told, addresses) = mpsc::channel();
    let (acceptor, sockets, _) = Acceptor::offering(move |_, incoming| {
        told.send((incoming.local_address(), incoming.remote_address())).unwrap();
        Some(incoming.accept(None))
    });
    let (listener, address) = world.listener(Some(Arc::new(acceptor)));
    let before = world.peer_connect(address);
    listener.enable(EventMask::ACCEPT).unwrap(); // what waits is offered at once (E-14)
    assert_eq!(sockets.next().remote_address().unwrap(), before.address());
    for _ in 0..5 {
        let peer = world.peer_connect(address);
        let socket = sockets.next();
        peer.send(b"ping");
        assert_eq!(socket.receive(vec![0; 4]).ok().bytes(), b"ping");
        assert_eq!(socket.remote_address().unwrap(), peer.address());
    }
    assert_eq!(addresses.try_iter().filter(|(local, remote)| *local == address && remote.port() != 0).count(), 6);
}

/// The echo sample queues a receive from another thread before its accept callback has returned.
// F-138
fn e52_the_socket_is_usable_in_the_callback(arm: Arm) {
    let world = arm.world();
    let gate = Gate::new();
    let (sockets, accepted) = mpsc::channel();
    let held = gate.clone();
    let (acceptor, ..) = Acceptor::offering(move |_, incoming| {
        sockets.send(incoming.accept(None)).unwrap();
        held.pass();
        None
    });
    let (listener, address) = world.listener(Some(Arc::new(acceptor)));
    listener.enable(EventMask::ACCEPT).unwrap();
    let peer = world.peer_connect(address);
    let socket = accepted.recv_timeout(crate::support::PATIENCE).unwrap();
    let receive = socket.receive(vec![0; 16]);
    let send = socket.send(&b"welcome"[..]);
    gate.open();
    send.ok();
    assert_eq!(peer.receive(7), b"welcome");
    peer.send(b"thanks");
    assert_eq!(receive.ok().bytes(), b"thanks");
}

fn e55_a_rejected_connection_is_reset(arm: Arm) {
    let world = arm.world();
    let (acceptor, sockets, _) = Acceptor::offering(|_, incoming| {
        drop(incoming);
        None
    });
    let (listener, address) = world.listener(Some(Arc::new(acceptor)));
    listener.enable(EventMask::ACCEPT).unwrap();
    world.peer_connect(address).expect_reset();
    world.peer_connect(address).expect_reset();
    sockets.nothing();
    listener.close().ok();
}

// F-135
fn e112_a_queued_accept_goes_before_the_event(arm: Arm) {
    let world = arm.world();
    let (acceptor, sockets, _) = Acceptor::new(None);
    let (listener, address) = world.listener(Some(Arc::new(acceptor)));
    let (first, second) = (listener.accept(), listener.accept());
    listener.enable(EventMask::ACCEPT).unwrap();
    let peers: Vec<_> = (0..3).map(|_| world.peer_connect(address)).collect();
    assert_eq!(first.ok().remote_address().unwrap(), peers[0].address());
    assert_eq!(second.ok().remote_address().unwrap(), peers[1].address());
    assert_eq!(sockets.next().remote_address().unwrap(), peers[2].address());
}

fn e47_connections_wait_while_accept_is_disabled(arm: Arm) {
    let world = arm.world();
    let (acceptor, sockets, _) = Acceptor::new(None);
    let (listener, address) = world.listener(Some(Arc::new(acceptor)));
    listener.enable(EventMask::ACCEPT).unwrap();
    let _first = world.peer_connect(address);
    sockets.next();
    listener.disable(EventMask::ACCEPT).ok();
    let by_function = world.peer_connect(address);
    let by_event = world.peer_connect(address);
    world.settle();
    sockets.nothing();
    assert_eq!(listener.accept().ok().remote_address().unwrap(), by_function.address());
    listener.enable(EventMask::ACCEPT).unwrap();
    assert_eq!(sockets.next().remote_address().unwrap(), by_event.address());
}

// F-114
fn e125_close_resets_what_waits_and_spares_what_was_accepted(arm: Arm) {
    let world = arm.world();
    let (listener, address) = world.listener(None);
    let peer = world.peer_connect(address);
    let socket = listener.accept().ok();
    let waiting = world.peer_connect(address);
    listener.close().ok();
    waiting.expect_reset();
    peer.send(b"still here");
    assert_eq!(socket.receive(vec![0; 32]).ok().bytes(), b"still here");
    socket.send(&b"so am I"[..]).ok();
    assert_eq!(peer.receive(7), b"so am I");
}

fn e56_a_dead_listener_says_so_once(arm: Arm) {
    let world = arm.world();
    let (acceptor, _, seen) = Acceptor::new(None);
    let (listener, _) = world.listener(Some(Arc::new(acceptor)));
    let (silent, ..) = Acceptor::new(None);
    let (deaf, _) = world.listener(Some(Arc::new(silent)));
    let accept = listener.accept();
    listener.enable(EventMask::ACCEPT).unwrap();
    world.provider.break_sockets();
    assert_eq!(accept.status(), NtStatus::FILE_FORCED_CLOSED);
    assert_eq!(seen.next(), Seen::Dead);
    world.provider.break_sockets();
    assert_eq!(listener.accept().status(), NtStatus::FILE_FORCED_CLOSED);
    listener.close().ok();
    deaf.close().ok();
    seen.nothing();
}

/// A thousand connects on a small backlog: the callback returns at once, so all get in.
fn m13_many_connects_at_once(arm: Arm) {
    let world = arm.world();
    let (acceptor, sockets, _) = Acceptor::new(None);
    let (listener, address) = world.listener(Some(Arc::new(acceptor)));
    listener.enable(EventMask::ACCEPT).unwrap();
    let peers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| (0..125).map(|_| world.peer_connect(address)).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut remotes: Vec<_> = (0..1000).map(|_| sockets.next().remote_address().unwrap()).collect();
    let mut expected: Vec<_> = peers.iter().map(|peer| peer.address()).collect();
    remotes.sort();
    expected.sort();
    assert_eq!(remotes, expected);
}

fn f132_accept_function_leaves_callbacks_off(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (acceptor, ..) = Acceptor::new(None);
    let (listener, address) = world.listener(Some(Arc::new(acceptor)));
    listener.enable(EventMask::RECEIVE | EventMask::DISCONNECT).unwrap(); // stored for inheritance only
    let accept = listener.accept_with(recorder);
    let peer = world.peer_connect(address);
    let socket = accept.ok();
    peer.send(b"data");
    peer.end();
    world.settle();
    seen.nothing();
    assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), b"data");
    socket.enable(EventMask::DISCONNECT).unwrap();
    assert_eq!(socket.receive(vec![0; 8]).ok().len(), 0);
    assert_eq!(seen.next(), Seen::Disconnect { abortive: false });
}

fn f137_a_peer_that_reset_before_accept_is_skipped(arm: Arm) {
    let world = arm.world();
    let (listener, address) = world.listener(None);
    world.peer_connect(address).reset();
    let peer = world.peer_connect(address);
    assert_eq!(listener.accept().ok().remote_address().unwrap(), peer.address());
}
