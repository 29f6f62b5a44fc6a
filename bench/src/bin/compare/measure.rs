//! The passes: timed rounds, system calls, memory of idle connections. A failed run is reported and counted, and the others go on.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use bench::Result;
use serde_json::Value;

use super::server::{Arm, Server};

/// What to measure.
pub(super) struct Plan {
    pub(super) connections: Vec<usize>,
    pub(super) size: usize,
    pub(super) rounds: usize,
    pub(super) seconds: f64,
    pub(super) idle: usize,
    pub(super) syscalls: bool,
    /// CPU of the server and of the load.
    pub(super) pins: Option<(usize, usize)>,
}

/// One timed run.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// Nanoseconds of the server's CPU time per request.
    pub(super) cpu: f64,
    pub(super) rate: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// Share of the window in which server and load used their CPU.
    pub(super) server_busy: f64,
    pub(super) load_busy: f64,
}

/// System calls per request.
pub(super) enum Calls {
    /// Counted over the window: all, and io_uring_enter among them.
    Counted(f64, f64),
    /// By a tracer that slows the server, connecting and all.
    Traced(f64),
    /// Nothing here can count them.
    Unknown,
}

/// All readings; the keys begin with the arm's name.
#[derive(Default)]
pub(super) struct Results {
    pub(super) runs: BTreeMap<(String, usize, usize), Run>,
    pub(super) calls: BTreeMap<(String, usize), Calls>,
    pub(super) idle: BTreeMap<String, f64>,
    pub(super) failures: Vec<String>,
}

impl Results {
    fn failed(&mut self, what: &str, error: &dyn std::fmt::Display) {
        eprintln!("FAILED: {what}: {error}");
        self.failures.push(format!("{what}: {error}"));
    }
}

/// Each round runs each arm once per number of connections, in turn forwards and backwards.
pub(super) fn rounds(plan: &Plan, arms: &[Arm], results: &mut Results) {
    for round in 0..plan.rounds {
        for &connections in &plan.connections {
            let mut order: Vec<&Arm> = arms.iter().collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for arm in order {
                eprintln!("round {} of {}: {} x {connections}", round + 1, plan.rounds, arm.name);
                match timed(plan, arm, connections) {
                    Ok(run) => {
                        results.runs.insert((arm.name.clone(), connections, round), run);
                    }
                    Err(error) => results.failed(&format!("{} x {connections}", arm.name), &error),
                }
            }
        }
    }
}

fn timed(plan: &Plan, arm: &Arm, connections: usize) -> Result<Run> {
    let server = Server::start(arm, plan.pins.map(|pins| pins.0))?;
    let line = load(plan, &server, connections, plan.seconds, &[])?;
    let number = |field: &str| line[field].as_f64().ok_or(format!("no {field} in {line}"));
    let nanoseconds = number("seconds")? * 1e9;
    let cpu = number("server_cpu_ns")?;
    Ok(Run {
        cpu: cpu / number("requests")?,
        rate: number("rate")?,
        p50: number("p50_us")?,
        p99: number("p99_us")?,
        server_busy: cpu / nanoseconds,
        load_busy: number("load_busy")?,
    })
}

fn load_command(plan: &Plan, server: &Server) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?.with_file_name("load"));
    command.args(["--connect", &server.address.to_string()]);
    command.args(["--size", &plan.size.to_string()]);
    if let Some((_, cpu)) = plan.pins {
        command.args(["--pin", &cpu.to_string()]);
    }
    Ok(command)
}

/// Runs the generator; its line, if no answer was wrong and no connection starved.
fn load(plan: &Plan, server: &Server, connections: usize, seconds: f64, more: &[&str]) -> Result<Value> {
    let mut command = load_command(plan, server)?;
    command.args(["--connections", &connections.to_string()]);
    command.args(["--seconds", &seconds.to_string()]);
    command.args(["--server-pid", &server.pid().to_string()]).args(more);
    let output = command.stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_string().into());
    }
    let line: Value = serde_json::from_slice(&output.stdout)?;
    if line["requests"] == 0 || line["errors"] != 0 || line["starved"] != 0 {
        return Err(format!("wrong answers, or none: {line}").into());
    }
    Ok(line)
}

