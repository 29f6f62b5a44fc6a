//! Socket options as types: each knows its value (control.md 4).
//!
//! ```no_run
//! # fn f(socket: &wsk::DatagramSocket) -> Result<(), wsk::Error> {
//! use wsk::option::{HopLimit4, PacketInfo4, SendBuffer};
//!
//! socket.set(HopLimit4(3))?;
//! socket.set(PacketInfo4(true))?; // datagrams of IPv4 tell where they were received
//! let SendBuffer(bytes) = socket.get()?;
//! # Ok(()) }
//! ```
//!
//! The table behind them, with Windows' and Linux's numbers, is [`TABLE`]; [`OptionName`] names a line of it for those who have
//! numbers only. Multicast groups have methods of their own: [`DatagramSocket::join_group`](crate::DatagramSocket::join_group).

mod types;

use std::collections::BTreeMap;
use std::sync::Arc;

use wsk_abi::constants::sockopt::{IPPROTO_IPV6, PROTECTION_LEVEL_DEFAULT};
use wsk_abi::status::NtStatus;
use wsk_core::request::RequestId;
use wsk_core::security::{SecurityDescriptor, Subject};
use wsk_core::sharing::Mode;
use wsk_core::transport::Family;

use crate::error::Error;
use crate::handle;
use crate::network::Wanted;
use crate::socket::Socket;

pub use types::*;
pub use wsk_core::option::{
    Access, Categories, GroupAction, GroupInterface, GroupRequest, GroupShape, Keeper, OptionName, OptionValue, Row,
    State, TABLE, Values,
};

/// An option, with its value.
pub trait SocketOption: Sized {
    /// Its line in the table.
    const OPTION: OptionName;

    /// The value as the table has it.
    fn into_value(self) -> OptionValue;

    /// The option of a value that the socket gave.
    fn from_value(value: OptionValue) -> Self;
}

/// What few sockets have: options that were set, but for those of the transport, and requests that wait for the network.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// What was set, of the options that [`remembers`] says.
    values: BTreeMap<OptionName, u32>,
    /// SO_WSK_SECURITY, or what WskSocket was given.
    pub(crate) security: Option<Arc<SecurityDescriptor>>,
    /// The security context of the owning process (F-87).
    pub(crate) subject: Option<Subject>,
    /// Requests that wait for a change of the network.
    pub(crate) waits: Vec<(RequestId, Wanted)>,
}

/// Whether the value is the one that was set, and not what the transport makes of it: what no transport has; sizes, of which a
/// host takes what it likes (C 4.1 SO_RCVBUF); and times of which the host has other defaults.
fn remembers(row: &Row) -> bool {
    let ours = matches!(row.keeper, Keeper::Subsystem(_) | Keeper::Remembered(_));
    let times = [OptionName::KeepIdle, OptionName::KeepCount, OptionName::KeepInterval].contains(&row.option);
    ours || times || row.values == Values::Bytes
}

impl Kept {
    fn value(&self, option: OptionName) -> Option<u32> {
        self.values.get(&option).copied()
    }

    fn is_on(&self, option: OptionName) -> bool {
        self.value(option).is_some_and(|value| value != 0)
    }

    /// How the socket shares its address (control.md 7).
    pub(crate) fn mode(&self) -> Mode {
        if self.is_on(OptionName::ExclusiveAddress) {
            Mode::Exclusive
        } else if self.is_on(OptionName::ReuseAddress) {
            Mode::Reuse
        } else {
            Mode::Default
        }
    }

    /// Whether a socket is of both families (C-40).
    pub(crate) fn is_dual(&self, family: Family) -> bool {
        family == Family::V6 && self.value(OptionName::V6Only) == Some(0)
    }

    /// What an accepted socket has of its listener's (C-18). Sharing is the listener's alone.
    pub(crate) fn inherited(&self) -> Option<Box<Self>> {
        let both = Categories::LISTEN | Categories::CONNECTION;
        let mut values = self.values.clone();
        values.retain(|option, _| {
            let row = option.row();
            row.on.contains(both) && row.state == State::Any
        });
        (!values.is_empty()).then(|| Box::new(Self { values, ..Self::default() }))
    }

    /// SO_RCVBUF, if it was set.
    pub(crate) fn receive_buffer(&self) -> Option<usize> {
        self.value(OptionName::ReceiveBuffer).map(|bytes| bytes as usize)
    }
}

/// Sets an option of a socket of the given categories.
pub(crate) fn set(socket: &Arc<Socket>, on: Categories, option: OptionName, value: OptionValue) -> Result<(), Error> {
    let row = option.row();
    row.check(socket.role(on), true)?;
    check_family(socket, row)?;
    let value = row.check_value(value)?;
    if row.state == State::BeforeBind && !socket.is_created() {
        return Err(NtStatus::INVALID_DEVICE_STATE.into());
    }
    match row.keeper {
        Keeper::Subsystem(_) | Keeper::Remembered(_) => check_own(socket, option, value.number()?)?,
        Keeper::Linux(..) | Keeper::Transport(_) => socket.endpoint.set_option(option, &value)?,
        Keeper::Constant(_) | Keeper::No => return Err(NtStatus::NOT_SUPPORTED.into()),
    }
    if let OptionValue::Number(number) = value {
        if remembers(row) {
            socket.keep(|kept| {
                kept.values.insert(option, number);
                keep_pairs(kept, option, number);
            });
        }
        take_effect(socket, option, number)?;
    }
    Ok(())
}

