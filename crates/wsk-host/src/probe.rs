//! Whether io_uring works on this host, tried out rather than concluded from a version: seccomp filters, sysctls and old
//! kernels refuse in different places.

use std::io;
use std::sync::Arc;

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};

use crate::bell::Bell;
use crate::driver::uring::{BufferRing, Flavour, Ring, receive_once_multishot};
use crate::stats::Stats;
use crate::transport::Switches;

/// Tries io_uring. `Ok`: a line on what was found; `Err`: a line on what failed.
pub(crate) fn uring(switches: Switches) -> Result<String, String> {
    if switches.refuse_uring {
        return Err("io_uring is switched off by configuration".to_owned());
    }
    let stats = Arc::new(Stats::default());
    let (mut ring, flavour) = Ring::open(8, switches.plain_ring, Arc::clone(&stats)).map_err(|e| no_ring(&e))?;
    if !ring.has_features() {
        return Err(format!("{} lacks features of io_uring that are needed", kernel()));
    }
    try_multishot(&mut ring, stats)
        .map_err(|e| format!("{} does not do multishot receives with buffer rings (Linux 6.0 does): {e}", kernel()))?;
    Ok(describe(flavour))
}

fn describe(flavour: Flavour) -> String {
    format!("{}, {}", kernel(), flavour.describe())
}

fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim())
}

fn no_ring(e: &io::Error) -> String {
    match e.raw_os_error() {
        Some(libc::ENOSYS) => format!("{} has no io_uring, or a filter hides it ({e})", kernel()),
        Some(libc::EPERM | libc::EACCES) => {
            format!("io_uring is forbidden here, by sysctl kernel.io_uring_disabled or a container's filter ({e})")
        }
        _ => format!("a ring could not be set up ({e})"),
    }
}

/// One multishot receive into a buffer ring, as streams and datagrams use it.
fn try_multishot(ring: &mut Ring, stats: Arc<Stats>) -> io::Result<()> {
    let bell = Arc::new(Bell::new(stats)?);
    let mut buffers = BufferRing::new(ring, 0, 4096, 2, 2, bell)?;
    let (near, far) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::send(&far, b"?", SendFlags::NOSIGNAL)?;
    receive_once_multishot(ring, &mut buffers, &near, far)
}
