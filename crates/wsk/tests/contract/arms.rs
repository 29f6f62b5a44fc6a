//! The arms themselves.

use crate::support::{Arm, Finish, arms, pattern};

/// An arm that is expected can run. (Each test says the same; this one is found easily.)
#[test]
fn expected_arms_can_run() {
    for arm in Arm::ALL.into_iter().filter(|arm| arm.is_expected()) {
        assert_eq!(arm.obstacle(), None, "{} is expected", arm.name());
    }
}

arms!(all: a_provider_says_which_driver_won, m1_without_request_or_event_no_client_code_runs;
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
