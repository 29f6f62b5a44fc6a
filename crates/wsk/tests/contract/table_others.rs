//! F-240, F-241, F-242 and the stream socket's own rows of F-244, cell by cell.

use std::sync::Arc;

use crate::support::{Acceptor, Arm, Dgram, Finish, World, arms, status_of, v4};
use wsk::{EventMask, Family, InspectAction, InspectId, NtStatus};

arms!(all: f240_basic, f241_listen, f242_datagram, f244_stream, f244_stream_listening,
      f81_a_broken_stream_socket);

const OK: NtStatus = NtStatus::SUCCESS;
const IDS: NtStatus = NtStatus::INVALID_DEVICE_STATE;
const FC: NtStatus = NtStatus::FILE_FORCED_CLOSED;
const BAD: NtStatus = NtStatus::INVALID_PARAMETER;
const NOT_FOUND: NtStatus = NtStatus::NOT_FOUND;
/// Not refused: it waits for something to happen.
const WAITS: NtStatus = NtStatus::PENDING;

/// The status of a request that finishes without anything else happening, or WAITS.
fn at_once<T: wsk::FromCompletion>(world: &World, mut request: wsk::Request<T>) -> NtStatus {
    world.settle();
    match request.wait_timeout(std::time::Duration::ZERO) {
        Some(result) => status_of(result),
        None => WAITS,
    }
}

/// Compares a column; every difference is listed.
fn compare(wrong: &mut Vec<String>, state: &str, cells: &[(&str, NtStatus, NtStatus)]) {
    for (call, got, expected) in cells {
        if got != expected {
            wrong.push(format!("{call} in {state}: {got}, not {expected}"));
        }
    }
}

fn f240_basic(arm: Arm) {
    let world = arm.world();
    let basic = world.client.basic_socket(Family::V4, wsk::Protocol::Tcp).unwrap();
    for event in [EventMask::ACCEPT, EventMask::RECEIVE, EventMask::RECEIVE_FROM] {
        assert_eq!(status_of(basic.enable(event)), BAD); // E-10
        assert_eq!(basic.disable(event).status(), BAD);
    }
    basic.close().ok();
    let broken = world.client.basic_socket(Family::V4, wsk::Protocol::Udp).unwrap();
    world.provider.break_sockets();
    broken.close().ok();
}

