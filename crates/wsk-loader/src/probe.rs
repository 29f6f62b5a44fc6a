//! Reads of memory that may not be there: a copy whose fault the signal handler turns into a short count.
#![allow(unsafe_code)] // Copies from addresses that nobody vouches for.

use std::arch::naked_asm;

/// Copies `len` bytes; the number that could not be copied. The instruction is the first one after the label that
/// [`instruction`] finds.
#[unsafe(naked)]
unsafe extern "C" fn copy(to: *mut u8, from: *const u8, len: usize) -> usize {
    naked_asm!(
        "mov rcx, rdx",
        ".globl wsk_loader_probe",
        ".hidden wsk_loader_probe",
        "wsk_loader_probe:",
        "rep movsb",
        "mov rax, rcx",
        "ret",
    )
}

/// Bytes of `rep movsb`.
const LENGTH: usize = 2;

#[unsafe(naked)]
extern "C" fn label() -> usize {
    naked_asm!("lea rax, [rip + wsk_loader_probe]", "ret")
}

/// If `rip` is the copying instruction: where to go on after its fault.
pub(crate) fn after_fault(rip: usize) -> Option<usize> {
    (rip == label()).then_some(rip + LENGTH)
}

/// Fills `to` from `address`; false if not all of it is readable. Needs the handlers of [`crate::trap`].
pub(crate) fn read_into(address: u64, to: &mut [u8]) -> bool {
    // SAFETY: writes only to `to`; a fault of the source ends the copy (trap.rs).
    unsafe { copy(to.as_mut_ptr(), address as *const u8, to.len()) == 0 }
}

/// The word at an address.
pub(crate) fn read_u64(address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    read_into(address, &mut bytes).then_some(u64::from_le_bytes(bytes))
}
