//! Socket types, addresses, message flags, and flags of name resolution (ws2def.h, nsdefs.h, winsock2.h).

#![allow(missing_docs)] // A plain table: the names are the documentation, the values are checked by tests/constants.rs.
#![allow(non_upper_case_globals)] // C enumerators and macros keep their names.

// Socket types.
pub const SOCK_STREAM: u16 = 1;
pub const SOCK_DGRAM: u16 = 2;
pub const SOCK_RAW: u16 = 3;
pub const SOCK_RDM: u16 = 4;
pub const SOCK_SEQPACKET: u16 = 5;

// IPv4 addresses, in host order.
pub const INADDR_ANY: u32 = 0;
pub const INADDR_LOOPBACK: u32 = 0x7F00_0001;
pub const INADDR_BROADCAST: u32 = 0xFFFF_FFFF;
pub const INADDR_NONE: u32 = 0xFFFF_FFFF;

// Message flags; WSK reports TRUNC, CTRUNC, BCAST and MCAST in ControlFlags.
pub const MSG_TRUNC: u32 = 0x0000_0100;
pub const MSG_CTRUNC: u32 = 0x0000_0200;
pub const MSG_BCAST: u32 = 0x0000_0400;
pub const MSG_MCAST: u32 = 0x0000_0800;
pub const MSG_ERRQUEUE: u32 = 0x0000_1000;
pub const MSG_OOB: u32 = 0x0000_0001;
pub const MSG_PEEK: u32 = 0x0000_0002;
pub const MSG_DONTROUTE: u32 = 0x0000_0004;
pub const MSG_WAITALL: u32 = 0x0000_0008;
pub const MSG_PARTIAL: u32 = 0x0000_8000;
pub const MSG_INTERRUPT: u32 = 0x0000_0010;
pub const MSG_MAXIOVLEN: u32 = 0x0000_0010;
pub const MSG_PUSH_IMMEDIATE: u32 = 0x0000_0020;

// Custom DNS servers and response flags.
pub const AI_DNS_SERVER_TYPE_UDP: u32 = 1;
pub const AI_DNS_SERVER_TYPE_DOH: u32 = 2;
pub const AI_DNS_SERVER_UDP_FALLBACK: u32 = 1;
pub const AI_DNS_RESPONSE_SECURE: u32 = 1;
pub const AI_DNS_RESPONSE_HOSTFILE: u32 = 2;

// `ADDRINFOEXW::ai_flags`.
pub const AI_PASSIVE: i32 = 1;
pub const AI_CANONNAME: i32 = 2;
pub const AI_NUMERICHOST: i32 = 4;
pub const AI_NUMERICSERV: i32 = 8;
pub const AI_DNS_ONLY: i32 = 16;
pub const AI_FORCE_CLEAR_TEXT: i32 = 32;
pub const AI_BYPASS_DNS_CACHE: i32 = 64;
pub const AI_RETURN_TTL: i32 = 128;
pub const AI_ALL: i32 = 0x0100;
pub const AI_ADDRCONFIG: i32 = 0x0400;
pub const AI_V4MAPPED: i32 = 0x0800;
pub const AI_NON_AUTHORITATIVE: i32 = 0x4000;
pub const AI_SECURE: i32 = 0x8000;
pub const AI_RETURN_PREFERRED_NAMES: i32 = 0x0001_0000;
pub const AI_FQDN: i32 = 0x0002_0000;
pub const AI_FILESERVER: i32 = 0x0004_0000;
pub const AI_DISABLE_IDN_ENCODING: i32 = 0x0008_0000;
pub const AI_SECURE_WITH_FALLBACK: i32 = 0x0010_0000;
pub const AI_EXCLUSIVE_CUSTOM_SERVERS: i32 = 0x0020_0000;
pub const AI_RETURN_RESPONSE_FLAGS: i32 = 0x1000_0000;
pub const AI_REQUIRE_SECURE: i32 = 0x2000_0000;
pub const AI_RESOLUTION_HANDLE: i32 = 0x4000_0000;
pub const AI_EXTENDED: i32 = 0x8000_0000_u32 as i32;

