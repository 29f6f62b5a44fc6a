//! Basic sockets: options and close only (F-240).

use wsk_abi::flags::EventMask;
use wsk_abi::status::NtStatus;

use crate::effect::Effects;
use crate::event_mask::finish_now;
use crate::request::RequestId;
use crate::transport::{Event, Operation};

/// A basic socket.
#[derive(Debug, Default)]
pub struct Basic {
    closing: Option<RequestId>,
    detaching: bool,
    detached: bool,
    gone: bool,
}

impl Basic {
    /// A new socket.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a close has begun or completed.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some() || self.gone
    }

    /// Whether its transport is gone (F-81).
    pub fn is_broken(&self) -> bool {
        self.detaching && !self.is_closing()
    }

    /// Whether the driver has let go of the endpoint.
    pub fn is_detached(&self) -> bool {
        self.detached
    }

    /// Whether the close has completed.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// SO_WSK_EVENT_CALLBACK: a basic socket has none of the standard events (E-10).
    pub fn control_events(&mut self, _mask: EventMask, request: Option<RequestId>, fx: &mut Effects) -> NtStatus {
        finish_now(NtStatus::INVALID_PARAMETER, request, fx)
    }

    /// WskCloseSocket.
    pub fn close(&mut self, id: RequestId, fx: &mut Effects) {
        if self.is_closing() {
            return fx.finish(id, NtStatus::INVALID_HANDLE);
        }
        self.closing = Some(id);
        self.detach(fx);
        self.try_finish(fx);
    }

    /// The transport is gone.
    pub fn break_down(&mut self, fx: &mut Effects) {
        self.detach(fx);
    }

    /// The driver is gone.
    pub fn driver_lost(&mut self, fx: &mut Effects) {
        self.break_down(fx);
        if !self.detached {
            self.handle(Event::Detached, fx);
        }
    }

    fn detach(&mut self, fx: &mut Effects) {
        if !std::mem::replace(&mut self.detaching, true) {
            fx.submit(Operation::Detach { abort: false });
        }
    }

    /// Takes an event in: there is only the end.
    pub fn handle(&mut self, event: Event, fx: &mut Effects) {
        debug_assert!(matches!(event, Event::Detached), "not an event of a basic socket: {event:?}");
        self.detached = true;
        self.try_finish(fx);
    }

    fn try_finish(&mut self, fx: &mut Effects) {
        if self.detached
            && let Some(id) = self.closing.take()
        {
            self.gone = true;
            fx.finish(id, NtStatus::SUCCESS);
        }
    }
}
