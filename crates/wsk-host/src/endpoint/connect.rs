//! Connecting by hand, where a driver does not leave it to the kernel: TCP Fast Open (F-156), and how a connect has ended.

use std::net::SocketAddr;

use rustix::net;
use wsk_core::memory::Memory;

use super::HostEndpoint;
use crate::message::{self, Header};
use crate::sockopt;

impl HostEndpoint {
    /// Starts a connect with data in its SYN, if the client wants that: how many bytes were taken, or the errno. They are on their
    /// way whether the SYN carried them or not. `None`: connect as ever.
    pub(crate) fn fast_connect(&self, remote: &SocketAddr, first: &Memory) -> Option<Result<usize, i32>> {
        if !self.wishes.fast_open() || first.is_empty() {
            return None;
        }
        let mut header = Header::new();
        header.for_first(first, remote);
        let result = self.with_fd(|fd| {
            Ok(loop {
                self.stats.add(1);
                match message::send_with(fd, &header, libc::MSG_FASTOPEN) {
                    Err(libc::EINTR) => {}
                    result => break result,
                }
            })
        });
        match result.unwrap_or(Err(libc::EBADF)) {
            Ok(taken) => Some(Ok(taken)),
            // The first time the SYN asks for a cookie only.
            Err(libc::EINPROGRESS) => Some(Ok(0)),
            // Not switched on, or not known.
            Err(libc::EOPNOTSUPP | libc::ENOTCONN | libc::EPIPE) => None,
            Err(errno) => Some(Err(errno)),
        }
    }

    /// How a connect that was started has ended, or its errno. `None`: it has not.
    pub(crate) fn connect_outcome(&self) -> Option<Result<(), i32>> {
        self.stats.add(2);
        let found = self.with_fd(|fd| {
            Ok(match sockopt::take_error(fd) {
                Some(errno) => Some(Err(errno)),
                None => net::getpeername(fd).is_ok().then_some(Ok(())),
            })
        });
        found.unwrap_or(Some(Err(libc::EBADF)))
    }
}
