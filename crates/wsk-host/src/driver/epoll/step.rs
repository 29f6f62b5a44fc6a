//! One turn of one socket: every operation that can go on is tried, each a bounded number of times.
//!
//! The order keeps events in the order of what happened: data before its end, the end before what is concluded from it.

use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SocketFlags};
use wsk_abi::status::NtStatus;
use wsk_core::memory::Buffer;
use wsk_core::transport::{Endpoint, Event, Report, StreamEnd, Token};

use super::Kit;
use super::socket::{Connect, Connecting, Sending, SendingTo, Shutting, Socket};
use crate::driver::staging::Staging;
use crate::driver::{datagrams, incoming, info};
use crate::endpoint::FinState;
use crate::{errno, icmp, message};

/// Connections, buffers, datagrams and sends of one turn.
const ACCEPTS: usize = 64;
const RECEIVES: usize = 8;
const DATAGRAMS: usize = 32;
const SENDS: usize = 16;

/// Gives `socket` a turn. Says whether it could go on at once.
pub(super) fn step(token: Token, socket: &mut Socket, kit: &mut Kit, reports: &mut Vec<Report>) -> bool {
    let mut report = |event| reports.push(Report { token, event });
    if socket.connect.is_some() {
        connect(socket, kit, &mut report);
    }
    if socket.accept {
        accept(socket, kit, &mut report);
    }
    if socket.stream {
        receive_stream(token, socket, kit, &mut report);
    }
    if socket.receive.is_some() {
        receive(socket, &mut report);
    }
    if socket.datagrams || socket.receive_from.is_some() {
        if std::mem::take(&mut socket.error) {
            socket.endpoint.collect_errors();
        }
        deliver_errors(socket, &mut report);
    }
    if socket.datagrams {
        receive_datagrams(token, socket, kit, &mut report);
    }
    if socket.receive_from.is_some() {
        receive_from(socket, kit, &mut report);
    }
    if socket.send.is_some() {
        send(socket, kit, &mut report);
    }
    if !socket.sends_to.is_empty() {
        send_to(socket, &mut report);
    }
    if socket.watch && (socket.gone || socket.error) {
        watch(socket, &mut report);
    }
    if socket.shutdown.is_some() {
        shut_down(socket, &mut report);
    }
    let reads = socket.accept
        || (socket.stream || socket.datagrams) && !socket.starving
        || socket.receive.is_some()
        || socket.receive_from.is_some();
    let writes = socket.send.is_some() || !socket.sends_to.is_empty();
    reads && socket.readable || writes && socket.writable
}

/// Nothing more is there for now, unless the end is near: that would not be announced again.
fn ran_dry(socket: &mut Socket) {
    if !socket.gone && !socket.error {
        socket.readable = false;
    }
}

fn connect(socket: &mut Socket, kit: &Kit, report: &mut impl FnMut(Event)) {
    let outcome = match socket.connect.as_ref().expect("checked by the caller").state {
        Connecting::Started => connect_outcome(socket),
        Connecting::Wanted(remote) => {
            socket.connect.as_mut().expect("checked by the caller").state = Connecting::Started;
            // What was said of the unconnected socket says nothing of the connection.
            (socket.readable, socket.writable, socket.gone, socket.error) = (false, false, false, false);
            start_connect(socket, kit, remote)
        }
    };
    if let Some(result) = outcome {
        let Connect { first, taken, .. } = socket.connect.take().expect("checked by the caller");
        report(Event::Connected { result: result.map(|()| taken), first });
    }
}

fn start_connect(socket: &mut Socket, kit: &Kit, remote: std::net::SocketAddr) -> Option<Result<(), NtStatus>> {
    let endpoint = &socket.endpoint;
    let connect = socket.connect.as_mut().expect("checked by the caller");
    let remote = match endpoint.failure().map_or_else(|| endpoint.destination(remote), Err) {
        Ok(remote) => remote,
        Err(status) => return Some(Err(status)),
    };
    let errno = match endpoint.fast_connect(&remote, &connect.first) {
        Some(Ok(taken)) => {
            connect.taken = taken;
            return connect_outcome(socket);
        }
        Some(Err(errno)) => errno,
        None => {
            kit.stats.add(1);
            match endpoint.with_fd(|fd| Ok(net::connect(fd, &remote))) {
                Ok(Ok(())) => {
                    endpoint.on_connected();
                    return Some(Ok(()));
                }
                Ok(Err(Errno::INPROGRESS | Errno::INTR)) => return None,
                Ok(Err(e)) => e.raw_os_error(),
                Err(status) => return Some(Err(status)),
            }
        }
    };
    endpoint.undo_connect();
    Some(Err(errno::on_connect(errno)))
}

