//! Dynamic hash tables (DDI: RTL_DYNAMIC_HASH_TABLE). Buckets are lists of the driver's entries in a directory of ours;
//! entries of a signature are neighbours in their bucket. The table doubles as it fills.
#![allow(unsafe_code)] // Links entries of the driver.

use std::ptr::null_mut;

use wsk_abi::io::LIST_ENTRY;

use crate::ex::pool::{self, Kind};
use crate::exports;

/// DDI: RTL_DYNAMIC_HASH_TABLE_ENTRY.
#[repr(C)]
#[derive(Debug)]
pub struct RTL_DYNAMIC_HASH_TABLE_ENTRY {
    /// Link in the bucket.
    pub Linkage: LIST_ENTRY,
    /// What it is found by.
    pub Signature: usize,
}

/// DDI: RTL_DYNAMIC_HASH_TABLE.
#[repr(C)]
#[derive(Debug)]
pub struct RTL_DYNAMIC_HASH_TABLE {
    /// 1: the table was allocated by us.
    pub Flags: u32,
    /// Bits dropped of a hash.
    pub Shift: u32,
    /// Buckets.
    pub TableSize: u32,
    /// Not used: tables grow by doubling.
    pub Pivot: u32,
    /// Buckets less one.
    pub DivisorMask: u32,
    /// Entries.
    pub NumEntries: u32,
    /// Buckets with entries.
    pub NonEmptyBuckets: u32,
    /// Enumerations under way, during which the table does not grow.
    pub NumEnumerators: u32,
    /// The buckets.
    pub Directory: *mut LIST_ENTRY,
}

/// DDI: RTL_DYNAMIC_HASH_TABLE_CONTEXT.
#[repr(C)]
#[derive(Debug)]
pub struct RTL_DYNAMIC_HASH_TABLE_CONTEXT {
    /// The bucket.
    pub ChainHead: *mut LIST_ENTRY,
    /// Before the entry.
    pub PrevLinkage: *mut LIST_ENTRY,
    /// What was looked for.
    pub Signature: usize,
}

/// DDI: RTL_DYNAMIC_HASH_TABLE_ENUMERATOR. `CurEntry` is the entry to come, in the place of an entry's forward link.
#[repr(C)]
#[derive(Debug)]
pub struct RTL_DYNAMIC_HASH_TABLE_ENUMERATOR {
    /// Holds `CurEntry`.
    pub HashEntry: RTL_DYNAMIC_HASH_TABLE_ENTRY,
    /// The bucket.
    pub ChainHead: *mut LIST_ENTRY,
    /// Its number.
    pub BucketIndex: u32,
}

type Table = *mut RTL_DYNAMIC_HASH_TABLE;
type Entry = *mut RTL_DYNAMIC_HASH_TABLE_ENTRY;
type Context = *mut RTL_DYNAMIC_HASH_TABLE_CONTEXT;
type Enumerator = *mut RTL_DYNAMIC_HASH_TABLE_ENUMERATOR;

const MINIMUM: u32 = 128;

fn new_directory(size: u32) -> *mut LIST_ENTRY {
    let memory = pool::allocate(Kind::Object, size as usize * size_of::<LIST_ENTRY>(), 0, true, 0).cast::<LIST_ENTRY>();
    if !memory.is_null() {
        for index in 0..size as usize {
            let head = memory.wrapping_add(index);
            // SAFETY: fresh, of that size.
            unsafe { head.write(LIST_ENTRY { Flink: head, Blink: head }) };
        }
    }
    memory
}

