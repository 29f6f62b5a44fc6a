//! The Network Module Registrar's structures (netioddk.h, netiodef.h, guiddef.h) and the module and NPI ids of WSK
//! (F-30 to F-37).
#![allow(non_snake_case, non_camel_case_types, non_upper_case_globals)] // C names verbatim.

use core::ffi::c_void;
use core::fmt;

use crate::NtStatus;
use crate::io::{HANDLE, LUID};

/// A GUID in its in-memory form: the first three parts are little-endian integers.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct GUID {
    /// First part of the textual form.
    pub Data1: u32,
    /// Second part.
    pub Data2: u16,
    /// Third part.
    pub Data3: u16,
    /// Fourth and fifth part, byte by byte.
    pub Data4: [u8; 8],
}

assert_layout!(GUID, size 16, align 4, Data1 @ 0, Data2 @ 4, Data3 @ 6, Data4 @ 8);

impl GUID {
    /// The GUID whose textual form, without dashes, is `value` in hexadecimal.
    pub const fn from_u128(value: u128) -> GUID {
        GUID {
            Data1: (value >> 96) as u32,
            Data2: (value >> 80) as u16,
            Data3: (value >> 64) as u16,
            Data4: (value as u64).to_be_bytes(),
        }
    }
}

/// Prints the registry form, `{XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}`.
impl fmt::Display for GUID {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, node @ ..] = self.Data4;
        write!(f, "{{{:08X}-{:04X}-{:04X}-{a:02X}{b:02X}-", self.Data1, self.Data2, self.Data3)?;
        node.iter().try_for_each(|byte| write!(f, "{byte:02X}"))?;
        f.write_str("}")
    }
}

impl fmt::Debug for GUID {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Identifies a network programming interface. Passed by address; compare the value.
pub type NPIID = GUID;

/// A module's end of a binding: a handle and the dispatch table it goes with.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NPI {
    /// First argument of the table's functions.
    pub Handle: HANDLE,
    /// The table.
    pub Dispatch: *const c_void,
}

assert_layout!(NPI, size 16, align 8, Handle @ 0, Dispatch @ 8);

open_enum! {
    /// Which member of [`NPI_MODULEID`]'s union is meant (DDI: NPI_MODULEID).
    NPI_MODULEID_TYPE {
        /// A GUID.
        GUID = MIT_GUID = 1,
        /// The LUID of an interface.
        IF_LUID = MIT_IF_LUID = 2,
    }
}

/// `NPI_MODULEID_TYPE::GUID`.
pub const MIT_GUID: NPI_MODULEID_TYPE = NPI_MODULEID_TYPE::GUID;
/// `NPI_MODULEID_TYPE::IF_LUID`.
pub const MIT_IF_LUID: NPI_MODULEID_TYPE = NPI_MODULEID_TYPE::IF_LUID;

/// The unnamed union of [`NPI_MODULEID`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union NPI_MODULEID_0 {
    /// With `MIT_GUID`.
    pub Guid: GUID,
    /// With `MIT_IF_LUID`.
    pub IfLuid: LUID,
}

/// Identifies a network module (DDI: NPI_MODULEID).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NPI_MODULEID {
    /// Size of this structure in bytes.
    pub Length: u16,
    /// Which member of the union is valid.
    pub Type: NPI_MODULEID_TYPE,
    /// The unnamed union.
    pub Anonymous: NPI_MODULEID_0,
}

assert_layout!(NPI_MODULEID, size 24, align 4, Length @ 0, Type @ 4, Anonymous.Guid @ 8,
    Anonymous.IfLuid @ 8);

impl NPI_MODULEID {
    /// The id of a module known by GUID.
    pub const fn from_guid(guid: GUID) -> NPI_MODULEID {
        NPI_MODULEID {
            Length: size_of::<NPI_MODULEID>() as u16,
            Type: MIT_GUID,
            Anonymous: NPI_MODULEID_0 { Guid: guid },
        }
    }
}

/// One registration of a module with an NPI (DDI: NPI_REGISTRATION_INSTANCE).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NPI_REGISTRATION_INSTANCE {
    /// 0.
    pub Version: u16,
    /// Size of this structure in bytes.
    pub Size: u16,
    /// The NPI.
    pub NpiId: *const NPIID,
    /// The registering module.
    pub ModuleId: *const NPI_MODULEID,
    /// 0 unless the module registers more than once.
    pub Number: u32,
    /// What the NPI defines; [`WSK_PROVIDER_CHARACTERISTICS`](crate::wsk::WSK_PROVIDER_CHARACTERISTICS) of the WSK provider.
    pub NpiSpecificCharacteristics: *const c_void,
}

assert_layout!(NPI_REGISTRATION_INSTANCE, size 40, align 8, Version @ 0, Size @ 2, NpiId @ 8,
    ModuleId @ 16, Number @ 24, NpiSpecificCharacteristics @ 32);

/// `ClientAttachProvider(NmrBindingHandle, ClientContext, ProviderRegistrationInstance)` (F-32, F-33).
pub type PNPI_CLIENT_ATTACH_PROVIDER_FN = Option<
    unsafe extern "win64" fn(
        NmrBindingHandle: HANDLE,
        ClientContext: *mut c_void,
        ProviderRegistrationInstance: *const NPI_REGISTRATION_INSTANCE,
    ) -> NtStatus,
>;
/// `ClientDetachProvider(ClientBindingContext)` (F-36).
pub type PNPI_CLIENT_DETACH_PROVIDER_FN =
    Option<unsafe extern "win64" fn(ClientBindingContext: *mut c_void) -> NtStatus>;
