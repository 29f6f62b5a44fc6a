//! A UDP echo server with an event callback. Datagrams come in lists, as many as have arrived.
//!
//! For those who know WSK: `Echo` is a WSK_CLIENT_DATAGRAM_DISPATCH; the list is the chain of WSK_DATAGRAM_INDICATION, and
//! each datagram that is kept is one that will be given to WskRelease.
#![forbid(unsafe_code)]

use std::sync::Arc;

use examples::{CtrlC, Result, address};
use wsk::{
    ClientDispatch, DatagramEvents, DatagramSocket, Datagrams, EventMask, Family, Provider, ReceiveFrom, Registration,
    WaitTimeout,
};

struct Echo;

impl DatagramEvents for Echo {
    fn receive_from(&self, socket: &DatagramSocket, datagrams: Datagrams) -> ReceiveFrom {
        for datagram in datagrams {
            // The buffer that it was received in is sent back, and released when that is done.
            let source = datagram.source();
            socket.send_to(datagram, source).detach();
        }
        ReceiveFrom::Accepted
    }
}

fn main() -> Result<()> {
    let ctrl_c = CtrlC::watch()?;
    let provider = Provider::start()?;
    let registration = Registration::register(&provider, ClientDispatch::default());
    let client = registration.capture(WaitTimeout::NoWait)?;

    let address = address()?;
    let socket = client.datagram_socket(Family::of(&address), Some(Arc::new(Echo)))?;
    socket.bind(address).wait()?;
    socket.enable(EventMask::RECEIVE_FROM)?;
    println!("listening on {}", socket.local_address()?);

    ctrl_c.wait();
    client.close_all();
    Ok(())
}
