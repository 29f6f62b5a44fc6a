//! 1,000 cycles of the echo driver (`drivers/echo_callbacks.c`) in one process: each registers, listens, closes and leaves; nothing
//! stays. In a binary of its own: it measures the process.

mod common;

use std::path::Path;

use wsk::Provider;
use wsk_abi::NtStatus;
use wsk_loader::{LoadOptions, Loader};
use wsk_nt::verify;

#[test]
fn a_thousand_cycles_of_the_echo_driver() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = common::bytes(&common::build_sample(&root, "echo_callbacks"));
    wsk_nt::rtl::dbg::set_sink(|_, _| ());
    wsk_npi::set_provider(Some(Provider::builder().start().unwrap()));
    let loader = Loader::new(wsk_npi::exports().chain(wsk_nt::export::all()));
    let cycle = |count: usize| {
        for _ in 0..count {
            let mut driver = loader.load("echo.sys", &file, &LoadOptions::default()).unwrap();
            assert_eq!(driver.start(), NtStatus::SUCCESS);
            driver.unload().unwrap();
        }
    };
    cycle(100);
    let before = common::footprint();
    cycle(1000);
    let after = common::footprint();
    println!("before {before:?}, after {after:?}");
    assert!(after.0 <= before.0 + 4, "mappings: {before:?} {after:?}");
    assert!(after.1 <= before.1 + 1024, "resident: {before:?} {after:?}");
    assert_eq!(verify::violations(), []);
    assert_eq!(verify::outstanding(), []);
    wsk_npi::set_provider(None);
}
