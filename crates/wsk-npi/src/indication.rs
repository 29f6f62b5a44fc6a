//! Indications: received data in the subsystem's memory, as lists that a client may keep, cut up and release piece by piece
//! (events.md 11).
//!
//! Every element of a list is a record of its own, found by its address (E-117). It is *lent* while the callback runs;
//! STATUS_PENDING makes it *retained*, and then it owns its buffer until the client releases it.
#![allow(unsafe_code)] // Elements are structures that clients read and whose links they write.

use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use parking_lot::Mutex;
use smallvec::SmallVec;
use wsk::{Buffer, ControlData, ReceivedDatagram};
use wsk_abi::NtStatus;
use wsk_abi::mdl::{MDL, MDL_SOURCE_IS_NONPAGED_POOL, PAGE_SIZE, mdl_size, span_pages};
use wsk_abi::wsk::{CMSGHDR, WSK_BUF, WSK_DATA_INDICATION, WSK_DATAGRAM_INDICATION};
use wsk_nt::verify;

use crate::border::RawAddress;
use crate::pool::Pool;

/// The most pages a buffer of the subsystem spans.
const PAGES: usize = 18;

/// Room for one control message of each kind, aligned as their headers are.
type Control = [u64; 32];

/// An element of a list, with its MDL and what keeps the data alive.
#[repr(C)]
pub(crate) struct Element<N, L> {
    node: UnsafeCell<N>,
    mdl: UnsafeCell<MDL>,
    pages: UnsafeCell<[usize; PAGES]>,
    address: UnsafeCell<RawAddress>,
    /// The control data of a datagram; the room stays once it was needed.
    control: UnsafeCell<Option<Box<Control>>>,
    state: AtomicU8,
    /// The socket's slot.
    owner: AtomicUsize,
    /// The client's, for what it leaves behind.
    client: AtomicUsize,
    /// The callback that kept it.
    keeper: AtomicUsize,
    lease: Mutex<Option<L>>,
}

/// Nobody's.
const FREE: u8 = 0;
/// In the hands of a callback that runs.
const LENT: u8 = 1;
/// Released by the client while the callback still runs (E-117).
const RELEASED: u8 = 2;
/// The client's, until it releases it.
const RETAINED: u8 = 3;

// SAFETY: `node`, `mdl`, `pages`, `address` and `control` are written before the element is lent, by the one thread that took it from the
// pool; after that they are the client's to read, and only `Next` to write (E-121).
unsafe impl<N, L: Send> Sync for Element<N, L> {}

impl<N: Default, L> Default for Element<N, L> {
    fn default() -> Self {
        Self {
            node: UnsafeCell::default(),
            mdl: UnsafeCell::default(),
            pages: UnsafeCell::new([0; PAGES]),
            address: UnsafeCell::default(),
            control: UnsafeCell::default(),
            state: AtomicU8::new(FREE),
            owner: AtomicUsize::new(0),
            client: AtomicUsize::new(0),
            keeper: AtomicUsize::new(0),
            lease: Mutex::new(None),
        }
    }
}

/// A list's kind: what its elements look like to C, and what keeps their data.
pub(crate) trait Kind: Sized + 'static {
    type Node: Default + Copy + 'static;
    type Lease: Send + 'static;
    fn pool() -> &'static Pool<Element<Self::Node, Self::Lease>>;
    fn next(node: &Self::Node) -> *mut Self::Node;
}

/// Stream data: WSK_DATA_INDICATION.
pub(crate) enum Data {}
/// Datagrams: WSK_DATAGRAM_INDICATION.
pub(crate) enum Datagram {}

impl Kind for Data {
    type Node = WSK_DATA_INDICATION;
    type Lease = Buffer;

    fn pool() -> &'static Pool<Element<Self::Node, Buffer>> {
        static POOL: Pool<Element<WSK_DATA_INDICATION, Buffer>> = Pool::new();
        &POOL
    }

    fn next(node: &Self::Node) -> *mut Self::Node {
        node.Next
    }
}

impl Kind for Datagram {
    type Node = WSK_DATAGRAM_INDICATION;
    type Lease = ReceivedDatagram;

    fn pool() -> &'static Pool<Element<Self::Node, ReceivedDatagram>> {
        static POOL: Pool<Element<WSK_DATAGRAM_INDICATION, ReceivedDatagram>> = Pool::new();
        &POOL
    }

    fn next(node: &Self::Node) -> *mut Self::Node {
        node.Next
    }
}

