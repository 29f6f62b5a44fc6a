//! Waiting for dispatcher objects. Their state lives in the driver's memory (DISPATCHER_HEADER, SignalState kept right); who
//! waits for what is kept here, behind the one dispatcher lock.
#![allow(unsafe_code)] // Reads and writes the headers of driver memory.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use wsk_abi::NtStatus;
use wsk_abi::io::{DISPATCHER_HEADER, LIST_ENTRY};

use crate::addresses::{ADDRESS_HASH, AddressMap};
use crate::exports;
use crate::ke::timer::Timers;
use crate::ke::{callback, irql, time};
use crate::ps::thread;
use crate::verify;

/// Type bytes of dispatcher headers.
pub(crate) mod kind {
    pub(crate) const SYNCHRONIZATION_EVENT: u8 = 1;
    pub(crate) const MUTANT: u8 = 2;
    pub(crate) const PROCESS: u8 = 3;
    pub(crate) const QUEUE: u8 = 4;
    pub(crate) const SEMAPHORE: u8 = 5;
    pub(crate) const THREAD: u8 = 6;
    pub(crate) const NOTIFICATION_TIMER: u8 = 8;
    pub(crate) const SYNCHRONIZATION_TIMER: u8 = 9;
}

/// A mutant: recursive, owned by a thread (DDI: KMUTEX).
#[repr(C)]
#[derive(Debug)]
pub struct KMUTANT {
    /// 1 when free; 1 minus the holds when owned.
    pub Header: DISPATCHER_HEADER,
    /// Link in the owner's list (not used).
    pub MutantListEntry: LIST_ENTRY,
    /// The owner.
    pub OwnerThread: *mut u8,
    /// Abandoned and flags.
    pub MutantFlags: u8,
    /// Whether APCs are disabled while it is held.
    pub ApcDisable: u8,
}

/// Prepares a header: kind, size of the object in bytes, state.
///
/// # Safety
/// `header` must be the head of an object of at least `size` bytes.
pub(crate) unsafe fn initialize(header: *mut DISPATCHER_HEADER, kind: u8, size: usize, state: i32) {
    // SAFETY: the caller's memory.
    unsafe {
        let list = &raw mut (*header).WaitListHead;
        header.write(DISPATCHER_HEADER {
            Type: kind,
            Signalling: 0,
            Size: (size / 4) as u8,
            Reserved1: 0,
            SignalState: state,
            WaitListHead: LIST_ENTRY { Flink: list, Blink: list },
        });
    }
}

/// MutantFlags: the owner ended without a release.
const ABANDONED: u8 = 1;

/// Who waits, and by which call of the driver.
#[derive(Clone, Copy)]
struct By {
    thread: *mut u8,
    caller: usize,
}

struct Waiter {
    objects: Vec<*mut DISPATCHER_HEADER>,
    all: bool,
    by: By,
    result: Cell<Option<u32>>,
    wake: Condvar,
}

/// What the dispatcher lock guards.
pub(crate) struct Dispatcher {
    queues: AddressMap<Vec<*const Waiter>>,
    pub(crate) timers: Timers,
    pub(crate) owned: Owned,
}

/// The mutants that threads own, by address.
pub(crate) struct Owned(AddressMap<By>);

/// How many there are, to be looked at without the lock.
static OWNED: AtomicUsize = AtomicUsize::new(0);

/// Whether any thread owns a mutant.
pub(crate) fn is_any_owned() -> bool {
    OWNED.load(Ordering::Relaxed) != 0
}

impl Owned {
    fn change<T>(&mut self, change: impl FnOnce(&mut AddressMap<By>) -> T) -> T {
        let result = change(&mut self.0);
        OWNED.store(self.0.len(), Ordering::Relaxed);
        result
    }

    /// The thread owns the mutant from now on.
    pub(crate) fn take(&mut self, mutant: *mut KMUTANT, thread: *mut u8, caller: usize) {
        self.change(|owned| owned.insert(mutant as usize, By { thread, caller }));
    }

    /// Nobody owns the mutant any more.
    pub(crate) fn give_back(&mut self, mutant: *mut KMUTANT) {
        self.change(|owned| owned.remove(&(mutant as usize)));
    }

