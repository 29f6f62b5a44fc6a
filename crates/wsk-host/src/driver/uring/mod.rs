//! The io_uring driver: one ring per processor, operations in slots whose keys are the ring's user data.
//!
//! An operation's slot owns its memory until the kernel's own completion of it; cancelling only asks for that completion
//! (promise 4). A poll makes one system call, or none when completions are there and nothing is to be submitted.

mod complete;
mod datagram;
mod op;
mod ring;

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Weak};

use io_uring::types::Fd;
use io_uring::{cqueue, opcode, squeue, types};
use slotmap::{Key, KeyData, SlotMap};
use wsk_abi::status::NtStatus;
use wsk_core::memory::Memory;
use wsk_core::transport::{Doorbell, Driver, Event, Gather, IncomingId, Operation, Report, Token};

use op::{KINDS, Kind, Op, Socket, Work};
pub(crate) use ring::{BufferRing, Flavour, Ring};

use crate::address::NAME_SPACE;
use crate::background::Background;
use crate::bell::Bell;
use crate::cmsg::CONTROL_SPACE;
use crate::driver::{Table, own};
use crate::endpoint::{FinState, HostEndpoint};
use crate::errno;
use crate::icmp::Attention;
use crate::message::Header;
use crate::pool::Shared;
use crate::stats::Stats;
use crate::transport::Config;

/// Entries of the submission queue; the completion queue is eight times as long.
const ENTRIES: u32 = 1024;

/// `struct io_uring_recvmsg_out`: four words before name, control messages and payload.
const OUT_HEADER: usize = 16;

/// Where the payload of a multishot datagram begins.
const PAYLOAD: usize = OUT_HEADER + NAME_SPACE + CONTROL_SPACE;

/// A buffer for the longest datagram (UDP's length field), in whole pages.
pub(crate) const DATAGRAM_BUFFER: usize = (PAYLOAD + 65_535).next_multiple_of(4096);

/// Headers kept for reuse.
const SPARE_HEADERS: usize = 4096;

/// User data of completions that mean nothing.
const NOTHING: u64 = 0;
/// User data of the doorbell's poll. No key has it: its low half is no index.
const DOORBELL: u64 = u64::MAX;
/// Marks a key as that of a cancel. Generations do not get so far.
const CANCEL: u64 = 1 << 63;

const STREAMS: u16 = 0;
const DATAGRAMS: u16 = 1;

slotmap::new_key_type! {
    /// An operation in flight.
    pub(crate) struct OpKey;
}

/// The io_uring driver of one processor.
pub(crate) struct UringDriver {
    ring: Ring,
    streams: BufferRing,
    datagrams: BufferRing,
    ops: SlotMap<OpKey, Op>,
    sockets: Table<Socket>,
    spare: Vec<Box<Header>>,
    /// Events that came about outside of a poll.
    ready: Vec<Report>,
    /// Shutdowns that met a vanished connection: judged after the rest of the batch, which may say why.
    late: Vec<OpKey>,
    /// Cancels that did not find their operation: repeated if it is still there after the batch.
    missed: Vec<OpKey>,
    batch: Vec<ring::Completion>,
    background: Background,
    attention: Arc<Attention>,
    bell: Arc<Bell>,
    stats: Arc<Stats>,
}

impl UringDriver {
    pub(crate) fn new(config: &Config, stats: Arc<Stats>) -> std::io::Result<Self> {
        let bell = Arc::new(Bell::new(Arc::clone(&stats))?);
        let (mut ring, _) = Ring::open(ENTRIES, config.switches.plain_ring, Arc::clone(&stats))?;
        let (first, most) = (config.stream_buffers, config.most_stream_buffers);
        let streams = BufferRing::new(&ring, STREAMS, config.stream_buffer, first, most, Arc::clone(&bell))?;
        let (first, most) = (config.datagram_buffers, config.most_datagram_buffers);
        let datagrams = BufferRing::new(&ring, DATAGRAMS, DATAGRAM_BUFFER, first, most, Arc::clone(&bell))?;
        ring.push(&doorbell_entry(&bell));
        Ok(Self {
            ring,
            streams,
            datagrams,
            ops: SlotMap::with_key(),
            sockets: Table::new(),
            spare: Vec::new(),
            ready: Vec::new(),
            late: Vec::new(),
            missed: Vec::new(),
            batch: Vec::new(),
            background: Background::new(Arc::clone(&stats)),
            attention: Attention::new(Arc::clone(&bell)),
            bell,
            stats,
        })
    }

