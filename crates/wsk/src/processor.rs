//! Processors: the threads that pump. Each has a driver of the transport and the sockets homed on it.
//!
//! Any thread posts [`Mail`] to a processor, in the order in which the sockets decided (mail is posted under the socket's
//! lock); the pump carries it out, polls the driver and hands its events to the sockets. All callbacks and all completions
//! of pended requests run from the pump's top level, never nested in client code and never with a lock held.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use slotmap::{DefaultKey, Key, KeyData, SlotMap};
use wsk_abi::status::NtStatus;
use wsk_core::effect::Callback;
use wsk_core::request::{Completion, RequestId};
use wsk_core::transport::{Doorbell, Driver, Operation, Report, Token};

use crate::carrier::Carrier;
use crate::connection::ConnectionSocket;
use crate::socket::{Completed, CompletionCallback, Place, Socket};

/// What a processor is asked to do.
pub(crate) enum Mail {
    /// Start a transport operation.
    Submit(Token, Operation),
    /// Deliver a completion.
    Complete(Arc<Socket>, Completion),
    /// Call back with the result of a request that had completed before the callback was set.
    Deliver(Arc<Socket>, CompletionCallback, Completed),
    /// Call the client.
    Call(Arc<Socket>, Callback),
    /// The socket's close has completed: forget it.
    Gone(Arc<Socket>),
    /// Close everything down.
    Stop,
}

/// The part of a processor that other threads use.
pub(crate) struct Processor {
    carrier: Weak<Carrier>,
    inbox: Mutex<Inbox>,
    sleeping: AtomicBool,
    doorbell: OnceLock<Arc<dyn Doorbell>>,
    sockets: Mutex<SlotMap<DefaultKey, Arc<Socket>>>,
    tickets: AtomicU64,
    /// Deliver callbacks at DISPATCH_LEVEL, as the flag then says (E-2).
    at_dispatch: bool,
    pub(crate) tally: Tally,
}

/// What a processor has done so far.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) callbacks: AtomicU64,
    pub(crate) completions: AtomicU64,
    pub(crate) copied: AtomicU64,
}

#[derive(Default)]
struct Inbox {
    mail: Vec<Mail>,
    stopped: bool,
}

thread_local! {
    /// The processor this thread pumps, by address; 0 for other threads.
    static PUMPING: Cell<usize> = const { Cell::new(0) };
    /// Whether that client code is a waker, which may look at requests but not wait for them.
    static WAKING: Cell<bool> = const { Cell::new(false) };
    /// How deep this thread is in client code called by the subsystem.
    static CLIENT_CODE: Cell<u32> = const { Cell::new(0) };
    static IRQL: Cell<u8> = const { Cell::new(0) };
    /// Whether completions on this thread are held: see [`hold_completions`].
    static HOLDING: Cell<bool> = const { Cell::new(false) };
    /// Requests made by the client code that runs now, and not looked at since: see [`note_fresh`].
    static FRESH: RefCell<Vec<(Token, RequestId)>> = const { RefCell::new(Vec::new()) };
    /// The processor this thread pumps.
    static CURRENT: RefCell<Option<Arc<Processor>>> = const { RefCell::new(None) };
}

/// Notes a request made inside client code on its home processor. No completion comes before that code has returned, so
/// nobody needs to be entered as waiting until then; and for a request that is detached at once, never.
pub(crate) fn note_fresh(token: Token, request: RequestId) {
    FRESH.with_borrow_mut(|fresh| fresh.push((token, request)));
}

/// Takes such a request off the list; whether it was there.
pub(crate) fn take_fresh(token: Token, request: RequestId) -> bool {
    FRESH.with_borrow_mut(|fresh| {
        let at = fresh.iter().rposition(|entry| *entry == (token, request));
        at.map(|at| fresh.swap_remove(at)).is_some()
    })
}

/// Client code has returned: whoever holds a request that it made can wait from now on.
fn enter_fresh() {
    while let Some((token, request)) = FRESH.with_borrow_mut(Vec::pop) {
        let home = CURRENT.with_borrow(Clone::clone);
        if let Some(socket) = home.and_then(|home| home.find(token)) {
            socket.enter(request);
        }
    }
}

/// Whether this thread is inside a callback or completion function that the subsystem called.
pub(crate) fn in_client_code() -> bool {
    CLIENT_CODE.get() > 0
}

/// Whether this thread is inside a waker that the subsystem called. An executor may run a task right there.
pub(crate) fn in_waker() -> bool {
    WAKING.get()
}

/// Wakes a task.
pub(crate) fn enter_waker(waker: std::task::Waker) {
    let outer = WAKING.replace(true);
    enter_client(IRQL.get(), || waker.wake());
    WAKING.set(outer);
}

