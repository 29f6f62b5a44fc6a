//! The signals that driver code causes, on alternate stacks (spec/loader.md). In the handler itself only what is cheap and needs
//! no memory: CR8, the shared page, probes. Everything else leaves the handler: the thread goes on in [`fault`] on its own
//! stack, where locks, memory and the driver's handlers may be used.
#![allow(unsafe_code)] // Signal handlers, alternate stacks.

pub(crate) mod cr8;
pub(crate) mod fault;
pub(crate) mod shared_page;

use std::cell::{Cell, UnsafeCell};
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use wsk_nt::ke::context::CONTEXT;
use wsk_nt::ke::processor;
use wsk_nt::{bug_check, caller, verify};

use crate::unwind::handler;
use crate::{context, module, probe, report};

/// SIGABRT: a panic of ours in a call of the driver, which must not cross its frames.
const SIGNALS: [c_int; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGABRT];

/// How often what was trapped. Patched places do not trap (`patch`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Accesses to CR8 that trapped, about 3 us each.
    pub cr8_traps: u64,
    /// Accesses to the page at 0xFFFFF78000000000 that trapped.
    pub shared_page_traps: u64,
    /// Breakpoints met and passed.
    pub breakpoints: u64,
    /// Exceptions that a driver's `__except` was searched for.
    pub exceptions: u64,
    /// Instructions rewritten at load time so that they do not trap.
    pub patched: u64,
    /// CR8 accesses that could not be rewritten and will trap.
    pub unpatched: u64,
}

pub(crate) static CR8: AtomicU64 = AtomicU64::new(0);
pub(crate) static SHARED: AtomicU64 = AtomicU64::new(0);
pub(crate) static BREAKPOINTS: AtomicU64 = AtomicU64::new(0);
pub(crate) static EXCEPTIONS: AtomicU64 = AtomicU64::new(0);
pub(crate) static PATCHED: AtomicU64 = AtomicU64::new(0);
pub(crate) static UNPATCHED: AtomicU64 = AtomicU64::new(0);

/// What was trapped so far in this process.
pub fn counters() -> Counters {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Counters {
        cr8_traps: read(&CR8),
        shared_page_traps: read(&SHARED),
        breakpoints: read(&BREAKPOINTS),
        exceptions: read(&EXCEPTIONS),
        patched: read(&PATCHED),
        unpatched: read(&UNPATCHED),
    }
}

/// What the signal frame says, for [`fault`].
#[derive(Clone, Copy)]
struct Fault {
    context: CONTEXT,
    signal: c_int,
    /// The processor's number of the trap, its error code, and the address of a page fault.
    trap: u64,
    error: u64,
    address: u64,
    /// The thread's stack could not be used.
    stack_is_gone: bool,
}

thread_local! {
    static FAULT: UnsafeCell<Fault> = const {
        UnsafeCell::new(Fault { context: context::zeroed(), signal: 0, trap: 0, error: 0, address: 0, stack_is_gone: false })
    };
    static ALTERNATE: AlternateStack = const { AlternateStack(Cell::new(ptr::null_mut())) };
}

static BEFORE: [OnceLock<libc::sigaction>; SIGNALS.len()] = [const { OnceLock::new() }; SIGNALS.len()];

/// Installs the handlers, the reporter, the listener for violations and the dispatcher of exceptions, once per process.
pub(crate) fn install() {
    wsk_nt::ke::processor::set_thread_hook(prepare_thread);
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        bug_check::set_reporter(report::reporter);
        verify::set_listener(report::violation);
        wsk_nt::ke::exception::set_dispatcher(handler::raised);
        for (signal, before) in SIGNALS.into_iter().zip(&BEFORE) {
            // SAFETY: all fields are valid as zeros.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            let mut old = MaybeUninit::uninit();
            // SAFETY: the handler keeps to what a handler may do.
            let result = unsafe { libc::sigaction(signal, &raw const action, old.as_mut_ptr()) };
            assert_eq!(result, 0, "sigaction");
            // SAFETY: written by the successful call.
            let _ = before.set(unsafe { old.assume_init() });
        }
    });
}

/// Room for the signal frame (with AVX-512 and AMX it is large) and the handler.
const ALTERNATE_SIZE: usize = 64 << 10;

/// This thread's alternate stack; given back when the thread ends.
struct AlternateStack(Cell<*mut c_void>);

