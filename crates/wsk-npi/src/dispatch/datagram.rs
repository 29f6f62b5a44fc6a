//! Functions of datagram sockets (functions.md 3.9).
#![allow(unsafe_code)] // Functions that clients call, with the client's pointers.

use wsk::ReceivedFrom;
use wsk_abi::NtStatus;
use wsk_abi::irp::IRP;
use wsk_abi::sockaddr::SOCKADDR;
use wsk_abi::wsk::{CMSGHDR, WSK_BUF, WSK_BUF_LIST, WSK_DATAGRAM_INDICATION, WSK_SOCKET};

use super::slot;
use crate::border::{self, Out};
use crate::completion;
use crate::indication::{Datagram, release};
use crate::memory;
use crate::socket::find;

/// Control data of a send: INVALID_PARAMETER for a length without data (F-192); NOT_SUPPORTED for any, so far.
fn control_data(length: u32, data: *mut CMSGHDR) -> Result<(), NtStatus> {
    match (length, data.is_null()) {
        (0, _) => Ok(()),
        (_, true) => Err(NtStatus::INVALID_PARAMETER),
        (_, false) => Err(NtStatus::NOT_SUPPORTED),
    }
}

slot! {
    /// WskSendTo (F-190 to F-192).
    WskSendTo,
    fn send_to(
        Socket: *mut WSK_SOCKET,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        RemoteAddress: *mut SOCKADDR,
        ControlInfoLength: u32,
        ControlInfo: *mut CMSGHDR,
        Irp: *mut IRP,
    ) -> NtStatus {
        let start = || {
            let socket = find(Socket)?;
            if Flags != 0 {
                return Err(NtStatus::INVALID_PARAMETER); // F-82
            }
            control_data(ControlInfoLength, ControlInfo)?;
            // SAFETY: the client's address, copied (F-72).
            let remote = unsafe { border::optional_address(RemoteAddress) }?;
            // SAFETY: the client's buffer, kept until the completion (F-71).
            let data = unsafe { memory::of_buffer(Buffer) }?;
            let socket = socket.datagram()?;
            Ok(match remote {
                Some(remote) => socket.send_to(data, remote),
                None => socket.send(data),
            })
        };
        // SAFETY: the client's IRP.
        unsafe { completion::transfer(Irp, start) }
    }
}

slot! {
    /// WskSendMessages (F-193).
    WskSendMessages,
    fn send_messages(
        Socket: *mut WSK_SOCKET,
        BufferList: *mut WSK_BUF_LIST,
        Flags: u32,
        RemoteAddress: *mut SOCKADDR,
        ControlInfoLength: u32,
        ControlInfo: *mut CMSGHDR,
        Irp: *mut IRP,
    ) -> NtStatus {
        let start = || {
            let socket = find(Socket)?;
            if Flags != 0 {
                return Err(NtStatus::INVALID_PARAMETER); // F-82
            }
            control_data(ControlInfoLength, ControlInfo)?;
            // SAFETY: the client's address, copied (F-72).
            let remote = unsafe { border::optional_address(RemoteAddress) }?;
            // SAFETY: the client's list, kept until the completion (F-71).
            let messages = unsafe { memory::of_list(BufferList) }?;
            Ok(socket.datagram()?.send_messages(messages, remote))
        };
        // SAFETY: the client's IRP.
        unsafe { completion::transfer(Irp, start) }
    }
}

slot! {
    /// WskReceiveFrom (F-195 to F-199).
    WskReceiveFrom,
    fn receive_from(
        Socket: *mut WSK_SOCKET,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        RemoteAddress: *mut SOCKADDR,
        ControlLength: *mut u32,
        ControlInfo: *mut CMSGHDR,
        ControlFlags: *mut u32,
        Irp: *mut IRP,
    ) -> NtStatus {
        let _ = ControlInfo;
        let (remote, length, flags) = (Out::new(RemoteAddress), Out::new(ControlLength), Out::new(ControlFlags));
        let start = || {
            let socket = find(Socket)?;
            if Flags != 0 {
                return Err(NtStatus::INVALID_PARAMETER); // F-82
            }
            // SAFETY: the client's buffer, kept until the completion (F-71).
            let room = unsafe { memory::of_buffer(Buffer) }?;
            Ok(socket.datagram()?.receive_from(room))
        };
        let ending = move |received: ReceivedFrom| {
            remote.write_address(received.source());
            length.write(0);
            flags.write(received.flags().bits());
            received.len()
        };
        // SAFETY: the client's IRP.
        unsafe { completion::request(Irp, start, ending) }
    }
}

slot! {
    /// WskRelease (F-215, F-216): SUCCESS, or INVALID_PARAMETER and nothing is released. It needs no open socket (E-119).
    WskRelease,
    fn release_datagrams(Socket: *mut WSK_SOCKET, DatagramIndication: *mut WSK_DATAGRAM_INDICATION) -> NtStatus {
        release::<Datagram>(DatagramIndication, Socket as usize)
    }
}
