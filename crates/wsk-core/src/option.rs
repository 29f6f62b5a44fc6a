//! Socket options that are numbers and that the transport keeps: control.md 4.1 to 4.3, a line each.
//!
//! [`TABLE`] is what the C interface looks up, what the Rust one checks against, and what a transport over Linux translates by.
//! Options that the subsystem itself decides (sharing, conditional accept, event callbacks) are not here.

use std::ops::RangeInclusive;

use wsk_abi::constants::sockopt::*;
use wsk_abi::status::NtStatus;

bitflags::bitflags! {
    /// Socket categories. A stream socket is both, until it has a role (control.md 4).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Categories: u8 {
        /// Listening sockets; accepted sockets inherit.
        const LISTEN = 1;
        /// Datagram sockets.
        const DATAGRAM = 2;
        /// Connection sockets.
        const CONNECTION = 4;
    }
}

/// What values an option has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// Off, or on with any value but 0.
    Flag,
    /// A size in bytes; the transport may take less.
    Bytes,
    /// A number out of a range.
    Number(RangeInclusive<u32>),
}

/// An option.
#[derive(Debug)]
pub struct Row {
    /// Which.
    pub option: NumberOption,
    /// Its name in Microsoft's headers.
    pub name: &'static str,
    /// Its level there.
    pub level: u32,
    /// Its number there.
    pub code: u32,
    /// Who has it.
    pub on: Categories,
    /// What values it has.
    pub values: Values,
    /// Level and name in Linux.
    pub linux: (i32, i32),
}

macro_rules! options {
    ($($(#[$doc:meta])* $option:ident: $level:ident $code:ident, $on:expr, $values:expr, $linux:expr;)*) => {
        /// The options of [`TABLE`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum NumberOption {
            $($(#[$doc])* $option,)*
        }

        /// All of them.
        pub static TABLE: &[Row] = &[$(Row {
            option: NumberOption::$option,
            name: stringify!($code),
            level: $level,
            code: $code,
            on: $on,
            values: $values,
            linux: $linux,
        },)*];
    };
}

const D: Categories = Categories::DATAGRAM;
const LC: Categories = Categories::LISTEN.union(Categories::CONNECTION);
const LDC: Categories = Categories::all();

options! {
    // option          level        code                  on   values                     Linux

    /// What the host queues of received data.
    ReceiveBuffer:     SOL_SOCKET   SO_RCVBUF,            LDC, Values::Bytes,             (1, 8);
    /// What the host queues of data to send; the subsystem itself queues none.
    SendBuffer:        SOL_SOCKET   SO_SNDBUF,            LDC, Values::Bytes,             (1, 7);
    /// To directly connected networks only.
    DontRoute:         SOL_SOCKET   SO_DONTROUTE,         LDC, Values::Flag,              (1, 5);
    /// The TTL of what is sent by IPv4.
    HopLimit4:         IPPROTO_IP   IP_TTL,               LDC, Values::Number(1..=255),   (0, 2);
    /// The TTL of IPv4 multicasts.
    MulticastHops4:    IPPROTO_IP   IP_MULTICAST_TTL,     D,   Values::Number(0..=255),   (0, 33);
    /// Whether IPv4 multicasts come back to this machine.
    MulticastLoop4:    IPPROTO_IP   IP_MULTICAST_LOOP,    D,   Values::Flag,              (0, 34);
    /// The hop limit of what is sent by IPv6.
    HopLimit6:         IPPROTO_IPV6 IPV6_UNICAST_HOPS,    LDC, Values::Number(0..=255),   (41, 16);
    /// The hop limit of IPv6 multicasts.
    MulticastHops6:    IPPROTO_IPV6 IPV6_MULTICAST_HOPS,  D,   Values::Number(0..=255),   (41, 18);
    /// Whether IPv6 multicasts come back to this machine.
    MulticastLoop6:    IPPROTO_IPV6 IPV6_MULTICAST_LOOP,  D,   Values::Flag,              (41, 19);
    /// Seconds of silence before the first keep-alive probe.
    KeepIdle:          IPPROTO_TCP  TCP_KEEPIDLE,         LC,  Values::Number(1..=32767), (6, 4);
    /// Keep-alive probes without an answer that end the connection.
    KeepCount:         IPPROTO_TCP  TCP_KEEPCNT,          LC,  Values::Number(1..=127),   (6, 6);
    /// Seconds between keep-alive probes.
    KeepInterval:      IPPROTO_TCP  TCP_KEEPINTVL,        LC,  Values::Number(1..=32767), (6, 5);
}

impl NumberOption {
    /// Its line of [`TABLE`].
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The option that clients of the C interface know by these numbers.
    pub fn find(level: u32, code: u32) -> Option<Self> {
        TABLE.iter().find(|row| (row.level, row.code) == (level, code)).map(|row| row.option)
    }

    /// Whether the option is there on sockets of these categories.
    ///
    /// # Errors
    /// INVALID_PARAMETER: it is not (C-16).
    pub fn check_category(self, on: Categories) -> Result<(), NtStatus> {
        if self.row().on.intersects(on) { Ok(()) } else { Err(NtStatus::INVALID_PARAMETER) }
    }

    /// The value as it goes to the transport.
    ///
    /// # Errors
    /// INVALID_PARAMETER: out of range (C-16).
    pub fn check_value(self, value: u32) -> Result<u32, NtStatus> {
        match &self.row().values {
            Values::Flag => Ok(u32::from(value != 0)),
            Values::Bytes => Ok(value),
            Values::Number(range) if range.contains(&value) => Ok(value),
            Values::Number(_) => Err(NtStatus::INVALID_PARAMETER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_options_and_names_each_once() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.option as usize, at, "{}", row.name);
            assert_eq!(NumberOption::find(row.level, row.code), Some(row.option), "{}", row.name);
        }
        assert_eq!(NumberOption::find(SOL_SOCKET, SO_DEBUG), None);
    }

    #[test]
    fn c16_categories_and_values() {
        let refused = Err(NtStatus::INVALID_PARAMETER);
        for row in TABLE {
            for category in Categories::all().iter() {
                let expected = if row.on.contains(category) { Ok(()) } else { refused };
                assert_eq!(row.option.check_category(category), expected, "{}", row.name);
            }
            let (good, bad) = match &row.values {
                Values::Flag => (vec![(0, 0), (1, 1), (7, 1)], vec![]),
                Values::Bytes => (vec![(0, 0), (u32::MAX, u32::MAX)], vec![]),
                Values::Number(range) => {
                    let (low, high) = (*range.start(), *range.end());
                    (vec![(low, low), (high, high)], vec![high + 1, low.wrapping_sub(1), u32::MAX])
                }
            };
            good.iter().for_each(|(given, kept)| assert_eq!(row.option.check_value(*given), Ok(*kept), "{}", row.name));
            bad.iter().for_each(|given| assert_eq!(row.option.check_value(*given), Err(NtStatus::INVALID_PARAMETER)));
        }
    }
}
