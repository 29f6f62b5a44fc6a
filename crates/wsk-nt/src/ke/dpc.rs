//! Deferred procedure calls (DDI: KDPC): one queue, run in order by one thread at DISPATCH_LEVEL.
#![allow(unsafe_code)] // Reads and writes objects in driver memory, and calls their routines.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::ops::Range;

use parking_lot::{Condvar, Mutex};
use wsk_abi::NtStatus;
use wsk_abi::io::{PROCESSOR_NUMBER, SINGLE_LIST_ENTRY};

use crate::exports;
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::ke::processor;

/// A deferred routine (DDI: KDEFERRED_ROUTINE).
pub type PKDEFERRED_ROUTINE = Option<
    unsafe extern "win64" fn(Dpc: *mut KDPC, Context: *mut c_void, Argument1: *mut c_void, Argument2: *mut c_void),
>;

/// A deferred procedure call (DDI: KDPC).
#[repr(C)]
#[derive(Debug)]
pub struct KDPC {
    /// 19, or 24 if threaded.
    pub Type: u8,
    /// 0 low, 1 medium, 2 high.
    pub Importance: u8,
    /// Target processor.
    pub Number: u16,
    /// Link (not used).
    pub DpcListEntry: SINGLE_LIST_ENTRY,
    /// Not used.
    pub ProcessorHistory: usize,
    /// The routine.
    pub DeferredRoutine: PKDEFERRED_ROUTINE,
    /// Its context.
    pub DeferredContext: *mut c_void,
    /// Argument.
    pub SystemArgument1: *mut c_void,
    /// Argument.
    pub SystemArgument2: *mut c_void,
    /// Not null while queued.
    pub DpcData: *mut c_void,
}

struct Queue {
    waiting: VecDeque<(usize, usize)>,
    /// The routine that runs now.
    running: Option<usize>,
    queued: u64,
    done: u64,
    started: bool,
}

static QUEUE: Mutex<Queue> =
    Mutex::new(Queue { waiting: VecDeque::new(), running: None, queued: 0, done: 0, started: false });
static QUEUED: Condvar = Condvar::new();
static DONE: Condvar = Condvar::new();

/// Queues the DPC unless it is queued; whether it was.
///
/// # Safety
/// `dpc` must be valid until it ran.
pub(crate) unsafe fn queue(dpc: *mut KDPC, first: *mut c_void, second: *mut c_void, caller: usize) -> bool {
    let mut queue = QUEUE.lock();
    // SAFETY: the caller's promise.
    unsafe {
        if !(*dpc).DpcData.is_null() {
            return false;
        }
        (*dpc).DpcData = dpc.cast();
        (*dpc).SystemArgument1 = first;
        (*dpc).SystemArgument2 = second;
    }
    queue.waiting.push_back((dpc as usize, caller));
    queue.queued += 1;
    if !queue.started {
        queue.started = std::thread::Builder::new().name("nt-dpc".into()).spawn(run).is_ok();
    }
    QUEUED.notify_one();
    true
}

fn run() {
    processor::attach();
    let mut queue = QUEUE.lock();
    loop {
        let Some((address, _)) = queue.waiting.pop_front() else {
            QUEUED.wait(&mut queue);
            continue;
        };
        let dpc = address as *mut KDPC;
        // SAFETY: a queued DPC is valid until it ran; once its routine runs it may go away.
        let (routine, context, first, second) = unsafe {
            (*dpc).DpcData = std::ptr::null_mut();
            ((*dpc).DeferredRoutine, (*dpc).DeferredContext, (*dpc).SystemArgument1, (*dpc).SystemArgument2)
        };
        if let Some(routine) = routine {
            queue.running = Some(routine as usize);
            drop(queue);
            irql::set(DISPATCH_LEVEL);
            // SAFETY: the driver's routine, called as the DDI says.
            unsafe { routine(dpc, context, first, second) };
            after_routine(routine as usize);
            queue = QUEUE.lock();
            queue.running = None;
        }
        queue.done += 1;
        DONE.notify_all();
    }
}

fn after_routine(routine: usize) {
    let level = irql::set(DISPATCH_LEVEL);
    if level != DISPATCH_LEVEL {
        let what = format!("a DPC routine returned at {}", irql::name(level));
        crate::verify::violation_by("wrong IRQL", what, routine);
    }
}

