//! Listening sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use wsk_core::effect::InspectId;

use crate::connection::ConnectionSocket;
use crate::error::Error;
use crate::events::{ConnectionEvents, InspectAction};
use crate::handle::{accept, address, bind, refuse, socket_handle};
use crate::request::Request;

socket_handle! {
    /// A listening socket (WSK_FLAG_LISTEN_SOCKET), or a stream socket in that role.
    ListenSocket, crate::option::Categories::LISTEN
}

impl ListenSocket {
    /// WskBind: binds and starts listening (F-121). Port 0 lets the subsystem choose.
    ///
    /// Fails with ADDRESS_ALREADY_EXISTS, INVALID_ADDRESS_COMPONENT (not a local address), INVALID_PARAMETER (another
    /// family), INVALID_DEVICE_STATE (bound already).
    pub fn bind(&self, local: SocketAddr) -> Request<()> {
        bind(&self.socket, local)
    }

    /// WskAccept: the next connection, oldest request first (F-134). Its callbacks are off, except static ones.
    pub fn accept(&self) -> Request<ConnectionSocket> {
        accept(&self.socket, None)
    }

    /// WskAccept with callbacks for the accepted socket.
    pub fn accept_with(&self, events: Arc<dyn ConnectionEvents>) -> Request<ConnectionSocket> {
        accept(&self.socket, Some(events))
    }

    /// WskInspectComplete: decides an inspection that was pended (F-140).
    ///
    /// Fails with NOT_FOUND (unknown, finished or aborted), INVALID_PARAMETER (Pend), INVALID_DEVICE_STATE (the listener is
    /// not conditional).
    pub fn inspect_complete(&self, id: InspectId, action: InspectAction) -> Request<()> {
        self.socket.request(|machine, request, fx| match machine.listener() {
            Some(listener) => listener.inspect_complete(request, id, action, fx),
            None => refuse(request, fx),
        })
    }

    /// WskGetLocalAddress.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE before bind.
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        address(&self.socket, false)
    }
}
