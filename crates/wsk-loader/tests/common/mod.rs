//! Builds the test drivers (tests/drivers/*.c) with the compilers of spec/loader.md, and runs tests that end in a bug check
//! in a child process.
#![allow(dead_code, unreachable_pub)] // Each test binary uses a part.
#![allow(unsafe_code)] // An allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashSet;
use std::env;
use std::mem::transmute;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use wsk_loader::{Driver, LoadOptions, Loader};

const INSTALL: &str = "apt install gcc-mingw-w64-x86-64 clang lld llvm";

/// A compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compiler {
    /// x86_64-w64-mingw32-gcc: DWARF, no `__try`.
    Gcc,
    /// clang and lld-link, as MSVC's: `__try`, CFG, /GS.
    Clang,
}

pub use Compiler::{Clang, Gcc};

static DIRECTORY: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));
static BUILT: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);

fn run(command: &mut Command) -> String {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("cannot run {:?}: {error}; install the compilers: {INSTALL}", command.get_program()),
    };
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}:\n{text}");
    text
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drivers")
}

/// Import libraries for lld-link: every name that OpenWSK exports, and `extra` of other modules.
pub fn import_library(directory: &Path, dll: &str, names: &[&str]) -> PathBuf {
    let library = directory.join(format!("{dll}.lib"));
    let definition = directory.join(format!("{dll}.def"));
    let text = format!("LIBRARY {dll}\nEXPORTS\n{}\n", names.join("\n"));
    std::fs::write(&definition, text).expect("writes the definition");
    run(Command::new("llvm-dlltool").args(["-m", "i386:x86-64", "-d"]).arg(&definition).arg("-l").arg(&library));
    library
}

/// Names the tests' drivers import that only the tests' own exports have.
const OWN: [&str; 4] = ["TestReport", "TestCall", "TestPanic", "TestNobodyHasThis"];

/// Builds `tests/drivers/NAME.c` with `flags`; the .sys file's path. `from`: DLLs with names to import from them.
pub fn build_with(name: &str, compiler: Compiler, flags: &[&str], from: &[(&str, &[&str])]) -> PathBuf {
    let key = format!("{name}-{compiler:?}{}", flags.concat().replace(['/', ':', '=', ',', '-'], "_")).to_lowercase();
    let directory = DIRECTORY.path().join(&key);
    let output = directory.join(format!("{name}.sys"));
    let mut built = BUILT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if built.contains(&output) {
        return output;
    }
    std::fs::create_dir_all(&directory).expect("creates a directory");
    let source = sources().join(format!("{name}.c"));
    let include = "/usr/x86_64-w64-mingw32/include";
    let (link, compile): (Vec<&str>, Vec<&str>) = flags.iter().partition(|flag| flag.starts_with('/'));
    match compiler {
        Gcc => {
            let mut command = Command::new("x86_64-w64-mingw32-gcc");
            command
                .args(["-O2", "-g", "-fno-stack-protector", "-shared", "-nostdlib", "-I"])
                .arg(format!("{include}/ddk"));
            command.args(["-Wl,--subsystem,native", "-Wl,--entry,DriverEntry", "-Wl,--dynamicbase", "-Wl,--nxcompat"]);
            if !flags.contains(&"-DEXPORTS") {
                command.arg("-Wl,--exclude-all-symbols");
            }
            command.args(&compile).arg(&source).arg("-o").arg(&output);
            let mut own: Vec<(&str, &[&str])> = vec![("ntoskrnl.exe", &OWN)];
            own.extend(from);
            for (dll, names) in own {
                let definition = directory.join(format!("{dll}.def"));
                std::fs::write(&definition, format!("LIBRARY {dll}\nEXPORTS\n{}\n", names.join("\n"))).expect("writes");
                let library = directory.join(format!("lib{dll}.a"));
                run(Command::new("x86_64-w64-mingw32-dlltool").arg("-d").arg(&definition).arg("-l").arg(&library));
                command.arg(library);
            }
            command.args(["-lnetio", "-lntoskrnl", "-lhal", "-lgcc"]);
            run(&mut command);
        }
        Clang => {
            let object = directory.join(format!("{name}.obj"));
            let mut command = Command::new("clang");
            command.args([
                "--target=x86_64-pc-windows-msvc",
                "-fms-extensions",
                "-fms-compatibility",
                "-fgnuc-version=4.2.1",
            ]);
            command.args(["-O2", "-g", "-gcodeview", "-fno-builtin", "-Wno-everything", "-isystem", include]);
            command.arg("-isystem").arg(format!("{include}/ddk")).args(&compile);
            command.arg("-c").arg(&source).arg("-o").arg(&object);
            run(&mut command);
            let exports: Vec<&str> = wsk_nt::export::all().map(|export| export.name).chain(OWN).collect();
            let exports: Vec<&str> = exports.into_iter().chain(["__C_specific_handler", "__chkstk"]).collect();
            let first = from.iter().map(|(dll, names)| import_library(&directory, dll, names));
            let libraries: Vec<PathBuf> = first.chain([import_library(&directory, "ntoskrnl.exe", &exports)]).collect();
            let mut command = Command::new("lld-link");
            command.args(["/driver", "/subsystem:native", "/entry:DriverEntry", "/nodefaultlib", "/debug"]).args(&link);
            command.arg(format!("/out:{}", output.display())).arg(&object).args(&libraries);
            run(&mut command);
        }
    }
    built.insert(output.clone());
    output
}

