//! The five state machines as one type, for the code that does not care which it drives.

use std::net::SocketAddr;

use wsk_abi::flags::EventMask;
use wsk_abi::status::NtStatus;
use wsk_core::effect::{CallbackKind, Effects};
use wsk_core::indication::Answer;
use wsk_core::request::RequestId;
use wsk_core::socket::basic::Basic;
use wsk_core::socket::connection::{self, Connection};
use wsk_core::socket::datagram::{self, DatagramSocket};
use wsk_core::socket::listen::{self, Listen};
use wsk_core::socket::stream::Stream;
use wsk_core::transport::Event;

/// A socket's state machine.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Machine {
    Basic(Basic),
    Listen(Box<Listen>),
    Datagram(Box<DatagramSocket>),
    /// Not boxed: the one of which there are many, and whose path is hot.
    Connection(Connection),
    Stream(Box<Stream>),
}

/// Calls the same method of whichever machine it is.
macro_rules! any {
    ($self:expr, $machine:ident => $call:expr) => {
        match $self {
            Machine::Basic($machine) => $call,
            Machine::Listen($machine) => $call,
            Machine::Datagram($machine) => $call,
            Machine::Connection($machine) => $call,
            Machine::Stream($machine) => $call,
        }
    };
}

impl Machine {
    pub(crate) fn handle(&mut self, event: Event, fx: &mut Effects) {
        any!(self, m => m.handle(event, fx));
    }

    pub(crate) fn close(&mut self, id: RequestId, fx: &mut Effects) {
        any!(self, m => m.close(id, fx));
    }

    pub(crate) fn break_down(&mut self, fx: &mut Effects) {
        any!(self, m => m.break_down(fx));
    }

    pub(crate) fn driver_lost(&mut self, fx: &mut Effects) {
        any!(self, m => m.driver_lost(fx));
    }

    pub(crate) fn is_closing(&self) -> bool {
        any!(self, m => m.is_closing())
    }

    pub(crate) fn is_detached(&self) -> bool {
        any!(self, m => m.is_detached())
    }

    pub(crate) fn is_gone(&self) -> bool {
        any!(self, m => m.is_gone())
    }

    pub(crate) fn control_events(&mut self, mask: EventMask, id: Option<RequestId>, fx: &mut Effects) -> NtStatus {
        any!(self, m => m.control_events(mask, id, fx))
    }

    pub(crate) fn advance(&mut self, fx: &mut Effects) {
        match self {
            Machine::Basic(_) => {}
            Machine::Listen(m) => m.advance(fx),
            Machine::Datagram(m) => m.advance(fx),
            Machine::Connection(m) => m.advance(fx),
            Machine::Stream(m) => m.advance(fx),
        }
    }

    pub(crate) fn cancel(&mut self, id: RequestId, fx: &mut Effects) {
        match self {
            Machine::Basic(_) => {}
            Machine::Listen(m) => m.cancel(id, fx),
            Machine::Datagram(m) => m.cancel(id, fx),
            Machine::Connection(m) => m.cancel(id, fx),
            Machine::Stream(m) => m.cancel(id, fx),
        }
    }

    pub(crate) fn answered(&mut self, kind: CallbackKind, answer: Answer, fx: &mut Effects) {
        match self {
            Machine::Basic(_) => {}
            Machine::Listen(m) => m.answered(kind, answer, fx),
            Machine::Datagram(m) => m.answered(kind, answer, fx),
            Machine::Connection(m) => m.answered(kind, answer, fx),
            Machine::Stream(m) => m.answered(kind, answer, fx),
        }
    }

    pub(crate) fn queued(&self) -> usize {
        match self {
            Machine::Basic(_) => 0,
            Machine::Listen(m) => m.queued(),
            Machine::Datagram(m) => m.queued(),
            Machine::Connection(m) => m.queued(),
            Machine::Stream(m) => m.queued(),
        }
    }

    pub(crate) fn bind(&mut self, id: RequestId, local: SocketAddr, fx: &mut Effects) {
        match self {
            Machine::Basic(_) => fx.refuse(id, NtStatus::INVALID_DEVICE_STATE),
            Machine::Listen(m) => m.bind(id, local, fx),
            Machine::Datagram(m) => m.bind(id, local, fx),
            Machine::Connection(m) => m.bind(id, local, fx),
            Machine::Stream(m) => m.bind(id, local, fx),
        }
    }

    pub(crate) fn accept(&mut self, id: RequestId, fx: &mut Effects) {
        match self {
            Machine::Listen(m) => m.accept(id, fx),
            Machine::Stream(m) => m.accept(id, fx),
            _ => fx.refuse(id, NtStatus::INVALID_DEVICE_STATE),
        }
    }

    /// The local or the remote address.
    pub(crate) fn address(&mut self, id: RequestId, remote: bool, fx: &mut Effects) {
        match self {
            Machine::Basic(_) => fx.refuse(id, NtStatus::INVALID_DEVICE_STATE),
            Machine::Listen(m) => m.local_address(id, fx),
            Machine::Datagram(m) => m.local_address(id, fx),
            Machine::Connection(m) if remote => m.remote_address(id, fx),
            Machine::Connection(m) => m.local_address(id, fx),
            Machine::Stream(m) if remote => m.remote_address(id, fx),
            Machine::Stream(m) => m.local_address(id, fx),
        }
    }

    pub(crate) fn bound(&mut self, result: Result<SocketAddr, NtStatus>, fx: &mut Effects) {
        match self {
            Machine::Basic(_) => {}
            Machine::Listen(m) => m.bound(result, fx),
            Machine::Datagram(m) => m.bound(result, fx),
            Machine::Connection(m) => m.bound(result, fx),
            Machine::Stream(m) => m.bound(result, fx),
        }
    }