// Name spaces of WskGetAddressInfo.
pub const NS_ALL: u32 = 0;
pub const NS_SAP: u32 = 1;
pub const NS_NDS: u32 = 2;
pub const NS_PEER_BROWSE: u32 = 3;
pub const NS_SLP: u32 = 5;
pub const NS_DHCP: u32 = 6;
pub const NS_TCPIP_LOCAL: u32 = 10;
pub const NS_TCPIP_HOSTS: u32 = 11;
pub const NS_DNS: u32 = 12;
pub const NS_NETBT: u32 = 13;
pub const NS_WINS: u32 = 14;
pub const NS_NLA: u32 = 15;
pub const NS_BTH: u32 = 16;
pub const NS_NBP: u32 = 20;
pub const NS_MS: u32 = 30;
pub const NS_STDA: u32 = 31;
pub const NS_NTDS: u32 = 32;
pub const NS_EMAIL: u32 = 37;
pub const NS_PNRPNAME: u32 = 38;
pub const NS_PNRPCLOUD: u32 = 39;
pub const NS_X500: u32 = 40;
pub const NS_NIS: u32 = 41;
pub const NS_NISPLUS: u32 = 42;
pub const NS_WRQ: u32 = 50;
pub const NS_NETDES: u32 = 60;
pub const NS_LOCALNAME: u32 = 19;

// Flags of WskGetNameInfo.
pub const NI_NOFQDN: u32 = 1;
pub const NI_NUMERICHOST: u32 = 2;
pub const NI_NAMEREQD: u32 = 4;
pub const NI_NUMERICSERV: u32 = 8;
pub const NI_DGRAM: u32 = 16;
pub const NI_MAXHOST: u32 = 0x0401;
pub const NI_MAXSERV: u32 = 32;

// Changes of a global security descriptor.
pub const SD_GLOBAL_CHANGE_TYPE_MACHINE_SID: u32 = 1;
pub const SD_GLOBAL_CHANGE_TYPE_QUERY_STATS: u32 = 0x0001_0000;
pub const SD_GLOBAL_CHANGE_TYPE_ENUM_SDS: u32 = 0x0002_0000;

// Directions of a shutdown.
pub const SD_RECEIVE: u32 = 0;
pub const SD_SEND: u32 = 1;
pub const SD_BOTH: u32 = 2;

// Backlog of a listener.
pub const SOMAXCONN: u32 = 0x7FFF_FFFF;

// SCOPE_LEVEL.
pub const ScopeLevelInterface: i32 = 1;
pub const ScopeLevelLink: i32 = 2;
pub const ScopeLevelSubnet: i32 = 3;
pub const ScopeLevelAdmin: i32 = 4;
pub const ScopeLevelSite: i32 = 5;
pub const ScopeLevelOrganization: i32 = 8;
pub const ScopeLevelGlobal: i32 = 14;
pub const ScopeLevelCount: i32 = 16;

// TCPSTATE.
pub const TCPSTATE_CLOSED: i32 = 0;
pub const TCPSTATE_LISTEN: i32 = 1;
pub const TCPSTATE_SYN_SENT: i32 = 2;
pub const TCPSTATE_SYN_RCVD: i32 = 3;
pub const TCPSTATE_ESTABLISHED: i32 = 4;
pub const TCPSTATE_FIN_WAIT_1: i32 = 5;
pub const TCPSTATE_FIN_WAIT_2: i32 = 6;
pub const TCPSTATE_CLOSE_WAIT: i32 = 7;
pub const TCPSTATE_CLOSING: i32 = 8;
pub const TCPSTATE_LAST_ACK: i32 = 9;
pub const TCPSTATE_TIME_WAIT: i32 = 10;
pub const TCPSTATE_MAX: i32 = 11;
