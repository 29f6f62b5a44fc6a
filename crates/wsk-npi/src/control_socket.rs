//! WskControlSocket: options, IOCTLs and the control of event callbacks (control.md 3 and 4, events.md 4 and 5).

use wsk::option::{Categories, OptionName, OptionValue};
use wsk::{Error, EventMask, Pending, Request};
use wsk_abi::NtStatus;
use wsk_abi::wsk::WSK_CONTROL_SOCKET_TYPE;

use crate::border;
use crate::completion::{Entered, done, failed};
use crate::control_client::{Buffers, event_mask};
use crate::ioctl::ioctl;
use crate::socket::{Handle, Socket};

/// What became of a request.
pub(crate) enum Outcome {
    /// It is done; so many bytes were written.
    Done(usize),
    /// The disabling of a callback that still runs.
    Disabling(Request<()>),
    /// It waits for a change of the network.
    Waiting(Pending<()>),
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Done(0)
    }
}

impl From<usize> for Outcome {
    fn from(length: usize) -> Self {
        Self::Done(length)
    }
}

/// Carries a request out. What is done at once is completed inline and its status returned (F-52); the disabling of a running
/// callback pends (E-42), and so does what waits for a change.
pub(crate) fn control(
    socket: &Socket,
    kind: WSK_CONTROL_SOCKET_TYPE,
    code: u32,
    level: u32,
    buffers: &Buffers<'_>,
    irp: Option<Entered>,
) -> NtStatus {
    let outcome = match kind {
        WSK_CONTROL_SOCKET_TYPE::SET_OPTION => set_option(socket, level, code, buffers, irp.is_some()),
        WSK_CONTROL_SOCKET_TYPE::GET_OPTION => get_option(socket, level, code, buffers).map(Outcome::from),
        WSK_CONTROL_SOCKET_TYPE::IOCTL => ioctl(socket, code, buffers),
        _ => Err(NtStatus::INVALID_PARAMETER),
    };
    let ending = match outcome {
        Ok(Outcome::Done(length)) => {
            buffers.say_length(length);
            done(length)
        }
        Ok(Outcome::Disabling(request)) => {
            buffers.say_length(0);
            let Some(irp) = irp else {
                request.detach();
                return NtStatus::EVENT_PENDING;
            };
            return irp.pend_to_the_end(request, |result| result.map_or_else(|e| failed(e.status()), |()| done(0)));
        }
        Ok(Outcome::Waiting(change)) => {
            buffers.say_length(0);
            match irp {
                Some(irp) => {
                    let ending = |result: Result<(), Error>| result.map_or_else(|e| failed(e.status()), |()| done(0));
                    irp.pend_until(change, socket.client.begin(), ending);
                    return NtStatus::PENDING;
                }
                None => failed(NtStatus::REQUEST_NOT_ACCEPTED), // C-12
            }
        }
        Err(status) => {
            buffers.say_failed(status);
            failed(status)
        }
    };
    match irp {
        Some(irp) => irp.finish(ending),
        None => ending.Status,
    }
}

/// SO_WSK_EVENT_CALLBACK.
fn control_events(socket: &Socket, buffers: &Buffers<'_>, has_irp: bool) -> Result<Outcome, NtStatus> {
    let mask = event_mask(buffers)?;
    if socket.callbacks.adopt_undecided() {
        // E-33: inside its WskAcceptEvent, which has said by now what callbacks there are.
        let provided = socket.callbacks.of_table();
        socket.connection(|connection| connection.limit_events(provided))?;
    }
    if !mask.contains(EventMask::DISABLE) {
        return enable(&socket.handle, mask).map(Outcome::from).map_err(|error| error.status());
    }
    let event = mask.difference(EventMask::DISABLE);
    if has_irp {
        return match disable(&socket.handle, event).into_ready() {
            Ok(result) => result.map(Outcome::from).map_err(|error| error.status()),
            Err(request) => Ok(Outcome::Disabling(request)),
        };
    }
    match disable_without_request(&socket.handle, event) {
        NtStatus::SUCCESS => Ok(Outcome::Done(0)),
        status => Err(status), // EVENT_PENDING among them
    }
}

/// Calls the same method of whichever handle it is.
macro_rules! any {
    ($handle:expr, $socket:ident => $call:expr) => {
        match $handle {
            Handle::Basic($socket) => $call,
            Handle::Listen($socket) => $call,
            Handle::Datagram($socket) => $call,
            Handle::Connection($socket) => $call,
            Handle::Stream($socket) => $call,
        }
    };
}
pub(crate) use any;

fn enable(handle: &Handle, mask: EventMask) -> Result<(), Error> {
    any!(handle, socket => socket.enable(mask))
}

fn disable(handle: &Handle, event: EventMask) -> Request<()> {
    any!(handle, socket => socket.disable(event))
}

fn disable_without_request(handle: &Handle, event: EventMask) -> NtStatus {
    any!(handle, socket => socket.disable_without_request(event))
}

/// The option that a client names, if it is there in this direction. NOT_SUPPORTED: it is not, whatever the buffer (C-16).
fn named(level: u32, code: u32, set: bool) -> Result<OptionName, NtStatus> {
    let option = OptionName::find(level, code).ok_or(NtStatus::NOT_SUPPORTED)?;
    option.row().check(Categories::all(), set)?;
    Ok(option)
}

fn set_option(
    socket: &Socket,
    level: u32,
    code: u32,
    buffers: &Buffers<'_>,
    has_irp: bool,
) -> Result<Outcome, NtStatus> {
    let set = match named(level, code, true)? {
        OptionName::EventCallback => return control_events(socket, buffers, has_irp),
        OptionName::Security => {
            let security = socket.client.security(buffers.read::<usize>()?)?;
            any!(&socket.handle, socket => socket.set_security(security))
        }
        option => {
            let value = option.row().decode(buffers.input)?;
            any!(&socket.handle, socket => socket.set_value(option, value))
        }
    };
    set.map(Outcome::from).map_err(|error| error.status())
}

fn get_option(socket: &Socket, level: u32, code: u32, buffers: &Buffers<'_>) -> Result<usize, NtStatus> {
    let option = named(level, code, false)?;
    if option == OptionName::Security {
        if matches!(socket.handle, Handle::Basic(_)) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        if buffers.output.is_null() || buffers.room < size_of::<usize>() {
            return Err(NtStatus::BUFFER_TOO_SMALL);
        }
        let security = any!(&socket.handle, socket => socket.security());
        let cached = socket.client.cached_copy(security.as_deref())?;
        return buffers.answer(cached);
    }
    let value = any!(&socket.handle, socket => socket.value(option)).map_err(|error| error.status())?;
    // A whole structure or nothing; of numbers as much as there is room for (C-17).
    buffers.answer_bytes(&option.row().encode(&value, buffers.room)?)
}

/// A number out of an IOCTL's buffer as a switch: 1, 2 or 4 bytes (C-17).
pub(crate) fn switch(buffers: &Buffers<'_>) -> Result<bool, NtStatus> {
    match OptionName::KeepAlive.row().decode(buffers.input)? {
        OptionValue::Number(number) => Ok(number != 0),
        _ => Err(NtStatus::INVALID_PARAMETER),
    }
}

/// A client's socket address in an IOCTL's input.
pub(crate) fn address(buffers: &Buffers<'_>) -> Result<std::net::SocketAddr, NtStatus> {
    border::address_in(buffers.input)
}
