//! RtlQueryRegistryValues and its kin: tables of what to read, below a well-known key.
#![allow(unsafe_code)] // Follows the driver's table, calls its routines.

use std::ffi::c_void;

use wsk_abi::NtStatus;
use wsk_abi::io::UNICODE_STRING;

use super::keys::key_of;
use super::{REGISTRY, Value};
use crate::ex::pool;
use crate::exports;
use crate::ke::irql::{self, PASSIVE_LEVEL};
use crate::text;

/// DDI: QUERY_ROUTINE.
pub type QueryRoutine = unsafe extern "win64" fn(
    Name: *const u16,
    Kind: u32,
    Data: *mut c_void,
    Length: u32,
    Context: *mut c_void,
    EntryContext: *mut c_void,
) -> NtStatus;

/// DDI: RTL_QUERY_REGISTRY_TABLE.
#[repr(C)]
#[derive(Debug)]
pub struct RTL_QUERY_REGISTRY_TABLE {
    /// Called per value; NULL with RTL_QUERY_REGISTRY_DIRECT.
    pub QueryRoutine: Option<QueryRoutine>,
    /// RTL_QUERY_REGISTRY_...
    pub Flags: u32,
    /// Value or subkey.
    pub Name: *mut u16,
    /// The driver's, or where a direct value goes.
    pub EntryContext: *mut c_void,
    /// REG_... of the default.
    pub DefaultType: u32,
    /// The default.
    pub DefaultData: *mut c_void,
    /// Its length.
    pub DefaultLength: u32,
}

const SUBKEY: u32 = 1;
const TOPKEY: u32 = 2;
const REQUIRED: u32 = 4;
const NOVALUE: u32 = 8;
const NOEXPAND: u32 = 0x10;
const DIRECT: u32 = 0x20;
const DELETE: u32 = 0x40;
/// With DIRECT: the type that is wanted is in the high byte of DefaultType.
const TYPE_CHECK: u32 = 0x100;

const REG_SZ: u32 = 1;
const REG_EXPAND_SZ: u32 = 2;
const REG_DWORD: u32 = 4;
const REG_DWORD_BIG_ENDIAN: u32 = 5;
const REG_MULTI_SZ: u32 = 7;
const REG_QWORD: u32 = 11;

unsafe fn base(relative: u32, path: *const u16) -> Result<usize, NtStatus> {
    // RTL_REGISTRY_HANDLE: the path is a handle.
    if relative & 0x4000_0000 != 0 {
        return key_of(path.cast_mut().cast());
    }
    // SAFETY: the driver's string.
    let path = String::from_utf16_lossy(unsafe { text::terminated(path) });
    let root = match relative & 0xff {
        0 => String::new(),
        1 => "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\".into(),
        2 => "\\Registry\\Machine\\System\\CurrentControlSet\\Control\\".into(),
        3 => "\\Registry\\Machine\\Software\\Microsoft\\Windows NT\\CurrentVersion\\".into(),
        4 => "\\Registry\\Machine\\Hardware\\DeviceMap\\".into(),
        5 => "\\Registry\\User\\.Default\\".into(),
        _ => return Err(NtStatus::INVALID_PARAMETER),
    };
    // RTL_REGISTRY_OPTIONAL, 0x80000000, changes the answer only.
    REGISTRY.lock().open(&format!("{root}{path}")).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)
}

/// The bytes a value of this kind has; None if any number.
fn size_of_kind(kind: u32) -> Option<usize> {
    match kind {
        REG_DWORD | REG_DWORD_BIG_ENDIAN => Some(4),
        REG_QWORD => Some(8),
        _ => None,
    }
}

/// Whether a stored value is of the type the entry wants, and as long as the type says.
fn is_as_wanted(entry: &RTL_QUERY_REGISTRY_TABLE, value: &Value) -> bool {
    entry.Flags & TYPE_CHECK == 0
        || value.kind == entry.DefaultType >> 24 && size_of_kind(value.kind).is_none_or(|size| value.data.len() == size)
}

/// Puts a value where the table's entry says (RTL_QUERY_REGISTRY_DIRECT). The registry may hold anything under any type.
unsafe fn put_direct(value: &Value, to: *mut c_void) -> NtStatus {
    // SAFETY: the driver's variable, at any address (DDI).
    unsafe {
        if matches!(value.kind, REG_SZ | REG_EXPAND_SZ | REG_MULTI_SZ) {
            put_string(value, to.cast())
        } else if value.data.len() > 4 && matches!(value.kind, REG_DWORD | REG_DWORD_BIG_ENDIAN) {
            // The variable is a ULONG, and not room that tells its length.
            NtStatus::OBJECT_TYPE_MISMATCH
        } else {
            put_data(value, to.cast())
        }
    }
}

