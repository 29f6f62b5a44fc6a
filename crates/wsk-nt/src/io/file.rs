//! File objects: opening devices (IRP_MJ_CREATE), IRP_MJ_CLEANUP at the last handle, IRP_MJ_CLOSE at the last reference
//! (DDI: ZwCreateFile, IoGetDeviceObjectPointer). There are no files on disks.
#![allow(unsafe_code)] // File objects are driver memory.

use std::ffi::c_void;

use wsk_abi::NtStatus;
use wsk_abi::io::{HANDLE, IO_STATUS_BLOCK, LIST_ENTRY, UNICODE_STRING};
use wsk_abi::irp::parameters::Create;
use wsk_abi::irp::*;

use super::build::{self, Control};
use super::device;
use super::request::{Sent, send, set_file};
use super::types::*;
use crate::ex::services::OBJECT_ATTRIBUTES;
use crate::exports;
use crate::ke::event::KeInitializeEvent;
use crate::ke::irql::{self, PASSIVE_LEVEL};
use crate::ob::{self, ObjectType, TypeVariable, handle};
use crate::text;

/// FO_HANDLE_CREATED, FO_CLEANUP_COMPLETE; ours: the create succeeded.
const CLEANED_UP: u32 = 0x4000;
const OPENED: u32 = 0x0100_0000;

static FILE: ObjectType = ObjectType::new("File", on_delete, on_last_handle);
/// IoFileObjectType.
static IoFileObjectType: TypeVariable = TypeVariable::new(&FILE);

#[repr(C)]
struct Whole {
    file: FILE_OBJECT,
    name: [u16; 260],
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Kernel,
    User,
}

/// Whether the request came back.
fn simple_request(file: *mut FILE_OBJECT, major: u8) -> bool {
    // SAFETY: a file that was opened; its device lives as long as it.
    let sent = unsafe {
        send((*file).DeviceObject, |irp, location| {
            (*location).MajorFunction = major;
            set_file(irp, file);
        })
    };
    matches!(sent, Sent::Done(_))
}

fn on_last_handle(object: *mut u8) {
    let file = object.cast::<FILE_OBJECT>();
    // SAFETY: the file lives: the caller holds a reference.
    unsafe {
        if (*file).Flags & (OPENED | CLEANED_UP) == OPENED {
            (*file).Flags |= CLEANED_UP;
            if !simple_request(file, IRP_MJ_CLEANUP) {
                // The driver still has it.
                ob::reference(object);
            }
        }
    }
}

fn on_delete(object: *mut u8) {
    let file = object.cast::<FILE_OBJECT>();
    // SAFETY: the last reference is going; the memory is there until we return.
    unsafe {
        if (*file).Flags & OPENED != 0 {
            on_last_handle(object);
            simple_request(file, IRP_MJ_CLOSE);
        }
        let device = (*file).DeviceObject;
        if !device.is_null() {
            ob::dereference(device.cast());
        }
    }
}

