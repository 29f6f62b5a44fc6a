//! The one receive path of a connection: queued WskReceive requests, WskReceiveEvent, and the news that the peer is done.
//!
//! Requests and callbacks differ only in who lent the memory. Whoever is served, bytes leave in stream order, one consumer
//! at a time (E-77): requests first (E-112), then the callback. What nobody wants stays in the transport (E-74); only what
//! the transport had already handed over when the consumer went away waits here, in `unread`.

use std::collections::VecDeque;

use wsk_abi::flags::{EventFlags, ReceiveFlags};
use wsk_abi::status::NtStatus;

use crate::effect::{Callback, DeadEvent, Effects};
use crate::event_mask::EventSwitch;
use crate::indication::capacity;
use crate::memory::{Buffer, BufferList, Memory};
use crate::request::RequestId;
use crate::transport::{Hangup, Operation, StreamEnd};

/// Transport memory that indications of one socket may keep busy before reading stops (E-120).
pub const RETENTION_CAP: usize = 1 << 20;

/// A WskReceive in the queue.
#[derive(Debug)]
struct Pending {
    id: RequestId,
    /// With the transport while `Reading::Into`.
    memory: Memory,
    length: usize,
    done: usize,
    flags: ReceiveFlags,
    cancelled: bool,
}

/// The transport operation that reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Idle,
    /// Operation::Receive for the first request.
    Into,
    /// Operation::ReceiveStart.
    Stream,
    /// ... asked to stop.
    Stopping,
}

/// The transport operation that only looks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watching {
    Idle,
    Running,
    Cancelling,
}

/// How the stream from the peer ended, once every byte before the end is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Fin,
    Failed(NtStatus),
}

/// Whether anything follows from what comes (C-31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    Normal,
    /// The endpoint is being silenced: no operation and no callback is begun until that is decided.
    Waiting,
    /// It is silent: what comes is dropped.
    Deaf,
}

/// What the rest of the connection must know of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Nothing,
    Fin,
    Failed(NtStatus),
}

#[derive(Debug)]
pub(crate) struct ReceivePath {
    queue: VecDeque<Pending>,
    unread: VecDeque<Buffer>,
    /// The transport had no more when it delivered the last of `unread` (E-71).
    drained: bool,
    reading: Reading,
    watching: Watching,
    end: Option<End>,
    /// The peer's FIN was seen; bytes before it may still be in the transport.
    fin_seen: bool,
    /// Something was read since: a watch may find now that nothing is left before the FIN.
    look_again: bool,
    /// The connection failed; bytes before that may still be in the transport.
    failure: Option<NtStatus>,
    pub(crate) receive: EventSwitch,
    pub(crate) disconnect: EventSwitch,
    told_fin: bool,
    told_failure: bool,
    /// Transport memory in indications that the client holds.
    lent: usize,
    cap: usize,
    /// Connected, and neither held back (E-22) nor closing.
    live: bool,
    /// Held back: events wait until WskAcceptEvent has returned (E-22).
    held: bool,
    hearing: Hearing,
}

impl ReceivePath {
    pub(crate) fn new(receive: EventSwitch, disconnect: EventSwitch) -> Self {
        Self {
            queue: VecDeque::new(),
            unread: VecDeque::new(),
            drained: true,
            reading: Reading::Idle,
            watching: Watching::Idle,
            end: None,
            fin_seen: false,
            look_again: false,
            failure: None,
            receive,
            disconnect,
            told_fin: false,
            told_failure: false,
            lent: 0,
            cap: RETENTION_CAP,
            live: false,
            held: false,
            hearing: Hearing::Normal,
        }
    }

    /// The connection is established; with `held`, events wait for [`ReceivePath::release`].
    pub(crate) fn connected(&mut self, held: bool) {
        self.live = true;
        self.held = held;
    }

    pub(crate) fn release(&mut self) {
        self.held = false;
    }

