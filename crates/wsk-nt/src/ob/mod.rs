//! Ob: objects with types and reference counts, handles, names.
#![allow(unsafe_code)] // Objects are raw memory that drivers hold by address.

use std::sync::atomic::{AtomicIsize, AtomicU32, Ordering};

use crate::ex::pool::{self, Kind};
use crate::exports;
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::verify;

pub mod handle;
pub mod namespace;

/// A type of object. Drivers hold it by address only.
#[derive(Debug)]
pub struct ObjectType {
    /// Its name.
    pub name: &'static str,
    /// Called when the last reference is gone, before the memory goes.
    delete: fn(*mut u8),
    /// Called when the last handle is closed.
    close: fn(*mut u8),
}

impl ObjectType {
    /// A type without anything to do at the end.
    pub(crate) const fn plain(name: &'static str) -> ObjectType {
        ObjectType { name, delete: |_| {}, close: |_| {} }
    }

    pub(crate) const fn new(name: &'static str, delete: fn(*mut u8), close: fn(*mut u8)) -> ObjectType {
        ObjectType { name, delete, close }
    }
}

const LIVE: u32 = 0x4A42_4F4C;
const DEAD: u32 = 0x4A42_4F44;

/// Before the body of each object.
#[repr(C, align(16))]
struct Header {
    kind: &'static ObjectType,
    references: AtomicIsize,
    handles: AtomicIsize,
    state: AtomicU32,
    caller: usize,
}

/// Makes an object with a zeroed body and one reference; null without memory.
pub(crate) fn create(kind: &'static ObjectType, size: usize) -> *mut u8 {
    let caller = crate::caller::current();
    let memory = pool::allocate(Kind::Object, size_of::<Header>() + size, 0, true, caller);
    if memory.is_null() {
        return memory;
    }
    let header = Header {
        kind,
        references: AtomicIsize::new(1),
        handles: AtomicIsize::new(0),
        state: AtomicU32::new(LIVE),
        caller,
    };
    // SAFETY: fresh memory of that size, aligned to 16.
    unsafe { memory.cast::<Header>().write(header) };
    memory.wrapping_add(size_of::<Header>())
}

/// The object's header, if it is an object that lives.
unsafe fn header<'a>(object: *const u8, function: &str) -> Option<&'a Header> {
    // SAFETY: the caller says it is an object, whose header precedes it.
    let header = unsafe { &*object.wrapping_sub(size_of::<Header>()).cast::<Header>() };
    if header.state.load(Ordering::Relaxed) == LIVE {
        return Some(header);
    }
    verify::violation("no object", format!("{function} of {object:p}, which is no object or is gone"));
    None
}

/// The type of an object.
///
/// # Safety
/// `object` must be the address of an object.
pub(crate) unsafe fn kind_of(object: *const u8) -> Option<&'static ObjectType> {
    // SAFETY: the caller's promise.
    unsafe { header(object, "look") }.map(|header| header.kind)
}

/// Adds a reference; the new count.
///
/// # Safety
/// `object` must be the address of an object that lives.
pub unsafe fn reference(object: *mut u8) -> isize {
    // SAFETY: the caller's promise.
    unsafe { header(object, "ObReferenceObject") }
        .map_or(0, |header| header.references.fetch_add(1, Ordering::Relaxed) + 1)
}

/// Drops a reference, and the object with the last; the new count.
///
/// # Safety
/// The caller owns the reference.
pub unsafe fn dereference(object: *mut u8) -> isize {
    // SAFETY: the caller's promise.
    let Some(header) = (unsafe { header(object, "ObDereferenceObject") }) else { return 0 };
    let left = header.references.fetch_sub(1, Ordering::AcqRel) - 1;
    if left == 0 {
        (header.kind.delete)(object);
        header.state.store(DEAD, Ordering::Relaxed);
        let memory = object.wrapping_sub(size_of::<Header>());
        pool::free(Kind::Object, memory, None, crate::caller::current());
    }
    left
}

pub(crate) unsafe fn handle_opened(object: *mut u8) {
    // SAFETY: the caller holds a reference.
    if let Some(header) = unsafe { header(object, "a handle") } {
        header.handles.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) unsafe fn handle_closed(object: *mut u8) {
    // SAFETY: the caller holds a reference.
    if let Some(header) = unsafe { header(object, "a handle") }
        && header.handles.fetch_sub(1, Ordering::AcqRel) == 1
    {
        (header.kind.close)(object);
    }
}

/// ObfReferenceObject.
unsafe extern "win64" fn ObfReferenceObject(object: *mut u8) -> isize {
    irql::at_most(DISPATCH_LEVEL, "ObReferenceObject");
    // SAFETY: the driver's object (DDI).
    unsafe { reference(object) }
}

/// ObfDereferenceObject.
unsafe extern "win64" fn ObfDereferenceObject(object: *mut u8) -> isize {
    irql::at_most(DISPATCH_LEVEL, "ObDereferenceObject");
    // SAFETY: the driver's reference (DDI).
    unsafe { dereference(object) }
}

/// ObReferenceObjectByPointer.
unsafe extern "win64" fn ObReferenceObjectByPointer(
    object: *mut u8,
    _access: u32,
    kind: *const ObjectType,
    _mode: i8,
) -> wsk_abi::NtStatus {
    // SAFETY: the driver's object (DDI).
    unsafe {
        if !kind.is_null() && kind_of(object).is_none_or(|real| !std::ptr::eq(real, kind)) {
            return wsk_abi::NtStatus::OBJECT_TYPE_MISMATCH;
        }
        reference(object);
    }
    wsk_abi::NtStatus::SUCCESS
}

/// ObGetObjectType.
unsafe extern "win64" fn ObGetObjectType(object: *mut u8) -> *const ObjectType {
    // SAFETY: the driver's object.
    unsafe { kind_of(object) }.map_or(std::ptr::null(), std::ptr::from_ref)
}

/// A variable that holds the address of a type: what PsThreadType and its kin are.
#[repr(transparent)]
#[derive(Debug)]
pub struct TypeVariable(&'static ObjectType);

impl TypeVariable {
    pub(crate) const fn new(kind: &'static ObjectType) -> TypeVariable {
        TypeVariable(kind)
    }
}

exports! {
    ObfReferenceObject, ObfReferenceObjectWithTag = ObfReferenceObject, ObfDereferenceObject,
    ObfDereferenceObjectWithTag = ObfDereferenceObject, ObDereferenceObjectDeferDelete = ObfDereferenceObject,
    ObDereferenceObjectDeferDeleteWithTag = ObfDereferenceObject, ObReferenceObjectByPointer,
    ObReferenceObjectByPointerWithTag = ObReferenceObjectByPointer, ObGetObjectType,
    ObReferenceObject = ObfReferenceObject, ObDereferenceObject = ObfDereferenceObject,
}
