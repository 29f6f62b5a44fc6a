//! The contract suite: what the specification (docs/spec) and the transport contract promise, on every arm.
//!
//! `WSK_EXPECT_ARMS=uring,epoll,loopback cargo test -p wsk` fails if an arm cannot run; without the variable it is skipped,
//! loudly. Tests are named after the requirement they hold the subsystem to.

#[path = "../support/mod.rs"]
mod support;

mod accept;
mod arms;
mod bind;
mod callbacks;
mod close;
mod conditional;
mod connect;
mod control_data;
mod datagram;
mod datagram_events;
mod disable;
mod disconnect;
mod inheritance;
mod many;
mod names;
mod options;
mod order;
mod overtaken;
mod promises;
mod python;
mod races;
mod receive;
mod receive_events;
mod registration;
mod retention;
mod send;
mod sharing;
mod static_events;
mod stream;
mod table_connection;
mod table_others;
mod transports;
