//! The completion walk, cancellation, cancel-safe queues, remove locks.
#![allow(unsafe_code)] // Calls exports.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use wsk_abi::NtStatus;
use wsk_abi::io::PDEVICE_OBJECT;
use wsk_abi::irp::*;

use super::violations_of;
use crate::io::cancel::{IoCancelIrp, IoReleaseCancelSpinLock, is_cancelled, set_cancel_routine};
use crate::io::complete::{complete_request, set_completion_routine};
use crate::io::csq::*;
use crate::io::irp::*;
use crate::io::remove_lock::*;

/// What a completion routine saw.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Seen {
    pending: u8,
    device: usize,
    location: i8,
}

struct Level {
    seen: Vec<Seen>,
    answer: NtStatus,
}

fn level(answer: NtStatus) -> Box<Level> {
    Box::new(Level { seen: Vec::new(), answer })
}

unsafe extern "win64" fn on_complete(device: PDEVICE_OBJECT, irp: *mut IRP, context: *mut c_void) -> NtStatus {
    // SAFETY: the test's level and IRP.
    unsafe {
        let level = &mut *context.cast::<Level>();
        level.seen.push(Seen {
            pending: (*irp).PendingReturned,
            device: device as usize,
            location: (*irp).CurrentLocation,
        });
        if (*irp).PendingReturned != 0
            && level.answer != NtStatus::MORE_PROCESSING_REQUIRED
            && (*irp).CurrentLocation <= (*irp).StackCount
        {
            (*current_location(irp)).Control |= SL_PENDING_RETURNED;
        }
        level.answer
    }
}

unsafe fn set(irp: *mut IRP, level: &mut Level, success: bool, error: bool, cancel: bool) {
    // SAFETY: the test's IRP.
    unsafe { set_completion_routine(irp, Some(on_complete), std::ptr::from_mut(level).cast(), success, error, cancel) };
}

#[test]
fn a_fresh_irp_has_its_fields_where_drivers_look() {
    // SAFETY: the IRP is ours.
    unsafe {
        let irp = IoAllocateIrp(2, 0);
        assert_eq!(((*irp).Type, (*irp).Size, (*irp).StackCount, (*irp).CurrentLocation), (6, 208 + 144, 2, 3));
        assert_eq!((*irp).Tail.Overlay.CurrentStackLocation as usize, irp as usize + 208 + 144);
        enter_next_location(irp);
        assert_eq!((current_location(irp) as usize, (*irp).CurrentLocation), (irp as usize + 208 + 72, 2));
        (*irp).IoStatus.Status = NtStatus::CANCELLED;
        IoReuseIrp(irp, NtStatus::SUCCESS);
        assert_eq!(((*irp).CurrentLocation, (*irp).IoStatus.Status), (3, NtStatus::SUCCESS));
        IoFreeIrp(irp);
        assert!(IoAllocateIrp(-1, 0).is_null());
    }
}

// F-44
#[test]
fn an_irp_of_one_location_comes_back_with_a_null_device() {
    let mut owner = level(NtStatus::MORE_PROCESSING_REQUIRED);
    // SAFETY: the IRP is ours.
    unsafe {
        let irp = IoAllocateIrp(1, 0);
        for pending in [0, 1] {
            IoReuseIrp(irp, NtStatus::SUCCESS);
            set(irp, &mut owner, true, true, true);
            let location = enter_next_location(irp);
            (*location).Control |= pending;
            (*irp).IoStatus.Status = NtStatus::UNSUCCESSFUL;
            complete_request(irp, 0);
            assert_eq!(owner.seen.pop(), Some(Seen { pending, device: 0, location: 2 }));
        }
        crate::caller::note(0x7272_0001);
        complete_request(irp, 0);
        assert_eq!(violations_of("IRP completed twice", 0x7272_0001), 1);
        IoFreeIrp(irp);
    }
}

