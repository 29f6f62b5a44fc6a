//! Raising: the dispatcher of the tests returns from the raising export with the status, as a handler would.
#![allow(unsafe_code)] // Calls exports, goes on at a saved context.

use crate::ke::context::{CONTEXT, EXCEPTION_RECORD};
use crate::ke::event::{KSEMAPHORE, KeInitializeSemaphore, KeReleaseSemaphore};
use crate::ke::exception::{ExRaiseStatus, set_dispatcher};
use crate::mm::memory::{ProbeForRead, ProbeForWrite};
use wsk_abi::NtStatus;

/// Goes on at the context, with its rax.
#[unsafe(naked)]
unsafe extern "C" fn resume(_context: *const CONTEXT) -> ! {
    std::arch::naked_asm!(
        "fxrstor64 [rdi + 0x100]",
        "mov rax, [rdi + 0x78]",
        "mov rbx, [rdi + 0x90]",
        "mov rsp, [rdi + 0x98]",
        "mov rbp, [rdi + 0xa0]",
        "mov rsi, [rdi + 0xa8]",
        "mov r12, [rdi + 0xd8]",
        "mov r13, [rdi + 0xe0]",
        "mov r14, [rdi + 0xe8]",
        "mov r15, [rdi + 0xf0]",
        "push [rdi + 0xf8]",
        "mov rdi, [rdi + 0xb0]",
        "ret",
    )
}

unsafe fn take(record: &mut EXCEPTION_RECORD, context: &mut CONTEXT) -> bool {
    context.Rax = record.ExceptionCode.into();
    // SAFETY: the raising function's caller goes on as if it had returned.
    unsafe { resume(context) }
}

#[test]
fn failures_are_raised_in_the_name_of_the_caller() {
    set_dispatcher(take);
    type Raise = unsafe extern "win64" fn(u32) -> u32;
    type Probe = unsafe extern "win64" fn(usize, usize, u32) -> u32;
    type Release = unsafe extern "win64" fn(*mut KSEMAPHORE, i32, i32, u8) -> u32;
    // SAFETY: the exports, by signatures that see what the dispatcher returns.
    unsafe {
        let raise: Raise = std::mem::transmute(std::hint::black_box(ExRaiseStatus as *const ()));
        assert_eq!(raise(0xC000_1234), 0xC000_1234);
        let probe: Probe = std::mem::transmute(std::hint::black_box(ProbeForRead as *const ()));
        assert_eq!(probe(0x1001, 4, 4), NtStatus::DATATYPE_MISALIGNMENT.0);
        assert_eq!(probe(0xFFFF_8000_0000_0000, 4, 4), NtStatus::ACCESS_VIOLATION.0);
        assert_eq!(probe(0x1000, 4, 4) as i32, 0);
        let probe: Probe = std::mem::transmute(std::hint::black_box(ProbeForWrite as *const ()));
        assert_eq!(probe(0x1000, 4, 4), NtStatus::ACCESS_VIOLATION.0);
        let release: Release = std::mem::transmute(std::hint::black_box(KeReleaseSemaphore as *const ()));
        let mut semaphore: KSEMAPHORE = std::mem::zeroed();
        KeInitializeSemaphore(&raw mut semaphore, 0, 1);
        assert_eq!(release(&raw mut semaphore, 0, 1, 0), 0);
        assert_eq!(release(&raw mut semaphore, 0, 1, 0), NtStatus::SEMAPHORE_LIMIT_EXCEEDED.0);
    }
}
