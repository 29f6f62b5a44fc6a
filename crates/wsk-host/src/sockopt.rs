//! Socket options and queries of the host, in the terms of the subsystem.
//!
//! Windows' numbers never come here and Linux's never leave: control.md 4.

#![allow(unsafe_code)] // getsockopt, setsockopt and ioctl for the options that have no safe wrapper

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::sockopt;
use wsk_abi::status::NtStatus;
use wsk_core::option::{Keeper, OptionName, OptionValue, Values};
use wsk_core::transport::{Family, Protocol};

use crate::errno;

/// The dynamic range of Windows (C 6).
const DYNAMIC_PORTS: (u16, u16) = (49152, 65535);

/// Missing from some libc versions: IPPROTO_IP level, Linux 6.3.
const IP_LOCAL_PORT_RANGE: i32 = 51;

/// The states of a Linux TCP socket that matter here (`TCP_INFO`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TcpState {
    /// Both directions ended, or reset.
    Close,
    /// Our FIN is acknowledged, the peer's has not come.
    FinWait2,
    /// Both FINs are acknowledged.
    TimeWait,
    /// Any other.
    Other,
}

/// What `TCP_INFO` says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TcpInfo {
    pub(crate) state: TcpState,
    pub(crate) send_window_bytes: usize,
}

/// `std`'s error for a `setsockopt` or `getsockopt` that failed.
fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

fn set_int(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    // SAFETY: the pointer and the length describe `value`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), size_of::<i32>() as libc::socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(last()) }
}

fn get_int(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<i32, Errno> {
    let mut value = 0i32;
    let mut length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the pointers describe `value` and `length`, which outlive the call.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length) };
    if result == 0 { Ok(value) } else { Err(last()) }
}

/// What every endpoint gets at birth.
pub(crate) fn prepare(fd: BorrowedFd<'_>, family: Family, protocol: Protocol) -> Result<(), Errno> {
    if family == Family::V6 {
        sockopt::set_ipv6_v6only(fd, true)?; // F-92
    }
    match protocol {
        Protocol::Tcp => sockopt::set_tcp_nodelay(fd, true)?, // F-160; accepted sockets inherit it
        Protocol::Raw(_) => {}
        Protocol::Udp => {
            // For MSG_BCAST and MSG_MCAST (E-80). On an IPv6 socket the IPv4 option serves dual mode; kernels without it
            // report mapped addresses in the IPv6 message, which is read just as well.
            let v4 = set_int(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1);
            if family == Family::V4 {
                v4?;
            } else {
                set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
            }
        }
    }
    Ok(())
}

/// Makes a bind to port 0 choose from the dynamic range, where the kernel can.
pub(crate) fn use_dynamic_ports(fd: BorrowedFd<'_>) {
    let range = u32::from(DYNAMIC_PORTS.0) | u32::from(DYNAMIC_PORTS.1) << 16;
    let _ = set_int(fd, libc::IPPROTO_IP, IP_LOCAL_PORT_RANGE, range as i32);
}

/// Sets an option of the table.
pub(crate) fn set(fd: BorrowedFd<'_>, option: OptionName, value: &OptionValue) -> Result<(), NtStatus> {
    let row = option.row();
    if option == OptionName::V6Only {
        // Linux says EINVAL once bound (C-44).
        return sockopt::set_ipv6_v6only(fd, value.number()? != 0).map_err(|e| match e {
            Errno::INVAL => NtStatus::INVALID_DEVICE_STATE,
            e => of_option(e),
        });
    }
    let Keeper::Linux(level, name) = row.keeper else { return Err(NtStatus::NOT_SUPPORTED) };
    let most = if row.values == Values::Bytes { i32::MAX as u32 / 2 } else { i32::MAX as u32 };
    set_int(fd, level, name, value.number()?.min(most) as i32).map_err(of_option)
}

