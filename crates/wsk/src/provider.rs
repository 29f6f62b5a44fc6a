//! The provider: the WSK subsystem of this process, with its transport and its processors.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rustix::thread::Pid as Tid;
use wsk_core::transport::Transport;
use wsk_host::{Choice, HostTransport};

use crate::processor::{Mail, Processor, Pump};
use crate::registration::ClientShared;
use crate::socket::Socket;

/// The WSK subsystem. Dropping it shuts it down: sockets that are still open stop working (STATUS_FILE_FORCED_CLOSED), and
/// every request completes.
pub struct Provider {
    pub(crate) shared: Arc<ProviderShared>,
    threads: Vec<JoinHandle<()>>,
}

pub(crate) struct ProviderShared {
    pub(crate) transport: Arc<dyn Transport>,
    processors: Vec<Arc<Processor>>,
    /// The processors' threads, as the host numbers them.
    threads: Mutex<Vec<Tid>>,
    next: AtomicUsize,
    available: AtomicBool,
    clients: Mutex<Vec<Weak<ClientShared>>>,
    starved: Mutex<Vec<Weak<Socket>>>,
    has_starved: AtomicBool,
}

/// How a [`Provider`] is to be set up.
pub struct Builder {
    transport: Option<Arc<dyn Transport>>,
    choice: Option<Choice>,
    processors: usize,
    available: bool,
    at_dispatch: bool,
}

impl Builder {
    /// Which driver of Linux's TCP/IP to use. Without it the environment variable `WSK_TRANSPORT` decides, or the probe.
    pub fn host(mut self, choice: Choice) -> Self {
        self.choice = Some(choice);
        self
    }

    /// Another transport instead of Linux's TCP/IP.
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Number of processors: threads with a driver each; 1 unless set.
    pub fn processors(mut self, processors: usize) -> Self {
        self.processors = processors.max(1);
        self
    }

    /// Starts out unavailable, until [`Provider::set_available`]: clients can register, but not capture (F-19).
    pub fn unavailable(mut self) -> Self {
        self.available = false;
        self
    }

    /// Deliver callbacks at PASSIVE_LEVEL with the flag AT_DISPATCH_LEVEL clear, instead of at DISPATCH_LEVEL (E-2).
    pub fn callbacks_at_passive_level(mut self) -> Self {
        self.at_dispatch = false;
        self
    }

    /// Starts the provider.
    ///
    /// # Errors
    /// The transport's, or the host's when no thread can be started.
    pub fn start(self) -> std::io::Result<Provider> {
        let transport = match (self.transport, self.choice) {
            (Some(transport), _) => transport,
            (None, Some(choice)) => Arc::new(HostTransport::new(choice).map_err(std::io::Error::other)?),
            (None, None) => Arc::new(HostTransport::from_env().map_err(std::io::Error::other)?),
        };
        let processors: Vec<_> =
            (0..self.processors).map(|index| Arc::new(Processor::new(index, self.at_dispatch))).collect();
        let mut provider = Provider {
            shared: Arc::new(ProviderShared {
                transport,
                processors,
                threads: Mutex::default(),
                next: AtomicUsize::new(0),
                available: AtomicBool::new(self.available),
                clients: Mutex::default(),
                starved: Mutex::default(),
                has_starved: AtomicBool::new(false),
            }),
            threads: Vec::new(),
        };
        for index in 0..self.processors {
            let (thread, tid) = start_processor(&provider.shared, index)?;
            provider.shared.threads.lock().push(tid);
            provider.threads.push(thread);
        }
        Ok(provider)
    }
}

