//! Small services of the executive: timer resolution, UUIDs, callbacks objects, processor features.
#![allow(unsafe_code)] // Fills variables of the driver.

use std::ffi::c_void;

use parking_lot::Mutex;
use wsk_abi::NtStatus;
use wsk_abi::io::{HANDLE, UNICODE_STRING};
use wsk_abi::nmr::GUID;

use crate::exports;
use crate::ke::time::TICK;
use crate::ob::{self, ObjectType, TypeVariable, namespace};
use crate::text;

/// ExQueryTimerResolution: 15.625 ms to 0.5 ms, now 1 ms.
unsafe extern "win64" fn ExQueryTimerResolution(maximum: *mut u32, minimum: *mut u32, current: *mut u32) {
    // SAFETY: the driver's variables (DDI).
    unsafe {
        maximum.write(TICK);
        minimum.write(5_000);
        current.write(10_000);
    }
}

/// ExSetTimerResolution: the resolution that results, which is what it was.
extern "win64" fn ExSetTimerResolution(_desired: u32, _set: u8) -> u32 {
    10_000
}

pub(crate) fn random_bytes(bytes: &mut [u8]) {
    // SAFETY: fills the buffer; short reads do not happen up to 256 bytes.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
}

/// ExUuidCreate: version 4.
unsafe extern "win64" fn ExUuidCreate(uuid: *mut GUID) -> NtStatus {
    let mut bytes = [0u8; 16];
    random_bytes(&mut bytes);
    let mut guid = GUID::from_u128(u128::from_be_bytes(bytes));
    guid.Data3 = guid.Data3 & 0x0fff | 0x4000;
    guid.Data4[0] = guid.Data4[0] & 0x3f | 0x80;
    // SAFETY: the driver's variable (DDI).
    unsafe { uuid.write(guid) };
    NtStatus::SUCCESS
}

/// ExIsProcessorFeaturePresent: what every x64 processor has (PF_ numbers).
extern "win64" fn ExIsProcessorFeaturePresent(feature: u32) -> u8 {
    let present = match feature {
        2 | 3 | 6 | 8 | 9 | 10 | 12 | 14 => true,
        13 => std::arch::is_x86_feature_detected!("sse3"),
        36 => std::arch::is_x86_feature_detected!("ssse3"),
        37 => std::arch::is_x86_feature_detected!("sse4.1"),
        38 => std::arch::is_x86_feature_detected!("sse4.2"),
        39 => std::arch::is_x86_feature_detected!("avx"),
        40 => std::arch::is_x86_feature_detected!("avx2"),
        41 => std::arch::is_x86_feature_detected!("avx512f"),
        _ => false,
    };
    u8::from(present)
}

/// ExGetPreviousMode: KernelMode.
extern "win64" fn ExGetPreviousMode() -> u8 {
    0
}

type CallbackFunction = unsafe extern "win64" fn(Context: *mut c_void, Argument1: *mut c_void, Argument2: *mut c_void);

struct Registration {
    id: usize,
    object: usize,
    function: CallbackFunction,
    context: usize,
}

static CALLBACK: ObjectType = ObjectType::new("Callback", |object| namespace::remove_object(object), |_| {});
/// ExCallbackObjectType.
static ExCallbackObjectType: TypeVariable = TypeVariable::new(&CALLBACK);
static REGISTRATIONS: Mutex<Vec<Registration>> = Mutex::new(Vec::new());

/// ExCreateCallback: opens one by name, or creates it.
unsafe extern "win64" fn ExCreateCallback(
    object: *mut *mut u8,
    attributes: *const OBJECT_ATTRIBUTES,
    create: u8,
    _multiple: u8,
) -> NtStatus {
    // SAFETY: the driver's attributes and variable (DDI).
    unsafe {
        let name = attributes.as_ref().map(|attributes| text::wide(attributes.ObjectName)).unwrap_or_default();
        if !name.is_empty() {
            if let Ok((found, _)) = namespace::look_up(&name) {
                object.write(found);
                return NtStatus::SUCCESS;
            }
            if create == 0 {
                return NtStatus::OBJECT_NAME_NOT_FOUND;
            }
        }
        let made = ob::create(&CALLBACK, 16);
        if made.is_null() {
            return NtStatus::INSUFFICIENT_RESOURCES;
        }
        if !name.is_empty() {
            let _ = namespace::insert(&name, namespace::Entry::Object(made as usize));
        }
        object.write(made);
    }
    NtStatus::SUCCESS
}

/// ExRegisterCallback.
unsafe extern "win64" fn ExRegisterCallback(
    object: *mut u8,
    function: Option<CallbackFunction>,
    context: *mut c_void,
) -> HANDLE {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);
    let Some(function) = function else { return std::ptr::null_mut() };
    let id = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    REGISTRATIONS.lock().push(Registration { id, object: object as usize, function, context: context as usize });
    id as HANDLE
}

/// ExUnregisterCallback.
extern "win64" fn ExUnregisterCallback(registration: HANDLE) {
    REGISTRATIONS.lock().retain(|entry| entry.id != registration as usize);
}

/// ExNotifyCallback.
unsafe extern "win64" fn ExNotifyCallback(object: *mut u8, first: *mut c_void, second: *mut c_void) {
    let functions: Vec<(CallbackFunction, usize)> = {
        let registrations = REGISTRATIONS.lock();
        let ours = registrations.iter().filter(|entry| entry.object == object as usize);
        ours.map(|entry| (entry.function, entry.context)).collect()
    };
    for (function, context) in functions {
        // SAFETY: the driver's function, registered.
        unsafe { function(context as *mut c_void, first, second) };
    }
}

/// DDI: OBJECT_ATTRIBUTES.
#[repr(C)]
#[derive(Debug)]
pub struct OBJECT_ATTRIBUTES {
    /// 48.
    pub Length: u32,
    /// A handle that the name is relative to.
    pub RootDirectory: HANDLE,
    /// The name.
    pub ObjectName: *mut UNICODE_STRING,
    /// OBJ_...
    pub Attributes: u32,
    /// Of a new object.
    pub SecurityDescriptor: *mut c_void,
    /// Of a new object.
    pub SecurityQualityOfService: *mut c_void,
}

exports! {
    ExQueryTimerResolution, ExSetTimerResolution, ExUuidCreate, ExIsProcessorFeaturePresent, ExGetPreviousMode,
    data ExCallbackObjectType, ExCreateCallback, ExRegisterCallback, ExUnregisterCallback, ExNotifyCallback,
}
