//! Tests that need several modules at once, or the exports as drivers call them.

mod devices;
mod exceptions;
mod irps;
mod locks;
mod memory;
mod network_modules;
mod strings;
mod waits;

use crate::verify;

/// Violations of a rule noted for a caller, an address that a test made up with [`crate::caller::note`].
fn violations_of(rule: &str, caller: usize) -> usize {
    verify::violations().iter().filter(|violation| violation.rule == rule && violation.caller == caller).count()
}
