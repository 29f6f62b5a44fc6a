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
            let (sent, result, calls) = send(&mut rig, token, messages(sizes), remote, none);
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
}
