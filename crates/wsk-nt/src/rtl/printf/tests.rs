//! Formats, buffers, and the thunks of variadic exports.
#![allow(unsafe_code)] // Passes argument arrays.

use super::*;

fn print(text: &str, arguments: &[u64]) -> String {
    let characters: Vec<char> = text.chars().collect();
    // SAFETY: each test passes what its format asks for.
    unsafe { format(&characters, arguments.as_ptr(), false) }
}

#[test]
fn integers() {
    assert_eq!(print("%d %i %u", &[-5i64 as u64, 7, u64::MAX]), "-5 7 4294967295");
    assert_eq!(print("[%5d|%-5d|%05d|%+d|% d]", &[42, 42, 42, 42, 42]), "[   42|42   |00042|+42| 42]");
    assert_eq!(print("%x %X %#x %08X %.4x %o", &[0xab, 0xab, 0xab, 0xab, 0xab, 8]), "ab AB 0xab 000000AB 00ab 10");
    assert_eq!(
        print("%I64d %I64u %llx %lu %Iu", &[-1i64 as u64, u64::MAX, u64::MAX, u64::MAX, 9]),
        "-1 18446744073709551615 ffffffffffffffff 4294967295 9"
    );
    assert_eq!(print("%hd %hhu %I32d %zu", &[0x1_8000, 0x1ff, 0xffff_ffff, 1 << 40]), "-32768 255 -1 1099511627776");
    assert_eq!(print("%*d|%-*d|%.*d", &[4, 1, 4, 1, 3, 1]), "   1|1   |001");
    assert_eq!(print("%p %%", &[0x1234]), "0000000000001234 %");
}

#[test]
fn strings() {
    let narrow = c"text".as_ptr() as u64;
    let wide: Vec<u16> = "wide\0".encode_utf16().collect();
    let wide = wide.as_ptr() as u64;
    assert_eq!(print("%s %S %ws %ls %hs", &[narrow, wide, wide, wide, narrow]), "text wide wide wide text");
    assert_eq!(print("[%6s|%-6s|%.2s|%s]", &[narrow, narrow, narrow, 0]), "[  text|text  |te|(null)]");
    assert_eq!(print("%c%C%lc", &[0x41, 0x42, 0x43]), "ABC");
    let ansi = STRING { Length: 3, MaximumLength: 4, Buffer: narrow as *mut i8 };
    let unicode = UNICODE_STRING { Length: 4, MaximumLength: 8, Buffer: wide as *mut u16 };
    assert_eq!(print("%Z %wZ", &[(&raw const ansi) as u64, (&raw const unicode) as u64]), "tex wi");
}

#[test]
fn floats() {
    assert_eq!(
        print(
            "%f %.2f %e %g %g",
            &[1.5f64.to_bits(), 2.0f64.to_bits(), 12345.0f64.to_bits(), 0.5f64.to_bits(), 1e10f64.to_bits()]
        ),
        "1.500000 2.00 1.234500e+04 0.5 1e+10"
    );
}

#[test]
fn buffers_end_in_zero_only_if_there_is_room() {
    let mut buffer = [b'#'; 8];
    let text = c"abc%d".as_ptr().cast();
    // SAFETY: the buffer is as long as said.
    unsafe {
        assert_eq!(_vsnprintf(buffer.as_mut_ptr(), 8, text, [12u64].as_ptr()), 5);
        assert_eq!(&buffer[..7], b"abc12\0#");
        assert_eq!(_vsnprintf(buffer.as_mut_ptr(), 5, text, [77u64].as_ptr()), 5);
        assert_eq!(&buffer[..7], b"abc77\0#");
        assert_eq!(_vsnprintf(buffer.as_mut_ptr(), 4, text, [88u64].as_ptr()), -1);
        assert_eq!(&buffer[..7], b"abc87\0#");
    }
}

#[test]
fn variadic_thunks_find_their_arguments_in_registers_and_on_the_stack() {
    type Variadic = unsafe extern "win64" fn(*mut u8, usize, *const u8, u64, u64, u64) -> i32;
    // SAFETY: a variadic function is called with the registers and stack of a function of its actual arguments.
    unsafe {
        let print: Variadic = std::mem::transmute(std::hint::black_box(_snprintf as *const ()));
        let mut buffer = [0u8; 32];
        let length = print(buffer.as_mut_ptr(), 32, c"%d-%d-%s".as_ptr().cast(), 1, 2, c"three".as_ptr() as u64);
        assert_eq!(&buffer[..length as usize], b"1-2-three");
    }
}
