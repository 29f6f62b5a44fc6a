//! Ps: threads and the one process.

pub mod process;
pub mod thread;
