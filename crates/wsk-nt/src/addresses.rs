//! Maps keyed by address, with a hash that is good enough for addresses.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Multiplies; the low bits of an address say little.
#[derive(Default)]
pub(crate) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_usize(byte.into()));
    }

    fn write_usize(&mut self, value: usize) {
        let mixed = (self.0 ^ value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// How to hash addresses.
pub(crate) const ADDRESS_HASH: BuildHasherDefault<AddressHasher> = BuildHasherDefault::new();

/// A map by address.
pub(crate) type AddressMap<V> = HashMap<usize, V, BuildHasherDefault<AddressHasher>>;
