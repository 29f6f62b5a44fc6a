//! The `wsk` command as a user meets it: what it prints, what it serves, how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use wsk::{Choice, Provider};

/// Whatever takes longer hangs.
const HANGS: Duration = Duration::from_secs(30);
const MODELS: [&str; 3] = ["functions", "callbacks", "static"];
const DRIVERS: [(&str, Choice); 2] = [("uring", Choice::Uring), ("epoll", Choice::Epoll)];

fn wsk(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsk"));
    command.args(arguments).env_remove("WSK_TRANSPORT");
    command
}

fn output(arguments: &[&str]) -> Output {
    wsk(arguments).output().expect("the command starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The drivers that work here. One that `WSK_EXPECT_ARMS` names has to.
fn drivers() -> impl Iterator<Item = &'static str> {
    let expected = std::env::var("WSK_EXPECT_ARMS").unwrap_or_default();
    DRIVERS.into_iter().filter_map(move |(name, choice)| match Provider::builder().host(choice).start() {
        Ok(_) => Some(name),
        Err(error) => {
            assert!(!expected.split(',').any(|arm| arm.trim() == name), "{name} is expected, but: {error}");
            let _ = writeln!(std::io::stderr(), "=== SKIPPED: {name} cannot run here: {error} ===");
            None
        }
    })
}

/// A running `wsk echo`.
struct Echo {
    child: Child,
    /// Kept open: the command prints to it.
    _stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Echo {
    fn start(arguments: &[&str]) -> Self {
        let mut child = wsk(&["echo"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the command starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        let address = line.trim_end().strip_prefix("listening on ").unwrap_or_else(|| panic!("printed {line:?}"));
        Self { address: address.parse().expect("an address"), child, _stdout: stdout }
    }

    /// Ctrl-C; it ends with status 0.
    fn interrupt(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it runs");
        let status = self.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(0), "after SIGINT: {status}");
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill(); // of a test that has failed
        let _ = self.child.wait();
    }
}

/// Sends two pieces and the end of the stream; all of it comes back.
fn echoes_stream(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(HANGS)).expect("a timeout");
    stream.write_all(b"hello").expect("sent");
    let mut first = [0; 5];
    stream.read_exact(&mut first).expect("an answer");
    assert_eq!(&first, b"hello");

    let big: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let mut sender = stream.try_clone().expect("a second handle");
    let mut answer = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            sender.write_all(&big).expect("sent");
            sender.shutdown(std::net::Shutdown::Write).expect("the end sent");
        });
        stream.read_to_end(&mut answer).expect("the answer and the end");
    });
    assert!(answer == big, "{} of {} bytes came back, or others", answer.len(), big.len());
}

fn echoes_datagram(address: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(HANGS)).expect("a timeout");
    for datagram in [&b"hello"[..], &[], &[7; 1400]] {
        socket.send_to(datagram, address).expect("sent");
        let mut buffer = [0; 2000];
        let (len, source) = socket.recv_from(&mut buffer).expect("an answer");
        assert_eq!((&buffer[..len], source), (datagram, address));
    }
}

#[test]
fn echo_serves_streams_in_each_model() {
    for model in MODELS {
        let echo = Echo::start(&["--listen", "127.0.0.1:0", "--model", model]);
        echoes_stream(echo.address);
        echoes_stream(echo.address);
        echo.interrupt();
    }
}

#[test]
fn echo_serves_datagrams_in_each_model() {
    for model in MODELS {
        let echo = Echo::start(&["--listen", "127.0.0.1:0", "--udp", "--model", model]);
        echoes_datagram(echo.address);
        echo.interrupt();
    }
}

#[test]
fn echo_serves_on_each_driver() {
    for driver in drivers() {
        let echo = Echo::start(&["--listen", "127.0.0.1:0", "--transport", driver, "--processors", "2"]);
        echoes_stream(echo.address);
        echo.interrupt();
    }
}

#[test]
fn echo_is_reached_by_ipv4_on_a_dual_mode_socket() {
    if let Err(error) = TcpListener::bind("[::]:0") {
        let _ = writeln!(std::io::stderr(), "=== SKIPPED: no IPv6 here: {error} ===");
        return;
    }
    for model in MODELS {
        let echo = Echo::start(&["--listen", "[::]:0", "--model", model]);
        echoes_stream(SocketAddr::from(([127, 0, 0, 1], echo.address.port())));
        echoes_stream(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], echo.address.port())));
        echo.interrupt();
        let echo = Echo::start(&["--listen", "[::]:0", "--udp", "--model", model]);
        echoes_datagram(SocketAddr::from(([127, 0, 0, 1], echo.address.port())));
        echo.interrupt();
    }
}

#[test]
fn echo_ends_while_connections_are_open() {
    let echo = Echo::start(&["--listen", "127.0.0.1:0"]);
    let mut stream = TcpStream::connect(echo.address).expect("the server accepts");
    stream.write_all(b"?").expect("sent");
    stream.read_exact(&mut [0]).expect("an answer");
    echo.interrupt();
}

