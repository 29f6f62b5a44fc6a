//! The doorbell: an eventfd that ends the wait of a driver, rung by any thread.
//!
//! Two reasons are kept apart: a ring asked for by the layer above, and a nudge when buffers came back.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};
use wsk_core::transport::Doorbell;

use crate::stats::Stats;

/// A driver's doorbell. The eventfd is watched edge-triggered and never read.
pub(crate) struct Bell {
    fd: OwnedFd,
    rung: AtomicBool,
    nudged: AtomicBool,
    stats: Arc<Stats>,
}

impl Bell {
    pub(crate) fn new(stats: Arc<Stats>) -> std::io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { fd, rung: AtomicBool::new(false), nudged: AtomicBool::new(false), stats })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether it was rung since this was last asked.
    pub(crate) fn take_ring(&self) -> bool {
        self.rung.load(Ordering::Relaxed) && self.rung.swap(false, Ordering::AcqRel)
    }

    /// Ends a wait inside the driver, which goes on waiting if that brings no event.
    pub(crate) fn nudge(&self) {
        if !self.nudged.swap(true, Ordering::AcqRel) {
            self.write();
        }
    }

    /// Arms the nudge again; to be called before looking at what nudges are about.
    pub(crate) fn take_nudge(&self) {
        if self.nudged.load(Ordering::Relaxed) {
            self.nudged.swap(false, Ordering::AcqRel);
        }
    }

    fn write(&self) {
        self.stats.add(1);
        // The counter cannot overflow in practice, and a full one is readable all the same.
        let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
    }
}

impl Doorbell for Bell {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.write();
        }
    }
}
