//! Addresses as text: what is read is written and read again the same, and texts are written into the room there is.
#![allow(unsafe_code)] // Calls functions that drivers import.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use wsk_abi::NtStatus;

use super::{Target, export, outcome, room, untouched};

pub(super) const TARGET: Target =
    Target { name: "address_text", what: "addresses as text (RtlIpv6StringToAddressEx and others)", seeds, run };

type FromV4 = unsafe extern "win64" fn(*const u8, u8, *mut [u8; 4], *mut u16) -> NtStatus;
type FromV6 = unsafe extern "win64" fn(*const u8, *mut [u8; 16], *mut u32, *mut u16) -> NtStatus;
type ToV4 = unsafe extern "win64" fn(*const [u8; 4], u16, *mut u8, *mut u32) -> NtStatus;
type ToV6 = unsafe extern "win64" fn(*const [u8; 16], u32, u16, *mut u8, *mut u32) -> NtStatus;
type Start = unsafe extern "win64" fn(*const u16, *mut *const u16, *mut [u8; 16]) -> NtStatus;

fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "10.1.2.3",
        "10.1.2.3:80",
        "0x7f.1",
        "017.0.0.1",
        "1",
        "::",
        "::1",
        "[::1]:443",
        "fe80::1%7",
        "[fe80::1%7]:9",
        "::ffff:1.2.3.4",
        "1:2:3:4:5:6:7:8",
        "fe80::5efe:1.2.3.4",
        "2001:db8::/32",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn run(input: &[u8]) -> u64 {
    let text: Vec<u8> = input.iter().copied().take_while(|byte| *byte != 0).chain([0]).collect();
    outcome((v4(&text, false), v4(&text, true), v6(&text), start(&text)))
}

fn v4(text: &[u8], strict: bool) -> i32 {
    // SAFETY: the exports have these types.
    let (from, to): (FromV4, ToV4) =
        unsafe { (export("RtlIpv4StringToAddressExA"), export("RtlIpv4AddressToStringExA")) };
    let (mut octets, mut port) = ([0; 4], 0);
    // SAFETY: a terminated text, and variables.
    let status = unsafe { from(text.as_ptr(), strict.into(), &raw mut octets, &raw mut port) };
    // As Rust reads it, but for numbers that begin with 0: they are octal here.
    let text = str::from_utf8(&text[..text.len() - 1]).unwrap_or_default();
    if let Some(known) =
        text.parse::<SocketAddrV4>().ok().filter(|known| known.port() != 0 && known.to_string() == text)
    {
        assert_eq!((status, octets, u16::from_be(port)), (NtStatus::SUCCESS, known.ip().octets(), known.port()));
    }
    if status.is_success() {
        // SAFETY: as `written` says.
        let again = written(|to_text, length| unsafe { to(&raw const octets, port, to_text, length) });
        let (mut same, mut same_port) = ([0; 4], 0);
        // SAFETY: as above.
        assert!(unsafe { from(again.as_ptr(), 1, &raw mut same, &raw mut same_port) }.is_success());
        assert_eq!((same, same_port), (octets, port));
        assert!(str::from_utf8(&again).unwrap().starts_with(&Ipv4Addr::from(octets).to_string()));
    }
    kind(status)
}

fn v6(text: &[u8]) -> i32 {
    // SAFETY: the exports have these types.
    let (from, to): (FromV6, ToV6) =
        unsafe { (export("RtlIpv6StringToAddressExA"), export("RtlIpv6AddressToStringExA")) };
    let (mut octets, mut scope, mut port) = ([0; 16], 0, 0);
    // SAFETY: a terminated text, and variables.
    let status = unsafe { from(text.as_ptr(), &raw mut octets, &raw mut scope, &raw mut port) };
    if let Some(known) = str::from_utf8(&text[..text.len() - 1]).ok().and_then(|text| text.parse::<Ipv6Addr>().ok()) {
        assert_eq!((status, octets, scope, port), (NtStatus::SUCCESS, known.octets(), 0, 0));
    }
    if status.is_success() {
        // SAFETY: as `written` says.
        let again = written(|to_text, length| unsafe { to(&raw const octets, scope, port, to_text, length) });
        let (mut same, mut same_scope, mut same_port) = ([0; 16], 0, 0);
        // SAFETY: as above.
        let status = unsafe { from(again.as_ptr(), &raw mut same, &raw mut same_scope, &raw mut same_port) };
        assert_eq!((status, same, same_scope, same_port), (NtStatus::SUCCESS, octets, scope, port));
    }
    kind(status)
}

/// Where reading stops lies in the text.
fn start(text: &[u8]) -> i32 {
    // SAFETY: the export has this type.
    let from: Start = unsafe { export("RtlIpv6StringToAddressW") };
    let wide: Vec<u16> = text.iter().map(|byte| u16::from(*byte)).collect();
    let (mut end, mut octets) = (std::ptr::null(), [0; 16]);
    // SAFETY: a terminated text, and variables.
    let status = unsafe { from(wide.as_ptr(), &raw mut end, &raw mut octets) };
    assert!(wide.as_ptr_range().contains(&end), "the terminator is in the text");
    kind(status)
}

/// The text that a function writes, terminated: into as much room as it asks for, never into less.
fn written(write: impl Fn(*mut u8, *mut u32) -> NtStatus) -> Vec<u8> {
    let mut wanted = 0;
    assert!(!write(std::ptr::null_mut(), &raw mut wanted).is_success());
    let mut bytes = room(wanted as usize);
    let mut less = wanted - 1;
    assert!(!write(bytes.as_mut_ptr(), &raw mut less).is_success());
    untouched(&bytes, 0);
    let mut length = wanted;
    assert!(write(bytes.as_mut_ptr(), &raw mut length).is_success());
    assert_eq!((length, bytes[wanted as usize - 1]), (wanted, 0));
    untouched(&bytes, wanted as usize);
    bytes.truncate(wanted as usize);
    bytes
}

fn kind(status: NtStatus) -> i32 {
    status.0 as i32
}
