//! Threads (DDI: PsCreateSystemThread): threads of this process with an object that can be waited for. Every thread that
//! enters driver code has one, ours or the host program's.
#![allow(unsafe_code)] // Thread objects are raw memory; ending a thread leaves the driver's frames.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};
use wsk_abi::NtStatus;
use wsk_abi::io::{DISPATCHER_HEADER, HANDLE};

use crate::exports;
use crate::ke::irql::{self, PASSIVE_LEVEL};
use crate::ke::processor;
use crate::ke::wait::{self, initialize, kind};
use crate::ob::{self, ObjectType, TypeVariable, handle};
use crate::verify;

/// ETHREAD, as far as anybody looks: drivers keep the address and wait.
#[repr(C)]
pub(crate) struct Thread {
    header: DISPATCHER_HEADER,
    id: usize,
    /// What PsCreateSystemThread was given; null for threads of the host program.
    start: usize,
    exit_status: AtomicU32,
    pub(crate) critical_regions: AtomicU32,
    priority: AtomicU32,
    /// Where the entry thunk's frame is, to leave the driver's frames by.
    escape: AtomicUsize,
}

static THREAD: ObjectType = ObjectType::plain("Thread");

/// PsThreadType.
static PsThreadType: TypeVariable = TypeVariable::new(&THREAD);

/// The type of threads.
pub(crate) fn kind() -> &'static ObjectType {
    &THREAD
}

struct Running {
    object: usize,
    start: usize,
    creator: usize,
}

static RUNNING: Mutex<Vec<Running>> = Mutex::new(Vec::new());
static ENDED: Condvar = Condvar::new();

thread_local! {
    /// The object a new system thread is to take as its own.
    static ASSIGNED: std::cell::Cell<*mut Thread> = const { std::cell::Cell::new(std::ptr::null_mut()) };
}

fn create(start: usize) -> *mut Thread {
    static NEXT_ID: AtomicUsize = AtomicUsize::new(0x100);
    let object = ob::create(&THREAD, size_of::<Thread>().next_multiple_of(16)).cast::<Thread>();
    if !object.is_null() {
        // SAFETY: fresh memory of that size; the fields not written are valid as zeros.
        unsafe {
            initialize(object.cast(), kind::THREAD, 0, 0);
            (*object).id = NEXT_ID.fetch_add(4, Ordering::Relaxed);
            (*object).start = start;
            (*object).priority.store(8, Ordering::Relaxed);
        }
    }
    object
}

/// The object for a thread that gets its processor block now.
pub(crate) fn enter() -> *mut u8 {
    let assigned = ASSIGNED.replace(std::ptr::null_mut());
    if assigned.is_null() { create(0).cast() } else { assigned.cast() }
}

/// A thread gives its object back: it ended.
pub(crate) fn leave(object: *mut u8) {
    let thread = object.cast::<Thread>();
    if thread.is_null() {
        return;
    }
    let held = wait::lock().abandon(object);
    for (mutex, caller) in held {
        let what = format!(
            "a thread ended while it owned the mutex at {mutex:#x} (on Windows bug check 0x4000008A, \
             THREAD_TERMINATE_HELD_MUTEX)"
        );
        verify::violation_by("mutex held at thread exit", what, caller);
    }
    // SAFETY: the thread's own reference is dropped last.
    unsafe {
        {
            let mut held = wait::lock();
            (*thread).header.SignalState = 1;
            held.signalled(thread.cast());
        }
        let mut running = RUNNING.lock();
        running.retain(|entry| entry.object != object as usize);
        ENDED.notify_all();
        drop(running);
        ob::dereference(object);
    }
}

/// This thread's object.
pub(crate) fn current() -> *mut Thread {
    processor::attach().thread.get().cast_mut().cast()
}

/// System threads started at or by code in the range that still run.
pub(crate) fn running_in(range: &Range<usize>) -> Vec<(String, usize)> {
    let running = RUNNING.lock();
    let ours = running.iter().filter(|entry| range.contains(&entry.start) || range.contains(&entry.creator));
    ours.map(|entry| (format!("thread started at {:#x}", entry.start), entry.creator)).collect()
}

/// Waits until no system thread started in the range runs, or the time is over: whether none does.
pub fn wait_until_none_in(range: &Range<usize>, timeout: std::time::Duration) -> bool {
    let deadline = std::time::Instant::now() + timeout;
    let mut running = RUNNING.lock();
    while running.iter().any(|entry| range.contains(&entry.start)) {
        if ENDED.wait_until(&mut running, deadline).timed_out() {
            return false;
        }
    }
    true
}

