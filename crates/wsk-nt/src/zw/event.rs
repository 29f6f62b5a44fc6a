//! Events by handle, and object names (DDI: ZwCreateEvent, IoCreateNotificationEvent, ObQueryNameString).
#![allow(unsafe_code)] // Event objects are raw memory.

use wsk_abi::NtStatus;
use wsk_abi::io::{HANDLE, KEVENT, UNICODE_STRING};

use crate::ex::services::OBJECT_ATTRIBUTES;
use crate::exports;
use crate::io::types::FILE_OBJECT;
use crate::ke::event::{self, KeInitializeEvent};
use crate::ke::irql::{self, PASSIVE_LEVEL};
use crate::ob::namespace::{self, Entry};
use crate::ob::{self, ObjectType, TypeVariable, handle};
use crate::text;

static EVENT: ObjectType = ObjectType::new("Event", |object| namespace::remove_object(object), |_| {});
/// ExEventObjectType.
static ExEventObjectType: TypeVariable = TypeVariable::new(&EVENT);

unsafe fn open(name: &str, kind: i32, state: u8, access: u32, handle: *mut HANDLE) -> Result<*mut u8, NtStatus> {
    if !name.is_empty()
        && let Ok((object, _)) = namespace::look_up(name)
    {
        // SAFETY: referenced by the lookup; the driver's variable.
        unsafe {
            handle.write(handle::open(object, access));
            ob::dereference(object);
        }
        return Ok(object);
    }
    let object = ob::create(&EVENT, size_of::<KEVENT>().next_multiple_of(16));
    if object.is_null() {
        return Err(NtStatus::INSUFFICIENT_RESOURCES);
    }
    // SAFETY: fresh; the driver's variable.
    unsafe {
        KeInitializeEvent(object.cast(), kind, state);
        if !name.is_empty() {
            namespace::insert(name, Entry::Object(object as usize))?;
        }
        handle.write(handle::open(object, access));
        ob::dereference(object);
    }
    Ok(object)
}

/// ZwCreateEvent.
pub(crate) unsafe extern "win64" fn ZwCreateEvent(
    handle: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    kind: i32,
    state: u8,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "ZwCreateEvent");
    // SAFETY: the driver's attributes and variable (DDI).
    unsafe {
        let name = attributes.as_ref().map(|attributes| text::wide(attributes.ObjectName)).unwrap_or_default();
        open(&name, kind, state, access, handle).err().unwrap_or(NtStatus::SUCCESS)
    }
}

/// IoCreateNotificationEvent: signalled at first.
unsafe extern "win64" fn IoCreateNotificationEvent(name: *const UNICODE_STRING, handle: *mut HANDLE) -> *mut u8 {
    // SAFETY: the driver's string and variable (DDI).
    unsafe { open(&text::wide(name), 0, 1, 0x1f_0003, handle).unwrap_or(std::ptr::null_mut()) }
}

/// IoCreateSynchronizationEvent.
unsafe extern "win64" fn IoCreateSynchronizationEvent(name: *const UNICODE_STRING, handle: *mut HANDLE) -> *mut u8 {
    // SAFETY: the driver's string and variable (DDI).
    unsafe { open(&text::wide(name), 1, 1, 0x1f_0003, handle).unwrap_or(std::ptr::null_mut()) }
}

unsafe fn with_event(handle: HANDLE, previous: *mut i32, change: unsafe fn(*mut KEVENT) -> i32) -> NtStatus {
    match handle::look_up(handle, Some(&EVENT)) {
        Ok(object) => {
            // SAFETY: a referenced event; NULL or the driver's variable.
            unsafe {
                let old = change(object.cast());
                if !previous.is_null() {
                    previous.write(old);
                }
                ob::dereference(object);
            }
            NtStatus::SUCCESS
        }
        Err(status) => status,
    }
}

/// ZwSetEvent.
pub(crate) unsafe extern "win64" fn ZwSetEvent(handle: HANDLE, previous: *mut i32) -> NtStatus {
    // SAFETY: as declared.
    unsafe { with_event(handle, previous, event::set) }
}

/// ZwResetEvent.
unsafe extern "win64" fn ZwResetEvent(handle: HANDLE, previous: *mut i32) -> NtStatus {
    // SAFETY: as declared.
    unsafe { with_event(handle, previous, event::reset) }
}

/// ZwClearEvent.
unsafe extern "win64" fn ZwClearEvent(handle: HANDLE) -> NtStatus {
    // SAFETY: as declared.
    unsafe { with_event(handle, std::ptr::null_mut(), event::reset) }
}

/// ObQueryNameString: OBJECT_NAME_INFORMATION and the name behind it; empty for objects without one.
pub(crate) unsafe extern "win64" fn ObQueryNameString(
    object: *mut u8,
    information: *mut UNICODE_STRING,
    length: u32,
    needed: *mut u32,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "ObQueryNameString");
    // SAFETY: the driver's object, buffer of that length and variable (DDI).
    unsafe {
        let mut name = namespace::name_of(object).unwrap_or_default();
        if name.is_empty() && ob::kind_of(object).is_some_and(|kind| std::ptr::eq(kind, crate::io::file::kind())) {
            let file = object.cast::<FILE_OBJECT>();
            name = namespace::name_of((*file).DeviceObject.cast()).unwrap_or_default()
                + &text::wide(&raw const (*file).FileName);
        }
        let units: Vec<u16> = name.encode_utf16().collect();
        let bytes = units.len() * 2;
        let whole = if bytes == 0 { 16 } else { 16 + bytes + 2 };
        needed.write(whole as u32);
        if (length as usize) < whole {
            return NtStatus::INFO_LENGTH_MISMATCH;
        }
        let buffer = information.add(1).cast::<u16>();
        if bytes == 0 {
            information.write(UNICODE_STRING::default());
        } else {
            std::ptr::copy_nonoverlapping(units.as_ptr(), buffer, units.len());
            buffer.add(units.len()).write(0);
            information.write(UNICODE_STRING { Length: bytes as u16, MaximumLength: bytes as u16 + 2, Buffer: buffer });
        }
    }
    NtStatus::SUCCESS
}

exports! {
    data ExEventObjectType, ZwCreateEvent, NtCreateEvent = ZwCreateEvent, IoCreateNotificationEvent,
    IoCreateSynchronizationEvent, ZwSetEvent, NtSetEvent = ZwSetEvent, ZwResetEvent, ZwClearEvent, ObQueryNameString,
}
