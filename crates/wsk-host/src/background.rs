//! Descriptors of aborted connections whose completed sends are still on their way: closed with RST when the peer has
//! acknowledged them, or after a bounded time (F-113, F-162).

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sockopt;
use crate::stats::Stats;

/// How long completed sends hold back the RST.
const PATIENCE: Duration = Duration::from_secs(2);

const FIRST_LOOK: Duration = Duration::from_millis(1);
const SLOWEST_LOOK: Duration = Duration::from_millis(64);

struct Closing {
    fd: OwnedFd,
    deadline: Instant,
    next: Instant,
    step: Duration,
}

/// Aborted connections in the background of a driver.
pub(crate) struct Background {
    closing: Vec<Closing>,
    stats: Arc<Stats>,
}

impl Background {
    pub(crate) fn new(stats: Arc<Stats>) -> Self {
        Self { closing: Vec::new(), stats }
    }

    /// Takes over the descriptor of an aborted connection.
    pub(crate) fn add(&mut self, fd: OwnedFd) {
        let now = Instant::now();
        self.closing.push(Closing { fd, deadline: now + PATIENCE, next: now + FIRST_LOOK, step: FIRST_LOOK });
    }

    /// How long a wait may last before [`Background::run`] is due.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let next = self.closing.iter().map(|closing| closing.next).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Closes what is due. Linux tells nobody when the send queue drains, so this looks with growing intervals.
    pub(crate) fn run(&mut self) {
        if self.closing.is_empty() {
            return;
        }
        let now = Instant::now();
        let stats = &self.stats;
        self.closing.retain_mut(|closing| {
            if now < closing.next {
                return true;
            }
            stats.add(1);
            if now >= closing.deadline || sockopt::unacknowledged(closing.fd.as_fd()) == 0 {
                stats.add(2);
                sockopt::reset_on_close(&closing.fd);
                return false;
            }
            closing.step = (closing.step * 2).min(SLOWEST_LOOK);
            closing.next = (now + closing.step).min(closing.deadline);
            true
        });
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        for closing in &self.closing {
            sockopt::reset_on_close(&closing.fd);
        }
    }
}
