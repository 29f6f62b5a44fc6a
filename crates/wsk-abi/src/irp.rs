//! I/O request packets and their stack locations (DDI: IRP, IO_STACK_LOCATION; functions.md 2).
//!
//! [`parameters`] holds the members of `IO_STACK_LOCATION::Parameters`, one structure per major or minor function.
#![allow(non_snake_case, non_camel_case_types)] // C names verbatim.

use core::ffi::c_void;

use crate::NtStatus;
pub use crate::constants::irp::*;
use crate::io::{
    BOOLEAN, IO_STATUS_BLOCK, KAPC, KDEVICE_QUEUE_ENTRY, KEVENT, KIRQL, KPROCESSOR_MODE, LARGE_INTEGER, LIST_ENTRY,
    PDEVICE_OBJECT, PETHREAD, PFILE_OBJECT,
};
use crate::mdl::MDL;

pub mod parameters;

pub use self::parameters::IO_STACK_LOCATION_Parameters;

/// An IRP by address.
pub type PIRP = *mut IRP;

/// A completion routine (DDI: IO_COMPLETION_ROUTINE; F-42).
pub type PIO_COMPLETION_ROUTINE =
    Option<unsafe extern "win64" fn(DeviceObject: PDEVICE_OBJECT, Irp: *mut IRP, Context: *mut c_void) -> NtStatus>;
/// A cancel routine (DDI: DRIVER_CANCEL).
pub type PDRIVER_CANCEL = Option<unsafe extern "win64" fn(DeviceObject: PDEVICE_OBJECT, Irp: *mut IRP)>;
/// An APC routine of the requestor (DDI: PIO_APC_ROUTINE).
pub type PIO_APC_ROUTINE =
    Option<unsafe extern "win64" fn(ApcContext: *mut c_void, IoStatusBlock: *mut IO_STATUS_BLOCK, Reserved: u32)>;

/// `IRP::AssociatedIrp`.
#[repr(C)]
#[derive(Clone, Copy)]
pub union IRP_AssociatedIrp {
    /// Of an associated IRP: its master.
    pub MasterIrp: *mut IRP,
    /// Of a master IRP: associated IRPs that are still out.
    pub IrpCount: i32,
    /// The system buffer of buffered I/O.
    pub SystemBuffer: *mut c_void,
}

/// `IRP::Overlay.AsynchronousParameters`; C overlays both members with others of the same size.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct IRP_Overlay_AsynchronousParameters {
    /// The requestor's APC routine.
    pub UserApcRoutine: PIO_APC_ROUTINE,
    /// Its context.
    pub UserApcContext: *mut c_void,
}

/// `IRP::Overlay`.
#[repr(C)]
#[derive(Clone, Copy)]
pub union IRP_Overlay {
    /// Of asynchronous requests.
    pub AsynchronousParameters: IRP_Overlay_AsynchronousParameters,
    /// Of creation.
    pub AllocationSize: LARGE_INTEGER,
}

/// The first union of `IRP::Tail.Overlay`.
#[repr(C)]
#[derive(Clone, Copy)]
pub union IRP_Tail_Overlay_0 {
    /// While in a device queue.
    pub DeviceQueueEntry: KDEVICE_QUEUE_ENTRY,
    /// For the driver that owns the IRP at the moment.
    pub DriverContext: [*mut c_void; 4],
}

/// `IRP::Tail.Overlay`. C overlays the stack location with a packet type used by completion ports only.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IRP_Tail_Overlay {
    /// The unnamed union.
    pub Anonymous: IRP_Tail_Overlay_0,
    /// The requestor's thread.
    pub Thread: PETHREAD,
    /// Reserved.
    pub AuxiliaryBuffer: *mut i8,
    /// For the driver that owns the IRP at the moment.
    pub ListEntry: LIST_ENTRY,
    /// The stack location in use.
    pub CurrentStackLocation: *mut IO_STACK_LOCATION,
    /// The file object the request was made on.
    pub OriginalFileObject: PFILE_OBJECT,
}

/// `IRP::Tail`.
#[repr(C)]
#[derive(Clone, Copy)]
pub union IRP_Tail {
    /// While the IRP travels.
    pub Overlay: IRP_Tail_Overlay,
    /// While it completes.
    pub Apc: KAPC,
    /// When it is queued to a completion port.
    pub CompletionKey: *mut c_void,
}

