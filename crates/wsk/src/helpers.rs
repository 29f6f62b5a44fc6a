//! A few threads for what may block, or may run client code that does: name lookups, and news that are no socket's.

use std::sync::{Arc, OnceLock, mpsc};

use parking_lot::Mutex;
use wsk_abi::status::NtStatus;

/// Jobs that may block at the same time.
const THREADS: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// Runs a job on a helper.
///
/// # Errors
/// INSUFFICIENT_RESOURCES: there is no helper, nor can one be made.
pub(crate) fn run(job: impl FnOnce() + Send + 'static) -> Result<(), NtStatus> {
    static QUEUE: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let queue = QUEUE.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..THREADS {
            let receiver = receiver.clone();
            let work = move || {
                while let Ok(job) = { receiver.lock().recv() } {
                    job();
                }
            };
            // With fewer threads it only takes longer; with none the send below fails.
            let _ = std::thread::Builder::new().name("wsk helper".into()).spawn(work);
        }
        sender
    });
    queue.send(Box::new(job)).map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)
}
