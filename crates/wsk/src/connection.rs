//! Connection sockets.

use std::net::SocketAddr;

use wsk_abi::flags::{DisconnectFlags, EventMask, ReceiveFlags, SendFlags};
use wsk_abi::status::NtStatus;
use wsk_core::effect::{Effects, InspectId};
use wsk_core::memory::Memory;

use crate::error::Error;
use crate::handle::{address, bind, refuse, socket_handle};
use crate::machine::Machine;
use crate::request::{Request, Transfer};

socket_handle! {
    /// A connection socket (WSK_FLAG_CONNECTION_SOCKET), an accepted one, or a stream socket in that role.
    ConnectionSocket, crate::option::Categories::CONNECTION
}

impl ConnectionSocket {
    /// WskBind, before connect; there is no implicit bind (F-120).
    pub fn bind(&self, local: SocketAddr) -> Request<()> {
        bind(&self.socket, local)
    }

    /// WskConnect. After a failure the socket is bound as before (F-153).
    ///
    /// Fails with CONNECTION_REFUSED, IO_TIMEOUT, HOST_UNREACHABLE, NETWORK_UNREACHABLE, ADDRESS_ALREADY_EXISTS,
    /// INVALID_DEVICE_STATE (not bound, or connecting), CONNECTION_ACTIVE, INVALID_ADDRESS_COMPONENT (F-151, F-152).
    pub fn connect(&self, remote: SocketAddr) -> Request<()> {
        self.socket.request(|machine, id, fx| match machine.connection() {
            Some(connection) => connection.connect(id, remote, fx),
            None => refuse(id, fx),
        })
    }

    /// WskConnectEx: connects and sends `data`, at most 65,535 bytes, ahead of any later send; completes when both are done
    /// (F-156). More is BUFFER_OVERFLOW; otherwise as [`ConnectionSocket::connect`].
    pub fn connect_with(&self, remote: SocketAddr, data: impl Into<Memory>) -> Request<Transfer> {
        let memory = data.into();
        self.socket.request(|machine, id, fx| match machine.connection() {
            Some(connection) => connection.connect_ex(id, remote, memory, fx),
            None => refuse(id, fx),
        })
    }

    /// Tells which callbacks the client has for a socket that it got through WskAcceptEvent, when it learns so only during
    /// that callback (C: the dispatch table written there, E-22, E-33). Events without a callback stay off.
    pub fn limit_events(&self, provided: EventMask) {
        self.socket.decide(None, |machine, _| {
            if let Some(connection) = machine.connection() {
                connection.limit_events(provided);
            }
        });
    }

    /// WskSend. It completes when all bytes were taken by the transport, which delivers them even if the connection is reset
    /// by a close right after (F-161, F-162).
    ///
    /// Fails with INVALID_DEVICE_STATE (not connected, or disconnected by us), CONNECTION_RESET, CONNECTION_ABORTED.
    pub fn send(&self, data: impl Into<Memory>) -> Request<Transfer> {
        self.send_with(data, SendFlags::empty())
    }

    /// WskSend with flags: NODELAY, which is always in effect; OOB is NOT_SUPPORTED (F-160).
    pub fn send_with(&self, data: impl Into<Memory>, flags: SendFlags) -> Request<Transfer> {
        self.socket.send(data.into(), flags)
    }

    /// WskReceive into `buffer` (its length, not its capacity): completes with what is there, at least one byte; 0 bytes
    /// mean that the peer has ended the stream (F-165, F-168). An empty buffer completes at once (F-170).
    pub fn receive(&self, buffer: impl Into<Memory>) -> Request<Transfer> {
        self.receive_with(buffer, ReceiveFlags::empty())
    }

    /// WskReceive with flags: WAITALL fills the buffer, DRAIN discards everything up to the peer's end (F-166).
    pub fn receive_with(&self, buffer: impl Into<Memory>, flags: ReceiveFlags) -> Request<Transfer> {
        let memory = buffer.into();
        self.socket.request(|machine, id, fx| match machine.connection() {
            Some(connection) => connection.receive(id, memory, flags, fx),
            None => refuse(id, fx),
        })
    }

