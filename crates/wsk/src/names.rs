//! Name lookups: the system's resolver, with its hosts and services files, on a few threads of its own (functions.md 4).

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, mpsc};

use parking_lot::Mutex;
use wsk_abi::sockaddr::{AF_INET, AF_INET6};
use wsk_abi::status::NtStatus;

use crate::pending::{Pending, ended, pending};

/// Threads that may wait for the resolver at the same time.
const THREADS: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// Runs a job that may block.
fn run(job: impl FnOnce() + Send + 'static) -> Result<(), NtStatus> {
    static QUEUE: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let queue = QUEUE.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..THREADS {
            let receiver = receiver.clone();
            let work = move || {
                while let Ok(job) = { receiver.lock().recv() } {
                    job();
                }
            };
            // With fewer threads it only takes longer; with none the send below fails.
            let _ = std::thread::Builder::new().name("wsk names".into()).spawn(work);
        }
        sender
    });
    queue.send(Box::new(job)).map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)
}

/// What is asked for: the fields of ADDRINFOEXW that a hint may have, in Windows' numbers. All zero asks for any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// AI_PASSIVE, AI_CANONNAME, ...
    pub flags: i32,
    /// 0, AF_INET or AF_INET6 (23).
    pub family: i32,
    /// 0, or a socket type.
    pub kind: i32,
    /// 0, or a protocol.
    pub protocol: i32,
}

/// AI_CANONNAME.
const AI_CANONNAME: i32 = 0x2;
/// AI_FQDN.
const AI_FQDN: i32 = 0x2_0000;

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

/// WskGetAddressInfo: see [`Client::address_info`](crate::Client::address_info).
pub(crate) fn address_info(node: Option<String>, service: Option<String>, hints: Hints) -> Pending<AddressInfo> {
    let absent = |name: &Option<String>| name.as_ref().is_none_or(String::is_empty);
    if absent(&node) && absent(&service) {
        return ended(Err(NtStatus::INVALID_PARAMETER)); // F-221
    }
    let (request, completer) = pending();
    let job = move || {
        if !completer.is_over() {
            completer.end(lookup(node.as_deref(), service.as_deref(), hints));
        }
    };
    match run(job) {
        Ok(()) => request,
        Err(status) => ended(Err(status)),
    }
}

/// WskGetNameInfo: see [`Client::name_info`](crate::Client::name_info).
pub(crate) fn name_info(address: SocketAddr, flags: u32) -> Pending<NameInfo> {
    let (request, completer) = pending();
    let job = move || {
        if !completer.is_over() {
            completer.end(name(address, flags));
        }
    };
    match run(job) {
        Ok(()) => request,
        Err(status) => ended(Err(status)),
    }
}

/// Linux's flags for Windows'. Linux: PASSIVE 1, CANONNAME 2, NUMERICHOST 4, V4MAPPED 8, ALL 0x10, ADDRCONFIG 0x20,
/// NUMERICSERV 0x400.
fn native_flags(flags: i32) -> i32 {
    let pairs = [
        (0x1, 0x1),
        (AI_CANONNAME, 0x2),
        (AI_FQDN, 0x2),
        (0x4, 0x4),
        (0x8, 0x400),
        (0x100, 0x10),
        (0x400, 0x20),
        (0x800, 0x8),
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
        if hints.flags & (AI_CANONNAME | AI_FQDN) != 0 && found.canonical.is_none() {
            found.canonical = entry.canonname;
        }
    }
    if found.addresses.is_empty() { Err(NtStatus::NOT_FOUND) } else { Ok(found) }
}

/// A name for an address (F-232).
fn name(address: SocketAddr, flags: u32) -> Result<NameInfo, NtStatus> {
    // Windows: NOFQDN 1, NUMERICHOST 2, NAMEREQD 4, NUMERICSERV 8, DGRAM 0x10. Linux: NUMERICHOST 1, NUMERICSERV 2, NOFQDN 4,
    // NAMEREQD 8, DGRAM 16.
    let pairs = [(2, 1), (8, 2), (1, 4), (4, 8), (0x10, 16)];
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
