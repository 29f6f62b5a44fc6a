//! The loader's own exports: what belongs to the image rather than to the executive (structured exceptions, stack probes).
#![allow(unsafe_code)] // A naked routine that drivers call.
#![allow(non_snake_case)] // Exports have their C names.

use std::arch::naked_asm;

use wsk_nt::export::Export;
use wsk_nt::exports;

use crate::unwind::handler;

/// The stack probe before frames of more than a page: stacks are mapped in full. Keeps all registers.
#[unsafe(naked)]
unsafe extern "win64" fn __chkstk() {
    naked_asm!("ret")
}

exports! { __chkstk, _chkstk = __chkstk, ___chkstk_ms = __chkstk }

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Export> {
    EXPORTS.iter().chain(handler::EXPORTS)
}

/// Functions that keep or look at registers which a stub would overwrite: bound without one.
pub(crate) fn is_direct(export: &Export) -> bool {
    all().any(|own| own.address == export.address)
}
