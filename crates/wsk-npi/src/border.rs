//! Raw pointers in, checked values out; and the other way. Nothing else in the crate looks through a client's pointer to an
//! address, an option or a WSK_BUF.
#![allow(unsafe_code)] // The border: it reads and writes what clients point at.

use std::ptr;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use wsk::security::{SecurityDescriptor, Sid};
use wsk_abi::NtStatus;
use wsk_abi::sockaddr::{AF_INET, AF_INET6, IN_ADDR, IN6_ADDR, SOCKADDR, SOCKADDR_IN, SOCKADDR_IN6};

/// A socket address as the NPI has it; room for the largest.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) union RawAddress {
    pub(crate) any: SOCKADDR,
    v4: SOCKADDR_IN,
    v6: SOCKADDR_IN6,
}

impl RawAddress {
    /// The bytes in use: 16 or 28 (F-212).
    pub(crate) fn len(&self) -> usize {
        // SAFETY: every member begins with the family.
        match unsafe { self.any.sa_family } {
            AF_INET6 => size_of::<SOCKADDR_IN6>(),
            _ => size_of::<SOCKADDR_IN>(),
        }
    }
}

impl RawAddress {
    /// Those bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the union is made whole, from zeros, and as long as its largest member.
        unsafe { std::slice::from_raw_parts(ptr::from_ref(self).cast(), self.len()) }
    }
}

impl Default for RawAddress {
    fn default() -> Self {
        Self { v6: SOCKADDR_IN6::default() }
    }
}

impl From<SocketAddr> for RawAddress {
    fn from(address: SocketAddr) -> Self {
        let mut raw = Self::default();
        match address {
            SocketAddr::V4(a) => {
                raw.v4 = SOCKADDR_IN {
                    sin_family: AF_INET,
                    sin_port: a.port().to_be(),
                    sin_addr: IN_ADDR::from_octets(a.ip().octets()),
                    sin_zero: [0; 8],
                }
            }
            SocketAddr::V6(a) => {
                raw.v6 = SOCKADDR_IN6 {
                    sin6_family: AF_INET6,
                    sin6_port: a.port().to_be(),
                    sin6_flowinfo: 0,
                    sin6_addr: IN6_ADDR::from_octets(a.ip().octets()),
                    sin6_scope_id: a.scope_id(),
                }
            }
        }
        raw
    }
}

/// A client's pointer to where a result goes; used when the request completes (F-76).
#[derive(Clone, Copy)]
pub(crate) struct Out<T>(*mut T);

// SAFETY: the client keeps the memory until the completion, on whatever thread that is (F-76).
unsafe impl<T> Send for Out<T> {}

impl<T> Out<T> {
    /// The pointer, which may be null.
    pub(crate) fn new(pointer: *mut T) -> Self {
        Self(pointer)
    }

    pub(crate) fn is_null(&self) -> bool {
        self.0.is_null()
    }

    pub(crate) fn write(&self, value: T) {
        if !self.0.is_null() {
            // SAFETY: not null, and the client's to be written until completion (F-76); perhaps not aligned.
            unsafe { self.0.write_unaligned(value) };
        }
    }
}

impl<T> Out<T> {
    /// Writes bytes that the client said it has room for.
    pub(crate) fn write_bytes(&self, bytes: &[u8]) {
        if !self.0.is_null() {
            // SAFETY: not null, and the client's to be written until completion (F-76).
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.cast::<u8>(), bytes.len()) };
        }
    }
}

impl Out<SOCKADDR> {
    /// Writes the whole address of its family, and no byte more (F-212).
    pub(crate) fn write_address(&self, address: SocketAddr) {
        if self.0.is_null() {
            return;
        }
        let raw = RawAddress::from(address);
        // SAFETY: the client gives room for an address of the socket's family (F-212).
        unsafe { std::ptr::copy_nonoverlapping((&raw const raw).cast::<u8>(), self.0.cast::<u8>(), raw.len()) };
    }
}

