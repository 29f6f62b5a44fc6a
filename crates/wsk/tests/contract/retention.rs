//! Promise 6, E-120, M-10: a client that retains everything is held to its cap, and alone suffers from it.

use std::sync::{Arc, Mutex, mpsc};

use crate::support::{Arm, Conn, Dgram, Finish, arms, pattern, v4};
use wsk::{EventFlags, EventMask, Family, Receive, ReceiveFrom};

arms!(all: m10_a_stream_client_that_retains_everything, m10_a_datagram_client_that_retains_everything,
      m11_nothing_is_left_lent, c18_an_accepted_socket_retains_as_its_listener_says);

/// The cap, and what a driver may have handed over before it heard of it.
const BOUND: u64 = 8 << 20;
/// The same in datagrams of a page or less, in buffers: the cap and one burst.
const MOST_DATAGRAMS: u64 = 1024;

fn m10_a_stream_client_that_retains_everything(arm: Arm) {
    let world = arm.world();
    let kept = Arc::new(Mutex::new(Some(Vec::new())));
    let (asap, hurried) = mpsc::channel();
    let keep = kept.clone();
    let (conn, seen) = Conn::answering(move |_, data| {
        if data.flags().contains(EventFlags::RELEASE_ASAP) {
            let _ = asap.send(());
        }
        if let Some(kept) = &mut *keep.lock().unwrap() {
            kept.push(data);
        }
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    let before = world.provider.counters().buffer_memory;
    let sent = pattern(32 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| peer.send(&sent)); // TCP holds it back
        hurried.recv_timeout(crate::support::PATIENCE).unwrap(); // RELEASE_ASAP from half the cap on
        // Another socket of the same processor is unaffected, for as long as it takes the first to reach its cap.
        let (other, friend) = world.accepted(None);
        for round in 0..2000u32 {
            friend.send(&round.to_le_bytes());
            let receive = other.receive_with(vec![0; 4], wsk::ReceiveFlags::WAITALL);
            assert_eq!(receive.ok().bytes(), round.to_le_bytes());
        }
        let memory = world.provider.counters().buffer_memory;
        assert!(memory <= before + BOUND, "{before} -> {memory}");
        let mut got = Vec::new();
        while let Ok(crate::support::Seen::Data(bytes)) = seen.0.try_recv() {
            got.extend(bytes);
        }
        assert!(got.len() < sent.len(), "indications stopped");
        // Promise 2, and then everything goes on by itself.
        let retained = kept.lock().unwrap().take().unwrap();
        let bytes: Vec<u8> = retained.iter().flat_map(wsk::Indication::to_vec).collect();
        assert!(sent.starts_with(&bytes));
        drop(retained);
        got.extend(seen.data(sent.len() - got.len()));
        assert!(got == sent);
    });
}

fn m10_a_datagram_client_that_retains_everything(arm: Arm) {
    let world = arm.world();
    let kept = Arc::new(Mutex::new(Some(Vec::new())));
    let keep = kept.clone();
    let (dgram, seen) = Dgram::answering(move |_, datagrams| {
        if let Some(kept) = &mut *keep.lock().unwrap() {
            kept.push(datagrams);
        }
        ReceiveFrom::Accepted
    });
    let socket = world.client.datagram_socket(Family::V4, Some(dgram)).unwrap();
    socket.bind(v4()).ok();
    socket.enable(EventMask::RECEIVE_FROM).unwrap();
    let address = socket.local_address().unwrap();
    let peer = world.peer_udp(v4());
    let flood = |rounds| {
        for _ in 0..rounds {
            (0..50).for_each(|_| peer.send(&[7; 1400], address)); // beyond the cap they are dropped
            world.settle();
        }
        world.provider.counters()
    };
    let first = flood(30);
    assert!(first.buffers_lent <= MOST_DATAGRAMS, "{first:?}");
    // The bound does not move, however much is sent.
    let second = flood(60);
    assert_eq!((second.buffers_lent, second.buffer_memory), (first.buffers_lent, first.buffer_memory));
    drop(kept.lock().unwrap().take());
    // Traffic goes on: one that was sent afterwards arrives behind what was queued.
    peer.send(b"after", address);
    world.settle();
    loop {
        if let crate::support::Seen::Datagrams(list) = seen.next()
            && list.iter().any(|(bytes, _)| bytes == b"after")
        {
            break;
        }
    }
    socket.close().ok();
}

fn m11_nothing_is_left_lent(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Conn::recorder();
    let (socket, peer) = world.accepted(Some(recorder));
    socket.enable(EventMask::RECEIVE).unwrap();
    for _ in 0..100 {
        peer.send(&[1; 1000]);
        seen.data(1000);
    }
    world.settle();
    assert_eq!(world.provider.counters().buffers_lent, 0);
    socket.disable(EventMask::RECEIVE).ok();
}

/// C-18, E-120: the cap comes with SO_RCVBUF, which an accepted socket has of its listener.
fn c18_an_accepted_socket_retains_as_its_listener_says(arm: Arm) {
    let world = arm.world();
    let (conn, seen) = Conn::answering({
        let kept = Mutex::new(Vec::new());
        move |_, data| {
            kept.lock().unwrap().push(data);
            Receive::Accepted
        }
    });
    let listener = world.client.listen_socket(Family::V4, None).unwrap();
    listener.set(wsk::option::ReceiveBuffer(8 << 20)).unwrap();
    listener.bind(v4()).ok();
    let accept = listener.accept_with(conn);
    let peer = world.peer_connect(listener.local_address().unwrap());
    let socket = accept.ok();
    socket.enable(EventMask::RECEIVE).unwrap();
    let sent = pattern(3 << 20); // of which the cap that sockets have by themselves would hold back two thirds
    std::thread::scope(|scope| {
        scope.spawn(|| peer.send(&sent));
        assert!(seen.data(sent.len()) == sent);
    });
}
