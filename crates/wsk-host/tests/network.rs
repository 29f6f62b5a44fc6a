//! Addresses, routes and their changes, in a network namespace of this process (no harness: that would have threads, and only a
//! process of one thread may enter a user namespace).

#![allow(unsafe_code)] // unshare may pull descriptors from under other code; this one asks for namespaces only

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rustix::thread::{CapabilitySet, UnshareFlags, capabilities, set_capabilities, unshare_unsafe};
use wsk_abi::NtStatus;
use wsk_core::control_data::ControlData;
use wsk_core::memory::Memory;
use wsk_core::option::{OptionName, OptionValue};
use wsk_core::transport::{Driver, Event, Family, NetworkWatcher, Operation, Protocol, StreamEnd, Token, Transport};
use wsk_host::{Choice, HostTransport};

/// Passes news on.
struct Listener(Mutex<Sender<(&'static str, Family)>>);

impl NetworkWatcher for Listener {
    fn addresses_changed(&self, family: Family) {
        let _ = self.0.lock().unwrap().send(("addresses", family));
    }

    fn routes_changed(&self, family: Family) {
        let _ = self.0.lock().unwrap().send(("routes", family));
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("ip runs");
    assert!(status.success(), "ip {arguments}");
}

/// Waits until this was told and is so; other news may come before it, and old ones of the same kind.
fn hear(news: &Receiver<(&'static str, Family)>, what: (&'static str, Family), is_so: impl Fn() -> bool) {
    loop {
        let told = news.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|_| panic!("nobody told of {what:?}"));
        if told == what && is_so() {
            return;
        }
    }
}

/// Moves into a network namespace in which everything is allowed.
fn own_namespace() -> std::io::Result<()> {
    // SAFETY: only a namespace is asked for, no table of descriptors.
    if unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.is_ok() {
        return Ok(());
    }
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    // SAFETY: as above.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNET) }?;
    // Root in it, or a program that is run would lose what is allowed.
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// The transport and a driver of it. `None`: it cannot run here, and the environment allows that.
fn open(choice: Choice) -> Option<(HostTransport, Box<dyn Driver>)> {
    match HostTransport::new(choice) {
        Ok(transport) => {
            let driver = transport.open_driver(0).unwrap();
            Some((transport, driver))
        }
        Err(error) if std::env::var_os("WSK_TEST_ALLOW_NO_URING").is_some() => {
            eprintln!("=== NOT TESTED: the io_uring arm cannot run here: {error} ===");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// F-156: the first connect gets a cookie, with which data goes along from then on; C 4.3: our own listener takes it.
fn fast_open(choice: Choice, known: &mut bool) {
    let Some((transport, mut driver)) = open(choice) else { return };
    let on = OptionValue::Number(1);
    let listener = transport.create(Family::V4, Protocol::Tcp).unwrap();
    listener.set_option(OptionName::FastOpen, &on).unwrap();
    let address = listener.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
    listener.listen().unwrap();
    driver.submit(Token(1), Operation::Attach(listener));
    driver.submit(Token(1), Operation::AcceptStart);
    for round in 0..2 {
        let endpoint = transport.create(Family::V4, Protocol::Tcp).unwrap();
        endpoint.set_option(OptionName::FastOpen, &on).unwrap();
        endpoint.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let token = Token(2 + round);
        driver.submit(token, Operation::Attach(endpoint));
        driver.submit(token, Operation::Connect { remote: address, first: Memory::Static(b"first words") });
        let (mut incoming, mut taken) = (None, None);
        while incoming.is_none() || taken.is_none() {
            let mut reports = Vec::new();
            driver.poll(true, &mut reports).unwrap();
            for report in reports {
                match report.event {
                    Event::Accepted(found) => incoming = Some(found),
                    Event::Connected { result, .. } => taken = Some(result.unwrap()),
                    event => panic!("{event:?}"),
                }
            }
        }
        let expected = if std::mem::replace(known, true) { 11 } else { 0 };
        assert_eq!(taken, Some(expected), "{choice:?}, round {round}");
        if expected > 0 {
            let mut memory = Memory::Vec(vec![0; 64]);
            assert_eq!(incoming.unwrap().endpoint.try_receive(&mut memory, 0), Ok(Some(11)));
        }
    }
}

/// Datagrams that the route cannot take in one piece go all the same, one by one; smaller ones go together as before.
fn larger_than_the_link() {
    ip("link set lo mtu 1400");
    let Some((transport, _driver)) = open(Choice::Epoll) else { return };
    let sender = transport.create(Family::V4, Protocol::Udp).unwrap();
    sender.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (remote, none) = (peer.local_addr().unwrap(), ControlData::default());
    let mut bytes = [0; 4096];
    for (size, calls) in [(1200, 1), (3000, 2), (3000, 1), (1200, 1)] {
        let list: Vec<Memory> = (0..20).map(|n| Memory::Vec(vec![n; size])).collect();
        let before = transport.counters().system_calls;
        assert_eq!(sender.try_send_to(&list, 0, remote, &none), Ok(20));
        assert_eq!(transport.counters().system_calls - before, calls, "of {size} bytes");
        for n in 0..20 {
            assert_eq!(peer.recv(&mut bytes).unwrap(), size);
            assert!(bytes[..size].iter().all(|byte| *byte == n));
        }
    }
}

/// What this machine has sent over TCP, and what has come.
fn segments() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/net/snmp").unwrap();
    let lines: Vec<Vec<&str>> =
        text.lines().filter(|line| line.starts_with("Tcp:")).map(|line| line.split(' ').collect()).collect();
    let of = |name| lines[1][lines[0].iter().position(|column| *column == name).unwrap()].parse::<u64>().unwrap();
    (of("OutSegs") + of("RetransSegs") + of("OutRsts"), of("InSegs"))
}

/// The other machine of [`silence`]: this program again, in a namespace of its own, led through its input.
fn other_machine() {
    // SAFETY: only a namespace is asked for, no table of descriptors.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.expect("another namespace");
    let mut orders = std::io::stdin().lines();
    let mut order = |what: &str| assert_eq!(orders.next().unwrap().unwrap(), what);
    println!("here");
    order("address");
    ip("addr add 10.88.0.2/24 dev wsk1");
    ip("link set wsk1 up");
    let listener = std::net::TcpListener::bind("10.88.0.2:7000").unwrap();
    println!("listening");
    for _ in 0..4 {
        let (mut peer, _) = listener.accept().unwrap();
        for _ in 0..2 {
            order("say");
            std::io::Write::write_all(&mut peer, b"hello?").unwrap();
            println!("said");
        }
        order("next");
    }
}

/// Whether this thread may do what administrators of the network may.
fn with_admin(may: bool) {
    let mut sets = capabilities(None).unwrap();
    sets.effective.set(CapabilitySet::NET_ADMIN, may);
    set_capabilities(None, sets).unwrap();
}

/// C-31: a silent connection sends nothing, whatever comes, nor does its close.
fn silence() {
    let me = std::env::current_exe().unwrap();
    let mut other =
        Command::new(me).env("WSK_TEST_OTHER", "1").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut orders = other.stdin.take().unwrap();
    let mut answers = BufReader::new(other.stdout.take().unwrap()).lines();
    let mut answer = |what: &str| assert_eq!(answers.next().unwrap().unwrap(), what);
    answer("here");
    if !Command::new("ip")
        .args(["link", "add", "wsk0", "type", "veth", "peer", "name", "wsk1"])
        .status()
        .unwrap()
        .success()
    {
        eprintln!("=== NOT TESTED: silence: there are no veth devices here ===");
        other.kill().unwrap();
        other.wait().unwrap();
        return;
    }
    ip(&format!("link set wsk1 netns {}", other.id()));
    ip("link set wsk0 up");
    writeln!(orders, "address").unwrap();
    answer("listening");
    let mut rounds = 0;
    for (choice, abort) in
        [Choice::Uring, Choice::Epoll].into_iter().flat_map(|choice| [(choice, false), (choice, true)])
    {
        let Some((transport, mut driver)) = open(choice) else { continue };
        let endpoint = transport.create(Family::V4, Protocol::Tcp).unwrap();
        // An address for each: what still comes for a connection that is gone shall find nobody who answers.
        rounds += 1;
        let own = format!("10.88.0.{}", 10 + rounds);
        ip(&format!("addr add {own}/24 dev wsk0"));
        endpoint.bind(format!("{own}:0").parse().unwrap(), false).unwrap();
        driver.submit(Token(1), Operation::Attach(Arc::clone(&endpoint)));
        let remote = "10.88.0.2:7000".parse().unwrap();
        driver.submit(Token(1), Operation::Connect { remote, first: Memory::None });
        let mut reports = Vec::new();
        driver.poll(true, &mut reports).unwrap();
        assert!(matches!(reports[0].event, Event::Connected { result: Ok(0), .. }), "{reports:?}");
        let streams = !abort;
        let receive = || Operation::Receive { memory: Memory::Vec(vec![0; 8]), offset: 0 };
        driver.submit(Token(1), if streams { Operation::ReceiveStart } else { receive() });
        // Who may not leaves all as it was.
        with_admin(false);
        assert_eq!(endpoint.silence(), Err(NtStatus::NOT_SUPPORTED));
        with_admin(true);
        writeln!(orders, "say").unwrap();
        answer("said");
        reports.clear();
        while reports.is_empty() {
            driver.poll(true, &mut reports).unwrap();
        }
        match &reports[0].event {
            Event::Received { buffer, .. } if streams => assert_eq!(buffer.bytes(), b"hello?"),
            Event::ReceiveDone { result, .. } if !streams => {
                assert_eq!(*result, Ok(6));
                driver.submit(Token(1), receive());
            }
            event => panic!("{event:?}"),
        }
        reports.clear();
        driver.poll(false, &mut reports).unwrap();
        endpoint.silence().unwrap();
        let (sent, received) = segments();
        writeln!(orders, "say").unwrap();
        answer("said");
        while segments().1 == received {
            std::thread::yield_now();
        }
        reports.clear();
        driver.poll(false, &mut reports).unwrap();
        assert!(reports.is_empty(), "{reports:?}");
        if !streams {
            driver.submit(Token(1), Operation::ReceiveCancel);
            while reports.is_empty() {
                driver.poll(true, &mut reports).unwrap();
            }
            let cancelled = matches!(reports[0].event, Event::ReceiveDone { result: Err(StreamEnd::Stopped), .. });
            assert!(cancelled, "{reports:?}");
        }
        ip(&format!("addr del {own}/24 dev wsk0"));
        driver.submit(Token(1), Operation::Detach { abort });
        while !reports.iter().any(|report| matches!(report.event, Event::Detached)) {
            driver.poll(true, &mut reports).unwrap();
        }
        assert_eq!(segments().0, sent, "{choice:?}, abort {abort}: not a word");
        writeln!(orders, "next").unwrap();
    }
    other.kill().unwrap(); // it would wait for an arm that cannot run here
    other.wait().unwrap();
}

/// Answers those who ask a test harness what it has; whether that was all.
fn listed() -> bool {
    let has = |argument: &str| std::env::args().any(|given| given == argument);
    if has("--list") && !has("--ignored") {
        println!("{NAME}: test");
    }
    has("--list")
}

const NAME: &str = "network_in_a_namespace_of_its_own";

fn main() {
    if listed() {
        return;
    }
    if std::env::var_os("WSK_TEST_OTHER").is_some() {
        return other_machine();
    }
    if let Err(e) = own_namespace() {
        return eprintln!("=== NOT TESTED: changes of the network: no namespaces here: {e} ===");
    }
    if Command::new("ip").arg("-V").output().is_err() {
        return eprintln!("=== NOT TESTED: changes of the network: there is no ip (iproute2) ===");
    }
    let transport = HostTransport::new(Choice::Epoll).unwrap();
    let addresses = |family| transport.local_addresses(family).unwrap();
    let of = |text: &str| text.parse::<SocketAddr>().unwrap();

    assert_eq!(addresses(Family::V4), []);
    assert_eq!(transport.route(of("10.9.0.7:5")), Err(NtStatus::NETWORK_UNREACHABLE));
    assert_eq!(transport.route(of("[fd00::7]:5")), Err(NtStatus::NETWORK_UNREACHABLE));
    assert_eq!(transport.path_mtu(of("10.9.0.7:5").ip()), Err(NtStatus::NETWORK_UNREACHABLE));

    let (sender, news) = channel();
    let listener = Arc::new(Listener(Mutex::new(sender)));
    let watcher: Arc<dyn NetworkWatcher> = listener;
    transport.watch_network(Arc::downgrade(&watcher)).unwrap();
    ip("link set lo up");
    hear(&news, ("addresses", Family::V4), || addresses(Family::V4).contains(&of("127.0.0.1:0")));
    hear(&news, ("addresses", Family::V6), || addresses(Family::V6).contains(&of("[::1]:0")));

    ip("addr add 10.9.0.1/24 dev lo");
    hear(&news, ("addresses", Family::V4), || addresses(Family::V4).contains(&of("10.9.0.1:0")));
    assert_eq!(transport.route(of("10.9.0.1:5")), Ok(of("10.9.0.1:0")));

    ip("addr add fe80::9/64 dev lo");
    hear(&news, ("addresses", Family::V6), || addresses(Family::V6).contains(&of("[fe80::9%1]:0")));
    assert_eq!(transport.route(of("[fe80::9%1]:5")), Ok(of("[fe80::9%1]:0")));

    ip("route add 10.77.0.0/16 dev lo src 10.9.0.1 mtu 1280");
    hear(&news, ("routes", Family::V4), || transport.route(of("10.77.3.4:5")) == Ok(of("10.9.0.1:0")));
    assert_eq!(transport.path_mtu(of("10.77.3.4:5").ip()), Ok(1280));
    ip("route add unreachable 10.78.0.0/16");
    hear(&news, ("routes", Family::V4), || transport.route(of("10.78.0.1:5")) == Err(NtStatus::HOST_UNREACHABLE));

    // Who is gone is told nothing more; a new one hears as before.
    drop(watcher);
    let (sender, second) = channel();
    let watcher: Arc<dyn NetworkWatcher> = Arc::new(Listener(Mutex::new(sender)));
    let weak: Weak<dyn NetworkWatcher> = Arc::downgrade(&watcher);
    transport.watch_network(weak).unwrap();
    ip("addr del 10.9.0.1/24 dev lo");
    hear(&second, ("addresses", Family::V4), || !addresses(Family::V4).contains(&of("10.9.0.1:0")));
    assert!(news.iter().count() < 64, "its end of the channel is gone");
    drop(transport);
    std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", "3").expect("this namespace is ours");
    let mut known = false; // the cookie is the machine's
    for choice in [Choice::Uring, Choice::Epoll] {
        fast_open(choice, &mut known);
    }
    silence();
    larger_than_the_link();
    println!("test {NAME} ... ok");
}