/// Builds `tests/drivers/NAME.c` with gcc and no import library but those in `flags`.
pub fn build_plainly(name: &str, flags: &[&str]) -> PathBuf {
    let output = DIRECTORY.path().join(format!("{name}-plainly.sys"));
    let mut command = Command::new("x86_64-w64-mingw32-gcc");
    command.args(["-O2", "-fno-stack-protector", "-shared", "-nostdlib", "-I/usr/x86_64-w64-mingw32/include/ddk"]);
    command.args([
        "-Wl,--subsystem,native",
        "-Wl,--entry,DriverEntry",
        "-Wl,--dynamicbase",
        "-Wl,--exclude-all-symbols",
    ]);
    command.arg(sources().join(format!("{name}.c"))).args(flags).arg("-o").arg(&output);
    run(&mut command);
    output
}

/// Builds `tests/drivers/NAME.c`.
pub fn build(name: &str, compiler: Compiler) -> PathBuf {
    build_with(name, compiler, &[], &[])
}

/// The bytes of a built driver.
pub fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("the driver was built")
}

/// Loads a driver built from `tests/drivers/NAME.c`. Drivers of one process need different names: each load gets a number.
pub fn load(loader: &Loader, path: &Path) -> Driver {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let stem = path.file_stem().expect("a file").to_string_lossy();
    let name = format!("{stem}-{}.sys", NEXT.fetch_add(1, Ordering::Relaxed));
    loader.load(&name, &bytes(path), &LoadOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Runs the test `name` of this binary again in a child process, with `WSK_CHILD` set: the part of it that ends the process.
pub fn child(name: &str) -> Output {
    let mut command = Command::new(env::current_exe().expect("this binary"));
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env("WSK_CHILD", "1").stdin(Stdio::null());
    command.output().expect("starts a child")
}

/// Whether this process is such a child.
pub fn is_child() -> bool {
    env::var_os("WSK_CHILD").is_some()
}

/// Runs `in_child` in a child process and expects a bug check: exit status 3. Its stderr.
pub fn bug_check(name: &str, in_child: impl FnOnce()) -> String {
    ends(name, 3, in_child)
}

/// Runs `in_child` in a child process and expects the exit status. Its stderr.
pub fn ends(name: &str, status: i32, in_child: impl FnOnce()) -> String {
    if is_child() {
        in_child();
        panic!("the driver was to stop the system");
    }
    let output = child(name);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(status), "{:?}\n{printed}\n{text}", output.status);
    text
}

/// What the process uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Lines of /proc/self/maps.
    pub mappings: usize,
    /// Bytes of its own that are resident: what files map counts only where it was written.
    pub resident: usize,
    /// Blocks and bytes that Rust code has allocated, if the test counts them ([`Counting`]).
    pub heap: (usize, usize),
    /// Blocks and bytes of the executive's pool.
    pub pool: (usize, usize),
}