/// How a connect that was started has ended. `None`: it has not.
pub(super) fn connect_outcome(socket: &Socket) -> Option<Result<(), NtStatus>> {
    let endpoint = &socket.endpoint;
    let outcome = endpoint.connect_outcome()?;
    match outcome {
        Ok(()) => endpoint.on_connected(),
        Err(_) => endpoint.undo_connect(),
    }
    Some(outcome.map_err(errno::on_connect))
}

fn accept(socket: &mut Socket, kit: &Kit, report: &mut impl FnMut(Event)) {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let mut left = ACCEPTS;
    while socket.readable && left > 0 {
        left -= 1;
        kit.stats.add(1);
        let error = match socket.endpoint.with_fd(|fd| Ok(net::acceptfrom_with(fd, flags))) {
            Ok(Ok((fd, peer))) => {
                let peer = peer.and_then(|peer| peer.try_into().ok());
                if let Some(event) = incoming(fd, peer, &socket.endpoint) {
                    report(event);
                }
                continue;
            }
            Ok(Err(Errno::AGAIN)) => {
                socket.readable = false;
                return;
            }
            Ok(Err(e)) if errno::accept_goes_on(e.raw_os_error()) => continue,
            Ok(Err(e)) => errno::status(e.raw_os_error()),
            Err(status) => status,
        };
        socket.accept = false;
        report(Event::AcceptStopped(Err(error)));
        return;
    }
}

fn receive_stream(token: Token, socket: &mut Socket, kit: &mut Kit, report: &mut impl FnMut(Event)) {
    let mut left = RECEIVES;
    while socket.readable && left > 0 {
        left -= 1;
        let Some(mut lease) = kit.streams.take() else {
            if !std::mem::replace(&mut socket.starving, true) {
                kit.streams.starving.push_back(token);
            }
            return;
        };
        kit.stats.add(1);
        let space = lease.space();
        let size = space.len();
        let result = socket.endpoint.with_fd(|fd| Ok(net::recv(fd, space, RecvFlags::DONTWAIT).map(|(n, _)| n)));
        let end = match result {
            Ok(Ok(n)) if n > 0 => {
                let drained = n < size || {
                    kit.stats.add(1);
                    socket.endpoint.unread() == 0
                };
                if drained {
                    ran_dry(socket);
                }
                report(Event::Received { buffer: Buffer::new(kit.streams.pool.lend(lease, 0, n)), drained });
                continue;
            }
            Ok(Ok(_)) => socket.endpoint.end_of_stream(),
            Ok(Err(Errno::AGAIN)) => {
                socket.readable = false;
                kit.streams.free.push(lease);
                return;
            }
            Ok(Err(Errno::INTR)) => {
                kit.streams.free.push(lease);
                continue;
            }
            Ok(Err(e)) => StreamEnd::Failed(socket.endpoint.stream_error(e.raw_os_error())),
            Err(status) => StreamEnd::Failed(status),
        };
        kit.streams.free.push(lease);
        socket.stream = false;
        report(Event::ReceiveStopped(end));
        return;
    }
}

fn receive(socket: &mut Socket, report: &mut impl FnMut(Event)) {
    if !socket.readable {
        return;
    }
    let (mut memory, offset) = socket.receive.take().expect("checked by the caller");
    let room = memory.len().saturating_sub(offset);
    let result = match socket.endpoint.try_receive(&mut memory, offset) {
        _ if room == 0 => Err(StreamEnd::Stopped),
        Ok(Some(0)) => Err(StreamEnd::Fin),
        Ok(Some(n)) => {
            if n < room {
                ran_dry(socket);
            }
            Ok(n)
        }
        Ok(None) => {
            socket.readable = false;
            socket.receive = Some((memory, offset));
            return;
        }
        Err(status) => Err(StreamEnd::Failed(status)),
    };
    report(Event::ReceiveDone { memory, result });
}

