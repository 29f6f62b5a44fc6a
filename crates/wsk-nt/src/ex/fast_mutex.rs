//! Fast mutexes and guarded mutexes (DDI: FAST_MUTEX, KGUARDED_MUTEX), of one layout: Count is 1 when free, and less by one
//! for the holder and each waiter.
#![allow(unsafe_code)] // Works on structures in driver memory.

use std::sync::atomic::{AtomicI32, Ordering};

use wsk_abi::io::KEVENT;

use crate::bug_check::bug_check;
use crate::exports;
use crate::ke::event::{self, KeInitializeEvent};
use crate::ke::irql::{self, APC_LEVEL};
use crate::ke::wait;
use crate::ps::thread::{self, KeEnterCriticalRegion, KeLeaveCriticalRegion};
use crate::verify;

/// DDI: FAST_MUTEX.
#[repr(C)]
#[derive(Debug)]
pub struct FAST_MUTEX {
    /// 1 when free.
    pub Count: i32,
    /// The holder.
    pub Owner: *mut u8,
    /// Acquisitions that had to wait.
    pub Contention: u32,
    /// Waited for.
    pub Event: KEVENT,
    /// Level to go back to.
    pub OldIrql: u32,
}

/// ExInitializeFastMutex, KeInitializeGuardedMutex; inlines do the same.
pub(crate) unsafe extern "win64" fn ExInitializeFastMutex(mutex: *mut FAST_MUTEX) {
    // SAFETY: the driver's memory (DDI).
    unsafe {
        std::ptr::write_bytes(mutex, 0, 1);
        (*mutex).Count = 1;
        KeInitializeEvent(&raw mut (*mutex).Event, 1, 0);
    }
}

unsafe fn count<'a>(mutex: *mut FAST_MUTEX) -> &'a AtomicI32 {
    // SAFETY: the driver's mutex; the reference does not outlive a call.
    unsafe { AtomicI32::from_ptr(&raw mut (*mutex).Count) }
}

unsafe fn acquire(mutex: *mut FAST_MUTEX, function: &'static str) {
    // SAFETY: the driver's mutex (DDI).
    unsafe {
        let me = thread::current().cast::<u8>();
        if (&raw const (*mutex).Owner).read_volatile() == me {
            bug_check(
                0xE2,
                [mutex as u64, 0, 0, 0],
                format!("{function}: the thread holds the fast mutex already, and would wait for ever"),
            );
        }
        if count(mutex).fetch_sub(1, Ordering::SeqCst) != 1 {
            AtomicI32::from_ptr((&raw mut (*mutex).Contention).cast()).fetch_add(1, Ordering::Relaxed);
            wait::wait(&[(&raw mut (*mutex).Event).cast()], false, None, function);
        }
        (&raw mut (*mutex).Owner).write_volatile(me);
    }
}

