//! Spin locks, lists, lookaside lists, resources, rundown protection, push locks, fast mutexes.
#![allow(unsafe_code)] // Calls exports.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

use super::violations_of;
use crate::ex::fast_mutex::*;
use crate::ex::lookaside::*;
use crate::ex::push_lock::*;
use crate::ex::resource::*;
use crate::ex::rundown::*;
use crate::ex::rw_spin_lock::*;
use crate::ex::slist::*;
use crate::ke::irql;
use crate::ke::spin_lock::*;

/// Runs `body` on four threads at once, each with the address.
fn on_threads<T>(shared: *mut T, body: impl Fn(*mut T) + Sync) {
    let address = shared as usize;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| body(address as *mut T));
        }
    });
}

#[repr(C)]
struct Counter {
    lock: usize,
    count: usize,
}

/// Four threads add under a lock; the plain count shows whether it locks.
fn adds_up(mut with_lock: impl FnMut(*mut Counter) + Send + Sync + Clone) {
    let mut counter = Box::new(Counter { lock: 0, count: 0 });
    let c = &raw mut *counter;
    with_lock(c);
    // SAFETY: under the lock, and alone.
    unsafe { (*c).count = 0 };
    on_threads(c, |c| {
        let mut with_lock = with_lock.clone();
        for _ in 0..2000 {
            with_lock(c);
        }
    });
    assert_eq!(counter.count, 8000);
}

unsafe fn add(counter: *mut Counter) {
    // SAFETY: the caller holds the lock.
    unsafe {
        let count = (&raw mut (*counter).count).read_volatile();
        (&raw mut (*counter).count).write_volatile(count + 1);
    }
}

#[test]
fn locks_exclude() {
    // SAFETY: the locks are the counter's first word.
    unsafe {
        adds_up(|c| {
            let old = KeAcquireSpinLockRaiseToDpc(c.cast());
            assert_eq!((old, irql::current()), (0, 2));
            add(c);
            KeReleaseSpinLock(c.cast(), old);
            assert_eq!(irql::current(), 0);
        });
        adds_up(|c| {
            let mut handle: KLOCK_QUEUE_HANDLE = std::mem::zeroed();
            KeAcquireInStackQueuedSpinLock(c.cast(), &raw mut handle);
            add(c);
            KeReleaseInStackQueuedSpinLock(&raw mut handle);
        });
        adds_up(|c| {
            let old = ExAcquireSpinLockExclusive(c.cast());
            add(c);
            ExReleaseSpinLockExclusive(c.cast(), old);
            let old = ExAcquireSpinLockShared(c.cast());
            ExReleaseSpinLockShared(c.cast(), old);
        });
        adds_up(|c| {
            ExAcquirePushLockExclusiveEx(c.cast(), 0);
            add(c);
            ExReleasePushLockExclusiveEx(c.cast(), 0);
            ExAcquirePushLockSharedEx(c.cast(), 0);
            ExReleasePushLockSharedEx(c.cast(), 0);
        });
    }
}

#[repr(C)]
struct Guarded<L> {
    lock: L,
    counter: Counter,
}

