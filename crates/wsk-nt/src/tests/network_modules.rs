//! The Network Module Registrar: attach in either order, refusals, detach at once and pended.
#![allow(unsafe_code)] // Plays client and provider.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use wsk_abi::NtStatus;
use wsk_abi::io::HANDLE;
use wsk_abi::nmr::*;

use crate::nmr::*;

#[derive(Default)]
struct Module {
    attaches: AtomicUsize,
    detaches: AtomicUsize,
    cleanups: AtomicUsize,
    binding: AtomicUsize,
    /// Detaching pends.
    pends: AtomicBool,
    /// Attaching is refused.
    refuses: AtomicBool,
}

unsafe fn module<'a>(context: *mut c_void) -> &'a Module {
    // SAFETY: the test's module.
    unsafe { &*context.cast::<Module>() }
}

unsafe extern "win64" fn client_attach(
    binding: HANDLE,
    context: *mut c_void,
    provider: *const NPI_REGISTRATION_INSTANCE,
) -> NtStatus {
    // SAFETY: the test's module; the registrar's instance.
    unsafe {
        let client = module(context);
        assert_eq!((*provider).Number, 7);
        client.attaches.fetch_add(1, Ordering::SeqCst);
        client.binding.store(binding as usize, Ordering::SeqCst);
        let (mut theirs, mut dispatch) = (std::ptr::null_mut(), std::ptr::null());
        let status =
            NmrClientAttachProvider(binding, context, 0x11 as *const c_void, &raw mut theirs, &raw mut dispatch);
        if status == NtStatus::SUCCESS {
            assert_eq!(dispatch as usize, 0x22);
        }
        status
    }
}

unsafe extern "win64" fn provider_attach(
    binding: HANDLE,
    context: *mut c_void,
    _client: *const NPI_REGISTRATION_INSTANCE,
    _client_context: *mut c_void,
    dispatch: *const c_void,
    binding_context: *mut *mut c_void,
    provider_dispatch: *mut *const c_void,
) -> NtStatus {
    assert_eq!(dispatch as usize, 0x11);
    // SAFETY: the test's module; the registrar's variables.
    unsafe {
        let provider = module(context);
        provider.attaches.fetch_add(1, Ordering::SeqCst);
        if provider.refuses.load(Ordering::SeqCst) {
            return NtStatus::NOINTERFACE;
        }
        provider.binding.store(binding as usize, Ordering::SeqCst);
        binding_context.write(context);
        provider_dispatch.write(0x22 as *const c_void);
    }
    NtStatus::SUCCESS
}

unsafe extern "win64" fn on_detach(context: *mut c_void) -> NtStatus {
    // SAFETY: the test's module.
    let module = unsafe { module(context) };
    module.detaches.fetch_add(1, Ordering::SeqCst);
    if module.pends.load(Ordering::SeqCst) { NtStatus::PENDING } else { NtStatus::SUCCESS }
}

unsafe extern "win64" fn on_cleanup(context: *mut c_void) {
    // SAFETY: the test's module.
    unsafe { module(context) }.cleanups.fetch_add(1, Ordering::SeqCst);
}

struct Pair {
    npi: NPIID,
    id: NPI_MODULEID,
    client: Module,
    provider: Module,
    client_characteristics: NPI_CLIENT_CHARACTERISTICS,
    provider_characteristics: NPI_PROVIDER_CHARACTERISTICS,
}

fn pair(npi: u128) -> Box<Pair> {
    let mut pair = Box::new(Pair {
        npi: GUID::from_u128(npi),
        id: NPI_MODULEID::from_guid(GUID::from_u128(1)),
        client: Module::default(),
        provider: Module::default(),
        client_characteristics: NPI_CLIENT_CHARACTERISTICS::default(),
        provider_characteristics: NPI_PROVIDER_CHARACTERISTICS::default(),
    });
    let instance = NPI_REGISTRATION_INSTANCE {
        Size: size_of::<NPI_REGISTRATION_INSTANCE>() as u16,
        NpiId: &raw const pair.npi,
        ModuleId: &raw const pair.id,
        Number: 7,
        ..NPI_REGISTRATION_INSTANCE::default()
    };
    let client = &mut pair.client_characteristics;
    client.ClientAttachProvider = Some(client_attach);
    client.ClientDetachProvider = Some(on_detach);
    client.ClientCleanupBindingContext = Some(on_cleanup);
    client.ClientRegistrationInstance = instance;
    let provider = &mut pair.provider_characteristics;
    provider.ProviderAttachClient = Some(provider_attach);
    provider.ProviderDetachClient = Some(on_detach);
    provider.ProviderCleanupBindingContext = Some(on_cleanup);
    provider.ProviderRegistrationInstance = instance;
    pair
}

