//! `wsk run`: loads drivers, lets them run, and unloads them.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use clap::ValueEnum;
use wsk::{NtStatus, Provider};
use wsk_loader::{Driver, LoadOptions, Loader};
use wsk_nt::export::Export;
use wsk_nt::verify;

use crate::{Failure, TransportArgs, build};

/// Exit status: a driver's DriverEntry refused.
const REFUSED: u8 = 1;
/// Exit status: `--verify` found a violation.
const VIOLATED: u8 = 4;

/// How long an unload may take before it is said what it waits for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Load drivers, run them until Ctrl-C, and unload them
///
/// What drivers print (DbgPrint) goes to stdout, a line each, after the driver's name; everything else to stderr. Exit status:
/// 0 loaded and unloaded cleanly; 1 DriverEntry refused; 2 unusable image or arguments; 3 bug check; 4 --verify found a
/// violation.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Drivers, loaded in this order; C files are compiled, all together, to one driver that is loaded last
    #[arg(required = true, value_name = "X.sys|SRC.c")]
    files: Vec<PathBuf>,
    /// Unload after so many seconds; 0 as soon as all is started
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Send a control request to a device once all is started: its name, the code, and input bytes in hexadecimal. Repeatable
    #[arg(long, num_args = 2, value_names = ["DEVICE", "CODE[=HEX]"], action = clap::ArgAction::Append)]
    ioctl: Vec<String>,
    /// Room for the output of each --ioctl, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    ioctl_output: usize,
    /// A registry file (.reg, as Windows exports it), for what drivers look up
    #[arg(long, value_name = "FILE")]
    reg: Option<PathBuf>,
    /// The IRQL at which event callbacks are called
    #[arg(long, value_enum, default_value = "2")]
    irql: Irql,
    /// Watch the rules that drivers must keep, and report leaks
    #[arg(long)]
    verify: bool,
    /// Say how gdb loads the drivers' symbols, once they are loaded
    #[arg(long)]
    debugger: bool,
    /// Load drivers although imports are missing; calling one is a bug check
    #[arg(long)]
    allow_missing: bool,
    /// The compiler for C files [default: gcc if it is there]
    #[arg(long)]
    compiler: Option<build::Compiler>,
    #[command(flatten)]
    transport: TransportArgs,
}

/// The IRQL of event callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Irql {
    /// PASSIVE_LEVEL
    #[value(name = "0")]
    Passive,
    /// DISPATCH_LEVEL
    #[value(name = "2")]
    Dispatch,
}

/// Everything a driver can import.
pub(crate) fn exports() -> impl Iterator<Item = &'static Export> {
    wsk_npi::exports().chain(wsk_nt::export::all())
}

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display()), "name a driver that is there"))
}

/// Why the run ends.
enum End {
    Interrupt,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let built = tempfile::tempdir().map_err(|e| Failure::new(format!("no temporary directory: {e}"), "set TMPDIR"))?;
    let files = compile(args, built.path())?;
    if args.verify {
        verify::enable();
    }
    wsk_nt::rtl::dbg::set_sink(print);
    start_provider(args)?;
    let (sender, events) = mpsc::channel();
    ctrlc::set_handler(move || drop(sender.send(End::Interrupt))).map_err(Failure::signal)?;

    let loader = Loader::new(exports());
    let mut running = Vec::new();
    let outcome = start_all(args, &loader, &files, &mut running).and_then(|()| {
        wait(args.seconds, &events);
        Ok(())
    });
    let unloaded = unload_all(running, args.verify);
    outcome?;
    unloaded?;
    let violations = verify::violations();
    if args.verify && !violations.is_empty() {
        let what = format!("{} violations", violations.len());
        return Err(Failure { exit: VIOLATED, ..Failure::new(what, "see the reports above") });
    }
    Ok(())
}

