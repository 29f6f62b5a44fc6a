//! Constants of IRPs and their stack locations (wdm.h, ntifs.h): types, major and minor functions, flags.

#![allow(missing_docs)] // A plain table: the names are the documentation, the values are checked by tests/constants.rs.
#![allow(non_upper_case_globals)] // C enumerators and macros keep their names.

// Object types (`Type` of I/O objects).
pub const IO_TYPE_ADAPTER: i16 = 1;
pub const IO_TYPE_CONTROLLER: i16 = 2;
pub const IO_TYPE_DEVICE: i16 = 3;
pub const IO_TYPE_DRIVER: i16 = 4;
pub const IO_TYPE_FILE: i16 = 5;
pub const IO_TYPE_IRP: i16 = 6;
pub const IO_TYPE_MASTER_ADAPTER: i16 = 7;
pub const IO_TYPE_OPEN_PACKET: i16 = 8;
pub const IO_TYPE_TIMER: i16 = 9;
pub const IO_TYPE_VPB: i16 = 10;
pub const IO_TYPE_ERROR_LOG: i16 = 11;
pub const IO_TYPE_ERROR_MESSAGE: i16 = 12;
pub const IO_TYPE_DEVICE_OBJECT_EXTENSION: i16 = 13;
pub const IO_TYPE_IORING: i16 = 14;
pub const IO_TYPE_CSQ_IRP_CONTEXT: u32 = 1;
pub const IO_TYPE_CSQ: u32 = 2;
pub const IO_TYPE_CSQ_EX: u32 = 3;

// `IO_STACK_LOCATION::MajorFunction`.
pub const IRP_MJ_CREATE: u8 = 0;
pub const IRP_MJ_CREATE_NAMED_PIPE: u8 = 1;
pub const IRP_MJ_CLOSE: u8 = 2;
pub const IRP_MJ_READ: u8 = 3;
pub const IRP_MJ_WRITE: u8 = 4;
pub const IRP_MJ_QUERY_INFORMATION: u8 = 5;
pub const IRP_MJ_SET_INFORMATION: u8 = 6;
pub const IRP_MJ_QUERY_EA: u8 = 7;
pub const IRP_MJ_SET_EA: u8 = 8;
pub const IRP_MJ_FLUSH_BUFFERS: u8 = 9;
pub const IRP_MJ_QUERY_VOLUME_INFORMATION: u8 = 10;
pub const IRP_MJ_SET_VOLUME_INFORMATION: u8 = 11;
pub const IRP_MJ_DIRECTORY_CONTROL: u8 = 12;
pub const IRP_MJ_FILE_SYSTEM_CONTROL: u8 = 13;
pub const IRP_MJ_DEVICE_CONTROL: u8 = 14;
pub const IRP_MJ_INTERNAL_DEVICE_CONTROL: u8 = 15;
pub const IRP_MJ_SHUTDOWN: u8 = 16;
pub const IRP_MJ_LOCK_CONTROL: u8 = 17;
pub const IRP_MJ_CLEANUP: u8 = 18;
pub const IRP_MJ_CREATE_MAILSLOT: u8 = 19;
pub const IRP_MJ_QUERY_SECURITY: u8 = 20;
pub const IRP_MJ_SET_SECURITY: u8 = 21;
pub const IRP_MJ_POWER: u8 = 22;
pub const IRP_MJ_SYSTEM_CONTROL: u8 = 23;
pub const IRP_MJ_DEVICE_CHANGE: u8 = 24;
pub const IRP_MJ_QUERY_QUOTA: u8 = 25;
pub const IRP_MJ_SET_QUOTA: u8 = 26;
pub const IRP_MJ_PNP: u8 = 27;
pub const IRP_MJ_PNP_POWER: u8 = 27;
pub const IRP_MJ_MAXIMUM_FUNCTION: u8 = 27;
pub const IRP_MJ_SCSI: u8 = 15;

