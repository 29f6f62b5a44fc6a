//! Control data of datagrams: what the options of control.md 4.2 ask for beside the payload, and what a client asks for with a
//! single send (control.md 4.4, E-83, F-192).
//!
//! [`ControlData`] is the meaning; [`ControlData::parse`] and [`ControlData::encode`] are the chain of CMSGHDRs that C clients
//! have. A transport knows the meaning only.

use std::net::IpAddr;

use wsk_abi::cmsg::{CMSG_ALIGN, CMSG_LEN, CMSG_SPACE, CMSGHDR};
use wsk_abi::constants::sockopt::*;
use wsk_abi::status::NtStatus;

bitflags::bitflags! {
    /// The kinds of control messages.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ControlKinds: u16 {
        /// IP_PKTINFO, IPV6_PKTINFO: local address and interface.
        const PACKET_INFO = 1;
        /// IP_TTL, IPV6_HOPLIMIT.
        const HOP_LIMIT = 2;
        /// IP_TOS, IPV6_TCLASS.
        const TRAFFIC_CLASS = 4;
        /// IP_ECN, IPV6_ECN.
        const ECN = 8;
        /// IP_RECVERR, IPV6_RECVERR: an ICMP error (E-84).
        const ERROR = 0x10;
        /// UDP_SEND_MSG_SIZE: a send is cut into datagrams.
        const SEGMENT_SIZE = 0x20;
        /// UDP_COALESCED_INFO: several datagrams came as one (E-86).
        const COALESCED_SIZE = 0x40;
        /// IP_RECVIF, IPV6_RECVIF: the interface.
        const INTERFACE = 0x80;
        /// IP_RECVDSTADDR, IPV6_RECVDSTADDR: the local address.
        const DESTINATION = 0x100;
    }
}

/// An ICMP error about a datagram sent before (IN_RECVERR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// IPPROTO_ICMP or IPPROTO_ICMPV6.
    pub protocol: u8,
    /// ICMP type.
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
    /// What the error carries besides, such as the path MTU.
    pub info: u32,
}

/// Control data: at most one of each kind.
///
/// Received, it is of the datagram's family, so IPv4's on a dual-mode socket (C-42). To send, what is of the destination's family
/// counts. It is small while nothing is in it, which is the common case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlData(Option<Box<Fields>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fields {
    kinds: ControlKinds,
    /// Of IPv6.
    v6: bool,
    hop_limit: u8,
    traffic_class: u8,
    ecn: u8,
    error: [u8; 3],
    interface: u32,
    /// SEGMENT_SIZE or COALESCED_SIZE.
    size: u32,
    error_info: u32,
    /// Of IPv4 the first four bytes.
    address: [u8; 16],
}

/// What a client wants of one send, as [`ControlData::parse`] reads it: IPv4's messages count if the datagram goes by IPv4, and
/// IPv6's if by IPv6 (C-22).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendControl {
    v4: ControlData,
    v6: ControlData,
}

impl SendControl {
    /// What counts for a destination of IPv6, or of IPv4.
    pub fn of(self, v6: bool) -> ControlData {
        if v6 { self.v6 } else { self.v4 }
    }

    /// The same, to look at.
    pub fn both(&self) -> [&ControlData; 2] {
        [&self.v4, &self.v6]
    }
}

impl From<ControlData> for SendControl {
    /// What a Rust program asks for counts for either family; an address only for its own.
    fn from(control: ControlData) -> Self {
        let of = |v6: bool| {
            let other = control.packet_info().is_some_and(|(address, _)| address.is_ipv6() != v6);
            let kinds = if other { ControlKinds::all() - ControlKinds::PACKET_INFO } else { ControlKinds::all() };
            control.clone().only(kinds)
        };
        if control.is_empty() { Self::default() } else { Self { v4: of(false), v6: of(true) } }
    }
}

impl Fields {
    fn local(&self) -> IpAddr {
        let [a, b, c, d, ..] = self.address;
        if self.v6 { IpAddr::from(self.address) } else { IpAddr::from([a, b, c, d]) }
    }
}

impl ControlData {
    /// None yet, for a datagram of IPv6 or IPv4.
    pub fn new(v6: bool) -> Self {
        Self(v6.then(|| Box::new(Fields { v6, ..Fields::default() })))
    }

    /// What is in it.
    pub fn kinds(&self) -> ControlKinds {
        self.0.as_ref().map_or(ControlKinds::empty(), |fields| fields.kinds)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.kinds().is_empty()
    }

