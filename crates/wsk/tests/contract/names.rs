//! Name lookups from Rust: functions.md 4. The statuses of the resolver's failures are unit tests of `wsk::names`.

use std::net::SocketAddr;
use std::sync::mpsc;

use crate::support::{Arm, PATIENCE, World, arms};
use wsk::names::{ask_for, hint};
use wsk::{AddressInfo, Error, Hints, NameInfo, NtStatus, Pending};

arms! {
    virtual_only: f222_numeric_names, f221_no_name_at_all, f223_an_unknown_name, f222_hosts_and_services_files_count,
        f224_each_address_once, f224_canonical_names, f232_names_of_addresses, f225_a_lookup_can_be_cancelled,
        lookups_are_awaited_waited_for_and_called_back;
}

const AF_INET: i32 = 2;
const AF_INET6: i32 = 23;

fn finish<T: Send + 'static>(pending: Pending<T>) -> Result<T, NtStatus> {
    let (sender, result) = mpsc::channel();
    pending.on_complete(move |result| sender.send(result.map_err(|error: Error| error.status())).unwrap());
    result.recv_timeout(PATIENCE).expect("the lookup ends")
}

fn lookup(world: &World, node: Option<&str>, service: Option<&str>, hints: Hints) -> Result<AddressInfo, NtStatus> {
    finish(world.client.address_info(node, service, hints))
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn f222_numeric_names(arm: Arm) {
    let world = arm.world();
    for (node, service, expected) in
        [("127.0.0.1", "12345", "127.0.0.1:12345"), ("::1", "80", "[::1]:80"), ("192.0.2.7", "0", "192.0.2.7:0")]
    {
        let found = lookup(&world, Some(node), Some(service), Hints::default()).unwrap();
        assert_eq!(found, AddressInfo { addresses: addresses(&[expected]), canonical: None });
    }
    // Without a node: this machine's; with AI_PASSIVE the wildcard.
    let family = Hints { family: AF_INET, ..Hints::default() };
    assert_eq!(lookup(&world, None, Some("7"), family).unwrap().addresses, addresses(&["127.0.0.1:7"]));
    let passive = Hints { flags: hint::PASSIVE, ..family };
    assert_eq!(lookup(&world, None, Some("7"), passive).unwrap().addresses, addresses(&["0.0.0.0:7"]));
}

fn f221_no_name_at_all(arm: Arm) {
    let world = arm.world();
    for (node, service) in [(None, None), (Some(""), None), (None, Some("")), (Some(""), Some(""))] {
        assert_eq!(lookup(&world, node, service, Hints::default()), Err(NtStatus::INVALID_PARAMETER));
    }
    let strange = Hints { family: 99, ..Hints::default() };
    assert_eq!(lookup(&world, Some("127.0.0.1"), None, strange), Err(NtStatus::INVALID_PARAMETER));
}

fn f223_an_unknown_name(arm: Arm) {
    let world = arm.world();
    // Never a name of the network (RFC 6761).
    let numeric = Hints { flags: hint::NUMERIC_HOST, ..Hints::default() };
    assert_eq!(lookup(&world, Some("nobody.invalid"), None, numeric), Err(NtStatus::NOT_FOUND));
    let service = lookup(&world, Some("127.0.0.1"), Some("no-such-service"), Hints::default());
    assert_eq!(service, Err(NtStatus::NOT_FOUND));
    let port = |text: &str| lookup(&world, Some("127.0.0.1"), Some(text), Hints::default());
    assert_eq!(port("65535").unwrap().addresses, addresses(&["127.0.0.1:65535"]));
    assert_eq!(port("65536"), Err(NtStatus::NOT_FOUND));
    assert_eq!(lookup(&world, Some("a\0b"), None, Hints::default()), Err(NtStatus::NOT_FOUND));
}

fn f222_hosts_and_services_files_count(arm: Arm) {
    let world = arm.world();
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let named = hosts.lines().any(|line| line.split_whitespace().nth(1) == Some("localhost"));
    let four = Hints { family: AF_INET, ..Hints::default() };
    let found = lookup(&world, Some("localhost"), Some("80"), four).unwrap();
    assert_eq!(found.addresses, addresses(&["127.0.0.1:80"]), "localhost is in the hosts file: {named}");
    // A service by name, where the machine has the file.
    match std::fs::read_to_string("/etc/services") {
        Ok(file) if file.lines().any(|line| line.starts_with("domain") && line.contains("53/udp")) => {
            let udp = Hints { protocol: 17, kind: 2, ..four };
            let found = lookup(&world, Some("127.0.0.1"), Some("domain"), udp).unwrap();
            assert_eq!(found.addresses, addresses(&["127.0.0.1:53"]));
        }
        _ => eprintln!("=== SKIPPED in part: this machine has no services file with the service domain ==="),
    }
}

fn f224_each_address_once(arm: Arm) {
    let world = arm.world();
    let found = lookup(&world, Some("localhost"), Some("80"), Hints::default()).unwrap();
    let mut once = found.addresses.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), found.addresses.len());
    let six = Hints { family: AF_INET6, ..Hints::default() };
    assert_eq!(lookup(&world, Some("::1"), Some("80"), six).unwrap().addresses, addresses(&["[::1]:80"]));
}

