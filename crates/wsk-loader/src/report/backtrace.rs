//! The frames of the thread that stops: by unwind codes in drivers, by the compiler's tables in OpenWSK.
#![allow(unsafe_code)] // Asks the compiler's unwinder.
#![allow(clippy::multiple_unsafe_ops_per_block)] // A block reads one frame.

use std::ffi::{c_int, c_void};
use std::ptr;

use wsk_nt::ke::context::CONTEXT;

use crate::context::{RtlCaptureContext, zeroed};
use crate::unwind::virtual_unwind;
use crate::unwind::walk::{Met, Purpose, Walk};
use crate::{module, probe, symbol};

const FRAME_LIMIT: usize = 48;
/// Words of stack searched for a return address into a driver.
const SCAN_LIMIT: u64 = 2048;

unsafe extern "C" {
    fn _Unwind_Backtrace(step: extern "C" fn(*mut c_void, *mut c_void) -> c_int, argument: *mut c_void) -> c_int;
    fn _Unwind_GetIP(frame: *mut c_void) -> u64;
    fn _Unwind_GetCFA(frame: *mut c_void) -> u64;
    fn _Unwind_GetGR(frame: *mut c_void, register: c_int) -> u64;
}

/// Prints the frames from `context` on, or from here on if there is none.
pub(super) fn print(context: Option<&CONTEXT>, caller: usize) {
    let mut number = 0;
    let start = match context {
        Some(context) if module::covers(context.Rip as usize) => Some(*context),
        Some(context) => {
            line(&mut number, context.Rip, &place(context.Rip));
            below(context, caller)
        }
        None => in_driver().or_else(|| {
            let mut here = zeroed();
            // SAFETY: fills the structure.
            unsafe { RtlCaptureContext(&raw mut here) };
            below(&here, caller)
        }),
    };
    if let Some(start) = start {
        let exact = context.is_some_and(|context| context.Rip == start.Rip);
        walk(Walk::new(&start, Purpose::Unwind), exact, &mut number);
    } else {
        let last = [caller, wsk_nt::caller::current()].into_iter().find(|&address| module::covers(address));
        match last {
            Some(last) => say!("    the driver last called OpenWSK in {}", symbol::describe_return(last)),
            None => say!("    no driver code on this thread's stack"),
        }
    }
}

fn walk(mut walk: Walk, mut exact: bool, number: &mut usize) {
    while *number < FRAME_LIMIT {
        let before = walk.context.Rsp;
        match walk.frame(0) {
            Met::Frame(frame) => {
                let pc = walk.context.Rip as usize;
                let text = if exact { symbol::describe(pc) } else { symbol::describe_return(pc) };
                line(number, walk.context.Rip, &text);
                walk.up(&frame);
            }
            Met::End if is_code(walk.context.Rip) => {
                line(number, walk.context.Rip, &place(walk.context.Rip));
                return;
            }
            // Assembly without unwind codes (mingw's stack probe pushes registers), or a stack that was overwritten.
            Met::End | Met::Bad => match scan(before) {
                Some(next) => {
                    say!("    (no unwind information here; found on the stack:)");
                    walk.context.Rip = next.0;
                    walk.context.Rsp = next.1;
                }
                None => {
                    say!("    the stack cannot be followed further");
                    return;
                }
            },
        }
        exact = false;
    }
}

/// The next word from `from` on that is a return address into a driver, and where the stack pointer is after that return.
fn scan(from: u64) -> Option<(u64, u64)> {
    (0..SCAN_LIMIT).map(|index| from + index * 8).find_map(|at| {
        let word = probe::read_u64(at)?;
        (module::covers(word as usize) && follows_call(word)).then_some((word, at + 8))
    })
}

/// Whether a call instruction ends at an address.
fn follows_call(address: u64) -> bool {
    let mut code = [0; 7];
    if !probe::read_into(address - 7, &mut code) {
        return false;
    }
    // call near, and call through a register or memory: FF /2 with 0 to 5 bytes behind the opcode's second.
    code[2] == 0xe8 || (0..6).any(|at| code[at] == 0xff && code[at + 1] & 0x38 == 0x10)
}

fn line(number: &mut usize, address: u64, text: &str) {
    say!("    #{number:<2} {address:016x}  {text}");
    *number += 1;
}

/// Whether an address lies in this program or a library.
fn is_code(address: u64) -> bool {
    // SAFETY: a Dl_info is pointers, for which zeros are fine.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: takes any address.
    unsafe { libc::dladdr(address as *const _, &raw mut info) != 0 }
}

/// An address outside the drivers in words.
fn place(address: u64) -> String {
    if let Some(gone) = module::unloaded_at(address as usize) {
        return format!("{}+{:#x}, which has been unloaded", gone.name, address as usize - gone.range.start);
    }
    if is_code(address) { "OpenWSK".into() } else { "no code".into() }
}

/// The registers of the innermost driver frame below us, if nothing but compiled Rust lies between.
fn in_driver() -> Option<CONTEXT> {
    extern "C" fn step(frame: *mut c_void, argument: *mut c_void) -> c_int {
        // SAFETY: the unwinder's own frame.
        let ip = unsafe { _Unwind_GetIP(frame) };
        if !module::covers(ip as usize) {
            return 0;
        }
        // SAFETY: the variable of `in_driver`.
        let context = unsafe { &mut *argument.cast::<CONTEXT>() };
        context.Rip = ip;
        // SAFETY: as above; registers by their DWARF numbers.
        unsafe {
            context.Rsp = _Unwind_GetCFA(frame);
            context.Rbx = _Unwind_GetGR(frame, 3);
            context.Rsi = _Unwind_GetGR(frame, 4);
            context.Rdi = _Unwind_GetGR(frame, 5);
            context.Rbp = _Unwind_GetGR(frame, 6);
            context.R12 = _Unwind_GetGR(frame, 12);
            context.R13 = _Unwind_GetGR(frame, 13);
            context.R14 = _Unwind_GetGR(frame, 14);
            context.R15 = _Unwind_GetGR(frame, 15);
        }
        // Any other value than 0 ends the walk.
        1
    }
    let mut context = zeroed();
    // SAFETY: the function gets the variable, which outlives the call.
    unsafe { _Unwind_Backtrace(step, ptr::from_mut(&mut context).cast()) };
    (context.Rip != 0).then_some(context)
}

/// The innermost driver frame by what is on the stack: the return address on top, or the one the stub noted.
fn below(context: &CONTEXT, caller: usize) -> Option<CONTEXT> {
    let mut start = *context;
    if virtual_unwind::leave_leaf(&mut start).is_some() && module::covers(start.Rip as usize) {
        return Some(start);
    }
    let noted = [caller, wsk_nt::caller::current()].into_iter().find(|&address| module::covers(address))?;
    for index in 0..SCAN_LIMIT {
        let at = context.Rsp + index * 8;
        if probe::read_u64(at)? == noted as u64 {
            start.Rip = noted as u64;
            start.Rsp = at + 8;
            return Some(start);
        }
    }
    None
}
