//! Counted strings, conversions, printing; run-once; what the system says of itself.
#![allow(unsafe_code)] // Calls exports.

use std::ffi::c_void;
use std::sync::Mutex;

use wsk_abi::NtStatus;
use wsk_abi::io::{STRING, UNICODE_STRING};
use wsk_abi::nmr::GUID;

use crate::export::{Kind, find};
use crate::rtl::convert::*;
use crate::rtl::dbg::{DbgPrint, flush_all, flush_in, set_sink};
use crate::rtl::misc::RtlRunOnceExecuteOnce;
use crate::rtl::string::*;
use crate::rtl::version::{RTL_OSVERSIONINFOEXW, RtlGetVersion};
use crate::text::wide;

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

fn pointing_at(units: &[u16]) -> UNICODE_STRING {
    let mut string = UNICODE_STRING::default();
    // SAFETY: the units end in zero.
    unsafe { RtlInitUnicodeString(&raw mut string, units.as_ptr()) };
    string
}

/// An empty string over room for `count` units.
fn room(buffer: &mut [u16], count: usize) -> UNICODE_STRING {
    UNICODE_STRING { Length: 0, MaximumLength: (count * 2) as u16, Buffer: buffer.as_mut_ptr() }
}

#[test]
fn strings_are_pointed_at_copied_appended_and_compared() {
    let (hello, upper, hell) = (units("Héllo"), units("HÉLLO"), units("hé"));
    let (a, b, prefix) = (pointing_at(&hello), pointing_at(&upper), pointing_at(&hell));
    assert_eq!((a.Length, a.MaximumLength), (10, 12));
    // SAFETY: the strings and their buffers are ours.
    unsafe {
        assert_eq!((RtlEqualUnicodeString(&a, &b, 0), RtlEqualUnicodeString(&a, &b, 1)), (0, 1));
        assert!(RtlCompareUnicodeString(&a, &b, 0) > 0 && RtlCompareUnicodeString(&prefix, &a, 1) < 0);
        assert_eq!((RtlPrefixUnicodeString(&prefix, &a, 0), RtlPrefixUnicodeString(&prefix, &a, 1)), (0, 1));
        let mut buffer = [0x2323; 16];
        let mut copy = room(&mut buffer, 8);
        RtlCopyUnicodeString(&raw mut copy, &a);
        assert_eq!((wide(&copy).as_str(), *copy.Buffer.add(5), *copy.Buffer.add(6)), ("Héllo", 0, 0x2323));
        assert_eq!(RtlAppendUnicodeToString(&raw mut copy, units("abc").as_ptr()), NtStatus::SUCCESS);
        assert_eq!(RtlAppendUnicodeStringToString(&raw mut copy, &prefix), NtStatus::BUFFER_TOO_SMALL);
        assert_eq!((wide(&copy).as_str(), *copy.Buffer.add(8)), ("Hélloabc", 0x2323));
        let mut short = room(&mut buffer, 3);
        RtlCopyUnicodeString(&raw mut short, &a);
        assert_eq!(wide(&short), "Hél");
        let (mut one, mut two) = (0, 0);
        assert_eq!(RtlHashUnicodeString(&a, 1, 0, &raw mut one), NtStatus::SUCCESS);
        RtlHashUnicodeString(&b, 1, 1, &raw mut two);
        assert_eq!(one, two);
        assert_eq!(RtlHashUnicodeString(&a, 1, 2, &raw mut one), NtStatus::INVALID_PARAMETER);
    }
}

#[test]
fn conversions_allocate_or_tell_that_there_is_no_room() {
    crate::caller::note(0x7676_0001);
    let text = units("Zürich");
    let from = pointing_at(&text);
    // SAFETY: the strings and their buffers are ours.
    unsafe {
        let mut narrow = STRING::default();
        assert_eq!(RtlUnicodeStringToAnsiString(&raw mut narrow, &from, 1), NtStatus::SUCCESS);
        assert_eq!(crate::text::bytes(&narrow), "Zürich".as_bytes());
        let mut back = UNICODE_STRING::default();
        assert_eq!(RtlAnsiStringToUnicodeString(&raw mut back, &narrow, 1), NtStatus::SUCCESS);
        assert_eq!((wide(&back).as_str(), back.MaximumLength), ("Zürich", 14));
        assert_eq!(crate::verify::outstanding_in(&(0x7676_0001..0x7676_0002)).len(), 2);
        RtlFreeUnicodeString(&raw mut back);
        RtlFreeUnicodeString((&raw mut narrow).cast());
        assert_eq!(crate::verify::outstanding_in(&(0x7676_0001..0x7676_0002)), []);
        assert!(back.Buffer.is_null());
        let mut bytes = [0i8; 4];
        let mut narrow = STRING { Length: 0, MaximumLength: 4, Buffer: bytes.as_mut_ptr() };
        assert_eq!(RtlUnicodeStringToAnsiString(&raw mut narrow, &from, 0), NtStatus::BUFFER_OVERFLOW);
    }
}

