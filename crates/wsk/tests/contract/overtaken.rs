//! Things that overtake each other: a close a completion routine, a cancel an attempt, a release a lower cap. Each test
//! says what went wrong once.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Wake, Waker};

use crate::support::arm::Attached;
use crate::support::{Arm, Conn, Finish, PATIENCE, Peer, Seen, arms, pattern, status_of, tell, v4};
use wsk::{
    Client, ConnectionSocket, DatagramEvents, DatagramSocket, Datagrams, DisconnectFlags, EventMask, Family, Memory,
    NtStatus, Protocol, Receive, ReceiveFrom, WaitTimeout,
};

arms! {
    all: f115_close_waits_for_the_completion_routine, e123_no_callback_after_close,
        e93_a_dead_callback_may_create_its_successor, two_binds_at_once, e120_a_lowered_cap,
        f63_a_cancel_that_meets_a_try, the_callbacks_of_cancelled_accepts_are_dropped,
        e3_waiting_in_a_waker_is_refused, e3_polling_in_a_waker_is_not_refused;
    host: equal_tokens_on_two_processors;
}

/// The close of an aborted connection, made by another thread, once completed in its own call, while the routine of the
/// disconnect still ran.
fn f115_close_waits_for_the_completion_routine(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let (entered, inside) = mpsc::channel();
    let (go_on, gate) = mpsc::channel::<()>();
    let (told, order) = mpsc::channel();
    let end = told.clone();
    let aborting = socket.reference();
    // Begun on the home processor, the disconnect completes there, after its routine was set.
    socket.receive(vec![0; 1]).on_complete(move |_| {
        aborting.disconnect_with(Memory::None, DisconnectFlags::ABORTIVE).on_complete(move |_| {
            entered.send(()).unwrap();
            let _ = gate.recv_timeout(PATIENCE);
            tell(&end, "the routine returns");
        });
    });
    peer.send(b"!");
    inside.recv_timeout(PATIENCE).unwrap();
    socket.close().on_complete(move |_| tell(&told, "closed"));
    go_on.send(()).unwrap();
    assert_eq!(order.recv_timeout(PATIENCE), Ok("the routine returns"));
    assert_eq!(order.recv_timeout(PATIENCE), Ok("closed"));
}

/// A callback that the same completion routine had caused once started after the close.
fn e123_no_callback_after_close(arm: Arm) {
    let world = arm.world();
    for closes in [false, true] {
        let (recorder, seen) = Conn::recorder();
        let (socket, peer) = world.accepted(Some(recorder));
        let inside = socket.reference();
        let (told, outcome) = mpsc::channel();
        socket.receive(vec![0; 8]).on_complete(move |_| {
            // The end has been received, so the callback is due at once.
            inside.enable(EventMask::DISCONNECT).unwrap();
            if closes {
                inside.close().on_complete(move |result| tell(&told, status_of(result)));
            }
        });
        peer.end();
        if closes {
            assert_eq!(outcome.recv_timeout(PATIENCE), Ok(NtStatus::SUCCESS));
            seen.nothing();
        } else {
            assert_eq!(seen.next(), Seen::Disconnect { abortive: false });
        }
    }
}

/// Makes another socket when its own is dead, as wireguard-nt does.
struct Reviver {
    client: Client,
    successor: mpsc::Sender<Option<DatagramSocket>>,
}

impl DatagramEvents for Reviver {
    fn receive_from(&self, _: &DatagramSocket, _: Datagrams) -> ReceiveFrom {
        ReceiveFrom::Accepted
    }

    fn dead(&self, _: &DatagramSocket) {
        tell(&self.successor, self.client.datagram_socket(Family::V4, None).ok());
    }
}

