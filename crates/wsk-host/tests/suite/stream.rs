//! Accepting, receiving in both modes, sending, and the ends of a connection.

use std::io::{Read, Write};
use std::net::TcpStream;

use wsk_abi::NtStatus;
use wsk_core::memory::Memory;
use wsk_core::option::{OptionName, OptionValue};
use wsk_core::transport::{Event, Family, Hangup, Operation, Protocol, StreamEnd, Token};

use crate::rig::{Rig, reset};

fn config() -> wsk_host::Config {
    wsk_host::Config::default()
}

fn receive(rig: &mut Rig, token: Token, room: usize) -> Result<Vec<u8>, StreamEnd> {
    rig.submit(token, Operation::Receive { memory: Memory::Vec(vec![0; room]), offset: 0 });
    received(rig, token)
}

fn received(rig: &mut Rig, token: wsk_core::transport::Token) -> Result<Vec<u8>, StreamEnd> {
    rig.wait(token, |event| match event {
        Event::ReceiveDone { memory: Memory::Vec(bytes), result } => Ok(result.map(|n| bytes[..n].to_vec())),
        event => Err(event),
    })
}

fn stream_end(rig: &mut Rig, token: wsk_core::transport::Token) -> StreamEnd {
    rig.wait(token, |event| if let Event::ReceiveStopped(end) = event { Ok(end) } else { Err(event) })
}

fn hangup(rig: &mut Rig, token: wsk_core::transport::Token) -> Hangup {
    rig.wait(token, |event| if let Event::Hangup(seen) = event { Ok(seen) } else { Err(event) })
}

