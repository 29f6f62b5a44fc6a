//! 2,000 cycles of the echo driver (`drivers/echo_callbacks.c`) in one process: each registers, listens, echoes over a connection,
//! closes and leaves; nothing stays. In a binary of its own: it measures the process.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};

use common::{Counting, leaves_nothing};
use wsk::Provider;
use wsk_abi::NtStatus;
use wsk_loader::{LoadOptions, Loader};
use wsk_nt::verify;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Where the driver listens; it says so.
static PORT: AtomicU16 = AtomicU16::new(0);

fn said(line: &str, _caller: usize) {
    if let Some(port) = line.strip_prefix("listening on [::]:") {
        PORT.store(port.parse().unwrap(), Ordering::SeqCst);
    }
}

/// Sends something to the driver and expects it back. In every other round the driver's unload ends the connection.
fn echo(port: u16, round: usize) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let text = format!("round {round} of many");
    stream.write_all(text.as_bytes()).unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, text.as_bytes());
    if round.is_multiple_of(2) {
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut back).unwrap(), 0, "the driver ends its side");
    }
    stream
}

#[test]
fn two_thousand_cycles_of_the_echo_driver() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = common::bytes(&common::build_sample(&root, "echo_callbacks"));
    wsk_nt::rtl::dbg::set_sink(said);
    wsk_npi::set_provider(Some(Provider::builder().start().unwrap()));
    let loader = Loader::new(wsk_npi::exports().chain(wsk_nt::export::all()));
    leaves_nothing(16, |round| {
        let mut driver = loader.load("echo.sys", &file, &LoadOptions::default()).unwrap();
        assert_eq!(driver.start(), NtStatus::SUCCESS);
        let _stream = echo(PORT.load(Ordering::SeqCst), round);
        driver.unload().unwrap();
    });
    assert_eq!(verify::violations(), []);
    assert_eq!(verify::outstanding(), []);
    wsk_npi::set_provider(None);
}
