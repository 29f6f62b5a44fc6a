//! The `wsk` command.
#![forbid(unsafe_code)]

mod echo;
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
}

impl Failure {
    fn start(error: std::io::Error) -> Self {
        Self { what: format!("the transport could not start: {error}"), next: "try --transport epoll".into() }
    }

    fn listen(address: SocketAddr, error: &wsk::Error) -> Self {
        let next = match error.status() {
            NtStatus::ADDRESS_ALREADY_EXISTS => "another socket has this port; choose another, or port 0",
            NtStatus::INVALID_ADDRESS_COMPONENT => "this host has no such address; see `ip address`",
            NtStatus::ACCESS_DENIED => "ports below 1024 need privileges; choose a higher one",
            _ => "choose another address",
        };
        Self { what: format!("cannot listen on {address}: {error}"), next: next.into() }
    }

    fn signal(error: ctrlc::Error) -> Self {
        Self { what: format!("cannot watch for Ctrl-C: {error}"), next: "report this".into() }
    }
}

impl From<wsk::Error> for Failure {
    fn from(error: wsk::Error) -> Self {
        Self { what: error.to_string(), next: "see docs/spec for when this status occurs".into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  next: {}", self.what, self.next)
    }
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Echo(args) => echo::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("wsk: {failure}");
            ExitCode::from(2)
        }
    }
}
