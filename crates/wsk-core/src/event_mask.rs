//! Which events a socket may have, and the switch of each: on, off, stopped, disabling (events.md 4, 5, 15).

use wsk_abi::flags::EventMask;
use wsk_abi::status::NtStatus;

use crate::effect::Effects;
use crate::request::RequestId;

/// Events of connection sockets (E-10).
pub const CONNECTION_EVENTS: EventMask = EventMask::RECEIVE.union(EventMask::DISCONNECT).union(EventMask::SEND_BACKLOG);
/// Events of listening sockets, those stored for inheritance included (E-10).
pub const LISTEN_EVENTS: EventMask = EventMask::ACCEPT.union(CONNECTION_EVENTS);
/// Events of datagram sockets (E-10).
pub const DATAGRAM_EVENTS: EventMask = EventMask::RECEIVE_FROM;
/// Everything that may be enabled for a whole client (E-25).
pub const STATIC_EVENTS: EventMask = LISTEN_EVENTS.union(DATAGRAM_EVENTS);

/// A request of SO_WSK_EVENT_CALLBACK, checked for form (E-10, E-12, E-40).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventControl {
    /// Switch these on.
    Enable(EventMask),
    /// Switch this one off.
    Disable(EventMask),
}

impl EventControl {
    /// Reads an event mask for a socket that knows the events in `valid`.
    ///
    /// # Errors
    /// INVALID_PARAMETER: no event, an event of another category, or a disable of not exactly one event (E-10, E-40).
    pub fn parse(mask: EventMask, valid: EventMask) -> Result<Self, NtStatus> {
        let events = mask.difference(EventMask::DISABLE);
        if events.is_empty() || !valid.contains(events) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        if !mask.contains(EventMask::DISABLE) {
            return Ok(Self::Enable(events));
        }
        if events.bits().count_ones() != 1 {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        Ok(Self::Disable(events))
    }
}

/// Where a switch stands (events.md 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Position {
    /// The event is off.
    #[default]
    Off,
    /// The event is on.
    On,
    /// On, but a stream indication was refused or cut short: nothing until a WskReceive completed.
    Stopped,
    /// The subsystem switched it off because datagrams were refused; the client must enable it again.
    AutoOff,
    /// Going off: calls are still running.
    Disabling,
}

/// Whether calls are made whatever the position (F-172).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hold {
    /// The position decides.
    #[default]
    Free,
    /// Calls are made.
    Held,
    /// They would be, but one was refused or cut short.
    Stopped,
}

/// The switch of one event on one socket.
#[derive(Debug, Default)]
pub struct EventSwitch {
    position: Position,
    /// Enabled for the whole client: always on (E-27).
    is_static: bool,
    hold: Hold,
    running: u16,
    waiting: Vec<RequestId>,
}

impl EventSwitch {
    /// A switch as it stands on a new socket.
    pub fn new(enabled: bool, is_static: bool) -> Self {
        let position = if enabled || is_static { Position::On } else { Position::Off };
        Self { position, is_static, ..Self::default() }
    }

    /// Whether a call may start.
    pub fn is_on(&self) -> bool {
        match self.hold {
            Hold::Free => self.position == Position::On,
            Hold::Held => self.position != Position::Disabling,
            Hold::Stopped => false,
        }
    }

    /// Whether the event is enabled, even if stopped for the moment.
    pub fn is_enabled(&self) -> bool {
        self.hold != Hold::Free || matches!(self.position, Position::On | Position::Stopped)
    }

    /// Has calls made even while it is off, or no longer: a callback that takes all indications (F-172).
    pub fn hold(&mut self, on: bool) {
        self.hold = if on { Hold::Held } else { Hold::Free };
    }

    /// Whether it was enabled for the whole client.
    pub fn is_static(&self) -> bool {
        self.is_static
    }

    /// Whether a call is running.
    pub fn is_running(&self) -> bool {
        self.running > 0
    }

    /// Where the switch stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether [`EventSwitch::enable`] would be refused (E-45).
    pub fn is_disabling(&self) -> bool {
        self.position == Position::Disabling
    }

    /// Off or AutoOff become On; On and Stopped stay (events.md 15).
    pub fn enable(&mut self) {
        match self.position {
            Position::Off | Position::AutoOff => self.position = Position::On,
            Position::On | Position::Stopped | Position::Disabling => {}
        }
    }

    /// Switches off by the table of E-42; `request` is the client's IRP, completed here when nothing runs.
    pub fn disable(&mut self, request: Option<RequestId>, fx: &mut Effects) -> NtStatus {
        if self.is_static {
            return finish_now(NtStatus::INVALID_PARAMETER, request, fx); // E-27
        }
        if self.running == 0 {
            self.position = Position::Off;
            return finish_now(NtStatus::SUCCESS, request, fx);
        }
        self.position = Position::Disabling;
        match request {
            Some(request) => {
                self.waiting.push(request);
                NtStatus::PENDING
            }
            None => NtStatus::EVENT_PENDING,
        }
    }

    /// A call starts.
    pub fn begin(&mut self) {
        self.running += 1;
    }

    /// A call returned; completes the disables that waited for it (E-42).
    pub fn end(&mut self, fx: &mut Effects) {
        self.running -= 1;
        if self.running == 0 && self.position == Position::Disabling {
            self.position = Position::Off;
        }
        if self.running == 0 {
            for request in self.waiting.drain(..) {
                fx.finish(request, NtStatus::SUCCESS);
            }
        }
    }

    /// [`EventSwitch::end`] when nothing follows from it: the event is on and nobody waits. `false`: nothing was done.
    pub(crate) fn end_quietly(&mut self) -> bool {
        let quiet = self.running == 1 && self.position == Position::On && self.waiting.is_empty();
        if quiet {
            self.running = 0;
        }
        quiet
    }

    /// A stream indication was refused or cut short (E-73).
    pub fn stop(&mut self) {
        if self.position == Position::On {
            self.position = Position::Stopped;
        }
        if self.hold == Hold::Held {
            self.hold = Hold::Stopped;
        }
    }

    /// A WskReceive completed (E-75).
    pub fn resume(&mut self) {
        if self.position == Position::Stopped {
            self.position = Position::On;
        }
        if self.hold == Hold::Stopped {
            self.hold = Hold::Held;
        }
    }

    /// A datagram indication was refused: off until the client enables it again (E-90); static events stay on (E-91).
    pub fn refuse(&mut self) {
        if self.position == Position::On && !self.is_static {
            self.position = Position::AutoOff;
        }
    }

    /// The socket is being closed: no new call (E-123). Waiting disables still complete when the running calls return.
    pub fn close(&mut self) {
        self.hold = Hold::Free;
        if self.position != Position::Disabling {
            self.position = Position::Off;
        }
    }
}

/// Completes `request`, if there is one, with `status`, and returns the status: the inline form of a control function (F-52).
pub(crate) fn finish_now(status: NtStatus, request: Option<RequestId>, fx: &mut Effects) -> NtStatus {
    if let Some(request) = request {
        fx.finish(request, status);
    }
    status
}
