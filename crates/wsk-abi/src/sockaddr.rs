//! Socket addresses, address lists, multicast requests and name resolution results (ws2def.h, ws2ipdef.h, inaddr.h,
//! in6addr.h). Ports and addresses are in network order, as on the wire.
#![allow(non_snake_case, non_camel_case_types)] // C names verbatim.

use core::ffi::c_void;

pub use crate::constants::af::*;
use crate::io::PROCESSOR_NUMBER;
use crate::nmr::GUID;

/// An address family, `AF_...`.
pub type ADDRESS_FAMILY = u16;

/// The head of every socket address: the family says what follows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SOCKADDR {
    /// `AF_...`.
    pub sa_family: ADDRESS_FAMILY,
    /// What the family defines.
    pub sa_data: [i8; 14],
}

assert_layout!(SOCKADDR, size 16, align 2, sa_family @ 0, sa_data @ 2);

/// The member of [`IN_ADDR`], which C overlays with its bytes and words.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IN_ADDR_S_un {
    /// The address in network order.
    pub S_addr: u32,
}

/// An IPv4 address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IN_ADDR {
    /// The address.
    pub S_un: IN_ADDR_S_un,
}

assert_layout!(IN_ADDR, size 4, align 4, S_un.S_addr @ 0);

impl IN_ADDR {
    /// The address with these bytes, in the order they are written.
    pub const fn from_octets(octets: [u8; 4]) -> IN_ADDR {
        IN_ADDR { S_un: IN_ADDR_S_un { S_addr: u32::from_ne_bytes(octets) } }
    }

    /// The bytes in the order they are written.
    pub const fn octets(self) -> [u8; 4] {
        self.S_un.S_addr.to_ne_bytes()
    }
}

/// The member of [`IN6_ADDR`], which C overlays with its words.
#[repr(C, align(2))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IN6_ADDR_u {
    /// The address in network order.
    pub Byte: [u8; 16],
}

/// An IPv6 address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IN6_ADDR {
    /// The address.
    pub u: IN6_ADDR_u,
}

assert_layout!(IN6_ADDR, size 16, align 2, u.Byte @ 0);

impl IN6_ADDR {
    /// The address with these bytes.
    pub const fn from_octets(octets: [u8; 16]) -> IN6_ADDR {
        IN6_ADDR { u: IN6_ADDR_u { Byte: octets } }
    }

    /// The bytes of the address.
    pub const fn octets(self) -> [u8; 16] {
        self.u.Byte
    }
}

/// The scope of an IPv6 address; C overlays the value with two bit-fields.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SCOPE_ID {
    /// Zone and level together.
    pub Value: u32,
}

assert_layout!(SCOPE_ID, size 4, align 4, Value @ 0);

impl SCOPE_ID {
    /// `Zone`: the low 28 bits.
    pub const fn zone(self) -> u32 {
        self.Value & 0x0FFF_FFFF
    }

    /// `Level`: the high 4 bits, `ScopeLevel...`.
    pub const fn level(self) -> u32 {
        self.Value >> 28
    }
}

/// An IPv4 endpoint.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SOCKADDR_IN {
    /// `AF_INET`.
    pub sin_family: ADDRESS_FAMILY,
    /// Port in network order.
    pub sin_port: u16,
    /// Address.
    pub sin_addr: IN_ADDR,
    /// Zero.
    pub sin_zero: [i8; 8],
}

assert_layout!(SOCKADDR_IN, size 16, align 4, sin_family @ 0, sin_port @ 2, sin_addr @ 4, sin_zero @
    8);

/// An IPv6 endpoint. C overlays the scope id with a [`SCOPE_ID`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SOCKADDR_IN6 {
    /// `AF_INET6`, 23.
    pub sin6_family: ADDRESS_FAMILY,
    /// Port in network order.
    pub sin6_port: u16,
    /// Traffic class and flow label.
    pub sin6_flowinfo: u32,
    /// Address.
    pub sin6_addr: IN6_ADDR,
    /// Scope id.
    pub sin6_scope_id: u32,
}

