//! Python's sockets as the other end: not our own idea of a peer.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use crate::support::{Acceptor, Arm, Conn, Dgram, Finish, World, arms, v4};
use wsk::{ConnectionEvents, ConnectionSocket, EventFlags, EventMask, Family, Indication, Receive, ReceiveFrom};

arms!(host: tcp_echo_of_ten_megabytes, tcp_echo_by_functions, udp, dual_mode, python_as_the_server);

/// A Python program, and what it prints.
pub(crate) struct Python {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Python {
    pub(crate) fn run(program: &str, arguments: &[String]) -> Self {
        let prelude = "import socket, sys, hashlib\nsocket.setdefaulttimeout(60)\n";
        let mut child = Command::new("python3")
            .args(["-c", &format!("{prelude}{program}")])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs; the tests need it as a peer");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, out }
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("python prints");
        line.trim_end().to_owned()
    }

    /// Prints a line to its standard input.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().expect("piped"), "{line}").expect("python reads");
    }

    pub(crate) fn ok(mut self) {
        assert_eq!(self.line(), "ok");
        assert!(self.child.wait().expect("python ends").success());
    }
}

const ECHO_CLIENT: &str = "
import threading
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
data = bytes(i * 7 % 251 for i in range(1 << 16)) * 160
def send():
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
t = threading.Thread(target=send); t.start()
got = hashlib.sha256(); n = 0
while piece := s.recv(1 << 16):
    got.update(piece); n += len(piece)
t.join()
assert n == len(data), (n, len(data))
assert got.digest() == hashlib.sha256(data).digest()
print('ok')
";

/// Echoes by callbacks and ends its side when the peer has.
struct Echo;

impl ConnectionEvents for Echo {
    fn receive(&self, socket: &ConnectionSocket, data: Indication) -> Receive {
        socket.send(data).detach();
        Receive::Accepted
    }

    fn disconnect(&self, socket: &ConnectionSocket, flags: EventFlags) {
        assert!(!flags.contains(EventFlags::ABORTIVE));
        let last = socket.reference();
        socket.disconnect().on_complete(move |_| last.close().detach());
    }
}

fn echo_listener(world: &World) -> (wsk::ListenSocket, u16, crate::support::Inbox<ConnectionSocket>) {
    let (acceptor, sockets, _) = Acceptor::new(Some(Arc::new(Echo)));
    let listener = world.client.listen_socket(Family::V6, Some(Arc::new(acceptor))).unwrap();
    listener.set(wsk::option::V6Only(false)).unwrap();
    listener.bind("[::]:0".parse().unwrap()).ok();
    listener.enable(EventMask::ACCEPT | EventMask::RECEIVE | EventMask::DISCONNECT).unwrap();
    let port = listener.local_address().unwrap().port();
    (listener, port, sockets)
}

fn tcp_echo_of_ten_megabytes(arm: Arm) {
    let world = arm.world();
    let (_listener, port, sockets) = echo_listener(&world);
    let python = Python::run(ECHO_CLIENT, &["127.0.0.1".into(), port.to_string()]);
    let _socket = sockets.next();
    python.ok();
}

fn tcp_echo_by_functions(arm: Arm) {
    let world = arm.world();
    let (listener, address) = world.listener(None);
    let python = Python::run(ECHO_CLIENT, &["127.0.0.1".into(), address.port().to_string()]);
    let socket = listener.accept().ok();
    let mut buffer = vec![0; 100_000];
    loop {
        let received = socket.receive(buffer).ok();
        let len = received.len();
        if len == 0 {
            break;
        }
        let mut bytes = received.into_buffer();
        bytes.truncate(len);
        buffer = socket.send(bytes).ok().into_buffer();
        buffer.resize(100_000, 0);
    }
    socket.disconnect().ok();
    python.ok();
    socket.close().ok();
}

fn dual_mode(arm: Arm) {
    let world = arm.world();
    let (_listener, port, sockets) = echo_listener(&world);
    for (host, shown) in [("127.0.0.1", "::ffff:127.0.0.1"), ("::1", "::1")] {
        let python = Python::run(ECHO_CLIENT, &[host.into(), port.to_string()]);
        let socket = sockets.next();
        assert_eq!(socket.remote_address().unwrap().ip().to_string(), shown);
        python.ok();
    }
}

fn udp(arm: Arm) {
    let world = arm.world();
    let (dgram, _seen) = Dgram::answering(|socket, datagrams| {
        for datagram in datagrams {
            let source = datagram.source();
            socket.send_to(datagram, source).detach();
        }
        ReceiveFrom::Accepted
    });
    let socket = world.client.datagram_socket(Family::V4, Some(dgram)).unwrap();
    socket.bind(v4()).ok();
    socket.enable(EventMask::RECEIVE_FROM).unwrap();
    let program = "
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
to = ('127.0.0.1', int(sys.argv[1]))
for i in range(500):
    data = bytes([i % 256]) * (i * 131 % 60000)
    s.sendto(data, to)
    assert s.recvfrom(65535) == (data, to), i
print('ok')
";
    Python::run(program, &[socket.local_address().unwrap().port().to_string()]).ok();
    socket.close().ok();
}

fn python_as_the_server(arm: Arm) {
    let world = arm.world();
    let program = "
l = socket.create_server(('127.0.0.1', 0))
print(l.getsockname()[1], flush=True)
s, _ = l.accept()
n = 0
while piece := s.recv(1 << 16):
    n += len(piece)
s.sendall(str(n).encode())
s.shutdown(socket.SHUT_WR)
sys.stdin.readline()
try:
    assert s.recv(1) == b''
except ConnectionResetError:
    sys.exit('both sides had ended, so no reset was due')
print('ok')
";
    let mut python = Python::run(program, &[]);
    let address = format!("127.0.0.1:{}", python.line()).parse().unwrap();
    let (recorder, seen) = Conn::recorder();
    let socket = world.client.socket_connect(v4(), address, Some(recorder)).ok();
    socket.enable(EventMask::RECEIVE | EventMask::DISCONNECT).unwrap();
    socket.disconnect_with(crate::support::pattern(3_000_000), wsk::DisconnectFlags::empty()).ok();
    assert_eq!(seen.data(7), b"3000000");
    assert_eq!(seen.next(), crate::support::Seen::Disconnect { abortive: false });
    socket.close().ok();
    python.tell("closed");
    python.ok();
}
