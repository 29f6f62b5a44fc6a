//! The options, a type each. What they do in detail, and where, is in their line of [`TABLE`](super::TABLE).

use std::time::Duration;

use wsk_abi::status::NtStatus;

use super::{OptionName, OptionValue, SocketOption};

/// What kinds of values there are.
trait Value: Sized {
    fn into_value(self) -> OptionValue;
    fn from_value(value: OptionValue) -> Self;
}

fn number(value: &OptionValue) -> u32 {
    value.number().unwrap_or(0) // the table says that it is one
}

impl Value for bool {
    fn into_value(self) -> OptionValue {
        OptionValue::Number(self.into())
    }
    fn from_value(value: OptionValue) -> Self {
        number(&value) != 0
    }
}

impl Value for u8 {
    fn into_value(self) -> OptionValue {
        OptionValue::Number(self.into())
    }
    fn from_value(value: OptionValue) -> Self {
        number(&value).min(255) as u8
    }
}

impl Value for u32 {
    fn into_value(self) -> OptionValue {
        OptionValue::Number(self)
    }
    fn from_value(value: OptionValue) -> Self {
        number(&value)
    }
}

/// -1 is none.
impl Value for Option<u32> {
    fn into_value(self) -> OptionValue {
        OptionValue::Number(self.unwrap_or(u32::MAX))
    }
    fn from_value(value: OptionValue) -> Self {
        Some(number(&value)).filter(|number| *number != u32::MAX)
    }
}

impl Value for Vec<u8> {
    fn into_value(self) -> OptionValue {
        OptionValue::Octets(self)
    }
    fn from_value(value: OptionValue) -> Self {
        if let OptionValue::Octets(bytes) = value { bytes } else { Vec::new() }
    }
}

impl Value for String {
    fn into_value(self) -> OptionValue {
        OptionValue::Octets(self.into_bytes())
    }
    fn from_value(value: OptionValue) -> Self {
        let bytes = Vec::from_value(value);
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }
}

/// Whether a close would wait, in whole seconds.
impl Value for Option<Duration> {
    fn into_value(self) -> OptionValue {
        let seconds = self.map_or(0, |time| time.as_secs().min(0xFFFF) as u32);
        OptionValue::Number(u32::from(self.is_some()) | seconds << 16)
    }
    fn from_value(value: OptionValue) -> Self {
        let packed = number(&value);
        (packed & 0xFFFF != 0).then(|| Duration::from_secs(u64::from(packed >> 16)))
    }
}

/// Path MTU discovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MtuDiscovery {
    /// As the host does.
    #[default]
    Host,
    /// Nothing is fragmented; what is too long is refused.
    Do,
    /// What is too long is fragmented.
    Dont,
    /// Nothing is fragmented, and the path MTU is not looked at.
    Probe,
}

impl Value for MtuDiscovery {
    fn into_value(self) -> OptionValue {
        OptionValue::Number(self as u32)
    }
    fn from_value(value: OptionValue) -> Self {
        match number(&value) {
            1 => MtuDiscovery::Do,
            2 => MtuDiscovery::Dont,
            3 => MtuDiscovery::Probe,
            _ => MtuDiscovery::Host,
        }
    }
}

macro_rules! typed {
    ($($option:ident($kind:ty) $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $option(pub $kind);

        impl SocketOption for $option {
            const OPTION: OptionName = OptionName::$option;

            fn into_value(self) -> OptionValue {
                Value::into_value(self.0)
            }

            fn from_value(value: OptionValue) -> Self {
                Self(<$kind as Value>::from_value(value))
            }
        }
    )*};
}

