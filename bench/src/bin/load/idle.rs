//! Connections that do nothing, to weigh what each costs the server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bench::pattern::Pattern;
use bench::{Result, net};

/// Opens `count` connections, echoes `size` bytes once on each, prints a line and holds them until stdin closes.
pub(super) fn hold(address: SocketAddr, count: usize, size: usize) -> Result<()> {
    let wanted = count as u64 + 64;
    let limit = net::raise_open_files(wanted)?;
    if limit < wanted {
        return Err(format!("{count} connections need {wanted} open files; {limit} allowed").into());
    }
    let pattern = Pattern::new(size);
    let mut answer = vec![0; size];
    let mut held = Vec::with_capacity(count);
    for index in 0..count {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let request = pattern.at(index, 0, size);
        stream.write_all(request)?;
        stream.read_exact(&mut answer)?;
        if answer != request {
            return Err(format!("connection {index}: the answer is not the request").into());
        }
        held.push(stream);
    }
    println!("{}", serde_json::json!({ "idle": held.len() }));
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
