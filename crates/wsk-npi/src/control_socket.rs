//! WskControlSocket: options, IOCTLs and the control of event callbacks (control.md 3 and 4, events.md 4 and 5).

use wsk::option::{KeepIdle, KeepInterval, NumberOption};
use wsk::{Error, EventMask, Request};
use wsk_abi::NtStatus;
use wsk_abi::constants::ioctl::{SIO_KEEPALIVE_VALS, SIO_LOOPBACK_FAST_PATH, SIO_QUERY_RSS_SCALABILITY_INFO};
use wsk_abi::constants::sockopt::*;
use wsk_abi::wsk::{
    SIO_WSK_QUERY_IDEAL_SEND_BACKLOG, SIO_WSK_QUERY_INSPECT_ID, SIO_WSK_QUERY_RECEIVE_BACKLOG,
    SIO_WSK_SET_REMOTE_ADDRESS, SIO_WSK_SET_SENDTO_ADDRESS, SO_WSK_EVENT_CALLBACK, WSK_CONTROL_SOCKET_TYPE,
};

use crate::callback::raw_id;
use crate::completion::{Entered, done, failed};
use crate::control_client::{Buffers, event_mask};
use crate::socket::{Handle, Socket};

/// Options as they were set, for getting them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    keep_alive: u32,
    broadcast: u32,
    receive_buffer: u32,
    conditional_accept: u32,
    v6_only: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { keep_alive: 0, broadcast: 0, receive_buffer: 0, conditional_accept: 0, v6_only: 1 }
    }
}

impl Options {
    /// What a connection has from its listener (control.md 4, "inh").
    pub(crate) fn inherited(&self) -> Self {
        Self { keep_alive: self.keep_alive, receive_buffer: self.receive_buffer, ..Self::default() }
    }
}

/// What became of a request.
enum Outcome {
    /// It is done; so many bytes were written.
    Done(usize),
    /// The disabling of a callback that still runs.
    Disabling(Request<()>),
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Done(0)
    }
}

