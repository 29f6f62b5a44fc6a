//! What the contract tests stand on: arms, a world per test, peers, and recorders of callbacks.
//!
//! A test body runs on every arm: `uring` and `epoll` (Linux's TCP/IP, with `std` sockets as peers) and `loopback` (a
//! virtual transport, with a second provider as the peer). Nothing sleeps: whatever is waited for comes through a channel
//! or a request, and after [`PATIENCE`] the wait panics.
#![allow(dead_code, unused_imports)] // each test crate uses its part

pub(crate) mod arm;
pub(crate) mod events;
pub(crate) mod loopback;
pub(crate) mod peer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use arm::{Arm, World};
pub(crate) use events::{Acceptor, Conn, Dgram, Gate, Inbox, Seen};
pub(crate) use peer::{Peer, PeerListener, PeerUdp};
use wsk::{
    ConnectionEvents, ConnectionSocket, Error, Family, FromCompletion, ListenEvents, ListenSocket, NtStatus, Request,
};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The IPv4 loopback address, port chosen by the subsystem.
pub(crate) fn v4() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// The IPv6 loopback address, port chosen by the subsystem.
pub(crate) fn v6() -> SocketAddr {
    "[::1]:0".parse().expect("an address")
}

pub(crate) fn any(family: Family) -> SocketAddr {
    match family {
        Family::V4 => v4(),
        Family::V6 => v6(),
    }
}

/// Generates the tests of each body on each arm: `arms!(all: a, b; host: c);`.
macro_rules! arms {
    ($($kind:ident: $($(#[$meta:meta])* $name:ident),* $(,)?);* $(;)?) => {
        $($($crate::support::one_body!($kind, $(#[$meta])* $name);)*)*
    };
}

macro_rules! one_body {
    (all, $(#[$meta:meta])* $name:ident) => {
        mod $name {
            #[test] $(#[$meta])* fn uring() { $crate::support::Arm::Uring.run(super::$name); }
            #[test] $(#[$meta])* fn epoll() { $crate::support::Arm::Epoll.run(super::$name); }
            #[test] $(#[$meta])* fn loopback() { $crate::support::Arm::Loopback.run(super::$name); }
        }
    };
    (host, $(#[$meta:meta])* $name:ident) => {
        mod $name {
            #[test] $(#[$meta])* fn uring() { $crate::support::Arm::Uring.run(super::$name); }
            #[test] $(#[$meta])* fn epoll() { $crate::support::Arm::Epoll.run(super::$name); }
        }
    };
    (bug_on_epoll, $(#[$meta:meta])* $name:ident) => {
        mod $name {
            #[test] fn uring() { $crate::support::Arm::Uring.run(super::$name); }
            #[test] $(#[$meta])* fn epoll() { $crate::support::Arm::Epoll.run(super::$name); }
            #[test] fn loopback() { $crate::support::Arm::Loopback.run(super::$name); }
        }
    };
    (virtual_only, $(#[$meta:meta])* $name:ident) => {
        mod $name {
            #[test] $(#[$meta])* fn loopback() { $crate::support::Arm::Loopback.run(super::$name); }
        }
    };
}

pub(crate) use {arms, one_body};

/// Waiting for requests with patience.
pub(crate) trait Finish<T> {
    /// The result.
    fn finish(self) -> Result<T, Error>;
    /// The result, which must be a success.
    fn ok(self) -> T;
    /// The status, SUCCESS included.
    fn status(self) -> NtStatus;
}

impl<T: FromCompletion> Finish<T> for Request<T> {
    #[track_caller]
    fn finish(mut self) -> Result<T, Error> {
        match self.wait_timeout(PATIENCE) {
            Some(result) => result,
            None => {
                std::mem::forget(self);
                panic!("the request did not complete")
            }
        }
    }

    #[track_caller]
    fn ok(self) -> T {
        match self.finish() {
            Ok(value) => value,
            Err(error) => panic!("the request failed: {error}"),
        }
    }

    #[track_caller]
    fn status(self) -> NtStatus {
        self.finish().err().map_or(NtStatus::SUCCESS, |error| error.status())
    }
}

/// The status of a call that finishes at once.
pub(crate) fn status_of<T>(result: Result<T, Error>) -> NtStatus {
    result.err().map_or(NtStatus::SUCCESS, |error| error.status())
}

/// Tells a test something, if it still listens.
pub(crate) fn tell<T>(to: &std::sync::mpsc::Sender<T>, what: T) {
    let _ = to.send(what);
}

/// Bytes that differ along the stream, so that a lost, repeated or moved byte shows.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}

impl World {
    /// A listener of the client, bound and listening.
    pub(crate) fn listener(&self, events: Option<Arc<dyn ListenEvents>>) -> (ListenSocket, SocketAddr) {
        let listener = self.client.listen_socket(Family::V4, events).expect("a listener");
        listener.bind(v4()).ok();
        let address = listener.local_address().expect("bound");
        (listener, address)
    }

    /// A connection made by the client, and its peer.
    pub(crate) fn connected(&self, events: Option<Arc<dyn ConnectionEvents>>) -> (ConnectionSocket, Peer) {
        let listener = self.peer_listener();
        let request = self.client.socket_connect(v4(), listener.address(), events);
        let peer = listener.accept();
        (request.ok(), peer)
    }

    /// A connection accepted by the client with WskAccept, and its peer.
    pub(crate) fn accepted(&self, events: Option<Arc<dyn ConnectionEvents>>) -> (ConnectionSocket, Peer) {
        let (listener, address) = self.listener(None);
        let accept = match events {
            Some(events) => listener.accept_with(events),
            None => listener.accept(),
        };
        let peer = self.peer_connect(address);
        (accept.ok(), peer)
    }

    /// Waits until the provider's pump has been through its events a few times: what the kernel had to report before this
    /// call has been acted on.
    pub(crate) fn settle(&self) {
        let socket = self.client.datagram_socket(Family::V4, None).expect("a datagram socket");
        socket.bind(v4()).ok();
        let address = socket.local_address().expect("bound");
        for _ in 0..3 {
            let received = socket.receive_from(vec![0; 1]);
            socket.send_to(&b"."[..], address).ok();
            received.ok();
        }
        socket.close().ok();
    }
}
