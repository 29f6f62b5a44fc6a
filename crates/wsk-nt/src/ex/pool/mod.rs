//! Pool (DDI: ExAllocatePoolWithTag, ExAllocatePool2, ExFreePoolWithTag): tagged blocks, accounted for by caller.
#![allow(unsafe_code)] // Hands out and takes back raw memory.

use std::ffi::c_void;

use wsk_abi::NtStatus;

use crate::exports;
use crate::ke::irql::{self, APC_LEVEL, DISPATCH_LEVEL};

mod blocks;

pub use blocks::{AddressInfo, Freed, Kind, describe, describe_address, totals};
pub(crate) use blocks::{allocate, allocated_in, free, is_live};

/// POOL_FLAG_UNINITIALIZED.
const FLAG_UNINITIALIZED: u64 = 2;
/// POOL_FLAG_CACHE_ALIGNED.
const FLAG_CACHE_ALIGNED: u64 = 8;
/// POOL_FLAG_PAGED.
const FLAG_PAGED: u64 = 0x100;
/// POOL_FLAG_NON_PAGED, POOL_FLAG_NON_PAGED_EXECUTE.
const FLAG_NON_PAGED: u64 = 0x40 | 0x80;
/// POOL_FLAG_RESERVED1 to 3.
const FLAG_RESERVED: u64 = 0x10 | 0x200 | 0x400 | 0xFFFF_F000;
/// POOL_ZERO_ALLOCATION, with a POOL_TYPE.
const TYPE_ZERO: u32 = 0x400;

/// The tag as text: four characters, dots for what is not printable.
pub fn tag_name(tag: u32) -> String {
    tag.to_le_bytes().map(|byte| if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '.' }).iter().collect()
}

fn allocate_checked(function: &'static str, size: usize, tag: u32, paged: bool, zero: bool) -> *mut c_void {
    irql::at_most(if paged { APC_LEVEL } else { DISPATCH_LEVEL }, function);
    if tag & 0x7fff_ffff == 0 {
        crate::verify::violation("pool tag missing", format!("{function} without a tag"));
    }
    allocate(Kind::Pool, size, tag, zero, crate::caller::current()).cast()
}

/// ExAllocatePoolWithTag as a function that never raises.
pub(crate) unsafe extern "win64" fn allocate_by_type(pool_type: u32, size: usize, tag: u32) -> *mut c_void {
    allocate_checked("ExAllocatePoolWithTag", size, tag, pool_type & 1 != 0, pool_type & TYPE_ZERO != 0)
}

unsafe extern "win64" fn allocate_by_flags(flags: u64, size: usize, tag: u32) -> *mut c_void {
    let (paged, non_paged) = (flags & FLAG_PAGED != 0, flags & FLAG_NON_PAGED != 0);
    if paged == non_paged || flags & FLAG_RESERVED != 0 || tag == 0 || size == 0 {
        return std::ptr::null_mut();
    }
    let size = if flags & FLAG_CACHE_ALIGNED != 0 { size.next_multiple_of(64) } else { size };
    allocate_checked("ExAllocatePool2", size, tag, paged, flags & FLAG_UNINITIALIZED == 0)
}

/// An allocating export that raises STATUS_INSUFFICIENT_RESOURCES on failure if bits of the first argument say so.
macro_rules! raising_allocation {
    ($(#[$meta:meta])* $name:ident = $inner:path, raise if $mask:literal is $value:literal) => {
        $(#[$meta])*
        #[unsafe(naked)]
        pub(crate) unsafe extern "win64" fn $name() {
            std::arch::naked_asm!(
                "mov [rsp + 8], rcx",
                "sub rsp, 0x28",
                "call {inner}",
                "add rsp, 0x28",
                "test rax, rax",
                "jz 2f",
                "ret",
                "2:",
                "mov ecx, [rsp + 8]",
                concat!("and ecx, ", $mask),
                concat!("cmp ecx, ", $value),
                "je 3f",
                "ret",
                "3:",
                "mov ecx, {status}",
                "jmp {raise}",
                inner = sym $inner,
                status = const NtStatus::INSUFFICIENT_RESOURCES.0 as i32,
                raise = sym crate::ke::exception::ExRaiseStatus,
            )
        }
    };
}

raising_allocation! {
    /// ExAllocatePoolWithTag: POOL_RAISE_IF_ALLOCATION_FAILURE is 16.
    ExAllocatePoolWithTag = allocate_by_type, raise if 16 is 16
}
raising_allocation! {
    /// ExAllocatePoolWithQuotaTag: raises unless POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, 8.
    ExAllocatePoolWithQuotaTag = allocate_by_type, raise if 8 is 0
}
raising_allocation! {
    /// ExAllocatePool2, ExAllocatePool3: POOL_FLAG_RAISE_ON_FAILURE is 0x20.
    ExAllocatePool2 = allocate_by_flags, raise if 0x20 is 0x20
}

/// ExAllocatePool: the tag is `None`.
unsafe extern "win64" fn ExAllocatePool(pool_type: u32, size: usize) -> *mut c_void {
    // SAFETY: as declared.
    unsafe { allocate_by_type(pool_type, size, u32::from_le_bytes(*b"None")) }
}

/// ExFreePool.
pub(crate) unsafe extern "win64" fn ExFreePool(block: *mut c_void) {
    irql::at_most(DISPATCH_LEVEL, "ExFreePool");
    free(Kind::Pool, block.cast(), None, crate::caller::current());
}

/// ExFreePoolWithTag.
pub(crate) unsafe extern "win64" fn ExFreePoolWithTag(block: *mut c_void, tag: u32) {
    irql::at_most(DISPATCH_LEVEL, "ExFreePoolWithTag");
    free(Kind::Pool, block.cast(), (tag != 0).then_some(tag), crate::caller::current());
}

/// An allocation that a driver gets from a function of the executive (and frees with ExFreePool): tag and caller known.
pub(crate) fn for_driver(size: usize, tag: &[u8; 4]) -> *mut u8 {
    allocate(Kind::Pool, size, u32::from_le_bytes(*tag), true, crate::caller::current())
}

exports! {
    ExAllocatePool, ExAllocatePoolWithTag, ExAllocatePoolWithTagPriority = ExAllocatePoolWithTag, ExAllocatePoolWithQuotaTag,
    ExAllocatePoolWithQuota = ExAllocatePool, ExAllocatePool2, ExAllocatePool3 = ExAllocatePool2, ExFreePool,
    ExFreePoolWithTag, ExFreePool2 = ExFreePoolWithTag,
}
