//! Conditional accept: the program is asked whether a connection may come about, knowing no more than the addresses. Here
//! odd ports are refused, even ones welcome, and those divisible by four decided later, by another thread.
//!
//! For those who know WSK: SO_CONDITIONAL_ACCEPT, WskInspectEvent and WskAbortEvent, and WskInspectComplete for the pended.
#![forbid(unsafe_code)]

use std::sync::{Arc, mpsc};
use std::thread;

use examples::{CtrlC, Result, address};
use wsk::{
    ClientDispatch, EventMask, Family, Incoming, InspectAction, InspectId, InspectRequest, ListenEvents, ListenSocket,
    Provider, Registration, WaitTimeout,
};

struct Door {
    /// Where connections are decided that cannot be decided at once.
    pended: mpsc::Sender<InspectId>,
}

impl ListenEvents for Door {
    fn inspect(&self, _listener: &ListenSocket, request: &InspectRequest) -> InspectAction {
        match request.remote.port() {
            port if port % 2 == 1 => InspectAction::Reject,
            // Somebody has to say `inspect_complete` for it, or it waits for ever.
            port if port % 4 == 0 && self.pended.send(request.id).is_ok() => InspectAction::Pend,
            _ => InspectAction::Accept,
        }
    }

    fn abort(&self, _listener: &ListenSocket, id: InspectId) {
        println!("{id} has gone away"); // completing it now would fail with NOT_FOUND
    }

    fn accept(&self, _listener: &ListenSocket, incoming: Incoming<'_>) {
        let socket = incoming.accept(None);
        socket.send("welcome\n").detach();
        // Done with it: our end of the stream behind the greeting, then close.
        socket.disconnect_and_close();
        socket.leave_open();
    }
}

fn main() -> Result<()> {
    let ctrl_c = CtrlC::watch()?;
    let provider = Provider::start()?;
    let registration = Registration::register(&provider, ClientDispatch::default());
    let client = registration.capture(WaitTimeout::NoWait)?;

    let address = address()?;
    let (pended, decisions) = mpsc::channel();
    let listener = client.listen_socket(Family::of(&address), Some(Arc::new(Door { pended })))?;
    listener.set(wsk::option::ConditionalAccept(true))?; // before bind; it cannot be switched off again
    listener.bind(address).wait()?;
    listener.enable(EventMask::ACCEPT)?;
    println!("listening on {}", listener.local_address()?);

    let door = listener.reference();
    thread::spawn(move || {
        // A real program would ask a user, or a server, before it decides.
        for id in decisions {
            if let Err(error) = door.inspect_complete(id, InspectAction::Accept).wait() {
                println!("{id} could not be accepted: {error}");
            }
        }
    });
    ctrl_c.wait();
    client.close_all();
    Ok(())
}
