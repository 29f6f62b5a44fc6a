//! Which bytes of an image are instructions, and where jumps lead: found by following the code from function starts. What is
//! reached only through tables is not found, and a function that jumps through one is not trusted.

use std::collections::{BTreeMap, HashSet};

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind, Register};

use super::emit;
use crate::export::Target;
use crate::image::Image;
use crate::unwind::table::{self, Function};
use crate::view::View;

/// The code of an image.
pub(crate) struct Flow {
    /// Starts of instructions, with the function each belongs to.
    instructions: BTreeMap<u32, u32>,
    /// Where something leads or points other than from the instruction before.
    targets: HashSet<u32>,
    /// Functions with a jump whose targets are unknown, or that did not decode.
    untrusted: HashSet<u32>,
}

impl Flow {
    pub(crate) fn of(image: &Image) -> Flow {
        let mut flow = Flow { instructions: BTreeMap::new(), targets: HashSet::new(), untrusted: HashSet::new() };
        let view = image.view();
        let mut queue: Vec<u32> = image.functions.iter().map(|function| function.begin).collect();
        queue.push(image.entry);
        for export in &image.exports {
            if let Target::Rva(rva) = export.target {
                queue.push(rva);
            }
        }
        for relocation in &image.relocations {
            let pointed = view.u64(relocation.rva).and_then(|address| address.checked_sub(image.preferred_base));
            flow.targets.extend(pointed.and_then(|rva| u32::try_from(rva).ok()));
        }
        for function in &image.functions {
            flow.scopes(view, *function, &mut queue);
        }
        flow.targets.extend(&queue);
        while let Some(rva) = queue.pop() {
            if image.section_at(rva).is_some_and(|section| section.executable) {
                flow.follow(image, rva, &mut queue);
            }
        }
        flow
    }

    /// Marks what scope tables (`__C_specific_handler`) point at. Of other handlers' data everything that could be one counts.
    fn scopes(&mut self, view: View<'_>, function: Function, queue: &mut Vec<u32>) {
        let info = function.unwind & !1;
        let Some([first, _, count, _]) = view.u32(info).map(u32::to_le_bytes) else { return };
        let trailer = info + 4 + u32::from(count).next_multiple_of(2) * 2;
        if first >> 3 & 4 != 0 {
            // A part of another function: a jump of that one through a table may lead here.
            self.untrusted.insert(function.begin);
            if let Some(primary) = view.u32(trailer) {
                self.untrusted.insert(primary);
            }
        }
        if first >> 3 & 3 == 0 {
            return;
        }
        let data = trailer + 4;
        let count = view.u32(data).filter(|&count| count < 0x1000).unwrap_or(0);
        for row in 0..count {
            for field in 0..4 {
                let Some(rva) = view.u32(data + 4 + row * 16 + field * 4) else { return };
                self.targets.insert(rva);
                let lands = field == 3 && function.begin < rva && rva < function.end;
                if lands {
                    queue.push(rva);
                }
            }
        }
    }

    /// The function an RVA belongs to (its start), and where that ends. Code outside the function table belongs to the gap.
    fn function_at(image: &Image, rva: u32) -> (u32, u32) {
        if let Some(function) = table::find(&image.functions, rva) {
            return (function.begin, function.end);
        }
        let next = image.functions.partition_point(|function| function.begin <= rva);
        let before = next.checked_sub(1).map_or(0, |index| image.functions[index].end);
        let section = image.section_at(rva).map_or(rva, |section| section.rva + section.size);
        let after = image.functions.get(next).map_or(section, |function| function.begin.min(section));
        (before, after)
    }

    fn follow(&mut self, image: &Image, start: u32, queue: &mut Vec<u32>) {
        let (function, end) = Flow::function_at(image, start);
        let mut rva = start;
        while rva < end && !self.instructions.contains_key(&rva) {
            let Some(instruction) = decode(image.view(), rva) else {
                self.untrusted.insert(function);
                return;
            };
            let next = rva + instruction.len() as u32;
            // Two readings of one byte: at least one is wrong.
            let overlaps = self.instructions.range(rva..next).next().is_some() || next > end;
            if overlaps {
                self.untrusted.insert(function);
                return;
            }
            self.instructions.insert(rva, function);
            if let Some(target) = target(&instruction) {
                self.targets.insert(target);
            }
            match instruction.flow_control() {
                FlowControl::Next | FlowControl::IndirectCall | FlowControl::Interrupt => {}
                FlowControl::ConditionalBranch | FlowControl::Call => queue.extend(target(&instruction)),
                FlowControl::UnconditionalBranch => {
                    queue.extend(target(&instruction));
                    return;
                }
                FlowControl::IndirectBranch => {
                    // Through an import's slot it leaves the image.
                    if !instruction.is_ip_rel_memory_operand() {
                        self.untrusted.insert(function);
                    }
                    return;
                }
                _ => return,
            }
            rva = next;
        }
    }

    pub(crate) fn is_instruction(&self, rva: u32) -> bool {
        self.instructions.contains_key(&rva)
    }

    pub(crate) fn is_target(&self, rva: u32) -> bool {
        self.targets.contains(&rva)
    }

    /// Whether both are instructions of one function that is understood in full.
    pub(crate) fn same_function(&self, one: u32, other: u32) -> bool {
        match (self.instructions.get(&one), self.instructions.get(&other)) {
            (Some(one), Some(other)) => one == other && !self.untrusted.contains(one),
            _ => false,
        }
    }

    /// Whether the instruction at `rva` is reached from the one before it only, and can run elsewhere.
    pub(crate) fn may_move(&self, view: View<'_>, rva: u32) -> bool {
        !self.is_target(rva) && self.decode(view, rva).is_some_and(|instruction| emit::may_follow(&instruction))
    }

    /// The instruction that ends where `rva` begins, and goes on there.
    pub(crate) fn before(&self, rva: u32) -> Option<u32> {
        self.instructions.range(..rva).next_back().map(|(&before, _)| before)
    }

    /// The instruction at an RVA, if it is one.
    pub(crate) fn decode(&self, view: View<'_>, rva: u32) -> Option<Instruction> {
        self.is_instruction(rva).then(|| decode(view, rva))?
    }

    /// All instructions.
    pub(crate) fn instructions<'a>(&'a self, view: View<'a>) -> impl Iterator<Item = (u32, Instruction)> + 'a {
        self.instructions.keys().filter_map(move |&rva| Some((rva, decode(view, rva)?)))
    }
}

/// The instruction at an RVA, with RVAs as addresses.
fn decode(view: View<'_>, rva: u32) -> Option<Instruction> {
    let rest = view.0.get(rva as usize..)?;
    let code = &rest[..rest.len().min(15)];
    let instruction = Decoder::with_ip(64, code, rva.into(), DecoderOptions::NONE).decode();
    (!instruction.is_invalid()).then_some(instruction)
}

/// Where an instruction leads, or the code or data it points at.
fn target(instruction: &Instruction) -> Option<u32> {
    let address = match instruction.op0_kind() {
        OpKind::NearBranch64 => instruction.near_branch64(),
        _ if instruction.memory_base() == Register::RIP => instruction.ip_rel_memory_address(),
        _ => return None,
    };
    u32::try_from(address).ok()
}
