//! CONTEXT, EXCEPTION_RECORD: the machine state that exceptions carry (winnt.h).
#![allow(missing_docs)] // The members are those of winnt.h.

use std::ffi::c_void;

/// CONTEXT_AMD64 with control, integer, segment and floating point parts.
pub const CONTEXT_ALL: u32 = 0x0010_000F;
/// EXCEPTION_NONCONTINUABLE.
pub const EXCEPTION_NONCONTINUABLE: u32 = 1;

/// A 128-bit register.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct M128A {
    pub Low: u64,
    pub High: i64,
}

/// The image of FXSAVE64.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug)]
pub struct XMM_SAVE_AREA32 {
    pub Header: [u8; 0x18],
    pub MxCsr: u32,
    pub MxCsr_Mask: u32,
    pub FloatRegisters: [M128A; 8],
    pub XmmRegisters: [M128A; 16],
    pub Reserved4: [u8; 96],
}

/// The registers of a thread, x64.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug)]
pub struct CONTEXT {
    pub P1Home: u64,
    pub P2Home: u64,
    pub P3Home: u64,
    pub P4Home: u64,
    pub P5Home: u64,
    pub P6Home: u64,
    pub ContextFlags: u32,
    pub MxCsr: u32,
    pub SegCs: u16,
    pub SegDs: u16,
    pub SegEs: u16,
    pub SegFs: u16,
    pub SegGs: u16,
    pub SegSs: u16,
    pub EFlags: u32,
    pub Dr0: u64,
    pub Dr1: u64,
    pub Dr2: u64,
    pub Dr3: u64,
    pub Dr6: u64,
    pub Dr7: u64,
    pub Rax: u64,
    pub Rcx: u64,
    pub Rdx: u64,
    pub Rbx: u64,
    pub Rsp: u64,
    pub Rbp: u64,
    pub Rsi: u64,
    pub Rdi: u64,
    pub R8: u64,
    pub R9: u64,
    pub R10: u64,
    pub R11: u64,
    pub R12: u64,
    pub R13: u64,
    pub R14: u64,
    pub R15: u64,
    pub Rip: u64,
    pub FltSave: XMM_SAVE_AREA32,
    pub VectorRegister: [M128A; 26],
    pub VectorControl: u64,
    pub DebugControl: u64,
    pub LastBranchToRip: u64,
    pub LastBranchFromRip: u64,
    pub LastExceptionToRip: u64,
    pub LastExceptionFromRip: u64,
}

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<CONTEXT>() == 1232);
    assert!(size_of::<XMM_SAVE_AREA32>() == 512);
    assert!(offset_of!(XMM_SAVE_AREA32, XmmRegisters) == 0xa0);
    assert!(offset_of!(CONTEXT, ContextFlags) == 0x30);
    assert!(offset_of!(CONTEXT, EFlags) == 0x44);
    assert!(offset_of!(CONTEXT, Rax) == 0x78);
    assert!(offset_of!(CONTEXT, Rsp) == 0x98);
    assert!(offset_of!(CONTEXT, Rip) == 0xf8);
    assert!(offset_of!(CONTEXT, FltSave) == 0x100);
    assert!(offset_of!(CONTEXT, VectorRegister) == 0x300);
    assert!(offset_of!(CONTEXT, LastExceptionFromRip) == 0x4c8);
};

/// What happened (DDI: EXCEPTION_RECORD).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct EXCEPTION_RECORD {
    pub ExceptionCode: u32,
    pub ExceptionFlags: u32,
    pub ExceptionRecord: *mut EXCEPTION_RECORD,
    pub ExceptionAddress: *mut c_void,
    pub NumberParameters: u32,
    pub ExceptionInformation: [usize; 15],
}

const _: () = assert!(std::mem::size_of::<EXCEPTION_RECORD>() == 152);