/// A string goes into a counted one, whose buffer is allocated if there is none. It ends in a zero, stored or not.
unsafe fn put_string(value: &Value, to: *mut UNICODE_STRING) -> NtStatus {
    const LONGEST: usize = 0xFFFE;
    let mut data = value.data.clone();
    data.truncate(data.len() & !1);
    if data.len() > LONGEST {
        data.truncate(LONGEST - 2);
    }
    if !data.ends_with(&[0, 0]) {
        data.extend([0, 0]);
    }
    // SAFETY: the driver's string.
    unsafe {
        let mut string = to.read_unaligned();
        if string.Buffer.is_null() {
            string.Buffer = pool::for_driver(data.len(), b"qerC").cast();
            string.MaximumLength = data.len() as u16;
            if string.Buffer.is_null() {
                return NtStatus::NO_MEMORY;
            }
        } else if data.len() > string.MaximumLength as usize {
            return NtStatus::BUFFER_TOO_SMALL;
        }
        std::ptr::copy_nonoverlapping(data.as_ptr(), string.Buffer.cast(), data.len());
        string.Length = if value.kind == REG_MULTI_SZ { data.len() } else { data.len() - 2 } as u16;
        to.write_unaligned(string);
    }
    NtStatus::SUCCESS
}

/// Up to four bytes go into the variable as they are; more into room that begins with its length: negative for the data
/// alone, positive with the data's length and type before it.
unsafe fn put_data(value: &Value, to: *mut u8) -> NtStatus {
    let length = value.data.len();
    // SAFETY: the driver's variable, not beyond the room it tells.
    unsafe {
        if length <= 4 {
            std::ptr::copy_nonoverlapping(value.data.as_ptr(), to, length);
            return NtStatus::SUCCESS;
        }
        let room = to.cast::<i32>().read_unaligned();
        let (needed, before) = if room < 0 { (length, 0) } else { (length + 8, 8) };
        if needed > room.unsigned_abs() as usize {
            return NtStatus::BUFFER_TOO_SMALL;
        }
        if before != 0 {
            to.cast::<[u32; 2]>().write_unaligned([length as u32, value.kind]);
        }
        std::ptr::copy_nonoverlapping(value.data.as_ptr(), to.add(before), length);
    }
    NtStatus::SUCCESS
}

unsafe fn give(entry: &RTL_QUERY_REGISTRY_TABLE, value: &Value, context: *mut c_void) -> NtStatus {
    if entry.Flags & DIRECT != 0 {
        // SAFETY: the entry's variable.
        return unsafe { put_direct(value, entry.EntryContext) };
    }
    let Some(routine) = entry.QueryRoutine else { return NtStatus::INVALID_PARAMETER };
    let name: Vec<u16> = value.name.encode_utf16().chain([0]).collect();
    let call = |kind: u32, data: &mut [u8]| {
        // SAFETY: the driver's routine (DDI).
        unsafe {
            routine(name.as_ptr(), kind, data.as_mut_ptr().cast(), data.len() as u32, context, entry.EntryContext)
        }
    };
    if value.kind == REG_MULTI_SZ && entry.Flags & NOEXPAND == 0 {
        // Once for each string.
        for string in value.data.chunks_exact(2).collect::<Vec<_>>().split(|unit| *unit == [0, 0]) {
            if string.is_empty() {
                continue;
            }
            let mut bytes: Vec<u8> = string.iter().flat_map(|unit| unit.iter().copied()).chain([0, 0]).collect();
            let status = call(REG_SZ, &mut bytes);
            if !status.is_success() {
                return status;
            }
        }
        return NtStatus::SUCCESS;
    }
    let kind = if value.kind == REG_EXPAND_SZ && entry.Flags & NOEXPAND == 0 { REG_SZ } else { value.kind };
    call(kind, &mut value.data.clone())
}

