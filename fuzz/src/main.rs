//! Fuzzers that run anywhere: `cargo xtask fuzz`; see README.md.

mod mutate;
mod random;
mod run;
mod targets;

use std::process::ExitCode;
use std::time::Duration;

use targets::{TARGETS, Target};

/// For each target, when nothing is said.
const SECONDS: u64 = 5;

struct Options {
    seconds: u64,
    seed: u64,
    input: Option<String>,
    targets: Vec<&'static Target>,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)).and_then(|options| all(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { seconds: SECONDS, seed: 1, input: None, targets: Vec::new() };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("{text} is no number"));
        match argument.as_str() {
            "--seconds" => options.seconds = number(value()?)?,
            "--seed" => options.seed = number(value()?)?,
            "--input" => options.input = Some(value()?),
            name => options.targets.push(TARGETS.iter().find(|target| target.name == name).ok_or_else(|| usage(name))?),
        }
    }
    if options.targets.is_empty() {
        options.targets = TARGETS.iter().collect();
    }
    Ok(options)
}

fn usage(name: &str) -> String {
    let list: String = TARGETS.iter().map(|target| format!("\n  {:<16} {}", target.name, target.what)).collect();
    format!("no target {name}; [--seconds N] [--seed N] [--input FILE] [TARGET...], targets are:{list}")
}

fn all(options: &Options) -> Result<(), String> {
    if let Some(path) = &options.input {
        let [target] = options.targets[..] else { return Err("--input goes with one target".into()) };
        let input = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        return run::once(target, &input);
    }
    let time = Duration::from_secs(options.seconds);
    let results = options.targets.iter().map(|target| run::run(target, options.seed, time));
    let failed: Vec<String> = results.filter_map(Result::err).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}
