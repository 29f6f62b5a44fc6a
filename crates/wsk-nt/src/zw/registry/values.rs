//! Values (DDI: ZwQueryValueKey, ZwEnumerateValueKey, ZwSetValueKey, ZwDeleteValueKey).
#![allow(unsafe_code)] // Fills buffers of the driver.

use wsk_abi::NtStatus;
use wsk_abi::io::{HANDLE, UNICODE_STRING};

use super::keys::{key_of, notify, put};
use super::{REGISTRY, Value};
use crate::exports;
use crate::ke::irql::{self, PASSIVE_LEVEL};
use crate::text;

/// A value as a record of an information class: basic 0, full 1, partial 2, full with data aligned to 8 3, partial 4.
fn describe(value: &Value, class: u32) -> Option<(Vec<u8>, usize)> {
    let name: Vec<u8> = value.name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut out = Vec::new();
    let length = value.data.len() as u32;
    Some(match class {
        0 => {
            out.extend([0, value.kind, name.len() as u32].map(u32::to_le_bytes).concat());
            out.extend(name);
            (out, 12)
        }
        1 | 3 => {
            let offset = (20 + name.len()).next_multiple_of(if class == 1 { 4 } else { 8 });
            out.extend([0, value.kind, offset as u32, length, name.len() as u32].map(u32::to_le_bytes).concat());
            out.extend(name);
            out.resize(offset, 0);
            out.extend(&value.data);
            (out, 20)
        }
        2 => {
            out.extend([0, value.kind, length].map(u32::to_le_bytes).concat());
            out.extend(&value.data);
            (out, 12)
        }
        4 => {
            out.extend([value.kind, length].map(u32::to_le_bytes).concat());
            out.extend(&value.data);
            (out, 8)
        }
        _ => return None,
    })
}

unsafe fn put_value(value: &Value, class: u32, buffer: *mut u8, length: u32, needed: *mut u32) -> NtStatus {
    match describe(value, class) {
        // SAFETY: the driver's buffer.
        Some((record, fixed)) => unsafe { put(&record, fixed, buffer, length, needed) },
        None => NtStatus::INVALID_PARAMETER,
    }
}

/// ZwQueryValueKey.
pub(super) unsafe extern "win64" fn ZwQueryValueKey(
    handle: HANDLE,
    name: *const UNICODE_STRING,
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "ZwQueryValueKey");
    // SAFETY: the driver's string, buffer and variable (DDI).
    unsafe {
        let name = text::wide(name);
        let found = key_of(handle).map(|id| REGISTRY.lock().value(id, &name).cloned());
        match found {
            Ok(Some(value)) => put_value(&value, class, buffer, length, needed),
            Ok(None) => NtStatus::OBJECT_NAME_NOT_FOUND,
            Err(status) => status,
        }
    }
}

/// ZwEnumerateValueKey.
pub(super) unsafe extern "win64" fn ZwEnumerateValueKey(
    handle: HANDLE,
    index: u32,
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "ZwEnumerateValueKey");
    let found = key_of(handle).map(|id| REGISTRY.lock().key(id).values.get(index as usize).cloned());
    match found {
        // SAFETY: the driver's buffer and variable (DDI).
        Ok(Some(value)) => unsafe { put_value(&value, class, buffer, length, needed) },
        Ok(None) => NtStatus::NO_MORE_ENTRIES,
        Err(status) => status,
    }
}

/// ZwSetValueKey.
pub(super) unsafe extern "win64" fn ZwSetValueKey(
    handle: HANDLE,
    name: *const UNICODE_STRING,
    _title: u32,
    kind: u32,
    data: *const u8,
    size: u32,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "ZwSetValueKey");
    let id = match key_of(handle) {
        Ok(id) => id,
        Err(status) => return status,
    };
    // SAFETY: the driver's string and data (DDI).
    unsafe {
        let data = if size == 0 { Vec::new() } else { std::slice::from_raw_parts(data, size as usize).to_vec() };
        REGISTRY.lock().set(id, &text::wide(name), kind, data);
    }
    notify();
    NtStatus::SUCCESS
}

/// ZwDeleteValueKey.
pub(super) unsafe extern "win64" fn ZwDeleteValueKey(handle: HANDLE, name: *const UNICODE_STRING) -> NtStatus {
    // SAFETY: the driver's string (DDI).
    let name = unsafe { text::wide(name) };
    match key_of(handle) {
        Ok(id) if REGISTRY.lock().delete_value(id, &name) => {
            notify();
            NtStatus::SUCCESS
        }
        Ok(_) => NtStatus::OBJECT_NAME_NOT_FOUND,
        Err(status) => status,
    }
}

exports! { ZwQueryValueKey, ZwEnumerateValueKey, ZwSetValueKey, ZwDeleteValueKey }
