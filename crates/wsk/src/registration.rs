//! Registration of a client, and the client object it captures (functions.md 1).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use wsk_abi::flags::EventMask;
use wsk_abi::status::NtStatus;
use wsk_core::client::{Capture, Registration as Machine};
use wsk_core::socket::connection::Events;
use wsk_core::socket::{basic, connection, datagram, listen, stream};
use wsk_core::transport::{Family, Protocol};

use crate::basic::BasicSocket;
use crate::connection::ConnectionSocket;
use crate::datagram::DatagramSocket;
use crate::error::Error;
use crate::events::{ConnectionEvents, DatagramEvents, ListenEvents};
use crate::listen::ListenSocket;
use crate::machine::Machine as SocketMachine;
use crate::processor::in_client_code;
use crate::provider::{Provider, ProviderShared};
use crate::request::Request;
use crate::socket::{Sink, Socket};
use crate::stream::StreamSocket;

/// What a client says of itself when it registers (WSK_CLIENT_DISPATCH).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientDispatch {
    /// The version of the NPI it wants, major in the high byte; 1.0 is the only one provided (F-20).
    pub version: u16,
}

impl Default for ClientDispatch {
    fn default() -> Self {
        Self { version: wsk_core::client::VERSION }
    }
}

/// The versions a provider offers (WSK_PROVIDER_CHARACTERISTICS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderCharacteristics {
    /// The highest version.
    pub highest: u16,
    /// The lowest version.
    pub lowest: u16,
}

/// How long a capture waits for the provider to become available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitTimeout {
    /// WSK_NO_WAIT.
    NoWait,
    /// WSK_INFINITE_WAIT.
    Infinite,
    /// At most so long.
    For(Duration),
}

/// A client's registration. Dropping it closes what sockets are left and deregisters.
pub struct Registration {
    shared: Arc<ClientShared>,
}

pub(crate) struct ClientShared {
    pub(crate) provider: Arc<ProviderShared>,
    machine: Mutex<Machine>,
    changed: Condvar,
}

impl Registration {
    /// WskRegister. The version is looked at when the provider is captured (F-14).
    pub fn register(provider: &Provider, dispatch: ClientDispatch) -> Self {
        let shared = Arc::new(ClientShared {
            provider: provider.shared.clone(),
            machine: Mutex::new(Machine::new(dispatch.version)),
            changed: Condvar::new(),
        });
        provider.shared.enter_client(&shared);
        Self { shared }
    }

    /// WskCaptureProviderNPI; dropping the [`Client`] is WskReleaseProviderNPI.
    ///
    /// # Errors
    /// DEVICE_NOT_READY: not available in time, or being deregistered; NOINTERFACE: another version was asked for (F-15).
    /// POSSIBLE_DEADLOCK: it would have to wait, inside a callback.
    pub fn capture(&self, wait: WaitTimeout) -> Result<Client, Error> {
        let deadline = match wait {
            WaitTimeout::For(time) => Instant::now().checked_add(time),
            _ => None,
        };
        let mut machine = self.shared.machine.lock();
        loop {
            match machine.capture(self.shared.provider.is_available()) {
                Capture::Captured => return Ok(Client { shared: self.shared.clone() }),
                Capture::Failed(status) => return Err(status.into()),
                Capture::NotReady if wait == WaitTimeout::NoWait => return Err(NtStatus::DEVICE_NOT_READY.into()),
                Capture::NotReady if in_client_code() => return Err(NtStatus::POSSIBLE_DEADLOCK.into()),
                Capture::NotReady => match deadline {
                    None => self.shared.changed.wait(&mut machine),
                    Some(deadline) => {
                        if self.shared.changed.wait_until(&mut machine, deadline).timed_out() {
                            return Err(NtStatus::DEVICE_NOT_READY.into());
                        }
                    }
                },
            }
        }
    }

    /// WskQueryProviderCharacteristics (F-17).
    ///
    /// # Errors
    /// DEVICE_NOT_READY.
    pub fn characteristics(&self) -> Result<ProviderCharacteristics, Error> {
        let (highest, lowest) = self.shared.machine.lock().characteristics(self.shared.provider.is_available())?;
        Ok(ProviderCharacteristics { highest, lowest })
    }

