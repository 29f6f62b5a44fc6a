//! Connection sockets: the state machine of F-243.
//!
//! [`TABLE`] is the requirement's table, row by row and column by column: what a call gets in each state. What happens then
//! is below it. Receiving and sending have their own files; this one decides what they may do and what the end of one means
//! for the other.

use std::net::SocketAddr;

use wsk_abi::flags::{DisconnectFlags, EventMask, ReceiveFlags, SendFlags};
use wsk_abi::status::NtStatus;

use crate::effect::{Callback, CallbackKind, DeadEvent, Effect, Effects};
use crate::event_mask::{CONNECTION_EVENTS, EventControl, EventSwitch, finish_now};
use crate::indication::Answer;
use crate::memory::Memory;
use crate::request::{Completion, Outcome, RequestId};
use crate::socket::receive::{News, ReceivePath};
use crate::socket::send::{After, SendPath};
use crate::socket::{check_remote, check_v6_only};
use crate::transport::{Event, Family, Gather, Operation, StreamEnd};

/// The columns of F-243.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Neither bound nor connected.
    Created,
    /// Bound.
    Bound,
    /// A connect is under way.
    Connecting,
    /// Both directions open.
    Connected,
    /// Our FIN is sent or queued.
    SendClosed,
    /// The peer's FIN was seen.
    RecvClosed,
    /// Both.
    Disconnected,
    /// Reset by the peer, or timed out.
    Reset,
    /// Ended by an abortive WskDisconnect.
    Aborted,
    /// Silent mode (C-31).
    Silent,
    /// No longer functional (F-81).
    Broken,
}

impl State {
    /// All states, in the order of the table's columns.
    pub const ALL: [State; 11] = [
        State::Created,
        State::Bound,
        State::Connecting,
        State::Connected,
        State::SendClosed,
        State::RecvClosed,
        State::Disconnected,
        State::Reset,
        State::Aborted,
        State::Silent,
        State::Broken,
    ];
}

/// The rows of F-243.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the socket functions by their names
pub enum Call {
    Bind,
    Connect,
    Send,
    Receive,
    DisconnectGraceful,
    DisconnectAbortive,
    GetLocalAddress,
    GetRemoteAddress,
    EnableCallbacks,
}

/// What a call gets in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes ahead.
    Go,
    /// SUCCESS, and nothing happens.
    Ok,
    /// INVALID_DEVICE_STATE.
    Ids,
    /// CONNECTION_ACTIVE.
    Active,
    /// The latched failure: CONNECTION_RESET, or IO_TIMEOUT for a connection that timed out.
    Reset,
    /// CONNECTION_ABORTED.
    Aborted,
    /// FILE_FORCED_CLOSED.
    Fc,
}

use Verdict::{Aborted as Abr, Active as Act, Fc, Go, Ids, Ok as Okay, Reset as Rst};

/// F-243. A receive in Reset goes ahead: data that arrived before is delivered first, then the failure (F-168).
#[rustfmt::skip]
pub const TABLE: [(Call, [Verdict; 11]); 9] = [
    //                         Created Bound Connecting Connected SendClosed RecvClosed Disconn. Reset Aborted Silent Broken
    (Call::Bind,               [Go,    Ids,  Ids,       Ids,      Ids,       Ids,       Ids,     Ids,  Ids,    Ids,   Fc]),
    (Call::Connect,            [Ids,   Go,   Ids,       Act,      Act,       Act,       Ids,     Ids,  Ids,    Ids,   Fc]),
    (Call::Send,               [Ids,   Ids,  Ids,       Go,       Ids,       Go,        Ids,     Rst,  Abr,    Ids,   Fc]),
    (Call::Receive,            [Ids,   Ids,  Ids,       Go,       Go,        Go,        Go,      Go,   Abr,    Ids,   Fc]),
    (Call::DisconnectGraceful, [Ids,   Ids,  Ids,       Go,       Ids,       Go,        Ids,     Rst,  Abr,    Ids,   Fc]),
    (Call::DisconnectAbortive, [Ids,   Ids,  Ids,       Go,       Go,        Go,        Okay,    Okay, Okay,   Ids,   Fc]),
    (Call::GetLocalAddress,    [Ids,   Go,   Go,        Go,       Go,        Go,        Go,      Go,   Go,     Ids,   Fc]),
    (Call::GetRemoteAddress,   [Ids,   Ids,  Ids,       Go,       Go,        Go,        Go,      Go,   Go,     Ids,   Fc]),
    (Call::EnableCallbacks,    [Ids,   Ids,  Ids,       Go,       Go,        Go,        Go,      Go,   Go,     Ids,   Fc]),
];

