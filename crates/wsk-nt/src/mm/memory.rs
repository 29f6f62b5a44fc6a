//! Questions about memory and the system: MmGetSystemRoutineAddress, probing, contiguous memory, verification.
#![allow(unsafe_code)] // Probes and hands out memory.

use std::ffi::c_void;
use std::ops::Range;

use parking_lot::Mutex;
use wsk_abi::NtStatus;
use wsk_abi::io::UNICODE_STRING;

use crate::ex::pool;
use crate::exports;
use crate::ke::exception::raising;
use crate::ke::irql::{self, APC_LEVEL};
use crate::mm::mdl::is_accessible;
use crate::{text, verify};

/// User addresses end here: as on Windows. All of our memory lies below, so probes of user buffers pass.
const USER_LIMIT: usize = 0x7fff_ffff_0000;

/// MmUserProbeAddress, MmHighestUserAddress, MmSystemRangeStart: variables.
static MmUserProbeAddress: usize = USER_LIMIT;
/// MmHighestUserAddress.
static MmHighestUserAddress: usize = USER_LIMIT - 1;
/// MmSystemRangeStart: nothing of ours lies above, and drivers that compare find their pointers below.
static MmSystemRangeStart: usize = 0xFFFF_8000_0000_0000;

unsafe extern "win64" fn probe_read(address: usize, length: usize, alignment: u32) -> i32 {
    irql::at_most(APC_LEVEL, "ProbeForRead");
    if length == 0 {
        return 0;
    }
    if alignment > 1 && address & (alignment as usize - 1) != 0 {
        return NtStatus::DATATYPE_MISALIGNMENT.0 as i32;
    }
    match address.checked_add(length) {
        Some(end) if end <= USER_LIMIT => 0,
        _ => NtStatus::ACCESS_VIOLATION.0 as i32,
    }
}

unsafe extern "win64" fn probe_write(address: usize, length: usize, alignment: u32) -> i32 {
    // SAFETY: only the numbers are looked at.
    let status = unsafe { probe_read(address, length, alignment) };
    if status == 0 && !is_accessible(address, length, true) { NtStatus::ACCESS_VIOLATION.0 as i32 } else { status }
}

raising! {
    /// ProbeForRead: raises STATUS_ACCESS_VIOLATION or STATUS_DATATYPE_MISALIGNMENT.
    ProbeForRead = probe_read
}
raising! {
    /// ProbeForWrite: also checks that the range can be written.
    ProbeForWrite = probe_write
}

static EXTRA: Mutex<Vec<(String, usize)>> = Mutex::new(Vec::new());

/// Adds names that MmGetSystemRoutineAddress finds beside our exports: those of the crates above and of loaded drivers.
pub fn add_routine(name: &str, address: usize) {
    EXTRA.lock().push((name.to_owned(), address));
}

/// MmGetSystemRoutineAddress: NULL for what is not here.
unsafe extern "win64" fn MmGetSystemRoutineAddress(name: *const UNICODE_STRING) -> *const c_void {
    irql::at_most(irql::PASSIVE_LEVEL, "MmGetSystemRoutineAddress");
    // SAFETY: the driver's string (DDI).
    let name = unsafe { text::wide(name) };
    if let Some(export) = crate::export::find(&name) {
        return export.address.cast();
    }
    let extra = EXTRA.lock();
    extra.iter().find(|(known, _)| *known == name).map_or(std::ptr::null(), |&(_, address)| address as *const c_void)
}

/// MmIsAddressValid.
extern "win64" fn MmIsAddressValid(address: usize) -> u8 {
    u8::from(is_accessible(address, 1, false))
}

static VERIFIED: Mutex<Vec<Range<usize>>> = Mutex::new(Vec::new());

/// Declares an image as verified, for MmIsDriverVerifying.
pub fn add_verified(image: Range<usize>) {
    VERIFIED.lock().push(image);
}

/// MmIsDriverVerifyingByAddress.
extern "win64" fn MmIsDriverVerifyingByAddress(address: usize) -> u32 {
    u32::from(verify::is_on() && VERIFIED.lock().iter().any(|image| image.contains(&address)))
}

