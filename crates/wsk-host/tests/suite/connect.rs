//! Connecting: success, refusal and retry, cancelling, addresses in use.

use std::io::Write;
use std::net::TcpListener;

use wsk_abi::NtStatus;
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

    fn addresses_in_use_are_named(rig: Rig) {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let first = rig.create(Family::V4, Protocol::Tcp);
        first.bind(taken, false).unwrap();
        first.listen().unwrap();
        let second = rig.create(Family::V4, Protocol::Tcp);
        assert_eq!(second.bind(taken, false), Err(NtStatus::ADDRESS_ALREADY_EXISTS));
        assert_eq!(second.bind("192.0.2.200:0".parse().unwrap(), false), Err(NtStatus::INVALID_ADDRESS_COMPONENT));
        assert_eq!(second.bind("[::1]:0".parse().unwrap(), false), Err(NtStatus::INVALID_PARAMETER));
        first.discard(true);
        assert_eq!(second.bind(taken, false), Ok(taken));
        let udp = rig.create(Family::V4, Protocol::Udp);
        let address = udp.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let other = rig.create(Family::V4, Protocol::Udp);
        assert_eq!(other.bind(address, false), Err(NtStatus::ADDRESS_ALREADY_EXISTS));
    }

    fn a_pair_of_addresses_is_used_once(rig: Rig) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let endpoints = [0, 1].map(|_| rig.create(Family::V4, Protocol::Tcp));
        let results = endpoints.map(|endpoint| {
            endpoint.bind(local, false).unwrap();
            let token = rig.attach(&endpoint);
            rig.submit(token, crate::rig::connect(listener.local_addr().unwrap()));
            connected(&mut rig, token)
        });
        assert_eq!(results, [Ok(()), Err(NtStatus::ADDRESS_ALREADY_EXISTS)]);
    }
}