/// Looks a cell of [`TABLE`] up.
pub fn verdict(call: Call, state: State) -> Verdict {
    TABLE[call as usize].1[state as usize]
}

/// The most that WskConnectEx sends (F-156).
const CONNECT_DATA: usize = 65535;

/// Which events a connection socket has.
#[derive(Clone, Copy, Debug)]
pub struct Events {
    /// Callbacks that the client has (non-NULL pointers of its dispatch table).
    pub available: EventMask,
    /// Enabled for the whole client (E-26).
    pub fixed: EventMask,
    /// Inherited from the listener (E-20).
    pub inherited: EventMask,
}

impl Events {
    pub(crate) fn switch(&self, event: EventMask) -> EventSwitch {
        let has = |mask: EventMask| self.available.contains(event) && mask.contains(event);
        EventSwitch::new(has(self.inherited), has(self.fixed))
    }
}

/// A connection socket.
#[derive(Debug)]
pub struct Connection {
    state: State,
    family: Family,
    v6_only: bool,
    available: EventMask,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    failure: NtStatus,
    connecting: Option<RequestId>,
    connect_cancelled: bool,
    /// What WskConnectEx sends is with the transport, until the event Connected (F-156).
    connect_lent: bool,
    receive: ReceivePath,
    send: SendPath,
    backlog: EventSwitch,
    /// What came while the endpoint was being silenced.
    unheard: News,
    ideal_backlog: usize,
    owes_dead: bool,
    closing: Option<RequestId>,
    aborting: Option<RequestId>,
    ending: Ending,
    /// Received through a conditional listener (SIO_WSK_QUERY_INSPECT_ID, E-67).
    inspect: Option<crate::effect::InspectId>,
}

/// The endpoint's way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Attached,
    /// Operation::Detach is submitted; terminal events of the rest are coming.
    Detaching,
    Detached,
    /// The close completed.
    Gone,
}

impl Connection {
    /// A new socket, not bound.
    pub fn new(family: Family, events: Events) -> Self {
        Self {
            state: State::Created,
            family,
            v6_only: true,
            available: events.available,
            local: None,
            remote: None,
            failure: NtStatus::CONNECTION_RESET,
            connecting: None,
            connect_cancelled: false,
            connect_lent: false,
            receive: ReceivePath::new(events.switch(EventMask::RECEIVE), events.switch(EventMask::DISCONNECT)),
            send: SendPath::new(),
            backlog: events.switch(EventMask::SEND_BACKLOG),
            unheard: News::Nothing,
            ideal_backlog: 0,
            owes_dead: false,
            closing: None,
            aborting: None,
            ending: Ending::Attached,
            inspect: None,
        }
    }

    /// The socket of an accepted connection. With `held`, its callbacks wait for [`Connection::release`] (E-22).
    pub fn accepted(local: SocketAddr, remote: SocketAddr, events: Events, held: bool) -> Self {
        let mut this = Self::new(Family::of(&local), events);
        this.state = State::Connected;
        this.local = Some(local);
        this.remote = Some(remote);
        this.receive.connected(held);
        this
    }

    /// Where the machine stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Requests queued, of all kinds.
    pub fn queued(&self) -> usize {
        self.receive.queued() + self.send.queued()
    }

    /// Bytes received that nobody has taken, the transport's own not counted.
    pub fn unread(&self) -> usize {
        self.receive.unread()
    }

