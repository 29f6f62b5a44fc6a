//! Processors as drivers count them: one group; affinity and topology (DDI: KeQueryActiveProcessorCountEx).
#![allow(unsafe_code)] // Fills structures of the driver.

use std::ffi::c_void;

use parking_lot::Mutex;
use wsk_abi::NtStatus;
use wsk_abi::io::PROCESSOR_NUMBER;

use crate::exports;
use crate::ke::irql::{self, PASSIVE_LEVEL};
use crate::ke::processor::{self, count};
use crate::verify;

/// DDI: GROUP_AFFINITY.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct GROUP_AFFINITY {
    /// Processors.
    pub Mask: u64,
    /// Group.
    pub Group: u16,
    /// Zero.
    pub Reserved: [u16; 3],
}

const ALL_GROUPS: u16 = 0xffff;

fn all() -> u64 {
    if count() >= 64 { u64::MAX } else { (1 << count()) - 1 }
}

/// KeQueryActiveProcessorCountEx; KeQueryMaximumProcessorCountEx.
extern "win64" fn KeQueryActiveProcessorCountEx(group: u16) -> u32 {
    if group == 0 || group == ALL_GROUPS { count() } else { 0 }
}

/// KeQueryActiveProcessorCount.
unsafe extern "win64" fn KeQueryActiveProcessorCount(active: *mut u64) -> u32 {
    if !active.is_null() {
        // SAFETY: the driver's variable (DDI).
        unsafe { active.write(all()) };
    }
    count()
}

/// KeQueryMaximumProcessorCount; KeNumberProcessors as a function.
extern "win64" fn KeQueryMaximumProcessorCount() -> u32 {
    count()
}

/// KeQueryActiveProcessors.
extern "win64" fn KeQueryActiveProcessors() -> u64 {
    all()
}

/// KeQueryActiveGroupCount, KeQueryMaximumGroupCount.
extern "win64" fn KeQueryActiveGroupCount() -> u16 {
    1
}

/// KeQueryGroupAffinity.
extern "win64" fn KeQueryGroupAffinity(group: u16) -> u64 {
    if group == 0 { all() } else { 0 }
}

/// KeQueryHighestNodeNumber.
extern "win64" fn KeQueryHighestNodeNumber() -> u16 {
    0
}

/// KeGetCurrentNodeNumber.
extern "win64" fn KeGetCurrentNodeNumber() -> u16 {
    0
}

/// KeQueryNodeActiveAffinity.
unsafe extern "win64" fn KeQueryNodeActiveAffinity(_node: u16, affinity: *mut GROUP_AFFINITY, processors: *mut u16) {
    // SAFETY: NULL or the driver's variables (DDI).
    unsafe {
        if !affinity.is_null() {
            affinity.write(GROUP_AFFINITY { Mask: all(), ..GROUP_AFFINITY::default() });
        }
        if !processors.is_null() {
            processors.write(count() as u16);
        }
    }
}

/// KeGetCurrentProcessorNumberEx.
unsafe extern "win64" fn KeGetCurrentProcessorNumberEx(number: *mut PROCESSOR_NUMBER) -> u32 {
    let index = processor::attach().number.get();
    if !number.is_null() {
        // SAFETY: the driver's variable (DDI).
        unsafe { number.write(PROCESSOR_NUMBER { Group: 0, Number: index as u8, Reserved: 0 }) };
    }
    index
}

/// KeGetProcessorNumberFromIndex.
unsafe extern "win64" fn KeGetProcessorNumberFromIndex(index: u32, number: *mut PROCESSOR_NUMBER) -> NtStatus {
    if index >= count() {
        return NtStatus::INVALID_PARAMETER;
    }
    // SAFETY: the driver's variable (DDI).
    unsafe { number.write(PROCESSOR_NUMBER { Group: 0, Number: index as u8, Reserved: 0 }) };
    NtStatus::SUCCESS
}

/// KeGetProcessorIndexFromNumber.
unsafe extern "win64" fn KeGetProcessorIndexFromNumber(number: *const PROCESSOR_NUMBER) -> u32 {
    // SAFETY: the driver's variable (DDI).
    let number = unsafe { number.read() };
    if number.Group == 0 && u32::from(number.Number) < count() { number.Number.into() } else { u32::MAX }
}

/// What the thread's number says: the lowest processor of the mask. Threads are not pinned; the processor block tells the
/// number.
fn move_to(mask: u64) -> u64 {
    let block = processor::attach();
    let old = block.number.get();
    if mask & all() != 0 {
        let number = (mask & all()).trailing_zeros();
        block.number.set(number);
        block.legacy_number.set(number as u8);
    }
    1 << old
}

/// KeSetSystemGroupAffinityThread.
unsafe extern "win64" fn KeSetSystemGroupAffinityThread(
    affinity: *const GROUP_AFFINITY,
    previous: *mut GROUP_AFFINITY,
) {
    // SAFETY: the driver's structures (DDI).
    unsafe {
        let old = if (*affinity).Group == 0 { move_to((*affinity).Mask) } else { 0 };
        if !previous.is_null() {
            previous.write(GROUP_AFFINITY { Mask: old, ..GROUP_AFFINITY::default() });
        }
    }
}

/// KeRevertToUserGroupAffinityThread: a mask of zero says that nothing was set before.
unsafe extern "win64" fn KeRevertToUserGroupAffinityThread(previous: *const GROUP_AFFINITY) {
    // SAFETY: the driver's structure (DDI).
    unsafe { move_to((*previous).Mask) };
}

/// KeSetSystemAffinityThreadEx; KeSetSystemAffinityThread.
extern "win64" fn KeSetSystemAffinityThreadEx(affinity: u64) -> u64 {
    move_to(affinity)
}

