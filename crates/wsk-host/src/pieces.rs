//! Datagrams that the kernel delivered as one (UDP_GRO), taken apart without copying: each piece lends a part of one buffer.
//!
//! The buffer goes back when the last piece is dropped. A client that keeps one keeps all of it busy, so the pieces share its
//! capacity among them.

use std::sync::Arc;

use wsk_core::memory::{Buffer, Lease};

use crate::pool::PoolLease;

/// A buffer that several share.
struct Whole(Option<Box<PoolLease>>);

impl Whole {
    fn lease(&self) -> &PoolLease {
        self.0.as_ref().expect("present until drop")
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if let Some(lease) = self.0.take() {
            lease.release();
        }
    }
}

/// A part of a buffer.
struct Piece {
    whole: Arc<Whole>,
    start: usize,
    len: usize,
    capacity: usize,
}

impl Lease for Piece {
    fn bytes(&self) -> &[u8] {
        &self.whole.lease().bytes()[self.start..self.start + self.len]
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn release(self: Box<Self>) {}
}

/// Pieces of `size` bytes of a buffer on loan, the last perhaps shorter.
pub(crate) fn split(lease: Box<PoolLease>, size: usize) -> impl Iterator<Item = Buffer> {
    let (total, capacity) = (lease.bytes().len(), lease.capacity());
    let count = total.div_ceil(size).max(1);
    let whole = Arc::new(Whole(Some(lease)));
    (0..count).map(move |n| {
        let start = n * size;
        let share = if n == 0 { capacity / count + capacity % count } else { capacity / count };
        let piece = Piece { whole: Arc::clone(&whole), start, len: size.min(total - start), capacity: share };
        Buffer::new(Box::new(piece))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bell::Bell;
    use crate::pool::Pool;

    #[test]
    fn pieces_share_a_buffer_and_its_capacity() {
        let bell = Arc::new(Bell::new(Arc::default()).unwrap());
        let mut pool = Pool::new(8192, 1, 1, bell);
        let mut free = Vec::new();
        pool.grow(|lease| free.push(lease)).unwrap();
        let mut lease = free.pop().unwrap();
        for (n, byte) in lease.space().iter_mut().enumerate() {
            *byte = (n / 100) as u8;
        }
        let lent = pool.lend(lease, 100, 5050);
        let mut pieces: Vec<Buffer> = split(lent, 1000).collect();
        assert_eq!(pieces.iter().map(Buffer::len).collect::<Vec<_>>(), [1000, 1000, 1000, 1000, 1000, 50]);
        assert_eq!(pieces.iter().map(Buffer::capacity).sum::<usize>(), 8192);
        assert!(pieces.iter().enumerate().all(|(n, piece)| piece.bytes()[0] == 1 + 10 * n as u8));
        assert_eq!(pool.shared().figures().0, 1);
        let kept = pieces.remove(3);
        drop(pieces);
        assert_eq!(kept.bytes()[..100], [31; 100]);
        pool.take_returned(&mut free, false);
        assert!(free.is_empty());
        drop(kept);
        pool.take_returned(&mut free, false);
        assert_eq!(free.len(), 1);
        assert_eq!(pool.shared().figures().0, 0);
    }
}