    /// Forgets mutants that lie in memory that goes away.
    pub(crate) fn forget(&mut self, range: &std::ops::Range<usize>) {
        self.change(|owned| owned.retain(|mutant, _| !range.contains(mutant)));
    }

    /// Takes out what the thread owns: mutants, and the calls they were acquired by.
    fn of(&mut self, thread: *mut u8) -> Vec<(*mut KMUTANT, usize)> {
        let of_thread = |owned: &mut AddressMap<By>| {
            owned
                .extract_if(|_, by| by.thread == thread)
                .map(|(mutant, by)| (mutant as *mut KMUTANT, by.caller))
                .collect()
        };
        self.change(of_thread)
    }
}

// SAFETY: the pointers are to objects of the driver and to waiters on the stacks of threads that wait; they are only
// followed with the lock held, while the waits last.
unsafe impl Send for Dispatcher {}

static DISPATCHER: Mutex<Dispatcher> = Mutex::new(Dispatcher {
    queues: HashMap::with_hasher(ADDRESS_HASH),
    timers: Timers::new(),
    owned: Owned(HashMap::with_hasher(ADDRESS_HASH)),
});

/// The dispatcher lock, held.
pub(crate) type Held = MutexGuard<'static, Dispatcher>;

/// Takes the dispatcher lock.
pub(crate) fn lock() -> Held {
    DISPATCHER.lock()
}

/// Whether a wait of `thread` on the object would be satisfied now.
unsafe fn is_ready(object: *mut DISPATCHER_HEADER, thread: *mut u8) -> bool {
    // SAFETY: objects are valid while they are waited for.
    unsafe {
        (*object).SignalState > 0 || (*object).Type == kind::MUTANT && (*object.cast::<KMUTANT>()).OwnerThread == thread
    }
}

/// What a satisfied wait does to the object; whether it is a mutant that was abandoned.
unsafe fn consume(object: *mut DISPATCHER_HEADER, by: By, owned: &mut Owned) -> bool {
    // SAFETY: as in `is_ready`.
    unsafe {
        match (*object).Type {
            kind::SYNCHRONIZATION_EVENT | kind::SYNCHRONIZATION_TIMER => (*object).SignalState = 0,
            kind::SEMAPHORE | kind::QUEUE => (*object).SignalState -= 1,
            kind::MUTANT => {
                let mutant = object.cast::<KMUTANT>();
                (*object).SignalState -= 1;
                if (*object).SignalState == 0 {
                    owned.take(mutant, by.thread, by.caller);
                }
                (*mutant).OwnerThread = by.thread;
                let flags = (*mutant).MutantFlags;
                (*mutant).MutantFlags = flags & !ABANDONED;
                return flags & ABANDONED != 0;
            }
            _ => {}
        }
    }
    false
}

/// Satisfies a wait if it can be now; its result.
unsafe fn try_satisfy(objects: &[*mut DISPATCHER_HEADER], all: bool, by: By, owned: &mut Owned) -> Option<u32> {
    let status = |abandoned: bool| if abandoned { NtStatus::ABANDONED_WAIT_0.0 } else { NtStatus::WAIT_0.0 };
    // SAFETY: as in `is_ready`.
    unsafe {
        if all {
            if objects.iter().all(|&object| is_ready(object, by.thread)) {
                let abandoned = objects.iter().fold(false, |any, &object| consume(object, by, owned) | any);
                return Some(status(abandoned));
            }
            return None;
        }
        let index = objects.iter().position(|&object| is_ready(object, by.thread))?;
        Some(status(consume(objects[index], by, owned)) + index as u32)
    }
}

impl Dispatcher {
    /// Lets go whom the object's new state satisfies. To be called after every change that signals.
    ///
    /// # Safety
    /// `object` must be a valid header.
    pub(crate) unsafe fn signalled(&mut self, object: *mut DISPATCHER_HEADER) {
        let mut next = 0;
        // SAFETY: waiters in the table wait on their threads' stacks, and their objects are valid.
        unsafe {
            while let Some(&waiter) = self.queues.get(&(object as usize)).and_then(|queue| queue.get(next)) {
                match try_satisfy(&(*waiter).objects, (*waiter).all, (*waiter).by, &mut self.owned) {
                    Some(result) => {
                        (*waiter).result.set(Some(result));
                        self.unlink(waiter);
                        (*waiter).wake.notify_one();
                    }
                    None => next += 1,
                }
                if (*object).SignalState <= 0 {
                    break;
                }
            }
        }
    }

