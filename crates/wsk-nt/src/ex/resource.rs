//! Executive resources (DDI: ERESOURCE): shared and exclusive, recursive. Who holds one is kept here; the counts that drivers
//! and debuggers look at are mirrored in the structure.
#![allow(unsafe_code)] // Works on structures in driver memory.

use std::collections::BTreeMap;

use parking_lot::{Condvar, Mutex};
use wsk_abi::NtStatus;
use wsk_abi::io::LIST_ENTRY;

use crate::addresses::{ADDRESS_HASH, AddressMap};
use crate::exports;
use crate::ke::callback;
use crate::ke::irql::{self, APC_LEVEL, DISPATCH_LEVEL};
use crate::ps::thread::{self, KeEnterCriticalRegion, KeLeaveCriticalRegion};
use crate::verify;

/// DDI: OWNER_ENTRY.
#[repr(C)]
#[derive(Debug)]
pub struct OWNER_ENTRY {
    /// The thread.
    pub OwnerThread: usize,
    /// Flags in the low three bits, then holds.
    pub OwnerCount: u32,
}

/// DDI: ERESOURCE.
#[repr(C)]
#[derive(Debug)]
pub struct ERESOURCE {
    /// Link of all resources (to itself).
    pub SystemResourcesList: LIST_ENTRY,
    /// Further owners (not used).
    pub OwnerTable: *mut OWNER_ENTRY,
    /// Holds.
    pub ActiveCount: i16,
    /// 0x80: owned exclusively.
    pub Flag: u16,
    /// Not used.
    pub SharedWaiters: usize,
    /// Not used.
    pub ExclusiveWaiters: usize,
    /// The exclusive owner.
    pub OwnerEntry: OWNER_ENTRY,
    /// Threads that hold it.
    pub ActiveEntries: u32,
    /// Acquisitions that had to wait.
    pub ContentionCount: u32,
    /// Waiting for a shared hold.
    pub NumberOfSharedWaiters: u32,
    /// Waiting for the exclusive hold.
    pub NumberOfExclusiveWaiters: u32,
    /// Not used.
    pub Reserved2: usize,
    /// Not used.
    pub Address: usize,
    /// Not used.
    pub SpinLock: usize,
}

const EXCLUSIVE: u16 = 0x80;

#[derive(Default)]
struct State {
    /// Holds by thread.
    owners: BTreeMap<usize, u32>,
    exclusive: bool,
    waiting_exclusive: u32,
}

static RESOURCES: Mutex<AddressMap<State>> = Mutex::new(AddressMap::with_hasher(ADDRESS_HASH));
static CHANGED: Condvar = Condvar::new();

fn me() -> usize {
    thread::current() as usize
}

unsafe fn mirror(resource: *mut ERESOURCE, state: &State) {
    // SAFETY: the driver's resource.
    unsafe {
        (*resource).ActiveCount = state.owners.values().sum::<u32>() as i16;
        (*resource).ActiveEntries = state.owners.len() as u32;
        (*resource).NumberOfExclusiveWaiters = state.waiting_exclusive;
        let owner = state.owners.first_key_value().filter(|_| state.exclusive);
        (*resource).Flag = if state.exclusive { (*resource).Flag | EXCLUSIVE } else { (*resource).Flag & !EXCLUSIVE };
        (*resource).OwnerEntry = OWNER_ENTRY {
            OwnerThread: owner.map_or(0, |(&thread, _)| thread),
            OwnerCount: owner.map_or(0, |(_, &count)| count << 3),
        };
    }
}

/// ExInitializeResourceLite.
pub(crate) unsafe extern "win64" fn ExInitializeResourceLite(resource: *mut ERESOURCE) -> NtStatus {
    // SAFETY: the driver's memory (DDI).
    unsafe {
        std::ptr::write_bytes(resource, 0, 1);
        let list = &raw mut (*resource).SystemResourcesList;
        list.write(LIST_ENTRY { Flink: list, Blink: list });
    }
    RESOURCES.lock().insert(resource as usize, State::default());
    NtStatus::SUCCESS
}

/// ExDeleteResourceLite.
pub(crate) unsafe extern "win64" fn ExDeleteResourceLite(resource: *mut ERESOURCE) -> NtStatus {
    irql::at_most(DISPATCH_LEVEL, "ExDeleteResourceLite");
    let removed = RESOURCES.lock().remove(&(resource as usize));
    match removed {
        Some(state) if !state.owners.is_empty() => {
            verify::violation("resource held", "ExDeleteResourceLite of a resource that is held");
        }
        Some(_) => {}
        None => verify::violation("no resource", "ExDeleteResourceLite of what is no resource"),
    }
    NtStatus::SUCCESS
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    Exclusive,
    Shared,
    /// Goes before a waiting exclusive owner.
    SharedStarving,
    /// Waits for one even if it holds the resource shared.
    SharedWaiting,
}

