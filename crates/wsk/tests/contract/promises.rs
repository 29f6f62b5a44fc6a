//! Promise 1 at the end of things: dropped futures, cancelled requests, and a provider that goes away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use crate::support::loopback::BLACK_HOLE;
use crate::support::{Arm, Finish, PATIENCE, arms, pattern, status_of, tell, v4};
use wsk::{Family, Memory, NtStatus};

arms! {
    all: a_dropped_provider_completes_every_request_once, a_dropped_request_keeps_its_memory_alive,
        requests_are_futures, a_client_of_a_dropped_provider, on_complete_after_completion_is_called_at_once,
        counters_come_back_to_nothing;
}

fn a_dropped_provider_completes_every_request_once(arm: Arm) {
    let world = arm.world();
    let (done, completions) = mpsc::channel();
    let count = AtomicUsize::new(0);
    let note = |name: &'static str| {
        count.fetch_add(1, Ordering::SeqCst);
        let done = done.clone();
        move |status: NtStatus| tell(&done, (name, status))
    };
    macro_rules! pending {
        ($name:literal, $request:expr) => {{
            let note = note($name);
            $request.on_complete(move |result| note(status_of(result)));
        }};
    }
    let (listener, _) = world.listener(None);
    let (socket, _peer) = world.accepted(None);
    let dgram = world.client.datagram_socket(Family::V4, None).unwrap();
    dgram.bind(v4()).ok();
    let stream = world.client.stream_socket(Family::V4, None, None).unwrap();
    stream.bind(v4()).ok();
    stream.listen().ok();
    for _ in 0..3 {
        pending!("accept", listener.accept());
        pending!("stream accept", stream.accept());
        pending!("receive", socket.receive(vec![0; 8]));
        pending!("send", socket.send(pattern(16 << 20)));
        pending!("receive from", dgram.receive_from(vec![0; 8]));
    }
    pending!("disconnect", socket.disconnect());
    if !arm.is_host() {
        pending!("socket connect", world.client.socket_connect(v4(), (BLACK_HOLE, 9).into(), None));
    }
    let leftover = world.into_registration();
    let (provider, registration, _far) = leftover.into_parts();
    drop(provider);
    for _ in 0..count.load(Ordering::SeqCst) {
        let (name, status) = completions.recv_timeout(PATIENCE).unwrap();
        assert_eq!(status, NtStatus::FILE_FORCED_CLOSED, "{name}");
    }
    // Close works without a provider (F-117), and nothing completes twice.
    socket.close().ok();
    dgram.close().ok();
    listener.close().ok();
    stream.close().ok();
    registration.deregister().unwrap();
    drop(done);
    assert!(completions.try_recv().is_err());
}

/// Client memory that tells when it is dropped.
struct Watched(Vec<u8>, mpsc::Sender<()>);

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.1.send(());
    }
}

impl wsk::ClientMemory for Watched {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn segments<'a>(&'a self, out: &mut wsk_core::memory::Segments<'a>) {
        out.push(&self.0);
    }
    fn segments_mut<'a>(&'a mut self, out: &mut wsk_core::memory::SegmentsMut<'a>) {
        out.push(&mut self.0);
    }
    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send> {
        self
    }
}

/// Promise 4: dropping the request is a cancel; the memory goes when the operation has ended, exactly once.
fn a_dropped_request_keeps_its_memory_alive(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let (dropped, drops) = mpsc::channel();
    let memory = |len| Memory::from(Box::new(Watched(vec![0; len], dropped.clone())) as Box<_>);
    for _ in 0..100 {
        drop(socket.receive(memory(100)));
        drops.recv_timeout(PATIENCE).unwrap();
        assert!(drops.try_recv().is_err());
    }
    socket.receive(memory(100)).detach();
    assert!(drops.try_recv().is_err(), "detached, it goes on");
    peer.send(b"x");
    drops.recv_timeout(PATIENCE).unwrap();
    socket.send(memory(16 << 20)).detach();
    world.settle();
    assert!(drops.try_recv().is_err());
    socket.close().ok();
    drops.recv_timeout(PATIENCE).unwrap();
    assert!(drops.try_recv().is_err());
}

/// A minimal executor: polls on this thread, parks it in between.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

fn requests_are_futures(arm: Arm) {
    let world = arm.world();
    let (listener, address) = world.listener(None);
    let client = &world.client;
    block_on(async {
        let accept = listener.accept();
        let one = client.socket_connect(v4(), address, None).await.unwrap();
        let two = accept.await.unwrap();
        for i in 0..100u8 {
            let receive = two.receive(vec![0; 16]);
            one.send(vec![i; 10]).await.unwrap();
            assert_eq!(receive.await.unwrap().bytes(), [i; 10]);
        }
        one.disconnect().await.unwrap();
        assert!(two.receive(vec![0; 8]).await.unwrap().is_empty());
        two.close().await.unwrap();
        assert!(one.receive(vec![0; 8]).await.is_err());
    });
}

fn a_client_of_a_dropped_provider(arm: Arm) {
    let provider = arm.provider();
    let crate::support::arm::Attached { client, registration, provider } = crate::support::arm::Attached::new(provider);
    drop(provider);
    assert!(client.listen_socket(Family::V4, None).is_err());
    assert!(client.datagram_socket(Family::V4, None).is_err());
    assert_ne!(client.socket_connect(v4(), v4(), None).status(), NtStatus::SUCCESS);
    drop(client);
    registration.deregister().unwrap();
}

fn on_complete_after_completion_is_called_at_once(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let receive = socket.receive(vec![0; 8]);
    peer.send(b"x");
    while !receive.is_finished() {
        std::thread::yield_now();
    }
    let here = std::thread::current().id();
    let (told, where_) = mpsc::channel();
    receive.on_complete(move |result| told.send((std::thread::current().id(), result.unwrap().len())).unwrap());
    assert_eq!(where_.try_recv(), Ok((here, 1)));
}

fn counters_come_back_to_nothing(arm: Arm) {
    let world = arm.world();
    let (socket, peer) = world.accepted(None);
    let receive = socket.receive(vec![0; 8]);
    let counters = world.provider.counters();
    assert!(counters.sockets >= 1 && counters.requests_queued == 1, "{counters:?}");
    peer.send(b"x");
    receive.ok();
    socket.close().ok();
    world.settle();
    let counters = world.provider.counters();
    assert_eq!((counters.requests_queued, counters.buffers_lent), (0, 0));
    assert!(counters.completions > 0);
}
