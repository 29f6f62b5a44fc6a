//! The instructions that run out of line in place of those rewritten.

use iced_x86::{
    BlockEncoder, BlockEncoderOptions, Code, Decoder, DecoderOptions, FlowControl, IcedError, Instruction,
    InstructionBlock, MemoryOperand, Register,
};

use super::{JUMP, Window};

/// Bytes kept for each window.
pub(crate) const AREA: usize = 128;
/// KPCR.Irql, where `wsk_nt::ke::irql` keeps the thread's IRQL.
const IRQL: i64 = std::mem::offset_of!(wsk_nt::ke::processor::ProcessorBlock, irql) as i64;

/// An instruction that runs elsewhere: its new address, and the address of the one it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) to: usize,
    pub(crate) from: usize,
}

fn is_cr8(instruction: &Instruction) -> bool {
    match instruction.code() {
        Code::Mov_r64_cr => instruction.op1_register() == Register::CR8,
        Code::Mov_cr_r64 => instruction.op0_register() == Register::CR8,
        _ => false,
    }
}

/// Whether an instruction can run elsewhere as the last of its window.
pub(super) fn may_follow(instruction: &Instruction) -> bool {
    match instruction.flow_control() {
        FlowControl::Next | FlowControl::Return | FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
            true
        }
        FlowControl::Call => true,
        // Its return address is pushed before its operand is read.
        FlowControl::IndirectCall => {
            instruction.memory_base() != Register::RSP && instruction.op0_register() != Register::RSP
        }
        _ => false,
    }
}

/// Whether an instruction can run elsewhere as the first of its window.
pub(super) fn may_precede(instruction: &Instruction) -> bool {
    instruction.flow_control() == FlowControl::Next
}

/// Writes the code for the window of the image at `base` to `area`, and the jump to it; both within `memory`, which is
/// relocated. `None`, and nothing written, if that does not work out.
pub(crate) fn write(memory: &mut [u8], base: usize, window: &Window, area: usize) -> Option<Vec<Moved>> {
    let (start, end) = (window.start as usize, window.end as usize);
    let code = memory.get(start..end)?;
    let mut decoder = Decoder::with_ip(64, code, (base + start) as u64, DecoderOptions::NONE);
    let mut block: Vec<(Instruction, usize)> = Vec::new();
    let mut falls_through = true;
    while decoder.can_decode() {
        let instruction = decoder.decode();
        let from = instruction.ip() as usize;
        let mut add = |instruction: Result<Instruction, IcedError>| -> Option<()> {
            block.push((instruction.ok()?, from));
            Some(())
        };
        match instruction.flow_control() {
            _ if is_cr8(&instruction) => add(access(&instruction))?,
            FlowControl::Call | FlowControl::IndirectCall => {
                call(&instruction).into_iter().try_for_each(&mut add)?;
                falls_through = false;
            }
            flow => {
                falls_through = !matches!(flow, FlowControl::Return | FlowControl::UnconditionalBranch);
                add(Ok(instruction))?;
            }
        }
    }
    if falls_through {
        let back = (base + end) as u64;
        block.push((Instruction::with_branch(Code::Jmp_rel32_64, back).ok()?, base + end));
    }
    let instructions: Vec<Instruction> = block.iter().map(|(instruction, _)| *instruction).collect();
    let options = BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS;
    let block_at = InstructionBlock::new(&instructions, (base + area) as u64);
    let encoded = BlockEncoder::encode(64, block_at, options).ok()?;
    if encoded.code_buffer.len() > AREA {
        return None;
    }
    let distance = i32::try_from(area as i64 - start as i64 - i64::from(JUMP)).ok()?;
    memory.get_mut(area..area + encoded.code_buffer.len())?.copy_from_slice(&encoded.code_buffer);
    let window = &mut memory[start..end];
    window.fill(0xcc);
    window[0] = 0xe9;
    window[1..JUMP as usize].copy_from_slice(&distance.to_le_bytes());
    let offsets = encoded.new_instruction_offsets.iter().zip(&block);
    Some(
        offsets
            .filter(|(offset, _)| **offset != u32::MAX)
            .map(|(offset, (_, from))| Moved { to: base + area + *offset as usize, from: *from })
            .collect(),
    )
}

/// `gs:[IRQL]`.
fn irql() -> MemoryOperand {
    MemoryOperand::new(Register::None, Register::None, 1, IRQL, 4, false, Register::GS)
}

/// What stands for a move from or to CR8. Neither touches the flags.
fn access(instruction: &Instruction) -> Result<Instruction, IcedError> {
    if instruction.code() == Code::Mov_r64_cr {
        let to = instruction.op0_register().full_register32();
        Instruction::with2(Code::Movzx_r32_rm8, to, irql())
    } else {
        let from = low_byte(instruction.op1_register());
        Instruction::with2(Code::Mov_rm8_r8, irql(), from)
    }
}

fn low_byte(register: Register) -> Register {
    const LOW: [Register; 16] = [
        Register::AL,
        Register::CL,
        Register::DL,
        Register::BL,
        Register::SPL,
        Register::BPL,
        Register::SIL,
        Register::DIL,
        Register::R8L,
        Register::R9L,
        Register::R10L,
        Register::R11L,
        Register::R12L,
        Register::R13L,
        Register::R14L,
        Register::R15L,
    ];
    LOW[register.number() & 15]
}

/// A call with the return address of the original: `lea rsp, [rsp - 8]`, two stores, and a jump.
fn call(instruction: &Instruction) -> Vec<Result<Instruction, IcedError>> {
    let back = instruction.next_ip();
    let slot = |offset: i64| MemoryOperand::with_base_displ(Register::RSP, offset);
    let store = |offset: i64, half: u64| Instruction::with2(Code::Mov_rm32_imm32, slot(offset), half as u32);
    let jump = match instruction.code() {
        Code::Call_rel32_64 => Instruction::with_branch(Code::Jmp_rel32_64, instruction.near_branch64()),
        Code::Call_rm64 => {
            let mut jump = *instruction;
            jump.set_code(Code::Jmp_rm64);
            Ok(jump)
        }
        // Not produced by compilers; an invalid instruction makes the encoder refuse the window.
        _ => Ok(Instruction::default()),
    };
    vec![
        Instruction::with2(Code::Lea_r64_m, Register::RSP, slot(-8)),
        store(0, back & 0xffff_ffff),
        store(4, back >> 32),
        jump,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only CR8 is ours: CR0 beside it stays what it is, and traps as a privileged instruction.
    #[test]
    fn other_control_registers() {
        let mut memory = vec![0x44, 0x0f, 0x20, 0xc0, 0x0f, 0x20, 0xc1, 0xc3];
        memory.resize(8 + AREA, 0);
        let moved = write(&mut memory, 0x1000_0000, &Window { start: 0, end: 7 }, 8).unwrap();
        assert_eq!(moved.len(), 3);
        let at = moved[1].to - 0x1000_0000;
        assert_eq!(memory[at..at + 3], [0x0f, 0x20, 0xc1]);
        assert_eq!(memory[..7], [0xe9, 3, 0, 0, 0, 0xcc, 0xcc]);
    }
}
