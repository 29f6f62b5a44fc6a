//! Control messages: headers, the data of the common ones, and the arithmetic of their buffers (ws2def.h, ws2ipdef.h;
//! control.md 4.4).
#![allow(non_snake_case, non_camel_case_types)] // C names verbatim.

use crate::sockaddr::{IN_ADDR, IN6_ADDR, SCOPE_ID};

/// Header of one control message; its data follows at once, the next header at the next multiple of 8.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CMSGHDR {
    /// Bytes of header and data, without the padding behind.
    pub cmsg_len: usize,
    /// Level, `IPPROTO_...` or `SOL_SOCKET`.
    pub cmsg_level: i32,
    /// Type within the level.
    pub cmsg_type: i32,
}

assert_layout!(CMSGHDR, size 16, align 8, cmsg_len @ 0, cmsg_level @ 8, cmsg_type @ 12);

/// The Winsock 2 name of [`CMSGHDR`].
pub type WSACMSGHDR = CMSGHDR;

/// Rounds a length up to the alignment of headers and data, 8.
pub const fn CMSG_ALIGN(length: usize) -> usize {
    (length + 7) & !7
}

/// What `cmsg_len` holds for `length` bytes of data.
pub const fn CMSG_LEN(length: usize) -> usize {
    size_of::<CMSGHDR>() + length
}

/// Room that a control message with `length` bytes of data takes in a buffer.
pub const fn CMSG_SPACE(length: usize) -> usize {
    size_of::<CMSGHDR>() + CMSG_ALIGN(length)
}

/// Data of `IP_PKTINFO`: local address and interface of a datagram.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IN_PKTINFO {
    /// Destination of a received datagram, source of a sent one.
    pub ipi_addr: IN_ADDR,
    /// Interface index; 0 leaves the choice to the stack.
    pub ipi_ifindex: u32,
}

assert_layout!(IN_PKTINFO, size 8, align 4, ipi_addr @ 0, ipi_ifindex @ 4);

/// Data of `IPV6_PKTINFO`: local address and interface of a datagram.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IN6_PKTINFO {
    /// Destination of a received datagram, source of a sent one.
    pub ipi6_addr: IN6_ADDR,
    /// Interface index; 0 leaves the choice to the stack.
    pub ipi6_ifindex: u32,
}

assert_layout!(IN6_PKTINFO, size 20, align 4, ipi6_addr @ 0, ipi6_ifindex @ 16);

/// Data of `IP_PKTINFO_EX`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IN_PKTINFO_EX {
    /// As in `IP_PKTINFO`.
    pub pkt_info: IN_PKTINFO,
    /// Scope of the address.
    pub scope_id: SCOPE_ID,
}

assert_layout!(IN_PKTINFO_EX, size 12, align 4, pkt_info @ 0, scope_id @ 8);

/// Data of `IPV6_PKTINFO_EX`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IN6_PKTINFO_EX {
    /// As in `IPV6_PKTINFO`.
    pub pkt_info: IN6_PKTINFO,
    /// Scope of the address.
    pub scope_id: SCOPE_ID,
}

assert_layout!(IN6_PKTINFO_EX, size 24, align 4, pkt_info @ 0, scope_id @ 20);

/// Data of `IP_RECVERR` and `IPV6_RECVERR`: an ICMP error about a datagram sent before (E-84).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IN_RECVERR {
    /// Protocol of the error, `IPPROTO_ICMP` or `IPPROTO_ICMPV6`.
    pub protocol: i32,
    /// What the error carries besides, such as the path MTU.
    pub info: u32,
    /// ICMP type.
    pub r#type: u8,
    /// ICMP code.
    pub code: u8,
}

assert_layout!(IN_RECVERR, size 12, align 4, protocol @ 0, info @ 4, r#type @ 8, code @ 9);
