//! What sockets of several categories have: control, close, bind, addresses.
#![allow(unsafe_code)] // Functions that clients call, with the client's pointers.

use std::ffi::c_void;

use wsk::Request;
use wsk_abi::NtStatus;
use wsk_abi::irp::IRP;
use wsk_abi::sockaddr::SOCKADDR;
use wsk_abi::wsk::{WSK_CONTROL_SOCKET_TYPE, WSK_SOCKET};

use super::slot;
use crate::border::{self, Out};
use crate::completion::{self, done, failed};
use crate::control_client::Buffers;
use crate::control_socket;
use crate::socket::{Handle, find};

slot! {
    /// WskControlSocket (F-105 to F-109); the IRP is optional (C-14).
    WskControlSocket,
    fn control(
        Socket: *mut WSK_SOCKET,
        RequestType: WSK_CONTROL_SOCKET_TYPE,
        ControlCode: u32,
        Level: u32,
        InputSize: usize,
        InputBuffer: *mut c_void,
        OutputSize: usize,
        OutputBuffer: *mut c_void,
        OutputSizeReturned: *mut usize,
        Irp: *mut IRP,
    ) -> NtStatus {
        // SAFETY: the client's IRP, or none.
        let irp = unsafe { completion::enter(Irp) };
        Out::new(OutputSizeReturned).write(0); // C-13, whatever comes of it
        let start = || {
            let socket = find(Socket)?;
            // SAFETY: the client's buffer, read within the call (F-74).
            let input = unsafe { border::bytes(InputBuffer.cast_const().cast(), InputSize) }?;
            Ok((socket, Buffers { input, output: OutputBuffer, room: OutputSize, returned: OutputSizeReturned }))
        };
        match (start(), irp) {
            (Ok((socket, buffers)), irp) => {
                control_socket::control(&socket, RequestType, ControlCode, Level, &buffers, irp)
            }
            (Err(status), irp) => irp.map_or(status, |irp| irp.refuse(status)),
        }
    }
}

slot! {
    /// WskCloseSocket (F-110 to F-117): PENDING, and SUCCESS when everything else of the socket is over.
    WskCloseSocket,
    fn close(Socket: *mut WSK_SOCKET, Irp: *mut IRP) -> NtStatus {
        // SAFETY: the client's IRP.
        let Some(irp) = (unsafe { completion::enter(Irp) }) else { return NtStatus::INVALID_PARAMETER };
        let socket = match find(Socket) {
            Ok(socket) => socket,
            Err(status) => return irp.refuse(status),
        };
        let Some(request) = socket.close() else { return irp.refuse(NtStatus::INVALID_HANDLE) };
        irp.pend_to_the_end(request, move |_| {
            socket.closed();
            done(0)
        })
    }
}

slot! {
    /// WskBind (F-120 to F-123). INVALID_PARAMETER: no address, reserved flags.
    WskBind,
    fn bind(Socket: *mut WSK_SOCKET, LocalAddress: *mut SOCKADDR, Flags: u32, Irp: *mut IRP) -> NtStatus {
        if let Ok(socket) = find(Socket)
            && socket.misfit
        {
            // SAFETY: the client's IRP.
            let Some(irp) = (unsafe { completion::enter(Irp) }) else { return NtStatus::INVALID_PARAMETER };
            irp.mark_pending().end(failed(NtStatus::NOT_IMPLEMENTED)); // F-89
            return NtStatus::PENDING;
        }
        let start = || -> Result<Request<()>, NtStatus> {
            let socket = find(Socket)?;
            // SAFETY: the client's address, copied (F-72).
            let local = unsafe { border::address(LocalAddress) }?;
            if Flags != 0 {
                return Err(NtStatus::INVALID_PARAMETER); // F-82
            }
            match &socket.handle {
                Handle::Basic(_) => Err(NtStatus::INVALID_DEVICE_REQUEST),
                Handle::Listen(socket) => Ok(socket.bind(local)),
                Handle::Datagram(socket) => Ok(socket.bind(local)),
                Handle::Connection(socket) => Ok(socket.bind(local)),
                Handle::Stream(socket) => Ok(socket.bind(local)),
            }
        };
        // SAFETY: the client's IRP.
        unsafe { completion::request(Irp, start, |()| 0) }
    }
}

/// An address query: what it finds is written before the IRP completes (F-76, F-212).
///
/// # Safety
/// `irp` is null or the client's, and `out` null or room for an address.
unsafe fn address(
    socket: *mut WSK_SOCKET,
    out: *mut SOCKADDR,
    irp: *mut IRP,
    query: impl FnOnce(&Handle) -> Result<std::net::SocketAddr, wsk::Error>,
) -> NtStatus {
    // SAFETY: the caller's word.
    let Some(irp) = (unsafe { completion::enter(irp) }) else { return NtStatus::INVALID_PARAMETER };
    if irp.is_cancelled() {
        return irp.refuse(NtStatus::CANCELLED); // F-67
    }
    let out = Out::new(out);
    let found = find(socket).and_then(|socket| {
        if out.is_null() {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        query(&socket.handle).map_err(|error| error.status())
    });
    match found {
        Ok(address) => {
            out.write_address(address);
            irp.mark_pending().end(done(0));
            NtStatus::PENDING
        }
        Err(status) => irp.refuse(status),
    }
}

slot! {
    /// WskGetLocalAddress (F-210). INVALID_DEVICE_STATE: not bound.
    WskGetLocalAddress,
    fn local_address(Socket: *mut WSK_SOCKET, LocalAddress: *mut SOCKADDR, Irp: *mut IRP) -> NtStatus {
        let query = |handle: &Handle| match handle {
            Handle::Basic(_) => Err(NtStatus::INVALID_DEVICE_REQUEST.into()),
            Handle::Listen(socket) => socket.local_address(),
            Handle::Datagram(socket) => socket.local_address(),
            Handle::Connection(socket) => socket.local_address(),
            Handle::Stream(socket) => socket.local_address(),
        };
        // SAFETY: the client's IRP and variable.
        unsafe { address(Socket, LocalAddress, Irp, query) }
    }
}

slot! {
    /// WskGetRemoteAddress (F-211). INVALID_DEVICE_STATE: never connected.
    WskGetRemoteAddress,
    fn remote_address(Socket: *mut WSK_SOCKET, RemoteAddress: *mut SOCKADDR, Irp: *mut IRP) -> NtStatus {
        let query = |handle: &Handle| match handle {
            Handle::Connection(socket) => socket.remote_address(),
            Handle::Stream(socket) => socket.as_connection(|socket| socket.remote_address()),
            _ => Err(NtStatus::INVALID_DEVICE_REQUEST.into()),
        };
        // SAFETY: the client's IRP and variable.
        unsafe { address(Socket, RemoteAddress, Irp, query) }
    }
}
