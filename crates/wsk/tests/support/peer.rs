//! The other end of a connection: a `std` socket on the host's arms, a socket of a second provider on the virtual one.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};

use wsk::{
    Client, ConnectionSocket, DatagramSocket, DisconnectFlags, Family, ListenSocket, Memory, NtStatus, ReceiveFlags,
};

use super::{Finish, PATIENCE, v4};

/// A connected peer.
pub(crate) enum Peer {
    Std(TcpStream),
    Wsk(ConnectionSocket),
}

impl Peer {
    pub(crate) fn std(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream.set_nodelay(true).expect("no delay");
        Peer::Std(stream)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Peer::Std(stream) => stream.local_addr().expect("an address"),
            Peer::Wsk(socket) => socket.local_address().expect("an address"),
        }
    }

    /// Sends all of it; returns when the peer's host has taken it.
    #[track_caller]
    pub(crate) fn send(&self, bytes: &[u8]) {
        match self {
            Peer::Std(stream) => (&*stream).write_all(bytes).expect("the peer sends"),
            Peer::Wsk(socket) => assert_eq!(socket.send(bytes.to_vec()).ok().len(), bytes.len()),
        }
    }

    /// Sends if it still can.
    pub(crate) fn try_send(&self, bytes: &[u8]) -> bool {
        match self {
            Peer::Std(stream) => (&*stream).write_all(bytes).is_ok(),
            Peer::Wsk(socket) => socket.send(bytes.to_vec()).finish().is_ok(),
        }
    }

    /// Receives exactly so many bytes.
    #[track_caller]
    pub(crate) fn receive(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        match self {
            Peer::Std(stream) => (&*stream).read_exact(&mut bytes).expect("the peer receives"),
            Peer::Wsk(socket) => {
                let received = socket.receive_with(bytes, ReceiveFlags::WAITALL).ok();
                assert_eq!(received.len(), len, "the stream ended early");
                bytes = received.into_buffer();
            }
        }
        bytes
    }

    /// What comes, and how it ends: `true` for FIN, `false` for a reset.
    pub(crate) fn receive_to_end(&self) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        let mut piece = vec![0; 16 << 10];
        loop {
            let read = match self {
                Peer::Std(stream) => match (&*stream).read(&mut piece) {
                    Ok(n) => Some(n),
                    Err(e) if e.kind() == ErrorKind::ConnectionReset => None,
                    Err(e) => panic!("the peer's read failed otherwise: {e}"),
                },
                Peer::Wsk(socket) => match socket.receive(piece.clone()).finish() {
                    Ok(transfer) => {
                        piece[..transfer.len()].copy_from_slice(transfer.bytes());
                        Some(transfer.len())
                    }
                    Err(error) if error == NtStatus::CONNECTION_RESET => None,
                    Err(error) => panic!("the peer's receive failed otherwise: {error}"),
                },
            };
            match read {
                Some(0) => return (all, true),
                Some(n) => all.extend_from_slice(&piece[..n]),
                None => return (all, false),
            }
        }
    }

    /// Nothing comes but FIN.
    #[track_caller]
    pub(crate) fn expect_fin(&self) {
        assert_eq!(self.receive_to_end(), (Vec::new(), true), "(data, FIN)");
    }

    /// Nothing comes but a reset.
    #[track_caller]
    pub(crate) fn expect_reset(&self) {
        assert_eq!(self.receive_to_end(), (Vec::new(), false), "(data, FIN)");
    }

    /// FIN.
    pub(crate) fn end(&self) {
        match self {
            Peer::Std(stream) => stream.shutdown(Shutdown::Write).expect("the peer ends its stream"),
            Peer::Wsk(socket) => drop(socket.disconnect().ok()),
        }
    }

    /// RST.
    pub(crate) fn reset(self) {
        match self {
            Peer::Std(stream) => {
                let zero = Some(std::time::Duration::ZERO);
                rustix::net::sockopt::set_socket_linger(&stream, zero).expect("linger");
            }
            Peer::Wsk(socket) => drop(socket.disconnect_with(Memory::None, DisconnectFlags::ABORTIVE).ok()),
        }
    }

    /// Both directions end in order.
    pub(crate) fn close(self) {
        self.end();
        if let Peer::Wsk(socket) = &self {
            // What a kernel does for a closed descriptor.
            let _ = socket.receive_with(Memory::None, ReceiveFlags::DRAIN).finish();
            socket.close().ok();
        }
    }
}

/// A listening peer.
pub(crate) enum PeerListener {
    Std(TcpListener),
    Wsk(ListenSocket),
}

impl PeerListener {
    pub(crate) fn std(at: &str) -> Self {
        PeerListener::Std(TcpListener::bind(at).expect("the peer listens"))
    }

    pub(crate) fn wsk(client: &Client) -> Self {
        let listener = client.listen_socket(Family::V4, None).expect("a listener");
        listener.bind(v4()).ok();
        PeerListener::Wsk(listener)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            PeerListener::Std(listener) => listener.local_addr().expect("an address"),
            PeerListener::Wsk(listener) => listener.local_address().expect("an address"),
        }
    }

    pub(crate) fn accept(&self) -> Peer {
        match self {
            PeerListener::Std(listener) => Peer::std(listener.accept().expect("the peer accepts").0),
            PeerListener::Wsk(listener) => Peer::Wsk(listener.accept().ok()),
        }
    }
}

/// A peer's datagram socket.
pub(crate) enum PeerUdp {
    Std(UdpSocket),
    Wsk(DatagramSocket),
}

impl PeerUdp {
    pub(crate) fn std(local: SocketAddr) -> Self {
        let socket = UdpSocket::bind(local).expect("the peer binds");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        PeerUdp::Std(socket)
    }

    pub(crate) fn wsk(client: &Client, local: SocketAddr) -> Self {
        let socket = client.datagram_socket(Family::of(&local), None).expect("a datagram socket");
        socket.bind(local).ok();
        PeerUdp::Wsk(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            PeerUdp::Std(socket) => socket.local_addr().expect("an address"),
            PeerUdp::Wsk(socket) => socket.local_address().expect("an address"),
        }
    }

    #[track_caller]
    pub(crate) fn send(&self, bytes: &[u8], to: SocketAddr) {
        match self {
            PeerUdp::Std(socket) => assert_eq!(socket.send_to(bytes, to).expect("the peer sends"), bytes.len()),
            PeerUdp::Wsk(socket) => assert_eq!(socket.send_to(bytes.to_vec(), to).ok().len(), bytes.len()),
        }
    }

    #[track_caller]
    pub(crate) fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut bytes = vec![0; 65_535];
        match self {
            PeerUdp::Std(socket) => {
                let (n, from) = socket.recv_from(&mut bytes).expect("the peer receives");
                bytes.truncate(n);
                (bytes, from)
            }
            PeerUdp::Wsk(socket) => {
                let received = socket.receive_from(bytes).ok();
                (received.bytes().to_vec(), received.source())
            }
        }
    }
}
