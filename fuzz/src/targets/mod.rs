//! What is fuzzed. A target gets any bytes, checks what it can of the outcome, and returns the outcome as a number, so that the
//! mutator sees when it has found something new.
#![allow(unsafe_code)] // Calls functions that drivers import.

mod address_text;
mod control_data;
mod encodings;
mod options;
mod registry;
mod security;

use std::hash::{DefaultHasher, Hash, Hasher};

pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// One line for the list.
    pub(crate) what: &'static str,
    /// Inputs to begin with: good ones, of every kind.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    pub(crate) run: fn(&[u8]) -> u64,
}

pub(crate) const TARGETS: &[Target] = &[
    address_text::TARGET,
    control_data::TARGET,
    encodings::TARGET,
    options::TARGET,
    registry::TARGET,
    security::TARGET,
];

/// An outcome as a number.
fn outcome(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// What stands behind the room that a function has.
const CANARY: u8 = 0xA5;

/// Room for `length` bytes, with more behind it that nobody may touch.
fn room(length: usize) -> Vec<u8> {
    vec![CANARY; length + 32]
}

/// Nothing was written behind the first `length` bytes.
#[track_caller]
fn untouched(room: &[u8], length: usize) {
    assert!(room[length..].iter().all(|byte| *byte == CANARY), "written beyond {length} bytes");
}

/// A function that drivers import.
///
/// # Safety
/// `F` is its type.
unsafe fn export<F: Copy>(name: &str) -> F {
    let found = wsk_nt::export::all().find(|export| export.name == name);
    let address = found.unwrap_or_else(|| panic!("the executive has no {name}")).address;
    assert_eq!(size_of::<F>(), size_of_val(&address));
    // SAFETY: the caller's word; a pointer to a function is as wide as its address.
    unsafe { std::mem::transmute_copy(&address) }
}
