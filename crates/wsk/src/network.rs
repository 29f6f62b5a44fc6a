//! What sockets ask of the machine's network: its addresses, its routes, and when they change (control.md 4.5).

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use wsk_abi::status::NtStatus;
use wsk_core::transport::{Family, NetworkWatcher, Transport};

use crate::carrier::{Carrier, TransportId};
use crate::pending::{Completer, Pending, ended, pending};
use crate::socket::Socket;

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// SIO_ADDRESS_LIST_CHANGE.
    Addresses(Family),
    /// SIO_ROUTING_INTERFACE_CHANGE: the route to an address is another one than this.
    Route(SocketAddr, Result<SocketAddr, NtStatus>),
}

/// Who waits for changes.
#[derive(Default)]
pub(crate) struct Network(Arc<Waiting>);

#[derive(Default)]
struct Waiting {
    waits: Mutex<Vec<Wait>>,
    /// How many, for those who only want to know whether there is any.
    count: AtomicUsize,
    /// Transports that tell of changes already.
    watched: Mutex<Vec<TransportId>>,
}

struct Wait {
    wanted: Wanted,
    socket: Weak<Socket>,
    transport: Weak<dyn Transport>,
    completer: Completer<()>,
}

impl Network {
    /// Completes when the addresses of the socket's family change (C-32).
    pub(crate) fn addresses_change(&self, socket: &Arc<Socket>) -> Pending<()> {
        self.wait(socket, |_| Wanted::Addresses(socket.family))
    }

    /// Completes when the local address that `destination` is reached from changes.
    pub(crate) fn route_change(&self, socket: &Arc<Socket>, destination: SocketAddr) -> Pending<()> {
        self.wait(socket, |transport| Wanted::Route(destination, transport.route(destination)))
    }

    fn wait(&self, socket: &Arc<Socket>, wanted: impl FnOnce(&dyn Transport) -> Wanted) -> Pending<()> {
        let Some(carrier) = socket.home.carrier() else { return ended(Err(NtStatus::FILE_FORCED_CLOSED)) };
        if let Err(status) = self.watch(&carrier) {
            return ended(Err(status));
        }
        let (request, completer) = pending();
        let transport = Arc::downgrade(&carrier.transport);
        let wait = Wait { wanted: wanted(&*carrier.transport), socket: Arc::downgrade(socket), transport, completer };
        let mut waits = self.0.waits.lock();
        waits.retain(|wait| !wait.completer.is_over());
        waits.push(wait);
        self.0.count.store(waits.len(), Ordering::SeqCst);
        request
    }

    fn watch(&self, carrier: &Carrier) -> Result<(), NtStatus> {
        let mut watched = self.0.watched.lock();
        if !watched.contains(&carrier.id) {
            let watcher: Arc<dyn NetworkWatcher> = self.0.clone();
            carrier.transport.watch_network(Arc::downgrade(&watcher))?;
            watched.push(carrier.id);
        }
        Ok(())
    }

    /// A socket is being closed: what waits for it is cancelled (C-33).
    pub(crate) fn cancel(&self, socket: &Arc<Socket>) {
        if self.0.count.load(Ordering::SeqCst) > 0 {
            self.0.end(Err(NtStatus::CANCELLED), |wait| wait.socket.as_ptr() == Arc::as_ptr(socket));
        }
    }
}

impl Waiting {
    fn end(&self, result: Result<(), NtStatus>, is_it: impl Fn(&Wait) -> bool) {
        let done: Vec<_> = {
            let mut waits = self.waits.lock();
            let done = waits.extract_if(.., |wait| wait.completer.is_over() || is_it(wait)).collect();
            self.count.store(waits.len(), Ordering::SeqCst);
            done
        };
        done.iter().for_each(|wait| wait.completer.end(result));
    }
}

impl NetworkWatcher for Waiting {
    fn addresses_changed(&self, family: Family) {
        self.end(Ok(()), |wait| wait.wanted == Wanted::Addresses(family));
        self.routes_changed(family); // an address that goes takes its routes along
    }

    fn routes_changed(&self, family: Family) {
        self.end(Ok(()), |wait| match (wait.wanted, wait.transport.upgrade()) {
            (Wanted::Route(to, before), Some(transport)) => Family::of(&to) == family && transport.route(to) != before,
            _ => false,
        });
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
