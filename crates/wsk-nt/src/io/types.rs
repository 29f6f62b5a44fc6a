//! DEVICE_OBJECT, DRIVER_OBJECT, FILE_OBJECT and what they are made of, with their real layouts (wdm.h).
#![allow(missing_docs)] // The members are those of the DDI pages.
#![allow(unsafe_code)] // Types of unsafe functions; no code.

use std::ffi::c_void;

use wsk_abi::NtStatus;
use wsk_abi::io::{KDEVICE_QUEUE_ENTRY, KEVENT, LIST_ENTRY, UNICODE_STRING};
use wsk_abi::irp::IRP;

use crate::ke::dpc::KDPC;

/// DDI: DRIVER_DISPATCH.
pub type PDRIVER_DISPATCH = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP) -> NtStatus>;
/// DDI: DRIVER_UNLOAD.
pub type PDRIVER_UNLOAD = Option<unsafe extern "win64" fn(*mut DRIVER_OBJECT)>;
/// DDI: DRIVER_INITIALIZE.
pub type PDRIVER_INITIALIZE = Option<unsafe extern "win64" fn(*mut DRIVER_OBJECT, *mut UNICODE_STRING) -> NtStatus>;
/// DDI: DRIVER_ADD_DEVICE.
pub type PDRIVER_ADD_DEVICE = Option<unsafe extern "win64" fn(*mut DRIVER_OBJECT, *mut DEVICE_OBJECT) -> NtStatus>;
/// DDI: DRIVER_STARTIO.
pub type PDRIVER_STARTIO = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP)>;

/// DDI: KDEVICE_QUEUE.
#[repr(C)]
#[derive(Debug)]
pub struct KDEVICE_QUEUE {
    pub Type: i16,
    pub Size: i16,
    pub DeviceListHead: LIST_ENTRY,
    pub Lock: usize,
    /// The low byte of a word, the rest of which is a hint.
    pub Busy: u8,
    _hint: [u8; 7],
}

/// DDI: WAIT_CONTEXT_BLOCK.
#[repr(C)]
#[derive(Debug)]
pub struct WAIT_CONTEXT_BLOCK {
    pub WaitQueueEntry: KDEVICE_QUEUE_ENTRY,
    pub DeviceRoutine: *mut c_void,
    pub DeviceContext: *mut c_void,
    pub NumberOfMapRegisters: u32,
    pub DeviceObject: *mut c_void,
    pub CurrentIrp: *mut c_void,
    pub BufferChainingDpc: *mut KDPC,
}

/// DDI: DEVICE_OBJECT.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct DEVICE_OBJECT {
    pub Type: i16,
    pub Size: u16,
    pub ReferenceCount: i32,
    pub DriverObject: *mut DRIVER_OBJECT,
    pub NextDevice: *mut DEVICE_OBJECT,
    pub AttachedDevice: *mut DEVICE_OBJECT,
    pub CurrentIrp: *mut IRP,
    pub Timer: *mut c_void,
    pub Flags: u32,
    pub Characteristics: u32,
    pub Vpb: *mut c_void,
    pub DeviceExtension: *mut c_void,
    pub DeviceType: u32,
    pub StackSize: i8,
    pub Queue: WAIT_CONTEXT_BLOCK,
    pub AlignmentRequirement: u32,
    pub DeviceQueue: KDEVICE_QUEUE,
    pub Dpc: KDPC,
    pub ActiveThreadCount: u32,
    pub SecurityDescriptor: *mut c_void,
    pub DeviceLock: KEVENT,
    pub SectorSize: u16,
    pub Spare1: u16,
    pub DeviceObjectExtension: *mut DEVOBJ_EXTENSION,
    pub Reserved: *mut c_void,
}

/// DEVOBJ_EXTENSION.
#[repr(C)]
#[derive(Debug)]
pub struct DEVOBJ_EXTENSION {
    pub Type: i16,
    pub Size: u16,
    pub DeviceObject: *mut DEVICE_OBJECT,
    pub PowerFlags: u32,
    pub Dope: *mut c_void,
    pub ExtensionFlags: u32,
    pub DeviceNode: *mut c_void,
    pub AttachedTo: *mut DEVICE_OBJECT,
    pub StartIoCount: i32,
    pub StartIoKey: i32,
    pub StartIoFlags: u32,
    pub Vpb: *mut c_void,
    pub DependencyNode: *mut c_void,
    pub InterruptContext: *mut c_void,
    pub InterruptCount: i32,
    pub VerifierContext: *mut c_void,
}

/// DDI: DRIVER_EXTENSION.
#[repr(C)]
#[derive(Debug)]
pub struct DRIVER_EXTENSION {
    pub DriverObject: *mut DRIVER_OBJECT,
    pub AddDevice: PDRIVER_ADD_DEVICE,
    pub Count: u32,
    pub ServiceKeyName: UNICODE_STRING,
}

/// DDI: DRIVER_OBJECT.
#[repr(C)]
#[derive(Debug)]
pub struct DRIVER_OBJECT {
    pub Type: i16,
    pub Size: i16,
    pub DeviceObject: *mut DEVICE_OBJECT,
    pub Flags: u32,
    pub DriverStart: *mut c_void,
    pub DriverSize: u32,
    pub DriverSection: *mut c_void,
    pub DriverExtension: *mut DRIVER_EXTENSION,
    pub DriverName: UNICODE_STRING,
    pub HardwareDatabase: *mut UNICODE_STRING,
    pub FastIoDispatch: *mut c_void,
    pub DriverInit: PDRIVER_INITIALIZE,
    pub DriverStartIo: PDRIVER_STARTIO,
    pub DriverUnload: PDRIVER_UNLOAD,
    pub MajorFunction: [PDRIVER_DISPATCH; 28],
}

/// DDI: FILE_OBJECT.
#[repr(C)]
#[derive(Debug)]
pub struct FILE_OBJECT {
    pub Type: i16,
    pub Size: i16,
    pub DeviceObject: *mut DEVICE_OBJECT,
    pub Vpb: *mut c_void,
    pub FsContext: *mut c_void,
    pub FsContext2: *mut c_void,
    pub SectionObjectPointer: *mut c_void,
    pub PrivateCacheMap: *mut c_void,
    pub FinalStatus: NtStatus,
    pub RelatedFileObject: *mut FILE_OBJECT,
    pub LockOperation: u8,
    pub DeletePending: u8,
    pub ReadAccess: u8,
    pub WriteAccess: u8,
    pub DeleteAccess: u8,
    pub SharedRead: u8,
    pub SharedWrite: u8,
    pub SharedDelete: u8,
    pub Flags: u32,
    pub FileName: UNICODE_STRING,
    pub CurrentByteOffset: i64,
    pub Waiters: u32,
    pub Busy: u32,
    pub LastLock: *mut c_void,
    pub Lock: KEVENT,
    pub Event: KEVENT,
    pub CompletionContext: *mut c_void,
    pub IrpListLock: usize,
    pub IrpList: LIST_ENTRY,
    pub FileObjectExtension: *mut c_void,
}

/// DDI: IO_SECURITY_CONTEXT.
#[repr(C)]
#[derive(Debug)]
pub struct IO_SECURITY_CONTEXT {
    pub SecurityQos: *mut c_void,
    pub AccessState: *mut c_void,
    pub DesiredAccess: u32,
    pub FullCreateOptions: u32,
}
