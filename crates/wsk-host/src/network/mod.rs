//! What the host knows of its network: addresses, routes, path MTUs, and when they change (C-32, SIO_ROUTING_INTERFACE_QUERY).
//!
//! Questions about routes are put to the kernel by connecting a socket, which sends nothing. Changes come by rtnetlink to one
//! thread, which the first watcher starts.

mod netlink;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use wsk_abi::status::NtStatus;
use wsk_core::transport::{Family, NetworkWatcher};

use crate::{errno, sockopt};
use netlink::Change;

fn to_status(e: rustix::io::Errno) -> NtStatus {
    errno::status(e.raw_os_error())
}

/// The unicast addresses of this machine, port 0.
pub(crate) fn addresses(family: Family) -> Result<Vec<SocketAddr>, NtStatus> {
    netlink::addresses(family).map_err(to_status)
}

/// A socket that would send to `destination`, which is not mapped.
fn towards(destination: SocketAddr) -> Result<OwnedFd, NtStatus> {
    let domain = if destination.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = net::socket_with(domain, SocketType::DGRAM, SocketFlags::CLOEXEC, None).map_err(to_status)?;
    net::sockopt::set_socket_broadcast(&fd, true).map_err(to_status)?;
    let mut destination = destination;
    destination.set_port(9); // any will do
    match net::connect(&fd, &destination) {
        Ok(()) => Ok(fd),
        // No address to send from.
        Err(rustix::io::Errno::ADDRNOTAVAIL) => Err(NtStatus::NETWORK_UNREACHABLE),
        Err(e) => Err(to_status(e)),
    }
}

/// The address that datagrams to `destination` leave from, in the same form, port 0.
pub(crate) fn route(destination: SocketAddr) -> Result<SocketAddr, NtStatus> {
    let plain = match destination {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), v6.port()),
            None => destination,
        },
        SocketAddr::V4(_) => destination,
    };
    let mut local: SocketAddr =
        net::getsockname(towards(plain)?).map_err(to_status)?.try_into().map_err(|_| NtStatus::UNSUCCESSFUL)?;
    local.set_port(0);
    Ok(match (destination, local.ip()) {
        (SocketAddr::V6(_), IpAddr::V4(v4)) => SocketAddr::new(v4.to_ipv6_mapped().into(), 0),
        _ => local,
    })
}

/// The path MTU as far as it is known.
pub(crate) fn path_mtu(destination: IpAddr) -> Result<u32, NtStatus> {
    let destination = destination.to_canonical();
    let fd = towards(SocketAddr::new(destination, 0))?;
    let (level, name) = match destination {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU),
    };
    let mtu = sockopt::get_int(fd.as_fd(), level, name).map_err(to_status)?;
    u32::try_from(mtu).map_err(|_| NtStatus::UNSUCCESSFUL)
}

type Watchers = Arc<Mutex<Vec<Weak<dyn NetworkWatcher>>>>;

/// Those who hear of changes, and the thread that tells them.
#[derive(Default)]
pub(crate) struct Watch {
    watchers: Watchers,
    /// Ends the thread.
    stop: Mutex<Option<Arc<OwnedFd>>>,
}

impl Watch {
    /// One more.
    pub(crate) fn add(&self, watcher: Weak<dyn NetworkWatcher>) -> Result<(), NtStatus> {
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(watcher);
        drop(watchers);
        if stop.is_none() {
            let end = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(to_status)?);
            let news = netlink::watch().map_err(to_status)?;
            let (watchers, ended) = (Arc::clone(&self.watchers), Arc::clone(&end));
            std::thread::Builder::new()
                .name("wsk-network".to_owned())
                .spawn(move || tell(&news, &ended, &watchers))
                .map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
            *stop = Some(end);
        }
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Not waited for: this may be the thread itself, in a watcher that let go of the last owner.
        if let Some(stop) = &*self.stop.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = rustix::io::write(&**stop, &1u64.to_ne_bytes());
        }
    }
}

fn tell(news: &OwnedFd, stop: &OwnedFd, watchers: &Watchers) {
    loop {
        let mut fds = [PollFd::new(news, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        if !fds[1].revents().is_empty() {
            return;
        }
        let changes = netlink::changes(news.as_fd());
        let all = watchers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for watcher in all.iter().filter_map(Weak::upgrade) {
            for change in &changes {
                match change {
                    Change::Addresses(family) => watcher.addresses_changed(*family),
                    Change::Routes(family) => watcher.routes_changed(*family),
                    Change::Anything => {
                        for family in [Family::V4, Family::V6] {
                            watcher.addresses_changed(family);
                            watcher.routes_changed(family);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn the_loopback_addresses_are_known() {
        assert!(addresses(Family::V4).unwrap().contains(&SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)));
        let v6 = addresses(Family::V6).unwrap();
        assert!(v6.iter().all(|address| address.is_ipv6() && address.port() == 0));
        let own = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0);
        if std::net::UdpSocket::bind(own).is_err() {
            return eprintln!("=== NOT TESTED: this machine has no IPv6 ===");
        }
        assert!(v6.contains(&own));
        assert_eq!(route("[::1]:7".parse().unwrap()), Ok(own));
        assert!(path_mtu(own.ip()).unwrap() >= 1280);
    }

    #[test]
    fn routes_over_loopback_are_known() {
        assert_eq!(route("127.0.0.9:7".parse().unwrap()), Ok("127.0.0.1:0".parse().unwrap()));
        assert_eq!(route("[::ffff:127.0.0.9]:7".parse().unwrap()), Ok("[::ffff:127.0.0.1]:0".parse().unwrap()));
        let mapped = "::ffff:127.0.0.1".parse().unwrap();
        assert_eq!(path_mtu(mapped), path_mtu(Ipv4Addr::LOCALHOST.into()));
        assert!(path_mtu(mapped).unwrap() >= 576);
    }
}
