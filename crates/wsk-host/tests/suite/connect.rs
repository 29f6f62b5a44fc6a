//! Connecting: success, refusal and retry, cancelling, addresses in use.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};

use wsk_abi::NtStatus;
use wsk_core::memory::Memory;
use wsk_core::option::{OptionName, OptionValue};
use wsk_core::transport::{Event, Family, Operation, Protocol, Token};

use crate::rig::{Rig, full_listener};

fn config() -> wsk_host::Config {
    wsk_host::Config::default()
}

fn connected(rig: &mut Rig, token: Token) -> Result<(), NtStatus> {
    rig.wait(token, |event| if let Event::Connected { result, .. } = event { Ok(result.map(drop)) } else { Err(event) })
}

arms! {
    fn a_refused_connect_can_be_retried(rig: Rig) {
        for explicit in [false, true] {
            let spare = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = spare.local_addr().unwrap();
            drop(spare);
            let endpoint = rig.create(Family::V4, Protocol::Tcp);
            let port = if explicit {
                TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
            } else {
                0
            };
            let local = endpoint.bind(format!("0.0.0.0:{port}").parse().unwrap(), false).unwrap();
            let token = rig.attach(&endpoint);
            for _ in 0..2 {
                rig.submit(token, crate::rig::connect(address));
                assert_eq!(connected(&mut rig, token), Err(NtStatus::CONNECTION_REFUSED));
                assert_eq!(endpoint.local_address(), Ok(local), "bound as before");
                assert!(!endpoint.is_dead());
            }
            let listener = TcpListener::bind(address).unwrap();
            rig.submit(token, crate::rig::connect(address));
            assert_eq!(connected(&mut rig, token), Ok(()));
            let (mut peer, from) = listener.accept().unwrap();
            assert_eq!(from.port(), local.port());
            assert_eq!(endpoint.remote_address(), Ok(address));
            assert_eq!(endpoint.local_address(), Ok(from));
            rig.submit(token, Operation::ReceiveStart);
            peer.write_all(b"after all").unwrap();
            assert_eq!(rig.received(token, 9), b"after all");
            rig.detach(token, true);
        }
    }

    fn a_connect_can_be_cancelled_and_retried(rig: Rig) {
        let (full, _held) = full_listener();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = rig.create(Family::V4, Protocol::Tcp);
        let local = endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let token = rig.attach(&endpoint);
        for polls in 0..3 {
            rig.submit(token, crate::rig::connect(full.local_addr().unwrap()));
            for _ in 0..polls {
                rig.poll(false);
            }
            rig.submit(token, Operation::ConnectCancel);
            assert_eq!(connected(&mut rig, token), Err(NtStatus::CANCELLED));
            assert_eq!(endpoint.local_address(), Ok(local));
        }
        rig.submit(token, crate::rig::connect(listener.local_addr().unwrap()));
        assert_eq!(connected(&mut rig, token), Ok(()));
        assert_eq!(listener.accept().unwrap().1, local);
        // Too late: nothing comes of it.
        rig.submit(token, Operation::ConnectCancel);
        rig.poll(false);
        assert!(rig.take(token).is_empty());
    }

    fn a_detach_ends_a_connect(rig: Rig) {
        let (full, _held) = full_listener();
        let endpoint = rig.create(Family::V4, Protocol::Tcp);
        endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let token = rig.attach(&endpoint);
        rig.submit(token, crate::rig::connect(full.local_addr().unwrap()));
        rig.poll(false);
        rig.submit(token, Operation::Detach { abort: true });
        assert_eq!(connected(&mut rig, token), Err(NtStatus::CANCELLED));
        rig.wait_detached(token);
    }

    fn unreachable_and_wrong_addresses_fail(rig: Rig) {
        let endpoint = rig.create(Family::V6, Protocol::Tcp);
        endpoint.bind("[::]:0".parse().unwrap(), false).unwrap();
        let token = rig.attach(&endpoint);
        rig.submit(token, crate::rig::connect("[::ffff:127.0.0.1]:9".parse().unwrap()));
        assert_eq!(connected(&mut rig, token), Err(NtStatus::INVALID_ADDRESS_COMPONENT));
        let dual = rig.create(Family::V6, Protocol::Tcp);
        dual.set_option(OptionName::V6Only, &OptionValue::Number(0)).unwrap();
        dual.bind("[::]:0".parse().unwrap(), false).unwrap();
        let token = rig.attach(&dual);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        rig.submit(token, crate::rig::connect(format!("[::ffff:127.0.0.1]:{port}").parse().unwrap()));
        assert_eq!(connected(&mut rig, token), Ok(()));
        assert!(listener.accept().unwrap().1.is_ipv4());
        assert_eq!(dual.remote_address(), Ok(format!("[::ffff:127.0.0.1]:{port}").parse().unwrap()));
    }

    /// C-51: what another process has is refused; what the subsystem decided about its own sockets is not.
    fn c51_only_strangers_refuse_a_bind(rig: Rig) {
        for (family, local) in [(Family::V4, "127.0.0.1:0"), (Family::V6, "[::1]:0")] {
            // A stranger: a plain socket.
            let stranger = TcpListener::bind(local).unwrap();
            let taken = stranger.local_addr().unwrap();
            let endpoint = rig.create(family, Protocol::Tcp);
            assert_eq!(endpoint.bind(taken, false), Err(NtStatus::ADDRESS_ALREADY_EXISTS));
            let dual = rig.create(Family::V6, Protocol::Tcp);
            dual.set_option(OptionName::V6Only, &OptionValue::Number(0)).unwrap();
            let wildcard = SocketAddr::new("::".parse().unwrap(), taken.port());
            assert_eq!(dual.bind(wildcard, false), Err(NtStatus::ADDRESS_ALREADY_EXISTS));
            drop(stranger);
            assert_eq!(endpoint.bind(taken, false), Ok(taken), "the same endpoint, once it is free");
            // Our own: bound, listening, the same address and the wildcard.
            endpoint.listen().unwrap();
            let second = rig.create(family, Protocol::Tcp);
            assert_eq!(second.bind(taken, true), Ok(taken));
            second.listen().unwrap();
            assert_eq!(dual.bind(wildcard, true), Ok(wildcard));
            dual.listen().unwrap();

            let stranger = UdpSocket::bind(local).unwrap();
            let taken = stranger.local_addr().unwrap();
            let endpoint = rig.create(family, Protocol::Udp);
            assert_eq!(endpoint.bind(taken, false), Err(NtStatus::ADDRESS_ALREADY_EXISTS));
            drop(stranger);
            assert_eq!(endpoint.bind(taken, false), Ok(taken));
            let second = rig.create(family, Protocol::Udp);
            assert_eq!(second.bind(taken, true), Ok(taken));
            // A port of the host's choice is nobody else's, and can be shared all the same.
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let first = rig.create(family, protocol);
                let address = first.bind(local.parse().unwrap(), false).unwrap();
                assert!(address.port() >= 49152, "{address}: the dynamic range of Windows (C 6)");
                let second = rig.create(family, protocol);
                assert_eq!(second.bind(address, true), Ok(address));
                let stranger = match protocol {
                    Protocol::Tcp => {
                        first.listen().unwrap();
                        TcpListener::bind(address).map(drop)
                    }
                    _ => UdpSocket::bind(address).map(drop),
                };
                assert!(stranger.is_err(), "strangers do not get in");
            }
        }
    }

    /// C-52: a server that is started again binds at once, though connections of the old one are in TIME_WAIT.
    fn c52_time_wait_refuses_nothing(rig: Rig) {
        let first = rig.create(Family::V4, Protocol::Tcp);
        let address = first.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        first.listen().unwrap();
        let token = rig.attach(&first);
        rig.submit(token, Operation::AcceptStart);
        let mut peer = std::net::TcpStream::connect(address).unwrap();
        let connection = rig.accept(token).endpoint;
        let connection = rig.attach(&connection);
        // Our side closes first, so TIME_WAIT is ours.
        rig.submit(connection, Operation::Shutdown);
        rig.wait(connection, |e| if let Event::ShutdownDone(Ok(())) = e { Ok(()) } else { Err(e) });
        rig.submit(connection, Operation::ReceiveStart);
        std::io::Read::read_to_end(&mut peer, &mut Vec::new()).unwrap();
        drop(peer);
        rig.wait(connection, |e| if let Event::ReceiveStopped(_) = e { Ok(()) } else { Err(e) });
        rig.detach(connection, false);
        rig.detach(token, false);
        let second = rig.create(Family::V4, Protocol::Tcp);
        assert_eq!(second.bind(address, false), Ok(address));
        second.listen().unwrap();
    }

    fn addresses_that_cannot_be_are_named(rig: Rig) {
        let endpoint = rig.create(Family::V4, Protocol::Tcp);
        for port in [0, 50_123] {
            let elsewhere = format!("192.0.2.200:{port}").parse().unwrap();
            assert_eq!(endpoint.bind(elsewhere, false), Err(NtStatus::INVALID_ADDRESS_COMPONENT));
            assert_eq!(endpoint.bind(format!("[::1]:{port}").parse().unwrap(), false), Err(NtStatus::INVALID_PARAMETER));
        }
        endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
    }

    fn a_pair_of_addresses_is_used_once(rig: Rig) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let endpoints = [0, 1].map(|_| rig.create(Family::V4, Protocol::Tcp));
        let results = endpoints.map(|endpoint| {
            endpoint.bind(local, true).unwrap();
            let token = rig.attach(&endpoint);
            rig.submit(token, crate::rig::connect(listener.local_addr().unwrap()));
            connected(&mut rig, token)
        });
        assert_eq!(results, [Ok(()), Err(NtStatus::ADDRESS_ALREADY_EXISTS)]);
    }

    /// F-156: with the option FastOpen a part of the first data may go with the SYN, and only the rest is to be sent; a listener
    /// that does not know of it, and one that is not there, change nothing.
    fn f156_first_data_arrives_once(rig: Rig) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let data: Vec<u8> = (0..5000u32).map(|n| n as u8).collect();
        for fast in [0, 1, 1] {
            let endpoint = rig.create(Family::V4, Protocol::Tcp);
            endpoint.set_option(OptionName::FastOpen, &OptionValue::Number(fast)).unwrap();
            endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
            let token = rig.attach(&endpoint);
            rig.submit(token, Operation::Connect { remote: address, first: Memory::Vec(data.clone()) });
            let (result, first) = rig.wait(token, |event| match event {
                Event::Connected { result, first } => Ok((result, first)),
                event => Err(event),
            });
            let taken = result.unwrap();
            assert!(matches!(&first, Memory::Vec(bytes) if *bytes == data), "given back as it was");
            assert!(taken == 0 || fast == 1);
            let (mut peer, _) = listener.accept().unwrap();
            rig.submit(token, Operation::Send { parts: smallvec::smallvec![first], offset: taken });
            rig.wait(token, |e| if let Event::SendDone { sent: 5000, result: Ok(()), .. } = e { Ok(()) } else { Err(e) });
            rig.detach(token, false);
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            assert!(all == data);
        }
        drop(listener);
        let endpoint = rig.create(Family::V4, Protocol::Tcp);
        endpoint.set_option(OptionName::FastOpen, &OptionValue::Number(1)).unwrap();
        let local = endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let token = rig.attach(&endpoint);
        for _ in 0..2 {
            rig.submit(token, Operation::Connect { remote: address, first: Memory::Vec(data.clone()) });
            assert_eq!(connected(&mut rig, token), Err(NtStatus::CONNECTION_REFUSED));
            assert_eq!(endpoint.local_address(), Ok(local), "bound as before");
        }
    }
}