/// MmIsDriverVerifying.
unsafe extern "win64" fn MmIsDriverVerifying(driver: *const crate::io::types::DRIVER_OBJECT) -> u32 {
    // SAFETY: the driver's object.
    MmIsDriverVerifyingByAddress(unsafe { (*driver).DriverStart as usize })
}

/// MmIsVerifierEnabled.
unsafe extern "win64" fn MmIsVerifierEnabled(flags: *mut u32) -> NtStatus {
    // SAFETY: the driver's variable (DDI).
    unsafe { flags.write(if verify::is_on() { 0x9bb } else { 0 }) };
    if verify::is_on() { NtStatus::SUCCESS } else { NtStatus::NOT_SUPPORTED }
}

/// MmAllocateContiguousMemory and its kin: pool, whose pages nobody can tell from contiguous ones.
extern "win64" fn MmAllocateContiguousMemory(size: usize, _highest: i64) -> *mut c_void {
    pool::for_driver(size.next_multiple_of(4096), b"MmCm").cast()
}

/// MmAllocateContiguousMemorySpecifyCache.
extern "win64" fn MmAllocateContiguousMemorySpecifyCache(
    size: usize,
    low: i64,
    _high: i64,
    _boundary: i64,
    _cache: i32,
) -> *mut c_void {
    MmAllocateContiguousMemory(size, low)
}

/// MmFreeContiguousMemory.
unsafe extern "win64" fn MmFreeContiguousMemory(memory: *mut c_void) {
    // SAFETY: from the functions above.
    unsafe { pool::ExFreePool(memory) };
}

/// MmFreeContiguousMemorySpecifyCache.
unsafe extern "win64" fn MmFreeContiguousMemorySpecifyCache(memory: *mut c_void, _size: usize, _cache: i32) {
    // SAFETY: from the functions above.
    unsafe { pool::ExFreePool(memory) };
}

/// MmGetPhysicalAddress: the address itself, there being one address space.
extern "win64" fn MmGetPhysicalAddress(address: i64) -> i64 {
    address
}

/// MmLockPagableDataSection, MmLockPagableImageSection: nothing is paged; the handle is the address.
extern "win64" fn MmLockPagableDataSection(address: *mut c_void) -> *mut c_void {
    address
}

/// MmUnlockPagableImageSection, MmResetDriverPaging.
extern "win64" fn MmUnlockPagableImageSection(_handle: *mut c_void) {}

/// MmQuerySystemSize: a large system.
extern "win64" fn MmQuerySystemSize() -> i32 {
    2
}

/// MmIsThisAnNtAsSystem: a workstation.
extern "win64" fn MmIsThisAnNtAsSystem() -> u8 {
    0
}

/// MmCopyMemory: from a virtual address that may be bad.
unsafe extern "win64" fn MmCopyMemory(
    target: *mut c_void,
    source: usize,
    length: usize,
    flags: u32,
    copied: *mut usize,
) -> NtStatus {
    let ok = flags & 2 != 0 && is_accessible(source, length, false);
    // SAFETY: the driver's buffer and variable; the source was checked.
    unsafe {
        copied.write(if ok { length } else { 0 });
        if ok {
            crate::rtl::memory::memmove(target, source as *const c_void, length);
        }
    }
    if ok { NtStatus::SUCCESS } else { NtStatus::ACCESS_VIOLATION }
}

exports! {
    data MmUserProbeAddress, data MmHighestUserAddress, data MmSystemRangeStart, ProbeForRead, ProbeForWrite,
    MmGetSystemRoutineAddress, MmIsAddressValid, MmIsDriverVerifyingByAddress, MmIsDriverVerifying, MmIsVerifierEnabled,
    MmAllocateContiguousMemory, MmAllocateContiguousMemorySpecifyCache, MmFreeContiguousMemory,
    MmFreeContiguousMemorySpecifyCache, MmGetPhysicalAddress, MmLockPagableDataSection,
    MmLockPagableImageSection = MmLockPagableDataSection, MmPageEntireDriver = MmLockPagableDataSection,
    MmUnlockPagableImageSection, MmResetDriverPaging = MmUnlockPagableImageSection, MmQuerySystemSize,
    MmIsThisAnNtAsSystem, MmCopyMemory,
}
