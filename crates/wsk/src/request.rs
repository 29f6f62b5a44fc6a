//! Requests: an operation under way, usable three ways. Await it, wait for it, or have a callback called.

use std::future::Future;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use wsk_abi::flags::ControlFlags;
use wsk_abi::status::NtStatus;
use wsk_core::control_data::ControlData;
use wsk_core::memory::Memory;
use wsk_core::request::{Outcome, RequestId};

use crate::connection::ConnectionSocket;
use crate::error::Error;
use crate::processor::{in_client_code, in_waker};
use crate::socket::{Completed, Socket};

/// A request under way.
///
/// - `.await` it on any executor; dropping it unfinished is IoCancelIrp, and the buffer stays alive until the completion.
/// - [`Request::wait`] blocks the thread. Inside a callback that is refused with STATUS_POSSIBLE_DEADLOCK, since the thread
///   that would complete the request is the one that waits.
/// - [`Request::on_complete`] calls a function on the socket's home processor (or at once, if it has completed already).
/// - [`Request::detach`] lets it go on with nobody interested in the result.
#[must_use = "dropping a request cancels it; use detach() to let it go on"]
pub struct Request<T: FromCompletion> {
    state: State,
    result: PhantomData<fn() -> T>,
}

enum State {
    Ready(Box<Completed>),
    Pending(Arc<Socket>, RequestId),
    Taken,
}

/// What a request yields; made from its completion.
pub trait FromCompletion: Sized {
    /// Converts a completion of success.
    #[doc(hidden)]
    fn from_completion(completed: Completed) -> Self;
}

impl<T: FromCompletion> Request<T> {
    pub(crate) fn ready(completed: Box<Completed>) -> Self {
        Self { state: State::Ready(completed), result: PhantomData }
    }

    pub(crate) fn pending(socket: Arc<Socket>, id: RequestId) -> Self {
        Self { state: State::Pending(socket, id), result: PhantomData }
    }

    pub(crate) fn failed(status: NtStatus) -> Self {
        Self::ready(Box::new(Completed::failed(status, Memory::None)))
    }

    /// Whether the result is there.
    pub fn is_finished(&self) -> bool {
        match &self.state {
            State::Ready(_) | State::Taken => true,
            State::Pending(socket, id) => socket.is_done(*id),
        }
    }

    /// How it ended (IoStatus: status and Information), if it completed inside its call. Cheaper than to take the result, for
    /// those who need no more.
    pub fn io_status(&self) -> Option<(NtStatus, usize)> {
        match &self.state {
            State::Ready(completed) => Some((completed.status, completed.information)),
            State::Pending(..) | State::Taken => None,
        }
    }

    /// Asks for its end (IoCancelIrp): it completes promptly with STATUS_CANCELLED, unless it won the race (F-63, F-64).
    pub fn cancel(&self) {
        if let State::Pending(socket, id) = &self.state {
            socket.cancel(*id);
        }
    }

    /// Something to cancel it with while another waits for it; `None` if it has completed already.
    pub fn canceller(&self) -> Option<Canceller> {
        match &self.state {
            State::Pending(socket, id) => Some(Canceller { socket: socket.clone(), id: *id }),
            State::Ready(_) | State::Taken => None,
        }
    }

    /// Lets it go on; its result is dropped.
    pub fn detach(mut self) {
        if let State::Pending(socket, id) = std::mem::replace(&mut self.state, State::Taken) {
            socket.forget(id);
        }
    }

    /// Has `callback` called with the result: on the socket's home processor, or here if the request has completed already.
    pub fn on_complete(mut self, callback: impl FnOnce(Result<T, Error>) + Send + 'static) {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Ready(completed) => callback(finish(*completed)),
            State::Pending(socket, id) => {
                let callback = Box::new(move |completed: Completed| callback(finish(completed)));
                if let Some((callback, completed)) = socket.set_callback(id, callback) {
                    callback(completed);
                }
            }
            State::Taken => {}
        }
    }

    /// Blocks until it has completed.
    ///
    /// # Errors
    /// The request's failure. STATUS_POSSIBLE_DEADLOCK inside a callback: it goes on and can be detached or dropped.
    pub fn wait(&mut self) -> Result<T, Error> {
        self.wait_until(None).unwrap_or_else(|| Err(NtStatus::IO_TIMEOUT.into()))
    }

    /// Blocks for `timeout` at most; `None` when it has not completed by then and goes on.
    ///
    /// # Errors
    /// As [`Request::wait`].
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Result<T, Error>> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    /// The result, if it completed inside its call; otherwise the request back.
    ///
    /// # Errors
    /// The request, which goes on.
    pub fn into_ready(mut self) -> Result<Result<T, Error>, Self> {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Ready(completed) => Ok(finish(*completed)),
            state => {
                self.state = state;
                Err(self)
            }
        }
    }

    /// The result of a request that finishes inside its call.
    pub(crate) fn finished(mut self) -> Result<T, Error> {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Ready(completed) => finish(*completed),
            _ => unreachable!("such a request finishes at once"),
        }
    }

    fn wait_until(&mut self, deadline: Option<Instant>) -> Option<Result<T, Error>> {
        let waker = thread_waker();
        loop {
            if let Poll::Ready(result) = self.poll_with(&waker) {
                return Some(result);
            }
            if in_client_code() {
                return Some(Err(NtStatus::POSSIBLE_DEADLOCK.into())); // E-3, inside a waker
            }
            match deadline {
                None => std::thread::park(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    std::thread::park_timeout(left);
                }
            }
        }
    }

    fn poll_with(&mut self, waker: &Waker) -> Poll<Result<T, Error>> {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Ready(completed) => Poll::Ready(finish(*completed)),
            State::Taken => Poll::Ready(Err(NtStatus::INVALID_DEVICE_STATE.into())),
            State::Pending(socket, id) => match socket.poll(id, waker) {
                Some(completed) => Poll::Ready(finish(completed)),
                None => {
                    self.state = State::Pending(socket, id);
                    if in_client_code() && !in_waker() {
                        return Poll::Ready(Err(NtStatus::POSSIBLE_DEADLOCK.into())); // E-3
                    }
                    Poll::Pending
                }
            },
        }
    }
}

