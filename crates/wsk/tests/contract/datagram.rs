//! Datagram functions: functions.md 3.9, control.md C-30.

use std::net::SocketAddr;
use std::sync::mpsc;

use crate::support::{Arm, Finish, PATIENCE, World, arms, pattern, status_of, tell, v4, v6};
use wsk::{ControlFlags, DatagramSocket, Family, Memory, NtStatus};

arms! {
    all: f195_one_request_takes_one_datagram, f195_requests_are_fifo, f196_truncation, f196_empty_datagrams,
        f190_a_missing_address, c30_a_fixed_remote_address, c30_a_fixed_send_to_address, c30_the_address_set_last_serves,
        f191_oversized, f193_messages, f193_an_empty_batch, f193_the_first_failure_ends_the_batch,
        f63_a_cancelled_receive_from, a_full_receive_buffer_drops, f191_broadcast_needs_the_option, f82_wrong_family,
        f55_sends_many_in_order, f197_filtered_datagrams_do_not_end_a_receive, f195_both_families;
    host: f199_port_unreachable_is_swallowed, f191_no_route;
}

fn bound(world: &World) -> (DatagramSocket, SocketAddr) {
    let socket = world.client.datagram_socket(Family::V4, None).unwrap();
    socket.bind(v4()).ok();
    let address = socket.local_address().unwrap();
    (socket, address)
}

fn f195_one_request_takes_one_datagram(arm: Arm) {
    let world = arm.world();
    let (socket, address) = bound(&world);
    let peer = world.peer_udp(v4());
    peer.send(b"waiting", address);
    let received = socket.receive_from(vec![0; 64]).ok();
    assert_eq!(
        (received.bytes(), received.source(), received.flags()),
        (&b"waiting"[..], peer.address(), ControlFlags::empty())
    );
    let receive = socket.receive_from(vec![0; 64]);
    peer.send(b"awaited", address);
    assert_eq!(receive.ok().bytes(), b"awaited");
    let transfer = socket.send_to(&b"answer"[..], peer.address()).ok();
    assert_eq!(transfer.len(), 6);
    assert_eq!(peer.receive(), (b"answer".to_vec(), address));
}

fn f195_both_families(arm: Arm) {
    let world = arm.world();
    for at in [v4(), v6()] {
        let socket = world.client.datagram_socket(Family::of(&at), None).unwrap();
        socket.bind(at).ok();
        let address = socket.local_address().unwrap();
        let peer = world.peer_udp(at);
        let receive = socket.receive_from(vec![0; 70_000]);
        peer.send(&pattern(60_000), address);
        let received = receive.ok();
        assert_eq!(received.source(), peer.address());
        assert!(received.bytes() == pattern(60_000));
    }
}

fn f195_requests_are_fifo(arm: Arm) {
    let world = arm.world();
    let (socket, address) = bound(&world);
    let (done, order) = mpsc::channel();
    for i in 0..256u32 {
        let done = done.clone();
        let receive = socket.receive_from(vec![0; 16]);
        receive.on_complete(move |result| tell(&done, (i, result.map(|r| r.bytes().to_vec()))));
    }
    assert_eq!(socket.requests_queued(), 256);
    let peer = world.peer_udp(v4());
    for i in 0..256u32 {
        peer.send(&i.to_le_bytes(), address); // M-4: as many are received as requests are queued
        let (which, bytes) = order.recv_timeout(PATIENCE).unwrap();
        assert_eq!((which, bytes.unwrap()), (i, i.to_le_bytes().to_vec()));
    }
}

fn f196_truncation(arm: Arm) {
    let world = arm.world();
    let (socket, address) = bound(&world);
    let peer = world.peer_udp(v4());
    for early in [true, false] {
        let receive = early.then(|| socket.receive_from(vec![0; 4]));
        peer.send(b"too long", address);
        peer.send(b"next", address);
        let received = receive.unwrap_or_else(|| socket.receive_from(vec![0; 4])).ok();
        assert_eq!((received.bytes(), received.len()), (&b"too "[..], 4));
        assert!(received.flags().contains(ControlFlags::TRUNC));
        let next = socket.receive_from(vec![0; 4]).ok(); // the rest was discarded
        assert_eq!((next.bytes(), next.flags()), (&b"next"[..], ControlFlags::empty()));
    }
}