    /// WskDisconnect, graceful: what was sent, then our end of the stream; receiving goes on (F-175). Completes when the
    /// peer's host has acknowledged it.
    pub fn disconnect(&self) -> Request<Transfer> {
        self.disconnect_with(Memory::None, DisconnectFlags::empty())
    }

    /// WskDisconnect with last data, or ABORTIVE without (F-176).
    pub fn disconnect_with(&self, data: impl Into<Memory>, flags: DisconnectFlags) -> Request<Transfer> {
        let memory = data.into();
        self.socket.request(|machine, id, fx| match machine.connection() {
            Some(connection) => connection.disconnect(id, memory, flags, fx),
            None => refuse(id, fx),
        })
    }

    /// The orderly end, with nobody waiting: WskDisconnect, then WskCloseSocket when that has completed. If the peer never
    /// acknowledges our end of the stream, neither completes; [`Client::close_all`](crate::Client::close_all) ends both.
    pub fn disconnect_and_close(&self) {
        let last = self.reference();
        self.disconnect().on_complete(move |_| last.close().detach());
    }

    /// WskGetLocalAddress.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE before bind.
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        address(&self.socket, false)
    }

    /// WskGetRemoteAddress; after a disconnect or reset, the peer that was (F-211).
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE before connect.
    pub fn remote_address(&self) -> Result<SocketAddr, Error> {
        address(&self.socket, true)
    }

    /// SIO_WSK_QUERY_INSPECT_ID: the inspection through which this connection was accepted (E-67).
    ///
    /// # Errors
    /// INVALID_DEVICE_REQUEST when its listener was not conditional.
    pub fn inspect_id(&self) -> Result<InspectId, Error> {
        let id = self.socket.decide(None, |machine, _| machine.connection().map(|c| c.inspect_id())).0;
        Ok(id.unwrap_or(Err(NtStatus::INVALID_DEVICE_REQUEST))?)
    }

    /// SIO_WSK_SET_TCP_SILENT_MODE: from now on nothing leaves, what comes is discarded, and only a close is valid, which says
    /// nothing to the peer (C-31).
    ///
    /// While it is tried, calls of other threads are refused as if it had succeeded.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE: not connected, or a send or disconnect is pending. NOT_SUPPORTED: a loopback connection, or the
    /// process may not.
    pub fn set_silent_mode(&self) -> Result<(), Error> {
        let refused = Err(NtStatus::INVALID_DEVICE_STATE);
        let before =
            self.socket.decide(None, |machine, _| machine.connection().map_or(refused, |c| c.begin_silence())).0?;
        let silent = self.socket.endpoint.silence();
        self.socket.decide(None, |machine, fx| match (machine.connection(), silent) {
            (Some(connection), Ok(())) => connection.silenced(),
            (Some(connection), Err(_)) => connection.unsilence(before, fx),
            (None, _) => {}
        });
        Ok(silent?)
    }

    /// SIO_WSK_SET_RECEIVE_EX_CALLBACK, for the C interface: whether the receive callback takes all indications, on or not
    /// (F-172).
    #[doc(hidden)]
    pub fn take_all_indications(&self, on: bool) -> Result<(), Error> {
        let refused = Err(NtStatus::INVALID_DEVICE_STATE);
        let set = |machine: &mut Machine, fx: &mut Effects| {
            machine.connection().map_or(refused, |connection| connection.take_all_indications(on, fx))
        };
        Ok(self.socket.decide(None, set).0?)
    }

    /// SIO_WSK_QUERY_IDEAL_SEND_BACKLOG: bytes worth keeping outstanding (E-104).
    pub fn ideal_send_backlog(&self) -> usize {
        self.socket.endpoint.ideal_send_backlog()
    }

    /// SIO_WSK_QUERY_RECEIVE_BACKLOG: bytes received that nobody has taken.
    pub fn receive_backlog(&self) -> usize {
        let here = self.socket.decide(None, |machine, _| machine.connection().map_or(0, |c| c.unread())).0;
        here + self.socket.endpoint.unread()
    }
}
