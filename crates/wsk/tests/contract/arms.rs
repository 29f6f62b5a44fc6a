//! The arms themselves.

use crate::support::{Arm, Finish, arms, pattern};

/// An arm that is expected can run. (Each test says the same; this one is found easily.)
#[test]
fn expected_arms_can_run() {
    for arm in Arm::ALL.into_iter().filter(|arm| arm.is_expected()) {
        assert_eq!(arm.obstacle(), None, "{} is expected", arm.name());
    }
}

arms!(all: a_provider_says_which_driver_won, m1_without_request_or_event_no_client_code_runs,
          m6_functions_take_no_memory_of_the_subsystem, m7_by_callback_no_request_exists;
      host: m5_large_receives_are_not_copied);

fn a_provider_says_which_driver_won(arm: Arm) {
    let provider = arm.provider();
    assert_eq!(provider.transport_name(), arm.name());
    assert!(!arm.is_host() || !provider.transport_reason().is_empty());
}

fn m1_without_request_or_event_no_client_code_runs(arm: Arm) {
    let world = arm.world();
    let (recorder, inbox) = crate::support::Conn::recorder();
    let (socket, peer) = world.accepted(Some(recorder));
    let before = world.provider.counters().callbacks;
    for _ in 0..1000 {
        peer.send(b"message");
    }
    world.settle();
    assert_eq!(world.provider.counters().callbacks, before);
    inbox.nothing();
    assert_eq!(socket.receive(vec![0; 7]).ok().bytes(), b"message");
}

/// A queued receive is read straight into the client's memory.
fn m5_large_receives_are_not_copied(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let sent = pattern(4 << 20);
    let receives: Vec<_> = (0..4).map(|_| socket.receive_with(vec![0; 1 << 20], wsk::ReceiveFlags::WAITALL)).collect();
    let before = world.provider.counters().bytes_copied;
    std::thread::scope(|scope| {
        scope.spawn(|| peer.send(&sent));
        for (i, receive) in receives.into_iter().enumerate() {
            assert_eq!(receive.ok().bytes(), &sent[i << 20..(i + 1) << 20]);
        }
    });
    assert_eq!(world.provider.counters().bytes_copied, before);
}

/// However much goes through, and however much waits.
fn m6_functions_take_no_memory_of_the_subsystem(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let before = world.provider.counters();
    let sent = pattern(16 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| peer.send(&sent));
        for piece in sent.chunks(1 << 20) {
            let receive = socket.receive_with(vec![0; 1 << 20], wsk::ReceiveFlags::WAITALL);
            assert!(receive.ok().bytes() == piece);
            world.settle();
            let now = world.provider.counters();
            assert_eq!((now.buffer_memory, now.buffers_lent), (before.buffer_memory, before.buffers_lent));
        }
    });
}

fn m7_by_callback_no_request_exists(arm: Arm) {
    const MESSAGES: usize = 20_000;
    let world = arm.world();
    let (recorder, seen) = crate::support::Conn::recorder();
    let (socket, peer) = world.accepted(Some(recorder));
    socket.enable(wsk::EventMask::RECEIVE).unwrap();
    world.settle(); // the accept is counted by then
    let before = world.provider.counters();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..MESSAGES).for_each(|_| peer.send(b"message")));
        assert!(seen.data(MESSAGES * 7) == b"message".repeat(MESSAGES));
    });
    let now = world.provider.counters();
    assert!(now.callbacks > before.callbacks);
    assert_eq!((now.completions, now.requests_queued), (before.completions, before.requests_queued));
}
