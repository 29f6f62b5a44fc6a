//! Functions of connections: connection sockets, and stream sockets in that role (functions.md 3.7, 3.8).
#![allow(unsafe_code)] // Functions that clients call, with the client's pointers.

use wsk::{DisconnectFlags, ReceiveFlags, SendFlags, Transfer};
use wsk_abi::NtStatus;
use wsk_abi::irp::IRP;
use wsk_abi::sockaddr::SOCKADDR;
use wsk_abi::wsk::{CMSGHDR, WSK_BUF, WSK_DATA_INDICATION, WSK_SOCKET};

use super::slot;
use crate::border::{self, Out};
use crate::completion;
use crate::indication::{Data, release};
use crate::memory;
use crate::socket::find;

slot! {
    /// WskConnect (F-150 to F-155).
    WskConnect,
    fn connect(Socket: *mut WSK_SOCKET, RemoteAddress: *mut SOCKADDR, Flags: u32, Irp: *mut IRP) -> NtStatus {
        let start = || {
            let socket = find(Socket)?;
            // SAFETY: the client's address, copied (F-72).
            let remote = unsafe { border::address(RemoteAddress) }?;
            if Flags != 0 {
                return Err(NtStatus::INVALID_PARAMETER); // F-82
            }
            match &socket.handle {
                crate::socket::Handle::Stream(stream) => Ok(stream.connect(remote)),
                _ => socket.connection(|socket| socket.connect(remote)),
            }
        };
        // SAFETY: the client's IRP.
        unsafe { completion::request(Irp, start, |()| 0) }
    }
}

slot! {
    /// WskConnectEx (F-156).
    WskConnectEx,
    fn connect_ex(
        Socket: *mut WSK_SOCKET,
        RemoteAddress: *mut SOCKADDR,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        Irp: *mut IRP,
    ) -> NtStatus {
        let start = || {
            let socket = find(Socket)?;
            // SAFETY: the client's address, copied (F-72).
            let remote = unsafe { border::address(RemoteAddress) }?;
            if Flags != 0 {
                return Err(NtStatus::INVALID_PARAMETER);
            }
            // SAFETY: the client's buffer, kept until the completion (F-71).
            let data = unsafe { memory::of_optional_buffer(Buffer) }?;
            socket.connection(|socket| socket.connect_with(remote, data))
        };
        // SAFETY: the client's IRP.
        unsafe { completion::transfer(Irp, start) }
    }
}

slot! {
    /// WskSend (F-160 to F-164).
    WskSend,
    fn send(Socket: *mut WSK_SOCKET, Buffer: *mut WSK_BUF, Flags: u32, Irp: *mut IRP) -> NtStatus {
        let start = || {
            let socket = find(Socket)?;
            // SAFETY: the client's buffer, kept until the completion (F-71).
            let data = unsafe { memory::of_buffer(Buffer) }?;
            socket.connection(|socket| socket.send_with(data, SendFlags::from_bits_retain(Flags)))
        };
        // SAFETY: the client's IRP.
        unsafe { completion::transfer(Irp, start) }
    }
}

slot! {
    /// WskSendEx (F-172): WskSend, as long as there is no control data; with it NOT_SUPPORTED.
    WskSendEx,
    fn send_ex(
        Socket: *mut WSK_SOCKET,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        ControlInfoLength: u32,
        ControlInfo: *mut CMSGHDR,
        Irp: *mut IRP,
    ) -> NtStatus {
        let _ = ControlInfo;
        let start = || {
            let socket = find(Socket)?;
            if ControlInfoLength != 0 {
                return Err(NtStatus::NOT_SUPPORTED);
            }
            // SAFETY: the client's buffer, kept until the completion (F-71).
            let data = unsafe { memory::of_buffer(Buffer) }?;
            socket.connection(|socket| socket.send_with(data, SendFlags::from_bits_retain(Flags)))
        };
        // SAFETY: the client's IRP.
        unsafe { completion::transfer(Irp, start) }
    }
}

slot! {
    /// WskReceive (F-165 to F-171).
    WskReceive,
    fn receive(Socket: *mut WSK_SOCKET, Buffer: *mut WSK_BUF, Flags: u32, Irp: *mut IRP) -> NtStatus {
        let start = || {
            let socket = find(Socket)?;
            // SAFETY: the client's buffer, kept until the completion (F-71).
            let room = unsafe { memory::of_buffer(Buffer) }?;
            socket.connection(|socket| socket.receive_with(room, ReceiveFlags::from_bits_retain(Flags)))
        };
        // SAFETY: the client's IRP.
        unsafe { completion::transfer(Irp, start) }
    }
}

slot! {
    /// WskReceiveEx (F-172): WskReceive, with no control data.
    WskReceiveEx,
    fn receive_ex(
        Socket: *mut WSK_SOCKET,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        ControlInfoLength: *mut u32,
        ControlInfo: *mut CMSGHDR,
        ControlFlags: *mut u32,
        Irp: *mut IRP,
    ) -> NtStatus {
        let _ = ControlInfo;
        let (length, flags) = (Out::new(ControlInfoLength), Out::new(ControlFlags));
        let start = || {
            let socket = find(Socket)?;
            // SAFETY: the client's buffer, kept until the completion (F-71).
            let room = unsafe { memory::of_buffer(Buffer) }?;
            socket.connection(|socket| socket.receive_with(room, ReceiveFlags::from_bits_retain(Flags)))
        };
        let ending = move |received: Transfer| {
            length.write(0);
            flags.write(0);
            received.len()
        };
        // SAFETY: the client's IRP.
        unsafe { completion::request(Irp, start, ending) }
    }
}

slot! {
    /// WskDisconnect (F-175 to F-178).
    WskDisconnect,
    fn disconnect(Socket: *mut WSK_SOCKET, Buffer: *mut WSK_BUF, Flags: u32, Irp: *mut IRP) -> NtStatus {
        let start = || {
            let socket = find(Socket)?;
            let flags = DisconnectFlags::from_bits(Flags).ok_or(NtStatus::INVALID_PARAMETER)?; // F-177
            if flags.contains(DisconnectFlags::ABORTIVE) && !Buffer.is_null() {
                return Err(NtStatus::INVALID_PARAMETER); // F-176
            }
            // SAFETY: the client's buffer, kept until the completion (F-71).
            let last = unsafe { memory::of_optional_buffer(Buffer) }?;
            socket.connection(|socket| socket.disconnect_with(last, flags))
        };
        // SAFETY: the client's IRP.
        unsafe { completion::request(Irp, start, |_: Transfer| 0) }
    }
}

slot! {
    /// WskRelease (F-215, F-216): SUCCESS, or INVALID_PARAMETER and nothing is released. It needs no open socket (E-119).
    WskRelease,
    fn release_data(Socket: *mut WSK_SOCKET, DataIndication: *mut WSK_DATA_INDICATION) -> NtStatus {
        release::<Data>(DataIndication, Socket as usize)
    }
}
