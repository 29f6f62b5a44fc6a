//! The process: there is one, the system process (DDI: PsGetCurrentProcess).
#![allow(unsafe_code)] // The process object is raw memory.

use std::ffi::c_void;
use std::sync::OnceLock;

use wsk_abi::io::DISPATCHER_HEADER;

use crate::exports;
use crate::ke::wait::{initialize, kind};
use crate::ob::{self, ObjectType, TypeVariable};

/// EPROCESS, as far as anybody looks.
#[repr(C)]
struct Process {
    header: DISPATCHER_HEADER,
}

static PROCESS: ObjectType = ObjectType::plain("Process");

/// PsProcessType.
static PsProcessType: TypeVariable = TypeVariable::new(&PROCESS);

/// The system process's object.
pub(crate) fn current() -> *mut u8 {
    static SYSTEM: OnceLock<usize> = OnceLock::new();
    *SYSTEM.get_or_init(|| {
        let object = ob::create(&PROCESS, 4096);
        // SAFETY: fresh memory of that size.
        unsafe { initialize(object.cast(), kind::PROCESS, size_of::<Process>(), 0) };
        object as usize
    }) as *mut u8
}

/// The variable behind PsInitialSystemProcess.
#[repr(transparent)]
struct Initial(std::sync::atomic::AtomicPtr<u8>);

/// PsInitialSystemProcess.
static PsInitialSystemProcess: Initial = Initial(std::sync::atomic::AtomicPtr::new(std::ptr::null_mut()));

/// Fills the variables that point at objects; before the first driver is loaded.
pub(crate) fn prepare() {
    PsInitialSystemProcess.0.store(current(), std::sync::atomic::Ordering::SeqCst);
}

/// IoGetCurrentProcess, PsGetCurrentProcess.
extern "win64" fn IoGetCurrentProcess() -> *mut c_void {
    current().cast()
}

/// PsGetCurrentProcessId: 4, the system's.
extern "win64" fn PsGetCurrentProcessId() -> *mut c_void {
    4 as *mut c_void
}

/// PsGetProcessId.
extern "win64" fn PsGetProcessId(_process: *mut c_void) -> *mut c_void {
    4 as *mut c_void
}

/// IoIs32bitProcess, PsGetProcessWow64Process, PsIsCurrentThreadInServerSilo: no.
extern "win64" fn IoIs32bitProcess(_irp: *mut c_void) -> u8 {
    0
}

/// PsIsSystemProcess.
extern "win64" fn PsIsSystemProcess(_process: *mut c_void) -> u8 {
    1
}

/// KeStackAttachProcess, KeUnstackDetachProcess: there is one process.
extern "win64" fn KeStackAttachProcess(_process: *mut c_void, _state: *mut c_void) {}

/// PsGetHostSilo, PsGetCurrentServerSilo, PsGetCurrentSilo: the host silo is NULL.
extern "win64" fn PsGetHostSilo() -> *mut c_void {
    std::ptr::null_mut()
}

/// PsIsCurrentThreadInServerSilo.
extern "win64" fn PsIsCurrentThreadInServerSilo() -> u8 {
    0
}

/// PsAttachSiloToCurrentThread: the earlier silo, which is the host's.
extern "win64" fn PsAttachSiloToCurrentThread(_silo: *mut c_void) -> *mut c_void {
    std::ptr::null_mut()
}

/// PsDetachSiloFromCurrentThread.
extern "win64" fn PsDetachSiloFromCurrentThread(_previous: *mut c_void) {}

exports! {
    data PsProcessType, data PsInitialSystemProcess, IoGetCurrentProcess, PsGetCurrentProcess = IoGetCurrentProcess,
    PsGetCurrentProcessId, PsGetProcessId, IoIs32bitProcess, PsIsSystemProcess, KeStackAttachProcess,
    KeUnstackDetachProcess = KeUnstackDetachProcess, PsGetHostSilo, PsGetCurrentServerSilo = PsGetHostSilo,
    PsGetCurrentSilo = PsGetHostSilo, PsIsCurrentThreadInServerSilo, PsAttachSiloToCurrentThread,
    PsDetachSiloFromCurrentThread,
}

/// KeUnstackDetachProcess.
extern "win64" fn KeUnstackDetachProcess(_state: *mut c_void) {}
