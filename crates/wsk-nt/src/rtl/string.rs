//! Counted strings (DDI: RtlInitUnicodeString and others): pointing, copying, comparing, converting between code pages. The
//! system's code page is UTF-8.
#![allow(unsafe_code)] // Reads and fills strings of the driver.

use wsk_abi::NtStatus;
use wsk_abi::io::{STRING, UNICODE_STRING};

use super::memory::{strlen, wcslen};
use crate::ex::pool;
use crate::exports;
use crate::ke::irql::{self, PASSIVE_LEVEL};
use crate::text::{self, downcase, upcase};

/// RtlInitUnicodeString: lengths of longer strings are cut to 65534.
pub(crate) unsafe extern "win64" fn RtlInitUnicodeString(string: *mut UNICODE_STRING, source: *const u16) {
    // SAFETY: the driver's variable and string (DDI).
    unsafe {
        let bytes = if source.is_null() { 0 } else { (wcslen(source) * 2).min(0xfffc) };
        let maximum = if source.is_null() { 0 } else { bytes + 2 };
        string.write(UNICODE_STRING { Length: bytes as u16, MaximumLength: maximum as u16, Buffer: source.cast_mut() });
    }
}

/// RtlInitUnicodeStringEx: refuses longer strings.
unsafe extern "win64" fn RtlInitUnicodeStringEx(string: *mut UNICODE_STRING, source: *const u16) -> NtStatus {
    // SAFETY: the driver's variable and string (DDI).
    unsafe {
        if !source.is_null() && wcslen(source) * 2 > 0xfffc {
            return NtStatus::NAME_TOO_LONG;
        }
        RtlInitUnicodeString(string, source);
    }
    NtStatus::SUCCESS
}

/// RtlInitString, RtlInitAnsiString.
pub(crate) unsafe extern "win64" fn RtlInitAnsiString(string: *mut STRING, source: *const i8) {
    // SAFETY: the driver's variable and string (DDI).
    unsafe {
        let bytes = if source.is_null() { 0 } else { strlen(source.cast()).min(0xfffe) };
        let maximum = if source.is_null() { 0 } else { bytes + 1 };
        string.write(STRING { Length: bytes as u16, MaximumLength: maximum as u16, Buffer: source.cast_mut() });
    }
}

/// RtlInitAnsiStringEx.
unsafe extern "win64" fn RtlInitAnsiStringEx(string: *mut STRING, source: *const i8) -> NtStatus {
    // SAFETY: the driver's variable and string (DDI).
    unsafe {
        if !source.is_null() && strlen(source.cast()) > 0xfffe {
            return NtStatus::NAME_TOO_LONG;
        }
        RtlInitAnsiString(string, source);
    }
    NtStatus::SUCCESS
}

/// RtlCopyUnicodeString: as much as fits, with a zero after it if that fits too.
pub(crate) unsafe extern "win64" fn RtlCopyUnicodeString(
    destination: *mut UNICODE_STRING,
    source: *const UNICODE_STRING,
) {
    // SAFETY: the driver's strings (DDI).
    unsafe {
        let units = text::units(source);
        let room = (*destination).MaximumLength as usize / 2;
        let count = units.len().min(room);
        std::ptr::copy(units.as_ptr(), (*destination).Buffer, count);
        (*destination).Length = (count * 2) as u16;
        if count < room {
            (*destination).Buffer.add(count).write(0);
        }
    }
}

/// RtlCopyString.
unsafe extern "win64" fn RtlCopyString(destination: *mut STRING, source: *const STRING) {
    // SAFETY: the driver's strings (DDI).
    unsafe {
        let bytes = text::bytes(source);
        let count = bytes.len().min((*destination).MaximumLength as usize);
        std::ptr::copy(bytes.as_ptr(), (*destination).Buffer.cast(), count);
        (*destination).Length = count as u16;
    }
}

