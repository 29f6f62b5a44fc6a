//! Loading, binding, running and unloading real drivers.
#![allow(unsafe_code)] // Functions that drivers call.

mod common;

use common::{Clang, Gcc, build, load};
use wsk_abi::NtStatus;
use wsk_loader::Loader;
use wsk_nt::export::{Export, Kind};

extern "win64" fn report(value: i32) -> i32 {
    value + 1
}

static OWN: [Export; 1] = [Export { name: "TestReport", address: report as *const (), kind: Kind::Function }];

fn loader() -> Loader {
    Loader::new(OWN.iter().chain(wsk_nt::export::all()))
}

#[test]
fn a_driver_starts_and_unloads() {
    for compiler in [Gcc, Clang] {
        let mut driver = load(&loader(), &build("plain", compiler));
        assert_eq!(driver.start(), NtStatus::SUCCESS, "{compiler:?}");
        driver.unload().unwrap();
    }
}
