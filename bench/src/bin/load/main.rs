//! The load generator: closed loop, one thread, on io_uring, so that it costs about what the best server costs. Every byte
//! that comes back is compared with what was sent.

mod idle;
mod run;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use bench::{args::Args, cpu};

const USAGE: &str = "\
Closed-loop load for an echo server; one line of JSON on stdout at the end.

  --connect ADDR       where the server listens (required)
  --connections N      concurrent connections (64)
  --size BYTES         of a request (64)
  --seconds S          length of the window that is counted (3)
  --warmup S           load before the window (0.3)
  --pipeline N         requests under way per connection, TCP only (1)
  --udp                datagrams; an answer missing for 0.25 s is counted as lost, and the request sent again
  --pin CPU            run on this CPU
  --server-pid PID     also report that process's CPU time over the window
  --count-syscalls     also count its system calls over the window (tracepoints; slows the server)
  --idle N             instead: open N connections, echo once on each, print a line, hold them until stdin closes

Fields: requests, seconds, rate (per second), p50_us, p99_us, errors (wrong bytes, broken connections), lost (datagrams),
starved (connections without an answer in the window), load_busy (share of the window the generator used its CPU),
server_cpu_ns, syscalls, enters (io_uring_enter among them).";

/// What was asked for.
struct Options {
    connect: SocketAddr,
    connections: usize,
    size: usize,
    window: Duration,
    warmup: Duration,
    pipeline: usize,
    udp: bool,
    server_pid: Option<i32>,
    count_syscalls: bool,
}

fn main() -> ExitCode {
    bench::main_with(|| {
        let mut args = Args::from_env(USAGE);
        let options = Options {
            connect: args.option("--connect")?.ok_or("--connect ADDR is required (see --help)")?,
            connections: args.value("--connections", 64)?,
            size: args.value("--size", 64)?,
            window: Duration::try_from_secs_f64(args.value("--seconds", 3.0)?)?,
            warmup: Duration::try_from_secs_f64(args.value("--warmup", 0.3)?)?,
            pipeline: args.value("--pipeline", 1)?,
            udp: args.flag("--udp"),
            server_pid: args.option("--server-pid")?,
            count_syscalls: args.flag("--count-syscalls"),
        };
        let pin = args.option("--pin")?;
        let idle = args.option("--idle")?;
        args.finish()?;
        if options.connections == 0 || options.size == 0 || options.pipeline == 0 {
            return Err("--connections, --size and --pipeline start at 1".into());
        }
        if options.udp && options.pipeline > 1 {
            return Err("--pipeline is for TCP: a lost datagram would shift all that follow".into());
        }
        if options.udp && options.size > run::BUFFER {
            return Err(format!("--udp: --size goes up to {}", run::BUFFER).into());
        }
        if options.count_syscalls && options.server_pid.is_none() {
            return Err("--count-syscalls needs --server-pid".into());
        }
        if let Some(cpu) = pin {
            cpu::pin(cpu)?;
        }
        match idle {
            Some(count) => idle::hold(options.connect, count, options.size),
            None => run::run(&options),
        }
    })
}