type StartRoutine = unsafe extern "win64" fn(*mut c_void);

/// Calls `routine(context)`, which may end in `escape` instead of a return.
#[unsafe(naked)]
unsafe extern "C" fn call_with_escape(_routine: StartRoutine, _context: *mut c_void, _escape: *const AtomicUsize) {
    std::arch::naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov [rdx], rsp",
        "mov rax, rdi",
        "mov rcx, rsi",
        "sub rsp, 32",
        "call rax",
        "add rsp, 32",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// Returns from the `call_with_escape` whose frame is at `frame`.
#[unsafe(naked)]
unsafe extern "C" fn escape(_frame: usize) -> ! {
    std::arch::naked_asm!(
        "mov rsp, rdi",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// The thread's reference to its object, on its way to the thread.
struct Assigned(*mut Thread, StartRoutine, *mut c_void);

// SAFETY: the object is shared by reference count; the context is the driver's to share.
unsafe impl Send for Assigned {}

impl Assigned {
    fn run(self) {
        ASSIGNED.set(self.0);
        processor::attach();
        // SAFETY: the driver's routine (DDI); its frames are left by `escape` or by returning. The object lives as long as
        // the thread.
        unsafe { call_with_escape(self.1, self.2, &raw const (*self.0).escape) };
        let level = irql::set(PASSIVE_LEVEL);
        if level != PASSIVE_LEVEL {
            let what = format!("a system thread ended at {}", irql::name(level));
            verify::violation_by("wrong IRQL", what, self.1 as usize);
        }
    }
}

/// Starts a system thread; its object with a reference of the caller's.
pub(crate) fn start(routine: StartRoutine, context: *mut c_void) -> Result<*mut u8, NtStatus> {
    let thread = create(routine as usize);
    if thread.is_null() {
        return Err(NtStatus::INSUFFICIENT_RESOURCES);
    }
    // SAFETY: fresh; the thread's own reference.
    unsafe { ob::reference(thread.cast()) };
    let creator = crate::caller::current();
    RUNNING.lock().push(Running { object: thread as usize, start: routine as usize, creator });
    let assigned = Assigned(thread, routine, context);
    let builder = std::thread::Builder::new().name("nt-system".into()).stack_size(1 << 20);
    if builder.spawn(move || assigned.run()).is_err() {
        RUNNING.lock().retain(|entry| entry.object != thread as usize);
        // SAFETY: both references are ours.
        unsafe {
            ob::dereference(thread.cast());
            ob::dereference(thread.cast());
        }
        return Err(NtStatus::INSUFFICIENT_RESOURCES);
    }
    Ok(thread.cast())
}

/// DDI: CLIENT_ID.
#[repr(C)]
#[derive(Debug)]
pub struct CLIENT_ID {
    /// Process.
    pub UniqueProcess: HANDLE,
    /// Thread.
    pub UniqueThread: HANDLE,
}

/// PsCreateSystemThread.
pub(crate) unsafe extern "win64" fn PsCreateSystemThread(
    thread: *mut HANDLE,
    access: u32,
    _attributes: *mut c_void,
    _process: HANDLE,
    client_id: *mut CLIENT_ID,
    routine: Option<StartRoutine>,
    context: *mut c_void,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "PsCreateSystemThread");
    let Some(routine) = routine else { return NtStatus::INVALID_PARAMETER };
    match start(routine, context) {
        Ok(object) => {
            // SAFETY: the driver's variables (DDI); the reference of `start` goes to the handle.
            unsafe {
                if !client_id.is_null() {
                    client_id.write(CLIENT_ID {
                        UniqueProcess: 4 as HANDLE,
                        UniqueThread: (*object.cast::<Thread>()).id as HANDLE,
                    });
                }
                thread.write(handle::open(object, access));
                ob::dereference(object);
            }
            NtStatus::SUCCESS
        }
        Err(status) => status,
    }
}

/// PsTerminateSystemThread: does not return.
pub(crate) unsafe extern "win64" fn PsTerminateSystemThread(status: NtStatus) -> NtStatus {
    irql::at_most(irql::APC_LEVEL, "PsTerminateSystemThread");
    let thread = current();
    // SAFETY: this thread's object; its escape frame is the entry of this very thread. No frame between it and here owns
    // anything but the driver's.
    unsafe {
        (*thread).exit_status.store(status.0, Ordering::Relaxed);
        let frame = (*thread).escape.load(Ordering::Relaxed);
        if frame == 0 {
            verify::violation(
                "not a system thread",
                "PsTerminateSystemThread on a thread that PsCreateSystemThread did not start",
            );
            return NtStatus::INVALID_PARAMETER;
        }
        escape(frame)
    }
}

/// KeGetCurrentThread, PsGetCurrentThread as functions.
extern "win64" fn KeGetCurrentThread() -> *mut c_void {
    current().cast()
}

/// PsGetCurrentThreadId.
extern "win64" fn PsGetCurrentThreadId() -> HANDLE {
    // SAFETY: this thread's object.
    unsafe { (*current()).id as HANDLE }
}

/// PsGetThreadId.
unsafe extern "win64" fn PsGetThreadId(thread: *mut Thread) -> HANDLE {
    // SAFETY: the driver's thread object.
    unsafe { (*thread).id as HANDLE }
}

/// PsGetThreadExitStatus.
unsafe extern "win64" fn PsGetThreadExitStatus(thread: *mut Thread) -> NtStatus {
    // SAFETY: the driver's thread object.
    unsafe {
        match (*thread).header.SignalState {
            0 => NtStatus::PENDING,
            _ => NtStatus((*thread).exit_status.load(Ordering::Relaxed)),
        }
    }
}

/// PsIsSystemThread, PsIsThreadTerminating (never, while somebody can ask).
unsafe extern "win64" fn PsIsSystemThread(_thread: *mut Thread) -> u8 {
    1
}

/// KeSetPriorityThread; KeSetBasePriorityThread: kept, not acted on.
unsafe extern "win64" fn KeSetPriorityThread(thread: *mut Thread, priority: i32) -> i32 {
    // SAFETY: the driver's thread object.
    unsafe { (*thread).priority.swap(priority as u32, Ordering::Relaxed) as i32 }
}

/// KeQueryPriorityThread.
unsafe extern "win64" fn KeQueryPriorityThread(thread: *mut Thread) -> i32 {
    // SAFETY: the driver's thread object.
    unsafe { (*thread).priority.load(Ordering::Relaxed) as i32 }
}

/// KeEnterCriticalRegion, KeEnterGuardedRegion: counted, to report an imbalance.
pub(crate) extern "win64" fn KeEnterCriticalRegion() {
    // SAFETY: this thread's object.
    unsafe { (*current()).critical_regions.fetch_add(1, Ordering::Relaxed) };
}

/// KeLeaveCriticalRegion, KeLeaveGuardedRegion.
pub(crate) extern "win64" fn KeLeaveCriticalRegion() {
    // SAFETY: this thread's object.
    let regions = unsafe { &(*current()).critical_regions };
    if regions.fetch_sub(1, Ordering::Relaxed) == 0 {
        regions.store(0, Ordering::Relaxed);
        verify::violation("critical region", "KeLeaveCriticalRegion without KeEnterCriticalRegion");
    }
}

/// KeAreApcsDisabled, KeAreAllApcsDisabled.
extern "win64" fn KeAreApcsDisabled() -> u8 {
    // SAFETY: this thread's object.
    u8::from(unsafe { (*current()).critical_regions.load(Ordering::Relaxed) } != 0 || irql::current() > 0)
}

exports! {
    data PsThreadType, PsCreateSystemThread, PsTerminateSystemThread, KeGetCurrentThread,
    PsGetCurrentThread = KeGetCurrentThread, PsGetCurrentThreadId, PsGetThreadId, PsGetThreadExitStatus, PsIsSystemThread,
    KeSetPriorityThread, KeSetBasePriorityThread = KeSetPriorityThread, KeQueryPriorityThread,
    KeEnterCriticalRegion, KeLeaveCriticalRegion, KeEnterGuardedRegion = KeEnterCriticalRegion,
    KeLeaveGuardedRegion = KeLeaveCriticalRegion, FsRtlEnterFileSystem = KeEnterCriticalRegion,
    FsRtlExitFileSystem = KeLeaveCriticalRegion, KeAreApcsDisabled, KeAreAllApcsDisabled = KeAreApcsDisabled,
}
