//! Small routines: random numbers, run-once, dates, statuses as Win32 codes, bitmaps, lists.
#![allow(unsafe_code)] // Reads and fills structures of the driver.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use wsk_abi::NtStatus;

use crate::ex::{park_until, unpark_all};
use crate::exports;

/// RtlRandomEx, RtlRandom: a number below 2^31, and the next seed.
unsafe extern "win64" fn RtlRandomEx(seed: *mut u32) -> u32 {
    static STATE: AtomicU64 = AtomicU64::new(0);
    let mut random = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    // SAFETY: the driver's variable (DDI).
    unsafe {
        random = random.wrapping_add((*seed).into());
        random = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        random = (random ^ (random >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        random ^= random >> 31;
        *seed = (random >> 32) as u32 & 0x7fff_ffff;
    }
    random as u32 & 0x7fff_ffff
}

/// RTL_RUN_ONCE: the context, with 1 running, 2 done in its low bits.
const RUNNING: usize = 1;
const DONE: usize = 2;
const FLAGS: usize = 3;

unsafe fn once<'a>(run_once: *mut usize) -> &'a AtomicUsize {
    // SAFETY: the driver's word; the reference does not outlive a call.
    unsafe { AtomicUsize::from_ptr(run_once) }
}

/// RtlRunOnceInitialize.
unsafe extern "win64" fn RtlRunOnceInitialize(run_once: *mut usize) {
    // SAFETY: the driver's word (DDI).
    unsafe { once(run_once) }.store(0, Ordering::SeqCst);
}

/// Takes the right to initialize, or waits until somebody has: true if the caller is to.
fn begin(word: &AtomicUsize, address: usize) -> bool {
    park_until(address, "RtlRunOnceExecuteOnce", || match word.load(Ordering::SeqCst) {
        value if value & FLAGS == DONE => Some(false),
        0 => word.compare_exchange(0, RUNNING, Ordering::SeqCst, Ordering::SeqCst).ok().map(|_| true),
        _ => None,
    })
}

type InitOnce = unsafe extern "win64" fn(*mut usize, *mut c_void, *mut *mut c_void) -> u32;

/// RtlRunOnceExecuteOnce.
pub(crate) unsafe extern "win64" fn RtlRunOnceExecuteOnce(
    run_once: *mut usize,
    function: Option<InitOnce>,
    parameter: *mut c_void,
    context: *mut *mut c_void,
) -> NtStatus {
    let Some(function) = function else { return NtStatus::INVALID_PARAMETER };
    // SAFETY: the driver's word, function and variable (DDI).
    unsafe {
        let word = once(run_once);
        if begin(word, run_once as usize) {
            let mut made = std::ptr::null_mut();
            let ok = function(run_once, parameter, &raw mut made) != 0;
            word.store(if ok { made as usize & !FLAGS | DONE } else { 0 }, Ordering::SeqCst);
            unpark_all(run_once as usize);
            if !ok {
                return NtStatus::UNSUCCESSFUL;
            }
        }
        if !context.is_null() {
            context.write((word.load(Ordering::SeqCst) & !FLAGS) as *mut c_void);
        }
    }
    NtStatus::SUCCESS
}

/// RtlRunOnceBeginInitialize: RTL_RUN_ONCE_CHECK_ONLY is 1.
unsafe extern "win64" fn RtlRunOnceBeginInitialize(
    run_once: *mut usize,
    flags: u32,
    context: *mut *mut c_void,
) -> NtStatus {
    // SAFETY: the driver's word and variable (DDI).
    unsafe {
        let word = once(run_once);
        if flags & 1 != 0 && word.load(Ordering::SeqCst) & FLAGS != DONE {
            return NtStatus::UNSUCCESSFUL;
        }
        if begin(word, run_once as usize) {
            return NtStatus::PENDING;
        }
        if !context.is_null() {
            context.write((word.load(Ordering::SeqCst) & !FLAGS) as *mut c_void);
        }
    }
    NtStatus::SUCCESS
}

/// RtlRunOnceComplete: RTL_RUN_ONCE_INIT_FAILED is 4.
unsafe extern "win64" fn RtlRunOnceComplete(run_once: *mut usize, flags: u32, context: *mut c_void) -> NtStatus {
    let new = if flags & 4 != 0 { 0 } else { context as usize & !FLAGS | DONE };
    // SAFETY: the driver's word (DDI).
    let ended = unsafe { once(run_once) }.compare_exchange(RUNNING, new, Ordering::SeqCst, Ordering::SeqCst);
    unpark_all(run_once as usize);
    if ended.is_ok() { NtStatus::SUCCESS } else { NtStatus::UNSUCCESSFUL }
}

/// DDI: TIME_FIELDS.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TIME_FIELDS {
    /// From 1601.
    pub Year: i16,
    /// 1 to 12.
    pub Month: i16,
    /// 1 to 31.
    pub Day: i16,
    /// 0 to 23.
    pub Hour: i16,
    /// 0 to 59.
    pub Minute: i16,
    /// 0 to 59.
    pub Second: i16,
    /// 0 to 999.
    pub Milliseconds: i16,
    /// 0, Sunday, to 6.
    pub Weekday: i16,
}

const DAY: i64 = 864_000_000_000;

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(month: i64, year: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1601 to the beginning of a year.
fn days_before(year: i64) -> i64 {
    let past = year - 1;
    past * 365 + past / 4 - past / 100 + past / 400 - (1600 * 365 + 400 - 16 + 4)
}

fn fields(time: i64) -> TIME_FIELDS {
    let (mut days, rest) = (time.div_euclid(DAY), time.rem_euclid(DAY) / 10_000);
    let weekday = (days + 1).rem_euclid(7);
    let mut year = 1601 + days / 366;
    while days_before(year + 1) <= days {
        year += 1;
    }
    days -= days_before(year);
    let mut month = 1;
    while days >= days_of(month, year) {
        days -= days_of(month, year);
        month += 1;
    }
    TIME_FIELDS {
        Year: year as i16,
        Month: month as i16,
        Day: days as i16 + 1,
        Hour: (rest / 3_600_000) as i16,
        Minute: (rest / 60_000 % 60) as i16,
        Second: (rest / 1000 % 60) as i16,
        Milliseconds: (rest % 1000) as i16,
        Weekday: weekday as i16,
    }
}

/// RtlTimeToTimeFields.
unsafe extern "win64" fn RtlTimeToTimeFields(time: *const i64, to: *mut TIME_FIELDS) {
    // SAFETY: the driver's variables (DDI).
    unsafe { to.write(fields(time.read())) };
}

/// RtlTimeFieldsToTime: FALSE for no date.
unsafe extern "win64" fn RtlTimeFieldsToTime(from: *const TIME_FIELDS, time: *mut i64) -> u8 {
    // SAFETY: the driver's variables (DDI).
    unsafe {
        let fields = from.read();
        let (year, month, day) = (i64::from(fields.Year), i64::from(fields.Month), i64::from(fields.Day));
        let clock = [(fields.Hour, 24), (fields.Minute, 60), (fields.Second, 60), (fields.Milliseconds, 1000)];
        if year < 1601
            || !(1..=12).contains(&month)
            || day < 1
            || day > days_of(month, year)
            || clock.iter().any(|&(value, limit)| !(0..limit).contains(&value))
        {
            return 0;
        }
        let days = days_before(year) + (1..month).map(|month| days_of(month, year)).sum::<i64>() + day - 1;
        let ms = clock.iter().fold(0, |ms, &(value, limit)| ms * i64::from(limit) + i64::from(value));
        time.write(days * DAY + ms * 10_000);
    }
    1
}

/// RtlNtStatusToDosError, for the statuses that drivers of the network report; ERROR_MR_MID_NOT_FOUND for others.
pub(crate) extern "win64" fn RtlNtStatusToDosError(status: NtStatus) -> u32 {
    match status {
        NtStatus::SUCCESS => 0,
        NtStatus::PENDING => 997,
        NtStatus::TIMEOUT => 258,
        NtStatus::BUFFER_OVERFLOW => 234,
        NtStatus::NO_MORE_FILES => 18,
        NtStatus::NO_MORE_ENTRIES => 259,
        NtStatus::UNSUCCESSFUL | NtStatus::IO_DEVICE_ERROR => 31,
        NtStatus::NOT_IMPLEMENTED | NtStatus::INVALID_DEVICE_REQUEST => 1,
        NtStatus::INFO_LENGTH_MISMATCH => 24,
        NtStatus::ACCESS_VIOLATION => 998,
        NtStatus::INVALID_HANDLE | NtStatus::OBJECT_TYPE_MISMATCH => 6,
        NtStatus::INVALID_PARAMETER => 87,
        NtStatus::NO_SUCH_DEVICE | NtStatus::NO_SUCH_FILE | NtStatus::OBJECT_NAME_NOT_FOUND => 2,
        NtStatus::END_OF_FILE => 38,
        NtStatus::NO_MEMORY => 8,
        NtStatus::ACCESS_DENIED => 5,
        NtStatus::BUFFER_TOO_SMALL => 122,
        NtStatus::OBJECT_NAME_INVALID => 123,
        NtStatus::OBJECT_NAME_COLLISION => 183,
        NtStatus::OBJECT_PATH_NOT_FOUND => 3,
        NtStatus::SHARING_VIOLATION => 32,
        NtStatus::INSUFFICIENT_RESOURCES => 1450,
        NtStatus::DEVICE_NOT_READY => 21,
        NtStatus::NOT_SUPPORTED => 50,
        NtStatus::IO_TIMEOUT => 121,
        NtStatus::CANCELLED | NtStatus::REQUEST_ABORTED => 995,
        NtStatus::DELETE_PENDING => 303,
        NtStatus::INVALID_DEVICE_STATE => 22,
        NtStatus::NOT_FOUND => 1168,
        NtStatus::CONNECTION_REFUSED => 1225,
        NtStatus::CONNECTION_RESET => 64,
        NtStatus::CONNECTION_ABORTED => 1236,
        NtStatus::CONNECTION_INVALID => 1229,
        NtStatus::CONNECTION_ACTIVE => 1230,
        NtStatus::CONNECTION_DISCONNECTED => 64,
        NtStatus::GRACEFUL_DISCONNECT => 1226,
        NtStatus::ADDRESS_ALREADY_EXISTS => 1227,
        NtStatus::ADDRESS_ALREADY_ASSOCIATED => 1227,
        NtStatus::ADDRESS_NOT_ASSOCIATED => 1228,
        NtStatus::NETWORK_UNREACHABLE => 1231,
        NtStatus::HOST_UNREACHABLE => 1232,
        NtStatus::PROTOCOL_UNREACHABLE => 1233,
        NtStatus::PORT_UNREACHABLE => 1234,
        NtStatus::INVALID_ADDRESS_COMPONENT | NtStatus::INVALID_ADDRESS => 1214,
        NtStatus::BAD_NETWORK_PATH => 53,
        NtStatus::DUPLICATE_NAME => 52,
        NtStatus::PRIVILEGE_NOT_HELD => 1314,
        // Statuses made of Win32 codes.
        NtStatus(status) if status >> 16 == 0xC007 => status & 0xffff,
        _ => 317,
    }
}

/// DDI: RTL_BITMAP.
#[repr(C)]
#[derive(Debug)]
pub struct RTL_BITMAP {
    /// Bits.
    pub SizeOfBitMap: u32,
    /// Words.
    pub Buffer: *mut u32,
}

/// RtlInitializeBitMap.
unsafe extern "win64" fn RtlInitializeBitMap(map: *mut RTL_BITMAP, buffer: *mut u32, bits: u32) {
    // SAFETY: the driver's memory (DDI).
    unsafe { map.write(RTL_BITMAP { SizeOfBitMap: bits, Buffer: buffer }) };
}

unsafe fn bit(map: *mut RTL_BITMAP, index: u32) -> bool {
    // SAFETY: the caller's map; the index lies in it.
    unsafe { *(*map).Buffer.add(index as usize / 32) >> (index % 32) & 1 != 0 }
}

unsafe fn change(map: *mut RTL_BITMAP, start: u32, count: u32, set: bool) {
    // SAFETY: the driver's map; the range is cut to it.
    unsafe {
        for index in start..start.saturating_add(count).min((*map).SizeOfBitMap) {
            let word = (*map).Buffer.add(index as usize / 32);
            *word = if set { *word | 1 << (index % 32) } else { *word & !(1 << (index % 32)) };
        }
    }
}

/// RtlSetBits.
unsafe extern "win64" fn RtlSetBits(map: *mut RTL_BITMAP, start: u32, count: u32) {
    // SAFETY: the driver's map (DDI).
    unsafe { change(map, start, count, true) };
}

/// RtlClearBits.
unsafe extern "win64" fn RtlClearBits(map: *mut RTL_BITMAP, start: u32, count: u32) {
    // SAFETY: the driver's map (DDI).
    unsafe { change(map, start, count, false) };
}

/// RtlSetBit.
unsafe extern "win64" fn RtlSetBit(map: *mut RTL_BITMAP, index: u32) {
    // SAFETY: the driver's map (DDI).
    unsafe { change(map, index, 1, true) };
}

/// RtlClearBit.
unsafe extern "win64" fn RtlClearBit(map: *mut RTL_BITMAP, index: u32) {
    // SAFETY: the driver's map (DDI).
    unsafe { change(map, index, 1, false) };
}

/// RtlSetAllBits.
unsafe extern "win64" fn RtlSetAllBits(map: *mut RTL_BITMAP) {
    // SAFETY: the driver's map (DDI).
    unsafe { change(map, 0, u32::MAX, true) };
}

/// RtlClearAllBits.
unsafe extern "win64" fn RtlClearAllBits(map: *mut RTL_BITMAP) {
    // SAFETY: the driver's map (DDI).
    unsafe { change(map, 0, u32::MAX, false) };
}

/// RtlTestBit, RtlCheckBit.
unsafe extern "win64" fn RtlTestBit(map: *mut RTL_BITMAP, index: u32) -> u8 {
    // SAFETY: the driver's map (DDI).
    u8::from(unsafe { bit(map, index) })
}

unsafe fn find(map: *mut RTL_BITMAP, count: u32, hint: u32, set: bool) -> u32 {
    // SAFETY: the driver's map.
    unsafe {
        let size = (*map).SizeOfBitMap;
        if count == 0 {
            return hint & !7;
        }
        let hint = if hint < size { hint } else { 0 };
        for (from, to) in [(hint, size), (0, hint.saturating_add(count - 1).min(size))] {
            let mut run = 0;
            for index in from..to {
                run = if bit(map, index) == set { run + 1 } else { 0 };
                if run == count {
                    return index + 1 - count;
                }
            }
        }
    }
    u32::MAX
}

/// RtlFindClearBits.
unsafe extern "win64" fn RtlFindClearBits(map: *mut RTL_BITMAP, count: u32, hint: u32) -> u32 {
    // SAFETY: the driver's map (DDI).
    unsafe { find(map, count, hint, false) }
}

/// RtlFindSetBits.
unsafe extern "win64" fn RtlFindSetBits(map: *mut RTL_BITMAP, count: u32, hint: u32) -> u32 {
    // SAFETY: the driver's map (DDI).
    unsafe { find(map, count, hint, true) }
}

/// RtlFindClearBitsAndSet.
unsafe extern "win64" fn RtlFindClearBitsAndSet(map: *mut RTL_BITMAP, count: u32, hint: u32) -> u32 {
    // SAFETY: the driver's map (DDI).
    unsafe {
        let found = find(map, count, hint, false);
        if found != u32::MAX {
            change(map, found, count, true);
        }
        found
    }
}

/// RtlNumberOfSetBits.
unsafe extern "win64" fn RtlNumberOfSetBits(map: *mut RTL_BITMAP) -> u32 {
    // SAFETY: the driver's map (DDI).
    unsafe { (0..(*map).SizeOfBitMap).filter(|&index| bit(map, index)).count() as u32 }
}

/// RtlNumberOfClearBits.
unsafe extern "win64" fn RtlNumberOfClearBits(map: *mut RTL_BITMAP) -> u32 {
    // SAFETY: the driver's map (DDI).
    unsafe { (*map).SizeOfBitMap - RtlNumberOfSetBits(map) }
}

/// RtlCaptureStackBackTrace: no frames; the loader, which can walk them, replaces it.
extern "win64" fn RtlCaptureStackBackTrace(_skip: u32, _count: u32, _frames: *mut *mut c_void, hash: *mut u32) -> u16 {
    if !hash.is_null() {
        // SAFETY: the driver's variable (DDI).
        unsafe { hash.write(0) };
    }
    0
}

exports! {
    RtlRandomEx, RtlRandom = RtlRandomEx, RtlRunOnceInitialize, RtlRunOnceExecuteOnce, RtlRunOnceBeginInitialize,
    RtlRunOnceComplete, RtlTimeToTimeFields, RtlTimeFieldsToTime, RtlNtStatusToDosError,
    RtlNtStatusToDosErrorNoTeb = RtlNtStatusToDosError, RtlInitializeBitMap, RtlSetBits, RtlClearBits, RtlSetBit, RtlClearBit,
    RtlSetAllBits, RtlClearAllBits, RtlTestBit, RtlFindClearBits, RtlFindSetBits, RtlFindClearBitsAndSet,
    RtlNumberOfSetBits, RtlNumberOfClearBits, RtlCaptureStackBackTrace,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_there_and_back() {
        let expected =
            TIME_FIELDS { Year: 2024, Month: 2, Day: 29, Hour: 13, Minute: 5, Second: 59, Milliseconds: 7, Weekday: 4 };
        let mut time = 0;
        // SAFETY: our variables.
        unsafe {
            assert_eq!(RtlTimeFieldsToTime(&raw const expected, &raw mut time), 1);
            assert_eq!(time, 116_444_736_000_000_000 + 1_709_211_959 * 10_000_000 + 70_000);
            assert_eq!(fields(time), expected);
            let no_date = TIME_FIELDS { Year: 2023, ..expected };
            assert_eq!(RtlTimeFieldsToTime(&raw const no_date, &raw mut time), 0);
        }
        assert_eq!(fields(0), TIME_FIELDS { Year: 1601, Month: 1, Day: 1, Weekday: 1, ..TIME_FIELDS::default() });
    }

    #[test]
    fn bits() {
        let mut words = [0u32; 3];
        let mut map = RTL_BITMAP { SizeOfBitMap: 0, Buffer: std::ptr::null_mut() };
        let map = &raw mut map;
        // SAFETY: the map lies over the words.
        unsafe {
            RtlInitializeBitMap(map, words.as_mut_ptr(), 70);
            RtlSetBits(map, 30, 5);
            assert_eq!((RtlNumberOfSetBits(map), RtlTestBit(map, 34), RtlTestBit(map, 35)), (5, 1, 0));
            assert_eq!(RtlFindClearBits(map, 31, 0), 35);
            assert_eq!(RtlFindClearBitsAndSet(map, 4, 29), 35);
            assert_eq!(RtlFindSetBits(map, 9, 0), 30);
            assert_eq!(RtlFindClearBits(map, 60, 0), u32::MAX);
            RtlClearAllBits(map);
            assert_eq!(RtlNumberOfClearBits(map), 70);
        }
    }
}
