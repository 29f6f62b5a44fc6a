//! Requests that are no socket's: a change of the list of transports, an answer to a name lookup.
//!
//! [`Pending`] is what the client has, [`Completer`] what the subsystem has; whoever ends it first has ended it.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use wsk_abi::status::NtStatus;

use crate::error::Error;
use crate::processor::{enter_client, enter_waker, in_client_code, in_waker};

/// A request that is no socket's.
///
/// It is used as a [`Request`](crate::Request) is: `.await` it, [`wait`](Pending::wait) for it, or have a callback called;
/// dropping it unfinished cancels it. There is no home processor: a callback runs on a thread of the subsystem that may block, at
/// PASSIVE_LEVEL, or where it is cancelled, at that caller's level.
#[must_use = "dropping it cancels it"]
pub struct Pending<T>(Arc<Shared<T>>);

/// The other end of a [`Pending`]. Dropping it ends it with CANCELLED.
pub(crate) struct Completer<T>(Weak<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    ended: Condvar,
    /// Dropped when it has ended and the client's callback has returned.
    guard: Mutex<Option<Box<dyn Any + Send>>>,
}

enum State<T> {
    Waiting,
    Waker(Waker),
    /// With itself, so that it lives until it ends.
    Callback(Box<dyn FnOnce(Result<T, Error>) + Send>, #[allow(dead_code)] Arc<Shared<T>>),
    /// The callback is running; the guard goes after it.
    Calling,
    Ended(Result<T, NtStatus>),
    Taken,
}

/// Makes the two ends; `guard` is dropped when all is over.
pub(crate) fn pending<T>(guard: impl Any + Send) -> (Pending<T>, Completer<T>) {
    let guard = Mutex::new(Some(Box::new(guard) as Box<dyn Any + Send>));
    let shared = Arc::new(Shared { state: Mutex::new(State::Waiting), ended: Condvar::new(), guard });
    let completer = Completer(Arc::downgrade(&shared));
    (Pending(shared), completer)
}

impl<T> Completer<T> {
    /// Ends it, unless it has ended. Not with a lock held: it may call the client.
    pub(crate) fn end(&self, result: Result<T, NtStatus>) {
        if let Some(shared) = self.0.upgrade() {
            shared.end(result);
        }
    }

    /// Whether nobody waits for it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.0.upgrade().is_none_or(|shared| !shared.state.lock().is_open())
    }
}

impl<T> Drop for Completer<T> {
    fn drop(&mut self) {
        self.end(Err(NtStatus::CANCELLED));
    }
}

impl<T> State<T> {
    /// Whether somebody waits for the end, or may come to.
    fn is_open(&self) -> bool {
        matches!(self, State::Waiting | State::Waker(_) | State::Callback(..))
    }
}

impl<T> Shared<T> {
    fn end(&self, result: Result<T, NtStatus>) {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Callback(callback, _myself) => {
                *state = State::Calling;
                drop(state);
                enter_client(crate::current_irql(), || callback(result.map_err(Error::from)));
                *self.state.lock() = State::Taken;
            }
            State::Waiting => *state = State::Ended(result),
            State::Waker(waker) => {
                *state = State::Ended(result);
                drop(state);
                enter_waker(waker);
            }
            over => return *state = over,
        }
        self.ended.notify_all();
        let guard = self.guard.lock().take();
        drop(guard);
    }

    /// The result, if it is there.
    fn take(&self) -> Option<Result<T, Error>> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Ended(result) => Some(result.map_err(Error::from)),
            State::Taken => Some(Err(NtStatus::INVALID_DEVICE_STATE.into())),
            waiting => {
                *state = waiting;
                None
            }
        }
    }
}

impl<T> Pending<T> {
    /// One that has failed already.
    pub fn failed(status: NtStatus) -> Self {
        let state = Mutex::new(State::Ended(Err(status)));
        Self(Arc::new(Shared { state, ended: Condvar::new(), guard: Mutex::new(None) }))
    }

    /// Asks for its end: it ends with CANCELLED, unless it has ended.
    pub fn cancel(&self) {
        self.0.end(Err(NtStatus::CANCELLED));
    }

