//! Time in units of 100 ns: since boot (interrupt time) and since 1601 (system time); the page of shared data that drivers
//! read it from (imports.md 3), and the performance counter.
#![allow(unsafe_code)] // Shares a page that drivers read.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::exports;
use crate::ke::processor;

/// 100 ns units between 1601 and 1970.
const UNIX_EPOCH: i64 = 116_444_736_000_000_000;
/// Length of a tick in 100 ns units: what KeQueryTimeIncrement answers.
pub const TICK: u32 = 156_250;

fn clock(id: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the structure.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    time.tv_sec * 10_000_000 + time.tv_nsec / 100
}

/// Time since boot in 100 ns units (KeQueryInterruptTime).
pub fn interrupt_time() -> u64 {
    clock(libc::CLOCK_BOOTTIME) as u64
}

/// Time since 1601 in 100 ns units, UTC (KeQuerySystemTime).
pub fn system_time() -> i64 {
    clock(libc::CLOCK_REALTIME) + UNIX_EPOCH
}

/// KSYSTEM_TIME: read High1Time, LowPart, High2Time and compare.
#[repr(C)]
#[derive(Debug, Default)]
pub struct KSYSTEM_TIME {
    /// Low half.
    pub LowPart: AtomicU32,
    /// High half, written last.
    pub High1Time: AtomicI32,
    /// High half, written first.
    pub High2Time: AtomicI32,
}

impl KSYSTEM_TIME {
    fn set(&self, time: i64) {
        let high = (time >> 32) as i32;
        self.High2Time.store(high, Ordering::SeqCst);
        // Drivers load the first eight bytes at once (not always aligned to eight).
        let low: *const AtomicU32 = &self.LowPart;
        // SAFETY: LowPart and High1Time are adjacent; one store writes both, unaligned or not.
        unsafe {
            std::arch::asm!("mov qword ptr [{}], {}", in(reg) low, in(reg) time, options(nostack, preserves_flags));
        }
    }
}

/// The page at 0xFFFFF78000000000, as far as it is kept (the rest is zero).
#[repr(C, align(4096))]
#[derive(Debug)]
pub struct KUSER_SHARED_DATA {
    /// Old tick count.
    pub TickCountLowDeprecated: u32,
    /// Multiplier of tick counts: milliseconds = count * multiplier >> 24.
    pub TickCountMultiplier: u32,
    /// Time since boot.
    pub InterruptTime: KSYSTEM_TIME,
    /// Time since 1601.
    pub SystemTime: KSYSTEM_TIME,
    /// Local time is UTC minus this.
    pub TimeZoneBias: KSYSTEM_TIME,
    /// Machine types.
    pub ImageNumber: [u16; 2],
    /// `C:\Windows`.
    pub NtSystemRoot: [u16; 260],
    _before_build: [u8; 608 - 568],
    /// Build.
    pub NtBuildNumber: u32,
    /// 1: workstation.
    pub NtProductType: u32,
    /// TRUE.
    pub ProductTypeIsValid: u8,
    _reserved0: u8,
    /// 9: AMD64.
    pub NativeProcessorArchitecture: u16,
    /// Version.
    pub NtMajorVersion: u32,
    /// Version.
    pub NtMinorVersion: u32,
    /// By PF_ number.
    pub ProcessorFeatures: [u8; 64],
    _before_pages: [u8; 744 - 692],
    /// Pages of memory.
    pub NumberOfPhysicalPages: u32,
    _before_frequency: [u8; 768 - 748],
    /// Of the performance counter.
    pub QpcFrequency: i64,
    _before_ticks: [u8; 800 - 776],
    /// Ticks since boot.
    pub TickCount: KSYSTEM_TIME,
    _pad: u32,
    /// Seed of cookies.
    pub Cookie: u32,
    _before_active: [u8; 960 - 820],
    /// Active processors.
    pub ActiveProcessorCount: u32,
    /// Groups.
    pub ActiveGroupCount: u8,
    _to_the_end: [u8; 4096 - 965],
}

/// The frequency of the performance counter.
pub const FREQUENCY: i64 = 10_000_000;

/// The mirror of KUSER_SHARED_DATA.
pub fn shared_data() -> *const KUSER_SHARED_DATA {
    static PAGE: OnceLock<AtomicPtr<KUSER_SHARED_DATA>> = OnceLock::new();
    PAGE.get_or_init(|| {
        // SAFETY: all fields are valid as zeros.
        let mut page: Box<KUSER_SHARED_DATA> = Box::new(unsafe { std::mem::zeroed() });
        page.TickCountMultiplier = ((u64::from(TICK) << 24) / 10_000) as u32;
        page.ImageNumber = [0x8664, 0x8664];
        for (to, from) in page.NtSystemRoot.iter_mut().zip("C:\\Windows".encode_utf16()) {
            *to = from;
        }
        page.NtBuildNumber = crate::rtl::version::BUILD;
        page.NtProductType = 1;
        page.ProductTypeIsValid = 1;
        page.NativeProcessorArchitecture = 9;
        page.NtMajorVersion = 10;
        page.NumberOfPhysicalPages = 0x40_0000;
        page.QpcFrequency = FREQUENCY;
        page.Cookie = interrupt_time() as u32 ^ 0x5bd1_e995;
        page.ActiveProcessorCount = processor::count();
        page.ActiveGroupCount = 1;
        update(&page);
        AtomicPtr::new(Box::into_raw(page))
    })
    .load(Ordering::Relaxed)
}

