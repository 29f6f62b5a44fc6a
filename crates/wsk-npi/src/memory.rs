//! A client's MDL chain as the memory of a request: what a WSK_BUF describes, used in place (functions.md 2.7).
#![allow(unsafe_code)] // Walks MDL chains and makes slices of what they describe.

use std::any::Any;

use smallvec::SmallVec;
use wsk::{ClientMemory, Memory, Segments, SegmentsMut};
use wsk_abi::NtStatus;
use wsk_abi::mdl::{MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_PAGES_LOCKED, MDL_PARTIAL, MDL_SOURCE_IS_NONPAGED_POOL};
use wsk_abi::wsk::{WSK_BUF, WSK_BUF_LIST};
use wsk_nt::verify;

/// The pieces of memory that one WSK_BUF spans.
struct MdlMemory {
    pieces: SmallVec<[(*mut u8, usize); 2]>,
    len: usize,
}

// SAFETY: the client keeps the memory until the request has completed (F-71), whatever thread uses it.
unsafe impl Send for MdlMemory {}
// SAFETY: shared use only reads.
unsafe impl Sync for MdlMemory {}

impl ClientMemory for MdlMemory {
    fn len(&self) -> usize {
        self.len
    }

    fn segments<'a>(&'a self, out: &mut Segments<'a>) {
        // SAFETY: F-71: the client's memory, as long as the request has not completed; `self` goes back with it.
        out.extend(self.pieces.iter().map(|(at, len)| unsafe { std::slice::from_raw_parts(*at, *len) }));
    }

    fn segments_mut<'a>(&'a mut self, out: &mut SegmentsMut<'a>) {
        // SAFETY: as above. A client that gives the same memory to two receives at once gets what it asked for.
        out.extend(self.pieces.iter().map(|(at, len)| unsafe { std::slice::from_raw_parts_mut(*at, *len) }));
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// Reads a WSK_BUF (F-70) and checks it against its chain.
///
/// INVALID_PARAMETER: no buffer, no MDL although bytes are wanted, an offset beyond the first MDL, or more bytes than the
/// chain has (F-79, F-80).
///
/// # Safety
/// `buffer` is null or points to a WSK_BUF whose MDL chain is intact and stays so until the request completes.
pub(crate) unsafe fn of_buffer(buffer: *const WSK_BUF) -> Result<Memory, NtStatus> {
    // SAFETY: the caller's word.
    let buffer = unsafe { crate::border::read(buffer) }?;
    // SAFETY: the caller's word.
    unsafe { of_span(&buffer) }
}

/// As [`of_buffer`]; null is no memory.
///
/// # Safety
/// As [`of_buffer`].
pub(crate) unsafe fn of_optional_buffer(buffer: *const WSK_BUF) -> Result<Memory, NtStatus> {
    if buffer.is_null() {
        return Ok(Memory::None);
    }
    // SAFETY: the caller's word.
    unsafe { of_buffer(buffer) }
}

/// Reads a WSK_BUF_LIST: one memory per node.
///
/// # Safety
/// `list` is null or the first node of an intact list; for each as [`of_buffer`].
pub(crate) unsafe fn of_list(list: *const WSK_BUF_LIST) -> Result<Vec<Memory>, NtStatus> {
    let mut all = Vec::new();
    let mut at = list;
    // SAFETY: the caller's word. An empty list is refused (F-193).
    let mut node = unsafe { crate::border::read(at) }?;
    loop {
        // SAFETY: the caller's word.
        all.push(unsafe { of_span(&node.Buffer) }?);
        at = node.Next;
        if at.is_null() {
            return Ok(all);
        }
        // SAFETY: the caller's word.
        node = unsafe { crate::border::read(at) }?;
    }
}

unsafe fn of_span(buffer: &WSK_BUF) -> Result<Memory, NtStatus> {
    if buffer.Length == 0 {
        return Ok(Memory::None); // F-79: neither Mdl nor Offset is looked at
    }
    let mut memory = MdlMemory { pieces: SmallVec::new(), len: buffer.Length };
    let (mut mdl, mut skip, mut left) = (buffer.Mdl.cast_const(), buffer.Offset as usize, buffer.Length);
    while left > 0 {
        if mdl.is_null() {
            return Err(NtStatus::INVALID_PARAMETER); // F-80
        }
        // SAFETY: a link of the client's chain.
        let link = unsafe { mdl.read() };
        let count = link.ByteCount as usize;
        if skip > count {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let n = (count - skip).min(left);
        if n > 0 {
            memory.pieces.push((address_of(&link).wrapping_add(skip), n));
        }
        left -= n;
        skip = 0; // later MDLs start at their own beginning
        mdl = link.Next;
    }
    Ok(Memory::Client(Box::new(memory)))
}

/// The first byte of an MDL. One that was neither built for nonpaged pool nor locked would stop Windows.
fn address_of(mdl: &MDL) -> *mut u8 {
    let flags = mdl.MdlFlags;
    if flags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL) != 0 {
        return mdl.MappedSystemVa.cast();
    }
    if flags & (MDL_PAGES_LOCKED | MDL_PARTIAL) == 0 {
        verify::violation("MDL not locked", "an MDL was neither locked nor built for nonpaged pool");
    }
    mdl.StartVa.cast::<u8>().wrapping_add(mdl.ByteOffset as usize)
}
