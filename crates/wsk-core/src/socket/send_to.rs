//! The send path of a datagram socket: WskSendTo and WskSendMessages, in the order of their calls.
//!
//! Each request is one transport operation, however many datagrams it has; as many as the host is worth are in flight at once, and
//! the others wait here.

use std::collections::VecDeque;
use std::net::SocketAddr;

use wsk_abi::status::NtStatus;

use crate::control_data::ControlData;
use crate::effect::Effects;
use crate::memory::Memory;
use crate::request::RequestId;
use crate::transport::{Messages, Operation, SendId};

/// Requests in flight at once.
const IN_FLIGHT: usize = 64;

/// A request under way.
#[derive(Debug)]
struct Batch {
    request: RequestId,
    /// Bytes of all of it, which is what IoStatus.Information says of success.
    bytes: usize,
    /// WskSendTo: its memory goes back with the completion.
    single: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not yet handed to the transport.
    Waiting(Messages, SocketAddr, ControlData),
    /// Handed to the transport under this name.
    Flying(SendId),
}

impl Batch {
    fn flight(&self) -> Option<SendId> {
        match self.state {
            State::Flying(id) => Some(id),
            State::Waiting(..) => None,
        }
    }

    /// Ends one that the transport never had.
    fn end(self, status: NtStatus, fx: &mut Effects) {
        if let State::Waiting(messages, ..) = self.state {
            let memory = give_back(messages, self.single, fx);
            fx.complete(self.request, status, 0, memory);
        }
    }
}

/// Gives back what was to be sent: a single datagram's memory is the result, of several each is released.
pub(crate) fn give_back(mut messages: Messages, single: bool, fx: &mut Effects) -> Memory {
    if single {
        return messages.pop().unwrap_or_default();
    }
    messages.drain(..).for_each(|memory| fx.release(memory));
    Memory::None
}

#[derive(Debug)]
pub(crate) struct SendToPath {
    batches: VecDeque<Batch>,
    /// Of those, the ones that the transport has, and the ones that it has not.
    flying: usize,
    waiting: usize,
    next: u64,
}

impl SendToPath {
    pub(crate) fn new() -> Self {
        Self { batches: VecDeque::new(), flying: 0, waiting: 0, next: 0 }
    }

    /// Requests that have not completed.
    pub(crate) fn queued(&self) -> usize {
        self.batches.len()
    }

    /// Whether the transport has some.
    pub(crate) fn in_transport(&self) -> bool {
        self.flying > 0
    }

    /// Those that the transport has.
    pub(crate) fn in_flight(&self) -> Vec<SendId> {
        self.batches.iter().filter_map(Batch::flight).collect()
    }

    /// A request whose arguments and state were found good.
    pub(crate) fn request(
        &mut self,
        request: RequestId,
        messages: Messages,
        remote: SocketAddr,
        control: ControlData,
        single: bool,
        fx: &mut Effects,
    ) {
        let bytes = messages.iter().map(Memory::len).sum();
        let state = if self.flying < IN_FLIGHT && self.waiting == 0 {
            self.fly(messages, remote, control, fx)
        } else {
            self.waiting += 1;
            State::Waiting(messages, remote, control)
        };
        self.batches.push_back(Batch { request, bytes, single, state });
    }

    /// Hands datagrams to the transport.
    fn fly(&mut self, messages: Messages, remote: SocketAddr, control: ControlData, fx: &mut Effects) -> State {
        let id = SendId(self.next);
        self.next += 1;
        self.flying += 1;
        fx.submit(Operation::SendTo { id, messages, sent: 0, remote, control });
        State::Flying(id)
    }

    /// Hands over as many as may fly.
    pub(crate) fn start(&mut self, fx: &mut Effects) {
        while self.flying < IN_FLIGHT && self.waiting > 0 {
            let next = self.batches.iter().position(|batch| batch.flight().is_none());
            let Some(at) = next else { return };
            let taken = std::mem::replace(&mut self.batches[at].state, State::Flying(SendId(u64::MAX)));
            let State::Waiting(messages, remote, control) = taken else { return };
            self.waiting -= 1;
            self.batches[at].state = self.fly(messages, remote, control, fx);
        }
    }

    /// Event::SendToDone: the first failure ends a batch (F-193).
    pub(crate) fn done(&mut self, id: SendId, messages: Messages, result: Result<(), NtStatus>, fx: &mut Effects) {
        let at = self.batches.iter().position(|batch| batch.flight() == Some(id));
        let Some(batch) = at.and_then(|at| self.batches.remove(at)) else { return };
        self.flying -= 1;
        let memory = give_back(messages, batch.single, fx);
        match result {
            Ok(()) => fx.complete(batch.request, NtStatus::SUCCESS, batch.bytes, memory),
            Err(status) => fx.complete(batch.request, status, 0, memory),
        }
    }

    /// IoCancelIrp. What the transport has goes out: the host takes datagrams without delay.
    pub(crate) fn cancel(&mut self, request: RequestId, fx: &mut Effects) {
        let it = |batch: &Batch| batch.request == request && batch.flight().is_none();
        let at = self.batches.iter().position(it);
        if let Some(batch) = at.and_then(|at| self.batches.remove(at)) {
            self.waiting -= 1;
            batch.end(NtStatus::CANCELLED, fx);
        }
    }

    /// The end of the socket: what the transport has reports by itself.
    pub(crate) fn shut(&mut self, status: NtStatus, fx: &mut Effects) {
        let (flying, waiting): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.batches).into_iter().partition(|batch| batch.flight().is_some());
        self.batches = flying;
        self.waiting = 0;
        waiting.into_iter().for_each(|batch| batch.end(status, fx));
    }
}
