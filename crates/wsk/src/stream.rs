//! Stream sockets: one socket that becomes a listener or a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use wsk_abi::status::NtStatus;
use wsk_core::transport::TransportOption;

use crate::connection::ConnectionSocket;
use crate::error::Error;
use crate::events::ConnectionEvents;
use crate::handle::{self, refuse, socket_handle};
use crate::listen::ListenSocket;
use crate::request::Request;

socket_handle! {
    /// A stream socket (WSK_FLAG_STREAM_SOCKET): after [`StreamSocket::listen`] a listener, after
    /// [`StreamSocket::connect`] a connection (F-244).
    StreamSocket, crate::option::Categories::LISTEN.union(crate::option::Categories::CONNECTION)
}

impl StreamSocket {
    /// WskBind; does not listen yet.
    pub fn bind(&self, local: SocketAddr) -> Request<()> {
        handle::bind(&self.socket, local)
    }

    /// WskListen: completes when listening has begun, and commits the socket to it (F-130).
    pub fn listen(&self) -> Request<()> {
        self.socket.request(|machine, id, fx| match machine.stream() {
            Some(stream) => stream.listen(id, fx),
            None => refuse(id, fx),
        })
    }

    /// WskConnect; success commits the socket to being a connection (F-154).
    pub fn connect(&self, remote: SocketAddr) -> Request<()> {
        self.as_connection(|connection| connection.connect(remote))
    }

    /// WskAccept, once it listens.
    pub fn accept(&self) -> Request<ConnectionSocket> {
        handle::accept(&self.socket, None)
    }

    /// WskAccept with callbacks for the accepted socket.
    pub fn accept_with(&self, events: Arc<dyn ConnectionEvents>) -> Request<ConnectionSocket> {
        handle::accept(&self.socket, Some(events))
    }

    /// The functions of a connection; they fail with INVALID_DEVICE_STATE unless it is one.
    pub fn as_connection<R>(&self, call: impl FnOnce(&ConnectionSocket) -> R) -> R {
        call(&ConnectionSocket::borrowed(self.socket.clone()))
    }

    /// The functions of a listener; they fail with INVALID_DEVICE_STATE unless it is one.
    pub fn as_listener<R>(&self, call: impl FnOnce(&ListenSocket) -> R) -> R {
        call(&ListenSocket::borrowed(self.socket.clone()))
    }

    /// SO_CONDITIONAL_ACCEPT, before bind. A Pend is a Reject here: there is no WskInspectComplete (F-142).
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE once bound.
    pub fn set_conditional_accept(&self, on: bool) -> Result<(), Error> {
        let set = self.socket.decide(None, |machine, _| machine.stream().map(|s| s.set_conditional(on))).0;
        Ok(set.unwrap_or(Err(NtStatus::INVALID_DEVICE_STATE))?)
    }

    /// IPV6_V6ONLY, before bind; `false` makes it dual-mode (C-40).
    ///
    /// # Errors
    /// INVALID_PARAMETER on an IPv4 socket, INVALID_DEVICE_STATE once bound.
    pub fn set_v6_only(&self, on: bool) -> Result<(), Error> {
        let set = self.socket.decide(None, |machine, _| machine.connection().map(|c| c.set_v6_only(on))).0;
        set.unwrap_or(Err(NtStatus::INVALID_DEVICE_STATE))?;
        Ok(self.socket.endpoint.set_option(TransportOption::V6Only(on))?)
    }

    /// WskGetLocalAddress.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE before bind.
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        handle::address(&self.socket, false)
    }
}