    /// The same with these kinds only.
    pub fn only(mut self, kinds: ControlKinds) -> Self {
        if let Some(fields) = &mut self.0 {
            fields.kinds &= kinds;
        }
        Self(self.0.filter(|fields| !fields.kinds.is_empty()))
    }

    /// The fields, if one of this kind is among them.
    fn has(&self, kind: ControlKinds) -> Option<&Fields> {
        self.0.as_deref().filter(|fields| fields.kinds.contains(kind))
    }

    /// With a message of this kind more.
    fn with(mut self, kind: ControlKinds, set: impl FnOnce(&mut Fields)) -> Self {
        let fields = self.0.get_or_insert_default();
        fields.kinds |= kind;
        set(fields);
        self
    }

    /// Received: the local address of a datagram and the index of its interface. To send: where it is to come from; index 0
    /// and an unspecified address leave the choice to the host (C-22).
    pub fn packet_info(&self) -> Option<(IpAddr, u32)> {
        self.has(ControlKinds::PACKET_INFO).map(|fields| (fields.local(), fields.interface))
    }

    /// With [`ControlData::packet_info`]; it decides the family too.
    pub fn with_packet_info(self, address: IpAddr, interface: u32) -> Self {
        self.with_local(address, interface, ControlKinds::PACKET_INFO)
    }

    /// Received: the index of the interface, if it was asked for by itself.
    pub fn interface(&self) -> Option<u32> {
        self.has(ControlKinds::INTERFACE).map(|fields| fields.interface)
    }

    /// Received: the local address, if it was asked for by itself.
    pub fn destination(&self) -> Option<IpAddr> {
        self.has(ControlKinds::DESTINATION).map(Fields::local)
    }

    /// The local address of a received datagram and its interface, for each of `kinds` that is one of PACKET_INFO, INTERFACE,
    /// DESTINATION.
    pub fn with_local(self, address: IpAddr, interface: u32, kinds: ControlKinds) -> Self {
        let kinds = kinds & (ControlKinds::PACKET_INFO | ControlKinds::INTERFACE | ControlKinds::DESTINATION);
        self.with(kinds, |fields| {
            fields.v6 = address.is_ipv6();
            fields.interface = interface;
            fields.address = [0; 16];
            match address {
                IpAddr::V4(v4) => fields.address[..4].copy_from_slice(&v4.octets()),
                IpAddr::V6(v6) => fields.address = v6.octets(),
            }
        })
    }

    /// TTL or hop limit.
    pub fn hop_limit(&self) -> Option<u8> {
        self.has(ControlKinds::HOP_LIMIT).map(|fields| fields.hop_limit)
    }

    /// With [`ControlData::hop_limit`].
    pub fn with_hop_limit(self, hop_limit: u8) -> Self {
        self.with(ControlKinds::HOP_LIMIT, |fields| fields.hop_limit = hop_limit)
    }

    /// TOS byte or traffic class, ECN included.
    pub fn traffic_class(&self) -> Option<u8> {
        self.has(ControlKinds::TRAFFIC_CLASS).map(|fields| fields.traffic_class)
    }

    /// With [`ControlData::traffic_class`].
    pub fn with_traffic_class(self, traffic_class: u8) -> Self {
        self.with(ControlKinds::TRAFFIC_CLASS, |fields| fields.traffic_class = traffic_class)
    }

    /// Explicit congestion notification, 0 to 3 (C-21).
    pub fn ecn(&self) -> Option<u8> {
        self.has(ControlKinds::ECN).map(|fields| fields.ecn)
    }

    /// With [`ControlData::ecn`]; the low two bits count.
    pub fn with_ecn(self, ecn: u8) -> Self {
        self.with(ControlKinds::ECN, |fields| fields.ecn = ecn & 3)
    }

    /// The ICMP error that the datagram stands for; its bytes are to be ignored (E-84).
    pub fn error(&self) -> Option<IcmpError> {
        self.has(ControlKinds::ERROR).map(|fields| {
            let [protocol, kind, code] = fields.error;
            IcmpError { protocol, kind, code, info: fields.error_info }
        })
    }

    /// With [`ControlData::error`].
    pub fn with_error(self, error: IcmpError) -> Self {
        let IcmpError { protocol, kind, code, info } = error;
        self.with(ControlKinds::ERROR, |fields| (fields.error, fields.error_info) = ([protocol, kind, code], info))
    }

