//! What sockets ask of the machine's network: its addresses, its routes, and when they change (control.md 4.5).
//!
//! To wait for a change is a request of the socket like any other: cancelled with it, completed by its home processor.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use wsk_abi::status::NtStatus;
use wsk_core::request::RequestId;
use wsk_core::transport::{Family, NetworkWatcher, Transport};

use crate::carrier::Carrier;
use crate::request::Request;
use crate::socket::Socket;

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// SIO_ADDRESS_LIST_CHANGE: the addresses of the socket's family.
    Addresses,
    /// SIO_ROUTING_INTERFACE_CHANGE: the local address that this one is reached from is another one than that.
    Route { to: SocketAddr, from: SocketAddr },
}

/// Passes news of one transport's network on to the sockets that have asked.
#[derive(Default)]
pub(crate) struct Watch(Mutex<Vec<Weak<Socket>>>);

/// SIO_ADDRESS_LIST_CHANGE.
pub(crate) fn addresses_change(socket: &Arc<Socket>) -> Request<()> {
    match watched(socket) {
        Ok(_) => socket.wait_for(Wanted::Addresses).0,
        Err(status) => Request::failed(status),
    }
}

/// SIO_ROUTING_INTERFACE_CHANGE.
pub(crate) fn route_change(socket: &Arc<Socket>, to: SocketAddr) -> Request<()> {
    let begun = watched(socket).and_then(|carrier| {
        socket.check_family(&to)?;
        let from = carrier.transport.route(to)?;
        Ok((carrier, from))
    });
    match begun {
        Ok((carrier, from)) => {
            let (request, id) = socket.wait_for(Wanted::Route { to, from });
            if carrier.transport.route(to) != Ok(from) {
                socket.end_waits(|wait, _| wait == id); // it changed before anybody could tell
            }
            request
        }
        Err(status) => Request::failed(status),
    }
}

/// The socket's transport, which from now on tells it of changes.
fn watched(socket: &Arc<Socket>) -> Result<Arc<Carrier>, NtStatus> {
    let carrier = socket.home.carrier().ok_or(NtStatus::FILE_FORCED_CLOSED)?;
    let watch = carrier.watch()?;
    let mut sockets = watch.0.lock();
    sockets.retain(|known| known.strong_count() > 0);
    if !sockets.iter().any(|known| known.as_ptr() == Arc::as_ptr(socket)) {
        sockets.push(Arc::downgrade(socket));
    }
    drop(sockets);
    Ok(carrier)
}

impl Watch {
    fn sockets(&self) -> Vec<Arc<Socket>> {
        self.0.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

impl NetworkWatcher for Watch {
    fn addresses_changed(&self, family: Family) {
        for socket in self.sockets().into_iter().filter(|socket| socket.family == family) {
            socket.end_waits(|_, wanted| wanted == Wanted::Addresses);
        }
        self.routes_changed(family); // an address that goes takes its routes along
    }

    fn routes_changed(&self, family: Family) {
        for socket in self.sockets() {
            let Ok(transport) = socket.transport() else { continue };
            // Not under the socket's lock: a route is asked of the host.
            let other: Vec<RequestId> = socket
                .waits()
                .into_iter()
                .filter(|(_, wanted)| match wanted {
                    Wanted::Route { to, from } => {
                        let of = Family::of(&SocketAddr::new(to.ip().to_canonical(), 0)); // C-41
                        of == family && transport.route(*to) != Ok(*from)
                    }
                    Wanted::Addresses => false,
                })
                .map(|(id, _)| id)
                .collect();
            if !other.is_empty() {
                socket.end_waits(|id, _| other.contains(&id));
            }
        }
    }
}

/// The best destination first, by the rules of RFC 6724 that need no more than addresses: reachable ones, those of their
/// source's scope, of its kind, of higher precedence, of smaller scope, with the longer common prefix. Otherwise as they were.
pub(crate) fn sort(transport: &dyn Transport, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    addresses.sort_by_cached_key(|destination| {
        let to = v6(destination.ip());
        let (precedence, label) = policy(to);
        match transport.route(*destination) {
            Err(_) => (true, true, true, Reverse(precedence), scope(to), Reverse(0)),
            Ok(source) => {
                let from = v6(source.ip());
                let common = (u128::from(to) ^ u128::from(from)).leading_zeros();
                let (other_scope, other_label) = (scope(to) != scope(from), label != policy(from).1);
                (false, other_scope, other_label, Reverse(precedence), scope(to), Reverse(common))
            }
        }
    });
    addresses
}

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// 2 link-local (loopback too), 5 site-local, 14 global; of multicasts as they say.
fn scope(ip: Ipv6Addr) -> u8 {
    let (first, mapped) = (ip.segments()[0], ip.to_ipv4_mapped());
    match mapped {
        Some(v4) if v4.is_loopback() || v4.is_link_local() => 2,
        Some(_) => 14,
        None if ip.is_multicast() => (first & 0xF) as u8,
        None if ip.is_loopback() || first & 0xFFC0 == 0xFE80 => 2,
        None if first & 0xFFC0 == 0xFEC0 => 5,
        None => 14,
    }
}

/// Precedence and label: the default policy table of RFC 6724.
fn policy(ip: Ipv6Addr) -> (u8, u8) {
    let [first, second, ..] = ip.segments();
    match ip {
        Ipv6Addr::LOCALHOST => (50, 0),
        _ if ip.to_ipv4_mapped().is_some() => (35, 4),
        _ if first == 0x2002 => (30, 2),
        _ if (first, second) == (0x2001, 0) => (5, 5),
        _ if first & 0xFE00 == 0xFC00 => (3, 13),
        _ if first & 0xFFC0 == 0xFEC0 => (1, 11),
        _ if first == 0x3FFE => (1, 12),
        _ if ip.segments()[..6] == [0; 6] => (1, 3),
        _ => (40, 1),
    }
}
