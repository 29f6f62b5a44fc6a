//! The load: connections that each send a request, check the answer byte by byte as it comes, and send the next. It is a WSK
//! client of its own, driven by static event callbacks.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use wsk::{ConnectionEvents, ConnectionSocket, EventFlags, EventMask, Indication, NtStatus, Receive};

use super::{Side, pattern};
use crate::Failure;

/// An answer that has not come by then does not come.
const LOST: Duration = Duration::from_secs(10);
/// Latencies from 1 ns to 100 s, to three digits.
const LONGEST: u64 = 100_000_000_000;

/// Connections under load.
pub(super) struct Load {
    connections: Vec<ConnectionSocket>,
    shared: Arc<Shared>,
    news: mpsc::Receiver<News>,
    side: Side,
}

enum News {
    /// The load cannot go on: why.
    Broken(String),
    /// A connection has its last answer.
    Done,
}

struct Shared {
    size: usize,
    latencies: Mutex<Histogram<u64>>,
    /// Send no further request.
    ending: AtomicBool,
    news: mpsc::Sender<News>,
}

impl Load {
    /// Connects; nothing is sent yet.
    pub(super) fn connect(side: Side, to: SocketAddr, connections: usize, size: usize) -> Result<Self, Failure> {
        side.client.set_static_event_callbacks(EventMask::RECEIVE | EventMask::DISCONNECT)?;
        let (sender, news) = mpsc::channel();
        let shared =
            Arc::new(Shared { size, latencies: Mutex::new(empty()), ending: AtomicBool::new(false), news: sender });
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let requests: Vec<_> = (0..connections)
            .map(|index| {
                let events = Arc::new(Connection { index, shared: shared.clone(), progress: Mutex::default() });
                (events.clone(), side.client.socket_connect(any, to, Some(events)))
            })
            .collect();
        let mut open = Vec::with_capacity(connections);
        for (events, mut request) in requests {
            let socket = request.wait().map_err(|error| {
                let what = format!("connection {} of {connections} cannot be made: {error}", open.len() + 1);
                Failure::new(what, "use fewer --connections, or raise the limit of open files (ulimit -n)")
            })?;
            open.push((events, socket));
        }
        // All at once, so that the first to be connected has no head start.
        for (events, socket) in &open {
            events.request(socket);
        }
        let connections = open.into_iter().map(|(_, socket)| socket).collect();
        Ok(Self { connections, shared, news, side })
    }

    /// The latencies since this was last called, in nanoseconds; one for each request answered.
    pub(super) fn take_latencies(&self) -> Histogram<u64> {
        std::mem::replace(&mut *self.shared.latencies(), empty())
    }

    /// Requests answered since the latencies were last taken.
    pub(super) fn answered(&self) -> u64 {
        self.shared.latencies().len()
    }

    /// Lets it run until `deadline`, and calls `on_tick` at every `tick`.
    pub(super) fn run_until(
        &self,
        deadline: Instant,
        tick: Duration,
        mut on_tick: impl FnMut(),
    ) -> Result<(), Failure> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if let Ok(News::Broken(why)) = self.news.recv_timeout(left.min(tick)) {
                return Err(broken(why));
            }
            on_tick();
        }
    }

    /// Waits for the answers that are still under way, then ends the connections in order.
    pub(super) fn end(self) -> Result<(), Failure> {
        self.shared.ending.store(true, Ordering::SeqCst);
        let total = self.connections.len();
        let deadline = Instant::now() + LOST;
        for done in 0..total {
            match self.news.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(News::Done) => {}
                Ok(News::Broken(why)) => return Err(broken(why)),
                Err(_) => {
                    let why = format!("{} of {total} connections got no answer within {LOST:?}", total - done);
                    return Err(broken(why));
                }
            }
        }
        // Each ends its own stream, then all wait: the peers' hosts have to acknowledge.
        let requests: Vec<_> = self.connections.iter().map(ConnectionSocket::disconnect).collect();
        for mut request in requests {
            let done = request.wait_timeout(LOST).unwrap_or_else(|| Err(NtStatus::IO_TIMEOUT.into()));
            done.map_err(|error| broken(format!("a connection could not be ended in order: {error}")))?;
        }
        for mut request in self.connections.iter().map(ConnectionSocket::close).collect::<Vec<_>>() {
            request.wait()?;
        }
        self.side.end()
    }
}

fn broken(why: String) -> Failure {
    Failure::wrong(
        why,
        "this is a bug, unless something else on this host interferes; please report it with this output",
    )
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order")
}

impl Shared {
    fn latencies(&self) -> std::sync::MutexGuard<'_, Histogram<u64>> {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, news: News) {
        let _ = self.news.send(news); // nobody listens any more once the load has ended
    }
}

/// One connection's side of the conversation.
struct Connection {
    index: usize,
    shared: Arc<Shared>,
    /// Calls for one socket are serial, so that nobody ever waits for this.
    progress: Mutex<Progress>,
}

/// Bytes of the stream sent and received so far, and when the request under way was sent.
#[derive(Default)]
struct Progress {
    sent: u64,
    received: u64,
    sent_at: Option<Instant>,
}

impl Connection {
    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, socket: &ConnectionSocket) {
        let mut progress = self.progress();
        let bytes = pattern::bytes(self.index, progress.sent, self.shared.size);
        progress.sent += bytes.len() as u64;
        progress.sent_at = Some(Instant::now());
        drop(progress);
        // If it fails, the disconnect callback tells.
        socket.send(bytes).detach();
    }

    fn broken(&self, why: &str) {
        self.shared.tell(News::Broken(format!("connection {}: {why}", self.index)));
    }

    /// Takes in a piece of the answer; whether it is complete.
    fn receive_piece(&self, data: &Indication) -> bool {
        let mut progress = self.progress();
        for chunk in data.chunks() {
            if let Some(at) = pattern::first_difference(self.index, progress.received, chunk) {
                self.broken(&format!("byte {at} of the stream came back wrong"));
            }
            progress.received += chunk.len() as u64;
        }
        if progress.received > progress.sent {
            self.broken("more bytes came back than were sent");
        }
        if progress.received < progress.sent {
            return false;
        }
        if let Some(sent_at) = progress.sent_at {
            self.shared.latencies().saturating_record(sent_at.elapsed().as_nanos() as u64);
        }
        true
    }
}

impl ConnectionEvents for Connection {
    fn receive(&self, socket: &ConnectionSocket, data: Indication) -> Receive {
        if self.receive_piece(&data) {
            if self.shared.ending.load(Ordering::SeqCst) {
                self.shared.tell(News::Done);
            } else {
                self.request(socket);
            }
        }
        Receive::Accepted
    }

    fn disconnect(&self, _: &ConnectionSocket, flags: EventFlags) {
        let waiting = {
            let progress = self.progress();
            progress.received < progress.sent
        };
        // Once it has its last answer, we end it, and the server does the same in return.
        if waiting || !self.shared.ending.load(Ordering::SeqCst) {
            let how = if flags.contains(EventFlags::ABORTIVE) { "was reset" } else { "was ended by the server" };
            self.broken(how);
        }
    }
}
