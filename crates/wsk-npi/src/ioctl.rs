//! IOCTLs of WskControlSocket: control.md 4.5, a line each.
#![allow(unsafe_code)] // Reads lists of addresses that clients point at.

use std::net::SocketAddr;

use wsk::option::{Categories, KeepAlive, KeepIdle, KeepInterval};
use wsk::{DatagramSocket, Error};
use wsk_abi::NtStatus;
use wsk_abi::constants::ioctl::*;
use wsk_abi::sockaddr::{SOCKADDR, SOCKET_ADDRESS, SOCKET_PROCESSOR_AFFINITY};
use wsk_abi::wsk::*;
use wsk_nt::ke::irql;

use crate::border::{self, RawAddress};
use crate::callback::raw_id;
use crate::control_client::Buffers;
use crate::control_socket::{Outcome, address, any, switch};
use crate::socket::{Handle, Socket};

/// An IOCTL.
#[derive(Debug)]
pub struct Ioctl {
    /// Its name in Microsoft's headers.
    pub name: &'static str,
    /// Its code there.
    pub code: u32,
    /// Who has it; others get INVALID_PARAMETER. `None`: it is not there, NOT_SUPPORTED.
    pub on: Option<Categories>,
    /// What goes in, what comes out, and what it does.
    pub what: &'static str,
}

const fn row(name: &'static str, code: u32, on: Option<Categories>, what: &'static str) -> Ioctl {
    Ioctl { name, code, on, what }
}

macro_rules! rows {
    ($($name:ident $on:expr, $what:literal;)*) => { &[$(row(stringify!($name), $name, $on, $what),)*] };
}

const B: Option<Categories> = Some(Categories::all());
const D: Option<Categories> = Some(Categories::DATAGRAM);
const C: Option<Categories> = Some(Categories::CONNECTION);
const LC: Option<Categories> = Some(Categories::LISTEN.union(Categories::CONNECTION));
const NO: Option<Categories> = None;

/// All that have a name in the specification.
pub static TABLE: &[Ioctl] = rows! {
    // IOCTL                            on  in -> out: what
    SIO_WSK_SET_REMOTE_ADDRESS          D,  "SOCKADDR or nothing: default destination, and the only source heard (C-30)";
    SIO_WSK_REGISTER_EXTENSION          B,  "WSK_EXTENSION_CONTROL_IN: no extension is known, NOT_SUPPORTED";
    SIO_WSK_QUERY_IDEAL_SEND_BACKLOG    C,  "-> SIZE_T: bytes worth keeping outstanding (E-104)";
    SIO_WSK_QUERY_RECEIVE_BACKLOG       C,  "-> SIZE_T: bytes received that nobody has taken";
    SIO_WSK_QUERY_INSPECT_ID            B,  "-> WSK_INSPECT_ID: of an accepted connection; INVALID_DEVICE_REQUEST elsewhere (E-67)";
    SIO_WSK_SET_SENDTO_ADDRESS          D,  "SOCKADDR or nothing: default destination (C-30)";
    SIO_WSK_SET_TCP_SILENT_MODE         C,  "nothing leaves any more, not even a FIN (C-31)";
    SIO_WSK_SET_RECEIVE_EX_CALLBACK     C,  "function or NULL: takes all indications (F-172)";
    SIO_ADDRESS_LIST_QUERY              B,  "-> SOCKET_ADDRESS_LIST: this machine's unicast addresses (C-32)";
    SIO_ADDRESS_LIST_CHANGE             B,  "pends until that list changes";
    SIO_ADDRESS_LIST_SORT               B,  "SOCKET_ADDRESS_LIST -> the same, the best destination first";
    SIO_ROUTING_INTERFACE_QUERY         B,  "SOCKADDR -> SOCKADDR: the local address it is reached from";
    SIO_ROUTING_INTERFACE_CHANGE        B,  "SOCKADDR: pends until that address changes";
    SIO_LOOPBACK_FAST_PATH              LC, "BOOLEAN: taken; Linux has one path, and it is fast";
    SIO_KEEPALIVE_VALS                  C,  "{on, ms idle, ms interval}: SO_KEEPALIVE and its times, in seconds rounded up";
    SIO_UDP_CONNRESET                   D,  "BOOLEAN: an ICMP port unreachable fails a receive";
    SIO_UDP_NETRESET                    D,  "BOOLEAN: an ICMP net unreachable fails a receive";
    SIO_QUERY_RSS_PROCESSOR_INFO        B,  "-> SOCKET_PROCESSOR_AFFINITY: the first processor";
    SIO_QUERY_RSS_SCALABILITY_INFO      B,  "-> BOOLEAN RssEnabled: FALSE";
    SIO_QUERY_WFP_CONNECTION_REDIRECT_RECORDS C, "-> records: NOT_FOUND, nothing was redirected";
    SIO_QUERY_WFP_CONNECTION_REDIRECT_CONTEXT C, "-> context: NOT_FOUND, nothing was redirected";
    SIO_SET_WFP_CONNECTION_REDIRECT_RECORDS   C, "records: NOT_FOUND, nothing was redirected";
    SIO_RCVALL                          NO, "";
    SIO_TCP_INITIAL_RTO                 NO, "";
    SIO_APPLY_TRANSPORT_SETTING         NO, "";
    SIO_QUERY_TRANSPORT_SETTING         NO, "";
    SIO_CPU_AFFINITY                    NO, "";
    SIO_SET_SECURITY                    NO, "";
    SIO_QUERY_SECURITY                  NO, "";
    SIO_QUERY_WFP_ALE_ENDPOINT_HANDLE   NO, "";
};

