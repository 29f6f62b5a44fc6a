//! Conditional accept: events.md 6a, functions.md F-140 to F-142.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::support::{Acceptor, Arm, Finish, Inbox, Seen, World, arms, status_of, v4};
use wsk::{ConnectionSocket, EventMask, Family, InspectAction, InspectId, InspectRequest, ListenSocket, NtStatus};

arms! {
    all: e63_accept, e63_reject, e64_pend_then_accept, e64_pend_then_reject, e65_a_lost_peer_aborts,
        e69_close_with_pended_inspections, e31_after_bind_it_is_too_late, e32_no_inspect_callback, f141_bad_completes,
        e61_ids_are_not_reused, e67_the_id_on_the_accepted_socket, e62_a_dead_listener, f142_pend_on_a_stream_listener,
        e32_no_inspect_callback_on_a_stream_socket, e63_accepted_then_lost_before_it_is_taken,
        e67_not_conditional,
        f140_a_complete_that_overtakes_the_pend, a_pended_inspection_holds_up_nobody_else;
}

struct Conditional {
    listener: ListenSocket,
    address: SocketAddr,
    sockets: Inbox<ConnectionSocket>,
    seen: Inbox,
}

impl Conditional {
    fn inspected(&self) -> InspectRequest {
        match self.seen.next() {
            Seen::Inspect(request) => request,
            other => panic!("an inspection was expected, not {other:?}"),
        }
    }

    fn complete(&self, id: InspectId, action: InspectAction) -> NtStatus {
        self.listener.inspect_complete(id, action).status()
    }
}

/// A conditional listener whose inspections are answered by `answer`.
fn conditional(world: &World, answer: fn(&InspectRequest) -> InspectAction) -> Conditional {
    let (acceptor, sockets, seen) = Acceptor::new(None);
    let acceptor = acceptor.on_inspect(move |_, request| answer(request));
    let listener = world.client.listen_socket(Family::V4, Some(Arc::new(acceptor))).unwrap();
    listener.set(wsk::option::ConditionalAccept(true)).unwrap();
    listener.bind(v4()).ok();
    let address = listener.local_address().unwrap();
    Conditional { listener, address, sockets, seen }
}

// E-60
fn e63_accept(arm: Arm) {
    let world = arm.world();
    let c = conditional(&world, |_| InspectAction::Accept);
    c.listener.enable(EventMask::ACCEPT).unwrap();
    let peer = world.peer_connect(c.address);
    let request = c.inspected();
    assert_eq!((request.local, request.remote), (c.address, peer.address()));
    let socket = c.sockets.next();
    assert_eq!(socket.inspect_id().unwrap(), request.id);
    peer.send(b"in");
    assert_eq!(socket.receive(vec![0; 8]).ok().bytes(), b"in");
    // By function as well.
    let accept = c.listener.accept();
    let peer = world.peer_connect(c.address);
    let request = c.inspected();
    let socket = accept.ok();
    assert_eq!((socket.remote_address().unwrap(), socket.inspect_id().unwrap()), (peer.address(), request.id));
    assert_eq!(c.complete(request.id, InspectAction::Accept), NtStatus::NOT_FOUND); // finished
}

// E-66
fn e63_reject(arm: Arm) {
    let world = arm.world();
    let c = conditional(&world, |_| InspectAction::Reject);
    c.listener.enable(EventMask::ACCEPT).unwrap();
    let accept = c.listener.accept();
    world.peer_connect(c.address).expect_reset();
    let id = c.inspected().id;
    world.settle();
    assert!(!accept.is_finished());
    assert_eq!(c.complete(id, InspectAction::Accept), NtStatus::NOT_FOUND);
    c.sockets.nothing();
    c.seen.nothing(); // neither accept nor abort follows
}

fn e64_pend_then_accept(arm: Arm) {
    let world = arm.world();
    let c = conditional(&world, |_| InspectAction::Pend);
    let accept = c.listener.accept();
    let peer = world.peer_connect(c.address);
    let id = c.inspected().id;
    peer.send(b"early data"); // not to be seen before Accept (E-68)
    world.settle();
    assert!(!accept.is_finished());
    assert_eq!(c.complete(id, InspectAction::Accept), NtStatus::SUCCESS);
    let socket = accept.ok();
    assert_eq!(socket.inspect_id().unwrap(), id);
    assert_eq!(socket.receive(vec![0; 16]).ok().bytes(), b"early data");
    assert_eq!(c.complete(id, InspectAction::Accept), NtStatus::NOT_FOUND);
    c.listener.enable(EventMask::ACCEPT).unwrap();
    let peer = world.peer_connect(c.address);
    let id = c.inspected().id;
    world.settle(); // Pend was answered
    assert_eq!(c.complete(id, InspectAction::Accept), NtStatus::SUCCESS);
    assert_eq!(c.sockets.next().remote_address().unwrap(), peer.address());
}

