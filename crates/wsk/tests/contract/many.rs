//! Ten thousand connections at once on one provider. Python is the other end, in a process of its own, so that neither
//! process needs more than one descriptor per connection.

use std::sync::{Arc, Mutex, PoisonError};

use crate::python::Python;
use crate::support::{Arm, Finish, PATIENCE, arms, tell};
use wsk::{
    ConnectionEvents, ConnectionSocket, EventFlags, EventMask, Incoming, Indication, ListenEvents, ListenSocket,
    Receive,
};

arms!(host: ten_thousand_connections_echo);

const CONNECTIONS: usize = 10_000;
/// With what the rest of the suite may use at the same time.
const DESCRIPTORS: u64 = CONNECTIONS as u64 + 6000;

/// Descriptors are counted per process, so the two arms take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Connects all, then says so and waits; echoes two rounds on all; ends all and demands FIN, no reset.
const CLIENTS: &str = "
import resource
count = int(sys.argv[2])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
assert hard > count + 100, f'python needs {count + 100} descriptors, the hard limit is {hard}'
all = [socket.create_connection(('127.0.0.1', int(sys.argv[1]))) for _ in range(count)]
def echo(turn):
    for i, s in enumerate(all): s.sendall((i ^ turn).to_bytes(4, 'little'))
    for i, s in enumerate(all):
        got = s.recv(4, socket.MSG_WAITALL)
        assert got == (i ^ turn).to_bytes(4, 'little'), (i, got)
echo(0)
print('connected', flush=True)
sys.stdin.readline()
echo(1)
for s in all: s.shutdown(socket.SHUT_WR)
for s in all: assert s.recv(1) == b''
print('ok')
";

struct Server(std::sync::mpsc::Sender<EventFlags>);

impl ListenEvents for Server {
    fn accept(&self, _: &ListenSocket, incoming: Incoming<'_>) {
        incoming.accept(Some(Arc::new(Server(self.0.clone())))).leave_open();
    }
}

impl ConnectionEvents for Server {
    fn receive(&self, socket: &ConnectionSocket, data: Indication) -> Receive {
        socket.send(data).detach();
        Receive::Accepted
    }

    fn disconnect(&self, socket: &ConnectionSocket, flags: EventFlags) {
        tell(&self.0, flags);
        let last = socket.reference();
        socket.disconnect().on_complete(move |_| last.close().detach());
    }
}

fn ten_thousand_connections_echo(arm: Arm) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, hard) = rlimit::Resource::NOFILE.get().unwrap();
    assert!(
        hard >= DESCRIPTORS,
        "this test needs {DESCRIPTORS} descriptors, the hard limit is {hard}: run it with `ulimit -Hn {DESCRIPTORS}`"
    );
    rlimit::Resource::NOFILE.set(hard, hard).unwrap();
    let world = arm.world();
    let events = EventMask::ACCEPT | EventMask::RECEIVE | EventMask::DISCONNECT;
    world.client.set_static_event_callbacks(events).unwrap();
    let (ended, ends) = std::sync::mpsc::channel();
    let (listener, address) = world.listener(Some(Arc::new(Server(ended))));
    let mut clients = Python::run(CLIENTS, &[address.port().to_string(), CONNECTIONS.to_string()]);
    assert_eq!(clients.line(), "connected");
    assert!(world.provider.counters().sockets > CONNECTIONS as u64, "all at once");
    clients.tell("go");
    for _ in 0..CONNECTIONS {
        let flags = ends.recv_timeout(PATIENCE).unwrap();
        assert!(!flags.contains(EventFlags::ABORTIVE));
    }
    clients.ok();
    listener.close().ok();
}