    /// For the transport's counters.
    pub(crate) fn pools(&self) -> [Weak<Shared>; 2] {
        [&self.streams, &self.datagrams].map(|buffers| Arc::downgrade(buffers.pool().shared()))
    }

    fn attach(&mut self, token: Token, endpoint: Arc<HostEndpoint>) {
        let fd = endpoint.raw_fd().unwrap_or(-1);
        endpoint.errors.attach(&self.attention, token);
        let socket = Socket {
            endpoint,
            fd,
            ops: [None; KINDS],
            watches: Vec::new(),
            sends_to: 0,
            in_flight: 0,
            detach: None,
            staging: None,
        };
        self.sockets.insert(token, socket);
    }

    fn header(&mut self) -> Box<Header> {
        self.spare.pop().unwrap_or_else(Header::new)
    }

    /// Puts an operation in flight.
    fn start(&mut self, token: Token, fd: RawFd, header: Option<Box<Header>>, work: Work) {
        let kind = work.kind();
        let watch = if let Work::WatchIncoming { id, .. } = &work { Some(*id) } else { None };
        let key = self.ops.insert(Op { token, fd, stop: false, parked: false, header, work });
        let socket = self.sockets.get_mut(token).expect("checked by submit");
        socket.in_flight += 1;
        match (kind, watch) {
            (Some(kind), _) => socket.ops[kind as usize] = Some(key),
            (None, Some(id)) => socket.watches.push((id, key)),
            (None, None) => socket.sends_to += 1,
        }
        self.arm(key);
    }

    /// Asks for the end of an operation. One that the kernel does not know of ends here.
    fn cancel(&mut self, key: OpKey) {
        let op = &mut self.ops[key];
        op.stop = true;
        if op.parked {
            let mut reports = std::mem::take(&mut self.ready);
            self.finish_stopped(key, &mut reports);
            self.ready = reports;
        } else {
            self.push_cancel(key);
        }
    }

    fn push_cancel(&mut self, key: OpKey) {
        let data = key.data().as_ffi();
        let entry = opcode::AsyncCancel::new(data).build().user_data(data | CANCEL);
        self.ring.push(&entry.flags(squeue::Flags::SKIP_SUCCESS));
    }

    fn stop(&mut self, token: Token, kind: Kind) {
        if let Some(key) = self.sockets.get(token).and_then(|socket| socket.ops[kind as usize]) {
            self.cancel(key);
        }
    }

    fn unwatch(&mut self, token: Token, id: IncomingId) {
        let Some(socket) = self.sockets.get(token) else {
            return;
        };
        if let Some(key) = socket.watches.iter().find(|watch| watch.0 == id).map(|watch| watch.1) {
            self.cancel(key);
        }
    }

    fn detach(&mut self, token: Token, abort: bool) {
        let Some(socket) = self.sockets.get_mut(token) else {
            return;
        };
        if socket.detach.is_some() {
            return;
        }
        socket.detach = Some(abort);
        let mut keys: smallvec::SmallVec<[OpKey; KINDS]> = socket.ops.iter().flatten().copied().collect();
        keys.extend(socket.watches.iter().map(|watch| watch.1));
        if socket.sends_to > 0 {
            let sends = self.ops.iter().filter(|(_, op)| op.token == token && matches!(op.work, Work::SendTo { .. }));
            keys.extend(sends.map(|(key, _)| key));
        }
        // Kept in flight by one until all are asked, so that the end comes once.
        socket.in_flight += 1;
        for key in keys {
            self.cancel(key);
        }
        let mut reports = std::mem::take(&mut self.ready);
        self.let_go(token, &mut reports);
        self.ready = reports;
    }

    /// One operation less; the last one of a socket that is being detached closes it.
    fn let_go(&mut self, token: Token, reports: &mut Vec<Report>) {
        let Some(socket) = self.sockets.get_mut(token) else {
            return;
        };
        socket.in_flight -= 1;
        if socket.in_flight > 0 {
            return;
        }
        if let Some(abort) = socket.detach {
            let socket = self.sockets.remove(token).expect("found above");
            if let Some(fd) = socket.endpoint.close(abort) {
                self.background.add(fd);
            }
            reports.push(Report { token, event: Event::Detached });
        }
    }

