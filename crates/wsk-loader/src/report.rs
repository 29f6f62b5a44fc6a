//! The bug check report: what happened in one line, code and parameters, registers, a backtrace with the image's own function
//! names, what the driver had open. It goes to stderr; then the process ends with status 3.
#![allow(unsafe_code)] // Reads the registers kept for the report, ends the process.

mod backtrace;

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use wsk_abi::NtStatus;
use wsk_nt::bug_check::{BugCheck, stop};
use wsk_nt::ke::context::{CONTEXT, EXCEPTION_RECORD};
use wsk_nt::rtl::memory;
use wsk_nt::verify::Violation;

use crate::unwind::dispatch::Unhandled;
use crate::{module, symbol};

/// The exit status of a bug check: 3, or 4 if it is the verifier's own, of a violation it has reported.
static STATUS: AtomicI32 = AtomicI32::new(3);

/// The bug check that follows is the end of a violation, which decides the exit status if the verifier is on.
pub(crate) fn follows_violation() {
    if wsk_nt::verify::is_on() {
        STATUS.store(4, Ordering::Relaxed);
    }
}

/// How long stdout is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// KMODE_EXCEPTION_NOT_HANDLED.
pub(crate) const EXCEPTION_NOT_HANDLED: u32 = 0x1E;

thread_local! {
    /// The registers at the fault that leads to the bug check, on this thread.
    static CONTEXT_OF_FAULT: Cell<*const CONTEXT> = const { Cell::new(ptr::null()) };
}

/// Stops the system because of what the code at `context` did.
pub(crate) fn stop_at(context: *const CONTEXT, code: u32, parameters: [u64; 4], what: impl Into<String>) -> ! {
    CONTEXT_OF_FAULT.set(context);
    // SAFETY: the registers of the fault, which its dispatcher's frame holds.
    let caller = unsafe { (*context).Rip } as usize;
    stop(&BugCheck { code, parameters, what: what.into(), caller })
}

/// Nobody handles an exception.
pub(crate) fn unhandled(why: Unhandled, record: *const EXCEPTION_RECORD, context: *const CONTEXT) -> ! {
    // SAFETY: of the exception that is being dispatched.
    let record = unsafe { &*record };
    let access = |index: usize| record.ExceptionInformation[index] as u64;
    // SAFETY: as above.
    let rip = unsafe { (*context).Rip } as usize;
    let in_driver = module::covers(rip) || memory::leaf_routines().contains(&rip);
    let mut what = describe_exception(
        record,
        if in_driver || record.ExceptionInformation[1] == rip { "the driver" } else { "OpenWSK" },
    );
    what += match why {
        Unhandled::NoHandler if !in_driver => ", in a call of the driver",
        Unhandled::NoHandler => ", and no __except of the driver takes it",
        Unhandled::BadStack => ", and the stack cannot be unwound",
    };
    let parameters = [u64::from(record.ExceptionCode), record.ExceptionAddress as u64, access(0), access(1)];
    stop_at(context, EXCEPTION_NOT_HANDLED, parameters, what)
}

/// An exception in words.
fn describe_exception(record: &EXCEPTION_RECORD, who: &str) -> String {
    let status = NtStatus(record.ExceptionCode);
    if status == NtStatus::ACCESS_VIOLATION && record.NumberParameters >= 2 {
        let how = match record.ExceptionInformation[0] {
            0 => "reads",
            1 => "writes",
            _ => "executes",
        };
        return format!("access violation: {who} {how} {:#x}", record.ExceptionInformation[1]);
    }
    format!("exception {status}")
}

/// A filter wants to go on after an exception that forbids it.
///
/// # Safety
/// Both must be those of the exception that is being dispatched.
pub(crate) unsafe fn noncontinuable(record: *const EXCEPTION_RECORD, context: *const CONTEXT) -> ! {
    // SAFETY: the caller's promise.
    let code = unsafe { (*record).ExceptionCode };
    let what =
        format!("a filter answers EXCEPTION_CONTINUE_EXECUTION to {}, which cannot be continued", NtStatus(code));
    stop_at(context, EXCEPTION_NOT_HANDLED, [NtStatus::NONCONTINUABLE_EXCEPTION.0.into(), code.into(), 0, 0], what)
}

/// A language handler answered what it must not.
pub(crate) fn bad_disposition(answer: u64, handler: u64, context: *const CONTEXT) -> ! {
    const INVALID_DISPOSITION: u64 = 0xC000_0026;
    let what = format!("the language handler {} answers {answer}", symbol::describe(handler as usize));
    stop_at(context, EXCEPTION_NOT_HANDLED, [INVALID_DISPOSITION, handler, answer, 0], what)
}

/// Unwinding came to the driver's outermost frame without meeting its target.
pub(crate) fn lost_target(target: u64, context: &CONTEXT) -> ! {
    const INVALID_UNWIND_TARGET: u64 = 0xC000_0029;
    let what = format!(
        "unwinding to the frame {target:#x}, which is not among the driver's; an exception cannot cross OpenWSK"
    );
    stop_at(context, EXCEPTION_NOT_HANDLED, [INVALID_UNWIND_TARGET, target, 0, 0], what)
}

