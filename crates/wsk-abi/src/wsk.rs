//! The types of wsk.h (F-1 to F-13, events.md 2). The dispatch tables and function types are in [`dispatch`], the
//! constants in [`crate::constants::wsk`]; both are re-exported here.
#![allow(non_snake_case, non_camel_case_types)] // C names verbatim.

use core::ffi::c_void;

pub use crate::constants::wsk::*;
use crate::io::KSPIN_LOCK;
use crate::mdl::MDL;
use crate::nmr::{GUID, NPIID};
use crate::sockaddr::{ADDRESS_FAMILY, SOCKADDR};

pub mod dispatch;

pub use self::dispatch::*;
pub use crate::cmsg::CMSGHDR;

/// A version from major and minor number: `MAKE_WSK_VERSION(1, 0)` is 0x0100 (F-1).
pub const fn MAKE_WSK_VERSION(major: u8, minor: u8) -> u16 {
    (major as u16) << 8 | minor as u16
}

/// Major number of a version.
pub const fn WSK_MAJOR_VERSION(version: u16) -> u8 {
    (version >> 8) as u8
}

/// Minor number of a version.
pub const fn WSK_MINOR_VERSION(version: u16) -> u8 {
    version as u8
}

open_enum! {
    /// Answer of WskInspectEvent and WskInspectComplete.
    WSK_INSPECT_ACTION {
        /// Refuse the connection.
        REJECT = WskInspectReject = 0,
        /// Accept it.
        ACCEPT = WskInspectAccept = 1,
        /// Answer later, by WskInspectComplete.
        PEND = WskInspectPend = 2,
        /// First value that is no action.
        MAX = WskInspectMax = 3,
    }
}

open_enum! {
    /// RequestType of WskControlSocket.
    WSK_CONTROL_SOCKET_TYPE {
        /// Set an option.
        SET_OPTION = WskSetOption = 0,
        /// Get an option.
        GET_OPTION = WskGetOption = 1,
        /// An IOCTL.
        IOCTL = WskIoctl = 2,
        /// First value that is no request.
        MAX = WskControlMax = 3,
    }
}

opaque! {
    /// The provider's view of an attached client; clients only pass its address.
    WSK_CLIENT;
}

/// The client object by address.
pub type PWSK_CLIENT = *mut WSK_CLIENT;

/// A socket: one pointer to the table of its category (F-4).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_SOCKET {
    /// `WSK_PROVIDER_..._DISPATCH` of the category.
    pub Dispatch: *const c_void,
}

assert_layout!(WSK_SOCKET, size 8, align 8, Dispatch @ 0);

/// A span of bytes within an MDL chain (DDI: WSK_BUF; functions.md 2.7).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_BUF {
    /// The chain; null only if `Length` is 0.
    pub Mdl: *mut MDL,
    /// Bytes to skip in the first MDL.
    pub Offset: u32,
    /// Bytes of the span.
    pub Length: usize,
}

assert_layout!(WSK_BUF, size 24, align 8, Mdl @ 0, Offset @ 8, Length @ 16);

/// A list of buffers, one per datagram (DDI: WSK_BUF_LIST).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_BUF_LIST {
    /// The next buffer.
    pub Next: *mut WSK_BUF_LIST,
    /// This buffer.
    pub Buffer: WSK_BUF,
}

assert_layout!(WSK_BUF_LIST, size 32, align 8, Next @ 0, Buffer @ 8);

/// Received stream data in the subsystem's memory (DDI: WSK_DATA_INDICATION).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_DATA_INDICATION {
    /// The next indication.
    pub Next: *mut WSK_DATA_INDICATION,
    /// The data.
    pub Buffer: WSK_BUF,
}

assert_layout!(WSK_DATA_INDICATION, size 32, align 8, Next @ 0, Buffer @ 8);

/// A received datagram in the subsystem's memory (DDI: WSK_DATAGRAM_INDICATION).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_DATAGRAM_INDICATION {
    /// The next datagram.
    pub Next: *mut WSK_DATAGRAM_INDICATION,
    /// The data.
    pub Buffer: WSK_BUF,
    /// Control messages, or null (E-83).
    pub ControlInfo: *mut CMSGHDR,
    /// Their length in bytes.
    pub ControlInfoLength: u32,
    /// The sender.
    pub RemoteAddress: *mut SOCKADDR,
}

assert_layout!(WSK_DATAGRAM_INDICATION, size 56, align 8, Next @ 0, Buffer @ 8, ControlInfo @ 32,
    ControlInfoLength @ 40, RemoteAddress @ 48);

/// Names a connection request under inspection (DDI: WSK_INSPECT_ID).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WSK_INSPECT_ID {
    /// Key.
    pub Key: usize,
    /// Tells uses of one key apart.
    pub SerialNumber: u32,
}

assert_layout!(WSK_INSPECT_ID, size 16, align 8, Key @ 0, SerialNumber @ 8);

