//! F-243, cell by cell: what each call gets in each state of a connection; and the same for a stream socket in that role
//! (F-244). The column Silent needs an option that this API does not have.

use std::any::Any;
use std::net::SocketAddr;

use crate::support::loopback::BLACK_HOLE;
use crate::support::{Arm, Conn, Finish, World, arms, status_of, v4};
use wsk::{ConnectionSocket, DisconnectFlags, EventMask, Family, FromCompletion, Memory, NtStatus, Request};

arms!(all: f243_connection, f244_stream_as_connection);

/// A cell: the call goes ahead (it succeeds, or waits), or gets this status at once.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    Go,
    At(NtStatus),
}

const GO: Cell = Cell::Go;
const OK: Cell = Cell::At(NtStatus::SUCCESS);
const IDS: Cell = Cell::At(NtStatus::INVALID_DEVICE_STATE);
const ACT: Cell = Cell::At(NtStatus::CONNECTION_ACTIVE);
const RST: Cell = Cell::At(NtStatus::CONNECTION_RESET);
const ABR: Cell = Cell::At(NtStatus::CONNECTION_ABORTED);
const FC: Cell = Cell::At(NtStatus::FILE_FORCED_CLOSED);

const STATES: [&str; 10] = [
    "Created",
    "Bound",
    "Connecting",
    "Connected",
    "SendClosed",
    "RecvClosed",
    "Disconnected",
    "Reset",
    "Aborted",
    "Broken",
];

#[rustfmt::skip]
const TABLE: [(&str, [Cell; 10]); 11] = [
    //                       Created Bound Connecting Connected SendClosed RecvClosed Disconn. Reset Aborted Broken
    ("Bind",                 [GO,    IDS,  IDS,       IDS,      IDS,       IDS,       IDS,     IDS,  IDS,    FC]),
    ("Connect",              [IDS,   GO,   IDS,       ACT,      ACT,       ACT,       IDS,     IDS,  IDS,    FC]),
    ("Send",                 [IDS,   IDS,  IDS,       GO,       IDS,       GO,        IDS,     RST,  ABR,    FC]),
    ("Receive",              [IDS,   IDS,  IDS,       GO,       GO,        OK,        OK,      RST,  ABR,    FC]),
    ("Disconnect graceful",  [IDS,   IDS,  IDS,       GO,       IDS,       GO,        IDS,     RST,  ABR,    FC]),
    ("Disconnect abortive",  [IDS,   IDS,  IDS,       GO,       GO,        GO,        OK,      OK,   OK,     FC]),
    ("GetLocalAddress",      [IDS,   OK,   OK,        OK,       OK,        OK,        OK,      OK,   OK,     FC]),
    ("GetRemoteAddress",     [IDS,   IDS,  IDS,       OK,       OK,        OK,        OK,      OK,   OK,     FC]),
    ("Enable callbacks",     [IDS,   IDS,  IDS,       OK,       OK,        OK,        OK,      OK,   OK,     FC]),
    ("Disable callbacks",    [IDS,   IDS,  IDS,       OK,       OK,        OK,        OK,      OK,   OK,     FC]),
    ("CloseSocket",          [GO,    GO,   GO,        GO,       GO,        GO,        GO,      GO,   GO,     GO]),
];

