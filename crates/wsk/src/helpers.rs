//! Threads for what may block, or may run client code that does: name lookups, and news that are no socket's.
//!
//! There is one as long as there is nothing to do but wait, and more while jobs block: none waits behind others that may need it
//! done first.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use wsk_abi::status::NtStatus;

/// Jobs that may block at the same time; later ones wait.
const MOST: usize = 64;

/// How long a thread waits for its next job.
const PATIENCE: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce() + Send>;

struct Helpers {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

static HELPERS: Mutex<Helpers> = Mutex::new(Helpers { jobs: VecDeque::new(), threads: 0, idle: 0 });
static COME: Condvar = Condvar::new();

/// Runs a job on a helper.
///
/// # Errors
/// INSUFFICIENT_RESOURCES: there is no helper, nor can one be made.
pub(crate) fn run(job: impl FnOnce() + Send + 'static) -> Result<(), NtStatus> {
    let mut helpers = HELPERS.lock();
    if helpers.idle <= helpers.jobs.len() && helpers.threads < MOST {
        // One that cannot be made is no harm as long as there are others.
        if std::thread::Builder::new().name("wsk helper".into()).spawn(work).is_ok() {
            helpers.threads += 1;
        } else if helpers.threads == 0 {
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
    }
    helpers.jobs.push_back(Box::new(job));
    drop(helpers);
    COME.notify_one();
    Ok(())
}

/// A helper.
fn work() {
    let mut helpers = HELPERS.lock();
    loop {
        if let Some(job) = helpers.jobs.pop_front() {
            drop(helpers);
            // Its panic was printed, and is its own.
            let _ = catch_unwind(AssertUnwindSafe(job));
            helpers = HELPERS.lock();
            continue;
        }
        helpers.idle += 1;
        let waited = COME.wait_for(&mut helpers, PATIENCE);
        helpers.idle -= 1;
        if waited.timed_out() && helpers.jobs.is_empty() && helpers.threads > 1 {
            helpers.threads -= 1;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_job_does_not_wait_behind_others_that_block() {
        let (sender, done) = mpsc::channel();
        let mut blocked = Vec::new();
        for n in 0..20 {
            let (go_on, wait) = mpsc::channel::<()>();
            let sender = sender.clone();
            run(move || {
                let _ = wait.recv();
                sender.send(n).unwrap();
            })
            .unwrap();
            blocked.push(go_on);
        }
        run(|| panic!("on purpose")).unwrap();
        let last = sender.clone();
        run(move || last.send(20).unwrap()).unwrap();
        assert_eq!(done.recv(), Ok(20), "the others wait");
        // The last begun can be the first to end.
        for (n, go_on) in blocked.into_iter().enumerate().rev() {
            drop(go_on);
            assert_eq!(done.recv(), Ok(n));
        }
    }

    #[test]
    fn more_than_can_block_at_once_are_done_in_the_end() {
        let (sender, done) = mpsc::channel();
        for n in 0..5 * MOST {
            let sender = sender.clone();
            run(move || sender.send(n).unwrap()).unwrap();
        }
        drop(sender);
        let mut all: Vec<usize> = done.iter().collect();
        all.sort_unstable();
        assert_eq!(all, (0..5 * MOST).collect::<Vec<_>>());
        assert!(HELPERS.lock().threads <= MOST);
    }
}
