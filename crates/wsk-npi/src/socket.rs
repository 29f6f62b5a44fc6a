//! Sockets as clients see them: one pointer, to the dispatch table of the category, and the rest behind it (F-4).
//!
//! A call counts itself in the socket's slot while it runs ([`Using`]), so that one that comes too late, or at the wrong time,
//! finds a socket or an error and never freed memory. Two atomic operations; a lock and a reference count were four.
#![allow(unsafe_code)] // The slot's cell, which the count of its users protects.

use std::cell::UnsafeCell;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use wsk::{BasicSocket, ConnectionSocket, DatagramSocket, ListenSocket, Request, StreamSocket};
use wsk_abi::NtStatus;
use wsk_abi::wsk::WSK_SOCKET;
use wsk_nt::verify;

use crate::callback::Callbacks;
use crate::client::Client;
use crate::dispatch;
use crate::pool::Pool;

/// What a `PWSK_SOCKET` points to. The client reads the first word.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Slot {
    /// `WSK_SOCKET::Dispatch`.
    dispatch: AtomicPtr<()>,
    /// [`OPEN`] while it is a socket, and [`USER`] for each call that is at it.
    users: AtomicUsize,
    socket: UnsafeCell<Option<Socket>>,
}

const OPEN: usize = 1;
const USER: usize = 2;

// SAFETY: the cell is written only while nobody uses the slot: before it is opened, and after it was closed and the last user
// has gone. Users share what is in it, which is `Sync`.
unsafe impl Sync for Slot {}

/// A socket in use by a call.
pub(crate) struct Using(&'static Slot);

impl Deref for Using {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        // SAFETY: there is a user, so nobody writes the cell.
        let socket = unsafe { &*self.0.socket.get() };
        socket.as_ref().expect("a slot in use has a socket")
    }
}

impl Drop for Using {
    fn drop(&mut self) {
        if self.0.users.fetch_sub(USER, Ordering::AcqRel) == USER {
            self.0.free(); // closed, and the last user
        }
    }
}

static SLOTS: Pool<Slot> = Pool::new();

/// A socket of a client.
pub(crate) struct Socket {
    pub(crate) handle: Handle,
    pub(crate) client: Arc<Client>,
    pub(crate) callbacks: Arc<Callbacks>,
    /// Its category and its type or protocol do not go together: binding fails (F-89, F-90).
    pub(crate) misfit: bool,
    /// SIO_UDP_CONNRESET, SIO_UDP_NETRESET.
    pub(crate) unreachable: Mutex<(bool, bool)>,
    slot: &'static Slot,
    closing: AtomicBool,
    /// The driver's address that created it, or whose callback it was handed to.
    creator: usize,
}

/// The socket of the provider, by category.
pub(crate) enum Handle {
    Basic(BasicSocket),
    Listen(ListenSocket),
    Datagram(DatagramSocket),
    Connection(ConnectionSocket),
    Stream(StreamSocket),
}

impl Handle {
    fn table(&self) -> *const () {
        match self {
            Handle::Basic(_) => (&raw const dispatch::BASIC).cast(),
            Handle::Listen(_) => (&raw const dispatch::LISTEN).cast(),
            Handle::Datagram(_) => (&raw const dispatch::DATAGRAM).cast(),
            Handle::Connection(_) => (&raw const dispatch::CONNECTION).cast(),
            Handle::Stream(_) => (&raw const dispatch::STREAM).cast(),
        }
    }

    fn close(&self) -> Request<()> {
        match self {
            Handle::Basic(socket) => socket.close(),
            Handle::Listen(socket) => socket.close(),
            Handle::Datagram(socket) => socket.close(),
            Handle::Connection(socket) => socket.close(),
            Handle::Stream(socket) => socket.close(),
        }
    }

    /// The category's name, for reports.
    fn name(&self) -> &'static str {
        match self {
            Handle::Basic(_) => "basic",
            Handle::Listen(_) => "listening",
            Handle::Datagram(_) => "datagram",
            Handle::Connection(_) => "connection",
            Handle::Stream(_) => "stream",
        }
    }
}

impl Socket {
    /// Gives the client a pointer for a socket of the provider.
    pub(crate) fn publish(
        handle: Handle,
        client: Arc<Client>,
        callbacks: Arc<Callbacks>,
        misfit: bool,
        creator: usize,
    ) -> Using {
        let slot = SLOTS.take();
        slot.dispatch.store(handle.table().cast_mut(), Ordering::Release);
        callbacks.set_owner(slot.address(), client.pointer() as usize);
        let unreachable = Mutex::default();
        let closing = AtomicBool::new(false);
        let socket = Self { handle, client, callbacks, misfit, unreachable, slot, closing, creator };
        // SAFETY: fresh from the pool: nobody uses it.
        unsafe { *slot.socket.get() = Some(socket) };
        slot.users.store(OPEN + USER, Ordering::Release);
        Using(slot)
    }

