//! Registration: functions.md 1.

use std::sync::mpsc;
use std::time::Duration;

use crate::support::{Arm, Conn, Finish, PATIENCE, arms, status_of, v4};
use wsk::{ClientDispatch, EventMask, Family, NtStatus, Receive, Registration, WaitTimeout};

arms! {
    all: f15_capture, f15_no_interface, f15_not_available, f15_a_waiter_wakes_when_available,
        f15_a_waiter_learns_of_a_wrong_version, f21_a_waiter_wakes_at_deregistration,
        f23_deregister_waits_for_captures, f23_deregister_waits_for_sockets, f23_deregister_waits_for_accepted_sockets,
        f25_deregister_twice, f16_sockets_outlive_the_capture, f14_several_registrations, f25_deregister_in_a_callback,
        dropping_a_registration_closes_its_sockets;
}

fn register(provider: &wsk::Provider) -> Registration {
    Registration::register(provider, ClientDispatch::default())
}

fn f15_capture(arm: Arm) {
    let provider = arm.provider();
    let registration = register(&provider);
    let first = registration.capture(WaitTimeout::NoWait).unwrap();
    let second = registration.capture(WaitTimeout::Infinite).unwrap();
    let third = registration.capture(WaitTimeout::For(PATIENCE)).unwrap();
    assert_eq!(registration.characteristics().unwrap().highest, 0x0100);
    assert_eq!(registration.characteristics().unwrap().lowest, 0x0100);
    drop((first, second, third));
    registration.deregister().unwrap();
    assert_eq!(status_of(registration.capture(WaitTimeout::Infinite)), NtStatus::DEVICE_NOT_READY); // F-21
}

// F-20
fn f15_no_interface(arm: Arm) {
    let provider = arm.provider();
    for version in [0x0000, 0x00FF, 0x0101, 0x0200, 0xFFFF] {
        let registration = Registration::register(&provider, ClientDispatch { version });
        assert_eq!(status_of(registration.capture(WaitTimeout::NoWait)), NtStatus::NOINTERFACE, "{version:#06x}");
        assert_eq!(registration.characteristics().unwrap().highest, 0x0100); // works all the same (F-17)
    }
}

// F-19: the hook that delays the provider.
fn f15_not_available(arm: Arm) {
    let (provider, _) = arm.provider_with(|builder| builder.unavailable());
    let registration = register(&provider);
    assert_eq!(status_of(registration.capture(WaitTimeout::NoWait)), NtStatus::DEVICE_NOT_READY);
    let short = WaitTimeout::For(Duration::from_millis(5));
    assert_eq!(status_of(registration.capture(short)), NtStatus::DEVICE_NOT_READY);
    assert_eq!(status_of(registration.characteristics()), NtStatus::DEVICE_NOT_READY);
    let wrong = Registration::register(&provider, ClientDispatch { version: 2 });
    assert_eq!(status_of(wrong.capture(WaitTimeout::NoWait)), NtStatus::DEVICE_NOT_READY); // availability first
    provider.set_available(true);
    drop(registration.capture(WaitTimeout::NoWait).unwrap());
    provider.set_available(false);
    assert_eq!(status_of(registration.capture(WaitTimeout::NoWait)), NtStatus::DEVICE_NOT_READY);
}

/// Runs `wake` while a capture with these arguments waits (or is about to), and returns the capture's status.
fn woken(arm: Arm, version: u16, wait: WaitTimeout, wake: fn(&wsk::Provider, &Registration)) -> NtStatus {
    let (provider, _) = arm.provider_with(|builder| builder.unavailable());
    let registration = Registration::register(&provider, ClientDispatch { version });
    let (started, go) = mpsc::channel();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            started.send(()).unwrap();
            status_of(registration.capture(wait))
        });
        go.recv().unwrap();
        wake(&provider, &registration);
        waiter.join().unwrap()
    })
}

fn f15_a_waiter_wakes_when_available(arm: Arm) {
    for wait in [WaitTimeout::Infinite, WaitTimeout::For(PATIENCE)] {
        assert_eq!(woken(arm, 0x0100, wait, |provider, _| provider.set_available(true)), NtStatus::SUCCESS);
    }
}

