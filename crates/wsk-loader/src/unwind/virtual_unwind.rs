//! One step up the stack by a function's unwind codes (x64 exception handling, versions 1 and 2 of UNWIND_INFO).

use wsk_nt::ke::context::{CONTEXT, M128A};

use super::epilogue;
use super::table::Function;
use crate::context::register;
use crate::probe;
use crate::view::View;

/// UNW_FLAG_EHANDLER.
pub(crate) const EHANDLER: u8 = 1;
/// UNW_FLAG_UHANDLER.
pub(crate) const UHANDLER: u8 = 2;
const CHAININFO: u8 = 4;
/// Longest chain of unwind infos followed.
const CHAIN_LIMIT: usize = 32;

/// What a step found out about the frame it left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unwound {
    /// The frame's identity: its stack pointer after the prologue, or what its frame register says.
    pub(crate) establisher: u64,
    /// RVAs of the language handler and of its data, if the function has one of the kinds asked for that covers the address.
    pub(crate) handler: Option<(u32, u32)>,
}

/// UNWIND_INFO's head.
struct Info {
    rva: u32,
    version: u8,
    flags: u8,
    prologue: u32,
    count: u32,
    frame_register: u8,
    frame_offset: u64,
}

impl Info {
    fn read(view: View<'_>, rva: u32) -> Option<Info> {
        let [first, prologue, count, frame] = view.u32(rva)?.to_le_bytes();
        let info = Info {
            rva,
            version: first & 7,
            flags: first >> 3,
            prologue: prologue.into(),
            count: count.into(),
            frame_register: frame & 15,
            frame_offset: u64::from(frame >> 4) * 16,
        };
        (matches!(info.version, 1 | 2) && view.bytes(rva, 4 + info.count as usize * 2).is_some()).then_some(info)
    }

    /// What lies behind the codes: the handler's RVA or the chained function.
    fn trailer(&self) -> u32 {
        self.rva + 4 + self.count.next_multiple_of(2) * 2
    }

    fn code(&self, view: View<'_>, index: u32) -> Option<(u32, u8, u8)> {
        let [offset, operation] = view.u16(self.rva + 4 + index * 2)?.to_le_bytes();
        (index < self.count).then_some((offset.into(), operation & 15, operation >> 4))
    }

    fn operand(&self, view: View<'_>, index: u32) -> Option<u64> {
        (index < self.count).then(|| view.u16(self.rva + 4 + index * 2))?.map(u64::from)
    }

    fn operand32(&self, view: View<'_>, index: u32) -> Option<u64> {
        Some(self.operand(view, index)? | self.operand(view, index + 1)? << 16)
    }
}

/// Leaves a frame without unwind information: a leaf function, whose return address is on top of the stack.
pub(crate) fn leave_leaf(context: &mut CONTEXT) -> Option<()> {
    context.Rip = probe::read_u64(context.Rsp)?;
    context.Rsp = context.Rsp.checked_add(8)?;
    Some(())
}

