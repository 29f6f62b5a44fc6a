//! The flag words of wsk.h as types, one per use, because the same bit means different things in different calls
//! (events.md 1).
//!
//! Bits without a name here are kept by `from_bits_retain`, which is how a border takes a caller's word; `from_bits` tells
//! whether all bits are known.

use bitflags::bitflags;

bitflags! {
    /// `WSK_EVENT_CALLBACK_CONTROL::EventMask` (DDI: WSK_EVENT_CALLBACK_CONTROL; E-40).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct EventMask: u32 {
        /// `WSK_EVENT_SEND_BACKLOG`: WskSendBacklogEvent.
        const SEND_BACKLOG = 0x10;
        /// `WSK_EVENT_RECEIVE`: WskReceiveEvent.
        const RECEIVE = 0x40;
        /// `WSK_EVENT_DISCONNECT`: WskDisconnectEvent.
        const DISCONNECT = 0x80;
        /// `WSK_EVENT_RECEIVE_FROM`: WskReceiveFromEvent.
        const RECEIVE_FROM = 0x100;
        /// `WSK_EVENT_ACCEPT`: WskAcceptEvent.
        const ACCEPT = 0x200;
        /// `WSK_EVENT_DISABLE`: disables the one event named beside it.
        const DISABLE = 0x8000_0000;
    }

    /// Flags of WskSend and WskSendEx (DDI: PFN_WSK_SEND).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct SendFlags: u32 {
        /// `WSK_FLAG_OOB`: expedited data.
        const OOB = 1;
        /// `WSK_FLAG_NODELAY`: do not wait for more data.
        const NODELAY = 2;
    }

    /// Flags of WskReceive and WskReceiveEx (DDI: PFN_WSK_RECEIVE).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct ReceiveFlags: u32 {
        /// `WSK_FLAG_WAITALL`: complete when the buffer is full.
        const WAITALL = 2;
        /// `WSK_FLAG_DRAIN`: discard what arrives until the peer disconnects.
        const DRAIN = 4;
    }

    /// Flags of WskDisconnect (DDI: PFN_WSK_DISCONNECT).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct DisconnectFlags: u32 {
        /// `WSK_FLAG_ABORTIVE`: reset the connection.
        const ABORTIVE = 1;
    }

    /// Flags handed to event callbacks (events.md 1).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct EventFlags: u32 {
        /// `WSK_FLAG_ABORTIVE`: the peer reset the connection (WskDisconnectEvent).
        const ABORTIVE = 1;
        /// `WSK_FLAG_RELEASE_ASAP`: give the indication back soon (WskReceiveEvent).
        const RELEASE_ASAP = 2;
        /// `WSK_FLAG_ENTIRE_MESSAGE`: the indication ends a message (WskReceiveEvent).
        const ENTIRE_MESSAGE = 4;
        /// `WSK_FLAG_AT_DISPATCH_LEVEL`: the callback runs at exactly DISPATCH_LEVEL.
        const AT_DISPATCH_LEVEL = 8;
        /// `MSG_BCAST`: link-layer broadcast (WskReceiveFromEvent).
        const BCAST = 0x400;
        /// `MSG_MCAST`: link-layer multicast (WskReceiveFromEvent).
        const MCAST = 0x800;
    }

    /// `*ControlFlags` of WskReceiveFrom (DDI: PFN_WSK_RECEIVE_FROM).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct ControlFlags: u32 {
        /// `MSG_TRUNC`: the datagram was longer than the buffer.
        const TRUNC = 0x100;
        /// `MSG_CTRUNC`: the control messages were longer than their buffer.
        const CTRUNC = 0x200;
        /// `MSG_BCAST`: received as link-layer broadcast.
        const BCAST = 0x400;
        /// `MSG_MCAST`: received as link-layer multicast.
        const MCAST = 0x800;
        /// `MSG_ERRQUEUE`: not a datagram but an ICMP error about one sent before (E-84).
        const ERRQUEUE = 0x1000;
    }
}
