//! Drivers, devices, symbolic links; requests of all transfer methods, stacks, files.
#![allow(unsafe_code)] // Plays a driver.

use wsk_abi::NtStatus;
use wsk_abi::io::UNICODE_STRING;
use wsk_abi::irp::*;

use crate::io::device::*;
use crate::io::driver::*;
use crate::io::irp::{complete_request, current_location};
use crate::io::request::{close, device_control, device_control_until, open_device};
use crate::io::types::*;
use crate::mm::mdl::MmMapLockedPagesSpecifyCache;
use crate::text::counted;
use crate::verify;

unsafe fn done(irp: *mut IRP, status: NtStatus, information: usize) -> NtStatus {
    // SAFETY: the test's IRP.
    unsafe {
        (*irp).IoStatus.Status = status;
        (*irp).IoStatus.Information = information;
        complete_request(irp, 0);
    }
    status
}

#[repr(C)]
#[derive(Default)]
struct Extension {
    creates: usize,
    cleanups: usize,
    closes: usize,
    below: usize,
}

unsafe extern "win64" fn open_close(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NtStatus {
    // SAFETY: the test's device and IRP.
    unsafe {
        let extension = &mut *(*device).DeviceExtension.cast::<Extension>();
        match (*current_location(irp)).MajorFunction {
            IRP_MJ_CREATE => extension.creates += 1,
            IRP_MJ_CLEANUP => extension.cleanups += 1,
            _ => extension.closes += 1,
        }
        done(irp, NtStatus::SUCCESS, 0)
    }
}

/// Answers every byte plus one; code 0x800 of each method. Code 0x801 pends and completes on another thread.
unsafe extern "win64" fn control(_device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NtStatus {
    // SAFETY: the test's IRP with the buffers of its method.
    unsafe {
        let location = current_location(irp);
        let parameters = (*location).Parameters.DeviceIoControl;
        let (input_length, output_length) =
            (parameters.InputBufferLength as usize, parameters.OutputBufferLength as usize);
        let system = (*irp).AssociatedIrp.SystemBuffer.cast::<u8>();
        let (input, output) = match parameters.IoControlCode & 3 {
            0 => (system, system),
            3 => (parameters.Type3InputBuffer.cast::<u8>(), (*irp).UserBuffer.cast::<u8>()),
            _ if output_length == 0 => (system, std::ptr::null_mut()),
            _ => {
                let mapped = MmMapLockedPagesSpecifyCache((*irp).MdlAddress, 0, 1, std::ptr::null_mut(), 0, 16);
                (system, mapped.cast())
            }
        };
        let count = input_length.min(output_length);
        for index in 0..count {
            *output.add(index) = (*input.add(index)).wrapping_add(1);
        }
        if parameters.IoControlCode >> 2 & 0xfff == 0x801 {
            (*location).Control |= SL_PENDING_RETURNED;
            let address = irp as usize;
            std::thread::spawn(move || done(address as *mut IRP, NtStatus::SUCCESS, count));
            return NtStatus::PENDING;
        }
        done(irp, NtStatus::SUCCESS, count)
    }
}

unsafe extern "win64" fn pass_down(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NtStatus {
    // SAFETY: the test's device and IRP. As IoSkipCurrentIrpStackLocation.
    unsafe {
        let below = (*(*device).DeviceExtension.cast::<Extension>()).below as *mut DEVICE_OBJECT;
        (*irp).CurrentLocation += 1;
        (*irp).Tail.Overlay.CurrentStackLocation = (*irp).Tail.Overlay.CurrentStackLocation.wrapping_add(1);
        IofCallDriver(below, irp)
    }
}

fn create(driver: *mut DRIVER_OBJECT, name: Option<&str>) -> Result<*mut DEVICE_OBJECT, NtStatus> {
    let mut units: Vec<u16> = name.unwrap_or_default().encode_utf16().collect();
    let name: UNICODE_STRING = counted(&mut units);
    let mut device = std::ptr::null_mut();
    // SAFETY: our driver and variables.
    let status =
        unsafe { IoCreateDevice(driver, size_of::<Extension>() as u32, &raw const name, 0x22, 0, 0, &raw mut device) };
    if status.is_success() { Ok(device) } else { Err(status) }
}

fn link(link: &str, target: &str) -> NtStatus {
    let (mut link, mut target): (Vec<u16>, Vec<u16>) = (link.encode_utf16().collect(), target.encode_utf16().collect());
    // SAFETY: our strings.
    unsafe { IoCreateSymbolicLink(&counted(&mut link), &counted(&mut target)) }
}

fn unlink(link: &str) -> NtStatus {
    let mut link: Vec<u16> = link.encode_utf16().collect();
    // SAFETY: our string.
    unsafe { IoDeleteSymbolicLink(&counted(&mut link)) }
}

#[test]
fn requests_of_all_methods_reach_the_driver_and_come_back() {
    let driver = create_driver("Methods", 0x7575_0000..0x7575_1000);
    crate::caller::note(0x7575_0010);
    // SAFETY: driver and devices are ours.
    unsafe {
        assert_eq!(((*driver).Type, (*driver).Size, (*driver).DriverSize), (4, 336, 0x1000));
        for major in [IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE] {
            (*driver).MajorFunction[major as usize] = Some(open_close);
        }
        (*driver).MajorFunction[IRP_MJ_DEVICE_CONTROL as usize] = Some(control);
        let device = create(driver, Some("\\Device\\Methods")).unwrap();
        assert_eq!(create(driver, Some("\\Device\\METHODS")).err(), Some(NtStatus::OBJECT_NAME_COLLISION));
        assert_eq!(((*device).Type, (*device).StackSize, (*driver).DeviceObject), (3, 1, device));
        assert_eq!((*device).DeviceExtension as usize, device as usize + 336);
        assert_eq!(link("\\DosDevices\\Methods", "\\Device\\Methods"), NtStatus::SUCCESS);
        assert_eq!(link("\\??\\methods", "\\Device\\Methods"), NtStatus::OBJECT_NAME_COLLISION);
        let file = open_device("\\??\\Methods\\some\\path").unwrap();
        assert_eq!(crate::text::wide(&raw const (*file.object()).FileName), "\\some\\path");
        for function in [0x800u32, 0x801] {
            for method in 0..4 {
                let code = 0x22 << 16 | function << 2 | method;
                assert_eq!(
                    device_control(&file, code, b"abc", 8, false),
                    (NtStatus::SUCCESS, b"bcd".to_vec()),
                    "{code:#x}"
                );
                assert_eq!(device_control(&file, code, b"", 0, false), (NtStatus::SUCCESS, vec![]));
            }
        }
        assert_eq!(device_control(&file, 0x22_2000, b"abc", 8, true).0, NtStatus::INVALID_DEVICE_REQUEST);
        close(file);
        let extension = &*(*device).DeviceExtension.cast::<Extension>();
        assert_eq!((extension.creates, extension.cleanups, extension.closes), (1, 1, 1));
        assert_eq!(verify::outstanding_in(&(0x7575_0010..0x7575_0011)).len(), 1);
        assert_eq!(
            (unlink("\\DosDevices\\Methods"), unlink("\\DosDevices\\Methods")),
            (NtStatus::SUCCESS, NtStatus::OBJECT_NAME_NOT_FOUND)
        );
        IoDeleteDevice(device);
        assert!((*driver).DeviceObject.is_null());
        assert_eq!(verify::outstanding_in(&(0x7575_0010..0x7575_0011)), []);
        assert_eq!(open_device("\\Device\\Methods").err(), Some(NtStatus::OBJECT_NAME_NOT_FOUND));
        delete_driver(driver);
    }
}

#[test]
fn a_filter_on_top_gets_the_requests_first() {
    // SAFETY: drivers and devices are ours.
    unsafe {
        let bottom = create_driver("Bottom", 0..0);
        let top = create_driver("Top", 0..0);
        for major in [IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE] {
            (*bottom).MajorFunction[major as usize] = Some(open_close);
        }
        (*bottom).MajorFunction[IRP_MJ_DEVICE_CONTROL as usize] = Some(control);
        (*top).MajorFunction = [Some(pass_down); 28];
        let lower = create(bottom, Some("\\Device\\Filtered")).unwrap();
        let upper = create(top, None).unwrap();
        let below = IoAttachDeviceToDeviceStack(upper, lower);
        assert_eq!((below, (*upper).StackSize, (*lower).AttachedDevice), (lower, 2, upper));
        (*(*upper).DeviceExtension.cast::<Extension>()).below = below as usize;
        let file = open_device("\\Device\\Filtered").unwrap();
        assert_eq!(device_control(&file, 0x22_2004, b"z", 1, false), (NtStatus::SUCCESS, b"{".to_vec()));
        close(file);
        assert_eq!((*(*lower).DeviceExtension.cast::<Extension>()).closes, 1);
        IoDetachDevice(lower);
        IoDeleteDevice(upper);
        IoDeleteDevice(lower);
        delete_driver(top);
        delete_driver(bottom);
    }
}

#[test]
fn a_driver_without_routines_refuses_to_be_opened() {
    let driver = create_driver("Refuses", 0..0);
    let device = create(driver, Some("\\Device\\Refuses")).unwrap();
    assert_eq!(open_device("\\Device\\Refuses").err(), Some(NtStatus::INVALID_DEVICE_REQUEST));
    // SAFETY: ours.
    unsafe {
        IoDeleteDevice(device);
        delete_driver(driver);
    }
}

unsafe extern "win64" fn forgets(_device: *mut DEVICE_OBJECT, _irp: *mut IRP) -> NtStatus {
    NtStatus::INVALID_PARAMETER
}

static PENDED: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());

unsafe extern "win64" fn cancelled(_device: wsk_abi::io::PDEVICE_OBJECT, irp: *mut IRP) {
    // SAFETY: the IRP that is cancelled.
    unsafe {
        crate::io::cancel::IoReleaseCancelSpinLock((*irp).CancelIrql);
        done(irp, NtStatus::CANCELLED, 0);
    }
}

/// Pends; code 0x800 with a cancel routine, 0x801 without, 0x802 forgets it with an error, 0x803 pends and says it is over.
unsafe extern "win64" fn pends(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NtStatus {
    // SAFETY: the test's IRP.
    unsafe {
        let location = current_location(irp);
        match (*location).Parameters.DeviceIoControl.IoControlCode >> 2 & 0xfff {
            0x800 => {
                crate::io::cancel::set_cancel_routine(irp, Some(cancelled));
            }
            0x801 => PENDED.lock().unwrap().push(irp as usize),
            0x803 => {
                crate::io::cancel::set_cancel_routine(irp, Some(cancelled));
                return NtStatus::SUCCESS;
            }
            _ => return forgets(device, irp),
        }
        (*location).Control |= SL_PENDING_RETURNED;
    }
    NtStatus::PENDING
}

fn not_completed(routine: usize) -> usize {
    super::violations_of("IRP not completed", routine)
}

#[test]
fn a_request_that_does_not_come_back_is_given_up_and_reported() {
    let driver = create_driver("Pends", 0x7575_8000..0x7575_9000);
    let routine = pends as *const () as usize;
    // SAFETY: driver and devices are ours.
    unsafe {
        for major in [IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE] {
            (*driver).MajorFunction[major as usize] = Some(open_close);
        }
        (*driver).MajorFunction[IRP_MJ_DEVICE_CONTROL as usize] = Some(pends);
        let device = create(driver, Some("\\Device\\Pends")).unwrap();
        let file = open_device("\\Device\\Pends").unwrap();
        let asked = std::cell::Cell::new(0);
        let give_up = || {
            asked.set(asked.get() + 1);
            asked.get() > 1
        };
        // Cancelled, it comes back.
        let control =
            |function: u32| device_control_until(&file, 0x22 << 16 | function << 2, b"in", 8, false, &give_up);
        assert_eq!((control(0x800), asked.get()), ((NtStatus::CANCELLED, vec![]), 2));
        assert_eq!(not_completed(routine), 0);
        // It does not; what the driver does with it later goes well.
        assert_eq!(control(0x801), (NtStatus::CANCELLED, vec![]));
        assert_eq!(not_completed(routine), 1);
        let irp = PENDED.lock().unwrap().pop().unwrap() as *mut IRP;
        assert_eq!((*irp).Cancel, 1);
        done(irp, NtStatus::SUCCESS, 8);
        // The dispatch routine says that it is over, and it is not.
        asked.set(-1_000_000);
        assert_eq!(control(0x802), (NtStatus::CANCELLED, vec![]));
        assert_eq!(device_control(&file, 0x22_2008, b"", 0, false), (NtStatus::CANCELLED, vec![]));
        assert_eq!(not_completed(routine), 3);
        let what = verify::violations().into_iter().rfind(|violation| violation.caller == routine).unwrap().what;
        assert!(what.contains("returned STATUS_INVALID_PARAMETER (0xC000000D) without completing the IRP"), "{what}");
        assert_eq!(device_control(&file, 0x22_200c, b"", 0, false), (NtStatus::CANCELLED, vec![]));
        assert_eq!(not_completed(routine), 4);
        // The requests that are out keep the file.
        close(file);
        let extension = &*(*device).DeviceExtension.cast::<Extension>();
        assert_eq!((extension.cleanups, extension.closes), (1, 0));
    }
}

#[test]
fn an_open_that_is_not_completed_fails() {
    let driver = create_driver("Forgets", 0..0);
    // SAFETY: driver and devices are ours.
    unsafe { (*driver).MajorFunction[IRP_MJ_CREATE as usize] = Some(forgets) };
    create(driver, Some("\\Device\\Forgets")).unwrap();
    let before = not_completed(forgets as *const () as usize);
    assert_eq!(open_device("\\Device\\Forgets").err(), Some(NtStatus::CANCELLED));
    assert_eq!(not_completed(forgets as *const () as usize), before + 1);
}
