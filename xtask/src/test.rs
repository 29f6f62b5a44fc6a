//! `cargo xtask test`: the one test command, for people and for CI. A failed step does not stop those after it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{cargo, check, fuzz, only, prerequisites, spec};

/// The transports a test run must have covered: a skipped arm fails.
const ARMS: (&str, &str) = ("WSK_EXPECT_ARMS", "uring,epoll,loopback");

struct Steps<'a> {
    root: &'a Path,
    done: Vec<(&'static str, Duration, Result<(), String>)>,
}

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    only(&["--quick"], arguments)?;
    let quick = !arguments.is_empty();
    let mut steps = Steps { root, done: Vec::new() };
    steps.step("prerequisites", |_| prerequisites::ensure());
    if steps.done[0].2.is_ok() {
        steps.all(quick);
    }
    steps.summary()
}

impl Steps<'_> {
    fn all(&mut self, quick: bool) {
        self.cargo("format", &["fmt", "--all", "--check"]);
        self.cargo("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
        self.step("house checks", |root| check::run(root, &[]));
        self.step("requirements", |root| spec::run(root, &["--check".into()]));
        if has_nextest(self.root) {
            self.cargo("tests", &["nextest", "run", "--workspace", "--no-fail-fast"]);
            self.cargo("doc tests", &["test", "--workspace", "--doc"]);
        } else {
            self.cargo("tests", &["test", "--workspace", "--no-fail-fast"]);
        }
        if quick {
            return;
        }
        let bench = "--manifest-path=bench/Cargo.toml";
        self.cargo("bench format", &["fmt", bench, "--check"]);
        self.cargo("bench build", &["build", bench]);
        self.cargo("bench clippy", &["clippy", bench, "--all-targets", "--", "-D", "warnings"]);
        let fuzz = "--manifest-path=fuzz/Cargo.toml";
        self.cargo("fuzz format", &["fmt", fuzz, "--check"]);
        self.cargo("fuzz clippy", &["clippy", fuzz, "--all-targets", "--", "-D", "warnings"]);
        self.cargo("fuzz tests", &["test", "--release", fuzz]);
        self.step("fuzz", |root| fuzz::run(root, &["--seconds".into(), "1".into()]));
        if self.root.join("crates/wsk-cli").is_dir() {
            self.cargo("demo", &["run", "--release", "--", "demo", "--seconds", "1", "--json"]);
        }
    }

    fn cargo(&mut self, name: &'static str, arguments: &[&str]) {
        self.step(name, |root| {
            println!("    cargo {}", arguments.join(" "));
            run_to_end(cargo(root).args(arguments).env(ARMS.0, ARMS.1))
        });
    }

    fn step(&mut self, name: &'static str, body: impl FnOnce(&Path) -> Result<(), String>) {
        println!("\n==> {name}");
        let start = Instant::now();
        let result = body(self.root);
        let time = start.elapsed();
        match &result {
            Ok(()) => println!("==> {name}: ok, {:.1} s", time.as_secs_f64()),
            Err(error) => println!("==> {name}: FAILED, {:.1} s: {error}", time.as_secs_f64()),
        }
        self.done.push((name, time, result));
    }

    fn summary(&self) -> Result<(), String> {
        println!("\n{:<16} {:>8}", "step", "seconds");
        for (name, time, result) in &self.done {
            let verdict = if result.is_ok() { "ok" } else { "FAILED" };
            println!("{name:<16} {:>8.1}  {verdict}", time.as_secs_f64());
        }
        let failed: Vec<String> = self
            .done
            .iter()
            .filter_map(|(name, _, result)| Some(format!("{name}: {}", result.as_ref().err()?)))
            .collect();
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\n       ")) }
    }
}

fn has_nextest(root: &Path) -> bool {
    let mut command = cargo(root);
    command.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn run_to_end(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(format!("cannot run {:?}: {error}", command.get_program())),
    }
}
