//! Listening sockets: the state machine of F-241, WskAccept and WskAcceptEvent, and conditional accept (events.md 6 and 6a).
//!
//! A connection passes these stations: taken from the transport; inspected, if the listener is conditional; perhaps pended;
//! ready; handed to the oldest WskAccept or to the callback. Callbacks of one listener run one at a time.

use std::collections::VecDeque;
use std::net::SocketAddr;

use slotmap::{DefaultKey, Key, SlotMap};
use wsk_abi::flags::EventMask;
use wsk_abi::status::NtStatus;

use crate::effect::{Callback, CallbackKind, DeadEvent, Effect, Effects, InspectId};
use crate::event_mask::{CONNECTION_EVENTS, EventControl, EventSwitch, LISTEN_EVENTS, finish_now};
use crate::indication::{Answer, InspectAction};
use crate::memory::Memory;
use crate::request::{Completion, Outcome, RequestId};
use crate::socket::check_v6_only;
use crate::socket::connection::{Events, answer_address};
use crate::transport::{Event, Family, Incoming, IncomingId, Operation};

/// Connections held between the transport and the client before no more are taken (the hidden queue of E-68).
const HIDDEN_QUEUE: usize = 128;

/// The columns of F-241.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Not bound.
    Created,
    /// Bound, which is to say listening (F-121).
    Listening,
    /// No longer functional (F-81).
    Broken,
}

impl State {
    /// All states, in the order of the table's columns.
    pub const ALL: [State; 3] = [State::Created, State::Listening, State::Broken];
}

/// The rows of F-241.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the socket functions by their names
pub enum Call {
    Bind,
    Accept,
    InspectComplete,
    GetLocalAddress,
    EnableAcceptEvent,
}

use crate::socket::Verdict;
use Verdict::{Fc, Go, Ids};

/// F-241.
#[rustfmt::skip]
pub const TABLE: [(Call, [Verdict; 3]); 5] = [
    //                        Created Listening Broken
    (Call::Bind,              [Go,    Ids,      Fc]),
    (Call::Accept,            [Ids,   Go,       Fc]),
    (Call::InspectComplete,   [Ids,   Go,       Fc]),
    (Call::GetLocalAddress,   [Ids,   Go,       Fc]),
    (Call::EnableAcceptEvent, [Ids,   Go,       Fc]),
];

/// Looks a cell of [`TABLE`] up.
pub fn verdict(call: Call, state: State) -> Verdict {
    TABLE[call as usize].1[state as usize]
}

#[derive(Debug)]
struct Inspected {
    incoming: Incoming,
    stage: Stage,
    /// Decided by WskInspectComplete already, from another thread, while WskInspectEvent is still to return Pend.
    early: Option<InspectAction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// WskInspectEvent is running or about to.
    Asking,
    /// Waiting for WskInspectComplete.
    Pended,
    /// Accepted by WskInspectComplete; the watch on the peer has yet to end.
    Accepting,
    /// Ready, or handed out; kept so that a late complete finds nothing to do.
    Ready,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    Idle,
    Running,
    Stopping,
    /// The host had no descriptor left; see [`Listen::retry`].
    Starved,
}

#[derive(Debug)]
struct Ready {
    incoming: Incoming,
    inspect: Option<DefaultKey>,
}

/// A listening socket, or a stream socket in that role.
#[derive(Debug)]
pub struct Listen {
    state: State,
    family: Family,
    available: EventMask,
    conditional: bool,
    /// A stream socket's: it has no WskInspectComplete (F-142).
    stream: bool,
    /// Bind always fails NOT_IMPLEMENTED (F-89).
    misfit: bool,
    local: Option<SocketAddr>,
    binding: Option<RequestId>,
    requests: VecDeque<RequestId>,
    accept: EventSwitch,
    inherited: EventMask,
    accepting: Accepting,
    arrived: VecDeque<DefaultKey>,
    inspected: SlotMap<DefaultKey, Inspected>,
    aborted: VecDeque<InspectId>,
    ready: VecDeque<Ready>,
    /// An inspect or abort callback is running (accept calls count in their switch).
    inspecting: Option<Option<DefaultKey>>,
    dead: VecDeque<DeadEvent>,
    closing: Option<RequestId>,
    detaching: bool,
    detached: bool,
    gone: bool,
}

