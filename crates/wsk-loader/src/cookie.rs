//! What the loader fills in before DriverEntry: the security cookie and the control-flow-guard pointers (spec/loader.md).
#![allow(unsafe_code)] // Two naked routines that drivers call.

use std::arch::naked_asm;
use std::hash::{BuildHasher, RandomState};

use crate::image::Image;

/// A fresh cookie: 48 bits, as the check wants the upper 16 to be zero, and not the value images are linked with.
fn fresh() -> u64 {
    const LINKED: u64 = 0x0000_2B99_2DDF_A232;
    let random = RandomState::new().hash_one("cookie") & 0xffff_ffff_ffff;
    if random <= 0xffff || random == LINKED { LINKED ^ 0x5a5a_1234 } else { random }
}

/// `_guard_check_icall`: every target is fine.
#[unsafe(naked)]
unsafe extern "win64" fn guard_check() {
    naked_asm!("ret")
}

/// `_guard_dispatch_icall`: goes where RAX points.
#[unsafe(naked)]
unsafe extern "win64" fn guard_dispatch() {
    naked_asm!("jmp rax")
}

/// Writes them into the image's memory at `base`.
pub(crate) fn set(memory: &mut [u8], image: &Image) {
    let config = &image.load_config;
    let check = guard_check as *const () as u64;
    let dispatch = guard_dispatch as *const () as u64;
    let [extended_check, extended_dispatch, extended_table] = config.extended;
    let words = [
        (config.cookie, fresh()),
        (config.guard_check, check),
        (config.guard_dispatch, dispatch),
        (extended_check, check),
        (extended_dispatch, dispatch),
        (extended_table, dispatch),
    ];
    for (rva, value) in words {
        if rva != 0 {
            memory[rva as usize..][..8].copy_from_slice(&value.to_le_bytes());
        }
    }
}
