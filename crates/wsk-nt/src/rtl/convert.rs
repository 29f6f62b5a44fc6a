//! Numbers and encodings: integers and GUIDs as text, UTF-8 and UTF-16 (DDI: RtlUTF8ToUnicodeN, RtlIntegerToUnicodeString).
#![allow(unsafe_code)] // Reads and fills buffers of the driver.

use wsk_abi::NtStatus;
use wsk_abi::io::UNICODE_STRING;
use wsk_abi::nmr::GUID;

use super::string::write_wide;
use crate::exports;
use crate::text;

/// The units of UTF-8, with replacement characters for what is malformed; whether there was any.
fn decode(bytes: &[u8]) -> (Vec<u16>, bool) {
    let mut units = Vec::with_capacity(bytes.len());
    let mut bad = false;
    for chunk in bytes.utf8_chunks() {
        units.extend(chunk.valid().encode_utf16());
        if !chunk.invalid().is_empty() {
            bad = true;
            units.push(0xfffd);
        }
    }
    (units, bad)
}

/// RtlUTF8ToUnicodeN: lengths in bytes; without a destination only the length is told.
pub(crate) unsafe extern "win64" fn RtlUTF8ToUnicodeN(
    destination: *mut u16,
    room: u32,
    actual: *mut u32,
    source: *const u8,
    length: u32,
) -> NtStatus {
    if source.is_null() {
        return NtStatus::INVALID_PARAMETER_4;
    }
    // SAFETY: the driver's buffers and variable (DDI).
    unsafe {
        let (units, bad) = decode(std::slice::from_raw_parts(source, length as usize));
        let fits = units.len().min(room as usize / 2);
        let written = if destination.is_null() { units.len() } else { fits };
        if !actual.is_null() {
            actual.write((written * 2) as u32);
        } else if destination.is_null() {
            return NtStatus::INVALID_PARAMETER;
        }
        if !destination.is_null() {
            std::ptr::copy_nonoverlapping(units.as_ptr(), destination, fits);
            if fits < units.len() {
                return NtStatus::BUFFER_TOO_SMALL;
            }
        }
        if bad { NtStatus::SOME_NOT_MAPPED } else { NtStatus::SUCCESS }
    }
}

/// RtlUnicodeToUTF8N: lengths in bytes; characters are not cut.
pub(crate) unsafe extern "win64" fn RtlUnicodeToUTF8N(
    destination: *mut u8,
    room: u32,
    actual: *mut u32,
    source: *const u16,
    length: u32,
) -> NtStatus {
    if source.is_null() {
        return NtStatus::INVALID_PARAMETER_4;
    }
    // SAFETY: the driver's buffers and variable (DDI).
    unsafe {
        let units = std::slice::from_raw_parts(source, length as usize / 2);
        let mut bad = false;
        let mut out = String::new();
        for unit in char::decode_utf16(units.iter().copied()) {
            bad |= unit.is_err();
            out.push(unit.unwrap_or('\u{fffd}'));
        }
        let mut fits = out.len().min(room as usize);
        while !out.is_char_boundary(fits) {
            fits -= 1;
        }
        let written = if destination.is_null() { out.len() } else { fits };
        if !actual.is_null() {
            actual.write(written as u32);
        } else if destination.is_null() {
            return NtStatus::INVALID_PARAMETER;
        }
        if !destination.is_null() {
            std::ptr::copy_nonoverlapping(out.as_ptr(), destination, fits);
            if fits < out.len() {
                return NtStatus::BUFFER_TOO_SMALL;
            }
        }
        if bad { NtStatus::SOME_NOT_MAPPED } else { NtStatus::SUCCESS }
    }
}

/// RtlMultiByteToUnicodeN: what does not fit is left out.
unsafe extern "win64" fn RtlMultiByteToUnicodeN(
    destination: *mut u16,
    room: u32,
    actual: *mut u32,
    source: *const u8,
    length: u32,
) -> NtStatus {
    // SAFETY: as declared.
    unsafe { RtlUTF8ToUnicodeN(destination, room, actual, source, length) };
    NtStatus::SUCCESS
}

/// RtlUnicodeToMultiByteN.
unsafe extern "win64" fn RtlUnicodeToMultiByteN(
    destination: *mut u8,
    room: u32,
    actual: *mut u32,
    source: *const u16,
    length: u32,
) -> NtStatus {
    // SAFETY: as declared.
    unsafe { RtlUnicodeToUTF8N(destination, room, actual, source, length) };
    NtStatus::SUCCESS
}

/// RtlMultiByteToUnicodeSize.
unsafe extern "win64" fn RtlMultiByteToUnicodeSize(size: *mut u32, source: *const u8, length: u32) -> NtStatus {
    // SAFETY: the driver's variable and buffer.
    unsafe { size.write((decode(std::slice::from_raw_parts(source, length as usize)).0.len() * 2) as u32) };
    NtStatus::SUCCESS
}

/// RtlUnicodeToMultiByteSize.
unsafe extern "win64" fn RtlUnicodeToMultiByteSize(size: *mut u32, source: *const u16, length: u32) -> NtStatus {
    // SAFETY: the driver's variable and buffer.
    unsafe {
        size.write(String::from_utf16_lossy(std::slice::from_raw_parts(source, length as usize / 2)).len() as u32)
    };
    NtStatus::SUCCESS
}