/// Carries an IOCTL out. Its level is not looked at (C-10).
pub(crate) fn ioctl(socket: &Socket, code: u32, buffers: &Buffers<'_>) -> Result<Outcome, NtStatus> {
    let row = TABLE.iter().find(|row| row.code == code).ok_or(NtStatus::NOT_SUPPORTED)?;
    if !row.on.ok_or(NtStatus::NOT_SUPPORTED)?.intersects(categories(&socket.handle)) {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    if matches!(code, SIO_ADDRESS_LIST_QUERY | SIO_ADDRESS_LIST_CHANGE | SIO_ADDRESS_LIST_SORT) {
        irql::at_most(irql::PASSIVE_LEVEL, row.name);
    }
    let status = |error: Error| error.status();
    Ok(match code {
        SIO_WSK_SET_REMOTE_ADDRESS | SIO_WSK_SET_SENDTO_ADDRESS => {
            let address = if buffers.input.is_empty() { None } else { Some(address(buffers)?) };
            let datagram = socket.datagram()?;
            let set = match code {
                SIO_WSK_SET_REMOTE_ADDRESS => DatagramSocket::set_remote_address,
                _ => DatagramSocket::set_send_to_address,
            };
            set(datagram, address).map_err(status)?.into()
        }
        SIO_WSK_REGISTER_EXTENSION => register_extension(buffers)?.into(),
        SIO_WSK_QUERY_IDEAL_SEND_BACKLOG => {
            connected(socket)?;
            buffers.answer(socket.connection(|connection| connection.ideal_send_backlog())?)?.into()
        }
        SIO_WSK_QUERY_RECEIVE_BACKLOG => {
            connected(socket)?;
            buffers.answer(socket.connection(|connection| connection.receive_backlog())?)?.into()
        }
        SIO_WSK_QUERY_INSPECT_ID => {
            if !categories(&socket.handle).intersects(Categories::CONNECTION) {
                return Err(NtStatus::INVALID_DEVICE_REQUEST);
            }
            let id = socket.connection(|connection| connection.inspect_id())?.map_err(status)?;
            buffers.answer(raw_id(id))?.into()
        }
        SIO_WSK_SET_TCP_SILENT_MODE => {
            socket.connection(|connection| connection.set_silent_mode())?.map_err(status)?.into()
        }
        SIO_WSK_SET_RECEIVE_EX_CALLBACK => set_receive_ex(socket, buffers)?.into(),
        SIO_ADDRESS_LIST_QUERY => {
            let list = any!(&socket.handle, socket => socket.address_list()).map_err(status)?;
            answer_list(buffers, &list)?.into()
        }
        SIO_ADDRESS_LIST_CHANGE => Outcome::Waiting(any!(&socket.handle, socket => socket.address_list_change())),
        SIO_ADDRESS_LIST_SORT => {
            let list = read_list(buffers.input)?;
            let sorted = any!(&socket.handle, socket => socket.sort_addresses(list)).map_err(status)?;
            answer_list(buffers, &sorted)?.into()
        }
        SIO_ROUTING_INTERFACE_QUERY => {
            let destination = address(buffers)?;
            let local = any!(&socket.handle, socket => socket.routing_interface(destination)).map_err(status)?;
            buffers.answer_bytes(RawAddress::from(local).bytes())?.into()
        }
        SIO_ROUTING_INTERFACE_CHANGE => {
            let destination = address(buffers)?;
            any!(&socket.handle, socket => socket.routing_interface(destination)).map_err(status)?;
            Outcome::Waiting(any!(&socket.handle, socket => socket.routing_interface_change(destination)))
        }
        SIO_LOOPBACK_FAST_PATH => match buffers.input.len() {
            1 => Outcome::Done(0),
            _ => return Err(NtStatus::INVALID_BUFFER_SIZE),
        },
        SIO_KEEPALIVE_VALS => set_keep_alive_values(socket, buffers)?.into(),
        SIO_UDP_CONNRESET | SIO_UDP_NETRESET => {
            let on = switch(buffers)?;
            let mut reported = socket.unreachable.lock();
            let mut wanted = *reported;
            if code == SIO_UDP_CONNRESET {
                wanted.0 = on
            } else {
                wanted.1 = on
            }
            socket.datagram()?.report_unreachable(wanted.0, wanted.1).map_err(status)?;
            *reported = wanted;
            Outcome::Done(0)
        }
        SIO_QUERY_RSS_PROCESSOR_INFO => buffers.answer(SOCKET_PROCESSOR_AFFINITY::default())?.into(),
        SIO_QUERY_RSS_SCALABILITY_INFO => buffers.answer(0u8)?.into(), // RssEnabled: FALSE
        SIO_QUERY_WFP_CONNECTION_REDIRECT_RECORDS
        | SIO_QUERY_WFP_CONNECTION_REDIRECT_CONTEXT
        | SIO_SET_WFP_CONNECTION_REDIRECT_RECORDS => return Err(NtStatus::NOT_FOUND),
        _ => return Err(NtStatus::NOT_SUPPORTED),
    })
}

fn categories(handle: &Handle) -> Categories {
    match handle {
        Handle::Basic(_) => Categories::BASIC,
        Handle::Listen(_) => Categories::LISTEN,
        Handle::Datagram(_) => Categories::DATAGRAM,
        Handle::Connection(_) => Categories::CONNECTION,
        Handle::Stream(socket) => socket.categories(),
    }
}

/// The backlog queries are for connections that are connected.
fn connected(socket: &Socket) -> Result<(), NtStatus> {
    socket.connection(|connection| connection.remote_address())?.map(drop).map_err(|error| error.status())
}

/// No extension is known, whichever it names. INVALID_PARAMETER: not that structure.
fn register_extension(buffers: &Buffers<'_>) -> Result<(), NtStatus> {
    let _: WSK_EXTENSION_CONTROL_IN = buffers.read()?;
    Err(NtStatus::NOT_SUPPORTED)
}

/// SIO_WSK_SET_RECEIVE_EX_CALLBACK (F-172).
fn set_receive_ex(socket: &Socket, buffers: &Buffers<'_>) -> Result<(), NtStatus> {
    let function: PFN_WSK_RECEIVE_EX_EVENT = buffers.read()?;
    // It is there before the first indication, and until the last.
    let before = socket.callbacks.receive_ex();
    if function.is_some() {
        socket.callbacks.set_receive_ex(function);
    }
    let set = socket.connection(|connection| connection.take_all_indications(function.is_some()))?;
    match (&set, function) {
        (Err(_), _) => socket.callbacks.set_receive_ex(before),
        (Ok(()), None) => socket.callbacks.set_receive_ex(None),
        (Ok(()), Some(_)) => {}
    }
    set.map_err(|error| error.status())
}

/// SIO_KEEPALIVE_VALS: on or off, and the times in milliseconds, of which Linux knows the seconds.
fn set_keep_alive_values(socket: &Socket, buffers: &Buffers<'_>) -> Result<(), NtStatus> {
    let [on, idle, interval]: [u32; 3] = buffers.read()?;
    socket
        .connection(|connection| {
            if on != 0 {
                let seconds = |milliseconds: u32| milliseconds.div_ceil(1000).clamp(1, 32767);
                connection.set(KeepIdle(seconds(idle)))?;
                connection.set(KeepInterval(seconds(interval)))?;
            }
            connection.set(KeepAlive(on != 0))
        })?
        .map_err(|error: Error| error.status())
}

/// The entries of a SOCKET_ADDRESS_LIST begin here.
const ENTRIES: usize = 8;

/// The addresses of a client's SOCKET_ADDRESS_LIST. INVALID_PARAMETER: it says more than is there, or points to no address.
fn read_list(input: &[u8]) -> Result<Vec<SocketAddr>, NtStatus> {
    let refused = NtStatus::INVALID_PARAMETER;
    let count = i32::from_le_bytes(*input.first_chunk::<4>().ok_or(refused)?);
    let count = usize::try_from(count).map_err(|_| refused)?;
    let length = count.checked_mul(size_of::<SOCKET_ADDRESS>()).ok_or(refused)?;
    let entries = input.get(ENTRIES..).and_then(|rest| rest.get(..length)).filter(|_| count > 0);
    let read = |entry: &[u8]| {
        // SAFETY: as many bytes as the structure has.
        let entry = unsafe { border::read(entry.as_ptr().cast::<SOCKET_ADDRESS>()) }?;
        let length = usize::try_from(entry.iSockaddrLength).ok().filter(|length| *length >= 2).ok_or(refused)?;
        // SAFETY: the client's pointer to so many bytes.
        unsafe { border::address_of_length(entry.lpSockaddr, length) }
    };
    match (count, entries) {
        (0, _) => Ok(Vec::new()),
        (_, Some(entries)) => entries.chunks_exact(size_of::<SOCKET_ADDRESS>()).map(read).collect(),
        _ => Err(refused),
    }
}

/// Writes a SOCKET_ADDRESS_LIST: the entries, and behind them the addresses they point to (C-32). Too little room is
/// BUFFER_OVERFLOW, with the size that it takes.
fn answer_list(buffers: &Buffers<'_>, list: &[SocketAddr]) -> Result<usize, NtStatus> {
    let raw: Vec<RawAddress> = list.iter().map(|address| (*address).into()).collect();
    let first = ENTRIES + raw.len() * size_of::<SOCKET_ADDRESS>();
    let size = first + raw.iter().map(|address| address.len().next_multiple_of(4)).sum::<usize>();
    if buffers.output.is_null() || buffers.room < size {
        buffers.say_length(size);
        return Err(NtStatus::BUFFER_OVERFLOW);
    }
    let mut bytes = vec![0; size];
    bytes[..4].copy_from_slice(&(raw.len() as i32).to_le_bytes());
    let mut at = first;
    for (index, address) in raw.iter().enumerate() {
        let entry = ENTRIES + index * size_of::<SOCKET_ADDRESS>();
        let pointer = buffers.output.cast::<u8>().wrapping_add(at).cast::<SOCKADDR>();
        bytes[entry..entry + 8].copy_from_slice(&pointer.addr().to_le_bytes());
        bytes[entry + 8..entry + 12].copy_from_slice(&(address.len() as i32).to_le_bytes());
        bytes[at..at + address.len()].copy_from_slice(address.bytes());
        at += address.len().next_multiple_of(4);
    }
    buffers.answer_bytes(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C 4.5 (every row): the codes are those of the headers, and each stands there once.
    #[test]
    fn the_table_names_each_ioctl_once() {
        let page = include_str!("../../../docs/spec/control.md");
        for (at, row) in TABLE.iter().enumerate() {
            assert!(TABLE[..at].iter().all(|other| other.code != row.code), "{} twice", row.name);
            assert_eq!(row.on.is_none(), row.what.is_empty(), "{}", row.name);
            let code = format!("0x{:08X}", row.code);
            let shortened = ["SIO_UDP_NETRESET", "SIO_QUERY_RSS_SCALABILITY_INFO", "SIO_ROUTING_INTERFACE_CHANGE"];
            let in_a_list = row.on.is_none() || row.name.contains("WFP") || shortened.contains(&row.name);
            assert!(
                in_a_list || page.contains(&format!("| {} | {code} |", row.name)) || page.contains(&code),
                "{}",
                row.name
            );
        }
    }
}
