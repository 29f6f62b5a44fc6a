//! The test rig: a driver, tokens, and a book of operations that demands exactly one terminal event of each.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use wsk_core::control_data::ControlData;
use wsk_core::memory::Memory;
use wsk_core::transport::{
    Driver, Endpoint, Event, Family, Incoming, Operation, Protocol, Report, SendId, Token, Transport,
};
use wsk_host::{Choice, Config, HostTransport, Switches};

/// A variant of the transport that the suite runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arm {
    Uring,
    /// io_uring as on the oldest kernels that do.
    Plain,
    Epoll,
}

/// A driver under test.
pub(crate) struct Rig {
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) driver: Option<Box<dyn Driver>>,
    backlog: Vec<Report>,
    open: BTreeMap<(Token, &'static str), i32>,
    detached: Vec<Token>,
    next: u64,
    _watchdog: Sender<()>,
}

/// Whether io_uring may be missing; then says loudly what is not tested.
fn may_be_missing(error: &dyn std::fmt::Display) -> bool {
    let allowed = std::env::var_os("WSK_TEST_ALLOW_NO_URING").is_some();
    if allowed {
        eprintln!("=== NOT TESTED: the io_uring arm cannot run here: {error} ===");
    }
    allowed
}

impl Rig {
    /// `None`: the arm cannot run here, and the environment allows that.
    pub(crate) fn with_config(arm: Arm, config: Config) -> Option<Self> {
        let choice = if arm == Arm::Epoll { Choice::Epoll } else { Choice::Uring };
        let switches = Switches { plain_ring: arm == Arm::Plain, ..config.switches };
        let transport = match HostTransport::with_config(Config { choice, switches, ..config }) {
            Ok(transport) => transport,
            Err(error) if may_be_missing(&error) => return None,
            Err(error) => panic!("{error}"),
        };
        let driver = transport.open_driver(0).expect("the driver opens");
        let (watchdog, alive) = channel::<()>();
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        std::thread::spawn(move || {
            use std::sync::mpsc::RecvTimeoutError;
            if alive.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
                eprintln!("=== {name} hangs ===");
                std::process::abort();
            }
        });
        Some(Self {
            transport: Box::new(transport),
            driver: Some(driver),
            backlog: Vec::new(),
            open: BTreeMap::new(),
            detached: Vec::new(),
            next: 1,
            _watchdog: watchdog,
        })
    }

    pub(crate) fn token(&mut self) -> Token {
        self.next += 1;
        Token(self.next | 1 << 32)
    }

    pub(crate) fn submit(&mut self, token: Token, operation: Operation) {
        if let Some(kind) = kind_of_operation(&operation) {
            *self.open.entry((token, kind)).or_default() += 1;
        }
        self.driver.as_mut().expect("not dropped").submit(token, operation);
    }

    pub(crate) fn attach(&mut self, endpoint: &Arc<dyn Endpoint>) -> Token {
        let token = self.token();
        self.submit(token, Operation::Attach(Arc::clone(endpoint)));
        token
    }

    /// One poll; keeps the books.
    pub(crate) fn poll(&mut self, wait: bool) {
        let mut new = Vec::new();
        self.driver.as_mut().expect("not dropped").poll(wait, &mut new).expect("the driver lives");
        for report in new {
            assert!(!self.detached.contains(&report.token), "an event after Detached: {report:?}");
            if let Some(kind) = kind_of_event(&report.event) {
                let open = self.open.entry((report.token, kind)).or_default();
                *open -= 1;
                assert!(*open >= 0, "a terminal event too many: {report:?}");
            }
            if matches!(report.event, Event::Detached) {
                self.detached.push(report.token);
                let left: Vec<_> = self.open.iter().filter(|(key, n)| key.0 == report.token && **n != 0).collect();
                assert!(left.is_empty(), "detached with operations open: {left:?}");
            }
            self.backlog.push(report);
        }
    }

    /// The first event of `token` that `pick` takes; waits for it.
    pub(crate) fn wait<T>(&mut self, token: Token, mut pick: impl FnMut(Event) -> Result<T, Event>) -> T {
        let mut seen = 0;
        loop {
            while seen < self.backlog.len() {
                if self.backlog[seen].token == token {
                    let Report { event, .. } = self.backlog.remove(seen);
                    match pick(event) {
                        Ok(found) => return found,
                        Err(event) => self.backlog.insert(seen, Report { token, event }),
                    }
                }
                seen += 1;
            }
            self.poll(true);
        }
    }

    /// All events of `token` that are there, oldest first.
    pub(crate) fn take(&mut self, token: Token) -> Vec<Event> {
        let (taken, kept) = std::mem::take(&mut self.backlog).into_iter().partition(|report| report.token == token);
        self.backlog = kept;
        let taken: Vec<Report> = taken;
        taken.into_iter().map(|report| report.event).collect()
    }

    pub(crate) fn detach(&mut self, token: Token, abort: bool) {
        self.submit(token, Operation::Detach { abort });
        self.wait_detached(token);
    }

    pub(crate) fn wait_detached(&mut self, token: Token) {
        self.wait(token, |event| if matches!(event, Event::Detached) { Ok(()) } else { Err(event) });
    }

    pub(crate) fn create(&self, family: Family, protocol: Protocol) -> Arc<dyn Endpoint> {
        self.transport.create(family, protocol).expect("an endpoint")
    }

    /// A listening endpoint at a port of the host's choice, attached and accepting.
    pub(crate) fn listener(&mut self) -> (Token, SocketAddr) {
        let endpoint = self.create(Family::V4, Protocol::Tcp);
        let address = endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        endpoint.listen().unwrap();
        let token = self.attach(&endpoint);
        self.submit(token, Operation::AcceptStart);
        (token, address)
    }

    pub(crate) fn accept(&mut self, listener: Token) -> Incoming {
        self.wait(listener, |event| match event {
            Event::Accepted(incoming) => Ok(incoming),
            event => Err(event),
        })
    }

    /// A connection: our side attached, the peer's a plain socket.
    pub(crate) fn pair(&mut self) -> (Token, Arc<dyn Endpoint>, TcpStream) {
        let (listener, address) = self.listener();
        let peer = TcpStream::connect(address).unwrap();
        let incoming = self.accept(listener);
        assert_eq!(incoming.remote, peer.local_addr().unwrap());
        self.detach(listener, true);
        let token = self.attach(&incoming.endpoint);
        (token, incoming.endpoint, peer)
    }

    /// A bound datagram endpoint, attached, and a plain socket.
    pub(crate) fn datagram(&mut self) -> (Token, SocketAddr, UdpSocket) {
        let endpoint = self.create(Family::V4, Protocol::Udp);
        let address = endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        (self.attach(&endpoint), address, UdpSocket::bind("127.0.0.1:0").unwrap())
    }

    /// A stream send and its end: bytes sent and how.
    pub(crate) fn send(&mut self, token: Token, memory: Memory) -> (usize, Result<(), wsk_abi::NtStatus>) {
        self.submit(token, Operation::Send { parts: smallvec::smallvec![memory], offset: 0 });
        self.wait(token, |event| match event {
            Event::SendDone { sent, result, .. } => Ok((sent, result)),
            event => Err(event),
        })
    }

    /// Collects stream data until `n` bytes are there.
    pub(crate) fn received(&mut self, token: Token, n: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < n {
            self.wait(token, |event| match event {
                Event::Received { buffer, .. } => {
                    all.extend_from_slice(buffer.bytes());
                    Ok(())
                }
                event => Err(event),
            });
        }
        all
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() || self.driver.is_none() {
            return;
        }
        // Whatever a test left attached ends in order; a terminal event too many shows here.
        let tokens: Vec<Token> = (2..=self.next).map(|n| Token(n | 1 << 32)).collect();
        for token in tokens {
            if !self.detached.contains(&token) {
                self.driver.as_mut().unwrap().submit(token, Operation::Detach { abort: true });
            }
        }
        self.backlog.clear();
        for _ in 0..16 {
            self.poll(false);
            self.backlog.clear();
        }
        let left: Vec<_> = self.open.iter().filter(|(_, n)| **n != 0).collect();
        assert!(left.is_empty(), "operations without an end: {left:?}");
    }
}