/// A provider that was dropped once waited forever for a socket that was made too late to be told.
fn e93_a_dead_callback_may_create_its_successor(arm: Arm) {
    for processors in [1, 2] {
        // Its parts are dropped in the right order.
        let attached = Attached::new(arm.provider_with(|builder| builder.processors(processors)).0);
        let (successor, made) = mpsc::channel();
        let reviver = Reviver { client: attached.registration.capture(WaitTimeout::NoWait).unwrap(), successor };
        let socket = attached.client.datagram_socket(Family::V4, Some(Arc::new(reviver))).unwrap();
        socket.bind(v4()).ok();
        socket.enable(EventMask::RECEIVE_FROM).unwrap();
        let provider = attached.provider;
        let (done, dropped) = mpsc::channel();
        let dropper = std::thread::spawn(move || {
            drop(provider);
            tell(&done, ());
        });
        let successor = made.recv_timeout(PATIENCE).expect("the callback runs");
        if dropped.recv_timeout(PATIENCE).is_err() {
            std::mem::forget((successor, socket, attached.client, attached.registration)); // their end would not come either
            panic!("the provider is not dropped");
        }
        dropper.join().unwrap();
        if let Some(successor) = successor {
            successor.close().ok();
        }
        socket.close().ok();
    }
}

/// Tokens repeat between processors, and a detached request of one socket once took away the entry of another's, which
/// then nobody ever completed.
fn equal_tokens_on_two_processors(arm: Arm) {
    let world = arm.world_with(|builder| builder.processors(2));
    // Sockets take turns: the listener and its neighbour, then each two accepted ones, share a token.
    let (listener, address) = world.listener(None);
    let _neighbour = world.client.basic_socket(Family::V4, Protocol::Tcp).unwrap();
    let accept = || {
        let accept = listener.accept();
        let peer = world.peer_connect(address);
        (accept.ok(), peer)
    };
    let (socket, peer) = accept();
    let others: Vec<_> = (0..3).map(|_| accept()).collect();
    let inside = socket.reference();
    let twins: Vec<_> = others.iter().map(|(other, _)| other.reference()).collect();
    let (told, outcome) = mpsc::channel();
    socket.receive(vec![0; 1]).on_complete(move |_| {
        let send = inside.send(&b"x"[..]);
        for twin in &twins {
            (0..10).for_each(|_| twin.receive(vec![0; 1]).detach()); // one has the number of the send
        }
        tell(&told, send);
    });
    peer.send(b"!");
    let send = outcome.recv_timeout(PATIENCE).unwrap();
    assert_eq!(peer.receive(1), b"x");
    // The same processor takes some turns, so that the send has completed before anybody asks.
    for _ in 0..3 {
        let receive = socket.receive(vec![0; 1]);
        peer.send(b"!");
        receive.ok();
    }
    assert_eq!(send.ok().len(), 1);
}

/// Of two binds that met, one request was once forgotten.
fn two_binds_at_once(arm: Arm) {
    const ROUNDS: usize = 300;
    let world = arm.world();
    let sockets: Vec<_> = (0..ROUNDS).map(|_| world.client.datagram_socket(Family::V4, None).unwrap()).collect();
    let start = Barrier::new(2);
    let bind_all = || -> Vec<NtStatus> {
        start.wait();
        // A refused bind is the faster one, so whoever is behind catches up, again and again.
        let requests: Vec<_> = sockets.iter().map(|socket| socket.bind(v4())).collect();
        requests.into_iter().map(Finish::status).collect()
    };
    let (here, there) = std::thread::scope(|scope| {
        let other = scope.spawn(bind_all);
        (bind_all(), other.join().unwrap())
    });
    for pair in here.into_iter().zip(there) {
        let (won, lost) = (NtStatus::SUCCESS, NtStatus::INVALID_DEVICE_STATE);
        assert!(pair == (won, lost) || pair == (lost, won), "{pair:?}");
    }
}

/// A cap lowered below what the client held once stopped indications for good: the release was not listened for.
fn e120_a_lowered_cap(arm: Arm) {
    const HELD: usize = 3 << 20;
    let world = arm.world();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    let (conn, seen) = Conn::answering(move |_, data| {
        keep.lock().unwrap().push(data);
        Receive::Accepted
    });
    let (socket, peer) = world.accepted(Some(conn));
    socket.set(wsk::option::ReceiveBuffer(8 << 20)).unwrap();
    socket.enable(EventMask::RECEIVE).unwrap();
    let sent = pattern(HELD);
    std::thread::scope(|scope| {
        scope.spawn(|| peer.send(&sent));
        assert!(seen.data(HELD) == sent);
    });
    world.settle();
    socket.set(wsk::option::ReceiveBuffer(64 << 10)).unwrap();
    peer.send(b"more");
    world.settle();
    seen.nothing();
    let released = std::mem::take(&mut *kept.lock().unwrap());
    drop(released);
    assert_eq!(seen.data(4), b"more");
}

