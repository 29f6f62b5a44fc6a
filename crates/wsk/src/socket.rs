//! A socket of the provider: a state machine of wsk-core behind its own small lock, and the requests of its clients.
//!
//! *Decide under the lock, act outside it.* [`Socket::decide`] runs the machine and posts transport operations, still under
//! the lock, so that a driver sees them in the order of the decisions. Everything that may run client code happens after,
//! on the home processor; what can be finished at once is finished on the caller's thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::{Mutex, MutexGuard};
use wsk_abi::flags::{EventFlags, SendFlags};
use wsk_abi::status::NtStatus;
use wsk_core::effect::{Callback, CallbackKind, DeadEvent, Effect, Effects, InspectId};
use wsk_core::indication::Answer;
use wsk_core::memory::{Account, Buffer, BufferList, Memory};
use wsk_core::request::{Completion, Outcome, RequestId};
use wsk_core::socket::connection::{Connection, Events};
use wsk_core::transport::{Endpoint, Event, Incoming, Operation, StreamEnd, Token};

use crate::connection::ConnectionSocket;
use crate::datagram::DatagramSocket;
use crate::events::{self, ConnectionEvents, DatagramEvents, InspectRequest, ListenEvents};
use crate::indication::{Datagrams, Indication};
use crate::listen::ListenSocket;
use crate::machine::Machine;
use crate::processor::{Mail, Processor, enter_client, enter_waker, note_fresh, take_fresh};
use crate::registration::ClientShared;
use crate::request::{FromCompletion, Request, Transfer};

/// Where the running code stands towards a socket's home processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its pump, outside client code: may call the client.
    Top,
    /// Its pump, inside client code: effects on the client are put off.
    Nested,
    /// Another thread: as Nested, and tries operations itself before it bothers the processor.
    Foreign,
}

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
enum Waiter {
    /// Nobody yet.
    None,
    Waker(Waker),
    Callback(CompletionCallback),
    /// Nobody ever: the result is dropped.
    Forgotten,
    /// It has completed; nobody has asked yet.
    Done(Box<Completed>),
}

/// The client's callbacks, by category.
pub(crate) enum Sink {
    None,
    Listen(Arc<dyn ListenEvents>),
    Datagram(Arc<dyn DatagramEvents>),
    Connection(Arc<dyn ConnectionEvents>),
    Stream(Option<Arc<dyn ListenEvents>>, Option<Arc<dyn ConnectionEvents>>),
}

impl Sink {
    fn listen(&self) -> Option<&Arc<dyn ListenEvents>> {
        match self {
            Sink::Listen(events) => Some(events),
            Sink::Stream(events, _) => events.as_ref(),
            _ => None,
        }
    }

    fn connection(&self) -> Option<&Arc<dyn ConnectionEvents>> {
        match self {
            Sink::Connection(events) => Some(events),
            Sink::Stream(_, events) => events.as_ref(),
            _ => None,
        }
    }
}

/// One decision and what follows from it.
struct Turn {
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

pub(crate) struct Socket {
    pub(crate) home: Arc<Processor>,
    pub(crate) client: Arc<ClientShared>,
    pub(crate) endpoint: Arc<dyn Endpoint>,
    token: Token,
    sink: Sink,
    /// Transport memory released by the client so far, all in all; wraps.
    freed: AtomicUsize,
    /// The machine stopped reading because the client holds too much (E-120).
    paused: AtomicBool,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) machine: Machine,
    /// Requests in the order of their ids.
    waiters: VecDeque<(RequestId, Waiter)>,
    /// Callbacks for sockets that queued accepts will produce.
    accept_events: Vec<(RequestId, Arc<dyn ConnectionEvents>)>,
    /// The request of a WskSocketConnect.
    socket_connect: Option<RequestId>,
    next_request: u64,
    /// How much of the socket's `freed` the machine knows of.
    freed: usize,
    /// Mail::Gone is posted.
    gone: bool,
}

impl State {
    fn new(machine: Machine) -> Self {
        Self {
            machine,
            waiters: VecDeque::new(),
            accept_events: Vec::new(),
            socket_connect: None,
            next_request: 0,
            freed: 0,
            gone: false,
        }
    }

