//! Formats, buffers, and the thunks of variadic exports.
#![allow(unsafe_code)] // Passes argument arrays.

use super::*;

fn print(text: &str, arguments: &[u64]) -> String {
    String::from_utf8(bytes(text.as_bytes(), arguments)).unwrap()
}

/// What _vsnprintf prints.
fn bytes(text: &[u8], arguments: &[u64]) -> Vec<u8> {
    let text: Vec<u8> = text.iter().copied().chain([0]).collect();
    let mut buffer = vec![0u8; 1 << 18];
    // SAFETY: each test passes what its format asks for.
    let length = unsafe { _vsnprintf(buffer.as_mut_ptr(), buffer.len(), text.as_ptr(), arguments.as_ptr()) };
    buffer.truncate(length.try_into().expect("the text fits"));
    buffer
}

/// What _vsnwprintf prints.
fn wide_units(text: &str, arguments: &[u64]) -> Vec<u16> {
    let text: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let mut buffer = vec![0u16; 256];
    // SAFETY: each test passes what its format asks for.
    let length = unsafe { _vsnwprintf(buffer.as_mut_ptr(), buffer.len(), text.as_ptr(), arguments.as_ptr()) };
    buffer.truncate(length.try_into().expect("the text fits"));
    buffer
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

#[test]
fn huge_widths_and_precisions_are_cut() {
    let half = 0.5f64.to_bits();
    let huge = i32::MAX as u64;
    for conversion in ["f", "e", "g", "F", "E", "G"] {
        let text = print(&format!("%.*{conversion}"), &[huge, half]);
        assert!(text.len() <= 520, "{}", text.len());
        assert!(print(&format!("%.70000{conversion}"), &[half]).len() <= 520);
        assert_eq!(print(&format!("%*{conversion}"), &[huge, half]).len(), 1 << 16);
    }
    assert_eq!(print("%.*d", &[huge, 1]).len(), 1 << 16);
    assert_eq!(print("%99999999999999999999d", &[1]).len(), 1 << 16);
    // A string's precision is a limit, not a size.
    let long: Vec<u8> = std::iter::repeat_n(b'x', 100_000).chain([0]).collect();
    assert_eq!(print("%.80000s", &[long.as_ptr() as u64]).len(), 80_000);
    assert_eq!(print("%.*s", &[huge, long.as_ptr() as u64]).len(), 100_000);
    let mut buffer = [b'#'; 4];
    // SAFETY: the buffer is as long as said. Nothing more than it is made.
    let length = unsafe { _vsnprintf(buffer.as_mut_ptr(), 3, c"%*d%*d".as_ptr().cast(), [huge, 1, huge, 1].as_ptr()) };
    assert_eq!((length, &buffer), (-1, b"   #"));
}

#[test]
fn narrow_text_is_bytes() {
    let latin = c"na\xefve";
    assert_eq!(
        bytes(
            b"\xe9%s|%6s|%.3s|%c%hc",
            &[latin.as_ptr() as u64, latin.as_ptr() as u64, latin.as_ptr() as u64, 0xff, 0x1e9,]
        ),
        b"\xe9na\xefve| na\xefve|na\xef|\xff\xe9"
    );
    // Whatever the bytes mean: a width counts them.
    assert_eq!(bytes("%4s|".as_bytes(), &[c"é€".as_ptr() as u64]), "é€|".as_bytes());
    let wide: Vec<u16> = "é\0".encode_utf16().collect();
    assert_eq!(bytes(b"[%4ls%C]", &[wide.as_ptr() as u64, 0x20ac]), "[  é€]".as_bytes());
    let ansi = STRING { Length: 3, MaximumLength: 3, Buffer: latin.as_ptr().cast_mut() };
    assert_eq!(bytes(b"%Z", &[(&raw const ansi) as u64]), b"na\xef");
    assert_eq!(bytes(b"%\xe9%y", &[]), b"%\xe9%y");
}

#[test]
fn wide_text_is_units() {
    let text = wide_units("ü%hs|%hs|%c%hc", &[c"na\xefve".as_ptr() as u64, c"é".as_ptr() as u64, 0xd800, 0xe9]);
    let mut expected: Vec<u16> = "ünaïve|é|".encode_utf16().collect();
    expected.extend([0xd800, 0xe9]);
    assert_eq!(text, expected);
    let lone = [0x61u16, 0xdc00, 0];
    assert_eq!(wide_units("%4s%3d", &[lone.as_ptr() as u64, 7]), [0x20, 0x20, 0x61, 0xdc00, 0x20, 0x20, 0x37]);
}

#[test]
fn the_shortest_form_is_chosen_after_rounding() {
    let g = |text: &str, value: f64| print(text, &[value.to_bits()]);
    assert_eq!(g("%g", 999_999.5), "1e+06");
    assert_eq!(g("%g", 999_999.4), "999999");
    assert_eq!(g("%g", 0.000_099_999_95), "0.0001");
    assert_eq!(g("%g", 0.000_099_999_94), "9.99999e-05");
    assert_eq!(g("%.3g", 999.6), "1e+03");
    assert_eq!((g("%g", 0.0), g("%g", 100_000.0), g("%g", 1e-5)), ("0".into(), "100000".into(), "1e-05".into()));
}
