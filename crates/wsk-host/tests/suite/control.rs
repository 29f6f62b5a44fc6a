//! Control data end to end: what was asked for comes with a datagram, what is given with a send acts on it.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use wsk_abi::NtStatus;
use wsk_abi::flags::ControlFlags;
use wsk_core::control_data::{ControlData, ControlKinds};
use wsk_core::memory::Memory;
use wsk_core::option::{OptionName, OptionValue};
use wsk_core::transport::{DatagramInfo, Endpoint, Event, Family, Operation, Protocol, SendId, Token};

use crate::rig::Rig;

fn config() -> wsk_host::Config {
    wsk_host::Config::default()
}

use OptionName::*;

const ALL: [OptionName; 12] = [
    PacketInfo4,
    ReceiveHopLimit4,
    ReceiveTos,
    Ecn4,
    ReceiveInterface4,
    ReceiveDestination4,
    PacketInfo6,
    ReceiveHopLimit6,
    ReceiveTrafficClass6,
    Ecn6,
    ReceiveInterface6,
    ReceiveDestination6,
];

fn bound(rig: &Rig, family: Family, dual: bool, local: &str) -> (Arc<dyn Endpoint>, SocketAddr) {
    let endpoint = rig.create(family, Protocol::Udp);
    if dual {
        endpoint.set_option(V6Only, &OptionValue::Number(0)).unwrap();
    }
    let local = endpoint.bind(local.parse().unwrap(), false).unwrap();
    (endpoint, local)
}

fn ask(endpoint: &dyn Endpoint, options: &[OptionName], on: u32) {
    for option in options {
        // An IPv4 socket has none of IPv6.
        let _ = endpoint.set_option(*option, &OptionValue::Number(on));
    }
}

/// The next datagram by both ways of receiving: one into the transport's memory, one into ours.
fn both_ways(rig: &mut Rig, token: Token, mut send: impl FnMut(&mut Rig)) -> [(SocketAddr, ControlData); 2] {
    send(rig);
    rig.submit(token, Operation::ReceiveFrom(Memory::Vec(vec![0; 64])));
    let DatagramInfo { source, control, .. } = rig.wait(token, |event| match event {
        Event::ReceiveFromDone { result, .. } => Ok(result.unwrap()),
        event => Err(event),
    });
    rig.submit(token, Operation::ReceiveFromStart);
    send(rig);
    let streamed = rig.wait(token, |event| match event {
        Event::Datagram(datagram) => Ok((datagram.source, datagram.control)),
        event => Err(event),
    });
    rig.submit(token, Operation::ReceiveFromStop);
    rig.wait(token, |e| if let Event::DatagramsStopped(Ok(())) = e { Ok(()) } else { Err(e) });
    [(source, control), streamed]
}

