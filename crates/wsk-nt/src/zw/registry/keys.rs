//! Key handles (DDI: ZwOpenKey, ZwCreateKey, ZwEnumerateKey, ZwQueryKey, ZwNotifyChangeKey).
#![allow(unsafe_code)] // Fills buffers of the driver.

use std::ffi::c_void;

use parking_lot::Mutex;
use wsk_abi::NtStatus;
use wsk_abi::io::{HANDLE, IO_STATUS_BLOCK};

use super::{Key, REGISTRY};
use crate::ex::services::OBJECT_ATTRIBUTES;
use crate::exports;
use crate::ke::irql::{self, PASSIVE_LEVEL};
use crate::ob::{self, ObjectType, handle};
use crate::text;

static KEY: ObjectType = ObjectType::plain("Key");

/// The body of a key object: the key's number.
#[repr(C, align(16))]
struct Body {
    id: usize,
}

/// The key of a handle.
pub(super) fn key_of(handle: HANDLE) -> Result<usize, NtStatus> {
    let object = handle::look_up(handle, Some(&KEY))?;
    // SAFETY: a key object, referenced.
    let id = unsafe {
        let id = (*object.cast::<Body>()).id;
        ob::dereference(object);
        id
    };
    if REGISTRY.lock().key(id).deleted { Err(NtStatus(0xC000_017C)) } else { Ok(id) }
}

unsafe fn open_handle(id: usize, access: u32, handle: *mut HANDLE) -> NtStatus {
    let object = ob::create(&KEY, size_of::<Body>());
    if object.is_null() {
        return NtStatus::INSUFFICIENT_RESOURCES;
    }
    // SAFETY: fresh; the driver's variable.
    unsafe {
        (*object.cast::<Body>()).id = id;
        handle.write(handle::open(object, access));
        ob::dereference(object);
    }
    NtStatus::SUCCESS
}

/// Root key and path of attributes.
unsafe fn place(attributes: *const OBJECT_ATTRIBUTES) -> Result<(Option<usize>, String), NtStatus> {
    // SAFETY: the driver's attributes (DDI).
    unsafe {
        let attributes = attributes.as_ref().ok_or(NtStatus::INVALID_PARAMETER)?;
        let root = if attributes.RootDirectory.is_null() { None } else { Some(key_of(attributes.RootDirectory)?) };
        Ok((root, text::wide(attributes.ObjectName)))
    }
}

/// ZwOpenKey.
pub(super) unsafe extern "win64" fn ZwOpenKey(
    handle: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "ZwOpenKey");
    // SAFETY: the driver's attributes and variable (DDI).
    unsafe {
        let (root, path) = match place(attributes) {
            Ok(place) => place,
            Err(status) => return status,
        };
        let found = {
            let mut registry = REGISTRY.lock();
            match root {
                Some(root) => registry.open_below(root, &path),
                None => registry.open(&path),
            }
        };
        found.map_or(NtStatus::OBJECT_NAME_NOT_FOUND, |id| open_handle(id, access, handle))
    }
}

/// ZwOpenKeyEx.
unsafe extern "win64" fn ZwOpenKeyEx(
    handle: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    _options: u32,
) -> NtStatus {
    // SAFETY: as declared.
    unsafe { ZwOpenKey(handle, access, attributes) }
}

/// ZwCreateKey: the parent must be there.
pub(super) unsafe extern "win64" fn ZwCreateKey(
    handle: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    _title: u32,
    _class: *const c_void,
    _options: u32,
    disposition: *mut u32,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "ZwCreateKey");
    // SAFETY: the driver's attributes and variables (DDI).
    unsafe {
        let (root, path) = match place(attributes) {
            Ok(place) => place,
            Err(status) => return status,
        };
        let (id, old) = {
            let mut registry = REGISTRY.lock();
            let (parent, name) = path.trim_end_matches('\\').rsplit_once('\\').unwrap_or(("", &path));
            let parent = match root {
                Some(root) => registry.open_below(root, parent),
                None => registry.open(parent),
            };
            let Some(parent) = parent else { return NtStatus::OBJECT_NAME_NOT_FOUND };
            let old = registry.open_below(parent, name).is_some();
            (registry.create_below(parent, name), old)
        };
        notify();
        if !disposition.is_null() {
            // REG_CREATED_NEW_KEY 1, REG_OPENED_EXISTING_KEY 2.
            disposition.write(if old { 2 } else { 1 });
        }
        open_handle(id, access, handle)
    }
}