/// A registration; caller's memory, the subsystem's contents (F-12).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_REGISTRATION {
    /// The subsystem's.
    pub ReservedRegistrationState: u64,
    /// The subsystem's.
    pub ReservedRegistrationContext: *mut c_void,
    /// The subsystem's.
    pub ReservedRegistrationLock: KSPIN_LOCK,
}

assert_layout!(WSK_REGISTRATION, size 24, align 8, ReservedRegistrationState @ 0,
    ReservedRegistrationContext @ 8, ReservedRegistrationLock @ 16);

/// What a client registers (F-10).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_CLIENT_NPI {
    /// Passed to WskClientEvent.
    pub ClientContext: *mut c_void,
    /// The client's table; stays valid until WskDeregister.
    pub Dispatch: *const WSK_CLIENT_DISPATCH,
}

assert_layout!(WSK_CLIENT_NPI, size 16, align 8, ClientContext @ 0, Dispatch @ 8);

/// What a capture yields (F-13).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_PROVIDER_NPI {
    /// The client object.
    pub Client: PWSK_CLIENT,
    /// The provider's table.
    pub Dispatch: *const WSK_PROVIDER_DISPATCH,
}

assert_layout!(WSK_PROVIDER_NPI, size 16, align 8, Client @ 0, Dispatch @ 8);

/// Versions that the provider implements (F-13).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WSK_PROVIDER_CHARACTERISTICS {
    /// Highest.
    pub HighestVersion: u16,
    /// Lowest.
    pub LowestVersion: u16,
}

assert_layout!(WSK_PROVIDER_CHARACTERISTICS, size 4, align 2, HighestVersion @ 0, LowestVersion @
    2);

/// An entry of WSK_TRANSPORT_LIST_QUERY (C-1).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WSK_TRANSPORT {
    /// Version of the WSK NPI.
    pub Version: u16,
    /// `SOCK_...`.
    pub SocketType: u16,
    /// `IPPROTO_...`; 0 for any with SOCK_RAW.
    pub Protocol: u32,
    /// `AF_...`; AF_UNSPEC serves IPv4 and IPv6.
    pub AddressFamily: ADDRESS_FAMILY,
    /// The transport.
    pub ProviderId: GUID,
}

assert_layout!(WSK_TRANSPORT, size 28, align 4, Version @ 0, SocketType @ 2, Protocol @ 4,
    AddressFamily @ 8, ProviderId @ 12);

/// Input of SO_WSK_EVENT_CALLBACK and WSK_SET_STATIC_EVENT_CALLBACKS.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_EVENT_CALLBACK_CONTROL {
    /// Whose events: `NPI_WSK_INTERFACE_ID` or an extension's id. Compare what it points to.
    pub NpiId: *const NPIID,
    /// [`EventMask`](crate::flags::EventMask).
    pub EventMask: u32,
}

assert_layout!(WSK_EVENT_CALLBACK_CONTROL, size 16, align 8, NpiId @ 0, EventMask @ 8);

/// Input of SIO_WSK_REGISTER_EXTENSION.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_EXTENSION_CONTROL_IN {
    /// The extension.
    pub NpiId: *const NPIID,
    /// The client's context for it.
    pub ClientContext: *mut c_void,
    /// The client's table for it.
    pub ClientDispatch: *const c_void,
}

assert_layout!(WSK_EXTENSION_CONTROL_IN, size 24, align 8, NpiId @ 0, ClientContext @ 8,
    ClientDispatch @ 16);

/// Output of SIO_WSK_REGISTER_EXTENSION.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_EXTENSION_CONTROL_OUT {
    /// The provider's context.
    pub ProviderContext: *mut c_void,
    /// The provider's table.
    pub ProviderDispatch: *const c_void,
}

assert_layout!(WSK_EXTENSION_CONTROL_OUT, size 16, align 8, ProviderContext @ 0, ProviderDispatch @
    8);

/// Maps a kind of socket to a TDI device (C-4).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_TDI_MAP {
    /// `SOCK_...`.
    pub SocketType: u16,
    /// `AF_...`.
    pub AddressFamily: ADDRESS_FAMILY,
    /// `IPPROTO_...`.
    pub Protocol: u32,
    /// Name of the device in UTF-16, zero-ended.
    pub TdiDeviceName: *const u16,
}

assert_layout!(WSK_TDI_MAP, size 16, align 8, SocketType @ 0, AddressFamily @ 2, Protocol @ 4,
    TdiDeviceName @ 8);

/// Input of WSK_TDI_DEVICENAME_MAPPING (C-4).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_TDI_MAP_INFO {
    /// Entries at `Map`.
    pub ElementCount: u32,
    /// The entries.
    pub Map: *const WSK_TDI_MAP,
}

assert_layout!(WSK_TDI_MAP_INFO, size 16, align 8, ElementCount @ 0, Map @ 8);
