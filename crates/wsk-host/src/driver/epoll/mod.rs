//! The epoll driver: readiness, edge-triggered, each descriptor registered once; operations are tried when ready.
//!
//! Submitting only notes an operation and queues its socket. A poll gives every queued socket a bounded turn, so that
//! none starves the rest.

mod socket;
mod step;

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use slotmap::{Key, KeyData, SlotMap};
use wsk_abi::status::NtStatus;
use wsk_core::memory::Memory;
use wsk_core::transport::{Doorbell, Driver, Event, IncomingId, Operation, Report, Token};

use socket::{Connect, Connecting, Sending, SendingTo, Shutting, Socket};

use crate::background::Background;
use crate::bell::Bell;
use crate::driver::uring::DATAGRAM_BUFFER;
use crate::driver::{Table, own};
use crate::endpoint::HostEndpoint;
use crate::errno;
use crate::icmp::Attention;
use crate::message::Header;
use crate::pool::{Pool, PoolLease, Shared};
use crate::stats::Stats;
use crate::transport::Config;

/// Events fetched by one system call.
const EVENTS: usize = 512;

/// Turns given in one go.
const TURNS: usize = 1024;

/// Event data of the doorbell.
const DOORBELL: u64 = u64::MAX;
/// Marks event data as the key of a watch of an incoming connection.
const WATCH: u64 = 1 << 63;

slotmap::new_key_type! {
    /// A watch of an incoming connection.
    struct WatchKey;
}

/// A watch of an incoming connection.
struct IncomingWatch {
    token: Token,
    id: IncomingId,
    endpoint: Arc<HostEndpoint>,
}

/// A pool and its free buffers.
struct Store {
    pool: Pool,
    free: Vec<Box<PoolLease>>,
    starving: VecDeque<Token>,
}

impl Store {
    fn new(size: usize, first: usize, most: usize, bell: &Arc<Bell>) -> Self {
        Self { pool: Pool::new(size, first, most, Arc::clone(bell)), free: Vec::new(), starving: VecDeque::new() }
    }

    /// A free buffer, of a larger pool if need be. `None`: the bound is reached.
    fn take(&mut self) -> Option<Box<PoolLease>> {
        if self.free.is_empty() {
            self.pool.take_returned(&mut self.free, true); // the next one rings if none is left
        }
        if self.free.is_empty() {
            let _ = self.pool.grow(|lease| self.free.push(lease)); // no memory is like no buffer
        }
        self.free.pop()
    }
}

/// What the turns of all sockets share.
struct Kit {
    streams: Store,
    datagrams: Store,
    header: Box<Header>,
    stats: Arc<Stats>,
}

/// The epoll driver of one processor.
pub(crate) struct EpollDriver {
    epoll: OwnedFd,
    sockets: Table<Socket>,
    serial: u32,
    watches: SlotMap<WatchKey, IncomingWatch>,
    /// Sockets with something to try.
    queue: VecDeque<Token>,
    /// Events that came about outside of a poll.
    ready: Vec<Report>,
    events: Vec<epoll::Event>,
    /// The last poll had reports before it asked the kernel, and did not ask.
    skipped: bool,
    kit: Kit,
    background: Background,
    attention: Arc<Attention>,
    bell: Arc<Bell>,
}