/// Leaves the frame of `function` at `context.Rip`, which becomes the caller's. `None` if the codes or the stack are bad.
pub(crate) fn leave(
    view: View<'_>,
    base: u64,
    function: Function,
    kinds: u8,
    context: &mut CONTEXT,
) -> Option<Unwound> {
    let mut function = function;
    if function.unwind & 1 != 0 {
        let at = function.unwind & !1;
        function = Function { begin: view.u32(at)?, end: view.u32(at + 4)?, unwind: view.u32(at + 8)? };
    }
    let rva = u32::try_from(context.Rip.checked_sub(base)?).ok()?;
    let mut info = Info::read(view, function.unwind)?;
    let offset = rva.checked_sub(function.begin)?;
    let in_prologue = offset < info.prologue;
    let mut establisher = context.Rsp;
    if info.frame_register != 0 && (!in_prologue || info.flags & CHAININFO != 0 || frame_is_set(view, &info, offset)) {
        establisher = register(context, info.frame_register).wrapping_sub(info.frame_offset);
    }
    if !in_prologue && epilogue::leave(view, function, rva, info.frame_register, context)? {
        return Some(Unwound { establisher, handler: None });
    }
    let mut machine_frame = false;
    let mut reached = offset;
    for _ in 0..CHAIN_LIMIT {
        machine_frame |= undo(view, &info, reached, establisher, context)?;
        if info.flags & CHAININFO == 0 {
            break;
        }
        let next = view.u32(info.trailer() + 8)?;
        info = Info::read(view, next)?;
        reached = u32::MAX;
    }
    if !machine_frame {
        leave_leaf(context)?;
    }
    let handler = if in_prologue || info.flags & CHAININFO != 0 || info.flags & kinds == 0 {
        None
    } else {
        let handler = view.u32(info.trailer())?;
        view.u8(handler).map(|_| (handler, info.trailer() + 4))
    };
    Some(Unwound { establisher, handler })
}

/// Whether the prologue has set the frame register by `offset`.
fn frame_is_set(view: View<'_>, info: &Info, offset: u32) -> bool {
    let mut index = 0;
    while let Some((at, operation, detail)) = info.code(view, index) {
        if operation == 3 {
            return offset >= at;
        }
        index += slots(info.version, operation, detail);
    }
    false
}

/// Codes that an operation takes.
fn slots(version: u8, operation: u8, detail: u8) -> u32 {
    match operation {
        1 if detail != 0 => 3,
        1 | 4 | 8 => 2,
        6 if version == 1 => 2,
        5 | 7 | 9 => 3,
        _ => 1,
    }
}

/// Undoes what the prologue has done by `offset`; whether the frame is one that a trap made.
fn undo(view: View<'_>, info: &Info, offset: u32, establisher: u64, context: &mut CONTEXT) -> Option<bool> {
    let mut machine_frame = false;
    let mut index = 0;
    while index < info.count {
        let (at, operation, detail) = info.code(view, index)?;
        let next = index + slots(info.version, operation, detail);
        if at <= offset || (operation == 6 && info.version == 2) {
            match operation {
                0 => {
                    *register(context, detail) = probe::read_u64(context.Rsp)?;
                    context.Rsp = context.Rsp.wrapping_add(8);
                }
                1 => {
                    let size =
                        if detail == 0 { info.operand(view, index + 1)? * 8 } else { info.operand32(view, index + 1)? };
                    context.Rsp = context.Rsp.wrapping_add(size);
                }
                2 => context.Rsp = context.Rsp.wrapping_add(u64::from(detail) * 8 + 8),
                3 => context.Rsp = register(context, info.frame_register).wrapping_sub(info.frame_offset),
                4 | 5 => {
                    let from = if operation == 4 {
                        info.operand(view, index + 1)? * 8
                    } else {
                        info.operand32(view, index + 1)?
                    };
                    *register(context, detail) = probe::read_u64(establisher.wrapping_add(from))?;
                }
                6 if info.version == 2 => {}
                8 | 9 => {
                    let from = if operation == 8 {
                        info.operand(view, index + 1)? * 16
                    } else {
                        info.operand32(view, index + 1)?
                    };
                    let from = establisher.wrapping_add(from);
                    let (low, high) = (probe::read_u64(from)?, probe::read_u64(from.wrapping_add(8))?);
                    context.FltSave.XmmRegisters[usize::from(detail)] = M128A { Low: low, High: high as i64 };
                }
                10 => {
                    let at = context.Rsp.wrapping_add(if detail == 0 { 0 } else { 8 });
                    context.Rip = probe::read_u64(at)?;
                    context.Rsp = probe::read_u64(at.wrapping_add(24))?;
                    machine_frame = true;
                }
                _ => return None,
            }
        }
        index = next;
    }
    Some(machine_frame)
}
