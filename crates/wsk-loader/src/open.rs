//! What the executive knows about memory and objects of drivers, for reports.

use std::sync::mpsc;
use std::time::Duration;

use wsk_nt::ex::pool;
use wsk_nt::verify;

use crate::{module, symbol};

/// How long the executive's locks are waited for: the thread that stopped may hold one.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most lines about what drivers have open.
const LINES: usize = 40;

/// Prints which drivers were loaded and what they had open, for the report.
pub(crate) fn print() {
    for module in module::all() {
        say!("loaded: {} at {:#x} to {:#x}", module.name, module.range().start, module.range().end);
    }
    let (sender, receiver) = mpsc::channel();
    let asking = std::thread::Builder::new().name("report".into()).spawn(move || {
        let lines = verify::outstanding().into_iter().map(|open| {
            let rule = open.rule.trim_end_matches(" leak");
            let by =
                if open.caller == 0 { String::new() } else { format!(", by {}", symbol::describe_caller(open.caller)) };
            format!("{rule}: {}{by}", open.what)
        });
        let _ = sender.send(lines.collect::<Vec<_>>());
    });
    match asking.ok().and_then(|_| receiver.recv_timeout(PATIENCE).ok()) {
        Some(lines) => {
            for line in lines.iter().take(LINES) {
                say!("open: {line}");
            }
            if lines.len() > LINES {
                say!("open: and {} more", lines.len() - LINES);
            }
        }
        None => say!("open: unknown, the executive was stopped in the middle of something"),
    }
}

/// If an address lies in memory that has been freed, or in the guard behind a block: what is known of it, as a violation.
pub(crate) fn bad_memory(address: u64, how: &str, rip: usize) -> Option<String> {
    let info = pool::describe_address(address as usize)?;
    let by = |address: usize| if address == 0 { "?".into() } else { symbol::describe_caller(address) };
    let (rule, what) = match info.freed {
        Some(freed) => {
            let history = format!("allocated in {}, freed in {}", by(info.allocated_by), by(freed.by));
            ("use after free", format!("the driver {how} {}; {history}", info.text))
        }
        None => ("pool overrun", format!("the driver {how} {}; allocated in {}", info.text, by(info.allocated_by))),
    };
    verify::violation_by(rule, what.clone(), rip);
    crate::report::follows_violation();
    Some(format!("{rule}: {what}"))
}
