//! Each trap of spec/loader.md, hit by real code of both compilers.
#![allow(unsafe_code)] // Functions that drivers call.

mod common;

use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{Clang, Compiler, Gcc, bug_check, build, load};
use wsk_abi::NtStatus;
use wsk_loader::{Loader, counters};
use wsk_nt::export::{Export, Kind};
use wsk_nt::ke::irql;

static TROUBLE: AtomicI32 = AtomicI32::new(0);
static IRQL_SEEN: [AtomicU8; 3] = [const { AtomicU8::new(0xff) }; 3];

/// TestReport(0) asks which trouble to make; other values report the IRQL seen by the executive.
extern "win64" fn report(value: i32) -> i32 {
    match value {
        0 => TROUBLE.load(Ordering::SeqCst),
        1 | 2 => {
            IRQL_SEEN[value as usize].store(irql::current(), Ordering::SeqCst);
            0
        }
        _ => 0,
    }
}

static OWN: [Export; 1] = [Export { name: "TestReport", address: report as *const (), kind: Kind::Function }];

fn loader() -> Loader {
    Loader::new(OWN.iter().chain(wsk_nt::export::all()))
}

/// One test at a time: the counters and the trouble are the process's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(trouble: i32, compiler: Compiler) -> NtStatus {
    TROUBLE.store(trouble, Ordering::SeqCst);
    load(&loader(), &build("traps", compiler)).start()
}

#[test]
fn cr8() {
    let _alone = alone();
    for compiler in [Gcc, Clang] {
        assert_eq!(run(0, compiler), NtStatus::SUCCESS, "{compiler:?}");
        assert_eq!(IRQL_SEEN[1].load(Ordering::SeqCst), 2);
        assert_eq!(IRQL_SEEN[2].load(Ordering::SeqCst), 0);
    }
}

#[test]
fn gs() {
    let _alone = alone();
    for compiler in [Gcc, Clang] {
        assert_eq!(run(1, compiler), NtStatus::SUCCESS, "{compiler:?}");
    }
}

#[test]
fn shared_page() {
    let _alone = alone();
    for compiler in [Gcc, Clang] {
        assert_eq!(run(2, compiler), NtStatus::SUCCESS, "{compiler:?}");
        let before = counters().shared_page_traps;
        assert_eq!(run(3, compiler), NtStatus::SUCCESS, "{compiler:?}");
        assert!(counters().shared_page_traps > before);
    }
}

#[test]
fn stack_probe() {
    let _alone = alone();
    for compiler in [Gcc, Clang] {
        assert_eq!(run(4, compiler), NtStatus::SUCCESS, "{compiler:?}");
    }
}

#[test]
fn breakpoint_goes_on() {
    let _alone = alone();
    for compiler in [Gcc, Clang] {
        let before = counters().breakpoints;
        assert_eq!(run(5, compiler), NtStatus::SUCCESS, "{compiler:?}");
        assert_eq!(counters().breakpoints, before + 1);
    }
}

/// Runs `trouble` in a child process, which must end in a bug check whose report holds all of `texts`.
fn stops(test: &str, trouble: i32, texts: &[&str]) {
    let report = bug_check(test, || {
        run(trouble, Gcc);
    });
    for text in texts {
        assert!(report.contains(text), "{text:?} is not in\n{report}");
    }
}

#[test]
fn fast_fail_stops() {
    stops("fast_fail_stops", 6, &["bug check 0x00000139", "corrupt list entry", "!DriverEntry+", "(traps.c:"]);
}

#[test]
fn assert_stops() {
    stops("assert_stops", 7, &["bug check 0x0000001e", "NT_ASSERT failed", "0xc0000420"]);
}

#[test]
fn a_fault_is_reported() {
    stops(
        "a_fault_is_reported",
        8,
        &[
            "bug check 0x0000001e KMODE_EXCEPTION_NOT_HANDLED (0xc0000005",
            "the driver reads 0x0",
            "rip ",
            "!fault",
            "(traps.c:",
            "!DriverEntry+",
            "OpenWSK",
            "thread",
        ],
    );
}

#[test]
fn a_fault_at_dispatch_level_is_reported() {
    stops("a_fault_at_dispatch_level_is_reported", 9, &["bug check 0x000000d1", "IRQL 2", "!fault"]);
}

#[test]
fn a_call_of_nothing_is_reported() {
    stops("a_call_of_nothing_is_reported", 10, &["the driver executes 0x0", "no code", "!DriverEntry+"]);
}

#[test]
fn a_stack_overflow_is_reported() {
    stops("a_stack_overflow_is_reported", 11, &["bug check 0x0000007f", "the stack is exhausted", "!recurse+"]);
}

#[test]
fn a_privileged_instruction_is_reported() {
    stops("a_privileged_instruction_is_reported", 12, &["0xc0000096", "!DriverEntry"]);
}

#[test]
fn a_system_address_is_reported() {
    stops("a_system_address_is_reported", 13, &["bug check 0x00000050", "0xffff800000001000"]);
}

#[test]
fn a_division_by_zero_is_reported() {
    stops("a_division_by_zero_is_reported", 14, &["0xc0000094", "!DriverEntry"]);
}
