//! Indications: received data in the subsystem's own buffers, as event callbacks get it.
//!
//! An indication that a callback moves elsewhere is retained (C: STATUS_PENDING); dropping it releases it (C: WskRelease).
//! Its bytes do not change until then (promise 2). Retaining is bounded: see E-120.

use std::net::SocketAddr;
use std::sync::Arc;

use wsk_abi::flags::{ControlFlags, EventFlags};
use wsk_core::control_data::ControlData;
use wsk_core::indication::{DatagramList, capacity, datagram_capacity};
use wsk_core::memory::{Account, Buffer, BufferList, Memory};
use wsk_core::transport::Datagram;

/// Stream data, in order: what WskReceiveEvent is handed (events.md 7).
#[derive(Debug)]
pub struct Indication {
    list: BufferList,
    flags: EventFlags,
    /// Tells this indication from others when a callback hands it back.
    ticket: u64,
}

impl Indication {
    pub(crate) fn new(mut list: BufferList, flags: EventFlags, ticket: u64, account: &Arc<dyn Account>) -> Self {
        for buffer in &mut list {
            buffer.set_account(Some(account.clone()));
        }
        Self { list, flags, ticket }
    }

    /// The bytes, in pieces; most indications have one.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.list.iter().map(Buffer::bytes)
    }

    /// Total bytes (BytesIndicated).
    pub fn len(&self) -> usize {
        self.list.iter().map(Buffer::len).sum()
    }

    /// Never true: an indication has at least one byte (E-70).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// ENTIRE_MESSAGE, RELEASE_ASAP, AT_DISPATCH_LEVEL (E-71).
    pub fn flags(&self) -> EventFlags {
        self.flags
    }

    /// A copy of the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        self.chunks().for_each(|chunk| bytes.extend_from_slice(chunk));
        bytes
    }

    /// The buffers one by one, each to be released by itself (E-117).
    pub fn into_buffers(self) -> BufferList {
        self.list
    }

    pub(crate) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Takes the buffers back after `accepted` bytes: those, and the transport memory of the whole.
    pub(crate) fn take_back(mut self, accepted: usize) -> (BufferList, usize) {
        let lent = capacity(&self.list);
        let mut left = accepted;
        let mut rest = BufferList::new();
        for mut buffer in self.list.drain(..) {
            buffer.set_account(None);
            let n = left.min(buffer.len());
            left -= n;
            if n < buffer.len() {
                buffer.advance(n);
                rest.push(buffer);
            }
        }
        (rest, lent)
    }
}

impl From<Indication> for Memory {
    /// Sends received buffers on as they are, without a copy; they are released when the send completes.
    fn from(indication: Indication) -> Self {
        Memory::Buffers(indication.list)
    }
}

/// One datagram of a [`Datagrams`] list; dropping it releases it.
#[derive(Debug)]
pub struct ReceivedDatagram(Datagram);

impl ReceivedDatagram {
    /// The whole datagram (E-81).
    pub fn bytes(&self) -> &[u8] {
        self.0.buffer.bytes()
    }

    /// The sender.
    pub fn source(&self) -> SocketAddr {
        self.0.source
    }

    /// BCAST or MCAST, by its destination; ERRQUEUE: it stands for an ICMP error (E-84).
    pub fn flags(&self) -> ControlFlags {
        self.0.flags
    }

    /// What the socket's options asked to see of it (E-83).
    pub fn control(&self) -> &ControlData {
        &self.0.control
    }
}

impl From<ReceivedDatagram> for Memory {
    fn from(datagram: ReceivedDatagram) -> Self {
        let mut list = BufferList::new();
        list.push(datagram.0.buffer);
        Memory::Buffers(list)
    }
}

/// Datagrams in the order of arrival: what WskReceiveFromEvent is handed (events.md 8).
#[derive(Debug)]
pub struct Datagrams {
    list: DatagramList,
    flags: EventFlags,
    ticket: u64,
}

impl Datagrams {
    pub(crate) fn new(mut list: DatagramList, flags: EventFlags, ticket: u64, account: &Arc<dyn Account>) -> Self {
        for datagram in &mut list {
            datagram.buffer.set_account(Some(account.clone()));
        }
        Self { list, flags, ticket }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Never true.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// BCAST, MCAST (shared by all), AT_DISPATCH_LEVEL (E-80).
    pub fn flags(&self) -> EventFlags {
        self.flags
    }

    /// Bytes and sender of each.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        self.list.iter().map(|d| (d.buffer.bytes(), d.source))
    }

    /// What the socket's options asked to see of each, in the same order (E-83).
    pub fn control(&self) -> impl Iterator<Item = &ControlData> {
        self.list.iter().map(|d| &d.control)
    }

    pub(crate) fn ticket(&self) -> u64 {
        self.ticket
    }

    pub(crate) fn take_back(mut self) -> (DatagramList, usize) {
        let lent = datagram_capacity(&self.list);
        let mut list = std::mem::take(&mut self.list);
        for datagram in &mut list {
            datagram.buffer.set_account(None);
        }
        (list, lent)
    }
}

impl IntoIterator for Datagrams {
    type Item = ReceivedDatagram;
    type IntoIter = std::iter::Map<<DatagramList as IntoIterator>::IntoIter, fn(Datagram) -> ReceivedDatagram>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter().map(ReceivedDatagram)
    }
}
