//! printf as the Windows kernel understands it, over the argument array of a variadic win64 function: 8-byte slots.
#![allow(unsafe_code)] // Follows the arguments of a driver's call.

use wsk_abi::io::{STRING, UNICODE_STRING};

use crate::exports;

/// The arguments after the format: a win64 va_list.
pub(crate) type Arguments = *const u64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Default,
    Char,
    Short,
    Long,
    Quad,
    Wide,
}

#[derive(Default)]
struct Spec {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

struct Reader(Arguments);

impl Reader {
    unsafe fn next(&mut self) -> u64 {
        // SAFETY: the format names as many arguments as there are (the driver's contract).
        unsafe {
            let value = self.0.read();
            self.0 = self.0.add(1);
            value
        }
    }
}

/// A string argument: its characters.
unsafe fn narrow(address: u64, precision: Option<usize>) -> Vec<char> {
    if address == 0 {
        return "(null)".chars().collect();
    }
    // SAFETY: a string of the driver, which ends or is as long as the precision says.
    let bytes = unsafe {
        let text = address as *const u8;
        let limit = precision.unwrap_or(usize::MAX);
        let mut length = 0;
        while length < limit && *text.add(length) != 0 {
            length += 1;
        }
        std::slice::from_raw_parts(text, length)
    };
    String::from_utf8_lossy(bytes).chars().collect()
}

unsafe fn wide(address: u64, precision: Option<usize>) -> Vec<char> {
    if address == 0 {
        return "(null)".chars().collect();
    }
    // SAFETY: as in `narrow`.
    unsafe {
        let text = address as *const u16;
        let limit = precision.unwrap_or(usize::MAX);
        let mut units = Vec::new();
        while units.len() < limit && text.add(units.len()).read_unaligned() != 0 {
            units.push(text.add(units.len()).read_unaligned());
        }
        char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect()
    }
}

fn pad(out: &mut String, spec: &Spec, sign: &str, body: &str, numeric: bool) {
    let length = sign.chars().count() + body.chars().count();
    let fill = spec.width.saturating_sub(length);
    if spec.left {
        out.push_str(sign);
        out.push_str(body);
        out.extend(std::iter::repeat_n(' ', fill));
    } else if spec.zero && numeric {
        out.push_str(sign);
        out.extend(std::iter::repeat_n('0', fill));
        out.push_str(body);
    } else {
        out.extend(std::iter::repeat_n(' ', fill));
        out.push_str(sign);
        out.push_str(body);
    }
}

fn integer(out: &mut String, spec: &Spec, value: u64, negative: bool, signed: bool, base: char) {
    let mut body = match base {
        'x' => format!("{value:x}"),
        'X' => format!("{value:X}"),
        'o' => format!("{value:o}"),
        _ => value.to_string(),
    };
    if let Some(precision) = spec.precision {
        if precision == 0 && value == 0 {
            body.clear();
        }
        body.insert_str(0, &"0".repeat(precision.saturating_sub(body.len())));
    }
    let sign = match base {
        _ if negative => "-",
        _ if signed && spec.plus => "+",
        _ if signed && spec.space => " ",
        'x' if spec.alternate && value != 0 => "0x",
        'X' if spec.alternate && value != 0 => "0X",
        'o' if spec.alternate && !body.starts_with('0') => "0",
        _ => "",
    };
    pad(out, spec, sign, &body, spec.precision.is_none());
}

fn float(out: &mut String, spec: &Spec, value: f64, conversion: char) {
    let precision = spec.precision.unwrap_or(6);
    let magnitude = value.abs();
    let exponent = |digits: usize| {
        let text = format!("{magnitude:.digits$e}");
        let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
        let power: i32 = power.parse().unwrap_or(0);
        format!("{mantissa}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
    };
    let body = match conversion {
        _ if !value.is_finite() => if value.is_nan() { "nan" } else { "inf" }.to_owned(),
        'e' | 'E' => exponent(precision),
        'g' | 'G' => {
            let digits = precision.max(1);
            let power = if magnitude == 0.0 { 0 } else { magnitude.log10().floor() as i32 };
            let text = if power < -4 || power >= digits as i32 {
                exponent(digits - 1)
            } else {
                format!("{magnitude:.*}", (digits as i32 - 1 - power).max(0) as usize)
            };
            if spec.alternate || !text.contains('.') {
                text
            } else {
                let (mantissa, power) = text.split_once('e').map_or((text.as_str(), None), |(m, p)| (m, Some(p)));
                let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
                power.map_or_else(|| mantissa.to_owned(), |power| format!("{mantissa}e{power}"))
            }
        }
        _ => format!("{magnitude:.precision$}"),
    };
    let body = if conversion.is_ascii_uppercase() { body.to_uppercase() } else { body };
    let sign = if value.is_sign_negative() {
        "-"
    } else if spec.plus {
        "+"
    } else if spec.space {
        " "
    } else {
        ""
    };
    pad(out, spec, sign, &body, value.is_finite());
}

/// Formats; `wide_format` says what plain `%s` and `%c` mean.
///
/// # Safety
/// `arguments` must hold what the format asks for.
pub(crate) unsafe fn format(format: &[char], arguments: Arguments, wide_format: bool) -> String {
    let mut out = String::new();
    let mut arguments = Reader(arguments);
    let mut rest = format.iter().copied().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(&flag) = rest.peek() {
            match flag {
                '-' => spec.left = true,
                '+' => spec.plus = true,
                ' ' => spec.space = true,
                '#' => spec.alternate = true,
                '0' => spec.zero = true,
                _ => break,
            }
            rest.next();
        }
        let number = |rest: &mut std::iter::Peekable<_>| {
            let mut value = 0usize;
            while let Some(digit) = rest.next_if(char::is_ascii_digit).and_then(|c: char| c.to_digit(10)) {
                value = value.saturating_mul(10).saturating_add(digit as usize).min(1 << 16);
            }
            value
        };
        if rest.next_if_eq(&'*').is_some() {
            // SAFETY: the caller's promise.
            let width = unsafe { arguments.next() } as i32;
            spec.left |= width < 0;
            spec.width = (width.unsigned_abs() as usize).min(1 << 16);
        } else {
            spec.width = number(&mut rest);
        }
        if rest.next_if_eq(&'.').is_some() {
            spec.precision = if rest.next_if_eq(&'*').is_some() {
                // SAFETY: the caller's promise.
                usize::try_from(unsafe { arguments.next() } as i32).ok()
            } else {
                Some(number(&mut rest))
            };
        }
        let mut length = Length::Default;
        while let Some(&modifier) = rest.peek() {
            length = match (modifier, length) {
                ('h', Length::Short) => Length::Char,
                ('h', _) => Length::Short,
                ('l', Length::Long) => Length::Quad,
                ('l', _) => Length::Long,
                ('w', _) => Length::Wide,
                ('z' | 'j' | 't' | 'L', _) => Length::Quad,
                ('I', _) => Length::Quad,
                _ => break,
            };
            rest.next();
            if modifier == 'I' {
                // I64, I32, or I alone for a pointer's size.
                if rest.next_if_eq(&'6').is_some() {
                    rest.next_if_eq(&'4');
                } else if rest.next_if_eq(&'3').is_some() {
                    rest.next_if_eq(&'2');
                    length = Length::Default;
                }
            }
        }
        let Some(conversion) = rest.next() else { break };
        // SAFETY: the caller's promise, for each argument.
        unsafe { convert(&mut out, &spec, conversion, length, &mut arguments, wide_format) };
    }
    out
}

unsafe fn convert(
    out: &mut String,
    spec: &Spec,
    conversion: char,
    length: Length,
    arguments: &mut Reader,
    wide_format: bool,
) {
    // SAFETY: the caller's promise (all of it).
    unsafe {
        match conversion {
            '%' => out.push('%'),
            'd' | 'i' => {
                let raw = arguments.next();
                let value = match length {
                    Length::Char => i64::from(raw as i8),
                    Length::Short => i64::from(raw as i16),
                    Length::Quad => raw as i64,
                    _ => i64::from(raw as i32),
                };
                integer(out, spec, value.unsigned_abs(), value < 0, true, 'd');
            }
            'u' | 'x' | 'X' | 'o' => {
                let raw = arguments.next();
                let value = match length {
                    Length::Char => u64::from(raw as u8),
                    Length::Short => u64::from(raw as u16),
                    Length::Quad => raw,
                    _ => u64::from(raw as u32),
                };
                integer(out, spec, value, false, false, conversion);
            }
            'p' | 'P' => pad(out, spec, "", &format!("{:016X}", arguments.next()), false),
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => float(out, spec, f64::from_bits(arguments.next()), conversion),
            'c' | 'C' => {
                let raw = arguments.next();
                let is_wide = is_wide(conversion == 'C', length, wide_format);
                let unit = if is_wide { raw as u16 } else { u16::from(raw as u8) };
                pad(out, spec, "", &char::from_u32(unit.into()).unwrap_or('\u{fffd}').to_string(), false);
            }
            's' | 'S' => {
                let address = arguments.next();
                let is_wide = is_wide(conversion == 'S', length, wide_format);
                let text = if is_wide { wide(address, spec.precision) } else { narrow(address, spec.precision) };
                pad(out, spec, "", &String::from_iter(text), false);
            }
            'Z' => {
                let address = arguments.next();
                let text = if address == 0 {
                    narrow(0, None)
                } else if matches!(length, Length::Wide | Length::Long) {
                    let string = &*(address as *const UNICODE_STRING);
                    counted(string.Buffer as u64, string.Length as usize / 2, spec, wide)
                } else {
                    let string = &*(address as *const STRING);
                    counted(string.Buffer as u64, string.Length as usize, spec, narrow)
                };
                pad(out, spec, "", &String::from_iter(text), false);
            }
            'n' => {
                arguments.next();
            }
            other => {
                out.push('%');
                out.push(other);
            }
        }
    }
}

unsafe fn counted(
    buffer: u64,
    units: usize,
    spec: &Spec,
    read: unsafe fn(u64, Option<usize>) -> Vec<char>,
) -> Vec<char> {
    let units = spec.precision.map_or(units, |precision| precision.min(units));
    // SAFETY: the string's buffer and length.
    if units == 0 { Vec::new() } else { unsafe { read(buffer, Some(units)) } }
}

/// Whether a string argument is wide: `h` and `l` (or `w`) decide; else the format's own kind, turned over by a capital.
fn is_wide(capital: bool, length: Length, wide_format: bool) -> bool {
    match length {
        Length::Short | Length::Char => false,
        Length::Long | Length::Wide | Length::Quad => true,
        Length::Default => wide_format != capital,
    }
}

/// The characters of a driver's format string.
pub(crate) unsafe fn format_characters(format: *const u8) -> Vec<char> {
    // SAFETY: the driver's string.
    unsafe { narrow(format as u64, None) }
}

/// Formats into a buffer of `count` bytes as _vsnprintf does: the length, or -1 if it does not fit; a zero only if it does.
unsafe fn into_bytes(buffer: *mut u8, count: usize, format_string: *const u8, arguments: Arguments) -> i32 {
    // SAFETY: the driver's format, arguments and buffer.
    unsafe {
        let text = format(&format_characters(format_string), arguments, false);
        if buffer.is_null() {
            return text.len() as i32;
        }
        std::ptr::copy_nonoverlapping(text.as_ptr(), buffer, text.len().min(count));
        if text.len() < count {
            *buffer.add(text.len()) = 0;
        }
        if text.len() <= count { text.len() as i32 } else { -1 }
    }
}

unsafe fn into_units(buffer: *mut u16, count: usize, format_string: *const u16, arguments: Arguments) -> i32 {
    // SAFETY: the driver's format, arguments and buffer.
    unsafe {
        let text = format(&wide(format_string as u64, None), arguments, true);
        let units: Vec<u16> = text.encode_utf16().collect();
        if buffer.is_null() {
            return units.len() as i32;
        }
        std::ptr::copy_nonoverlapping(units.as_ptr(), buffer, units.len().min(count));
        if units.len() < count {
            *buffer.add(units.len()) = 0;
        }
        if units.len() <= count { units.len() as i32 } else { -1 }
    }
}

/// _vsnprintf.
pub(crate) unsafe extern "win64" fn _vsnprintf(
    buffer: *mut u8,
    count: usize,
    format: *const u8,
    arguments: Arguments,
) -> i32 {
    // SAFETY: the driver's.
    unsafe { into_bytes(buffer, count, format, arguments) }
}

/// _vsnwprintf.
pub(crate) unsafe extern "win64" fn _vsnwprintf(
    buffer: *mut u16,
    count: usize,
    format: *const u16,
    arguments: Arguments,
) -> i32 {
    // SAFETY: the driver's.
    unsafe { into_units(buffer, count, format, arguments) }
}

/// vsprintf.
unsafe extern "win64" fn vsprintf(buffer: *mut u8, format: *const u8, arguments: Arguments) -> i32 {
    // SAFETY: the driver's.
    unsafe { into_bytes(buffer, isize::MAX as usize, format, arguments) }
}

/// vswprintf, as the kernel's swprintf: no count.
unsafe extern "win64" fn vswprintf(buffer: *mut u16, format: *const u16, arguments: Arguments) -> i32 {
    // SAFETY: the driver's.
    unsafe { into_units(buffer, isize::MAX as usize, format, arguments) }
}

/// A variadic export of `fixed` arguments: stores the argument registers where the stack arguments go on, and calls `inner`
/// with the address of the first variable one after them.
macro_rules! variadic {
    ($(#[$meta:meta])* $name:ident = $inner:path, fixed 1) => { variadic!(@ $(#[$meta])* $name, $inner, "lea rdx, [rsp + 16]"); };
    ($(#[$meta:meta])* $name:ident = $inner:path, fixed 2) => { variadic!(@ $(#[$meta])* $name, $inner, "lea r8, [rsp + 24]"); };
    ($(#[$meta:meta])* $name:ident = $inner:path, fixed 3) => { variadic!(@ $(#[$meta])* $name, $inner, "lea r9, [rsp + 32]"); };
    (@ $(#[$meta:meta])* $name:ident, $inner:path, $list:literal) => {
        $(#[$meta])*
        #[unsafe(naked)]
        pub(crate) unsafe extern "win64" fn $name() {
            std::arch::naked_asm!(
                "mov [rsp + 8], rcx",
                "mov [rsp + 16], rdx",
                "mov [rsp + 24], r8",
                "mov [rsp + 32], r9",
                $list,
                "sub rsp, 0x28",
                "call {inner}",
                "add rsp, 0x28",
                "ret",
                inner = sym $inner,
            )
        }
    };
}
pub(crate) use variadic;

variadic! {
    /// _snprintf.
    _snprintf = _vsnprintf, fixed 3
}
variadic! {
    /// _snwprintf.
    _snwprintf = _vsnwprintf, fixed 3
}
variadic! {
    /// sprintf.
    sprintf = vsprintf, fixed 2
}
variadic! {
    /// swprintf.
    swprintf = vswprintf, fixed 2
}

exports! {
    _vsnprintf, _vsnwprintf, vsprintf, vswprintf, _snprintf, _snwprintf, sprintf, swprintf,
}

#[cfg(test)]
mod tests;
