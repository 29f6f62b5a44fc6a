//! Who waits for a request: the table of a socket's requests, and the delivery of completions.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use wsk_abi::status::NtStatus;
use wsk_core::effect::{Effect, Effects};
use wsk_core::memory::Memory;
use wsk_core::request::{Completion, Outcome, RequestId};

use crate::connection::ConnectionSocket;
use crate::events::ConnectionEvents;
use crate::machine::Machine;
use crate::option::Kept;
use crate::processor::{Mail, enter_client, enter_waker, holds_completions, take_fresh};

use super::calls::count;
use super::decide::is_plain;
use super::{Place, Socket};

/// A completed request, with the socket it may have produced.
#[derive(Debug)]
pub struct Completed {
    pub(crate) status: NtStatus,
    pub(crate) information: usize,
    pub(crate) memory: Memory,
    pub(crate) outcome: Outcome,
    pub(crate) socket: Option<ConnectionSocket>,
}

impl Completed {
    pub(crate) fn failed(status: NtStatus, memory: Memory) -> Self {
        Self { status, information: 0, memory, outcome: Outcome::None, socket: None }
    }
}

impl From<Completion> for Completed {
    fn from(c: Completion) -> Self {
        Self { status: c.status, information: c.information, memory: c.memory, outcome: c.outcome, socket: None }
    }
}

pub(crate) type CompletionCallback = Box<dyn FnOnce(Completed) + Send>;

/// Who waits for a request.
pub(super) enum Waiter {
    /// Nobody yet.
    None,
    Waker(Waker),
    Callback(CompletionCallback),
    /// Nobody ever: the result is dropped.
    Forgotten,
    /// It has completed; nobody has asked yet.
    Done(Box<Completed>),
}

pub(crate) struct State {
    pub(crate) machine: Machine,
    /// Requests in the order of their ids.
    pub(super) waiters: VecDeque<(RequestId, Waiter)>,
    /// Callbacks for sockets that queued accepts will produce.
    pub(super) accept_events: Vec<(RequestId, Arc<dyn ConnectionEvents>)>,
    /// The request of a WskSocketConnect.
    pub(super) socket_connect: Option<RequestId>,
    pub(super) next_request: u64,
    /// How much of the socket's `freed` the machine knows of.
    pub(super) freed: usize,
    /// Mail::Gone is posted.
    pub(super) gone: bool,
    /// Options that the transport does not keep; none on most sockets.
    pub(super) kept: Option<Box<Kept>>,
}

impl State {
    pub(super) fn new(machine: Machine) -> Self {
        Self {
            machine,
            waiters: VecDeque::new(),
            accept_events: Vec::new(),
            socket_connect: None,
            next_request: 0,
            freed: 0,
            gone: false,
            kept: None,
        }
    }

    /// What waits for a change of the network ends with the socket (C-33).
    pub(super) fn end_waits(&mut self, fx: &mut Effects) {
        if let Some(kept) = &mut self.kept
            && !kept.waits.is_empty()
            && let Some(status) = self.machine.ended()
        {
            kept.waits.drain(..).for_each(|(id, _)| fx.finish(id, status));
        }
    }

    /// Where a request is: mostly at the front (completing) or at the back (just made).
    pub(super) fn find(&self, id: RequestId) -> Option<usize> {
        if self.waiters.front()?.0 == id {
            return Some(0);
        }
        if self.waiters.back()?.0 == id {
            return Some(self.waiters.len() - 1);
        }
        self.waiters.binary_search_by_key(&id, |(id, _)| *id).ok()
    }

    pub(super) fn waiter(&mut self, id: RequestId) -> Option<&mut Waiter> {
        let at = self.find(id)?;
        Some(&mut self.waiters[at].1)
    }

    pub(super) fn remove(&mut self, id: RequestId) -> Option<Waiter> {
        match self.find(id)? {
            0 => self.waiters.pop_front(),
            at => self.waiters.remove(at),
        }
        .map(|(_, waiter)| waiter)
    }

    /// A completion on its way to whoever waits: if nobody does, only its memory is left to release.
    pub(super) fn resolve(&mut self, completion: Completion) -> Effect {
        if is_plain(&completion) && self.is_forgotten(completion.request) {
            self.remove(completion.request);
            return Effect::Release(completion.memory);
        }
        Effect::Complete(completion)
    }

    /// Whether nobody will ever ask for this request.
    pub(super) fn is_forgotten(&mut self, id: RequestId) -> bool {
        self.socket_connect.is_none() && matches!(self.waiter(id), Some(Waiter::Forgotten) | None)
    }

    /// The waiter of a request whose handle is alive; one that is not entered yet (see `note_fresh`) is entered now.
    pub(super) fn waiter_of_handle(&mut self, id: RequestId) -> &mut Waiter {
        let at = match self.find(id) {
            Some(at) => at,
            None => {
                let at = self.waiters.partition_point(|(other, _)| *other < id);
                self.waiters.insert(at, (id, Waiter::None));
                at
            }
        };
        &mut self.waiters[at].1
    }

    pub(super) fn new_request(&mut self, waiter: Waiter) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.waiters.push_back((id, waiter));
        id
    }
}

thread_local! {
    /// The socket, by address, one of whose completions this thread is delivering.
    static DELIVERING: Cell<usize> = const { Cell::new(0) };
}

impl Socket {
    /// Whether a request that has completed inside its call may be handed to its caller at once. Not while an earlier
    /// completion of this socket is still on its way to the client, or with it on another thread: completions arrive in the
    /// order in which they were decided (F-163, F-167). Under the lock.
    pub(super) fn may_finish_inline(&self) -> bool {
        let own = usize::from(DELIVERING.get() == std::ptr::from_ref(self) as usize);
        !holds_completions() && self.undelivered.load(Ordering::Acquire) <= own
    }

