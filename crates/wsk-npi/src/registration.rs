//! The exports of the network modules: WskRegister and its companions (functions.md 1).
#![allow(unsafe_code)] // Reads and writes the caller's registration block.

use std::time::Duration;

use wsk::WaitTimeout;
use wsk_abi::NtStatus;
use wsk_abi::wsk::{
    WSK_CLIENT_NPI, WSK_INFINITE_WAIT, WSK_NO_WAIT, WSK_PROVIDER_CHARACTERISTICS, WSK_PROVIDER_NPI, WSK_REGISTRATION,
};
use wsk_nt::ke::irql;
use wsk_nt::{caller, exports, verify};

use crate::client::{self, Client};
use crate::{border, dispatch};

/// What marks a registration block that is in use.
const REGISTERED: u64 = u64::from_le_bytes(*b"WSK regs");

/// WskRegister (F-14): SUCCESS; INVALID_PARAMETER without block, client NPI or dispatch table. PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn WskRegister(
    WskClientNpi: *mut WSK_CLIENT_NPI,
    WskRegistration: *mut WSK_REGISTRATION,
) -> NtStatus {
    irql::at_most(irql::PASSIVE_LEVEL, "WskRegister");
    // SAFETY: the client's NPI, copied (F-10).
    let npi = match unsafe { border::read(WskClientNpi) } {
        Ok(npi) if !WskRegistration.is_null() => npi,
        _ => return NtStatus::INVALID_PARAMETER,
    };
    // SAFETY: the client's table, which stays (F-11).
    let Ok(table) = (unsafe { border::read(npi.Dispatch) }) else { return NtStatus::INVALID_PARAMETER };
    let client = Client::register(table.Version, caller::current());
    let block = WSK_REGISTRATION {
        ReservedRegistrationState: REGISTERED,
        ReservedRegistrationContext: client.pointer().cast(),
        ReservedRegistrationLock: 0,
    };
    // SAFETY: the caller's block, to be filled (F-12).
    unsafe { WskRegistration.write_unaligned(block) };
    NtStatus::SUCCESS
}

/// The client of a registration block; a block that is not registered is a violation.
unsafe fn client_of(block: *const WSK_REGISTRATION, function: &str) -> Option<std::sync::Arc<Client>> {
    // SAFETY: the caller's word: null or a block.
    let block = unsafe { border::read(block) }.ok()?;
    let client = (block.ReservedRegistrationState == REGISTERED)
        .then(|| client::find(block.ReservedRegistrationContext.cast()).ok())
        .flatten();
    if client.is_none() {
        verify::violation("registration misused", format!("{function} on a block that is not registered"));
    }
    client
}

/// WskDeregister (F-18, F-21 to F-25): waits for captures, calls, IRPs and sockets. A second one does nothing.
pub(crate) unsafe extern "win64" fn WskDeregister(WskRegistration: *mut WSK_REGISTRATION) {
    irql::at_most(irql::PASSIVE_LEVEL, "WskDeregister");
    // SAFETY: the caller's block.
    let Some(client) = (unsafe { client_of(WskRegistration, "WskDeregister") }) else { return };
    if client.deregister().is_err() {
        let what = "WskDeregister waits for the callback that called it (F-25)";
        return verify::violation("wait inside a callback", what);
    }
    // SAFETY: as above; the block is the caller's again.
    unsafe { WskRegistration.write_unaligned(WSK_REGISTRATION::default()) };
}

/// WskCaptureProviderNPI (F-15): SUCCESS, DEVICE_NOT_READY, NOINTERFACE. PASSIVE_LEVEL, or DISPATCH_LEVEL with WSK_NO_WAIT.
pub(crate) unsafe extern "win64" fn WskCaptureProviderNPI(
    WskRegistration: *mut WSK_REGISTRATION,
    WaitTimeout: u32,
    WskProviderNpi: *mut WSK_PROVIDER_NPI,
) -> NtStatus {
    let wait = match WaitTimeout {
        WSK_NO_WAIT => wsk::WaitTimeout::NoWait,
        WSK_INFINITE_WAIT => wsk::WaitTimeout::Infinite,
        milliseconds => wsk::WaitTimeout::For(Duration::from_millis(milliseconds.into())),
    };
    let level = if wait == WaitTimeout::NoWait { irql::DISPATCH_LEVEL } else { irql::PASSIVE_LEVEL };
    irql::at_most(level, "WskCaptureProviderNPI");
    if WskProviderNpi.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    // SAFETY: the caller's block.
    let Some(client) = (unsafe { client_of(WskRegistration, "WskCaptureProviderNPI") }) else {
        return NtStatus::DEVICE_NOT_READY;
    };
    if let Err(status) = client.capture(wait) {
        return status;
    }
    let npi = WSK_PROVIDER_NPI { Client: client.pointer(), Dispatch: &raw const dispatch::PROVIDER };
    // SAFETY: the caller's variable, not null.
    unsafe { WskProviderNpi.write_unaligned(npi) };
    NtStatus::SUCCESS
}

/// WskReleaseProviderNPI (F-16). DISPATCH_LEVEL at most.
pub(crate) unsafe extern "win64" fn WskReleaseProviderNPI(WskRegistration: *mut WSK_REGISTRATION) {
    irql::at_most(irql::DISPATCH_LEVEL, "WskReleaseProviderNPI");
    // SAFETY: the caller's block.
    let Some(client) = (unsafe { client_of(WskRegistration, "WskReleaseProviderNPI") }) else { return };
    if !client.release() {
        verify::violation("registration misused", "WskReleaseProviderNPI without a capture (F-16)");
    }
}

/// WskQueryProviderCharacteristics (F-17): SUCCESS, DEVICE_NOT_READY. DISPATCH_LEVEL at most.
pub(crate) unsafe extern "win64" fn WskQueryProviderCharacteristics(
    WskRegistration: *mut WSK_REGISTRATION,
    WskProviderCharacteristics: *mut WSK_PROVIDER_CHARACTERISTICS,
) -> NtStatus {
    irql::at_most(irql::DISPATCH_LEVEL, "WskQueryProviderCharacteristics");
    if WskProviderCharacteristics.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    // SAFETY: the caller's block.
    let Some(client) = (unsafe { client_of(WskRegistration, "WskQueryProviderCharacteristics") }) else {
        return NtStatus::DEVICE_NOT_READY;
    };
    match client.registration().characteristics() {
        Ok(versions) => {
            let versions =
                WSK_PROVIDER_CHARACTERISTICS { HighestVersion: versions.highest, LowestVersion: versions.lowest };
            // SAFETY: the caller's variable, not null.
            unsafe { WskProviderCharacteristics.write_unaligned(versions) };
            NtStatus::SUCCESS
        }
        Err(error) => error.status(),
    }
}

exports! { WskRegister, WskDeregister, WskCaptureProviderNPI, WskReleaseProviderNPI, WskQueryProviderCharacteristics }