type Elements<K> = SmallVec<[&'static Element<<K as Kind>::Node, <K as Kind>::Lease>; 4]>;

/// A list that a callback has in its hands.
pub(crate) struct Lent<K: Kind> {
    elements: Elements<K>,
}

impl Lent<Data> {
    /// Makes a list of stream data, for the socket at `owner`.
    pub(crate) fn data<'a>(chunks: impl Iterator<Item = &'a [u8]>, owner: usize) -> Self {
        let elements: Elements<Data> = chunks.map(|bytes| take::<Data>(bytes, owner)).collect();
        for (index, element) in elements.iter().enumerate() {
            let next = elements.get(index + 1).map_or(ptr::null_mut(), |next| next.node.get());
            let node = WSK_DATA_INDICATION { Next: next, Buffer: element.buffer() };
            // SAFETY: taken from the pool by this thread, and not lent yet.
            unsafe { element.node.get().write(node) };
        }
        Self { elements }
    }
}

impl Lent<Datagram> {
    /// Makes a list of datagrams, for the socket at `owner`.
    pub(crate) fn datagrams<'a>(
        datagrams: impl Iterator<Item = ((&'a [u8], std::net::SocketAddr), &'a ControlData)>,
        owner: usize,
    ) -> Self {
        let mut controls: SmallVec<[(*mut CMSGHDR, u32); 4]> = SmallVec::new();
        let take = |((bytes, source), control): ((&[u8], std::net::SocketAddr), &ControlData)| {
            let element = take::<Datagram>(bytes, owner);
            // SAFETY: taken from the pool by this thread, and not lent yet.
            unsafe { element.address.get().write(source.into()) };
            controls.push(element.control(control));
            element
        };
        let elements: Elements<Datagram> = datagrams.map(take).collect();
        for (index, (element, (control, length))) in elements.iter().zip(controls).enumerate() {
            let next = elements.get(index + 1).map_or(ptr::null_mut(), |next| next.node.get());
            let node = WSK_DATAGRAM_INDICATION {
                Next: next,
                Buffer: element.buffer(),
                ControlInfo: control,
                ControlInfoLength: length,
                RemoteAddress: element.address.get().cast(),
            };
            // SAFETY: as above.
            unsafe { element.node.get().write(node) };
        }
        Self { elements }
    }
}

impl<K: Kind> Lent<K> {
    /// What the callback is handed.
    pub(crate) fn first(&self) -> *mut K::Node {
        self.elements.first().map_or(ptr::null_mut(), |element| element.node.get())
    }

    /// The callback gave the list back by returning: all of it, whatever its links say by now (E-117).
    pub(crate) fn take_back(self) {
        for element in self.elements {
            element.state.store(FREE, Ordering::Release);
            K::pool().give_back(element);
        }
    }

    /// The callback keeps the list: from now on each element owns its data. What it released already is released now.
    pub(crate) fn retain(self, leases: impl IntoIterator<Item = K::Lease>, keeper: usize, client: usize) {
        for (element, lease) in self.elements.into_iter().zip(leases) {
            element.keeper.store(keeper, Ordering::Relaxed);
            element.client.store(client, Ordering::Relaxed);
            *element.lease.lock() = Some(lease);
            if element.state.compare_exchange(LENT, RETAINED, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                free::<K>(element);
            }
        }
    }
}

impl<N, L> Element<N, L> {
    /// Writes a datagram's control data; null and 0 if there is none (E-83).
    fn control(&self, data: &ControlData) -> (*mut CMSGHDR, u32) {
        if data.is_empty() {
            return (ptr::null_mut(), 0);
        }
        // SAFETY: taken from the pool by this thread, and not lent yet.
        let room = unsafe { &mut *self.control.get() }.get_or_insert_with(|| Box::new([0; 32]));
        let mut bytes = [0; size_of::<Control>()];
        let (length, whole) = data.encode(&mut bytes);
        debug_assert!(whole, "there is room for one message of each kind");
        for (word, bytes) in room.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        (room.as_mut_ptr().cast(), length as u32)
    }

    /// The data as a WSK_BUF: one contiguous MDL each (E-85).
    fn buffer(&self) -> WSK_BUF {
        // SAFETY: written by `take`; only read since.
        let length = unsafe { (*self.mdl.get()).ByteCount };
        WSK_BUF { Mdl: self.mdl.get(), Offset: 0, Length: length as usize }
    }
}

