//! The DbgPrint family: lines, put together per thread and given to a sink.
#![allow(unsafe_code)] // Follows the arguments of a driver's call.

use std::cell::RefCell;
use std::sync::RwLock;

use wsk_abi::NtStatus;

use crate::exports;
use crate::rtl::printf::{self, Arguments, variadic};

/// Takes a line without its end, and the driver's address of the call that ended it.
pub type Sink = fn(&str, usize);

static SINK: RwLock<Option<Sink>> = RwLock::new(None);

/// Sets who prints lines; without one they go to stdout.
pub fn set_sink(sink: Sink) {
    *SINK.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(sink);
}

/// What this thread printed without a line's end yet; printed when the thread ends.
struct Partial(RefCell<(String, usize)>);

impl Drop for Partial {
    fn drop(&mut self) {
        let (text, caller) = self.0.take();
        if !text.is_empty() {
            emit(&text, caller);
        }
    }
}

thread_local! {
    static PARTIAL: Partial = const { Partial(RefCell::new((String::new(), 0))) };
}

fn emit(line: &str, caller: usize) {
    let sink = *SINK.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    match sink {
        Some(sink) => sink(line, caller),
        None => println!("{line}"),
    }
}

/// Prints text of a driver: whole lines go out.
pub(crate) fn print(text: &str, caller: usize) {
    let lines = PARTIAL.try_with(|partial| {
        let mut partial = partial.0.borrow_mut();
        partial.1 = caller;
        let mut lines = Vec::new();
        for piece in text.split_inclusive('\n') {
            match piece.strip_suffix('\n') {
                Some(end) => {
                    let mut line = std::mem::take(&mut partial.0);
                    line.push_str(end);
                    lines.push(line);
                }
                None => partial.0.push_str(piece),
            }
        }
        lines
    });
    for line in lines.unwrap_or_default() {
        emit(line.trim_end_matches('\r'), caller);
    }
}

/// Prints what this thread has not ended a line of; the loader calls it when a driver is gone.
pub fn flush() {
    let (text, caller) = PARTIAL.with(|partial| partial.0.take());
    if !text.is_empty() {
        emit(&text, caller);
    }
}

unsafe extern "win64" fn print_formatted(format: *const u8, arguments: Arguments) -> NtStatus {
    let caller = crate::caller::current();
    // SAFETY: the driver's format and arguments.
    let text = unsafe { printf::format(&printf::format_characters(format), arguments, false) };
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
        let prefix: String = printf::format_characters(prefix).into_iter().collect();
        print(&prefix, crate::caller::current());
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
        let text = |address| String::from_iter(printf::format_characters(address));
        (text(expression), text(file), if message.is_null() { String::new() } else { format!(" ({})", text(message)) })
    };
    crate::verify::violation("assertion failed", format!("{expression}{message}, {file} line {line}"));
}

exports! {
    DbgPrint, DbgPrintEx, vDbgPrintEx = print_with_component, vDbgPrintExWithPrefix, DbgPrintReturnControlC = DbgPrint,
    DbgPrompt, DbgQueryDebugFilterState, DbgSetDebugFilterState, DbgBreakPoint, DbgBreakPointWithStatus = DbgBreakPoint,
    RtlAssert,
}
