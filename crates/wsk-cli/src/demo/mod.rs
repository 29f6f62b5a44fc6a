//! `wsk demo`: the same echo load against a server of each programming model, every byte checked, and what each model costs
//! in one table.

mod load;
mod pattern;
mod report;

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use wsk::{Choice, Client, ClientDispatch, Counters, Provider, Registration, WaitTimeout};

use crate::server::{self, Model};
use crate::{Failure, echo};
use load::Load;
use report::{Measured, Report};

/// How often the server is looked at while the load runs.
const TICK: Duration = Duration::from_millis(25);

/// Compare the programming models under load, with every byte checked
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds to run, divided over the three models
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// TCP connections, each with one request under way
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Bytes per request
    #[arg(long, default_value_t = 64, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    size: u32,
    #[command(flatten)]
    transport: crate::TransportArgs,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let bar = progress_bar(args.seconds);
    let share = Duration::from_secs(args.seconds) / Model::ALL.len() as u32;
    let mut report = Report {
        kernel: kernel(),
        transport: String::new(),
        reason: String::new(),
        connections: args.connections,
        size: args.size,
        seconds: args.seconds,
        models: Vec::new(),
    };
    for model in Model::ALL {
        let server = Side::start(args.transport.transport)?;
        report.transport = server.provider.transport_name().to_owned();
        report.reason = server.provider.transport_reason();
        report.models.push(measure(args, server, model, share, &bar)?);
    }
    bar.finish_and_clear();

    let mut out = std::io::stdout();
    let text = if args.json { report.json() } else { report.table(out.is_terminal()) };
    // A reader that has gone away (`| head`) is no failure of the demo.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    match report.models.iter().find(|model| model.requests == 0) {
        None => Ok(()),
        Some(idle) => {
            let what = format!("the server of model {} answered no request while it was measured", idle.model);
            Err(Failure::wrong(what, "this host may be too busy; try more --seconds"))
        }
    }
}

/// One model's turn: start, warm up, measure, end.
fn measure(args: &Args, side: Side, model: Model, share: Duration, bar: &ProgressBar) -> Result<Measured, Failure> {
    let start = Instant::now();
    let before = bar.position();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = server::stream(&side.client, any, model).map_err(|error| Failure::listen(any, &error))?;
    let other = Side::start(args.transport.transport)?;
    let load = Load::connect(other, server.address, args.connections as usize, args.size as usize)?;

    let progress = |what: String| {
        bar.set_position(before + start.elapsed().as_millis() as u64);
        bar.set_message(format!("{:<16} {what:>20}", model.title()));
    };
    let warm = start + (share / 8).min(Duration::from_millis(500));
    load.run_until(warm, TICK, || progress("warming up".to_owned()))?;

    let first = side.provider.counters();
    let (from, mut samples) = (Instant::now(), Vec::new());
    load.take_latencies();
    load.run_until(start + share, TICK, || {
        samples.push(side.provider.counters());
        let rate = load.answered() as f64 / from.elapsed().as_secs_f64();
        progress(format!("{} requests/s", report::thousands(rate)));
    })?;
    let latencies = load.take_latencies();
    let (last, window) = (side.provider.counters(), from.elapsed());

    load.end()?;
    drop(server);
    side.end()?;
    let per_request = |count: fn(&Counters) -> u64| match latencies.len() {
        0 => 0.0,
        requests => (count(&last) - count(&first)) as f64 / requests as f64,
    };
    Ok(Measured {
        model: model.title(),
        requests: latencies.len(),
        requests_per_second: latencies.len() as f64 / window.as_secs_f64(),
        p50_us: latencies.value_at_quantile(0.5) as f64 / 1e3,
        p99_us: latencies.value_at_quantile(0.99) as f64 / 1e3,
        cpu_us_per_request: per_request(|counters| counters.cpu_nanos) / 1e3,
        system_calls_per_request: per_request(|counters| counters.system_calls),
        bytes_copied_per_request: per_request(|counters| counters.bytes_copied),
        requests_queued: samples.iter().map(|counters| counters.requests_queued).min().unwrap_or_default(),
        buffers_lent: samples.iter().map(|counters| counters.buffers_lent).max().unwrap_or_default(),
        buffer_memory_kib: last.buffer_memory / 1024,
    })
}

/// A subsystem with one client: the server has one, the load another.
struct Side {
    // Dropped in this order: a capture is released before its client deregisters, and that before the subsystem ends.
    client: Client,
    registration: Registration,
    provider: Provider,
}

impl Side {
    fn start(transport: Option<Choice>) -> Result<Self, Failure> {
        let provider = echo::provider(transport, 1)?;
        let registration = Registration::register(&provider, ClientDispatch::default());
        let client = registration.capture(WaitTimeout::NoWait)?;
        Ok(Self { client, registration, provider })
    }

    /// Closes what is open, and waits until the last socket is gone.
    fn end(self) -> Result<(), Failure> {
        self.client.close_all();
        drop(self.client);
        self.registration.deregister()?;
        drop(self.provider);
        Ok(())
    }
}

fn progress_bar(seconds: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}  [{bar:40}] {percent:>3} %").expect("a valid template");
    // Drawn on standard error, and only if that is a terminal.
    ProgressBar::new(seconds * 1000).with_style(style.progress_chars("=> "))
}

fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim())
}
