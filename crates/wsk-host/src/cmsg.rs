//! Control messages of Linux, and the control data that they are to the subsystem (control.md 4.4).
//!
//! [`Seen`] is all that came with a datagram; what its client asked for of it becomes [`ControlData`]. [`Sent`] is the way back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wsk_abi::flags::ControlFlags;
use wsk_core::control_data::{ControlData, ControlKinds, IcmpError};
use wsk_core::transport::Family;

use crate::option::Wishes;

/// Bytes set aside for control messages: all that can come together, two PKTINFO of a dual-mode socket among them. A routing
/// header that no longer fits comes last, and is not shown.
pub(crate) const CONTROL_SPACE: usize = 192;

/// include/uapi/linux/udp.h; missing from some libc versions.
const UDP_SEGMENT: i32 = 103;
pub(crate) const UDP_GRO: i32 = 104;

/// `struct cmsghdr`.
const HEADER: usize = size_of::<libc::cmsghdr>();
const ALIGN: usize = size_of::<usize>();

/// What came with a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// BCAST or MCAST, by its destination (E-80).
    pub(crate) flags: ControlFlags,
    /// The header's destination and the interface.
    local: Option<(IpAddr, u32)>,
    hop_limit: Option<u8>,
    traffic_class: Option<u8>,
    error: Option<IcmpError>,
    segment: Option<u32>,
}

impl Seen {
    /// Takes control messages apart, however damaged.
    pub(crate) fn parse(control: &[u8]) -> Self {
        let mut seen = Self::default();
        each(control, |level, kind, data| seen.take(level, kind, data));
        seen
    }

    fn take(&mut self, level: i32, kind: i32, data: &[u8]) {
        match (level, kind) {
            // in_pktinfo: interface, the local address it was meant for, the header's destination
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                if let (Some(index), Some(local), Some(to)) = (word(data, 0), octets(data, 4), octets(data, 8)) {
                    let (local, to) = (Ipv4Addr::from(local), Ipv4Addr::from(to));
                    self.flags = v4_flags(Some(local), to);
                    self.local = Some((to.into(), index));
                }
            }
            // in6_pktinfo: the header's destination, interface. That of IPv4 comes besides, and says more.
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let (Some(to), Some(index)) = (octets::<16>(data, 0), word(data, 16)) else { return };
                let to = Ipv6Addr::from(to);
                match to.to_ipv4_mapped() {
                    Some(_) if self.local.is_some() => {}
                    Some(to) => {
                        self.flags = v4_flags(None, to);
                        self.local = Some((to.into(), index));
                    }
                    None => {
                        self.flags = if to.is_multicast() { ControlFlags::MCAST } else { ControlFlags::empty() };
                        self.local = Some((to.into(), index));
                    }
                }
            }
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                self.hop_limit = word(data, 0).map(|hops| hops as u8);
            }
            // sock_extended_err: errno, origin, type, code, padding, info, data
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                let (Some([origin, kind, code, _]), Some(info)) = (octets(data, 4), word(data, 8)) else { return };
                let protocol = match origin {
                    libc::SO_EE_ORIGIN_ICMP => 1,
                    libc::SO_EE_ORIGIN_ICMP6 => 58,
                    _ => return,
                };
                self.error = Some(IcmpError { protocol, kind, code, info });
            }
            (libc::SOL_UDP, UDP_GRO) => self.segment = word(data, 0),
            (libc::IPPROTO_IP, libc::IP_TOS) => self.traffic_class = data.first().copied(),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => self.traffic_class = word(data, 0).map(|class| class as u8),
            _ => {}
        }
    }

    /// It is several datagrams of this size, the last perhaps shorter.
    pub(crate) fn segment(&self) -> Option<usize> {
        self.segment.map(|size| size as usize).filter(|size| *size > 0)
    }

    /// The ICMP error that it is, out of the error queue.
    pub(crate) fn error(&self) -> Option<IcmpError> {
        self.error
    }

    /// What a client with these wishes sees of it; `family` is the datagram's own (C-42).
    pub(crate) fn control(&self, wishes: &Wishes, family: Family) -> ControlData {
        let shown = wishes.shown(family);
        if shown.is_empty() {
            return ControlData::default(); // nothing to make room for
        }
        let mut control = ControlData::new(family == Family::V6);
        let of_local = shown & (ControlKinds::PACKET_INFO | ControlKinds::INTERFACE | ControlKinds::DESTINATION);
        if let (Some((to, index)), false) = (self.local, of_local.is_empty()) {
            control = control.with_local(to, index, of_local);
        }
        if let (Some(hop_limit), true) = (self.hop_limit, shown.contains(ControlKinds::HOP_LIMIT)) {
            control = control.with_hop_limit(hop_limit);
        }
        if let (Some(class), true) = (self.traffic_class, shown.contains(ControlKinds::TRAFFIC_CLASS)) {
            control = control.with_traffic_class(class);
        }
        if let (Some(class), true) = (self.traffic_class, shown.contains(ControlKinds::ECN)) {
            control = control.with_ecn(class); // C-21
        }
        control
    }
}

