//! Calling the client: its dispatch tables as the event traits of the [`wsk`] crate.
#![allow(unsafe_code)] // Calls the client's functions, through tables in its memory.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use wsk::{
    ConnectionEvents, ConnectionSocket, DatagramEvents, DatagramSocket, Datagrams, EventFlags, EventMask, Incoming,
    Indication, InspectAction, InspectId, InspectRequest, ListenEvents, ListenSocket, Receive, ReceiveFrom,
};
use wsk_abi::NtStatus;
use wsk_abi::wsk::{
    PFN_WSK_RECEIVE_EX_EVENT, WSK_CLIENT_CONNECTION_DISPATCH, WSK_CLIENT_DATAGRAM_DISPATCH, WSK_CLIENT_LISTEN_DISPATCH,
    WSK_INSPECT_ACTION, WSK_INSPECT_ID,
};
use wsk_nt::ke::{callback, irql};
use wsk_nt::verify;

use crate::border::RawAddress;
use crate::client::Client;
use crate::indication::Lent;
use crate::socket::{Handle, Socket, close_quietly};

/// The context and tables that a client gave for one socket. Null tables and null functions are allowed (F-86).
#[derive(Default)]
pub(crate) struct Callbacks {
    context: AtomicPtr<c_void>,
    listen: AtomicPtr<WSK_CLIENT_LISTEN_DISPATCH>,
    connect: AtomicPtr<WSK_CLIENT_CONNECTION_DISPATCH>,
    datagram: AtomicPtr<WSK_CLIENT_DATAGRAM_DISPATCH>,
    /// The socket's slot.
    owner: AtomicUsize,
    client_slot: AtomicUsize,
    /// Whose sockets come from WskAcceptEvent.
    client: OnceLock<Weak<Client>>,
    /// WskReceiveExEvent, or null (F-172).
    receive_ex: AtomicPtr<c_void>,
    /// While WskAcceptEvent runs: where the client writes context and table of the accepted socket (E-33).
    undecided: Mutex<Option<Undecided>>,
}

/// The two out-variables of a WskAcceptEvent.
struct Undecided {
    context: *mut *mut c_void,
    dispatch: *mut *const WSK_CLIENT_CONNECTION_DISPATCH,
}

// SAFETY: variables of the thread that runs the callback; looked at under the lock, which that thread takes before it lets
// them go.
unsafe impl Send for Undecided {}

impl Callbacks {
    pub(crate) fn listen(context: *mut c_void, table: *const WSK_CLIENT_LISTEN_DISPATCH, client: &Arc<Client>) -> Self {
        let this = Self::stream(context, table, ptr::null());
        let _ = this.client.set(Arc::downgrade(client));
        this
    }

    pub(crate) fn connection(context: *mut c_void, table: *const WSK_CLIENT_CONNECTION_DISPATCH) -> Self {
        Self::stream(context, ptr::null(), table)
    }

    pub(crate) fn datagram(context: *mut c_void, table: *const WSK_CLIENT_DATAGRAM_DISPATCH) -> Self {
        Self { context: context.into(), datagram: table.cast_mut().into(), ..Self::default() }
    }

    pub(crate) fn stream(
        context: *mut c_void,
        listen: *const WSK_CLIENT_LISTEN_DISPATCH,
        connect: *const WSK_CLIENT_CONNECTION_DISPATCH,
    ) -> Self {
        let (listen, connect) = (listen.cast_mut().into(), connect.cast_mut().into());
        Self { context: context.into(), listen, connect, ..Self::default() }
    }

    pub(crate) fn with_client(self, client: &Arc<Client>) -> Self {
        let _ = self.client.set(Arc::downgrade(client));
        self
    }

    /// Whose they are: the slots of the socket and of its client.
    pub(crate) fn set_owner(&self, slot: usize, client: usize) {
        self.owner.store(slot, Ordering::Relaxed);
        self.client_slot.store(client, Ordering::Relaxed);
    }

    fn client_slot(&self) -> usize {
        self.client_slot.load(Ordering::Relaxed)
    }

    fn owner(&self) -> usize {
        self.owner.load(Ordering::Relaxed)
    }

