//! `wsk run`: loads drivers, lets them run, and unloads them.

use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use wsk::{HostTransport, Provider};
use wsk_loader::{Driver, LoadOptions, Loader};
use wsk_npi::TransportModule;
use wsk_nt::export::Export;
use wsk_nt::verify;

use crate::{Failure, TransportArgs, build};

/// Exit status: a driver's DriverEntry refused.
const REFUSED: u8 = 1;
/// Exit status: `--verify` found a violation.
const VIOLATED: u8 = 4;

/// Exit status of a second Ctrl-C, as shells know it.
const INTERRUPTED: i32 = 130;

/// How long the sockets that a driver left open may take to close, before its image is taken away; and the transport, at the end.
const CLOSING: Duration = Duration::from_secs(2);

/// How long a control request may take at least, with `--for`.
const ANSWER: Duration = Duration::from_secs(10);

/// How often Ctrl-C came.
static INTERRUPTS: AtomicU32 = AtomicU32::new(0);

/// How long an unload may take before it is said what it waits for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Load drivers, run them until Ctrl-C, and unload them
///
/// What drivers print (DbgPrint) goes to stdout, a line each, after the driver's name; everything else to stderr. Exit status:
/// 0 loaded and unloaded cleanly; 1 DriverEntry refused; 2 unusable image or arguments, or a driver without DriverUnload;
/// 3 bug check; 4 --verify found a violation.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Drivers, loaded in this order; C files are compiled, all together, to one driver that is loaded last
    #[arg(required = true, value_name = "X.sys|SRC.c")]
    files: Vec<PathBuf>,
    /// Unload after so many seconds; 0 as soon as all is started
    #[arg(long = "for", value_name = "SECONDS", value_parser = duration)]
    time: Option<Duration>,
    /// Send a control request to a device once all is started: its name, the code, and input bytes in hexadecimal. Repeatable.
    /// Ctrl-C, or with --for the end of the time (10 s at least), cancels one that the driver keeps
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
    std::fs::read(path).map_err(|error| {
        Failure::new(format!("cannot read {}: {error}", path.display()), "name a driver that is there")
    })
}

/// A number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "write a number of seconds, such as 10 or 0.5; without --for, Ctrl-C ends the run".to_owned())
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let outcome = run_drivers(args);
    wsk_nt::rtl::dbg::flush_all();
    wsk_loader::wait_for_report(); // a bug check on another thread says its exit status
    outcome
}

fn run_drivers(args: &Args) -> Result<(), Failure> {
    let requests = requests(&args.ioctl)?;
    let built = tempfile::tempdir().map_err(|e| Failure::new(format!("no temporary directory: {e}"), "set TMPDIR"))?;
    let files = compile(args, built.path())?;
    if let Some(path) = &args.reg {
        wsk_nt::zw::registry::load_reg_file(path).map_err(|error| {
            Failure::new(
                format!("{}: {error}", path.display()),
                "name a .reg file as regedit exports it (version 5.00)",
            )
        })?;
    }
    if args.verify {
        verify::enable();
    }
    wsk_nt::rtl::dbg::set_sink(print);
    wsk_loader::set_before_unmap(|image| {
        wsk_nt::nmr::abandon(image); // attaches to nothing any more
        wsk_npi::abandon(image, CLOSING);
    });
    let transport = start_provider(args)?;
    let (sender, events) = mpsc::channel();
    let interrupt = move || {
        let _ = sender.send(());
        if INTERRUPTS.fetch_add(1, Ordering::Relaxed) > 0 {
            eprintln!("interrupted again: the drivers are left as they are");
            std::process::exit(INTERRUPTED);
        }
    };
    ctrlc::set_handler(interrupt).map_err(Failure::signal)?;

    let loader = Loader::new(exports());
    let mut running = Vec::new();
    let outcome = start_all(args, &loader, &files, &mut running).and_then(|()| {
        control(&requests, args)?;
        wait(args.time, &events);
        Ok(())
    });
    let unloaded = unload_all(running);
    unload_transport(transport); // nobody is left who could have a socket of it
    outcome?;
    unloaded?;
    let traps = wsk_loader::counters();
    eprintln!(
        "{} CR8 accesses trapped, {} reads of the shared page trapped, {} sites rewritten at load",
        traps.cr8_traps, traps.shared_page_traps, traps.patched
    );
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
    say(format_args!("{}: {line}", driver.trim_end_matches(".sys")));
}

/// A line to stdout. Who reads it may have gone: that is no reason for the drivers to stop.
fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Starts the provider, and loads the transport under it. Dropping that unloads it.
fn start_provider(args: &Args) -> Result<TransportModule, Failure> {
    let mut builder = Provider::builder().without_transport();
    if args.irql == Irql::Passive {
        builder = builder.callbacks_at_passive_level();
    }
    wsk_npi::set_provider(Some(builder.start().map_err(Failure::start)?));
    let host = match args.transport.transport {
        Some(choice) => HostTransport::new(choice),
        None => HostTransport::from_env(),
    };
    let host = host.map_err(|error| Failure::start(io::Error::other(error)))?;
    let module = TransportModule::register(Arc::new(host))
        .map_err(|status| Failure::start(io::Error::other(format!("it was not attached to ({status})"))))?;
    let provider = wsk_npi::provider();
    eprintln!("transport {}: {}", provider.transport_name(), provider.transport_reason());
    Ok(module)
}

