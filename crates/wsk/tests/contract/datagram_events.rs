//! WskReceiveFromEvent: events.md 8.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::support::{Arm, Dgram, Finish, Inbox, World, arms, status_of, tell, v4};
use wsk::{DatagramSocket, EventMask, Family, NtStatus, ReceiveFrom, ReceivedDatagram};

arms! {
    all: e80_datagrams_arrive_in_order, e81_empty_and_big_datagrams, e90_a_dynamic_refusal_switches_off,
        e90_receive_from_takes_what_was_refused, e92_receive_from_does_not_switch_on_again,
        e91_a_static_refusal_drops, e112_queued_requests_go_first, e116_retained_one_by_one_in_any_order,
        c30_the_filter_holds_for_events_too, e14_enabling_late_loses_nothing, e10_wrong_masks,
        datagrams_are_sent_on_as_they_are, e90_order_is_kept_over_a_refusal;
}

fn bound(world: &World, events: Arc<Dgram>) -> (DatagramSocket, std::net::SocketAddr) {
    let socket = world.client.datagram_socket(Family::V4, Some(events)).unwrap();
    socket.bind(v4()).ok();
    let address = socket.local_address().unwrap();
    (socket, address)
}

fn enabled(world: &World) -> (DatagramSocket, std::net::SocketAddr, Inbox) {
    let (recorder, seen) = Dgram::recorder();
    let (socket, address) = bound(world, recorder);
    socket.enable(EventMask::RECEIVE_FROM).unwrap();
    (socket, address, seen)
}

/// A socket whose callback refuses while the flag is up.
fn refusing(world: &World) -> (DatagramSocket, std::net::SocketAddr, Inbox, Arc<AtomicBool>) {
    let refuse = Arc::new(AtomicBool::new(true));
    let flag = refuse.clone();
    let (dgram, seen) = Dgram::answering(move |_, datagrams| match flag.load(Ordering::SeqCst) {
        true => ReceiveFrom::Refused(datagrams),
        false => ReceiveFrom::Accepted,
    });
    let (socket, address) = bound(world, dgram);
    (socket, address, seen, refuse)
}

fn e80_datagrams_arrive_in_order(arm: Arm) {
    let world = arm.world();
    let (_socket, address, seen) = enabled(&world);
    let peer = world.peer_udp(v4());
    for round in 0..20u32 {
        (0..50u32).for_each(|i| peer.send(&(round * 50 + i).to_le_bytes(), address));
        let expected: Vec<_> = (0..50u32).map(|i| ((round * 50 + i).to_le_bytes().to_vec(), peer.address())).collect();
        assert_eq!(seen.datagrams(50), expected);
    }
}

fn e81_empty_and_big_datagrams(arm: Arm) {
    let world = arm.world();
    let (_socket, address, seen) = enabled(&world);
    let peer = world.peer_udp(v4());
    for size in [0, 1, 1500, 9000, 60_000, 65_507] {
        peer.send(&vec![7; size], address);
        assert_eq!(seen.datagrams(1), [(vec![7; size], peer.address())]); // whole, never truncated
    }
}

fn e90_a_dynamic_refusal_switches_off(arm: Arm) {
    let world = arm.world();
    let (socket, address, seen, refuse) = refusing(&world);
    socket.enable(EventMask::RECEIVE_FROM).unwrap();
    let peer = world.peer_udp(v4());
    peer.send(b"refused", address);
    assert_eq!(seen.datagrams(1)[0].0, b"refused");
    peer.send(b"later", address);
    world.settle();
    seen.nothing();
    refuse.store(false, Ordering::SeqCst);
    socket.enable(EventMask::RECEIVE_FROM).unwrap(); // E-16
    let texts: Vec<_> = seen.datagrams(2).into_iter().map(|(bytes, _)| bytes).collect();
    assert_eq!(texts, [b"refused".to_vec(), b"later".to_vec()]); // the buffered ones first
    peer.send(b"on again", address);
    assert_eq!(seen.datagrams(1)[0].0, b"on again");
    assert_eq!(socket.dropped(), 0);
}