    unsafe fn unlink(&mut self, waiter: *const Waiter) {
        // SAFETY: the waiter is valid while it is in the table.
        for &object in unsafe { &(*waiter).objects } {
            if let Some(queue) = self.queues.get_mut(&(object as usize)) {
                queue.retain(|&other| other != waiter);
                if queue.is_empty() {
                    self.queues.remove(&(object as usize));
                }
            }
        }
    }

    /// Abandons the mutants of a thread that ends: the next waiter gets each. Their addresses, and the calls that acquired them.
    pub(crate) fn abandon(&mut self, thread: *mut u8) -> Vec<(usize, usize)> {
        let mut mutants = self.owned.of(thread);
        // SAFETY: mutants in memory that is gone are forgotten; one on a stack may have been written over.
        unsafe {
            mutants.retain(|&(mutant, _)| (*mutant).Header.Type == kind::MUTANT && (*mutant).OwnerThread == thread);
            for &(mutant, _) in &mutants {
                (*mutant).Header.SignalState = 1;
                (*mutant).OwnerThread = std::ptr::null_mut();
                (*mutant).MutantFlags |= ABANDONED;
                self.signalled(mutant.cast());
            }
        }
        mutants.into_iter().map(|(mutant, caller)| (mutant as usize, caller)).collect()
    }

    /// Whether somebody waits for an object in the range.
    pub(crate) fn is_waited_for(&self, range: std::ops::Range<usize>) -> bool {
        self.queues.keys().any(|address| range.contains(address))
    }
}

/// When a timeout in 100 ns units (negative: relative; else system time) is over; None if its time cannot be told.
pub(crate) fn deadline(timeout: i64) -> Option<Instant> {
    let left =
        if timeout < 0 { timeout.unsigned_abs() } else { timeout.saturating_sub(time::system_time()).max(0) as u64 };
    Instant::now().checked_add(Duration::from_nanos(left.saturating_mul(100)))
}

/// Waits until one or all of the objects are signalled.
///
/// # Safety
/// The objects must be valid dispatcher objects until the wait is over.
pub(crate) unsafe fn wait(
    objects: &[*mut DISPATCHER_HEADER],
    all: bool,
    timeout: Option<i64>,
    function: &'static str,
) -> NtStatus {
    let level = irql::current();
    let inside = callback::current();
    if level >= irql::DISPATCH_LEVEL && timeout != Some(0) {
        match inside {
            Some(name) => report_callback(function, name),
            None => verify::violation("wrong IRQL", format!("{function} waits at {}", irql::name(level))),
        }
    }
    let by = By { thread: thread::current().cast::<u8>(), caller: crate::caller::current() };
    let mut held = lock();
    // SAFETY: the caller's promise.
    if let Some(result) = unsafe { try_satisfy(objects, all, by, &mut held.owned) } {
        return NtStatus(result);
    }
    if timeout == Some(0) {
        return NtStatus::TIMEOUT;
    }
    if let Some(name) = inside
        && level < irql::DISPATCH_LEVEL
    {
        drop(held);
        report_callback(function, name);
        held = lock();
        // SAFETY: the caller's promise.
        if let Some(result) = unsafe { try_satisfy(objects, all, by, &mut held.owned) } {
            return NtStatus(result);
        }
    }
    let deadline = timeout.and_then(deadline);
    let waiter = Waiter { objects: objects.to_vec(), all, by, result: Cell::new(None), wake: Condvar::new() };
    for &object in objects {
        let queue = held.queues.entry(object as usize).or_default();
        if !queue.contains(&(&raw const waiter)) {
            queue.push(&raw const waiter);
        }
    }
    loop {
        let timed_out = match deadline {
            Some(deadline) => waiter.wake.wait_until(&mut held, deadline).timed_out(),
            None => {
                waiter.wake.wait(&mut held);
                false
            }
        };
        if let Some(result) = waiter.result.get() {
            return NtStatus(result);
        }
        if timed_out {
            // SAFETY: still in the table, and valid.
            unsafe { held.unlink(&raw const waiter) };
            return NtStatus::TIMEOUT;
        }
    }
}

