//! What ends in a report: misuse, and what the report says about it.
#![allow(unsafe_code)] // Functions that drivers call.

mod common;

use std::ops::Range;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use common::{Clang, Gcc, bug_check, build, build_with, bytes, child, ends, is_child, load};
use wsk_abi::NtStatus;
use wsk_loader::{Driver, LoadOptions, Loader, wait_for_report};
use wsk_nt::export::{Export, Kind};
use wsk_nt::verify;

static CASE: AtomicI32 = AtomicI32::new(0);
static CALLBACK: AtomicUsize = AtomicUsize::new(0);

/// TestReport(0) asks which case to run; TestReport(2) waits for ever.
extern "win64" fn report(value: i32) -> i32 {
    match value {
        0 => CASE.load(Ordering::SeqCst),
        2 => loop {
            std::thread::park();
        },
        _ => 0,
    }
}

/// Keeps the routine.
extern "win64" fn call(routine: usize, _argument: i32) -> i32 {
    CALLBACK.store(routine, Ordering::SeqCst);
    0
}

extern "win64" fn panics(value: i32) -> i32 {
    assert_eq!(value, 0, "a mistake of OpenWSK");
    value
}

static OWN: [Export; 3] = [
    Export { name: "TestReport", address: report as *const (), kind: Kind::Function },
    Export { name: "TestCall", address: call as *const (), kind: Kind::Function },
    Export { name: "TestPanic", address: panics as *const (), kind: Kind::Function },
];

fn loader() -> Loader {
    Loader::new(OWN.iter().chain(wsk_nt::export::all()))
}

/// Runs a case in a child process, which must end in a bug check whose report holds all of `texts`.
fn stops(test: &str, case: i32, texts: &[&str]) {
    let report = bug_check(test, || {
        CASE.store(case, Ordering::SeqCst);
        load(&loader(), &build("trouble", Gcc)).start();
    });
    for text in texts {
        assert!(report.contains(text), "{text:?} is not in\n{report}");
    }
}

#[test]
fn the_driver_stops_the_system() {
    stops(
        "the_driver_stops_the_system",
        1,
        &[
            "bug check 0x12345678",
            "(0x1, 0x2, 0x3, 0x4)",
            "!DriverEntry+",
            "(trouble.c:",
            "open: pool",
            "'Leak'",
            "loaded: trouble-0.sys",
        ],
    );
}

#[test]
fn use_after_free() {
    // With the verifier on, a violation decides the exit status.
    let report = ends("use_after_free", 4, || {
        verify::enable();
        CASE.store(2, Ordering::SeqCst);
        load(&loader(), &build("trouble", Gcc)).start();
    });
    for text in
        ["violation: use after free", "'Test'", "freed in trouble-0.sys!use", "allocated in trouble-0.sys!DriverEntry"]
    {
        assert!(report.contains(text), "{text:?} is not in\n{report}");
    }
}

#[test]
fn called_after_unload() {
    let report = bug_check("called_after_unload", || {
        CASE.store(3, Ordering::SeqCst);
        let mut driver = load(&loader(), &build("trouble", Gcc));
        assert_eq!(driver.start(), NtStatus::SUCCESS);
        driver.unload().unwrap();
        // SAFETY: the routine the driver gave, which is gone: the test.
        let routine: extern "win64" fn(i32) -> i32 = unsafe { std::mem::transmute(CALLBACK.load(Ordering::SeqCst)) };
        routine(1);
    });
    assert!(report.contains("bug check 0x000000ce"), "{report}");
    assert!(report.contains("trouble-0.sys has been unloaded, and its code is still called"), "{report}");
}

#[test]
fn a_system_thread_faults() {
    stops("a_system_thread_faults", 4, &["the driver reads 0x0", "!thread", "(trouble.c:"]);
}

#[test]
fn a_panic_of_openwsk() {
    stops("a_panic_of_openwsk", 5, &["a mistake of OpenWSK", "OpenWSK itself failed", "!DriverEntry+"]);
}

#[test]
fn a_bad_pointer_given_to_openwsk() {
    stops(
        "a_bad_pointer_given_to_openwsk",
        7,
        &["access violation: OpenWSK writes 0x1", "in a call of the driver", "!DriverEntry+", "(trouble.c:"],
    );
}

#[test]
fn violations_are_named() {
    if is_child() {
        CASE.store(6, Ordering::SeqCst);
        assert_eq!(load(&loader(), &build("trouble", Clang)).start(), NtStatus::SUCCESS);
        assert_eq!(verify::violations().len(), 1);
        return;
    }
    let output = child("violations_are_named");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("violation: wrong IRQL: DriverEntry returned at DISPATCH_LEVEL"), "{text}");
    assert!(text.contains("in trouble-0.sys!DriverEntry"), "{text}");
}

static REPORT: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// Asked by the report, when all but its last lines is printed: notes it and keeps the report for its second of patience.
fn hold_up(range: &Range<usize>) -> Vec<verify::Leak> {
    if range.contains(&1) {
        *REPORT.0.lock().unwrap() = true;
        REPORT.1.notify_all();
        loop {
            std::thread::park();
        }
    }
    Vec::new()
}

/// The report is made by another thread, and this one is on its way to end the process.
fn is_complete(test: &str, then: impl FnOnce(&mut Driver)) {
    let report = bug_check(test, || {
        CASE.store(0, Ordering::SeqCst);
        verify::add_source(hold_up);
        let mut driver = load(&loader(), &build("trouble", Gcc));
        assert_eq!(driver.start(), NtStatus::SUCCESS);
        std::thread::spawn(|| wsk_nt::bug_check::bug_check(0x1234, [0; 4], "of another thread"));
        drop(REPORT.1.wait_while(REPORT.0.lock().unwrap(), |begun| !*begun).unwrap());
        then(&mut driver);
        std::process::exit(0);
    });
    assert!(report.contains("of another thread") && report.contains("open: unknown"), "{report}");
}

#[test]
fn an_unload_lets_a_report_be_completed() {
    is_complete("an_unload_lets_a_report_be_completed", |driver| driver.unload().unwrap());
}

#[test]
fn a_report_is_waited_for() {
    wait_for_report();
    is_complete("a_report_is_waited_for", |_| wait_for_report());
}

#[test]
fn writable_code_is_warned_about() {
    if is_child() {
        let file = build_with("trouble", Clang, &["/section:WILD,ERW"], &[]);
        drop(loader().load("wild.sys", &bytes(&file), &LoadOptions::default()).unwrap());
        return;
    }
    let output = child("writable_code_is_warned_about");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("warning: wild.sys: section WILD is writable and executable"), "{text}");
}
