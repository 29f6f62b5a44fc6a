//! A ring and its buffer rings: set-up with fewer and fewer flags, entering the kernel, buffers given to it and taken back.

#![allow(unsafe_code)] // the submission queue, io_uring_enter and the memory shared with the kernel

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::BufRingEntry;
use io_uring::{IoUring, squeue, types};

use super::OpKey;
use crate::bell::Bell;
use crate::pool::{Mapping, Pool, PoolLease};
use crate::stats::Stats;

/// io_uring_enter flags.
const ENTER_GETEVENTS: u32 = 1;
const ENTER_EXT_ARG: u32 = 8;

/// The most completions taken in one go.
const BATCH: usize = 4096;

/// The set-up flags that a ring got, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Linux 6.1: one thread, completions only when it asks.
    Deferred,
    /// Linux 5.19: no interrupts for completions.
    Cooperative,
    /// Neither.
    Plain,
}

impl Flavour {
    /// For people.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Flavour::Deferred => "single issuer, deferred task running",
            Flavour::Cooperative => "cooperative task running",
            Flavour::Plain => "no set-up flags",
        }
    }
}

/// One completion.
#[derive(Clone, Copy)]
pub(super) struct Completion {
    pub(super) user_data: u64,
    pub(super) result: i32,
    pub(super) flags: u32,
}

/// A ring of one thread.
pub(crate) struct Ring {
    ring: IoUring,
    /// Completions taken while entries were queued, because the kernel wanted room for more.
    early: Vec<Completion>,
    /// What went wrong where it could not be reported.
    broken: Option<io::Error>,
    stats: Arc<Stats>,
}

impl Ring {
    /// A ring with the best flags this kernel takes (`plain`: with none), smaller than asked for if memory is short.
    pub(crate) fn open(entries: u32, plain: bool, stats: Arc<Stats>) -> io::Result<(Self, Flavour)> {
        let flavours = [Flavour::Deferred, Flavour::Cooperative, Flavour::Plain];
        let mut size = entries;
        loop {
            let mut outcome = Err(io::ErrorKind::Unsupported.into());
            for flavour in flavours.into_iter().skip(if plain { 2 } else { 0 }) {
                outcome = Self::build(size, flavour).map(|ring| (ring, flavour));
                match &outcome {
                    Err(e) if e.raw_os_error() == Some(libc::EINVAL) => continue,
                    _ => break,
                }
            }
            match outcome {
                Ok((ring, flavour)) => return Ok((Self { ring, early: Vec::new(), broken: None, stats }, flavour)),
                Err(e) if e.raw_os_error() == Some(libc::ENOMEM) && size > 64 => size /= 2,
                Err(e) => return Err(e),
            }
        }
    }

    fn build(entries: u32, flavour: Flavour) -> io::Result<IoUring> {
        let mut builder = IoUring::builder();
        builder.setup_clamp().setup_cqsize(entries * 8).dontfork();
        match flavour {
            Flavour::Deferred => {
                builder.setup_submit_all().setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
            }
            Flavour::Cooperative => {
                builder.setup_submit_all().setup_coop_taskrun().setup_taskrun_flag();
            }
            Flavour::Plain => {}
        }
        let ring = builder.build(entries)?;
        // Saves a look-up of the ring's descriptor at each entry; not every kernel has it, and none needs it.
        let _ = ring.submitter().register_ring_fd();
        Ok(ring)
    }

    /// Whether the kernel has what every ring here needs.
    pub(crate) fn has_features(&self) -> bool {
        let params = self.ring.params();
        params.is_feature_ext_arg()
            && params.is_feature_nodrop()
            && params.is_feature_fast_poll()
            && params.is_feature_submit_stable()
    }

