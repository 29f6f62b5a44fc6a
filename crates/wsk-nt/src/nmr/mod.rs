//! The Network Module Registrar: clients and providers of an NPI find each other, attach and detach (functions.md 1.4). It
//! serves any NPI; the WSK provider registers here like a driver's own.
//!
//! No lock is held while a module is called. A binding goes through: attaching, bound, detaching (each side once; a side that
//! returns STATUS_PENDING reports completion later), cleaned up.
#![allow(unsafe_code)] // Calls modules, with their pointers.

use std::ffi::c_void;
use std::ops::Range;

use parking_lot::{Condvar, Mutex};
use wsk_abi::NtStatus;
use wsk_abi::io::HANDLE;
use wsk_abi::nmr::*;

use crate::exports;
use crate::ke::irql::{self, DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::verify;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    Client,
    Provider,
}

struct Module {
    id: usize,
    side: Side,
    npi: NPIID,
    /// The characteristics, which the module keeps valid while registered.
    characteristics: usize,
    context: usize,
    deregistering: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Attach {
    No,
    /// The provider's attach function runs.
    Asked,
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Detach {
    No,
    /// Called, or to be called by who set this.
    Asked,
    Done,
}

struct Binding {
    id: usize,
    client: usize,
    provider: usize,
    attached: Attach,
    /// The client's attach function has returned: the binding can be detached.
    bound: bool,
    /// It returned a failure though the provider had attached: for the client there is no binding (F-33).
    declined: bool,
    client_context: usize,
    provider_context: usize,
    client_detach: Detach,
    provider_detach: Detach,
}

struct Registrar {
    modules: Vec<Module>,
    bindings: Vec<Binding>,
    next: usize,
    /// Pairs that were offered to each other: a refusal is final.
    offered: Vec<(usize, usize)>,
}

static REGISTRAR: Mutex<Registrar> =
    Mutex::new(Registrar { modules: Vec::new(), bindings: Vec::new(), next: 0x10, offered: Vec::new() });
static CHANGED: Condvar = Condvar::new();

impl Registrar {
    fn id(&mut self) -> usize {
        self.next += 0x10;
        self.next
    }

    fn module(&self, id: usize) -> Option<&Module> {
        self.modules.iter().find(|module| module.id == id)
    }

    fn binding(&mut self, id: usize) -> Option<&mut Binding> {
        self.bindings.iter_mut().find(|binding| binding.id == id)
    }

    /// Whether a module is gone, or on its way out: nothing attaches to it any more.
    fn leaves(&self, id: usize) -> bool {
        self.module(id).is_none_or(|module| module.deregistering)
    }

    fn client(&self, id: usize) -> Option<(*const NPI_CLIENT_CHARACTERISTICS, usize)> {
        self.module(id).map(|module| (module.characteristics as *const _, module.context))
    }

    fn provider(&self, id: usize) -> Option<(*const NPI_PROVIDER_CHARACTERISTICS, usize)> {
        self.module(id).map(|module| (module.characteristics as *const _, module.context))
    }
}

fn register(side: Side, npi: *const NPIID, characteristics: usize, context: usize, handle: *mut HANDLE) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, if side == Side::Client { "NmrRegisterClient" } else { "NmrRegisterProvider" });
    if npi.is_null() || handle.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    let id = {
        let mut registrar = REGISTRAR.lock();
        let id = registrar.id();
        // SAFETY: the module's NPI id, valid while it is registered (F-30).
        let npi = unsafe { npi.read() };
        registrar.modules.push(Module { id, side, npi, characteristics, context, deregistering: false });
        id
    };
    // SAFETY: the module's variable. Written first: attaching may come back with the handle.
    unsafe { handle.write(id as HANDLE) };
    attach_all(id);
    NtStatus::SUCCESS
}

/// Offers a new module to all of the other side.
fn attach_all(id: usize) {
    loop {
        let pair = {
            let mut registrar = REGISTRAR.lock();
            let Some(new) = registrar.module(id).filter(|module| !module.deregistering) else { return };
            let (side, npi) = (new.side, new.npi);
            let pair_of = |other: usize| if side == Side::Client { (id, other) } else { (other, id) };
            let others = registrar.modules.iter();
            let fits = |other: &&Module| {
                other.side != side
                    && other.npi == npi
                    && !other.deregistering
                    && !registrar.offered.contains(&pair_of(other.id))
            };
            let Some(other) = others.clone().find(fits) else { return };
            let pair = pair_of(other.id);
            registrar.offered.push(pair);
            pair
        };
        offer(pair.0, pair.1);
    }
}

