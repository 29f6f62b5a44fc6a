//! Tables of interfaces, addresses and routes (DDI: GetIpInterfaceTable, GetUnicastIpAddressTable, GetIpForwardTable2 and
//! others), filled from Linux. Registrations for changes are kept; only the initial notification is made.
#![allow(unsafe_code)] // Fills structures of the driver.

use std::ffi::c_void;
use std::net::IpAddr;

use parking_lot::Mutex;
use wsk_abi::NtStatus;
use wsk_abi::io::HANDLE;

use super::system::{self, Interface, Route};
use crate::ex::pool::{self, Kind};
use crate::exports;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 23;

/// SOCKADDR_INET as bytes.
fn sockaddr(address: IpAddr, scope: u32) -> [u8; 28] {
    let mut out = [0; 28];
    match address {
        IpAddr::V4(address) => {
            out[..2].copy_from_slice(&AF_INET.to_le_bytes());
            out[4..8].copy_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            out[..2].copy_from_slice(&AF_INET6.to_le_bytes());
            out[8..24].copy_from_slice(&address.octets());
            out[24..].copy_from_slice(&scope.to_le_bytes());
        }
    }
    out
}

/// The address of a SOCKADDR_INET.
unsafe fn address_of(sockaddr: *const [u8; 28]) -> Option<IpAddr> {
    // SAFETY: the driver's structure.
    let bytes = unsafe { sockaddr.as_ref()? };
    match u16::from_le_bytes([bytes[0], bytes[1]]) {
        AF_INET => Some(IpAddr::from(<[u8; 4]>::try_from(&bytes[4..8]).ok()?)),
        AF_INET6 => Some(IpAddr::from(<[u8; 16]>::try_from(&bytes[8..24]).ok()?)),
        _ => None,
    }
}

/// A row as bytes, filled field by field.
struct Row(Vec<u8>);

impl Row {
    fn new(size: usize) -> Row {
        Row(vec![0; size])
    }

    fn put(mut self, offset: usize, bytes: &[u8]) -> Row {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn u32(self, offset: usize, value: u32) -> Row {
        self.put(offset, &value.to_le_bytes())
    }

    fn u64(self, offset: usize, value: u64) -> Row {
        self.put(offset, &value.to_le_bytes())
    }
}

/// A table: the number of rows, then the rows, aligned to 8; freed by FreeMibTable.
unsafe fn put_table(rows: &[Row], table: *mut *mut c_void) -> NtStatus {
    let size = 8 + rows.iter().map(|row| row.0.len()).sum::<usize>();
    let memory = pool::allocate(Kind::Pool, size, u32::from_le_bytes(*b"IpHp"), true, crate::caller::current());
    if memory.is_null() {
        return NtStatus::INSUFFICIENT_RESOURCES;
    }
    // SAFETY: fresh memory of that size; the driver's variable.
    unsafe {
        memory.cast::<u32>().write(rows.len() as u32);
        let mut at = memory.add(8);
        for row in rows {
            std::ptr::copy_nonoverlapping(row.0.as_ptr(), at, row.0.len());
            at = at.add(row.0.len());
        }
        table.write(memory.cast());
    }
    NtStatus::SUCCESS
}

fn is_family(family: u16, address: IpAddr) -> bool {
    family == 0 || (family == AF_INET) == address.is_ipv4()
}

/// MIB_UNICASTIPADDRESS_ROW, 80 bytes.
fn unicast_row(interface: &Interface, address: IpAddr, length: u8) -> Row {
    let scope = match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => interface.index,
        _ => 0,
    };
    Row::new(80)
        .put(0, &sockaddr(address, scope))
        .u64(32, interface.luid())
        .u32(40, interface.index)
        .u32(44, 1)
        .u32(48, 1)
        .u32(52, u32::MAX)
        .u32(56, u32::MAX)
        .put(60, &[length])
        .u32(64, 4)
        .u32(68, scope)
}

/// MIB_IPINTERFACE_ROW, 168 bytes.
fn interface_row(interface: &Interface, family: u16) -> Row {
    Row::new(168)
        .put(0, &family.to_le_bytes())
        .u64(8, interface.luid())
        .u32(16, interface.index)
        .put(44, &[1, 1])
        .u32(60, 30_000)
        .u32(64, 1000)
        .u32(148, if interface.is_loopback { 75 } else { 25 })
        .u32(152, interface.mtu)
        .put(156, &[u8::from(interface.is_up)])
        .u32(160, 30_000)
}

/// MIB_IPFORWARD_ROW2, 104 bytes.
fn route_row(route: &Route, interfaces: &[Interface]) -> Row {
    let interface = interfaces.iter().find(|interface| interface.index == route.index);
    Row::new(104)
        .u64(0, interface.map_or(0, Interface::luid))
        .u32(8, route.index)
        .put(12, &sockaddr(route.destination, 0))
        .put(40, &[route.length])
        .put(44, &sockaddr(route.gateway, 0))
        .u32(76, u32::MAX)
        .u32(80, u32::MAX)
        .u32(84, route.metric)
        .u32(88, 3)
        .put(92, &[u8::from(interface.is_some_and(|interface| interface.is_loopback)), 0, 0, 1])
}

