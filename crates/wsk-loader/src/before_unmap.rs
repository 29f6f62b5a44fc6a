//! What the process wants done while a driver that is over is still mapped.

use std::ops::Range;
use std::sync::OnceLock;

type Hook = fn(&Range<usize>);

static HOOK: OnceLock<Hook> = OnceLock::new();

/// Sets what is called whenever a driver is over, with the addresses of its image: to stop what would still call it, such as
/// sockets it left open, and to wait until none does. DriverUnload has returned, or DriverEntry has failed, and what was left
/// open has been reported; the image is still mapped and its names known. When the hook returns, the image is taken away.
/// Once per process: the first hook stays.
pub fn set_before_unmap(hook: fn(&Range<usize>)) {
    let _ = HOOK.set(hook);
}

/// The hook, if one is set.
pub(crate) fn hook() -> Option<Hook> {
    HOOK.get().copied()
}