    /// A completion is about to be delivered without having been an effect. Under the lock.
    pub(super) fn note_undelivered(&self) {
        self.undelivered.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the result of a request, or leaves `waker` to be woken when it is there.
    pub(crate) fn poll(&self, id: RequestId, waker: &Waker) -> Option<Completed> {
        let mut state = self.state.lock();
        let waiter = state.waiter_of_handle(id);
        match waiter {
            Waiter::Done(_) => match state.remove(id) {
                Some(Waiter::Done(completed)) => Some(*completed),
                _ => None,
            },
            Waiter::Waker(old) if old.will_wake(waker) => None,
            waiter => {
                let old = std::mem::replace(waiter, Waiter::Waker(waker.clone()));
                drop(state);
                drop(old);
                None
            }
        }
    }

    pub(crate) fn is_done(&self, id: RequestId) -> bool {
        matches!(self.state.lock().waiter_of_handle(id), Waiter::Done(_))
    }

    /// Has `callback` called at completion; gives both back if it has completed already and this thread may call it.
    pub(crate) fn set_callback(
        self: &Arc<Self>,
        id: RequestId,
        callback: CompletionCallback,
    ) -> Option<(CompletionCallback, Completed)> {
        let mut state = self.state.lock();
        let waiter = state.waiter_of_handle(id);
        if !matches!(waiter, Waiter::Done(_)) {
            let old = std::mem::replace(waiter, Waiter::Callback(callback));
            drop(state);
            drop(old);
            return None;
        }
        let Some(Waiter::Done(completed)) = state.remove(id) else { return None };
        if !holds_completions() {
            return Some((callback, *completed));
        }
        self.undelivered.fetch_add(1, Ordering::Relaxed);
        match self.home.post(Mail::Deliver(self.clone(), callback, *completed)) {
            Err(Mail::Deliver(_, callback, completed)) => {
                drop(state);
                self.undelivered.fetch_sub(1, Ordering::Release);
                Some((callback, completed))
            }
            _ => None,
        }
    }

    /// Calls back with a result that was there before.
    pub(crate) fn deliver_late(self: &Arc<Self>, callback: CompletionCallback, completed: Completed) {
        let outer = DELIVERING.replace(Arc::as_ptr(self) as usize);
        enter_client(self.home.callback_irql(), || callback(completed));
        DELIVERING.set(outer);
        self.undelivered.fetch_sub(1, Ordering::Release);
    }

    /// Nobody waits for this request any more.
    pub(crate) fn forget(&self, id: RequestId) {
        // Noted only there; and a token means something to its own processor only.
        if self.home.place() == Place::Nested && take_fresh(self.token, id) {
            return;
        }
        let mut state = self.state.lock();
        let waiter = state.waiter_of_handle(id);
        let old = match waiter {
            Waiter::Done(_) => state.remove(id),
            waiter => Some(std::mem::replace(waiter, Waiter::Forgotten)),
        };
        drop(state);
        drop(old); // may release an indication or close a socket
    }

    /// Enters a request that was made inside client code, and whose handle is alive (see `note_fresh`).
    pub(crate) fn enter(&self, id: RequestId) {
        self.state.lock().waiter_of_handle(id);
    }

    /// Completes a request towards the client; it was counted in `undelivered`. On the home processor's top level only, once
    /// that runs.
    pub(crate) fn deliver(self: &Arc<Self>, completion: Completion) {
        let outer = DELIVERING.replace(Arc::as_ptr(self) as usize);
        self.deliver_one(completion);
        DELIVERING.set(outer);
        self.undelivered.fetch_sub(1, Ordering::Release);
    }

    fn deliver_one(self: &Arc<Self>, completion: Completion) {
        count(&self.home.tally.completions);
        let id = completion.request;
        let completed = self.produce(completion);
        let mut state = self.state.lock();
        let waiter = match state.waiter(id) {
            Some(Waiter::Callback(_) | Waiter::Forgotten) => state.remove(id),
            Some(waiter) => Some(std::mem::replace(waiter, Waiter::None)),
            None => None,
        };
        match waiter {
            Some(Waiter::Callback(callback)) => {
                drop(state);
                enter_client(self.home.callback_irql(), || callback(completed));
            }
            Some(Waiter::None | Waiter::Waker(_)) => {
                if let Some(slot) = state.waiter(id) {
                    *slot = Waiter::Done(Box::new(completed));
                }
                drop(state);
                if let Some(Waiter::Waker(waker)) = waiter {
                    enter_waker(waker);
                }
            }
            Some(Waiter::Forgotten | Waiter::Done(_)) | None => {
                drop(state);
                drop(completed);
            }
        }
    }

    /// Makes what a completion promises: the socket of an accepted connection.
    pub(super) fn produce(self: &Arc<Self>, mut completion: Completion) -> Completed {
        match std::mem::take(&mut completion.outcome) {
            Outcome::Accepted(accepted) => {
                let mut state = self.state.lock();
                let at = state.accept_events.iter().position(|(id, _)| *id == completion.request);
                let events = at.map(|at| state.accept_events.swap_remove(at).1);
                drop(state);
                let (incoming, inspect) = *accepted;
                let socket = ConnectionSocket::owning(self.adopt(incoming, inspect, events, false));
                Completed { socket: Some(socket), ..completion.into() }
            }
            outcome => {
                completion.outcome = outcome;
                let connect = self.state.lock().socket_connect.take_if(|id| *id == completion.request);
                if connect.is_none() {
                    return completion.into();
                }
                let success = completion.status.is_success();
                let socket = success.then(|| ConnectionSocket::owning(self.clone()));
                if !success {
                    self.close_quietly();
                }
                Completed { socket, ..completion.into() }
            }
        }
    }
}
