//! What completions mean: each becomes events, or the operation is handed to the kernel again.
//!
//! An operation ends once, with what happened first: data that came before a cancel is data (rule 1).

use std::os::fd::{FromRawFd, OwnedFd};

use io_uring::cqueue;
use wsk_abi::status::NtStatus;
use wsk_core::memory::Buffer;
use wsk_core::transport::{Event, Hangup, Report, StreamEnd};

use super::op::{Kind, Work};
use super::{
    CANCEL, DOORBELL, NAME_SPACE, NOTHING, OUT_HEADER, OpKey, PAYLOAD, SPARE_HEADERS, UringDriver, doorbell_entry,
    key_of,
};
use crate::cmsg::Seen;
use crate::driver::{datagrams, incoming, info};
use crate::endpoint::FinState;
use crate::{address, errno, icmp};

/// How a completion continues.
enum Next {
    /// Nothing to do: the kernel has more.
    Leave,
    /// Hand the operation to the kernel again.
    Again,
    /// Wait for buffers.
    Starve,
    /// The terminal event.
    End(End),
}

/// How an operation ended.
#[derive(Clone, Copy)]
enum End {
    /// Asked to.
    Stopped,
    Errno(i32),
    Stream(StreamEnd),
    Done(usize),
    Saw(Hangup),
    Shut(Result<(), NtStatus>),
}

impl UringDriver {
    /// Turns the completions that are there into reports.
    pub(super) fn reap(&mut self, reports: &mut Vec<Report>) {
        let mut batch = std::mem::take(&mut self.batch);
        self.ring.reap(&mut batch);
        for completion in batch.drain(..) {
            match completion.user_data {
                NOTHING => {}
                DOORBELL => {
                    if !cqueue::more(completion.flags) {
                        self.ring.push(&doorbell_entry(&self.bell));
                    }
                }
                data if data & CANCEL != 0 => {
                    if completion.result == -libc::ENOENT {
                        self.missed.push(key_of(data));
                    }
                }
                data => self.complete(key_of(data), completion.result, completion.flags, reports),
            }
        }
        self.batch = batch;
        while let Some(key) = self.missed.pop() {
            if self.ops.get(key).is_some_and(|op| op.stop && !op.parked) {
                self.push_cancel(key);
            }
        }
        while let Some(key) = self.late.pop() {
            self.judge_shutdown(key, reports);
        }
    }

    fn complete(&mut self, key: OpKey, result: i32, flags: u32, reports: &mut Vec<Report>) {
        let Some(op) = self.ops.get(key) else { return };
        let more = cqueue::more(flags);
        let next = match &op.work {
            Work::Stream => self.on_stream(key, result, flags, reports),
            Work::Send { .. } => self.on_send(key, result),
            Work::Receive { .. } => match result {
                n if n > 0 => Next::End(End::Done(n as usize)),
                0 => Next::End(End::Stream(self.end_of_stream(key))),
                e => self.on_error(key, -e),
            },
            Work::Datagrams => self.on_datagram(key, result, flags, reports),
            Work::ReceiveFrom { .. } => match result {
                n if n >= 0 => Next::End(End::Done(n as usize)),
                e if errno::ends_datagrams(-e) => self.on_error(key, -e),
                _ if op.stop => Next::End(End::Stopped),
                _ => self.on_fate(key, reports), // of an earlier send (F-199)
            },
            Work::SendTo { .. } => match result {
                n if n >= 0 => self.on_sent_to(key),
                e => self.on_send_error(key, -e),
            },
            Work::Accept => self.on_accept(key, result, more, reports),
            Work::Connect { taken: Some(taken), .. } if result >= 0 => self.on_writable(key, *taken),
            Work::Connect { .. } => match result {
                n if n >= 0 => Next::End(End::Done(0)),
                e if -e == libc::EISCONN => Next::End(End::Done(0)),
                e => self.on_error(key, -e),
            },
            Work::Watch => match result {
                mask if mask >= 0 => self.on_hangup(key, mask),
                e => self.on_error(key, -e),
            },
            Work::WatchIncoming { .. } => match result {
                mask if mask >= 0 => Next::End(End::Done(1)),
                e => self.on_error(key, -e),
            },
            Work::Shutdown { .. } => self.on_shutdown(key, result, more, reports),
        };
        match next {
            Next::Leave => {}
            Next::Again => self.arm(key),
            Next::Starve => self.starve(key),
            Next::End(end) => self.finish(key, end, reports),
        }
    }

