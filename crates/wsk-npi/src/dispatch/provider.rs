//! Functions of the client object: sockets, control, names (functions.md 3.1, 3.2, 4).
#![allow(unsafe_code)] // Functions that clients call, with the client's pointers.

use std::ffi::c_void;
use std::sync::Arc;

use wsk::names::ask_for;
use wsk::{ConnectionEvents, ConnectionSocket, DatagramEvents, Family, Hints, ListenEvents, Pending, Protocol};
use wsk_abi::NtStatus;
use wsk_abi::io::{PEPROCESS, PETHREAD, PSECURITY_DESCRIPTOR, UNICODE_STRING};
use wsk_abi::irp::IRP;
use wsk_abi::nmr::GUID;
use wsk_abi::sockaddr::{ADDRESS_FAMILY, ADDRINFOEXW, AF_INET, AF_INET6, SOCKADDR};
use wsk_abi::wsk::{
    PWSK_CLIENT, WSK_CLIENT_CONNECTION_DISPATCH, WSK_CLIENT_DATAGRAM_DISPATCH, WSK_CLIENT_LISTEN_DISPATCH,
    WSK_CLIENT_STREAM_DISPATCH, WSK_FLAG_BASIC_SOCKET, WSK_FLAG_CONNECTION_SOCKET, WSK_FLAG_DATAGRAM_SOCKET,
    WSK_FLAG_LISTEN_SOCKET, WSK_FLAG_STREAM_SOCKET,
};
use wsk_nt::caller;
use wsk_nt::ke::irql;

use super::slot;
use crate::border::{self, Out};
use crate::callback::Callbacks;
use crate::client::{self, Client};
use crate::completion::{self, done, failed};
use crate::control_client::{self, Buffers};
use crate::control_socket::any;
use crate::names;
use crate::socket::{Handle, Socket};

const SOCK_STREAM: u16 = 1;
const SOCK_DGRAM: u16 = 2;
const SOCK_RAW: u16 = 3;
const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;

slot! {
    /// WskSocket (F-85 to F-92): the socket is IoStatus.Information.
    WskSocket,
    fn socket(
        Client: PWSK_CLIENT,
        AddressFamily: ADDRESS_FAMILY,
        SocketType: u16,
        Protocol: u32,
        Flags: u32,
        SocketContext: *mut c_void,
        Dispatch: *const c_void,
        OwningProcess: PEPROCESS,
        OwningThread: PETHREAD,
        SecurityDescriptor: PSECURITY_DESCRIPTOR,
        Irp: *mut IRP,
    ) -> NtStatus {
        let _ = (OwningProcess, OwningThread); // there is one: the system's (F-87)
        let creator = caller::current();
        // SAFETY: the client's IRP.
        let Some(irp) = (unsafe { completion::enter(Irp) }) else { return NtStatus::INVALID_PARAMETER }; // F-50
        if irp.is_cancelled() {
            return irp.refuse(NtStatus::CANCELLED); // F-67
        }
        let client = match client::find(Client) {
            Ok(client) => client,
            Err(status) => return irp.refuse(status), // F-53
        };
        let security = match client.security(SecurityDescriptor as usize) {
            Ok(security) => security,
            Err(status) => return irp.refuse(status),
        };
        let (family, protocol) = match kind(AddressFamily, SocketType, Protocol) {
            Ok(kind) => kind,
            Err(status) => return irp.refuse(status), // F-88, F-90
        };
        // SAFETY: the table of the category, which the client keeps while the socket lives (F-78).
        let made = unsafe { create(&client, family, protocol, Flags, SocketContext, Dispatch) };
        match made {
            Ok((handle, callbacks, misfit)) => {
                if !matches!(handle, Handle::Basic(_)) {
                    any!(&handle, socket => socket.set_security(security)).unwrap_or(()); // a new socket takes it
                }
                let socket = Socket::publish(handle, client, callbacks, misfit, creator);
                irp.mark_pending().end(done(socket.pointer() as usize)); // F-49
                NtStatus::PENDING
            }
            Err(status) => irp.refuse(status),
        }
    }
}

