//! `wsk build`: compiles a driver on Linux, with mingw gcc or with clang and lld, against the project's own headers.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use crate::Failure;

/// Compile C files to a driver
///
/// The headers of the kernel interface are the compiler's own, with wsk.h and what else they lack from this program. Trace
/// headers (NAME.tmh) that a source includes are replaced by ones in which tracing is nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The sources
    #[arg(required = true)]
    sources: Vec<PathBuf>,
    /// The driver to write
    #[arg(short, long, value_name = "X.sys")]
    output: PathBuf,
    /// Which compiler; clang knows __try [default: gcc if it is there]
    #[arg(long)]
    compiler: Option<Compiler>,
    /// Further arguments for the compiler: -DNAME, -Idirectory, -O0
    #[arg(last = true)]
    flags: Vec<String>,
}

/// A compiler that makes Windows drivers on Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compiler {
    /// x86_64-w64-mingw32-gcc
    Gcc,
    /// clang and lld-link
    Clang,
}

/// Header files, by their path below `include/`.
const HEADERS: [(&str, &str); 12] = [
    ("mswsockdef.h", include_str!("../../../include/mswsockdef.h")),
    ("netiodef.h", include_str!("../../../include/netiodef.h")),
    ("netioddk.h", include_str!("../../../include/netioddk.h")),
    ("ntddk.h", include_str!("../../../include/ntddk.h")),
    ("ntifs.h", include_str!("../../../include/ntifs.h")),
    ("openwsk/after_ddk.h", include_str!("../../../include/openwsk/after_ddk.h")),
    ("openwsk/base.h", include_str!("../../../include/openwsk/base.h")),
    ("openwsk/before_ddk.h", include_str!("../../../include/openwsk/before_ddk.h")),
    ("wdm.h", include_str!("../../../include/wdm.h")),
    ("ws2def.h", include_str!("../../../include/ws2def.h")),
    ("ws2ipdef.h", include_str!("../../../include/ws2ipdef.h")),
    ("wsk.h", include_str!("../../../include/wsk.h")),
];

/// What tracing becomes.
const TRACE_HEADER: &str = "\
#pragma once
#define WPP_INIT_TRACING(...)
#define WPP_CLEANUP(...)
#define DoTraceMessage(...) ((void)0)
#define DoTraceLevelMessage(...) ((void)0)
#define TraceEvents(...) ((void)0)
";

/// Reports name the function that called: it must not have jumped away by then.
const NO_TAIL_CALLS: &str = "-fno-optimize-sibling-calls";

/// Where Debian's mingw-w64 has its headers and libraries.
const MINGW: &str = "/usr/x86_64-w64-mingw32";

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let compiler = args.compiler.map_or_else(choose, Ok)?;
    let sources: Vec<&Path> = args.sources.iter().map(PathBuf::as_path).collect();
    compile(&sources, &args.output, compiler, &args.flags)?;
    eprintln!("{} written", args.output.display());
    Ok(())
}

/// The compiler that is there.
pub(crate) fn choose() -> Result<Compiler, Failure> {
    [Compiler::Gcc, Compiler::Clang].into_iter().find(|compiler| missing(*compiler).is_none()).ok_or_else(|| {
        Failure::new("no compiler for Windows drivers is installed", "sudo apt install gcc-mingw-w64-x86-64")
    })
}

/// The tool that is missing for a compiler, if one is.
fn missing(compiler: Compiler) -> Option<&'static str> {
    let tools: &[&str] = match compiler {
        Compiler::Gcc => &["x86_64-w64-mingw32-gcc", "x86_64-w64-mingw32-dlltool"],
        Compiler::Clang => &["clang", "lld-link", "llvm-dlltool", "llvm-nm"],
    };
    let lacks = |tool: &&&str| Command::new(tool).arg("--version").output().is_err();
    let headers = || (!Path::new(MINGW).join("include/ddk/wdm.h").is_file()).then_some("the mingw-w64 headers");
    tools.iter().find(lacks).copied().or_else(headers)
}

