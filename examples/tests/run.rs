//! Starts every example and talks to it with the standard library's sockets.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustix::process::{Pid, Signal, kill_process};

/// Whatever takes longer hangs.
const HANGS: Duration = Duration::from_secs(30);

/// A running example that listens.
struct Server {
    child: Child,
    /// The example may print more.
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Server {
    fn start(program: &str) -> Self {
        let mut child = Command::new(program).stdout(Stdio::piped()).spawn().expect("the example starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        let address = line.trim_end().strip_prefix("listening on ").unwrap_or_else(|| panic!("printed {line:?}"));
        Self { address: address.parse().expect("an address"), child, stdout }
    }

    /// The next line it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Ctrl-C; it ends with status 0.
    fn interrupt(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it runs");
        let status = self.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(0), "after SIGINT: {status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // of a test that has failed
        let _ = self.child.wait();
    }
}

fn echoes_streams(program: &str) {
    let server = Server::start(program);
    let connect = || {
        let stream = TcpStream::connect(server.address).expect("it accepts");
        stream.set_read_timeout(Some(HANGS)).expect("a timeout");
        stream
    };
    let mut idle = connect();
    for _ in 0..3 {
        let mut stream = connect();
        for text in [&b"hello"[..], &[7; 20_000]] {
            stream.write_all(text).expect("sent");
            let mut answer = vec![0; text.len()];
            stream.read_exact(&mut answer).expect("an answer");
            assert_eq!(answer, text);
        }
        stream.shutdown(Shutdown::Write).expect("the end sent");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("the end, not a reset");
        assert!(rest.is_empty());
    }
    idle.write_all(b"?").expect("sent");
    idle.read_exact(&mut [0]).expect("an answer");
    server.interrupt(); // with a connection open
}

#[test]
fn echo_functions() {
    echoes_streams(env!("CARGO_BIN_EXE_echo_functions"));
}

#[test]
fn echo_callbacks() {
    echoes_streams(env!("CARGO_BIN_EXE_echo_callbacks"));
}

#[test]
fn echo_static() {
    echoes_streams(env!("CARGO_BIN_EXE_echo_static"));
}

#[test]
fn udp_echo_callbacks() {
    let server = Server::start(env!("CARGO_BIN_EXE_udp_echo_callbacks"));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.set_read_timeout(Some(HANGS)).expect("a timeout");
    for text in [&b"hello"[..], &[], &[7; 1400]] {
        socket.send_to(text, server.address).expect("sent");
        let mut buffer = [0; 2000];
        let (len, source) = socket.recv_from(&mut buffer).expect("an answer");
        assert_eq!((&buffer[..len], source), (text, server.address));
    }
    server.interrupt();
}

/// C-42: packets of both families at one socket.
#[test]
fn packet_info() {
    let mut server = Server::start(env!("CARGO_BIN_EXE_packet_info"));
    let port = server.address.port();
    for (local, shown, hops) in [("127.0.0.1", "::ffff:127.0.0.1", 9), ("::1", "::1", 64)] {
        let ip: IpAddr = local.parse().expect("an address");
        let client = UdpSocket::bind((ip, 0)).expect("a socket");
        if ip.is_ipv4() {
            client.set_ttl(hops).expect("a TTL");
        }
        client.send_to(b"hello", (ip, port)).expect("sent");
        let from = SocketAddr::new(shown.parse().expect("an address"), client.local_addr().expect("bound").port());
        let line = server.line();
        assert!(line.starts_with(&format!("5 bytes from {from} to {ip}, interface ")), "{line}");
        assert!(line.ends_with(&format!(", hop limit {hops}")), "{line}");
    }
    server.interrupt();
}

#[test]
fn conditional_accept() {
    let server = Server::start(env!("CARGO_BIN_EXE_conditional_accept"));
    for _ in 0..3 {
        assert_eq!(greeting(server.address, |port| port % 4 == 2).as_deref(), Some("welcome\n"));
        assert_eq!(greeting(server.address, |port| port % 2 == 1), None, "refused");
    }
    server.interrupt();
}

#[test]
fn conditional_accept_decides_later() {
    let server = Server::start(env!("CARGO_BIN_EXE_conditional_accept"));
    for _ in 0..20 {
        assert_eq!(greeting(server.address, |port| port % 4 == 0).as_deref(), Some("welcome\n"));
    }
    server.interrupt();
}

/// What the server says to a connection from a port of this kind; `None` if it refuses it.
fn greeting(server: SocketAddr, wanted: fn(u16) -> bool) -> Option<String> {
    // The standard library cannot connect from a chosen port.
    let ports = (20_000..30_000).filter(|port| wanted(*port));
    let (socket, _) = ports
        .filter_map(|port| {
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
            bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok().then_some((socket, port))
        })
        .next()
        .expect("a port is free");
    if let Err(error) = connect(&socket, &server) {
        assert_eq!(std::io::Error::from(error).kind(), ErrorKind::ConnectionRefused);
        return None;
    }
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(HANGS)).expect("a timeout");
    let mut text = String::new();
    match stream.read_to_string(&mut text) {
        Ok(_) => Some(text),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            None
        }
    }
}

#[test]
fn client() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let address = listener.local_addr().expect("its address").to_string();
    let mut client = Command::new(env!("CARGO_BIN_EXE_client"))
        .arg(address)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let mut stdin = client.stdin.take().expect("piped");
    let mut stdout = BufReader::new(client.stdout.take().expect("piped"));
    let (mut server, _) = listener.accept().expect("it connects");
    server.set_read_timeout(Some(HANGS)).expect("a timeout");

    let mut lines = BufReader::new(server.try_clone().expect("a second handle"));
    for text in ["hello\n", "Wörld\n"] {
        stdin.write_all(text.as_bytes()).expect("typed");
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        assert_eq!(line, text);
        server.write_all(line.to_uppercase().as_bytes()).expect("answered");
        line.clear();
        stdout.read_line(&mut line).expect("the answer");
        assert_eq!(line, text.to_uppercase());
    }
    drop(stdin);
    assert_eq!(lines.read_line(&mut String::new()).expect("the end, not a reset"), 0);
    server.write_all(b"bye\n").expect("sent after its end");
    drop((lines, server));
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("what was left");
    assert_eq!(rest, "bye\n");
    assert!(client.wait().expect("it ends").success());
}

#[test]
fn client_says_why_it_cannot_connect() {
    let closed =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a port");
    let output = Command::new(env!("CARGO_BIN_EXE_client")).arg(closed.to_string()).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.to_uppercase().contains("REFUSED"), "{said}");
}
