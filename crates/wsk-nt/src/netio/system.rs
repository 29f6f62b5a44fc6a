//! Interfaces, addresses and routes of the Linux system that this process runs on.
#![allow(unsafe_code)] // getifaddrs.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// A network interface.
#[derive(Clone, Debug, Default)]
pub(super) struct Interface {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) is_loopback: bool,
    pub(super) is_up: bool,
    pub(super) mtu: u32,
    pub(super) mac: Vec<u8>,
    /// With the length of the prefix.
    pub(super) addresses: Vec<(IpAddr, u8)>,
}

impl Interface {
    /// IF_TYPE_SOFTWARE_LOOPBACK or IF_TYPE_ETHERNET_CSMACD.
    pub(super) fn kind(&self) -> u32 {
        if self.is_loopback { 24 } else { 6 }
    }

    /// NET_LUID: index and type.
    pub(super) fn luid(&self) -> u64 {
        u64::from(self.kind()) << 48 | u64::from(self.index) << 24
    }
}

/// A route.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) index: u32,
    pub(super) destination: IpAddr,
    pub(super) length: u8,
    pub(super) gateway: IpAddr,
    pub(super) metric: u32,
}

unsafe fn address(sockaddr: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: NULL or an address of the family it names.
    unsafe {
        match i32::from(sockaddr.as_ref()?.sa_family) {
            libc::AF_INET => {
                let bytes = (*sockaddr.cast::<libc::sockaddr_in>()).sin_addr.s_addr.to_ne_bytes();
                Some(IpAddr::V4(Ipv4Addr::from(bytes)))
            }
            libc::AF_INET6 => {
                Some(IpAddr::V6(Ipv6Addr::from((*sockaddr.cast::<libc::sockaddr_in6>()).sin6_addr.s6_addr)))
            }
            _ => None,
        }
    }
}

fn prefix_length(mask: Option<IpAddr>) -> u8 {
    match mask {
        Some(IpAddr::V4(mask)) => mask.to_bits().leading_ones() as u8,
        Some(IpAddr::V6(mask)) => mask.to_bits().leading_ones() as u8,
        None => 0,
    }
}

fn attribute(name: &str, file: &str) -> String {
    std::fs::read_to_string(format!("/sys/class/net/{name}/{file}"))
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// All interfaces, by index.
pub(super) fn interfaces() -> Vec<Interface> {
    let mut found: BTreeMap<u32, Interface> = BTreeMap::new();
    // SAFETY: the list of getifaddrs, freed after.
    unsafe {
        let mut list = std::ptr::null_mut();
        if libc::getifaddrs(&raw mut list) != 0 {
            return Vec::new();
        }
        let mut next = list;
        while let Some(entry) = next.as_ref() {
            next = entry.ifa_next;
            let index = libc::if_nametoindex(entry.ifa_name);
            let interface = found.entry(index).or_insert_with(|| {
                let name = std::ffi::CStr::from_ptr(entry.ifa_name).to_string_lossy().into_owned();
                let mac = attribute(&name, "address");
                Interface {
                    index,
                    is_loopback: entry.ifa_flags & libc::IFF_LOOPBACK as u32 != 0,
                    is_up: entry.ifa_flags & libc::IFF_RUNNING as u32 != 0,
                    mtu: attribute(&name, "mtu").parse().unwrap_or(1500),
                    mac: mac.split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect(),
                    name,
                    addresses: Vec::new(),
                }
            });
            if let Some(found) = address(entry.ifa_addr) {
                interface.addresses.push((found, prefix_length(address(entry.ifa_netmask))));
            }
        }
        libc::freeifaddrs(list);
    }
    found.into_values().collect()
}

/// All routes of the main tables.
pub(super) fn routes() -> Vec<Route> {
    let interfaces = interfaces();
    let index_of =
        |name: &str| interfaces.iter().find(|interface| interface.name == name).map(|interface| interface.index);
    let mut routes = Vec::new();
    for line in std::fs::read_to_string("/proc/net/route").unwrap_or_default().lines().skip(1) {
        let parts: Vec<&str> = line.split_whitespace().collect();
        let v4 = |text: &str| u32::from_str_radix(text, 16).ok().map(|value| Ipv4Addr::from(value.to_le_bytes()));
        if let [name, destination, gateway, _, _, _, metric, mask, ..] = parts[..]
            && let (Some(index), Some(destination), Some(gateway), Some(mask)) =
                (index_of(name), v4(destination), v4(gateway), v4(mask))
        {
            let length = mask.to_bits().leading_ones() as u8;
            let metric = metric.parse().unwrap_or(0);
            routes.push(Route { index, destination: destination.into(), length, gateway: gateway.into(), metric });
        }
    }
    for line in std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default().lines() {
        let parts: Vec<&str> = line.split_whitespace().collect();
        let v6 = |text: &str| u128::from_str_radix(text, 16).ok().map(Ipv6Addr::from_bits);
        if let [destination, length, _, _, gateway, metric, .., name] = parts[..]
            && let (Some(index), Some(destination), Some(gateway)) = (index_of(name), v6(destination), v6(gateway))
        {
            let length = u8::from_str_radix(length, 16).unwrap_or(0);
            let metric = u32::from_str_radix(metric, 16).unwrap_or(0);
            routes.push(Route { index, destination: destination.into(), length, gateway: gateway.into(), metric });
        }
    }
    routes
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl Route {
    fn covers(&self, address: IpAddr) -> bool {
        let differ = bits(self.destination) ^ bits(address);
        self.destination.is_ipv4() == address.is_ipv4()
            && (self.length == 0 || differ >> (128 - u32::from(self.length)) == 0)
    }
}

/// The route to a destination and the address that would be the source.
pub(super) fn best_route(destination: IpAddr) -> Option<(Route, IpAddr)> {
    let any: IpAddr = if destination.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(destination, 9)).ok()?;
    let source = socket.local_addr().ok()?.ip();
    let interfaces = interfaces();
    let index =
        interfaces.iter().find(|interface| interface.addresses.iter().any(|(address, _)| *address == source))?.index;
    let mut fitting: Vec<Route> =
        routes().into_iter().filter(|route| route.index == index && route.covers(destination)).collect();
    fitting.sort_by_key(|route| (std::cmp::Reverse(route.length), route.metric));
    let whole = if destination.is_ipv4() { 32 } else { 128 };
    let direct = Route { index, destination, length: whole, gateway: any, metric: 0 };
    Some((fitting.into_iter().next().unwrap_or(direct), source))
}
