//! Counters that many threads add to: one cell per group of threads, summed when somebody asks.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const CELLS: usize = 16;

/// A cell of its own cache line pair, so that threads do not slow each other down.
#[derive(Default)]
#[repr(align(128))]
struct Line(AtomicU64);

/// What was done so far.
#[derive(Default)]
pub(crate) struct Stats {
    calls: [Line; CELLS],
    copied: Line,
    dropped: Line,
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static CELL: Cell<usize> = const { Cell::new(usize::MAX) };
}

impl Stats {
    /// Counts `n` system calls of this thread.
    pub(crate) fn add(&self, n: u64) {
        let mut cell = CELL.get();
        if cell == usize::MAX {
            cell = NEXT.fetch_add(1, Ordering::Relaxed) % CELLS;
            CELL.set(cell);
        }
        self.calls[cell].0.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts bytes of payload that were copied.
    pub(crate) fn copied(&self, bytes: u64) {
        self.copied.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts datagrams that the host dropped.
    pub(crate) fn dropped(&self, datagrams: u64) {
        self.dropped.0.fetch_add(datagrams, Ordering::Relaxed);
    }

    /// Bytes copied, and datagrams dropped.
    pub(crate) fn copied_and_dropped(&self) -> (u64, u64) {
        (self.copied.0.load(Ordering::Relaxed), self.dropped.0.load(Ordering::Relaxed))
    }

    /// All system calls so far.
    pub(crate) fn system_calls(&self) -> u64 {
        self.calls.iter().map(|line| line.0.load(Ordering::Relaxed)).sum()
    }
}
