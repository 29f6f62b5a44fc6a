//! Where a single datagram is received on an endpoint whose datagrams may come as one (UDP_GRO): a client's memory must never
//! have more than one in it, and the rest must not be lost.
//!
//! Only endpoints that streamed datagrams before come here, and memory of more pieces than the kernel takes. What is received is
//! copied, and the rest waits for the next receives.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;

use wsk_core::memory::{Buffer, Lease, Memory};
use wsk_core::transport::{Datagram, DatagramInfo};

use super::info;
use crate::cmsg::Seen;
use crate::endpoint::HostEndpoint;
use crate::stats::Stats;

/// The longest that the kernel makes of several.
const LONGEST: usize = 65_535;

/// A received message and its datagrams that nobody has yet.
pub(crate) struct Staging {
    space: Box<[u8]>,
    left: VecDeque<Range<usize>>,
    came: Option<(SocketAddr, Seen)>,
}

impl Staging {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self { space: vec![0; LONGEST].into_boxed_slice(), left: VecDeque::new(), came: None })
    }

    /// Whether no datagram waits here.
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// For the kernel to write.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.space
    }

    /// A message of `len` bytes has been received.
    pub(crate) fn fill(&mut self, len: usize, source: SocketAddr, seen: Seen) {
        let size = seen.segment().unwrap_or(len).max(1);
        let len = len.min(self.space.len());
        self.left = (0..len.div_ceil(size).max(1)).map(|n| n * size..len.min((n + 1) * size)).collect();
        self.came = Some((source, seen));
    }

    fn next(&mut self) -> Option<(&[u8], SocketAddr, Seen)> {
        let (source, seen) = self.came?;
        let range = self.left.pop_front()?;
        Some((&self.space[range], source, seen))
    }

    /// The next datagram, into a client's memory.
    pub(crate) fn receive(
        &mut self,
        endpoint: &HostEndpoint,
        memory: &mut Memory,
        stats: &Stats,
    ) -> Option<DatagramInfo> {
        let (bytes, source, seen) = self.next()?;
        let len = memory.write(0, bytes);
        stats.copied(len as u64);
        Some(info(endpoint, len, source, &seen, len < bytes.len()))
    }

    /// The next datagram, among streamed ones.
    pub(crate) fn stream(&mut self, endpoint: &HostEndpoint, stats: &Stats) -> Option<Datagram> {
        let (bytes, source, seen) = self.next()?;
        stats.copied(bytes.len() as u64);
        let (flags, control) = endpoint.shown(&source, &seen);
        Some(Datagram { buffer: Buffer::new(Box::new(Copied(bytes.into()))), source, flags, control })
    }
}

/// A datagram in memory of its own.
struct Copied(Box<[u8]>);

impl Lease for Copied {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }

    fn release(self: Box<Self>) {}
}
