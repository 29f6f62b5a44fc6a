//! What a kernel message call works on: the pieces of client memory, an address, control messages.
//!
//! A [`Header`] is boxed and pooled, so its parts stay where the kernel was told they are while an operation is in flight.

#![allow(unsafe_code)] // recvmsg has no safe wrapper that yields IP_PKTINFO

use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

use wsk_abi::flags::ControlFlags;
use wsk_core::memory::Memory;

use crate::address::{self, NAME_SPACE, Name};

/// Bytes set aside for control messages: both PKTINFO kinds, and some more.
pub(crate) const CONTROL_SPACE: usize = 112;

/// The most pieces the kernel takes at once (UIO_MAXIOV).
pub(crate) const MOST_PIECES: usize = 1024;

/// The longest single transfer asked for; the kernel cuts longer ones at nearly 2 GiB.
const LONGEST: usize = 0x4000_0000;

/// One piece of memory: address and length.
pub(crate) type Piece = (*const u8, usize);

/// Storage for one message call.
#[repr(C)]
pub(crate) struct Header {
    message: libc::msghdr,
    name: Name,
    control: [u64; CONTROL_SPACE / 8],
    pieces: Vec<libc::iovec>,
}

impl Header {
    pub(crate) fn new() -> Box<Self> {
        // SAFETY: all-zero bytes are a valid `msghdr`: null pointers and lengths of zero.
        let message = unsafe { MaybeUninit::zeroed().assume_init() };
        Box::new(Self { message, name: Name::empty(), control: [0; CONTROL_SPACE / 8], pieces: Vec::with_capacity(4) })
    }

