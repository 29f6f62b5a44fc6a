//! What is called while a driver that is over is still mapped. In a binary of its own: the hook is the process's.
#![allow(unsafe_code)] // Functions that drivers call, and a driver's routine.

mod common;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use common::{Gcc, build, load};
use wsk_abi::NtStatus;
use wsk_loader::{Loader, describe_address, describe_caller, set_before_unmap};
use wsk_nt::export::{Export, Kind};
use wsk_nt::verify;

static CASE: AtomicI32 = AtomicI32::new(0);
static CALLBACK: AtomicUsize = AtomicUsize::new(0);

extern "win64" fn report(_value: i32) -> i32 {
    CASE.load(Ordering::SeqCst)
}

/// Keeps the routine.
extern "win64" fn call(routine: usize, _argument: i32) -> i32 {
    CALLBACK.store(routine, Ordering::SeqCst);
    0
}

extern "win64" fn unused(value: i32) -> i32 {
    value
}

static OWN: [Export; 3] = [
    Export { name: "TestReport", address: report as *const (), kind: Kind::Function },
    Export { name: "TestCall", address: call as *const (), kind: Kind::Function },
    Export { name: "TestPanic", address: unused as *const (), kind: Kind::Function },
];

/// What the hook saw: the image, its routine's name and answer, and the violations reported by then.
#[derive(Debug)]
struct Seen {
    range: Range<usize>,
    name: String,
    answer: i32,
    violations: usize,
}

static SEEN: Mutex<Vec<Seen>> = Mutex::new(Vec::new());

/// What the driver printed, and from where.
static SAID: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

fn said(line: &str, caller: usize) {
    SAID.lock().unwrap().push((line.into(), describe_caller(caller)));
}

fn stop(range: &Range<usize>) {
    let routine = CALLBACK.load(Ordering::SeqCst);
    // SAFETY: the routine the driver gave, of this type; its image is still there.
    let callback: extern "win64" fn(i32) -> i32 = unsafe { std::mem::transmute(routine) };
    let seen = Seen {
        range: range.clone(),
        name: describe_address(routine),
        answer: callback(41),
        violations: verify::violations().len(),
    };
    SEEN.lock().unwrap().push(seen);
}

#[test]
fn the_driver_is_still_there() {
    verify::enable();
    set_before_unmap(stop);
    wsk_nt::rtl::dbg::set_sink(said);
    let loader = Loader::new(OWN.iter().chain(wsk_nt::export::all()));
    // Kept, or the next one may lie where the block's owner lay.
    let mut kept = Vec::new();
    for (round, case) in [8, 9].into_iter().enumerate() {
        CASE.store(case, Ordering::SeqCst);
        let mut driver = load(&loader, &build("trouble", Gcc));
        let status = driver.start();
        if case == 8 {
            assert_eq!(status, NtStatus::SUCCESS);
            assert_eq!(SEEN.lock().unwrap().len(), 0, "it runs");
            driver.unload().unwrap();
        } else {
            assert_eq!(status, NtStatus::UNSUCCESSFUL);
        }
        let seen = SEEN.lock().unwrap();
        assert_eq!(seen.len(), round + 1);
        let seen = &seen[round];
        assert_eq!(seen.range, driver.base()..driver.base() + driver.size());
        assert!(seen.name.contains("!after_unload"), "{seen:?}");
        assert_eq!(seen.answer, 42);
        // The block was reported before.
        assert_eq!(seen.violations, round + 1, "{:?}", verify::violations());
        // What the hook had it print without the line's end is printed, and by whom is known.
        let (line, by) = SAID.lock().unwrap().pop().expect("a line");
        assert_eq!(line, "half a line");
        assert!(by.contains("!after_unload") && !by.contains("unloaded"), "{by}");
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.starts_with(&format!("{:x}-", driver.base())));
        assert!(line.is_none_or(|line| line.contains(" ---p ")), "it is gone now: {line:?}");
        kept.push(driver);
    }
}
