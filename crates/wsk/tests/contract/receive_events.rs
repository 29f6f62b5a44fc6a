//! WskReceiveEvent: events.md 7.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::support::{Arm, Conn, Finish, Inbox, PATIENCE, Peer, Seen, World, arms, pattern, tell};
use wsk::{ConnectionSocket, EventFlags, EventMask, Indication, NtStatus, Receive, ReceiveFlags};

arms! {
    all: e73_everything_accepted, e73_partial_acceptance_stops, e73_nothing_accepted_stops, e73_refusal_stops,
        e72_more_than_indicated_is_clamped, e75_zero_length_receive_resumes, e75_a_receive_takes_the_oldest_first,
        e75_a_cancelled_receive_resumes, e75_enabling_again_does_not_resume, e75_disable_and_enable_resume,
        e115_a_receive_inside_the_refusing_callback_counts, e115_zero_length_inside_the_callback_resumes,
        e73_retained_across_callbacks_and_released_elsewhere, e112_queued_receives_go_first,
        e77_functions_and_callbacks_make_one_stream, e14_enabling_late_loses_nothing, e71_flags,
        e70_big_transfers_arrive_whole, e2_passive_level_delivery, e74_memory_does_not_grow_while_stopped,
        e114_what_a_receive_leaves_is_indicated, e4_unknown_and_missing_events;
}

/// An accepted connection with RECEIVE enabled, whose first callbacks answer by `answers` and further ones accept.
fn answering(world: &World, answers: Vec<fn(Indication) -> Receive>) -> (ConnectionSocket, Peer, Inbox) {
    let answers = Mutex::new(answers.into_iter());
    let (conn, seen) = Conn::answering(move |_, data| {
        let answer = answers.lock().unwrap().next();
        answer.map_or(Receive::Accepted, |answer| answer(data))
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    (socket, peer, seen)
}

fn e73_everything_accepted(arm: Arm) {
    let world = arm.world();
    let (_socket, peer, seen) = answering(&world, vec![]);
    for text in [&b"one"[..], b"two", b"three"] {
        peer.send(text);
        assert_eq!(seen.data(text.len()), text);
    }
}

/// Stopped: more data is not indicated; a zero-length receive lets it come, together with what was left.
fn stopped_with(world: &World, answer: fn(Indication) -> Receive, left: &[u8]) {
    let (socket, peer, seen) = answering(world, vec![answer]);
    peer.send(b"abcdef");
    assert_eq!(seen.next(), Seen::Data(b"abcdef".to_vec()));
    peer.send(b"ghi");
    world.settle();
    seen.nothing();
    assert_eq!(socket.receive(Vec::new()).ok().len(), 0);
    let rest = [left, b"ghi"].concat();
    assert_eq!(seen.data(rest.len()), rest);
    peer.send(b"jkl"); // and it runs again
    assert_eq!(seen.data(3), b"jkl");
}

fn e73_partial_acceptance_stops(arm: Arm) {
    stopped_with(&arm.world(), |data| Receive::Partial(data, 2), b"cdef");
}

fn e73_nothing_accepted_stops(arm: Arm) {
    stopped_with(&arm.world(), |data| Receive::Partial(data, 0), b"abcdef");
}

fn e73_refusal_stops(arm: Arm) {
    stopped_with(&arm.world(), Receive::Refused, b"abcdef");
}

fn e72_more_than_indicated_is_clamped(arm: Arm) {
    let world = arm.world();
    let (_socket, peer, seen) = answering(&world, vec![|data| Receive::Partial(data, 1000)]);
    peer.send(b"abc");
    assert_eq!(seen.data(3), b"abc");
    peer.send(b"def"); // all was accepted, so it goes on
    assert_eq!(seen.data(3), b"def");
}

fn e75_zero_length_receive_resumes(arm: Arm) {
    let world = arm.world();
    let (socket, peer, seen) = answering(&world, vec![Receive::Refused, Receive::Refused]);
    peer.send(b"again");
    for _ in 0..2 {
        assert_eq!(seen.data(5), b"again");
        socket.receive(Vec::new()).ok();
    }
    assert_eq!(seen.data(5), b"again"); // accepted now
    peer.send(b"next");
    assert_eq!(seen.data(4), b"next");
}

fn e75_a_receive_takes_the_oldest_first(arm: Arm) {
    let world = arm.world();
    let (socket, peer, seen) = answering(&world, vec![Receive::Refused]);
    peer.send(b"abcdef");
    assert_eq!(seen.data(6), b"abcdef");
    assert_eq!(socket.receive(vec![0; 2]).ok().bytes(), b"ab");
    assert_eq!(seen.data(4), b"cdef");
}

fn e75_a_cancelled_receive_resumes(arm: Arm) {
    let world = arm.world();
    let (socket, peer, seen) = answering(&world, vec![|data| Receive::Partial(data, 3)]);
    peer.send(b"abcdef");
    assert_eq!(seen.data(6), b"abcdef");
    let receive = socket.receive_with(vec![0; 64], ReceiveFlags::WAITALL);
    world.settle();
    receive.cancel();
    let error = receive.finish().unwrap_err();
    assert_eq!((error.status(), error.information()), (NtStatus::CANCELLED, 3));
    peer.send(b"ghi");
    assert_eq!(seen.data(3), b"ghi");
}

fn e75_enabling_again_does_not_resume(arm: Arm) {
    let world = arm.world();
    let (socket, peer, seen) = answering(&world, vec![Receive::Refused]);
    peer.send(b"abc");
    assert_eq!(seen.data(3), b"abc");
    socket.enable(EventMask::RECEIVE).unwrap();
    world.settle();
    seen.nothing();
    assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), b"abc");
}

