//! CONTEXT: taken from a signal frame or from a caller's registers, and gone back to.
#![allow(unsafe_code)] // Reads signal frames, loads registers.
#![allow(non_snake_case)] // Exports have their C names.

use std::arch::naked_asm;
use std::mem::offset_of;

use wsk_nt::ke::context::{CONTEXT, CONTEXT_ALL};

pub(crate) const fn zeroed() -> CONTEXT {
    // SAFETY: a context is numbers only.
    unsafe { std::mem::zeroed() }
}

/// The general registers of a CONTEXT in the order of their encoding: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15.
pub(crate) fn register(context: &mut CONTEXT, number: u8) -> &mut u64 {
    match number & 15 {
        0 => &mut context.Rax,
        1 => &mut context.Rcx,
        2 => &mut context.Rdx,
        3 => &mut context.Rbx,
        4 => &mut context.Rsp,
        5 => &mut context.Rbp,
        6 => &mut context.Rsi,
        7 => &mut context.Rdi,
        8 => &mut context.R8,
        9 => &mut context.R9,
        10 => &mut context.R10,
        11 => &mut context.R11,
        12 => &mut context.R12,
        13 => &mut context.R13,
        14 => &mut context.R14,
        _ => &mut context.R15,
    }
}

/// Where the general registers are in a signal frame, in the order of their encoding.
pub(crate) const SIGNAL_REGISTERS: [libc::c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// Fills `context` from a signal frame.
///
/// # Safety
/// The floating point pointer of the frame must be what the kernel put there.
pub(crate) unsafe fn from_signal(machine: &libc::mcontext_t, context: &mut CONTEXT) {
    let registers = &machine.gregs;
    context.ContextFlags = CONTEXT_ALL;
    for (number, index) in SIGNAL_REGISTERS.into_iter().enumerate() {
        *register(context, number as u8) = registers[index as usize] as u64;
    }
    context.Rip = registers[libc::REG_RIP as usize] as u64;
    context.EFlags = registers[libc::REG_EFL as usize] as u32;
    if !machine.fpregs.is_null() {
        // SAFETY: the kernel's frame begins with the image of FXSAVE64, which XMM_SAVE_AREA32 is too.
        context.FltSave = unsafe { machine.fpregs.cast::<wsk_nt::ke::context::XMM_SAVE_AREA32>().read_unaligned() };
    }
    context.MxCsr = context.FltSave.MxCsr;
}

/// Loads all registers and goes on at `context.Rip` on the stack `context.Rsp`. What is between here and there on the stack is
/// forgotten.
///
/// # Safety
/// `context` must be a state that this thread can go on from.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn resume(context: *const CONTEXT) -> ! {
    naked_asm!(
        "fxrstor64 [rdi + {float}]",
        "mov eax, ss",
        "push rax",
        "push qword ptr [rdi + {rsp}]",
        "mov eax, dword ptr [rdi + {flags}]",
        "and eax, 0x240fd5", // ID, AC, OF, DF, IF, TF, SF, ZF, AF, PF, CF
        "or eax, 0x202",
        "push rax",
        "mov eax, cs",
        "push rax",
        "push qword ptr [rdi + {rip}]",
        "mov rax, [rdi + {rax}]",
        "mov rcx, [rdi + {rax} + 8]",
        "mov rdx, [rdi + {rax} + 16]",
        "mov rbx, [rdi + {rax} + 24]",
        "mov rbp, [rdi + {rax} + 40]",
        "mov rsi, [rdi + {rax} + 48]",
        "mov r8, [rdi + {rax} + 64]",
        "mov r9, [rdi + {rax} + 72]",
        "mov r10, [rdi + {rax} + 80]",
        "mov r11, [rdi + {rax} + 88]",
        "mov r12, [rdi + {rax} + 96]",
        "mov r13, [rdi + {rax} + 104]",
        "mov r14, [rdi + {rax} + 112]",
        "mov r15, [rdi + {rax} + 120]",
        "mov rdi, [rdi + {rax} + 56]",
        "iretq",
        float = const offset_of!(CONTEXT, FltSave),
        rsp = const offset_of!(CONTEXT, Rsp),
        flags = const offset_of!(CONTEXT, EFlags),
        rip = const offset_of!(CONTEXT, Rip),
        rax = const offset_of!(CONTEXT, Rax),
    )
}

/// RtlCaptureContext: the registers as the caller has them.
#[unsafe(naked)]
pub(crate) unsafe extern "win64" fn RtlCaptureContext(context: *mut CONTEXT) {
    naked_asm!(
        "mov [rcx + 0x78], rax",
        "mov [rcx + 0x80], rcx",
        "mov [rcx + 0x88], rdx",
        "mov [rcx + 0x90], rbx",
        "mov [rcx + 0xa0], rbp",
        "mov [rcx + 0xa8], rsi",
        "mov [rcx + 0xb0], rdi",
        "mov [rcx + 0xb8], r8",
        "mov [rcx + 0xc0], r9",
        "mov [rcx + 0xc8], r10",
        "mov [rcx + 0xd0], r11",
        "mov [rcx + 0xd8], r12",
        "mov [rcx + 0xe0], r13",
        "mov [rcx + 0xe8], r14",
        "mov [rcx + 0xf0], r15",
        "pushfq",
        "pop rax",
        "mov [rcx + 0x44], eax",
        "lea rax, [rsp + 8]",
        "mov [rcx + 0x98], rax",
        "mov rax, [rsp]",
        "mov [rcx + 0xf8], rax",
        "mov rax, [rcx + 0x78]",
        "mov dword ptr [rcx + 0x30], 0x10000f",
        "stmxcsr [rcx + 0x34]",
        "mov word ptr [rcx + 0x38], cs",
        "mov word ptr [rcx + 0x3a], ds",
        "mov word ptr [rcx + 0x3c], es",
        "mov word ptr [rcx + 0x3e], fs",
        "mov word ptr [rcx + 0x40], gs",
        "mov word ptr [rcx + 0x42], ss",
        "fxsave64 [rcx + 0x100]",
        "ret",
    )
}

/// An export that catches its caller's registers and goes on in `$inner(context)`, which never returns. The fifth and
/// sixth argument are at `context.Rsp + 0x20`.
macro_rules! with_context {
    ($(#[$meta:meta])* $name:ident => $inner:path) => {
        $(#[$meta])*
        #[unsafe(naked)]
        pub(crate) unsafe extern "win64" fn $name() -> ! {
            std::arch::naked_asm!(
                "sub rsp, 0x4d8",
                "push rcx",
                "lea rcx, [rsp + 8]",
                "call {capture}",
                "pop rax",
                "mov [rcx + 0x80], rax",
                "mov rax, [rsp + 0x4d8]",
                "mov [rcx + 0xf8], rax",
                "lea rax, [rsp + 0x4e0]",
                "mov [rcx + 0x98], rax",
                "mov rdi, rcx",
                "cld",
                "call {inner}",
                "ud2",
                inner = sym $inner,
                capture = sym $crate::context::RtlCaptureContext,
            )
        }
    };
}
pub(crate) use with_context;
