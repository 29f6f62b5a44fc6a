//! The members of `IO_STACK_LOCATION::Parameters`, one structure per major or minor function. The gaps are those that
//! POINTER_ALIGNMENT makes on x86-64.
#![allow(missing_docs)] // The members are those of the DDI page IO_STACK_LOCATION; each structure names its function.

use core::ffi::c_void;

use crate::io::{BOOLEAN, HANDLE, LARGE_INTEGER, PDEVICE_OBJECT, PFILE_OBJECT, UNICODE_STRING};
use crate::nmr::GUID;

/// IRP_MJ_CREATE.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Create {
    pub SecurityContext: *mut c_void,
    pub Options: u32,
    _pad0: u32,
    pub FileAttributes: u16,
    pub ShareAccess: u16,
    _pad1: u32,
    pub EaLength: u32,
}

assert_layout!(Create, size 32, align 8, SecurityContext @ 0, Options @ 8, FileAttributes @ 16,
    ShareAccess @ 18, EaLength @ 24);

/// IRP_MJ_CREATE_NAMED_PIPE.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CreatePipe {
    pub SecurityContext: *mut c_void,
    pub Options: u32,
    _pad0: u32,
    pub Reserved: u16,
    pub ShareAccess: u16,
    pub Parameters: *mut c_void,
}

assert_layout!(CreatePipe, size 32, align 8, SecurityContext @ 0, Options @ 8, Reserved @ 16,
    ShareAccess @ 18, Parameters @ 24);

/// IRP_MJ_CREATE_MAILSLOT.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CreateMailslot {
    pub SecurityContext: *mut c_void,
    pub Options: u32,
    _pad0: u32,
    pub Reserved: u16,
    pub ShareAccess: u16,
    pub Parameters: *mut c_void,
}

assert_layout!(CreateMailslot, size 32, align 8, SecurityContext @ 0, Options @ 8, Reserved @ 16,
    ShareAccess @ 18, Parameters @ 24);

/// IRP_MJ_READ.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Read {
    pub Length: u32,
    _pad0: u32,
    pub Key: u32,
    pub Flags: u32,
    pub ByteOffset: LARGE_INTEGER,
}

assert_layout!(Read, size 24, align 8, Length @ 0, Key @ 8, Flags @ 12, ByteOffset @ 16);

/// IRP_MJ_WRITE.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Write {
    pub Length: u32,
    _pad0: u32,
    pub Key: u32,
    pub Flags: u32,
    pub ByteOffset: LARGE_INTEGER,
}

assert_layout!(Write, size 24, align 8, Length @ 0, Key @ 8, Flags @ 12, ByteOffset @ 16);

/// IRP_MN_QUERY_DIRECTORY.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryDirectory {
    pub Length: u32,
    pub FileName: *mut UNICODE_STRING,
    pub FileInformationClass: i32,
    _pad0: u32,
    pub FileIndex: u32,
}

assert_layout!(QueryDirectory, size 32, align 8, Length @ 0, FileName @ 8, FileInformationClass @
    16, FileIndex @ 24);

/// IRP_MN_NOTIFY_CHANGE_DIRECTORY.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct NotifyDirectory {
    pub Length: u32,
    _pad0: u32,
    pub CompletionFilter: u32,
}

assert_layout!(NotifyDirectory, size 16, align 8, Length @ 0, CompletionFilter @ 8);

/// IRP_MN_NOTIFY_CHANGE_DIRECTORY_EX.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct NotifyDirectoryEx {
    pub Length: u32,
    _pad0: u32,
    pub CompletionFilter: u32,
    _pad1: u32,
    pub DirectoryNotifyInformationClass: i32,
}

assert_layout!(NotifyDirectoryEx, size 24, align 8, Length @ 0, CompletionFilter @ 8,
    DirectoryNotifyInformationClass @ 16);

/// IRP_MJ_QUERY_INFORMATION.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryFile {
    pub Length: u32,
    _pad0: u32,
    pub FileInformationClass: i32,
}

