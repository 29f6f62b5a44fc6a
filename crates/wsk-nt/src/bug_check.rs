//! Bug checks: a driver did what stops Windows. The report is made by the reporter that the loader sets; then the process
//! ends with status 3.

use std::sync::OnceLock;

/// Why the system stops.
#[derive(Clone, Debug)]
pub struct BugCheck {
    /// The code, as Windows numbers them (`KMODE_EXCEPTION_NOT_HANDLED` 0x1E, ...).
    pub code: u32,
    /// Its four parameters.
    pub parameters: [u64; 4],
    /// What happened, in one line.
    pub what: String,
    /// The driver's return address of the call that noticed it; 0 if none.
    pub caller: usize,
}

type Reporter = fn(&BugCheck);

static REPORTER: OnceLock<Reporter> = OnceLock::new();

/// Sets who prints the report, once per process.
pub fn set_reporter(reporter: Reporter) {
    let _ = REPORTER.set(reporter);
}

/// Stops: prints the report to stderr and ends the process with status 3. Never returns.
pub fn bug_check(code: u32, parameters: [u64; 4], what: impl Into<String>) -> ! {
    stop(&BugCheck { code, parameters, what: what.into(), caller: crate::caller::current() })
}

/// As [`bug_check`], with the report's data given.
pub fn stop(check: &BugCheck) -> ! {
    match REPORTER.get() {
        Some(report) => report(check),
        None => eprintln!("bug check {:#010x} {:x?}: {}", check.code, check.parameters, check.what),
    }
    std::process::exit(3)
}
