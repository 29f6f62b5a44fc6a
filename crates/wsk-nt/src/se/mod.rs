//! Se: security, as far as drivers of the network ask: everybody here is the system, which may do everything.
#![allow(unsafe_code)] // Fills structures of the driver.

use std::ffi::c_void;

use wsk_abi::NtStatus;

use crate::ex::pool;
use crate::exports;
use crate::ob::{self, ObjectType, TypeVariable};

/// DDI: SECURITY_SUBJECT_CONTEXT.
#[repr(C)]
#[derive(Debug)]
pub struct SECURITY_SUBJECT_CONTEXT {
    /// Impersonated; none.
    pub ClientToken: *mut c_void,
    /// Of it.
    pub ImpersonationLevel: i32,
    /// The process's.
    pub PrimaryToken: *mut c_void,
    /// Unused.
    pub ProcessAuditId: *mut c_void,
}

/// DDI: GENERIC_MAPPING.
#[repr(C)]
#[derive(Debug)]
pub struct GENERIC_MAPPING {
    /// Of GENERIC_READ.
    pub GenericRead: u32,
    /// Of GENERIC_WRITE.
    pub GenericWrite: u32,
    /// Of GENERIC_EXECUTE.
    pub GenericExecute: u32,
    /// Of GENERIC_ALL.
    pub GenericAll: u32,
}

/// DDI: SECURITY_DESCRIPTOR.
#[repr(C)]
#[derive(Debug)]
pub struct SECURITY_DESCRIPTOR {
    /// 1.
    pub Revision: u8,
    /// Zero.
    pub Sbz1: u8,
    /// SE_...
    pub Control: u16,
    /// SID.
    pub Owner: *mut c_void,
    /// SID.
    pub Group: *mut c_void,
    /// Audit.
    pub Sacl: *mut c_void,
    /// Access.
    pub Dacl: *mut c_void,
}

static TOKEN: ObjectType = ObjectType::plain("Token");
/// SeTokenObjectType.
static SeTokenObjectType: TypeVariable = TypeVariable::new(&TOKEN);

fn system_token() -> *mut c_void {
    static TOKEN_OBJECT: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *TOKEN_OBJECT.get_or_init(|| ob::create(&TOKEN, 64) as usize) as *mut c_void
}

/// SeCaptureSubjectContext.
unsafe extern "win64" fn SeCaptureSubjectContext(context: *mut SECURITY_SUBJECT_CONTEXT) {
    let null = std::ptr::null_mut();
    // SAFETY: the driver's structure (DDI).
    unsafe {
        context.write(SECURITY_SUBJECT_CONTEXT {
            ClientToken: null,
            ImpersonationLevel: 0,
            PrimaryToken: system_token(),
            ProcessAuditId: null,
        });
    }
}

/// SeReleaseSubjectContext, SeLockSubjectContext, SeUnlockSubjectContext: the token stays.
extern "win64" fn SeReleaseSubjectContext(_context: *mut SECURITY_SUBJECT_CONTEXT) {}

const MAXIMUM_ALLOWED: u32 = 0x0200_0000;

/// SeAccessCheck: the system gets what it asks for, generic rights mapped.
#[allow(clippy::too_many_arguments)] // The DDI's.
unsafe extern "win64" fn SeAccessCheck(
    _descriptor: *const c_void,
    _context: *const SECURITY_SUBJECT_CONTEXT,
    _locked: u8,
    desired: u32,
    previous: u32,
    _privileges: *mut *mut c_void,
    mapping: *const GENERIC_MAPPING,
    _mode: i8,
    granted: *mut u32,
    status: *mut NtStatus,
) -> u8 {
    // SAFETY: the driver's mapping and variables (DDI).
    unsafe {
        let mapped = map(desired, mapping);
        granted.write(previous | if desired & MAXIMUM_ALLOWED != 0 { (*mapping).GenericAll } else { mapped });
        status.write(NtStatus::SUCCESS);
    }
    1
}

