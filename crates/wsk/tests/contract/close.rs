//! WskCloseSocket: functions.md 3.4, events.md 12.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::support::{Arm, Conn, Finish, PATIENCE, arms, pattern, status_of, tell, v4};
use wsk::{EventMask, Family, Memory, NtStatus, Receive, ReceiveFlags};

arms! {
    all: f113_close_without_disconnect_resets, f178_close_after_both_fins_is_quiet, f111_close_cancels_everything,
        f162_close_loses_no_completed_send, f112_close_from_the_sockets_own_callback, f110_calls_after_close,
        f115_close_completes_last, e123_after_close_no_callback_starts, f113_dropping_the_handle_closes,
        leave_open_and_close_all, f111_close_ends_a_hanging_disconnect, f162_abort_loses_no_completed_send,
        a_basic_socket_opens_and_closes, f110_listen_after_close_is_refused;
}

fn f113_close_without_disconnect_resets(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    socket.close().ok();
    peer.expect_reset();
    // Half closed is not enough.
    let (socket, peer) = world.accepted(None);
    socket.disconnect().ok();
    peer.expect_fin();
    socket.close().ok();
    // After a FIN the peer learns of the reset by sending.
    assert!((0..1_000_000).any(|_| !peer.try_send(b"x")), "nobody is there any more");
}

fn f178_close_after_both_fins_is_quiet(arm: Arm) {
    let world = arm.world();
    for own_first in [true, false] {
        let (socket, peer) = world.accepted(None);
        if own_first {
            socket.disconnect().ok();
            peer.end();
        } else {
            peer.end();
            assert_eq!(socket.receive(vec![0; 8]).ok().len(), 0);
            socket.disconnect().ok();
        }
        assert_eq!(socket.receive(vec![0; 8]).ok().len(), 0);
        socket.close().ok();
        peer.expect_fin();
    }
}

fn f111_close_cancels_everything(arm: Arm) {
    let world = arm.world();
    let (socket, _peer) = world.accepted(None);
    let receives: Vec<_> = (0..10).map(|_| socket.receive(vec![0; 8])).collect();
    let sends: Vec<_> = (0..3).map(|_| socket.send(pattern(16 << 20))).collect();
    let close = socket.close();
    for receive in receives {
        assert_eq!(receive.status(), NtStatus::CANCELLED);
    }
    for send in sends {
        let error = send.finish().unwrap_err();
        assert_eq!((error.status(), error.information()), (NtStatus::CANCELLED, 0));
    }
    close.ok();
    let dgram = world.client.datagram_socket(Family::V4, None).unwrap();
    dgram.bind(v4()).ok();
    let receives: Vec<_> = (0..10).map(|_| dgram.receive_from(vec![0; 8])).collect();
    let close = dgram.close();
    for receive in receives {
        assert_eq!(receive.status(), NtStatus::CANCELLED);
    }
    close.ok();
}

fn f111_close_ends_a_hanging_disconnect(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let send = socket.send(pattern(32 << 20));
    let disconnect = socket.disconnect();
    world.settle();
    let close = socket.close();
    assert_eq!(disconnect.status(), NtStatus::CANCELLED);
    assert_eq!(send.status(), NtStatus::CANCELLED);
    close.ok();
    assert!(!peer.receive_to_end().1);
}

/// What the client was told is sent arrives, though the reader starts only when the socket is closed.
fn completed_sends_arrive(arm: Arm, end: fn(&wsk::ConnectionSocket)) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let (mut sent, mut pending) = (Vec::new(), None);
    while pending.is_none() {
        let bytes = vec![sent.len() as u8 ^ (sent.len() >> 8) as u8; 10_000];
        let mut send = socket.send(bytes.clone());
        match send.wait_timeout(std::time::Duration::ZERO) {
            Some(result) => {
                assert_eq!(result.unwrap().len(), bytes.len());
                sent.extend(bytes);
            }
            None => pending = Some(send), // the window is full
        }
    }
    end(&socket);
    let pending = pending.unwrap().finish();
    let (received, fin) = peer.receive_to_end();
    assert!(!fin && received.len() >= sent.len(), "{} of {}", received.len(), sent.len());
    assert!(received[..sent.len()] == sent);
    assert!(pending.is_err() || received.len() == sent.len() + 10_000);
}

fn f162_close_loses_no_completed_send(arm: Arm) {
    completed_sends_arrive(arm, |socket| socket.close().ok());
}

fn f162_abort_loses_no_completed_send(arm: Arm) {
    completed_sends_arrive(arm, |socket| {
        socket.disconnect_with(Memory::None, wsk::DisconnectFlags::ABORTIVE).ok();
    });
}