assert_layout!(QueryFile, size 16, align 8, Length @ 0, FileInformationClass @ 8);

/// IRP_MJ_SET_INFORMATION.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SetFile {
    pub Length: u32,
    _pad0: u32,
    pub FileInformationClass: i32,
    pub FileObject: PFILE_OBJECT,
    pub Anonymous: SetFile_0,
}

/// The unnamed union of [`SetFile`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union SetFile_0 {
    pub Anonymous: SetFile_0_0,
    pub ClusterCount: u32,
    pub DeleteHandle: HANDLE,
}

/// The unnamed structure of [`SetFile_0`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SetFile_0_0 {
    pub ReplaceIfExists: BOOLEAN,
    pub AdvanceOnly: BOOLEAN,
}

assert_layout!(SetFile, size 32, align 8, Length @ 0, FileInformationClass @ 8, FileObject @ 16);

/// IRP_MJ_QUERY_EA.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryEa {
    pub Length: u32,
    pub EaList: *mut c_void,
    pub EaListLength: u32,
    _pad0: u32,
    pub EaIndex: u32,
}

assert_layout!(QueryEa, size 32, align 8, Length @ 0, EaList @ 8, EaListLength @ 16, EaIndex @ 24);

/// IRP_MJ_SET_EA.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SetEa {
    pub Length: u32,
}

assert_layout!(SetEa, size 4, align 4, Length @ 0);

/// IRP_MJ_QUERY_VOLUME_INFORMATION.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryVolume {
    pub Length: u32,
    _pad0: u32,
    pub FsInformationClass: i32,
}

assert_layout!(QueryVolume, size 16, align 8, Length @ 0, FsInformationClass @ 8);

/// IRP_MJ_SET_VOLUME_INFORMATION.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct SetVolume {
    pub Length: u32,
    _pad0: u32,
    pub FsInformationClass: i32,
}

assert_layout!(SetVolume, size 16, align 8, Length @ 0, FsInformationClass @ 8);

/// IRP_MJ_FILE_SYSTEM_CONTROL.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSystemControl {
    pub OutputBufferLength: u32,
    _pad0: u32,
    pub InputBufferLength: u32,
    _pad1: u32,
    pub FsControlCode: u32,
    pub Type3InputBuffer: *mut c_void,
}

assert_layout!(FileSystemControl, size 32, align 8, OutputBufferLength @ 0, InputBufferLength @ 8,
    FsControlCode @ 16, Type3InputBuffer @ 24);

/// IRP_MJ_LOCK_CONTROL.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct LockControl {
    pub Length: *mut LARGE_INTEGER,
    pub Key: u32,
    pub ByteOffset: LARGE_INTEGER,
}

assert_layout!(LockControl, size 24, align 8, Length @ 0, Key @ 8, ByteOffset @ 16);

/// IRP_MJ_DEVICE_CONTROL and IRP_MJ_INTERNAL_DEVICE_CONTROL.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceIoControl {
    pub OutputBufferLength: u32,
    _pad0: u32,
    pub InputBufferLength: u32,
    _pad1: u32,
    pub IoControlCode: u32,
    pub Type3InputBuffer: *mut c_void,
}

assert_layout!(DeviceIoControl, size 32, align 8, OutputBufferLength @ 0, InputBufferLength @ 8,
    IoControlCode @ 16, Type3InputBuffer @ 24);

/// IRP_MJ_QUERY_SECURITY.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct QuerySecurity {
    pub SecurityInformation: u32,
    _pad0: u32,
    pub Length: u32,
}

assert_layout!(QuerySecurity, size 16, align 8, SecurityInformation @ 0, Length @ 8);

/// IRP_MJ_SET_SECURITY.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SetSecurity {
    pub SecurityInformation: u32,
    pub SecurityDescriptor: *mut c_void,
}

assert_layout!(SetSecurity, size 16, align 8, SecurityInformation @ 0, SecurityDescriptor @ 8);