    fn context(&self) -> *mut c_void {
        self.context.load(Ordering::Acquire)
    }

    fn listen_table(&self) -> Option<&WSK_CLIENT_LISTEN_DISPATCH> {
        // SAFETY: null, or a table the client keeps while the socket lives (F-78).
        unsafe { self.listen.load(Ordering::Acquire).as_ref() }
    }

    fn connection_table(&self) -> Option<&WSK_CLIENT_CONNECTION_DISPATCH> {
        // SAFETY: as above.
        unsafe { self.connect.load(Ordering::Acquire).as_ref() }
    }

    fn datagram_table(&self) -> Option<&WSK_CLIENT_DATAGRAM_DISPATCH> {
        // SAFETY: as above.
        unsafe { self.datagram.load(Ordering::Acquire).as_ref() }
    }

    /// SIO_WSK_SET_RECEIVE_EX_CALLBACK.
    pub(crate) fn set_receive_ex(&self, function: PFN_WSK_RECEIVE_EX_EVENT) {
        let pointer = function.map_or(ptr::null_mut(), |function| function as *mut c_void);
        self.receive_ex.store(pointer, Ordering::Release);
    }

    pub(crate) fn receive_ex(&self) -> PFN_WSK_RECEIVE_EX_EVENT {
        // SAFETY: null, or stored from such a function.
        unsafe { std::mem::transmute::<*mut c_void, PFN_WSK_RECEIVE_EX_EVENT>(self.receive_ex.load(Ordering::Acquire)) }
    }

    /// Whether the client has a WskReceiveFromEvent.
    pub(crate) fn receives_datagrams(&self) -> bool {
        self.datagram_table().is_some_and(|table| table.WskReceiveFromEvent.is_some())
    }

    /// What the client wrote so far in its WskAcceptEvent, taken over for good; whether there was one running (E-33).
    pub(crate) fn adopt_undecided(&self) -> bool {
        let undecided = self.undecided.lock();
        let Some(undecided) = &*undecided else { return false };
        // SAFETY: the variables live while the callback runs, which the lock holds off from ending.
        self.context.store(unsafe { *undecided.context }, Ordering::Release);
        // SAFETY: as above.
        self.connect.store(unsafe { *undecided.dispatch }.cast_mut(), Ordering::Release);
        true
    }
}

/// Runs a callback at the level the subsystem calls it at (E-2), and looks what level it comes back at.
fn call<R>(name: &'static str, code: impl FnOnce() -> R) -> R {
    let before = irql::current();
    let level = before.max(wsk::current_irql());
    irql::set(level);
    let inside = callback::enter_callback(name);
    let result = code();
    drop(inside);
    let after = irql::set(before);
    if after != level {
        verify::violation("wrong IRQL", format!("{name} was called at IRQL {level} and returned at {after}"));
    }
    result
}

impl ConnectionEvents for Callbacks {
    fn receive(&self, _: &ConnectionSocket, data: Indication) -> Receive {
        let (function, ex) = (self.connection_table().and_then(|table| table.WskReceiveEvent), self.receive_ex());
        let keeper = ex.map_or(function.map_or(0, |function| function as usize), |ex| ex as usize);
        if keeper == 0 {
            return Receive::Refused(data);
        }
        let list = Lent::data(data.chunks(), self.owner());
        let indicated = data.len();
        let mut accepted = indicated; // E-72
        let (context, flags, first) = (self.context(), data.flags().bits(), list.first());
        let status = match (ex, function) {
            (Some(ex), _) => call("WskReceiveExEvent", || {
                // SAFETY: the client's function, with a list that lives until it gives it back, and no control data.
                unsafe { ex(context, flags, first, ptr::null_mut(), 0, indicated, &raw mut accepted) }
            }),
            (None, Some(function)) => call("WskReceiveEvent", || {
                // SAFETY: the client's function, with a list that lives until it gives it back.
                unsafe { function(context, flags, first, indicated, &raw mut accepted) }
            }),
            (None, None) => NtStatus::DATA_NOT_ACCEPTED,
        };
        match status {
            NtStatus::PENDING => {
                list.retain(data.into_buffers(), keeper, self.client_slot());
                Receive::Accepted
            }
            status if status.is_success() => {
                list.take_back();
                if accepted < indicated { Receive::Partial(data, accepted) } else { Receive::Accepted }
            }
            _ => {
                list.take_back();
                Receive::Refused(data)
            }
        }
    }