// F-43
#[test]
fn a_passed_down_irp_walks_up_by_its_flags() {
    let (mut bottom, mut middle, mut top) =
        (level(NtStatus::SUCCESS), level(NtStatus::SUCCESS), level(NtStatus::MORE_PROCESSING_REQUIRED));
    for (status, cancel, expected) in
        [(NtStatus::SUCCESS, 0, [1, 0, 1]), (NtStatus::UNSUCCESSFUL, 0, [0, 1, 1]), (NtStatus::SUCCESS, 1, [1, 1, 1])]
    {
        // SAFETY: the IRP and the levels are ours.
        unsafe {
            let irp = IoAllocateIrp(3, 0);
            set(irp, &mut top, true, true, true);
            (*enter_next_location(irp)).DeviceObject = 0x30 as PDEVICE_OBJECT;
            set(irp, &mut middle, false, true, true);
            (*enter_next_location(irp)).DeviceObject = 0x20 as PDEVICE_OBJECT;
            set(irp, &mut bottom, true, false, false);
            (*enter_next_location(irp)).Control |= SL_PENDING_RETURNED;
            (*irp).Cancel = cancel;
            (*irp).IoStatus.Status = status;
            complete_request(irp, 0);
            let seen = [&mut bottom, &mut middle, &mut top].map(|level| std::mem::take(&mut level.seen));
            assert_eq!(seen.each_ref().map(Vec::len), expected, "{status:?}");
            assert_eq!(seen[2], [Seen { pending: 1, device: 0, location: 4 }]);
            if expected[0] == 1 {
                assert_eq!(seen[0], [Seen { pending: 1, device: 0x20, location: 2 }]);
            }
            if expected[1] == 1 {
                assert_eq!(seen[1], [Seen { pending: 1, device: 0x30, location: 3 }]);
            }
            IoFreeIrp(irp);
        }
    }
}

// F-43
#[test]
fn the_walk_stops_in_the_middle_and_goes_on_when_told() {
    let (mut lower, mut upper) = (level(NtStatus::MORE_PROCESSING_REQUIRED), level(NtStatus::MORE_PROCESSING_REQUIRED));
    // SAFETY: the IRP and the levels are ours.
    unsafe {
        let irp = IoAllocateIrp(2, 0);
        set(irp, &mut upper, true, true, true);
        enter_next_location(irp);
        set(irp, &mut lower, true, true, true);
        enter_next_location(irp);
        complete_request(irp, 0);
        assert_eq!((lower.seen.len(), upper.seen.len(), (*irp).CurrentLocation), (1, 0, 2));
        complete_request(irp, 0);
        assert_eq!((lower.seen.len(), upper.seen.len()), (1, 1));
        IoFreeIrp(irp);
    }
}

#[test]
fn an_irp_that_nobody_keeps_is_reported() {
    crate::caller::note(0x7272_1001);
    // SAFETY: the IRP is ours.
    unsafe {
        let irp = IoAllocateIrp(1, 0);
        enter_next_location(irp);
        complete_request(irp, 0);
        assert_eq!(violations_of("IRP completed past its owner", 0x7272_1001), 1);
        IoFreeIrp(irp);
        IoFreeIrp(irp);
        assert_eq!(violations_of("double free", 0x7272_1001), 1);
    }
}

static CANCELS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "win64" fn on_cancel(_device: PDEVICE_OBJECT, irp: *mut IRP) {
    // SAFETY: the IRP of the test, whose cancel routine this was.
    unsafe {
        IoReleaseCancelSpinLock((*irp).CancelIrql);
        CANCELS.fetch_add(1, Ordering::SeqCst);
        (*irp).IoStatus.Status = NtStatus::CANCELLED;
        complete_request(irp, 0);
    }
}

#[test]
fn cancel_and_complete_race_and_one_wins() {
    struct Shared(*mut IRP);
    // SAFETY: the IRP lives until the other thread has ended.
    unsafe impl Send for Shared {}
    let mut owner = level(NtStatus::MORE_PROCESSING_REQUIRED);
    let before = CANCELS.load(Ordering::SeqCst);
    let mut completed = 0;
    for _ in 0..300 {
        // SAFETY: the IRP is ours; whoever takes the cancel routine completes it.
        unsafe {
            let irp = IoAllocateIrp(1, 0);
            set(irp, &mut owner, true, true, true);
            (*enter_next_location(irp)).Control |= SL_PENDING_RETURNED;
            assert!(set_cancel_routine(irp, Some(on_cancel)).is_none());
            let shared = Shared(irp);
            let canceller = std::thread::spawn(move || {
                let shared = shared;
                IoCancelIrp(shared.0)
            });
            if set_cancel_routine(irp, None).is_some() {
                completed += 1;
                complete_request(irp, 0);
            }
            canceller.join().unwrap();
            assert!(is_cancelled(irp));
            assert_eq!(owner.seen.drain(..).count(), 1);
            IoFreeIrp(irp);
        }
    }
    assert_eq!(CANCELS.load(Ordering::SeqCst) - before + completed, 300);
}

#[repr(C)]
struct Queue {
    csq: IO_CSQ,
    waiting: Vec<*mut IRP>,
    cancelled: usize,
}