    /// Points at this header's own storage; to be called after the parts are filled in.
    fn link(&mut self, name_len: usize, control_len: usize) {
        self.message.msg_name =
            if name_len == 0 { std::ptr::null_mut() } else { self.name.space().as_mut_ptr().cast() };
        self.message.msg_namelen = name_len as libc::socklen_t;
        self.message.msg_iov = self.pieces.as_mut_ptr();
        self.message.msg_iovlen = self.pieces.len();
        self.message.msg_control =
            if control_len == 0 { std::ptr::null_mut() } else { self.control.as_mut_ptr().cast() };
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

    /// For a datagram send.
    pub(crate) fn for_send_to(&mut self, memory: &Memory, remote: &SocketAddr) {
        self.pieces.clear();
        for segment in memory.segments(0) {
            self.pieces.push(libc::iovec { iov_base: segment.as_ptr().cast_mut().cast(), iov_len: segment.len() });
        }
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

    /// After a receive: the source and the flags of the datagram.
    pub(crate) fn received(&mut self) -> Option<(SocketAddr, ControlFlags)> {
        let name_len = (self.message.msg_namelen as usize).min(NAME_SPACE);
        let source = address::decode(&self.name.space()[..name_len])?;
        let mut bytes = [0u8; CONTROL_SPACE];
        for (to, from) in bytes.chunks_exact_mut(8).zip(self.control) {
            to.copy_from_slice(&from.to_ne_bytes());
        }
        let control_len = self.message.msg_controllen.min(CONTROL_SPACE);
        let mut flags = destination_flags(&bytes[..control_len]);
        if self.message.msg_flags & libc::MSG_TRUNC != 0 {
            flags |= ControlFlags::TRUNC;
        }
        Some((source, flags))
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
    // SAFETY: every pointer in the header was set by its last `for_*` call from storage that the caller still holds.
    let result = unsafe { libc::recvmsg(fd.as_raw_fd(), header.message_mut(), libc::MSG_DONTWAIT) };
    usize::try_from(result).map_err(|_| last_errno())
}

/// Sends as `header` describes. `Err` is an errno.
pub(crate) fn send(fd: BorrowedFd<'_>, header: &Header) -> Result<usize, i32> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: every pointer in the header was set by its last `for_*` call from storage that the caller still holds.
    let result = unsafe { libc::sendmsg(fd.as_raw_fd(), header.message(), flags) };
    usize::try_from(result).map_err(|_| last_errno())
}

fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)
}

/// Whether a datagram was broadcast or multicast, by the PKTINFO messages in `control` (E-80).
pub(crate) fn destination_flags(control: &[u8]) -> ControlFlags {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    const ALIGN: usize = size_of::<usize>();
    let word = |at: usize| control.get(at..at + 4).map(|b| i32::from_ne_bytes(b.try_into().expect("four bytes")));
    let octets = |at: usize| control.get(at..at + 4).map(|b| <[u8; 4]>::try_from(b).expect("four bytes"));
    let mut at = 0;
    let mut flags = ControlFlags::empty();
    while let Some(len) = control.get(at..at + ALIGN) {
        let len = usize::from_ne_bytes(len.try_into().expect("one word"));
        if len < HEADER || at + len > control.len() {
            break;
        }
        let data = at + HEADER;
        match (word(at + ALIGN), word(at + ALIGN + 4)) {
            // in_pktinfo: interface, the local address it was meant for, the header's destination
            (Some(libc::IPPROTO_IP), Some(libc::IP_PKTINFO)) => {
                if let (Some(local), Some(destination)) = (octets(data + 4), octets(data + 8)) {
                    flags |= v4_flags(local.into(), destination.into());
                }
            }
            // in6_pktinfo: the header's destination, interface
            (Some(libc::IPPROTO_IPV6), Some(libc::IPV6_PKTINFO)) if control.get(data) == Some(&0xFF) => {
                flags |= ControlFlags::MCAST;
            }
            _ => {}
        }
        at += len.next_multiple_of(ALIGN);
    }
    flags
}

fn v4_flags(local: Ipv4Addr, destination: Ipv4Addr) -> ControlFlags {
    if destination.is_multicast() {
        ControlFlags::MCAST
    } else if destination.is_broadcast() || destination != local {
        ControlFlags::BCAST
    } else {
        ControlFlags::empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend((size_of::<libc::cmsghdr>() + data.len()).to_ne_bytes());
        out.extend(level.to_ne_bytes());
        out.extend(kind.to_ne_bytes());
        out.extend(data);
        out.resize(out.len().next_multiple_of(8), 0);
        out
    }

    fn v4(local: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
        control(libc::IPPROTO_IP, libc::IP_PKTINFO, &[&[1, 0, 0, 0], &local[..], &destination[..]].concat())
    }

    #[test]
    fn flags_follow_the_destination() {
        assert_eq!(destination_flags(&v4([10, 0, 0, 1], [10, 0, 0, 1])), ControlFlags::empty());
        assert_eq!(destination_flags(&v4([10, 0, 0, 1], [10, 0, 0, 255])), ControlFlags::BCAST);
        assert_eq!(destination_flags(&v4([10, 0, 0, 1], [255; 4])), ControlFlags::BCAST);
        assert_eq!(destination_flags(&v4([10, 0, 0, 1], [224, 0, 0, 251])), ControlFlags::MCAST);
        let mut v6 = [0u8; 20];
        v6[0] = 0xFF;
        assert_eq!(destination_flags(&control(41, libc::IPV6_PKTINFO, &v6)), ControlFlags::MCAST);
        v6[0] = 0xFE;
        let both = [control(41, libc::IPV6_PKTINFO, &v6), v4([10, 0, 0, 1], [10, 0, 0, 255])].concat();
        assert_eq!(destination_flags(&both), ControlFlags::BCAST);
    }

    #[test]
    fn damaged_control_data_is_survived() {
        let whole = v4([1, 2, 3, 4], [1, 2, 3, 4]);
        for cut in 0..whole.len() {
            destination_flags(&whole[..cut]);
        }
        destination_flags(&[0xFF; 64]);
        destination_flags(&[0; 64]);
    }

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
