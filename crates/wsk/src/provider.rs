//! The provider: the WSK subsystem of this process, with the transports attached to it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use wsk_abi::status::NtStatus;
use wsk_core::sharing::BindTable;
use wsk_core::transport::{Family, Service, ServiceKind, Transport};
use wsk_host::{Choice, HostTransport};

use crate::carrier::{Carrier, TransportId};
use crate::error::Error;
use crate::processor::Processor;
use crate::registration::ClientShared;
use crate::socket::Socket;

/// The WSK subsystem. Dropping it shuts it down: sockets that are still open stop working (STATUS_FILE_FORCED_CLOSED), and
/// every request completes.
pub struct Provider {
    pub(crate) shared: Arc<ProviderShared>,
}

pub(crate) struct ProviderShared {
    /// In the order in which they were attached; the first that serves a socket gets it.
    carriers: RwLock<Vec<Arc<Carrier>>>,
    next_transport: AtomicU64,
    /// Processors that each transport gets, and the level they call at.
    processors: usize,
    at_dispatch: bool,
    /// The addresses that sockets have (control.md 7).
    pub(crate) binds: Mutex<BindTable>,
    /// Held to read while the host chooses a port, and to write while one is asked for by its number.
    pub(crate) ports: RwLock<()>,
    available: AtomicBool,
    clients: Mutex<Vec<Weak<ClientShared>>>,
    starved: Mutex<Vec<Weak<Socket>>>,
    has_starved: AtomicBool,
}

/// How a [`Provider`] is to be set up.
pub struct Builder {
    transport: Option<Arc<dyn Transport>>,
    bare: bool,
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

    /// No transport to begin with: [`Provider::attach_transport`] adds some.
    pub fn without_transport(mut self) -> Self {
        self.bare = true;
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
        let transport: Option<Arc<dyn Transport>> = match (self.transport, self.choice) {
            _ if self.bare => None,
            (Some(transport), _) => Some(transport),
            (None, Some(choice)) => Some(Arc::new(HostTransport::new(choice).map_err(std::io::Error::other)?)),
            (None, None) => Some(Arc::new(HostTransport::from_env().map_err(std::io::Error::other)?)),
        };
        let provider = Provider {
            shared: Arc::new(ProviderShared {
                carriers: RwLock::default(),
                next_transport: AtomicU64::new(0),
                processors: self.processors,
                at_dispatch: self.at_dispatch,
                binds: Mutex::default(),
                ports: RwLock::default(),
                available: AtomicBool::new(self.available),
                clients: Mutex::default(),
                starved: Mutex::default(),
                has_starved: AtomicBool::new(false),
            }),
        };
        if let Some(transport) = transport {
            provider.attach_transport(transport)?;
        }
        Ok(provider)
    }
}

impl Provider {
    /// The default set-up: Linux's TCP/IP by io_uring or else epoll, one processor.
    pub fn builder() -> Builder {
        Builder { transport: None, bare: false, choice: None, processors: 1, available: true, at_dispatch: true }
    }

