//! The stub before each imported function: it notes the caller for `wsk_nt::caller` and jumps on, keeping every argument.

use wsk_nt::caller;

/// Bytes of a stub: code, then the target's address.
pub(crate) const SIZE: usize = 32;
const TARGET: u8 = 24;

/// Bytes of a stub with a note.
pub(crate) const NOTED_SIZE: usize = 64;
const NOTED_TARGET: u8 = 48;
const NOTE: u8 = 56;

/// `mov r10, [rsp]; mov fs:[offset], r10`: R10 is volatile and carries no argument.
fn note_caller(code: &mut Vec<u8>) {
    let offset = caller::thread_offset();
    let offset = i32::try_from(offset).expect("thread-local storage lies within 2 GB of the thread pointer");
    code.extend([0x4c, 0x8b, 0x14, 0x24, 0x64, 0x4c, 0x89, 0x14, 0x25]);
    code.extend(offset.to_le_bytes());
}

/// `jmp [rip + ...]` to the address at `at`.
fn jump(code: &mut Vec<u8>, at: u8) {
    let end = code.len() as u8 + 6;
    code.extend([0xff, 0x25, at - end, 0, 0, 0]);
}

/// The stub before `target`.
pub(crate) fn to(target: usize) -> [u8; SIZE] {
    let mut code = Vec::with_capacity(SIZE);
    note_caller(&mut code);
    jump(&mut code, TARGET);
    let mut stub = [0xcc; SIZE];
    stub[..code.len()].copy_from_slice(&code);
    stub[TARGET.into()..].copy_from_slice(&target.to_le_bytes());
    stub
}

/// As [`to`], with R11 holding `note` when the target is entered.
pub(crate) fn noted(target: usize, note: usize) -> [u8; NOTED_SIZE] {
    let mut code = Vec::with_capacity(NOTED_SIZE);
    note_caller(&mut code);
    // mov r11, [rip + ...]
    let end = code.len() as u8 + 7;
    code.extend([0x4c, 0x8b, 0x1d, NOTE - end, 0, 0, 0]);
    jump(&mut code, NOTED_TARGET);
    let mut stub = [0xcc; NOTED_SIZE];
    stub[..code.len()].copy_from_slice(&code);
    stub[NOTED_TARGET.into()..NOTE.into()].copy_from_slice(&target.to_le_bytes());
    stub[NOTE.into()..].copy_from_slice(&note.to_le_bytes());
    stub
}