/// Carries a request out. What is done at once is completed inline and its status returned (F-52); only the disabling of a
/// running callback pends (E-42).
pub(crate) fn control(
    socket: &Socket,
    kind: WSK_CONTROL_SOCKET_TYPE,
    code: u32,
    level: u32,
    buffers: &Buffers<'_>,
    irp: Option<Entered>,
) -> NtStatus {
    let outcome = match (kind, level, code) {
        (WSK_CONTROL_SOCKET_TYPE::SET_OPTION, SOL_SOCKET, SO_WSK_EVENT_CALLBACK) => {
            control_events(socket, buffers, irp.is_some())
        }
        (WSK_CONTROL_SOCKET_TYPE::SET_OPTION, ..) => set_option(socket, level, code, buffers).map(Outcome::from),
        (WSK_CONTROL_SOCKET_TYPE::GET_OPTION, ..) => get_option(socket, level, code, buffers).map(Outcome::Done),
        (WSK_CONTROL_SOCKET_TYPE::IOCTL, ..) => ioctl(socket, code, buffers).map(Outcome::Done),
        _ => Err(NtStatus::INVALID_PARAMETER),
    };
    let ending = match outcome {
        Ok(Outcome::Done(length)) => {
            buffers.say_length(length);
            done(length)
        }
        Ok(Outcome::Disabling(request)) => {
            let Some(irp) = irp else {
                request.detach();
                return NtStatus::EVENT_PENDING;
            };
            return irp.pend_to_the_end(request, |result| result.map_or_else(|e| failed(e.status()), |()| done(0)));
        }
        Err(status) => failed(status),
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

fn enable(handle: &Handle, mask: EventMask) -> Result<(), Error> {
    any!(handle, socket => socket.enable(mask))
}

fn disable(handle: &Handle, event: EventMask) -> Request<()> {
    any!(handle, socket => socket.disable(event))
}

fn disable_without_request(handle: &Handle, event: EventMask) -> NtStatus {
    any!(handle, socket => socket.disable_without_request(event))
}

/// The value of an option, from 1, 2 or 4 bytes (C-17).
fn value(buffers: &Buffers<'_>) -> Result<u32, NtStatus> {
    match *buffers.input {
        [a] => Ok(a.into()),
        [a, b] => Ok(u16::from_le_bytes([a, b]).into()),
        [a, b, c, d] => Ok(u32::from_le_bytes([a, b, c, d])),
        // A SIZE_T that fits.
        [a, b, c, d, 0, 0, 0, 0] => Ok(u32::from_le_bytes([a, b, c, d])),
        _ => Err(NtStatus::INVALID_PARAMETER),
    }
}

/// Where an option's value is kept.
type Kept = fn(&mut Options) -> &mut u32;

fn set_option(socket: &Socket, level: u32, code: u32, buffers: &Buffers<'_>) -> Result<(), NtStatus> {
    let wrong_category = Err(NtStatus::INVALID_PARAMETER.into());
    let handle = &socket.handle;
    let (result, kept): (Result<(), Error>, Kept) = match (level, code) {
        (SOL_SOCKET, SO_KEEPALIVE) => {
            let on = value(buffers)? != 0;
            let result = match handle {
                Handle::Listen(socket) => socket.set_keep_alive(on),
                Handle::Connection(socket) => socket.set_keep_alive(on),
                Handle::Stream(socket) => socket.as_connection(|socket| socket.set_keep_alive(on)),
                Handle::Basic(_) | Handle::Datagram(_) => wrong_category,
            };
            (result, |options| &mut options.keep_alive)
        }
        (SOL_SOCKET, SO_BROADCAST) => {
            let on = value(buffers)? != 0;
            let result = match handle {
                Handle::Datagram(socket) => socket.set_broadcast(on),
                _ => wrong_category,
            };
            (result, |options| &mut options.broadcast)
        }
        (SOL_SOCKET, SO_RCVBUF) => {
            let size = value(buffers)?;
            let result = any!(handle, socket => socket.set_number(NumberOption::ReceiveBuffer, size));
            (result, |options| &mut options.receive_buffer)
        }
        (SOL_SOCKET, SO_CONDITIONAL_ACCEPT) => {
            let on = value(buffers)? != 0;
            let result = match handle {
                Handle::Listen(socket) => socket.set_conditional_accept(on),
                Handle::Stream(socket) => socket.set_conditional_accept(on),
                _ => wrong_category,
            };
            (result, |options| &mut options.conditional_accept)
        }
        (IPPROTO_IPV6, IPV6_V6ONLY) => {
            let on = value(buffers)? != 0;
            let result = match handle {
                Handle::Listen(socket) => socket.set_v6_only(on),
                Handle::Datagram(socket) => socket.set_v6_only(on),
                Handle::Connection(socket) => socket.set_v6_only(on),
                Handle::Stream(socket) => socket.set_v6_only(on),
                Handle::Basic(_) => wrong_category,
            };
            (result, |options| &mut options.v6_only)
        }
        _ => {
            let option = NumberOption::find(level, code).ok_or(NtStatus::NOT_SUPPORTED)?;
            let number = value(buffers)?;
            return any!(handle, socket => socket.set_number(option, number)).map_err(|error| error.status());
        }
    };
    result.map_err(|error| error.status())?;
    *kept(&mut socket.options.lock()) = value(buffers)?;
    Ok(())
}

fn get_option(socket: &Socket, level: u32, code: u32, buffers: &Buffers<'_>) -> Result<usize, NtStatus> {
    let options = *socket.options.lock();
    let value = match (level, code) {
        (SOL_SOCKET, SO_KEEPALIVE) => options.keep_alive,
        (SOL_SOCKET, SO_BROADCAST) => options.broadcast,
        (SOL_SOCKET, SO_RCVBUF) if options.receive_buffer != 0 => options.receive_buffer,
        (SOL_SOCKET, SO_CONDITIONAL_ACCEPT) => options.conditional_accept,
        (IPPROTO_IPV6, IPV6_V6ONLY) => options.v6_only,
        _ => {
            let option = NumberOption::find(level, code).ok_or(NtStatus::NOT_SUPPORTED)?;
            any!(&socket.handle, socket => socket.number(option)).map_err(|error| error.status())?
        }
    };
    match buffers.room {
        0 => Err(NtStatus::BUFFER_TOO_SMALL),
        1..=3 => buffers.answer(value.min(255) as u8), // C-17
        _ => buffers.answer(value),
    }
}

fn ioctl(socket: &Socket, code: u32, buffers: &Buffers<'_>) -> Result<usize, NtStatus> {
    match code {
        SIO_WSK_SET_REMOTE_ADDRESS | SIO_WSK_SET_SENDTO_ADDRESS => {
            let Handle::Datagram(datagram) = &socket.handle else { return Err(NtStatus::INVALID_PARAMETER) };
            let address = buffers.address()?;
            let set = if code == SIO_WSK_SET_REMOTE_ADDRESS {
                datagram.set_remote_address(address)
            } else {
                datagram.set_send_to_address(address)
            };
            set.map(|()| 0).map_err(|error| error.status())
        }
        SIO_WSK_QUERY_IDEAL_SEND_BACKLOG => connected(socket)
            .and_then(|()| socket.connection(|connection| connection.ideal_send_backlog()))
            .and_then(|size| buffers.answer(size)),
        SIO_WSK_QUERY_RECEIVE_BACKLOG => connected(socket)
            .and_then(|()| socket.connection(|connection| connection.receive_backlog()))
            .and_then(|size| buffers.answer(size)),
        SIO_WSK_QUERY_INSPECT_ID => {
            if !matches!(socket.handle, Handle::Connection(_) | Handle::Stream(_)) {
                return Err(NtStatus::INVALID_DEVICE_REQUEST);
            }
            let id = socket.connection(|connection| connection.inspect_id())?.map_err(|error| error.status())?;
            buffers.answer(raw_id(id))
        }
        SIO_KEEPALIVE_VALS => set_keep_alive_values(socket, buffers).map(|()| 0),
        SIO_LOOPBACK_FAST_PATH => match (&socket.handle, buffers.input.len()) {
            (Handle::Basic(_) | Handle::Datagram(_), _) => Err(NtStatus::INVALID_PARAMETER),
            (_, 1) => Ok(0), // Linux has one path, and it is fast
            _ => Err(NtStatus::INVALID_BUFFER_SIZE),
        },
        SIO_QUERY_RSS_SCALABILITY_INFO => buffers.answer(0u8), // RssEnabled: FALSE
        _ => Err(NtStatus::NOT_SUPPORTED),
    }
}

/// SIO_KEEPALIVE_VALS: on or off, and the times in milliseconds, of which Linux knows the seconds.
fn set_keep_alive_values(socket: &Socket, buffers: &Buffers<'_>) -> Result<(), NtStatus> {
    if !matches!(socket.handle, Handle::Connection(_) | Handle::Stream(_)) {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let [on, idle, interval]: [u32; 3] = buffers.read()?;
    socket
        .connection(|connection| {
            if on != 0 {
                let seconds = |milliseconds: u32| milliseconds.div_ceil(1000).clamp(1, 32767);
                connection.set(KeepIdle(seconds(idle)))?;
                connection.set(KeepInterval(seconds(interval)))?;
            }
            connection.set_keep_alive(on != 0)
        })?
        .map_err(|error: Error| error.status())?;
    socket.options.lock().keep_alive = u32::from(on != 0);
    Ok(())
}

/// The backlog queries are for connections that are connected.
fn connected(socket: &Socket) -> Result<(), NtStatus> {
    if !matches!(socket.handle, Handle::Connection(_) | Handle::Stream(_)) {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    socket.connection(|connection| connection.remote_address())?.map(drop).map_err(|error| error.status())
}
