//! Closing: RST by an abort, completed sends first, and everything in flight ended before.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wsk_abi::NtStatus;
use wsk_core::memory::Memory;
use wsk_core::transport::{Event, Family, Operation, Protocol};

fn config() -> wsk_host::Config {
    wsk_host::Config::default()
}

fn read_to_reset(peer: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let error = peer.read_to_end(&mut all).expect_err("a reset, not a FIN");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    all
}

arms! {
    fn an_abort_sends_a_reset(rig: Rig) {
        let (token, _, mut peer) = rig.pair();
        rig.detach(token, true);
        assert!(read_to_reset(&mut peer).is_empty());
    }

    fn a_plain_close_sends_a_fin(rig: Rig) {
        let (token, _, mut peer) = rig.pair();
        assert_eq!(rig.send(token, Memory::Static(b"bye")), (3, Ok(())));
        rig.detach(token, false);
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"bye");
    }

    fn an_abort_with_everything_in_flight(rig: Rig) {
        let (token, endpoint, mut peer) = rig.pair();
        let block = Memory::Vec(vec![1; 65_536]);
        while endpoint.try_send(&block, 0).unwrap().is_some() {}
        rig.submit(token, Operation::ReceiveStart);
        rig.submit(token, Operation::Watch);
        rig.submit(token, Operation::Send { parts: smallvec::smallvec![Memory::Vec(vec![2; 1 << 20])], offset: 0 });
        rig.poll(false);
        rig.submit(token, Operation::Detach { abort: true });
        rig.wait_detached(token);
        let kinds: Vec<_> = rig.take(token).into_iter().map(|event| matches!(event, Event::Detached)).collect();
        assert_eq!(kinds.len(), 3, "each operation has ended");
        drop(rig); // the driver: the RST waits for nothing any more
        read_to_reset(&mut peer);
    }

    /// F-113, F-162: the data of completed sends survives the abort.
    fn completed_sends_survive_an_abort(rig: Rig) {
        let (token, _, mut peer) = rig.pair();
        let bell = rig.driver.as_ref().unwrap().doorbell();
        let done = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&done);
        let reader = std::thread::spawn(move || {
            let (mut all, mut piece) = (Vec::new(), vec![0; 4096]);
            let error = loop {
                match peer.read(&mut piece) {
                    Ok(0) => panic!("a FIN"),
                    Ok(n) => all.extend_from_slice(&piece[..n]),
                    Err(error) => break error,
                }
            };
            ended.store(true, Ordering::Release);
            bell.ring();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            all
        });
        let data: Vec<u8> = (0..4 << 20).map(|n: u32| (n / 7) as u8).collect();
        assert_eq!(rig.send(token, Memory::Vec(data.clone())), (data.len(), Ok(())));
        rig.detach(token, true);
        while !done.load(Ordering::Acquire) {
            rig.poll(true); // until the reader rings
        }
        assert!(reader.join().unwrap() == data);
    }

    fn a_peer_that_never_reads_is_reset_in_the_end(rig: Rig) {
        let (token, endpoint, mut peer) = rig.pair();
        let block = Memory::Vec(vec![1; 65_536]);
        let mut sent = 0;
        while let Some(n) = endpoint.try_send(&block, 0).unwrap() {
            sent += n;
        }
        rig.detach(token, true);
        let bell = rig.driver.as_ref().unwrap().doorbell();
        let reader = std::thread::spawn(move || {
            // HUP comes with the reset only.
            let mut fds = [rustix::event::PollFd::new(&peer, rustix::event::PollFlags::empty())];
            rustix::event::poll(&mut fds, None).unwrap();
            bell.ring();
            let mut all = Vec::new();
            let error = peer.read_to_end(&mut all).unwrap_err();
            (all.len(), error.kind())
        });
        rig.poll(true);
        let (got, error) = reader.join().unwrap();
        assert!(got < sent && error == ErrorKind::ConnectionReset, "{got} of {sent}, {error}");
    }

    fn a_discarded_connection_is_reset(rig: Rig) {
        let (listener, address) = rig.listener();
        for watched in [false, true] {
            let mut peer = TcpStream::connect(address).unwrap();
            let incoming = rig.accept(listener);
            if watched {
                let id = wsk_core::transport::IncomingId(1);
                rig.submit(listener, Operation::WatchIncoming(id, incoming.endpoint.clone()));
                rig.poll(false);
            }
            incoming.endpoint.discard(true);
            assert!(read_to_reset(&mut peer).is_empty());
            if watched {
                rig.wait(listener, |event| match event {
                    Event::IncomingEnded { .. } => Ok(()),
                    event => Err(event),
                });
            }
        }
    }

    fn closing_a_listener_resets_what_waits(rig: Rig) {
        let (listener, address) = rig.listener();
        rig.submit(listener, Operation::AcceptStop);
        rig.wait(listener, |event| if let Event::AcceptStopped(Ok(())) = event { Ok(()) } else { Err(event) });
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(b"hello?").unwrap();
        rig.detach(listener, true);
        assert!(read_to_reset(&mut peer).is_empty());
        assert!(TcpStream::connect(address).is_err());
    }

    fn buffers_outlive_the_driver(rig: Rig) {
        let (token, endpoint, mut peer) = rig.pair();
        rig.submit(token, Operation::ReceiveStart);
        peer.write_all(b"kept").unwrap();
        let buffer = rig.wait(token, |event| match event {
            Event::Received { buffer, .. } => Ok(buffer),
            event => Err(event),
        });
        rig.submit(token, Operation::Receive { memory: Memory::Vec(vec![0; 64]), offset: 0 });
        rig.submit(token, Operation::Watch);
        drop(rig.driver.take());
        peer.write_all(b"ignored").unwrap();
        assert_eq!(buffer.bytes(), b"kept");
        assert_eq!(rig.transport.counters().buffers_lent, 1);
        assert!(!endpoint.is_dead());
    }

    fn operations_on_unknown_sockets_end(rig: Rig) {
        let token = rig.token();
        let (sent, result) = rig.send(token, Memory::Static(b"x"));
        assert_eq!((sent, result), (0, Err(wsk_abi::NtStatus::FILE_FORCED_CLOSED)));
        rig.submit(token, Operation::AcceptStop);
        rig.submit(token, Operation::Watch);
        rig.wait(token, |event| if let Event::Hangup(_) = event { Ok(()) } else { Err(event) });
    }

    /// C-31: a connection to this machine cannot be silenced.
    fn c31_loopback_is_not_silenced(rig: Rig) {
        let (token, endpoint, mut peer) = rig.pair();
        assert_eq!(endpoint.silence(), Err(NtStatus::NOT_SUPPORTED));
        let (_, result) = rig.send(token, Memory::Static(b"still here"));
        assert_eq!(result, Ok(()));
        let mut bytes = [0; 10];
        std::io::Read::read_exact(&mut peer, &mut bytes).unwrap();
        let unconnected = rig.create(Family::V4, Protocol::Tcp);
        assert_eq!(unconnected.silence(), Err(NtStatus::INVALID_DEVICE_STATE));
    }
}