    /// Whether a close has begun or completed.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some() || self.ending == Ending::Gone
    }

    /// Whether the driver has let go of the endpoint.
    pub fn is_detached(&self) -> bool {
        matches!(self.ending, Ending::Detached | Ending::Gone)
    }

    /// Whether the endpoint is on its way out: an operation not yet given to the driver must end at once.
    pub fn is_ending(&self) -> bool {
        self.ending != Ending::Attached
    }

    /// Whether the receive with the transport was asked to end.
    pub fn cancels_receive(&self) -> bool {
        self.receive.is_cancelled()
    }

    /// Whether a send with the transport was asked to end.
    pub fn cancels_send(&self) -> bool {
        self.send.is_cancelled()
    }

    /// Whether the close has completed; nothing more comes from this machine.
    pub fn is_gone(&self) -> bool {
        self.ending == Ending::Gone
    }

    /// Remembers the inspection this connection went through (E-67).
    pub fn set_inspect_id(&mut self, id: Option<crate::effect::InspectId>) {
        self.inspect = id;
    }

    /// SIO_WSK_QUERY_INSPECT_ID.
    ///
    /// # Errors
    /// INVALID_DEVICE_REQUEST when it was not accepted on a conditional listener.
    pub fn inspect_id(&self) -> Result<crate::effect::InspectId, NtStatus> {
        self.inspect.ok_or(NtStatus::INVALID_DEVICE_REQUEST)
    }

    /// Raises the cap of retained memory to `bytes` (E-120: SO_RCVBUF if larger).
    pub fn set_receive_buffer(&mut self, bytes: usize) {
        self.receive.set_cap(bytes);
    }

    /// IPV6_V6ONLY, before bind (C-40, C-44); on unless set otherwise.
    ///
    /// # Errors
    /// INVALID_PARAMETER on an IPv4 socket, INVALID_DEVICE_STATE once bound.
    pub fn set_v6_only(&mut self, on: bool) -> Result<(), NtStatus> {
        check_v6_only(self.family, self.state == State::Created)?;
        self.v6_only = on;
        Ok(())
    }

    fn admit(&self, call: Call) -> Result<Verdict, NtStatus> {
        if self.closing.is_some() || self.ending == Ending::Gone {
            return Err(NtStatus::INVALID_HANDLE); // F-110
        }
        match verdict(call, self.state) {
            v @ (Verdict::Go | Verdict::Ok) => Ok(v),
            Verdict::Ids => Err(NtStatus::INVALID_DEVICE_STATE),
            Verdict::Active => Err(NtStatus::CONNECTION_ACTIVE),
            Verdict::Reset => Err(self.failure),
            Verdict::Aborted => Err(NtStatus::CONNECTION_ABORTED),
            Verdict::Fc => Err(NtStatus::FILE_FORCED_CLOSED),
        }
    }

    // ---- commands ----

    /// WskBind (functions.md 3.5).
    pub fn bind(&mut self, id: RequestId, local: SocketAddr, fx: &mut Effects) {
        match self.admit(Call::Bind) {
            Err(status) => fx.finish(id, status),
            Ok(_) if self.connecting.is_some() => fx.finish(id, NtStatus::INVALID_DEVICE_STATE), // another thread's bind
            Ok(_) if Family::of(&local) != self.family => fx.finish(id, NtStatus::INVALID_PARAMETER), // F-122
            Ok(_) => {
                self.connecting = Some(id); // the request under way
                fx.push(Effect::Bind(local));
            }
        }
    }

    /// The endpoint's answer to [`Effect::Bind`].
    pub fn bound(&mut self, result: Result<SocketAddr, NtStatus>, fx: &mut Effects) {
        let Some(id) = self.connecting.take() else { return };
        match result {
            Ok(local) => {
                self.local = Some(local);
                if self.state == State::Created {
                    self.state = State::Bound;
                }
                fx.finish(id, NtStatus::SUCCESS);
            }
            Err(status) => fx.finish(id, status),
        }
    }

    /// WskConnect (functions.md 3.7).
    pub fn connect(&mut self, id: RequestId, remote: SocketAddr, fx: &mut Effects) {
        self.connect_ex(id, remote, Memory::None, fx);
    }

    /// WskConnectEx: completes when connected and `data` was sent, ahead of any later WskSend (F-156).
    pub fn connect_ex(&mut self, id: RequestId, remote: SocketAddr, data: Memory, fx: &mut Effects) {
        let bad = if let Err(status) = check_remote(self.family, self.v6_only, &remote) {
            Some(status)
        } else if data.len() > CONNECT_DATA {
            Some(NtStatus::BUFFER_OVERFLOW)
        } else if remote.ip().is_unspecified() || remote.port() == 0 {
            Some(NtStatus::INVALID_ADDRESS_COMPONENT) // F-152
        } else {
            None
        };
        match (self.admit(Call::Connect), bad) {
            (Err(status), _) | (Ok(_), Some(status)) => fx.complete(id, status, 0, data),
            (Ok(_), None) => {
                self.state = State::Connecting;
                self.connecting = Some(id);
                self.connect_cancelled = false;
                self.connect_lent = !matches!(data, Memory::None);
                self.remote = Some(remote);
                fx.submit(Operation::Connect { remote, first: data });
            }
        }
    }

    /// Ends the bind or connect under way; one whose memory is with the transport ends with that (promise 4).
    fn end_connecting(&mut self, status: NtStatus, fx: &mut Effects) {
        if !self.connect_lent
            && let Some(request) = self.connecting.take()
        {
            fx.finish(request, status);
        }
    }

    /// WskSend (functions.md 3.8).
    pub fn send(&mut self, id: RequestId, memory: Memory, flags: SendFlags, fx: &mut Effects) {
        if !SendFlags::NODELAY.contains(flags) {
            return fx.complete(id, NtStatus::NOT_SUPPORTED, 0, memory); // F-160
        }
        match self.admit(Call::Send) {
            Err(status) => fx.complete(id, status, 0, memory),
            Ok(_) => {
                self.send.request(id, memory, fx);
                self.send.advance(fx);
            }
        }
    }

    /// WskReceive (functions.md 3.8).
    pub fn receive(&mut self, id: RequestId, memory: Memory, flags: ReceiveFlags, fx: &mut Effects) {
        let known = ReceiveFlags::WAITALL | ReceiveFlags::DRAIN;
        let bad = if !known.contains(flags) {
            Some(NtStatus::NOT_SUPPORTED)
        } else if !memory.is_writable()
            || (flags.contains(ReceiveFlags::DRAIN) && (flags == known || !memory.is_empty()))
        {
            Some(NtStatus::INVALID_PARAMETER) // F-166
        } else {
            None
        };
        match (bad, self.admit(Call::Receive)) {
            (Some(status), _) | (None, Err(status)) => fx.complete(id, status, 0, memory),
            (None, Ok(_)) => {
                self.receive.request(id, memory, flags, fx);
                self.receive.advance(fx);
            }
        }
    }

    /// WskDisconnect (F-175 to F-178).
    pub fn disconnect(&mut self, id: RequestId, memory: Memory, flags: DisconnectFlags, fx: &mut Effects) {
        let abortive = flags == DisconnectFlags::ABORTIVE;
        if !DisconnectFlags::ABORTIVE.contains(flags) || (abortive && !memory.is_empty()) {
            return fx.complete(id, NtStatus::INVALID_PARAMETER, 0, memory);
        }
        let call = if abortive { Call::DisconnectAbortive } else { Call::DisconnectGraceful };
        match self.admit(call) {
            Err(status) => fx.complete(id, status, 0, memory),
            Ok(Verdict::Ok) if self.send_still_open() => self.abort(Some(id), fx),
            Ok(Verdict::Ok) => fx.finish(id, NtStatus::SUCCESS),
            Ok(_) if abortive => self.abort(Some(id), fx),
            Ok(_) => {
                self.state = match self.state {
                    State::RecvClosed => State::Disconnected,
                    _ => State::SendClosed,
                };
                self.send.disconnect(Some(id), memory);
                self.send.advance(fx);
            }
        }
    }

    /// Disconnected by call, but our FIN is not acknowledged: an abort still has something to force (F-175).
    fn send_still_open(&self) -> bool {
        self.state == State::Disconnected && !self.send.fin_acknowledged()
    }

    /// The abort of F-176: nothing more is sent or received, RST follows completed sends.
    fn abort(&mut self, id: Option<RequestId>, fx: &mut Effects) {
        self.state = State::Aborted;
        self.aborting = id;
        self.receive.shut(NtStatus::CONNECTION_ABORTED, fx);
        self.send.shut(NtStatus::CONNECTION_ABORTED, fx);
        self.detach(true, fx);
    }

    fn detach(&mut self, abort: bool, fx: &mut Effects) {
        if self.ending == Ending::Attached {
            self.ending = Ending::Detaching;
            fx.submit(Operation::Detach { abort });
        }
    }

    /// WskCloseSocket (functions.md 3.4). Without a request: the subsystem closes it itself (E-54).
    pub fn close(&mut self, id: RequestId, fx: &mut Effects) {
        if self.closing.is_some() || self.ending == Ending::Gone {
            return fx.finish(id, NtStatus::INVALID_HANDLE);
        }
        self.closing = Some(id);
        self.receive.close_events();
        self.backlog.close();
        self.end_connecting(NtStatus::CANCELLED, fx); // F-155
        self.receive.shut(NtStatus::CANCELLED, fx);
        // F-113: without both FINs the close is a reset.
        let both = self.state == State::Disconnected && self.send.queued() == 0 && self.send.fin_sent();
        let open = matches!(self.state, State::Connected | State::SendClosed | State::RecvClosed | State::Disconnected);
        self.send.shut(NtStatus::CANCELLED, fx);
        self.detach(open && !both, fx);
        self.try_finish(fx);
    }

    /// IoCancelIrp (functions.md 2.4). Unknown requests have completed already: no effect.
    pub fn cancel(&mut self, id: RequestId, fx: &mut Effects) {
        if self.is_ending() {
            return; // everything is ending already
        }
        if self.connecting == Some(id) && self.state == State::Connecting {
            if !self.connect_cancelled {
                self.connect_cancelled = true;
                fx.submit(Operation::ConnectCancel);
            }
            return;
        }
        if self.receive.cancel(id, fx) {
            self.receive.advance(fx);
        } else if self.send.cancel(id, fx) {
            self.send.advance(fx);
        }
    }

    /// WskGetLocalAddress (F-210).
    pub fn local_address(&self, id: RequestId, fx: &mut Effects) {
        self.address(id, Call::GetLocalAddress, self.local, fx);
    }

    /// WskGetRemoteAddress (F-211).
    pub fn remote_address(&self, id: RequestId, fx: &mut Effects) {
        self.address(id, Call::GetRemoteAddress, self.remote, fx);
    }

    fn address(&self, id: RequestId, call: Call, address: Option<SocketAddr>, fx: &mut Effects) {
        match (self.admit(call), address) {
            (Err(status), _) => fx.finish(id, status),
            (Ok(_), None) => fx.finish(id, NtStatus::INVALID_DEVICE_STATE),
            (Ok(_), Some(address)) => answer_address(id, address, fx),
        }
    }

    /// SO_WSK_EVENT_CALLBACK (events.md 4.1 and 5). Completes `request`, if given, unless PENDING is returned.
    pub fn control_events(&mut self, mask: EventMask, request: Option<RequestId>, fx: &mut Effects) -> NtStatus {
        let control = match (self.admit(Call::EnableCallbacks), EventControl::parse(mask, CONNECTION_EVENTS)) {
            (Ok(_), Ok(control)) => control,
            (_, Err(status)) | (Err(status), _) => return finish_now(status, request, fx),
        };
        match control {
            EventControl::Enable(events) if !self.available.contains(events) => {
                finish_now(NtStatus::INVALID_PARAMETER, request, fx) // E-4
            }
            EventControl::Enable(events) => {
                let switches = events.iter().map(|event| self.switch(event).is_disabling());
                if switches.fold(false, |any, one| any | one) {
                    return finish_now(NtStatus::DEVICE_BUSY, request, fx); // E-45
                }
                for event in events.iter() {
                    self.switch(event).enable();
                }
                self.receive.release(); // E-33
                self.sample_backlog(fx, true);
                self.receive.advance(fx);
                finish_now(NtStatus::SUCCESS, request, fx)
            }
            EventControl::Disable(event) => {
                let status = self.switch(event).disable(request, fx);
                self.receive.advance(fx);
                status
            }
        }
    }

    /// SIO_WSK_SET_RECEIVE_EX_CALLBACK: a callback that takes all indications, whether WSK_EVENT_RECEIVE is on or not (F-172).
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE: not connected.
    pub fn take_all_indications(&mut self, on: bool, fx: &mut Effects) -> Result<(), NtStatus> {
        if on {
            self.admit(Call::EnableCallbacks)?;
        }
        self.receive.receive.hold(on);
        self.receive.advance(fx);
        Ok(())
    }

    /// SIO_WSK_SET_TCP_SILENT_MODE, first step: from now on nothing can be begun (C-31). Returns what
    /// [`Connection::unsilence`] goes back to if the endpoint does not follow.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE: not connected, or something is being sent.
    pub fn begin_silence(&mut self) -> Result<State, NtStatus> {
        let open = matches!(self.state, State::Connected | State::RecvClosed) && self.closing.is_none();
        if !open || self.send.queued() > 0 {
            return Err(NtStatus::INVALID_DEVICE_STATE);
        }
        self.receive.hush();
        Ok(std::mem::replace(&mut self.state, State::Silent))
    }

    /// The second: the endpoint is silent. What is received pends until it is cancelled or the socket closed.
    pub fn silenced(&mut self) {
        if self.state == State::Silent {
            self.backlog.close();
            self.receive.deafen();
            self.unheard = News::Nothing;
        }
    }

    /// The second, when the endpoint could not be silenced: all is as before, and what came meanwhile is heard now.
    pub fn unsilence(&mut self, before: State, fx: &mut Effects) {
        if self.state == State::Silent && self.closing.is_none() {
            self.state = before;
            self.receive.hear();
            let news = std::mem::replace(&mut self.unheard, News::Nothing);
            self.heard(news, fx);
            self.advance(fx);
        }
    }

    fn switch(&mut self, event: EventMask) -> &mut EventSwitch {
        match event {
            EventMask::RECEIVE => &mut self.receive.receive,
            EventMask::DISCONNECT => &mut self.receive.disconnect,
            _ => &mut self.backlog,
        }
    }

    /// WskAcceptEvent has returned STATUS_SUCCESS: the accepted socket's callbacks may begin (E-22).
    pub fn release(&mut self, fx: &mut Effects) {
        self.receive.release();
        self.sample_backlog(fx, true);
        self.receive.advance(fx);
    }

    /// The callbacks that the client turns out to have, of a socket it got through WskAcceptEvent: events without one are
    /// switched off, static and inherited ones too (E-4). Before [`Connection::release`].
    pub fn limit_events(&mut self, available: EventMask) {
        self.available = available;
        for event in CONNECTION_EVENTS.difference(available).iter() {
            self.switch(event).close();
        }
    }

    // ---- events of the transport ----

    /// Takes an event in. Follow a run of them with [`Connection::advance`].
    pub fn handle(&mut self, event: Event, fx: &mut Effects) {
        let over = self.closing.is_some() || matches!(self.state, State::Aborted | State::Broken);
        if over {
            return self.handle_late(event, fx);
        }
        match event {
            Event::Connected { result, first } => self.connected(result, first, fx),
            Event::Received { buffer, drained } => self.receive.received(buffer, drained),
            Event::ReceiveStopped(end) => {
                let news = self.receive.stopped(end);
                self.heard(news, fx);
            }
            Event::ReceiveDone { memory, result } => {
                let news = self.receive.done(memory, result, fx);
                self.heard(news, fx);
            }
            Event::Hangup(hangup) => {
                let news = self.receive.hangup(hangup);
                self.heard(news, fx);
            }
            Event::SendDone { parts, sent, result } => {
                let after = self.send.done(parts, sent, result, fx);
                self.sent(after, fx);
                self.sample_backlog(fx, false);
            }
            Event::ShutdownDone(result) => {
                let after = self.send.shutdown_done(result, fx);
                self.sent(after, fx);
            }
            Event::Detached => {
                self.ending = Ending::Detached;
                self.try_finish(fx);
            }
            _ => debug_assert!(false, "not an event of a connection: {event:?}"),
        }
    }

    /// Terminal events of what was in flight when the socket was closed, aborted or broken.
    fn handle_late(&mut self, event: Event, fx: &mut Effects) {
        let status = match (self.closing, self.state) {
            (Some(_), _) => NtStatus::CANCELLED,
            (None, State::Broken) => NtStatus::FILE_FORCED_CLOSED,
            (None, _) => NtStatus::CONNECTION_ABORTED,
        };
        match event {
            Event::Connected { first, .. } => {
                if std::mem::take(&mut self.connect_lent)
                    && let Some(request) = self.connecting.take()
                {
                    fx.complete(request, status, 0, first);
                }
                self.try_finish(fx);
            }
            Event::ReceiveDone { memory, result } => {
                self.receive.done_late(memory, result, status, fx);
                self.try_finish(fx);
            }
            Event::SendDone { parts, sent, .. } => {
                self.send.done_late(parts, sent, status, fx);
                self.try_finish(fx);
            }
            Event::Detached if self.ending != Ending::Detaching => {}
            Event::Detached => {
                self.ending = Ending::Detached;
                if let Some(request) = self.aborting.take() {
                    fx.finish(request, NtStatus::SUCCESS);
                }
                self.try_finish(fx);
            }
            _ => {} // a buffer goes back by being dropped
        }
    }

    fn connected(&mut self, result: Result<usize, NtStatus>, first: Memory, fx: &mut Effects) {
        self.connect_lent = false;
        let request = self.connecting.take();
        match result {
            Ok(sent) => {
                self.state = State::Connected;
                self.receive.connected(false);
                if let Some(id) = request {
                    self.send.request_begun(id, first, sent, fx); // without data it completes at once
                }
                self.sample_backlog(fx, true);
            }
            Err(status) => {
                self.state = State::Bound; // F-153
                self.remote = None;
                if let Some(id) = request {
                    fx.complete(id, status, 0, first);
                }
            }
        }
    }

    /// The addresses of a connected endpoint, as the transport knows them; call it before the event Connected is handled.
    pub fn set_addresses(&mut self, local: Option<SocketAddr>, remote: Option<SocketAddr>) {
        self.local = local.or(self.local);
        self.remote = remote.or(self.remote);
    }

    fn heard(&mut self, news: News, fx: &mut Effects) {
        if self.state == State::Silent {
            if news != News::Nothing {
                self.unheard = news; // nothing follows from it, if it stays silent (C-31)
            }
            return;
        }
        match news {
            News::Nothing => {}
            News::Fin => {
                self.state = match self.state {
                    State::Connected => State::RecvClosed,
                    State::SendClosed => State::Disconnected,
                    other => other,
                }
            }
            News::Failed(status) => self.fail(status, fx),
        }
    }

    fn sent(&mut self, after: After, fx: &mut Effects) {
        match after {
            After::Nothing => {}
            After::Failed(status) => {
                self.receive.failed(status);
                self.fail(status, fx);
                self.send.shut(status, fx); // also when the receive side had heard of it first
            }
            After::Abort => self.abort(None, fx),
        }
    }

    /// The peer reset the connection, or it timed out.
    fn fail(&mut self, status: NtStatus, fx: &mut Effects) {
        if matches!(self.state, State::Connected | State::SendClosed | State::RecvClosed | State::Disconnected) {
            self.state = State::Reset;
            self.failure = status;
            self.send.shut(status, fx);
        }
    }

    /// Goes on after a run of events.
    pub fn advance(&mut self, fx: &mut Effects) {
        if self.closing.is_none() && self.ending == Ending::Attached {
            if matches!(self.state, State::Connected | State::SendClosed | State::RecvClosed | State::Disconnected) {
                self.send.advance(fx);
            }
            self.receive.advance(fx);
        }
    }

    // ---- answers of the client ----

    /// A callback returned.
    pub fn answered(&mut self, kind: CallbackKind, answer: Answer, fx: &mut Effects) {
        match (kind, answer) {
            (CallbackKind::Receive, Answer::Unread(unread)) => self.receive.answered(Some(*unread), fx),
            (CallbackKind::Receive, _) => self.receive.answered(None, fx),
            (CallbackKind::Disconnect, _) => self.receive.disconnect.end(fx),
            (CallbackKind::SendBacklog, _) => self.backlog.end(fx),
            _ => debug_assert!(false, "not a callback of a connection: {kind:?}"),
        }
        self.tell_dead(fx);
        self.receive.advance(fx);
        self.try_finish(fx);
    }

    /// An indication was released: so many bytes of transport memory are free again (E-120).
    pub fn released(&mut self, capacity: usize, fx: &mut Effects) {
        self.receive.released(capacity);
        self.receive.advance(fx);
    }

    /// [`Connection::released`] without going on: for a decision that is about to be made.
    pub fn take_released(&mut self, capacity: usize) {
        self.receive.released(capacity);
    }

    /// Whether reading has stopped until the client releases something (E-120).
    pub fn is_paused(&self) -> bool {
        self.receive.is_paused()
    }

    // ---- the rest ----

    pub(crate) fn receive_path(&mut self) -> &mut ReceivePath {
        &mut self.receive
    }

    pub(crate) fn send_path(&mut self) -> &mut SendPath {
        &mut self.send
    }

    pub(crate) fn samples_backlog(&self) -> bool {
        self.backlog.is_on()
    }

    fn sample_backlog(&mut self, fx: &mut Effects, at_once: bool) {
        // Sampling costs a system call: every 64 sends is often enough (E-104).
        if self.backlog.is_on() && self.state == State::Connected && (at_once || self.send.completed.is_multiple_of(64))
        {
            fx.push(Effect::SampleBacklog);
        }
    }

    /// The answer to [`Effect::SampleBacklog`]: the event is raised when it changed by more than a quarter (E-104).
    pub fn backlog_sampled(&mut self, ideal: usize, fx: &mut Effects) {
        let changed = ideal.abs_diff(self.ideal_backlog) > self.ideal_backlog / 4;
        if changed && self.backlog.is_on() && !self.backlog.is_running() && self.closing.is_none() {
            self.ideal_backlog = ideal;
            self.backlog.begin();
            fx.call(Callback::SendBacklog { ideal });
        }
    }

    /// The transport is gone, or its driver failed: the socket is no longer functional (F-81).
    pub fn break_down(&mut self, fx: &mut Effects) {
        if self.closing.is_some() || self.state == State::Broken {
            return;
        }
        self.owes_dead = self.receive.receive.is_enabled();
        self.end_connecting(NtStatus::FILE_FORCED_CLOSED, fx);
        self.state = State::Broken;
        self.receive.shut(NtStatus::FILE_FORCED_CLOSED, fx);
        self.send.shut(NtStatus::FILE_FORCED_CLOSED, fx);
        self.detach(true, fx);
        self.tell_dead(fx);
    }

    /// Signals once that the socket is dead, after a callback that is still running (E-79).
    fn tell_dead(&mut self, fx: &mut Effects) {
        if self.owes_dead
            && !self.receive.told_failure()
            && self.receive.receive.is_enabled()
            && !self.receive.is_calling()
        {
            self.owes_dead = false;
            self.receive.receive.begin();
            fx.call(Callback::Dead(DeadEvent::Receive));
        }
    }

    /// The driver is gone, with the memory it held: what was in flight ends now.
    pub fn driver_lost(&mut self, fx: &mut Effects) {
        self.break_down(fx);
        if self.receive.in_transport() {
            self.handle(Event::ReceiveDone { memory: Memory::None, result: Err(StreamEnd::Stopped) }, fx);
        }
        if self.connect_lent {
            let result = Err(NtStatus::FILE_FORCED_CLOSED);
            self.handle(Event::Connected { result, first: Memory::None }, fx);
        }
        let parts: Gather = (0..self.send.flying()).map(|_| Memory::None).collect();
        if !parts.is_empty() {
            let result = Err(NtStatus::FILE_FORCED_CLOSED);
            self.handle(Event::SendDone { parts, sent: 0, result }, fx);
        }
        if self.ending == Ending::Detaching {
            self.handle(Event::Detached, fx);
        }
    }

    /// The last step of a close: everything in flight has ended, every callback has returned (F-115).
    fn try_finish(&mut self, fx: &mut Effects) {
        let calling = self.receive.is_calling() || self.backlog.is_running();
        let quiet = !calling && !self.receive.in_transport() && !self.send.in_transport() && !self.connect_lent;
        if self.ending == Ending::Detached
            && quiet
            && let Some(id) = self.closing.take()
        {
            self.ending = Ending::Gone;
            fx.finish(id, NtStatus::SUCCESS);
        }
    }
}

/// Completes an address query.
pub(crate) fn answer_address(id: RequestId, address: SocketAddr, fx: &mut Effects) {
    fx.complete_with(Completion {
        request: id,
        status: NtStatus::SUCCESS,
        information: 0,
        memory: Memory::None,
        outcome: Outcome::Address(address),
    });
}
