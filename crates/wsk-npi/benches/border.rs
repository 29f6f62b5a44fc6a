//! What the C interface costs over the Rust one: the same calls through both, in one run, alternating; medians of the rounds.
//!
//! `cargo bench -p wsk-npi --bench border`. Calls are chosen that need no system call, so that what is left is the border:
//! the slot, the checks, the IRP, its completion routine.
#![allow(unsafe_code)] // Plays a C client.
#![allow(clippy::multiple_unsafe_ops_per_block)] // A block is one step of that client.

use std::ffi::c_void;
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use wsk::{Client, ClientDispatch, ConnectionSocket, Family, Memory, Registration, WaitTimeout};
use wsk_abi::NtStatus;
use wsk_abi::io::PDEVICE_OBJECT;
use wsk_abi::irp::{IRP, SL_INVOKE_ON_CANCEL, SL_INVOKE_ON_ERROR, SL_INVOKE_ON_SUCCESS};
use wsk_abi::sockaddr::{AF_INET, SOCKADDR_IN};
use wsk_abi::wsk::*;
use wsk_nt::export::Export;

const CALLS: u32 = 100_000;
const ROUNDS: usize = 21;

fn export(name: &str) -> *const () {
    let mut all = wsk_npi::exports().chain(wsk_nt::export::all());
    let found: &Export = all.find(|export| export.name == name).expect("an export");
    found.address
}

static COMPLETIONS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "win64" fn completed(_: PDEVICE_OBJECT, _: *mut IRP, _: *mut c_void) -> NtStatus {
    // One request at a time: no two threads are here at once.
    COMPLETIONS.store(COMPLETIONS.load(Ordering::Relaxed) + 1, Ordering::Release);
    NtStatus::MORE_PROCESSING_REQUIRED
}

/// A client in C's way: an IRP that is used again and again.
struct CClient {
    irp: *mut IRP,
    reuse: unsafe extern "win64" fn(*mut IRP, NtStatus),
    socket: *mut WSK_SOCKET,
}

impl CClient {
    /// IoReuseIrp and IoSetCompletionRoutine: the client's own share, measured by itself too.
    fn start(&self) -> *mut IRP {
        // SAFETY: our IRP, which is not under way.
        unsafe {
            (self.reuse)(self.irp, NtStatus::UNSUCCESSFUL);
            let next = (*self.irp).Tail.Overlay.CurrentStackLocation.wrapping_sub(1);
            (*next).CompletionRoutine = Some(completed);
            (*next).Context = ptr::null_mut();
            (*next).Control = SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_ERROR | SL_INVOKE_ON_CANCEL;
        }
        self.irp
    }

    /// Runs a call to its completion; the result.
    fn run(&self, call: impl FnOnce(*mut IRP) -> NtStatus) -> usize {
        let before = COMPLETIONS.load(Ordering::Acquire);
        let _ = call(self.start());
        while COMPLETIONS.load(Ordering::Acquire) == before {
            std::thread::yield_now();
        }
        // SAFETY: ours again.
        unsafe { (*self.irp).IoStatus.Information }
    }

    fn table(&self) -> &'static WSK_PROVIDER_CONNECTION_DISPATCH {
        // SAFETY: a connection socket's table, which is constant.
        unsafe { &*(*self.socket).Dispatch.cast() }
    }
}

/// The same connection, through both interfaces: one server, two clients.
fn main() {
    let provider = wsk_npi::provider();
    let registration = Registration::register(&provider, ClientDispatch::default());
    let client: Client = registration.capture(WaitTimeout::NoWait).expect("captured");
    let listener = client.listen_socket(Family::V4, None).expect("a listener");
    listener.bind("127.0.0.1:0".parse().expect("an address")).wait().expect("bound");
    let address = listener.local_address().expect("an address");
    let local = "0.0.0.0:0".parse().expect("an address");
    let rust: ConnectionSocket = client.socket_connect(local, address, None).wait().expect("connected");

    let (c, npi) = c_client(address);
    let table = c.table();
    let mut room = SOCKADDR_IN::default();
    let mut nothing = WSK_BUF::default();
    let (receive, local_address) = (table.WskReceive.expect("a slot"), table.WskGetLocalAddress.expect("a slot"));

    println!("ns per call, medians of {ROUNDS} alternating rounds of {CALLS} calls");
    println!("{:<34} {:>8} {:>8} {:>8} {:>8}", "call", "Rust", "C", "IRP", "border");
    let irp = || {
        black_box(c.start());
    };
    row(
        "receive of no bytes",
        || {
            let _ = black_box(rust.receive(Memory::None)).into_ready();
        },
        || {
            // SAFETY: an open socket, a buffer and an IRP.
            c.run(|irp| unsafe { receive(c.socket, &raw mut nothing, 0, irp) });
        },
        irp,
    );
    row(
        "local address",
        || {
            let _ = black_box(rust.local_address());
        },
        || {
            // SAFETY: an open socket, room for an address, and an IRP.
            c.run(|irp| unsafe { local_address(c.socket, (&raw mut room).cast(), irp) });
        },
        irp,
    );
    let close = table.Basic.WskCloseSocket.expect("a slot");
    // SAFETY: an open socket and an IRP.
    c.run(|irp| unsafe { close(c.socket, irp) });
    npi();
}

