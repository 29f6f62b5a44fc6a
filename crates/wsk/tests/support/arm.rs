//! The arms, and the world that a test body gets: a provider, a registration, a client, and somewhere for peers to live.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use wsk::{Builder, Choice, Client, ClientDispatch, Family, Provider, Registration, WaitTimeout};

use super::Finish;
use super::loopback::Loopback;
use super::peer::{Peer, PeerListener, PeerUdp};

/// A test that has not ended by then hangs.
const HANGS: Duration = Duration::from_secs(150);
const VARIABLE: &str = "WSK_EXPECT_ARMS";

/// What carries the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arm {
    Uring,
    Epoll,
    Loopback,
}

impl Arm {
    pub(crate) const ALL: [Arm; 3] = [Arm::Uring, Arm::Epoll, Arm::Loopback];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Arm::Uring => "uring",
            Arm::Epoll => "epoll",
            Arm::Loopback => "loopback",
        }
    }

    pub(crate) fn is_host(self) -> bool {
        self != Arm::Loopback
    }

    /// Whether `WSK_EXPECT_ARMS` demands this arm.
    pub(crate) fn is_expected(self) -> bool {
        let list = std::env::var(VARIABLE).unwrap_or_default();
        let names: Vec<&str> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        for name in &names {
            assert!(Arm::ALL.iter().any(|arm| arm.name() == *name), "{VARIABLE} names an unknown arm: {name:?}");
        }
        names.contains(&self.name())
    }

    /// Why this arm cannot run here.
    pub(crate) fn obstacle(self) -> Option<String> {
        static URING: OnceLock<Option<String>> = OnceLock::new();
        let try_uring = || Provider::builder().host(Choice::Uring).start().err().map(|error| error.to_string());
        match self {
            Arm::Uring => URING.get_or_init(try_uring).clone(),
            Arm::Epoll | Arm::Loopback => None,
        }
    }

    /// Runs a test body on this arm. An arm that cannot run says so past the test harness's capture, and fails if it is
    /// expected.
    pub(crate) fn run(self, body: fn(Arm)) {
        let expected = self.is_expected();
        if let Some(why) = self.obstacle() {
            let test = std::thread::current().name().unwrap_or("a test").to_owned();
            let line = format!("=== SKIPPED: {test}: the arm {} cannot run here: {why} ===\n", self.name());
            let _ = std::io::stderr().write_all(line.as_bytes());
            assert!(!expected, "{VARIABLE} expects the arm {}, which cannot run: {why}", self.name());
            return;
        }
        let (done, ended) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let _done = done; // closed when the body returns or panics
            body(self);
        });
        if ended.recv_timeout(HANGS) == Err(mpsc::RecvTimeoutError::Timeout) {
            panic!("the test hangs");
        }
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }

    /// A provider on this arm, set up by `with`, and the virtual network if it has one.
    pub(crate) fn provider_with(self, with: impl FnOnce(Builder) -> Builder) -> (Provider, Option<Loopback>) {
        let network = (self == Arm::Loopback).then(Loopback::new);
        let builder = match (self, &network) {
            (Arm::Uring, _) => Provider::builder().host(Choice::Uring),
            (Arm::Epoll, _) => Provider::builder().host(Choice::Epoll),
            (Arm::Loopback, network) => Provider::builder().transport(Arc::new(network.clone().expect("made above"))),
        };
        let provider = with(builder).start().expect("a provider starts");
        assert_eq!(provider.transport_name(), self.name());
        (provider, network)
    }

    pub(crate) fn provider(self) -> Provider {
        self.provider_with(|builder| builder).0
    }

    pub(crate) fn world(self) -> World {
        self.world_with(|builder| builder)
    }

    pub(crate) fn world_with(self, with: impl FnOnce(Builder) -> Builder) -> World {
        let (provider, network) = self.provider_with(with);
        let far = network.map(|network| {
            let provider = Provider::builder().transport(Arc::new(network)).start().expect("the peers' provider");
            Attached::new(provider)
        });
        let Attached { client, registration, provider } = Attached::new(provider);
        World { arm: self, parts: Some(Parts { client, registration, provider, far }) }
    }
}

/// A provider with one client.
pub(crate) struct Attached {
    // Dropped in this order: the capture has to go before its registration.
    pub(crate) client: Client,
    pub(crate) registration: Registration,
    pub(crate) provider: Provider,
}

impl Attached {
    pub(crate) fn new(provider: Provider) -> Self {
        let registration = Registration::register(&provider, ClientDispatch::default());
        let client = registration.capture(WaitTimeout::NoWait).expect("the provider is available");
        Self { client, registration, provider }
    }
}

/// The parts of a [`World`], dropped in this order.
pub(crate) struct Parts {
    pub(crate) client: Client,
    pub(crate) registration: Registration,
    pub(crate) provider: Provider,
    /// The provider of the peers on a virtual network.
    far: Option<Attached>,
}

/// What a test body works in. Sockets made in it are closed when it ends, and everything is waited for; unless the body
/// panicked, since then a callback may be stuck.
pub(crate) struct World {
    pub(crate) arm: Arm,
    parts: Option<Parts>,
}

impl std::ops::Deref for World {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        self.parts.as_ref().expect("present until drop")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let parts = self.parts.take();
        if std::thread::panicking() {
            std::mem::forget(parts);
        }
    }
}

impl World {
    /// A listener for the client to connect to.
    pub(crate) fn peer_listener(&self) -> PeerListener {
        match &self.far {
            None => PeerListener::std("127.0.0.1:0"),
            Some(far) => PeerListener::wsk(&far.client),
        }
    }

    /// A peer that connects to a listener of the client; returns when the connection is established or waits in a backlog.
    pub(crate) fn peer_connect(&self, to: SocketAddr) -> Peer {
        match &self.far {
            None => Peer::std(std::net::TcpStream::connect(to).expect("the peer connects")),
            Some(far) => {
                let local = super::any(Family::of(&to));
                Peer::Wsk(far.client.socket_connect(local, to, None).ok())
            }
        }
    }

    /// Releases the capture and hands out the registration and what has to outlive it.
    pub(crate) fn into_registration(mut self) -> Leftover {
        let Parts { client, registration, provider, far } = self.parts.take().expect("present until drop");
        drop(client);
        Leftover { registration, provider, _far: far }
    }

    /// A peer with a datagram socket.
    pub(crate) fn peer_udp(&self, local: SocketAddr) -> PeerUdp {
        match &self.far {
            None => PeerUdp::std(local),
            Some(far) => PeerUdp::wsk(&far.client, local),
        }
    }
}

/// What is left of a world whose client has released its capture.
pub(crate) struct Leftover {
    registration: Registration,
    pub(crate) provider: Provider,
    _far: Option<Attached>,
}

impl Leftover {
    pub(crate) fn into_parts(self) -> (Provider, Registration, Option<Attached>) {
        (self.provider, self.registration, self._far)
    }
}

impl std::ops::Deref for Leftover {
    type Target = Registration;
    fn deref(&self) -> &Registration {
        &self.registration
    }
}
