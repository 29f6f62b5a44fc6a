//! Completing IRPs: the walk up the stack locations (DDI: IoCompleteRequest; F-41 to F-44), and what the I/O manager does with
//! an IRP of its own when the walk reaches the top.
#![allow(unsafe_code)] // IRPs are driver memory; calls completion routines.

use std::ffi::c_void;

use parking_lot::Mutex;
use wsk_abi::NtStatus;
use wsk_abi::irp::*;

use crate::addresses::{ADDRESS_HASH, AddressMap};
use crate::exports;
use crate::io::irp::IO_TYPE_IRP;
use crate::ke::event;
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::mm::mdl;
use crate::verify;

/// What is to happen when an IRP that the I/O manager made is completed past its top location.
pub(crate) enum AtEnd {
    /// Copy the buffers back, set the status block and event, free the IRP: IoBuildSynchronousFsdRequest and its kin.
    Finish,
    /// The same, but the requestor frees the IRP: it may look at it until then.
    Keep,
}

static OWN: Mutex<AddressMap<AtEnd>> = Mutex::new(AddressMap::with_hasher(ADDRESS_HASH));

/// Declares an IRP as one of the I/O manager's.
pub(crate) fn own(irp: *mut IRP, at_end: AtEnd) {
    OWN.lock().insert(irp as usize, at_end);
}

fn is_own(irp: *mut IRP) -> bool {
    OWN.lock().contains_key(&(irp as usize))
}

/// The requestor of an IRP to be kept does not wait any longer: the IRP is freed when it is completed. Whether it is not yet.
pub(crate) fn stop_keeping(irp: *mut IRP) -> bool {
    OWN.lock().get_mut(&(irp as usize)).map(|at_end| *at_end = AtEnd::Finish).is_some()
}

/// The I/O manager gives up an IRP without having it completed.
pub(crate) fn disown(irp: *mut IRP) {
    OWN.lock().remove(&(irp as usize));
}

/// IoCompleteRequest: walks the stack locations upwards from the current one. Each location's completion routine is called
/// with the device of the location above (null at the top) if its control bits fit the status;
/// STATUS_MORE_PROCESSING_REQUIRED from one stops the walk, and the IRP is its owner's again.
///
/// # Safety
/// `irp` must be an IRP that the caller owns at the moment; it is given up.
pub unsafe fn complete_request(irp: *mut IRP, _boost: i8) {
    // SAFETY: the caller's promise. After a completion routine that stops the walk the IRP is not touched again.
    unsafe {
        if (*irp).Type != IO_TYPE_IRP {
            verify::violation("no IRP", format!("{irp:p} is completed, and is no IRP (type {})", (*irp).Type));
            return;
        }
        if (*irp).CurrentLocation > (*irp).StackCount + 1 {
            crate::bug_check::bug_check(
                0x44,
                [irp as u64, 0, 0, 0],
                "MULTIPLE_IRP_COMPLETE_REQUESTS: IRP completed twice",
            );
        }
        if (*irp).CurrentLocation == (*irp).StackCount + 1 && (*irp).Flags & IRP_ASSOCIATED_IRP == 0 && !is_own(irp) {
            verify::violation(
                "IRP completed twice",
                "IoCompleteRequest of an IRP that is at its top: its owner has it",
            );
            return;
        }
        if (*irp).IoStatus.Status == NtStatus::PENDING {
            verify::violation("IRP completed as pending", "IoCompleteRequest with STATUS_PENDING in IoStatus.Status");
        }
        if (*irp).CancelRoutine.is_some() {
            verify::violation("IRP in use", "IoCompleteRequest of an IRP with a cancel routine set");
        }
        while (*irp).CurrentLocation <= (*irp).StackCount {
            let location = (*irp).Tail.Overlay.CurrentStackLocation;
            let control = (*location).Control;
            let (routine, context) = ((*location).CompletionRoutine, (*location).Context);
            (*irp).PendingReturned = u8::from(control & SL_PENDING_RETURNED != 0);
            (*irp).CurrentLocation += 1;
            (*irp).Tail.Overlay.CurrentStackLocation = location.wrapping_add(1);
            // As IopCompleteRequest does: the location below is of no more use to anybody.
            std::ptr::write_bytes(location.cast::<u8>(), 0, std::mem::offset_of!(IO_STACK_LOCATION, Parameters));
            (*location).CompletionRoutine = None;
            (*location).Context = std::ptr::null_mut();
            let device = if (*irp).CurrentLocation > (*irp).StackCount {
                std::ptr::null_mut()
            } else {
                (*location.wrapping_add(1)).DeviceObject
            };
            let status = (*irp).IoStatus.Status;
            let wanted = (status.is_success() && control & SL_INVOKE_ON_SUCCESS != 0)
                || (!status.is_success() && control & SL_INVOKE_ON_ERROR != 0)
                || ((*irp).Cancel != 0 && control & SL_INVOKE_ON_CANCEL != 0);
            match routine {
                Some(routine) if wanted => {
                    let level = irql::current();
                    let answer = routine(device, irp, context);
                    if irql::current() != level {
                        let what = format!(
                            "a completion routine returned at {}, called at {}",
                            irql::name(irql::current()),
                            irql::name(level)
                        );
                        verify::violation_by("wrong IRQL", what, routine as usize);
                        irql::set(level);
                    }
                    if answer == NtStatus::MORE_PROCESSING_REQUIRED {
                        return;
                    }
                }
                _ => {
                    if (*irp).PendingReturned != 0 && (*irp).CurrentLocation <= (*irp).StackCount {
                        (*(*irp).Tail.Overlay.CurrentStackLocation).Control |= SL_PENDING_RETURNED;
                    }
                }
            }
        }
        finish(irp);
    }
}

