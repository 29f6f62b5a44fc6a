//! Memory routines. They are leaves: no stack, no register that a caller expects to keep; so that a fault inside one, under a
//! driver's `__try`, unwinds as if the driver's own instruction had faulted.
#![allow(unsafe_code)] // Assembly.

use std::ffi::c_void;
use std::ops::Range;

use crate::exports;

std::arch::global_asm!(
    ".pushsection .text.wsk_nt_leaf,\"ax\",@progbits",
    ".hidden wsk_nt_leaf_start",
    ".globl wsk_nt_leaf_start",
    "wsk_nt_leaf_start:",
    // memmove(rcx to, rdx from, r8 length): backwards if `to` lies inside the source.
    ".hidden wsk_nt_memmove",
    ".globl wsk_nt_memmove",
    "wsk_nt_memmove:",
    "mov rax, rcx",
    "mov r9, rcx",
    "sub r9, rdx",
    "cmp r9, r8",
    "jb 5f",
    "cmp r8, 32",
    "jb 3f",
    "2:",
    "movups xmm0, [rdx]",
    "movups xmm1, [rdx + 16]",
    "movups [rcx], xmm0",
    "movups [rcx + 16], xmm1",
    "add rdx, 32",
    "add rcx, 32",
    "sub r8, 32",
    "cmp r8, 32",
    "jae 2b",
    "3:",
    "test r8, r8",
    "jz 4f",
    "33:",
    "mov r9b, [rdx]",
    "mov [rcx], r9b",
    "inc rdx",
    "inc rcx",
    "dec r8",
    "jnz 33b",
    "4:",
    "ret",
    "5:",
    "test r8, r8",
    "jz 4b",
    "cmp r8, 16",
    "jb 7f",
    "6:",
    "movups xmm0, [rdx + r8 - 16]",
    "movups [rcx + r8 - 16], xmm0",
    "sub r8, 16",
    "cmp r8, 16",
    "jae 6b",
    "test r8, r8",
    "jz 4b",
    "7:",
    "mov r9b, [rdx + r8 - 1]",
    "mov [rcx + r8 - 1], r9b",
    "dec r8",
    "jnz 7b",
    "ret",
    // memset(rcx to, edx value, r8 length)
    ".hidden wsk_nt_memset",
    ".globl wsk_nt_memset",
    "wsk_nt_memset:",
    "mov rax, rcx",
    "movzx r9d, dl",
    "mov r10, 0x0101010101010101",
    "imul r9, r10",
    "movq xmm0, r9",
    "punpcklqdq xmm0, xmm0",
    "cmp r8, 16",
    "jb 3f",
    "2:",
    "movups [rcx], xmm0",
    "add rcx, 16",
    "sub r8, 16",
    "cmp r8, 16",
    "jae 2b",
    "3:",
    "test r8, r8",
    "jz 4f",
    "33:",
    "mov [rcx], r9b",
    "inc rcx",
    "dec r8",
    "jnz 33b",
    "4:",
    "ret",
    // RtlFillMemory(rcx to, rdx length, r8b value)
    ".hidden wsk_nt_fill",
    ".globl wsk_nt_fill",
    "wsk_nt_fill:",
    "xchg rdx, r8",
    "jmp wsk_nt_memset",
    // RtlZeroMemory(rcx to, rdx length)
    ".hidden wsk_nt_zero",
    ".globl wsk_nt_zero",
    "wsk_nt_zero:",
    "mov r8, rdx",
    "xor edx, edx",
    "jmp wsk_nt_memset",
    // memcmp(rcx, rdx, r8 length)
    ".hidden wsk_nt_memcmp",
    ".globl wsk_nt_memcmp",
    "wsk_nt_memcmp:",
    "cmp r8, 8",
    "jb 3f",
    "2:",
    "mov rax, [rcx]",
    "cmp rax, [rdx]",
    "jne 3f",
    "add rcx, 8",
    "add rdx, 8",
    "sub r8, 8",
    "cmp r8, 8",
    "jae 2b",
    "3:",
    "test r8, r8",
    "jz 5f",
    "4:",
    "movzx eax, byte ptr [rcx]",
    "movzx r9d, byte ptr [rdx]",
    "sub eax, r9d",
    "jnz 6f",
    "inc rcx",
    "inc rdx",
    "dec r8",
    "jnz 4b",
    "5:",
    "xor eax, eax",
    "6:",
    "ret",
    // RtlCompareMemory(rcx, rdx, r8 length): bytes that are equal
    ".hidden wsk_nt_compare",
    ".globl wsk_nt_compare",
    "wsk_nt_compare:",
    "xor eax, eax",
    "2:",
    "cmp rax, r8",
    "jae 3f",
    "mov r9b, [rcx + rax]",
    "cmp r9b, [rdx + rax]",
    "jne 3f",
    "inc rax",
    "jmp 2b",
    "3:",
    "ret",
    // strlen(rcx), wcslen(rcx)
    ".hidden wsk_nt_strlen",
    ".globl wsk_nt_strlen",
    "wsk_nt_strlen:",
    "xor eax, eax",
    "2:",
    "cmp byte ptr [rcx + rax], 0",
    "je 3f",
    "inc rax",
    "jmp 2b",
    "3:",
    "ret",
    ".hidden wsk_nt_wcslen",
    ".globl wsk_nt_wcslen",
    "wsk_nt_wcslen:",
    "xor eax, eax",
    "2:",
    "cmp word ptr [rcx + rax * 2], 0",
    "je 3f",
    "inc rax",
    "jmp 2b",
    "3:",
    "ret",
    // strnlen(rcx, rdx), wcsnlen(rcx, rdx)
    ".hidden wsk_nt_strnlen",
    ".globl wsk_nt_strnlen",
    "wsk_nt_strnlen:",
    "xor eax, eax",
    "2:",
    "cmp rax, rdx",
    "jae 3f",
    "cmp byte ptr [rcx + rax], 0",
    "je 3f",
    "inc rax",
    "jmp 2b",
    "3:",
    "ret",
    ".hidden wsk_nt_wcsnlen",
    ".globl wsk_nt_wcsnlen",
    "wsk_nt_wcsnlen:",
    "xor eax, eax",
    "2:",
    "cmp rax, rdx",
    "jae 3f",
    "cmp word ptr [rcx + rax * 2], 0",
    "je 3f",
    "inc rax",
    "jmp 2b",
    "3:",
    "ret",
    ".hidden wsk_nt_leaf_end",
    ".globl wsk_nt_leaf_end",
    "wsk_nt_leaf_end:",
    ".popsection",
);

