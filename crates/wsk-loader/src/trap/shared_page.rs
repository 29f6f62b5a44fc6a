//! KUSER_SHARED_DATA at 0xFFFFF780_00000000, which cannot be mapped: accesses that the loader has not rewritten are sent to the
//! mirror page.
#![allow(unsafe_code)] // Reads the instruction that trapped.

use wsk_nt::ke::time;

use crate::context::SIGNAL_REGISTERS;

/// Where drivers expect the page.
pub(crate) const START: u64 = 0xFFFF_F780_0000_0000;
const SIZE: u64 = 0x1000;

pub(super) fn holds(address: u64) -> bool {
    address.wrapping_sub(START) < SIZE
}

/// Where an address of the page is in this process.
pub(crate) fn mirror(address: u64) -> u64 {
    (time::shared_data() as u64).wrapping_add(address.wrapping_sub(START))
}

/// Sends an access to the mirror: the registers that point into the page (or just before it) point to the mirror from here on,
/// and the instruction runs again. A load from an address in the instruction itself (`mov rax, [imm64]`) is carried out.
///
/// # Safety
/// The instruction at RIP must be readable.
pub(super) unsafe fn emulate(registers: &mut [libc::greg_t]) -> bool {
    // The clock thread keeps the mirror up to date; a handler cannot start it.
    time::refresh();
    let rip = registers[libc::REG_RIP as usize];
    let byte = |index: usize| {
        // SAFETY: read only as long as the bytes so far begin the instruction, which lies in mapped memory to its end.
        unsafe { (rip as *const u8).wrapping_add(index).read() }
    };
    let wide = byte(0) == 0x48;
    let at = usize::from(wide);
    if byte(at) == 0xa1 {
        // SAFETY: the opcode has eight bytes of address.
        let address = unsafe { (rip as *const u8).wrapping_add(at + 1).cast::<u64>().read_unaligned() };
        if !holds(address) {
            return false;
        }
        let from = mirror(address);
        // SAFETY: eight bytes of the mirror page (an access at its very end reads what follows in the allocation's page).
        let value = unsafe { (from as *const u32).read_unaligned() };
        let high = if wide {
            // SAFETY: as above.
            unsafe { (from as *const u32).wrapping_add(1).read_unaligned() }
        } else {
            0
        };
        registers[libc::REG_RAX as usize] = (u64::from(high) << 32 | u64::from(value)) as i64;
        registers[libc::REG_RIP as usize] += at as i64 + 9;
        return true;
    }
    let mut moved = false;
    for index in SIGNAL_REGISTERS {
        let register = &mut registers[index as usize];
        // Displacements reach into the page from a base in front of it.
        let offset = (*register as u64).wrapping_sub(START).wrapping_add(SIZE);
        if index != libc::REG_RSP && offset < 2 * SIZE {
            *register = mirror(*register as u64) as i64;
            moved = true;
        }
    }
    moved
}