fn code_name(code: u32) -> &'static str {
    match code {
        0x09 => "IRQL_NOT_GREATER_OR_EQUAL",
        0x0A => "IRQL_NOT_LESS_OR_EQUAL",
        0x19 => "BAD_POOL_HEADER",
        0x1E => "KMODE_EXCEPTION_NOT_HANDLED",
        0x44 => "MULTIPLE_IRP_COMPLETE_REQUESTS",
        0x50 => "PAGE_FAULT_IN_NONPAGED_AREA",
        0x76 => "PROCESS_HAS_LOCKED_PAGES",
        0x7E => "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED",
        0x7F => "UNEXPECTED_KERNEL_MODE_TRAP",
        0xBE => "ATTEMPTED_WRITE_TO_READONLY_MEMORY",
        0xC2 => "BAD_POOL_CALLER",
        0xC4 => "DRIVER_VERIFIER_DETECTED_VIOLATION",
        0xC9 => "DRIVER_VERIFIER_IOMANAGER_VIOLATION",
        0xCE => "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS",
        0xD1 => "DRIVER_IRQL_NOT_LESS_OR_EQUAL",
        0xFC => "ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY",
        0x139 => "KERNEL_SECURITY_CHECK_FAILURE",
        _ => "",
    }
}

/// The thread that reports a bug check; 0 if none does.
static REPORTING: AtomicI32 = AtomicI32::new(0);

/// Returns at once if no bug check is being reported. Otherwise it does not return: the thread that reports ends the process,
/// when the report is complete. To be called before the process ends for another reason.
pub fn wait_for_report() {
    let reporting = REPORTING.load(Ordering::SeqCst);
    if reporting != 0 && reporting != thread_id() {
        park();
    }
}

/// Another thread ends the process.
fn park() -> ! {
    loop {
        std::thread::park();
    }
}

/// The reporter of [`wsk_nt::bug_check`]: prints and ends the process, with nothing run at exit: the process is not sane.
pub(crate) fn reporter(check: &BugCheck) {
    let thread = thread_id();
    match REPORTING.compare_exchange(0, thread, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => {}
        Err(first) if first == thread => {
            say!("*** and while reporting that: {}", check.what);
            end();
        }
        Err(_) => park(),
    }
    let mut text = String::new();
    let [a, b, c, d] = check.parameters;
    let _ = writeln!(
        text,
        "\n*** bug check {:#010x} {} ({a:#x}, {b:#x}, {c:#x}, {d:#x})",
        check.code,
        code_name(check.code)
    );
    let _ = writeln!(text, "    {}", check.what);
    say!("{}", text.trim_end_matches('\n'));
    text.clear();
    if check.caller != 0 {
        let _ = writeln!(text, "    at {}", symbol::describe(check.caller));
    }
    let thread = std::thread::current();
    let irql = wsk_nt::ke::irql::current();
    let _ = writeln!(text, "    on thread {} ({}), IRQL {irql}", thread_id(), thread.name().unwrap_or("unnamed"));
    // SAFETY: set by `stop_at` of this thread, to registers in a frame that is still there.
    let context = unsafe { CONTEXT_OF_FAULT.get().as_ref() };
    if let Some(context) = context {
        registers(&mut text, context);
    }
    say!("{}", text.trim_end_matches('\n'));
    say!("backtrace:");
    backtrace::print(context, check.caller);
    crate::open::print();
    end()
}

fn thread_id() -> i32 {
    // SAFETY: no arguments.
    unsafe { libc::gettid() }
}

fn end() -> ! {
    // Not on this thread: another may hold the lock of stdout for ever.
    let (sender, receiver) = mpsc::channel();
    let flushing = std::thread::Builder::new().name("flush".into()).spawn(move || {
        let _ = std::io::stdout().flush();
        let _ = sender.send(());
    });
    if flushing.is_ok() {
        let _ = receiver.recv_timeout(PATIENCE);
    }
    // SAFETY: ends the process.
    unsafe { libc::_exit(STATUS.load(Ordering::Relaxed)) }
}

fn registers(text: &mut String, context: &CONTEXT) {
    let _ = writeln!(text, "registers:");
    let rows = [
        [("rax", context.Rax), ("rbx", context.Rbx), ("rcx", context.Rcx), ("rdx", context.Rdx)],
        [("rsi", context.Rsi), ("rdi", context.Rdi), ("rbp", context.Rbp), ("rsp", context.Rsp)],
        [("r8", context.R8), ("r9", context.R9), ("r10", context.R10), ("r11", context.R11)],
        [("r12", context.R12), ("r13", context.R13), ("r14", context.R14), ("r15", context.R15)],
    ];
    for row in rows {
        for (name, value) in row {
            let _ = write!(text, "    {name:<3} {value:016x}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "    rip {:016x}    eflags {:08x}", context.Rip, context.EFlags);
}

/// The listener of [`wsk_nt::verify`]: one line per violation, with the function it happened in.
pub(crate) fn violation(violation: &Violation) {
    if violation.caller == 0 {
        say!("violation: {}: {}", violation.rule, violation.what);
    } else {
        let at = symbol::describe_caller(violation.caller);
        say!("violation: {}: {} (in {at})", violation.rule, violation.what);
    }
}