impl Drop for AlternateStack {
    fn drop(&mut self) {
        if !self.0.get().is_null() {
            let off = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            // SAFETY: the thread ends; what it runs from here on needs no alternate stack.
            unsafe { libc::sigaltstack(&raw const off, ptr::null_mut()) };
            // SAFETY: mapped by `prepare_thread`, in use no more.
            unsafe { libc::munmap(self.0.get(), ALTERNATE_SIZE) };
        }
    }
}

/// Prepares this thread for driver code: processor block and alternate stack.
pub(crate) fn prepare_thread() {
    processor::attach();
    ALTERNATE.with(|stack| {
        if !stack.0.get().is_null() {
            return;
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping.
        let memory = unsafe { libc::mmap(ptr::null_mut(), ALTERNATE_SIZE, protection, flags, -1, 0) };
        assert_ne!(memory, libc::MAP_FAILED, "no memory for an alternate stack");
        let new = libc::stack_t { ss_sp: memory, ss_flags: 0, ss_size: ALTERNATE_SIZE };
        // SAFETY: the memory is this thread's own until the thread ends.
        let result = unsafe { libc::sigaltstack(&raw const new, ptr::null_mut()) };
        assert_eq!(result, 0, "sigaltstack");
        stack.0.set(memory);
    });
}

/// The trap's numbers as the processor has them.
pub(crate) const DIVIDE_ERROR: u64 = 0;
pub(crate) const BREAKPOINT: u64 = 3;
pub(crate) const INVALID_OPCODE: u64 = 6;
pub(crate) const GENERAL_PROTECTION: u64 = 13;
pub(crate) const PAGE_FAULT: u64 = 14;
pub(crate) const ALIGNMENT: u64 = 17;
pub(crate) const SIMD: u64 = 19;

unsafe extern "C" fn on_signal(signal: c_int, _info: *mut libc::siginfo_t, user: *mut c_void) {
    // SAFETY: the kernel's frame.
    let machine = unsafe { &mut (*user.cast::<libc::ucontext_t>()).uc_mcontext };
    let registers = &mut machine.gregs;
    let rip = registers[libc::REG_RIP as usize] as usize;
    let trap = registers[libc::REG_TRAPNO as usize] as u64;
    let address = registers[libc::REG_CR2 as usize] as u64;
    if let Some(after) = probe::after_fault(rip) {
        registers[libc::REG_RIP as usize] = after as i64;
        return;
    }
    if signal == libc::SIGSEGV && module::covers(rip) {
        // SAFETY: the instruction at `rip` has just been fetched.
        if trap == GENERAL_PROTECTION && unsafe { cr8::emulate(registers) } {
            CR8.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // SAFETY: as above.
        if trap == PAGE_FAULT && shared_page::holds(address) && unsafe { shared_page::emulate(registers) } {
            SHARED.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
    let stack_is_gone = rip == fault::touch_address();
    let is_ours = module::covers(rip) || module::covered(rip) || caller::current() != 0;
    if !stack_is_gone && !is_ours {
        // Not a thread that ran a driver: not our business.
        return hand_back(signal);
    }
    FAULT.with(|slot| {
        // SAFETY: only this thread's handler writes it, and `fault` has copied what it needs before it can fault.
        let fault = unsafe { &mut *slot.get() };
        fault.stack_is_gone = stack_is_gone;
        if stack_is_gone {
            return;
        }
        // SAFETY: the kernel's frame.
        unsafe { context::from_signal(machine, &mut fault.context) };
        (fault.signal, fault.trap, fault.address) = (signal, trap, address);
        fault.error = machine.gregs[libc::REG_ERR as usize] as u64;
    });
    let registers = &mut machine.gregs;
    let (stack, entry) = if stack_is_gone {
        (fault::emergency_stack(), fault::on_this_stack as *const ())
    } else {
        // Below what compiled code of System V may use without moving the stack pointer.
        (registers[libc::REG_RSP as usize] as usize - 256, fault::enter as *const ())
    };
    registers[libc::REG_RSP as usize] = (stack & !15) as i64;
    registers[libc::REG_RIP as usize] = entry as i64;
    registers[libc::REG_EFL as usize] &= !0x0500; // TF and DF
}

/// Leaves a signal to whoever handled it before us: the instruction runs again.
fn hand_back(signal: c_int) {
    let before = SIGNALS.iter().position(|&own| own == signal).and_then(|index| BEFORE[index].get());
    if let Some(before) = before {
        // SAFETY: the action that was in place.
        unsafe { libc::sigaction(signal, before, ptr::null_mut()) };
    }
    if matches!(signal, libc::SIGTRAP | libc::SIGABRT) {
        // What raised it is behind us.
        // SAFETY: sends a signal to this thread.
        unsafe { libc::raise(signal) };
    }
}
