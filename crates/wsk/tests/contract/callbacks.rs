//! Promise 5: no lock is held while client code runs. A callback may call any function, and waiting in one is refused.

use std::future::Future;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};

use crate::support::{Acceptor, Arm, Conn, Dgram, Finish, PATIENCE, World, arms, status_of, tell, v4};
use wsk::{
    ConnectionSocket, DisconnectFlags, EventMask, Family, InspectAction, Memory, NtStatus, Receive, ReceiveFrom,
    Request, Transfer,
};

arms! {
    all: e3_waiting_is_refused_in_every_callback, e3_waiting_is_refused_in_completions, e3_polling_is_refused,
        e3_what_has_completed_can_be_taken, promise5_any_function_in_any_callback, promise5_other_sockets_in_a_callback,
        e5_callbacks_never_run_inside_a_call, a_capture_that_would_wait_is_refused, a_panicking_callback_harms_nobody;
}

/// Waits for a receive that nothing is going to complete; the receive is let go afterwards.
fn wait(socket: &ConnectionSocket) -> NtStatus {
    let mut request = socket.receive(vec![0; 8]);
    let status = status_of(request.wait());
    assert_eq!(request.wait_timeout(PATIENCE).map(status_of), Some(NtStatus::POSSIBLE_DEADLOCK));
    assert!(!request.is_finished(), "it goes on");
    status
}

/// Somewhere to wait: a connected socket on which nothing arrives.
fn idle(world: &World) -> (Arc<ConnectionSocket>, crate::support::Peer) {
    let (socket, peer) = world.accepted(None);
    (Arc::new(socket), peer)
}

fn e3_waiting_is_refused_in_every_callback(arm: Arm) {
    let world = arm.world();
    let (idle, _peer) = idle(&world);
    let (told, outcome) = mpsc::channel();
    let tell = move |what: &'static str| {
        let (told, idle) = (told.clone(), idle.clone());
        move || tell(&told, (what, wait(&idle)))
    };
    let (in_receive, in_disconnect, in_dead) = (tell("receive"), tell("disconnect"), tell("dead"));
    let dying = Arc::new(Conn::new().0.on_dead(move |_| in_dead()));
    let conn = Conn::new().0.on_receive(move |_, _| {
        in_receive();
        Receive::Accepted
    });
    let conn = Arc::new(conn.on_disconnect(move |_| in_disconnect()));
    let (in_accept, in_inspect) = (tell("accept"), tell("inspect"));
    let (acceptor, sockets, _) = Acceptor::offering(move |_, incoming| {
        in_accept();
        Some(incoming.accept(Some(conn.clone())))
    });
    let acceptor = acceptor.on_inspect(move |_, _| {
        in_inspect();
        InspectAction::Accept
    });
    let listener = world.client.listen_socket(Family::V4, Some(Arc::new(acceptor))).unwrap();
    listener.set(wsk::option::ConditionalAccept(true)).unwrap();
    listener.bind(v4()).ok();
    listener.enable(EventMask::ACCEPT | EventMask::RECEIVE | EventMask::DISCONNECT).unwrap();
    let expect = |what| assert_eq!(outcome.recv_timeout(PATIENCE).unwrap(), (what, NtStatus::POSSIBLE_DEADLOCK));
    let peer = world.peer_connect(listener.local_address().unwrap());
    expect("inspect");
    expect("accept");
    peer.send(b"x");
    expect("receive");
    peer.end();
    expect("disconnect");
    let socket = sockets.next();
    socket.close().ok();

    let in_datagrams = tell("receive from");
    let (dgram, _seen) = Dgram::answering(move |_, _| {
        in_datagrams();
        ReceiveFrom::Accepted
    });
    let dgram = world.client.datagram_socket(Family::V4, Some(dgram)).unwrap();
    dgram.bind(v4()).ok();
    dgram.enable(EventMask::RECEIVE_FROM).unwrap();
    world.peer_udp(v4()).send(b"x", dgram.local_address().unwrap());
    expect("receive from");

    // WskReceiveEvent without data: a reset while DISCONNECT is off (E-79).
    let (socket, peer) = world.accepted(Some(dying));
    socket.enable(EventMask::RECEIVE).unwrap();
    peer.reset();
    expect("dead");
}

fn e3_waiting_is_refused_in_completions(arm: Arm) {
    let world = arm.world();
    let (idle, _peer) = idle(&world);
    let (socket, peer) = world.accepted(None);
    let (told, outcome) = mpsc::channel();
    socket.receive(vec![0; 8]).on_complete(move |result| {
        tell(&told, (result.map(|transfer| transfer.len()), wait(&idle)));
    });
    peer.send(b"abc");
    let (received, waited) = outcome.recv_timeout(PATIENCE).unwrap();
    assert_eq!((received.unwrap(), waited), (3, NtStatus::POSSIBLE_DEADLOCK));
}

fn e3_polling_is_refused(arm: Arm) {
    let world = arm.world();
    let (idle, peer) = idle(&world);
    let (told, outcome) = mpsc::channel();
    let polled = idle.clone();
    let (conn, _seen) = Conn::answering(move |_, _| {
        let mut request = Box::pin(polled.receive(vec![0; 16]));
        let mut context = Context::from_waker(Waker::noop());
        let status = match request.as_mut().poll(&mut context) {
            Poll::Ready(result) => status_of(result),
            Poll::Pending => NtStatus::PENDING,
        };
        let request: Request<Transfer> = *std::pin::Pin::into_inner(request);
        told.send((status, request)).unwrap();
        Receive::Accepted
    });
    let (socket, trigger) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    trigger.send(b"x");
    let (status, request) = outcome.recv_timeout(PATIENCE).unwrap();
    assert_eq!(status, NtStatus::POSSIBLE_DEADLOCK);
    peer.send(b"it went on");
    assert_eq!(request.ok().bytes(), b"it went on");
}

