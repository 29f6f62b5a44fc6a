//! Driver objects, and IRPs on their way to a driver (DDI: DRIVER_OBJECT, IoCallDriver).
#![allow(unsafe_code)] // Driver objects are driver memory; calls dispatch routines.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ops::Range;

use parking_lot::Mutex;
use wsk_abi::NtStatus;
use wsk_abi::io::UNICODE_STRING;
use wsk_abi::irp::*;

use super::irp::{complete_request, current_location, enter_next_location};
use super::types::*;
use crate::ex::pool;
use crate::exports;
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::ke::wait;
use crate::ob::namespace::{self, Entry};
use crate::ob::{self, ObjectType, TypeVariable};
use crate::verify;

static DRIVER: ObjectType = ObjectType::new(
    "Driver",
    |object| {
        namespace::remove_object(object);
        EXTENSIONS.lock().retain(|(driver, _), _| *driver != object as usize);
    },
    |_| {},
);
/// IoDriverObjectType.
static IoDriverObjectType: TypeVariable = TypeVariable::new(&DRIVER);
/// Extensions of IoAllocateDriverObjectExtension, by driver and id.
static EXTENSIONS: Mutex<BTreeMap<(usize, usize), usize>> = Mutex::new(BTreeMap::new());

/// Where drivers lie, by driver object.
static IMAGES: Mutex<BTreeMap<usize, Range<usize>>> = Mutex::new(BTreeMap::new());

/// The driver in whose image an address lies: its driver object.
pub(crate) fn driver_at(address: usize) -> Option<usize> {
    IMAGES.lock().iter().find(|(_, image)| image.contains(&address)).map(|(&driver, _)| driver)
}

#[repr(C)]
struct Whole {
    driver: DRIVER_OBJECT,
    extension: DRIVER_EXTENSION,
    name: [u16; 256],
    service: [u16; 256],
    hardware: UNICODE_STRING,
    hardware_text: [u16; 64],
}

fn fill(room: &mut [u16], value: &str) -> UNICODE_STRING {
    let mut length = 0;
    for (to, unit) in room.iter_mut().zip(value.encode_utf16()) {
        *to = unit;
        length += 2;
    }
    UNICODE_STRING { Length: length, MaximumLength: length, Buffer: room.as_mut_ptr() }
}

/// Makes a driver object `\Driver\<name>`, every major function of which completes with STATUS_INVALID_DEVICE_REQUEST; null
/// without memory. `image` is where the driver lies.
pub fn create_driver(name: &str, image: Range<usize>) -> *mut DRIVER_OBJECT {
    let object = ob::create(&DRIVER, size_of::<Whole>().next_multiple_of(16));
    if object.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: fresh memory of that size; all fields are valid as zeros.
    unsafe {
        let whole = &mut *object.cast::<Whole>();
        let driver = &raw mut whole.driver;
        (*driver).Type = 4;
        (*driver).Size = size_of::<DRIVER_OBJECT>() as i16;
        (*driver).Flags = 2;
        (*driver).DriverStart = image.start as *mut c_void;
        (*driver).DriverSize = (image.end - image.start) as u32;
        (*driver).DriverExtension = &raw mut whole.extension;
        (*driver).DriverName = fill(&mut whole.name, &format!("\\Driver\\{name}"));
        IMAGES.lock().insert(driver as usize, image);
        (*driver).MajorFunction = [Some(invalid_device_request); 28];
        whole.hardware = fill(&mut whole.hardware_text, "\\REGISTRY\\MACHINE\\HARDWARE\\DESCRIPTION\\SYSTEM");
        (*driver).HardwareDatabase = &raw mut whole.hardware;
        whole.extension.DriverObject = driver;
        whole.extension.ServiceKeyName = fill(&mut whole.service, name);
        let _ = namespace::insert(&format!("\\Driver\\{name}"), Entry::Object(object as usize));
        driver
    }
}

/// Gives up a driver object of [`create_driver`]; devices left over keep it.
///
/// # Safety
/// The driver is unloaded, and `driver` is not used any more.
pub unsafe fn delete_driver(driver: *mut DRIVER_OBJECT) {
    namespace::remove_object(driver.cast());
    let image = IMAGES.lock().remove(&(driver as usize));
    if let Some(image) = image {
        wait::lock().owned.forget(&image);
    }
    // SAFETY: the creator's reference.
    unsafe { ob::dereference(driver.cast()) };
}