impl EpollDriver {
    pub(crate) fn new(config: &Config, stats: Arc<Stats>) -> std::io::Result<Self> {
        let bell = Arc::new(Bell::new(Arc::clone(&stats))?);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, bell.fd(), EventData::new_u64(DOORBELL), EventFlags::IN | EventFlags::ET)?;
        stats.add(3);
        let streams = Store::new(config.stream_buffer, config.stream_buffers, config.most_stream_buffers, &bell);
        let datagrams = Store::new(DATAGRAM_BUFFER, config.datagram_buffers, config.most_datagram_buffers, &bell);
        Ok(Self {
            epoll,
            sockets: Table::new(),
            serial: 0,
            watches: SlotMap::with_key(),
            queue: VecDeque::new(),
            ready: Vec::new(),
            events: Vec::with_capacity(EVENTS),
            skipped: false,
            kit: Kit { streams, datagrams, header: Header::new(), stats: Arc::clone(&stats) },
            background: Background::new(stats),
            attention: Attention::new(Arc::clone(&bell)),
            bell,
        })
    }

    /// For the transport's counters.
    pub(crate) fn pools(&self) -> [Weak<Shared>; 2] {
        [&self.kit.streams, &self.kit.datagrams].map(|store| Arc::downgrade(store.pool.shared()))
    }

    fn report(&mut self, token: Token, event: Event) {
        self.ready.push(Report { token, event });
    }

    fn attach(&mut self, token: Token, endpoint: Arc<HostEndpoint>) {
        self.serial = (self.serial + 1) & 0x7FFF_FFFF;
        let data = EventData::new_u64(u64::from(self.serial) << 32 | u64::from(token.0 as u32));
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        // A descriptor is registered once; a watch of it ends when it gets an owner.
        let watch = self.watches.iter().find(|(_, watch)| Arc::ptr_eq(&watch.endpoint, &endpoint)).map(|(key, _)| key);
        if let Some(key) = watch {
            self.end_watch(key, false);
        }
        self.kit.stats.add(1);
        endpoint.errors.attach(&self.attention, token);
        let registered = endpoint
            .with_fd(|fd| epoll::add(&self.epoll, fd, data, flags).map_err(|e| errno::status(e.raw_os_error())));
        let socket = Socket {
            endpoint,
            serial: self.serial,
            broken: registered.err(),
            readable: false,
            writable: true,
            gone: false,
            error: false,
            poked: false,
            queued: false,
            starving: false,
            accept: false,
            connect: None,
            stream: false,
            receive: None,
            send: None,
            watch: false,
            shutdown: None,
            datagrams: false,
            receive_from: None,
            staging: None,
            sends_to: VecDeque::new(),
            watches: Vec::new(),
        };
        self.sockets.insert(token, socket);
    }

    fn watch_incoming(&mut self, token: Token, id: IncomingId, endpoint: Arc<HostEndpoint>) {
        endpoint.begin_watch();
        let watch = IncomingWatch { token, id, endpoint: Arc::clone(&endpoint) };
        let key = self.watches.insert(watch);
        self.sockets.get_mut(token).expect("admitted").watches.push((id, key));
        let data = EventData::new_u64(key.data().as_ffi() | WATCH);
        self.kit.stats.add(1);
        let registered = endpoint.with_fd(|fd| {
            epoll::add(&self.epoll, fd, data, EventFlags::RDHUP | EventFlags::ET)
                .map_err(|e| errno::status(e.raw_os_error()))
        });
        if registered.is_err() {
            self.end_watch(key, true);
        }
    }

    /// Ends the watch of an incoming connection.
    fn end_watch(&mut self, key: WatchKey, gone: bool) {
        let Some(watch) = self.watches.remove(key) else {
            return;
        };
        self.kit.stats.add(1);
        let _ = watch.endpoint.with_fd(|fd| {
            let _ = epoll::delete(&self.epoll, fd);
            Ok(())
        });
        watch.endpoint.end_watch();
        if let Some(socket) = self.sockets.get_mut(watch.token) {
            socket.watches.retain(|other| other.1 != key);
        }
        self.report(watch.token, Event::IncomingEnded { id: watch.id, gone });
    }

    fn unwatch(&mut self, token: Token, id: IncomingId) {
        let Some(socket) = self.sockets.get(token) else {
            return;
        };
        if let Some(key) = socket.watches.iter().find(|watch| watch.0 == id).map(|watch| watch.1) {
            self.end_watch(key, false);
        }
    }

    /// Why an operation cannot start.
    fn admit(&self, token: Token, operation: &Operation) -> Result<(), NtStatus> {
        let socket = self.sockets.get(token).ok_or(NtStatus::FILE_FORCED_CLOSED)?;
        if let Some(status) = socket.broken {
            return Err(status);
        }
        let busy = match operation {
            Operation::AcceptStart => socket.accept,
            Operation::Connect { .. } => socket.connect.is_some(),
            Operation::ReceiveStart => socket.stream,
            Operation::Receive { .. } => socket.receive.is_some(),
            Operation::Send { .. } => socket.send.is_some(),
            Operation::Watch => socket.watch,
            Operation::Shutdown => socket.shutdown.is_some(),
            Operation::ReceiveFromStart => socket.datagrams,
            Operation::ReceiveFrom(_) => socket.receive_from.is_some(),
            _ => false,
        };
        if busy { Err(NtStatus::INVALID_DEVICE_STATE) } else { Ok(()) } // rule 2
    }

    fn start(&mut self, token: Token, operation: Operation) {
        let socket = self.sockets.get_mut(token).expect("admitted");
        match operation {
            Operation::AcceptStart => socket.accept = true,
            Operation::Connect { remote, first } => {
                socket.connect = Some(Connect { state: Connecting::Wanted(remote), first, taken: 0 });
            }
            Operation::ReceiveStart => socket.stream = true,
            Operation::Receive { memory, offset } => socket.receive = Some((memory, offset)),
            Operation::Send { parts, offset } => {
                let total = parts.iter().map(Memory::len).sum();
                socket.send = Some(Sending { parts, sent: offset, total });
            }
            Operation::Watch => socket.watch = true,
            Operation::Shutdown => socket.shutdown = Some(Shutting::Wanted),
            Operation::ReceiveFromStart => socket.datagrams = true,
            Operation::ReceiveFrom(memory) => socket.receive_from = Some(memory),
            Operation::SendTo { id, messages, sent, remote, control } => {
                socket.sends_to.push_back(SendingTo { id, messages, sent, remote, control });
            }
            Operation::WatchIncoming(id, endpoint) => {
                return self.watch_incoming(token, id, own(endpoint));
            }
            _ => unreachable!("submit takes care of the rest"),
        }
        enqueue(&mut self.queue, token, socket);
    }

    /// Ends one operation that was asked to end.
    fn cancel(&mut self, token: Token, operation: &Operation) {
        let Some(socket) = self.sockets.get_mut(token) else {
            return;
        };
        let event = match operation {
            Operation::AcceptStop => socket.take_accept(),
            Operation::ConnectCancel => socket.take_connect(),
            Operation::ReceiveStop => socket.take_stream(),
            Operation::ReceiveCancel => socket.take_receive(),
            Operation::SendCancel => socket.take_send(),
            Operation::WatchCancel => socket.take_watch(),
            Operation::ShutdownCancel => socket.take_shutdown(),
            Operation::ReceiveFromStop => socket.take_datagrams(),
            Operation::ReceiveFromCancel => socket.take_receive_from(),
            _ => None,
        };
        self.ready.extend(event.map(|event| Report { token, event }));
    }

    fn detach(&mut self, token: Token, abort: bool) {
        let Some(socket) = self.sockets.get(token) else {
            return;
        };
        for (_, key) in socket.watches.clone() {
            self.end_watch(key, false);
        }
        let mut socket = self.sockets.remove(token).expect("found above");
        let events = [
            socket.take_accept(),
            socket
                .connect
                .take()
                .map(|Connect { first, .. }| Event::Connected { result: Err(NtStatus::CANCELLED), first }),
            socket.take_stream(),
            socket.take_receive(),
            socket.take_send(),
            socket.take_watch(),
            socket.take_shutdown(),
            socket.take_datagrams(),
            socket.take_receive_from(),
        ];
        self.ready.extend(events.into_iter().flatten().map(|event| Report { token, event }));
        let sends = socket.sends_to.drain(..).map(|send| send.done(Err(NtStatus::CANCELLED)));
        self.ready.extend(sends.map(|event| Report { token, event }));
        self.kit.stats.add(1);
        let _ = socket.endpoint.with_fd(|fd| {
            let _ = epoll::delete(&self.epoll, fd);
            Ok(())
        });
        if let Some(fd) = socket.endpoint.close(abort) {
            self.background.add(fd);
        }
        self.report(token, Event::Detached);
    }

    /// Takes buffers back and queues sockets that waited for them.
    fn take_returned(&mut self) {
        for store in [&mut self.kit.streams, &mut self.kit.datagrams] {
            if store.starving.is_empty() {
                continue; // they are fetched when wanted
            }
            store.pool.take_returned(&mut store.free, true);
            let mut left = store.free.len();
            while left > 0 {
                let Some(token) = store.starving.pop_front() else {
                    break;
                };
                // One that has been closed or stopped meanwhile takes no buffer.
                if let Some(socket) = self.sockets.get_mut(token)
                    && std::mem::take(&mut socket.starving)
                    && (socket.stream || socket.datagrams)
                {
                    enqueue(&mut self.queue, token, socket);
                    left -= 1;
                }
            }
        }
    }

    /// Gives turns to the sockets that are queued now.
    fn run(&mut self, reports: &mut Vec<Report>) {
        for _ in 0..self.queue.len().min(TURNS) {
            let Some(token) = self.queue.pop_front() else {
                break;
            };
            let Some(socket) = self.sockets.get_mut(token) else {
                continue;
            };
            socket.queued = false;
            if step::step(token, socket, &mut self.kit, reports) {
                enqueue(&mut self.queue, token, socket);
            }
        }
    }

    /// Asks the kernel what is ready.
    fn fetch(&mut self, timeout: Option<Duration>) -> std::io::Result<()> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
            // Rounded up, so that a timer is due when the wait ends.
            tv_nsec: timeout.subsec_nanos().next_multiple_of(1_000_000).min(999_999_999).into(),
        });
        self.events.clear();
        self.kit.stats.add(1);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let events = std::mem::take(&mut self.events);
        for event in &events {
            self.on_event(event.data.u64(), event.flags);
        }
        self.events = events;
        Ok(())
    }

    fn on_event(&mut self, data: u64, flags: EventFlags) {
        if data == DOORBELL {
            return;
        }
        if data & WATCH != 0 {
            self.end_watch(KeyData::from_ffi(data & !WATCH).into(), true);
            return;
        }
        let Some((token, socket)) = self.sockets.at(data as u32) else {
            return;
        };
        if u64::from(socket.serial) != data >> 32 {
            return;
        }
        // Every event tells the whole state of the descriptor.
        socket.gone = flags.intersects(EventFlags::RDHUP | EventFlags::HUP);
        socket.error = flags.contains(EventFlags::ERR);
        socket.readable |= flags.contains(EventFlags::IN) || socket.gone || socket.error;
        socket.writable |= flags.contains(EventFlags::OUT) || socket.error;
        socket.poked = true;
        enqueue(&mut self.queue, token, socket);
    }
}

