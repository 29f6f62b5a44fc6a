#![no_std]
#![forbid(unsafe_code)]
//! The types, constants and statuses of the Winsock Kernel NPI, as data.
//!
//! C names are kept verbatim; Rust names live in the crates above.

pub mod status;

pub use status::NtStatus;
