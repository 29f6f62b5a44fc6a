//! Plug and play, as far as a system without hardware has it: registrations for devices that never come.
#![allow(unsafe_code)] // Fills variables of the driver.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use wsk_abi::NtStatus;

use crate::exports;
use crate::ke::irql::{self, PASSIVE_LEVEL};
use crate::verify;

static REGISTERED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// IoRegisterPlugPlayNotification: there is nothing to notify of.
unsafe extern "win64" fn IoRegisterPlugPlayNotification(
    _category: i32,
    _flags: u32,
    _data: *mut c_void,
    _driver: *mut c_void,
    callback: *mut c_void,
    _context: *mut c_void,
    entry: *mut *mut c_void,
) -> NtStatus {
    static NEXT: AtomicUsize = AtomicUsize::new(0x1000);
    irql::at_most(PASSIVE_LEVEL, "IoRegisterPlugPlayNotification");
    if callback.is_null() || entry.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    let id = NEXT.fetch_add(16, Ordering::Relaxed);
    REGISTERED.lock().push(id);
    // SAFETY: the driver's variable (DDI).
    unsafe { entry.write(id as *mut c_void) };
    NtStatus::SUCCESS
}

/// IoUnregisterPlugPlayNotificationEx.
extern "win64" fn IoUnregisterPlugPlayNotificationEx(entry: *mut c_void) -> NtStatus {
    let mut registered = REGISTERED.lock();
    let Some(at) = registered.iter().position(|&id| id == entry as usize) else {
        drop(registered);
        verify::violation("bad handle", "IoUnregisterPlugPlayNotification of what is not registered");
        return NtStatus::INVALID_PARAMETER;
    };
    registered.swap_remove(at);
    NtStatus::SUCCESS
}

/// IoInvalidateDeviceState, IoInvalidateDeviceRelations: nobody asks again.
extern "win64" fn IoInvalidateDeviceState(_device: *mut c_void) {}

/// PoStartNextPowerIrp: power IRPs are not serialized.
extern "win64" fn PoStartNextPowerIrp(_irp: *mut c_void) {}

/// PoSetPowerState: the state before, D0.
extern "win64" fn PoSetPowerState(_device: *mut c_void, _kind: i32, _state: i32) -> i32 {
    1
}

exports! {
    IoRegisterPlugPlayNotification, IoUnregisterPlugPlayNotificationEx,
    IoUnregisterPlugPlayNotification = IoUnregisterPlugPlayNotificationEx, IoInvalidateDeviceState,
    IoInvalidateDeviceRelations = IoInvalidateDeviceState, PoStartNextPowerIrp, PoSetPowerState,
}