unsafe fn bucket(table: Table, signature: usize) -> *mut LIST_ENTRY {
    // SAFETY: the caller's table.
    unsafe {
        let hash = ((signature >> (*table).Shift) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        (*table).Directory.add(hash as usize & (*table).DivisorMask as usize)
    }
}

/// RtlCreateHashTable: fills the variable with a new table if it is NULL.
pub(crate) unsafe extern "win64" fn RtlCreateHashTable(table: *mut Table, shift: u32, flags: u32) -> u8 {
    // SAFETY: the driver's variable, and its table if it brings one (DDI).
    unsafe {
        if flags != 0 {
            return 0;
        }
        let directory = new_directory(MINIMUM);
        if directory.is_null() {
            return 0;
        }
        let mut own = 0;
        if (*table).is_null() {
            *table = pool::allocate(Kind::Object, size_of::<RTL_DYNAMIC_HASH_TABLE>(), 0, true, 0).cast();
            if (*table).is_null() {
                pool::free(Kind::Object, directory.cast(), None, 0);
                return 0;
            }
            own = 1;
        }
        (*table).write(RTL_DYNAMIC_HASH_TABLE {
            Flags: own,
            Shift: shift,
            TableSize: MINIMUM,
            Pivot: 0,
            DivisorMask: MINIMUM - 1,
            NumEntries: 0,
            NonEmptyBuckets: 0,
            NumEnumerators: 0,
            Directory: directory,
        });
    }
    1
}

/// RtlCreateHashTableEx: the initial size is a hint.
unsafe extern "win64" fn RtlCreateHashTableEx(table: *mut Table, _size: u32, shift: u32, flags: u32) -> u8 {
    // SAFETY: as declared.
    unsafe { RtlCreateHashTable(table, shift, flags) }
}

/// RtlDeleteHashTable.
pub(crate) unsafe extern "win64" fn RtlDeleteHashTable(table: Table) {
    // SAFETY: the driver's table (DDI).
    unsafe {
        let own = (*table).Flags & 1 != 0;
        pool::free(Kind::Object, (*table).Directory.cast(), None, crate::caller::current());
        if own {
            pool::free(Kind::Object, table.cast(), None, crate::caller::current());
        }
    }
}

/// Where an entry of the signature is, or is to go: what precedes it.
unsafe fn find(table: Table, signature: usize) -> RTL_DYNAMIC_HASH_TABLE_CONTEXT {
    // SAFETY: the table's lists.
    unsafe {
        let head = bucket(table, signature);
        let mut before = head;
        while (*before).Flink != head
            && (*(*before).Flink.cast::<RTL_DYNAMIC_HASH_TABLE_ENTRY>()).Signature != signature
        {
            before = (*before).Flink;
        }
        if (*before).Flink == head {
            before = head;
        }
        RTL_DYNAMIC_HASH_TABLE_CONTEXT { ChainHead: head, PrevLinkage: before, Signature: signature }
    }
}

unsafe fn link(before: *mut LIST_ENTRY, entry: *mut LIST_ENTRY) {
    // SAFETY: a list of the table.
    unsafe {
        let after = (*before).Flink;
        entry.write(LIST_ENTRY { Flink: after, Blink: before });
        (*before).Flink = entry;
        (*after).Blink = entry;
    }
}

unsafe fn unlink(entry: *mut LIST_ENTRY) {
    // SAFETY: a list of the table.
    unsafe {
        (*(*entry).Blink).Flink = (*entry).Flink;
        (*(*entry).Flink).Blink = (*entry).Blink;
    }
}

/// RtlInsertEntryHashTable.
pub(crate) unsafe extern "win64" fn RtlInsertEntryHashTable(
    table: Table,
    entry: Entry,
    signature: usize,
    context: Context,
) -> u8 {
    // SAFETY: the driver's table, entry and context (DDI).
    unsafe {
        (*entry).Signature = signature;
        let place = find(table, signature);
        let head = place.ChainHead;
        if (*head).Flink == head {
            (*table).NonEmptyBuckets += 1;
        }
        link(place.PrevLinkage, entry.cast());
        (*table).NumEntries += 1;
        if !context.is_null() {
            context.write(place);
        }
        if (*table).NumEntries > (*table).TableSize * 2 && (*table).NumEnumerators == 0 {
            grow(table);
        }
    }
    1
}

unsafe fn grow(table: Table) {
    // SAFETY: the driver's table; its entries move to the new directory, those of a signature together.
    unsafe {
        let Some(size) = (*table).TableSize.checked_mul(2) else { return };
        let directory = new_directory(size);
        if directory.is_null() {
            return;
        }
        let (old, old_size) = ((*table).Directory, (*table).TableSize);
        (*table).Directory = directory;
        (*table).TableSize = size;
        (*table).DivisorMask = size - 1;
        (*table).NonEmptyBuckets = 0;
        for index in 0..old_size as usize {
            let head = old.add(index);
            loop {
                let entry = (*head).Flink;
                if entry == head {
                    break;
                }
                unlink(entry);
                let target = bucket(table, (*entry.cast::<RTL_DYNAMIC_HASH_TABLE_ENTRY>()).Signature);
                if (*target).Flink == target {
                    (*table).NonEmptyBuckets += 1;
                }
                link((*target).Blink, entry);
            }
        }
        pool::free(Kind::Object, old.cast(), None, 0);
    }
}

/// RtlRemoveEntryHashTable.
pub(crate) unsafe extern "win64" fn RtlRemoveEntryHashTable(table: Table, entry: Entry, context: Context) -> u8 {
    // SAFETY: the driver's table, entry and context (DDI).
    unsafe {
        if !context.is_null() && (*context).ChainHead.is_null() {
            context.write(find(table, (*entry).Signature));
        }
        let only = (*entry).Linkage.Flink == (*entry).Linkage.Blink;
        unlink(entry.cast());
        (*table).NumEntries -= 1;
        (*table).NonEmptyBuckets -= u32::from(only);
    }
    1
}

/// RtlLookupEntryHashTable.
pub(crate) unsafe extern "win64" fn RtlLookupEntryHashTable(table: Table, signature: usize, context: Context) -> Entry {
    // SAFETY: the driver's table and context (DDI).
    unsafe {
        let place = find(table, signature);
        let entry = (*place.PrevLinkage).Flink.cast::<RTL_DYNAMIC_HASH_TABLE_ENTRY>();
        let found = entry.cast() != place.ChainHead && (*entry).Signature == signature;
        if !context.is_null() {
            context.write(place);
        }
        if found { entry } else { null_mut() }
    }
}

/// RtlGetNextEntryHashTable: the next of the signature that was looked up.
pub(crate) unsafe extern "win64" fn RtlGetNextEntryHashTable(_table: Table, context: Context) -> Entry {
    // SAFETY: the driver's context of a lookup (DDI).
    unsafe {
        let current = (*(*context).PrevLinkage).Flink;
        let next = (*current).Flink.cast::<RTL_DYNAMIC_HASH_TABLE_ENTRY>();
        if next.cast() == (*context).ChainHead || (*next).Signature != (*context).Signature {
            return null_mut();
        }
        (*context).PrevLinkage = current;
        next
    }
}

/// RtlInitEnumerationHashTable.
pub(crate) unsafe extern "win64" fn RtlInitEnumerationHashTable(table: Table, enumerator: Enumerator) -> u8 {
    // SAFETY: the driver's table and enumerator (DDI).
    unsafe {
        (*table).NumEnumerators += 1;
        let head = (*table).Directory;
        (*enumerator).ChainHead = head;
        (*enumerator).BucketIndex = 0;
        (*enumerator).HashEntry.Signature = 0;
        (*enumerator).HashEntry.Linkage.Flink = (*head).Flink;
    }
    1
}

/// RtlEnumerateEntryHashTable: an entry it returned may be removed before the next call.
pub(crate) unsafe extern "win64" fn RtlEnumerateEntryHashTable(table: Table, enumerator: Enumerator) -> Entry {
    // SAFETY: the driver's table and enumerator (DDI).
    unsafe {
        loop {
            let head = (*enumerator).ChainHead;
            let next = (*enumerator).HashEntry.Linkage.Flink;
            if next != head {
                (*enumerator).HashEntry.Linkage.Flink = (*next).Flink;
                return next.cast();
            }
            let index = (*enumerator).BucketIndex + 1;
            if index >= (*table).TableSize {
                return null_mut();
            }
            (*enumerator).BucketIndex = index;
            (*enumerator).ChainHead = (*table).Directory.add(index as usize);
            (*enumerator).HashEntry.Linkage.Flink = (*(*enumerator).ChainHead).Flink;
        }
    }
}

/// RtlEndEnumerationHashTable.
pub(crate) unsafe extern "win64" fn RtlEndEnumerationHashTable(table: Table, _enumerator: Enumerator) {
    // SAFETY: the driver's table (DDI).
    unsafe { (*table).NumEnumerators -= 1 };
}

/// RtlExpandHashTable: tables grow by themselves.
extern "win64" fn RtlExpandHashTable(_table: Table) -> u8 {
    0
}

exports! {
    RtlCreateHashTable, RtlCreateHashTableEx, RtlDeleteHashTable, RtlInsertEntryHashTable, RtlRemoveEntryHashTable,
    RtlLookupEntryHashTable, RtlGetNextEntryHashTable, RtlInitEnumerationHashTable, RtlEnumerateEntryHashTable,
    RtlEndEnumerationHashTable, RtlInitWeakEnumerationHashTable = RtlInitEnumerationHashTable,
    RtlWeaklyEnumerateEntryHashTable = RtlEnumerateEntryHashTable, RtlEndWeakEnumerationHashTable = RtlEndEnumerationHashTable,
    RtlExpandHashTable, RtlContractHashTable = RtlExpandHashTable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_all_of_a_signature_grows_and_enumerates() {
        // SAFETY: table and entries are ours; the entries outlive the table.
        unsafe {
            let mut table = null_mut();
            assert_eq!(RtlCreateHashTable(&raw mut table, 0, 0), 1);
            let mut entries: Vec<RTL_DYNAMIC_HASH_TABLE_ENTRY> = (0..3000)
                .map(|_| RTL_DYNAMIC_HASH_TABLE_ENTRY { Linkage: LIST_ENTRY::default(), Signature: 0 })
                .collect();
            let base = entries.as_mut_ptr();
            for index in 0..3000 {
                RtlInsertEntryHashTable(table, base.add(index), index / 3, null_mut());
            }
            assert!((*table).TableSize > MINIMUM);
            let mut context =
                RTL_DYNAMIC_HASH_TABLE_CONTEXT { ChainHead: null_mut(), PrevLinkage: null_mut(), Signature: 0 };
            for signature in 0..1000 {
                let mut count = 0;
                let mut entry = RtlLookupEntryHashTable(table, signature, &raw mut context);
                while !entry.is_null() {
                    assert_eq!((*entry).Signature, signature);
                    count += 1;
                    entry = RtlGetNextEntryHashTable(table, &raw mut context);
                }
                assert_eq!(count, 3);
            }
            assert!(RtlLookupEntryHashTable(table, 1000, &raw mut context).is_null());
            let mut enumerator: RTL_DYNAMIC_HASH_TABLE_ENUMERATOR = std::mem::zeroed();
            RtlInitEnumerationHashTable(table, &raw mut enumerator);
            let mut seen = 0;
            loop {
                let entry = RtlEnumerateEntryHashTable(table, &raw mut enumerator);
                if entry.is_null() {
                    break;
                }
                seen += 1;
                RtlRemoveEntryHashTable(table, entry, null_mut());
            }
            RtlEndEnumerationHashTable(table, &raw mut enumerator);
            assert_eq!((seen, (*table).NumEntries, (*table).NonEmptyBuckets), (3000, 0, 0));
            RtlDeleteHashTable(table);
        }
    }
}