// `IO_STACK_LOCATION::MinorFunction`; its meaning depends on the major function.
pub const IRP_MN_SCSI_CLASS: u8 = 1;
pub const IRP_MN_START_DEVICE: u8 = 0;
pub const IRP_MN_QUERY_REMOVE_DEVICE: u8 = 1;
pub const IRP_MN_REMOVE_DEVICE: u8 = 2;
pub const IRP_MN_CANCEL_REMOVE_DEVICE: u8 = 3;
pub const IRP_MN_STOP_DEVICE: u8 = 4;
pub const IRP_MN_QUERY_STOP_DEVICE: u8 = 5;
pub const IRP_MN_CANCEL_STOP_DEVICE: u8 = 6;
pub const IRP_MN_QUERY_DEVICE_RELATIONS: u8 = 7;
pub const IRP_MN_QUERY_INTERFACE: u8 = 8;
pub const IRP_MN_QUERY_CAPABILITIES: u8 = 9;
pub const IRP_MN_QUERY_RESOURCES: u8 = 10;
pub const IRP_MN_QUERY_RESOURCE_REQUIREMENTS: u8 = 11;
pub const IRP_MN_QUERY_DEVICE_TEXT: u8 = 12;
pub const IRP_MN_FILTER_RESOURCE_REQUIREMENTS: u8 = 13;
pub const IRP_MN_READ_CONFIG: u8 = 15;
pub const IRP_MN_WRITE_CONFIG: u8 = 16;
pub const IRP_MN_EJECT: u8 = 17;
pub const IRP_MN_SET_LOCK: u8 = 18;
pub const IRP_MN_QUERY_ID: u8 = 19;
pub const IRP_MN_QUERY_PNP_DEVICE_STATE: u8 = 20;
pub const IRP_MN_QUERY_BUS_INFORMATION: u8 = 21;
pub const IRP_MN_DEVICE_USAGE_NOTIFICATION: u8 = 22;
pub const IRP_MN_SURPRISE_REMOVAL: u8 = 23;
pub const IRP_MN_DEVICE_ENUMERATED: u8 = 25;
pub const IRP_MN_WAIT_WAKE: u8 = 0;
pub const IRP_MN_POWER_SEQUENCE: u8 = 1;
pub const IRP_MN_SET_POWER: u8 = 2;
pub const IRP_MN_QUERY_POWER: u8 = 3;
pub const IRP_MN_QUERY_ALL_DATA: u8 = 0;
pub const IRP_MN_QUERY_SINGLE_INSTANCE: u8 = 1;
pub const IRP_MN_CHANGE_SINGLE_INSTANCE: u8 = 2;
pub const IRP_MN_CHANGE_SINGLE_ITEM: u8 = 3;
pub const IRP_MN_ENABLE_EVENTS: u8 = 4;
pub const IRP_MN_DISABLE_EVENTS: u8 = 5;
pub const IRP_MN_ENABLE_COLLECTION: u8 = 6;
pub const IRP_MN_DISABLE_COLLECTION: u8 = 7;
pub const IRP_MN_REGINFO: u8 = 8;
pub const IRP_MN_EXECUTE_METHOD: u8 = 9;
pub const IRP_MN_REGINFO_EX: u8 = 11;
pub const IRP_MN_QUERY_DIRECTORY: u8 = 1;
pub const IRP_MN_NOTIFY_CHANGE_DIRECTORY: u8 = 2;
pub const IRP_MN_NOTIFY_CHANGE_DIRECTORY_EX: u8 = 3;
pub const IRP_MN_USER_FS_REQUEST: u8 = 0;
pub const IRP_MN_MOUNT_VOLUME: u8 = 1;
pub const IRP_MN_VERIFY_VOLUME: u8 = 2;
pub const IRP_MN_LOAD_FILE_SYSTEM: u8 = 3;
pub const IRP_MN_TRACK_LINK: u8 = 4;
pub const IRP_MN_KERNEL_CALL: u8 = 4;
pub const IRP_MN_LOCK: u8 = 1;
pub const IRP_MN_UNLOCK_SINGLE: u8 = 2;
pub const IRP_MN_UNLOCK_ALL: u8 = 3;
pub const IRP_MN_UNLOCK_ALL_BY_KEY: u8 = 4;
pub const IRP_MN_FLUSH_AND_PURGE: u8 = 1;
pub const IRP_MN_FLUSH_DATA_ONLY: u8 = 2;
pub const IRP_MN_FLUSH_NO_SYNC: u8 = 3;
pub const IRP_MN_FLUSH_DATA_SYNC_ONLY: u8 = 4;
pub const IRP_MN_NORMAL: u8 = 0;
pub const IRP_MN_DPC: u8 = 1;
pub const IRP_MN_MDL: u8 = 2;
pub const IRP_MN_COMPLETE: u8 = 4;
pub const IRP_MN_COMPRESSED: u8 = 8;
pub const IRP_MN_MDL_DPC: u8 = 3;
pub const IRP_MN_COMPLETE_MDL: u8 = 6;
pub const IRP_MN_COMPLETE_MDL_DPC: u8 = 7;
pub const IRP_MN_QUERY_LEGACY_BUS_INFORMATION: u8 = 24;

// `IRP::AllocationFlags`.
pub const IRP_QUOTA_CHARGED: u8 = 0x01;
pub const IRP_ALLOCATED_MUST_SUCCEED: u8 = 0x02;
pub const IRP_ALLOCATED_FIXED_SIZE: u8 = 0x04;
pub const IRP_LOOKASIDE_ALLOCATION: u8 = 0x08;

// IRP extensions.
pub const IRP_EXT_TRACK_OFFSET_HEADER_VALIDATION_VALUE: u16 = 0x544F;

