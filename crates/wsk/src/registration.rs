//! Registration of a client, and the client object it captures (functions.md 1).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use wsk_abi::flags::EventMask;
use wsk_abi::status::NtStatus;
use wsk_core::client::{Capture, Registration as Machine};
use wsk_core::security::{DescriptorCache, SecurityDescriptor};
use wsk_core::socket::connection::Events;
use wsk_core::socket::{basic, connection, datagram, listen, stream};
use wsk_core::tdi::{Selection, TdiMap};
use wsk_core::transport::{Family, Protocol, Service, ServiceKind};

use crate::basic::BasicSocket;
use crate::connection::ConnectionSocket;
use crate::datagram::DatagramSocket;
use crate::error::Error;
use crate::events::{ConnectionEvents, DatagramEvents, ListenEvents};
use crate::helpers;
use crate::listen::ListenSocket;
use crate::machine::Machine as SocketMachine;
use crate::names::{self, AddressInfo, Hints, NameInfo};
use crate::pending::{Completer, Pending, pending};
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
    /// WSK_TRANSPORT_LIST_CHANGE.
    list_changes: Mutex<Vec<Completer<()>>>,
    /// WSK_CACHE_SD.
    descriptors: Mutex<DescriptorCache>,
}

impl Registration {
    /// WskRegister. The version is looked at when the provider is captured (F-14).
    pub fn register(provider: &Provider, dispatch: ClientDispatch) -> Self {
        let shared = Arc::new(ClientShared {
            provider: provider.shared.clone(),
            machine: Mutex::new(Machine::new(dispatch.version)),
            changed: Condvar::new(),
            list_changes: Mutex::default(),
            descriptors: Mutex::default(),
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
        drop(machine);
        self.shared.cancel_list_changes(); // F-22
        let mut machine = self.shared.machine.lock();
        while !machine.is_idle() {
            if in_client_code() {
                return Err(NtStatus::POSSIBLE_DEADLOCK.into());
            }
            self.shared.changed.wait(&mut machine);
        }
        drop(machine);
        *self.shared.descriptors.lock() = DescriptorCache::default(); // F-24
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

    /// The list of transports is another one (C-3). Who waits is told by a helper, since it may block.
    pub(crate) fn transports_changed(&self) {
        let waiting = std::mem::take(&mut *self.list_changes.lock());
        if !waiting.is_empty() {
            // Without a helper they are dropped, and so cancelled.
            let _ = helpers::run(move || waiting.iter().for_each(|completer| completer.end(Ok(()))));
        }
    }

    fn cancel_list_changes(&self) {
        let waiting = std::mem::take(&mut *self.list_changes.lock());
        waiting.iter().for_each(|completer| completer.end(Err(NtStatus::CANCELLED)));
    }

    /// Counts a request of the client that is no socket's; a deregistration waits for it (F-23).
    fn begin(self: &Arc<Self>) -> Outstanding {
        self.machine.lock().request_begun();
        Outstanding(self.clone())
    }

    fn close_all(self: &Arc<Self>) {
        for socket in self.provider.sockets() {
            if Arc::ptr_eq(&socket.client, self) {
                socket.close_quietly();
            }
        }
    }
}

/// A request of a client that is no socket's.
struct Outstanding(Arc<ClientShared>);

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.0.machine.lock().request_ended();
        self.0.changed.notify_all();
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

    /// WSK_TRANSPORT_LIST_QUERY: the kinds of sockets that can be made now (C-1).
    pub fn transports(&self) -> Vec<Service> {
        self.shared.provider.services()
    }

    /// WSK_TRANSPORT_LIST_CHANGE: completes when that list changes; ask for the list after this, to miss nothing (C-3).
    /// CANCELLED when the client is deregistered.
    pub fn transports_change(&self) -> Pending<()> {
        let (request, completer) = pending(self.shared.begin());
        let mut waiting = self.shared.list_changes.lock();
        if self.shared.machine.lock().is_deregistering() {
            drop(waiting);
            completer.end(Err(NtStatus::CANCELLED)); // F-22
            return request;
        }
        waiting.retain(|completer| !completer.is_over());
        waiting.push(completer);
        request
    }

    /// WSK_CACHE_SD, for C clients: the address of a self-relative copy that stays until it is released; equal ones are one, with
    /// a count (C-6).
    pub fn cache_security(&self, descriptor: SecurityDescriptor) -> usize {
        self.shared.descriptors.lock().cache(descriptor)
    }

    /// WSK_RELEASE_SD, by the address of the copy.
    ///
    /// # Errors
    /// INVALID_PARAMETER: it is not cached.
    pub fn release_security(&self, address: usize) -> Result<(), Error> {
        Ok(self.shared.descriptors.lock().release(address)?)
    }

    /// The cached copy at an address.
    pub fn cached_security(&self, address: usize) -> Option<Arc<SecurityDescriptor>> {
        self.shared.descriptors.lock().find(address)
    }

    /// WSK_TDI_DEVICENAME_MAPPING: the devices that serve what no native transport does (C-4).
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE: the client has had a socket.
    pub fn set_tdi_mapping(&self, mapping: Vec<TdiMap>) -> Result<(), Error> {
        Ok(self.shared.machine.lock().set_tdi_mapping(mapping)?)
    }

    /// WSK_TDI_BEHAVIOR: whether sockets pass by TDI filters (C-60).
    ///
    /// # Errors
    /// As [`Client::set_tdi_mapping`].
    pub fn set_tdi_bypass(&self, bypass: bool) -> Result<(), Error> {
        Ok(self.shared.machine.lock().set_tdi_bypass(bypass)?)
    }

    /// WskGetAddressInfo: the addresses of a node, a service's port with each. One of the two names may be missing. By the
    /// system's resolver: hosts and services files, then the network.
    ///
    /// Fails with NOT_FOUND (F-223), INVALID_PARAMETER (no name, or hints that make no sense).
    pub fn address_info(&self, node: Option<&str>, service: Option<&str>, hints: Hints) -> Pending<AddressInfo> {
        names::address_info(node.map(str::to_owned), service.map(str::to_owned), hints, self.shared.begin())
    }

    /// WskGetNameInfo: the names of an address and its port; flags of [`names::ask_for`](crate::names::ask_for) (F-232).
    ///
    /// Fails with NO_MATCH.
    pub fn name_info(&self, address: SocketAddr, flags: u32) -> Pending<NameInfo> {
        names::name_info(address, flags, self.shared.begin())
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
        self.new_datagram(family, Protocol::Udp, events)
    }

    fn new_datagram(
        &self,
        family: Family,
        protocol: Protocol,
        events: Option<Arc<dyn DatagramEvents>>,
    ) -> Result<DatagramSocket, Error> {
        let available = if events.is_some() { EventMask::RECEIVE_FROM } else { EventMask::empty() };
        let machine = datagram::DatagramSocket::new(family, self.events(available), false);
        let sink = events.map_or(Sink::None, Sink::Datagram);
        let socket = self.socket(family, protocol, SocketMachine::Datagram(Box::new(machine)), sink)?;
        Ok(DatagramSocket::owning(socket))
    }

    /// A raw socket: a datagram socket of SOCK_RAW, for one protocol of IP. Addresses have port 0. What is received of IPv4
    /// has its header in front.
    ///
    /// # Errors
    /// NOT_SUPPORTED: no transport serves raw sockets here; ACCESS_DENIED: the process may not.
    pub fn raw_socket(
        &self,
        family: Family,
        protocol: u8,
        events: Option<Arc<dyn DatagramEvents>>,
    ) -> Result<DatagramSocket, Error> {
        self.new_datagram(family, Protocol::Raw(protocol), events)
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
        self.socket_connect_with(local, remote, events, None)
    }

    /// The same, with a security descriptor that says who may share the local address.
    pub fn socket_connect_with(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        events: Option<Arc<dyn ConnectionEvents>>,
        security: Option<Arc<SecurityDescriptor>>,
    ) -> Request<ConnectionSocket> {
        if local.is_ipv4() != remote.is_ipv4() {
            return Request::failed(NtStatus::INVALID_PARAMETER);
        }
        let socket = match self.new_connection(Family::of(&local), events) {
            Ok(socket) => socket,
            Err(status) => return Request::failed(status),
        };
        if security.is_some() {
            socket.keep(|kept| kept.security = security);
        }
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
        let carrier = self.shared.provider.carrier(ServiceKind::of(protocol), family);
        let selection = self.shared.machine.lock().select(family, protocol, carrier.is_some());
        let (Selection::Native, Some(carrier)) = (selection, carrier) else {
            return Err(NtStatus::NOT_SUPPORTED); // C-7, C-60: no TDI device is there to map to
        };
        let endpoint = carrier.transport.create(family, protocol)?;
        let kind = (family, protocol);
        Socket::create(carrier.next_home(), self.shared.clone(), endpoint, kind, machine, sink)
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
