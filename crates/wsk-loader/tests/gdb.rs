//! gdb understands the line that `Driver::gdb_line` gives: it names functions and lines at the addresses of this process.
#![allow(unsafe_code)] // Functions that drivers call.

mod common;

use std::process::Command;

use common::{Gcc, build, load};
use wsk_loader::Loader;
use wsk_nt::export::{Export, Kind};

extern "win64" fn report(value: i32) -> i32 {
    value + 1
}

static OWN: [Export; 1] = [Export { name: "TestReport", address: report as *const (), kind: Kind::Function }];

#[test]
fn gdb_names_functions_and_lines() {
    let loader = Loader::new(OWN.iter().chain(wsk_nt::export::all()));
    let path = build("plain", Gcc);
    let driver = load(&loader, &path);
    let entry =
        (0..driver.size()).map(|at| driver.base() + at).find(|&at| driver.symbolize(at).contains("!DriverEntry ("));
    let entry = entry.expect("the driver's own symbols name DriverEntry");
    let output = Command::new("gdb")
        .args(["-batch", "-nx", "-ex", &driver.gdb_line(&path)])
        .args(["-ex", &format!("info symbol {entry:#x}"), "-ex", &format!("info line *{entry:#x}")])
        .output()
        .unwrap_or_else(|error| panic!("cannot run gdb: {error}; install it: apt install gdb"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("DriverEntry in section .text"), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("of \"") && text.contains("plain.c\""), "{text}");
}
