//! Sockets on the way up: binds, listens and connects that take their time, while the client cancels and closes (promises 1 and 3),
//! and the switch to silence.

use proptest::prelude::*;
use wsk_abi::flags::{DisconnectFlags, EventMask, ReceiveFlags, SendFlags};
use wsk_abi::status::NtStatus;
use wsk_core::effect::{Effect, Effects};
use wsk_core::memory::Memory;
use wsk_core::request::RequestId;
use wsk_core::socket::connection::{Connection, Events, State};
use wsk_core::socket::datagram::DatagramSocket;
use wsk_core::socket::listen::Listen;
use wsk_core::socket::stream::Stream;
use wsk_core::transport::{Event, Family, Gather, Operation};

use crate::support::{History, Requests};

enum Machine {
    Listen(Box<Listen>),
    Datagram(Box<DatagramSocket>),
    Connection(Box<Connection>),
    Stream(Box<Stream>),
}

/// Calls the same method of whichever machine it is.
macro_rules! any {
    ($machine:expr, $m:ident => $call:expr) => {
        match $machine {
            Machine::Listen($m) => $call,
            Machine::Datagram($m) => $call,
            Machine::Connection($m) => $call,
            Machine::Stream($m) => $call,
        }
    };
}

impl Machine {
    fn new(kind: usize) -> Self {
        let none = EventMask::empty();
        let events = Events { available: none, fixed: none, inherited: none };
        match kind % 4 {
            0 => Machine::Listen(Box::new(Listen::new(Family::V4, events, false))),
            1 => Machine::Datagram(Box::new(DatagramSocket::new(Family::V4, events, false))),
            2 => Machine::Connection(Box::new(Connection::new(Family::V4, events))),
            _ => Machine::Stream(Box::new(Stream::new(Family::V4, events))),
        }
    }

    fn connection(&mut self) -> Option<&mut Connection> {
        match self {
            Machine::Connection(m) => Some(m),
            Machine::Stream(m) => m.as_connection(),
            _ => None,
        }
    }
}

/// What the endpoint has been asked and has not answered yet.
#[derive(Default)]
struct Endpoint {
    bind: bool,
    listen: bool,
    connect: Option<Memory>,
    connect_cancel: bool,
    send: Option<Gather>,
    /// Streaming operations, which end when the endpoint is taken away.
    streaming: Vec<Event>,
    detach: bool,
    detached: bool,
    /// Asked to be silent, and the state to go back to.
    silencing: Option<State>,
}

struct Model {
    machine: Machine,
    requests: Requests,
    endpoint: Endpoint,
    closing: bool,
    closed: bool,
    broken: bool,
}

impl Model {
    fn decide<R>(&mut self, decide: impl FnOnce(&mut Machine, &mut Effects) -> R) -> R {
        let mut fx = Effects::new();
        let result = decide(&mut self.machine, &mut fx);
        for effect in fx.list {
            assert!(!self.closed, "after the close completed: {effect:?}");
            match effect {
                Effect::Complete(done) => {
                    if self.requests.complete(done.request, done.status) == "close" {
                        self.closed = true;
                    }
                }
                Effect::Bind(_) => assert!(!std::mem::replace(&mut self.endpoint.bind, true), "one bind at a time"),
                Effect::Listen => assert!(!std::mem::replace(&mut self.endpoint.listen, true), "one listen at a time"),
                Effect::Submit(operation) => self.submit(operation),
                Effect::Release(_) | Effect::SampleBacklog => {}
                other => panic!("nothing calls this client: {other:?}"),
            }
        }
        result
    }

    fn submit(&mut self, operation: Operation) {
        let silent = self.machine.connection().is_some_and(|connection| connection.state() == State::Silent);
        let ends = matches!(operation, Operation::ReceiveCancel | Operation::ReceiveStop | Operation::Detach { .. });
        assert!(!silent || ends, "begun in silence: {operation:?}");
        let endpoint = &mut self.endpoint;
        assert!(!endpoint.detach, "after a detach: {operation:?}");
        match operation {
            Operation::Connect { first, .. } => assert!(endpoint.connect.replace(first).is_none()),
            Operation::ConnectCancel => {
                assert!(endpoint.connect.is_some());
                endpoint.connect_cancel = true;
            }
            Operation::Send { parts, .. } => assert!(endpoint.send.replace(parts).is_none()),
            Operation::Detach { .. } => endpoint.detach = true,
            Operation::SendCancel => {}
            other => endpoint.streaming.extend(other.refused(NtStatus::CANCELLED)),
        }
    }

    fn event(&mut self, event: Event) {
        self.decide(|machine, fx| {
            any!(machine, m => {
                m.handle(event, fx);
                m.advance(fx);
            });
        });
    }

