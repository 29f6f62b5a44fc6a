//! Order at the end of a connection, and of callbacks among each other: events.md 3.1 and 13.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Arm, Conn, Gate, Inbox, PATIENCE, Seen, arms, pattern, tell};
use wsk::{EventMask, Receive};

arms! {
    all: receive_callbacks_are_serial, disconnect_comes_after_the_last_receive_returned,
        all_data_is_indicated_before_the_disconnect, a_completion_does_not_overtake_the_one_before_it;
}

const BOTH: EventMask = EventMask::RECEIVE.union(EventMask::DISCONNECT);

fn receive_callbacks_are_serial(arm: Arm) {
    let world = arm.world_with(|builder| builder.processors(2));
    let running = Arc::new(AtomicUsize::new(0));
    let overlaps = Arc::new(AtomicUsize::new(0));
    let (inside, count) = (running.clone(), overlaps.clone());
    let (conn, seen) = Conn::answering(move |_, data| {
        count.fetch_add(inside.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        drop(data); // takes a while
        inside.fetch_sub(1, Ordering::SeqCst);
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(BOTH).unwrap();
    let sent = pattern(1 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| peer.send(&sent));
        assert!(seen.data(sent.len()) == sent);
    });
    assert_eq!(overlaps.load(Ordering::SeqCst), 0, "two calls at once");
}

fn disconnect_comes_after_the_last_receive_returned(arm: Arm) {
    let world = arm.world();
    let (gate, returned) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let (held, left, looked) = (gate.clone(), returned.clone(), returned.clone());
    let (seen_early, early) = std::sync::mpsc::channel();
    let (entered, inside) = std::sync::mpsc::channel();
    let conn = Conn::new().0;
    let conn = conn.on_disconnect(move |_| tell(&seen_early, looked.load(Ordering::SeqCst)));
    let conn = conn.on_receive(move |_, _| {
        let _ = entered.send(());
        held.pass();
        left.store(1, Ordering::SeqCst);
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(Arc::new(conn)));
    socket.enable(BOTH).unwrap();
    peer.send(b"x");
    peer.end();
    inside.recv_timeout(crate::support::PATIENCE).unwrap();
    Inbox(inside).nothing();
    gate.open();
    assert_eq!(early.recv_timeout(crate::support::PATIENCE), Ok(1));
}

// E-78: the FIN itself is no indication.
fn all_data_is_indicated_before_the_disconnect(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (socket, peer) = world.accepted(Some(recorder));
    socket.enable(BOTH).unwrap();
    let sent = pattern(3 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            peer.send(&sent);
            peer.end();
        });
        assert!(seen.data(sent.len()) == sent);
        assert_eq!(seen.next(), Seen::Disconnect { abortive: false });
    });
    world.settle();
    seen.nothing();
}

/// F-163, F-167: a client that notes received buffers in the order of their completions has the stream.
fn a_completion_does_not_overtake_the_one_before_it(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let (order, ended) = std::sync::mpsc::channel();
    let (entered, inside) = std::sync::mpsc::channel();
    let gate = Gate::new();
    let (held, first, second) = (gate.clone(), order.clone(), order);
    socket.receive(vec![0; 1]).on_complete(move |_| {
        let _ = entered.send(());
        held.pass();
        let _ = first.send(1);
    });
    peer.send(b"ab");
    inside.recv_timeout(PATIENCE).unwrap();
    // The second byte is there, and could be had at once; but the first completion is not through.
    socket.receive(vec![0; 1]).on_complete(move |_| tell(&second, 2));
    gate.open();
    assert_eq!([ended.recv_timeout(PATIENCE), ended.recv_timeout(PATIENCE)], [Ok(1), Ok(2)]);
}
