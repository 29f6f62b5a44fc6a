//! Promise 1 under fire: cancel, complete, close and drop from two threads. Bounded numbers of rounds; nothing sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Arm, Conn, Finish, PATIENCE, arms, pattern, tell, v4};
use wsk::{EventMask, Family, NtStatus, Receive};

arms! {
    all: a_receive_against_the_return_of_a_refusing_callback, f64_cancel_against_a_completing_receive, cancel_against_a_completing_receive_from,
        cancel_against_a_completing_accept, cancel_against_a_completing_connect, close_against_everything,
        drop_against_completion, disable_against_indications, release_against_close, cancel_against_a_completing_send;
}

const ROUNDS: usize = 500;

/// No byte is lost or doubled, whoever wins.
fn f64_cancel_against_a_completing_receive(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let mut received = Vec::new();
    let sent = pattern(ROUNDS);
    std::thread::scope(|scope| {
        for byte in &sent {
            let receives = [socket.receive(vec![0; 1]), socket.receive(vec![0; 1])];
            let sender = scope.spawn(|| peer.send(std::slice::from_ref(byte)));
            receives[0].cancel();
            sender.join().unwrap();
            let [first, second] = receives;
            match first.finish() {
                Ok(transfer) => {
                    received.extend_from_slice(transfer.bytes());
                    second.cancel();
                    assert_eq!(second.status(), NtStatus::CANCELLED);
                }
                Err(error) => {
                    assert_eq!((error.status(), error.information()), (NtStatus::CANCELLED, 0));
                    received.extend_from_slice(second.ok().bytes());
                }
            }
        }
    });
    assert!(received == sent);
}

fn cancel_against_a_completing_receive_from(arm: Arm) {
    let world = arm.world();
    let socket = world.client.datagram_socket(Family::V4, None).unwrap();
    socket.bind(v4()).ok();
    let address = socket.local_address().unwrap();
    let peer = world.peer_udp(v4());
    for i in 0..ROUNDS {
        let bytes = i.to_le_bytes();
        let first = socket.receive_from(vec![0; 8]);
        std::thread::scope(|scope| {
            scope.spawn(|| peer.send(&bytes, address));
            first.cancel();
        });
        match first.finish() {
            Ok(received) => assert_eq!(received.bytes(), bytes),
            Err(error) => {
                assert_eq!(error.status(), NtStatus::CANCELLED);
                assert_eq!(socket.receive_from(vec![0; 8]).ok().bytes(), bytes, "it was not lost");
            }
        }
    }
}

fn cancel_against_a_completing_accept(arm: Arm) {
    let world = arm.world();
    let (listener, address) = world.listener(None);
    std::thread::scope(|scope| {
        for _ in 0..ROUNDS / 5 {
            let accept = listener.accept();
            let connect = scope.spawn(|| world.peer_connect(address));
            accept.cancel();
            let peer = connect.join().unwrap();
            let socket = match accept.finish() {
                Ok(socket) => socket,
                Err(error) => {
                    assert_eq!(error.status(), NtStatus::CANCELLED);
                    listener.accept().ok() // F-65
                }
            };
            assert_eq!(socket.remote_address().unwrap(), peer.address());
        }
    });
}

fn cancel_against_a_completing_connect(arm: Arm) {
    let world = arm.world();
    let listener = world.peer_listener();
    for _ in 0..ROUNDS / 5 {
        let socket = world.client.connection_socket(Family::V4, None).unwrap();
        socket.bind(v4()).ok();
        let connect = socket.connect(listener.address());
        connect.cancel();
        match connect.finish() {
            Ok(()) => assert_eq!(socket.remote_address().unwrap(), listener.address()),
            Err(error) => {
                assert_eq!(error.status(), NtStatus::CANCELLED);
                assert!(socket.remote_address().is_err(), "back in Bound");
            }
        }
        socket.close().ok();
    }
}

fn cancel_against_a_completing_send(arm: Arm) {
    let world = arm.world();
    for round in 0..ROUNDS / 10 {
        let (socket, peer) = world.accepted(None);
        let sends: Vec<_> = (0..4u8).map(|i| socket.send(vec![i; 400_000])).collect();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| peer.receive_to_end());
            sends[round % 4].cancel();
            let statuses: Vec<_> = sends.into_iter().map(Finish::status).collect();
            for status in &statuses {
                let expected = [NtStatus::SUCCESS, NtStatus::CANCELLED, NtStatus::CONNECTION_ABORTED];
                assert!(expected.contains(status), "{statuses:?}");
            }
            let _ = socket.disconnect().finish();
            let (bytes, fin) = reader.join().unwrap();
            let whole = statuses.iter().filter(|status| **status == NtStatus::SUCCESS).count();
            assert!(bytes.len() >= whole * 400_000, "completed sends arrive");
            assert_eq!(fin, !statuses.contains(&NtStatus::CONNECTION_ABORTED) && bytes.len() == whole * 400_000);
        });
    }
}