impl Pair {
    fn register_client(&self) -> HANDLE {
        let mut handle = std::ptr::null_mut();
        let context = (&raw const self.client).cast_mut().cast();
        // SAFETY: the pair outlives the registration.
        let status = unsafe { NmrRegisterClient(&raw const self.client_characteristics, context, &raw mut handle) };
        assert_eq!(status, NtStatus::SUCCESS);
        handle
    }

    fn register_provider(&self) -> HANDLE {
        let mut handle = std::ptr::null_mut();
        let context = (&raw const self.provider).cast_mut().cast();
        // SAFETY: the pair outlives the registration.
        let status = unsafe { NmrRegisterProvider(&raw const self.provider_characteristics, context, &raw mut handle) };
        assert_eq!(status, NtStatus::SUCCESS);
        handle
    }

    fn counts(&self) -> [(usize, usize, usize); 2] {
        [&self.client, &self.provider].map(|module| {
            let load = |count: &AtomicUsize| count.load(Ordering::SeqCst);
            (load(&module.attaches), load(&module.detaches), load(&module.cleanups))
        })
    }
}

#[test]
fn modules_attach_in_either_order_and_detach_when_either_leaves() {
    for client_first in [false, true] {
        let pair = pair(0x1000 + u128::from(client_first));
        let (client, provider);
        if client_first {
            client = pair.register_client();
            assert_eq!(pair.counts(), [(0, 0, 0), (0, 0, 0)]);
            provider = pair.register_provider();
        } else {
            provider = pair.register_provider();
            client = pair.register_client();
        }
        assert_eq!(pair.counts(), [(1, 0, 0), (1, 0, 0)]);
        assert_eq!(NmrWaitForClientDeregisterComplete(client), NtStatus::INVALID_PARAMETER);
        assert_eq!(NmrDeregisterClient(client), NtStatus::PENDING);
        assert_eq!(NmrDeregisterClient(client), NtStatus::INVALID_PARAMETER);
        assert_eq!(NmrWaitForClientDeregisterComplete(client), NtStatus::SUCCESS);
        assert_eq!(pair.counts(), [(1, 1, 1), (1, 1, 1)]);
        assert_eq!(NmrDeregisterProvider(provider), NtStatus::PENDING);
        assert_eq!(NmrWaitForProviderDeregisterComplete(provider), NtStatus::SUCCESS);
        assert_eq!(pair.counts(), [(1, 1, 1), (1, 1, 1)]);
    }
}

#[test]
fn a_refused_client_has_no_binding() {
    let pair = pair(0x2000);
    pair.provider.refuses.store(true, Ordering::SeqCst);
    let (provider, client) = (pair.register_provider(), pair.register_client());
    assert_eq!(NmrDeregisterClient(client), NtStatus::PENDING);
    assert_eq!(NmrWaitForClientDeregisterComplete(client), NtStatus::SUCCESS);
    NmrDeregisterProvider(provider);
    NmrWaitForProviderDeregisterComplete(provider);
    assert_eq!(pair.counts(), [(1, 0, 0), (1, 0, 0)]);
}

#[test]
fn a_pended_detach_is_waited_for() {
    let pair = pair(0x3000);
    pair.client.pends.store(true, Ordering::SeqCst);
    pair.provider.pends.store(true, Ordering::SeqCst);
    let (provider, client) = (pair.register_provider(), pair.register_client());
    assert_eq!(NmrDeregisterProvider(provider), NtStatus::PENDING);
    assert_eq!(pair.counts(), [(1, 1, 0), (1, 1, 0)]);
    let binding = pair.client.binding.load(Ordering::SeqCst);
    let completer = std::thread::spawn(move || {
        NmrClientDetachProviderComplete(binding as HANDLE);
        NmrProviderDetachClientComplete(binding as HANDLE);
    });
    assert_eq!(NmrWaitForProviderDeregisterComplete(provider), NtStatus::SUCCESS);
    completer.join().unwrap();
    assert_eq!(pair.counts(), [(1, 1, 1), (1, 1, 1)]);
    NmrDeregisterClient(client);
    assert_eq!(NmrWaitForClientDeregisterComplete(client), NtStatus::SUCCESS);
}
