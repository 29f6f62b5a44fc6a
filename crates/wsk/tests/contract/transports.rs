//! Transports that come and go (C-1 to C-3, C-7), what sockets ask of the network (C-32, C-33), and the rarer sockets.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, mpsc};

use crate::support::loopback::{BLACK_HOLE, Loopback};
use crate::support::{Arm, Conn, Dgram, Finish, PATIENCE, Seen, World, arms, status_of, v4, v6};
use wsk::option::{GroupAction, GroupInterface, GroupRequest, Mtu4, Mtu6, MulticastInterface4, MulticastLoop4};
use wsk::transport::{Counters, Driver, Endpoint, Transport};
use wsk::{EventMask, Family, NtStatus, Pending, Protocol, Service, ServiceKind, TdiMap};

arms! {
    all: c1_the_list_of_transports, c7_a_transport_goes_and_comes_back, c7_other_transports_are_not_touched,
        c3_every_change_is_told, f22_deregistration_cancels_what_waits_for_changes, c60_mappings_are_kept_until_a_socket,
        c33_a_close_cancels_what_waits_for_changes, waits_end_with_the_transport,
        c51_a_close_during_a_bind_frees_the_address, routes_and_sorted_addresses, c19_the_path_mtu_needs_a_destination;
    virtual_only: c32_addresses_that_come_are_told, a_route_that_changes_is_told;
    host: c32_the_address_list_of_this_machine, raw_sockets_carry_any_protocol, groups_are_joined_and_left,
        c31_no_silence_over_loopback;
}

fn finish<T: Send + 'static>(mut pending: Pending<T>) -> Result<T, NtStatus> {
    pending.wait_timeout(PATIENCE).expect("it ends").map_err(|error| error.status())
}

/// Nothing has come of it so far.
#[track_caller]
fn waits(request: &wsk::Request<()>) {
    assert!(!request.is_finished());
}

/// A transport of which only some services are offered.
struct Only(Loopback, Vec<Service>);

impl Transport for Only {
    fn name(&self) -> &'static str {
        "only"
    }
    fn create(&self, family: Family, protocol: Protocol) -> Result<Arc<dyn Endpoint>, NtStatus> {
        self.0.create(family, protocol)
    }
    fn open_driver(&self, processor: usize) -> std::io::Result<Box<dyn Driver>> {
        self.0.open_driver(processor)
    }
    fn counters(&self) -> Counters {
        self.0.counters()
    }
    fn services(&self) -> Vec<Service> {
        self.1.clone()
    }
}

fn only(kind: ServiceKind) -> Arc<Only> {
    let services = [Family::V4, Family::V6].map(|family| Service { kind, family });
    Arc::new(Only(Loopback::new(), services.to_vec()))
}

fn c1_the_list_of_transports(arm: Arm) {
    let world = arm.world();
    let list = world.client.transports();
    for kind in [ServiceKind::Tcp, ServiceKind::Udp] {
        for family in [Family::V4, Family::V6] {
            assert_eq!(list.iter().filter(|service| **service == Service { kind, family }).count(), 1);
        }
    }
}

/// C-7: sockets of what goes are dead and say so; creation fails; when it is back, creation works.
fn c7_a_transport_goes_and_comes_back(arm: Arm) {
    let world = arm.world();
    let (first, name, _) = world.provider.transports()[0].clone();
    assert_eq!(name, arm.name());
    let (dgram, seen) = Dgram::recorder();
    let socket = world.client.datagram_socket(Family::V4, Some(dgram)).unwrap();
    socket.bind(v4()).ok();
    let pending = socket.receive_from(vec![0; 16]);
    socket.enable(EventMask::RECEIVE_FROM).unwrap();
    let change = world.client.transports_change();
    world.provider.detach_transport(first).unwrap();
    assert_eq!(finish(change), Ok(()));
    assert_eq!(pending.status(), NtStatus::FILE_FORCED_CLOSED);
    assert!(matches!(seen.next(), Seen::Dead)); // once, without data (F-81)
    assert_eq!(socket.send_to(&b"x"[..], v4()).status(), NtStatus::FILE_FORCED_CLOSED);
    assert_eq!(status_of(socket.set(wsk::option::HopLimit4(9))), NtStatus::FILE_FORCED_CLOSED);
    assert!(world.client.transports().is_empty());
    assert_eq!(status_of(world.client.datagram_socket(Family::V4, None)), NtStatus::NOT_SUPPORTED);
    assert_eq!(status_of(world.client.listen_socket(Family::V6, None)), NtStatus::NOT_SUPPORTED);
    assert_eq!(status_of(world.provider.detach_transport(first)), NtStatus::NOT_FOUND);
    let change = world.client.transports_change();
    world.provider.attach_transport(Arc::new(Loopback::new())).unwrap();
    assert_eq!(finish(change), Ok(()));
    world.client.datagram_socket(Family::V4, None).unwrap().bind(v4()).ok();
    socket.close().ok(); // the only useful call, whatever became of its transport
}

