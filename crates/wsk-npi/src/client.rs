//! Clients: what a registration stands for, and what a `PWSK_CLIENT` points to.

use std::ops::Range;
use std::ptr;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use wsk::{Provider, Registration, WaitTimeout};
use wsk_abi::NtStatus;
use wsk_abi::wsk::PWSK_CLIENT;
use wsk_nt::verify::{self, Leak};

use crate::completion::{Parked, failed};
use crate::pool::Pool;
use crate::socket;

static PROVIDER: Mutex<Option<Arc<Provider>>> = Mutex::new(None);

/// The provider that clients register with; started with its defaults unless [`set_provider`] gave one.
///
/// # Panics
/// If it cannot be started.
pub fn provider() -> Arc<Provider> {
    PROVIDER.lock().get_or_insert_with(|| Arc::new(Provider::start().expect("the provider starts"))).clone()
}

/// Sets the provider for registrations to come; `None`: one with defaults is started when it is needed.
pub fn set_provider(provider: Option<Provider>) {
    let old = std::mem::replace(&mut *PROVIDER.lock(), provider.map(Arc::new));
    drop(old);
}

/// What a `PWSK_CLIENT` points to.
#[derive(Default)]
pub(crate) struct Slot {
    client: Mutex<Option<Arc<Client>>>,
}

static SLOTS: Pool<Slot> = Pool::new();

/// A registered client.
pub(crate) struct Client {
    registration: Registration,
    slot: &'static Slot,
    /// The client objects of its captures.
    captured: Mutex<Vec<Arc<wsk::Client>>>,
    /// IRPs of provider functions that are not of a socket and have not completed.
    outstanding: Mutex<usize>,
    idle: Condvar,
    /// WSK_TRANSPORT_LIST_CHANGE (C-3).
    pub(crate) list_changes: Mutex<Vec<Arc<Parked>>>,
    creator: usize,
    // The provider goes last.
    _provider: Arc<Provider>,
}

impl Client {
    /// WskRegister.
    pub(crate) fn register(version: u16, creator: usize) -> Arc<Self> {
        verify::add_source(held_in);
        let provider = provider();
        let registration = Registration::register(&provider, wsk::ClientDispatch { version });
        let slot = SLOTS.take();
        let client = Arc::new(Self {
            registration,
            slot,
            captured: Mutex::default(),
            outstanding: Mutex::new(0),
            idle: Condvar::new(),
            list_changes: Mutex::default(),
            creator,
            _provider: provider,
        });
        *slot.client.lock() = Some(client.clone());
        client
    }

    /// The pointer the client gets.
    pub(crate) fn pointer(&self) -> PWSK_CLIENT {
        ptr::from_ref(self.slot).cast_mut().cast()
    }

    /// WskCaptureProviderNPI.
    pub(crate) fn capture(&self, wait: WaitTimeout) -> Result<(), NtStatus> {
        let captured = self.registration.capture(wait).map_err(|error| error.status())?;
        self.captured.lock().push(Arc::new(captured));
        Ok(())
    }

    /// WskReleaseProviderNPI; false if nothing was captured.
    pub(crate) fn release(&self) -> bool {
        let last = self.captured.lock().pop();
        last.is_some()
    }

    pub(crate) fn registration(&self) -> &Registration {
        &self.registration
    }

    /// The captured client object, for the length of one call. INVALID_HANDLE: not captured, or released.
    pub(crate) fn captured(&self) -> Result<Arc<wsk::Client>, NtStatus> {
        let captured = self.captured.lock().last().cloned();
        captured.ok_or_else(|| {
            let what = "a provider function was called without a captured provider (F-16)";
            verify::violation("use of a released provider", what);
            NtStatus::INVALID_HANDLE
        })
    }

    /// Counts an IRP, or a call, that WskDeregister waits for.
    pub(crate) fn begin(self: &Arc<Self>) -> Outstanding {
        *self.outstanding.lock() += 1;
        Outstanding(self.clone())
    }

    /// WskDeregister: waits for everything of F-23, and forgets the client.
    pub(crate) fn deregister(self: &Arc<Self>) -> Result<(), NtStatus> {
        std::mem::take(&mut *self.list_changes.lock())
            .iter()
            .for_each(|change| change.end(failed(NtStatus::CANCELLED))); // F-22
        self.registration.deregister().map_err(|error| error.status())?;
        let mut outstanding = self.outstanding.lock();
        while *outstanding > 0 {
            self.idle.wait(&mut outstanding);
        }
        drop(outstanding);
        if self.slot.client.lock().take().is_some() {
            SLOTS.give_back(self.slot);
        }
        Ok(())
    }
}

/// Something WskDeregister waits for.
pub(crate) struct Outstanding(Arc<Client>);

impl Drop for Outstanding {
    fn drop(&mut self) {
        *self.0.outstanding.lock() -= 1;
        self.0.idle.notify_all();
    }
}

/// The client behind a pointer: INVALID_HANDLE if it is none (F-53).
pub(crate) fn find(pointer: PWSK_CLIENT) -> Result<Arc<Client>, NtStatus> {
    let slot = SLOTS.find(pointer.cast_const().cast());
    slot.and_then(|slot| slot.client.lock().clone()).ok_or(NtStatus::INVALID_HANDLE)
}

/// What code in a range holds: registrations, sockets, retained indications. A source of the verifier's leaks.
pub(crate) fn held_in(range: &Range<usize>) -> Vec<Leak> {
    let mut held = Vec::new();
    let mut add = |rule, what, caller| {
        if range.contains(&caller) {
            held.push(Leak { rule, what, caller });
        }
    };
    for client in SLOTS.all().filter_map(|slot| slot.client.lock().clone()) {
        let captures = client.captured.lock().len();
        add("registration leak", format!("a WSK registration, the provider captured {captures} times"), client.creator);
    }
    for (kind, creator) in socket::open() {
        add("socket leak", format!("a {kind} socket"), creator);
    }
    for (bytes, keeper) in crate::indication::retained() {
        add("indication leak", format!("an indication of {bytes} bytes, kept by a callback"), keeper);
    }
    held
}

/// Ends what drivers left behind, so that the process can go on without them: closes sockets and releases captures, without
/// waiting. After a driver whose code is about to go.
pub fn abandon(which: impl Fn(usize) -> bool) {
    for client in SLOTS.all().filter_map(|slot| slot.client.lock().clone()) {
        if which(client.creator) {
            socket::close_all(&client);
            client.captured.lock().clear();
        }
    }
}
