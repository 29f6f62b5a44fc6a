//! Transports as network modules: each registers with the NMR as a provider, and the subsystem, a client of theirs, attaches to
//! all of them. So they come and go while WSK's own clients run, and those notice nothing but the list of transports (C-7).
//!
//! The interface between the two is the trait [`Transport`]; the NMR carries a pointer to it.
#![allow(unsafe_code)] // Called by the NMR, with pointers that both sides keep.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use wsk::transport::Transport;
use wsk::{Provider, TransportId};
use wsk_abi::NtStatus;
use wsk_abi::io::HANDLE;
use wsk_abi::nmr::{
    GUID, NPI_CLIENT_CHARACTERISTICS, NPI_MODULEID, NPI_PROVIDER_CHARACTERISTICS, NPI_REGISTRATION_INSTANCE, NPIID,
};
use wsk_nt::nmr;

use crate::client::provider;
use crate::nmr::Constant;

/// The interface's name; of our own, as what it carries is.
static NPI_ID: NPIID = GUID::from_u128(0x4f70656e_5753_4b00_9d3b_000000000002);
static CLIENT_ID: Constant<NPI_MODULEID> =
    Constant(NPI_MODULEID::from_guid(GUID::from_u128(0x4f70656e_5753_4b00_9d3b_000000000003)));

const fn instance(module: *const NPI_MODULEID, transport: *const c_void) -> NPI_REGISTRATION_INSTANCE {
    NPI_REGISTRATION_INSTANCE {
        Version: 0,
        Size: size_of::<NPI_REGISTRATION_INSTANCE>() as u16,
        NpiId: &raw const NPI_ID,
        ModuleId: module,
        Number: 0,
        NpiSpecificCharacteristics: transport,
    }
}

// ---- the side of the transport ----

/// A transport that is registered. Dropping it is its unload: it returns when nothing of the transport runs any more.
pub struct TransportModule {
    handle: usize,
    // What the NMR reads while it is registered; boxed, so that it stays where it is.
    parts: Box<Parts>,
}

struct Parts {
    transport: Arc<dyn Transport>,
    id: NPI_MODULEID,
    characteristics: NPI_PROVIDER_CHARACTERISTICS,
}

// SAFETY: the pointers in it lead to itself and to constants, and are read only.
unsafe impl Send for Parts {}
// SAFETY: as above.
unsafe impl Sync for Parts {}

impl TransportModule {
    /// Registers a transport; the subsystem has attached to it when this returns.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES: its drivers cannot be opened.
    pub fn register(transport: Arc<dyn Transport>) -> Result<Self, NtStatus> {
        static NEXT: AtomicU64 = AtomicU64::new(0x100);
        register_client();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = NPI_MODULEID::from_guid(GUID::from_u128(0x4f70656e_5753_4b00_9d3c_000000000000 + u128::from(number)));
        let characteristics = NPI_PROVIDER_CHARACTERISTICS {
            Version: 0,
            Length: size_of::<NPI_PROVIDER_CHARACTERISTICS>() as u16,
            ProviderAttachClient: Some(provider_attach),
            ProviderDetachClient: Some(provider_detach),
            ProviderCleanupBindingContext: None,
            ProviderRegistrationInstance: instance(ptr::null(), ptr::null()),
        };
        let mut parts = Box::new(Parts { transport, id, characteristics });
        parts.characteristics.ProviderRegistrationInstance =
            instance(&raw const parts.id, ptr::from_ref(&parts.transport).cast());
        let before = provider().transports().len();
        let mut handle: HANDLE = ptr::null_mut();
        // SAFETY: the characteristics stay until `drop` has waited for the deregistration.
        let status =
            unsafe { nmr::NmrRegisterProvider(&raw const parts.characteristics, ptr::null_mut(), &raw mut handle) };
        if !status.is_success() {
            return Err(status);
        }
        let module = Self { handle: handle as usize, parts };
        if provider().transports().len() > before { Ok(module) } else { Err(NtStatus::INSUFFICIENT_RESOURCES) }
    }

    /// The transport.
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.parts.transport
    }
}

impl Drop for TransportModule {
    fn drop(&mut self) {
        let handle = self.handle as HANDLE;
        if nmr::NmrDeregisterProvider(handle) == NtStatus::PENDING {
            nmr::NmrWaitForProviderDeregisterComplete(handle);
        }
    }
}

impl std::fmt::Debug for TransportModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TransportModule").field(&self.parts.transport.name()).finish()
    }
}

unsafe extern "win64" fn provider_attach(
    _: HANDLE,
    _: *mut c_void,
    _: *const NPI_REGISTRATION_INSTANCE,
    _: *mut c_void,
    _: *const c_void,
    context: *mut *mut c_void,
    dispatch: *mut *const c_void,
) -> NtStatus {
    // SAFETY: the client's variables.
    unsafe { context.write(ptr::null_mut()) };
    // SAFETY: as above.
    unsafe { dispatch.write(ptr::null()) };
    NtStatus::SUCCESS
}

/// The transport has nothing of its own to wait for.
unsafe extern "win64" fn provider_detach(_: *mut c_void) -> NtStatus {
    NtStatus::SUCCESS
}

// ---- the side of the subsystem ----

/// A transport that the subsystem is attached to.
struct Binding {
    provider: Arc<Provider>,
    id: TransportId,
    handle: usize,
}