    /// Starts a provider with the default set-up.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub fn start() -> std::io::Result<Self> {
        Self::builder().start()
    }

    /// Attaches a further transport, with as many processors as the first; clients see it in their list of transports
    /// (C-7). Of several that serve a kind of socket, the one attached first gets it.
    ///
    /// # Errors
    /// The transport's, or the host's when no thread can be started.
    pub fn attach_transport(&self, transport: Arc<dyn Transport>) -> std::io::Result<TransportId> {
        let shared = &self.shared;
        let id = TransportId(shared.next_transport.fetch_add(1, Ordering::Relaxed));
        let carrier = Carrier::start(id, transport, shared.processors, shared.at_dispatch)?;
        shared.carriers.write().push(carrier);
        shared.transports_changed();
        Ok(id)
    }

    /// Detaches a transport: its sockets are no longer functional and say so (F-81), nothing else is touched. Returns when
    /// nothing of it runs any more; inside a callback of one of its sockets, soon before that.
    ///
    /// # Errors
    /// NOT_FOUND: it is not attached.
    pub fn detach_transport(&self, id: TransportId) -> Result<(), Error> {
        let carrier = {
            let mut carriers = self.shared.carriers.write();
            let at = carriers.iter().position(|carrier| carrier.id == id).ok_or(NtStatus::NOT_FOUND)?;
            carriers.remove(at)
        };
        self.shared.transports_changed();
        carrier.stop();
        Ok(())
    }

    /// The transports that are attached, in order, with the kinds of sockets that each serves.
    pub fn transports(&self) -> Vec<(TransportId, &'static str, Vec<Service>)> {
        let carriers = self.shared.carriers.read();
        carriers.iter().map(|carrier| (carrier.id, carrier.transport.name(), carrier.services.clone())).collect()
    }

    /// The name of the first transport: `uring`, `epoll`, ...; empty if none is attached.
    pub fn transport_name(&self) -> &'static str {
        self.shared.carriers.read().first().map_or("", |carrier| carrier.transport.name())
    }

    /// Why that one, in a line; may be empty.
    pub fn transport_reason(&self) -> String {
        self.shared.carriers.read().first().map_or_else(String::new, |carrier| carrier.transport.reason())
    }

    /// Makes the provider available or not: captures wait for it (F-15, F-19). Sockets are not touched.
    pub fn set_available(&self, available: bool) {
        self.shared.available.store(available, Ordering::SeqCst);
        self.shared.clients().iter().for_each(|client| client.notify());
    }

    /// What the provider has done so far.
    pub fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        let carriers = self.shared.carriers();
        for carrier in &carriers {
            let transport = carrier.transport.counters();
            counters.system_calls += transport.system_calls;
            counters.bytes_copied += transport.bytes_copied;
            counters.buffers_lent += transport.buffers_lent;
            counters.buffer_memory += transport.buffer_memory;
            counters.datagrams_dropped_by_host += transport.datagrams_dropped_by_host;
            counters.cpu_nanos += carrier.cpu_nanos();
        }
        for processor in carriers.iter().flat_map(|carrier| &carrier.processors) {
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
        self.shared.sockets().iter().for_each(Socket::break_down);
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let carriers = std::mem::take(&mut *self.shared.carriers.write());
        self.shared.transports_changed();
        carriers.iter().for_each(|carrier| carrier.stop());
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
    /// Datagrams that the host dropped before the subsystem could have them, as it counts: those that were sent as one, or had come
    /// as one, are one.
    pub datagrams_dropped_by_host: u64,
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

    fn carriers(&self) -> Vec<Arc<Carrier>> {
        self.carriers.read().clone()
    }

    /// The transport that serves a kind of socket.
    pub(crate) fn carrier(&self, kind: ServiceKind, family: Family) -> Option<Arc<Carrier>> {
        let wanted = Service { kind, family };
        self.carriers.read().iter().find(|carrier| carrier.services.contains(&wanted)).cloned()
    }

    /// Every kind of socket that can be made now (C-1).
    pub(crate) fn services(&self) -> Vec<Service> {
        let mut all = Vec::new();
        for service in self.carriers.read().iter().flat_map(|carrier| &carrier.services) {
            if !all.contains(service) {
                all.push(*service);
            }
        }
        all
    }

    /// The list of transports is another one: every client that asked is told (C-3).
    fn transports_changed(&self) {
        self.clients().iter().for_each(|client| client.transports_changed());
    }

    fn clients(&self) -> Vec<Arc<ClientShared>> {
        self.clients.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// The home of a connection accepted by a listener on `home`: a processor of the same transport.
    pub(crate) fn home_of_accepted(&self, home: &Arc<Processor>) -> Arc<Processor> {
        match home.carrier() {
            Some(carrier) if carrier.processors.len() > 1 => carrier.next_home(),
            _ => home.clone(),
        }
    }

    pub(crate) fn sockets(&self) -> Vec<Arc<Socket>> {
        self.carriers().iter().flat_map(|carrier| &carrier.processors).flat_map(|p| p.all()).collect()
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
