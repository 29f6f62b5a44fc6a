//! IRPs of clients: taken at the call, ended once (functions.md 2).
//!
//! Two invariants hold on every path. A: the completion routine sees `PendingReturned` exactly when the function returns
//! STATUS_PENDING (F-46). B: with any other return value the routine has run before the function returns (F-47).
#![allow(unsafe_code)] // IRPs are the client's memory.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use wsk::{Canceller, Error, FromCompletion, Pending, Request, Transfer, is_refusal};
use wsk_abi::NtStatus;
use wsk_abi::io::{IO_STATUS_BLOCK, PDEVICE_OBJECT};
use wsk_abi::irp::{IRP, SL_PENDING_RETURNED};
use wsk_nt::io::cancel::{self, set_cancel_routine};
use wsk_nt::io::{complete::complete_request, irp as io};
use wsk_nt::ke::irql;

use crate::client::Outstanding;

/// The IRP of one call, entered: the provider's stack location is the current one (F-41). It must be ended by one of the
/// methods, which return what the function has to return.
#[must_use = "every IRP is completed"]
pub(crate) struct Entered(*mut IRP);

// SAFETY: the subsystem owns the IRP until it completes it, on whatever thread (F-40).
unsafe impl Send for Entered {}

/// What a request ends with: IoStatus.
pub(crate) type Ending = IO_STATUS_BLOCK;

/// Success, with so much information.
pub(crate) fn done(information: usize) -> Ending {
    IO_STATUS_BLOCK { Status: NtStatus::SUCCESS, Information: information }
}

/// Failure; Information is 0 (F-62).
pub(crate) fn failed(status: NtStatus) -> Ending {
    IO_STATUS_BLOCK { Status: status, Information: 0 }
}

/// The end of a request that failed, with the bytes of a WAITALL that was cut off (F-62).
pub(crate) fn error(error: &Error) -> Ending {
    IO_STATUS_BLOCK { Status: error.status(), Information: error.information() }
}

/// Takes a client's IRP. A null one is `None`: the function returns INVALID_PARAMETER and touches nothing (F-50).
///
/// # Safety
/// `irp` is null, or an IRP that the client owns and gives to the function, with a stack location left.
pub(crate) unsafe fn enter(irp: *mut IRP) -> Option<Entered> {
    irql::at_most(irql::DISPATCH_LEVEL, "a function of WSK"); // F-6
    if irp.is_null() {
        return None;
    }
    // SAFETY: the caller's word.
    unsafe { io::enter_next_location(irp) };
    Some(Entered(irp))
}

/// Runs a function that must have an IRP: `start` checks the arguments and begins, and what it gives back says how it ends.
///
/// # Safety
/// As [`enter`].
pub(crate) unsafe fn request<T: FromCompletion>(
    irp: *mut IRP,
    start: impl FnOnce() -> Result<Request<T>, NtStatus>,
    ending: impl FnOnce(T) -> usize + Send + 'static,
) -> NtStatus {
    // SAFETY: the caller's word.
    let Some(irp) = (unsafe { enter(irp) }) else { return NtStatus::INVALID_PARAMETER };
    if irp.is_cancelled() {
        return irp.refuse(NtStatus::CANCELLED); // F-67
    }
    match start() {
        Err(status) => irp.refuse(status),
        Ok(request) => irp.pend(request, move |result| match result {
            Ok(value) => done(ending(value)),
            Err(failure) => error(&failure),
        }),
    }
}

/// As [`request`], for data that is sent or received: Information is the number of bytes (F-55, F-56).
///
/// # Safety
/// As [`enter`].
pub(crate) unsafe fn transfer(irp: *mut IRP, start: impl FnOnce() -> Result<Request<Transfer>, NtStatus>) -> NtStatus {
    // SAFETY: the caller's word.
    let Some(irp) = (unsafe { enter(irp) }) else { return NtStatus::INVALID_PARAMETER };
    if irp.is_cancelled() {
        return irp.refuse(NtStatus::CANCELLED); // F-67
    }
    let request = match start() {
        Ok(request) => request,
        Err(status) => return irp.refuse(status),
    };
    if let Some((Status, Information)) = request.io_status() {
        drop(request); // the client's memory is the client's again
        return irp.finish_or_pend(Ending { Status, Information });
    }
    irp.pend(request, |result| match result {
        Ok(transfer) => done(transfer.len()),
        Err(failure) => error(&failure),
    })
}

impl Entered {
    /// Whether it was cancelled before it came (F-67).
    pub(crate) fn is_cancelled(&self) -> bool {
        // SAFETY: ours until completed.
        unsafe { (*self.0).Cancel != 0 }
    }

    /// Ends it inside the call, not marked pending (F-51, and the control functions of F-52); returns its status.
    pub(crate) fn finish(self, ending: Ending) -> NtStatus {
        set_status(self.0, ending);
        // SAFETY: ours until now; not touched again (F-42).
        wsk::hold_completions(|| unsafe { complete_request(self.0, 0) });
        ending.Status
    }

