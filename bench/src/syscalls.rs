//! Counts the system calls of another process with the kernel's own tracepoint: no tracer attaches, nothing stops. Needs a
//! mounted tracefs and the right to open perf events of the process.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd};

const TRACEPOINT: [&str; 2] = [
    "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
    "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id",
];
const PERF_TYPE_TRACEPOINT: u32 = 2;
const FD_CLOEXEC: libc::c_ulong = 8;
const INHERIT: u64 = 1 << 1;
const IOC_SET_FILTER: libc::c_ulong = 0x4008_2406;

/// `struct perf_event_attr`, its first published size.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    config1: u64,
}

/// Counters on all threads of a process, counting since they were opened.
pub struct Counter {
    all: Vec<File>,
    enters: Vec<File>,
}

/// Calls counted so far.
#[derive(Clone, Copy)]
pub struct Calls {
    /// System calls of any kind.
    pub all: u64,
    /// Those that were io_uring_enter.
    pub enters: u64,
}

impl Counter {
    /// Opens counters for the threads of `pid` and those they start later.
    pub fn open(pid: i32) -> io::Result<Counter> {
        let id = TRACEPOINT
            .iter()
            .find_map(|path| fs::read_to_string(path).ok())
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| io::Error::other("no raw_syscalls tracepoint (is tracefs mounted?)"))?;
        let filter = std::ffi::CString::new(format!("id == {}", libc::SYS_io_uring_enter))?;
        let (mut all, mut enters) = (Vec::new(), Vec::new());
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let name = thread?.file_name();
            let Some(thread) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            all.push(open(id, thread)?);
            let filtered = open(id, thread)?;
            // SAFETY: the kernel reads the NUL-terminated string.
            if unsafe { libc::ioctl(filtered.as_raw_fd(), IOC_SET_FILTER, filter.as_ptr()) } != 0 {
                return Err(io::Error::last_os_error());
            }
            enters.push(filtered);
        }
        Ok(Counter { all, enters })
    }

    /// The counts.
    pub fn read(&self) -> io::Result<Calls> {
        Ok(Calls { all: sum(&self.all)?, enters: sum(&self.enters)? })
    }
}

fn open(id: u64, thread: i32) -> io::Result<File> {
    let attributes = Attributes {
        kind: PERF_TYPE_TRACEPOINT,
        size: size_of::<Attributes>() as u32,
        config: id,
        flags: INHERIT,
        ..Attributes::default()
    };
    // SAFETY: reads `attributes`, whose size it holds.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const attributes, thread, -1, -1, FD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { File::from_raw_fd(fd as i32) })
}

fn sum(counters: &[File]) -> io::Result<u64> {
    let mut total = 0;
    for mut counter in counters {
        let mut value = [0; 8];
        counter.read_exact(&mut value)?;
        total += u64::from_ne_bytes(value);
    }
    Ok(total)
}
