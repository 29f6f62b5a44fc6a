//! Silent mode (C-31), step by step: the transport gives answers, and the client's requests stay where they are.

use std::sync::Arc;

use wsk_abi::flags::{EventMask, ReceiveFlags};
use wsk_abi::status::NtStatus;
use wsk_core::effect::{Callback, CallbackKind, Effect, Effects};
use wsk_core::indication::Answer;
use wsk_core::memory::{Buffer, Lease, Memory};
use wsk_core::request::RequestId;
use wsk_core::socket::connection::{Connection, Events};
use wsk_core::transport::{Event, Family, Operation, StreamEnd};

/// Memory of the transport; counted in the `Arc` until it goes back.
#[derive(Debug)]
struct Lent(#[allow(dead_code)] Arc<()>);

impl Lease for Lent {
    fn bytes(&self) -> &[u8] {
        b"late"
    }

    fn capacity(&self) -> usize {
        4
    }

    fn release(self: Box<Self>) {}
}

/// What a step leads to, in short.
fn step(connection: &mut Connection, step: impl FnOnce(&mut Connection, &mut Effects)) -> Vec<String> {
    let mut fx = Effects::new();
    step(connection, &mut fx);
    let tell = |effect| match effect {
        Effect::Submit(Operation::Receive { .. }) => "receive".into(),
        Effect::Submit(operation) => format!("{operation:?}"),
        Effect::Complete(done) => format!("{:?} {}", done.request, done.status),
        other => format!("{other:?}"),
    };
    fx.list.into_iter().map(tell).collect()
}

/// A connection on which two receives are pending; the transport has the first.
fn two_receives() -> (Connection, [RequestId; 2]) {
    let none = EventMask::empty();
    let mut connection = Connection::new(Family::V4, Events { available: none, fixed: none, inherited: none });
    let ids = [RequestId(3), RequestId(4)];
    let address = "127.0.0.1:9".parse().unwrap();
    step(&mut connection, |c, fx| c.bind(RequestId(1), address, fx));
    step(&mut connection, |c, fx| c.bound(Ok(address), fx));
    step(&mut connection, |c, fx| c.connect(RequestId(2), address, fx));
    step(&mut connection, |c, fx| c.handle(Event::Connected { result: Ok(0), first: Memory::None }, fx));
    for id in ids {
        step(&mut connection, |c, fx| c.receive(id, Memory::Vec(vec![0; 8]), ReceiveFlags::empty(), fx));
    }
    (connection, ids)
}

fn ended(result: Result<usize, StreamEnd>) -> Event {
    Event::ReceiveDone { memory: Memory::Vec(vec![0; 8]), result }
}

#[test]
fn c31_receives_stay_until_they_are_cancelled() {
    for end in [StreamEnd::Stopped, StreamEnd::Failed(NtStatus::ACCESS_DENIED), StreamEnd::Fin] {
        let (mut connection, [first, second]) = two_receives();
        connection.begin_silence().unwrap();
        connection.silenced();
        assert_eq!(step(&mut connection, |c, fx| c.cancel(first, fx)), ["ReceiveCancel"]);
        let told = step(&mut connection, |c, fx| {
            c.handle(ended(Err(end)), fx);
            c.advance(fx);
        });
        assert_eq!(told, [format!("{first:?} {}", NtStatus::CANCELLED)], "{end:?}: the second stays");
        let told = step(&mut connection, |c, fx| c.cancel(second, fx));
        assert_eq!(told, [format!("{second:?} {}", NtStatus::CANCELLED)]);
    }
}

#[test]
fn c31_what_comes_is_dropped() {
    let (mut connection, [first, _]) = two_receives();
    connection.begin_silence().unwrap();
    connection.silenced();
    // The transport gives up the request it had, as it may.
    assert!(step(&mut connection, |c, fx| c.handle(ended(Err(StreamEnd::Stopped)), fx)).is_empty());
    let lent = Arc::new(());
    let buffer = Buffer::new(Box::new(Lent(lent.clone())));
    let told = step(&mut connection, |c, fx| {
        c.handle(Event::Received { buffer, drained: true }, fx);
        c.advance(fx);
    });
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(Arc::strong_count(&lent), 1, "its memory went back");
    assert_eq!(step(&mut connection, |c, fx| c.cancel(first, fx)), [format!("{first:?} {}", NtStatus::CANCELLED)]);
}

/// The same for what a callback that was running then does not take.
#[test]
fn c31_what_a_callback_left_is_dropped() {
    let receive = EventMask::RECEIVE;
    let mut connection = Connection::new(Family::V4, Events { available: receive, fixed: receive, inherited: receive });
    let address = "127.0.0.1:9".parse().unwrap();
    step(&mut connection, |c, fx| c.bind(RequestId(1), address, fx));
    step(&mut connection, |c, fx| c.bound(Ok(address), fx));
    step(&mut connection, |c, fx| c.connect(RequestId(2), address, fx));
    step(&mut connection, |c, fx| c.handle(Event::Connected { result: Ok(0), first: Memory::None }, fx));
    step(&mut connection, |c, fx| c.advance(fx));
    let lent = Arc::new(());
    let mut fx = Effects::new();
    let buffer = Buffer::new(Box::new(Lent(lent.clone())));
    connection.handle(Event::Received { buffer, drained: true }, &mut fx);
    connection.advance(&mut fx);
    let list = fx.list.into_iter().find_map(|effect| match effect {
        Effect::Call(Callback::Receive { list, .. }) => Some(list),
        _ => None,
    });
    let list = list.expect("a callback");
    connection.begin_silence().unwrap();
    connection.silenced();
    let answer = Answer::Unread(Box::new((list, 4)));
    let told = step(&mut connection, |c, fx| c.answered(CallbackKind::Receive, answer, fx));
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(Arc::strong_count(&lent), 1, "its memory went back");
}

#[test]
fn c31_all_goes_on_if_the_endpoint_could_not() {
    let (mut connection, [first, _]) = two_receives();
    let before = connection.begin_silence().unwrap();
    let told = step(&mut connection, |c, fx| {
        c.handle(ended(Ok(8)), fx);
        c.advance(fx);
    });
    assert_eq!(told, [format!("{first:?} {}", NtStatus::SUCCESS)], "nothing new is begun yet");
    assert_eq!(step(&mut connection, |c, fx| c.unsilence(before, fx)), ["receive"]);
}
