//! Strings of drivers as Rust strings, and back.
#![allow(unsafe_code)] // Reads counted and zero-terminated strings.

use wsk_abi::io::{STRING, UNICODE_STRING};

/// The units of a counted string; none of a null one.
///
/// # Safety
/// NULL or a counted string.
pub(crate) unsafe fn units<'a>(string: *const UNICODE_STRING) -> &'a [u16] {
    // SAFETY: the caller's promise; UTF-16 buffers are aligned to 2.
    unsafe {
        match string.as_ref() {
            Some(string) if !string.Buffer.is_null() => {
                std::slice::from_raw_parts(string.Buffer, string.Length as usize / 2)
            }
            _ => &[],
        }
    }
}

/// A counted string as a Rust one.
///
/// # Safety
/// NULL or a counted string.
pub(crate) unsafe fn wide(string: *const UNICODE_STRING) -> String {
    // SAFETY: the caller's promise.
    String::from_utf16_lossy(unsafe { units(string) })
}

/// The bytes of a counted string.
///
/// # Safety
/// NULL or a counted string.
pub(crate) unsafe fn bytes<'a>(string: *const STRING) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe {
        match string.as_ref() {
            Some(string) if !string.Buffer.is_null() => {
                std::slice::from_raw_parts(string.Buffer.cast(), string.Length as usize)
            }
            _ => &[],
        }
    }
}

/// The units of a zero-terminated string; none of a null one.
///
/// # Safety
/// NULL or a string that ends.
pub(crate) unsafe fn terminated<'a>(text: *const u16) -> &'a [u16] {
    if text.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(text, crate::rtl::memory::wcslen(text)) }
}

/// A counted string over units that the caller keeps.
#[cfg(test)]
pub(crate) fn counted(units: &mut [u16]) -> UNICODE_STRING {
    let length = (units.len() * 2) as u16;
    UNICODE_STRING { Length: length, MaximumLength: length, Buffer: units.as_mut_ptr() }
}

/// Upper case of one unit, as the kernel's table has it for most: one to one.
pub(crate) fn upcase(unit: u16) -> u16 {
    match unit {
        0x61..=0x7a => unit - 0x20,
        0..0x80 => unit,
        _ => char::from_u32(unit.into()).map_or(unit, |c| {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(one), None) => u16::try_from(u32::from(one)).unwrap_or(unit),
                _ => unit,
            }
        }),
    }
}

/// Lower case of one unit.
pub(crate) fn downcase(unit: u16) -> u16 {
    match unit {
        0x41..=0x5a => unit + 0x20,
        0..0x80 => unit,
        _ => char::from_u32(unit.into()).map_or(unit, |c| {
            let mut lower = c.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(one), None) => u16::try_from(u32::from(one)).unwrap_or(unit),
                _ => unit,
            }
        }),
    }
}
