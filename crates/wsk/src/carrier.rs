//! Transports at work: each that is attached to the provider has processors of its own, and threads that pump them.
//!
//! Transports come and go while clients run (C-7): one that goes takes its sockets' function with it, and nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rustix::thread::Pid as Tid;
use wsk_abi::status::NtStatus;
use wsk_core::transport::{NetworkWatcher, Service, Transport};

use crate::network::Watch;
use crate::processor::{Mail, Processor, Pump};

/// Names a transport that is attached to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransportId(pub(crate) u64);

/// A transport with its processors.
pub(crate) struct Carrier {
    pub(crate) id: TransportId,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) services: Vec<Service>,
    pub(crate) processors: Vec<Arc<Processor>>,
    threads: Mutex<Vec<(Tid, JoinHandle<()>)>>,
    next: AtomicUsize,
    /// Passes changes of the network on; made when first asked for.
    watch: Mutex<Option<Arc<Watch>>>,
}

impl Carrier {
    /// Starts the processors of a transport.
    ///
    /// # Errors
    /// The transport's, or the host's when no thread can be started.
    pub(crate) fn start(
        id: TransportId,
        transport: Arc<dyn Transport>,
        processors: usize,
        at_dispatch: bool,
    ) -> std::io::Result<Arc<Self>> {
        let services = transport.services();
        let this = Arc::new_cyclic(|this: &Weak<Self>| {
            let new = |index| {
                let first = id.0 as usize * processors; // no two processors of a provider have the same number
                Arc::new(Processor::new(first + index, at_dispatch, this.clone()))
            };
            let processors = (0..processors).map(new).collect();
            let (threads, next, watch) = (Mutex::default(), AtomicUsize::new(0), Mutex::default());
            Self { id, transport, services, processors, threads, next, watch }
        });
        for index in 0..processors {
            match this.start_processor(index) {
                Ok(thread) => this.threads.lock().push(thread),
                Err(error) => {
                    this.stop();
                    return Err(error);
                }
            }
        }
        Ok(this)
    }

    /// Starts a processor's thread and waits until its driver is open.
    fn start_processor(&self, index: usize) -> std::io::Result<(Tid, JoinHandle<()>)> {
        let (opened, result) = mpsc::channel();
        let transport = self.transport.clone();
        let processor = self.processors[index].clone();
        let thread = std::thread::Builder::new().name(format!("wsk-{index}")).spawn(move || {
            match transport.open_driver(index) {
                Ok(driver) => {
                    let pump = Pump::new(processor, driver);
                    let _ = opened.send(Ok(rustix::thread::gettid()));
                    pump.run();
                }
                Err(error) => {
                    let _ = opened.send(Err(error));
                }
            }
        })?;
        match result.recv() {
            Ok(Ok(tid)) => Ok((tid, thread)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(std::io::Error::other("a processor's thread ended before its driver was open")),
        }
    }

    /// Breaks every socket of the transport (F-81), and waits until its threads have ended; not if called on one of them.
    pub(crate) fn stop(&self) {
        for processor in &self.processors {
            let _ = processor.post(Mail::Stop);
        }
        let threads = std::mem::take(&mut *self.threads.lock());
        for (_, thread) in threads {
            // A provider dropped by a callback cannot wait for the thread it runs on.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }

    /// Who passes changes of the network on to sockets.
    ///
    /// # Errors
    /// The transport's, which may not know of any.
    pub(crate) fn watch(&self) -> Result<Arc<Watch>, NtStatus> {
        let mut watch = self.watch.lock();
        if let Some(watch) = &*watch {
            return Ok(watch.clone());
        }
        let made = Arc::<Watch>::default();
        let watcher: Arc<dyn NetworkWatcher> = made.clone();
        self.transport.watch_network(Arc::downgrade(&watcher))?;
        *watch = Some(made.clone());
        Ok(made)
    }

    /// The home of a new socket: processors take turns.
    pub(crate) fn next_home(&self) -> Arc<Processor> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.processors[next % self.processors.len()].clone()
    }

    /// CPU time of the processors' threads.
    pub(crate) fn cpu_nanos(&self) -> u64 {
        self.threads.lock().iter().map(|(tid, _)| cpu_nanos(*tid)).sum()
    }
}

/// CPU time of a thread of this process. The scheduler brings it up to date at its tick, so it lags by milliseconds.
fn cpu_nanos(tid: Tid) -> u64 {
    let path = format!("/proc/self/task/{}/schedstat", tid.as_raw_nonzero());
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_ascii_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}
