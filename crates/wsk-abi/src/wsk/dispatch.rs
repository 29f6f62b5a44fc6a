//! The dispatch tables of wsk.h and the types of their functions (F-3). Every slot of a provider table is filled (F-5); any
//! slot of a client table may be null.
//!
//! Functions use the Windows x64 calling convention. Statuses, IRQLs and lifetimes are on the DDI page of each name.
#![allow(non_snake_case, non_camel_case_types)] // C names verbatim.

use core::ffi::c_void;

use super::{
    PWSK_CLIENT, WSK_BUF, WSK_BUF_LIST, WSK_CONTROL_SOCKET_TYPE, WSK_DATA_INDICATION, WSK_DATAGRAM_INDICATION,
    WSK_INSPECT_ACTION, WSK_INSPECT_ID, WSK_SOCKET,
};
use crate::NtStatus;
use crate::cmsg::CMSGHDR;
use crate::io::{PEPROCESS, PETHREAD, PSECURITY_DESCRIPTOR, UNICODE_STRING};
use crate::irp::IRP;
use crate::nmr::GUID;
use crate::sockaddr::{ADDRESS_FAMILY, ADDRINFOEXW, SOCKADDR};

/// WskClientEvent: no events are defined (E-105).
pub type PFN_WSK_CLIENT_EVENT = Option<
    unsafe extern "win64" fn(
        ClientContext: *mut c_void,
        EventType: u32,
        Information: *mut c_void,
        InformationLength: usize,
    ) -> NtStatus,
>;
/// WskAcceptEvent.
pub type PFN_WSK_ACCEPT_EVENT = Option<
    unsafe extern "win64" fn(
        SocketContext: *mut c_void,
        Flags: u32,
        LocalAddress: *mut SOCKADDR,
        RemoteAddress: *mut SOCKADDR,
        AcceptSocket: *mut WSK_SOCKET,
        AcceptSocketContext: *mut *mut c_void,
        AcceptSocketDispatch: *mut *const WSK_CLIENT_CONNECTION_DISPATCH,
    ) -> NtStatus,
>;
/// WskInspectEvent.
pub type PFN_WSK_INSPECT_EVENT = Option<
    unsafe extern "win64" fn(
        SocketContext: *mut c_void,
        LocalAddress: *mut SOCKADDR,
        RemoteAddress: *mut SOCKADDR,
        InspectID: *mut WSK_INSPECT_ID,
    ) -> WSK_INSPECT_ACTION,
>;
/// WskAbortEvent.
pub type PFN_WSK_ABORT_EVENT =
    Option<unsafe extern "win64" fn(SocketContext: *mut c_void, InspectID: *mut WSK_INSPECT_ID) -> NtStatus>;
/// WskReceiveFromEvent.
pub type PFN_WSK_RECEIVE_FROM_EVENT = Option<
    unsafe extern "win64" fn(
        SocketContext: *mut c_void,
        Flags: u32,
        DataIndication: *mut WSK_DATAGRAM_INDICATION,
    ) -> NtStatus,
>;
/// WskReceiveEvent.
pub type PFN_WSK_RECEIVE_EVENT = Option<
    unsafe extern "win64" fn(
        SocketContext: *mut c_void,
        Flags: u32,
        DataIndication: *mut WSK_DATA_INDICATION,
        BytesIndicated: usize,
        BytesAccepted: *mut usize,
    ) -> NtStatus,
>;
/// WskDisconnectEvent.
pub type PFN_WSK_DISCONNECT_EVENT =
    Option<unsafe extern "win64" fn(SocketContext: *mut c_void, Flags: u32) -> NtStatus>;
/// WskSendBacklogEvent.
pub type PFN_WSK_SEND_BACKLOG_EVENT =
    Option<unsafe extern "win64" fn(SocketContext: *mut c_void, IdealBacklogSize: usize) -> NtStatus>;