fn try_hold(state: &mut State, me: usize, hold: Hold, waiting: bool) -> bool {
    let mine = state.owners.contains_key(&me);
    let others_wait = state.waiting_exclusive > u32::from(waiting && hold == Hold::Exclusive);
    let granted = match hold {
        _ if state.exclusive => mine,
        Hold::Exclusive => state.owners.is_empty(),
        Hold::Shared => mine || !others_wait,
        Hold::SharedStarving => true,
        Hold::SharedWaiting => !others_wait,
    };
    if granted {
        *state.owners.entry(me).or_insert(0) += 1;
        state.exclusive |= hold == Hold::Exclusive;
    }
    granted
}

unsafe fn acquire(resource: *mut ERESOURCE, wait: u8, hold: Hold, function: &'static str) -> u8 {
    irql::at_most(if wait == 0 { DISPATCH_LEVEL } else { APC_LEVEL }, function);
    let me = me();
    let mut resources = RESOURCES.lock();
    let mut waiting = false;
    loop {
        let Some(state) = resources.get_mut(&(resource as usize)) else {
            drop(resources);
            verify::violation("no resource", format!("{function} of what is no resource"));
            return 0;
        };
        let granted = try_hold(state, me, hold, waiting);
        if waiting && granted && hold == Hold::Exclusive {
            state.waiting_exclusive -= 1;
        }
        if !granted && wait != 0 && !waiting && hold == Hold::Exclusive {
            state.waiting_exclusive += 1;
        }
        // SAFETY: the driver's resource, locked.
        unsafe { mirror(resource, state) };
        if granted || wait == 0 {
            return u8::from(granted);
        }
        if !waiting {
            waiting = true;
            // SAFETY: as above.
            unsafe { (*resource).ContentionCount += 1 };
            if let Some(name) = callback::current() {
                drop(resources);
                verify::violation("wait inside a callback", format!("{function} inside {name}"));
                resources = RESOURCES.lock();
                continue;
            }
        }
        CHANGED.wait(&mut resources);
    }
}

/// ExAcquireResourceExclusiveLite.
pub(crate) unsafe extern "win64" fn ExAcquireResourceExclusiveLite(resource: *mut ERESOURCE, wait: u8) -> u8 {
    // SAFETY: the driver's resource (DDI).
    unsafe { acquire(resource, wait, Hold::Exclusive, "ExAcquireResourceExclusiveLite") }
}

/// ExAcquireResourceSharedLite.
pub(crate) unsafe extern "win64" fn ExAcquireResourceSharedLite(resource: *mut ERESOURCE, wait: u8) -> u8 {
    // SAFETY: the driver's resource (DDI).
    unsafe { acquire(resource, wait, Hold::Shared, "ExAcquireResourceSharedLite") }
}

/// ExAcquireSharedStarveExclusive.
unsafe extern "win64" fn ExAcquireSharedStarveExclusive(resource: *mut ERESOURCE, wait: u8) -> u8 {
    // SAFETY: the driver's resource (DDI).
    unsafe { acquire(resource, wait, Hold::SharedStarving, "ExAcquireSharedStarveExclusive") }
}

/// ExAcquireSharedWaitForExclusive.
unsafe extern "win64" fn ExAcquireSharedWaitForExclusive(resource: *mut ERESOURCE, wait: u8) -> u8 {
    // SAFETY: the driver's resource (DDI).
    unsafe { acquire(resource, wait, Hold::SharedWaiting, "ExAcquireSharedWaitForExclusive") }
}

unsafe fn release(resource: *mut ERESOURCE, owner: usize) {
    let mut resources = RESOURCES.lock();
    let state = resources.get_mut(&(resource as usize));
    match state.and_then(|state| state.owners.get(&owner).copied().map(|count| (state, count))) {
        Some((state, count)) => {
            if count == 1 {
                state.owners.remove(&owner);
                state.exclusive &= !state.owners.is_empty();
            } else {
                state.owners.insert(owner, count - 1);
            }
            // SAFETY: the driver's resource, locked.
            unsafe { mirror(resource, state) };
            CHANGED.notify_all();
        }
        None => {
            drop(resources);
            verify::violation("resource not held", "ExReleaseResourceLite by a thread that does not hold the resource");
        }
    }
}

