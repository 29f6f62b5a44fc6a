//! The tree against a sorted set of the standard library.
#![allow(unsafe_code)] // Calls exports.

use std::collections::BTreeSet;

use super::*;
use crate::ex::pool;

unsafe extern "win64" fn by_number(_table: Table, a: *mut c_void, b: *mut c_void) -> i32 {
    // SAFETY: the elements are numbers.
    let order = unsafe { a.cast::<u64>().read().cmp(&b.cast::<u64>().read()) };
    match order {
        Ordering::Less => 0,
        Ordering::Greater => 1,
        Ordering::Equal => 2,
    }
}

unsafe extern "win64" fn allocate(_table: Table, size: u32) -> *mut c_void {
    pool::for_driver(size as usize, b"Avl ").cast()
}

unsafe extern "win64" fn free(_table: Table, node: *mut c_void) {
    // SAFETY: from `allocate`.
    unsafe { pool::ExFreePool(node) };
}

/// Height, with the order, the links and the balances checked.
unsafe fn check(node: Links, parent: Links) -> i32 {
    if node.is_null() {
        return 0;
    }
    // SAFETY: the tree's nodes.
    unsafe {
        assert_eq!((*node).Parent, parent);
        let (left, right) = (check((*node).LeftChild, node), check((*node).RightChild, node));
        assert_eq!(i32::from((*node).Balance), right - left);
        assert!((*node).Balance.abs() <= 1);
        left.max(right) + 1
    }
}

#[test]
fn behaves_as_a_sorted_set_and_stays_balanced() {
    // SAFETY: the table and its elements are ours.
    unsafe {
        let mut table: RTL_AVL_TABLE = std::mem::zeroed();
        let table = &raw mut table;
        RtlInitializeGenericTableAvl(table, Some(by_number), Some(allocate), Some(free), null_mut());
        let mut expected = BTreeSet::new();
        let mut random = 12345u64;
        for _ in 0..4000 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let mut value = random >> 33 & 255;
            let element = (&raw mut value).cast();
            if random >> 60 & 1 == 0 {
                let mut new = 0;
                let place = if random >> 61 & 1 == 0 {
                    RtlInsertElementGenericTableAvl(table, element, 8, &raw mut new)
                } else {
                    let (mut node, mut result) = (null_mut(), 0);
                    RtlLookupElementGenericTableFullAvl(table, element, &raw mut node, &raw mut result);
                    RtlInsertElementGenericTableFullAvl(table, element, 8, &raw mut new, node, result)
                };
                assert_eq!(place.cast::<u64>().read(), value);
                assert_eq!(new != 0, expected.insert(value));
            } else {
                assert_eq!(RtlDeleteElementGenericTableAvl(table, element) != 0, expected.remove(&value));
            }
            let head = &raw mut (*table).BalancedRoot;
            assert_eq!(check(root(table), head), (*table).DepthOfTree as i32);
            assert_eq!((*table).NumberGenericTableElements as usize, expected.len());
            assert_eq!(!RtlLookupElementGenericTableAvl(table, element).is_null(), expected.contains(&value));
        }
        let mut found = Vec::new();
        let mut place = RtlEnumerateGenericTableAvl(table, 1);
        while !place.is_null() {
            found.push(place.cast::<u64>().read());
            place = RtlEnumerateGenericTableAvl(table, 0);
        }
        assert!(found.iter().eq(expected.iter()));
        for mut value in found {
            RtlDeleteElementGenericTableAvl(table, (&raw mut value).cast());
        }
    }
}