/// The walk reached the top.
unsafe fn finish(irp: *mut IRP) {
    let at_end = OWN.lock().remove(&(irp as usize));
    // SAFETY: the walk's IRP.
    unsafe {
        match at_end {
            Some(at_end) => finish_own(irp, &at_end),
            None if (*irp).Flags & IRP_ASSOCIATED_IRP != 0 => finish_associated(irp),
            None => {
                // A second completion finds the IRP past its end.
                (*irp).CurrentLocation = (*irp).StackCount + 2;
                verify::violation(
                    "IRP completed past its owner",
                    "an IRP that a driver allocated was completed, and no completion routine kept it",
                );
            }
        }
    }
}

unsafe fn finish_associated(irp: *mut IRP) {
    // SAFETY: an associated IRP and its master.
    unsafe {
        let master = (*irp).AssociatedIrp.MasterIrp;
        let count = std::sync::atomic::AtomicI32::from_ptr(&raw mut (*master).AssociatedIrp.IrpCount);
        let left = count.fetch_sub(1, std::sync::atomic::Ordering::AcqRel) - 1;
        free_mdls(irp);
        crate::io::irp::free(irp);
        if left == 0 {
            complete_request(master, 0);
        }
    }
}

unsafe fn free_mdls(irp: *mut IRP) {
    // SAFETY: the chain is the I/O manager's to free.
    unsafe {
        let mut next = std::mem::replace(&mut (*irp).MdlAddress, std::ptr::null_mut());
        while !next.is_null() {
            let mdl = next;
            next = (*mdl).Next;
            (*mdl).MdlFlags &= !wsk_abi::mdl::MDL_PAGES_LOCKED;
            mdl::free(mdl);
        }
    }
}

/// Copies buffered results back, frees what hangs on the IRP, tells the requestor, and frees the IRP.
unsafe fn finish_own(irp: *mut IRP, at_end: &AtEnd) {
    // SAFETY: an IRP that the I/O manager built, with the requestor's buffers, status block and event.
    unsafe {
        let status = (*irp).IoStatus;
        if (*irp).Flags & IRP_BUFFERED_IO != 0 {
            let system = (*irp).AssociatedIrp.SystemBuffer;
            if (*irp).Flags & IRP_INPUT_OPERATION != 0 && !status.Status.is_error() && !(*irp).UserBuffer.is_null() {
                std::ptr::copy(system.cast::<u8>(), (*irp).UserBuffer.cast(), status.Information);
            }
            if (*irp).Flags & IRP_DEALLOCATE_BUFFER != 0 {
                crate::ex::pool::ExFreePool(system);
            }
        }
        free_mdls(irp);
        if !(*irp).UserIosb.is_null() {
            (*irp).UserIosb.write(status);
        }
        let event = (*irp).UserEvent;
        let notify = (*irp).Overlay.AsynchronousParameters.UserApcRoutine;
        let context = (*irp).Overlay.AsynchronousParameters.UserApcContext;
        let iosb = (*irp).UserIosb;
        if matches!(at_end, AtEnd::Finish) {
            crate::io::irp::free(irp);
        }
        if !event.is_null() {
            event::set(event);
        }
        if let Some(notify) = notify {
            notify(context, iosb, 0);
        }
    }
}

/// IofCompleteRequest.
pub(crate) unsafe extern "win64" fn IofCompleteRequest(irp: *mut IRP, boost: i8) {
    irql::at_most(DISPATCH_LEVEL, "IoCompleteRequest");
    // SAFETY: the driver's IRP, given up (DDI).
    unsafe { complete_request(irp, boost) };
}

/// IoSetCompletionRoutineEx: as the inline; drivers stay loaded until their requests are back anyway.
unsafe extern "win64" fn IoSetCompletionRoutineEx(
    _device: *mut c_void,
    irp: *mut IRP,
    routine: PIO_COMPLETION_ROUTINE,
    context: *mut c_void,
    success: u8,
    error: u8,
    cancel: u8,
) -> NtStatus {
    // SAFETY: the driver's IRP, with a next location (DDI).
    unsafe { set_completion_routine(irp, routine, context, success != 0, error != 0, cancel != 0) };
    NtStatus::SUCCESS
}

/// IoSetCompletionRoutine.
///
/// # Safety
/// `irp` must be an IRP with a next location.
pub unsafe fn set_completion_routine(
    irp: *mut IRP,
    routine: PIO_COMPLETION_ROUTINE,
    context: *mut c_void,
    success: bool,
    error: bool,
    cancel: bool,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let next = (*irp).Tail.Overlay.CurrentStackLocation.wrapping_sub(1);
        (*next).CompletionRoutine = routine;
        (*next).Context = context;
        (*next).Control = if success { SL_INVOKE_ON_SUCCESS } else { 0 }
            | if error { SL_INVOKE_ON_ERROR } else { 0 }
            | if cancel { SL_INVOKE_ON_CANCEL } else { 0 };
    }
}

exports! { IofCompleteRequest, IoCompleteRequest = IofCompleteRequest, IoSetCompletionRoutineEx }
