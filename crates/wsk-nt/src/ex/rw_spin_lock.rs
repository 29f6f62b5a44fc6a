//! Reader-writer spin locks (DDI: EX_SPIN_LOCK): bit 31 is the writer's, the rest counts readers.
#![allow(unsafe_code)] // Works on words in driver memory.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::exports;
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::ke::spin_lock::Backoff;
use crate::verify;

const WRITER: u32 = 1 << 31;
/// A writer waits: no new readers.
const WANTED: u32 = 1 << 30;

unsafe fn word<'a>(lock: *mut u32) -> &'a AtomicU32 {
    // SAFETY: the driver's word, aligned (DDI); the reference does not outlive a call.
    unsafe { AtomicU32::from_ptr(lock) }
}

unsafe fn acquire_shared(lock: *mut u32) {
    // SAFETY: the driver's word.
    let word = unsafe { word(lock) };
    let mut backoff = Backoff::default();
    while !add_reader(word) {
        backoff.pause();
    }
}

fn add_reader(word: &AtomicU32) -> bool {
    let more = |value: u32| (value & (WRITER | WANTED) == 0).then(|| value + 1);
    word.fetch_update(Ordering::Acquire, Ordering::Relaxed, more).is_ok()
}

unsafe fn acquire_exclusive(lock: *mut u32) {
    // SAFETY: the driver's word.
    let word = unsafe { word(lock) };
    let mut backoff = Backoff::default();
    loop {
        let value = word.load(Ordering::Relaxed);
        if value & !WANTED == 0 {
            if word.compare_exchange(value, WRITER, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return;
            }
        } else if value & WANTED == 0 {
            word.fetch_or(WANTED, Ordering::Relaxed);
        }
        backoff.pause();
    }
}

unsafe fn release_shared(lock: *mut u32) {
    let less = |value: u32| (value & !(WRITER | WANTED) != 0).then(|| value - 1);
    // SAFETY: the driver's word.
    if unsafe { word(lock) }.fetch_update(Ordering::Release, Ordering::Relaxed, less).is_err() {
        verify::violation("spin lock not held", "ExReleaseSpinLockShared of a lock that has no reader");
    }
}

unsafe fn release_exclusive(lock: *mut u32) {
    // SAFETY: the driver's word.
    if unsafe { word(lock) }.fetch_and(!WRITER, Ordering::Release) & WRITER == 0 {
        verify::violation("spin lock not held", "ExReleaseSpinLockExclusive of a lock that has no writer");
    }
}

/// ExAcquireSpinLockExclusive.
pub(crate) unsafe extern "win64" fn ExAcquireSpinLockExclusive(lock: *mut u32) -> u8 {
    irql::at_most(DISPATCH_LEVEL, "ExAcquireSpinLockExclusive");
    let old = irql::set(DISPATCH_LEVEL);
    // SAFETY: the driver's word.
    unsafe { acquire_exclusive(lock) };
    old
}

/// ExAcquireSpinLockShared.
pub(crate) unsafe extern "win64" fn ExAcquireSpinLockShared(lock: *mut u32) -> u8 {
    irql::at_most(DISPATCH_LEVEL, "ExAcquireSpinLockShared");
    let old = irql::set(DISPATCH_LEVEL);
    // SAFETY: the driver's word.
    unsafe { acquire_shared(lock) };
    old
}

/// ExReleaseSpinLockExclusive.
pub(crate) unsafe extern "win64" fn ExReleaseSpinLockExclusive(lock: *mut u32, irql: u8) {
    irql::at_least(DISPATCH_LEVEL, "ExReleaseSpinLockExclusive");
    // SAFETY: the driver's word.
    unsafe { release_exclusive(lock) };
    irql::set(irql);
}

/// ExReleaseSpinLockShared.
pub(crate) unsafe extern "win64" fn ExReleaseSpinLockShared(lock: *mut u32, irql: u8) {
    irql::at_least(DISPATCH_LEVEL, "ExReleaseSpinLockShared");
    // SAFETY: the driver's word.
    unsafe { release_shared(lock) };
    irql::set(irql);
}

/// ExAcquireSpinLockExclusiveAtDpcLevel.
unsafe extern "win64" fn ExAcquireSpinLockExclusiveAtDpcLevel(lock: *mut u32) {
    irql::at_least(DISPATCH_LEVEL, "ExAcquireSpinLockExclusiveAtDpcLevel");
    // SAFETY: the driver's word.
    unsafe { acquire_exclusive(lock) };
}

/// ExAcquireSpinLockSharedAtDpcLevel.
unsafe extern "win64" fn ExAcquireSpinLockSharedAtDpcLevel(lock: *mut u32) {
    irql::at_least(DISPATCH_LEVEL, "ExAcquireSpinLockSharedAtDpcLevel");
    // SAFETY: the driver's word.
    unsafe { acquire_shared(lock) };
}

/// ExReleaseSpinLockExclusiveFromDpcLevel.
unsafe extern "win64" fn ExReleaseSpinLockExclusiveFromDpcLevel(lock: *mut u32) {
    irql::at_least(DISPATCH_LEVEL, "ExReleaseSpinLockExclusiveFromDpcLevel");
    // SAFETY: the driver's word.
    unsafe { release_exclusive(lock) };
}

/// ExReleaseSpinLockSharedFromDpcLevel.
unsafe extern "win64" fn ExReleaseSpinLockSharedFromDpcLevel(lock: *mut u32) {
    irql::at_least(DISPATCH_LEVEL, "ExReleaseSpinLockSharedFromDpcLevel");
    // SAFETY: the driver's word.
    unsafe { release_shared(lock) };
}

/// ExTryAcquireSpinLockExclusiveAtDpcLevel.
unsafe extern "win64" fn ExTryAcquireSpinLockExclusiveAtDpcLevel(lock: *mut u32) -> u8 {
    // SAFETY: the driver's word.
    u8::from(unsafe { word(lock) }.compare_exchange(0, WRITER, Ordering::Acquire, Ordering::Relaxed).is_ok())
}

/// ExTryAcquireSpinLockSharedAtDpcLevel.
unsafe extern "win64" fn ExTryAcquireSpinLockSharedAtDpcLevel(lock: *mut u32) -> u8 {
    // SAFETY: the driver's word.
    u8::from(add_reader(unsafe { word(lock) }))
}

/// ExTryConvertSharedSpinLockExclusive: the one reader becomes the writer.
unsafe extern "win64" fn ExTryConvertSharedSpinLockExclusive(lock: *mut u32) -> u8 {
    // SAFETY: the driver's word.
    u8::from(unsafe { word(lock) }.compare_exchange(1, WRITER, Ordering::Acquire, Ordering::Relaxed).is_ok())
}

exports! {
    ExAcquireSpinLockExclusive, ExAcquireSpinLockShared, ExReleaseSpinLockExclusive, ExReleaseSpinLockShared,
    ExAcquireSpinLockExclusiveAtDpcLevel, ExAcquireSpinLockSharedAtDpcLevel, ExReleaseSpinLockExclusiveFromDpcLevel,
    ExReleaseSpinLockSharedFromDpcLevel, ExTryAcquireSpinLockExclusiveAtDpcLevel, ExTryAcquireSpinLockSharedAtDpcLevel,
    ExTryConvertSharedSpinLockExclusive,
}
