//! Levels, options and their values; protocols and ports (ws2def.h, ws2ipdef.h, mstcpip.h).

#![allow(missing_docs)] // A plain table: the names are the documentation, the values are checked by tests/constants.rs.

// Levels. IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP and IPPROTO_UDP are levels too.
pub const SOL_SOCKET: u32 = 0xFFFF;
pub const SOL_IP: u32 = 0xFFFB;
pub const SOL_IPV6: u32 = 0xFFFA;

// Options of SOL_SOCKET.
pub const SO_DEBUG: u32 = 1;
pub const SO_ACCEPTCONN: u32 = 2;
pub const SO_REUSEADDR: u32 = 4;
pub const SO_KEEPALIVE: u32 = 8;
pub const SO_DONTROUTE: u32 = 0x0000_0010;
pub const SO_BROADCAST: u32 = 32;
pub const SO_USELOOPBACK: u32 = 64;
pub const SO_LINGER: u32 = 128;
pub const SO_OOBINLINE: u32 = 0x0100;
pub const SO_DONTLINGER: u32 = 0xFFFF_FF7F;
pub const SO_EXCLUSIVEADDRUSE: u32 = 0xFFFF_FFFB;
pub const SO_SNDBUF: u32 = 0x1001;
pub const SO_RCVBUF: u32 = 0x1002;
pub const SO_SNDLOWAT: u32 = 0x1003;
pub const SO_RCVLOWAT: u32 = 0x1004;
pub const SO_SNDTIMEO: u32 = 0x1005;
pub const SO_RCVTIMEO: u32 = 0x1006;
pub const SO_ERROR: u32 = 0x1007;
pub const SO_TYPE: u32 = 0x1008;
pub const SO_BSP_STATE: u32 = 0x1009;
pub const SO_GROUP_ID: u32 = 0x2001;
pub const SO_GROUP_PRIORITY: u32 = 0x2002;
pub const SO_MAX_MSG_SIZE: u32 = 0x2003;
pub const SO_CONDITIONAL_ACCEPT: u32 = 0x3002;
pub const SO_PAUSE_ACCEPT: u32 = 0x3003;
pub const SO_COMPARTMENT_ID: u32 = 0x3004;
pub const SO_RANDOMIZE_PORT: u32 = 0x3005;
pub const SO_PORT_SCALABILITY: u32 = 0x3006;
pub const SO_REUSE_UNICASTPORT: u32 = 0x3007;
pub const SO_REUSE_MULTICASTPORT: u32 = 0x3008;
pub const SO_ORIGINAL_DST: u32 = 0x300F;
pub const SO_TIMESTAMP: u32 = 0x300A;
pub const SO_TIMESTAMP_ID: u32 = 0x300B;
pub const SO_PROTOCOL_INFOW: u32 = 0x2005;
pub const SO_UPDATE_CONNECT_CONTEXT: u32 = 0x7010;
pub const SO_UPDATE_ACCEPT_CONTEXT: u32 = 0x700B;
pub const SO_CONNECT_TIME: u32 = 0x700C;

// Protocols (the rest is an enumeration below).
pub const IPPROTO_IP: u32 = 0;

