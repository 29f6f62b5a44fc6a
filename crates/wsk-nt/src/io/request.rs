//! Requests that the host makes of a driver, as a program would: open a device, control it, close it.
#![allow(unsafe_code)] // Builds IRPs and sends them.

use std::ffi::c_void;

use wsk_abi::NtStatus;
use wsk_abi::io::{IO_STATUS_BLOCK, KEVENT};
use wsk_abi::irp::*;

use super::build::{self, Control};
use super::complete::{AtEnd, own};
use super::device::top_of;
use super::driver::call_driver;
use super::file::{self, File};
use super::irp;
use super::types::{DEVICE_OBJECT, FILE_OBJECT};
use crate::ke::event::KeInitializeEvent;
use crate::ke::wait;

/// Sends a request to the device's stack and waits: `set_up` fills the IRP and its first location.
pub(crate) unsafe fn send(
    device: *mut DEVICE_OBJECT,
    set_up: impl FnOnce(*mut IRP, *mut IO_STACK_LOCATION),
) -> IO_STATUS_BLOCK {
    // SAFETY: the caller's device; the event and the status block outlive the wait.
    unsafe {
        let top = top_of(device);
        let irp = irp::allocate((*top).StackSize);
        if irp.is_null() {
            return IO_STATUS_BLOCK { Status: NtStatus::INSUFFICIENT_RESOURCES, Information: 0 };
        }
        own(irp, AtEnd::Finish);
        set_up(irp, (*irp).Tail.Overlay.CurrentStackLocation.wrapping_sub(1));
        wait_for(top, irp)
    }
}

/// Sends an IRP of ours and waits until it is back.
unsafe fn wait_for(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> IO_STATUS_BLOCK {
    let mut event = KEVENT::default();
    let mut iosb = IO_STATUS_BLOCK::default();
    // SAFETY: the IRP's owner is the I/O manager, which signals the event last.
    unsafe {
        KeInitializeEvent(&raw mut event, 0, 0);
        (*irp).UserEvent = &raw mut event;
        (*irp).UserIosb = &raw mut iosb;
        (*irp).Tail.Overlay.Thread = crate::ps::thread::current().cast();
        call_driver(device, irp);
        wait::wait(&[(&raw mut event).cast()], false, None, "a request");
        (&raw const iosb).read_volatile()
    }
}

/// Opens a device by name (`\Device\Echo`, `\DosDevices\Echo\path`, `\??\Echo`): IRP_MJ_CREATE.
pub fn open_device(name: &str) -> Result<File, NtStatus> {
    file::open(name, 0x0012_019F, file::Mode::User).map(File::from_open)
}

/// Controls a device: its status, and the output, cut to what the driver says it wrote (METHOD_NEITHER and direct methods
/// too). Waits for a pended request.
pub fn device_control(
    file: &File,
    code: u32,
    input: &[u8],
    output_length: usize,
    internal: bool,
) -> (NtStatus, Vec<u8>) {
    let mut input = input.to_vec();
    let mut output = vec![0u8; output_length];
    let control = Control {
        code,
        input: if input.is_empty() { std::ptr::null_mut() } else { input.as_mut_ptr().cast() },
        input_length: input.len() as u32,
        output: if output.is_empty() { std::ptr::null_mut() } else { output.as_mut_ptr().cast::<c_void>() },
        output_length: output_length as u32,
        internal,
    };
    // SAFETY: the file keeps its device; the buffers live until the request is back.
    let result = unsafe {
        let object = file.object();
        let top = top_of((*object).DeviceObject);
        let irp = build::device_control(top, &control, std::ptr::null_mut(), std::ptr::null_mut());
        if irp.is_null() {
            return (NtStatus::INSUFFICIENT_RESOURCES, Vec::new());
        }
        (*irp).RequestorMode = 1;
        set_file(irp, object);
        wait_for(top, irp)
    };
    let written = if result.Status.is_error() { 0 } else { result.Information.min(output_length) };
    output.truncate(written);
    (result.Status, output)
}

/// Makes a request one of a file.
pub(crate) unsafe fn set_file(irp: *mut IRP, file: *mut FILE_OBJECT) {
    // SAFETY: the caller's fresh IRP.
    unsafe {
        let location = (*irp).Tail.Overlay.CurrentStackLocation.wrapping_sub(1);
        (*location).FileObject = file.cast();
        (*irp).Tail.Overlay.OriginalFileObject = file.cast();
    }
}

/// Closes a file: IRP_MJ_CLEANUP, then IRP_MJ_CLOSE when nobody else refers to it.
pub fn close(file: File) {
    drop(file);
}
