//! In its steady state a driver allocates nothing: an echo of lent buffers, and of datagrams, with a counting allocator.

#![allow(unsafe_code)] // a global allocator is unsafe to implement

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};

use wsk_core::control_data::ControlData;
use wsk_core::memory::Memory;
use wsk_core::transport::{Driver, Event, Family, Operation, Protocol, Report, SendId, Token, Transport};
use wsk_host::{Choice, HostTransport};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the memory came from `alloc` above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the memory came from `alloc` above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn open(choice: Choice) -> Option<(HostTransport, Box<dyn Driver>)> {
    match HostTransport::new(choice) {
        Ok(transport) => {
            let driver = transport.open_driver(0).unwrap();
            Some((transport, driver))
        }
        Err(error) if std::env::var_os("WSK_TEST_ALLOW_NO_URING").is_some() => {
            eprintln!("=== NOT TESTED: the io_uring arm cannot run here: {error} ===");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Allocations of this thread per round after a warm-up.
fn allocations(mut round: impl FnMut()) -> u64 {
    for _ in 0..2000 {
        round();
    }
    let before = ALLOCATIONS.get();
    for _ in 0..2000 {
        round();
    }
    ALLOCATIONS.get() - before
}

fn echo_stream(choice: Choice) {
    let Some((transport, mut driver)) = open(choice) else { return };
    let listener = transport.create(Family::V4, Protocol::Tcp).unwrap();
    let address = listener.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
    listener.listen().unwrap();
    driver.submit(Token(0), Operation::Attach(listener));
    driver.submit(Token(0), Operation::AcceptStart);
    let mut reports = Vec::new();
    let mut peers = Vec::new();
    while peers.len() < 16 {
        let mut peer = TcpStream::connect(address).unwrap();
        peer.set_nodelay(true).unwrap();
        let incoming = loop {
            driver.poll(true, &mut reports).unwrap();
            if let Some(Report { event: Event::Accepted(incoming), .. }) = reports.pop() {
                break incoming;
            }
        };
        let token = Token(peers.len() as u64 + 1);
        driver.submit(token, Operation::Attach(incoming.endpoint));
        driver.submit(token, Operation::ReceiveStart);
        peer.write_all(b"hello").unwrap();
        peers.push(peer);
    }
    let mut text = [0; 5];
    let made = allocations(|| {
        let mut sent = 0;
        while sent < peers.len() {
            driver.poll(true, &mut reports).unwrap();
            for Report { token, event } in reports.drain(..) {
                match event {
                    Event::Received { buffer, .. } => {
                        let parts = smallvec::smallvec![Memory::Buffers(smallvec::smallvec![buffer])];
                        driver.submit(token, Operation::Send { parts, offset: 0 });
                    }
                    Event::SendDone { sent: 5, result: Ok(()), .. } => sent += 1,
                    event => panic!("{event:?}"),
                }
            }
        }
        for peer in &mut peers {
            peer.read_exact(&mut text).unwrap();
            peer.write_all(&text).unwrap();
        }
    });
    assert_eq!(made, 0, "allocations in 32,000 requests");
}

fn echo_datagrams(choice: Choice) {
    let Some((transport, mut driver)) = open(choice) else { return };
    let endpoint = transport.create(Family::V4, Protocol::Udp).unwrap();
    let address = endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
    driver.submit(Token(0), Operation::Attach(endpoint));
    driver.submit(Token(0), Operation::ReceiveFromStart);
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut reports = Vec::new();
    let made = allocations(|| {
        for n in 0..4u8 {
            peer.send_to(&[n; 100], address).unwrap();
        }
        let mut sent = 0;
        while sent < 4 {
            driver.poll(true, &mut reports).unwrap();
            for Report { token, event } in reports.drain(..) {
                match event {
                    Event::Datagram(datagram) => {
                        let memory = Memory::Buffers(smallvec::smallvec![datagram.buffer]);
                        let (messages, control) = (smallvec::smallvec![memory], ControlData::default());
                        let id = SendId(0);
                        driver.submit(
                            token,
                            Operation::SendTo { id, messages, sent: 0, remote: datagram.source, control },
                        );
                    }
                    Event::SendToDone { result: Ok(()), .. } => sent += 1,
                    event => panic!("{event:?}"),
                }
            }
        }
        for _ in 0..4 {
            peer.recv_from(&mut [0; 128]).unwrap();
        }
    });
    assert_eq!(made, 0, "allocations in 8,000 datagrams");
}

#[test]
fn an_echo_of_streams_allocates_nothing_uring() {
    echo_stream(Choice::Uring);
}

#[test]
fn an_echo_of_streams_allocates_nothing_epoll() {
    echo_stream(Choice::Epoll);
}

#[test]
fn an_echo_of_datagrams_allocates_nothing_uring() {
    echo_datagrams(Choice::Uring);
}

#[test]
fn an_echo_of_datagrams_allocates_nothing_epoll() {
    echo_datagrams(Choice::Epoll);
}