/// Counts system calls in passes of their own, as counting slows the server.
pub(super) fn syscalls(plan: &Plan, arms: &[Arm], results: &mut Results) {
    for arm in arms {
        for &connections in &plan.connections {
            eprintln!("system calls: {} x {connections}", arm.name);
            let calls = counted(plan, arm, connections)
                .or_else(|counting| traced(plan, arm, connections).map_err(|tracing| format!("{counting}; {tracing}")))
                .unwrap_or_else(|error| {
                    eprintln!("no count of system calls: {error}");
                    Calls::Unknown
                });
            results.calls.insert((arm.name.clone(), connections), calls);
        }
    }
}

fn counted(plan: &Plan, arm: &Arm, connections: usize) -> Result<Calls> {
    let server = Server::start(arm, plan.pins.map(|pins| pins.0))?;
    let line = load(plan, &server, connections, 1.0, &["--count-syscalls"])?;
    let per_request = |field: &str| line[field].as_f64().zip(line["requests"].as_f64()).map(|(calls, n)| calls / n);
    let (all, enters) = per_request("syscalls").zip(per_request("enters")).ok_or("no counts")?;
    Ok(Calls::Counted(all, enters))
}

/// The same with strace, which must be installed.
fn traced(plan: &Plan, arm: &Arm, connections: usize) -> Result<Calls> {
    let server = Server::start(arm, plan.pins.map(|pins| pins.0))?;
    let mut strace = Command::new("strace")
        .args(["-f", "-c", "-q", "-p", &server.pid().to_string()])
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("strace: {error}"))?;
    let line = load(plan, &server, connections, 1.0, &["--warmup", "0"]);
    // SAFETY: the child is not reaped yet, so the number is still its own.
    unsafe { libc::kill(strace.id() as i32, libc::SIGINT) };
    let mut text = String::new();
    if let Some(stderr) = strace.stderr.take() {
        text = std::io::read_to_string(stderr)?;
    }
    strace.wait()?;
    let total = text
        .lines()
        .find(|line| line.ends_with(" total"))
        .and_then(|line| line.split_whitespace().nth(3))
        .and_then(|calls| calls.parse::<f64>().ok())
        .ok_or_else(|| format!("strace counted nothing: {}", text.trim()))?;
    let requests = line?["requests"].as_f64().ok_or("no requests")?;
    Ok(Calls::Traced(total / requests))
}

/// Weighs idle connections. A load runs first, so that memory the server takes once for all is there before.
pub(super) fn idle(plan: &Plan, arms: &[Arm], results: &mut Results) {
    for arm in arms {
        eprintln!("{} idle connections: {}", plan.idle, arm.name);
        match weighed(plan, arm) {
            Ok(bytes) => {
                results.idle.insert(arm.name.clone(), bytes);
            }
            Err(error) => results.failed(&format!("{} with idle connections", arm.name), &error),
        }
    }
}

fn weighed(plan: &Plan, arm: &Arm) -> Result<f64> {
    let server = Server::start(arm, plan.pins.map(|pins| pins.0))?;
    load(plan, &server, 64, 0.3, &[])?;
    let before = server.private_bytes()?;
    let mut command = load_command(plan, &server)?;
    command.args(["--idle", &plan.idle.to_string()]);
    let mut holder = Holder(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
    let mut line = String::new();
    BufReader::new(holder.0.stdout.take().expect("piped")).read_line(&mut line)?;
    let line: Value = serde_json::from_str(&line).map_err(|_| "the connections could not be held")?;
    if line["idle"] != plan.idle {
        return Err(format!("not all are held: {line}").into());
    }
    let after = server.private_bytes()?;
    Ok((after as f64 - before as f64) / plan.idle as f64)
}

/// The process that holds the connections; lets go when its stdin closes.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
