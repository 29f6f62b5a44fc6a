//! The version that drivers are told: Windows 10, build 19045.
#![allow(unsafe_code)] // Fills structures of the driver.

use wsk_abi::NtStatus;

use crate::exports;

/// The build number.
pub const BUILD: u32 = 19045;

/// RTL_OSVERSIONINFOW, and RTL_OSVERSIONINFOEXW with its last members.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RTL_OSVERSIONINFOEXW {
    /// 276, or 284 of the longer form.
    pub dwOSVersionInfoSize: u32,
    /// 10.
    pub dwMajorVersion: u32,
    /// 0.
    pub dwMinorVersion: u32,
    /// [`BUILD`].
    pub dwBuildNumber: u32,
    /// 2.
    pub dwPlatformId: u32,
    /// Empty.
    pub szCSDVersion: [u16; 128],
    /// 0.
    pub wServicePackMajor: u16,
    /// 0.
    pub wServicePackMinor: u16,
    /// VER_SUITE_SINGLEUSERTS.
    pub wSuiteMask: u16,
    /// VER_NT_WORKSTATION.
    pub wProductType: u8,
    /// 0.
    pub wReserved: u8,
}

/// RtlGetVersion.
pub(crate) unsafe extern "win64" fn RtlGetVersion(version: *mut RTL_OSVERSIONINFOEXW) -> NtStatus {
    // SAFETY: the driver's structure of the size it names (DDI).
    unsafe {
        (*version).dwMajorVersion = 10;
        (*version).dwMinorVersion = 0;
        (*version).dwBuildNumber = BUILD;
        (*version).dwPlatformId = 2;
        (*version).szCSDVersion = [0; 128];
        if (*version).dwOSVersionInfoSize as usize >= size_of::<RTL_OSVERSIONINFOEXW>() {
            (*version).wServicePackMajor = 0;
            (*version).wServicePackMinor = 0;
            (*version).wSuiteMask = 0x100;
            (*version).wProductType = 1;
            (*version).wReserved = 0;
        }
    }
    NtStatus::SUCCESS
}

/// PsGetVersion.
unsafe extern "win64" fn PsGetVersion(
    major: *mut u32,
    minor: *mut u32,
    build: *mut u32,
    text: *mut wsk_abi::io::UNICODE_STRING,
) -> u8 {
    // SAFETY: NULL or the driver's variables (DDI).
    unsafe {
        for (to, value) in [(major, 10), (minor, 0), (build, BUILD)] {
            if !to.is_null() {
                to.write(value);
            }
        }
        if !text.is_null() {
            (*text).Length = 0;
        }
    }
    0
}

/// RtlVerifyVersionInfo: the conditions are those of VerSetConditionMask, three bits per member.
unsafe extern "win64" fn RtlVerifyVersionInfo(
    wanted: *const RTL_OSVERSIONINFOEXW,
    types: u32,
    conditions: u64,
) -> NtStatus {
    // SAFETY: the driver's structure.
    let wanted = unsafe { &*wanted };
    let condition = |bit: u32| (conditions >> (bit * 3)) & 7;
    let holds = |condition: u64, ours: u32, theirs: u32| match condition {
        1 => ours == theirs,
        2 => ours > theirs,
        3 => ours >= theirs,
        4 => ours < theirs,
        5 => ours <= theirs,
        _ => false,
    };
    // Minor 1, major 2, build 4, platform 8; the version is compared as a whole.
    let ok = if types & 3 == 3 {
        holds(condition(1), 10 << 16, (wanted.dwMajorVersion << 16) + wanted.dwMinorVersion)
    } else {
        (types & 1 == 0 || holds(condition(0), 0, wanted.dwMinorVersion))
            && (types & 2 == 0 || holds(condition(1), 10, wanted.dwMajorVersion))
    };
    let ok = ok
        && (types & 4 == 0 || holds(condition(2), BUILD, wanted.dwBuildNumber))
        && (types & 8 == 0 || holds(condition(3), 2, wanted.dwPlatformId))
        && (types & 0x80 == 0 || holds(condition(7), 1, wanted.wProductType.into()));
    if ok { NtStatus::SUCCESS } else { NtStatus(0xC000_0059) }
}

/// VerSetConditionMask.
extern "win64" fn VerSetConditionMask(mask: u64, types: u32, condition: u8) -> u64 {
    (0..8).filter(|bit| types & (1 << bit) != 0).fold(mask, |mask, bit| mask | (u64::from(condition & 7) << (bit * 3)))
}

/// RtlIsNtDdiVersionAvailable.
extern "win64" fn RtlIsNtDdiVersionAvailable(version: u32) -> u8 {
    u8::from(version <= 0x0A00_000C)
}

exports! { RtlGetVersion, PsGetVersion, RtlVerifyVersionInfo, VerSetConditionMask, RtlIsNtDdiVersionAvailable }