/// The drivers to load: files as they are, and the one that C files make.
fn compile(args: &Args, directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let is_source = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "c");
    let sources: Vec<&Path> = args.files.iter().filter(is_source).map(PathBuf::as_path).collect();
    let mut files: Vec<PathBuf> = args.files.iter().filter(|path| !is_source(path)).cloned().collect();
    if let Some(first) = sources.first() {
        let output = directory.join(first.with_extension("sys").file_name().expect("a file has a name"));
        let compiler = args.compiler.map_or_else(build::choose, Ok)?;
        build::compile(&sources, &output, compiler, &[])?;
        files.push(output);
    }
    Ok(files)
}

/// Prints what drivers print: a line each, after the driver's name.
fn print(line: &str, caller: usize) {
    let driver = wsk_loader::driver_at(caller).unwrap_or_else(|| "?".to_owned());
    println!("{}: {line}", driver.trim_end_matches(".sys"));
}

fn start_provider(args: &Args) -> Result<(), Failure> {
    let mut builder = Provider::builder();
    if let Some(choice) = args.transport.transport {
        builder = builder.host(choice);
    }
    if args.irql == Irql::Passive {
        builder = builder.callbacks_at_passive_level();
    }
    let provider = builder.start().map_err(Failure::start)?;
    eprintln!("transport {}: {}", provider.transport_name(), provider.transport_reason());
    wsk_npi::set_provider(Some(provider));
    Ok(())
}

fn start_all(args: &Args, loader: &Loader, files: &[PathBuf], running: &mut Vec<Driver>) -> Result<(), Failure> {
    let options = LoadOptions { allow_missing: args.allow_missing, ..LoadOptions::default() };
    for path in files {
        let bytes = read(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut driver = loader.load(&name, &bytes, &options).map_err(|error| {
            Failure::new(format!("{}: {error}", path.display()), "wsk imports shows what it wants")
        })?;
        eprintln!("{name} loaded at {:#x}", driver.base());
        let status = driver.start();
        if !status.is_success() {
            let what = format!("DriverEntry of {name} returned {status}");
            return Err(Failure { exit: REFUSED, ..Failure::new(what, "see what the driver printed") });
        }
        eprintln!("{name} started");
        running.push(driver);
    }
    Ok(())
}

fn wait(seconds: Option<f64>, events: &mpsc::Receiver<End>) {
    let _ = match seconds {
        None => events.recv().ok(),
        Some(seconds) => events.recv_timeout(Duration::from_secs_f64(seconds.max(0.0))).ok(),
    };
}

/// Unloads in the reverse order. An unload that takes long says what it waits for.
fn unload_all(mut running: Vec<Driver>, verifying: bool) -> Result<(), Failure> {
    let mut result = Ok(());
    while let Some(mut driver) = running.pop() {
        let name = driver.name().to_owned();
        let range = driver.base()..driver.base() + driver.size();
        let (done, waiting) = mpsc::channel::<()>();
        let watch = {
            let name = name.clone();
            std::thread::spawn(move || watch(&name, &waiting))
        };
        let unloaded = driver.unload();
        drop(done);
        let _ = watch.join();
        match unloaded {
            Ok(()) => eprintln!("{name} unloaded"),
            Err(error) => result = Err(Failure::new(error.to_string(), "set DriverUnload in DriverEntry")),
        }
        if verifying {
            report_leaks(&range);
        }
    }
    result
}

/// Says what an unload waits for, as long as it does.
fn watch(name: &str, unloaded: &mpsc::Receiver<()>) {
    while unloaded.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
        eprintln!("{name} is still unloading; it holds:");
        for held in wsk_npi::held() {
            eprintln!("  {} ({})", held.what, wsk_loader::describe_address(held.holder));
        }
    }
}

/// What the driver left behind.
fn report_leaks(range: &std::ops::Range<usize>) {
    for held in wsk_npi::held().into_iter().filter(|held| range.contains(&held.holder)) {
        verify::violation_by(held.rule, held.what, held.holder);
    }
}
