//! The harness: every server under the same load, in alternating order, round by round; medians at the end.

mod measure;
mod report;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use bench::{Result, args::Args, cpu, net};

use measure::{Plan, Results};
use server::Arm;

const USAGE: &str = "\
Compares echo servers: CPU time of the server per request, rate, latency, system calls, memory per idle connection.

  --wsk PATH           the wsk binary; without it its arms are left out
  --only LIST          arms with one of these words in their name: --only ring,tokio
  --connections LIST   (64,1000)
  --size BYTES         of a request (64)
  --rounds N           (5)
  --seconds S          length of a run's counted window (2)
  --idle N             idle connections for the memory figure; 0 leaves it out (10000)
  --no-syscalls        leave out the system call passes
  --markdown           the table as markdown

Exit code 1 if an arm failed or an answer was wrong.";

fn main() -> ExitCode {
    bench::main_with(|| {
        let mut args = Args::from_env(USAGE);
        let wsk: Option<PathBuf> = args.option("--wsk")?;
        let only: Option<String> = args.option("--only")?;
        let connections: String = args.value("--connections", "64,1000".into())?;
        let markdown = args.flag("--markdown");
        let cpus = cpu::allowed()?;
        let plan = Plan {
            connections: connections.split(',').map(str::parse).collect::<Result<_, _>>()?,
            size: args.value("--size", 64)?,
            rounds: args.value("--rounds", 5)?,
            seconds: args.value("--seconds", 2.0)?,
            idle: args.value("--idle", 10_000)?,
            syscalls: !args.flag("--no-syscalls"),
            pins: (cpus.len() > 1).then(|| (cpus[0], cpus[1])),
        };
        args.finish()?;
        if plan.rounds == 0 {
            return Err("--rounds starts at 1".into());
        }
        net::raise_open_files(plan.idle as u64 * 2 + 1024)?; // inherited by the servers
        if plan.pins.is_none() {
            eprintln!("WARNING: one CPU only: server and load share it, and the figures mean little");
        }
        let arms = arms(wsk, only.as_deref())?;
        let mut results = Results::default();
        measure::rounds(&plan, &arms, &mut results);
        if plan.syscalls {
            measure::syscalls(&plan, &arms, &mut results);
        }
        if plan.idle > 0 {
            measure::idle(&plan, &arms, &mut results);
        }
        report::print(&plan, &arms, &results, markdown);
        match results.failures.len() {
            0 => Ok(()),
            failures => Err(format!("{failures} runs failed, see above").into()),
        }
    })
}

/// The servers to compare: the yardstick first.
fn arms(wsk: Option<PathBuf>, only: Option<&str>) -> Result<Vec<Arm>> {
    let beside = std::env::current_exe()?;
    let mut arms = vec![
        Arm::new("ring-echo", beside.with_file_name("ring-echo"), &[]),
        Arm::new("tokio-echo", beside.with_file_name("tokio-echo"), &[]),
    ];
    for (model, transport) in [("static", "uring"), ("callbacks", "uring"), ("functions", "uring"), ("static", "epoll")]
    {
        let name = format!("wsk {model}/{transport}");
        let path = wsk.clone().unwrap_or_else(|| "give --wsk PATH".into());
        arms.push(Arm::new(&name, path, &["echo", "--model", model, "--transport", transport]));
    }
    if let Some(only) = only {
        let parts = |arm: &Arm| arm.name.split([' ', '/', '-']).map(String::from).collect::<Vec<_>>();
        arms.retain(|arm| parts(arm).iter().any(|part| only.split(',').any(|word| word == part)));
    }
    let missing: Vec<String> = arms
        .extract_if(.., |arm| !arm.program.is_file())
        .map(|arm| format!("{} ({})", arm.name, arm.program.display()))
        .collect();
    if !missing.is_empty() {
        eprintln!("WARNING: LEFT OUT, PROGRAM MISSING: {}", missing.join(", "));
        println!("NOT MEASURED: {}\n", missing.join(", "));
    }
    if arms.is_empty() {
        return Err("no arm is left to measure".into());
    }
    Ok(arms)
}
