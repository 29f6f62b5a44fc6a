//! The processor block (KPCR) that drivers read through GS (imports.md 3): one per thread, as if each ran on a processor of
//! its own.
#![allow(unsafe_code)] // Sets the base of GS, and reaches the block through it.

use std::cell::Cell;

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
}

/// The block of this thread; the first call on a thread makes it and points GS at it. To be called before driver code runs.
pub fn attach() -> &'static ProcessorBlock {
    BLOCK.with(|slot| slot.get().unwrap_or_else(|| make(slot)))
}

#[cold]
fn make(slot: &Cell<Option<&'static ProcessorBlock>>) -> &'static ProcessorBlock {
    // SAFETY: all fields are valid as zeros.
    let block: &'static ProcessorBlock = Box::leak(unsafe { Box::<ProcessorBlock>::new_zeroed().assume_init() });
    block.this.set(block);
    block.prcb.set((&raw const *block).cast::<u8>().wrapping_add(0x180));
    const ARCH_SET_GS: libc::c_int = 0x1001;
    // SAFETY: GS is unused by Rust and by the C library on x86-64 Linux.
    let result = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, block) };
    assert_eq!(result, 0, "arch_prctl(ARCH_SET_GS)");
    slot.set(Some(block));
    block
}
