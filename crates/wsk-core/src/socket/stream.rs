//! Stream sockets: one socket that becomes a listener or a connection (F-244).
//!
//! Until it has a role it is a connection that may also start to listen; after WskListen it is a listener without
//! WskInspectComplete (F-142).

use std::net::SocketAddr;

use wsk_abi::flags::{DisconnectFlags, EventMask, ReceiveFlags, SendFlags};
use wsk_abi::status::NtStatus;

use crate::effect::{CallbackKind, Effect, Effects};
use crate::event_mask::finish_now;
use crate::indication::Answer;
use crate::memory::Memory;
use crate::option::Categories;
use crate::request::RequestId;
use crate::socket::connection::{self, Connection, Events};
use crate::socket::listen::{self, Listen};
use crate::transport::{Event, Family};

#[derive(Debug)]
enum Role {
    /// None yet, or connection.
    Connect(Box<Connection>),
    Listen(Box<Listen>),
}

/// A stream socket.
#[derive(Debug)]
pub struct Stream {
    role: Role,
    family: Family,
    /// Both dispatch tables in one.
    events: Events,
    conditional: bool,
    local: Option<SocketAddr>,
    listening: Option<RequestId>,
}

impl Stream {
    /// A new socket, not bound.
    pub fn new(family: Family, events: Events) -> Self {
        Self {
            role: Role::Connect(Box::new(Connection::new(family, events))),
            family,
            events,
            conditional: false,
            local: None,
            listening: None,
        }
    }

    /// The connection, unless it listens.
    pub fn as_connection(&mut self) -> Option<&mut Connection> {
        match &mut self.role {
            Role::Connect(connection) => Some(connection),
            Role::Listen(_) => None,
        }
    }

    /// The listener, if it listens.
    pub fn as_listener(&mut self) -> Option<&mut Listen> {
        match &mut self.role {
            Role::Listen(listen) => Some(listen),
            Role::Connect(_) => None,
        }
    }

    /// Requests queued.
    pub fn queued(&self) -> usize {
        match &self.role {
            Role::Connect(connection) => connection.queued(),
            Role::Listen(listen) => listen.queued(),
        }
    }

    /// Whether the close has completed.
    pub fn is_gone(&self) -> bool {
        match &self.role {
            Role::Connect(connection) => connection.is_gone(),
            Role::Listen(listen) => listen.is_gone(),
        }
    }

    /// Whether a close has begun or completed.
    pub fn is_closing(&self) -> bool {
        match &self.role {
            Role::Connect(connection) => connection.is_closing(),
            Role::Listen(listen) => listen.is_closing(),
        }
    }

    /// Whether it is no longer functional (F-81).
    pub fn is_broken(&self) -> bool {
        match &self.role {
            Role::Connect(connection) => connection.state() == connection::State::Broken,
            Role::Listen(listen) => listen.state() == listen::State::Broken,
        }
    }

    /// Whether the driver has let go of the endpoint.
    pub fn is_detached(&self) -> bool {
        match &self.role {
            Role::Connect(connection) => connection.is_detached(),
            Role::Listen(listen) => listen.is_detached(),
        }
    }

    /// What it is by now: both, until it has a role (control.md 4).
    pub fn categories(&self) -> Categories {
        match &self.role {
            Role::Listen(_) => Categories::LISTEN,
            Role::Connect(c) if matches!(c.state(), connection::State::Created | connection::State::Bound) => {
                Categories::LISTEN | Categories::CONNECTION
            }
            Role::Connect(_) => Categories::CONNECTION,
        }
    }

    /// SO_CONDITIONAL_ACCEPT, before bind (E-31).
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE after bind.
    pub fn set_conditional(&mut self, on: bool) -> Result<(), NtStatus> {
        match &self.role {
            Role::Connect(c) if c.state() == connection::State::Created => self.conditional = on,
            _ => return Err(NtStatus::INVALID_DEVICE_STATE),
        }
        Ok(())
    }