fn enqueue(queue: &mut VecDeque<Token>, token: Token, socket: &mut Socket) {
    if !std::mem::replace(&mut socket.queued, true) {
        queue.push_back(token);
    }
}

impl Driver for EpollDriver {
    fn submit(&mut self, token: Token, operation: Operation) {
        match operation {
            Operation::Attach(endpoint) => self.attach(token, own(endpoint)),
            Operation::UnwatchIncoming(id) => self.unwatch(token, id),
            Operation::Detach { abort } => self.detach(token, abort),
            Operation::AcceptStop
            | Operation::ConnectCancel
            | Operation::ReceiveStop
            | Operation::ReceiveCancel
            | Operation::SendCancel
            | Operation::WatchCancel
            | Operation::ShutdownCancel
            | Operation::ReceiveFromStop
            | Operation::ReceiveFromCancel => self.cancel(token, &operation),
            operation => match self.admit(token, &operation) {
                Ok(()) => self.start(token, operation),
                Err(status) => self.ready.extend(operation.refused(status).map(|event| Report { token, event })),
            },
        }
    }

    fn poll(&mut self, wait: bool, reports: &mut Vec<Report>) -> std::io::Result<()> {
        let before = reports.len();
        let mut rung = false;
        loop {
            self.bell.take_nudge();
            self.take_returned();
            for token in self.attention.take() {
                if let Some(socket) = self.sockets.get_mut(token) {
                    enqueue(&mut self.queue, token, socket);
                }
            }
            self.background.run();
            reports.append(&mut self.ready);
            self.run(reports);
            rung |= self.bell.take_ring();
            let found = reports.len() > before;
            if found && !self.skipped {
                // Enough for now. The kernel is asked at the latest by the next poll.
                self.skipped = true;
                return Ok(());
            }
            self.skipped = false;
            let go_on = wait && !rung && !found && self.queue.is_empty();
            let timeout = if go_on { self.background.timeout() } else { Some(Duration::ZERO) };
            self.fetch(timeout)?;
            self.run(reports);
            reports.append(&mut self.ready);
            rung |= self.bell.take_ring();
            if !wait || rung || reports.len() > before {
                return Ok(());
            }
        }
    }

    fn doorbell(&self) -> Arc<dyn Doorbell> {
        Arc::clone(&self.bell) as Arc<dyn Doorbell>
    }
}

impl Drop for EpollDriver {
    fn drop(&mut self) {
        for (_, watch) in self.watches.drain() {
            watch.endpoint.end_watch();
        }
    }
}