unsafe extern "win64" {
    #[link_name = "wsk_nt_memmove"]
    pub(crate) unsafe fn memmove(to: *mut c_void, from: *const c_void, length: usize) -> *mut c_void;
    #[link_name = "wsk_nt_memset"]
    pub(crate) unsafe fn memset(to: *mut c_void, value: i32, length: usize) -> *mut c_void;
    #[link_name = "wsk_nt_fill"]
    fn RtlFillMemory(to: *mut c_void, length: usize, value: u8);
    #[link_name = "wsk_nt_zero"]
    fn RtlZeroMemory(to: *mut c_void, length: usize);
    #[link_name = "wsk_nt_memcmp"]
    pub(crate) unsafe fn memcmp(a: *const c_void, b: *const c_void, length: usize) -> i32;
    #[link_name = "wsk_nt_compare"]
    pub(crate) unsafe fn RtlCompareMemory(a: *const c_void, b: *const c_void, length: usize) -> usize;
    #[link_name = "wsk_nt_strlen"]
    pub(crate) unsafe fn strlen(text: *const u8) -> usize;
    #[link_name = "wsk_nt_wcslen"]
    pub(crate) unsafe fn wcslen(text: *const u16) -> usize;
    #[link_name = "wsk_nt_strnlen"]
    fn strnlen(text: *const u8, limit: usize) -> usize;
    #[link_name = "wsk_nt_wcsnlen"]
    fn wcsnlen(text: *const u16, limit: usize) -> usize;
    #[link_name = "wsk_nt_leaf_start"]
    fn leaf_start();
    #[link_name = "wsk_nt_leaf_end"]
    fn leaf_end();
}

/// Where the leaf routines lie: for a fault at an address in it, the frame is the caller's with the return address at
/// `[rsp]`, and all non-volatile registers are as the caller left them.
pub fn leaf_routines() -> Range<usize> {
    leaf_start as *const () as usize..leaf_end as *const () as usize
}

/// RtlPrefetchMemoryNonTemporal.
extern "win64" fn RtlPrefetchMemoryNonTemporal(_source: *const c_void, _length: usize) {}

exports! {
    memcpy = memmove, memmove, memset, memcmp, RtlMoveMemory = memmove, RtlCopyMemory = memmove,
    RtlCopyMemoryNonTemporal = memmove, RtlFillMemory, RtlZeroMemory, RtlSecureZeroMemory = RtlZeroMemory,
    RtlCompareMemory, strlen, wcslen, strnlen, wcsnlen, RtlPrefetchMemoryNonTemporal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_in_both_directions_at_every_length_and_distance() {
        for length in 0..100 {
            for from in 0..50 {
                for to in 0..50 {
                    let mut ours: Vec<u8> = (0..200).collect();
                    let mut expected = ours.clone();
                    expected.copy_within(from..from + length, to);
                    let base = ours.as_mut_ptr();
                    // SAFETY: both ranges lie in the buffer.
                    let result = unsafe { memmove(base.add(to).cast(), base.add(from).cast(), length) };
                    assert_eq!(result, base.wrapping_add(to).cast());
                    assert_eq!(ours, expected, "{length} bytes from {from} to {to}");
                }
            }
        }
    }

    #[test]
    fn sets_compares_and_measures() {
        let mut bytes = [7u8; 50];
        // SAFETY: in bounds.
        unsafe {
            memset(bytes.as_mut_ptr().add(1).cast(), 0x1ff, 37);
            assert!(bytes[1..38].iter().all(|&byte| byte == 0xff) && bytes[0] == 7 && bytes[38] == 7);
            RtlFillMemory(bytes.as_mut_ptr().cast(), 3, b'x');
            RtlZeroMemory(bytes.as_mut_ptr().add(3).cast(), 2);
            assert_eq!(&bytes[..6], b"xxx\0\0\xff");
            assert_eq!((strlen(bytes.as_ptr()), strnlen(bytes.as_ptr(), 2), strnlen(bytes.as_ptr(), 9)), (3, 2, 3));
            assert!(memcmp(b"12345678a".as_ptr().cast(), b"12345678b".as_ptr().cast(), 9) < 0);
            assert!(memcmp(b"2234567890".as_ptr().cast(), b"1334567890".as_ptr().cast(), 10) > 0);
            assert_eq!(memcmp(b"12345678a".as_ptr().cast(), b"12345678b".as_ptr().cast(), 8), 0);
            assert_eq!(RtlCompareMemory(b"abcd".as_ptr().cast(), b"abxd".as_ptr().cast(), 4), 2);
            let wide = [u16::from(b'a'), 0x100, 0];
            assert_eq!((wcslen(wide.as_ptr()), wcsnlen(wide.as_ptr(), 1)), (2, 1));
        }
        assert!(leaf_routines().contains(&(memmove as *const () as usize)));
    }
}