/// Unloads the transport. If a thread of it is held up in a driver's callback, it goes with the process.
fn unload_transport(transport: TransportModule) {
    let (unloaded, done) = mpsc::channel();
    std::thread::spawn(move || {
        drop(transport);
        let _ = unloaded.send(());
    });
    let _ = done.recv_timeout(CLOSING);
}

fn start_all(args: &Args, loader: &Loader, files: &[PathBuf], running: &mut Vec<Driver>) -> Result<(), Failure> {
    for path in files {
        let directory = path.parent().map(Path::to_path_buf);
        let options = LoadOptions { allow_missing: args.allow_missing, directory, ..LoadOptions::default() };
        let bytes = read(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut driver = loader
            .load(&name, &bytes, &options)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display()), "wsk imports shows what it wants"))?;
        eprintln!("{name} loaded at {:#x}", driver.base());
        if args.debugger {
            debugger_lines(&driver, path);
        }
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

/// Says how a debugger of this process gets the driver's symbols, and what signals it must not stop at.
fn debugger_lines(driver: &Driver, path: &Path) {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let pass = "handle SIGSEGV SIGTRAP nostop noprint pass";
    eprintln!("  gdb -p {} -ex '{pass}' -ex '{}'", std::process::id(), driver.gdb_line(&path));
}

/// A control request of the command line.
struct ControlRequest {
    device: String,
    code: u32,
    input: Vec<u8>,
}

/// Reads `--ioctl DEVICE CODE[=HEX]`, as often as it is there.
fn requests(words: &[String]) -> Result<Vec<ControlRequest>, Failure> {
    let bad = |what: String| Failure::new(what, r"write, for example: --ioctl '\DosDevices\Echo' 0x222000=68690a");
    let mut requests = Vec::new();
    for pair in words.chunks_exact(2) {
        let (code, hex) = pair[1].split_once('=').unwrap_or((&pair[1], ""));
        let digits = code.strip_prefix("0x").or_else(|| code.strip_prefix("0X"));
        let number = digits.map_or_else(|| code.parse(), |digits| u32::from_str_radix(digits, 16));
        let code = number.map_err(|_| bad(format!("{code} is no control code")))?;
        let input = bytes(hex).ok_or_else(|| bad(format!("{hex} are no bytes in hexadecimal")))?;
        requests.push(ControlRequest { device: pair[0].clone(), code, input });
    }
    Ok(requests)
}

/// Bytes from pairs of hexadecimal digits.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    if !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}

/// Sends control requests, one after the other; each device is opened once and closed at the end. What comes back goes to
/// stdout: `DEVICE CODE STATUS BYTES`.
///
/// A request that the driver keeps is cancelled when the time of `--for` is up, but not before [`ANSWER`], and by Ctrl-C; the
/// requests after that are not sent.
fn control(requests: &[ControlRequest], args: &Args) -> Result<(), Failure> {
    let start = Instant::now();
    let is_interrupted = || INTERRUPTS.load(Ordering::Relaxed) > 0;
    let is_late = || args.time.is_some_and(|time| start.elapsed() > time.max(ANSWER));
    let mut open: Vec<(&str, wsk_nt::io::file::File)> = Vec::new();
    for request in requests.iter().take_while(|_| !is_interrupted()) {
        let at = match open.iter().position(|(name, _)| *name == request.device) {
            Some(at) => at,
            None => {
                let file = wsk_nt::io::request::open_device(&request.device).map_err(|status| {
                    let what = format!("cannot open {}: {status}", request.device);
                    Failure::new(what, "name a device that the driver creates, such as \\DosDevices\\Echo")
                })?;
                open.push((&request.device, file));
                open.len() - 1
            }
        };
        let give_up = || is_interrupted() || is_late();
        let (file, room) = (&open[at].1, args.ioctl_output);
        let (status, output) =
            wsk_nt::io::request::device_control_until(file, request.code, &request.input, room, false, &give_up);
        let output: String = output.iter().map(|byte| format!("{byte:02x}")).collect();
        say(format_args!("{} {:#010x} {status} {output}", request.device, request.code));
    }
    Ok(())
}

fn wait(time: Option<Duration>, events: &mpsc::Receiver<()>) {
    let _ = match time {
        None => events.recv().ok(),
        Some(time) => events.recv_timeout(time).ok(),
    };
}

/// Unloads in the reverse order. An unload that takes long says what it waits for.
fn unload_all(mut running: Vec<Driver>) -> Result<(), Failure> {
    let mut result = Ok(());
    while let Some(mut driver) = running.pop() {
        let name = driver.name().to_owned();
        let range = driver.base()..driver.base() + driver.size();
        let (done, waiting) = mpsc::channel::<()>();
        let watch = {
            let name = name.clone();
            std::thread::spawn(move || watch(&name, &range, &waiting))
        };
        let unloaded = driver.unload();
        drop(done);
        let _ = watch.join();
        match unloaded {
            Ok(()) => eprintln!("{name} unloaded"),
            Err(error) => result = Err(Failure::new(error.to_string(), "set DriverUnload in DriverEntry")),
        }
    }
    result
}

/// Says what an unload waits for, as long as it does.
fn watch(name: &str, range: &Range<usize>, unloaded: &mpsc::Receiver<()>) {
    while unloaded.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
        eprintln!("{name} is still unloading; it holds:");
        for held in verify::outstanding_in(range) {
            eprintln!("  {}, by {}", held.what, wsk_loader::describe_caller(held.caller));
        }
    }
}