/// What a socket is for. NOT_SUPPORTED: another family, type or protocol (F-88, F-90).
fn kind(family: ADDRESS_FAMILY, kind: u16, protocol: u32) -> Result<(Family, Protocol), NtStatus> {
    let family = match family {
        AF_INET => Family::V4,
        AF_INET6 => Family::V6,
        _ => return Err(NtStatus::NOT_SUPPORTED),
    };
    match (kind, protocol) {
        (SOCK_STREAM, IPPROTO_TCP) => Ok((family, Protocol::Tcp)),
        (SOCK_DGRAM, IPPROTO_UDP) => Ok((family, Protocol::Udp)),
        (SOCK_RAW, 0..=255) => Ok((family, Protocol::Raw(protocol as u8))),
        _ => Err(NtStatus::NOT_SUPPORTED),
    }
}

/// # Safety
/// `table` is null or the client's dispatch table of the category in `flags`.
unsafe fn create(
    client: &Arc<Client>,
    family: Family,
    protocol: Protocol,
    flags: u32,
    context: *mut c_void,
    table: *const c_void,
) -> Result<(Handle, Arc<Callbacks>, bool), NtStatus> {
    let captured = client.captured()?;
    let wanted = if flags == WSK_FLAG_DATAGRAM_SOCKET { Protocol::Udp } else { Protocol::Tcp };
    let raw = match protocol {
        Protocol::Raw(number) if flags == WSK_FLAG_DATAGRAM_SOCKET => Some(number),
        _ => None,
    };
    let misfit = flags != WSK_FLAG_BASIC_SOCKET && protocol != wanted && raw.is_none();
    let (handle, callbacks) = match flags {
        WSK_FLAG_BASIC_SOCKET => {
            (captured.basic_socket(family, protocol).map(Handle::Basic), Arc::new(Callbacks::default()))
        }
        WSK_FLAG_LISTEN_SOCKET => {
            let callbacks = Arc::new(Callbacks::listen(context, table.cast::<WSK_CLIENT_LISTEN_DISPATCH>(), client));
            let events: Arc<dyn ListenEvents> = callbacks.clone();
            (captured.listen_socket(family, Some(events)).map(Handle::Listen), callbacks)
        }
        WSK_FLAG_DATAGRAM_SOCKET => {
            let table = table.cast::<WSK_CLIENT_DATAGRAM_DISPATCH>();
            let callbacks = Arc::new(Callbacks::datagram(context, table));
            let events: Option<Arc<dyn DatagramEvents>> =
                callbacks.receives_datagrams().then(|| callbacks.clone() as _);
            let socket = match raw {
                Some(number) => captured.raw_socket(family, number, events),
                None => captured.datagram_socket(family, events),
            };
            (socket.map(Handle::Datagram), callbacks)
        }
        WSK_FLAG_CONNECTION_SOCKET => {
            let callbacks = Arc::new(Callbacks::connection(context, table.cast()));
            let events: Arc<dyn ConnectionEvents> = callbacks.clone();
            (captured.connection_socket(family, Some(events)).map(Handle::Connection), callbacks)
        }
        WSK_FLAG_STREAM_SOCKET => {
            // SAFETY: the caller's word: null, or a table of two pointers.
            let tables = unsafe { border::read(table.cast::<WSK_CLIENT_STREAM_DISPATCH>()) }.unwrap_or_default();
            let callbacks = Callbacks::stream(context, tables.Listen, tables.Connect).with_client(client);
            let callbacks = Arc::new(callbacks);
            let listen: Arc<dyn ListenEvents> = callbacks.clone();
            let connect: Arc<dyn ConnectionEvents> = callbacks.clone();
            (captured.stream_socket(family, Some(listen), Some(connect)).map(Handle::Stream), callbacks)
        }
        _ => return Err(NtStatus::INVALID_PARAMETER),
    };
    Ok((handle.map_err(|error| error.status())?, callbacks, misfit))
}

