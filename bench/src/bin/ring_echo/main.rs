//! The yardstick: an echo loop written by hand for io_uring, with nothing around it.
//!
//! Per thread: one ring (single issuer, deferred task running), multishot accept into direct descriptors, multishot receive
//! into a ring of provided buffers, the answer sent out of that same buffer, one io_uring_enter per batch.

mod tcp;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;

use bench::{args::Args, net};
use io_uring::squeue::Entry;
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter};

const USAGE: &str = "\
Echo server on io_uring, written by hand. Runs until SIGINT or SIGTERM.

  --listen ADDR   address to listen on (127.0.0.1:0)
  --udp           datagrams of up to 8 KiB instead of TCP
  --threads N     rings, each with a listener on the same port (1)
  --await-sends   TCP: recycle a buffer at its send's completion, as code that cannot insist on an immediate send must";

/// Of every provided buffer.
const BUFFER: usize = 8192;
/// How many there are. The kernel hands them out in turn, so that more than bursts need would only cost cache misses; with 64
/// receives starve at a thousand connections.
const BUFFERS: u16 = 512;

fn main() -> ExitCode {
    bench::main_with(|| {
        let mut args = Args::from_env(USAGE);
        let listen: SocketAddr = args.value("--listen", ([127, 0, 0, 1], 0).into())?;
        let udp = args.flag("--udp");
        let threads: usize = args.value("--threads", 1)?;
        args.finish()?;
        let open_files = net::raise_open_files(1 << 16)?;
        let share = threads > 1;
        let socket = |address| match udp {
            true => net::bind_udp(address, share),
            false => net::listen(address, share),
        };
        let first = socket(listen)?;
        let address = net::local_address(&first)?;
        let mut sockets = vec![first];
        for _ in 1..threads {
            sockets.push(socket(address)?);
        }
        net::announce(address)?;
        let workers: Vec<_> = sockets
            .into_iter()
            .map(|socket| {
                thread::spawn(move || match udp {
                    true => udp::serve(&socket),
                    false => tcp::serve(&socket, open_files.min(1 << 16) as u32),
                })
            })
            .collect();
        for worker in workers {
            match worker.join() {
                Ok(served) => served?,
                Err(_) => return Err("a worker panicked".into()),
            }
        }
        Ok(())
    })
}

/// A ring for the calling thread, which must be the only one to use it.
fn ring() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_no_sqarray()
        .setup_cqsize(4096)
        .build(1024)
}

/// Queues an entry; a full queue is submitted first.
///
/// # Safety
///
/// What the entry points to must stay valid until its completion.
unsafe fn push(sq: &mut SubmissionQueue<'_>, submitter: &Submitter<'_>, entry: &Entry) {
    loop {
        // SAFETY: the caller's promise.
        if unsafe { sq.push(entry) }.is_ok() {
            return;
        }
        sq.sync();
        submitter.submit().expect("io_uring_enter");
        sq.sync();
    }
}

/// Submits all that is queued and waits for a completion. Those fetched before are over: as long as the kernel believes them
/// unread, it does not wait.
fn submit_and_wait(
    submitter: &Submitter<'_>,
    sq: &mut SubmissionQueue<'_>,
    cq: &mut CompletionQueue<'_>,
) -> io::Result<()> {
    cq.sync();
    loop {
        sq.sync();
        match submitter.submit_and_wait(1) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        sq.sync();
        if sq.is_empty() {
            cq.sync();
            return Ok(());
        }
    }
}
