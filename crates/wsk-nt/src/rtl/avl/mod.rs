//! Generic tables (DDI: RTL_AVL_TABLE, RtlInsertElementGenericTableAvl): AVL trees in memory that the driver allocates. The
//! names without Avl, splay trees on Windows, are used through functions only with the same table type in headers that
//! define RTL_USE_AVL_TABLES.
#![allow(unsafe_code)] // Trees of driver memory; calls the driver's routines.

use std::cmp::Ordering;
use std::ffi::c_void;
use std::ptr::null_mut;

use crate::exports;

/// DDI: RTL_BALANCED_LINKS.
#[repr(C)]
#[derive(Debug)]
pub struct RTL_BALANCED_LINKS {
    /// Parent; the table's root node for the top.
    pub Parent: *mut RTL_BALANCED_LINKS,
    /// Smaller.
    pub LeftChild: *mut RTL_BALANCED_LINKS,
    /// Larger.
    pub RightChild: *mut RTL_BALANCED_LINKS,
    /// Height of the right less that of the left.
    pub Balance: i8,
    /// Unused.
    pub Reserved: [u8; 3],
}

type Links = *mut RTL_BALANCED_LINKS;

/// DDI: RTL_AVL_COMPARE_ROUTINE: 0 less, 1 greater, 2 equal.
pub type PRTL_AVL_COMPARE_ROUTINE =
    Option<unsafe extern "win64" fn(*mut RTL_AVL_TABLE, *mut c_void, *mut c_void) -> i32>;
/// DDI: RTL_AVL_ALLOCATE_ROUTINE.
pub type PRTL_AVL_ALLOCATE_ROUTINE = Option<unsafe extern "win64" fn(*mut RTL_AVL_TABLE, u32) -> *mut c_void>;
/// DDI: RTL_AVL_FREE_ROUTINE.
pub type PRTL_AVL_FREE_ROUTINE = Option<unsafe extern "win64" fn(*mut RTL_AVL_TABLE, *mut c_void)>;

/// DDI: RTL_AVL_TABLE.
#[repr(C)]
#[derive(Debug)]
pub struct RTL_AVL_TABLE {
    /// Its right child is the tree.
    pub BalancedRoot: RTL_BALANCED_LINKS,
    /// Where RtlGetElementGenericTableAvl is.
    pub OrderedPointer: *mut c_void,
    /// Its number, from 1.
    pub WhichOrderedElement: u32,
    /// Elements.
    pub NumberGenericTableElements: u32,
    /// Height.
    pub DepthOfTree: u32,
    /// Where the enumeration is.
    pub RestartKey: Links,
    /// Deletions so far.
    pub DeleteCount: u32,
    /// The driver's routine.
    pub CompareRoutine: PRTL_AVL_COMPARE_ROUTINE,
    /// The driver's routine.
    pub AllocateRoutine: PRTL_AVL_ALLOCATE_ROUTINE,
    /// The driver's routine.
    pub FreeRoutine: PRTL_AVL_FREE_ROUTINE,
    /// The driver's.
    pub TableContext: *mut c_void,
}

type Table = *mut RTL_AVL_TABLE;

/// User data lies behind the links.
fn data(node: Links) -> *mut c_void {
    node.wrapping_add(1).cast()
}

unsafe fn root(table: Table) -> Links {
    // SAFETY: the caller's table.
    unsafe { (*table).BalancedRoot.RightChild }
}