    /// The endpoint is being silenced (C-31): from now on requests stay where they are, until they are cancelled.
    pub(crate) fn hush(&mut self) {
        self.hearing = Hearing::Waiting;
    }

    /// It is silent: requests stay for good, and what came is dropped.
    pub(crate) fn deafen(&mut self) {
        self.hearing = Hearing::Deaf;
        self.unread.clear();
        self.close_events();
    }

    /// It is not: all goes on.
    pub(crate) fn hear(&mut self) {
        self.hearing = Hearing::Normal;
    }

    pub(crate) fn set_cap(&mut self, cap: usize) {
        self.cap = cap.max(RETENTION_CAP);
    }

    /// Whether the client holds as much as it may.
    pub(crate) fn is_paused(&self) -> bool {
        self.lent >= self.cap
    }

    /// Requests in the queue.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Bytes here that no one has taken (SIO_WSK_QUERY_RECEIVE_BACKLOG adds the transport's own).
    pub(crate) fn unread(&self) -> usize {
        self.unread.iter().map(Buffer::len).sum()
    }

    /// Whether the transport holds memory of ours.
    pub(crate) fn in_transport(&self) -> bool {
        self.reading == Reading::Into
    }

    /// Whether a receive or disconnect callback is running.
    pub(crate) fn is_calling(&self) -> bool {
        self.receive.is_running() || self.disconnect.is_running()
    }

    /// A WskReceive whose arguments and state were found good.
    pub(crate) fn request(&mut self, id: RequestId, memory: Memory, flags: ReceiveFlags, fx: &mut Effects) {
        let length = memory.len();
        if length == 0 && !flags.contains(ReceiveFlags::DRAIN) && !self.receive.is_running() {
            // F-170: at once, nothing consumed, ahead of the queue; it resumes stopped indications (E-75).
            fx.complete(id, NtStatus::SUCCESS, 0, memory);
            self.receive.resume();
            return;
        }
        self.queue.push_back(Pending { id, memory, length, done: 0, flags, cancelled: false });
    }

    /// IoCancelIrp for a receive; returns whether it was one of ours.
    pub(crate) fn cancel(&mut self, id: RequestId, fx: &mut Effects) -> bool {
        let Some(at) = self.queue.iter().position(|p| p.id == id) else { return false };
        if at == 0 && self.reading == Reading::Into {
            if !self.queue[0].cancelled {
                self.queue[0].cancelled = true;
                fx.submit(Operation::ReceiveCancel);
            }
        } else if let Some(pending) = self.queue.remove(at) {
            self.finish(pending, NtStatus::CANCELLED, fx);
        }
        true
    }

    /// Whether the client was told that the connection failed.
    pub(crate) fn told_failure(&self) -> bool {
        self.told_failure
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.queue.front().is_some_and(|head| head.cancelled)
    }

    /// Completes a request; any completed WskReceive resumes stopped indications (E-75). F-62: bytes of a WAITALL that was
    /// cut short are counted.
    fn finish(&mut self, pending: Pending, status: NtStatus, fx: &mut Effects) {
        fx.complete(pending.id, status, pending.done, pending.memory);
        self.receive.resume();
    }

    fn pop(&mut self, status: NtStatus, fx: &mut Effects) {
        if let Some(pending) = self.queue.pop_front() {
            self.finish(pending, status, fx);
        }
    }

    /// Event::Received.
    pub(crate) fn received(&mut self, buffer: Buffer, drained: bool) {
        if self.hearing == Hearing::Deaf {
            return;
        }
        self.unread.push_back(buffer);
        self.drained = drained;
    }

    /// Event::ReceiveStopped.
    pub(crate) fn stopped(&mut self, end: StreamEnd) -> News {
        self.reading = Reading::Idle;
        self.reached(end)
    }

