//! A connection that falls silent (C-31): nothing leaves, nothing is answered, and its close says nothing.
//!
//! TCP_REPAIR keeps the kernel from sending and makes the close silent; a filter drops what comes before it is looked at.

use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use rustix::net;
use wsk_abi::status::NtStatus;
use wsk_core::transport::Family;

use super::{HostEndpoint, to_address, to_status};
use crate::{network, sockopt};

impl HostEndpoint {
    /// Silences the connection for good, or leaves it as it was.
    pub(super) fn fall_silent(&self) -> Result<(), NtStatus> {
        self.stats.add(7);
        self.with_fd(|fd| {
            if is_of_this_machine(fd)? {
                return Err(NtStatus::NOT_SUPPORTED);
            }
            // What was sent and is not acknowledged would be sent again.
            if sockopt::unacknowledged(fd) > 0 {
                return Err(NtStatus::INVALID_DEVICE_STATE);
            }
            sockopt::acknowledge_now(fd);
            // The second is only for the privileged, on some kernels the first too.
            sockopt::drop_all_input(fd).map_err(|_| NtStatus::NOT_SUPPORTED)?;
            if sockopt::repair(fd).is_err() {
                self.stats.add(1);
                sockopt::take_all_input(fd);
                return Err(NtStatus::NOT_SUPPORTED);
            }
            // Probes would be heard. Nothing from here on fails: what repairs does not go back to its work.
            let _ = net::sockopt::set_socket_keepalive(fd, false);
            self.silent.store(true, Ordering::Release);
            Ok(())
        })
    }
}

/// Whether the peer is on this machine.
fn is_of_this_machine(fd: BorrowedFd<'_>) -> Result<bool, NtStatus> {
    let peer = to_address(net::getpeername(fd).map_err(to_status)?.ok_or(NtStatus::INVALID_DEVICE_STATE)?)?;
    let ip = peer.ip().to_canonical();
    let family = if ip.is_ipv4() { Family::V4 } else { Family::V6 };
    Ok(ip.is_loopback() || network::addresses(family)?.iter().any(|own| own.ip() == ip))
}
