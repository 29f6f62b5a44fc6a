//! WskReceive: functions.md 3.8.

use std::sync::mpsc;

use crate::support::{Arm, Finish, PATIENCE, arms, pattern, tell};
use wsk::{DisconnectFlags, Memory, NtStatus, ReceiveFlags};

arms! {
    all: f165_a_receive_takes_what_is_there, f166_waitall_fills_the_buffer, f166_waitall_is_cut_by_fin,
        f62_a_cancelled_waitall_counts_what_it_stored, f166_drain_discards_up_to_fin, f166_bad_flags,
        f170_zero_length_completes_at_once, m2_queued_receives_are_fifo, f168_after_fin_every_receive_gets_zero,
        f168_data_comes_before_the_reset, f62_a_reset_waitall_counts_what_it_stored,
        f169_receiving_goes_on_after_own_disconnect, f64_a_cancelled_receive_loses_no_data,
        f166_a_cancelled_drain_leaves_the_rest, f168_a_reset_ends_queued_receives, f71_memory_comes_back,
        the_receive_backlog_counts_unread_bytes, f165_any_size, f166_drain_ends_with_a_reset;
}

fn f165_a_receive_takes_what_is_there(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let receive = socket.receive(vec![0; 256]);
    peer.send(&pattern(22));
    let transfer = receive.ok();
    assert_eq!(transfer.bytes(), pattern(22));
    assert_eq!(transfer.into_buffer().len(), 256);
}

fn f165_any_size(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    for size in [1, 2, 1000, 4095, 4096, 4097, 65_536, 1 << 20] {
        let sent = pattern(size);
        let received = std::thread::scope(|scope| {
            scope.spawn(|| peer.send(&sent));
            let mut all = Vec::new();
            while all.len() < size {
                let piece = socket.receive(vec![0; size]).ok();
                assert!(!piece.is_empty());
                all.extend_from_slice(piece.bytes());
            }
            all
        });
        assert!(received == sent, "{size} bytes differ");
    }
}

fn f166_waitall_fills_the_buffer(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let receive = socket.receive_with(vec![0; 300_000], ReceiveFlags::WAITALL);
    let sent = pattern(300_001);
    peer.send(&sent[..1]);
    world.settle();
    assert!(!receive.is_finished());
    peer.send(&sent[1..]);
    assert!(receive.ok().bytes() == &sent[..300_000]);
    assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), &sent[300_000..]);
}

fn f166_waitall_is_cut_by_fin(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let (first, second) = (socket.receive_with(vec![0; 100], ReceiveFlags::WAITALL), socket.receive(vec![0; 100]));
    peer.send(b"so far");
    peer.end();
    assert_eq!(first.ok().bytes(), b"so far");
    assert_eq!(second.ok().len(), 0);
}

fn f62_a_cancelled_waitall_counts_what_it_stored(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    peer.send(b"12345");
    let probe = socket.receive(vec![0; 1]).ok(); // the data is here
    assert_eq!(probe.bytes(), b"1");
    let receive = socket.receive_with(vec![0; 100], ReceiveFlags::WAITALL);
    world.settle();
    receive.cancel();
    let error = receive.finish().unwrap_err();
    assert_eq!((error.status(), error.information()), (NtStatus::CANCELLED, 4));
    assert_eq!(&error.into_buffer().unwrap()[..4], b"2345");
    peer.send(b"6");
    assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), b"6");
}

fn f166_drain_discards_up_to_fin(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let drain = socket.receive_with(Memory::None, ReceiveFlags::DRAIN);
    let behind = socket.receive(vec![0; 8]);
    peer.send(&pattern(1 << 20)); // more than any window
    peer.send(b"tail");
    peer.end();
    assert_eq!(drain.ok().len(), 0);
    assert_eq!(behind.ok().len(), 0);
}

fn f166_drain_ends_with_a_reset(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let drain = socket.receive_with(Memory::None, ReceiveFlags::DRAIN);
    peer.send(&pattern(1000));
    peer.reset();
    assert_eq!(drain.status(), NtStatus::CONNECTION_RESET);
}

fn f166_a_cancelled_drain_leaves_the_rest(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let drain = socket.receive_with(Memory::None, ReceiveFlags::DRAIN);
    peer.send(b"gone");
    world.settle();
    drain.cancel();
    assert_eq!(drain.status(), NtStatus::CANCELLED);
    peer.send(b"kept");
    assert_eq!(socket.receive_with(vec![0; 4], ReceiveFlags::WAITALL).ok().bytes(), b"kept");
}

fn f166_bad_flags(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let both = ReceiveFlags::WAITALL | ReceiveFlags::DRAIN;
    assert_eq!(socket.receive_with(Memory::None, both).status(), NtStatus::INVALID_PARAMETER);
    assert_eq!(socket.receive_with(vec![0; 4], ReceiveFlags::DRAIN).status(), NtStatus::INVALID_PARAMETER);
    let unknown = ReceiveFlags::from_bits_retain(0x100);
    assert_eq!(socket.receive_with(vec![0; 4], unknown).status(), NtStatus::NOT_SUPPORTED);
    assert_eq!(socket.receive(&b"read only"[..]).status(), NtStatus::INVALID_PARAMETER);
    peer.send(b"unharmed");
    assert_eq!(socket.receive(vec![0; 16]).ok().bytes(), b"unharmed");
}