/// An I/O request packet; its stack locations follow it.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct IRP {
    /// `IO_TYPE_IRP`.
    pub Type: i16,
    /// Bytes of the packet with its stack locations.
    pub Size: u16,
    /// Buffer of direct I/O.
    pub MdlAddress: *mut MDL,
    /// `IRP_...` flags.
    pub Flags: u32,
    /// Master IRP, count or system buffer.
    pub AssociatedIrp: IRP_AssociatedIrp,
    /// Link in the requestor thread's list.
    pub ThreadListEntry: LIST_ENTRY,
    /// Final status and information.
    pub IoStatus: IO_STATUS_BLOCK,
    /// Where the request came from.
    pub RequestorMode: KPROCESSOR_MODE,
    /// Whether the level below was marked pending (F-43).
    pub PendingReturned: BOOLEAN,
    /// Stack locations.
    pub StackCount: i8,
    /// The one in use, counted from 1; `StackCount` + 1 before the first.
    pub CurrentLocation: i8,
    /// Whether the request is to be cancelled.
    pub Cancel: BOOLEAN,
    /// Level to restore when the cancel spin lock is released.
    pub CancelIrql: KIRQL,
    /// APC environment of the requestor.
    pub ApcEnvironment: i8,
    /// How the packet was allocated, `IRP_QUOTA_CHARGED` and those after it.
    pub AllocationFlags: u8,
    /// The requestor's status block; C overlays it with an I/O ring's context.
    pub UserIosb: *mut IO_STATUS_BLOCK,
    /// The requestor's event.
    pub UserEvent: *mut KEVENT,
    /// Asynchronous parameters or allocation size.
    pub Overlay: IRP_Overlay,
    /// Routine of the level that can cancel the request now.
    pub CancelRoutine: PDRIVER_CANCEL,
    /// The requestor's buffer.
    pub UserBuffer: *mut c_void,
    /// By stage of the request.
    pub Tail: IRP_Tail,
}

assert_layout!(IRP, size 208, align 16, Type @ 0, Size @ 2, MdlAddress @ 8, Flags @ 16,
    AssociatedIrp @ 24, ThreadListEntry @ 32, IoStatus @ 48, RequestorMode @ 64, PendingReturned @
    65, StackCount @ 66, CurrentLocation @ 67, Cancel @ 68, CancelIrql @ 69, ApcEnvironment @ 70,
    AllocationFlags @ 71, UserIosb @ 72, UserEvent @ 80, Overlay @ 88, CancelRoutine @ 104,
    UserBuffer @ 112, Tail @ 120, Tail.Overlay.Anonymous.DriverContext @ 120, Tail.Overlay.Thread @
    152, Tail.Overlay.AuxiliaryBuffer @ 160, Tail.Overlay.ListEntry @ 168,
    Tail.Overlay.CurrentStackLocation @ 184, Tail.Overlay.OriginalFileObject @ 192, Tail.Apc @ 120);

/// One level's view of a request.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION {
    /// `IRP_MJ_...`.
    pub MajorFunction: u8,
    /// `IRP_MN_...`.
    pub MinorFunction: u8,
    /// By major function, `SL_...`.
    pub Flags: u8,
    /// `SL_PENDING_RETURNED` and when to invoke the completion routine (F-41, F-43).
    pub Control: u8,
    /// By major function.
    pub Parameters: IO_STACK_LOCATION_Parameters,
    /// The target device.
    pub DeviceObject: PDEVICE_OBJECT,
    /// The file object.
    pub FileObject: PFILE_OBJECT,
    /// Completion routine of the level above.
    pub CompletionRoutine: PIO_COMPLETION_ROUTINE,
    /// Its context.
    pub Context: *mut c_void,
}

assert_layout!(IO_STACK_LOCATION, size 72, align 8, MajorFunction @ 0, MinorFunction @ 1, Flags @ 2,
    Control @ 3, Parameters @ 8, DeviceObject @ 40, FileObject @ 48, CompletionRoutine @ 56, Context
    @ 64);