/// ZwDeleteKey.
extern "win64" fn ZwDeleteKey(handle: HANDLE) -> NtStatus {
    match key_of(handle) {
        Ok(id) if REGISTRY.lock().delete(id) => {
            notify();
            NtStatus::SUCCESS
        }
        Ok(_) => NtStatus::CANNOT_DELETE,
        Err(status) => status,
    }
}

/// Writes a record of a fixed part and data of any length: all of it, or as much as fits.
///
/// # Safety
/// The buffer is the driver's, of that length.
pub(super) unsafe fn put(record: &[u8], fixed: usize, buffer: *mut u8, length: u32, needed: *mut u32) -> NtStatus {
    // SAFETY: the caller's promise.
    unsafe {
        if !needed.is_null() {
            needed.write(record.len() as u32);
        }
        if (length as usize) < fixed {
            return NtStatus::BUFFER_TOO_SMALL;
        }
        std::ptr::copy_nonoverlapping(record.as_ptr(), buffer, record.len().min(length as usize));
    }
    if (length as usize) < record.len() { NtStatus::BUFFER_OVERFLOW } else { NtStatus::SUCCESS }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A key as a record of an information class: basic 0, node 1, full 2, name 3.
fn describe(key: &Key, path: &str, children: &[&str], class: u32) -> Option<(Vec<u8>, usize)> {
    let name = utf16(&key.name);
    let mut out = Vec::new();
    let longest = |names: &mut dyn Iterator<Item = &str>| {
        names.map(|name| name.encode_utf16().count() * 2).max().unwrap_or(0) as u32
    };
    Some(match class {
        0 => {
            out.extend(key.written.to_le_bytes());
            out.extend([0, name.len() as u32].map(u32::to_le_bytes).concat());
            out.extend(name);
            (out, 16)
        }
        1 => {
            out.extend(key.written.to_le_bytes());
            out.extend([0, u32::MAX, 0, name.len() as u32].map(u32::to_le_bytes).concat());
            out.extend(name);
            (out, 24)
        }
        2 => {
            out.extend(key.written.to_le_bytes());
            let names = longest(&mut children.iter().copied());
            let value_names = longest(&mut key.values.iter().map(|value| value.name.as_str()));
            let data = key.values.iter().map(|value| value.data.len()).max().unwrap_or(0) as u32;
            let numbers = [0, u32::MAX, 0, children.len() as u32, names, 0, key.values.len() as u32, value_names, data];
            out.extend(numbers.map(u32::to_le_bytes).concat());
            (out, 44)
        }
        3 => {
            let path = utf16(path);
            out.extend((path.len() as u32).to_le_bytes());
            out.extend(path);
            (out, 4)
        }
        _ => return None,
    })
}

unsafe fn put_key(id: usize, class: u32, buffer: *mut u8, length: u32, needed: *mut u32) -> NtStatus {
    let registry = REGISTRY.lock();
    let key = registry.key(id);
    let children: Vec<&str> = key.children.iter().map(|&child| registry.key(child).name.as_str()).collect();
    match describe(key, &registry.path(id), &children, class) {
        // SAFETY: the driver's buffer.
        Some((record, fixed)) => unsafe { put(&record, fixed, buffer, length, needed) },
        None => NtStatus::INVALID_PARAMETER,
    }
}

/// ZwQueryKey.
unsafe extern "win64" fn ZwQueryKey(
    handle: HANDLE,
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> NtStatus {
    match key_of(handle) {
        // SAFETY: the driver's buffer and variable (DDI).
        Ok(id) => unsafe { put_key(id, class, buffer, length, needed) },
        Err(status) => status,
    }
}

/// ZwEnumerateKey.
pub(super) unsafe extern "win64" fn ZwEnumerateKey(
    handle: HANDLE,
    index: u32,
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> NtStatus {
    let child = key_of(handle).map(|id| REGISTRY.lock().key(id).children.get(index as usize).copied());
    match child {
        // SAFETY: the driver's buffer and variable (DDI).
        Ok(Some(id)) => unsafe { put_key(id, class, buffer, length, needed) },
        Ok(None) => NtStatus::NO_MORE_ENTRIES,
        Err(status) => status,
    }
}

struct Watch {
    key: usize,
    changes: u64,
    /// The event's object, with a reference.
    event: usize,
    iosb: usize,
    apc: Option<Apc>,
}

/// What is queued to a worker in place of an APC: a WORK_QUEUE_ITEM, as kernel callers pass.
#[derive(Clone, Copy)]
struct Apc(usize, i32);

static WATCHES: Mutex<Vec<Watch>> = Mutex::new(Vec::new());

/// Tells who watches a key that changed.
pub(super) fn notify() {
    let fired: Vec<Watch> = {
        let registry = REGISTRY.lock();
        let mut watches = WATCHES.lock();
        let (fired, kept) = std::mem::take(&mut *watches).into_iter().partition(|watch| {
            let key = registry.key(watch.key);
            key.deleted || key.changes != watch.changes
        });
        *watches = kept;
        fired
    };
    for watch in fired {
        // SAFETY: the driver keeps its status block until the notification; the event is referenced.
        unsafe {
            if watch.iosb != 0 {
                (watch.iosb as *mut IO_STATUS_BLOCK)
                    .write(IO_STATUS_BLOCK { Status: NtStatus::NOTIFY_ENUM_DIR, Information: 0 });
            }
            if watch.event != 0 {
                crate::ke::event::set((watch.event as *mut u8).cast());
                ob::dereference(watch.event as *mut u8);
            }
            if let Some(Apc(item, queue)) = watch.apc {
                crate::ex::work::ExQueueWorkItem(item as *mut _, queue);
            }
        }
    }
}

/// ZwNotifyChangeKey: once, of any change of the key or below; with an event or a work item (which kernel
/// callers pass as the APC routine). The form that waits is not supported.
#[allow(clippy::too_many_arguments)] // The DDI's.
unsafe extern "win64" fn ZwNotifyChangeKey(
    handle: HANDLE,
    event: HANDLE,
    apc: *mut c_void,
    apc_context: *mut c_void,
    iosb: *mut IO_STATUS_BLOCK,
    _filter: u32,
    _tree: u8,
    _buffer: *mut c_void,
    _size: u32,
    asynchronous: u8,
) -> NtStatus {
    let id = match key_of(handle) {
        Ok(id) => id,
        Err(status) => return status,
    };
    if asynchronous == 0 {
        return NtStatus::NOT_SUPPORTED;
    }
    let event = if event.is_null() {
        0
    } else {
        match handle::look_up(event, None) {
            Ok(object) => object as usize,
            Err(status) => return status,
        }
    };
    let registry = REGISTRY.lock();
    let changes = registry.key(id).changes;
    let apc = (!apc.is_null()).then_some(Apc(apc as usize, apc_context as i32));
    WATCHES.lock().push(Watch { key: id, changes, event, iosb: iosb as usize, apc });
    NtStatus::PENDING
}

/// ZwFlushKey: there is no file to write to.
extern "win64" fn ZwFlushKey(handle: HANDLE) -> NtStatus {
    key_of(handle).err().unwrap_or(NtStatus::SUCCESS)
}

exports! {
    ZwOpenKey, ZwOpenKeyEx, ZwCreateKey, ZwDeleteKey, ZwQueryKey, ZwEnumerateKey, ZwNotifyChangeKey, ZwFlushKey,
}
