//! Rtl: strings, memory, versions, tables, printing.

pub mod dbg;
pub mod memory;
pub mod printf;
pub mod version;
