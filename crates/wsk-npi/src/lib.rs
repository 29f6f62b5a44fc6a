//! The C interface of the subsystem: what wsk.h promises, over the provider of the [`wsk`] crate.
//!
//! A client is a compiled driver, or a C program built on Linux: both call `extern "win64"` functions through the same
//! dispatch tables. What happens to a call:
//!
//! 1. a *slot* of a dispatch table (`dispatch_*`) notes who called;
//! 2. [`border`] turns raw pointers into checked values, and copies what the specification says is copied (functions.md 2.6);
//! 3. the request goes to the socket of the [`wsk`] crate, with the client's MDL chain as its memory ([`memory`]);
//! 4. [`completion`] ends the IRP as the I/O manager would, with what came out (functions.md 2.2).
//!
//! The other way, [`callback`] calls the client's event callbacks, with [`indication`]s that a client may take apart.
//! [`registration`] has the exports: WskRegister and its companions. Through the network module registrar, [`nmr`] is what WSK
//! offers to its clients, and [`transport`] what transports offer to WSK.
#![deny(unsafe_code)]
#![allow(non_snake_case)] // C names verbatim.

mod border;
mod callback;
mod client;
mod completion;
mod control_client;
mod control_socket;
mod dispatch;
mod indication;
mod ioctl;
mod memory;
mod names;
mod nmr;
mod pool;
mod registration;
mod socket;
mod transport;

pub use client::{abandon, provider, set_provider};
pub use ioctl::{Ioctl, TABLE as IOCTLS};
pub use nmr::{load_provider, unload_provider};
pub use transport::TransportModule;

/// Everything that drivers import from here. Where the executive exports the same name, this is the one to bind.
pub fn exports() -> impl Iterator<Item = &'static wsk_nt::export::Export> {
    registration::EXPORTS.iter().chain(nmr::EXPORTS)
}
