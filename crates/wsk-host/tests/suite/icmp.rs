//! ICMP errors that others send about earlier datagrams: they are told, and harm nothing else.

use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;

use wsk_abi::NtStatus;
use wsk_abi::flags::ControlFlags;
use wsk_core::control_data::{ControlData, IcmpError};
use wsk_core::memory::Memory;
use wsk_core::option::{OptionName, OptionValue};
use wsk_core::transport::{Endpoint, Event, Family, Operation, Protocol, Token};

use crate::raw::{checksum, raw};
use crate::rig::{Rig, send_to};

fn config() -> wsk_host::Config {
    wsk_host::Config::default()
}

/// Somebody on the path, who can send what he likes.
struct Router(Arc<dyn Endpoint>);

impl Router {
    /// `None`: not here.
    fn new(rig: &Rig) -> Option<Self> {
        let endpoint = raw(rig, Family::V4, 1)?;
        endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        Some(Self(endpoint))
    }

    /// Destination unreachable, with `code` and `info`, about a datagram of 4 bytes.
    fn refuse(&self, code: u8, info: u16, from: SocketAddr, to: SocketAddr) {
        let (SocketAddr::V4(from), SocketAddr::V4(to)) = (from, to) else { panic!("of IPv4") };
        let address = |of: SocketAddrV4| of.ip().octets();
        let datagram = [&from.port().to_be_bytes()[..], &to.port().to_be_bytes(), &[0, 12, 0, 0], b"abcd"].concat();
        let header = [&[0x45, 0, 0, 32, 0, 1, 0x40, 0, 64, 17, 0, 0][..], &address(from), &address(to)].concat();
        let mut error = [&[3, code, 0, 0, 0, 0][..], &info.to_be_bytes(), &header, &datagram].concat();
        let sum = checksum(&error);
        error[2..4].copy_from_slice(&sum);
        let sent =
            self.0.try_send_to(&[Memory::Vec(error)], 0, "127.0.0.1:0".parse().unwrap(), &ControlData::default());
        assert_eq!(sent, Ok(1));
    }
}

/// A sender that is told of errors, and somebody it sends to.
fn told(rig: &mut Rig) -> (Arc<dyn Endpoint>, Token, SocketAddr, UdpSocket) {
    let endpoint = rig.create(Family::V4, Protocol::Udp);
    let local = endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
    endpoint.set_option(OptionName::ReceiveError4, &OptionValue::Number(1)).unwrap();
    let token = rig.attach(&endpoint);
    (endpoint, token, local, UdpSocket::bind("127.0.0.1:0").unwrap())
}

