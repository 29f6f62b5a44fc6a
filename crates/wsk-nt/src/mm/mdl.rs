//! Memory descriptor lists (DDI: MDL). There is one address space: a mapping of a buffer is the buffer itself.
#![allow(unsafe_code)] // MDLs are driver memory.

use std::ffi::c_void;

use wsk_abi::NtStatus;
use wsk_abi::irp::IRP;
use wsk_abi::mdl::*;

use crate::ex::pool::{self, Kind};
use crate::exports;
use crate::ke::exception::raising;
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::verify;

/// Address of the buffer's first byte.
unsafe fn virtual_address(mdl: *const MDL) -> *mut c_void {
    // SAFETY: the caller's MDL.
    unsafe { (*mdl).StartVa.wrapping_byte_add((*mdl).ByteOffset as usize) }
}

unsafe fn pages(mdl: *mut MDL) -> *mut usize {
    mdl.wrapping_add(1).cast()
}

/// Writes page numbers: those of the virtual addresses, as there is one address space.
unsafe fn fill_pages(mdl: *mut MDL) {
    // SAFETY: the caller's MDL has room for the pages its buffer spans.
    unsafe {
        let first = (*mdl).StartVa as usize >> PAGE_SHIFT;
        let count = span_pages((*mdl).ByteOffset as usize, (*mdl).ByteCount as usize);
        let room = ((*mdl).Size as u16 as usize).saturating_sub(size_of::<MDL>()) / size_of::<usize>();
        for page in 0..count.min(room) {
            pages(mdl).add(page).write(first + page);
        }
    }
}

/// Sets the header of an MDL in memory of the right size (MmInitializeMdl).
pub(crate) unsafe fn initialize(mdl: *mut MDL, address: *mut c_void, length: usize) {
    let offset = address as usize % PAGE_SIZE;
    // SAFETY: the caller's memory.
    unsafe {
        mdl.write(MDL {
            Next: std::ptr::null_mut(),
            Size: mdl_size(span_pages(offset, length)) as u16 as i16,
            MdlFlags: 0,
            Process: std::ptr::null_mut(),
            MappedSystemVa: std::ptr::null_mut(),
            StartVa: address.wrapping_byte_sub(offset),
            ByteCount: length as u32,
            ByteOffset: offset as u32,
        });
    }
}

#[allow(clippy::not_unsafe_ptr_arg_deref)] // The address is only noted.
/// Allocates an MDL for a buffer, as IoAllocateMdl does without an IRP; null if the length is 2 GiB or more.
pub fn allocate(address: *mut c_void, length: usize) -> *mut MDL {
    if length >= 1 << 31 {
        return std::ptr::null_mut();
    }
    let size = mdl_size(span_pages(address as usize, length));
    let mdl = pool::allocate(Kind::Mdl, size, 0, true, crate::caller::current()).cast::<MDL>();
    if !mdl.is_null() {
        // SAFETY: fresh memory of that size.
        unsafe { initialize(mdl, address, length) };
    }
    mdl
}

/// Frees an MDL of `allocate` (IoFreeMdl).
///
/// # Safety
/// Nobody may use it any more.
pub unsafe fn free(mdl: *mut MDL) {
    if pool::is_live(Kind::Mdl, mdl.cast()) {
        // SAFETY: it lives.
        unsafe {
            if (*mdl).MdlFlags & MDL_PAGES_LOCKED != 0 && (*mdl).MdlFlags & MDL_PARTIAL == 0 {
                verify::violation("MDL freed locked", "IoFreeMdl of an MDL whose pages are locked");
            }
        }
    }
    pool::free(Kind::Mdl, mdl.cast(), None, crate::caller::current());
}

/// Makes an MDL of pool describe its pages (MmBuildMdlForNonPagedPool).
///
/// # Safety
/// `mdl` must be an MDL whose buffer exists.
pub unsafe fn build_for_nonpaged_pool(mdl: *mut MDL) {
    // SAFETY: the caller's promise.
    unsafe {
        (*mdl).Process = std::ptr::null_mut();
        (*mdl).MappedSystemVa = virtual_address(mdl);
        (*mdl).MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
        fill_pages(mdl);
    }
}

/// IoAllocateMdl.
pub(crate) unsafe extern "win64" fn IoAllocateMdl(
    address: *mut c_void,
    length: u32,
    secondary: u8,
    _charge: u8,
    irp: *mut IRP,
) -> *mut MDL {
    irql::at_most(DISPATCH_LEVEL, "IoAllocateMdl");
    let mdl = allocate(address, length as usize);
    if !mdl.is_null() && !irp.is_null() {
        // SAFETY: the driver's IRP and its chain (DDI).
        unsafe {
            if secondary == 0 {
                (*irp).MdlAddress = mdl;
            } else {
                let mut link = &raw mut (*irp).MdlAddress;
                while !(*link).is_null() {
                    link = &raw mut (**link).Next;
                }
                *link = mdl;
            }
        }
    }
    mdl
}

