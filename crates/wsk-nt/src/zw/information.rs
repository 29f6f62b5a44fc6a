//! Questions to the system and to threads (DDI: ZwQuerySystemInformation, ZwSetInformationThread), tracing that nobody
//! listens to (Etw, Wmi), and yielding.
#![allow(unsafe_code)] // Fills buffers of the driver.

use std::ffi::c_void;

use wsk_abi::NtStatus;
use wsk_abi::io::HANDLE;

use crate::exports;
use crate::ke::processor;
use crate::ke::time::TICK;
use crate::ob::{self, handle};
use crate::ps::thread;

/// ZwQuerySystemInformation: classes 0 (basic) and 3 (time of day); others are invalid.
unsafe extern "win64" fn ZwQuerySystemInformation(
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> NtStatus {
    let mut record = Vec::new();
    match class {
        0 => {
            record.extend([0, TICK, 4096, 0x40_0000, 1, 0x40_0000, 0x1_0000, 0].map(u32::to_le_bytes).concat());
            let active = if processor::count() >= 64 { u64::MAX } else { (1 << processor::count()) - 1 };
            record.extend(
                [0x1_0000, 0x7fff_fffe_ffff, active, u64::from(processor::count())].map(u64::to_le_bytes).concat(),
            );
        }
        3 => {
            let now = crate::ke::time::system_time();
            let boot = now - crate::ke::time::interrupt_time() as i64;
            record.extend([boot, now, 0, 0, 0, 0].map(i64::to_le_bytes).concat());
        }
        _ => return NtStatus::INVALID_INFO_CLASS,
    }
    // SAFETY: the driver's buffer of that length and variable.
    unsafe {
        if !needed.is_null() {
            needed.write(record.len() as u32);
        }
        if (length as usize) < record.len() {
            return NtStatus::INFO_LENGTH_MISMATCH;
        }
        std::ptr::copy_nonoverlapping(record.as_ptr(), buffer, record.len());
    }
    NtStatus::SUCCESS
}

fn is_thread(handle: HANDLE) -> Result<(), NtStatus> {
    let object = handle::look_up(handle, Some(thread::kind()))?;
    // SAFETY: just referenced.
    unsafe { ob::dereference(object) };
    Ok(())
}

/// ZwSetInformationThread: priorities (2, 3), affinity (4), ideal processor (13), group affinity (30), name (38) are taken
/// note of by nobody: threads are Linux's to schedule.
extern "win64" fn ZwSetInformationThread(handle: HANDLE, class: u32, _buffer: *const c_void, _length: u32) -> NtStatus {
    match is_thread(handle) {
        Ok(()) if matches!(class, 2 | 3 | 4 | 13 | 30 | 33 | 38) => NtStatus::SUCCESS,
        Ok(()) => NtStatus::INVALID_INFO_CLASS,
        Err(status) => status,
    }
}

/// ZwQueryInformationThread: group affinity (30).
unsafe extern "win64" fn ZwQueryInformationThread(
    handle: HANDLE,
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> NtStatus {
    if let Err(status) = is_thread(handle) {
        return status;
    }
    if class != 30 {
        return NtStatus::INVALID_INFO_CLASS;
    }
    let all = if processor::count() >= 64 { u64::MAX } else { (1 << processor::count()) - 1 };
    // SAFETY: the driver's buffer of that length and variable.
    unsafe {
        if !needed.is_null() {
            needed.write(16);
        }
        if length < 16 {
            return NtStatus::INFO_LENGTH_MISMATCH;
        }
        buffer.cast::<[u64; 2]>().write_unaligned([all, 0]);
    }
    NtStatus::SUCCESS
}

/// ZwYieldExecution.
extern "win64" fn ZwYieldExecution() -> NtStatus {
    std::thread::yield_now();
    NtStatus::SUCCESS
}

/// EtwRegister: a handle that is enabled for nobody.
unsafe extern "win64" fn EtwRegister(
    _provider: *const c_void,
    _callback: *mut c_void,
    _context: *mut c_void,
    handle: *mut u64,
) -> NtStatus {
    // SAFETY: the driver's variable (DDI).
    unsafe { handle.write(1) };
    NtStatus::SUCCESS
}

/// EtwUnregister, EtwSetInformation, EtwWrite, EtwWriteTransfer, IoWMIRegistrationControl: quiet successes.
extern "win64" fn EtwUnregister() -> NtStatus {
    NtStatus::SUCCESS
}

/// EtwProviderEnabled, EtwEventEnabled: no.
extern "win64" fn EtwEventEnabled() -> u8 {
    0
}

/// EtwActivityIdControl: EVENT_ACTIVITY_CTRL_CREATE_ID, 3, and its kin need an id, which nobody correlates.
unsafe extern "win64" fn EtwActivityIdControl(code: u32, id: *mut [u8; 16]) -> NtStatus {
    if matches!(code, 1 | 3 | 5) {
        let mut bytes = [0; 16];
        crate::ex::services::random_bytes(&mut bytes);
        // SAFETY: the driver's variable (DDI).
        unsafe { id.write(bytes) };
    }
    NtStatus::SUCCESS
}

/// IoWriteErrorLogEntry: gives the packet back.
unsafe extern "win64" fn IoFreeErrorLogEntry(packet: *mut c_void) {
    // SAFETY: from IoAllocateErrorLogEntry.
    unsafe { crate::ex::pool::ExFreePool(packet) };
}

/// IoAllocateErrorLogEntry.
extern "win64" fn IoAllocateErrorLogEntry(_object: *mut c_void, size: u8) -> *mut c_void {
    crate::ex::pool::for_driver(size.into(), b"IoEr").cast()
}

exports! {
    ZwQuerySystemInformation, NtQuerySystemInformation = ZwQuerySystemInformation, ZwSetInformationThread,
    NtSetInformationThread = ZwSetInformationThread, ZwQueryInformationThread, ZwYieldExecution, EtwRegister, EtwUnregister,
    EtwSetInformation = EtwUnregister, EtwWrite = EtwUnregister, EtwWriteTransfer = EtwUnregister,
    EtwWriteEx = EtwUnregister, EtwWriteString = EtwUnregister, IoWMIRegistrationControl = EtwUnregister, EtwEventEnabled,
    EtwProviderEnabled = EtwEventEnabled, EtwActivityIdControl, IoFreeErrorLogEntry,
    IoWriteErrorLogEntry = IoFreeErrorLogEntry, IoAllocateErrorLogEntry,
}
