//! A loaded driver: its life from DriverEntry to DriverUnload.
#![allow(unsafe_code)] // Calls the driver's code.

use std::arch::naked_asm;
use std::fmt;
use std::mem;
use std::ops::Range;
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use wsk_abi::NtStatus;
use wsk_abi::io::UNICODE_STRING;
use wsk_nt::bug_check::{BugCheck, stop};
use wsk_nt::ex::work::wait_until_none_holds;
use wsk_nt::io::driver::{create_driver, delete_driver, reinitialize};
use wsk_nt::io::types::{DRIVER_OBJECT, PDRIVER_INITIALIZE};
use wsk_nt::ke::irql;
use wsk_nt::ps::thread::wait_until_none_in;
use wsk_nt::rtl::dbg;
use wsk_nt::{caller, verify};

use crate::map::Protection;
use crate::module::{self, MissingImport, Module};
use crate::{before_unmap, report, symbol, trap};

/// Why a driver was not unloaded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UnloadError {
    /// It did not start, or has been unloaded.
    #[error("{0} is not running")]
    NotRunning(String),
    /// It has no DriverUnload.
    #[error("{0} cannot be unloaded: its DriverEntry set no DriverUnload")]
    NoUnload(String),
    /// A driver loaded later imports from it.
    #[error("{0} cannot be unloaded while {1} imports from it; unload that first")]
    InUse(String, String),
}

/// Where a driver is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Mapped and bound; nothing of it has run.
    Loaded,
    /// DriverEntry succeeded.
    Running,
    /// DriverEntry failed, or DriverUnload has returned.
    Over,
}

/// A loaded driver. Dropping one that runs leaves it running, mapped for the rest of the process.
pub struct Driver {
    module: Arc<Module>,
    state: State,
    /// Made by `start`.
    object: *mut DRIVER_OBJECT,
}

// SAFETY: the driver object is shared memory of the executive, reached by whichever thread owns this value.
unsafe impl Send for Driver {}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("name", &self.module.name).field("state", &self.state).finish_non_exhaustive()
    }
}

/// A pointer that may go to the thread which runs the driver's routine.
struct Sent<T>(T);

// SAFETY: the routine runs while the owner waits for it.
unsafe impl<T> Send for Sent<T> {}

impl<T> Sent<T> {
    fn get(self) -> T {
        self.0
    }
}

