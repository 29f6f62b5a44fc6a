//! Functions of listeners: listening sockets, and stream sockets in that role (functions.md 3.6).
#![allow(unsafe_code)] // Functions that clients call, with the client's pointers.

use std::ffi::c_void;
use std::sync::Arc;

use wsk::{ConnectionSocket, InspectAction, InspectId};
use wsk_abi::NtStatus;
use wsk_abi::irp::IRP;
use wsk_abi::sockaddr::SOCKADDR;
use wsk_abi::wsk::{WSK_CLIENT_CONNECTION_DISPATCH, WSK_INSPECT_ACTION, WSK_INSPECT_ID, WSK_SOCKET};
use wsk_nt::caller;

use super::slot;
use crate::border::{self, Out};
use crate::callback::Callbacks;
use crate::completion;
use crate::socket::{Handle, Socket as NpiSocket, find};

slot! {
    /// WskListen (F-130).
    WskListen,
    fn listen(Socket: *mut WSK_SOCKET, Irp: *mut IRP) -> NtStatus {
        let start = || find(Socket)?.stream().map(|socket| socket.listen());
        // SAFETY: the client's IRP.
        unsafe { completion::request(Irp, start, |()| 0) }
    }
}

slot! {
    /// WskAccept (F-131 to F-137).
    WskAccept,
    fn accept(
        ListenSocket: *mut WSK_SOCKET,
        Flags: u32,
        AcceptSocketContext: *mut c_void,
        AcceptSocketDispatch: *const WSK_CLIENT_CONNECTION_DISPATCH,
        LocalAddress: *mut SOCKADDR,
        RemoteAddress: *mut SOCKADDR,
        Irp: *mut IRP,
    ) -> NtStatus {
        let creator = caller::current();
        let (local, remote) = (Out::new(LocalAddress), Out::new(RemoteAddress));
        let callbacks = Arc::new(Callbacks::connection(AcceptSocketContext, AcceptSocketDispatch));
        let listener = find(ListenSocket);
        let client = listener.as_ref().ok().map(|listener| listener.client.clone());
        let events = callbacks.clone();
        let start = || {
            if Flags != 0 {
                return Err(NtStatus::INVALID_PARAMETER); // F-82
            }
            match &listener?.handle {
                Handle::Listen(socket) => Ok(socket.accept_with(events)),
                Handle::Stream(socket) => Ok(socket.accept_with(events)),
                _ => Err(NtStatus::INVALID_DEVICE_REQUEST),
            }
        };
        let ending = move |accepted: ConnectionSocket| {
            if let Ok(address) = accepted.local_address() {
                local.write_address(address);
            }
            if let Ok(address) = accepted.remote_address() {
                remote.write_address(address);
            }
            let Some(client) = client else { return 0 }; // refused before
            NpiSocket::publish(Handle::Connection(accepted), client, callbacks, false, creator).pointer() as usize
        };
        // SAFETY: the client's IRP.
        unsafe { completion::request(Irp, start, ending) }
    }
}

slot! {
    /// WskInspectComplete (F-140, F-141).
    WskInspectComplete,
    fn inspect_complete(
        ListenSocket: *mut WSK_SOCKET,
        InspectID: *mut WSK_INSPECT_ID,
        Action: WSK_INSPECT_ACTION,
        Irp: *mut IRP,
    ) -> NtStatus {
        let start = || {
            let socket = find(ListenSocket)?;
            // SAFETY: the client's id, copied (F-72).
            let id = unsafe { border::read(InspectID) }?;
            let action = match Action {
                WSK_INSPECT_ACTION::ACCEPT => InspectAction::Accept,
                WSK_INSPECT_ACTION::REJECT => InspectAction::Reject,
                _ => return Err(NtStatus::INVALID_PARAMETER),
            };
            let id = InspectId { key: id.Key, serial: id.SerialNumber };
            socket.listener(|socket| socket.inspect_complete(id, action))
        };
        // SAFETY: the client's IRP.
        unsafe { completion::request(Irp, start, |()| 0) }
    }
}