arms! {
    /// C-21, C-22, C-42, E-83: PKTINFO, hop limit, class and ECN over IPv4, IPv6, and IPv4 on a dual-mode socket.
    fn e83_control_data_comes_and_goes(rig: Rig) {
        let rows = [
            (Family::V4, false, "127.0.0.1:0", "127.0.0.1", "127.0.0.77"),
            (Family::V6, false, "[::1]:0", "::1", "::1"),
            (Family::V6, true, "[::]:0", "127.0.0.1", "127.0.0.77"),
            (Family::V6, true, "[::]:0", "::1", "::1"),
        ];
        for (family, dual, local, to, from) in rows {
            let what = format!("{family:?}, dual {dual}, to {to}");
            let (receiver, address) = bound(&rig, family, dual, local);
            let token = rig.attach(&receiver);
            let (to, from): (IpAddr, IpAddr) = (to.parse().unwrap(), from.parse().unwrap());
            // The sender is dual as well: its destination is mapped then.
            let wildcard = if family == Family::V4 { "0.0.0.0:0" } else { "[::]:0" };
            let (sender, _) = bound(&rig, family, dual, wildcard);
            let remote = match to {
                IpAddr::V4(v4) if dual => SocketAddr::new(v4.to_ipv6_mapped().into(), address.port()),
                to => SocketAddr::new(to, address.port()),
            };
            let control = ControlData::new(to.is_ipv6())
                .with_packet_info(from, 0)
                .with_hop_limit(9)
                .with_traffic_class(0xB8)
                .with_ecn(2);
            let sending = rig.attach(&sender);
            let send = |rig: &mut Rig| {
                let messages = smallvec::smallvec![Memory::Static(b"x")];
                let operation = Operation::SendTo { id: SendId(1), messages, sent: 0, remote, control: control.clone() };
                rig.submit(sending, operation);
                rig.wait(sending, |event| match event {
                    Event::SendToDone { result: Ok(()), .. } => Ok(()),
                    event => Err(event),
                });
            };
            for (_, seen) in both_ways(&mut rig, token, send) {
                assert!(seen.is_empty(), "{what}: nothing was asked for, and there is {seen:?}");
            }
            ask(&*receiver, &ALL, 1);
            let at_once = |_: &mut Rig| {
                assert_eq!(sender.try_send_to(&[Memory::Static(b"x")], 0, remote, &control), Ok(1));
            };
            let driven = both_ways(&mut rig, token, send);
            for (source, seen) in driven.into_iter().chain(both_ways(&mut rig, token, at_once)) {
                let unmapped = source.ip().to_canonical();
                assert_eq!(unmapped, from, "{what}: the source that was chosen");
                let (address, index) = seen.packet_info().expect("packet info");
                assert_eq!((address, index), (to, 1), "{what}");
                assert_eq!((seen.interface(), seen.destination()), (Some(1), Some(to)), "{what}");
                assert_eq!((seen.hop_limit(), seen.traffic_class(), seen.ecn()), (Some(9), Some(0xBA), Some(2)), "{what}");
            }
            // One kind alone, and of the right family alone (C-42).
            ask(&*receiver, &ALL, 0);
            ask(&*receiver, if to.is_ipv4() { &[Ecn4, PacketInfo6] } else { &[Ecn6, PacketInfo4] }, 1);
            for (_, seen) in both_ways(&mut rig, token, at_once) {
                assert_eq!((seen.kinds(), seen.ecn()), (ControlKinds::ECN, Some(2)), "{what}");
            }
        }
    }

    /// C-21: ECN by itself leaves the class that the socket has; control data of another family is ignored.
    fn c21_ecn_alone_keeps_the_class(rig: Rig) {
        let (receiver, address) = bound(&rig, Family::V4, false, "127.0.0.1:0");
        let token = rig.attach(&receiver);
        ask(&*receiver, &[ReceiveTos, Ecn4], 1);
        let (sender, _) = bound(&rig, Family::V4, false, "127.0.0.1:0");
        sender.set_option(Tos, &OptionValue::Number(0x28)).unwrap();
        let control = ControlData::default().with_ecn(1).with_packet_info("::1".parse().unwrap(), 1);
        let send = |_: &mut Rig| {
            assert_eq!(sender.try_send_to(&[Memory::Static(b"x")], 0, address, &control), Ok(1));
        };
        for (_, seen) in both_ways(&mut rig, token, send) {
            assert_eq!((seen.traffic_class(), seen.ecn()), (Some(0x29), Some(1)));
        }
    }

    /// E-84: an ICMP error comes as a datagram, from where the failed one went, on every kind of endpoint and receive; whoever
    /// met it first. F-199: what follows is received as ever.
    fn e84_icmp_errors_come_as_datagrams(rig: Rig) {
        let rows = [
            (Family::V4, false, "127.0.0.1:0", "127.0.0.1", 1, 3, 3),
            (Family::V6, false, "[::1]:0", "::1", 58, 1, 4),
            (Family::V6, true, "[::]:0", "::ffff:127.0.0.1", 1, 3, 3),
        ];
        for (family, dual, local, to, protocol, kind, code) in rows {
            let (endpoint, address) = bound(&rig, family, dual, local);
            let token = rig.attach(&endpoint);
            let to: IpAddr = to.parse().unwrap();
            let plain: SocketAddr = if to.is_ipv4() || dual { "127.0.0.1:0" } else { "[::1]:0" }.parse().unwrap();
            let nobody = SocketAddr::new(to, UdpSocket::bind(plain).unwrap().local_addr().unwrap().port());
            let peer = UdpSocket::bind(plain).unwrap();
            let back = SocketAddr::new(plain.ip(), address.port());
            ask(&*endpoint, &[ReceiveError4, ReceiveError6], 1);
            // With everything else there still is room for the error, which comes last.
            ask(&*endpoint, &ALL, 1);
            let check = |source, flags, control: ControlData| {
                assert_eq!((source, flags), (nobody, ControlFlags::ERRQUEUE));
                let error = control.error().expect("an error");
                assert_eq!((error.protocol, error.kind, error.code), (protocol, kind, code));
            };
            for round in 0..8 {
                let (streamed, driven, before) = (round & 1 != 0, round & 2 != 0, round & 4 != 0);
                let start = |rig: &mut Rig| rig.submit(token, match streamed {
                    true => Operation::ReceiveFromStart,
                    false => Operation::ReceiveFrom(Memory::Vec(vec![0; 8])),
                });
                if before {
                    start(&mut rig);
                    rig.poll(false);
                }
                let sends = if streamed { 3 } else { 1 };
                for _ in 0..sends {
                    if driven {
                        rig.submit(token, crate::rig::send_to(1, Memory::Static(b"anyone?"), nobody));
                        rig.wait(token, |e| if let Event::SendToDone { result: Ok(()), .. } = e { Ok(()) } else { Err(e) });
                    } else {
                        let messages = [Memory::Static(b"anyone?")];
                        assert_eq!(endpoint.try_send_to(&messages, 0, nobody, &ControlData::default()), Ok(1));
                    }
                }
                if !before {
                    start(&mut rig);
                }
                for _ in 0..sends {
                    rig.wait(token, |event| match event {
                        Event::Datagram(datagram) => {
                            assert!(datagram.buffer.is_empty());
                            check(datagram.source, datagram.flags, datagram.control);
                            Ok(())
                        }
                        Event::ReceiveFromDone { result, .. } => {
                            let info = result.unwrap();
                            check(info.source, info.flags, info.control);
                            Ok(())
                        }
                        event => Err(event),
                    });
                }
                if streamed {
                    peer.send_to(b"me", back).unwrap();
                    rig.wait(token, |event| match event {
                        Event::Datagram(datagram) if datagram.buffer.bytes() == b"me" => Ok(()),
                        event => Err(event),
                    });
                    rig.submit(token, Operation::ReceiveFromStop);
                    rig.wait(token, |e| if let Event::DatagramsStopped(Ok(())) = e { Ok(()) } else { Err(e) });
                }
            }
        }
    }

    /// SIO_UDP_CONNRESET (control.md 4.5): an unreachable port is told, if that was asked for, and the receive goes on.
    fn unreachable_ports_are_reported(rig: Rig) {
        let (endpoint, address) = bound(&rig, Family::V4, false, "127.0.0.1:0");
        let token = rig.attach(&endpoint);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        endpoint.report_unreachable(true, true).unwrap();
        for streamed in [false, true] {
            rig.submit(token, match streamed {
                true => Operation::ReceiveFromStart,
                false => Operation::ReceiveFrom(Memory::Vec(vec![0; 8])),
            });
            rig.submit(token, crate::rig::send_to(1, Memory::Static(b"anyone?"), nobody));
            let status = rig.wait(token, |e| if let Event::Unreachable(status) = e { Ok(status) } else { Err(e) });
            assert_eq!(status, NtStatus::PORT_UNREACHABLE);
            rig.wait(token, |e| if let Event::SendToDone { result: Ok(()), .. } = e { Ok(()) } else { Err(e) });
            peer.send_to(b"me", address).unwrap();
            rig.wait(token, |event| match event {
                Event::Datagram(_) | Event::ReceiveFromDone { result: Ok(_), .. } => Ok(()),
                event => Err(event),
            });
        }
        endpoint.report_unreachable(false, false).unwrap();
        rig.submit(token, crate::rig::send_to(1, Memory::Static(b"anyone?"), nobody));
        rig.wait(token, |e| if let Event::SendToDone { result: Ok(()), .. } = e { Ok(()) } else { Err(e) });
        peer.send_to(b"me", address).unwrap();
        rig.wait(token, |e| if let Event::Datagram(_) = e { Ok(()) } else { Err(e) });
        assert!(rig.take(token).is_empty());
    }

    /// E-83, E-85: datagrams that came as one have the control data of that one, all of it, each.
    fn e83_every_datagram_of_a_list_has_its_control_data(rig: Rig) {
        let (receiver, address) = bound(&rig, Family::V6, true, "[::]:0");
        ask(&*receiver, &ALL, 1);
        let token = rig.attach(&receiver);
        rig.submit(token, Operation::ReceiveFromStart);
        rig.poll(false);
        for to in ["::ffff:127.0.0.1", "::1"] {
            let (sender, _) = bound(&rig, Family::V6, true, "[::]:0");
            let to: IpAddr = to.parse().unwrap();
            let control = ControlData::default().with_hop_limit(7).with_traffic_class(0x22);
            let list: Vec<Memory> = (0..20).map(|_| Memory::Vec(vec![1; 700])).collect();
            let sent = sender.try_send_to(&list, 0, SocketAddr::new(to, address.port()), &control);
            assert_eq!(sent, Ok(20));
            let to = to.to_canonical();
            for _ in 0..20 {
                let datagram = rig.wait(token, |e| if let Event::Datagram(datagram) = e { Ok(datagram) } else { Err(e) });
                assert_eq!(datagram.buffer.len(), 700);
                let seen = &datagram.control;
                assert_eq!((seen.packet_info(), seen.interface(), seen.destination()), (Some((to, 1)), Some(1), Some(to)));
                assert_eq!((seen.hop_limit(), seen.traffic_class(), seen.ecn()), (Some(7), Some(0x22), Some(2)));
            }
        }
    }

    /// E-84: a send that fails here and now is told by its own result only, though Linux puts it into the error queue as well.
    fn e84_local_errors_are_no_datagrams(rig: Rig) {
        let (endpoint, address) = bound(&rig, Family::V4, false, "127.0.0.1:0");
        ask(&*endpoint, &[ReceiveError4], 1);
        let token = rig.attach(&endpoint);
        rig.submit(token, Operation::ReceiveFromStart);
        rig.poll(false);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let remote = peer.local_addr().unwrap();
        for driven in [false, true] {
            let too_long = || Memory::Vec(vec![0; 65_510]);
            if driven {
                rig.submit(token, crate::rig::send_to(1, too_long(), remote));
                let failed = Err(NtStatus::INVALID_BUFFER_SIZE);
                rig.wait(token, |e| match e {
                    Event::SendToDone { result, .. } if result == failed => Ok(()),
                    e => Err(e),
                });
            } else {
                let result = endpoint.try_send_to(&[too_long()], 0, remote, &ControlData::default());
                assert_eq!(result, Err(NtStatus::INVALID_BUFFER_SIZE));
            }
            let before = rig.transport.counters().system_calls;
            for _ in 0..5 {
                rig.poll(false);
            }
            peer.send_to(b"me", address).unwrap();
            let datagram = rig.wait(token, |e| if let Event::Datagram(datagram) = e { Ok(datagram) } else { Err(e) });
            assert_eq!(datagram.buffer.bytes(), b"me");
            assert!(rig.take(token).is_empty());
            let calls = rig.transport.counters().system_calls - before;
            assert!(calls < 24, "{calls} system calls: nobody keeps looking");
        }
    }
}
