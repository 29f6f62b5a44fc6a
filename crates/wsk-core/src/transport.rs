//! The contract between the subsystem and a transport: Linux TCP/IP, an in-memory loopback, a virtual network, a driver.
//!
//! Three objects make a transport:
//!
//! - [`Transport`]: one per provider. It creates endpoints and opens one driver per processor.
//! - [`Endpoint`]: one per socket. Its calls work at once, on any thread, and never block.
//! - [`Driver`]: one per processor, used by that processor's thread only. It carries out [`Operation`]s and delivers
//!   [`Report`]s.
//!
//! # Rules
//!
//! 1. An operation ends with exactly one *terminal* event, named in its documentation; streaming operations deliver further
//!    events before it. Cancelling is a request: the terminal event of the cancelled operation still comes, with whatever
//!    happened first.
//! 2. Per endpoint at most one operation of each kind is in flight (any number of [`Operation::SendTo`]).
//! 3. The memory in an operation belongs to the transport until the terminal event gives it back.
//! 4. Events of one endpoint arrive in the order in which they happened. After [`Event::Detached`] none arrives.
//! 5. Errors are statuses already ([`NtStatus`]); a wait for readiness is never an error. An endpoint that met a fatal error
//!    reports it to every later operation (errors are latched).

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use smallvec::SmallVec;
use wsk_abi::flags::ControlFlags;
use wsk_abi::status::NtStatus;

use crate::control_data::ControlData;
use crate::memory::{Buffer, Memory};
use crate::option::{OptionName, OptionValue};

/// What a transport is asked to make an endpoint for. Values as in the NPI, already validated as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// AF_INET.
    V4,
    /// AF_INET6; dual-mode when IPV6_V6ONLY is switched off before bind (C-40).
    V6,
}

impl Family {
    /// The family an address belongs to.
    pub fn of(address: &SocketAddr) -> Self {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

/// The kind of transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// SOCK_STREAM, IPPROTO_TCP.
    Tcp,
    /// SOCK_DGRAM, IPPROTO_UDP.
    Udp,
    /// SOCK_RAW with this protocol of IP. Datagrams; ports are 0. Those of IPv4 are received with their header.
    Raw(u8),
}

/// A transport provider (C-7).
pub trait Transport: Send + Sync + 'static {
    /// Its name, as users see it: `uring`, `epoll`, `loopback`.
    fn name(&self) -> &'static str;

    /// Why this transport (or this variant of it) is the one in use; one line for the user, may be empty.
    fn reason(&self) -> String {
        String::new()
    }

    /// A new, unbound endpoint.
    ///
    /// # Errors
    /// NOT_SUPPORTED when the transport does not do this combination, INSUFFICIENT_RESOURCES, or the host's refusal.
    fn create(&self, family: Family, protocol: Protocol) -> Result<Arc<dyn Endpoint>, NtStatus>;

    /// The driver of one processor. Called on the thread that will use it, once per processor.
    ///
    /// # Errors
    /// Whatever kept the driver from starting.
    fn open_driver(&self, processor: usize) -> std::io::Result<Box<dyn Driver>>;

    /// Counters since the start, over all drivers and endpoints.
    fn counters(&self) -> Counters;

    /// The kinds of sockets it serves, as clients see them listed (C-1).
    fn services(&self) -> Vec<Service> {
        let of = |kind| [Family::V4, Family::V6].map(|family| Service { kind, family });
        [of(ServiceKind::Tcp), of(ServiceKind::Udp)].concat()
    }

    /// The unicast addresses of this machine of one family, port 0 (C-32).
    ///
    /// # Errors
    /// NOT_SUPPORTED by a transport that does not know; the host's refusal.
    fn local_addresses(&self, _family: Family) -> Result<Vec<SocketAddr>, NtStatus> {
        Err(NtStatus::NOT_SUPPORTED)
    }