typed! {
    ReuseAddress(bool) "SO_REUSEADDR, before bind: others may share the address (control.md 7).";
    ExclusiveAddress(bool) "SO_EXCLUSIVEADDRUSE, before bind: nobody else may have the address (control.md 7).";
    KeepAlive(bool) "SO_KEEPALIVE. Accepted sockets inherit it.";
    Broadcast(bool) "SO_BROADCAST of a datagram socket: it may send to broadcast addresses (F-191).";
    ReceiveBuffer(u32) "SO_RCVBUF, bytes: what the host queues, and what indications may retain if it is above 1 MiB (E-120). Accepted sockets inherit it.";
    ConditionalAccept(bool) "SO_CONDITIONAL_ACCEPT of a listener, before bind (events.md 6a).";
    SendBuffer(u32) "SO_SNDBUF, bytes: what the host queues of data to send; the subsystem itself queues none.";
    Debug(bool) "SO_DEBUG, for privileged processes.";
    AcceptConnections(bool) "SO_ACCEPTCONN, to be asked for: whether it listens.";
    DontRoute(bool) "SO_DONTROUTE: to directly connected networks only.";
    Linger(Option<Duration>) "SO_LINGER: remembered; a close follows F-113.";
    DontLinger(bool) "SO_DONTLINGER: the reverse of [`Linger`].";
    OutOfBandInline(bool) "SO_OOBINLINE.";
    Type(u32) "SO_TYPE, to be asked for: 1 stream, 2 datagrams, 3 raw.";
    CompartmentId(u32) "SO_COMPARTMENT_ID, to be asked for: 1.";
    ReuseUnicastPort(bool) "SO_REUSE_UNICASTPORT: the port of an outgoing connection is chosen late.";
    Options4(Vec<u8>) "IP_OPTIONS: options in the header of what is sent by IPv4.";
    HeaderIncluded4(bool) "IP_HDRINCL of a raw socket.";
    Tos(u8) "IP_TOS: the TOS byte of what is sent by IPv4.";
    HopLimit4(u8) "IP_TTL, at least 1: the TTL of what is sent by IPv4; on an IPv6 socket, for its IPv4 half (C-20).";
    MulticastInterface4(u32) "IP_MULTICAST_IF: address, or index as 0.x.x.x, in network order.";
    MulticastHops4(u8) "IP_MULTICAST_TTL of a datagram socket.";
    MulticastLoop4(bool) "IP_MULTICAST_LOOP of a datagram socket: whether its IPv4 multicasts come back to this machine.";
    DontFragment4(bool) "IP_DONTFRAGMENT.";
    PacketInfo4(bool) "IP_PKTINFO: datagrams of IPv4 tell where they were received.";
    ReceiveHopLimit4(bool) "IP_HOPLIMIT: datagrams of IPv4 tell their TTL.";
    ReceiveBroadcast(bool) "IP_RECEIVE_BROADCAST, on unless switched off.";
    ReceiveInterface4(bool) "IP_RECVIF: datagrams of IPv4 tell their interface.";
    ReceiveDestination4(bool) "IP_RECVDSTADDR: datagrams of IPv4 tell their destination.";
    UnicastInterface4(u32) "IP_UNICAST_IF: index in network order.";
    TrafficClass4(u8) "IP_TCLASS: another name of [`Tos`].";
    ReceiveTos(bool) "IP_RECVTOS: datagrams of IPv4 tell their TOS byte.";
    Ecn4(bool) "IP_ECN: datagrams of IPv4 tell their ECN.";
    MtuDiscover4(MtuDiscovery) "IP_MTU_DISCOVER.";
    Mtu4(u32) "IP_MTU, to be asked for once there is a destination: the path MTU in bytes.";
    ReceiveError4(bool) "IP_RECVERR: ICMP errors come as datagrams (E-84).";
    UserMtu4(Option<u32>) "IP_USER_MTU, bytes: nothing longer is sent, headers included.";
    HopOptions6(Vec<u8>) "IPV6_HOPOPTS: hop-by-hop options of what is sent.";
    HeaderIncluded6(bool) "IPV6_HDRINCL of a raw socket.";
    HopLimit6(u8) "IPV6_UNICAST_HOPS: the hop limit of what is sent by IPv6.";
    MulticastInterface6(u32) "IPV6_MULTICAST_IF: index.";
    MulticastHops6(u8) "IPV6_MULTICAST_HOPS of a datagram socket.";
    MulticastLoop6(bool) "IPV6_MULTICAST_LOOP of a datagram socket: whether its IPv6 multicasts come back to this machine.";
    DontFragment6(bool) "IPV6_DONTFRAG.";
    PacketInfo6(bool) "IPV6_PKTINFO: datagrams of IPv6 tell where they were received.";
    ReceiveHopLimit6(bool) "IPV6_HOPLIMIT: datagrams of IPv6 tell their hop limit.";
    ProtectionLevel(Option<u32>) "IPV6_PROTECTION_LEVEL: 10, 20 or 30; remembered.";
    ReceiveInterface6(bool) "IPV6_RECVIF: datagrams of IPv6 tell their interface.";
    ReceiveDestination6(bool) "IPV6_RECVDSTADDR: datagrams of IPv6 tell their destination.";
    V6Only(bool) "IPV6_V6ONLY, before bind, on unless switched off: without it the socket is of both families (C-40).";
    UnicastInterface6(u32) "IPV6_UNICAST_IF: index.";
    RoutingHeader6(Vec<u8>) "IPV6_RTHDR: routing header of what is sent.";
    ReceiveRoutingHeader6(bool) "IPV6_RECVRTHDR.";
    TrafficClass6(u8) "IPV6_TCLASS: the traffic class of what is sent by IPv6.";
    ReceiveTrafficClass6(bool) "IPV6_RECVTCLASS: datagrams of IPv6 tell their traffic class.";
    Ecn6(bool) "IPV6_ECN: datagrams of IPv6 tell their ECN.";
    MtuDiscover6(MtuDiscovery) "IPV6_MTU_DISCOVER.";
    Mtu6(u32) "IPV6_MTU, to be asked for once there is a destination: the path MTU in bytes.";
    ReceiveError6(bool) "IPV6_RECVERR: ICMP errors come as datagrams (E-84).";
    UserMtu6(Option<u32>) "IPV6_USER_MTU, bytes: nothing longer is sent, headers included.";
    NoDelay(bool) "TCP_NODELAY: on, since WSK leaves batching to its clients.";
    KeepIdle(u32) "TCP_KEEPIDLE, 1 to 32767 seconds: silence before the first keep-alive probe. Accepted sockets inherit it.";
    KeepCount(u8) "TCP_KEEPCNT, 1 to 127: probes without an answer that end the connection. Accepted sockets inherit it.";
    KeepInterval(u32) "TCP_KEEPINTVL, 1 to 32767 seconds: between keep-alive probes. Accepted sockets inherit it.";
    MaxSegment(u32) "TCP_MAXSEG, bytes.";
    MaxRetransmit(u32) "TCP_MAXRT, seconds that sent data may stay unacknowledged; 0 is the host's choice.";
    MaxRetransmitMs(u32) "TCP_MAXRTMS: the same in milliseconds.";
    CongestionAlgorithm(String) "TCP_CONGESTION_ALGORITHM: its name.";
    FastOpen(bool) "TCP_FASTOPEN: what a connect sends may ride with the SYN, and a listener takes such data (F-156).";
    NoChecksum(bool) "UDP_NOCHECKSUM.";
    SegmentSize(u32) "UDP_SEND_MSG_SIZE, bytes: what is sent is cut into datagrams of this size; 0 not.";
    CoalescedSize(u32) "UDP_RECV_MAX_COALESCED_SIZE, bytes: datagrams of one sender may come as one, so long at most; 0 not (E-86).";
}

/// SO_ERROR, to be asked for: how the socket failed, if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure(pub Option<NtStatus>);

impl SocketOption for Failure {
    const OPTION: OptionName = OptionName::Error;

    fn into_value(self) -> OptionValue {
        OptionValue::Number(self.0.map_or(0, |status| status.0))
    }

    fn from_value(value: OptionValue) -> Self {
        Self(Some(NtStatus(number(&value))).filter(|status| status.0 != 0))
    }
}
