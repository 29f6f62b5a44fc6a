//! A transport without a network: stream and datagram endpoints of one process, on 127.0.0.1 and ::1.
//!
//! It shows that the transport contract (`wsk::transport`) suits a purely virtual transport, and it runs the contract suite
//! where Linux's sockets cannot be made to misbehave. One lock guards the whole network. A driver keeps a list of sockets
//! that may have something to do; each gets a bounded turn per poll (`driver::step`), and all events come from there.
//!
//! Streams: a send copies into the peer's receive queue as far as its window goes, so a send to a slow reader waits; FIN
//! follows the data; an abort is a reset that the peer meets after the data before it, latched. Datagrams: a queue in
//! bytes; what does not fit is dropped. 127.0.0.99 is a black hole: connecting to it never ends.

mod driver;

use std::any::Any;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use wsk::option::{OptionName, OptionValue};
use wsk::transport::{
    Counters, Driver, Endpoint, Family, Gather, IncomingId, Messages, NetworkWatcher, Protocol, SendId, Token,
    Transport,
};
use wsk::{ControlData, ControlKinds, Memory, NtStatus};

/// The receive window of a stream, unless set.
const WINDOW: usize = 64 << 10;
/// The queue of a datagram endpoint, unless set.
const QUEUE: usize = 256 << 10;
/// Connections a listener holds before connects have to wait.
const BACKLOG: usize = 64;
/// What a queued datagram costs beside its bytes.
const DATAGRAM_COST: usize = 64;
/// The longest datagram, as with UDP.
const LONGEST: usize = 65_507;

/// The address that never answers.
pub(crate) const BLACK_HOLE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 99));

/// A virtual network. Providers that share one can talk to each other.
#[derive(Clone)]
pub(crate) struct Loopback(Arc<Shared>);

impl Loopback {
    pub(crate) fn new() -> Self {
        let shared = Arc::<Shared>::default();
        shared.lock().shared = Arc::downgrade(&shared);
        Self(shared)
    }

    /// A further address of this machine; those who watch are told.
    pub(crate) fn add_address(&self, address: IpAddr) {
        let watchers = {
            let mut net = self.0.lock();
            net.addresses.push(address);
            net.watchers.iter().filter_map(Weak::upgrade).collect::<Vec<_>>()
        };
        let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
        watchers.iter().for_each(|watcher| watcher.addresses_changed(family));
    }
}