    /// Something to cancel it with while another waits for it.
    pub fn canceller(&self) -> impl Fn() + Send + Sync + use<T>
    where
        T: Send + 'static,
    {
        let shared = Arc::downgrade(&self.0);
        move || {
            if let Some(shared) = shared.upgrade() {
                shared.end(Err(NtStatus::CANCELLED));
            }
        }
    }

    /// Has `callback` called with the result; here, if it is there already. One that was taken before is INVALID_DEVICE_STATE.
    pub fn on_complete(self, callback: impl FnOnce(Result<T, Error>) + Send + 'static) {
        let mut state = self.0.state.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Ended(result) => {
                drop(state);
                callback(result.map_err(Error::from));
            }
            State::Taken => {
                drop(state);
                callback(Err(NtStatus::INVALID_DEVICE_STATE.into()));
            }
            before => {
                *state = State::Callback(Box::new(callback), self.0.clone());
                drop(state);
                drop(before); // a waker
            }
        }
    }

    /// Blocks until it has ended.
    ///
    /// # Errors
    /// Its failure. POSSIBLE_DEADLOCK inside a callback: it goes on.
    pub fn wait(&mut self) -> Result<T, Error> {
        self.wait_until(None).unwrap_or_else(|| Err(NtStatus::IO_TIMEOUT.into()))
    }

    /// Blocks for `timeout` at most; `None` when it has not ended by then and goes on.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Result<T, Error>> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    fn wait_until(&mut self, deadline: Option<Instant>) -> Option<Result<T, Error>> {
        loop {
            if let Some(result) = self.0.take() {
                return Some(result);
            }
            if in_client_code() {
                return Some(Err(NtStatus::POSSIBLE_DEADLOCK.into())); // E-3
            }
            let mut state = self.0.state.lock();
            if matches!(*state, State::Ended(_)) {
                continue;
            }
            match deadline {
                None => self.0.ended.wait(&mut state),
                Some(deadline) => {
                    if self.0.ended.wait_until(&mut state, deadline).timed_out() {
                        drop(state);
                        return self.0.take();
                    }
                }
            }
        }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(result) = self.0.take() {
            return Poll::Ready(result);
        }
        if in_client_code() && !in_waker() {
            return Poll::Ready(Err(NtStatus::POSSIBLE_DEADLOCK.into())); // E-3
        }
        let waker = cx.waker().clone();
        let mut state = self.0.state.lock();
        if matches!(*state, State::Ended(_) | State::Taken) {
            drop(state);
            return Poll::Ready(self.0.take().unwrap_or_else(|| Err(NtStatus::INVALID_DEVICE_STATE.into())));
        }
        let before = std::mem::replace(&mut *state, State::Waker(waker));
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        // A callback goes on without the handle.
        if !matches!(*state, State::Callback(..) | State::Calling) {
            let before = std::mem::replace(&mut *state, State::Taken);
            drop(state);
            drop(before);
            let guard = self.0.guard.lock().take();
            drop(guard);
        }
    }
}

