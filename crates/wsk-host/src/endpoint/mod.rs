//! The host's side of one socket: a descriptor, and what Linux would forget about it.
//!
//! Linux reports a reset once and then shows the end of a stream; here the first failure is latched and every later
//! operation gets it (F-168). The descriptor is closed by the driver or by `discard`, never under a call in progress.

mod bind;
mod connect;
mod datagram;
mod silence;

pub(crate) use datagram::Tries;

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendFlags};
use wsk_abi::status::NtStatus;
use wsk_core::control_data::ControlData;
use wsk_core::memory::Memory;
use wsk_core::option::{OptionName, OptionValue};
use wsk_core::transport::{Endpoint, Family, Hangup, Protocol, StreamEnd};

use crate::icmp::Errors;
use crate::option::Wishes;
use crate::sockopt::TcpState;
use crate::stats::Stats;
use crate::{address, errno, message, option, sockopt};

/// The least backlog worth asking for (E-104).
const LEAST_BACKLOG: usize = 64 * 1024;

/// How far a shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FinState {
    /// Our FIN is on its way.
    Pending,
    /// The peer has acknowledged it.
    Acknowledged,
    /// The connection is gone, and no error says why: either all ended well, or somebody has just taken the error and
    /// will latch it.
    Gone,
    /// The connection failed.
    Failed(NtStatus),
}

/// An endpoint of this transport.
pub(crate) struct HostEndpoint {
    fd: RwLock<Option<OwnedFd>>,
    pub(crate) family: Family,
    pub(crate) protocol: Protocol,
    /// The first fatal error; 0 is none.
    failure: AtomicU32,
    /// Our FIN was asked for.
    shut: AtomicBool,
    connected: AtomicBool,
    /// It has been silenced; nothing may be said any more.
    silent: AtomicBool,
    pub(crate) v6_only: AtomicBool,
    pub(crate) wishes: Wishes,
    pub(crate) errors: Errors,
    /// The longest datagrams of which the kernel takes several as one (see `batch`).
    largest_segment: AtomicU32,
    /// Datagrams may come as one, or the kernel does not do that.
    coalescing: OnceLock<bool>,
    /// Watches of an incoming connection in flight; they need the descriptor.
    watches: AtomicU32,
    /// Where it was bound, with the port that was chosen.
    bound: Mutex<Option<SocketAddr>>,
    backlog: i32,
    stats: Arc<Stats>,
}

impl HostEndpoint {
    /// A new, unbound endpoint.
    pub(crate) fn create(
        family: Family,
        protocol: Protocol,
        backlog: i32,
        stats: Arc<Stats>,
    ) -> Result<Arc<Self>, NtStatus> {
        stats.add(3);
        let fd = bind::socket(family, protocol).map_err(to_status)?;
        sockopt::prepare(fd.as_fd(), family, protocol).map_err(to_status)?;
        Ok(Arc::new(Self::new(fd, family, protocol, false, backlog, stats)))
    }

    /// The endpoint of a connection that a listener accepted, with its addresses. `None`: the peer is gone already.
    pub(crate) fn accepted(
        fd: OwnedFd,
        peer: Option<SocketAddr>,
        listener: &HostEndpoint,
    ) -> Option<(Arc<Self>, SocketAddr, SocketAddr)> {
        listener.stats.add(if peer.is_some() { 1 } else { 2 });
        let remote = match peer {
            Some(peer) => peer,
            None => net::getpeername(&fd).ok()??.try_into().ok()?,
        };
        let local = net::getsockname(&fd).ok()?.try_into().ok()?;
        let stats = Arc::clone(&listener.stats);
        let mut endpoint = Self::new(fd, listener.family, Protocol::Tcp, true, listener.backlog, stats);
        endpoint.wishes = listener.wishes.inherited();
        endpoint.v6_only = AtomicBool::new(listener.v6_only.load(Ordering::Relaxed));
        Some((Arc::new(endpoint), local, remote))
    }

    fn new(fd: OwnedFd, family: Family, protocol: Protocol, connected: bool, backlog: i32, stats: Arc<Stats>) -> Self {
        Self {
            fd: RwLock::new(Some(fd)),
            family,
            protocol,
            failure: AtomicU32::new(0),
            shut: AtomicBool::new(false),
            connected: AtomicBool::new(connected),
            silent: AtomicBool::new(false),
            v6_only: AtomicBool::new(family == Family::V6),
            wishes: Wishes::default(),
            errors: Errors::default(),
            largest_segment: AtomicU32::new(u32::MAX),
            coalescing: OnceLock::new(),
            watches: AtomicU32::new(0),
            bound: Mutex::new(None),
            backlog,
            stats,
        }
    }

