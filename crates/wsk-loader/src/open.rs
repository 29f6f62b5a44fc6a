//! What drivers had open when the system stopped.

/// Prints it.
pub(crate) fn print() {
    for module in crate::module::all() {
        eprintln!("loaded: {} at {:#x} to {:#x}", module.name, module.range().start, module.range().end);
    }
}

/// If an address lies in memory that has been freed and is guarded: what is known of it.
pub(crate) fn freed_memory(_address: u64, _write: bool) -> Option<String> {
    None
}