    /// The local address, port 0, that datagrams to `destination` leave from (SIO_ROUTING_INTERFACE_QUERY).
    ///
    /// # Errors
    /// NETWORK_UNREACHABLE, HOST_UNREACHABLE: there is no route. NOT_SUPPORTED.
    fn route(&self, _destination: SocketAddr) -> Result<SocketAddr, NtStatus> {
        Err(NtStatus::NOT_SUPPORTED)
    }

    /// The path MTU to `destination`, in bytes, as far as it is known now.
    ///
    /// # Errors
    /// As [`Transport::route`].
    fn path_mtu(&self, _destination: IpAddr) -> Result<u32, NtStatus> {
        Err(NtStatus::NOT_SUPPORTED)
    }

    /// Has `watcher` told of changes of addresses and routes, as long as it lives. The first call starts whatever watches.
    ///
    /// # Errors
    /// NOT_SUPPORTED, INSUFFICIENT_RESOURCES.
    fn watch_network(&self, _watcher: std::sync::Weak<dyn NetworkWatcher>) -> Result<(), NtStatus> {
        Err(NtStatus::NOT_SUPPORTED)
    }
}

/// A kind of socket that a transport serves: a line of the transport list (C-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    /// Type and protocol.
    pub kind: ServiceKind,
    /// The address family.
    pub family: Family,
}

/// Type and protocol of a [`Service`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServiceKind {
    /// Streams over TCP.
    Tcp,
    /// Datagrams over UDP.
    Udp,
    /// Raw IP, any protocol.
    Raw,
}

impl ServiceKind {
    /// The service that a socket of `protocol` needs.
    pub fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => ServiceKind::Tcp,
            Protocol::Udp => ServiceKind::Udp,
            Protocol::Raw(_) => ServiceKind::Raw,
        }
    }
}

/// Hears of changes of the machine's network. Called on a thread of the transport; must not block.
pub trait NetworkWatcher: Send + Sync {
    /// Addresses of this family came or went.
    fn addresses_changed(&self, family: Family);
    /// Routes of this family changed.
    fn routes_changed(&self, family: Family);
}

/// What a transport has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// System calls made.
    pub system_calls: u64,
    /// Payload bytes copied in user space by the transport itself.
    pub bytes_copied: u64,
    /// Receive buffers on loan to the subsystem or its clients now.
    pub buffers_lent: u64,
    /// Bytes of memory set aside for receive buffers.
    pub buffer_memory: u64,
    /// Datagrams that came and that the host dropped, mostly for want of room in its own queues. What was sent as one (segments
    /// of one send) may count as one.
    pub datagrams_dropped_by_host: u64,
}

/// The transport's side of one socket: what can be done at once, from any thread, without blocking.
pub trait Endpoint: Send + Sync + Any {
    /// Binds; returns the address with the port that was chosen (C 6). Sockets of this subsystem that overlap are the
    /// subsystem's business: it has decided already, and with `shares` one of them does overlap. Only the use of others than this
    /// process refuses a bind (C-51).
    ///
    /// # Errors
    /// ADDRESS_ALREADY_EXISTS, INVALID_ADDRESS_COMPONENT, ACCESS_DENIED, ... (control.md 10).
    fn bind(&self, local: SocketAddr, shares: bool) -> Result<SocketAddr, NtStatus>;

    /// Starts listening (stream endpoints, bound).
    ///
    /// # Errors
    /// As [`Endpoint::bind`].
    fn listen(&self) -> Result<(), NtStatus>;

    /// The local address.
    ///
    /// # Errors
    /// The host's refusal.
    fn local_address(&self) -> Result<SocketAddr, NtStatus>;

    /// The connected peer.
    ///
    /// # Errors
    /// The host's refusal.
    fn remote_address(&self) -> Result<SocketAddr, NtStatus>;

    /// Sends from `memory` after its first `offset` bytes, without waiting. `None`: nothing could be sent now.
    ///
    /// # Errors
    /// The connection's failure.
    fn try_send(&self, memory: &Memory, offset: usize) -> Result<Option<usize>, NtStatus>;