/// IoFreeMdl.
pub(crate) unsafe extern "win64" fn IoFreeMdl(mdl: *mut MDL) {
    irql::at_most(DISPATCH_LEVEL, "IoFreeMdl");
    // SAFETY: the driver gives it up (DDI).
    unsafe { free(mdl) };
}

/// MmBuildMdlForNonPagedPool.
pub(crate) unsafe extern "win64" fn MmBuildMdlForNonPagedPool(mdl: *mut MDL) {
    irql::at_most(DISPATCH_LEVEL, "MmBuildMdlForNonPagedPool");
    // SAFETY: the driver's MDL (DDI).
    unsafe { build_for_nonpaged_pool(mdl) };
}

/// Whether every page of the range can be read, and written if asked for.
pub(crate) fn is_accessible(address: usize, length: usize, write: bool) -> bool {
    if length == 0 {
        return true;
    }
    let Some(end) = address.checked_add(length) else { return false };
    // The pages' own byte is read, and written back by the kernel: a pipe says EFAULT instead of a signal.
    let mut page = address;
    while page < end {
        let mut byte = 0u8;
        let here = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let there = libc::iovec { iov_base: page as *mut c_void, iov_len: 1 };
        // SAFETY: the kernel checks the remote address; the local one is ours.
        let read = unsafe { libc::process_vm_readv(libc::getpid(), &raw const here, 1, &raw const there, 1, 0) };
        if read != 1 && is_fault() || write && !is_writable(page) {
            return false;
        }
        page = (page & !(PAGE_SIZE - 1)) + PAGE_SIZE;
    }
    true
}

/// Whether the page can be written: asked without changing it.
fn is_writable(page: usize) -> bool {
    // FUTEX_WAKE_OP with an addition of zero writes the word atomically, or says EFAULT.
    const FUTEX_WAKE_OP: i32 = 5 | 128;
    const ADD_ZERO: i32 = 1 << 28;
    let word = page & !3;
    let mut own = 0u32;
    // SAFETY: the kernel checks both addresses and adds zero to the word.
    let result = unsafe { libc::syscall(libc::SYS_futex, &raw mut own, FUTEX_WAKE_OP, 0, 0usize, word, ADD_ZERO) };
    result >= 0 || !is_fault()
}

