//! Listeners: every connection is handed out once, or refused; accept, inspect and abort callbacks come one at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use proptest::prelude::*;
use wsk_abi::flags::EventMask;
use wsk_abi::status::NtStatus;
use wsk_core::control_data::ControlData;
use wsk_core::effect::{Callback, CallbackKind, Effect, Effects, InspectId};
use wsk_core::indication::{Answer, InspectAction};
use wsk_core::memory::Memory;
use wsk_core::option::{OptionName, OptionValue};
use wsk_core::request::Outcome;
use wsk_core::socket::connection::Events;
use wsk_core::socket::listen::{HAS_ABORT, HAS_INSPECT, Listen};
use wsk_core::transport::{Endpoint, Event, Family, Incoming, IncomingId, Operation};

use crate::support::{History, Requests};

struct Nowhere;

impl Endpoint for Nowhere {
    fn bind(&self, local: SocketAddr, _: bool) -> Result<SocketAddr, NtStatus> {
        Ok(local)
    }
    fn listen(&self) -> Result<(), NtStatus> {
        Ok(())
    }
    fn local_address(&self) -> Result<SocketAddr, NtStatus> {
        Err(NtStatus::NOT_SUPPORTED)
    }
    fn remote_address(&self) -> Result<SocketAddr, NtStatus> {
        Err(NtStatus::NOT_SUPPORTED)
    }
    fn try_send(&self, _: &Memory, _: usize) -> Result<Option<usize>, NtStatus> {
        Ok(None)
    }
    fn try_receive(&self, _: &mut Memory, _: usize) -> Result<Option<usize>, NtStatus> {
        Ok(None)
    }
    fn try_send_to(&self, _: &[Memory], sent: usize, _: SocketAddr, _: &ControlData) -> Result<usize, NtStatus> {
        Ok(sent)
    }
    fn set_option(&self, _: OptionName, _: &OptionValue) -> Result<(), NtStatus> {
        Ok(())
    }
    fn option(&self, _: OptionName) -> Result<OptionValue, NtStatus> {
        Ok(OptionValue::Number(0))
    }
    fn unread(&self) -> usize {
        0
    }
    fn is_dead(&self) -> bool {
        false
    }
    fn ideal_send_backlog(&self) -> usize {
        0
    }
    fn discard(&self, _: bool) {}
    fn as_any(&self) -> &(dyn std::any::Any + Send + Sync) {
        self
    }
}

struct Model {
    machine: Listen,
    requests: Requests,
    accepting: bool,
    stop: bool,
    watches: BTreeSet<IncomingId>,
    unwatch: BTreeSet<IncomingId>,
    detach: bool,
    detached: bool,
    /// The next connection's number: its remote port.
    next: u16,
    /// Where each connection is: not yet handed out.
    waiting: BTreeSet<u16>,
    /// Inspections that were answered with Pend and not decided, and what they are of.
    pended: BTreeMap<InspectId, u16>,
    /// Inspections that were pended and neither rejected nor aborted: a completed Accept may still end in an abort (E-65).
    abortable: BTreeSet<InspectId>,
    /// The inspection that is being rejected.
    deciding: Option<InspectId>,
    calling: Option<(CallbackKind, Option<(InspectId, u16)>)>,
    off: bool,
    closing: bool,
    closed: bool,
}

impl Model {
    fn new(conditional: bool, fixed: bool) -> Self {
        let available = EventMask::ACCEPT | EventMask::from_bits_retain(HAS_INSPECT | HAS_ABORT);
        let on = if fixed { EventMask::ACCEPT } else { EventMask::empty() };
        let events = Events { available, fixed: on, inherited: EventMask::empty() };
        let mut machine = Listen::new(Family::V4, events, false);
        machine.set_conditional(conditional).expect("before bind");
        let mut this = Self {
            machine,
            requests: Requests::default(),
            accepting: false,
            stop: false,
            watches: BTreeSet::new(),
            unwatch: BTreeSet::new(),
            detach: false,
            detached: false,
            next: 1,
            waiting: BTreeSet::new(),
            pended: BTreeMap::new(),
            abortable: BTreeSet::new(),
            deciding: None,
            calling: None,
            off: !fixed,
            closing: false,
            closed: false,
        };
        let id = this.requests.make("bind");
        this.decide(|machine, fx| machine.bind(id, address(9), fx));
        this
    }

