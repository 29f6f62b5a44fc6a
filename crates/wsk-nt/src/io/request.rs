//! Requests that the host makes of a driver, as a program would: open a device, control it, close it.
#![allow(unsafe_code)] // Builds IRPs and sends them.

use std::ffi::c_void;
use std::time::Duration;

use wsk_abi::NtStatus;
use wsk_abi::io::{IO_STATUS_BLOCK, KEVENT};
use wsk_abi::irp::*;

use super::build::{self, Control};
use super::cancel;
use super::complete::{AtEnd, own, stop_keeping};
use super::device::top_of;
use super::driver::call_driver;
use super::file::{self, File};
use super::irp;
use super::types::{DEVICE_OBJECT, FILE_OBJECT};
use crate::ke::event::KeInitializeEvent;
use crate::ke::wait;
use crate::{ob, verify};

/// How long a request may take to come back once its dispatch routine returned, without having pended it.
const GRACE: Duration = Duration::from_millis(100);
/// How long a request may take to come back once it is cancelled.
const PATIENCE: Duration = if cfg!(test) { Duration::from_millis(300) } else { Duration::from_secs(5) };
/// How often a requestor is asked whether it gives up.
const SLICE: Duration = Duration::from_millis(50);

/// What became of a request.
pub(crate) enum Sent {
    /// It came back.
    Done(IO_STATUS_BLOCK),
    /// It did not, which was reported: the driver may still use the IRP and what it refers to.
    Abandoned,
}

impl Sent {
    /// The status; STATUS_CANCELLED if it did not come back.
    pub(crate) fn status(&self) -> NtStatus {
        match self {
            Sent::Done(iosb) => iosb.Status,
            Sent::Abandoned => NtStatus::CANCELLED,
        }
    }
}

/// Sends a request to the device's stack and waits: `set_up` fills the IRP and its first location.
pub(crate) unsafe fn send(device: *mut DEVICE_OBJECT, set_up: impl FnOnce(*mut IRP, *mut IO_STACK_LOCATION)) -> Sent {
    // SAFETY: the caller's device.
    unsafe {
        let top = top_of(device);
        let irp = irp::allocate((*top).StackSize);
        if irp.is_null() {
            return Sent::Done(IO_STATUS_BLOCK { Status: NtStatus::INSUFFICIENT_RESOURCES, Information: 0 });
        }
        set_up(irp, (*irp).Tail.Overlay.CurrentStackLocation.wrapping_sub(1));
        wait_for(top, irp, None)
    }
}

/// What a request that is under way refers to; not freed if it does not come back.
#[derive(Default)]
struct Waited {
    event: KEVENT,
    iosb: IO_STATUS_BLOCK,
}

/// Sends an IRP of ours and waits until it is back: for ever if it is pended, unless the requestor gives up; not if the
/// dispatch routine is over and done with it.
unsafe fn wait_for(device: *mut DEVICE_OBJECT, irp: *mut IRP, give_up: Option<&dyn Fn() -> bool>) -> Sent {
    let waited = Box::into_raw(Box::<Waited>::default());
    // SAFETY: the IRP's owner is the I/O manager, which signals the event last. The IRP stays until it is freed here, or nobody
    // looks at it here any more.
    unsafe {
        let event = &raw mut (*waited).event;
        KeInitializeEvent(event, 0, 0);
        (*irp).UserEvent = event;
        (*irp).UserIosb = &raw mut (*waited).iosb;
        (*irp).Tail.Overlay.Thread = crate::ps::thread::current().cast();
        own(irp, AtEnd::Keep);
        let major = (*(*irp).Tail.Overlay.CurrentStackLocation.wrapping_sub(1)).MajorFunction;
        let routine = (*(*device).DriverObject).MajorFunction.get(major as usize).copied().flatten();
        let routine = routine.map_or(0, |routine| routine as usize);
        let is_back = |limit: Option<Duration>| {
            let limit = limit.map(|limit| -((limit.as_nanos() / 100) as i64));
            wait::wait(&[event.cast()], false, limit, "a request") == NtStatus::SUCCESS
        };
        let status = call_driver(device, irp);
        let failure = if status == NtStatus::PENDING {
            let came_back = match give_up {
                None => is_back(None),
                Some(give_up) => loop {
                    if is_back(Some(SLICE)) {
                        break true;
                    }
                    if give_up() {
                        cancel::cancel(irp);
                        break is_back(Some(PATIENCE));
                    }
                },
            };
            (!came_back)
                .then(|| format!("a request of major function {major:#x} did not come back once it was cancelled"))
        } else {
            let what = "without completing the IRP";
            (!is_back(Some(GRACE)))
                .then(|| format!("the dispatch routine of major function {major:#x} returned {status} {what}"))
        };
        if let Some(what) = failure {
            verify::violation_by("IRP not completed", what, routine);
            // A driver that pended it all the same gives it back.
            let is_over = status != NtStatus::PENDING && cancel::cancel(irp) && is_back(Some(PATIENCE));
            if !is_over && stop_keeping(irp) {
                return Sent::Abandoned;
            }
            // It came back just now: the event is signalled, or is about to be.
            is_back(None);
        }
        irp::free(irp);
        Sent::Done(Box::from_raw(waited).iosb)
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
    control_device(file, code, input, output_length, internal, None)
}

/// [`device_control`] that does not wait for ever: when `give_up` says so (it is asked every now and then) a pended request is
/// cancelled; if it does not come back within seconds, that is reported, and STATUS_CANCELLED returned.
pub fn device_control_until(
    file: &File,
    code: u32,
    input: &[u8],
    output_length: usize,
    internal: bool,
    give_up: &dyn Fn() -> bool,
) -> (NtStatus, Vec<u8>) {
    control_device(file, code, input, output_length, internal, Some(give_up))
}

fn control_device(
    file: &File,
    code: u32,
    input: &[u8],
    output_length: usize,
    internal: bool,
    give_up: Option<&dyn Fn() -> bool>,
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
    // SAFETY: the file keeps its device; the buffers live until the request is back, and for ever if it never is.
    unsafe {
        let object = file.object();
        let top = top_of((*object).DeviceObject);
        let irp = build::device_control(top, &control, std::ptr::null_mut(), std::ptr::null_mut());
        if irp.is_null() {
            return (NtStatus::INSUFFICIENT_RESOURCES, Vec::new());
        }
        (*irp).RequestorMode = 1;
        set_file(irp, object);
        match wait_for(top, irp, give_up) {
            Sent::Done(result) => {
                output.truncate(if result.Status.is_error() { 0 } else { result.Information.min(output_length) });
                (result.Status, output)
            }
            Sent::Abandoned => {
                std::mem::forget((input, output));
                ob::reference(object.cast());
                (NtStatus::CANCELLED, Vec::new())
            }
        }
    }
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
