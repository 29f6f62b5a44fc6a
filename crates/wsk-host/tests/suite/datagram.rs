//! Datagrams in both modes: sizes, sources, flags, failures.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use wsk_abi::NtStatus;
use wsk_abi::flags::ControlFlags;
use wsk_core::control_data::ControlData;
use wsk_core::memory::{ClientMemory, Memory, Segments, SegmentsMut};
use wsk_core::option::{OptionName, OptionValue};
use wsk_core::transport::{Datagram, DatagramInfo, Endpoint, Event, Family, Operation, Protocol, SendId, Token};

use crate::rig::Rig;

fn config() -> wsk_host::Config {
    wsk_host::Config::default()
}

const LONGEST: usize = 65_507;

fn datagram(rig: &mut Rig, token: Token) -> Datagram {
    rig.wait(token, |event| if let Event::Datagram(datagram) = event { Ok(datagram) } else { Err(event) })
}

fn receive_from(rig: &mut Rig, token: Token, room: usize) -> (Vec<u8>, Result<DatagramInfo, NtStatus>) {
    rig.submit(token, Operation::ReceiveFrom(Memory::Vec(vec![0; room])));
    rig.wait(token, |event| match event {
        Event::ReceiveFromDone { memory: Memory::Vec(bytes), result } => Ok((bytes, result)),
        event => Err(event),
    })
}

fn send_to(rig: &mut Rig, token: Token, memory: Memory, remote: SocketAddr) -> Result<(), NtStatus> {
    rig.submit(token, crate::rig::send_to(7, memory, remote));
    rig.wait(token, |event| match event {
        Event::SendToDone { id: SendId(7), result, sent, .. } => {
            assert_eq!(sent, usize::from(result.is_ok()));
            Ok(result)
        }
        event => Err(event),
    })
}

fn try_send_to(endpoint: &dyn Endpoint, memory: Memory, remote: SocketAddr) -> Result<usize, NtStatus> {
    endpoint.try_send_to(&[memory], 0, remote, &ControlData::default())
}

/// Memory of pieces of one byte.
struct Bytes(Vec<[u8; 1]>);

impl ClientMemory for Bytes {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn segments<'a>(&'a self, out: &mut Segments<'a>) {
        out.extend(self.0.iter().map(<[u8; 1]>::as_slice));
    }

    fn segments_mut<'a>(&'a mut self, out: &mut SegmentsMut<'a>) {
        out.extend(self.0.iter_mut().map(<[u8; 1]>::as_mut_slice));
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send> {
        self
    }
}

