//! Several datagrams with one system call: sendmmsg, of messages that the kernel cuts into datagrams where it can (UDP_SEGMENT).
//!
//! Datagrams of one size, the last perhaps shorter, make one *unit*. A batch is a list of units.

#![allow(unsafe_code)] // sendmmsg has no safe wrapper

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use wsk_core::memory::Memory;

use crate::address::Name;
use crate::cmsg::Sent;
use crate::message::{MOST_PIECES, last_errno};

/// Datagrams of a unit (UDP_MAX_SEGMENTS of older kernels).
const MOST_SEGMENTS: usize = 64;

/// Bytes of a unit: those of the longest datagram over IPv4.
const LONGEST: usize = 65_507;

/// Units of one call.
const MOST_UNITS: usize = 1024;

/// Datagrams at the beginning of `messages` that the kernel takes as one message, and the size that it cuts them to (0: it is one).
/// Longer ones than `largest` are not cut.
pub(crate) fn unit(messages: &[Memory], largest: usize) -> (usize, u16) {
    let Some((first, rest)) = messages.split_first() else { return (0, 0) };
    let size = first.len();
    if size == 0 || size > largest.min(LONGEST) {
        return (1, 0);
    }
    let (mut count, mut total, mut pieces) = (1, size, piece_count(first));
    for next in rest.iter().take(MOST_SEGMENTS - 1) {
        let len = next.len();
        pieces += piece_count(next);
        if len == 0 || len > size || total + len > LONGEST || pieces > MOST_PIECES {
            break;
        }
        count += 1;
        total += len;
        if len < size {
            break;
        }
    }
    (count, if count > 1 { size as u16 } else { 0 })
}

/// How many pieces a call is given for `memory`.
pub(crate) fn piece_count(memory: &Memory) -> usize {
    if memory.as_slice().is_some() { 1 } else { memory.segments(0).len() }
}

/// Storage for one call.
struct Batch {
    name: Name,
    controls: Vec<Sent>,
    pieces: Vec<libc::iovec>,
    messages: Vec<libc::mmsghdr>,
    /// Datagrams and pieces of each unit.
    units: Vec<(usize, usize)>,
}

thread_local! {
    static BATCH: RefCell<Batch> = const {
        RefCell::new(Batch {
            name: Name::empty(),
            controls: Vec::new(),
            pieces: Vec::new(),
            messages: Vec::new(),
            units: Vec::new(),
        })
    };
}

/// Sends as many of `messages` as go with one call; how many went out. `Err` is the errno of the first.
pub(crate) fn send(
    fd: BorrowedFd<'_>,
    messages: &[Memory],
    remote: &SocketAddr,
    control: &Sent,
    largest: usize,
) -> Result<usize, i32> {
    BATCH.with_borrow_mut(|batch| batch.send(fd, messages, remote, control, largest))
}

impl Batch {
    fn send(
        &mut self,
        fd: BorrowedFd<'_>,
        messages: &[Memory],
        remote: &SocketAddr,
        control: &Sent,
        largest: usize,
    ) -> Result<usize, i32> {
        self.name = Name::new(remote);
        self.controls.clear();
        self.pieces.clear();
        self.units.clear();
        let mut rest = messages;
        while !rest.is_empty() && self.units.len() < MOST_UNITS {
            let (count, size) = unit(rest, largest);
            let (now, later) = rest.split_at(count);
            let before = self.pieces.len();
            for piece in now.iter().flat_map(|memory| memory.segments(0)) {
                self.pieces.push(libc::iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() });
            }
            self.units.push((count, self.pieces.len() - before));
            let mut control = *control;
            if size > 0 {
                control.segment(size);
            }
            self.controls.push(control);
            rest = later;
        }
        // Nothing moves from here on.
        self.messages.clear();
        let mut at = 0;
        for (control, (_, pieces)) in self.controls.iter_mut().zip(&self.units) {
            // SAFETY: all-zero bytes are a valid `mmsghdr`: null pointers and lengths of zero.
            let mut message: libc::mmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };
            let header = &mut message.msg_hdr;
            header.msg_namelen = self.name.bytes().len() as libc::socklen_t;
            header.msg_name = self.name.space().as_mut_ptr().cast();
            header.msg_iov = self.pieces[at..].as_mut_ptr();
            header.msg_iovlen = *pieces;
            header.msg_controllen = control.bytes().len();
            header.msg_control = control.bytes().as_ptr().cast_mut().cast();
            self.messages.push(message);
            at += pieces;
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let count = self.messages.len() as u32;
        // SAFETY: the headers point to the name, pieces and control messages above, which stay where they are until the call
        // returns; the pieces point to the caller's memory, which is borrowed as long. The kernel writes to the headers only.
        let result = unsafe { libc::sendmmsg(fd.as_raw_fd(), self.messages.as_mut_ptr(), count, flags as _) };
        match usize::try_from(result) {
            Ok(units) => Ok(self.units[..units].iter().map(|(count, _)| count).sum()),
            Err(_) => Err(last_errno()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sizes: &[usize]) -> Vec<Memory> {
        sizes.iter().map(|size| Memory::Vec(vec![0; *size])).collect()
    }

    #[test]
    fn a_unit_is_of_one_size_but_for_its_last() {
        let all = usize::MAX;
        assert_eq!(unit(&of(&[]), all), (0, 0));
        assert_eq!(unit(&of(&[0, 0]), all), (1, 0));
        assert_eq!(unit(&of(&[100]), all), (1, 0));
        assert_eq!(unit(&of(&[100, 100, 100]), all), (3, 100));
        assert_eq!(unit(&of(&[100, 100, 7, 100]), all), (3, 100));
        assert_eq!(unit(&of(&[100, 101]), all), (1, 0));
        assert_eq!(unit(&of(&[100, 100, 0]), all), (2, 100));
        assert_eq!(unit(&of(&[1; 100]), all), (64, 1));
        assert_eq!(unit(&of(&[1200; 64]), all), (54, 1200));
        assert_eq!(unit(&of(&[65_507, 1]), all), (1, 0));
        assert_eq!(unit(&of(&[1200, 1200]), 1199), (1, 0));
    }
}