/// WskReceiveExEvent, installed by SIO_WSK_SET_RECEIVE_EX_CALLBACK (F-172).
pub type PFN_WSK_RECEIVE_EX_EVENT = Option<
    unsafe extern "win64" fn(
        SocketContext: *mut c_void,
        Flags: u32,
        DataIndication: *mut WSK_DATA_INDICATION,
        ControlInfo: *mut CMSGHDR,
        ControlInfoLength: u32,
        BytesIndicated: usize,
        BytesAccepted: *mut usize,
    ) -> NtStatus,
>;
/// WskSocket.
pub type PFN_WSK_SOCKET = Option<
    unsafe extern "win64" fn(
        Client: PWSK_CLIENT,
        AddressFamily: ADDRESS_FAMILY,
        SocketType: u16,
        Protocol: u32,
        Flags: u32,
        SocketContext: *mut c_void,
        Dispatch: *const c_void,
        OwningProcess: PEPROCESS,
        OwningThread: PETHREAD,
        SecurityDescriptor: PSECURITY_DESCRIPTOR,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskSocketConnect.
pub type PFN_WSK_SOCKET_CONNECT = Option<
    unsafe extern "win64" fn(
        Client: PWSK_CLIENT,
        SocketType: u16,
        Protocol: u32,
        LocalAddress: *mut SOCKADDR,
        RemoteAddress: *mut SOCKADDR,
        Flags: u32,
        SocketContext: *mut c_void,
        Dispatch: *const WSK_CLIENT_CONNECTION_DISPATCH,
        OwningProcess: PEPROCESS,
        OwningThread: PETHREAD,
        SecurityDescriptor: PSECURITY_DESCRIPTOR,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskControlClient.
pub type PFN_WSK_CONTROL_CLIENT = Option<
    unsafe extern "win64" fn(
        Client: PWSK_CLIENT,
        ControlCode: u32,
        InputSize: usize,
        InputBuffer: *mut c_void,
        OutputSize: usize,
        OutputBuffer: *mut c_void,
        OutputSizeReturned: *mut usize,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskGetAddressInfo.
pub type PFN_WSK_GET_ADDRESS_INFO = Option<
    unsafe extern "win64" fn(
        Client: PWSK_CLIENT,
        NodeName: *mut UNICODE_STRING,
        ServiceName: *mut UNICODE_STRING,
        NameSpace: u32,
        Provider: *mut GUID,
        Hints: *mut ADDRINFOEXW,
        Result: *mut *mut ADDRINFOEXW,
        OwningProcess: PEPROCESS,
        OwningThread: PETHREAD,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskFreeAddressInfo.
pub type PFN_WSK_FREE_ADDRESS_INFO = Option<unsafe extern "win64" fn(Client: PWSK_CLIENT, AddrInfo: *mut ADDRINFOEXW)>;
/// WskGetNameInfo.
pub type PFN_WSK_GET_NAME_INFO = Option<
    unsafe extern "win64" fn(
        Client: PWSK_CLIENT,
        SockAddr: *mut SOCKADDR,
        SockAddrLength: u32,
        NodeName: *mut UNICODE_STRING,
        ServiceName: *mut UNICODE_STRING,
        Flags: u32,
        OwningProcess: PEPROCESS,
        OwningThread: PETHREAD,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskControlSocket.
pub type PFN_WSK_CONTROL_SOCKET = Option<
    unsafe extern "win64" fn(
        Socket: *mut WSK_SOCKET,
        RequestType: WSK_CONTROL_SOCKET_TYPE,
        ControlCode: u32,
        Level: u32,
        InputSize: usize,
        InputBuffer: *mut c_void,
        OutputSize: usize,
        OutputBuffer: *mut c_void,
        OutputSizeReturned: *mut usize,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskCloseSocket.
pub type PFN_WSK_CLOSE_SOCKET = Option<unsafe extern "win64" fn(Socket: *mut WSK_SOCKET, Irp: *mut IRP) -> NtStatus>;
/// WskBind.
pub type PFN_WSK_BIND = Option<
    unsafe extern "win64" fn(
        Socket: *mut WSK_SOCKET,
        LocalAddress: *mut SOCKADDR,
        Flags: u32,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskAccept; returns the socket in IoStatus.Information.
pub type PFN_WSK_ACCEPT = Option<
    unsafe extern "win64" fn(
        ListenSocket: *mut WSK_SOCKET,
        Flags: u32,
        AcceptSocketContext: *mut c_void,
        AcceptSocketDispatch: *const WSK_CLIENT_CONNECTION_DISPATCH,
        LocalAddress: *mut SOCKADDR,
        RemoteAddress: *mut SOCKADDR,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskInspectComplete.
pub type PFN_WSK_INSPECT_COMPLETE = Option<
    unsafe extern "win64" fn(
        ListenSocket: *mut WSK_SOCKET,
        InspectID: *mut WSK_INSPECT_ID,
        Action: WSK_INSPECT_ACTION,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskListen.
pub type PFN_WSK_LISTEN = Option<unsafe extern "win64" fn(Socket: *mut WSK_SOCKET, Irp: *mut IRP) -> NtStatus>;
/// WskGetLocalAddress.
pub type PFN_WSK_GET_LOCAL_ADDRESS =
    Option<unsafe extern "win64" fn(Socket: *mut WSK_SOCKET, LocalAddress: *mut SOCKADDR, Irp: *mut IRP) -> NtStatus>;
/// WskGetRemoteAddress.
pub type PFN_WSK_GET_REMOTE_ADDRESS =
    Option<unsafe extern "win64" fn(Socket: *mut WSK_SOCKET, RemoteAddress: *mut SOCKADDR, Irp: *mut IRP) -> NtStatus>;
/// WskSendTo.
pub type PFN_WSK_SEND_TO = Option<
    unsafe extern "win64" fn(
        Socket: *mut WSK_SOCKET,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        RemoteAddress: *mut SOCKADDR,
        ControlInfoLength: u32,
        ControlInfo: *mut CMSGHDR,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskReceiveFrom.
pub type PFN_WSK_RECEIVE_FROM = Option<
    unsafe extern "win64" fn(
        Socket: *mut WSK_SOCKET,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        RemoteAddress: *mut SOCKADDR,
        ControlLength: *mut u32,
        ControlInfo: *mut CMSGHDR,
        ControlFlags: *mut u32,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskRelease of a datagram socket.
pub type PFN_WSK_RELEASE_DATAGRAM_INDICATION_LIST = Option<
    unsafe extern "win64" fn(Socket: *mut WSK_SOCKET, DatagramIndication: *mut WSK_DATAGRAM_INDICATION) -> NtStatus,
>;
/// WskSendMessages.
pub type PFN_WSK_SEND_MESSAGES = Option<
    unsafe extern "win64" fn(
        Socket: *mut WSK_SOCKET,
        BufferList: *mut WSK_BUF_LIST,
        Flags: u32,
        RemoteAddress: *mut SOCKADDR,
        ControlInfoLength: u32,
        ControlInfo: *mut CMSGHDR,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskConnect.
pub type PFN_WSK_CONNECT = Option<
    unsafe extern "win64" fn(
        Socket: *mut WSK_SOCKET,
        RemoteAddress: *mut SOCKADDR,
        Flags: u32,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskConnectEx.
pub type PFN_WSK_CONNECT_EX = Option<
    unsafe extern "win64" fn(
        Socket: *mut WSK_SOCKET,
        RemoteAddress: *mut SOCKADDR,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskSend.
pub type PFN_WSK_SEND = Option<
    unsafe extern "win64" fn(Socket: *mut WSK_SOCKET, Buffer: *mut WSK_BUF, Flags: u32, Irp: *mut IRP) -> NtStatus,
>;
/// WskSendEx (F-172).
pub type PFN_WSK_SEND_EX = Option<
    unsafe extern "win64" fn(
        Socket: *mut WSK_SOCKET,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        ControlInfoLength: u32,
        ControlInfo: *mut CMSGHDR,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskReceive.
pub type PFN_WSK_RECEIVE = Option<
    unsafe extern "win64" fn(Socket: *mut WSK_SOCKET, Buffer: *mut WSK_BUF, Flags: u32, Irp: *mut IRP) -> NtStatus,
>;
/// WskReceiveEx (F-172).
pub type PFN_WSK_RECEIVE_EX = Option<
    unsafe extern "win64" fn(
        Socket: *mut WSK_SOCKET,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        ControlInfoLength: *mut u32,
        ControlInfo: *mut CMSGHDR,
        ControlFlags: *mut u32,
        Irp: *mut IRP,
    ) -> NtStatus,
>;
/// WskDisconnect.
pub type PFN_WSK_DISCONNECT = Option<
    unsafe extern "win64" fn(Socket: *mut WSK_SOCKET, Buffer: *mut WSK_BUF, Flags: u32, Irp: *mut IRP) -> NtStatus,
>;
/// WskRelease of a connection or stream socket.
pub type PFN_WSK_RELEASE_DATA_INDICATION_LIST =
    Option<unsafe extern "win64" fn(Socket: *mut WSK_SOCKET, DataIndication: *mut WSK_DATA_INDICATION) -> NtStatus>;

/// Events of a client as a whole (DDI: WSK_CLIENT_DISPATCH).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_CLIENT_DISPATCH {
    /// `MAKE_WSK_VERSION`.
    pub Version: u16,
    /// 0.
    pub Reserved: u16,
    /// No events are defined; may be null.
    pub WskClientEvent: PFN_WSK_CLIENT_EVENT,
}

assert_layout!(WSK_CLIENT_DISPATCH, size 16, align 8, Version @ 0, Reserved @ 2, WskClientEvent @
    8);

/// Event callbacks of a listening socket (DDI: WSK_CLIENT_LISTEN_DISPATCH).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_CLIENT_LISTEN_DISPATCH {
    /// A connection was accepted.
    pub WskAcceptEvent: PFN_WSK_ACCEPT_EVENT,
    /// A connection request may be judged.
    pub WskInspectEvent: PFN_WSK_INSPECT_EVENT,
    /// A pended request went away.
    pub WskAbortEvent: PFN_WSK_ABORT_EVENT,
}

assert_layout!(WSK_CLIENT_LISTEN_DISPATCH, size 24, align 8, WskAcceptEvent @ 0, WskInspectEvent @
    8, WskAbortEvent @ 16);

/// Event callbacks of a datagram socket (DDI: WSK_CLIENT_DATAGRAM_DISPATCH).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_CLIENT_DATAGRAM_DISPATCH {
    /// Datagrams arrived.
    pub WskReceiveFromEvent: PFN_WSK_RECEIVE_FROM_EVENT,
}

assert_layout!(WSK_CLIENT_DATAGRAM_DISPATCH, size 8, align 8, WskReceiveFromEvent @ 0);

/// Event callbacks of a connection socket (DDI: WSK_CLIENT_CONNECTION_DISPATCH).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_CLIENT_CONNECTION_DISPATCH {
    /// Data arrived.
    pub WskReceiveEvent: PFN_WSK_RECEIVE_EVENT,
    /// The peer disconnected or reset.
    pub WskDisconnectEvent: PFN_WSK_DISCONNECT_EVENT,
    /// The ideal amount of queued data changed.
    pub WskSendBacklogEvent: PFN_WSK_SEND_BACKLOG_EVENT,
}

assert_layout!(WSK_CLIENT_CONNECTION_DISPATCH, size 24, align 8, WskReceiveEvent @ 0,
    WskDisconnectEvent @ 8, WskSendBacklogEvent @ 16);

/// Event callbacks of a stream socket, in both roles (DDI: WSK_CLIENT_STREAM_DISPATCH).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_CLIENT_STREAM_DISPATCH {
    /// As a listener; may be null.
    pub Listen: *const WSK_CLIENT_LISTEN_DISPATCH,
    /// As a connection; may be null.
    pub Connect: *const WSK_CLIENT_CONNECTION_DISPATCH,
}

assert_layout!(WSK_CLIENT_STREAM_DISPATCH, size 16, align 8, Listen @ 0, Connect @ 8);

/// Functions of the client object (DDI: WSK_PROVIDER_DISPATCH).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_PROVIDER_DISPATCH {
    /// `MAKE_WSK_VERSION`.
    pub Version: u16,
    /// 0.
    pub Reserved: u16,
    /// Creates a socket.
    pub WskSocket: PFN_WSK_SOCKET,
    /// Creates, binds and connects a connection socket.
    pub WskSocketConnect: PFN_WSK_SOCKET_CONNECT,
    /// Control operations on the client object.
    pub WskControlClient: PFN_WSK_CONTROL_CLIENT,
    /// Resolves a name.
    pub WskGetAddressInfo: PFN_WSK_GET_ADDRESS_INFO,
    /// Frees a result of it.
    pub WskFreeAddressInfo: PFN_WSK_FREE_ADDRESS_INFO,
    /// Resolves an address.
    pub WskGetNameInfo: PFN_WSK_GET_NAME_INFO,
}

assert_layout!(WSK_PROVIDER_DISPATCH, size 56, align 8, Version @ 0, Reserved @ 2, WskSocket @ 8,
    WskSocketConnect @ 16, WskControlClient @ 24, WskGetAddressInfo @ 32, WskFreeAddressInfo @ 40,
    WskGetNameInfo @ 48);

/// Functions of every socket (DDI: WSK_PROVIDER_BASIC_DISPATCH).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_PROVIDER_BASIC_DISPATCH {
    /// Options and IOCTLs.
    pub WskControlSocket: PFN_WSK_CONTROL_SOCKET,
    /// Closes the socket.
    pub WskCloseSocket: PFN_WSK_CLOSE_SOCKET,
}

assert_layout!(WSK_PROVIDER_BASIC_DISPATCH, size 16, align 8, WskControlSocket @ 0, WskCloseSocket @
    8);

/// Functions of a listening socket (DDI: WSK_PROVIDER_LISTEN_DISPATCH).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_PROVIDER_LISTEN_DISPATCH {
    /// What every socket has.
    pub Basic: WSK_PROVIDER_BASIC_DISPATCH,
    /// Binds to a local address.
    pub WskBind: PFN_WSK_BIND,
    /// Accepts a connection.
    pub WskAccept: PFN_WSK_ACCEPT,
    /// Answers a pended connection request.
    pub WskInspectComplete: PFN_WSK_INSPECT_COMPLETE,
    /// Local address.
    pub WskGetLocalAddress: PFN_WSK_GET_LOCAL_ADDRESS,
}

assert_layout!(WSK_PROVIDER_LISTEN_DISPATCH, size 48, align 8, Basic @ 0, WskBind @ 16, WskAccept @
    24, WskInspectComplete @ 32, WskGetLocalAddress @ 40);

/// Functions of a datagram socket (DDI: WSK_PROVIDER_DATAGRAM_DISPATCH).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_PROVIDER_DATAGRAM_DISPATCH {
    /// What every socket has.
    pub Basic: WSK_PROVIDER_BASIC_DISPATCH,
    /// Binds to a local address.
    pub WskBind: PFN_WSK_BIND,
    /// Sends a datagram.
    pub WskSendTo: PFN_WSK_SEND_TO,
    /// Receives a datagram.
    pub WskReceiveFrom: PFN_WSK_RECEIVE_FROM,
    /// Gives retained indications back.
    pub WskRelease: PFN_WSK_RELEASE_DATAGRAM_INDICATION_LIST,
    /// Local address.
    pub WskGetLocalAddress: PFN_WSK_GET_LOCAL_ADDRESS,
    /// Sends a list of datagrams.
    pub WskSendMessages: PFN_WSK_SEND_MESSAGES,
}

assert_layout!(WSK_PROVIDER_DATAGRAM_DISPATCH, size 64, align 8, Basic @ 0, WskBind @ 16, WskSendTo
    @ 24, WskReceiveFrom @ 32, WskRelease @ 40, WskGetLocalAddress @ 48, WskSendMessages @ 56);

/// Functions of a connection socket (DDI: WSK_PROVIDER_CONNECTION_DISPATCH).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_PROVIDER_CONNECTION_DISPATCH {
    /// What every socket has.
    pub Basic: WSK_PROVIDER_BASIC_DISPATCH,
    /// Binds to a local address.
    pub WskBind: PFN_WSK_BIND,
    /// Connects to a remote address.
    pub WskConnect: PFN_WSK_CONNECT,
    /// Local address.
    pub WskGetLocalAddress: PFN_WSK_GET_LOCAL_ADDRESS,
    /// Remote address.
    pub WskGetRemoteAddress: PFN_WSK_GET_REMOTE_ADDRESS,
    /// Sends data.
    pub WskSend: PFN_WSK_SEND,
    /// Receives data.
    pub WskReceive: PFN_WSK_RECEIVE,
    /// Disconnects gracefully or abortively.
    pub WskDisconnect: PFN_WSK_DISCONNECT,
    /// Gives retained indications back.
    pub WskRelease: PFN_WSK_RELEASE_DATA_INDICATION_LIST,
    /// Connects, with data.
    pub WskConnectEx: PFN_WSK_CONNECT_EX,
    /// Sends data with control messages.
    pub WskSendEx: PFN_WSK_SEND_EX,
    /// Receives data with control messages.
    pub WskReceiveEx: PFN_WSK_RECEIVE_EX,
}

assert_layout!(WSK_PROVIDER_CONNECTION_DISPATCH, size 104, align 8, Basic @ 0, WskBind @ 16,
    WskConnect @ 24, WskGetLocalAddress @ 32, WskGetRemoteAddress @ 40, WskSend @ 48, WskReceive @
    56, WskDisconnect @ 64, WskRelease @ 72, WskConnectEx @ 80, WskSendEx @ 88, WskReceiveEx @ 96);

/// Functions of a stream socket (DDI: WSK_PROVIDER_STREAM_DISPATCH).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WSK_PROVIDER_STREAM_DISPATCH {
    /// What every socket has.
    pub Basic: WSK_PROVIDER_BASIC_DISPATCH,
    /// Binds to a local address.
    pub WskBind: PFN_WSK_BIND,
    /// Accepts a connection.
    pub WskAccept: PFN_WSK_ACCEPT,
    /// Connects to a remote address.
    pub WskConnect: PFN_WSK_CONNECT,
    /// Turns the socket into a listener.
    pub WskListen: PFN_WSK_LISTEN,
    /// Sends data.
    pub WskSend: PFN_WSK_SEND,
    /// Receives data.
    pub WskReceive: PFN_WSK_RECEIVE,
    /// Disconnects gracefully or abortively.
    pub WskDisconnect: PFN_WSK_DISCONNECT,
    /// Gives retained indications back.
    pub WskRelease: PFN_WSK_RELEASE_DATA_INDICATION_LIST,
    /// Local address.
    pub WskGetLocalAddress: PFN_WSK_GET_LOCAL_ADDRESS,
    /// Remote address.
    pub WskGetRemoteAddress: PFN_WSK_GET_REMOTE_ADDRESS,
    /// Connects, with data.
    pub WskConnectEx: PFN_WSK_CONNECT_EX,
    /// Sends data with control messages.
    pub WskSendEx: PFN_WSK_SEND_EX,
    /// Receives data with control messages.
    pub WskReceiveEx: PFN_WSK_RECEIVE_EX,
}

assert_layout!(WSK_PROVIDER_STREAM_DISPATCH, size 120, align 8, Basic @ 0, WskBind @ 16, WskAccept @
    24, WskConnect @ 32, WskListen @ 40, WskSend @ 48, WskReceive @ 56, WskDisconnect @ 64,
    WskRelease @ 72, WskGetLocalAddress @ 80, WskGetRemoteAddress @ 88, WskConnectEx @ 96, WskSendEx
    @ 104, WskReceiveEx @ 112);