/// ExReleaseResourceLite.
pub(crate) unsafe extern "win64" fn ExReleaseResourceLite(resource: *mut ERESOURCE) {
    irql::at_most(DISPATCH_LEVEL, "ExReleaseResourceLite");
    // SAFETY: the driver's resource (DDI).
    unsafe { release(resource, me()) };
}

/// ExReleaseResourceForThreadLite.
unsafe extern "win64" fn ExReleaseResourceForThreadLite(resource: *mut ERESOURCE, owner: usize) {
    // SAFETY: the driver's resource (DDI).
    unsafe { release(resource, owner) };
}

/// ExConvertExclusiveToSharedLite.
unsafe extern "win64" fn ExConvertExclusiveToSharedLite(resource: *mut ERESOURCE) {
    let mut resources = RESOURCES.lock();
    if let Some(state) = resources.get_mut(&(resource as usize)) {
        state.exclusive = false;
        // SAFETY: the driver's resource, locked.
        unsafe { mirror(resource, state) };
        CHANGED.notify_all();
    }
}

/// ExIsResourceAcquiredExclusiveLite.
unsafe extern "win64" fn ExIsResourceAcquiredExclusiveLite(resource: *mut ERESOURCE) -> u8 {
    let resources = RESOURCES.lock();
    u8::from(
        resources.get(&(resource as usize)).is_some_and(|state| state.exclusive && state.owners.contains_key(&me())),
    )
}

/// ExIsResourceAcquiredSharedLite: the holds of this thread, of either kind.
unsafe extern "win64" fn ExIsResourceAcquiredSharedLite(resource: *mut ERESOURCE) -> u32 {
    let resources = RESOURCES.lock();
    resources.get(&(resource as usize)).and_then(|state| state.owners.get(&me()).copied()).unwrap_or(0)
}

/// ExGetExclusiveWaiterCount.
unsafe extern "win64" fn ExGetExclusiveWaiterCount(resource: *mut ERESOURCE) -> u32 {
    RESOURCES.lock().get(&(resource as usize)).map_or(0, |state| state.waiting_exclusive)
}

/// ExReinitializeResourceLite.
unsafe extern "win64" fn ExReinitializeResourceLite(resource: *mut ERESOURCE) -> NtStatus {
    // SAFETY: the driver's resource (DDI).
    unsafe { ExInitializeResourceLite(resource) }
}

/// ExEnterCriticalRegionAndAcquireResourceExclusive: returns the thread's Win32 data, none.
unsafe extern "win64" fn ExEnterCriticalRegionAndAcquireResourceExclusive(resource: *mut ERESOURCE) -> *mut u8 {
    KeEnterCriticalRegion();
    // SAFETY: the driver's resource (DDI).
    unsafe { ExAcquireResourceExclusiveLite(resource, 1) };
    std::ptr::null_mut()
}

/// ExEnterCriticalRegionAndAcquireResourceShared.
unsafe extern "win64" fn ExEnterCriticalRegionAndAcquireResourceShared(resource: *mut ERESOURCE) -> *mut u8 {
    KeEnterCriticalRegion();
    // SAFETY: the driver's resource (DDI).
    unsafe { ExAcquireResourceSharedLite(resource, 1) };
    std::ptr::null_mut()
}

/// ExReleaseResourceAndLeaveCriticalRegion.
unsafe extern "win64" fn ExReleaseResourceAndLeaveCriticalRegion(resource: *mut ERESOURCE) {
    // SAFETY: the driver's resource (DDI).
    unsafe { ExReleaseResourceLite(resource) };
    KeLeaveCriticalRegion();
}

/// ExDisableResourceBoostLite: owners are not boosted anyway.
extern "win64" fn ExDisableResourceBoostLite(_resource: *mut ERESOURCE) {}

exports! {
    ExDisableResourceBoostLite,
    ExInitializeResourceLite, ExDeleteResourceLite, ExReinitializeResourceLite, ExAcquireResourceExclusiveLite,
    ExAcquireResourceSharedLite, ExAcquireSharedStarveExclusive, ExAcquireSharedWaitForExclusive, ExReleaseResourceLite,
    ExReleaseResourceForThreadLite, ExConvertExclusiveToSharedLite, ExIsResourceAcquiredExclusiveLite,
    ExIsResourceAcquiredSharedLite, ExIsResourceAcquiredLite = ExIsResourceAcquiredSharedLite, ExGetExclusiveWaiterCount,
    ExEnterCriticalRegionAndAcquireResourceExclusive, ExEnterCriticalRegionAndAcquireResourceShared,
    ExReleaseResourceAndLeaveCriticalRegion,
}