    /// Why an operation cannot start, or its descriptor.
    fn admit(&self, token: Token, operation: &Operation) -> Result<RawFd, NtStatus> {
        let socket = self.sockets.get(token).ok_or(NtStatus::FILE_FORCED_CLOSED)?;
        if socket.detach.is_some() {
            return Err(NtStatus::CANCELLED);
        }
        let kind = match operation {
            Operation::AcceptStart => Kind::Accept,
            Operation::Connect { .. } => Kind::Connect,
            Operation::ReceiveStart => Kind::Stream,
            Operation::Receive { .. } => Kind::Receive,
            Operation::Send { .. } => Kind::Send,
            Operation::Watch => Kind::Watch,
            Operation::Shutdown => Kind::Shutdown,
            Operation::ReceiveFromStart => Kind::Datagrams,
            Operation::ReceiveFrom(_) => Kind::ReceiveFrom,
            _ => return Ok(socket.fd),
        };
        if socket.ops[kind as usize].is_some() {
            return Err(NtStatus::INVALID_DEVICE_STATE); // rule 2
        }
        Ok(socket.fd)
    }

    fn connect(&mut self, token: Token, fd: RawFd, remote: SocketAddr, first: Memory) {
        let endpoint = &self.sockets.get(token).expect("admitted").endpoint;
        match endpoint.failure().map_or_else(|| endpoint.destination(remote), Err) {
            Ok(remote) => {
                let taken = match endpoint.fast_connect(&remote, &first) {
                    Some(Err(errno)) => {
                        endpoint.undo_connect();
                        let result = Err(errno::on_connect(errno));
                        return self.ready.push(Report { token, event: Event::Connected { result, first } });
                    }
                    started => started.and_then(Result::ok),
                };
                let mut header = self.header();
                header.for_connect(&remote);
                self.start(token, fd, Some(header), Work::Connect { first, taken });
            }
            Err(status) => self.ready.push(Report { token, event: Event::Connected { result: Err(status), first } }),
        }
    }

    fn send(&mut self, token: Token, fd: RawFd, parts: Gather, offset: usize) {
        let total = parts.iter().map(Memory::len).sum();
        if offset >= total {
            self.ready.push(Report { token, event: Event::SendDone { parts, sent: offset, result: Ok(()) } });
        } else {
            self.start(token, fd, None, Work::Send { parts, sent: offset, total });
        }
    }

    fn shut_down(&mut self, token: Token, fd: RawFd) {
        let result = match self.sockets.get(token).expect("admitted").endpoint.send_fin() {
            FinState::Pending | FinState::Gone => {
                return self.start(token, fd, None, Work::Shutdown { reported: false });
            }
            FinState::Acknowledged => Ok(()),
            FinState::Failed(status) => Err(status),
        };
        self.ready.push(Report { token, event: Event::ShutdownDone(result) });
    }

    fn cancel_shutdown(&mut self, token: Token) {
        let Some(key) = self.sockets.get(token).and_then(|socket| socket.ops[Kind::Shutdown as usize]) else {
            return;
        };
        if let Work::Shutdown { reported } = &mut self.ops[key].work
            && !std::mem::replace(reported, true)
        {
            self.ready.push(Report { token, event: Event::ShutdownDone(Err(NtStatus::CANCELLED)) });
        }
        self.cancel(key);
    }

    fn start_operation(&mut self, token: Token, fd: RawFd, operation: Operation) {
        match operation {
            Operation::AcceptStart => self.start(token, fd, None, Work::Accept),
            Operation::WatchIncoming(id, endpoint) => {
                let endpoint = own(endpoint);
                endpoint.begin_watch();
                let fd = endpoint.raw_fd().unwrap_or(-1);
                self.start(token, fd, None, Work::WatchIncoming { id, endpoint });
            }
            Operation::Connect { remote, first } => self.connect(token, fd, remote, first),
            Operation::ReceiveStart => self.start(token, fd, None, Work::Stream),
            Operation::Receive { memory, offset } => self.start(token, fd, None, Work::Receive { memory, offset }),
            Operation::Send { parts, offset } => self.send(token, fd, parts, offset),
            Operation::Watch => self.start(token, fd, None, Work::Watch),
            Operation::Shutdown => self.shut_down(token, fd),
            Operation::ReceiveFromStart => {
                let mut header = self.header();
                header.for_multishot();
                self.start(token, fd, Some(header), Work::Datagrams);
                let mut reports = std::mem::take(&mut self.ready);
                self.begin_stream(token, &mut reports);
                self.ready = reports;
                self.look_for_errors(token);
            }
            Operation::ReceiveFrom(memory) => self.receive_from(token, fd, memory),
            Operation::SendTo { .. } => self.send_to(token, fd, operation),
            _ => unreachable!("submit takes care of the rest"),
        }
    }

