//! Name lookups: the system's resolver, with its hosts and services files (functions.md 4). It blocks, so helpers ask it.

use std::any::Any;
use std::net::SocketAddr;

use wsk_abi::sockaddr::{AF_INET, AF_INET6};
use wsk_abi::status::NtStatus;

use crate::helpers;
use crate::pending::{Pending, pending};

/// What is asked for: the fields of ADDRINFOEXW that a hint may have, in Windows' numbers. All zero asks for any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Of [`hint`].
    pub flags: i32,
    /// 0, AF_INET or AF_INET6 (23).
    pub family: i32,
    /// 0, or a socket type.
    pub kind: i32,
    /// 0, or a protocol.
    pub protocol: i32,
}

/// Flags of [`Hints`], in Windows' numbers.
pub mod hint {
    /// AI_PASSIVE: without a node, the wildcard address.
    pub const PASSIVE: i32 = 0x1;
    /// AI_CANONNAME: the node's canonical name too.
    pub const CANONICAL_NAME: i32 = 0x2;
    /// AI_NUMERICHOST: the node is an address.
    pub const NUMERIC_HOST: i32 = 0x4;
    /// AI_NUMERICSERV: the service is a port.
    pub const NUMERIC_SERVICE: i32 = 0x8;
    /// AI_ALL: with V4MAPPED, addresses of both families.
    pub const ALL: i32 = 0x100;
    /// AI_ADDRCONFIG: of families that this machine has addresses of.
    pub const ADDRESS_CONFIGURED: i32 = 0x400;
    /// AI_V4MAPPED: IPv4 addresses as IPv6 ones, if there are no others.
    pub const V4_MAPPED: i32 = 0x800;
    /// AI_FQDN: the node's full name too.
    pub const FULL_NAME: i32 = 0x2_0000;
}

/// Flags of [`Client::name_info`](crate::Client::name_info), in Windows' numbers.
pub mod ask_for {
    /// NI_NOFQDN: of hosts of the local domain without the domain.
    pub const SHORT_NAME: u32 = 1;
    /// NI_NUMERICHOST: the address, and no name.
    pub const NUMERIC_HOST: u32 = 2;
    /// NI_NAMEREQD: a name or NO_MATCH.
    pub const NAME_REQUIRED: u32 = 4;
    /// NI_NUMERICSERV: the port, and no service.
    pub const NUMERIC_SERVICE: u32 = 8;
    /// NI_DGRAM: the service of UDP.
    pub const DATAGRAM: u32 = 0x10;
}

/// What a lookup found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressInfo {
    /// The addresses, each once, with the service's port; at least one.
    pub addresses: Vec<SocketAddr>,
    /// The node's canonical name, if it was asked for by AI_CANONNAME or AI_FQDN (F-224).
    pub canonical: Option<String>,
}

/// The name of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameInfo {
    /// Of the host.
    pub node: String,
    /// Of the port.
    pub service: String,
}

/// WskGetAddressInfo: see [`Client::address_info`](crate::Client::address_info). `guard` is held until it is over.
pub(crate) fn address_info(
    node: Option<String>,
    service: Option<String>,
    hints: Hints,
    guard: impl Any + Send,
) -> Pending<AddressInfo> {
    let absent = |name: &Option<String>| name.as_ref().is_none_or(String::is_empty);
    if absent(&node) && absent(&service) {
        return Pending::failed(NtStatus::INVALID_PARAMETER); // F-221
    }
    ask(guard, move || lookup(node.as_deref(), service.as_deref(), hints))
}

/// WskGetNameInfo: see [`Client::name_info`](crate::Client::name_info).
pub(crate) fn name_info(address: SocketAddr, flags: u32, guard: impl Any + Send) -> Pending<NameInfo> {
    ask(guard, move || name(address, flags))
}

/// Has a helper ask the resolver, unless nobody waits any more by then.
fn ask<T: Send + 'static>(
    guard: impl Any + Send,
    question: impl FnOnce() -> Result<T, NtStatus> + Send + 'static,
) -> Pending<T> {
    let (request, completer) = pending(guard);
    let job = move || {
        if !completer.is_over() {
            completer.end(question());
        }
    };
    match helpers::run(job) {
        Ok(()) => request,
        Err(status) => Pending::failed(status),
    }
}

