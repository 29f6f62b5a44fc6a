//! What a state machine wants done: complete a request, start a transport operation, call the client.
//!
//! Effects are carried out in order, outside the socket's lock. Effects of one socket that complete requests or call the
//! client are carried out by one thread at a time, so their order is the order the client sees.

use std::net::SocketAddr;

use wsk_abi::flags::EventFlags;
use wsk_abi::status::NtStatus;

use crate::indication::{Answer, DatagramList};
use crate::memory::{BufferList, Memory};
use crate::request::{Completion, Outcome, RequestId};
use crate::transport::{Incoming, Operation};

/// One thing to do.
#[derive(Debug)]
pub enum Effect {
    /// Complete a request.
    Complete(Completion),
    /// Start a transport operation on the socket's home processor.
    Submit(Operation),
    /// Bind the endpoint now and report the result to `bound`.
    Bind(SocketAddr),
    /// Start listening now and report the result to `listening`.
    Listen,
    /// Close an endpoint that no socket owns (a refused or forgotten incoming connection): by reset.
    Discard(Incoming),
    /// Let go of memory nobody waits for; outside the lock, since it may belong to another socket's account.
    Release(Memory),
    /// Ask the endpoint for the ideal send backlog and report it to `backlog_sampled`.
    SampleBacklog,
    /// Call the client and report what it returned to `answered`.
    Call(Callback),
}

/// The effects of one decision; rarely more than a few. Reuse one: it keeps its memory.
#[derive(Debug, Default)]
pub struct Effects {
    /// What to do, in order.
    pub list: Vec<Effect>,
    /// Payload bytes copied while deciding (M-5).
    pub copied: usize,
}

impl Effects {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn complete(&mut self, request: RequestId, status: NtStatus, information: usize, memory: Memory) {
        self.list.push(Effect::Complete(Completion { request, status, information, memory, outcome: Outcome::None }));
    }

    /// Completes a request that reached no machine: the socket's category or role has no such call.
    pub fn refuse(&mut self, request: RequestId, status: NtStatus) {
        self.finish(request, status);
    }

    /// Completes a request that comes with no memory, and that no machine has.
    pub fn finish(&mut self, request: RequestId, status: NtStatus) {
        self.complete(request, status, 0, Memory::None);
    }

    pub(crate) fn complete_with(&mut self, completion: Completion) {
        self.list.push(Effect::Complete(completion));
    }

    pub(crate) fn submit(&mut self, operation: Operation) {
        self.list.push(Effect::Submit(operation));
    }

    pub(crate) fn call(&mut self, callback: Callback) {
        self.list.push(Effect::Call(callback));
    }

    pub(crate) fn release(&mut self, memory: Memory) {
        if !matches!(memory, Memory::None) {
            self.list.push(Effect::Release(memory));
        }
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }
}

/// Names a conditional-accept inspection; unique during the life of its listener (E-61).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InspectId {
    /// The slot.
    pub key: usize,
    /// The slot's generation.
    pub serial: u32,
}

impl std::fmt::Display for InspectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.key, self.serial)
    }
}

/// A call into the client. Every one is answered exactly once through `answered` with an [`Answer`] of its kind.
#[derive(Debug)]
pub enum Callback {
    /// WskReceiveEvent.
    Receive {
        /// The data, in stream order (E-70).
        list: BufferList,
        /// ENTIRE_MESSAGE, RELEASE_ASAP (E-71).
        flags: EventFlags,
    },
    /// WskReceiveFromEvent.
    ReceiveFrom {
        /// The datagrams.
        list: DatagramList,
        /// BCAST, MCAST: shared by all of them (E-80).
        flags: EventFlags,
    },
    /// WskDisconnectEvent.
    Disconnect {
        /// ABORTIVE or nothing (E-100).
        flags: EventFlags,
    },
    /// WskSendBacklogEvent.
    SendBacklog {
        /// Bytes worth keeping outstanding (E-104).
        ideal: usize,
    },
    /// WskAcceptEvent.
    Accept {
        /// The connection.
        incoming: Incoming,
        /// Its inspection, on a conditional listener.
        inspect: Option<InspectId>,
    },
    /// WskInspectEvent.
    Inspect {
        /// Identifies the request.
        id: InspectId,
        /// Local address.
        local: SocketAddr,
        /// The peer.
        remote: SocketAddr,
    },
    /// WskAbortEvent.
    Abort {
        /// The forgotten request.
        id: InspectId,
    },
    /// The socket is no longer functional: the callback of this event with a NULL argument (E-56, E-62, E-79, E-93).
    Dead(DeadEvent),
}

/// Which callback carries the news that its socket is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadEvent {
    /// WskAcceptEvent with AcceptSocket NULL.
    Accept,
    /// WskInspectEvent with InspectID NULL.
    Inspect,
    /// WskReceiveEvent with DataIndication NULL.
    Receive,
    /// WskReceiveFromEvent with DataIndication NULL.
    ReceiveFrom,
}

impl Callback {
    /// The kind, to go with the answer.
    pub fn kind(&self) -> CallbackKind {
        match self {
            Callback::Receive { .. } | Callback::Dead(DeadEvent::Receive) => CallbackKind::Receive,
            Callback::ReceiveFrom { .. } | Callback::Dead(DeadEvent::ReceiveFrom) => CallbackKind::ReceiveFrom,
            Callback::Disconnect { .. } => CallbackKind::Disconnect,
            Callback::SendBacklog { .. } => CallbackKind::SendBacklog,
            Callback::Accept { .. } | Callback::Dead(DeadEvent::Accept) => CallbackKind::Accept,
            Callback::Inspect { .. } | Callback::Dead(DeadEvent::Inspect) => CallbackKind::Inspect,
            Callback::Abort { .. } => CallbackKind::Abort,
        }
    }

    /// The answer of a client that has no such callback, or may not be called any more: nothing is kept, nothing accepted.
    pub fn default_answer(&self) -> Answer {
        match self {
            Callback::Accept { .. } => Answer::Rejected,
            Callback::Inspect { .. } => Answer::Inspected(crate::indication::InspectAction::Reject),
            _ => Answer::Done,
        }
    }
}

/// The event callbacks by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the callback of the same name above
pub enum CallbackKind {
    Receive,
    ReceiveFrom,
    Disconnect,
    SendBacklog,
    Accept,
    Inspect,
    Abort,
}