fn digits(mut value: u64, base: u32) -> Option<Vec<u16>> {
    let base = match base {
        0 | 10 => 10,
        2 | 8 | 16 => u64::from(base),
        _ => return None,
    };
    let mut out = Vec::new();
    loop {
        out.push(u16::from(b"0123456789ABCDEF"[(value % base) as usize]));
        value /= base;
        if value == 0 {
            out.reverse();
            return Some(out);
        }
    }
}

/// RtlInt64ToUnicodeString.
pub(crate) unsafe extern "win64" fn RtlInt64ToUnicodeString(
    value: u64,
    base: u32,
    string: *mut UNICODE_STRING,
) -> NtStatus {
    match digits(value, base) {
        // SAFETY: the driver's string (DDI).
        Some(units) => unsafe { write_wide(string, &units, false, false) },
        None => NtStatus::INVALID_PARAMETER,
    }
}

/// RtlIntegerToUnicodeString.
pub(crate) unsafe extern "win64" fn RtlIntegerToUnicodeString(
    value: u32,
    base: u32,
    string: *mut UNICODE_STRING,
) -> NtStatus {
    // SAFETY: the driver's string (DDI).
    unsafe { RtlInt64ToUnicodeString(value.into(), base, string) }
}

/// The number that text begins with: sign, base prefix (0x, 0o, 0b) if the base is 0.
fn parse(text: impl Iterator<Item = u16>, base: u32) -> Option<u32> {
    let mut text = text.skip_while(|&unit| unit <= 0x20).peekable();
    let negative = text.peek() == Some(&u16::from(b'-'));
    if negative || text.peek() == Some(&u16::from(b'+')) {
        text.next();
    }
    let mut base = base;
    let mut value = 0u32;
    if base == 0 {
        base = 10;
        if text.peek() == Some(&u16::from(b'0')) {
            text.next();
            base = match text.peek().and_then(|&unit| u8::try_from(unit).ok()) {
                Some(b'x') => 16,
                Some(b'o') => 8,
                Some(b'b') => 2,
                _ => 10,
            };
            if base != 10 {
                text.next();
            }
        }
    } else if !matches!(base, 2 | 8 | 10 | 16) {
        return None;
    }
    while let Some(digit) = text.next().and_then(|unit| char::from_u32(unit.into())).and_then(|c| c.to_digit(base)) {
        value = value.wrapping_mul(base).wrapping_add(digit);
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

/// RtlUnicodeStringToInteger.
pub(crate) unsafe extern "win64" fn RtlUnicodeStringToInteger(
    string: *const UNICODE_STRING,
    base: u32,
    value: *mut u32,
) -> NtStatus {
    // SAFETY: the driver's string and variable (DDI).
    unsafe {
        match parse(text::units(string).iter().copied(), base) {
            Some(parsed) => {
                value.write(parsed);
                NtStatus::SUCCESS
            }
            None => NtStatus::INVALID_PARAMETER,
        }
    }
}

/// RtlCharToInteger.
unsafe extern "win64" fn RtlCharToInteger(string: *const u8, base: u32, value: *mut u32) -> NtStatus {
    // SAFETY: the driver's string and variable (DDI).
    unsafe {
        let bytes = std::slice::from_raw_parts(string, super::memory::strlen(string));
        match parse(bytes.iter().map(|&byte| byte.into()), base) {
            Some(parsed) => {
                value.write(parsed);
                NtStatus::SUCCESS
            }
            None => NtStatus::INVALID_PARAMETER,
        }
    }
}

/// RtlStringFromGUID.
pub(crate) unsafe extern "win64" fn RtlStringFromGUID(guid: *const GUID, string: *mut UNICODE_STRING) -> NtStatus {
    // SAFETY: the driver's GUID and string (DDI).
    unsafe {
        let units: Vec<u16> = (*guid).to_string().encode_utf16().collect();
        write_wide(string, &units, true, true)
    }
}

/// RtlGUIDFromString.
pub(crate) unsafe extern "win64" fn RtlGUIDFromString(string: *const UNICODE_STRING, guid: *mut GUID) -> NtStatus {
    // SAFETY: the driver's string and GUID (DDI).
    unsafe {
        let text = text::wide(string);
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
        let groups: Vec<usize> = inner.split('-').map(str::len).collect();
        match u128::from_str_radix(&inner.replace('-', ""), 16) {
            Ok(value) if groups == [8, 4, 4, 4, 12] && !inner.contains('+') => {
                guid.write(GUID::from_u128(value));
                NtStatus::SUCCESS
            }
            _ => NtStatus::INVALID_PARAMETER,
        }
    }
}

exports! {
    RtlUTF8ToUnicodeN, RtlUnicodeToUTF8N, RtlMultiByteToUnicodeN, RtlUnicodeToMultiByteN, RtlMultiByteToUnicodeSize,
    RtlUnicodeToMultiByteSize, RtlOemToUnicodeN = RtlMultiByteToUnicodeN, RtlUnicodeToOemN = RtlUnicodeToMultiByteN,
    RtlInt64ToUnicodeString, RtlIntegerToUnicodeString, RtlUnicodeStringToInteger, RtlCharToInteger, RtlStringFromGUID,
    RtlGUIDFromString,
}
