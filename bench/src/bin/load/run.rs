//! The closed loop. Each connection sends its next request as soon as its answer is complete; what a batch of completions
//! causes is submitted by one io_uring_enter.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};
use std::{io, net};

use bench::buf_ring::BufRing;
use bench::cpu::ProcessClock;
use bench::histogram::Histogram;
use bench::pattern::Pattern;
use bench::syscalls::Counter;
use bench::{Result, net as bench_net};
use io_uring::squeue::{Entry, Flags};
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue, opcode, types};
use serde_json::json;

use super::Options;

/// Of every receive buffer.
pub(super) const BUFFER: usize = 8192;
const BUFFERS: u16 = 256;
const GROUP: u16 = 0;
/// How often the clock is looked at if nothing else happens.
const TICK: Duration = Duration::from_millis(50);
/// After this a datagram counts as lost.
const LOST: u64 = 250_000_000;

const RECV: u64 = 0;
const SEND: u64 = 1;
const TIMER: u64 = 2;

fn key(operation: u64, connection: usize) -> u64 {
    operation << 32 | connection as u64
}

struct Conn {
    /// Bytes sent (or given to a send) and bytes received, of the connection's stream.
    sent: u64,
    received: u64,
    /// When each request under way was sent, by request number modulo the pipeline.
    sent_at: Box<[u64]>,
    /// Requests that may be sent but wait for the send under way; only with a pipeline.
    owed: usize,
    sending: bool,
    broken: bool,
    answered: bool,
    _socket: OwnedFd,
}

struct Load<'a> {
    options: &'a Options,
    submitter: Submitter<'a>,
    sq: SubmissionQueue<'a>,
    ring: BufRing,
    pattern: Pattern,
    conns: Vec<Conn>,
    start: Instant,
    latencies: Histogram,
    requests: u64,
    errors: u64,
    lost: u64,
}

/// Readings at one end of the window.
struct Reading {
    at: u64,
    requests: u64,
    server_cpu: Option<u64>,
    own_cpu: u64,
    calls: Option<bench::syscalls::Calls>,
}

/// Runs the load and prints its line.
pub(super) fn run(options: &Options) -> Result<()> {
    bench_net::raise_open_files(options.connections as u64 + 64)?;
    let sockets = (0..options.connections)
        .map(|_| connect(options.connect, options.udp))
        .collect::<io::Result<Vec<OwnedFd>>>()?;
    let descriptors: Vec<i32> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
    let mut ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_no_sqarray()
        .setup_cqsize(16384)
        .build(4096)?;
    ring.submitter().register_files(&descriptors)?;
    let (mut submitter, sq, cq) = ring.split();
    submitter.register_ring_fd()?;
    let load = Load {
        options,
        ring: BufRing::new(&submitter, GROUP, BUFFERS, BUFFER)?,
        submitter,
        sq,
        pattern: Pattern::new(BUFFER.max(options.size * options.pipeline)),
        conns: sockets
            .into_iter()
            .map(|socket| Conn {
                sent: 0,
                received: 0,
                sent_at: vec![0; options.pipeline].into(),
                owed: 0,
                sending: false,
                broken: false,
                answered: false,
                _socket: socket,
            })
            .collect(),
        start: Instant::now(),
        latencies: Histogram::default(),
        requests: 0,
        errors: 0,
        lost: 0,
    };
    load.run(cq)
}

