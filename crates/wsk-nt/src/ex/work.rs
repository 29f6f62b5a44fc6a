//! Work items of the executive (DDI: ExQueueWorkItem) and the worker threads, which IoQueueWorkItem uses too.
#![allow(unsafe_code)] // Calls routines of the driver.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::ops::Range;

use parking_lot::{Condvar, Mutex};
use wsk_abi::io::LIST_ENTRY;

use crate::exports;
use crate::ke::irql::{self, DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::ke::processor;
use crate::verify;

/// DDI: WORK_QUEUE_ITEM.
#[repr(C)]
#[derive(Debug)]
pub struct WORK_QUEUE_ITEM {
    /// Its forward link is not NULL while queued.
    pub List: LIST_ENTRY,
    /// The routine.
    pub WorkerRoutine: Option<unsafe extern "win64" fn(*mut c_void)>,
    /// Its argument.
    pub Parameter: *mut c_void,
}

/// Something for a worker thread: at PASSIVE_LEVEL, with nothing held.
pub(crate) struct Job {
    /// The driver's routine, for reports.
    pub(crate) routine: usize,
    /// Whether the item holds its driver in memory until the routine has returned (IoQueueWorkItem does).
    pub(crate) holds: bool,
    pub(crate) run: Box<dyn FnOnce() + Send>,
}

struct Pool {
    jobs: VecDeque<Job>,
    /// Routines that run, and whether each holds its driver.
    running: Vec<(usize, bool)>,
    idle: usize,
    threads: usize,
}

const THREADS: usize = 64;
static POOL: Mutex<Pool> = Mutex::new(Pool { jobs: VecDeque::new(), running: Vec::new(), idle: 0, threads: 0 });
static QUEUED: Condvar = Condvar::new();
static DONE: Condvar = Condvar::new();

/// Gives a job to a worker thread; one is started if none is idle.
pub(crate) fn submit(job: Job) {
    let mut pool = POOL.lock();
    pool.jobs.push_back(job);
    if pool.idle < pool.jobs.len() && pool.threads < THREADS {
        let worker = std::thread::Builder::new().name("nt-worker".into());
        if worker.spawn(work).is_ok() {
            pool.threads += 1;
        }
    }
    QUEUED.notify_one();
}

fn work() {
    processor::attach();
    let mut pool = POOL.lock();
    loop {
        let Some(job) = pool.jobs.pop_front() else {
            pool.idle += 1;
            QUEUED.wait(&mut pool);
            pool.idle -= 1;
            continue;
        };
        pool.running.push((job.routine, job.holds));
        drop(pool);
        (job.run)();
        let level = irql::set(PASSIVE_LEVEL);
        if level != PASSIVE_LEVEL {
            verify::violation_by("wrong IRQL", format!("a work item returned at {}", irql::name(level)), job.routine);
        }
        pool = POOL.lock();
        if let Some(at) = pool.running.iter().position(|&running| running == (job.routine, job.holds)) {
            pool.running.swap_remove(at);
        }
        DONE.notify_all();
    }
}

/// Routines in the range that are queued or run.
pub(crate) fn pending_in(range: &Range<usize>) -> Vec<(usize, &'static str)> {
    let pool = POOL.lock();
    let queued = pool.jobs.iter().map(|job| (job.routine, "queued"));
    let running = pool.running.iter().map(|&(routine, _)| (routine, "running"));
    queued.chain(running).filter(|(routine, _)| range.contains(routine)).collect()
}

/// Waits until no work item that holds its driver has its routine in the range; `false` if that takes too long. For an
/// unload, which those items put off.
pub fn wait_until_none_holds(range: &Range<usize>, timeout: std::time::Duration) -> bool {
    let deadline = std::time::Instant::now() + timeout;
    let mut pool = POOL.lock();
    loop {
        let queued = pool.jobs.iter().map(|job| (job.routine, job.holds));
        if !queued.chain(pool.running.iter().copied()).any(|(routine, holds)| holds && range.contains(&routine)) {
            return true;
        }
        if DONE.wait_until(&mut pool, deadline).timed_out() {
            return false;
        }
    }
}

struct Item(*mut WORK_QUEUE_ITEM);

// SAFETY: the item is the worker's while it is queued (DDI).
unsafe impl Send for Item {}

impl Item {
    fn run(self) {
        // SAFETY: the driver's item; its routine may free it, so it is not touched after.
        unsafe {
            let (routine, parameter) = ((*self.0).WorkerRoutine, (*self.0).Parameter);
            (*self.0).List.Flink = std::ptr::null_mut();
            if let Some(routine) = routine {
                routine(parameter);
            }
        }
    }
}

/// ExQueueWorkItem.
pub(crate) unsafe extern "win64" fn ExQueueWorkItem(item: *mut WORK_QUEUE_ITEM, _queue: i32) {
    irql::at_most(DISPATCH_LEVEL, "ExQueueWorkItem");
    // SAFETY: the driver's item (DDI).
    unsafe {
        if !(*item).List.Flink.is_null() {
            verify::violation("work item queued twice", "ExQueueWorkItem of an item that is queued");
            return;
        }
        (*item).List.Flink = (&raw mut (*item).List).cast();
        let routine = (*item).WorkerRoutine.map_or(0, |routine| routine as usize);
        let item = Item(item);
        submit(Job { routine, holds: false, run: Box::new(move || item.run()) });
    }
}

exports! { ExQueueWorkItem }
