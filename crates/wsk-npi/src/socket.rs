//! Sockets as clients see them: one pointer, to the dispatch table of the category, and the rest behind it (F-4).

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use parking_lot::Mutex;
use wsk::{BasicSocket, ConnectionSocket, DatagramSocket, ListenSocket, Request, StreamSocket};
use wsk_abi::NtStatus;
use wsk_abi::wsk::WSK_SOCKET;
use wsk_nt::verify;

use crate::callback::Callbacks;
use crate::client::Client;
use crate::control_socket::Options;
use crate::dispatch;
use crate::pool::Pool;

/// What a `PWSK_SOCKET` points to. The client reads the first word.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Slot {
    /// `WSK_SOCKET::Dispatch`.
    dispatch: AtomicPtr<()>,
    socket: Mutex<Option<Arc<Socket>>>,
}

static SLOTS: Pool<Slot> = Pool::new();

/// A socket of a client.
pub(crate) struct Socket {
    pub(crate) handle: Handle,
    pub(crate) client: Arc<Client>,
    pub(crate) callbacks: Arc<Callbacks>,
    /// Its category and its type or protocol do not go together: binding fails (F-89, F-90).
    pub(crate) misfit: bool,
    pub(crate) options: Mutex<Options>,
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
    ) -> Arc<Self> {
        let slot = SLOTS.take();
        slot.dispatch.store(handle.table().cast_mut(), Ordering::Release);
        callbacks.set_owner(slot.address());
        let options = Mutex::default();
        let closing = AtomicBool::new(false);
        let socket = Arc::new(Self { handle, client, callbacks, misfit, options, slot, closing, creator });
        *slot.socket.lock() = Some(socket.clone());
        socket
    }

    /// The pointer the client has.
    pub(crate) fn pointer(&self) -> *mut WSK_SOCKET {
        ptr::from_ref(self.slot).cast_mut().cast()
    }

    /// Begins the close; `None` if it has begun before. [`Socket::closed`] is to be called when it has completed.
    pub(crate) fn close(&self) -> Option<Request<()>> {
        (!self.closing.swap(true, Ordering::SeqCst)).then(|| self.handle.close())
    }

    /// The close has completed: the pointer means nothing any more (F-115).
    pub(crate) fn closed(&self) {
        let last = self.slot.socket.lock().take();
        SLOTS.give_back(self.slot);
        drop(last);
    }

    /// Closes a socket that the client did not want, or left behind.
    pub(crate) fn close_quietly(self: &Arc<Self>) {
        if let Some(request) = self.close() {
            let this = self.clone();
            request.on_complete(move |_| this.closed());
        }
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
}

/// The socket behind a client's pointer. INVALID_HANDLE: null, not a socket, closed, or being closed (F-110).
pub(crate) fn find(pointer: *mut WSK_SOCKET) -> Result<Arc<Socket>, NtStatus> {
    let socket = SLOTS.find(pointer.cast_const().cast()).and_then(|slot| slot.socket.lock().clone());
    match socket {
        Some(socket) if !socket.closing.load(Ordering::Relaxed) => Ok(socket),
        Some(_) => {
            verify::violation("use of a closed socket", "a function was called after WskCloseSocket (F-110)");
            Err(NtStatus::INVALID_HANDLE)
        }
        None => {
            verify::violation("use of a closed socket", format!("{pointer:p} is not an open socket"));
            Err(NtStatus::INVALID_HANDLE)
        }
    }
}

/// Sockets that are open, of clients that `which` names: kind and creator of each.
pub(crate) fn open(which: impl Fn(&Socket) -> bool) -> Vec<(&'static str, usize)> {
    let open = SLOTS.all().filter_map(|slot| slot.socket.lock().clone());
    open.filter(|socket| which(socket)).map(|socket| (socket.handle.name(), socket.creator)).collect()
}

/// Closes what a client left open, without waiting.
pub(crate) fn close_all(client: &Arc<Client>) {
    let open: Vec<_> = SLOTS.all().filter_map(|slot| slot.socket.lock().clone()).collect();
    open.iter().filter(|socket| Arc::ptr_eq(&socket.client, client)).for_each(Socket::close_quietly);
}