/// Asks a client whether it wants a provider (F-32).
fn offer(client: usize, provider: usize) {
    let (binding, attach, context, instance) = {
        let mut registrar = REGISTRAR.lock();
        if registrar.leaves(client) || registrar.leaves(provider) {
            return;
        }
        let (Some((characteristics, context)), Some((theirs, _))) =
            (registrar.client(client), registrar.provider(provider))
        else {
            return;
        };
        let id = registrar.id();
        registrar.bindings.push(Binding {
            id,
            client,
            provider,
            attached: Attach::No,
            bound: false,
            declined: false,
            client_context: 0,
            provider_context: 0,
            client_detach: Detach::No,
            provider_detach: Detach::No,
        });
        // SAFETY: both are registered.
        unsafe {
            ((id), (*characteristics).ClientAttachProvider, context, &raw const (*theirs).ProviderRegistrationInstance)
        }
    };
    let status = match attach {
        // SAFETY: the client's function (F-32).
        Some(attach) => unsafe { attach(binding as HANDLE, context as *mut c_void, instance) },
        None => NtStatus::NOINTERFACE,
    };
    let over = {
        let mut registrar = REGISTRAR.lock();
        let leaving = registrar.leaves(client) || registrar.leaves(provider);
        match registrar.binding(binding).filter(|binding| binding.attached == Attach::Done) {
            Some(binding) => {
                binding.bound = true;
                binding.declined = !status.is_success();
                if binding.declined {
                    binding.client_detach = Detach::Done;
                    verify::violation("NMR", "ClientAttachProvider fails after NmrClientAttachProvider succeeded");
                }
                leaving || binding.declined
            }
            None => {
                registrar.bindings.retain(|other| other.id != binding);
                if status.is_success() {
                    verify::violation("NMR", "ClientAttachProvider succeeds without NmrClientAttachProvider");
                }
                CHANGED.notify_all();
                false
            }
        }
    };
    if over {
        detach(binding);
    }
}

/// NmrClientAttachProvider (F-33).
///
/// # Safety
/// As the DDI says: inside ClientAttachProvider, with that binding.
pub unsafe extern "win64" fn NmrClientAttachProvider(
    binding: HANDLE,
    client_context: *mut c_void,
    client_dispatch: *const c_void,
    provider_context: *mut *mut c_void,
    provider_dispatch: *mut *const c_void,
) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "NmrClientAttachProvider");
    let id = binding as usize;
    let found = {
        let mut registrar = REGISTRAR.lock();
        let asked = registrar.binding(id).filter(|binding| binding.attached == Attach::No && !binding.bound);
        asked.map(|binding| (binding.client, binding.provider)).map(|(client, provider)| {
            // Who leaves takes nobody on any more.
            let stay = !registrar.leaves(client) && !registrar.leaves(provider);
            let both = registrar.client(client).zip(registrar.provider(provider)).filter(|_| stay)?;
            registrar.binding(id)?.attached = Attach::Asked;
            Some(both)
        })
    };
    let Some(found) = found else {
        verify::violation("NMR", "NmrClientAttachProvider outside ClientAttachProvider, or twice");
        return NtStatus::INVALID_PARAMETER;
    };
    let Some(((client, _), (provider, context))) = found else { return NtStatus::NOINTERFACE };
    let mut made_context = std::ptr::null_mut();
    let mut dispatch = std::ptr::null();
    // SAFETY: both modules are registered; the provider's function (DDI).
    let status = unsafe {
        match (*provider).ProviderAttachClient {
            Some(attach) => attach(
                binding,
                context as *mut c_void,
                &raw const (*client).ClientRegistrationInstance,
                client_context,
                client_dispatch,
                &raw mut made_context,
                &raw mut dispatch,
            ),
            None => NtStatus::NOINTERFACE,
        }
    };
    if let Some(binding) = REGISTRAR.lock().binding(id) {
        binding.attached = if status.is_success() { Attach::Done } else { Attach::No };
        binding.client_context = client_context as usize;
        binding.provider_context = made_context as usize;
    }
    if status.is_success() {
        // SAFETY: the client's variables.
        unsafe {
            provider_context.write(made_context);
            provider_dispatch.write(dispatch);
        }
    }
    status
}

