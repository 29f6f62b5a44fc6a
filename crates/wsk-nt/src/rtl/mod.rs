//! Rtl: strings, memory, versions, tables, printing.

pub mod address;
pub mod avl;
pub mod convert;
pub mod crt;
pub mod dbg;
pub mod hash_table;
pub mod memory;
pub mod misc;
pub mod printf;
pub mod string;
pub mod version;
