//! A TCP client: sends lines from standard input, prints what comes back. Its first argument is the server's address. Here
//! requests are awaited: they are futures, for any executor. The smallest one, `block_on`, is below.
//!
//! For those who know WSK: `socket_connect` is WskSocketConnect: create, bind and connect in one IRP.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io::{BufRead, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

use examples::{Result, address};
use wsk::{ClientDispatch, ConnectionSocket, Error, Provider, Registration, WaitTimeout};

fn main() -> Result<()> {
    let provider = Provider::start()?;
    let registration = Registration::register(&provider, ClientDispatch::default());
    let client = registration.capture(WaitTimeout::NoWait)?;

    let server = address()?;
    let local: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = block_on(client.socket_connect(SocketAddr::new(local, 0), server, None))?;

    thread::scope(|scope| {
        let answers = scope.spawn(|| block_on(print_answers(&socket)));
        block_on(send_lines(&socket))?;
        answers.join().expect("it does not panic")
    })?;
    block_on(socket.close())?;
    Ok(())
}

async fn send_lines(socket: &ConnectionSocket) -> std::result::Result<(), Error> {
    for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
        socket.send((line + "\n").into_bytes()).await?;
    }
    // The end of our stream; that of the server may still come.
    socket.disconnect().await?;
    Ok(())
}

async fn print_answers(socket: &ConnectionSocket) -> std::result::Result<(), Error> {
    let mut buffer = vec![0; 4096];
    loop {
        let received = socket.receive(buffer).await?;
        if received.is_empty() {
            return Ok(()); // the end of the server's stream
        }
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(received.bytes()).and_then(|()| out.flush());
        buffer = received.into_buffer();
    }
}

/// Runs a future on this thread, which sleeps until the future can go on.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}
