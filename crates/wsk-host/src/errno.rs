//! Linux error numbers as statuses: the table of control.md 10, the WSK column where it is filled.
//!
//! The few places where one number means different things by operation have a function of their own.

use wsk_abi::status::NtStatus;

/// The status of `errno` for an operation that has no row of its own.
pub(crate) fn status(errno: i32) -> NtStatus {
    match errno {
        libc::EAGAIN | libc::EINPROGRESS => NtStatus::PENDING,
        libc::EPERM | libc::EACCES => NtStatus::ACCESS_DENIED,
        libc::EBADF | libc::ENOTSOCK => NtStatus::FILE_FORCED_CLOSED,
        libc::EFAULT | libc::EINVAL | libc::EDESTADDRREQ => NtStatus::INVALID_PARAMETER,
        libc::ENOPROTOOPT => NtStatus::NOT_SUPPORTED,
        libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS => NtStatus::INSUFFICIENT_RESOURCES,
        libc::EALREADY => NtStatus::INVALID_DEVICE_STATE,
        libc::EBUSY => NtStatus::DEVICE_BUSY,
        libc::EMSGSIZE => NtStatus::BUFFER_OVERFLOW,
        libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT | libc::EOPNOTSUPP | libc::EAFNOSUPPORT => {
            NtStatus::NOT_SUPPORTED
        }
        libc::EADDRINUSE => NtStatus::ADDRESS_ALREADY_EXISTS,
        libc::EADDRNOTAVAIL | libc::ENODEV => NtStatus::INVALID_ADDRESS_COMPONENT,
        libc::ECONNREFUSED => NtStatus::CONNECTION_REFUSED,
        libc::ECONNRESET | libc::EPIPE => NtStatus::CONNECTION_RESET,
        libc::ECONNABORTED => NtStatus::CONNECTION_ABORTED,
        libc::ENOTCONN | libc::ESHUTDOWN => NtStatus::INVALID_DEVICE_STATE,
        libc::EISCONN => NtStatus::CONNECTION_ACTIVE,
        libc::ETIMEDOUT => NtStatus::IO_TIMEOUT,
        libc::ENETUNREACH | libc::ENETDOWN => NtStatus::NETWORK_UNREACHABLE,
        libc::EHOSTUNREACH | libc::EHOSTDOWN => NtStatus::HOST_UNREACHABLE,
        libc::ECANCELED => NtStatus::CANCELLED,
        _ => NtStatus::UNSUCCESSFUL,
    }
}

/// The status of a failed send, stream or datagram (F-191).
pub(crate) fn on_send(errno: i32) -> NtStatus {
    if errno == libc::EMSGSIZE { NtStatus::INVALID_BUFFER_SIZE } else { status(errno) }
}

/// The status of a failed connect (F-151): Linux says EADDRNOTAVAIL when this pair of addresses is in use.
pub(crate) fn on_connect(errno: i32) -> NtStatus {
    if errno == libc::EADDRNOTAVAIL { NtStatus::ADDRESS_ALREADY_EXISTS } else { status(errno) }
}

/// Whether a stream that met `errno` is over; anything else is the fault of the one call.
pub(crate) fn ends_stream(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNRESET
            | libc::EPIPE
            | libc::ECONNABORTED
            | libc::ETIMEDOUT
            | libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::ENETDOWN
            | libc::ENETRESET
            | libc::EPROTO
            | libc::EBADF
            | libc::ENOTSOCK
    )
}

/// Whether a datagram endpoint that met `errno` on receive is dead. Everything else is the fate of an earlier datagram or a
/// passing shortage: never a failure of a receive (F-199).
pub(crate) fn ends_datagrams(errno: i32) -> bool {
    matches!(errno, libc::EBADF | libc::ENOTSOCK | libc::EINVAL | libc::EFAULT | libc::ENOTCONN)
}

/// Whether `errno` is among those that the kernel makes of ICMP errors, so that a datagram call may meet it for an earlier one.
pub(crate) fn can_be_an_echo(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNREFUSED
            | libc::EMSGSIZE
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::ENONET
            | libc::ENOPROTOOPT
            | libc::EOPNOTSUPP
            | libc::EPROTO
            | libc::EACCES
    )
}

