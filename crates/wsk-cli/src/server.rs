//! Echo servers in each programming model. The smallest readable form of each is in `examples/`; these also end connections
//! in order and queue as many requests as a server under load would.

use std::net::SocketAddr;
use std::sync::Arc;

use wsk::{
    Client, ConnectionEvents, ConnectionSocket, DatagramEvents, DatagramSocket, Datagrams, Error, EventFlags,
    EventMask, Family, Incoming, Indication, ListenEvents, ListenSocket, Receive, ReceiveFrom,
};

/// How a server does its I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Model {
    /// Functions with queued requests, into the server's own buffers.
    Functions,
    /// Event callbacks, enabled through the listener or on the socket.
    Callbacks,
    /// Event callbacks, enabled once for all sockets of the client.
    Static,
}

impl Model {
    /// All of them, in the order of the tables.
    pub(crate) const ALL: [Model; 3] = [Model::Functions, Model::Callbacks, Model::Static];

    /// One line for tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Model::Functions => "functions",
            Model::Callbacks => "callbacks",
            Model::Static => "static callbacks",
        }
    }
}

/// Accepts queued in the functions model.
const ACCEPTS: usize = 16;
/// Receives queued per connection (and per datagram socket: a burst finds as many buffers) in the functions model.
const RECEIVES: usize = 2;
const DATAGRAM_RECEIVES: usize = 64;
/// Bytes of each receive buffer in the functions model.
const BUFFER: usize = 8 << 10;
const DATAGRAM_BUFFER: usize = 64 << 10;

/// A running server: the socket, and the address it serves on.
pub(crate) struct Server {
    _socket: Socket,
    pub(crate) address: SocketAddr,
}

enum Socket {
    Stream { _listener: Arc<ListenSocket> },
    Datagram { _socket: Arc<DatagramSocket> },
}

/// The family of an address.
pub(crate) fn family(address: SocketAddr) -> Family {
    if address.is_ipv4() { Family::V4 } else { Family::V6 }
}

/// Starts a TCP echo server. On `[::]` it is dual-mode.
///
/// # Errors
/// Those of the socket functions.
pub(crate) fn stream(client: &Client, address: SocketAddr, model: Model) -> Result<Server, Error> {
    let echo = Arc::new(Echo);
    if model == Model::Static {
        client.set_static_event_callbacks(EventMask::ACCEPT | EventMask::RECEIVE | EventMask::DISCONNECT)?;
    }
    let events: Option<Arc<dyn ListenEvents>> = match model {
        Model::Functions => None,
        Model::Callbacks | Model::Static => Some(Arc::new(Accept(echo))),
    };
    let listener = Arc::new(client.listen_socket(family(address), events)?);
    if address.is_ipv6() && address.ip().is_unspecified() {
        listener.set(wsk::option::V6Only(false))?;
    }
    listener.bind(address).wait()?;
    match model {
        Model::Functions => (0..ACCEPTS).for_each(|_| accept_next(listener.clone())),
        Model::Callbacks => listener.enable(EventMask::ACCEPT | EventMask::RECEIVE | EventMask::DISCONNECT)?,
        Model::Static => {}
    }
    let address = listener.local_address()?;
    Ok(Server { _socket: Socket::Stream { _listener: listener }, address })
}

/// Starts a UDP echo server. On `[::]` it is dual-mode.
///
/// # Errors
/// Those of the socket functions.
pub(crate) fn datagram(client: &Client, address: SocketAddr, model: Model) -> Result<Server, Error> {
    if model == Model::Static {
        client.set_static_event_callbacks(EventMask::RECEIVE_FROM)?;
    }
    let events: Option<Arc<dyn DatagramEvents>> = match model {
        Model::Functions => None,
        Model::Callbacks | Model::Static => Some(Arc::new(Echo)),
    };
    let socket = Arc::new(client.datagram_socket(family(address), events)?);
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set(wsk::option::V6Only(false))?;
    }
    socket.bind(address).wait()?;
    match model {
        Model::Functions => {
            (0..DATAGRAM_RECEIVES).for_each(|_| receive_from_next(socket.clone(), vec![0; DATAGRAM_BUFFER]));
        }
        Model::Callbacks => socket.enable(EventMask::RECEIVE_FROM)?,
        Model::Static => {}
    }
    let address = socket.local_address()?;
    Ok(Server { _socket: Socket::Datagram { _socket: socket }, address })
}

// ---- event callbacks ----

struct Accept(Arc<Echo>);

impl ListenEvents for Accept {
    fn accept(&self, _listener: &ListenSocket, incoming: Incoming<'_>) {
        incoming.accept(Some(self.0.clone())).leave_open();
    }
}

/// Sends back what it is handed: the subsystem's own buffers, without a copy.
struct Echo;

impl ConnectionEvents for Echo {
    fn receive(&self, socket: &ConnectionSocket, data: Indication) -> Receive {
        socket.send(data).detach();
        Receive::Accepted
    }

    fn disconnect(&self, socket: &ConnectionSocket, flags: EventFlags) {
        end(socket, flags.contains(EventFlags::ABORTIVE));
    }

    fn dead(&self, socket: &ConnectionSocket) {
        socket.close().detach();
    }
}

impl DatagramEvents for Echo {
    fn receive_from(&self, socket: &DatagramSocket, datagrams: Datagrams) -> ReceiveFrom {
        for datagram in datagrams {
            let source = datagram.source();
            socket.send_to(datagram, source).detach();
        }
        ReceiveFrom::Accepted
    }
}

/// Ends our side of the stream as well, then closes; a connection that is gone is closed at once.
fn end(socket: &ConnectionSocket, gone: bool) {
    if gone {
        socket.close().detach();
    } else {
        socket.disconnect_and_close();
    }
}

// ---- functions ----

fn accept_next(listener: Arc<ListenSocket>) {
    let again = listener.clone();
    listener.accept().on_complete(move |accepted| {
        let Ok(socket) = accepted else { return }; // the listener is being closed
        let socket = Arc::new(socket);
        (0..RECEIVES).for_each(|_| receive_next(socket.clone(), vec![0; BUFFER]));
        accept_next(again);
    });
}

/// Queues a receive; what it brings is sent back, and when the send is done the buffer is queued again.
fn receive_next(socket: Arc<ConnectionSocket>, buffer: Vec<u8>) {
    let again = socket.clone();
    socket.receive(buffer).on_complete(move |received| match received {
        Ok(transfer) if !transfer.is_empty() => {
            let next = again.clone();
            again.send(transfer.into_reply()).on_complete(move |sent| {
                if let Ok(transfer) = sent {
                    receive_next(next, transfer.into_buffer());
                }
            });
        }
        Ok(_) => end(&again, false),
        Err(error) => end(&again, error.status() != wsk::NtStatus::CANCELLED),
    });
}

fn receive_from_next(socket: Arc<DatagramSocket>, buffer: Vec<u8>) {
    let again = socket.clone();
    socket.receive_from(buffer).on_complete(move |received| {
        let Ok(datagram) = received else { return }; // the socket is being closed
        let source = datagram.source();
        let next = again.clone();
        again.send_to(datagram.into_reply(), source).on_complete(move |sent| {
            let buffer = match sent {
                Ok(transfer) => transfer.into_buffer(),
                Err(error) => error.into_buffer().unwrap_or_else(|| vec![0; DATAGRAM_BUFFER]),
            };
            receive_from_next(next, buffer);
        });
    });
}