fn e64_pend_then_reject(arm: Arm) {
    let world = arm.world();
    let c = conditional(&world, |_| InspectAction::Pend);
    c.listener.enable(EventMask::ACCEPT).unwrap();
    let peer = world.peer_connect(c.address);
    let id = c.inspected().id;
    world.settle(); // Pend was answered
    assert_eq!(c.complete(id, InspectAction::Reject), NtStatus::SUCCESS);
    peer.expect_reset();
    assert_eq!(c.complete(id, InspectAction::Accept), NtStatus::NOT_FOUND);
    world.settle();
    c.sockets.nothing();
}

/// A client hands the id to a worker and returns Pend; the worker may be faster. The connection must not be stuck then.
fn f140_a_complete_that_overtakes_the_pend(arm: Arm) {
    let world = arm.world();
    let gate = crate::support::Gate::new();
    let pass = gate.clone();
    let (acceptor, sockets, seen) = Acceptor::new(None);
    let acceptor = acceptor.on_inspect(move |_, _| {
        pass.pass();
        InspectAction::Pend
    });
    let listener = world.client.listen_socket(Family::V4, Some(Arc::new(acceptor))).unwrap();
    listener.set(wsk::option::ConditionalAccept(true)).unwrap();
    listener.bind(v4()).ok();
    let address = listener.local_address().unwrap();
    let c = Conditional { listener, address, sockets, seen };
    let accept = c.listener.accept();
    let peer = world.peer_connect(c.address);
    let id = c.inspected().id;
    assert_eq!(c.complete(id, InspectAction::Accept), NtStatus::SUCCESS);
    gate.open();
    assert_eq!(accept.ok().remote_address().unwrap(), peer.address());
}

fn e65_a_lost_peer_aborts(arm: Arm) {
    let world = arm.world();
    let c = conditional(&world, |_| InspectAction::Pend);
    c.listener.enable(EventMask::ACCEPT).unwrap();
    let peer = world.peer_connect(c.address);
    let id = c.inspected().id;
    world.settle(); // Pend was answered
    peer.reset();
    assert_eq!(c.seen.next(), Seen::Abort(id));
    assert_eq!(c.complete(id, InspectAction::Accept), NtStatus::NOT_FOUND); // never a connection
    world.settle();
    c.sockets.nothing();
    c.seen.nothing(); // at most one abort per id
}

fn e63_accepted_then_lost_before_it_is_taken(arm: Arm) {
    let world = arm.world();
    let c = conditional(&world, |_| InspectAction::Accept);
    let peer = world.peer_connect(c.address);
    let id = c.inspected().id;
    peer.reset();
    world.settle();
    let accept = c.listener.accept();
    let second = world.peer_connect(c.address);
    assert_eq!(accept.ok().remote_address().unwrap(), second.address()); // F-137
    let mut left = vec![c.seen.next(), c.seen.next()];
    left.retain(|seen| *seen != Seen::Abort(id));
    assert!(matches!(left[..], [Seen::Inspect(request)] if request.remote == second.address()), "{left:?}");
}

// F-114
fn e69_close_with_pended_inspections(arm: Arm) {
    let world = arm.world();
    let c = conditional(&world, |_| InspectAction::Pend);
    let peers: Vec<_> = (0..3).map(|_| world.peer_connect(c.address)).collect();
    let ids: Vec<_> = (0..3).map(|_| c.inspected().id).collect();
    world.settle();
    c.listener.close().ok();
    peers.iter().for_each(|peer| peer.expect_reset());
    c.seen.nothing(); // no abort calls after close began
    assert_eq!(c.complete(ids[0], InspectAction::Accept), NtStatus::INVALID_HANDLE);
}

fn e31_after_bind_it_is_too_late(arm: Arm) {
    let world = arm.world();
    let (listener, address) = world.listener(None);
    assert_eq!(status_of(listener.set(wsk::option::ConditionalAccept(true))), NtStatus::INVALID_DEVICE_STATE);
    let c = conditional(&world, |_| InspectAction::Reject);
    assert_eq!(status_of(c.listener.set(wsk::option::ConditionalAccept(false))), NtStatus::INVALID_DEVICE_STATE);
    world.peer_connect(c.address).expect_reset();
    let id = InspectId { key: 0, serial: 0 };
    assert_eq!(listener.inspect_complete(id, InspectAction::Accept).status(), NtStatus::INVALID_DEVICE_STATE);
    let _peer = world.peer_connect(address);
    let socket = listener.accept().ok();
    assert_eq!(status_of(socket.inspect_id()), NtStatus::INVALID_DEVICE_REQUEST); // F-106
}

fn e67_not_conditional(arm: Arm) {
    let world = arm.world();
    let (socket, _peer) = world.connected(None);
    assert_eq!(status_of(socket.inspect_id()), NtStatus::INVALID_DEVICE_REQUEST);
}

