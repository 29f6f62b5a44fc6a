//! Memory that data lies in: the transport's buffers on loan ([`Buffer`]) and memory a client gave to a request
//! ([`Memory`]).
//!
//! Both are owned values. Whoever holds one may rely on its bytes; a transport holds the [`Memory`] of an operation until
//! the operation's own end (promise 4), and a [`Buffer`] goes back to the transport when it is dropped (promise 2).

use std::any::Any;
use std::sync::Arc;

use smallvec::SmallVec;

/// A piece of a transport's own memory, lent upward with data in it.
///
/// A transport keeps these boxes in a pool: [`Lease::release`] hands the box itself back, so lending allocates nothing.
pub trait Lease: Send + Sync {
    /// The received bytes. They do not change while the lease is out.
    fn bytes(&self) -> &[u8];
    /// Bytes of transport memory this lease keeps busy, however few of them hold data.
    fn capacity(&self) -> usize;
    /// Gives the memory back to the transport; any thread may do it.
    fn release(self: Box<Self>);
}

/// Keeps the account of transport memory that a client holds (E-120).
pub trait Account: Send + Sync {
    /// A buffer of this capacity went back to the transport.
    fn released(self: Arc<Self>, capacity: usize);
}

/// Received bytes in transport memory: a [`Lease`] and the part of it that is meant. Dropping it gives the memory back.
pub struct Buffer {
    lease: Option<Box<dyn Lease>>,
    account: Option<Arc<dyn Account>>,
    start: u32,
    len: u32,
}

impl Buffer {
    /// All bytes of `lease`.
    pub fn new(lease: Box<dyn Lease>) -> Self {
        let len = u32::try_from(lease.bytes().len()).expect("a lease holds less than 4 GiB");
        Self { lease: Some(lease), account: None, start: 0, len }
    }

    /// The bytes meant.
    pub fn bytes(&self) -> &[u8] {
        let all = self.lease.as_ref().expect("present until drop").bytes();
        &all[self.start as usize..(self.start + self.len) as usize]
    }

    /// Number of bytes meant.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether no byte is meant (an empty datagram).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of transport memory kept busy.
    pub fn capacity(&self) -> usize {
        self.lease.as_ref().expect("present until drop").capacity()
    }

    /// Forgets the first `n` bytes.
    ///
    /// # Panics
    /// If fewer than `n` are left.
    pub fn advance(&mut self, n: usize) {
        let n = u32::try_from(n).expect("within the buffer");
        assert!(n <= self.len, "advance past the end of a buffer");
        self.start += n;
        self.len -= n;
    }
}

impl Buffer {
    /// Whom to tell when the buffer is dropped; `None` to tell nobody.
    pub fn set_account(&mut self, account: Option<Arc<dyn Account>>) {
        self.account = account;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        let capacity = lease.capacity();
        lease.release();
        if let Some(account) = self.account.take() {
            account.released(capacity);
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Received buffers in order; nearly always one.
pub type BufferList = SmallVec<[Buffer; 1]>;

/// The pieces of a [`Memory`], in order.
pub type Segments<'a> = SmallVec<[&'a [u8]; 4]>;

/// The writable pieces of a [`Memory`], in order.
pub type SegmentsMut<'a> = SmallVec<[&'a mut [u8]; 4]>;

/// Client memory of a kind the subsystem does not know by name (an MDL chain of a driver).
///
/// The slices borrow from `self`, so whoever owns the box may use them until it gives the box back.
pub trait ClientMemory: Send + Sync {
    /// Total length in bytes.
    fn len(&self) -> usize;
    /// Whether there is no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Appends all pieces, for sending.
    fn segments<'a>(&'a self, out: &mut Segments<'a>);
    /// Appends all pieces, for receiving.
    fn segments_mut<'a>(&'a mut self, out: &mut SegmentsMut<'a>);
    /// Lets the owner have its own type back at completion.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

/// The memory of one request: the client's own, never copied by the subsystem.
#[derive(Default)]
pub enum Memory {
    /// None (a zero-length request).
    #[default]
    None,
    /// A vector; its length (not its capacity) is the request's length.
    Vec(Vec<u8>),
    /// The first so many bytes of a vector; for sending only. The whole vector comes back.
    Prefix(Vec<u8>, usize),
    /// Constant bytes; for sending only.
    Static(&'static [u8]),
    /// Shared bytes; for sending only.
    Shared(Arc<[u8]>),
    /// Received buffers passed on as they are; for sending only.
    Buffers(BufferList),
    /// Any other client memory.
    Client(Box<dyn ClientMemory>),
}

impl Memory {
    /// Total length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Memory::None => 0,
            Memory::Vec(v) => v.len(),
            Memory::Prefix(v, n) => v.len().min(*n),
            Memory::Static(s) => s.len(),
            Memory::Shared(s) => s.len(),
            Memory::Buffers(list) => list.iter().map(Buffer::len).sum(),
            Memory::Client(c) => c.len(),
        }
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a receive may write here.
    pub fn is_writable(&self) -> bool {
        matches!(self, Memory::None | Memory::Vec(_) | Memory::Client(_))
    }