    /// WskDeregister: waits until every capture is released and every socket closed (F-23). A second one does nothing.
    ///
    /// # Errors
    /// POSSIBLE_DEADLOCK inside a callback (F-25); deregistration has begun all the same.
    pub fn deregister(&self) -> Result<(), Error> {
        let mut machine = self.shared.machine.lock();
        machine.deregister();
        self.shared.changed.notify_all();
        while !machine.is_idle() {
            if in_client_code() {
                return Err(NtStatus::POSSIBLE_DEADLOCK.into());
            }
            self.shared.changed.wait(&mut machine);
        }
        Ok(())
    }

    /// Closes every socket of this client, without waiting.
    pub fn close_all(&self) {
        self.shared.close_all();
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if !self.shared.machine.lock().is_idle() {
            self.close_all();
        }
        let _ = self.deregister();
    }
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (captures, sockets) = self.shared.machine.lock().outstanding();
        f.debug_struct("Registration").field("captures", &captures).field("sockets", &sockets).finish()
    }
}

impl ClientShared {
    pub(crate) fn notify(&self) {
        let _machine = self.machine.lock();
        self.changed.notify_all();
    }

    pub(crate) fn socket_created(&self) {
        self.machine.lock().socket_created();
    }

    pub(crate) fn socket_gone(&self) {
        self.machine.lock().socket_gone();
        self.changed.notify_all();
    }

    pub(crate) fn static_events(&self) -> EventMask {
        self.machine.lock().static_events()
    }

    fn close_all(self: &Arc<Self>) {
        for socket in self.provider.sockets() {
            if Arc::ptr_eq(&socket.client, self) {
                socket.close_quietly();
            }
        }
    }
}

/// A captured provider: creates sockets (the client object and the provider dispatch table in one).
pub struct Client {
    shared: Arc<ClientShared>,
}

impl Client {
    /// WSK_SET_STATIC_EVENT_CALLBACKS: switches events on for every socket this client is going to create or accept; they
    /// can never be switched off (events.md 4.3).
    ///
    /// # Errors
    /// INVALID_PARAMETER: DISABLE or an unknown bit. INVALID_DEVICE_STATE: the client has had a socket.
    pub fn set_static_event_callbacks(&self, mask: EventMask) -> Result<(), Error> {
        Ok(self.shared.machine.lock().set_static_events(mask)?)
    }

    /// Closes every socket of this client, without waiting.
    pub fn close_all(&self) {
        self.shared.close_all();
    }

    /// A basic socket: for options only.
    ///
    /// # Errors
    /// The transport's.
    pub fn basic_socket(&self, family: Family, protocol: Protocol) -> Result<BasicSocket, Error> {
        let socket = self.socket(family, protocol, SocketMachine::Basic(basic::Basic::new()), Sink::None)?;
        Ok(BasicSocket::owning(socket))
    }

    /// A listening socket; `events` may be `None` if only [`ListenSocket::accept`] is used.
    ///
    /// # Errors
    /// The transport's.
    pub fn listen_socket(&self, family: Family, events: Option<Arc<dyn ListenEvents>>) -> Result<ListenSocket, Error> {
        let which = self.events(listen_callbacks(events.as_deref()));
        let machine = SocketMachine::Listen(Box::new(listen::Listen::new(family, which, false)));
        let sink = events.map_or(Sink::None, Sink::Listen);
        Ok(ListenSocket::owning(self.socket(family, Protocol::Tcp, machine, sink)?))
    }

    /// A datagram socket; `events` may be `None` if only [`DatagramSocket::receive_from`] is used.
    ///
    /// # Errors
    /// The transport's.
    pub fn datagram_socket(
        &self,
        family: Family,
        events: Option<Arc<dyn DatagramEvents>>,
    ) -> Result<DatagramSocket, Error> {
        let available = if events.is_some() { EventMask::RECEIVE_FROM } else { EventMask::empty() };
        let machine = datagram::DatagramSocket::new(family, self.events(available), false);
        let sink = events.map_or(Sink::None, Sink::Datagram);
        let socket = self.socket(family, Protocol::Udp, SocketMachine::Datagram(Box::new(machine)), sink)?;
        Ok(DatagramSocket::owning(socket))
    }