// Ports.
pub const IPPORT_TCPMUX: u32 = 1;
pub const IPPORT_ECHO: u32 = 7;
pub const IPPORT_DISCARD: u32 = 9;
pub const IPPORT_SYSTAT: u32 = 11;
pub const IPPORT_DAYTIME: u32 = 13;
pub const IPPORT_NETSTAT: u32 = 15;
pub const IPPORT_QOTD: u32 = 17;
pub const IPPORT_MSP: u32 = 18;
pub const IPPORT_CHARGEN: u32 = 19;
pub const IPPORT_FTP_DATA: u32 = 20;
pub const IPPORT_FTP: u32 = 21;
pub const IPPORT_TELNET: u32 = 23;
pub const IPPORT_SMTP: u32 = 25;
pub const IPPORT_TIMESERVER: u32 = 37;
pub const IPPORT_NAMESERVER: u32 = 42;
pub const IPPORT_WHOIS: u32 = 43;
pub const IPPORT_MTP: u32 = 57;
pub const IPPORT_TFTP: u32 = 69;
pub const IPPORT_RJE: u32 = 77;
pub const IPPORT_FINGER: u32 = 79;
pub const IPPORT_TTYLINK: u32 = 87;
pub const IPPORT_SUPDUP: u32 = 95;
pub const IPPORT_POP3: u32 = 110;
pub const IPPORT_NTP: u32 = 123;
pub const IPPORT_EPMAP: u32 = 135;
pub const IPPORT_NETBIOS_NS: u32 = 137;
pub const IPPORT_NETBIOS_DGM: u32 = 138;
pub const IPPORT_NETBIOS_SSN: u32 = 139;
pub const IPPORT_IMAP: u32 = 143;
pub const IPPORT_SNMP: u32 = 161;
pub const IPPORT_SNMP_TRAP: u32 = 162;
pub const IPPORT_IMAP3: u32 = 220;
pub const IPPORT_LDAP: u32 = 389;
pub const IPPORT_HTTPS: u32 = 443;
pub const IPPORT_MICROSOFT_DS: u32 = 445;
pub const IPPORT_EXECSERVER: u32 = 512;
pub const IPPORT_LOGINSERVER: u32 = 513;
pub const IPPORT_CMDSERVER: u32 = 514;
pub const IPPORT_EFSSERVER: u32 = 520;
pub const IPPORT_BIFFUDP: u32 = 512;
pub const IPPORT_WHOSERVER: u32 = 513;
pub const IPPORT_ROUTESERVER: u32 = 520;
pub const IPPORT_RESERVED: u32 = 1024;
pub const IPPORT_REGISTERED_MIN: u32 = 1024;
pub const IPPORT_REGISTERED_MAX: u32 = 49151;
pub const IPPORT_DYNAMIC_MIN: u32 = 49152;
pub const IPPORT_DYNAMIC_MAX: u32 = 65535;

// Values and masks of IPv4.
pub const IP_UNSPECIFIED_TYPE_OF_SERVICE: u32 = 0xFFFF_FFFF;
pub const IP_UNSPECIFIED_USER_MTU: u32 = 0xFFFF_FFFF;
pub const IP_UNSPECIFIED_HOP_LIMIT: u32 = 0xFFFF_FFFF;
pub const IP_VER_MASK: u32 = 0x00F0;

// Options of IPPROTO_IP.
pub const IP_OPTIONS: u32 = 1;
pub const IP_HDRINCL: u32 = 2;
pub const IP_TOS: u32 = 3;
pub const IP_TTL: u32 = 4;
pub const IP_MULTICAST_IF: u32 = 9;
pub const IP_MULTICAST_TTL: u32 = 10;
pub const IP_MULTICAST_LOOP: u32 = 11;
pub const IP_ADD_MEMBERSHIP: u32 = 12;
pub const IP_DROP_MEMBERSHIP: u32 = 13;
pub const IP_DONTFRAGMENT: u32 = 14;
pub const IP_ADD_SOURCE_MEMBERSHIP: u32 = 15;
pub const IP_DROP_SOURCE_MEMBERSHIP: u32 = 16;
pub const IP_BLOCK_SOURCE: u32 = 17;
pub const IP_UNBLOCK_SOURCE: u32 = 18;
pub const IP_PKTINFO: u32 = 19;
pub const IP_HOPLIMIT: u32 = 21;
pub const IP_RECVTTL: u32 = 21;
pub const IP_RECEIVE_BROADCAST: u32 = 22;
pub const IP_RECVIF: u32 = 24;
pub const IP_RECVDSTADDR: u32 = 25;
pub const IP_IFLIST: u32 = 28;
pub const IP_ADD_IFLIST: u32 = 29;
pub const IP_DEL_IFLIST: u32 = 30;
pub const IP_UNICAST_IF: u32 = 31;
pub const IP_RTHDR: u32 = 32;
pub const IP_GET_IFLIST: u32 = 33;
pub const IP_RECVRTHDR: u32 = 38;
pub const IP_TCLASS: u32 = 39;
pub const IP_RECVTCLASS: u32 = 40;
pub const IP_RECVTOS: u32 = 40;
pub const IP_ORIGINAL_ARRIVAL_IF: u32 = 47;
pub const IP_ECN: u32 = 50;
pub const IP_RECVECN: u32 = 50;
pub const IP_PKTINFO_EX: u32 = 51;
pub const IP_WFP_REDIRECT_RECORDS: u32 = 60;
pub const IP_WFP_REDIRECT_CONTEXT: u32 = 70;
pub const IP_MTU_DISCOVER: u32 = 71;
pub const IP_MTU: u32 = 73;
pub const IP_NRT_INTERFACE: u32 = 74;
pub const IP_RECVERR: u32 = 75;
pub const IP_USER_MTU: u32 = 76;
pub const IP_PROTECTION_LEVEL: u32 = 23;

