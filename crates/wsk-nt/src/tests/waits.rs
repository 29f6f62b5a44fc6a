//! Events, semaphores, mutexes, timers, DPCs, threads, queues, work items.
#![allow(unsafe_code)] // Calls exports.

use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use wsk_abi::NtStatus;
use wsk_abi::io::{DISPATCHER_HEADER, KEVENT, LIST_ENTRY};

use super::violations_of;
use crate::ex::work::{ExQueueWorkItem, WORK_QUEUE_ITEM};
use crate::ke::callback::enter_callback;
use crate::ke::dpc::*;
use crate::ke::event::*;
use crate::ke::irql;
use crate::ke::queue::*;
use crate::ke::timer::*;
use crate::ke::wait::{KeReadStateEvent, KeWaitForMultipleObjects, KeWaitForSingleObject};
use crate::ob::handle::{ObReferenceObjectByHandle, ZwClose};
use crate::ps::thread::*;
use crate::{ob, verify};

const NOW: i64 = 0;
const SOON: i64 = -10_000;

/// An object shared with another thread.
struct Shared<T>(*mut T);
// SAFETY: the tests keep the object until the other thread has ended.
unsafe impl<T> Send for Shared<T> {}
impl<T> Shared<T> {
    fn get(&self) -> *mut T {
        self.0
    }
}

unsafe fn wait<T>(object: *mut T, timeout: *const i64) -> NtStatus {
    // SAFETY: the test's object.
    unsafe { KeWaitForSingleObject(object.cast(), 0, 0, 0, timeout) }
}

fn event(kind: i32, state: u8) -> Box<KEVENT> {
    let mut event = Box::new(KEVENT::default());
    // SAFETY: ours.
    unsafe { KeInitializeEvent(&raw mut *event, kind, state) };
    event
}

#[test]
fn events_keep_or_lose_their_signal() {
    // SAFETY: the objects are ours.
    unsafe {
        let mut notification = event(0, 0);
        let e = &raw mut *notification;
        assert_eq!((wait(e, &NOW), wait(e, &SOON)), (NtStatus::TIMEOUT, NtStatus::TIMEOUT));
        assert_eq!((KeSetEvent(e, 0, 0), KeSetEvent(e, 0, 0)), (0, 1));
        assert_eq!((wait(e, &NOW), wait(e, &NOW)), (NtStatus::SUCCESS, NtStatus::SUCCESS));
        assert_eq!((KeResetEvent(e), KeReadStateEvent(e.cast())), (1, 0));
        let mut synchronization = event(1, 1);
        let e = &raw mut *synchronization;
        assert_eq!((wait(e, &NOW), wait(e, &NOW)), (NtStatus::SUCCESS, NtStatus::TIMEOUT));
        assert_eq!((*e).Header.Size, 6);
    }
}

#[test]
fn one_thread_is_let_go_by_a_synchronization_event_all_by_a_notification_event() {
    for kind in [0, 1] {
        let mut gate = event(kind, 0);
        let mut done = Box::new(KSEMAPHORE { Header: DISPATCHER_HEADER::default(), Limit: 0 });
        let (gate, done) = (&raw mut *gate, &raw mut *done);
        // SAFETY: the objects outlive the threads, which are joined.
        unsafe {
            KeInitializeSemaphore(done, 0, 100);
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let (gate, done) = (Shared(gate), Shared(done));
                    std::thread::spawn(move || {
                        wait(gate.get(), std::ptr::null());
                        release_semaphore(done.get(), 1);
                    })
                })
                .collect();
            for round in 0..4 {
                KeSetEvent(gate, 0, 0);
                wait(done, std::ptr::null());
                if kind == 0 {
                    break;
                }
                assert_eq!(KeReadStateEvent(done.cast()), 0, "round {round}");
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    }
}

