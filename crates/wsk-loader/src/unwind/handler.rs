//! The exports of structured exception handling: the language handler of C, and the functions it is made of.
#![allow(unsafe_code)] // Reads scope tables, calls filters and termination blocks.
#![allow(clippy::multiple_unsafe_ops_per_block)] // A block is one step on the exception's structures.
#![allow(non_snake_case)] // Exports have their C names.

use std::ptr;

use wsk_nt::exports;
use wsk_nt::ke::context::{CONTEXT, EXCEPTION_NONCONTINUABLE, EXCEPTION_RECORD};

use super::dispatch::{self, DISPATCHER_CONTEXT, TARGET_UNWIND, UNWINDING};
use super::walk::{self, Boundary};
use super::{table, virtual_unwind};
use crate::context::{RtlCaptureContext, resume, with_context};
use crate::module;
use crate::trap::fault;

/// A row of the scope table: `__try` from begin to end, filter or termination block, and where `__except` begins (0 for
/// `__finally`).
#[derive(Clone, Copy)]
struct Scope {
    begin: u32,
    end: u32,
    handler: u32,
    target: u32,
}

/// EXCEPTION_EXECUTE_HANDLER as the address of a filter.
const EXECUTE_HANDLER: u32 = 1;
const CONTINUE_EXECUTION: i32 = 0;
const CONTINUE_SEARCH: i32 = 1;
const STATUS_UNWIND: u32 = 0xC000_0027;

#[repr(C)]
struct ExceptionPointers {
    record: *mut EXCEPTION_RECORD,
    context: *mut CONTEXT,
}

/// The row `index` of a scope table.
///
/// # Safety
/// `data` must be the handler data of a function whose language handler is that of C.
unsafe fn scope(data: u64, index: u32) -> Option<Scope> {
    let words = data as *const u32;
    // SAFETY: the table begins with its length.
    let count = unsafe { words.read_unaligned() };
    if index >= count {
        return None;
    }
    // SAFETY: within the length.
    let [begin, end, handler, target] =
        unsafe { words.add(1 + index as usize * 4).cast::<[u32; 4]>().read_unaligned() };
    Some(Scope { begin, end, handler, target })
}

/// `__C_specific_handler`: the language handler of C on x64. Functions with `__try` name it in their unwind data.
unsafe extern "win64" fn __C_specific_handler(
    record: *mut EXCEPTION_RECORD,
    frame: u64,
    context: *mut CONTEXT,
    dispatcher: *mut DISPATCHER_CONTEXT,
) -> i32 {
    // SAFETY: given by the dispatcher of `dispatch`.
    let flags = unsafe { (*record).ExceptionFlags };
    // SAFETY: as above.
    let (base, data) = unsafe { ((*dispatcher).ImageBase, (*dispatcher).HandlerData) };
    // SAFETY: as above.
    let pc = unsafe { (*dispatcher).ControlPc }.wrapping_sub(base) as u32;
    // SAFETY: as above.
    let boundary = unsafe {
        Boundary {
            frame: (*dispatcher).ContextRecord,
            scope: &raw const (*dispatcher).ScopeIndex,
            raised: (*dispatcher).raised,
        }
    };
    loop {
        // SAFETY: as above.
        let index = unsafe { (*dispatcher).ScopeIndex };
        // SAFETY: the function's own table.
        let Some(row) = (unsafe { scope(data, index) }) else { return CONTINUE_SEARCH };
        // Before anything of the driver runs: an exception in there goes on behind this row.
        // SAFETY: as above.
        unsafe { (*dispatcher).ScopeIndex = index + 1 };
        if !(row.begin..row.end).contains(&pc) {
            continue;
        }
        let call = |function: u32, first: usize| {
            let function = base + u64::from(function);
            // SAFETY: the table's own function, given what the compiler made it for.
            unsafe { walk::call(function, first, frame as usize, 0, 0, &raw const boundary) }
        };
        if flags & UNWINDING != 0 {
            // SAFETY: as above.
            let target = unsafe { (*dispatcher).TargetIp }.wrapping_sub(base) as u32;
            if flags & TARGET_UNWIND != 0 && (row.begin..row.end).contains(&target) {
                // The unwinding ends inside this __try.
                return CONTINUE_SEARCH;
            }
            if row.target == 0 {
                call(row.handler, 1);
            } else if flags & TARGET_UNWIND != 0 && row.target == target {
                // And here in its __except: what encloses it goes on.
                return CONTINUE_SEARCH;
            }
            continue;
        }
        if row.target == 0 {
            continue;
        }
        let answer = if row.handler == EXECUTE_HANDLER {
            1
        } else {
            let pointers = ExceptionPointers { record, context };
            call(row.handler, &raw const pointers as usize) as i32
        };
        if answer < 0 {
            return CONTINUE_EXECUTION;
        }
        if answer > 0 {
            // SAFETY: as above; the record is alive until the target is reached.
            unsafe {
                let code = u64::from((*record).ExceptionCode);
                dispatch::unwind_to(frame, base + u64::from(row.target), record, code, context)
            }
        }
    }
}