    /// Where a request is: mostly at the front (completing) or at the back (just made).
    fn find(&self, id: RequestId) -> Option<usize> {
        if self.waiters.front()?.0 == id {
            return Some(0);
        }
        if self.waiters.back()?.0 == id {
            return Some(self.waiters.len() - 1);
        }
        self.waiters.binary_search_by_key(&id, |(id, _)| *id).ok()
    }

    fn waiter(&mut self, id: RequestId) -> Option<&mut Waiter> {
        let at = self.find(id)?;
        Some(&mut self.waiters[at].1)
    }

    fn remove(&mut self, id: RequestId) -> Option<Waiter> {
        match self.find(id)? {
            0 => self.waiters.pop_front(),
            at => self.waiters.remove(at),
        }
        .map(|(_, waiter)| waiter)
    }

    /// A completion on its way to whoever waits: if nobody does, only its memory is left to release.
    fn resolve(&mut self, completion: Completion) -> Effect {
        if is_plain(&completion) && self.is_forgotten(completion.request) {
            self.remove(completion.request);
            return Effect::Release(completion.memory);
        }
        Effect::Complete(completion)
    }

    /// Whether nobody will ever ask for this request.
    fn is_forgotten(&mut self, id: RequestId) -> bool {
        self.socket_connect.is_none() && matches!(self.waiter(id), Some(Waiter::Forgotten) | None)
    }

    /// The waiter of a request whose handle is alive; one that is not entered yet (see `note_fresh`) is entered now.
    fn waiter_of_handle(&mut self, id: RequestId) -> &mut Waiter {
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

    fn new_request(&mut self, waiter: Waiter) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.waiters.push_back((id, waiter));
        id
    }
}

thread_local! {
    /// Lists of effects to use again, so that deciding allocates nothing in the long run: one for the pump's decisions, one
    /// for those of the callbacks it calls.
    static SCRATCH: [Cell<Vec<Effect>>; 2] = const { [Cell::new(Vec::new()), Cell::new(Vec::new())] };
}

fn scratch() -> Vec<Effect> {
    SCRATCH.with(|lists| {
        let first = lists[0].take();
        if first.capacity() > 0 { first } else { lists[1].take() }
    })
}