impl<T> std::fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ended = !self.0.state.lock().is_open();
        f.debug_struct("Pending").field("ended", &ended).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::task::Wake;

    #[test]
    fn whoever_ends_it_first_has_ended_it() {
        let (mut one, completer) = pending::<u32>(());
        assert!(!completer.is_over());
        completer.end(Ok(7));
        one.cancel();
        assert_eq!(one.wait().unwrap(), 7);
        let (mut two, completer) = pending::<u32>(());
        let cancel = two.canceller();
        cancel();
        completer.end(Ok(7));
        assert_eq!(two.wait().unwrap_err().status(), NtStatus::CANCELLED);
        let (three, completer) = pending::<u32>(());
        drop(three);
        assert!(completer.is_over());
        completer.end(Ok(7));
        // A completer that is dropped has ended it too.
        let (mut four, completer) = pending::<u32>(());
        drop(completer);
        assert_eq!(four.wait().unwrap_err().status(), NtStatus::CANCELLED);
    }

    #[test]
    fn a_callback_is_called_once_with_nobody_holding_it() {
        let (sender, results) = mpsc::channel();
        for early in [false, true] {
            let (pending, completer) = pending::<u32>(());
            let sender = sender.clone();
            if early {
                completer.end(Ok(1));
            }
            pending.on_complete(move |result| sender.send(result.unwrap()).unwrap());
            completer.end(Ok(1));
            completer.end(Ok(2));
        }
        assert_eq!(results.try_iter().collect::<Vec<_>>(), [1, 1]);
    }

    /// Counts itself as it is dropped.
    struct Guard(Arc<AtomicUsize>);

    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A waker that does something as it is dropped.
    struct Dropped(Mutex<Option<Box<dyn FnOnce() + Send>>>);

    impl Wake for Dropped {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Dropped {
        fn drop(&mut self) {
            if let Some(then) = self.0.get_mut().take() {
                then();
            }
        }
    }

    /// F-23: the handle that a callback was given to goes while the callback runs elsewhere, and the guard stays.
    #[test]
    fn f23_the_guard_stays_while_a_callback_runs_elsewhere() {
        let gone = Arc::new(AtomicUsize::new(0));
        let (mut pending, completer) = pending::<u32>(Guard(gone.clone()));
        let (called, is_called) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let (done, is_done) = mpsc::channel();
        // In the middle of `on_complete`, which drops the waker that was there before, another thread ends it.
        let then = Box::new(move || {
            std::thread::spawn(move || {
                completer.end(Ok(1));
                done.send(()).unwrap();
            });
            is_called.recv().unwrap();
        });
        let waker = Waker::from(Arc::new(Dropped(Mutex::new(Some(then)))));
        assert!(Pin::new(&mut pending).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        pending.on_complete(move |_| {
            called.send(()).unwrap();
            may_go_on.recv().unwrap();
        });
        assert_eq!(gone.load(Ordering::SeqCst), 0, "the callback is running");
        go_on.send(()).unwrap();
        is_done.recv().unwrap();
        assert_eq!(gone.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_result_that_was_taken_is_not_there_for_a_callback() {
        let (mut pending, completer) = pending::<u32>(());
        completer.end(Ok(1));
        assert_eq!(pending.wait().unwrap(), 1);
        let (sender, results) = mpsc::channel();
        pending.on_complete(move |result| sender.send(result.unwrap_err().status()).unwrap());
        assert_eq!(results.recv(), Ok(NtStatus::INVALID_DEVICE_STATE));
    }

    #[test]
    fn the_guard_goes_when_all_is_over() {
        let gone = Arc::new(AtomicUsize::new(0));
        let count = || gone.load(Ordering::SeqCst);
        let make = || pending::<u32>(Guard(gone.clone()));
        let (pending, completer) = make();
        let seen = gone.clone();
        pending.on_complete(move |_| assert_eq!(seen.load(Ordering::SeqCst), 0, "not before the callback returned"));
        completer.end(Ok(1));
        assert_eq!(count(), 1);
        let (pending, _completer) = make();
        pending.cancel();
        assert_eq!(count(), 2);
        let (pending, _completer) = make();
        drop(pending);
        assert_eq!(count(), 3);
    }

    /// A waker that panics, as an executor's might.
    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }

    #[test]
    fn a_panicking_waker_stays_with_its_request() {
        let (pending, completer) = pending::<u32>(());
        let mut pending = std::pin::pin!(pending);
        let waker = Waker::from(Arc::new(Panics));
        assert!(pending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        completer.end(Ok(3));
        let Poll::Ready(Ok(3)) = pending.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("it has ended")
        };
    }

    #[test]
    fn it_can_be_awaited_and_waited_for_in_vain() {
        let (mut pending, completer) = pending::<u32>(());
        assert!(pending.wait_timeout(Duration::ZERO).is_none());
        let thread = std::thread::spawn(move || pending.wait().unwrap());
        completer.end(Ok(3));
        assert_eq!(thread.join().unwrap(), 3);
        let mut done = std::pin::pin!(Pending::<u32>::failed(NtStatus::NOT_FOUND));
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Err(error)) = done.as_mut().poll(&mut cx) else { panic!("not ready") };
        assert_eq!(error.status(), NtStatus::NOT_FOUND);
    }

    #[test]
    fn waiting_inside_a_callback_is_refused_and_changes_nothing() {
        let (mut pending, completer) = pending::<u32>(());
        let status = enter_client(0, || pending.wait().unwrap_err().status());
        assert_eq!(status, Some(NtStatus::POSSIBLE_DEADLOCK));
        completer.end(Ok(5));
        assert_eq!(pending.wait().unwrap(), 5);
    }
}
