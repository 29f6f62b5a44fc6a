//! Handles: the kernel's one table (DDI: ObReferenceObjectByHandle, ZwClose).
#![allow(unsafe_code)] // Entries are objects by address.

use std::collections::BTreeMap;
use std::ops::Range;

use parking_lot::Mutex;
use wsk_abi::NtStatus;
use wsk_abi::io::HANDLE;

use super::ObjectType;
use crate::exports;
use crate::ke::irql::{self, PASSIVE_LEVEL};
use crate::ps::{process, thread};
use crate::verify;

/// Kernel handles have their high bits set.
const FIRST: usize = 0xFFFF_FFFF_8000_0004;

#[derive(Clone, Copy)]
struct Entry {
    object: usize,
    access: u32,
    caller: usize,
}

struct Table {
    entries: BTreeMap<usize, Entry>,
    next: usize,
}

static TABLE: Mutex<Table> = Mutex::new(Table { entries: BTreeMap::new(), next: FIRST });

/// Makes a handle; it takes a reference of its own.
///
/// # Safety
/// `object` must be the address of an object that lives.
pub(crate) unsafe fn open(object: *mut u8, access: u32) -> HANDLE {
    // SAFETY: the caller's promise.
    unsafe {
        super::reference(object);
        super::handle_opened(object);
    }
    let mut table = TABLE.lock();
    let handle = table.next;
    table.next += 4;
    table.entries.insert(handle, Entry { object: object as usize, access, caller: crate::caller::current() });
    handle as HANDLE
}

/// The object of a handle, with a reference.
pub(crate) fn look_up(handle: HANDLE, kind: Option<&ObjectType>) -> Result<*mut u8, NtStatus> {
    look_up_with_access(handle, kind).map(|(object, _)| object)
}

fn look_up_with_access(handle: HANDLE, kind: Option<&ObjectType>) -> Result<(*mut u8, u32), NtStatus> {
    let (object, access) = match handle as isize {
        -1 => (process::current().cast(), 0x1f_ffff),
        -2 => (thread::current().cast(), 0x1f_ffff),
        _ => {
            let table = TABLE.lock();
            let entry = table.entries.get(&(handle as usize)).ok_or(NtStatus::INVALID_HANDLE)?;
            let object = entry.object as *mut u8;
            // SAFETY: the handle's own reference keeps it while the table is locked.
            unsafe { super::reference(object) };
            let access = entry.access;
            drop(table);
            return check(object, kind).map(|()| (object, access));
        }
    };
    // SAFETY: the current process and thread live.
    unsafe { super::reference(object) };
    check(object, kind).map(|()| (object, access))
}

fn check(object: *mut u8, kind: Option<&ObjectType>) -> Result<(), NtStatus> {
    // SAFETY: the caller has just referenced it.
    unsafe {
        match (super::kind_of(object), kind) {
            (_, None) => Ok(()),
            (Some(real), Some(kind)) if std::ptr::eq(real, kind) => Ok(()),
            _ => {
                super::dereference(object);
                Err(NtStatus::OBJECT_TYPE_MISMATCH)
            }
        }
    }
}

/// Closes a handle.
pub(crate) fn close(handle: HANDLE) -> NtStatus {
    let Some(entry) = TABLE.lock().entries.remove(&(handle as usize)) else {
        verify::violation("bad handle", format!("ZwClose of {handle:p}, which is no handle or is closed"));
        return NtStatus::INVALID_HANDLE;
    };
    let object = entry.object as *mut u8;
    // SAFETY: the handle's own reference.
    unsafe {
        super::handle_closed(object);
        super::dereference(object);
    }
    NtStatus::SUCCESS
}

