//! Deciding under the lock, acting outside it.
//!
//! A turn runs the machine, posts what goes to the processor while the lock is held, and then carries out the rest; what
//! follows from that is decided in the same turn.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use wsk_abi::status::NtStatus;
use wsk_core::effect::{Effect, Effects};
use wsk_core::memory::Memory;
use wsk_core::request::{Completion, Outcome, RequestId, is_refusal};
use wsk_core::transport::{Endpoint, Event, Operation, StreamEnd};

use crate::events::ConnectionEvents;
use crate::machine::Machine;
use crate::processor::Mail;

use super::calls::uncalled;
use super::waiters::{Completed, State};
use super::{Place, Socket};

thread_local! {
    /// Lists of effects to use again, so that deciding allocates nothing in the long run: one for the pump's decisions, one
    /// for those of the callbacks it calls.
    static SCRATCH: [Cell<Vec<Effect>>; 2] = const { [Cell::new(Vec::new()), Cell::new(Vec::new())] };
}

pub(super) fn scratch() -> Vec<Effect> {
    SCRATCH.with(|lists| {
        let first = lists[0].take();
        if first.capacity() > 0 { first } else { lists[1].take() }
    })
}

pub(super) fn put_back(list: Vec<Effect>) {
    SCRATCH.with(|lists| {
        let first = lists[0].take();
        if first.capacity() == 0 {
            lists[0].set(list);
        } else {
            lists[0].set(first);
            lists[1].set(list);
        }
    });
}

/// What is left of an effect that was carried out.
pub(super) const DONE: Effect = Effect::Release(Memory::None);

/// One decision and what follows from it.
pub(super) struct Turn {
    place: Place,
    /// The caller's own request, whose completion it may have at once.
    own: Option<RequestId>,
    mine: Option<Box<Completed>>,
    /// The effects; those before `next` are carried out. Outside the lock, `Submit` means: try it, or have it refused.
    fx: Effects,
    next: usize,
    /// The socket is gone, and there is no processor to tell.
    gone: bool,
    /// Callbacks for sockets that will not be, to be dropped outside the lock.
    unused: Vec<Arc<dyn ConnectionEvents>>,
}

impl Socket {
    /// Runs the machine under the lock, then acts. Returns what the machine's function returned, and the completion of
    /// `own`, the caller's request, if it is there already.
    pub(crate) fn decide<R>(
        self: &Arc<Self>,
        own: Option<RequestId>,
        decide: impl FnOnce(&mut Machine, &mut Effects) -> R,
    ) -> (R, Option<Box<Completed>>) {
        self.decide_locked(self.state.lock(), own, decide)
    }

    pub(super) fn decide_locked<R>(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        own: Option<RequestId>,
        decide: impl FnOnce(&mut Machine, &mut Effects) -> R,
    ) -> (R, Option<Box<Completed>>) {
        let fx = Effects { list: scratch(), copied: 0 };
        let mut turn = Turn { place: self.home.place(), own, mine: None, fx, next: 0, gone: false, unused: Vec::new() };
        self.take_freed(&mut state, &mut turn.fx);
        let result = decide(&mut state.machine, &mut turn.fx);
        state.end_waits(&mut turn.fx);
        self.sort_out(&mut state, &mut turn);
        drop(state);
        if turn.next < turn.fx.list.len() || turn.gone {
            self.act(&mut turn);
        }
        turn.fx.list.clear();
        put_back(turn.fx.list);
        (result, turn.mine)
    }