    fn decide(&mut self, decide: impl FnOnce(&mut Listen, &mut Effects)) {
        let mut fx = Effects::new();
        decide(&mut self.machine, &mut fx);
        for effect in fx.list {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        assert!(!self.closed, "after the close completed: {effect:?}");
        match effect {
            Effect::Complete(done) => {
                let kind = self.requests.complete(done.request, done.status);
                if let Outcome::Accepted(accepted) = done.outcome {
                    self.handed_out(accepted.0.remote.port());
                }
                if kind == "close" {
                    assert!(self.calling.is_none());
                    self.closed = true;
                }
                if kind == "disable" {
                    self.off = true;
                }
                if kind == "inspect complete"
                    && done.status.is_success()
                    && let Some(id) = self.deciding
                {
                    self.abortable.remove(&id);
                }
            }
            Effect::Bind(local) => self.decide(|machine, fx| machine.bound(Ok(local), fx)),
            Effect::Listen => self.decide(|machine, fx| machine.listening(Ok(()), fx)),
            Effect::Discard(incoming) => {
                let port = incoming.remote.port();
                assert!(self.waiting.remove(&port), "connection {port} refused, but it was handed out");
            }
            Effect::Submit(operation) => self.submit(operation),
            Effect::Call(callback) => self.called(callback),
            other => panic!("not an effect of a listener: {other:?}"),
        }
    }

    fn handed_out(&mut self, port: u16) {
        assert!(self.waiting.remove(&port), "connection {port} handed out twice, or after it was refused");
        assert!(!self.pended.values().any(|p| *p == port), "connection {port} is pended");
    }

    fn called(&mut self, callback: Callback) {
        assert!(self.calling.is_none(), "callbacks of a listener are serial");
        assert!(!self.closing, "law 3");
        let kind = callback.kind();
        let of = match callback {
            Callback::Accept { incoming, .. } => {
                assert!(!self.off, "law 3");
                self.handed_out(incoming.remote.port());
                None
            }
            Callback::Inspect { id, remote, .. } => Some((id, remote.port())),
            Callback::Abort { id } => {
                assert!(self.abortable.remove(&id), "aborted twice, or never pended");
                self.pended.remove(&id);
                None
            }
            other => panic!("unexpected: {other:?}"),
        };
        self.calling = Some((kind, of));
    }

    fn submit(&mut self, operation: Operation) {
        assert!(!self.detach, "after a detach: {operation:?}");
        match operation {
            Operation::AcceptStart => assert!(!std::mem::replace(&mut self.accepting, true)),
            Operation::AcceptStop => assert!(self.accepting && !std::mem::replace(&mut self.stop, true)),
            Operation::WatchIncoming(id, _) => assert!(self.watches.insert(id)),
            Operation::UnwatchIncoming(id) => {
                self.unwatch.insert(id);
            }
            Operation::Detach { .. } => self.detach = true,
            other => panic!("not an operation of a listener: {other:?}"),
        }
    }

    fn event(&mut self, event: Event) {
        self.decide(|machine, fx| {
            machine.handle(event, fx);
            machine.advance(fx);
        });
    }

    fn transport(&mut self, history: &mut History<'_>) {
        if self.detached {
            return;
        }
        match history.more() % 4 {
            0 | 1 if self.accepting => {
                if (self.stop || self.detach) && history.more().is_multiple_of(2) {
                    (self.accepting, self.stop) = (false, false);
                    self.event(Event::AcceptStopped(Ok(())));
                } else {
                    let port = self.next;
                    self.next += 1;
                    self.waiting.insert(port);
                    let endpoint = Arc::new(Nowhere);
                    self.event(Event::Accepted(Incoming { endpoint, local: address(9), remote: address(port) }));
                }
            }
            2 | 3 => {
                let nth = history.more() % self.watches.len().max(1);
                if let Some(id) = self.watches.iter().nth(nth).copied() {
                    let asked = self.unwatch.contains(&id) || self.detach;
                    let gone = history.more().is_multiple_of(3);
                    if asked || gone {
                        self.watches.remove(&id);
                        self.unwatch.remove(&id);
                        self.event(Event::IncomingEnded { id, gone });
                    }
                }
            }
            _ => {}
        }
        if self.detach && !self.accepting && self.watches.is_empty() {
            self.detached = true;
            self.event(Event::Detached);
        }
    }

    fn client(&mut self, history: &mut History<'_>) {
        match history.more() % 9 {
            0 | 1 => {
                let id = self.requests.make("accept");
                self.decide(|machine, fx| machine.accept(id, fx));
            }
            2 => {
                if let Some(id) = self.requests.pick(history.more()) {
                    self.decide(|machine, fx| machine.cancel(id, fx));
                }
            }
            3 => {
                let was = std::mem::replace(&mut self.off, false);
                let mut status = NtStatus::SUCCESS;
                self.decide(|machine, fx| status = machine.control_events(EventMask::ACCEPT, None, fx));
                self.off |= was && status != NtStatus::SUCCESS;
            }
            4 => {
                let id = self.requests.make("disable");
                let before = self.off;
                let mut status = NtStatus::SUCCESS;
                let mask = EventMask::ACCEPT | EventMask::DISABLE;
                self.decide(|machine, fx| status = machine.control_events(mask, Some(id), fx));
                if status.is_error() {
                    self.off = before;
                }
            }
            5 | 6 => {
                let nth = history.more() % self.pended.len().max(1);
                if let Some(id) = self.pended.keys().nth(nth).copied() {
                    self.pended.remove(&id);
                    let accept = history.more().is_multiple_of(2);
                    let action = if accept { InspectAction::Accept } else { InspectAction::Reject };
                    let request = self.requests.make("inspect complete");
                    // A late reject finds nothing, and its abort is still to come (E-65).
                    self.deciding = (!accept).then_some(id);
                    self.decide(|machine, fx| machine.inspect_complete(request, id, action, fx));
                }
            }
            7 if history.more().is_multiple_of(24) => self.close(),
            _ => self.answer(history),
        }
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.closing, true) {
            let id = self.requests.make("close");
            self.decide(|machine, fx| machine.close(id, fx));
        }
    }

