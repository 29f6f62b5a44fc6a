//! The fate of datagrams sent before: ICMP errors out of the socket's error queue (E-84, SIO_UDP_CONNRESET).
//!
//! Linux tells of an error once, to whatever call comes next, a send as well as a receive. So whoever meets one empties the queue
//! of the kernel into that of the endpoint, and the driver is called to deliver.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wsk_abi::flags::ControlFlags;
use wsk_abi::status::NtStatus;
use wsk_core::control_data::{ControlData, ControlKinds, IcmpError};
use wsk_core::memory::{Buffer, Lease};
use wsk_core::transport::{Datagram, DatagramInfo, Family, Token};

use crate::address;
use crate::bell::Bell;
use crate::message::{self, Header};
use crate::option::Wishes;
use crate::stats::Stats;

/// Errors kept for a client that does not receive; later ones are lost, as in the kernel.
const MOST: usize = 256;

/// IPPROTO_ICMP and IPPROTO_ICMPV6, the same everywhere.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// An ICMP error, and where the datagram was sent to that it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    destination: SocketAddr,
    error: IcmpError,
}

/// What a failed datagram is to the client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fate {
    /// Shown as a datagram of its own.
    pub(crate) shown: Option<DatagramInfo>,
    /// Reported.
    pub(crate) unreachable: Option<NtStatus>,
}

impl Failed {
    fn fate(&self, wishes: &Wishes) -> Fate {
        let family = address::family_of(&self.destination);
        let (port, network) = wishes.unreachable();
        let unreachable = match (self.error.protocol, self.error.kind, self.error.code) {
            (ICMP, 3, 2 | 3) | (ICMPV6, 1, 4) => port.then_some(NtStatus::PORT_UNREACHABLE),
            // Unreachable for one reason or another, or the time to live was up. Not: fragmentation is needed.
            (ICMP, 3, code) if code != 4 => network.then_some(NtStatus::NETWORK_UNREACHABLE),
            (ICMPV6, 1, _) | (ICMP, 11, _) | (ICMPV6, 3, _) => network.then_some(NtStatus::NETWORK_UNREACHABLE),
            _ => None,
        };
        let shown = wishes.shown(family).contains(ControlKinds::ERROR).then(|| DatagramInfo {
            len: 0,
            source: self.destination,
            flags: ControlFlags::ERRQUEUE,
            control: ControlData::new(family == Family::V6).with_error(self.error),
        });
        Fate { shown, unreachable }
    }
}

/// Calls of endpoints on the driver that they are attached to.
pub(crate) struct Attention {
    calls: Mutex<Vec<Token>>,
    some: AtomicBool,
    bell: Arc<Bell>,
}

impl Attention {
    pub(crate) fn new(bell: Arc<Bell>) -> Arc<Self> {
        Arc::new(Self { calls: Mutex::default(), some: AtomicBool::new(false), bell })
    }

    fn call(&self, token: Token) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(token);
        self.some.store(true, Ordering::Release);
        self.bell.nudge();
    }

    /// Those that called since the last time; nearly always none.
    pub(crate) fn take(&self) -> Vec<Token> {
        if !self.some.load(Ordering::Relaxed) || !self.some.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An endpoint's failed datagrams that nobody was told of.
#[derive(Default)]
pub(crate) struct Errors {
    queue: Mutex<VecDeque<Failed>>,
    some: AtomicBool,
    /// How many there were, ever.
    count: AtomicU32,
    driver: Mutex<Option<(Arc<Attention>, Token)>>,
}

impl Errors {
    /// The endpoint is attached: whom to call.
    pub(crate) fn attach(&self, attention: &Arc<Attention>, token: Token) {
        *self.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(attention), token));
    }

    /// Whether there is one.
    pub(crate) fn some(&self) -> bool {
        self.some.load(Ordering::Acquire)
    }

    /// How many there were, ever; of interest is whether it changed.
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// Empties the kernel's queue.
    pub(crate) fn collect(&self, fd: BorrowedFd<'_>, stats: &Stats) {
        let mut header = Header::new();
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            stats.add(1);
            header.for_error();
            match message::receive_error(fd, &mut header) {
                Ok(_) => {}
                Err(libc::EINTR) => continue,
                Err(_) => break,
            }
            let Some((destination, seen, _)) = header.received() else { continue };
            // What failed here and now, the send that failed has told already.
            let Some(error) = seen.error() else { continue };
            self.count.fetch_add(1, Ordering::Release);
            if queue.len() < MOST {
                queue.push_back(Failed { destination, error });
            }
        }
        self.some.store(!queue.is_empty(), Ordering::Release);
    }

    /// Has the driver deliver what was collected.
    pub(crate) fn call_driver(&self) {
        if let Some((attention, token)) = &*self.driver.lock().unwrap_or_else(PoisonError::into_inner) {
            attention.call(*token);
        }
    }

    /// The next one, as the client wants it.
    pub(crate) fn take(&self, wishes: &Wishes) -> Option<Fate> {
        if !self.some() {
            return None;
        }
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = queue.pop_front();
        self.some.store(!queue.is_empty(), Ordering::Release);
        failed.map(|failed| failed.fate(wishes))
    }
}

/// A datagram without bytes, for an error.
struct NoBytes;

impl Lease for NoBytes {
    fn bytes(&self) -> &[u8] {
        &[]
    }