    fn disconnect(&self, _: &ConnectionSocket, flags: EventFlags) {
        if let Some(function) = self.connection_table().and_then(|table| table.WskDisconnectEvent) {
            let context = self.context();
            // SAFETY: the client's function.
            call("WskDisconnectEvent", || unsafe { function(context, flags.bits()) });
        }
    }

    fn send_backlog(&self, _: &ConnectionSocket, ideal: usize) {
        if let Some(function) = self.connection_table().and_then(|table| table.WskSendBacklogEvent) {
            let context = self.context();
            // SAFETY: the client's function.
            call("WskSendBacklogEvent", || unsafe { function(context, ideal) });
        }
    }

    fn dead(&self, _: &ConnectionSocket) {
        if let Some(function) = self.connection_table().and_then(|table| table.WskReceiveEvent) {
            let (context, mut accepted) = (self.context(), 0);
            call("WskReceiveEvent", || {
                // SAFETY: the client's function; without data (E-79).
                unsafe { function(context, level_flag(), ptr::null_mut(), 0, &raw mut accepted) }
            });
        }
    }

    fn provided(&self) -> EventMask {
        if self.undecided.lock().is_some() {
            return EventMask::RECEIVE | EventMask::DISCONNECT | EventMask::SEND_BACKLOG; // limited when it is known
        }
        self.of_table()
    }
}

impl Callbacks {
    /// The connection callbacks that are in the client's table (E-4).
    pub(crate) fn of_table(&self) -> EventMask {
        let mut provided = EventMask::empty();
        if let Some(table) = self.connection_table() {
            provided.set(EventMask::RECEIVE, table.WskReceiveEvent.is_some());
            provided.set(EventMask::DISCONNECT, table.WskDisconnectEvent.is_some());
            provided.set(EventMask::SEND_BACKLOG, table.WskSendBacklogEvent.is_some());
        }
        provided
    }
}

impl DatagramEvents for Callbacks {
    fn receive_from(&self, _: &DatagramSocket, datagrams: Datagrams) -> ReceiveFrom {
        let Some(function) = self.datagram_table().and_then(|table| table.WskReceiveFromEvent) else {
            return ReceiveFrom::Refused(datagrams);
        };
        let list = Lent::datagrams(datagrams.iter().zip(datagrams.control()), self.owner());
        let (context, flags, first) = (self.context(), datagrams.flags().bits(), list.first());
        // SAFETY: the client's function, with a list that lives until it gives it back.
        let status = call("WskReceiveFromEvent", || unsafe { function(context, flags, first) });
        match status {
            NtStatus::PENDING => {
                list.retain(datagrams, function as usize, self.client_slot());
                ReceiveFrom::Accepted
            }
            NtStatus::DATA_NOT_ACCEPTED => {
                list.take_back();
                ReceiveFrom::Refused(datagrams)
            }
            _ => {
                list.take_back(); // consumed, or refused in another way: dropped (events.md 8.2)
                ReceiveFrom::Accepted
            }
        }
    }

    fn dead(&self, _: &DatagramSocket) {
        if let Some(function) = self.datagram_table().and_then(|table| table.WskReceiveFromEvent) {
            let context = self.context();
            // SAFETY: the client's function; without data (E-93).
            call("WskReceiveFromEvent", || unsafe { function(context, level_flag(), ptr::null_mut()) });
        }
    }
}

