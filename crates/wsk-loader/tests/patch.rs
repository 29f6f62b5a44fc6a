//! CR8 and shared-page accesses that are rewritten at load time, and those that must not be.
#![allow(unsafe_code)] // Functions that drivers call.

mod common;

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use common::{Clang, Gcc, bug_check, build, bytes, load};
use wsk_abi::NtStatus;
use wsk_loader::{Driver, LoadOptions, Loader, counters};
use wsk_nt::export::{Export, Kind};

static CASE: AtomicI32 = AtomicI32::new(0);

extern "win64" fn report(value: i32) -> i32 {
    if value == 0 { CASE.load(Ordering::SeqCst) } else { 0 }
}

static OWN: [Export; 1] = [Export { name: "TestReport", address: report as *const (), kind: Kind::Function }];

fn loader() -> Loader {
    Loader::new(OWN.iter().chain(wsk_nt::export::all()))
}

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn every_neighbour() {
    let _alone = alone();
    CASE.store(2, Ordering::SeqCst);
    for compiler in [Gcc, Clang] {
        let before = counters();
        assert_eq!(load(&loader(), &build("cr8", compiler)).start(), NtStatus::SUCCESS, "{compiler:?}");
        let after = counters();
        // Clang knows the leaf functions only by their calls; whatever is left is few and traps.
        println!(
            "{compiler:?}: {} patched, {} left, {} traps",
            after.patched - before.patched,
            after.unpatched - before.unpatched,
            after.cr8_traps - before.cr8_traps
        );
        assert!(after.patched - before.patched >= 8, "{compiler:?}: {after:?}");
        assert!(after.cr8_traps - before.cr8_traps <= 1, "{compiler:?}: {after:?}");
    }
}

/// An instruction with an address of the shared page that goes out of line for its neighbour's sake, in front of it and behind.
#[test]
fn beside_the_shared_page() {
    let _alone = alone();
    for compiler in [Gcc, Clang] {
        let before = counters();
        assert_eq!(load(&loader(), &build("cr8_shared", compiler)).start(), NtStatus::SUCCESS, "{compiler:?}");
        let after = counters();
        assert!(after.patched - before.patched >= 15, "{compiler:?}: {before:?} {after:?}");
        assert_eq!(after.shared_page_traps, before.shared_page_traps, "{compiler:?}");
        assert_eq!(after.cr8_traps, before.cr8_traps, "{compiler:?}");
    }
}

#[test]
fn the_hot_path_does_not_trap() {
    let _alone = alone();
    for compiler in [Gcc, Clang] {
        CASE.store(1_000_000, Ordering::SeqCst);
        let mut driver = load(&loader(), &build("cr8", compiler));
        let before = counters();
        let start = Instant::now();
        assert_eq!(driver.start(), NtStatus::SUCCESS);
        println!("{compiler:?}: raise and lower {:.1} ns", start.elapsed().as_nanos() as f64 / 1e6);
        assert_eq!(counters().cr8_traps, before.cr8_traps, "{compiler:?}");
    }
}

fn run(driver: &mut Driver) -> NtStatus {
    let status = driver.start();
    driver.unload().unwrap();
    status
}

/// Without patches every access traps, and means the same.
#[test]
fn the_trap_alone() {
    let _alone = alone();
    let options = LoadOptions { trap_only: true, ..LoadOptions::default() };
    for compiler in [Gcc, Clang] {
        let file = bytes(&build("cr8", compiler));
        let before = counters();
        CASE.store(2, Ordering::SeqCst);
        assert_eq!(run(&mut loader().load("trapped.sys", &file, &options).unwrap()), NtStatus::SUCCESS, "{compiler:?}");
        assert!(counters().cr8_traps >= before.cr8_traps + 16, "{compiler:?}");
        CASE.store(10_000, Ordering::SeqCst);
        let mut driver = loader().load("timed.sys", &file, &options).unwrap();
        let (traps, start) = (counters().cr8_traps, Instant::now());
        assert_eq!(driver.start(), NtStatus::SUCCESS);
        let traps = counters().cr8_traps - traps;
        println!("{compiler:?}: a trap costs {:.0} ns", start.elapsed().as_nanos() as f64 / traps as f64);
        driver.unload().unwrap();
    }
}

#[test]
fn a_fault_in_a_moved_instruction() {
    let report = bug_check("a_fault_in_a_moved_instruction", || {
        CASE.store(1, Ordering::SeqCst);
        load(&loader(), &build("cr8", Gcc)).start();
    });
    assert!(report.contains("the driver reads 0x0"), "{report}");
    assert!(report.contains("!fault_beside") && report.contains("!DriverEntry+"), "{report}");
}