    /// An error that is nothing special to the operation.
    fn on_error(&self, key: OpKey, errno: i32) -> Next {
        let op = &self.ops[key];
        match errno {
            libc::ECANCELED | libc::EAGAIN | libc::EINTR if op.stop => Next::End(End::Stopped),
            libc::ECANCELED | libc::EAGAIN | libc::EINTR => Next::Again,
            errno => Next::End(End::Errno(errno)),
        }
    }

    fn end_of_stream(&self, key: OpKey) -> StreamEnd {
        let token = self.ops[key].token;
        self.sockets.get(token).map_or(StreamEnd::Stopped, |socket| socket.endpoint.end_of_stream())
    }

    fn on_stream(&mut self, key: OpKey, result: i32, flags: u32, reports: &mut Vec<Report>) -> Next {
        let op = &self.ops[key];
        let (token, stop) = (op.token, op.stop);
        if let Some(id) = cqueue::buffer_select(flags) {
            let lease = self.streams.take(id);
            if result > 0 {
                let buffer = Buffer::new(self.streams.lend(lease, 0, result as usize));
                reports
                    .push(Report { token, event: Event::Received { buffer, drained: !cqueue::sock_nonempty(flags) } });
            } else {
                self.streams.put(lease);
            }
        }
        match result {
            n if n > 0 && cqueue::more(flags) => Next::Leave,
            n if n > 0 && stop => Next::End(End::Stopped),
            n if n > 0 => Next::Again,
            0 => Next::End(End::Stream(self.end_of_stream(key))),
            e if -e == libc::ENOBUFS && stop => Next::End(End::Stopped),
            e if -e == libc::ENOBUFS => Next::Starve,
            e => self.on_error(key, -e),
        }
    }

    fn on_send(&mut self, key: OpKey, result: i32) -> Next {
        let op = &mut self.ops[key];
        let Work::Send { sent, total, .. } = &mut op.work else { unreachable!("checked by the caller") };
        if result < 0 {
            return self.on_error(key, -result);
        }
        *sent += result as usize;
        if *sent >= *total {
            Next::End(End::Done(*sent))
        } else if op.stop {
            Next::End(End::Stopped)
        } else {
            Next::Again
        }
    }

    fn on_sent_to(&mut self, key: OpKey) -> Next {
        let op = &mut self.ops[key];
        let Work::SendTo { messages, sent, unit, tries, .. } = &mut op.work else {
            unreachable!("checked by the caller")
        };
        *sent += unit.0;
        if let Some(socket) = self.sockets.get(op.token) {
            socket.endpoint.sent_after(tries);
        }
        if *sent >= messages.len() {
            Next::End(End::Done(*sent))
        } else if op.stop {
            Next::End(End::Stopped)
        } else {
            Next::Again
        }
    }

    fn on_accept(&mut self, key: OpKey, result: i32, more: bool, reports: &mut Vec<Report>) -> Next {
        let op = &self.ops[key];
        if result >= 0 {
            #[allow(unsafe_code)] // the kernel hands descriptors over as numbers
            // SAFETY: the completion of an accept gives a new descriptor that nobody else owns.
            let fd = unsafe { OwnedFd::from_raw_fd(result) };
            if let Some(socket) = self.sockets.get(op.token)
                && let Some(event) = incoming(fd, None, &socket.endpoint)
            {
                reports.push(Report { token: op.token, event });
            }
            return match (more, op.stop) {
                (true, _) => Next::Leave,
                (false, true) => Next::End(End::Stopped),
                (false, false) => Next::Again,
            };
        }
        if errno::accept_goes_on(-result) {
            return match (more, op.stop) {
                (true, _) => Next::Leave,
                (false, true) => Next::End(End::Stopped),
                (false, false) => Next::Again,
            };
        }
        self.on_error(key, -result)
    }