/// GetUnicastIpAddressTable.
unsafe extern "win64" fn GetUnicastIpAddressTable(family: u16, table: *mut *mut c_void) -> NtStatus {
    let mut rows = Vec::new();
    for interface in system::interfaces() {
        let ours = interface.addresses.iter().filter(|(address, _)| is_family(family, *address));
        rows.extend(ours.map(|&(address, length)| unicast_row(&interface, address, length)));
    }
    // SAFETY: the driver's variable (DDI).
    unsafe { put_table(&rows, table) }
}

/// GetIpInterfaceTable.
unsafe extern "win64" fn GetIpInterfaceTable(family: u16, table: *mut *mut c_void) -> NtStatus {
    let mut rows = Vec::new();
    for interface in system::interfaces() {
        for wanted in [AF_INET, AF_INET6] {
            if interface.addresses.iter().any(|(address, _)| is_family(family, *address) && is_family(wanted, *address))
            {
                rows.push(interface_row(&interface, wanted));
            }
        }
    }
    // SAFETY: the driver's variable (DDI).
    unsafe { put_table(&rows, table) }
}

/// GetIpForwardTable2.
unsafe extern "win64" fn GetIpForwardTable2(family: u16, table: *mut *mut c_void) -> NtStatus {
    let interfaces = system::interfaces();
    let routes = system::routes();
    let ours = routes.iter().filter(|route| is_family(family, route.destination));
    let rows: Vec<Row> = ours.map(|route| route_row(route, &interfaces)).collect();
    // SAFETY: the driver's variable (DDI).
    unsafe { put_table(&rows, table) }
}

/// FreeMibTable.
unsafe extern "win64" fn FreeMibTable(table: *mut c_void) {
    // SAFETY: a table of ours.
    unsafe { pool::ExFreePool(table) };
}

fn find(luid: u64, index: u32) -> Option<Interface> {
    let mut interfaces = system::interfaces().into_iter();
    interfaces.find(|interface| if luid != 0 { interface.luid() == luid } else { interface.index == index })
}

/// GetIpInterfaceEntry.
unsafe extern "win64" fn GetIpInterfaceEntry(row: *mut u8) -> NtStatus {
    // SAFETY: the driver's row of 168 bytes (DDI).
    unsafe {
        let family = row.cast::<u16>().read();
        let Some(interface) = find(row.add(8).cast::<u64>().read(), row.add(16).cast::<u32>().read()) else {
            return NtStatus::NOT_FOUND;
        };
        if family != AF_INET && family != AF_INET6 {
            return NtStatus::INVALID_PARAMETER;
        }
        if !interface.addresses.iter().any(|(address, _)| is_family(family, *address)) {
            return NtStatus::NOT_FOUND;
        }
        std::ptr::copy_nonoverlapping(interface_row(&interface, family).0.as_ptr(), row, 168);
    }
    NtStatus::SUCCESS
}

/// SetIpInterfaceEntry: Linux's interfaces are not a driver's to change.
extern "win64" fn SetIpInterfaceEntry(_row: *mut u8) -> NtStatus {
    NtStatus::NOT_SUPPORTED
}

/// GetIfEntry2: MIB_IF_ROW2, 1352 bytes; counters are zero.
unsafe extern "win64" fn GetIfEntry2(row: *mut u8) -> NtStatus {
    // SAFETY: the driver's row (DDI).
    unsafe {
        let Some(interface) = find(row.cast::<u64>().read(), row.add(8).cast::<u32>().read()) else {
            return NtStatus::NOT_FOUND;
        };
        let name: Vec<u8> = interface.name.encode_utf16().take(256).flat_map(u16::to_le_bytes).collect();
        let mac = &interface.mac[..interface.mac.len().min(32)];
        let status = if interface.is_up { 1 } else { 2 };
        let filled = Row::new(1352)
            .u64(0, interface.luid())
            .u32(8, interface.index)
            .put(28, &name)
            .put(542, &name)
            .u32(1056, mac.len() as u32)
            .put(1060, mac)
            .put(1092, mac)
            .u32(1124, interface.mtu)
            .u32(1128, interface.kind())
            .u32(1144, if interface.is_loopback { 1 } else { 2 })
            .u32(1156, status)
            .u32(1160, 1)
            .u32(1164, status)
            .u32(1184, 1)
            .u64(1192, 1_000_000_000)
            .u64(1200, 1_000_000_000);
        std::ptr::copy_nonoverlapping(filled.0.as_ptr(), row, 1352);
    }
    NtStatus::SUCCESS
}

