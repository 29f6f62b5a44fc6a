//! Operations in flight: what they do, the memory they hold, and how each is told to the kernel.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;

use io_uring::opcode;
use io_uring::types::Fd;
use slotmap::Key;
use wsk_core::control_data::ControlData;
use wsk_core::memory::Memory;
use wsk_core::transport::{DatagramInfo, Gather, IncomingId, Messages, SendId, Token};

use super::{OpKey, UringDriver};
use crate::batch;
use crate::driver::staging::Staging;
use crate::endpoint::{HostEndpoint, Tries};
use crate::message::{self, Header};

/// The kinds of operation of which an endpoint has at most one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Accept,
    Connect,
    Stream,
    Receive,
    Send,
    Watch,
    Shutdown,
    Datagrams,
    ReceiveFrom,
}

pub(super) const KINDS: usize = 9;

/// What an operation does, and the memory it holds.
pub(super) enum Work {
    Accept,
    WatchIncoming {
        id: IncomingId,
        endpoint: Arc<HostEndpoint>,
    },
    /// `taken`: it was started by hand, and so many bytes are on their way.
    Connect {
        first: Memory,
        taken: Option<usize>,
    },
    Stream,
    Receive {
        memory: Memory,
        offset: usize,
    },
    Send {
        parts: Gather,
        sent: usize,
        total: usize,
    },
    Watch,
    Shutdown {
        reported: bool,
    },
    Datagrams,
    /// `failed`: an earlier datagram did not arrive; that is what is received.
    ReceiveFrom {
        memory: Memory,
        failed: Option<DatagramInfo>,
        staging: Option<Box<Staging>>,
    },
    /// `unit`: datagrams, and their size, that the kernel has as one message (see `batch`).
    SendTo {
        id: SendId,
        messages: Messages,
        sent: usize,
        remote: SocketAddr,
        control: ControlData,
        unit: (usize, u16),
        tries: Tries,
    },
}

impl Work {
    pub(super) fn kind(&self) -> Option<Kind> {
        Some(match self {
            Work::Accept => Kind::Accept,
            Work::Connect { .. } => Kind::Connect,
            Work::Stream => Kind::Stream,
            Work::Receive { .. } => Kind::Receive,
            Work::Send { .. } => Kind::Send,
            Work::Watch => Kind::Watch,
            Work::Shutdown { .. } => Kind::Shutdown,
            Work::Datagrams => Kind::Datagrams,
            Work::ReceiveFrom { .. } => Kind::ReceiveFrom,
            Work::WatchIncoming { .. } | Work::SendTo { .. } => return None,
        })
    }
}

/// An operation in flight.
pub(super) struct Op {
    pub(super) token: Token,
    pub(super) fd: RawFd,
    /// It was asked to end.
    pub(super) stop: bool,
    /// It waits for buffers; the kernel knows nothing of it.
    pub(super) parked: bool,
    pub(super) header: Option<Box<Header>>,
    pub(super) work: Work,
}

/// An attached endpoint.
pub(super) struct Socket {
    pub(super) endpoint: Arc<HostEndpoint>,
    pub(super) fd: RawFd,
    pub(super) ops: [Option<OpKey>; KINDS],
    pub(super) watches: Vec<(IncomingId, OpKey)>,
    pub(super) sends_to: u32,
    pub(super) in_flight: u32,
    pub(super) detach: Option<bool>,
    /// Of single receives that cannot go straight to the client's memory.
    pub(super) staging: Option<Box<Staging>>,
}

impl UringDriver {
    /// Hands an operation to the kernel, for the first time or again.
    pub(super) fn arm(&mut self, key: OpKey) {
        let op = &mut self.ops[key];
        op.parked = false;
        let fd = Fd(op.fd);
        let header = &mut op.header;
        let entry = match &mut op.work {
            Work::Accept => opcode::AcceptMulti::new(fd).flags(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC).build(),
            Work::WatchIncoming { .. } | Work::Watch => {
                opcode::PollAdd::new(fd, (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) as u32).build()
            }
            Work::Connect { taken: Some(_), .. } => opcode::PollAdd::new(fd, libc::POLLOUT as u32).build(),
            Work::Connect { taken: None, .. } => {
                let (name, len) = header.as_ref().expect("a connect has a header").name();
                opcode::Connect::new(fd, name.cast(), len).build()
            }
            Work::Stream => opcode::RecvMulti::new(fd, self.streams.group()).build(),
            Work::Receive { memory, offset } => match message::single_piece_mut(memory, *offset) {
                Some((base, len)) => opcode::Recv::new(fd, base, len as u32).build(),
                None => {
                    let header = header.get_or_insert_with(|| self.spare.pop().unwrap_or_else(Header::new));
                    header.for_receive(memory, *offset);
                    opcode::RecvMsg::new(fd, header.message_mut()).build()
                }
            },
            Work::Send { parts, sent, .. } => {
                let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
                match message::single_piece(parts, *sent) {
                    Some((base, len)) => opcode::Send::new(fd, base, len as u32).flags(flags).build(),
                    None => {
                        let header = header.get_or_insert_with(|| self.spare.pop().unwrap_or_else(Header::new));
                        header.for_send(parts, *sent);
                        opcode::SendMsg::new(fd, header.message()).flags(flags as u32).build()
                    }
                }
            }
            // Edge-triggered and multishot: the kernel wakes pollers when our FIN is acknowledged.
            Work::Shutdown { .. } => opcode::PollAdd::new(fd, libc::POLLOUT as u32).multi(true).build(),
            Work::Datagrams => {
                let header = header.as_ref().expect("datagrams have a header");
                opcode::RecvMsgMulti::new(fd, header.message(), self.datagrams.group()).build()
            }
            Work::ReceiveFrom { memory, staging, .. } => {
                let header = header.as_mut().expect("a datagram has a header");
                match staging {
                    Some(staging) => {
                        let space = staging.space();
                        header.for_receive_into(space.as_mut_ptr(), space.len());
                    }
                    None => header.for_receive_from(memory),
                }
                opcode::RecvMsg::new(fd, header.message_mut()).build()
            }
            Work::SendTo { messages, sent, remote, control, unit, tries, .. } => {
                let header = header.as_mut().expect("a datagram has a header");
                let endpoint = &self.sockets.get(op.token).expect("its operations end before it").endpoint;
                endpoint.begin_try(tries);
                let mut along = endpoint.outgoing(remote, control);
                *unit = batch::unit(&messages[*sent..], endpoint.largest_segment(control, tries));
                if unit.1 > 0 {
                    along.segment(unit.1);
                }
                header.set_control(&along);
                header.for_send_to(&messages[*sent..*sent + unit.0], remote);
                opcode::SendMsg::new(fd, header.message()).flags(libc::MSG_NOSIGNAL as u32).build()
            }
        };
        self.ring.push(&entry.user_data(key.data().as_ffi()));
    }
}
