//! Cancel-safe queues (DDI: IO_CSQ): the driver keeps the queue, we keep the races with cancellation.
#![allow(unsafe_code)] // Calls routines of the driver, and handles its IRPs.

use std::ffi::c_void;

use wsk_abi::NtStatus;
use wsk_abi::io::PDEVICE_OBJECT;
use wsk_abi::irp::{IRP, SL_PENDING_RETURNED};

use super::cancel::{IoReleaseCancelSpinLock, is_cancelled, set_cancel_routine};
use crate::exports;

/// Types of [`IO_CSQ`] and [`IO_CSQ_IRP_CONTEXT`].
const CONTEXT: i32 = 1;
const CSQ: i32 = 2;
const CSQ_EX: i32 = 3;

/// DDI: IO_CSQ.
#[repr(C)]
#[derive(Debug)]
pub struct IO_CSQ {
    /// 2, or 3 of the Ex form.
    pub Type: i32,
    /// Puts an IRP in; the Ex form has a context and returns a status.
    pub CsqInsertIrp: Option<unsafe extern "win64" fn(*mut IO_CSQ, *mut IRP, *mut c_void) -> NtStatus>,
    /// Takes one out.
    pub CsqRemoveIrp: Option<unsafe extern "win64" fn(*mut IO_CSQ, *mut IRP)>,
    /// The one after another that fits.
    pub CsqPeekNextIrp: Option<unsafe extern "win64" fn(*mut IO_CSQ, *mut IRP, *mut c_void) -> *mut IRP>,
    /// Locks the queue.
    pub CsqAcquireLock: Option<unsafe extern "win64" fn(*mut IO_CSQ, *mut u8)>,
    /// Unlocks it.
    pub CsqReleaseLock: Option<unsafe extern "win64" fn(*mut IO_CSQ, u8)>,
    /// Completes a cancelled IRP.
    pub CsqCompleteCanceledIrp: Option<unsafe extern "win64" fn(*mut IO_CSQ, *mut IRP)>,
    /// Unused.
    pub ReservePointer: *mut c_void,
}

/// DDI: IO_CSQ_IRP_CONTEXT.
#[repr(C)]
#[derive(Debug)]
pub struct IO_CSQ_IRP_CONTEXT {
    /// 1.
    pub Type: i32,
    /// The IRP, while it is queued.
    pub Irp: *mut IRP,
    /// Its queue.
    pub Csq: *mut IO_CSQ,
}

type Insert = unsafe extern "win64" fn(*mut IO_CSQ, *mut IRP, *mut c_void) -> NtStatus;
type Remove = unsafe extern "win64" fn(*mut IO_CSQ, *mut IRP);
type Peek = unsafe extern "win64" fn(*mut IO_CSQ, *mut IRP, *mut c_void) -> *mut IRP;
type Lock = unsafe extern "win64" fn(*mut IO_CSQ, *mut u8);
type Unlock = unsafe extern "win64" fn(*mut IO_CSQ, u8);

#[allow(clippy::too_many_arguments)] // The DDI's.
unsafe fn initialize(
    csq: *mut IO_CSQ,
    kind: i32,
    insert: Option<Insert>,
    remove: Option<Remove>,
    peek: Option<Peek>,
    lock: Option<Lock>,
    unlock: Option<Unlock>,
    complete: Option<Remove>,
) -> NtStatus {
    // SAFETY: the driver's memory (DDI).
    unsafe {
        csq.write(IO_CSQ {
            Type: kind,
            CsqInsertIrp: insert,
            CsqRemoveIrp: remove,
            CsqPeekNextIrp: peek,
            CsqAcquireLock: lock,
            CsqReleaseLock: unlock,
            CsqCompleteCanceledIrp: complete,
            ReservePointer: std::ptr::null_mut(),
        });
    }
    NtStatus::SUCCESS
}

/// IoCsqInitialize.
pub(crate) unsafe extern "win64" fn IoCsqInitialize(
    csq: *mut IO_CSQ,
    insert: Option<Insert>,
    remove: Option<Remove>,
    peek: Option<Peek>,
    lock: Option<Lock>,
    unlock: Option<Unlock>,
    complete: Option<Remove>,
) -> NtStatus {
    // SAFETY: the driver's memory (DDI).
    unsafe { initialize(csq, CSQ, insert, remove, peek, lock, unlock, complete) }
}

/// IoCsqInitializeEx.
pub(crate) unsafe extern "win64" fn IoCsqInitializeEx(
    csq: *mut IO_CSQ,
    insert: Option<Insert>,
    remove: Option<Remove>,
    peek: Option<Peek>,
    lock: Option<Lock>,
    unlock: Option<Unlock>,
    complete: Option<Remove>,
) -> NtStatus {
    // SAFETY: the driver's memory (DDI).
    unsafe { initialize(csq, CSQ_EX, insert, remove, peek, lock, unlock, complete) }
}

unsafe fn lock(csq: *mut IO_CSQ) -> u8 {
    let mut irql = 0;
    // SAFETY: the driver's routine.
    unsafe {
        if let Some(lock) = (*csq).CsqAcquireLock {
            lock(csq, &raw mut irql);
        }
    }
    irql
}