#[test]
fn utf8_and_utf16() {
    let (mut wide, mut narrow) = ([0u16; 8], [0u8; 8]);
    let mut actual = 0;
    // SAFETY: the buffers are ours.
    unsafe {
        let mut to_wide = |source: &[u8], room: u32| {
            let status =
                RtlUTF8ToUnicodeN(wide.as_mut_ptr(), room, &raw mut actual, source.as_ptr(), source.len() as u32);
            (status, actual, wide)
        };
        assert_eq!(to_wide("aé€".as_bytes(), 16), (NtStatus::SUCCESS, 6, [0x61, 0xe9, 0x20ac, 0, 0, 0, 0, 0]));
        assert_eq!(to_wide(b"a\xffb", 16).0, NtStatus::SOME_NOT_MAPPED);
        assert_eq!(to_wide(b"abcd", 6).0, NtStatus::BUFFER_TOO_SMALL);
        let mut needed = 0;
        let status = RtlUTF8ToUnicodeN(std::ptr::null_mut(), 0, &raw mut needed, "aé€".as_ptr(), 6);
        assert_eq!((status, needed), (NtStatus::SUCCESS, 6));
        let source = [0x61u16, 0x20ac, 0xd800];
        let status = RtlUnicodeToUTF8N(narrow.as_mut_ptr(), 8, &raw mut needed, source.as_ptr(), 6);
        assert_eq!((status, needed, &narrow[..7]), (NtStatus::SOME_NOT_MAPPED, 7, "a€\u{fffd}".as_bytes()));
        let status = RtlUnicodeToUTF8N(narrow.as_mut_ptr(), 3, &raw mut needed, source.as_ptr(), 4);
        assert_eq!((status, needed), (NtStatus::BUFFER_TOO_SMALL, 1));
    }
}

#[test]
fn numbers_and_guids() {
    // SAFETY: the strings and variables are ours.
    unsafe {
        let mut buffer = [0u16; 40];
        let mut string = room(&mut buffer, 12);
        for (value, base, text) in [(255, 16, "FF"), (255, 0, "255"), (5, 2, "101"), (0, 8, "0")] {
            assert_eq!(RtlIntegerToUnicodeString(value, base, &raw mut string), NtStatus::SUCCESS);
            assert_eq!(wide(&string), text);
        }
        assert_eq!(RtlInt64ToUnicodeString(1 << 50, 10, &raw mut string), NtStatus::BUFFER_OVERFLOW);
        assert_eq!(RtlIntegerToUnicodeString(1, 3, &raw mut string), NtStatus::INVALID_PARAMETER);
        let mut value = 0;
        for (text, base, expected) in
            [("42", 0, 42), (" -7x", 10, u32::MAX - 6), ("0x1F", 0, 31), ("0b11", 0, 3), ("777", 8, 511)]
        {
            let text = units(text);
            assert_eq!(RtlUnicodeStringToInteger(&pointing_at(&text), base, &raw mut value), NtStatus::SUCCESS);
            assert_eq!(value, expected);
        }
        let mut guid = GUID::default();
        let text = units("{2227E803-8D8B-11D4-ABAD-009027719E09}");
        assert_eq!(RtlGUIDFromString(&pointing_at(&text), &raw mut guid), NtStatus::SUCCESS);
        assert_eq!(guid, wsk_abi::nmr::NPI_WSK_INTERFACE_ID);
        let text = units("{2227E803-8D8B-11D4-ABAD-00902771}");
        assert_eq!(RtlGUIDFromString(&pointing_at(&text), &raw mut guid), NtStatus::INVALID_PARAMETER);
    }
}

static LINES: Mutex<Vec<(String, usize)>> = Mutex::new(Vec::new());

/// Prints as a driver at the address does.
fn print_at(caller: usize, format: &std::ffi::CStr, first: u64) {
    set_sink(|line, caller| LINES.lock().unwrap().push((line.to_owned(), caller)));
    type Print = unsafe extern "win64" fn(*const u8, u64) -> u32;
    crate::caller::note(caller);
    // SAFETY: the export, by the signature of these calls.
    unsafe {
        let print: Print = std::mem::transmute(std::hint::black_box(DbgPrint as *const ()));
        print(format.as_ptr().cast(), first);
    }
}

/// What came out so far that code in the range printed.
fn printed_in(range: std::ops::Range<usize>) -> Vec<String> {
    let lines = LINES.lock().unwrap();
    lines.iter().filter(|(_, caller)| range.contains(caller)).map(|(line, _)| line.clone()).collect()
}

#[test]
fn prints_come_as_whole_lines() {
    print_at(0x7676_1000, c"one %d, ", 1);
    print_at(0x7676_1000, c"two %s\nthree\r\nfo", c"2".as_ptr() as u64);
    print_at(0x7676_1000, c"ur caf\xc3", 0);
    // A character may come in two parts; what is none is marked at the end only.
    print_at(0x7676_1000, c"\xa9\xff\n", 0);
    assert_eq!(printed_in(0x7676_1000..0x7676_2000), ["one 1, two 2", "three", "four café\u{fffd}"]);
}

