//! Disabling event callbacks: events.md 5.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::support::{
    Acceptor, Arm, Conn, Dgram, Finish, Gate, Inbox, PATIENCE, Peer, Seen, World, arms, status_of, tell, v4,
};
use wsk::{ConnectionSocket, EventMask, Family, NtStatus, Receive, ReceiveFrom};

arms! {
    all: e42_disable_while_nothing_runs, e42_disable_with_a_request_while_it_runs,
        e42_disable_without_a_request_while_it_runs, e44_disable_from_inside_the_callback,
        e45_enable_and_second_disable_while_disabling, e40_exactly_one_event, e47_what_came_meanwhile_is_delivered,
        promise3_after_a_disable_the_callback_does_not_run, e46_close_waits_for_the_callback_and_the_disable,
        e47_a_refusal_while_disabling_keeps_the_data, e42_other_events_disable_alike, e46_cancel_of_a_disable_is_ignored;
}

/// A connection whose receive callback stops at a gate, once inside.
fn held(world: &World) -> (ConnectionSocket, Peer, Inbox, mpsc::Receiver<()>, Gate) {
    let gate = Gate::new();
    let (entered, inside) = mpsc::channel();
    let pass = gate.clone();
    let (conn, seen) = Conn::answering(move |_, _| {
        let _ = entered.send(());
        pass.pass();
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    (socket, peer, seen, inside, gate)
}

fn e42_disable_while_nothing_runs(arm: Arm) {
    let world = arm.world();
    let (recorder, _seen) = Conn::recorder();
    let (socket, _peer) = world.accepted(Some(recorder));
    for event in [EventMask::RECEIVE, EventMask::DISCONNECT] {
        socket.enable(event).unwrap();
        let disable = socket.disable(event);
        assert!(disable.is_finished(), "completed before it returned");
        disable.ok();
        assert_eq!(socket.disable_without_request(event), NtStatus::SUCCESS); // off already (E-45)
    }
}

// E-41
fn e42_disable_with_a_request_while_it_runs(arm: Arm) {
    let world = arm.world();
    let (socket, peer, seen, inside, gate) = held(&world);
    peer.send(b"x");
    inside.recv_timeout(PATIENCE).unwrap();
    let disable = socket.disable(EventMask::RECEIVE);
    assert!(!disable.is_finished());
    gate.open();
    disable.ok();
    peer.send(b"y");
    assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), b"y");
    assert_eq!(seen.next(), Seen::Data(b"x".to_vec()));
    seen.nothing();
}

// E-41
fn e42_disable_without_a_request_while_it_runs(arm: Arm) {
    let world = arm.world();
    let (socket, peer, seen, inside, gate) = held(&world);
    peer.send(b"x");
    inside.recv_timeout(PATIENCE).unwrap();
    assert_eq!(socket.disable_without_request(EventMask::RECEIVE), NtStatus::EVENT_PENDING);
    assert!(NtStatus::EVENT_PENDING.is_success(), "NT_SUCCESS is true (F-107)");
    gate.open();
    peer.send(b"y");
    assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), b"y");
    assert_eq!(seen.next(), Seen::Data(b"x".to_vec()));
    assert_eq!(socket.disable_without_request(EventMask::RECEIVE), NtStatus::SUCCESS);
}

fn e44_disable_from_inside_the_callback(arm: Arm) {
    let world = arm.world();
    let (told, outcome) = mpsc::channel();
    let (completed, done) = mpsc::channel();
    let (conn, seen) = Conn::answering(move |socket, _| {
        let mut disable = socket.disable(EventMask::RECEIVE);
        let refused = disable.wait().unwrap_err().status();
        let second = socket.disable_without_request(EventMask::RECEIVE);
        told.send((refused, second, disable.is_finished())).unwrap();
        let completed = completed.clone();
        disable.on_complete(move |result| tell(&completed, status_of(result)));
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    peer.send(b"x");
    let expected = (NtStatus::POSSIBLE_DEADLOCK, NtStatus::EVENT_PENDING, false);
    assert_eq!(outcome.recv_timeout(PATIENCE).unwrap(), expected);
    assert_eq!(done.recv_timeout(PATIENCE), Ok(NtStatus::SUCCESS));
    peer.send(b"y");
    assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), b"y");
    assert_eq!(seen.next(), Seen::Data(b"x".to_vec()));
    seen.nothing();
}