fn report_callback(function: &str, callback: &str) {
    verify::violation("wait inside a callback", format!("{function} inside {callback}"));
}

unsafe fn read_timeout(timeout: *const i64) -> Option<i64> {
    // SAFETY: NULL or the driver's variable (DDI).
    (!timeout.is_null()).then(|| unsafe { timeout.read_unaligned() })
}

/// The dispatcher header of what was passed to a wait: objects that are not dispatcher objects are waited for by a part.
unsafe fn header_of(object: *mut DISPATCHER_HEADER) -> *mut DISPATCHER_HEADER {
    // SAFETY: the driver's object; a file object begins with its type and size, 5 and 216, and has its event at 152.
    unsafe {
        let is_file = (*object).Type == 5 && (*object).Signalling == 0 && (*object).Size == 216;
        if is_file { object.wrapping_byte_add(152) } else { object }
    }
}

/// KeWaitForSingleObject.
pub(crate) unsafe extern "win64" fn KeWaitForSingleObject(
    object: *mut DISPATCHER_HEADER,
    _reason: i32,
    _mode: i8,
    _alertable: u8,
    timeout: *const i64,
) -> NtStatus {
    // SAFETY: the driver's object and timeout (DDI).
    unsafe { wait(&[header_of(object)], false, read_timeout(timeout), "KeWaitForSingleObject") }
}

/// KeWaitForMultipleObjects.
pub(crate) unsafe extern "win64" fn KeWaitForMultipleObjects(
    count: u32,
    objects: *const *mut DISPATCHER_HEADER,
    wait_type: i32,
    _reason: i32,
    _mode: i8,
    _alertable: u8,
    timeout: *const i64,
    wait_blocks: *mut u8,
) -> NtStatus {
    let limit = if wait_blocks.is_null() { 3 } else { 64 };
    if count == 0 || count > limit {
        crate::bug_check::bug_check(
            0xC,
            [count.into(), 0, 0, 0],
            format!("MAXIMUM_WAIT_OBJECTS_EXCEEDED: KeWaitForMultipleObjects with {count} objects, {limit} allowed"),
        );
    }
    // SAFETY: the driver's array, objects and timeout (DDI).
    unsafe {
        let objects: Vec<_> =
            std::slice::from_raw_parts(objects, count as usize).iter().map(|&object| header_of(object)).collect();
        wait(&objects, wait_type == 0, read_timeout(timeout), "KeWaitForMultipleObjects")
    }
}

/// KeDelayExecutionThread.
unsafe extern "win64" fn KeDelayExecutionThread(_mode: i8, _alertable: u8, interval: *const i64) -> NtStatus {
    // SAFETY: the driver's variable (DDI).
    let interval = unsafe { interval.read_unaligned() };
    irql::at_most(irql::APC_LEVEL, "KeDelayExecutionThread");
    if interval == 0 {
        std::thread::yield_now();
        return NtStatus::SUCCESS;
    }
    if let Some(name) = callback::current() {
        report_callback("KeDelayExecutionThread", name);
    }
    if let Some(deadline) = deadline(interval) {
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
    }
    NtStatus::SUCCESS
}

/// KeReadStateEvent and its kin: the state of any dispatcher object.
pub(crate) unsafe extern "win64" fn KeReadStateEvent(object: *mut DISPATCHER_HEADER) -> i32 {
    let _held = lock();
    // SAFETY: the driver's object (DDI).
    unsafe { (*object).SignalState }
}

exports! {
    KeWaitForSingleObject, KeWaitForMultipleObjects, KeDelayExecutionThread, KeWaitForMutexObject = KeWaitForSingleObject,
    KeReadStateEvent, KeReadStateMutant = KeReadStateEvent, KeReadStateMutex = KeReadStateEvent,
    KeReadStateSemaphore = KeReadStateEvent, KeReadStateTimer = KeReadStateEvent, KeReadStateQueue = KeReadStateEvent,
}
