//! An idiomatic tokio echo server: a task and an 8 KiB buffer per connection, Nagle off.

use std::net::SocketAddr;
use std::process::ExitCode;

use bench::{args::Args, net};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Builder;

const USAGE: &str = "\
Echo server on tokio. Runs until SIGINT or SIGTERM.

  --listen ADDR   address to listen on (127.0.0.1:0)
  --udp           datagrams instead of TCP
  --threads N     worker threads; 1 is the current_thread runtime (1)";

fn main() -> ExitCode {
    bench::main_with(|| {
        let mut args = Args::from_env(USAGE);
        let listen: SocketAddr = args.value("--listen", ([127, 0, 0, 1], 0).into())?;
        let udp = args.flag("--udp");
        let threads: usize = args.value("--threads", 1)?;
        args.finish()?;
        net::raise_open_files(1 << 16)?;
        let runtime = match threads {
            0 | 1 => Builder::new_current_thread().enable_io().build()?,
            _ => Builder::new_multi_thread().worker_threads(threads).enable_io().build()?,
        };
        // Spawned, as the root future of a multi-threaded runtime does not run on a worker.
        runtime.block_on(async move {
            let server = async move {
                let served = if udp { serve_udp(listen).await } else { serve_tcp(listen).await };
                served.map_err(|error| error.to_string())
            };
            Ok(tokio::spawn(server).await??)
        })
    })
}

async fn serve_tcp(address: SocketAddr) -> std::io::Result<()> {
    let listener = net::listen(address, false)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener.into())?;
    net::announce(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A client that resets its connection is its own business.
            let _ = echo(stream).await;
        });
    }
}

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 8192];
    loop {
        let received = stream.read(&mut buffer).await?;
        if received == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..received]).await?;
    }
}

async fn serve_udp(address: SocketAddr) -> std::io::Result<()> {
    let socket = net::bind_udp(address, false)?;
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(socket.into())?;
    net::announce(socket.local_addr()?)?;
    let mut buffer = vec![0; 65536];
    loop {
        let (received, peer) = socket.recv_from(&mut buffer).await?;
        let _ = socket.send_to(&buffer[..received], peer).await;
    }
}
