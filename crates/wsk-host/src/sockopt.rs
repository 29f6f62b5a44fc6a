//! Socket options and queries of the host: the calls themselves.
//!
//! Which of them an option of the subsystem needs is in `option`.

#![allow(unsafe_code)] // getsockopt, setsockopt and ioctl for the options that have no safe wrapper

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::sockopt;
use wsk_core::transport::{Family, Protocol};

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

/// Sets an option that is an int.
pub(crate) fn set_int(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    // SAFETY: the pointer and the length describe `value`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), size_of::<i32>() as libc::socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(last()) }
}

/// An option that is an int.
pub(crate) fn get_int(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<i32, Errno> {
    let mut value = 0i32;
    let mut length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the pointers describe `value` and `length`, which outlive the call.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length) };
    if result == 0 { Ok(value) } else { Err(last()) }
}

/// Sets an option that is bytes.
pub(crate) fn set_bytes(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    // SAFETY: the pointer and the length describe `value`, which outlives the call.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), value.len() as libc::socklen_t) };
    if result == 0 { Ok(()) } else { Err(last()) }
}

/// An option that is bytes, so many at most.
pub(crate) fn get_bytes(fd: BorrowedFd<'_>, level: i32, name: i32, most: usize) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0u8; most];
    let mut length = most as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `value`; both outlive the call.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut length) };
    if result != 0 {
        return Err(last());
    }
    value.truncate(length as usize);
    Ok(value)
}

/// What every endpoint gets at birth.
pub(crate) fn prepare(fd: BorrowedFd<'_>, family: Family, protocol: Protocol) -> Result<(), Errno> {
    // A raw socket has no port, and is of one family anyway.
    if family == Family::V6 && !matches!(protocol, Protocol::Raw(_)) {
        sockopt::set_ipv6_v6only(fd, true)?; // F-92
    }
    match protocol {
        Protocol::Tcp => sockopt::set_tcp_nodelay(fd, true)?, // F-160; accepted sockets inherit it
        Protocol::Udp | Protocol::Raw(_) => {
            // For MSG_BCAST and MSG_MCAST (E-80). On an IPv6 socket the IPv4 option serves dual mode, which raw ones do not do;
            // kernels without it report mapped addresses in the IPv6 message, which is read just as well.
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

/// Sends an acknowledgement that is put off.
pub(crate) fn acknowledge_now(fd: BorrowedFd<'_>) {
    let _ = set_int(fd, libc::IPPROTO_TCP, libc::TCP_QUICKACK, 1);
}

/// Keeps a connection from sending, and its close from saying anything.
pub(crate) fn repair(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    set_int(fd, libc::IPPROTO_TCP, libc::TCP_REPAIR, 1)
}

/// Has everything that comes to this socket dropped unseen.
pub(crate) fn drop_all_input(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut keep_nothing = libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 };
    let program = libc::sock_fprog { len: 1, filter: &raw mut keep_nothing };
    let (pointer, length) = ((&raw const program).cast(), size_of::<libc::sock_fprog>() as libc::socklen_t);
    // SAFETY: the program and its one instruction outlive the call, which copies them.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, pointer, length) };
    if result == 0 { Ok(()) } else { Err(last()) }
}

/// Undoes [`drop_all_input`].
pub(crate) fn take_all_input(fd: BorrowedFd<'_>) {
    let _ = set_int(fd, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0);
}

/// Datagrams that came to this socket and were dropped (SO_MEMINFO).
pub(crate) fn dropped(fd: BorrowedFd<'_>) -> u64 {
    const SO_MEMINFO: i32 = 55;
    const DROPS: usize = 8; // include/uapi/linux/sock_diag.h
    let info = get_bytes(fd, libc::SOL_SOCKET, SO_MEMINFO, 4 * (DROPS + 1)).unwrap_or_default();
    info.get(4 * DROPS..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_ne_bytes(*bytes).into())
}

/// Makes the coming close send RST.
pub(crate) fn reset_on_close(fd: impl AsFd) {
    let _ = sockopt::set_socket_linger(fd, Some(std::time::Duration::ZERO));
}
