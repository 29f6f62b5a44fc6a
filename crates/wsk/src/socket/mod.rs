//! A socket of the provider: a state machine of wsk-core behind its own small lock, and the requests of its clients.
//!
//! *Decide under the lock, act outside it.* [`Socket::decide`] runs the machine and posts transport operations, still under
//! the lock, so that a driver sees them in the order of the decisions. Everything that may run client code happens after,
//! on the home processor; what can be finished at once is finished on the caller's thread.

mod calls;
mod decide;
mod straight;
mod waiters;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use wsk_abi::status::NtStatus;
use wsk_core::effect::{Effects, InspectId};
use wsk_core::request::RequestId;
use wsk_core::security::Subject;
use wsk_core::sharing::{Bind, BindId};
use wsk_core::socket::connection::{Connection, Events};
use wsk_core::socket::datagram::DatagramSocket;
use wsk_core::transport::{Endpoint, Event, Family, Incoming, Operation, Protocol, Token, Transport};

use crate::connection::ConnectionSocket;
use crate::events::ConnectionEvents;
use crate::machine::Machine;
use crate::network::Wanted;
use crate::option::{Categories, Kept};
use crate::processor::{Mail, Processor};
use crate::registration::ClientShared;
use crate::request::{FromCompletion, Request};

use waiters::Waiter;

pub(crate) use calls::Sink;
pub(crate) use waiters::{Completed, CompletionCallback, State};

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

/// A socket's place in the table of addresses (control.md 7).
#[derive(Clone, Copy, Debug, Default)]
enum Claim {
    /// Not bound.
    #[default]
    None,
    /// Bound.
    Held(BindId),
    /// The endpoint is closed: a bind that is still under way gets nothing.
    Over,
}

pub(crate) struct Socket {
    pub(crate) home: Arc<Processor>,
    pub(crate) client: Arc<ClientShared>,
    pub(crate) endpoint: Arc<dyn Endpoint>,
    pub(crate) family: Family,
    pub(crate) protocol: Protocol,
    claim: Mutex<Claim>,
    token: Token,
    sink: Sink,
    /// Transport memory released by the client so far, all in all; wraps.
    freed: AtomicUsize,
    /// The machine stopped reading because the client holds too much (E-120).
    paused: AtomicBool,
    /// Completions that were decided and have not been through with the client; see [`Socket::may_finish_inline`].
    undelivered: AtomicUsize,
    state: Mutex<State>,
}

