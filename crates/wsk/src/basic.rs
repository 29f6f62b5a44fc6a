//! Basic sockets: options and close only.

use crate::handle::socket_handle;

socket_handle! {
    /// A basic socket (WSK_FLAG_BASIC_SOCKET): it carries options and can be closed.
    BasicSocket, crate::option::Categories::BASIC
}
