//! The executive's structures that the NPI mentions: lists, strings, events, status blocks (wdm.h, ntdef.h), and the
//! objects it only passes on.
#![allow(non_snake_case, non_camel_case_types)] // C names verbatim.

use core::ffi::c_void;

use crate::NtStatus;
pub use crate::constants::increment::*;

/// An object handle.
pub type HANDLE = *mut c_void;
/// An interrupt request level.
pub type KIRQL = u8;
/// KernelMode (0) or UserMode (1).
pub type KPROCESSOR_MODE = i8;
/// A spin lock.
pub type KSPIN_LOCK = usize;
/// 0 or 1, one byte.
pub type BOOLEAN = u8;
/// A security descriptor, by address.
pub type PSECURITY_DESCRIPTOR = *mut c_void;

opaque! {
    /// A process; [`PEPROCESS`] of the NPI.
    EPROCESS;
    /// A thread; [`PETHREAD`] of the NPI.
    ETHREAD;
    /// A device object; laid out by the executive.
    DEVICE_OBJECT;
    /// A file object; laid out by the executive.
    FILE_OBJECT;
}

/// A process by address; null means none.
pub type PEPROCESS = *mut EPROCESS;
/// A thread by address; null means none.
pub type PETHREAD = *mut ETHREAD;
/// A device object by address.
pub type PDEVICE_OBJECT = *mut DEVICE_OBJECT;
/// A file object by address.
pub type PFILE_OBJECT = *mut FILE_OBJECT;

/// A link of a doubly linked list, or its head.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct LIST_ENTRY {
    /// Next.
    pub Flink: *mut LIST_ENTRY,
    /// Previous.
    pub Blink: *mut LIST_ENTRY,
}

assert_layout!(LIST_ENTRY, size 16, align 8, Flink @ 0, Blink @ 8);

/// A link of a singly linked list.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SINGLE_LIST_ENTRY {
    /// Next.
    pub Next: *mut SINGLE_LIST_ENTRY,
}

assert_layout!(SINGLE_LIST_ENTRY, size 8, align 8, Next @ 0);

/// A counted UTF-16 string; need not end in zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct UNICODE_STRING {
    /// Bytes in use.
    pub Length: u16,
    /// Bytes of room.
    pub MaximumLength: u16,
    /// The units.
    pub Buffer: *mut u16,
}

assert_layout!(UNICODE_STRING, size 16, align 8, Length @ 0, MaximumLength @ 2, Buffer @ 8);

/// A counted string of bytes; need not end in zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct STRING {
    /// Bytes in use.
    pub Length: u16,
    /// Bytes of room.
    pub MaximumLength: u16,
    /// The bytes.
    pub Buffer: *mut i8,
}

assert_layout!(STRING, size 16, align 8, Length @ 0, MaximumLength @ 2, Buffer @ 8);

/// A [`STRING`] in the system's code page.
pub type ANSI_STRING = STRING;

/// A signed 64-bit integer; C overlays it with its halves.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LARGE_INTEGER {
    /// The whole.
    pub QuadPart: i64,
}

assert_layout!(LARGE_INTEGER, size 8, align 8, QuadPart @ 0);

/// An unsigned 64-bit integer; C overlays it with its halves.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ULARGE_INTEGER {
    /// The whole.
    pub QuadPart: u64,
}

assert_layout!(ULARGE_INTEGER, size 8, align 8, QuadPart @ 0);

/// A locally unique id, aligned to 4.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LUID {
    /// Low half.
    pub LowPart: u32,
    /// High half.
    pub HighPart: i32,
}

assert_layout!(LUID, size 8, align 4, LowPart @ 0, HighPart @ 4);

/// A processor by group and number.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PROCESSOR_NUMBER {
    /// Group.
    pub Group: u16,
    /// Number in the group.
    pub Number: u8,
    /// Zero.
    pub Reserved: u8,
}

assert_layout!(PROCESSOR_NUMBER, size 4, align 2, Group @ 0, Number @ 2, Reserved @ 3);

/// Result of an I/O request (DDI: IO_STATUS_BLOCK). C overlays the status with a pointer that is not used.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IO_STATUS_BLOCK {
    /// Final status.
    pub Status: NtStatus,
    /// Bytes transferred, or what the request defines.
    pub Information: usize,
}

assert_layout!(IO_STATUS_BLOCK, size 16, align 8, Status @ 0, Information @ 8);

/// The head of every object that can be waited for. C overlays the first four bytes by kind of object; their names here
/// are those of events, semaphores and mutants.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct DISPATCHER_HEADER {
    /// Kind of object.
    pub Type: u8,
    /// By kind.
    pub Signalling: u8,
    /// Size of the object in 32-bit words.
    pub Size: u8,
    /// By kind.
    pub Reserved1: u8,
    /// Signalled if positive.
    pub SignalState: i32,
    /// Blocks of the waiters.
    pub WaitListHead: LIST_ENTRY,
}

assert_layout!(DISPATCHER_HEADER, size 24, align 8, Type @ 0, Signalling @ 1, Size @ 2, Reserved1 @
    3, SignalState @ 4, WaitListHead @ 8);

/// An event object (DDI: KeInitializeEvent).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct KEVENT {
    /// Its state.
    pub Header: DISPATCHER_HEADER,
}

assert_layout!(KEVENT, size 24, align 8, Header @ 0);

/// An entry of a device queue.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct KDEVICE_QUEUE_ENTRY {
    /// Link.
    pub DeviceListEntry: LIST_ENTRY,
    /// Order in a sorted queue.
    pub SortKey: u32,
    /// Whether it is queued.
    pub Inserted: BOOLEAN,
}

assert_layout!(KDEVICE_QUEUE_ENTRY, size 24, align 8, DeviceListEntry @ 0, SortKey @ 16, Inserted @
    20);

/// An asynchronous procedure call.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct KAPC {
    /// Kind of object.
    pub Type: u8,
    /// Flags.
    pub AllFlags: u8,
    /// Size of this structure.
    pub Size: u8,
    /// Unused.
    pub SpareByte1: u8,
    /// Unused.
    pub SpareLong0: u32,
    /// The thread to run in.
    pub Thread: PETHREAD,
    /// Link in that thread's queue.
    pub ApcListEntry: LIST_ENTRY,
    /// The three routines.
    pub Reserved: [*mut c_void; 3],
    /// Context of the normal routine.
    pub NormalContext: *mut c_void,
    /// First argument.
    pub SystemArgument1: *mut c_void,
    /// Second argument.
    pub SystemArgument2: *mut c_void,
    /// Which queue.
    pub ApcStateIndex: i8,
    /// Kernel or user.
    pub ApcMode: KPROCESSOR_MODE,
    /// Whether it is queued.
    pub Inserted: BOOLEAN,
}

assert_layout!(KAPC, size 88, align 8, Type @ 0, AllFlags @ 1, Size @ 2, SpareByte1 @ 3, SpareLong0
    @ 4, Thread @ 8, ApcListEntry @ 16, Reserved @ 32, NormalContext @ 56, SystemArgument1 @ 64,
    SystemArgument2 @ 72, ApcStateIndex @ 80, ApcMode @ 81, Inserted @ 82);