#[test]
fn demo_reports_every_model_as_json() {
    for driver in drivers() {
        let output = output(&["demo", "--seconds", "1", "--connections", "16", "--json", "--transport", driver]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object on standard output");
        assert_eq!(report["transport"], driver);
        assert_ne!(report["reason"], "");
        assert!(report["kernel"].as_str().is_some_and(|kernel| kernel.starts_with("Linux ")), "{report}");
        let models = report["models"].as_array().expect("a list");
        let names: Vec<_> = models.iter().map(|model| model["model"].as_str().unwrap_or_default()).collect();
        assert_eq!(names, ["functions", "callbacks", "static callbacks"]);
        for model in models {
            assert!(model["requests"].as_u64() > Some(0), "{model}");
            assert!(model["p99_us"].as_f64() >= model["p50_us"].as_f64(), "{model}");
            assert!(model["system_calls_per_request"].as_f64() > Some(0.0), "{model}");
        }
        // The functions model has 16 accepts queued whatever happens; the others at most the sends under way.
        let queued = |model: &Value| model["requests_queued"].as_u64().expect("a number");
        assert!(queued(&models[0]) >= 16, "{report}");
        assert!(queued(&models[1]) < queued(&models[0]) && queued(&models[2]) < queued(&models[0]), "{report}");
    }
}

#[test]
fn demo_prints_a_plain_table_when_nobody_watches() {
    let output = output(&["demo", "--seconds", "1", "--connections", "3", "--size", "3000"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(table.is_ascii() && !table.contains('\x1b'), "{table}");
    for line in ["| functions ", "| callbacks ", "| static callbacks ", "\ndriver "] {
        assert!(table.contains(line), "no {line:?} in\n{table}");
    }
    assert_eq!(text(&output.stderr), "", "no progress without a terminal");
}

/// The command ends with status 2 and says each of `hints`.
fn refused(arguments: &[&str], hints: &[&str]) {
    let output = output(arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    for hint in hints {
        assert!(said.contains(hint), "{arguments:?} does not say {hint:?} but\n{said}");
    }
}

#[test]
fn bad_arguments_are_refused_with_advice() {
    for command in [&["demo"][..], &["echo", "--listen", "127.0.0.1:0"]] {
        refused(&[command, &["--transport", "foo"]].concat(), &["foo", "--transport", "uring", "epoll"]);
    }
    refused(&["echo", "--listen", "nonsense"], &["nonsense", "127.0.0.1:7000"]);
    refused(&["echo", "--listen", "127.0.0.1:0", "--model", "foo"], &["functions", "callbacks", "static"]);
    refused(&["echo"], &["--listen"]);
    refused(&["demo", "--seconds", "0"], &["--seconds"]);
    refused(&["demo", "--connections", "0"], &["--connections"]);
    refused(&["serve"], &["serve", "--help"]);
}

/// The lines of `wsk options`, with such arguments.
fn options(arguments: &[&str]) -> Vec<String> {
    let output = output(&[&["options"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn options_and_ioctls_are_listed_each_on_a_line_of_its_own() {
    let lines = options(&[]);
    assert!(lines.iter().all(|line| line.is_ascii() && line.len() <= 130), "{lines:#?}");
    let named = |name: &str| lines.iter().filter(|line| line.split(' ').next() == Some(name)).count();
    for row in wsk::option::TABLE {
        let same = wsk::option::TABLE.iter().filter(|other| other.name == row.name).count();
        assert_eq!(named(row.name), same, "{}", row.name);
    }
    for row in wsk_npi::IOCTLS {
        assert_eq!(named(row.name), 1, "{}", row.name);
    }
    let words = |name: &str| {
        let line = lines.iter().find(|line| line.starts_with(name)).expect("it is there");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(words("SO_KEEPALIVE "), "SO_KEEPALIVE SOCKET 8 LC any get set flag 0 Linux 1/9");
    assert_eq!(words("IP_ECN "), "IP_ECN IP 50 D any get set flag 0 part of Linux 0/13");
    assert_eq!(words("IPV6_V6ONLY "), "IPV6_V6ONLY IPV6 27 LDC unbound get set flag 1 Linux 41/26, set at birth");
    assert_eq!(words("SO_SNDTIMEO "), "SO_SNDTIMEO SOCKET 0x1005 LDC any get set any number not offered");
    assert_eq!(words("SIO_RCVALL "), "SIO_RCVALL 0x98000001 not offered");
}

#[test]
fn options_are_found_by_any_part_of_their_line() {
    let named = |arguments: &[&str]| -> Vec<String> {
        let lines = options(arguments);
        let first = lines.iter().filter_map(|line| line.split(' ').next());
        first.filter(|word| word.contains('_')).map(str::to_owned).collect()
    };
    assert_eq!(named(&["PktInfo"]), ["IP_PKTINFO", "IP_PKTINFO_EX", "IPV6_PKTINFO", "IPV6_PKTINFO_EX"]);
    assert_eq!(named(&["0x1002"]), ["SO_RCVBUF"]);
    assert_eq!(named(&["redirected"]).len(), 3);
    assert!(named(&["not offered"]).contains(&"SIO_CPU_AFFINITY".to_owned()));
    refused(&["options", "nonsense"], &["nonsense", "next: wsk options lists all"]);
    refused(&["options", "a", "b"], &["--help"]);
}

#[test]
fn a_port_in_use_is_refused_with_advice() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = taken.local_addr().expect("its address").to_string();
    refused(&["echo", "--listen", &address], &[&address, "next: another socket has this port"]);
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = taken.local_addr().expect("its address").to_string();
    refused(&["echo", "--udp", "--listen", &address], &[&address, "next: another socket has this port"]);
}

#[test]
fn an_address_of_another_host_is_refused_with_advice() {
    refused(&["echo", "--listen", "192.0.2.1:7000"], &["192.0.2.1:7000", "next: this host has no such address"]);
}