/// Whether the last system call failed for a bad address; what a sandbox forbids says nothing about the address.
fn is_fault() -> bool {
    std::io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

/// MmProbeAndLockPages as a status.
unsafe extern "win64" fn probe_and_lock(mdl: *mut MDL, _mode: i8, operation: i32) -> i32 {
    irql::at_most(DISPATCH_LEVEL, "MmProbeAndLockPages");
    // SAFETY: the driver's MDL (DDI).
    unsafe {
        let write = operation != 0;
        if !is_accessible(virtual_address(mdl) as usize, (*mdl).ByteCount as usize, write) {
            return NtStatus::ACCESS_VIOLATION.0 as i32;
        }
        fill_pages(mdl);
        (*mdl).MdlFlags |= MDL_PAGES_LOCKED | if write { MDL_WRITE_OPERATION } else { 0 };
        (*mdl).Process = crate::ps::process::current().cast();
    }
    0
}

raising! {
    /// MmProbeAndLockPages: raises STATUS_ACCESS_VIOLATION.
    MmProbeAndLockPages = probe_and_lock
}

/// MmUnlockPages.
pub(crate) unsafe extern "win64" fn MmUnlockPages(mdl: *mut MDL) {
    irql::at_most(DISPATCH_LEVEL, "MmUnlockPages");
    // SAFETY: the driver's MDL (DDI).
    unsafe {
        if (*mdl).MdlFlags & MDL_PAGES_LOCKED == 0 {
            verify::violation("MDL not locked", "MmUnlockPages of an MDL whose pages are not locked");
        }
        let gone = MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA | MDL_WRITE_OPERATION;
        (*mdl).MdlFlags &= !gone;
        (*mdl).MappedSystemVa = std::ptr::null_mut();
        (*mdl).Process = std::ptr::null_mut();
    }
}

/// MmMapLockedPagesSpecifyCache.
pub(crate) unsafe extern "win64" fn MmMapLockedPagesSpecifyCache(
    mdl: *mut MDL,
    mode: i8,
    _cache: i32,
    _address: *mut c_void,
    _bug_check: u32,
    _priority: u32,
) -> *mut c_void {
    irql::at_most(DISPATCH_LEVEL, "MmMapLockedPagesSpecifyCache");
    // SAFETY: the driver's MDL (DDI).
    unsafe {
        let flags = (*mdl).MdlFlags;
        if flags & (MDL_PAGES_LOCKED | MDL_PARTIAL | MDL_SOURCE_IS_NONPAGED_POOL) == 0 {
            verify::violation("MDL not locked", "MmMapLockedPages of an MDL whose pages are not locked");
        }
        let address = virtual_address(mdl);
        if mode == 0 {
            (*mdl).MappedSystemVa = address;
            (*mdl).MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
            if flags & MDL_PARTIAL != 0 {
                (*mdl).MdlFlags |= MDL_PARTIAL_HAS_BEEN_MAPPED;
            }
        }
        address
    }
}

/// MmMapLockedPages.
unsafe extern "win64" fn MmMapLockedPages(mdl: *mut MDL, mode: i8) -> *mut c_void {
    // SAFETY: as declared.
    unsafe { MmMapLockedPagesSpecifyCache(mdl, mode, MmCached, std::ptr::null_mut(), 1, 0) }
}

/// MmUnmapLockedPages.
pub(crate) unsafe extern "win64" fn MmUnmapLockedPages(_address: *mut c_void, mdl: *mut MDL) {
    irql::at_most(DISPATCH_LEVEL, "MmUnmapLockedPages");
    // SAFETY: the driver's MDL (DDI).
    unsafe {
        (*mdl).MdlFlags &= !(MDL_MAPPED_TO_SYSTEM_VA | MDL_PARTIAL_HAS_BEEN_MAPPED);
        (*mdl).MappedSystemVa = std::ptr::null_mut();
    }
}

/// IoBuildPartialMdl: length 0 is the rest of the source from the address on.
pub(crate) unsafe extern "win64" fn IoBuildPartialMdl(
    source: *const MDL,
    target: *mut MDL,
    address: *mut c_void,
    length: u32,
) {
    irql::at_most(DISPATCH_LEVEL, "IoBuildPartialMdl");
    // SAFETY: the driver's MDLs (DDI).
    unsafe {
        let start = virtual_address(source);
        let skipped = (address as usize).wrapping_sub(start as usize);
        let whole = (*source).ByteCount as usize;
        let length = if length == 0 { whole.saturating_sub(skipped) } else { length as usize };
        if skipped > whole || length > whole - skipped {
            verify::violation("MDL range", format!("IoBuildPartialMdl of {length} bytes at {skipped} of {whole}"));
            return;
        }
        let needed = mdl_size(span_pages(address as usize, length));
        if needed > (*target).Size as u16 as usize {
            verify::violation("MDL range", "IoBuildPartialMdl into an MDL that is too small");
            return;
        }
        let offset = address as usize % PAGE_SIZE;
        (*target).StartVa = address.wrapping_byte_sub(offset);
        (*target).ByteOffset = offset as u32;
        (*target).ByteCount = length as u32;
        (*target).Process = (*source).Process;
        let kept = (*target).MdlFlags & (MDL_ALLOCATED_FIXED_SIZE | MDL_INTERNAL);
        let inherited = MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA | MDL_IO_SPACE;
        let passed = (*source).MdlFlags & inherited;
        let mut flags = kept | MDL_PARTIAL | (passed & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_IO_SPACE));
        (*target).MappedSystemVa = std::ptr::null_mut();
        if passed & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA) != 0 {
            (*target).MappedSystemVa = (*source).MappedSystemVa.wrapping_byte_add(skipped);
            if passed & MDL_MAPPED_TO_SYSTEM_VA != 0 {
                flags |= MDL_PARENT_MAPPED_SYSTEM_VA | MDL_MAPPED_TO_SYSTEM_VA;
            }
        }
        (*target).MdlFlags = flags;
        fill_pages(target);
    }
}

/// MmSizeOfMdl.
extern "win64" fn MmSizeOfMdl(base: *mut c_void, length: usize) -> usize {
    mdl_size(span_pages(base as usize, length))
}

/// MmAdvanceMdl.
unsafe extern "win64" fn MmAdvanceMdl(mdl: *mut MDL, bytes: u32) -> NtStatus {
    // SAFETY: the driver's MDL (DDI).
    unsafe {
        if bytes > (*mdl).ByteCount {
            return NtStatus::INVALID_PARAMETER_2;
        }
        let address = virtual_address(mdl).wrapping_byte_add(bytes as usize);
        let offset = address as usize % PAGE_SIZE;
        (*mdl).StartVa = address.wrapping_byte_sub(offset);
        (*mdl).ByteOffset = offset as u32;
        (*mdl).ByteCount -= bytes;
        if !(*mdl).MappedSystemVa.is_null() {
            (*mdl).MappedSystemVa = (*mdl).MappedSystemVa.wrapping_byte_add(bytes as usize);
        }
        fill_pages(mdl);
    }
    NtStatus::SUCCESS
}

/// MmProtectMdlSystemAddress: mappings are the buffers themselves, and keep their protection.
extern "win64" fn MmProtectMdlSystemAddress(_mdl: *mut MDL, _protection: u32) -> NtStatus {
    NtStatus::NOT_SUPPORTED
}

exports! {
    IoAllocateMdl, IoFreeMdl, MmBuildMdlForNonPagedPool, MmProbeAndLockPages, MmUnlockPages, MmMapLockedPagesSpecifyCache,
    MmMapLockedPages, MmUnmapLockedPages, IoBuildPartialMdl, MmSizeOfMdl, MmAdvanceMdl, MmProtectMdlSystemAddress,
}