/// Opens a device by name: a file object with one reference.
pub(crate) fn open(name: &str, access: u32, mode: Mode) -> Result<*mut FILE_OBJECT, NtStatus> {
    let (device, rest) = device::look_up(name)?;
    let object = ob::create(&FILE, size_of::<Whole>().next_multiple_of(16));
    // SAFETY: fresh memory of that size, valid as zeros; the device is referenced.
    unsafe {
        if object.is_null() {
            ob::dereference(device.cast());
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        let whole = object.cast::<Whole>();
        let file = object.cast::<FILE_OBJECT>();
        (*file).Type = 5;
        (*file).Size = size_of::<FILE_OBJECT>() as i16;
        (*file).DeviceObject = device;
        (*file).ReadAccess = u8::from(access & 1 != 0);
        (*file).WriteAccess = u8::from(access & 2 != 0);
        KeInitializeEvent(&raw mut (*file).Lock, 1, 0);
        KeInitializeEvent(&raw mut (*file).Event, 0, 0);
        let list = &raw mut (*file).IrpList;
        list.write(LIST_ENTRY { Flink: list, Blink: list });
        let buffer = (&raw mut (*whole).name).cast::<u16>();
        let mut length = 0;
        for unit in rest.encode_utf16().take(259) {
            buffer.add(length).write(unit);
            length += 1;
        }
        let length = (length * 2) as u16;
        (*file).FileName = UNICODE_STRING {
            Length: length,
            MaximumLength: length,
            Buffer: if length == 0 { std::ptr::null_mut() } else { buffer },
        };
        let security = Box::into_raw(Box::new(IO_SECURITY_CONTEXT {
            SecurityQos: std::ptr::null_mut(),
            AccessState: std::ptr::null_mut(),
            DesiredAccess: access,
            FullCreateOptions: 0,
        }));
        let sent = send(device, |irp, location| {
            (*location).MajorFunction = IRP_MJ_CREATE;
            let mut parameters = Create::default();
            parameters.SecurityContext = security.cast();
            parameters.Options = 1 << 24;
            parameters.ShareAccess = 7;
            (*location).Parameters.Create = parameters;
            (*irp).RequestorMode = i8::from(mode == Mode::User);
            (*irp).Flags |= IRP_CREATE_OPERATION | IRP_SYNCHRONOUS_API;
            set_file(irp, file);
        });
        if let Sent::Done(_) = sent {
            drop(Box::from_raw(security));
        } else {
            // The driver still has both.
            ob::reference(object);
        }
        if sent.status().is_error() {
            ob::dereference(object);
            return Err(sent.status());
        }
        (*file).Flags |= OPENED;
        Ok(file)
    }
}

/// An open file of the host.
#[derive(Debug)]
pub struct File(*mut FILE_OBJECT);

// SAFETY: file objects are shared by reference count, and drivers serve them from any thread.
unsafe impl Send for File {}

impl File {
    pub(crate) fn from_open(file: *mut FILE_OBJECT) -> File {
        File(file)
    }

    /// The file object.
    pub fn object(&self) -> *mut FILE_OBJECT {
        self.0
    }
}

impl Drop for File {
    fn drop(&mut self) {
        on_last_handle(self.0.cast());
        // SAFETY: the reference of `open`.
        unsafe { ob::dereference(self.0.cast()) };
    }
}

/// IoGetDeviceObjectPointer: a referenced file and the device at the top of its stack.
pub(crate) unsafe extern "win64" fn IoGetDeviceObjectPointer(
    name: *const UNICODE_STRING,
    access: u32,
    file: *mut *mut FILE_OBJECT,
    device: *mut *mut DEVICE_OBJECT,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "IoGetDeviceObjectPointer");
    // SAFETY: the driver's string and variables (DDI).
    unsafe {
        match open(&text::wide(name), access, Mode::Kernel) {
            Ok(opened) => {
                // The handle it is opened by is closed at once.
                on_last_handle(opened.cast());
                file.write(opened);
                device.write(device::top_of((*opened).DeviceObject));
                NtStatus::SUCCESS
            }
            Err(status) => status,
        }
    }
}

/// IoGetRelatedDeviceObject.
unsafe extern "win64" fn IoGetRelatedDeviceObject(file: *mut FILE_OBJECT) -> *mut DEVICE_OBJECT {
    // SAFETY: the driver's file (DDI).
    unsafe { device::top_of((*file).DeviceObject) }
}

unsafe fn name_of(attributes: *const OBJECT_ATTRIBUTES) -> Result<String, NtStatus> {
    // SAFETY: the driver's attributes.
    unsafe {
        let attributes = attributes.as_ref().ok_or(NtStatus::INVALID_PARAMETER)?;
        let name = text::wide(attributes.ObjectName);
        if attributes.RootDirectory.is_null() {
            return Ok(name);
        }
        let root = handle::look_up(attributes.RootDirectory, Some(&FILE))?;
        let file = root.cast::<FILE_OBJECT>();
        let device = ob::namespace::name_of((*file).DeviceObject.cast());
        let path = text::wide(&raw const (*file).FileName);
        ob::dereference(root);
        Ok(format!("{}{path}\\{name}", device.ok_or(NtStatus::OBJECT_NAME_INVALID)?))
    }
}

