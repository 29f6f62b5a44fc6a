//! The send path of a connection: WskSend requests in call order, then the FIN of a graceful WskDisconnect.
//!
//! One transport operation is in flight at a time; it gathers the memory of as many queued requests as are worth one call.
//! Bytes go out in call order and completions follow in that order (F-163).

use std::collections::VecDeque;

use wsk_abi::status::NtStatus;

use crate::effect::Effects;
use crate::memory::Memory;
use crate::request::RequestId;
use crate::transport::{Gather, Operation};

/// Requests gathered into one transport operation at most.
const GATHER_REQUESTS: usize = 16;
/// Bytes after which no further request is gathered.
const GATHER_BYTES: usize = 256 << 10;

#[derive(Debug)]
struct Pending {
    /// `None`: the data of a graceful disconnect, completed with it.
    id: Option<RequestId>,
    memory: Memory,
    length: usize,
    /// Bytes that went out already; only the first of the queue can have some.
    sent: usize,
    cancelled: bool,
}

impl Pending {
    fn finish(self, status: NtStatus, information: usize, fx: &mut Effects) {
        match self.id {
            Some(id) => fx.complete(id, status, information, self.memory),
            None => fx.release(self.memory),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fin {
    None,
    /// Behind the queued sends.
    Queued(Option<RequestId>),
    /// Operation::Shutdown is running.
    Running(Option<RequestId>),
    /// Sent and acknowledged.
    Acknowledged,
}

/// What the connection must do after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    /// The connection failed with this status.
    Failed(NtStatus),
    /// A send that had begun was cancelled: the stream is broken at an unknown byte (F-66).
    Abort,
}

#[derive(Debug)]
pub(crate) struct SendPath {
    queue: VecDeque<Pending>,
    /// A request that went straight to the transport, ahead of an empty queue: its id and length (see `socket::straight`).
    straight: Option<(RequestId, usize)>,
    /// Requests of the queue that are in flight; their memory is with the transport.
    flying: usize,
    fin: Fin,
    /// Requests completed, for sampling the backlog.
    pub(crate) completed: u64,
}

impl SendPath {
    pub(crate) fn new() -> Self {
        Self { queue: VecDeque::new(), straight: None, flying: 0, fin: Fin::None, completed: 0 }
    }

    /// Requests in the queue.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len() + usize::from(self.straight.is_some())
    }

    /// Whether our FIN went out, or is in the transport's hands to go out.
    pub(crate) fn fin_sent(&self) -> bool {
        matches!(self.fin, Fin::Running(_) | Fin::Acknowledged)
    }

    /// Whether our FIN was sent and acknowledged, or given up.
    pub(crate) fn fin_acknowledged(&self) -> bool {
        self.fin == Fin::Acknowledged
    }

    /// Requests whose memory is with the transport.
    pub(crate) fn flying(&self) -> usize {
        self.flying
    }

    /// A WskSend whose arguments and state were found good.
    pub(crate) fn request(&mut self, id: RequestId, memory: Memory, fx: &mut Effects) {
        self.request_begun(id, memory, 0, fx);
    }

    /// The same, of which `sent` bytes have gone out: with the SYN, ahead of everything (F-156).
    pub(crate) fn request_begun(&mut self, id: RequestId, memory: Memory, sent: usize, fx: &mut Effects) {
        let length = memory.len();
        self.enqueue_straight();
        if sent == length && self.queue.is_empty() {
            fx.complete(id, NtStatus::SUCCESS, length, memory);
            return;
        }
        self.queue.push_back(Pending { id: Some(id), memory, length, sent, cancelled: false });
    }

    /// A send straight to the transport, when nothing is ahead of it. See `socket::straight`.
    pub(crate) fn straight_send(&mut self, id: RequestId, memory: Memory) -> Result<Operation, Memory> {
        let length = memory.len();
        if length == 0 || self.flying > 0 || !self.queue.is_empty() || self.fin != Fin::None {
            return Err(memory);
        }
        self.straight = Some((id, length));
        self.flying = 1;
        let mut parts = Gather::new();
        parts.push(memory);
        Ok(Operation::Send { parts, offset: 0 })
    }

    /// Its end, when nothing is behind it.
    pub(crate) fn straight_sent(&mut self, parts: Gather) -> Result<(RequestId, usize, Memory), Gather> {
        match self.straight {
            Some((id, length)) if self.queue.is_empty() && self.fin == Fin::None => {
                self.straight = None;
                self.flying = 0;
                self.completed += 1;
                Ok((id, length, parts.into_iter().next().unwrap_or_default()))
            }
            _ => Err(parts),
        }
    }

    /// Puts a request that went straight where the general path expects it: at the front of the queue.
    fn enqueue_straight(&mut self) {
        if let Some((id, length)) = self.straight.take() {
            self.queue.push_front(Pending { id: Some(id), memory: Memory::None, length, sent: 0, cancelled: false });
        }
    }

    /// A graceful WskDisconnect: data first, then FIN (F-175).
    pub(crate) fn disconnect(&mut self, id: Option<RequestId>, memory: Memory) {
        self.enqueue_straight();
        let length = memory.len();
        if length > 0 {
            self.queue.push_back(Pending { id: None, memory, length, sent: 0, cancelled: false });
        }
        self.fin = Fin::Queued(id);
    }

    /// Starts what can be started.
    pub(crate) fn advance(&mut self, fx: &mut Effects) {
        if self.flying > 0 || (self.queue.is_empty() && !matches!(self.fin, Fin::Queued(_))) {
            return;
        }
        while self.queue.front().is_some_and(|head| head.sent >= head.length) {
            self.pop(NtStatus::SUCCESS, fx); // zero-length sends keep their turn (F-163)
        }
        let mut parts = Gather::new();
        let mut bytes = 0;
        let mut offset = 0;
        for pending in self.queue.iter_mut().take(GATHER_REQUESTS) {
            if bytes >= GATHER_BYTES {
                break;
            }
            if parts.is_empty() {
                offset = pending.sent;
            }
            bytes += pending.length;
            parts.push(std::mem::take(&mut pending.memory));
        }
        self.flying = parts.len();
        if self.flying > 0 {
            fx.submit(Operation::Send { parts, offset });
        } else if let Fin::Queued(id) = self.fin {
            self.fin = Fin::Running(id);
            fx.submit(Operation::Shutdown);
        }
    }

    fn pop(&mut self, status: NtStatus, fx: &mut Effects) {
        let Some(pending) = self.queue.pop_front() else { return };
        let information = if status == NtStatus::SUCCESS { pending.length } else { 0 };
        self.completed += 1;
        pending.finish(status, information, fx);
    }

    /// Event::SendDone. `sent` counts from the start of the first part.
    pub(crate) fn done(&mut self, parts: Gather, sent: usize, result: Result<(), NtStatus>, fx: &mut Effects) -> After {
        self.enqueue_straight();
        let flying = std::mem::take(&mut self.flying);
        if flying == 1 && result.is_ok() {
            // The common case, without the general one's bookkeeping.
            if let (Some(pending), Some(memory)) = (self.queue.pop_front(), parts.into_iter().next()) {
                self.completed += 1;
                let length = pending.length;
                Pending { memory, ..pending }.finish(NtStatus::SUCCESS, length, fx);
            }
            return After::Nothing;
        }
        for (pending, memory) in self.queue.iter_mut().zip(parts) {
            pending.memory = memory;
        }
        let mut left = sent;
        for _ in 0..flying {
            let Some(head) = self.queue.front_mut() else { break };
            if left < head.length || result.is_err() && left == 0 && head.length == 0 {
                break;
            }
            left -= head.length;
            self.pop(NtStatus::SUCCESS, fx);
        }
        if let Some(head) = self.queue.front_mut() {
            head.sent = left;
        }
        match result {
            Ok(()) => After::Nothing,
            Err(NtStatus::CANCELLED) => self.cancelled(fx),
            Err(status) => After::Failed(status),
        }
    }

    /// After the operation in flight was cancelled: the cancelled requests end, the others go on (F-66).
    fn cancelled(&mut self, fx: &mut Effects) -> After {
        if self.queue.front().is_some_and(|head| head.cancelled && head.sent > 0) {
            self.pop(NtStatus::CANCELLED, fx);
            return After::Abort;
        }
        let mut rest = std::mem::take(&mut self.queue);
        while let Some(pending) = rest.pop_front() {
            match pending.id {
                Some(id) if pending.cancelled => fx.complete(id, NtStatus::CANCELLED, 0, pending.memory),
                _ => self.queue.push_back(pending),
            }
        }
        After::Nothing
    }

    /// IoCancelIrp for a send or a graceful disconnect; returns whether it was one of ours.
    pub(crate) fn cancel(&mut self, id: RequestId, fx: &mut Effects) -> bool {
        self.enqueue_straight();
        match self.fin {
            Fin::Queued(Some(fin)) if fin == id => {
                // The FIN still goes out in its turn (F-66).
                self.fin = Fin::Queued(None);
                fx.finish(id, NtStatus::CANCELLED);
                return true;
            }
            Fin::Running(Some(fin)) if fin == id => {
                fx.submit(Operation::ShutdownCancel);
                return true;
            }
            _ => {}
        }
        let Some(at) = self.queue.iter().position(|p| p.id == Some(id)) else { return false };
        if at < self.flying {
            if !self.queue[at].cancelled {
                self.queue[at].cancelled = true;
                fx.submit(Operation::SendCancel);
            }
        } else if let Some(pending) = self.queue.remove(at) {
            fx.complete(id, NtStatus::CANCELLED, 0, pending.memory);
        }
        true
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.queue.iter().take(self.flying).any(|pending| pending.cancelled)
    }

    /// Event::ShutdownDone.
    pub(crate) fn shutdown_done(&mut self, result: Result<(), NtStatus>, fx: &mut Effects) -> After {
        let Fin::Running(id) = std::mem::replace(&mut self.fin, Fin::Acknowledged) else { return After::Nothing };
        let status = result.err().unwrap_or(NtStatus::SUCCESS);
        if let Some(id) = id {
            fx.finish(id, status);
        }
        match result {
            Ok(()) | Err(NtStatus::CANCELLED) => After::Nothing,
            Err(status) => After::Failed(status),
        }
    }

    /// Whether the transport holds memory of ours.
    pub(crate) fn in_transport(&self) -> bool {
        self.flying > 0
    }

    /// The connection is over: requests that the transport does not hold end with `status` now.
    pub(crate) fn shut(&mut self, status: NtStatus, fx: &mut Effects) {
        self.enqueue_straight();
        let mut rest = self.queue.split_off(self.flying.min(self.queue.len()));
        while let Some(pending) = rest.pop_front() {
            pending.finish(status, 0, fx);
        }
        match self.fin {
            Fin::Queued(Some(id)) => {
                self.fin = Fin::None;
                fx.finish(id, status);
            }
            Fin::Queued(None) => self.fin = Fin::None,
            Fin::Running(Some(id)) => {
                // The transport reports its end; nobody waits for it any more.
                self.fin = Fin::Running(None);
                fx.finish(id, status);
            }
            _ => {}
        }
    }

    /// Event::SendDone after [`SendPath::shut`]: what went out is a success, the rest ends with `status`.
    pub(crate) fn done_late(&mut self, parts: Gather, sent: usize, status: NtStatus, fx: &mut Effects) {
        self.enqueue_straight();
        self.flying = 0;
        let mut left = sent;
        for (memory, mut pending) in parts.into_iter().zip(std::mem::take(&mut self.queue)) {
            pending.memory = memory;
            let complete = left >= pending.length;
            left = left.saturating_sub(pending.length);
            let (status, information) = if complete { (NtStatus::SUCCESS, pending.length) } else { (status, 0) };
            pending.finish(status, information, fx);
        }
    }
}
