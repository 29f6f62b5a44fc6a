//! Epilogues: what the unwind codes do not describe. Their form is fixed, so the instructions left are carried out:
//! `[add rsp, n | lea rsp, [frame + n]] {pop reg} (ret | jmp out)`.

use wsk_nt::ke::context::CONTEXT;

use super::table::Function;
use crate::context::register;
use crate::probe;
use crate::view::View;

/// If `rva` lies in an epilogue: carries out the rest of it on `context`. Whether it did.
pub(crate) fn leave(
    view: View<'_>,
    function: Function,
    rva: u32,
    frame_register: u8,
    context: &mut CONTEXT,
) -> Option<bool> {
    let mut after = *context;
    match run(view, function, rva, frame_register, &mut after) {
        Run::No => Some(false),
        Run::BadStack => None,
        Run::Left => {
            *context = after;
            Some(true)
        }
    }
}

enum Run {
    No,
    BadStack,
    Left,
}

fn run(view: View<'_>, function: Function, rva: u32, frame_register: u8, context: &mut CONTEXT) -> Run {
    let byte = |at: u32| view.u8(at).unwrap_or(0);
    let mut at = rva;
    let rex = |at: u32| if byte(at) & 0xf0 == 0x40 { byte(at) } else { 0 };
    match (byte(at), byte(at + 1), byte(at + 2)) {
        (0x48, 0x83, 0xc4) => {
            context.Rsp = context.Rsp.wrapping_add_signed(i64::from(byte(at + 3) as i8));
            at += 4;
        }
        (0x48, 0x81, 0xc4) => {
            context.Rsp = context.Rsp.wrapping_add_signed(i64::from(view.u32(at + 3).unwrap_or(0) as i32));
            at += 7;
        }
        // lea rsp, [frame + n]; R12 as base takes one byte more.
        (prefix, 0x8d, modrm) if prefix & 0xfe == 0x48 && modrm & 0x38 == 0x20 && frame_register != 0 => {
            let base = modrm & 7 | (prefix & 1) << 3;
            if base != frame_register || base & 7 == 4 {
                return Run::No;
            }
            let (displacement, length) = match modrm >> 6 {
                0 => (0, 3),
                1 => (i64::from(byte(at + 3) as i8), 4),
                2 => (i64::from(view.u32(at + 3).unwrap_or(0) as i32), 7),
                _ => return Run::No,
            };
            context.Rsp = register(context, base).wrapping_add_signed(displacement);
            at += length;
        }
        _ => {}
    }
    loop {
        let prefix = rex(at);
        let code = if prefix == 0 { at } else { at + 1 };
        if byte(code) & 0xf8 != 0x58 {
            break;
        }
        let Some(value) = probe::read_u64(context.Rsp) else { return Run::BadStack };
        *register(context, byte(code) & 7 | (prefix & 1) << 3) = value;
        context.Rsp = context.Rsp.wrapping_add(8);
        at = code + 1;
    }
    let leaves = match (byte(at), byte(at + 1), byte(at + 2)) {
        (0xc3 | 0xc2, ..) | (0xf3, 0xc3, _) => true,
        // A jump that nothing of an epilogue precedes leads to a part of the function that lies elsewhere (gcc's .cold).
        _ if at == rva => false,
        (0xeb, displacement, _) => is_outside(function, at.wrapping_add_signed(2 + i32::from(displacement as i8))),
        (0xe9, ..) => {
            let displacement = view.u32(at + 1).unwrap_or(0) as i32;
            is_outside(function, at.wrapping_add(5).wrapping_add_signed(displacement))
        }
        (0xff, 0x25, _) => true,
        (0x48, 0xff, modrm) => modrm & 0x38 == 0x20,
        _ => false,
    };
    if !leaves {
        return Run::No;
    }
    match super::virtual_unwind::leave_leaf(context) {
        Some(()) => Run::Left,
        None => Run::BadStack,
    }
}

/// Jumps out of the function, or to its start, end it.
fn is_outside(function: Function, target: u32) -> bool {
    target <= function.begin || target >= function.end
}
