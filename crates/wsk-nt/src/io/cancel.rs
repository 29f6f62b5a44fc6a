//! Cancelling IRPs: the cancel spin lock, cancel routines (DDI: IoCancelIrp; functions.md 2.4).
#![allow(unsafe_code)] // IRPs are driver memory; calls their cancel routines.

use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use wsk_abi::irp::{IRP, PDRIVER_CANCEL};

use crate::exports;
use crate::io::irp::current_location;
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::ke::spin_lock::Backoff;
use crate::verify;

/// The one cancel spin lock.
static CANCEL_LOCK: AtomicBool = AtomicBool::new(false);

/// IoAcquireCancelSpinLock for the crates above: the level to release it to.
pub fn acquire() -> u8 {
    let old = irql::set(DISPATCH_LEVEL);
    let mut backoff = Backoff::default();
    while CANCEL_LOCK.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
        backoff.pause();
    }
    old
}

/// IoReleaseCancelSpinLock for the crates above.
pub fn release(irql: u8) {
    if !CANCEL_LOCK.swap(false, Ordering::Release) {
        verify::violation("spin lock not held", "IoReleaseCancelSpinLock of a lock that nobody holds");
    }
    irql::set(irql);
}

/// Sets the cancel routine, and returns the one before (IoSetCancelRoutine): whoever gets a routine back owns the right to
/// cancel or complete.
///
/// # Safety
/// `irp` must be an IRP that the caller may complete.
pub unsafe fn set_cancel_routine(irp: *mut IRP, routine: PDRIVER_CANCEL) -> PDRIVER_CANCEL {
    const { assert!(size_of::<PDRIVER_CANCEL>() == size_of::<*mut ()>()) };
    // SAFETY: the field is a pointer, null for None; drivers exchange it atomically too.
    unsafe {
        let slot = AtomicPtr::from_ptr((&raw mut (*irp).CancelRoutine).cast::<*mut ()>());
        let new = std::mem::transmute::<PDRIVER_CANCEL, *mut ()>(routine);
        std::mem::transmute::<*mut (), PDRIVER_CANCEL>(slot.swap(new, Ordering::AcqRel))
    }
}

/// Whether the IRP is to be cancelled.
///
/// # Safety
/// `irp` must be an IRP.
pub unsafe fn is_cancelled(irp: *const IRP) -> bool {
    // SAFETY: the caller's promise; another thread may set it now.
    unsafe { (&raw const (*irp).Cancel).read_volatile() != 0 }
}

/// Cancels an IRP (IoCancelIrp): whether a cancel routine was called.
///
/// # Safety
/// `irp` must be an IRP that is not freed meanwhile.
pub unsafe fn cancel(irp: *mut IRP) -> bool {
    let old = acquire();
    // SAFETY: the caller's promise. The routine releases the cancel lock.
    unsafe {
        (&raw mut (*irp).Cancel).write_volatile(1);
        std::sync::atomic::fence(Ordering::SeqCst);
        let Some(routine) = set_cancel_routine(irp, None) else {
            release(old);
            return false;
        };
        if (*irp).CurrentLocation > (*irp).StackCount + 1 {
            crate::bug_check::bug_check(
                0x48,
                [irp as u64, 0, 0, 0],
                "CANCEL_STATE_IN_COMPLETED_IRP: an IRP is cancelled that is completed",
            );
        }
        (*irp).CancelIrql = old;
        let location = current_location(irp);
        let device =
            if (*irp).CurrentLocation <= (*irp).StackCount { (*location).DeviceObject } else { std::ptr::null_mut() };
        routine(device, irp);
    }
    if irql::current() != old {
        let what =
            format!("a cancel routine returned at {}, called at {}", irql::name(irql::current()), irql::name(old));
        verify::violation("wrong IRQL", what);
        irql::set(old);
    }
    true
}

/// IoCancelIrp.
pub(crate) unsafe extern "win64" fn IoCancelIrp(irp: *mut IRP) -> u8 {
    irql::at_most(DISPATCH_LEVEL, "IoCancelIrp");
    // SAFETY: the driver's IRP (DDI).
    u8::from(unsafe { cancel(irp) })
}

/// IoAcquireCancelSpinLock.
pub(crate) unsafe extern "win64" fn IoAcquireCancelSpinLock(irql: *mut u8) {
    irql::at_most(DISPATCH_LEVEL, "IoAcquireCancelSpinLock");
    // SAFETY: the driver's variable (DDI).
    unsafe { irql.write(acquire()) };
}

/// IoReleaseCancelSpinLock, also for the crates above: the first thing a cancel routine does, with the IRP's `CancelIrql`.
pub extern "win64" fn IoReleaseCancelSpinLock(irql: u8) {
    release(irql);
}

/// IoSetCancelRoutine as a function.
unsafe extern "win64" fn IoSetCancelRoutine(irp: *mut IRP, routine: PDRIVER_CANCEL) -> PDRIVER_CANCEL {
    // SAFETY: the driver's IRP (DDI).
    unsafe { set_cancel_routine(irp, routine) }
}

exports! { IoCancelIrp, IoAcquireCancelSpinLock, IoReleaseCancelSpinLock, IoSetCancelRoutine }
