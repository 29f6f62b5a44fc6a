//! What the executive knows about memory and objects of drivers, for reports.

use wsk_nt::ex::pool;
use wsk_nt::verify;

use crate::{module, symbol};

/// Prints which drivers were loaded, for the report.
pub(crate) fn print() {
    for module in module::all() {
        eprintln!("loaded: {} at {:#x} to {:#x}", module.name, module.range().start, module.range().end);
    }
    let (blocks, bytes) = pool::totals();
    if blocks > 0 {
        eprintln!("open: {blocks} blocks of pool, {bytes} bytes");
    }
}

/// If an address lies in memory that has been freed, or in the guard behind a block: what is known of it, as a violation.
pub(crate) fn bad_memory(address: u64, how: &str, rip: usize) -> Option<String> {
    let info = pool::describe_address(address as usize)?;
    let by = |address: usize| if address == 0 { "?".into() } else { symbol::describe_return(address) };
    let (rule, what) = match info.freed {
        Some(freed) => {
            let history = format!("allocated in {}, freed in {}", by(info.allocated_by), by(freed.by));
            ("use after free", format!("the driver {how} {}; {history}", info.text))
        }
        None => ("pool overrun", format!("the driver {how} {}; allocated in {}", info.text, by(info.allocated_by))),
    };
    verify::violation_by(rule, what.clone(), rip);
    Some(format!("{rule}: {what}"))
}