/// RtlDuplicateUnicodeString: flag 1 adds a zero, flag 2 allocates for empty strings too.
unsafe extern "win64" fn RtlDuplicateUnicodeString(
    flags: u32,
    source: *const UNICODE_STRING,
    destination: *mut UNICODE_STRING,
) -> NtStatus {
    // SAFETY: the driver's strings (DDI).
    unsafe {
        let units = text::units(source);
        let add_zero = flags & 1 != 0;
        if units.is_empty() && flags & 2 == 0 {
            destination.write(UNICODE_STRING::default());
            return NtStatus::SUCCESS;
        }
        write_wide(destination, units, true, add_zero)
    }
}

/// RtlAppendUnicodeStringToString.
pub(crate) unsafe extern "win64" fn RtlAppendUnicodeStringToString(
    destination: *mut UNICODE_STRING,
    source: *const UNICODE_STRING,
) -> NtStatus {
    // SAFETY: the driver's strings (DDI).
    unsafe { append(destination, text::units(source)) }
}

/// RtlAppendUnicodeToString.
pub(crate) unsafe extern "win64" fn RtlAppendUnicodeToString(
    destination: *mut UNICODE_STRING,
    source: *const u16,
) -> NtStatus {
    // SAFETY: the driver's strings (DDI).
    unsafe { append(destination, text::terminated(source)) }
}

unsafe fn append(destination: *mut UNICODE_STRING, units: &[u16]) -> NtStatus {
    // SAFETY: the caller's string.
    unsafe {
        let (length, room) = ((*destination).Length as usize / 2, (*destination).MaximumLength as usize / 2);
        if length + units.len() > room {
            return NtStatus::BUFFER_TOO_SMALL;
        }
        let end = (*destination).Buffer.add(length);
        std::ptr::copy(units.as_ptr(), end, units.len());
        (*destination).Length += (units.len() * 2) as u16;
        if length + units.len() < room {
            end.add(units.len()).write(0);
        }
    }
    NtStatus::SUCCESS
}

fn fold(units: &[u16], ignore_case: u8) -> impl Iterator<Item = u16> + '_ {
    units.iter().map(move |&unit| if ignore_case != 0 { upcase(unit) } else { unit })
}

/// RtlEqualUnicodeString.
pub(crate) unsafe extern "win64" fn RtlEqualUnicodeString(
    a: *const UNICODE_STRING,
    b: *const UNICODE_STRING,
    ignore_case: u8,
) -> u8 {
    // SAFETY: the driver's strings (DDI).
    unsafe { u8::from(fold(text::units(a), ignore_case).eq(fold(text::units(b), ignore_case))) }
}

/// RtlCompareUnicodeString.
pub(crate) unsafe extern "win64" fn RtlCompareUnicodeString(
    a: *const UNICODE_STRING,
    b: *const UNICODE_STRING,
    ignore_case: u8,
) -> i32 {
    // SAFETY: the driver's strings (DDI).
    unsafe { compare(text::units(a), text::units(b), ignore_case) }
}

fn compare(a: &[u16], b: &[u16], ignore_case: u8) -> i32 {
    let mut pairs = fold(a, ignore_case).zip(fold(b, ignore_case));
    match pairs.find(|(a, b)| a != b) {
        Some((a, b)) => i32::from(a) - i32::from(b),
        None => (a.len() as i32 - b.len() as i32) * 2,
    }
}

/// RtlCompareUnicodeStrings: by pointers and units.
unsafe extern "win64" fn RtlCompareUnicodeStrings(
    a: *const u16,
    a_length: usize,
    b: *const u16,
    b_length: usize,
    ignore_case: u8,
) -> i32 {
    // SAFETY: the driver's strings (DDI).
    unsafe { compare(std::slice::from_raw_parts(a, a_length), std::slice::from_raw_parts(b, b_length), ignore_case) }
}

/// RtlPrefixUnicodeString.
pub(crate) unsafe extern "win64" fn RtlPrefixUnicodeString(
    prefix: *const UNICODE_STRING,
    string: *const UNICODE_STRING,
    ignore_case: u8,
) -> u8 {
    // SAFETY: the driver's strings (DDI).
    unsafe {
        let (prefix, units) = (text::units(prefix), text::units(string));
        u8::from(prefix.len() <= units.len() && fold(prefix, ignore_case).eq(fold(&units[..prefix.len()], ignore_case)))
    }
}

