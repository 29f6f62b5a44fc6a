//! Functions of datagram sockets (functions.md 3.9).
#![allow(unsafe_code)] // Functions that clients call, with the client's pointers.

use wsk::{ControlData, ReceivedFrom, SendControl};
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

/// Control data of a send, copied (F-192, C-23). INVALID_PARAMETER: a length without data, or no chain of messages.
///
/// # Safety
/// `data` is null or points to `length` readable bytes.
unsafe fn control_data(length: u32, data: *mut CMSGHDR) -> Result<SendControl, NtStatus> {
    // SAFETY: the caller's word.
    ControlData::parse(unsafe { border::bytes(data.cast_const().cast(), length as usize) }?)
}

/// Where a client wants the control data of a datagram (F-195).
struct ControlOut {
    data: Out<CMSGHDR>,
    length: Out<u32>,
    room: usize,
}

impl ControlOut {
    /// # Safety
    /// `length` is null or a readable variable.
    unsafe fn new(data: *mut CMSGHDR, length: *mut u32) -> Self {
        // SAFETY: the caller's word. Without a length the data is ignored.
        let given = unsafe { border::read(length) }.unwrap_or(0);
        let room = if data.is_null() { 0 } else { given as usize };
        Self { data: Out::new(data), length: Out::new(length), room }
    }

    /// Writes whole messages as far as they fit; whether all did (F-196).
    fn write(&self, control: &ControlData) -> bool {
        let mut bytes = vec![0; self.room.min(control.encoded_len())];
        let (stored, whole) = control.encode(&mut bytes);
        self.data.write_bytes(&bytes[..stored]);
        self.length.write(stored as u32);
        whole || self.length.is_null()
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
            // SAFETY: the client's data.
            let control = unsafe { control_data(ControlInfoLength, ControlInfo) }?;
            // SAFETY: the client's address, copied (F-72).
            let remote = unsafe { border::optional_address(RemoteAddress) }?;
            // SAFETY: the client's buffer, kept until the completion (F-71).
            let data = unsafe { memory::of_buffer(Buffer) }?;
            Ok(socket.datagram()?.send_with(data, remote, control))
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
            // SAFETY: the client's data.
            let control = unsafe { control_data(ControlInfoLength, ControlInfo) }?;
            // SAFETY: the client's address, copied (F-72).
            let remote = unsafe { border::optional_address(RemoteAddress) }?;
            // SAFETY: the client's list, kept until the completion (F-71).
            let messages = unsafe { memory::of_list(BufferList) }?;
            Ok(socket.datagram()?.send_messages_with(messages, remote, control))
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
        let (remote, flags) = (Out::new(RemoteAddress), Out::new(ControlFlags));
        // SAFETY: the client's variable.
        let control = unsafe { ControlOut::new(ControlInfo, ControlLength) };
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
            let mut said = received.flags();
            said.set(wsk::ControlFlags::CTRUNC, !control.write(received.control()));
            flags.write(said.bits());
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