fn update(page: &KUSER_SHARED_DATA) {
    let interrupt = interrupt_time();
    page.InterruptTime.set(interrupt as i64);
    page.SystemTime.set(system_time());
    page.TickCount.set((interrupt / u64::from(TICK)) as i64);
}

/// Brings the times of the shared page up to date.
pub fn refresh() {
    // SAFETY: the page lives for ever; the fields written are atomics.
    update(unsafe { &*shared_data() });
}

/// Starts the thread that refreshes the shared page every millisecond. The loader calls it once a driver reads the page.
pub fn start_clock() {
    static RUNNING: AtomicBool = AtomicBool::new(false);
    if !RUNNING.swap(true, Ordering::SeqCst) {
        refresh();
        let ticker = std::thread::Builder::new().name("nt-clock".into());
        let _ = ticker.spawn(|| {
            loop {
                std::thread::sleep(Duration::from_millis(1));
                refresh();
            }
        });
    }
}

fn put<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: the driver's variable (DDI).
        unsafe { to.write_unaligned(value) };
    }
}

/// KeQuerySystemTimePrecise; also KeQuerySystemTime, which is an inline on x64.
unsafe extern "win64" fn KeQuerySystemTimePrecise(time: *mut i64) {
    put(time, system_time());
}

/// KeQueryTickCount.
unsafe extern "win64" fn KeQueryTickCount(count: *mut i64) {
    put(count, (interrupt_time() / u64::from(TICK)) as i64);
}

/// KeQueryTimeIncrement.
extern "win64" fn KeQueryTimeIncrement() -> u32 {
    TICK
}

/// KeQueryInterruptTime.
extern "win64" fn KeQueryInterruptTime() -> u64 {
    interrupt_time()
}

/// KeQueryInterruptTimePrecise.
unsafe extern "win64" fn KeQueryInterruptTimePrecise(counter: *mut u64) -> u64 {
    put(counter, interrupt_time());
    interrupt_time()
}

/// KeQueryUnbiasedInterruptTime: sleep not counted.
extern "win64" fn KeQueryUnbiasedInterruptTime() -> u64 {
    clock(libc::CLOCK_MONOTONIC) as u64
}

/// KeQueryUnbiasedInterruptTimePrecise.
unsafe extern "win64" fn KeQueryUnbiasedInterruptTimePrecise(counter: *mut u64) -> u64 {
    put(counter, interrupt_time());
    KeQueryUnbiasedInterruptTime()
}

/// KeQueryPerformanceCounter: 10 MHz.
unsafe extern "win64" fn KeQueryPerformanceCounter(frequency: *mut i64) -> i64 {
    put(frequency, FREQUENCY);
    clock(libc::CLOCK_MONOTONIC)
}

/// KeStallExecutionProcessor: microseconds.
extern "win64" fn KeStallExecutionProcessor(microseconds: u32) {
    let end = clock(libc::CLOCK_MONOTONIC) + i64::from(microseconds) * 10;
    while clock(libc::CLOCK_MONOTONIC) < end {
        std::hint::spin_loop();
    }
}

/// Difference between UTC and local time in 100 ns units.
fn bias() -> i64 {
    static BIAS: AtomicU64 = AtomicU64::new(u64::MAX);
    let known = BIAS.load(Ordering::Relaxed);
    if known != u64::MAX {
        return known as i64;
    }
    // SAFETY: both structures are written by the calls.
    let offset = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut local: libc::tm = std::mem::zeroed();
        libc::localtime_r(&raw const now, &raw mut local);
        local.tm_gmtoff
    };
    let bias = -offset * 10_000_000;
    BIAS.store(bias as u64, Ordering::Relaxed);
    bias
}

/// ExSystemTimeToLocalTime.
unsafe extern "win64" fn ExSystemTimeToLocalTime(system: *const i64, local: *mut i64) {
    // SAFETY: the driver's variables (DDI).
    unsafe { local.write(system.read() - bias()) };
}

/// ExLocalTimeToSystemTime.
unsafe extern "win64" fn ExLocalTimeToSystemTime(local: *const i64, system: *mut i64) {
    // SAFETY: the driver's variables (DDI).
    unsafe { system.write(local.read() + bias()) };
}

exports! {
    KeQuerySystemTimePrecise, KeQuerySystemTime = KeQuerySystemTimePrecise, KeQueryTickCount, KeQueryTimeIncrement,
    KeQueryInterruptTime, KeQueryInterruptTimePrecise, KeQueryUnbiasedInterruptTime, KeQueryUnbiasedInterruptTimePrecise,
    KeQueryPerformanceCounter, KeStallExecutionProcessor, ExSystemTimeToLocalTime, ExLocalTimeToSystemTime,
}

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<KUSER_SHARED_DATA>() == 4096);
    assert!(offset_of!(KUSER_SHARED_DATA, SystemTime) == 0x14);
    assert!(offset_of!(KUSER_SHARED_DATA, NtSystemRoot) == 0x30);
    assert!(offset_of!(KUSER_SHARED_DATA, NtBuildNumber) == 608);
    assert!(offset_of!(KUSER_SHARED_DATA, NtMajorVersion) == 620);
    assert!(offset_of!(KUSER_SHARED_DATA, NumberOfPhysicalPages) == 744);
    assert!(offset_of!(KUSER_SHARED_DATA, QpcFrequency) == 768);
    assert!(offset_of!(KUSER_SHARED_DATA, TickCount) == 0x320);
    assert!(offset_of!(KUSER_SHARED_DATA, Cookie) == 816);
    assert!(offset_of!(KUSER_SHARED_DATA, ActiveProcessorCount) == 960);
};
