//! Checked reads of an image laid out as in memory: every offset is an RVA, and everything outside is `None`.

/// An image's bytes, indexed by RVA.
#[derive(Clone, Copy)]
pub(crate) struct View<'a>(pub(crate) &'a [u8]);

/// Longest name accepted in an import or export table.
const NAME_LIMIT: usize = 1024;

impl<'a> View<'a> {
    /// `len` bytes at `rva`.
    pub(crate) fn bytes(self, rva: u32, len: usize) -> Option<&'a [u8]> {
        let start = rva as usize;
        self.0.get(start..start.checked_add(len)?)
    }

    fn array<const N: usize>(self, rva: u32) -> Option<[u8; N]> {
        self.bytes(rva, N)?.try_into().ok()
    }

    pub(crate) fn u8(self, rva: u32) -> Option<u8> {
        self.0.get(rva as usize).copied()
    }

    pub(crate) fn u16(self, rva: u32) -> Option<u16> {
        self.array(rva).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(self, rva: u32) -> Option<u32> {
        self.array(rva).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(self, rva: u32) -> Option<u64> {
        self.array(rva).map(u64::from_le_bytes)
    }

    /// The zero-terminated name at `rva`, of printable ASCII; empty names are none.
    pub(crate) fn name(self, rva: u32) -> Option<&'a str> {
        let rest = self.0.get(rva as usize..)?;
        let len = rest.iter().take(NAME_LIMIT).position(|&byte| byte == 0)?;
        let name = &rest[..len];
        (len > 0 && name.iter().all(|byte| (b' '..=b'~').contains(byte))).then(|| str::from_utf8(name).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::View;

    #[test]
    fn outside_is_none() {
        let view = View(b"\x01\x02\x03\x04abc\0x");
        assert_eq!(view.u32(0), Some(0x0403_0201));
        assert_eq!(view.u32(6), None);
        assert_eq!(view.u64(u32::MAX), None);
        assert_eq!(view.name(4), Some("abc"));
        assert_eq!(view.name(8), None, "not terminated");
        assert_eq!(view.name(7), None, "empty");
        assert_eq!(view.name(0), None, "not printable");
    }
}