    fn reached(&mut self, end: StreamEnd) -> News {
        match end {
            StreamEnd::Stopped => {
                self.look_again = true;
                News::Nothing
            }
            StreamEnd::Fin => {
                self.fin_seen = true;
                self.end = Some(End::Fin);
                News::Fin
            }
            StreamEnd::Failed(status) => {
                self.failure = Some(status);
                self.end = Some(End::Failed(status));
                News::Failed(status)
            }
        }
    }

    /// Event::ReceiveDone.
    pub(crate) fn done(&mut self, memory: Memory, result: Result<usize, StreamEnd>, fx: &mut Effects) -> News {
        self.reading = Reading::Idle;
        let Some(head) = self.queue.front_mut() else { return News::Nothing };
        head.memory = memory;
        let news = match result {
            Ok(n) => {
                self.look_again = true;
                head.done += n;
                let full = head.done >= head.length || !head.flags.contains(ReceiveFlags::WAITALL);
                if full {
                    // Data already moved is a success, even if a cancel came meanwhile (F-64).
                    self.pop(NtStatus::SUCCESS, fx);
                    return News::Nothing;
                }
                News::Nothing
            }
            Err(end) => self.reached(end),
        };
        if self.queue.front().is_some_and(|head| head.cancelled) {
            self.pop(NtStatus::CANCELLED, fx);
        }
        news
    }

    /// Event::Hangup.
    pub(crate) fn hangup(&mut self, hangup: Hangup) -> News {
        self.watching = Watching::Idle;
        match hangup {
            Hangup::Cancelled => News::Nothing,
            Hangup::Fin { unread } => {
                self.fin_seen = true;
                self.look_again = false;
                if unread == 0 && self.reading == Reading::Idle {
                    self.end = Some(End::Fin);
                }
                News::Fin
            }
            Hangup::Failed { status, unread } => {
                self.failure = Some(status);
                if unread == 0 && self.reading == Reading::Idle {
                    self.end = Some(End::Failed(status));
                }
                News::Failed(status)
            }
        }
    }

    /// The connection was found failed by someone else (a send).
    pub(crate) fn failed(&mut self, status: NtStatus) {
        self.failure.get_or_insert(status);
    }

    /// WskReceiveEvent returned.
    pub(crate) fn answered(&mut self, unread: Option<(BufferList, usize)>, fx: &mut Effects) {
        if let Some((rest, lent)) = unread {
            self.lent -= lent;
            if self.live && self.hearing != Hearing::Deaf {
                for buffer in rest.into_iter().rev() {
                    self.unread.push_front(buffer);
                }
            }
            self.receive.stop();
        }
        self.receive.end(fx);
    }

    /// An indication, or what was left of it, was released by the client.
    pub(crate) fn released(&mut self, capacity: usize) {
        self.lent -= capacity;
    }

    /// Serves whoever is to be served, tells the client what is to be told, and starts or stops the reading.
    pub(crate) fn advance(&mut self, fx: &mut Effects) {
        if !self.live || self.hearing != Hearing::Normal || self.is_steady() {
            return;
        }
        if !self.receive.is_running() {
            self.serve(fx);
            self.indicate(fx);
        }
        if !self.receive.is_running() {
            self.finish_at_end(fx);
            self.tell_end(fx);
        }
        self.arm(fx);
    }

    /// Data flows to the callback and none is here: nothing to do. The case that must be fast.
    fn is_steady(&self) -> bool {
        self.reading == Reading::Stream
            && self.unread.is_empty()
            && self.queue.is_empty()
            && self.receive.is_on()
            && !self.is_paused()
            && self.failure.is_none()
            && self.watching == Watching::Idle
            && self.end.is_none()
    }