/// ZwCreateFile: devices only; any other path is not found.
#[allow(clippy::too_many_arguments)] // The DDI's.
pub(crate) unsafe extern "win64" fn ZwCreateFile(
    file: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    iosb: *mut IO_STATUS_BLOCK,
    _allocation: *const i64,
    _file_attributes: u32,
    _share: u32,
    _disposition: u32,
    _options: u32,
    _ea: *mut c_void,
    _ea_length: u32,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "ZwCreateFile");
    // SAFETY: the driver's attributes and variables (DDI).
    unsafe {
        let opened = name_of(attributes).and_then(|name| open(&name, access, Mode::Kernel));
        let status = match opened {
            Ok(object) => {
                file.write(handle::open(object.cast(), access));
                ob::dereference(object.cast());
                NtStatus::SUCCESS
            }
            Err(status) => status,
        };
        if !iosb.is_null() {
            iosb.write(IO_STATUS_BLOCK { Status: status, Information: usize::from(status.is_success()) });
        }
        status
    }
}

/// ZwOpenFile.
unsafe extern "win64" fn ZwOpenFile(
    file: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    iosb: *mut IO_STATUS_BLOCK,
    share: u32,
    options: u32,
) -> NtStatus {
    // SAFETY: as declared.
    unsafe {
        ZwCreateFile(file, access, attributes, iosb, std::ptr::null(), 0, share, 1, options, std::ptr::null_mut(), 0)
    }
}

/// ZwDeviceIoControlFile: waits for the request, whatever the file was opened for; then signals the event.
#[allow(clippy::too_many_arguments)] // The DDI's.
unsafe extern "win64" fn ZwDeviceIoControlFile(
    file: HANDLE,
    event: HANDLE,
    _apc: *mut c_void,
    _apc_context: *mut c_void,
    iosb: *mut IO_STATUS_BLOCK,
    code: u32,
    input: *mut c_void,
    input_length: u32,
    output: *mut c_void,
    output_length: u32,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "ZwDeviceIoControlFile");
    let object = match handle::look_up(file, Some(&FILE)) {
        Ok(object) => object,
        Err(status) => return status,
    };
    let control = Control { code, input, input_length, output, output_length, internal: false };
    // SAFETY: a referenced file; the driver's buffers and variables (DDI).
    unsafe {
        let file = object.cast::<FILE_OBJECT>();
        let top = device::top_of((*file).DeviceObject);
        let mut done = wsk_abi::io::KEVENT::default();
        KeInitializeEvent(&raw mut done, 0, 0);
        let irp = build::device_control(top, &control, &raw mut done, iosb);
        if irp.is_null() {
            ob::dereference(object);
            return NtStatus::INSUFFICIENT_RESOURCES;
        }
        set_file(irp, file);
        super::driver::call_driver(top, irp);
        crate::ke::wait::wait(&[(&raw mut done).cast()], false, None, "ZwDeviceIoControlFile");
        if !event.is_null()
            && let Ok(event) = handle::look_up(event, None)
        {
            crate::ke::event::set(event.cast());
            ob::dereference(event);
        }
        ob::dereference(object);
        (*iosb).Status
    }
}

/// The type of files.
pub(crate) fn kind() -> &'static ObjectType {
    &FILE
}

exports! {
    data IoFileObjectType, IoGetDeviceObjectPointer, IoGetRelatedDeviceObject, ZwCreateFile, NtCreateFile = ZwCreateFile,
    IoCreateFile = ZwCreateFile, ZwOpenFile, NtOpenFile = ZwOpenFile, ZwDeviceIoControlFile,
    NtDeviceIoControlFile = ZwDeviceIoControlFile,
}
