//! A small operating system loader: maps compiled Windows x64 kernel drivers into this process, relocates them, binds their
//! imports by name, traps what must be trapped, handles structured exceptions, calls DriverEntry, unloads, and reports bug
//! checks (spec/loader.md has the traps and the cures).
//!
//! ```no_run
//! use wsk_loader::{LoadOptions, Loader};
//!
//! let loader = Loader::new(wsk_nt::export::all());
//! let bytes = std::fs::read("echo.sys")?;
//! let mut driver = loader.load("echo.sys", &bytes, &LoadOptions::default())?;
//! let status = driver.start();
//! println!("DriverEntry returned {status}");
//! driver.unload()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Several drivers live in one process; each may import from those loaded before it. The drivers are native code: they can
//! write anywhere in the process, so run what you would run in your kernel, no less trusted.
//!
//! What is not here, or otherwise than on Windows:
//! - an exception cannot cross OpenWSK: a callback's exception that only a `__try` around the call would take is a bug check, and
//!   so is a fault in OpenWSK itself, except in its memory routines (memcpy and its kin), which fault as if inline;
//! - after a breakpoint or EXCEPTION_CONTINUE_EXECUTION the upper halves of the YMM registers are lost;
//! - page faults at DISPATCH_LEVEL and at kernel addresses are bug checks even under `__try`, as there;
//! - thread-local storage, 32-bit and ARM images, and images without relocations are refused.
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

/// A line on stderr, for reports: an error there (a pipe that nobody reads) must not be another failure.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

mod before_unmap;
mod context;
mod cookie;
mod driver;
mod export;
mod exports;
mod image;
mod import;
mod loader;
mod locate;
mod map;
mod module;
mod open;
mod patch;
mod probe;
mod reloc;
mod report;
mod stub;
mod symbol;
mod trap;
mod unwind;
mod view;

pub use crate::before_unmap::set_before_unmap;
pub use crate::driver::{Driver, UnloadError};
pub use crate::image::{Image, ImageError};
pub use crate::import::Wanted;
pub use crate::loader::{Binding, ImportLine, LoadError, LoadOptions, Loader, Missing};
pub use crate::locate::{describe_address, describe_caller, driver_at};
pub use crate::report::wait_for_report;
pub use crate::trap::{Counters, counters};