fn e32_no_inspect_callback(arm: Arm) {
    let world = arm.world();
    let (mut acceptor, ..) = Acceptor::new(None);
    acceptor.inspects = false;
    let listener = world.client.listen_socket(Family::V4, Some(Arc::new(acceptor))).unwrap();
    listener.set(wsk::option::ConditionalAccept(true)).unwrap();
    assert_eq!(listener.bind(v4()).status(), NtStatus::INVALID_PARAMETER);
    listener.set(wsk::option::ConditionalAccept(false)).unwrap();
    listener.bind(v4()).ok();
}

/// Without a callback nobody could ever let a connection in.
fn e32_no_inspect_callback_on_a_stream_socket(arm: Arm) {
    let world = arm.world();
    let stream = world.client.stream_socket(Family::V4, None, None).unwrap();
    stream.set(wsk::option::ConditionalAccept(true)).unwrap();
    assert_eq!(stream.bind(v4()).status(), NtStatus::INVALID_PARAMETER);
}

fn f141_bad_completes(arm: Arm) {
    let world = arm.world();
    let c = conditional(&world, |_| InspectAction::Pend);
    let unknown = InspectId { key: 77, serial: 1 };
    assert_eq!(c.complete(unknown, InspectAction::Accept), NtStatus::NOT_FOUND);
    assert_eq!(c.complete(unknown, InspectAction::Pend), NtStatus::INVALID_PARAMETER);
    let accept = c.listener.accept();
    let _peer = world.peer_connect(c.address);
    let id = c.inspected().id;
    world.settle();
    assert_eq!(c.complete(id, InspectAction::Pend), NtStatus::INVALID_PARAMETER); // and it is still pended
    assert_eq!(c.complete(InspectId { serial: id.serial + 2, ..id }, InspectAction::Accept), NtStatus::NOT_FOUND);
    assert_eq!(c.complete(id, InspectAction::Accept), NtStatus::SUCCESS);
    accept.ok();
}

fn e61_ids_are_not_reused(arm: Arm) {
    let world = arm.world();
    let c = conditional(&world, |_| InspectAction::Reject);
    let mut ids = Vec::new();
    for _ in 0..50 {
        world.peer_connect(c.address).expect_reset();
        ids.push(c.inspected().id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 50);
}

fn e67_the_id_on_the_accepted_socket(arm: Arm) {
    let world = arm.world();
    let c = conditional(&world, |_| InspectAction::Pend);
    c.listener.enable(EventMask::ACCEPT).unwrap();
    let peers: Vec<_> = (0..4).map(|_| world.peer_connect(c.address)).collect();
    let requests: Vec<_> = peers.iter().map(|_| c.inspected()).collect();
    world.settle();
    for request in requests.iter().rev() {
        assert_eq!(c.complete(request.id, InspectAction::Accept), NtStatus::SUCCESS);
        let socket = c.sockets.next();
        assert_eq!((socket.inspect_id().unwrap(), socket.remote_address().unwrap()), (request.id, request.remote));
    }
}

fn a_pended_inspection_holds_up_nobody_else(arm: Arm) {
    let world = arm.world();
    let c = conditional(&world, |request| match request.id.serial {
        0..=1 if request.id.key == 1 => InspectAction::Pend,
        _ => InspectAction::Accept,
    });
    let (first, second) = (c.listener.accept(), c.listener.accept());
    let pended = world.peer_connect(c.address);
    let id = c.inspected().id;
    let through = world.peer_connect(c.address);
    assert_eq!(first.ok().remote_address().unwrap(), through.address());
    assert_eq!(c.complete(id, InspectAction::Accept), NtStatus::SUCCESS);
    assert_eq!(second.ok().remote_address().unwrap(), pended.address());
}

fn e62_a_dead_listener(arm: Arm) {
    let world = arm.world();
    let c = conditional(&world, |_| InspectAction::Pend);
    let peer = world.peer_connect(c.address);
    let id = c.inspected().id;
    world.settle();
    world.provider.break_sockets();
    assert_eq!(c.seen.next(), Seen::Dead);
    peer.expect_reset();
    assert_eq!(c.complete(id, InspectAction::Accept), NtStatus::FILE_FORCED_CLOSED);
    c.listener.close().ok();
    c.seen.nothing();
}

fn f142_pend_on_a_stream_listener(arm: Arm) {
    let world = arm.world();
    let (acceptor, sockets, seen) = Acceptor::new(None);
    let acceptor = acceptor.on_inspect(|_, _| InspectAction::Pend);
    let stream = world.client.stream_socket(Family::V4, Some(Arc::new(acceptor)), None).unwrap();
    stream.set(wsk::option::ConditionalAccept(true)).unwrap();
    stream.bind(v4()).ok();
    stream.listen().ok();
    let accept = stream.accept();
    world.peer_connect(stream.local_address().unwrap()).expect_reset();
    let Seen::Inspect(request) = seen.next() else { panic!("an inspection was expected") };
    let status = stream.as_listener(|l| l.inspect_complete(request.id, InspectAction::Accept)).status();
    assert_eq!(status, NtStatus::INVALID_DEVICE_STATE);
    assert!(!accept.is_finished());
    sockets.nothing();
}
