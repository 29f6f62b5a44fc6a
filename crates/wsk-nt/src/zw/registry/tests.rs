//! The registry as drivers see it, from a file of the export format.
#![allow(unsafe_code)] // Calls exports.

use std::ffi::c_void;

use wsk_abi::NtStatus;
use wsk_abi::io::{HANDLE, UNICODE_STRING};

use super::keys::{ZwCreateKey, ZwEnumerateKey, ZwOpenKey};
use super::query::{RTL_QUERY_REGISTRY_TABLE, RtlQueryRegistryValues};
use super::values::{ZwDeleteValueKey, ZwEnumerateValueKey, ZwQueryValueKey, ZwSetValueKey};
use crate::ex::services::OBJECT_ATTRIBUTES;
use crate::ob::handle::ZwClose;
use crate::text::counted;

fn attributes(name: &mut UNICODE_STRING, root: HANDLE) -> OBJECT_ATTRIBUTES {
    let null = std::ptr::null_mut();
    OBJECT_ATTRIBUTES {
        Length: 48,
        RootDirectory: root,
        ObjectName: name,
        Attributes: 0x40,
        SecurityDescriptor: null,
        SecurityQualityOfService: null,
    }
}

fn open(path: &str) -> Result<HANDLE, NtStatus> {
    let mut units: Vec<u16> = path.encode_utf16().collect();
    let mut name = counted(&mut units);
    let attributes = attributes(&mut name, std::ptr::null_mut());
    let mut handle = std::ptr::null_mut();
    // SAFETY: our variables.
    match unsafe { ZwOpenKey(&raw mut handle, 0, &raw const attributes) } {
        NtStatus::SUCCESS => Ok(handle),
        status => Err(status),
    }
}

const FILE: &str = r#"Windows Registry Editor Version 5.00

; a comment
[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\RegTest]
@="unnamed"
"Text"="a \"quoted\" C:\\path"
"Number"=dword:0000002a
"Large"=hex(b):01,00,00,00,00,00,00,80
"List"=hex(7):61,00,00,00,62,00,\
  63,00,00,00,00,00
"Bytes"=hex:de,ad,be,ef
"Gone"=dword:1
"Gone"=-

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\RegTest\Parameters]
"Port"=dword:00001f90
"#;

#[test]
fn values_of_a_file_are_read_written_listed_and_deleted() {
    super::load_reg(FILE).unwrap();
    let key = open("\\Registry\\Machine\\System\\CURRENTCONTROLSET\\services\\regtest").unwrap();
    let query = |name: &str, length: u32| {
        let mut units: Vec<u16> = name.encode_utf16().collect();
        let name = counted(&mut units);
        let mut buffer = [0u8; 256];
        let mut needed = 0;
        // SAFETY: our buffer and variables.
        let status = unsafe { ZwQueryValueKey(key, &raw const name, 2, buffer.as_mut_ptr(), length, &raw mut needed) };
        (status, needed, buffer)
    };
    let (status, needed, buffer) = query("number", 256);
    assert_eq!((status, needed, &buffer[4..16]), (NtStatus::SUCCESS, 16, &[4, 0, 0, 0, 4, 0, 0, 0, 42, 0, 0, 0][..]));
    assert_eq!(query("number", 12).0, NtStatus::BUFFER_OVERFLOW);
    assert_eq!(query("number", 11).0, NtStatus::BUFFER_TOO_SMALL);
    assert_eq!(query("gone", 256).0, NtStatus::OBJECT_NAME_NOT_FOUND);
    let (_, needed, buffer) = query("Text", 256);
    let text: Vec<u16> =
        buffer[12..needed as usize - 2].chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    assert_eq!(String::from_utf16(&text).unwrap(), "a \"quoted\" C:\\path");
    assert_eq!(query("List", 256).1, 12 + 12);
    let mut buffer = [0u8; 256];
    let mut needed = 0;
    // SAFETY: our buffers and variables.
    unsafe {
        assert_eq!(ZwEnumerateKey(key, 0, 0, buffer.as_mut_ptr(), 256, &raw mut needed), NtStatus::SUCCESS);
        assert_eq!(needed, 16 + 20);
        assert_eq!(ZwEnumerateKey(key, 1, 0, buffer.as_mut_ptr(), 256, &raw mut needed), NtStatus::NO_MORE_ENTRIES);
        assert_eq!(ZwEnumerateValueKey(key, 5, 1, buffer.as_mut_ptr(), 256, &raw mut needed), NtStatus::SUCCESS);
        assert_eq!(&buffer[32..36], [0xde, 0xad, 0xbe, 0xef]);
        assert_eq!(
            ZwEnumerateValueKey(key, 6, 1, buffer.as_mut_ptr(), 256, &raw mut needed),
            NtStatus::NO_MORE_ENTRIES
        );
        let mut units: Vec<u16> = "New".encode_utf16().collect();
        let name = counted(&mut units);
        assert_eq!(ZwSetValueKey(key, &raw const name, 0, 3, b"data".as_ptr(), 4), NtStatus::SUCCESS);
        assert_eq!(&query("NEW", 256).2[12..16], b"data");
        assert_eq!(ZwDeleteValueKey(key, &raw const name), NtStatus::SUCCESS);
        assert_eq!(ZwDeleteValueKey(key, &raw const name), NtStatus::OBJECT_NAME_NOT_FOUND);
        let mut units: Vec<u16> = "Sub".encode_utf16().collect();
        let mut name = counted(&mut units);
        let attributes = attributes(&mut name, key);
        let (mut sub, mut disposition) = (std::ptr::null_mut(), 0);
        for expected in [1, 2] {
            let null = std::ptr::null();
            assert_eq!(
                ZwCreateKey(&raw mut sub, 0, &raw const attributes, 0, null, 0, &raw mut disposition),
                NtStatus::SUCCESS
            );
            assert_eq!(disposition, expected);
            ZwClose(sub);
        }
    }
    assert_eq!(ZwClose(key), NtStatus::SUCCESS);
    assert_eq!(open("\\Registry\\Machine\\Nowhere").err(), Some(NtStatus::OBJECT_NAME_NOT_FOUND));
    assert!(super::load_reg("[HKEY_NOWHERE]").is_err());
    assert_eq!(super::check_reg(&FILE.replace("RegTest", "RegChecked")), Ok(()));
    assert!(open(r"\Registry\Machine\SYSTEM\CurrentControlSet\Services\RegChecked").is_err(), "nothing was loaded");
}