#[test]
fn all_or_any_of_several() {
    let mut events: Vec<_> = (0..3).map(|_| event(1, 0)).collect();
    let pointers: Vec<*mut DISPATCHER_HEADER> = events.iter_mut().map(|event| (&raw mut **event).cast()).collect();
    let wait_for = |kind: i32, timeout: &i64| {
        // SAFETY: the events are ours.
        unsafe { KeWaitForMultipleObjects(3, pointers.as_ptr(), kind, 0, 0, 0, timeout, std::ptr::null_mut()) }
    };
    let set = |index: usize| {
        // SAFETY: the events are ours.
        unsafe { KeSetEvent(pointers[index].cast(), 0, 0) };
    };
    set(2);
    set(1);
    assert_eq!(wait_for(1, &NOW), NtStatus(1));
    assert_eq!(wait_for(0, &NOW), NtStatus::TIMEOUT);
    set(1);
    set(0);
    assert_eq!(wait_for(0, &NOW), NtStatus::SUCCESS);
    assert_eq!(wait_for(1, &SOON), NtStatus::TIMEOUT);
    let last = Shared(pointers[2]);
    // SAFETY: joined below.
    let setter = std::thread::spawn(move || unsafe { KeSetEvent(last.get().cast(), 0, 0) });
    assert_eq!(wait_for(1, &i64::MAX), NtStatus(2));
    setter.join().unwrap();
}

#[test]
fn semaphores_count_and_mutexes_recurse() {
    // SAFETY: the objects are ours.
    unsafe {
        let mut semaphore = KSEMAPHORE { Header: DISPATCHER_HEADER::default(), Limit: 0 };
        let s = &raw mut semaphore;
        KeInitializeSemaphore(s, 1, 3);
        assert_eq!((release_semaphore(s, 2), release_semaphore(s, 1)), (Some(1), None));
        assert_eq!(
            [0; 4].map(|_| wait(s, &NOW)),
            [NtStatus::SUCCESS, NtStatus::SUCCESS, NtStatus::SUCCESS, NtStatus::TIMEOUT]
        );
        let mut mutex: Box<KMUTANT> = Box::new(std::mem::zeroed());
        let m = &raw mut *mutex;
        KeInitializeMutex(m, 0);
        assert_eq!((wait(m, &NOW), wait(m, &NOW)), (NtStatus::SUCCESS, NtStatus::SUCCESS));
        let other = Shared(m);
        assert_eq!(std::thread::spawn(move || wait(other.get(), &SOON)).join().unwrap(), NtStatus::TIMEOUT);
        assert_eq!((KeReleaseMutex(m, 0), KeReleaseMutex(m, 0)), (-1, 0));
        let other = Shared(m);
        let taken = std::thread::spawn(move || {
            let status = wait(other.get(), &NOW);
            KeReleaseMutex(other.get(), 0);
            status
        });
        assert_eq!(taken.join().unwrap(), NtStatus::SUCCESS);
    }
}

#[repr(C)]
struct Ticks {
    event: KEVENT,
    count: AtomicI32,
    wanted: i32,
    irql: AtomicI32,
}

unsafe extern "win64" fn tick(_dpc: *mut KDPC, context: *mut c_void, first: *mut c_void, _second: *mut c_void) {
    // SAFETY: the test's structure, kept until the DPCs are flushed.
    unsafe {
        let ticks = &*context.cast::<Ticks>();
        ticks.irql.store(i32::from(irql::current()) + first as i32, Ordering::SeqCst);
        if ticks.count.fetch_add(1, Ordering::SeqCst) + 1 == ticks.wanted {
            KeSetEvent((&raw const ticks.event).cast_mut(), 0, 0);
        }
    }
}

fn ticks(wanted: i32) -> Box<Ticks> {
    let mut ticks =
        Box::new(Ticks { event: KEVENT::default(), count: AtomicI32::new(0), wanted, irql: AtomicI32::new(0) });
    // SAFETY: ours.
    unsafe { KeInitializeEvent(&raw mut ticks.event, 0, 0) };
    ticks
}

