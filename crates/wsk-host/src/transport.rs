//! The transport object: which driver serves, its configuration, and the counters.
//!
//! The choice is made once, when the transport is made; a processor whose ring cannot be opened later still gets epoll
//! unless io_uring was demanded.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use wsk_abi::status::NtStatus;
use wsk_core::transport::{
    Counters, Driver, Endpoint, Family, NetworkWatcher, Protocol, Service, ServiceKind, Transport,
};

use crate::driver::{epoll::EpollDriver, uring::UringDriver};
use crate::endpoint::HostEndpoint;
use crate::network::{self, Watch};
use crate::pool::Shared;
use crate::probe;
use crate::stats::Stats;

/// The environment variable that [`HostTransport::from_env`] reads.
const VARIABLE: &str = "WSK_TRANSPORT";

/// Which driver to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Choice {
    /// io_uring where it works, otherwise epoll.
    #[default]
    Auto,
    /// io_uring or an error.
    Uring,
    /// epoll.
    Epoll,
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => Ok(Choice::Auto),
            "uring" => Ok(Choice::Uring),
            "epoll" => Ok(Choice::Epoll),
            other => Err(Error::UnknownChoice(other.to_owned())),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Choice::Auto => "auto",
            Choice::Uring => "uring",
            Choice::Epoll => "epoll",
        })
    }
}

/// Why a [`HostTransport`] could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The text is not one of `auto`, `uring`, `epoll`.
    UnknownChoice(String),
    /// io_uring was demanded and does not work here; the text says what failed.
    UringUnavailable(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::UnknownChoice(text) => {
                write!(f, "unknown transport driver {text:?}: use auto, uring or epoll")
            }
            Error::UringUnavailable(why) => write!(
                f,
                "io_uring was demanded but does not work here: {why}; choose auto or epoll ({VARIABLE}=epoll), or allow \
                 io_uring (Linux 6.0 or later, sysctl kernel.io_uring_disabled=0, a container profile that permits it)"
            ),
        }
    }
}

impl std::error::Error for Error {}

/// What a [`HostTransport`] is made of. The defaults suit servers of thousands of sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which driver.
    pub choice: Choice,
    /// Connections that the kernel completes before they are accepted; the host may bound it further.
    pub backlog: u16,
    /// Bytes of one stream receive buffer.
    pub stream_buffer: usize,
    /// Stream receive buffers that a driver starts with. Their memory is touched only by data.
    pub stream_buffers: usize,
    /// Stream receive buffers that a driver may grow to (at most 32,768).
    pub most_stream_buffers: usize,
    /// Datagram receive buffers that a driver starts with; each holds the longest datagram.
    pub datagram_buffers: usize,
    /// Datagram receive buffers that a driver may grow to (at most 32,768).
    pub most_datagram_buffers: usize,
    /// For tests.
    pub switches: Switches,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            choice: Choice::Auto,
            backlog: 1024,
            stream_buffer: 8 * 1024,
            stream_buffers: 512,
            most_stream_buffers: 16 * 1024,
            datagram_buffers: 64,
            most_datagram_buffers: 4096,
            switches: Switches::default(),
        }
    }
}

/// Makes a host look poorer than it is. For tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// io_uring is refused, as containers do.
    pub refuse_uring: bool,
    /// Rings are made without the set-up flags that older kernels lack.
    pub plain_ring: bool,
}

/// The Linux TCP/IP transport.
pub struct HostTransport {
    config: Config,
    uring: bool,
    reason: Mutex<String>,
    stats: Arc<Stats>,
    pools: Mutex<Vec<Weak<Shared>>>,
    datagrams: Mutex<Datagrams>,
    watch: Watch,
    /// Whether this process may have raw sockets.
    raw: OnceLock<bool>,
    v6: OnceLock<bool>,
}

/// Endpoints of datagrams: the kernel counts by socket what it drops.
#[derive(Default)]
struct Datagrams {
    endpoints: Vec<Weak<HostEndpoint>>,
    /// Those gone are forgotten when there are so many.
    tidy_at: usize,
}

impl HostTransport {
    /// A transport with the driver of `choice` and defaults for the rest.
    ///
    /// # Errors
    /// [`Error::UringUnavailable`] for [`Choice::Uring`] where it does not work.
    pub fn new(choice: Choice) -> Result<Self, Error> {
        Self::with_config(Config { choice, ..Config::default() })
    }

    /// A transport with the driver that the environment variable `WSK_TRANSPORT` names; unset or empty is `auto`.
    ///
    /// # Errors
    /// As [`HostTransport::new`], and [`Error::UnknownChoice`].
    pub fn from_env() -> Result<Self, Error> {
        match std::env::var_os(VARIABLE) {
            None => Self::new(Choice::Auto),
            Some(text) if text.is_empty() => Self::new(Choice::Auto),
            Some(text) => Self::new(text.to_string_lossy().parse()?),
        }
    }

    /// A transport as configured.
    ///
    /// # Errors
    /// As [`HostTransport::new`].
    pub fn with_config(config: Config) -> Result<Self, Error> {
        let (uring, reason) = match config.choice {
            Choice::Epoll => (false, "epoll, as asked for".to_owned()),
            choice => match (probe::uring(config.switches), choice) {
                (Ok(found), Choice::Uring) => (true, format!("io_uring, as asked for: {found}")),
                (Ok(found), _) => (true, format!("io_uring: {found}")),
                (Err(why), Choice::Uring) => return Err(Error::UringUnavailable(why)),
                (Err(why), _) => (false, format!("epoll, because io_uring does not work here: {why}")),
            },
        };
        Ok(Self {
            config,
            uring,
            reason: Mutex::new(reason),
            stats: Arc::new(Stats::default()),
            pools: Mutex::new(Vec::new()),
            datagrams: Mutex::default(),
            watch: Watch::default(),
            raw: OnceLock::new(),
            v6: OnceLock::new(),
        })
    }

