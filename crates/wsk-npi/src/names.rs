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
const THREADS: usize = 2;

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

/// Looks a node and a service up; one entry per address (F-222, F-224).
pub(crate) fn lookup(node: Option<&str>, service: Option<&str>, hints: Hints) -> Result<Vec<SocketAddr>, NtStatus> {
    let family = match hints.family {
        0 => 0,
        family if family == i32::from(AF_INET) => 2,
        family if family == i32::from(AF_INET6) => 10,
        _ => return Err(NtStatus::NOT_FOUND),
    };
    let hints = dns_lookup::AddrInfoHints {
        socktype: if hints.kind == 0 { 1 } else { hints.kind },
        protocol: hints.protocol,
        address: family,
        flags: hints.flags & 0x7 | if hints.flags & 8 != 0 { 0x400 } else { 0 },
    };
    let found = dns_lookup::getaddrinfo(node, service, Some(hints)).map_err(|_| NtStatus::NOT_FOUND)?; // F-223
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for entry in found.flatten() {
        if !addresses.contains(&entry.sockaddr) {
            addresses.push(entry.sockaddr);
        }
    }
    if addresses.is_empty() { Err(NtStatus::NOT_FOUND) } else { Ok(addresses) }
}

/// An entry of a result, with the address it points to.
#[repr(C)]
struct Entry {
    info: ADDRINFOEXW,
    address: RawAddress,
}

/// Makes the list that a client reads and gives back to [`free`].
pub(crate) fn list(addresses: &[SocketAddr], hints: Hints) -> *mut ADDRINFOEXW {
    let mut next: *mut ADDRINFOEXW = ptr::null_mut();
    for address in addresses.iter().rev() {
        let raw = RawAddress::from(*address);
        let mut entry = Box::new(Entry { info: ADDRINFOEXW::default(), address: raw });
        entry.info.ai_family = if address.is_ipv4() { AF_INET.into() } else { AF_INET6.into() };
        entry.info.ai_socktype = hints.kind;
        entry.info.ai_protocol = hints.protocol;
        entry.info.ai_addrlen = raw.len();
        entry.info.ai_next = next;
        // The address lies in the same allocation, which stays where it is.
        entry.info.ai_addr = (&raw mut entry.address).cast();
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
