//! WskControlClient: the control codes of a client as a whole (control.md 2, events.md 4.3).
#![allow(unsafe_code)] // Reads and writes the caller's buffers.

use std::ffi::c_void;
use std::ptr;

use wsk::{EventMask, Family, Service, ServiceKind, TdiMap};
use wsk_abi::NtStatus;
use wsk_abi::nmr::{NPI_MS_RAW_MODULEID, NPI_MS_TCP_MODULEID, NPI_MS_UDP_MODULEID, NPI_WSK_INTERFACE_ID};
use wsk_abi::sockaddr::{AF_INET, AF_INET6};
use wsk_abi::wsk::{
    MAKE_WSK_VERSION, WSK_CACHE_SD, WSK_EVENT_CALLBACK_CONTROL, WSK_RELEASE_SD, WSK_SET_STATIC_EVENT_CALLBACKS,
    WSK_TDI_BEHAVIOR, WSK_TDI_BEHAVIOR_BYPASS_TDI, WSK_TDI_DEVICENAME_MAPPING, WSK_TDI_MAP_INFO, WSK_TRANSPORT,
    WSK_TRANSPORT_LIST_CHANGE, WSK_TRANSPORT_LIST_QUERY,
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

    /// Writes bytes as a result; too little room is BUFFER_TOO_SMALL (C-16).
    pub(crate) fn answer_bytes(&self, bytes: &[u8]) -> Result<usize, NtStatus> {
        if self.output.is_null() && !bytes.is_empty() || self.room < bytes.len() {
            return Err(NtStatus::BUFFER_TOO_SMALL);
        }
        // SAFETY: the caller's buffer, large enough.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.output.cast::<u8>(), bytes.len()) };
        Ok(bytes.len())
    }

    /// Says how long the result is, or would have to be.
    pub(crate) fn say_length(&self, length: usize) {
        if !self.returned.is_null() {
            // SAFETY: the caller's variable.
            unsafe { self.returned.write_unaligned(length) };
        }
    }

    /// Says that there is no result (C-13); how long it would have to be has been said with BUFFER_OVERFLOW.
    pub(crate) fn say_failed(&self, status: NtStatus) {
        if status != NtStatus::BUFFER_OVERFLOW {
            self.say_length(0);
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
        buffers.say_length(0);
        let Some(irp) = irp else { return NtStatus::INVALID_PARAMETER };
        client.await_list_change(irp);
        return NtStatus::PENDING;
    }
    let result = match code {
        WSK_TRANSPORT_LIST_QUERY => transport_list(client, buffers),
        WSK_CACHE_SD => cache_descriptor(client, buffers),
        WSK_RELEASE_SD => release_descriptor(client, buffers),
        WSK_TDI_DEVICENAME_MAPPING => tdi_mapping(client, buffers),
        WSK_SET_STATIC_EVENT_CALLBACKS => set_static_callbacks(client, buffers),
        WSK_TDI_BEHAVIOR => tdi_behavior(client, buffers),
        _ => Err(NtStatus::NOT_SUPPORTED),
    };
    match result {
        Ok(length) => buffers.say_length(length),
        Err(status) => buffers.say_failed(status),
    }
    let ending = result.map_or_else(failed, done);
    match irp {
        Some(irp) => irp.finish(ending),
        None => ending.Status,
    }
}

/// The transports there are (C-1).
fn transport_list(client: &Client, buffers: &Buffers<'_>) -> Result<usize, NtStatus> {
    let entry = |service: Service| {
        let (kind, protocol, module) = match service.kind {
            ServiceKind::Tcp => (1, 6, NPI_MS_TCP_MODULEID),
            ServiceKind::Udp => (2, 17, NPI_MS_UDP_MODULEID),
            ServiceKind::Raw => (3, 0, NPI_MS_RAW_MODULEID),
        };
        WSK_TRANSPORT {
            Version: MAKE_WSK_VERSION(1, 0),
            SocketType: kind,
            Protocol: protocol,
            AddressFamily: if service.family == Family::V4 { AF_INET } else { AF_INET6 },
            // SAFETY: these ids are of type GUID.
            ProviderId: unsafe { module.Anonymous.Guid },
        }
    };
    let list: Vec<WSK_TRANSPORT> = client.captured()?.transports().into_iter().map(entry).collect();
    let size = size_of_val(list.as_slice());
    if buffers.output.is_null() && size > 0 || buffers.room < size {
        buffers.say_length(size);
        return Err(NtStatus::BUFFER_OVERFLOW);
    }
    for (at, transport) in list.iter().enumerate() {
        let place = buffers.output.cast::<WSK_TRANSPORT>().wrapping_add(at);
        // SAFETY: the caller's buffer, with room for all of them; perhaps not aligned.
        unsafe { place.write_unaligned(*transport) };
    }
    Ok(size)
}

/// WSK_CACHE_SD: from a pointer to a descriptor to one that stays (C-6).
fn cache_descriptor(client: &Client, buffers: &Buffers<'_>) -> Result<usize, NtStatus> {
    let pointer: *const u8 = buffers.read()?;
    if buffers.output.is_null() || buffers.room < size_of::<usize>() {
        return Err(NtStatus::BUFFER_TOO_SMALL);
    }
    if pointer.is_null() {
        return Err(NtStatus::INVALID_SECURITY_DESCR);
    }
    // SAFETY: the client's descriptor, read within the call.
    let descriptor = unsafe { border::security_descriptor(pointer) }?;
    buffers.answer(client.captured()?.cache_security(descriptor))
}

/// WSK_RELEASE_SD.
fn release_descriptor(client: &Client, buffers: &Buffers<'_>) -> Result<usize, NtStatus> {
    let address: usize = buffers.read()?;
    client.captured()?.release_security(address).map(|()| 0).map_err(|error| error.status())
}

/// WSK_TDI_DEVICENAME_MAPPING: copied (C-4). INVALID_PARAMETER: no lines where some are said to be, or a line without a name.
fn tdi_mapping(client: &Client, buffers: &Buffers<'_>) -> Result<usize, NtStatus> {
    let info: WSK_TDI_MAP_INFO = buffers.read()?;
    if info.ElementCount > LONGEST_MAPPING {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let line = |at: u32| {
        let line = if info.Map.is_null() { ptr::null() } else { info.Map.wrapping_add(at as usize) };
        // SAFETY: the client's lines, read within the call.
        let line = unsafe { border::read(line) }?;
        // SAFETY: the client's string, zero-ended.
        let device = unsafe { border::zero_ended(line.TdiDeviceName) }?;
        if device.is_empty() {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let (socket_type, address_family) = (line.SocketType, line.AddressFamily);
        Ok(TdiMap { socket_type, address_family, protocol: line.Protocol, device })
    };
    let mapping = (0..info.ElementCount).map(line).collect::<Result<_, _>>()?;
    client.captured()?.set_tdi_mapping(mapping).map(|()| 0).map_err(|error| error.status())
}

/// More lines than there are combinations of families, types and protocols.
const LONGEST_MAPPING: u32 = 0x1_0000;

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

/// WSK_TDI_BEHAVIOR: whether TDI filters are passed by (C-60). INVALID_PARAMETER: an unknown flag.
fn tdi_behavior(client: &Client, buffers: &Buffers<'_>) -> Result<usize, NtStatus> {
    let flags: u32 = buffers.read()?;
    if flags & !WSK_TDI_BEHAVIOR_BYPASS_TDI != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    client.captured()?.set_tdi_bypass(flags != 0).map(|()| 0).map_err(|error| error.status())
}