slot! {
    /// WskSocketConnect (F-93).
    WskSocketConnect,
    fn socket_connect(
        Client: PWSK_CLIENT,
        SocketType: u16,
        Protocol: u32,
        LocalAddress: *mut SOCKADDR,
        RemoteAddress: *mut SOCKADDR,
        Flags: u32,
        SocketContext: *mut c_void,
        Dispatch: *const WSK_CLIENT_CONNECTION_DISPATCH,
        OwningProcess: PEPROCESS,
        OwningThread: PETHREAD,
        SecurityDescriptor: PSECURITY_DESCRIPTOR,
        Irp: *mut IRP,
    ) -> NtStatus {
        let _ = (OwningProcess, OwningThread);
        let creator = caller::current();
        let client = client::find(Client);
        let owner = client.clone();
        let callbacks = Arc::new(Callbacks::connection(SocketContext, Dispatch));
        let events = callbacks.clone();
        let start = || {
            let client = client?;
            if (SocketType, Protocol) != (SOCK_STREAM, IPPROTO_TCP) {
                return Err(NtStatus::NOT_SUPPORTED);
            }
            if Flags != 0 {
                return Err(NtStatus::INVALID_PARAMETER); // F-82
            }
            // SAFETY: the client's address, copied (F-72).
            let local = unsafe { border::address(LocalAddress) }?;
            // SAFETY: as above.
            let remote = unsafe { border::address(RemoteAddress) }?;
            let security = client.security(SecurityDescriptor as usize)?;
            Ok(client.captured()?.socket_connect_with(local, remote, Some(events), security))
        };
        let ending = move |connected: ConnectionSocket| {
            let Ok(client) = owner else { return 0 }; // refused before
            Socket::publish(Handle::Connection(connected), client, callbacks, false, creator).pointer() as usize
        };
        // SAFETY: the client's IRP.
        unsafe { completion::request(Irp, start, ending) }
    }
}

slot! {
    /// WskControlClient (F-100, control.md 2); the IRP is optional.
    WskControlClient,
    fn control_client(
        Client: PWSK_CLIENT,
        ControlCode: u32,
        InputSize: usize,
        InputBuffer: *mut c_void,
        OutputSize: usize,
        OutputBuffer: *mut c_void,
        OutputSizeReturned: *mut usize,
        Irp: *mut IRP,
    ) -> NtStatus {
        // SAFETY: the client's IRP, or none.
        let irp = unsafe { completion::enter(Irp) };
        let start = || {
            let client = client::find(Client)?;
            // SAFETY: the client's buffer, read within the call (F-74).
            let input = unsafe { border::bytes(InputBuffer.cast_const().cast(), InputSize) }?;
            Ok((client, Buffers { input, output: OutputBuffer, room: OutputSize, returned: OutputSizeReturned }))
        };
        Out::new(OutputSizeReturned).write(0); // C-13
        match (start(), irp) {
            (Ok((client, buffers)), irp) => control_client::control(&client, ControlCode, &buffers, irp),
            (Err(status), irp) => irp.map_or(status, |irp| irp.refuse(status)),
        }
    }
}

slot! {
    /// WskGetAddressInfo (F-220 to F-225). PASSIVE_LEVEL.
    WskGetAddressInfo,
    fn get_address_info(
        Client: PWSK_CLIENT,
        NodeName: *mut UNICODE_STRING,
        ServiceName: *mut UNICODE_STRING,
        NameSpace: u32,
        Provider: *mut GUID,
        HintsIn: *mut ADDRINFOEXW,
        Result: *mut *mut ADDRINFOEXW,
        OwningProcess: PEPROCESS,
        OwningThread: PETHREAD,
        Irp: *mut IRP,
    ) -> NtStatus {
        let _ = Provider;
        irql::at_most(irql::PASSIVE_LEVEL, "WskGetAddressInfo");
        // SAFETY: the client's IRP.
        let Some(irp) = (unsafe { completion::enter(Irp) }) else { return NtStatus::INVALID_PARAMETER }; // F-221
        let start = || {
            let client = client::find(Client)?;
            // SAFETY: the client's strings, copied (F-75).
            let node = unsafe { names::read_string(NodeName) }?;
            // SAFETY: as above.
            let service = unsafe { names::read_string(ServiceName) }?;
            if Result.is_null() || node.is_none() && service.is_none() || !OwningThread.is_null() && OwningProcess.is_null()
            {
                return Err(NtStatus::INVALID_PARAMETER);
            }
            let mut hints = Hints::default();
            if !HintsIn.is_null() {
                // SAFETY: the client's structure, copied.
                let given = unsafe { border::read(HintsIn) }?;
                let no_size = given.ai_addrlen == 0 && given.ai_bloblen == 0;
                let no_name = given.ai_canonname.is_null() && given.ai_provider.is_null() && given.ai_next.is_null();
                if !no_size || !no_name || !given.ai_addr.is_null() || !given.ai_blob.is_null() {
                    return Err(NtStatus::INVALID_PARAMETER); // F-221
                }
                hints = Hints {
                    flags: given.ai_flags,
                    family: given.ai_family,
                    kind: given.ai_socktype,
                    protocol: given.ai_protocol,
                };
            }
            Ok((client, node, service, hints))
        };
        let (client, node, service, hints) = match start() {
            Ok(question) => question,
            Err(status) => return irp.refuse(status),
        };
        const NS_ALL: u32 = 0;
        const NS_DNS: u32 = 12;
        let lookup = match (NameSpace, client.captured()) {
            (NS_ALL | NS_DNS, Ok(captured)) => captured.address_info(node.as_deref(), service.as_deref(), hints),
            (_, Err(status)) => return irp.refuse(status),
            _ => Pending::failed(NtStatus::NOT_FOUND),
        };
        let result = Out::new(Result);
        // A cancelled lookup leaves the result untouched and nothing to free (F-225).
        let parked = irp.pend_until(lookup, client.begin(), move |found| match found {
            Ok(found) => {
                result.write(names::list(&found, hints));
                done(0)
            }
            Err(error) => {
                result.write(std::ptr::null_mut());
                failed(error.status())
            }
        });
        client.keep_lookup(parked);
        NtStatus::PENDING
    }
}

