//! Control data both ways: control.md 4.4, C-21, C-22, C-42, E-83, F-192, F-196.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, mpsc};

use crate::support::{Arm, Dgram, Finish, PATIENCE, World, arms};
use wsk::option::*;
use wsk::{
    ControlData, ControlFlags, ControlKinds, DatagramEvents, DatagramSocket, Datagrams, EventMask, Family, NtStatus,
    ReceiveFrom,
};

arms! {
    all: c42_a_dual_mode_server_sees_packets_of_both_families, e83_nothing_is_shown_that_was_not_asked_for,
        c22_a_send_says_where_from_and_how, c21_ecn_and_traffic_class, every_kind_by_itself;
    host: f192_segmentation_of_one_send, e86_coalesced_only_if_asked_for, e84_icmp_errors_come_as_datagrams,
        so_udp_connreset_fails_one_receive, f193_the_same_control_data_goes_with_each_message,
        m9_no_datagram_is_lost_by_the_subsystem;
}

/// A dual-mode socket on the wildcard, which asks for everything of both families.
fn dual(world: &World, events: Option<Arc<dyn DatagramEvents>>) -> DatagramSocket {
    let socket = world.client.datagram_socket(Family::V6, events).unwrap();
    socket.set(V6Only(false)).unwrap();
    socket.set(PacketInfo4(true)).unwrap();
    socket.set(PacketInfo6(true)).unwrap();
    socket.set(ReceiveHopLimit4(true)).unwrap();
    socket.set(ReceiveHopLimit6(true)).unwrap();
    socket.set(ReceiveTos(true)).unwrap();
    socket.set(ReceiveTrafficClass6(true)).unwrap();
    socket.set(Ecn4(true)).unwrap();
    socket.set(Ecn6(true)).unwrap();
    socket.bind("[::]:0".parse().unwrap()).ok();
    socket
}

/// A client of one family.
fn client(world: &World, local: &str) -> DatagramSocket {
    let local: SocketAddr = local.parse().unwrap();
    let socket = world.client.datagram_socket(Family::of(&local), None).unwrap();
    socket.bind(local).ok();
    socket
}

/// Sends the control data of what it is handed, one by one.
struct Controls(mpsc::Sender<(ControlData, SocketAddr)>);

impl DatagramEvents for Controls {
    fn receive_from(&self, _: &DatagramSocket, datagrams: Datagrams) -> ReceiveFrom {
        for (control, (_, source)) in datagrams.control().zip(datagrams.iter()) {
            let _ = self.0.send((control.clone(), source));
        }
        ReceiveFrom::Accepted
    }
}

/// C-42, C-41: by functions and by callbacks; IPv4 packets carry data of IPv4.
fn c42_a_dual_mode_server_sees_packets_of_both_families(arm: Arm) {
    let world = arm.world();
    let (sender, seen) = mpsc::channel();
    for by_event in [false, true] {
        let server = dual(&world, Some(Arc::new(Controls(sender.clone()))));
        let port = server.local_address().unwrap().port();
        if by_event {
            server.enable(EventMask::RECEIVE_FROM).unwrap();
        }
        for (from, to) in [("127.0.0.1:0", IpAddr::from(Ipv4Addr::LOCALHOST)), ("[::1]:0", Ipv6Addr::LOCALHOST.into())]
        {
            let client = client(&world, from);
            client.set(HopLimit4(33)).unwrap();
            if to.is_ipv6() {
                client.set(HopLimit6(44)).unwrap();
            }
            client.send_to(&b"hello"[..], SocketAddr::new(to, port)).ok();
            let (control, source) = if by_event {
                seen.recv_timeout(PATIENCE).expect("an indication")
            } else {
                let received = server.receive_from(vec![0; 16]).ok();
                (received.control().clone(), received.source())
            };
            let (address, interface) = control.packet_info().expect("packet info");
            assert_eq!(address, to, "by event: {by_event}"); // of IPv4 if the packet is
            assert_ne!(interface, 0);
            assert_eq!(control.hop_limit(), Some(if to.is_ipv4() { 33 } else { 44 }));
            assert_eq!((control.traffic_class(), control.ecn()), (Some(0), Some(0)));
            assert!(source.is_ipv6(), "{source} is in the socket's family");
            assert_eq!(source.ip().to_canonical(), to);
        }
    }
}