    /// Runs `f` on the descriptor, which stays open meanwhile. Not from inside of `f`: a close that waits would come between.
    pub(crate) fn with_fd<T>(&self, f: impl FnOnce(BorrowedFd<'_>) -> Result<T, NtStatus>) -> Result<T, NtStatus> {
        let guard = self.fd.read().unwrap_or_else(PoisonError::into_inner);
        match &*guard {
            Some(fd) => f(fd.as_fd()),
            None => Err(self.failure().unwrap_or(NtStatus::FILE_FORCED_CLOSED)),
        }
    }

    /// The descriptor's number, valid until the driver closes it.
    pub(crate) fn raw_fd(&self) -> Option<RawFd> {
        self.fd.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(AsRawFd::as_raw_fd)
    }

    /// The latched failure.
    pub(crate) fn failure(&self) -> Option<NtStatus> {
        match self.failure.load(Ordering::Acquire) {
            0 => None,
            status => Some(NtStatus(status)),
        }
    }

    /// Latches `status` unless something is latched already; returns what is.
    pub(crate) fn fail(&self, status: NtStatus) -> NtStatus {
        match self.failure.compare_exchange(0, status.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => status,
            Err(first) => NtStatus(first),
        }
    }

    /// The status of a stream operation that met `errno`; latches what ends the connection.
    pub(crate) fn stream_error(&self, errno: i32) -> NtStatus {
        if let Some(first) = self.failure() {
            return first;
        }
        let status = errno::on_send(errno);
        // After our own FIN a send meets EPIPE though nothing is wrong with the connection.
        let own_fault = errno == libc::EPIPE && self.shut.load(Ordering::Acquire);
        if errno::ends_stream(errno) && !own_fault { self.fail(status) } else { status }
    }

    /// Looks for a failure that nobody has met yet.
    pub(crate) fn look_for_failure(&self, fd: BorrowedFd<'_>) -> Option<NtStatus> {
        if let Some(status) = self.failure() {
            return Some(status);
        }
        if !self.connected.load(Ordering::Acquire) {
            return None; // a pending error belongs to the connect
        }
        self.stats.add(1);
        if let Some(errno) = sockopt::take_error(fd) {
            return Some(self.fail(errno::status(errno)));
        }
        // A connection that we did not end and that is in no state has been reset; its error went to another call.
        if !self.shut.load(Ordering::Acquire) {
            self.stats.add(1);
            if sockopt::tcp_info(fd).is_some_and(|info| info.state == TcpState::Close) {
                return Some(self.fail(NtStatus::CONNECTION_RESET));
            }
        }
        None
    }

    /// What the end of the data means: a FIN, or a failure whose error was reported before.
    pub(crate) fn end_of_stream(&self) -> StreamEnd {
        match self.with_fd(|fd| Ok(self.look_for_failure(fd))) {
            Ok(None) => StreamEnd::Fin,
            Ok(Some(status)) | Err(status) => StreamEnd::Failed(status),
        }
    }

    /// What a poll that saw RDHUP, HUP (`gone`) or ERR (`error`) means. `None`: nothing yet.
    pub(crate) fn hangup(&self, gone: bool, error: bool) -> Option<Hangup> {
        let result = self.with_fd(|fd| {
            let failure = self.look_for_failure(fd).or_else(|| error.then(|| self.fail(NtStatus::CONNECTION_RESET)));
            self.stats.add(1);
            let unread = sockopt::unread(fd);
            Ok(match failure {
                Some(status) => Some(Hangup::Failed { status, unread }),
                None => gone.then_some(Hangup::Fin { unread }),
            })
        });
        result.unwrap_or_else(|status| Some(Hangup::Failed { status, unread: 0 }))
    }

    /// Starts the end of the send direction.
    pub(crate) fn send_fin(&self) -> FinState {
        self.shut.store(true, Ordering::Release);
        if let Some(status) = self.failure() {
            return FinState::Failed(status);
        }
        self.stats.add(1);
        match self.with_fd(|fd| Ok(net::shutdown(fd, net::Shutdown::Write))) {
            Ok(Ok(())) => self.fin_state(),
            Ok(Err(Errno::NOTCONN)) => FinState::Failed(
                self.with_fd(|fd| Ok(sockopt::take_error(fd)))
                    .ok()
                    .flatten()
                    .map_or_else(|| self.fail(NtStatus::CONNECTION_RESET), |errno| self.fail(errno::status(errno))),
            ),
            Ok(Err(e)) => FinState::Failed(self.stream_error(e.raw_os_error())),
            Err(status) => FinState::Failed(status),
        }
    }

    /// How far the end of the send direction has come.
    pub(crate) fn fin_state(&self) -> FinState {
        let result = self.with_fd(|fd| {
            if let Some(status) = self.look_for_failure(fd) {
                return Ok(FinState::Failed(status));
            }
            self.stats.add(1);
            Ok(match sockopt::tcp_info(fd).map(|info| info.state) {
                Some(TcpState::FinWait2 | TcpState::TimeWait) => FinState::Acknowledged,
                Some(TcpState::Close) | None => FinState::Gone,
                Some(TcpState::Other) => FinState::Pending,
            })
        });
        result.unwrap_or_else(FinState::Failed)
    }

    /// A connect has succeeded.
    pub(crate) fn on_connected(&self) {
        self.connected.store(true, Ordering::Release);
    }

    /// An address of a client, to bind, connect or send to, in this endpoint's family.
    pub(crate) fn destination(&self, remote: SocketAddr) -> Result<SocketAddr, NtStatus> {
        let mut remote = address::in_family(self.family, self.v6_only.load(Ordering::Relaxed), remote)?;
        if self.is_raw() {
            remote.set_port(0); // Linux takes it for a protocol
        }
        Ok(remote)
    }

    /// Whether there is no transport protocol above IP, and so no port.
    pub(crate) fn is_raw(&self) -> bool {
        matches!(self.protocol, Protocol::Raw(_))
    }

    /// Makes the endpoint bound and unconnected again after a connect that did not succeed (F-153).
    pub(crate) fn undo_connect(&self) {
        let bound = *self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        self.stats.add(3);
        let result = self.with_fd(|fd| {
            let _ = net::connect_unspec(fd);
            let _ = sockopt::take_error(fd);
            match bound.map(|local| net::bind(fd, &local)) {
                // EINVAL: it has kept its port.
                None | Some(Ok(()) | Err(Errno::INVAL)) => Ok(()),
                Some(Err(_)) => Err(NtStatus::FILE_FORCED_CLOSED),
            }
        });
        if result.is_err() {
            self.fail(NtStatus::FILE_FORCED_CLOSED);
        }
    }

    /// A driver begins to watch this connection before it is attached; the descriptor stays open until the end.
    pub(crate) fn begin_watch(&self) {
        self.watches.fetch_add(1, Ordering::AcqRel);
    }

    /// The end of the above.
    pub(crate) fn end_watch(&self) {
        self.watches.fetch_sub(1, Ordering::AcqRel);
    }

    /// Closes the descriptor. An abortive close whose data is still on the way hands it back instead, to be closed with
    /// RST later.
    pub(crate) fn close(&self, abort: bool) -> Option<OwnedFd> {
        let fd = self.fd.write().unwrap_or_else(PoisonError::into_inner).take()?;
        self.stats.add(1);
        if self.protocol != Protocol::Tcp {
            self.stats.add(1);
            self.stats.dropped(sockopt::dropped(fd.as_fd()));
        }
        let may_speak = !self.silent.load(Ordering::Acquire);
        if abort && may_speak && self.protocol == Protocol::Tcp && self.connected.load(Ordering::Acquire) {
            self.stats.add(2);
            if self.failure().is_none() && sockopt::unacknowledged(fd.as_fd()) > 0 {
                return Some(fd);
            }
            sockopt::reset_on_close(&fd);
        }
        None
    }

    /// What keeps a stream call from being tried.
    fn usable(&self) -> Result<(), NtStatus> {
        self.failure().map_or(Ok(()), Err)
    }

    /// The outcome of a non-blocking stream call.
    fn outcome(&self, result: Result<usize, Errno>) -> Result<Option<usize>, NtStatus> {
        match result {
            Ok(n) => Ok(Some(n)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(e) => Err(self.stream_error(e.raw_os_error())),
        }
    }
}

fn to_status(e: Errno) -> NtStatus {
    errno::status(e.raw_os_error())
}

fn to_address(any: net::SocketAddrAny) -> Result<SocketAddr, NtStatus> {
    SocketAddr::try_from(any).map_err(|_| NtStatus::INVALID_DEVICE_STATE)
}

impl Endpoint for HostEndpoint {
    fn bind(&self, local: SocketAddr, shares: bool) -> Result<SocketAddr, NtStatus> {
        self.bind_to(local, shares)
    }

    fn listen(&self) -> Result<(), NtStatus> {
        self.stats.add(1);
        self.with_fd(|fd| net::listen(fd, self.backlog).map_err(to_status))
    }

    fn local_address(&self) -> Result<SocketAddr, NtStatus> {
        self.stats.add(1);
        self.with_fd(|fd| self.local_name(fd))
    }

    fn remote_address(&self) -> Result<SocketAddr, NtStatus> {
        self.stats.add(1);
        self.with_fd(|fd| to_address(net::getpeername(fd).map_err(to_status)?.ok_or(NtStatus::INVALID_DEVICE_STATE)?))
    }

    fn try_send(&self, memory: &Memory, offset: usize) -> Result<Option<usize>, NtStatus> {
        self.usable()?;
        let segments = memory.segments(offset);
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        if segments.is_empty() {
            return Ok(Some(0));
        }
        self.stats.add(1);
        self.with_fd(|fd| {
            let result = match segments.as_slice() {
                [only] => net::send(fd, only, flags),
                many => {
                    let pieces: smallvec::SmallVec<[std::io::IoSlice<'_>; 8]> =
                        many.iter().take(message::MOST_PIECES).map(|piece| std::io::IoSlice::new(piece)).collect();
                    net::sendmsg(fd, &pieces, &mut net::SendAncillaryBuffer::default(), flags)
                }
            };
            self.outcome(result)
        })
    }

    fn try_receive(&self, memory: &mut Memory, offset: usize) -> Result<Option<usize>, NtStatus> {
        let mut segments = memory.segments_mut(offset);
        if segments.is_empty() {
            return Ok(None);
        }
        self.stats.add(1);
        let received = self.with_fd(|fd| {
            // Even after a failure: what had arrived before it comes first (F-168).
            let result = match segments.as_mut_slice() {
                [only] => net::recv(fd, &mut **only, RecvFlags::DONTWAIT).map(|(n, _)| n),
                many => {
                    let mut pieces: smallvec::SmallVec<[std::io::IoSliceMut<'_>; 8]> =
                        many.iter_mut().take(message::MOST_PIECES).map(|p| std::io::IoSliceMut::new(p)).collect();
                    let mut control = net::RecvAncillaryBuffer::default();
                    net::recvmsg(fd, &mut pieces, &mut control, RecvFlags::DONTWAIT).map(|r| r.bytes)
                }
            };
            self.outcome(result)
        })?;
        if received == Some(0)
            && let StreamEnd::Failed(status) = self.end_of_stream()
        {
            return Err(status);
        }
        Ok(received)
    }

    fn try_send_to(
        &self,
        messages: &[Memory],
        sent: usize,
        remote: SocketAddr,
        control: &ControlData,
    ) -> Result<usize, NtStatus> {
        self.send_datagrams(messages, sent, remote, control)
    }

    fn set_option(&self, option: OptionName, value: &OptionValue) -> Result<(), NtStatus> {
        self.stats.add(1);
        self.with_fd(|fd| option::set(self, fd, option, value))
    }

    fn option(&self, option: OptionName) -> Result<OptionValue, NtStatus> {
        self.stats.add(1);
        self.with_fd(|fd| option::get(self, fd, option))
    }

    fn report_unreachable(&self, port: bool, network: bool) -> Result<(), NtStatus> {
        self.stats.add(2);
        self.with_fd(|fd| option::report_unreachable(self, fd, port, network))
    }

    fn silence(&self) -> Result<(), NtStatus> {
        self.fall_silent()
    }

    fn unread(&self) -> usize {
        self.stats.add(1);
        self.with_fd(|fd| Ok(sockopt::unread(fd))).unwrap_or(0)
    }

    fn is_dead(&self) -> bool {
        self.with_fd(|fd| Ok(self.look_for_failure(fd))).is_ok_and(|failure| failure.is_some())
            || self.failure().is_some()
    }

    fn ideal_send_backlog(&self) -> usize {
        self.stats.add(1);
        let window = self.with_fd(|fd| Ok(sockopt::tcp_info(fd).map_or(0, |info| info.send_window_bytes))).unwrap_or(0);
        LEAST_BACKLOG.max(2 * window)
    }

    fn discard(&self, abort: bool) {
        if self.watches.load(Ordering::Acquire) > 0 {
            // The watch sees the end and lets go of the endpoint, whose last owner closes the descriptor.
            self.stats.add(2);
            let _ = self.with_fd(|fd| {
                if abort {
                    sockopt::reset_on_close(fd);
                    let _ = net::connect_unspec(fd); // sends the RST at once
                } else {
                    let _ = net::shutdown(fd, net::Shutdown::Both);
                }
                Ok(())
            });
        } else if let Some(fd) = self.close(abort) {
            sockopt::reset_on_close(&fd);
        }
    }

    fn as_any(&self) -> &(dyn std::any::Any + Send + Sync) {
        self
    }
}