    /// To send: the payload is cut into datagrams of so many bytes.
    pub fn segment_size(&self) -> Option<u32> {
        self.has(ControlKinds::SEGMENT_SIZE).map(|fields| fields.size)
    }

    /// With [`ControlData::segment_size`].
    pub fn with_segment_size(self, size: u32) -> Self {
        self.with(ControlKinds::SEGMENT_SIZE, |fields| {
            fields.kinds -= ControlKinds::COALESCED_SIZE;
            fields.size = size;
        })
    }

    /// Received: the payload is several datagrams of so many bytes, the last perhaps shorter (E-86).
    pub fn coalesced_size(&self) -> Option<u32> {
        self.has(ControlKinds::COALESCED_SIZE).map(|fields| fields.size)
    }

    /// With [`ControlData::coalesced_size`].
    pub fn with_coalesced_size(self, size: u32) -> Self {
        self.with(ControlKinds::COALESCED_SIZE, |fields| {
            fields.kinds -= ControlKinds::SEGMENT_SIZE;
            fields.size = size;
        })
    }

    /// What a client wants of one send, out of its chain of CMSGHDRs. Of two messages of a kind and family the later one counts.
    ///
    /// # Errors
    /// INVALID_PARAMETER: a chain that is cut off or runs over, a message nobody knows, or a value out of range (F-192, C-22).
    pub fn parse(chain: &[u8]) -> Result<SendControl, NtStatus> {
        let refused = NtStatus::INVALID_PARAMETER;
        let mut this = SendControl::default();
        let mut rest = chain;
        while !rest.is_empty() {
            let header = rest.first_chunk::<{ size_of::<CMSGHDR>() }>().ok_or(refused)?;
            let [length, level_type] = [0, 8].map(|at| <[u8; 8]>::try_from(&header[at..at + 8]).expect("half of 16"));
            let length = usize::try_from(u64::from_le_bytes(length)).map_err(|_| refused)?;
            let [l0, l1, l2, l3, t0, t1, t2, t3] = level_type;
            let (level, kind) = (u32::from_le_bytes([l0, l1, l2, l3]), u32::from_le_bytes([t0, t1, t2, t3]));
            let data = rest.get(size_of::<CMSGHDR>()..length).ok_or(refused)?;
            let SendControl { v4, v6 } = this;
            this = match level {
                IPPROTO_IP => SendControl { v4: v4.take(level, kind, data).ok_or(refused)?, v6 },
                IPPROTO_IPV6 => SendControl { v4, v6: v6.into_v6().take(level, kind, data).ok_or(refused)? },
                _ => SendControl {
                    v4: v4.take(level, kind, data).ok_or(refused)?,
                    v6: v6.into_v6().take(level, kind, data).ok_or(refused)?,
                },
            };
            rest = rest.get(CMSG_ALIGN(length)..).unwrap_or_default();
        }
        let SendControl { v4, v6 } = this;
        Ok(SendControl { v4: v4.only(ControlKinds::all()), v6: v6.only(ControlKinds::all()) })
    }

    /// The same, of IPv6.
    fn into_v6(mut self) -> Self {
        self.0.get_or_insert_default().v6 = true;
        self
    }

    /// With one message more.
    fn take(self, level: u32, kind: u32, data: &[u8]) -> Option<Self> {
        let number = || <[u8; 4]>::try_from(data).ok().map(u32::from_le_bytes);
        let at_most = |most: u32| number().filter(|n| *n <= most).map(|n| n as u8);
        let index = |at: usize| Some(u32::from_le_bytes(<[u8; 4]>::try_from(data.get(at..)?).ok()?));
        Some(match (level, kind) {
            (IPPROTO_IP, IP_PKTINFO) => {
                let interface = index(4)?;
                self.with_packet_info(IpAddr::from(*data.first_chunk::<4>()?), interface)
            }
            (IPPROTO_IPV6, IPV6_PKTINFO) => {
                let interface = index(16)?;
                self.with_packet_info(IpAddr::from(*data.first_chunk::<16>()?), interface)
            }
            (IPPROTO_IP, IP_TTL | IP_HOPLIMIT) | (IPPROTO_IPV6, IPV6_HOPLIMIT) => self.with_hop_limit(at_most(255)?),
            (IPPROTO_IP, IP_TOS) | (IPPROTO_IPV6, IPV6_TCLASS) => self.with_traffic_class(at_most(255)?),
            (IPPROTO_IP, IP_ECN) | (IPPROTO_IPV6, IPV6_ECN) => self.with_ecn(at_most(3)?),
            (IPPROTO_UDP, UDP_SEND_MSG_SIZE) => self.with_segment_size(number().filter(|n| (1..=65_507).contains(n))?),
            // Empty ones: a client sends them along (C-22).
            (IPPROTO_IP, IP_OPTIONS) | (IPPROTO_IPV6, IPV6_RTHDR) if data.is_empty() => self,
            _ => return None,
        })
    }

