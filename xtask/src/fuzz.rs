//! `cargo xtask fuzz`: the parsers against random bytes, on any stable Rust; fuzz/README.md says more. `cargo xtask test` tries
//! each target for a moment.

use std::path::Path;

use crate::cargo;

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let fixed = ["run", "--quiet", "--release", "--manifest-path=fuzz/Cargo.toml", "--"];
    match cargo(root).args(fixed).args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the fuzzer ended with {status}")),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}
