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