    /// Bytes that [`ControlData::encode`] takes if there is room enough.
    pub fn encoded_len(&self) -> usize {
        let mut length = 0;
        self.each(|_, _, data| {
            length += CMSG_SPACE(data.len());
            true
        });
        length
    }

    /// Writes what a client asked to see as a chain of CMSGHDRs: whole messages as far as they fit (F-196). Returns the bytes
    /// written, and whether all of it fitted.
    pub fn encode(&self, room: &mut [u8]) -> (usize, bool) {
        let mut length = 0;
        let mut whole = true;
        self.each(|level, kind, data| {
            let Some(place) = room.get_mut(length..length + CMSG_SPACE(data.len())) else {
                whole = false;
                return false;
            };
            place.fill(0);
            place[..8].copy_from_slice(&(CMSG_LEN(data.len()) as u64).to_le_bytes());
            place[8..12].copy_from_slice(&level.to_le_bytes());
            place[12..16].copy_from_slice(&kind.to_le_bytes());
            place[16..16 + data.len()].copy_from_slice(data);
            length += place.len();
            true
        });
        (length, whole)
    }

    /// Calls `each` with level, type and data of every message, until it says `false`.
    fn each(&self, mut each: impl FnMut(u32, u32, &[u8]) -> bool) {
        let Some(fields) = self.0.as_deref() else { return };
        let (level, address) =
            if fields.v6 { (IPPROTO_IPV6, &fields.address[..]) } else { (IPPROTO_IP, &fields.address[..4]) };
        let of = |v4: u32, v6: u32| if fields.v6 { v6 } else { v4 };
        let mut info = [0; 20];
        info[..address.len()].copy_from_slice(address);
        info[address.len()..address.len() + 4].copy_from_slice(&fields.interface.to_le_bytes());
        let info = &info[..address.len() + 4];
        let mut error = [0; 12];
        error[..4].copy_from_slice(&u32::from(fields.error[0]).to_le_bytes());
        error[4..8].copy_from_slice(&fields.error_info.to_le_bytes());
        error[8..10].copy_from_slice(&fields.error[1..]);
        let int = |byte: u8| u32::from(byte).to_le_bytes();
        let all: [(ControlKinds, u32, u32, &[u8]); 9] = [
            (ControlKinds::PACKET_INFO, level, of(IP_PKTINFO, IPV6_PKTINFO), info),
            (ControlKinds::HOP_LIMIT, level, of(IP_TTL, IPV6_HOPLIMIT), &int(fields.hop_limit)),
            (ControlKinds::TRAFFIC_CLASS, level, of(IP_TOS, IPV6_TCLASS), &int(fields.traffic_class)),
            (ControlKinds::ECN, level, of(IP_ECN, IPV6_ECN), &int(fields.ecn)),
            (ControlKinds::INTERFACE, level, of(IP_RECVIF, IPV6_RECVIF), &fields.interface.to_le_bytes()),
            (ControlKinds::DESTINATION, level, of(IP_RECVDSTADDR, IPV6_RECVDSTADDR), address),
            (ControlKinds::ERROR, level, of(IP_RECVERR, IPV6_RECVERR), &error),
            (ControlKinds::SEGMENT_SIZE, IPPROTO_UDP, UDP_SEND_MSG_SIZE, &fields.size.to_le_bytes()),
            (ControlKinds::COALESCED_SIZE, IPPROTO_UDP, UDP_COALESCED_INFO, &fields.size.to_le_bytes()),
        ];
        for (kind, level, number, data) in all {
            if fields.kinds.contains(kind) && !each(level, number, data) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn message(level: u32, kind: u32, data: &[u8]) -> Vec<u8> {
        let mut out = vec![0; CMSG_SPACE(data.len())];
        out[..8].copy_from_slice(&(CMSG_LEN(data.len()) as u64).to_le_bytes());
        out[8..12].copy_from_slice(&level.to_le_bytes());
        out[12..16].copy_from_slice(&kind.to_le_bytes());
        out[16..16 + data.len()].copy_from_slice(data);
        out
    }

    const V4: bool = false;
    const V6: bool = true;

    /// C 4.4 (every row): level, type and data, as printed there.
    #[test]
    fn every_row_of_4_4_is_encoded_as_it_stands_there() {
        let four = IpAddr::from(Ipv4Addr::new(10, 0, 0, 1));
        let six = IpAddr::from(Ipv6Addr::LOCALHOST);
        let error = IcmpError { protocol: 1, kind: 3, code: 4, info: 0x1234 };
        let errors = [1, 0, 0, 0, 0x34, 0x12, 0, 0, 3, 4, 0, 0];
        let rows: &[(ControlData, u32, u32, &[u8])] = &[
            (ControlData::new(V4).with_packet_info(four, 7), 0, 19, &[10, 0, 0, 1, 7, 0, 0, 0]),
            (
                ControlData::new(V6).with_packet_info(six, 7),
                41,
                19,
                &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0, 0],
            ),
            (ControlData::new(V4).with_hop_limit(64), 0, 4, &[64, 0, 0, 0]),
            (ControlData::new(V6).with_hop_limit(64), 41, 21, &[64, 0, 0, 0]),
            (ControlData::new(V4).with_traffic_class(0xB8), 0, 3, &[0xB8, 0, 0, 0]),
            (ControlData::new(V6).with_traffic_class(0xB8), 41, 39, &[0xB8, 0, 0, 0]),
            (ControlData::new(V4).with_ecn(2), 0, 50, &[2, 0, 0, 0]),
            (ControlData::new(V6).with_ecn(1), 41, 50, &[1, 0, 0, 0]),
            (ControlData::new(V4).with_error(error), 0, 75, &errors),
            (ControlData::new(V6).with_error(error), 41, 75, &errors),
            (ControlData::new(V4).with_segment_size(1200), 17, 2, &[0xB0, 4, 0, 0]),
            (ControlData::new(V6).with_coalesced_size(1200), 17, 3, &[0xB0, 4, 0, 0]),
            (ControlData::new(V4).with_local(four, 7, ControlKinds::INTERFACE), 0, 24, &[7, 0, 0, 0]),
            (ControlData::new(V4).with_local(four, 7, ControlKinds::DESTINATION), 0, 25, &[10, 0, 0, 1]),
        ];
        for (data, level, kind, bytes) in rows {
            let mut room = [0xAA; 64];
            let (length, whole) = data.encode(&mut room);
            assert_eq!((&room[..length], whole), (&message(*level, *kind, bytes)[..], true), "{data:?}");
            assert_eq!(data.encoded_len(), length);
            assert!(room[length..].iter().all(|b| *b == 0xAA), "{data:?}: wrote beyond");
        }
    }

    /// F-192, C 4.4: what can be sent is read back as it was written.
    #[test]
    fn what_can_be_sent_is_parsed() {
        for v6 in [false, true] {
            let address = if v6 { IpAddr::from(Ipv6Addr::LOCALHOST) } else { IpAddr::from(Ipv4Addr::LOCALHOST) };
            let all = ControlData::new(v6)
                .with_packet_info(address, 3)
                .with_hop_limit(9)
                .with_traffic_class(0x20)
                .with_ecn(1)
                .with_segment_size(1200);
            let mut room = [0; 256];
            let (length, _) = all.encode(&mut room);
            assert_eq!(ControlData::parse(&room[..length]).unwrap().of(v6), all);
            assert_eq!(all.packet_info(), Some((address, 3)));
            assert_eq!((all.hop_limit(), all.traffic_class(), all.ecn()), (Some(9), Some(0x20), Some(1)));
            assert_eq!((all.segment_size(), all.coalesced_size(), all.error()), (Some(1200), None, None));
        }
    }

    /// C-22: empty IP_OPTIONS and IPV6_RTHDR are taken and ignored; what nobody knows is not.
    #[test]
    fn c22_empty_options_are_ignored_and_unknown_messages_refused() {
        let empty = [message(0, 1, &[]), message(41, 32, &[])].concat();
        assert_eq!(ControlData::parse(&empty), Ok(SendControl::default()));
        for (level, kind, data) in [
            (0, 1, &[0; 4][..]),
            (41, 32, &[0; 8]),
            (0, 99, &[]),
            (17, 3, &[0; 4]),
            (0, 75, &[0; 12]),
            (0, 19, &[0; 12]), // Linux' size
            (41, 19, &[0; 8]),
            (0, 4, &[0, 1, 0, 0]),
            (0, 50, &[4, 0, 0, 0]),
            (17, 2, &[0, 0, 0, 0]),
            (17, 2, &[0, 1]),
        ] {
            let refused = ControlData::parse(&message(level, kind, data));
            assert_eq!(refused, Err(NtStatus::INVALID_PARAMETER), "{level} {kind} {data:?}");
        }
    }

    /// F-192: a chain that is cut off, runs over, or leads nowhere.
    #[test]
    fn f192_malformed_chains_are_refused() {
        let refused = Err(NtStatus::INVALID_PARAMETER);
        let whole = [message(0, 4, &[9, 0, 0, 0]), message(0, 3, &[1, 0, 0, 0])].concat();
        assert!(ControlData::parse(&whole).is_ok());
        // The padding behind the last one may be missing.
        assert!(ControlData::parse(&whole[..44]).is_ok());
        for cut in (1..44).filter(|cut| !(20..=24).contains(cut)) {
            assert_eq!(ControlData::parse(&whole[..cut]), refused, "cut at {cut}");
        }
        for length in [0u64, 1, 15, 21 + 24, u64::MAX, u64::MAX - 7, 1 << 32] {
            let mut bad = whole.clone();
            bad[..8].copy_from_slice(&length.to_le_bytes());
            assert_eq!(ControlData::parse(&bad), refused, "length {length:#x}");
        }
    }

    /// C-22: each family has its own, and those of both go to both.
    #[test]
    fn c22_messages_count_for_their_family() {
        let chain = [
            message(41, 19, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0]),
            message(0, 19, &[10, 0, 0, 1, 3, 0, 0, 0]),
            message(41, 39, &[4, 0, 0, 0]),
            message(0, 3, &[8, 0, 0, 0]),
            message(17, 2, &[0xB0, 4, 0, 0]),
        ]
        .concat();
        let both = ControlData::parse(&chain).unwrap();
        let (four, six) = (both.clone().of(false), both.of(true));
        assert_eq!(four.packet_info(), Some((Ipv4Addr::new(10, 0, 0, 1).into(), 3)));
        assert_eq!(six.packet_info(), Some((Ipv6Addr::LOCALHOST.into(), 2)));
        assert_eq!((four.traffic_class(), six.traffic_class()), (Some(8), Some(4)));
        assert_eq!((four.segment_size(), six.segment_size()), (Some(1200), Some(1200)));
        // A Rust program has one for both, but for an address.
        let own = ControlData::default().with_packet_info(Ipv6Addr::LOCALHOST.into(), 0).with_hop_limit(3);
        let both = SendControl::from(own);
        let (four, six) = (both.clone().of(false), both.of(true));
        assert_eq!((four.packet_info(), four.hop_limit()), (None, Some(3)));
        assert_eq!((six.packet_info().is_some(), six.hop_limit()), (true, Some(3)));
    }