unsafe fn map(access: u32, mapping: *const GENERIC_MAPPING) -> u32 {
    // SAFETY: the driver's mapping.
    let mapping = unsafe { &*mapping };
    let generic = [
        (0x8000_0000, mapping.GenericRead),
        (0x4000_0000, mapping.GenericWrite),
        (0x2000_0000, mapping.GenericExecute),
        (0x1000_0000, mapping.GenericAll),
    ];
    let rights = generic.iter().filter(|(bit, _)| access & bit != 0).fold(0, |all, (_, rights)| all | rights);
    (access & 0x0dff_ffff) | rights
}

/// RtlMapGenericMask.
unsafe extern "win64" fn RtlMapGenericMask(access: *mut u32, mapping: *const GENERIC_MAPPING) {
    // SAFETY: the driver's variable and mapping (DDI).
    unsafe { *access = map(*access, mapping) };
}

/// IoGetFileObjectGenericMapping.
extern "win64" fn IoGetFileObjectGenericMapping() -> *const GENERIC_MAPPING {
    static FILE: GENERIC_MAPPING = GENERIC_MAPPING {
        GenericRead: 0x12_0089,
        GenericWrite: 0x12_0116,
        GenericExecute: 0x12_00a0,
        GenericAll: 0x1f_01ff,
    };
    &raw const FILE
}

/// SeSinglePrivilegeCheck: the system has every privilege.
extern "win64" fn SeSinglePrivilegeCheck(_luid: i64, _mode: i8) -> u8 {
    1
}

/// SeTokenIsAdmin.
extern "win64" fn SeTokenIsAdmin(_token: *mut c_void) -> u8 {
    1
}

/// PsReferencePrimaryToken.
extern "win64" fn PsReferencePrimaryToken(_process: *mut c_void) -> *mut c_void {
    // SAFETY: the token lives for ever.
    unsafe { ob::reference(system_token().cast()) };
    system_token()
}

/// PsDereferencePrimaryToken.
unsafe extern "win64" fn PsDereferencePrimaryToken(token: *mut u8) {
    // SAFETY: the driver's reference.
    unsafe { ob::dereference(token) };
}

/// RtlCreateSecurityDescriptor.
unsafe extern "win64" fn RtlCreateSecurityDescriptor(descriptor: *mut SECURITY_DESCRIPTOR, revision: u32) -> NtStatus {
    if revision != 1 {
        return NtStatus(0xC000_0058);
    }
    // SAFETY: the driver's structure (DDI).
    unsafe {
        std::ptr::write_bytes(descriptor, 0, 1);
        (*descriptor).Revision = 1;
    }
    NtStatus::SUCCESS
}

/// RtlSetDaclSecurityDescriptor.
unsafe extern "win64" fn RtlSetDaclSecurityDescriptor(
    descriptor: *mut SECURITY_DESCRIPTOR,
    present: u8,
    dacl: *mut c_void,
    defaulted: u8,
) -> NtStatus {
    const PRESENT: u16 = 4;
    const DEFAULTED: u16 = 8;
    // SAFETY: the driver's structure (DDI).
    unsafe {
        (*descriptor).Control &= !(PRESENT | DEFAULTED);
        (*descriptor).Dacl = std::ptr::null_mut();
        if present != 0 {
            (*descriptor).Control |= PRESENT | if defaulted != 0 { DEFAULTED } else { 0 };
            (*descriptor).Dacl = dacl;
        }
    }
    NtStatus::SUCCESS
}

/// RtlValidSecurityDescriptor: as far as its header goes.
unsafe extern "win64" fn RtlValidSecurityDescriptor(descriptor: *const SECURITY_DESCRIPTOR) -> u8 {
    // SAFETY: NULL or the driver's structure.
    u8::from(unsafe { descriptor.as_ref() }.is_some_and(|descriptor| descriptor.Revision == 1))
}