    /// Posts what goes to the processor, in order, under the lock; leaves the rest to [`Socket::act`].
    pub(super) fn sort_out(self: &Arc<Self>, state: &mut State, turn: &mut Turn) {
        if turn.fx.copied > 0 {
            self.home.tally.copied.fetch_add(std::mem::take(&mut turn.fx.copied) as u64, Ordering::Relaxed);
        }
        let gone = !state.gone && state.machine.is_gone();
        let mut left = false;
        for at in turn.next..turn.fx.list.len() {
            let effect = &mut turn.fx.list[at];
            let rest = match effect {
                Effect::Submit(operation) if turn.place != Place::Foreign || !can_try(operation) => {
                    let Effect::Submit(operation) = std::mem::replace(effect, DONE) else { unreachable!() };
                    match self.home.post(Mail::Submit(self.token, operation)) {
                        Err(Mail::Submit(_, operation)) => Some(Effect::Submit(operation)), // no driver: it is refused
                        _ => None,
                    }
                }
                Effect::Complete(completion) => {
                    let own = !gone
                        && Some(completion.request) == turn.own
                        && is_plain(completion)
                        && (self.may_finish_inline()
                            || is_refusal(completion.status)
                            || matches!(completion.outcome, Outcome::Address(_)));
                    // The close completes last: after everything that was posted before (F-115).
                    let here = turn.place == Place::Top && !gone;
                    let Effect::Complete(completion) = std::mem::replace(effect, DONE) else { unreachable!() };
                    if is_plain(&completion)
                        && let Some(at) = state.accept_events.iter().position(|(id, _)| *id == completion.request)
                    {
                        turn.unused.push(state.accept_events.swap_remove(at).1);
                    }
                    if own {
                        state.remove(completion.request);
                        turn.mine = Some(Box::new(completion.into()));
                        None
                    } else if here {
                        let rest = state.resolve(completion);
                        if matches!(rest, Effect::Complete(_)) {
                            self.undelivered.fetch_add(1, Ordering::Relaxed);
                        }
                        Some(rest)
                    } else {
                        self.undelivered.fetch_add(1, Ordering::Relaxed);
                        self.post(Mail::Complete(self.clone(), completion))
                    }
                }
                Effect::Call(_) => {
                    self.settle_pause(state);
                    if turn.place == Place::Top {
                        left = true;
                        continue;
                    }
                    let Effect::Call(callback) = std::mem::replace(&mut turn.fx.list[at], DONE) else { unreachable!() };
                    self.post(Mail::Call(self.clone(), callback))
                }
                _ => {
                    left = true;
                    continue;
                }
            };
            if let Some(rest) = rest {
                turn.fx.list[at] = rest;
                left = true;
            }
        }
        if !left && turn.next == 0 {
            turn.fx.list.clear();
        }
        if gone {
            state.gone = true;
            turn.gone = self.home.post(Mail::Gone(self.clone())).is_err();
        }
    }

    /// Posts mail that calls the client; without a processor it comes back, to be done here.
    pub(super) fn post(self: &Arc<Self>, mail: Mail) -> Option<Effect> {
        match self.home.post(mail) {
            Err(Mail::Complete(_, completion)) => Some(Effect::Complete(completion)),
            Err(Mail::Call(_, callback)) => Some(Effect::Call(callback)),
            _ => None,
        }
    }

    /// Acts outside the lock, until nothing is left of this turn.
    pub(super) fn act(self: &Arc<Self>, turn: &mut Turn) {
        while turn.next < turn.fx.list.len() {
            let effect = std::mem::replace(&mut turn.fx.list[turn.next], DONE);
            turn.next += 1;
            match effect {
                Effect::Release(memory) => drop(memory),
                Effect::Complete(completion) => self.deliver(completion),
                Effect::Call(callback) => {
                    // What ran before in this turn may have closed the socket (E-123).
                    let overtaken = turn.next > 1 && self.state.lock().machine.is_closing();
                    let (kind, answer) = if overtaken { uncalled(callback) } else { self.call_client(callback) };
                    self.follow(turn, |machine, fx| machine.answered(kind, answer, fx));
                }
                Effect::Submit(operation) => self.try_now(operation, turn),
                Effect::Bind(local) => {
                    let result = self.bind_endpoint(local);
                    self.follow(turn, |machine, fx| machine.bound(result, fx));
                }
                Effect::Listen => {
                    let result = self.endpoint.listen();
                    self.follow(turn, |machine, fx| machine.listening(result, fx));
                }
                Effect::SampleBacklog => {
                    let ideal = self.endpoint.ideal_send_backlog();
                    self.follow(turn, |machine, fx| machine.backlog_sampled(ideal, fx));
                }
                Effect::Discard(incoming) => {
                    incoming.endpoint.discard(true);
                    self.client.provider.retry_starved();
                }
            }
        }
        if std::mem::take(&mut turn.gone) {
            self.gone();
        }
    }

    /// A further decision of the same turn.
    pub(super) fn follow(self: &Arc<Self>, turn: &mut Turn, decide: impl FnOnce(&mut Machine, &mut Effects)) {
        let mut state = self.state.lock();
        self.take_freed(&mut state, &mut turn.fx);
        decide(&mut state.machine, &mut turn.fx);
        self.sort_out(&mut state, turn);
    }

    /// Tells the machine what the client released since it last decided (E-120).
    pub(super) fn take_freed(&self, state: &mut State, fx: &mut Effects) {
        let freed = self.freed.load(Ordering::SeqCst);
        if freed != state.freed {
            let new = freed.wrapping_sub(std::mem::replace(&mut state.freed, freed));
            state.machine.released(new, fx);
            self.settle_pause(state);
        }
    }

