//! Stream sockets: one socket that becomes a listener or a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::connection::ConnectionSocket;
use crate::error::Error;
use crate::events::ConnectionEvents;
use crate::handle::{self, refuse, socket_handle};
use crate::listen::ListenSocket;
use crate::option::Categories;
use crate::request::Request;

socket_handle! {
    /// A stream socket (WSK_FLAG_STREAM_SOCKET): after [`StreamSocket::listen`] a listener, after
    /// [`StreamSocket::connect`] a connection (F-244).
    StreamSocket, Categories::LISTEN.union(Categories::CONNECTION)
}

impl StreamSocket {
    /// WskBind; does not listen yet.
    pub fn bind(&self, local: SocketAddr) -> Request<()> {
        handle::bind(&self.socket, local)
    }

    /// WskListen: completes when listening has begun, and commits the socket to it (F-130).
    pub fn listen(&self) -> Request<()> {
        self.socket.request(|machine, id, fx| match machine.stream() {
            Some(stream) => stream.listen(id, fx),
            None => refuse(id, fx),
        })
    }

    /// WskConnect; success commits the socket to being a connection (F-154).
    pub fn connect(&self, remote: SocketAddr) -> Request<()> {
        self.as_connection(|connection| connection.connect(remote))
    }

    /// WskAccept, once it listens.
    pub fn accept(&self) -> Request<ConnectionSocket> {
        handle::accept(&self.socket, None)
    }

    /// WskAccept with callbacks for the accepted socket.
    pub fn accept_with(&self, events: Arc<dyn ConnectionEvents>) -> Request<ConnectionSocket> {
        handle::accept(&self.socket, Some(events))
    }

    /// What it is: a listener, a connection, or either while it has no role yet.
    pub fn categories(&self) -> Categories {
        self.socket.role(Categories::LISTEN | Categories::CONNECTION)
    }

    /// The functions of a connection; they fail with INVALID_DEVICE_STATE unless it is one.
    pub fn as_connection<R>(&self, call: impl FnOnce(&ConnectionSocket) -> R) -> R {
        call(&ConnectionSocket::borrowed(self.socket.clone()))
    }

    /// The functions of a listener; they fail with INVALID_DEVICE_STATE unless it is one.
    pub fn as_listener<R>(&self, call: impl FnOnce(&ListenSocket) -> R) -> R {
        call(&ListenSocket::borrowed(self.socket.clone()))
    }

    /// WskGetLocalAddress.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE before bind.
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        handle::address(&self.socket, false)
    }
}