impl<T: FromCompletion> Future for Request<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_with(cx.waker())
    }
}

impl<T: FromCompletion> Drop for Request<T> {
    fn drop(&mut self) {
        if let State::Pending(socket, id) = std::mem::replace(&mut self.state, State::Taken) {
            socket.cancel(id);
            socket.forget(id);
        }
    }
}

impl<T: FromCompletion> std::fmt::Debug for Request<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("finished", &self.is_finished()).finish()
    }
}

fn finish<T: FromCompletion>(completed: Completed) -> Result<T, Error> {
    if completed.status.is_success() {
        Ok(T::from_completion(completed))
    } else {
        Err(Error::new(completed.status, completed.information, completed.memory))
    }
}

/// Cancels a request whose [`Request`] was given away, to [`Request::on_complete`] say.
#[derive(Clone)]
pub struct Canceller {
    socket: Arc<Socket>,
    id: RequestId,
}

impl Canceller {
    /// IoCancelIrp, as [`Request::cancel`]; nothing once it has completed.
    pub fn cancel(&self) {
        self.socket.cancel(self.id);
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Canceller({:?})", self.id)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A waker that unparks this thread; made once per thread.
fn thread_waker() -> Waker {
    thread_local! {
        static WAKER: Waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    }
    WAKER.with(Waker::clone)
}

impl FromCompletion for () {
    fn from_completion(_: Completed) -> Self {}
}

/// A finished transfer: how many bytes, and the client's memory back.
#[derive(Debug)]
pub struct Transfer {
    len: usize,
    memory: Memory,
}

impl Transfer {
    /// Bytes moved. For a receive, 0 is the peer's graceful end (F-168).
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no byte was moved.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes received (for memory given as a vector).
    pub fn bytes(&self) -> &[u8] {
        match &self.memory {
            Memory::Vec(buffer) => &buffer[..self.len],
            _ => &[],
        }
    }

    /// The vector that was given, as long as it was; empty if other memory was given.
    pub fn into_buffer(self) -> Vec<u8> {
        match self.memory {
            Memory::Vec(buffer) | Memory::Prefix(buffer, _) => buffer,
            _ => Vec::new(),
        }
    }

    /// The bytes moved, to be sent on; the vector comes back whole with the completion of that send.
    pub fn into_reply(self) -> Memory {
        let len = self.len;
        Memory::Prefix(self.into_buffer(), len)
    }

    /// The vector that was given, cut to the bytes moved: ready to be sent on.
    pub fn into_received(self) -> Vec<u8> {
        let len = self.len;
        let mut buffer = self.into_buffer();
        buffer.truncate(len);
        buffer
    }

    /// The memory that was given.
    pub fn into_memory(self) -> Memory {
        self.memory
    }
}

impl FromCompletion for Transfer {
    fn from_completion(completed: Completed) -> Self {
        Self { len: completed.information, memory: completed.memory }
    }
}

/// A datagram received into the client's memory (F-195, F-196).
#[derive(Debug)]
pub struct ReceivedFrom {
    transfer: Transfer,
    source: SocketAddr,
    flags: ControlFlags,
    control: ControlData,
}

impl ReceivedFrom {
    /// Bytes stored.
    pub fn len(&self) -> usize {
        self.transfer.len
    }

    /// Whether it was an empty datagram.
    pub fn is_empty(&self) -> bool {
        self.transfer.len == 0
    }

    /// The bytes stored.
    pub fn bytes(&self) -> &[u8] {
        self.transfer.bytes()
    }

    /// The sender.
    pub fn source(&self) -> SocketAddr {
        self.source
    }

    /// TRUNC when the datagram was longer than the buffer; BCAST, MCAST by its destination.
    pub fn flags(&self) -> ControlFlags {
        self.flags
    }

    /// What the socket's options asked to see of it.
    pub fn control(&self) -> &ControlData {
        &self.control
    }

    /// The vector that was given.
    pub fn into_buffer(self) -> Vec<u8> {
        self.transfer.into_buffer()
    }

    /// The bytes stored, to be sent on; the vector comes back whole with the completion of that send.
    pub fn into_reply(self) -> Memory {
        self.transfer.into_reply()
    }
}

impl FromCompletion for ReceivedFrom {
    fn from_completion(completed: Completed) -> Self {
        let Outcome::Datagram(info) = completed.outcome else { unreachable!("a receive-from ends with a datagram") };
        Self {
            transfer: Transfer { len: completed.information, memory: completed.memory },
            source: info.source,
            flags: info.flags,
            control: info.control,
        }
    }
}

impl FromCompletion for SocketAddr {
    fn from_completion(completed: Completed) -> Self {
        let Outcome::Address(address) = completed.outcome else { unreachable!("an address query ends with one") };
        address
    }
}

impl FromCompletion for ConnectionSocket {
    fn from_completion(completed: Completed) -> Self {
        completed.socket.expect("an accept or socket-connect ends with a socket")
    }
}