    fn capacity(&self) -> usize {
        0
    }

    fn release(self: Box<Self>) {}
}

/// An error as it comes among streamed datagrams.
pub(crate) fn datagram(info: DatagramInfo) -> Datagram {
    let DatagramInfo { source, flags, control, .. } = info;
    Datagram { buffer: Buffer::new(Box::new(NoBytes)), source, flags, control }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wsk_core::option::{OptionName, OptionValue};
    use wsk_core::transport::{Endpoint, Protocol};

    use crate::endpoint::HostEndpoint;

    /// control.md 4.5: what SIO_UDP_CONNRESET and SIO_UDP_NETRESET report. E-84: what IP_RECVERR shows.
    #[test]
    fn e84_each_error_is_what_was_asked_for() {
        let endpoint = HostEndpoint::create(Family::V6, Protocol::Udp, 1, Arc::default()).unwrap();
        let fate = |protocol, kind, code| {
            let to = if protocol == ICMP { "[::ffff:10.0.0.1]:9" } else { "[fd00::1]:9" };
            let error = IcmpError { protocol, kind, code, info: 0 };
            Failed { destination: to.parse().unwrap(), error }.fate(&endpoint.wishes)
        };
        let unreachable = |protocol, kind, code| fate(protocol, kind, code).unreachable;
        assert_eq!((unreachable(ICMP, 3, 3), unreachable(ICMP, 3, 0)), (None, None));
        endpoint.report_unreachable(true, false).unwrap();
        assert_eq!(unreachable(ICMP, 3, 3), Some(NtStatus::PORT_UNREACHABLE));
        assert_eq!(unreachable(ICMPV6, 1, 4), Some(NtStatus::PORT_UNREACHABLE));
        assert_eq!((unreachable(ICMP, 3, 0), unreachable(ICMPV6, 1, 0)), (None, None));
        endpoint.report_unreachable(false, true).unwrap();
        for (protocol, kind, code) in [(ICMP, 3, 0), (ICMP, 3, 1), (ICMP, 11, 0), (ICMPV6, 1, 0), (ICMPV6, 3, 0)] {
            assert_eq!(unreachable(protocol, kind, code), Some(NtStatus::NETWORK_UNREACHABLE));
        }
        assert_eq!((unreachable(ICMP, 3, 3), unreachable(ICMP, 3, 4), unreachable(ICMPV6, 2, 0)), (None, None, None));
        assert!(fate(ICMP, 3, 4).shown.is_none());
        endpoint.set_option(OptionName::ReceiveError4, &OptionValue::Number(1)).unwrap();
        assert!(fate(ICMPV6, 2, 0).shown.is_none());
        let shown = fate(ICMP, 3, 4).shown.unwrap();
        assert_eq!((shown.len, shown.flags), (0, ControlFlags::ERRQUEUE));
        assert_eq!(shown.source, "[::ffff:10.0.0.1]:9".parse().unwrap());
        assert_eq!(shown.control.error(), Some(IcmpError { protocol: ICMP, kind: 3, code: 4, info: 0 }));
    }

    /// A driver is called by the send that met an error, and not by those that come while nobody has asked for it.
    #[test]
    fn a_send_that_met_nothing_calls_nobody() {
        let endpoint = HostEndpoint::create(Family::V4, Protocol::Udp, 1, Arc::default()).unwrap();
        endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        endpoint.set_option(OptionName::ReceiveError4, &OptionValue::Number(1)).unwrap();
        let attention = Attention::new(Arc::new(Bell::new(Arc::default()).unwrap()));
        endpoint.errors.attach(&attention, Token(7));
        let error = IcmpError { protocol: ICMP, kind: 3, code: 3, info: 0 };
        let destination = "127.0.0.1:9".parse().unwrap();
        endpoint.errors.queue.lock().unwrap().push_back(Failed { destination, error });
        endpoint.errors.some.store(true, Ordering::Release);
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let send = |to| {
            let message = [wsk_core::memory::Memory::Static(b"small")];
            assert_eq!(endpoint.try_send_to(&message, 0, to, &ControlData::default()), Ok(1));
        };
        send(peer.local_addr().unwrap());
        assert_eq!(attention.take(), []);
        // One that has failed, and the next that hears of it, as soon as it is known.
        let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let met = (0..1_000_000).any(|_| {
            send(gone);
            !attention.take().is_empty()
        });
        assert!(met, "no error came");
    }

    /// What failed here and now does not stay in the kernel's queue, which would go on announcing it.
    #[test]
    fn local_errors_do_not_stay() {
        let endpoint = HostEndpoint::create(Family::V4, Protocol::Udp, 1, Arc::default()).unwrap();
        endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        endpoint.set_option(OptionName::ReceiveError4, &OptionValue::Number(1)).unwrap();
        let too_long = [wsk_core::memory::Memory::Vec(vec![0; 65_510])];
        let result = endpoint.try_send_to(&too_long, 0, "127.0.0.1:9".parse().unwrap(), &ControlData::default());
        assert_eq!(result, Err(NtStatus::INVALID_BUFFER_SIZE));
        let mut header = Header::new();
        header.for_error();
        let left = endpoint.with_fd(|fd| Ok(message::receive_error(fd, &mut header))).unwrap();
        assert_eq!(left, Err(libc::EAGAIN));
        assert!(!endpoint.errors.some());
    }
}
