//! Compares the constants of the crate with `data/constants.json`, by value. A constant of a covered group that is missing
//! here fails the test, and so does a group that is neither covered nor left out for a reason.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use wsk_abi::NtStatus;
use wsk_abi::constants::*;
use wsk_abi::flags::*;
use wsk_abi::nmr::*;
use wsk_abi::wsk::{MAKE_WSK_VERSION, WSK_CONTROL_SOCKET_TYPE, WSK_INSPECT_ACTION};

/// Groups that have no place in this crate, with the reason.
const GROUPS_LEFT_OUT: &[(&str, &str)] = &[
    ("kernel", "numbers of the executive's own functions and objects: the executive's crate"),
    ("pool", "pool types and flags: the executive's crate"),
    ("device", "device and file object flags: the executive's crate"),
    ("inline", "offsets that inlined driver code reads behind GS: the loader's crate"),
    ("loader", "image loading: the loader's crate"),
    ("tdi", "TDI: the module tdi, with its structures"),
];

/// Constants of covered groups that the crate leaves out, with the reason.
const LEFT_OUT: &[(&str, &str)] = &[];

/// A constant as it is stored: its bits and how many there are.
trait Bits {
    fn bits(self) -> (u64, u32);
}

macro_rules! bits {
    ($($ty:ty as $unsigned:ty),*) => {$(
        impl Bits for $ty {
            fn bits(self) -> (u64, u32) {
                (u64::from(self as $unsigned), <$ty>::BITS)
            }
        }
    )*};
}

bits!(u8 as u8, i8 as u8, u16 as u16, i16 as u16, u32 as u32, i32 as u32);

impl Bits for usize {
    fn bits(self) -> (u64, u32) {
        (self as u64, usize::BITS)
    }
}

impl Bits for WSK_INSPECT_ACTION {
    fn bits(self) -> (u64, u32) {
        self.0.bits()
    }
}

impl Bits for WSK_CONTROL_SOCKET_TYPE {
    fn bits(self) -> (u64, u32) {
        self.0.bits()
    }
}

impl Bits for NPI_MODULEID_TYPE {
    fn bits(self) -> (u64, u32) {
        self.0.bits()
    }
}

struct Constant {
    group: &'static str,
    name: &'static str,
    bits: (u64, u32),
}

macro_rules! constants {
    ($($group:literal: $($name:ident)*;)*) => {
        vec![$($(
            Constant { group: $group, name: stringify!($name), bits: Bits::bits($name) },
        )*)*]
    };
}

fn description() -> Map<String, Value> {
    match serde_json::from_str(include_str!("data/constants.json")).expect("constants.json parses") {
        Value::Object(constants) => constants,
        _ => panic!("constants.json is a map"),
    }
}

fn group(constant: &Value) -> &str {
    constant["group"].as_str().expect("a group")
}

/// The value of an entry: an integer, or a string in hexadecimal.
fn value(constant: &Value) -> i64 {
    match &constant["value"] {
        Value::Number(number) => number.as_i64().expect("fits"),
        Value::String(string) => {
            let digits = string.strip_prefix("0x").expect("hexadecimal");
            i64::from_str_radix(digits, 16).expect("hexadecimal")
        }
        other => panic!("neither a number nor a string: {other}"),
    }
}

