//! Work items of devices (DDI: IO_WORKITEM): the device or driver object stays until the routine has returned.
#![allow(unsafe_code)] // Calls routines of the driver.

use std::ffi::c_void;
use std::ops::Range;

use parking_lot::Mutex;

use crate::ex::pool;
use crate::ex::work::{Job, submit};
use crate::exports;
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::{ob, verify};

/// IO_WORKITEM, which drivers do not look into.
#[repr(C)]
pub(crate) struct IO_WORKITEM {
    object: *mut u8,
    routine: *mut c_void,
    context: *mut c_void,
    extended: bool,
    queued: bool,
}

type Routine = unsafe extern "win64" fn(*mut u8, *mut c_void);
type RoutineEx = unsafe extern "win64" fn(*mut u8, *mut c_void, *mut IO_WORKITEM);

/// Items of IoAllocateWorkItem: address and who allocated it.
static ALLOCATED: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// IoSizeofWorkItem.
extern "win64" fn IoSizeofWorkItem() -> u32 {
    size_of::<IO_WORKITEM>() as u32
}

/// IoInitializeWorkItem.
unsafe extern "win64" fn IoInitializeWorkItem(object: *mut u8, item: *mut IO_WORKITEM) {
    // SAFETY: the driver's memory, of the size it was told.
    unsafe {
        item.write(IO_WORKITEM {
            object,
            routine: std::ptr::null_mut(),
            context: std::ptr::null_mut(),
            extended: false,
            queued: false,
        });
    }
}

/// IoUninitializeWorkItem.
unsafe extern "win64" fn IoUninitializeWorkItem(item: *mut IO_WORKITEM) {
    // SAFETY: the driver's item.
    if unsafe { (*item).queued } {
        verify::violation("work item queued", "IoUninitializeWorkItem of an item that is queued");
    }
}

/// IoAllocateWorkItem.
pub(crate) unsafe extern "win64" fn IoAllocateWorkItem(object: *mut u8) -> *mut IO_WORKITEM {
    let item = pool::allocate(pool::Kind::Object, size_of::<IO_WORKITEM>(), 0, true, 0).cast::<IO_WORKITEM>();
    if !item.is_null() {
        // SAFETY: fresh.
        unsafe { IoInitializeWorkItem(object, item) };
        ALLOCATED.lock().push((item as usize, crate::caller::current()));
    }
    item
}

/// IoFreeWorkItem.
pub(crate) unsafe extern "win64" fn IoFreeWorkItem(item: *mut IO_WORKITEM) {
    let mut allocated = ALLOCATED.lock();
    match allocated.iter().position(|&(address, _)| address == item as usize) {
        Some(at) => {
            allocated.swap_remove(at);
            drop(allocated);
            // SAFETY: it lives.
            unsafe { IoUninitializeWorkItem(item) };
        }
        None => drop(allocated),
    }
    pool::free(pool::Kind::Object, item.cast(), None, crate::caller::current());
}

/// Items allocated by code in the range.
pub(crate) fn allocated_in(range: &Range<usize>) -> Vec<(String, usize)> {
    let allocated = ALLOCATED.lock();
    let ours = allocated.iter().filter(|(_, caller)| range.contains(caller));
    ours.map(|&(item, caller)| (format!("work item at {item:#x}"), caller)).collect()
}

struct Queued(*mut IO_WORKITEM);

// SAFETY: the item is the worker's while it is queued (DDI).
unsafe impl Send for Queued {}

impl Queued {
    fn run(self) {
        let item = self.0;
        // SAFETY: the driver's item and routine; the routine may free the item, so nothing of it is used after.
        unsafe {
            let (object, routine, context, extended) =
                ((*item).object, (*item).routine, (*item).context, (*item).extended);
            (*item).queued = false;
            if extended {
                std::mem::transmute::<*mut c_void, RoutineEx>(routine)(object, context, item);
            } else {
                std::mem::transmute::<*mut c_void, Routine>(routine)(object, context);
            }
            if !object.is_null() {
                ob::dereference(object);
            }
        }
    }
}

unsafe fn queue(item: *mut IO_WORKITEM, routine: *mut c_void, context: *mut c_void, extended: bool) {
    irql::at_most(DISPATCH_LEVEL, "IoQueueWorkItem");
    // SAFETY: the driver's item (DDI).
    unsafe {
        if (*item).queued {
            verify::violation("work item queued twice", "IoQueueWorkItem of an item that is queued");
            return;
        }
        (*item).routine = routine;
        (*item).context = context;
        (*item).extended = extended;
        (*item).queued = true;
        if !(*item).object.is_null() {
            ob::reference((*item).object);
        }
    }
    let item = Queued(item);
    submit(Job { routine: routine as usize, holds: true, run: Box::new(move || item.run()) });
}

/// IoQueueWorkItem.
pub(crate) unsafe extern "win64" fn IoQueueWorkItem(
    item: *mut IO_WORKITEM,
    routine: *mut c_void,
    _queue: i32,
    context: *mut c_void,
) {
    // SAFETY: the driver's item (DDI).
    unsafe { queue(item, routine, context, false) };
}

/// IoQueueWorkItemEx: the routine gets the item.
pub(crate) unsafe extern "win64" fn IoQueueWorkItemEx(
    item: *mut IO_WORKITEM,
    routine: *mut c_void,
    _queue: i32,
    context: *mut c_void,
) {
    // SAFETY: the driver's item (DDI).
    unsafe { queue(item, routine, context, true) };
}

/// IoTryQueueWorkItem: whether it was not queued yet.
unsafe extern "win64" fn IoTryQueueWorkItem(
    item: *mut IO_WORKITEM,
    routine: *mut c_void,
    _queue: i32,
    context: *mut c_void,
) -> u8 {
    // SAFETY: the driver's item (DDI).
    unsafe {
        if (*item).queued {
            return 0;
        }
        queue(item, routine, context, true);
    }
    1
}

exports! {
    IoSizeofWorkItem, IoInitializeWorkItem, IoUninitializeWorkItem, IoAllocateWorkItem, IoFreeWorkItem, IoQueueWorkItem,
    IoQueueWorkItemEx, IoTryQueueWorkItem,
}