// Options of both families.
pub const MCAST_JOIN_GROUP: u32 = 41;
pub const MCAST_LEAVE_GROUP: u32 = 42;
pub const MCAST_BLOCK_SOURCE: u32 = 43;
pub const MCAST_UNBLOCK_SOURCE: u32 = 44;
pub const MCAST_JOIN_SOURCE_GROUP: u32 = 45;
pub const MCAST_LEAVE_SOURCE_GROUP: u32 = 46;

// Values and masks of IPv6.
pub const IPV6_ADDRESS_BITS: u32 = 128;
pub const IPV6_VERSION: u32 = 96;
pub const IPV6_TRAFFIC_CLASS_MASK: u32 = 0xC00F;
pub const IPV6_FULL_TRAFFIC_CLASS_MASK: u32 = 0xF00F;
pub const IPV6_ECN_MASK: u32 = 0x3000;
pub const IPV6_FLOW_LABEL_MASK: u32 = 0xFFFF_0F00;
pub const IPV6_ECN_SHIFT: u32 = 12;
pub const IPV6_MINIMUM_MTU: u32 = 1280;
pub const IPV6_MINIMUM_ULMTU: u32 = 1240;
pub const IPV6_ROUTER_ALERT_LENGTH: u32 = 8;

// Options of IPPROTO_IPV6.
pub const IPV6_HOPOPTS: u32 = 1;
pub const IPV6_HDRINCL: u32 = 2;
pub const IPV6_UNICAST_HOPS: u32 = 4;
pub const IPV6_MULTICAST_IF: u32 = 9;
pub const IPV6_MULTICAST_HOPS: u32 = 10;
pub const IPV6_MULTICAST_LOOP: u32 = 11;
pub const IPV6_ADD_MEMBERSHIP: u32 = 12;
pub const IPV6_JOIN_GROUP: u32 = 12;
pub const IPV6_DROP_MEMBERSHIP: u32 = 13;
pub const IPV6_LEAVE_GROUP: u32 = 13;
pub const IPV6_DONTFRAG: u32 = 14;
pub const IPV6_PKTINFO: u32 = 19;
pub const IPV6_HOPLIMIT: u32 = 21;
pub const IPV6_PROTECTION_LEVEL: u32 = 23;
pub const IPV6_RECVIF: u32 = 24;
pub const IPV6_RECVDSTADDR: u32 = 25;
pub const IPV6_CHECKSUM: u32 = 26;
pub const IPV6_V6ONLY: u32 = 27;
pub const IPV6_IFLIST: u32 = 28;
pub const IPV6_ADD_IFLIST: u32 = 29;
pub const IPV6_DEL_IFLIST: u32 = 30;
pub const IPV6_UNICAST_IF: u32 = 31;
pub const IPV6_RTHDR: u32 = 32;
pub const IPV6_GET_IFLIST: u32 = 33;
pub const IPV6_RECVRTHDR: u32 = 38;
pub const IPV6_TCLASS: u32 = 39;
pub const IPV6_RECVTCLASS: u32 = 40;
pub const IPV6_ECN: u32 = 50;
pub const IPV6_RECVECN: u32 = 50;
pub const IPV6_PKTINFO_EX: u32 = 51;
pub const IPV6_WFP_REDIRECT_RECORDS: u32 = 60;
pub const IPV6_WFP_REDIRECT_CONTEXT: u32 = 70;
pub const IPV6_MTU_DISCOVER: u32 = 71;
pub const IPV6_MTU: u32 = 72;
pub const IPV6_NRT_INTERFACE: u32 = 74;
pub const IPV6_RECVERR: u32 = 75;
pub const IPV6_USER_MTU: u32 = 76;

// Values of IPV6_PROTECTION_LEVEL.
pub const PROTECTION_LEVEL_UNRESTRICTED: u32 = 10;
pub const PROTECTION_LEVEL_EDGERESTRICTED: u32 = 20;
pub const PROTECTION_LEVEL_RESTRICTED: u32 = 30;
pub const PROTECTION_LEVEL_DEFAULT: u32 = 0xFFFF_FFFF;

// Values of TCP_OFFLOAD_PREFERENCE.
pub const TCP_OFFLOAD_NO_PREFERENCE: u32 = 0;
pub const TCP_OFFLOAD_NOT_PREFERRED: u32 = 1;
pub const TCP_OFFLOAD_PREFERRED: u32 = 2;

