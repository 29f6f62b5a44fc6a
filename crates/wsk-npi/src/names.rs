//! Names as C has them: counted strings in, lists of addresses out (functions.md 4).
#![allow(unsafe_code)] // Reads UNICODE_STRINGs, and builds and frees lists that clients read.

use std::ptr;

use wsk::{AddressInfo, Hints};
use wsk_abi::NtStatus;
use wsk_abi::io::UNICODE_STRING;
use wsk_abi::sockaddr::{ADDRINFOEXW, AF_INET, AF_INET6};

use crate::border::{self, Out, RawAddress};

/// Copies a counted string in (F-75, F-220). Null or empty is `None`; half a character, or more than there is room for, is
/// INVALID_PARAMETER.
///
/// # Safety
/// `string` is null or points to a UNICODE_STRING whose buffer has as many bytes as it says.
pub(crate) unsafe fn read_string(string: *const UNICODE_STRING) -> Result<Option<String>, NtStatus> {
    if string.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's word.
    let string = unsafe { border::read(string) }?;
    if string.Length % 2 != 0 || string.Length > string.MaximumLength {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    // SAFETY: the caller's word.
    let bytes = unsafe { border::bytes(string.Buffer.cast_const().cast(), string.Length as usize) }?;
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let text = String::from_utf16(&units).map_err(|_| NtStatus::INVALID_PARAMETER)?;
    let text = text.trim_end_matches('\0').to_owned();
    Ok((!text.is_empty()).then_some(text))
}

/// Where a name goes: the client's counted string (F-231).
pub(crate) fn write_string(out: Out<UNICODE_STRING>, room: &UNICODE_STRING, text: &str) -> Result<(), NtStatus> {
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let bytes = size_of_val(units.as_slice());
    if room.Buffer.is_null() || bytes > room.MaximumLength as usize {
        return Err(NtStatus::BUFFER_TOO_SMALL);
    }
    // SAFETY: the client's buffer has MaximumLength bytes; perhaps not aligned.
    unsafe { ptr::copy_nonoverlapping(units.as_ptr().cast::<u8>(), room.Buffer.cast::<u8>(), bytes) };
    out.write(UNICODE_STRING { Length: (bytes - 2) as u16, ..*room });
    Ok(())
}

/// An entry of a result, with what it points to.
#[repr(C)]
struct Entry {
    info: ADDRINFOEXW,
    address: RawAddress,
    canonical: Box<[u16]>,
}

/// Makes the list that a client reads and gives back to [`free`].
pub(crate) fn list(found: &AddressInfo, hints: Hints) -> *mut ADDRINFOEXW {
    let mut next: *mut ADDRINFOEXW = ptr::null_mut();
    for (at, address) in found.addresses.iter().enumerate().rev() {
        let raw = RawAddress::from(*address);
        let name = found.canonical.as_ref().filter(|_| at == 0);
        let canonical = name.map(|name| name.encode_utf16().chain([0]).collect()).unwrap_or_default();
        let mut entry = Box::new(Entry { info: ADDRINFOEXW::default(), address: raw, canonical });
        entry.info.ai_family = if address.is_ipv4() { AF_INET.into() } else { AF_INET6.into() };
        entry.info.ai_socktype = hints.kind;
        entry.info.ai_protocol = hints.protocol;
        entry.info.ai_addrlen = raw.len();
        entry.info.ai_next = next;
        // The address lies in the same allocation, which stays where it is.
        entry.info.ai_addr = (&raw mut entry.address).cast();
        if name.is_some() {
            entry.info.ai_canonname = entry.canonical.as_mut_ptr();
        }
        next = Box::into_raw(entry).cast();
    }
    next
}

/// WskFreeAddressInfo: the whole list; null is tolerated (F-226).
///
/// # Safety
/// `list` is null or came from [`list`], whole and not freed yet.
pub(crate) unsafe fn free(list: *mut ADDRINFOEXW) {
    let mut at = list.cast::<Entry>();
    while !at.is_null() {
        // SAFETY: the caller's word: made by `list` from a box.
        let entry = unsafe { Box::from_raw(at) };
        at = entry.info.ai_next.cast();
    }
}
