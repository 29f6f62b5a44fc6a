//! What a fault in driver code leads to: a breakpoint passed, a structured exception, or a bug check. Runs on the thread's own
//! stack, outside the signal handler.
#![allow(unsafe_code)] // Takes over from a signal handler.

use std::arch::naked_asm;
use std::sync::atomic::Ordering;

use wsk_abi::NtStatus;
use wsk_nt::ke::context::{CONTEXT, EXCEPTION_RECORD};
use wsk_nt::ke::irql;

use super::{
    ALIGNMENT, BREAKPOINT, BREAKPOINTS, DIVIDE_ERROR, EXCEPTIONS, FAULT, Fault, GENERAL_PROTECTION, INVALID_OPCODE,
    PAGE_FAULT, SIMD,
};
use crate::context::resume;
use crate::report::{self, EXCEPTION_NOT_HANDLED, stop_at};
use crate::unwind::dispatch;
use crate::{module, open, probe, symbol};

/// Stack that the dispatch needs; touched first, since an exhausted stack cannot carry it.
const NEEDED: usize = 0x10000;

/// Where the handler sends the thread.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn enter() -> ! {
    naked_asm!(
        // Page by page, so as not to step over the guard page.
        "mov rax, rsp",
        "lea rcx, [rsp - {needed}]",
        "2:",
        "sub rax, 4096",
        ".globl wsk_loader_touch",
        ".hidden wsk_loader_touch",
        "wsk_loader_touch:",
        "mov byte ptr [rax], 0",
        "cmp rax, rcx",
        "ja 2b",
        "call {dispatch}",
        "ud2",
        needed = const NEEDED,
        dispatch = sym dispatch_fault,
    )
}

/// Where the handler sends the thread when its stack is gone.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn on_this_stack() -> ! {
    naked_asm!("call {dispatch}", "ud2", dispatch = sym dispatch_fault)
}

/// The instruction that touches the stack.
#[unsafe(naked)]
pub(super) extern "C" fn touch_address() -> usize {
    naked_asm!("lea rax, [rip + wsk_loader_touch]", "ret")
}

/// Top of the stack for the last report of the process.
pub(super) fn emergency_stack() -> usize {
    const SIZE: usize = 256 << 10;
    #[repr(C, align(16))]
    struct Stack([u8; SIZE]);
    static mut STACK: Stack = Stack([0; SIZE]);
    (&raw mut STACK) as usize + SIZE
}

extern "C" fn dispatch_fault() -> ! {
    // A thread that the executive started has the small alternate stack of the standard library until its first fault.
    super::prepare_thread();
    let fault = FAULT.with(|slot| {
        // SAFETY: this thread's handler filled it and has returned.
        unsafe { *slot.get() }
    });
    let mut context = fault.context;
    let at = context.Rip as usize;
    if fault.stack_is_gone {
        let what = format!("the stack is exhausted or its pointer is wrong (rsp {:#x})", context.Rsp);
        stop_at(&raw const context, 0x7F, [8, context.Rsp, context.Rip, 0], what);
    }
    if fault.signal == libc::SIGTRAP && fault.trap == BREAKPOINT {
        BREAKPOINTS.fetch_add(1, Ordering::Relaxed);
        say!("breakpoint: {}", symbol::describe(at - 1));
        // SAFETY: the state right after the breakpoint.
        unsafe { resume(&raw const context) }
    }
    if fault.signal == libc::SIGABRT {
        let what = "OpenWSK itself failed in a call of the driver (its panic is printed above); please report that";
        stop_at(
            &raw const context,
            EXCEPTION_NOT_HANDLED,
            [NtStatus::INTERNAL_ERROR.0.into(), context.Rip, 0, 0],
            what,
        );
    }
    module::to_original(&mut context);
    if fault.trap == GENERAL_PROTECTION {
        interrupts(&context);
    }
    if fault.trap == PAGE_FAULT {
        page_fault(&fault, &context);
    }
    let mut record = record(&fault, &context);
    // SAFETY: the state of the fault; this function owns nothing.
    unsafe { search(&mut record, &mut context) }
}

/// Searches a handler, and stops the system if there is none.
///
/// # Safety
/// As for [`dispatch::dispatch`].
pub(crate) unsafe fn search(record: &mut EXCEPTION_RECORD, context: &mut CONTEXT) -> ! {
    EXCEPTIONS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the caller's promise.
    let why = unsafe { dispatch::dispatch(record, context) };
    report::unhandled(why, record, context)
}

fn record(fault: &Fault, context: &CONTEXT) -> EXCEPTION_RECORD {
    const STATUS_INTEGER_DIVIDE_BY_ZERO: u32 = 0xC000_0094;
    const STATUS_PRIVILEGED_INSTRUCTION: u32 = 0xC000_0096;
    const STATUS_FLOAT_MULTIPLE_FAULTS: u32 = 0xC000_02B4;
    let (code, parameters): (u32, &[usize]) = match fault.trap {
        PAGE_FAULT => (NtStatus::ACCESS_VIOLATION.0, &[how(fault), fault.address as usize]),
        // An address that is none (not canonical): the processor does not say which.
        GENERAL_PROTECTION if is_privileged(context) => (STATUS_PRIVILEGED_INSTRUCTION, &[]),
        GENERAL_PROTECTION => (NtStatus::ACCESS_VIOLATION.0, &[0, usize::MAX]),
        DIVIDE_ERROR => (STATUS_INTEGER_DIVIDE_BY_ZERO, &[]),
        INVALID_OPCODE => (NtStatus::ILLEGAL_INSTRUCTION.0, &[]),
        ALIGNMENT => (NtStatus::DATATYPE_MISALIGNMENT.0, &[]),
        SIMD => (STATUS_FLOAT_MULTIPLE_FAULTS, &[]),
        _ if fault.signal == libc::SIGBUS => (NtStatus::IN_PAGE_ERROR.0, &[how(fault), fault.address as usize]),
        _ => (NtStatus::ACCESS_VIOLATION.0, &[0, fault.address as usize]),
    };
    let mut record = EXCEPTION_RECORD {
        ExceptionCode: code,
        ExceptionFlags: 0,
        ExceptionRecord: std::ptr::null_mut(),
        ExceptionAddress: context.Rip as *mut _,
        NumberParameters: parameters.len() as u32,
        ExceptionInformation: [0; 15],
    };
    record.ExceptionInformation[..parameters.len()].copy_from_slice(parameters);
    record
}