/// A receive that was cancelled while the thread that had completed the one before tried it once waited on, uncancelled.
fn f63_a_cancel_that_meets_a_try(arm: Arm) {
    const ROUNDS: usize = 2000;
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let begun = AtomicUsize::new(0);
    let (go, next) = mpsc::channel();
    std::thread::scope(|scope| {
        let go = go; // ends the other thread if this one panics
        let begun = &begun;
        let socket = &socket;
        scope.spawn(move || {
            for round in next {
                begun.store(round, Ordering::SeqCst);
                socket.receive(vec![0; 1]).ok();
            }
        });
        for round in 1..=ROUNDS {
            peer.send(b"x");
            go.send(round).unwrap();
            while begun.load(Ordering::SeqCst) != round {
                std::hint::spin_loop(); // nothing slower meets a try
            }
            let receive = socket.receive(vec![0; 1]);
            receive.cancel();
            match receive.finish() {
                Ok(_) => peer.send(b"x"), // it took the other's
                Err(error) => assert_eq!(error.status(), NtStatus::CANCELLED),
            }
        }
    });
}

/// The callbacks given to an accept that was cancelled were once kept as long as the listener.
fn the_callbacks_of_cancelled_accepts_are_dropped(arm: Arm) {
    let world = arm.world();
    let (listener, _) = world.listener(None);
    let (conn, _seen) = Conn::recorder();
    for _ in 0..100 {
        let accept = listener.accept_with(conn.clone());
        accept.cancel();
        assert_eq!(accept.status(), NtStatus::CANCELLED);
    }
    world.settle();
    assert_eq!(Arc::strong_count(&conn), 1);
}

/// A waker that runs its task right away, once, as some executors do.
struct Inline(Mutex<Option<Task>>);

type Task = Box<dyn FnOnce() + Send>;

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        let task = self.0.lock().unwrap().take();
        if let Some(task) = task {
            task();
        }
    }
}

/// What `task` returns when the waker of a receive runs it.
fn in_a_waker<T: Send + 'static>(
    socket: &ConnectionSocket,
    peer: &Peer,
    task: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (told, outcome) = mpsc::channel();
    let task: Task = Box::new(move || tell(&told, task()));
    let waker = Waker::from(Arc::new(Inline(Mutex::new(Some(task)))));
    let mut receive = socket.receive(vec![0; 1]);
    assert!(Pin::new(&mut receive).poll(&mut Context::from_waker(&waker)).is_pending());
    peer.send(b"x");
    let outcome = outcome.recv_timeout(PATIENCE).expect("the waker returns");
    assert_eq!(receive.ok().bytes(), b"x");
    outcome
}

/// A wait in a waker once stopped the processor that would have ended it.
fn e3_waiting_in_a_waker_is_refused(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let inside = socket.reference();
    let (waited, timed) = in_a_waker(&socket, &peer, move || {
        let mut receive = inside.receive(vec![0; 1]);
        (status_of(receive.wait()), receive.wait_timeout(PATIENCE).map(status_of))
    });
    assert_eq!((waited, timed), (NtStatus::POSSIBLE_DEADLOCK, Some(NtStatus::POSSIBLE_DEADLOCK)));
}

/// An executor that runs its task in the waker polls there, and an error would be the task's result.
fn e3_polling_in_a_waker_is_not_refused(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let inside = socket.reference();
    let (pending, receive) = in_a_waker(&socket, &peer, move || {
        let mut receive = inside.receive(vec![0; 16]);
        let polled = Pin::new(&mut receive).poll(&mut Context::from_waker(Waker::noop()));
        (polled.is_pending(), receive)
    });
    assert!(pending);
    peer.send(b"it goes on");
    assert_eq!(receive.ok().bytes(), b"it goes on");
}
