//! What printf makes text of: bytes or UTF-16 units.
#![allow(unsafe_code)] // Reads the strings of drivers.

/// A unit of text: a byte, which is copied whatever it means, or a UTF-16 unit.
pub(super) trait Unit: Copy + PartialEq + From<u8> {
    /// What plain `%s` and `%c` mean.
    const WIDE: bool;

    /// The ASCII character that the unit is, if it is one.
    fn ascii(self) -> Option<u8>;

    /// Adds narrow text.
    fn add_narrow(out: &mut Vec<Self>, text: &[u8]);

    /// Adds wide text.
    fn add_wide(out: &mut Vec<Self>, text: &[u16]);
}

impl Unit for u8 {
    const WIDE: bool = false;

    fn ascii(self) -> Option<u8> {
        self.is_ascii().then_some(self)
    }

    fn add_narrow(out: &mut Vec<u8>, text: &[u8]) {
        out.extend_from_slice(text);
    }

    fn add_wide(out: &mut Vec<u8>, text: &[u16]) {
        out.extend_from_slice(String::from_utf16_lossy(text).as_bytes());
    }
}

impl Unit for u16 {
    const WIDE: bool = true;

    fn ascii(self) -> Option<u8> {
        u8::try_from(self).ok().filter(u8::is_ascii)
    }

    /// As UTF-8; bytes that are not as Latin-1.
    fn add_narrow(out: &mut Vec<u16>, text: &[u8]) {
        for chunk in text.utf8_chunks() {
            out.extend(chunk.valid().encode_utf16());
            out.extend(chunk.invalid().iter().copied().map(u16::from));
        }
    }

    fn add_wide(out: &mut Vec<u16>, text: &[u16]) {
        out.extend_from_slice(text);
    }
}

/// The units of a string that ends in zero, or before `limit`.
unsafe fn units<T: Copy + PartialEq + From<u8>>(address: u64, limit: usize) -> Vec<T> {
    let text = address as *const T;
    let zero = T::from(0);
    let mut units = Vec::new();
    while units.len() < limit {
        // SAFETY: a string of the driver, which ends or is as long as the limit says; at any address.
        let unit = unsafe { text.add(units.len()).read_unaligned() };
        if unit == zero {
            break;
        }
        units.push(unit);
    }
    units
}

/// A string argument as text of the output's kind.
pub(super) unsafe fn string<U: Unit>(address: u64, limit: usize, is_wide: bool) -> Vec<U> {
    let mut text = Vec::new();
    // SAFETY: the caller's string, if it is none that is NULL.
    unsafe {
        match (address, is_wide) {
            (0, _) => U::add_narrow(&mut text, b"(null)"),
            (_, true) => U::add_wide(&mut text, &units::<u16>(address, limit)),
            (_, false) => U::add_narrow(&mut text, &units::<u8>(address, limit)),
        }
    }
    text
}