fn put_back(list: Vec<Effect>) {
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
const DONE: Effect = Effect::Release(Memory::None);

impl Socket {
    /// Makes a socket and gives its endpoint to the home processor's driver.
    pub(crate) fn create(
        home: Arc<Processor>,
        client: Arc<ClientShared>,
        endpoint: Arc<dyn Endpoint>,
        machine: Machine,
        sink: Sink,
    ) -> Result<Arc<Self>, NtStatus> {
        let state = State::new(machine);
        let socket = home.enter(|token| {
            Arc::new(Self {
                home: home.clone(),
                client,
                endpoint,
                token,
                sink,
                freed: AtomicUsize::new(0),
                paused: AtomicBool::new(false),
                state: Mutex::new(state),
            })
        });
        socket.client.socket_created();
        match home.post(Mail::Submit(socket.token, Operation::Attach(socket.endpoint.clone()))) {
            Ok(()) => Ok(socket),
            Err(_) => {
                socket.client.socket_gone();
                socket.endpoint.discard(true);
                home.leave(socket.token);
                Err(NtStatus::DEVICE_NOT_READY)
            }
        }
    }

    /// The socket of an accepted connection (E-20, E-22, E-26).
    pub(crate) fn adopt(
        self: &Arc<Self>,
        incoming: Incoming,
        inspect: Option<InspectId>,
        events: Option<Arc<dyn ConnectionEvents>>,
        by_event: bool,
    ) -> Arc<Self> {
        let inherited = if by_event { self.state.lock().machine.inherited() } else { Default::default() };
        let which = Events {
            available: events.as_ref().map(|e| e.provided()).unwrap_or_default(),
            fixed: self.client.static_events(),
            inherited,
        };
        let mut machine = Connection::accepted(incoming.local, incoming.remote, which, by_event);
        machine.set_inspect_id(inspect);
        let sink = events.map_or(Sink::None, Sink::Connection);
        let home = self.client.provider.home_of_accepted(&self.home);
        let endpoint = incoming.endpoint.clone();
        match Self::create(home, self.client.clone(), endpoint, Machine::Connection(machine), sink) {
            Ok(socket) => {
                if !by_event {
                    socket.decide(None, |machine, fx| machine.advance(fx));
                }
                socket
            }
            Err(_) => self.stillborn(incoming),
        }
    }

    /// The provider stopped while a connection was handed over: its socket is broken from the start.
    fn stillborn(self: &Arc<Self>, incoming: Incoming) -> Arc<Self> {
        // No events: a callback begun here would never return.
        let events = Events { available: Default::default(), fixed: Default::default(), inherited: Default::default() };
        let mut machine = Connection::accepted(incoming.local, incoming.remote, events, true);
        let mut fx = Effects::new();
        machine.break_down(&mut fx);
        machine.handle(Event::Detached, &mut fx);
        self.client.socket_created();
        self.home.enter(|token| {
            Arc::new(Self {
                home: self.home.clone(),
                client: self.client.clone(),
                endpoint: incoming.endpoint,
                token,
                sink: Sink::None,
                freed: AtomicUsize::new(0),
                paused: AtomicBool::new(false),
                state: Mutex::new(State::new(Machine::Connection(machine))),
            })
        })
    }

    // ---- requests ----

    /// Starts a request: `start` gives it to the machine.
    pub(crate) fn request<T: FromCompletion>(
        self: &Arc<Self>,
        start: impl FnOnce(&mut Machine, RequestId, &mut Effects),
    ) -> Request<T> {
        self.request_accept(None, start)
    }

    /// As [`Socket::request`]; `events` are for the socket that an accept produces.
    pub(crate) fn request_accept<T: FromCompletion>(
        self: &Arc<Self>,
        events: Option<Arc<dyn ConnectionEvents>>,
        start: impl FnOnce(&mut Machine, RequestId, &mut Effects),
    ) -> Request<T> {
        let mut state = self.state.lock();
        let id = state.new_request(Waiter::None);
        if let Some(events) = events {
            state.accept_events.push((id, events));
        }
        match self.decide_locked(state, Some(id), |machine, fx| start(machine, id, fx)).1 {
            Some(completed) => Request::ready(completed),
            None => Request::pending(self.clone(), id),
        }
    }

    /// The connect of WskSocketConnect: its completion yields the socket, or leaves none (F-93, F-65).
    pub(crate) fn request_connect(self: &Arc<Self>, remote: SocketAddr) -> Request<ConnectionSocket> {
        let mut state = self.state.lock();
        let id = state.new_request(Waiter::None);
        state.socket_connect = Some(id);
        // Not as the caller's own: even a failure at once has to pass `produce`.
        self.decide_locked(state, None, |machine, fx| {
            if let Some(connection) = machine.connection() {
                connection.connect(id, remote, fx);
            }
        });
        Request::pending(self.clone(), id)
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

    /// Has `callback` called at completion; gives both back if it has completed already.
    pub(crate) fn set_callback(
        &self,
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
        match state.remove(id) {
            Some(Waiter::Done(completed)) => Some((callback, *completed)),
            _ => None,
        }
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

    /// IoCancelIrp.
    pub(crate) fn cancel(self: &Arc<Self>, id: RequestId) {
        self.decide(None, |machine, fx| machine.cancel(id, fx));
    }

    /// WskCloseSocket with nobody waiting; nothing if it is being closed already.
    pub(crate) fn close_quietly(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.machine.is_closing() {
            return;
        }
        let id = state.new_request(Waiter::Forgotten);
        self.decide_locked(state, None, |machine, fx| machine.close(id, fx));
    }

    // ---- the other two sides ----

    /// Events of the transport, in order.
    pub(crate) fn handle_run(self: &Arc<Self>, first: Event, mut more: impl FnMut() -> Option<Event>) {
        self.decide(None, |machine, fx| {
            let mut next = Some(first);
            while let Some(event) = next {
                if let Event::Connected(Ok(())) = event {
                    machine.set_addresses(self.endpoint.local_address().ok(), self.endpoint.remote_address().ok());
                }
                machine.handle(event, fx);
                next = more();
            }
            machine.advance(fx);
            if machine.is_starved() {
                self.client.provider.starved(self);
            }
        });
    }

    /// The straight path of one event, on the pump (see wsk-core's `socket::straight`); gives the event back if the general
    /// path must decide.
    pub(crate) fn handle_straight(handle: &ConnectionSocket, event: Event) -> Result<(), Event> {
        let this = &handle.socket;
        match event {
            Event::Received { buffer, drained } => Self::receive_straight(handle, buffer, drained),
            Event::SendDone { parts, sent, result: Ok(()) } => {
                let mut state = this.state.lock();
                let Machine::Connection(connection) = &mut state.machine else {
                    return Err(Event::SendDone { parts, sent, result: Ok(()) });
                };
                match connection.straight_sent(parts) {
                    Err(parts) => Err(Event::SendDone { parts, sent, result: Ok(()) }),
                    Ok((request, information, memory)) if state.is_forgotten(request) => {
                        state.remove(request);
                        drop(state);
                        let _ = information;
                        drop(memory);
                        Ok(())
                    }
                    Ok((request, information, memory)) => {
                        drop(state);
                        let status = NtStatus::SUCCESS;
                        this.deliver(Completion { request, status, information, memory, outcome: Outcome::None });
                        Ok(())
                    }
                }
            }
            other => Err(other),
        }
    }

    fn receive_straight(handle: &ConnectionSocket, buffer: Buffer, drained: bool) -> Result<(), Event> {
        let this = &handle.socket;
        let mut state = this.state.lock();
        let State { machine: Machine::Connection(connection), freed: known, .. } = &mut *state else {
            return Err(Event::Received { buffer, drained });
        };
        let Sink::Connection(events) = &this.sink else {
            return Err(Event::Received { buffer, drained });
        };
        let freed = this.freed.load(Ordering::SeqCst);
        if freed != *known {
            connection.take_released(freed.wrapping_sub(std::mem::replace(known, freed)));
        }
        let (list, flags) = match connection.straight_receive(buffer, drained) {
            Ok(call) => call,
            Err(buffer) => return Err(Event::Received { buffer, drained }),
        };
        this.settle_pause(&mut state);
        drop(state);
        count(&this.home.tally.callbacks);
        let irql = this.home.callback_irql();
        let answer =
            enter_client(irql, || this.call_receive(&**events, handle, list, flags, irql)).unwrap_or(Answer::Done);
        if matches!(answer, Answer::Done)
            && let mut state = this.state.lock()
            && let Machine::Connection(connection) = &mut state.machine
            && connection.straight_answer()
        {
            return Ok(());
        }
        this.decide(None, |machine, fx| machine.answered(CallbackKind::Receive, answer, fx));
        Ok(())
    }

    /// WskSend: straight to the home processor where possible.
    pub(crate) fn send(self: &Arc<Self>, memory: Memory, flags: SendFlags) -> Request<Transfer> {
        let place = self.home.place();
        if flags.is_empty() && place != Place::Foreign {
            let mut state = self.state.lock();
            let id = RequestId(state.next_request);
            if let Machine::Connection(connection) = &mut state.machine {
                match connection.straight_send(id, memory) {
                    Ok(operation) => {
                        state.next_request += 1;
                        if place == Place::Nested {
                            note_fresh(self.token, id);
                        } else {
                            state.waiters.push_back((id, Waiter::None));
                        }
                        match self.home.post(Mail::Submit(self.token, operation)) {
                            Err(Mail::Submit(_, operation)) => {
                                drop(state);
                                self.enter(id); // its handle is alive
                                let refused = operation.refused(NtStatus::FILE_FORCED_CLOSED);
                                refused.into_iter().for_each(|event| self.handle_run(event, || None));
                            }
                            _ => drop(state),
                        }
                        return Request::pending(self.clone(), id);
                    }
                    Err(memory) => {
                        drop(state);
                        return self.send_general(memory, flags);
                    }
                }
            }
        }
        self.send_general(memory, flags)
    }

    fn send_general(self: &Arc<Self>, memory: Memory, flags: SendFlags) -> Request<Transfer> {
        self.request(|machine, id, fx| match machine.connection() {
            Some(connection) => connection.send(id, memory, flags, fx),
            None => fx.refuse(id, NtStatus::INVALID_DEVICE_STATE),
        })
    }

    /// The transport is gone (F-81).
    pub(crate) fn break_down(self: &Arc<Self>) {
        self.decide(None, |machine, fx| machine.break_down(fx));
    }

    /// The driver is gone.
    pub(crate) fn driver_lost(self: &Arc<Self>) {
        self.decide(None, |machine, fx| machine.driver_lost(fx));
    }

    pub(crate) fn token(&self) -> Token {
        self.token
    }

    pub(crate) fn is_detached(&self) -> bool {
        self.state.lock().machine.is_detached()
    }

    /// Requests queued on this socket.
    pub(crate) fn queued(&self) -> usize {
        self.state.lock().machine.queued()
    }

    /// A listener that ran out of descriptors tries again.
    pub(crate) fn retry(self: &Arc<Self>) {
        self.decide(None, |machine, fx| machine.retry(fx));
    }

    /// The close has completed.
    pub(crate) fn gone(self: &Arc<Self>) {
        self.home.leave(self.token);
        self.client.socket_gone();
        self.client.provider.retry_starved();
    }

    // ---- deciding and acting ----

    /// Runs the machine under the lock, then acts. Returns what the machine's function returned, and the completion of
    /// `own`, the caller's request, if it is there already.
    pub(crate) fn decide<R>(
        self: &Arc<Self>,
        own: Option<RequestId>,
        decide: impl FnOnce(&mut Machine, &mut Effects) -> R,
    ) -> (R, Option<Box<Completed>>) {
        self.decide_locked(self.state.lock(), own, decide)
    }

    fn decide_locked<R>(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        own: Option<RequestId>,
        decide: impl FnOnce(&mut Machine, &mut Effects) -> R,
    ) -> (R, Option<Box<Completed>>) {
        let fx = Effects { list: scratch(), copied: 0 };
        let mut turn = Turn { place: self.home.place(), own, mine: None, fx, next: 0, gone: false, unused: Vec::new() };
        self.take_freed(&mut state, &mut turn.fx);
        let result = decide(&mut state.machine, &mut turn.fx);
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
    fn sort_out(self: &Arc<Self>, state: &mut State, turn: &mut Turn) {
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
                    let own = !gone && Some(completion.request) == turn.own && is_plain(completion);
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
                        Some(state.resolve(completion))
                    } else {
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
    fn post(self: &Arc<Self>, mail: Mail) -> Option<Effect> {
        match self.home.post(mail) {
            Err(Mail::Complete(_, completion)) => Some(Effect::Complete(completion)),
            Err(Mail::Call(_, callback)) => Some(Effect::Call(callback)),
            _ => None,
        }
    }

    /// Acts outside the lock, until nothing is left of this turn.
    fn act(self: &Arc<Self>, turn: &mut Turn) {
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
                    let result = self.endpoint.bind(local);
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
    fn follow(self: &Arc<Self>, turn: &mut Turn, decide: impl FnOnce(&mut Machine, &mut Effects)) {
        let mut state = self.state.lock();
        self.take_freed(&mut state, &mut turn.fx);
        decide(&mut state.machine, &mut turn.fx);
        self.sort_out(&mut state, turn);
    }

    /// Tells the machine what the client released since it last decided (E-120).
    fn take_freed(&self, state: &mut State, fx: &mut Effects) {
        let freed = self.freed.load(Ordering::SeqCst);
        if freed != state.freed {
            let new = freed.wrapping_sub(std::mem::replace(&mut state.freed, freed));
            state.machine.released(new, fx);
            self.settle_pause(state);
        }
    }

    /// A machine that stops reading at its cap must hear of the next release: a release that does not see `paused` yet is
    /// seen here and taken into account by whoever decides next, which is the answer of this call.
    fn settle_pause(&self, state: &mut State) {
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
    fn try_now(self: &Arc<Self>, operation: Operation, turn: &mut Turn) {
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

    /// Completes a request towards the client. On the home processor's top level only, once that runs.
    pub(crate) fn deliver(self: &Arc<Self>, completion: Completion) {
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
    fn produce(self: &Arc<Self>, mut completion: Completion) -> Completed {
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

    /// A callback that was put off.
    pub(crate) fn call(self: &Arc<Self>, callback: Callback) {
        let closing = self.state.lock().machine.is_closing();
        let (kind, answer) = if closing { uncalled(callback) } else { self.call_client(callback) };
        self.decide(None, |machine, fx| machine.answered(kind, answer, fx));
    }

    /// Calls the client's event callback.
    fn call_client(self: &Arc<Self>, callback: Callback) -> (CallbackKind, Answer) {
        count(&self.home.tally.callbacks);
        let kind = callback.kind();
        let fallback = callback.default_answer();
        let irql = self.home.callback_irql();
        let answer = match callback {
            Callback::Accept { incoming, inspect } => self.call_accept(incoming, inspect, irql),
            other => enter_client(irql, || self.call_sink(other, irql)),
        };
        (kind, answer.unwrap_or(fallback))
    }

    fn call_accept(self: &Arc<Self>, incoming: Incoming, inspect: Option<InspectId>, irql: u8) -> Option<Answer> {
        let accepted = RefCell::new(None);
        let offer = events::Incoming { connection: Some((incoming, inspect)), listener: self, accepted: &accepted };
        let listener = ListenSocket::borrowed(self.clone());
        enter_client(irql, || match self.sink.listen() {
            Some(events) => events.accept(&listener, offer),
            None => drop(offer),
        });
        Some(match accepted.into_inner() {
            Some(socket) => {
                socket.decide(None, |machine, fx| machine.release(fx)); // E-22
                Answer::Accepted
            }
            None => Answer::Rejected,
        })
    }

    fn call_sink(self: &Arc<Self>, callback: Callback, irql: u8) -> Answer {
        let level = level_flag(irql);
        match callback {
            Callback::Receive { list, flags } => {
                let Some(events) = self.sink.connection() else { return Answer::Done };
                self.call_receive(&**events, &ConnectionSocket::borrowed(self.clone()), list, flags, irql)
            }
            Callback::ReceiveFrom { list, flags } => {
                let Sink::Datagram(events) = &self.sink else { return Answer::Done };
                let ticket = self.home.next_ticket();
                let account: Arc<dyn Account> = self.clone();
                let datagrams = Datagrams::new(list, flags | level, ticket, &account);
                match events.receive_from(&DatagramSocket::borrowed(self.clone()), datagrams) {
                    events::ReceiveFrom::Refused(datagrams) if datagrams.ticket() == ticket => {
                        let (list, lent) = datagrams.take_back();
                        Answer::Refused(Box::new((list, lent)))
                    }
                    events::ReceiveFrom::Refused(_) | events::ReceiveFrom::Accepted => Answer::Done,
                }
            }
            Callback::Disconnect { flags } => {
                if let Some(events) = self.sink.connection() {
                    events.disconnect(&ConnectionSocket::borrowed(self.clone()), flags | level);
                }
                Answer::Done
            }
            Callback::SendBacklog { ideal } => {
                if let Some(events) = self.sink.connection() {
                    events.send_backlog(&ConnectionSocket::borrowed(self.clone()), ideal);
                }
                Answer::Done
            }
            Callback::Inspect { id, local, remote } => {
                let Some(events) = self.sink.listen() else { return Answer::Done };
                let request = InspectRequest { id, local, remote };
                Answer::Inspected(events.inspect(&ListenSocket::borrowed(self.clone()), &request))
            }
            Callback::Abort { id } => {
                if let Some(events) = self.sink.listen() {
                    events.abort(&ListenSocket::borrowed(self.clone()), id);
                }
                Answer::Done
            }
            Callback::Dead(event) => {
                self.call_dead(event);
                Answer::Done
            }
            Callback::Accept { .. } => Answer::Rejected,
        }
    }

    fn call_receive(
        self: &Arc<Self>,
        events: &dyn ConnectionEvents,
        handle: &ConnectionSocket,
        list: BufferList,
        flags: EventFlags,
        irql: u8,
    ) -> Answer {
        let ticket = self.home.next_ticket();
        let account: Arc<dyn Account> = self.clone();
        let data = Indication::new(list, flags | level_flag(irql), ticket, &account);
        received(events.receive(handle, data), ticket)
    }

    fn call_dead(self: &Arc<Self>, event: DeadEvent) {
        match (event, &self.sink) {
            (DeadEvent::ReceiveFrom, Sink::Datagram(events)) => events.dead(&DatagramSocket::borrowed(self.clone())),
            (DeadEvent::Receive, sink) => {
                if let Some(events) = sink.connection() {
                    events.dead(&ConnectionSocket::borrowed(self.clone()));
                }
            }
            (_, sink) => {
                if let Some(events) = sink.listen() {
                    events.dead(&ListenSocket::borrowed(self.clone()));
                }
            }
        }
    }
}

/// An indication was released, on whatever thread.
impl Account for Socket {
    fn released(self: Arc<Self>, capacity: usize) {
        // The machine looks at the sum when it decides next. Only a machine that waits for it is told (see `paused`).
        self.freed.fetch_add(capacity, Ordering::SeqCst);
        if self.paused.load(Ordering::SeqCst) {
            self.decide(None, |machine, fx| machine.advance(fx));
        }
    }
}

/// A callback that a close has overtaken (E-123).
fn uncalled(callback: Callback) -> (CallbackKind, Answer) {
    let (kind, answer) = (callback.kind(), callback.default_answer());
    if let Callback::Accept { incoming, .. } = callback {
        incoming.endpoint.discard(true);
    }
    (kind, answer)
}

/// Counts on the pump, the only writer: no need to be atomic as a whole.
fn count(tally: &AtomicU64) {
    tally.store(tally.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// The truth about the level, as the flags say it (E-2).
fn level_flag(irql: u8) -> EventFlags {
    if irql == 2 { EventFlags::AT_DISPATCH_LEVEL } else { EventFlags::empty() }
}

/// What a receive callback returned (E-73).
fn received(answer: events::Receive, ticket: u64) -> Answer {
    match answer {
        events::Receive::Partial(data, n) if data.ticket() == ticket && n < data.len() => {
            let (rest, lent) = data.take_back(n);
            Answer::Unread(Box::new((rest, lent)))
        }
        events::Receive::Refused(data) if data.ticket() == ticket => {
            let (rest, lent) = data.take_back(0);
            Answer::Unread(Box::new((rest, lent)))
        }
        // Everything accepted; or what came back is not this indication, and is simply released.
        events::Receive::Accepted | events::Receive::Partial(..) | events::Receive::Refused(_) => Answer::Done,
    }
}

/// Whether a completion can be handed to its caller as it is.
fn is_plain(completion: &Completion) -> bool {
    !matches!(completion.outcome, Outcome::Accepted(_))
}

/// Operations worth a try on the caller's thread.
fn can_try(operation: &Operation) -> bool {
    match operation {
        Operation::Send { parts, .. } => parts.len() == 1,
        Operation::Receive { .. } | Operation::SendTo { .. } => true,
        _ => false,
    }
}

/// Does an operation without waiting: its terminal event, or what is left of it.
fn attempt(endpoint: &dyn Endpoint, operation: Operation) -> Result<Event, Operation> {
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
        Operation::SendTo { id, memory, remote } => match endpoint.try_send_to(&memory, remote) {
            Ok(Some(n)) => Ok(Event::SendToDone { id, memory, result: Ok(n) }),
            Ok(None) => Err(Operation::SendTo { id, memory, remote }),
            Err(status) => Ok(Event::SendToDone { id, memory, result: Err(status) }),
        },
        other => Err(other),
    }
}