unsafe extern "win64" fn insert(csq: *mut IO_CSQ, irp: *mut IRP, _context: *mut c_void) -> NtStatus {
    // SAFETY: the test's queue.
    unsafe { (*csq.cast::<Queue>()).waiting.push(irp) };
    NtStatus::SUCCESS
}
unsafe extern "win64" fn remove(csq: *mut IO_CSQ, irp: *mut IRP) {
    // SAFETY: the test's queue.
    unsafe { (*csq.cast::<Queue>()).waiting.retain(|&other| other != irp) };
}
unsafe extern "win64" fn peek(csq: *mut IO_CSQ, irp: *mut IRP, _context: *mut c_void) -> *mut IRP {
    // SAFETY: the test's queue.
    let waiting = unsafe { &(*csq.cast::<Queue>()).waiting };
    let next = waiting.iter().position(|&other| other == irp).map_or(0, |at| at + 1);
    waiting.get(next).copied().unwrap_or(std::ptr::null_mut())
}
unsafe extern "win64" fn lock(_csq: *mut IO_CSQ, _irql: *mut u8) {}
unsafe extern "win64" fn unlock(_csq: *mut IO_CSQ, _irql: u8) {}
unsafe extern "win64" fn cancelled(csq: *mut IO_CSQ, irp: *mut IRP) {
    // SAFETY: the test's queue and IRP.
    unsafe {
        (*csq.cast::<Queue>()).cancelled += 1;
        (*irp).IoStatus.Status = NtStatus::CANCELLED;
    }
}

#[test]
fn cancel_safe_queues_give_each_irp_once() {
    // SAFETY: all of it is ours.
    unsafe {
        let mut queue: Box<Queue> = Box::new(Queue { csq: std::mem::zeroed(), waiting: Vec::new(), cancelled: 0 });
        let csq = (&raw mut *queue).cast::<IO_CSQ>();
        IoCsqInitialize(csq, Some(insert), Some(remove), Some(peek), Some(lock), Some(unlock), Some(cancelled));
        let mut irps: Vec<*mut IRP> = (0..4).map(|_| IoAllocateIrp(1, 0)).collect();
        let mut context: IO_CSQ_IRP_CONTEXT = std::mem::zeroed();
        let last: &mut *mut IRP = &mut irps[3];
        (**last).Cancel = 1;
        for (index, &irp) in irps.iter().enumerate() {
            enter_next_location(irp);
            let context = if index == 2 { &raw mut context } else { std::ptr::null_mut() };
            IoCsqInsertIrp(csq, irp, context);
            assert_eq!((*current_location(irp)).Control & SL_PENDING_RETURNED, 1);
        }
        assert_eq!((queue.cancelled, queue.waiting.len()), (1, 3));
        assert_eq!(IoCancelIrp(irps[0]), 1);
        assert_eq!(IoCancelIrp(irps[0]), 0);
        assert_eq!(IoCsqRemoveNextIrp(csq, std::ptr::null_mut()), irps[1]);
        assert_eq!(IoCsqRemoveIrp(csq, &raw mut context), irps[2]);
        assert!(IoCsqRemoveIrp(csq, &raw mut context).is_null());
        assert!(IoCsqRemoveNextIrp(csq, std::ptr::null_mut()).is_null());
        assert_eq!(queue.cancelled, 2);
        irps.into_iter().for_each(|irp| IoFreeIrp(irp));
    }
}

#[test]
fn remove_locks_wait_for_the_last_use() {
    // SAFETY: the lock is ours, and outlives the thread.
    unsafe {
        let mut lock: Box<IO_REMOVE_LOCK> = Box::new(std::mem::zeroed());
        let l = &raw mut *lock;
        let null = std::ptr::null_mut();
        IoInitializeRemoveLockEx(l, 0, 0, 0, 32);
        let acquire = || IoAcquireRemoveLockEx(l, null, std::ptr::null(), 0, 32);
        assert_eq!((acquire(), acquire()), (NtStatus::SUCCESS, NtStatus::SUCCESS));
        let address = l as usize;
        let remover = std::thread::spawn(move || {
            IoReleaseRemoveLockAndWaitEx(address as *mut IO_REMOVE_LOCK, std::ptr::null_mut(), 32);
        });
        while acquire() == NtStatus::SUCCESS {
            IoReleaseRemoveLockEx(l, null, 32);
            std::thread::yield_now();
        }
        assert_eq!(acquire(), NtStatus::DELETE_PENDING);
        IoReleaseRemoveLockEx(l, null, 32);
        remover.join().unwrap();
    }
}
