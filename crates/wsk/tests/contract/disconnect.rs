//! WskDisconnect and WskDisconnectEvent: functions.md 3.8, events.md 9; dead sockets: F-81.

use crate::support::{Arm, Conn, Dgram, Finish, Gate, Seen, arms, pattern, v4};
use wsk::{DisconnectFlags, EventMask, Family, Memory, NtStatus, Receive};

arms! {
    all: e100_graceful, e100_abortive, e100_own_actions_raise_nothing, e101_held_back_while_stopped,
        e101_after_the_data_was_taken_by_function, e101_abortive_at_once_while_stopped,
        e101_abortive_after_the_indicated_data, e103_pending_requests_at_a_reset, e79_reset_without_disconnect_event,
        e79_dead_sockets_say_so_once, f81_only_close_works_on_a_dead_socket, f81_dead_while_the_callback_runs,
        f175_graceful_disconnect_sends_its_data, f176_abortive_disconnect, f176_abort_forces_a_hanging_disconnect,
        f177_bad_flags, f66_a_cancelled_disconnect_counts_as_send_closed, e93_a_dead_datagram_socket_says_so_once;
}

const BOTH: EventMask = EventMask::RECEIVE.union(EventMask::DISCONNECT);
const GRACEFUL: Seen = Seen::Disconnect { abortive: false };
const ABORTIVE: Seen = Seen::Disconnect { abortive: true };

fn e100_graceful(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (socket, peer) = world.accepted(Some(recorder));
    socket.enable(EventMask::DISCONNECT).unwrap();
    world.settle();
    seen.nothing();
    peer.end();
    assert_eq!(seen.next(), GRACEFUL);
    socket.send(&b"sending stays possible"[..]).ok();
    assert_eq!(peer.receive(22), b"sending stays possible");
    world.settle();
    seen.nothing();
}

fn e100_abortive(arm: Arm) {
    let world = arm.world();
    for events in [EventMask::DISCONNECT, BOTH] {
        let (recorder, seen) = Conn::recorder();
        let (socket, peer) = world.accepted(Some(recorder));
        socket.enable(events).unwrap();
        peer.reset();
        assert_eq!(seen.next(), ABORTIVE);
        assert_eq!(socket.send(&b"x"[..]).status(), NtStatus::CONNECTION_RESET);
        assert_eq!(socket.receive(vec![0; 1]).status(), NtStatus::CONNECTION_RESET);
        seen.nothing();
    }
}

fn e100_own_actions_raise_nothing(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (socket, peer) = world.accepted(Some(recorder.clone()));
    socket.enable(BOTH).unwrap();
    socket.disconnect().ok();
    peer.expect_fin();
    let (second, peer) = world.accepted(Some(recorder.clone()));
    second.enable(BOTH).unwrap();
    second.disconnect_with(Memory::None, DisconnectFlags::ABORTIVE).ok();
    peer.expect_reset();
    let (third, peer) = world.accepted(Some(recorder));
    third.enable(BOTH).unwrap();
    third.close().ok();
    peer.expect_reset();
    world.settle();
    seen.nothing();
}

