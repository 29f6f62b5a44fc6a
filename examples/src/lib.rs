//! What every example needs besides WSK: an address from the command line, and Ctrl-C.
//!
//! Read `echo_functions` first, then `echo_callbacks`. Each is run by `cargo run -p examples --bin NAME [ADDRESS]`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::mpsc;

/// What `main` of the examples returns.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The first argument, or 127.0.0.1 and a port that the host chooses.
///
/// # Errors
/// The argument is not an address with a port.
pub fn address() -> Result<SocketAddr> {
    let text = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    text.parse().map_err(|_| format!("{text} is not an address such as 127.0.0.1:7000 or [::1]:7000").into())
}

/// Ctrl-C, which can be waited for.
pub struct CtrlC(mpsc::Receiver<()>);

impl CtrlC {
    /// Watches for it from here on.
    ///
    /// # Errors
    /// The host's.
    pub fn watch() -> Result<Self> {
        let (sender, receiver) = mpsc::channel();
        ctrlc::set_handler(move || {
            let _ = sender.send(());
        })?;
        Ok(Self(receiver))
    }

    /// Blocks until it is pressed.
    pub fn wait(&self) {
        let _ = self.0.recv();
    }
}
