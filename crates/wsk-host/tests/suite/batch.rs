//! Several datagrams with few system calls, in both directions.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use wsk_abi::NtStatus;
use wsk_core::control_data::ControlData;
use wsk_core::memory::Memory;
use wsk_core::option::{OptionName, OptionValue};
use wsk_core::transport::{Endpoint, Event, Family, Messages, Operation, Protocol, SendId, Token};

use crate::rig::Rig;

fn config() -> wsk_host::Config {
    wsk_host::Config::default()
}

fn sender(rig: &mut Rig) -> (Token, Arc<dyn Endpoint>) {
    let endpoint = rig.create(Family::V4, Protocol::Udp);
    endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
    (rig.attach(&endpoint), endpoint)
}

fn receiver(rig: &mut Rig) -> (Token, Arc<dyn Endpoint>) {
    sender(rig)
}

/// 900 bytes that tell which they are.
fn bytes_of(n: usize) -> Vec<u8> {
    (n as u32).to_le_bytes().repeat(225)
}

fn number_of(bytes: &[u8]) -> usize {
    let n = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
    assert!(bytes == bytes_of(n));
    n
}

fn numbered(n: usize) -> Memory {
    Memory::Vec(bytes_of(n))
}

/// Datagrams of these sizes, each told from the others.
fn messages(sizes: &[usize]) -> Messages {
    sizes.iter().enumerate().map(|(n, size)| Memory::Vec(vec![n as u8; *size])).collect()
}

/// Sends by the driver; how many went out, how it ended, and the system calls that it took.
fn send(
    rig: &mut Rig,
    token: Token,
    messages: Messages,
    remote: SocketAddr,
    control: ControlData,
) -> (usize, Result<(), NtStatus>, u64) {
    let before = rig.transport.counters().system_calls;
    rig.submit(token, Operation::SendTo { id: SendId(3), messages, sent: 0, remote, control });
    let (sent, result) = rig.wait(token, |event| match event {
        Event::SendToDone { id: SendId(3), sent, result, .. } => Ok((sent, result)),
        event => Err(event),
    });
    (sent, result, rig.transport.counters().system_calls - before)
}

fn expect(peer: &UdpSocket, sizes: &[usize]) {
    let mut bytes = vec![0; 65_536];
    for (n, size) in sizes.iter().enumerate() {
        let len = peer.recv(&mut bytes).unwrap();
        assert_eq!(len, *size, "datagram {n}");
        assert!(bytes[..len].iter().all(|b| *b == n as u8), "datagram {n}");
    }
    peer.set_nonblocking(true).unwrap();
    assert!(peer.recv(&mut bytes).is_err(), "one too many");
    peer.set_nonblocking(false).unwrap();
}

