//! Lookaside lists of all three kinds (DDI: NPAGED_LOOKASIDE_LIST, PAGED_LOOKASIDE_LIST, LOOKASIDE_LIST_EX). Inlines of older
//! headers work on the same fields, so the routines in a list can always be called, whatever the driver passed.
#![allow(unsafe_code)] // Works on lists in driver memory, and calls their routines.

use std::ffi::c_void;

use wsk_abi::NtStatus;
use wsk_abi::io::LIST_ENTRY;

use super::slist::*;
use crate::ex::pool;
use crate::exports;

/// DDI: PALLOCATE_FUNCTION.
pub type PALLOCATE_FUNCTION = Option<unsafe extern "win64" fn(PoolType: u32, Size: usize, Tag: u32) -> *mut c_void>;
/// DDI: PFREE_FUNCTION.
pub type PFREE_FUNCTION = Option<unsafe extern "win64" fn(Buffer: *mut c_void)>;
/// DDI: PALLOCATE_FUNCTION_EX.
pub type PALLOCATE_FUNCTION_EX = Option<
    unsafe extern "win64" fn(PoolType: u32, Size: usize, Tag: u32, Lookaside: *mut LOOKASIDE_LIST_EX) -> *mut c_void,
>;
/// DDI: PFREE_FUNCTION_EX.
pub type PFREE_FUNCTION_EX = Option<unsafe extern "win64" fn(Buffer: *mut c_void, Lookaside: *mut LOOKASIDE_LIST_EX)>;

/// `GENERAL_LOOKASIDE_POOL::Allocate`.
#[repr(C)]
#[derive(Clone, Copy)]
pub union AllocateRoutine {
    /// Of LOOKASIDE_LIST_EX.
    pub AllocateEx: PALLOCATE_FUNCTION_EX,
    /// Of the others.
    pub Allocate: PALLOCATE_FUNCTION,
}

/// `GENERAL_LOOKASIDE_POOL::Free`.
#[repr(C)]
#[derive(Clone, Copy)]
pub union FreeRoutine {
    /// Of LOOKASIDE_LIST_EX.
    pub FreeEx: PFREE_FUNCTION_EX,
    /// Of the others.
    pub Free: PFREE_FUNCTION,
}

/// What all three are (GENERAL_LOOKASIDE_POOL; GENERAL_LOOKASIDE is the same, padded to 128 bytes).
#[repr(C)]
pub struct GENERAL_LOOKASIDE_POOL {
    /// Cached blocks.
    pub ListHead: SLIST_HEADER,
    /// Blocks that may be cached now.
    pub Depth: u16,
    /// At most.
    pub MaximumDepth: u16,
    /// Statistics.
    pub TotalAllocates: u32,
    /// Statistics.
    pub AllocateMisses: u32,
    /// Statistics.
    pub TotalFrees: u32,
    /// Statistics.
    pub FreeMisses: u32,
    /// Pool type.
    pub Type: u32,
    /// Tag of the blocks.
    pub Tag: u32,
    /// Size of the blocks.
    pub Size: u32,
    /// Makes a block.
    pub Allocate: AllocateRoutine,
    /// Gives one back.
    pub Free: FreeRoutine,
    /// Link of all lists (not used).
    pub ListEntry: LIST_ENTRY,
    /// Statistics.
    pub LastTotalAllocates: u32,
    /// Statistics.
    pub LastAllocateMisses: u32,
    /// Unused.
    pub Future: [u32; 2],
}

/// DDI: LOOKASIDE_LIST_EX.
#[repr(C)]
pub struct LOOKASIDE_LIST_EX {
    /// The list.
    pub L: GENERAL_LOOKASIDE_POOL,
}

/// GENERAL_LOOKASIDE.
#[repr(C, align(64))]
pub struct GENERAL_LOOKASIDE {
    /// The list.
    pub Pool: GENERAL_LOOKASIDE_POOL,
    _pad: [u8; 32],
}

