//! Timers (DDI: KTIMER) and the thread that expires them.
#![allow(unsafe_code)] // Reads and writes objects in driver memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Condvar;
use wsk_abi::io::{DISPATCHER_HEADER, LIST_ENTRY};

use crate::addresses::{ADDRESS_HASH, AddressMap};
use crate::exports;
use crate::ke::dpc::{self, KDPC};
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::ke::time;
use crate::ke::wait::{self, initialize, kind};

/// A timer (DDI: KTIMER).
#[repr(C)]
#[derive(Debug)]
pub struct KTIMER {
    /// Signalled when it expired.
    pub Header: DISPATCHER_HEADER,
    /// When it is due, in interrupt time.
    pub DueTime: u64,
    /// Links (not used).
    pub TimerListEntry: LIST_ENTRY,
    /// To be queued at expiry.
    pub Dpc: *mut KDPC,
    /// Processor.
    pub Processor: u16,
    /// Notification (0) or synchronization (1).
    pub TimerType: u16,
    /// Milliseconds.
    pub Period: u32,
}

/// The armed bit of the header's last byte (DISPATCHER_HEADER.Inserted).
const INSERTED: u8 = 0x40;

/// Armed timers, by when they are due.
pub(crate) struct Timers {
    due: BTreeMap<(Instant, u64), *mut KTIMER>,
    armed: AddressMap<Armed>,
    sequence: u64,
}

struct Armed {
    key: (Instant, u64),
    caller: usize,
}

impl Timers {
    pub(crate) const fn new() -> Timers {
        Timers { due: BTreeMap::new(), armed: AddressMap::with_hasher(ADDRESS_HASH), sequence: 0 }
    }

    unsafe fn arm(&mut self, timer: *mut KTIMER, at: Instant, caller: usize) {
        self.sequence += 1;
        let key = (at, self.sequence);
        self.due.insert(key, timer);
        self.armed.insert(timer as usize, Armed { key, caller });
        ARMED.store(self.armed.len(), Ordering::Relaxed);
        // SAFETY: the driver's timer.
        unsafe { (*timer).Header.Reserved1 |= INSERTED };
    }

    unsafe fn disarm(&mut self, timer: *mut KTIMER) -> bool {
        let Some(armed) = self.armed.remove(&(timer as usize)) else { return false };
        self.due.remove(&armed.key);
        ARMED.store(self.armed.len(), Ordering::Relaxed);
        // SAFETY: the driver's timer.
        unsafe { (*timer).Header.Reserved1 &= !INSERTED };
        true
    }

    /// Armed timers that lie in the range or whose DPC routine does: address and who armed it.
    pub(crate) fn armed_in(&self, range: &Range<usize>) -> Vec<(usize, usize)> {
        let concerns = |address: usize, caller: usize| {
            let timer = address as *const KTIMER;
            // SAFETY: armed timers are valid, and so are their DPCs.
            let routine =
                unsafe { (*timer).Dpc.as_ref().and_then(|dpc| dpc.DeferredRoutine).map_or(0, |r| r as usize) };
            range.contains(&address) || range.contains(&caller) || range.contains(&routine)
        };
        let armed = self.armed.iter().map(|(&address, armed)| (address, armed.caller));
        armed.filter(|&(address, caller)| concerns(address, caller)).collect()
    }

    /// Forgets timers that lie in memory that goes away: their addresses.
    pub(crate) fn forget(&mut self, range: &Range<usize>) -> Vec<usize> {
        let gone: Vec<usize> = self.armed.keys().copied().filter(|address| range.contains(address)).collect();
        for address in &gone {
            if let Some(armed) = self.armed.remove(address) {
                self.due.remove(&armed.key);
            }
        }
        ARMED.store(self.armed.len(), Ordering::Relaxed);
        gone
    }
}

/// Armed timers, to be looked at without the lock.
static ARMED: AtomicUsize = AtomicUsize::new(0);

/// Whether a timer is armed.
pub(crate) fn is_any_armed() -> bool {
    ARMED.load(Ordering::Relaxed) != 0
}

static CHANGED: Condvar = Condvar::new();