fn e83_nothing_is_shown_that_was_not_asked_for(arm: Arm) {
    let world = arm.world();
    let server = client(&world, "127.0.0.1:0");
    let to = server.local_address().unwrap();
    client(&world, "127.0.0.1:0").send_to(&b"hello"[..], to).ok();
    assert!(server.receive_from(vec![0; 16]).ok().control().is_empty());
    // Asked for and not any more.
    server.set(PacketInfo4(true)).unwrap();
    server.set(PacketInfo4(false)).unwrap();
    server.set(ReceiveHopLimit4(true)).unwrap();
    client(&world, "127.0.0.1:0").send_to(&b"hello"[..], to).ok();
    assert_eq!(server.receive_from(vec![0; 16]).ok().control().kinds(), ControlKinds::HOP_LIMIT);
}

/// C 4.4 (every row): each option shows its own kind, and no other.
fn every_kind_by_itself(arm: Arm) {
    let world = arm.world();
    use OptionName as O;
    for (v4, v6, kind) in [
        (O::PacketInfo4, O::PacketInfo6, ControlKinds::PACKET_INFO),
        (O::ReceiveHopLimit4, O::ReceiveHopLimit6, ControlKinds::HOP_LIMIT),
        (O::ReceiveTos, O::ReceiveTrafficClass6, ControlKinds::TRAFFIC_CLASS),
        (O::Ecn4, O::Ecn6, ControlKinds::ECN),
        (O::ReceiveInterface4, O::ReceiveInterface6, ControlKinds::INTERFACE),
        (O::ReceiveDestination4, O::ReceiveDestination6, ControlKinds::DESTINATION),
    ] {
        for (local, option) in [("127.0.0.1:0", v4), ("[::1]:0", v6)] {
            let server = client(&world, local);
            server.set_value(option, OptionValue::Number(1)).unwrap();
            client(&world, local).send_to(&b"x"[..], server.local_address().unwrap()).ok();
            let received = server.receive_from(vec![0; 16]).ok();
            assert_eq!(received.control().kinds(), kind, "{option:?}");
            if kind == ControlKinds::DESTINATION {
                assert_eq!(received.control().destination(), Some(server.local_address().unwrap().ip()));
            }
        }
    }
}

