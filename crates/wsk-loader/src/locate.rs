//! Addresses of drivers, for those who print them.

use crate::{module, symbol};

/// The file name of the loaded driver that an address belongs to, and what lies there: `name!function+0x12 (file.c:34)`.
pub fn describe_address(address: usize) -> String {
    symbol::describe(address)
}

/// As [`describe_address`], for the address that a call returns to, or that of a routine.
pub fn describe_caller(address: usize) -> String {
    symbol::describe_caller(address)
}

/// The file name of the driver that is, or was until it was unloaded, at an address.
pub fn driver_at(address: usize) -> Option<String> {
    let loaded = module::find(address).map(|module| module.name.clone());
    loaded.or_else(|| module::unloaded_at(address).map(|unloaded| unloaded.name))
}
