//! `wsk echo`: an echo server until Ctrl-C.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc;

use wsk::{Choice, ClientDispatch, Provider, Registration, WaitTimeout};

use crate::server::{self, Model};

/// Serve echo until Ctrl-C.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to listen, such as 127.0.0.1:7000 or [::]:7000 (dual-mode); port 0 chooses one
    #[arg(long, value_name = "ADDR", value_parser = crate::address)]
    listen: SocketAddr,
    /// How the server does its I/O
    #[arg(long, value_enum, default_value = "static")]
    model: Model,
    /// UDP instead of TCP
    #[arg(long)]
    udp: bool,
    #[command(flatten)]
    transport: crate::TransportArgs,
    /// Processors: threads with a ring each
    #[arg(long, default_value_t = 1, value_name = "N")]
    processors: usize,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), crate::Failure> {
    // Before anything is announced: whoever waits for the address may end us as soon as it is there.
    let (stop, stopped) = mpsc::channel();
    ctrlc::set_handler(move || {
        let _ = stop.send(());
    })
    .map_err(crate::Failure::signal)?;
    let provider = provider(args.transport.transport, args.processors)?;
    let registration = Registration::register(&provider, ClientDispatch::default());
    let client = registration.capture(WaitTimeout::NoWait)?;
    let start = if args.udp { server::datagram } else { server::stream };
    let server =
        start(&client, args.listen, args.model).map_err(|error| crate::Failure::listen(args.listen, &error))?;
    println!("listening on {}", server.address);
    std::io::stdout().flush().ok();
    eprintln!(
        "model {}, transport {} ({})",
        args.model.title(),
        provider.transport_name(),
        provider.transport_reason()
    );

    let _ = stopped.recv();
    let counters = provider.counters();
    eprintln!(
        "{} callbacks, {} completions, {} system calls",
        counters.callbacks, counters.completions, counters.system_calls
    );
    client.close_all();
    Ok(())
}

/// A provider with the transport that was asked for.
pub(crate) fn provider(choice: Option<Choice>, processors: usize) -> Result<Provider, crate::Failure> {
    let mut builder = Provider::builder().processors(processors);
    if let Some(choice) = choice {
        builder = builder.host(choice);
    }
    builder.start().map_err(crate::Failure::start)
}