#[test]
fn mutexes_and_resources_exclude() {
    // SAFETY: the locks are ours.
    unsafe {
        let mut guarded: Box<Guarded<FAST_MUTEX>> = Box::new(std::mem::zeroed());
        let g = &raw mut *guarded;
        ExInitializeFastMutex(&raw mut (*g).lock);
        on_threads(g, |g| {
            for _ in 0..1000 {
                ExAcquireFastMutex(&raw mut (*g).lock);
                assert_eq!(irql::current(), 1);
                add(&raw mut (*g).counter);
                ExReleaseFastMutex(&raw mut (*g).lock);
                KeAcquireGuardedMutex(&raw mut (*g).lock);
                add(&raw mut (*g).counter);
                KeReleaseGuardedMutex(&raw mut (*g).lock);
            }
        });
        assert_eq!((guarded.counter.count, guarded.lock.Count), (8000, 1));
        assert_eq!((ExTryToAcquireFastMutex(g.cast()), ExTryToAcquireFastMutex(g.cast())), (1, 0));
        ExReleaseFastMutex(g.cast());

        let mut guarded: Box<Guarded<ERESOURCE>> = Box::new(std::mem::zeroed());
        let g = &raw mut *guarded;
        let r = &raw mut (*g).lock;
        ExInitializeResourceLite(r);
        on_threads(g, |g| {
            let r = &raw mut (*g).lock;
            for _ in 0..500 {
                assert_eq!(ExAcquireResourceExclusiveLite(r, 1), 1);
                assert_eq!(ExAcquireResourceExclusiveLite(r, 1), 1);
                assert_eq!(((*r).ActiveCount, (*r).Flag & 0x80), (2, 0x80));
                add(&raw mut (*g).counter);
                ExReleaseResourceLite(r);
                ExReleaseResourceLite(r);
                assert_eq!(ExAcquireResourceSharedLite(r, 1), 1);
                ExReleaseResourceLite(r);
            }
        });
        assert_eq!(guarded.counter.count, 2000);
        assert_eq!(ExAcquireResourceSharedLite(r, 0), 1);
        let address = r as usize;
        std::thread::spawn(move || {
            let r = address as *mut ERESOURCE;
            assert_eq!((ExAcquireResourceExclusiveLite(r, 0), ExAcquireResourceSharedLite(r, 0)), (0, 1));
            ExReleaseResourceLite(r);
        })
        .join()
        .unwrap();
        ExReleaseResourceLite(r);
        crate::caller::note(0x7474_0001);
        ExReleaseResourceLite(r);
        assert_eq!(violations_of("resource not held", 0x7474_0001), 1);
        ExDeleteResourceLite(r);
    }
}

#[test]
fn releasing_what_is_not_held_is_reported() {
    crate::caller::note(0x7474_1001);
    let (mut lock, mut rundown) = (0usize, 0usize);
    // SAFETY: ours.
    unsafe {
        irql::set(2);
        KeReleaseSpinLock(&raw mut lock, 0);
        assert_eq!(violations_of("spin lock not held", 0x7474_1001), 1);
        ExReleaseRundownProtection(&raw mut rundown);
        assert_eq!(violations_of("rundown protection", 0x7474_1001), 1);
        ExReleasePushLockExclusiveEx(&raw mut lock, 0);
        assert_eq!(violations_of("push lock not held", 0x7474_1001), 1);
    }
}

#[test]
fn rundown_refuses_new_uses_and_waits_for_old_ones() {
    let mut rundown = 0usize;
    let r = &raw mut rundown;
    // SAFETY: ours, and the thread is joined.
    unsafe {
        ExInitializeRundownProtection(r);
        assert_eq!((ExAcquireRundownProtection(r), ExAcquireRundownProtectionEx(r, 2)), (1, 1));
        let done = AtomicBool::new(false);
        let address = r as usize;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                ExWaitForRundownProtectionRelease(address as *mut usize);
                assert!(done.load(Ordering::SeqCst));
            });
            while ExAcquireRundownProtection(r) != 0 {
                ExReleaseRundownProtection(r);
                std::thread::yield_now();
            }
            ExReleaseRundownProtectionEx(r, 2);
            done.store(true, Ordering::SeqCst);
            ExReleaseRundownProtection(r);
        });
        ExInitializeRundownProtection(r);
        assert_eq!(ExAcquireRundownProtection(r), 1);
        ExReleaseRundownProtection(r);
    }
}

#[test]
fn interlocked_lists_lose_nothing() {
    // SAFETY: the list and its entries are ours.
    unsafe {
        let mut header = Box::new(SLIST_HEADER { Alignment: 0, Region: 0 });
        let h = &raw mut *header;
        let mut entries: Vec<SLIST_ENTRY> = (0..64).map(|_| SLIST_ENTRY { Next: std::ptr::null_mut() }).collect();
        InitializeSListHead(h);
        for entry in &mut entries {
            ExpInterlockedPushEntrySList(h, entry);
        }
        assert_eq!((ExQueryDepthSList(h), FirstEntrySList(h)), (64, &raw mut entries[63]));
        on_threads(h, |h| {
            for _ in 0..2000 {
                let entry = ExpInterlockedPopEntrySList(h);
                assert!(!entry.is_null());
                ExpInterlockedPushEntrySList(h, entry);
            }
        });
        assert_eq!(ExQueryDepthSList(h), 64);
        let mut count = 0;
        let mut entry = ExpInterlockedFlushSList(h);
        while !entry.is_null() {
            count += 1;
            entry = (*entry).Next;
        }
        assert_eq!((count, ExQueryDepthSList(h)), (64, 0));
        assert!(ExpInterlockedPopEntrySList(h).is_null());
    }
}

