//! DRIVER_OBJECT, as drivers see it.
#![allow(non_snake_case, non_camel_case_types)] // C names verbatim.

use std::ffi::c_void;

use wsk_abi::io::UNICODE_STRING;

/// DRIVER_OBJECT (wdm.h).
#[repr(C)]
pub(crate) struct DRIVER_OBJECT {
    pub(crate) Type: i16,
    pub(crate) Size: i16,
    pub(crate) DeviceObject: *mut c_void,
    pub(crate) Flags: u32,
    pub(crate) DriverStart: *mut c_void,
    pub(crate) DriverSize: u32,
    pub(crate) DriverSection: *mut c_void,
    pub(crate) DriverExtension: *mut c_void,
    pub(crate) DriverName: UNICODE_STRING,
    pub(crate) HardwareDatabase: *mut UNICODE_STRING,
    pub(crate) FastIoDispatch: *mut c_void,
    pub(crate) DriverInit: *mut c_void,
    pub(crate) DriverStartIo: *mut c_void,
    pub(crate) DriverUnload: Option<unsafe extern "win64" fn(*mut DRIVER_OBJECT)>,
    pub(crate) MajorFunction: [*mut c_void; 28],
}

const _: () = assert!(size_of::<DRIVER_OBJECT>() == 336);