fn e45_enable_and_second_disable_while_disabling(arm: Arm) {
    let world = arm.world();
    let (socket, peer, _seen, inside, gate) = held(&world);
    peer.send(b"x");
    inside.recv_timeout(PATIENCE).unwrap();
    let first = socket.disable(EventMask::RECEIVE);
    let second = socket.disable(EventMask::RECEIVE);
    assert_eq!(status_of(socket.enable(EventMask::RECEIVE)), NtStatus::DEVICE_BUSY);
    assert_eq!(status_of(socket.enable(EventMask::RECEIVE | EventMask::DISCONNECT)), NtStatus::DEVICE_BUSY);
    assert!(!first.is_finished() && !second.is_finished());
    gate.open();
    first.ok();
    second.ok();
    socket.enable(EventMask::RECEIVE).unwrap();
}

fn e40_exactly_one_event(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (socket, peer) = world.accepted(Some(recorder));
    socket.enable(EventMask::RECEIVE | EventMask::DISCONNECT).unwrap();
    for mask in [EventMask::empty(), EventMask::RECEIVE | EventMask::DISCONNECT, EventMask::ACCEPT] {
        assert_eq!(socket.disable(mask).status(), NtStatus::INVALID_PARAMETER);
        assert_eq!(socket.disable_without_request(mask), NtStatus::INVALID_PARAMETER);
    }
    peer.send(b"unchanged");
    assert_eq!(seen.data(9), b"unchanged");
}

fn e47_what_came_meanwhile_is_delivered(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (socket, peer) = world.accepted(Some(recorder));
    socket.enable(EventMask::RECEIVE | EventMask::DISCONNECT).unwrap();
    socket.disable(EventMask::RECEIVE).ok();
    socket.disable(EventMask::DISCONNECT).ok();
    peer.send(b"meanwhile");
    peer.end();
    world.settle();
    seen.nothing();
    assert_eq!(socket.receive(vec![0; 4]).ok().bytes(), b"mean");
    socket.enable(EventMask::RECEIVE | EventMask::DISCONNECT).unwrap();
    assert_eq!(seen.data(5), b"while");
    assert_eq!(seen.next(), Seen::Disconnect { abortive: false });
}

// E-43
fn promise3_after_a_disable_the_callback_does_not_run(arm: Arm) {
    let world = arm.world();
    let allowed = Arc::new(AtomicBool::new(true));
    let violations = Arc::new(AtomicUsize::new(0));
    let (allow, count) = (allowed.clone(), violations.clone());
    let (conn, _seen) = Conn::answering(move |_, _| {
        if !allow.load(Ordering::SeqCst) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                peer.send(&[0; 512]);
            }
        });
        for _ in 0..500 {
            allowed.store(true, Ordering::SeqCst);
            socket.enable(EventMask::RECEIVE).unwrap();
            socket.disable(EventMask::RECEIVE).ok();
            allowed.store(false, Ordering::SeqCst);
        }
        stop.store(true, Ordering::SeqCst);
        let drain = socket.receive_with(wsk::Memory::None, wsk::ReceiveFlags::DRAIN);
        drop(drain); // lets the peer's last send through, then cancels
        allowed.store(true, Ordering::SeqCst);
        socket.enable(EventMask::RECEIVE).unwrap();
    });
    assert_eq!(violations.load(Ordering::SeqCst), 0);
}