// E-11, F-83, F-120
fn f241_listen(arm: Arm) {
    let world = arm.world();
    let mut wrong = Vec::new();
    let unknown = InspectId { key: 9, serial: 9 };
    for conditional in [false, true] {
        let inspect = if conditional { NOT_FOUND } else { IDS };
        for (state, expected) in [
            //           Bind Accept InspectComplete GetLocalAddress Enable CloseSocket
            ("Created", [OK, IDS, IDS, IDS, IDS, OK]),
            ("Listening", [IDS, WAITS, inspect, OK, OK, OK]),
            ("Broken", [FC, FC, FC, FC, FC, OK]),
        ] {
            let make = || {
                let acceptor = Arc::new(Acceptor::new(None).0);
                let listener = world.client.listen_socket(Family::V4, Some(acceptor)).unwrap();
                listener.set(wsk::option::ConditionalAccept(conditional)).unwrap();
                if state != "Created" {
                    listener.bind(v4()).ok();
                }
                if state == "Broken" {
                    world.provider.break_sockets();
                }
                listener
            };
            let got = [
                ("Bind", make().bind(v4()).status()),
                ("Accept", at_once(&world, make().accept())),
                ("InspectComplete", make().inspect_complete(unknown, InspectAction::Accept).status()),
                ("GetLocalAddress", status_of(make().local_address())),
                ("Enable", status_of(make().enable(EventMask::ACCEPT))),
                ("CloseSocket", make().close().status()),
            ];
            let cells: Vec<_> =
                got.into_iter().zip(expected).map(|((call, got), expected)| (call, got, expected)).collect();
            compare(&mut wrong, &format!("{state} (conditional: {conditional})"), &cells);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

// E-11, F-83, F-120
fn f242_datagram(arm: Arm) {
    let world = arm.world();
    let mut wrong = Vec::new();
    let to = world.peer_udp(v4());
    for (state, expected) in [
        //                 Bind SendTo Messages NoAddress ReceiveFrom SetRemote SetSendTo Enable GetLocal Close
        ("Created", [OK, IDS, IDS, IDS, IDS, IDS, IDS, IDS, IDS, OK]),
        ("Bound", [IDS, OK, OK, BAD, WAITS, OK, OK, OK, OK, OK]),
        ("Bound + fixed remote", [IDS, OK, OK, OK, WAITS, OK, OK, OK, OK, OK]),
        ("Bound + fixed sendto", [IDS, OK, OK, OK, WAITS, OK, OK, OK, OK, OK]),
        ("Broken", [FC, FC, FC, FC, FC, FC, FC, FC, FC, OK]),
    ] {
        let make = || {
            let socket = world.client.datagram_socket(Family::V4, Some(Dgram::recorder().0)).unwrap();
            if state != "Created" {
                socket.bind(v4()).ok();
            }
            match state {
                "Bound + fixed remote" => socket.set_remote_address(Some(to.address())).unwrap(),
                "Bound + fixed sendto" => socket.set_send_to_address(Some(to.address())).unwrap(),
                "Broken" => world.provider.break_sockets(),
                _ => {}
            }
            socket
        };
        let got = [
            ("Bind", make().bind(v4()).status()),
            ("SendTo", make().send_to(&b"x"[..], to.address()).status()),
            ("SendMessages", make().send_messages([&b"x"[..], b"y"], Some(to.address())).status()),
            ("SendTo without address", make().send(&b"x"[..]).status()),
            ("ReceiveFrom", at_once(&world, make().receive_from(vec![0; 8]))),
            ("SET_REMOTE_ADDRESS", status_of(make().set_remote_address(Some(to.address())))),
            ("SET_SENDTO_ADDRESS", status_of(make().set_send_to_address(None))),
            ("Enable", status_of(make().enable(EventMask::RECEIVE_FROM))),
            ("GetLocalAddress", status_of(make().local_address())),
            ("CloseSocket", make().close().status()),
        ];
        let cells: Vec<_> =
            got.into_iter().zip(expected).map(|((call, got), expected)| (call, got, expected)).collect();
        compare(&mut wrong, state, &cells);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A column of F-244: a state, and the statuses of the calls in [`stream_columns`].
type StreamColumn = (&'static str, [NtStatus; 12]);

/// The columns before a stream socket has a role.
fn f244_stream(arm: Arm) {
    stream_columns(
        arm,
        &[
            //           Bind Listen Accept Connect Send Receive Disconn. GetRemote GetLocal EnableAcc. EnableRec. Close
            ("Created", [OK, IDS, IDS, IDS, IDS, IDS, IDS, IDS, IDS, IDS, IDS, OK]),
            ("Bound", [IDS, OK, IDS, OK, IDS, IDS, IDS, IDS, OK, IDS, IDS, OK]),
        ],
    );
}

/// F-81: no longer functional, only close is useful.
fn f81_a_broken_stream_socket(arm: Arm) {
    stream_columns(arm, &[("Broken", [FC, FC, FC, FC, FC, FC, FC, FC, FC, FC, FC, OK])]);
}

fn stream_columns(arm: Arm, columns: &[StreamColumn]) {
    let world = arm.world();
    let mut wrong = Vec::new();
    let target = world.peer_listener();
    for (state, expected) in columns.iter().copied() {
        let make = || {
            let acceptor = Arc::new(Acceptor::new(None).0);
            let events = crate::support::Conn::recorder().0;
            let stream = world.client.stream_socket(Family::V4, Some(acceptor), Some(events)).unwrap();
            if state == "Bound" {
                stream.bind(v4()).ok();
            }
            if state == "Broken" {
                world.provider.break_sockets();
            }
            stream
        };
        let as_connection = |call: &dyn Fn(&wsk::ConnectionSocket) -> NtStatus| make().as_connection(call);
        let got = [
            ("Bind", make().bind(v4()).status()),
            ("Listen", make().listen().status()),
            ("Accept", make().accept().status()),
            ("Connect", make().connect(target.address()).status()),
            ("Send", as_connection(&|socket| socket.send(&b"x"[..]).status())),
            ("Receive", as_connection(&|socket| socket.receive(vec![0; 8]).status())),
            ("Disconnect", as_connection(&|socket| socket.disconnect().status())),
            ("GetRemoteAddress", as_connection(&|socket| status_of(socket.remote_address()))),
            ("GetLocalAddress", status_of(make().local_address())),
            ("Enable AcceptEvent", status_of(make().enable(EventMask::ACCEPT))),
            ("Enable Receive", status_of(make().enable(EventMask::RECEIVE))),
            ("CloseSocket", make().close().status()),
        ];
        let cells: Vec<_> =
            got.into_iter().zip(expected).map(|((call, got), expected)| (call, got, expected)).collect();
        compare(&mut wrong, state, &cells);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The column Listening.
fn f244_stream_listening(arm: Arm) {
    let world = arm.world();
    let target = world.peer_listener();
    let stream = world.client.stream_socket(Family::V4, Some(Arc::new(Acceptor::new(None).0)), None).unwrap();
    stream.bind(v4()).ok();
    stream.listen().ok();
    let mut wrong = Vec::new();
    let as_connection = |call: &dyn Fn(&wsk::ConnectionSocket) -> NtStatus| stream.as_connection(call);
    let cells = [
        ("Bind", stream.bind(v4()).status(), IDS),
        ("Listen", stream.listen().status(), IDS),
        ("Accept", at_once(&world, stream.accept()), WAITS),
        ("Connect", stream.connect(target.address()).status(), IDS),
        ("Send", as_connection(&|socket| socket.send(&b"x"[..]).status()), IDS),
        ("Receive", as_connection(&|socket| socket.receive(vec![0; 8]).status()), IDS),
        ("Disconnect", as_connection(&|socket| socket.disconnect().status()), IDS),
        ("GetRemoteAddress", as_connection(&|socket| status_of(socket.remote_address())), IDS),
        ("GetLocalAddress", status_of(stream.local_address()), OK),
        ("Enable AcceptEvent", status_of(stream.enable(EventMask::ACCEPT)), OK),
        ("Enable Receive", status_of(stream.enable(EventMask::RECEIVE)), OK),
        ("SO_CONDITIONAL_ACCEPT", status_of(stream.set(wsk::option::ConditionalAccept(true))), IDS),
        ("CloseSocket", stream.close().status(), OK),
    ];
    compare(&mut wrong, "Listening", &cells);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
