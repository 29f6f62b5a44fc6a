//! printf as the Windows kernel understands it, over the argument array of a variadic win64 function: 8-byte slots.
#![allow(unsafe_code)] // Follows the arguments of a driver's call.

use wsk_abi::io::{STRING, UNICODE_STRING};

use crate::exports;

mod unit;

use unit::{Unit, string};

/// The arguments after the format: a win64 va_list.
pub(crate) type Arguments = *const u64;

/// Widths, and precisions of integers, are cut to this: nobody means more, and the text is built in memory.
const WIDEST: usize = 1 << 16;
/// Precisions of floating point numbers are cut to this.
const FINEST: usize = 512;

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

fn pad<U: Unit>(out: &mut Vec<U>, spec: &Spec, sign: &str, body: &[U], numeric: bool) {
    let fill = spec.width.min(WIDEST).saturating_sub(sign.len() + body.len());
    let fill = |unit: u8| std::iter::repeat_n(U::from(unit), fill);
    if spec.left {
        U::add_narrow(out, sign.as_bytes());
        out.extend_from_slice(body);
        out.extend(fill(b' '));
    } else if spec.zero && numeric {
        U::add_narrow(out, sign.as_bytes());
        out.extend(fill(b'0'));
        out.extend_from_slice(body);
    } else {
        out.extend(fill(b' '));
        U::add_narrow(out, sign.as_bytes());
        out.extend_from_slice(body);
    }
}

fn pad_ascii<U: Unit>(out: &mut Vec<U>, spec: &Spec, sign: &str, body: &str, numeric: bool) {
    let mut units = Vec::with_capacity(body.len());
    U::add_narrow(&mut units, body.as_bytes());
    pad(out, spec, sign, &units, numeric);
}

fn integer<U: Unit>(out: &mut Vec<U>, spec: &Spec, value: u64, negative: bool, signed: bool, base: u8) {
    let mut body = match base {
        b'x' => format!("{value:x}"),
        b'X' => format!("{value:X}"),
        b'o' => format!("{value:o}"),
        _ => value.to_string(),
    };
    if let Some(precision) = spec.precision {
        if precision == 0 && value == 0 {
            body.clear();
        }
        body.insert_str(0, &"0".repeat(precision.min(WIDEST).saturating_sub(body.len())));
    }
    let sign = match base {
        _ if negative => "-",
        _ if signed && spec.plus => "+",
        _ if signed && spec.space => " ",
        b'x' if spec.alternate && value != 0 => "0x",
        b'X' if spec.alternate && value != 0 => "0X",
        b'o' if spec.alternate && !body.starts_with('0') => "0",
        _ => "",
    };
    pad_ascii(out, spec, sign, &body, spec.precision.is_none());
}