fn e101_held_back_while_stopped(arm: Arm) {
    let world = arm.world();
    let (conn, seen) = Conn::answering({
        let first = std::sync::atomic::AtomicBool::new(true);
        move |_, data| match first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            true => Receive::Refused(data),
            false => Receive::Accepted,
        }
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(BOTH).unwrap();
    peer.send(b"data");
    assert_eq!(seen.data(4), b"data");
    peer.end();
    world.settle();
    seen.nothing();
    socket.receive(Vec::new()).ok();
    assert_eq!(seen.data(4), b"data");
    assert_eq!(seen.next(), GRACEFUL);
}

/// Only DISCONNECT is on: it comes when the last byte was taken, without a further receive.
fn e101_after_the_data_was_taken_by_function(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (socket, peer) = world.accepted(Some(recorder));
    socket.enable(EventMask::DISCONNECT).unwrap();
    peer.send(b"data");
    peer.end();
    world.settle();
    seen.nothing(); // held back while data is unread
    assert_eq!(socket.receive_with(vec![0; 4], wsk::ReceiveFlags::WAITALL).ok().bytes(), b"data");
    assert_eq!(seen.next(), GRACEFUL);
}

fn e101_abortive_at_once_while_stopped(arm: Arm) {
    let world = arm.world();
    let (conn, seen) = Conn::answering(|_, data| Receive::Refused(data));
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(BOTH).unwrap();
    peer.send(b"data");
    assert_eq!(seen.data(4), b"data");
    peer.reset();
    assert_eq!(seen.next(), ABORTIVE);
    assert_eq!(socket.receive(vec![0; 16]).ok().bytes(), b"data"); // may still be fetched
    assert_eq!(socket.receive(vec![0; 16]).status(), NtStatus::CONNECTION_RESET);
}

fn e101_abortive_after_the_indicated_data(arm: Arm) {
    let world = arm.world();
    let gate = Gate::new();
    let pass = gate.clone();
    let (conn, seen) = Conn::answering(move |_, _| {
        pass.pass();
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(BOTH).unwrap();
    peer.send(b"one");
    assert_eq!(seen.data(3), b"one");
    peer.send(b"two"); // arrives while the first call runs
    peer.reset();
    gate.open();
    assert_eq!(seen.data(3), b"two");
    assert_eq!(seen.next(), ABORTIVE);
}

fn e103_pending_requests_at_a_reset(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (socket, peer) = world.accepted(Some(recorder));
    socket.enable(EventMask::DISCONNECT).unwrap();
    let sends: Vec<_> = (0..3).map(|_| socket.send(pattern(16 << 20))).collect();
    let receive = socket.receive(vec![0; 8]);
    let disconnect = socket.disconnect();
    assert!(!sends[0].is_finished());
    peer.reset();
    for send in sends {
        let error = send.finish().unwrap_err();
        assert_eq!((error.status(), error.information()), (NtStatus::CONNECTION_RESET, 0));
    }
    assert_eq!(receive.status(), NtStatus::CONNECTION_RESET);
    assert_eq!(disconnect.status(), NtStatus::CONNECTION_RESET); // F-177
    assert_eq!(seen.next(), ABORTIVE);
}

fn e79_reset_without_disconnect_event(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (socket, peer) = world.accepted(Some(recorder));
    socket.enable(EventMask::RECEIVE).unwrap();
    peer.send(b"last");
    assert_eq!(seen.data(4), b"last");
    peer.reset();
    assert_eq!(seen.next(), Seen::Dead);
    assert_eq!(socket.send(&b"x"[..]).status(), NtStatus::CONNECTION_RESET);
    socket.close().ok();
    seen.nothing();
}

fn e79_dead_sockets_say_so_once(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (socket, peer) = world.accepted(Some(recorder));
    socket.enable(BOTH).unwrap();
    world.provider.break_sockets();
    assert_eq!(seen.next(), Seen::Dead);
    world.provider.break_sockets();
    drop(peer);
    let (deaf, unheard) = Conn::recorder();
    let (silent, _peer) = {
        let fresh = world.client.connection_socket(Family::V4, Some(deaf)).unwrap();
        world.provider.break_sockets();
        (fresh, ())
    };
    assert_eq!(silent.bind(v4()).status(), NtStatus::FILE_FORCED_CLOSED);
    socket.close().ok();
    silent.close().ok();
    seen.nothing();
    unheard.nothing(); // nothing was enabled
}

/// F-81: also a callback that is running when the transport goes does not swallow the news.
fn f81_dead_while_the_callback_runs(arm: Arm) {
    let world = arm.world();
    let gate = Gate::new();
    let pass = gate.clone();
    let (conn, seen) = Conn::answering(move |_, _| {
        pass.pass();
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    peer.send(b"x");
    assert_eq!(seen.data(1), b"x");
    world.provider.break_sockets();
    gate.open();
    assert_eq!(seen.next(), Seen::Dead);
    socket.close().ok();
}

fn f81_only_close_works_on_a_dead_socket(arm: Arm) {
    let world = arm.world();
    let (socket, _peer) = world.accepted(None);
    let receives: Vec<_> = (0..3).map(|_| socket.receive(vec![0; 8])).collect();
    let sends: Vec<_> = (0..3).map(|_| socket.send(pattern(16 << 20))).collect();
    let disconnect = socket.disconnect();
    let dgram = world.client.datagram_socket(Family::V4, None).unwrap();
    dgram.bind(v4()).ok();
    let from = dgram.receive_from(vec![0; 8]);
    world.provider.break_sockets();
    let broken = NtStatus::FILE_FORCED_CLOSED;
    receives.into_iter().for_each(|receive| assert_eq!(receive.status(), broken));
    sends.into_iter().for_each(|send| assert_eq!(send.status(), broken));
    assert_eq!(disconnect.status(), broken);
    assert_eq!(from.status(), broken);
    assert_eq!(socket.receive(vec![0; 8]).status(), broken);
    socket.close().ok(); // F-117
    dgram.close().ok();
}

fn e93_a_dead_datagram_socket_says_so_once(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Dgram::recorder();
    let socket = world.client.datagram_socket(Family::V4, Some(recorder)).unwrap();
    socket.bind(v4()).ok();
    socket.enable(EventMask::RECEIVE_FROM).unwrap();
    world.provider.break_sockets();
    assert_eq!(seen.next(), Seen::Dead);
    world.provider.break_sockets();
    socket.close().ok();
    seen.nothing();
}

fn f175_graceful_disconnect_sends_its_data(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let sends: Vec<_> = (0..20).map(|i| socket.send(vec![i; 1000])).collect();
    let disconnect = socket.disconnect_with(&b"goodbye"[..], DisconnectFlags::empty());
    assert_eq!(socket.send(&b"late"[..]).status(), NtStatus::INVALID_DEVICE_STATE);
    let (bytes, fin) = peer.receive_to_end();
    assert!(fin);
    let expected: Vec<u8> = (0..20).flat_map(|i| [i; 1000]).chain(*b"goodbye").collect();
    assert!(bytes == expected);
    sends.into_iter().for_each(|send| assert_eq!(send.ok().len(), 1000));
    assert_eq!(disconnect.ok().len(), 0); // Information 0 (F-60)
}

fn f176_abortive_disconnect(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let receive = socket.receive(vec![0; 8]);
    let send = socket.send(pattern(32 << 20));
    let later = socket.send(&b"x"[..]);
    socket.disconnect_with(Memory::None, DisconnectFlags::ABORTIVE).ok();
    assert_eq!(receive.status(), NtStatus::CONNECTION_ABORTED);
    assert_eq!(send.status(), NtStatus::CONNECTION_ABORTED);
    assert_eq!(later.status(), NtStatus::CONNECTION_ABORTED);
    assert!(!peer.receive_to_end().1, "the peer sees a reset");
    assert_eq!(socket.receive(vec![0; 8]).status(), NtStatus::CONNECTION_ABORTED);
    assert_eq!(socket.disconnect_with(Memory::None, DisconnectFlags::ABORTIVE).status(), NtStatus::SUCCESS);
    socket.close().ok();
}

fn f176_abort_forces_a_hanging_disconnect(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let send = socket.send(pattern(32 << 20)); // nobody reads
    let graceful = socket.disconnect();
    world.settle();
    assert!(!graceful.is_finished());
    assert_eq!(socket.disconnect().status(), NtStatus::INVALID_DEVICE_STATE); // a second graceful one
    socket.disconnect_with(Memory::None, DisconnectFlags::ABORTIVE).ok();
    assert_eq!(graceful.status(), NtStatus::CONNECTION_ABORTED);
    assert_eq!(send.status(), NtStatus::CONNECTION_ABORTED);
    assert!(!peer.receive_to_end().1);
}

fn f177_bad_flags(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let with = |data: Memory, flags| socket.disconnect_with(data, flags).status();
    assert_eq!(with(Memory::None, DisconnectFlags::from_bits_retain(2)), NtStatus::INVALID_PARAMETER);
    assert_eq!(with(b"x".into(), DisconnectFlags::ABORTIVE), NtStatus::INVALID_PARAMETER);
    socket.send(&b"unharmed"[..]).ok();
    assert_eq!(peer.receive(8), b"unharmed");
}

fn f66_a_cancelled_disconnect_counts_as_send_closed(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let sent = pattern(16 << 20);
    let send = socket.send(sent.clone());
    let disconnect = socket.disconnect();
    world.settle();
    disconnect.cancel();
    assert_eq!(disconnect.status(), NtStatus::CANCELLED);
    assert_eq!(socket.send(&b"x"[..]).status(), NtStatus::INVALID_DEVICE_STATE);
    let (bytes, _) = peer.receive_to_end(); // the FIN still goes out in its turn
    assert!(bytes == sent);
    send.ok();
}