/// Tells of datagrams that did not arrive.
fn deliver_errors(socket: &mut Socket, report: &mut impl FnMut(Event)) {
    while let Some(fate) = socket.endpoint.next_fate() {
        if let Some(status) = fate.unreachable {
            report(Event::Unreachable(status));
        }
        let Some(info) = fate.shown else { continue };
        if socket.datagrams {
            report(Event::Datagram(icmp::datagram(info)));
        } else if let Some(memory) = socket.receive_from.take() {
            return report(Event::ReceiveFromDone { memory, result: Ok(info) });
        }
    }
}

fn receive_datagrams(token: Token, socket: &mut Socket, kit: &mut Kit, report: &mut impl FnMut(Event)) {
    socket.endpoint.coalesce();
    // What a single receive left comes first.
    if let Some(staging) = &mut socket.staging {
        while let Some(datagram) = staging.stream(&socket.endpoint, &kit.stats) {
            report(Event::Datagram(datagram));
        }
    }
    let mut left = DATAGRAMS;
    while socket.readable && left > 0 {
        left -= 1;
        let Some(mut lease) = kit.datagrams.take() else {
            if !std::mem::replace(&mut socket.starving, true) {
                kit.datagrams.starving.push_back(token);
            }
            return;
        };
        kit.stats.add(1);
        let space = lease.space();
        kit.header.for_receive_into(space.as_mut_ptr(), space.len());
        let header = &mut kit.header;
        let error = match socket.endpoint.with_fd(|fd| Ok(message::receive(fd, header))) {
            Ok(Ok(len)) => {
                match kit.header.received() {
                    Some((source, seen, _)) => {
                        let lent = kit.datagrams.pool.lend(lease, 0, len);
                        datagrams(&socket.endpoint, lent, source, &seen, &mut *report);
                    }
                    None => kit.datagrams.free.push(lease),
                }
                continue;
            }
            Ok(Err(errno)) => {
                kit.datagrams.free.push(lease);
                match errno {
                    libc::EAGAIN => {
                        socket.readable = false;
                        return;
                    }
                    errno if errno::ends_datagrams(errno) => errno::status(errno),
                    _ => {
                        socket.endpoint.collect_errors(); // of an earlier send (F-199)
                        deliver_errors(socket, report);
                        continue;
                    }
                }
            }
            Err(status) => {
                kit.datagrams.free.push(lease);
                status
            }
        };
        socket.datagrams = false;
        report(Event::DatagramsStopped(Err(error)));
        return;
    }
}

fn receive_from(socket: &mut Socket, kit: &mut Kit, report: &mut impl FnMut(Event)) {
    let endpoint = &socket.endpoint;
    let memory = socket.receive_from.as_mut().expect("checked by the caller");
    let straight = endpoint.receives_straight(memory);
    if straight && socket.staging.as_ref().is_some_and(|left| left.is_empty()) {
        socket.staging = None;
    }
    if socket.staging.is_some() || !straight {
        let staging = socket.staging.get_or_insert_with(Staging::new);
        if let Some(info) = staging.receive(endpoint, memory, &kit.stats) {
            let memory = socket.receive_from.take().expect("used just now");
            return report(Event::ReceiveFromDone { memory, result: Ok(info) });
        }
    }
    let mut left = DATAGRAMS;
    while socket.readable && left > 0 {
        left -= 1;
        let mut memory = socket.receive_from.take().expect("checked by the caller");
        match &mut socket.staging {
            Some(staging) => {
                let space = staging.space();
                kit.header.for_receive_into(space.as_mut_ptr(), space.len());
            }
            None => kit.header.for_receive_from(&mut memory),
        }
        kit.stats.add(1);
        let header = &mut kit.header;
        let result = match socket.endpoint.with_fd(|fd| Ok(message::receive(fd, header))) {
            Ok(Ok(len)) => match (kit.header.received(), &mut socket.staging) {
                (Some((source, seen, _)), Some(staging)) => {
                    staging.fill(len, source, seen);
                    let info = staging.receive(&socket.endpoint, &mut memory, &kit.stats);
                    Ok(info.expect("there is at least one"))
                }
                (Some((source, seen, longer)), None) => Ok(info(&socket.endpoint, len, source, &seen, longer)),
                (None, _) => Err(NtStatus::UNSUCCESSFUL),
            },
            Ok(Err(errno)) if !errno::ends_datagrams(errno) => {
                socket.receive_from = Some(memory);
                if errno == libc::EAGAIN {
                    socket.readable = false;
                    return;
                }
                socket.endpoint.collect_errors();
                deliver_errors(socket, report);
                if socket.receive_from.is_none() {
                    return;
                }
                continue;
            }
            Ok(Err(errno)) => Err(errno::status(errno)),
            Err(status) => Err(status),
        };
        report(Event::ReceiveFromDone { memory, result });
        return;
    }
}

