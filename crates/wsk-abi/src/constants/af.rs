//! Address families (ws2def.h). AF_INET6 is 23, not what Linux calls it.

#![allow(missing_docs)] // A plain table: the names are the documentation, the values are checked by tests/constants.rs.
#![allow(non_upper_case_globals)] // C enumerators and macros keep their names.

// Families.
pub const AF_UNSPEC: u16 = 0;
pub const AF_UNIX: u16 = 1;
pub const AF_INET: u16 = 2;
pub const AF_IMPLINK: u16 = 3;
pub const AF_PUP: u16 = 4;
pub const AF_CHAOS: u16 = 5;
pub const AF_NS: u16 = 6;
pub const AF_IPX: u16 = 6;
pub const AF_ISO: u16 = 7;
pub const AF_OSI: u16 = 7;
pub const AF_ECMA: u16 = 8;
pub const AF_DATAKIT: u16 = 9;
pub const AF_CCITT: u16 = 10;
pub const AF_SNA: u16 = 11;
pub const AF_DECnet: u16 = 12;
pub const AF_DLI: u16 = 13;
pub const AF_LAT: u16 = 14;
pub const AF_HYLINK: u16 = 15;
pub const AF_APPLETALK: u16 = 16;
pub const AF_NETBIOS: u16 = 17;
pub const AF_VOICEVIEW: u16 = 18;
pub const AF_FIREFOX: u16 = 19;
pub const AF_UNKNOWN1: u16 = 20;
pub const AF_BAN: u16 = 21;
pub const AF_ATM: u16 = 22;
pub const AF_INET6: u16 = 23;
pub const AF_CLUSTER: u16 = 24;
pub const AF_12844: u16 = 25;
pub const AF_IRDA: u16 = 26;
pub const AF_NETDES: u16 = 28;
pub const AF_TCNPROCESS: u16 = 29;
pub const AF_TCNMESSAGE: u16 = 30;
pub const AF_ICLFXBM: u16 = 31;
pub const AF_BTH: u16 = 32;
pub const AF_LINK: u16 = 33;
pub const AF_HYPERV: u16 = 34;
pub const AF_MAX: u16 = 35;
