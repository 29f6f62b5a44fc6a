#![deny(unsafe_code)]
#![allow(clippy::vec_box)] // pooled boxes keep their address while the kernel, or a client, holds it
//! The Linux TCP/IP transport of OpenWSK: [`HostTransport`] implements [`wsk_core::transport::Transport`] over the
//! kernel's sockets, by io_uring or, where that is missing or forbidden, by epoll with the same behaviour.
//!
//! Linux's numbers exist only here: errors leave as statuses (control.md 10), options and addresses in the terms of the
//! contract.

mod address;
mod background;
mod batch;
mod bell;
mod cmsg;
mod driver;
mod endpoint;
mod errno;
mod icmp;
mod message;
mod network;
mod option;
mod pieces;
mod pool;
mod probe;
mod sockopt;
mod stats;
mod transport;

pub use transport::{Choice, Config, Error, HostTransport, Switches};