/// C-7: nothing but its own sockets is touched, not even the streams in the middle of others. A socket stays with its transport,
/// and an accepted one with its listener's (C-61).
fn c7_other_transports_are_not_touched(arm: Arm) {
    let world = arm.world();
    let (listener, address) = world.listener(None);
    let accept = listener.accept();
    let peer = world.peer_connect(address);
    let accepted = accept.ok();
    let raw = world.provider.attach_transport(only(ServiceKind::Raw)).unwrap();
    let service = Service { kind: ServiceKind::Raw, family: Family::V4 };
    assert!(world.client.transports().contains(&service));
    let other = Loopback::new();
    let udp = world.provider.attach_transport(Arc::new(other)).unwrap(); // serves what is served already: never chosen
    let mine = world.client.datagram_socket(Family::V4, None).unwrap();
    mine.bind(v4()).ok();
    world.provider.detach_transport(udp).unwrap();
    world.provider.detach_transport(raw).unwrap();
    accepted.send(&b"still here"[..]).ok();
    assert_eq!(peer.receive(10), b"still here");
    let to = mine.local_address().unwrap();
    mine.send_to(&b"still here"[..], to).ok();
    assert_eq!(mine.receive_from(vec![0; 16]).ok().bytes(), b"still here");
}

/// C-3: several may wait, all are told of one change; a later one waits for the next.
fn c3_every_change_is_told(arm: Arm) {
    let world = arm.world();
    let waiting = [world.client.transports_change(), world.client.transports_change()];
    let id = world.provider.attach_transport(only(ServiceKind::Raw)).unwrap();
    waiting.into_iter().for_each(|change| assert_eq!(finish(change), Ok(())));
    let mut next = world.client.transports_change();
    assert!(next.wait_timeout(std::time::Duration::ZERO).is_none(), "nothing has changed");
    world.provider.detach_transport(id).unwrap();
    assert_eq!(finish(next), Ok(()));
    let cancelled = world.client.transports_change();
    cancelled.cancel();
    assert_eq!(finish(cancelled), Err(NtStatus::CANCELLED));
}

fn f22_deregistration_cancels_what_waits_for_changes(arm: Arm) {
    let world = arm.world();
    let change = world.client.transports_change();
    world.into_registration().deregister().unwrap();
    assert_eq!(finish(change), Err(NtStatus::CANCELLED));
}

/// C-4, C-5, C-60: kept, before the first socket; without a TDI device nothing is mapped to.
fn c60_mappings_are_kept_until_a_socket(arm: Arm) {
    let world = arm.world();
    let map = TdiMap { socket_type: 3, address_family: 2, protocol: 99, device: r"\Device\Other".into() };
    world.client.set_tdi_mapping(vec![map.clone()]).unwrap();
    world.client.set_tdi_bypass(true).unwrap();
    let id = world.provider.transports()[0].0;
    let raw = world.client.raw_socket(Family::V6, 99, None);
    drop(raw);
    world.provider.detach_transport(id).unwrap();
    assert_eq!(status_of(world.client.raw_socket(Family::V4, 99, None)), NtStatus::NOT_SUPPORTED);
    world.provider.attach_transport(Arc::new(Loopback::new())).unwrap();
    drop(world.client.datagram_socket(Family::V4, None).unwrap());
    assert_eq!(status_of(world.client.set_tdi_mapping(vec![map])), NtStatus::INVALID_DEVICE_STATE);
    assert_eq!(status_of(world.client.set_tdi_bypass(false)), NtStatus::INVALID_DEVICE_STATE);
}

