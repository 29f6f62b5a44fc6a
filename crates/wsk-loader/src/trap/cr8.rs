//! CR8, the IRQL register: the accesses that the loader has not rewritten (`patch`).
#![allow(unsafe_code)] // Reads the instruction that trapped.

use wsk_nt::ke::irql;

use crate::context::SIGNAL_REGISTERS;

/// A move from or to CR8: `[REX] 0F 20 /r`, `[REX] 0F 22 /r`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// Number of the general register.
    pub(crate) register: u8,
    pub(crate) write: bool,
    pub(crate) length: u8,
}

/// Decodes a move from or to CR8.
pub(crate) fn decode(code: [u8; 4]) -> Option<Access> {
    // REX.R makes control register 0 control register 8; the lock prefix does too, on AMD, and nobody emits it.
    let [rex, 0x0f, operation @ (0x20 | 0x22), modrm] = code else { return None };
    let is_cr8 = rex & 0xf4 == 0x44 && modrm & 0x38 == 0;
    is_cr8.then_some(Access { register: modrm & 7 | (rex & 1) << 3, write: operation == 0x22, length: 4 })
}

/// Carries out an access to CR8 at RIP, if it is one.
///
/// # Safety
/// The instruction at RIP must be readable.
pub(super) unsafe fn emulate(registers: &mut [libc::greg_t]) -> bool {
    let rip = registers[libc::REG_RIP as usize];
    let byte = |index: usize| {
        // SAFETY: read only as long as the bytes so far begin the instruction, which lies in mapped memory to its end.
        unsafe { (rip as *const u8).wrapping_add(index).read() }
    };
    if byte(0) & 0xf4 != 0x44 || byte(1) != 0x0f {
        return false;
    }
    let Some(access) = decode([byte(0), byte(1), byte(2), byte(3)]) else { return false };
    let register = &mut registers[SIGNAL_REGISTERS[usize::from(access.register)] as usize];
    if access.write {
        irql::set(*register as u8);
    } else {
        *register = irql::current().into();
    }
    registers[libc::REG_RIP as usize] += i64::from(access.length);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding() {
        let access = |register, write| Some(Access { register, write, length: 4 });
        assert_eq!(decode([0x44, 0x0f, 0x20, 0xc0]), access(0, false));
        assert_eq!(decode([0x44, 0x0f, 0x22, 0xc2]), access(2, true));
        assert_eq!(decode([0x45, 0x0f, 0x20, 0xc7]), access(15, false));
        assert_eq!(decode([0x40, 0x0f, 0x20, 0xc0]), None, "CR0");
        assert_eq!(decode([0x44, 0x0f, 0x20, 0xd8]), None, "CR11");
        assert_eq!(decode([0x44, 0x0f, 0x21, 0xc0]), None, "debug register");
    }
}
