//! The drivers: one per processor, io_uring or epoll, with the same behaviour.
//!
//! Here is what both need: the table that finds a socket by its token, and the terminal event of an operation that
//! cannot be started.

pub(crate) mod epoll;
pub(crate) mod staging;
pub(crate) mod uring;

use std::any::Any;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use wsk_abi::flags::ControlFlags;
use wsk_core::memory::{Buffer, Lease};
use wsk_core::transport::{Datagram, DatagramInfo, Endpoint, Event, Incoming, Token};

use crate::cmsg::Seen;
use crate::endpoint::HostEndpoint;
use crate::pieces;
use crate::pool::PoolLease;

/// The sockets of a driver by token. The low half of a token is an index, the high half a generation.
pub(crate) struct Table<S> {
    entries: Vec<Option<(Token, S)>>,
}

impl<S> Table<S> {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new() }
    }

    fn index(token: Token) -> usize {
        token.0 as u32 as usize
    }

    pub(crate) fn insert(&mut self, token: Token, socket: S) {
        let index = Self::index(token);
        if index >= self.entries.len() {
            self.entries.resize_with((index + 1).next_power_of_two(), || None);
        }
        let before = self.entries[index].replace((token, socket));
        assert!(before.is_none(), "a token is used again before its socket was detached");
    }

    #[inline]
    pub(crate) fn get(&self, token: Token) -> Option<&S> {
        match self.entries.get(Self::index(token)) {
            Some(Some((owner, socket))) if *owner == token => Some(socket),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut S> {
        match self.entries.get_mut(Self::index(token)) {
            Some(Some((owner, socket))) if *owner == token => Some(socket),
            _ => None,
        }
    }

    /// The socket at an index, whatever its generation.
    pub(crate) fn at(&mut self, index: u32) -> Option<(Token, &mut S)> {
        self.entries.get_mut(index as usize)?.as_mut().map(|(token, socket)| (*token, socket))
    }

    pub(crate) fn remove(&mut self, token: Token) -> Option<S> {
        self.get(token)?;
        self.entries[Self::index(token)].take().map(|(_, socket)| socket)
    }
}

/// The endpoint as the type of this transport.
///
/// # Panics
/// If it is of another transport.
pub(crate) fn own(endpoint: Arc<dyn Endpoint>) -> Arc<HostEndpoint> {
    let any: Arc<dyn Any + Send + Sync> = endpoint;
    any.downcast().expect("an endpoint of this transport")
}

/// The event of an accepted descriptor; `None` when its peer is gone already (F-137).
pub(crate) fn incoming(fd: OwnedFd, peer: Option<SocketAddr>, listener: &HostEndpoint) -> Option<Event> {
    let (endpoint, local, remote) = HostEndpoint::accepted(fd, peer, listener)?;
    Some(Event::Accepted(Incoming { endpoint, local, remote }))
}

/// What is told of a datagram in client memory; `longer` than that.
pub(crate) fn info(endpoint: &HostEndpoint, len: usize, source: SocketAddr, seen: &Seen, longer: bool) -> DatagramInfo {
    let (mut flags, control) = endpoint.shown(&source, seen);
    flags.set(ControlFlags::TRUNC, longer);
    DatagramInfo { len: len as u32, source, flags, control }
}

/// A message in the transport's memory: the datagrams that it is (E-86).
pub(crate) fn datagrams(
    endpoint: &HostEndpoint,
    lent: Box<PoolLease>,
    source: SocketAddr,
    seen: &Seen,
    mut each: impl FnMut(Event),
) {
    let (flags, control) = endpoint.shown(&source, seen);
    let mut report = |buffer, control| each(Event::Datagram(Datagram { buffer, source, flags, control }));
    let len = lent.bytes().len();
    let Some(size) = seen.segment().filter(|size| *size < len) else {
        return report(Buffer::new(lent), control);
    };
    let together = endpoint.wishes.coalesced() / size * size;
    let coalesced = control.clone().with_coalesced_size(size as u32);
    if together >= len {
        return report(Buffer::new(lent), coalesced);
    }
    for buffer in pieces::split(lent, together.max(size)) {
        let control = if buffer.len() > size { coalesced.clone() } else { control.clone() };
        report(buffer, control);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_token_finds_nothing() {
        let mut table = Table::new();
        let (old, new) = (Token(1 << 32 | 5), Token(3 << 32 | 5));
        table.insert(old, 'a');
        assert_eq!(table.get(old), Some(&'a'));
        assert_eq!(table.get(new), None);
        assert_eq!(table.remove(new), None);
        assert_eq!(table.remove(old), Some('a'));
        table.insert(new, 'b');
        assert_eq!(table.get(old), None);
        assert_eq!(table.get_mut(new), Some(&mut 'b'));
        assert_eq!(table.get(Token(1 << 40 | 900)), None);
    }
}
