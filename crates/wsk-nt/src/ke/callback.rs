//! Marks a thread as running a callback of the subsystem, in which a driver must not wait (promise 5 of the design).

use std::cell::RefCell;

thread_local! {
    static RUNNING: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, this thread is inside the callback it names. Nestable.
#[must_use]
#[derive(Debug)]
pub struct Callback(());

/// Marks this thread as running the callback `name` until the guard is dropped.
pub fn enter_callback(name: &'static str) -> Callback {
    RUNNING.with_borrow_mut(|running| running.push(name));
    Callback(())
}

impl Drop for Callback {
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(|running| running.pop());
    }
}

/// The innermost callback this thread runs, if any.
pub fn current() -> Option<&'static str> {
    RUNNING.with_borrow(|running| running.last().copied())
}