arms! {
    fn accepts_many_with_their_addresses(rig: Rig) {
        let (listener, address) = rig.listener();
        let peers: Vec<_> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
        for peer in &peers {
            let incoming = rig.accept(listener);
            assert_eq!((incoming.local, incoming.remote), (address, peer.local_addr().unwrap()));
            assert_eq!(incoming.endpoint.local_address(), Ok(address));
            assert_eq!(incoming.endpoint.remote_address(), Ok(peer.local_addr().unwrap()));
            incoming.endpoint.discard(true);
        }
        rig.submit(listener, Operation::AcceptStop);
        rig.wait(listener, |event| if let Event::AcceptStopped(Ok(())) = event { Ok(()) } else { Err(event) });
        // It can be started again.
        rig.submit(listener, Operation::AcceptStart);
        let peer = TcpStream::connect(address).unwrap();
        assert_eq!(rig.accept(listener).remote, peer.local_addr().unwrap());
        rig.detach(listener, false);
    }

    fn echoes_in_the_transports_memory(rig: Rig) {
        let (token, _, mut peer) = rig.pair();
        rig.submit(token, Operation::ReceiveStart);
        for round in 0..200u32 {
            let text = round.to_ne_bytes().repeat(16);
            peer.write_all(&text).unwrap();
            let mut got = 0;
            while got < text.len() {
                let buffer = rig.wait(token, |event| match event {
                    Event::Received { buffer, .. } => Ok(buffer),
                    event => Err(event),
                });
                got += buffer.len();
                let sent = rig.send(token, Memory::Buffers(smallvec::smallvec![buffer]));
                assert_eq!(sent.1, Ok(()));
            }
            let mut echo = vec![0; text.len()];
            peer.read_exact(&mut echo).unwrap();
            assert_eq!(echo, text);
        }
        assert_eq!(rig.transport.counters().buffers_lent, 0);
        assert_eq!(rig.transport.counters().bytes_copied, 0);
    }

    fn echoes_in_client_memory(rig: Rig) {
        let (token, _, mut peer) = rig.pair();
        for round in 0..200u8 {
            peer.write_all(&[round; 64]).unwrap();
            let mut got = Vec::new();
            while got.len() < 64 {
                got.extend(receive(&mut rig, token, 64).unwrap());
            }
            assert_eq!(got, [round; 64]);
            assert_eq!(rig.send(token, Memory::Vec(got)), (64, Ok(())));
            let mut echo = [0; 64];
            peer.read_exact(&mut echo).unwrap();
            assert_eq!(echo, [round; 64]);
        }
    }

    fn a_receive_skips_its_offset(rig: Rig) {
        let (token, endpoint, mut peer) = rig.pair();
        rig.submit(token, Operation::Receive { memory: Memory::Vec(vec![9; 8]), offset: 6 });
        peer.write_all(b"abc").unwrap();
        let (bytes, result) = rig.wait(token, |event| match event {
            Event::ReceiveDone { memory: Memory::Vec(bytes), result } => Ok((bytes, result)),
            event => Err(event),
        });
        assert_eq!((&bytes[..], result), (&[9, 9, 9, 9, 9, 9, b'a', b'b'][..], Ok(2)));
        let mut rest = Memory::Vec(vec![0; 4]);
        assert_eq!(endpoint.unread(), 1);
        assert_eq!(endpoint.try_receive(&mut rest, 1), Ok(Some(1)));
        assert!(matches!(rest, Memory::Vec(bytes) if bytes == [0, b'c', 0, 0]));
        assert_eq!(endpoint.try_receive(&mut Memory::Vec(vec![0; 4]), 0), Ok(None));
    }

    fn sends_all_of_many_pieces(rig: Rig) {
        let (token, _, mut peer) = rig.pair();
        // More pieces than one system call takes, more bytes than the socket holds.
        let parts: wsk_core::transport::Gather =
            (0..3000u32).map(|n| Memory::Vec(n.to_ne_bytes().repeat(250))).collect();
        let whole: Vec<u8> = (0..3000u32).flat_map(|n| n.to_ne_bytes().repeat(250)).collect();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            all
        });
        rig.submit(token, Operation::Send { parts, offset: 1234 });
        let (parts, sent, result) = rig.wait(token, |event| match event {
            Event::SendDone { parts, sent, result } => Ok((parts, sent, result)),
            event => Err(event),
        });
        assert_eq!((parts.len(), sent, result), (3000, whole.len(), Ok(())));
        rig.submit(token, Operation::Shutdown);
        rig.wait(token, |event| if let Event::ShutdownDone(Ok(())) = event { Ok(()) } else { Err(event) });
        assert!(reader.join().unwrap() == whole[1234..]);
    }

    fn a_fin_ends_both_modes_after_the_data(rig: Rig) {
        let (token, endpoint, mut peer) = rig.pair();
        peer.write_all(b"last").unwrap();
        drop(peer);
        assert_eq!(receive(&mut rig, token, 2), Ok(b"la".to_vec()));
        rig.submit(token, Operation::ReceiveStart);
        assert_eq!(rig.received(token, 2), b"st");
        assert_eq!(stream_end(&mut rig, token), StreamEnd::Fin);
        assert_eq!(receive(&mut rig, token, 2), Err(StreamEnd::Fin));
        assert_eq!(endpoint.try_receive(&mut Memory::Vec(vec![0; 1]), 0), Ok(Some(0)));
        assert!(!endpoint.is_dead());
    }

    fn a_reset_is_latched(rig: Rig) {
        let (token, endpoint, peer) = rig.pair();
        rig.submit(token, Operation::ReceiveStart);
        rig.poll(false);
        reset(peer);
        let failed = StreamEnd::Failed(NtStatus::CONNECTION_RESET);
        assert_eq!(stream_end(&mut rig, token), failed);
        for _ in 0..2 {
            assert_eq!(receive(&mut rig, token, 8), Err(failed));
            rig.submit(token, Operation::ReceiveStart);
            assert_eq!(stream_end(&mut rig, token), failed);
            assert_eq!(rig.send(token, Memory::Static(b"x")), (0, Err(NtStatus::CONNECTION_RESET)));
            rig.submit(token, Operation::Watch);
            let seen = hangup(&mut rig, token);
            assert_eq!(seen, Hangup::Failed { status: NtStatus::CONNECTION_RESET, unread: 0 });
            let mut memory = Memory::Vec(vec![0; 8]);
            assert_eq!(endpoint.try_receive(&mut memory, 0), Err(NtStatus::CONNECTION_RESET));
            assert_eq!(endpoint.try_send(&memory, 0), Err(NtStatus::CONNECTION_RESET));
            assert!(endpoint.is_dead());
            rig.submit(token, Operation::Shutdown);
            let event = rig.wait(token, |event| if let Event::ShutdownDone(r) = event { Ok(r) } else { Err(event) });
            assert_eq!(event, Err(NtStatus::CONNECTION_RESET));
        }
    }

    /// The query takes the error that Linux reports once; the receive must not then see a FIN.
    fn a_reset_found_by_a_query_is_no_fin(rig: Rig) {
        let (token, endpoint, peer) = rig.pair();
        reset(peer);
        while !endpoint.is_dead() {
            std::thread::yield_now();
        }
        rig.submit(token, Operation::ReceiveStart);
        assert_eq!(stream_end(&mut rig, token), StreamEnd::Failed(NtStatus::CONNECTION_RESET));
    }

    fn data_before_a_reset_comes_first(rig: Rig) {
        for streaming in [true, false] {
            let (token, endpoint, mut peer) = rig.pair();
            peer.write_all(&[7; 20_000]).unwrap();
            while endpoint.unread() < 20_000 {
                std::thread::yield_now();
            }
            reset(peer);
            while !endpoint.is_dead() {
                std::thread::yield_now();
            }
            let failed = StreamEnd::Failed(NtStatus::CONNECTION_RESET);
            assert_eq!(endpoint.unread(), 20_000);
            if streaming {
                rig.submit(token, Operation::ReceiveStart);
                assert_eq!(rig.received(token, 20_000), [7; 20_000]);
                assert_eq!(stream_end(&mut rig, token), failed);
            } else {
                assert_eq!(receive(&mut rig, token, 15_000), Ok(vec![7; 15_000]));
                assert_eq!(receive(&mut rig, token, 15_000), Ok(vec![7; 5_000]));
                assert_eq!(receive(&mut rig, token, 15_000), Err(failed));
            }
        }
    }

    fn drained_is_told(rig: Rig) {
        let (token, endpoint, mut peer) = rig.pair();
        peer.write_all(&[1; 30_000]).unwrap();
        while endpoint.unread() < 30_000 {
            std::thread::yield_now();
        }
        rig.submit(token, Operation::ReceiveStart);
        let mut flags = Vec::new();
        let mut got = 0;
        while got < 30_000 {
            let (n, drained) = rig.wait(token, |event| match event {
                Event::Received { buffer, drained } => Ok((buffer.len(), drained)),
                event => Err(event),
            });
            got += n;
            flags.push(drained);
        }
        assert_eq!(flags.pop(), Some(true));
        assert!(flags.iter().all(|drained| !drained), "{flags:?}");
    }

    fn a_stopped_stream_loses_nothing(rig: Rig) {
        let (token, _, mut peer) = rig.pair();
        let mut all = Vec::new();
        for round in 0..50u8 {
            rig.submit(token, Operation::ReceiveStart);
            peer.write_all(&[round; 100]).unwrap();
            if round % 2 == 0 {
                rig.poll(false);
            }
            rig.submit(token, Operation::ReceiveStop);
            let end = rig.wait(token, |event| match event {
                Event::Received { buffer, .. } => {
                    all.extend_from_slice(buffer.bytes());
                    Err(Event::Received { buffer, drained: false })
                }
                Event::ReceiveStopped(end) => Ok(end),
                event => Err(event),
            });
            assert_eq!(end, StreamEnd::Stopped);
            rig.take(token);
        }
        drop(peer);
        loop {
            match receive(&mut rig, token, 512) {
                Ok(bytes) => all.extend(bytes),
                Err(end) => break assert_eq!(end, StreamEnd::Fin),
            }
        }
        let expected: Vec<u8> = (0..50).flat_map(|round| [round; 100]).collect();
        assert!(all == expected, "{} bytes of {}", all.len(), expected.len());
    }

    fn a_watch_sees_the_end_without_reading(rig: Rig) {
        let (token, _, mut peer) = rig.pair();
        rig.submit(token, Operation::Watch);
        rig.poll(false);
        peer.write_all(b"unread").unwrap();
        drop(peer);
        assert_eq!(hangup(&mut rig, token), Hangup::Fin { unread: 6 });
        assert_eq!(receive(&mut rig, token, 16), Ok(b"unread".to_vec()));

        let (token, _, mut peer) = rig.pair();
        peer.write_all(b"unread").unwrap();
        reset(peer);
        rig.submit(token, Operation::Watch);
        assert_eq!(hangup(&mut rig, token), Hangup::Failed { status: NtStatus::CONNECTION_RESET, unread: 6 });
        assert_eq!(receive(&mut rig, token, 16), Ok(b"unread".to_vec()));
        assert_eq!(receive(&mut rig, token, 16), Err(StreamEnd::Failed(NtStatus::CONNECTION_RESET)));
    }

    fn an_incoming_connection_is_watched(rig: Rig) {
        let (listener, address) = rig.listener();
        let ended = |rig: &mut Rig| {
            rig.wait(listener, |event| match event {
                Event::IncomingEnded { id, gone } => Ok((id.0, gone)),
                event => Err(event),
            })
        };
        for (n, how) in ["fin", "reset", "stop", "detach"].into_iter().enumerate() {
            let peer = TcpStream::connect(address).unwrap();
            let incoming = rig.accept(listener);
            let id = wsk_core::transport::IncomingId(n as u64);
            rig.submit(listener, Operation::WatchIncoming(id, incoming.endpoint.clone()));
            rig.poll(false);
            match how {
                "fin" => drop(peer),
                "reset" => reset(peer),
                "stop" => rig.submit(listener, Operation::UnwatchIncoming(id)),
                _ => rig.submit(listener, Operation::Detach { abort: false }),
            }
            assert_eq!(ended(&mut rig), (n as u64, how == "fin" || how == "reset"));
            if how == "stop" {
                // Now it can be taken.
                let token = rig.attach(&incoming.endpoint);
                assert_eq!(rig.send(token, Memory::Static(b"hello")), (5, Ok(())));
            }
        }
        rig.wait_detached(listener);
    }

    fn a_shutdown_ends_when_the_peer_acknowledges(rig: Rig) {
        let (token, endpoint, mut peer) = rig.pair();
        assert_eq!(rig.send(token, Memory::Static(b"bye")), (3, Ok(())));
        rig.submit(token, Operation::Shutdown);
        let result = rig.wait(token, |event| if let Event::ShutdownDone(r) = event { Ok(r) } else { Err(event) });
        assert_eq!(result, Ok(()));
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"bye");
        // The other direction goes on.
        peer.write_all(b"more").unwrap();
        assert_eq!(receive(&mut rig, token, 16), Ok(b"more".to_vec()));
        drop(peer);
        assert_eq!(receive(&mut rig, token, 16), Err(StreamEnd::Fin));
        assert!(!endpoint.is_dead());
    }

    fn a_shutdown_waits_behind_the_data_and_meets_the_reset(rig: Rig) {
        for how in ["reset", "cancel", "read"] {
            let (token, endpoint, mut peer) = rig.pair();
            let block = Memory::Vec(vec![1; 65_536]);
            let mut sent = 0;
            while let Some(n) = endpoint.try_send(&block, 0).unwrap() {
                sent += n;
            }
            rig.submit(token, Operation::Shutdown);
            for _ in 0..10 {
                rig.poll(false);
            }
            assert!(rig.take(token).is_empty(), "the FIN cannot be acknowledged yet");
            match how {
                "reset" => drop(peer), // with data unread
                "cancel" => rig.submit(token, Operation::ShutdownCancel),
                _ => {
                    let mut all = Vec::new();
                    peer.read_to_end(&mut all).unwrap();
                    assert_eq!(all.len(), sent);
                }
            }
            let result = rig.wait(token, |event| if let Event::ShutdownDone(r) = event { Ok(r) } else { Err(event) });
            assert_eq!(result, match how {
                "reset" => Err(NtStatus::CONNECTION_RESET),
                "cancel" => Err(NtStatus::CANCELLED),
                _ => Ok(()),
            });
            rig.detach(token, true);
        }
    }

    fn both_sides_shut_down(rig: Rig) {
        let (token, _, peer) = rig.pair();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        rig.submit(token, Operation::ReceiveStart);
        assert_eq!(stream_end(&mut rig, token), StreamEnd::Fin);
        rig.submit(token, Operation::Shutdown);
        let result = rig.wait(token, |event| if let Event::ShutdownDone(r) = event { Ok(r) } else { Err(event) });
        assert_eq!(result, Ok(()));
        rig.detach(token, false);
    }

    fn a_dual_mode_listener_serves_both_families(rig: Rig) {
        let endpoint = rig.create(Family::V6, Protocol::Tcp);
        endpoint.set_option(OptionName::V6Only, &OptionValue::Number(0)).unwrap();
        let address = endpoint.bind("[::]:0".parse().unwrap(), false).unwrap();
        assert!((49152..=65535).contains(&address.port()), "{address}");
        endpoint.listen().unwrap();
        let listener = rig.attach(&endpoint);
        rig.submit(listener, Operation::AcceptStart);
        let v4 = TcpStream::connect(("127.0.0.1", address.port())).unwrap();
        let incoming = rig.accept(listener);
        let mapped = |port| format!("[::ffff:127.0.0.1]:{port}").parse().unwrap();
        assert_eq!(incoming.remote, mapped(v4.local_addr().unwrap().port()));
        assert_eq!(incoming.local, mapped(address.port()));
        let v6 = TcpStream::connect(("::1", address.port())).unwrap();
        assert_eq!(rig.accept(listener).remote, v6.local_addr().unwrap());
    }

    fn options_and_figures(rig: Rig) {
        let (token, endpoint, _peer) = rig.pair();
        assert_eq!(endpoint.set_option(OptionName::KeepAlive, &OptionValue::Number(1)), Ok(()));
        assert_eq!(endpoint.set_option(OptionName::ReceiveBuffer, &OptionValue::Number(50_000)), Ok(()));
        assert_eq!(endpoint.option(OptionName::ReceiveBuffer), Ok(OptionValue::Number(50_000)));
        assert_eq!(endpoint.set_option(OptionName::KeepIdle, &OptionValue::Number(77)), Ok(()));
        assert_eq!(endpoint.option(OptionName::KeepIdle), Ok(OptionValue::Number(77)));
        assert_eq!(endpoint.option(OptionName::HopLimit6), Err(NtStatus::INVALID_PARAMETER));
        assert!(endpoint.ideal_send_backlog() >= 64 * 1024);
        rig.detach(token, true);
        assert_eq!(endpoint.try_send(&Memory::Static(b"x"), 0), Err(NtStatus::FILE_FORCED_CLOSED));
        assert!(rig.transport.counters().system_calls > 0);
        assert!(!rig.transport.reason().is_empty());
    }

    fn many_sockets_all_get_through(rig: Rig) {
        let (listener, address) = rig.listener();
        let mut peers: Vec<TcpStream> = (0..500).map(|_| TcpStream::connect(address).unwrap()).collect();
        let tokens: Vec<Token> = (0..500)
            .map(|_| {
                let incoming = rig.accept(listener);
                let token = rig.attach(&incoming.endpoint);
                rig.submit(token, Operation::ReceiveStart);
                token
            })
            .collect();
        for round in 0..3u8 {
            for peer in &mut peers {
                peer.write_all(&[round; 64]).unwrap();
            }
            for token in &tokens {
                let data = rig.received(*token, 64);
                rig.submit(*token, Operation::Send { parts: smallvec::smallvec![Memory::Vec(data)], offset: 0 });
            }
            for token in &tokens {
                rig.wait(*token, |e| if let Event::SendDone { result: Ok(()), .. } = e { Ok(()) } else { Err(e) });
            }
            for peer in &mut peers {
                let mut echo = [0; 64];
                peer.read_exact(&mut echo).unwrap();
                assert_eq!(echo, [round; 64]);
            }
        }
        for token in tokens {
            rig.detach(token, true);
        }
    }
}
