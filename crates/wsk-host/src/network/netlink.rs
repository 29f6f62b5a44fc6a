//! The little of rtnetlink that is needed: a list of addresses, and news of changes.
//!
//! Messages are read as bytes with checked offsets; what is damaged or unknown is passed over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use wsk_core::transport::Family;

use crate::sockopt::set_int;

/// include/uapi/linux/netlink.h, rtnetlink.h, if_addr.h.
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
/// Not usable: still being checked, or found to be another machine's.
const IFA_F_DADFAILED: u32 = 8;
const IFA_F_TENTATIVE: u32 = 0x40;
const NETLINK_ADD_MEMBERSHIP: i32 = 1;
/// RTNLGRP_IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE.
const GROUPS: [i32; 4] = [5, 7, 9, 11];

/// `struct nlmsghdr`, `struct ifaddrmsg`.
const HEADER: usize = 16;
const IFADDRMSG: usize = 8;

/// Dumps come in parts of at most this size.
const ROOM: usize = 32 * 1024;

/// A change of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Addresses(Family),
    Routes(Family),
    /// News were lost: anything may have changed.
    Anything,
}

fn open() -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None) // NETLINK_ROUTE is 0
}

/// The usable unicast addresses of a family.
pub(super) fn addresses(family: Family) -> Result<Vec<SocketAddr>, Errno> {
    let fd = open()?;
    let mut request = [0u8; HEADER + IFADDRMSG];
    request[0..4].copy_from_slice(&((HEADER + IFADDRMSG) as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&RTM_GETADDR.to_ne_bytes());
    request[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    request[HEADER] = number(family);
    send(&fd, &request, SendFlags::empty())?;
    let mut found = Vec::new();
    let mut room = vec![0u8; ROOM];
    loop {
        let len = match recv(&fd, &mut room[..], RecvFlags::empty()) {
            Ok((len, _)) => len,
            Err(Errno::INTR) => continue,
            Err(e) => return Err(e),
        };
        let mut end = None;
        each_message(&room[..len], |kind, body| match kind {
            NLMSG_DONE => end = Some(Ok(())),
            NLMSG_ERROR => {
                let errno = body.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                end = Some(Err(Errno::from_raw_os_error(-errno)));
            }
            RTM_NEWADDR => found.extend(address(body).filter(|address| Family::of(address) == family)),
            _ => {}
        });
        if let Some(end) = end {
            return end.map(|()| found);
        }
    }
}

/// A descriptor that becomes readable when the network changes.
pub(super) fn watch() -> Result<OwnedFd, Errno> {
    let fd = open()?;
    // A message that means nothing gives the socket an address; without one it is told nothing of what the kernel does by itself.
    let mut nothing = [0u8; HEADER];
    nothing[0..4].copy_from_slice(&(HEADER as u32).to_ne_bytes());
    nothing[4..6].copy_from_slice(&NLMSG_NOOP.to_ne_bytes());
    send(&fd, &nothing, SendFlags::empty())?;
    for group in GROUPS {
        set_int(fd.as_fd(), libc::SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)?;
    }
    Ok(fd)
}

/// The changes that are there, each kind once.
pub(super) fn changes(fd: BorrowedFd<'_>) -> Vec<Change> {
    let mut found = Vec::new();
    let mut room = vec![0u8; ROOM];
    loop {
        match recv(fd, &mut room[..], RecvFlags::DONTWAIT) {
            Ok((len, _)) => each_message(&room[..len], |kind, body| {
                let change = change(kind, body);
                found.extend(change.filter(|change| !found.contains(change)));
            }),
            Err(Errno::NOBUFS) => found.push(Change::Anything),
            Err(Errno::INTR) => {}
            Err(_) => return found,
        }
    }
}

fn change(kind: u16, body: &[u8]) -> Option<Change> {
    let family = match i32::from(*body.first()?) {
        libc::AF_INET => Family::V4,
        libc::AF_INET6 => Family::V6,
        _ => return None,
    };
    match kind {
        RTM_NEWADDR | RTM_DELADDR => Some(Change::Addresses(family)),
        RTM_NEWROUTE | RTM_DELROUTE => Some(Change::Routes(family)),
        _ => None,
    }
}

fn number(family: Family) -> u8 {
    match family {
        Family::V4 => libc::AF_INET as u8,
        Family::V6 => libc::AF_INET6 as u8,
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Calls `each` with type and body of every message.
fn each_message(mut bytes: &[u8], mut each: impl FnMut(u16, &[u8])) {
    while let (Some(len), Some(kind)) = (word(bytes, 0), half(bytes, 4)) {
        let Some(body) = bytes.get(HEADER..len as usize) else { return };
        each(kind, body);
        bytes = bytes.get((len as usize).next_multiple_of(4)..).unwrap_or_default();
    }
}

/// The address of an RTM_NEWADDR: family, prefix length, flags, scope, index; then attributes.
fn address(body: &[u8]) -> Option<SocketAddr> {
    let index = word(body, 4)?;
    let mut flags = u32::from(*body.get(2)?);
    let (mut local, mut other) = (None, None);
    let mut rest = body.get(IFADDRMSG..)?;
    while let (Some(len), Some(kind)) = (half(rest, 0), half(rest, 2)) {
        let len = usize::from(len);
        let Some(data) = rest.get(4..len) else { break };
        match kind {
            IFA_LOCAL => local = ip(data),
            IFA_ADDRESS => other = ip(data),
            IFA_FLAGS => flags = word(data, 0).unwrap_or(flags),
            _ => {}
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    if flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) != 0 {
        return None;
    }
    // With a peer, IFA_ADDRESS is the peer's.
    Some(match local.or(other)? {
        IpAddr::V4(v4) => SocketAddr::V4(SocketAddrV4::new(v4, 0)),
        IpAddr::V6(v6) => {
            let scope = if v6.is_unicast_link_local() { index } else { 0 };
            SocketAddr::V6(SocketAddrV6::new(v6, 0, 0, scope))
        }
    })
}

fn ip(data: &[u8]) -> Option<IpAddr> {
    match data.len() {
        4 => Some(Ipv4Addr::from(*data.first_chunk::<4>()?).into()),
        16 => Some(Ipv6Addr::from(*data.first_chunk::<16>()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, data: &[u8]) -> Vec<u8> {
        let mut out = [&((4 + data.len()) as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), data].concat();
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn message(kind: u16, family: i32, flags: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        let body = [&[family as u8, 24, flags, 0, 7, 0, 0, 0][..], &attributes.concat()].concat();
        let mut out = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend([0; 10]);
        out.extend(body);
        out
    }

    fn read(bytes: &[u8]) -> Vec<SocketAddr> {
        let mut found = Vec::new();
        each_message(bytes, |_, body| found.extend(address(body)));
        found
    }

    #[test]
    fn addresses_are_read() {
        let with_peer = [attribute(IFA_ADDRESS, &[10, 0, 0, 2]), attribute(IFA_LOCAL, &[10, 0, 0, 1])];
        let plain: Ipv6Addr = "fd00::1".parse().unwrap();
        let link: Ipv6Addr = "fe80::1".parse().unwrap();
        let bytes = [
            message(RTM_NEWADDR, libc::AF_INET, 0x80, &with_peer),
            message(
                RTM_NEWADDR,
                libc::AF_INET6,
                0x80,
                &[attribute(3, b"lo\0"), attribute(IFA_ADDRESS, &plain.octets())],
            ),
            message(RTM_NEWADDR, libc::AF_INET6, 0x80, &[attribute(IFA_ADDRESS, &link.octets())]),
            message(RTM_NEWADDR, libc::AF_INET6, 0x40, &[attribute(IFA_ADDRESS, &link.octets())]),
        ]
        .concat();
        let expected: Vec<SocketAddr> =
            ["10.0.0.1:0", "[fd00::1]:0", "[fe80::1%7]:0"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(read(&bytes), expected);
        for cut in 0..bytes.len() {
            read(&bytes[..cut]);
        }
        read(&[0; 64]);
        read(&[0xFF; 64]);
    }

    #[test]
    fn changes_are_told_apart() {
        let of = |kind, family| change(kind, &[family as u8, 0, 0, 0]);
        assert_eq!(of(RTM_NEWADDR, libc::AF_INET), Some(Change::Addresses(Family::V4)));
        assert_eq!(of(RTM_DELADDR, libc::AF_INET6), Some(Change::Addresses(Family::V6)));
        assert_eq!(of(RTM_DELROUTE, libc::AF_INET), Some(Change::Routes(Family::V4)));
        assert_eq!(of(RTM_NEWROUTE, libc::AF_INET6), Some(Change::Routes(Family::V6)));
        assert_eq!((of(RTM_NEWADDR, 1), of(16, libc::AF_INET), change(RTM_NEWADDR, &[])), (None, None, None));
    }
}