#[derive(Default)]
struct Shared {
    net: Mutex<Net>,
    copied: AtomicU64,
    lent: AtomicU64,
    memory: AtomicU64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Net> {
        self.net.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Net {
    sockets: BTreeMap<u64, Sock>,
    drivers: Vec<Waiting>,
    next: u64,
    next_port: u16,
    /// Addresses beside the two of loopback, and who hears of changes.
    addresses: Vec<IpAddr>,
    watchers: Vec<Weak<dyn NetworkWatcher>>,
    /// The network itself, for the endpoints of accepted connections.
    shared: Weak<Shared>,
}

/// What a driver's poll looks at.
struct Waiting {
    ready: VecDeque<u64>,
    rung: bool,
    wake: Arc<Condvar>,
}

/// A watch of a connection that nobody owns yet: of which listener, on which driver.
struct IncomingWatch {
    token: Token,
    driver: usize,
    id: IncomingId,
    stop: bool,
}

/// An operation in flight, or asked to end.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Op {
    #[default]
    Idle,
    Running,
    Stopping,
}

/// One endpoint's state, operations included.
struct Sock {
    family: Family,
    protocol: Protocol,
    window: usize,
    options: HashMap<OptionName, OptionValue>,
    /// Without mapped addresses, whatever the family.
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    owner: Option<(Token, usize)>,
    listening: bool,
    backlog: VecDeque<u64>,
    /// Connecting endpoints for which the backlog had no room.
    waiting: VecDeque<u64>,
    peer: Option<u64>,
    incoming: VecDeque<u8>,
    fin_in: bool,
    fin_out: bool,
    failure: Option<NtStatus>,
    datagrams: VecDeque<(Vec<u8>, SocketAddr, ControlData)>,
    datagram_bytes: usize,
    accept: Op,
    connect: Op,
    connected: Option<Result<(), NtStatus>>,
    stream: Op,
    receive: Option<(Memory, usize, bool)>,
    send: Option<(Gather, usize, bool)>,
    watch: Op,
    shutdown: Op,
    from_stream: Op,
    receive_from: Option<(Memory, bool)>,
    sends_to: VecDeque<(SendId, Messages, SocketAddr, ControlData)>,
    /// What a connect will send first; goes back with its end.
    first: Memory,
    incoming_watch: Option<IncomingWatch>,
    detach: Option<bool>,
}

/// Addresses inside the network are IPv4 where they can be.
fn flat(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl Sock {
    fn new(family: Family, protocol: Protocol) -> Self {
        Self {
            family,
            protocol,
            options: HashMap::new(),
            window: if protocol == Protocol::Tcp { WINDOW } else { QUEUE },
            local: None,
            remote: None,
            owner: None,
            listening: false,
            backlog: VecDeque::new(),
            waiting: VecDeque::new(),
            peer: None,
            incoming: VecDeque::new(),
            fin_in: false,
            fin_out: false,
            failure: None,
            datagrams: VecDeque::new(),
            datagram_bytes: 0,
            accept: Op::Idle,
            connect: Op::Idle,
            connected: None,
            stream: Op::Idle,
            receive: None,
            send: None,
            watch: Op::Idle,
            shutdown: Op::Idle,
            from_stream: Op::Idle,
            receive_from: None,
            sends_to: VecDeque::new(),
            first: Memory::None,
            incoming_watch: None,
            detach: None,
        }
    }

    fn number(&self, option: OptionName) -> Option<u32> {
        self.options.get(&option).and_then(|value| value.number().ok())
    }

    fn is_on(&self, option: OptionName) -> bool {
        self.number(option).is_some_and(|value| value != 0)
    }

    fn v6_only(&self) -> bool {
        self.family == Family::V6 && self.number(OptionName::V6Only) != Some(0)
    }

    /// What the client asked to see of a datagram of IPv6, or of IPv4.
    fn wanted(&self, v6: bool) -> ControlKinds {
        use OptionName::*;
        let kinds = [
            (PacketInfo4, PacketInfo6, ControlKinds::PACKET_INFO),
            (ReceiveHopLimit4, ReceiveHopLimit6, ControlKinds::HOP_LIMIT),
            (ReceiveTos, ReceiveTrafficClass6, ControlKinds::TRAFFIC_CLASS),
            (Ecn4, Ecn6, ControlKinds::ECN),
            (ReceiveInterface4, ReceiveInterface6, ControlKinds::INTERFACE),
            (ReceiveDestination4, ReceiveDestination6, ControlKinds::DESTINATION),
        ];
        kinds
            .into_iter()
            .filter(|(of4, of6, _)| self.is_on(if v6 { *of6 } else { *of4 }))
            .map(|(_, _, kind)| kind)
            .collect()
    }

    /// An address as this endpoint's client sees it: mapped on a dual-mode endpoint (C-41).
    fn shown(&self, address: SocketAddr) -> SocketAddr {
        match (self.family, address.ip()) {
            (Family::V6, IpAddr::V4(ip)) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
            _ => address,
        }
    }

    /// Whether what is sent to `to` arrives here.
    fn answers(&self, protocol: Protocol, to: SocketAddr) -> bool {
        let Some(local) = self.local.filter(|local| local.port() == to.port()) else { return false };
        self.protocol == protocol
            && match (local.ip(), to.ip()) {
                (mine, theirs) if mine == theirs => true,
                (IpAddr::V4(mine), IpAddr::V4(_)) => mine.is_unspecified(),
                (IpAddr::V6(mine), IpAddr::V6(_)) => mine.is_unspecified(),
                (IpAddr::V6(mine), IpAddr::V4(_)) => mine.is_unspecified() && !self.v6_only(),
                _ => false,
            }
    }

    /// Whether two binds get in each other's way.
    fn conflicts(&self, protocol: Protocol, local: SocketAddr, v6_only: bool) -> bool {
        let dual = |ip: IpAddr, v6_only: bool| ip.is_ipv6() && ip.is_unspecified() && !v6_only;
        let Some(mine) = self.local.filter(|mine| mine.port() == local.port()) else { return false };
        let same_family = mine.is_ipv4() == local.is_ipv4();
        let overlap = mine.ip() == local.ip()
            || same_family && (mine.ip().is_unspecified() || local.ip().is_unspecified())
            || dual(mine.ip(), self.v6_only())
            || dual(local.ip(), v6_only);
        // Connections share the port of their listener.
        self.protocol == protocol && self.remote.is_none() && overlap
    }

    fn fail(&mut self, status: NtStatus) {
        self.failure.get_or_insert(status);
    }

    /// Reads into client memory. `Some(0)` is the peer's FIN.
    fn read(&mut self, memory: &mut Memory, offset: usize) -> Result<Option<usize>, NtStatus> {
        if self.incoming.is_empty() {
            return match self.failure {
                Some(status) => Err(status),
                None if self.fin_in => Ok(Some(0)),
                None => Ok(None),
            };
        }
        let n = memory.write(offset, self.incoming.make_contiguous());
        self.incoming.drain(..n);
        Ok(if n == 0 { None } else { Some(n) })
    }

    fn take_datagram(&mut self) -> Option<(Vec<u8>, SocketAddr, ControlData)> {
        let (bytes, source, control) = self.datagrams.pop_front()?;
        self.datagram_bytes -= bytes.len() + DATAGRAM_COST;
        Some((bytes, self.shown(source), control.only(self.wanted(source.is_ipv6()))))
    }
}

impl Net {
    fn sock(&mut self, id: u64) -> Option<&mut Sock> {
        self.sockets.get_mut(&id)
    }

    fn endpoint(&self, id: u64) -> Option<Arc<dyn Endpoint>> {
        Some(Arc::new(End { shared: self.shared.upgrade()?, id }))
    }

    /// Gives a socket a turn at its driver's next poll.
    fn wake(&mut self, id: u64) {
        let Some(sock) = self.sockets.get(&id) else { return };
        let watcher = sock.incoming_watch.as_ref().map(|watch| watch.driver);
        if let Some(driver) = sock.owner.map(|(_, driver)| driver).or(watcher)
            && let Some(waiting) = self.drivers.get_mut(driver)
        {
            if !waiting.ready.contains(&id) {
                waiting.ready.push_back(id);
            }
            waiting.wake.notify_one();
        }
    }

    fn bind(&mut self, id: u64, local: SocketAddr, shares: bool) -> Result<SocketAddr, NtStatus> {
        let local = flat(local);
        let ip = local.ip();
        if !(ip.is_unspecified() || ip.is_loopback()) || ip == BLACK_HOLE {
            return Err(NtStatus::INVALID_ADDRESS_COMPONENT);
        }
        let (protocol, v6_only) = self.sockets.get(&id).map(|s| (s.protocol, s.v6_only())).ok_or(CLOSED)?;
        let free = |net: &Net, at| !net.sockets.values().any(|other| other.conflicts(protocol, at, v6_only));
        let local = if local.port() != 0 {
            (shares || free(self, local)).then_some(local)
        } else {
            (0..16384).find_map(|_| {
                self.next_port = (self.next_port + 1) % 16384;
                let at = SocketAddr::new(ip, 49152 + self.next_port);
                free(self, at).then_some(at)
            })
        };
        let local = local.ok_or(NtStatus::ADDRESS_ALREADY_EXISTS)?;
        let sock = self.sock(id).ok_or(CLOSED)?;
        sock.local = Some(local);
        Ok(sock.shown(local))
    }

    /// Connects `id`, or leaves it waiting in a full backlog, or in the black hole.
    fn connect(&mut self, id: u64, remote: SocketAddr) {
        let remote = flat(remote);
        if remote.ip() == BLACK_HOLE {
            return;
        }
        let listener = self.sockets.iter().find(|(_, s)| s.listening && s.answers(Protocol::Tcp, remote));
        let Some(listener) = listener.map(|(key, _)| *key) else {
            if let Some(sock) = self.sock(id) {
                sock.connected = Some(Err(NtStatus::CONNECTION_REFUSED));
            }
            return self.wake(id);
        };
        if let Some(sock) = self.sock(id) {
            sock.remote = Some(remote);
        }
        if let Some(at) = self.sock(listener) {
            at.waiting.push_back(id);
        }
        self.admit(listener);
    }

    /// Moves waiting connects into the backlog, as far as there is room.
    fn admit(&mut self, listener: u64) {
        loop {
            let Some(at) = self.sock(listener).filter(|at| at.backlog.len() < BACKLOG) else { return };
            let (family, window) = (at.family, at.window);
            let Some(id) = at.waiting.pop_front() else { return };
            let Some(client) = self.sock(id).filter(|c| c.connect == Op::Running) else { continue };
            let Some(remote) = client.remote else { continue };
            let port = client.local.map_or(0, |local| local.port());
            let local = SocketAddr::new(remote.ip(), port);
            client.local = Some(local);
            client.connected = Some(Ok(()));
            let server = self.next;
            self.next += 1;
            let mut sock = Sock::new(family, Protocol::Tcp);
            (sock.local, sock.remote, sock.peer, sock.window) = (Some(remote), Some(local), Some(id), window);
            self.sockets.insert(server, sock);
            if let Some(client) = self.sock(id) {
                client.peer = Some(server);
            }
            if let Some(at) = self.sock(listener) {
                at.backlog.push_back(server);
            }
            self.wake(id);
            self.wake(listener);
        }
    }

    /// Copies into the peer's queue as far as its window goes.
    fn send(&mut self, id: u64, pieces: &[&[u8]]) -> Result<Option<usize>, NtStatus> {
        let sock = self.sock(id).ok_or(CLOSED)?;
        if let Some(status) = sock.failure {
            return Err(status);
        }
        if sock.fin_out {
            return Err(NtStatus::INVALID_DEVICE_STATE);
        }
        let peer = sock.peer.ok_or(NtStatus::INVALID_DEVICE_STATE)?;
        let Some(other) = self.sock(peer) else {
            if let Some(sock) = self.sock(id) {
                sock.fail(NtStatus::CONNECTION_RESET); // nobody is there any more: RST
            }
            self.wake(id);
            return Err(NtStatus::CONNECTION_RESET);
        };
        let room = other.window.saturating_sub(other.incoming.len());
        let mut sent = 0;
        for piece in pieces {
            let n = piece.len().min(room - sent);
            other.incoming.extend(&piece[..n]);
            sent += n;
        }
        self.wake(peer);
        Ok(if sent == 0 && !pieces.is_empty() { None } else { Some(sent) })
    }

    fn send_to(&mut self, id: u64, memory: &Memory, remote: SocketAddr, control: &ControlData) -> Result<(), NtStatus> {
        let to = flat(remote);
        let sock = self.sock(id).ok_or(CLOSED)?;
        if memory.len() > LONGEST {
            return Err(NtStatus::INVALID_BUFFER_SIZE);
        }
        if to.ip() == IpAddr::V4(Ipv4Addr::BROADCAST) && !sock.is_on(OptionName::Broadcast) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        if !to.ip().is_loopback() {
            return Err(NtStatus::NETWORK_UNREACHABLE);
        }
        let mut source = sock.local.ok_or(NtStatus::INVALID_DEVICE_STATE)?;
        if source.ip().is_unspecified() {
            let ip = if to.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
            source = SocketAddr::new(ip, source.port());
        }
        let bytes = memory.segments(0).concat();
        let len = bytes.len();
        let v6 = to.is_ipv6();
        let of = |v4, v6_too| sock.number(if v6 { v6_too } else { v4 });
        let byte = |number: u32| number.min(255) as u8;
        let hops = control.hop_limit().or(of(OptionName::HopLimit4, OptionName::HopLimit6).map(byte)).unwrap_or(64);
        let class = of(OptionName::Tos, OptionName::TrafficClass6).map_or(0, byte);
        let class = control.traffic_class().unwrap_or(class);
        let class = control.ecn().map_or(class, |ecn| class & !3 | ecn);
        let seen = ControlData::new(v6).with_hop_limit(hops).with_traffic_class(class).with_ecn(class).with_local(
            to.ip(),
            1,
            ControlKinds::all(),
        );
        let target = self.sockets.iter_mut().find(|(_, s)| s.answers(Protocol::Udp, to)).map(|(key, s)| {
            if s.datagram_bytes + len + DATAGRAM_COST <= s.window {
                s.datagram_bytes += len + DATAGRAM_COST;
                s.datagrams.push_back((bytes, source, seen));
            }
            *key
        });
        if let Some(target) = target {
            self.wake(target);
        }
        Ok(())
    }

    /// The end of an endpoint. Its peer sees FIN or RST, its backlog is reset.
    fn close(&mut self, id: u64, abort: bool) {
        let Some(sock) = self.sockets.remove(&id) else { return };
        for connection in sock.backlog {
            self.close(connection, true);
        }
        for waiting in sock.waiting {
            if let Some(client) = self.sock(waiting) {
                client.connected = Some(Err(NtStatus::CONNECTION_REFUSED));
            }
            self.wake(waiting);
        }
        if let Some(peer) = sock.peer {
            if let Some(other) = self.sock(peer) {
                if abort {
                    other.fail(NtStatus::CONNECTION_RESET);
                } else {
                    other.fin_in = true;
                }
            }
            self.wake(peer);
        }
    }
}

/// The failure of a call on an endpoint that is closed.
const CLOSED: NtStatus = NtStatus::FILE_FORCED_CLOSED;

impl Transport for Loopback {
    fn name(&self) -> &'static str {
        "loopback"
    }

    fn create(&self, family: Family, protocol: Protocol) -> Result<Arc<dyn Endpoint>, NtStatus> {
        let mut net = self.0.lock();
        let id = net.next;
        net.next += 1;
        net.sockets.insert(id, Sock::new(family, protocol));
        Ok(Arc::new(End { shared: self.0.clone(), id }))
    }

    fn open_driver(&self, _processor: usize) -> std::io::Result<Box<dyn Driver>> {
        let mut net = self.0.lock();
        let wake = Arc::new(Condvar::new());
        net.drivers.push(Waiting { ready: VecDeque::new(), rung: false, wake: wake.clone() });
        let index = net.drivers.len() - 1;
        Ok(Box::new(driver::LoopDriver::new(self.0.clone(), index, wake)))
    }

    fn local_addresses(&self, family: Family) -> Result<Vec<SocketAddr>, NtStatus> {
        let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        let net = self.0.lock();
        let all = loopback.iter().chain(&net.addresses).map(|ip| SocketAddr::new(*ip, 0));
        Ok(all.filter(|address| Family::of(address) == family).collect())
    }

    /// By the last address of the family there is.
    fn route(&self, destination: SocketAddr) -> Result<SocketAddr, NtStatus> {
        if destination.ip() == BLACK_HOLE {
            return Err(NtStatus::NETWORK_UNREACHABLE);
        }
        let all = self.local_addresses(Family::of(&destination))?;
        all.last().copied().ok_or(NtStatus::NETWORK_UNREACHABLE)
    }

    fn path_mtu(&self, _destination: IpAddr) -> Result<u32, NtStatus> {
        Ok(65_536)
    }

    fn watch_network(&self, watcher: Weak<dyn NetworkWatcher>) -> Result<(), NtStatus> {
        self.0.lock().watchers.push(watcher);
        Ok(())
    }

    fn counters(&self) -> Counters {
        Counters {
            system_calls: 0,
            bytes_copied: self.0.copied.load(Ordering::SeqCst),
            buffers_lent: self.0.lent.load(Ordering::SeqCst),
            buffer_memory: self.0.memory.load(Ordering::SeqCst),
            datagrams_dropped_by_host: 0,
        }
    }
}

/// An endpoint; its state is in the network. Dropping it does not close it: the contract has its own calls for that.
struct End {
    shared: Arc<Shared>,
    id: u64,
}

impl Endpoint for End {
    fn bind(&self, local: SocketAddr, shares: bool) -> Result<SocketAddr, NtStatus> {
        self.shared.lock().bind(self.id, local, shares)
    }