/// RtlQueryRegistryValues.
pub(super) unsafe extern "win64" fn RtlQueryRegistryValues(
    relative: u32,
    path: *const u16,
    table: *const RTL_QUERY_REGISTRY_TABLE,
    context: *mut c_void,
    _environment: *mut c_void,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "RtlQueryRegistryValues");
    // SAFETY: the driver's table, ended by an entry without routine and name (DDI).
    unsafe {
        let top = match base(relative, path) {
            Ok(id) => id,
            Err(status) => return status,
        };
        let mut key = Some(top);
        let mut entry = table;
        loop {
            let now = &entry.read_unaligned();
            if now.QueryRoutine.is_none() && now.Flags & (SUBKEY | DIRECT) == 0 {
                break;
            }
            entry = entry.add(1);
            let name = String::from_utf16_lossy(text::terminated(now.Name));
            if now.Flags & (SUBKEY | TOPKEY) != 0 {
                key = Some(top);
            }
            if now.Flags & SUBKEY != 0 {
                key = REGISTRY.lock().open_below(top, &name);
                if key.is_none() && now.Flags & REQUIRED != 0 {
                    return NtStatus::OBJECT_NAME_NOT_FOUND;
                }
                if now.QueryRoutine.is_none() {
                    continue;
                }
            }
            let values: Vec<Value> = match key {
                None => Vec::new(),
                Some(id) if now.Flags & SUBKEY != 0 || now.Name.is_null() => REGISTRY.lock().key(id).values.clone(),
                Some(id) => REGISTRY.lock().value(id, &name).cloned().into_iter().collect(),
            };
            if now.Flags & NOVALUE != 0 {
                let none = Value { name, kind: 0, data: Vec::new() };
                let status = give(now, &none, context);
                if !status.is_success() {
                    return status;
                }
                continue;
            }
            if values.is_empty() && now.Flags & SUBKEY == 0 {
                if now.Flags & REQUIRED != 0 {
                    return NtStatus::OBJECT_NAME_NOT_FOUND;
                }
                if now.DefaultType & 0xff == 0 || now.DefaultData.is_null() {
                    continue;
                }
                let kind = now.DefaultType & 0xff;
                let data = if now.DefaultLength == 0 && matches!(kind, REG_SZ | REG_EXPAND_SZ) {
                    text::terminated(now.DefaultData.cast())
                        .iter()
                        .chain(&[0])
                        .flat_map(|unit| unit.to_le_bytes())
                        .collect()
                } else {
                    std::slice::from_raw_parts(now.DefaultData.cast::<u8>(), now.DefaultLength as usize).to_vec()
                };
                let status = give(now, &Value { name, kind, data }, context);
                if !status.is_success() {
                    return status;
                }
                continue;
            }
            for value in &values {
                if now.Flags & DIRECT != 0 && !is_as_wanted(now, value) {
                    return NtStatus::OBJECT_TYPE_MISMATCH;
                }
                let status = give(now, value, context);
                if !status.is_success() {
                    return status;
                }
                if now.Flags & DELETE != 0
                    && let Some(id) = key
                {
                    REGISTRY.lock().delete_value(id, &value.name);
                }
            }
        }
    }
    NtStatus::SUCCESS
}

/// RtlCheckRegistryKey.
unsafe extern "win64" fn RtlCheckRegistryKey(relative: u32, path: *const u16) -> NtStatus {
    // SAFETY: the driver's string (DDI).
    unsafe { base(relative, path) }.err().unwrap_or(NtStatus::SUCCESS)
}

/// RtlWriteRegistryValue.
unsafe extern "win64" fn RtlWriteRegistryValue(
    relative: u32,
    path: *const u16,
    name: *const u16,
    kind: u32,
    data: *const u8,
    length: u32,
) -> NtStatus {
    // SAFETY: the driver's strings and data (DDI).
    unsafe {
        match base(relative, path) {
            Ok(id) => {
                let data =
                    if length == 0 { Vec::new() } else { std::slice::from_raw_parts(data, length as usize).to_vec() };
                REGISTRY.lock().set(id, &String::from_utf16_lossy(text::terminated(name)), kind, data);
                super::keys::notify();
                NtStatus::SUCCESS
            }
            Err(status) => status,
        }
    }
}

/// RtlDeleteRegistryValue.
unsafe extern "win64" fn RtlDeleteRegistryValue(relative: u32, path: *const u16, name: *const u16) -> NtStatus {
    // SAFETY: the driver's strings (DDI).
    unsafe {
        match base(relative, path) {
            Ok(id) if REGISTRY.lock().delete_value(id, &String::from_utf16_lossy(text::terminated(name))) => {
                NtStatus::SUCCESS
            }
            Ok(_) => NtStatus::OBJECT_NAME_NOT_FOUND,
            Err(status) => status,
        }
    }
}

exports! {
    RtlQueryRegistryValues, RtlQueryRegistryValuesEx = RtlQueryRegistryValues, RtlCheckRegistryKey, RtlWriteRegistryValue,
    RtlDeleteRegistryValue,
}