/// IRP_MN_MOUNT_VOLUME.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MountVolume {
    pub Vpb: *mut c_void,
    pub DeviceObject: PDEVICE_OBJECT,
}

assert_layout!(MountVolume, size 16, align 8, Vpb @ 0, DeviceObject @ 8);

/// IRP_MN_VERIFY_VOLUME.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifyVolume {
    pub Vpb: *mut c_void,
    pub DeviceObject: PDEVICE_OBJECT,
}

assert_layout!(VerifyVolume, size 16, align 8, Vpb @ 0, DeviceObject @ 8);

/// IRP_MJ_SCSI.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Scsi {
    pub Srb: *mut c_void,
}

assert_layout!(Scsi, size 8, align 8, Srb @ 0);

/// IRP_MJ_QUERY_QUOTA.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryQuota {
    pub Length: u32,
    pub StartSid: *mut c_void,
    pub SidList: *mut c_void,
    pub SidListLength: u32,
}

assert_layout!(QueryQuota, size 32, align 8, Length @ 0, StartSid @ 8, SidList @ 16, SidListLength @
    24);

/// IRP_MJ_SET_QUOTA.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SetQuota {
    pub Length: u32,
}

assert_layout!(SetQuota, size 4, align 4, Length @ 0);

/// IRP_MN_QUERY_DEVICE_RELATIONS.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryDeviceRelations {
    pub Type: i32,
}

assert_layout!(QueryDeviceRelations, size 4, align 4, Type @ 0);

/// IRP_MN_QUERY_INTERFACE.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryInterface {
    pub InterfaceType: *const GUID,
    pub Size: u16,
    pub Version: u16,
    pub Interface: *mut c_void,
    pub InterfaceSpecificData: *mut c_void,
}

assert_layout!(QueryInterface, size 32, align 8, InterfaceType @ 0, Size @ 8, Version @ 10,
    Interface @ 16, InterfaceSpecificData @ 24);

/// IRP_MN_QUERY_CAPABILITIES.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceCapabilities {
    pub Capabilities: *mut c_void,
}

assert_layout!(DeviceCapabilities, size 8, align 8, Capabilities @ 0);

/// IRP_MN_FILTER_RESOURCE_REQUIREMENTS.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FilterResourceRequirements {
    pub IoResourceRequirementList: *mut c_void,
}

assert_layout!(FilterResourceRequirements, size 8, align 8, IoResourceRequirementList @ 0);

/// IRP_MN_READ_CONFIG and IRP_MN_WRITE_CONFIG.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadWriteConfig {
    pub WhichSpace: u32,
    pub Buffer: *mut c_void,
    pub Offset: u32,
    _pad0: u32,
    pub Length: u32,
}

assert_layout!(ReadWriteConfig, size 32, align 8, WhichSpace @ 0, Buffer @ 8, Offset @ 16, Length @
    24);

/// IRP_MN_SET_LOCK.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SetLock {
    pub Lock: BOOLEAN,
}

assert_layout!(SetLock, size 1, align 1, Lock @ 0);

/// IRP_MN_QUERY_ID.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryId {
    pub IdType: i32,
}

assert_layout!(QueryId, size 4, align 4, IdType @ 0);

/// IRP_MN_QUERY_DEVICE_TEXT.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryDeviceText {
    pub DeviceTextType: i32,
    _pad0: u32,
    pub LocaleId: u32,
}

assert_layout!(QueryDeviceText, size 16, align 8, DeviceTextType @ 0, LocaleId @ 8);

/// IRP_MN_DEVICE_USAGE_NOTIFICATION.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct UsageNotification {
    pub InPath: BOOLEAN,
    pub Reserved: [u8; 3],
    _pad0: u32,
    pub Type: i32,
}

assert_layout!(UsageNotification, size 16, align 8, InPath @ 0, Reserved @ 1, Type @ 8);

/// IRP_MN_WAIT_WAKE.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitWake {
    pub PowerState: i32,
}