/// SO_LINGER and SO_DONTLINGER are two views of one switch.
fn keep_pairs(kept: &mut Kept, option: OptionName, number: u32) {
    let linger = kept.value(OptionName::Linger).unwrap_or(0);
    match option {
        OptionName::Linger => {
            kept.values.insert(OptionName::DontLinger, u32::from(number & 0xFFFF == 0));
        }
        OptionName::DontLinger => {
            kept.values.insert(OptionName::Linger, linger & 0xFFFF_0000 | u32::from(number == 0));
        }
        _ => {}
    }
}

/// An option of IPv6 is not for an IPv4 socket; the reverse is for the IPv4 half of an IPv6 one (C-20).
fn check_family(socket: &Socket, row: &Row) -> Result<(), NtStatus> {
    if row.level == IPPROTO_IPV6 && socket.family == Family::V4 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    Ok(())
}

/// Whether an option that no transport keeps may have this value, beside those the socket has.
fn check_own(socket: &Socket, option: OptionName, value: u32) -> Result<(), NtStatus> {
    let other = |option| value != 0 && socket.kept(|kept| kept.is_on(option));
    let bad = match option {
        OptionName::ReuseAddress => other(OptionName::ExclusiveAddress), // C-50
        OptionName::ExclusiveAddress => other(OptionName::ReuseAddress),
        OptionName::ProtectionLevel => ![10, 20, 30, PROTECTION_LEVEL_DEFAULT].contains(&value),
        _ => false,
    };
    if bad { Err(NtStatus::INVALID_PARAMETER) } else { Ok(()) }
}

/// What the subsystem does about an option.
fn take_effect(socket: &Arc<Socket>, option: OptionName, value: u32) -> Result<(), Error> {
    let on = value != 0;
    match option {
        OptionName::KeepAlive if on => {
            // The host has other defaults.
            for time in [OptionName::KeepIdle, OptionName::KeepCount, OptionName::KeepInterval] {
                if let (None, Some(value)) = (socket.kept(|kept| kept.value(time)), time.row().default) {
                    socket.endpoint.set_option(time, &OptionValue::Number(value))?;
                }
            }
        }
        OptionName::ReceiveBuffer => {
            let retains = socket.decide(None, |machine, _| {
                if let Some(connection) = machine.connection() {
                    connection.set_receive_buffer(value as usize);
                } else if let Some(datagram) = machine.datagram() {
                    datagram.set_receive_buffer(value as usize);
                } else {
                    return false;
                }
                true
            });
            if retains.0 {
                socket.cap_changed();
            }
        }
        OptionName::ConditionalAccept => {
            socket.decide(None, |machine, _| machine.set_conditional(on)).0?;
        }
        OptionName::V6Only => {
            socket.decide(None, |machine, _| machine.set_v6_only(on)).0?;
            socket.keep(|kept| {
                kept.values.insert(option, value);
            });
        }
        OptionName::ReceiveBroadcast => socket.with_datagram(|datagram| datagram.set_receive_broadcast(on)),
        OptionName::UserMtu4 => socket.with_datagram(|datagram| datagram.set_user_mtu(Family::V4, value)),
        OptionName::UserMtu6 => socket.with_datagram(|datagram| datagram.set_user_mtu(Family::V6, value)),
        _ => {}
    }
    Ok(())
}

/// SO_WSK_SECURITY.
pub(crate) fn set_security(
    socket: &Arc<Socket>,
    on: Categories,
    security: Option<Arc<SecurityDescriptor>>,
) -> Result<(), Error> {
    OptionName::Security.row().check(socket.role(on), true)?;
    if !socket.is_created() {
        return Err(NtStatus::INVALID_DEVICE_STATE.into());
    }
    if security.is_some() || socket.kept(|kept| kept.security.is_some()) {
        socket.keep(|kept| kept.security = security);
    }
    Ok(())
}

/// Asks for an option.
pub(crate) fn get(socket: &Arc<Socket>, on: Categories, option: OptionName) -> Result<OptionValue, Error> {
    let row = option.row();
    row.check(socket.role(on), false)?;
    check_family(socket, row)?;
    if let Some(value) = socket.kept(|kept| kept.value(option)) {
        return Ok(OptionValue::Number(value));
    }
    let defaults = remembers(row).then_some(row.default).flatten();
    match (row.keeper, defaults) {
        (Keeper::Constant(value), _) | (_, Some(value)) => Ok(OptionValue::Number(value)),
        (Keeper::Linux(..) | Keeper::Transport(_), None) => match (option, socket.fixed_remote()) {
            // The host does not know where a datagram socket sends to.
            (OptionName::Mtu4 | OptionName::Mtu6, Some(remote)) => {
                Ok(OptionValue::Number(socket.transport()?.path_mtu(remote.ip())?))
            }
            _ => match (option, socket.endpoint.option(option)) {
                // It forgets the route of a connection when an option changes, until the next segment goes.
                (OptionName::Mtu4 | OptionName::Mtu6, Err(NtStatus::INVALID_DEVICE_STATE))
                    if on.intersects(Categories::CONNECTION) =>
                {
                    let remote = handle::address(socket, true).map_err(|_| NtStatus::INVALID_DEVICE_STATE)?;
                    Ok(OptionValue::Number(socket.transport()?.path_mtu(remote.ip())?))
                }
                (_, found) => Ok(found?),
            },
        },
        _ => Err(NtStatus::NOT_SUPPORTED.into()),
    }
}