fn take<K: Kind>(bytes: &[u8], owner: usize) -> &'static Element<K::Node, K::Lease> {
    let element = K::pool().take();
    let at = bytes.as_ptr() as usize;
    let offset = at % PAGE_SIZE;
    let pages = span_pages(offset, bytes.len()).min(PAGES);
    let mdl = MDL {
        Next: ptr::null_mut(),
        Size: mdl_size(pages) as i16,
        MdlFlags: MDL_SOURCE_IS_NONPAGED_POOL,
        Process: ptr::null_mut(),
        MappedSystemVa: bytes.as_ptr().cast_mut().cast(),
        StartVa: bytes.as_ptr().wrapping_sub(offset).cast_mut().cast(),
        ByteCount: bytes.len() as u32,
        ByteOffset: offset as u32,
    };
    // SAFETY: taken from the pool by this thread, and not lent yet.
    unsafe { element.mdl.get().write(mdl) };
    let mut numbers = [0; PAGES];
    numbers.iter_mut().take(pages).enumerate().for_each(|(index, number)| *number = at / PAGE_SIZE + index);
    // SAFETY: as above.
    unsafe { element.pages.get().write(numbers) };
    element.owner.store(owner, Ordering::Relaxed);
    element.state.store(LENT, Ordering::Release);
    element
}

fn free<K: Kind>(element: &'static Element<K::Node, K::Lease>) {
    let lease = element.lease.lock().take();
    element.state.store(FREE, Ordering::Release);
    K::pool().give_back(element);
    drop(lease); // goes back to the transport, and may set a paused socket going
}

/// WskRelease: what can be reached from `list` at this moment (E-117). INVALID_PARAMETER, and nothing is released: null, or an
/// element that is not a live one of the socket at `owner` (E-118).
pub(crate) fn release<K: Kind>(list: *mut K::Node, owner: usize) -> NtStatus {
    let mut elements: Elements<K> = SmallVec::new();
    let mut at = list;
    while !at.is_null() {
        let found = K::pool().find(at.cast_const().cast()).filter(|element| {
            let state = element.state.load(Ordering::Acquire);
            (state == LENT || state == RETAINED) && element.owner.load(Ordering::Relaxed) == owner
        });
        let Some(element) = found.filter(|element| !elements.iter().any(|seen| ptr::eq(*seen, *element))) else {
            verify::violation(
                "release of an unknown indication",
                format!("{at:p} is not a live one of this socket (E-118)"),
            );
            return NtStatus::INVALID_PARAMETER;
        };
        elements.push(element);
        // SAFETY: a live element; its link is the client's to write, and read here once.
        at = K::next(unsafe { &*element.node.get() });
    }
    if elements.is_empty() {
        return NtStatus::INVALID_PARAMETER;
    }
    for element in elements {
        if element.state.compare_exchange(LENT, RELEASED, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            continue; // its callback still runs; what that returns decides
        }
        if element.state.compare_exchange(RETAINED, RELEASED, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            free::<K>(element);
        }
    }
    NtStatus::SUCCESS
}

/// Frees what a client that is gone never released (F-24, E-119). Each is reported.
pub(crate) fn free_left_by(client: usize) {
    fn of<K: Kind>(client: usize) {
        for element in K::pool().all() {
            let left = element.state.load(Ordering::Acquire) == RETAINED
                && element.client.load(Ordering::Relaxed) == client
                && element.state.compare_exchange(RETAINED, RELEASED, Ordering::SeqCst, Ordering::SeqCst).is_ok();
            if left {
                let what = format!("an indication of {} bytes, kept by a callback", element.buffer().Length);
                let keeper = element.keeper.load(Ordering::Relaxed);
                free::<K>(element);
                verify::violation_by("indication leak", what, keeper);
            }
        }
    }
    of::<Data>(client);
    of::<Datagram>(client);
}

/// Indications that clients hold now: bytes, and the callback that kept each.
pub(crate) fn retained() -> Vec<(usize, usize)> {
    fn of<K: Kind>(out: &mut Vec<(usize, usize)>) {
        for element in K::pool().all().filter(|element| element.state.load(Ordering::Acquire) == RETAINED) {
            out.push((element.buffer().Length, element.keeper.load(Ordering::Relaxed)));
        }
    }
    let mut all = Vec::new();
    of::<Data>(&mut all);
    of::<Datagram>(&mut all);
    all
}