    /// C-22: what is ignored leaves no trace in what counts.
    #[test]
    fn c22_an_ignored_message_changes_no_other() {
        let size = message(17, 2, &[0xB0, 4, 0, 0]);
        let with_others = [message(0, 1, &[]), message(41, 32, &[]), size.clone()].concat();
        assert_eq!(ControlData::parse(&with_others), ControlData::parse(&size));
    }

    /// F-196: whole messages as far as they fit, and nothing beyond.
    #[test]
    fn f196_what_does_not_fit_is_left_out() {
        let data = ControlData::new(V4).with_hop_limit(1).with_traffic_class(2).with_ecn(3);
        assert_eq!(data.encoded_len(), 72);
        for room in 0..=80 {
            let mut bytes = [0xAA; 100];
            let (length, whole) = data.encode(&mut bytes[..room]);
            assert_eq!((length, whole), (room.min(72) / 24 * 24, room >= 72), "room {room}");
            assert!(bytes[length..].iter().all(|b| *b == 0xAA));
        }
    }

    #[test]
    fn kinds_that_were_not_asked_for_are_left_out() {
        let data =
            ControlData::new(V6).with_hop_limit(1).with_ecn(3).only(ControlKinds::ECN | ControlKinds::PACKET_INFO);
        assert_eq!((data.hop_limit(), data.ecn(), data.packet_info()), (None, Some(3), None));
    }
}