fn send(socket: &mut Socket, kit: &mut Kit, report: &mut impl FnMut(Event)) {
    let mut sending = socket.send.take().expect("checked by the caller");
    let mut left = SENDS;
    let result = loop {
        if sending.sent >= sending.total {
            break Ok(());
        }
        if !socket.writable || left == 0 {
            socket.send = Some(sending);
            return;
        }
        left -= 1;
        match send_some(socket, kit, &sending) {
            Ok(Some(n)) => sending.sent += n,
            Ok(None) => socket.writable = false,
            Err(status) => break Err(status),
        }
    };
    let Sending { parts, sent, .. } = sending;
    report(Event::SendDone { parts, sent, result });
}

fn send_some(socket: &Socket, kit: &mut Kit, sending: &Sending) -> Result<Option<usize>, NtStatus> {
    if let [only] = sending.parts.as_slice() {
        return socket.endpoint.try_send(only, sending.sent);
    }
    if let Some(status) = socket.endpoint.failure() {
        return Err(status);
    }
    kit.stats.add(1);
    kit.header.for_send(&sending.parts, sending.sent);
    match socket.endpoint.with_fd(|fd| Ok(message::send(fd, &kit.header)))? {
        Ok(n) => Ok(Some(n)),
        Err(libc::EAGAIN) => Ok(None),
        Err(libc::EINTR) => Ok(Some(0)),
        Err(errno) => Err(socket.endpoint.stream_error(errno)),
    }
}

fn send_to(socket: &mut Socket, report: &mut impl FnMut(Event)) {
    let mut left = SENDS;
    while socket.writable && left > 0 {
        left -= 1;
        let Some(mut send) = socket.sends_to.pop_front() else {
            return;
        };
        let SendingTo { messages, sent, remote, control, .. } = &mut send;
        let result = match socket.endpoint.try_send_to(messages, *sent, *remote, control) {
            Ok(n) if n >= messages.len() => {
                *sent = n;
                Ok(())
            }
            Ok(n) => {
                // Without progress there is no room; otherwise what is left may have failed.
                socket.writable = n > *sent;
                *sent = n;
                socket.sends_to.push_front(send);
                continue;
            }
            Err(status) => Err(status),
        };
        report(send.done(result));
    }
}

fn watch(socket: &mut Socket, report: &mut impl FnMut(Event)) {
    if let Some(seen) = socket.endpoint.hangup(socket.gone, socket.error) {
        socket.watch = false;
        report(Event::Hangup(seen));
    }
}

fn shut_down(socket: &mut Socket, report: &mut impl FnMut(Event)) {
    let state = match socket.shutdown.expect("checked by the caller") {
        Shutting::Wanted => {
            socket.shutdown = Some(Shutting::Started);
            socket.endpoint.send_fin()
        }
        Shutting::Started if socket.poked => socket.endpoint.fin_state(),
        Shutting::Started => return,
    };
    socket.poked = false;
    let result = match state {
        FinState::Pending => return,
        FinState::Acknowledged => Ok(()),
        FinState::Gone => socket.endpoint.failure().map_or(Ok(()), Err),
        FinState::Failed(status) => Err(status),
    };
    socket.shutdown = None;
    report(Event::ShutdownDone(result));
}
