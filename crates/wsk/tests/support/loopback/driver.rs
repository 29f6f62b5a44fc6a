//! The loopback transport's driver: operations are noted in the socket, and each poll gives the sockets that were woken a
//! turn. Every operation ends with exactly one event (rules 1 to 4 of the contract).

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, PoisonError};

use wsk::transport::{
    Datagram, DatagramInfo, Doorbell, Driver, Event, Hangup, Incoming, IncomingId, Operation, Report, StreamEnd, Token,
};
use wsk::{ControlFlags, Memory, NtStatus};
use wsk_core::memory::{Buffer, Lease};

use super::{DATAGRAM_COST, End, IncomingWatch, Net, Op, Shared, Sock};

/// Bytes of one lent stream buffer.
const PIECE: usize = 4096;
/// Stream buffers, datagrams or connections handed out to one socket per turn.
const PER_TURN: usize = 16;

/// The driver of one processor.
pub(crate) struct LoopDriver {
    shared: Arc<Shared>,
    index: usize,
    wake: Arc<Condvar>,
    /// The endpoints of the sockets attached here.
    ends: BTreeMap<Token, u64>,
    /// Incoming connections watched for a listener here.
    watched: BTreeMap<(Token, IncomingId), u64>,
}

/// Rings by way of the network's lock, which the waiting poll gives up.
struct Bell(Arc<Shared>, usize);

impl Doorbell for Bell {
    fn ring(&self) {
        let mut net = self.0.lock();
        if let Some(waiting) = net.drivers.get_mut(self.1) {
            waiting.rung = true;
            waiting.wake.notify_one();
        }
    }
}

/// A lent buffer: bytes, and the size it is accounted at.
struct LoopLease {
    bytes: Vec<u8>,
    capacity: usize,
    shared: Arc<Shared>,
}

impl Lease for LoopLease {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    fn capacity(&self) -> usize {
        self.capacity
    }
    fn release(self: Box<Self>) {}
}

impl Drop for LoopLease {
    fn drop(&mut self) {
        self.shared.lent.fetch_sub(1, Ordering::SeqCst);
        self.shared.memory.fetch_sub(self.capacity as u64, Ordering::SeqCst);
    }
}

fn lend(shared: &Arc<Shared>, bytes: Vec<u8>, capacity: usize) -> Buffer {
    shared.lent.fetch_add(1, Ordering::SeqCst);
    shared.memory.fetch_add(capacity as u64, Ordering::SeqCst);
    shared.copied.fetch_add(bytes.len() as u64, Ordering::SeqCst);
    Buffer::new(Box::new(LoopLease { bytes, capacity, shared: shared.clone() }))
}

impl LoopDriver {
    pub(super) fn new(shared: Arc<Shared>, index: usize, wake: Arc<Condvar>) -> Self {
        Self { shared, index, wake, ends: BTreeMap::new(), watched: BTreeMap::new() }
    }

    fn watch_incoming(&mut self, net: &mut Net, token: Token, id: IncomingId, end: u64) {
        self.watched.insert((token, id), end);
        // A connection that is closed already is found by the step as well: the watch is kept apart from the socket then.
        let watch = IncomingWatch { token, driver: self.index, id, stop: false };
        match net.sock(end) {
            Some(sock) => sock.incoming_watch = Some(watch),
            None => {
                let mut gone = Sock::new(wsk::transport::Family::V4, wsk::transport::Protocol::Tcp);
                gone.incoming_watch = Some(watch);
                gone.fail(NtStatus::CONNECTION_RESET);
                net.sockets.insert(end, gone);
            }
        }
        net.wake(end);
    }
}

