//! IRQL, modelled per thread: a number in the processor block. Raising it keeps nobody else from running; what it protects
//! against on Windows (being preempted by DPCs of the same processor) does not exist here, as DPCs have threads of their own.

use crate::bug_check::bug_check;
use crate::exports;
use crate::ke::processor;
use crate::verify;

/// PASSIVE_LEVEL.
pub const PASSIVE_LEVEL: u8 = 0;
/// APC_LEVEL.
pub const APC_LEVEL: u8 = 1;
/// DISPATCH_LEVEL.
pub const DISPATCH_LEVEL: u8 = 2;
/// HIGH_LEVEL.
pub const HIGH_LEVEL: u8 = 15;

/// The IRQL of this thread.
pub fn current() -> u8 {
    processor::attach().irql.get()
}

/// Sets the IRQL of this thread; returns the old one.
pub fn set(irql: u8) -> u8 {
    processor::attach().irql.replace(irql)
}

/// The name of a level in reports.
pub fn name(irql: u8) -> String {
    match irql {
        PASSIVE_LEVEL => "PASSIVE_LEVEL".into(),
        APC_LEVEL => "APC_LEVEL".into(),
        DISPATCH_LEVEL => "DISPATCH_LEVEL".into(),
        HIGH_LEVEL => "HIGH_LEVEL".into(),
        other => format!("IRQL {other}"),
    }
}

/// Reports `function` as called above its documented limit; goes on either way.
#[inline]
pub fn at_most(limit: u8, function: &'static str) {
    let irql = current();
    if irql > limit {
        report(irql, limit, function, "at most");
    }
}

/// Reports `function` as called below the level it needs.
#[inline]
pub(crate) fn at_least(limit: u8, function: &'static str) {
    let irql = current();
    if irql < limit {
        report(irql, limit, function, "at least");
    }
}

#[cold]
fn report(irql: u8, limit: u8, function: &'static str, relation: &str) {
    verify::violation(
        "wrong IRQL",
        format!("{function} called at {}, {relation} {} is allowed", name(irql), name(limit)),
    );
}

/// KeGetCurrentIrql.
pub(crate) extern "win64" fn KeGetCurrentIrql() -> u8 {
    current()
}

/// KfRaiseIrql, the function behind KeRaiseIrql.
pub(crate) extern "win64" fn KfRaiseIrql(irql: u8) -> u8 {
    let old = current();
    if irql < old {
        bug_check(
            0x9,
            [irql.into(), old.into(), 0, 0],
            format!("IRQL_NOT_GREATER_OR_EQUAL: KeRaiseIrql from {old} to {irql}"),
        );
    }
    set(irql)
}

/// KeRaiseIrqlToDpcLevel.
extern "win64" fn KeRaiseIrqlToDpcLevel() -> u8 {
    KfRaiseIrql(DISPATCH_LEVEL)
}

/// KeLowerIrql.
pub(crate) extern "win64" fn KeLowerIrql(irql: u8) {
    let old = current();
    if irql > old {
        bug_check(
            0xA,
            [irql.into(), old.into(), 0, 0],
            format!("IRQL_NOT_LESS_OR_EQUAL: KeLowerIrql from {old} to {irql}"),
        );
    }
    set(irql);
}

exports! {
    KeGetCurrentIrql, KfRaiseIrql, KeRaiseIrqlToDpcLevel, KeLowerIrql,
    KfLowerIrql = KeLowerIrql, KzRaiseIrql = KfRaiseIrql, KzLowerIrql = KeLowerIrql,
}
