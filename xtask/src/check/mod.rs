//! `cargo xtask check`: what the project asks of its sources beyond what the compiler and clippy look at.

mod dependencies;
mod length;
mod paths;
mod requirements;
mod unsafe_code;

use std::path::Path;

use crate::{only, project};

/// What is wrong, one line each, most often `path:line: ...`.
type Findings = Vec<String>;

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    only(&[], arguments)?;
    let files = project::files(root)?;
    let metadata = dependencies::metadata(root)?;
    let checks = [
        ("dependencies point down only", dependencies::check(&metadata)),
        ("unsafe code is opened with a reason", unsafe_code::check(&files)),
        ("no path of one machine", paths::check(&files)),
        ("requirement ids exist", requirements::check(&files)),
    ];
    let mut wrong = 0;
    for (name, findings) in checks {
        println!("{} {name}", if findings.is_empty() { "ok    " } else { "FAILED" });
        findings.iter().for_each(|finding| println!("       {finding}"));
        wrong += findings.len();
    }
    for note in length::notes(&files) {
        println!("note   {note}");
    }
    if wrong == 0 { Ok(()) } else { Err(format!("house checks: {wrong} findings")) }
}
