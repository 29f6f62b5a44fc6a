//! Datagram sockets: numbered datagrams below, requests and callbacks above.

use std::collections::BTreeSet;

use proptest::prelude::*;
use wsk_abi::flags::{ControlFlags, EventMask};
use wsk_abi::status::NtStatus;
use wsk_core::control_data::{ControlData, SendControl};
use wsk_core::effect::{Callback, CallbackKind, Effect, Effects};
use wsk_core::indication::{Answer, DatagramList, datagram_capacity};
use wsk_core::memory::Memory;
use wsk_core::request::RequestId;
use wsk_core::socket::connection::Events;
use wsk_core::socket::datagram::{DatagramSocket, State};
use wsk_core::transport::{Datagram, DatagramInfo, Event, Family, Messages, Operation, SendId};

use crate::support::{History, Leases, Requests};

struct Model {
    machine: DatagramSocket,
    requests: Requests,
    leases: Leases,
    stream: bool,
    stop: bool,
    into: Option<Memory>,
    cancel: bool,
    sends: Vec<(SendId, Messages)>,
    detach: bool,
    detached: bool,
    arrived: u64,
    /// The datagrams that someone took, each once. A request may overtake a running callback, so there is no order.
    taken: BTreeSet<u64>,
    receiving: Option<DatagramList>,
    retained: Vec<DatagramList>,
    off: bool,
    disabling: BTreeSet<RequestId>,
    fixed: bool,
    closing: bool,
    closed: bool,
}

impl Model {
    fn new(fixed: bool) -> Self {
        let available = EventMask::RECEIVE_FROM;
        let on = if fixed { available } else { EventMask::empty() };
        let events = Events { available, fixed: on, inherited: EventMask::empty() };
        let mut this = Self {
            machine: DatagramSocket::new(Family::V4, events, false),
            requests: Requests::default(),
            leases: Leases::default(),
            stream: false,
            stop: false,
            into: None,
            cancel: false,
            sends: Vec::new(),
            detach: false,
            detached: false,
            arrived: 0,
            taken: BTreeSet::new(),
            receiving: None,
            retained: Vec::new(),
            off: !fixed,
            disabling: BTreeSet::new(),
            fixed,
            closing: false,
            closed: false,
        };
        let id = this.requests.make("bind");
        this.decide(|machine, fx| machine.bind(id, address(), fx));
        assert_eq!(this.machine.state(), State::Bound);
        this
    }

    fn decide(&mut self, decide: impl FnOnce(&mut DatagramSocket, &mut Effects)) {
        let mut fx = Effects::new();
        decide(&mut self.machine, &mut fx);
        self.carry_out(fx);
    }