fn f196_empty_datagrams(arm: Arm) {
    let world = arm.world();
    let (socket, address) = bound(&world);
    let peer = world.peer_udp(v4());
    peer.send(b"", address);
    let received = socket.receive_from(vec![0; 8]).ok();
    assert_eq!((received.len(), received.source()), (0, peer.address()));
    assert_eq!(socket.send_to(Memory::None, peer.address()).ok().len(), 0);
    assert_eq!(peer.receive().0, b"");
    peer.send(b"into nothing", address);
    let received = socket.receive_from(Vec::new()).ok(); // an empty buffer takes a datagram like any other
    assert!(received.is_empty() && received.flags().contains(ControlFlags::TRUNC));
}

fn f190_a_missing_address(arm: Arm) {
    let world = arm.world();
    let (socket, _) = bound(&world);
    assert_eq!(socket.send(&b"x"[..]).status(), NtStatus::INVALID_PARAMETER);
    assert_eq!(socket.send_messages([&b"x"[..]], None).status(), NtStatus::INVALID_PARAMETER);
    assert_eq!(socket.receive_from(&b"read only"[..]).status(), NtStatus::INVALID_PARAMETER);
}

fn c30_a_fixed_remote_address(arm: Arm) {
    let world = arm.world();
    let (socket, address) = bound(&world);
    let (friend, stranger) = (world.peer_udp(v4()), world.peer_udp(v4()));
    socket.set_remote_address(Some(friend.address())).unwrap();
    stranger.send(b"unheard", address);
    friend.send(b"heard", address);
    assert_eq!(socket.receive_from(vec![0; 16]).ok().bytes(), b"heard");
    socket.send(&b"default"[..]).ok();
    assert_eq!(friend.receive().0, b"default");
    socket.send_to(&b"elsewhere"[..], stranger.address()).ok(); // this once
    assert_eq!(stranger.receive().0, b"elsewhere");
    stranger.send(b"answer", address); // dropped
    friend.send(b"again", address);
    assert_eq!(socket.receive_from(vec![0; 16]).ok().bytes(), b"again");
    socket.set_remote_address(None).unwrap();
    stranger.send(b"now heard", address);
    assert_eq!(socket.receive_from(vec![0; 16]).ok().bytes(), b"now heard");
    assert_eq!(socket.send(&b"x"[..]).status(), NtStatus::INVALID_PARAMETER);
}

fn f197_filtered_datagrams_do_not_end_a_receive(arm: Arm) {
    let world = arm.world();
    let (socket, address) = bound(&world);
    let (friend, stranger) = (world.peer_udp(v4()), world.peer_udp(v4()));
    socket.set_remote_address(Some(friend.address())).unwrap();
    let (first, second) = (socket.receive_from(vec![0; 16]), socket.receive_from(vec![0; 16]));
    for _ in 0..5 {
        stranger.send(b"unheard", address);
    }
    world.settle();
    assert!(!first.is_finished());
    friend.send(b"one", address);
    stranger.send(b"unheard", address);
    friend.send(b"two", address);
    assert_eq!(first.ok().bytes(), b"one");
    assert_eq!(second.ok().bytes(), b"two");
    let cancelled = socket.receive_from(vec![0; 16]);
    stranger.send(b"unheard", address);
    cancelled.cancel();
    assert_eq!(cancelled.status(), NtStatus::CANCELLED);
}