unsafe fn compare(table: Table, first: *mut c_void, second: *mut c_void) -> Ordering {
    // SAFETY: the driver's routine (DDI).
    match unsafe { (*table).CompareRoutine.map_or(2, |compare| compare(table, first, second)) } {
        0 => Ordering::Less,
        1 => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

/// The node equal to `key`, or the one to hang it on and the side.
unsafe fn search(table: Table, key: *mut c_void) -> Result<Links, (Links, Ordering)> {
    // SAFETY: the tree's nodes.
    unsafe {
        let mut parent = &raw mut (*table).BalancedRoot;
        let mut side = Ordering::Greater;
        let mut node = root(table);
        while !node.is_null() {
            match compare(table, key, data(node)) {
                Ordering::Equal => return Ok(node),
                other => {
                    parent = node;
                    side = other;
                    node = if other == Ordering::Less { (*node).LeftChild } else { (*node).RightChild };
                }
            }
        }
        Err((parent, side))
    }
}

unsafe fn height(node: Links) -> i32 {
    // SAFETY: the tree's nodes: the taller side by its balance.
    unsafe {
        let mut node = node;
        let mut height = 0;
        while !node.is_null() {
            height += 1;
            node = if (*node).Balance < 0 { (*node).LeftChild } else { (*node).RightChild };
        }
        height
    }
}

unsafe fn replace_child(parent: Links, old: Links, new: Links) {
    // SAFETY: the tree's nodes.
    unsafe {
        if (*parent).LeftChild == old {
            (*parent).LeftChild = new;
        } else {
            (*parent).RightChild = new;
        }
        if !new.is_null() {
            (*new).Parent = parent;
        }
    }
}

/// Turns the taller child of `node` up; `left` says that it is the right one that comes up. Balances follow from heights.
unsafe fn rotate(node: Links, left: bool) -> Links {
    // SAFETY: the tree's nodes.
    unsafe {
        let child = if left { (*node).RightChild } else { (*node).LeftChild };
        let inner = if left { (*child).LeftChild } else { (*child).RightChild };
        replace_child((*node).Parent, node, child);
        if left {
            (*child).LeftChild = node;
            (*node).RightChild = inner;
            (*node).Balance = (*node).Balance - 1 - (*child).Balance.max(0);
            (*child).Balance = (*child).Balance - 1 + (*node).Balance.min(0);
        } else {
            (*child).RightChild = node;
            (*node).LeftChild = inner;
            (*node).Balance = (*node).Balance + 1 - (*child).Balance.min(0);
            (*child).Balance = (*child).Balance + 1 + (*node).Balance.max(0);
        }
        (*node).Parent = child;
        if !inner.is_null() {
            (*inner).Parent = node;
        }
        child
    }
}

/// Restores the balance of a node of balance 2 or -2: the node that is up now.
unsafe fn rebalance(node: Links) -> Links {
    // SAFETY: the tree's nodes.
    unsafe {
        if (*node).Balance > 0 {
            if (*(*node).RightChild).Balance < 0 {
                rotate((*node).RightChild, false);
            }
            rotate(node, true)
        } else {
            if (*(*node).LeftChild).Balance > 0 {
                rotate((*node).LeftChild, true);
            }
            rotate(node, false)
        }
    }
}

unsafe fn insert_node(table: Table, node: Links, parent: Links, side: Ordering) {
    // SAFETY: the tree's nodes and a new one.
    unsafe {
        node.write(RTL_BALANCED_LINKS {
            Parent: parent,
            LeftChild: null_mut(),
            RightChild: null_mut(),
            Balance: 0,
            Reserved: [0; 3],
        });
        if side == Ordering::Less {
            (*parent).LeftChild = node;
        } else {
            (*parent).RightChild = node;
        }
        let head = &raw mut (*table).BalancedRoot;
        let (mut child, mut above) = (node, parent);
        while above != head {
            (*above).Balance += if (*above).LeftChild == child { -1 } else { 1 };
            match (*above).Balance {
                0 => break,
                -1 | 1 => {
                    child = above;
                    above = (*above).Parent;
                }
                _ => {
                    rebalance(above);
                    break;
                }
            }
        }
        (*table).NumberGenericTableElements += 1;
        changed(table);
    }
}

unsafe fn changed(table: Table) {
    // SAFETY: the caller's table.
    unsafe {
        (*table).DepthOfTree = height(root(table)) as u32;
        (*table).OrderedPointer = null_mut();
        (*table).WhichOrderedElement = 0;
    }
}

unsafe fn remove_node(table: Table, node: Links) {
    // SAFETY: the tree's nodes.
    unsafe {
        if (*table).RestartKey == node {
            (*table).RestartKey = predecessor(table, node);
        }
        if !(*node).LeftChild.is_null() && !(*node).RightChild.is_null() {
            swap_with_successor(node);
        }
        let child = if (*node).LeftChild.is_null() { (*node).RightChild } else { (*node).LeftChild };
        let head = &raw mut (*table).BalancedRoot;
        let mut above = (*node).Parent;
        let mut from_left = (*above).LeftChild == node;
        replace_child(above, node, child);
        while above != head {
            (*above).Balance += if from_left { 1 } else { -1 };
            let mut top = above;
            if (*above).Balance.abs() == 2 {
                top = rebalance(above);
            }
            if (*top).Balance != 0 {
                break;
            }
            above = (*top).Parent;
            from_left = (*above).LeftChild == top;
        }
        (*table).NumberGenericTableElements -= 1;
        (*table).DeleteCount += 1;
        changed(table);
    }
}

/// Exchanges the places of a node with two children and of its successor.
unsafe fn swap_with_successor(node: Links) {
    // SAFETY: the tree's nodes.
    unsafe {
        let mut next = (*node).RightChild;
        while !(*next).LeftChild.is_null() {
            next = (*next).LeftChild;
        }
        let (parent, right, next_parent, next_right) =
            ((*node).Parent, (*node).RightChild, (*next).Parent, (*next).RightChild);
        replace_child(parent, node, next);
        (*next).LeftChild = (*node).LeftChild;
        (*(*next).LeftChild).Parent = next;
        std::mem::swap(&mut (*next).Balance, &mut (*node).Balance);
        if next_parent == node {
            (*next).RightChild = node;
            (*node).Parent = next;
        } else {
            (*next).RightChild = right;
            (*right).Parent = next;
            (*next_parent).LeftChild = node;
            (*node).Parent = next_parent;
        }
        (*node).LeftChild = null_mut();
        (*node).RightChild = next_right;
        if !next_right.is_null() {
            (*next_right).Parent = node;
        }
    }
}

unsafe fn first(table: Table) -> Links {
    // SAFETY: the tree's nodes.
    unsafe {
        let mut node = root(table);
        while !node.is_null() && !(*node).LeftChild.is_null() {
            node = (*node).LeftChild;
        }
        node
    }
}

unsafe fn successor(table: Table, node: Links) -> Links {
    // SAFETY: the tree's nodes.
    unsafe {
        if !(*node).RightChild.is_null() {
            let mut next = (*node).RightChild;
            while !(*next).LeftChild.is_null() {
                next = (*next).LeftChild;
            }
            return next;
        }
        let mut node = node;
        while (*(*node).Parent).RightChild == node {
            node = (*node).Parent;
            if node == &raw mut (*table).BalancedRoot {
                return null_mut();
            }
        }
        (*node).Parent
    }
}

unsafe fn predecessor(table: Table, node: Links) -> Links {
    // SAFETY: the tree's nodes.
    unsafe {
        if !(*node).LeftChild.is_null() {
            let mut next = (*node).LeftChild;
            while !(*next).RightChild.is_null() {
                next = (*next).RightChild;
            }
            return next;
        }
        let mut node = node;
        while (*(*node).Parent).LeftChild == node {
            node = (*node).Parent;
        }
        let parent = (*node).Parent;
        if parent == &raw mut (*table).BalancedRoot { null_mut() } else { parent }
    }
}

/// RtlInitializeGenericTableAvl.
pub(crate) unsafe extern "win64" fn RtlInitializeGenericTableAvl(
    table: Table,
    compare: PRTL_AVL_COMPARE_ROUTINE,
    allocate: PRTL_AVL_ALLOCATE_ROUTINE,
    free: PRTL_AVL_FREE_ROUTINE,
    context: *mut c_void,
) {
    // SAFETY: the driver's memory (DDI).
    unsafe {
        std::ptr::write_bytes(table, 0, 1);
        (*table).BalancedRoot.Parent = &raw mut (*table).BalancedRoot;
        (*table).CompareRoutine = compare;
        (*table).AllocateRoutine = allocate;
        (*table).FreeRoutine = free;
        (*table).TableContext = context;
    }
}

/// Puts a new element where a search said.
unsafe fn insert_at(
    table: Table,
    buffer: *mut c_void,
    size: u32,
    new: *mut u8,
    place: Result<Links, (Links, Ordering)>,
) -> *mut c_void {
    // SAFETY: the driver's table, element and variable (DDI).
    unsafe {
        if !new.is_null() {
            new.write(0);
        }
        let (parent, side) = match place {
            Ok(node) => return data(node),
            Err(place) => place,
        };
        let Some(allocate) = (*table).AllocateRoutine else { return null_mut() };
        let node = allocate(table, size + size_of::<RTL_BALANCED_LINKS>() as u32).cast::<RTL_BALANCED_LINKS>();
        if node.is_null() {
            return null_mut();
        }
        std::ptr::copy_nonoverlapping(buffer.cast::<u8>(), data(node).cast(), size as usize);
        insert_node(table, node, parent, side);
        if !new.is_null() {
            new.write(1);
        }
        data(node)
    }
}

/// RtlInsertElementGenericTableAvl: the element in the table, new or there before.
pub(crate) unsafe extern "win64" fn RtlInsertElementGenericTableAvl(
    table: Table,
    buffer: *mut c_void,
    size: u32,
    new: *mut u8,
) -> *mut c_void {
    // SAFETY: the driver's table, element and variable (DDI).
    unsafe { insert_at(table, buffer, size, new, search(table, buffer)) }
}

/// TABLE_SEARCH_RESULT.
const EMPTY: i32 = 0;
const FOUND: i32 = 1;
const AS_LEFT: i32 = 2;
const AS_RIGHT: i32 = 3;

/// RtlLookupElementGenericTableFullAvl: also says where the element would go.
pub(crate) unsafe extern "win64" fn RtlLookupElementGenericTableFullAvl(
    table: Table,
    buffer: *mut c_void,
    node_or_parent: *mut Links,
    result: *mut i32,
) -> *mut c_void {
    // SAFETY: the driver's table, element and variables (DDI).
    unsafe {
        let (node, kind) = match search(table, buffer) {
            Ok(node) => (node, FOUND),
            Err(_) if root(table).is_null() => (null_mut(), EMPTY),
            Err((parent, Ordering::Less)) => (parent, AS_LEFT),
            Err((parent, _)) => (parent, AS_RIGHT),
        };
        node_or_parent.write(node);
        result.write(kind);
        if kind == FOUND { data(node) } else { null_mut() }
    }
}

/// RtlInsertElementGenericTableFullAvl: with the result of the lookup.
pub(crate) unsafe extern "win64" fn RtlInsertElementGenericTableFullAvl(
    table: Table,
    buffer: *mut c_void,
    size: u32,
    new: *mut u8,
    node_or_parent: Links,
    result: i32,
) -> *mut c_void {
    // SAFETY: the driver's table, element and variable; the place is one of a lookup (DDI).
    unsafe {
        let place = match result {
            FOUND => Ok(node_or_parent),
            AS_LEFT => Err((node_or_parent, Ordering::Less)),
            AS_RIGHT => Err((node_or_parent, Ordering::Greater)),
            _ => Err((&raw mut (*table).BalancedRoot, Ordering::Greater)),
        };
        insert_at(table, buffer, size, new, place)
    }
}

/// RtlDeleteElementGenericTableAvl: whether it was there.
pub(crate) unsafe extern "win64" fn RtlDeleteElementGenericTableAvl(table: Table, buffer: *mut c_void) -> u8 {
    // SAFETY: the driver's table and element (DDI).
    unsafe {
        let Ok(node) = search(table, buffer) else { return 0 };
        remove_node(table, node);
        if let Some(free) = (*table).FreeRoutine {
            free(table, node.cast());
        }
    }
    1
}

/// RtlLookupElementGenericTableAvl.
pub(crate) unsafe extern "win64" fn RtlLookupElementGenericTableAvl(table: Table, buffer: *mut c_void) -> *mut c_void {
    // SAFETY: the driver's table and element (DDI).
    unsafe { search(table, buffer).map_or(null_mut(), data) }
}

/// RtlLookupFirstMatchingElementGenericTableAvl: the first of those that compare equal.
unsafe extern "win64" fn RtlLookupFirstMatchingElementGenericTableAvl(
    table: Table,
    buffer: *mut c_void,
    restart: *mut Links,
) -> *mut c_void {
    // SAFETY: the driver's table, element and variable.
    unsafe {
        let Ok(mut node) = search(table, buffer) else { return null_mut() };
        loop {
            let before = predecessor(table, node);
            if before.is_null() || compare(table, buffer, data(before)) != Ordering::Equal {
                restart.write(node);
                return data(node);
            }
            node = before;
        }
    }
}

/// RtlEnumerateGenericTableWithoutSplayingAvl: after the node that the key holds; the first if it holds NULL.
pub(crate) unsafe extern "win64" fn RtlEnumerateGenericTableWithoutSplayingAvl(
    table: Table,
    restart: *mut Links,
) -> *mut c_void {
    // SAFETY: the driver's table and variable (DDI).
    unsafe {
        let node = if (*restart).is_null() { first(table) } else { successor(table, *restart) };
        if node.is_null() {
            return null_mut();
        }
        restart.write(node);
        data(node)
    }
}

/// RtlEnumerateGenericTableAvl.
pub(crate) unsafe extern "win64" fn RtlEnumerateGenericTableAvl(table: Table, restart: u8) -> *mut c_void {
    // SAFETY: the driver's table (DDI).
    unsafe {
        if restart != 0 {
            (*table).RestartKey = null_mut();
        }
        RtlEnumerateGenericTableWithoutSplayingAvl(table, &raw mut (*table).RestartKey)
    }
}

/// RtlGetElementGenericTableAvl: by number, from 0.
unsafe extern "win64" fn RtlGetElementGenericTableAvl(table: Table, index: u32) -> *mut c_void {
    // SAFETY: the driver's table (DDI).
    unsafe {
        let mut node = first(table);
        for _ in 0..index {
            if node.is_null() {
                break;
            }
            node = successor(table, node);
        }
        if node.is_null() { null_mut() } else { data(node) }
    }
}

/// RtlNumberGenericTableElementsAvl.
unsafe extern "win64" fn RtlNumberGenericTableElementsAvl(table: Table) -> u32 {
    // SAFETY: the driver's table (DDI).
    unsafe { (*table).NumberGenericTableElements }
}

/// RtlIsGenericTableEmptyAvl.
unsafe extern "win64" fn RtlIsGenericTableEmptyAvl(table: Table) -> u8 {
    // SAFETY: the driver's table (DDI).
    u8::from(unsafe { (*table).NumberGenericTableElements } == 0)
}

exports! {
    RtlInitializeGenericTableAvl, RtlInsertElementGenericTableFullAvl, RtlLookupElementGenericTableFullAvl, RtlInsertElementGenericTableAvl, RtlDeleteElementGenericTableAvl,
    RtlLookupElementGenericTableAvl, RtlLookupFirstMatchingElementGenericTableAvl, RtlEnumerateGenericTableAvl,
    RtlEnumerateGenericTableWithoutSplayingAvl, RtlGetElementGenericTableAvl, RtlNumberGenericTableElementsAvl,
    RtlIsGenericTableEmptyAvl,
}

#[cfg(test)]
mod tests;