impl Footprint {
    /// What is used now.
    pub fn now() -> Footprint {
        let heap = (BLOCKS.load(Ordering::SeqCst), BYTES.load(Ordering::SeqCst));
        let mappings = std::fs::read_to_string("/proc/self/maps").expect("/proc").lines().count();
        // Exact, unlike VmRSS, which the kernel adds up in batches.
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("/proc");
        let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("a line");
        let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        Footprint { mappings, resident: kilobytes << 10, heap, pool: wsk_nt::ex::pool::totals() }
    }
}

static BLOCKS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted: the global allocator of tests that measure.
#[derive(Debug)]
pub struct Counting;

// SAFETY: the system's, as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BLOCKS.fetch_add(1, Ordering::SeqCst);
        BYTES.fetch_add(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BLOCKS.fetch_sub(1, Ordering::SeqCst);
        BYTES.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

/// The executive remembers the blocks that were freed last, up to a limit, and keeps those in use in tables by address: from here
/// on neither takes more memory. Many blocks are in use at a time, so that every table has had some, wherever blocks come to lie.
fn fill_tables() {
    /// More than it remembers.
    const BLOCKS: usize = 20_000;
    let find = |name| wsk_nt::export::all().find(|export| export.name == name).expect("exported").address;
    type Allocate = extern "win64" fn(u32, usize, u32) -> usize;
    // SAFETY: the function of this name.
    let allocate = unsafe { transmute::<*const (), Allocate>(find("ExAllocatePoolWithTag")) };
    // SAFETY: as above.
    let free = unsafe { transmute::<*const (), extern "win64" fn(usize, u32)>(find("ExFreePoolWithTag")) };
    wsk_nt::ke::processor::attach();
    let blocks: Vec<usize> = (0..BLOCKS).map(|_| allocate(0, 16, 1)).collect();
    blocks.into_iter().for_each(|block| free(block, 1));
}

/// Runs `cycle` 1,000 times to warm up and 1,000 times more, and demands that these leave nothing behind: the same mappings, the
/// same blocks of pool and heap, and less than 64 bytes of resident memory a cycle. `transient`: blocks of the heap that come
/// and go with threads which no cycle waits for.
pub fn leaves_nothing(transient: usize, mut cycle: impl FnMut(usize)) {
    const CYCLES: usize = 1000;
    fill_tables();
    // Buffers that the host keeps are used in turn: it takes some 600 cycles until each is resident.
    (0..CYCLES).for_each(&mut cycle);
    let before = Footprint::now();
    (0..CYCLES).for_each(&mut cycle);
    let after = Footprint::now();
    println!("before {before:?}, after {after:?}");
    assert_eq!((before.mappings, before.pool), (after.mappings, after.pool));
    let grown = |before: usize, after: usize| after.saturating_sub(before);
    let (blocks, bytes) = (grown(before.heap.0, after.heap.0), grown(before.heap.1, after.heap.1));
    assert!(blocks <= transient, "{blocks} blocks more: {before:?} {after:?}");
    assert!(bytes <= transient * 256, "{bytes} bytes more: {before:?} {after:?}");
    let resident = grown(before.resident, after.resident);
    assert!(resident < CYCLES * 64, "{resident} bytes more are resident: {before:?} {after:?}");
}

/// Builds a sample of the repository at `root`, `drivers/NAME.c`, with gcc and the project's headers.
pub fn build_sample(root: &Path, name: &str) -> PathBuf {
    let output = DIRECTORY.path().join(format!("{name}.sys"));
    let mut command = Command::new("x86_64-w64-mingw32-gcc");
    command.args([
        "-O2",
        "-g",
        "-fno-stack-protector",
        "-Wno-unknown-pragmas",
        "-Wno-multichar",
        "-shared",
        "-nostdlib",
    ]);
    command.args(["-Wl,--subsystem,native", "-Wl,--entry,DriverEntry", "-Wl,--dynamicbase", "-Wl,--nxcompat"]);
    command.arg("-Wl,--exclude-all-symbols").arg("-isystem").arg(root.join("include"));
    command.args(["-isystem", "/usr/x86_64-w64-mingw32/include/ddk"]).arg(root.join(format!("drivers/{name}.c")));
    command.arg("-o").arg(&output).args(["-lnetio", "-lntoskrnl", "-lhal", "-lgcc"]);
    run(&mut command);
    output
}