slot! {
    /// WskFreeAddressInfo (F-226). PASSIVE_LEVEL.
    WskFreeAddressInfo,
    fn free_address_info(Client: PWSK_CLIENT, AddrInfo: *mut ADDRINFOEXW) {
        let _ = Client;
        // SAFETY: a result of WskGetAddressInfo, given back once.
        unsafe { names::free(AddrInfo) };
    }
}

slot! {
    /// WskGetNameInfo (F-230 to F-232). PASSIVE_LEVEL.
    WskGetNameInfo,
    fn get_name_info(
        Client: PWSK_CLIENT,
        SockAddr: *mut SOCKADDR,
        SockAddrLength: u32,
        NodeName: *mut UNICODE_STRING,
        ServiceName: *mut UNICODE_STRING,
        Flags: u32,
        OwningProcess: PEPROCESS,
        OwningThread: PETHREAD,
        Irp: *mut IRP,
    ) -> NtStatus {
        irql::at_most(irql::PASSIVE_LEVEL, "WskGetNameInfo");
        // SAFETY: the client's IRP.
        let Some(irp) = (unsafe { completion::enter(Irp) }) else { return NtStatus::INVALID_PARAMETER };
        let start = || {
            let client = client::find(Client)?;
            let known = Flags & !0x1F == 0;
            let lengths = (16..=128).contains(&SockAddrLength);
            let both_null = NodeName.is_null() && ServiceName.is_null();
            if both_null || !known || !lengths || !OwningThread.is_null() && OwningProcess.is_null() {
                return Err(NtStatus::INVALID_PARAMETER);
            }
            // SAFETY: the client's address, copied; at least 16 bytes.
            let address = unsafe { border::address_of_length(SockAddr, SockAddrLength as usize) }?;
            // SAFETY: the client's strings; their buffers stay until the completion (F-76).
            let read = |string| (!std::ptr::eq(string, std::ptr::null_mut())).then(|| unsafe { border::read(string) });
            let node = read(NodeName).transpose()?;
            let service = read(ServiceName).transpose()?;
            Ok((client, address, node.map(SendString), service.map(SendString)))
        };
        let (client, address, node, service) = match start() {
            Ok(question) => question,
            Err(status) => return irp.refuse(status),
        };
        let (node_out, service_out) = (Out::new(NodeName), Out::new(ServiceName));
        // What is not wanted is not asked for.
        let no_node = if NodeName.is_null() { ask_for::NUMERIC_HOST } else { 0 };
        let no_service = if ServiceName.is_null() { ask_for::NUMERIC_SERVICE } else { 0 };
        let required = if NodeName.is_null() { ask_for::NAME_REQUIRED } else { 0 };
        let lookup = match client.captured() {
            Ok(captured) => captured.name_info(address, Flags & !required | no_node | no_service),
            Err(status) => return irp.refuse(status),
        };
        let parked = irp.pend_until(lookup, client.begin(), move |found| {
            let (node, service) = (node, service);
            let write = || {
                let found = found.map_err(|error| error.status())?;
                if let Some(SendString(room)) = &node {
                    names::write_string(node_out, room, &found.node)?;
                }
                if let Some(SendString(room)) = &service {
                    names::write_string(service_out, room, &found.service)?;
                }
                Ok(())
            };
            write().map_or_else(failed, |()| done(0))
        });
        client.keep_lookup(parked);
        NtStatus::PENDING
    }
}

/// A counted string whose buffer stays until the completion (F-76).
struct SendString(UNICODE_STRING);

// SAFETY: only looked through before the completion, when the buffer is the subsystem's to write.
unsafe impl Send for SendString {}
