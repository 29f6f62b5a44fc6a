//! Remove locks (DDI: IO_REMOVE_LOCK): uses are counted, removal waits for the last.
#![allow(unsafe_code)] // Works on structures in driver memory.

use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

use wsk_abi::NtStatus;
use wsk_abi::io::KEVENT;

use crate::exports;
use crate::ke::event::{self, KeInitializeEvent};
use crate::ke::irql::{self, DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::ke::wait;
use crate::verify;

/// DDI: IO_REMOVE_LOCK, its common block; the longer form of checked builds goes on with what is not looked at.
#[repr(C)]
#[derive(Debug)]
pub struct IO_REMOVE_LOCK {
    /// Removal has begun.
    pub Removed: u8,
    /// Unused.
    pub Reserved: [u8; 3],
    /// Uses, and one until removal.
    pub IoCount: i32,
    /// Signalled at the last release.
    pub RemoveEvent: KEVENT,
}

unsafe fn removed<'a>(lock: *mut IO_REMOVE_LOCK) -> &'a AtomicU8 {
    // SAFETY: the driver's lock; the reference does not outlive a call.
    unsafe { AtomicU8::from_ptr(&raw mut (*lock).Removed) }
}

unsafe fn count<'a>(lock: *mut IO_REMOVE_LOCK) -> &'a AtomicI32 {
    // SAFETY: as above.
    unsafe { AtomicI32::from_ptr(&raw mut (*lock).IoCount) }
}

/// IoInitializeRemoveLockEx.
pub(crate) unsafe extern "win64" fn IoInitializeRemoveLockEx(
    lock: *mut IO_REMOVE_LOCK,
    _tag: u32,
    _minutes: u32,
    _high: u32,
    _size: u32,
) {
    // SAFETY: the driver's memory (DDI).
    unsafe {
        std::ptr::write_bytes(lock, 0, 1);
        (*lock).IoCount = 1;
        KeInitializeEvent(&raw mut (*lock).RemoveEvent, 1, 0);
    }
}

/// IoAcquireRemoveLockEx.
pub(crate) unsafe extern "win64" fn IoAcquireRemoveLockEx(
    lock: *mut IO_REMOVE_LOCK,
    _tag: *mut c_void,
    _file: *const u8,
    _line: u32,
    _size: u32,
) -> NtStatus {
    irql::at_most(DISPATCH_LEVEL, "IoAcquireRemoveLock");
    // SAFETY: the driver's lock (DDI).
    unsafe {
        count(lock).fetch_add(1, Ordering::SeqCst);
        if removed(lock).load(Ordering::SeqCst) == 0 {
            return NtStatus::SUCCESS;
        }
        release(lock);
    }
    NtStatus::DELETE_PENDING
}

unsafe fn release(lock: *mut IO_REMOVE_LOCK) {
    // SAFETY: the driver's lock; not touched after the last release, but for the event that the remover waits for.
    unsafe {
        match count(lock).fetch_sub(1, Ordering::SeqCst) - 1 {
            0 => {
                event::set(&raw mut (*lock).RemoveEvent);
            }
            left if left < 0 => verify::violation("remove lock", "IoReleaseRemoveLock without IoAcquireRemoveLock"),
            _ => {}
        }
    }
}

/// IoReleaseRemoveLockEx.
pub(crate) unsafe extern "win64" fn IoReleaseRemoveLockEx(lock: *mut IO_REMOVE_LOCK, _tag: *mut c_void, _size: u32) {
    irql::at_most(DISPATCH_LEVEL, "IoReleaseRemoveLock");
    // SAFETY: the driver's lock (DDI).
    unsafe { release(lock) };
}

/// IoReleaseRemoveLockAndWaitEx: gives up the caller's use and the lock's own, and waits for the others.
pub(crate) unsafe extern "win64" fn IoReleaseRemoveLockAndWaitEx(
    lock: *mut IO_REMOVE_LOCK,
    _tag: *mut c_void,
    _size: u32,
) {
    irql::at_most(PASSIVE_LEVEL, "IoReleaseRemoveLockAndWait");
    // SAFETY: the driver's lock (DDI).
    unsafe {
        removed(lock).store(1, Ordering::SeqCst);
        release(lock);
        if count(lock).fetch_sub(1, Ordering::SeqCst) - 1 > 0 {
            wait::wait(&[(&raw mut (*lock).RemoveEvent).cast()], false, None, "IoReleaseRemoveLockAndWait");
        }
    }
}

exports! { IoInitializeRemoveLockEx, IoAcquireRemoveLockEx, IoReleaseRemoveLockEx, IoReleaseRemoveLockAndWaitEx }
