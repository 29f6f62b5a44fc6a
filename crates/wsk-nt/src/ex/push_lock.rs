//! Push locks (DDI: EX_PUSH_LOCK): bit 0 is the exclusive hold, the rest counts the shared ones. A writer that waits is not
//! preferred.
#![allow(unsafe_code)] // Works on words in driver memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{park_until, unpark_all};
use crate::exports;
use crate::ke::irql::{self, APC_LEVEL};
use crate::ps::thread::{KeEnterCriticalRegion, KeLeaveCriticalRegion};
use crate::verify;

const EXCLUSIVE: usize = 1;
const SHARED: usize = 2;

unsafe fn word<'a>(lock: *mut usize) -> &'a AtomicUsize {
    // SAFETY: the driver's word, aligned (DDI); the reference does not outlive a call.
    unsafe { AtomicUsize::from_ptr(lock) }
}

/// ExInitializePushLock.
pub(crate) unsafe extern "win64" fn ExInitializePushLock(lock: *mut usize) {
    // SAFETY: the driver's memory.
    unsafe { word(lock) }.store(0, Ordering::SeqCst);
}

/// ExAcquirePushLockExclusiveEx.
pub(crate) unsafe extern "win64" fn ExAcquirePushLockExclusiveEx(lock: *mut usize, _flags: u32) {
    irql::at_most(APC_LEVEL, "ExAcquirePushLockExclusive");
    // SAFETY: the driver's word.
    let word = unsafe { word(lock) };
    park_until(lock as usize, "ExAcquirePushLockExclusive", || {
        word.compare_exchange(0, EXCLUSIVE, Ordering::SeqCst, Ordering::Relaxed).ok()
    });
}

/// ExTryAcquirePushLockExclusiveEx.
unsafe extern "win64" fn ExTryAcquirePushLockExclusiveEx(lock: *mut usize, _flags: u32) -> u8 {
    // SAFETY: the driver's word.
    u8::from(unsafe { word(lock) }.compare_exchange(0, EXCLUSIVE, Ordering::SeqCst, Ordering::Relaxed).is_ok())
}

fn add_shared(word: &AtomicUsize) -> Option<usize> {
    let more = |value: usize| (value & EXCLUSIVE == 0).then(|| value + SHARED);
    word.fetch_update(Ordering::SeqCst, Ordering::Relaxed, more).ok()
}

/// ExAcquirePushLockSharedEx.
pub(crate) unsafe extern "win64" fn ExAcquirePushLockSharedEx(lock: *mut usize, _flags: u32) {
    irql::at_most(APC_LEVEL, "ExAcquirePushLockShared");
    // SAFETY: the driver's word.
    let word = unsafe { word(lock) };
    park_until(lock as usize, "ExAcquirePushLockShared", || add_shared(word));
}

/// ExTryAcquirePushLockSharedEx.
unsafe extern "win64" fn ExTryAcquirePushLockSharedEx(lock: *mut usize, _flags: u32) -> u8 {
    // SAFETY: the driver's word.
    u8::from(add_shared(unsafe { word(lock) }).is_some())
}

/// ExReleasePushLockExclusiveEx.
pub(crate) unsafe extern "win64" fn ExReleasePushLockExclusiveEx(lock: *mut usize, _flags: u32) {
    // SAFETY: the driver's word.
    match unsafe { word(lock) }.compare_exchange(EXCLUSIVE, 0, Ordering::SeqCst, Ordering::Relaxed) {
        Ok(_) => unpark_all(lock as usize),
        Err(_) => verify::violation("push lock not held", "ExReleasePushLockExclusive of a lock that is not held so"),
    }
}

/// ExReleasePushLockSharedEx.
pub(crate) unsafe extern "win64" fn ExReleasePushLockSharedEx(lock: *mut usize, _flags: u32) {
    let less = |value: usize| (value & EXCLUSIVE == 0).then(|| value.checked_sub(SHARED)).flatten();
    // SAFETY: the driver's word.
    match unsafe { word(lock) }.fetch_update(Ordering::SeqCst, Ordering::Relaxed, less) {
        Ok(_) => unpark_all(lock as usize),
        Err(_) => verify::violation("push lock not held", "ExReleasePushLockShared of a lock that is not held so"),
    }
}

/// ExReleasePushLockEx: of either kind.
unsafe extern "win64" fn ExReleasePushLockEx(lock: *mut usize, flags: u32) {
    // SAFETY: the driver's word.
    unsafe {
        if word(lock).load(Ordering::SeqCst) & EXCLUSIVE != 0 {
            ExReleasePushLockExclusiveEx(lock, flags);
        } else {
            ExReleasePushLockSharedEx(lock, flags);
        }
    }
}

/// FltAcquirePushLockExclusive and its kin enter a critical region too.
unsafe extern "win64" fn FltAcquirePushLockExclusive(lock: *mut usize) {
    KeEnterCriticalRegion();
    // SAFETY: the driver's word.
    unsafe { ExAcquirePushLockExclusiveEx(lock, 0) };
}

/// FltAcquirePushLockShared.
unsafe extern "win64" fn FltAcquirePushLockShared(lock: *mut usize) {
    KeEnterCriticalRegion();
    // SAFETY: the driver's word.
    unsafe { ExAcquirePushLockSharedEx(lock, 0) };
}

/// FltReleasePushLock.
unsafe extern "win64" fn FltReleasePushLock(lock: *mut usize) {
    // SAFETY: the driver's word.
    unsafe { ExReleasePushLockEx(lock, 0) };
    KeLeaveCriticalRegion();
}

exports! {
    ExInitializePushLock, ExAcquirePushLockExclusiveEx, ExTryAcquirePushLockExclusiveEx, ExAcquirePushLockSharedEx,
    ExTryAcquirePushLockSharedEx, ExReleasePushLockExclusiveEx, ExReleasePushLockSharedEx, ExReleasePushLockEx,
    FltInitializePushLock = ExInitializePushLock, FltDeletePushLock = ExInitializePushLock, FltAcquirePushLockExclusive,
    FltAcquirePushLockShared, FltReleasePushLock,
}