    fn answer(&mut self, history: &mut History<'_>) {
        let Some((kind, of)) = self.calling.take() else { return };
        let answer = match (kind, of) {
            (CallbackKind::Accept, _) => Answer::Accepted,
            (CallbackKind::Inspect, Some((id, port))) => match history.more() % 3 {
                0 => Answer::Inspected(InspectAction::Reject),
                1 => Answer::Inspected(InspectAction::Accept),
                _ => {
                    if !self.closing {
                        self.pended.insert(id, port);
                        self.abortable.insert(id);
                    }
                    Answer::Inspected(InspectAction::Pend)
                }
            },
            _ => Answer::Done,
        };
        self.decide(|machine, fx| machine.answered(kind, answer, fx));
    }

    fn end(mut self) {
        self.close();
        let numbers: Vec<u16> = (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 16) as u16).collect();
        let mut history = History(numbers.iter());
        while !self.closed || self.calling.is_some() {
            assert!(history.0.len() > 0, "it never ends");
            self.transport(&mut history);
            self.answer(&mut history);
        }
        self.requests.assert_none();
        assert!(self.waiting.is_empty(), "neither handed out nor refused: {:?}", self.waiting);
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_listener_keeps_the_laws(
        numbers in proptest::collection::vec(any::<u16>(), 0..600),
        conditional: bool,
        fixed: bool,
    ) {
        let mut model = Model::new(conditional, fixed);
        let mut history = History(numbers.iter());
        while let Some(step) = history.next() {
            if model.closed {
                break;
            }
            if step.is_multiple_of(2) { model.client(&mut history) } else { model.transport(&mut history) }
        }
        model.end();
    }
}