/// RtlLengthSecurityDescriptor, of an absolute descriptor's header or a self-relative one's parts.
unsafe extern "win64" fn RtlLengthSecurityDescriptor(descriptor: *const SECURITY_DESCRIPTOR) -> u32 {
    const SELF_RELATIVE: u16 = 0x8000;
    // SAFETY: the driver's structure (DDI); in the self-relative form four offsets follow the control word.
    unsafe {
        let base = descriptor.cast::<u8>();
        let is_relative = (*descriptor).Control & SELF_RELATIVE != 0;
        let part = |index: usize| -> *const u8 {
            if is_relative {
                let offset = base.add(4 + index * 4).cast::<u32>().read_unaligned() as usize;
                if offset == 0 { std::ptr::null() } else { base.add(offset) }
            } else {
                base.add(8 + index * 8).cast::<*const u8>().read_unaligned()
            }
        };
        let mut length = if is_relative { 20 } else { 40 };
        for index in 0..2 {
            let sid = part(index);
            if !sid.is_null() {
                length += (8 + 4 * u32::from(*sid.add(1))).next_multiple_of(4);
            }
        }
        for index in 2..4 {
            let acl = part(index);
            if !acl.is_null() {
                length += u32::from(acl.add(2).cast::<u16>().read_unaligned()).next_multiple_of(4);
            }
        }
        length
    }
}

/// RtlLengthSid.
unsafe extern "win64" fn RtlLengthSid(sid: *const u8) -> u32 {
    // SAFETY: the driver's SID: its second byte counts the parts.
    unsafe { 8 + 4 * u32::from(*sid.add(1)) }
}

/// RtlCopySid.
unsafe extern "win64" fn RtlCopySid(length: u32, to: *mut u8, sid: *const u8) -> NtStatus {
    // SAFETY: the driver's SID and buffer.
    unsafe {
        let needed = RtlLengthSid(sid);
        if length < needed {
            return NtStatus::BUFFER_TOO_SMALL;
        }
        std::ptr::copy_nonoverlapping(sid, to, needed as usize);
    }
    NtStatus::SUCCESS
}

/// RtlEqualSid.
unsafe extern "win64" fn RtlEqualSid(a: *const u8, b: *const u8) -> u8 {
    // SAFETY: the driver's SIDs.
    unsafe {
        let length = RtlLengthSid(a);
        u8::from(length == RtlLengthSid(b) && crate::rtl::memory::memcmp(a.cast(), b.cast(), length as usize) == 0)
    }
}

/// ObGetObjectSecurity: no object has a descriptor.
unsafe extern "win64" fn ObGetObjectSecurity(
    _object: *mut u8,
    descriptor: *mut *mut c_void,
    allocated: *mut u8,
) -> NtStatus {
    // SAFETY: the driver's variables.
    unsafe {
        descriptor.write(std::ptr::null_mut());
        allocated.write(0);
    }
    NtStatus::SUCCESS
}

/// ObReleaseObjectSecurity.
unsafe extern "win64" fn ObReleaseObjectSecurity(descriptor: *mut c_void, allocated: u8) {
    if allocated != 0 && !descriptor.is_null() {
        // SAFETY: allocated by us.
        unsafe { pool::ExFreePool(descriptor) };
    }
}

exports! {
    data SeTokenObjectType, SeCaptureSubjectContext, SeReleaseSubjectContext, SeLockSubjectContext = SeReleaseSubjectContext,
    SeUnlockSubjectContext = SeReleaseSubjectContext, SeAccessCheck, RtlMapGenericMask, IoGetFileObjectGenericMapping,
    SeSinglePrivilegeCheck, SeTokenIsAdmin, PsReferencePrimaryToken, PsDereferencePrimaryToken,
    RtlCreateSecurityDescriptor, RtlSetDaclSecurityDescriptor, RtlValidSecurityDescriptor, RtlLengthSecurityDescriptor,
    RtlLengthSid, RtlCopySid, RtlEqualSid, ObGetObjectSecurity, ObReleaseObjectSecurity,
}
