//! Datagram sockets.

use std::net::{IpAddr, SocketAddr};

use wsk_core::control_data::SendControl;
use wsk_core::memory::Memory;
use wsk_core::transport::Messages;

use crate::error::Error;
use crate::handle::{address, bind, refuse, socket_handle};
use crate::option::{GroupAction, GroupInterface, GroupRequest, OptionName, OptionValue};
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
    /// ACCESS_DENIED (broadcast without the option Broadcast), NETWORK_UNREACHABLE, HOST_UNREACHABLE (F-191).
    pub fn send_to(&self, data: impl Into<Memory>, remote: SocketAddr) -> Request<Transfer> {
        self.send_with(data, Some(remote), SendControl::default())
    }

    /// WskSendTo without an address: to the fixed one. Without that: INVALID_PARAMETER (F-190).
    pub fn send(&self, data: impl Into<Memory>) -> Request<Transfer> {
        self.send_with(data, None, SendControl::default())
    }

    /// WskSendTo with control data: where it is to come from, its hop limit, and so on, for this datagram only (C-22).
    pub fn send_with(
        &self,
        data: impl Into<Memory>,
        remote: Option<SocketAddr>,
        control: impl Into<SendControl>,
    ) -> Request<Transfer> {
        let control = control.into();
        let memory = data.into();
        self.socket.request(|machine, id, fx| match machine.datagram() {
            Some(datagram) => datagram.send_to(id, memory, remote, control, fx),
            None => refuse(id, fx),
        })
    }

    /// WskSendMessages: each item one datagram, all to one destination, in order; the first failure ends it (F-193).
    pub fn send_messages(
        &self,
        messages: impl IntoIterator<Item = impl Into<Memory>>,
        remote: Option<SocketAddr>,
    ) -> Request<Transfer> {
        self.send_messages_with(messages, remote, SendControl::default())
    }

    /// WskSendMessages with control data, the same for each.
    pub fn send_messages_with(
        &self,
        messages: impl IntoIterator<Item = impl Into<Memory>>,
        remote: Option<SocketAddr>,
        control: impl Into<SendControl>,
    ) -> Request<Transfer> {
        let control = control.into();
        let messages: Messages = messages.into_iter().map(Into::into).collect();
        self.socket.request(|machine, id, fx| match machine.datagram() {
            Some(datagram) => datagram.send_messages(id, messages, remote, control, fx),
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

    /// MCAST_JOIN_GROUP: datagrams to this group are received.
    ///
    /// # Errors
    /// INVALID_PARAMETER: not a group, or of another family than the socket; the host's refusal.
    pub fn join_group(&self, group: IpAddr, interface: GroupInterface) -> Result<(), Error> {
        self.group(GroupRequest { action: GroupAction::Join, group, source: None, interface })
    }

    /// MCAST_LEAVE_GROUP.
    ///
    /// # Errors
    /// As [`DatagramSocket::join_group`].
    pub fn leave_group(&self, group: IpAddr, interface: GroupInterface) -> Result<(), Error> {
        self.group(GroupRequest { action: GroupAction::Leave, group, source: None, interface })
    }

    /// Joins or leaves a group for one source (MCAST_JOIN_SOURCE_GROUP, MCAST_LEAVE_SOURCE_GROUP), or stops and goes on hearing
    /// one source of a group that was joined (MCAST_BLOCK_SOURCE, MCAST_UNBLOCK_SOURCE).
    ///
    /// # Errors
    /// As [`DatagramSocket::join_group`].
    pub fn group(&self, request: GroupRequest) -> Result<(), Error> {
        use OptionName::*;
        let of = |v4, v6| if request.group.is_ipv4() { v4 } else { v6 };
        let option = match (request.action, request.source) {
            (GroupAction::Join, None) => of(JoinGroup4, JoinGroup6),
            (GroupAction::Leave, None) => of(LeaveGroup4, LeaveGroup6),
            (GroupAction::Join, Some(_)) => of(JoinGroupSource4, JoinGroupSource6),
            (GroupAction::Leave, Some(_)) => of(LeaveGroupSource4, LeaveGroupSource6),
            (GroupAction::Block, _) => of(BlockGroupSource4, BlockGroupSource6),
            (GroupAction::Unblock, _) => of(UnblockGroupSource4, UnblockGroupSource6),
        };
        self.set_value(option, OptionValue::Group(request))
    }

    /// SIO_UDP_CONNRESET and SIO_UDP_NETRESET: whether a receive fails, with PORT_UNREACHABLE or NETWORK_UNREACHABLE, when a
    /// datagram sent before did not arrive. Neither unless asked for.
    ///
    /// # Errors
    /// NOT_SUPPORTED by a transport that cannot tell.
    pub fn report_unreachable(&self, port: bool, network: bool) -> Result<(), Error> {
        Ok(self.socket.endpoint.report_unreachable(port, network)?)
    }

    /// Datagrams dropped by the subsystem since the socket was made, because a callback refused them (events.md 8.3).
    pub fn dropped(&self) -> u64 {
        self.socket.decide(None, |machine, _| machine.datagram().map_or(0, |d| d.dropped())).0
    }
}
