//! WskSend: functions.md 3.8.

use std::sync::{Arc, mpsc};

use crate::support::{Arm, Conn, Finish, PATIENCE, arms, pattern, tell};
use wsk::{EventMask, Memory, NtStatus, Receive, SendFlags};

arms! {
    all: f163_many_sends_keep_their_order, f161_a_big_send_to_a_slow_reader, f163_zero_length,
        f66_a_cancelled_send_in_the_queue, f66_a_cancelled_send_that_had_begun_breaks_the_stream, f160_flags,
        f55_information_is_the_length, f70_every_kind_of_memory, e104_send_backlog,
        indications_are_sent_on_as_they_are, f164_remote_fin_does_not_stop_sending;
}

fn f163_many_sends_keep_their_order(arm: Arm) {
    const COUNT: usize = 2000;
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let (done, order) = mpsc::channel();
    let mut expected = Vec::new();
    for i in 0..COUNT {
        let bytes = vec![i as u8; 1 + i % 3000];
        expected.extend_from_slice(&bytes);
        let done = done.clone();
        socket.send(bytes).on_complete(move |result| tell(&done, (i, result.map(|t| t.len()))));
    }
    assert!(peer.receive(expected.len()) == expected, "bytes out of order");
    // Those that finished inside the call complete before those that had to wait, each in call order.
    for i in 0..COUNT {
        let (which, len) = order.recv_timeout(PATIENCE).unwrap();
        assert_eq!((which, len.unwrap()), (i, 1 + i % 3000));
    }
}

fn f161_a_big_send_to_a_slow_reader(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let sent = pattern(16 << 20);
    let send = socket.send(sent.clone());
    world.settle();
    assert!(!send.is_finished(), "no buffering in WSK");
    let mut received = Vec::new();
    while received.len() < sent.len() {
        let n = (sent.len() - received.len()).min(100_000);
        received.extend(peer.receive(n));
    }
    assert!(received == sent);
    assert_eq!(send.ok().len(), sent.len());
}

fn f163_zero_length(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    assert_eq!(socket.send(Vec::new()).ok().len(), 0);
    let big = socket.send(pattern(16 << 20));
    let zero = socket.send(Memory::None); // keeps its turn
    assert!(!zero.is_finished());
    peer.receive(16 << 20);
    big.ok();
    assert_eq!(zero.ok().len(), 0);
}

fn f66_a_cancelled_send_in_the_queue(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let first = socket.send(vec![1; 16 << 20]);
    let second = socket.send(vec![2; 1 << 20]);
    let third = socket.send(vec![3; 1000]);
    second.cancel();
    let error = second.finish().unwrap_err();
    assert_eq!((error.status(), error.information()), (NtStatus::CANCELLED, 0));
    assert_eq!(error.into_buffer().unwrap().len(), 1 << 20);
    let bytes = peer.receive((16 << 20) + 1000);
    assert!(bytes[..16 << 20].iter().all(|byte| *byte == 1) && bytes[16 << 20..].iter().all(|byte| *byte == 3));
    first.ok();
    third.ok();
}

fn f66_a_cancelled_send_that_had_begun_breaks_the_stream(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let send = socket.send(pattern(32 << 20));
    let behind = socket.send(&b"behind"[..]);
    peer.receive(1); // it has begun
    send.cancel();
    assert_eq!(send.status(), NtStatus::CANCELLED);
    assert_eq!(behind.status(), NtStatus::CONNECTION_ABORTED);
    assert!(!peer.receive_to_end().1, "the peer sees a reset");
    assert_eq!(socket.send(&b"x"[..]).status(), NtStatus::CONNECTION_ABORTED);
}

fn f160_flags(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let send = |flags| socket.send_with(&b"x"[..], flags).status();
    assert_eq!(send(SendFlags::OOB), NtStatus::NOT_SUPPORTED);
    assert_eq!(send(SendFlags::from_bits_retain(0x80)), NtStatus::NOT_SUPPORTED);
    assert_eq!(send(SendFlags::NODELAY), NtStatus::SUCCESS);
    assert_eq!(peer.receive(1), b"x");
}

fn f55_information_is_the_length(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.connected(None);
    let transfer = socket.send(pattern(256)).ok();
    assert_eq!(transfer.len(), 256);
    assert_eq!(transfer.into_buffer(), pattern(256));
    assert_eq!(peer.receive(256), pattern(256));
}

/// A client's own memory, in pieces.
struct Pieces(Vec<Vec<u8>>);

impl wsk::ClientMemory for Pieces {
    fn len(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }
    fn segments<'a>(&'a self, out: &mut wsk_core::memory::Segments<'a>) {
        out.extend(self.0.iter().map(Vec::as_slice));
    }
    fn segments_mut<'a>(&'a mut self, out: &mut wsk_core::memory::SegmentsMut<'a>) {
        out.extend(self.0.iter_mut().map(Vec::as_mut_slice));
    }
    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send> {
        self
    }
}

fn f70_every_kind_of_memory(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let pieces = |list: &[&[u8]]| Memory::from(Box::new(Pieces(list.iter().map(|p| p.to_vec()).collect())) as Box<_>);
    let sends: Vec<Memory> = vec![
        b"vector ".to_vec().into(),
        (&b"static "[..]).into(),
        "text ".into(),
        Arc::<[u8]>::from(&b"shared "[..]).into(),
        pieces(&[b"", b"cha", b"", b"in"]),
    ];
    let requests: Vec<_> = sends.into_iter().map(|memory| socket.send(memory)).collect();
    assert_eq!(peer.receive(31), b"vector static text shared chain");
    requests.into_iter().for_each(|request| drop(request.ok()));
    // And into pieces.
    let receive = socket.receive_with(pieces(&[&[0; 3], &[], &[0; 5]]), wsk::ReceiveFlags::WAITALL);
    peer.send(b"abcdefgh");
    let Memory::Client(memory) = receive.ok().into_memory() else { panic!("the client's memory comes back") };
    let pieces = memory.into_any().downcast::<Pieces>().unwrap();
    assert_eq!(pieces.0, [b"abc".to_vec(), vec![], b"defgh".to_vec()]);
}

fn e104_send_backlog(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (socket, _peer) = world.accepted(Some(recorder));
    socket.enable(EventMask::SEND_BACKLOG).unwrap();
    let crate::support::Seen::Backlog(ideal) = seen.next() else { panic!("the backlog was expected") };
    assert!(ideal >= 64 << 10);
    assert!(socket.ideal_send_backlog() >= 64 << 10);
    socket.disable(EventMask::SEND_BACKLOG).ok();
}

/// The echo of the subsystem's own buffers: retained until the send completed, in order.
fn indications_are_sent_on_as_they_are(arm: Arm) {
    let world = arm.world();
    let (conn, _seen) = Conn::answering(|socket, data| {
        socket.send(data).detach();
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    let sent = pattern(4 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| peer.send(&sent));
        assert!(peer.receive(sent.len()) == sent);
    });
    socket.close().ok();
    world.settle();
    let lent = world.provider.counters().buffers_lent;
    assert_eq!(lent, 0, "all were released");
}

fn f164_remote_fin_does_not_stop_sending(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    peer.end();
    assert_eq!(socket.receive(vec![0; 8]).ok().len(), 0);
    let sent = pattern(1 << 20);
    let send = socket.send(sent.clone());
    assert!(peer.receive(sent.len()) == sent);
    send.ok();
    socket.disconnect().ok();
    peer.expect_fin();
}