    fn listen(&self) -> Result<(), NtStatus> {
        self.shared.lock().sock(self.id).ok_or(CLOSED)?.listening = true;
        Ok(())
    }

    fn local_address(&self) -> Result<SocketAddr, NtStatus> {
        let mut net = self.shared.lock();
        let sock = net.sock(self.id).ok_or(CLOSED)?;
        sock.local.map(|a| sock.shown(a)).ok_or(NtStatus::INVALID_DEVICE_STATE)
    }

    fn remote_address(&self) -> Result<SocketAddr, NtStatus> {
        let mut net = self.shared.lock();
        let sock = net.sock(self.id).ok_or(CLOSED)?;
        sock.remote.map(|a| sock.shown(a)).ok_or(NtStatus::INVALID_DEVICE_STATE)
    }

    fn try_send(&self, memory: &Memory, offset: usize) -> Result<Option<usize>, NtStatus> {
        self.shared.lock().send(self.id, &memory.segments(offset))
    }

    fn try_receive(&self, memory: &mut Memory, offset: usize) -> Result<Option<usize>, NtStatus> {
        let mut net = self.shared.lock();
        let sock = net.sock(self.id).ok_or(CLOSED)?;
        let read = sock.read(memory, offset);
        if let (Ok(Some(1..)), Some(peer)) = (&read, sock.peer) {
            net.wake(peer); // its window has opened
        }
        read
    }