#[test]
fn tables_of_values() {
    super::load_reg(&FILE.replace("RegTest", "RegTable")).unwrap();
    unsafe extern "win64" fn collect(
        _name: *const u16,
        kind: u32,
        data: *mut c_void,
        length: u32,
        context: *mut c_void,
        _entry: *mut c_void,
    ) -> NtStatus {
        // SAFETY: the test's list, and the value's data.
        unsafe {
            let list = &mut *context.cast::<Vec<(u32, Vec<u8>)>>();
            list.push((kind, std::slice::from_raw_parts(data.cast(), length as usize).to_vec()));
        }
        NtStatus::SUCCESS
    }
    let wide = |text: &str| -> Vec<u16> { text.encode_utf16().chain([0]).collect() };
    let (mut list, mut number, mut absent) = (wide("List"), wide("Number"), wide("Absent"));
    let (mut found, mut fallback) = (0u32, 7u32);
    let mut missing = 0u32;
    let mut collected: Vec<(u32, Vec<u8>)> = Vec::new();
    let null = std::ptr::null_mut();
    let entry = |routine, flags, name: *mut u16, context, kind, default, length| RTL_QUERY_REGISTRY_TABLE {
        QueryRoutine: routine,
        Flags: flags,
        Name: name,
        EntryContext: context,
        DefaultType: kind,
        DefaultData: default,
        DefaultLength: length,
    };
    let table = [
        entry(Some(collect), 0, list.as_mut_ptr(), null, 0, null, 0),
        entry(None, 0x20, number.as_mut_ptr(), (&raw mut found).cast(), 0, null, 0),
        entry(None, 0x20, absent.as_mut_ptr(), (&raw mut missing).cast(), 4, (&raw mut fallback).cast(), 4),
        entry(None, 0, std::ptr::null_mut(), null, 0, null, 0),
    ];
    let path = wide("RegTable");
    // SAFETY: the table and what it points at are ours.
    let status = unsafe { RtlQueryRegistryValues(1, path.as_ptr(), table.as_ptr(), (&raw mut collected).cast(), null) };
    assert_eq!((status, found, missing), (NtStatus::SUCCESS, 42, 7));
    assert_eq!(collected, [(1, b"a\0\0\0".to_vec()), (1, b"b\0c\0\0\0".to_vec())]);
}

