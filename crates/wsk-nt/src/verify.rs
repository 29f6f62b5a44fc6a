//! The rules of `--verify`: who broke which, and what is left when a driver is gone.
//!
//! Checks that cost nothing always run and are printed as warnings; with the verifier on, every violation is recorded, freed
//! memory is poisoned and guarded, and [`Violation`]s decide the exit status.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule, in a few words: `pool leak`, `double free`, `wrong IRQL`, ...
    pub rule: &'static str,
    /// What happened, with names, tags and sizes, in one line.
    pub what: String,
    /// The driver's address: the caller of the function, or of the allocation that leaked; 0 if unknown.
    pub caller: usize,
}

static ON: AtomicBool = AtomicBool::new(false);
static VIOLATIONS: Mutex<Vec<Violation>> = Mutex::new(Vec::new());
static LISTENER: Mutex<Option<fn(&Violation)>> = Mutex::new(None);

/// Switches the verifier on, for the rest of the process. Before any driver is loaded.
pub fn enable() {
    ON.store(true, Ordering::SeqCst);
}

/// Whether the verifier is on.
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Has every violation given to `listener` at once (the loader prints them with the caller's function name).
pub fn set_listener(listener: fn(&Violation)) {
    *LISTENER.lock() = Some(listener);
}

/// A driver broke a rule; the caller is the call that is running.
pub fn violation(rule: &'static str, what: impl Into<String>) {
    violation_by(rule, what, crate::caller::current());
}

/// A driver broke a rule, at the address given.
pub fn violation_by(rule: &'static str, what: impl Into<String>, caller: usize) {
    let violation = Violation { rule, what: what.into(), caller };
    let listener = *LISTENER.lock();
    match listener {
        Some(listener) => listener(&violation),
        None => eprintln!("violation: {rule}: {} (caller {caller:#x})", violation.what),
    }
    VIOLATIONS.lock().push(violation);
}

/// The violations so far.
pub fn violations() -> Vec<Violation> {
    VIOLATIONS.lock().clone()
}

/// Something that a driver made and did not give back, or still has under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The rule it breaks when the driver is gone: `pool leak`, `IRP leak`, `unload with work outstanding`, ...
    pub rule: &'static str,
    /// What it is.
    pub what: String,
    /// The driver's address: of the call that made it, or the routine that would run.
    pub caller: usize,
}

impl From<Leak> for Violation {
    fn from(leak: Leak) -> Violation {
        Violation { rule: leak.rule, what: leak.what, caller: leak.caller }
    }
}

/// What code in the range (a driver's image) has outstanding.
pub fn outstanding_in(range: &Range<usize>) -> Vec<Leak> {
    use crate::ex::pool::{self, Kind};
    use crate::ke::{dpc, wait};
    let mut leaks = Vec::new();
    let mut add = |rule, found: Vec<(String, usize)>| {
        leaks.extend(found.into_iter().map(|(what, caller)| Leak { rule, what, caller }));
    };
    add("pool leak", pool::allocated_in(Kind::Pool, range));
    add("IRP leak", pool::allocated_in(Kind::Irp, range));
    add("MDL leak", pool::allocated_in(Kind::Mdl, range));
    add("handle leak", crate::ob::handle::opened_in(range));
    add("device leak", crate::io::device::created_in(range));
    add("work item leak", crate::io::work_item::allocated_in(range));
    const WORK: &str = "unload with work outstanding";
    add("thread leak", crate::ps::thread::running_in(range));
    let timers = wait::lock().timers.armed_in(range);
    add(WORK, timers.into_iter().map(|(timer, caller)| (format!("armed timer at {timer:#x}"), caller)).collect());
    let routines = |what: &'static str, found: Vec<(usize, &'static str)>| {
        found.into_iter().map(move |(routine, state)| (format!("{what} is {state}"), routine)).collect()
    };
    add(WORK, routines("DPC", dpc::pending_in(range)));
    add(WORK, routines("work item", crate::ex::work::pending_in(range)));
    add(WORK, crate::nmr::registered_in(range));
    let sources = SOURCES.lock().clone();
    leaks.extend(sources.iter().flat_map(|source| source(range)));
    leaks
}

/// Tells what code in a range has outstanding of something that the crates above hand out.
pub type Source = fn(&Range<usize>) -> Vec<Leak>;

static SOURCES: Mutex<Vec<Source>> = Mutex::new(Vec::new());

/// Has [`outstanding_in`] ask `source` too: for sockets and indications, which the subsystem hands out.
pub fn add_source(source: Source) {
    let mut sources = SOURCES.lock();
    if !sources.iter().any(|known| std::ptr::fn_addr_eq(*known, source)) {
        sources.push(source);
    }
}

/// What all drivers have outstanding.
pub fn outstanding() -> Vec<Leak> {
    outstanding_in(&(1..usize::MAX))
}
