//! Binding (C-51, C-52): who may have an address is the subsystem's to decide, so the kernel is asked about strangers only.
//!
//! A scratch socket finds out whether somebody else has the address. Then the endpoint takes it with all that Linux has for
//! sharing, so that no socket of our own, and no connection in TIME_WAIT, is in the way.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::net::{self, SocketFlags, sockopt as safe};
use wsk_abi::status::NtStatus;
use wsk_core::transport::{Family, Protocol};

use super::{HostEndpoint, to_address, to_status};
use crate::sockopt;

/// A probe is in the way of another bind of the same address.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A new descriptor for an endpoint.
pub(super) fn socket(family: Family, protocol: Protocol) -> Result<OwnedFd, Errno> {
    let domain = match family {
        Family::V4 => net::AddressFamily::INET,
        Family::V6 => net::AddressFamily::INET6,
    };
    let (kind, number) = match protocol {
        Protocol::Tcp => (net::SocketType::STREAM, Some(net::ipproto::TCP)),
        Protocol::Udp => (net::SocketType::DGRAM, Some(net::ipproto::UDP)),
        Protocol::Raw(0) => return Err(Errno::PROTONOSUPPORT), // "any" is for the client's own headers only
        Protocol::Raw(number) => {
            (net::SocketType::RAW, std::num::NonZeroU32::new(number.into()).map(net::Protocol::from_raw))
        }
    };
    net::socket_with(domain, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, number)
}

impl HostEndpoint {
    /// Binds, and says where to.
    pub(super) fn bind_to(&self, local: SocketAddr, shares: bool) -> Result<SocketAddr, NtStatus> {
        let local = self.destination(local)?;
        let chosen = self.with_fd(|fd| {
            let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
            match self.protocol {
                Protocol::Raw(_) => self.take(fd, &local)?,
                _ if local.port() == 0 => self.bind_to_any_port(fd, &local)?,
                _ => {
                    if !shares {
                        self.probe(&local)?;
                    }
                    self.stats.add(2);
                    safe::set_socket_reuseaddr(fd, true).map_err(to_status)?;
                    safe::set_socket_reuseport(fd, true).map_err(to_status)?;
                    self.take(fd, &local)?;
                }
            }
            self.stats.add(1);
            self.local_name(fd)
        })?;
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = Some(chosen);
        Ok(chosen)
    }

    /// The local address. Linux has the protocol in the place of a raw socket's port.
    pub(super) fn local_name(&self, fd: BorrowedFd<'_>) -> Result<SocketAddr, NtStatus> {
        let mut local = to_address(net::getsockname(fd).map_err(to_status)?)?;
        if self.is_raw() {
            local.set_port(0);
        }
        Ok(local)
    }

    fn take(&self, fd: BorrowedFd<'_>, local: &SocketAddr) -> Result<(), NtStatus> {
        self.stats.add(1);
        net::bind(fd, local).map_err(to_status)
    }

    /// A port that nobody has: the kernel gives one only to a socket that does not share it. Then it does, for those to come.
    fn bind_to_any_port(&self, fd: BorrowedFd<'_>, local: &SocketAddr) -> Result<(), NtStatus> {
        self.stats.add(3);
        sockopt::use_dynamic_ports(fd);
        self.take(fd, local)?;
        safe::set_socket_reuseaddr(fd, true).map_err(to_status)?; // accepted sockets inherit it
        safe::set_socket_reuseport(fd, true).map_err(to_status)
    }

    /// Whether a stranger has the address.
    fn probe(&self, local: &SocketAddr) -> Result<(), NtStatus> {
        self.stats.add(5);
        let scratch = socket(self.family, self.protocol).map_err(to_status)?;
        if self.family == Family::V6 {
            let only = self.v6_only.load(std::sync::atomic::Ordering::Relaxed);
            safe::set_ipv6_v6only(&scratch, only).map_err(to_status)?;
        }
        if self.protocol == Protocol::Tcp {
            // Connections in TIME_WAIT do not count (C-52), and our own sockets let it pass as long as they do not listen.
            safe::set_socket_reuseaddr(scratch.as_fd(), true).map_err(to_status)?;
        }
        net::bind(&scratch, local).map_err(to_status)
    }
}