    /// Receives into `memory` after its first `offset` bytes, without waiting. `Some(0)`: the peer's FIN. `None`: nothing
    /// there now.
    ///
    /// # Errors
    /// The connection's failure.
    fn try_receive(&self, memory: &mut Memory, offset: usize) -> Result<Option<usize>, NtStatus>;

    /// Sends datagrams without waiting: those of `messages` behind the first `sent`, in order. Returns how many of all have gone
    /// out now, `sent` if none could be taken. Fewer than all may mean that the next one fails: asking again tells.
    ///
    /// # Errors
    /// Of the first of them: INVALID_BUFFER_SIZE when too long, ACCESS_DENIED, NETWORK_UNREACHABLE, ... (F-191).
    fn try_send_to(
        &self,
        messages: &[Memory],
        sent: usize,
        remote: SocketAddr,
        control: &ControlData,
    ) -> Result<usize, NtStatus>;

    /// Sets an option of which the table says that the transport keeps it; the value has passed
    /// [`Row::check_value`](crate::option::Row::check_value).
    ///
    /// # Errors
    /// NOT_SUPPORTED, INVALID_PARAMETER (an option of IPv6 on an IPv4 socket) or the host's refusal.
    fn set_option(&self, option: OptionName, value: &OptionValue) -> Result<(), NtStatus>;

    /// The value of such an option, in the client's terms.
    ///
    /// # Errors
    /// As [`Endpoint::set_option`]. INVALID_DEVICE_STATE: the path MTU of a socket that is not connected (C-19).
    fn option(&self, option: OptionName) -> Result<OptionValue, NtStatus>;

    /// SIO_UDP_CONNRESET and SIO_UDP_NETRESET: whether the fate of earlier datagrams is reported by [`Event::Unreachable`], with
    /// PORT_UNREACHABLE or NETWORK_UNREACHABLE.
    ///
    /// # Errors
    /// NOT_SUPPORTED.
    fn report_unreachable(&self, _port: bool, _network: bool) -> Result<(), NtStatus> {
        Err(NtStatus::NOT_SUPPORTED)
    }

    /// SIO_WSK_SET_TCP_SILENT_MODE: nothing leaves any more, nothing that comes is answered, and the close says nothing (C-31).
    /// Nothing but cancels and the detach is decided from the call on, unless it fails: then all is as it was. A receive that was
    /// decided before may still come; it is to pend or to fail, as one likes.
    ///
    /// # Errors
    /// NOT_SUPPORTED: a loopback connection, or the process may not.
    fn silence(&self) -> Result<(), NtStatus> {
        Err(NtStatus::NOT_SUPPORTED)
    }

    /// Bytes received but not yet read (streams).
    fn unread(&self) -> usize;

    /// Whether the connection was reset, or an error is latched.
    fn is_dead(&self) -> bool;

    /// The number of send bytes worth keeping outstanding (E-104).
    fn ideal_send_backlog(&self) -> usize;

    /// Closes an endpoint that was never attached to a driver; `abort` as in [`Operation::Detach`].
    fn discard(&self, abort: bool);

    /// For the driver of the same transport, which finds its own type again.
    fn as_any(&self) -> &(dyn Any + Send + Sync);
}

/// Names a socket between the subsystem and a driver. The subsystem chooses it; the driver gives it back in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Names one of several datagram sends of one socket in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SendId(pub u64);

/// Names an incoming connection whose inspection is pended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncomingId(pub u64);

/// The memory of one stream send: one or several requests' memory, gathered.
pub type Gather = SmallVec<[Memory; 1]>;

/// Datagrams to send, a memory each.
pub type Messages = SmallVec<[Memory; 1]>;

