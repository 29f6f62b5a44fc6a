//! The rules of `--verify`: who broke which, and what is left when a driver is gone.
//!
//! Checks that cost nothing always run and are printed as warnings; with the verifier on, every violation is recorded, freed
//! memory is poisoned and guarded, and [`Violation`]s decide the exit status.

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
    match *LISTENER.lock() {
        Some(listener) => listener(&violation),
        None => eprintln!("violation: {rule}: {} (caller {caller:#x})", violation.what),
    }
    VIOLATIONS.lock().push(violation);
}

/// The violations so far.
pub fn violations() -> Vec<Violation> {
    VIOLATIONS.lock().clone()
}