/// Copies a value in; null is INVALID_PARAMETER.
///
/// # Safety
/// `pointer` is null or points to a readable `T`.
pub(crate) unsafe fn read<T: Copy>(pointer: *const T) -> Result<T, NtStatus> {
    if pointer.is_null() {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    // SAFETY: the caller's word; perhaps not aligned.
    Ok(unsafe { pointer.read_unaligned() })
}

/// Copies an address in (F-72). Null, or a family that is not IPv4 or IPv6: INVALID_PARAMETER.
///
/// # Safety
/// `pointer` is null or points to a readable address of the size of its family.
pub(crate) unsafe fn address(pointer: *const SOCKADDR) -> Result<SocketAddr, NtStatus> {
    // SAFETY: the caller's word: at least the family is there.
    let family = unsafe { read(pointer.cast::<u16>()) }?;
    match family {
        AF_INET => {
            // SAFETY: the caller's word for this family.
            let a = unsafe { read(pointer.cast::<SOCKADDR_IN>()) }?;
            let ip = Ipv4Addr::from(a.sin_addr.octets());
            Ok(SocketAddrV4::new(ip, u16::from_be(a.sin_port)).into())
        }
        AF_INET6 => {
            // SAFETY: the caller's word for this family.
            let a = unsafe { read(pointer.cast::<SOCKADDR_IN6>()) }?;
            let ip = Ipv6Addr::from(a.sin6_addr.octets());
            Ok(SocketAddrV6::new(ip, u16::from_be(a.sin6_port), a.sin6_flowinfo, a.sin6_scope_id).into())
        }
        _ => Err(NtStatus::INVALID_PARAMETER),
    }
}

/// As [`address`], of at most `len` bytes: too few for its family are INVALID_PARAMETER.
///
/// # Safety
/// `pointer` is null or points to `len` readable bytes; at least 2.
pub(crate) unsafe fn address_of_length(pointer: *const SOCKADDR, len: usize) -> Result<SocketAddr, NtStatus> {
    // SAFETY: the caller's word: the family is there.
    let family = unsafe { read(pointer.cast::<u16>()) }?;
    let needed = if family == AF_INET6 { size_of::<SOCKADDR_IN6>() } else { size_of::<SOCKADDR_IN>() };
    if len < needed {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    // SAFETY: as many bytes as the family needs.
    unsafe { address(pointer) }
}

/// As [`address`]; null is `None`.
///
/// # Safety
/// As [`address`].
pub(crate) unsafe fn optional_address(pointer: *const SOCKADDR) -> Result<Option<SocketAddr>, NtStatus> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's word.
    unsafe { address(pointer) }.map(Some)
}

/// Copies `len` bytes in (F-74). Null with a length: INVALID_PARAMETER.
///
/// # Safety
/// `pointer` is null or points to `len` readable bytes.
pub(crate) unsafe fn bytes<'a>(pointer: *const u8, len: usize) -> Result<&'a [u8], NtStatus> {
    match (pointer.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(NtStatus::INVALID_PARAMETER),
        // SAFETY: the caller's word; the slice is used within the call only.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(pointer, len) }),
    }
}

/// Copies a zero-ended string of UTF-16 in. INVALID_PARAMETER: null, not UTF-16, or longer than a device's name can be.
///
/// # Safety
/// `pointer` is null or points to units up to a zero.
pub(crate) unsafe fn zero_ended(pointer: *const u16) -> Result<String, NtStatus> {
    const LONGEST: usize = 0x7FFF;
    let mut units = Vec::new();
    loop {
        // SAFETY: the caller's word: the zero has not come yet.
        match unsafe { read(pointer.wrapping_add(units.len())) }? {
            0 => return String::from_utf16(&units).map_err(|_| NtStatus::INVALID_PARAMETER),
            _ if units.len() == LONGEST => return Err(NtStatus::INVALID_PARAMETER),
            unit => units.push(unit),
        }
    }
}

/// An address out of an input buffer: too few bytes for its family are INVALID_PARAMETER.
pub(crate) fn address_in(input: &[u8]) -> Result<SocketAddr, NtStatus> {
    if input.len() < size_of::<u16>() {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    // SAFETY: as many bytes as the slice has.
    unsafe { address_of_length(input.as_ptr().cast(), input.len()) }
}

/// Copies a security descriptor in, self-relative or absolute. INVALID_SECURITY_DESCR: broken.
///
/// # Safety
/// `pointer` points to a security descriptor whose parts are as long as they say.
pub(crate) unsafe fn security_descriptor(pointer: *const u8) -> Result<SecurityDescriptor, NtStatus> {
    const DACL_PRESENT: u16 = 0x4;
    const SELF_RELATIVE: u16 = 0x8000;
    // SAFETY: the caller's word: a header at least.
    let [revision, _, low, high] = unsafe { read(pointer.cast::<[u8; 4]>()) }?;
    if revision != 1 {
        return Err(NtStatus::INVALID_SECURITY_DESCR);
    }
    let control = u16::from_le_bytes([low, high]);
    // Owner, group, two lists: behind the header, or pointed at.
    let [owner, _, _, dacl] = if control & SELF_RELATIVE != 0 {
        // SAFETY: as above.
        let offsets = unsafe { read(pointer.wrapping_add(4).cast::<[u32; 4]>()) }?;
        offsets.map(|offset| if offset == 0 { ptr::null() } else { pointer.wrapping_add(offset as usize) })
    } else {
        // SAFETY: as above.
        unsafe { read(pointer.wrapping_add(8).cast::<[*const u8; 4]>()) }?
    };
    let owner = if owner.is_null() {
        None
    } else {
        // SAFETY: the caller's word: a SID, of which the second byte is the number of parts of four bytes.
        let [_, parts] = unsafe { read(owner.cast::<[u8; 2]>()) }?;
        // SAFETY: as above.
        Some(Sid::parse(unsafe { bytes(owner, 8 + 4 * usize::from(parts)) }?)?)
    };
    let entries = if dacl.is_null() || control & DACL_PRESENT == 0 {
        None
    } else {
        // SAFETY: the caller's word: an ACL, of which the second word is the size in bytes.
        let [_, size] = unsafe { read(dacl.cast::<[u16; 2]>()) }?;
        // SAFETY: as above.
        Some(SecurityDescriptor::parse_list(unsafe { bytes(dacl, size.into()) }?)?)
    };
    Ok(SecurityDescriptor { owner, entries })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_cross_the_border_both_ways() {
        for text in ["1.2.3.4:5", "[fe80::1%7]:80", "[::ffff:10.0.0.1]:443"] {
            let address: SocketAddr = text.parse().unwrap();
            let mut room = RawAddress::default();
            Out::new((&raw mut room).cast::<SOCKADDR>()).write_address(address);
            // SAFETY: `room` holds an address.
            assert_eq!(unsafe { super::address((&raw const room).cast()) }, Ok(address));
        }
        // SAFETY: null is allowed.
        assert_eq!(unsafe { address(std::ptr::null()) }, Err(NtStatus::INVALID_PARAMETER));
        let linux_v6 = SOCKADDR { sa_family: 10, sa_data: [0; 14] };
        // SAFETY: a whole SOCKADDR.
        assert_eq!(unsafe { address(&raw const linux_v6) }, Err(NtStatus::INVALID_PARAMETER));
    }

    // F-212
    #[test]
    fn an_address_is_written_to_its_size_and_no_further() {
        let mut room = [0xAA_u8; 40];
        Out::new(room.as_mut_ptr().cast::<SOCKADDR>()).write_address("127.0.0.1:80".parse().unwrap());
        assert!(room[..16].iter().all(|byte| *byte != 0xAA) && room[16..].iter().all(|byte| *byte == 0xAA));
        let mut room = [0xAA_u8; 40];
        Out::new(room.as_mut_ptr().cast::<SOCKADDR>()).write_address("[::1]:80".parse().unwrap());
        assert!(room[..28].iter().all(|byte| *byte != 0xAA) && room[28..].iter().all(|byte| *byte == 0xAA));
    }
}
