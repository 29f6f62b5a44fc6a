//! Interlocked singly linked lists (DDI: SLIST_HEADER). The real 16-byte header is kept; one of a fixed number of locks orders
//! the operations on it, so that an entry freed after a pop is never looked at by a slower one.
#![allow(unsafe_code)] // Works on lists in driver memory.

use parking_lot::{Mutex, MutexGuard};

use crate::exports;
use crate::verify;

/// DDI: SLIST_ENTRY.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct SLIST_ENTRY {
    /// Next.
    pub Next: *mut SLIST_ENTRY,
}

/// DDI: SLIST_HEADER. `Alignment` holds the depth (16 bits) and a sequence number (48), `Region` the first entry.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct SLIST_HEADER {
    /// Depth and sequence.
    pub Alignment: u64,
    /// First entry; its low four bits are reserved.
    pub Region: u64,
}

static LOCKS: [Mutex<()>; 64] = [const { Mutex::new(()) }; 64];

fn lock(header: *mut SLIST_HEADER) -> MutexGuard<'static, ()> {
    LOCKS[(header as usize >> 4 ^ header as usize >> 10) % LOCKS.len()].lock()
}

unsafe fn first(header: *mut SLIST_HEADER) -> *mut SLIST_ENTRY {
    // SAFETY: the caller's header.
    unsafe { ((*header).Region & !0xf) as *mut SLIST_ENTRY }
}

unsafe fn set(header: *mut SLIST_HEADER, first: *mut SLIST_ENTRY, depth: u16) {
    // SAFETY: the caller's header, locked.
    unsafe {
        let sequence = ((*header).Alignment >> 16).wrapping_add(1) << 16;
        (&raw mut (*header).Alignment).write_volatile(sequence | u64::from(depth));
        (*header).Region = first as u64 | (*header).Region & 0xf;
    }
}

/// InitializeSListHead.
pub(crate) unsafe extern "win64" fn InitializeSListHead(header: *mut SLIST_HEADER) {
    if !(header as usize).is_multiple_of(16) {
        verify::violation("misaligned", format!("InitializeSListHead at {header:p}: not aligned to 16 bytes"));
    }
    // SAFETY: the driver's memory (DDI).
    unsafe { header.cast::<[u64; 2]>().write_unaligned([0; 2]) };
}

/// ExpInterlockedPushEntrySList.
pub(crate) unsafe extern "win64" fn ExpInterlockedPushEntrySList(
    header: *mut SLIST_HEADER,
    entry: *mut SLIST_ENTRY,
) -> *mut SLIST_ENTRY {
    if !(entry as usize).is_multiple_of(16) {
        verify::violation("misaligned", format!("InterlockedPushEntrySList of {entry:p}: not aligned to 16 bytes"));
    }
    let _held = lock(header);
    // SAFETY: the driver's list and entry (DDI).
    unsafe {
        let old = first(header);
        (&raw mut (*entry).Next).write_unaligned(old);
        set(header, entry, ((*header).Alignment as u16).wrapping_add(1));
        old
    }
}

/// ExpInterlockedPopEntrySList.
pub(crate) unsafe extern "win64" fn ExpInterlockedPopEntrySList(header: *mut SLIST_HEADER) -> *mut SLIST_ENTRY {
    let _held = lock(header);
    // SAFETY: the driver's list (DDI).
    unsafe {
        let entry = first(header);
        if !entry.is_null() {
            set(header, (*entry).Next, ((*header).Alignment as u16).wrapping_sub(1));
        }
        entry
    }
}

/// ExpInterlockedFlushSList.
pub(crate) unsafe extern "win64" fn ExpInterlockedFlushSList(header: *mut SLIST_HEADER) -> *mut SLIST_ENTRY {
    let _held = lock(header);
    // SAFETY: the driver's list (DDI).
    unsafe {
        let entry = first(header);
        set(header, std::ptr::null_mut(), 0);
        entry
    }
}

/// InterlockedPushListSList: a chain from `list` to `end`.
unsafe extern "win64" fn InterlockedPushListSList(
    header: *mut SLIST_HEADER,
    list: *mut SLIST_ENTRY,
    end: *mut SLIST_ENTRY,
    count: u32,
) -> *mut SLIST_ENTRY {
    let _held = lock(header);
    // SAFETY: the driver's list and chain (DDI).
    unsafe {
        let old = first(header);
        (*end).Next = old;
        set(header, list, ((*header).Alignment as u16).wrapping_add(count as u16));
        old
    }
}

/// FirstEntrySList.
pub(crate) unsafe extern "win64" fn FirstEntrySList(header: *mut SLIST_HEADER) -> *mut SLIST_ENTRY {
    let _held = lock(header);
    // SAFETY: the driver's list (DDI).
    unsafe { first(header) }
}

/// ExQueryDepthSList.
pub(crate) unsafe extern "win64" fn ExQueryDepthSList(header: *mut SLIST_HEADER) -> u16 {
    // SAFETY: the driver's list (DDI).
    unsafe { (&raw const (*header).Alignment).read_volatile() as u16 }
}

exports! {
    InitializeSListHead, ExInitializeSListHead = InitializeSListHead, ExpInterlockedPushEntrySList,
    ExpInterlockedPopEntrySList, ExpInterlockedFlushSList, ExInterlockedPushEntrySList = ExpInterlockedPushEntrySList,
    ExInterlockedPopEntrySList = ExpInterlockedPopEntrySList, ExInterlockedFlushSList = ExpInterlockedFlushSList,
    InterlockedPushEntrySList = ExpInterlockedPushEntrySList, InterlockedPopEntrySList = ExpInterlockedPopEntrySList,
    InterlockedFlushSList = ExpInterlockedFlushSList, InterlockedPushListSList, InterlockedPushListSListEx = InterlockedPushListSList,
    FirstEntrySList, RtlFirstEntrySList = FirstEntrySList, ExQueryDepthSList, QueryDepthSList = ExQueryDepthSList,
    RtlQueryDepthSList = ExQueryDepthSList, RtlInitializeSListHead = InitializeSListHead,
    RtlInterlockedPushEntrySList = ExpInterlockedPushEntrySList, RtlInterlockedPopEntrySList = ExpInterlockedPopEntrySList,
    RtlInterlockedFlushSList = ExpInterlockedFlushSList,
}
