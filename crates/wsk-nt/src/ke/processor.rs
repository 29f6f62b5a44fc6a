//! The processor block (KPCR) that drivers read through GS (imports.md 3): one per thread, as if each ran on a processor of
//! its own. It is freed, with the thread's object, when the thread ends.
#![allow(unsafe_code)] // Sets the base of GS, and reaches the block through it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::ps::thread;

/// The parts of KPCR and KPRCB that code reads; the rest is zero.
#[repr(C, align(4096))]
pub struct ProcessorBlock {
    _tib: [u8; 0x18],
    /// KPCR.Self.
    pub this: Cell<*const ProcessorBlock>,
    /// KPCR.CurrentPrcb.
    pub prcb: Cell<*const u8>,
    _before_irql: [u8; 0x50 - 0x28],
    /// The thread's IRQL: KPCR.Irql, which x64 code does not read itself; the loader's CR8 routines do.
    pub irql: Cell<u8>,
    _before_prcb: [u8; 0x184 - 0x51],
    /// KPRCB.LegacyNumber.
    pub legacy_number: Cell<u8>,
    _before_thread: [u8; 3],
    /// KPRCB.CurrentThread.
    pub thread: Cell<*const u8>,
    _before_number: [u8; 0x1a4 - 0x190],
    /// KPRCB.Number.
    pub number: Cell<u32>,
}

const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(ProcessorBlock, this) == 0x18);
    assert!(offset_of!(ProcessorBlock, prcb) == 0x20);
    assert!(offset_of!(ProcessorBlock, irql) == 0x50);
    assert!(offset_of!(ProcessorBlock, legacy_number) == 0x184);
    assert!(offset_of!(ProcessorBlock, thread) == 0x188);
    assert!(offset_of!(ProcessorBlock, number) == 0x1a4);
};

thread_local! {
    static BLOCK: Cell<Option<&'static ProcessorBlock>> = const { Cell::new(None) };
    static OWNER: Owner = const { Owner };
}

/// Frees the block of its thread.
struct Owner;

impl Drop for Owner {
    fn drop(&mut self) {
        let Some(block) = BLOCK.replace(None) else { return };
        set_gs(std::ptr::null());
        thread::leave(block.thread.get().cast_mut());
        // SAFETY: made by `make` on this thread, which ends now; nobody else keeps a reference beyond a call.
        unsafe { dealloc((&raw const *block).cast_mut().cast(), Layout::new::<ProcessorBlock>()) };
    }
}

/// Processors of the system, at most 64: one group.
pub fn count() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    match COUNT.load(Ordering::Relaxed) {
        0 => {
            let count = std::thread::available_parallelism().map_or(1, |n| n.get().min(64) as u32);
            COUNT.store(count, Ordering::Relaxed);
            count
        }
        count => count,
    }
}

/// The block of this thread; the first call on a thread makes it and points GS at it. To be called before driver code runs.
#[inline]
pub fn attach() -> &'static ProcessorBlock {
    match BLOCK.get() {
        Some(block) => block,
        None => make(),
    }
}

#[cold]
fn make() -> &'static ProcessorBlock {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let layout = Layout::new::<ProcessorBlock>();
    // SAFETY: the layout is not empty.
    let memory = unsafe { alloc_zeroed(layout) }.cast::<ProcessorBlock>();
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: fresh and zeroed, and all fields are valid as zeros.
    let block: &'static ProcessorBlock = unsafe { &*memory };
    block.this.set(block);
    block.prcb.set(memory.cast::<u8>().wrapping_add(0x180));
    let number = NEXT.fetch_add(1, Ordering::Relaxed) % count();
    block.number.set(number);
    block.legacy_number.set(number as u8);
    set_gs(memory);
    BLOCK.set(Some(block));
    let _ = OWNER.try_with(|_| ());
    block.thread.set(thread::enter().cast());
    if let Some(hook) = HOOK.get() {
        hook();
    }
    block
}

static HOOK: OnceLock<fn()> = OnceLock::new();

/// Has `hook` called on each thread that gets a block from now on (the loader gives it a stack for signals), once per process.
pub fn set_thread_hook(hook: fn()) {
    let _ = HOOK.set(hook);
}

fn set_gs(base: *const ProcessorBlock) {
    const ARCH_SET_GS: libc::c_int = 0x1001;
    // SAFETY: GS is unused by Rust and by the C library on x86-64 Linux.
    let result = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, base) };
    assert_eq!(result, 0, "arch_prctl(ARCH_SET_GS)");
}
