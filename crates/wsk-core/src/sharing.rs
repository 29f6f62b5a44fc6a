//! Who may bind to what: the matrix of control.md 7 over every bind there is.
//!
//! The subsystem decides by itself, since no option of a host yields this matrix; a host only says whether others than this
//! process use an address (C-51).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use smallvec::SmallVec;
use wsk_abi::status::NtStatus;

use crate::security::{SecurityDescriptor, Subject};
use crate::transport::Protocol;

/// How a socket shares its address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// As its security descriptor says (D).
    #[default]
    Default,
    /// SO_REUSEADDR (R).
    Reuse,
    /// SO_EXCLUSIVEADDRUSE (E).
    Exclusive,
}

/// What a cell of the matrix says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both may have it.
    Both,
    /// ADDRESS_ALREADY_EXISTS.
    InUse,
    /// ACCESS_DENIED.
    Denied,
    /// The first socket's security descriptor decides: SUCCESS or ACCESS_DENIED (C-50).
    Check,
}

use Verdict::{Both as Yes, Check, Denied as No, InUse as Use};

/// Control.md 7. Columns: the first bind; rows: the second. W wildcard, S the same specific address.
#[rustfmt::skip]
pub const MATRIX: [[Verdict; 6]; 6] = [
    //        D-W    D-S   R-W    R-S   E-W   E-S
    /* D-W */ [Use,   Yes,  Use,   Yes,  Use,  Yes],
    /* D-S */ [Check, Use,  Check, No,   No,   Use],
    /* R-W */ [No,    Yes,  Yes,   Yes,  No,   Yes],
    /* R-S */ [Check, No,   Yes,   Yes,  No,   No],
    /* E-W */ [Use,   Use,  Use,   Use,  Use,  Use],
    /* E-S */ [Check, Use,  Check, Use,  No,   Use],
];

/// Looks a cell up; `true` is a wildcard.
pub fn verdict(first: (Mode, bool), second: (Mode, bool)) -> Verdict {
    let index = |(mode, wildcard): (Mode, bool)| {
        let mode = match mode {
            Mode::Default => 0,
            Mode::Reuse => 2,
            Mode::Exclusive => 4,
        };
        mode + usize::from(!wildcard)
    };
    MATRIX[index(second)][index(first)]
}

/// What a socket asks for, or has.
#[derive(Clone, Debug)]
pub struct Bind {
    /// TCP or UDP; raw sockets share everything.
    pub protocol: Protocol,
    /// The address.
    pub local: SocketAddr,
    /// An IPv6 socket of both families (C-40).
    pub dual: bool,
    /// How it shares.
    pub mode: Mode,
    /// With whom; `None` is the default: nobody.
    pub security: Option<Arc<SecurityDescriptor>>,
}

/// The addresses that a bind takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    V4(Option<Ipv4Addr>),
    /// With the scope of a link-local address, of which each link has its own.
    V6(Option<(Ipv6Addr, u32)>),
    /// All of both families.
    Both,
}

impl Bind {
    fn taken(&self) -> Taken {
        match self.local.ip() {
            IpAddr::V4(v4) => Taken::V4((!v4.is_unspecified()).then_some(v4)),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => Taken::V4((!v4.is_unspecified()).then_some(v4)),
                None if v6.is_unspecified() && self.dual => Taken::Both,
                None => Taken::V6((!v6.is_unspecified()).then_some((v6, self.scope()))),
            },
        }
    }

    fn scope(&self) -> u32 {
        match self.local {
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => v6.scope_id(),
            _ => 0,
        }
    }

    fn is_wildcard(&self) -> bool {
        matches!(self.taken(), Taken::Both | Taken::V4(None) | Taken::V6(None))
    }

    /// Whether both take some address in common, at the same port (C-43).
    fn overlaps(&self, other: &Self) -> bool {
        fn meet<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
            a.is_none() || b.is_none() || a == b
        }
        let addresses = match (self.taken(), other.taken()) {
            (Taken::V4(a), Taken::V4(b)) => meet(a, b),
            (Taken::V6(a), Taken::V6(b)) => meet(a, b),
            (Taken::V4(_), Taken::V6(_)) | (Taken::V6(_), Taken::V4(_)) => false,
            (Taken::Both, _) | (_, Taken::Both) => true,
        };
        addresses && self.protocol == other.protocol && self.local.port() == other.local.port()
    }
}

/// Names a bind of a [`BindTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BindId {
    place: Place,
    serial: u64,
}

/// Where binds can meet: a protocol and a port.
type Place = (Protocol, u16);