assert_layout!(WaitWake, size 4, align 4, PowerState @ 0);

/// IRP_MN_POWER_SEQUENCE.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PowerSequence {
    pub PowerSequence: *mut c_void,
}

assert_layout!(PowerSequence, size 8, align 8, PowerSequence @ 0);

/// IRP_MN_SET_POWER and IRP_MN_QUERY_POWER.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Power {
    pub SystemContext: u32,
    _pad0: u32,
    pub Type: i32,
    _pad1: u32,
    pub State: i32,
    _pad2: u32,
    pub ShutdownType: i32,
}

assert_layout!(Power, size 32, align 8, SystemContext @ 0, Type @ 8, State @ 16, ShutdownType @ 24);

/// IRP_MN_START_DEVICE.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct StartDevice {
    pub AllocatedResources: *mut c_void,
    pub AllocatedResourcesTranslated: *mut c_void,
}

assert_layout!(StartDevice, size 16, align 8, AllocatedResources @ 0, AllocatedResourcesTranslated @
    8);

/// IRP_MJ_SYSTEM_CONTROL.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WMI {
    pub ProviderId: usize,
    pub DataPath: *mut c_void,
    pub BufferSize: u32,
    pub Buffer: *mut c_void,
}

assert_layout!(WMI, size 32, align 8, ProviderId @ 0, DataPath @ 8, BufferSize @ 16, Buffer @ 24);

/// Any function: TDI and private requests lay their own structures over it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Others {
    pub Argument1: *mut c_void,
    pub Argument2: *mut c_void,
    pub Argument3: *mut c_void,
    pub Argument4: *mut c_void,
}

assert_layout!(Others, size 32, align 8, Argument1 @ 0, Argument2 @ 8, Argument3 @ 16, Argument4 @
    24);

/// `IO_STACK_LOCATION::Parameters`; the major and minor function say which member is meant.
#[repr(C)]
#[derive(Clone, Copy)]
pub union IO_STACK_LOCATION_Parameters {
    pub Create: Create,
    pub CreatePipe: CreatePipe,
    pub CreateMailslot: CreateMailslot,
    pub Read: Read,
    pub Write: Write,
    pub QueryDirectory: QueryDirectory,
    pub NotifyDirectory: NotifyDirectory,
    pub NotifyDirectoryEx: NotifyDirectoryEx,
    pub QueryFile: QueryFile,
    pub SetFile: SetFile,
    pub QueryEa: QueryEa,
    pub SetEa: SetEa,
    pub QueryVolume: QueryVolume,
    pub SetVolume: SetVolume,
    pub FileSystemControl: FileSystemControl,
    pub LockControl: LockControl,
    pub DeviceIoControl: DeviceIoControl,
    pub QuerySecurity: QuerySecurity,
    pub SetSecurity: SetSecurity,
    pub MountVolume: MountVolume,
    pub VerifyVolume: VerifyVolume,
    pub Scsi: Scsi,
    pub QueryQuota: QueryQuota,
    pub SetQuota: SetQuota,
    pub QueryDeviceRelations: QueryDeviceRelations,
    pub QueryInterface: QueryInterface,
    pub DeviceCapabilities: DeviceCapabilities,
    pub FilterResourceRequirements: FilterResourceRequirements,
    pub ReadWriteConfig: ReadWriteConfig,
    pub SetLock: SetLock,
    pub QueryId: QueryId,
    pub QueryDeviceText: QueryDeviceText,
    pub UsageNotification: UsageNotification,
    pub WaitWake: WaitWake,
    pub PowerSequence: PowerSequence,
    pub Power: Power,
    pub StartDevice: StartDevice,
    pub WMI: WMI,
    pub Others: Others,
}

assert_layout!(IO_STACK_LOCATION_Parameters, size 32, align 8);

impl Default for IO_STACK_LOCATION_Parameters {
    fn default() -> Self {
        IO_STACK_LOCATION_Parameters { Others: Others::default() }
    }
}
