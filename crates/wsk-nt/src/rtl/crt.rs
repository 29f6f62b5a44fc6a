//! The C library's string functions that ntoskrnl exports.
#![allow(unsafe_code)] // Reads and writes strings of the driver.

use crate::exports;
use crate::text::{downcase, upcase};

/// The string functions for characters of one width.
macro_rules! strings {
    ($unit:ty, $lower:expr; $compare:ident $compare_n:ident $icompare:ident $icompare_n:ident $copy:ident $copy_n:ident
        $append:ident $append_n:ident $find:ident $find_last:ident $find_text:ident) => {
        unsafe fn $compare_n(a: *const $unit, b: *const $unit, count: usize, fold: fn($unit) -> $unit) -> i32 {
            for index in 0..count {
                // SAFETY: both strings end, or are as long as the count.
                let (x, y) = unsafe { (fold(*a.add(index)), fold(*b.add(index))) };
                if x != y {
                    return if x < y { -1 } else { 1 };
                }
                if x == 0 {
                    break;
                }
            }
            0
        }

        unsafe extern "win64" fn $compare(a: *const $unit, b: *const $unit) -> i32 {
            // SAFETY: the driver's strings.
            unsafe { $compare_n(a, b, usize::MAX, |unit| unit) }
        }

        unsafe extern "win64" fn $icompare(a: *const $unit, b: *const $unit) -> i32 {
            // SAFETY: the driver's strings.
            unsafe { $compare_n(a, b, usize::MAX, $lower) }
        }

        unsafe extern "win64" fn $icompare_n(a: *const $unit, b: *const $unit, count: usize) -> i32 {
            // SAFETY: the driver's strings.
            unsafe { $compare_n(a, b, count, $lower) }
        }

        unsafe extern "win64" fn $copy(to: *mut $unit, from: *const $unit) -> *mut $unit {
            // SAFETY: the driver's string and buffer.
            unsafe {
                let mut index = 0;
                loop {
                    let unit = *from.add(index);
                    *to.add(index) = unit;
                    if unit == 0 {
                        return to;
                    }
                    index += 1;
                }
            }
        }

        unsafe extern "win64" fn $copy_n(to: *mut $unit, from: *const $unit, count: usize) -> *mut $unit {
            let mut ended = false;
            for index in 0..count {
                // SAFETY: the driver's string and buffer.
                unsafe {
                    let unit = if ended { 0 } else { *from.add(index) };
                    ended |= unit == 0;
                    *to.add(index) = unit;
                }
            }
            to
        }

        unsafe fn end_of(text: *mut $unit) -> *mut $unit {
            let mut end = text;
            // SAFETY: the driver's string.
            unsafe {
                while *end != 0 {
                    end = end.add(1);
                }
            }
            end
        }

        unsafe extern "win64" fn $append(to: *mut $unit, from: *const $unit) -> *mut $unit {
            // SAFETY: the driver's strings.
            unsafe { $copy(end_of(to), from) };
            to
        }

        unsafe extern "win64" fn $append_n(to: *mut $unit, from: *const $unit, count: usize) -> *mut $unit {
            // SAFETY: the driver's strings.
            unsafe {
                let end = end_of(to);
                let mut length = 0;
                while length < count && *from.add(length) != 0 {
                    *end.add(length) = *from.add(length);
                    length += 1;
                }
                *end.add(length) = 0;
            }
            to
        }

        unsafe extern "win64" fn $find(text: *const $unit, unit: i32) -> *const $unit {
            let mut at = text;
            // SAFETY: the driver's string.
            unsafe {
                loop {
                    if *at == unit as $unit {
                        return at;
                    }
                    if *at == 0 {
                        return std::ptr::null();
                    }
                    at = at.add(1);
                }
            }
        }

        unsafe extern "win64" fn $find_last(text: *const $unit, unit: i32) -> *const $unit {
            let mut at = text;
            let mut found = std::ptr::null();
            // SAFETY: the driver's string.
            unsafe {
                loop {
                    if *at == unit as $unit {
                        found = at;
                    }
                    if *at == 0 {
                        return found;
                    }
                    at = at.add(1);
                }
            }
        }

        unsafe extern "win64" fn $find_text(text: *const $unit, part: *const $unit) -> *const $unit {
            let mut at = text;
            // SAFETY: the driver's strings.
            unsafe {
                let length = end_of(part.cast_mut()).offset_from(part) as usize;
                loop {
                    if $compare_n(at, part, length, |unit| unit) == 0 {
                        return at;
                    }
                    if *at == 0 {
                        return std::ptr::null();
                    }
                    at = at.add(1);
                }
            }
        }
    };
}