/// DDI: NPAGED_LOOKASIDE_LIST, PAGED_LOOKASIDE_LIST.
#[repr(C)]
pub struct NPAGED_LOOKASIDE_LIST {
    /// The list.
    pub L: GENERAL_LOOKASIDE,
}

const DEPTH: u16 = 4;
const MAXIMUM_DEPTH: u16 = 256;

/// A routine that notes its return address as the caller: inlines call it without a stub of the loader's in between.
macro_rules! noting_caller {
    ($(#[$meta:meta])* $name:ident = $inner:path) => {
        $(#[$meta])*
        #[unsafe(naked)]
        unsafe extern "win64" fn $name() {
            std::arch::naked_asm!(
                "mov rax, qword ptr [rip + wsk_nt_caller@GOTTPOFF]",
                "mov r10, [rsp]",
                "mov fs:[rax], r10",
                "jmp {inner}",
                inner = sym $inner,
            )
        }
    };
}

noting_caller! {
    /// The default allocating routine.
    default_allocate = pool::allocate_by_type
}
noting_caller! {
    /// The default freeing routine.
    default_free = pool::ExFreePool
}

unsafe fn initialize(list: *mut GENERAL_LOOKASIDE_POOL, pool_type: u32, size: usize, tag: u32) {
    // SAFETY: the driver's memory (DDI). The defaults take as many arguments as they need of those passed.
    unsafe {
        std::ptr::write_bytes(list.cast::<u8>(), 0, size_of::<GENERAL_LOOKASIDE_POOL>());
        InitializeSListHead(&raw mut (*list).ListHead);
        (*list).Depth = DEPTH;
        (*list).MaximumDepth = MAXIMUM_DEPTH;
        (*list).Type = pool_type;
        (*list).Tag = tag;
        (*list).Size = size.max(size_of::<SLIST_ENTRY>()) as u32;
        (*list).Allocate.Allocate = Some(std::mem::transmute::<
            *const (),
            unsafe extern "win64" fn(u32, usize, u32) -> *mut c_void,
        >(default_allocate as *const ()));
        (*list).Free.Free =
            Some(std::mem::transmute::<*const (), unsafe extern "win64" fn(*mut c_void)>(default_free as *const ()));
        let link = &raw mut (*list).ListEntry;
        link.write(LIST_ENTRY { Flink: link, Blink: link });
    }
}

unsafe fn initialize_old(
    list: *mut NPAGED_LOOKASIDE_LIST,
    allocate: PALLOCATE_FUNCTION,
    free: PFREE_FUNCTION,
    pool_type: u32,
    size: usize,
    tag: u32,
) {
    // SAFETY: the driver's memory (DDI).
    unsafe {
        let list = &raw mut (*list).L.Pool;
        initialize(list, pool_type, size, tag);
        if allocate.is_some() {
            (*list).Allocate.Allocate = allocate;
        }
        if free.is_some() {
            (*list).Free.Free = free;
        }
    }
}

/// ExInitializeNPagedLookasideList.
pub(crate) unsafe extern "win64" fn ExInitializeNPagedLookasideList(
    list: *mut NPAGED_LOOKASIDE_LIST,
    allocate: PALLOCATE_FUNCTION,
    free: PFREE_FUNCTION,
    flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) {
    // SAFETY: the driver's memory (DDI).
    unsafe { initialize_old(list, allocate, free, flags & !1, size, tag) };
}

/// ExInitializePagedLookasideList.
pub(crate) unsafe extern "win64" fn ExInitializePagedLookasideList(
    list: *mut NPAGED_LOOKASIDE_LIST,
    allocate: PALLOCATE_FUNCTION,
    free: PFREE_FUNCTION,
    flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) {
    // SAFETY: the driver's memory (DDI).
    unsafe { initialize_old(list, allocate, free, flags | 1, size, tag) };
}

/// ExInitializeLookasideListEx.
pub(crate) unsafe extern "win64" fn ExInitializeLookasideListEx(
    list: *mut LOOKASIDE_LIST_EX,
    allocate: PALLOCATE_FUNCTION_EX,
    free: PFREE_FUNCTION_EX,
    pool_type: u32,
    flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) -> NtStatus {
    // EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL 1, _FAIL_NO_RAISE 2: not both.
    if flags & 3 == 3 || flags > 3 {
        return NtStatus::INVALID_PARAMETER;
    }
    // SAFETY: the driver's memory (DDI).
    unsafe {
        let list = &raw mut (*list).L;
        initialize(list, pool_type, size, tag);
        if allocate.is_some() {
            (*list).Allocate.AllocateEx = allocate;
        }
        if free.is_some() {
            (*list).Free.FreeEx = free;
        }
    }
    NtStatus::SUCCESS
}

/// ExAllocateFromLookasideListEx; ExAllocateFromNPagedLookasideList, whose routine takes one argument less.
pub(crate) unsafe extern "win64" fn ExAllocateFromLookasideListEx(list: *mut LOOKASIDE_LIST_EX) -> *mut c_void {
    // SAFETY: the driver's list (DDI). Counters may be raced for, as on Windows.
    unsafe {
        let l = &raw mut (*list).L;
        (*l).TotalAllocates = (*l).TotalAllocates.wrapping_add(1);
        let entry = ExpInterlockedPopEntrySList(&raw mut (*l).ListHead);
        if !entry.is_null() {
            return entry.cast();
        }
        (*l).AllocateMisses = (*l).AllocateMisses.wrapping_add(1);
        match (*l).Allocate.AllocateEx {
            Some(allocate) => allocate((*l).Type, (*l).Size as usize, (*l).Tag, list),
            None => std::ptr::null_mut(),
        }
    }
}

/// ExFreeToLookasideListEx.
pub(crate) unsafe extern "win64" fn ExFreeToLookasideListEx(list: *mut LOOKASIDE_LIST_EX, block: *mut c_void) {
    // SAFETY: the driver's list and block (DDI).
    unsafe {
        let l = &raw mut (*list).L;
        (*l).TotalFrees = (*l).TotalFrees.wrapping_add(1);
        // The verifier sees every free, so nothing is cached then.
        if crate::verify::is_on() || ExQueryDepthSList(&raw mut (*l).ListHead) >= (*l).Depth {
            (*l).FreeMisses = (*l).FreeMisses.wrapping_add(1);
            if let Some(free) = (*l).Free.FreeEx {
                free(block, list);
            }
        } else {
            ExpInterlockedPushEntrySList(&raw mut (*l).ListHead, block.cast());
        }
    }
}

/// ExFlushLookasideListEx; ExDeleteLookasideListEx and the deletions of the others.
pub(crate) unsafe extern "win64" fn ExFlushLookasideListEx(list: *mut LOOKASIDE_LIST_EX) {
    // SAFETY: the driver's list (DDI).
    unsafe {
        let l = &raw mut (*list).L;
        loop {
            let entry = ExpInterlockedPopEntrySList(&raw mut (*l).ListHead);
            if entry.is_null() {
                return;
            }
            if let Some(free) = (*l).Free.FreeEx {
                free(entry.cast(), list);
            }
        }
    }
}

exports! {
    ExInitializeNPagedLookasideList, ExInitializePagedLookasideList, ExInitializeLookasideListEx,
    ExDeleteNPagedLookasideList = ExFlushLookasideListEx, ExDeletePagedLookasideList = ExFlushLookasideListEx,
    ExDeleteLookasideListEx = ExFlushLookasideListEx, ExFlushLookasideListEx, ExAllocateFromLookasideListEx,
    ExFreeToLookasideListEx, ExAllocateFromNPagedLookasideList = ExAllocateFromLookasideListEx,
    ExFreeToNPagedLookasideList = ExFreeToLookasideListEx, ExAllocateFromPagedLookasideList = ExAllocateFromLookasideListEx,
    ExFreeToPagedLookasideList = ExFreeToLookasideListEx,
}