impl ListenEvents for Callbacks {
    fn accept(&self, _: &ListenSocket, incoming: Incoming<'_>) {
        let function = self.listen_table().and_then(|table| table.WskAcceptEvent);
        let client = self.client.get().and_then(Weak::upgrade);
        let (Some(function), Some(client)) = (function, client) else { return };
        let mut local = RawAddress::from(incoming.local_address());
        let mut remote = RawAddress::from(incoming.remote_address());
        let (mut context, mut dispatch) = (ptr::null_mut(), ptr::null()); // E-53
        let accepted = Arc::new(Callbacks::default());
        *accepted.undecided.lock() = Some(Undecided { context: &raw mut context, dispatch: &raw mut dispatch });
        let connection = incoming.accept(Some(accepted.clone()));
        let socket =
            Socket::publish(Handle::Connection(connection), client, accepted.clone(), false, function as usize);
        let (listener, pointer) = (self.context(), socket.pointer());
        let status = call("WskAcceptEvent", || {
            // SAFETY: the client's function; all it is pointed to lives until it returns.
            unsafe {
                function(
                    listener,
                    level_flag(),
                    (&raw mut local).cast(),
                    (&raw mut remote).cast(),
                    pointer,
                    &raw mut context,
                    &raw mut dispatch,
                )
            }
        });
        accepted.adopt_undecided();
        *accepted.undecided.lock() = None;
        if status == NtStatus::SUCCESS {
            let provided = accepted.of_table();
            let _ = socket.connection(|connection| connection.limit_events(provided));
        } else {
            close_quietly(socket); // E-54, E-55
        }
    }

    fn inspect(&self, _: &ListenSocket, request: &InspectRequest) -> InspectAction {
        let Some(function) = self.listen_table().and_then(|table| table.WskInspectEvent) else {
            return InspectAction::Accept;
        };
        let mut local = RawAddress::from(request.local);
        let mut remote = RawAddress::from(request.remote);
        let mut id = raw_id(request.id);
        let context = self.context();
        let action = call("WskInspectEvent", || {
            // SAFETY: the client's function; all it is pointed to lives until it returns (E-61).
            unsafe { function(context, (&raw mut local).cast(), (&raw mut remote).cast(), &raw mut id) }
        });
        match action {
            WSK_INSPECT_ACTION::ACCEPT => InspectAction::Accept,
            WSK_INSPECT_ACTION::PEND => InspectAction::Pend,
            _ => InspectAction::Reject, // E-63
        }
    }

    fn abort(&self, _: &ListenSocket, id: InspectId) {
        if let Some(function) = self.listen_table().and_then(|table| table.WskAbortEvent) {
            let (context, mut id) = (self.context(), raw_id(id));
            // SAFETY: the client's function.
            call("WskAbortEvent", || unsafe { function(context, &raw mut id) });
        }
    }

    fn dead(&self, _: &ListenSocket) {
        let Some(table) = self.listen_table() else { return };
        let context = self.context();
        if let Some(function) = table.WskAcceptEvent {
            let (mut accept_context, mut dispatch) = (ptr::null_mut(), ptr::null());
            let none = ptr::null_mut();
            call("WskAcceptEvent", || {
                // SAFETY: the client's function; without a connection (E-56).
                unsafe {
                    function(
                        context,
                        level_flag(),
                        none,
                        none,
                        ptr::null_mut(),
                        &raw mut accept_context,
                        &raw mut dispatch,
                    )
                }
            });
        } else if let Some(function) = table.WskInspectEvent {
            let none = ptr::null_mut();
            call("WskInspectEvent", || {
                // SAFETY: the client's function; without a connection (E-62).
                unsafe { function(context, none, none, ptr::null_mut()) }
            });
        }
    }

    fn accepts(&self) -> bool {
        self.listen_table().is_some_and(|table| table.WskAcceptEvent.is_some())
    }

    fn inspects(&self) -> bool {
        self.listen_table().is_some_and(|table| table.WskInspectEvent.is_some())
    }
}

/// The truth about the level, as the flags say it (E-2).
fn level_flag() -> u32 {
    if wsk::current_irql() == irql::DISPATCH_LEVEL { EventFlags::AT_DISPATCH_LEVEL.bits() } else { 0 }
}

/// An inspection's name as C has it.
pub(crate) fn raw_id(id: InspectId) -> WSK_INSPECT_ID {
    WSK_INSPECT_ID { Key: id.key, SerialNumber: id.serial }
}
