//! An endpoint's datagrams: sending at once, what goes with them and what is shown, and the fate of earlier ones.

use std::net::SocketAddr;

use rustix::io::Errno;
use rustix::net::{self, SendFlags};
use wsk_abi::flags::ControlFlags;
use wsk_abi::status::NtStatus;
use wsk_core::control_data::ControlData;
use wsk_core::memory::Memory;

use super::HostEndpoint;
use crate::cmsg::{Seen, Sent};
use crate::icmp::Fate;
use crate::message::{self, Header};
use crate::{address, errno};

impl HostEndpoint {
    /// What goes with a datagram to `remote`, an address of this endpoint's family.
    pub(crate) fn outgoing(&self, remote: &SocketAddr, control: &ControlData) -> Sent {
        if control.is_empty() {
            return Sent::none();
        }
        let family = address::family_of(remote);
        Sent::new(control, family, self.wishes.class(family))
    }

    /// A datagram call met `errno`. If that is the echo of an earlier datagram's fate, and somebody wants to know, it is kept. Says
    /// whether the call is to be made again.
    pub(crate) fn is_echo(&self, errno: i32) -> bool {
        match errno {
            libc::EAGAIN | libc::EMSGSIZE | libc::ECANCELED => false,
            libc::EINTR => true,
            _ => self.collect_errors() || errno == libc::ECONNREFUSED,
        }
    }

    /// Takes over what the kernel knows of failed datagrams. Whether there was anything.
    pub(crate) fn collect_errors(&self) -> bool {
        self.wishes.wants_errors() && self.with_fd(|fd| Ok(self.errors.collect(fd, &self.stats))) == Ok(true)
    }

    /// The next failed datagram that the client is to hear of.
    pub(crate) fn next_fate(&self) -> Option<Fate> {
        self.errors.take(&self.wishes)
    }

    /// A datagram's flags and control data, as its client sees them.
    pub(crate) fn shown(&self, source: &SocketAddr, seen: &Seen) -> (ControlFlags, ControlData) {
        (seen.flags, seen.control(&self.wishes, address::family_of(source)))
    }

    /// As [`HostEndpoint::is_echo`], for a call that the driver knows nothing of.
    fn was_echo(&self, errno: i32) -> bool {
        let echo = self.is_echo(errno);
        if self.errors.some() {
            self.errors.call_driver();
        }
        echo
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
        let control = self.outgoing(&remote, control);
        while let Some(memory) = messages.get(sent) {
            if !self.try_send_one(memory, &remote, &control)? {
                break;
            }
            sent += 1;
        }
        Ok(sent)
    }

    /// Sends one datagram without waiting. `false`: it could not be taken now.
    fn try_send_one(&self, memory: &Memory, remote: &SocketAddr, control: &Sent) -> Result<bool, NtStatus> {
        let segments = memory.segments(0);
        if !control.bytes().is_empty() {
            let mut header = Header::new();
            header.set_control(control);
            header.for_send_to(memory, remote);
            return self.with_fd(|fd| {
                loop {
                    self.stats.add(1);
                    return match message::send(fd, &header) {
                        Ok(_) => Ok(true),
                        Err(libc::EAGAIN) => Ok(false),
                        Err(errno) if self.was_echo(errno) => continue,
                        Err(errno) => Err(errno::on_send(errno)),
                    };
                }
            });
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        self.with_fd(|fd| {
            loop {
                self.stats.add(1);
                let result = match segments.as_slice() {
                    [] => net::sendto(fd, &[], flags, remote),
                    [only] => net::sendto(fd, only, flags, remote),
                    many => {
                        let pieces: smallvec::SmallVec<[std::io::IoSlice<'_>; 8]> =
                            many.iter().take(message::MOST_PIECES).map(|piece| std::io::IoSlice::new(piece)).collect();
                        net::sendmsg_addr(fd, remote, &pieces, &mut net::SendAncillaryBuffer::default(), flags)
                    }
                };
                return match result {
                    Ok(_) => Ok(true),
                    Err(Errno::AGAIN) => Ok(false),
                    // The echo of an earlier datagram's fate; this one was not tried.
                    Err(e) if self.was_echo(e.raw_os_error()) => continue,
                    Err(e) => Err(errno::on_send(e.raw_os_error())),
                };
            }
        })
    }
}
