//! WskControlClient: the control codes of a client as a whole (control.md 2, events.md 4.3).
#![allow(unsafe_code)] // Reads and writes the caller's buffers.

use std::ffi::c_void;

use wsk::EventMask;
use wsk_abi::NtStatus;
use wsk_abi::nmr::{GUID, NPI_MS_TCP_MODULEID, NPI_MS_UDP_MODULEID, NPI_WSK_INTERFACE_ID};
use wsk_abi::sockaddr::{AF_INET, AF_INET6};
use wsk_abi::wsk::{
    MAKE_WSK_VERSION, WSK_EVENT_CALLBACK_CONTROL, WSK_SET_STATIC_EVENT_CALLBACKS, WSK_TDI_BEHAVIOR,
    WSK_TDI_BEHAVIOR_BYPASS_TDI, WSK_TRANSPORT, WSK_TRANSPORT_LIST_CHANGE, WSK_TRANSPORT_LIST_QUERY,
};

use crate::border;
use crate::client::Client;
use crate::completion::{Entered, done, failed};

/// The buffers of a control request.
pub(crate) struct Buffers<'a> {
    /// What the client gave.
    pub(crate) input: &'a [u8],
    /// Where the result goes.
    pub(crate) output: *mut c_void,
    /// Its room in bytes.
    pub(crate) room: usize,
    /// Where its length goes, or null (C-13).
    pub(crate) returned: *mut usize,
}

impl Buffers<'_> {
    /// Writes a result of any plain type; too little room is BUFFER_TOO_SMALL (C-16).
    pub(crate) fn answer<T: Copy>(&self, value: T) -> Result<usize, NtStatus> {
        if self.output.is_null() || self.room < size_of::<T>() {
            return Err(NtStatus::BUFFER_TOO_SMALL);
        }
        // SAFETY: the caller's buffer, large enough; perhaps not aligned.
        unsafe { self.output.cast::<T>().write_unaligned(value) };
        Ok(size_of::<T>())
    }

    /// Says how long the result is, or would have to be.
    pub(crate) fn say_length(&self, length: usize) {
        if !self.returned.is_null() {
            // SAFETY: the caller's variable.
            unsafe { self.returned.write_unaligned(length) };
        }
    }

    /// The input as a plain type of exactly that size.
    pub(crate) fn read<T: Copy>(&self) -> Result<T, NtStatus> {
        if self.input.len() != size_of::<T>() {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        // SAFETY: as many bytes as the type has; callers name plain types only.
        unsafe { border::read(self.input.as_ptr().cast::<T>()) }
    }
}

/// Carries a request out; an IRP is completed with the result (C-11).
pub(crate) fn control(
    client: &std::sync::Arc<Client>,
    code: u32,
    buffers: &Buffers<'_>,
    irp: Option<Entered>,
) -> NtStatus {
    if code == WSK_TRANSPORT_LIST_CHANGE {
        let Some(irp) = irp else { return NtStatus::INVALID_PARAMETER };
        client.await_list_change(irp);
        return NtStatus::PENDING;
    }
    let result = match code {
        WSK_TRANSPORT_LIST_QUERY => transport_list(buffers),
        WSK_SET_STATIC_EVENT_CALLBACKS => set_static_callbacks(client, buffers),
        WSK_TDI_BEHAVIOR => tdi_behavior(buffers),
        _ => Err(NtStatus::NOT_SUPPORTED),
    };
    if let Ok(length) = result {
        buffers.say_length(length);
    }
    let ending = result.map_or_else(failed, done);
    match irp {
        Some(irp) => irp.finish(ending),
        None => ending.Status,
    }
}

/// The transports there are (C-1).
fn transport_list(buffers: &Buffers<'_>) -> Result<usize, NtStatus> {
    let entry = |kind, protocol, family, id: GUID| WSK_TRANSPORT {
        Version: MAKE_WSK_VERSION(1, 0),
        SocketType: kind,
        Protocol: protocol,
        AddressFamily: family,
        ProviderId: id,
    };
    // SAFETY: the id is of type GUID.
    let tcp = unsafe { NPI_MS_TCP_MODULEID.Anonymous.Guid };
    // SAFETY: as above.
    let udp = unsafe { NPI_MS_UDP_MODULEID.Anonymous.Guid };
    let list = [
        entry(1, 6, AF_INET, tcp),
        entry(1, 6, AF_INET6, tcp),
        entry(2, 17, AF_INET, udp),
        entry(2, 17, AF_INET6, udp),
    ];
    if buffers.output.is_null() || buffers.room < size_of_val(&list) {
        buffers.say_length(size_of_val(&list));
        return Err(NtStatus::BUFFER_OVERFLOW);
    }
    buffers.answer(list)
}

fn set_static_callbacks(client: &Client, buffers: &Buffers<'_>) -> Result<usize, NtStatus> {
    let mask = event_mask(buffers)?;
    client.captured()?.set_static_event_callbacks(mask).map_err(|error| error.status())?;
    Ok(0)
}

/// The mask of a WSK_EVENT_CALLBACK_CONTROL. INVALID_PARAMETER: another size, no NPI id; NOT_SUPPORTED: another NPI (E-15).
pub(crate) fn event_mask(buffers: &Buffers<'_>) -> Result<EventMask, NtStatus> {
    let control: WSK_EVENT_CALLBACK_CONTROL = buffers.read()?;
    // SAFETY: null or the client's pointer to a GUID.
    let id = unsafe { border::read(control.NpiId) }?;
    if id != NPI_WSK_INTERFACE_ID {
        return Err(NtStatus::NOT_SUPPORTED);
    }
    Ok(EventMask::from_bits_retain(control.EventMask))
}

/// WSK_TDI_BEHAVIOR: there is no TDI transport to bypass (C-5).
fn tdi_behavior(buffers: &Buffers<'_>) -> Result<usize, NtStatus> {
    match buffers.read::<u32>()? {
        0 | WSK_TDI_BEHAVIOR_BYPASS_TDI => Ok(0),
        _ => Err(NtStatus::INVALID_PARAMETER),
    }
}

impl Buffers<'_> {
    /// The input as an address; no input is `None` (C-30).
    pub(crate) fn address(&self) -> Result<Option<std::net::SocketAddr>, NtStatus> {
        if self.input.is_empty() {
            return Ok(None);
        }
        if self.input.len() < 16 {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let family = u16::from_le_bytes([self.input[0], self.input[1]]);
        if family == AF_INET6 && self.input.len() < 28 {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        // SAFETY: as many bytes as an address of its family has.
        unsafe { border::address(self.input.as_ptr().cast()) }.map(Some)
    }
}
