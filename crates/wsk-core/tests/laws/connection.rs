//! Connections: a model of the kernel below and the client above.

use std::collections::BTreeSet;

use proptest::prelude::*;
use wsk_abi::flags::{DisconnectFlags, EventMask, ReceiveFlags, SendFlags};
use wsk_abi::status::NtStatus;
use wsk_core::effect::{Callback, CallbackKind, DeadEvent, Effect, Effects};
use wsk_core::indication::{Answer, capacity};
use wsk_core::memory::{Buffer, BufferList, Memory};
use wsk_core::request::RequestId;
use wsk_core::socket::connection::{Connection, Events};
use wsk_core::transport::{Event, Gather, Hangup, Operation, StreamEnd};

use crate::support::{History, Leases, Requests, byte};

const ALL: EventMask = EventMask::RECEIVE.union(EventMask::DISCONNECT).union(EventMask::SEND_BACKLOG);

/// The transport's operations in flight, and the stream behind them.
#[derive(Default)]
struct Kernel {
    stream: bool,
    stream_stop: bool,
    into: Option<(Memory, usize)>,
    into_cancel: bool,
    send: Option<(Gather, usize)>,
    send_cancel: bool,
    watch: bool,
    watch_cancel: bool,
    shutdown: bool,
    shutdown_cancel: bool,
    detach: bool,
    detached: bool,
    /// Stream position up to which the peer has sent, and up to which it was read.
    sent: usize,
    read: usize,
    fin: bool,
    reset: bool,
}

struct Model {
    machine: Connection,
    requests: Requests,
    leases: Leases,
    kernel: Kernel,
    /// Bytes the client has taken, by whichever way.
    taken: usize,
    /// A receive callback that has not returned.
    receiving: Option<BufferList>,
    /// Other callbacks that have not returned.
    calling: Vec<CallbackKind>,
    retained: Vec<BufferList>,
    /// Events whose disable has completed and that were not enabled since.
    off: BTreeSet<u32>,
    disabling: Vec<(RequestId, EventMask)>,
    fixed: EventMask,
    closed: bool,
    closing: bool,
    zero_after_end: bool,
}

impl Model {
    fn new(fixed: EventMask) -> Self {
        let address = "127.0.0.1:1".parse().expect("an address");
        let events = Events { available: ALL, fixed, inherited: EventMask::empty() };
        let mut this = Self {
            machine: Connection::accepted(address, address, events, false),
            requests: Requests::default(),
            leases: Leases::default(),
            kernel: Kernel::default(),
            taken: 0,
            receiving: None,
            calling: Vec::new(),
            retained: Vec::new(),
            off: ALL.iter().filter(|e| !fixed.contains(*e)).map(|e| e.bits()).collect(),
            disabling: Vec::new(),
            fixed,
            closed: false,
            closing: false,
            zero_after_end: false,
        };
        this.decide(Connection::advance);
        this
    }

