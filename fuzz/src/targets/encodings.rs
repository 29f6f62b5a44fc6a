//! Strings from one encoding to another, into room that may be too small; GUIDs from text.
#![allow(unsafe_code)] // Calls functions that drivers import.

use wsk_abi::NtStatus;
use wsk_abi::io::UNICODE_STRING;
use wsk_abi::nmr::GUID;

use super::{Target, export, outcome, room, untouched};

pub(super) const TARGET: Target =
    Target { name: "encodings", what: "UTF-8, UTF-16 and GUIDs as text (RtlUTF8ToUnicodeN and others)", seeds, run };

type Convert<From, To> = unsafe extern "win64" fn(*mut To, u32, *mut u32, *const From, u32) -> NtStatus;
type GuidFromString = unsafe extern "win64" fn(*const UNICODE_STRING, *mut GUID) -> NtStatus;

fn seeds() -> Vec<Vec<u8>> {
    let texts = ["plain", "\u{e9}\u{4e2d}\u{1f600}", "{2227e803-8d8b-11d4-abad-009027719e09}", ""];
    let wide = texts.iter().map(|text| text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    let bad = vec![b"\xff\xc3\x28\xe2\x82".to_vec(), vec![0x00, 0xd8, 0x41, 0x00, 0x00, 0xdc]];
    // The first byte is the room.
    texts
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .chain(wide)
        .chain(bad)
        .map(|text| [vec![20], text].concat())
        .collect()
}

fn run(input: &[u8]) -> u64 {
    let Some((&space, text)) = input.split_first() else { return 0 };
    let space = usize::from(space);
    let units: Vec<u16> = text.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let (to_wide, wide) = to_wide(text, space);
    let (to_narrow, narrow) = to_narrow(&units, space);
    assert_eq!(
        wide,
        String::from_utf8_lossy(text).encode_utf16().count() * 2,
        "all of it, if asked for the length only"
    );
    assert_eq!(narrow, String::from_utf16_lossy(&units).len());
    outcome((to_wide.0, to_narrow.0, guid(&units).0))
}

/// The status with `space` bytes of room, and how many there would be.
fn to_wide(text: &[u8], space: usize) -> (NtStatus, usize) {
    // SAFETY: the export has this type.
    let convert: Convert<u8, u16> = unsafe { export("RtlUTF8ToUnicodeN") };
    let (mut wanted, mut written) = (0, 0);
    let mut bytes = room(space);
    // SAFETY: no destination; then one that has more room than it says.
    let status = unsafe {
        convert(std::ptr::null_mut(), 0, &raw mut wanted, text.as_ptr(), text.len() as u32);
        convert(bytes.as_mut_ptr().cast(), space as u32, &raw mut written, text.as_ptr(), text.len() as u32)
    };
    assert!(written as usize <= space && written <= wanted && written.is_multiple_of(2));
    assert_eq!(status == NtStatus::BUFFER_TOO_SMALL, written < wanted);
    untouched(&bytes, written as usize);
    (status, wanted as usize)
}

fn to_narrow(units: &[u16], space: usize) -> (NtStatus, usize) {
    // SAFETY: the export has this type.
    let convert: Convert<u16, u8> = unsafe { export("RtlUnicodeToUTF8N") };
    let (mut wanted, mut written) = (0, 0);
    let mut bytes = room(space);
    let length = size_of_val(units) as u32;
    // SAFETY: as above.
    let status = unsafe {
        convert(std::ptr::null_mut(), 0, &raw mut wanted, units.as_ptr(), length);
        convert(bytes.as_mut_ptr(), space as u32, &raw mut written, units.as_ptr(), length)
    };
    assert!(written as usize <= space && written <= wanted);
    assert_eq!(status == NtStatus::BUFFER_TOO_SMALL, written < wanted);
    assert!(str::from_utf8(&bytes[..written as usize]).is_ok(), "characters are whole");
    untouched(&bytes, written as usize);
    (status, wanted as usize)
}

fn guid(units: &[u16]) -> NtStatus {
    // SAFETY: the export has this type.
    let parse: GuidFromString = unsafe { export("RtlGUIDFromString") };
    let length = size_of_val(units).min(0xfffe) as u16;
    let string = UNICODE_STRING { Length: length, MaximumLength: length, Buffer: units.as_ptr().cast_mut() };
    let mut guid = GUID::default();
    // SAFETY: a counted string, and a variable.
    let status = unsafe { parse(&raw const string, &raw mut guid) };
    if status.is_success() {
        let text = String::from_utf16_lossy(units).to_lowercase();
        assert!(text.starts_with(&format!("{{{:08x}-", guid.Data1)), "{text} is {guid}");
    }
    status
}