    /// A connect that was started by hand may have ended.
    fn on_writable(&self, key: OpKey, taken: usize) -> Next {
        let socket = self.sockets.get(self.ops[key].token);
        match socket.map(|socket| socket.endpoint.connect_outcome()) {
            Some(None) => Next::Again,
            Some(Some(Ok(()))) => Next::End(End::Done(taken)),
            Some(Some(Err(errno))) => Next::End(End::Errno(errno)),
            None => Next::End(End::Stopped),
        }
    }

    fn on_hangup(&mut self, key: OpKey, mask: i32) -> Next {
        let (gone, error) = (mask & i32::from(libc::POLLRDHUP | libc::POLLHUP), mask & i32::from(libc::POLLERR));
        let Some(socket) = self.sockets.get(self.ops[key].token) else {
            return Next::End(End::Stopped);
        };
        match socket.endpoint.hangup(gone != 0, error != 0) {
            Some(seen) => Next::End(End::Saw(seen)),
            None => Next::Again,
        }
    }

    fn on_datagram(&mut self, key: OpKey, result: i32, flags: u32, reports: &mut Vec<Report>) -> Next {
        let op = &self.ops[key];
        let (token, stop) = (op.token, op.stop);
        if let Some(id) = cqueue::buffer_select(flags) {
            let mut lease = self.datagrams.take(id);
            match (parse(lease.space(), result), self.sockets.get(token)) {
                (Some((source, seen, len)), Some(socket)) => {
                    let lent = self.datagrams.lend(lease, PAYLOAD, len);
                    let report = |event| reports.push(Report { token, event });
                    datagrams(&socket.endpoint, lent, source, &seen, report);
                }
                _ => self.datagrams.put(lease),
            }
        }
        match result {
            n if n >= 0 && cqueue::more(flags) => Next::Leave,
            n if n >= 0 && stop => Next::End(End::Stopped),
            n if n >= 0 => Next::Again,
            e if -e == libc::ENOBUFS && stop => Next::End(End::Stopped),
            e if -e == libc::ENOBUFS => Next::Starve,
            e if errno::ends_datagrams(-e) => Next::End(End::Errno(-e)),
            _ if stop => Next::End(End::Stopped),
            _ => self.on_fate(key, reports),
        }
    }

    /// A receive met the fate of an earlier datagram.
    fn on_fate(&mut self, key: OpKey, reports: &mut Vec<Report>) -> Next {
        let op = &mut self.ops[key];
        let token = op.token;
        let Some(socket) = self.sockets.get(token) else { return Next::End(End::Stopped) };
        socket.endpoint.collect_errors();
        while let Some(fate) = socket.endpoint.next_fate() {
            reports.extend(fate.unreachable.map(|status| Report { token, event: Event::Unreachable(status) }));
            let Some(info) = fate.shown else { continue };
            if let Work::ReceiveFrom { failed, .. } = &mut op.work {
                *failed = Some(info);
                return Next::End(End::Done(0));
            }
            reports.push(Report { token, event: Event::Datagram(icmp::datagram(info)) });
        }
        Next::Again
    }

    /// A datagram was not sent.
    fn on_send_error(&mut self, key: OpKey, errno: i32) -> Next {
        let op = &mut self.ops[key];
        let (token, stop) = (op.token, op.stop);
        let (Work::SendTo { unit, tries, .. }, Some(socket)) = (&mut op.work, self.sockets.get(token)) else {
            return Next::End(End::Stopped);
        };
        let endpoint = &socket.endpoint;
        let again = endpoint.with_fd(|fd| Ok(endpoint.send_again(fd, errno, *unit, tries))) == Ok(true);
        if endpoint.errors.some() {
            self.deliver_errors(token);
        }
        match (again, stop) {
            (true, true) => Next::End(End::Stopped),
            (true, false) => Next::Again,
            (false, _) => self.on_error(key, errno),
        }
    }

