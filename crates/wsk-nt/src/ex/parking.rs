//! Waiting for a word of driver memory to change: waiters of an address share one of a fixed number of condition variables.

use std::sync::atomic::{AtomicUsize, Ordering, fence};

use parking_lot::{Condvar, Mutex};

use crate::ke::{callback, irql};
use crate::verify;

struct Bucket {
    waiters: AtomicUsize,
    lock: Mutex<()>,
    wake: Condvar,
}

static BUCKETS: [Bucket; 64] =
    [const { Bucket { waiters: AtomicUsize::new(0), lock: Mutex::new(()), wake: Condvar::new() } }; 64];

fn bucket(address: usize) -> &'static Bucket {
    &BUCKETS[(address >> 3 ^ address >> 9) % BUCKETS.len()]
}

/// Returns what `attempt` does once it succeeds; between attempts the thread sleeps until [`unpark_all`] of the address.
pub(crate) fn park_until<T>(address: usize, function: &'static str, mut attempt: impl FnMut() -> Option<T>) -> T {
    if let Some(done) = attempt() {
        return done;
    }
    if let Some(name) = callback::current() {
        verify::violation("wait inside a callback", format!("{function} inside {name}"));
    } else if irql::current() >= irql::DISPATCH_LEVEL {
        verify::violation("wrong IRQL", format!("{function} waits at {}", irql::name(irql::current())));
    }
    let bucket = bucket(address);
    bucket.waiters.fetch_add(1, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    let mut held = bucket.lock.lock();
    let done = loop {
        if let Some(done) = attempt() {
            break done;
        }
        bucket.wake.wait(&mut held);
    };
    drop(held);
    bucket.waiters.fetch_sub(1, Ordering::SeqCst);
    done
}

/// Has every waiter of the address try again. To be called after the change.
pub(crate) fn unpark_all(address: usize) {
    let bucket = bucket(address);
    fence(Ordering::SeqCst);
    if bucket.waiters.load(Ordering::SeqCst) != 0 {
        let _held = bucket.lock.lock();
        bucket.wake.notify_all();
    }
}