pub mod narrow {
    //! Narrow strings.
    #![allow(unsafe_code)] // As above.
    strings!(u8, |unit| unit.to_ascii_lowercase(); strcmp strncmp_by _stricmp _strnicmp strcpy strncpy strcat strncat strchr
        strrchr strstr);

    unsafe extern "win64" fn strncmp(a: *const u8, b: *const u8, count: usize) -> i32 {
        // SAFETY: the driver's strings.
        unsafe { strncmp_by(a, b, count, |unit| unit) }
    }

    crate::exports! {
        strcmp, strncmp, _stricmp, _strnicmp, _strcmpi = _stricmp, strcpy, strncpy, strcat, strncat, strchr, strrchr, strstr,
    }
}

pub mod wide {
    //! Wide strings.
    #![allow(unsafe_code)] // As above.
    use super::downcase;

    strings!(u16, downcase; wcscmp wcsncmp_by _wcsicmp _wcsnicmp wcscpy wcsncpy wcscat wcsncat wcschr_by wcsrchr_by wcsstr);

    unsafe extern "win64" fn wcsncmp(a: *const u16, b: *const u16, count: usize) -> i32 {
        // SAFETY: the driver's strings.
        unsafe { wcsncmp_by(a, b, count, |unit| unit) }
    }

    crate::exports! {
        wcscmp, wcsncmp, _wcsicmp, _wcsnicmp, wcscpy, wcsncpy, wcscat, wcsncat, wcschr = wcschr_by, wcsrchr = wcsrchr_by, wcsstr,
    }
}

/// tolower, toupper, towlower, towupper.
extern "win64" fn tolower(unit: i32) -> i32 {
    u8::try_from(unit).map_or(unit, |byte| byte.to_ascii_lowercase().into())
}

/// toupper.
extern "win64" fn toupper(unit: i32) -> i32 {
    u8::try_from(unit).map_or(unit, |byte| byte.to_ascii_uppercase().into())
}

/// towlower.
extern "win64" fn towlower(unit: u16) -> u16 {
    downcase(unit)
}

/// towupper.
extern "win64" fn towupper(unit: u16) -> u16 {
    upcase(unit)
}

/// isdigit.
extern "win64" fn isdigit(unit: i32) -> i32 {
    i32::from(u8::try_from(unit).is_ok_and(|byte| byte.is_ascii_digit()))
}

/// isxdigit.
extern "win64" fn isxdigit(unit: i32) -> i32 {
    i32::from(u8::try_from(unit).is_ok_and(|byte| byte.is_ascii_hexdigit()))
}

/// isspace.
extern "win64" fn isspace(unit: i32) -> i32 {
    i32::from(matches!(unit, 9..=13 | 32))
}

/// isprint.
extern "win64" fn isprint(unit: i32) -> i32 {
    i32::from(matches!(unit, 32..=126))
}

/// isupper, islower.
extern "win64" fn isupper(unit: i32) -> i32 {
    i32::from(u8::try_from(unit).is_ok_and(|byte| byte.is_ascii_uppercase()))
}

/// islower.
extern "win64" fn islower(unit: i32) -> i32 {
    i32::from(u8::try_from(unit).is_ok_and(|byte| byte.is_ascii_lowercase()))
}

/// atoi, atol.
unsafe extern "win64" fn atoi(text: *const u8) -> i32 {
    // SAFETY: the driver's string.
    unsafe {
        let bytes = std::slice::from_raw_parts(text, super::memory::strlen(text)).trim_ascii_start();
        let (negative, digits) = match bytes.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, bytes),
        };
        let value = digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .fold(0i32, |value, byte| value.wrapping_mul(10).wrapping_add(i32::from(byte - b'0')));
        if negative { value.wrapping_neg() } else { value }
    }
}

exports! {
    tolower, toupper, towlower, towupper, isdigit, isxdigit, isspace, isprint, isupper, islower, atoi, atol = atoi,
}
