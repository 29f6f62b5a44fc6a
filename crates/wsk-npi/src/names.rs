//! Name lookups: the system's resolver, on a few threads of their own (functions.md 4).
#![allow(unsafe_code)] // Reads UNICODE_STRINGs, and builds and frees lists that clients read.

use std::net::SocketAddr;
use std::ptr;
use std::sync::{Mutex, OnceLock, mpsc};

use wsk_abi::NtStatus;
use wsk_abi::io::UNICODE_STRING;
use wsk_abi::sockaddr::{ADDRINFOEXW, AF_INET, AF_INET6};

use crate::border::{self, Out, RawAddress};

/// Threads that may wait for the resolver at the same time.
const THREADS: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// Runs a job that may block.
pub(crate) fn run(job: impl FnOnce() + Send + 'static) {
    static QUEUE: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let queue = QUEUE.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Job>();
        let receiver: &'static _ = Box::leak(Box::new(Mutex::new(receiver)));
        for _ in 0..THREADS {
            let work = || {
                while let Ok(job) = { receiver.lock().expect("no job runs under the lock").recv() } {
                    job();
                }
            };
            std::thread::Builder::new().name("wsk names".into()).spawn(work).expect("a thread for name lookups");
        }
        sender
    });
    queue.send(Box::new(job)).expect("the threads never end");
}

/// Copies a counted string in (F-75, F-220). Null or empty is `None`.
///
/// # Safety
/// `string` is null or points to a UNICODE_STRING whose buffer has as many bytes as it says.
pub(crate) unsafe fn read_string(string: *const UNICODE_STRING) -> Result<Option<String>, NtStatus> {
    if string.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's word.
    let string = unsafe { border::read(string) }?;
    // SAFETY: the caller's word.
    let bytes = unsafe { border::bytes(string.Buffer.cast_const().cast(), string.Length as usize) }?;
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let text = String::from_utf16(&units).map_err(|_| NtStatus::INVALID_PARAMETER)?;
    let text = text.trim_end_matches('\0').to_owned();
    Ok((!text.is_empty()).then_some(text))
}

/// Where a name goes: the client's counted string (F-231).
pub(crate) fn write_string(out: Out<UNICODE_STRING>, room: &UNICODE_STRING, text: &str) -> Result<(), NtStatus> {
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let bytes = size_of_val(units.as_slice());
    if room.Buffer.is_null() || bytes > room.MaximumLength as usize {
        return Err(NtStatus::BUFFER_TOO_SMALL);
    }
    // SAFETY: the client's buffer has MaximumLength bytes; perhaps not aligned.
    unsafe { ptr::copy_nonoverlapping(units.as_ptr().cast::<u8>(), room.Buffer.cast::<u8>(), bytes) };
    out.write(UNICODE_STRING { Length: (bytes - 2) as u16, ..*room });
    Ok(())
}

/// What a client asks for: numbers of the NPI.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hints {
    pub(crate) flags: i32,
    pub(crate) family: i32,
    pub(crate) kind: i32,
    pub(crate) protocol: i32,
}

/// What a lookup found: addresses, and the node's canonical name if it was asked for (F-224).
#[derive(Debug)]
pub(crate) struct Found {
    addresses: Vec<SocketAddr>,
    canonical: Option<String>,
}

const AI_CANONNAME: i32 = 0x2;
const AI_FQDN: i32 = 0x2_0000;

/// Linux's flags for the NPI's. Linux: PASSIVE 1, CANONNAME 2, NUMERICHOST 4, V4MAPPED 8, ALL 0x10, ADDRCONFIG 0x20,
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

/// Looks a node and a service up; one entry per address (F-222, F-224).
pub(crate) fn lookup(node: Option<&str>, service: Option<&str>, hints: Hints) -> Result<Found, NtStatus> {
    let address = match hints.family {
        0 => 0,
        family if family == i32::from(AF_INET) => 2,
        family if family == i32::from(AF_INET6) => 10,
        _ => return Err(NtStatus::NOT_FOUND),
    };
    // Of one type, so that each address comes once; services may be of another protocol than TCP.
    let socktype = match (hints.kind, hints.protocol) {
        (0, 0 | 6) => 1,
        (0, 17) => 2,
        (kind, _) => kind,
    };
    let flags = native_flags(hints.flags);
    let native = dns_lookup::AddrInfoHints { socktype, protocol: hints.protocol, address, flags };
    let entries = dns_lookup::getaddrinfo(node, service, Some(native)).map_err(|_| NtStatus::NOT_FOUND)?; // F-223
    let mut found = Found { addresses: Vec::new(), canonical: None };
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

/// An entry of a result, with what it points to.
#[repr(C)]
struct Entry {
    info: ADDRINFOEXW,
    address: RawAddress,
    canonical: Box<[u16]>,
}

/// Makes the list that a client reads and gives back to [`free`].
pub(crate) fn list(found: &Found, hints: Hints) -> *mut ADDRINFOEXW {
    let mut next: *mut ADDRINFOEXW = ptr::null_mut();
    for (at, address) in found.addresses.iter().enumerate().rev() {
        let raw = RawAddress::from(*address);
        let name = found.canonical.as_ref().filter(|_| at == 0);
        let canonical = name.map(|name| name.encode_utf16().chain([0]).collect()).unwrap_or_default();
        let mut entry = Box::new(Entry { info: ADDRINFOEXW::default(), address: raw, canonical });
        entry.info.ai_family = if address.is_ipv4() { AF_INET.into() } else { AF_INET6.into() };
        entry.info.ai_socktype = hints.kind;
        entry.info.ai_protocol = hints.protocol;
        entry.info.ai_addrlen = raw.len();
        entry.info.ai_next = next;
        // The address lies in the same allocation, which stays where it is.
        entry.info.ai_addr = (&raw mut entry.address).cast();
        if name.is_some() {
            entry.info.ai_canonname = entry.canonical.as_mut_ptr();
        }
        next = Box::into_raw(entry).cast();
    }
    next
}

/// WskFreeAddressInfo: the whole list; null is tolerated (F-226).
///
/// # Safety
/// `list` is null or came from [`list`], whole and not freed yet.
pub(crate) unsafe fn free(list: *mut ADDRINFOEXW) {
    let mut at = list.cast::<Entry>();
    while !at.is_null() {
        // SAFETY: the caller's word: made by `list` from a box.
        let entry = unsafe { Box::from_raw(at) };
        at = entry.info.ai_next.cast();
    }
}

/// A name for an address (F-232): host and service.
pub(crate) fn name(address: SocketAddr, flags: u32) -> Result<(String, String), NtStatus> {
    const NI_NUMERICHOST: u32 = 2;
    const NI_NAMEREQD: u32 = 4;
    const NI_NUMERICSERV: u32 = 8;
    // Linux: NUMERICHOST 1, NUMERICSERV 2, NOFQDN 4, NAMEREQD 8, DGRAM 16.
    let pairs = [(NI_NUMERICHOST, 1), (NI_NUMERICSERV, 2), (1, 4), (NI_NAMEREQD, 8), (0x10, 16)];
    let native = pairs.iter().filter(|(ours, _)| flags & ours != 0).map(|(_, theirs)| theirs).sum();
    dns_lookup::getnameinfo(&address, native).map_err(|_| NtStatus::NO_MATCH)
}