/// A connect with nothing to send at once.
pub(crate) fn connect(remote: SocketAddr) -> Operation {
    Operation::Connect { remote, first: Memory::None }
}

/// One datagram to send.
pub(crate) fn send_to(id: u64, memory: Memory, remote: SocketAddr) -> Operation {
    let messages = smallvec::smallvec![memory];
    Operation::SendTo { id: SendId(id), messages, sent: 0, remote, control: ControlData::default() }
}

/// A listener whose queue is full: further connects hang.
pub(crate) fn full_listener() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        held.push(stream);
        assert!(held.len() < 16, "the queue does not fill");
    }
    (listener, held)
}

pub(crate) fn reset(peer: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
    drop(peer);
}

fn kind_of_operation(operation: &Operation) -> Option<&'static str> {
    Some(match operation {
        Operation::AcceptStart => "accept",
        Operation::WatchIncoming(..) => "incoming",
        Operation::Connect { .. } => "connect",
        Operation::ReceiveStart => "stream",
        Operation::Receive { .. } => "receive",
        Operation::Send { .. } => "send",
        Operation::Watch => "watch",
        Operation::Shutdown => "shutdown",
        Operation::ReceiveFromStart => "datagrams",
        Operation::ReceiveFrom(_) => "receive from",
        Operation::SendTo { .. } => "send to",
        _ => return None,
    })
}

fn kind_of_event(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::AcceptStopped(_) => "accept",
        Event::IncomingEnded { .. } => "incoming",
        Event::Connected { .. } => "connect",
        Event::ReceiveStopped(_) => "stream",
        Event::ReceiveDone { .. } => "receive",
        Event::SendDone { .. } => "send",
        Event::Hangup(_) => "watch",
        Event::ShutdownDone(_) => "shutdown",
        Event::DatagramsStopped(_) => "datagrams",
        Event::ReceiveFromDone { .. } => "receive from",
        Event::SendToDone { .. } => "send to",
        Event::Accepted(_) | Event::Received { .. } | Event::Datagram(_) | Event::Unreachable(_) | Event::Detached => {
            return None;
        }
    })
}
