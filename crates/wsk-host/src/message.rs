//! What a kernel message call works on: the pieces of client memory, an address, control messages.
//!
//! A [`Header`] is boxed and pooled, so its parts stay where the kernel was told they are while an operation is in flight.

#![allow(unsafe_code)] // recvmsg has no safe wrapper that yields IP_PKTINFO

use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use wsk_core::memory::Memory;

use crate::address::{self, NAME_SPACE, Name};
use crate::cmsg::{CONTROL_SPACE, Seen, Sent};

/// The most pieces the kernel takes at once (UIO_MAXIOV).
pub(crate) const MOST_PIECES: usize = 1024;

/// The longest single transfer asked for; the kernel cuts longer ones at nearly 2 GiB.
const LONGEST: usize = 0x4000_0000;

/// One piece of memory: address and length.
pub(crate) type Piece = (*const u8, usize);

/// Control messages, aligned as the kernel wants them.
#[repr(C, align(8))]
struct Control([u8; CONTROL_SPACE]);

/// Storage for one message call.
#[repr(C)]
pub(crate) struct Header {
    message: libc::msghdr,
    name: Name,
    control: Control,
    /// Bytes of `control` that are to be sent.
    sending: usize,
    pieces: Vec<libc::iovec>,
}

impl Header {
    pub(crate) fn new() -> Box<Self> {
        // SAFETY: all-zero bytes are a valid `msghdr`: null pointers and lengths of zero.
        let message = unsafe { MaybeUninit::zeroed().assume_init() };
        Box::new(Self {
            message,
            name: Name::empty(),
            control: Control([0; CONTROL_SPACE]),
            sending: 0,
            pieces: Vec::with_capacity(4),
        })
    }

    /// Points at this header's own storage; to be called after the parts are filled in.
    fn link(&mut self, name_len: usize, control_len: usize) {
        self.message.msg_name =
            if name_len == 0 { std::ptr::null_mut() } else { self.name.space().as_mut_ptr().cast() };
        self.message.msg_namelen = name_len as libc::socklen_t;
        self.message.msg_iov = self.pieces.as_mut_ptr();
        self.message.msg_iovlen = self.pieces.len();
        self.message.msg_control =
            if control_len == 0 { std::ptr::null_mut() } else { self.control.0.as_mut_ptr().cast() };
        self.message.msg_controllen = control_len;
        self.message.msg_flags = 0;
    }

    /// For a stream send of `parts` after their first `skip` bytes; as many pieces as the kernel takes at once.
    pub(crate) fn for_send(&mut self, parts: &[Memory], skip: usize) {
        self.pieces.clear();
        for_each_piece(parts, skip, |(base, len)| {
            self.pieces.push(libc::iovec { iov_base: base.cast_mut().cast(), iov_len: len });
            self.pieces.len() < MOST_PIECES
        });
        self.link(0, 0);
    }

    /// What goes with the datagrams of the following sends.
    pub(crate) fn set_control(&mut self, control: &Sent) {
        let bytes = control.bytes();
        self.control.0[..bytes.len()].copy_from_slice(bytes);
        self.sending = bytes.len();
    }

    /// For a send of datagrams as one message, after [`Header::set_control`].
    pub(crate) fn for_send_to(&mut self, unit: &[Memory], remote: &SocketAddr) {
        self.pieces.clear();
        for segment in unit.iter().flat_map(|memory| memory.segments(0)) {
            self.pieces.push(libc::iovec { iov_base: segment.as_ptr().cast_mut().cast(), iov_len: segment.len() });
        }
        self.name = Name::new(remote);
        let len = self.name.bytes().len();
        self.link(len, self.sending);
    }

    /// For a connect that takes its first data along.
    pub(crate) fn for_first(&mut self, first: &Memory, remote: &SocketAddr) {
        self.for_send(std::slice::from_ref(first), 0);
        self.name = Name::new(remote);
        let len = self.name.bytes().len();
        self.link(len, 0);
    }

    /// For a stream receive into `memory` after its first `skip` bytes.
    pub(crate) fn for_receive(&mut self, memory: &mut Memory, skip: usize) {
        self.writable_pieces(memory, skip);
        self.link(0, 0);
    }

    /// For a datagram receive into `memory`.
    pub(crate) fn for_receive_from(&mut self, memory: &mut Memory) {
        self.writable_pieces(memory, 0);
        self.link(NAME_SPACE, CONTROL_SPACE);
    }

    /// For a datagram receive into `space`.
    pub(crate) fn for_receive_into(&mut self, space: *mut u8, len: usize) {
        self.pieces.clear();
        self.pieces.push(libc::iovec { iov_base: space.cast(), iov_len: len });
        self.link(NAME_SPACE, CONTROL_SPACE);
    }

    /// For a message of the error queue, without the bytes that were sent.
    pub(crate) fn for_error(&mut self) {
        self.pieces.clear();
        self.link(NAME_SPACE, CONTROL_SPACE);
    }

    /// For datagrams into buffers that the ring chooses: only the space for address and control messages counts.
    pub(crate) fn for_multishot(&mut self) {
        self.pieces.clear();
        self.link(NAME_SPACE, CONTROL_SPACE);
    }

    /// For a connect.
    pub(crate) fn for_connect(&mut self, remote: &SocketAddr) {
        self.name = Name::new(remote);
    }

