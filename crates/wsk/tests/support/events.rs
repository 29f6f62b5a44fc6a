//! Recorders: event callbacks that tell a channel what they saw and answer as a test tells them.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Condvar, Mutex};

use wsk::{
    ConnectionEvents, ConnectionSocket, DatagramEvents, DatagramSocket, Datagrams, EventFlags, EventMask, Incoming,
    Indication, InspectAction, InspectId, InspectRequest, ListenEvents, ListenSocket, Receive, ReceiveFrom,
};

use super::PATIENCE;

/// What a recorder saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Data(Vec<u8>),
    Disconnect { abortive: bool },
    Backlog(usize),
    Datagrams(Vec<(Vec<u8>, SocketAddr)>),
    Inspect(InspectRequest),
    Abort(InspectId),
    Dead,
}

/// Where a recorder's findings arrive.
pub(crate) struct Inbox<T = Seen>(pub(crate) Receiver<T>);

impl<T: std::fmt::Debug> Inbox<T> {
    /// The next one.
    #[track_caller]
    pub(crate) fn next(&self) -> T {
        match self.0.recv_timeout(PATIENCE) {
            Ok(seen) => seen,
            Err(error) => panic!("nothing was seen: {error}"),
        }
    }

    /// There is none at the moment. Says something only after what could have caused one has run its course.
    #[track_caller]
    pub(crate) fn nothing(&self) {
        match self.0.try_recv() {
            Ok(seen) => panic!("unexpected: {seen:?}"),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
    }
}

impl Inbox<Seen> {
    /// Data until so many bytes are there.
    #[track_caller]
    pub(crate) fn data(&self, len: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < len {
            match self.next() {
                Seen::Data(bytes) => all.extend_from_slice(&bytes),
                other => panic!("data was expected, not {other:?}; so far {} of {len} bytes", all.len()),
            }
        }
        assert_eq!(all.len(), len, "more data than was expected");
        all
    }

    /// Datagrams until there are so many.
    #[track_caller]
    pub(crate) fn datagrams(&self, count: usize) -> Vec<(Vec<u8>, SocketAddr)> {
        let mut all = Vec::new();
        while all.len() < count {
            match self.next() {
                Seen::Datagrams(list) => all.extend(list),
                other => panic!("datagrams were expected, not {other:?}"),
            }
        }
        assert_eq!(all.len(), count, "more datagrams than were expected");
        all
    }
}

type OnReceive = dyn Fn(&ConnectionSocket, Indication) -> Receive + Send + Sync;
type OnSocket = dyn Fn(&ConnectionSocket) + Send + Sync;

/// A recorder of a connection's events. Data is told before the answer is made.
pub(crate) struct Conn {
    seen: Sender<Seen>,
    on_receive: Box<OnReceive>,
    on_disconnect: Box<OnSocket>,
    on_dead: Box<OnSocket>,
    provided: EventMask,
}

/// All events of a connection.
pub(crate) const CONNECTION: EventMask = EventMask::RECEIVE.union(EventMask::DISCONNECT).union(EventMask::SEND_BACKLOG);

impl Conn {
    /// One that accepts everything.
    pub(crate) fn new() -> (Self, Inbox) {
        let (seen, inbox) = channel();
        let this = Self {
            seen,
            on_receive: Box::new(|_, _| Receive::Accepted),
            on_disconnect: Box::new(|_| {}),
            on_dead: Box::new(|_| {}),
            provided: CONNECTION,
        };
        (this, Inbox(inbox))
    }

    /// One that accepts everything, ready for use.
    pub(crate) fn recorder() -> (Arc<Self>, Inbox) {
        let (this, inbox) = Self::new();
        (Arc::new(this), inbox)
    }

    /// One whose receive callback answers by `answer`.
    pub(crate) fn answering(
        answer: impl Fn(&ConnectionSocket, Indication) -> Receive + Send + Sync + 'static,
    ) -> (Arc<Self>, Inbox) {
        let (mut this, inbox) = Self::new();
        this.on_receive = Box::new(answer);
        (Arc::new(this), inbox)
    }

    pub(crate) fn on_receive(
        mut self,
        answer: impl Fn(&ConnectionSocket, Indication) -> Receive + Send + Sync + 'static,
    ) -> Self {
        self.on_receive = Box::new(answer);
        self
    }

    pub(crate) fn on_disconnect(mut self, act: impl Fn(&ConnectionSocket) + Send + Sync + 'static) -> Self {
        self.on_disconnect = Box::new(act);
        self
    }

    pub(crate) fn on_dead(mut self, act: impl Fn(&ConnectionSocket) + Send + Sync + 'static) -> Self {
        self.on_dead = Box::new(act);
        self
    }

    pub(crate) fn providing(mut self, provided: EventMask) -> Self {
        self.provided = provided;
        self
    }
}

impl ConnectionEvents for Conn {
    fn receive(&self, socket: &ConnectionSocket, data: Indication) -> Receive {
        let _ = self.seen.send(Seen::Data(data.to_vec()));
        (self.on_receive)(socket, data)
    }

