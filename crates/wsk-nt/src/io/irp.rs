//! IRPs: allocating, freeing, reusing, stack locations (DDI: IoAllocateIrp; functions.md 2.1).
#![allow(unsafe_code)] // IRPs are driver memory.

use std::ffi::c_void;

use wsk_abi::NtStatus;
use wsk_abi::io::{HANDLE, LIST_ENTRY};
use wsk_abi::irp::*;

use crate::ex::pool::{self, Kind};
use crate::exports;
pub use crate::io::cancel::{cancel, set_cancel_routine};
pub use crate::io::complete::complete_request;
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::verify;

/// IO_TYPE_IRP.
pub(crate) const IO_TYPE_IRP: i16 = 6;

/// Bytes of an IRP with that many stack locations (IoSizeOfIrp).
pub const fn size_of_irp(stack_count: i8) -> usize {
    size_of::<IRP>() + stack_count as usize * size_of::<IO_STACK_LOCATION>()
}

/// The stack location with a number: 1 is the last, `StackCount` the first.
pub(crate) unsafe fn location(irp: *mut IRP, number: i8) -> *mut IO_STACK_LOCATION {
    irp.wrapping_add(1).cast::<IO_STACK_LOCATION>().wrapping_offset(isize::from(number) - 1)
}

/// The current stack location (IoGetCurrentIrpStackLocation).
///
/// # Safety
/// `irp` must be an IRP.
pub unsafe fn current_location(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    // SAFETY: the caller's promise.
    unsafe { (*irp).Tail.Overlay.CurrentStackLocation }
}

/// Enters the next stack location, as IoSetNextIrpStackLocation does: its completion routine, context and control bits stay
/// as the level above set them (F-41). Bug check NO_MORE_IRP_STACK_LOCATIONS if there is none.
///
/// # Safety
/// `irp` must be an IRP that the caller owns at the moment.
pub unsafe fn enter_next_location(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    // SAFETY: the caller's promise.
    unsafe {
        (*irp).CurrentLocation -= 1;
        if (*irp).CurrentLocation <= 0 {
            crate::bug_check::bug_check(
                0x35,
                [irp as u64, 0, 0, 0],
                "NO_MORE_IRP_STACK_LOCATIONS: an IRP is passed on that has no stack location left",
            );
        }
        let next = (*irp).Tail.Overlay.CurrentStackLocation.wrapping_sub(1);
        (*irp).Tail.Overlay.CurrentStackLocation = next;
        next
    }
}

/// Whether the IRP has a stack location left to enter.
///
/// # Safety
/// `irp` must be an IRP.
pub unsafe fn has_next_location(irp: *const IRP) -> bool {
    // SAFETY: the caller's promise.
    unsafe { (*irp).CurrentLocation > 1 }
}

/// Sets up an IRP in memory of `size` bytes (IoInitializeIrp).
///
/// # Safety
/// The memory must be the caller's.
pub unsafe fn initialize(irp: *mut IRP, size: u16, stack_count: i8) {
    // SAFETY: the caller's memory.
    unsafe {
        std::ptr::write_bytes(irp.cast::<u8>(), 0, size as usize);
        (*irp).Type = IO_TYPE_IRP;
        (*irp).Size = size;
        (*irp).StackCount = stack_count;
        (*irp).CurrentLocation = stack_count + 1;
        let list = &raw mut (*irp).ThreadListEntry;
        list.write(LIST_ENTRY { Flink: list, Blink: list });
        (*irp).Tail.Overlay.CurrentStackLocation = location(irp, stack_count + 1);
    }
}

/// Allocates an IRP (IoAllocateIrp); null without memory or with a bad stack count.
pub fn allocate(stack_count: i8) -> *mut IRP {
    if !(0..=126).contains(&stack_count) {
        return std::ptr::null_mut();
    }
    let size = size_of_irp(stack_count);
    let irp = pool::allocate(Kind::Irp, size, 0, true, crate::caller::current()).cast::<IRP>();
    if !irp.is_null() {
        // SAFETY: fresh memory of that size.
        unsafe { initialize(irp, size as u16, stack_count) };
    }
    irp
}

/// Frees an IRP of `allocate` (IoFreeIrp).
///
/// # Safety
/// Nobody may use it any more.
pub unsafe fn free(irp: *mut IRP) {
    if pool::is_live(Kind::Irp, irp.cast()) {
        // SAFETY: it lives.
        unsafe { check_unused(irp, "freed") };
    }
    crate::io::complete::disown(irp);
    pool::free(Kind::Irp, irp.cast(), None, crate::caller::current());
}

/// Reports an IRP that is given up or used again while a level below still has it.
unsafe fn check_unused(irp: *mut IRP, what: &str) {
    // SAFETY: the caller's IRP.
    unsafe {
        if (*irp).Type != IO_TYPE_IRP {
            verify::violation("no IRP", format!("{irp:p} is {what} as an IRP, and is none (type {})", (*irp).Type));
        } else if (*irp).CurrentLocation <= (*irp).StackCount && (*irp).CancelRoutine.is_some() {
            verify::violation(
                "IRP in use",
                format!("an IRP is {what} while it is pending below (a cancel routine is set)"),
            );
        }
    }
}

/// IoAllocateIrp.
pub(crate) extern "win64" fn IoAllocateIrp(stack_count: i8, _charge: u8) -> *mut IRP {
    irql::at_most(DISPATCH_LEVEL, "IoAllocateIrp");
    allocate(stack_count)
}

