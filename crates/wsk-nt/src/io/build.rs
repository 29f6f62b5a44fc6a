//! IRPs that drivers have built (DDI: IoBuildDeviceIoControlRequest, IoBuildSynchronousFsdRequest): buffers by transfer
//! method, completed to the end by us.
#![allow(unsafe_code)] // Fills IRPs.

use std::ffi::c_void;

use wsk_abi::constants::ioctl::{METHOD_BUFFERED, METHOD_IN_DIRECT, METHOD_NEITHER, METHOD_OUT_DIRECT};
use wsk_abi::io::{IO_STATUS_BLOCK, KEVENT};
use wsk_abi::irp::parameters::{DeviceIoControl, Read};
use wsk_abi::irp::*;

use super::complete::{AtEnd, own};
use super::irp::{allocate, free};
use super::types::DEVICE_OBJECT;
use crate::ex::pool::{self, Kind};
use crate::exports;
use crate::ke::irql::{self, APC_LEVEL};
use crate::mm::mdl;
use crate::ps::thread;

/// DO_BUFFERED_IO, DO_DIRECT_IO.
const BUFFERED: u32 = 4;
const DIRECT: u32 = 0x10;

/// The next location of an IRP that nobody has entered yet.
unsafe fn next_location(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    // SAFETY: the caller's fresh IRP.
    unsafe { (*irp).Tail.Overlay.CurrentStackLocation.wrapping_sub(1) }
}

/// An IRP for the device, with the requestor's event and status block.
unsafe fn start(device: *mut DEVICE_OBJECT, event: *mut KEVENT, iosb: *mut IO_STATUS_BLOCK) -> *mut IRP {
    // SAFETY: the caller's device.
    unsafe {
        let irp = allocate((*device).StackSize);
        if !irp.is_null() {
            (*irp).UserEvent = event;
            (*irp).UserIosb = iosb;
            (*irp).Tail.Overlay.Thread = thread::current().cast();
            own(irp, AtEnd::Finish);
        }
        irp
    }
}

/// A system buffer: freed when the IRP completes.
fn system_buffer(length: usize) -> *mut c_void {
    pool::allocate(Kind::Pool, length, u32::from_le_bytes(*b"IoSB"), true, 0).cast()
}

/// The parameters of a device control request.
pub(crate) struct Control {
    pub(crate) code: u32,
    pub(crate) input: *mut c_void,
    pub(crate) input_length: u32,
    pub(crate) output: *mut c_void,
    pub(crate) output_length: u32,
    pub(crate) internal: bool,
}

/// Builds a device control request; null without memory.
pub(crate) unsafe fn device_control(
    device: *mut DEVICE_OBJECT,
    control: &Control,
    event: *mut KEVENT,
    iosb: *mut IO_STATUS_BLOCK,
) -> *mut IRP {
    // SAFETY: the caller's device and buffers.
    unsafe {
        let irp = start(device, event, iosb);
        if irp.is_null() {
            return irp;
        }
        let location = next_location(irp);
        (*location).MajorFunction =
            if control.internal { IRP_MJ_INTERNAL_DEVICE_CONTROL } else { IRP_MJ_DEVICE_CONTROL };
        let mut parameters = DeviceIoControl::default();
        parameters.OutputBufferLength = control.output_length;
        parameters.InputBufferLength = control.input_length;
        parameters.IoControlCode = control.code;
        let (input_length, output_length) = (control.input_length as usize, control.output_length as usize);
        let method = control.code & 3;
        let buffered = match method {
            METHOD_BUFFERED => input_length.max(output_length),
            METHOD_IN_DIRECT | METHOD_OUT_DIRECT => input_length,
            _ => 0,
        };
        if buffered != 0 {
            let buffer = system_buffer(buffered);
            if buffer.is_null() {
                free(irp);
                return std::ptr::null_mut();
            }
            if input_length != 0 {
                std::ptr::copy_nonoverlapping(control.input.cast::<u8>(), buffer.cast(), input_length);
            }
            (*irp).AssociatedIrp.SystemBuffer = buffer;
            (*irp).Flags |= IRP_BUFFERED_IO | IRP_DEALLOCATE_BUFFER;
        }
        match method {
            METHOD_BUFFERED => {
                (*irp).UserBuffer = control.output;
                if output_length != 0 {
                    (*irp).Flags |= IRP_INPUT_OPERATION;
                }
            }
            METHOD_IN_DIRECT | METHOD_OUT_DIRECT if output_length != 0 => {
                (*irp).MdlAddress = locked_mdl(control.output, output_length);
                if (*irp).MdlAddress.is_null() {
                    if buffered != 0 {
                        pool::ExFreePool((*irp).AssociatedIrp.SystemBuffer);
                    }
                    free(irp);
                    return std::ptr::null_mut();
                }
            }
            METHOD_NEITHER => {
                parameters.Type3InputBuffer = control.input;
                (*irp).UserBuffer = control.output;
            }
            _ => {}
        }
        (*location).Parameters.DeviceIoControl = parameters;
        irp
    }
}

