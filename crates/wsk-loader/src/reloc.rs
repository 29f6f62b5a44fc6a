//! Base relocations: read and checked at parse time, applied to the mapped image.

use object::pe;

use crate::image::{ImageError, malformed};
use crate::view::View;

/// The RVA of a word that holds an address of the image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relocation {
    pub(crate) rva: u32,
    /// 8 (DIR64) or 4 (HIGHLOW).
    pub(crate) width: u8,
}

pub(crate) fn parse(view: View<'_>, (start, size): (u32, u32)) -> Result<Vec<Relocation>, ImageError> {
    let outside = || malformed("the relocations end in the middle of a block");
    let mut relocations = Vec::new();
    let mut offset = 0;
    while offset + 8 <= size {
        let block = start + offset;
        let page = view.u32(block).ok_or_else(outside)?;
        let length = view.u32(block + 4).ok_or_else(outside)?;
        if page == 0 && length == 0 {
            break;
        }
        if length < 8 || length > size - offset {
            return Err(malformed(format!("a relocation block of {length} bytes at {block:#x}")));
        }
        for at in (8..length - 1).step_by(2) {
            let entry = view.u16(block + at).ok_or_else(outside)?;
            let width = match entry >> 12 {
                pe::IMAGE_REL_BASED_ABSOLUTE => continue,
                pe::IMAGE_REL_BASED_HIGHLOW => 4,
                pe::IMAGE_REL_BASED_DIR64 => 8,
                kind => return Err(malformed(format!("relocation of type {kind} at {:#x}", block + at))),
            };
            let rva = page.checked_add(u32::from(entry & 0xfff));
            let rva = rva.filter(|&rva| view.bytes(rva, width.into()).is_some());
            let rva = rva.ok_or_else(|| malformed(format!("a relocation in page {page:#x} is outside the image")))?;
            relocations.push(Relocation { rva, width });
        }
        offset += length.next_multiple_of(4);
    }
    Ok(relocations)
}

/// Moves the addresses in `memory` from where the image prefers to be to where it is.
pub(crate) fn apply(memory: &mut [u8], relocations: &[Relocation], preferred: u64, actual: u64) {
    let delta = actual.wrapping_sub(preferred);
    for relocation in relocations {
        let word = &mut memory[relocation.rva as usize..][..relocation.width.into()];
        if let Ok(word) = <&mut [u8; 8]>::try_from(&mut *word) {
            *word = u64::from_le_bytes(*word).wrapping_add(delta).to_le_bytes();
        } else if let Ok(word) = <&mut [u8; 4]>::try_from(word) {
            *word = u32::from_le_bytes(*word).wrapping_add(delta as u32).to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks() {
        let mut memory = vec![0u8; 0x3000];
        memory[0x2000..0x2010].copy_from_slice(&[0, 0x10, 0, 0, 16, 0, 0, 0, 8, 0xa0, 0, 0, 0, 0, 0, 0]);
        memory[0x1008..0x1010].copy_from_slice(&0x1_4000_1234u64.to_le_bytes());
        let relocations = parse(View(&memory), (0x2000, 16)).unwrap();
        assert_eq!(relocations.len(), 1);
        apply(&mut memory, &relocations, 0x1_4000_0000, 0x7000_0000_0000);
        assert_eq!(View(&memory).u64(0x1008), Some(0x7000_0000_1234));
        assert!(parse(View(&memory), (0x2000, 12)).is_err(), "the block is longer than the directory");
        memory[0x2009] = 0x90;
        assert!(parse(View(&memory), (0x2000, 16)).is_err(), "unknown type");
    }
}