/// A number as mantissa, with so many digits after the point, and exponent.
fn scientific(magnitude: f64, digits: usize) -> (String, i32) {
    let text = format!("{magnitude:.digits$e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.to_owned(), power.parse().unwrap_or(0))
}

fn exponent(power: i32) -> String {
    format!("e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}

/// %g: the exponent of the rounded number decides about the form.
fn general(magnitude: f64, digits: usize, keep_zeros: bool) -> String {
    let (mantissa, power) = scientific(magnitude, digits - 1);
    let (number, tail) = if power < -4 || power >= digits as i32 {
        (mantissa, exponent(power))
    } else {
        (format!("{magnitude:.*}", (digits as i32 - 1 - power) as usize), String::new())
    };
    let number = match number.contains('.') && !keep_zeros {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => &number,
    };
    format!("{number}{tail}")
}

fn float<U: Unit>(out: &mut Vec<U>, spec: &Spec, value: f64, conversion: u8) {
    let precision = spec.precision.unwrap_or(6).min(FINEST);
    let magnitude = value.abs();
    let body = match conversion {
        _ if !value.is_finite() => if value.is_nan() { "nan" } else { "inf" }.to_owned(),
        b'e' | b'E' => {
            let (mantissa, power) = scientific(magnitude, precision);
            mantissa + &exponent(power)
        }
        b'g' | b'G' => general(magnitude, precision.max(1), spec.alternate),
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
    pad_ascii(out, spec, sign, &body, value.is_finite());
}

/// The format, as it is read.
struct Format<'a, U>(&'a [U]);

impl<U: Unit> Format<'_, U> {
    fn next(&mut self) -> Option<U> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// The next unit if it is an ASCII character that `wanted` knows.
    fn next_if<T>(&mut self, wanted: impl FnOnce(u8) -> Option<T>) -> Option<T> {
        let (first, rest) = self.0.split_first()?;
        let found = wanted(first.ascii()?)?;
        self.0 = rest;
        Some(found)
    }

    fn next_is(&mut self, wanted: u8) -> bool {
        self.next_if(|c| (c == wanted).then_some(())).is_some()
    }

    fn number(&mut self) -> usize {
        let mut value = 0usize;
        while let Some(digit) = self.next_if(|c| c.is_ascii_digit().then(|| c - b'0')) {
            value = value.saturating_mul(10).saturating_add(digit.into()).min(i32::MAX as usize);
        }
        value
    }

    fn flags(&mut self) -> Spec {
        let mut spec = Spec::default();
        while let Some(flag) = self.next_if(|c| b"-+ #0".contains(&c).then_some(c)) {
            match flag {
                b'-' => spec.left = true,
                b'+' => spec.plus = true,
                b' ' => spec.space = true,
                b'#' => spec.alternate = true,
                _ => spec.zero = true,
            }
        }
        spec
    }

    fn length(&mut self) -> Length {
        let mut length = Length::Default;
        while let Some((modifier, next)) = self.next_if(|c| {
            Some(match (c, length) {
                (b'h', Length::Short) => (c, Length::Char),
                (b'h', _) => (c, Length::Short),
                (b'l', Length::Long) => (c, Length::Quad),
                (b'l', _) => (c, Length::Long),
                (b'w', _) => (c, Length::Wide),
                (b'z' | b'j' | b't' | b'L' | b'I', _) => (c, Length::Quad),
                _ => return None,
            })
        }) {
            length = next;
            if modifier == b'I' {
                // I64, I32, or I alone for a pointer's size.
                if self.next_is(b'6') {
                    self.next_is(b'4');
                } else if self.next_is(b'3') {
                    self.next_is(b'2');
                    length = Length::Default;
                }
            }
        }
        length
    }
}

/// Formats, and stops once there is more than `room`.
///
/// # Safety
/// `arguments` must hold what the format asks for.
unsafe fn format_within<U: Unit>(format: &[U], arguments: Arguments, room: usize) -> Vec<U> {
    let mut out = Vec::new();
    let mut arguments = Reader(arguments);
    let mut rest = Format(format);
    while out.len() <= room
        && let Some(unit) = rest.next()
    {
        if unit != U::from(b'%') {
            out.push(unit);
            continue;
        }
        let mut spec = rest.flags();
        if rest.next_is(b'*') {
            // SAFETY: the caller's promise.
            let width = unsafe { arguments.next() } as i32;
            spec.left |= width < 0;
            spec.width = width.unsigned_abs() as usize;
        } else {
            spec.width = rest.number();
        }
        if rest.next_is(b'.') {
            spec.precision = if rest.next_is(b'*') {
                // SAFETY: the caller's promise.
                usize::try_from(unsafe { arguments.next() } as i32).ok()
            } else {
                Some(rest.number())
            };
        }
        let length = rest.length();
        let Some(conversion) = rest.next() else { break };
        // SAFETY: the caller's promise, for each argument.
        unsafe { convert(&mut out, &spec, conversion, length, &mut arguments) };
    }
    out
}

/// Formats all of it.
///
/// # Safety
/// `format` must be a string that ends, and `arguments` hold what it asks for.
pub(crate) unsafe fn format(format: *const u8, arguments: Arguments) -> Vec<u8> {
    // SAFETY: the caller's promise.
    unsafe { format_within(&text(format), arguments, usize::MAX) }
}

unsafe fn convert<U: Unit>(out: &mut Vec<U>, spec: &Spec, conversion: U, length: Length, arguments: &mut Reader) {
    // SAFETY: the caller's promise (all of it).
    unsafe {
        match conversion.ascii().unwrap_or(0) {
            b'%' => out.push(conversion),
            b'd' | b'i' => {
                let raw = arguments.next();
                let value = match length {
                    Length::Char => i64::from(raw as i8),
                    Length::Short => i64::from(raw as i16),
                    Length::Quad => raw as i64,
                    _ => i64::from(raw as i32),
                };
                integer(out, spec, value.unsigned_abs(), value < 0, true, b'd');
            }
            base @ (b'u' | b'x' | b'X' | b'o') => {
                let raw = arguments.next();
                let value = match length {
                    Length::Char => u64::from(raw as u8),
                    Length::Short => u64::from(raw as u16),
                    Length::Quad => raw,
                    _ => u64::from(raw as u32),
                };
                integer(out, spec, value, false, false, base);
            }
            b'p' | b'P' => pad_ascii(out, spec, "", &format!("{:016X}", arguments.next()), false),
            form @ (b'e' | b'E' | b'f' | b'F' | b'g' | b'G') => {
                float(out, spec, f64::from_bits(arguments.next()), form);
            }
            kind @ (b'c' | b'C') => {
                let raw = arguments.next();
                let mut body = Vec::new();
                if is_wide(kind == b'C', length, U::WIDE) {
                    U::add_wide(&mut body, &[raw as u16]);
                } else {
                    U::add_narrow(&mut body, &[raw as u8]);
                }
                pad(out, spec, "", &body, false);
            }
            kind @ (b's' | b'S') => {
                let is_wide = is_wide(kind == b'S', length, U::WIDE);
                let body = string(arguments.next(), spec.precision.unwrap_or(usize::MAX), is_wide);
                pad(out, spec, "", &body, false);
            }
            b'Z' => {
                let body = counted(arguments.next(), spec, matches!(length, Length::Wide | Length::Long));
                pad(out, spec, "", &body, false);
            }
            b'n' => {
                arguments.next();
            }
            _ => out.extend([U::from(b'%'), conversion]),
        }
    }
}

/// A counted string argument.
unsafe fn counted<U: Unit>(address: u64, spec: &Spec, is_wide: bool) -> Vec<U> {
    let limit = spec.precision.unwrap_or(usize::MAX);
    // SAFETY: NULL, or the driver's counted string with its buffer.
    unsafe {
        let (buffer, units) = if address == 0 {
            (0, usize::MAX)
        } else if is_wide {
            let string = (address as *const UNICODE_STRING).read_unaligned();
            (string.Buffer as u64, string.Length as usize / 2)
        } else {
            let string = (address as *const STRING).read_unaligned();
            (string.Buffer as u64, string.Length as usize)
        };
        if units == 0 { Vec::new() } else { string(buffer, units.min(limit), is_wide) }
    }
}

/// Whether a string argument is wide: `h` and `l` (or `w`) decide; else the format's own kind, turned over by a capital.
fn is_wide(capital: bool, length: Length, wide_format: bool) -> bool {
    match length {
        Length::Short | Length::Char => false,
        Length::Long | Length::Wide | Length::Quad => true,
        Length::Default => wide_format != capital,
    }
}

/// A driver's string, `(null)` if it is none.
pub(crate) unsafe fn text(address: *const u8) -> Vec<u8> {
    // SAFETY: the driver's string.
    unsafe { string(address as u64, usize::MAX, false) }
}

/// Formats into a buffer of `count` units as _vsnprintf does: the length, or -1 if it does not fit; a zero only if it does.
unsafe fn into_buffer<U: Unit>(buffer: *mut U, count: usize, format: *const U, arguments: Arguments) -> i32 {
    // SAFETY: the driver's format, arguments and buffer.
    unsafe {
        let format: Vec<U> = string(format as u64, usize::MAX, U::WIDE);
        let text: Vec<U> = format_within(&format, arguments, if buffer.is_null() { usize::MAX } else { count });
        if buffer.is_null() {
            return text.len() as i32;
        }
        let copied = text.len().min(count);
        std::ptr::copy_nonoverlapping(text.as_ptr().cast::<u8>(), buffer.cast(), copied * size_of::<U>());
        if text.len() < count {
            buffer.add(text.len()).write_unaligned(U::from(0));
        }
        if text.len() <= count { text.len() as i32 } else { -1 }
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
    unsafe { into_buffer(buffer, count, format, arguments) }
}

/// _vsnwprintf.
pub(crate) unsafe extern "win64" fn _vsnwprintf(
    buffer: *mut u16,
    count: usize,
    format: *const u16,
    arguments: Arguments,
) -> i32 {
    // SAFETY: the driver's.
    unsafe { into_buffer(buffer, count, format, arguments) }
}

/// vsprintf.
unsafe extern "win64" fn vsprintf(buffer: *mut u8, format: *const u8, arguments: Arguments) -> i32 {
    // SAFETY: the driver's.
    unsafe { into_buffer(buffer, isize::MAX as usize, format, arguments) }
}

/// vswprintf, as the kernel's swprintf: no count.
unsafe extern "win64" fn vswprintf(buffer: *mut u16, format: *const u16, arguments: Arguments) -> i32 {
    // SAFETY: the driver's.
    unsafe { into_buffer(buffer, isize::MAX as usize, format, arguments) }
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