unsafe fn try_acquire(mutex: *mut FAST_MUTEX) -> bool {
    // SAFETY: the driver's mutex (DDI).
    unsafe {
        let free = count(mutex).compare_exchange(1, 0, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        if free {
            (&raw mut (*mutex).Owner).write_volatile(thread::current().cast());
        }
        free
    }
}

unsafe fn release(mutex: *mut FAST_MUTEX, function: &'static str) {
    // SAFETY: the driver's mutex (DDI).
    unsafe {
        if (&raw const (*mutex).Owner).read_volatile() != thread::current().cast() {
            verify::violation("mutex not held", format!("{function} by a thread that does not hold the mutex"));
        }
        (&raw mut (*mutex).Owner).write_volatile(std::ptr::null_mut());
        if count(mutex).fetch_add(1, Ordering::SeqCst) < 0 {
            event::set(&raw mut (*mutex).Event);
        }
    }
}

/// ExAcquireFastMutex: raises to APC_LEVEL.
pub(crate) unsafe extern "win64" fn ExAcquireFastMutex(mutex: *mut FAST_MUTEX) {
    irql::at_most(APC_LEVEL, "ExAcquireFastMutex");
    let old = irql::current();
    irql::set(old.max(APC_LEVEL));
    // SAFETY: the driver's mutex (DDI).
    unsafe {
        acquire(mutex, "ExAcquireFastMutex");
        (*mutex).OldIrql = old.into();
    }
}

/// ExReleaseFastMutex.
pub(crate) unsafe extern "win64" fn ExReleaseFastMutex(mutex: *mut FAST_MUTEX) {
    // SAFETY: the driver's mutex (DDI).
    unsafe {
        let old = (*mutex).OldIrql as u8;
        release(mutex, "ExReleaseFastMutex");
        irql::set(old);
    }
}

/// ExTryToAcquireFastMutex.
pub(crate) unsafe extern "win64" fn ExTryToAcquireFastMutex(mutex: *mut FAST_MUTEX) -> u8 {
    irql::at_most(APC_LEVEL, "ExTryToAcquireFastMutex");
    let old = irql::current();
    // SAFETY: the driver's mutex (DDI).
    unsafe {
        if !try_acquire(mutex) {
            return 0;
        }
        irql::set(old.max(APC_LEVEL));
        (*mutex).OldIrql = old.into();
    }
    1
}

/// ExAcquireFastMutexUnsafe, KeAcquireGuardedMutexUnsafe: APCs are off already.
unsafe extern "win64" fn ExAcquireFastMutexUnsafe(mutex: *mut FAST_MUTEX) {
    irql::at_most(APC_LEVEL, "ExAcquireFastMutexUnsafe");
    // SAFETY: the driver's mutex (DDI).
    unsafe { acquire(mutex, "ExAcquireFastMutexUnsafe") };
}

/// ExReleaseFastMutexUnsafe, KeReleaseGuardedMutexUnsafe.
unsafe extern "win64" fn ExReleaseFastMutexUnsafe(mutex: *mut FAST_MUTEX) {
    // SAFETY: the driver's mutex (DDI).
    unsafe { release(mutex, "ExReleaseFastMutexUnsafe") };
}

/// KeAcquireGuardedMutex: enters a guarded region.
pub(crate) unsafe extern "win64" fn KeAcquireGuardedMutex(mutex: *mut FAST_MUTEX) {
    irql::at_most(APC_LEVEL, "KeAcquireGuardedMutex");
    KeEnterCriticalRegion();
    // SAFETY: the driver's mutex (DDI).
    unsafe { acquire(mutex, "KeAcquireGuardedMutex") };
}

/// KeReleaseGuardedMutex.
pub(crate) unsafe extern "win64" fn KeReleaseGuardedMutex(mutex: *mut FAST_MUTEX) {
    // SAFETY: the driver's mutex (DDI).
    unsafe { release(mutex, "KeReleaseGuardedMutex") };
    KeLeaveCriticalRegion();
}

/// KeTryToAcquireGuardedMutex.
unsafe extern "win64" fn KeTryToAcquireGuardedMutex(mutex: *mut FAST_MUTEX) -> u8 {
    // SAFETY: the driver's mutex (DDI).
    let held = unsafe { try_acquire(mutex) };
    if held {
        KeEnterCriticalRegion();
    }
    u8::from(held)
}

exports! {
    ExInitializeFastMutex, KeInitializeGuardedMutex = ExInitializeFastMutex, ExAcquireFastMutex, ExReleaseFastMutex,
    ExTryToAcquireFastMutex, ExAcquireFastMutexUnsafe, ExReleaseFastMutexUnsafe,
    KeAcquireGuardedMutex, KeReleaseGuardedMutex, KeTryToAcquireGuardedMutex,
    KeAcquireGuardedMutexUnsafe = ExAcquireFastMutexUnsafe, KeReleaseGuardedMutexUnsafe = ExReleaseFastMutexUnsafe,
}