/// Whether an accept that met `errno` only lost that one connection, or a passing condition (F-137).
pub(crate) fn accept_goes_on(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNABORTED
            | libc::EAGAIN
            | libc::EINTR
            | libc::EPROTO
            | libc::ENOPROTOOPT
            | libc::ENETDOWN
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::EHOSTUNREACH
            | libc::ENONET
            | libc::EPERM
            | libc::ECONNRESET
            | libc::ETIMEDOUT
    )
}

/// ... and a send, of the kind made here, meets it for no other reason.
pub(crate) fn can_only_be_an_echo(errno: i32) -> bool {
    let own = matches!(errno, libc::EMSGSIZE | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EACCES);
    can_be_an_echo(errno) && !own
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C 10 (every row): the WSK column where it is filled, values as printed there. EINTR never comes here, the codes of name
    /// resolution are the resolver's, and ICMP's fates of datagrams are in `icmp`.
    #[test]
    fn c10_every_row_is_as_printed() {
        let rows: &[(&[i32], u32)] = &[
            (&[libc::EAGAIN, libc::EINPROGRESS], 0x0000_0103),
            (&[libc::EPERM, libc::EACCES], 0xC000_0022),
            (&[libc::EBADF, libc::ENOTSOCK], 0xC000_00B6),
            (&[libc::EFAULT, libc::EINVAL, libc::EDESTADDRREQ], 0xC000_000D),
            (&[libc::ENOPROTOOPT], 0xC000_00BB),
            (&[libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS], 0xC000_009A),
            (&[libc::EALREADY], 0xC000_0184),
            (&[libc::EBUSY], 0x8000_0011),
            (&[libc::EMSGSIZE], 0x8000_0005),
            (&[libc::EPROTONOSUPPORT, libc::ESOCKTNOSUPPORT, libc::EOPNOTSUPP, libc::EAFNOSUPPORT], 0xC000_00BB),
            (&[libc::EADDRINUSE], 0xC000_020A),
            (&[libc::EADDRNOTAVAIL, libc::ENODEV], 0xC000_0207),
            (&[libc::ECONNREFUSED], 0xC000_0236),
            (&[libc::ECONNRESET, libc::EPIPE], 0xC000_020D),
            (&[libc::ECONNABORTED], 0xC000_0241),
            (&[libc::ENOTCONN, libc::ESHUTDOWN], 0xC000_0184),
            (&[libc::EISCONN], 0xC000_023B),
            (&[libc::ETIMEDOUT], 0xC000_00B5),
            (&[libc::ENETUNREACH, libc::ENETDOWN], 0xC000_023C),
            (&[libc::EHOSTUNREACH, libc::EHOSTDOWN], 0xC000_023D),
            (&[libc::ECANCELED], 0xC000_0120),
            (&[libc::EXDEV, libc::ENOTTY, libc::EIO, 4095], 0xC000_0001), // any other
        ];
        for (errnos, value) in rows {
            for errno in *errnos {
                assert_eq!(status(*errno).0, *value, "errno {errno}");
            }
        }
        assert_eq!(on_send(libc::EMSGSIZE).0, 0xC000_0206);
        assert_eq!(on_send(libc::EPIPE).0, 0xC000_020D);
        assert_eq!(on_connect(libc::EADDRNOTAVAIL).0, 0xC000_020A);
        assert_eq!(on_connect(libc::ECONNREFUSED).0, 0xC000_0236);
    }

    #[test]
    fn only_what_kills_a_connection_is_latched() {
        assert!(ends_stream(libc::ECONNRESET) && ends_stream(libc::EPIPE) && ends_stream(libc::ETIMEDOUT));
        assert!(!ends_stream(libc::EAGAIN) && !ends_stream(libc::ENOBUFS) && !ends_stream(libc::EMSGSIZE));
        assert!(ends_datagrams(libc::EBADF));
        // What ICMP can bring (the kernel's icmp_err_convert and icmpv6_err_convert) is nobody's end.
        for errno in 1..200 {
            assert!(!(ends_datagrams(errno) && can_be_an_echo(errno)), "errno {errno}");
        }
        assert!(accept_goes_on(libc::ECONNABORTED) && !accept_goes_on(libc::EMFILE));
    }
}
