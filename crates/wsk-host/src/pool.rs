//! Receive buffers: page-aligned memory in chunks, lent upward as leases and given back by any thread.
//!
//! A lease's box lives as long as its buffer: in the free store, in the ring, lent, or on the way back. Lending allocates
//! nothing. A chunk is unmapped when the last of its leases is gone, which may be after the driver.

#![allow(unsafe_code)] // raw memory shared with the kernel: mapped here, read through leases

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use wsk_core::memory::Lease;

use crate::bell::Bell;

/// Anonymous memory, touched only where data arrives.
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is plain memory; who may touch which part is decided by the owners of the parts.
unsafe impl Send for Mapping {}
// SAFETY: as above; the mapping itself offers no access.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of zeros.
    pub(crate) fn new(len: usize) -> std::io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, flags) }?;
        let base = NonNull::new(base.cast()).ok_or(std::io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, len })
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: base and length are those of the mapping, and no part of it has an owner any more.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// What the driver and the leases of one pool share.
pub(crate) struct Shared {
    returned: Mutex<Returned>,
    bell: Arc<Bell>,
    lent: AtomicU64,
    memory: AtomicU64,
}

#[derive(Default)]
struct Returned {
    leases: Vec<Box<PoolLease>>,
    /// Leases that came back since the start.
    count: u64,
    /// The driver waits for buffers.
    starving: bool,
    /// The driver is gone.
    closed: bool,
}

impl Shared {
    /// Buffers on loan, and bytes set aside.
    pub(crate) fn figures(&self) -> (u64, u64) {
        let back = self.returned.lock().unwrap_or_else(PoisonError::into_inner).count;
        (self.lent.load(Ordering::Relaxed).saturating_sub(back), self.memory.load(Ordering::Relaxed))
    }
}

/// One buffer of a pool.
pub(crate) struct PoolLease {
    shared: Arc<Shared>,
    /// Keeps the memory mapped.
    _chunk: Arc<Mapping>,
    memory: NonNull<u8>,
    size: u32,
    id: u16,
    start: u32,
    len: u32,
}

// SAFETY: the lease owns its part of the mapping; nobody else touches it while the lease is held.
unsafe impl Send for PoolLease {}
// SAFETY: through a shared lease the bytes are only read.
unsafe impl Sync for PoolLease {}

impl PoolLease {
    /// Which buffer of the pool this is.
    pub(crate) fn id(&self) -> u16 {
        self.id
    }

    /// Its whole memory, for the kernel to write.
    pub(crate) fn memory(&self) -> *mut u8 {
        self.memory.as_ptr()
    }

    /// Its whole memory as a slice, for a receive on the spot.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        // SAFETY: the memory is mapped (zeros at first), `size` long, and exclusively this lease's.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.size as usize) }
    }

    /// Declares which part holds data.
    pub(crate) fn set(&mut self, start: usize, len: usize) {
        assert!(start + len <= self.size as usize, "data outside of its buffer");
        self.start = start as u32;
        self.len = len as u32;
    }
}

impl Lease for PoolLease {
    fn bytes(&self) -> &[u8] {
        // SAFETY: `set` has checked that start and length lie inside the buffer.
        let first = unsafe { self.memory.as_ptr().add(self.start as usize) };
        // SAFETY: as above; the memory is mapped as long as the lease lives and written by nobody meanwhile.
        unsafe { std::slice::from_raw_parts(first, self.len as usize) }
    }

    fn capacity(&self) -> usize {
        // Memory behind the data was never touched (by this lending).
        ((self.start + self.len).max(1) as usize)
            .next_multiple_of(PAGE)
            .min((self.size as usize).next_multiple_of(PAGE))
    }

    fn release(self: Box<Self>) {
        let shared = Arc::clone(&self.shared);
        let mut returned = shared.returned.lock().unwrap_or_else(PoisonError::into_inner);
        returned.count += 1;
        if returned.closed {
            drop(returned);
            drop(self);
            return;
        }
        returned.leases.push(self);
        let nudge = std::mem::take(&mut returned.starving);
        drop(returned);
        if nudge {
            shared.bell.nudge();
        }
    }
}

/// Bytes between two buffers, so that their beginnings do not all fall into the same few sets of the processor's caches.
const SKEW: usize = 64;

/// The granule in which a lent buffer's memory is counted: what the host really sets aside for it.
const PAGE: usize = 4096;

/// The driver's side of a pool.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    size: usize,
    total: usize,
    first: usize,
    most: usize,
    lent: u64,
}

