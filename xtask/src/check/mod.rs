//! `cargo xtask check`: what the project asks of its sources beyond what the compiler and clippy look at.

mod dependencies;
mod length;
mod paths;
mod requirements;
mod source;
mod unsafe_code;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::only;

/// A file of the project: path from the root, with `/`, and contents.
struct File {
    path: String,
    bytes: Vec<u8>,
}

impl File {
    /// The contents, unless they are not text.
    fn text(&self) -> Option<&str> {
        str::from_utf8(&self.bytes).ok()
    }

    /// Path and text of a Rust source.
    fn rust(&self) -> Option<(&str, &str)> {
        let text = self.text()?;
        self.path.ends_with(".rs").then_some((&self.path, text))
    }

    #[cfg(test)]
    fn sample(path: &str, text: &str) -> File {
        File { path: path.into(), bytes: text.into() }
    }
}

/// What is wrong, one line each, most often `path:line: ...`.
type Findings = Vec<String>;

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    only(&[], arguments)?;
    let files = files(root)?;
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

/// The files git has, or would take.
fn files(root: &Path) -> Result<Vec<File>, String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cannot run git: {error}"))?;
    if !output.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let names = String::from_utf8(output.stdout).map_err(|_| "a file name is not UTF-8")?;
    let files = names.split_terminator('\0').filter_map(|path| {
        // One that is deleted but not committed, or a submodule, cannot be read.
        fs::read(root.join(path)).ok().map(|bytes| File { path: path.into(), bytes })
    });
    Ok(files.collect())
}