/// C-22: source address, hop limit and traffic class for one datagram; the next goes as before.
fn c22_a_send_says_where_from_and_how(arm: Arm) {
    let world = arm.world();
    let server = dual(&world, None);
    let port = server.local_address().unwrap().port();
    for (local, other) in [("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "::1")] {
        let client = client(&world, local);
        let other: IpAddr = other.parse().unwrap();
        let to = SocketAddr::new(other, port);
        let control = ControlData::default().with_packet_info(other, 0).with_hop_limit(7).with_traffic_class(0xA0);
        client.send_with(&b"one"[..], Some(to), control).ok();
        client.send_to(&b"two"[..], to).ok();
        let one = server.receive_from(vec![0; 16]).ok();
        assert_eq!((one.bytes(), one.source().ip().to_canonical()), (&b"one"[..], other));
        assert_eq!((one.control().hop_limit(), one.control().traffic_class()), (Some(7), Some(0xA0)));
        let two = server.receive_from(vec![0; 16]).ok();
        assert_eq!((two.bytes(), two.control().hop_limit()), (&b"two"[..], Some(64)));
        assert_eq!(two.control().traffic_class(), Some(0));
    }
    // An address that is not this machine's.
    if arm.is_host() {
        let client = client(&world, "0.0.0.0:0");
        let foreign = ControlData::default().with_packet_info("192.0.2.1".parse().unwrap(), 0);
        let to = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        assert!(!client.send_with(&b"x"[..], Some(to), foreign).status().is_success());
    }
}

/// C-21: ECN is of its own, beside the byte that holds it.
fn c21_ecn_and_traffic_class(arm: Arm) {
    let world = arm.world();
    let server = dual(&world, None);
    let port = server.local_address().unwrap().port();
    for local in ["127.0.0.1:0", "[::1]:0"] {
        let client = client(&world, local);
        let to = SocketAddr::new(client.local_address().unwrap().ip(), port);
        for ecn in 0..4 {
            client.send_with(&b"x"[..], Some(to), ControlData::default().with_ecn(ecn)).ok();
            let received = server.receive_from(vec![0; 16]).ok();
            assert_eq!(
                (received.control().ecn(), received.control().traffic_class()),
                (Some(ecn), Some(ecn)),
                "{local}"
            );
            let both = ControlData::default().with_traffic_class(0xB8).with_ecn(ecn);
            client.send_with(&b"x"[..], Some(to), both).ok();
            let received = server.receive_from(vec![0; 16]).ok();
            let class = Some(0xB8 | ecn);
            assert_eq!((received.control().ecn(), received.control().traffic_class()), (Some(ecn), class), "{local}");
        }
    }
}

/// C 4.4 UDP_SEND_MSG_SIZE: one send, cut into datagrams, and the option that does so for all.
fn f192_segmentation_of_one_send(arm: Arm) {
    let world = arm.world();
    let server = client(&world, "127.0.0.1:0");
    let to = server.local_address().unwrap();
    let sender = client(&world, "127.0.0.1:0");
    let data: Vec<u8> = (0..2500).map(|i| (i / 1000) as u8).collect();
    for by_option in [false, true] {
        let control = if by_option {
            sender.set(SegmentSize(1000)).unwrap();
            ControlData::default()
        } else {
            ControlData::default().with_segment_size(1000)
        };
        assert_eq!(sender.send_with(data.clone(), Some(to), control).ok().len(), 2500);
        for (number, length) in [(0, 1000), (1, 1000), (2, 500)] {
            assert_eq!(server.receive_from(vec![0; 3000]).ok().bytes(), vec![number; length]);
        }
    }
}

/// E-86: several datagrams come as one element only if that was asked for, and then they say so.
fn e86_coalesced_only_if_asked_for(arm: Arm) {
    let world = arm.world();
    for most in [0, 65_535] {
        let (sender, seen) = mpsc::channel();
        let (dgram, _inbox) = Dgram::answering(move |_, datagrams| {
            for (control, (bytes, _)) in datagrams.control().zip(datagrams.iter()) {
                sender.send((bytes.to_vec(), control.coalesced_size())).unwrap();
            }
            ReceiveFrom::Accepted
        });
        let server = world.client.datagram_socket(Family::V4, Some(dgram)).unwrap();
        server.set(CoalescedSize(most)).unwrap();
        server.bind("127.0.0.1:0".parse().unwrap()).ok();
        server.enable(EventMask::RECEIVE_FROM).unwrap();
        let peer = client(&world, "127.0.0.1:0");
        let data: Vec<u8> = (0..20_000).map(|i| (i / 1000) as u8).collect();
        let control = ControlData::default().with_segment_size(1000);
        peer.send_with(data.clone(), server.local_address().ok(), control).ok();
        let mut whole = Vec::new();
        while whole.len() < data.len() {
            let (bytes, size) = seen.recv_timeout(PATIENCE).expect("a datagram");
            match size {
                Some(size) => assert!(most > 0 && size == 1000 && bytes.len() > 1000),
                None => assert_eq!(bytes.len(), 1000, "a datagram by itself"),
            }
            whole.extend(bytes);
        }
        assert_eq!(whole, data);
    }
}

/// A port of this machine that nobody listens on.
fn nobody() -> SocketAddr {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// E-84: an ICMP error is an element of its own, with where the datagram had been sent.
fn e84_icmp_errors_come_as_datagrams(arm: Arm) {
    let world = arm.world();
    let socket = client(&world, "127.0.0.1:0");
    socket.set(ReceiveError4(true)).unwrap();
    let to = nobody();
    socket.send_to(&b"lost"[..], to).ok();
    let received = socket.receive_from(vec![0; 64]).ok();
    assert!(received.flags().contains(ControlFlags::ERRQUEUE));
    assert_eq!(received.source(), to);
    let error = received.control().error().expect("an error");
    assert_eq!((error.protocol, error.kind, error.code), (1, 3, 3)); // ICMP, destination unreachable, port
}

/// C 4.5 SIO_UDP_CONNRESET: one receive fails; without it none does.
fn so_udp_connreset_fails_one_receive(arm: Arm) {
    let world = arm.world();
    let socket = client(&world, "127.0.0.1:0");
    let peer = client(&world, "127.0.0.1:0");
    let here = socket.local_address().unwrap();
    socket.send_to(&b"lost"[..], nobody()).ok();
    peer.send_to(&b"data"[..], here).ok();
    assert_eq!(socket.receive_from(vec![0; 16]).ok().bytes(), b"data");
    socket.report_unreachable(true, false).unwrap();
    socket.send_to(&b"lost"[..], nobody()).ok();
    assert_eq!(socket.receive_from(vec![0; 16]).status(), NtStatus::PORT_UNREACHABLE);
    peer.send_to(&b"more"[..], here).ok();
    assert_eq!(socket.receive_from(vec![0; 16]).ok().bytes(), b"more");
}

fn f193_the_same_control_data_goes_with_each_message(arm: Arm) {
    let world = arm.world();
    let server = dual(&world, None);
    let to = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), server.local_address().unwrap().port());
    let sender = client(&world, "127.0.0.1:0");
    for sizes in [[10, 10, 10], [10, 20, 30]] {
        let messages = sizes.map(|size| vec![1; size]);
        let control = ControlData::default().with_hop_limit(9).with_traffic_class(0x40);
        assert_eq!(sender.send_messages_with(messages, Some(to), control).ok().len(), sizes.iter().sum::<usize>());
        for size in sizes {
            let received = server.receive_from(vec![0; 64]).ok();
            assert_eq!(received.len(), size);
            assert_eq!((received.control().hop_limit(), received.control().traffic_class()), (Some(9), Some(0x40)));
        }
    }
}