fn e90_order_is_kept_over_a_refusal(arm: Arm) {
    let world = arm.world();
    let (socket, address, seen, refuse) = refusing(&world);
    let peer = world.peer_udp(v4());
    (0..10u8).for_each(|i| peer.send(&[i], address));
    world.settle();
    socket.enable(EventMask::RECEIVE_FROM).unwrap();
    let crate::support::Seen::Datagrams(first) = seen.next() else { panic!("datagrams come first") };
    assert_eq!(first[0].0, [0]);
    (10..20u8).for_each(|i| peer.send(&[i], address));
    world.settle();
    refuse.store(false, Ordering::SeqCst);
    socket.enable(EventMask::RECEIVE_FROM).unwrap();
    let all: Vec<u8> = seen.datagrams(20).into_iter().map(|(bytes, _)| bytes[0]).collect();
    assert_eq!(all, (0..20).collect::<Vec<u8>>());
}

// F-198
fn e90_receive_from_takes_what_was_refused(arm: Arm) {
    let world = arm.world();
    let (socket, address, seen, _refuse) = refusing(&world);
    socket.enable(EventMask::RECEIVE_FROM).unwrap();
    let peer = world.peer_udp(v4());
    peer.send(b"refused", address);
    seen.datagrams(1);
    let received = socket.receive_from(vec![0; 16]).ok();
    assert_eq!((received.bytes(), received.source()), (&b"refused"[..], peer.address()));
    peer.send(b"new", address);
    assert_eq!(socket.receive_from(vec![0; 16]).ok().bytes(), b"new");
}

fn e92_receive_from_does_not_switch_on_again(arm: Arm) {
    let world = arm.world();
    let (socket, address, seen, _refuse) = refusing(&world);
    socket.enable(EventMask::RECEIVE_FROM).unwrap();
    let peer = world.peer_udp(v4());
    peer.send(b"refused", address);
    seen.datagrams(1);
    socket.receive_from(vec![0; 16]).ok();
    peer.send(b"unseen", address);
    world.settle();
    seen.nothing();
    assert_eq!(socket.receive_from(vec![0; 16]).ok().bytes(), b"unseen");
}

// E-30
fn e91_a_static_refusal_drops(arm: Arm) {
    let world = arm.world();
    world.client.set_static_event_callbacks(EventMask::RECEIVE_FROM).unwrap();
    let (socket, address, seen, refuse) = refusing(&world);
    let peer = world.peer_udp(v4());
    for i in 0..5u8 {
        peer.send(&[i], address); // the event stays on
        assert_eq!(seen.datagrams(1)[0].0, [i]);
    }
    peer.send(&[5], address);
    seen.datagrams(1);
    world.settle();
    assert_eq!(socket.dropped(), 6);
    refuse.store(false, Ordering::SeqCst);
    peer.send(b"kept", address);
    assert_eq!(seen.datagrams(1)[0].0, b"kept"); // the refused ones are not indicated again
}

// F-198
fn e112_queued_requests_go_first(arm: Arm) {
    let world = arm.world();
    let (socket, address, seen) = enabled(&world);
    let receives: Vec<_> = (0..3).map(|_| socket.receive_from(vec![0; 8])).collect();
    world.settle(); // E-113: no race wanted here
    let peer = world.peer_udp(v4());
    (0..4u8).for_each(|i| peer.send(&[i], address));
    for (i, receive) in receives.into_iter().enumerate() {
        assert_eq!(receive.ok().bytes(), [i as u8]);
    }
    assert_eq!(seen.datagrams(1)[0].0, [3]);
}

