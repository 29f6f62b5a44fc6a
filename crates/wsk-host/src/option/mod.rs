//! The options that the table leaves to the transport (control.md 4), each set and asked for in the way its row names.
//!
//! Most are an int of Linux. What Linux would forget, or what decides what a client sees, is kept in [`Wishes`].

mod group;

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use wsk_abi::constants::sockopt::IPPROTO_IPV6;
use wsk_abi::status::NtStatus;
use wsk_core::control_data::ControlKinds;
use wsk_core::option::{Keeper, OptionName, OptionValue, Row, Values};
use wsk_core::transport::Family;

use crate::endpoint::HostEndpoint;
use crate::errno;
use crate::sockopt::{get_bytes, get_int, set_bytes, set_int};

/// Missing from some libc versions.
const TCP_FASTOPEN: i32 = 23;

/// Connections whose data came with the SYN, waiting to be accepted.
const FAST_OPEN_QUEUE: i32 = 256;

/// What a client asked of an endpoint that no option of Linux remembers.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// What is shown of received datagrams, of IPv4 and of IPv6.
    shown: [AtomicU16; 2],
    /// The longest coalesced datagram; 0: none is coalesced.
    coalesced: AtomicU32,
    /// Sends are cut into datagrams of this size; 0 not.
    segment: AtomicU32,
    /// IP_MULTICAST_IF as the client gave it: Linux does not tell an index.
    multicast_interface: AtomicU32,
    fast_open: AtomicBool,
    /// The TOS byte and the traffic class of what is sent.
    class: [AtomicU32; 2],
    /// Unreachable ports, and networks, are reported.
    unreachable: [AtomicBool; 2],
    /// Held while the kernel is told of what is wanted, so that the last to be told is what holds.
    telling: Mutex<()>,
}

impl Wishes {
    /// Those that an accepted connection has of its listener.
    pub(crate) fn inherited(&self) -> Self {
        Self { fast_open: AtomicBool::new(self.fast_open()), ..Self::default() }
    }

    /// What is shown of datagrams of this family.
    pub(crate) fn shown(&self, family: Family) -> ControlKinds {
        ControlKinds::from_bits_truncate(self.shown[family as usize].load(Ordering::Relaxed))
    }

    fn show(&self, family: Family, kind: ControlKinds, on: bool) {
        let shown = &self.shown[family as usize];
        if on {
            shown.fetch_or(kind.bits(), Ordering::Relaxed);
        } else {
            shown.fetch_and(!kind.bits(), Ordering::Relaxed);
        }
    }

    /// Whether the fate of datagrams is of interest at all.
    pub(crate) fn wants_errors(&self) -> bool {
        let shown = self.shown(Family::V4) | self.shown(Family::V6);
        shown.contains(ControlKinds::ERROR) || self.unreachable() != (false, false)
    }

    /// The longest datagram that several may be coalesced into; 0: they come one by one.
    pub(crate) fn coalesced(&self) -> usize {
        self.coalesced.load(Ordering::Relaxed) as usize
    }

    /// Whether the host cuts what is sent.
    pub(crate) fn cuts(&self) -> bool {
        self.segment.load(Ordering::Relaxed) != 0
    }

    /// The TOS byte, or the traffic class, of what is sent.
    pub(crate) fn class(&self, family: Family) -> u8 {
        self.class[family as usize].load(Ordering::Relaxed) as u8
    }

    /// Whether data may go with a SYN.
    pub(crate) fn fast_open(&self) -> bool {
        self.fast_open.load(Ordering::Relaxed)
    }

    /// Whether unreachable ports, and networks, are reported.
    pub(crate) fn unreachable(&self) -> (bool, bool) {
        let [port, network] = &self.unreachable;
        (port.load(Ordering::Relaxed), network.load(Ordering::Relaxed))
    }
}

/// An option of which the client sees its own answer.
enum Way {
    /// A kind of control data of one family.
    Show(Family, ControlKinds),
    /// IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: level and name.
    Discover(i32, i32),
    /// IP_MTU, IPV6_MTU: level and name.
    Mtu(i32, i32),
    Group,
    Other,
}

