//! Internet addresses as text, narrow and wide (DDI: RtlIpv4AddressToStringEx, RtlIpv6StringToAddressEx and others).
#![allow(unsafe_code)] // Reads and fills buffers of the driver.

use std::net::{Ipv4Addr, Ipv6Addr};

use wsk_abi::NtStatus;

use crate::exports;

/// Characters of two widths.
trait Unit: Copy {
    fn from_ascii(byte: u8) -> Self;
    fn to_ascii(self) -> Option<u8>;
}

impl Unit for u8 {
    fn from_ascii(byte: u8) -> u8 {
        byte
    }
    fn to_ascii(self) -> Option<u8> {
        self.is_ascii().then_some(self)
    }
}

impl Unit for u16 {
    fn from_ascii(byte: u8) -> u16 {
        byte.into()
    }
    fn to_ascii(self) -> Option<u8> {
        u8::try_from(self).ok().filter(u8::is_ascii)
    }
}

/// The ASCII text at the beginning of a terminated string.
unsafe fn read<U: Unit>(text: *const U) -> String {
    let mut out = String::new();
    // SAFETY: the driver's string, which ends.
    unsafe {
        while let Some(byte) = (*text.add(out.len())).to_ascii().filter(|&byte| byte != 0) {
            out.push(char::from(byte));
        }
    }
    out
}

unsafe fn write<U: Unit>(text: &str, to: *mut U) -> *mut U {
    // SAFETY: the driver's buffer has room (DDI).
    unsafe {
        for (index, byte) in text.bytes().chain([0]).enumerate() {
            to.add(index).write(U::from_ascii(byte));
        }
        to.add(text.len())
    }
}

/// Writes text if it fits with its zero; the length includes it, in both directions.
unsafe fn write_counted<U: Unit>(text: &str, to: *mut U, length: *mut u32) -> NtStatus {
    if length.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    // SAFETY: the driver's buffer of that length (DDI).
    unsafe {
        let room = std::mem::replace(&mut *length, text.len() as u32 + 1);
        if to.is_null() || (room as usize) < text.len() + 1 {
            return NtStatus::INVALID_PARAMETER;
        }
        write(text, to);
    }
    NtStatus::SUCCESS
}

/// The text of an IPv6 address as Windows writes it: also IPv4-compatible and ISATAP addresses end in dots.
fn v6_text(octets: [u8; 16]) -> String {
    let address = Ipv6Addr::from(octets);
    let [.., a, b, c, d] = octets;
    let segments = address.segments();
    if segments[4] & 0xfdff == 0 && segments[5] == 0x5efe {
        let head = Ipv6Addr::from([&octets[..12], &[0xff; 4]].concat().try_into().unwrap_or([0u8; 16])).to_string();
        let head = head.strip_suffix("ffff:ffff").unwrap_or(&head);
        return format!("{head}{a}.{b}.{c}.{d}");
    }
    if segments[..6] == [0; 6] && segments[6] != 0 {
        return format!("::{a}.{b}.{c}.{d}");
    }
    address.to_string()
}

/// A number in C's notation (decimal, 0 octal, 0x hexadecimal) at the beginning of text: value and length.
fn number(text: &str, strict: bool) -> Option<(u64, usize)> {
    let hex =
        text.len() > 2 && (text.starts_with("0x") || text.starts_with("0X")) && text.as_bytes()[2].is_ascii_hexdigit();
    let (skip, radix) = if hex {
        (2, 16)
    } else if text.len() > 1 && text.starts_with('0') && text.as_bytes()[1].is_ascii_digit() {
        (1, 8)
    } else {
        (0, 10)
    };
    if strict && radix != 10 {
        return None;
    }
    let digits = text[skip..].bytes().take_while(|byte| char::from(*byte).is_digit(radix)).count();
    if digits == 0 && skip == 0 {
        return None;
    }
    let value =
        u64::from_str_radix(&text[skip..skip + digits], radix).ok().filter(|&value| value <= u32::MAX.into())?;
    Some((value, skip + digits))
}

/// An IPv4 address at the beginning of text: octets and length.
fn parse_v4(text: &str, strict: bool) -> Option<([u8; 4], usize)> {
    let mut parts = Vec::new();
    let mut at = 0;
    loop {
        let (value, length) = number(&text[at..], strict)?;
        parts.push(value);
        at += length;
        if parts.len() == 4 || !text[at..].starts_with('.') {
            break;
        }
        at += 1;
    }
    let (last, head) = parts.split_last()?;
    if strict && parts.len() != 4 || head.iter().any(|&part| part > 255) || *last >= 1 << (8 * (5 - parts.len())) {
        return None;
    }
    let value = head.iter().enumerate().fold(*last, |value, (index, part)| value | part << (24 - 8 * index));
    Some(((value as u32).to_be_bytes(), at))
}

