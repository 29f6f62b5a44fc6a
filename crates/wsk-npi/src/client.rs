//! Clients: what a registration stands for, and what a `PWSK_CLIENT` points to.
#![allow(unsafe_code)] // Reads security descriptors that clients point at.

use std::ops::Range;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use wsk::security::SecurityDescriptor;
use wsk::{Error, Provider, Registration, WaitTimeout};
use wsk_abi::NtStatus;
use wsk_abi::wsk::PWSK_CLIENT;
use wsk_nt::verify::{self, Leak};

use crate::border;
use crate::completion::{Entered, Parked, done, failed};
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
    /// WSK_TRANSPORT_LIST_CHANGE (C-3); none any more once the client is being deregistered.
    list_changes: Mutex<Option<Vec<Arc<Parked>>>>,
    /// Name lookups; none any more once the client is abandoned.
    lookups: Mutex<Option<Lookups>>,
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
            list_changes: Mutex::new(Some(Vec::new())),
            lookups: Mutex::new(Some(Lookups::default())),
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

    /// Keeps a WSK_TRANSPORT_LIST_CHANGE until the list changes, or the client goes.
    pub(crate) fn await_list_change(self: &Arc<Self>, irp: Entered) {
        let change = match self.captured() {
            Ok(captured) => {
                let ending = |result: Result<(), Error>| result.map_or_else(|e| failed(e.status()), |()| done(0));
                irp.pend_until(captured.transports_change(), self.begin(), ending)
            }
            Err(status) => {
                let change = Parked::park(irp, self.begin());
                return change.end(failed(status));
            }
        };
        let mut changes = self.list_changes.lock();
        match &mut *changes {
            Some(changes) => {
                changes.retain(|change| !change.is_gone());
                changes.push(change);
            }
            None => {
                drop(changes);
                change.end(failed(NtStatus::CANCELLED)); // F-22
            }
        }
    }

    /// Remembers a name lookup until it ends.
    pub(crate) fn keep_lookup(&self, lookup: Arc<Parked>) {
        let mut lookups = self.lookups.lock();
        match &mut *lookups {
            Some(lookups) => lookups.keep(lookup),
            None => {
                drop(lookups);
                lookup.end(failed(NtStatus::CANCELLED));
            }
        }
    }

    /// The descriptor that a client's pointer means: a cached copy's, or any (C-50). Null is the default one: nobody shares.
    pub(crate) fn security(&self, pointer: usize) -> Result<Option<Arc<SecurityDescriptor>>, NtStatus> {
        if pointer == 0 {
            return Ok(None);
        }
        if let Some(cached) = self.captured.lock().last().and_then(|client| client.cached_security(pointer)) {
            return Ok(Some(cached));
        }
        // SAFETY: the client's descriptor, read within the call.
        let descriptor = unsafe { border::security_descriptor(pointer as *const u8) }?;
        Ok(Some(Arc::new(descriptor)))
    }

    /// The address of a cached copy of a descriptor, of the default one if there is none, for the client to release (C-6).
    pub(crate) fn cached_copy(&self, descriptor: Option<&SecurityDescriptor>) -> Result<usize, NtStatus> {
        let nobody = || SecurityDescriptor::sharing_with([]);
        Ok(self.captured()?.cache_security(descriptor.cloned().unwrap_or_else(nobody)))
    }

    /// No WSK_TRANSPORT_LIST_CHANGE any more (F-22).
    fn end_list_changes(&self) {
        let changes = self.list_changes.lock().take().unwrap_or_default();
        changes.iter().for_each(|change| change.end(failed(NtStatus::CANCELLED)));
    }

    /// No name lookup any more.
    fn end_lookups(&self) {
        let lookups = self.lookups.lock().take().unwrap_or_default();
        lookups.all.iter().for_each(|lookup| lookup.end(failed(NtStatus::CANCELLED)));
    }

    /// Waits until nothing is outstanding, so long at most.
    fn wait_until_idle(&self, limit: Duration) {
        let mut outstanding = self.outstanding.lock();
        self.idle.wait_while_for(&mut outstanding, |outstanding| *outstanding > 0, limit);
    }

    /// WskDeregister: waits for everything of F-23, and forgets the client.
    pub(crate) fn deregister(self: &Arc<Self>) -> Result<(), NtStatus> {
        self.end_list_changes();
        self.registration.deregister().map_err(|error| error.status())?;
        if *self.outstanding.lock() > 0 && crate::completion::is_completing() {
            return Err(NtStatus::POSSIBLE_DEADLOCK); // F-25
        }
        let mut outstanding = self.outstanding.lock();
        while *outstanding > 0 {
            self.idle.wait(&mut outstanding);
        }
        drop(outstanding);
        crate::indication::free_left_by(self.pointer() as usize); // F-24
        if self.slot.client.lock().take().is_some() {
            SLOTS.give_back(self.slot);
        }
        Ok(())
    }
}

/// The name lookups of a client, and some that have ended.
#[derive(Default)]
struct Lookups {
    all: Vec<Arc<Parked>>,
    /// How many there may be before those that have ended are thrown out.
    limit: usize,
}

impl Lookups {
    fn keep(&mut self, lookup: Arc<Parked>) {
        if self.all.len() >= self.limit {
            self.all.retain(|lookup| !lookup.is_gone());
            self.limit = 2 * self.all.len() + 8;
        }
        self.all.push(lookup);
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

/// Ends what a driver left behind whose code, in `range`, is about to go: its name lookups and list changes, and its sockets, so
/// that what was pending completes while its routines can still be called; and releases its captures. Waits twice so long at most.
pub fn abandon(range: &Range<usize>, limit: Duration) {
    for client in SLOTS.all().filter_map(|slot| slot.client.lock().clone()) {
        if range.contains(&client.creator) {
            client.end_list_changes();
            client.end_lookups();
            socket::close_all(&client, limit);
            client.wait_until_idle(limit);
            client.captured.lock().clear();
        }
    }
}