    /// Takes buffers back and lets operations that waited for them go on.
    fn take_returned(&mut self) {
        for datagrams in [false, true] {
            let buffers = if datagrams { &mut self.datagrams } else { &mut self.streams };
            let mut count = buffers.take_returned();
            while count > 0 {
                let buffers = if datagrams { &mut self.datagrams } else { &mut self.streams };
                let Some(key) = buffers.starving.pop_front() else {
                    break;
                };
                if self.ops.get(key).is_some_and(|op| op.parked) {
                    self.arm(key);
                    count -= 1;
                }
            }
        }
    }
}

fn doorbell_entry(bell: &Bell) -> squeue::Entry {
    opcode::PollAdd::new(Fd(bell.fd().as_raw_fd()), libc::POLLIN as u32).multi(true).build().user_data(DOORBELL)
}

impl Driver for UringDriver {
    fn submit(&mut self, token: Token, operation: Operation) {
        match operation {
            Operation::Attach(endpoint) => self.attach(token, own(endpoint)),
            Operation::AcceptStop => self.stop(token, Kind::Accept),
            Operation::UnwatchIncoming(id) => self.unwatch(token, id),
            Operation::ConnectCancel => self.stop(token, Kind::Connect),
            Operation::ReceiveStop => self.stop(token, Kind::Stream),
            Operation::ReceiveCancel => self.stop(token, Kind::Receive),
            Operation::SendCancel => self.stop(token, Kind::Send),
            Operation::WatchCancel => self.stop(token, Kind::Watch),
            Operation::ShutdownCancel => self.cancel_shutdown(token),
            Operation::ReceiveFromStop => self.stop(token, Kind::Datagrams),
            Operation::ReceiveFromCancel => self.stop(token, Kind::ReceiveFrom),
            Operation::Detach { abort } => self.detach(token, abort),
            operation => match self.admit(token, &operation) {
                Ok(fd) => self.start_operation(token, fd, operation),
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
                self.deliver_errors(token);
            }
            self.background.run();
            reports.append(&mut self.ready);
            rung |= self.bell.take_ring();
            let go_on = wait && !rung && reports.len() == before;
            let timeout = if go_on { self.background.timeout() } else { None };
            self.ring.enter(go_on, timeout)?;
            self.reap(reports);
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

impl Drop for UringDriver {
    /// Ends what is in flight, so that the kernel writes to no memory that is about to go.
    fn drop(&mut self) {
        for op in self.ops.values_mut() {
            op.stop = true;
        }
        let everything = opcode::AsyncCancel2::new(types::CancelBuilder::any().all()).build().user_data(NOTHING);
        let mut reports = Vec::new();
        let patience = std::time::Duration::from_millis(100);
        for _ in 0..20 {
            self.ops.retain(|_, op| !op.parked);
            if self.ops.is_empty() {
                return;
            }
            self.ring.push(&everything);
            if self.ring.enter(true, Some(patience)).is_err() {
                break;
            }
            self.reap(&mut reports);
            reports.clear();
        }
        // The kernel still holds on to something: rather lose the memory than have it written later.
        std::mem::forget(std::mem::take(&mut self.ops));
        self.streams.leak();
        self.datagrams.leak();
    }
}

/// For the probe: one byte through a multishot receive into `buffers`, and its proper end when `far` is closed.
pub(crate) fn receive_once_multishot(
    ring: &mut Ring,
    buffers: &mut BufferRing,
    near: &OwnedFd,
    far: OwnedFd,
) -> std::io::Result<()> {
    let patience = std::time::Duration::from_secs(1);
    let mut far = Some(far);
    let mut batch = Vec::new();
    ring.push(&opcode::RecvMulti::new(Fd(near.as_raw_fd()), buffers.group()).build().user_data(1));
    let mut received = false;
    for _ in 0..16 {
        ring.enter(true, Some(patience))?;
        ring.reap(&mut batch);
        for completion in batch.drain(..) {
            if completion.result < 0 {
                return Err(std::io::Error::from_raw_os_error(-completion.result));
            }
            if let Some(id) = cqueue::buffer_select(completion.flags) {
                received |= completion.result == 1 && cqueue::more(completion.flags);
                let lease = buffers.take(id);
                buffers.put(lease);
            }
            if !cqueue::more(completion.flags) {
                let why = "the receive ended at once";
                return if received { Ok(()) } else { Err(std::io::Error::other(why)) };
            }
        }
        far.take();
    }
    buffers.leak();
    Err(std::io::ErrorKind::TimedOut.into())
}

/// The operation that user data names.
fn key_of(user_data: u64) -> OpKey {
    KeyData::from_ffi(user_data & !CANCEL).into()
}
