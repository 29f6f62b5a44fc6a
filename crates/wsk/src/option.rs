//! Socket options as types: each knows its value (control.md 4).
//!
//! ```no_run
//! # fn f(socket: &wsk::DatagramSocket) -> Result<(), wsk::Error> {
//! use wsk::option::{HopLimit4, SendBuffer};
//!
//! socket.set(HopLimit4(3))?;
//! let SendBuffer(bytes) = socket.get()?;
//! # Ok(()) }
//! ```
//!
//! The table behind them, with Windows' and Linux's numbers, is [`TABLE`]; [`NumberOption`] names a line of it for those who have
//! numbers only. Options that do more than set a number have methods of their own on the sockets.

use std::sync::Arc;

use wsk_core::transport::TransportOption;

use crate::error::Error;
use crate::socket::Socket;

pub use wsk_core::option::{Categories, NumberOption, Row, TABLE, Values};

/// An option, with its value.
pub trait SocketOption: Copy {
    /// Its line in the table.
    const OPTION: NumberOption;

    /// The value as a number.
    fn number(self) -> u32;

    /// The option of a value that the transport gave.
    fn from_number(number: u32) -> Self;
}

macro_rules! typed {
    ($($option:ident($kind:ty) $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $option(pub $kind);

        impl SocketOption for $option {
            const OPTION: NumberOption = NumberOption::$option;

            fn number(self) -> u32 {
                self.0.into()
            }

            fn from_number(number: u32) -> Self {
                Self(<$kind as Number>::from_number(number))
            }
        }
    )*};
}

/// What values there are.
trait Number {
    fn from_number(number: u32) -> Self;
}

impl Number for bool {
    fn from_number(number: u32) -> Self {
        number != 0
    }
}

impl Number for u8 {
    fn from_number(number: u32) -> Self {
        number.try_into().unwrap_or(u8::MAX)
    }
}

impl Number for u32 {
    fn from_number(number: u32) -> Self {
        number
    }
}

typed! {
    ReceiveBuffer(u32) "SO_RCVBUF, bytes: what the host queues, and what indications may retain if it is above 1 MiB (E-120). Accepted sockets inherit it.";
    SendBuffer(u32) "SO_SNDBUF, bytes: what the host queues of data to send; the subsystem itself queues none.";
    DontRoute(bool) "SO_DONTROUTE: to directly connected networks only.";
    HopLimit4(u8) "IP_TTL, at least 1: the TTL of what is sent by IPv4; on an IPv6 socket, for its IPv4 half (C-20).";
    MulticastHops4(u8) "IP_MULTICAST_TTL of a datagram socket.";
    MulticastLoop4(bool) "IP_MULTICAST_LOOP of a datagram socket: whether its IPv4 multicasts come back to this machine.";
    HopLimit6(u8) "IPV6_UNICAST_HOPS: the hop limit of what is sent by IPv6.";
    MulticastHops6(u8) "IPV6_MULTICAST_HOPS of a datagram socket.";
    MulticastLoop6(bool) "IPV6_MULTICAST_LOOP of a datagram socket: whether its IPv6 multicasts come back to this machine.";
    KeepIdle(u32) "TCP_KEEPIDLE, 1 to 32767 seconds: silence before the first keep-alive probe. Accepted sockets inherit it.";
    KeepCount(u8) "TCP_KEEPCNT, 1 to 127: probes without an answer that end the connection. Accepted sockets inherit it.";
    KeepInterval(u32) "TCP_KEEPINTVL, 1 to 32767 seconds: between keep-alive probes. Accepted sockets inherit it.";
}

/// Sets an option of a socket of the given categories.
pub(crate) fn set(socket: &Arc<Socket>, on: Categories, option: NumberOption, value: u32) -> Result<(), Error> {
    option.check_category(on)?;
    let value = option.check_value(value)?;
    socket.endpoint.set_option(TransportOption::Number(option, value))?;
    if option == NumberOption::ReceiveBuffer {
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
    Ok(())
}

/// Asks for an option.
pub(crate) fn get(socket: &Socket, on: Categories, option: NumberOption) -> Result<u32, Error> {
    option.check_category(on)?;
    Ok(socket.endpoint.option(option)?)
}
