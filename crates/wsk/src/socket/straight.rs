//! The straight path of one event or one send: see wsk-core's `socket::straight`. What it declines takes the general path.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wsk_abi::flags::SendFlags;
use wsk_abi::status::NtStatus;
use wsk_core::effect::CallbackKind;
use wsk_core::indication::Answer;
use wsk_core::memory::{Buffer, Memory};
use wsk_core::request::{Completion, Outcome, RequestId};
use wsk_core::transport::Event;

use crate::connection::ConnectionSocket;
use crate::machine::Machine;
use crate::processor::{Mail, enter_client, note_fresh};
use crate::request::{Request, Transfer};

use super::calls::{Sink, count};
use super::waiters::{State, Waiter};
use super::{Place, Socket};

impl Socket {
    /// The straight path of one event, on the pump (see wsk-core's `socket::straight`); gives the event back if the general
    /// path must decide.
    pub(crate) fn handle_straight(handle: &ConnectionSocket, event: Event) -> Result<(), Event> {
        let this = &handle.socket;
        match event {
            Event::Received { buffer, drained } => Self::receive_straight(handle, buffer, drained),
            Event::SendDone { parts, sent, result: Ok(()) } => {
                let mut state = this.state.lock();
                let Machine::Connection(connection) = &mut state.machine else {
                    return Err(Event::SendDone { parts, sent, result: Ok(()) });
                };
                match connection.straight_sent(parts) {
                    Err(parts) => Err(Event::SendDone { parts, sent, result: Ok(()) }),
                    Ok((request, _, memory)) if state.is_forgotten(request) => {
                        state.remove(request);
                        drop(state);
                        drop(memory);
                        Ok(())
                    }
                    Ok((request, information, memory)) => {
                        this.note_undelivered();
                        drop(state);
                        let status = NtStatus::SUCCESS;
                        this.deliver(Completion { request, status, information, memory, outcome: Outcome::None });
                        Ok(())
                    }
                }
            }
            other => Err(other),
        }
    }

    pub(super) fn receive_straight(handle: &ConnectionSocket, buffer: Buffer, drained: bool) -> Result<(), Event> {
        let this = &handle.socket;
        let mut state = this.state.lock();
        let State { machine: Machine::Connection(connection), freed: known, .. } = &mut *state else {
            return Err(Event::Received { buffer, drained });
        };
        let Sink::Connection(events) = &this.sink else {
            return Err(Event::Received { buffer, drained });
        };
        let freed = this.freed.load(Ordering::SeqCst);
        if freed != *known {
            connection.take_released(freed.wrapping_sub(std::mem::replace(known, freed)));
        }
        let (list, flags) = match connection.straight_receive(buffer, drained) {
            Ok(call) => call,
            Err(buffer) => return Err(Event::Received { buffer, drained }),
        };
        this.settle_pause(&mut state);
        drop(state);
        count(&this.home.tally.callbacks);
        let irql = this.home.callback_irql();
        let answer =
            enter_client(irql, || this.call_receive(&**events, handle, list, flags, irql)).unwrap_or(Answer::Done);
        if matches!(answer, Answer::Done)
            && let mut state = this.state.lock()
            && let Machine::Connection(connection) = &mut state.machine
            && connection.straight_answer()
        {
            return Ok(());
        }
        this.decide(None, |machine, fx| machine.answered(CallbackKind::Receive, answer, fx));
        Ok(())
    }

    /// WskSend: straight to the home processor where possible.
    pub(crate) fn send(self: &Arc<Self>, memory: Memory, flags: SendFlags) -> Request<Transfer> {
        let place = self.home.place();
        if flags.is_empty() && place != Place::Foreign {
            let mut state = self.state.lock();
            let id = RequestId(state.next_request);
            if let Machine::Connection(connection) = &mut state.machine {
                match connection.straight_send(id, memory) {
                    Ok(operation) => {
                        state.next_request += 1;
                        if place == Place::Nested {
                            note_fresh(self.token, id);
                        } else {
                            state.waiters.push_back((id, Waiter::None));
                        }
                        match self.home.post(Mail::Submit(self.token, operation)) {
                            Err(Mail::Submit(_, operation)) => {
                                drop(state);
                                self.enter(id); // its handle is alive
                                let refused = operation.refused(NtStatus::FILE_FORCED_CLOSED);
                                refused.into_iter().for_each(|event| self.handle_run(event, || None));
                            }
                            _ => drop(state),
                        }
                        return Request::pending(self.clone(), id);
                    }
                    Err(memory) => {
                        drop(state);
                        return self.send_general(memory, flags);
                    }
                }
            }
        }
        self.send_general(memory, flags)
    }

    pub(super) fn send_general(self: &Arc<Self>, memory: Memory, flags: SendFlags) -> Request<Transfer> {
        self.request(|machine, id, fx| match machine.connection() {
            Some(connection) => connection.send(id, memory, flags, fx),
            None => fx.refuse(id, NtStatus::INVALID_DEVICE_STATE),
        })
    }
}
