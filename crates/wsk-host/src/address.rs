//! Socket addresses: `std` on one side, the kernel's `sockaddr` as bytes on the other.
//!
//! A dual-mode endpoint speaks IPv6 only: IPv4 peers are `::ffff:a.b.c.d` in both directions (C-41).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use wsk_abi::status::NtStatus;
use wsk_core::transport::Family;

/// Bytes set aside for a `sockaddr`; the largest one used is `sockaddr_in6` (28).
pub(crate) const NAME_SPACE: usize = 32;

/// A `sockaddr` as the kernel reads and writes it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(crate) struct Name {
    bytes: [u8; NAME_SPACE],
    len: u32,
}

impl Name {
    /// Room for an address that the kernel will write.
    pub(crate) const fn empty() -> Self {
        Self { bytes: [0; NAME_SPACE], len: 0 }
    }

    /// `address` for the kernel.
    pub(crate) fn new(address: &SocketAddr) -> Self {
        let mut name = Self::empty();
        match address {
            SocketAddr::V4(a) => {
                name.bytes[0..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                name.bytes[2..4].copy_from_slice(&a.port().to_be_bytes());
                name.bytes[4..8].copy_from_slice(&a.ip().octets());
                name.len = 16;
            }
            SocketAddr::V6(a) => {
                name.bytes[0..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                name.bytes[2..4].copy_from_slice(&a.port().to_be_bytes());
                name.bytes[4..8].copy_from_slice(&a.flowinfo().to_ne_bytes());
                name.bytes[8..24].copy_from_slice(&a.ip().octets());
                name.bytes[24..28].copy_from_slice(&a.scope_id().to_ne_bytes());
                name.len = 28;
            }
        }
        name
    }

    /// The bytes the kernel reads.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }

    /// All bytes, for the kernel to write.
    pub(crate) fn space(&mut self) -> &mut [u8; NAME_SPACE] {
        &mut self.bytes
    }
}

/// Reads a `sockaddr` that the kernel wrote. `None`: no address, or none of a family in use here.
pub(crate) fn decode(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(bytes.get(0..2)?.try_into().ok()?);
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    match i32::from(family) {
        libc::AF_INET => {
            let ip: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::from(ip), port)))
        }
        libc::AF_INET6 => {
            let flow = u32::from_ne_bytes(bytes.get(4..8)?.try_into().ok()?);
            let ip: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            let scope = u32::from_ne_bytes(bytes.get(24..28)?.try_into().ok()?);
            Some(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, flow, scope)))
        }
        _ => None,
    }
}

/// The family of the datagrams that go to `address`, or come from it: IPv4 for mapped ones.
pub(crate) fn family_of(address: &SocketAddr) -> Family {
    match address {
        SocketAddr::V4(_) => Family::V4,
        SocketAddr::V6(a) if a.ip().to_ipv4_mapped().is_some() => Family::V4,
        SocketAddr::V6(_) => Family::V6,
    }
}

/// `address` in the form an endpoint of `family` uses.
///
/// # Errors
/// INVALID_ADDRESS_COMPONENT for an IPv4-mapped address on an IPv6-only endpoint (C-41), INVALID_PARAMETER for an IPv6
/// address on an IPv4 endpoint.
pub(crate) fn in_family(family: Family, v6_only: bool, address: SocketAddr) -> Result<SocketAddr, NtStatus> {
    match (family, address) {
        (Family::V4, SocketAddr::V4(_)) => Ok(address),
        (Family::V4, SocketAddr::V6(_)) => Err(NtStatus::INVALID_PARAMETER),
        (Family::V6, SocketAddr::V4(a)) => {
            in_family(family, v6_only, SocketAddr::new(IpAddr::V6(a.ip().to_ipv6_mapped()), a.port()))
        }
        (Family::V6, SocketAddr::V6(a)) => {
            if v6_only && a.ip().to_ipv4_mapped().is_some() {
                return Err(NtStatus::INVALID_ADDRESS_COMPONENT);
            }
            Ok(address)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip() {
        for text in ["127.0.0.1:80", "255.255.255.255:65535", "0.0.0.0:0", "[::1]:1", "[::ffff:1.2.3.4]:443"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(decode(Name::new(&address).bytes()), Some(address));
        }
        let scoped = SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), 9, 0x0102_0304, 7));
        assert_eq!(decode(Name::new(&scoped).bytes()), Some(scoped));
    }

    #[test]
    fn the_kernel_layout_is_kept() {
        let name = Name::new(&"1.2.3.4:258".parse().unwrap());
        assert_eq!(name.bytes().len(), size_of::<libc::sockaddr_in>());
        assert_eq!(name.bytes()[2..8], [1, 2, 1, 2, 3, 4]);
        assert_eq!(Name::new(&"[::1]:1".parse().unwrap()).bytes().len(), size_of::<libc::sockaddr_in6>());
    }

    #[test]
    fn foreign_or_short_addresses_are_none() {
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&[1, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(decode(&(libc::AF_INET6 as u16).to_ne_bytes()), None);
    }

    #[test]
    fn dual_mode_speaks_mapped_addresses() {
        let v4: SocketAddr = "1.2.3.4:5".parse().unwrap();
        let mapped: SocketAddr = "[::ffff:1.2.3.4]:5".parse().unwrap();
        assert_eq!(in_family(Family::V6, false, v4), Ok(mapped));
        assert_eq!(in_family(Family::V6, false, mapped), Ok(mapped));
        assert_eq!(in_family(Family::V6, true, mapped), Err(NtStatus::INVALID_ADDRESS_COMPONENT));
        assert_eq!(in_family(Family::V6, true, v4), Err(NtStatus::INVALID_ADDRESS_COMPONENT));
        assert_eq!(in_family(Family::V4, true, v4), Ok(v4));
        assert_eq!(in_family(Family::V4, true, mapped), Err(NtStatus::INVALID_PARAMETER));
    }
}
