//! IRQL, modelled per thread: a number in the processor block. Raising it keeps nobody else from running; what it protects
//! against on Windows (being preempted by DPCs of the same processor) does not exist here, as DPCs have threads of their own.

use crate::exports;
use crate::ke::processor;

/// PASSIVE_LEVEL.
pub const PASSIVE_LEVEL: u8 = 0;
/// APC_LEVEL.
pub const APC_LEVEL: u8 = 1;
/// DISPATCH_LEVEL.
pub const DISPATCH_LEVEL: u8 = 2;

/// The IRQL of this thread.
pub fn current() -> u8 {
    processor::attach().irql.get()
}

/// Sets the IRQL of this thread; returns the old one.
pub fn set(irql: u8) -> u8 {
    processor::attach().irql.replace(irql)
}

/// KeGetCurrentIrql.
extern "win64" fn KeGetCurrentIrql() -> u8 {
    current()
}

exports! { KeGetCurrentIrql }
