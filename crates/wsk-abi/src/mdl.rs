//! Memory descriptor lists (DDI: MDL) and the page constants around them.
#![allow(non_snake_case)] // C names verbatim.

use core::ffi::c_void;

pub use crate::constants::mdl::*;
use crate::io::EPROCESS;

/// Describes one buffer by its pages; chained by `Next`. The page frame numbers follow the structure, one pointer-sized
/// word per page spanned.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MDL {
    /// The next MDL of the chain, or null.
    pub Next: *mut MDL,
    /// Size in bytes of this structure and its page array.
    pub Size: i16,
    /// `MDL_...` flags.
    pub MdlFlags: i16,
    /// The process whose pages these are, or null.
    pub Process: *mut EPROCESS,
    /// Address of the buffer's first byte; valid with `MDL_MAPPED_TO_SYSTEM_VA` or `MDL_SOURCE_IS_NONPAGED_POOL`.
    pub MappedSystemVa: *mut c_void,
    /// Address of the first page.
    pub StartVa: *mut c_void,
    /// Length of the buffer in bytes.
    pub ByteCount: u32,
    /// Offset of the buffer in its first page.
    pub ByteOffset: u32,
}

assert_layout!(MDL, size 48, align 8, Next @ 0, Size @ 8, MdlFlags @ 10, Process @ 16,
    MappedSystemVa @ 24, StartVa @ 32, ByteCount @ 40, ByteOffset @ 44);

/// Pages that `length` bytes span when the first byte lies `offset` bytes into a page
/// (ADDRESS_AND_SIZE_TO_SPAN_PAGES).
pub const fn span_pages(offset: usize, length: usize) -> usize {
    (offset % PAGE_SIZE + length).div_ceil(PAGE_SIZE)
}

/// Bytes an MDL needs that describes `pages` pages (MmSizeOfMdl).
pub const fn mdl_size(pages: usize) -> usize {
    size_of::<MDL>() + pages * size_of::<usize>()
}