    fn disconnect(&self, socket: &ConnectionSocket, flags: EventFlags) {
        let _ = self.seen.send(Seen::Disconnect { abortive: flags.contains(EventFlags::ABORTIVE) });
        (self.on_disconnect)(socket);
    }

    fn send_backlog(&self, _: &ConnectionSocket, ideal: usize) {
        let _ = self.seen.send(Seen::Backlog(ideal));
    }

    fn dead(&self, socket: &ConnectionSocket) {
        let _ = self.seen.send(Seen::Dead);
        (self.on_dead)(socket);
    }

    fn provided(&self) -> EventMask {
        self.provided
    }
}

type OnDatagrams = dyn Fn(&DatagramSocket, Datagrams) -> ReceiveFrom + Send + Sync;

/// A recorder of a datagram socket's events.
pub(crate) struct Dgram {
    seen: Sender<Seen>,
    on_datagrams: Box<OnDatagrams>,
}

impl Dgram {
    pub(crate) fn recorder() -> (Arc<Self>, Inbox) {
        Self::answering(|_, _| ReceiveFrom::Accepted)
    }

    pub(crate) fn answering(
        answer: impl Fn(&DatagramSocket, Datagrams) -> ReceiveFrom + Send + Sync + 'static,
    ) -> (Arc<Self>, Inbox) {
        let (seen, inbox) = channel();
        (Arc::new(Self { seen, on_datagrams: Box::new(answer) }), Inbox(inbox))
    }
}

impl DatagramEvents for Dgram {
    fn receive_from(&self, socket: &DatagramSocket, datagrams: Datagrams) -> ReceiveFrom {
        let list = datagrams.iter().map(|(bytes, source)| (bytes.to_vec(), source)).collect();
        let _ = self.seen.send(Seen::Datagrams(list));
        (self.on_datagrams)(socket, datagrams)
    }

    fn dead(&self, _: &DatagramSocket) {
        let _ = self.seen.send(Seen::Dead);
    }
}

type Offer = dyn Fn(&ListenSocket, Incoming<'_>) -> Option<ConnectionSocket> + Send + Sync;
type OnInspect = dyn Fn(&ListenSocket, &InspectRequest) -> InspectAction + Send + Sync;

/// A recorder of a listener's events. Accepted sockets arrive in an inbox of their own.
pub(crate) struct Acceptor {
    seen: Sender<Seen>,
    sockets: Sender<ConnectionSocket>,
    offer: Box<Offer>,
    on_inspect: Box<OnInspect>,
    pub(crate) accepts: bool,
    pub(crate) inspects: bool,
}

impl Acceptor {
    /// One that accepts with `events` and accepts every inspection.
    pub(crate) fn new(events: Option<Arc<dyn ConnectionEvents>>) -> (Self, Inbox<ConnectionSocket>, Inbox) {
        Self::offering(move |_, incoming| Some(incoming.accept(events.clone())))
    }

    pub(crate) fn offering(
        offer: impl Fn(&ListenSocket, Incoming<'_>) -> Option<ConnectionSocket> + Send + Sync + 'static,
    ) -> (Self, Inbox<ConnectionSocket>, Inbox) {
        let (seen, inbox) = channel();
        let (sockets, accepted) = channel();
        let on_inspect: Box<OnInspect> = Box::new(|_, _| InspectAction::Accept);
        let this = Self { seen, sockets, offer: Box::new(offer), on_inspect, accepts: true, inspects: true };
        (this, Inbox(accepted), Inbox(inbox))
    }

    pub(crate) fn on_inspect(
        mut self,
        act: impl Fn(&ListenSocket, &InspectRequest) -> InspectAction + Send + Sync + 'static,
    ) -> Self {
        self.on_inspect = Box::new(act);
        self
    }
}

impl ListenEvents for Acceptor {
    fn accept(&self, socket: &ListenSocket, incoming: Incoming<'_>) {
        if let Some(socket) = (self.offer)(socket, incoming) {
            let _ = self.sockets.send(socket);
        }
    }

    fn inspect(&self, socket: &ListenSocket, request: &InspectRequest) -> InspectAction {
        let _ = self.seen.send(Seen::Inspect(*request));
        (self.on_inspect)(socket, request)
    }

    fn abort(&self, _: &ListenSocket, id: InspectId) {
        let _ = self.seen.send(Seen::Abort(id));
    }

    fn dead(&self, _: &ListenSocket) {
        let _ = self.seen.send(Seen::Dead);
    }

    fn accepts(&self) -> bool {
        self.accepts
    }

    fn inspects(&self) -> bool {
        self.inspects
    }
}

/// A gate that holds callbacks back until it is opened; then it stays open.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn open(&self) {
        *self.0.0.lock().expect("not poisoned") = true;
        self.0.1.notify_all();
    }

    /// Passes when it is open.
    pub(crate) fn pass(&self) {
        let open = self.0.0.lock().expect("not poisoned");
        let (_open, waited) = self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open).expect("not poisoned");
        assert!(!waited.timed_out(), "the gate was never opened");
    }
}