/// 0 for a read, 1 for a write, 8 for an execution.
fn how(fault: &Fault) -> usize {
    match fault.error {
        error if error & 0x10 != 0 => 8,
        error => (error >> 1 & 1) as usize,
    }
}

fn code_at(context: &CONTEXT) -> [u8; 4] {
    let mut code = [0; 4];
    for (index, byte) in code.iter_mut().enumerate() {
        probe::read_into(context.Rip + index as u64, std::slice::from_mut(byte));
    }
    code
}

/// in, out, hlt, cli, sti, moves of control and debug registers, lgdt and its kin, wrmsr, rdmsr.
fn is_privileged(context: &CONTEXT) -> bool {
    let code = code_at(context);
    let code = if code[0] & 0xf0 == 0x40 || code[0] == 0x66 { &code[1..] } else { &code[..] };
    matches!(code, [0xe4..=0xe7 | 0xec..=0xef | 0x6c..=0x6f | 0xf4 | 0xfa | 0xfb, ..])
        || matches!(code, [0x0f, 0x00 | 0x01 | 0x06 | 0x08 | 0x09 | 0x20..=0x23 | 0x30 | 0x32, ..])
}

/// `int 29h` and `int 2Ch`, which user mode is not allowed.
fn interrupts(context: &CONTEXT) {
    let [0xcd, number, ..] = code_at(context) else { return };
    let what = |name: &str| format!("{name} in {}", symbol::describe(context.Rip as usize));
    match number {
        0x29 => {
            let code = context.Rcx as u32;
            let name = what(&format!("__fastfail({code}{})", fast_fail_name(code)));
            stop_at(context, 0x139, [code.into(), context.Rsp, context.Rip, 0], name)
        }
        0x2c => {
            const STATUS_ASSERTION_FAILURE: u64 = 0xC000_0420;
            let parameters = [STATUS_ASSERTION_FAILURE, context.Rip, 0, 0];
            stop_at(context, EXCEPTION_NOT_HANDLED, parameters, what("NT_ASSERT failed"))
        }
        _ => {}
    }
}

fn fast_fail_name(code: u32) -> &'static str {
    match code {
        0 | 2 => ": stack cookie overwritten, a buffer on the stack overflowed",
        3 => ": corrupt list entry, removed twice or overwritten",
        5 => ": invalid argument",
        6 => ": the security cookie was not set up",
        7 => ": fatal exit",
        8 => ": range check",
        10 => ": control-flow guard, call of a bad pointer",
        14 => ": reference count",
        18 => ": jump buffer",
        _ => "",
    }
}

/// Page faults that no driver may handle.
fn page_fault(fault: &Fault, context: &CONTEXT) {
    let address = fault.address;
    let rip = context.Rip as usize;
    let parameters = |first: u64| [first, irql::current().into(), how(fault) as u64, context.Rip];
    if address == context.Rip
        && let Some(gone) = module::unloaded_at(rip)
    {
        let what = format!(
            "{} has been unloaded, and its code is still called (at +{:#x})",
            gone.name,
            rip - gone.range.start
        );
        stop_at(context, 0xCE, [address, 0, 0, 0], what);
    }
    let verb = ["reads", "writes", "executes"][how(fault).min(2)];
    if let Some(what) = open::bad_memory(address, verb, rip) {
        stop_at(context, 0x50, [address, how(fault) as u64, context.Rip, 2], what);
    }
    let irql = irql::current();
    if irql >= irql::DISPATCH_LEVEL {
        let what = format!("the driver {verb} {address:#x} at IRQL {irql}: page faults cannot be served there");
        stop_at(context, 0xD1, parameters(address), what);
    }
    // Kernel addresses are not checked for by exceptions on Windows either.
    if address >= 1 << 63 {
        let what = format!("the driver refers to the system address {address:#x}, where nothing is");
        stop_at(context, 0x50, [address, how(fault) as u64, context.Rip, 2], what);
    }
    if let Some(module) = module::find(address as usize)
        && let Some(section) = module.rva(address as usize).and_then(|rva| module.image.section_at(rva))
    {
        let name = &section.name;
        let (code, what) = match how(fault) {
            8 if section.discardable => {
                (0xCE, format!("call into {}, section {name}: discarded after DriverEntry", module.name))
            }
            8 => (0xFC, format!("execution in {}, section {name}, which is not executable", module.name)),
            1 if section.readable => (0xBE, format!("write to {}, section {name}, which is read-only", module.name)),
            _ if section.discardable => {
                (0x50, format!("access to {}, section {name}: discarded after DriverEntry", module.name))
            }
            _ => return,
        };
        drop(module);
        stop_at(context, code, [address, how(fault) as u64, context.Rip, 0], what);
    }
}