fn c30_a_fixed_send_to_address(arm: Arm) {
    let world = arm.world();
    let (socket, address) = bound(&world);
    let (target, stranger) = (world.peer_udp(v4()), world.peer_udp(v4()));
    socket.set_send_to_address(Some(target.address())).unwrap();
    socket.send(&b"default"[..]).ok();
    assert_eq!(target.receive().0, b"default");
    stranger.send(b"heard all the same", address); // not a filter (F-197)
    assert_eq!(socket.receive_from(vec![0; 32]).ok().source(), stranger.address());
    socket.send_messages([&b"a"[..], b"b"], None).ok();
    assert_eq!((target.receive().0, target.receive().0), (b"a".to_vec(), b"b".to_vec()));
    socket.set_send_to_address(None).unwrap();
    assert_eq!(socket.send(&b"x"[..]).status(), NtStatus::INVALID_PARAMETER);
}

/// F-190: with both set, the one set last serves; clearing one leaves the other.
fn c30_the_address_set_last_serves(arm: Arm) {
    let world = arm.world();
    let (socket, _) = bound(&world);
    let (remote, send_to) = (world.peer_udp(v4()), world.peer_udp(v4()));
    socket.set_remote_address(Some(remote.address())).unwrap();
    socket.set_send_to_address(Some(send_to.address())).unwrap();
    socket.send(&b"1"[..]).ok();
    assert_eq!(send_to.receive().0, b"1");
    socket.set_send_to_address(None).unwrap();
    socket.send(&b"2"[..]).ok();
    assert_eq!(remote.receive().0, b"2");
    socket.set_send_to_address(Some(send_to.address())).unwrap();
    socket.set_remote_address(Some(remote.address())).unwrap();
    socket.send(&b"3"[..]).ok();
    assert_eq!(remote.receive().0, b"3");
    socket.set_remote_address(None).unwrap();
    assert_eq!(socket.send(&b"4"[..]).status(), NtStatus::SUCCESS, "the send-to address is still set");
    assert_eq!(send_to.receive().0, b"4");
}

fn f191_oversized(arm: Arm) {
    let world = arm.world();
    let (socket, address) = bound(&world);
    let peer = world.peer_udp(v4());
    let error = socket.send_to(vec![0; 65_508], peer.address()).finish().unwrap_err();
    assert_eq!((error.status(), error.information()), (NtStatus::INVALID_BUFFER_SIZE, 0));
    assert_eq!(error.into_buffer().unwrap().len(), 65_508);
    assert_eq!(socket.send_to(vec![1; 65_507], peer.address()).ok().len(), 65_507);
    assert_eq!(peer.receive(), (vec![1; 65_507], address));
}

fn f193_messages(arm: Arm) {
    let world = arm.world();
    let (socket, address) = bound(&world);
    let peer = world.peer_udp(v4());
    let messages: Vec<Vec<u8>> = (0..100u8).map(|i| vec![i; 1 + usize::from(i)]).collect();
    let total: usize = messages.iter().map(Vec::len).sum();
    let sent = socket.send_messages(messages.clone(), Some(peer.address()));
    for message in messages {
        assert_eq!(peer.receive(), (message, address));
    }
    assert_eq!(sent.ok().len(), total);
}

fn f193_an_empty_batch(arm: Arm) {
    let world = arm.world();
    let (socket, address) = bound(&world);
    assert_eq!(socket.send_messages(Vec::<Vec<u8>>::new(), Some(address)).status(), NtStatus::INVALID_PARAMETER);
}

fn f193_the_first_failure_ends_the_batch(arm: Arm) {
    let world = arm.world();
    let (socket, _) = bound(&world);
    let peer = world.peer_udp(v4());
    let messages = vec![b"first".to_vec(), vec![0; 65_508], b"third".to_vec()];
    let error = socket.send_messages(messages, Some(peer.address())).finish().unwrap_err();
    assert_eq!((error.status(), error.information()), (NtStatus::INVALID_BUFFER_SIZE, 0));
    socket.send_to(&b"end"[..], peer.address()).ok();
    assert_eq!(peer.receive().0, b"first");
    assert_eq!(peer.receive().0, b"end", "what follows a failure is not sent");
}

