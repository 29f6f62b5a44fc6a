//! Events, semaphores and mutexes (DDI: KEVENT, KSEMAPHORE, KMUTEX).
#![allow(unsafe_code)] // Reads and writes objects in driver memory.

use wsk_abi::NtStatus;
use wsk_abi::io::{DISPATCHER_HEADER, KEVENT};

use crate::bug_check::bug_check;
use crate::exports;
use crate::ke::irql::{self, DISPATCH_LEVEL};
pub use crate::ke::wait::KMUTANT;
use crate::ke::wait::{self, initialize, kind};
use crate::ps::thread;

/// A semaphore (DDI: KSEMAPHORE).
#[repr(C)]
#[derive(Debug)]
pub struct KSEMAPHORE {
    /// Its count.
    pub Header: DISPATCHER_HEADER,
    /// The largest count.
    pub Limit: i32,
}

/// KeInitializeEvent.
pub(crate) unsafe extern "win64" fn KeInitializeEvent(event: *mut KEVENT, kind: i32, state: u8) {
    // SAFETY: the driver's memory (DDI).
    unsafe { initialize(event.cast(), kind as u8 & 1, size_of::<KEVENT>(), i32::from(state != 0)) };
}

/// KeSetEvent, for the crates above: any IRQL up to DISPATCH_LEVEL; returns the previous state.
///
/// # Safety
/// `event` must be an initialized event.
pub unsafe fn set(event: *mut KEVENT) -> i32 {
    let mut held = wait::lock();
    // SAFETY: the caller's promise.
    unsafe {
        let old = (*event).Header.SignalState;
        if old <= 0 {
            (*event).Header.SignalState = 1;
            held.signalled(event.cast());
        }
        old
    }
}

/// KeResetEvent, for the crates above; returns the previous state.
///
/// # Safety
/// `event` must be an initialized event.
pub unsafe fn reset(event: *mut KEVENT) -> i32 {
    let _held = wait::lock();
    // SAFETY: the caller's promise.
    unsafe { std::mem::replace(&mut (*event).Header.SignalState, 0) }
}

/// KeSetEvent.
pub(crate) unsafe extern "win64" fn KeSetEvent(event: *mut KEVENT, _increment: i32, wait: u8) -> i32 {
    irql::at_most(if wait == 0 { DISPATCH_LEVEL } else { irql::APC_LEVEL }, "KeSetEvent");
    // SAFETY: the driver's event (DDI).
    unsafe { set(event) }
}

/// KeResetEvent.
pub(crate) unsafe extern "win64" fn KeResetEvent(event: *mut KEVENT) -> i32 {
    irql::at_most(DISPATCH_LEVEL, "KeResetEvent");
    // SAFETY: the driver's event (DDI).
    unsafe { reset(event) }
}

/// KeClearEvent.
unsafe extern "win64" fn KeClearEvent(event: *mut KEVENT) {
    irql::at_most(DISPATCH_LEVEL, "KeClearEvent");
    // SAFETY: the driver's event (DDI).
    unsafe { reset(event) };
}

/// KePulseEvent: lets go whom the event would satisfy now, and clears it.
unsafe extern "win64" fn KePulseEvent(event: *mut KEVENT, _increment: i32, _wait: u8) -> i32 {
    irql::at_most(DISPATCH_LEVEL, "KePulseEvent");
    let mut held = wait::lock();
    // SAFETY: the driver's event (DDI).
    unsafe {
        let old = (*event).Header.SignalState;
        (*event).Header.SignalState = 1;
        held.signalled(event.cast());
        (*event).Header.SignalState = 0;
        old
    }
}

/// KeInitializeSemaphore.
pub(crate) unsafe extern "win64" fn KeInitializeSemaphore(semaphore: *mut KSEMAPHORE, count: i32, limit: i32) {
    // SAFETY: the driver's memory (DDI).
    unsafe {
        initialize(semaphore.cast(), kind::SEMAPHORE, size_of::<KSEMAPHORE>(), count);
        (*semaphore).Limit = limit;
    }
}

