//! Which instruction of a driver made the call that is running.
//!
//! The stubs before exports (wsk-loader) and before dispatch-table slots (wsk-npi) store their return address in one
//! thread-local word. It is read early in a call: a callback into the driver that calls back overwrites it.
#![allow(unsafe_code)] // One thread-local word that assembly writes.

std::arch::global_asm!(
    ".pushsection .tbss.wsk_nt_caller,\"awT\",@nobits",
    ".globl wsk_nt_caller",
    ".hidden wsk_nt_caller",
    ".type wsk_nt_caller,@object",
    ".size wsk_nt_caller, 8",
    ".p2align 3",
    "wsk_nt_caller:",
    ".zero 8",
    ".popsection",
);

/// The word's distance from the thread pointer (the base of FS), the same in every thread: what a stub needs to write
/// `mov fs:[offset], r10`.
#[unsafe(naked)]
pub extern "C" fn thread_offset() -> i64 {
    std::arch::naked_asm!("mov rax, qword ptr [rip + wsk_nt_caller@GOTTPOFF]", "ret")
}

/// The driver's return address of the call into us that is running on this thread; 0 if none was noted.
pub fn current() -> usize {
    let caller: usize;
    // SAFETY: reads this thread's own word, which `thread_offset` locates.
    unsafe { std::arch::asm!("mov {}, fs:[{}]", out(reg) caller, in(reg) thread_offset(), options(nostack, readonly)) };
    caller
}

/// Notes a caller as the stubs do: for calls that Rust code makes in a driver's name, and for tests.
pub fn note(address: usize) {
    // SAFETY: writes this thread's own word.
    unsafe { std::arch::asm!("mov fs:[{}], {}", in(reg) thread_offset(), in(reg) address, options(nostack)) };
}