fn fold_bytes(bytes: &[u8], ignore_case: u8) -> impl Iterator<Item = u8> + '_ {
    bytes.iter().map(move |byte| if ignore_case != 0 { byte.to_ascii_uppercase() } else { *byte })
}

/// RtlEqualString.
pub(crate) unsafe extern "win64" fn RtlEqualString(a: *const STRING, b: *const STRING, ignore_case: u8) -> u8 {
    // SAFETY: the driver's strings (DDI).
    unsafe { u8::from(fold_bytes(text::bytes(a), ignore_case).eq(fold_bytes(text::bytes(b), ignore_case))) }
}

/// RtlCompareString.
unsafe extern "win64" fn RtlCompareString(a: *const STRING, b: *const STRING, ignore_case: u8) -> i32 {
    // SAFETY: the driver's strings (DDI).
    unsafe {
        let (a, b) = (text::bytes(a), text::bytes(b));
        let mut pairs = fold_bytes(a, ignore_case).zip(fold_bytes(b, ignore_case));
        match pairs.find(|(a, b)| a != b) {
            Some((a, b)) => i32::from(a) - i32::from(b),
            None => a.len() as i32 - b.len() as i32,
        }
    }
}

/// RtlUpcaseUnicodeChar; RtlDowncaseUnicodeChar.
extern "win64" fn RtlUpcaseUnicodeChar(unit: u16) -> u16 {
    upcase(unit)
}

/// RtlDowncaseUnicodeChar.
extern "win64" fn RtlDowncaseUnicodeChar(unit: u16) -> u16 {
    downcase(unit)
}

/// RtlUpperChar.
extern "win64" fn RtlUpperChar(byte: u8) -> u8 {
    byte.to_ascii_uppercase()
}

/// RtlUpcaseUnicodeString.
unsafe extern "win64" fn RtlUpcaseUnicodeString(
    destination: *mut UNICODE_STRING,
    source: *const UNICODE_STRING,
    allocate: u8,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "RtlUpcaseUnicodeString");
    // SAFETY: the driver's strings (DDI).
    unsafe {
        let units: Vec<u16> = text::units(source).iter().map(|&unit| upcase(unit)).collect();
        write_wide(destination, &units, allocate != 0, false)
    }
}

/// RtlDowncaseUnicodeString.
unsafe extern "win64" fn RtlDowncaseUnicodeString(
    destination: *mut UNICODE_STRING,
    source: *const UNICODE_STRING,
    allocate: u8,
) -> NtStatus {
    // SAFETY: the driver's strings (DDI).
    unsafe {
        let units: Vec<u16> = text::units(source).iter().map(|&unit| downcase(unit)).collect();
        write_wide(destination, &units, allocate != 0, false)
    }
}

/// Writes a wide result into a string of the driver, or into new pool; with a zero after it where asked for.
pub(crate) unsafe fn write_wide(
    destination: *mut UNICODE_STRING,
    units: &[u16],
    allocate: bool,
    add_zero: bool,
) -> NtStatus {
    let needed = (units.len() + usize::from(add_zero)) * 2;
    if needed > 0xfffe {
        return NtStatus::INVALID_PARAMETER_2;
    }
    // SAFETY: the driver's string (DDI).
    unsafe {
        if allocate {
            let buffer = pool::for_driver(needed.max(2), b"Strg");
            if buffer.is_null() {
                return NtStatus::NO_MEMORY;
            }
            (*destination).Buffer = buffer.cast();
            (*destination).MaximumLength = needed as u16;
        } else if units.len() * 2 > (*destination).MaximumLength as usize {
            return NtStatus::BUFFER_OVERFLOW;
        }
        std::ptr::copy(units.as_ptr(), (*destination).Buffer, units.len());
        (*destination).Length = (units.len() * 2) as u16;
        if (*destination).MaximumLength as usize >= (units.len() + 1) * 2 {
            (*destination).Buffer.add(units.len()).write(0);
        }
    }
    NtStatus::SUCCESS
}