    /// Keeps `paused` in step with the machine: one that stopped reading at its cap must hear of the next release. A release
    /// that came too early to see the flag is taken into account by the decision that follows the callback (or, after a
    /// change of the cap, by the one in [`Socket::cap_changed`]).
    pub(super) fn settle_pause(&self, state: &mut State) {
        let paused = state.machine.is_paused();
        if paused != self.paused.load(Ordering::Relaxed) {
            self.paused.store(paused, Ordering::SeqCst);
        }
    }

    /// The cap of retained memory has changed, and with it perhaps whether it is reached.
    pub(crate) fn cap_changed(self: &Arc<Self>) {
        let mut state = self.state.lock();
        self.settle_pause(&mut state);
        drop(state);
        self.decide(None, |machine, fx| machine.advance(fx)); // and what was released before `paused` could be seen
    }

    /// Tries an operation on the caller's thread; what would have to wait goes to the processor.
    pub(super) fn try_now(self: &Arc<Self>, operation: Operation, turn: &mut Turn) {
        let attempt = if turn.place == Place::Foreign { attempt(&*self.endpoint, operation) } else { Err(operation) };
        let mut state = self.state.lock();
        let event = match attempt {
            Ok(event) => Some(event),
            Err(operation) if state.machine.is_ending() => {
                // The endpoint was taken from the driver meanwhile.
                operation.refused(NtStatus::FILE_FORCED_CLOSED)
            }
            // Cancelled meanwhile: the driver did not know it yet, and will not hear of the cancel again.
            Err(Operation::Receive { memory, .. }) if state.machine.cancels_receive() => {
                Some(Event::ReceiveDone { memory, result: Err(StreamEnd::Stopped) })
            }
            Err(operation @ Operation::Send { .. }) if state.machine.cancels_send() => {
                operation.refused(NtStatus::CANCELLED)
            }
            Err(operation) => match self.home.post(Mail::Submit(self.token, operation)) {
                Err(Mail::Submit(_, operation)) => operation.refused(NtStatus::FILE_FORCED_CLOSED),
                _ => None,
            },
        };
        if let Some(event) = event {
            state.machine.handle(event, &mut turn.fx);
            state.machine.advance(&mut turn.fx);
            self.sort_out(&mut state, turn);
        }
    }
}

/// Whether a completion can be handed to its caller as it is.
pub(super) fn is_plain(completion: &Completion) -> bool {
    !matches!(completion.outcome, Outcome::Accepted(_))
}

/// Operations worth a try on the caller's thread.
pub(super) fn can_try(operation: &Operation) -> bool {
    match operation {
        Operation::Send { parts, .. } => parts.len() == 1,
        Operation::Receive { .. } | Operation::SendTo { .. } => true,
        _ => false,
    }
}

/// Does an operation without waiting: its terminal event, or what is left of it.
pub(super) fn attempt(endpoint: &dyn Endpoint, operation: Operation) -> Result<Event, Operation> {
    match operation {
        Operation::Send { parts, offset } => {
            let total = parts[0].len();
            match endpoint.try_send(&parts[0], offset) {
                Ok(Some(n)) if offset + n >= total => Ok(Event::SendDone { parts, sent: total, result: Ok(()) }),
                Ok(n) => Err(Operation::Send { parts, offset: offset + n.unwrap_or(0) }),
                Err(status) => Ok(Event::SendDone { parts, sent: offset, result: Err(status) }),
            }
        }
        Operation::Receive { mut memory, offset } => match endpoint.try_receive(&mut memory, offset) {
            Ok(Some(0)) => Ok(Event::ReceiveDone { memory, result: Err(StreamEnd::Fin) }),
            Ok(Some(n)) => Ok(Event::ReceiveDone { memory, result: Ok(n) }),
            Ok(None) => Err(Operation::Receive { memory, offset }),
            Err(status) => Ok(Event::ReceiveDone { memory, result: Err(StreamEnd::Failed(status)) }),
        },
        Operation::SendTo { id, messages, sent, remote, control } => {
            match endpoint.try_send_to(&messages, sent, remote, &control) {
                Ok(sent) if sent == messages.len() => Ok(Event::SendToDone { id, messages, sent, result: Ok(()) }),
                Ok(sent) => Err(Operation::SendTo { id, messages, sent, remote, control }),
                Err(status) => Ok(Event::SendToDone { id, messages, sent, result: Err(status) }),
            }
        }
        other => Err(other),
    }
}