/// An MDL of a caller's buffer, locked.
fn locked_mdl(buffer: *mut c_void, length: usize) -> *mut wsk_abi::mdl::MDL {
    let mdl = mdl::allocate(buffer, length);
    if !mdl.is_null() {
        // SAFETY: fresh.
        unsafe {
            mdl::build_for_nonpaged_pool(mdl);
            (*mdl).MappedSystemVa = std::ptr::null_mut();
            (*mdl).MdlFlags = wsk_abi::mdl::MDL_PAGES_LOCKED;
        }
    }
    mdl
}

/// IoBuildDeviceIoControlRequest.
pub(crate) unsafe extern "win64" fn IoBuildDeviceIoControlRequest(
    code: u32,
    device: *mut DEVICE_OBJECT,
    input: *mut c_void,
    input_length: u32,
    output: *mut c_void,
    output_length: u32,
    internal: u8,
    event: *mut KEVENT,
    iosb: *mut IO_STATUS_BLOCK,
) -> *mut IRP {
    irql::at_most(irql::PASSIVE_LEVEL, "IoBuildDeviceIoControlRequest");
    let control = Control { code, input, input_length, output, output_length, internal: internal != 0 };
    // SAFETY: the driver's device and buffers (DDI).
    unsafe { device_control(device, &control, event, iosb) }
}

/// IoBuildSynchronousFsdRequest: read, write, flush, shutdown, plug and play, power.
pub(crate) unsafe extern "win64" fn IoBuildSynchronousFsdRequest(
    major: u32,
    device: *mut DEVICE_OBJECT,
    buffer: *mut c_void,
    length: u32,
    offset: *const i64,
    event: *mut KEVENT,
    iosb: *mut IO_STATUS_BLOCK,
) -> *mut IRP {
    irql::at_most(APC_LEVEL, "IoBuildSynchronousFsdRequest");
    // SAFETY: the driver's device and buffer (DDI).
    unsafe {
        let irp = start(device, event, iosb);
        if irp.is_null() {
            return irp;
        }
        let location = next_location(irp);
        (*location).MajorFunction = major as u8;
        if matches!(major as u8, IRP_MJ_READ | IRP_MJ_WRITE) {
            let is_read = major as u8 == IRP_MJ_READ;
            (*irp).UserBuffer = buffer;
            if (*device).Flags & BUFFERED != 0 && length != 0 {
                let system = system_buffer(length as usize);
                if system.is_null() {
                    free(irp);
                    return std::ptr::null_mut();
                }
                if !is_read {
                    std::ptr::copy_nonoverlapping(buffer.cast::<u8>(), system.cast(), length as usize);
                }
                (*irp).AssociatedIrp.SystemBuffer = system;
                (*irp).Flags |= IRP_BUFFERED_IO | IRP_DEALLOCATE_BUFFER | if is_read { IRP_INPUT_OPERATION } else { 0 };
            } else if (*device).Flags & DIRECT != 0 && length != 0 {
                (*irp).MdlAddress = locked_mdl(buffer, length as usize);
            }
            let mut parameters = Read::default();
            parameters.Length = length;
            parameters.ByteOffset.QuadPart = if offset.is_null() { 0 } else { offset.read() };
            (*location).Parameters.Read = parameters;
        }
        irp
    }
}

/// IoBuildAsynchronousFsdRequest: without an event; the driver's completion routine frees it.
unsafe extern "win64" fn IoBuildAsynchronousFsdRequest(
    major: u32,
    device: *mut DEVICE_OBJECT,
    buffer: *mut c_void,
    length: u32,
    offset: *const i64,
    iosb: *mut IO_STATUS_BLOCK,
) -> *mut IRP {
    // SAFETY: as declared.
    unsafe { IoBuildSynchronousFsdRequest(major, device, buffer, length, offset, std::ptr::null_mut(), iosb) }
}

exports! { IoBuildDeviceIoControlRequest, IoBuildSynchronousFsdRequest, IoBuildAsynchronousFsdRequest }