/// An IPv6 address at the beginning of text.
fn parse_v6(text: &str) -> Option<([u8; 16], usize)> {
    let length = text.bytes().take_while(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')).count();
    (1..=length).rev().find_map(|end| Some((text[..end].parse::<Ipv6Addr>().ok()?.octets(), end)))
}

/// A port: all of the text.
fn parse_port(text: &str) -> Option<u16> {
    let (value, length) = number(text, false)?;
    (length == text.len()).then_some(())?;
    u16::try_from(value).ok()
}

fn v4_with_port(text: &str, strict: bool) -> Option<([u8; 4], u16)> {
    let (octets, length) = parse_v4(text, strict)?;
    match &text[length..] {
        "" => Some((octets, 0)),
        rest => Some((octets, parse_port(rest.strip_prefix(':')?)?)),
    }
}

fn v6_with_port(text: &str) -> Option<([u8; 16], u32, u16)> {
    let bracketed = text.strip_prefix('[');
    let body = bracketed.unwrap_or(text);
    let (octets, length) = parse_v6(body)?;
    let mut rest = &body[length..];
    let mut scope = 0;
    if let Some(tail) = rest.strip_prefix('%') {
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        scope = tail[..digits].parse().ok()?;
        rest = &tail[digits..];
    }
    let port = match (bracketed, rest) {
        (None, "") => 0,
        (Some(_), "]") => 0,
        (Some(_), _) => parse_port(rest.strip_prefix("]:")?)?,
        _ => return None,
    };
    Some((octets, scope, port))
}

/// The eight functions for characters of one width.
macro_rules! functions {
    ($unit:ty: $v4:ident $v4_ex:ident $v6:ident $v6_ex:ident $to_v4:ident $to_v4_ex:ident $to_v6:ident $to_v6_ex:ident) => {
        #[doc = concat!(stringify!($v4), ": the end of the text.")]
        unsafe extern "win64" fn $v4(address: *const [u8; 4], to: *mut $unit) -> *mut $unit {
            // SAFETY: the driver's address and buffer of 16 characters (DDI).
            unsafe { write(&Ipv4Addr::from(*address).to_string(), to) }
        }

        #[doc = concat!(stringify!($v4_ex), ": the port in network order; 0 is left out.")]
        unsafe extern "win64" fn $v4_ex(
            address: *const [u8; 4],
            port: u16,
            to: *mut $unit,
            length: *mut u32,
        ) -> NtStatus {
            // SAFETY: the driver's address and buffer (DDI).
            unsafe {
                let mut text = Ipv4Addr::from(*address).to_string();
                if port != 0 {
                    text.push_str(&format!(":{}", u16::from_be(port)));
                }
                write_counted(&text, to, length)
            }
        }

        #[doc = concat!(stringify!($v6), ": the end of the text.")]
        unsafe extern "win64" fn $v6(address: *const [u8; 16], to: *mut $unit) -> *mut $unit {
            // SAFETY: the driver's address and buffer of 46 characters (DDI).
            unsafe { write(&v6_text(*address), to) }
        }

        #[doc = concat!(stringify!($v6_ex), ": in brackets if there is a port.")]
        unsafe extern "win64" fn $v6_ex(
            address: *const [u8; 16],
            scope: u32,
            port: u16,
            to: *mut $unit,
            length: *mut u32,
        ) -> NtStatus {
            // SAFETY: the driver's address and buffer (DDI).
            unsafe {
                let mut text = v6_text(*address);
                if scope != 0 {
                    text.push_str(&format!("%{scope}"));
                }
                if port != 0 {
                    text = format!("[{text}]:{}", u16::from_be(port));
                }
                write_counted(&text, to, length)
            }
        }

        #[doc = concat!(stringify!($to_v4), ": the terminator is where parsing stopped.")]
        unsafe extern "win64" fn $to_v4(
            text: *const $unit,
            strict: u8,
            terminator: *mut *const $unit,
            address: *mut [u8; 4],
        ) -> NtStatus {
            // SAFETY: the driver's string and variables (DDI).
            unsafe {
                match parse_v4(&read(text), strict != 0) {
                    Some((octets, length)) => {
                        address.write(octets);
                        terminator.write(text.add(length));
                        NtStatus::SUCCESS
                    }
                    None => {
                        terminator.write(text);
                        NtStatus::INVALID_PARAMETER
                    }
                }
            }
        }

        #[doc = concat!(stringify!($to_v4_ex), ": the port in network order.")]
        unsafe extern "win64" fn $to_v4_ex(
            text: *const $unit,
            strict: u8,
            address: *mut [u8; 4],
            port: *mut u16,
        ) -> NtStatus {
            if text.is_null() || address.is_null() || port.is_null() {
                return NtStatus::INVALID_PARAMETER;
            }
            // SAFETY: the driver's string and variables (DDI).
            unsafe {
                let Some((octets, found)) = v4_with_port(&read(text), strict != 0) else {
                    return NtStatus::INVALID_PARAMETER;
                };
                address.write(octets);
                port.write(found.to_be());
            }
            NtStatus::SUCCESS
        }

        #[doc = concat!(stringify!($to_v6), ": the terminator is where parsing stopped.")]
        unsafe extern "win64" fn $to_v6(
            text: *const $unit,
            terminator: *mut *const $unit,
            address: *mut [u8; 16],
        ) -> NtStatus {
            // SAFETY: the driver's string and variables (DDI).
            unsafe {
                match parse_v6(&read(text)) {
                    Some((octets, length)) => {
                        address.write(octets);
                        terminator.write(text.add(length));
                        NtStatus::SUCCESS
                    }
                    None => {
                        terminator.write(text);
                        NtStatus::INVALID_PARAMETER
                    }
                }
            }
        }

        #[doc = concat!(stringify!($to_v6_ex), ": scope id, and port in network order.")]
        unsafe extern "win64" fn $to_v6_ex(
            text: *const $unit,
            address: *mut [u8; 16],
            scope: *mut u32,
            port: *mut u16,
        ) -> NtStatus {
            if text.is_null() || address.is_null() || scope.is_null() || port.is_null() {
                return NtStatus::INVALID_PARAMETER;
            }
            // SAFETY: the driver's string and variables (DDI).
            unsafe {
                let Some((octets, found_scope, found_port)) = v6_with_port(&read(text)) else {
                    return NtStatus::INVALID_PARAMETER;
                };
                address.write(octets);
                scope.write(found_scope);
                port.write(found_port.to_be());
            }
            NtStatus::SUCCESS
        }
    };
}

functions!(u8: RtlIpv4AddressToStringA RtlIpv4AddressToStringExA RtlIpv6AddressToStringA RtlIpv6AddressToStringExA
    RtlIpv4StringToAddressA RtlIpv4StringToAddressExA RtlIpv6StringToAddressA RtlIpv6StringToAddressExA);
functions!(u16: RtlIpv4AddressToStringW RtlIpv4AddressToStringExW RtlIpv6AddressToStringW RtlIpv6AddressToStringExW
    RtlIpv4StringToAddressW RtlIpv4StringToAddressExW RtlIpv6StringToAddressW RtlIpv6StringToAddressExW);

exports! {
    RtlIpv4AddressToStringA, RtlIpv4AddressToStringExA, RtlIpv6AddressToStringA, RtlIpv6AddressToStringExA,
    RtlIpv4StringToAddressA, RtlIpv4StringToAddressExA, RtlIpv6StringToAddressA, RtlIpv6StringToAddressExA,
    RtlIpv4AddressToStringW, RtlIpv4AddressToStringExW, RtlIpv6AddressToStringW, RtlIpv6AddressToStringExW,
    RtlIpv4StringToAddressW, RtlIpv4StringToAddressExW, RtlIpv6StringToAddressW, RtlIpv6StringToAddressExW,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_texts() {
        assert_eq!(parse_v4("10.1.2.3", true), Some(([10, 1, 2, 3], 8)));
        assert_eq!(parse_v4("10.1.2.3:80", true), Some(([10, 1, 2, 3], 8)));
        assert_eq!(parse_v4("10.1", true), None);
        assert_eq!(parse_v4("10.1", false), Some(([10, 0, 0, 1], 4)));
        assert_eq!(parse_v4("0x7f.1", false), Some(([127, 0, 0, 1], 6)));
        assert_eq!(parse_v4("256.1.1.1", true), None);
        assert_eq!(v4_with_port("1.2.3.4:8080", true), Some(([1, 2, 3, 4], 8080)));
        assert_eq!(v4_with_port("1.2.3.4:", true), None);
        assert_eq!(v4_with_port("1.2.3.4:65536", true), None);
    }

    #[test]
    fn ipv6_texts() {
        let one = Ipv6Addr::LOCALHOST.octets();
        assert_eq!(v6_with_port("::1"), Some((one, 0, 0)));
        assert_eq!(v6_with_port("[::1]:443"), Some((one, 0, 443)));
        assert_eq!(v6_with_port("fe80::1%7").map(|(_, scope, port)| (scope, port)), Some((7, 0)));
        assert_eq!(v6_with_port("[fe80::1%7]:9").map(|(_, scope, port)| (scope, port)), Some((7, 9)));
        assert_eq!(v6_with_port("[::1"), None);
        assert_eq!(parse_v6("::1/64").map(|(_, length)| length), Some(3));
        assert_eq!(v6_text([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]), "::1.2.3.4");
        assert_eq!(v6_text([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0x5e, 0xfe, 1, 2, 3, 4]), "fe80::5efe:1.2.3.4");
        let mut text = [0u8; 64];
        let mut length = 64;
        // SAFETY: the buffer is as long as said.
        let status =
            unsafe { RtlIpv6AddressToStringExA(&raw const one, 3, 443u16.to_be(), text.as_mut_ptr(), &raw mut length) };
        assert_eq!((status, &text[..length as usize]), (NtStatus::SUCCESS, &b"[::1%3]:443\0"[..]));
        length = 5;
        // SAFETY: as above.
        let status =
            unsafe { RtlIpv6AddressToStringExA(&raw const one, 3, 443u16.to_be(), text.as_mut_ptr(), &raw mut length) };
        assert_eq!((status, length), (NtStatus::INVALID_PARAMETER, 12));
    }
}