#[test]
fn timers_signal_and_queue_their_dpc_once_or_periodically() {
    for (period, wanted) in [(0, 1), (1, 5)] {
        let mut ticks = ticks(wanted);
        // SAFETY: the objects are ours, and flushed before they go.
        unsafe {
            let (mut timer, mut dpc): (Box<KTIMER>, Box<KDPC>) =
                (Box::new(std::mem::zeroed()), Box::new(std::mem::zeroed()));
            let (t, d) = (&raw mut *timer, &raw mut *dpc);
            KeInitializeTimerEx(t, 0);
            KeInitializeDpc(d, Some(tick), (&raw mut *ticks).cast());
            assert_eq!(KeSetCoalescableTimer(t, i64::MAX, 0, 0, d), 0);
            assert_eq!(KeSetCoalescableTimer(t, SOON, period, 0, d), 1);
            assert_eq!(wait(t, std::ptr::null()), NtStatus::SUCCESS);
            assert_eq!(wait(&raw mut ticks.event, std::ptr::null()), NtStatus::SUCCESS);
            assert_eq!(KeCancelTimer(t), u8::from(period != 0));
            assert_eq!(KeCancelTimer(t), 0);
            KeFlushQueuedDpcs();
            assert_eq!(ticks.irql.load(Ordering::SeqCst), 2);
        }
    }
}

#[test]
fn a_cancelled_timer_does_not_fire_and_a_queued_dpc_is_queued_once() {
    let mut ticks = ticks(1);
    // SAFETY: the objects are ours, and flushed before they go.
    unsafe {
        let (mut timer, mut dpc): (Box<KTIMER>, Box<KDPC>) =
            (Box::new(std::mem::zeroed()), Box::new(std::mem::zeroed()));
        let (t, d) = (&raw mut *timer, &raw mut *dpc);
        KeInitializeTimerEx(t, 1);
        KeInitializeDpc(d, Some(tick), (&raw mut *ticks).cast());
        KeSetTimer(t, -1_000_000_000, d);
        assert_eq!(KeCancelTimer(t), 1);
        assert_eq!(KeInsertQueueDpc(d, 5 as *mut c_void, std::ptr::null_mut()), 1);
        KeFlushQueuedDpcs();
        assert_eq!((ticks.count.load(Ordering::SeqCst), ticks.irql.load(Ordering::SeqCst)), (1, 7));
        assert_eq!(KeRemoveQueueDpc(d), 0);
    }
}

unsafe extern "win64" fn thread_body(context: *mut c_void) {
    // SAFETY: the test's counter.
    unsafe {
        (*context.cast::<AtomicUsize>()).store(PS_CURRENT() as usize, Ordering::SeqCst);
        PsTerminateSystemThread(NtStatus(7));
        (*context.cast::<AtomicUsize>()).store(1, Ordering::SeqCst);
    }
}

fn PS_CURRENT() -> *mut c_void {
    let thread: *mut c_void;
    // SAFETY: as KeGetCurrentThread does inline.
    unsafe { std::arch::asm!("mov {}, gs:[0x188]", out(reg) thread, options(nostack, readonly)) };
    thread
}

