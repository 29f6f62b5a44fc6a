//! Datagram sockets.

use std::net::SocketAddr;

use wsk_core::memory::Memory;
use wsk_core::socket::datagram::Messages;
use wsk_core::transport::TransportOption;

use crate::error::Error;
use crate::handle::{address, bind, refuse, socket_handle};
use crate::request::{ReceivedFrom, Request, Transfer};
use wsk_abi::status::NtStatus;

socket_handle! {
    /// A datagram socket (WSK_FLAG_DATAGRAM_SOCKET).
    DatagramSocket, crate::option::Categories::DATAGRAM
}

impl DatagramSocket {
    /// WskBind. There is no implicit bind (F-120).
    pub fn bind(&self, local: SocketAddr) -> Request<()> {
        bind(&self.socket, local)
    }

    /// WskSendTo: one datagram.
    ///
    /// Fails with INVALID_DEVICE_STATE (not bound), INVALID_PARAMETER (another family), INVALID_BUFFER_SIZE (too long),
    /// ACCESS_DENIED (broadcast without SO_BROADCAST), NETWORK_UNREACHABLE, HOST_UNREACHABLE (F-191).
    pub fn send_to(&self, data: impl Into<Memory>, remote: SocketAddr) -> Request<Transfer> {
        self.send_datagram(data.into(), Some(remote))
    }

    /// WskSendTo without an address: to the fixed one. Without that: INVALID_PARAMETER (F-190).
    pub fn send(&self, data: impl Into<Memory>) -> Request<Transfer> {
        self.send_datagram(data.into(), None)
    }

    fn send_datagram(&self, memory: Memory, remote: Option<SocketAddr>) -> Request<Transfer> {
        self.socket.request(|machine, id, fx| match machine.datagram() {
            Some(datagram) => datagram.send_to(id, memory, remote, fx),
            None => refuse(id, fx),
        })
    }

    /// WskSendMessages: each item one datagram, all to one destination, in order; the first failure ends it (F-193).
    pub fn send_messages(
        &self,
        messages: impl IntoIterator<Item = impl Into<Memory>>,
        remote: Option<SocketAddr>,
    ) -> Request<Transfer> {
        let messages: Messages = messages.into_iter().map(Into::into).collect();
        self.socket.request(|machine, id, fx| match machine.datagram() {
            Some(datagram) => datagram.send_messages(id, messages, remote, fx),
            None => refuse(id, fx),
        })
    }

    /// WskReceiveFrom: the next datagram, into `buffer` (its length, not its capacity). One that is longer is cut, with the
    /// flag TRUNC (F-196).
    pub fn receive_from(&self, buffer: impl Into<Memory>) -> Request<ReceivedFrom> {
        let memory = buffer.into();
        self.socket.request(|machine, id, fx| match machine.datagram() {
            Some(datagram) => datagram.receive_from(id, memory, fx),
            None => refuse(id, fx),
        })
    }

    /// SIO_WSK_SET_REMOTE_ADDRESS: the default destination, and the only sender heard; `None` clears it (C-30).
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE before bind, INVALID_PARAMETER for another family.
    pub fn set_remote_address(&self, remote: Option<SocketAddr>) -> Result<(), Error> {
        let set = self.socket.decide(None, |machine, _| machine.datagram().map(|d| d.set_remote_address(remote))).0;
        Ok(set.unwrap_or(Err(NtStatus::INVALID_DEVICE_STATE))?)
    }

    /// SIO_WSK_SET_SENDTO_ADDRESS: the default destination only; `None` clears it (C-30).
    ///
    /// # Errors
    /// As [`DatagramSocket::set_remote_address`].
    pub fn set_send_to_address(&self, remote: Option<SocketAddr>) -> Result<(), Error> {
        let set = self.socket.decide(None, |machine, _| machine.datagram().map(|d| d.set_send_to_address(remote))).0;
        Ok(set.unwrap_or(Err(NtStatus::INVALID_DEVICE_STATE))?)
    }

    /// WskGetLocalAddress.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE before bind.
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        address(&self.socket, false)
    }

    /// IPV6_V6ONLY, before bind; `false` makes it dual-mode (C-40).
    ///
    /// # Errors
    /// INVALID_PARAMETER on an IPv4 socket, INVALID_DEVICE_STATE once bound.
    pub fn set_v6_only(&self, on: bool) -> Result<(), Error> {
        let set = self.socket.decide(None, |machine, _| machine.datagram().map(|d| d.set_v6_only(on))).0;
        set.unwrap_or(Err(NtStatus::INVALID_DEVICE_STATE))?;
        Ok(self.socket.endpoint.set_option(TransportOption::V6Only(on))?)
    }

    /// SO_BROADCAST.
    ///
    /// # Errors
    /// The transport's.
    pub fn set_broadcast(&self, on: bool) -> Result<(), Error> {
        Ok(self.socket.endpoint.set_option(TransportOption::Broadcast(on))?)
    }

    /// Datagrams dropped by the subsystem since the socket was made, because a callback refused them (events.md 8.3).
    pub fn dropped(&self) -> u64 {
        self.socket.decide(None, |machine, _| machine.datagram().map_or(0, |d| d.dropped())).0
    }
}