/// Routines in the range that are queued or run.
pub(crate) fn pending_in(range: &Range<usize>) -> Vec<(usize, &'static str)> {
    let queue = QUEUE.lock();
    let routine_of = |&(dpc, _): &(usize, usize)| {
        // SAFETY: a queued DPC is valid.
        unsafe { (*(dpc as *const KDPC)).DeferredRoutine.map_or(0, |routine| routine as usize) }
    };
    let waiting = queue.waiting.iter().map(routine_of).map(|routine| (routine, "queued"));
    let running = queue.running.iter().map(|&routine| (routine, "running"));
    waiting.chain(running).filter(|(routine, _)| range.contains(routine)).collect()
}

/// Takes queued DPCs that lie in memory which goes away out of the queue.
pub(crate) fn forget(range: &Range<usize>) -> usize {
    let mut queue = QUEUE.lock();
    let before = queue.waiting.len();
    queue.waiting.retain(|(address, _)| !range.contains(address));
    let gone = before - queue.waiting.len();
    queue.done += gone as u64;
    DONE.notify_all();
    gone
}

/// KeInitializeDpc.
pub(crate) unsafe extern "win64" fn KeInitializeDpc(dpc: *mut KDPC, routine: PKDEFERRED_ROUTINE, context: *mut c_void) {
    // SAFETY: the driver's memory (DDI).
    unsafe {
        std::ptr::write_bytes(dpc, 0, 1);
        (*dpc).Type = 19;
        (*dpc).Importance = 1;
        (*dpc).DeferredRoutine = routine;
        (*dpc).DeferredContext = context;
    }
}

/// KeInsertQueueDpc.
pub(crate) unsafe extern "win64" fn KeInsertQueueDpc(dpc: *mut KDPC, first: *mut c_void, second: *mut c_void) -> u8 {
    // SAFETY: the driver's DPC (DDI).
    u8::from(unsafe { queue(dpc, first, second, crate::caller::current()) })
}

/// KeRemoveQueueDpc.
pub(crate) unsafe extern "win64" fn KeRemoveQueueDpc(dpc: *mut KDPC) -> u8 {
    let mut queue = QUEUE.lock();
    let Some(place) = queue.waiting.iter().position(|&(address, _)| address == dpc as usize) else { return 0 };
    queue.waiting.remove(place);
    queue.done += 1;
    // SAFETY: the driver's DPC (DDI).
    unsafe { (*dpc).DpcData = std::ptr::null_mut() };
    DONE.notify_all();
    1
}

/// KeFlushQueuedDpcs: also waits for timers' DPCs that were queued before.
pub(crate) extern "win64" fn KeFlushQueuedDpcs() {
    irql::at_most(irql::PASSIVE_LEVEL, "KeFlushQueuedDpcs");
    if irql::current() >= DISPATCH_LEVEL {
        // From a DPC it would wait for itself.
        return;
    }
    let mut queue = QUEUE.lock();
    let target = queue.queued;
    while queue.done < target {
        DONE.wait(&mut queue);
    }
}

/// KeRemoveQueueDpcEx: with `wait`, also waits for a run that has begun.
unsafe extern "win64" fn KeRemoveQueueDpcEx(dpc: *mut KDPC, wait: u8) -> u8 {
    // SAFETY: the driver's DPC.
    let removed = unsafe { KeRemoveQueueDpc(dpc) };
    if wait != 0 {
        KeFlushQueuedDpcs();
    }
    removed
}

/// KeSetImportanceDpc.
unsafe extern "win64" fn KeSetImportanceDpc(dpc: *mut KDPC, importance: i32) {
    // SAFETY: the driver's DPC (DDI).
    unsafe { (*dpc).Importance = importance as u8 };
}

/// KeSetTargetProcessorDpc.
unsafe extern "win64" fn KeSetTargetProcessorDpc(dpc: *mut KDPC, number: i8) {
    // SAFETY: the driver's DPC (DDI).
    unsafe { (*dpc).Number = 0x500 + u16::from(number as u8) };
}

/// KeSetTargetProcessorDpcEx.
unsafe extern "win64" fn KeSetTargetProcessorDpcEx(dpc: *mut KDPC, number: *const PROCESSOR_NUMBER) -> NtStatus {
    // SAFETY: the driver's DPC and number (DDI).
    unsafe {
        if (*number).Group != 0 || u32::from((*number).Number) >= processor::count() || (*number).Reserved != 0 {
            return NtStatus::INVALID_PARAMETER;
        }
        (*dpc).Number = 0x500 + u16::from((*number).Number);
    }
    NtStatus::SUCCESS
}

exports! {
    KeInitializeDpc, KeInitializeThreadedDpc = KeInitializeDpc, KeInsertQueueDpc, KeRemoveQueueDpc, KeRemoveQueueDpcEx,
    KeFlushQueuedDpcs, KeSetImportanceDpc, KeSetTargetProcessorDpc, KeSetTargetProcessorDpcEx,
}
