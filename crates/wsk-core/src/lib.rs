#![forbid(unsafe_code)]
//! The Winsock Kernel subsystem as pure state machines.

pub mod memory;
pub mod transport;
