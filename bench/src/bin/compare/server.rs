//! One server process: started on its CPU, asked for its address, ended by SIGINT.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bench::{Result, cpu};

/// How long a server may take to say where it listens, and to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server to compare.
pub(super) struct Arm {
    pub(super) name: String,
    pub(super) program: PathBuf,
    arguments: Vec<String>,
}

impl Arm {
    pub(super) fn new(name: &str, program: PathBuf, arguments: &[&str]) -> Arm {
        let arguments = arguments.iter().chain(&["--listen", "127.0.0.1:0"]);
        Arm { name: name.into(), program, arguments: arguments.map(|word| word.to_string()).collect() }
    }
}

/// A running server; dropped, it is ended.
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Server {
    /// Starts a fresh process and waits for its `listening on ADDR`.
    pub(super) fn start(arm: &Arm, pin: Option<usize>) -> Result<Server> {
        let mut command = Command::new(&arm.program);
        command.args(&arm.arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        if let Some(cpu) = pin {
            // SAFETY: between fork and exec, and async-signal-safe.
            unsafe { command.pre_exec(move || cpu::pin(cpu)) };
        }
        let mut child = command.spawn()?;
        let (sender, receiver) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        // Reads to the end, so that a server that says more does not block on a full pipe.
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let mut server = Server { child, address: ([0, 0, 0, 0], 0).into() };
        let line = receiver.recv_timeout(PATIENCE).map_err(|_| "did not say where it listens")?;
        let address = line
            .strip_prefix("listening on ")
            .ok_or_else(|| format!("expected `listening on ADDR` as the first line, got {line:?}"))?;
        server.address = address.trim().parse().map_err(|_| format!("bad address in {line:?}"))?;
        Ok(server)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Bytes that this process alone holds.
    pub(super) fn private_bytes(&self) -> Result<u64> {
        let path = format!("/proc/{}/smaps_rollup", self.pid());
        let text = std::fs::read_to_string(path)?;
        let field = |name: &str| -> Option<u64> {
            let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split_whitespace().next()?.parse().ok()
        };
        let kib = field("Private_Clean:").zip(field("Private_Dirty:"));
        let (clean, dirty) = kib.ok_or("smaps_rollup without private pages")?;
        Ok((clean + dirty) * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: the child is not reaped yet, so the number is still its own.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGINT) };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                _ => return,
            }
        }
        eprintln!("WARNING: {} did not end on SIGINT; killed", self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