    /// WskListen: listening has begun when it completes (F-130).
    pub fn listen(&mut self, id: RequestId, fx: &mut Effects) {
        match &self.role {
            Role::Connect(c) if c.is_closing() => fx.finish(id, NtStatus::INVALID_HANDLE), // F-110
            Role::Connect(c) if c.state() == connection::State::Bound && self.listening.is_none() => {
                self.listening = Some(id);
                fx.push(Effect::Listen);
            }
            Role::Connect(c) if c.state() == connection::State::Broken => fx.finish(id, NtStatus::FILE_FORCED_CLOSED),
            _ => fx.finish(id, NtStatus::INVALID_DEVICE_STATE),
        }
    }

    /// The endpoint's answer to [`Effect::Listen`].
    pub fn listening(&mut self, result: Result<(), NtStatus>, fx: &mut Effects) {
        let Some(id) = self.listening.take() else { return };
        match (result, self.local) {
            _ if self.is_closing() => fx.finish(id, NtStatus::CANCELLED),
            // Another thread's connect was faster.
            _ if !matches!(&self.role, Role::Connect(c) if c.state() == connection::State::Bound) => {
                fx.finish(id, NtStatus::INVALID_DEVICE_STATE);
            }
            (Ok(()), Some(local)) => {
                let mut listen = Listen::from_stream(self.family, self.events, self.conditional, local);
                fx.finish(id, NtStatus::SUCCESS);
                listen.advance(fx);
                self.role = Role::Listen(Box::new(listen));
            }
            (Ok(()), None) => fx.finish(id, NtStatus::INVALID_DEVICE_STATE),
            (Err(status), _) => fx.finish(id, status),
        }
    }

    /// WskBind: does not listen (F-244).
    pub fn bind(&mut self, id: RequestId, local: SocketAddr, fx: &mut Effects) {
        match &mut self.role {
            // E-32, as on a listening socket.
            Role::Connect(_) if self.conditional && !listen::has_inspect(self.events.available) => {
                fx.finish(id, NtStatus::INVALID_PARAMETER);
            }
            Role::Connect(connection) => connection.bind(id, local, fx),
            Role::Listen(_) => fx.finish(id, NtStatus::INVALID_DEVICE_STATE),
        }
    }

    /// The endpoint's answer to [`Effect::Bind`].
    pub fn bound(&mut self, result: Result<SocketAddr, NtStatus>, fx: &mut Effects) {
        if let Role::Connect(connection) = &mut self.role {
            self.local = result.ok();
            connection.bound(result, fx);
        }
    }

    /// WskAccept: legal once it listens.
    pub fn accept(&mut self, id: RequestId, fx: &mut Effects) {
        match &mut self.role {
            Role::Listen(listen) => listen.accept(id, fx),
            Role::Connect(c) if c.state() == connection::State::Broken => fx.finish(id, NtStatus::FILE_FORCED_CLOSED),
            Role::Connect(_) => fx.finish(id, NtStatus::INVALID_DEVICE_STATE),
        }
    }

    /// WskConnect.
    pub fn connect(&mut self, id: RequestId, remote: SocketAddr, fx: &mut Effects) {
        match &mut self.role {
            Role::Connect(_) if self.listening.is_some() => fx.finish(id, NtStatus::INVALID_DEVICE_STATE),
            Role::Connect(connection) => connection.connect(id, remote, fx),
            Role::Listen(_) => fx.finish(id, NtStatus::INVALID_DEVICE_STATE),
        }
    }

    /// WskSend.
    pub fn send(&mut self, id: RequestId, memory: Memory, flags: SendFlags, fx: &mut Effects) {
        match &mut self.role {
            Role::Connect(connection) => connection.send(id, memory, flags, fx),
            Role::Listen(_) => fx.complete(id, NtStatus::INVALID_DEVICE_STATE, 0, memory),
        }
    }

    /// WskReceive.
    pub fn receive(&mut self, id: RequestId, memory: Memory, flags: ReceiveFlags, fx: &mut Effects) {
        match &mut self.role {
            Role::Connect(connection) => connection.receive(id, memory, flags, fx),
            Role::Listen(_) => fx.complete(id, NtStatus::INVALID_DEVICE_STATE, 0, memory),
        }
    }

