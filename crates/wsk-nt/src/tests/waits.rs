//! Events, semaphores, mutexes, timers, DPCs, threads, queues, work items.
#![allow(unsafe_code)] // Calls exports.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

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

unsafe extern "win64" fn hold_up(_dpc: *mut KDPC, context: *mut c_void, _first: *mut c_void, _second: *mut c_void) {
    // SAFETY: the test's flags, kept until the DPCs are flushed.
    let [begun, go] = unsafe { &*context.cast::<[AtomicBool; 2]>() };
    begun.store(true, Ordering::SeqCst);
    while !go.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
}

#[test]
fn a_flush_waits_for_what_was_queued_before_it_whatever_is_removed_meanwhile() {
    let flags = [AtomicBool::new(false), AtomicBool::new(false)];
    let mut ticks = ticks(1);
    let null = std::ptr::null_mut();
    // SAFETY: the objects are ours, and flushed before they go.
    unsafe {
        let mut dpcs: [Box<KDPC>; 3] = std::array::from_fn(|_| Box::new(std::mem::zeroed()));
        let [blocker, target, later] = dpcs.each_mut().map(|dpc| &raw mut **dpc);
        KeInitializeDpc(blocker, Some(hold_up), (&raw const flags).cast_mut().cast());
        KeInitializeDpc(target, Some(tick), (&raw mut *ticks).cast());
        KeInitializeDpc(later, Some(tick), (&raw mut *ticks).cast());
        assert_eq!((KeInsertQueueDpc(blocker, null, null), KeInsertQueueDpc(target, null, null)), (1, 1));
        while !flags[0].load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let count = &ticks.count;
        let (begun, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let flushed = scope.spawn(|| {
                begun.store(true, Ordering::SeqCst);
                KeFlushQueuedDpcs();
                ended.store(true, Ordering::SeqCst);
                count.load(Ordering::SeqCst)
            });
            while !begun.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            for _ in 0..20_000 {
                KeInsertQueueDpc(later, null, null);
                assert_eq!(KeRemoveQueueDpc(later), 1);
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                std::thread::yield_now();
            }
            flags[1].store(true, Ordering::SeqCst);
            assert_eq!(flushed.join().unwrap(), 1, "the flush returned before the DPC ran");
        });
        KeFlushQueuedDpcs();
    }
}

#[test]
fn a_thread_that_ends_with_a_mutex_is_reported_and_the_mutex_abandoned() {
    // SAFETY: the objects are ours, and outlive the threads.
    unsafe {
        let mut mutexes: [Box<KMUTANT>; 3] = std::array::from_fn(|_| Box::new(std::mem::zeroed()));
        let [kept, given, recursive] = mutexes.each_mut().map(|mutex| &raw mut **mutex);
        for mutex in [kept, given, recursive] {
            KeInitializeMutex(mutex, 0);
        }
        let all = [Shared(kept), Shared(given), Shared(recursive)];
        std::thread::spawn(move || {
            let [kept, given, recursive] = all;
            crate::caller::note(0x7171_2001);
            for mutex in [&kept, &given, &recursive, &recursive] {
                assert_eq!(wait(mutex.get(), &NOW), NtStatus::SUCCESS);
            }
            KeReleaseMutex(given.get(), 0);
        })
        .join()
        .unwrap();
        // Abandoned, which the wait tells once; then as any mutex.
        for mutex in [kept, recursive] {
            assert_eq!(wait(mutex, std::ptr::null()), NtStatus::ABANDONED_WAIT_0);
            assert_eq!(KeReleaseMutex(mutex, 0), 0);
            assert_eq!(wait(mutex, &NOW), NtStatus::SUCCESS);
            assert_eq!(KeReleaseMutex(mutex, 0), 0);
        }
        assert_eq!(wait(given, &NOW), NtStatus::SUCCESS);
        KeReleaseMutex(given, 0);
        assert_eq!(violations_of("mutex held at thread exit", 0x7171_2001), 2);
        let all = verify::violations();
        let name = format!("{kept:p}");
        assert!(all.iter().any(|violation| violation.what.contains(&name)), "{all:?}");
    }
}

#[test]
fn who_waits_for_a_mutex_gets_it_when_its_owner_ends() {
    let mut mutex: Box<KMUTANT> = Box::new(zeroed_mutex());
    let m = &raw mut *mutex;
    let (mut taken, mut end) = (event(0, 0), event(0, 0));
    let (taken, end) = (&raw mut *taken, &raw mut *end);
    // SAFETY: the objects are ours, and outlive the threads.
    unsafe {
        KeInitializeMutex(m, 0);
        let shared = (Shared(m), Shared(taken), Shared(end));
        let owner = std::thread::spawn(move || {
            let (mutex, taken, end) = shared;
            crate::caller::note(0x7171_3001);
            wait(mutex.get(), std::ptr::null());
            KeSetEvent(taken.get(), 0, 0);
            wait(end.get(), std::ptr::null());
        });
        wait(taken, std::ptr::null());
        KeSetEvent(end, 0, 0);
        let mut objects: [*mut DISPATCHER_HEADER; 2] = [m.cast(), taken.cast()];
        let all = KeWaitForMultipleObjects(2, objects.as_ptr(), 0, 0, 0, 0, std::ptr::null(), std::ptr::null_mut());
        assert_eq!(all, NtStatus::ABANDONED);
        owner.join().unwrap();
        assert_eq!(KeReleaseMutex(m, 0), 0);
        objects.reverse();
        let any = KeWaitForMultipleObjects(2, objects.as_ptr(), 1, 0, 0, 0, &NOW, std::ptr::null_mut());
        assert_eq!(any, NtStatus::SUCCESS);
    }
    assert_eq!(violations_of("mutex held at thread exit", 0x7171_3001), 1);
}

#[test]
fn mutexes_in_memory_that_is_gone_are_forgotten() {
    std::thread::spawn(|| {
        crate::caller::note(0x7171_4001);
        let size = size_of::<KMUTANT>();
        let memory = crate::ex::pool::for_driver(size, b"tumK").cast::<KMUTANT>();
        let image: Box<KMUTANT> = Box::new(zeroed_mutex());
        let image = Box::into_raw(image);
        // SAFETY: ours; the first is not used after it is freed, nor the second once its driver is gone.
        unsafe {
            for mutex in [memory, image] {
                KeInitializeMutex(mutex, 0);
                assert_eq!(wait(mutex, &NOW), NtStatus::SUCCESS);
            }
            crate::ex::pool::ExFreePool(memory.cast());
            let driver = crate::io::driver::create_driver("Mutexes", image as usize..image as usize + size);
            crate::io::driver::delete_driver(driver);
            image.write_bytes(0xFE, 1);
            drop(Box::from_raw(image.cast::<std::mem::MaybeUninit<KMUTANT>>()));
        }
    })
    .join()
    .unwrap();
    assert_eq!(violations_of("mutex held at thread exit", 0x7171_4001), 0);
}

fn zeroed_mutex() -> KMUTANT {
    // SAFETY: valid as zeros.
    unsafe { std::mem::zeroed() }
}
