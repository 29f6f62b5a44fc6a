//! The dispatch tables of the provider, every slot filled (F-3, F-5). A file for each group of functions; the stream table takes
//! its own from those of listening and connection sockets.
#![allow(unsafe_code)] // The slots' first instructions, which note the caller.

use wsk_abi::wsk::{
    MAKE_WSK_VERSION, WSK_PROVIDER_BASIC_DISPATCH, WSK_PROVIDER_CONNECTION_DISPATCH, WSK_PROVIDER_DATAGRAM_DISPATCH,
    WSK_PROVIDER_DISPATCH, WSK_PROVIDER_LISTEN_DISPATCH, WSK_PROVIDER_STREAM_DISPATCH,
};

mod connection;
mod datagram;
mod listen;
mod provider;
mod socket;

/// Defines the function of a slot: `slot! { WskBind, fn bind(Socket: ..., ...) -> NtStatus { ... } }`. The client calls
/// `WskBind`, which notes the caller's address ([`wsk_nt::caller`]) and goes on in `bind` with the same arguments.
macro_rules! slot {
    ($(#[$doc:meta])* $name:ident, fn $inner:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$doc])*
        #[unsafe(naked)]
        pub(super) unsafe extern "win64" fn $name($($arg: $type),*) $(-> $ret)? {
            core::arch::naked_asm!(
                "mov r10, qword ptr [rsp]",
                "mov r11, qword ptr [rip + wsk_nt_caller@GOTTPOFF]",
                "mov qword ptr fs:[r11], r10",
                "jmp {inner}",
                inner = sym $inner,
            )
        }

        unsafe extern "win64" fn $inner($($arg: $type),*) $(-> $ret)? $body
    };
}
use slot;

/// Of the client object.
pub(crate) static PROVIDER: WSK_PROVIDER_DISPATCH = WSK_PROVIDER_DISPATCH {
    Version: MAKE_WSK_VERSION(1, 0),
    Reserved: 0,
    WskSocket: Some(provider::WskSocket),
    WskSocketConnect: Some(provider::WskSocketConnect),
    WskControlClient: Some(provider::WskControlClient),
    WskGetAddressInfo: Some(provider::WskGetAddressInfo),
    WskFreeAddressInfo: Some(provider::WskFreeAddressInfo),
    WskGetNameInfo: Some(provider::WskGetNameInfo),
};

/// Of basic sockets; the beginning of all socket tables.
pub(crate) static BASIC: WSK_PROVIDER_BASIC_DISPATCH = basic();

const fn basic() -> WSK_PROVIDER_BASIC_DISPATCH {
    WSK_PROVIDER_BASIC_DISPATCH {
        WskControlSocket: Some(socket::WskControlSocket),
        WskCloseSocket: Some(socket::WskCloseSocket),
    }
}

/// Of listening sockets.
pub(crate) static LISTEN: WSK_PROVIDER_LISTEN_DISPATCH = WSK_PROVIDER_LISTEN_DISPATCH {
    Basic: basic(),
    WskBind: Some(socket::WskBind),
    WskAccept: Some(listen::WskAccept),
    WskInspectComplete: Some(listen::WskInspectComplete),
    WskGetLocalAddress: Some(socket::WskGetLocalAddress),
};

/// Of datagram sockets.
pub(crate) static DATAGRAM: WSK_PROVIDER_DATAGRAM_DISPATCH = WSK_PROVIDER_DATAGRAM_DISPATCH {
    Basic: basic(),
    WskBind: Some(socket::WskBind),
    WskSendTo: Some(datagram::WskSendTo),
    WskReceiveFrom: Some(datagram::WskReceiveFrom),
    WskRelease: Some(datagram::WskRelease),
    WskGetLocalAddress: Some(socket::WskGetLocalAddress),
    WskSendMessages: Some(datagram::WskSendMessages),
};

/// Of connection sockets.
pub(crate) static CONNECTION: WSK_PROVIDER_CONNECTION_DISPATCH = WSK_PROVIDER_CONNECTION_DISPATCH {
    Basic: basic(),
    WskBind: Some(socket::WskBind),
    WskConnect: Some(connection::WskConnect),
    WskGetLocalAddress: Some(socket::WskGetLocalAddress),
    WskGetRemoteAddress: Some(socket::WskGetRemoteAddress),
    WskSend: Some(connection::WskSend),
    WskReceive: Some(connection::WskReceive),
    WskDisconnect: Some(connection::WskDisconnect),
    WskRelease: Some(connection::WskRelease),
    WskConnectEx: Some(connection::WskConnectEx),
    WskSendEx: Some(connection::WskSendEx),
    WskReceiveEx: Some(connection::WskReceiveEx),
};

/// Of stream sockets.
pub(crate) static STREAM: WSK_PROVIDER_STREAM_DISPATCH = WSK_PROVIDER_STREAM_DISPATCH {
    Basic: basic(),
    WskBind: Some(socket::WskBind),
    WskAccept: Some(listen::WskAccept),
    WskConnect: Some(connection::WskConnect),
    WskListen: Some(listen::WskListen),
    WskSend: Some(connection::WskSend),
    WskReceive: Some(connection::WskReceive),
    WskDisconnect: Some(connection::WskDisconnect),
    WskRelease: Some(connection::WskRelease),
    WskGetLocalAddress: Some(socket::WskGetLocalAddress),
    WskGetRemoteAddress: Some(socket::WskGetRemoteAddress),
    WskConnectEx: Some(connection::WskConnectEx),
    WskSendEx: Some(connection::WskSendEx),
    WskReceiveEx: Some(connection::WskReceiveEx),
};
