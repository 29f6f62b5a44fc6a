//! Indications: what an event callback is handed, and the meaning of what it returns (E-54, E-63, E-73, events 8.2).

use smallvec::SmallVec;

use crate::memory::BufferList;
use crate::transport::Datagram;

/// Datagrams in the order of arrival.
pub type DatagramList = SmallVec<[Datagram; 1]>;

/// What a client's callback returned, as far as the subsystem cares.
#[derive(Debug)]
pub enum Answer {
    /// Nothing to decide; or everything was consumed or retained (STATUS_SUCCESS with all accepted, STATUS_PENDING).
    Done,
    /// WskReceiveEvent left bytes unread: partial acceptance, DATA_NOT_ACCEPTED or any other failure. Indications stop
    /// until a WskReceive (E-73, E-75).
    ///
    /// The bytes not accepted, in stream order; and the transport memory of the whole indication, which is not lent any
    /// more.
    Unread(Box<(BufferList, usize)>),
    /// WskReceiveFromEvent returned DATA_NOT_ACCEPTED (E-90, E-91): all datagrams of the indication, and its transport
    /// memory, which is not lent any more.
    Refused(Box<(DatagramList, usize)>),
    /// WskAcceptEvent returned STATUS_SUCCESS.
    Accepted,
    /// WskAcceptEvent returned anything else (E-54).
    Rejected,
    /// WskInspectEvent's action (E-63).
    Inspected(InspectAction),
}

/// WSK_INSPECT_ACTION.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InspectAction {
    /// Refuse the connection.
    Reject,
    /// Let it go on.
    Accept,
    /// Decide later, by WskInspectComplete.
    Pend,
}

/// The transport memory an indication keeps busy.
pub fn capacity(list: &BufferList) -> usize {
    list.iter().map(crate::memory::Buffer::capacity).sum()
}

/// The transport memory a list of datagrams keeps busy.
pub fn datagram_capacity(list: &[Datagram]) -> usize {
    list.iter().map(|d| d.buffer.capacity()).sum()
}
