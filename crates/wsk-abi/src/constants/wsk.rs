//! Constants of wsk.h: control codes, options, IOCTLs, flags and event masks (F-1, control.md 2 and 4, events.md 1).

#![allow(missing_docs)] // A plain table: the names are the documentation, the values are checked by tests/constants.rs.
#![allow(non_upper_case_globals)] // C enumerators and macros keep their names.

use crate::wsk::{WSK_CONTROL_SOCKET_TYPE, WSK_INSPECT_ACTION};

// Bases of the option and IOCTL numbers.
pub const WSK_SO_BASE: u32 = 0x4000;
pub const IOC_WSK: u32 = 0x0F00_0000;

// Options of WskControlSocket at level SOL_SOCKET.
pub const SO_WSK_SECURITY: u32 = 0x4001;
pub const SO_WSK_EVENT_CALLBACK: u32 = 0x4002;

// IOCTLs of WskControlSocket.
pub const SIO_WSK_SET_REMOTE_ADDRESS: u32 = 0x8F00_0001;
pub const SIO_WSK_REGISTER_EXTENSION: u32 = 0xCF00_0002;
pub const SIO_WSK_QUERY_IDEAL_SEND_BACKLOG: u32 = 0x4F00_0003;
pub const SIO_WSK_QUERY_RECEIVE_BACKLOG: u32 = 0x4F00_0004;
pub const SIO_WSK_QUERY_INSPECT_ID: u32 = 0x4F00_0005;
pub const SIO_WSK_SET_SENDTO_ADDRESS: u32 = 0x8F00_0006;
pub const SIO_WSK_SET_TCP_SILENT_MODE: u32 = 0x2F00_0007;
pub const SIO_WSK_SET_RECEIVE_EX_CALLBACK: u32 = 0x8F00_0008;

// Socket categories: Flags of WskSocket.
pub const WSK_FLAG_BASIC_SOCKET: u32 = 0x0000_0000;
pub const WSK_FLAG_LISTEN_SOCKET: u32 = 0x0000_0001;
pub const WSK_FLAG_CONNECTION_SOCKET: u32 = 0x0000_0002;
pub const WSK_FLAG_DATAGRAM_SOCKET: u32 = 0x0000_0004;
pub const WSK_FLAG_STREAM_SOCKET: u32 = 0x0000_0008;

// Flags of WskSend.
pub const WSK_FLAG_OOB: u32 = 0x0000_0001;
pub const WSK_FLAG_NODELAY: u32 = 0x0000_0002;

// Flags of WskReceive.
pub const WSK_FLAG_WAITALL: u32 = 0x0000_0002;
pub const WSK_FLAG_DRAIN: u32 = 0x0000_0004;

// Flags of event callbacks; WSK_FLAG_ABORTIVE also of WskDisconnect.
pub const WSK_FLAG_AT_DISPATCH_LEVEL: u32 = 0x0000_0008;
pub const WSK_FLAG_RELEASE_ASAP: u32 = 0x0000_0002;
pub const WSK_FLAG_ENTIRE_MESSAGE: u32 = 0x0000_0004;
pub const WSK_FLAG_ABORTIVE: u32 = 0x0000_0001;

// Event masks of WSK_EVENT_CALLBACK_CONTROL.
pub const WSK_EVENT_RECEIVE_FROM: u32 = 0x0000_0100;
pub const WSK_EVENT_ACCEPT: u32 = 0x0000_0200;
pub const WSK_EVENT_SEND_BACKLOG: u32 = 0x0000_0010;
pub const WSK_EVENT_RECEIVE: u32 = 0x0000_0040;
pub const WSK_EVENT_DISCONNECT: u32 = 0x0000_0080;
pub const WSK_EVENT_DISABLE: u32 = 0x8000_0000;

// WaitTimeout of WskCaptureProviderNPI; other values are milliseconds.
pub const WSK_NO_WAIT: u32 = 0x0000_0000;
pub const WSK_INFINITE_WAIT: u32 = 0xFFFF_FFFF;

// Flags of WSK_TDI_BEHAVIOR.
pub const WSK_TDI_BEHAVIOR_BYPASS_TDI: u32 = 1;

// Control codes of WskControlClient.
pub const WSK_TRANSPORT_LIST_QUERY: u32 = 2;
pub const WSK_TRANSPORT_LIST_CHANGE: u32 = 3;
pub const WSK_CACHE_SD: u32 = 4;
pub const WSK_RELEASE_SD: u32 = 5;
pub const WSK_TDI_DEVICENAME_MAPPING: u32 = 6;
pub const WSK_SET_STATIC_EVENT_CALLBACKS: u32 = 7;
pub const WSK_TDI_BEHAVIOR: u32 = 8;
pub const WSKNDK_GET_WSK_PROVIDER_NDK_DISPATCH: u32 = 0x4E44_4B44;

// WSK_INSPECT_ACTION.
pub const WskInspectReject: WSK_INSPECT_ACTION = WSK_INSPECT_ACTION(0);
pub const WskInspectAccept: WSK_INSPECT_ACTION = WSK_INSPECT_ACTION(1);
pub const WskInspectPend: WSK_INSPECT_ACTION = WSK_INSPECT_ACTION(2);
pub const WskInspectMax: WSK_INSPECT_ACTION = WSK_INSPECT_ACTION(3);

// WSK_CONTROL_SOCKET_TYPE.
pub const WskSetOption: WSK_CONTROL_SOCKET_TYPE = WSK_CONTROL_SOCKET_TYPE(0);
pub const WskGetOption: WSK_CONTROL_SOCKET_TYPE = WSK_CONTROL_SOCKET_TYPE(1);
pub const WskIoctl: WSK_CONTROL_SOCKET_TYPE = WSK_CONTROL_SOCKET_TYPE(2);
pub const WskControlMax: WSK_CONTROL_SOCKET_TYPE = WSK_CONTROL_SOCKET_TYPE(3);