/// Whether a datagram was broadcast or multicast; `local` is the address it was taken in for, where the kernel tells.
fn v4_flags(local: Option<Ipv4Addr>, to: Ipv4Addr) -> ControlFlags {
    if to.is_multicast() {
        ControlFlags::MCAST
    } else if to.is_broadcast() || local.is_some_and(|local| local != to) {
        ControlFlags::BCAST
    } else {
        ControlFlags::empty()
    }
}

fn octets<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..)?.first_chunk().copied()
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    octets(data, at).map(u32::from_ne_bytes)
}

/// Calls `each` with level, type and data of every message, until one is damaged.
fn each(control: &[u8], mut each: impl FnMut(i32, i32, &[u8])) {
    let mut rest = control;
    while let (Some(len), Some(level), Some(kind)) =
        (octets(rest, 0).map(usize::from_ne_bytes), word(rest, ALIGN), word(rest, ALIGN + 4))
    {
        let Some(data) = rest.get(HEADER..len) else { return };
        each(level as i32, kind as i32, data);
        let Some(next) = len.checked_next_multiple_of(ALIGN).and_then(|next| rest.get(next..)) else { return };
        rest = next;
    }
}

/// Control messages to send, in the form of the kernel.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(crate) struct Sent {
    bytes: [u8; Sent::SPACE],
    len: usize,
}

impl Sent {
    /// PKTINFO (40 bytes), hop limit, class and segment size (24 each).
    const SPACE: usize = 112;

    /// None.
    pub(crate) const fn none() -> Self {
        Self { bytes: [0; Self::SPACE], len: 0 }
    }

    /// What of `control` is of the destination's family. `class` is what the endpoint sends otherwise, for ECN alone.
    pub(crate) fn new(control: &ControlData, family: Family, class: u8) -> Self {
        let mut this = Self::none();
        if control.is_empty() {
            return this;
        }
        let v6 = family == Family::V6;
        let level = if v6 { libc::IPPROTO_IPV6 } else { libc::IPPROTO_IP };
        let of = |v4, v6_name| if v6 { v6_name } else { v4 };
        match control.packet_info() {
            Some((IpAddr::V4(from), index)) if !v6 => {
                let data = [index.to_ne_bytes(), from.octets(), [0; 4]].concat();
                this.push(level, libc::IP_PKTINFO, &data);
            }
            Some((IpAddr::V6(from), index)) if v6 => {
                let mut data = [0; 20];
                data[..16].copy_from_slice(&from.octets());
                data[16..].copy_from_slice(&index.to_ne_bytes());
                this.push(level, libc::IPV6_PKTINFO, &data);
            }
            _ => {}
        }
        if let Some(hops) = control.hop_limit() {
            this.push(level, of(libc::IP_TTL, libc::IPV6_HOPLIMIT), &i32::from(hops).to_ne_bytes());
        }
        if control.traffic_class().is_some() || control.ecn().is_some() {
            let class = control.traffic_class().unwrap_or(class);
            let class = control.ecn().map_or(class, |ecn| class & !3 | ecn);
            this.push(level, of(libc::IP_TOS, libc::IPV6_TCLASS), &i32::from(class).to_ne_bytes());
        }
        if let Some(size) = control.segment_size() {
            this.segment(size as u16);
        }
        this
    }

    /// Has the kernel cut the payload into datagrams of `size` bytes.
    pub(crate) fn segment(&mut self, size: u16) {
        self.push(libc::SOL_UDP, UDP_SEGMENT, &size.to_ne_bytes());
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let place = &mut self.bytes[self.len..];
        place[..ALIGN].copy_from_slice(&(HEADER + data.len()).to_ne_bytes());
        place[ALIGN..ALIGN + 4].copy_from_slice(&level.to_ne_bytes());
        place[ALIGN + 4..HEADER].copy_from_slice(&kind.to_ne_bytes());
        place[HEADER..HEADER + data.len()].copy_from_slice(data);
        self.len += (HEADER + data.len()).next_multiple_of(ALIGN);
    }

    /// The bytes for the kernel.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wsk_core::option::{OptionName, OptionValue};
    use wsk_core::transport::{Endpoint, Protocol};

