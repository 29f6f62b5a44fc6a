//! The table of socket options: control.md 4.1 to 4.3, a line each, in the order of that page.

use wsk_abi::constants::sockopt::*;
use wsk_abi::wsk::{SO_WSK_EVENT_CALLBACK, SO_WSK_SECURITY};

use super::Access::{Get, GetSet, Set};
use super::Categories;
use super::Keeper::{self, Constant, Linux, No, Remembered, Subsystem, Transport};
use super::State::{Any, BeforeBind};
use super::Values::{self, Bytes, Descriptor, Events, Flag, Group, Number, Octets, Signed};
use super::{Access, GroupShape, State};

/// An option.
#[derive(Debug)]
pub struct Row {
    /// Which.
    pub option: OptionName,
    /// Its name in Microsoft's headers.
    pub name: &'static str,
    /// Its level there.
    pub level: u32,
    /// Its number there.
    pub code: u32,
    /// Who has it. Accepted sockets inherit what their listener has.
    pub on: Categories,
    /// When it may be set.
    pub state: State,
    /// Whether it can be set and asked for.
    pub access: Access,
    /// What values it has, and so the sizes of its buffer.
    pub values: Values,
    /// Its value on a new socket; `None`: the transport's.
    pub default: Option<u32>,
    /// Who keeps it, and what Linux has for it.
    pub keeper: Keeper,
}