/// C-33, and the changes of other sockets go on.
fn c33_a_close_cancels_what_waits_for_changes(arm: Arm) {
    let world = arm.world();
    let make = || world.client.datagram_socket(Family::V4, None).unwrap();
    let (one, other) = (make(), make());
    let waiting = [one.address_list_change(), one.routing_interface_change(SocketAddr::new(v4().ip(), 9))];
    let left = other.address_list_change();
    let close = one.close();
    waiting.into_iter().for_each(|wait| assert_eq!(wait.status(), NtStatus::CANCELLED));
    close.ok();
    waits(&left);
    left.cancel();
    assert_eq!(left.status(), NtStatus::CANCELLED);
    // After the close too late; and by dropping the socket, with a callback that uses it.
    assert_eq!(one.address_list_change().status(), NtStatus::INVALID_HANDLE);
    let (sender, ended) = mpsc::channel();
    let reference = other.reference();
    other.address_list_change().on_complete(move |result| {
        sender.send((status_of(result), reference.requests_queued())).unwrap();
    });
    drop(other);
    assert_eq!(ended.recv_timeout(PATIENCE), Ok((NtStatus::CANCELLED, 0)));
}

/// Promise 1: what waits ends with the transport, or with the provider.
fn waits_end_with_the_transport(arm: Arm) {
    let world = arm.world();
    let socket = world.client.basic_socket(Family::V4, Protocol::Udp).unwrap();
    let wait = socket.address_list_change();
    let id = world.provider.transports()[0].0;
    world.provider.detach_transport(id).unwrap();
    assert_eq!(wait.status(), NtStatus::FILE_FORCED_CLOSED);
    assert_eq!(socket.address_list_change().status(), NtStatus::FILE_FORCED_CLOSED);
    let world = crate::support::arm::Attached::new(arm.provider());
    let change = world.client.transports_change();
    drop(world.provider);
    assert_eq!(finish(change), Ok(()));
    assert!(world.client.transports().is_empty());
}

/// C-51: a bind that is under way while its socket is closed leaves nothing behind.
fn c51_a_close_during_a_bind_frees_the_address(arm: Arm) {
    let world = arm.world();
    let mut local = v4();
    for round in 0..200 {
        let socket = world.client.datagram_socket(Family::V4, None).unwrap();
        let binder = socket.reference();
        let bind = std::thread::spawn(move || binder.bind(local).status());
        if round % 2 == 0 {
            std::thread::yield_now();
        }
        socket.close().ok();
        let status = bind.join().unwrap();
        let expected = [NtStatus::SUCCESS, NtStatus::CANCELLED, NtStatus::INVALID_HANDLE];
        assert!(expected.contains(&status), "{status}");
        // Whoever comes next has the address.
        let next = world.client.datagram_socket(Family::V4, None).unwrap();
        next.bind(local).ok();
        local = next.local_address().unwrap();
        next.close().ok();
    }
}

fn routes_and_sorted_addresses(arm: Arm) {
    let world = arm.world();
    let four = world.client.datagram_socket(Family::V4, None).unwrap();
    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    let route = four.routing_interface(SocketAddr::new(loopback, 80)).unwrap();
    assert_eq!((route.ip(), route.port()), (loopback, 0));
    assert_eq!(status_of(four.routing_interface(v6())), NtStatus::INVALID_PARAMETER);
    let six = world.client.datagram_socket(Family::V6, None).unwrap();
    let list: Vec<SocketAddr> = ["127.0.0.1:1", "[::1]:1"].map(|text| text.parse().unwrap()).to_vec();
    let sorted = six.sort_addresses(list.clone()).unwrap();
    assert_eq!(sorted, [list[1], list[0]]); // of higher precedence (RFC 6724)
    assert_eq!(six.sort_addresses(Vec::new()).unwrap(), []);
}

