//! Few buffers, many sockets, other threads: starvation and its end, the doorbell, fairness.

use std::io::Write;

use wsk_core::memory::{Buffer, Memory};
use wsk_core::transport::{Event, Operation, StreamEnd, Token};

use crate::rig::Rig;

/// Four small buffers, and no more.
fn config() -> wsk_host::Config {
    wsk_host::Config {
        stream_buffer: 4096,
        stream_buffers: 2,
        most_stream_buffers: 4,
        datagram_buffers: 1,
        most_datagram_buffers: 2,
        ..wsk_host::Config::default()
    }
}

fn held(rig: &mut Rig, token: Token) -> Buffer {
    rig.wait(token, |event| if let Event::Received { buffer, .. } = event { Ok(buffer) } else { Err(event) })
}

arms! {
    fn a_starved_stream_resumes_when_buffers_come_back(rig: Rig) {
        let (token, endpoint, mut peer) = rig.pair();
        rig.submit(token, Operation::ReceiveStart);
        let data: Vec<u8> = (0..40_000u32).map(|n| (n / 3) as u8).collect();
        peer.write_all(&data).unwrap();
        let mut kept: Vec<Buffer> = (0..4).map(|_| held(&mut rig, token)).collect();
        for _ in 0..5 {
            rig.poll(false);
        }
        assert!(rig.take(token).is_empty(), "all buffers are held");
        assert_eq!(rig.transport.counters().buffers_lent, 4);
        assert_eq!(rig.transport.counters().buffer_memory % 4096, 0);
        assert!(endpoint.unread() > 0);
        let mut all: Vec<u8> = kept.iter().flat_map(|buffer| buffer.bytes().to_vec()).collect();
        // Given back by another thread while the driver waits.
        let releaser = std::thread::spawn(move || drop(kept.drain(..)));
        all.extend(rig.received(token, data.len() - all.len()));
        releaser.join().unwrap();
        assert!(all == data);
        drop(peer);
        rig.wait(token, |e| if let Event::ReceiveStopped(StreamEnd::Fin) = e { Ok(()) } else { Err(e) });
    }

    fn a_starved_stream_can_be_stopped_and_closed(rig: Rig) {
        let (token, _, mut peer) = rig.pair();
        rig.submit(token, Operation::ReceiveStart);
        peer.write_all(&[1; 40_000]).unwrap();
        let kept: Vec<Buffer> = (0..4).map(|_| held(&mut rig, token)).collect();
        rig.poll(false);
        rig.submit(token, Operation::ReceiveStop);
        rig.wait(token, |e| if let Event::ReceiveStopped(StreamEnd::Stopped) = e { Ok(()) } else { Err(e) });
        rig.submit(token, Operation::ReceiveStart);
        rig.poll(false);
        // Client memory needs no buffer.
        rig.submit(token, Operation::Receive { memory: Memory::Vec(vec![0; 100]), offset: 0 });
        rig.wait(token, |e| if let Event::ReceiveDone { result: Ok(100), .. } = e { Ok(()) } else { Err(e) });
        rig.detach(token, true);
        drop(kept);
    }

    fn starved_streams_take_turns(rig: Rig) {
        let mut sockets: Vec<_> = (0..8).map(|_| rig.pair()).collect();
        for (token, _, peer) in &mut sockets {
            rig.submit(*token, Operation::ReceiveStart);
            peer.write_all(&[9; 30_000]).unwrap();
        }
        let mut left = vec![30_000; sockets.len()];
        while left.iter().any(|left| *left > 0) {
            rig.poll(true);
            for (n, (token, _, _)) in sockets.iter().enumerate() {
                for event in rig.take(*token) {
                    let Event::Received { buffer, .. } = event else { panic!("{event:?}") };
                    left[n] -= buffer.len();
                }
            }
        }
    }

    /// A stream that was detached while it waited for a buffer once took the turn of the next one, and that one starved.
    fn a_closed_socket_leaves_its_turn(rig: Rig) {
        let (hog, _, mut hog_peer) = rig.pair();
        rig.submit(hog, Operation::ReceiveStart);
        hog_peer.write_all(&[1; 40_000]).unwrap();
        let mut kept: Vec<Buffer> = (0..4).map(|_| held(&mut rig, hog)).collect();
        rig.submit(hog, Operation::ReceiveStop);
        rig.wait(hog, |e| if let Event::ReceiveStopped(StreamEnd::Stopped) = e { Ok(()) } else { Err(e) });
        let mut starve = || {
            let (token, _, mut peer) = rig.pair();
            rig.submit(token, Operation::ReceiveStart);
            peer.write_all(&[2; 100]).unwrap();
            for _ in 0..5 {
                rig.poll(false);
            }
            (token, peer)
        };
        let (first, _first_peer) = starve();
        let (second, _second_peer) = starve();
        rig.detach(first, true);
        assert!(rig.take(second).is_empty(), "all buffers are held");
        let one = kept.pop();
        let releaser = std::thread::spawn(move || drop(one));
        assert_eq!(rig.received(second, 100), [2; 100]);
        releaser.join().unwrap();
    }

    fn starved_datagrams_resume(rig: Rig) {
        let (token, address, peer) = rig.datagram();
        rig.submit(token, Operation::ReceiveFromStart);
        for n in 0..6u8 {
            peer.send_to(&[n; 9], address).unwrap();
        }
        let datagram = |rig: &mut Rig| {
            rig.wait(token, |event| if let Event::Datagram(datagram) = event { Ok(datagram) } else { Err(event) })
        };
        let first = datagram(&mut rig);
        let second = datagram(&mut rig);
        rig.poll(false);
        rig.poll(false);
        assert!(rig.take(token).is_empty());
        let releaser = std::thread::spawn(move || drop((first, second)));
        for n in 2..6u8 {
            assert_eq!(datagram(&mut rig).buffer.bytes(), [n; 9]);
        }
        releaser.join().unwrap();
    }

    fn the_doorbell_ends_a_wait(rig: Rig) {
        let bell = rig.driver.as_ref().unwrap().doorbell();
        for _ in 0..100 {
            let bell = bell.clone();
            let ringer = std::thread::spawn(move || bell.ring());
            rig.poll(true);
            ringer.join().unwrap();
            rig.poll(false); // takes a ring that came twice
        }
        // A ring before the wait counts, and rings merge.
        bell.ring();
        bell.ring();
        rig.poll(true);
    }
}
