//! Unwinding and structured exceptions of x64 drivers (spec/loader.md: SEH): virtual unwinding by .pdata and .xdata, the search
//! for a handler over a driver's frames, the unwinding to it, and the exports that drivers bind to.

pub(crate) mod dispatch;
mod epilogue;
pub(crate) mod handler;
pub(crate) mod table;
#[cfg(test)]
mod tests;
pub(crate) mod virtual_unwind;
pub(crate) mod walk;

pub(crate) use self::table::Function;