impl Driver for LoopDriver {
    fn submit(&mut self, token: Token, operation: Operation) {
        let shared = self.shared.clone();
        let mut net = shared.lock();
        let net = &mut *net;
        let end_of = |endpoint: &Arc<dyn wsk::transport::Endpoint>| {
            endpoint.as_any().downcast_ref::<End>().expect("an endpoint of this transport").id
        };
        let id = match &operation {
            Operation::Attach(endpoint) => {
                let id = end_of(endpoint);
                self.ends.insert(token, id);
                id
            }
            _ => *self.ends.get(&token).expect("attached first"),
        };
        let stop = |op: &mut Op| {
            if *op == Op::Running {
                *op = Op::Stopping;
            }
        };
        let begin = |op: &mut Op| {
            assert!(*op == Op::Idle, "rule 2: one operation of a kind at a time");
            *op = Op::Running;
        };
        match operation {
            Operation::WatchIncoming(incoming, endpoint) => {
                return self.watch_incoming(net, token, incoming, end_of(&endpoint));
            }
            Operation::UnwatchIncoming(incoming) => {
                let Some(end) = self.watched.get(&(token, incoming)).copied() else { return };
                if let Some(watch) = net.sock(end).and_then(|sock| sock.incoming_watch.as_mut()) {
                    watch.stop = true;
                }
                return net.wake(end);
            }
            Operation::Connect { remote, first } => {
                let sock = net.sock(id).expect("attached");
                begin(&mut sock.connect);
                sock.first = first;
                net.connect(id, remote);
                return net.wake(id);
            }
            _ => {}
        }
        let sock = net.sock(id).expect("attached");
        match operation {
            Operation::Attach(_) => sock.owner = Some((token, self.index)),
            Operation::AcceptStart => begin(&mut sock.accept),
            Operation::AcceptStop => stop(&mut sock.accept),
            Operation::ConnectCancel => stop(&mut sock.connect),
            Operation::ReceiveStart => begin(&mut sock.stream),
            Operation::ReceiveStop => stop(&mut sock.stream),
            Operation::Receive { memory, offset } => {
                assert!(sock.receive.is_none(), "rule 2");
                sock.receive = Some((memory, offset, false));
            }
            Operation::ReceiveCancel => sock.receive.iter_mut().for_each(|(.., cancelled)| *cancelled = true),
            Operation::Send { parts, offset } => {
                assert!(sock.send.is_none(), "rule 2");
                sock.send = Some((parts, offset, false));
            }
            Operation::SendCancel => sock.send.iter_mut().for_each(|(.., cancelled)| *cancelled = true),
            Operation::Watch => begin(&mut sock.watch),
            Operation::WatchCancel => stop(&mut sock.watch),
            Operation::Shutdown => begin(&mut sock.shutdown),
            Operation::ShutdownCancel => stop(&mut sock.shutdown),
            Operation::ReceiveFromStart => begin(&mut sock.from_stream),
            Operation::ReceiveFromStop => stop(&mut sock.from_stream),
            Operation::ReceiveFrom(memory) => {
                assert!(sock.receive_from.is_none(), "rule 2");
                sock.receive_from = Some((memory, false));
            }
            Operation::ReceiveFromCancel => {
                sock.receive_from.iter_mut().for_each(|(_, cancelled)| *cancelled = true);
            }
            Operation::SendTo { id, messages, sent, remote, control } => {
                assert_eq!(sent, 0, "nothing here is ever sent in part");
                sock.sends_to.push_back((id, messages, remote, control));
            }
            Operation::Detach { abort } => sock.detach = Some(abort),
            Operation::WatchIncoming(..) | Operation::UnwatchIncoming(_) | Operation::Connect { .. } => unreachable!(),
        }
        net.wake(id);
    }