fn e3_what_has_completed_can_be_taken(arm: Arm) {
    let world = arm.world();
    let (told, outcome) = mpsc::channel();
    let (conn, _seen) = Conn::answering(move |socket, _| {
        told.send((socket.receive(Vec::new()).is_finished(), status_of(socket.bind(v4()).wait()))).unwrap();
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    peer.send(b"x");
    // The zero-length receive waits for the callback (E-115); the refused bind is there at once.
    assert_eq!(outcome.recv_timeout(PATIENCE).unwrap(), (false, NtStatus::INVALID_DEVICE_STATE));
}

fn promise5_any_function_in_any_callback(arm: Arm) {
    let world = arm.world();
    let (told, outcome) = mpsc::channel();
    let (conn, seen) = Conn::answering(move |socket, data| {
        socket.send(&b"sent "[..]).detach();
        socket.send(data).detach();
        socket.receive(vec![0; 8]).cancel();
        let _ = (socket.local_address().unwrap(), socket.remote_address().unwrap(), socket.requests_queued());
        let _ = (socket.receive_backlog(), socket.ideal_send_backlog(), socket.inspect_id().is_err());
        socket.set(wsk::option::KeepAlive(true)).unwrap();
        socket.enable(EventMask::DISCONNECT | EventMask::RECEIVE).unwrap();
        let status = socket.disable_without_request(EventMask::DISCONNECT);
        socket.connect(v4()).detach();
        socket.disconnect().detach();
        told.send(status).unwrap();
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    peer.send(b"data");
    assert_eq!(outcome.recv_timeout(PATIENCE), Ok(NtStatus::SUCCESS));
    assert_eq!(peer.receive_to_end(), (b"sent data".to_vec(), true));
    assert_eq!(seen.data(4), b"data");
}

/// Sockets of all kinds are made, used and closed inside a callback.
fn promise5_other_sockets_in_a_callback(arm: Arm) {
    let world = arm.world();
    let second = crate::support::arm::Attached::new(arm.provider());
    let far = world.peer_listener();
    let address = far.address();
    let (told, outcome) = mpsc::channel();
    let other = Arc::new(second);
    let maker = other.clone();
    let (conn, _seen) = Conn::answering(move |_, _| {
        let client = &maker.client;
        let listener = client.listen_socket(Family::V4, None).unwrap();
        let bound = status_of(listener.bind(v4()).wait()); // finishes at once
        listener.accept().detach();
        let dgram = client.datagram_socket(Family::V4, None).unwrap();
        dgram.bind(v4()).detach();
        dgram.send_to(&b"x"[..], dgram.local_address().unwrap()).detach();
        dgram.receive_from(vec![0; 8]).detach();
        let stream = client.stream_socket(Family::V4, None, None).unwrap();
        stream.bind(v4()).detach();
        stream.listen().detach();
        client.basic_socket(Family::V4, wsk::Protocol::Udp).unwrap().close().detach();
        client.socket_connect(v4(), address, None).detach();
        let connection = client.connection_socket(Family::V4, None).unwrap();
        connection.disconnect_with(Memory::None, DisconnectFlags::ABORTIVE).detach();
        client.close_all();
        told.send(bound).unwrap();
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    for _ in 0..10 {
        peer.send(b"x");
        assert_eq!(outcome.recv_timeout(PATIENCE), Ok(NtStatus::SUCCESS));
    }
    socket.close().ok();
}

/// What waits is indicated as soon as the callback is enabled, but by another thread.
fn e5_callbacks_never_run_inside_a_call(arm: Arm) {
    let world = arm.world();
    let (told, outcome) = mpsc::channel();
    let (conn, _seen) = Conn::answering(move |_, _| {
        tell(&told, std::thread::current().id());
        Receive::Accepted
    });
    for _ in 0..50 {
        let (socket, peer) = world.accepted(Some(conn.clone()));
        peer.send(b"x");
        world.settle();
        socket.enable(EventMask::RECEIVE).unwrap();
        assert_ne!(outcome.recv_timeout(PATIENCE).unwrap(), std::thread::current().id());
    }
}

fn a_capture_that_would_wait_is_refused(arm: Arm) {
    let world = arm.world();
    let (absent, _) = arm.provider_with(|builder| builder.unavailable());
    let registration = wsk::Registration::register(&absent, wsk::ClientDispatch::default());
    let (told, outcome) = mpsc::channel();
    let registration = Arc::new(registration);
    let inside = registration.clone();
    let (conn, _seen) = Conn::answering(move |_, _| {
        told.send(status_of(inside.capture(wsk::WaitTimeout::Infinite))).unwrap();
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    peer.send(b"x");
    assert_eq!(outcome.recv_timeout(PATIENCE), Ok(NtStatus::POSSIBLE_DEADLOCK));
}

fn a_panicking_callback_harms_nobody(arm: Arm) {
    let world = arm.world();
    let (conn, seen) = Conn::answering(|_, data| match data.to_vec().as_slice() {
        b"panic" => panic!("a callback of a client panics (this is part of a test)"),
        _ => Receive::Accepted,
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    peer.send(b"panic");
    assert_eq!(seen.data(5), b"panic");
    peer.send(b"after");
    assert_eq!(seen.data(5), b"after");
    socket.close().ok();
}
