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
    /// By rising number.
    waiting: VecDeque<Queued>,
    /// The routine that runs now, and the number its DPC had.
    running: Option<(usize, u64)>,
    /// The number given last.
    last: u64,
    started: bool,
}

struct Queued {
    dpc: usize,
    number: u64,
}

impl Queue {
    /// Whether a DPC with this number or an earlier one waits or runs.
    fn has_until(&self, number: u64) -> bool {
        let numbers = self.waiting.front().map(|queued| queued.number).into_iter();
        numbers.chain(self.running.map(|(_, number)| number)).any(|pending| pending <= number)
    }
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { waiting: VecDeque::new(), running: None, last: 0, started: false });
static QUEUED: Condvar = Condvar::new();
static DONE: Condvar = Condvar::new();

/// Queues the DPC unless it is queued; whether it was.
///
/// # Safety
/// `dpc` must be valid until it ran.
pub(crate) unsafe fn queue(dpc: *mut KDPC, first: *mut c_void, second: *mut c_void) -> bool {
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
    queue.last += 1;
    let number = queue.last;
    queue.waiting.push_back(Queued { dpc: dpc as usize, number });
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
        let Some(Queued { dpc, number }) = queue.waiting.pop_front() else {
            QUEUED.wait(&mut queue);
            continue;
        };
        let dpc = dpc as *mut KDPC;
        // SAFETY: a queued DPC is valid until it ran; once its routine runs it may go away.
        let (routine, context, first, second) = unsafe {
            (*dpc).DpcData = std::ptr::null_mut();
            ((*dpc).DeferredRoutine, (*dpc).DeferredContext, (*dpc).SystemArgument1, (*dpc).SystemArgument2)
        };
        if let Some(routine) = routine {
            queue.running = Some((routine as usize, number));
            drop(queue);
            irql::set(DISPATCH_LEVEL);
            // SAFETY: the driver's routine, called as the DDI says.
            unsafe { routine(dpc, context, first, second) };
            after_routine(routine as usize);
            queue = QUEUE.lock();
            queue.running = None;
        }
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
    let routine_of = |queued: &Queued| {
        // SAFETY: a queued DPC is valid.
        unsafe { (*(queued.dpc as *const KDPC)).DeferredRoutine.map_or(0, |routine| routine as usize) }
    };
    let waiting = queue.waiting.iter().map(routine_of).map(|routine| (routine, "queued"));
    let running = queue.running.iter().map(|&(routine, _)| (routine, "running"));
    waiting.chain(running).filter(|(routine, _)| range.contains(routine)).collect()
}

/// Takes queued DPCs that lie in memory which goes away out of the queue.
pub(crate) fn forget(range: &Range<usize>) -> usize {
    let mut queue = QUEUE.lock();
    let before = queue.waiting.len();
    queue.waiting.retain(|queued| !range.contains(&queued.dpc));
    let gone = before - queue.waiting.len();
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
    u8::from(unsafe { queue(dpc, first, second) })
}

/// KeRemoveQueueDpc.
pub(crate) unsafe extern "win64" fn KeRemoveQueueDpc(dpc: *mut KDPC) -> u8 {
    let mut queue = QUEUE.lock();
    let Some(place) = queue.waiting.iter().position(|queued| queued.dpc == dpc as usize) else { return 0 };
    queue.waiting.remove(place);
    // SAFETY: the driver's DPC (DDI).
    unsafe { (*dpc).DpcData = std::ptr::null_mut() };
    DONE.notify_all();
    1
}

/// KeFlushQueuedDpcs: until what was queued before, timers' DPCs too, has run or is taken back.
pub(crate) extern "win64" fn KeFlushQueuedDpcs() {
    irql::at_most(irql::PASSIVE_LEVEL, "KeFlushQueuedDpcs");
    if irql::current() >= DISPATCH_LEVEL {
        // From a DPC it would wait for itself.
        return;
    }
    let mut queue = QUEUE.lock();
    let last = queue.last;
    while queue.has_until(last) {
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
