//! Unwind codes against stacks made by hand, and against noise.

use wsk_nt::ke::context::CONTEXT;

use super::table::Function;
use super::virtual_unwind::{EHANDLER, UHANDLER, leave};
use crate::context::zeroed;
use crate::view::View;

const CODE: u32 = 0x1000;
const INFO: u32 = 0x2000;
const BASE: u64 = 0x7000_0000_0000;

/// An image with one function of 0x100 bytes of nops and its unwind info.
struct Image(Vec<u8>);

impl Image {
    /// `head`: version and flags, prologue, count of codes, frame register.
    fn new(head: [u8; 4], codes: &[[u8; 2]], trailer: &[u32]) -> Image {
        let mut image = Image(vec![0x90; 0x3000]);
        let mut info = head.to_vec();
        info.extend(codes.iter().flatten());
        info.resize(info.len().next_multiple_of(4), 0);
        info.extend(trailer.iter().flat_map(|word| word.to_le_bytes()));
        image.put(INFO, &info);
        image
    }

    fn put(&mut self, rva: u32, bytes: &[u8]) {
        self.0[rva as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Leaves the function at an offset with this stack; the registers of the caller, the establisher's distance from the
    /// stack's start, and the handler.
    fn leave_at(&self, offset: u32, stack: &[u64], set: impl Fn(&mut CONTEXT)) -> (CONTEXT, u64, Option<(u32, u32)>) {
        let mut context = zeroed();
        context.Rip = BASE + u64::from(CODE + offset);
        context.Rsp = stack.as_ptr() as u64;
        set(&mut context);
        let function = Function { begin: CODE, end: CODE + 0x100, unwind: INFO };
        let unwound = leave(View(&self.0), BASE, function, EHANDLER | UHANDLER, &mut context).expect("good codes");
        let start = stack.as_ptr() as u64;
        context.Rsp -= start;
        (context, unwound.establisher.wrapping_sub(start), unwound.handler)
    }
}

/// push rbx; sub rsp, 16.
fn pushes_and_allocates() -> Image {
    Image::new([1, 5, 2, 0], &[[5, 0x12], [1, 0x30]], &[])
}

#[test]
fn pushes_and_allocations() {
    let image = pushes_and_allocates();
    let (caller, establisher, handler) = image.leave_at(0x20, &[0, 0, 0xbb, 0x1234], |_| ());
    assert_eq!((caller.Rbx, caller.Rip, caller.Rsp), (0xbb, 0x1234, 32));
    assert_eq!((establisher, handler), (0, None));
}

#[test]
fn in_the_prologue_only_what_it_has_done() {
    let image = pushes_and_allocates();
    let (caller, ..) = image.leave_at(0, &[0x1234], |context| context.Rbx = 7);
    assert_eq!((caller.Rbx, caller.Rip, caller.Rsp), (7, 0x1234, 8));
    let (caller, ..) = image.leave_at(1, &[0xbb, 0x1234], |_| ());
    assert_eq!((caller.Rbx, caller.Rip, caller.Rsp), (0xbb, 0x1234, 16));
}

#[test]
fn in_the_epilogue_what_is_left_of_it() {
    let mut image = pushes_and_allocates();
    image.put(CODE + 0x40, &[0x48, 0x83, 0xc4, 0x10, 0x5b, 0xc3]);
    let (caller, ..) = image.leave_at(0x40, &[0, 0, 0xbb, 0x1234], |_| ());
    assert_eq!((caller.Rbx, caller.Rip, caller.Rsp), (0xbb, 0x1234, 32));
    let (caller, ..) = image.leave_at(0x44, &[0xbb, 0x1234], |_| ());
    assert_eq!((caller.Rbx, caller.Rip, caller.Rsp), (0xbb, 0x1234, 16));
    let (caller, ..) = image.leave_at(0x45, &[0x1234], |_| ());
    assert_eq!((caller.Rip, caller.Rsp), (0x1234, 8));
    // A tail call: pop rbx; jmp out.
    image.put(CODE + 0x60, &[0x5b, 0xe9, 0, 0x10, 0, 0]);
    let (caller, ..) = image.leave_at(0x60, &[0xbb, 0x1234], |_| ());
    assert_eq!((caller.Rbx, caller.Rip), (0xbb, 0x1234));
    // A jump to a part that lies elsewhere, in the middle of the function: the frame is still there.
    image.put(CODE + 0x80, &[0xe9, 0, 0x10, 0, 0]);
    let (caller, ..) = image.leave_at(0x80, &[0, 0, 0xbb, 0x1234], |_| ());
    assert_eq!((caller.Rbx, caller.Rip), (0xbb, 0x1234));
}

#[test]
fn frame_registers_and_saved_registers() {
    // push rbp; sub rsp, 0x40; lea rbp, [rsp + 0x20]; mov [rsp + 0x30], rsi; movaps [rsp + 0x10], xmm6; then more is
    // allocated. With a handler.
    let codes = [[20, 0x68], [1, 0], [15, 0x64], [6, 0], [10, 0x03], [5, 0x72], [1, 0x50]];
    let image = Image::new([1 | EHANDLER << 3, 20, 7, 0x25], &codes, &[0x1080, 0xdada]);
    let mut stack = [0u64; 16];
    stack[4 + 6] = 0x51;
    stack[4 + 2] = 0x66;
    stack[4 + 3] = 0x77;
    stack[4 + 8] = 0xb9;
    stack[4 + 9] = 0x1234;
    let frame = stack.as_ptr() as u64 + 32;
    let (caller, establisher, handler) = image.leave_at(0x30, &stack, |context| context.Rbp = frame + 0x20);
    assert_eq!((caller.Rbp, caller.Rsi, caller.Rip), (0xb9, 0x51, 0x1234));
    let xmm6 = caller.FltSave.XmmRegisters[6];
    assert_eq!((xmm6.Low, xmm6.High), (0x66, 0x77));
    assert_eq!(caller.Rsp, (4 + 10) * 8);
    assert_eq!(establisher, 32);
    assert_eq!(handler, Some((0x1080, INFO + 4 + 16 + 4)));
    // No handler is called for an exception in the prologue.
    let (_, _, handler) = image.leave_at(0, &[0x1234], |_| ());
    assert_eq!(handler, None);
}

#[test]
fn large_allocations() {
    for (codes, size) in [(&[[7, 0x01], [4, 0]][..], 4 * 8), (&[[7, 0x11], [40, 0], [0, 0]], 40)] {
        let image = Image::new([1, 7, codes.len() as u8, 0], codes, &[]);
        let mut stack = [0u64; 8];
        stack[size / 8] = 0x1234;
        let (caller, ..) = image.leave_at(0x20, &stack, |_| ());
        assert_eq!((caller.Rip, caller.Rsp), (0x1234, size as u64 + 8));
    }
}

#[test]
fn chained_codes_and_version_two() {
    // sub rsp, 8 here, push rdi in the primary function.
    let mut image = Image::new([1 | 4 << 3, 4, 1, 0], &[[4, 0x02]], &[CODE, CODE + 0x100, 0x2800]);
    image.put(0x2800, &[1 | UHANDLER << 3, 1, 1, 0, 1, 0x70, 0, 0, 0x90, 0x10, 0, 0]);
    let (caller, _, handler) = image.leave_at(0x20, &[0, 0xd1, 0x1234], |_| ());
    assert_eq!((caller.Rdi, caller.Rip, caller.Rsp), (0xd1, 0x1234, 24));
    assert_eq!(handler, Some((0x1090, 0x280c)));
    // Version 2: codes of epilogues come first.
    let image = Image::new([2, 1, 4, 0], &[[1, 0x16], [0, 0x06], [1, 0x30], [0, 0]], &[]);
    let (caller, ..) = image.leave_at(0x20, &[0xbb, 0x1234], |_| ());
    assert_eq!(caller.Rbx, 0xbb);
}

#[test]
fn machine_frames() {
    for (detail, skipped) in [(0x0a, 0), (0x1a, 1)] {
        let image = Image::new([1, 1, 1, 0], &[[1, detail]], &[]);
        let mut stack = [0u64; 6];
        stack[skipped] = 0x1234;
        stack[skipped + 3] = stack.as_ptr() as u64 + 0x500;
        let (caller, ..) = image.leave_at(0x20, &stack, |_| ());
        assert_eq!((caller.Rip, caller.Rsp), (0x1234, 0x500));
    }
}

#[test]
fn noise_is_refused_or_followed_but_never_fatal() {
    crate::trap::install();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let stack = [0u64; 64];
    for _ in 0..20_000 {
        let mut image = Image(vec![0; 0x3000]);
        for word in image.0[CODE as usize..].chunks_exact_mut(8).take(0x40) {
            word.copy_from_slice(&next().to_le_bytes());
        }
        for word in image.0[INFO as usize..].chunks_exact_mut(8).take(0x80) {
            word.copy_from_slice(&next().to_le_bytes());
        }
        // Often a version that is looked at further.
        image.0[INFO as usize] = image.0[INFO as usize] & 0xf8 | (1 + next() % 2) as u8;
        let mut context = zeroed();
        context.Rip = BASE + u64::from(CODE) + next() % 0x100;
        context.Rsp = stack.as_ptr() as u64;
        context.Rbp = next();
        let function = Function { begin: CODE, end: CODE + 0x100, unwind: INFO | (next() % 8 == 0) as u32 };
        let _ = leave(View(&image.0), BASE, function, EHANDLER, &mut context);
    }
}