/// The status of one direct query of a value of `kind` and `data`, into `to`.
fn query_direct(kind: u32, data: &[u8], flags: u32, default_type: u32, to: *mut c_void) -> NtStatus {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let key = format!("RegDirect{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let hex: Vec<String> = data.iter().map(|byte| format!("{byte:02x}")).collect();
    super::load_reg(&format!(
        "Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\{key}]\n\
         \"Value\"=hex({kind:x}):{}\n",
        hex.join(",")
    ))
    .unwrap();
    let wide = |text: &str| -> Vec<u16> { text.encode_utf16().chain([0]).collect() };
    let mut name = wide("Value");
    let null = std::ptr::null_mut();
    let entry = |flags, name, context, default_type| RTL_QUERY_REGISTRY_TABLE {
        QueryRoutine: None,
        Flags: flags,
        Name: name,
        EntryContext: context,
        DefaultType: default_type,
        DefaultData: null,
        DefaultLength: 0,
    };
    let table = [entry(flags, name.as_mut_ptr(), to, default_type), entry(0, std::ptr::null_mut(), null, 0)];
    // SAFETY: the table and what it points at are ours.
    unsafe { RtlQueryRegistryValues(1, wide(&key).as_ptr(), table.as_ptr(), null, null) }
}

const DIRECT: u32 = 0x20;
const TYPE_CHECK: u32 = 0x100;

#[test]
fn direct_values_are_checked_for_their_type() {
    let mut number = 7u32;
    let to = (&raw mut number).cast();
    for (kind, data, wanted, expected) in [
        (4, &[42, 0, 0, 0][..], 4, NtStatus::SUCCESS),
        (3, &[1, 2, 3, 4], 4, NtStatus::OBJECT_TYPE_MISMATCH),
        (1, &[0x61, 0, 0, 0], 4, NtStatus::OBJECT_TYPE_MISMATCH),
        (4, &[1, 0, 0, 0], 0, NtStatus::OBJECT_TYPE_MISMATCH),
        // The type is right, the size is not what the type says.
        (4, &[1, 0], 4, NtStatus::OBJECT_TYPE_MISMATCH),
        (4, &[1, 2, 3, 4, 5, 6, 7, 8], 4, NtStatus::OBJECT_TYPE_MISMATCH),
    ] {
        assert_eq!(query_direct(kind, data, DIRECT | TYPE_CHECK, wanted << 24, to), expected, "{kind} {data:?}");
        assert_eq!(number, 42);
    }
    // Without the check the value goes where it may.
    assert_eq!(query_direct(3, &[1, 2, 3, 4], DIRECT, 4 << 24, to), NtStatus::SUCCESS);
    assert_eq!(number, 0x0403_0201);
}

#[test]
fn direct_values_of_odd_sizes_stay_in_their_variables() {
    // A variable at an odd address, and marks around it.
    let mut room = [0xeeu8; 32];
    let to = room.as_mut_ptr().wrapping_add(5);
    assert_eq!(query_direct(4, &[1, 2], DIRECT, 0, to.cast()), NtStatus::SUCCESS);
    assert_eq!(room[4..10], [0xee, 1, 2, 0xee, 0xee, 0xee]);
    // A REG_DWORD of eight bytes goes into no ULONG, whatever the variable held.
    for before in [0i32, 100, -100] {
        room = [0xee; 32];
        room[5..9].copy_from_slice(&before.to_le_bytes());
        assert_eq!(query_direct(4, &[9; 8], DIRECT, 0, to.cast()), NtStatus::OBJECT_TYPE_MISMATCH);
        assert_eq!((&room[5..9], room[9]), (&before.to_le_bytes()[..], 0xee));
    }
    // Binary data obeys the room that the variable begins with.
    for (before, expected) in
        [(-6i32, NtStatus::SUCCESS), (-5, NtStatus::BUFFER_TOO_SMALL), (13, NtStatus::BUFFER_TOO_SMALL)]
    {
        room = [0xee; 32];
        room[5..9].copy_from_slice(&before.to_le_bytes());
        assert_eq!(query_direct(3, &[9; 6], DIRECT, 0, to.cast()), expected);
        assert_eq!(room[11], 0xee);
    }
    room = [0xee; 32];
    room[5..9].copy_from_slice(&14i32.to_le_bytes());
    assert_eq!(query_direct(3, &[9; 6], DIRECT, 0, to.cast()), NtStatus::SUCCESS);
    assert_eq!(room[5..20], [6, 0, 0, 0, 3, 0, 0, 0, 9, 9, 9, 9, 9, 9, 0xee]);
}

#[test]
fn direct_strings_end_and_fit_their_length() {
    let mut string = UNICODE_STRING::default();
    let to: *mut c_void = (&raw mut string).cast();
    let fresh = |kind, data: &[u8]| {
        // SAFETY: ours; allocated by the query.
        unsafe {
            to.cast::<UNICODE_STRING>().write(UNICODE_STRING::default());
            assert_eq!(query_direct(kind, data, DIRECT, 0, to), NtStatus::SUCCESS);
            let string = to.cast::<UNICODE_STRING>().read();
            let text = crate::text::wide(&raw const string);
            let end = string.Buffer.add(usize::from(string.Length) / 2).read();
            crate::ex::pool::ExFreePool(string.Buffer.cast());
            (text, string.MaximumLength, end)
        }
    };
    assert_eq!(fresh(1, b"a\0b\0\0\0"), ("ab".into(), 6, 0));
    // Stored without an end, with half a character, and longer than any counted string.
    assert_eq!(fresh(1, b"a\0b\0"), ("ab".into(), 6, 0));
    assert_eq!(fresh(1, b"a\0b"), ("a".into(), 4, 0));
    assert_eq!(fresh(1, b""), (String::new(), 2, 0));
    let (text, room, end) = fresh(1, &b"x\0".repeat(40_000));
    assert_eq!((text.len(), room, end), (32_766, 65_534, 0));
}