impl Pool {
    /// A pool of buffers of `size` bytes that starts with `first` of them, when asked to grow, and has at most `most`.
    pub(crate) fn new(size: usize, first: usize, most: usize, bell: Arc<Bell>) -> Self {
        let most = most.clamp(1, 1 << 15);
        let shared = Shared {
            returned: Mutex::new(Returned::default()),
            bell,
            lent: AtomicU64::new(0),
            memory: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
            size: size.next_multiple_of(64),
            total: 0,
            first: first.clamp(1, most),
            most,
            lent: 0,
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Bytes of one buffer.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Adds a chunk: as many buffers as there are. `false`: the pool has all it may have.
    pub(crate) fn grow(&mut self, mut each: impl FnMut(Box<PoolLease>)) -> std::io::Result<bool> {
        let count = self.total.max(self.first).min(self.most - self.total);
        if count == 0 {
            return Ok(false);
        }
        let stride = self.size + SKEW;
        let chunk = Arc::new(Mapping::new(count * stride)?);
        for i in 0..count {
            // SAFETY: the offset lies inside the mapping, which is `count * stride` long.
            let memory = unsafe { chunk.base().add(i * stride) };
            each(Box::new(PoolLease {
                shared: Arc::clone(&self.shared),
                _chunk: Arc::clone(&chunk),
                memory,
                size: self.size as u32,
                id: (self.total + i) as u16,
                start: 0,
                len: 0,
            }));
        }
        self.total += count;
        self.shared.memory.store((self.total * self.size) as u64, Ordering::Relaxed);
        Ok(true)
    }

    /// Lends a buffer with data in `start..start + len`.
    pub(crate) fn lend(&mut self, mut lease: Box<PoolLease>, start: usize, len: usize) -> Box<PoolLease> {
        lease.set(start, len);
        self.lent += 1;
        self.shared.lent.store(self.lent, Ordering::Relaxed);
        lease
    }

    /// Moves the buffers that came back to `into`. With none, and `starving`, the next one to come back rings.
    pub(crate) fn take_returned(&self, into: &mut Vec<Box<PoolLease>>, starving: bool) {
        let mut returned = self.shared.returned.lock().unwrap_or_else(PoisonError::into_inner);
        if into.is_empty() {
            std::mem::swap(&mut returned.leases, into);
        } else {
            into.append(&mut returned.leases);
        }
        returned.starving = starving && into.is_empty();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut returned = self.shared.returned.lock().unwrap_or_else(PoisonError::into_inner);
        returned.closed = true;
        let leases = std::mem::take(&mut returned.leases);
        drop(returned);
        drop(leases);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Stats;
    use wsk_core::memory::Buffer;

    fn pool(first: usize, most: usize) -> (Pool, Vec<Box<PoolLease>>) {
        let bell = Arc::new(Bell::new(Arc::new(Stats::default())).unwrap());
        let mut pool = Pool::new(4096, first, most, bell);
        let mut free = Vec::new();
        assert!(pool.grow(|lease| free.push(lease)).unwrap());
        (pool, free)
    }

    #[test]
    fn a_pool_doubles_up_to_its_bound() {
        let (mut pool, mut free) = pool(2, 7);
        assert_eq!(free.len(), 2);
        assert!(pool.grow(|lease| free.push(lease)).unwrap());
        assert_eq!(free.len(), 4);
        assert!(pool.grow(|lease| free.push(lease)).unwrap());
        assert_eq!(free.len(), 7);
        assert!(!pool.grow(|lease| free.push(lease)).unwrap());
        assert_eq!(free.iter().map(|lease| lease.id()).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(pool.shared().figures(), (0, 7 * 4096));
    }

    #[test]
    fn a_buffer_comes_back_when_dropped() {
        let (mut pool, mut free) = pool(1, 1);
        let mut lease = free.pop().unwrap();
        lease.space()[10..13].copy_from_slice(&[1, 2, 3]);
        let buffer = Buffer::new(pool.lend(lease, 10, 3));
        assert_eq!((buffer.bytes(), buffer.capacity()), (&[1u8, 2, 3][..], 4096));
        assert_eq!(pool.shared().figures().0, 1);
        pool.take_returned(&mut free, true);
        assert!(free.is_empty());
        std::thread::spawn(move || drop(buffer)).join().unwrap();
        assert_eq!(pool.shared().figures().0, 0);
        pool.take_returned(&mut free, true);
        assert_eq!(free.len(), 1);
    }

    #[test]
    fn a_buffer_outlives_its_driver() {
        let (mut pool, mut free) = pool(1, 1);
        let mut lease = free.pop().unwrap();
        lease.space()[0] = 42;
        let buffer = Buffer::new(pool.lend(lease, 0, 1));
        drop(pool);
        assert_eq!(buffer.bytes(), [42]);
        drop(buffer);
    }
}