/// Detaches a binding: each side is asked once (F-36), then both are cleaned up (F-37).
fn detach(id: usize) {
    for side in [Side::Client, Side::Provider] {
        let call = {
            let mut registrar = REGISTRAR.lock();
            let Some(binding) = registrar.binding(id).filter(|binding| binding.bound) else { return };
            let (state, module, context) = match side {
                Side::Client => (&mut binding.client_detach, binding.client, binding.client_context),
                Side::Provider => (&mut binding.provider_detach, binding.provider, binding.provider_context),
            };
            if *state != Detach::No {
                continue;
            }
            *state = Detach::Asked;
            // SAFETY: modules stay registered until their bindings are gone.
            let function = unsafe {
                match side {
                    Side::Client => registrar.client(module).and_then(|(client, _)| (*client).ClientDetachProvider),
                    Side::Provider => {
                        registrar.provider(module).and_then(|(provider, _)| (*provider).ProviderDetachClient)
                    }
                }
            };
            function.map(|function| (function, context))
        };
        // SAFETY: the module's function (F-36).
        let status = call.map_or(NtStatus::SUCCESS, |(function, context)| unsafe { function(context as *mut c_void) });
        if status != NtStatus::PENDING {
            detached(id, side);
        }
    }
}

/// One side has detached.
fn detached(id: usize, side: Side) -> bool {
    let clean_up = {
        let mut registrar = REGISTRAR.lock();
        let Some(binding) = registrar.binding(id) else { return false };
        let state = match side {
            Side::Client => &mut binding.client_detach,
            Side::Provider => &mut binding.provider_detach,
        };
        if *state != Detach::Asked {
            return false;
        }
        *state = Detach::Done;
        if binding.client_detach != Detach::Done || binding.provider_detach != Detach::Done {
            return true;
        }
        let (client, provider, bound) = (binding.client, binding.provider, !binding.declined);
        let contexts = (binding.client_context, binding.provider_context);
        // SAFETY: both are registered until the binding is gone, below.
        unsafe {
            (
                registrar
                    .client(client)
                    .filter(|_| bound)
                    .and_then(|(client, _)| (*client).ClientCleanupBindingContext),
                registrar.provider(provider).and_then(|(provider, _)| (*provider).ProviderCleanupBindingContext),
                contexts,
            )
        }
    };
    let (client, provider, (client_context, provider_context)) = clean_up;
    // SAFETY: the modules' functions (F-37).
    unsafe {
        if let Some(client) = client {
            client(client_context as *mut c_void);
        }
        if let Some(provider) = provider {
            provider(provider_context as *mut c_void);
        }
    }
    REGISTRAR.lock().bindings.retain(|binding| binding.id != id);
    CHANGED.notify_all();
    true
}

fn deregister(handle: HANDLE, side: Side) -> NtStatus {
    let bindings: Vec<usize> = {
        let mut registrar = REGISTRAR.lock();
        let id = handle as usize;
        let Some(module) = registrar.modules.iter_mut().find(|module| module.id == id && module.side == side) else {
            return NtStatus::INVALID_PARAMETER;
        };
        if std::mem::replace(&mut module.deregistering, true) {
            return NtStatus::INVALID_PARAMETER;
        }
        let ours = registrar.bindings.iter().filter(|binding| binding.client == id || binding.provider == id);
        ours.map(|binding| binding.id).collect()
    };
    bindings.into_iter().for_each(detach);
    NtStatus::PENDING
}

fn wait_for(handle: HANDLE, side: Side, function: &'static str) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, function);
    let id = handle as usize;
    let mut registrar = REGISTRAR.lock();
    if !registrar.module(id).is_some_and(|module| module.side == side && module.deregistering) {
        return NtStatus::INVALID_PARAMETER;
    }
    if let Some(name) = crate::ke::callback::current() {
        drop(registrar);
        verify::violation("wait inside a callback", format!("{function} inside {name}"));
        registrar = REGISTRAR.lock();
    }
    while registrar.bindings.iter().any(|binding| binding.client == id || binding.provider == id) {
        CHANGED.wait(&mut registrar);
    }
    registrar.modules.retain(|module| module.id != id);
    registrar.offered.retain(|&(client, provider)| client != id && provider != id);
    NtStatus::SUCCESS
}

/// NmrRegisterClient (F-32).
///
/// # Safety
/// The characteristics stay valid until the deregistration is complete.
pub unsafe extern "win64" fn NmrRegisterClient(
    characteristics: *const NPI_CLIENT_CHARACTERISTICS,
    context: *mut c_void,
    handle: *mut HANDLE,
) -> NtStatus {
    if characteristics.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    // SAFETY: the caller's promise.
    let npi = unsafe { (*characteristics).ClientRegistrationInstance.NpiId };
    register(Side::Client, npi, characteristics as usize, context as usize, handle)
}