    pub(crate) fn listening(&mut self, result: Result<(), NtStatus>, fx: &mut Effects) {
        match self {
            Machine::Listen(m) => m.listening(result, fx),
            Machine::Stream(m) => m.listening(result, fx),
            _ => {}
        }
    }

    pub(crate) fn backlog_sampled(&mut self, ideal: usize, fx: &mut Effects) {
        if let Some(connection) = self.connection() {
            connection.backlog_sampled(ideal, fx);
        }
    }

    pub(crate) fn released(&mut self, capacity: usize, fx: &mut Effects) {
        match self {
            Machine::Datagram(m) => m.released(capacity, fx),
            _ => {
                if let Some(connection) = self.connection() {
                    connection.released(capacity, fx);
                }
            }
        }
    }

    /// Whether it does not read because the client holds too much (E-120).
    pub(crate) fn is_paused(&mut self) -> bool {
        match self {
            Machine::Datagram(m) => m.is_paused(),
            _ => self.connection().is_some_and(|connection| connection.is_paused()),
        }
    }

    /// E-22: the accept callback has returned.
    pub(crate) fn release(&mut self, fx: &mut Effects) {
        if let Some(connection) = self.connection() {
            connection.release(fx);
        }
    }

    pub(crate) fn set_addresses(&mut self, local: Option<SocketAddr>, remote: Option<SocketAddr>) {
        if let Some(connection) = self.connection() {
            connection.set_addresses(local, remote);
        }
    }

    /// Whether an operation that was not given to the driver must end at once.
    pub(crate) fn is_ending(&mut self) -> bool {
        match self {
            Machine::Datagram(m) => m.is_ending(),
            _ => self.connection().is_some_and(|connection| connection.is_ending()),
        }
    }

    /// Whether the receive, or the send, that is about to be given to the driver was cancelled.
    pub(crate) fn cancels_receive(&mut self) -> bool {
        self.connection().is_some_and(|connection| connection.cancels_receive())
    }

    pub(crate) fn cancels_send(&mut self) -> bool {
        self.connection().is_some_and(|connection| connection.cancels_send())
    }

    /// Events that sockets from WskAcceptEvent inherit (E-20).
    pub(crate) fn inherited(&mut self) -> EventMask {
        self.listener().map(|listener| listener.inherited()).unwrap_or_default()
    }

    /// F-137: a listener that had run out of resources tries again.
    pub(crate) fn retry(&mut self, fx: &mut Effects) {
        if let Some(listener) = self.listener() {
            listener.retry(fx);
        }
    }

    pub(crate) fn is_starved(&mut self) -> bool {
        self.listener().is_some_and(|listener| listener.is_starved())
    }

    pub(crate) fn connection(&mut self) -> Option<&mut Connection> {
        match self {
            Machine::Connection(m) => Some(m),
            Machine::Stream(m) => m.as_connection(),
            _ => None,
        }
    }

    pub(crate) fn listener(&mut self) -> Option<&mut Listen> {
        match self {
            Machine::Listen(m) => Some(m),
            Machine::Stream(m) => m.as_listener(),
            _ => None,
        }
    }

    pub(crate) fn datagram(&mut self) -> Option<&mut DatagramSocket> {
        match self {
            Machine::Datagram(m) => Some(m),
            _ => None,
        }
    }

    /// Whether it is not bound, and was never.
    pub(crate) fn is_created(&mut self) -> bool {
        match self {
            Machine::Basic(_) => true,
            Machine::Listen(m) => m.state() == listen::State::Created,
            Machine::Datagram(m) => m.state() == datagram::State::Created,
            _ => self.connection().is_some_and(|connection| connection.state() == connection::State::Created),
        }
    }

    /// How requests end by now that only the end of the socket concerns: CANCELLED by a close, FILE_FORCED_CLOSED with the
    /// transport.
    pub(crate) fn ended(&mut self) -> Option<NtStatus> {
        let broken = match self {
            Machine::Basic(m) => m.is_broken(),
            Machine::Listen(m) => m.state() == listen::State::Broken,
            Machine::Datagram(m) => m.state() == datagram::State::Broken,
            Machine::Connection(m) => m.state() == connection::State::Broken,
            Machine::Stream(m) => m.is_broken(),
        };
        match (self.is_closing(), broken) {
            (true, _) => Some(NtStatus::CANCELLED),
            (false, true) => Some(NtStatus::FILE_FORCED_CLOSED),
            (false, false) => None,
        }
    }

    /// SO_CONDITIONAL_ACCEPT (E-31).
    pub(crate) fn set_conditional(&mut self, on: bool) -> Result<(), NtStatus> {
        match self {
            Machine::Listen(m) => m.set_conditional(on),
            Machine::Stream(m) => m.set_conditional(on),
            _ => Err(NtStatus::INVALID_PARAMETER),
        }
    }

    /// IPV6_V6ONLY (C-40, C-44).
    pub(crate) fn set_v6_only(&mut self, on: bool) -> Result<(), NtStatus> {
        match self {
            Machine::Listen(m) => m.set_v6_only(),
            Machine::Datagram(m) => m.set_v6_only(on),
            _ => self.connection().map_or(Err(NtStatus::INVALID_PARAMETER), |connection| connection.set_v6_only(on)),
        }
    }

    pub(crate) fn stream(&mut self) -> Option<&mut Stream> {
        match self {
            Machine::Stream(m) => Some(m),
            _ => None,
        }
    }
}