impl Socket {
    /// Makes a socket and gives its endpoint to the home processor's driver.
    pub(crate) fn create(
        home: Arc<Processor>,
        client: Arc<ClientShared>,
        endpoint: Arc<dyn Endpoint>,
        (family, protocol): (Family, Protocol),
        machine: Machine,
        sink: Sink,
    ) -> Result<Arc<Self>, NtStatus> {
        let state = State::new(machine);
        let socket = home.enter(|token| {
            Arc::new(Self {
                home: home.clone(),
                client,
                endpoint,
                family,
                protocol,
                claim: Mutex::default(),
                token,
                sink,
                freed: AtomicUsize::new(0),
                paused: AtomicBool::new(false),
                undelivered: AtomicUsize::new(0),
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
        let kept = self.kept(Kept::inherited); // C-18
        if let Some(bytes) = kept.as_ref().and_then(|kept| kept.receive_buffer()) {
            machine.set_receive_buffer(bytes);
        }
        let sink = events.map_or(Sink::None, Sink::Connection);
        let home = self.client.provider.home_of_accepted(&self.home);
        let endpoint = incoming.endpoint.clone();
        let kind = (self.family, self.protocol);
        match Self::create(home, self.client.clone(), endpoint, kind, Machine::Connection(machine), sink) {
            Ok(socket) => {
                socket.state.lock().kept = kept;

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
                family: self.family,
                protocol: self.protocol,
                claim: Mutex::default(),
                token,
                sink: Sink::None,
                freed: AtomicUsize::new(0),
                paused: AtomicBool::new(false),
                undelivered: AtomicUsize::new(0),
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

    /// IoCancelIrp.
    pub(crate) fn cancel(self: &Arc<Self>, id: RequestId) {
        let mut state = self.state.lock();
        let waits = state.kept.as_mut().map(|kept| &mut kept.waits).filter(|waits| !waits.is_empty());
        let waited = waits.is_some_and(|waits| waits.extract_if(.., |(wait, _)| *wait == id).count() > 0);
        self.decide_locked(state, None, |machine, fx| match waited {
            true => fx.refuse(id, NtStatus::CANCELLED),
            false => machine.cancel(id, fx),
        });
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
                match event {
                    Event::Connected { result: Ok(_), .. } => {
                        machine.set_addresses(self.endpoint.local_address().ok(), self.endpoint.remote_address().ok());
                    }
                    Event::Detached => self.let_go(),
                    _ => {}
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

    /// The transport is gone (F-81).
    pub(crate) fn break_down(self: &Arc<Self>) {
        self.decide(None, |machine, fx| machine.break_down(fx));
    }

    /// The driver is gone.
    pub(crate) fn driver_lost(self: &Arc<Self>) {
        self.let_go();
        self.decide(None, |machine, fx| machine.driver_lost(fx));
    }

    // ---- the address ----

    /// Binds the endpoint, if the sockets there are let it (control.md 7).
    fn bind_endpoint(&self, local: SocketAddr) -> Result<SocketAddr, NtStatus> {
        static SYSTEM: LazyLock<Subject> = LazyLock::new(Subject::default);
        let (bind, subject) = self.kept(|kept| {
            let (mode, security) = (kept.mode(), kept.security.clone());
            (
                Bind { protocol: self.protocol, local, dual: kept.is_dual(self.family), mode, security },
                kept.subject.clone(),
            )
        });
        let provider = &self.client.provider;
        // A port that the host is choosing is in no table yet: nobody may ask for it by its number meanwhile.
        let (_chosen, _named);
        if local.port() == 0 {
            _chosen = provider.ports.read();
        } else {
            _named = provider.ports.write();
        }
        let (id, shares) = provider.binds.lock().claim(bind, subject.as_ref().unwrap_or(&SYSTEM))?;
        let bound = self.endpoint.bind(local, shares);
        let mut claim = self.claim.lock();
        match (&bound, *claim) {
            (Ok(chosen), Claim::None) => {
                *claim = Claim::Held(provider.binds.lock().settle(id, *chosen));
            }
            // It failed, or the endpoint has been closed meanwhile.
            _ => provider.binds.lock().release(id),
        }
        bound
    }

    /// The endpoint is closed, and others may have its address.
    fn let_go(&self) {
        if let Claim::Held(id) = std::mem::replace(&mut *self.claim.lock(), Claim::Over) {
            self.client.provider.binds.lock().release(id);
        }
    }

    // ---- waiting for changes of the network ----

    /// A request that [`Socket::end_waits`] ends, or the end of the socket does.
    pub(crate) fn wait_for(self: &Arc<Self>, wanted: Wanted) -> (Request<()>, RequestId) {
        let mut state = self.state.lock();
        let id = state.new_request(Waiter::None);
        if state.machine.is_closing() {
            let (_, refused) = self.decide_locked(state, Some(id), |_, fx| fx.refuse(id, NtStatus::INVALID_HANDLE));
            return (refused.map_or_else(|| Request::pending(self.clone(), id), Request::ready), id); // F-110
        }
        state.kept.get_or_insert_default().waits.push((id, wanted));
        // A socket that is broken ends it in this decision.
        let (_, ready) = self.decide_locked(state, Some(id), |_, _| {});
        (ready.map_or_else(|| Request::pending(self.clone(), id), Request::ready), id)
    }

    /// What is waited for now.
    pub(crate) fn waits(&self) -> Vec<(RequestId, Wanted)> {
        self.kept(|kept| kept.waits.clone())
    }

    /// Ends those of the waiting requests that `it` says, with SUCCESS.
    pub(crate) fn end_waits(self: &Arc<Self>, it: impl Fn(RequestId, Wanted) -> bool) {
        let mut state = self.state.lock();
        let Some(kept) = &mut state.kept else { return };
        let done: Vec<_> = kept.waits.extract_if(.., |(id, wanted)| it(*id, *wanted)).collect();
        if !done.is_empty() {
            self.decide_locked(state, None, |_, fx| done.iter().for_each(|(id, _)| fx.finish(*id, NtStatus::SUCCESS)));
        }
    }

    // ---- options ----

    /// Looks at what the socket keeps of its options.
    pub(crate) fn kept<R>(&self, look: impl FnOnce(&Kept) -> R) -> R {
        match &self.state.lock().kept {
            Some(kept) => look(kept),
            None => look(&Kept::default()),
        }
    }

    /// Changes what it keeps.
    pub(crate) fn keep(&self, change: impl FnOnce(&mut Kept)) {
        change(self.state.lock().kept.get_or_insert_default());
    }

    /// The categories it has by now, of those of its handle: a stream socket has both until it has a role.
    pub(crate) fn role(&self, of_handle: Categories) -> Categories {
        self.state.lock().machine.stream().map_or(of_handle, |stream| stream.categories())
    }

    pub(crate) fn is_created(&self) -> bool {
        self.state.lock().machine.is_created()
    }

    pub(crate) fn with_datagram(&self, change: impl FnOnce(&mut DatagramSocket)) {
        if let Some(datagram) = self.state.lock().machine.datagram() {
            change(datagram);
        }
    }

    /// Where datagrams without an address go.
    pub(crate) fn fixed_remote(&self) -> Option<SocketAddr> {
        self.state.lock().machine.datagram().and_then(|datagram| datagram.default_destination())
    }

    /// The transport that carries it.
    ///
    /// # Errors
    /// FILE_FORCED_CLOSED: it has gone.
    pub(crate) fn transport(&self) -> Result<Arc<dyn Transport>, NtStatus> {
        self.home.carrier().map(|carrier| carrier.transport.clone()).ok_or(NtStatus::FILE_FORCED_CLOSED)
    }

    /// # Errors
    /// INVALID_PARAMETER: the address is of another family than the socket.
    pub(crate) fn check_family(&self, address: &SocketAddr) -> Result<(), NtStatus> {
        if Family::of(address) == self.family { Ok(()) } else { Err(NtStatus::INVALID_PARAMETER) }
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
        self.let_go();
        self.home.leave(self.token);
        self.client.socket_gone();
        self.client.provider.retry_starved();
    }
}
