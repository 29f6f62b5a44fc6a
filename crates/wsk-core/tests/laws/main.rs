//! The laws: promises 1 to 3 as properties of random histories.
//!
//! A history is a list of small numbers. Each is a step: a command of the client, an event of the transport, a returned
//! callback or a released indication, as far as one is possible at that moment. At the end everything is closed and
//! let run out. While it runs, a model checks:
//!
//! 1. every request completes exactly once;
//! 2. every buffer goes back exactly once, and its bytes are those that were sent, in order, none twice and none missing;
//! 3. no callback starts after its disable completed, and nothing at all happens after the close completed;
//!
//! and that the machine keeps its side of the transport's contract: one operation of a kind at a time, none after a detach.

mod connection;
mod datagram;
mod listen;
mod setup;
mod support;
