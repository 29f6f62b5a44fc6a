//! Interlocked operations on lists and numbers under a driver's spin lock (DDI: ExInterlockedInsertTailList and others).
#![allow(unsafe_code)] // Works on lists in driver memory.

use wsk_abi::io::{KSPIN_LOCK, LIST_ENTRY, SINGLE_LIST_ENTRY};

use crate::exports;
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::ke::spin_lock;

/// Runs `body` with the driver's spin lock held.
unsafe fn locked<T>(lock: *mut KSPIN_LOCK, body: impl FnOnce() -> T) -> T {
    let old = irql::set(irql::current().max(DISPATCH_LEVEL));
    // SAFETY: the driver's lock (DDI).
    unsafe { spin_lock::acquire(lock) };
    let result = body();
    // SAFETY: as above.
    unsafe { spin_lock::release(lock) };
    irql::set(old);
    result
}

unsafe fn insert(before: *mut LIST_ENTRY, entry: *mut LIST_ENTRY, after: *mut LIST_ENTRY) {
    // SAFETY: neighbours of a list of the driver.
    unsafe {
        entry.write(LIST_ENTRY { Flink: after, Blink: before });
        (*before).Flink = entry;
        (*after).Blink = entry;
    }
}

/// ExInterlockedInsertHeadList.
pub(crate) unsafe extern "win64" fn ExInterlockedInsertHeadList(
    head: *mut LIST_ENTRY,
    entry: *mut LIST_ENTRY,
    lock: *mut KSPIN_LOCK,
) -> *mut LIST_ENTRY {
    // SAFETY: the driver's list, entry and lock (DDI).
    unsafe {
        locked(lock, || {
            let first = (*head).Flink;
            insert(head, entry, first);
            if first == head { std::ptr::null_mut() } else { first }
        })
    }
}

/// ExInterlockedInsertTailList.
pub(crate) unsafe extern "win64" fn ExInterlockedInsertTailList(
    head: *mut LIST_ENTRY,
    entry: *mut LIST_ENTRY,
    lock: *mut KSPIN_LOCK,
) -> *mut LIST_ENTRY {
    // SAFETY: the driver's list, entry and lock (DDI).
    unsafe {
        locked(lock, || {
            let last = (*head).Blink;
            insert(last, entry, head);
            if last == head { std::ptr::null_mut() } else { last }
        })
    }
}

/// ExInterlockedRemoveHeadList.
pub(crate) unsafe extern "win64" fn ExInterlockedRemoveHeadList(
    head: *mut LIST_ENTRY,
    lock: *mut KSPIN_LOCK,
) -> *mut LIST_ENTRY {
    // SAFETY: the driver's list and lock (DDI).
    unsafe {
        locked(lock, || {
            let first = (*head).Flink;
            if first == head {
                return std::ptr::null_mut();
            }
            let next = (*first).Flink;
            (*head).Flink = next;
            (*next).Blink = head;
            first
        })
    }
}

/// ExInterlockedPushEntryList.
unsafe extern "win64" fn ExInterlockedPushEntryList(
    head: *mut SINGLE_LIST_ENTRY,
    entry: *mut SINGLE_LIST_ENTRY,
    lock: *mut KSPIN_LOCK,
) -> *mut SINGLE_LIST_ENTRY {
    // SAFETY: the driver's list, entry and lock (DDI).
    unsafe {
        locked(lock, || {
            let old = (*head).Next;
            (*entry).Next = old;
            (*head).Next = entry;
            old
        })
    }
}

/// ExInterlockedPopEntryList.
unsafe extern "win64" fn ExInterlockedPopEntryList(
    head: *mut SINGLE_LIST_ENTRY,
    lock: *mut KSPIN_LOCK,
) -> *mut SINGLE_LIST_ENTRY {
    // SAFETY: the driver's list and lock (DDI).
    unsafe {
        locked(lock, || {
            let old = (*head).Next;
            if !old.is_null() {
                (*head).Next = (*old).Next;
            }
            old
        })
    }
}

/// ExInterlockedAddUlong: the value before.
unsafe extern "win64" fn ExInterlockedAddUlong(addend: *mut u32, increment: u32, lock: *mut KSPIN_LOCK) -> u32 {
    // SAFETY: the driver's number and lock (DDI).
    unsafe { locked(lock, || std::mem::replace(&mut *addend, (*addend).wrapping_add(increment))) }
}

/// ExInterlockedAddLargeInteger: the value before.
unsafe extern "win64" fn ExInterlockedAddLargeInteger(addend: *mut i64, increment: i64, lock: *mut KSPIN_LOCK) -> i64 {
    // SAFETY: the driver's number and lock (DDI).
    unsafe { locked(lock, || std::mem::replace(&mut *addend, (*addend).wrapping_add(increment))) }
}

exports! {
    ExInterlockedInsertHeadList, ExInterlockedInsertTailList, ExInterlockedRemoveHeadList, ExInterlockedPushEntryList,
    ExInterlockedPopEntryList, ExInterlockedAddUlong, ExInterlockedAddLargeInteger,
}
