//! What the benchmark's programs share: the command line, the provided-buffer ring, the pattern that is echoed, the
//! latency histogram, and the ways to look at another process (CPU time, system calls, memory).

pub mod args;
pub mod buf_ring;
pub mod cpu;
pub mod histogram;
pub mod net;
pub mod pattern;
pub mod syscalls;

/// Any failure ends these programs; the message is all that is wanted of it.
pub type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Runs a program's body: an error goes to stderr and the exit code is 1.
pub fn main_with(body: impl FnOnce() -> Result<()>) -> std::process::ExitCode {
    match body() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