fn way(option: OptionName) -> Way {
    use OptionName::*;
    let v4 = |kind| Way::Show(Family::V4, kind);
    let v6 = |kind| Way::Show(Family::V6, kind);
    match option {
        PacketInfo4 => v4(ControlKinds::PACKET_INFO),
        ReceiveHopLimit4 => v4(ControlKinds::HOP_LIMIT),
        ReceiveInterface4 => v4(ControlKinds::INTERFACE),
        ReceiveDestination4 => v4(ControlKinds::DESTINATION),
        ReceiveTos => v4(ControlKinds::TRAFFIC_CLASS),
        Ecn4 => v4(ControlKinds::ECN),
        ReceiveError4 => v4(ControlKinds::ERROR),
        PacketInfo6 => v6(ControlKinds::PACKET_INFO),
        ReceiveHopLimit6 => v6(ControlKinds::HOP_LIMIT),
        ReceiveInterface6 => v6(ControlKinds::INTERFACE),
        ReceiveDestination6 => v6(ControlKinds::DESTINATION),
        ReceiveTrafficClass6 => v6(ControlKinds::TRAFFIC_CLASS),
        Ecn6 => v6(ControlKinds::ECN),
        ReceiveError6 => v6(ControlKinds::ERROR),
        MtuDiscover4 => Way::Discover(libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
        MtuDiscover6 => Way::Discover(libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
        Mtu4 => Way::Mtu(libc::IPPROTO_IP, libc::IP_MTU),
        Mtu6 => Way::Mtu(libc::IPPROTO_IPV6, libc::IPV6_MTU),
        option if option.group_action().is_some() => Way::Group,
        _ => Way::Other,
    }
}

/// An IPv6 option is none of an IPv4 socket; the reverse is one (C-20).
fn check_family(endpoint: &HostEndpoint, row: &Row) -> Result<(), NtStatus> {
    if row.level == IPPROTO_IPV6 && endpoint.family == Family::V4 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    Ok(())
}

/// Sets an option.
pub(crate) fn set(
    endpoint: &HostEndpoint,
    fd: BorrowedFd<'_>,
    option: OptionName,
    value: &OptionValue,
) -> Result<(), NtStatus> {
    let row = option.row();
    check_family(endpoint, row)?;
    if let Keeper::Linux(level, name) = row.keeper {
        let result = match value {
            OptionValue::Octets(bytes) => set_bytes(fd, level, name, bytes),
            value => {
                let most = if row.values == Values::Bytes { i32::MAX as u32 / 2 } else { i32::MAX as u32 };
                set_int(fd, level, name, value.number()?.min(most) as i32)
            }
        };
        result.map_err(of_option)?;
        let wishes = &endpoint.wishes;
        match option {
            OptionName::SegmentSize => wishes.segment.store(value.number()?, Ordering::Relaxed),
            OptionName::Tos | OptionName::TrafficClass4 => wishes.class[0].store(value.number()?, Ordering::Relaxed),
            OptionName::TrafficClass6 => wishes.class[1].store(value.number()?, Ordering::Relaxed),
            _ => {}
        }
        return Ok(());
    }
    match way(option) {
        Way::Show(family, kind) => show(endpoint, fd, family, kind, value.number()? != 0),
        Way::Discover(level, name) => {
            let value = match value.number()? {
                1 => libc::IP_PMTUDISC_DO,
                2 => libc::IP_PMTUDISC_DONT,
                3 => libc::IP_PMTUDISC_PROBE,
                _ => default_discovery(level),
            };
            set_int(fd, level, name, value).map_err(of_option)
        }
        Way::Group => match value {
            OptionValue::Group(request) => group::change(fd, request).map_err(of_option),
            _ => Err(NtStatus::INVALID_PARAMETER),
        },
        Way::Mtu(..) => Err(NtStatus::NOT_SUPPORTED),
        Way::Other => set_other(endpoint, fd, option, value.number()?),
    }
}

fn set_other(endpoint: &HostEndpoint, fd: BorrowedFd<'_>, option: OptionName, value: u32) -> Result<(), NtStatus> {
    match option {
        OptionName::V6Only => {
            // Linux says EINVAL once bound (C-44).
            set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, value as i32).map_err(|e| match e {
                Errno::INVAL => NtStatus::INVALID_DEVICE_STATE,
                e => of_option(e),
            })?;
            endpoint.v6_only.store(value != 0, Ordering::Relaxed);
        }
        OptionName::DontFragment4 => {
            let value = if value == 0 { default_discovery(libc::IPPROTO_IP) } else { libc::IP_PMTUDISC_DO };
            set_int(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, value).map_err(of_option)?;
        }
        OptionName::MulticastInterface4 => {
            group::set_interface(fd, value).map_err(of_option)?;
            endpoint.wishes.multicast_interface.store(value, Ordering::Relaxed);
        }
        OptionName::UnicastInterface4 => {
            set_int(fd, libc::IPPROTO_IP, libc::IP_UNICAST_IF, value as i32).map_err(of_option)?;
        }
        OptionName::UnicastInterface6 => {
            set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_IF, value.to_be() as i32).map_err(of_option)?;
        }
        OptionName::MaxRetransmit => {
            let milliseconds = value.saturating_mul(1000).min(i32::MAX as u32) as i32;
            set_int(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, milliseconds).map_err(of_option)?;
        }
        OptionName::FastOpen => {
            // A connection refuses it and has no use for it; a host without it does without.
            let queue = if value == 0 { 0 } else { FAST_OPEN_QUEUE };
            let _ = set_int(fd, libc::IPPROTO_TCP, TCP_FASTOPEN, queue);
            endpoint.wishes.fast_open.store(value != 0, Ordering::Relaxed);
        }
        OptionName::CoalescedSize => endpoint.wishes.coalesced.store(value, Ordering::Relaxed),
        _ => return Err(NtStatus::NOT_SUPPORTED),
    }
    Ok(())
}