macro_rules! options {
    ($($(#[$doc:meta])* $option:ident: $level:ident $code:ident,
        $on:expr, $state:ident, $access:ident, $values:expr, $default:expr, $keeper:expr;)*) => {
        /// The options of [`TABLE`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum OptionName {
            $($(#[$doc])* $option,)*
        }

        /// All of them.
        pub static TABLE: &[Row] = &[$(Row {
            option: OptionName::$option,
            name: stringify!($code),
            level: $level,
            code: $code,
            on: $on,
            state: $state,
            access: $access,
            values: $values,
            default: $default,
            keeper: $keeper,
        },)*];
    };
}

const C: Categories = Categories::CONNECTION;
const D: Categories = Categories::DATAGRAM;
const L: Categories = Categories::LISTEN;
const LC: Categories = L.union(C);
const DC: Categories = D.union(C);
const LDC: Categories = LC.union(D);
const ALL: Categories = Categories::all();

const BYTE: Values = Number(0..=255);
const OFF: Option<u32> = Some(0);
const ON: Option<u32> = Some(1);
/// The transport's default.
const HOST: Option<u32> = None;

options! {
    // option           level        code                    on   when        how     values             new   kept by

    /// Other sockets may share the address.
    ReuseAddress:       SOL_SOCKET   SO_REUSEADDR,           LDC, BeforeBind, GetSet, Flag,              OFF,  Subsystem("control.md 7");
    /// No other socket may share the address.
    ExclusiveAddress:   SOL_SOCKET   SO_EXCLUSIVEADDRUSE,    LDC, BeforeBind, GetSet, Flag,              OFF,  Subsystem("control.md 7");
    /// Probes a silent peer.
    KeepAlive:          SOL_SOCKET   SO_KEEPALIVE,           LC,  Any,        GetSet, Flag,              OFF,  Linux(1, 9);
    /// Broadcasts may be sent.
    Broadcast:          SOL_SOCKET   SO_BROADCAST,           D,   Any,        GetSet, Flag,              OFF,  Linux(1, 6);
    /// What the host queues of received data.
    ReceiveBuffer:      SOL_SOCKET   SO_RCVBUF,              LDC, Any,        GetSet, Bytes,             HOST, Linux(1, 8);
    /// The client inspects connections before they are accepted.
    ConditionalAccept:  SOL_SOCKET   SO_CONDITIONAL_ACCEPT,  L,   BeforeBind, GetSet, Flag,              OFF,  Subsystem("events.md 6a");
    /// Who may share the address.
    Security:           SOL_SOCKET   SO_WSK_SECURITY,        LDC, BeforeBind, GetSet, Descriptor,        HOST, Subsystem("control.md 7");
    /// Switches event callbacks.
    EventCallback:      SOL_SOCKET   SO_WSK_EVENT_CALLBACK,  ALL, Any,        Set,    Events,            HOST, Subsystem("events.md 4");
    /// What the host queues of data to send; the subsystem itself queues none.
    SendBuffer:         SOL_SOCKET   SO_SNDBUF,              LDC, Any,        GetSet, Bytes,             HOST, Linux(1, 7);
    /// Debugging by the host, for the privileged.
    Debug:              SOL_SOCKET   SO_DEBUG,               LDC, Any,        GetSet, Flag,              OFF,  Linux(1, 1);
    /// Whether the socket listens.
    AcceptConnections:  SOL_SOCKET   SO_ACCEPTCONN,          LDC, Any,        Get,    Flag,              HOST, Linux(1, 30);
    /// To directly connected networks only.
    DontRoute:          SOL_SOCKET   SO_DONTROUTE,           LDC, Any,        GetSet, Flag,              OFF,  Linux(1, 5);
    /// Whether (low half) and for how many seconds (high half) a close waits.
    Linger:             SOL_SOCKET   SO_LINGER,              LC,  Any,        GetSet, Number(0..=u32::MAX), OFF, Remembered("a close follows F-113");
    /// The reverse of the switch of `Linger`.
    DontLinger:         SOL_SOCKET   SO_DONTLINGER,          LC,  Any,        GetSet, Flag,              ON,   Remembered("a close follows F-113");
    /// Urgent data comes in line.
    OutOfBandInline:    SOL_SOCKET   SO_OOBINLINE,           LC,  Any,        GetSet, Flag,              OFF,  Linux(1, 10);
    /// The status of the socket's failure, 0 if it has none.
    Error:              SOL_SOCKET   SO_ERROR,               LDC, Any,        Get,    Number(0..=u32::MAX), HOST,Transport("its latched failure");
    /// 1 stream, 2 datagrams, 3 raw.
    Type:               SOL_SOCKET   SO_TYPE,                ALL, Any,        Get,    Number(1..=3),     HOST, Linux(1, 3);
    /// Time-outs are the client's: it cancels.
    SendTimeout:        SOL_SOCKET   SO_SNDTIMEO,            LDC, Any,        GetSet, Number(0..=u32::MAX), HOST, No;
    /// As above.
    ReceiveTimeout:     SOL_SOCKET   SO_RCVTIMEO,            LDC, Any,        GetSet, Number(0..=u32::MAX), HOST, No;
    /// Not offered.
    MaxMessageSize:     SOL_SOCKET   SO_MAX_MSG_SIZE,        D,   Any,        Get,    Number(0..=u32::MAX), HOST, No;
    /// Not offered.
    PauseAccept:        SOL_SOCKET   SO_PAUSE_ACCEPT,        L,   Any,        GetSet, Flag,              HOST, No;
    /// The routing compartment: there is one.
    CompartmentId:      SOL_SOCKET   SO_COMPARTMENT_ID,      ALL, Any,        Get,    Number(1..=1),     ON,   Constant(1);
    /// Not offered.
    RandomizePort:      SOL_SOCKET   SO_RANDOMIZE_PORT,      LDC, Any,        GetSet, Flag,              HOST, No;
    /// Not offered.
    PortScalability:    SOL_SOCKET   SO_PORT_SCALABILITY,    LDC, Any,        GetSet, Flag,              HOST, No;
    /// The port of an outgoing connection is chosen late.
    ReuseUnicastPort:   SOL_SOCKET   SO_REUSE_UNICASTPORT,   LDC, Any,        GetSet, Flag,              OFF,  Linux(0, 24);
    /// Not offered.
    ReuseMulticastPort: SOL_SOCKET   SO_REUSE_MULTICASTPORT, D,   Any,        GetSet, Flag,              HOST, No;
    /// Not offered.
    OriginalDestination: SOL_SOCKET  SO_ORIGINAL_DST,        C,   Any,        Get,    Octets(128),       HOST, No;

    /// IP options of what is sent, as in the header.
    Options4:           IPPROTO_IP   IP_OPTIONS,             LDC, Any,        GetSet, Octets(40),        HOST, Linux(0, 4);
    /// The client writes IP headers (raw sockets).
    HeaderIncluded4:    IPPROTO_IP   IP_HDRINCL,             D,   Any,        GetSet, Flag,              OFF,  Linux(0, 3);
    /// The TOS byte of what is sent.
    Tos:                IPPROTO_IP   IP_TOS,                 LDC, Any,        GetSet, BYTE,              OFF,  Linux(0, 1);
    /// The TTL of what is sent by IPv4.
    HopLimit4:          IPPROTO_IP   IP_TTL,                 LDC, Any,        GetSet, Number(1..=255),   HOST, Linux(0, 2);
    /// The interface of IPv4 multicasts: its address, or its index as 0.x.x.x; in network order.
    MulticastInterface4: IPPROTO_IP  IP_MULTICAST_IF,        D,   Any,        GetSet, Number(0..=u32::MAX), OFF, Transport("32, ip_mreqn");
    /// The TTL of IPv4 multicasts.
    MulticastHops4:     IPPROTO_IP   IP_MULTICAST_TTL,       D,   Any,        GetSet, BYTE,              ON,   Linux(0, 33);
    /// Whether IPv4 multicasts come back to this machine.
    MulticastLoop4:     IPPROTO_IP   IP_MULTICAST_LOOP,      D,   Any,        GetSet, Flag,              ON,   Linux(0, 34);
    /// IP_MREQ: joins a group.
    Join4:              IPPROTO_IP   IP_ADD_MEMBERSHIP,      D,   Any,        Set,    Group(GroupShape::Mreq4), HOST, Transport("35");
    /// IP_MREQ: leaves a group.
    Leave4:             IPPROTO_IP   IP_DROP_MEMBERSHIP,     D,   Any,        Set,    Group(GroupShape::Mreq4), HOST, Transport("36");
    /// Nothing sent is fragmented.
    DontFragment4:      IPPROTO_IP   IP_DONTFRAGMENT,        D,   Any,        GetSet, Flag,              OFF,  Transport("IP_MTU_DISCOVER 10 = DO");
    /// IP_MREQ_SOURCE: joins a group for one source.
    JoinSource4:        IPPROTO_IP   IP_ADD_SOURCE_MEMBERSHIP, D, Any,        Set,    Group(GroupShape::MreqSource4), HOST, Transport("39");
    /// IP_MREQ_SOURCE: leaves a group for one source.
    LeaveSource4:       IPPROTO_IP   IP_DROP_SOURCE_MEMBERSHIP, D, Any,       Set,    Group(GroupShape::MreqSource4), HOST, Transport("40");
    /// IP_MREQ_SOURCE: no longer hears a source of a group.
    BlockSource4:       IPPROTO_IP   IP_BLOCK_SOURCE,        D,   Any,        Set,    Group(GroupShape::MreqSource4), HOST, Transport("38");
    /// IP_MREQ_SOURCE: hears it again.
    UnblockSource4:     IPPROTO_IP   IP_UNBLOCK_SOURCE,      D,   Any,        Set,    Group(GroupShape::MreqSource4), HOST, Transport("37");
    /// IP_PKTINFO comes with datagrams of IPv4.
    PacketInfo4:        IPPROTO_IP   IP_PKTINFO,             D,   Any,        GetSet, Flag,              OFF,  Transport("8, always on; shown if asked for");
    /// IP_TTL comes with datagrams of IPv4.
    ReceiveHopLimit4:   IPPROTO_IP   IP_HOPLIMIT,            D,   Any,        GetSet, Flag,              OFF,  Transport("12");
    /// Broadcasts are received.
    ReceiveBroadcast:   IPPROTO_IP   IP_RECEIVE_BROADCAST,   D,   Any,        GetSet, Flag,              ON,   Subsystem("by MSG_BCAST");
    /// IP_RECVIF comes with datagrams of IPv4.
    ReceiveInterface4:  IPPROTO_IP   IP_RECVIF,              D,   Any,        GetSet, Flag,              OFF,  Transport("of 8");
    /// IP_RECVDSTADDR comes with datagrams of IPv4.
    ReceiveDestination4: IPPROTO_IP  IP_RECVDSTADDR,         D,   Any,        GetSet, Flag,              OFF,  Transport("of 8");
    /// The interface of what is sent by IPv4: its index in network order.
    UnicastInterface4:  IPPROTO_IP   IP_UNICAST_IF,          LDC, Any,        GetSet, Number(0..=u32::MAX), OFF, Transport("50, network order too");
    /// Not of IPv4.
    RoutingHeader4:     IPPROTO_IP   IP_RTHDR,               D,   Any,        GetSet, Octets(0),         HOST, No;
    /// Not of IPv4.
    ReceiveRoutingHeader4: IPPROTO_IP IP_RECVRTHDR,          D,   Any,        GetSet, Flag,              HOST, No;
    /// The TOS byte of what is sent, by its other name.
    TrafficClass4:      IPPROTO_IP   IP_TCLASS,              LDC, Any,        GetSet, BYTE,              OFF,  Linux(0, 1);
    /// IP_TOS comes with datagrams of IPv4.
    ReceiveTos:         IPPROTO_IP   IP_RECVTOS,             D,   Any,        GetSet, Flag,              OFF,  Transport("13");
    /// GROUP_REQ: joins a group.
    JoinGroup4:         IPPROTO_IP   MCAST_JOIN_GROUP,       D,   Any,        Set,    Group(GroupShape::Req), HOST, Transport("42");
    /// GROUP_REQ: leaves a group.
    LeaveGroup4:        IPPROTO_IP   MCAST_LEAVE_GROUP,      D,   Any,        Set,    Group(GroupShape::Req), HOST, Transport("45");
    /// GROUP_SOURCE_REQ: no longer hears a source of a group.
    BlockGroupSource4:  IPPROTO_IP   MCAST_BLOCK_SOURCE,     D,   Any,        Set,    Group(GroupShape::SourceReq), HOST, Transport("43");
    /// GROUP_SOURCE_REQ: hears it again.
    UnblockGroupSource4: IPPROTO_IP  MCAST_UNBLOCK_SOURCE,   D,   Any,        Set,    Group(GroupShape::SourceReq), HOST, Transport("44");
    /// GROUP_SOURCE_REQ: joins a group for one source.
    JoinGroupSource4:   IPPROTO_IP   MCAST_JOIN_SOURCE_GROUP, D,  Any,        Set,    Group(GroupShape::SourceReq), HOST, Transport("46");
    /// GROUP_SOURCE_REQ: leaves a group for one source.
    LeaveGroupSource4:  IPPROTO_IP   MCAST_LEAVE_SOURCE_GROUP, D, Any,        Set,    Group(GroupShape::SourceReq), HOST, Transport("47");
    /// Not offered.
    ArrivalInterface4:  IPPROTO_IP   IP_ORIGINAL_ARRIVAL_IF, D,   Any,        GetSet, Flag,              HOST, No;
    /// IP_ECN comes with datagrams of IPv4.
    Ecn4:               IPPROTO_IP   IP_ECN,                 D,   Any,        GetSet, Flag,              OFF,  Transport("of 13");
    /// Not offered.
    PacketInfoEx4:      IPPROTO_IP   IP_PKTINFO_EX,          D,   Any,        GetSet, Flag,              HOST, No;
    /// Not offered.
    RedirectRecords4:   IPPROTO_IP   IP_WFP_REDIRECT_RECORDS, D,  Any,        GetSet, Flag,              HOST, No;
    /// Path MTU discovery: 0 as the host does, 1 do, 2 don't, 3 probe.
    MtuDiscover4:       IPPROTO_IP   IP_MTU_DISCOVER,        LDC, Any,        GetSet, Number(0..=3),     HOST, Transport("10: 2 DO, 0 DONT, 3 PROBE");
    /// The path MTU to the destination.
    Mtu4:               IPPROTO_IP   IP_MTU,                 DC,  Any,        Get,    Number(68..=65535), HOST, Transport("14");
    /// ICMP errors come as datagrams with IP_RECVERR.
    ReceiveError4:      IPPROTO_IP   IP_RECVERR,             D,   Any,        GetSet, Flag,              OFF,  Transport("11");
    /// Nothing longer is sent by IPv4, headers included; -1 is no limit.
    UserMtu4:           IPPROTO_IP   IP_USER_MTU,            D,   Any,        GetSet, Signed,            Some(u32::MAX), Subsystem("a check of each send");

    /// Hop-by-hop options of what is sent.
    HopOptions6:        IPPROTO_IPV6 IPV6_HOPOPTS,           LDC, Any,        GetSet, Octets(2048),      HOST, Linux(41, 54);
    /// The client writes IPv6 headers (raw sockets).
    HeaderIncluded6:    IPPROTO_IPV6 IPV6_HDRINCL,           D,   Any,        GetSet, Flag,              OFF,  Linux(41, 36);
    /// The hop limit of what is sent by IPv6.
    HopLimit6:          IPPROTO_IPV6 IPV6_UNICAST_HOPS,      LDC, Any,        GetSet, BYTE,              HOST, Linux(41, 16);
    /// The interface of IPv6 multicasts: its index.
    MulticastInterface6: IPPROTO_IPV6 IPV6_MULTICAST_IF,     D,   Any,        GetSet, Number(0..=0x7FFF_FFFF), OFF, Linux(41, 17);
    /// The hop limit of IPv6 multicasts.
    MulticastHops6:     IPPROTO_IPV6 IPV6_MULTICAST_HOPS,    D,   Any,        GetSet, BYTE,              ON,   Linux(41, 18);
    /// Whether IPv6 multicasts come back to this machine.
    MulticastLoop6:     IPPROTO_IPV6 IPV6_MULTICAST_LOOP,    D,   Any,        GetSet, Flag,              ON,   Linux(41, 19);
    /// IPV6_MREQ: joins a group.
    Join6:              IPPROTO_IPV6 IPV6_ADD_MEMBERSHIP,    D,   Any,        Set,    Group(GroupShape::Mreq6), HOST, Transport("20");
    /// IPV6_MREQ: leaves a group.
    Leave6:             IPPROTO_IPV6 IPV6_DROP_MEMBERSHIP,   D,   Any,        Set,    Group(GroupShape::Mreq6), HOST, Transport("21");
    /// Nothing sent is fragmented.
    DontFragment6:      IPPROTO_IPV6 IPV6_DONTFRAG,          D,   Any,        GetSet, Flag,              OFF,  Linux(41, 62);
    /// IPV6_PKTINFO comes with datagrams of IPv6.
    PacketInfo6:        IPPROTO_IPV6 IPV6_PKTINFO,           D,   Any,        GetSet, Flag,              OFF,  Transport("49, always on; shown if asked for");
    /// IPV6_HOPLIMIT comes with datagrams of IPv6.
    ReceiveHopLimit6:   IPPROTO_IPV6 IPV6_HOPLIMIT,          D,   Any,        GetSet, Flag,              OFF,  Transport("51");
    /// How far unsolicited traffic comes from: 10, 20 or 30; -1 is the system's default.
    ProtectionLevel:    IPPROTO_IPV6 IPV6_PROTECTION_LEVEL,  LDC, Any,        GetSet, Signed,            Some(u32::MAX), Remembered("there is no Teredo");
    /// IPV6_RECVIF comes with datagrams of IPv6.
    ReceiveInterface6:  IPPROTO_IPV6 IPV6_RECVIF,            D,   Any,        GetSet, Flag,              OFF,  Transport("of 49");
    /// IPV6_RECVDSTADDR comes with datagrams of IPv6.
    ReceiveDestination6: IPPROTO_IPV6 IPV6_RECVDSTADDR,      D,   Any,        GetSet, Flag,              OFF,  Transport("of 49");
    /// Off: the socket is of both families.
    V6Only:             IPPROTO_IPV6 IPV6_V6ONLY,            LDC, BeforeBind, GetSet, Flag,              ON,   Transport("26, set at birth");
    /// The interface of what is sent by IPv6: its index.
    UnicastInterface6:  IPPROTO_IPV6 IPV6_UNICAST_IF,        LDC, Any,        GetSet, Number(0..=0x7FFF_FFFF), OFF, Transport("76, network order");
    /// Routing header of what is sent.
    RoutingHeader6:     IPPROTO_IPV6 IPV6_RTHDR,             LDC, Any,        GetSet, Octets(2048),      HOST, Linux(41, 57);
    /// Asks for routing headers; none is ever shown.
    ReceiveRoutingHeader6: IPPROTO_IPV6 IPV6_RECVRTHDR,      D,   Any,        GetSet, Flag,              OFF,  Linux(41, 56);
    /// The traffic class of what is sent.
    TrafficClass6:      IPPROTO_IPV6 IPV6_TCLASS,            LDC, Any,        GetSet, BYTE,              OFF,  Linux(41, 67);
    /// IPV6_TCLASS comes with datagrams of IPv6.
    ReceiveTrafficClass6: IPPROTO_IPV6 IPV6_RECVTCLASS,      D,   Any,        GetSet, Flag,              OFF,  Transport("66");
    /// GROUP_REQ: joins a group.
    JoinGroup6:         IPPROTO_IPV6 MCAST_JOIN_GROUP,       D,   Any,        Set,    Group(GroupShape::Req), HOST, Transport("42");
    /// GROUP_REQ: leaves a group.
    LeaveGroup6:        IPPROTO_IPV6 MCAST_LEAVE_GROUP,      D,   Any,        Set,    Group(GroupShape::Req), HOST, Transport("45");
    /// GROUP_SOURCE_REQ: no longer hears a source of a group.
    BlockGroupSource6:  IPPROTO_IPV6 MCAST_BLOCK_SOURCE,     D,   Any,        Set,    Group(GroupShape::SourceReq), HOST, Transport("43");
    /// GROUP_SOURCE_REQ: hears it again.
    UnblockGroupSource6: IPPROTO_IPV6 MCAST_UNBLOCK_SOURCE,  D,   Any,        Set,    Group(GroupShape::SourceReq), HOST, Transport("44");
    /// GROUP_SOURCE_REQ: joins a group for one source.
    JoinGroupSource6:   IPPROTO_IPV6 MCAST_JOIN_SOURCE_GROUP, D,  Any,        Set,    Group(GroupShape::SourceReq), HOST, Transport("46");
    /// GROUP_SOURCE_REQ: leaves a group for one source.
    LeaveGroupSource6:  IPPROTO_IPV6 MCAST_LEAVE_SOURCE_GROUP, D, Any,        Set,    Group(GroupShape::SourceReq), HOST, Transport("47");
    /// IPV6_ECN comes with datagrams of IPv6.
    Ecn6:               IPPROTO_IPV6 IPV6_ECN,               D,   Any,        GetSet, Flag,              OFF,  Transport("of 66");
    /// Not offered.
    PacketInfoEx6:      IPPROTO_IPV6 IPV6_PKTINFO_EX,        D,   Any,        GetSet, Flag,              HOST, No;
    /// Not offered.
    RedirectRecords6:   IPPROTO_IPV6 IPV6_WFP_REDIRECT_RECORDS, D, Any,       GetSet, Flag,              HOST, No;
    /// Path MTU discovery: 0 as the host does, 1 do, 2 don't, 3 probe.
    MtuDiscover6:       IPPROTO_IPV6 IPV6_MTU_DISCOVER,      LDC, Any,        GetSet, Number(0..=3),     HOST, Transport("23: 2 DO, 0 DONT, 3 PROBE");
    /// The path MTU to the destination.
    Mtu6:               IPPROTO_IPV6 IPV6_MTU,               DC,  Any,        Get,    Number(1280..=65535), HOST, Transport("24");
    /// ICMP errors come as datagrams with IPV6_RECVERR.
    ReceiveError6:      IPPROTO_IPV6 IPV6_RECVERR,           D,   Any,        GetSet, Flag,              OFF,  Transport("25");
    /// Nothing longer is sent by IPv6, headers included; -1 is no limit.
    UserMtu6:           IPPROTO_IPV6 IPV6_USER_MTU,          D,   Any,        GetSet, Signed,            Some(u32::MAX), Subsystem("a check of each send");

    /// Small pieces are sent at once. Always so: WSK leaves batching to its clients (F-160).
    NoDelay:            IPPROTO_TCP  TCP_NODELAY,            LC,  Any,        GetSet, Flag,              ON,   Linux(6, 1);
    /// Seconds of silence before the first keep-alive probe.
    KeepIdle:           IPPROTO_TCP  TCP_KEEPIDLE,           LC,  Any,        GetSet, Number(1..=32767), Some(7200), Linux(6, 4);
    /// Keep-alive probes without an answer that end the connection.
    KeepCount:          IPPROTO_TCP  TCP_KEEPCNT,            LC,  Any,        GetSet, Number(1..=127),   Some(10), Linux(6, 6);
    /// Seconds between keep-alive probes.
    KeepInterval:       IPPROTO_TCP  TCP_KEEPINTVL,          LC,  Any,        GetSet, Number(1..=32767), ON,   Linux(6, 5);
    /// The longest segment, bytes.
    MaxSegment:         IPPROTO_TCP  TCP_MAXSEG,             LC,  Any,        GetSet, Number(88..=32767), HOST, Linux(6, 2);
    /// Seconds that sent data may stay without an acknowledgement; 0 as the host does.
    MaxRetransmit:      IPPROTO_TCP  TCP_MAXRT,              LC,  Any,        GetSet, Number(0..=2_000_000), OFF, Transport("18, milliseconds");
    /// The same in milliseconds.
    MaxRetransmitMs:    IPPROTO_TCP  TCP_MAXRTMS,            LC,  Any,        GetSet, Number(0..=2_000_000_000), OFF, Linux(6, 18);
    /// The name of the congestion control.
    CongestionAlgorithm: IPPROTO_TCP TCP_CONGESTION_ALGORITHM, LC, Any,       GetSet, Octets(16),        HOST, Linux(6, 13);
    /// What WskConnectEx sends may ride with the SYN; a listener takes such data.
    FastOpen:           IPPROTO_TCP  TCP_FASTOPEN,           LC,  Any,        GetSet, Flag,              OFF,  Transport("23 (listener), MSG_FASTOPEN");
    /// Not offered.
    FailOnIcmpError:    IPPROTO_TCP  TCP_FAIL_CONNECT_ON_ICMP_ERROR, C, Any,  GetSet, Flag,              HOST, No;
    /// Not offered.
    IcmpErrorInfo:      IPPROTO_TCP  TCP_ICMP_ERROR_INFO,    C,   Any,        Get,    Octets(128),       HOST, No;

    /// Datagrams are sent without a checksum.
    NoChecksum:         IPPROTO_UDP  UDP_NOCHECKSUM,         D,   Any,        GetSet, Flag,              OFF,  Linux(1, 11);
    /// What is sent is cut into datagrams of this size; 0 not.
    SegmentSize:        IPPROTO_UDP  UDP_SEND_MSG_SIZE,      D.union(Categories::BASIC), Any, GetSet, Number(0..=65507), OFF, Linux(17, 103);
    /// Datagrams of one sender may come as one, this long at most; 0 not.
    CoalescedSize:      IPPROTO_UDP  UDP_RECV_MAX_COALESCED_SIZE, D, Any,     GetSet, Number(0..=65535), OFF,  Transport("104");
}