    fn transport(&mut self, history: &mut History<'_>) {
        let what = history.more();
        let good = !history.more().is_multiple_of(4);
        let local = address();
        match what % 6 {
            // The endpoint answers a bind or a listen whether its socket is being closed or not.
            0 if std::mem::take(&mut self.endpoint.bind) => {
                let result = if good { Ok(local) } else { Err(NtStatus::ADDRESS_ALREADY_EXISTS) };
                self.decide(|machine, fx| any!(machine, m => m.bound(result, fx)));
            }
            1 if std::mem::take(&mut self.endpoint.listen) => {
                let result = if good { Ok(()) } else { Err(NtStatus::INSUFFICIENT_RESOURCES) };
                self.decide(|machine, fx| match machine {
                    Machine::Listen(m) => m.listening(result, fx),
                    Machine::Stream(m) => m.listening(result, fx),
                    _ => panic!("it does not listen"),
                });
            }
            2 => {
                if let Some(first) = self.endpoint.connect.take() {
                    let cancelled = std::mem::take(&mut self.endpoint.connect_cancel) || self.endpoint.detach;
                    let result = match (cancelled && good, good) {
                        (true, _) => Err(NtStatus::CANCELLED),
                        (false, true) => Ok(what / 6 % (first.len() + 1)), // some of it went with the SYN
                        (false, false) => Err(NtStatus::CONNECTION_REFUSED),
                    };
                    self.event(Event::Connected { result, first });
                }
            }
            3 => {
                if let Some(parts) = self.endpoint.send.take() {
                    let sent = parts.iter().map(Memory::len).sum();
                    self.event(Event::SendDone { parts, sent, result: Ok(()) });
                }
            }
            4 => {
                if let Some(before) = self.endpoint.silencing.take() {
                    self.decide(|machine, fx| match machine.connection() {
                        Some(connection) if good => connection.silenced(),
                        Some(connection) => connection.unsilence(before, fx),
                        None => {}
                    });
                }
            }
            _ if self.endpoint.detach && !self.endpoint.detached => self.let_go(),
            _ => {}
        }
    }

    /// What is in flight reports, and then the endpoint is gone.
    fn let_go(&mut self) {
        if self.endpoint.connect.is_some() || self.endpoint.send.is_some() {
            return;
        }
        self.endpoint.detached = true;
        for event in std::mem::take(&mut self.endpoint.streaming) {
            self.event(event);
        }
        self.event(Event::Detached);
    }

    fn client(&mut self, history: &mut History<'_>) {
        match history.more() % 12 {
            0..=2 => {
                let id = self.requests.make("bind");
                self.decide(|machine, fx| any!(machine, m => m.bind(id, address(), fx)));
            }
            3 => {
                let id = self.requests.make("listen");
                self.decide(|machine, fx| match machine {
                    Machine::Stream(m) => m.listen(id, fx),
                    _ => fx.refuse(id, NtStatus::INVALID_DEVICE_REQUEST),
                });
            }
            4 | 5 => {
                let id = self.requests.make("connect");
                let data = match history.more() % 3 {
                    0 => Memory::None,
                    1 => Memory::Vec(Vec::new()),
                    _ => Memory::Vec(vec![1; 10]),
                };
                self.decide(|machine, fx| match machine.connection() {
                    Some(connection) => connection.connect_ex(id, address(), data, fx),
                    None => fx.refuse(id, NtStatus::INVALID_DEVICE_STATE),
                });
            }
            6 => {
                if let Some(id) = self.requests.pick(history.more()) {
                    self.decide(|machine, fx| any!(machine, m => m.cancel(id, fx)));
                }
            }
            7 => {
                let id = self.requests.make("send");
                self.decide(|machine, fx| match machine.connection() {
                    Some(connection) => connection.send(id, Memory::Vec(vec![2; 5]), SendFlags::empty(), fx),
                    None => fx.refuse(id, NtStatus::INVALID_DEVICE_STATE),
                });
            }
            8 if history.more().is_multiple_of(2) => {
                let id = self.requests.make("receive");
                self.decide(|machine, fx| match machine.connection() {
                    Some(connection) => connection.receive(id, Memory::Vec(vec![0; 5]), ReceiveFlags::empty(), fx),
                    None => fx.refuse(id, NtStatus::INVALID_DEVICE_STATE),
                });
            }
            8 => {
                let id = self.requests.make("abort");
                self.decide(|machine, fx| match machine.connection() {
                    Some(connection) => connection.disconnect(id, Memory::None, DisconnectFlags::ABORTIVE, fx),
                    None => fx.refuse(id, NtStatus::INVALID_DEVICE_STATE),
                });
            }
            9 if self.endpoint.silencing.is_none() => {
                let begun = self.decide(|machine, _| machine.connection().map(|connection| connection.begin_silence()));
                if let Some(Ok(before)) = begun {
                    self.endpoint.silencing = Some(before);
                }
            }
            10 if history.more().is_multiple_of(8) && !std::mem::replace(&mut self.broken, true) => {
                self.decide(|machine, fx| any!(machine, m => m.break_down(fx)));
            }
            11 if history.more().is_multiple_of(6) => self.close(),
            _ => {}
        }
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.closing, true) {
            let id: RequestId = self.requests.make("close");
            self.decide(|machine, fx| any!(machine, m => m.close(id, fx)));
        }
    }

    fn end(mut self) {
        self.close();
        let numbers: Vec<u16> = (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 16) as u16).collect();
        let mut history = History(numbers.iter());
        while !self.closed || self.endpoint.bind || self.endpoint.listen {
            assert!(history.0.len() > 0, "it never ends");
            self.transport(&mut history);
        }
        self.requests.assert_none();
    }
}

fn address() -> std::net::SocketAddr {
    "127.0.0.1:9".parse().expect("an address")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn sockets_on_the_way_up_keep_the_laws(numbers in proptest::collection::vec(any::<u16>(), 0..200), kind: usize) {
        let mut model = Model {
            machine: Machine::new(kind),
            requests: Requests::default(),
            endpoint: Endpoint::default(),
            closing: false,
            closed: false,
            broken: false,
        };
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