/// Handles opened by code in the range.
pub(crate) fn opened_in(range: &Range<usize>) -> Vec<(String, usize)> {
    let table = TABLE.lock();
    let ours = table.entries.iter().filter(|(_, entry)| range.contains(&entry.caller));
    ours.map(|(handle, entry)| {
        // SAFETY: the handle's reference keeps the object.
        let kind = unsafe { super::kind_of(entry.object as *const u8) }.map_or("?", |kind| kind.name);
        (format!("handle {handle:#x} of a {kind}"), entry.caller)
    })
    .collect()
}

/// Result of ObReferenceObjectByHandle on the handle (DDI: OBJECT_HANDLE_INFORMATION).
#[repr(C)]
#[derive(Debug)]
pub struct OBJECT_HANDLE_INFORMATION {
    /// OBJ_INHERIT and others.
    pub HandleAttributes: u32,
    /// Access granted.
    pub GrantedAccess: u32,
}

/// ObReferenceObjectByHandle.
pub(crate) unsafe extern "win64" fn ObReferenceObjectByHandle(
    handle: HANDLE,
    _access: u32,
    kind: *const ObjectType,
    _mode: i8,
    object: *mut *mut u8,
    information: *mut OBJECT_HANDLE_INFORMATION,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "ObReferenceObjectByHandle");
    // SAFETY: NULL or one of our types; the driver's variables (DDI).
    unsafe {
        object.write(std::ptr::null_mut());
        match look_up_with_access(handle, kind.as_ref()) {
            Ok((found, access)) => {
                object.write(found);
                if !information.is_null() {
                    information.write(OBJECT_HANDLE_INFORMATION { HandleAttributes: 0, GrantedAccess: access });
                }
                NtStatus::SUCCESS
            }
            Err(status) => status,
        }
    }
}

/// ObReferenceObjectByHandleWithTag.
unsafe extern "win64" fn ObReferenceObjectByHandleWithTag(
    handle: HANDLE,
    access: u32,
    kind: *const ObjectType,
    mode: i8,
    _tag: u32,
    object: *mut *mut u8,
    information: *mut OBJECT_HANDLE_INFORMATION,
) -> NtStatus {
    // SAFETY: as declared.
    unsafe { ObReferenceObjectByHandle(handle, access, kind, mode, object, information) }
}

/// ObOpenObjectByPointer.
unsafe extern "win64" fn ObOpenObjectByPointer(
    object: *mut u8,
    _attributes: u32,
    _state: *mut u8,
    access: u32,
    kind: *const ObjectType,
    _mode: i8,
    handle: *mut HANDLE,
) -> NtStatus {
    // SAFETY: the driver's object and variable (DDI).
    unsafe {
        if !kind.is_null() && super::kind_of(object).is_none_or(|real| !std::ptr::eq(real, kind)) {
            return NtStatus::OBJECT_TYPE_MISMATCH;
        }
        handle.write(open(object, access));
    }
    NtStatus::SUCCESS
}

/// ZwClose.
pub(crate) extern "win64" fn ZwClose(handle: HANDLE) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "ZwClose");
    close(handle)
}

/// ZwWaitForSingleObject.
unsafe extern "win64" fn ZwWaitForSingleObject(handle: HANDLE, _alertable: u8, timeout: *const i64) -> NtStatus {
    match look_up(handle, None) {
        Ok(object) => {
            // SAFETY: a referenced object; the driver's variable.
            unsafe {
                let status = crate::ke::wait::KeWaitForSingleObject(object.cast(), 0, 0, 0, timeout);
                super::dereference(object);
                status
            }
        }
        Err(status) => status,
    }
}

exports! {
    ObReferenceObjectByHandle, ObReferenceObjectByHandleWithTag, ObOpenObjectByPointer, ZwClose, NtClose = ZwClose,
    ObCloseHandle = ObCloseHandle, ZwWaitForSingleObject, NtWaitForSingleObject = ZwWaitForSingleObject,
}

/// ObCloseHandle.
extern "win64" fn ObCloseHandle(handle: HANDLE, _mode: i8) -> NtStatus {
    ZwClose(handle)
}