    /// Ends it inside the call with an error found at once (F-51).
    pub(crate) fn refuse(self, status: NtStatus) -> NtStatus {
        self.finish(failed(status))
    }

    /// Marks it pending, for an end that [`Pended::end`] brings; the function returns PENDING.
    pub(crate) fn mark_pending(self) -> Pended {
        // SAFETY: ours until completed.
        let tail = unsafe { (*self.0).Tail };
        // SAFETY: what an IRP has while it travels.
        let overlay = unsafe { tail.Overlay };
        // SAFETY: the current location is the provider's.
        unsafe { (*overlay.CurrentStackLocation).Control |= SL_PENDING_RETURNED };
        Pended { irp: self.0, cancellable: false }
    }

    /// Ends it after a request that completed at once: inline if it was refused, otherwise as if it had pended (F-51, F-52).
    fn finish_or_pend(self, ending: Ending) -> NtStatus {
        if is_refusal(ending.Status) {
            return self.finish(ending);
        }
        self.mark_pending().end(ending);
        NtStatus::PENDING
    }

    /// Lets `request` decide its end. An error of state or argument, found at once, is returned inline; everything else is
    /// PENDING, if it has ended already too (F-51, F-52).
    pub(crate) fn pend<T: FromCompletion>(
        self,
        request: Request<T>,
        ending: impl FnOnce(Result<T, Error>) -> Ending + Send + 'static,
    ) -> NtStatus {
        let request = match request.into_ready() {
            Ok(outcome) => {
                return self.finish_or_pend(ending(outcome));
            }
            Err(request) => request,
        };
        let Some(canceller) = request.canceller() else { unreachable!("a request that is not ready is pending") };
        let pended = self.mark_pending().cancellable(Cancel::Request(canceller));
        request.on_complete(move |outcome| pended.end(ending(outcome)));
        NtStatus::PENDING
    }

    /// Lets something that happens once decide its end. A cancel ends both.
    pub(crate) fn pend_until<T: Send + 'static>(
        self,
        pending: Pending<T>,
        outstanding: Outstanding,
        ending: impl FnOnce(Result<T, Error>) -> Ending + Send + 'static,
    ) -> Arc<Parked> {
        let cancel = pending.canceller();
        let parked = Parked::park(self, outstanding);
        parked.when_over(cancel);
        let waiting = parked.clone();
        pending.on_complete(move |result| waiting.end_with(|| ending(result)));
        parked
    }

    /// As [`Entered::pend`], for what cannot be cancelled: a close, or the disabling of a callback (F-63).
    pub(crate) fn pend_to_the_end<T: FromCompletion>(
        self,
        request: Request<T>,
        ending: impl FnOnce(Result<T, Error>) -> Ending + Send + 'static,
    ) -> NtStatus {
        let pended = self.mark_pending();
        request.on_complete(move |outcome| pended.end(ending(outcome)));
        NtStatus::PENDING
    }
}

/// An IRP that was marked pending: its function returns, or has returned, PENDING.
pub(crate) struct Pended {
    irp: *mut IRP,
    cancellable: bool,
}

// SAFETY: as `Entered`.
unsafe impl Send for Pended {}

impl Pended {
    /// From now on IoCancelIrp calls `cancel`, which is kept in the packet itself.
    fn cancellable(mut self, cancel: Cancel) -> Self {
        const { assert!(size_of::<Cancel>() <= 4 * size_of::<*mut ()>()) };
        self.cancellable = true;
        let kept = kept_cancel(self.irp);
        // SAFETY: the driver context of an IRP is for who owns it, and large enough.
        unsafe { kept.write(cancel.clone()) };
        // SAFETY: ours until completed.
        unsafe { set_cancel_routine(self.irp, Some(cancel_routine)) };
        // SAFETY: as above.
        let cancelled = unsafe { cancel::is_cancelled(self.irp) };
        // SAFETY: as above. A cancel that came before did not find the routine (F-67).
        if cancelled && unsafe { set_cancel_routine(self.irp, None) }.is_some() {
            cancel.run();
        }
        self
    }

    /// Ends it.
    pub(crate) fn end(self, ending: Ending) {
        self.end_of(ending, None);
    }

    /// Ends it; `outstanding` is over when its completion routine has returned.
    fn end_of(self, ending: Ending, outstanding: Option<Outstanding>) {
        if self.cancellable {
            // SAFETY: ours until completed.
            if unsafe { set_cancel_routine(self.irp, None) }.is_none() {
                // It was taken: by the time the cancel spin lock is free, the routine is through with the packet.
                cancel::release(cancel::acquire());
            }
            // SAFETY: written when it became cancellable, and read by nobody else any more.
            drop(unsafe { kept_cancel(self.irp).read() });
        }
        set_status(self.irp, ending);
        complete(self.irp, outstanding);
    }
}

fn set_status(irp: *mut IRP, ending: Ending) {
    // SAFETY: the subsystem's until completed.
    unsafe { (*irp).IoStatus = ending };
}

/// What a cancel does.
#[derive(Clone)]
enum Cancel {
    /// Cancels the request of a socket; that ends the IRP.
    Request(Canceller),
    /// Ends the IRP.
    Parked(Arc<Parked>),
}

