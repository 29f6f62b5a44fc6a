//! A UDP server for both address families that says where each datagram was received, and how far it came: its local address,
//! the interface, and what is left of its hop limit.
//!
//! For those who know WSK: IPV6_V6ONLY off makes the socket dual-mode; IP_PKTINFO and IP_HOPLIMIT ask about packets of IPv4, their
//! IPV6 namesakes about the others; the answers are the control data of each WSK_DATAGRAM_INDICATION (C-42).
#![forbid(unsafe_code)]

use std::sync::Arc;

use examples::{CtrlC, Result};
use wsk::option::{PacketInfo4, PacketInfo6, ReceiveHopLimit4, ReceiveHopLimit6, V6Only};
use wsk::{
    ClientDispatch, DatagramEvents, DatagramSocket, Datagrams, EventMask, Family, Provider, ReceiveFrom, Registration,
    WaitTimeout,
};

struct Says;

impl DatagramEvents for Says {
    fn receive_from(&self, _: &DatagramSocket, datagrams: Datagrams) -> ReceiveFrom {
        for datagram in datagrams {
            let source = datagram.source(); // an IPv4 sender is ::ffff:a.b.c.d here (C-41)
            let length = datagram.bytes().len();
            // Control data is not guaranteed: a host that is short of memory may leave it out (E-83).
            match (datagram.control().packet_info(), datagram.control().hop_limit()) {
                (Some((local, interface)), Some(hops)) => {
                    println!("{length} bytes from {source} to {local}, interface {interface}, hop limit {hops}");
                }
                _ => println!("{length} bytes from {source}"),
            }
        }
        ReceiveFrom::Accepted
    }
}

fn main() -> Result<()> {
    let ctrl_c = CtrlC::watch()?;
    let provider = Provider::start()?;
    let registration = Registration::register(&provider, ClientDispatch::default());
    let client = registration.capture(WaitTimeout::NoWait)?;

    let port: u16 = match std::env::args().nth(1) {
        Some(text) => text.parse().map_err(|_| format!("{text} is not a port: give a number such as 7000"))?,
        None => 0,
    };
    let socket = client.datagram_socket(Family::V6, Some(Arc::new(Says)))?;
    socket.set(V6Only(false))?; // before bind
    socket.set(PacketInfo4(true))?;
    socket.set(PacketInfo6(true))?;
    socket.set(ReceiveHopLimit4(true))?;
    socket.set(ReceiveHopLimit6(true))?;
    socket.bind(format!("[::]:{port}").parse()?).wait()?;
    socket.enable(EventMask::RECEIVE_FROM)?;
    println!("listening on {}", socket.local_address()?);

    ctrl_c.wait();
    client.close_all();
    Ok(())
}