/// IoAllocateIrpEx.
extern "win64" fn IoAllocateIrpEx(_device: *mut c_void, stack_count: i8, charge: u8) -> *mut IRP {
    IoAllocateIrp(stack_count, charge)
}

/// IoFreeIrp.
pub(crate) unsafe extern "win64" fn IoFreeIrp(irp: *mut IRP) {
    irql::at_most(DISPATCH_LEVEL, "IoFreeIrp");
    // SAFETY: the driver gives it up (DDI).
    unsafe { free(irp) };
}

/// IoReuseIrp.
pub(crate) unsafe extern "win64" fn IoReuseIrp(irp: *mut IRP, status: NtStatus) {
    irql::at_most(DISPATCH_LEVEL, "IoReuseIrp");
    // SAFETY: the driver's IRP (DDI).
    unsafe {
        check_unused(irp, "reused");
        let (size, stack_count, allocation) = ((*irp).Size, (*irp).StackCount, (*irp).AllocationFlags);
        initialize(irp, size, stack_count);
        (*irp).AllocationFlags = allocation;
        (*irp).IoStatus.Status = status;
    }
}

/// IoInitializeIrp.
pub(crate) unsafe extern "win64" fn IoInitializeIrp(irp: *mut IRP, size: u16, stack_count: i8) {
    // SAFETY: the driver's memory (DDI).
    unsafe { initialize(irp, size, stack_count) };
}

/// IoInitializeIrpEx.
unsafe extern "win64" fn IoInitializeIrpEx(irp: *mut IRP, _device: *mut c_void, size: u16, stack_count: i8) {
    // SAFETY: the driver's memory (DDI).
    unsafe { initialize(irp, size, stack_count) };
}

/// IoCleanupIrp: nothing of ours hangs on an IRP in a driver's own memory.
unsafe extern "win64" fn IoCleanupIrp(irp: *mut IRP) {
    // SAFETY: the driver's IRP.
    unsafe { check_unused(irp, "cleaned up") };
}

/// IoSizeofIrpEx.
extern "win64" fn IoSizeofIrpEx(_device: *mut c_void, stack_count: i8) -> u16 {
    size_of_irp(stack_count) as u16
}

/// IoMakeAssociatedIrp.
unsafe extern "win64" fn IoMakeAssociatedIrp(master: *mut IRP, stack_count: i8) -> *mut IRP {
    let irp = allocate(stack_count);
    if !irp.is_null() {
        // SAFETY: fresh; the driver's master IRP.
        unsafe {
            (*irp).Flags |= IRP_ASSOCIATED_IRP;
            (*irp).AssociatedIrp.MasterIrp = master;
            (*irp).Tail.Overlay.Thread = (*master).Tail.Overlay.Thread;
        }
    }
    irp
}

/// IoGetTopLevelIrp, IoSetTopLevelIrp: for file systems; none.
extern "win64" fn IoGetTopLevelIrp() -> *mut IRP {
    std::ptr::null_mut()
}

/// IoGetRequestorProcess: the system process.
extern "win64" fn IoGetRequestorProcess(_irp: *mut IRP) -> *mut c_void {
    crate::ps::process::current().cast()
}

/// IoGetRequestorProcessId.
extern "win64" fn IoGetRequestorProcessId(_irp: *mut IRP) -> u32 {
    4
}

/// IoGetRequestorSessionId.
unsafe extern "win64" fn IoGetRequestorSessionId(_irp: *mut IRP, session: *mut u32) -> NtStatus {
    // SAFETY: the driver's variable.
    unsafe { session.write(0) };
    NtStatus::SUCCESS
}

/// IoGetStackLimits: of the thread that asks.
unsafe extern "win64" fn IoGetStackLimits(low: *mut usize, high: *mut usize) {
    // SAFETY: the attributes are ours; the driver's variables.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        let (mut base, mut size) = (std::ptr::null_mut(), 0);
        if libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes) == 0 {
            libc::pthread_attr_getstack(&raw const attributes, &raw mut base, &raw mut size);
            libc::pthread_attr_destroy(&raw mut attributes);
        }
        low.write(base as usize);
        high.write(base as usize + size);
    }
}

/// IoGetRemainingStackSize.
unsafe extern "win64" fn IoGetRemainingStackSize() -> usize {
    let (mut low, mut high) = (0, 0);
    // SAFETY: our variables.
    unsafe { IoGetStackLimits(&raw mut low, &raw mut high) };
    ((&raw const low) as usize).saturating_sub(low)
}

/// IoQueueThreadIrp: IRPs are not cancelled with a thread here.
extern "win64" fn IoQueueThreadIrp(_irp: *mut IRP) {}

/// IoIsSystemThread.
extern "win64" fn IoIsSystemThread(_thread: HANDLE) -> u8 {
    1
}

exports! {
    IoAllocateIrp, IoAllocateIrpEx, IoFreeIrp, IoReuseIrp, IoInitializeIrp, IoInitializeIrpEx, IoCleanupIrp, IoSizeofIrpEx,
    IoMakeAssociatedIrp, IoGetTopLevelIrp, IoGetRequestorProcess, IoGetRequestorProcessId, IoGetRequestorSessionId,
    IoGetStackLimits, IoGetRemainingStackSize, IoQueueThreadIrp, IoIsSystemThread,
}