    /// Queues an entry; enters the kernel only when the queue is full.
    ///
    /// What the entry points to must stay valid until its completion: callers keep it in the operation's slot.
    #[inline]
    pub(super) fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: by the contract above.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return;
            }
            match self.enter_raw(0, None).map_err(|e| (e.raw_os_error(), e)) {
                Ok(()) | Err((Some(libc::EINTR), _)) => {}
                Err((Some(libc::EBUSY), _)) => {
                    let mut early = std::mem::take(&mut self.early);
                    self.take_completions(&mut early);
                    self.early = early;
                }
                Err((Some(libc::EAGAIN), _)) => std::thread::yield_now(), // out of kernel memory for a moment
                Err((_, e)) => {
                    self.broken = Some(e); // the next enter tells
                    return;
                }
            }
        }
    }

    /// Submits what is queued, runs what the kernel has deferred, and with `wait` waits for a completion or `timeout`.
    /// Makes no system call when there is nothing to do.
    pub(super) fn enter(&mut self, wait: bool, timeout: Option<Duration>) -> io::Result<()> {
        if let Some(e) = self.broken.take() {
            return Err(e);
        }
        let has_completions = !self.early.is_empty() || !self.ring.completion().is_empty();
        let queue = self.ring.submission();
        let queued = !queue.is_empty();
        let held_back = queue.taskrun() || queue.cq_overflow();
        drop(queue);
        let wait = wait && !has_completions;
        if !queued && !wait && (has_completions || !held_back) {
            return Ok(());
        }
        match self.enter_raw(u32::from(wait), timeout.filter(|_| wait)) {
            Ok(()) => Ok(()),
            Err(e) => match e.raw_os_error() {
                // A signal; the time-out; completions first; no memory at the moment: the caller comes again.
                Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(e),
            },
        }
    }

    fn enter_raw(&mut self, want: u32, timeout: Option<Duration>) -> io::Result<()> {
        let queued = self.ring.submission().len() as u32;
        self.stats.add(1);
        let submitter = self.ring.submitter();
        let result = match timeout {
            None => {
                // SAFETY: the queued entries are valid by the contract of `push`; there is no argument.
                unsafe { submitter.enter::<libc::sigset_t>(queued, want, ENTER_GETEVENTS, None) }
            }
            Some(timeout) => {
                let timespec = types::Timespec::from(timeout);
                let args = types::SubmitArgs::new().timespec(&timespec);
                // SAFETY: as above; the argument has the type that EXT_ARG asks for and outlives the call.
                unsafe { submitter.enter(queued, want, ENTER_GETEVENTS | ENTER_EXT_ARG, Some(&args)) }
            }
        };
        result.map(drop)
    }

    /// Moves completions to `into`, as many as one go allows.
    pub(super) fn reap(&mut self, into: &mut Vec<Completion>) {
        into.append(&mut self.early);
        self.take_completions(into);
    }

    fn take_completions(&mut self, into: &mut Vec<Completion>) {
        let queue = self.ring.completion();
        into.extend(queue.take(BATCH).map(|entry| Completion {
            user_data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
    }
}

/// Buffers given to the kernel, which chooses one for each piece of data.
pub(crate) struct BufferRing {
    entries: Mapping,
    mask: u16,
    tail: u16,
    group: u16,
    /// The leases whose buffers are in the ring, by number.
    slots: Vec<Option<Box<PoolLease>>>,
    /// How many there are, as far as completions have told.
    left: usize,
    pool: Pool,
    scratch: Vec<Box<PoolLease>>,
    /// Operations that found no buffer.
    pub(super) starving: VecDeque<OpKey>,
}

impl BufferRing {
    /// Registers a ring that can hold `most` buffers of `size` bytes, and gives it the first ones.
    pub(crate) fn new(
        ring: &Ring,
        group: u16,
        size: usize,
        first: usize,
        most: usize,
        bell: Arc<Bell>,
    ) -> io::Result<Self> {
        let mut most = most.clamp(1, 1 << 15);
        loop {
            let count = most.next_power_of_two();
            let entries = Mapping::new(count * size_of::<BufRingEntry>())?;
            let base = entries.base().as_ptr() as u64;
            let submitter = ring.ring.submitter();
            // SAFETY: the mapping is page-aligned, as long as `count` entries, and lives until the ring is gone
            // (the driver drops its ring first).
            match unsafe { submitter.register_buf_ring_with_flags(base, count as u16, group, 0) } {
                Ok(()) => {
                    let mut this = Self {
                        entries,
                        mask: (count - 1) as u16,
                        tail: 0,
                        group,
                        slots: Vec::new(),
                        left: 0,
                        pool: Pool::new(size, first, most, bell),
                        scratch: Vec::new(),
                        starving: VecDeque::new(),
                    };
                    this.grow()?;
                    return Ok(this);
                }
                Err(e) if e.raw_os_error() == Some(libc::ENOMEM) && most > 256 => most /= 2,
                Err(e) => return Err(e),
            }
        }
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn group(&self) -> u16 {
        self.group
    }

    /// Adds buffers. `false`: the bound is reached, or the host has no memory.
    pub(super) fn grow(&mut self) -> io::Result<bool> {
        let mut new = std::mem::take(&mut self.scratch);
        let grown = self.pool.grow(|lease| new.push(lease));
        for lease in new.drain(..) {
            self.push(lease);
        }
        self.scratch = new;
        self.publish();
        grown
    }

    /// Gives the buffers back that were released; how many there were.
    pub(super) fn take_returned(&mut self) -> usize {
        let mut back = std::mem::take(&mut self.scratch);
        self.pool.take_returned(&mut back, !self.starving.is_empty());
        let count = back.len();
        if count > 0 {
            for lease in back.drain(..) {
                self.push(lease);
            }
            self.publish();
        }
        self.scratch = back;
        count
    }

    fn push(&mut self, lease: Box<PoolLease>) {
        let id = lease.id();
        let base = self.entries.base().cast::<BufRingEntry>();
        // SAFETY: the masked index lies inside the mapping, which has `mask + 1` entries.
        let at = unsafe { base.add(usize::from(self.tail & self.mask)) };
        let mut at = at;
        // SAFETY: the mapping is zeroed integers, and the kernel does not write entries between head and tail's next.
        let entry = unsafe { at.as_mut() };
        entry.set_addr(lease.memory() as u64);
        entry.set_len(self.pool.size() as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        let slot = usize::from(id);
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some(lease);
        self.left += 1;
    }

    fn publish(&mut self) {
        let base = self.entries.base().cast::<BufRingEntry>();
        // SAFETY: the base is that of a registered ring, as the function asks.
        let tail = unsafe { BufRingEntry::tail(base.as_ptr()) };
        // SAFETY: the tail is an aligned u16 in the mapping that is accessed only atomically.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    /// The buffer that a completion names.
    pub(super) fn take(&mut self, id: u16) -> Box<PoolLease> {
        self.left -= 1;
        self.slots[usize::from(id)].take().expect("the kernel hands out buffers that it was given")
    }

    /// Finds buffers for an operation that met none: some that came back in the meantime, or new ones.
    pub(super) fn replenish(&mut self) -> bool {
        self.take_returned();
        self.left > 0 || self.grow().unwrap_or(false)
    }

    /// Gives an unused buffer back.
    pub(super) fn put(&mut self, lease: Box<PoolLease>) {
        self.push(lease);
        self.publish();
    }

    /// Lends a buffer with data in `start..start + len`.
    pub(super) fn lend(&mut self, lease: Box<PoolLease>, start: usize, len: usize) -> Box<PoolLease> {
        self.pool.lend(lease, start, len)
    }
}

impl BufferRing {
    /// Gives up the buffers for good: the kernel may still write to them.
    pub(super) fn leak(&mut self) {
        std::mem::forget(std::mem::take(&mut self.slots));
    }
}
