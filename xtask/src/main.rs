//! The project's own commands; `cargo xtask help` lists them.
#![forbid(unsafe_code)]

mod check;
mod fuzz;
mod ids;
mod mutilate;
mod prerequisites;
mod project;
mod source;
mod spec;
mod test;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Name, arguments, what it does, and the function; a command is a line here and a module.
const COMMANDS: [(&str, &str, &str, Run); 6] = [
    ("test", "[--quick]", "everything CI asks for; --quick leaves out the benchmarks and the demo", test::run),
    ("check", "", "the house checks alone: layering, unsafe code, paths, requirement ids", check::run),
    (
        "spec",
        "[--check | ID...]",
        "which requirements of docs/spec/ have a test, and which not; or the tests of some",
        spec::run,
    ),
    (
        "mutilate",
        "[ROUNDS]",
        "damaged driver images for the loader, far more than the tests try (1,000,000)",
        mutilate::run,
    ),
    (
        "fuzz",
        "[OPTION... TARGET...]",
        "random bytes for the parsers, 5 s each; the options are in fuzz/README.md",
        fuzz::run,
    ),
    ("help", "", "this list", help),
];

type Run = fn(&Path, &[String]) -> Result<(), String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (name, rest) = match arguments.split_first() {
        None => ("help", arguments.as_slice()),
        Some((name, rest)) => (name.as_str(), rest),
    };
    let name = if matches!(name, "-h" | "--help") { "help" } else { name };
    let Some((.., run)) = COMMANDS.iter().find(|command| command.0 == name) else {
        eprintln!("cargo xtask has no command {name:?}. There are:\n{}", list());
        return ExitCode::from(2);
    };
    match run(&root(), rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn help(_: &Path, _: &[String]) -> Result<(), String> {
    println!("cargo xtask COMMAND\n\n{}", list());
    Ok(())
}

fn list() -> String {
    let line = |(name, arguments, what, _): &(&str, &str, &str, Run)| {
        let usage = format!("{name} {arguments}");
        format!("  {usage:<22}  {what}\n")
    };
    COMMANDS.iter().map(line).collect()
}

/// The repository's root: the directory above this crate.
fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.parent().expect("the crate lies in the repository").to_path_buf()
}

/// The cargo that runs this program, in the repository's root.
fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    // Those of this crate would otherwise reach the builds started from here.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Refuses arguments of a command that takes none of that name.
fn only(allowed: &[&str], arguments: &[String]) -> Result<(), String> {
    match arguments.iter().find(|argument| !allowed.contains(&argument.as_str())) {
        None => Ok(()),
        Some(argument) => Err(format!("unknown argument {argument:?}\n{}", list())),
    }
}