/// `ClientCleanupBindingContext(ClientBindingContext)` (F-37).
pub type PNPI_CLIENT_CLEANUP_BINDING_CONTEXT_FN = Option<unsafe extern "win64" fn(ClientBindingContext: *mut c_void)>;
/// `ProviderAttachClient(...)` (DDI: NPI_PROVIDER_ATTACH_CLIENT_FN).
pub type PNPI_PROVIDER_ATTACH_CLIENT_FN = Option<
    unsafe extern "win64" fn(
        NmrBindingHandle: HANDLE,
        ProviderContext: *mut c_void,
        ClientRegistrationInstance: *const NPI_REGISTRATION_INSTANCE,
        ClientBindingContext: *mut c_void,
        ClientDispatch: *const c_void,
        ProviderBindingContext: *mut *mut c_void,
        ProviderDispatch: *mut *const c_void,
    ) -> NtStatus,
>;
/// `ProviderDetachClient(ProviderBindingContext)` (DDI: NPI_PROVIDER_DETACH_CLIENT_FN).
pub type PNPI_PROVIDER_DETACH_CLIENT_FN =
    Option<unsafe extern "win64" fn(ProviderBindingContext: *mut c_void) -> NtStatus>;
/// `ProviderCleanupBindingContext(ProviderBindingContext)` (DDI: NPI_PROVIDER_CLEANUP_BINDING_CONTEXT_FN).
pub type PNPI_PROVIDER_CLEANUP_BINDING_CONTEXT_FN =
    Option<unsafe extern "win64" fn(ProviderBindingContext: *mut c_void)>;

/// A client module's registration (DDI: NPI_CLIENT_CHARACTERISTICS; F-30).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NPI_CLIENT_CHARACTERISTICS {
    /// 0.
    pub Version: u16,
    /// Size of this structure in bytes.
    pub Length: u16,
    /// Called when a provider of the NPI is there.
    pub ClientAttachProvider: PNPI_CLIENT_ATTACH_PROVIDER_FN,
    /// Called once per binding to end it.
    pub ClientDetachProvider: PNPI_CLIENT_DETACH_PROVIDER_FN,
    /// Called after both sides detached; optional.
    pub ClientCleanupBindingContext: PNPI_CLIENT_CLEANUP_BINDING_CONTEXT_FN,
    /// The registration itself.
    pub ClientRegistrationInstance: NPI_REGISTRATION_INSTANCE,
}

assert_layout!(NPI_CLIENT_CHARACTERISTICS, size 72, align 8, Version @ 0, Length @ 2,
    ClientAttachProvider @ 8, ClientDetachProvider @ 16, ClientCleanupBindingContext @ 24,
    ClientRegistrationInstance @ 32);

/// A provider module's registration (DDI: NPI_PROVIDER_CHARACTERISTICS).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NPI_PROVIDER_CHARACTERISTICS {
    /// 0.
    pub Version: u16,
    /// Size of this structure in bytes.
    pub Length: u16,
    /// Called when a client attaches.
    pub ProviderAttachClient: PNPI_PROVIDER_ATTACH_CLIENT_FN,
    /// Called once per binding to end it.
    pub ProviderDetachClient: PNPI_PROVIDER_DETACH_CLIENT_FN,
    /// Called after both sides detached; optional.
    pub ProviderCleanupBindingContext: PNPI_PROVIDER_CLEANUP_BINDING_CONTEXT_FN,
    /// The registration itself.
    pub ProviderRegistrationInstance: NPI_REGISTRATION_INSTANCE,
}

assert_layout!(NPI_PROVIDER_CHARACTERISTICS, size 72, align 8, Version @ 0, Length @ 2,
    ProviderAttachClient @ 8, ProviderDetachClient @ 16, ProviderCleanupBindingContext @ 24,
    ProviderRegistrationInstance @ 32);

/// The WSK NPI (F-30).
pub const NPI_WSK_INTERFACE_ID: NPIID = GUID::from_u128(0x2227E803_8D8B_11D4_ABAD_009027719E09);
/// The transport layer NPI.
pub const NPI_TRANSPORT_LAYER_ID: NPIID = GUID::from_u128(0x2227E804_8D8B_11D4_ABAD_009027719E09);
/// Module id of IPv4.
pub const NPI_MS_IPV4_MODULEID: NPI_MODULEID =
    NPI_MODULEID::from_guid(GUID::from_u128(0xEB004A00_9B1A_11D4_9123_0050047759BC));
/// Module id of IPv6.
pub const NPI_MS_IPV6_MODULEID: NPI_MODULEID =
    NPI_MODULEID::from_guid(GUID::from_u128(0xEB004A01_9B1A_11D4_9123_0050047759BC));
/// Module id of UDP.
pub const NPI_MS_UDP_MODULEID: NPI_MODULEID =
    NPI_MODULEID::from_guid(GUID::from_u128(0xEB004A02_9B1A_11D4_9123_0050047759BC));
/// Module id of TCP.
pub const NPI_MS_TCP_MODULEID: NPI_MODULEID =
    NPI_MODULEID::from_guid(GUID::from_u128(0xEB004A03_9B1A_11D4_9123_0050047759BC));
/// Module id of raw sockets.
pub const NPI_MS_RAW_MODULEID: NPI_MODULEID =
    NPI_MODULEID::from_guid(GUID::from_u128(0xEB004A07_9B1A_11D4_9123_0050047759BC));
/// Module id of NDIS.
pub const NPI_MS_NDIS_MODULEID: NPI_MODULEID =
    NPI_MODULEID::from_guid(GUID::from_u128(0xEB004A11_9B1A_11D4_9123_0050047759BC));
/// Module id of a packet monitor client.
pub const NPI_PKTMON_CLNT_DRV_MODULEID: NPI_MODULEID =
    NPI_MODULEID::from_guid(GUID::from_u128(0xEB004AEA_9B1A_11D4_9123_0050047759BC));