fn f224_canonical_names(arm: Arm) {
    let world = arm.world();
    for flag in [hint::CANONICAL_NAME, hint::FULL_NAME] {
        let hints = Hints { flags: flag, family: AF_INET, ..Hints::default() };
        let found = lookup(&world, Some("127.0.0.1"), None, hints).unwrap();
        assert_eq!(found.canonical.as_deref(), Some("127.0.0.1"));
    }
}

fn f232_names_of_addresses(arm: Arm) {
    let world = arm.world();
    let (numeric_host, required, numeric_service) =
        (ask_for::NUMERIC_HOST, ask_for::NAME_REQUIRED, ask_for::NUMERIC_SERVICE);
    let name = |text: &str, flags| finish(world.client.name_info(text.parse().unwrap(), flags));
    let both = numeric_host | numeric_service;
    let expected = NameInfo { node: "127.0.0.1".into(), service: "65000".into() };
    assert_eq!(name("127.0.0.1:65000", both), Ok(expected));
    assert_eq!(name("[::1]:80", both), Ok(NameInfo { node: "::1".into(), service: "80".into() }));
    // An unknown service is its digits; an unknown name, if one is required, is no match (C 10 EAI_NONAME).
    assert_eq!(name("127.0.0.1:64999", numeric_host).unwrap().service, "64999");
    assert_eq!(name("192.0.2.1:80", required | numeric_host), Err(NtStatus::NO_MATCH));
}

fn f225_a_lookup_can_be_cancelled(arm: Arm) {
    let world = arm.world();
    let lookup = world.client.address_info(Some("localhost"), None, Hints::default());
    lookup.cancel();
    // It may have won the race; it ends once, one way or the other.
    match finish(lookup) {
        Ok(found) => assert!(!found.addresses.is_empty()),
        Err(status) => assert_eq!(status, NtStatus::CANCELLED),
    }
}

fn lookups_are_awaited_waited_for_and_called_back(arm: Arm) {
    let world = arm.world();
    let lookup = || world.client.address_info(Some("127.0.0.1"), Some("1"), Hints::default());
    assert_eq!(lookup().wait().unwrap().addresses, addresses(&["127.0.0.1:1"]));
    let found = lookup().wait_timeout(PATIENCE).expect("it ends");
    assert_eq!(found.unwrap().addresses, addresses(&["127.0.0.1:1"]));
    let many: Vec<_> = (0..100).map(|_| lookup()).collect();
    assert!(many.into_iter().all(|one| finish(one).is_ok()));
}