    fn watch_pools(&self, pools: [Weak<Shared>; 2]) {
        let mut all = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|pool| pool.strong_count() > 0);
        all.extend(pools);
    }
}

/// Tries a raw socket, of a protocol that is free for experiments.
fn may_be_raw() -> bool {
    let refused = HostEndpoint::create(Family::V4, Protocol::Raw(253), 0, Arc::default()).err();
    // A shortage passes.
    !matches!(refused, Some(NtStatus::ACCESS_DENIED | NtStatus::NOT_SUPPORTED))
}

/// Tries a socket of IPv6: a kernel can be without.
fn has_v6() -> bool {
    HostEndpoint::create(Family::V6, Protocol::Udp, 0, Arc::default()).err() != Some(NtStatus::NOT_SUPPORTED)
}

impl fmt::Debug for HostTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostTransport")
            .field("config", &self.config)
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl Transport for HostTransport {
    fn name(&self) -> &'static str {
        if self.uring { "uring" } else { "epoll" }
    }

    fn reason(&self) -> String {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn create(&self, family: Family, protocol: Protocol) -> Result<Arc<dyn Endpoint>, NtStatus> {
        let endpoint = HostEndpoint::create(family, protocol, i32::from(self.config.backlog), Arc::clone(&self.stats))?;
        if protocol != Protocol::Tcp {
            let mut all = self.datagrams.lock().unwrap_or_else(PoisonError::into_inner);
            if all.endpoints.len() >= all.tidy_at {
                all.endpoints.retain(|endpoint| endpoint.strong_count() > 0);
                all.tidy_at = 2 * all.endpoints.len() + 64;
            }
            all.endpoints.push(Arc::downgrade(&endpoint));
        }
        Ok(endpoint)
    }

    /// Raw sockets are there for those who may have them, and IPv6 where the kernel has it.
    fn services(&self) -> Vec<Service> {
        let all = [ServiceKind::Tcp, ServiceKind::Udp, ServiceKind::Raw];
        let all = all.into_iter().flat_map(|kind| [Family::V4, Family::V6].map(|family| Service { kind, family }));
        all.filter(|service| service.kind != ServiceKind::Raw || *self.raw.get_or_init(may_be_raw))
            .filter(|service| service.family == Family::V4 || *self.v6.get_or_init(has_v6))
            .collect()
    }

    fn local_addresses(&self, family: Family) -> Result<Vec<SocketAddr>, NtStatus> {
        network::addresses(family)
    }

    fn route(&self, destination: SocketAddr) -> Result<SocketAddr, NtStatus> {
        network::route(destination)
    }

    fn path_mtu(&self, destination: IpAddr) -> Result<u32, NtStatus> {
        network::path_mtu(destination)
    }

    fn watch_network(&self, watcher: Weak<dyn NetworkWatcher>) -> Result<(), NtStatus> {
        self.watch.add(watcher)
    }

    fn open_driver(&self, processor: usize) -> std::io::Result<Box<dyn Driver>> {
        if self.uring {
            match UringDriver::new(&self.config, Arc::clone(&self.stats)) {
                Ok(driver) => {
                    self.watch_pools(driver.pools());
                    return Ok(Box::new(driver));
                }
                Err(e) if self.config.choice == Choice::Uring => return Err(e),
                Err(e) => {
                    let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
                    reason.push_str(&format!("; processor {processor} fell back to epoll: {e}"));
                }
            }
        }
        let driver = EpollDriver::new(&self.config, Arc::clone(&self.stats))?;
        self.watch_pools(driver.pools());
        Ok(Box::new(driver))
    }

    fn counters(&self) -> Counters {
        let (bytes_copied, mut dropped) = self.stats.copied_and_dropped();
        let endpoints = self.datagrams.lock().unwrap_or_else(PoisonError::into_inner).endpoints.clone();
        dropped += endpoints.iter().filter_map(Weak::upgrade).map(|endpoint| endpoint.dropped()).sum::<u64>();
        let mut counters = Counters {
            system_calls: self.stats.system_calls(),
            bytes_copied,
            datagrams_dropped_by_host: dropped,
            ..Counters::default()
        };
        for pool in self.pools.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
            let (lent, memory) = pool.figures();
            counters.buffers_lent += lent;
            counters.buffer_memory += memory;
        }
        counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_read_and_print() {
        for choice in [Choice::Auto, Choice::Uring, Choice::Epoll] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("iocp".parse::<Choice>(), Err(Error::UnknownChoice("iocp".to_owned())));
    }

    #[test]
    fn a_refused_ring_falls_back_or_fails_with_advice() {
        let switches = Switches { refuse_uring: true, ..Switches::default() };
        let auto = HostTransport::with_config(Config { switches, ..Config::default() }).unwrap();
        assert_eq!(auto.name(), "epoll");
        assert!(auto.reason().contains("io_uring"), "{}", auto.reason());
        let error = HostTransport::with_config(Config { switches, choice: Choice::Uring, ..Config::default() });
        let text = error.unwrap_err().to_string();
        assert!(text.contains("WSK_TRANSPORT=epoll") && text.contains("io_uring_disabled"), "{text}");
    }
}