/// Requests of all kinds, a close in the middle: each completes once, the close last.
fn close_against_everything(arm: Arm) {
    let world = arm.world();
    for _ in 0..ROUNDS / 10 {
        let completions = Arc::new(AtomicUsize::new(0));
        let (conn, _seen) = Conn::answering(|socket, data| {
            socket.send(data).detach();
            Receive::Accepted
        });
        let (socket, peer) = world.accepted(Some(conn));
        socket.enable(EventMask::RECEIVE | EventMask::DISCONNECT).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..20 {
                    let count = completions.clone();
                    socket.receive(vec![0; 16]).on_complete(move |_| {
                        count.fetch_add(1, Ordering::SeqCst);
                    });
                    let count = completions.clone();
                    socket.send(pattern(10_000)).on_complete(move |_| {
                        count.fetch_add(1, Ordering::SeqCst);
                    });
                }
            });
            scope.spawn(|| {
                peer.try_send(&pattern(50_000));
            });
            socket.close().ok();
        });
        world.settle(); // what was refused after the close completed inline
        assert_eq!(completions.load(Ordering::SeqCst), 40);
    }
}

fn drop_against_completion(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let sent = pattern(ROUNDS);
    std::thread::scope(|scope| {
        for byte in &sent {
            let receive = socket.receive(vec![0; 1]);
            let sender = scope.spawn(|| peer.send(std::slice::from_ref(byte)));
            drop(receive);
            sender.join().unwrap();
        }
    });
    peer.end();
    // Whatever the dropped receives did not take is there in order; then comes the end.
    let mut rest = Vec::new();
    loop {
        let transfer = socket.receive(vec![0; 64]).ok();
        if transfer.is_empty() {
            break;
        }
        rest.extend_from_slice(transfer.bytes());
    }
    let mut at = sent.iter();
    assert!(rest.iter().all(|byte| at.any(|other| other == byte)), "out of order");
    assert_eq!(socket.requests_queued(), 0);
}

fn disable_against_indications(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (socket, peer) = world.accepted(Some(recorder));
    let sent = pattern(2 << 20);
    let mut taken = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| peer.send(&sent));
        for _ in 0..ROUNDS {
            socket.enable(EventMask::RECEIVE).unwrap();
            socket.disable(EventMask::RECEIVE).ok();
            while let Ok(crate::support::Seen::Data(bytes)) = seen.0.try_recv() {
                assert!(bytes == sent[taken..taken + bytes.len()]);
                taken += bytes.len();
            }
        }
        socket.enable(EventMask::RECEIVE).unwrap();
        assert!(seen.data(sent.len() - taken) == sent[taken..]);
    });
}

fn release_against_close(arm: Arm) {
    let world = arm.world();
    for _ in 0..ROUNDS / 10 {
        let (kept, retained) = std::sync::mpsc::channel();
        let (conn, _seen) = Conn::answering(move |_, data| {
            let _ = kept.send(data);
            Receive::Accepted
        });
        let (socket, peer) = world.accepted(Some(conn));
        socket.enable(EventMask::RECEIVE).unwrap();
        peer.send(&pattern(40_000));
        let first = retained.recv_timeout(crate::support::PATIENCE).unwrap();
        let retained = std::sync::Mutex::new(retained);
        std::thread::scope(|scope| {
            scope.spawn(|| drop(first));
            let rest = &retained;
            scope.spawn(move || rest.lock().unwrap().try_iter().for_each(drop));
            socket.close().ok();
        });
        drop(retained);
    }
    assert_eq!(world.provider.counters().buffers_lent, 0);
}

/// E-75, E-115: a receive that another thread starts while the callback that refused is returning takes what was refused.
fn a_receive_against_the_return_of_a_refusing_callback(arm: Arm) {
    let world = arm.world();
    let (called, calls) = std::sync::mpsc::channel();
    let (conn, _seen) = Conn::answering(move |_, data| {
        tell(&called, data.len());
        Receive::Refused(data)
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    for round in 0..500 {
        peer.send(&[round as u8; 30]);
        let mut missing = 30;
        while missing > 0 {
            calls.recv_timeout(PATIENCE).unwrap();
            let mut request = socket.receive(vec![0; 25]);
            missing -= request.wait_timeout(PATIENCE).expect("the receive completes").unwrap().len();
        }
    }
}