/// Runs `f` on a system thread at PASSIVE_LEVEL, and waits for it.
fn on_system_thread<T>(name: &str, routine: usize, f: impl FnOnce() -> T) -> T {
    let f = Sent(f);
    let thread = std::thread::scope(|scope| {
        let run = move || {
            trap::prepare_thread();
            let result = f.get()();
            let level = irql::set(irql::PASSIVE_LEVEL);
            if level != irql::PASSIVE_LEVEL {
                let what = format!("{name} returned at {}", irql::name(level));
                verify::violation_by("wrong IRQL", what, routine);
            }
            Sent(result)
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn_scoped(scope, run);
        thread.expect("the kernel refuses a thread").join()
    });
    match thread {
        Ok(result) => result.get(),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl Driver {
    pub(crate) fn new(module: Arc<Module>) -> Driver {
        Driver { module, state: State::Loaded, object: ptr::null_mut() }
    }

    /// The file name it was loaded under.
    pub fn name(&self) -> &str {
        &self.module.name
    }

    /// Where the image is.
    pub fn base(&self) -> usize {
        self.module.base()
    }

    /// Bytes of the image in memory.
    pub fn size(&self) -> usize {
        self.module.image.memory.len()
    }

    /// An address of this driver (or of another) in words: `echo.sys!Accept+0x1c (echo.c:120)`.
    pub fn symbolize(&self, address: usize) -> String {
        symbol::describe(address)
    }

    /// The gdb command that tells a debugger of this process the driver's symbols, which are in the file at `path`:
    /// functions and lines of DWARF (mingw, or clang with -gdwarf). Works with gdb 13 of Debian as it is.
    pub fn gdb_line(&self, path: &Path) -> String {
        let offset = (self.base() as u64).wrapping_sub(self.module.image.preferred_base);
        let text = self.module.image.sections.iter().find(|section| section.executable);
        match text {
            Some(section) => {
                let mut line = format!("add-symbol-file {} {:#x}", path.display(), self.base() + section.rva as usize);
                for other in
                    self.module.image.sections.iter().filter(|other| other.rva != section.rva && !other.discardable)
                {
                    line +=
                        &format!(" -s {} {:#x}", other.name.trim_end_matches('\0'), self.base() + other.rva as usize);
                }
                line
            }
            None => format!("add-symbol-file {} -o {offset:#x}", path.display()),
        }
    }

    /// Calls DriverEntry on a system thread at PASSIVE_LEVEL; its status. On failure the driver is over, as on Windows:
    /// DriverUnload is not called. INIT sections are discarded on success.
    ///
    /// # Panics
    ///
    /// If the driver has been started before.
    pub fn start(&mut self) -> NtStatus {
        assert_eq!(self.state, State::Loaded, "a driver is started once");
        if verify::is_on() {
            wsk_nt::mm::memory::add_verified(self.module.range());
        }
        let service = self.module.stem();
        self.object = create_driver(&service, self.module.range());
        if self.object.is_null() {
            return NtStatus::INSUFFICIENT_RESOURCES;
        }
        let mut units: Vec<u16> = registry_path(&service).encode_utf16().chain([0]).collect();
        let bytes = (units.len() * 2) as u16;
        let mut path = UNICODE_STRING { Length: bytes - 2, MaximumLength: bytes, Buffer: units.as_mut_ptr() };
        let start = self.module.base() + self.module.image.entry as usize;
        // SAFETY: the entry point is code of the image (`Image::parse`), and of this type as the DDI says.
        let entry: PDRIVER_INITIALIZE = unsafe { mem::transmute(start) };
        // SAFETY: made above.
        unsafe { (*self.object).DriverInit = entry };
        let (object, path) = (self.object, &raw mut path);
        let status = on_system_thread("DriverEntry", start, || {
            let Some(entry) = entry else { return NtStatus::UNSUCCESSFUL };
            // SAFETY: the driver is mapped, bound, and trusted with the process (crate documentation).
            let status = unsafe { entry(object, path) };
            if status.is_success() {
                // SAFETY: the driver has started.
                unsafe { reinitialize(object) };
            }
            status
        });
        if status.is_success() {
            self.state = State::Running;
            self.discard();
        } else {
            self.end();
        }
        status
    }

    /// Takes the sections for initialization away, so that calls into them are caught.
    fn discard(&self) {
        for section in self.module.image.sections.iter().filter(|section| section.discardable) {
            let _ = self.module.mapping.protect(section.rva as usize, section.size as usize, Protection::NONE);
        }
    }

    /// Calls DriverUnload on a system thread at PASSIVE_LEVEL, and takes the image away.
    ///
    /// # Errors
    ///
    /// [`UnloadError`]; the driver goes on then.
    pub fn unload(&mut self) -> Result<(), UnloadError> {
        let name = || self.module.name.clone();
        if self.state != State::Running {
            return Err(UnloadError::NotRunning(name()));
        }
        if let Some(user) =
            module::all().iter().find(|other| other.uses.iter().any(|used| Arc::ptr_eq(used, &self.module)))
        {
            return Err(UnloadError::InUse(name(), user.name.clone()));
        }
        // SAFETY: made by `start`, given up by `end`.
        let Some(unload) = (unsafe { (*self.object).DriverUnload }) else { return Err(UnloadError::NoUnload(name())) };
        let object = self.object;
        // SAFETY: the driver's own routine, called as the DDI says.
        on_system_thread("DriverUnload", unload as usize, || unsafe { unload(object) });
        self.end();
        Ok(())
    }

    /// The driver is over: what it left behind is reported and stopped, and nothing finds its image any more. What still runs
    /// into it faults.
    fn end(&mut self) {
        self.state = State::Over;
        let range = self.module.range();
        // A thread that told the driver it was done may not have left yet.
        let mut left = wait_until_left(&range, PATIENCE);
        let leaks = verify::outstanding_in(&range);
        if verify::is_on() || !left {
            leaks.into_iter().for_each(|leak| verify::violation_by(leak.rule, leak.what, leak.caller));
        }
        if let Some(stop) = before_unmap::hook() {
            // It may call the driver.
            trap::prepare_thread();
            stop(&range);
            // What it stopped may have woken threads of the driver, and queued work.
            left = wait_until_left(&range, if left { PATIENCE } else { PATIENCE_AGAIN });
        }
        dbg::flush_in(&range);
        // SAFETY: made by `start`; the driver is gone.
        unsafe { delete_driver(self.object) };
        module::remove(&self.module);
        if left {
            let _ = self.module.mapping.protect(0, self.module.mapping.size(), Protection::NONE);
        } else {
            // Threads run in it: Windows would crash; here it stays where it is.
            mem::forget(self.module.clone());
        }
        report::wait_for_report();
    }
}

/// Waits until no thread of the driver runs and no work item holds it.
fn wait_until_left(range: &Range<usize>, patience: Duration) -> bool {
    wait_until_none_in(range, patience) & wait_until_none_holds(range, patience)
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.state == State::Loaded {
            module::remove(&self.module);
        }
    }
}

/// How long a driver's threads may take to end after DriverUnload.
const PATIENCE: Duration = Duration::from_secs(5);
/// And how long again, when what may have held them up is stopped.
const PATIENCE_AGAIN: Duration = Duration::from_secs(1);

/// The key of a service in the registry.
fn registry_path(service: &str) -> String {
    format!("\\Registry\\Machine\\System\\CurrentControlSet\\Services\\{service}")
}

/// Where missing imports lead: R11 holds the note of their stub.
#[unsafe(naked)]
pub(crate) unsafe extern "win64" fn missing_import() {
    naked_asm!("mov rdi, r11", "and rsp, -16", "call {called}", "ud2", called = sym missing_import_called)
}

unsafe extern "C" fn missing_import_called(note: *const MissingImport) -> ! {
    // SAFETY: the stub's note, which lives as long as the module that called.
    let note = unsafe { note.as_ref() };
    let (name, driver) = note.map_or(("?", "?"), |note| (&note.name, &note.driver));
    const ENTRYPOINT_NOT_FOUND: u64 = 0xC000_0139;
    stop(&BugCheck {
        code: 0x1E,
        parameters: [ENTRYPOINT_NOT_FOUND, caller::current() as u64, 0, 0],
        what: format!("{driver} called {name}, which nobody exports"),
        caller: caller::current(),
    })
}