assert_layout!(SOCKADDR_IN6, size 28, align 4, sin6_family @ 0, sin6_port @ 2, sin6_flowinfo @ 4,
    sin6_addr @ 8, sin6_scope_id @ 24);

/// Room for any socket address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SOCKADDR_STORAGE {
    /// `AF_...`.
    pub ss_family: ADDRESS_FAMILY,
    /// Brings the next member to its alignment.
    pub __ss_pad1: [i8; 6],
    /// Aligns the structure.
    pub __ss_align: i64,
    /// The rest of the room.
    pub __ss_pad2: [i8; 112],
}

assert_layout!(SOCKADDR_STORAGE, size 128, align 8, ss_family @ 0, __ss_pad1 @ 2, __ss_align @ 8,
    __ss_pad2 @ 16);

impl Default for SOCKADDR_STORAGE {
    fn default() -> Self {
        SOCKADDR_STORAGE { ss_family: AF_UNSPEC, __ss_pad1: [0; 6], __ss_align: 0, __ss_pad2: [0; 112] }
    }
}

/// An IPv4 or IPv6 endpoint; the family, at offset 0 of each reading, says which.
#[repr(C)]
#[derive(Clone, Copy)]
pub union SOCKADDR_INET {
    /// With `AF_INET`.
    pub Ipv4: SOCKADDR_IN,
    /// With `AF_INET6`.
    pub Ipv6: SOCKADDR_IN6,
    /// The family alone.
    pub si_family: ADDRESS_FAMILY,
}

assert_layout!(SOCKADDR_INET, size 28, align 4, Ipv4 @ 0, Ipv6 @ 0, si_family @ 0);

/// A link-layer address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SOCKADDR_DL {
    /// `AF_LINK`.
    pub sdl_family: ADDRESS_FAMILY,
    /// The address.
    pub sdl_data: [u8; 8],
    /// Zero.
    pub sdl_zero: [u8; 4],
}

assert_layout!(SOCKADDR_DL, size 14, align 2, sdl_family @ 0, sdl_data @ 2, sdl_zero @ 10);

/// A pair of IPv6 endpoints by address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SOCKADDR_IN6_PAIR {
    /// Source.
    pub SourceAddress: *mut SOCKADDR_IN6,
    /// Destination.
    pub DestinationAddress: *mut SOCKADDR_IN6,
}

assert_layout!(SOCKADDR_IN6_PAIR, size 16, align 8, SourceAddress @ 0, DestinationAddress @ 8);

/// An address of any family by pointer and length.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SOCKET_ADDRESS {
    /// The address.
    pub lpSockaddr: *mut SOCKADDR,
    /// Its length in bytes.
    pub iSockaddrLength: i32,
}

assert_layout!(SOCKET_ADDRESS, size 16, align 8, lpSockaddr @ 0, iSockaddrLength @ 8);

/// Result of SIO_ADDRESS_LIST_QUERY: `iAddressCount` entries, the first of them declared (C 4.5).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SOCKET_ADDRESS_LIST {
    /// Entries that follow.
    pub iAddressCount: i32,
    /// The first entry; the others lie behind it.
    pub Address: [SOCKET_ADDRESS; 1],
}

assert_layout!(SOCKET_ADDRESS_LIST, size 24, align 8, iAddressCount @ 0, Address @ 8);

/// Result of SIO_QUERY_RSS_PROCESSOR_INFO.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SOCKET_PROCESSOR_AFFINITY {
    /// The processor that handles the socket's receive side.
    pub Processor: PROCESSOR_NUMBER,
    /// Its NUMA node.
    pub NumaNodeId: u16,
    /// Zero.
    pub Reserved: u16,
}