// F-1
#[test]
fn every_constant_has_the_value_the_data_says() {
    let description = description();
    let mut faults = Vec::new();
    for ours in checked() {
        let Some(theirs) = description.get(ours.name) else {
            faults.push(format!("{}: not in the data", ours.name));
            continue;
        };
        let (bits, width) = ours.bits;
        let mask = u64::MAX >> (64 - width);
        let expected = value(theirs);
        // Equal as stored, and nothing of the expected value was cut off.
        let cut_off = expected > 0 && expected as u64 > mask;
        if bits != expected as u64 & mask || cut_off {
            faults.push(format!("{}: {bits:#x}, expected {expected:#x}", ours.name));
        }
        if group(theirs) != ours.group {
            faults.push(format!("{}: of group {}", ours.name, group(theirs)));
        }
    }
    println!("{} constants, {} statuses", checked().len(), NtStatus::ALL.len());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_constant_of_a_covered_group_is_compared() {
    let mut ours: BTreeSet<&str> = checked().iter().map(|constant| constant.name).collect();
    ours.extend(NtStatus::ALL.iter().map(|(name, _)| *name));
    ours.extend(guids().keys());
    let missing: Vec<String> = description()
        .iter()
        .filter(|(_, constant)| !GROUPS_LEFT_OUT.iter().any(|(name, _)| *name == group(constant)))
        .filter(|(name, _)| !ours.contains(name.as_str()))
        .filter(|(name, _)| !LEFT_OUT.iter().any(|(left_out, _)| left_out == name))
        .map(|(name, constant)| format!("{name} ({})", group(constant)))
        .collect();
    assert!(missing.is_empty(), "neither compared nor left out for a reason: {missing:?}");
}

// F-2
#[test]
fn every_status_has_the_value_the_data_says() {
    let description = description();
    let mut faults = Vec::new();
    for (name, constant) in description.iter().filter(|(_, constant)| group(constant) == "ntstatus") {
        let found = NtStatus::ALL.iter().find(|(ours, _)| ours == name);
        if found.map(|(_, status)| i64::from(status.0)) != Some(value(constant)) {
            faults.push(format!("{name}: {found:?}, expected {:#x}", value(constant)));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

fn guids() -> BTreeMap<&'static str, GUID> {
    fn module(id: NPI_MODULEID) -> GUID {
        assert_eq!((id.Length, id.Type), (24, MIT_GUID));
        // SAFETY: the type says that the GUID is the valid member.
        unsafe { id.Anonymous.Guid }
    }
    BTreeMap::from([
        ("NPI_WSK_INTERFACE_ID", NPI_WSK_INTERFACE_ID),
        ("NPI_TRANSPORT_LAYER_ID", NPI_TRANSPORT_LAYER_ID),
        ("NPI_MS_IPV4_MODULEID", module(NPI_MS_IPV4_MODULEID)),
        ("NPI_MS_IPV6_MODULEID", module(NPI_MS_IPV6_MODULEID)),
        ("NPI_MS_UDP_MODULEID", module(NPI_MS_UDP_MODULEID)),
        ("NPI_MS_TCP_MODULEID", module(NPI_MS_TCP_MODULEID)),
        ("NPI_MS_RAW_MODULEID", module(NPI_MS_RAW_MODULEID)),
        ("NPI_MS_NDIS_MODULEID", module(NPI_MS_NDIS_MODULEID)),
        ("NPI_PKTMON_CLNT_DRV_MODULEID", module(NPI_PKTMON_CLNT_DRV_MODULEID)),
    ])
}

// F-30: the id of the interface.
#[test]
fn guids_have_the_text_and_the_bytes_the_data_says() {
    let description = description();
    for (name, guid) in guids() {
        let theirs = &description[name];
        assert_eq!(Some(guid.to_string().as_str()), theirs["value"].as_str(), "{name}");
        let mut bytes = Vec::new();
        bytes.extend(guid.Data1.to_le_bytes());
        bytes.extend(guid.Data2.to_le_bytes());
        bytes.extend(guid.Data3.to_le_bytes());
        bytes.extend(guid.Data4);
        let bytes: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Some(bytes.as_str()), theirs["bytes_le"].as_str(), "{name}");
    }
}

#[test]
fn flags_have_the_bits_of_their_constants() {
    assert_eq!(EventMask::SEND_BACKLOG.bits(), WSK_EVENT_SEND_BACKLOG);
    assert_eq!(EventMask::RECEIVE.bits(), WSK_EVENT_RECEIVE);
    assert_eq!(EventMask::DISCONNECT.bits(), WSK_EVENT_DISCONNECT);
    assert_eq!(EventMask::RECEIVE_FROM.bits(), WSK_EVENT_RECEIVE_FROM);
    assert_eq!(EventMask::ACCEPT.bits(), WSK_EVENT_ACCEPT);
    assert_eq!(EventMask::DISABLE.bits(), WSK_EVENT_DISABLE);
    assert_eq!(SendFlags::OOB.bits(), WSK_FLAG_OOB);
    assert_eq!(SendFlags::NODELAY.bits(), WSK_FLAG_NODELAY);
    assert_eq!(ReceiveFlags::WAITALL.bits(), WSK_FLAG_WAITALL);
    assert_eq!(ReceiveFlags::DRAIN.bits(), WSK_FLAG_DRAIN);
    assert_eq!(DisconnectFlags::ABORTIVE.bits(), WSK_FLAG_ABORTIVE);
    assert_eq!(EventFlags::ABORTIVE.bits(), WSK_FLAG_ABORTIVE);
    assert_eq!(EventFlags::RELEASE_ASAP.bits(), WSK_FLAG_RELEASE_ASAP);
    assert_eq!(EventFlags::ENTIRE_MESSAGE.bits(), WSK_FLAG_ENTIRE_MESSAGE);
    assert_eq!(EventFlags::AT_DISPATCH_LEVEL.bits(), WSK_FLAG_AT_DISPATCH_LEVEL);
    assert_eq!(EventFlags::BCAST.bits(), MSG_BCAST);
    assert_eq!(EventFlags::MCAST.bits(), MSG_MCAST);
    assert_eq!(ControlFlags::TRUNC.bits(), MSG_TRUNC);
    assert_eq!(ControlFlags::CTRUNC.bits(), MSG_CTRUNC);
    assert_eq!(ControlFlags::BCAST.bits(), MSG_BCAST);
    assert_eq!(ControlFlags::MCAST.bits(), MSG_MCAST);
}

#[test]
fn flags_keep_unknown_bits() {
    assert_eq!(EventMask::from_bits(0x11), None);
    assert_eq!(EventMask::from_bits_retain(0x11).bits(), 0x11);
    assert!(EventMask::from_bits_retain(0x11).contains(EventMask::SEND_BACKLOG));
}

#[test]
fn versions_have_the_major_number_in_the_high_byte() {
    assert_eq!(MAKE_WSK_VERSION(1, 0), 0x0100);
    assert_eq!(MAKE_WSK_VERSION(2, 3), 0x0203);
}

#[rustfmt::skip]
fn checked() -> Vec<Constant> {
    constants! {
        "wsk-control":
            WSK_SO_BASE IOC_WSK WSK_TRANSPORT_LIST_QUERY WSK_TRANSPORT_LIST_CHANGE WSK_CACHE_SD
            WSK_RELEASE_SD WSK_TDI_DEVICENAME_MAPPING WSK_SET_STATIC_EVENT_CALLBACKS WSK_TDI_BEHAVIOR
            WSK_TDI_BEHAVIOR_BYPASS_TDI SO_WSK_SECURITY SO_WSK_EVENT_CALLBACK SIO_WSK_SET_REMOTE_ADDRESS
            SIO_WSK_REGISTER_EXTENSION SIO_WSK_QUERY_IDEAL_SEND_BACKLOG SIO_WSK_QUERY_RECEIVE_BACKLOG
            SIO_WSK_QUERY_INSPECT_ID SIO_WSK_SET_SENDTO_ADDRESS SIO_WSK_SET_TCP_SILENT_MODE
            SIO_WSK_SET_RECEIVE_EX_CALLBACK WskInspectReject WskInspectAccept WskInspectPend
            WskInspectMax WskSetOption WskGetOption WskIoctl WskControlMax
            WSKNDK_GET_WSK_PROVIDER_NDK_DISPATCH;
        "wsk-flags":
            WSK_FLAG_AT_DISPATCH_LEVEL WSK_FLAG_RELEASE_ASAP WSK_FLAG_ENTIRE_MESSAGE WSK_FLAG_ABORTIVE
            WSK_FLAG_BASIC_SOCKET WSK_FLAG_LISTEN_SOCKET WSK_FLAG_CONNECTION_SOCKET
            WSK_FLAG_DATAGRAM_SOCKET WSK_FLAG_STREAM_SOCKET WSK_FLAG_OOB WSK_FLAG_NODELAY
            WSK_FLAG_WAITALL WSK_FLAG_DRAIN WSK_NO_WAIT WSK_INFINITE_WAIT;
        "wsk-events":
            WSK_EVENT_RECEIVE_FROM WSK_EVENT_ACCEPT WSK_EVENT_SEND_BACKLOG WSK_EVENT_RECEIVE
            WSK_EVENT_DISCONNECT WSK_EVENT_DISABLE;
        "nmr":
            MIT_GUID MIT_IF_LUID;
        "sock":
            SD_GLOBAL_CHANGE_TYPE_MACHINE_SID SD_GLOBAL_CHANGE_TYPE_QUERY_STATS
            SD_GLOBAL_CHANGE_TYPE_ENUM_SDS SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_RDM SOCK_SEQPACKET
            INADDR_ANY INADDR_LOOPBACK INADDR_BROADCAST INADDR_NONE MSG_TRUNC MSG_CTRUNC MSG_BCAST
            MSG_MCAST MSG_ERRQUEUE AI_PASSIVE AI_CANONNAME AI_NUMERICHOST AI_NUMERICSERV AI_DNS_ONLY
            AI_FORCE_CLEAR_TEXT AI_BYPASS_DNS_CACHE AI_RETURN_TTL AI_ALL AI_ADDRCONFIG AI_V4MAPPED
            AI_NON_AUTHORITATIVE AI_SECURE AI_RETURN_PREFERRED_NAMES AI_FQDN AI_FILESERVER
            AI_DISABLE_IDN_ENCODING AI_SECURE_WITH_FALLBACK AI_EXCLUSIVE_CUSTOM_SERVERS
            AI_RETURN_RESPONSE_FLAGS AI_REQUIRE_SECURE AI_RESOLUTION_HANDLE AI_EXTENDED
            AI_DNS_SERVER_TYPE_UDP AI_DNS_SERVER_TYPE_DOH AI_DNS_SERVER_UDP_FALLBACK
            AI_DNS_RESPONSE_SECURE AI_DNS_RESPONSE_HOSTFILE NS_ALL NS_SAP NS_NDS NS_PEER_BROWSE NS_SLP
            NS_DHCP NS_TCPIP_LOCAL NS_TCPIP_HOSTS NS_DNS NS_NETBT NS_WINS NS_NLA NS_BTH NS_NBP NS_MS
            NS_STDA NS_NTDS NS_EMAIL NS_PNRPNAME NS_PNRPCLOUD NS_X500 NS_NIS NS_NISPLUS NS_WRQ NS_NETDES
            NI_NOFQDN NI_NUMERICHOST NI_NAMEREQD NI_NUMERICSERV NI_DGRAM NI_MAXHOST NI_MAXSERV MSG_OOB
            MSG_PEEK MSG_DONTROUTE MSG_WAITALL MSG_PARTIAL MSG_INTERRUPT MSG_MAXIOVLEN
            MSG_PUSH_IMMEDIATE SD_RECEIVE SD_SEND SD_BOTH SOMAXCONN NS_LOCALNAME ScopeLevelInterface
            ScopeLevelLink ScopeLevelSubnet ScopeLevelAdmin ScopeLevelSite ScopeLevelOrganization
            ScopeLevelGlobal ScopeLevelCount TCPSTATE_CLOSED TCPSTATE_LISTEN TCPSTATE_SYN_SENT
            TCPSTATE_SYN_RCVD TCPSTATE_ESTABLISHED TCPSTATE_FIN_WAIT_1 TCPSTATE_FIN_WAIT_2
            TCPSTATE_CLOSE_WAIT TCPSTATE_CLOSING TCPSTATE_LAST_ACK TCPSTATE_TIME_WAIT TCPSTATE_MAX;
        "sockopt":
            SOL_SOCKET SOL_IP SOL_IPV6 SO_DEBUG SO_ACCEPTCONN SO_REUSEADDR SO_KEEPALIVE SO_DONTROUTE
            SO_BROADCAST SO_USELOOPBACK SO_LINGER SO_OOBINLINE SO_DONTLINGER SO_EXCLUSIVEADDRUSE
            SO_SNDBUF SO_RCVBUF SO_SNDLOWAT SO_RCVLOWAT SO_SNDTIMEO SO_RCVTIMEO SO_ERROR SO_TYPE
            SO_BSP_STATE SO_GROUP_ID SO_GROUP_PRIORITY SO_MAX_MSG_SIZE SO_CONDITIONAL_ACCEPT
            SO_PAUSE_ACCEPT SO_COMPARTMENT_ID SO_RANDOMIZE_PORT SO_PORT_SCALABILITY SO_REUSE_UNICASTPORT
            SO_REUSE_MULTICASTPORT SO_ORIGINAL_DST TCP_NODELAY IPPROTO_IP IPPORT_TCPMUX IPPORT_ECHO
            IPPORT_DISCARD IPPORT_SYSTAT IPPORT_DAYTIME IPPORT_NETSTAT IPPORT_QOTD IPPORT_MSP
            IPPORT_CHARGEN IPPORT_FTP_DATA IPPORT_FTP IPPORT_TELNET IPPORT_SMTP IPPORT_TIMESERVER
            IPPORT_NAMESERVER IPPORT_WHOIS IPPORT_MTP IPPORT_TFTP IPPORT_RJE IPPORT_FINGER
            IPPORT_TTYLINK IPPORT_SUPDUP IPPORT_POP3 IPPORT_NTP IPPORT_EPMAP IPPORT_NETBIOS_NS
            IPPORT_NETBIOS_DGM IPPORT_NETBIOS_SSN IPPORT_IMAP IPPORT_SNMP IPPORT_SNMP_TRAP IPPORT_IMAP3
            IPPORT_LDAP IPPORT_HTTPS IPPORT_MICROSOFT_DS IPPORT_EXECSERVER IPPORT_LOGINSERVER
            IPPORT_CMDSERVER IPPORT_EFSSERVER IPPORT_BIFFUDP IPPORT_WHOSERVER IPPORT_ROUTESERVER
            IPPORT_RESERVED IPPORT_REGISTERED_MIN IPPORT_REGISTERED_MAX IPPORT_DYNAMIC_MIN
            IPPORT_DYNAMIC_MAX IP_OPTIONS IP_HDRINCL IP_TOS IP_TTL IP_MULTICAST_IF IP_MULTICAST_TTL
            IP_MULTICAST_LOOP IP_ADD_MEMBERSHIP IP_DROP_MEMBERSHIP IP_DONTFRAGMENT
            IP_ADD_SOURCE_MEMBERSHIP IP_DROP_SOURCE_MEMBERSHIP IP_BLOCK_SOURCE IP_UNBLOCK_SOURCE
            IP_PKTINFO IP_HOPLIMIT IP_RECVTTL IP_RECEIVE_BROADCAST IP_RECVIF IP_RECVDSTADDR IP_IFLIST
            IP_ADD_IFLIST IP_DEL_IFLIST IP_UNICAST_IF IP_RTHDR IP_GET_IFLIST IP_RECVRTHDR IP_TCLASS
            IP_RECVTCLASS IP_RECVTOS IP_ORIGINAL_ARRIVAL_IF IP_ECN IP_RECVECN IP_PKTINFO_EX
            IP_WFP_REDIRECT_RECORDS IP_WFP_REDIRECT_CONTEXT IP_MTU_DISCOVER IP_MTU IP_NRT_INTERFACE
            IP_RECVERR IP_USER_MTU IP_UNSPECIFIED_TYPE_OF_SERVICE IP_UNSPECIFIED_USER_MTU
            IPV6_ADDRESS_BITS MCAST_JOIN_GROUP MCAST_LEAVE_GROUP MCAST_BLOCK_SOURCE MCAST_UNBLOCK_SOURCE
            MCAST_JOIN_SOURCE_GROUP MCAST_LEAVE_SOURCE_GROUP IPV6_HOPOPTS IPV6_HDRINCL IPV6_UNICAST_HOPS
            IPV6_MULTICAST_IF IPV6_MULTICAST_HOPS IPV6_MULTICAST_LOOP IPV6_ADD_MEMBERSHIP
            IPV6_JOIN_GROUP IPV6_DROP_MEMBERSHIP IPV6_LEAVE_GROUP IPV6_DONTFRAG IPV6_PKTINFO
            IPV6_HOPLIMIT IPV6_PROTECTION_LEVEL IPV6_RECVIF IPV6_RECVDSTADDR IPV6_CHECKSUM IPV6_V6ONLY
            IPV6_IFLIST IPV6_ADD_IFLIST IPV6_DEL_IFLIST IPV6_UNICAST_IF IPV6_RTHDR IPV6_GET_IFLIST
            IPV6_RECVRTHDR IPV6_TCLASS IPV6_RECVTCLASS IPV6_ECN IPV6_RECVECN IPV6_PKTINFO_EX
            IPV6_WFP_REDIRECT_RECORDS IPV6_WFP_REDIRECT_CONTEXT IPV6_MTU_DISCOVER IPV6_MTU
            IPV6_NRT_INTERFACE IPV6_RECVERR IPV6_USER_MTU IP_UNSPECIFIED_HOP_LIMIT IP_PROTECTION_LEVEL
            PROTECTION_LEVEL_UNRESTRICTED PROTECTION_LEVEL_EDGERESTRICTED PROTECTION_LEVEL_RESTRICTED
            PROTECTION_LEVEL_DEFAULT TCP_OFFLOAD_NO_PREFERENCE TCP_OFFLOAD_NOT_PREFERRED
            TCP_OFFLOAD_PREFERRED TCP_EXPEDITED_1122 TCP_KEEPALIVE TCP_MAXSEG TCP_MAXRT TCP_STDURG
            TCP_NOURG TCP_ATMARK TCP_NOSYNRETRIES TCP_TIMESTAMPS TCP_OFFLOAD_PREFERENCE
            TCP_CONGESTION_ALGORITHM TCP_DELAY_FIN_ACK TCP_MAXRTMS TCP_FASTOPEN TCP_KEEPCNT TCP_KEEPIDLE
            TCP_KEEPINTVL TCP_FAIL_CONNECT_ON_ICMP_ERROR TCP_ICMP_ERROR_INFO UDP_SEND_MSG_SIZE
            UDP_RECV_MAX_COALESCED_SIZE UDP_COALESCED_INFO SO_TIMESTAMP SO_TIMESTAMP_ID
            TCP_INITIAL_RTO_UNSPECIFIED_RTT TCP_INITIAL_RTO_UNSPECIFIED_MAX_SYN_RETRANSMISSIONS
            TCP_INITIAL_RTO_DEFAULT_RTT TCP_INITIAL_RTO_DEFAULT_MAX_SYN_RETRANSMISSIONS
            TCP_INITIAL_RTO_NO_SYN_RETRANSMISSIONS IP_VER_MASK IPV6_VERSION IPV6_TRAFFIC_CLASS_MASK
            IPV6_FULL_TRAFFIC_CLASS_MASK IPV6_ECN_MASK IPV6_FLOW_LABEL_MASK IPV6_ECN_SHIFT
            IPV6_MINIMUM_MTU IPV6_MINIMUM_ULMTU IPV6_ROUTER_ALERT_LENGTH SO_PROTOCOL_INFOW
            SO_UPDATE_CONNECT_CONTEXT SO_UPDATE_ACCEPT_CONTEXT SO_CONNECT_TIME TCP_BSDURGENT
            IPPROTO_HOPOPTS IPPROTO_ICMP IPPROTO_IGMP IPPROTO_GGP IPPROTO_IPV4 IPPROTO_ST IPPROTO_TCP
            IPPROTO_CBT IPPROTO_EGP IPPROTO_IGP IPPROTO_PUP IPPROTO_UDP IPPROTO_IDP IPPROTO_RDP
            IPPROTO_IPV6 IPPROTO_ROUTING IPPROTO_FRAGMENT IPPROTO_ESP IPPROTO_AH IPPROTO_ICMPV6
            IPPROTO_NONE IPPROTO_DSTOPTS IPPROTO_ND IPPROTO_ICLFXBM IPPROTO_PIM IPPROTO_PGM IPPROTO_L2TP
            IPPROTO_SCTP IPPROTO_RAW IPPROTO_MAX IPPROTO_RESERVED_RAW IPPROTO_RESERVED_IPSEC
            IPPROTO_RESERVED_IPSECOFFLOAD IPPROTO_RESERVED_WNV IPPROTO_RESERVED_MAX IP_PMTUDISC_NOT_SET
            IP_PMTUDISC_DO IP_PMTUDISC_DONT IP_PMTUDISC_PROBE IP_PMTUDISC_MAX;
        "af":
            AF_UNSPEC AF_UNIX AF_INET AF_IMPLINK AF_PUP AF_CHAOS AF_NS AF_IPX AF_ISO AF_OSI AF_ECMA
            AF_DATAKIT AF_CCITT AF_SNA AF_DECnet AF_DLI AF_LAT AF_HYLINK AF_APPLETALK AF_NETBIOS
            AF_VOICEVIEW AF_FIREFOX AF_UNKNOWN1 AF_BAN AF_ATM AF_INET6 AF_CLUSTER AF_12844 AF_IRDA
            AF_NETDES AF_TCNPROCESS AF_TCNMESSAGE AF_ICLFXBM AF_BTH AF_LINK AF_HYPERV AF_MAX;
        "ioctl":
            FILE_DEVICE_NAMED_PIPE FILE_DEVICE_NETWORK FILE_DEVICE_NETWORK_FILE_SYSTEM FILE_DEVICE_NULL
            FILE_DEVICE_TRANSPORT FILE_DEVICE_UNKNOWN FILE_DEVICE_NETWORK_REDIRECTOR FILE_DEVICE_KS
            METHOD_BUFFERED METHOD_IN_DIRECT METHOD_OUT_DIRECT METHOD_NEITHER METHOD_DIRECT_TO_HARDWARE
            METHOD_DIRECT_FROM_HARDWARE FILE_ANY_ACCESS FILE_SPECIAL_ACCESS FILE_READ_ACCESS
            FILE_WRITE_ACCESS FILE_DEVICE_SECURE_OPEN IOC_UNIX IOC_WS2 IOC_PROTOCOL IOC_VENDOR
            SIO_ASSOCIATE_HANDLE SIO_ENABLE_CIRCULAR_QUEUEING SIO_FIND_ROUTE SIO_FLUSH
            SIO_GET_BROADCAST_ADDRESS SIO_GET_EXTENSION_FUNCTION_POINTER SIO_GET_QOS SIO_GET_GROUP_QOS
            SIO_MULTIPOINT_LOOPBACK SIO_MULTICAST_SCOPE SIO_SET_QOS SIO_SET_GROUP_QOS
            SIO_TRANSLATE_HANDLE SIO_ROUTING_INTERFACE_QUERY SIO_ROUTING_INTERFACE_CHANGE
            SIO_ADDRESS_LIST_QUERY SIO_ADDRESS_LIST_CHANGE SIO_QUERY_TARGET_PNP_HANDLE
            SIO_QUERY_RSS_PROCESSOR_INFO SIO_ADDRESS_LIST_SORT SIO_RESERVED_1 SIO_RESERVED_2
            SIO_GET_MULTIPLE_EXTENSION_FUNCTION_POINTER IOC_VOID IOC_OUT IOC_IN IOC_INOUT
            SIO_GET_INTERFACE_LIST SIO_GET_INTERFACE_LIST_EX SIO_SET_MULTICAST_FILTER
            SIO_GET_MULTICAST_FILTER SIO_IDEAL_SEND_BACKLOG_QUERY SIO_IDEAL_SEND_BACKLOG_CHANGE
            SIO_SET_COMPATIBILITY_MODE SIO_RCVALL SIO_RCVALL_MCAST SIO_RCVALL_IGMPMCAST
            SIO_KEEPALIVE_VALS SIO_ABSORB_RTRALERT SIO_UCAST_IF SIO_LIMIT_BROADCASTS SIO_INDEX_BIND
            SIO_INDEX_MCASTIF SIO_INDEX_ADD_MCAST SIO_INDEX_DEL_MCAST SIO_RCVALL_MCAST_IF SIO_RCVALL_IF
            SIO_LOOPBACK_FAST_PATH SIO_TCP_INITIAL_RTO SIO_APPLY_TRANSPORT_SETTING
            SIO_QUERY_TRANSPORT_SETTING SIO_TCP_SET_ICW SIO_TCP_SET_ACK_FREQUENCY SIO_SET_PRIORITY_HINT
            SIO_PRIORITY_HINT SIO_TCP_INFO SIO_CPU_AFFINITY SIO_TIMESTAMPING SIO_GET_TX_TIMESTAMP
            RCVALL_MAX SIO_ACQUIRE_PORT_RESERVATION SIO_RELEASE_PORT_RESERVATION
            SIO_ASSOCIATE_PORT_RESERVATION SIO_SET_SECURITY SIO_QUERY_SECURITY SIO_SET_PEER_TARGET_NAME
            SIO_DELETE_PEER_TARGET_NAME SIO_QUERY_WFP_CONNECTION_REDIRECT_RECORDS
            SIO_QUERY_WFP_CONNECTION_REDIRECT_CONTEXT SIO_SET_WFP_CONNECTION_REDIRECT_RECORDS
            SIO_SOCKET_USAGE_NOTIFICATION SIO_QUERY_WFP_ALE_ENDPOINT_HANDLE
            SIO_QUERY_RSS_SCALABILITY_INFO IOCTL_TDI_ACCEPT IOCTL_TDI_CONNECT IOCTL_TDI_DISCONNECT
            IOCTL_TDI_LISTEN IOCTL_TDI_QUERY_INFORMATION IOCTL_TDI_RECEIVE IOCTL_TDI_RECEIVE_DATAGRAM
            IOCTL_TDI_SEND IOCTL_TDI_SEND_DATAGRAM IOCTL_TDI_SET_EVENT_HANDLER IOCTL_TDI_SET_INFORMATION
            IOCTL_TDI_ASSOCIATE_ADDRESS IOCTL_TDI_DISASSOCIATE_ADDRESS IOCTL_TDI_ACTION
            IOCTL_TDI_MAGIC_BULLET IOCTL_TDI_QUERY_DIRECT_SEND_HANDLER
            IOCTL_TDI_QUERY_DIRECT_SENDDG_HANDLER FIONREAD FIONBIO FIOASYNC SIOCATMARK;
        "irp":
            IO_TYPE_ADAPTER IO_TYPE_CONTROLLER IO_TYPE_DEVICE IO_TYPE_DRIVER IO_TYPE_FILE IO_TYPE_IRP
            IO_TYPE_MASTER_ADAPTER IO_TYPE_OPEN_PACKET IO_TYPE_TIMER IO_TYPE_VPB IO_TYPE_ERROR_LOG
            IO_TYPE_ERROR_MESSAGE IO_TYPE_DEVICE_OBJECT_EXTENSION IO_TYPE_IORING IRP_MJ_CREATE
            IRP_MJ_CREATE_NAMED_PIPE IRP_MJ_CLOSE IRP_MJ_READ IRP_MJ_WRITE IRP_MJ_QUERY_INFORMATION
            IRP_MJ_SET_INFORMATION IRP_MJ_QUERY_EA IRP_MJ_SET_EA IRP_MJ_FLUSH_BUFFERS
            IRP_MJ_QUERY_VOLUME_INFORMATION IRP_MJ_SET_VOLUME_INFORMATION IRP_MJ_DIRECTORY_CONTROL
            IRP_MJ_FILE_SYSTEM_CONTROL IRP_MJ_DEVICE_CONTROL IRP_MJ_INTERNAL_DEVICE_CONTROL
            IRP_MJ_SHUTDOWN IRP_MJ_LOCK_CONTROL IRP_MJ_CLEANUP IRP_MJ_CREATE_MAILSLOT
            IRP_MJ_QUERY_SECURITY IRP_MJ_SET_SECURITY IRP_MJ_POWER IRP_MJ_SYSTEM_CONTROL
            IRP_MJ_DEVICE_CHANGE IRP_MJ_QUERY_QUOTA IRP_MJ_SET_QUOTA IRP_MJ_PNP IRP_MJ_PNP_POWER
            IRP_MJ_MAXIMUM_FUNCTION IRP_MJ_SCSI IRP_MN_SCSI_CLASS IRP_MN_START_DEVICE
            IRP_MN_QUERY_REMOVE_DEVICE IRP_MN_REMOVE_DEVICE IRP_MN_CANCEL_REMOVE_DEVICE
            IRP_MN_STOP_DEVICE IRP_MN_QUERY_STOP_DEVICE IRP_MN_CANCEL_STOP_DEVICE
            IRP_MN_QUERY_DEVICE_RELATIONS IRP_MN_QUERY_INTERFACE IRP_MN_QUERY_CAPABILITIES
            IRP_MN_QUERY_RESOURCES IRP_MN_QUERY_RESOURCE_REQUIREMENTS IRP_MN_QUERY_DEVICE_TEXT
            IRP_MN_FILTER_RESOURCE_REQUIREMENTS IRP_MN_READ_CONFIG IRP_MN_WRITE_CONFIG IRP_MN_EJECT
            IRP_MN_SET_LOCK IRP_MN_QUERY_ID IRP_MN_QUERY_PNP_DEVICE_STATE IRP_MN_QUERY_BUS_INFORMATION
            IRP_MN_DEVICE_USAGE_NOTIFICATION IRP_MN_SURPRISE_REMOVAL IRP_MN_DEVICE_ENUMERATED
            IRP_MN_WAIT_WAKE IRP_MN_POWER_SEQUENCE IRP_MN_SET_POWER IRP_MN_QUERY_POWER
            IRP_MN_QUERY_ALL_DATA IRP_MN_QUERY_SINGLE_INSTANCE IRP_MN_CHANGE_SINGLE_INSTANCE
            IRP_MN_CHANGE_SINGLE_ITEM IRP_MN_ENABLE_EVENTS IRP_MN_DISABLE_EVENTS
            IRP_MN_ENABLE_COLLECTION IRP_MN_DISABLE_COLLECTION IRP_MN_REGINFO IRP_MN_EXECUTE_METHOD
            IRP_MN_REGINFO_EX IRP_NOCACHE IRP_PAGING_IO IRP_MOUNT_COMPLETION IRP_SYNCHRONOUS_API
            IRP_ASSOCIATED_IRP IRP_BUFFERED_IO IRP_DEALLOCATE_BUFFER IRP_INPUT_OPERATION
            IRP_SYNCHRONOUS_PAGING_IO IRP_CREATE_OPERATION IRP_READ_OPERATION IRP_WRITE_OPERATION
            IRP_CLOSE_OPERATION IRP_DEFER_IO_COMPLETION IRP_OB_QUERY_NAME IRP_HOLD_DEVICE_QUEUE
            IRP_UM_DRIVER_INITIATED_IO IRP_QUOTA_CHARGED IRP_ALLOCATED_MUST_SUCCEED
            IRP_ALLOCATED_FIXED_SIZE IRP_LOOKASIDE_ALLOCATION SL_PENDING_RETURNED SL_ERROR_RETURNED
            SL_INVOKE_ON_CANCEL SL_INVOKE_ON_SUCCESS SL_INVOKE_ON_ERROR SL_FORCE_ACCESS_CHECK
            SL_OPEN_PAGING_FILE SL_OPEN_TARGET_DIRECTORY SL_STOP_ON_SYMLINK SL_IGNORE_READONLY_ATTRIBUTE
            SL_CASE_SENSITIVE SL_KEY_SPECIFIED SL_OVERRIDE_VERIFY_VOLUME SL_WRITE_THROUGH
            SL_FT_SEQUENTIAL_WRITE SL_FORCE_DIRECT_WRITE SL_REALTIME_STREAM
            SL_PERSISTENT_MEMORY_FIXED_MAPPING SL_BYPASS_IO SL_FORCE_ASYNCHRONOUS SL_READ_ACCESS_GRANTED
            SL_WRITE_ACCESS_GRANTED SL_FAIL_IMMEDIATELY SL_EXCLUSIVE_LOCK SL_RESTART_SCAN
            SL_RETURN_SINGLE_ENTRY SL_INDEX_SPECIFIED SL_RETURN_ON_DISK_ENTRIES_ONLY SL_NO_CURSOR_UPDATE
            SL_QUERY_DIRECTORY_MASK SL_WATCH_TREE SL_ALLOW_RAW_MOUNT SL_BYPASS_ACCESS_CHECK
            SL_INFO_FORCE_ACCESS_CHECK SL_INFO_IGNORE_READONLY_ATTRIBUTE IO_TYPE_CSQ_IRP_CONTEXT
            IO_TYPE_CSQ IO_TYPE_CSQ_EX IRP_MN_QUERY_DIRECTORY IRP_MN_NOTIFY_CHANGE_DIRECTORY
            IRP_MN_NOTIFY_CHANGE_DIRECTORY_EX IRP_MN_USER_FS_REQUEST IRP_MN_MOUNT_VOLUME
            IRP_MN_VERIFY_VOLUME IRP_MN_LOAD_FILE_SYSTEM IRP_MN_TRACK_LINK IRP_MN_KERNEL_CALL
            IRP_MN_LOCK IRP_MN_UNLOCK_SINGLE IRP_MN_UNLOCK_ALL IRP_MN_UNLOCK_ALL_BY_KEY
            IRP_MN_FLUSH_AND_PURGE IRP_MN_FLUSH_DATA_ONLY IRP_MN_FLUSH_NO_SYNC
            IRP_MN_FLUSH_DATA_SYNC_ONLY IRP_MN_NORMAL IRP_MN_DPC IRP_MN_MDL IRP_MN_COMPLETE
            IRP_MN_COMPRESSED IRP_MN_MDL_DPC IRP_MN_COMPLETE_MDL IRP_MN_COMPLETE_MDL_DPC
            IRP_MN_QUERY_LEGACY_BUS_INFORMATION IRP_EXT_TRACK_OFFSET_HEADER_VALIDATION_VALUE
            CreateFileTypeNone CreateFileTypeNamedPipe CreateFileTypeMailslot BusRelations
            EjectionRelations PowerRelations RemovalRelations TargetDeviceRelation SingleBusRelations
            TransportRelations ContinueCompletion StopCompletion;
        "mdl":
            MDL_CACHE PAGE_SIZE PAGE_SHIFT MDL_MAPPED_TO_SYSTEM_VA MDL_PAGES_LOCKED
            MDL_SOURCE_IS_NONPAGED_POOL MDL_ALLOCATED_FIXED_SIZE MDL_PARTIAL MDL_PARTIAL_HAS_BEEN_MAPPED
            MDL_IO_PAGE_READ MDL_WRITE_OPERATION MDL_LOCKED_PAGE_TABLES MDL_PARENT_MAPPED_SYSTEM_VA
            MDL_FREE_EXTRA_PTES MDL_DESCRIBES_AWE MDL_IO_SPACE MDL_NETWORK_HEADER MDL_MAPPING_CAN_FAIL
            MDL_PAGE_CONTENTS_INVARIANT MDL_ALLOCATED_MUST_SUCCEED MDL_INTERNAL MdlMappingNoWrite
            MdlMappingNoExecute MdlMappingWithGuardPtes MmNonCached MmCached MmWriteCombined
            MmHardwareCoherentCached MmNonCachedUnordered MmUSWCCached MmMaximumCacheType MmNotMapped
            LowPagePriority NormalPagePriority HighPagePriority;
        "increment":
            EVENT_INCREMENT IO_NO_INCREMENT IO_CD_ROM_INCREMENT IO_DISK_INCREMENT IO_KEYBOARD_INCREMENT
            IO_MAILSLOT_INCREMENT IO_MOUSE_INCREMENT IO_NAMED_PIPE_INCREMENT IO_NETWORK_INCREMENT
            IO_PARALLEL_INCREMENT IO_SERIAL_INCREMENT IO_SOUND_INCREMENT IO_VIDEO_INCREMENT
            SEMAPHORE_INCREMENT;
    }
}
