//! The executive: what ntoskrnl, HAL and NETIO export to a driver, as functions of an ordinary Linux process.
//!
//! One module per Windows prefix (`ke`, `io`, `ex`, `mm`, `ob`, `ps`, `rtl`, `zw`, `nmr`, `se`). Structures that drivers
//! reach into (IRP, MDL, KEVENT, DEVICE_OBJECT, list heads) have their real layouts; what drivers only pass around is ours.
//!
//! Beside the prefixes:
//! - [`export`]: the table of everything a driver can import from here, by name;
//! - [`caller`]: which driver instruction made the call that is running;
//! - [`bug_check`]: the end, with a report;
//! - [`verify`]: the rules drivers must keep, and who broke one.
//!
//! # Not here, and why
//!
//! `MmGetSystemRoutineAddress` answers NULL for each of these, and the loader lists those that a driver imports.
//! - `Wsk*`: the subsystem's own border exports them (wsk-npi). `__C_specific_handler`, `RtlCaptureContext`,
//!   `RtlUnwindEx`, `RtlVirtualUnwind`: the loader, which knows the images.
//! - Files on disks (`ZwReadFile`, `ZwQueryInformationFile`, ...): `ZwCreateFile` opens devices only.
//! - Hardware: interrupts, DMA, ports, bus data, device properties and interfaces, `KeIpiGenericCall` (processors are threads
//!   here, and cannot be stopped by each other).
//! - APCs, device queues (`IoStartPacket`), splay-tree generic tables, other processes, silos apart from the host's.
//! - WDF, NDIS, WFP, cng, USBD: other modules of Windows.
//!
//! Here, but less than on Windows:
//! - `SetIpInterfaceEntry`, `MmProtectMdlSystemAddress` and waiting `ZwNotifyChangeKey` answer STATUS_NOT_SUPPORTED; changes
//!   of interfaces and routes are not notified of, beyond the initial notification.
//! - Priorities, affinities and boosts are kept and not acted on; nothing preempts at a raised IRQL.
//! - `SeAccessCheck` grants: everybody is the system. Tracing (`Etw*`, WPP) has no listener and succeeds quietly.
//! - `RtlCaptureStackBackTrace` captures no frames; `RtlNtStatusToDosError` knows the statuses of networking.
#![deny(unsafe_code)]
#![allow(non_snake_case, non_camel_case_types, non_upper_case_globals)] // Exports and structures have their C names.
#![allow(clippy::multiple_unsafe_ops_per_block)] // A block is one step on one structure of the driver; its comment covers the step.

mod addresses;
pub mod bug_check;
pub mod caller;
pub mod ex;
pub mod export;
pub mod io;
pub mod ke;
pub mod mm;
pub mod netio;
pub mod nmr;
pub mod ob;
pub mod ps;
pub mod rtl;
pub mod se;
mod text;
pub mod verify;
pub mod zw;

#[cfg(test)]
mod tests;