// E-122
fn f112_close_from_the_sockets_own_callback(arm: Arm) {
    let world = arm.world();
    let (closed, end) = mpsc::channel();
    let (conn, seen) = Conn::answering(move |socket, _| {
        let closed = closed.clone();
        let close = socket.close();
        assert!(!close.is_finished(), "the callback has not returned");
        close.on_complete(move |result| tell(&closed, status_of(result)));
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    let receive = {
        socket.enable(EventMask::RECEIVE).unwrap();
        peer.send(b"x");
        seen.next()
    };
    assert_eq!(receive, crate::support::Seen::Data(b"x".to_vec()));
    assert_eq!(end.recv_timeout(PATIENCE), Ok(NtStatus::SUCCESS));
    peer.expect_reset();
}

fn f110_calls_after_close(arm: Arm) {
    let world = arm.world();
    let (socket, _peer) = world.accepted(None);
    socket.close().ok();
    let invalid = NtStatus::INVALID_HANDLE;
    assert_eq!(socket.close().status(), invalid);
    assert_eq!(socket.receive(vec![0; 8]).status(), invalid);
    assert_eq!(socket.send(&b"x"[..]).status(), invalid);
    assert_eq!(socket.disconnect().status(), invalid);
    assert_eq!(socket.bind(v4()).status(), invalid);
    assert_eq!(socket.connect(v4()).status(), invalid);
    assert_eq!(status_of(socket.local_address()), invalid);
    assert_eq!(status_of(socket.enable(EventMask::RECEIVE)), invalid);
    let dgram = world.client.datagram_socket(Family::V4, None).unwrap();
    dgram.close().ok();
    assert_eq!(dgram.close().status(), invalid);
    assert_eq!(dgram.bind(v4()).status(), invalid);
    assert_eq!(dgram.receive_from(vec![0; 8]).status(), invalid);
    assert_eq!(dgram.send_to(&b"x"[..], v4()).status(), invalid);
    let (listener, _) = world.listener(None);
    listener.close().ok();
    assert_eq!(listener.accept().status(), invalid);
    assert_eq!(listener.bind(v4()).status(), invalid);
    let basic = world.client.basic_socket(Family::V4, wsk::Protocol::Tcp).unwrap();
    basic.close().ok();
    assert_eq!(basic.close().status(), invalid);
}

/// A listen after the close began must not make the socket forget that it is closing.
fn f110_listen_after_close_is_refused(arm: Arm) {
    let world = arm.world();
    let stream = Arc::new(world.client.stream_socket(Family::V4, None, None).unwrap());
    stream.bind(v4()).ok();
    let (told, outcome) = mpsc::channel();
    let (conn, _seen) = Conn::answering({
        let stream = stream.clone();
        move |_, _| {
            // The pump is here, so the close cannot get on meanwhile.
            let close = stream.close();
            let listen = stream.listen();
            assert!(listen.is_finished());
            let told = told.clone();
            let late = told.clone();
            listen.on_complete(move |result| tell(&told, ("listen", status_of(result))));
            close.on_complete(move |result| tell(&late, ("close", status_of(result))));
            Receive::Accepted
        }
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    peer.send(b"x");
    assert_eq!(outcome.recv_timeout(PATIENCE), Ok(("listen", NtStatus::INVALID_HANDLE)));
    assert_eq!(outcome.recv_timeout(PATIENCE), Ok(("close", NtStatus::SUCCESS)));
}

fn f115_close_completes_last(arm: Arm) {
    let world = arm.world();
    let (socket, _peer) = world.accepted(None);
    let order = Arc::new(Mutex::new(Vec::new()));
    let (done, end) = mpsc::channel();
    for i in 0..5 {
        let note = order.clone();
        socket.receive(vec![0; 8]).on_complete(move |_| note.lock().unwrap().push(format!("receive {i}")));
    }
    let note = order.clone();
    socket.send(pattern(16 << 20)).on_complete(move |_| note.lock().unwrap().push("send".into()));
    let note = order.clone();
    socket.disconnect().on_complete(move |_| note.lock().unwrap().push("disconnect".into()));
    let note = order.clone();
    socket.close().on_complete(move |result| {
        note.lock().unwrap().push("close".into());
        done.send(status_of(result)).unwrap();
    });
    assert_eq!(end.recv_timeout(PATIENCE), Ok(NtStatus::SUCCESS));
    let order = order.lock().unwrap();
    assert_eq!((order.len(), order.last().map(String::as_str)), (8, Some("close")));
}

fn e123_after_close_no_callback_starts(arm: Arm) {
    let world = arm.world();
    let closed = Arc::new(AtomicUsize::new(0));
    let late = Arc::new(AtomicUsize::new(0));
    for _ in 0..50 {
        closed.store(0, Ordering::SeqCst);
        let (flag, count) = (closed.clone(), late.clone());
        let (conn, _seen) = Conn::answering(move |_, _| {
            count.fetch_add(flag.load(Ordering::SeqCst), Ordering::SeqCst);
            Receive::Accepted
        });
        let (socket, peer) = world.accepted(Some(conn));
        socket.enable(EventMask::RECEIVE | EventMask::DISCONNECT).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| while peer.try_send(&[0; 1000]) {});
            socket.close().ok();
            closed.store(1, Ordering::SeqCst);
        });
    }
    assert_eq!(late.load(Ordering::SeqCst), 0);
}

fn f113_dropping_the_handle_closes(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let reference = socket.reference();
    drop(socket);
    peer.expect_reset();
    assert_eq!(reference.receive(vec![0; 8]).status(), NtStatus::INVALID_HANDLE);
}

fn leave_open_and_close_all(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let reference = socket.reference();
    socket.leave_open();
    peer.send(b"open");
    assert_eq!(reference.receive(vec![0; 8]).ok().bytes(), b"open");
    let receive = reference.receive_with(vec![0; 8], ReceiveFlags::WAITALL);
    world.client.close_all();
    assert_eq!(receive.status(), NtStatus::CANCELLED);
    peer.expect_reset();
}

fn a_basic_socket_opens_and_closes(arm: Arm) {
    let world = arm.world();
    for protocol in [wsk::Protocol::Tcp, wsk::Protocol::Udp] {
        let basic = world.client.basic_socket(Family::V6, protocol).unwrap();
        basic.close().ok();
        drop(basic);
    }
}