fn f55_sends_many_in_order(arm: Arm) {
    let world = arm.world();
    let (socket, _) = bound(&world);
    let peer = world.peer_udp(v4());
    for round in 0..20u32 {
        let sends: Vec<_> =
            (0..50u32).map(|i| socket.send_to((round * 50 + i).to_le_bytes().to_vec(), peer.address())).collect();
        for i in 0..50u32 {
            assert_eq!(peer.receive().0, (round * 50 + i).to_le_bytes());
        }
        sends.into_iter().for_each(|send| assert_eq!(send.ok().len(), 4));
    }
}

fn f63_a_cancelled_receive_from(arm: Arm) {
    let world = arm.world();
    let (socket, address) = bound(&world);
    let peer = world.peer_udp(v4());
    for round in 0..50u8 {
        let (first, second, third) =
            (socket.receive_from(vec![0; 8]), socket.receive_from(vec![0; 8]), socket.receive_from(vec![0; 8]));
        first.cancel();
        third.cancel();
        let error = first.finish().unwrap_err();
        assert_eq!((error.status(), error.information()), (NtStatus::CANCELLED, 0));
        assert_eq!(error.into_buffer().unwrap().len(), 8);
        assert_eq!(third.status(), NtStatus::CANCELLED);
        peer.send(&[round], address);
        assert_eq!(second.ok().bytes(), [round]);
    }
}

fn a_full_receive_buffer_drops(arm: Arm) {
    const SENT: usize = 5000;
    let world = arm.world();
    let (socket, address) = bound(&world);
    socket.set(wsk::option::ReceiveBuffer(64 << 10)).unwrap();
    let peer = world.peer_udp(v4());
    for _ in 0..SENT {
        peer.send(&[1; 1000], address);
    }
    assert_eq!(socket.receive_from(vec![0; 2000]).ok().len(), 1000); // makes room
    peer.send(b"mark", address);
    let mut received = 1;
    while socket.receive_from(vec![0; 2000]).ok().bytes() != b"mark" {
        received += 1;
    }
    assert!(received < SENT, "{received} of {SENT} fitted");
}

fn f191_broadcast_needs_the_option(arm: Arm) {
    let world = arm.world();
    let (socket, _) = bound(&world);
    let broadcast = "255.255.255.255:9".parse().unwrap();
    assert_eq!(socket.send_to(&b"x"[..], broadcast).status(), NtStatus::ACCESS_DENIED);
    socket.set(wsk::option::Broadcast(true)).unwrap();
    // A socket on 127.0.0.1 cannot reach it; but it is not for want of the permission.
    assert_ne!(socket.send_to(&b"x"[..], broadcast).status(), NtStatus::ACCESS_DENIED);
}

fn f82_wrong_family(arm: Arm) {
    let world = arm.world();
    let (socket, _) = bound(&world);
    let six: SocketAddr = "[::1]:9".parse().unwrap();
    assert_eq!(socket.send_to(&b"x"[..], six).status(), NtStatus::INVALID_PARAMETER);
    assert_eq!(status_of(socket.set_remote_address(Some(six))), NtStatus::INVALID_PARAMETER);
    assert_eq!(status_of(socket.set_send_to_address(Some(six))), NtStatus::INVALID_PARAMETER);
}

fn f199_port_unreachable_is_swallowed(arm: Arm) {
    let world = arm.world();
    let (socket, address) = bound(&world);
    let gone = world.peer_udp(v4()).address(); // closed again
    let receive = socket.receive_from(vec![0; 8]);
    for _ in 0..10 {
        socket.send_to(&b"x"[..], gone).ok();
    }
    world.settle();
    world.peer_udp(v4()).send(b"alive", address);
    assert_eq!(receive.ok().bytes(), b"alive");
}

/// From an address of this host only to this host.
fn f191_no_route(arm: Arm) {
    let world = arm.world();
    let (socket, _) = bound(&world);
    let status = socket.send_to(&b"x"[..], "192.0.2.1:9".parse().unwrap()).status();
    let expected = [NtStatus::NETWORK_UNREACHABLE, NtStatus::HOST_UNREACHABLE, NtStatus::INVALID_PARAMETER];
    assert!(expected.contains(&status), "{status}"); // Linux says EINVAL to a source of 127.0.0.1
}
