//! Constants of memory descriptor lists and pages (wdm.h).

#![allow(missing_docs)] // A plain table: the names are the documentation, the values are checked by tests/constants.rs.
#![allow(non_upper_case_globals)] // C enumerators and macros keep their names.

// Pages of x86-64.
pub const PAGE_SIZE: usize = 0x1000;
pub const PAGE_SHIFT: u32 = 0x0000_000C;

// Cache attribute.
pub const MDL_CACHE: u32 = 0x0000_01F4;

// `MDL::MdlFlags`.
pub const MDL_MAPPED_TO_SYSTEM_VA: i16 = 1;
pub const MDL_PAGES_LOCKED: i16 = 2;
pub const MDL_SOURCE_IS_NONPAGED_POOL: i16 = 4;
pub const MDL_ALLOCATED_FIXED_SIZE: i16 = 8;
pub const MDL_PARTIAL: i16 = 0x0010;
pub const MDL_PARTIAL_HAS_BEEN_MAPPED: i16 = 0x0020;
pub const MDL_IO_PAGE_READ: i16 = 0x0040;
pub const MDL_WRITE_OPERATION: i16 = 0x0080;
pub const MDL_LOCKED_PAGE_TABLES: i16 = 0x0100;
pub const MDL_PARENT_MAPPED_SYSTEM_VA: i16 = 0x0100;
pub const MDL_FREE_EXTRA_PTES: i16 = 0x0200;
pub const MDL_DESCRIBES_AWE: i16 = 0x0400;
pub const MDL_IO_SPACE: i16 = 0x0800;
pub const MDL_NETWORK_HEADER: i16 = 0x1000;
pub const MDL_MAPPING_CAN_FAIL: i16 = 0x2000;
pub const MDL_PAGE_CONTENTS_INVARIANT: i16 = 0x4000;
pub const MDL_ALLOCATED_MUST_SUCCEED: i16 = 0x4000;
pub const MDL_INTERNAL: i16 = 0x8000u16 as i16;

// Bits that go with the page priority of MmGetSystemAddressForMdlSafe and MmMapLockedPagesSpecifyCache.
pub const MdlMappingNoWrite: u32 = 0x8000_0000;
pub const MdlMappingNoExecute: u32 = 0x4000_0000;
pub const MdlMappingWithGuardPtes: u32 = 0x2000_0000;

// MEMORY_CACHING_TYPE.
pub const MmNonCached: i32 = 0;
pub const MmCached: i32 = 1;
pub const MmWriteCombined: i32 = 2;
pub const MmHardwareCoherentCached: i32 = 3;
pub const MmNonCachedUnordered: i32 = 4;
pub const MmUSWCCached: i32 = 5;
pub const MmMaximumCacheType: i32 = 6;
pub const MmNotMapped: i32 = 0xFFFF_FFFF_u32 as i32;

// MM_PAGE_PRIORITY.
pub const LowPagePriority: i32 = 0;
pub const NormalPagePriority: i32 = 0x0000_0010;
pub const HighPagePriority: i32 = 0x0000_0020;