arms! {
    /// F-199, E-84: whatever ICMP says, a receive goes on.
    fn f199_no_icmp_error_ends_a_receive(rig: Rig) {
        let Some(router) = Router::new(&rig) else { return };
        for streamed in [false, true] {
            let (_endpoint, token, local, peer) = told(&mut rig);
            let remote = peer.local_addr().unwrap();
            if streamed {
                rig.submit(token, Operation::ReceiveFromStart);
                rig.poll(false);
            }
            // The receive is there before the error, or comes after it.
            for (code, early) in (0..=15).flat_map(|code| [(code, true), (code, false)]) {
                let begin = |rig: &mut Rig| {
                    if !streamed {
                        rig.submit(token, Operation::ReceiveFrom(Memory::Vec(vec![0; 9])));
                        rig.poll(false);
                    }
                };
                let end = |rig: &mut Rig| {
                    rig.wait(token, |event| match event {
                        Event::Datagram(datagram) if streamed => Ok((datagram.flags, datagram.control)),
                        Event::ReceiveFromDone { result, .. } => {
                            let info = result.unwrap();
                            Ok((info.flags, info.control))
                        }
                        event => Err(event),
                    })
                };
                if early {
                    begin(&mut rig);
                }
                let info = if code == 4 { 1400 } else { 0 };
                router.refuse(code, info, local, remote);
                if !early {
                    begin(&mut rig);
                }
                let (flags, control) = end(&mut rig);
                assert_eq!(flags, ControlFlags::ERRQUEUE, "code {code}");
                let error = IcmpError { protocol: 1, kind: 3, code, info: info.into() };
                assert_eq!(control.error(), Some(error));
                peer.send_to(b"me", local).unwrap();
                begin(&mut rig);
                assert_eq!(end(&mut rig).0, ControlFlags::empty());
            }
            assert!(rig.take(token).is_empty(), "all went on");
        }
    }

    /// E-84: also with many threads, whose datagrams fail one another's calls.
    fn e84_threads_do_not_fail_each_others_sends(rig: Rig) {
        let (endpoint, _token, _, peer) = told(&mut rig);
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let remote = peer.local_addr().unwrap();
        let send = |to| {
            for _ in 0..5000 {
                let sent = endpoint.try_send_to(&[Memory::Static(b"small")], 0, to, &ControlData::default());
                assert!(sent.is_ok(), "{sent:?}"); // 0: there was no room
            }
        };
        std::thread::scope(|scope| {
            for to in [remote, closed, closed, closed] {
                scope.spawn(move || send(to));
            }
        });
    }

    /// E-84: the fate of earlier datagrams fails no later send, alone or in a list, and each is told once.
    fn e84_the_fate_of_earlier_datagrams_fails_no_send(rig: Rig) {
        let Some(router) = Router::new(&rig) else { return };
        let (endpoint, token, local, peer) = told(&mut rig);
        let remote = peer.local_addr().unwrap();
        let mut refused = 0;
        for code in (0..=15).cycle().take(48) {
            for size in [1, 20] {
                let list = || -> wsk_core::transport::Messages { (0..size).map(|_| Memory::Static(b"small")).collect() };
                router.refuse(code, 1400, local, remote);
                assert_eq!(endpoint.try_send_to(&list(), 0, remote, &ControlData::default()), Ok(size), "code {code}");
                router.refuse(code, 1400, local, remote);
                let Operation::SendTo { id, remote, control, .. } = send_to(1, Memory::None, remote) else { panic!() };
                rig.submit(token, Operation::SendTo { id, messages: list(), sent: 0, remote, control });
                let result = rig.wait(token, |event| match event {
                    Event::SendToDone { result, .. } => Ok(result),
                    event => Err(event),
                });
                assert_eq!(result, Ok(()), "code {code}");
                let mut bytes = [0; 9];
                for _ in 0..2 * size {
                    assert_eq!(peer.recv(&mut bytes).unwrap(), 5);
                }
                refused += 2;
            }
        }
        rig.submit(token, Operation::ReceiveFromStart);
        for _ in 0..refused {
            let flags = rig.wait(token, |event| if let Event::Datagram(d) = event { Ok(d.flags) } else { Err(event) });
            assert_eq!(flags, ControlFlags::ERRQUEUE);
        }
        // A fragment that was too large for somebody on the path says nothing of lists.
        let before = rig.transport.counters().system_calls;
        let list: Vec<Memory> = (0..20).map(|_| Memory::Static(b"small")).collect();
        assert_eq!(endpoint.try_send_to(&list, 0, remote, &ControlData::default()), Ok(20));
        assert_eq!(rig.transport.counters().system_calls - before, 1);
    }

    /// Who is told of errors pays for it when there are some.
    fn receives_of_who_is_told_cost_no_more(rig: Rig) {
        let mut calls = [true, false].map(|told_of_errors| {
            let endpoint = rig.create(Family::V4, Protocol::Udp);
            let local = endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
            let on = u32::from(told_of_errors);
            endpoint.set_option(OptionName::ReceiveError4, &OptionValue::Number(on)).unwrap();
            let token = rig.attach(&endpoint);
            let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
            let before = rig.transport.counters().system_calls;
            for _ in 0..50 {
                peer.send_to(b"me", local).unwrap();
                rig.submit(token, Operation::ReceiveFrom(Memory::Vec(vec![0; 9])));
                rig.wait(token, |event| match event {
                    Event::ReceiveFromDone { result, .. } => Ok(result.unwrap()),
                    event => Err(event),
                });
            }
            rig.transport.counters().system_calls - before
        });
        calls.sort_unstable();
        assert!(calls[1] - calls[0] <= 10, "{calls:?} system calls for 50 receives");
    }

    /// A list from an address that nobody can have is refused, which says nothing of lists.
    fn a_source_that_is_none_says_nothing_of_lists(rig: Rig) {
        let (endpoint, token, _, peer) = told(&mut rig);
        let remote = peer.local_addr().unwrap();
        let list = || -> wsk_core::transport::Messages { (0..20).map(|_| Memory::Static(b"small")).collect() };
        let elsewhere = || ControlData::default().with_packet_info("224.0.0.9".parse().unwrap(), 0);
        assert!(endpoint.try_send_to(&list(), 0, remote, &elsewhere()).is_err());
        let Operation::SendTo { id, .. } = send_to(1, Memory::None, remote) else { panic!() };
        rig.submit(token, Operation::SendTo { id, messages: list(), sent: 0, remote, control: elsewhere() });
        let sent = rig.wait(token, |event| match event {
            Event::SendToDone { sent, result, .. } => Ok((sent, result.is_ok())),
            event => Err(event),
        });
        assert_eq!(sent, (0, false));
        let before = rig.transport.counters().system_calls;
        assert_eq!(endpoint.try_send_to(&list(), 0, remote, &ControlData::default()), Ok(20));
        assert_eq!(rig.transport.counters().system_calls - before, 1);
    }

    /// Several threads meet a kernel that refuses to cut: each sends all the same.
    fn a_refused_unit_is_nobodys_failure(rig: Rig) {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let remote = peer.local_addr().unwrap();
        for _ in 0..100 {
            let endpoint = rig.create(Family::V4, Protocol::Udp);
            endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
            endpoint.set_option(OptionName::NoChecksum, &OptionValue::Number(1)).unwrap();
            let gate = std::sync::Barrier::new(4);
            let send = || {
                let list: Vec<Memory> = (0..4).map(|_| Memory::Vec(vec![1; 100])).collect();
                gate.wait();
                endpoint.try_send_to(&list, 0, remote, &ControlData::default())
            };
            std::thread::scope(|scope| {
                let threads = [(); 4].map(|()| scope.spawn(send));
                for thread in threads {
                    let sent: Result<usize, NtStatus> = thread.join().unwrap();
                    assert!(sent.is_ok(), "{sent:?}");
                }
            });
            let mut bytes = [0; 200];
            peer.set_nonblocking(true).unwrap();
            while peer.recv(&mut bytes).is_ok() {}
        }
    }
}
