//! Mm: MDLs, and what is asked about memory.

pub mod mdl;
pub mod memory;