/// Compiles `sources` to one driver.
pub(crate) fn compile(sources: &[&Path], output: &Path, compiler: Compiler, flags: &[String]) -> Result<(), Failure> {
    if let Some(tool) = missing(compiler) {
        let packages = match compiler {
            Compiler::Gcc => "gcc-mingw-w64-x86-64",
            Compiler::Clang => "clang lld llvm gcc-mingw-w64-x86-64",
        };
        return Err(Failure::new(format!("{tool} is not installed"), format!("sudo apt install {packages}")));
    }
    for source in sources {
        if !source.is_file() {
            return Err(Failure::new(format!("there is no file {}", source.display()), "name C files that exist"));
        }
    }
    let directory = tempfile::tempdir().map_err(|error| cannot("make a temporary directory", &error))?;
    let work = directory.path();
    write_headers(sources, work).map_err(|error| cannot("write the headers", &error))?;
    match compiler {
        Compiler::Gcc => gcc(sources, output, flags, work),
        Compiler::Clang => clang(sources, output, flags, work),
    }
}

fn cannot(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot {what}: {error}"), "see that there is room in the temporary directory (TMPDIR)")
}

/// The project's headers, and a stand-in for each trace header that a source includes.
fn write_headers(sources: &[&Path], work: &Path) -> std::io::Result<()> {
    for (path, text) in HEADERS {
        let path = work.join("include").join(path);
        fs::create_dir_all(path.parent().expect("below the directory"))?;
        fs::write(path, text)?;
    }
    for source in sources {
        let text = fs::read(source)?;
        for line in String::from_utf8_lossy(&text).lines() {
            let included = line.trim_start().strip_prefix("#include").map(str::trim);
            let name = included.and_then(|name| name.strip_prefix('"')?.split_once('"')).map(|(name, _)| name);
            if let Some(name) = name.filter(|name| name.ends_with(".tmh") && !name.contains('/')) {
                fs::write(work.join("include").join(name), TRACE_HEADER)?;
            }
        }
    }
    Ok(())
}

/// What drivers can import from here, and the module that Windows has it in.
fn exports() -> Vec<(&'static str, &'static str, bool)> {
    use wsk_nt::export::Kind;
    let all = crate::run::exports().map(|export| {
        let netio = export.name.starts_with("Wsk") || export.name.starts_with("Nmr");
        (if netio { "NETIO.SYS" } else { "ntoskrnl.exe" }, export.name, export.kind == Kind::Data)
    });
    all.collect()
}

/// A module definition file of everything that is imported from `module`.
fn definition(module: &str, names: &[(&str, bool)]) -> String {
    let mut text = format!("LIBRARY {module}\nEXPORTS\n");
    for (name, data) in names {
        let _ = writeln!(text, "{name}{}", if *data { " DATA" } else { "" });
    }
    text
}

/// Import libraries made by `tool`, one per module; their paths.
fn import_libraries(work: &Path, tool: &str, suffix: &str, further: &[String]) -> Result<Vec<PathBuf>, Failure> {
    let exports = exports();
    let mut libraries = Vec::new();
    for module in ["NETIO.SYS", "ntoskrnl.exe"] {
        let ours = exports.iter().filter(|(in_module, ..)| *in_module == module).map(|(_, name, data)| (*name, *data));
        let mut names: Vec<(&str, bool)> = ours.collect();
        if module == "ntoskrnl.exe" {
            names.extend(further.iter().map(|name| (name.as_str(), false)));
        }
        let (def, lib) = (work.join(format!("{module}.def")), work.join(format!("{module}{suffix}")));
        fs::write(&def, definition(module, &names)).map_err(|error| cannot("write an import library", &error))?;
        let mut command = Command::new(tool);
        command.args(["-m", "i386:x86-64", "-d"]).arg(&def).arg("-l").arg(&lib);
        execute(&mut command)?;
        libraries.push(lib);
    }
    Ok(libraries)
}