/// The value of an option.
pub(crate) fn get(endpoint: &HostEndpoint, fd: BorrowedFd<'_>, option: OptionName) -> Result<OptionValue, NtStatus> {
    let row = option.row();
    check_family(endpoint, row)?;
    if let (Keeper::Linux(level, name), Values::Octets(most)) = (row.keeper, &row.values) {
        let mut bytes = get_bytes(fd, level, name, *most).map_err(of_option)?;
        if option == OptionName::CongestionAlgorithm {
            bytes.truncate(bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len()));
        }
        return Ok(OptionValue::Octets(bytes));
    }
    let number = match (row.keeper, way(option)) {
        (Keeper::Linux(level, name), _) => {
            let value = get_int(fd, level, name).map_err(of_option)?.max(0) as u32;
            match row.values {
                // The kernel doubles sizes to leave room for its bookkeeping; the client gets what it asked for.
                Values::Bytes => value / 2,
                Values::Flag => u32::from(value != 0),
                _ => value,
            }
        }
        (_, Way::Show(family, kind)) => u32::from(endpoint.wishes.shown(family).contains(kind)),
        (_, Way::Discover(level, name)) => match get_int(fd, level, name).map_err(of_option)? {
            value if value == default_discovery(level) => 0,
            libc::IP_PMTUDISC_DO => 1,
            libc::IP_PMTUDISC_DONT => 2,
            libc::IP_PMTUDISC_PROBE => 3,
            _ => 0,
        },
        (_, Way::Mtu(level, name)) => get_int(fd, level, name).map_err(of_mtu)?.max(0) as u32,
        (_, Way::Group) => return Err(NtStatus::NOT_SUPPORTED),
        (_, Way::Other) => other(endpoint, fd, option)?,
    };
    Ok(OptionValue::Number(number))
}

fn other(endpoint: &HostEndpoint, fd: BorrowedFd<'_>, option: OptionName) -> Result<u32, NtStatus> {
    let wishes = &endpoint.wishes;
    let int = |level, name| get_int(fd, level, name).map_err(of_option).map(|value| value as u32);
    Ok(match option {
        OptionName::V6Only => int(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)?,
        OptionName::DontFragment4 => {
            u32::from(int(libc::IPPROTO_IP, libc::IP_MTU_DISCOVER)? == libc::IP_PMTUDISC_DO as u32)
        }
        OptionName::MulticastInterface4 => wishes.multicast_interface.load(Ordering::Relaxed),
        OptionName::UnicastInterface4 => int(libc::IPPROTO_IP, libc::IP_UNICAST_IF)?,
        OptionName::UnicastInterface6 => u32::from_be(int(libc::IPPROTO_IPV6, libc::IPV6_UNICAST_IF)?),
        OptionName::MaxRetransmit => int(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT)? / 1000,
        OptionName::FastOpen => u32::from(wishes.fast_open()),
        OptionName::CoalescedSize => wishes.coalesced.load(Ordering::Relaxed),
        OptionName::Error => {
            // Latches what nobody has met yet.
            endpoint.look_for_failure(fd).map_or(0, |status| status.0)
        }
        _ => return Err(NtStatus::NOT_SUPPORTED),
    })
}