impl Listen {
    /// A new listening socket. `misfit`: its type or protocol cannot listen (F-89, F-90).
    pub fn new(family: Family, events: Events, misfit: bool) -> Self {
        Self {
            state: State::Created,
            family,
            available: events.available,
            conditional: false,
            stream: false,
            misfit,
            local: None,
            binding: None,
            requests: VecDeque::new(),
            accept: events.switch(EventMask::ACCEPT),
            inherited: EventMask::empty(),
            accepting: Accepting::Idle,
            arrived: VecDeque::new(),
            inspected: SlotMap::new(),
            aborted: VecDeque::new(),
            ready: VecDeque::new(),
            inspecting: None,
            dead: VecDeque::new(),
            closing: None,
            detaching: false,
            detached: false,
            gone: false,
        }
    }

    /// A stream socket that has just begun to listen on `local` (F-130).
    pub fn from_stream(family: Family, events: Events, conditional: bool, local: SocketAddr) -> Self {
        let mut this = Self::new(family, events, false);
        this.stream = true;
        this.conditional = conditional;
        this.local = Some(local);
        this.state = State::Listening;
        this
    }

    /// Where the machine stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Requests queued.
    pub fn queued(&self) -> usize {
        self.requests.len()
    }

    /// Whether a close has begun or completed.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some() || self.gone
    }

    /// Whether the driver has let go of the endpoint.
    pub fn is_detached(&self) -> bool {
        self.detached
    }

    /// Whether the close has completed; nothing more comes from this machine.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Connection events that sockets from WskAcceptEvent inherit (E-20).
    pub fn inherited(&self) -> EventMask {
        self.inherited
    }

    /// SO_CONDITIONAL_ACCEPT (E-31).
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE after bind; FILE_FORCED_CLOSED.
    pub fn set_conditional(&mut self, on: bool) -> Result<(), NtStatus> {
        match self.state {
            State::Created => self.conditional = on,
            State::Listening => return Err(NtStatus::INVALID_DEVICE_STATE),
            State::Broken => return Err(NtStatus::FILE_FORCED_CLOSED),
        }
        Ok(())
    }

    /// Whether conditional accept is on.
    pub fn is_conditional(&self) -> bool {
        self.conditional
    }

    /// Whether IPV6_V6ONLY may be set now (C-40, C-44).
    ///
    /// # Errors
    /// INVALID_PARAMETER on an IPv4 socket, INVALID_DEVICE_STATE once bound.
    pub fn set_v6_only(&self) -> Result<(), NtStatus> {
        check_v6_only(self.family, self.state == State::Created)
    }

    fn admit(&self, call: Call) -> Result<(), NtStatus> {
        if self.closing.is_some() || self.gone {
            return Err(NtStatus::INVALID_HANDLE);
        }
        verdict(call, self.state).into_result()
    }

    // ---- commands ----

    /// WskBind: binds and listens (F-121).
    pub fn bind(&mut self, id: RequestId, local: SocketAddr, fx: &mut Effects) {
        let refused = match self.admit(Call::Bind) {
            Err(status) => Some(status),
            Ok(()) if self.binding.is_some() => Some(NtStatus::INVALID_DEVICE_STATE), // another thread's bind
            Ok(()) if self.misfit => Some(NtStatus::NOT_IMPLEMENTED),
            Ok(()) if Family::of(&local) != self.family => Some(NtStatus::INVALID_PARAMETER),
            Ok(()) if self.conditional && !has_inspect(self.available) => Some(NtStatus::INVALID_PARAMETER), // E-32
            Ok(()) => None,
        };
        match refused {
            Some(status) => fx.finish(id, status),
            None => {
                self.binding = Some(id);
                fx.push(Effect::Bind(local));
            }
        }
    }

    /// The endpoint's answer to [`Effect::Bind`].
    pub fn bound(&mut self, result: Result<SocketAddr, NtStatus>, fx: &mut Effects) {
        match result {
            Ok(_) if self.binding.is_none() => {} // closed, or broken, meanwhile
            Ok(local) => {
                self.local = Some(local);
                fx.push(Effect::Listen);
            }
            Err(status) => {
                if let Some(id) = self.binding.take() {
                    fx.finish(id, status);
                }
            }
        }
    }

    /// The endpoint's answer to [`Effect::Listen`].
    pub fn listening(&mut self, result: Result<(), NtStatus>, fx: &mut Effects) {
        let Some(id) = self.binding.take() else { return };
        match result {
            Ok(()) => {
                self.state = State::Listening;
                fx.finish(id, NtStatus::SUCCESS);
                self.advance(fx);
            }
            Err(status) => {
                self.local = None;
                fx.finish(id, status);
            }
        }
    }

    /// WskAccept (F-131 to F-136).
    pub fn accept(&mut self, id: RequestId, fx: &mut Effects) {
        match self.admit(Call::Accept) {
            Err(status) => fx.finish(id, status),
            Ok(()) => {
                self.requests.push_back(id);
                if self.accepting == Accepting::Starved {
                    self.accepting = Accepting::Idle;
                }
                self.advance(fx);
            }
        }
    }

    /// WskInspectComplete (F-140, F-141).
    pub fn inspect_complete(&mut self, id: RequestId, inspect: InspectId, action: InspectAction, fx: &mut Effects) {
        let refused = match self.admit(Call::InspectComplete) {
            Err(status) => Some(status),
            Ok(()) if !self.conditional || self.stream => Some(NtStatus::INVALID_DEVICE_STATE),
            Ok(()) if action == InspectAction::Pend => Some(NtStatus::INVALID_PARAMETER),
            Ok(()) => None,
        };
        let key = self.find(inspect);
        let status = match (refused, key) {
            (Some(status), _) => status,
            (None, None) => NtStatus::NOT_FOUND,
            (None, Some(key)) => {
                let entry = &mut self.inspected[key];
                if entry.stage == Stage::Asking {
                    entry.early = Some(action);
                    return fx.finish(id, NtStatus::SUCCESS);
                }
                fx.submit(Operation::UnwatchIncoming(watch_id(key)));
                if action == InspectAction::Accept {
                    entry.stage = Stage::Accepting;
                } else if let Some(entry) = self.inspected.remove(key) {
                    fx.push(Effect::Discard(entry.incoming));
                }
                NtStatus::SUCCESS
            }
        };
        fx.finish(id, status);
        self.advance(fx);
    }

    /// The slot of an inspection that is pended, or about to be: a client may hand the id to another thread before its
    /// callback returns.
    fn find(&self, inspect: InspectId) -> Option<DefaultKey> {
        self.inspected
            .iter()
            .find(|(key, entry)| {
                let asking = self.inspecting == Some(Some(*key)) && entry.stage == Stage::Asking;
                inspect_id(*key) == inspect && (entry.stage == Stage::Pended || asking && entry.early.is_none())
            })
            .map(|(key, _)| key)
    }

    /// WskGetLocalAddress (F-210).
    pub fn local_address(&self, id: RequestId, fx: &mut Effects) {
        match (self.admit(Call::GetLocalAddress), self.local) {
            (Err(status), _) => fx.finish(id, status),
            (Ok(()), None) => fx.finish(id, NtStatus::INVALID_DEVICE_STATE),
            (Ok(()), Some(address)) => answer_address(id, address, fx),
        }
    }

    /// SO_WSK_EVENT_CALLBACK (events.md 4.1, 4.2, 5).
    pub fn control_events(&mut self, mask: EventMask, request: Option<RequestId>, fx: &mut Effects) -> NtStatus {
        let control = match (self.admit(Call::EnableAcceptEvent), EventControl::parse(mask, LISTEN_EVENTS)) {
            (Ok(()), Ok(control)) => control,
            (_, Err(status)) | (Err(status), _) => return finish_now(status, request, fx),
        };
        match control {
            EventControl::Enable(events) => {
                if events.contains(EventMask::ACCEPT) {
                    if !self.available.contains(EventMask::ACCEPT) {
                        return finish_now(NtStatus::INVALID_PARAMETER, request, fx); // E-4
                    }
                    if self.accept.is_disabling() {
                        return finish_now(NtStatus::DEVICE_BUSY, request, fx); // E-45
                    }
                    self.accept.enable();
                }
                self.inherited |= events & CONNECTION_EVENTS;
                let status = finish_now(NtStatus::SUCCESS, request, fx);
                self.advance(fx);
                status
            }
            EventControl::Disable(EventMask::ACCEPT) => {
                let status = self.accept.disable(request, fx);
                self.advance(fx);
                status
            }
            EventControl::Disable(_) => finish_now(NtStatus::INVALID_PARAMETER, request, fx), // E-21
        }
    }

    /// IoCancelIrp for a WskAccept: connections stay for the next one (F-65).
    pub fn cancel(&mut self, id: RequestId, fx: &mut Effects) {
        if let Some(at) = self.requests.iter().position(|r| *r == id) {
            self.requests.remove(at);
            fx.finish(id, NtStatus::CANCELLED);
            self.advance(fx);
        }
    }

    /// WskCloseSocket (F-111, F-114, E-69, E-125).
    pub fn close(&mut self, id: RequestId, fx: &mut Effects) {
        if self.closing.is_some() || self.gone {
            return fx.finish(id, NtStatus::INVALID_HANDLE);
        }
        self.closing = Some(id);
        if let Some(bind) = self.binding.take() {
            fx.finish(bind, NtStatus::CANCELLED);
        }
        self.accept.close();
        self.shut(NtStatus::CANCELLED, fx);
        self.detach(fx);
        self.try_finish(fx);
    }

    /// Ends requests and refuses every connection that was not handed out.
    fn shut(&mut self, status: NtStatus, fx: &mut Effects) {
        while let Some(request) = self.requests.pop_front() {
            fx.finish(request, status);
        }
        self.arrived.clear();
        self.aborted.clear();
        for ready in self.ready.drain(..) {
            fx.push(Effect::Discard(ready.incoming));
        }
        for (key, entry) in self.inspected.drain() {
            match entry.stage {
                Stage::Asking => fx.push(Effect::Discard(entry.incoming)),
                Stage::Pended | Stage::Accepting => {
                    fx.submit(Operation::UnwatchIncoming(watch_id(key)));
                    fx.push(Effect::Discard(entry.incoming));
                }
                Stage::Ready => {}
            }
        }
    }

    fn detach(&mut self, fx: &mut Effects) {
        if !std::mem::replace(&mut self.detaching, true) {
            fx.submit(Operation::Detach { abort: false });
        }
    }

    // ---- events of the transport ----

    /// Takes an event in. Follow a run of them with [`Listen::advance`].
    pub fn handle(&mut self, event: Event, fx: &mut Effects) {
        let over = self.closing.is_some() || self.state == State::Broken;
        match event {
            Event::Accepted(incoming) if over => fx.push(Effect::Discard(incoming)),
            Event::Accepted(incoming) if self.conditional => {
                let key = self.inspected.insert(Inspected { incoming, stage: Stage::Asking, early: None });
                self.arrived.push_back(key);
            }
            Event::Accepted(incoming) => self.ready.push_back(Ready { incoming, inspect: None }),
            Event::AcceptStopped(result) => self.stopped(result, over, fx),
            Event::IncomingEnded { id, gone } => self.incoming_ended(id, gone, fx),
            Event::Detached => {
                self.detached = true;
                self.try_finish(fx);
            }
            _ => debug_assert!(false, "not an event of a listener: {event:?}"),
        }
    }

    fn stopped(&mut self, result: Result<(), NtStatus>, over: bool, fx: &mut Effects) {
        self.accepting = Accepting::Idle;
        match result {
            _ if over => {}
            Ok(()) => {}
            Err(NtStatus::INSUFFICIENT_RESOURCES) => match self.requests.pop_front() {
                Some(request) => fx.finish(request, NtStatus::INSUFFICIENT_RESOURCES), // F-137
                None => self.accepting = Accepting::Starved,
            },
            Err(_) => self.break_down(fx),
        }
    }

    /// A connection socket was closed somewhere: a listener that had run out of resources tries again (F-137).
    pub fn retry(&mut self, fx: &mut Effects) {
        if self.accepting == Accepting::Starved {
            self.accepting = Accepting::Idle;
            self.advance(fx);
        }
    }

    /// Whether [`Listen::retry`] has something to do.
    pub fn is_starved(&self) -> bool {
        self.accepting == Accepting::Starved
    }

    fn incoming_ended(&mut self, id: IncomingId, gone: bool, fx: &mut Effects) {
        let key = DefaultKey::from(slotmap::KeyData::from_ffi(id.0));
        let Some(entry) = self.inspected.get_mut(key) else { return };
        if gone {
            // E-65: forget this id; a late Accept never produces a connection.
            if let Some(entry) = self.inspected.remove(key) {
                fx.push(Effect::Discard(entry.incoming));
            }
            self.abort(inspect_id(key));
        } else if entry.stage == Stage::Accepting {
            entry.stage = Stage::Ready;
            let incoming = entry.incoming.clone();
            self.ready.push_back(Ready { incoming, inspect: Some(key) });
        }
    }

    fn abort(&mut self, id: InspectId) {
        if has_abort(self.available) {
            self.aborted.push_back(id);
        }
    }

    /// The listening endpoint is dead (E-56, E-62).
    pub fn break_down(&mut self, fx: &mut Effects) {
        if self.closing.is_some() || self.state == State::Broken {
            return;
        }
        self.state = State::Broken;
        if let Some(id) = self.binding.take() {
            fx.finish(id, NtStatus::FILE_FORCED_CLOSED);
        }
        self.shut(NtStatus::FILE_FORCED_CLOSED, fx);
        if self.accept.is_on() {
            self.dead.push_back(DeadEvent::Accept);
        }
        if self.conditional {
            self.dead.push_back(DeadEvent::Inspect);
        }
        self.detach(fx);
        self.advance(fx);
    }

    /// The driver is gone: the listener is dead, and nothing more comes from below.
    pub fn driver_lost(&mut self, fx: &mut Effects) {
        self.break_down(fx);
        if self.detaching && !self.detached {
            self.handle(Event::Detached, fx);
        }
    }

    /// Goes on after a run of events: hands connections out, calls the client, takes more or stops taking.
    pub fn advance(&mut self, fx: &mut Effects) {
        if self.closing.is_some() || self.gone || self.state == State::Created {
            return;
        }
        self.serve(fx);
        self.call(fx);
        self.arm(fx);
    }

    /// Oldest connection to oldest request (F-134).
    fn serve(&mut self, fx: &mut Effects) {
        while !self.requests.is_empty() && !self.ready.is_empty() {
            let Some((incoming, inspect)) = self.next_ready(fx) else { break };
            let Some(request) = self.requests.pop_front() else { break };
            fx.complete_with(Completion {
                request,
                status: NtStatus::SUCCESS,
                information: 0,
                memory: Memory::None,
                outcome: Outcome::Accepted(Box::new((incoming, inspect))),
            });
        }
    }

    /// The next connection whose peer is still there (F-137); a lost one of a conditional listener is an abort (E-63).
    fn next_ready(&mut self, fx: &mut Effects) -> Option<(Incoming, Option<InspectId>)> {
        while let Some(ready) = self.ready.pop_front() {
            let inspect = ready.inspect.map(inspect_id);
            if let Some(key) = ready.inspect {
                self.inspected.remove(key);
            }
            if !ready.incoming.endpoint.is_dead() {
                return Some((ready.incoming, inspect));
            }
            fx.push(Effect::Discard(ready.incoming));
            if let Some(id) = inspect {
                self.abort(id);
            }
        }
        None
    }

    fn call(&mut self, fx: &mut Effects) {
        if self.accept.is_running() || self.inspecting.is_some() {
            return;
        }
        if let Some(event) = self.dead.pop_front() {
            match event {
                DeadEvent::Accept => self.accept.begin(),
                _ => self.inspecting = Some(None),
            }
            return fx.call(Callback::Dead(event));
        }
        if self.state == State::Broken {
            return;
        }
        if let Some(id) = self.aborted.pop_front() {
            self.inspecting = Some(None);
            return fx.call(Callback::Abort { id });
        }
        while let Some(key) = self.arrived.pop_front() {
            if let Some(entry) = self.inspected.get(key) {
                self.inspecting = Some(Some(key));
                let (local, remote) = (entry.incoming.local, entry.incoming.remote);
                return fx.call(Callback::Inspect { id: inspect_id(key), local, remote });
            }
        }
        if self.accept.is_on()
            && self.requests.is_empty()
            && let Some((incoming, inspect)) = self.next_ready(fx)
        {
            self.accept.begin();
            fx.call(Callback::Accept { incoming, inspect });
        }
    }

    fn arm(&mut self, fx: &mut Effects) {
        if self.state != State::Listening {
            return;
        }
        let held = self.ready.len() + self.inspected.len();
        let wanted = (self.accept.is_on() || self.conditional || !self.requests.is_empty()) && held < HIDDEN_QUEUE;
        match self.accepting {
            Accepting::Idle if wanted => {
                self.accepting = Accepting::Running;
                fx.submit(Operation::AcceptStart);
            }
            Accepting::Running if !wanted => {
                self.accepting = Accepting::Stopping;
                fx.submit(Operation::AcceptStop);
            }
            _ => {}
        }
    }

    // ---- answers of the client ----

    /// A callback returned.
    pub fn answered(&mut self, kind: CallbackKind, answer: Answer, fx: &mut Effects) {
        match kind {
            CallbackKind::Accept => self.accept.end(fx),
            CallbackKind::Inspect | CallbackKind::Abort => {
                if let (Some(Some(key)), Answer::Inspected(action)) = (self.inspecting.take(), answer) {
                    self.inspected_answer(key, action, fx);
                }
            }
            _ => debug_assert!(false, "not a callback of a listener: {kind:?}"),
        }
        self.advance(fx);
        self.try_finish(fx);
    }

    fn inspected_answer(&mut self, key: DefaultKey, action: InspectAction, fx: &mut Effects) {
        let Some(entry) = self.inspected.get_mut(key) else { return }; // refused by a close meanwhile
        let action = match entry.early.take() {
            Some(early) if action == InspectAction::Pend && !self.stream => early,
            _ => action,
        };
        match action {
            InspectAction::Accept => {
                entry.stage = Stage::Ready;
                let incoming = entry.incoming.clone();
                self.ready.push_back(Ready { incoming, inspect: Some(key) });
            }
            InspectAction::Pend if !self.stream => {
                entry.stage = Stage::Pended;
                fx.submit(Operation::WatchIncoming(watch_id(key), entry.incoming.endpoint.clone()));
            }
            InspectAction::Reject | InspectAction::Pend => {
                if let Some(entry) = self.inspected.remove(key) {
                    fx.push(Effect::Discard(entry.incoming));
                }
            }
        }
    }

    fn try_finish(&mut self, fx: &mut Effects) {
        let quiet = !self.accept.is_running() && self.inspecting.is_none();
        if self.detached
            && quiet
            && let Some(id) = self.closing.take()
        {
            self.gone = true;
            fx.finish(id, NtStatus::SUCCESS);
        }
    }
}

/// The bit by which `available` says that a client has a WskInspectEvent. Not an event of the NPI's masks (E-31).
pub const HAS_INSPECT: u32 = 1 << 16;
/// The same for WskAbortEvent.
pub const HAS_ABORT: u32 = 1 << 17;

pub(crate) fn has_inspect(available: EventMask) -> bool {
    available.bits() & HAS_INSPECT != 0
}

fn has_abort(available: EventMask) -> bool {
    available.bits() & HAS_ABORT != 0
}

fn inspect_id(key: DefaultKey) -> InspectId {
    let bits = key.data().as_ffi();
    // The slot number in the low half, its generation in the high half: never the same pair twice (E-61).
    InspectId { key: (bits & 0xFFFF_FFFF) as usize, serial: (bits >> 32) as u32 }
}

fn watch_id(key: DefaultKey) -> IncomingId {
    IncomingId(key.data().as_ffi())
}