/// An asynchronous operation of a driver.
#[derive(Debug)]
pub enum Operation {
    /// Gives a socket's endpoint to this driver, before any other operation on it. Has no event of its own.
    Attach(Arc<dyn Endpoint>),
    /// Accept connections until stopped: [`Event::Accepted`] for each; terminal: [`Event::AcceptStopped`].
    AcceptStart,
    /// Asks the above to stop.
    AcceptStop,
    /// Report when the peer of a connection that is accepted but not attached goes away. Terminal:
    /// [`Event::IncomingEnded`].
    WatchIncoming(IncomingId, Arc<dyn Endpoint>),
    /// Asks the above to stop.
    UnwatchIncoming(IncomingId),
    /// Connect a bound endpoint. Terminal: [`Event::Connected`]. After a failure the endpoint is bound as before (F-153).
    Connect {
        /// The peer.
        remote: SocketAddr,
        /// What will be sent first (F-156). With the option FastOpen a prefix of it may ride with the SYN; the rest is sent by
        /// [`Operation::Send`]. Comes back in the event.
        first: Memory,
    },
    /// Asks for the end of a connect.
    ConnectCancel,
    /// Receive stream data into the transport's memory until stopped: [`Event::Received`] for each piece; terminal:
    /// [`Event::ReceiveStopped`]. Running out of buffers is the driver's business: it resumes by itself.
    ReceiveStart,
    /// Asks the above to stop.
    ReceiveStop,
    /// Receive once into `memory` after its first `offset` bytes. Terminal: [`Event::ReceiveDone`].
    Receive {
        /// Where the bytes go.
        memory: Memory,
        /// Bytes to skip at the beginning of `memory`.
        offset: usize,
    },
    /// Asks for the end of the above.
    ReceiveCancel,
    /// Send all bytes of `parts`, in order, after the first `offset`. Terminal: [`Event::SendDone`].
    Send {
        /// What to send.
        parts: Gather,
        /// Bytes that went out already.
        offset: usize,
    },
    /// Asks for the end of the above.
    SendCancel,
    /// Report the end of the connection without reading. Terminal: [`Event::Hangup`].
    Watch,
    /// Asks for the end of the above.
    WatchCancel,
    /// Send FIN (all sends are done). Terminal: [`Event::ShutdownDone`], when the peer has acknowledged it.
    Shutdown,
    /// Asks for the end of the above; the FIN may still go out (F-66).
    ShutdownCancel,
    /// Receive datagrams into the transport's memory until stopped: [`Event::Datagram`] for each; terminal:
    /// [`Event::DatagramsStopped`].
    ReceiveFromStart,
    /// Asks the above to stop.
    ReceiveFromStop,
    /// Receive one datagram into `memory`. Terminal: [`Event::ReceiveFromDone`].
    ReceiveFrom(Memory),
    /// Asks for the end of the above.
    ReceiveFromCancel,
    /// Send datagrams to one destination, in order, until one fails; with one system call where the host can. Terminal:
    /// [`Event::SendToDone`]. Such operations of one endpoint go out in the order given, as far as the host keeps it.
    SendTo {
        /// Comes back in the event.
        id: SendId,
        /// The datagrams.
        messages: Messages,
        /// So many of them have gone out already.
        sent: usize,
        /// Their destination.
        remote: SocketAddr,
        /// What goes with each.
        control: ControlData,
    },
    /// The end: everything still in flight on the endpoint is cancelled and reports its terminal event, then comes
    /// [`Event::Detached`] and the endpoint is closed.
    Detach {
        /// Close by RST; but data whose sends had completed is delivered first, in the background and for a bounded time
        /// (F-113, F-162). Otherwise a plain close.
        abort: bool,
    },
}

