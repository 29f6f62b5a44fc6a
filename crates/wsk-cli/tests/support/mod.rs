//! Building and running drivers with the `wsk` command, and peers for those that serve.
#![allow(dead_code, unreachable_pub)] // Each test crate uses a part.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Whatever takes longer hangs.
pub const HANGS: Duration = Duration::from_secs(60);
pub const COMPILERS: [&str; 2] = ["gcc", "clang"];
pub const TRANSPORTS: [&str; 2] = ["uring", "epoll"];

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the crate lies in the repository")
}

pub fn wsk(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsk"));
    command.args(arguments).env_remove("WSK_TRANSPORT");
    command
}

pub fn output(arguments: &[&str]) -> Output {
    wsk(arguments).output().expect("the command starts")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A directory for what a test builds.
pub fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Builds a driver from a source of `drivers/`, or of the tests, with macros defined; its path below `directory`.
pub fn build(directory: &tempfile::TempDir, source: &str, compiler: &str, macros: &[&str]) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drivers").join(source);
    let source = if own.is_file() { own } else { root().join("drivers").join(source) };
    let driver = directory.path().join(source.with_extension("sys").file_name().expect("a file"));
    let defines: Vec<String> = macros.iter().map(|name| format!("-D{name}")).collect();
    let include = format!("-I{}", root().join("drivers").display());
    let output = wsk(&["build"])
        .args([&source, Path::new("-o"), &driver])
        .args(["--compiler", compiler, "--", "-Werror", &include])
        .args(&defines)
        .output()
        .expect("the command starts");
    assert!(output.status.success(), "building {source:?} with {compiler}:\n{}", text(&output.stderr));
    driver
}

/// Runs drivers to their end; stdout, stderr and exit status.
pub fn run(drivers: &[&Path], arguments: &[&str]) -> (String, String, Option<i32>) {
    let (lines, errors, status) = Running::start(drivers, arguments).end();
    (lines.iter().map(|line| format!("{line}\n")).collect(), errors, status)
}

/// A `wsk run` under way.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    errors: mpsc::Receiver<String>,
}

/// The lines of a pipe, read as they come.
fn lines(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    let mut reader = BufReader::new(pipe);
    std::thread::spawn(move || {
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let _ = sender.send(text(&line).trim_end_matches('\n').to_owned());
            line.clear();
        }
    });
    lines
}

/// The lines that are left, to the end of the pipe, which is the end of the process; `None` if that does not come.
fn rest(lines: &mpsc::Receiver<String>, limit: Instant) -> Option<Vec<String>> {
    let mut rest = Vec::new();
    loop {
        match lines.recv_timeout(limit.saturating_duration_since(Instant::now())) {
            Ok(line) => rest.push(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Some(rest),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                eprintln!("{}", rest.join("\n"));
                return None;
            }
        }
    }
}

impl Running {
    pub fn start(drivers: &[&Path], arguments: &[&str]) -> Self {
        let mut child = wsk(&["run"])
            .args(drivers)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        Self { child, lines: lines(stdout), errors: lines(stderr) }
    }

    /// The next line of a driver's output, without the driver's name.
    pub fn line(&self) -> String {
        let line = self.lines.recv_timeout(HANGS).expect("a line of output");
        line.split_once(": ").map_or(line.clone(), |(_, text)| text.to_owned())
    }

    /// Reads on until a line begins so; the rest of it.
    pub fn wait_for(&self, beginning: &str) -> String {
        loop {
            if let Some(rest) = self.line().strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
    }

    /// The port a driver says that it listens on.
    pub fn port(&self) -> u16 {
        let address = self.wait_for("listening on ");
        address.parse::<SocketAddr>().expect("an address").port()
    }

    /// Ctrl-C; the lines that were not read, stderr, and the exit status.
    pub fn interrupt(self) -> (Vec<String>, String, Option<i32>) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it runs");
        self.end()
    }

    /// Waits for its end; the lines that were not read, stderr, and the exit status. Whatever takes too long is killed, and
    /// has failed.
    #[track_caller]
    pub fn end(mut self) -> (Vec<String>, String, Option<i32>) {
        let limit = Instant::now() + HANGS;
        let errors = rest(&self.errors, limit);
        let output = rest(&self.lines, limit);
        let (Some(output), Some(errors)) = (output, errors) else { panic!("it does not end") };
        let errors: String = errors.iter().map(|line| format!("{line}\n")).collect();
        (output, errors, self.child.wait().expect("it ends").code())
    }

    /// Ctrl-C; it ends cleanly.
    pub fn ends_cleanly(self) {
        let (_, errors, status) = self.interrupt();
        assert_eq!(status, Some(0), "{errors}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill(); // of a test that has failed
        let _ = self.child.wait();
    }
}

/// IPv4 and IPv6.
pub fn both(port: u16) -> [SocketAddr; 2] {
    [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]
}

fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 257 + seed * 7) as u8).collect()
}

/// Sends a stream and its end; all of it comes back, then the end.
pub fn echoes_stream(address: SocketAddr, seed: usize, length: usize) {
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(HANGS)).expect("a timeout");
    let sent = pattern(seed, length);
    let mut sender = stream.try_clone().expect("a second handle");
    let mut answer = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            sender.write_all(&sent).expect("sent");
            sender.shutdown(std::net::Shutdown::Write).expect("the end sent");
        });
        stream.read_to_end(&mut answer).expect("the answer and the end");
    });
    assert!(answer == sent, "{} of {} bytes came back, or others", answer.len(), sent.len());
}

/// Many clients at once; every fifth resets its connection mid-stream.
pub fn echoes_many(port: u16, clients: usize) {
    std::thread::scope(|scope| {
        for client in 0..clients {
            let address = both(port)[client % 2];
            scope.spawn(move || {
                if client % 5 == 4 { resets(address) } else { echoes_stream(address, client, 60_000 + client * 997) }
            });
        }
    });
}

/// Sends something, and resets the connection with data under way.
fn resets(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    stream.write_all(&pattern(1, 30_000)).expect("sent");
    let linger = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
    linger.expect("lingers not at all");
}

pub fn echoes_datagrams(address: SocketAddr) {
    let local: SocketAddr =
        if address.is_ipv4() { (Ipv4Addr::LOCALHOST, 0).into() } else { (Ipv6Addr::LOCALHOST, 0).into() };
    let socket = UdpSocket::bind(local).expect("a socket");
    socket.set_read_timeout(Some(HANGS)).expect("a timeout");
    for length in [5, 0, 1400] {
        let sent = pattern(length, length);
        socket.send_to(&sent, address).expect("sent");
        let mut buffer = [0; 2000];
        let (received, source) = socket.recv_from(&mut buffer).expect("an answer");
        assert_eq!((&buffer[..received], source), (&sent[..], address));
    }
}