    fn carry_out(&mut self, fx: Effects) {
        for effect in fx.list {
            assert!(!self.closed, "after the close completed: {effect:?}");
            match effect {
                Effect::Complete(done) => {
                    let kind = self.requests.complete(done.request, done.status);
                    if self.disabling.remove(&done.request) {
                        self.off = true;
                    }
                    match (kind, &done.memory) {
                        ("receive", Memory::Vec(bytes)) if done.status.is_success() => {
                            self.took(u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")));
                        }
                        ("close", _) => {
                            assert!(self.receiving.is_none());
                            self.closed = true;
                        }
                        _ => {}
                    }
                }
                Effect::Bind(local) => self.decide(|machine, fx| machine.bound(Ok(local), fx)),
                Effect::Submit(operation) => self.submit(operation),
                Effect::Call(Callback::ReceiveFrom { list, .. }) => {
                    assert!(!self.off && !self.closing && self.receiving.is_none(), "law 3");
                    self.receiving = Some(list);
                }
                Effect::Release(_) => {}
                other => panic!("not an effect of a datagram socket: {other:?}"),
            }
        }
    }

    fn took(&mut self, number: u64) {
        assert!(self.taken.insert(number), "datagram {number} was taken twice");
    }

    fn submit(&mut self, operation: Operation) {
        assert!(!self.detach, "after a detach: {operation:?}");
        match operation {
            Operation::ReceiveFromStart => {
                assert!(!self.stream && self.into.is_none());
                self.stream = true;
            }
            Operation::ReceiveFromStop => {
                assert!(self.stream && !std::mem::replace(&mut self.stop, true));
            }
            Operation::ReceiveFrom(memory) => {
                assert!(!self.stream && self.into.replace(memory).is_none());
            }
            Operation::ReceiveFromCancel => {
                assert!(self.into.is_some() && !self.cancel);
                self.cancel = true;
            }
            Operation::SendTo { id, messages, .. } => self.sends.push((id, messages)),
            Operation::Detach { .. } => self.detach = true,
            other => panic!("not an operation of a datagram socket: {other:?}"),
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
        let over = self.detach || self.stop;
        match history.more() % 4 {
            0 | 1 if self.stream => {
                if over && history.more().is_multiple_of(2) {
                    (self.stream, self.stop) = (false, false);
                    self.event(Event::DatagramsStopped(Ok(())));
                } else {
                    self.arrived += 1;
                    let mut bytes = self.arrived.to_le_bytes().to_vec();
                    bytes.resize(8 + history.more() % 100, 0);
                    let flags =
                        if history.more().is_multiple_of(5) { ControlFlags::BCAST } else { ControlFlags::empty() };
                    let buffer = self.leases.lend(bytes);
                    self.event(Event::Datagram(Datagram {
                        buffer,
                        source: address(),
                        flags,
                        control: ControlData::default(),
                    }));
                }
            }
            2 => {
                if let Some(mut memory) = self.into.take() {
                    let cancelled = std::mem::take(&mut self.cancel) || self.detach;
                    let result = if cancelled && history.more().is_multiple_of(2) {
                        Err(NtStatus::CANCELLED)
                    } else {
                        self.arrived += 1;
                        let len = memory.write(0, &self.arrived.to_le_bytes());
                        let (flags, control) = (ControlFlags::empty(), ControlData::default());
                        Ok(DatagramInfo { len: len as u32, source: address(), flags, control })
                    };
                    self.event(Event::ReceiveFromDone { memory, result });
                }
            }
            1 if history.more().is_multiple_of(4) && !self.detach => {
                self.event(Event::Unreachable(NtStatus::PORT_UNREACHABLE));
            }
            3 if !self.sends.is_empty() => {
                let (id, messages) = self.sends.swap_remove(history.more() % self.sends.len());
                let result = match history.more() % 8 {
                    0 => Err(NtStatus::NETWORK_UNREACHABLE),
                    _ if self.detach => Err(NtStatus::CANCELLED),
                    _ => Ok(()),
                };
                let sent = if result.is_ok() { messages.len() } else { 0 };
                self.event(Event::SendToDone { id, messages, sent, result });
            }
            _ => {}
        }
        if self.detach && !self.stream && self.into.is_none() && self.sends.is_empty() {
            self.detached = true;
            self.event(Event::Detached);
        }
    }

    fn client(&mut self, history: &mut History<'_>) {
        match history.more() % 10 {
            0 | 1 => {
                let id = self.requests.make("receive");
                self.decide(|machine, fx| machine.receive_from(id, Memory::Vec(vec![0; 8]), fx));
            }
            2 => {
                let id = self.requests.make("send");
                let remote = history.more().is_multiple_of(8).then(address).or(Some(address()));
                self.decide(|machine, fx| {
                    machine.send_to(id, Memory::Vec(vec![0; 10]), remote, SendControl::default(), fx)
                });
            }
            3 => {
                let id = self.requests.make("send messages");
                let messages = (0..history.more() % 100).map(|_| Memory::Vec(vec![0; 10])).collect();
                self.decide(|machine, fx| {
                    machine.send_messages(id, messages, Some(address()), SendControl::default(), fx)
                });
            }
            4 => {
                if let Some(id) = self.requests.pick(history.more()) {
                    self.decide(|machine, fx| machine.cancel(id, fx));
                }
            }
            5 | 6 => {
                let was = std::mem::replace(&mut self.off, false);
                let mut fx = Effects::new();
                if self.machine.control_events(EventMask::RECEIVE_FROM, None, &mut fx) != NtStatus::SUCCESS {
                    self.off = was;
                }
                self.carry_out(fx);
            }
            7 => {
                let id = history.more().is_multiple_of(2).then(|| self.requests.make("disable"));
                let mut fx = Effects::new();
                let mask = EventMask::RECEIVE_FROM | EventMask::DISABLE;
                match self.machine.control_events(mask, id, &mut fx) {
                    NtStatus::SUCCESS => {
                        assert!(!self.fixed);
                        self.off = true;
                    }
                    NtStatus::PENDING => self.disabling.extend(id),
                    _ => {}
                }
                self.carry_out(fx);
            }
            8 if history.more().is_multiple_of(24) => self.close(),
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
        if let Some(list) = self.receiving.take() {
            let lent = datagram_capacity(&list);
            let answer = if history.more().is_multiple_of(3) {
                Answer::Refused(Box::new((list, lent)))
            } else {
                for datagram in &list {
                    self.took(u64::from_le_bytes(datagram.buffer.bytes()[..8].try_into().expect("eight bytes")));
                }
                self.retained.push(list);
                Answer::Done
            };
            self.decide(|machine, fx| machine.answered(CallbackKind::ReceiveFrom, answer, fx));
        } else if let Some(list) = self.retained.pop() {
            let freed = datagram_capacity(&list);
            drop(list);
            self.decide(|machine, fx| machine.released(freed, fx));
        }
    }

    fn end(mut self) {
        self.close();
        let numbers: Vec<u16> = (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 16) as u16).collect();
        let mut history = History(numbers.iter());
        while !self.closed || self.receiving.is_some() {
            assert!(history.0.len() > 0, "it never ends");
            self.transport(&mut history);
            self.answer(&mut history);
        }
        self.requests.assert_none();
        self.retained.clear();
        let leases = self.leases.clone();
        drop(self);
        assert_eq!(leases.out(), 0, "law 2: buffers were not given back");
    }
}

fn address() -> std::net::SocketAddr {
    "127.0.0.1:9".parse().expect("an address")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_datagram_socket_keeps_the_laws(numbers in proptest::collection::vec(any::<u16>(), 0..600), fixed: bool) {
        let mut model = Model::new(fixed);
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
