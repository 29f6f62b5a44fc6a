//! What the subsystem itself costs per echoed request: static callbacks over a transport that does nothing.
//!
//! `cargo bench -p wsk --bench overhead [-- REQUESTS [CONNECTIONS]]`. Deterministic enough for an instruction counter
//! (callgrind): no system call is made per request.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use wsk::ControlData;
use wsk::option::{OptionName, OptionValue};
use wsk::transport::{
    Counters, Doorbell, Driver, Endpoint, Event, Family, Incoming, Operation, Protocol, Report, Token, Transport,
};
use wsk::{
    ClientDispatch, ConnectionEvents, ConnectionSocket, EventMask, Indication, ListenEvents, ListenSocket, Memory,
    NtStatus, Provider, Receive, Registration, WaitTimeout,
};
use wsk_core::memory::{Buffer, Lease};

/// Boxes, since those are what a lease is lent in.
#[allow(clippy::vec_box)]
type Pool = Arc<parking_lot::Mutex<Vec<Box<NullLease>>>>;

const DATA: [u8; 64] = [7; 64];

struct NullEndpoint;

impl Endpoint for NullEndpoint {
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
        65536
    }
    fn discard(&self, _: bool) {}
    fn as_any(&self) -> &(dyn std::any::Any + Send + Sync) {
        self
    }
}

/// Lends one constant buffer; the box goes back to a pool, as a real transport's does.
struct NullLease(Pool);

impl Lease for NullLease {
    fn bytes(&self) -> &[u8] {
        &DATA
    }
    fn capacity(&self) -> usize {
        8192
    }
    fn release(self: Box<Self>) {
        let pool = self.0.clone();
        pool.lock().push(self);
    }
}

struct NullDriver {
    connections: usize,
    requests: u64,
    done: mpsc::Sender<()>,
    sends: Vec<(Token, wsk::transport::Gather)>,
    ready: Vec<Token>,
    accepting: Option<Token>,
    ended: Vec<Token>,
    pool: Pool,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Bell(parking_lot::Mutex<bool>, parking_lot::Condvar);

impl Doorbell for Bell {
    fn ring(&self) {
        *self.0.lock() = true;
        self.1.notify_one();
    }
}

impl Driver for NullDriver {
    fn submit(&mut self, token: Token, operation: Operation) {
        match operation {
            Operation::AcceptStart => self.accepting = Some(token),
            Operation::ReceiveStart => self.ready.push(token),
            Operation::Send { parts, .. } => self.sends.push((token, parts)),
            Operation::Detach { .. } => self.ended.push(token),
            _ => {}
        }
    }

    fn poll(&mut self, wait: bool, reports: &mut Vec<Report>) -> std::io::Result<()> {
        if let Some(token) = self.accepting.take() {
            for _ in 0..self.connections {
                let incoming = Incoming {
                    endpoint: Arc::new(NullEndpoint),
                    local: "127.0.0.1:1".parse().expect("an address"),
                    remote: "127.0.0.1:2".parse().expect("an address"),
                };
                reports.push(Report { token, event: Event::Accepted(incoming) });
            }
            return Ok(());
        }
        for token in self.ended.drain(..) {
            reports.push(Report { token, event: Event::Detached });
        }
        for (token, parts) in self.sends.drain(..) {
            self.requests = self.requests.saturating_sub(1);
            if self.requests > 0 {
                self.ready.push(token);
            }
            let sent = parts.iter().map(Memory::len).sum();
            reports.push(Report { token, event: Event::SendDone { parts, sent, result: Ok(()) } });
        }
        if self.requests == 0 {
            self.ready.clear();
            let _ = self.done.send(());
        }
        for token in self.ready.drain(..) {
            let recycled = self.pool.lock().pop();
            let lease = recycled.unwrap_or_else(|| Box::new(NullLease(self.pool.clone())));
            reports.push(Report { token, event: Event::Received { buffer: Buffer::new(lease), drained: true } });
        }
        if wait && reports.is_empty() {
            let mut rung = self.bell.0.lock();
            while !std::mem::take(&mut *rung) {
                self.bell.1.wait(&mut rung);
            }
        }
        Ok(())
    }

    fn doorbell(&self) -> Arc<dyn Doorbell> {
        self.bell.clone()
    }
}

struct NullTransport {
    connections: usize,
    requests: u64,
    done: mpsc::Sender<()>,
}

impl Transport for NullTransport {
    fn name(&self) -> &'static str {
        "null"
    }
    fn create(&self, _: Family, _: Protocol) -> Result<Arc<dyn Endpoint>, NtStatus> {
        Ok(Arc::new(NullEndpoint))
    }
    fn open_driver(&self, _: usize) -> std::io::Result<Box<dyn Driver>> {
        Ok(Box::new(NullDriver {
            connections: self.connections,
            requests: self.requests,
            done: self.done.clone(),
            sends: Vec::new(),
            ready: Vec::new(),
            accepting: None,
            ended: Vec::new(),
            pool: Arc::default(),
            bell: Arc::default(),
        }))
    }
    fn counters(&self) -> Counters {
        Counters::default()
    }
}

struct Accept(Arc<Echo>);

struct Echo;

impl ListenEvents for Accept {
    fn accept(&self, _: &ListenSocket, incoming: wsk::Incoming<'_>) {
        incoming.accept(Some(self.0.clone())).leave_open();
    }
}

impl ConnectionEvents for Echo {
    fn receive(&self, socket: &ConnectionSocket, data: Indication) -> Receive {
        socket.send(data).detach();
        Receive::Accepted
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let requests = numbers.next().unwrap_or(2_000_000);
    let connections = numbers.next().unwrap_or(64) as usize;
    let (done, finished) = mpsc::channel();
    let transport = NullTransport { connections, requests, done };
    let provider = Provider::builder().transport(Arc::new(transport)).start()?;
    let registration = Registration::register(&provider, ClientDispatch::default());
    let client = registration.capture(WaitTimeout::NoWait)?;
    client.set_static_event_callbacks(EventMask::ACCEPT | EventMask::RECEIVE)?;
    let listener = client.listen_socket(Family::V4, Some(Arc::new(Accept(Arc::new(Echo)))))?;
    let start = Instant::now();
    listener.bind("127.0.0.1:1".parse()?).wait()?;
    finished.recv()?;
    let ns = start.elapsed().as_nanos() as f64 / requests as f64;
    println!("{connections} connections, {requests} requests: {ns:.0} ns of the subsystem per request");
    Ok(())
}
