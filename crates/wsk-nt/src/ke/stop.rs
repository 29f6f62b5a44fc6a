//! Stopping the system, and small services around it: KeBugCheckEx, bug check callbacks, vector state.
#![allow(unsafe_code)] // Fills structures of the driver.

use std::ffi::c_void;

use wsk_abi::NtStatus;

use crate::bug_check::bug_check;
use crate::exports;

/// KeBugCheck.
extern "win64" fn KeBugCheck(code: u32) -> ! {
    bug_check(code, [0; 4], "the driver stops the system")
}

/// KeBugCheckEx.
extern "win64" fn KeBugCheckEx(code: u32, a: u64, b: u64, c: u64, d: u64) -> ! {
    bug_check(code, [a, b, c, d], "the driver stops the system")
}

/// KeRegisterBugCheckCallback, KeRegisterBugCheckReasonCallback: noted by nobody, as there is no crash dump to add to.
extern "win64" fn KeRegisterBugCheckCallback() -> u8 {
    1
}

/// KeSaveExtendedProcessorState: threads of a process have their vector state to themselves.
extern "win64" fn KeSaveExtendedProcessorState(_mask: u64, _save: *mut c_void) -> NtStatus {
    NtStatus::SUCCESS
}

/// KeRestoreExtendedProcessorState.
extern "win64" fn KeRestoreExtendedProcessorState(_save: *mut c_void) {}

/// KeSaveFloatingPointState.
extern "win64" fn KeSaveFloatingPointState(_save: *mut c_void) -> NtStatus {
    NtStatus::SUCCESS
}

/// What the processor's XCR0 allows: x87, SSE, and AVX, AVX-512 if the processor has them and they are enabled.
fn extended_features() -> u64 {
    let mut features = 3;
    if std::arch::is_x86_feature_detected!("avx") {
        features |= 4;
    }
    if std::arch::is_x86_feature_detected!("avx512f") {
        features |= 0xe0;
    }
    features
}

/// RtlGetEnabledExtendedFeatures.
extern "win64" fn RtlGetEnabledExtendedFeatures(mask: u64) -> u64 {
    extended_features() & mask
}

/// KeExpandKernelStackAndCallout, KeExpandKernelStackAndCalloutEx: stacks are large enough as they are.
unsafe extern "win64" fn KeExpandKernelStackAndCalloutEx(
    callout: Option<unsafe extern "win64" fn(*mut c_void)>,
    parameter: *mut c_void,
    _size: usize,
) -> NtStatus {
    match callout {
        Some(callout) => {
            // SAFETY: the driver's function (DDI).
            unsafe { callout(parameter) };
            NtStatus::SUCCESS
        }
        None => NtStatus::INVALID_PARAMETER,
    }
}

/// KeFlushWriteBuffer, KeInvalidateAllCaches, KeMemoryBarrier as a function.
extern "win64" fn KeFlushWriteBuffer() {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

/// __chkstk: stacks are mapped in full, so there is nothing to probe.
#[unsafe(naked)]
extern "win64" fn __chkstk() {
    std::arch::naked_asm!("ret")
}

/// KdDebuggerEnabled, KdDebuggerNotPresent; InitSafeBootMode: variables.
static KdDebuggerEnabled: u8 = 0;
/// KdDebuggerNotPresent.
static KdDebuggerNotPresent: u8 = 1;
/// InitSafeBootMode.
static InitSafeBootMode: u32 = 0;
/// NtBuildNumber: with the bit of a free build.
static NtBuildNumber: u32 = crate::rtl::version::BUILD | 0xF000_0000;

/// KdRefreshDebuggerNotPresent.
extern "win64" fn KdRefreshDebuggerNotPresent() -> u8 {
    1
}

exports! {
    data KdDebuggerEnabled, data KdDebuggerNotPresent, data InitSafeBootMode, data NtBuildNumber, KeBugCheck, KeBugCheckEx,
    KeRegisterBugCheckCallback, KeDeregisterBugCheckCallback = KeRegisterBugCheckCallback,
    KeRegisterBugCheckReasonCallback = KeRegisterBugCheckCallback,
    KeDeregisterBugCheckReasonCallback = KeRegisterBugCheckCallback, KeSaveExtendedProcessorState,
    KeRestoreExtendedProcessorState, KeSaveFloatingPointState, KeRestoreFloatingPointState = KeSaveFloatingPointState,
    RtlGetEnabledExtendedFeatures, KeExpandKernelStackAndCalloutEx,
    KeExpandKernelStackAndCallout = KeExpandKernelStackAndCalloutEx, KeFlushWriteBuffer, __chkstk,
    KdRefreshDebuggerNotPresent,
}