#[test]
fn a_line_that_is_not_ended_is_printed_when_its_thread_its_driver_or_everything_ends() {
    let range = 0x7676_3000..0x7676_4000;
    std::thread::spawn(|| print_at(0x7676_3000, c"the thread ended", 0)).join().unwrap();
    assert_eq!(printed_in(range.clone()), ["the thread ended"]);
    // Threads that never end.
    let (begin, begun) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        print_at(0x7676_3001, c"the driver ended", 0);
        begin.send(()).unwrap();
        let _ = ended.recv();
        print_at(0x7676_5001, c"all ended", 0);
        begin.send(()).unwrap();
        let _ = ended.recv();
    });
    begun.recv().unwrap();
    flush_in(&(0x7676_4000..0x7676_5000));
    assert_eq!(printed_in(range.clone()).len(), 1);
    flush_in(&range);
    assert_eq!(printed_in(range), ["the thread ended", "the driver ended"]);
    end.send(()).unwrap();
    begun.recv().unwrap();
    flush_all();
    assert_eq!(printed_in(0x7676_5000..0x7676_6000), ["all ended"]);
    end.send(()).unwrap();
    thread.join().unwrap();
    assert_eq!(printed_in(0x7676_5000..0x7676_6000).len(), 1);
}

#[test]
fn lines_of_two_drivers_are_not_glued_together() {
    use crate::io::driver::{create_driver, delete_driver};
    let (one, two) = (0x7676_7000..0x7676_8000, 0x7676_8000..0x7676_9000);
    let drivers = [create_driver("PrintsOne", one.clone()), create_driver("PrintsTwo", two.clone())];
    print_at(one.start, c"begun ", 0);
    print_at(one.end - 1, c"by one", 0);
    print_at(two.start, c"by two\n", 0);
    print_at(one.start, c"one again\n", 0);
    assert_eq!(
        (printed_in(one), printed_in(two)),
        (vec!["begun by one".into(), "one again".into()], vec!["by two".to_owned()])
    );
    // SAFETY: ours.
    drivers.into_iter().for_each(|driver| unsafe { delete_driver(driver) });
}

unsafe extern "win64" fn initialize(_once: *mut usize, parameter: *mut c_void, context: *mut *mut c_void) -> u32 {
    // SAFETY: the test's counter and the caller's variable.
    unsafe {
        *parameter.cast::<u32>() += 1;
        context.write(0x40 as *mut c_void);
    }
    1
}

#[test]
fn once_is_once() {
    let mut once = 0usize;
    let mut runs = 0u32;
    for _ in 0..3 {
        let mut context = std::ptr::null_mut();
        // SAFETY: our variables.
        let status =
            unsafe { RtlRunOnceExecuteOnce(&raw mut once, Some(initialize), (&raw mut runs).cast(), &raw mut context) };
        assert_eq!((status, context as usize, runs), (NtStatus::SUCCESS, 0x40, 1));
    }
}

#[test]
fn the_system_describes_itself() {
    // SAFETY: the structure is ours; the shared page lives for ever.
    unsafe {
        let mut version: RTL_OSVERSIONINFOEXW = std::mem::zeroed();
        version.dwOSVersionInfoSize = 276;
        version.wProductType = 99;
        RtlGetVersion(&raw mut version);
        assert_eq!((version.dwMajorVersion, version.wProductType), (10, 99));
        version.dwOSVersionInfoSize = 284;
        RtlGetVersion(&raw mut version);
        assert_eq!(version.wProductType, 1);
        crate::ke::time::refresh();
        let page = crate::ke::time::shared_data().cast::<u8>();
        let (boot, now) = (page.add(8).cast::<u64>().read_unaligned(), page.add(0x14).cast::<i64>().read_unaligned());
        assert!(crate::ke::time::interrupt_time() >= boot);
        assert!((crate::ke::time::system_time() - now).abs() < 600_000_000);
        let count = find("KeQueryActiveProcessorCountEx").unwrap();
        let count = std::mem::transmute::<*const (), extern "win64" fn(u16) -> u32>(count.address);
        assert_eq!((count(0xffff), count(1)), (crate::ke::processor::count(), 0));
        assert_eq!(find("PsThreadType").map(|export| export.kind), Some(Kind::Data));
        let topology = find("KeQueryLogicalProcessorRelationship").unwrap().address;
        type Topology = unsafe extern "win64" fn(*const u8, u32, *mut u8, *mut u32) -> NtStatus;
        let topology = std::mem::transmute::<*const (), Topology>(topology);
        let mut length = 0;
        let null = std::ptr::null_mut();
        assert_eq!(topology(null, 4, null, &raw mut length), NtStatus::INFO_LENGTH_MISMATCH);
        let mut record = vec![0u8; length as usize];
        assert_eq!(topology(null, 4, record.as_mut_ptr(), &raw mut length), NtStatus::SUCCESS);
        assert_eq!(u32::from_le_bytes(record[4..8].try_into().unwrap()), length);
    }
}