/// Datagrams per WskSendMessages, and how many of those.
const BATCH: usize = 50;
const BATCHES: usize = 200;

/// Segmentation and coalescing between two sockets: lists of indications, few system calls, and every datagram is there or was
/// dropped by the host, which counts them. The callback returns at once (M-9).
fn m9_no_datagram_is_lost_by_the_subsystem(arm: Arm) {
    let world = arm.world();
    let (sender, seen) = mpsc::channel();
    let (dgram, _inbox) = Dgram::answering(move |_, datagrams| {
        let numbers = datagrams.iter().map(|(bytes, _)| u32::from_le_bytes(bytes[..4].try_into().unwrap()));
        sender.send(numbers.collect::<Vec<_>>()).unwrap();
        ReceiveFrom::Accepted
    });
    let server = world.client.datagram_socket(Family::V4, Some(dgram)).unwrap();
    server.set(ReceiveBuffer(4 << 20)).unwrap();
    server.bind("127.0.0.1:0".parse().unwrap()).ok();
    server.enable(EventMask::RECEIVE_FROM).unwrap();
    let to = server.local_address().unwrap();
    let client = client(&world, "127.0.0.1:0");
    let before = world.provider.counters();
    let message = |number: usize| {
        let mut bytes = vec![0; 1000];
        bytes[..4].copy_from_slice(&(number as u32).to_le_bytes());
        bytes
    };
    let (mut arrived, mut lists) = (Vec::new(), 0);
    let mut note = |list: Vec<u32>| {
        arrived.extend(list);
        lists += 1;
    };
    for batch in 0..BATCHES {
        client.send_messages((0..BATCH).map(|i| message(batch * BATCH + i)), Some(to)).ok();
        seen.try_iter().for_each(&mut note);
    }
    // A last one that comes for sure, since everything before it has been taken or dropped by then.
    let last = (BATCH * BATCHES) as u32;
    while let Ok(list) = {
        client.send_to(last.to_le_bytes().to_vec(), to).ok();
        seen.recv_timeout(PATIENCE)
    } {
        let end = list.contains(&last);
        note(list);
        if end {
            break;
        }
    }
    arrived.retain(|number| *number != last);
    let after = world.provider.counters();
    let dropped = after.datagrams_dropped_by_host - before.datagrams_dropped_by_host;
    let calls = after.system_calls - before.system_calls;
    let sent = BATCH * BATCHES;
    println!(
        "{}: {sent} sent, {} arrived, {dropped} dropped by the host; {lists} lists, {calls} system calls",
        arm.name(),
        arrived.len()
    );
    assert!(arrived.is_sorted(), "in order");
    // The host counts what it drops in units of what was handed to it, and that was a batch at most.
    let lost = (sent - arrived.len()) as u64;
    assert!(dropped <= lost && lost <= dropped * BATCH as u64, "{lost} missing, of which the host tells {dropped}");
    assert_eq!(server.dropped(), 0);
    assert!(lists < sent, "lists of more than one");
    assert!(calls < sent as u64, "fewer system calls than datagrams");
}