/// Starts a processor's thread and waits until its driver is open.
fn start_processor(shared: &Arc<ProviderShared>, index: usize) -> std::io::Result<(JoinHandle<()>, Tid)> {
    let (opened, result) = mpsc::channel();
    let transport = shared.transport.clone();
    let processor = shared.processors[index].clone();
    let thread =
        std::thread::Builder::new().name(format!("wsk-{index}")).spawn(move || match transport.open_driver(index) {
            Ok(driver) => {
                let pump = Pump::new(processor, driver);
                let _ = opened.send(Ok(rustix::thread::gettid()));
                pump.run();
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        })?;
    match result.recv() {
        Ok(Ok(tid)) => Ok((thread, tid)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(std::io::Error::other("a processor's thread ended before its driver was open")),
    }
}

/// CPU time of a thread of this process. The scheduler brings it up to date at its tick, so it lags by milliseconds.
fn cpu_nanos(tid: Tid) -> u64 {
    let path = format!("/proc/self/task/{}/schedstat", tid.as_raw_nonzero());
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_ascii_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

impl Provider {
    /// The default set-up: Linux's TCP/IP by io_uring or else epoll, one processor.
    pub fn builder() -> Builder {
        Builder { transport: None, choice: None, processors: 1, available: true, at_dispatch: true }
    }

    /// Starts a provider with the default set-up.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub fn start() -> std::io::Result<Self> {
        Self::builder().start()
    }

    /// The name of the transport driver in use: `uring`, `epoll`, ...
    pub fn transport_name(&self) -> &'static str {
        self.shared.transport.name()
    }

    /// Why that one, in a line; may be empty.
    pub fn transport_reason(&self) -> String {
        self.shared.transport.reason()
    }

    /// Makes the provider available or not: captures wait for it (F-15, F-19). Sockets are not touched.
    pub fn set_available(&self, available: bool) {
        self.shared.available.store(available, Ordering::SeqCst);
        let clients = std::mem::take(&mut *self.shared.clients.lock());
        for client in clients.iter().filter_map(Weak::upgrade) {
            client.notify();
        }
        self.shared.clients.lock().extend(clients);
    }

    /// What the provider has done so far.
    pub fn counters(&self) -> Counters {
        let transport = self.shared.transport.counters();
        let mut counters = Counters {
            system_calls: transport.system_calls,
            bytes_copied: transport.bytes_copied,
            buffers_lent: transport.buffers_lent,
            buffer_memory: transport.buffer_memory,
            cpu_nanos: self.shared.threads.lock().iter().map(|tid| cpu_nanos(*tid)).sum(),
            ..Counters::default()
        };
        for processor in &self.shared.processors {
            counters.bytes_copied += processor.tally.copied.load(Ordering::Relaxed);
            counters.callbacks += processor.tally.callbacks.load(Ordering::Relaxed);
            counters.completions += processor.tally.completions.load(Ordering::Relaxed);
            let sockets = processor.all();
            counters.sockets += sockets.len() as u64;
            counters.requests_queued += sockets.iter().map(|s| s.queued() as u64).sum::<u64>();
        }
        counters
    }

    /// Fails the transport under every socket, as if it had been unloaded: each signals it by a callback without data
    /// (F-81). A hook for tests of clients.
    pub fn break_sockets(&self) {
        for processor in &self.shared.processors {
            processor.all().iter().for_each(Socket::break_down);
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        for processor in &self.shared.processors {
            let _ = processor.post(Mail::Stop);
        }
        for thread in self.threads.drain(..) {
            // A provider dropped by a callback cannot wait for the thread it runs on.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("transport", &self.transport_name()).finish_non_exhaustive()
    }
}

/// What a provider has done since its start, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// System calls made by the transport.
    pub system_calls: u64,
    /// Payload bytes copied in user space, by the transport or the subsystem.
    pub bytes_copied: u64,
    /// Event callbacks made.
    pub callbacks: u64,
    /// Requests completed on a processor (those finished at once on the caller's thread are not counted).
    pub completions: u64,
    /// Sockets now.
    pub sockets: u64,
    /// Requests queued on sockets now.
    pub requests_queued: u64,
    /// Receive buffers lent to the subsystem and its clients now.
    pub buffers_lent: u64,
    /// Bytes set aside for receive buffers now.
    pub buffer_memory: u64,
    /// CPU time of the processors' threads, in nanoseconds; 0 where the host does not tell.
    pub cpu_nanos: u64,
}

impl ProviderShared {
    pub(crate) fn is_available(&self) -> bool {
        self.available.load(Ordering::SeqCst)
    }

    pub(crate) fn enter_client(&self, client: &Arc<ClientShared>) {
        let mut clients = self.clients.lock();
        clients.retain(|known| known.strong_count() > 0);
        clients.push(Arc::downgrade(client));
    }

    /// The home of a new socket: processors take turns.
    pub(crate) fn next_home(&self) -> Arc<Processor> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.processors[next % self.processors.len()].clone()
    }

    /// The home of a connection accepted by a listener on `home`.
    pub(crate) fn home_of_accepted(&self, home: &Arc<Processor>) -> Arc<Processor> {
        if self.processors.len() == 1 { home.clone() } else { self.next_home() }
    }

    pub(crate) fn sockets(&self) -> Vec<Arc<Socket>> {
        self.processors.iter().flat_map(|p| p.all()).collect()
    }

    /// A listener has no descriptor left to accept with.
    pub(crate) fn starved(&self, socket: &Arc<Socket>) {
        self.starved.lock().push(Arc::downgrade(socket));
        self.has_starved.store(true, Ordering::SeqCst);
    }

    /// A socket was closed: listeners that ran out of descriptors may try again (F-137).
    pub(crate) fn retry_starved(&self) {
        if self.has_starved.swap(false, Ordering::SeqCst) {
            let starved = std::mem::take(&mut *self.starved.lock());
            starved.iter().filter_map(Weak::upgrade).for_each(|socket| socket.retry());
        }
    }
}