/// ExAllocateFromNPagedLookasideList as mingw's inline does it.
unsafe fn inline_allocate(l: *mut GENERAL_LOOKASIDE_POOL) -> *mut c_void {
    // SAFETY: the test's list.
    unsafe {
        (*l).TotalAllocates += 1;
        let entry = ExpInterlockedPopEntrySList(&raw mut (*l).ListHead);
        if !entry.is_null() {
            return entry.cast();
        }
        (*l).AllocateMisses += 1;
        ((*l).Allocate.Allocate.unwrap())((*l).Type, (*l).Size as usize, (*l).Tag)
    }
}

/// ExFreeToNPagedLookasideList as mingw's inline does it.
unsafe fn inline_free(l: *mut GENERAL_LOOKASIDE_POOL, block: *mut c_void) {
    // SAFETY: the test's list.
    unsafe {
        (*l).TotalFrees += 1;
        if (*l).ListHead.Alignment as u16 >= (*l).Depth {
            (*l).FreeMisses += 1;
            ((*l).Free.Free.unwrap())(block);
        } else {
            ExpInterlockedPushEntrySList(&raw mut (*l).ListHead, block.cast());
        }
    }
}

#[test]
fn lookaside_lists_of_all_kinds_through_inlines_and_exports() {
    let tag = u32::from_le_bytes(*b"Look");
    let before = crate::ex::pool::totals();
    // SAFETY: the lists are ours.
    unsafe {
        let mut old: Box<NPAGED_LOOKASIDE_LIST> = Box::new(std::mem::zeroed());
        let o = &raw mut *old;
        let mut new: Box<LOOKASIDE_LIST_EX> = Box::new(std::mem::zeroed());
        let n = &raw mut *new;
        for paged in [false, true] {
            let initialize = if paged { ExInitializePagedLookasideList } else { ExInitializeNPagedLookasideList };
            initialize(o, None, None, 512, 48, tag, 0);
            assert_eq!(((*o).L.Pool.Type & 1, (*o).L.Pool.Size, (*o).L.Pool.Tag), (u32::from(paged), 48, tag));
            let blocks = [(); 6].map(|()| inline_allocate(&raw mut (*o).L.Pool));
            blocks.into_iter().for_each(|block| inline_free(&raw mut (*o).L.Pool, block));
            assert_eq!(
                (
                    (*o).L.Pool.TotalAllocates,
                    (*o).L.Pool.AllocateMisses,
                    (*o).L.Pool.TotalFrees,
                    (*o).L.Pool.FreeMisses
                ),
                (6, 6, 6, 2)
            );
            ExFlushLookasideListEx(o.cast());
        }
        assert_eq!(ExInitializeLookasideListEx(n, None, None, 512, 0, 48, tag, 0), wsk_abi::NtStatus::SUCCESS);
        let blocks = [(); 6].map(|()| ExAllocateFromLookasideListEx(n));
        blocks.into_iter().for_each(|block| ExFreeToLookasideListEx(n, block));
        assert_eq!(ExQueryDepthSList(&raw mut (*n).L.ListHead), 4);
        let again = ExAllocateFromLookasideListEx(n);
        assert_eq!(((*n).L.AllocateMisses, (*n).L.TotalAllocates), (6, 7));
        ExFreeToLookasideListEx(n, again);
        ExFlushLookasideListEx(n);
    }
    let _ = before;
    assert!(!crate::ex::pool::describe(0).contains("Look"));
}
