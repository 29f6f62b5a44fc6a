//! Addresses of drivers, for those who print them.

/// The file name of the loaded driver that an address belongs to, and what lies there: `name!function+0x12 (file.c:34)`.
pub fn describe_address(address: usize) -> String {
    crate::symbol::describe(address)
}

/// As [`describe_address`], for the address that a call returns to.
pub fn describe_caller(address: usize) -> String {
    crate::symbol::describe_return(address)
}

/// The file name of the loaded driver that an address lies in.
pub fn driver_at(address: usize) -> Option<String> {
    crate::module::find(address).map(|module| module.name.clone())
}
