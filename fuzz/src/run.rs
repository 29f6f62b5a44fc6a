//! Rounds of one target, the memory of what was new, and the report of a failure.

use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::mutate::mutated;
use crate::random::Random;
use crate::targets::Target;

/// No input takes this long.
const HANGS: Duration = Duration::from_secs(20);
/// Inputs that are kept to be mutated further.
const KEPT: usize = 2000;

/// Runs a target for a while; `Err` says how it failed and how to see that again.
pub(crate) fn run(target: &Target, seed: u64, time: Duration) -> Result<(), String> {
    let start = Instant::now();
    let mut random = Random::new(seed);
    let mut known = (target.seeds)();
    let mut seen: HashSet<u64> = HashSet::new();
    let watch = Watch::new(target.name, seed);
    for (number, input) in known.iter().enumerate() {
        let made = watch.during(number as u64, input, || attempt(target, input));
        seen.insert(made.ok_or_else(|| failure(target, seed, number as u64, input))?);
    }
    let mut round = known.len() as u64;
    // The clock is asked now and then: it costs more than most rounds.
    while !round.is_multiple_of(64) || start.elapsed() < time {
        let input = mutated(&known, &mut random);
        let made = watch.during(round, &input, || attempt(target, &input));
        let made = made.ok_or_else(|| failure(target, seed, round, &input))?;
        if seen.insert(made) && known.len() < KEPT {
            known.push(input);
        }
        round += 1;
    }
    println!("ok     {:<16} {round:>9} inputs, {} outcomes", target.name, seen.len());
    Ok(())
}

/// Runs a target on one input.
pub(crate) fn once(target: &Target, input: &[u8]) -> Result<(), String> {
    match attempt(target, input) {
        Some(made) => {
            println!("ok     {}: outcome {made:#x}", target.name);
            Ok(())
        }
        None => Err(format!("{} fails on this input", target.name)),
    }
}

/// What the target made of it; `None`: it panicked.
fn attempt(target: &Target, input: &[u8]) -> Option<u64> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).ok()
}

fn failure(target: &Target, seed: u64, round: u64, input: &[u8]) -> String {
    let name = target.name;
    let place = match keep(name, seed, round, input) {
        Ok(path) => format!("cargo xtask fuzz {name} --input {}", path.display()),
        Err(error) => format!("the input could not be kept ({error})"),
    };
    format!(
        "{name} fails in round {round} of seed {seed}, with {} bytes:\n{}\n  next: {place}",
        input.len(),
        hex(input)
    )
}

fn keep(name: &str, seed: u64, round: u64, input: &[u8]) -> std::io::Result<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("failures");
    fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{name}-{seed}-{round}"));
    fs::write(&path, input)?;
    Ok(path)
}

fn hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(32).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    lines.map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// Ends the process when one input takes too long.
struct Watch {
    /// The round that runs, plus one; 0: none.
    round: Arc<AtomicU64>,
    input: Arc<Mutex<Vec<u8>>>,
}

impl Watch {
    fn new(name: &'static str, seed: u64) -> Self {
        let (round, input) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (running, bytes) = (Arc::downgrade(&round), input.clone());
        thread::spawn(move || {
            let mut last = (0, Instant::now());
            while let Some(round) = running.upgrade() {
                let now = round.load(Ordering::Relaxed);
                if now != last.0 || now == 0 {
                    last = (now, Instant::now());
                } else if last.1.elapsed() > HANGS {
                    let bytes = bytes.lock().map(|bytes| bytes.clone()).unwrap_or_default();
                    let path = keep(name, seed, now - 1, &bytes);
                    eprintln!("error: {name} hangs in round {} of seed {seed}: {path:?}\n{}", now - 1, hex(&bytes));
                    std::process::exit(1);
                }
                drop(round);
                thread::sleep(Duration::from_millis(200));
            }
        });
        Self { round, input }
    }

    fn during<T>(&self, round: u64, input: &[u8], body: impl FnOnce() -> T) -> T {
        if let Ok(mut kept) = self.input.lock() {
            kept.clear();
            kept.extend_from_slice(input);
        }
        self.round.store(round + 1, Ordering::Relaxed);
        let result = body();
        self.round.store(0, Ordering::Relaxed);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic;

    const SHY: Target = Target {
        name: "shy",
        what: "",
        seeds: || vec![b"good".to_vec()],
        run: |input| {
            assert!(!input.ends_with(b"\xff\xff"), "on purpose, this is part of a test");
            input.len() as u64
        },
    };

    #[test]
    fn a_failure_is_found_kept_and_the_same_again() {
        let find = || run(&SHY, 3, Duration::from_secs(60)).unwrap_err();
        let quiet = panic::take_hook();
        panic::set_hook(Box::new(|_| {}));
        let (report, again) = (find(), find());
        panic::set_hook(quiet);
        assert_eq!(report, again, "one seed is one sequence");
        assert!(report.starts_with("shy fails in round ") && report.contains(" of seed 3,"), "{report}");
        let path = report.rsplit(' ').next().unwrap();
        let kept = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        assert!(kept.ends_with(b"\xff\xff") && report.contains(&hex(&kept)), "{report}");
    }

    #[test]
    fn a_target_that_holds_is_ok() {
        let fine = Target { run: |input| u64::from(input.is_empty()), ..SHY };
        assert_eq!(run(&fine, 1, Duration::ZERO), Ok(()));
        assert_eq!(once(&fine, b""), Ok(()));
    }
}
