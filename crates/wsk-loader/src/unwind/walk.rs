//! Walking the frames of a thread from a CONTEXT upwards, through the loader's own calls of handlers.
#![allow(unsafe_code)] // Follows pointers that this module's own frames hold.

use std::arch::naked_asm;

use wsk_nt::ke::context::CONTEXT;
use wsk_nt::rtl::memory;

use super::table::{self, Function};
use super::virtual_unwind::{self, Unwound};
use crate::{module, probe};

/// Left on the stack by a call of a handler, filter or termination block: where a walk that comes up to that call goes on.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Boundary {
    /// The frame whose handler runs, and the next of its scopes.
    pub(crate) frame: *const CONTEXT,
    pub(crate) scope: *const u32,
    /// Where the exception was raised, during the search for a handler; null when frames are being unwound.
    pub(crate) raised: *const CONTEXT,
}

/// Calls a driver's handler with up to four arguments, win64, and leaves `boundary` where the walk finds it.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn call(
    function: u64,
    first: usize,
    second: usize,
    third: usize,
    fourth: usize,
    boundary: *const Boundary,
) -> u64 {
    naked_asm!(
        "push r9",
        "sub rsp, 32",
        "mov rax, rdi",
        "mov r9, r8",
        "mov r8, rcx",
        "mov rcx, rsi",
        "call rax",
        ".globl wsk_loader_boundary",
        ".hidden wsk_loader_boundary",
        "wsk_loader_boundary:",
        "add rsp, 40",
        "ret",
    )
}

#[unsafe(naked)]
extern "C" fn boundary_address() -> u64 {
    naked_asm!("lea rax, [rip + wsk_loader_boundary]", "ret")
}

/// What the walk is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Finding a handler: goes on behind the scope whose filter runs.
    Search,
    /// Unwinding: goes through everything since the exception was raised.
    Unwind,
}

/// A frame of a driver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) base: u64,
    pub(crate) control_pc: u64,
    /// Address of the function's entry in the mapped function table; 0 for a leaf.
    pub(crate) entry: u64,
    pub(crate) establisher: u64,
    /// Addresses of the language handler and of its data.
    pub(crate) handler: Option<(u64, u64)>,
    /// The caller's registers.
    pub(crate) caller: CONTEXT,
}

/// Where a walk is.
pub(crate) struct Walk {
    /// The registers in the current frame.
    pub(crate) context: CONTEXT,
    /// The first scope of the frame to consider.
    pub(crate) scope: u32,
    purpose: Purpose,
}

/// What the walk met.
#[expect(clippy::large_enum_variant)] // On the stack, one at a time: nothing may be owned while driver code runs.
pub(crate) enum Met {
    /// A frame of a driver.
    Frame(Frame),
    /// Code that is no driver's: the walk is over.
    End,
    /// The stack or the unwind codes are bad.
    Bad,
}

impl Walk {
    pub(crate) fn new(context: &CONTEXT, purpose: Purpose) -> Walk {
        Walk { context: *context, scope: 0, purpose }
    }

    /// The frame of the current registers. `kinds`: the handlers wanted.
    pub(crate) fn frame(&mut self, kinds: u8) -> Met {
        while self.context.Rip == boundary_address() {
            let Some(boundary) = probe::read_u64(self.context.Rsp + 32) else { return Met::Bad };
            // SAFETY: `call` put it there, and its caller's frame, which owns it, is still on the stack above this one.
            let boundary = unsafe { &*(boundary as *const Boundary) };
            if self.purpose == Purpose::Unwind && !boundary.raised.is_null() {
                // SAFETY: as above.
                self.context = unsafe { *boundary.raised };
                self.scope = 0;
            } else {
                // SAFETY: as above.
                self.context = unsafe { *boundary.frame };
                // SAFETY: as above.
                self.scope = unsafe { *boundary.scope };
            }
        }
        let rip = self.context.Rip as usize;
        let Some(module) = module::find(rip) else {
            return if memory::leaf_routines().contains(&rip) { self.leaf(0) } else { Met::End };
        };
        let base = module.base() as u64;
        let mut caller = self.context;
        // In an import's stub: nothing pushed yet.
        let Some(rva) = module.rva(rip) else { return self.leaf(base) };
        let functions = &module.image.functions;
        let (unwound, entry) = match table::find(functions, rva) {
            None => {
                let establisher = caller.Rsp;
                (virtual_unwind::leave_leaf(&mut caller).map(|()| Unwound { establisher, handler: None }), 0)
            }
            Some(function) => {
                let index = functions.partition_point(|other: &Function| other.begin < function.begin);
                let entry = base + u64::from(module.image.function_table) + index as u64 * 12;
                (virtual_unwind::leave(module.image.view(), base, function, kinds, &mut caller), entry)
            }
        };
        let Some(unwound) = unwound else { return Met::Bad };
        let address = |rva: u32| base + u64::from(rva);
        let handler = unwound.handler.map(|(handler, data)| (address(handler), address(data)));
        Met::Frame(Frame { base, control_pc: rip as u64, entry, establisher: unwound.establisher, handler, caller })
    }

    /// A frame of nothing but a return address.
    fn leaf(&self, base: u64) -> Met {
        let (mut caller, establisher) = (self.context, self.context.Rsp);
        match virtual_unwind::leave_leaf(&mut caller) {
            Some(()) => {
                let control_pc = self.context.Rip;
                Met::Frame(Frame { base, control_pc, entry: 0, establisher, handler: None, caller })
            }
            None => Met::Bad,
        }
    }

    /// Goes on in the caller of `frame`.
    pub(crate) fn up(&mut self, frame: &Frame) {
        self.context = frame.caller;
        self.scope = 0;
    }
}
