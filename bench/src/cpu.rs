//! Which CPU a process runs on and how much of it it has used.

use std::io;
use std::mem::MaybeUninit;

/// The CPUs this process may run on, in order.
pub fn allowed() -> io::Result<Vec<usize>> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: the kernel writes at most the size given.
    let rc = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed, then filled by the call above.
    let set = unsafe { set.assume_init() };
    let bits = 8 * size_of::<libc::cpu_set_t>();
    // SAFETY: `cpu` is below the number of bits of the set.
    Ok((0..bits).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect())
}

/// Pins the calling thread, and what it starts, to one CPU. Async-signal-safe: may be called between fork and exec.
pub fn pin(cpu: usize) -> io::Result<()> {
    // SAFETY: all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    assert!(cpu < 8 * size_of::<libc::cpu_set_t>());
    // SAFETY: `cpu` is in range, by the assertion.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: reads `set` only.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// CPU time of another process, in nanoseconds.
pub struct ProcessClock(libc::clockid_t);

impl ProcessClock {
    /// The clock of process `pid`; 0 is the calling process.
    pub fn of(pid: i32) -> io::Result<ProcessClock> {
        let mut id = 0;
        // SAFETY: writes `id` only.
        match unsafe { libc::clock_getcpuclockid(pid, &mut id) } {
            0 => Ok(ProcessClock(id)),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// User and system time of all threads so far, those that have ended included.
    pub fn nanoseconds(&self) -> io::Result<u64> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes `time` only.
        match unsafe { libc::clock_gettime(self.0, &mut time) } {
            0 => Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