    fn on_shutdown(&mut self, key: OpKey, result: i32, more: bool, reports: &mut Vec<Report>) -> Next {
        let op = &self.ops[key];
        let Work::Shutdown { reported } = op.work else { unreachable!("checked by the caller") };
        if reported {
            return if more { Next::Leave } else { Next::End(End::Stopped) };
        }
        if result < 0 {
            return self.on_error(key, -result);
        }
        let Some(socket) = self.sockets.get(op.token) else {
            return Next::End(End::Stopped);
        };
        let outcome = match socket.endpoint.fin_state() {
            FinState::Pending if more => return Next::Leave,
            FinState::Pending if op.stop => return Next::End(End::Stopped),
            FinState::Pending => return Next::Again,
            FinState::Gone => {
                self.late.push(key);
                return if more { Next::Leave } else { Next::Again };
            }
            FinState::Acknowledged => Ok(()),
            FinState::Failed(status) => Err(status),
        };
        if !more {
            return Next::End(End::Shut(outcome));
        }
        self.report_shutdown(key, outcome, reports);
        Next::Leave
    }

    /// Reports the end of a shutdown whose poll is still in the kernel.
    fn report_shutdown(&mut self, key: OpKey, outcome: Result<(), NtStatus>, reports: &mut Vec<Report>) {
        let op = &mut self.ops[key];
        op.work = Work::Shutdown { reported: true };
        op.stop = true;
        reports.push(Report { token: op.token, event: Event::ShutdownDone(outcome) });
        self.push_cancel(key);
    }

    /// The connection of a shutdown is gone. By now every other operation has said what it met.
    fn judge_shutdown(&mut self, key: OpKey, reports: &mut Vec<Report>) {
        let Some(op) = self.ops.get(key) else { return };
        if matches!(op.work, Work::Shutdown { reported: true }) {
            return;
        }
        let failure = self.sockets.get(op.token).and_then(|socket| socket.endpoint.failure());
        self.report_shutdown(key, failure.map_or(Ok(()), Err), reports);
    }

    /// No buffer was left: makes more, or waits for one to come back.
    fn starve(&mut self, key: OpKey) {
        let datagrams = matches!(self.ops[key].work, Work::Datagrams);
        let buffers = if datagrams { &mut self.datagrams } else { &mut self.streams };
        if buffers.replenish() {
            self.arm(key);
        } else {
            buffers.starving.push_back(key);
            self.ops[key].parked = true;
        }
    }

    /// Ends an operation that was asked to and did nothing.
    pub(super) fn finish_stopped(&mut self, key: OpKey, reports: &mut Vec<Report>) {
        self.finish(key, End::Stopped, reports);
    }