static CLIENT: Constant<NPI_CLIENT_CHARACTERISTICS> = Constant(NPI_CLIENT_CHARACTERISTICS {
    Version: 0,
    Length: size_of::<NPI_CLIENT_CHARACTERISTICS>() as u16,
    ClientAttachProvider: Some(client_attach),
    ClientDetachProvider: Some(client_detach),
    ClientCleanupBindingContext: Some(client_cleanup),
    ClientRegistrationInstance: instance(&raw const CLIENT_ID.0, ptr::null()),
});

/// Registers the subsystem as a client of transports, once per process.
fn register_client() {
    static REGISTERED: OnceLock<usize> = OnceLock::new();
    REGISTERED.get_or_init(|| {
        let mut handle: HANDLE = ptr::null_mut();
        // SAFETY: the characteristics are constant.
        let status = unsafe { nmr::NmrRegisterClient(&raw const CLIENT.0, ptr::null_mut(), &raw mut handle) };
        assert_eq!(status, NtStatus::SUCCESS, "the NMR takes the subsystem");
        handle as usize
    });
}

/// A transport is there: its drivers are opened, and only then it is attached to.
unsafe extern "win64" fn client_attach(
    binding: HANDLE,
    _: *mut c_void,
    instance: *const NPI_REGISTRATION_INSTANCE,
) -> NtStatus {
    // SAFETY: a module of this interface, registered.
    let transport = unsafe { (*instance).NpiSpecificCharacteristics }.cast::<Arc<dyn Transport>>();
    // SAFETY: its characteristics are a transport, and stay while it is registered.
    let transport = unsafe { &*transport }.clone();
    let provider = provider();
    let Ok(id) = provider.attach_transport(transport) else { return NtStatus::INSUFFICIENT_RESOURCES };
    let context = Box::into_raw(Box::new(Binding { provider, id, handle: binding as usize }));
    let (mut theirs, mut dispatch) = (ptr::null_mut(), ptr::null());
    // SAFETY: inside the attach function, with this binding.
    let status = unsafe {
        nmr::NmrClientAttachProvider(binding, context.cast(), ptr::null(), &raw mut theirs, &raw mut dispatch)
    };
    if !status.is_success() {
        // SAFETY: made above, and given to nobody.
        let context = unsafe { Box::from_raw(context) };
        let _ = context.provider.detach_transport(id);
    }
    status
}

/// The transport goes. Its sockets are told, and its threads end; PENDING until then.
unsafe extern "win64" fn client_detach(context: *mut c_void) -> NtStatus {
    // SAFETY: from `client_attach`; freed by `client_cleanup`, which comes after this has completed.
    let Binding { provider, id, handle } = unsafe { &*context.cast::<Binding>() };
    let (provider, id, handle) = (provider.clone(), *id, *handle);
    let detach = move || {
        let _ = provider.detach_transport(id);
        drop(provider);
        nmr::NmrClientDetachProviderComplete(handle as HANDLE);
    };
    match std::thread::Builder::new().name("wsk transport".into()).spawn(detach) {
        Ok(_) => NtStatus::PENDING,
        Err(_) => NtStatus::SUCCESS, // without a thread it stays, with nobody to offer it
    }
}

unsafe extern "win64" fn client_cleanup(context: *mut c_void) {
    // SAFETY: from `client_attach`, and both sides have finished.
    drop(unsafe { Box::from_raw(context.cast::<Binding>()) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use wsk::{Choice, ClientDispatch, Family, Registration, WaitTimeout};

    /// C-7, F-36, F-37: through the NMR, transports come and go while a client stays attached and its other sockets work.
    #[test]
    fn c7_transports_come_and_go_through_the_nmr() {
        crate::set_provider(Some(Provider::builder().without_transport().start().unwrap()));
        let provider = provider();
        let registration = Registration::register(&provider, ClientDispatch::default());
        let client = registration.capture(WaitTimeout::NoWait).unwrap();
        assert!(client.transports().is_empty());
        let refused = client.datagram_socket(Family::V4, None).map(drop).unwrap_err();
        assert_eq!(refused.status(), NtStatus::NOT_SUPPORTED);
        let host = || Arc::new(wsk::HostTransport::new(Choice::Epoll).unwrap());
        let mut change = client.transports_change();
        let one = TransportModule::register(host()).unwrap();
        change.wait().unwrap();
        let two = TransportModule::register(host()).unwrap();
        assert_eq!(provider.transports().len(), 2);
        assert_eq!(one.transport().name(), "epoll");
        // The first attached serves; its socket dies with it, the next one is of the other.
        let socket = client.datagram_socket(Family::V4, None).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).wait().unwrap();
        let mut pending = socket.receive_from(vec![0; 16]);
        let mut change = client.transports_change();
        drop(one);
        change.wait().unwrap();
        let ended = pending.wait_timeout(Duration::from_secs(20)).expect("it ends");
        assert_eq!(ended.unwrap_err().status(), NtStatus::FILE_FORCED_CLOSED);
        let other = client.datagram_socket(Family::V4, None).unwrap();
        other.bind("127.0.0.1:0".parse().unwrap()).wait().unwrap();
        let to = other.local_address().unwrap();
        other.send_to(&b"still here"[..], to).wait().unwrap();
        assert_eq!(other.receive_from(vec![0; 16]).wait().unwrap().bytes(), b"still here");
        drop(two);
        assert!(client.transports().is_empty() && provider.transports().is_empty());
        drop((socket, other, client, registration));
        crate::set_provider(None);
    }
}