    /// Whether [`ReceivePath::advance`] would do nothing, for a reason that is cheap to see.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_steady() || self.receive.is_running()
    }

    /// One piece of data straight to the callback, when there is nothing else to decide. See `socket::straight`.
    pub(crate) fn straight_receive(
        &mut self,
        buffer: Buffer,
        drained: bool,
    ) -> Result<(BufferList, EventFlags), Buffer> {
        if !self.live || self.held || self.hearing != Hearing::Normal || !self.is_steady() || self.is_calling() {
            return Err(buffer);
        }
        self.drained = drained;
        Ok(self.lend(std::iter::once(buffer).collect()))
    }

    /// The callback of the above accepted everything. `false`: there is more to decide, nothing was done.
    pub(crate) fn straight_answer(&mut self) -> bool {
        self.live && self.is_steady() && self.receive.end_quietly()
    }

    /// Begins a receive callback with `list`.
    fn lend(&mut self, list: BufferList) -> (BufferList, EventFlags) {
        self.lent += capacity(&list);
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::ENTIRE_MESSAGE, self.drained);
        flags.set(EventFlags::RELEASE_ASAP, self.lent > self.cap / 2);
        self.receive.begin();
        (list, flags)
    }

    /// Copies what is here into queued requests.
    fn serve(&mut self, fx: &mut Effects) {
        if self.reading == Reading::Into {
            return; // `unread` is empty then
        }
        // A zero-length request queued while a callback ran (E-115) neither consumes nor waits.
        while let Some(head) = self.queue.front_mut() {
            let drain = head.flags.contains(ReceiveFlags::DRAIN);
            if head.length == 0 && !drain {
                self.pop(NtStatus::SUCCESS, fx);
                continue;
            }
            if drain {
                self.unread.clear();
                return;
            }
            while head.done < head.length {
                let Some(buffer) = self.unread.front_mut() else { break };
                let n = head.memory.write(head.done, buffer.bytes());
                head.done += n;
                fx.copied += n;
                buffer.advance(n);
                if buffer.is_empty() {
                    self.unread.pop_front();
                }
                if n == 0 {
                    break; // the memory is shorter than it said; treat it as full
                }
            }
            let waits_for_more = head.done < head.length && head.flags.contains(ReceiveFlags::WAITALL);
            if head.done == 0 || waits_for_more {
                return;
            }
            self.pop(NtStatus::SUCCESS, fx);
        }
    }

    fn indicate(&mut self, fx: &mut Effects) {
        let wanted = self.receive.is_on() && !self.held && self.queue.is_empty() && !self.is_paused();
        if self.unread.is_empty() || !wanted || self.disconnect.is_running() {
            return;
        }
        let mut list = BufferList::new();
        while let Some(buffer) = self.unread.pop_front() {
            list.push(buffer);
        }
        let (list, flags) = self.lend(list);
        fx.call(Callback::Receive { list, flags });
    }

    /// Every byte is taken and the stream has ended: so do the requests (F-168).
    fn finish_at_end(&mut self, fx: &mut Effects) {
        let (Some(end), true, Reading::Idle) = (self.end, self.unread.is_empty(), self.reading) else { return };
        while let Some(head) = self.queue.front() {
            let status = match end {
                End::Fin => NtStatus::SUCCESS,
                End::Failed(_) if head.done > 0 && !head.flags.contains(ReceiveFlags::WAITALL) => NtStatus::SUCCESS,
                End::Failed(status) => status,
            };
            self.pop(status, fx);
        }
    }

    fn tell_end(&mut self, fx: &mut Effects) {
        if self.held || self.disconnect.is_running() {
            return;
        }
        // E-101: graceful, once, after all data was indicated or taken.
        if self.end == Some(End::Fin) && self.unread.is_empty() && !self.told_fin && self.disconnect.is_on() {
            self.told_fin = true;
            self.disconnect.begin();
            fx.call(Callback::Disconnect { flags: EventFlags::empty() });
            return;
        }
        // Abortive: after the data here if indications run, at once if they are stopped or off.
        if self.failure.is_none() || self.told_failure {
            return;
        }
        let still_to_indicate = self.receive.is_on() && (!self.unread.is_empty() || self.reading == Reading::Stream);
        if still_to_indicate {
            return;
        }
        if self.disconnect.is_on() {
            self.told_failure = true;
            self.disconnect.begin();
            fx.call(Callback::Disconnect { flags: EventFlags::ABORTIVE });
        } else if self.receive.is_on() && !self.disconnect.is_enabled() {
            self.told_failure = true; // E-79
            self.receive.begin();
            fx.call(Callback::Dead(DeadEvent::Receive));
        }
    }

    /// Brings the transport's reading in line with what is wanted now.
    fn arm(&mut self, fx: &mut Effects) {
        let drain = self.queue.front().map(|head| head.flags.contains(ReceiveFlags::DRAIN));
        let events_want = self.receive.is_on() && !self.held && !self.is_paused() && self.unread.is_empty();
        let stream_wanted = self.end.is_none()
            && match drain {
                Some(drain) => drain || self.reading == Reading::Stream,
                None => events_want || (self.receive.is_running() && self.reading == Reading::Stream),
            };
        match self.reading {
            Reading::Stream if !stream_wanted && self.end.is_none() => {
                self.reading = Reading::Stopping;
                fx.submit(Operation::ReceiveStop);
            }
            Reading::Idle if stream_wanted && !self.receive.is_running() => {
                self.reading = Reading::Stream;
                fx.submit(Operation::ReceiveStart);
            }
            Reading::Idle if drain == Some(false) && self.end.is_none() && !self.receive.is_running() => {
                if let Some(head) = self.queue.front_mut() {
                    self.reading = Reading::Into;
                    let memory = std::mem::take(&mut head.memory);
                    fx.submit(Operation::Receive { memory, offset: head.done });
                }
            }
            _ => {}
        }
        // While nothing reads, a client that wants to hear of the end needs someone to look for it.
        let watch_wanted = self.disconnect.is_on()
            && !self.held
            && self.reading == Reading::Idle
            && (!self.fin_seen || self.look_again)
            && self.end.is_none()
            && self.failure.is_none();
        match self.watching {
            Watching::Idle if watch_wanted => {
                self.watching = Watching::Running;
                fx.submit(Operation::Watch);
            }
            Watching::Running if !watch_wanted => {
                self.watching = Watching::Cancelling;
                fx.submit(Operation::WatchCancel);
            }
            _ => {}
        }
    }

    /// The socket is being closed, aborted or broken: requests that the transport does not hold end with `status` now; the
    /// one it holds ends by [`ReceivePath::done`].
    pub(crate) fn shut(&mut self, status: NtStatus, fx: &mut Effects) {
        self.live = false;
        let held_by_transport = usize::from(self.reading == Reading::Into);
        let mut kept = self.queue.split_off(held_by_transport.min(self.queue.len()));
        while let Some(pending) = kept.pop_front() {
            self.finish(pending, status, fx);
        }
        if let Some(head) = self.queue.front_mut() {
            head.cancelled = true;
        }
        self.unread.clear();
    }

    /// Event::ReceiveDone after [`ReceivePath::shut`]: bytes that had arrived are a success, otherwise `status`.
    pub(crate) fn done_late(
        &mut self,
        memory: Memory,
        result: Result<usize, StreamEnd>,
        status: NtStatus,
        fx: &mut Effects,
    ) {
        self.reading = Reading::Idle;
        if let Some(mut head) = self.queue.pop_front() {
            head.memory = memory;
            let moved = result.unwrap_or(0);
            head.done += moved;
            let full = moved > 0 && (head.done >= head.length || !head.flags.contains(ReceiveFlags::WAITALL));
            self.finish(head, if full { NtStatus::SUCCESS } else { status }, fx);
        }
    }

    /// No new callback (E-123).
    pub(crate) fn close_events(&mut self) {
        self.receive.close();
        self.disconnect.close();
    }
}
