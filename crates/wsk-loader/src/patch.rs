//! Rewriting, at load time, of what would trap on every execution: moves from and to CR8 become accesses to the IRQL in the
//! processor block, and addresses of KUSER_SHARED_DATA in instructions become addresses of the mirror page (spec/loader.md).
//!
//! Only what is certainly an instruction is touched ([`flow`]). A CR8 access has four bytes and a jump five, so it moves out of
//! line together with a neighbour that no jump leads to; where that is not certain, the trap stays.

mod emit;
mod flow;

use iced_x86::{Code, Instruction};

pub(crate) use self::emit::{AREA, Moved, write};
use self::flow::Flow;
use crate::image::Image;
use crate::trap::cr8;
use crate::trap::shared_page::START;
use crate::view::View;

/// Bytes of a jump with a 32-bit displacement.
pub(crate) const JUMP: u32 = 5;

/// Instructions that move out of line together; RVAs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// What to rewrite in an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) windows: Vec<Window>,
    /// CR8 accesses rewritten, and those left to the trap.
    pub(crate) accesses: u32,
    pub(crate) left: u32,
    /// RVAs of 64-bit immediates in the shared page.
    pub(crate) shared: Vec<u32>,
    /// Something in the code looks like half of the shared page's address.
    pub(crate) reads_time: bool,
}

/// Finds out what to rewrite.
pub(crate) fn plan(image: &Image) -> Plan {
    let mut plan = Plan::default();
    let mut accesses = Vec::new();
    for section in image.sections.iter().filter(|section| section.executable) {
        let bytes = image.view().bytes(section.rva, section.size as usize).unwrap_or_default();
        for (index, code) in bytes.windows(4).enumerate() {
            if cr8::decode([code[0], code[1], code[2], code[3]]).is_some() {
                accesses.push(section.rva + index as u32);
            }
            plan.reads_time |= code == [0x80, 0xf7, 0xff, 0xff];
        }
    }
    if accesses.is_empty() && !plan.reads_time {
        return plan;
    }
    let flow = Flow::of(image);
    let mut done = 0;
    for access in accesses.into_iter().filter(|access| flow.is_instruction(*access)) {
        if access < done {
            plan.accesses += 1;
            continue;
        }
        match window(&flow, image.view(), access, done) {
            Some(window) => {
                done = window.end;
                plan.accesses += 1;
                plan.windows.push(window);
            }
            None => plan.left += 1,
        }
    }
    for (rva, instruction) in flow.instructions(image.view()) {
        if let Some(address) = wide_address(&instruction)
            && address.wrapping_sub(START) < 0x1000
        {
            plan.shared.push(rva + instruction.len() as u32 - 8);
        }
    }
    plan
}

/// The 64-bit address in an instruction's last eight bytes.
fn wide_address(instruction: &Instruction) -> Option<u64> {
    match instruction.code() {
        Code::Mov_r64_imm64 => Some(instruction.immediate64()),
        Code::Mov_RAX_moffs64 | Code::Mov_EAX_moffs32 | Code::Mov_AX_moffs16 | Code::Mov_AL_moffs8 => {
            (instruction.memory_displ_size() == 8).then(|| instruction.memory_displacement64())
        }
        _ => None,
    }
}

/// What moves out of line for the access at an RVA: it and what follows, else it and what precedes.
fn window(flow: &Flow, view: View<'_>, access: u32, free_from: u32) -> Option<Window> {
    let length = |rva: u32| flow.decode(view, rva).map(|instruction| instruction.len() as u32);
    let own = length(access)?;
    let after = access + own;
    if flow.may_move(view, after) && flow.same_function(access, after) {
        return Some(Window { start: access, end: after + length(after)? });
    }
    let before = flow.before(access)?;
    let may_join = before >= free_from
        && !flow.is_target(access)
        && flow.same_function(before, access)
        && flow.decode(view, before).is_some_and(|instruction| emit::may_precede(&instruction));
    may_join.then_some(Window { start: before, end: after })
}
