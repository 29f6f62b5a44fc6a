//! Raising exceptions: ExRaiseStatus and its kin catch the registers of their caller and hand them to the dispatcher that the
//! loader sets (its SEH unwinder). Functions that raise on failure end in a jump to ExRaiseStatus, with the stack as if
//! the driver had called that itself.
#![allow(unsafe_code)] // Saves and hands over registers.

use std::sync::OnceLock;

use crate::bug_check::{BugCheck, stop};
use crate::exports;
use crate::ke::context::{CONTEXT, EXCEPTION_NONCONTINUABLE, EXCEPTION_RECORD};

/// Finds a handler for an exception raised at `context`. Does not return when one takes it; false if none does.
pub type Dispatcher = unsafe fn(&mut EXCEPTION_RECORD, &mut CONTEXT) -> bool;

static DISPATCHER: OnceLock<Dispatcher> = OnceLock::new();

/// Sets the dispatcher, once per process.
pub fn set_dispatcher(dispatcher: Dispatcher) {
    let _ = DISPATCHER.set(dispatcher);
}

/// Hands an exception to the dispatcher; without a handler the system stops (KMODE_EXCEPTION_NOT_HANDLED).
///
/// # Safety
/// `context` must be the state of this thread in a frame that is still on its stack, with no Rust frame that owns
/// anything between that frame and this call.
pub unsafe fn raise(record: &mut EXCEPTION_RECORD, context: &mut CONTEXT) -> ! {
    if let Some(dispatch) = DISPATCHER.get() {
        // SAFETY: the caller's promise is the dispatcher's condition.
        unsafe { dispatch(record, context) };
    }
    stop(&BugCheck {
        code: 0x1E,
        parameters: [
            u64::from(record.ExceptionCode),
            record.ExceptionAddress as u64,
            record.ExceptionInformation[0] as u64,
            record.ExceptionInformation[1] as u64,
        ],
        what: format!("KMODE_EXCEPTION_NOT_HANDLED: {:?} raised", wsk_abi::NtStatus(record.ExceptionCode)),
        caller: context.Rip as usize,
    })
}

unsafe extern "C" fn raise_status(context: *mut CONTEXT, status: u32) -> ! {
    // SAFETY: the thunk's frame holds the context, and nothing of ours lies between it and the driver.
    let context = unsafe { &mut *context };
    let mut record = EXCEPTION_RECORD {
        ExceptionCode: status,
        ExceptionFlags: EXCEPTION_NONCONTINUABLE,
        ExceptionRecord: std::ptr::null_mut(),
        ExceptionAddress: context.Rip as *mut _,
        NumberParameters: 0,
        ExceptionInformation: [0; 15],
    };
    // SAFETY: as above.
    unsafe { raise(&mut record, context) }
}

unsafe extern "C" fn raise_record(context: *mut CONTEXT, record: *mut EXCEPTION_RECORD) -> ! {
    // SAFETY: as in `raise_status`; the record is the driver's.
    let (context, record) = unsafe { (&mut *context, &mut *record) };
    record.ExceptionAddress = context.Rip as *mut _;
    // SAFETY: as above.
    unsafe { raise(record, context) }
}

/// Builds the caller's CONTEXT on the stack (rsp then is its address), then goes on with rdi = context and rsi = rcx.
macro_rules! capture_and_call {
    ($inner:path) => {
        std::arch::naked_asm!(
            "sub rsp, 0x4d8",
            "mov [rsp + 0x78], rax",
            "mov [rsp + 0x80], rcx",
            "mov [rsp + 0x88], rdx",
            "mov [rsp + 0x90], rbx",
            "mov [rsp + 0xa0], rbp",
            "mov [rsp + 0xa8], rsi",
            "mov [rsp + 0xb0], rdi",
            "mov [rsp + 0xb8], r8",
            "mov [rsp + 0xc0], r9",
            "mov [rsp + 0xc8], r10",
            "mov [rsp + 0xd0], r11",
            "mov [rsp + 0xd8], r12",
            "mov [rsp + 0xe0], r13",
            "mov [rsp + 0xe8], r14",
            "mov [rsp + 0xf0], r15",
            "pushfq",
            "pop rax",
            "mov [rsp + 0x44], eax",
            "lea rax, [rsp + 0x4e0]",
            "mov [rsp + 0x98], rax",
            "mov rax, [rsp + 0x4d8]",
            "mov [rsp + 0xf8], rax",
            "mov dword ptr [rsp + 0x30], 0x10000f",
            "stmxcsr [rsp + 0x34]",
            "xor eax, eax",
            "mov [rsp + 0x48], rax",
            "mov [rsp + 0x50], rax",
            "mov [rsp + 0x58], rax",
            "mov [rsp + 0x60], rax",
            "mov [rsp + 0x68], rax",
            "mov [rsp + 0x70], rax",
            "mov word ptr [rsp + 0x38], cs",
            "mov word ptr [rsp + 0x3a], ds",
            "mov word ptr [rsp + 0x3c], es",
            "mov word ptr [rsp + 0x3e], fs",
            "mov word ptr [rsp + 0x40], gs",
            "mov word ptr [rsp + 0x42], ss",
            "fxsave64 [rsp + 0x100]",
            "cld",
            "mov rdi, rsp",
            "mov rsi, rcx",
            "call {inner}",
            "ud2",
            inner = sym $inner,
        )
    };
}

/// ExRaiseStatus.
#[unsafe(naked)]
pub(crate) unsafe extern "win64" fn ExRaiseStatus(status: u32) -> ! {
    capture_and_call!(raise_status)
}

/// RtlRaiseException.
#[unsafe(naked)]
unsafe extern "win64" fn RtlRaiseException(record: *mut EXCEPTION_RECORD) {
    capture_and_call!(raise_record)
}

/// ExRaiseAccessViolation.
#[unsafe(naked)]
unsafe extern "win64" fn ExRaiseAccessViolation() -> ! {
    std::arch::naked_asm!("mov ecx, 0xc0000005", "jmp {raise}", raise = sym ExRaiseStatus)
}

/// ExRaiseDatatypeMisalignment.
#[unsafe(naked)]
unsafe extern "win64" fn ExRaiseDatatypeMisalignment() -> ! {
    std::arch::naked_asm!("mov ecx, 0x80000002", "jmp {raise}", raise = sym ExRaiseStatus)
}

/// A raising export around `inner`, a function of the same (at most four) arguments that returns a status: on failure the
/// status is raised in the driver's name.
macro_rules! raising {
    ($(#[$meta:meta])* $name:ident = $inner:path) => {
        $(#[$meta])*
        #[unsafe(naked)]
        pub(crate) unsafe extern "win64" fn $name() {
            std::arch::naked_asm!(
                "sub rsp, 0x28",
                "call {inner}",
                "add rsp, 0x28",
                "test eax, eax",
                "js 2f",
                "ret",
                "2:",
                "mov ecx, eax",
                "jmp {raise}",
                inner = sym $inner,
                raise = sym $crate::ke::exception::ExRaiseStatus,
            )
        }
    };
}
pub(crate) use raising;

exports! {
    ExRaiseStatus, RtlRaiseException, ExRaiseAccessViolation, ExRaiseDatatypeMisalignment, RtlRaiseStatus = ExRaiseStatus,
}