    fn poll(&mut self, wait: bool, reports: &mut Vec<Report>) -> std::io::Result<()> {
        let shared = self.shared.clone();
        let mut net = shared.lock();
        loop {
            let waiting = &mut net.drivers[self.index];
            let rung = std::mem::take(&mut waiting.rung);
            let ready: Vec<u64> = waiting.ready.drain(..).collect();
            let before = reports.len();
            for id in ready {
                self.turn(&mut net, id, reports);
            }
            if reports.len() > before || rung || !wait {
                return Ok(());
            }
            if net.drivers[self.index].ready.is_empty() {
                net = self.wake.wait(net).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn doorbell(&self) -> Arc<dyn Doorbell> {
        Arc::new(Bell(self.shared.clone(), self.index))
    }
}

impl LoopDriver {
    /// One socket's turn: everything it can do now, in bounded pieces.
    fn turn(&mut self, net: &mut Net, id: u64, reports: &mut Vec<Report>) {
        self.step_watch(net, id, reports);
        let Some((token, driver)) = net.sock(id).and_then(|sock| sock.owner) else { return };
        if driver != self.index {
            return;
        }
        let mut events = Vec::new();
        step_send(net, id, &mut events);
        step_connect(net, id, &mut events);
        step_accept(net, id, &mut events);
        self.step_receive(net, id, &mut events);
        self.step_datagrams(net, id, &mut events);
        step_end(net, id, &mut events);
        let detach = net.sock(id).and_then(|sock| sock.detach);
        if let Some(abort) = detach {
            self.detach(net, (token, id), abort, &mut events, reports);
        }
        reports.extend(events.into_iter().map(|event| Report { token, event }));
    }

    /// The watch of a connection that nobody owns yet.
    fn step_watch(&mut self, net: &mut Net, id: u64, reports: &mut Vec<Report>) {
        let Some(sock) = net.sock(id) else { return };
        let gone = sock.failure.is_some() || sock.fin_in;
        let Some(watch) = sock.incoming_watch.take_if(|watch| watch.stop || gone) else { return };
        self.watched.remove(&(watch.token, watch.id));
        let event = Event::IncomingEnded { id: watch.id, gone: gone && !watch.stop };
        reports.push(Report { token: watch.token, event });
    }

    fn step_receive(&mut self, net: &mut Net, id: u64, events: &mut Vec<Event>) {
        let Some(sock) = net.sock(id) else { return };
        let mut took = false;
        if let Some((mut memory, offset, cancelled)) = sock.receive.take() {
            match sock.read(&mut memory, offset) {
                Ok(None) if cancelled => {
                    events.push(Event::ReceiveDone { memory, result: Err(StreamEnd::Stopped) });
                }
                Ok(None) => sock.receive = Some((memory, offset, cancelled)),
                Ok(Some(0)) => events.push(Event::ReceiveDone { memory, result: Err(StreamEnd::Fin) }),
                Ok(Some(n)) => {
                    took = true;
                    self.shared.copied.fetch_add(n as u64, Ordering::SeqCst);
                    events.push(Event::ReceiveDone { memory, result: Ok(n) });
                }
                Err(status) => events.push(Event::ReceiveDone { memory, result: Err(StreamEnd::Failed(status)) }),
            }
        }
        let mut again = false;
        if sock.stream != Op::Idle {
            let turns = if sock.stream == Op::Stopping { 0 } else { PER_TURN };
            for _ in 0..turns {
                let n = sock.incoming.len().min(PIECE);
                if n == 0 {
                    break;
                }
                took = true;
                let bytes = sock.incoming.drain(..n).collect();
                let drained = sock.incoming.is_empty();
                events.push(Event::Received { buffer: lend(&self.shared, bytes, PIECE), drained });
            }
            let end = match (sock.stream, sock.failure) {
                (Op::Stopping, _) => Some(StreamEnd::Stopped),
                _ if !sock.incoming.is_empty() => None,
                (_, Some(status)) => Some(StreamEnd::Failed(status)),
                _ => sock.fin_in.then_some(StreamEnd::Fin),
            };
            if let Some(end) = end {
                sock.stream = Op::Idle;
                events.push(Event::ReceiveStopped(end));
            }
            again = sock.stream != Op::Idle && !sock.incoming.is_empty();
        }
        let peer = sock.peer;
        if again {
            net.wake(id);
        }
        if let (true, Some(peer)) = (took, peer) {
            net.wake(peer); // its window has opened
        }
    }

    fn step_datagrams(&mut self, net: &mut Net, id: u64, events: &mut Vec<Event>) {
        while let Some((send, messages, remote, control)) = net.sock(id).and_then(|sock| sock.sends_to.pop_front()) {
            let results: Vec<_> = messages.iter().map(|memory| net.send_to(id, memory, remote, &control)).collect();
            let sent = results.iter().take_while(|result| result.is_ok()).count();
            let result = results.get(sent).copied().unwrap_or(Ok(()));
            events.push(Event::SendToDone { id: send, messages, sent, result });
        }
        let Some(sock) = net.sock(id) else { return };
        if let Some((mut memory, cancelled)) = sock.receive_from.take() {
            match sock.take_datagram() {
                Some((bytes, source, control)) => {
                    let len = memory.write(0, &bytes);
                    let mut flags = ControlFlags::empty();
                    flags.set(ControlFlags::TRUNC, len < bytes.len());
                    let info = DatagramInfo { len: len as u32, source, flags, control };
                    events.push(Event::ReceiveFromDone { memory, result: Ok(info) });
                }
                None if cancelled => {
                    events.push(Event::ReceiveFromDone { memory, result: Err(NtStatus::CANCELLED) });
                }
                None => sock.receive_from = Some((memory, cancelled)),
            }
        }
        if sock.from_stream == Op::Running {
            for _ in 0..PER_TURN {
                let Some((bytes, source, control)) = sock.take_datagram() else { break };
                let capacity = bytes.len() + DATAGRAM_COST;
                let buffer = lend(&self.shared, bytes, capacity);
                events.push(Event::Datagram(Datagram { buffer, source, flags: ControlFlags::empty(), control }));
            }
        }
        if sock.from_stream == Op::Stopping {
            sock.from_stream = Op::Idle;
            events.push(Event::DatagramsStopped(Ok(())));
        }
        if sock.from_stream == Op::Running && !sock.datagrams.is_empty() {
            net.wake(id);
        }
    }

    /// The end: what is in flight ends, then comes Detached.
    fn detach(
        &mut self,
        net: &mut Net,
        (token, id): (Token, u64),
        abort: bool,
        events: &mut Vec<Event>,
        reports: &mut Vec<Report>,
    ) {
        let Some(sock) = net.sock(id) else { return };
        let cancelled = NtStatus::CANCELLED;
        if let Some((memory, ..)) = sock.receive.take() {
            events.push(Event::ReceiveDone { memory, result: Err(StreamEnd::Stopped) });
        }
        if let Some((parts, sent, _)) = sock.send.take() {
            events.push(Event::SendDone { parts, sent, result: Err(cancelled) });
        }
        if let Some((memory, _)) = sock.receive_from.take() {
            events.push(Event::ReceiveFromDone { memory, result: Err(cancelled) });
        }
        let ends = [
            (sock.accept, Event::AcceptStopped(Ok(()))),
            (sock.connect, Event::Connected { result: Err(cancelled), first: std::mem::take(&mut sock.first) }),
            (sock.stream, Event::ReceiveStopped(StreamEnd::Stopped)),
            (sock.watch, Event::Hangup(Hangup::Cancelled)),
            (sock.shutdown, Event::ShutdownDone(Err(cancelled))),
            (sock.from_stream, Event::DatagramsStopped(Ok(()))),
        ];
        events.extend(ends.into_iter().filter(|(op, _)| *op != Op::Idle).map(|(_, event)| event));
        net.close(id, abort);
        self.ends.remove(&token);
        let watches: VecDeque<_> = self.watched.keys().filter(|(owner, _)| *owner == token).copied().collect();
        for key in watches {
            if let Some(sock) = self.watched.remove(&key).and_then(|end| net.sock(end)) {
                sock.incoming_watch = None;
            }
            reports.push(Report { token, event: Event::IncomingEnded { id: key.1, gone: false } });
        }
        events.push(Event::Detached);
    }
}

fn step_send(net: &mut Net, id: u64, events: &mut Vec<Event>) {
    let Some((parts, mut offset, cancelled)) = net.sock(id).and_then(|sock| sock.send.take()) else { return };
    let total: usize = parts.iter().map(Memory::len).sum();
    let mut skip = offset;
    let mut pieces = Vec::new();
    for part in &parts {
        pieces.extend(part.segments(skip.min(part.len())));
        skip = skip.saturating_sub(part.len());
    }
    let result = net.send(id, &pieces);
    drop(pieces);
    if let Ok(Some(n)) = result {
        offset += n;
    }
    let result = match result {
        Err(status) => Err(status),
        Ok(_) if offset >= total => Ok(()),
        Ok(_) if cancelled => Err(NtStatus::CANCELLED),
        Ok(_) => {
            if let Some(sock) = net.sock(id) {
                sock.send = Some((parts, offset, cancelled));
            }
            return;
        }
    };
    events.push(Event::SendDone { parts, sent: offset, result });
}

fn step_connect(net: &mut Net, id: u64, events: &mut Vec<Event>) {
    let Some(sock) = net.sock(id) else { return };
    let result = match (sock.connect, sock.connected.take()) {
        (Op::Idle, _) | (Op::Running, None) => return,
        (_, Some(result)) => result,
        (Op::Stopping, None) => Err(NtStatus::CANCELLED),
    };
    sock.connect = Op::Idle;
    if result.is_err() {
        sock.remote = None;
    }
    events.push(Event::Connected { result: result.map(|()| 0), first: std::mem::take(&mut sock.first) });
}

fn step_accept(net: &mut Net, id: u64, events: &mut Vec<Event>) {
    let Some(sock) = net.sock(id) else { return };
    match sock.accept {
        Op::Idle => return,
        Op::Stopping => {
            sock.accept = Op::Idle;
            return events.push(Event::AcceptStopped(Ok(())));
        }
        Op::Running => {}
    }
    for _ in 0..PER_TURN {
        let Some(connection) = net.sock(id).and_then(|sock| sock.backlog.pop_front()) else { break };
        let Some(accepted) = net.sock(connection) else { continue };
        if accepted.failure.is_some() {
            net.close(connection, false); // F-137
            continue;
        }
        let shown = |address: Option<std::net::SocketAddr>| accepted.shown(address.expect("connected"));
        let (local, remote) = (shown(accepted.local), shown(accepted.remote));
        let Some(endpoint) = net.endpoint(connection) else { continue };
        events.push(Event::Accepted(Incoming { endpoint, local, remote }));
    }
    net.admit(id);
    if net.sock(id).is_some_and(|sock| !sock.backlog.is_empty()) {
        net.wake(id);
    }
}

/// The FIN of a shutdown, and what a watch sees.
fn step_end(net: &mut Net, id: u64, events: &mut Vec<Event>) {
    let Some(sock) = net.sock(id) else { return };
    if sock.shutdown != Op::Idle {
        sock.shutdown = Op::Idle;
        let result = sock.failure.map_or(Ok(()), Err);
        sock.fin_out = true;
        let peer = sock.peer;
        if let (Ok(()), Some(peer)) = (result, peer) {
            if let Some(other) = net.sock(peer) {
                other.fin_in = true;
            }
            net.wake(peer);
        }
        events.push(Event::ShutdownDone(result));
    }
    let Some(sock) = net.sock(id) else { return };
    let unread = sock.incoming.len();
    let hangup = match (sock.watch, sock.failure) {
        (Op::Idle, _) => return,
        (_, Some(status)) => Hangup::Failed { status, unread },
        _ if sock.fin_in => Hangup::Fin { unread },
        (Op::Stopping, _) => Hangup::Cancelled,
        (Op::Running, _) => return,
    };
    sock.watch = Op::Idle;
    events.push(Event::Hangup(hangup));
}
