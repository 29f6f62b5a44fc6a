//! A connection that times out, which no test can wait for: the transport says so, the machine tells the client.

use wsk_abi::flags::{EventFlags, EventMask, ReceiveFlags};
use wsk_abi::status::NtStatus;
use wsk_core::effect::{Callback, Effect, Effects};
use wsk_core::memory::Memory;
use wsk_core::request::RequestId;
use wsk_core::socket::connection::{Connection, Events, State};
use wsk_core::transport::{Event, Hangup, StreamEnd};

fn connection(enabled: EventMask) -> Connection {
    let address = "127.0.0.1:1".parse().unwrap();
    let events = Events { available: EventMask::all(), fixed: enabled, inherited: EventMask::empty() };
    let mut connection = Connection::accepted(address, address, events, false);
    connection.advance(&mut Effects::new());
    connection
}

fn is_abortive(effect: &Effect) -> bool {
    matches!(effect, Effect::Call(Callback::Disconnect { flags }) if flags.contains(EventFlags::ABORTIVE))
}

#[test]
fn e102_a_timeout_is_an_abortive_disconnect() {
    let failed = NtStatus::IO_TIMEOUT;
    let receiving = (EventMask::RECEIVE | EventMask::DISCONNECT, Event::ReceiveStopped(StreamEnd::Failed(failed)));
    let watched = (EventMask::DISCONNECT, Event::Hangup(Hangup::Failed { status: failed, unread: 0 }));
    for (enabled, event) in [receiving, watched] {
        let mut connection = connection(enabled);
        let mut effects = Effects::new();
        connection.handle(event, &mut effects);
        connection.advance(&mut effects);
        assert_eq!(effects.list.iter().filter(|effect| is_abortive(effect)).count(), 1, "{:?}", effects.list);
        assert_eq!(connection.state(), State::Reset);
        let mut effects = Effects::new();
        connection.receive(RequestId(1), Memory::from(vec![0; 8]), ReceiveFlags::empty(), &mut effects);
        let ended = effects.list.iter().any(|effect| matches!(effect, Effect::Complete(done) if done.status == failed));
        assert!(ended, "{:?}", effects.list);
    }
}