assert_layout!(SOCKET_PROCESSOR_AFFINITY, size 8, align 2, Processor @ 0, NumaNodeId @ 4, Reserved @
    6);

/// A result of name resolution in the older form, names in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ADDRINFOA {
    /// `AI_...`.
    pub ai_flags: i32,
    /// `AF_...`.
    pub ai_family: i32,
    /// `SOCK_...`.
    pub ai_socktype: i32,
    /// `IPPROTO_...`.
    pub ai_protocol: i32,
    /// Bytes at `ai_addr`.
    pub ai_addrlen: usize,
    /// Canonical name, zero-ended.
    pub ai_canonname: *mut i8,
    /// The address.
    pub ai_addr: *mut SOCKADDR,
    /// The next result.
    pub ai_next: *mut ADDRINFOA,
}

assert_layout!(ADDRINFOA, size 48, align 8, ai_flags @ 0, ai_family @ 4, ai_socktype @ 8,
    ai_protocol @ 12, ai_addrlen @ 16, ai_canonname @ 24, ai_addr @ 32, ai_next @ 40);

/// A result of name resolution in the older form, names in UTF-16.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ADDRINFOW {
    /// `AI_...`.
    pub ai_flags: i32,
    /// `AF_...`.
    pub ai_family: i32,
    /// `SOCK_...`.
    pub ai_socktype: i32,
    /// `IPPROTO_...`.
    pub ai_protocol: i32,
    /// Bytes at `ai_addr`.
    pub ai_addrlen: usize,
    /// Canonical name in UTF-16, zero-ended.
    pub ai_canonname: *mut u16,
    /// The address.
    pub ai_addr: *mut SOCKADDR,
    /// The next result.
    pub ai_next: *mut ADDRINFOW,
}

assert_layout!(ADDRINFOW, size 48, align 8, ai_flags @ 0, ai_family @ 4, ai_socktype @ 8,
    ai_protocol @ 12, ai_addrlen @ 16, ai_canonname @ 24, ai_addr @ 32, ai_next @ 40);

/// Hints and results of WskGetAddressInfo (DDI: PFN_WSK_GET_ADDRESS_INFO).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ADDRINFOEXW {
    /// `AI_...`.
    pub ai_flags: i32,
    /// `AF_...`.
    pub ai_family: i32,
    /// `SOCK_...`.
    pub ai_socktype: i32,
    /// `IPPROTO_...`.
    pub ai_protocol: i32,
    /// Bytes at `ai_addr`.
    pub ai_addrlen: usize,
    /// Canonical name in UTF-16, zero-ended.
    pub ai_canonname: *mut u16,
    /// The address.
    pub ai_addr: *mut SOCKADDR,
    /// What the name space provider adds.
    pub ai_blob: *mut c_void,
    /// Bytes at `ai_blob`.
    pub ai_bloblen: usize,
    /// The name space provider.
    pub ai_provider: *mut GUID,
    /// The next result.
    pub ai_next: *mut ADDRINFOEXW,
}

assert_layout!(ADDRINFOEXW, size 72, align 8, ai_flags @ 0, ai_family @ 4, ai_socktype @ 8,
    ai_protocol @ 12, ai_addrlen @ 16, ai_canonname @ 24, ai_addr @ 32, ai_blob @ 40, ai_bloblen @
    48, ai_provider @ 56, ai_next @ 64);

/// A Winsock buffer by length and address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSABUF {
    /// Bytes at `buf`.
    pub len: u32,
    /// The bytes.
    pub buf: *mut i8,
}

assert_layout!(WSABUF, size 16, align 8, len @ 0, buf @ 8);

/// A Winsock message with address, buffers and control messages.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSAMSG {
    /// Remote address.
    pub name: *mut SOCKADDR,
    /// Its length in bytes.
    pub namelen: i32,
    /// Data buffers.
    pub lpBuffers: *mut WSABUF,
    /// Their number.
    pub dwBufferCount: u32,
    /// Control messages.
    pub Control: WSABUF,
    /// `MSG_...`.
    pub dwFlags: u32,
}