    /// The pieces after the first `skip` bytes.
    pub fn segments(&self, skip: usize) -> Segments<'_> {
        let mut out = Segments::new();
        match self {
            Memory::None => {}
            Memory::Vec(v) => out.push(v),
            Memory::Prefix(v, n) => out.push(&v[..v.len().min(*n)]),
            Memory::Static(s) => out.push(s),
            Memory::Shared(s) => out.push(s),
            Memory::Buffers(list) => out.extend(list.iter().map(Buffer::bytes)),
            Memory::Client(c) => c.segments(&mut out),
        }
        let mut left = skip;
        out.retain(|piece| {
            let cut = left.min(piece.len());
            left -= cut;
            *piece = &piece[cut..];
            !piece.is_empty()
        });
        out
    }

    /// All bytes, if they lie in one piece.
    pub fn as_slice(&self) -> Option<&[u8]> {
        match self {
            Memory::Vec(v) => Some(v),
            Memory::Prefix(v, n) => Some(&v[..v.len().min(*n)]),
            Memory::Static(s) => Some(s),
            Memory::Shared(s) => Some(s),
            Memory::Buffers(list) => match list.as_slice() {
                [only] => Some(only.bytes()),
                _ => None,
            },
            Memory::None | Memory::Client(_) => None,
        }
    }

    /// The writable pieces after the first `skip` bytes; none for memory that is for sending only.
    pub fn segments_mut(&mut self, skip: usize) -> SegmentsMut<'_> {
        let mut out = SegmentsMut::new();
        match self {
            Memory::Vec(v) => out.push(v),
            Memory::Client(c) => c.segments_mut(&mut out),
            Memory::None | Memory::Prefix(..) | Memory::Static(_) | Memory::Shared(_) | Memory::Buffers(_) => {}
        }
        let mut left = skip;
        out.retain(|piece| {
            let cut = left.min(piece.len());
            left -= cut;
            *piece = &mut std::mem::take(piece)[cut..];
            !piece.is_empty()
        });
        out
    }

    /// Writes `data` at `offset`; returns how many bytes fitted.
    pub fn write(&mut self, offset: usize, data: &[u8]) -> usize {
        let mut written = 0;
        for piece in self.segments_mut(offset) {
            let n = piece.len().min(data.len() - written);
            piece[..n].copy_from_slice(&data[written..written + n]);
            written += n;
            if written == data.len() {
                break;
            }
        }
        written
    }
}

impl From<Vec<u8>> for Memory {
    fn from(bytes: Vec<u8>) -> Self {
        Memory::Vec(bytes)
    }
}

impl From<&'static [u8]> for Memory {
    fn from(bytes: &'static [u8]) -> Self {
        Memory::Static(bytes)
    }
}

impl<const N: usize> From<&'static [u8; N]> for Memory {
    fn from(bytes: &'static [u8; N]) -> Self {
        Memory::Static(bytes)
    }
}

impl From<&'static str> for Memory {
    fn from(text: &'static str) -> Self {
        Memory::Static(text.as_bytes())
    }
}

impl From<Arc<[u8]>> for Memory {
    fn from(bytes: Arc<[u8]>) -> Self {
        Memory::Shared(bytes)
    }
}

impl From<Box<dyn ClientMemory>> for Memory {
    fn from(memory: Box<dyn ClientMemory>) -> Self {
        Memory::Client(memory)
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self {
            Memory::None => "None",
            Memory::Vec(_) => "Vec",
            Memory::Prefix(..) => "Prefix",
            Memory::Static(_) => "Static",
            Memory::Shared(_) => "Shared",
            Memory::Buffers(_) => "Buffers",
            Memory::Client(_) => "Client",
        };
        write!(f, "{kind}({} bytes)", self.len())
    }
}