unsafe fn unlock(csq: *mut IO_CSQ, irql: u8) {
    // SAFETY: the driver's routine.
    unsafe {
        if let Some(unlock) = (*csq).CsqReleaseLock {
            unlock(csq, irql);
        }
    }
}

/// The slot of an IRP that names its queue or context.
unsafe fn slot(irp: *mut IRP) -> *mut *mut c_void {
    // SAFETY: the driver's IRP.
    unsafe { (&raw mut (*irp).Tail.Overlay.Anonymous.DriverContext[3]).cast() }
}

unsafe fn take_out(csq: *mut IO_CSQ, irp: *mut IRP) {
    // SAFETY: the driver's routine and IRP; the slot holds a queue or a context, by its type.
    unsafe {
        if let Some(remove) = (*csq).CsqRemoveIrp {
            remove(csq, irp);
        }
        let context = (*slot(irp)).cast::<IO_CSQ_IRP_CONTEXT>();
        if !context.is_null() && (*context).Type == CONTEXT {
            (*context).Irp = std::ptr::null_mut();
        }
        *slot(irp) = std::ptr::null_mut();
    }
}

unsafe extern "win64" fn on_cancel(_device: PDEVICE_OBJECT, irp: *mut IRP) {
    // SAFETY: an IRP in a queue, whose cancel routine this was.
    unsafe {
        IoReleaseCancelSpinLock((*irp).CancelIrql);
        let named = *slot(irp);
        let csq = match *named.cast::<i32>() {
            CONTEXT => (*named.cast::<IO_CSQ_IRP_CONTEXT>()).Csq,
            _ => named.cast::<IO_CSQ>(),
        };
        let irql = lock(csq);
        take_out(csq, irp);
        unlock(csq, irql);
        if let Some(complete) = (*csq).CsqCompleteCanceledIrp {
            complete(csq, irp);
        }
    }
}

/// IoCsqInsertIrpEx.
pub(crate) unsafe extern "win64" fn IoCsqInsertIrpEx(
    csq: *mut IO_CSQ,
    irp: *mut IRP,
    context: *mut IO_CSQ_IRP_CONTEXT,
    insert_context: *mut c_void,
) -> NtStatus {
    // SAFETY: the driver's queue, IRP and context (DDI).
    unsafe {
        if context.is_null() {
            *slot(irp) = csq.cast();
        } else {
            context.write(IO_CSQ_IRP_CONTEXT { Type: CONTEXT, Irp: irp, Csq: csq });
            *slot(irp) = context.cast();
        }
        let irql = lock(csq);
        let status = match (*csq).CsqInsertIrp {
            Some(insert) => insert(csq, irp, insert_context),
            None => NtStatus::INVALID_PARAMETER,
        };
        if (*csq).Type == CSQ_EX && !status.is_success() {
            *slot(irp) = std::ptr::null_mut();
            unlock(csq, irql);
            return status;
        }
        (*super::irp::current_location(irp)).Control |= SL_PENDING_RETURNED;
        set_cancel_routine(irp, Some(on_cancel));
        if is_cancelled(irp) && set_cancel_routine(irp, None).is_some() {
            take_out(csq, irp);
            unlock(csq, irql);
            if let Some(complete) = (*csq).CsqCompleteCanceledIrp {
                complete(csq, irp);
            }
        } else {
            unlock(csq, irql);
        }
        if (*csq).Type == CSQ_EX { status } else { NtStatus::SUCCESS }
    }
}

/// IoCsqInsertIrp.
pub(crate) unsafe extern "win64" fn IoCsqInsertIrp(csq: *mut IO_CSQ, irp: *mut IRP, context: *mut IO_CSQ_IRP_CONTEXT) {
    // SAFETY: as declared.
    unsafe { IoCsqInsertIrpEx(csq, irp, context, std::ptr::null_mut()) };
}

/// IoCsqRemoveNextIrp.
pub(crate) unsafe extern "win64" fn IoCsqRemoveNextIrp(csq: *mut IO_CSQ, peek_context: *mut c_void) -> *mut IRP {
    // SAFETY: the driver's queue (DDI).
    unsafe {
        let irql = lock(csq);
        let mut irp = std::ptr::null_mut();
        loop {
            irp = match (*csq).CsqPeekNextIrp {
                Some(peek) => peek(csq, irp, peek_context),
                None => std::ptr::null_mut(),
            };
            if irp.is_null() || set_cancel_routine(irp, None).is_some() {
                break;
            }
        }
        if !irp.is_null() {
            take_out(csq, irp);
        }
        unlock(csq, irql);
        irp
    }
}

/// IoCsqRemoveIrp.
pub(crate) unsafe extern "win64" fn IoCsqRemoveIrp(csq: *mut IO_CSQ, context: *mut IO_CSQ_IRP_CONTEXT) -> *mut IRP {
    // SAFETY: the driver's queue and context (DDI).
    unsafe {
        let irql = lock(csq);
        let irp = (*context).Irp;
        let ours = !irp.is_null() && set_cancel_routine(irp, None).is_some();
        if ours {
            take_out(csq, irp);
        }
        unlock(csq, irql);
        if ours { irp } else { std::ptr::null_mut() }
    }
}

exports! { IoCsqInitialize, IoCsqInitializeEx, IoCsqInsertIrp, IoCsqInsertIrpEx, IoCsqRemoveNextIrp, IoCsqRemoveIrp }