    /// The pointer the client has.
    pub(crate) fn pointer(&self) -> *mut WSK_SOCKET {
        ptr::from_ref(self.slot).cast_mut().cast()
    }

    /// Begins the close; `None` if it has begun before. [`Socket::closed`] is to be called when it has completed.
    pub(crate) fn close(&self) -> Option<Request<()>> {
        (!self.closing.swap(true, Ordering::SeqCst)).then(|| self.handle.close())
    }

    /// The close has completed: the pointer means nothing any more (F-115). What is left goes with the last call that is at it.
    pub(crate) fn closed(&self) {
        self.slot.users.fetch_and(!OPEN, Ordering::AcqRel);
    }

    /// The functions of a connection, on a connection or a stream socket.
    pub(crate) fn connection<R>(&self, call: impl FnOnce(&ConnectionSocket) -> R) -> Result<R, NtStatus> {
        match &self.handle {
            Handle::Connection(socket) => Ok(call(socket)),
            Handle::Stream(socket) => Ok(socket.as_connection(call)),
            _ => self.wrong_category(),
        }
    }

    /// The functions of a listener, on a listening or a stream socket.
    pub(crate) fn listener<R>(&self, call: impl FnOnce(&ListenSocket) -> R) -> Result<R, NtStatus> {
        match &self.handle {
            Handle::Listen(socket) => Ok(call(socket)),
            Handle::Stream(socket) => Ok(socket.as_listener(call)),
            _ => self.wrong_category(),
        }
    }

    pub(crate) fn datagram(&self) -> Result<&DatagramSocket, NtStatus> {
        match &self.handle {
            Handle::Datagram(socket) => Ok(socket),
            _ => self.wrong_category(),
        }
    }

    pub(crate) fn stream(&self) -> Result<&StreamSocket, NtStatus> {
        match &self.handle {
            Handle::Stream(socket) => Ok(socket),
            _ => self.wrong_category(),
        }
    }

    /// A function taken from the table of another category.
    pub(crate) fn wrong_category<R>(&self) -> Result<R, NtStatus> {
        let what = format!("the function is not one of a {} socket", self.handle.name());
        verify::violation("function of another category", what);
        Err(NtStatus::INVALID_DEVICE_REQUEST)
    }
}

impl Slot {
    pub(crate) fn address(&self) -> usize {
        ptr::from_ref(self) as usize
    }

    /// Begins to use the socket, if it is one.
    fn enter(&'static self) -> Option<Using> {
        let mut users = self.users.load(Ordering::Relaxed);
        while users & OPEN != 0 {
            match self.users.compare_exchange_weak(users, users + USER, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(Using(self)),
                Err(now) => users = now,
            }
        }
        None
    }

    fn free(&'static self) {
        // SAFETY: not open, so nobody comes, and nobody is left.
        let socket = unsafe { (*self.socket.get()).take() };
        SLOTS.give_back(self);
        drop(socket);
    }
}

/// The socket behind a client's pointer. INVALID_HANDLE: null, not a socket, closed, or being closed (F-110).
pub(crate) fn find(pointer: *mut WSK_SOCKET) -> Result<Using, NtStatus> {
    match SLOTS.find(pointer.cast_const().cast()).and_then(Slot::enter) {
        Some(socket) if !socket.closing.load(Ordering::Relaxed) => Ok(socket),
        Some(_) => misused("a function was called after WskCloseSocket (F-110)".into()),
        None => misused(format!("{pointer:p} is not an open socket")),
    }
}

#[cold]
fn misused(what: String) -> Result<Using, NtStatus> {
    verify::violation("use of a closed socket", what);
    Err(NtStatus::INVALID_HANDLE)
}

/// The sockets that are open: kind and creator of each.
pub(crate) fn open() -> Vec<(&'static str, usize)> {
    SLOTS.all().filter_map(Slot::enter).map(|socket| (socket.handle.name(), socket.creator)).collect()
}

/// Closes a socket that the client did not want.
pub(crate) fn close_quietly(socket: Using) {
    close_and(socket, || ());
}

fn close_and(socket: Using, closed: impl FnOnce() + Send + 'static) {
    if let Some(request) = socket.close() {
        request.on_complete(move |_| {
            socket.closed();
            closed();
        });
    }
}

/// Closes what a client left open, and waits until the completion routines of what was pending there have run: for so long at
/// most.
pub(crate) fn close_all(client: &Arc<Client>, limit: Duration) {
    let (closing, closed) = mpsc::channel::<()>();
    for socket in SLOTS.all().filter_map(Slot::enter).filter(|socket| Arc::ptr_eq(&socket.client, client)) {
        let closing = closing.clone();
        close_and(socket, move || drop(closing));
    }
    drop(closing);
    // Nobody sends: it ends when the last sender is gone.
    let _ = closed.recv_timeout(limit);
}