fn connect(address: SocketAddr, udp: bool) -> io::Result<OwnedFd> {
    if udp {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (net::Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (net::Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = net::UdpSocket::bind(any)?;
        socket.connect(address)?;
        return Ok(socket.into());
    }
    let stream = net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream.into())
}

impl Load<'_> {
    fn run(mut self, mut cq: CompletionQueue<'_>) -> Result<()> {
        let pid = self.options.server_pid;
        let server = pid.map(ProcessClock::of).transpose()?;
        let counter = match (pid, self.options.count_syscalls) {
            (Some(pid), true) => Some(
                Counter::open(pid).map_err(|error| format!("cannot count system calls of process {pid}: {error}"))?,
            ),
            _ => None,
        };
        let own = ProcessClock::of(0)?;
        let reading = |load: &Load<'_>| -> io::Result<Reading> {
            Ok(Reading {
                at: load.now(),
                requests: load.requests,
                server_cpu: server.as_ref().map(ProcessClock::nanoseconds).transpose()?,
                own_cpu: own.nanoseconds()?,
                calls: counter.as_ref().map(Counter::read).transpose()?,
            })
        };

        let tick = types::Timespec::from(TICK);
        let timer = opcode::Timeout::new(&raw const tick)
            .flags(types::TimeoutFlags::MULTISHOT)
            .build()
            .user_data(key(TIMER, 0));
        // SAFETY: `tick` outlives the loop.
        unsafe { self.push(&timer) };
        let warm = self.options.warmup.as_nanos() as u64;
        for connection in 0..self.conns.len() {
            self.receive(connection);
            self.request(connection, self.options.pipeline);
        }
        let mut begin: Option<Reading> = None;
        loop {
            self.enter()?;
            cq.sync();
            for entry in &mut cq {
                self.on_completion(&entry)?;
            }
            cq.sync(); // what the kernel believes unread, it does not wait for
            self.ring.publish();
            let now = self.now();
            match &begin {
                None if now >= warm => {
                    begin = Some(reading(&self)?);
                    self.latencies.clear();
                    self.conns.iter_mut().for_each(|conn| conn.answered = false);
                }
                Some(begin) if now >= begin.at + self.options.window.as_nanos() as u64 => {
                    let end = reading(&self)?;
                    self.report(begin, &end);
                    return Ok(());
                }
                _ if self.conns.iter().all(|conn| conn.broken) => {
                    return Err(format!("all connections broke ({} errors)", self.errors).into());
                }
                _ => {}
            }
        }
    }

    fn report(&self, begin: &Reading, end: &Reading) {
        let requests = end.requests - begin.requests;
        let nanoseconds = (end.at - begin.at) as f64;
        let micro = |quantile| self.latencies.quantile(quantile) as f64 / 1000.0;
        let calls = begin.calls.zip(end.calls);
        println!(
            "{}",
            json!({
                "requests": requests,
                "seconds": nanoseconds / 1e9,
                "rate": requests as f64 / nanoseconds * 1e9,
                "p50_us": micro(0.50),
                "p99_us": micro(0.99),
                "errors": self.errors,
                "lost": self.lost,
                "starved": self.conns.iter().filter(|conn| !conn.answered).count(),
                "load_busy": (end.own_cpu - begin.own_cpu) as f64 / nanoseconds,
                "server_cpu_ns": begin.server_cpu.zip(end.server_cpu).map(|(begin, end)| end - begin),
                "syscalls": calls.map(|(begin, end)| end.all - begin.all),
                "enters": calls.map(|(begin, end)| end.enters - begin.enters),
            })
        );
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn enter(&mut self) -> io::Result<()> {
        self.sq.sync();
        let submitted = self.submitter.submit_and_wait(1);
        self.sq.sync();
        match submitted {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// # Safety
    ///
    /// What the entry points to must stay valid until its completion.
    unsafe fn push(&mut self, entry: &Entry) {
        // SAFETY: the caller's promise.
        while unsafe { self.sq.push(entry) }.is_err() {
            self.sq.sync();
            self.submitter.submit().expect("io_uring_enter");
            self.sq.sync();
        }
    }

    fn receive(&mut self, connection: usize) {
        let entry =
            opcode::RecvMulti::new(types::Fixed(connection as u32), GROUP).build().user_data(key(RECV, connection));
        // SAFETY: points nowhere; the buffers are the ring's.
        unsafe { self.push(&entry) };
    }

    /// Sends the next `count` requests of a connection.
    fn request(&mut self, connection: usize, count: usize) {
        let now = self.now();
        let size = self.options.size;
        let conn = &mut self.conns[connection];
        if conn.sending {
            conn.owed += count;
            return;
        }
        let first = conn.sent / size as u64;
        for number in first..first + count as u64 {
            let slot = number as usize % conn.sent_at.len();
            conn.sent_at[slot] = now;
        }
        let bytes = self.pattern.at(connection, conn.sent, count * size);
        let (pointer, len) = (bytes.as_ptr(), bytes.len());
        conn.sent += len as u64;
        // With one request under way the answer says that it was sent; with more, the next send must wait for this one, or it
        // could overtake its rest.
        let flags = if self.options.pipeline > 1 {
            conn.sending = true;
            Flags::empty()
        } else {
            Flags::SKIP_SUCCESS
        };
        let entry = opcode::Send::new(types::Fixed(connection as u32), pointer, len as u32)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .flags(flags)
            .user_data(key(SEND, connection));
        // SAFETY: points into the pattern, which outlives the ring's use of it.
        unsafe { self.push(&entry) };
    }

    fn on_completion(&mut self, entry: &cqueue::Entry) -> Result<()> {
        let connection = entry.user_data() as u32 as usize;
        match entry.user_data() >> 32 {
            RECV => self.on_received(connection, entry.result(), entry.flags()),
            SEND => {
                self.conns[connection].sending = false;
                if entry.result() < 0 {
                    self.on_broken(connection);
                } else if self.conns[connection].owed > 0 {
                    let owed = std::mem::take(&mut self.conns[connection].owed);
                    self.request(connection, owed);
                }
            }
            _ if !cqueue::more(entry.flags()) => return Err("the kernel ended the timer".into()),
            _ if self.options.udp => self.find_lost(),
            _ => {}
        }
        Ok(())
    }

    fn on_broken(&mut self, connection: usize) {
        // A refused datagram (ICMP) may be an error of the moment; its request is found lost later.
        self.errors += 1;
        self.conns[connection].broken = !self.options.udp;
    }

    fn on_received(&mut self, connection: usize, result: i32, flags: u32) {
        let mut again = !cqueue::more(flags);
        match cqueue::buffer_select(flags) {
            Some(id) => {
                self.on_data(connection, id, result.max(0) as usize);
                self.ring.give_back(id);
            }
            None if -result == libc::ENOBUFS => {}
            None => {
                self.on_broken(connection);
                again &= self.options.udp;
            }
        }
        if again {
            self.receive(connection);
        }
    }

    fn on_data(&mut self, connection: usize, id: u16, len: usize) {
        let size = self.options.size as u64;
        let conn = &mut self.conns[connection];
        let data = self.ring.bytes(id, len);
        let right = conn.received + len as u64 <= conn.sent && data == self.pattern.at(connection, conn.received, len);
        if self.options.udp && (!right || len as u64 != size) {
            // The answer to a datagram that was sent twice comes twice.
            let before = conn.received.saturating_sub(size);
            self.errors += u64::from(data != self.pattern.at(connection, before, len));
            return;
        }
        if !right {
            self.errors += u64::from(!conn.broken);
            conn.broken = true;
            return;
        }
        let first = conn.received / size;
        conn.received += len as u64;
        let complete = conn.received / size - first;
        if complete == 0 {
            return;
        }
        conn.answered = true;
        let now = self.now();
        let conn = &self.conns[connection];
        for number in first..first + complete {
            let slot = number as usize % conn.sent_at.len();
            self.latencies.record(now - conn.sent_at[slot]);
        }
        self.requests += complete;
        self.request(connection, complete as usize);
    }

    /// Sends again what was not answered.
    fn find_lost(&mut self) {
        let now = self.now();
        for connection in 0..self.conns.len() {
            let conn = &mut self.conns[connection];
            if conn.sent > conn.received && now - conn.sent_at[0] > LOST {
                conn.sent = conn.received;
                self.lost += 1;
                self.request(connection, 1);
            }
        }
    }
}
