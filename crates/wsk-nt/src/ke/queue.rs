//! Queues that threads wait on (DDI: KQUEUE): entries in order, each to one waiter.
#![allow(unsafe_code)] // Works on structures in driver memory.

use wsk_abi::NtStatus;
use wsk_abi::io::{DISPATCHER_HEADER, LIST_ENTRY};

use crate::exports;
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::ke::wait::{self, initialize, kind};

/// DDI: KQUEUE. SignalState counts the entries.
#[repr(C)]
#[derive(Debug)]
pub struct KQUEUE {
    /// Signalled while there are entries.
    pub Header: DISPATCHER_HEADER,
    /// The entries.
    pub EntryListHead: LIST_ENTRY,
    /// Threads that work.
    pub CurrentCount: u32,
    /// Threads that may work at a time; not enforced.
    pub MaximumCount: u32,
    /// Threads of the queue (not used).
    pub ThreadListHead: LIST_ENTRY,
}

/// KeInitializeQueue.
pub(crate) unsafe extern "win64" fn KeInitializeQueue(queue: *mut KQUEUE, count: u32) {
    // SAFETY: the driver's memory (DDI).
    unsafe {
        std::ptr::write_bytes(queue, 0, 1);
        initialize(queue.cast(), kind::QUEUE, size_of::<KQUEUE>(), 0);
        for head in [&raw mut (*queue).EntryListHead, &raw mut (*queue).ThreadListHead] {
            head.write(LIST_ENTRY { Flink: head, Blink: head });
        }
        (*queue).MaximumCount = if count == 0 { crate::ke::processor::count() } else { count };
    }
}

unsafe fn insert(queue: *mut KQUEUE, entry: *mut LIST_ENTRY, at_head: bool) -> i32 {
    irql::at_most(DISPATCH_LEVEL, "KeInsertQueue");
    let mut held = wait::lock();
    // SAFETY: the driver's queue and entry (DDI), under the dispatcher lock.
    unsafe {
        let head = &raw mut (*queue).EntryListHead;
        let (before, after) = if at_head { (head, (*head).Flink) } else { ((*head).Blink, head) };
        entry.write(LIST_ENTRY { Flink: after, Blink: before });
        (*before).Flink = entry;
        (*after).Blink = entry;
        let old = (*queue).Header.SignalState;
        (*queue).Header.SignalState = old + 1;
        held.signalled(queue.cast());
        old
    }
}

/// KeInsertQueue: the entries before.
pub(crate) unsafe extern "win64" fn KeInsertQueue(queue: *mut KQUEUE, entry: *mut LIST_ENTRY) -> i32 {
    // SAFETY: as declared.
    unsafe { insert(queue, entry, false) }
}

/// KeInsertHeadQueue.
unsafe extern "win64" fn KeInsertHeadQueue(queue: *mut KQUEUE, entry: *mut LIST_ENTRY) -> i32 {
    // SAFETY: as declared.
    unsafe { insert(queue, entry, true) }
}

/// KeRemoveQueue: an entry, or STATUS_TIMEOUT as a pointer.
pub(crate) unsafe extern "win64" fn KeRemoveQueue(
    queue: *mut KQUEUE,
    _mode: i8,
    timeout: *const i64,
) -> *mut LIST_ENTRY {
    // SAFETY: the driver's queue and timeout (DDI).
    unsafe {
        let timeout = (!timeout.is_null()).then(|| timeout.read());
        loop {
            // A wait that succeeds has consumed one count; the entry is taken under the lock.
            let status = wait::wait(&[queue.cast()], false, timeout, "KeRemoveQueue");
            if status != NtStatus::SUCCESS {
                return status.0 as usize as *mut LIST_ENTRY;
            }
            let _held = wait::lock();
            let head = &raw mut (*queue).EntryListHead;
            let entry = (*head).Flink;
            if entry != head {
                (*head).Flink = (*entry).Flink;
                (*(*entry).Flink).Blink = head;
                (*entry).Flink = std::ptr::null_mut();
                return entry;
            }
        }
    }
}

/// KeRundownQueue: the entries that are left, as a list without a head, or NULL.
unsafe extern "win64" fn KeRundownQueue(queue: *mut KQUEUE) -> *mut LIST_ENTRY {
    let _held = wait::lock();
    // SAFETY: the driver's queue (DDI).
    unsafe {
        let head = &raw mut (*queue).EntryListHead;
        let first = (*head).Flink;
        if first == head {
            return std::ptr::null_mut();
        }
        let last = (*head).Blink;
        (*first).Blink = last;
        (*last).Flink = first;
        head.write(LIST_ENTRY { Flink: head, Blink: head });
        (*queue).Header.SignalState = 0;
        first
    }
}

exports! { KeInitializeQueue, KeInsertQueue, KeInsertHeadQueue, KeRemoveQueue, KeRundownQueue }
