//! The five socket categories, one state machine each.
//!
//! A machine is driven from three sides, and every call may add [`Effect`](crate::effect::Effect)s to carry out:
//! commands of the client (`bind`, `send`, ..., `close`, `cancel`), events of the transport (`handle`, then `advance` once
//! after a run of them), and returned callbacks (`answered`, `released`).

pub mod basic;
pub mod connection;
pub mod datagram;
pub mod listen;
pub(crate) mod receive;
pub(crate) mod send;
pub mod stream;

pub use receive::RETENTION_CAP;