/// KeRevertToUserAffinityThreadEx.
extern "win64" fn KeRevertToUserAffinityThreadEx(affinity: u64) {
    move_to(affinity);
}

/// KeRevertToUserAffinityThread.
extern "win64" fn KeRevertToUserAffinityThread() {}

/// One SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX of each processor core (relation 0), the group (4) and the node (1).
fn topology(relation: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let affinity = |mask: u64| [mask.to_le_bytes(), [0; 8]].concat();
    if relation == 0 || relation == 0xffff {
        for index in 0..count() {
            out.extend([0u32, 48].map(u32::to_le_bytes).concat());
            out.extend([0; 22]);
            out.extend(1u16.to_le_bytes());
            out.extend(affinity(1 << index));
        }
    }
    if relation == 1 || relation == 0xffff {
        out.extend([1u32, 48].map(u32::to_le_bytes).concat());
        out.extend([0; 24]);
        out.extend(affinity(all()));
    }
    if relation == 4 || relation == 0xffff {
        out.extend([4u32, 80].map(u32::to_le_bytes).concat());
        out.extend([1u16, 1].map(u16::to_le_bytes).concat());
        out.extend([0; 20]);
        out.extend([count() as u8, count() as u8]);
        out.extend([0; 38]);
        out.extend(all().to_le_bytes());
    }
    out
}

/// KeQueryLogicalProcessorRelationship.
unsafe extern "win64" fn KeQueryLogicalProcessorRelationship(
    _number: *const PROCESSOR_NUMBER,
    relation: u32,
    information: *mut u8,
    length: *mut u32,
) -> NtStatus {
    let records = topology(relation);
    // SAFETY: the driver's buffer of that length (DDI).
    unsafe {
        let room = std::mem::replace(&mut *length, records.len() as u32) as usize;
        if information.is_null() || room < records.len() {
            return NtStatus::INFO_LENGTH_MISMATCH;
        }
        std::ptr::copy_nonoverlapping(records.as_ptr(), information, records.len());
    }
    NtStatus::SUCCESS
}

/// DDI: KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT.
#[repr(C)]
#[derive(Debug)]
pub struct KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT {
    /// 0 start, 1 complete, 2 failure.
    pub State: i32,
    /// The index.
    pub NtNumber: u32,
    /// 0.
    pub Status: NtStatus,
    /// The number.
    pub ProcNumber: PROCESSOR_NUMBER,
}

type ChangeCallback = unsafe extern "win64" fn(*mut c_void, *mut KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT, *mut NtStatus);

static CALLBACKS: Mutex<(usize, Vec<usize>)> = Mutex::new((0x100, Vec::new()));

/// KeRegisterProcessorChangeCallback: processors are never added; KE_PROCESSOR_CHANGE_ADD_EXISTING, 1, reports those there
/// are.
unsafe extern "win64" fn KeRegisterProcessorChangeCallback(
    callback: Option<ChangeCallback>,
    context: *mut c_void,
    flags: u32,
) -> *mut c_void {
    irql::at_most(PASSIVE_LEVEL, "KeRegisterProcessorChangeCallback");
    let Some(callback) = callback else { return std::ptr::null_mut() };
    if flags & 1 != 0 {
        for state in [0, 1] {
            for index in 0..count() {
                let number = PROCESSOR_NUMBER { Group: 0, Number: index as u8, Reserved: 0 };
                let mut change = KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT {
                    State: state,
                    NtNumber: index,
                    Status: NtStatus::SUCCESS,
                    ProcNumber: number,
                };
                let mut status = NtStatus::SUCCESS;
                // SAFETY: the driver's function (DDI).
                unsafe { callback(context, &raw mut change, &raw mut status) };
                if !status.is_success() {
                    return std::ptr::null_mut();
                }
            }
        }
    }
    let mut callbacks = CALLBACKS.lock();
    callbacks.0 += 16;
    let id = callbacks.0;
    callbacks.1.push(id);
    id as *mut c_void
}

/// KeDeregisterProcessorChangeCallback.
extern "win64" fn KeDeregisterProcessorChangeCallback(handle: *mut c_void) {
    let mut callbacks = CALLBACKS.lock();
    let before = callbacks.1.len();
    callbacks.1.retain(|&id| id != handle as usize);
    if callbacks.1.len() == before {
        drop(callbacks);
        verify::violation("bad handle", "KeDeregisterProcessorChangeCallback of what is not registered");
    }
}

/// KeNumberProcessors: a variable.
static KeNumberProcessors: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);

/// Fills [`KeNumberProcessors`].
pub(crate) fn prepare() {
    KeNumberProcessors.store(count() as u8, std::sync::atomic::Ordering::Relaxed);
}

exports! {
    data KeNumberProcessors, KeQueryActiveProcessorCountEx, KeQueryMaximumProcessorCountEx = KeQueryActiveProcessorCountEx,
    KeQueryActiveProcessorCount, KeQueryMaximumProcessorCount, KeQueryActiveProcessors, KeQueryActiveGroupCount,
    KeQueryMaximumGroupCount = KeQueryActiveGroupCount, KeQueryGroupAffinity, KeQueryHighestNodeNumber,
    KeGetCurrentNodeNumber, KeQueryNodeActiveAffinity, KeGetCurrentProcessorNumberEx, KeGetProcessorNumberFromIndex,
    KeGetProcessorIndexFromNumber, KeSetSystemGroupAffinityThread, KeRevertToUserGroupAffinityThread,
    KeSetSystemAffinityThreadEx, KeSetSystemAffinityThread = KeSetSystemAffinityThreadEx, KeRevertToUserAffinityThreadEx,
    KeRevertToUserAffinityThread, KeQueryLogicalProcessorRelationship, KeRegisterProcessorChangeCallback,
    KeDeregisterProcessorChangeCallback,
}