/// Every bind of the subsystem.
#[derive(Debug, Default)]
pub struct BindTable {
    /// Those of one place in the order in which they were made. Port 0 is one that the host has not chosen yet.
    places: HashMap<Place, SmallVec<[(u64, Bind); 1]>>,
    next: u64,
}

impl BindTable {
    /// Enters a bind, if the matrix lets it beside every other (C-51). Says whether one of them overlaps. Port 0 overlaps nothing;
    /// its port is told by [`BindTable::settle`].
    ///
    /// # Errors
    /// ADDRESS_ALREADY_EXISTS, ACCESS_DENIED.
    pub fn claim(&mut self, bind: Bind, subject: &Subject) -> Result<(BindId, bool), NtStatus> {
        let mut shares = false;
        let place = (bind.protocol, bind.local.port());
        let free = place.1 == 0 || matches!(bind.protocol, Protocol::Raw(_));
        let there = self.places.get(&place).filter(|_| !free);
        for (_, first) in there.into_iter().flatten().filter(|(_, first)| first.overlaps(&bind)) {
            shares = true;
            let lets = || first.security.as_ref().is_some_and(|security| security.lets_share(subject));
            match verdict((first.mode, first.is_wildcard()), (bind.mode, bind.is_wildcard())) {
                Verdict::Both => {}
                Verdict::Check if lets() => {}
                Verdict::InUse => return Err(NtStatus::ADDRESS_ALREADY_EXISTS),
                Verdict::Denied | Verdict::Check => return Err(NtStatus::ACCESS_DENIED),
            }
        }
        Ok((self.enter(place, bind), shares))
    }

    fn enter(&mut self, place: Place, bind: Bind) -> BindId {
        let serial = self.next;
        self.next += 1;
        self.places.entry(place).or_default().push((serial, bind));
        BindId { place, serial }
    }

    fn take(&mut self, id: BindId) -> Option<Bind> {
        let binds = self.places.get_mut(&id.place)?;
        let at = binds.iter().position(|(serial, _)| *serial == id.serial)?;
        let (_, bind) = binds.remove(at);
        if binds.is_empty() {
            self.places.remove(&id.place);
        }
        Some(bind)
    }

    /// The host has bound it there: its name from now on.
    pub fn settle(&mut self, id: BindId, local: SocketAddr) -> BindId {
        if id.place.1 == local.port() {
            return id;
        }
        match self.take(id) {
            Some(bind) => self.enter((bind.protocol, local.port()), Bind { local, ..bind }),
            None => id,
        }
    }

    /// The socket has let go of its address.
    pub fn release(&mut self, id: BindId) {
        self.take(id);
    }

