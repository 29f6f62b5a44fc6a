//! Event callbacks: what the subsystem calls instead of completing requests (events.md).
//!
//! A client gives an implementation when it creates a socket, and switches events on per socket, through the listener, or
//! for all its sockets ([`Client::set_static_event_callbacks`](crate::Client::set_static_event_callbacks)). Callbacks run
//! on the socket's home processor. They may start any request and close any socket, but must not wait: see
//! [`Request`](crate::Request).

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;

use wsk_abi::flags::{EventFlags, EventMask};
use wsk_core::effect::InspectId;
pub use wsk_core::indication::InspectAction;
use wsk_core::transport::Incoming as Connection;

use crate::connection::ConnectionSocket;
use crate::datagram::DatagramSocket;
use crate::indication::{Datagrams, Indication};
use crate::listen::ListenSocket;
use crate::socket::Socket;

/// What a receive callback did with an indication (E-73).
#[derive(Debug)]
pub enum Receive {
    /// All of it was accepted. If the callback kept the indication, it is retained until dropped.
    Accepted,
    /// Only so many bytes were accepted; here is the indication back. Indications stop until a receive completes (E-75).
    Partial(Indication, usize),
    /// Nothing was accepted; here it is back. Indications stop until a receive completes (E-75).
    Refused(Indication),
}

/// What a receive-from callback did with its datagrams (events.md 8.2).
#[derive(Debug)]
pub enum ReceiveFrom {
    /// All were accepted; those the callback kept are retained until dropped.
    Accepted,
    /// None was; here they are back. The event is off until it is enabled again, or, if it is static, they are dropped (8.3).
    Refused(Datagrams),
}

/// Callbacks of a connection socket (WSK_CLIENT_CONNECTION_DISPATCH).
pub trait ConnectionEvents: Send + Sync {
    /// WskReceiveEvent: data arrived. Calls for one socket are serial.
    fn receive(&self, socket: &ConnectionSocket, data: Indication) -> Receive {
        let _ = socket;
        Receive::Refused(data)
    }

    /// WskDisconnectEvent: the peer is done sending; with ABORTIVE the connection is gone (E-100).
    fn disconnect(&self, socket: &ConnectionSocket, flags: EventFlags) {
        let _ = (socket, flags);
    }

    /// WskSendBacklogEvent: so many bytes are worth keeping outstanding now (E-104).
    fn send_backlog(&self, socket: &ConnectionSocket, ideal: usize) {
        let _ = (socket, ideal);
    }

    /// WskReceiveEvent without data: the socket is no longer functional, close it (E-79).
    fn dead(&self, socket: &ConnectionSocket) {
        let _ = socket;
    }

    /// The callbacks that are implemented (C: non-NULL pointers); others cannot be enabled (E-4).
    fn provided(&self) -> EventMask {
        EventMask::RECEIVE | EventMask::DISCONNECT | EventMask::SEND_BACKLOG
    }
}

/// Callbacks of a datagram socket (WSK_CLIENT_DATAGRAM_DISPATCH).
pub trait DatagramEvents: Send + Sync {
    /// WskReceiveFromEvent: datagrams arrived.
    fn receive_from(&self, socket: &DatagramSocket, datagrams: Datagrams) -> ReceiveFrom;

    /// WskReceiveFromEvent without data: the socket is no longer functional, close it (E-93).
    fn dead(&self, socket: &DatagramSocket) {
        let _ = socket;
    }
}

/// Callbacks of a listening socket (WSK_CLIENT_LISTEN_DISPATCH).
pub trait ListenEvents: Send + Sync {
    /// WskAcceptEvent: a connection is established. Dropping `incoming` rejects it, by reset (E-54, E-55).
    fn accept(&self, socket: &ListenSocket, incoming: Incoming<'_>) {
        let _ = (socket, incoming);
    }

    /// WskInspectEvent: shall this connection come about? Only on a conditional listener (E-60).
    fn inspect(&self, socket: &ListenSocket, request: &InspectRequest) -> InspectAction {
        let _ = (socket, request);
        InspectAction::Accept
    }

    /// WskAbortEvent: forget this inspection, its connection is gone (E-65).
    fn abort(&self, socket: &ListenSocket, id: InspectId) {
        let _ = (socket, id);
    }

    /// WskAcceptEvent or WskInspectEvent without a connection: the listener is dead, close it (E-56, E-62).
    fn dead(&self, socket: &ListenSocket) {
        let _ = socket;
    }

    /// Whether [`ListenEvents::accept`] is implemented (C: the pointer is not NULL).
    fn accepts(&self) -> bool {
        true
    }

    /// Whether [`ListenEvents::inspect`] is implemented (E-32).
    fn inspects(&self) -> bool {
        true
    }
}

/// A connection that wants in: what WskInspectEvent is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InspectRequest {
    /// Names the request, for [`ListenSocket::inspect_complete`] and [`ListenEvents::abort`].
    pub id: InspectId,
    /// The address it was made to.
    pub local: SocketAddr,
    /// The peer.
    pub remote: SocketAddr,
}

/// An established connection, offered to the client. Accept it, or drop it to reject it.
pub struct Incoming<'a> {
    pub(crate) connection: Option<(Connection, Option<InspectId>)>,
    pub(crate) listener: &'a Arc<Socket>,
    pub(crate) accepted: &'a RefCell<Option<Arc<Socket>>>,
}

impl Incoming<'_> {
    /// The local address, in the listener's family (E-51).
    pub fn local_address(&self) -> SocketAddr {
        self.offer().local
    }

    /// The peer, in the listener's family.
    pub fn remote_address(&self) -> SocketAddr {
        self.offer().remote
    }

    fn offer(&self) -> &Connection {
        &self.connection.as_ref().expect("present until accepted").0
    }

    /// Accepts: from here on the client owns the socket. Its callbacks begin when the accept callback has returned (E-22).
    pub fn accept(mut self, events: Option<Arc<dyn ConnectionEvents>>) -> ConnectionSocket {
        let (connection, inspect) = self.connection.take().expect("accepted once");
        let socket = self.listener.adopt(connection, inspect, events, true);
        *self.accepted.borrow_mut() = Some(socket.clone());
        ConnectionSocket::owning(socket)
    }
}

impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        if let Some((connection, _)) = self.connection.take() {
            connection.endpoint.discard(true);
            self.listener.client.provider.retry_starved();
        }
    }
}
