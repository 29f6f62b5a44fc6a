//! Pool accounting and MDLs.
#![allow(unsafe_code)] // Calls exports.

use wsk_abi::mdl::*;

use super::violations_of;
use crate::ex::pool::{self, *};
use crate::mm::mdl::*;
use crate::verify;

const TAG: u32 = u32::from_le_bytes(*b"Test");

#[test]
fn pool_is_aligned_tagged_and_accounted_for() {
    crate::caller::note(0x7373_0001);
    // SAFETY: the blocks are ours.
    unsafe {
        for size in [0, 1, 16, 100, 4095, 4096, 10_000] {
            let block = allocate_by_type(512 | 0x400, size, TAG);
            assert_eq!(block as usize % if size >= 4096 { 4096 } else { 16 }, 0);
            assert!(std::slice::from_raw_parts(block.cast::<u8>(), size).iter().all(|&byte| byte == 0));
            let leaks = verify::outstanding_in(&(0x7373_0000..0x7373_0002));
            assert_eq!(leaks.len(), 1);
            assert_eq!((leaks[0].rule, leaks[0].caller), ("pool leak", 0x7373_0001));
            assert!(leaks[0].what.contains(&format!("tag 'Test', size {size}")), "{leaks:?}");
            assert!(
                pool::describe_address(block as usize + size / 2).is_some_and(|info| info.allocated_by == 0x7373_0001)
            );
            ExFreePoolWithTag(block, TAG);
        }
        assert_eq!(verify::outstanding_in(&(0x7373_0000..0x7373_0002)), []);
    }
}

#[test]
fn bad_frees_are_reported() {
    // SAFETY: the blocks are ours; the bad frees free nothing.
    unsafe {
        crate::caller::note(0x7373_1001);
        let block = allocate_by_type(512, 64, TAG);
        crate::caller::note(0x7373_1002);
        ExFreePoolWithTag(block, u32::from_le_bytes(*b"Tesx"));
        assert_eq!(violations_of("wrong tag", 0x7373_1002), 1);
        let outside = 0x1234usize as *mut _;
        ExFreePool(outside);
        assert_eq!(violations_of("bad free", 0x7373_1002), 1);
    }
}

#[test]
fn flags_of_the_new_form() {
    type Allocate2 = unsafe extern "win64" fn(u64, usize, u32) -> *mut u8;
    // SAFETY: the export, by its real signature; the block is ours.
    unsafe {
        let allocate_2: Allocate2 = std::mem::transmute(std::hint::black_box(ExAllocatePool2 as *const ()));
        let block = allocate_2(0x40, 40, TAG);
        assert_eq!(std::slice::from_raw_parts(block, 40), [0; 40]);
        ExFreePool(block.cast());
        assert!(allocate_2(0x40 | 0x100, 40, TAG).is_null());
        assert!(allocate_2(0, 40, TAG).is_null());
    }
}

#[test]
fn mdls_of_nonpaged_pool_are_mapped_by_being_there() {
    let mut buffer = vec![7u8; 10_000];
    // SAFETY: the MDLs and the buffer are ours.
    unsafe {
        let address = buffer.as_mut_ptr().add(123).cast();
        let mdl = IoAllocateMdl(address, 9000, 0, 0, std::ptr::null_mut());
        assert_eq!((*mdl).StartVa as usize, address as usize & !4095);
        assert_eq!(((*mdl).ByteCount, (*mdl).ByteOffset as usize, (*mdl).MdlFlags), (9000, address as usize % 4096, 0));
        assert_eq!((*mdl).Size as usize, mdl_size(span_pages(address as usize, 9000)));
        MmBuildMdlForNonPagedPool(mdl);
        assert_eq!(((*mdl).MappedSystemVa, (*mdl).MdlFlags), (address, MDL_SOURCE_IS_NONPAGED_POOL));
        let part = IoAllocateMdl(address, 9000, 0, 0, std::ptr::null_mut());
        IoBuildPartialMdl(mdl, part, address.wrapping_byte_add(5000), 0);
        assert_eq!(((*part).ByteCount, (*part).MappedSystemVa), (4000, address.wrapping_byte_add(5000)));
        assert_ne!((*part).MdlFlags & MDL_PARTIAL, 0);
        IoFreeMdl(part);
        IoFreeMdl(mdl);
    }
}

#[test]
fn mdls_are_chained_to_irps_locked_and_mapped() {
    type Lock = unsafe extern "win64" fn(*mut MDL, i8, i32);
    let mut buffer = vec![0u8; 5000];
    // SAFETY: all of it is ours; the export by its real signature.
    unsafe {
        let lock: Lock = std::mem::transmute(std::hint::black_box(MmProbeAndLockPages as *const ()));
        let irp = crate::io::irp::IoAllocateIrp(1, 0);
        let first = IoAllocateMdl(buffer.as_mut_ptr().cast(), 5000, 0, 0, irp);
        let second = IoAllocateMdl(buffer.as_mut_ptr().cast(), 10, 1, 0, irp);
        assert_eq!(((*irp).MdlAddress, (*first).Next), (first, second));
        lock(first, 0, 1);
        assert_eq!((*first).MdlFlags, MDL_PAGES_LOCKED | MDL_WRITE_OPERATION);
        let mapped = MmMapLockedPagesSpecifyCache(first, 0, MmCached, std::ptr::null_mut(), 0, 16);
        assert_eq!(mapped, buffer.as_mut_ptr().cast());
        assert_ne!((*first).MdlFlags & MDL_MAPPED_TO_SYSTEM_VA, 0);
        MmUnmapLockedPages(mapped, first);
        assert_eq!((*first).MdlFlags & MDL_MAPPED_TO_SYSTEM_VA, 0);
        MmUnlockPages(first);
        assert_eq!((*first).MdlFlags, 0);
        IoFreeMdl(second);
        IoFreeMdl(first);
        crate::io::irp::IoFreeIrp(irp);
    }
    assert!(!is_accessible(0x10, 4, false));
    assert!(!is_accessible(c"text".as_ptr() as usize, 4, true));
    assert!(is_accessible(buffer.as_ptr() as usize, 5000, true));
}