impl Operation {
    /// The terminal event of an operation that no driver will carry out: CANCELLED when it was asked to end, otherwise the
    /// failure of the driver or the endpoint. `None` for operations without one.
    pub fn refused(self, status: NtStatus) -> Option<Event> {
        let end = if status == NtStatus::CANCELLED { StreamEnd::Stopped } else { StreamEnd::Failed(status) };
        let stopped = if status == NtStatus::CANCELLED { Ok(()) } else { Err(status) };
        Some(match self {
            Operation::AcceptStart => Event::AcceptStopped(stopped),
            Operation::WatchIncoming(id, _) => Event::IncomingEnded { id, gone: false },
            Operation::Connect { first, .. } => Event::Connected { result: Err(status), first },
            Operation::ReceiveStart => Event::ReceiveStopped(end),
            Operation::Receive { memory, .. } => Event::ReceiveDone { memory, result: Err(end) },
            Operation::Send { parts, offset, .. } => Event::SendDone { parts, sent: offset, result: Err(status) },
            Operation::Watch => Event::Hangup(match end {
                StreamEnd::Failed(status) => Hangup::Failed { status, unread: 0 },
                _ => Hangup::Cancelled,
            }),
            Operation::Shutdown => Event::ShutdownDone(Err(status)),
            Operation::ReceiveFromStart => Event::DatagramsStopped(stopped),
            Operation::ReceiveFrom(memory) => Event::ReceiveFromDone { memory, result: Err(status) },
            Operation::SendTo { id, messages, sent, .. } => {
                Event::SendToDone { id, messages, sent, result: Err(status) }
            }
            Operation::Detach { .. } => Event::Detached,
            Operation::Attach(_)
            | Operation::AcceptStop
            | Operation::UnwatchIncoming(_)
            | Operation::ConnectCancel
            | Operation::ReceiveStop
            | Operation::ReceiveCancel
            | Operation::SendCancel
            | Operation::WatchCancel
            | Operation::ShutdownCancel
            | Operation::ReceiveFromStop
            | Operation::ReceiveFromCancel => return None,
        })
    }
}

/// An event of one socket.
#[derive(Debug)]
pub struct Report {
    /// The socket.
    pub token: Token,
    /// What happened.
    pub event: Event,
}

/// How a stream operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// It was asked to stop; nothing is lost, the rest stays in the transport.
    Stopped,
    /// The peer's FIN, after all its data.
    Fin,
    /// The connection is gone: CONNECTION_RESET, IO_TIMEOUT, ...
    Failed(NtStatus),
}

/// A received datagram.
#[derive(Debug)]
pub struct Datagram {
    /// The whole datagram.
    pub buffer: Buffer,
    /// Its source.
    pub source: SocketAddr,
    /// BCAST or MCAST, by its destination (E-80); ERRQUEUE for an ICMP error (E-84).
    pub flags: ControlFlags,
    /// What the client asked to see of it (E-83).
    pub control: ControlData,
}

