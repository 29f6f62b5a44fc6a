//! Winsock Kernel sockets for Rust programs.
//!
//! Microsoft's Winsock Kernel (WSK) offers two ways to do network I/O, and this crate offers both, over Linux's own TCP/IP:
//!
//! - *functions*: the program calls `receive`, `send`, `accept` with its own buffers and gets a [`Request`] for each, which
//!   it awaits, waits for, or leaves to a callback;
//! - *event callbacks*: the program implements [`ConnectionEvents`], [`ListenEvents`], [`DatagramEvents`] and is handed the
//!   subsystem's buffers as they fill.
//!
//! A program starts a [`Provider`], registers ([`Registration`]), captures a [`Client`] and creates sockets with it:
//!
//! ```
//! use wsk::{ClientDispatch, Family, Provider, Registration, WaitTimeout};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = Provider::start()?;
//! let registration = Registration::register(&provider, ClientDispatch::default());
//! let client = registration.capture(WaitTimeout::NoWait)?;
//!
//! let listener = client.listen_socket(Family::V4, None)?;
//! listener.bind("127.0.0.1:0".parse()?).wait()?;
//! let mut incoming = listener.accept();
//!
//! let address = listener.local_address()?;
//! let mut peer = client.socket_connect("127.0.0.1:0".parse()?, address, None).wait()?;
//! peer.send(&b"hello"[..]).wait()?;
//!
//! let accepted = incoming.wait()?;
//! let received = accepted.receive(vec![0; 64]).wait()?;
//! assert_eq!(received.bytes(), b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! What holds whatever a program does (each request completes once, no callback after a close, ...) is written down in
//! `docs/EXECUTION.md`; the behaviour in detail in `docs/spec/`, whose ids the documentation cites.
#![forbid(unsafe_code)]

mod basic;
mod carrier;
mod connection;
mod datagram;
mod error;
mod events;
mod handle;
mod helpers;
mod indication;
mod listen;
mod machine;
pub mod names;
mod network;
pub mod option;
mod pending;
mod processor;
mod provider;
mod registration;
mod request;
mod socket;
mod stream;

pub use basic::BasicSocket;
pub use carrier::TransportId;
pub use connection::ConnectionSocket;
pub use datagram::DatagramSocket;
pub use error::Error;
pub use events::{
    ConnectionEvents, DatagramEvents, Incoming, InspectAction, InspectRequest, ListenEvents, Receive, ReceiveFrom,
};
pub use indication::{Datagrams, Indication, ReceivedDatagram};
pub use listen::ListenSocket;
pub use names::{AddressInfo, Hints, NameInfo};
pub use pending::Pending;
pub use processor::{current_irql, hold_completions};
pub use provider::{Builder, Counters, Provider};
pub use registration::{Client, ClientDispatch, ProviderCharacteristics, Registration, WaitTimeout};
pub use request::{Canceller, FromCompletion, ReceivedFrom, Request, Transfer};
pub use stream::StreamSocket;
pub use wsk_abi::flags::{ControlFlags, DisconnectFlags, EventFlags, EventMask, ReceiveFlags, SendFlags};
pub use wsk_abi::status::NtStatus;
pub use wsk_core::control_data::{ControlData, ControlKinds, IcmpError, SendControl};
pub use wsk_core::effect::InspectId;
pub use wsk_core::memory::{Buffer, BufferList, ClientMemory, Lease, Memory, Segments, SegmentsMut};
pub use wsk_core::request::is_refusal;
pub use wsk_core::tdi::TdiMap;
pub use wsk_core::transport::{Family, Protocol, Service, ServiceKind};
pub use wsk_host::{Choice, HostTransport};

/// Who may share an address: security descriptors, and on whose behalf a socket binds (control.md 7).
pub use wsk_core::security;

/// The contract of transports, for those who bring their own.
pub use wsk_core::transport;