/// A connected socket of a client in C's way; and what ends that client.
fn c_client(address: std::net::SocketAddr) -> (CClient, impl FnOnce()) {
    type Register = unsafe extern "win64" fn(*mut WSK_CLIENT_NPI, *mut WSK_REGISTRATION) -> NtStatus;
    type Capture = unsafe extern "win64" fn(*mut WSK_REGISTRATION, u32, *mut WSK_PROVIDER_NPI) -> NtStatus;
    type Plain = unsafe extern "win64" fn(*mut WSK_REGISTRATION);
    type Allocate = extern "win64" fn(i8, u8) -> *mut IRP;
    // SAFETY: the exports have these types (F-14 to F-18, imports.md 1).
    let (register, capture, release, deregister, allocate, reuse) = unsafe {
        (
            std::mem::transmute::<*const (), Register>(export("WskRegister")),
            std::mem::transmute::<*const (), Capture>(export("WskCaptureProviderNPI")),
            std::mem::transmute::<*const (), Plain>(export("WskReleaseProviderNPI")),
            std::mem::transmute::<*const (), Plain>(export("WskDeregister")),
            std::mem::transmute::<*const (), Allocate>(export("IoAllocateIrp")),
            std::mem::transmute::<*const (), unsafe extern "win64" fn(*mut IRP, NtStatus)>(export("IoReuseIrp")),
        )
    };
    static CLIENT: WSK_CLIENT_DISPATCH =
        WSK_CLIENT_DISPATCH { Version: MAKE_WSK_VERSION(1, 0), Reserved: 0, WskClientEvent: None };
    let block: &'static mut WSK_REGISTRATION = Box::leak(Box::default());
    let mut npi = WSK_CLIENT_NPI { ClientContext: ptr::null_mut(), Dispatch: &raw const CLIENT };
    let mut provider = WSK_PROVIDER_NPI::default();
    // SAFETY: our own blocks.
    unsafe {
        assert_eq!(register(&raw mut npi, &raw mut *block), NtStatus::SUCCESS);
        assert_eq!(capture(&raw mut *block, WSK_NO_WAIT, &raw mut provider), NtStatus::SUCCESS);
    }
    let mut c = CClient { irp: allocate(1, 0), reuse, socket: ptr::null_mut() };
    let std::net::SocketAddr::V4(v4) = address else { unreachable!("an IPv4 listener") };
    let mut any = SOCKADDR_IN { sin_family: AF_INET, ..SOCKADDR_IN::default() };
    let mut remote = SOCKADDR_IN { sin_port: v4.port().to_be(), ..any };
    remote.sin_addr = wsk_abi::sockaddr::IN_ADDR::from_octets(v4.ip().octets());
    // SAFETY: the provider's table.
    let connect = unsafe { (*provider.Dispatch).WskSocketConnect }.expect("a slot");
    let none = ptr::null_mut();
    // SAFETY: addresses of ours, and an IRP.
    let socket = c.run(|irp| unsafe {
        connect(
            provider.Client,
            1,
            6,
            (&raw mut any).cast(),
            (&raw mut remote).cast(),
            0,
            none,
            ptr::null(),
            ptr::null_mut(),
            ptr::null_mut(),
            none,
            irp,
        )
    });
    c.socket = socket as *mut WSK_SOCKET;
    assert!(!c.socket.is_null());
    let block: *mut WSK_REGISTRATION = block;
    // SAFETY: registered above.
    (c, move || unsafe {
        release(block);
        deregister(block);
    })
}

/// Measures three ways in turn, and prints the medians; the border is what C takes beyond Rust and the client's own IRP work.
fn row(name: &str, mut rust: impl FnMut(), mut c: impl FnMut(), mut irp: impl FnMut()) {
    let time = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        start.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        times[0].push(time(&mut rust));
        times[1].push(time(&mut c));
        times[2].push(time(&mut irp));
    }
    let [rust, c, irp] = times.map(|mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!("{name:<34} {rust:>8.1} {c:>8.1} {irp:>8.1} {:>8.1}", c - rust - irp);
}
