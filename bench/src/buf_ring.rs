//! A ring of provided buffers: the kernel takes a buffer when data arrives, the owner gives it back when done with it.

use std::io;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// Between buffers: keeps their beginnings from sharing cache sets.
const SKEW: usize = 64;

/// A registered ring of `entries` buffers. Lives as long as the process: nothing is unmapped.
pub struct BufRing {
    ring: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    entries: u16,
    size: usize,
    tail: u16,
}

impl BufRing {
    /// Maps, registers as group `group` and fills a ring. `entries`: a power of two up to 32768. The kernel hands buffers out in the order
    /// they were given back, so a ring larger than needed costs cache misses.
    pub fn new(submitter: &Submitter<'_>, group: u16, entries: u16, size: usize) -> io::Result<BufRing> {
        let ring = map(usize::from(entries) * size_of::<BufRingEntry>())?.cast::<BufRingEntry>();
        let memory = map(usize::from(entries) * (size + SKEW))?;
        // SAFETY: the mapping holds `entries` entries, is page aligned and never unmapped.
        unsafe {
            submitter.register_buf_ring_with_flags(ring.as_ptr() as u64, entries, group, 0)?;
        }
        let mut this = BufRing { ring, memory, entries, size, tail: 0 };
        for id in 0..entries {
            this.give_back(id);
        }
        this.publish();
        Ok(this)
    }

    /// Number of buffers.
    pub fn entries(&self) -> u16 {
        self.entries
    }

    /// Start of a buffer.
    pub fn pointer(&self, id: u16) -> *mut u8 {
        assert!(id < self.entries);
        // SAFETY: in bounds of the mapping, by the assertion.
        unsafe { self.memory.as_ptr().add(usize::from(id) * (self.size + SKEW)) }
    }

    /// The first `len` bytes of a buffer that the kernel handed out and that is not given back yet.
    pub fn bytes(&self, id: u16, len: usize) -> &[u8] {
        assert!(len <= self.size);
        // SAFETY: in bounds; the kernel does not write a buffer between its completion and `give_back`, which needs `&mut`.
        unsafe { std::slice::from_raw_parts(self.pointer(id), len) }
    }

    /// Gives a buffer back; the kernel sees it after [`publish`](Self::publish).
    pub fn give_back(&mut self, id: u16) {
        let address = self.pointer(id) as u64;
        let index = usize::from(self.tail & (self.entries - 1));
        // SAFETY: in bounds; the kernel does not read entries at or past the published tail.
        let entry = unsafe { &mut *self.ring.as_ptr().add(index) };
        entry.set_addr(address);
        entry.set_len(self.size as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel all buffers given back so far.
    pub fn publish(&self) {
        // SAFETY: `ring` is the base of the registered ring; the tail lies in its first entry and is only written here.
        let tail = unsafe { &*BufRingEntry::tail(self.ring.as_ptr()).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }
}

fn map(len: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: a fresh private mapping; nothing else is touched.
    let address = unsafe {
        libc::mmap(
            null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(NonNull::new(address.cast()).expect("mmap returned null"))
}