/// Linux's flags for Windows'. Linux: PASSIVE 1, CANONNAME 2, NUMERICHOST 4, V4MAPPED 8, ALL 0x10, ADDRCONFIG 0x20,
/// NUMERICSERV 0x400.
fn native_flags(flags: i32) -> i32 {
    let pairs = [
        (hint::PASSIVE, 0x1),
        (hint::CANONICAL_NAME, 0x2),
        (hint::FULL_NAME, 0x2),
        (hint::NUMERIC_HOST, 0x4),
        (hint::NUMERIC_SERVICE, 0x400),
        (hint::ALL, 0x10),
        (hint::ADDRESS_CONFIGURED, 0x20),
        (hint::V4_MAPPED, 0x8),
    ];
    pairs.iter().filter(|(ours, _)| flags & ours != 0).fold(0, |native, (_, theirs)| native | theirs)
}

/// The status of a lookup that failed (control.md 10; F-223). Linux: AGAIN -3, FAIL -4, FAMILY -6, SOCKTYPE -7, BADFLAGS -1,
/// MEMORY -10, and the rest mean that there is no such name.
fn status_of(error: &dns_lookup::LookupError) -> NtStatus {
    match error.error_num() {
        -10 => NtStatus::INSUFFICIENT_RESOURCES,
        -1 | -6 | -7 => NtStatus::INVALID_PARAMETER,
        _ => NtStatus::NOT_FOUND,
    }
}

/// Looks a node and a service up; one entry per address (F-222, F-224).
fn lookup(node: Option<&str>, service: Option<&str>, hints: Hints) -> Result<AddressInfo, NtStatus> {
    let address = match hints.family {
        0 => 0,
        family if family == i32::from(AF_INET) => 2,
        family if family == i32::from(AF_INET6) => 10,
        _ => return Err(NtStatus::INVALID_PARAMETER),
    };
    // The resolver would take its low 16 bits.
    if service.is_some_and(|port| {
        port.bytes().all(|c| c.is_ascii_digit()) && !port.is_empty() && port.parse::<u16>().is_err()
    }) {
        return Err(NtStatus::NOT_FOUND);
    }
    // Of one type, so that each address comes once; services may be of another protocol than TCP.
    let socktype = match (hints.kind, hints.protocol) {
        (0, 0 | 6) => 1,
        (0, 17) => 2,
        (kind, _) => kind,
    };
    let flags = native_flags(hints.flags);
    let native = dns_lookup::AddrInfoHints { socktype, protocol: hints.protocol, address, flags };
    let entries = dns_lookup::getaddrinfo(node, service, Some(native)).map_err(|error| status_of(&error))?;
    let mut found = AddressInfo { addresses: Vec::new(), canonical: None };
    for entry in entries.flatten() {
        if !found.addresses.contains(&entry.sockaddr) {
            found.addresses.push(entry.sockaddr);
        }
        if hints.flags & (hint::CANONICAL_NAME | hint::FULL_NAME) != 0 && found.canonical.is_none() {
            found.canonical = entry.canonname;
        }
    }
    if found.addresses.is_empty() { Err(NtStatus::NOT_FOUND) } else { Ok(found) }
}

/// A name for an address (F-232).
fn name(address: SocketAddr, flags: u32) -> Result<NameInfo, NtStatus> {
    // Linux: NUMERICHOST 1, NUMERICSERV 2, NOFQDN 4, NAMEREQD 8, DGRAM 16.
    let pairs = [
        (ask_for::NUMERIC_HOST, 1),
        (ask_for::NUMERIC_SERVICE, 2),
        (ask_for::SHORT_NAME, 4),
        (ask_for::NAME_REQUIRED, 8),
        (ask_for::DATAGRAM, 16),
    ];
    let native = pairs.iter().filter(|(ours, _)| flags & ours != 0).map(|(_, theirs)| theirs).sum();
    let (node, service) = dns_lookup::getnameinfo(&address, native).map_err(|_| NtStatus::NO_MATCH)?;
    Ok(NameInfo { node, service })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C 10 EAI_NONAME, C 10 EAI_BADFLAGS, C 10 EAI_MEMORY.
    #[test]
    fn failures_of_the_resolver_have_the_statuses_of_the_spec() {
        for (number, status) in [
            (-2, NtStatus::NOT_FOUND),
            (-3, NtStatus::NOT_FOUND),
            (-4, NtStatus::NOT_FOUND),
            (-5, NtStatus::NOT_FOUND),
            (-8, NtStatus::NOT_FOUND),
            (-1, NtStatus::INVALID_PARAMETER),
            (-6, NtStatus::INVALID_PARAMETER),
            (-7, NtStatus::INVALID_PARAMETER),
            (-10, NtStatus::INSUFFICIENT_RESOURCES),
        ] {
            assert_eq!(status_of(&dns_lookup::LookupError::new(number)), status, "EAI {number}");
        }
    }
}
