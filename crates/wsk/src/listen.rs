//! Listening sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use wsk_core::effect::InspectId;
use wsk_core::transport::TransportOption;

use crate::connection::ConnectionSocket;
use crate::error::Error;
use crate::events::{ConnectionEvents, InspectAction};
use crate::handle::{accept, address, bind, refuse, socket_handle};
use crate::request::Request;
use wsk_abi::status::NtStatus;

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

    /// SO_CONDITIONAL_ACCEPT, before bind: connections are inspected first, and that can never be switched off again (E-31).
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE once bound.
    pub fn set_conditional_accept(&self, on: bool) -> Result<(), Error> {
        let set = self.socket.decide(None, |machine, _| machine.listener().map(|l| l.set_conditional(on))).0;
        Ok(set.unwrap_or(Err(NtStatus::INVALID_DEVICE_STATE))?)
    }

    /// IPV6_V6ONLY, before bind; `false` makes it dual-mode (C-40).
    ///
    /// # Errors
    /// INVALID_PARAMETER on an IPv4 socket, INVALID_DEVICE_STATE once bound.
    pub fn set_v6_only(&self, on: bool) -> Result<(), Error> {
        self.socket
            .decide(None, |machine, _| {
                machine.listener().map_or(Err(NtStatus::INVALID_DEVICE_STATE), |l| l.set_v6_only())
            })
            .0?;
        Ok(self.socket.endpoint.set_option(TransportOption::V6Only(on))?)
    }

    /// SO_KEEPALIVE, inherited by accepted sockets.
    ///
    /// # Errors
    /// The transport's.
    pub fn set_keep_alive(&self, on: bool) -> Result<(), Error> {
        Ok(self.socket.endpoint.set_option(TransportOption::KeepAlive(on))?)
    }

    /// WskGetLocalAddress.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE before bind.
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        address(&self.socket, false)
    }
}
