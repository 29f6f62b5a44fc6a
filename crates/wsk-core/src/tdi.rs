//! Which transport runs a socket: a native one, or a TDI device that the client named (control.md 8.2).

use crate::transport::{Family, Protocol};

/// A line of a client's mapping (WSK_TDI_MAP): what a device serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdiMap {
    /// SOCK_STREAM 1, SOCK_DGRAM 2, SOCK_RAW 3.
    pub socket_type: u16,
    /// AF_INET 2, AF_INET6 23, or another family altogether.
    pub address_family: u16,
    /// IPPROTO_...
    pub protocol: u32,
    /// `\Device\...`
    pub device: String,
}

/// What runs a socket; fixed for its life (C-61).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// A native transport.
    Native,
    /// The TDI device of a native transport, so that a filter on it sees the traffic.
    Diverted,
    /// A TDI device that the client named.
    Mapped(String),
    /// Nothing: NOT_SUPPORTED.
    Nothing,
}

/// The rules of C-60. `native`: a native transport serves it; `filtered`: a TDI filter is attached to the device of that
/// transport; `bypass`: the client passes by filters.
pub fn select(
    family: Family,
    protocol: Protocol,
    native: bool,
    filtered: bool,
    bypass: bool,
    mapping: &[TdiMap],
) -> Selection {
    let wanted = match protocol {
        Protocol::Tcp => (1, 6),
        Protocol::Udp => (2, 17),
        Protocol::Raw(number) => (3, u32::from(number)),
    };
    let address_family = match family {
        Family::V4 => 2,
        Family::V6 => 23,
    };
    let fits = |map: &&TdiMap| (map.socket_type, map.protocol) == wanted && map.address_family == address_family;
    match (native, mapping.iter().find(fits)) {
        (true, _) if filtered && !bypass => Selection::Diverted,
        (true, _) => Selection::Native,
        (false, Some(map)) => Selection::Mapped(map.device.clone()),
        (false, None) => Selection::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C-60, C-62: every case of the rules.
    #[test]
    fn c60_every_case() {
        let map = |socket_type, address_family, protocol, device: &str| TdiMap {
            socket_type,
            address_family,
            protocol,
            device: device.into(),
        };
        let mapping =
            [map(1, 2, 6, r"\Device\A"), map(2, 2, 17, r"\Device\B"), map(2, 23, 17, r"\Device\C"), map(3, 2, 1, "D")];
        let chosen =
            |family, protocol, native, filtered, bypass| select(family, protocol, native, filtered, bypass, &mapping);
        for bypass in [false, true] {
            // Native and no filter: native, mapped or not.
            assert_eq!(chosen(Family::V4, Protocol::Udp, true, false, bypass), Selection::Native);
            // No native transport: what the client named, bypass or not.
            let mapped = Selection::Mapped(r"\Device\B".into());
            assert_eq!(chosen(Family::V4, Protocol::Udp, false, false, bypass), mapped);
            assert_eq!(chosen(Family::V6, Protocol::Tcp, false, false, bypass), Selection::Nothing);
        }
        assert_eq!(chosen(Family::V4, Protocol::Udp, true, true, false), Selection::Diverted);
        assert_eq!(chosen(Family::V4, Protocol::Udp, true, true, true), Selection::Native);
        assert_eq!(chosen(Family::V6, Protocol::Udp, false, false, false), Selection::Mapped(r"\Device\C".into()));
        assert_eq!(chosen(Family::V4, Protocol::Raw(1), false, false, false), Selection::Mapped("D".into()));
        assert_eq!(chosen(Family::V4, Protocol::Raw(2), false, false, false), Selection::Nothing);
    }
}
