//! A client and provider of the NMR in one, whose functions count, note whom they meet, and do what a test wants.
#![allow(unsafe_code)] // Plays client and provider.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;

use wsk_abi::NtStatus;
use wsk_abi::io::HANDLE;
use wsk_abi::nmr::*;

use crate::nmr::*;

/// What happens inside an attach function, with the binding's handle.
pub(super) type Hook = Mutex<Option<Box<dyn Fn(usize) + Send>>>;

/// A client or a provider, as the test needs it. Its context, and that of its bindings, is its address.
pub(super) struct Module {
    npi: NPIID,
    id: NPI_MODULEID,
    pub(super) client: NPI_CLIENT_CHARACTERISTICS,
    pub(super) provider: NPI_PROVIDER_CHARACTERISTICS,
    /// Numbers and bindings of those it attached to, in that order.
    attached: Mutex<Vec<(u32, usize)>>,
    /// Detaches and cleanups.
    detached: AtomicUsize,
    cleaned: AtomicUsize,
    /// Detaching pends.
    pub(super) pends: AtomicBool,
    /// Declines (a client) or refuses (a provider) the module of this number.
    pub(super) refuses: AtomicUsize,
    /// A client's, before it asks the registrar for the provider and after.
    pub(super) before: Hook,
    pub(super) after: Hook,
    /// What a client's attach function returns whatever happened.
    pub(super) answers: Mutex<Option<NtStatus>>,
    pub(super) on_detach: Hook,
    pub(super) on_cleanup: Hook,
}

pub(super) unsafe fn module<'a>(context: *mut c_void) -> &'a Module {
    // SAFETY: the test's module.
    unsafe { &*context.cast::<Module>() }
}

fn run(hook: &Hook, binding: usize) {
    if let Some(hook) = &*hook.lock().unwrap() {
        hook(binding);
    }
}

unsafe extern "win64" fn client_attach(
    binding: HANDLE,
    context: *mut c_void,
    provider: *const NPI_REGISTRATION_INSTANCE,
) -> NtStatus {
    // SAFETY: the test's module; the registrar's instance.
    let (client, number) = unsafe { (module(context), (*provider).Number) };
    run(&client.before, binding as usize);
    if client.refuses.load(Ordering::SeqCst) == number as usize {
        return NtStatus::NOINTERFACE;
    }
    // SAFETY: the binding being attached.
    let status = unsafe { attach(client, number, binding) };
    run(&client.after, binding as usize);
    client.answers.lock().unwrap().unwrap_or(status)
}

pub(super) unsafe fn attach(client: &Module, number: u32, binding: HANDLE) -> NtStatus {
    let context = client.context();
    let (mut theirs, mut dispatch) = (std::ptr::null_mut(), std::ptr::null());
    // SAFETY: the caller's word; the variables are ours.
    let status =
        unsafe { NmrClientAttachProvider(binding, context, 0x11 as *const c_void, &raw mut theirs, &raw mut dispatch) };
    if status == NtStatus::SUCCESS {
        assert_eq!(dispatch as usize, 0x22);
        client.attached.lock().unwrap().push((number, binding as usize));
    }
    status
}

unsafe extern "win64" fn provider_attach(
    binding: HANDLE,
    context: *mut c_void,
    client: *const NPI_REGISTRATION_INSTANCE,
    _client_context: *mut c_void,
    dispatch: *const c_void,
    binding_context: *mut *mut c_void,
    provider_dispatch: *mut *const c_void,
) -> NtStatus {
    assert_eq!(dispatch as usize, 0x11);
    // SAFETY: the test's module; the registrar's instance.
    let (provider, number) = unsafe { (module(context), (*client).Number) };
    if provider.refuses.load(Ordering::SeqCst) == number as usize {
        return NtStatus::NOINTERFACE;
    }
    provider.attached.lock().unwrap().push((number, binding as usize));
    // SAFETY: the registrar's variables.
    unsafe {
        binding_context.write(context);
        provider_dispatch.write(0x22 as *const c_void);
    }
    NtStatus::SUCCESS
}

unsafe extern "win64" fn on_detach(context: *mut c_void) -> NtStatus {
    // SAFETY: the test's module.
    let module = unsafe { module(context) };
    let nth = module.detached.fetch_add(1, Ordering::SeqCst);
    let binding = module.attached.lock().unwrap().get(nth).map_or(0, |(_, binding)| *binding);
    run(&module.on_detach, binding);
    if module.pends.load(Ordering::SeqCst) { NtStatus::PENDING } else { NtStatus::SUCCESS }
}

unsafe extern "win64" fn on_cleanup(context: *mut c_void) {
    // SAFETY: the test's module.
    let module = unsafe { module(context) };
    run(&module.on_cleanup, 0);
    module.cleaned.fetch_add(1, Ordering::SeqCst);
}

