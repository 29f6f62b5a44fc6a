//! Spin locks: plain, queued, in-stack queued, reader-writer. They really lock. The word of a held lock names its owner, so
//! that releasing or taking twice by mistake is reported instead of hanging.
#![allow(unsafe_code)] // Works on lock words in driver memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use wsk_abi::io::KSPIN_LOCK;

use crate::bug_check::bug_check;
use crate::exports;
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::ke::processor;
use crate::verify;

/// Where a queued spin lock is waited for (DDI: KSPIN_LOCK_QUEUE).
#[repr(C)]
#[derive(Debug)]
pub struct KSPIN_LOCK_QUEUE {
    /// Next waiter (not used).
    pub Next: *mut KSPIN_LOCK_QUEUE,
    /// The lock.
    pub Lock: *mut KSPIN_LOCK,
}

/// DDI: KLOCK_QUEUE_HANDLE.
#[repr(C)]
#[derive(Debug)]
pub struct KLOCK_QUEUE_HANDLE {
    /// The lock that is held.
    pub LockQueue: KSPIN_LOCK_QUEUE,
    /// Level to go back to.
    pub OldIrql: u8,
}

/// Spins for a while, then lets others run.
#[derive(Default)]
pub(crate) struct Backoff(u32);

impl Backoff {
    pub(crate) fn pause(&mut self) {
        self.0 += 1;
        if self.0 < 64 {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

unsafe fn word<'a>(lock: *mut KSPIN_LOCK) -> &'a AtomicUsize {
    // SAFETY: the driver's lock, 8 bytes, aligned (DDI); the caller does not keep the reference beyond its call.
    unsafe { AtomicUsize::from_ptr(lock) }
}

fn me() -> usize {
    (&raw const *processor::attach()) as usize | 1
}

pub(crate) unsafe fn try_acquire(lock: *mut KSPIN_LOCK) -> bool {
    // SAFETY: as in `word`.
    unsafe { word(lock) }.compare_exchange(0, me(), Ordering::Acquire, Ordering::Relaxed).is_ok()
}

pub(crate) unsafe fn acquire(lock: *mut KSPIN_LOCK) {
    // SAFETY: as in `word`.
    let word = unsafe { word(lock) };
    let me = me();
    let mut backoff = Backoff::default();
    while let Err(owner) = word.compare_exchange_weak(0, me, Ordering::Acquire, Ordering::Relaxed) {
        if owner == me {
            bug_check(0xF, [lock as u64, 0, 0, 0], "SPIN_LOCK_ALREADY_OWNED: a thread takes a spin lock that it holds");
        }
        backoff.pause();
    }
}

pub(crate) unsafe fn release(lock: *mut KSPIN_LOCK) {
    // SAFETY: as in `word`.
    let owner = unsafe { word(lock) }.swap(0, Ordering::Release);
    if owner != me() {
        let holder = if owner == 0 { "nobody" } else { "another thread" };
        verify::violation("spin lock not held", format!("a spin lock at {lock:p} is released that {holder} holds"));
    }
}

/// KeInitializeSpinLock.
pub(crate) unsafe extern "win64" fn KeInitializeSpinLock(lock: *mut KSPIN_LOCK) {
    // SAFETY: the driver's memory (DDI).
    unsafe { word(lock) }.store(0, Ordering::Relaxed);
}

/// KeAcquireSpinLockRaiseToDpc.
pub(crate) unsafe extern "win64" fn KeAcquireSpinLockRaiseToDpc(lock: *mut KSPIN_LOCK) -> u8 {
    irql::at_most(DISPATCH_LEVEL, "KeAcquireSpinLock");
    let old = irql::set(DISPATCH_LEVEL);
    // SAFETY: the driver's lock (DDI).
    unsafe { acquire(lock) };
    old
}

/// KeReleaseSpinLock.
pub(crate) unsafe extern "win64" fn KeReleaseSpinLock(lock: *mut KSPIN_LOCK, irql: u8) {
    // SAFETY: the driver's lock (DDI).
    unsafe { release(lock) };
    lower(irql, "KeReleaseSpinLock");
}

fn lower(level: u8, function: &'static str) {
    irql::at_least(DISPATCH_LEVEL, function);
    if level > DISPATCH_LEVEL {
        verify::violation("wrong IRQL", format!("{function} lowers to {}, which is higher", irql::name(level)));
    }
    irql::set(level.min(irql::current()));
}

/// KeAcquireSpinLockAtDpcLevel.
unsafe extern "win64" fn KeAcquireSpinLockAtDpcLevel(lock: *mut KSPIN_LOCK) {
    irql::at_least(DISPATCH_LEVEL, "KeAcquireSpinLockAtDpcLevel");
    // SAFETY: the driver's lock (DDI).
    unsafe { acquire(lock) };
}

/// KeReleaseSpinLockFromDpcLevel.
unsafe extern "win64" fn KeReleaseSpinLockFromDpcLevel(lock: *mut KSPIN_LOCK) {
    irql::at_least(DISPATCH_LEVEL, "KeReleaseSpinLockFromDpcLevel");
    // SAFETY: the driver's lock (DDI).
    unsafe { release(lock) };
}

/// KeTryToAcquireSpinLockAtDpcLevel.
unsafe extern "win64" fn KeTryToAcquireSpinLockAtDpcLevel(lock: *mut KSPIN_LOCK) -> u8 {
    irql::at_least(DISPATCH_LEVEL, "KeTryToAcquireSpinLockAtDpcLevel");
    // SAFETY: the driver's lock (DDI).
    u8::from(unsafe { try_acquire(lock) })
}

/// KeTestSpinLock: whether it is free.
unsafe extern "win64" fn KeTestSpinLock(lock: *mut KSPIN_LOCK) -> u8 {
    // SAFETY: the driver's lock (DDI).
    u8::from(unsafe { word(lock) }.load(Ordering::Acquire) == 0)
}

/// KeAcquireSpinLockForDpc: raises only if the caller is lower.
unsafe extern "win64" fn KeAcquireSpinLockForDpc(lock: *mut KSPIN_LOCK) -> u8 {
    // SAFETY: the driver's lock (DDI).
    unsafe { KeAcquireSpinLockRaiseToDpc(lock) }
}

unsafe fn hold(lock: *mut KSPIN_LOCK, handle: *mut KLOCK_QUEUE_HANDLE, old: u8) {
    // SAFETY: the driver's lock and handle (DDI).
    unsafe {
        acquire(lock);
        (*handle).LockQueue = KSPIN_LOCK_QUEUE { Next: std::ptr::null_mut(), Lock: lock };
        (*handle).OldIrql = old;
    }
}

unsafe fn let_go(handle: *mut KLOCK_QUEUE_HANDLE) -> u8 {
    // SAFETY: the driver's handle (DDI).
    unsafe {
        let lock = std::mem::replace(&mut (*handle).LockQueue.Lock, std::ptr::null_mut());
        if lock.is_null() {
            verify::violation("spin lock not held", "an in-stack queued spin lock is released twice");
        } else {
            release(lock);
        }
        (*handle).OldIrql
    }
}

/// KeAcquireInStackQueuedSpinLock.
pub(crate) unsafe extern "win64" fn KeAcquireInStackQueuedSpinLock(
    lock: *mut KSPIN_LOCK,
    handle: *mut KLOCK_QUEUE_HANDLE,
) {
    irql::at_most(DISPATCH_LEVEL, "KeAcquireInStackQueuedSpinLock");
    let old = irql::set(DISPATCH_LEVEL);
    // SAFETY: the driver's lock and handle (DDI).
    unsafe { hold(lock, handle, old) };
}

/// KeReleaseInStackQueuedSpinLock.
pub(crate) unsafe extern "win64" fn KeReleaseInStackQueuedSpinLock(handle: *mut KLOCK_QUEUE_HANDLE) {
    // SAFETY: the driver's handle (DDI).
    let old = unsafe { let_go(handle) };
    lower(old, "KeReleaseInStackQueuedSpinLock");
}

/// KeAcquireInStackQueuedSpinLockAtDpcLevel.
unsafe extern "win64" fn KeAcquireInStackQueuedSpinLockAtDpcLevel(
    lock: *mut KSPIN_LOCK,
    handle: *mut KLOCK_QUEUE_HANDLE,
) {
    irql::at_least(DISPATCH_LEVEL, "KeAcquireInStackQueuedSpinLockAtDpcLevel");
    // SAFETY: the driver's lock and handle (DDI).
    unsafe { hold(lock, handle, DISPATCH_LEVEL) };
}

/// KeReleaseInStackQueuedSpinLockFromDpcLevel.
unsafe extern "win64" fn KeReleaseInStackQueuedSpinLockFromDpcLevel(handle: *mut KLOCK_QUEUE_HANDLE) {
    irql::at_least(DISPATCH_LEVEL, "KeReleaseInStackQueuedSpinLockFromDpcLevel");
    // SAFETY: the driver's handle (DDI).
    unsafe { let_go(handle) };
}

exports! {
    KeInitializeSpinLock, KeAcquireSpinLockRaiseToDpc, KeReleaseSpinLock, KeAcquireSpinLockAtDpcLevel,
    KeReleaseSpinLockFromDpcLevel, KeTryToAcquireSpinLockAtDpcLevel, KeTestSpinLock, KeAcquireSpinLockForDpc,
    KeReleaseSpinLockForDpc = KeReleaseSpinLock, KfAcquireSpinLock = KeAcquireSpinLockRaiseToDpc,
    KfReleaseSpinLock = KeReleaseSpinLock, KefAcquireSpinLockAtDpcLevel = KeAcquireSpinLockAtDpcLevel,
    KefReleaseSpinLockFromDpcLevel = KeReleaseSpinLockFromDpcLevel,
    KeAcquireInStackQueuedSpinLock, KeReleaseInStackQueuedSpinLock, KeAcquireInStackQueuedSpinLockAtDpcLevel,
    KeReleaseInStackQueuedSpinLockFromDpcLevel, KeAcquireInStackQueuedSpinLockForDpc = KeAcquireInStackQueuedSpinLock,
    KeReleaseInStackQueuedSpinLockForDpc = KeReleaseInStackQueuedSpinLock,
}