    /// Binds there are.
    pub fn len(&self) -> usize {
        self.places.values().map(SmallVec::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::Sid;

    fn bind(local: &str, mode: Mode) -> Bind {
        Bind { protocol: Protocol::Udp, local: local.parse().unwrap(), dual: false, mode, security: None }
    }

    fn beside(first: Bind, second: Bind) -> Result<bool, NtStatus> {
        let mut table = BindTable::default();
        table.claim(first, &Subject::default()).unwrap();
        table.claim(second, &Subject::default()).map(|(_, shares)| shares)
    }

    /// C 7 (every row): the matrix as control.md prints it, read from that page.
    #[test]
    fn the_matrix_is_the_one_of_the_spec() {
        let page = include_str!("../../../docs/spec/control.md");
        let mut rows = 0;
        for (row, name) in ["D-W", "D-S", "R-W", "R-S", "E-W", "E-S"].into_iter().enumerate() {
            let line = page.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap();
            let cells: Vec<_> = line.split('|').skip(2).take(6).map(str::trim).collect();
            for (column, cell) in cells.into_iter().enumerate() {
                let expected = match cell {
                    "ok" => Verdict::Both,
                    "INUSE" => Verdict::InUse,
                    "DENIED" => Verdict::Denied,
                    "CHECK" => Verdict::Check,
                    other => panic!("{other} in the row {name}"),
                };
                assert_eq!(MATRIX[row][column], expected, "{name}, column {column}");
            }
            rows += 1;
        }
        assert_eq!(rows, 6);
    }

    /// C-50: CHECK asks the first socket's descriptor; without one nobody shares.
    #[test]
    fn c50_the_first_sockets_descriptor_decides() {
        for (security, expected) in [
            (None, Err(NtStatus::ACCESS_DENIED)),
            (Some(SecurityDescriptor::sharing_with([])), Err(NtStatus::ACCESS_DENIED)),
            (Some(SecurityDescriptor::sharing_with([Sid::local_system()])), Ok(true)),
        ] {
            let first = Bind { security: security.map(Arc::new), ..bind("0.0.0.0:700", Mode::Default) };
            assert_eq!(beside(first, bind("10.0.0.1:700", Mode::Default)), expected);
        }
        // The second's own does not matter.
        let mine = Some(Arc::new(SecurityDescriptor::default()));
        let second = Bind { security: mine, ..bind("10.0.0.1:700", Mode::Default) };
        assert_eq!(beside(bind("0.0.0.0:700", Mode::Default), second), Err(NtStatus::ACCESS_DENIED));
    }

    /// C 7: two different specific addresses, ports, protocols and families never conflict; C-43: dual mode overlaps both.
    #[test]
    fn c43_what_overlaps() {
        let exclusive = |local: &str| bind(local, Mode::Exclusive);
        let dual = |local: &str| Bind { dual: true, ..exclusive(local) };
        let in_use = Err(NtStatus::ADDRESS_ALREADY_EXISTS);
        let cases = [
            (exclusive("10.0.0.1:7"), exclusive("10.0.0.2:7"), Ok(false)),
            (exclusive("10.0.0.1:7"), exclusive("10.0.0.1:8"), Ok(false)),
            (exclusive("10.0.0.1:7"), exclusive("10.0.0.1:7"), in_use),
            (exclusive("0.0.0.0:7"), exclusive("[::]:7"), Ok(false)),
            (exclusive("0.0.0.0:7"), dual("[::]:7"), in_use),
            (dual("[::]:7"), exclusive("0.0.0.0:7"), in_use),
            (exclusive("10.0.0.1:7"), dual("[::]:7"), in_use),
            (exclusive("[fe80::1]:7"), dual("[::]:7"), in_use),
            (exclusive("[fe80::1%2]:7"), exclusive("[fe80::1%3]:7"), Ok(false)),
            (exclusive("[fe80::1%2]:7"), exclusive("[fe80::1%2]:7"), in_use),
            (dual("[fe80::1]:7"), exclusive("0.0.0.0:7"), Ok(false)),
            (dual("[::ffff:10.0.0.1]:7"), exclusive("10.0.0.1:7"), in_use),
            (dual("[::ffff:10.0.0.1]:7"), exclusive("[::]:7"), Ok(false)),
            (dual("[::]:7"), exclusive("10.0.0.1:7"), Err(NtStatus::ACCESS_DENIED)),
        ];
        for (first, second, expected) in cases {
            assert_eq!(beside(first.clone(), second.clone()), expected, "{first:?} then {second:?}");
        }
        let tcp = Bind { protocol: Protocol::Tcp, ..exclusive("0.0.0.0:7") };
        assert_eq!(beside(tcp, exclusive("0.0.0.0:7")), Ok(false));
        let raw = Bind { protocol: Protocol::Raw(1), ..exclusive("0.0.0.0:0") };
        assert_eq!(beside(raw.clone(), raw), Ok(false));
    }

    /// C-51: one refusal among many refuses; what was released counts no more.
    #[test]
    fn c51_every_bind_is_asked() {
        let subject = Subject::default();
        let mut table = BindTable::default();
        let (_, shares) = table.claim(bind("10.0.0.1:7", Mode::Default), &subject).unwrap();
        let (second, _) = table.claim(bind("10.0.0.2:7", Mode::Default), &subject).unwrap();
        let (_, over_both) = table.claim(bind("0.0.0.0:7", Mode::Default), &subject).unwrap();
        assert_eq!((shares, over_both), (false, true));
        // Beside the wildcard and the first it would only be checked; the second refuses it.
        let third = || bind("10.0.0.2:7", Mode::Exclusive);
        assert_eq!(table.claim(third(), &subject).map(drop), Err(NtStatus::ADDRESS_ALREADY_EXISTS));
        table.release(second);
        assert_eq!(table.claim(third(), &subject).map(drop), Err(NtStatus::ACCESS_DENIED));
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn a_port_that_the_host_chose_counts_from_then_on() {
        let subject = Subject::default();
        let mut table = BindTable::default();
        let (one, _) = table.claim(bind("0.0.0.0:0", Mode::Default), &subject).unwrap();
        let (two, _) = table.claim(bind("0.0.0.0:0", Mode::Default), &subject).unwrap();
        let one = table.settle(one, "0.0.0.0:50000".parse().unwrap());
        let refused = table.claim(bind("0.0.0.0:50000", Mode::Default), &subject);
        assert_eq!(refused.map(drop), Err(NtStatus::ADDRESS_ALREADY_EXISTS));
        assert_eq!(table.len(), 2);
        table.release(one);
        table.release(one);
        table.release(two);
        assert!(table.is_empty());
    }
}