impl Cancel {
    fn run(&self) {
        match self {
            Cancel::Request(canceller) => canceller.cancel(),
            Cancel::Parked(parked) => parked.end(failed(NtStatus::CANCELLED)),
        }
    }
}

/// A pended IRP that waits for something other than a socket: whoever comes first ends it. Its client is not deregistered
/// before its completion routine has returned (F-23).
pub(crate) struct Parked {
    place: Mutex<Place>,
    outstanding: Mutex<Option<Outstanding>>,
    /// Called once it has ended.
    over: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

enum Place {
    /// Being parked.
    Coming,
    Here(Pended),
    /// Ended, or cancelled before it was parked.
    Gone,
}

impl Parked {
    /// Marks an IRP pending and parks it; IoCancelIrp ends it with CANCELLED.
    pub(crate) fn park(irp: Entered, outstanding: Outstanding) -> Arc<Self> {
        let this = Arc::new(Self {
            place: Mutex::new(Place::Coming),
            outstanding: Mutex::new(Some(outstanding)),
            over: Mutex::new(None),
        });
        let pended = irp.mark_pending().cancellable(Cancel::Parked(this.clone()));
        let mut place = this.place.lock();
        if matches!(*place, Place::Coming) {
            *place = Place::Here(pended);
            drop(place);
        } else {
            drop(place);
            this.finish(pended, failed(NtStatus::CANCELLED));
        }
        this
    }

    /// Ends it, unless another has.
    pub(crate) fn end(&self, ending: Ending) {
        self.end_with(|| ending);
    }

    /// Ends it, unless another has, with what `finish` says; that writes the client's variables (F-76).
    pub(crate) fn end_with(&self, finish: impl FnOnce() -> Ending) {
        let place = std::mem::replace(&mut *self.place.lock(), Place::Gone);
        if let Place::Here(pended) = place {
            self.finish(pended, finish());
        }
    }

    fn finish(&self, pended: Pended, ending: Ending) {
        let outstanding = self.outstanding.lock().take();
        pended.end_of(ending, outstanding);
        let over = self.over.lock().take();
        if let Some(over) = over {
            over();
        }
    }

    /// Has `over` called once it has ended; now, if it has.
    fn when_over(&self, over: impl FnOnce() + Send + 'static) {
        *self.over.lock() = Some(Box::new(over));
        if self.is_gone() {
            let over = self.over.lock().take();
            if let Some(over) = over {
                over();
            }
        }
    }

    /// Whether it has ended.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(*self.place.lock(), Place::Gone)
    }
}

fn kept_cancel(irp: *mut IRP) -> *mut Cancel {
    // SAFETY: a place in the packet; nothing is read.
    unsafe { (&raw mut (*irp).Tail.Overlay.Anonymous.DriverContext).cast() }
}

/// The cancel routine of every pended IRP: called with the cancel spin lock held.
unsafe extern "win64" fn cancel_routine(_: PDEVICE_OBJECT, irp: *mut IRP) {
    // SAFETY: the packet is not completed while the lock is held, and `Cancel` is in it as long as the routine is set.
    let cancel = unsafe { (*kept_cancel(irp)).clone() };
    // SAFETY: as above.
    let level = unsafe { (*irp).CancelIrql };
    cancel::release(level);
    cancel.run();
}

/// Whether this thread is inside a completion routine that ends a request of no socket: what waits there for all of them waits for
/// itself.
pub(crate) fn is_completing() -> bool {
    DEEP.get() > 0
}

/// How deep completion routines may nest on one thread: those of requests that are no socket's, such as WskSocket itself.
const DEPTH: u32 = 8;

thread_local! {
    static DEEP: Cell<u32> = const { Cell::new(0) };
    static WAITING: RefCell<VecDeque<(*mut IRP, Option<Outstanding>)>> = const { RefCell::new(VecDeque::new()) };
}

/// Completes a pended IRP, at the IRQL the subsystem is at. What its routine starts on sockets is completed by their processors,
/// in order, and never from here (F-69, F-115).
fn complete(irp: *mut IRP, outstanding: Option<Outstanding>) {
    let depth = DEEP.get();
    if depth >= DEPTH {
        return WAITING.with_borrow_mut(|waiting| waiting.push_back((irp, outstanding)));
    }
    DEEP.set(depth + 1);
    let mut next = Some((irp, outstanding));
    while let Some((irp, outstanding)) = next {
        // The level the subsystem is at: on its own threads, the driver's calls find the executive's at PASSIVE_LEVEL.
        let level = wsk::current_irql();
        let before = (level > irql::PASSIVE_LEVEL).then(|| irql::set(level.max(irql::current())));
        // SAFETY: the subsystem's until now; not touched again (F-42).
        wsk::hold_completions(|| unsafe { complete_request(irp, 0) });
        if let Some(before) = before {
            irql::set(before);
        }
        drop(outstanding); // its routine has returned (F-23)
        next = if depth == 0 { WAITING.with_borrow_mut(VecDeque::pop_front) } else { None };
    }
    DEEP.set(depth);
}
