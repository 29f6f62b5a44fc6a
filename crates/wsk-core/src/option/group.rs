//! Multicast groups as options carry them: five structures, one meaning.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wsk_abi::sockaddr::{AF_INET, AF_INET6};

use super::table::{OptionName, Row};

/// What a group option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupAction {
    /// Joins the group, for one source if there is one.
    Join,
    /// Leaves the group, for one source if there is one.
    Leave,
    /// No longer hears the source.
    Block,
    /// Hears the source again.
    Unblock,
}

/// Which interface a group option is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupInterface {
    /// The host's choice.
    Any,
    /// The one with this index.
    Index(u32),
    /// The one with this address.
    Address(Ipv4Addr),
}

/// A multicast group, with what is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupRequest {
    /// What is done.
    pub action: GroupAction,
    /// The group.
    pub group: IpAddr,
    /// The source, if it is about one.
    pub source: Option<IpAddr>,
    /// The interface.
    pub interface: GroupInterface,
}

/// The structures of the options about groups (ws2ipdef.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupShape {
    /// IP_MREQ, 8 bytes: group, interface by address.
    Mreq4,
    /// IP_MREQ_SOURCE, 12 bytes: group, source, interface by address.
    MreqSource4,
    /// IPV6_MREQ, 20 bytes: group, interface by index.
    Mreq6,
    /// GROUP_REQ, 136 bytes: interface by index, group.
    Req,
    /// GROUP_SOURCE_REQ, 264 bytes: interface by index, group, source.
    SourceReq,
}

/// A SOCKADDR_STORAGE lies at the next multiple of 8 behind the index, and is so long.
const STORAGE: usize = 128;

impl GroupShape {
    /// Its size in bytes.
    pub fn size(self) -> usize {
        match self {
            GroupShape::Mreq4 => 8,
            GroupShape::MreqSource4 => 12,
            GroupShape::Mreq6 => 20,
            GroupShape::Req => 8 + STORAGE,
            GroupShape::SourceReq => 8 + 2 * STORAGE,
        }
    }

    /// Whether options of this shape carry such a request.
    pub(super) fn fits(self, request: &GroupRequest) -> bool {
        let with_source = matches!(self, GroupShape::MreqSource4 | GroupShape::SourceReq);
        let same_family = request.source.is_none_or(|source| source.is_ipv4() == request.group.is_ipv4());
        let family = match self {
            GroupShape::Mreq4 | GroupShape::MreqSource4 => request.group.is_ipv4(),
            GroupShape::Mreq6 => request.group.is_ipv6(),
            GroupShape::Req | GroupShape::SourceReq => true,
        };
        request.group.is_multicast() && request.source.is_some() == with_source && same_family && family
    }

    /// The request of an option's buffer. `None`: another size, or addresses of the wrong family.
    pub(super) fn decode(self, bytes: &[u8], row: &Row) -> Option<GroupRequest> {
        if bytes.len() != self.size() {
            return None;
        }
        let of_v4 = row.level == wsk_abi::constants::sockopt::IPPROTO_IP;
        let (group, source, interface) = match self {
            GroupShape::Mreq4 => (v4(bytes, 0)?.into(), None, by_address(v4(bytes, 4)?)),
            GroupShape::MreqSource4 => (v4(bytes, 0)?.into(), Some(v4(bytes, 4)?.into()), by_address(v4(bytes, 8)?)),
            GroupShape::Mreq6 => (v6(bytes, 0)?.into(), None, by_index(bytes, 16)?),
            GroupShape::Req => (address(bytes, 8, of_v4)?, None, by_index(bytes, 0)?),
            GroupShape::SourceReq => {
                (address(bytes, 8, of_v4)?, Some(address(bytes, 8 + STORAGE, of_v4)?), by_index(bytes, 0)?)
            }
        };
        Some(GroupRequest { action: row.option.group_action()?, group, source, interface })
    }
}

impl OptionName {
    /// What an option about groups does.
    pub fn group_action(self) -> Option<GroupAction> {
        use OptionName::*;
        Some(match self {
            Join4 | JoinSource4 | JoinGroup4 | JoinGroupSource4 | Join6 | JoinGroup6 | JoinGroupSource6 => {
                GroupAction::Join
            }
            Leave4 | LeaveSource4 | LeaveGroup4 | LeaveGroupSource4 | Leave6 | LeaveGroup6 | LeaveGroupSource6 => {
                GroupAction::Leave
            }
            BlockSource4 | BlockGroupSource4 | BlockGroupSource6 => GroupAction::Block,
            UnblockSource4 | UnblockGroupSource4 | UnblockGroupSource6 => GroupAction::Unblock,
            _ => return None,
        })
    }
}

fn v4(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    Some(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?.into())
}

fn v6(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    Some(<[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok()?.into())
}

/// 0.x.x.x is an index, as IP_MULTICAST_IF has it.
fn by_address(address: Ipv4Addr) -> GroupInterface {
    match (address.octets()[0], u32::from(address)) {
        (_, 0) => GroupInterface::Any,
        (0, index) => GroupInterface::Index(index),
        _ => GroupInterface::Address(address),
    }
}

fn by_index(bytes: &[u8], at: usize) -> Option<GroupInterface> {
    let index = u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
    Some(if index == 0 { GroupInterface::Any } else { GroupInterface::Index(index) })
}

/// A SOCKADDR_STORAGE of the level's family.
fn address(bytes: &[u8], at: usize, of_v4: bool) -> Option<IpAddr> {
    let family = u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?);
    match (family, of_v4) {
        (AF_INET, true) => v4(bytes, at + 4).map(IpAddr::V4),
        (AF_INET6, false) => v6(bytes, at + 8).map(IpAddr::V6),
        _ => None,
    }
}
