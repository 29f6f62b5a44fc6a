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

#[cfg(test)]
mod tests {
    use std::ptr;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;
    use std::sync::mpsc;

    use super::*;
    use wsk::{Family, Provider};
    use wsk_abi::nmr::NPI_CLIENT_CHARACTERISTICS;

    /// A client of the NPI that counts what it is asked.
    #[derive(Default)]
    struct Counting {
        binding: AtomicUsize,
        client: AtomicUsize,
        attached: AtomicUsize,
        detached: AtomicUsize,
        cleaned: AtomicUsize,
        pends: bool,
    }

    static TABLE: Constant<WSK_CLIENT_DISPATCH> =
        Constant(WSK_CLIENT_DISPATCH { Version: MAKE_WSK_VERSION(1, 0), Reserved: 0, WskClientEvent: None });

    unsafe extern "win64" fn client_attach(
        binding: HANDLE,
        context: *mut c_void,
        _: *const NPI_REGISTRATION_INSTANCE,
    ) -> NtStatus {
        // SAFETY: a `Counting` that lives as long as the test.
        let this = unsafe { &*context.cast::<Counting>() };
        let (mut client, mut table) = (ptr::null_mut(), ptr::null());
        // SAFETY: inside the attach function.
        let status = unsafe {
            nmr::NmrClientAttachProvider(binding, context, (&raw const TABLE.0).cast(), &raw mut client, &raw mut table)
        };
        assert_eq!(status, NtStatus::SUCCESS);
        assert!(ptr::eq(table.cast(), &raw const dispatch::PROVIDER));
        this.binding.store(binding as usize, SeqCst);
        this.client.store(client as usize, SeqCst);
        this.attached.fetch_add(1, SeqCst);
        status
    }

    unsafe extern "win64" fn client_detach(context: *mut c_void) -> NtStatus {
        // SAFETY: as above.
        let this = unsafe { &*context.cast::<Counting>() };
        this.detached.fetch_add(1, SeqCst);
        if this.pends { NtStatus::PENDING } else { NtStatus::SUCCESS }
    }

    unsafe extern "win64" fn client_cleanup(context: *mut c_void) {
        // SAFETY: as above.
        unsafe { &*context.cast::<Counting>() }.cleaned.fetch_add(1, SeqCst);
    }

    static CLIENT: Constant<NPI_CLIENT_CHARACTERISTICS> = Constant(NPI_CLIENT_CHARACTERISTICS {
        Version: 0,
        Length: size_of::<NPI_CLIENT_CHARACTERISTICS>() as u16,
        ClientAttachProvider: Some(client_attach),
        ClientDetachProvider: Some(client_detach),
        ClientCleanupBindingContext: Some(client_cleanup),
        ClientRegistrationInstance: NPI_REGISTRATION_INSTANCE {
            Version: 0,
            Size: size_of::<NPI_REGISTRATION_INSTANCE>() as u16,
            NpiId: &raw const NPI_ID,
            ModuleId: &raw const MODULE_ID.0,
            Number: 0,
            NpiSpecificCharacteristics: ptr::null(),
        },
    });

    fn register(client: &'static Counting) -> HANDLE {
        let mut handle: HANDLE = ptr::null_mut();
        let context = ptr::from_ref(client).cast_mut().cast();
        // SAFETY: constant characteristics, and a context that stays.
        let status = unsafe { NmrRegisterClient(&raw const CLIENT.0, context, &raw mut handle) };
        assert_eq!(status, NtStatus::SUCCESS);
        handle
    }

    fn counts(client: &Counting) -> [usize; 3] {
        [&client.attached, &client.detached, &client.cleaned].map(|count| count.load(SeqCst))
    }

    /// F-36, F-37, F-38: the provider goes while clients are attached, one of which detaches later and one of which has a socket;
    /// its unload waits for both. When it is back, they attach again.
    #[test]
    fn f38_the_provider_is_unloaded_while_clients_are_attached() {
        crate::set_provider(Some(Provider::builder().host(wsk::Choice::Epoll).start().unwrap()));
        let prompt: &Counting = Box::leak(Box::default());
        let late: &Counting = Box::leak(Box::new(Counting { pends: true, ..Counting::default() }));
        let handles = [register(prompt), register(late)].map(|handle| handle as usize);
        assert_eq!((counts(prompt), counts(late)), ([1, 0, 0], [1, 0, 0]));
        let client = client::find(prompt.client.load(SeqCst) as *mut _).unwrap();
        let socket = client.captured().unwrap().datagram_socket(Family::V4, None).unwrap();
        drop(client);

        let (unloaded, end) = mpsc::channel();
        let unload = std::thread::spawn(move || {
            unload_provider();
            unloaded.send(()).unwrap();
        });
        while late.detached.load(SeqCst) == 0 || prompt.detached.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        assert!(end.try_recv().is_err(), "both are waited for");
        nmr::NmrClientDetachProviderComplete(late.binding.load(SeqCst) as HANDLE);
        while late.cleaned.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        assert!(end.try_recv().is_err(), "the other's socket is waited for");
        drop(socket);
        end.recv_timeout(std::time::Duration::from_secs(20)).expect("the unload ends");
        unload.join().unwrap();
        assert_eq!((counts(prompt), counts(late)), ([1, 1, 1], [1, 1, 1]));

        load_provider();
        assert_eq!((counts(prompt), counts(late)), ([2, 1, 1], [2, 1, 1]));
        for (handle, client) in handles.into_iter().zip([prompt, late]) {
            assert_eq!(nmr::NmrDeregisterClient(handle as HANDLE), NtStatus::PENDING);
            if client.pends {
                nmr::NmrClientDetachProviderComplete(client.binding.load(SeqCst) as HANDLE);
            }
            assert_eq!(nmr::NmrWaitForClientDeregisterComplete(handle as HANDLE), NtStatus::SUCCESS);
            assert_eq!(counts(client), [2, 2, 2]);
        }
        crate::set_provider(None);
    }
}