arms! {
    /// F-193: a list of datagrams is sent in order, with few system calls.
    fn f193_a_list_goes_out_with_few_system_calls(rig: Rig) {
        let (token, endpoint) = sender(&mut rig);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let remote = peer.local_addr().unwrap();
        let one_size = [1000; 60];
        let with_a_short_one: Vec<usize> = (0..60).map(|n| if n % 20 == 19 { 300 } else { 1000 }).collect();
        let all_different: Vec<usize> = (0..60).map(|n| 100 + n).collect();
        let with_empty_ones: Vec<usize> = (0..60).map(|n| n % 3 * 100).collect();
        for sizes in [&one_size[..], &with_a_short_one, &all_different, &with_empty_ones] {
            let none = ControlData::default();
            let before = rig.transport.counters().system_calls;
            assert_eq!(endpoint.try_send_to(&messages(sizes), 0, remote, &none), Ok(60));
            assert_eq!(rig.transport.counters().system_calls - before, 1, "{sizes:?}");
            expect(&peer, sizes);
            let (sent, result, calls) = send(&mut rig, token, messages(sizes), remote, none.clone());
            assert_eq!((sent, result), (60, Ok(())));
            assert!(calls <= 4, "{calls} system calls for {sizes:?}");
            expect(&peer, sizes);
            // Some have gone out before.
            assert_eq!(endpoint.try_send_to(&messages(sizes)[..58], 58, remote, &none), Ok(58), "nothing left");
        }
        // One piece of control data for all.
        let peer = UdpSocket::bind("127.0.0.2:0").unwrap();
        let control = ControlData::default().with_hop_limit(3);
        let (sent, result, calls) = send(&mut rig, token, messages(&one_size), peer.local_addr().unwrap(), control);
        assert_eq!((sent, result), (60, Ok(())));
        assert!(calls <= 4, "{calls}");
        expect(&peer, &one_size);
    }

    /// F-193: the first failure ends the batch; those before it went out.
    fn f193_the_first_failure_ends_a_batch(rig: Rig) {
        let (token, endpoint) = sender(&mut rig);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let remote = peer.local_addr().unwrap();
        for good in [&[100, 100][..], &[100, 200, 300], &[]] {
            let bad = [good, &[65_508, 50]].concat();
            let (sent, result, _) = send(&mut rig, token, messages(&bad), remote, ControlData::default());
            assert_eq!((sent, result), (good.len(), Err(NtStatus::INVALID_BUFFER_SIZE)));
            expect(&peer, good);
            let at_once = |sent| endpoint.try_send_to(&messages(&bad), sent, remote, &ControlData::default());
            if !good.is_empty() {
                assert_eq!(at_once(0), Ok(good.len()), "those before it");
                expect(&peer, good);
            }
            assert_eq!(at_once(good.len()), Err(NtStatus::INVALID_BUFFER_SIZE));
        }
    }

    /// Where the kernel does not cut, the datagrams go one by one, and nobody notices.
    fn refused_units_go_one_by_one(rig: Rig) {
        let (token, endpoint) = sender(&mut rig);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let remote = peer.local_addr().unwrap();
        endpoint.set_option(OptionName::NoChecksum, &OptionValue::Number(1)).unwrap();
        for _ in 0..2 {
            let (sent, result, _) = send(&mut rig, token, messages(&[500; 20]), remote, ControlData::default());
            assert_eq!((sent, result), (20, Ok(())));
            expect(&peer, &[500; 20]);
        }
        assert_eq!(endpoint.try_send_to(&messages(&[500; 20]), 0, remote, &ControlData::default()), Ok(20));
        expect(&peer, &[500; 20]);
    }

    /// C 4.3, C 4.4: UDP_SEND_MSG_SIZE cuts a message, as an option and as control data.
    fn a_message_is_cut_into_datagrams(rig: Rig) {
        let (token, endpoint) = sender(&mut rig);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let remote = peer.local_addr().unwrap();
        let whole = || -> Messages {
            let bytes: Vec<u8> = [[0u8; 1000], [1; 1000]].concat().into_iter().chain([2; 500]).collect();
            smallvec::smallvec![Memory::Vec(bytes)]
        };
        let control = ControlData::default().with_segment_size(1000);
        assert_eq!(send(&mut rig, token, whole(), remote, control).1, Ok(()));
        expect(&peer, &[1000, 1000, 500]);
        endpoint.set_option(OptionName::SegmentSize, &OptionValue::Number(1000)).unwrap();
        assert_eq!(send(&mut rig, token, whole(), remote, ControlData::default()).1, Ok(()));
        expect(&peer, &[1000, 1000, 500]);
        let twice = messages(&[1000, 1000]);
        assert_eq!(endpoint.try_send_to(&twice, 0, remote, &ControlData::default()), Ok(2));
        expect(&peer, &[1000, 1000]);
    }

    /// More than the host queues: the driver waits for room, and the order stays.
    fn a_long_list_waits_for_room(rig: Rig) {
        let (token, endpoint) = sender(&mut rig);
        endpoint.set_option(OptionName::SendBuffer, &OptionValue::Number(4096)).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let remote = peer.local_addr().unwrap();
        let sizes: Vec<usize> = (0..100).map(|n| 700 + n % 7).collect();
        let receiver = std::thread::spawn(move || {
            let mut bytes = [0; 2048];
            (0..100).map(|_| peer.recv(&mut bytes).unwrap()).collect::<Vec<_>>()
        });
        let (sent, result, _) = send(&mut rig, token, messages(&sizes), remote, ControlData::default());
        assert_eq!((sent, result), (100, Ok(())));
        assert_eq!(receiver.join().unwrap(), sizes);
    }

    /// 10,000 datagrams in lists: few system calls on both sides, each datagram by itself and in order, none lost.
    fn lists_are_received_with_few_system_calls(rig: Rig) {
        let (token, endpoint) = receiver(&mut rig);
        let remote = endpoint.local_address().unwrap();
        let (_, sender) = sender(&mut rig);
        rig.submit(token, Operation::ReceiveFromStart);
        let before = rig.transport.counters();
        let (lists, each) = (200, 50);
        let mut longest = 0;
        for list in 0..lists {
            let messages: Messages = (0..each).map(|n| numbered(list * each + n)).collect();
            assert_eq!(sender.try_send_to(&messages, 0, remote, &ControlData::default()), Ok(each));
            let mut came = 0;
            while came < each {
                rig.poll(true);
                let events = rig.take(token);
                longest = longest.max(events.len());
                for event in events {
                    let Event::Datagram(datagram) = event else { panic!("{event:?}") };
                    assert!(datagram.buffer.bytes() == bytes_of(list * each + came), "list {list}, datagram {came}");
                    assert_eq!(datagram.control, ControlData::default());
                    came += 1;
                }
            }
        }
        let after = rig.transport.counters();
        let calls = after.system_calls - before.system_calls;
        eprintln!("{calls} system calls for {} datagrams sent and received, {longest} at once", lists * each);
        assert!(longest > 1 && calls < (lists * each / 5) as u64, "{calls} system calls, {longest} at once");
        assert_eq!(after.datagrams_dropped_by_host, before.datagrams_dropped_by_host);
        assert_eq!((after.bytes_copied, after.buffers_lent), (0, 0));
    }

    /// What a full queue costs is the host's doing, and counted as such.
    fn what_the_host_drops_is_counted(rig: Rig) {
        let (token, endpoint) = receiver(&mut rig);
        endpoint.set_option(OptionName::ReceiveBuffer, &OptionValue::Number(8192)).unwrap();
        let remote = endpoint.local_address().unwrap();
        let (_, sender) = sender(&mut rig);
        let all = 300;
        for n in 0..all {
            assert_eq!(sender.try_send_to(&[numbered(n)], 0, remote, &ControlData::default()), Ok(1));
        }
        rig.submit(token, Operation::ReceiveFromStart);
        let dropped = rig.transport.counters().datagrams_dropped_by_host;
        assert!(dropped > 0);
        for _ in 0..all as u64 - dropped {
            rig.wait(token, |event| if let Event::Datagram(_) = event { Ok(()) } else { Err(event) });
        }
        rig.detach(token, true);
        assert_eq!(rig.transport.counters().datagrams_dropped_by_host, dropped, "of closed endpoints too");
    }

    /// E-86: with UDP_RECV_MAX_COALESCED_SIZE several come as one, up to that length, and carry their size.
    fn e86_datagrams_are_coalesced_if_asked_for(rig: Rig) {
        let (token, endpoint) = receiver(&mut rig);
        let remote = endpoint.local_address().unwrap();
        let (_, sender) = sender(&mut rig);
        for (most, expected) in [(0, vec![900; 10]), (899, vec![900; 10]), (2800, vec![2700, 2700, 2700, 900])] {
            endpoint.set_option(OptionName::CoalescedSize, &OptionValue::Number(most)).unwrap();
            rig.submit(token, Operation::ReceiveFromStart);
            rig.poll(false);
            let list: Messages = (0..10).map(numbered).collect();
            assert_eq!(sender.try_send_to(&list, 0, remote, &ControlData::default()), Ok(10));
            let mut all = Vec::new();
            for len in expected {
                let datagram = rig.wait(token, |event| if let Event::Datagram(d) = event { Ok(d) } else { Err(event) });
                assert_eq!(datagram.buffer.len(), len);
                assert_eq!(datagram.control.coalesced_size(), (len > 900).then_some(900));
                all.extend_from_slice(datagram.buffer.bytes());
            }
            assert!(all == (0..10).flat_map(bytes_of).collect::<Vec<_>>());
            rig.submit(token, Operation::ReceiveFromStop);
            rig.wait(token, |e| if let Event::DatagramsStopped(Ok(())) = e { Ok(()) } else { Err(e) });
        }
    }

    /// E-86: a single receive has one datagram, whatever lies in the queue; the rest waits for the next receives of both kinds.
    fn e86_a_single_receive_never_shows_several(rig: Rig) {
        let (token, endpoint) = receiver(&mut rig);
        let remote = endpoint.local_address().unwrap();
        let (_, sender) = sender(&mut rig);
        let list = || (0..10).map(numbered).collect::<Messages>();
        let single = |rig: &mut Rig, token, n, room: usize| {
            let (memory, result) = rig.wait(token, |event| match event {
                Event::ReceiveFromDone { memory, result } => Ok((memory, result)),
                event => Err(event),
            });
            let Memory::Vec(bytes) = memory else { panic!("{memory:?}") };
            let info = result.unwrap();
            let len = info.len as usize;
            assert_eq!((len, info.flags.is_empty()), (room.min(900), room >= 900));
            assert!(bytes[..len] == bytes_of(n)[..len]);
        };
        // One in flight when the stream begins, another while it goes on.
        for round in 0..4 {
            rig.submit(token, Operation::ReceiveFrom(Memory::Vec(vec![0; 2000])));
            if round & 1 == 0 {
                rig.poll(false);
            }
            if round & 2 == 0 {
                assert_eq!(sender.try_send_to(&list(), 0, remote, &ControlData::default()), Ok(10));
            }
            rig.submit(token, Operation::ReceiveFromStart);
            rig.poll(false);
            if round & 2 != 0 {
                assert_eq!(sender.try_send_to(&list(), 0, remote, &ControlData::default()), Ok(10));
            }
            let mut seen = [false; 10];
            let mut count = 0;
            while count < 10 {
                let number = rig.wait(token, |event| match event {
                    Event::Datagram(datagram) => Ok(number_of(datagram.buffer.bytes())),
                    Event::ReceiveFromDone { memory: Memory::Vec(bytes), result } => {
                        Ok(number_of(&bytes[..result.unwrap().len as usize]))
                    }
                    event => Err(event),
                });
                assert!(!std::mem::replace(&mut seen[number], true));
                count += 1;
            }
            rig.submit(token, Operation::ReceiveFromStop);
            rig.wait(token, |e| if let Event::DatagramsStopped(Ok(())) = e { Ok(()) } else { Err(e) });
            rig.submit(token, Operation::ReceiveFromCancel);
            rig.poll(false);
            rig.poll(false);
            assert!(rig.take(token).iter().all(|event| matches!(event, Event::ReceiveFromDone { result: Err(_), .. })));
        }
        // After the stream: one at a time, short ones too, and the stream has what is left.
        assert_eq!(sender.try_send_to(&list(), 0, remote, &ControlData::default()), Ok(10));
        for (n, room) in [900, 2000, 100, 0].into_iter().enumerate() {
            rig.submit(token, Operation::ReceiveFrom(Memory::Vec(vec![0; room])));
            single(&mut rig, token, n, room);
        }
        rig.submit(token, Operation::ReceiveFromStart);
        for n in 4..10 {
            let datagram = rig.wait(token, |event| if let Event::Datagram(d) = event { Ok(d) } else { Err(event) });
            assert!(datagram.buffer.bytes() == bytes_of(n));
        }
    }

    /// C-41: lists over IPv6, and over IPv4 between dual-mode endpoints, in one call and one message.
    fn c41_lists_go_over_every_family(rig: Rig) {
        for (dual, to) in [(false, "::1"), (true, "::ffff:127.0.0.1"), (true, "::1")] {
            let [(receiving, receiver), (sending, _)] = [(); 2].map(|()| {
                let endpoint = rig.create(Family::V6, Protocol::Udp);
                endpoint.set_option(OptionName::V6Only, &OptionValue::Number(u32::from(!dual))).unwrap();
                endpoint.bind("[::]:0".parse().unwrap(), false).unwrap();
                (rig.attach(&endpoint), endpoint)
            });
            let remote = SocketAddr::new(to.parse().unwrap(), receiver.local_address().unwrap().port());
            rig.submit(receiving, Operation::ReceiveFromStart);
            rig.poll(false);
            let list = (0..40).map(numbered).collect();
            let (sent, result, calls) = send(&mut rig, sending, list, remote, ControlData::default().with_hop_limit(5));
            assert_eq!((sent, result), (40, Ok(())), "{to}");
            assert!(calls <= 6, "{calls} system calls");
            for n in 0..40 {
                let datagram = rig.wait(receiving, |event| if let Event::Datagram(d) = event { Ok(d) } else { Err(event) });
                assert!(datagram.buffer.bytes() == bytes_of(n));
                assert_eq!(datagram.source.ip(), remote.ip());
            }
        }
    }
}