    use crate::endpoint::HostEndpoint;

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend((HEADER + data.len()).to_ne_bytes());
        out.extend(level.to_ne_bytes());
        out.extend(kind.to_ne_bytes());
        out.extend(data);
        out.resize(out.len().next_multiple_of(8), 0);
        out
    }

    fn v4(local: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
        message(libc::IPPROTO_IP, libc::IP_PKTINFO, &[&[1, 0, 0, 0], &local[..], &destination[..]].concat())
    }

    fn v6(to: &str, index: u8) -> Vec<u8> {
        let to: Ipv6Addr = to.parse().unwrap();
        message(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &[&to.octets()[..], &[index, 0, 0, 0]].concat())
    }

    #[test]
    fn e80_flags_follow_the_destination() {
        let flags = |control: &[u8]| Seen::parse(control).flags;
        assert_eq!(flags(&v4([10, 0, 0, 1], [10, 0, 0, 1])), ControlFlags::empty());
        assert_eq!(flags(&v4([10, 0, 0, 1], [10, 0, 0, 255])), ControlFlags::BCAST);
        assert_eq!(flags(&v4([10, 0, 0, 1], [255; 4])), ControlFlags::BCAST);
        assert_eq!(flags(&v4([10, 0, 0, 1], [224, 0, 0, 251])), ControlFlags::MCAST);
        assert_eq!(flags(&v6("ff02::1", 1)), ControlFlags::MCAST);
        assert_eq!(flags(&v6("::ffff:224.0.0.1", 1)), ControlFlags::MCAST);
        // Of a dual-mode socket both may come, in either order; that of IPv4 knows more.
        let both = [v6("::ffff:10.0.0.255", 1), v4([10, 0, 0, 1], [10, 0, 0, 255])];
        assert_eq!(flags(&both.concat()), ControlFlags::BCAST);
        assert_eq!(flags(&[&both[1][..], &both[0]].concat()), ControlFlags::BCAST);
    }

    #[test]
    fn damaged_control_data_is_survived() {
        let whole =
            [v4([1, 2, 3, 4], [1, 2, 3, 4]), v6("::1", 1), message(0, libc::IP_TOS, &[]), message(41, 67, &[1])];
        let whole = whole.concat();
        for cut in 0..whole.len() {
            Seen::parse(&whole[..cut]);
        }
        for length in [0u64, 1, 15, 16, 17, 1 << 32, u64::MAX - 7, u64::MAX] {
            let mut bad = whole.clone();
            bad[..8].copy_from_slice(&length.to_ne_bytes());
            Seen::parse(&bad);
        }
        Seen::parse(&[0xFF; 64]);
        Seen::parse(&[0; 64]);
    }

    fn wishes(options: &[OptionName]) -> std::sync::Arc<HostEndpoint> {
        let endpoint = HostEndpoint::create(Family::V6, Protocol::Udp, 1, std::sync::Arc::default()).unwrap();
        for option in options {
            endpoint.set_option(*option, &OptionValue::Number(1)).unwrap();
        }
        endpoint
    }

    /// C 4.4, E-83: each message that can be received, seen only by who asked for it.
    #[test]
    fn e83_only_what_was_asked_for_is_shown() {
        let four = [
            v4([10, 0, 0, 1], [10, 0, 0, 1]),
            message(0, libc::IP_TTL, &[64, 0, 0, 0]),
            message(0, libc::IP_TOS, &[0xB9]),
        ]
        .concat();
        let six = [
            v6("fd00::1", 3),
            message(41, libc::IPV6_HOPLIMIT, &[63, 0, 0, 0]),
            message(41, libc::IPV6_TCLASS, &[0xB9, 0, 0, 0]),
        ]
        .concat();
        use OptionName::*;
        let none = wishes(&[]);
        assert_eq!(Seen::parse(&four).control(&none.wishes, Family::V4), ControlData::default());
        assert_eq!(Seen::parse(&six).control(&none.wishes, Family::V6), ControlData::default());
        let rows = [
            (PacketInfo4, PacketInfo6, ControlKinds::PACKET_INFO),
            (ReceiveHopLimit4, ReceiveHopLimit6, ControlKinds::HOP_LIMIT),
            (ReceiveTos, ReceiveTrafficClass6, ControlKinds::TRAFFIC_CLASS),
            (Ecn4, Ecn6, ControlKinds::ECN),
            (ReceiveInterface4, ReceiveInterface6, ControlKinds::INTERFACE),
            (ReceiveDestination4, ReceiveDestination6, ControlKinds::DESTINATION),
        ];
        for (of_v4, of_v6, kind) in rows {
            let endpoint = wishes(&[of_v4]);
            let seen = Seen::parse(&four).control(&endpoint.wishes, Family::V4);
            assert_eq!(seen.kinds(), kind, "{of_v4:?}");
            assert!(Seen::parse(&six).control(&endpoint.wishes, Family::V6).is_empty(), "{of_v4:?}");
            let endpoint = wishes(&[of_v6]);
            assert_eq!(Seen::parse(&six).control(&endpoint.wishes, Family::V6).kinds(), kind, "{of_v6:?}");
            assert!(Seen::parse(&four).control(&endpoint.wishes, Family::V4).is_empty(), "{of_v6:?}");
        }
        let all = wishes(&rows.map(|(v4, v6, _)| [v4, v6]).concat());
        let seen = Seen::parse(&four).control(&all.wishes, Family::V4);
        assert_eq!(seen.packet_info(), Some((Ipv4Addr::new(10, 0, 0, 1).into(), 1)));
        assert_eq!((seen.hop_limit(), seen.traffic_class(), seen.ecn()), (Some(64), Some(0xB9), Some(1)));
        assert_eq!((seen.interface(), seen.destination()), (Some(1), Some(Ipv4Addr::new(10, 0, 0, 1).into())));
        let seen = Seen::parse(&six).control(&all.wishes, Family::V6);
        assert_eq!(seen.packet_info(), Some(("fd00::1".parse().unwrap(), 3)));
        assert_eq!((seen.hop_limit(), seen.traffic_class(), seen.ecn()), (Some(63), Some(0xB9), Some(1)));
        // C-42: where the kernel has only the message of IPv6, it is IPv4's all the same.
        let mapped = Seen::parse(&v6("::ffff:10.0.0.1", 2)).control(&all.wishes, Family::V4);
        assert_eq!(mapped.packet_info(), Some((Ipv4Addr::new(10, 0, 0, 1).into(), 2)));
    }

    /// E-84: an ICMP error as it is; what did not come by ICMP is none.
    #[test]
    fn e84_errors_of_the_queue_are_read() {
        let of = |origin: u8| [111, 0, 0, 0, origin, 3, 4, 0, 0x78, 5, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 10, 0, 0, 1];
        let error = |level, kind, origin| Seen::parse(&message(level, kind, &of(origin))).error();
        let expected = |protocol| Some(IcmpError { protocol, kind: 3, code: 4, info: 0x578 });
        assert_eq!(error(0, libc::IP_RECVERR, 2), expected(1));
        assert_eq!(error(41, libc::IPV6_RECVERR, 2), expected(1), "of IPv4 on a dual-mode socket");
        assert_eq!(error(41, libc::IPV6_RECVERR, 3), expected(58));
        assert_eq!(error(0, libc::IP_RECVERR, 1), None);
        let whole = message(0, libc::IP_RECVERR, &of(2));
        for cut in 0..whole.len() {
            Seen::parse(&whole[..cut]);
        }
    }

    /// C 4.4, C-21, F-192: each message that can be sent.
    #[test]
    fn f192_control_data_becomes_the_kernels_messages() {
        let from = IpAddr::from([10, 0, 0, 1]);
        let four = ControlData::default().with_packet_info(from, 7).with_hop_limit(9).with_traffic_class(0xB8);
        let expected = [
            message(0, 8, &[7, 0, 0, 0, 10, 0, 0, 1, 0, 0, 0, 0]),
            message(0, 2, &[9, 0, 0, 0]),
            message(0, 1, &[0xB8, 0, 0, 0]),
        ];
        assert_eq!(Sent::new(&four, Family::V4, 0).bytes(), expected.concat());
        let from: IpAddr = "fd00::1".parse().unwrap();
        let six = ControlData::default().with_packet_info(from, 7).with_hop_limit(9).with_traffic_class(0xB8);
        let six = six.with_ecn(2).with_segment_size(1200);
        let mut info = [0u8; 20];
        (info[0], info[15], info[16]) = (0xFD, 1, 7);
        let expected = [
            message(41, 50, &info),
            message(41, 52, &[9, 0, 0, 0]),
            message(41, 67, &[0xBA, 0, 0, 0]),
            message(17, 103, &1200u16.to_ne_bytes()),
        ];
        assert_eq!(Sent::new(&six, Family::V6, 0).bytes(), expected.concat());
        // A source of the other family is none of this destination.
        assert_eq!(Sent::new(&six.only(ControlKinds::PACKET_INFO), Family::V4, 0).bytes(), []);
        assert_eq!(Sent::new(&four.only(ControlKinds::PACKET_INFO), Family::V6, 0).bytes(), []);
        // ECN alone leaves the rest of the byte as it is.
        let ecn = ControlData::default().with_ecn(1);
        assert_eq!(Sent::new(&ecn, Family::V4, 0xB8).bytes(), message(0, 1, &[0xB9, 0, 0, 0]));
    }
}
