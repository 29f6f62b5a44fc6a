//! Structured exceptions of drivers built by clang.
#![allow(unsafe_code)] // Functions that drivers call.

mod common;

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use common::{Clang, bug_check, build_with, load};
use wsk_abi::NtStatus;
use wsk_loader::Loader;
use wsk_nt::export::{Export, Kind};

static CASE: AtomicI32 = AtomicI32::new(0);
static REACHED: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// TestReport(0) asks which case to run; other values say that a place was reached.
extern "win64" fn report(value: i32) -> i32 {
    if value == 0 {
        return CASE.load(Ordering::SeqCst);
    }
    if value < 100 {
        REACHED.lock().unwrap().push(value);
        return 0;
    }
    1
}

/// Calls back into the driver.
extern "win64" fn call(routine: extern "win64" fn(i32) -> i32, argument: i32) -> i32 {
    routine(argument)
}

static OWN: [Export; 2] = [
    Export { name: "TestReport", address: report as *const (), kind: Kind::Function },
    Export { name: "TestCall", address: call as *const (), kind: Kind::Function },
];

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(case: i32) -> NtStatus {
    run_of("seh", case)
}

fn run_of(driver: &str, case: i32) -> NtStatus {
    CASE.store(case, Ordering::SeqCst);
    let loader = Loader::new(OWN.iter().chain(wsk_nt::export::all()));
    // Frames without and with a frame register, leaf functions that are inlined and that are not.
    let mut status = NtStatus::SUCCESS;
    for flags in [&["-O0"][..], &["-O2"], &["-Os", "-fno-omit-frame-pointer"]] {
        REACHED.lock().unwrap().clear();
        let started = Instant::now();
        status = load(&loader, &build_with(driver, Clang, flags, &[])).start();
        println!("{driver} {case} {flags:?}: {status} after {:?}", started.elapsed());
        if !status.is_success() {
            break;
        }
    }
    status
}

/// Runs a case, which must succeed and reach the places in this order.
#[track_caller]
fn reaches(case: i32, places: &[i32]) {
    reaches_of("seh", case, places);
}

#[track_caller]
fn reaches_of(driver: &str, case: i32, places: &[i32]) {
    let _alone = alone();
    REACHED.lock().unwrap().clear();
    assert_eq!(run_of(driver, case), NtStatus::SUCCESS);
    assert_eq!(*REACHED.lock().unwrap(), places);
}

#[test]
fn a_null_read() {
    reaches(1, &[]);
}

#[test]
fn a_raised_status() {
    reaches(2, &[]);
}

#[test]
fn nested_and_refused() {
    reaches(3, &[1, 2, 3]);
}

#[test]
fn finally_runs_between_filter_and_handler() {
    reaches(4, &[1, 2, 3]);
}

#[test]
fn a_filter_goes_on() {
    reaches(5, &[1]);
}

#[test]
fn registers_come_back() {
    reaches(6, &[]);
}

#[test]
fn an_exception_in_a_filter() {
    reaches(7, &[1, 2]);
}

#[test]
fn an_exception_in_a_finally() {
    reaches(8, &[1, 2, 3]);
}

#[test]
fn finally_on_the_normal_way() {
    reaches(9, &[1, 2]);
}

#[test]
fn finally_on_return() {
    reaches(10, &[2]);
}

#[test]
fn a_thousand_exceptions() {
    let _alone = alone();
    assert_eq!(run(11), NtStatus::SUCCESS);
    assert_eq!(REACHED.lock().unwrap().iter().filter(|&&place| place == 2).count() % 1000, 0);
}

#[test]
fn an_exception_in_an_except() {
    reaches(12, &[1, 2]);
}

#[test]
fn nobody_takes_it() {
    let report = bug_check("nobody_takes_it", || {
        run(20);
    });
    assert!(report.contains("STATUS_INSUFFICIENT_RESOURCES") && report.contains("no __except"), "{report}");
    assert!(report.contains("bug check 0x0000001e"), "{report}");
}

#[test]
fn noncontinuable() {
    let report = bug_check("noncontinuable", || {
        run(21);
    });
    assert!(report.contains("EXCEPTION_CONTINUE_EXECUTION"), "{report}");
}

#[test]
fn memory_routines_fault_as_if_inline() {
    reaches_of("seh_calls", 1, &[]);
    reaches_of("seh_calls", 2, &[]);
}

#[test]
fn probes_raise() {
    reaches_of("seh_calls", 3, &[]);
    reaches_of("seh_calls", 4, &[]);
}

#[test]
fn an_exception_inside_a_callback() {
    reaches_of("seh_calls", 5, &[]);
}

#[test]
fn a_continuable_exception_goes_on() {
    reaches_of("seh_calls", 6, &[1]);
}

#[test]
fn an_exception_does_not_cross_openwsk() {
    let report = bug_check("an_exception_does_not_cross_openwsk", || {
        run_of("seh_calls", 20);
    });
    assert!(report.contains("no __except of the driver takes it"), "{report}");
    assert!(report.contains("!not_handled+") && report.contains("OpenWSK"), "{report}");
}