fn e116_retained_one_by_one_in_any_order(arm: Arm) {
    let world = arm.world();
    let kept = Arc::new(Mutex::new(Vec::<ReceivedDatagram>::new()));
    let (keep, count) = (kept.clone(), AtomicUsize::new(0));
    let (dgram, seen) = Dgram::answering(move |_, datagrams| {
        for datagram in datagrams {
            // Some are released inside the callback, the others kept.
            if count.fetch_add(1, Ordering::SeqCst) % 3 != 0 {
                keep.lock().unwrap().push(datagram);
            }
        }
        ReceiveFrom::Accepted
    });
    let (socket, address) = bound(&world, dgram);
    socket.enable(EventMask::RECEIVE_FROM).unwrap();
    let peer = world.peer_udp(v4());
    for i in 0..30u8 {
        peer.send(&[i; 100], address);
        seen.datagrams(1);
    }
    world.settle();
    let mut kept = std::mem::take(&mut *kept.lock().unwrap());
    let values: Vec<u8> = kept.iter().map(|datagram| datagram.bytes()[99]).collect();
    assert_eq!(values, (0..30).filter(|i| i % 3 != 0).collect::<Vec<u8>>()); // promise 2
    assert!(kept.iter().all(|datagram| datagram.source() == peer.address()));
    std::thread::spawn(move || {
        while !kept.is_empty() {
            drop(kept.swap_remove(kept.len() / 2));
        }
    })
    .join()
    .unwrap();
    socket.close().ok();
    assert_eq!(world.provider.counters().buffers_lent, 0);
}

fn c30_the_filter_holds_for_events_too(arm: Arm) {
    let world = arm.world();
    let (socket, address, seen) = enabled(&world);
    let (friend, stranger) = (world.peer_udp(v4()), world.peer_udp(v4()));
    socket.set_remote_address(Some(friend.address())).unwrap();
    stranger.send(b"unheard", address);
    friend.send(b"heard", address);
    assert_eq!(seen.datagrams(1), [(b"heard".to_vec(), friend.address())]);
}

fn e14_enabling_late_loses_nothing(arm: Arm) {
    let world = arm.world();
    let (recorder, seen) = Dgram::recorder();
    let (socket, address) = bound(&world, recorder);
    let peer = world.peer_udp(v4());
    (0..10u8).for_each(|i| peer.send(&[i], address));
    world.settle();
    seen.nothing();
    socket.enable(EventMask::RECEIVE_FROM).unwrap();
    let all: Vec<u8> = seen.datagrams(10).into_iter().map(|(bytes, _)| bytes[0]).collect();
    assert_eq!(all, (0..10).collect::<Vec<u8>>());
    socket.disable(EventMask::RECEIVE_FROM).ok();
    peer.send(b"meanwhile", address);
    world.settle();
    seen.nothing();
    socket.enable(EventMask::RECEIVE_FROM).unwrap();
    assert_eq!(seen.datagrams(1)[0].0, b"meanwhile");
}

fn e10_wrong_masks(arm: Arm) {
    let world = arm.world();
    let (socket, _, _seen) = enabled(&world);
    for mask in [EventMask::empty(), EventMask::RECEIVE, EventMask::RECEIVE_FROM | EventMask::ACCEPT] {
        assert_eq!(status_of(socket.enable(mask)), NtStatus::INVALID_PARAMETER);
        assert_eq!(socket.disable_without_request(mask), NtStatus::INVALID_PARAMETER);
    }
    let bare = world.client.datagram_socket(Family::V4, None).unwrap();
    bare.bind(v4()).ok();
    assert_eq!(status_of(bare.enable(EventMask::RECEIVE_FROM)), NtStatus::INVALID_PARAMETER); // E-4
}

fn datagrams_are_sent_on_as_they_are(arm: Arm) {
    let world = arm.world();
    let (sent, status) = mpsc::channel();
    let (dgram, _seen) = Dgram::answering(move |socket, datagrams| {
        for datagram in datagrams {
            let (source, sent) = (datagram.source(), sent.clone());
            socket.send_to(datagram, source).on_complete(move |result| tell(&sent, status_of(result)));
        }
        ReceiveFrom::Accepted
    });
    let (socket, address) = bound(&world, dgram);
    socket.enable(EventMask::RECEIVE_FROM).unwrap();
    let peer = world.peer_udp(v4());
    for i in 0..100u8 {
        peer.send(&[i; 50], address);
        assert_eq!(peer.receive(), (vec![i; 50], address));
        assert_eq!(status.recv_timeout(crate::support::PATIENCE), Ok(NtStatus::SUCCESS));
    }
    socket.close().ok();
    assert_eq!(world.provider.counters().buffers_lent, 0);
}
