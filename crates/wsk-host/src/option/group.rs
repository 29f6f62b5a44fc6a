//! Multicast groups: joining, leaving, blocking, and the interface of what is sent to them.
//!
//! By index through the calls that serve both families; by address through those of IPv4, so that the kernel looks it up.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use wsk_core::option::{GroupAction, GroupInterface, GroupRequest};

use crate::address::Name;
use crate::sockopt::set_bytes;

/// `struct sockaddr_storage`.
const STORAGE: usize = 128;

/// Does what `request` says.
pub(super) fn change(fd: BorrowedFd<'_>, request: &GroupRequest) -> Result<(), Errno> {
    match (request.interface, request.group, request.source) {
        (GroupInterface::Address(interface), IpAddr::V4(group), source) => {
            by_address(fd, request.action, group, source, interface)
        }
        (GroupInterface::Index(index), ..) => by_index(fd, request, index),
        (GroupInterface::Any, ..) => by_index(fd, request, 0),
        (GroupInterface::Address(_), ..) => Err(Errno::INVAL),
    }
}

/// `struct group_req` and `struct group_source_req`.
fn by_index(fd: BorrowedFd<'_>, request: &GroupRequest, index: u32) -> Result<(), Errno> {
    let level = if request.group.is_ipv4() { libc::IPPROTO_IP } else { libc::IPPROTO_IPV6 };
    let name = match (request.action, request.source) {
        (GroupAction::Join, None) => libc::MCAST_JOIN_GROUP,
        (GroupAction::Leave, None) => libc::MCAST_LEAVE_GROUP,
        (GroupAction::Join, Some(_)) => libc::MCAST_JOIN_SOURCE_GROUP,
        (GroupAction::Leave, Some(_)) => libc::MCAST_LEAVE_SOURCE_GROUP,
        (GroupAction::Block, _) => libc::MCAST_BLOCK_SOURCE,
        (GroupAction::Unblock, _) => libc::MCAST_UNBLOCK_SOURCE,
    };
    let mut bytes = [0u8; 8 + 2 * STORAGE];
    bytes[..4].copy_from_slice(&index.to_ne_bytes());
    let mut put = |at: usize, address: IpAddr| {
        let name = Name::new(&SocketAddr::new(address, 0));
        bytes[at..at + name.bytes().len()].copy_from_slice(name.bytes());
        at + STORAGE
    };
    let mut len = put(8, request.group);
    if let Some(source) = request.source {
        len = put(len, source);
    }
    set_bytes(fd, level, name, &bytes[..len])
}

/// `struct ip_mreq` and `struct ip_mreq_source`, which is not in Windows' order.
fn by_address(
    fd: BorrowedFd<'_>,
    action: GroupAction,
    group: Ipv4Addr,
    source: Option<IpAddr>,
    interface: Ipv4Addr,
) -> Result<(), Errno> {
    let Some(source) = source else {
        let name = if action == GroupAction::Join { libc::IP_ADD_MEMBERSHIP } else { libc::IP_DROP_MEMBERSHIP };
        return set_bytes(fd, libc::IPPROTO_IP, name, &[group.octets(), interface.octets()].concat());
    };
    let IpAddr::V4(source) = source else { return Err(Errno::INVAL) };
    let name = match action {
        GroupAction::Join => libc::IP_ADD_SOURCE_MEMBERSHIP,
        GroupAction::Leave => libc::IP_DROP_SOURCE_MEMBERSHIP,
        GroupAction::Block => libc::IP_BLOCK_SOURCE,
        GroupAction::Unblock => libc::IP_UNBLOCK_SOURCE,
    };
    let bytes = [group.octets(), interface.octets(), source.octets()].concat();
    set_bytes(fd, libc::IPPROTO_IP, name, &bytes)
}

/// IP_MULTICAST_IF by `struct ip_mreqn`: `value` is an address, or an index as 0.x.x.x, in network order.
pub(super) fn set_interface(fd: BorrowedFd<'_>, value: u32) -> Result<(), Errno> {
    let address = value.to_le_bytes(); // as it lay in the client's memory
    let (address, index) = if address[0] == 0 { ([0; 4], u32::from_be_bytes(address)) } else { (address, 0) };
    let bytes = [[0; 4], address, index.to_ne_bytes()].concat();
    set_bytes(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &bytes)
}
