//! A host that is out of descriptors: accepting stops with the reason, loses nothing, and can be started again.
//!
//! Alone in its process, because the limit is the process's.

use std::fs::File;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wsk_abi::NtStatus;
use wsk_core::transport::{Event, Family, Operation, Protocol, Report, Token, Transport};
use wsk_host::{Choice, HostTransport};

fn out_of_descriptors(choice: Choice) {
    let transport = match HostTransport::new(choice) {
        Ok(transport) => transport,
        Err(error) if std::env::var_os("WSK_TEST_ALLOW_NO_URING").is_some() => {
            eprintln!("=== NOT TESTED: the io_uring arm cannot run here: {error} ===");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let mut driver = transport.open_driver(0).unwrap();
    let listener = transport.create(Family::V4, Protocol::Tcp).unwrap();
    let address = listener.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
    listener.listen().unwrap();
    let peer = TcpStream::connect(address).unwrap();
    driver.submit(Token(0), Operation::Attach(listener));

    let before = getrlimit(Resource::Nofile);
    let next = File::open("/dev/null").unwrap().as_raw_fd() as u64;
    setrlimit(Resource::Nofile, Rlimit { current: Some(next), maximum: before.maximum }).unwrap();
    let mut reports = Vec::new();
    for _ in 0..2 {
        driver.submit(Token(0), Operation::AcceptStart);
        driver.poll(true, &mut reports).unwrap();
        let stopped = reports.pop().map(|report| report.event);
        assert!(matches!(stopped, Some(Event::AcceptStopped(Err(NtStatus::INSUFFICIENT_RESOURCES)))), "{stopped:?}");
        assert!(reports.is_empty());
    }
    assert_eq!(transport.create(Family::V4, Protocol::Tcp).err(), Some(NtStatus::INSUFFICIENT_RESOURCES));
    setrlimit(Resource::Nofile, before).unwrap();
    driver.submit(Token(0), Operation::AcceptStart);
    driver.poll(true, &mut reports).unwrap();
    let Some(Report { event: Event::Accepted(incoming), .. }) = reports.pop() else { panic!("the connection waits") };
    assert_eq!(incoming.remote, peer.local_addr().unwrap());
}

#[test]
fn accepting_stops_and_resumes() {
    out_of_descriptors(Choice::Uring);
    out_of_descriptors(Choice::Epoll);
}
