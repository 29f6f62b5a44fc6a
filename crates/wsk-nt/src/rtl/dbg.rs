//! The DbgPrint family: lines, put together per thread and given to a sink. Bytes become text at the sink only.
#![allow(unsafe_code)] // Follows the arguments of a driver's call.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use wsk_abi::NtStatus;

use crate::exports;
use crate::io::driver::driver_at;
use crate::rtl::printf::{self, Arguments, variadic};

/// Takes a line without its end, and the driver's address of the call that printed its last part.
pub type Sink = fn(&str, usize);

static SINK: RwLock<Option<Sink>> = RwLock::new(None);

/// Sets who prints lines; without one they go to stdout.
pub fn set_sink(sink: Sink) {
    *SINK.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(sink);
}

/// What a thread printed without a line's end yet, and who did.
struct Partial {
    text: Vec<u8>,
    caller: usize,
}

/// By thread, so that whoever knows that no more will come can print them. Never empty ones.
static PARTIAL: Mutex<BTreeMap<u64, Partial>> = Mutex::new(BTreeMap::new());

/// A line is printed at this length, ended or not.
const LONGEST: usize = 1 << 16;

/// A thread's key; when the thread ends, its partial line is printed.
struct Printer(u64);

impl Drop for Printer {
    fn drop(&mut self) {
        emit_taken(|thread, _| thread == self.0);
    }
}

thread_local! {
    static PRINTER: Printer = {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Printer(NEXT.fetch_add(1, Ordering::Relaxed))
    };
}

fn emit(line: &[u8], caller: usize) {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end_matches('\r');
    let sink = *SINK.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    match sink {
        Some(sink) => sink(line, caller),
        None => println!("{line}"),
    }
}

/// Takes the partial lines out that are wanted, and prints them.
fn emit_taken(mut wanted: impl FnMut(u64, &Partial) -> bool) {
    let taken: Vec<Partial> = {
        let mut all = PARTIAL.lock();
        let threads: Vec<u64> =
            all.iter().filter(|(thread, partial)| wanted(**thread, partial)).map(|(&thread, _)| thread).collect();
        threads.iter().filter_map(|thread| all.remove(thread)).collect()
    };
    taken.iter().for_each(|partial| emit(&partial.text, partial.caller));
}

/// Prints text of a driver: whole lines go out. A line that another driver began on this thread ends where this one prints.
pub(crate) fn print(text: &[u8], caller: usize) {
    let Ok(thread) = PRINTER.try_with(|printer| printer.0) else {
        // The thread ends: nobody would print the rest.
        text.strip_suffix(b"\n").unwrap_or(text).split(|&byte| byte == b'\n').for_each(|line| emit(line, caller));
        return;
    };
    let mut lines: Vec<(Vec<u8>, usize)> = Vec::new();
    let before = PARTIAL.lock().remove(&thread);
    let mut line = match before {
        Some(partial) if driver_at(partial.caller) != driver_at(caller) => {
            lines.push((partial.text, partial.caller));
            Vec::new()
        }
        Some(partial) => partial.text,
        None => Vec::new(),
    };
    for piece in text.split_inclusive(|&byte| byte == b'\n') {
        let (part, ended) = piece.strip_suffix(b"\n").map_or((piece, false), |part| (part, true));
        line.extend_from_slice(part);
        if ended || line.len() >= LONGEST {
            lines.push((std::mem::take(&mut line), caller));
        }
    }
    if !line.is_empty() {
        PARTIAL.lock().insert(thread, Partial { text: line, caller });
    }
    lines.iter().for_each(|(line, caller)| emit(line, *caller));
}

/// Prints what this thread has not ended a line of.
pub fn flush() {
    let Ok(this) = PRINTER.try_with(|printer| printer.0) else { return };
    emit_taken(|thread, _| thread == this);
}

/// Prints what any thread has not ended a line of: when the process ends.
pub fn flush_all() {
    emit_taken(|_, _| true);
}

/// Prints the lines not ended that code in the range printed the last part of, on whatever thread: when a driver is gone, while
/// its image is still known.
pub fn flush_in(range: &Range<usize>) {
    emit_taken(|_, partial| range.contains(&partial.caller));
}

unsafe extern "win64" fn print_formatted(format: *const u8, arguments: Arguments) -> NtStatus {
    let caller = crate::caller::current();
    // SAFETY: the driver's format and arguments.
    let text = unsafe { printf::format(format, arguments) };
    print(&text, caller);
    NtStatus::SUCCESS
}

unsafe extern "win64" fn print_with_component(
    _component: u32,
    _level: u32,
    format: *const u8,
    arguments: Arguments,
) -> NtStatus {
    // SAFETY: the driver's format and arguments.
    unsafe { print_formatted(format, arguments) }
}

/// vDbgPrintExWithPrefix.
unsafe extern "win64" fn vDbgPrintExWithPrefix(
    prefix: *const u8,
    component: u32,
    level: u32,
    format: *const u8,
    arguments: Arguments,
) -> NtStatus {
    // SAFETY: the driver's strings and arguments.
    unsafe {
        print(&printf::text(prefix), crate::caller::current());
        print_with_component(component, level, format, arguments)
    }
}

variadic! {
    /// DbgPrint.
    DbgPrint = print_formatted, fixed 1
}
variadic! {
    /// DbgPrintEx.
    DbgPrintEx = print_with_component, fixed 3
}

/// DbgPrompt: nobody answers.
extern "win64" fn DbgPrompt(_prompt: *const u8, _response: *mut u8, _length: u32) -> u32 {
    0
}

/// DbgSetDebugFilterState, DbgQueryDebugFilterState: everything is printed.
extern "win64" fn DbgQueryDebugFilterState(_component: u32, _level: u32) -> u32 {
    1
}

/// DbgSetDebugFilterState.
extern "win64" fn DbgSetDebugFilterState(_component: u32, _level: u32, _state: u8) -> NtStatus {
    NtStatus::SUCCESS
}

/// DbgBreakPoint, DbgBreakPointWithStatus: a trap that the loader reports.
#[unsafe(naked)]
extern "win64" fn DbgBreakPoint() {
    std::arch::naked_asm!("int3", "ret")
}

/// RtlAssert: a failed ASSERT of a checked build.
unsafe extern "win64" fn RtlAssert(expression: *const u8, file: *const u8, line: u32, message: *const u8) {
    // SAFETY: the driver's strings, or NULL.
    let (expression, file, message) = unsafe {
        let text = |address| String::from_utf8_lossy(&printf::text(address)).into_owned();
        (text(expression), text(file), if message.is_null() { String::new() } else { format!(" ({})", text(message)) })
    };
    crate::verify::violation("assertion failed", format!("{expression}{message}, {file} line {line}"));
}

exports! {
    DbgPrint, DbgPrintEx, vDbgPrintEx = print_with_component, vDbgPrintExWithPrefix, DbgPrintReturnControlC = DbgPrint,
    DbgPrompt, DbgQueryDebugFilterState, DbgSetDebugFilterState, DbgBreakPoint, DbgBreakPointWithStatus = DbgBreakPoint,
    RtlAssert,
}
