//! Rtl: strings, memory, versions, tables, printing.

pub mod address;
pub mod avl;
pub mod convert;
pub mod dbg;
pub mod memory;
pub mod printf;
pub mod string;
pub mod version;
