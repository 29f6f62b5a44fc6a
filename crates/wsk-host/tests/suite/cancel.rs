//! Cancelling each operation: exactly one terminal event, whatever races, and the socket goes on.

use std::io::Write;

use wsk_abi::NtStatus;
use wsk_core::memory::Memory;
use wsk_core::transport::{Event, Hangup, Operation, StreamEnd};

use crate::rig::Rig;

fn config() -> wsk_host::Config {
    wsk_host::Config::default()
}

fn no_polls(rig: &mut Rig, n: usize) {
    for _ in 0..n {
        rig.poll(false);
    }
}

arms! {
    fn idle_operations_end_as_cancelled(rig: Rig) {
        let (token, endpoint, mut peer) = rig.pair();
        for polls in 0..3 {
            rig.submit(token, Operation::ReceiveStart);
            no_polls(&mut rig, polls);
            rig.submit(token, Operation::ReceiveStop);
            rig.wait(token, |e| if let Event::ReceiveStopped(StreamEnd::Stopped) = e { Ok(()) } else { Err(e) });

            rig.submit(token, Operation::Receive { memory: Memory::Vec(vec![5; 10]), offset: 0 });
            no_polls(&mut rig, polls);
            rig.submit(token, Operation::ReceiveCancel);
            let (memory, result) = rig.wait(token, |e| match e {
                Event::ReceiveDone { memory, result } => Ok((memory, result)),
                e => Err(e),
            });
            assert_eq!(result, Err(StreamEnd::Stopped));
            assert!(matches!(memory, Memory::Vec(bytes) if bytes == [5; 10]), "the same memory");

            rig.submit(token, Operation::Watch);
            no_polls(&mut rig, polls);
            rig.submit(token, Operation::WatchCancel);
            rig.wait(token, |e| if let Event::Hangup(Hangup::Cancelled) = e { Ok(()) } else { Err(e) });
        }
        // Cancels of nothing bring nothing.
        for cancel in [
            Operation::ReceiveStop,
            Operation::ReceiveCancel,
            Operation::SendCancel,
            Operation::WatchCancel,
            Operation::ShutdownCancel,
            Operation::ConnectCancel,
            Operation::AcceptStop,
            Operation::ReceiveFromStop,
            Operation::ReceiveFromCancel,
        ] {
            rig.submit(token, cancel);
        }
        no_polls(&mut rig, 3);
        assert!(rig.take(token).is_empty());
        // All works as before.
        rig.submit(token, Operation::ReceiveStart);
        peer.write_all(b"still here").unwrap();
        assert_eq!(rig.received(token, 10), b"still here");
        assert!(!endpoint.is_dead());
    }

    fn a_cancelled_send_tells_what_went_out(rig: Rig) {
        use std::io::Read;
        let (token, _, mut peer) = rig.pair();
        let size = 64 << 20;
        rig.submit(token, Operation::Send { parts: smallvec::smallvec![Memory::Vec(vec![3; size])], offset: 0 });
        no_polls(&mut rig, 3);
        rig.submit(token, Operation::SendCancel);
        let (parts, sent, result) = rig.wait(token, |e| match e {
            Event::SendDone { parts, sent, result } => Ok((parts, sent, result)),
            e => Err(e),
        });
        assert_eq!(result, Err(NtStatus::CANCELLED));
        assert!(sent < size && parts[0].len() == size);
        rig.detach(token, false);
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), sent, "neither more nor less than told");
    }

    /// The cancel races the data: data or cancelled, never both, never neither.
    fn a_cancel_races_the_data(rig: Rig) {
        let (token, _, mut peer) = rig.pair();
        let mut got = 0;
        let rounds = 300;
        for round in 0..rounds {
            rig.submit(token, Operation::Receive { memory: Memory::Vec(vec![0; 1]), offset: 0 });
            if round % 3 == 0 {
                rig.poll(false);
            }
            peer.write_all(&[1]).unwrap();
            rig.submit(token, Operation::ReceiveCancel);
            let result = rig.wait(token, |e| if let Event::ReceiveDone { result, .. } = e { Ok(result) } else { Err(e) });
            match result {
                Ok(n) => got += n,
                Err(end) => assert_eq!(end, StreamEnd::Stopped),
            }
        }
        rig.submit(token, Operation::ReceiveStart);
        let rest = rounds - got;
        assert_eq!(rig.received(token, rest).len(), rest);
    }

    fn datagram_operations_can_be_cancelled(rig: Rig) {
        let (token, address, peer) = rig.datagram();
        for polls in 0..3 {
            rig.submit(token, Operation::ReceiveFromStart);
            no_polls(&mut rig, polls);
            rig.submit(token, Operation::ReceiveFromStop);
            rig.wait(token, |e| if let Event::DatagramsStopped(Ok(())) = e { Ok(()) } else { Err(e) });

            rig.submit(token, Operation::ReceiveFrom(Memory::Vec(vec![0; 10])));
            no_polls(&mut rig, polls);
            rig.submit(token, Operation::ReceiveFromCancel);
            let result = rig.wait(token, |e| match e {
                Event::ReceiveFromDone { result, .. } => Ok(result),
                e => Err(e),
            });
            assert_eq!(result, Err(NtStatus::CANCELLED));
        }
        rig.submit(token, Operation::ReceiveFromStart);
        rig.submit(token, Operation::ReceiveFrom(Memory::Vec(vec![0; 10])));
        for n in 0..20 {
            let remote = peer.local_addr().unwrap();
            rig.submit(token, crate::rig::send_to(n.into(), Memory::Vec(vec![n; 100]), remote));
        }
        peer.send_to(b"x", address).unwrap();
        rig.detach(token, true);
        assert!(rig.take(token).len() >= 22);
    }
}
