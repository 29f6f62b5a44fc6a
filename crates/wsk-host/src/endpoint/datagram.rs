//! An endpoint's datagrams: sending at once, what goes with them and what is shown, and the fate of earlier ones.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use rustix::io::Errno;
use rustix::net::{self, SendFlags};
use wsk_abi::flags::ControlFlags;
use wsk_abi::status::NtStatus;
use wsk_core::control_data::ControlData;
use wsk_core::memory::Memory;
use wsk_core::transport::Protocol;

use super::HostEndpoint;
use crate::cmsg::{Seen, Sent};
use crate::icmp::Fate;
use crate::message::MOST_PIECES;
use crate::{address, batch, cmsg, errno, sockopt};

/// The most echoes that one send meets; a bound for hosts that refuse for ever and say it like this.
const ECHOES: u16 = 1000;

/// What one send met until it went out.
///
/// An error of a send is its own, or the fate of an earlier datagram (an echo), and then this one was not tried; or the kernel
/// refuses only that several datagrams are one message. Only another try tells.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tries {
    echoes: u16,
    /// One may have been an echo of which nothing was found; the next such error is the send's own.
    doubt: bool,
    /// What was known of failed datagrams when this try began.
    known: u32,
    /// Several as one were refused: what `largest_segment` is to become if they go one by one.
    refused: Option<u32>,
}

impl HostEndpoint {
    /// What goes with a datagram to `remote`, an address of this endpoint's family.
    pub(crate) fn outgoing(&self, remote: &SocketAddr, control: &ControlData) -> Sent {
        if control.is_empty() {
            return Sent::none();
        }
        let family = address::family_of(remote);
        Sent::new(control, family, self.wishes.class(family))
    }

    /// Takes over what the kernel knows of failed datagrams.
    pub(crate) fn collect_errors(&self) {
        let _ = self.with_fd(|fd| {
            self.collect_errors_on(fd);
            Ok(())
        });
    }

    fn collect_errors_on(&self, fd: BorrowedFd<'_>) {
        if self.wishes.wants_errors() {
            self.errors.collect(fd, &self.stats);
        }
    }

    /// The next failed datagram that the client is to hear of.
    pub(crate) fn next_fate(&self) -> Option<Fate> {
        self.errors.take(&self.wishes)
    }

    /// A datagram's flags and control data, as its client sees them.
    pub(crate) fn shown(&self, source: &SocketAddr, seen: &Seen) -> (ControlFlags, ControlData) {
        (seen.flags, seen.control(&self.wishes, address::family_of(source)))
    }

    /// A try begins.
    pub(crate) fn begin_try(&self, tries: &mut Tries) {
        tries.known = self.errors.count();
    }

    /// A send of `unit` met `errno`: whether it is to be made again. Who asks has the fates of earlier datagrams delivered
    /// afterwards, if there are any.
    pub(crate) fn send_again(&self, fd: BorrowedFd<'_>, errno: i32, unit: (usize, u16), tries: &mut Tries) -> bool {
        match errno {
            libc::EAGAIN | libc::ECANCELED => return false,
            libc::EINTR => return true,
            _ => {}
        }
        // Also what failed here and now is in the kernel's queue, and it would go on announcing it.
        self.collect_errors_on(fd);
        let told = self.wishes.wants_errors() || errno == libc::ECONNREFUSED;
        if told && errno::can_be_an_echo(errno) && tries.echoes < ECHOES {
            // What this send met, another may have taken over.
            let found = self.errors.count() != tries.known;
            let sure = found || errno::can_only_be_an_echo(errno);
            if sure || !std::mem::replace(&mut tries.doubt, true) {
                tries.echoes += 1;
                return true;
            }
        }
        let (count, size) = unit;
        if count > 1 && matches!(errno, libc::EIO | libc::EINVAL | libc::EMSGSIZE) {
            tries.doubt = false;
            tries.refused = Some(if errno == libc::EIO { 0 } else { u32::from(size) - 1 });
            return true;
        }
        false
    }