/// The modelled IRQL of this thread: DISPATCH_LEVEL (2) inside callbacks, otherwise PASSIVE_LEVEL (0) (E-2).
pub fn current_irql() -> u8 {
    IRQL.get()
}

/// Runs client code during which no completion function is called on this thread: requests that could finish at once are
/// delivered by their sockets' processors, in order. For those who call completion routines that start further requests, and
/// want neither recursion nor a completion out of order (F-69).
pub fn hold_completions<R>(code: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            HOLDING.set(self.0);
        }
    }
    let _restore = Restore(HOLDING.replace(true));
    code()
}

/// Whether completions on this thread are held.
pub(crate) fn holds_completions() -> bool {
    HOLDING.get()
}

/// Runs client code; a panic in it ends there (the hook has reported it) and `None` is returned.
pub(crate) fn enter_client<R>(irql: u8, code: impl FnOnce() -> R) -> Option<R> {
    struct Leave(u8);
    impl Drop for Leave {
        fn drop(&mut self) {
            CLIENT_CODE.set(CLIENT_CODE.get() - 1);
            IRQL.set(self.0);
            enter_fresh();
        }
    }
    CLIENT_CODE.set(CLIENT_CODE.get() + 1);
    let _leave = Leave(IRQL.replace(irql));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(code)).ok()
}

impl Processor {
    pub(crate) fn new(index: usize, at_dispatch: bool, carrier: Weak<Carrier>) -> Self {
        Self {
            carrier,
            inbox: Mutex::default(),
            sleeping: AtomicBool::new(false),
            doorbell: OnceLock::new(),
            sockets: Mutex::default(),
            tickets: AtomicU64::new((index as u64) << 48), // no two processors give out the same
            at_dispatch,
            tally: Tally::default(),
        }
    }

    /// The transport it belongs to.
    pub(crate) fn carrier(&self) -> Option<Arc<Carrier>> {
        self.carrier.upgrade()
    }

    /// The level at which callbacks are delivered.
    pub(crate) fn callback_irql(&self) -> u8 {
        if self.at_dispatch { 2 } else { 0 }
    }

    /// A number no other indication of this processor has; taken on the pump only.
    pub(crate) fn next_ticket(&self) -> u64 {
        let ticket = self.tickets.load(Ordering::Relaxed);
        self.tickets.store(ticket + 1, Ordering::Relaxed);
        ticket
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Where this thread stands towards the sockets of this processor.
    pub(crate) fn place(&self) -> Place {
        if PUMPING.get() != self.address() {
            Place::Foreign
        } else if in_client_code() {
            Place::Nested
        } else {
            Place::Top
        }
    }

    /// Enters a socket; its token is what the driver knows it by.
    pub(crate) fn enter(&self, make: impl FnOnce(Token) -> Arc<Socket>) -> Arc<Socket> {
        let mut sockets = self.sockets.lock();
        let key = sockets.insert_with_key(|key| make(Token(key.data().as_ffi())));
        sockets[key].clone()
    }

    fn find(&self, token: Token) -> Option<Arc<Socket>> {
        self.sockets.lock().get(DefaultKey::from(KeyData::from_ffi(token.0))).cloned()
    }

    pub(crate) fn leave(&self, token: Token) {
        let socket = self.sockets.lock().remove(DefaultKey::from(KeyData::from_ffi(token.0)));
        drop(socket); // outside the lock
    }

    /// All sockets homed here.
    pub(crate) fn all(&self) -> Vec<Arc<Socket>> {
        self.sockets.lock().values().cloned().collect()
    }

    /// Posts mail; gives it back when the processor has stopped.
    #[allow(clippy::result_large_err)] // it is the argument that comes back
    pub(crate) fn post(&self, mail: Mail) -> Result<(), Mail> {
        {
            let mut inbox = self.inbox.lock();
            if inbox.stopped {
                return Err(mail);
            }
            inbox.mail.push(mail);
        }
        // The pump looks into the inbox after it said that it sleeps, so one of the two sees the other.
        if PUMPING.get() != self.address()
            && self.sleeping.swap(false, Ordering::SeqCst)
            && let Some(doorbell) = self.doorbell.get()
        {
            doorbell.ring();
        }
        Ok(())
    }
}

/// A processor's thread.
pub(crate) struct Pump {
    processor: Arc<Processor>,
    driver: Box<dyn Driver>,
    reports: Vec<Report>,
    mail: Vec<Mail>,
    /// The sockets attached to the driver, by the index in their token: the pump's own copy, so that an event takes no lock.
    /// As handles, ready to be passed to callbacks.
    attached: Vec<Option<(Token, ConnectionSocket)>>,
    stopping: bool,
}

/// The index in a token: slotmap's, in the low half.
fn index(token: Token) -> usize {
    (token.0 & 0xFFFF_FFFF) as usize
}

impl Pump {
    pub(crate) fn new(processor: Arc<Processor>, driver: Box<dyn Driver>) -> Self {
        PUMPING.set(processor.address());
        CURRENT.set(Some(processor.clone()));
        let _ = processor.doorbell.set(driver.doorbell());
        Self { processor, driver, reports: Vec::new(), mail: Vec::new(), attached: Vec::new(), stopping: false }
    }