fn f15_a_waiter_learns_of_a_wrong_version(arm: Arm) {
    let status = woken(arm, 0x0200, WaitTimeout::Infinite, |provider, _| provider.set_available(true));
    assert_eq!(status, NtStatus::NOINTERFACE);
}

fn f21_a_waiter_wakes_at_deregistration(arm: Arm) {
    let status = woken(arm, 0x0100, WaitTimeout::Infinite, |_, registration| registration.deregister().unwrap());
    assert_eq!(status, NtStatus::DEVICE_NOT_READY);
}

/// Deregisters on another thread; returns whether it had ended before `release`, which makes it end.
fn ended_early(registration: &Registration, release: impl FnOnce()) -> bool {
    std::thread::scope(|scope| {
        let (begun, begin) = mpsc::channel();
        let thread = scope.spawn(move || {
            begun.send(()).unwrap();
            registration.deregister().unwrap();
        });
        begin.recv().unwrap();
        // Deregistration has begun when captures fail.
        while registration.capture(WaitTimeout::NoWait).is_ok() {
            std::thread::yield_now();
        }
        // Time for a deregistration that does not wait to end.
        let early = (0..1000).any(|_| {
            std::thread::yield_now();
            thread.is_finished()
        });
        release();
        thread.join().unwrap();
        early
    })
}

// F-18
fn f23_deregister_waits_for_captures(arm: Arm) {
    let provider = arm.provider();
    let registration = register(&provider);
    let client = registration.capture(WaitTimeout::NoWait).unwrap();
    assert!(!ended_early(&registration, || drop(client)));
}

// F-18, F-91, E-126
fn f23_deregister_waits_for_sockets(arm: Arm) {
    let provider = arm.provider();
    let registration = register(&provider);
    let client = registration.capture(WaitTimeout::NoWait).unwrap();
    let socket = client.datagram_socket(Family::V4, None).unwrap();
    drop(client);
    assert!(!ended_early(&registration, || socket.close().ok()));
}

fn f23_deregister_waits_for_accepted_sockets(arm: Arm) {
    let world = arm.world();
    let (socket, _peer) = world.accepted(None);
    let leftover = world.into_registration();
    assert!(!ended_early(&leftover, || socket.close().ok()));
}

fn f25_deregister_twice(arm: Arm) {
    let provider = arm.provider();
    let registration = register(&provider);
    registration.deregister().unwrap();
    registration.deregister().unwrap();
}

fn f16_sockets_outlive_the_capture(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let leftover = world.into_registration();
    peer.send(b"fully usable");
    assert_eq!(socket.receive(vec![0; 16]).ok().bytes(), b"fully usable");
    socket.close().ok();
    leftover.deregister().unwrap();
}

fn f14_several_registrations(arm: Arm) {
    let provider = arm.provider();
    let (one, two) = (register(&provider), register(&provider));
    let client = two.capture(WaitTimeout::NoWait).unwrap();
    let socket = client.connection_socket(Family::V4, None).unwrap();
    one.deregister().unwrap(); // not held up by the other's socket
    socket.bind(v4()).ok();
}

fn f25_deregister_in_a_callback(arm: Arm) {
    let world = arm.world();
    let provider = arm.provider();
    let registration = std::sync::Arc::new(register(&provider));
    let client = registration.capture(WaitTimeout::NoWait).unwrap();
    let (told, outcome) = mpsc::channel();
    let inside = registration.clone();
    let (conn, _seen) = Conn::answering(move |_, _| {
        told.send((status_of(inside.deregister()), status_of(inside.capture(WaitTimeout::NoWait)))).unwrap();
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.enable(EventMask::RECEIVE).unwrap();
    peer.send(b"x");
    let expected = (NtStatus::POSSIBLE_DEADLOCK, NtStatus::DEVICE_NOT_READY);
    assert_eq!(outcome.recv_timeout(PATIENCE).unwrap(), expected);
    drop(client);
    registration.deregister().unwrap();
}

fn dropping_a_registration_closes_its_sockets(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let receive = socket.receive(vec![0; 8]);
    drop(world.into_registration());
    assert_eq!(receive.status(), NtStatus::CANCELLED);
    drop(peer);
}