    /// A send went out. If the same was refused as one message before, such sizes go one by one from now on.
    pub(crate) fn sent_after(&self, tries: &mut Tries) {
        if let Some(largest) = std::mem::take(tries).refused {
            self.largest_segment.fetch_min(largest, Ordering::Relaxed);
        }
    }

    /// Sends those of `messages` behind the first `sent`, without waiting; how many of all are out.
    pub(super) fn send_datagrams(
        &self,
        messages: &[Memory],
        mut sent: usize,
        remote: SocketAddr,
        control: &ControlData,
    ) -> Result<usize, NtStatus> {
        self.usable()?;
        let remote = self.destination(remote)?;
        let before = sent;
        while sent < messages.len() {
            match self.send_some(&messages[sent..], &remote, control) {
                Ok(0) => break,
                Ok(n) => sent += n,
                // Those before it went out; the next call tells.
                Err(_) if sent > before => break,
                Err(status) => return Err(status),
            }
        }
        Ok(sent)
    }

    /// Sends what goes with one call; how many datagrams went out, 0 if none could be taken now.
    fn send_some(&self, messages: &[Memory], remote: &SocketAddr, control: &ControlData) -> Result<usize, NtStatus> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let single = match messages {
            [Memory::None] => Some(&[][..]),
            [only] => only.as_slice(),
            _ => None,
        };
        let sent = self.outgoing(remote, control);
        let mut tries = Tries::default();
        let mut met_errors = false;
        let result = self.with_fd(|fd| {
            loop {
                self.stats.add(1);
                self.begin_try(&mut tries);
                let largest = self.largest_segment(control, &tries);
                let result = match single {
                    Some(bytes) if control.is_empty() => {
                        net::sendto(fd, bytes, flags, remote).map(|_| 1).map_err(Errno::raw_os_error)
                    }
                    _ => batch::send(fd, messages, remote, &sent, largest),
                };
                match result {
                    Ok(n) => {
                        self.sent_after(&mut tries);
                        return Ok(n);
                    }
                    Err(libc::EAGAIN) => return Ok(0),
                    Err(errno) => {
                        met_errors = true;
                        if !self.send_again(fd, errno, batch::unit(messages, largest), &mut tries) {
                            return Err(errno::on_send(errno));
                        }
                    }
                }
            }
        });
        if met_errors && self.errors.some() {
            self.errors.call_driver();
        }
        result
    }

    /// The longest datagrams of which the kernel may get several as one; 0: it gets them one by one.
    pub(crate) fn largest_segment(&self, control: &ControlData, tries: &Tries) -> usize {
        // What the client has cut by itself is no single datagram.
        let cut = control.segment_size().is_some() || self.wishes.cuts();
        let whole = cut || self.protocol != Protocol::Udp || tries.refused.is_some();
        if whole { 0 } else { self.largest_segment.load(Ordering::Relaxed) as usize }
    }

    /// Has the kernel deliver several datagrams of one sender as one, where it can. For good: what is queued like that can only be
    /// told as long as this is on.
    pub(crate) fn coalesce(&self) {
        if self.coalescing.get().is_none() {
            let on = self.protocol == Protocol::Udp && {
                self.stats.add(1);
                self.with_fd(|fd| Ok(sockopt::set_int(fd, libc::SOL_UDP, cmsg::UDP_GRO, 1).is_ok())) == Ok(true)
            };
            let _ = self.coalescing.set(on); // only its driver comes here
        }
    }

    /// Whether datagrams may come as one.
    fn is_coalescing(&self) -> bool {
        self.coalescing.get() == Some(&true)
    }

    /// Whether a datagram can be received straight into `memory`: it gets one only, and the kernel takes that many pieces.
    pub(crate) fn receives_straight(&self, memory: &Memory) -> bool {
        !self.is_coalescing() && batch::piece_count(memory) <= MOST_PIECES
    }

    /// Datagrams that came and that the kernel dropped. Asking is no work of the transport, and not counted.
    pub(crate) fn dropped(&self) -> u64 {
        self.with_fd(|fd| Ok(sockopt::dropped(fd))).unwrap_or(0)
    }
}
