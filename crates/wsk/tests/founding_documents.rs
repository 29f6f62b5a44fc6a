//! Three things that Microsoft's introductions to Winsock Kernel show in C, in Rust and running.

mod support;

use std::sync::{Arc, mpsc};

use support::{Arm, Finish, PATIENCE, arms, v4};
use wsk::{
    ConnectionEvents, ConnectionSocket, DatagramEvents, DatagramSocket, Datagrams, EventFlags, EventMask, Family,
    Indication, Receive, ReceiveFrom,
};

arms! {
    all: enabling_disconnect_and_receive_callbacks_on_a_connected_socket, disabling_a_callback_with_a_request,
        static_callbacks_before_any_socket_exists;
}

/// The client's callbacks: WskReceiveEvent, WskDisconnectEvent, WskReceiveFromEvent.
struct Client {
    log: mpsc::Sender<String>,
    /// What the receive callback waits for before it returns.
    hold: Option<support::Gate>,
}

impl Client {
    fn new(hold: Option<support::Gate>) -> (Arc<Self>, mpsc::Receiver<String>) {
        let (log, lines) = mpsc::channel();
        (Arc::new(Self { log, hold }), lines)
    }
}

impl ConnectionEvents for Client {
    fn receive(&self, _: &ConnectionSocket, data: Indication) -> Receive {
        self.log.send(format!("received {}", String::from_utf8_lossy(&data.to_vec()))).unwrap();
        if let Some(gate) = &self.hold {
            gate.pass();
        }
        Receive::Accepted
    }

    fn disconnect(&self, _: &ConnectionSocket, flags: EventFlags) {
        self.log.send(format!("disconnected, abortive: {}", flags.contains(EventFlags::ABORTIVE))).unwrap();
    }
}

impl DatagramEvents for Client {
    fn receive_from(&self, _: &DatagramSocket, datagrams: Datagrams) -> ReceiveFrom {
        for (bytes, _source) in datagrams.iter() {
            self.log.send(format!("datagram {}", String::from_utf8_lossy(bytes))).unwrap();
        }
        ReceiveFrom::Accepted
    }
}

#[track_caller]
fn expect(lines: &mpsc::Receiver<String>, line: &str) {
    assert_eq!(lines.recv_timeout(PATIENCE).expect("a callback"), line);
}

/// ```c
/// WSK_EVENT_CALLBACK_CONTROL EventCallbackControl;
/// EventCallbackControl.NpiId = &NPI_WSK_INTERFACE_ID;
/// EventCallbackControl.EventMask = WSK_EVENT_DISCONNECT | WSK_EVENT_RECEIVE;
/// Status = Dispatch->WskControlSocket(Socket, WskSetOption, SO_WSK_EVENT_CALLBACK, SOL_SOCKET, ...);
/// ```
fn enabling_disconnect_and_receive_callbacks_on_a_connected_socket(arm: Arm) {
    let world = arm.world();
    let (client, lines) = Client::new(None);
    let (socket, peer) = world.connected(Some(client));
    socket.enable(EventMask::DISCONNECT | EventMask::RECEIVE).unwrap();
    peer.send(b"hello");
    expect(&lines, "received hello");
    peer.end();
    expect(&lines, "disconnected, abortive: false");
}

/// ```c
/// EventCallbackControl.EventMask = WSK_EVENT_RECEIVE | WSK_EVENT_DISABLE;
/// Status = Dispatch->WskControlSocket(Socket, WskSetOption, SO_WSK_EVENT_CALLBACK, ..., Irp);
/// // STATUS_PENDING: the IRP completes when the callback in progress has returned
/// ```
fn disabling_a_callback_with_a_request(arm: Arm) {
    let world = arm.world();
    let gate = support::Gate::new();
    let (client, lines) = Client::new(Some(gate.clone()));
    let (socket, peer) = world.connected(Some(client));
    socket.enable(EventMask::DISCONNECT | EventMask::RECEIVE).unwrap();
    peer.send(b"hello");
    expect(&lines, "received hello"); // and the callback is still running
    let (completed, completion) = mpsc::channel();
    let disable = socket.disable(EventMask::RECEIVE);
    assert!(!disable.is_finished());
    disable.on_complete(move |result| completed.send(result.is_ok()).unwrap());
    gate.open();
    assert_eq!(completion.recv_timeout(PATIENCE), Ok(true));
    // Receiving by function goes on, and the other callback is still enabled.
    peer.send(b"by function");
    peer.end();
    assert_eq!(socket.receive(vec![0; 16]).ok().bytes(), b"by function");
    assert_eq!(socket.receive(vec![0; 16]).ok().len(), 0);
    expect(&lines, "disconnected, abortive: false");
}

/// ```c
/// EventCallbackControl.EventMask = WSK_EVENT_RECEIVE | WSK_EVENT_RECEIVE_FROM;
/// Status = WskProviderNpi->Dispatch->WskControlClient(Client, WSK_SET_STATIC_EVENT_CALLBACKS, ...);
/// ```
fn static_callbacks_before_any_socket_exists(arm: Arm) {
    let world = arm.world();
    world.client.set_static_event_callbacks(EventMask::RECEIVE | EventMask::RECEIVE_FROM).unwrap();
    let (client, lines) = Client::new(None);
    let (_connection, peer) = world.connected(Some(client.clone()));
    peer.send(b"stream");
    expect(&lines, "received stream");
    let datagrams = world.client.datagram_socket(Family::V4, Some(client)).unwrap();
    datagrams.bind(v4()).ok();
    world.peer_udp(v4()).send(b"one", datagrams.local_address().unwrap());
    expect(&lines, "datagram one");
}