    /// A connection socket, to be bound and connected.
    ///
    /// # Errors
    /// The transport's.
    pub fn connection_socket(
        &self,
        family: Family,
        events: Option<Arc<dyn ConnectionEvents>>,
    ) -> Result<ConnectionSocket, Error> {
        Ok(ConnectionSocket::owning(self.new_connection(family, events)?))
    }

    fn new_connection(
        &self,
        family: Family,
        events: Option<Arc<dyn ConnectionEvents>>,
    ) -> Result<Arc<Socket>, NtStatus> {
        let available = events.as_ref().map(|e| e.provided()).unwrap_or_default();
        let machine = connection::Connection::new(family, self.events(available));
        let sink = events.map_or(Sink::None, Sink::Connection);
        self.socket(family, Protocol::Tcp, SocketMachine::Connection(machine), sink)
    }

    /// WskSocketConnect: creates a connection socket, binds and connects it in one request (F-93). When it fails or is
    /// cancelled no socket remains.
    pub fn socket_connect(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        events: Option<Arc<dyn ConnectionEvents>>,
    ) -> Request<ConnectionSocket> {
        if local.is_ipv4() != remote.is_ipv4() {
            return Request::failed(NtStatus::INVALID_PARAMETER);
        }
        let socket = match self.new_connection(Family::of(&local), events) {
            Ok(socket) => socket,
            Err(status) => return Request::failed(status),
        };
        let mut bound: Request<()> = socket.request(|machine, id, fx| {
            if let Some(connection) = machine.connection() {
                connection.bind(id, local, fx);
            }
        });
        // Binding ends on this thread, so there is nothing to wait for.
        if let Some(Err(error)) = bound.wait_timeout(Duration::ZERO) {
            socket.close_quietly();
            return Request::failed(error.status());
        }
        socket.request_connect(remote)
    }

    /// A stream socket: it becomes a listener or a connection. Either set of callbacks may be missing.
    ///
    /// # Errors
    /// The transport's.
    pub fn stream_socket(
        &self,
        family: Family,
        listen: Option<Arc<dyn ListenEvents>>,
        connect: Option<Arc<dyn ConnectionEvents>>,
    ) -> Result<StreamSocket, Error> {
        let available =
            listen_callbacks(listen.as_deref()) | connect.as_ref().map(|events| events.provided()).unwrap_or_default();
        let machine = stream::Stream::new(family, self.events(available));
        let sink = Sink::Stream(listen, connect);
        let socket = self.socket(family, Protocol::Tcp, SocketMachine::Stream(Box::new(machine)), sink)?;
        Ok(StreamSocket::owning(socket))
    }

    fn events(&self, available: EventMask) -> Events {
        Events { available, fixed: self.shared.static_events(), inherited: EventMask::empty() }
    }

    fn socket(
        &self,
        family: Family,
        protocol: Protocol,
        machine: SocketMachine,
        sink: Sink,
    ) -> Result<Arc<Socket>, NtStatus> {
        let provider = &self.shared.provider;
        let endpoint = provider.transport.create(family, protocol)?;
        Socket::create(provider.next_home(), self.shared.clone(), endpoint, machine, sink)
    }
}

/// The callbacks of a listener that are there.
fn listen_callbacks(events: Option<&dyn ListenEvents>) -> EventMask {
    let Some(events) = events else { return EventMask::empty() };
    let mut available = EventMask::empty();
    if events.accepts() {
        available |= EventMask::ACCEPT;
    }
    if events.inspects() {
        available |= EventMask::from_bits_retain(listen::HAS_INSPECT | listen::HAS_ABORT);
    }
    available
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.machine.lock().release();
        self.shared.changed.notify_all();
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}
