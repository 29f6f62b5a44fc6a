//! Clients: what a registration stands for, and what a `PWSK_CLIENT` points to.

use std::ptr;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use wsk::{Provider, Registration, WaitTimeout};
use wsk_abi::NtStatus;
use wsk_abi::wsk::PWSK_CLIENT;
use wsk_nt::verify;

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

/// Something of the NPI that a driver holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// `socket leak`, `indication leak` or `registration leak`: the verifier's rule if it is held at unload.
    pub rule: &'static str,
    /// What, in a line.
    pub what: String,
    /// The driver's address that created it, or the callback that kept it.
    pub holder: usize,
}

/// What drivers hold now: registrations, captures, sockets, retained indications.
pub fn held() -> Vec<Held> {
    let mut held = Vec::new();
    for client in SLOTS.all().filter_map(|slot| slot.client.lock().clone()) {
        let captures = client.captured.lock().len();
        let what = format!("a WSK registration, captured {captures} times");
        held.push(Held { rule: "registration leak", what, holder: client.creator });
    }
    for (kind, holder) in socket::open(|_| true) {
        held.push(Held { rule: "socket leak", what: format!("a {kind} socket"), holder });
    }
    for (bytes, holder) in crate::indication::retained() {
        held.push(Held { rule: "indication leak", what: format!("an indication of {bytes} bytes"), holder });
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
