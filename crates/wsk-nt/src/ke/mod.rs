//! Ke: processors, IRQL, and what is waited for.

pub mod callback;
pub mod context;
pub mod dpc;
pub mod event;
pub mod exception;
pub mod irql;
pub mod processor;
pub mod processors;
pub mod queue;
pub mod spin_lock;
pub mod stop;
pub mod time;
pub mod timer;
pub mod wait;