fn unwind_record(address: u64) -> EXCEPTION_RECORD {
    EXCEPTION_RECORD {
        ExceptionCode: STATUS_UNWIND,
        ExceptionFlags: EXCEPTION_NONCONTINUABLE,
        ExceptionRecord: ptr::null_mut(),
        ExceptionAddress: address as *mut _,
        NumberParameters: 0,
        ExceptionInformation: [0; 15],
    }
}

unsafe extern "C" fn unwind_from(context: *mut CONTEXT) -> ! {
    // SAFETY: the thunk's frame holds the context: the caller's rcx, rdx, r8 and r9 are its arguments.
    let caller = unsafe { &*context };
    let mut own = unwind_record(caller.Rip);
    let record = if caller.R8 == 0 { &raw mut own } else { caller.R8 as *mut EXCEPTION_RECORD };
    // SAFETY: the driver's frames begin at its call.
    unsafe { dispatch::unwind_to(caller.Rcx, caller.Rdx, record, caller.R9, context) }
}

unsafe extern "C" fn local_unwind_from(context: *mut CONTEXT) -> ! {
    // SAFETY: as in `unwind_from`.
    let caller = unsafe { &*context };
    let mut record = unwind_record(caller.Rip);
    // SAFETY: as in `unwind_from`.
    unsafe { dispatch::unwind_to(caller.Rcx, caller.Rdx, &raw mut record, 0, context) }
}

with_context! {
    /// RtlUnwind(target frame, target, record, value); RtlUnwindEx takes a context and a history more, which it only fills.
    RtlUnwind => unwind_from
}
with_context! {
    /// `_local_unwind(frame, target)`: leaving a `__try` by a jump.
    _local_unwind => local_unwind_from
}

/// The dispatcher of [`wsk_nt::ke::exception`]: exceptions raised by ExRaiseStatus and its kin. Never returns: what nobody
/// handles ends in the report.
///
/// # Safety
/// As [`wsk_nt::ke::exception::Dispatcher`] says.
pub(crate) unsafe fn raised(record: &mut EXCEPTION_RECORD, context: &mut CONTEXT) -> bool {
    // SAFETY: the caller's promise.
    unsafe { fault::search(record, context) }
}

/// RtlLookupFunctionEntry.
unsafe extern "win64" fn RtlLookupFunctionEntry(pc: u64, base: *mut u64, _history: *mut u8) -> u64 {
    let Some(module) = module::find(pc as usize) else { return 0 };
    let start = module.base() as u64;
    // SAFETY: the driver's variable.
    unsafe { base.write(start) };
    let functions = &module.image.functions;
    let Some(function) = module.rva(pc as usize).and_then(|rva| table::find(functions, rva)) else { return 0 };
    let index = functions.partition_point(|other| other.begin < function.begin);
    start + u64::from(module.image.function_table) + index as u64 * 12
}

/// RtlVirtualUnwind.
unsafe extern "win64" fn RtlVirtualUnwind(
    kinds: u32,
    base: u64,
    pc: u64,
    entry: *const table::Function,
    context: *mut CONTEXT,
    data: *mut u64,
    establisher: *mut u64,
    _pointers: *mut u8,
) -> u64 {
    let Some(module) = module::find(base as usize) else { return 0 };
    // SAFETY: the driver's, as the DDI says.
    let (function, context) = unsafe { (entry.read_unaligned(), &mut *context) };
    context.Rip = pc;
    let unwound = virtual_unwind::leave(module.image.view(), base, function, kinds as u8, context);
    let Some(unwound) = unwound else {
        context.Rip = 0;
        return 0;
    };
    // SAFETY: the driver's variable.
    unsafe { establisher.write(unwound.establisher) };
    let Some((handler, handler_data)) = unwound.handler else { return 0 };
    // SAFETY: the driver's variable.
    unsafe { data.write(base + u64::from(handler_data)) };
    base + u64::from(handler)
}

/// RtlPcToFileHeader.
unsafe extern "win64" fn RtlPcToFileHeader(pc: u64, base: *mut u64) -> u64 {
    let start = module::find(pc as usize).map_or(0, |module| module.base() as u64);
    // SAFETY: the driver's variable.
    unsafe { base.write(start) };
    start
}

/// RtlRestoreContext.
unsafe extern "win64" fn RtlRestoreContext(context: *const CONTEXT, _record: *mut EXCEPTION_RECORD) -> ! {
    // SAFETY: a state the driver captured on this thread.
    unsafe { resume(context) }
}

exports! {
    __C_specific_handler, RtlUnwind, RtlUnwindEx = RtlUnwind, _local_unwind, RtlLookupFunctionEntry, RtlVirtualUnwind,
    RtlPcToFileHeader, RtlCaptureContext, RtlRestoreContext,
}
