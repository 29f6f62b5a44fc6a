//! What the models share: leases that are counted, and the account of requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wsk_abi::status::NtStatus;
use wsk_core::memory::{Buffer, Lease};
use wsk_core::request::RequestId;

/// Counts leases that are out.
#[derive(Clone, Default)]
pub(crate) struct Leases(Arc<AtomicUsize>);

struct TestLease {
    bytes: Vec<u8>,
    out: Leases,
}

impl Lease for TestLease {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn capacity(&self) -> usize {
        4096
    }

    fn release(self: Box<Self>) {
        self.out.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Leases {
    pub(crate) fn lend(&self, bytes: Vec<u8>) -> Buffer {
        self.0.fetch_add(1, Ordering::Relaxed);
        Buffer::new(Box::new(TestLease { bytes, out: self.clone() }))
    }

    pub(crate) fn out(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Byte number `at` of a stream.
pub(crate) fn byte(at: usize) -> u8 {
    (at.wrapping_mul(31) >> 3) as u8 ^ at as u8
}

/// Requests: which are open, and that each ends once.
#[derive(Default)]
pub(crate) struct Requests {
    next: u64,
    open: BTreeMap<RequestId, &'static str>,
}

impl Requests {
    pub(crate) fn make(&mut self, kind: &'static str) -> RequestId {
        let id = RequestId(self.next);
        self.next += 1;
        self.open.insert(id, kind);
        id
    }

    /// Law 1: it was open. Returns its kind.
    pub(crate) fn complete(&mut self, id: RequestId, status: NtStatus) -> &'static str {
        self.open.remove(&id).unwrap_or_else(|| panic!("{id:?} completed twice, or never made ({status})"))
    }

    pub(crate) fn pick(&self, n: usize) -> Option<RequestId> {
        self.open.keys().nth(n % self.open.len().max(1)).copied()
    }

    pub(crate) fn assert_none(&self) {
        assert!(self.open.is_empty(), "never completed: {:?}", self.open);
    }
}

/// A history: the numbers that a test feeds to its model, one after the other.
pub(crate) struct History<'a>(pub(crate) std::slice::Iter<'a, u16>);

impl History<'_> {
    pub(crate) fn next(&mut self) -> Option<usize> {
        self.0.next().map(|n| usize::from(*n))
    }

    /// A further number of the same step; 0 when the history is over.
    pub(crate) fn more(&mut self) -> usize {
        self.next().unwrap_or(0)
    }
}