    /// Pumps until stopped and all sockets have ended.
    pub(crate) fn run(mut self) {
        loop {
            self.read_mail();
            if self.stopping && self.quiet() {
                break;
            }
            self.processor.sleeping.store(true, Ordering::SeqCst);
            let wait = self.processor.inbox.lock().mail.is_empty();
            let polled = self.driver.poll(wait, &mut self.reports);
            self.processor.sleeping.store(false, Ordering::SeqCst);
            if let Err(error) = polled {
                // Without its driver the processor cannot go on; its sockets are no longer functional (F-81).
                eprintln!("wsk: the transport's driver failed: {error}");
                break;
            }
            self.dispatch();
        }
        self.end();
    }

    /// Whether nothing of any socket is with the driver any more.
    fn quiet(&self) -> bool {
        self.processor.inbox.lock().mail.is_empty() && self.processor.all().iter().all(|s| s.is_detached())
    }

    fn read_mail(&mut self) {
        std::mem::swap(&mut self.mail, &mut self.processor.inbox.lock().mail);
        for mail in self.mail.drain(..) {
            match mail {
                Mail::Submit(token, operation) => {
                    let at = index(token);
                    let attach = matches!(operation, Operation::Attach(_));
                    if attach {
                        if self.attached.len() <= at {
                            self.attached.resize_with(at + 1, || None);
                        }
                        self.attached[at] =
                            self.processor.find(token).map(|socket| (token, ConnectionSocket::borrowed(socket)));
                    }
                    self.driver.submit(token, operation);
                    // Made too late to be told with the others.
                    if attach
                        && self.stopping
                        && let Some((_, handle)) = &self.attached[at]
                    {
                        handle.socket.break_down();
                    }
                }
                Mail::Gone(socket) => {
                    if let Some(slot) = self.attached.get_mut(index(socket.token())) {
                        *slot = None; // a stillborn socket has none
                    }
                    socket.gone();
                }
                Mail::Stop => {
                    self.stopping = true;
                    for socket in self.processor.all() {
                        socket.break_down();
                    }
                }
                other => carry_out(other),
            }
        }
    }

    fn dispatch(&mut self) {
        let mut reports = std::mem::take(&mut self.reports);
        let mut rest = reports.drain(..);
        let mut next = rest.next();
        while let Some(Report { token, event }) = next.take() {
            let Some((owner, handle)) = self.attached.get(index(token)).and_then(Option::as_ref) else {
                next = rest.next();
                continue;
            };
            debug_assert_eq!(*owner, token, "no event comes after Detached");
            next = rest.next();
            let alone = next.as_ref().is_none_or(|next| next.token != token);
            let event = match if alone { Socket::handle_straight(handle, event) } else { Err(event) } {
                Ok(()) => continue,
                Err(event) => event,
            };
            // A run of events of one socket is one decision: datagrams and stream data are indicated in lists.
            handle.socket.handle_run(event, || {
                let same = next.take_if(|next| next.token == token)?;
                next = rest.next();
                Some(same.event)
            });
        }
        drop(rest);
        self.reports = reports;
    }

    /// The driver is gone: whatever was with it ends, and what is posted from now on is carried out by the poster.
    fn end(self) {
        drop(self.driver);
        let rest = {
            let mut inbox = self.processor.inbox.lock();
            inbox.stopped = true;
            std::mem::take(&mut inbox.mail)
        };
        for mail in rest {
            match mail {
                Mail::Submit(token, operation) => {
                    let event = operation.refused(NtStatus::FILE_FORCED_CLOSED);
                    if let (Some(socket), Some(event)) = (self.processor.find(token), event) {
                        socket.handle_run(event, || None);
                    }
                }
                Mail::Stop => {}
                other => carry_out(other),
            }
        }
        for socket in self.processor.all() {
            socket.driver_lost();
        }
    }
}

/// Mail that needs no driver.
pub(crate) fn carry_out(mail: Mail) {
    match mail {
        Mail::Complete(socket, completion) => socket.deliver(completion),
        Mail::Deliver(socket, callback, completed) => socket.deliver_late(callback, completed),
        Mail::Call(socket, callback) => socket.call(callback),
        Mail::Gone(socket) => socket.gone(),
        Mail::Submit(..) | Mail::Stop => {}
    }
}
