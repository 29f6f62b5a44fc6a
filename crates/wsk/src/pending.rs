//! Things that happen once and are no socket's request: a change of the network, an answer to a name lookup.
//!
//! [`Pending`] is what the client has, [`Completer`] what the subsystem has; whoever ends it first has ended it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use wsk_abi::status::NtStatus;

use crate::error::Error;
use crate::processor::{enter_client, in_client_code, in_waker};

/// Something under way that is no socket's request.
///
/// As a [`Request`](crate::Request): `.await` it, [`wait`](Pending::wait) for it, or have a callback called, on whatever thread
/// ends it; dropping it cancels it.
#[must_use = "dropping it cancels it"]
pub struct Pending<T>(Arc<Shared<T>>);

/// The other end of a [`Pending`].
pub(crate) struct Completer<T>(Weak<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    ended: Condvar,
}

enum State<T> {
    Waiting,
    Waker(Waker),
    /// With itself, so that it lives until it ends.
    Callback(Box<dyn FnOnce(Result<T, Error>) + Send>, #[allow(dead_code)] Arc<Shared<T>>),
    Ended(Result<T, NtStatus>),
    Taken,
}

/// Makes the two ends.
pub(crate) fn pending<T>() -> (Pending<T>, Completer<T>) {
    let shared = Arc::new(Shared { state: Mutex::new(State::Waiting), ended: Condvar::new() });
    let completer = Completer(Arc::downgrade(&shared));
    (Pending(shared), completer)
}

/// One that has ended already.
pub(crate) fn ended<T>(result: Result<T, NtStatus>) -> Pending<T> {
    Pending(Arc::new(Shared { state: Mutex::new(State::Ended(result)), ended: Condvar::new() }))
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
        self.0.upgrade().is_none_or(|shared| matches!(*shared.state.lock(), State::Ended(_) | State::Taken))
    }
}

impl<T> Shared<T> {
    fn end(&self, result: Result<T, NtStatus>) {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Callback(callback, _) => {
                drop(state);
                enter_client(crate::current_irql(), || callback(result.map_err(Error::from)));
            }
            State::Waiting => *state = State::Ended(result),
            State::Waker(waker) => {
                *state = State::Ended(result);
                drop(state);
                waker.wake();
            }
            over => *state = over,
        }
        self.ended.notify_all();
    }
}

impl<T> Pending<T> {
    /// One that has failed already.
    pub fn failed(status: NtStatus) -> Self {
        ended(Err(status))
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

    /// Has `callback` called with the result; here, if it is there already.
    pub fn on_complete(self, callback: impl FnOnce(Result<T, Error>) + Send + 'static) {
        let mut state = self.0.state.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Ended(result) => {
                drop(state);
                callback(result.map_err(Error::from));
            }
            // Kept alive by itself until it ends.
            _ => *state = State::Callback(Box::new(callback), self.0.clone()),
        }
    }

    /// Blocks until it has ended.
    ///
    /// # Errors
    /// Its failure; POSSIBLE_DEADLOCK inside a callback.
    pub fn wait(self) -> Result<T, Error> {
        self.wait_until(None).unwrap_or_else(|_| Err(NtStatus::IO_TIMEOUT.into()))
    }

    /// Blocks for `timeout` at most.
    ///
    /// # Errors
    /// Itself, when it has not ended by then and goes on.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Result<T, Error>, Self> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    fn wait_until(self, deadline: Option<Instant>) -> Result<Result<T, Error>, Self> {
        let mut state = self.0.state.lock();
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Ended(result) => return Ok(result.map_err(Error::from)),
                over => *state = over,
            }
            if in_client_code() && !in_waker() {
                return Ok(Err(NtStatus::POSSIBLE_DEADLOCK.into()));
            }
            match deadline {
                None => self.0.ended.wait(&mut state),
                Some(deadline) => {
                    if self.0.ended.wait_until(&mut state, deadline).timed_out() {
                        drop(state);
                        return Err(self);
                    }
                }
            }
        }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.state.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Ended(result) => Poll::Ready(result.map_err(Error::from)),
            State::Taken => Poll::Ready(Err(NtStatus::INVALID_DEVICE_STATE.into())),
            _ => {
                *state = State::Waker(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> std::fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ended = matches!(*self.0.state.lock(), State::Ended(_) | State::Taken);
        f.debug_struct("Pending").field("ended", &ended).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_ends_it_first_has_ended_it() {
        let (one, completer) = pending::<u32>();
        assert!(!completer.is_over());
        completer.end(Ok(7));
        one.cancel();
        assert_eq!(one.wait().unwrap(), 7);
        let (two, completer) = pending::<u32>();
        let cancel = two.canceller();
        cancel();
        completer.end(Ok(7));
        assert_eq!(two.wait().unwrap_err().status(), NtStatus::CANCELLED);
        let (three, completer) = pending::<u32>();
        drop(three);
        assert!(completer.is_over());
        completer.end(Ok(7));
    }

    #[test]
    fn a_callback_is_called_once_with_nobody_holding_it() {
        let (sender, results) = std::sync::mpsc::channel();
        for early in [false, true] {
            let (pending, completer) = pending::<u32>();
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

    #[test]
    fn it_can_be_awaited_and_waited_for_in_vain() {
        let (pending, completer) = pending::<u32>();
        let pending = pending.wait_timeout(Duration::ZERO).unwrap_err();
        let thread = std::thread::spawn(move || pending.wait().unwrap());
        completer.end(Ok(3));
        assert_eq!(thread.join().unwrap(), 3);
        let mut done = std::pin::pin!(ended::<u32>(Err(NtStatus::NOT_FOUND)));
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Err(error)) = done.as_mut().poll(&mut cx) else { panic!("not ready") };
        assert_eq!(error.status(), NtStatus::NOT_FOUND);
    }
}