// E-76
fn f170_zero_length_completes_at_once(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let waiting = socket.receive(vec![0; 8]);
    let zero = socket.receive(Vec::new()); // ahead of the queued one
    assert!(zero.is_finished());
    assert_eq!(zero.ok().len(), 0);
    assert!(!waiting.is_finished());
    peer.send(b"data");
    assert_eq!(waiting.ok().bytes(), b"data");
    peer.send(b"x");
    peer.end();
    assert_eq!(socket.receive(Memory::None).ok().len(), 0);
    assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), b"x"); // nothing was consumed
}

fn m2_queued_receives_are_fifo(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let (done, order) = mpsc::channel();
    for i in 0..256 {
        let done = done.clone();
        let receive = socket.receive_with(vec![0; 64], ReceiveFlags::WAITALL);
        receive.on_complete(move |result| tell(&done, (i, result.map(|t| t.into_buffer()))));
    }
    assert_eq!(socket.requests_queued(), 256);
    let sent = pattern(256 * 64);
    peer.send(&sent);
    for i in 0..256 {
        let (which, bytes) = order.recv_timeout(PATIENCE).unwrap();
        assert_eq!(which, i);
        assert_eq!(bytes.unwrap(), sent[i * 64..(i + 1) * 64]);
    }
}

fn f168_after_fin_every_receive_gets_zero(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let queued: Vec<_> = (0..5).map(|_| socket.receive(vec![0; 8])).collect();
    peer.send(b"last");
    peer.end();
    let mut results = queued.into_iter().map(|receive| receive.ok());
    assert_eq!(results.next().unwrap().bytes(), b"last");
    assert!(results.all(|transfer| transfer.is_empty()));
    for _ in 0..3 {
        assert_eq!(socket.receive(vec![0; 8]).ok().len(), 0);
        assert_eq!(socket.receive_with(vec![0; 8], ReceiveFlags::WAITALL).ok().len(), 0);
    }
    socket.send(&b"the other direction is open"[..]).ok();
    assert_eq!(peer.receive(27), b"the other direction is open");
}

fn f168_data_comes_before_the_reset(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    peer.send(b"before the reset");
    assert_eq!(socket.receive(vec![0; 1]).ok().bytes(), b"b"); // it has arrived
    peer.reset();
    world.settle();
    assert_eq!(socket.receive(vec![0; 64]).ok().bytes(), b"efore the reset");
    for _ in 0..3 {
        assert_eq!(socket.receive(vec![0; 8]).status(), NtStatus::CONNECTION_RESET); // latched, never 0
        assert_eq!(socket.send(&b"x"[..]).status(), NtStatus::CONNECTION_RESET);
    }
}

fn f168_a_reset_ends_queued_receives(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let queued: Vec<_> = (0..5).map(|_| socket.receive(vec![0; 8])).collect();
    peer.reset();
    for receive in queued {
        let error = receive.finish().unwrap_err();
        assert_eq!((error.status(), error.information()), (NtStatus::CONNECTION_RESET, 0));
    }
    assert_eq!(socket.receive(vec![0; 8]).status(), NtStatus::CONNECTION_RESET);
}

fn f62_a_reset_waitall_counts_what_it_stored(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    peer.send(b"123");
    assert_eq!(socket.receive(vec![0; 1]).ok().bytes(), b"1");
    let receive = socket.receive_with(vec![0; 100], ReceiveFlags::WAITALL);
    world.settle();
    peer.reset();
    let error = receive.finish().unwrap_err();
    assert_eq!((error.status(), error.information()), (NtStatus::CONNECTION_RESET, 2));
}

fn f169_receiving_goes_on_after_own_disconnect(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    socket.disconnect().ok();
    peer.expect_fin();
    assert_eq!(socket.send(&b"x"[..]).status(), NtStatus::INVALID_DEVICE_STATE);
    peer.send(b"half closed");
    assert_eq!(socket.receive(vec![0; 32]).ok().bytes(), b"half closed");
    peer.end();
    assert_eq!(socket.receive(vec![0; 32]).ok().len(), 0);
    assert_eq!(socket.receive(vec![0; 32]).ok().len(), 0);
}

fn f64_a_cancelled_receive_loses_no_data(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    for round in 0..50u8 {
        let (first, second) = (socket.receive(vec![0; 8]), socket.receive(vec![0; 8]));
        first.cancel();
        first.cancel();
        let error = first.finish().unwrap_err();
        assert_eq!((error.status(), error.information()), (NtStatus::CANCELLED, 0));
        assert_eq!(error.into_buffer().unwrap().len(), 8);
        peer.send(&[round]);
        assert_eq!(second.ok().bytes(), [round]);
    }
    let (head, tail) = (socket.receive(vec![0; 8]), socket.receive(vec![0; 8]));
    tail.cancel(); // not at the head
    assert_eq!(tail.status(), NtStatus::CANCELLED);
    peer.send(b"head");
    assert_eq!(head.ok().bytes(), b"head");
}

fn f71_memory_comes_back(arm: Arm) {
    let world = arm.world();
    let (socket, _peer) = world.accepted(None);
    let buffer = vec![7; 4096];
    let address = buffer.as_ptr().addr();
    let receive = socket.receive(buffer);
    socket.disconnect_with(Memory::None, DisconnectFlags::ABORTIVE).ok();
    let error = receive.finish().unwrap_err();
    assert_eq!(error.status(), NtStatus::CONNECTION_ABORTED);
    let buffer = error.into_buffer().unwrap();
    assert_eq!((buffer.as_ptr().addr(), buffer.len()), (address, 4096));
}

fn the_receive_backlog_counts_unread_bytes(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    peer.send(&pattern(1000));
    assert_eq!(socket.receive_with(vec![0; 100], ReceiveFlags::WAITALL).ok().len(), 100);
    assert_eq!(socket.receive_backlog(), 900);
}