    fn try_send_to(
        &self,
        messages: &[Memory],
        sent: usize,
        remote: SocketAddr,
        control: &ControlData,
    ) -> Result<usize, NtStatus> {
        let mut net = self.shared.lock();
        messages[sent..].iter().try_for_each(|memory| net.send_to(self.id, memory, remote, control))?;
        Ok(messages.len())
    }

    fn set_option(&self, option: OptionName, value: &OptionValue) -> Result<(), NtStatus> {
        let mut net = self.shared.lock();
        let sock = net.sock(self.id).ok_or(CLOSED)?;
        if option == OptionName::ReceiveBuffer {
            sock.window = value.number()? as usize;
        }
        sock.options.insert(option, value.clone());
        Ok(())
    }

    fn option(&self, option: OptionName) -> Result<OptionValue, NtStatus> {
        let mut net = self.shared.lock();
        let sock = net.sock(self.id).ok_or(CLOSED)?;
        if matches!(option, OptionName::Mtu4 | OptionName::Mtu6) && sock.remote.is_none() {
            return Err(NtStatus::INVALID_DEVICE_STATE);
        }
        Ok(sock.options.get(&option).cloned().unwrap_or(OptionValue::Number(option.row().default.unwrap_or(0))))
    }

    fn unread(&self) -> usize {
        self.shared.lock().sock(self.id).map_or(0, |sock| sock.incoming.len())
    }

    fn is_dead(&self) -> bool {
        self.shared.lock().sock(self.id).is_none_or(|sock| sock.failure.is_some())
    }

    fn ideal_send_backlog(&self) -> usize {
        WINDOW
    }

    fn discard(&self, abort: bool) {
        self.shared.lock().close(self.id, abort);
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}