/// Has the kernel deliver what the client wants to see, and what is wanted for other reasons.
fn show(
    endpoint: &HostEndpoint,
    fd: BorrowedFd<'_>,
    family: Family,
    kind: ControlKinds,
    on: bool,
) -> Result<(), NtStatus> {
    let wishes = &endpoint.wishes;
    let _telling = wishes.telling.lock().unwrap_or_else(PoisonError::into_inner);
    let before = wishes.shown(family);
    wishes.show(family, kind, on);
    let result = deliver(endpoint, fd, family, kind);
    if result.is_err() {
        wishes.show(family, kind, before.contains(kind));
    }
    result.map_err(of_option)
}

/// Brings the kernel's options about control data of one kind in line with the wishes.
fn deliver(endpoint: &HostEndpoint, fd: BorrowedFd<'_>, family: Family, kind: ControlKinds) -> Result<(), Errno> {
    let wishes = &endpoint.wishes;
    let shown = wishes.shown(family);
    let class = ControlKinds::TRAFFIC_CLASS | ControlKinds::ECN;
    let wanted = match kind {
        ControlKinds::HOP_LIMIT => Some((libc::IP_RECVTTL, libc::IPV6_RECVHOPLIMIT, shown.contains(kind))),
        // Linux has one byte for both (C-21).
        kind if class.contains(kind) => Some((libc::IP_RECVTOS, libc::IPV6_RECVTCLASS, shown.intersects(class))),
        ControlKinds::ERROR => {
            Some((libc::IP_RECVERR, libc::IPV6_RECVERR, shown.contains(kind) || wishes.unreachable() != (false, false)))
        }
        _ => None, // of PKTINFO, which is always on
    };
    match (wanted, family) {
        (None, _) => Ok(()),
        (Some((name, _, on)), Family::V4) => set_int(fd, libc::IPPROTO_IP, name, on.into()),
        (Some((_, name, on)), Family::V6) => set_int(fd, libc::IPPROTO_IPV6, name, on.into()),
    }
}

/// Whether unreachable ports, and networks, are to be reported.
pub(crate) fn report_unreachable(
    endpoint: &HostEndpoint,
    fd: BorrowedFd<'_>,
    port: bool,
    network: bool,
) -> Result<(), NtStatus> {
    let _telling = endpoint.wishes.telling.lock().unwrap_or_else(PoisonError::into_inner);
    let before = endpoint.wishes.unreachable();
    let store = |(port, network): (bool, bool)| {
        endpoint.wishes.unreachable[0].store(port, Ordering::Relaxed);
        endpoint.wishes.unreachable[1].store(network, Ordering::Relaxed);
    };
    store((port, network));
    let mut result = deliver(endpoint, fd, Family::V4, ControlKinds::ERROR);
    if endpoint.family == Family::V6 && result.is_ok() {
        result = deliver(endpoint, fd, Family::V6, ControlKinds::ERROR);
    }
    if result.is_err() {
        store(before);
    }
    result.map_err(of_option)
}

/// Path MTU discovery as the host has it for new sockets of this level.
fn default_discovery(level: i32) -> i32 {
    static V4: OnceLock<i32> = OnceLock::new();
    if level == libc::IPPROTO_IPV6 {
        return libc::IPV6_PMTUDISC_WANT;
    }
    *V4.get_or_init(|| {
        let fresh = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
        let found =
            fresh.and_then(|fd| get_int(std::os::fd::AsFd::as_fd(&fd), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER));
        found.unwrap_or(libc::IP_PMTUDISC_WANT)
    })
}

/// The status of an option of the table that the kernel refuses. ENOPROTOOPT (set) or EOPNOTSUPP (get): it is none of this kind
/// of socket.
fn of_option(error: Errno) -> NtStatus {
    match error {
        Errno::NOPROTOOPT | Errno::OPNOTSUPP | Errno::NOENT => NtStatus::INVALID_PARAMETER,
        error => errno::status(error.raw_os_error()),
    }
}

/// The path MTU needs a destination (C-19).
fn of_mtu(error: Errno) -> NtStatus {
    if error == Errno::NOTCONN { NtStatus::INVALID_DEVICE_STATE } else { of_option(error) }
}

#[cfg(test)]
mod tests;