/// A connection that a peer has made; its endpoint is connected but attached to no driver.
#[derive(Clone)]
pub struct Incoming {
    /// The endpoint.
    pub endpoint: Arc<dyn Endpoint>,
    /// Its local address, in the listener's family.
    pub local: SocketAddr,
    /// Its peer, in the listener's family.
    pub remote: SocketAddr,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A connection came in.
    Accepted(Incoming),
    /// Terminal event of [`Operation::AcceptStart`]: `Ok` when it was asked to stop. INSUFFICIENT_RESOURCES means that a
    /// connection waits but cannot be taken now; anything else means the listening endpoint is dead.
    AcceptStopped(Result<(), NtStatus>),
    /// Terminal event of [`Operation::WatchIncoming`].
    IncomingEnded {
        /// Which.
        id: IncomingId,
        /// The peer closed or reset it; otherwise the watch was asked to stop.
        gone: bool,
    },
    /// Terminal event of [`Operation::Connect`].
    Connected {
        /// Bytes of `first` that are sent already; CANCELLED when it was cancelled.
        result: Result<usize, NtStatus>,
        /// As given.
        first: Memory,
    },
    /// Stream data in the transport's memory.
    Received {
        /// The bytes; at least one.
        buffer: Buffer,
        /// The transport had nothing more at that moment (ENTIRE_MESSAGE, E-71).
        drained: bool,
    },
    /// Terminal event of [`Operation::ReceiveStart`].
    ReceiveStopped(StreamEnd),
    /// Terminal event of [`Operation::Receive`].
    ReceiveDone {
        /// The client's memory.
        memory: Memory,
        /// Bytes received now (not counting `offset`), or how it ended. Never `Ok(0)`: that is [`StreamEnd::Fin`].
        result: Result<usize, StreamEnd>,
    },
    /// Terminal event of [`Operation::Send`].
    SendDone {
        /// The memory, as given.
        parts: Gather,
        /// All bytes of `parts` that went out, `offset` included.
        sent: usize,
        /// `Ok` when all went out; CANCELLED, CONNECTION_RESET, ...
        result: Result<(), NtStatus>,
    },
    /// Terminal event of [`Operation::Watch`].
    Hangup(Hangup),
    /// Terminal event of [`Operation::Shutdown`]; CANCELLED when it was cancelled.
    ShutdownDone(Result<(), NtStatus>),
    /// A datagram in the transport's memory.
    Datagram(Datagram),
    /// Terminal event of [`Operation::ReceiveFromStart`]; `Err` when the endpoint is dead.
    DatagramsStopped(Result<(), NtStatus>),
    /// Terminal event of [`Operation::ReceiveFrom`].
    ReceiveFromDone {
        /// The client's memory.
        memory: Memory,
        /// What was received, or CANCELLED, or the endpoint's failure.
        result: Result<DatagramInfo, NtStatus>,
    },
    /// Terminal event of [`Operation::SendTo`].
    SendToDone {
        /// Which.
        id: SendId,
        /// As given.
        messages: Messages,
        /// How many of them went out, those before the operation included.
        sent: usize,
        /// `Ok` when all did, or why the next did not (F-191); CANCELLED by a detach.
        result: Result<(), NtStatus>,
    },
    /// An earlier datagram did not arrive: PORT_UNREACHABLE or NETWORK_UNREACHABLE. Only after
    /// [`Endpoint::report_unreachable`], and while datagrams are received.
    Unreachable(NtStatus),
    /// Terminal event of [`Operation::Detach`], and the socket's last.
    Detached,
}

/// What a [`Operation::Watch`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// It was cancelled.
    Cancelled,
    /// The peer's FIN arrived; so many bytes before it are still unread.
    Fin {
        /// Bytes unread.
        unread: usize,
    },
    /// The connection failed: CONNECTION_RESET, IO_TIMEOUT, ...; so many bytes are still unread.
    Failed {
        /// Why.
        status: NtStatus,
        /// Bytes unread.
        unread: usize,
    },
}

/// What is known of a datagram that went into client memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatagramInfo {
    /// Bytes stored.
    pub len: u32,
    /// Its source.
    pub source: SocketAddr,
    /// TRUNC when it was longer than the memory; BCAST, MCAST; ERRQUEUE.
    pub flags: ControlFlags,
    /// What the client asked to see of it.
    pub control: ControlData,
}

/// A processor's part of a transport. Used by one thread.
pub trait Driver {
    /// Starts an operation. Its events come from a later [`Driver::poll`], never from inside this call; system calls are
    /// put off to the next poll where the host allows it.
    fn submit(&mut self, token: Token, operation: Operation);

    /// Sends off what was submitted and appends the events that are there. With `wait`, returns only when there is at
    /// least one event, or the doorbell was rung since the last poll; without, at once.
    ///
    /// # Errors
    /// The driver itself failed; it cannot be used any more.
    fn poll(&mut self, wait: bool, reports: &mut Vec<Report>) -> std::io::Result<()>;

    /// The doorbell that ends a wait.
    fn doorbell(&self) -> Arc<dyn Doorbell>;
}

/// Ends the wait of a [`Driver::poll`] from any thread.
pub trait Doorbell: Send + Sync {
    /// Rings: the current or next waiting poll returns soon. Rings may be merged.
    fn ring(&self);
}

impl std::fmt::Debug for dyn Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Endpoint")
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("local", &self.local).field("remote", &self.remote).finish_non_exhaustive()
    }
}