fn e46_close_waits_for_the_callback_and_the_disable(arm: Arm) {
    let world = arm.world();
    let (socket, peer, _seen, inside, gate) = held(&world);
    peer.send(b"x");
    inside.recv_timeout(PATIENCE).unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let (first, second) = (order.clone(), order.clone());
    let (finished, end) = mpsc::channel();
    let note = move |what, result: Result<(), wsk::Error>| first.lock().unwrap().push((what, status_of(result)));
    socket.disable(EventMask::RECEIVE).on_complete(move |result| note("disable", result));
    let close = socket.close();
    assert!(!close.is_finished());
    close.on_complete(move |result| {
        second.lock().unwrap().push(("close", status_of(result)));
        finished.send(()).unwrap();
    });
    gate.open();
    end.recv_timeout(PATIENCE).unwrap();
    assert_eq!(*order.lock().unwrap(), [("disable", NtStatus::SUCCESS), ("close", NtStatus::SUCCESS)]);
}

fn e46_cancel_of_a_disable_is_ignored(arm: Arm) {
    let world = arm.world();
    let (socket, peer, _seen, inside, gate) = held(&world);
    peer.send(b"x");
    inside.recv_timeout(PATIENCE).unwrap();
    let disable = socket.disable(EventMask::RECEIVE);
    disable.cancel();
    assert!(!disable.is_finished());
    gate.open();
    disable.ok();
}

fn e47_a_refusal_while_disabling_keeps_the_data(arm: Arm) {
    let world = arm.world();
    let gate = Gate::new();
    let pass = gate.clone();
    let (entered, inside) = mpsc::channel();
    let (conn, _seen) = Conn::answering(move |_, data| {
        let _ = entered.send(());
        pass.pass();
        Receive::Partial(data, 1)
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    peer.send(b"abc");
    inside.recv_timeout(PATIENCE).unwrap();
    let disable = socket.disable(EventMask::RECEIVE);
    gate.open();
    disable.ok();
    assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), b"bc");
}

/// The table is the same for a datagram socket's and a listener's event.
fn e42_other_events_disable_alike(arm: Arm) {
    let world = arm.world();
    let gate = Gate::new();
    let (entered, inside) = mpsc::channel();
    let (pass, enter) = (gate.clone(), entered.clone());
    let (dgram, _seen) = Dgram::answering(move |_, _| {
        enter.send(()).unwrap();
        pass.pass();
        ReceiveFrom::Accepted
    });
    let socket = world.client.datagram_socket(Family::V4, Some(dgram)).unwrap();
    socket.bind(v4()).ok();
    socket.enable(EventMask::RECEIVE_FROM).unwrap();
    world.peer_udp(v4()).send(b"x", socket.local_address().unwrap());
    inside.recv_timeout(PATIENCE).unwrap();
    assert_eq!(socket.disable_without_request(EventMask::RECEIVE_FROM), NtStatus::EVENT_PENDING);
    assert_eq!(status_of(socket.enable(EventMask::RECEIVE_FROM)), NtStatus::DEVICE_BUSY);
    let disable = socket.disable(EventMask::RECEIVE_FROM);
    assert!(!disable.is_finished());
    gate.open();
    disable.ok();

    let gate = Gate::new();
    let pass = gate.clone();
    let (acceptor, sockets, _) = Acceptor::offering(move |_, incoming| {
        entered.send(()).unwrap();
        pass.pass();
        Some(incoming.accept(None))
    });
    let (listener, address) = world.listener(Some(Arc::new(acceptor)));
    listener.enable(EventMask::ACCEPT).unwrap();
    let _peer = world.peer_connect(address);
    inside.recv_timeout(PATIENCE).unwrap();
    assert_eq!(listener.disable_without_request(EventMask::ACCEPT), NtStatus::EVENT_PENDING);
    assert_eq!(status_of(listener.enable(EventMask::ACCEPT)), NtStatus::DEVICE_BUSY);
    let disable = listener.disable(EventMask::ACCEPT);
    assert!(!disable.is_finished());
    gate.open();
    disable.ok();
    sockets.next(); // the call that ran was not undone
}