    fn writable_pieces(&mut self, memory: &mut Memory, skip: usize) {
        self.pieces.clear();
        for segment in memory.segments_mut(skip).into_iter().take(MOST_PIECES) {
            self.pieces.push(libc::iovec { iov_base: segment.as_mut_ptr().cast(), iov_len: segment.len() });
        }
    }

    /// The address for a connect: pointer and length.
    pub(crate) fn name(&self) -> (*const u8, u32) {
        let bytes = self.name.bytes();
        (bytes.as_ptr(), bytes.len() as u32)
    }

    pub(crate) fn message(&self) -> *const libc::msghdr {
        &raw const self.message
    }

    pub(crate) fn message_mut(&mut self) -> *mut libc::msghdr {
        &raw mut self.message
    }

    /// After a receive: the source of the datagram, what came with it, and whether it was longer than the memory.
    pub(crate) fn received(&mut self) -> Option<(SocketAddr, Seen, bool)> {
        let name_len = (self.message.msg_namelen as usize).min(NAME_SPACE);
        let source = address::decode(&self.name.space()[..name_len])?;
        let control_len = self.message.msg_controllen.min(CONTROL_SPACE);
        let seen = Seen::parse(&self.control.0[..control_len]);
        Some((source, seen, self.message.msg_flags & libc::MSG_TRUNC != 0))
    }
}

/// Calls `each` for every piece of `parts` after their first `skip` bytes, until it says `false`.
fn for_each_piece(parts: &[Memory], mut skip: usize, mut each: impl FnMut(Piece) -> bool) {
    for part in parts {
        if skip > 0 {
            let len = part.len();
            if skip >= len {
                skip -= len;
                continue;
            }
        }
        for segment in part.segments(skip) {
            if !each((segment.as_ptr(), segment.len())) {
                return;
            }
        }
        skip = 0;
    }
}

/// The only piece of `parts` after their first `skip` bytes, if there is just one.
pub(crate) fn single_piece(parts: &[Memory], skip: usize) -> Option<Piece> {
    if let ([memory], 0) = (parts, skip)
        && let Some(bytes) = memory.as_slice()
    {
        return Some((bytes.as_ptr(), bytes.len().min(LONGEST)));
    }
    let mut found = None;
    let mut count = 0;
    for_each_piece(parts, skip, |piece| {
        found = Some(piece);
        count += 1;
        count < 2
    });
    found.filter(|_| count == 1).map(|(base, len)| (base, len.min(LONGEST)))
}

/// The only writable piece of `memory` after its first `skip` bytes, if there is just one.
pub(crate) fn single_piece_mut(memory: &mut Memory, skip: usize) -> Option<(*mut u8, usize)> {
    let mut segments = memory.segments_mut(skip);
    match segments.as_mut_slice() {
        [only] => Some((only.as_mut_ptr(), only.len().min(LONGEST))),
        _ => None,
    }
}

/// Receives one datagram as `header` describes. `Err` is an errno.
pub(crate) fn receive(fd: BorrowedFd<'_>, header: &mut Header) -> Result<usize, i32> {
    receive_with(fd, header, libc::MSG_DONTWAIT)
}

/// Takes one message out of the error queue. `Err` is an errno.
pub(crate) fn receive_error(fd: BorrowedFd<'_>, header: &mut Header) -> Result<usize, i32> {
    receive_with(fd, header, libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE)
}

fn receive_with(fd: BorrowedFd<'_>, header: &mut Header, flags: i32) -> Result<usize, i32> {
    // SAFETY: every pointer in the header was set by its last `for_*` call from storage that the caller still holds.
    let result = unsafe { libc::recvmsg(fd.as_raw_fd(), header.message_mut(), flags) };
    usize::try_from(result).map_err(|_| last_errno())
}

/// Sends as `header` describes. `Err` is an errno.
pub(crate) fn send(fd: BorrowedFd<'_>, header: &Header) -> Result<usize, i32> {
    send_with(fd, header, 0)
}

/// As [`send`], with one more flag.
pub(crate) fn send_with(fd: BorrowedFd<'_>, header: &Header, flag: i32) -> Result<usize, i32> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | flag;
    // SAFETY: every pointer in the header was set by its last `for_*` call from storage that the caller still holds.
    let result = unsafe { libc::sendmsg(fd.as_raw_fd(), header.message(), flags) };
    usize::try_from(result).map_err(|_| last_errno())
}

/// The errno of the call that just failed.
pub(crate) fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_skip_across_parts() {
        let parts = [Memory::Vec(vec![1, 2, 3]), Memory::None, Memory::Static(&[4, 5]), Memory::Vec(vec![6])];
        let lens = |skip| {
            let mut out = Vec::new();
            for_each_piece(&parts, skip, |(_, len)| {
                out.push(len);
                true
            });
            out
        };
        assert_eq!(lens(0), [3, 2, 1]);
        assert_eq!(lens(2), [1, 2, 1]);
        assert_eq!(lens(3), [2, 1]);
        assert_eq!(lens(4), [1, 1]);
        assert_eq!(lens(6), [] as [usize; 0]);
        assert!(single_piece(&parts, 4).is_none());
        assert_eq!(single_piece(&parts, 5).unwrap().1, 1);
    }
}