/// A socket in a state, and what must live as long.
fn socket(world: &World, state: &str, stream: bool) -> (ConnectionSocket, Box<dyn Any>) {
    let (events, _seen) = Conn::recorder();
    let (socket, owner): (ConnectionSocket, Box<dyn Any>) = if stream {
        let stream = world.client.stream_socket(Family::V4, None, Some(events)).unwrap();
        (stream.as_connection(ConnectionSocket::reference), Box::new(stream))
    } else {
        let socket = world.client.connection_socket(Family::V4, Some(events)).unwrap();
        (socket.reference(), Box::new(socket))
    };
    if state == "Created" {
        return (socket, owner);
    }
    socket.bind(v4()).ok();
    if state == "Bound" {
        return (socket, owner);
    }
    if state == "Connecting" {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 0).unwrap(); // full after one connection
        let full = listener.local_addr().unwrap();
        let filler = std::net::TcpStream::connect(full).unwrap();
        let silent = if world.arm.is_host() { full } else { SocketAddr::new(BLACK_HOLE, 9) };
        let connect = socket.connect(silent);
        return (socket, Box::new((connect, listener, filler, owner)));
    }
    let listener = world.peer_listener();
    socket.connect(listener.address()).ok();
    let peer = listener.accept();
    match state {
        "Connected" => {}
        "SendClosed" => drop(socket.disconnect().ok()),
        "RecvClosed" | "Disconnected" => {
            peer.end();
            assert_eq!(socket.receive(vec![0; 1]).ok().len(), 0);
            if state == "Disconnected" {
                socket.disconnect().ok();
            }
        }
        "Reset" => {
            peer.reset();
            assert_eq!(socket.receive(vec![0; 1]).status(), NtStatus::CONNECTION_RESET);
            return (socket, owner);
        }
        "Aborted" => drop(socket.disconnect_with(Memory::None, DisconnectFlags::ABORTIVE).ok()),
        "Broken" => world.provider.break_sockets(),
        other => panic!("no state {other}"),
    }
    (socket, Box::new((peer, owner)))
}

/// The answer of a request: what it has got by now, or that it goes ahead.
fn answer<T: FromCompletion>(world: &World, mut request: Request<T>, expected: Cell) -> Cell {
    match expected {
        // Refusals and trivial successes may be completed by the pump: wait for them.
        Cell::At(_) => Cell::At(request.status()),
        Cell::Go => {
            world.settle();
            match request.wait_timeout(std::time::Duration::ZERO) {
                None | Some(Ok(_)) => Cell::Go,
                Some(Err(error)) => Cell::At(error.status()),
            }
        }
    }
}

fn call(world: &World, socket: &ConnectionSocket, name: &str, expected: Cell) -> Cell {
    let listener = world.peer_listener();
    match name {
        "Bind" => answer(world, socket.bind(v4()), expected),
        "Connect" => answer(world, socket.connect(listener.address()), expected),
        "Send" => answer(world, socket.send(&b"x"[..]), expected),
        "Receive" => answer(world, socket.receive(vec![0; 1]), expected),
        "Disconnect graceful" => answer(world, socket.disconnect(), expected),
        "Disconnect abortive" => {
            answer(world, socket.disconnect_with(Memory::None, DisconnectFlags::ABORTIVE), expected)
        }
        "GetLocalAddress" => Cell::At(status_of(socket.local_address())),
        "GetRemoteAddress" => Cell::At(status_of(socket.remote_address())),
        "Enable callbacks" => Cell::At(status_of(socket.enable(EventMask::RECEIVE | EventMask::DISCONNECT))),
        "Disable callbacks" => Cell::At(socket.disable_without_request(EventMask::SEND_BACKLOG)),
        "CloseSocket" => match socket.close().status() {
            NtStatus::SUCCESS => Cell::Go,
            status => Cell::At(status),
        },
        other => panic!("no call {other}"),
    }
}

/// All cells; every difference is listed, not only the first.
fn check(arm: Arm, stream: bool) {
    let world = arm.world();
    let mut wrong = Vec::new();
    for (name, row) in TABLE {
        for (state, expected) in STATES.into_iter().zip(row) {
            let (socket, _alive) = socket(&world, state, stream);
            let got = call(&world, &socket, name, expected);
            if got != expected {
                wrong.push(format!("{name} in {state}: {got:?}, not {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

// E-11, F-83, F-120
fn f243_connection(arm: Arm) {
    check(arm, false);
}

fn f244_stream_as_connection(arm: Arm) {
    check(arm, true);
}