fn e75_disable_and_enable_resume(arm: Arm) {
    let world = arm.world();
    let (socket, peer, seen) = answering(&world, vec![Receive::Refused]);
    peer.send(b"abc");
    assert_eq!(seen.data(3), b"abc");
    socket.disable(EventMask::RECEIVE).ok();
    socket.enable(EventMask::RECEIVE).unwrap();
    assert_eq!(seen.data(3), b"abc");
}

fn e115_a_receive_inside_the_refusing_callback_counts(arm: Arm) {
    let world = arm.world();
    let (taken, by_function) = mpsc::channel();
    let first = AtomicUsize::new(0);
    let (conn, seen) = Conn::answering(move |socket, data| {
        if first.fetch_add(1, Ordering::SeqCst) > 0 {
            return Receive::Accepted;
        }
        let taken = taken.clone();
        socket.receive(vec![0; 4]).on_complete(move |result| tell(&taken, result.map(|t| t.bytes().to_vec())));
        Receive::Refused(data)
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    peer.send(b"abcdef");
    assert_eq!(seen.data(6), b"abcdef");
    assert_eq!(by_function.recv_timeout(PATIENCE).unwrap().unwrap(), b"abcd");
    assert_eq!(seen.data(2), b"ef");
}

fn e115_zero_length_inside_the_callback_resumes(arm: Arm) {
    let world = arm.world();
    let calls = AtomicUsize::new(0);
    let (conn, seen) = Conn::answering(move |socket, data| {
        if calls.fetch_add(1, Ordering::SeqCst) > 0 {
            return Receive::Accepted;
        }
        socket.receive(Vec::new()).detach();
        Receive::Partial(data, 1)
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    peer.send(b"abc");
    assert_eq!(seen.data(3), b"abc");
    assert_eq!(seen.data(2), b"bc");
}

// E-121, F-116
fn e73_retained_across_callbacks_and_released_elsewhere(arm: Arm) {
    let world = arm.world();
    let (kept, retained) = mpsc::channel();
    let (conn, seen) = Conn::answering(move |_, data| {
        kept.send(data).unwrap();
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    for round in 0..20u8 {
        peer.send(&[round; 100]);
        assert_eq!(seen.data(100), [round; 100]); // retention does not stop indications
    }
    world.settle(); // the last callback has returned
    let mut held: Vec<Indication> = retained.try_iter().collect();
    assert!(held.len() >= 20);
    assert!(world.provider.counters().buffers_lent >= 20);
    // Promise 2: the bytes are what they were.
    let all: Vec<u8> = held.iter().flat_map(Indication::to_vec).collect();
    assert_eq!(all, (0..20u8).flat_map(|round| [round; 100]).collect::<Vec<_>>());
    // Released in any order, on another thread; the last after the socket is closed (E-119).
    let late = held.pop().unwrap();
    std::thread::spawn(move || held.into_iter().rev().for_each(drop)).join().unwrap();
    peer.send(b"on");
    assert_eq!(seen.data(2), b"on");
    socket.close().ok();
    assert_eq!(late.chunks().flatten().filter(|byte| **byte == 19).count(), late.len());
    drop(late);
    drop(retained);
}

// F-171
fn e112_queued_receives_go_first(arm: Arm) {
    let world = arm.world();
    let (socket, peer, seen) = answering(&world, vec![]);
    let receives: Vec<_> = (0..10).map(|_| socket.receive_with(vec![0; 10], ReceiveFlags::WAITALL)).collect();
    let sent = pattern(120);
    peer.send(&sent);
    for (i, receive) in receives.into_iter().enumerate() {
        assert_eq!(receive.ok().bytes(), &sent[i * 10..(i + 1) * 10]);
    }
    assert_eq!(seen.data(20), &sent[100..]);
}

fn e114_what_a_receive_leaves_is_indicated(arm: Arm) {
    let world = arm.world();
    let (socket, peer, seen) = answering(&world, vec![]);
    let receive = socket.receive(vec![0; 3]);
    peer.send(b"abcdef");
    assert_eq!(receive.ok().bytes(), b"abc");
    assert_eq!(seen.data(3), b"def");
}

/// Bytes keep their order however they are taken: receives are queued while indications run, refused and resumed.
// E-127
fn e77_functions_and_callbacks_make_one_stream(arm: Arm) {
    const TOTAL: usize = 1 << 20;
    let world = arm.world();
    let stream = Arc::new(Mutex::new(Vec::with_capacity(TOTAL)));
    let (enough, all) = mpsc::channel();
    let take = {
        let stream = stream.clone();
        move |bytes: &[u8]| {
            let mut stream = stream.lock().unwrap();
            stream.extend_from_slice(bytes);
            if stream.len() >= TOTAL {
                let _ = enough.send(());
            }
        }
    };
    let take = Arc::new(take);
    let (taker, calls) = (take.clone(), AtomicUsize::new(0));
    let (conn, _seen) = Conn::answering(move |socket, data| {
        let into = taker.clone();
        match calls.fetch_add(1, Ordering::SeqCst) % 4 {
            0 => {
                taker(&data.to_vec());
                Receive::Accepted
            }
            1 => {
                let half = data.len() / 2;
                taker(&data.to_vec()[..half]);
                socket.receive(vec![0; 1000]).on_complete(move |result| into(result.unwrap().bytes()));
                Receive::Partial(data, half)
            }
            2 => {
                socket.receive(vec![0; 5000]).on_complete(move |result| into(result.unwrap().bytes()));
                Receive::Refused(data)
            }
            _ => {
                taker(&data.to_vec());
                socket.receive(vec![0; 1]).on_complete(move |result| into(result.unwrap().bytes()));
                Receive::Accepted
            }
        }
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    let sent = pattern(TOTAL);
    peer.send(&sent);
    all.recv_timeout(PATIENCE).unwrap();
    assert!(*stream.lock().unwrap() == sent, "the stream differs");
    socket.close().ok();
}

fn e14_enabling_late_loses_nothing(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (socket, peer) = world.accepted(Some(recorder));
    peer.send(b"data and end");
    peer.end();
    world.settle();
    seen.nothing();
    socket.enable(EventMask::RECEIVE | EventMask::DISCONNECT).unwrap();
    assert_eq!(seen.data(12), b"data and end");
    assert_eq!(seen.next(), Seen::Disconnect { abortive: false });
    socket.enable(EventMask::RECEIVE | EventMask::DISCONNECT).unwrap(); // idempotent (E-12)
    world.settle();
    seen.nothing();
}

fn flags_seen(world: &World) -> (EventFlags, u8) {
    let (told, flags) = mpsc::channel();
    let (conn, _seen) = Conn::answering(move |_, data| {
        told.send((data.flags(), wsk::current_irql())).unwrap();
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    peer.send(b"x");
    flags.recv_timeout(PATIENCE).unwrap()
}

fn e71_flags(arm: Arm) {
    let (flags, irql) = flags_seen(&arm.world());
    assert!(flags.contains(EventFlags::AT_DISPATCH_LEVEL) && irql == 2, "{flags:?} {irql}");
    assert!(flags.contains(EventFlags::ENTIRE_MESSAGE) && !flags.contains(EventFlags::RELEASE_ASAP), "{flags:?}");
    assert_eq!(wsk::current_irql(), 0);
}

fn e2_passive_level_delivery(arm: Arm) {
    let (flags, irql) = flags_seen(&arm.world_with(|builder| builder.callbacks_at_passive_level()));
    assert!(!flags.contains(EventFlags::AT_DISPATCH_LEVEL) && irql == 0, "{flags:?} {irql}");
}

fn e70_big_transfers_arrive_whole(arm: Arm) {
    let world = arm.world();
    let (_socket, peer, seen) = answering(&world, vec![]);
    let sent = pattern(8 << 20);
    let received = std::thread::scope(|scope| {
        scope.spawn(|| peer.send(&sent));
        seen.data(sent.len())
    });
    assert!(received == sent, "the bytes differ");
}

fn e74_memory_does_not_grow_while_stopped(arm: Arm) {
    let world = arm.world();
    let (socket, peer, seen) = answering(&world, vec![Receive::Refused]);
    let sent = pattern(8 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| peer.send(&sent)); // blocks on the closed window
        let Seen::Data(first) = seen.next() else { panic!("data comes first") };
        let before = world.provider.counters().buffer_memory;
        for _ in 0..20 {
            world.settle();
        }
        seen.nothing();
        let after = world.provider.counters().buffer_memory;
        assert!(after <= before + (1 << 20), "{before} -> {after}");
        socket.receive(Vec::new()).ok();
        let all = seen.data(sent.len());
        assert!(all.starts_with(&first) && all == sent, "the stream differs");
    });
}

fn e4_unknown_and_missing_events(arm: Arm) {
    let world = arm.world();
    let (conn, _seen) = Conn::new();
    let (socket, _peer) = world.accepted(Some(Arc::new(conn.providing(EventMask::RECEIVE))));
    let enable = |mask| crate::support::status_of(socket.enable(mask));
    assert_eq!(enable(EventMask::DISCONNECT), NtStatus::INVALID_PARAMETER); // no such callback
    assert_eq!(enable(EventMask::ACCEPT), NtStatus::INVALID_PARAMETER); // another category (E-10)
    assert_eq!(enable(EventMask::RECEIVE_FROM), NtStatus::INVALID_PARAMETER);
    assert_eq!(enable(EventMask::empty()), NtStatus::INVALID_PARAMETER);
    assert_eq!(enable(EventMask::from_bits_retain(0x20)), NtStatus::INVALID_PARAMETER);
    assert_eq!(enable(EventMask::RECEIVE), NtStatus::SUCCESS);
}
