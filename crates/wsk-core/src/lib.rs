//! The Winsock Kernel subsystem as pure state machines: it thinks, and does nothing else.
//!
//! One machine per socket category ([`socket`]) and one for the registration of a client ([`client`]). In go commands of the
//! client, events of the transport below, and what the client's callbacks returned; out come [`effect::Effect`]s: complete
//! this request, start that transport operation, call the client. No clock, no locks, no threads, no I/O.
//!
//! The tables of the specification are the shape of the code: F-240 to F-244 are the `TABLE` of each socket module, section
//! 15 of events.md is [`event_mask::EventSwitch`]. Comments cite requirement ids (E-72, F-168); the texts are in `docs/spec/`.
//!
//! What lies below is a [`transport::Transport`]; the two kinds of memory that pass between the sides are in [`memory`].
#![forbid(unsafe_code)]

pub mod client;
pub mod control_data;
pub mod effect;
pub mod event_mask;
pub mod indication;
pub mod memory;
pub mod option;
pub mod request;
pub mod security;
pub mod sharing;
pub mod socket;
pub mod tdi;
pub mod transport;