/// GetBestRoute2.
unsafe extern "win64" fn GetBestRoute2(
    _luid: *const u64,
    _index: u32,
    _source: *const [u8; 28],
    destination: *const [u8; 28],
    _options: u32,
    route: *mut u8,
    best_source: *mut [u8; 28],
) -> NtStatus {
    // SAFETY: the driver's address and variables (DDI).
    unsafe {
        let Some(destination) = address_of(destination) else { return NtStatus::INVALID_PARAMETER };
        let Some((best, source)) = system::best_route(destination) else { return NtStatus::NETWORK_UNREACHABLE };
        std::ptr::copy_nonoverlapping(route_row(&best, &system::interfaces()).0.as_ptr(), route, 104);
        best_source.write(sockaddr(source, 0));
    }
    NtStatus::SUCCESS
}

/// ConvertInterfaceIndexToLuid.
unsafe extern "win64" fn ConvertInterfaceIndexToLuid(index: u32, luid: *mut u64) -> NtStatus {
    let Some(interface) = find(0, index) else { return NtStatus::INVALID_PARAMETER };
    // SAFETY: the driver's variable.
    unsafe { luid.write(interface.luid()) };
    NtStatus::SUCCESS
}

/// ConvertInterfaceLuidToIndex.
unsafe extern "win64" fn ConvertInterfaceLuidToIndex(luid: *const u64, index: *mut u32) -> NtStatus {
    // SAFETY: the driver's variables.
    unsafe {
        let Some(interface) = find(luid.read(), 0) else { return NtStatus::INVALID_PARAMETER };
        index.write(interface.index);
    }
    NtStatus::SUCCESS
}

type Callback = unsafe extern "win64" fn(Context: *mut c_void, Row: *mut c_void, Kind: i32);

static REGISTERED: Mutex<(usize, Vec<usize>)> = Mutex::new((0x100, Vec::new()));

/// NotifyIpInterfaceChange, NotifyRouteChange2, NotifyUnicastIpAddressChange: Linux's changes are not watched; the initial
/// notification (MibInitialNotification, 3) is made.
unsafe extern "win64" fn NotifyIpInterfaceChange(
    _family: u16,
    callback: Option<Callback>,
    context: *mut c_void,
    initial: u8,
    handle: *mut HANDLE,
) -> NtStatus {
    let Some(callback) = callback else { return NtStatus::INVALID_PARAMETER };
    let id = {
        let mut registered = REGISTERED.lock();
        registered.0 += 16;
        let id = registered.0;
        registered.1.push(id);
        id
    };
    // SAFETY: the driver's variable and function (DDI).
    unsafe {
        handle.write(id as HANDLE);
        if initial != 0 {
            callback(context, std::ptr::null_mut(), 3);
        }
    }
    NtStatus::SUCCESS
}

/// CancelMibChangeNotify2.
extern "win64" fn CancelMibChangeNotify2(handle: HANDLE) -> NtStatus {
    let mut registered = REGISTERED.lock();
    let before = registered.1.len();
    registered.1.retain(|&id| id != handle as usize);
    if registered.1.len() < before { NtStatus::SUCCESS } else { NtStatus::INVALID_PARAMETER }
}

exports! {
    GetUnicastIpAddressTable, GetIpInterfaceTable, GetIpForwardTable2, FreeMibTable, GetIpInterfaceEntry,
    SetIpInterfaceEntry, GetIfEntry2, GetBestRoute2, ConvertInterfaceIndexToLuid, ConvertInterfaceLuidToIndex,
    NotifyIpInterfaceChange, NotifyRouteChange2 = NotifyIpInterfaceChange,
    NotifyUnicastIpAddressChange = NotifyIpInterfaceChange, CancelMibChangeNotify2,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_in_the_tables() {
        // SAFETY: the tables are read as far as they say.
        unsafe {
            let mut table = std::ptr::null_mut();
            assert_eq!(GetUnicastIpAddressTable(AF_INET, &raw mut table), NtStatus::SUCCESS);
            let count = table.cast::<u32>().read() as usize;
            let rows = std::slice::from_raw_parts(table.cast::<[u8; 80]>().byte_add(8), count);
            let row = rows.iter().find(|row| row[4..8] == [127, 0, 0, 1]).expect("127.0.0.1");
            assert_eq!((&row[..2], row[60]), (&[2u8, 0][..], 8));
            let luid = u64::from_le_bytes(row[32..40].try_into().unwrap());
            assert_eq!(luid >> 48, 24);
            FreeMibTable(table);
            let mut interface = [0u8; 168];
            interface[..2].copy_from_slice(&AF_INET.to_le_bytes());
            interface[8..16].copy_from_slice(&luid.to_le_bytes());
            assert_eq!(GetIpInterfaceEntry(interface.as_mut_ptr()), NtStatus::SUCCESS);
            assert_eq!(interface[16..20], row[40..44]);
            let (mut route, mut source) = ([0u8; 104], [0u8; 28]);
            let destination = sockaddr([127, 0, 0, 1].into(), 0);
            let null = std::ptr::null();
            let status =
                GetBestRoute2(null, 0, null.cast(), &raw const destination, 0, route.as_mut_ptr(), &raw mut source);
            assert_eq!((status, &source[4..8]), (NtStatus::SUCCESS, &[127, 0, 0, 1][..]));
        }
    }
}