fn gcc(sources: &[&Path], output: &Path, flags: &[String], work: &Path) -> Result<(), Failure> {
    let libraries = import_libraries(work, "x86_64-w64-mingw32-dlltool", ".a", &[])?;
    let mut command = Command::new("x86_64-w64-mingw32-gcc");
    command.args(["-O2", "-g", "-Wall", "-Wno-unknown-pragmas", "-Wno-multichar", "-fno-stack-protector"]);
    command.args([
        NO_TAIL_CALLS,
        "-shared",
        "-nostdlib",
        "-Wl,--subsystem,native",
        "-Wl,--entry,DriverEntry",
        "-Wl,--dynamicbase",
    ]);
    command.args(["-Wl,--nxcompat", "-Wl,--exclude-all-symbols"]);
    command.arg("-isystem").arg(work.join("include")).arg("-isystem").arg(Path::new(MINGW).join("include/ddk"));
    command.args(flags).args(sources).arg("-o").arg(output);
    // What is not there at run time still links: `wsk imports` tells.
    command.args(&libraries).args(["-lnetio", "-lntoskrnl", "-lhal", "-lgcc"]);
    execute(&mut command)
}

fn clang(sources: &[&Path], output: &Path, flags: &[String], work: &Path) -> Result<(), Failure> {
    let mut objects = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let object = work.join(format!("{index}.obj"));
        let mut command = Command::new("clang");
        command.args([
            "--target=x86_64-pc-windows-msvc",
            "-fms-extensions",
            "-fms-compatibility",
            "-fgnuc-version=4.2.1",
        ]);
        command.args([
            "-O2",
            "-gdwarf",
            "-Wno-multichar",
            "-Wno-pragma-pack",
            "-Wno-microsoft",
            "-Wno-ignored-attributes",
        ]);
        command.args([NO_TAIL_CALLS, "-Wno-unknown-pragmas", "-Wno-nonportable-include-path"]);
        command.arg("-isystem").arg(work.join("include"));
        command.arg("-isystem").arg(Path::new(MINGW).join("include/ddk"));
        command.arg("-isystem").arg(Path::new(MINGW).join("include"));
        command.args(flags).arg("-c").arg(source).arg("-o").arg(&object);
        execute(&mut command)?;
        objects.push(object);
    }
    let libraries = import_libraries(work, "llvm-dlltool", ".lib", &mingw_names()?)?;
    let mut command = Command::new("lld-link");
    command.args(["/driver", "/subsystem:native", "/entry:DriverEntry", "/nodefaultlib", "/debug:dwarf"]);
    command.arg(format!("/out:{}", output.display())).args(&objects).args(&libraries);
    execute(&mut command)
}

/// Names that mingw's import libraries have and we do not: what is not there at run time still links.
fn mingw_names() -> Result<Vec<String>, Failure> {
    let exports = exports();
    let mut names = Vec::new();
    for library in ["libntoskrnl.a", "libhal.a", "libnetio.a"] {
        let mut command = Command::new("llvm-nm");
        command.args(["--defined-only", "--format=posix"]).arg(Path::new(MINGW).join("lib").join(library));
        for line in output(&mut command)?.lines() {
            let mut words = line.split_whitespace();
            if let (Some(name), Some("T")) = (words.next(), words.next())
                && !exports.iter().any(|(_, ours, _)| *ours == name)
            {
                names.push(name.to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn execute(command: &mut Command) -> Result<(), Failure> {
    output(command).map(drop)
}

/// Runs a tool. What it says goes to stderr.
fn output(command: &mut Command) -> Result<String, Failure> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| Failure::new(format!("cannot run {tool}: {error}"), "see that it is installed"))?;
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Failure::new(format!("{tool} failed ({})", output.status), "see what it said above"))
}