/// The status of an option of the table that the kernel refuses. ENOPROTOOPT (set) or EOPNOTSUPP (get): the socket is of the other
/// address family.
fn of_option(error: Errno) -> NtStatus {
    match error {
        Errno::NOPROTOOPT | Errno::OPNOTSUPP => NtStatus::INVALID_PARAMETER,
        error => errno::status(error.raw_os_error()),
    }
}

/// The value of an option of the table. The kernel doubles sizes to leave room for its bookkeeping; the client gets what it
/// asked for.
pub(crate) fn value(fd: BorrowedFd<'_>, option: OptionName) -> Result<OptionValue, NtStatus> {
    let row = option.row();
    let (level, name) = match row.keeper {
        Keeper::Linux(level, name) => (level, name),
        _ if option == OptionName::V6Only => (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
        _ => return Err(NtStatus::NOT_SUPPORTED),
    };
    let value = get_int(fd, level, name).map_err(of_option)?.max(0) as u32;
    Ok(OptionValue::Number(if row.values == Values::Bytes { value / 2 } else { value }))
}

/// Reads and clears the pending error of a socket. `None`: there is none.
pub(crate) fn take_error(fd: BorrowedFd<'_>) -> Option<i32> {
    match sockopt::socket_error(fd) {
        Ok(Ok(())) => None,
        Ok(Err(e)) => Some(e.raw_os_error()),
        Err(e) => Some(e.raw_os_error()),
    }
}

/// The state of a TCP connection. `None` where the kernel does not say.
pub(crate) fn tcp_info(fd: BorrowedFd<'_>) -> Option<TcpInfo> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `info`; both outlive the call.
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut len)
    };
    if result != 0 {
        return None;
    }
    // SAFETY: all-zero bytes are a valid `tcp_info` (integers only), and the kernel wrote integers.
    let info = unsafe { info.assume_init() };
    // include/net/tcp_states.h
    let state = match info.tcpi_state {
        5 => TcpState::FinWait2,
        6 => TcpState::TimeWait,
        7 => TcpState::Close,
        _ => TcpState::Other,
    };
    Some(TcpInfo { state, send_window_bytes: info.tcpi_snd_cwnd as usize * info.tcpi_snd_mss as usize })
}

fn queue_length(fd: BorrowedFd<'_>, request: libc::Ioctl) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: both requests used here write one int to the address given.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw mut bytes) };
    if result == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
}

/// Bytes received but not yet read (SIOCINQ).
pub(crate) fn unread(fd: BorrowedFd<'_>) -> usize {
    queue_length(fd, libc::FIONREAD)
}

/// Bytes sent but not yet acknowledged (SIOCOUTQ).
pub(crate) fn unacknowledged(fd: BorrowedFd<'_>) -> usize {
    queue_length(fd, libc::TIOCOUTQ)
}

/// Makes the coming close send RST.
pub(crate) fn reset_on_close(fd: impl AsFd) {
    let _ = sockopt::set_socket_linger(fd, Some(std::time::Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketType, socket};

    #[test]
    fn the_receive_buffer_reads_back_as_set() {
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        set(fd.as_fd(), OptionName::ReceiveBuffer, &OptionValue::Number(40_000)).unwrap();
        assert_eq!(value(fd.as_fd(), OptionName::ReceiveBuffer), Ok(OptionValue::Number(40_000)));
    }

    #[test]
    fn v6only_after_bind_is_a_state_error() {
        let fd = socket(AddressFamily::INET6, SocketType::STREAM, None).unwrap();
        prepare(fd.as_fd(), Family::V6, Protocol::Tcp).unwrap();
        set(fd.as_fd(), OptionName::V6Only, &OptionValue::Number(0)).unwrap();
        rustix::net::bind(&fd, &"[::]:0".parse::<std::net::SocketAddr>().unwrap()).unwrap();
        let late = set(fd.as_fd(), OptionName::V6Only, &OptionValue::Number(1));
        assert_eq!(late, Err(NtStatus::INVALID_DEVICE_STATE));
    }
}
