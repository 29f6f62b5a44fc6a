//! Rundown protection (DDI: EX_RUNDOWN_REF): bit 0 says that rundown has begun, the rest counts the references.
#![allow(unsafe_code)] // Works on words in driver memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{park_until, unpark_all};
use crate::ex::pool;
use crate::exports;
use crate::ke::irql::{self, APC_LEVEL, DISPATCH_LEVEL};
use crate::verify;

const ACTIVE: usize = 1;
const ONE: usize = 2;

unsafe fn word<'a>(reference: *mut usize) -> &'a AtomicUsize {
    // SAFETY: the driver's word, aligned (DDI); the reference does not outlive a call.
    unsafe { AtomicUsize::from_ptr(reference) }
}

/// ExInitializeRundownProtection; ExReInitializeRundownProtection.
pub(crate) unsafe extern "win64" fn ExInitializeRundownProtection(reference: *mut usize) {
    // SAFETY: the driver's memory.
    unsafe { word(reference) }.store(0, Ordering::SeqCst);
}

/// ExAcquireRundownProtectionEx.
pub(crate) unsafe extern "win64" fn ExAcquireRundownProtectionEx(reference: *mut usize, count: u32) -> u8 {
    irql::at_most(DISPATCH_LEVEL, "ExAcquireRundownProtection");
    let more = |value: usize| (value & ACTIVE == 0).then(|| value + count as usize * ONE);
    // SAFETY: the driver's word.
    u8::from(unsafe { word(reference) }.fetch_update(Ordering::SeqCst, Ordering::Relaxed, more).is_ok())
}

/// ExAcquireRundownProtection.
pub(crate) unsafe extern "win64" fn ExAcquireRundownProtection(reference: *mut usize) -> u8 {
    // SAFETY: the driver's word.
    unsafe { ExAcquireRundownProtectionEx(reference, 1) }
}

/// ExReleaseRundownProtectionEx.
pub(crate) unsafe extern "win64" fn ExReleaseRundownProtectionEx(reference: *mut usize, count: u32) {
    irql::at_most(DISPATCH_LEVEL, "ExReleaseRundownProtection");
    let less = |value: usize| value.checked_sub(count as usize * ONE);
    // SAFETY: the driver's word; it is not touched after the last release, as the waiter may free it then.
    match unsafe { word(reference) }.fetch_update(Ordering::SeqCst, Ordering::Relaxed, less) {
        Ok(old) if old & ACTIVE != 0 => unpark_all(reference as usize),
        Ok(_) => {}
        Err(_) => verify::violation("rundown protection", "ExReleaseRundownProtection without a reference"),
    }
}

/// ExReleaseRundownProtection.
pub(crate) unsafe extern "win64" fn ExReleaseRundownProtection(reference: *mut usize) {
    // SAFETY: the driver's word.
    unsafe { ExReleaseRundownProtectionEx(reference, 1) };
}

/// ExWaitForRundownProtectionRelease.
pub(crate) unsafe extern "win64" fn ExWaitForRundownProtectionRelease(reference: *mut usize) {
    irql::at_most(APC_LEVEL, "ExWaitForRundownProtectionRelease");
    // SAFETY: the driver's word.
    let word = unsafe { word(reference) };
    word.fetch_or(ACTIVE, Ordering::SeqCst);
    park_until(reference as usize, "ExWaitForRundownProtectionRelease", || {
        (word.load(Ordering::SeqCst) == ACTIVE).then_some(())
    });
}

/// ExRundownCompleted.
unsafe extern "win64" fn ExRundownCompleted(reference: *mut usize) {
    // SAFETY: the driver's word.
    unsafe { word(reference) }.store(ACTIVE, Ordering::SeqCst);
}

/// ExAllocateCacheAwareRundownProtection: one word serves all processors.
unsafe extern "win64" fn ExAllocateCacheAwareRundownProtection(_pool: i32, tag: u32) -> *mut usize {
    pool::for_driver(64, &tag.to_le_bytes()).cast()
}

/// ExFreeCacheAwareRundownProtection.
unsafe extern "win64" fn ExFreeCacheAwareRundownProtection(reference: *mut usize) {
    // SAFETY: from the function above.
    unsafe { pool::ExFreePool(reference.cast()) };
}

/// ExSizeOfRundownProtectionCacheAware.
extern "win64" fn ExSizeOfRundownProtectionCacheAware() -> usize {
    64
}

/// ExInitializeRundownProtectionCacheAware.
unsafe extern "win64" fn ExInitializeRundownProtectionCacheAware(reference: *mut usize, _size: usize) {
    // SAFETY: the driver's memory.
    unsafe { ExInitializeRundownProtection(reference) };
}

exports! {
    ExInitializeRundownProtection, ExReInitializeRundownProtection = ExInitializeRundownProtection,
    ExAcquireRundownProtection, ExAcquireRundownProtectionEx, ExReleaseRundownProtection, ExReleaseRundownProtectionEx,
    ExWaitForRundownProtectionRelease, ExRundownCompleted,
    ExAllocateCacheAwareRundownProtection, ExFreeCacheAwareRundownProtection, ExSizeOfRundownProtectionCacheAware,
    ExInitializeRundownProtectionCacheAware,
    ExReInitializeRundownProtectionCacheAware = ExInitializeRundownProtection,
    ExAcquireRundownProtectionCacheAware = ExAcquireRundownProtection,
    ExAcquireRundownProtectionCacheAwareEx = ExAcquireRundownProtectionEx,
    ExReleaseRundownProtectionCacheAware = ExReleaseRundownProtection,
    ExReleaseRundownProtectionCacheAwareEx = ExReleaseRundownProtectionEx,
    ExWaitForRundownProtectionReleaseCacheAware = ExWaitForRundownProtectionRelease,
    ExRundownCompletedCacheAware = ExRundownCompleted,
}
