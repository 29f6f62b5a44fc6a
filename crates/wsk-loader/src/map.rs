//! Memory of a driver: the image, and behind it room for stubs and patches, within reach of a 32-bit displacement.
#![allow(unsafe_code)] // Maps, writes and protects memory of its own.

use std::io;

pub(crate) const PAGE: usize = 0x1000;

/// Protection of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Protection {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) execute: bool,
}

impl Protection {
    pub(crate) const NONE: Protection = Protection { read: false, write: false, execute: false };
    pub(crate) const READ: Protection = Protection { read: true, write: false, execute: false };
    pub(crate) const CODE: Protection = Protection { read: true, write: false, execute: true };

    fn flags(self) -> libc::c_int {
        let flag = |on, flag| if on { flag } else { libc::PROT_NONE };
        flag(self.read, libc::PROT_READ) | flag(self.write, libc::PROT_WRITE) | flag(self.execute, libc::PROT_EXEC)
    }
}

/// A mapping, whole pages; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: usize,
    size: usize,
}

impl Mapping {
    /// Readable and writable zeros, wherever the kernel likes.
    pub(crate) fn new(size: usize) -> io::Result<Mapping> {
        let size = size.next_multiple_of(PAGE);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { base: base as usize, size })
    }

    pub(crate) fn base(&self) -> usize {
        self.base
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The bytes, while the loader prepares them: before any page is protected and before the driver runs.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: all pages are readable and writable now, and nothing else refers to them.
        unsafe { std::slice::from_raw_parts_mut(self.base as *mut u8, self.size) }
    }

    /// Protects pages from `offset`.
    pub(crate) fn protect(&self, offset: usize, size: usize, protection: Protection) -> io::Result<()> {
        let size = size.next_multiple_of(PAGE);
        assert!(offset.is_multiple_of(PAGE) && offset + size <= self.size, "within the mapping");
        // SAFETY: pages of this mapping; no reference into them is alive.
        let result = unsafe { libc::mprotect((self.base + offset) as *mut _, size, protection.flags()) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own; the driver in it has been unloaded.
        unsafe { libc::munmap(self.base as *mut _, self.size) };
    }
}