// Values of TCP_INITIAL_RTO_PARAMETERS.
pub const TCP_INITIAL_RTO_UNSPECIFIED_RTT: u32 = 65535;
pub const TCP_INITIAL_RTO_UNSPECIFIED_MAX_SYN_RETRANSMISSIONS: u32 = 255;
pub const TCP_INITIAL_RTO_DEFAULT_RTT: u32 = 0;
pub const TCP_INITIAL_RTO_DEFAULT_MAX_SYN_RETRANSMISSIONS: u32 = 0;
pub const TCP_INITIAL_RTO_NO_SYN_RETRANSMISSIONS: u32 = 254;

// Options of IPPROTO_TCP.
pub const TCP_NODELAY: u32 = 1;
pub const TCP_EXPEDITED_1122: u32 = 2;
pub const TCP_KEEPALIVE: u32 = 3;
pub const TCP_MAXSEG: u32 = 4;
pub const TCP_MAXRT: u32 = 5;
pub const TCP_STDURG: u32 = 6;
pub const TCP_NOURG: u32 = 7;
pub const TCP_ATMARK: u32 = 8;
pub const TCP_NOSYNRETRIES: u32 = 9;
pub const TCP_TIMESTAMPS: u32 = 10;
pub const TCP_OFFLOAD_PREFERENCE: u32 = 11;
pub const TCP_CONGESTION_ALGORITHM: u32 = 12;
pub const TCP_DELAY_FIN_ACK: u32 = 13;
pub const TCP_MAXRTMS: u32 = 14;
pub const TCP_FASTOPEN: u32 = 15;
pub const TCP_KEEPCNT: u32 = 16;
pub const TCP_KEEPIDLE: u32 = 3;
pub const TCP_KEEPINTVL: u32 = 17;
pub const TCP_FAIL_CONNECT_ON_ICMP_ERROR: u32 = 18;
pub const TCP_ICMP_ERROR_INFO: u32 = 19;
pub const TCP_BSDURGENT: u32 = 28672;

// Options and control messages of IPPROTO_UDP. The first is named by control.md 4.3.
pub const UDP_NOCHECKSUM: u32 = 1;
pub const UDP_SEND_MSG_SIZE: u32 = 2;
pub const UDP_RECV_MAX_COALESCED_SIZE: u32 = 3;
pub const UDP_COALESCED_INFO: u32 = 3;

// IPPROTO.
pub const IPPROTO_HOPOPTS: u32 = 0;
pub const IPPROTO_ICMP: u32 = 1;
pub const IPPROTO_IGMP: u32 = 2;
pub const IPPROTO_GGP: u32 = 3;
pub const IPPROTO_IPV4: u32 = 4;
pub const IPPROTO_ST: u32 = 5;
pub const IPPROTO_TCP: u32 = 6;
pub const IPPROTO_CBT: u32 = 7;
pub const IPPROTO_EGP: u32 = 8;
pub const IPPROTO_IGP: u32 = 9;
pub const IPPROTO_PUP: u32 = 12;
pub const IPPROTO_UDP: u32 = 17;
pub const IPPROTO_IDP: u32 = 22;
pub const IPPROTO_RDP: u32 = 27;
pub const IPPROTO_IPV6: u32 = 41;
pub const IPPROTO_ROUTING: u32 = 43;
pub const IPPROTO_FRAGMENT: u32 = 44;
pub const IPPROTO_ESP: u32 = 50;
pub const IPPROTO_AH: u32 = 51;
pub const IPPROTO_ICMPV6: u32 = 58;
pub const IPPROTO_NONE: u32 = 59;
pub const IPPROTO_DSTOPTS: u32 = 60;
pub const IPPROTO_ND: u32 = 77;
pub const IPPROTO_ICLFXBM: u32 = 78;
pub const IPPROTO_PIM: u32 = 103;
pub const IPPROTO_PGM: u32 = 113;
pub const IPPROTO_L2TP: u32 = 115;
pub const IPPROTO_SCTP: u32 = 132;
pub const IPPROTO_RAW: u32 = 255;
pub const IPPROTO_MAX: u32 = 256;
pub const IPPROTO_RESERVED_RAW: u32 = 257;
pub const IPPROTO_RESERVED_IPSEC: u32 = 258;
pub const IPPROTO_RESERVED_IPSECOFFLOAD: u32 = 259;
pub const IPPROTO_RESERVED_WNV: u32 = 260;
pub const IPPROTO_RESERVED_MAX: u32 = 261;

// PMTUD_STATE.
pub const IP_PMTUDISC_NOT_SET: u32 = 0;
pub const IP_PMTUDISC_DO: u32 = 1;
pub const IP_PMTUDISC_DONT: u32 = 2;
pub const IP_PMTUDISC_PROBE: u32 = 3;
pub const IP_PMTUDISC_MAX: u32 = 4;
