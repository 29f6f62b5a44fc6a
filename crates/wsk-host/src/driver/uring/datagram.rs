//! Datagrams in the io_uring driver: lists of them, single receives beside a stream, and the fate of earlier ones.

use std::os::fd::RawFd;

use wsk_core::memory::Memory;
use wsk_core::transport::{Endpoint, Event, Operation, Report, Token};

use super::UringDriver;
use super::op::{Kind, Work};
use crate::driver::staging::Staging;
use crate::endpoint::Tries;
use crate::{batch, icmp};

impl UringDriver {
    /// Datagrams are streamed from now on: first those that a single receive left. A single receive in flight into client memory
    /// must not meet several as one; its end comes here again.
    pub(super) fn begin_stream(&mut self, token: Token, reports: &mut Vec<Report>) {
        let Some(socket) = self.sockets.get_mut(token) else { return };
        let streams = socket.ops[Kind::Datagrams as usize].is_some();
        if !streams || socket.ops[Kind::ReceiveFrom as usize].is_some() {
            return;
        }
        socket.endpoint.coalesce();
        let Some(staging) = &mut socket.staging else { return };
        while let Some(datagram) = staging.stream(&socket.endpoint, &self.stats) {
            reports.push(Report { token, event: Event::Datagram(datagram) });
        }
    }

    pub(super) fn receive_from(&mut self, token: Token, fd: RawFd, mut memory: Memory) {
        let socket = self.sockets.get_mut(token).expect("admitted");
        let straight = socket.endpoint.receives_straight(&memory);
        // What an earlier receive left comes first.
        let mut staging = socket.staging.take().filter(|left| !straight || !left.is_empty());
        if staging.is_some() || !straight {
            let mut space = staging.unwrap_or_else(Staging::new);
            if let Some(info) = space.receive(&socket.endpoint, &mut memory, &self.stats) {
                socket.staging = Some(space);
                self.ready.push(Report { token, event: Event::ReceiveFromDone { memory, result: Ok(info) } });
                return;
            }
            staging = Some(space);
        }
        let header = self.header();
        self.start(token, fd, Some(header), Work::ReceiveFrom { memory, failed: None, staging });
        self.look_for_errors(token);
    }

    pub(super) fn send_to(&mut self, token: Token, fd: RawFd, operation: Operation) {
        let Operation::SendTo { id, messages, mut sent, remote, control } = operation else {
            unreachable!("checked by the caller")
        };
        let socket = self.sockets.get(token).expect("admitted");
        let endpoint = &socket.endpoint;
        let mut result = endpoint.destination(remote).map(drop);
        // The ring has no call for several messages. What it cannot take as one goes out at once, if that is in order.
        let in_order = socket.sends_to == 0;
        let largest = || endpoint.largest_segment(&control, &Tries::default());
        let one = |sent| batch::unit(&messages[sent..], largest()).0 == messages.len() - sent;
        while result.is_ok() && in_order && sent < messages.len() && !one(sent) {
            let before = sent;
            match endpoint.try_send_to(&messages, sent, remote, &control) {
                Ok(n) => sent = n,
                Err(status) => result = Err(status),
            }
            if sent == before {
                break;
            }
        }
        if result.is_ok() && sent < messages.len() {
            let remote = endpoint.destination(remote).expect("checked above");
            let header = self.header();
            let (unit, tries) = ((0, 0), Tries::default());
            let work = Work::SendTo { id, messages, sent, remote, control, unit, tries };
            return self.start(token, fd, Some(header), work);
        }
        self.ready.push(Report { token, event: Event::SendToDone { id, messages, sent, result } });
    }

    /// A receive begins: a send may have met errors while there was none. Those that nobody has met, the receive meets.
    pub(super) fn look_for_errors(&mut self, token: Token) {
        if self.sockets.get(token).expect("admitted").endpoint.errors.some() {
            self.deliver_errors(token);
        }
    }

    /// Tells of failed datagrams, if a receive is there to be told.
    pub(super) fn deliver_errors(&mut self, token: Token) {
        let Some(socket) = self.sockets.get(token) else { return };
        if socket.ops[Kind::Datagrams as usize].is_some() {
            while let Some(fate) = socket.endpoint.next_fate() {
                let events = [
                    fate.unreachable.map(Event::Unreachable),
                    fate.shown.map(|info| Event::Datagram(icmp::datagram(info))),
                ];
                self.ready.extend(events.into_iter().flatten().map(|event| Report { token, event }));
            }
        } else if let Some(key) = socket.ops[Kind::ReceiveFrom as usize]
            && socket.endpoint.errors.some()
        {
            self.push_cancel(key); // its end finds the error
        }
    }
}
