//! Socket options: control.md 4.
//!
//! [`TABLE`] is what the C interface looks up, what the Rust one checks against, and what a transport over Linux translates by.
//! A value travels as an [`OptionValue`], the same for setting and asking; [`Row::decode`] and [`Row::encode`] are its form in a
//! client's buffer.

mod group;
mod table;

use std::ops::RangeInclusive;

use wsk_abi::constants::sockopt::{IPPROTO_IP, IPPROTO_IPV6, SOL_IP, SOL_IPV6};
use wsk_abi::status::NtStatus;

pub use group::{GroupAction, GroupInterface, GroupRequest, GroupShape};
pub use table::{OptionName, Row, TABLE};

bitflags::bitflags! {
    /// Socket categories. A stream socket is both of listening and connection, until it has a role (control.md 4).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Categories: u8 {
        /// Listening sockets; accepted sockets inherit.
        const LISTEN = 1;
        /// Datagram sockets, raw ones too.
        const DATAGRAM = 2;
        /// Connection sockets.
        const CONNECTION = 4;
        /// Basic sockets.
        const BASIC = 8;
    }
}

/// When an option may be set; it can always be asked for (C-19).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// At any time.
    Any,
    /// Before the socket is bound ("B4" in control.md 4).
    BeforeBind,
}

/// What can be done with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Both.
    GetSet,
    /// It can be asked for.
    Get,
    /// It can be set.
    Set,
}

/// What values an option has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// Off, or on with any value but 0: 1, 2 or 4 bytes (C-17).
    Flag,
    /// A size in bytes, of which the transport may take less: 4 or 8 bytes (C-17).
    Bytes,
    /// A number out of a range, 4 bytes.
    Number(RangeInclusive<u32>),
    /// A number of which -1 means none, 4 bytes.
    Signed,
    /// Bytes as they are, so many at most.
    Octets(usize),
    /// A multicast group, and perhaps a source.
    Group(GroupShape),
    /// A pointer to a security descriptor.
    Descriptor,
    /// WSK_EVENT_CALLBACK_CONTROL: `control_events` of the machines.
    Events,
}

/// Who keeps an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// The transport, in an int of Linux: level and name.
    Linux(i32, i32),
    /// The transport, in a way of its own; Linux' name of it, at the level of the row.
    Transport(&'static str),
    /// The subsystem; where, or how.
    Subsystem(&'static str),
    /// Nobody acts on it, and why; it reads back as it was set.
    Remembered(&'static str),
    /// It cannot change.
    Constant(u32),
    /// It is not there: NOT_SUPPORTED.
    No,
}

/// The value of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// A flag, a size, a number.
    Number(u32),
    /// Bytes as they are.
    Octets(Vec<u8>),
    /// A multicast group.
    Group(GroupRequest),
}

impl OptionValue {
    /// The number.
    ///
    /// # Errors
    /// INVALID_PARAMETER: it is none.
    pub fn number(&self) -> Result<u32, NtStatus> {
        match self {
            OptionValue::Number(number) => Ok(*number),
            _ => Err(NtStatus::INVALID_PARAMETER),
        }
    }
}

impl OptionName {
    /// Its line of [`TABLE`].
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The option that clients of the C interface know by these numbers. SOL_IP and SOL_IPV6 are other names of two levels.
    pub fn find(level: u32, code: u32) -> Option<Self> {
        let level = match level {
            SOL_IP => IPPROTO_IP,
            SOL_IPV6 => IPPROTO_IPV6,
            level => level,
        };
        TABLE.iter().find(|row| (row.level, row.code) == (level, code)).map(|row| row.option)
    }
}

impl Row {
    /// Whether it can be set, or asked for, on sockets of these categories.
    ///
    /// # Errors
    /// NOT_SUPPORTED: it is not there, or not in this direction; INVALID_PARAMETER: another category (C-16).
    pub fn check(&self, on: Categories, set: bool) -> Result<(), NtStatus> {
        let direction = if set { self.access != Access::Get } else { self.access != Access::Set };
        if self.keeper == Keeper::No || !direction {
            Err(NtStatus::NOT_SUPPORTED)
        } else if !self.on.intersects(on) {
            Err(NtStatus::INVALID_PARAMETER)
        } else {
            Ok(())
        }
    }

    /// The value as it is kept: flags are 0 or 1.
    ///
    /// # Errors
    /// INVALID_PARAMETER: of another kind, too long or out of range (C-16).
    pub fn check_value(&self, value: OptionValue) -> Result<OptionValue, NtStatus> {
        let fits = match (&self.values, &value) {
            (Values::Flag, OptionValue::Number(number)) => return Ok(OptionValue::Number(u32::from(*number != 0))),
            (Values::Bytes, OptionValue::Number(_)) => true,
            (Values::Number(range), OptionValue::Number(number)) => range.contains(number),
            (Values::Signed, OptionValue::Number(number)) => *number == u32::MAX || *number <= i32::MAX as u32,
            (Values::Octets(most), OptionValue::Octets(bytes)) => bytes.len() <= *most,
            (Values::Group(shape), OptionValue::Group(group)) => shape.fits(group),
            _ => false,
        };
        if fits { Ok(value) } else { Err(NtStatus::INVALID_PARAMETER) }
    }

    /// A value out of a client's buffer, checked.
    ///
    /// # Errors
    /// INVALID_PARAMETER: another size, a structure that makes no sense, or out of range (C-16, C-17).
    pub fn decode(&self, input: &[u8]) -> Result<OptionValue, NtStatus> {
        let value = match (&self.values, input) {
            (Values::Flag, [a]) => OptionValue::Number((*a).into()),
            (Values::Flag, [a, b]) => OptionValue::Number(u16::from_le_bytes([*a, *b]).into()),
            (Values::Bytes, [a, b, c, d, 0, 0, 0, 0]) => OptionValue::Number(u32::from_le_bytes([*a, *b, *c, *d])),
            (Values::Flag | Values::Bytes | Values::Number(_) | Values::Signed, [a, b, c, d]) => {
                OptionValue::Number(u32::from_le_bytes([*a, *b, *c, *d]))
            }
            (Values::Octets(most), bytes) if bytes.len() <= *most => OptionValue::Octets(bytes.to_vec()),
            (Values::Group(shape), bytes) => {
                OptionValue::Group(shape.decode(bytes, self).ok_or(NtStatus::INVALID_PARAMETER)?)
            }
            _ => return Err(NtStatus::INVALID_PARAMETER),
        };
        self.check_value(value)
    }

    /// A value as it goes into a client's buffer of so much room: a number as 4 bytes, or as its low byte if there are fewer
    /// (C-17).
    ///
    /// # Errors
    /// BUFFER_TOO_SMALL.
    pub fn encode(&self, value: &OptionValue, room: usize) -> Result<Vec<u8>, NtStatus> {
        match value {
            OptionValue::Number(number) if room >= 4 => Ok(number.to_le_bytes().to_vec()),
            OptionValue::Number(number) if room >= 1 => Ok(vec![*number as u8]),
            OptionValue::Octets(bytes) if bytes.len() <= room => Ok(bytes.clone()),
            _ => Err(NtStatus::BUFFER_TOO_SMALL),
        }
    }
}

#[cfg(test)]
mod tests;
