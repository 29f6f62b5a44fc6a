//! A TCP echo server with socket functions: the program asks for each connection and for each piece of data, and brings its
//! own buffers. One thread per connection, which waits; `client` shows the same functions awaited.
//!
//! For those who know WSK: a `Request` is the IRP. `wait` stands for the completion routine that signals an event.
#![forbid(unsafe_code)]

use std::thread;

use examples::{Result, address};
use wsk::{ClientDispatch, ConnectionSocket, Error, Family, Provider, Registration, WaitTimeout};

fn main() -> Result<()> {
    // The subsystem (the kernel's part), a client of it (WskRegister), and its dispatch table (WskCaptureProviderNPI).
    let provider = Provider::start()?;
    let registration = Registration::register(&provider, ClientDispatch::default());
    let client = registration.capture(WaitTimeout::NoWait)?;

    // WskSocket; no event callbacks. A listening socket listens from its bind on.
    let address = address()?;
    let listener = client.listen_socket(Family::of(&address), None)?;
    listener.bind(address).wait()?;

    // Closing a socket completes what is still queued on it: the accept below then fails, and the loop ends.
    let handle = listener.reference();
    ctrlc::set_handler(move || handle.close().detach())?;
    println!("listening on {}", listener.local_address()?);

    thread::scope(|scope| {
        while let Ok(socket) = listener.accept().wait() {
            scope.spawn(move || {
                if let Err(error) = echo(&socket) {
                    eprintln!("a connection failed: {error}");
                }
            });
        }
        client.close_all(); // the threads that still wait for data get an error as well, and end
    });
    Ok(())
}

fn echo(socket: &ConnectionSocket) -> std::result::Result<(), Error> {
    let mut buffer = vec![0; 8192];
    loop {
        // The buffer belongs to the request until it completes, and comes back with the result.
        let received = socket.receive(buffer).wait()?;
        if received.is_empty() {
            break; // the peer has sent all it had to send
        }
        // What is sent is the vector's length, and what is received as well.
        let len = received.len();
        let mut data = received.into_buffer();
        data.truncate(len);
        buffer = socket.send(data).wait()?.into_buffer();
        buffer.resize(8192, 0);
    }
    // Our end of the stream too, then close. Without the disconnect, close would reset the connection.
    socket.disconnect().wait()?;
    socket.close().wait()
}