    fn decide(&mut self, decide: impl FnOnce(&mut Connection, &mut Effects)) {
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
                    if let Some(at) = self.disabling.iter().position(|(id, _)| *id == done.request) {
                        let (_, event) = self.disabling.remove(at);
                        self.off.insert(event.bits());
                    }
                    match kind {
                        "receive" => self.received(&done.memory, done.information, done.status),
                        "close" => {
                            assert!(self.calling.is_empty() && self.receiving.is_none(), "a callback is still running");
                            self.closed = true;
                        }
                        _ => {}
                    }
                }
                Effect::Submit(operation) => self.submit(operation),
                Effect::Call(callback) => self.called(callback),
                Effect::SampleBacklog | Effect::Release(_) => {}
                other => panic!("not an effect of a connection: {other:?}"),
            }
        }
    }

    /// Law 2: what a receive got is what comes next in the stream.
    fn received(&mut self, memory: &Memory, information: usize, status: NtStatus) {
        assert!(!status.is_success() || !self.zero_after_end || information == 0, "data after the end");
        if let Memory::Vec(buffer) = memory {
            for (n, got) in buffer[..information].iter().enumerate() {
                assert_eq!(*got, byte(self.taken + n), "byte {} of the stream", self.taken + n);
            }
            self.taken += information;
        }
    }

    fn called(&mut self, callback: Callback) {
        let event = match callback.kind() {
            CallbackKind::Receive => EventMask::RECEIVE,
            CallbackKind::Disconnect => EventMask::DISCONNECT,
            CallbackKind::SendBacklog => EventMask::SEND_BACKLOG,
            other => panic!("not a callback of a connection: {other:?}"),
        };
        assert!(!self.off.contains(&event.bits()), "law 3: {event:?} is off");
        assert!(!self.closing, "law 3: a callback started after the close began");
        match callback {
            Callback::Receive { list, .. } => {
                assert!(self.receiving.is_none() && self.calling.iter().all(|k| *k == CallbackKind::SendBacklog));
                let mut at = self.taken;
                for buffer in &list {
                    for b in buffer.bytes() {
                        assert_eq!(*b, byte(at), "byte {at} of the stream");
                        at += 1;
                    }
                }
                self.receiving = Some(list);
            }
            other => {
                if other.kind() == CallbackKind::Disconnect {
                    assert!(self.receiving.is_none(), "disconnect while a receive callback runs");
                }
                self.calling.push(other.kind());
                if matches!(other, Callback::Dead(DeadEvent::Receive)) {
                    assert!(self.receiving.is_none());
                }
            }
        }
    }

    /// The contract: one operation of a kind, and nothing after a detach.
    fn submit(&mut self, operation: Operation) {
        let k = &mut self.kernel;
        assert!(!k.detach, "after a detach: {operation:?}");
        match operation {
            Operation::ReceiveStart => {
                assert!(!k.stream && k.into.is_none());
                k.stream = true;
            }
            Operation::ReceiveStop => {
                assert!(k.stream && !k.stream_stop);
                k.stream_stop = true;
            }
            Operation::Receive { memory, offset } => {
                assert!(!k.stream && k.into.is_none());
                k.into = Some((memory, offset));
            }
            Operation::ReceiveCancel => {
                assert!(k.into.is_some());
                k.into_cancel = true;
            }
            Operation::Send { parts, offset } => {
                assert!(k.send.is_none() && !k.shutdown);
                k.send = Some((parts, offset));
            }
            Operation::SendCancel => {
                assert!(k.send.is_some());
                k.send_cancel = true;
            }
            Operation::Watch => assert!(!std::mem::replace(&mut k.watch, true)),
            Operation::WatchCancel => {
                assert!(k.watch);
                k.watch_cancel = true;
            }
            Operation::Shutdown => assert!(!std::mem::replace(&mut k.shutdown, true)),
            Operation::ShutdownCancel => k.shutdown_cancel = true,
            Operation::Detach { .. } => k.detach = true,
            other => panic!("not an operation of a connection: {other:?}"),
        }
    }

    fn data(&mut self, n: usize) -> Vec<u8> {
        let from = self.kernel.read;
        self.kernel.read += n;
        (from..from + n).map(byte).collect()
    }

    /// The transport does one thing, if it can.
    fn transport(&mut self, history: &mut History<'_>) {
        let what = history.more();
        let unread = self.kernel.sent - self.kernel.read;
        let end = if self.kernel.reset {
            Some(StreamEnd::Failed(NtStatus::CONNECTION_RESET))
        } else {
            (self.kernel.fin).then_some(StreamEnd::Fin)
        };
        if self.kernel.detached {
            return;
        }
        match what % 8 {
            0 if !self.kernel.fin && !self.kernel.reset => self.kernel.sent += 1 + history.more() % 300,
            1 if history.more().is_multiple_of(8) => self.kernel.fin = true,
            2 if history.more().is_multiple_of(16) => self.kernel.reset = true,
            3 | 4 if self.kernel.stream => {
                if unread > 0 && !(self.kernel.stream_stop && what.is_multiple_of(2)) {
                    let n = 1 + history.more() % unread;
                    let bytes = self.data(n);
                    let buffer = self.leases.lend(bytes);
                    self.stream_data(buffer, what);
                } else if self.kernel.stream_stop || self.kernel.detach || (unread == 0 && end.is_some()) {
                    let stop = self.kernel.stream_stop || self.kernel.detach;
                    let end = end.filter(|_| unread == 0 && !stop).unwrap_or(StreamEnd::Stopped);
                    (self.kernel.stream, self.kernel.stream_stop) = (false, false);
                    self.event(Event::ReceiveStopped(end));
                }
            }
            5 if self.kernel.into.is_some() => self.finish_into(unread, end, history.more()),
            6 if self.kernel.send.is_some() => self.finish_send(history.more()),
            7 => self.small_ends(unread, end),
            _ => {}
        }
        let idle = !self.kernel.stream && self.kernel.into.is_none() && self.kernel.send.is_none();
        if self.kernel.detach && idle && !self.kernel.watch && !self.kernel.shutdown {
            self.kernel.detached = true;
            self.event(Event::Detached);
        }
    }

    /// Half of the time by the straight path, which must not make a difference.
    fn stream_data(&mut self, buffer: Buffer, choice: usize) {
        let drained = self.kernel.sent == self.kernel.read;
        if choice.is_multiple_of(3) {
            match self.machine.straight_receive(buffer, drained) {
                Ok((list, flags)) => self.called(Callback::Receive { list, flags }),
                Err(buffer) => self.event(Event::Received { buffer, drained }),
            }
        } else {
            self.event(Event::Received { buffer, drained });
        }
    }

    fn finish_into(&mut self, unread: usize, end: Option<StreamEnd>, n: usize) {
        let cancelled = self.kernel.into_cancel || self.kernel.detach;
        if unread == 0 && end.is_none() && !cancelled {
            return;
        }
        let Some((mut memory, offset)) = self.kernel.into.take() else { return };
        self.kernel.into_cancel = false;
        let result = if unread > 0 && !(cancelled && n.is_multiple_of(2)) {
            let room = memory.len() - offset;
            let bytes = self.data((1 + n % unread).min(room));
            assert_eq!(memory.write(offset, &bytes), bytes.len());
            Ok(bytes.len())
        } else if cancelled {
            Err(StreamEnd::Stopped)
        } else {
            Err(end.expect("looked at above"))
        };
        self.event(Event::ReceiveDone { memory, result });
    }

    fn finish_send(&mut self, n: usize) {
        let Some((parts, offset)) = self.kernel.send.take() else { return };
        let total: usize = parts.iter().map(Memory::len).sum();
        let cancelled = std::mem::take(&mut self.kernel.send_cancel) || self.kernel.detach;
        let (sent, result) = if self.kernel.reset {
            (offset, Err(NtStatus::CONNECTION_RESET))
        } else if cancelled && !n.is_multiple_of(4) {
            (offset + n % (total - offset + 1), Err(NtStatus::CANCELLED))
        } else {
            (total, Ok(()))
        };
        if result.is_err() && sent == total {
            return self.event(Event::SendDone { parts, sent, result: Ok(()) });
        }
        let parts = if result.is_ok() && n.is_multiple_of(2) {
            match self.machine.straight_sent(parts) {
                Ok((id, _, _)) => {
                    self.requests.complete(id, NtStatus::SUCCESS);
                    return;
                }
                Err(parts) => parts,
            }
        } else {
            parts
        };
        self.event(Event::SendDone { parts, sent, result });
    }

    fn small_ends(&mut self, unread: usize, end: Option<StreamEnd>) {
        if self.kernel.watch {
            let hangup = match end {
                _ if self.kernel.watch_cancel || self.kernel.detach => Some(Hangup::Cancelled),
                Some(StreamEnd::Fin) => Some(Hangup::Fin { unread }),
                Some(StreamEnd::Failed(status)) => Some(Hangup::Failed { status, unread }),
                _ => None,
            };
            if let Some(hangup) = hangup {
                (self.kernel.watch, self.kernel.watch_cancel) = (false, false);
                self.event(Event::Hangup(hangup));
            }
        }
        if self.kernel.shutdown {
            self.kernel.shutdown = false;
            let cancelled = std::mem::take(&mut self.kernel.shutdown_cancel) || self.kernel.detach;
            let result = match (cancelled, self.kernel.reset) {
                (true, _) => Err(NtStatus::CANCELLED),
                (false, true) => Err(NtStatus::CONNECTION_RESET),
                (false, false) => Ok(()),
            };
            self.event(Event::ShutdownDone(result));
        }
    }

    fn event(&mut self, event: Event) {
        self.decide(|machine, fx| {
            machine.handle(event, fx);
            machine.advance(fx);
        });
    }

    /// The client does one thing.
    fn client(&mut self, history: &mut History<'_>) {
        match history.more() % 12 {
            0 | 1 => {
                let flags = match history.more() % 8 {
                    0 => ReceiveFlags::WAITALL,
                    1 => ReceiveFlags::DRAIN,
                    _ => ReceiveFlags::empty(),
                };
                // A drain takes bytes nobody sees; the model would lose count, so it comes only on a stream it may end.
                let flags = if flags == ReceiveFlags::DRAIN { ReceiveFlags::empty() } else { flags };
                let memory = Memory::Vec(vec![0; history.more() % 200]);
                let id = self.requests.make("receive");
                self.decide(|machine, fx| machine.receive(id, memory, flags, fx));
            }
            2 | 3 => {
                let memory = Memory::Vec(vec![1; history.more() % 500]);
                let id = self.requests.make("send");
                let straight = history.more().is_multiple_of(2);
                let memory = if straight {
                    match self.machine.straight_send(id, memory) {
                        Ok(operation) => return self.submit(operation),
                        Err(memory) => memory,
                    }
                } else {
                    memory
                };
                self.decide(|machine, fx| machine.send(id, memory, SendFlags::empty(), fx));
            }
            4 if history.more().is_multiple_of(4) => {
                let abortive = history.more().is_multiple_of(3);
                let flags = if abortive { DisconnectFlags::ABORTIVE } else { DisconnectFlags::empty() };
                let memory = if abortive { Memory::None } else { Memory::Vec(vec![2; history.more() % 3]) };
                let id = self.requests.make("disconnect");
                self.decide(|machine, fx| machine.disconnect(id, memory, flags, fx));
            }
            5 => {
                if let Some(id) = self.requests.pick(history.more()) {
                    self.decide(|machine, fx| machine.cancel(id, fx));
                }
            }
            6 | 7 => {
                let events = EventMask::from_bits_retain([0x40, 0x80, 0x10, 0xC0][history.more() % 4]);
                let mut fx = Effects::new();
                let before = self.off.clone();
                for event in events.iter() {
                    self.off.remove(&event.bits());
                }
                if self.machine.control_events(events, None, &mut fx) != NtStatus::SUCCESS {
                    self.off = before;
                }
                self.carry_out(fx);
            }
            8 => self.disable(history),
            9 if history.more().is_multiple_of(24) && !self.closing => self.close(),
            10 | 11 => self.answer(history),
            _ => {}
        }
    }

    fn disable(&mut self, history: &mut History<'_>) {
        let event = EventMask::from_bits_retain([0x40, 0x80, 0x10][history.more() % 3]);
        let mask = event | EventMask::DISABLE;
        let mut fx = Effects::new();
        let id = history.more().is_multiple_of(2).then(|| self.requests.make("disable"));
        let status = self.machine.control_events(mask, id, &mut fx);
        match status {
            NtStatus::SUCCESS => {
                assert!(!self.fixed.contains(event));
                self.off.insert(event.bits());
            }
            NtStatus::PENDING => self.disabling.extend(id.map(|id| (id, event))),
            _ => {}
        }
        self.carry_out(fx);
    }

    fn close(&mut self) {
        self.closing = true;
        let id = self.requests.make("close");
        self.decide(|machine, fx| machine.close(id, fx));
    }

    /// A callback returns, or an indication is released.
    fn answer(&mut self, history: &mut History<'_>) {
        if !self.calling.is_empty() {
            let kind = self.calling.swap_remove(history.more() % self.calling.len());
            return self.decide(|machine, fx| machine.answered(kind, Answer::Done, fx));
        }
        if let Some(mut list) = self.receiving.take() {
            let total: usize = list.iter().map(Buffer::len).sum();
            let lent = capacity(&list);
            match history.more() % 4 {
                0 => {
                    self.taken += total;
                    self.retained.push(list);
                    if history.more().is_multiple_of(2) && self.machine.straight_answer() {
                        return;
                    }
                    self.decide(|machine, fx| machine.answered(CallbackKind::Receive, Answer::Done, fx));
                }
                1 => {
                    self.taken += total;
                    drop(list);
                    self.decide(|machine, fx| {
                        machine.released(lent, fx);
                        machine.answered(CallbackKind::Receive, Answer::Done, fx);
                    });
                }
                2 => {
                    let mut left = history.more() % total;
                    self.taken += left;
                    while let Some(first) = list.first_mut()
                        && left > 0
                    {
                        let n = left.min(first.len());
                        first.advance(n);
                        left -= n;
                        if first.is_empty() {
                            list.remove(0);
                        }
                    }
                    let answer = Answer::Unread(Box::new((list, lent)));
                    self.decide(|machine, fx| machine.answered(CallbackKind::Receive, answer, fx));
                }
                _ => {
                    let answer = Answer::Unread(Box::new((list, lent)));
                    self.decide(|machine, fx| machine.answered(CallbackKind::Receive, answer, fx));
                }
            }
        } else if !self.retained.is_empty() {
            let list = self.retained.swap_remove(history.more() % self.retained.len());
            let freed = capacity(&list);
            drop(list);
            self.decide(|machine, fx| machine.released(freed, fx));
        }
    }

    /// Everything is closed and runs out.
    fn end(mut self) {
        if !self.closing {
            self.close();
        }
        let numbers: Vec<u16> = (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 16) as u16).collect();
        let mut history = History(numbers.iter());
        while !self.closed || self.receiving.is_some() || !self.calling.is_empty() {
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

fn run(fixed: EventMask, numbers: &[u16]) {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_connection_keeps_the_laws(numbers in proptest::collection::vec(any::<u16>(), 0..600), fixed in 0u8..4) {
        let fixed = match fixed {
            0 => EventMask::RECEIVE | EventMask::DISCONNECT,
            1 => EventMask::RECEIVE,
            _ => EventMask::empty(),
        };
        run(fixed, &numbers);
    }
}