    /// Removes an operation and reports its terminal event.
    fn finish(&mut self, key: OpKey, end: End, reports: &mut Vec<Report>) {
        let op = self.ops.remove(key).expect("an operation ends once");
        let token = op.token;
        let mut header = op.header;
        let kind = op.work.kind();
        let Some(socket) = self.sockets.get_mut(token) else {
            return;
        };
        match (&op.work, kind) {
            (_, Some(kind)) => socket.ops[kind as usize] = None,
            (Work::WatchIncoming { endpoint, .. }, _) => {
                endpoint.end_watch();
                socket.watches.retain(|watch| watch.1 != key);
            }
            _ => socket.sends_to -= 1,
        }
        let endpoint = &socket.endpoint;
        let stream_end = |end| match end {
            End::Stream(end) => end,
            End::Errno(errno) => StreamEnd::Failed(endpoint.stream_error(errno)),
            _ => StreamEnd::Stopped,
        };
        let event = match op.work {
            Work::Stream => Some(Event::ReceiveStopped(stream_end(end))),
            Work::Receive { memory, .. } => {
                let result = if let End::Done(n) = end { Ok(n) } else { Err(stream_end(end)) };
                Some(Event::ReceiveDone { memory, result })
            }
            Work::Send { parts, sent, .. } => {
                let result = match end {
                    End::Done(_) => Ok(()),
                    End::Errno(errno) => Err(endpoint.stream_error(errno)),
                    _ => Err(NtStatus::CANCELLED),
                };
                Some(Event::SendDone { parts, sent, result })
            }
            Work::Datagrams => Some(Event::DatagramsStopped(match end {
                End::Errno(errno) => Err(errno::status(errno)),
                _ => Ok(()),
            })),
            Work::ReceiveFrom { mut memory, failed, mut staging } => {
                let received = header.as_mut().and_then(|header| header.received());
                let result = match (end, received) {
                    (End::Done(_), _) if failed.is_some() => Ok(failed.expect("checked just now")),
                    (End::Done(len), Some((source, seen, longer))) => match &mut staging {
                        Some(staging) => {
                            staging.fill(len, source, seen);
                            let info = staging.receive(endpoint, &mut memory, &self.stats);
                            Ok(info.expect("there is at least one"))
                        }
                        None => Ok(info(endpoint, len, source, &seen, longer)),
                    },
                    (End::Done(_), None) => Err(NtStatus::UNSUCCESSFUL),
                    (End::Errno(errno), _) => Err(errno::status(errno)),
                    _ => Err(NtStatus::CANCELLED),
                };
                socket.staging = staging;
                Some(Event::ReceiveFromDone { memory, result })
            }
            Work::SendTo { id, messages, sent, .. } => {
                let result = match end {
                    End::Done(_) => Ok(()),
                    End::Errno(errno) => Err(errno::on_send(errno)),
                    _ => Err(NtStatus::CANCELLED),
                };
                Some(Event::SendToDone { id, messages, sent, result })
            }
            Work::Accept => Some(Event::AcceptStopped(match end {
                End::Errno(errno) => Err(errno::status(errno)),
                _ => Ok(()),
            })),
            Work::Connect { first, .. } => {
                let result = match end {
                    End::Done(taken) => {
                        endpoint.on_connected();
                        Ok(taken)
                    }
                    End::Errno(errno) => Err(errno::on_connect(errno)),
                    _ => Err(NtStatus::CANCELLED),
                };
                if result.is_err() {
                    endpoint.undo_connect();
                }
                Some(Event::Connected { result, first })
            }
            Work::Watch => Some(Event::Hangup(match end {
                End::Saw(seen) => seen,
                End::Errno(errno) => Hangup::Failed { status: endpoint.stream_error(errno), unread: 0 },
                _ => Hangup::Cancelled,
            })),
            Work::WatchIncoming { id, .. } => {
                Some(Event::IncomingEnded { id, gone: matches!(end, End::Done(_) | End::Errno(_)) })
            }
            Work::Shutdown { reported: true } => None,
            Work::Shutdown { reported: false } => Some(Event::ShutdownDone(match end {
                End::Shut(result) => result,
                End::Errno(errno) => Err(endpoint.stream_error(errno)),
                _ => Err(NtStatus::CANCELLED),
            })),
        };
        reports.extend(event.map(|event| Report { token, event }));
        if kind == Some(Kind::ReceiveFrom) {
            self.begin_stream(token, reports);
        }
        if let Some(header) = header
            && self.spare.len() < SPARE_HEADERS
        {
            self.spare.push(header);
        }
        self.let_go(token, reports);
    }
}

/// Takes a multishot datagram apart: `io_uring_recvmsg_out`, name, control messages, payload. Yields the source, what came with
/// it, and the length of the payload.
fn parse(buffer: &[u8], result: i32) -> Option<(std::net::SocketAddr, Seen, usize)> {
    let used = usize::try_from(result).ok().filter(|used| (PAYLOAD..=buffer.len()).contains(used))?;
    let word = |at: usize| u32::from_ne_bytes(buffer[at..at + 4].try_into().expect("four bytes")) as usize;
    let (name_len, control_len) = (word(0).min(NAME_SPACE), word(4).min(PAYLOAD - OUT_HEADER - NAME_SPACE));
    let source = address::decode(&buffer[OUT_HEADER..OUT_HEADER + name_len])?;
    let control = OUT_HEADER + NAME_SPACE;
    let seen = Seen::parse(&buffer[control..control + control_len]);
    Some((source, seen, used - PAYLOAD))
}