unsafe fn write_narrow(destination: *mut STRING, bytes: &[u8], allocate: bool) -> NtStatus {
    if bytes.len() + 1 > 0xffff {
        return NtStatus::INVALID_PARAMETER_2;
    }
    // SAFETY: the driver's string (DDI).
    unsafe {
        let mut status = NtStatus::SUCCESS;
        let mut count = bytes.len();
        if allocate {
            let buffer = pool::for_driver(bytes.len() + 1, b"Strg");
            if buffer.is_null() {
                return NtStatus::NO_MEMORY;
            }
            (*destination).Buffer = buffer.cast();
            (*destination).MaximumLength = bytes.len() as u16 + 1;
        } else if bytes.len() >= (*destination).MaximumLength as usize {
            // As much as fits with its zero.
            if (*destination).MaximumLength == 0 {
                return NtStatus::BUFFER_OVERFLOW;
            }
            count = (*destination).MaximumLength as usize - 1;
            status = NtStatus::BUFFER_OVERFLOW;
        }
        std::ptr::copy(bytes.as_ptr(), (*destination).Buffer.cast(), count);
        (*destination).Buffer.add(count).write(0);
        (*destination).Length = count as u16;
        status
    }
}

/// RtlAnsiStringToUnicodeString, RtlOemStringToUnicodeString.
pub(crate) unsafe extern "win64" fn RtlAnsiStringToUnicodeString(
    destination: *mut UNICODE_STRING,
    source: *const STRING,
    allocate: u8,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "RtlAnsiStringToUnicodeString");
    // SAFETY: the driver's strings (DDI).
    unsafe {
        let units: Vec<u16> = String::from_utf8_lossy(text::bytes(source)).encode_utf16().collect();
        if allocate == 0 && (units.len() + 1) * 2 > (*destination).MaximumLength as usize {
            return NtStatus::BUFFER_OVERFLOW;
        }
        write_wide(destination, &units, allocate != 0, true)
    }
}

/// RtlUnicodeStringToAnsiString, RtlUnicodeStringToOemString, RtlUnicodeStringToUTF8String.
pub(crate) unsafe extern "win64" fn RtlUnicodeStringToAnsiString(
    destination: *mut STRING,
    source: *const UNICODE_STRING,
    allocate: u8,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "RtlUnicodeStringToAnsiString");
    // SAFETY: the driver's strings (DDI).
    unsafe { write_narrow(destination, text::wide(source).as_bytes(), allocate != 0) }
}

/// RtlFreeUnicodeString, RtlFreeAnsiString: frees, and empties the string.
pub(crate) unsafe extern "win64" fn RtlFreeUnicodeString(string: *mut UNICODE_STRING) {
    irql::at_most(PASSIVE_LEVEL, "RtlFreeUnicodeString");
    // SAFETY: the driver's string (DDI); both kinds have the same layout.
    unsafe {
        let buffer = (*string).Buffer;
        string.write(UNICODE_STRING::default());
        if !buffer.is_null() {
            pool::ExFreePool(buffer.cast());
        }
    }
}

/// RtlAnsiStringToUnicodeSize: with the zero.
unsafe extern "win64" fn RtlxAnsiStringToUnicodeSize(source: *const STRING) -> u32 {
    // SAFETY: the driver's string (DDI).
    unsafe { (String::from_utf8_lossy(text::bytes(source)).encode_utf16().count() as u32 + 1) * 2 }
}

/// RtlUnicodeStringToAnsiSize: with the zero.
unsafe extern "win64" fn RtlxUnicodeStringToAnsiSize(source: *const UNICODE_STRING) -> u32 {
    // SAFETY: the driver's string (DDI).
    unsafe { text::wide(source).len() as u32 + 1 }
}

