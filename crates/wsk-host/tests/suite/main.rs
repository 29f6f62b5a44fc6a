//! The behaviour of the transport, driven through `Driver` and `Endpoint` against plain sockets of the standard library.
//!
//! Every test runs on every arm. An io_uring that is missing fails its arms unless `WSK_TEST_ALLOW_NO_URING` is set.

#![allow(clippy::result_large_err)] // an event goes back into the backlog as it is

mod rig;

/// Declares tests that run on every arm.
macro_rules! arms {
    ($($(#[$doc:meta])* fn $name:ident($rig:ident: Rig) $body:block)*) => {
        $(
            $(#[$doc])*
            fn $name(arm: crate::rig::Arm) {
                #[allow(unused_mut)]
                let Some(mut $rig) = crate::rig::Rig::with_config(arm, config()) else { return };
                $body
            }
        )*
        mod uring { $(#[test] fn $name() { super::$name(crate::rig::Arm::Uring); })* }
        mod plain { $(#[test] fn $name() { super::$name(crate::rig::Arm::Plain); })* }
        mod epoll { $(#[test] fn $name() { super::$name(crate::rig::Arm::Epoll); })* }
    };
}

mod batch;
mod cancel;
mod close;
mod connect;
mod control;
mod datagram;
mod icmp;
mod pressure;
mod raw;
mod stream;
