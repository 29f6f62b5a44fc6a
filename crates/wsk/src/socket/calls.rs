//! Calling the client: event callbacks, what they are handed, and what their answers mean.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wsk_abi::flags::EventFlags;
use wsk_core::effect::{Callback, CallbackKind, DeadEvent, InspectId};
use wsk_core::indication::Answer;
use wsk_core::memory::{Account, BufferList};
use wsk_core::transport::Incoming;

use crate::connection::ConnectionSocket;
use crate::datagram::DatagramSocket;
use crate::events::{self, ConnectionEvents, DatagramEvents, InspectRequest, ListenEvents};
use crate::indication::{Datagrams, Indication};
use crate::listen::ListenSocket;
use crate::processor::enter_client;

use super::Socket;

/// The client's callbacks, by category.
pub(crate) enum Sink {
    None,
    Listen(Arc<dyn ListenEvents>),
    Datagram(Arc<dyn DatagramEvents>),
    Connection(Arc<dyn ConnectionEvents>),
    Stream(Option<Arc<dyn ListenEvents>>, Option<Arc<dyn ConnectionEvents>>),
}

impl Sink {
    pub(super) fn listen(&self) -> Option<&Arc<dyn ListenEvents>> {
        match self {
            Sink::Listen(events) => Some(events),
            Sink::Stream(events, _) => events.as_ref(),
            _ => None,
        }
    }

    pub(super) fn connection(&self) -> Option<&Arc<dyn ConnectionEvents>> {
        match self {
            Sink::Connection(events) => Some(events),
            Sink::Stream(_, events) => events.as_ref(),
            _ => None,
        }
    }
}

impl Socket {
    /// A callback that was put off.
    pub(crate) fn call(self: &Arc<Self>, callback: Callback) {
        let closing = self.state.lock().machine.is_closing();
        let (kind, answer) = if closing { uncalled(callback) } else { self.call_client(callback) };
        self.decide(None, |machine, fx| machine.answered(kind, answer, fx));
    }

    /// Calls the client's event callback.
    pub(super) fn call_client(self: &Arc<Self>, callback: Callback) -> (CallbackKind, Answer) {
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

    pub(super) fn call_accept(
        self: &Arc<Self>,
        incoming: Incoming,
        inspect: Option<InspectId>,
        irql: u8,
    ) -> Option<Answer> {
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

    pub(super) fn call_sink(self: &Arc<Self>, callback: Callback, irql: u8) -> Answer {
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

    pub(super) fn call_receive(
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

    pub(super) fn call_dead(self: &Arc<Self>, event: DeadEvent) {
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
pub(super) fn uncalled(callback: Callback) -> (CallbackKind, Answer) {
    let (kind, answer) = (callback.kind(), callback.default_answer());
    if let Callback::Accept { incoming, .. } = callback {
        incoming.endpoint.discard(true);
    }
    (kind, answer)
}

/// Counts on the pump, the only writer: no need to be atomic as a whole.
pub(super) fn count(tally: &AtomicU64) {
    tally.store(tally.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// The truth about the level, as the flags say it (E-2).
pub(super) fn level_flag(irql: u8) -> EventFlags {
    if irql == 2 { EventFlags::AT_DISPATCH_LEVEL } else { EventFlags::empty() }
}

/// What a receive callback returned (E-73).
pub(super) fn received(answer: events::Receive, ticket: u64) -> Answer {
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
