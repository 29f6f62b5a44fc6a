//! Events inherited from a listening socket: events.md 4.2 and 4.5.

use std::sync::Arc;

use crate::support::{Acceptor, Arm, Conn, Finish, Gate, Seen, arms};
use wsk::{EventMask, NtStatus};

arms! {
    all: e20_events_are_inherited_through_the_accept_event, e21_inherited_events_cannot_be_disabled_on_the_listener,
        e22_callbacks_wait_until_the_accept_callback_returned, e33_enabling_inside_the_accept_callback,
        e57_without_inheritance_all_is_off;
}

const INHERITED: EventMask = EventMask::ACCEPT.union(EventMask::RECEIVE).union(EventMask::DISCONNECT);

fn e20_events_are_inherited_through_the_accept_event(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (acceptor, sockets, _) = Acceptor::new(Some(recorder));
    let (listener, address) = world.listener(Some(Arc::new(acceptor)));
    listener.enable(INHERITED).unwrap();
    let peer = world.peer_connect(address);
    peer.send(b"inherited");
    assert_eq!(seen.data(9), b"inherited");
    peer.end();
    assert_eq!(seen.next(), Seen::Disconnect { abortive: false });
    // The accepted socket may switch off what it inherited.
    let socket = sockets.next();
    socket.disable(EventMask::RECEIVE).ok();
}

fn e21_inherited_events_cannot_be_disabled_on_the_listener(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (acceptor, sockets, _) = Acceptor::new(Some(recorder));
    let (listener, address) = world.listener(Some(Arc::new(acceptor)));
    listener.enable(INHERITED).unwrap();
    for event in [EventMask::RECEIVE, EventMask::DISCONNECT, EventMask::SEND_BACKLOG] {
        assert_eq!(listener.disable(event).status(), NtStatus::INVALID_PARAMETER);
        assert_eq!(listener.disable_without_request(event), NtStatus::INVALID_PARAMETER);
    }
    // They survive the disabling and enabling of ACCEPT.
    listener.disable(EventMask::ACCEPT).ok();
    listener.enable(EventMask::ACCEPT).unwrap();
    let peer = world.peer_connect(address);
    let _socket = sockets.next();
    peer.send(b"still inherited");
    assert_eq!(seen.data(15), b"still inherited");
}

fn e22_callbacks_wait_until_the_accept_callback_returned(arm: Arm) {
    // Two processors: the accepted socket may live on another one than the listener.
    for processors in [1, 2] {
        let world = arm.world_with(|builder| builder.processors(processors));
        for _ in 0..processors {
            let (recorder, seen) = Conn::recorder();
            let gate = Gate::new();
            let held = gate.clone();
            let (entered, inside) = std::sync::mpsc::channel();
            let (acceptor, sockets, _) = Acceptor::offering(move |_, incoming| {
                let socket = incoming.accept(Some(recorder.clone()));
                entered.send(()).unwrap();
                held.pass();
                Some(socket)
            });
            let (listener, address) = world.listener(Some(Arc::new(acceptor)));
            listener.enable(INHERITED).unwrap();
            let peer = world.peer_connect(address);
            peer.send(b"early");
            inside.recv_timeout(crate::support::PATIENCE).unwrap();
            seen.nothing();
            gate.open();
            assert_eq!(seen.data(5), b"early");
            sockets.next();
        }
    }
}

fn e33_enabling_inside_the_accept_callback(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (acceptor, sockets, _) = Acceptor::offering(move |_, incoming| {
        let socket = incoming.accept(Some(recorder.clone()));
        socket.enable(EventMask::RECEIVE | EventMask::DISCONNECT).unwrap();
        Some(socket)
    });
    let (listener, address) = world.listener(Some(Arc::new(acceptor)));
    listener.enable(EventMask::ACCEPT).unwrap();
    let peer = world.peer_connect(address);
    peer.send(b"data");
    peer.end();
    assert_eq!(seen.data(4), b"data");
    assert_eq!(seen.next(), Seen::Disconnect { abortive: false });
    sockets.next();
}

// F-86
fn e57_without_inheritance_all_is_off(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (acceptor, sockets, _) = Acceptor::new(Some(recorder));
    let (listener, address) = world.listener(Some(Arc::new(acceptor)));
    listener.enable(EventMask::ACCEPT).unwrap();
    let peer = world.peer_connect(address);
    peer.send(b"data");
    peer.end();
    let socket = sockets.next();
    world.settle();
    seen.nothing();
    assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), b"data");
}
