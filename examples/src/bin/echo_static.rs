//! A TCP echo server with static event callbacks: switched on once, before the client has any socket, for all it will have.
//! They cannot be switched off again, so the subsystem has nothing to look up when it calls them: the fastest way.
//!
//! For those who know WSK: this is the client control code WSK_SET_STATIC_EVENT_CALLBACKS. Compare `echo_callbacks`.
#![forbid(unsafe_code)]

use std::sync::Arc;

use examples::{CtrlC, Result, address};
use wsk::{
    ClientDispatch, ConnectionEvents, ConnectionSocket, EventFlags, EventMask, Family, Incoming, Indication,
    ListenEvents, ListenSocket, Provider, Receive, Registration, WaitTimeout,
};

/// Callbacks of the listener, and of the connections that it accepts.
struct Echo;

impl ListenEvents for Echo {
    fn accept(&self, _listener: &ListenSocket, incoming: Incoming<'_>) {
        incoming.accept(Some(Arc::new(Echo))).leave_open();
    }
}

impl ConnectionEvents for Echo {
    fn receive(&self, socket: &ConnectionSocket, data: Indication) -> Receive {
        socket.send(data).detach(); // the subsystem's buffers, sent back as they are
        Receive::Accepted
    }

    fn disconnect(&self, socket: &ConnectionSocket, flags: EventFlags) {
        if flags.contains(EventFlags::ABORTIVE) {
            socket.close().detach();
            return;
        }
        socket.disconnect_and_close();
    }
}

fn main() -> Result<()> {
    let ctrl_c = CtrlC::watch()?;
    let provider = Provider::start()?;
    let registration = Registration::register(&provider, ClientDispatch::default());
    let client = registration.capture(WaitTimeout::NoWait)?;
    client.set_static_event_callbacks(EventMask::ACCEPT | EventMask::RECEIVE | EventMask::DISCONNECT)?;

    // With its bind the socket listens, and since the events are on already, connections may come right away.
    let address = address()?;
    let listener = client.listen_socket(Family::of(&address), Some(Arc::new(Echo)))?;
    listener.bind(address).wait()?;
    println!("listening on {}", listener.local_address()?);

    ctrl_c.wait();
    client.close_all();
    Ok(())
}
