//! What the socket types have in common: ownership, close, event control, and calls of several categories.

use std::net::SocketAddr;
use std::sync::Arc;

use wsk_abi::status::NtStatus;

use crate::connection::ConnectionSocket;
use crate::error::Error;
use crate::events::ConnectionEvents;
use crate::request::Request;
use crate::socket::Socket;

/// Defines a socket handle type.
macro_rules! socket_handle {
    ($(#[$doc:meta])* $name:ident, $categories:expr) => {
        $(#[$doc])*
        ///
        /// The handle that the client got owns the socket: dropping it closes the socket, by reset if it is a connection
        /// that was not disconnected. The handle passed to a callback does not.
        pub struct $name {
            pub(crate) socket: std::sync::Arc<crate::socket::Socket>,
            owned: bool,
        }

        impl $name {
            pub(crate) fn owning(socket: std::sync::Arc<crate::socket::Socket>) -> Self {
                Self { socket, owned: true }
            }

            #[allow(dead_code)] // not every category has callbacks
            pub(crate) fn borrowed(socket: std::sync::Arc<crate::socket::Socket>) -> Self {
                Self { socket, owned: false }
            }

            /// Another handle to the same socket, which does not own it: for a completion callback, say.
            pub fn reference(&self) -> Self {
                Self { socket: self.socket.clone(), owned: false }
            }

            /// WskCloseSocket. It completes when every request of the socket has and every callback has returned; after
            /// that nothing of this socket happens any more (F-115). A second close fails with INVALID_HANDLE.
            pub fn close(&self) -> crate::Request<()> {
                self.socket.request(|machine, id, fx| machine.close(id, fx))
            }

            /// Leaves the socket open with nobody owning it: a callback closes it, or
            /// [`Client::close_all`](crate::Client::close_all).
            pub fn leave_open(mut self) {
                self.owned = false;
            }

            /// SO_WSK_EVENT_CALLBACK: switches event callbacks on (events.md 4.1). What happened before is not lost (E-14).
            ///
            /// # Errors
            /// INVALID_PARAMETER: an event of another category, or one whose callback is not provided.
            /// INVALID_DEVICE_STATE: not yet bound (listening, datagram) or connected. DEVICE_BUSY: being disabled.
            pub fn enable(&self, events: crate::EventMask) -> Result<(), crate::Error> {
                let events = events.difference(crate::EventMask::DISABLE);
                match self.socket.decide(None, |machine, fx| machine.control_events(events, None, fx)).0 {
                    crate::NtStatus::SUCCESS => Ok(()),
                    status => Err(status.into()),
                }
            }

            /// SO_WSK_EVENT_CALLBACK with WSK_EVENT_DISABLE and a request: switches one event off. Completes when no call
            /// of it runs any more (E-42); from inside that very callback it can only be started (E-44).
            pub fn disable(&self, event: crate::EventMask) -> crate::Request<()> {
                self.socket.request(|machine, id, fx| {
                    machine.control_events(event | crate::EventMask::DISABLE, Some(id), fx);
                })
            }

            /// The same without a request: SUCCESS, or EVENT_PENDING when calls are still running (E-42), or an error.
            pub fn disable_without_request(&self, event: crate::EventMask) -> crate::NtStatus {
                let mask = event | crate::EventMask::DISABLE;
                self.socket.decide(None, |machine, fx| machine.control_events(mask, None, fx)).0
            }

            /// Sets an option: [`option`](crate::option).
            ///
            /// # Errors
            /// NOT_SUPPORTED: not offered, or only to be asked for. INVALID_PARAMETER: not one of this category, or of the
            /// socket's address family, or out of range. INVALID_DEVICE_STATE: only before bind (C-16).
            pub fn set<O: crate::option::SocketOption>(&self, option: O) -> Result<(), crate::Error> {
                self.set_value(O::OPTION, option.into_value())
            }

            /// Asks for an option: what was set, or the transport's default.
            ///
            /// # Errors
            /// INVALID_PARAMETER, as for [`Self::set`].
            pub fn get<O: crate::option::SocketOption>(&self) -> Result<O, crate::Error> {
                self.value(O::OPTION).map(O::from_value)
            }

            /// [`Self::set`] for those who know the option as a line of the table.
            ///
            /// # Errors
            /// As [`Self::set`].
            pub fn set_value(
                &self,
                option: crate::option::OptionName,
                value: crate::option::OptionValue,
            ) -> Result<(), crate::Error> {
                crate::option::set(&self.socket, $categories, option, value)
            }

            /// [`Self::get`] for those who know the option as a line of the table.
            ///
            /// # Errors
            /// As [`Self::get`].
            pub fn value(
                &self,
                option: crate::option::OptionName,
            ) -> Result<crate::option::OptionValue, crate::Error> {
                crate::option::get(&self.socket, $categories, option)
            }

            /// SO_WSK_SECURITY, before bind: who may share the address that the socket will have (control.md 7). `None` is the
            /// default: nobody.
            ///
            /// # Errors
            /// INVALID_DEVICE_STATE once bound; INVALID_PARAMETER on a basic socket.
            pub fn set_security(
                &self,
                security: Option<std::sync::Arc<crate::security::SecurityDescriptor>>,
            ) -> Result<(), crate::Error> {
                crate::option::set_security(&self.socket, $categories, security)
            }

            /// What [`Self::set_security`] set.
            pub fn security(&self) -> Option<std::sync::Arc<crate::security::SecurityDescriptor>> {
                self.socket.kept(|kept| kept.security.clone())
            }

            /// On whose behalf the socket binds: the security context of OwningProcess and OwningThread (F-87). The system
            /// unless set.
            ///
            /// # Errors
            /// INVALID_DEVICE_STATE once bound.
            pub fn set_owner(&self, owner: crate::security::Subject) -> Result<(), crate::Error> {
                if !self.socket.is_created() {
                    return Err(crate::NtStatus::INVALID_DEVICE_STATE.into());
                }
                self.socket.keep(|kept| kept.subject = Some(owner));
                Ok(())
            }

            /// SIO_ADDRESS_LIST_QUERY: the unicast addresses of this machine, of the socket's family, port 0 (C-32).
            ///
            /// # Errors
            /// The transport's.
            pub fn address_list(&self) -> Result<Vec<std::net::SocketAddr>, crate::Error> {
                Ok(self.socket.transport()?.local_addresses(self.socket.family)?)
            }

            /// SIO_ADDRESS_LIST_CHANGE: completes when that list changes; CANCELLED when the socket is closed.
            pub fn address_list_change(&self) -> crate::Request<()> {
                crate::network::addresses_change(&self.socket)
            }

            /// SIO_ADDRESS_LIST_SORT: the best destination first (RFC 6724).
            ///
            /// # Errors
            /// The transport's.
            pub fn sort_addresses(
                &self,
                addresses: Vec<std::net::SocketAddr>,
            ) -> Result<Vec<std::net::SocketAddr>, crate::Error> {
                Ok(crate::network::sort(&*self.socket.transport()?, addresses))
            }

            /// SIO_ROUTING_INTERFACE_QUERY: the local address, port 0, that `destination` is reached from.
            ///
            /// # Errors
            /// INVALID_PARAMETER: of another family. NETWORK_UNREACHABLE, HOST_UNREACHABLE: there is no route.
            pub fn routing_interface(
                &self,
                destination: std::net::SocketAddr,
            ) -> Result<std::net::SocketAddr, crate::Error> {
                self.socket.check_family(&destination)?;
                Ok(self.socket.transport()?.route(destination)?)
            }

            /// SIO_ROUTING_INTERFACE_CHANGE: completes when the answer to [`Self::routing_interface`] changes; CANCELLED when
            /// the socket is closed. Fails at once where that fails.
            pub fn routing_interface_change(&self, destination: std::net::SocketAddr) -> crate::Request<()> {
                crate::network::route_change(&self.socket, destination)
            }

            /// Requests queued on this socket.
            pub fn requests_queued(&self) -> usize {
                self.socket.queued()
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                if self.owned {
                    self.socket.close_quietly();
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use socket_handle;

pub(crate) fn bind(socket: &Arc<Socket>, local: SocketAddr) -> Request<()> {
    socket.request(|machine, id, fx| machine.bind(id, local, fx))
}

pub(crate) fn accept(socket: &Arc<Socket>, events: Option<Arc<dyn ConnectionEvents>>) -> Request<ConnectionSocket> {
    socket.request_accept(events, |machine, id, fx| machine.accept(id, fx))
}

/// WskGetLocalAddress or WskGetRemoteAddress, which finish at once.
pub(crate) fn address(socket: &Arc<Socket>, remote: bool) -> Result<SocketAddr, Error> {
    let request: Request<SocketAddr> = socket.request(|machine, id, fx| machine.address(id, remote, fx));
    request.finished()
}

/// A call for which the socket's category or role has no slot.
pub(crate) fn refuse(request: wsk_core::request::RequestId, fx: &mut wsk_core::effect::Effects) {
    fx.refuse(request, NtStatus::INVALID_DEVICE_STATE);
}