    /// WskDisconnect.
    pub fn disconnect(&mut self, id: RequestId, memory: Memory, flags: DisconnectFlags, fx: &mut Effects) {
        match &mut self.role {
            Role::Connect(connection) => connection.disconnect(id, memory, flags, fx),
            Role::Listen(_) => fx.complete(id, NtStatus::INVALID_DEVICE_STATE, 0, memory),
        }
    }

    /// WskGetLocalAddress.
    pub fn local_address(&mut self, id: RequestId, fx: &mut Effects) {
        match &mut self.role {
            Role::Connect(connection) => connection.local_address(id, fx),
            Role::Listen(listen) => listen.local_address(id, fx),
        }
    }

    /// WskGetRemoteAddress.
    pub fn remote_address(&mut self, id: RequestId, fx: &mut Effects) {
        match &mut self.role {
            Role::Connect(connection) => connection.remote_address(id, fx),
            Role::Listen(_) => fx.finish(id, NtStatus::INVALID_DEVICE_STATE),
        }
    }

    /// SO_WSK_EVENT_CALLBACK: the set of the role it has (E-10); WSK_EVENT_ACCEPT on a connection is of another category.
    pub fn control_events(&mut self, mask: EventMask, request: Option<RequestId>, fx: &mut Effects) -> NtStatus {
        match &mut self.role {
            Role::Listen(listen) => listen.control_events(mask, request, fx),
            Role::Connect(connection) => {
                let uncommitted = matches!(
                    connection.state(),
                    connection::State::Created | connection::State::Bound | connection::State::Connecting
                );
                if connection.state() == connection::State::Broken {
                    return finish_now(NtStatus::FILE_FORCED_CLOSED, request, fx);
                }
                if uncommitted {
                    return finish_now(NtStatus::INVALID_DEVICE_STATE, request, fx);
                }
                connection.control_events(mask, request, fx)
            }
        }
    }

    /// IoCancelIrp.
    pub fn cancel(&mut self, id: RequestId, fx: &mut Effects) {
        match &mut self.role {
            Role::Connect(connection) => connection.cancel(id, fx),
            Role::Listen(listen) => listen.cancel(id, fx),
        }
    }

    /// WskCloseSocket.
    pub fn close(&mut self, id: RequestId, fx: &mut Effects) {
        if let Some(listen) = self.listening.take() {
            fx.finish(listen, NtStatus::CANCELLED);
        }
        match &mut self.role {
            Role::Connect(connection) => connection.close(id, fx),
            Role::Listen(listen) => listen.close(id, fx),
        }
    }

    /// Takes an event in.
    pub fn handle(&mut self, event: Event, fx: &mut Effects) {
        match &mut self.role {
            Role::Connect(connection) => connection.handle(event, fx),
            Role::Listen(listen) => listen.handle(event, fx),
        }
    }

    /// Goes on after a run of events.
    pub fn advance(&mut self, fx: &mut Effects) {
        match &mut self.role {
            Role::Connect(connection) => connection.advance(fx),
            Role::Listen(listen) => listen.advance(fx),
        }
    }

    /// A callback returned.
    pub fn answered(&mut self, kind: CallbackKind, answer: Answer, fx: &mut Effects) {
        match &mut self.role {
            Role::Connect(connection) => connection.answered(kind, answer, fx),
            Role::Listen(listen) => listen.answered(kind, answer, fx),
        }
    }

    /// The driver is gone; see [`Connection::driver_lost`].
    pub fn driver_lost(&mut self, fx: &mut Effects) {
        match &mut self.role {
            Role::Connect(connection) => connection.driver_lost(fx),
            Role::Listen(listen) => listen.driver_lost(fx),
        }
    }

    /// The transport is gone.
    pub fn break_down(&mut self, fx: &mut Effects) {
        match &mut self.role {
            Role::Connect(connection) => connection.break_down(fx),
            Role::Listen(listen) => listen.break_down(fx),
        }
    }
}
