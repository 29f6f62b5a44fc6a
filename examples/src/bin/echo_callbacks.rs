//! A TCP echo server with event callbacks: the subsystem calls the program when there is a connection or data, and lends it
//! the buffers that the data lies in. Nothing is queued, nothing is copied, and an idle connection holds no buffer.
//!
//! For those who know WSK: `Listener` is a WSK_CLIENT_LISTEN_DISPATCH, `Echo` a WSK_CLIENT_CONNECTION_DISPATCH, and `enable`
//! is SO_WSK_EVENT_CALLBACK.
#![forbid(unsafe_code)]

use std::sync::Arc;

use examples::{CtrlC, Result, address};
use wsk::{
    ClientDispatch, ConnectionEvents, ConnectionSocket, EventFlags, EventMask, Family, Incoming, Indication,
    ListenEvents, ListenSocket, Provider, Receive, Registration, WaitTimeout,
};

struct Listener;

impl ListenEvents for Listener {
    fn accept(&self, _listener: &ListenSocket, incoming: Incoming<'_>) {
        // Dropping `incoming` would refuse the connection. A socket handle closes its socket when dropped; this socket is
        // left to its own callbacks.
        incoming.accept(Some(Arc::new(Echo))).leave_open();
    }
}

struct Echo;

impl ConnectionEvents for Echo {
    fn receive(&self, socket: &ConnectionSocket, data: Indication) -> Receive {
        // Keeping the indication is what C calls returning STATUS_PENDING; it is released (WskRelease) when it is dropped,
        // which the send does when it is done. A callback must not wait, so nobody waits for the send: `detach`.
        socket.send(data).detach();
        Receive::Accepted
    }

    fn disconnect(&self, socket: &ConnectionSocket, flags: EventFlags) {
        if flags.contains(EventFlags::ABORTIVE) {
            socket.close().detach(); // reset by the peer
            return;
        }
        // The peer is done sending. Our end of the stream goes out behind what is still being sent; then close.
        socket.disconnect_and_close();
    }
}

fn main() -> Result<()> {
    let ctrl_c = CtrlC::watch()?;
    let provider = Provider::start()?;
    let registration = Registration::register(&provider, ClientDispatch::default());
    let client = registration.capture(WaitTimeout::NoWait)?;

    let address = address()?;
    let listener = client.listen_socket(Family::of(&address), Some(Arc::new(Listener)))?;
    listener.bind(address).wait()?;
    // Events of connections, enabled on the listener, are on in every socket that it accepts.
    listener.enable(EventMask::ACCEPT | EventMask::RECEIVE | EventMask::DISCONNECT)?;
    println!("listening on {}", listener.local_address()?);

    ctrl_c.wait();
    client.close_all();
    Ok(())
}
