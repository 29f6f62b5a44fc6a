//! Structured exceptions: the search for a handler, and the unwinding to it (x64 exception handling). Nothing here owns anything
//! while driver code runs: when a handler takes an exception, these frames are left without return.
#![allow(unsafe_code)] // Calls the driver's handlers.
#![allow(clippy::multiple_unsafe_ops_per_block)] // A block is one step on the exception's structures.
#![allow(non_snake_case, non_camel_case_types)] // C names verbatim.

use std::ffi::c_void;
use std::ptr;

use wsk_nt::ke::context::{CONTEXT, EXCEPTION_NONCONTINUABLE, EXCEPTION_RECORD};

use super::virtual_unwind::{EHANDLER, UHANDLER};
use super::walk::{self, Boundary, Frame, Met, Purpose, Walk};
use crate::context::resume;
use crate::report;

/// EXCEPTION_UNWINDING.
pub(crate) const UNWINDING: u32 = 2;
/// EXCEPTION_EXIT_UNWIND.
pub(crate) const EXIT_UNWIND: u32 = 4;
/// EXCEPTION_TARGET_UNWIND.
pub(crate) const TARGET_UNWIND: u32 = 0x20;

/// DISPATCHER_CONTEXT, x64 (winnt.h), and behind it what only the loader reads.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct DISPATCHER_CONTEXT {
    pub(crate) ControlPc: u64,
    pub(crate) ImageBase: u64,
    pub(crate) FunctionEntry: u64,
    pub(crate) EstablisherFrame: u64,
    pub(crate) TargetIp: u64,
    pub(crate) ContextRecord: *mut CONTEXT,
    pub(crate) LanguageHandler: u64,
    pub(crate) HandlerData: u64,
    pub(crate) HistoryTable: *mut c_void,
    pub(crate) ScopeIndex: u32,
    pub(crate) Fill0: u32,
    pub(crate) raised: *const CONTEXT,
}

const _: () = assert!(std::mem::offset_of!(DISPATCHER_CONTEXT, raised) == 80);

const CONTINUE_EXECUTION: u64 = 0;
const CONTINUE_SEARCH: u64 = 1;

/// Why a search ended without a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unhandled {
    /// It came to code that is no driver's.
    NoHandler,
    /// The stack or the unwind codes are bad.
    BadStack,
}

/// Calls a frame's language handler.
///
/// # Safety
/// Record and context must be those of the exception, and the frame on this thread's stack.
unsafe fn call_handler(
    record: *mut EXCEPTION_RECORD,
    context: *mut CONTEXT,
    frame: &Frame,
    (handler, data): (u64, u64),
    walk: &mut Walk,
    raised: *const CONTEXT,
    target: u64,
) -> u64 {
    let mut dispatcher = DISPATCHER_CONTEXT {
        ControlPc: frame.control_pc,
        ImageBase: frame.base,
        FunctionEntry: frame.entry,
        EstablisherFrame: frame.establisher,
        TargetIp: target,
        ContextRecord: &raw mut walk.context,
        LanguageHandler: handler,
        HandlerData: data,
        HistoryTable: ptr::null_mut(),
        ScopeIndex: walk.scope,
        Fill0: 0,
        raised,
    };
    let dispatcher = &raw mut dispatcher;
    // SAFETY: fields of the structure above.
    let (frame_context, scope) = unsafe { ((*dispatcher).ContextRecord, &raw const (*dispatcher).ScopeIndex) };
    let boundary = Boundary { frame: frame_context, scope, raised };
    // SAFETY: the handler is the image's own, given what x64 exception handling gives it.
    unsafe {
        walk::call(
            handler,
            record as usize,
            frame.establisher as usize,
            context as usize,
            dispatcher as usize,
            &raw const boundary,
        )
    }
}

/// Searches a handler for an exception raised at `context`, and goes there. Returns only if there is none.
///
/// # Safety
/// `context` must be the state of this thread in a frame below which nothing on the stack owns anything.
pub(crate) unsafe fn dispatch(record: *mut EXCEPTION_RECORD, context: *mut CONTEXT) -> Unhandled {
    // SAFETY: both are the caller's.
    let mut walk = Walk::new(unsafe { &*context }, Purpose::Search);
    loop {
        let frame = match walk.frame(EHANDLER) {
            Met::Frame(frame) => frame,
            Met::End => return Unhandled::NoHandler,
            Met::Bad => return Unhandled::BadStack,
        };
        if let Some(handler) = frame.handler {
            // SAFETY: the caller's promise.
            match unsafe { call_handler(record, context, &frame, handler, &mut walk, context, 0) } {
                CONTINUE_EXECUTION => {
                    // SAFETY: as above.
                    if unsafe { (*record).ExceptionFlags } & EXCEPTION_NONCONTINUABLE != 0 {
                        // SAFETY: as above.
                        unsafe { report::noncontinuable(record, context) }
                    }
                    // SAFETY: the state at which the exception was raised, as the filter left it.
                    unsafe { resume(context) }
                }
                CONTINUE_SEARCH => {}
                other => report::bad_disposition(other, handler.0, context),
            }
        }
        walk.up(&frame);
    }
}

/// Unwinds from `start` to the frame `target` and goes on there at `target_ip` with RAX = `value`. Termination handlers on the
/// way run. A `target` of 0 unwinds everything that a driver has on the stack, which nothing can go on from: a bug check.
///
/// # Safety
/// `start` must be the state of this thread in a frame below which nothing on the stack owns anything.
pub(crate) unsafe fn unwind_to(
    target: u64,
    target_ip: u64,
    record: *mut EXCEPTION_RECORD,
    value: u64,
    start: *const CONTEXT,
) -> ! {
    // SAFETY: the caller's.
    let mut walk = Walk::new(unsafe { &*start }, Purpose::Unwind);
    // SAFETY: as above.
    unsafe { (*record).ExceptionFlags |= UNWINDING | if target == 0 { EXIT_UNWIND } else { 0 } };
    loop {
        let frame = match walk.frame(UHANDLER) {
            Met::Frame(frame) => frame,
            Met::End | Met::Bad => report::lost_target(target, &walk.context),
        };
        let is_target = frame.establisher == target;
        if let Some(handler) = frame.handler {
            let flag = if is_target { TARGET_UNWIND } else { 0 };
            // SAFETY: as above.
            unsafe { (*record).ExceptionFlags = (*record).ExceptionFlags & !TARGET_UNWIND | flag };
            let context = &raw mut walk.context;
            // SAFETY: the caller's promise.
            match unsafe { call_handler(record, context, &frame, handler, &mut walk, ptr::null(), target_ip) } {
                CONTINUE_SEARCH => {}
                other => report::bad_disposition(other, handler.0, &walk.context),
            }
        }
        if is_target {
            walk.context.Rip = target_ip;
            walk.context.Rax = value;
            // SAFETY: the frame's own state, at the place its handler named.
            unsafe { resume(&raw const walk.context) }
        }
        walk.up(&frame);
    }
}