/// C-19; and a fixed destination will do, since the host does not know it.
fn c19_the_path_mtu_needs_a_destination(arm: Arm) {
    let world = arm.world();
    let socket = world.client.datagram_socket(Family::V4, None).unwrap();
    assert_eq!(status_of(socket.get::<Mtu4>()), NtStatus::INVALID_DEVICE_STATE);
    socket.bind(v4()).ok();
    socket.set_send_to_address(Some("127.0.0.1:9".parse().unwrap())).unwrap();
    assert!(matches!(socket.get(), Ok(Mtu4(1280..))));
    assert_eq!(status_of(socket.get::<Mtu6>()), NtStatus::INVALID_PARAMETER);
}

/// C-32: one completion for one change; then a further request waits for the next.
fn c32_addresses_that_come_are_told(_: Arm) {
    let network = Loopback::new();
    let provider = wsk::Provider::builder().transport(Arc::new(network.clone())).start().unwrap();
    let world = crate::support::arm::Attached::new(provider);
    let socket = world.client.datagram_socket(Family::V6, None).unwrap();
    assert_eq!(socket.address_list().unwrap(), ["[::1]:0".parse().unwrap()]);
    let change = socket.address_list_change();
    network.add_address("10.0.0.1".parse().unwrap()); // of the other family
    waits(&change);
    network.add_address("fd00::1".parse().unwrap());
    change.ok();
    let expected: Vec<SocketAddr> = ["[::1]:0", "[fd00::1]:0"].map(|text| text.parse().unwrap()).to_vec();
    assert_eq!(socket.address_list().unwrap(), expected);
    let next = socket.address_list_change();
    network.add_address("fd00::2".parse().unwrap());
    next.ok();
}

/// SIO_ROUTING_INTERFACE_CHANGE: when the answer is another one, and not before.
fn a_route_that_changes_is_told(_: Arm) {
    let network = Loopback::new();
    let provider = wsk::Provider::builder().transport(Arc::new(network.clone())).start().unwrap();
    let world = crate::support::arm::Attached::new(provider);
    let socket = world.client.datagram_socket(Family::V4, None).unwrap();
    let to: SocketAddr = "10.9.9.9:1".parse().unwrap();
    let change = socket.routing_interface_change(to);
    let nowhere = socket.routing_interface_change(SocketAddr::new(BLACK_HOLE, 1));
    assert_eq!(nowhere.status(), NtStatus::NETWORK_UNREACHABLE);
    assert_eq!(socket.routing_interface_change(v6()).status(), NtStatus::INVALID_PARAMETER);
    assert_eq!(status_of(socket.routing_interface(SocketAddr::new(BLACK_HOLE, 1))), NtStatus::NETWORK_UNREACHABLE);
    network.add_address("10.0.0.1".parse().unwrap());
    change.ok();
    assert_eq!(socket.routing_interface(to).unwrap(), "10.0.0.1:0".parse().unwrap());
}

fn c32_the_address_list_of_this_machine(arm: Arm) {
    let world = arm.world();
    for (family, loopback) in [(Family::V4, "127.0.0.1:0"), (Family::V6, "[::1]:0")] {
        let socket = world.client.basic_socket(family, Protocol::Udp).unwrap();
        let list = socket.address_list().unwrap();
        assert!(list.contains(&loopback.parse().unwrap()), "{list:?}");
        assert!(list.iter().all(|address| Family::of(address) == family && address.port() == 0));
        assert!(list.iter().all(|address| !address.ip().is_multicast() && !address.ip().is_unspecified()));
    }
}

