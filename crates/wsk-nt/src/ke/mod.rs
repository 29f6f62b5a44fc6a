//! Ke: processors, IRQL, and what is waited for.

pub mod irql;
pub mod processor;
