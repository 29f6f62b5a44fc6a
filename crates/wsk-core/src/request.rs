//! Requests: what C calls an IRP given to a socket function. The subsystem completes each exactly once (promise 1).

use std::net::SocketAddr;

use wsk_abi::status::NtStatus;

use crate::memory::Memory;
use crate::transport::{DatagramInfo, Incoming};

/// Names a request between the subsystem's core and whoever waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The end of a request: IoStatus, and what goes back with it.
#[derive(Debug)]
pub struct Completion {
    /// Which request.
    pub request: RequestId,
    /// IoStatus.Status.
    pub status: NtStatus,
    /// IoStatus.Information (F-54 to F-62); sockets and addresses are in `outcome`.
    pub information: usize,
    /// The client's memory.
    pub memory: Memory,
    /// Further results.
    pub outcome: Outcome,
}

/// Results that are not a number of bytes.
#[derive(Debug, Default)]
pub enum Outcome {
    /// None.
    #[default]
    None,
    /// WskAccept: the connection (F-131).
    Accepted(Box<(Incoming, Option<crate::effect::InspectId>)>),
    /// WskReceiveFrom: source and flags (F-195).
    Datagram(DatagramInfo),
    /// WskGetLocalAddress, WskGetRemoteAddress.
    Address(SocketAddr),
}

/// Errors of state or argument, which a socket finds before a request begins: they complete inside the call (F-51), ahead of
/// what is under way.
pub fn is_refusal(status: NtStatus) -> bool {
    const REFUSALS: [NtStatus; 7] = [
        NtStatus::INVALID_HANDLE,
        NtStatus::INVALID_DEVICE_STATE,
        NtStatus::INVALID_PARAMETER,
        NtStatus::INVALID_DEVICE_REQUEST,
        NtStatus::NOT_SUPPORTED,
        NtStatus::FILE_FORCED_CLOSED,
        NtStatus::CONNECTION_ACTIVE,
    ];
    REFUSALS.contains(&status)
}
