//! What NETIO exports beside the registrar and WSK: the tables of interfaces, addresses and routes, read from Linux.

pub mod mib;
pub mod system;
