//! Programs the tests need beside the Rust toolchain. Missing ones are installed where apt-get can be used without asking.

use std::process::{Command, Stdio};

/// Program, Debian package, what for.
const PROGRAMS: [(&str, &str, &str); 9] = [
    ("python3", "python3", "the peers of the interoperation tests"),
    ("git", "git", "the list of the project's files"),
    ("cc", "gcc", "C programs against the shared library"),
    ("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64", "drivers built by gcc"),
    ("clang", "clang", "drivers built by clang"),
    ("lld-link", "lld", "drivers built by clang"),
    ("llvm-nm", "llvm", "drivers built by clang"),
    ("gdb", "gdb", "the symbols of drivers in a debugger"),
    // For its `ip`, which does not tell its version in this way.
    ("ss", "iproute2", "a network namespace with addresses that change"),
];

/// Components of the toolchain: cargo subcommand, component.
const COMPONENTS: [(&str, &str); 2] = [("fmt", "rustfmt"), ("clippy", "clippy")];

pub(crate) fn ensure() -> Result<(), String> {
    let components: Vec<&str> = COMPONENTS
        .iter()
        .filter(|(subcommand, _)| !succeeds("cargo", &[subcommand, "--version"]))
        .map(|&(_, component)| component)
        .collect();
    if !components.is_empty() {
        let list = components.join(" ");
        return Err(format!("the toolchain lacks {list}; install with: rustup component add {list}"));
    }
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|&(_, package, _)| package).collect();
    println!("installing {}", packages.join(" "));
    install(&packages);
    let missing = self::missing();
    if missing.is_empty() {
        return Ok(());
    }
    let what: Vec<String> = missing.iter().map(|(program, _, why)| format!("{program} ({why})")).collect();
    let packages: Vec<&str> = missing.iter().map(|&(_, package, _)| package).collect();
    Err(format!("missing: {}; install with: sudo apt-get install {}", what.join(", "), packages.join(" ")))
}

fn missing() -> Vec<(&'static str, &'static str, &'static str)> {
    PROGRAMS.into_iter().filter(|(program, ..)| !succeeds(program, &["--version"])).collect()
}

/// As root, or through a sudo that does not ask. What came of it is for the caller to look at.
fn install(packages: &[&str]) {
    let prefix: &[&str] = if is_root() { &[] } else { &["sudo", "-n"] };
    let apt = |arguments: &[&str]| {
        let line: Vec<&str> = [prefix, &["apt-get"], arguments].concat();
        Command::new(line[0])
            .args(&line[1..])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    // The list may be old and still do.
    let _ = apt(&["update", "-q"]);
    let _ = apt(&[&["install", "-y", "-q", "--no-install-recommends"], packages].concat());
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let quiet = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}