/// A module of an NPI that is this test's alone.
pub(super) fn new(npi: u128, number: u32) -> Box<Module> {
    let mut module = Box::new(Module {
        npi: GUID::from_u128(npi),
        id: NPI_MODULEID::from_guid(GUID::from_u128(number.into())),
        client: NPI_CLIENT_CHARACTERISTICS::default(),
        provider: NPI_PROVIDER_CHARACTERISTICS::default(),
        attached: Mutex::default(),
        detached: AtomicUsize::new(0),
        cleaned: AtomicUsize::new(0),
        pends: AtomicBool::new(false),
        refuses: AtomicUsize::new(usize::MAX),
        before: Hook::default(),
        after: Hook::default(),
        answers: Mutex::default(),
        on_detach: Hook::default(),
        on_cleanup: Hook::default(),
    });
    let instance = NPI_REGISTRATION_INSTANCE {
        Size: size_of::<NPI_REGISTRATION_INSTANCE>() as u16,
        NpiId: &raw const module.npi,
        ModuleId: &raw const module.id,
        Number: number,
        ..NPI_REGISTRATION_INSTANCE::default()
    };
    module.client.ClientAttachProvider = Some(client_attach);
    module.client.ClientDetachProvider = Some(on_detach);
    module.client.ClientCleanupBindingContext = Some(on_cleanup);
    module.client.ClientRegistrationInstance = instance;
    module.provider.ProviderAttachClient = Some(provider_attach);
    module.provider.ProviderDetachClient = Some(on_detach);
    module.provider.ProviderCleanupBindingContext = Some(on_cleanup);
    module.provider.ProviderRegistrationInstance = instance;
    module
}

/// A registration: a handle that other threads may use.
#[derive(Clone, Copy)]
pub(super) struct Registered {
    pub(super) handle: usize,
    pub(super) provider: bool,
}

impl Module {
    pub(super) fn context(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    pub(super) fn client(&self) -> Registered {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the module outlives the registration.
        let status = unsafe { NmrRegisterClient(&raw const self.client, self.context(), &raw mut handle) };
        assert_eq!(status, NtStatus::SUCCESS);
        Registered { handle: handle as usize, provider: false }
    }

    pub(super) fn provider(&self) -> Registered {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the module outlives the registration.
        let status = unsafe { NmrRegisterProvider(&raw const self.provider, self.context(), &raw mut handle) };
        assert_eq!(status, NtStatus::SUCCESS);
        Registered { handle: handle as usize, provider: true }
    }

    /// Those it attached to, in that order.
    pub(super) fn peers(&self) -> Vec<u32> {
        self.attached.lock().unwrap().iter().map(|(number, _)| *number).collect()
    }

    pub(super) fn binding(&self, nth: usize) -> usize {
        self.attached.lock().unwrap()[nth].1
    }

    /// Attaches, detaches, cleanups.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.peers().len(), self.detached.load(Ordering::SeqCst), self.cleaned.load(Ordering::SeqCst))
    }

    pub(super) fn set(&self, hook: impl Fn(&Module) -> &Hook, body: impl Fn(usize) + Send + 'static) {
        *hook(self).lock().unwrap() = Some(Box::new(body));
    }
}

impl Registered {
    pub(super) fn deregister(self) -> NtStatus {
        let handle = self.handle as HANDLE;
        if self.provider { NmrDeregisterProvider(handle) } else { NmrDeregisterClient(handle) }
    }

    pub(super) fn wait(self) -> NtStatus {
        let handle = self.handle as HANDLE;
        match self.provider {
            true => NmrWaitForProviderDeregisterComplete(handle),
            false => NmrWaitForClientDeregisterComplete(handle),
        }
    }

    pub(super) fn leave(self) {
        assert_eq!((self.deregister(), self.wait()), (NtStatus::PENDING, NtStatus::SUCCESS));
    }

    /// Waits on another thread; whether that is over before `release`, which ends it.
    pub(super) fn waits_for(self, release: impl FnOnce()) -> bool {
        let (begun, begin) = mpsc::channel();
        thread::scope(|scope| {
            let waiter = scope.spawn(move || {
                begun.send(()).unwrap();
                self.wait()
            });
            begin.recv().unwrap();
            // Time for a wait that does not wait to end.
            let early = (0..1000).any(|_| {
                thread::yield_now();
                waiter.is_finished()
            });
            release();
            assert_eq!(waiter.join().unwrap(), NtStatus::SUCCESS);
            !early
        })
    }
}

/// Something that an attach function waits for, and the news that it does.
pub(super) fn gate() -> (impl Fn(usize) + Send, mpsc::Receiver<usize>, mpsc::Sender<()>) {
    let (entered, inside) = mpsc::channel();
    let (open, opened) = mpsc::channel();
    let wait = move |binding| {
        entered.send(binding).unwrap();
        let _ = opened.recv();
    };
    (wait, inside, open)
}