arms! {
    /// More pieces than the kernel takes at a time are filled all the same.
    fn memory_of_many_pieces_gets_the_whole_datagram(rig: Rig) {
        let endpoint = rig.create(Family::V4, Protocol::Udp);
        let local = endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let token = rig.attach(&endpoint);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let bytes: Vec<u8> = (0..1500).map(|n| n as u8).collect();
        for (room, flags) in [(2000, ControlFlags::empty()), (1400, ControlFlags::TRUNC), (8, ControlFlags::TRUNC)] {
            peer.send_to(&bytes, local).unwrap();
            rig.submit(token, Operation::ReceiveFrom(Memory::Client(Box::new(Bytes(vec![[0]; room])))));
            let (memory, info) = rig.wait(token, |event| match event {
                Event::ReceiveFromDone { memory, result } => Ok((memory, result.unwrap())),
                event => Err(event),
            });
            let Memory::Client(memory) = memory else { panic!("{memory:?}") };
            let got = memory.into_any().downcast::<Bytes>().unwrap().0.concat();
            let len = info.len as usize;
            assert_eq!((len, info.flags), (room.min(1500), flags));
            assert!(got[..len] == bytes[..len]);
        }
        // The next goes straight to its memory again.
        let copied = rig.transport.counters().bytes_copied;
        peer.send_to(&bytes, local).unwrap();
        let (got, info) = receive_from(&mut rig, token, 1500);
        assert!(info.is_ok() && got == bytes);
        assert_eq!(rig.transport.counters().bytes_copied, copied);
    }

    fn datagrams_of_all_sizes_in_the_transports_memory(rig: Rig) {
        let (token, address, peer) = rig.datagram();
        rig.submit(token, Operation::ReceiveFromStart);
        for len in [1, 0, 100, LONGEST, 0, 1500] {
            let data: Vec<u8> = (0..len).map(|n| (n * 31) as u8).collect();
            peer.send_to(&data, address).unwrap();
            let got = datagram(&mut rig, token);
            assert!(got.buffer.bytes() == data, "{len}");
            assert_eq!((got.source, got.flags), (peer.local_addr().unwrap(), ControlFlags::empty()));
        }
        // Several at once, kept while more come.
        let mut kept = Vec::new();
        for n in 0..200u8 {
            peer.send_to(&[n; 33], address).unwrap();
            if n % 20 == 19 {
                kept.extend((0..20).map(|_| datagram(&mut rig, token)));
            }
        }
        for (n, got) in kept.iter().enumerate() {
            assert_eq!(got.buffer.bytes(), [n as u8; 33]);
        }
        assert_eq!(rig.transport.counters().buffers_lent, 200);
        drop(kept);
        assert_eq!(rig.transport.counters().buffers_lent, 0);
    }

    fn datagrams_of_all_sizes_in_client_memory(rig: Rig) {
        let (token, address, peer) = rig.datagram();
        let source = peer.local_addr().unwrap();
        for len in [1, 0, 100, LONGEST, 1500] {
            let data: Vec<u8> = (0..len).map(|n| (n * 31) as u8).collect();
            peer.send_to(&data, address).unwrap();
            let (bytes, result) = receive_from(&mut rig, token, LONGEST);
            assert_eq!(result, Ok(DatagramInfo { len: len as u32, source, flags: ControlFlags::empty(), control: ControlData::default() }));
            assert!(bytes[..len] == data);
        }
        peer.send_to(b"0123456789", address).unwrap();
        peer.send_to(b"next", address).unwrap();
        let (bytes, result) = receive_from(&mut rig, token, 4);
        assert_eq!(result, Ok(DatagramInfo { len: 4, source, flags: ControlFlags::TRUNC, control: ControlData::default() }));
        assert_eq!(bytes, b"0123");
        assert_eq!(receive_from(&mut rig, token, 4).0, b"next", "the rest is discarded");
        peer.send_to(b"gone", address).unwrap();
        let (_, result) = receive_from(&mut rig, token, 0);
        assert_eq!(result, Ok(DatagramInfo { len: 0, source, flags: ControlFlags::TRUNC, control: ControlData::default() }));
    }

    fn sends_arrive_in_order(rig: Rig) {
        let (token, address, peer) = rig.datagram();
        let remote = peer.local_addr().unwrap();
        for n in 0..50u8 {
            rig.submit(token, crate::rig::send_to(n.into(), Memory::Vec(vec![n; 20]), remote));
        }
        for n in 0..50u8 {
            rig.wait(token, |event| match event {
                Event::SendToDone { id, sent: 1, result: Ok(()), .. } if id.0 == u64::from(n) => Ok(()),
                event => Err(event),
            });
            let mut got = [0; 64];
            assert_eq!(peer.recv_from(&mut got).unwrap(), (20, address));
            assert_eq!(got[..20], [n; 20]);
        }
        assert_eq!(send_to(&mut rig, token, Memory::None, remote), Ok(()));
        assert_eq!(peer.recv_from(&mut [0; 4]).unwrap().0, 0);
        assert_eq!(send_to(&mut rig, token, Memory::Vec(vec![0; LONGEST]), remote), Ok(()));
        assert_eq!(peer.recv_from(&mut vec![0; LONGEST]).unwrap().0, LONGEST);
    }

    fn bad_sends_fail_alone(rig: Rig) {
        let endpoint = rig.create(Family::V4, Protocol::Udp);
        endpoint.bind("0.0.0.0:0".parse().unwrap(), false).unwrap();
        let token = rig.attach(&endpoint);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let remote = peer.local_addr().unwrap();
        let too_long = || Memory::Vec(vec![0; LONGEST + 1]);
        assert_eq!(send_to(&mut rig, token, too_long(), remote), Err(NtStatus::INVALID_BUFFER_SIZE));
        assert_eq!(try_send_to(&*endpoint, too_long(), remote), Err(NtStatus::INVALID_BUFFER_SIZE));
        let broadcast: SocketAddr = "127.255.255.255:9".parse().unwrap();
        assert_eq!(send_to(&mut rig, token, Memory::Static(b"x"), broadcast), Err(NtStatus::ACCESS_DENIED));
        assert_eq!(try_send_to(&*endpoint, Memory::Static(b"x"), broadcast), Err(NtStatus::ACCESS_DENIED));
        let v6 = "[::1]:9".parse().unwrap();
        assert_eq!(send_to(&mut rig, token, Memory::Static(b"x"), v6), Err(NtStatus::INVALID_PARAMETER));
        assert_eq!(try_send_to(&*endpoint, Memory::Static(b"fine"), remote), Ok(1));
        assert_eq!(peer.recv_from(&mut [0; 8]).unwrap().0, 4);
    }

    /// F-199: an unreachable destination does not disturb receives.
    fn icmp_errors_do_not_fail_receives(rig: Rig) {
        let (token, address, peer) = rig.datagram();
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        rig.submit(token, Operation::ReceiveFromStart);
        for _ in 0..3 {
            assert_eq!(send_to(&mut rig, token, Memory::Static(b"anyone?"), nobody), Ok(()));
        }
        peer.send_to(b"me", address).unwrap();
        assert_eq!(datagram(&mut rig, token).buffer.bytes(), b"me");
    }

    fn broadcast_and_multicast_are_flagged(rig: Rig) {
        let endpoint = rig.create(Family::V4, Protocol::Udp);
        let port = endpoint.bind("0.0.0.0:0".parse().unwrap(), false).unwrap().port();
        let token = rig.attach(&endpoint);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_broadcast(true).unwrap();
        // Linux hands a group's datagrams to every wildcard socket once somebody on the host has joined.
        let group = Ipv4Addr::new(239, 7, 7, 7);
        peer.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
        rustix::net::sockopt::set_ip_multicast_if(&peer, &Ipv4Addr::LOCALHOST).unwrap();
        let targets = [
            (Ipv4Addr::LOCALHOST, ControlFlags::empty()),
            (Ipv4Addr::new(127, 0, 0, 77), ControlFlags::empty()),
            (Ipv4Addr::new(127, 255, 255, 255), ControlFlags::BCAST),
            (group, ControlFlags::MCAST),
        ];
        for (to, flags) in targets {
            peer.send_to(b"?", (to, port)).unwrap();
            let (_, result) = receive_from(&mut rig, token, 8);
            assert_eq!(result.unwrap().flags, flags, "{to}");
            rig.submit(token, Operation::ReceiveFromStart);
            peer.send_to(b"?", (to, port)).unwrap();
            assert_eq!(datagram(&mut rig, token).flags, flags, "{to}");
            rig.submit(token, Operation::ReceiveFromStop);
            rig.wait(token, |e| if let Event::DatagramsStopped(Ok(())) = e { Ok(()) } else { Err(e) });
        }
    }

    fn a_dual_mode_endpoint_speaks_mapped_addresses(rig: Rig) {
        let endpoint = rig.create(Family::V6, Protocol::Udp);
        endpoint.set_option(OptionName::V6Only, &OptionValue::Number(0)).unwrap();
        endpoint.set_option(OptionName::Broadcast, &OptionValue::Number(1)).unwrap();
        let port = endpoint.bind("[::]:0".parse().unwrap(), false).unwrap().port();
        let token = rig.attach(&endpoint);
        rig.submit(token, Operation::ReceiveFromStart);
        let (v4, v6) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("[::1]:0").unwrap());
        v4.set_broadcast(true).unwrap();
        let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", v4.local_addr().unwrap().port()).parse().unwrap();
        v4.send_to(b"four", ("127.0.0.1", port)).unwrap();
        let got = datagram(&mut rig, token);
        assert_eq!((got.source, got.flags), (mapped, ControlFlags::empty()));
        v4.send_to(b"all", ("127.255.255.255", port)).unwrap();
        let got = datagram(&mut rig, token);
        assert_eq!((got.source, got.flags), (mapped, ControlFlags::BCAST));
        v6.send_to(b"six", ("::1", port)).unwrap();
        assert_eq!(datagram(&mut rig, token).source, v6.local_addr().unwrap());
        assert_eq!(send_to(&mut rig, token, Memory::Static(b"back"), mapped), Ok(()));
        assert_eq!(v4.recv_from(&mut [0; 8]).unwrap().0, 4);
        let other = rig.create(Family::V6, Protocol::Udp);
        assert_eq!(
            try_send_to(&*other, Memory::Static(b"x"), mapped),
            Err(NtStatus::INVALID_ADDRESS_COMPONENT),
            "IPv6 only (C-41)"
        );
    }
}
