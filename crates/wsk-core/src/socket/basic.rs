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
    gone: bool,
}

impl Basic {
    /// A new socket.
    pub fn new() -> Self {
        Self::default()
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
        if self.closing.is_some() || self.gone {
            return fx.finish(id, NtStatus::INVALID_HANDLE);
        }
        self.closing = Some(id);
        fx.submit(Operation::Detach { abort: false });
    }

    /// Takes an event in: there is only the end.
    pub fn handle(&mut self, event: Event, fx: &mut Effects) {
        if let (Event::Detached, Some(id)) = (event, self.closing.take()) {
            self.gone = true;
            fx.finish(id, NtStatus::SUCCESS);
        }
    }
}