fn run() {
    crate::ke::processor::attach();
    let mut held = wait::lock();
    loop {
        let now = Instant::now();
        let mut queued = Vec::new();
        while let Some((&(at, _), &timer)) = held.timers.due.first_key_value()
            && at <= now
        {
            // SAFETY: armed timers are valid.
            unsafe {
                let caller = held.timers.armed.get(&(timer as usize)).map_or(0, |armed| armed.caller);
                held.timers.disarm(timer);
                let period = (*timer).Period;
                if period != 0 {
                    let mut next = at + Duration::from_millis(period.into());
                    if next < now {
                        next = now + Duration::from_millis(period.into());
                    }
                    held.timers.arm(timer, next, caller);
                }
                (*timer).Header.SignalState = 1;
                let dpc = (*timer).Dpc;
                held.signalled(timer.cast());
                if !dpc.is_null() {
                    queued.push(dpc);
                }
            }
        }
        for dpc in queued {
            // SAFETY: the DPC of an armed timer; the dispatcher lock orders this before the end of a cancel.
            unsafe { dpc::queue(dpc, std::ptr::null_mut(), std::ptr::null_mut()) };
        }
        match held.timers.due.first_key_value() {
            Some((&(at, _), _)) => {
                CHANGED.wait_until(&mut held, at);
            }
            None => CHANGED.wait(&mut held),
        }
    }
}

fn start() {
    static RUNNING: AtomicBool = AtomicBool::new(false);
    if !RUNNING.swap(true, Ordering::SeqCst) {
        let thread = std::thread::Builder::new().name("nt-timer".into());
        if thread.spawn(run).is_err() {
            RUNNING.store(false, Ordering::SeqCst);
        }
    }
}

/// KeInitializeTimerEx.
pub(crate) unsafe extern "win64" fn KeInitializeTimerEx(timer: *mut KTIMER, kind: i32) {
    let header_kind = if kind == 0 { kind::NOTIFICATION_TIMER } else { kind::SYNCHRONIZATION_TIMER };
    // SAFETY: the driver's memory (DDI).
    unsafe {
        std::ptr::write_bytes(timer, 0, 1);
        initialize(timer.cast(), header_kind, 0, 0);
        (*timer).TimerType = kind as u16;
    }
}

/// KeInitializeTimer.
unsafe extern "win64" fn KeInitializeTimer(timer: *mut KTIMER) {
    // SAFETY: the driver's memory (DDI).
    unsafe { KeInitializeTimerEx(timer, 0) };
}

/// KeSetCoalescableTimer: the tolerance is not made use of.
pub(crate) unsafe extern "win64" fn KeSetCoalescableTimer(
    timer: *mut KTIMER,
    due: i64,
    period: u32,
    _tolerance: u32,
    dpc: *mut KDPC,
) -> u8 {
    irql::at_most(DISPATCH_LEVEL, "KeSetTimer");
    let caller = crate::caller::current();
    start();
    let deadline = wait::deadline(due);
    let mut held = wait::lock();
    // SAFETY: the driver's timer and DPC (DDI).
    unsafe {
        let was_armed = held.timers.disarm(timer);
        (*timer).Header.SignalState = 0;
        (*timer).Dpc = dpc;
        (*timer).Period = period;
        if let Some(at) = deadline {
            let left = at.saturating_duration_since(Instant::now());
            (*timer).DueTime = time::interrupt_time() + (left.as_nanos() / 100) as u64;
            held.timers.arm(timer, at, caller);
            CHANGED.notify_one();
        }
        u8::from(was_armed)
    }
}

/// KeSetTimerEx.
unsafe extern "win64" fn KeSetTimerEx(timer: *mut KTIMER, due: i64, period: i32, dpc: *mut KDPC) -> u8 {
    // SAFETY: the driver's timer and DPC (DDI).
    unsafe { KeSetCoalescableTimer(timer, due, period as u32, 0, dpc) }
}

/// KeSetTimer.
pub(crate) unsafe extern "win64" fn KeSetTimer(timer: *mut KTIMER, due: i64, dpc: *mut KDPC) -> u8 {
    // SAFETY: the driver's timer and DPC (DDI).
    unsafe { KeSetCoalescableTimer(timer, due, 0, 0, dpc) }
}

/// KeCancelTimer: a DPC that is queued already still runs.
pub(crate) unsafe extern "win64" fn KeCancelTimer(timer: *mut KTIMER) -> u8 {
    irql::at_most(DISPATCH_LEVEL, "KeCancelTimer");
    // SAFETY: the driver's timer (DDI).
    u8::from(unsafe { wait::lock().timers.disarm(timer) })
}

exports! { KeInitializeTimer, KeInitializeTimerEx, KeSetTimer, KeSetTimerEx, KeSetCoalescableTimer, KeCancelTimer }