/// RtlHashUnicodeString: algorithms 0 (default) and 1 (x65599).
pub(crate) unsafe extern "win64" fn RtlHashUnicodeString(
    string: *const UNICODE_STRING,
    ignore_case: u8,
    algorithm: u32,
    hash: *mut u32,
) -> NtStatus {
    if string.is_null() || hash.is_null() || algorithm > 1 {
        return NtStatus::INVALID_PARAMETER;
    }
    // SAFETY: the driver's string and variable (DDI).
    unsafe {
        let units = fold(text::units(string), ignore_case);
        hash.write(units.fold(0u32, |hash, unit| hash.wrapping_mul(65599).wrapping_add(unit.into())));
    }
    NtStatus::SUCCESS
}

/// RtlFindUnicodeSubstring: NULL if it is not there.
unsafe extern "win64" fn RtlFindUnicodeSubstring(
    whole: *const UNICODE_STRING,
    part: *const UNICODE_STRING,
    ignore_case: u8,
) -> *const u16 {
    // SAFETY: the driver's strings.
    unsafe {
        let (whole, part) = (text::units(whole), text::units(part));
        let at = (0..(whole.len() + 1).saturating_sub(part.len()))
            .find(|&at| fold(&whole[at..at + part.len()], ignore_case).eq(fold(part, ignore_case)));
        at.map_or(std::ptr::null(), |at| whole.as_ptr().add(at))
    }
}

/// RtlValidateUnicodeString.
unsafe extern "win64" fn RtlValidateUnicodeString(flags: u32, string: *const UNICODE_STRING) -> NtStatus {
    // SAFETY: the driver's string (DDI).
    let ok = unsafe {
        string.as_ref().is_none_or(|string| {
            string.Length % 2 == 0
                && string.MaximumLength % 2 == 0
                && string.Length <= string.MaximumLength
                && (!string.Buffer.is_null() || string.MaximumLength == 0)
        })
    };
    if flags == 0 && ok { NtStatus::SUCCESS } else { NtStatus::INVALID_PARAMETER }
}

exports! {
    RtlxOemStringToUnicodeSize = RtlxAnsiStringToUnicodeSize, RtlxUnicodeStringToOemSize = RtlxUnicodeStringToAnsiSize,
    RtlOemStringToUnicodeSize = RtlxAnsiStringToUnicodeSize,
    RtlInitUnicodeString, RtlInitUnicodeStringEx, RtlInitAnsiString, RtlInitString = RtlInitAnsiString,
    RtlInitUTF8String = RtlInitAnsiString, RtlInitAnsiStringEx, RtlInitStringEx = RtlInitAnsiStringEx,
    RtlCopyUnicodeString, RtlCopyString, RtlDuplicateUnicodeString, RtlAppendUnicodeStringToString,
    RtlAppendUnicodeToString, RtlEqualUnicodeString, RtlCompareUnicodeString, RtlCompareUnicodeStrings,
    RtlPrefixUnicodeString, RtlEqualString, RtlCompareString, RtlUpcaseUnicodeChar, RtlDowncaseUnicodeChar, RtlUpperChar,
    RtlUpcaseUnicodeString, RtlDowncaseUnicodeString, RtlAnsiStringToUnicodeString,
    RtlOemStringToUnicodeString = RtlAnsiStringToUnicodeString, RtlUTF8StringToUnicodeString = RtlAnsiStringToUnicodeString,
    RtlUnicodeStringToAnsiString, RtlUnicodeStringToOemString = RtlUnicodeStringToAnsiString,
    RtlUnicodeStringToUTF8String = RtlUnicodeStringToAnsiString, RtlFreeUnicodeString,
    RtlFreeAnsiString = RtlFreeUnicodeString, RtlFreeOemString = RtlFreeUnicodeString, RtlFreeUTF8String = RtlFreeUnicodeString,
    RtlxAnsiStringToUnicodeSize, RtlxUnicodeStringToAnsiSize, RtlHashUnicodeString, RtlFindUnicodeSubstring,
    RtlValidateUnicodeString,
}
