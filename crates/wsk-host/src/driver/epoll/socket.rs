//! An attached endpoint in the epoll driver: what it is asked to do, and what the kernel last said of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use wsk_abi::status::NtStatus;
use wsk_core::control_data::ControlData;
use wsk_core::memory::Memory;
use wsk_core::transport::{Event, Gather, Hangup, IncomingId, Messages, SendId, StreamEnd};

use super::{WatchKey, step};
use crate::driver::staging::Staging;
use crate::endpoint::HostEndpoint;

/// A connect on its way.
#[derive(Clone, Copy)]
pub(super) enum Connecting {
    Wanted(SocketAddr),
    Started,
}

/// A connect, and what goes with it.
pub(super) struct Connect {
    pub(super) state: Connecting,
    pub(super) first: Memory,
    /// So many bytes of it are on their way.
    pub(super) taken: usize,
}

/// Datagrams on their way.
pub(super) struct SendingTo {
    pub(super) id: SendId,
    pub(super) messages: Messages,
    pub(super) sent: usize,
    pub(super) remote: SocketAddr,
    pub(super) control: ControlData,
}

impl SendingTo {
    /// Its end.
    pub(super) fn done(self, result: Result<(), NtStatus>) -> Event {
        let Self { id, messages, sent, .. } = self;
        Event::SendToDone { id, messages, sent, result }
    }
}

/// A shutdown on its way.
#[derive(Clone, Copy)]
pub(super) enum Shutting {
    Wanted,
    Started,
}

/// A stream send on its way.
pub(super) struct Sending {
    pub(super) parts: Gather,
    pub(super) sent: usize,
    pub(super) total: usize,
}

/// An attached endpoint, what it is asked to do, and what the kernel last said of it.
pub(super) struct Socket {
    pub(super) endpoint: Arc<HostEndpoint>,
    /// Tells a new socket from an old one with the same index.
    pub(super) serial: u32,
    /// It could not be registered.
    pub(super) broken: Option<NtStatus>,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) gone: bool,
    pub(super) error: bool,
    /// Something was reported since the shutdown was looked at.
    pub(super) poked: bool,
    pub(super) queued: bool,
    pub(super) starving: bool,
    pub(super) accept: bool,
    pub(super) connect: Option<Connect>,
    pub(super) stream: bool,
    pub(super) receive: Option<(Memory, usize)>,
    pub(super) send: Option<Sending>,
    pub(super) watch: bool,
    pub(super) shutdown: Option<Shutting>,
    pub(super) datagrams: bool,
    pub(super) receive_from: Option<Memory>,
    /// Of single receives that cannot go straight to the client's memory.
    pub(super) staging: Option<Box<Staging>>,
    pub(super) sends_to: VecDeque<SendingTo>,
    pub(super) watches: Vec<(IncomingId, WatchKey)>,
}

/// Ends of operations that were asked to end: the event, if there was such an operation.
impl Socket {
    pub(super) fn take_accept(&mut self) -> Option<Event> {
        std::mem::take(&mut self.accept).then_some(Event::AcceptStopped(Ok(())))
    }

    pub(super) fn take_connect(&mut self) -> Option<Event> {
        let Connect { state, first, taken } = self.connect.take()?;
        let result = match state {
            Connecting::Wanted(_) => Err(NtStatus::CANCELLED),
            Connecting::Started => step::connect_outcome(self).unwrap_or_else(|| {
                self.endpoint.undo_connect();
                Err(NtStatus::CANCELLED)
            }),
        };
        Some(Event::Connected { result: result.map(|()| taken), first })
    }

    pub(super) fn take_stream(&mut self) -> Option<Event> {
        std::mem::take(&mut self.stream).then_some(Event::ReceiveStopped(StreamEnd::Stopped))
    }

    pub(super) fn take_receive(&mut self) -> Option<Event> {
        let (memory, _) = self.receive.take()?;
        Some(Event::ReceiveDone { memory, result: Err(StreamEnd::Stopped) })
    }

    pub(super) fn take_send(&mut self) -> Option<Event> {
        let Sending { parts, sent, .. } = self.send.take()?;
        Some(Event::SendDone { parts, sent, result: Err(NtStatus::CANCELLED) })
    }

    pub(super) fn take_watch(&mut self) -> Option<Event> {
        std::mem::take(&mut self.watch).then_some(Event::Hangup(Hangup::Cancelled))
    }

    pub(super) fn take_shutdown(&mut self) -> Option<Event> {
        self.shutdown.take().map(|_| Event::ShutdownDone(Err(NtStatus::CANCELLED)))
    }

    pub(super) fn take_datagrams(&mut self) -> Option<Event> {
        std::mem::take(&mut self.datagrams).then_some(Event::DatagramsStopped(Ok(())))
    }

    pub(super) fn take_receive_from(&mut self) -> Option<Event> {
        let memory = self.receive_from.take()?;
        Some(Event::ReceiveFromDone { memory, result: Err(NtStatus::CANCELLED) })
    }
}
