//! WSK as a provider of the NMR: the older way to attach, kept for compatibility (functions.md 1.4).
#![allow(unsafe_code)] // Called by the NMR with pointers of the client.

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, Once};

use parking_lot::Mutex;
use wsk::WaitTimeout;
use wsk_abi::NtStatus;
use wsk_abi::io::HANDLE;
use wsk_abi::nmr::{
    GUID, NPI_CLIENT_CHARACTERISTICS, NPI_MODULEID, NPI_PROVIDER_CHARACTERISTICS, NPI_REGISTRATION_INSTANCE,
    NPI_WSK_INTERFACE_ID, NPIID,
};
use wsk_abi::wsk::{MAKE_WSK_VERSION, WSK_CLIENT_DISPATCH, WSK_PROVIDER_CHARACTERISTICS};
use wsk_nt::{caller, exports, nmr};

use crate::client::{self, Client};
use crate::{border, dispatch};

/// Constants that the NMR reads through pointers.
pub(crate) struct Constant<T>(pub(crate) T);

// SAFETY: never written, and what the pointers in it lead to is not either.
unsafe impl<T> Sync for Constant<T> {}

static NPI_ID: NPIID = NPI_WSK_INTERFACE_ID;
/// Our own, as that of Windows' module is not published (F-31).
static MODULE_ID: Constant<NPI_MODULEID> =
    Constant(NPI_MODULEID::from_guid(GUID::from_u128(0x4f70656e_5753_4b00_9d3b_000000000001)));
static VERSIONS: WSK_PROVIDER_CHARACTERISTICS =
    WSK_PROVIDER_CHARACTERISTICS { HighestVersion: MAKE_WSK_VERSION(1, 0), LowestVersion: MAKE_WSK_VERSION(1, 0) };
static CHARACTERISTICS: Constant<NPI_PROVIDER_CHARACTERISTICS> = Constant(NPI_PROVIDER_CHARACTERISTICS {
    Version: 0,
    Length: size_of::<NPI_PROVIDER_CHARACTERISTICS>() as u16,
    ProviderAttachClient: Some(attach),
    ProviderDetachClient: Some(detach),
    ProviderCleanupBindingContext: None,
    ProviderRegistrationInstance: NPI_REGISTRATION_INSTANCE {
        Version: 0,
        Size: size_of::<NPI_REGISTRATION_INSTANCE>() as u16,
        NpiId: &raw const NPI_ID,
        ModuleId: &raw const MODULE_ID.0,
        Number: 0,
        NpiSpecificCharacteristics: (&raw const VERSIONS).cast(),
    },
});

/// A binding's handle, as a number.
static BINDINGS: Mutex<Option<HashMap<usize, usize>>> = Mutex::new(None);

/// The provider's registration with the NMR; `None` before the first, or after it was unloaded.
static REGISTERED: Mutex<Option<usize>> = Mutex::new(None);

/// Registers the provider with the NMR, unless it is registered: waiting clients attach.
pub fn load_provider() {
    let mut registered = REGISTERED.lock();
    if registered.is_none() {
        let mut handle: HANDLE = ptr::null_mut();
        // SAFETY: the characteristics are constant.
        let status =
            unsafe { nmr::NmrRegisterProvider(&raw const CHARACTERISTICS.0, ptr::null_mut(), &raw mut handle) };
        assert_eq!(status, NtStatus::SUCCESS, "the NMR takes the provider");
        *registered = Some(handle as usize);
    }
}

/// Takes the provider from the NMR, as its unload would: every client is told to detach (F-36), and this returns when all have,
/// and have closed their sockets (F-38). Clients that came through WskRegister are not touched.
pub fn unload_provider() {
    let handle = REGISTERED.lock().take();
    if let Some(handle) = handle {
        nmr::NmrDeregisterProvider(handle as HANDLE);
        nmr::NmrWaitForProviderDeregisterComplete(handle as HANDLE);
    }
}

/// The first client brings the provider along.
fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(load_provider);
}

/// NmrRegisterClient, for whatever NPI; the provider of WSK is registered by then.
pub(crate) unsafe extern "win64" fn NmrRegisterClient(
    ClientCharacteristics: *const NPI_CLIENT_CHARACTERISTICS,
    ClientContext: *mut c_void,
    NmrClientHandle: *mut HANDLE,
) -> NtStatus {
    register();
    // SAFETY: the caller's word.
    unsafe { nmr::NmrRegisterClient(ClientCharacteristics, ClientContext, NmrClientHandle) }
}

/// A client attaches (F-33): it is registered and the provider captured. NOINTERFACE: its version is not there.
unsafe extern "win64" fn attach(
    binding: HANDLE,
    _: *mut c_void,
    _: *const NPI_REGISTRATION_INSTANCE,
    _: *mut c_void,
    client_dispatch: *const c_void,
    context: *mut *mut c_void,
    provider_dispatch: *mut *const c_void,
) -> NtStatus {
    // SAFETY: the client's table, which stays (F-30).
    let Ok(table) = (unsafe { border::read(client_dispatch.cast::<WSK_CLIENT_DISPATCH>()) }) else {
        return NtStatus::INVALID_PARAMETER;
    };
    let client = Client::register(table.Version, caller::current());
    if let Err(status) = client.capture(WaitTimeout::NoWait) {
        let _ = client.deregister();
        return status;
    }
    let pointer = client.pointer();
    BINDINGS.lock().get_or_insert_default().insert(pointer as usize, binding as usize);
    // SAFETY: the client's variables.
    unsafe { context.write(pointer.cast()) };
    // SAFETY: as above.
    unsafe { provider_dispatch.write((&raw const dispatch::PROVIDER).cast()) };
    NtStatus::SUCCESS
}

/// The binding ends when the client has no socket and no request left (F-38): PENDING until then.
unsafe extern "win64" fn detach(context: *mut c_void) -> NtStatus {
    let Ok(client) = client::find(context.cast()) else { return NtStatus::SUCCESS };
    let binding = BINDINGS.lock().as_mut().and_then(|bindings| bindings.remove(&(context as usize)));
    let Some(binding) = binding else { return NtStatus::SUCCESS };
    let wait = move || end(&client, binding);
    match std::thread::Builder::new().name("wsk detach".into()).spawn(wait) {
        Ok(_) => NtStatus::PENDING,
        Err(_) => NtStatus::INSUFFICIENT_RESOURCES,
    }
}

fn end(client: &Arc<Client>, binding: usize) {
    client.release();
    let _ = client.deregister();
    nmr::NmrProviderDetachClientComplete(binding as HANDLE);
}

exports! { NmrRegisterClient }