// `IRP::Flags`.
pub const IRP_NOCACHE: u32 = 0x0000_0001;
pub const IRP_PAGING_IO: u32 = 0x0000_0002;
pub const IRP_MOUNT_COMPLETION: u32 = 0x0000_0002;
pub const IRP_SYNCHRONOUS_API: u32 = 0x0000_0004;
pub const IRP_ASSOCIATED_IRP: u32 = 0x0000_0008;
pub const IRP_BUFFERED_IO: u32 = 0x0000_0010;
pub const IRP_DEALLOCATE_BUFFER: u32 = 0x0000_0020;
pub const IRP_INPUT_OPERATION: u32 = 0x0000_0040;
pub const IRP_SYNCHRONOUS_PAGING_IO: u32 = 0x0000_0040;
pub const IRP_CREATE_OPERATION: u32 = 0x0000_0080;
pub const IRP_READ_OPERATION: u32 = 0x0000_0100;
pub const IRP_WRITE_OPERATION: u32 = 0x0000_0200;
pub const IRP_CLOSE_OPERATION: u32 = 0x0000_0400;
pub const IRP_DEFER_IO_COMPLETION: u32 = 0x0000_0800;
pub const IRP_OB_QUERY_NAME: u32 = 0x0000_1000;
pub const IRP_HOLD_DEVICE_QUEUE: u32 = 0x0000_2000;
pub const IRP_UM_DRIVER_INITIATED_IO: u32 = 0x0040_0000;

// `IO_STACK_LOCATION::Control` (F-41, F-43).
pub const SL_PENDING_RETURNED: u8 = 0x01;
pub const SL_ERROR_RETURNED: u8 = 0x02;
pub const SL_INVOKE_ON_CANCEL: u8 = 0x20;
pub const SL_INVOKE_ON_SUCCESS: u8 = 0x40;
pub const SL_INVOKE_ON_ERROR: u8 = 0x80;

// `IO_STACK_LOCATION::Flags`; its meaning depends on the major function.
pub const SL_FORCE_ACCESS_CHECK: u8 = 0x01;
pub const SL_OPEN_PAGING_FILE: u8 = 0x02;
pub const SL_OPEN_TARGET_DIRECTORY: u8 = 0x04;
pub const SL_STOP_ON_SYMLINK: u8 = 0x08;
pub const SL_IGNORE_READONLY_ATTRIBUTE: u8 = 0x40;
pub const SL_CASE_SENSITIVE: u8 = 0x80;
pub const SL_KEY_SPECIFIED: u8 = 0x01;
pub const SL_OVERRIDE_VERIFY_VOLUME: u8 = 0x02;
pub const SL_WRITE_THROUGH: u8 = 0x04;
pub const SL_FT_SEQUENTIAL_WRITE: u8 = 0x08;
pub const SL_FORCE_DIRECT_WRITE: u8 = 0x10;
pub const SL_REALTIME_STREAM: u8 = 0x20;
pub const SL_PERSISTENT_MEMORY_FIXED_MAPPING: u8 = 0x20;
pub const SL_BYPASS_IO: u8 = 0x40;
pub const SL_FORCE_ASYNCHRONOUS: u8 = 0x01;
pub const SL_READ_ACCESS_GRANTED: u8 = 0x01;
pub const SL_WRITE_ACCESS_GRANTED: u8 = 0x04;
pub const SL_FAIL_IMMEDIATELY: u8 = 0x01;
pub const SL_EXCLUSIVE_LOCK: u8 = 0x02;
pub const SL_RESTART_SCAN: u8 = 0x01;
pub const SL_RETURN_SINGLE_ENTRY: u8 = 0x02;
pub const SL_INDEX_SPECIFIED: u8 = 0x04;
pub const SL_RETURN_ON_DISK_ENTRIES_ONLY: u8 = 0x08;
pub const SL_NO_CURSOR_UPDATE: u8 = 0x10;
pub const SL_QUERY_DIRECTORY_MASK: u8 = 0x1B;
pub const SL_WATCH_TREE: u8 = 0x01;
pub const SL_ALLOW_RAW_MOUNT: u8 = 0x01;
pub const SL_BYPASS_ACCESS_CHECK: u8 = 0x01;
pub const SL_INFO_FORCE_ACCESS_CHECK: u8 = 0x01;
pub const SL_INFO_IGNORE_READONLY_ATTRIBUTE: u8 = 0x40;

// CREATE_FILE_TYPE.
pub const CreateFileTypeNone: i32 = 0;
pub const CreateFileTypeNamedPipe: i32 = 1;
pub const CreateFileTypeMailslot: i32 = 2;

// DEVICE_RELATION_TYPE.
pub const BusRelations: i32 = 0;
pub const EjectionRelations: i32 = 1;
pub const PowerRelations: i32 = 2;
pub const RemovalRelations: i32 = 3;
pub const TargetDeviceRelation: i32 = 4;
pub const SingleBusRelations: i32 = 5;
pub const TransportRelations: i32 = 6;

// IO_COMPLETION_ROUTINE_RESULT.
pub const ContinueCompletion: i32 = 0;
pub const StopCompletion: i32 = 0xC000_0016_u32 as i32;
