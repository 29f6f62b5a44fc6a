//! The executive: what ntoskrnl, HAL and NETIO export to a driver, as functions of an ordinary Linux process.
//!
//! One module per Windows prefix (`ke`, `io`, `ex`, `mm`, `ob`, `ps`, `rtl`, `zw`, `nmr`). Structures that drivers reach
//! into (IRP, MDL, KEVENT, DEVICE_OBJECT, list heads) have their real layouts; what drivers only pass around is ours.
//!
//! Beside the prefixes:
//! - [`export`]: the table of everything a driver can import from here, by name;
//! - [`caller`]: which driver instruction made the call that is running;
//! - [`bug_check`]: the end, with a report;
//! - [`verify`]: the rules drivers must keep, and who broke one.
#![deny(unsafe_code)]
#![allow(non_snake_case)] // Exports have their C names.

pub mod bug_check;
pub mod caller;
pub mod export;
pub mod ke;
pub mod verify;