/// SOCK_RAW: IPv4 comes with its header, IPv6 without; a process that may not is told so.
fn raw_sockets_carry_any_protocol(arm: Arm) {
    let world = arm.world();
    const EXPERIMENT: u8 = 253; // RFC 3692
    let raw = match world.client.raw_socket(Family::V4, EXPERIMENT, None) {
        Ok(raw) => raw,
        Err(error) => {
            let allowed = [NtStatus::ACCESS_DENIED, NtStatus::NOT_SUPPORTED];
            assert!(allowed.contains(&error.status()), "{error}");
            return eprintln!("=== SKIPPED: this process may not make raw sockets ({error}) ===");
        }
    };
    let service = Service { kind: ServiceKind::Raw, family: Family::V4 };
    assert!(world.client.transports().contains(&service));
    raw.bind("127.0.0.1:0".parse().unwrap()).ok();
    raw.send_to(&b"payload"[..], "127.0.0.1:0".parse().unwrap()).ok();
    let received = raw.receive_from(vec![0; 100]).ok();
    let bytes = received.bytes();
    assert_eq!((bytes[0], bytes[9], &bytes[20..]), (0x45, EXPERIMENT, &b"payload"[..]));
    let six = world.client.raw_socket(Family::V6, EXPERIMENT, None).unwrap();
    six.bind("[::1]:0".parse().unwrap()).ok();
    six.send_to(&b"payload"[..], "[::1]:0".parse().unwrap()).ok();
    assert_eq!(six.receive_from(vec![0; 100]).ok().bytes(), b"payload");
}

/// C 4.2 MCAST_JOIN/LEAVE and their kin: what is sent to a group comes to who joined it.
fn groups_are_joined_and_left(arm: Arm) {
    let world = arm.world();
    let group: IpAddr = "239.77.1.1".parse().unwrap();
    let interface = GroupInterface::Index(1); // loopback
    let socket = world.client.datagram_socket(Family::V4, None).unwrap();
    socket.bind("0.0.0.0:0".parse().unwrap()).ok();
    let to = SocketAddr::new(group, socket.local_address().unwrap().port());
    let sender = world.client.datagram_socket(Family::V4, None).unwrap();
    sender.bind(v4()).ok();
    sender.set(MulticastInterface4(u32::from_be(1))).unwrap();
    sender.set(MulticastLoop4(true)).unwrap();
    let (joined, source) = (socket.join_group(group, interface), sender.local_address().unwrap().ip());
    joined.unwrap();
    sender.send_to(&b"to all"[..], to).ok();
    let received = socket.receive_from(vec![0; 16]).ok();
    assert_eq!(received.bytes(), b"to all");
    assert!(received.flags().contains(wsk::ControlFlags::MCAST));
    let about = |action| GroupRequest { action, group, source: Some(source), interface };
    socket.group(about(GroupAction::Block)).unwrap();
    sender.send_to(&b"blocked"[..], to).ok();
    socket.group(about(GroupAction::Unblock)).unwrap();
    sender.send_to(&b"heard"[..], to).ok();
    assert_eq!(socket.receive_from(vec![0; 16]).ok().bytes(), b"heard");
    socket.leave_group(group, interface).unwrap();
    assert!(socket.leave_group(group, interface).is_err());
    socket.group(about(GroupAction::Join)).unwrap();
    sender.send_to(&b"again"[..], to).ok();
    assert_eq!(socket.receive_from(vec![0; 16]).ok().bytes(), b"again");
    socket.group(about(GroupAction::Leave)).unwrap();
    assert_eq!(status_of(socket.join_group("10.0.0.1".parse().unwrap(), interface)), NtStatus::INVALID_PARAMETER);
    assert_eq!(status_of(socket.join_group("ff02::1".parse().unwrap(), interface)), NtStatus::INVALID_PARAMETER);
}

/// C-31: not over loopback, and not while something is being sent or nothing is connected.
fn c31_no_silence_over_loopback(arm: Arm) {
    let world = arm.world();
    let (conn, _seen) = Conn::recorder();
    let idle = world.client.connection_socket(Family::V4, Some(conn)).unwrap();
    assert_eq!(status_of(idle.set_silent_mode()), NtStatus::INVALID_DEVICE_STATE);
    let (listener, address) = world.listener(None);
    let accept = listener.accept();
    let _peer = world.peer_connect(address);
    let accepted = accept.ok();
    assert_eq!(status_of(accepted.set_silent_mode()), NtStatus::NOT_SUPPORTED);
    accepted.send(&b"not silent"[..]).ok();
    let _ = World::peer_udp;
}