/// What a major function does that the driver does not have.
pub(crate) unsafe extern "win64" fn invalid_device_request(_device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NtStatus {
    // SAFETY: the IRP sent to this routine.
    unsafe {
        (*irp).IoStatus.Status = NtStatus::INVALID_DEVICE_REQUEST;
        (*irp).IoStatus.Information = 0;
        complete_request(irp, 0);
    }
    NtStatus::INVALID_DEVICE_REQUEST
}

/// IoCallDriver: enters the next stack location and calls the driver's routine for its major function.
///
/// # Safety
/// `irp` must be the caller's, with a next location that is set up; `device` a device.
pub unsafe fn call_driver(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NtStatus {
    // SAFETY: the caller's promise.
    unsafe {
        let location = enter_next_location(irp);
        (*location).DeviceObject = device.cast();
        let major = (*location).MajorFunction as usize;
        let routine = (*(*device).DriverObject).MajorFunction.get(major).copied().flatten();
        let level = irql::current();
        let status = routine.unwrap_or(invalid_device_request)(device, irp);
        if irql::current() != level {
            let what = format!(
                "the dispatch routine of major function {major:#x} returned at {}, called at {}",
                irql::name(irql::current()),
                irql::name(level)
            );
            verify::violation_by("wrong IRQL", what, routine.map_or(0, |routine| routine as usize));
            irql::set(level);
        }
        status
    }
}

/// IofCallDriver; PoCallDriver.
pub(crate) unsafe extern "win64" fn IofCallDriver(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NtStatus {
    irql::at_most(DISPATCH_LEVEL, "IoCallDriver");
    // SAFETY: the driver's device and IRP (DDI).
    unsafe {
        if (*irp).Type != super::irp::IO_TYPE_IRP {
            verify::violation("no IRP", format!("IoCallDriver with {irp:p}, which is no IRP"));
            return NtStatus::INVALID_PARAMETER;
        }
        call_driver(device, irp)
    }
}

/// IoForwardIrpSynchronously: whether the IRP could be sent; the caller owns it again.
unsafe extern "win64" fn IoForwardIrpSynchronously(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> u8 {
    irql::at_most(irql::APC_LEVEL, "IoForwardIrpSynchronously");
    unsafe extern "win64" fn signal(
        _device: wsk_abi::io::PDEVICE_OBJECT,
        _irp: *mut IRP,
        context: *mut c_void,
    ) -> NtStatus {
        // SAFETY: the event of the thread that waits below.
        unsafe { crate::ke::event::set(context.cast()) };
        NtStatus::MORE_PROCESSING_REQUIRED
    }
    // SAFETY: the driver's device and IRP (DDI).
    unsafe {
        if (*irp).CurrentLocation <= 1 {
            return 0;
        }
        let current = current_location(irp);
        let next = current.wrapping_sub(1);
        std::ptr::copy_nonoverlapping(
            current.cast::<u8>(),
            next.cast(),
            std::mem::offset_of!(IO_STACK_LOCATION, CompletionRoutine),
        );
        let mut event = wsk_abi::io::KEVENT::default();
        crate::ke::event::KeInitializeEvent(&raw mut event, 0, 0);
        super::complete::set_completion_routine(irp, Some(signal), (&raw mut event).cast(), true, true, true);
        call_driver(device, irp);
        crate::ke::wait::wait(&[(&raw mut event).cast()], false, None, "IoForwardIrpSynchronously");
    }
    1
}

/// IoAllocateDriverObjectExtension.
unsafe extern "win64" fn IoAllocateDriverObjectExtension(
    driver: *mut DRIVER_OBJECT,
    id: *mut c_void,
    size: u32,
    extension: *mut *mut c_void,
) -> NtStatus {
    let mut extensions = EXTENSIONS.lock();
    let key = (driver as usize, id as usize);
    // SAFETY: the driver's variable (DDI).
    unsafe {
        extension.write(std::ptr::null_mut());
        if extensions.contains_key(&key) {
            return NtStatus::OBJECT_NAME_COLLISION;
        }
        // The extension goes with the driver object, so it is no pool of the driver's.
        let memory = pool::allocate(pool::Kind::Object, size as usize, 0, true, 0);
        if memory.is_null() {
            return NtStatus::INSUFFICIENT_RESOURCES;
        }
        extensions.insert(key, memory as usize);
        extension.write(memory.cast());
    }
    NtStatus::SUCCESS
}

/// IoGetDriverObjectExtension.
extern "win64" fn IoGetDriverObjectExtension(driver: *mut DRIVER_OBJECT, id: *mut c_void) -> *mut c_void {
    EXTENSIONS.lock().get(&(driver as usize, id as usize)).map_or(std::ptr::null_mut(), |&memory| memory as *mut c_void)
}

/// IoRegisterDriverReinitialization, IoRegisterBootDriverReinitialization: called by the loader after DriverEntry.
unsafe extern "win64" fn IoRegisterDriverReinitialization(
    driver: *mut DRIVER_OBJECT,
    routine: Option<Reinitialize>,
    context: *mut c_void,
) {
    if let Some(routine) = routine {
        REINITIALIZE.lock().push((driver as usize, routine, context as usize));
    }
}

type Reinitialize = unsafe extern "win64" fn(*mut DRIVER_OBJECT, *mut c_void, u32);

static REINITIALIZE: Mutex<Vec<(usize, Reinitialize, usize)>> = Mutex::new(Vec::new());

/// Calls what the driver registered by IoRegisterDriverReinitialization; after DriverEntry succeeded.
///
/// # Safety
/// `driver` must be a loaded driver.
pub unsafe fn reinitialize(driver: *mut DRIVER_OBJECT) {
    for count in 1.. {
        let mut waiting = REINITIALIZE.lock();
        let Some(at) = waiting.iter().position(|&(owner, ..)| owner == driver as usize) else { return };
        let (_, routine, context) = waiting.remove(at);
        drop(waiting);
        // SAFETY: the driver's routine.
        unsafe {
            (*(*driver).DriverExtension).Count = count;
            routine(driver, context as *mut c_void, count);
        }
    }
}

exports! {
    data IoDriverObjectType, IofCallDriver, IoCallDriver = IofCallDriver, PoCallDriver = IofCallDriver,
    IoForwardIrpSynchronously, IoAllocateDriverObjectExtension, IoGetDriverObjectExtension,
    IoRegisterDriverReinitialization, IoRegisterBootDriverReinitialization = IoRegisterDriverReinitialization,
}