assert_layout!(WSAMSG, size 56, align 8, name @ 0, namelen @ 8, lpBuffers @ 16, dwBufferCount @ 24,
    Control @ 32, dwFlags @ 48);

/// Value of SO_LINGER.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LINGER {
    /// Whether to linger.
    pub l_onoff: u16,
    /// For how many seconds.
    pub l_linger: u16,
}

assert_layout!(LINGER, size 4, align 2, l_onoff @ 0, l_linger @ 2);

/// Value of IP_ADD_MEMBERSHIP and IP_DROP_MEMBERSHIP.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IP_MREQ {
    /// The group.
    pub imr_multiaddr: IN_ADDR,
    /// Address or index of the interface.
    pub imr_interface: IN_ADDR,
}

assert_layout!(IP_MREQ, size 8, align 4, imr_multiaddr @ 0, imr_interface @ 4);

/// Value of IPV6_ADD_MEMBERSHIP and IPV6_DROP_MEMBERSHIP.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IPV6_MREQ {
    /// The group.
    pub ipv6mr_multiaddr: IN6_ADDR,
    /// Index of the interface.
    pub ipv6mr_interface: u32,
}

assert_layout!(IPV6_MREQ, size 20, align 4, ipv6mr_multiaddr @ 0, ipv6mr_interface @ 16);

/// Value of the source membership options of IPv4.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IP_MREQ_SOURCE {
    /// The group.
    pub imr_multiaddr: IN_ADDR,
    /// The source.
    pub imr_sourceaddr: IN_ADDR,
    /// Address or index of the interface.
    pub imr_interface: IN_ADDR,
}

assert_layout!(IP_MREQ_SOURCE, size 12, align 4, imr_multiaddr @ 0, imr_sourceaddr @ 4,
    imr_interface @ 8);

/// Value of MCAST_JOIN_GROUP and MCAST_LEAVE_GROUP.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct GROUP_REQ {
    /// Index of the interface.
    pub gr_interface: u32,
    /// The group.
    pub gr_group: SOCKADDR_STORAGE,
}

assert_layout!(GROUP_REQ, size 136, align 8, gr_interface @ 0, gr_group @ 8);

/// Value of the source options of both families, such as MCAST_JOIN_SOURCE_GROUP.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct GROUP_SOURCE_REQ {
    /// Index of the interface.
    pub gsr_interface: u32,
    /// The group.
    pub gsr_group: SOCKADDR_STORAGE,
    /// The source.
    pub gsr_source: SOCKADDR_STORAGE,
}

assert_layout!(GROUP_SOURCE_REQ, size 264, align 8, gsr_interface @ 0, gsr_group @ 8, gsr_source @
    136);

/// An address in [`INTERFACE_INFO`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union sockaddr_gen {
    /// Any family.
    pub Address: SOCKADDR,
    /// IPv4.
    pub AddressIn: SOCKADDR_IN,
    /// IPv6 in its old form, without a scope id.
    pub AddressIn6: [u8; 24],
}

assert_layout!(sockaddr_gen, size 24, align 4, Address @ 0, AddressIn @ 0, AddressIn6 @ 0);

/// One entry of SIO_GET_INTERFACE_LIST.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct INTERFACE_INFO {
    /// State and kind of the interface.
    pub iiFlags: u32,
    /// Its address.
    pub iiAddress: sockaddr_gen,
    /// Its broadcast address.
    pub iiBroadcastAddress: sockaddr_gen,
    /// Its mask.
    pub iiNetmask: sockaddr_gen,
}

assert_layout!(INTERFACE_INFO, size 76, align 4, iiFlags @ 0, iiAddress @ 4, iiBroadcastAddress @
    28, iiNetmask @ 52);