/// NmrRegisterProvider.
///
/// # Safety
/// The characteristics stay valid until the deregistration is complete.
pub unsafe extern "win64" fn NmrRegisterProvider(
    characteristics: *const NPI_PROVIDER_CHARACTERISTICS,
    context: *mut c_void,
    handle: *mut HANDLE,
) -> NtStatus {
    if characteristics.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    // SAFETY: the caller's promise.
    let npi = unsafe { (*characteristics).ProviderRegistrationInstance.NpiId };
    register(Side::Provider, npi, characteristics as usize, context as usize, handle)
}

/// NmrDeregisterClient (F-34).
pub extern "win64" fn NmrDeregisterClient(handle: HANDLE) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "NmrDeregisterClient");
    deregister(handle, Side::Client)
}

/// NmrDeregisterProvider.
pub extern "win64" fn NmrDeregisterProvider(handle: HANDLE) -> NtStatus {
    irql::at_most(PASSIVE_LEVEL, "NmrDeregisterProvider");
    deregister(handle, Side::Provider)
}

/// NmrWaitForClientDeregisterComplete (F-35).
pub extern "win64" fn NmrWaitForClientDeregisterComplete(handle: HANDLE) -> NtStatus {
    wait_for(handle, Side::Client, "NmrWaitForClientDeregisterComplete")
}

/// NmrWaitForProviderDeregisterComplete.
pub extern "win64" fn NmrWaitForProviderDeregisterComplete(handle: HANDLE) -> NtStatus {
    wait_for(handle, Side::Provider, "NmrWaitForProviderDeregisterComplete")
}

fn report_complete(binding: HANDLE, side: Side, function: &'static str) {
    irql::at_most(DISPATCH_LEVEL, function);
    if !detached(binding as usize, side) {
        verify::violation("NMR", format!("{function} for a binding that is not detaching"));
    }
}

/// NmrClientDetachProviderComplete (F-36).
pub extern "win64" fn NmrClientDetachProviderComplete(binding: HANDLE) {
    report_complete(binding, Side::Client, "NmrClientDetachProviderComplete");
}

/// NmrProviderDetachClientComplete.
pub extern "win64" fn NmrProviderDetachClientComplete(binding: HANDLE) {
    report_complete(binding, Side::Provider, "NmrProviderDetachClientComplete");
}

/// Modules whose characteristics lie in the range.
pub(crate) fn registered_in(range: &Range<usize>) -> Vec<(String, usize)> {
    let registrar = REGISTRAR.lock();
    let ours = registrar.modules.iter().filter(|module| range.contains(&module.characteristics));
    ours.map(|module| (format!("NMR {:?} of {} is registered", module.side, module.npi), module.characteristics))
        .collect()
}

#[cfg(test)]
pub(crate) fn handle_of(characteristics: usize) -> Option<usize> {
    REGISTRAR.lock().modules.iter().find(|module| module.characteristics == characteristics).map(|module| module.id)
}

/// Forgets modules whose characteristics lie in the range, a driver's image that is about to go: nothing of them is called any
/// more, and their peers are detached.
pub fn abandon(range: &Range<usize>) {
    let bindings: Vec<(usize, Side)> = {
        let mut registrar = REGISTRAR.lock();
        let left = registrar.modules.iter().filter(|module| range.contains(&module.characteristics));
        let gone: Vec<usize> = left.map(|module| module.id).collect();
        registrar.modules.retain(|module| !gone.contains(&module.id));
        registrar.offered.retain(|(client, provider)| !gone.contains(client) && !gone.contains(provider));
        let theirs = registrar.bindings.iter().flat_map(|binding| {
            let sides = [(Side::Client, binding.client), (Side::Provider, binding.provider)];
            sides.into_iter().filter(|(_, id)| gone.contains(id)).map(|(side, _)| (binding.id, side))
        });
        theirs.collect()
    };
    for (binding, side) in bindings {
        detach(binding);
        detached(binding, side); // nobody would complete what it had pended
    }
}

exports! {
    NmrRegisterClient, NmrRegisterProvider, NmrDeregisterClient, NmrDeregisterProvider, NmrWaitForClientDeregisterComplete,
    NmrWaitForProviderDeregisterComplete, NmrClientAttachProvider, NmrClientDetachProviderComplete,
    NmrProviderDetachClientComplete,
}
