//! The `wsk` command.
#![forbid(unsafe_code)]

mod build;
mod demo;
mod echo;
mod imports;
mod options;
mod run;
mod server;

use std::fmt;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wsk::{Choice, NtStatus};

/// Winsock Kernel on Linux
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Build(build::Args),
    Imports(imports::Args),
    Options(options::Args),
    Demo(demo::Args),
    Echo(echo::Args),
}

/// Which transport to use.
#[derive(Debug, clap::Args)]
struct TransportArgs {
    /// Driver of Linux's TCP/IP: uring, epoll or auto [default: $WSK_TRANSPORT, or auto]
    #[arg(long, value_name = "DRIVER")]
    transport: Option<Choice>,
}

/// Why a command failed, and what to do about it.
#[derive(Debug)]
struct Failure {
    what: String,
    next: String,
    exit: u8,
}

/// Exit status of a command that could not start: bad arguments, a host that refuses.
const CANNOT: u8 = 2;
/// Exit status of a command that ran and found something wrong.
const WRONG: u8 = 1;

/// An address on the command line.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, such as 127.0.0.1:7000 or [::]:7000".to_owned())
}

impl Failure {
    fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into(), exit: CANNOT }
    }

    /// What a command measured or checked is not as it should be.
    fn wrong(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { exit: WRONG, ..Self::new(what, next) }
    }

    fn start(error: std::io::Error) -> Self {
        Self::new(format!("the transport could not start: {error}"), "try --transport epoll")
    }

    fn listen(address: SocketAddr, error: &wsk::Error) -> Self {
        let next = match error.status() {
            NtStatus::ADDRESS_ALREADY_EXISTS => "another socket has this port; choose another, or port 0",
            NtStatus::INVALID_ADDRESS_COMPONENT => "this host has no such address; see `ip address`",
            NtStatus::ACCESS_DENIED => "ports below 1024 need privileges; choose a higher one",
            _ => "choose another address",
        };
        Self::new(format!("cannot listen on {address}: {error}"), next)
    }

    fn signal(error: ctrlc::Error) -> Self {
        Self::new(format!("cannot watch for Ctrl-C: {error}"), "report this")
    }
}

impl From<wsk::Error> for Failure {
    fn from(error: wsk::Error) -> Self {
        Self::new(error.to_string(), "see docs/spec for when this status occurs")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  next: {}", self.what, self.next)
    }
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Imports(args) => imports::run(&args),
        Command::Options(args) => options::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Echo(args) => echo::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("wsk: {failure}");
            ExitCode::from(failure.exit)
        }
    }
}
