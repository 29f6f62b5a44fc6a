//! The five socket categories, one state machine each.
//!
//! A machine is driven from three sides, and every call may add [`Effect`](crate::effect::Effect)s to carry out:
//! commands of the client (`bind`, `send`, ..., `close`, `cancel`), events of the transport (`handle`, then `advance` once
//! after a run of them), and returned callbacks (`answered`, `released`).

pub mod basic;
pub mod connection;
pub mod datagram;
pub mod listen;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod send_to;
mod straight;
pub mod stream;

pub use receive::RETENTION_CAP;

use std::net::SocketAddr;

use wsk_abi::status::NtStatus;

use crate::transport::Family;

/// What a call of a listening or a datagram socket gets in a state (a cell of F-241, F-242).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes ahead.
    Go,
    /// INVALID_DEVICE_STATE.
    Ids,
    /// FILE_FORCED_CLOSED.
    Fc,
}

impl Verdict {
    pub(crate) fn into_result(self) -> Result<(), NtStatus> {
        match self {
            Verdict::Go => Ok(()),
            Verdict::Ids => Err(NtStatus::INVALID_DEVICE_STATE),
            Verdict::Fc => Err(NtStatus::FILE_FORCED_CLOSED),
        }
    }
}

/// Whether an address of a peer fits a socket: its family (F-82), and on a V6ONLY socket no mapped IPv4 address (C-41).
pub(crate) fn check_remote(family: Family, v6_only: bool, remote: &SocketAddr) -> Result<(), NtStatus> {
    if Family::of(remote) != family {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    match remote {
        SocketAddr::V6(v6) if v6_only && v6.ip().to_ipv4_mapped().is_some() => Err(NtStatus::INVALID_ADDRESS_COMPONENT),
        _ => Ok(()),
    }
}

/// Whether IPV6_V6ONLY may be set: an IPv6 socket, not yet bound (C-16, C-44).
pub(crate) fn check_v6_only(family: Family, created: bool) -> Result<(), NtStatus> {
    match (family, created) {
        (Family::V4, _) => Err(NtStatus::INVALID_PARAMETER),
        (Family::V6, false) => Err(NtStatus::INVALID_DEVICE_STATE),
        (Family::V6, true) => Ok(()),
    }
}