#[test]
fn system_threads_end_where_they_say_and_can_be_waited_for() {
    let seen = AtomicUsize::new(0);
    // SAFETY: the variables are ours, and outlive the thread.
    unsafe {
        let mut handle = std::ptr::null_mut();
        let null = std::ptr::null_mut();
        let context = (&raw const seen).cast_mut().cast();
        assert_eq!(
            PsCreateSystemThread(&raw mut handle, 0, null, null, null.cast(), Some(thread_body), context),
            NtStatus::SUCCESS
        );
        let mut thread = std::ptr::null_mut();
        let not_a_thread =
            ObReferenceObjectByHandle(handle, 0, crate::io::file::kind(), 0, &raw mut thread, std::ptr::null_mut());
        assert_eq!(not_a_thread, NtStatus::OBJECT_TYPE_MISMATCH);
        assert_eq!(
            ObReferenceObjectByHandle(handle, 0, kind(), 0, &raw mut thread, std::ptr::null_mut()),
            NtStatus::SUCCESS
        );
        assert_eq!(ZwClose(handle), NtStatus::SUCCESS);
        assert_eq!(wait(thread, std::ptr::null()), NtStatus::SUCCESS);
        assert_eq!(seen.load(Ordering::SeqCst), thread as usize);
        ob::dereference(thread);
    }
}

#[test]
fn waiting_at_dispatch_level_or_in_a_callback_is_reported() {
    let mut gate = event(0, 0);
    let e = &raw mut *gate;
    crate::caller::note(0x7171_0001);
    // SAFETY: the event is ours.
    unsafe {
        irql::set(2);
        assert_eq!(wait(e, &NOW), NtStatus::TIMEOUT);
        assert_eq!(violations_of("wrong IRQL", 0x7171_0001), 0);
        wait(e, &SOON);
        assert_eq!(violations_of("wrong IRQL", 0x7171_0001), 1);
        let inside = enter_callback("WskReceiveEvent");
        wait(e, &SOON);
        assert_eq!(violations_of("wait inside a callback", 0x7171_0001), 1);
        irql::set(0);
        wait(e, &SOON);
        assert_eq!(violations_of("wait inside a callback", 0x7171_0001), 2);
        wait(e, &NOW);
        drop(inside);
        wait(e, &SOON);
    }
    assert_eq!(violations_of("wait inside a callback", 0x7171_0001), 2);
    assert_eq!(violations_of("wrong IRQL", 0x7171_0001), 1);
}

#[test]
fn what_is_under_way_is_listed() {
    crate::caller::note(0x7171_1001);
    // SAFETY: the objects are ours.
    unsafe {
        let mut timer: Box<KTIMER> = Box::new(std::mem::zeroed());
        let t = &raw mut *timer;
        KeInitializeTimerEx(t, 0);
        KeSetTimer(t, -1_000_000_000, std::ptr::null_mut());
        let range = 0x7171_1000..0x7171_2000;
        let found = verify::outstanding_in(&range);
        assert!(found.iter().any(|leak| leak.rule == "unload with work outstanding"), "{found:?}");
        KeCancelTimer(t);
        assert_eq!(verify::outstanding_in(&range), []);
    }
}

unsafe extern "win64" fn work(parameter: *mut c_void) {
    // SAFETY: the test's event.
    unsafe { KeSetEvent(parameter.cast(), 0, 0) };
}

#[test]
fn work_items_and_queues() {
    let mut done = event(0, 0);
    let e = &raw mut *done;
    // SAFETY: the objects are ours, and outlive their use.
    unsafe {
        let mut item =
            Box::new(WORK_QUEUE_ITEM { List: LIST_ENTRY::default(), WorkerRoutine: Some(work), Parameter: e.cast() });
        ExQueueWorkItem(&raw mut *item, 1);
        wait(e, std::ptr::null());
        let mut queue: Box<KQUEUE> = Box::new(std::mem::zeroed());
        let q = &raw mut *queue;
        KeInitializeQueue(q, 0);
        let mut entries = [LIST_ENTRY::default(); 2];
        let base = entries.as_mut_ptr();
        assert_eq!((KeInsertQueue(q, base), KeInsertQueue(q, base.add(1))), (0, 1));
        assert_eq!((KeRemoveQueue(q, 0, &NOW), KeRemoveQueue(q, 0, &NOW)), (base, base.add(1)));
        assert_eq!(KeRemoveQueue(q, 0, &NOW) as usize, NtStatus::TIMEOUT.0 as usize);
    }
}
