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
