//! 2,000 cycles of load, start and unload in one process leave nothing behind. In a binary of its own: it measures the process.
#![allow(unsafe_code)] // Functions that drivers call.

mod common;

use common::{Clang, Counting, Gcc, build, bytes, leaves_nothing};
use wsk_abi::NtStatus;
use wsk_loader::{LoadOptions, Loader};
use wsk_nt::export::{Export, Kind};

extern "win64" fn report(value: i32) -> i32 {
    value + 1
}

static OWN: [Export; 1] = [Export { name: "TestReport", address: report as *const (), kind: Kind::Function }];

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn two_thousand_cycles() {
    let loader = Loader::new(OWN.iter().chain(wsk_nt::export::all()));
    let files = [bytes(&build("plain", Gcc)), bytes(&build("plain", Clang)), bytes(&build("hello", Gcc))];
    leaves_nothing(0, |round| {
        let mut driver = loader.load("cycle.sys", &files[round % 3], &LoadOptions::default()).unwrap();
        assert_eq!(driver.start(), NtStatus::SUCCESS);
        driver.symbolize(driver.base() + 0x1000);
        driver.unload().unwrap();
    });
}