/// What KeReleaseSemaphore does; None if the count would pass its limit.
pub(crate) unsafe fn release_semaphore(semaphore: *mut KSEMAPHORE, adjustment: i32) -> Option<i32> {
    let mut held = wait::lock();
    // SAFETY: the caller's semaphore.
    unsafe {
        let old = (*semaphore).Header.SignalState;
        let new = old.checked_add(adjustment).filter(|&new| new <= (*semaphore).Limit && adjustment > 0)?;
        (*semaphore).Header.SignalState = new;
        held.signalled(semaphore.cast());
        Some(old)
    }
}

crate::ke::exception::raising! {
    /// KeReleaseSemaphore: raises STATUS_SEMAPHORE_LIMIT_EXCEEDED.
    KeReleaseSemaphore = release_semaphore_status
}

/// KeReleaseSemaphore as a status: the old count, which is never negative, or the status to raise.
unsafe extern "win64" fn release_semaphore_status(
    semaphore: *mut KSEMAPHORE,
    _increment: i32,
    adjustment: i32,
    _wait: u8,
) -> i32 {
    irql::at_most(DISPATCH_LEVEL, "KeReleaseSemaphore");
    // SAFETY: the driver's semaphore (DDI).
    unsafe { release_semaphore(semaphore, adjustment) }.unwrap_or(NtStatus::SEMAPHORE_LIMIT_EXCEEDED.0 as i32)
}

/// KeInitializeMutex.
pub(crate) unsafe extern "win64" fn KeInitializeMutex(mutex: *mut KMUTANT, _level: u32) {
    wait::lock().owned.give_back(mutex);
    // SAFETY: the driver's memory (DDI).
    unsafe {
        initialize(mutex.cast(), kind::MUTANT, size_of::<KMUTANT>(), 1);
        (*mutex).OwnerThread = std::ptr::null_mut();
        (*mutex).MutantFlags = 0;
        (*mutex).ApcDisable = 1;
    }
}

/// KeReleaseMutex.
pub(crate) unsafe extern "win64" fn KeReleaseMutex(mutex: *mut KMUTANT, _wait: u8) -> i32 {
    irql::at_most(DISPATCH_LEVEL, "KeReleaseMutex");
    let mut held = wait::lock();
    // SAFETY: the driver's mutex (DDI).
    unsafe {
        let old = (*mutex).Header.SignalState;
        if (*mutex).OwnerThread != thread::current().cast() {
            drop(held);
            bug_check(
                u32::from(NtStatus::MUTANT_NOT_OWNED.0 as u16) | 0xC000_0000,
                [mutex as u64, 0, 0, 0],
                "STATUS_MUTANT_NOT_OWNED: KeReleaseMutex by a thread that does not own the mutex",
            );
        }
        (*mutex).Header.SignalState = old + 1;
        if old + 1 == 1 {
            (*mutex).OwnerThread = std::ptr::null_mut();
            held.owned.give_back(mutex);
            held.signalled(mutex.cast());
        }
        old
    }
}

exports! {
    KeInitializeEvent, KeSetEvent, KeResetEvent, KeClearEvent, KePulseEvent,
    KeSetEventBoostPriority = KeSetEventBoostPriority, KeInitializeSemaphore, KeReleaseSemaphore,
    KeInitializeMutex, KeInitializeMutant = KeInitializeMutant, KeReleaseMutex,
    KeTestAlertThread = KeTestAlertThread,
}

/// KeSetEventBoostPriority.
unsafe extern "win64" fn KeSetEventBoostPriority(event: *mut KEVENT, _thread: *mut *mut u8) {
    // SAFETY: the driver's event.
    unsafe { KeSetEvent(event, 1, 0) };
}

/// KeInitializeMutant.
unsafe extern "win64" fn KeInitializeMutant(mutex: *mut KMUTANT, owned: u8) {
    // SAFETY: the driver's memory.
    unsafe {
        KeInitializeMutex(mutex, 0);
        if owned != 0 {
            let thread = thread::current().cast();
            (*mutex).Header.SignalState = 0;
            (*mutex).OwnerThread = thread;
            wait::lock().owned.take(mutex, thread, crate::caller::current());
        }
    }
}

/// KeTestAlertThread: nobody alerts here.
extern "win64" fn KeTestAlertThread(_mode: i8) -> u8 {
    0
}
