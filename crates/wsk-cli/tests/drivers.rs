//! Compiled drivers, built by both compilers and run on both transports: the samples of `drivers/`, and one that exercises the
//! whole interface.

mod support;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;

use socket2::{Domain, Socket, Type};
use support::{
    COMPILERS, HANGS, Running, TRANSPORTS, both, build, directory, echoes_datagrams, echoes_many, run, text,
};

/// Runs `body` for each compiler and transport.
fn everywhere(source: &str, body: impl Fn(&Path, &str)) {
    for compiler in COMPILERS {
        let directory = directory();
        let driver = build(&directory, source, compiler, &[]);
        TRANSPORTS.iter().for_each(|transport| body(&driver, transport));
    }
}

#[test]
fn every_slot_and_callback_works_from_a_driver() {
    everywhere("every_slot.c", |driver, transport| {
        for irql in ["0", "2"] {
            let arguments = ["--for", "0", "--verify", "--transport", transport, "--irql", irql];
            let (output, errors, status) = run(&[driver], &arguments);
            assert_eq!(status, Some(0), "{transport}, IRQL {irql}:\n{output}{errors}");
            assert!(all_passed(&output) > 1000);
        }
    });
}

/// The last line of a driver that checks things by itself: `N checks, 0 failed`, and N.
#[track_caller]
fn all_passed(output: &str) -> u32 {
    let last = output.lines().last().and_then(|line| line.split_once(": ")).map_or("", |(_, said)| said);
    let checks = last.split_once(" checks, 0 failed").map(|(checks, _)| checks.parse().expect("a number"));
    checks.unwrap_or_else(|| panic!("{output}"))
}

/// Indications taken apart, kept beyond the close, refused and cut short; MDL chains; cancels that race (events.md 11).
#[test]
fn indications_are_the_clients_to_take_apart() {
    everywhere("indications.c", |driver, transport| {
        let (output, errors, status) = run(&[driver], &["--for", "0", "--verify", "--transport", transport]);
        assert_eq!(status, Some(0), "{output}{errors}");
        assert!(all_passed(&output) > 1000);
    });
}

/// Completion routines run in the order of the spec whatever they do, and what outlives a client is waited for.
#[test]
fn completions_come_in_order() {
    everywhere("completions.c", |driver, transport| {
        let (output, errors, status) = run(&[driver], &["--for", "0", "--verify", "--transport", transport]);
        assert_eq!(status, Some(0), "{output}{errors}");
        assert!(all_passed(&output) > 200);
    });
}

/// IRPs of every origin; what functions copy, return and write, and at which level they may be called.
#[test]
fn irps_and_memory_are_the_clients() {
    everywhere("irps.c", |driver, transport| {
        let (output, errors, status) = run(&[driver], &["--for", "0", "--verify", "--transport", transport]);
        assert_eq!(status, Some(0), "{output}{errors}");
        assert!(all_passed(&output) > 150);
    });
}

/// What clients do beyond the samples.
#[test]
fn clients_have_habits() {
    everywhere("clients.c", |driver, transport| {
        let (output, errors, status) = run(&[driver], &["--for", "0", "--verify", "--transport", transport]);
        assert_eq!(status, Some(0), "{output}{errors}");
        assert!(all_passed(&output) > 150);
    });
}

/// An indication that is never released holds up nobody, and is reported when its client goes (F-24, E-119).
#[test]
fn a_forgotten_indication_is_freed_and_reported() {
    let directory = directory();
    let driver = build(&directory, "clients.c", "gcc", &["LEAVES"]);
    let (output, errors, status) = run(&[&driver], &["--for", "0", "--verify"]);
    assert_eq!(status, Some(4), "{output}{errors}");
    all_passed(&output);
    let reports: Vec<&str> = errors.lines().filter(|line| line.starts_with("violation: ")).collect();
    assert!(matches!(reports[..], [one] if one.starts_with("violation: indication leak: ")), "{errors}");
}

/// Options that are numbers: sizes, ranges, categories and address families.
#[test]
fn options_are_set_and_asked_for() {
    everywhere("options.c", |driver, transport| {
        let (output, errors, status) = run(&[driver], &["--for", "0", "--verify", "--transport", transport]);
        assert_eq!(status, Some(0), "{output}{errors}");
        assert!(all_passed(&output) > 150);
    });
}

/// The tables of options and IOCTLs as C has them, for option_table.c.
fn rows() -> String {
    use std::fmt::Write;
    use wsk::option::{Access, Keeper, OptionName, State, Values};
    let mut text = String::from("static const OPTION_ROW Options[] = {\n");
    for row in wsk::option::TABLE {
        let (kind, first, last) = match &row.values {
            Values::Flag => ("FLAG", 0, 1),
            Values::Bytes => ("BYTES", 0, u32::MAX),
            Values::Number(range) => ("NUMBER", *range.start(), *range.end()),
            Values::Signed => ("SIGNED", u32::MAX, u32::MAX),
            Values::Octets(most) => ("OCTETS", 0, *most as u32),
            Values::Group(_) => ("GROUP", 0, 0),
            Values::Descriptor => ("DESCRIPTOR", 0, 0),
            Values::Events => ("EVENTS", 0, 0),
        };
        let privileged = matches!(
            row.option,
            OptionName::Debug
                | OptionName::HeaderIncluded4
                | OptionName::HeaderIncluded6
                | OptionName::HopOptions6
                | OptionName::RoutingHeader6
        );
        let flags = [
            row.keeper != Keeper::No,
            row.access != Access::Get,
            row.access != Access::Set,
            row.state == State::BeforeBind,
            row.default.is_some(),
            privileged,
        ];
        let flags = flags.map(|flag| u8::from(flag).to_string()).join(", ");
        let default = row.default.unwrap_or(0);
        let (name, on) = (row.name, row.on.bits());
        let _ = writeln!(
            text,
            "    {{\"{name}\", {:#x}, {:#x}, {on}, {flags}, {kind}, {first:#x}, {last:#x}, {default:#x}}},",
            row.level, row.code
        );
    }
    text.push_str("};\nstatic const IOCTL_ROW Ioctls[] = {\n");
    for row in wsk_npi::IOCTLS {
        let on = row.on.map_or(0, |on| on.bits());
        let _ = writeln!(text, "    {{\"{}\", {:#x}, {}, {on}}},", row.name, row.code, u8::from(row.on.is_some()));
    }
    text.push_str("};\n");
    text
}

/// Every row of the tables of options and IOCTLs, in every category, family, state and size (control.md 4).
#[test]
fn every_option_and_ioctl_does_what_its_row_says() {
    for compiler in COMPILERS {
        let directory = directory();
        let header = directory.path().join("rows.h");
        std::fs::write(&header, rows()).expect("written");
        let driver = build(&directory, "option_table.c", compiler, &[&format!("ROWS=\"{}\"", header.display())]);
        for transport in TRANSPORTS {
            let (output, errors, status) = run(&[&driver], &["--for", "0", "--verify", "--transport", transport]);
            assert_eq!(status, Some(0), "{output}{errors}");
            assert!(all_passed(&output) > 1_000_000);
        }
    }
}

/// Control messages of datagrams, both ways (control.md 4.4).
#[test]
fn control_data_comes_and_goes() {
    everywhere("control_data.c", |driver, transport| {
        for irql in ["0", "2"] {
            let arguments = ["--for", "0", "--verify", "--transport", transport, "--irql", irql];
            let (output, errors, status) = run(&[driver], &arguments);
            assert_eq!(status, Some(0), "{transport}, IRQL {irql}:\n{output}{errors}");
            assert!(all_passed(&output) > 5000);
        }
    });
}

/// Control codes of a client: transports, security descriptors, TDI, static callbacks (control.md 2 and 7).
#[test]
fn clients_are_controlled() {
    everywhere("control_client.c", |driver, transport| {
        let (output, errors, status) = run(&[driver], &["--for", "0", "--verify", "--transport", transport]);
        assert_eq!(status, Some(0), "{output}{errors}");
        assert!(all_passed(&output) > 1000);
    });
}

/// IOCTLs with structures and with consequences (control.md 4.5).
#[test]
fn sockets_are_controlled() {
    everywhere("control_socket.c", |driver, transport| {
        let (output, errors, status) = run(&[driver], &["--for", "0", "--verify", "--transport", transport]);
        assert_eq!(status, Some(0), "{output}{errors}");
        assert!(all_passed(&output) > 1000);
    });
}

/// Name lookups, with names as none should be (functions.md 4).
#[test]
fn names_are_looked_up() {
    everywhere("names.c", |driver, transport| {
        let (output, errors, status) = run(&[driver], &["--for", "0", "--verify", "--transport", transport]);
        assert_eq!(status, Some(0), "{output}{errors}");
        assert!(all_passed(&output) > 1000);
    });
}

/// The same with mistakes: each is refused with INVALID_PARAMETER, and nothing comes of it but the report.
#[test]
fn a_wrong_release_is_refused_and_reported() {
    for compiler in COMPILERS {
        let directory = directory();
        let driver = build(&directory, "indications.c", compiler, &["MISUSE"]);
        let (output, errors, status) = run(&[&driver], &["--for", "0", "--verify"]);
        assert_eq!(status, Some(4), "{output}{errors}");
        all_passed(&output);
        let reports = errors.lines().filter(|line| line.starts_with("violation: release of an unknown indication"));
        assert_eq!(reports.count(), 4, "{errors}");
    }
}

/// Arguments that no client should give come back as statuses, with the IRP completed, and nothing else happens.
#[test]
fn hostile_arguments_are_statuses() {
    everywhere("hostile.c", |driver, transport| {
        let (output, errors, status) = run(&[driver], &["--for", "0", "--transport", transport]);
        assert_eq!(status, Some(0), "{output}{errors}");
        assert!(all_passed(&output) > 150);
    });
}

/// A stream echo driver: many clients, resets among them, then a clean unload with nothing leaked, and no access to CR8 that
/// trapped.
fn echoes(source: &str) {
    everywhere(source, |driver, transport| {
        let running = Running::start(&[driver], &["--verify", "--transport", transport]);
        echoes_many(running.port(), 40);
        let (_, errors, status) = running.interrupt();
        assert_eq!(status, Some(0), "{transport}: {errors}");
        assert!(errors.lines().any(|line| line.starts_with("0 CR8 accesses trapped")), "{errors}");
    });
}

#[test]
fn echo_by_functions() {
    echoes("echo_functions.c");
}

#[test]
fn echo_by_callbacks() {
    echoes("echo_callbacks.c");
}

#[test]
fn datagram_echo_by_callbacks() {
    everywhere("udp_echo_callbacks.c", |driver, transport| {
        let running = Running::start(&[driver], &["--verify", "--transport", transport]);
        both(running.port()).into_iter().for_each(echoes_datagrams);
        running.ends_cleanly();
    });
}

/// Clients of both families; what the driver says of each datagram is what the client knows of it (C-42).
#[test]
fn packet_info_of_both_families() {
    use rustix::net::sockopt::set_ipv6_unicast_hops;
    everywhere("udp_packet_info.c", |driver, transport| {
        let running = Running::start(&[driver], &["--verify", "--transport", transport]);
        let server = both(running.port());
        for (to, local) in server.into_iter().zip(["127.0.0.1:0", "[::1]:0"]) {
            let client = UdpSocket::bind(local).expect("a socket");
            let hops = if to.is_ipv4() {
                client.set_ttl(33).map(|()| 33).expect("a hop limit")
            } else {
                set_ipv6_unicast_hops(&client, Some(44)).map(|()| 44).expect("a hop limit")
            };
            let port = client.local_addr().expect("bound").port();
            let source = if to.is_ipv4() { format!("[::ffff:127.0.0.1]:{port}") } else { format!("[::1]:{port}") };
            for length in [5, 0, 1400] {
                client.send_to(&vec![7; length], to).expect("sent");
                let said = running.wait_for(&format!("{length} bytes from {source} to {}, interface ", to.ip()));
                let (interface, rest) = said.split_once(", ").expect("the hop limit");
                assert_ne!(interface.parse::<u32>(), Ok(0), "{said}");
                assert_eq!(rest, format!("hop limit {hops}"));
            }
        }
        running.ends_cleanly();
    });
}

/// A driver that goes while connections are open aborts them, and leaves nothing behind.
#[test]
fn unload_with_open_connections() {
    for source in ["echo_functions.c", "echo_callbacks.c"] {
        everywhere(source, |driver, transport| {
            let running = Running::start(&[driver], &["--verify", "--transport", transport]);
            let port = running.port();
            let mut peers: Vec<TcpStream> =
                (0..10).map(|at| TcpStream::connect(both(port)[at % 2]).expect("accepted")).collect();
            for peer in &mut peers {
                use std::io::Write;
                peer.set_read_timeout(Some(HANGS)).expect("a timeout");
                peer.write_all(b"here").expect("sent");
                let mut echo = [0; 4];
                peer.read_exact(&mut echo).expect("the echo: the connection is the driver's");
            }
            running.ends_cleanly();
            for mut peer in peers {
                let end = peer.read(&mut [0; 16]);
                assert!(end.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset), "{end:?}");
            }
        });
    }
}

/// Clients that come and go all the time, while the driver is unloaded.
#[test]
fn unload_while_clients_come() {
    everywhere("echo_functions.c", |driver, transport| {
        for _ in 0..2 {
            let running = Running::start(&[driver], &["--verify", "--transport", transport]);
            let port = running.port();
            let (first, came) = std::sync::mpsc::channel();
            let flood = || while TcpStream::connect(both(port)[0]).is_ok_and(|_| first.send(()).is_ok()) {};
            std::thread::scope(|scope| {
                let floods = [scope.spawn(flood), scope.spawn(flood)];
                (0..50).for_each(|_| came.recv_timeout(HANGS).expect("a client"));
                running.ends_cleanly();
                floods.into_iter().for_each(|flood| flood.join().expect("the listener is gone"));
            });
        }
    });
}

/// A connection from a local port of the wanted kind; `None` if the listener refused it.
fn from_port(port: u16, wanted: impl Fn(u16) -> bool) -> Option<String> {
    // Above what the kernel hands out by itself.
    let free = (61_000..65_000).filter(|from| wanted(*from)).find_map(|from| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, from)).into()).is_ok().then_some(socket)
    });
    let socket = free.expect("a free port");
    socket.set_read_timeout(Some(HANGS)).expect("a timeout");
    socket.connect(&both(port)[0].into()).ok()?;
    let mut greeting = String::new();
    TcpStream::from(socket).read_to_string(&mut greeting).is_ok().then_some(greeting)
}

#[test]
fn conditional_accept_refuses_accepts_and_thinks() {
    everywhere("conditional_accept.c", |driver, transport| {
        let running = Running::start(&[driver], &["--verify", "--transport", transport]);
        let port = running.port();
        assert_eq!(from_port(port, |from| from % 2 == 1).as_deref(), Some("welcome\n"));
        assert_eq!(from_port(port, |from| from % 4 == 2).as_deref(), Some("welcome\n"));
        assert_eq!(from_port(port, |from| from % 4 == 0), None);
        let (lines, errors, status) = running.interrupt();
        assert_eq!(status, Some(0), "{errors}");
        for said in ["accepted a peer", "thinking about a peer", "decided: accepted", "refused a peer"] {
            assert!(lines.iter().any(|line| line.contains(said)), "{said}: {lines:?}");
        }
    });
}

#[test]
fn ioctl_client_is_controlled_from_the_command_line() {
    everywhere("ioctl_client.c", |driver, transport| {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let server = TcpListener::bind(address).expect("a server");
            let peer = server.local_addr().expect("bound");
            let echo = std::thread::spawn(move || {
                let (mut stream, _) = server.accept().expect("a client");
                let mut received = [0; 5];
                stream.read_exact(&mut received).expect("five bytes");
                std::io::Write::write_all(&mut stream, &received).expect("sent");
                stream.read(&mut received).unwrap_or(0)
            });
            let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let connect = format!("0x222000={}", hex(peer.to_string().as_bytes()));
            let send = format!("0x222004={}", hex(b"hello"));
            let device = r"\DosDevices\WskClient";
            let (output, errors, status) = run(
                &[driver],
                &[
                    "--for",
                    "0",
                    "--verify",
                    "--transport",
                    transport,
                    "--ioctl",
                    device,
                    &connect,
                    "--ioctl",
                    device,
                    &send,
                    "--ioctl",
                    device,
                    "0x222008",
                    "--ioctl",
                    device,
                    "0x22200c",
                    "--ioctl",
                    device,
                    "0x222004=00",
                ],
            );
            assert_eq!(status, Some(0), "{output}{errors}");
            let answers: Vec<&str> = output.lines().filter(|line| line.starts_with(device)).collect();
            assert_eq!(answers.len(), 5, "{output}");
            assert!(answers[..4].iter().all(|line| line.contains("STATUS_SUCCESS")), "{answers:?}");
            assert!(answers[2].ends_with(&hex(b"hello")), "{answers:?}");
            assert!(answers[4].contains("STATUS_INVALID_DEVICE_STATE"), "{answers:?}");
            assert_eq!(echo.join().expect("the server ends"), 0, "the connection ends");
        }
    });
}

/// A request that the driver keeps does not keep Ctrl-C from ending the run; those after it are not sent.
#[test]
fn a_control_request_that_pends_is_cancelled() {
    let directory = directory();
    let driver = build(&directory, "pends.c", "gcc", &[]);
    let device = r"\DosDevices\Pends";
    let requests = ["--ioctl", device, "0x222000", "--ioctl", device, "0x222004"];
    let running = Running::start(&[&driver], &[&["--verify"], &requests[..]].concat());
    running.wait_for("pended");
    let (lines, errors, status) = running.interrupt();
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with(device) && lines[0].contains("STATUS_CANCELLED"), "{lines:?}");
}

#[test]
fn drivers_find_each_other_through_the_nmr_in_any_order() {
    for compiler in COMPILERS {
        let directory = directory();
        let provider = build(&directory, "nmr_provider.c", compiler, &[]);
        let client = build(&directory, "nmr_client.c", compiler, &[]);
        for order in [[&provider, &client], [&client, &provider]] {
            let drivers: Vec<&Path> = order.iter().map(|path| path.as_path()).collect();
            let (output, errors, status) = run(&drivers, &["--for", "0", "--verify"]);
            assert_eq!(status, Some(0), "{output}{errors}");
            for line in [
                "nmr_provider: a client attached",
                "nmr_client: told that the sum is 5",
                "nmr_client: 2 + 3 = 5",
                "nmr_client: detached",
            ] {
                assert!(output.lines().any(|printed| printed == line), "{line}:\n{output}");
            }
        }
    }
}

/// A driver that goes without deregistering: its peers are detached while its image is there, and nobody calls it any more.
#[test]
fn a_driver_that_left_its_nmr_registrations_behind_is_called_no_more() {
    for compiler in COMPILERS {
        let directory = directory();
        let provider = build(&directory, "nmr_provider.c", compiler, &[]);
        let leaves = build(&directory, "leaves_nmr.c", compiler, &[]);
        // Unloaded in the reverse order: the provider then has nobody to detach.
        let (output, errors, status) = run(&[&provider, &leaves], &["--for", "0"]);
        assert_eq!(status, Some(0), "{output}{errors}");
        let said: Vec<&str> = output.lines().collect();
        assert_eq!(said, ["nmr_provider: a client attached", "nmr_provider: a client detaches"], "{errors}");
        let (output, errors, status) = run(&[&provider, &leaves], &["--for", "0", "--verify"]);
        assert_eq!(status, Some(4), "{output}{errors}");
        assert!(errors.contains("is registered") && errors.contains("socket leak"), "{errors}");
    }
}

/// Name lookups that a driver left behind end before its image goes, and nobody calls it afterwards.
#[test]
fn name_lookups_that_were_left_behind_are_ended() {
    everywhere("leaves_names.c", |driver, transport| {
        let (output, errors, status) = run(&[driver], &["--for", "0", "--transport", transport]);
        assert_eq!(status, Some(0), "{output}{errors}");
        assert_eq!(output, "leaves_names: leaves\n", "{errors}");
    });
}

#[test]
fn the_three_functions_of_the_introduction() {
    everywhere("event_control.c", |driver, transport| {
        let (output, errors, status) = run(&[driver], &["--for", "0", "--verify", "--transport", transport]);
        assert_eq!(status, Some(0), "{output}{errors}");
        let said: Vec<&str> = output.lines().filter_map(|line| line.strip_prefix("event_control: ")).collect();
        let expected = [
            "receive callback: 5 bytes",
            "disconnect callback: graceful",
            "enable disconnect and receive: 0x00000000",
            "disconnect callback: off",
            "disable disconnect: 0x00000000",
            "receive-from callback: 5 bytes",
            "static callbacks: 0x00000000",
        ];
        assert_eq!(said, expected);
    });
}

#[test]
fn the_registry_file_gives_the_port() {
    let directory = directory();
    let driver = build(&directory, "echo_callbacks.c", "gcc", &[]);
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a free port");
    let registry = directory.path().join("echo.reg");
    let key = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\echo_callbacks";
    let content =
        format!("Windows Registry Editor Version 5.00\r\n\r\n[{key}]\r\n\"Port\"=dword:{:08x}\r\n", free.port());
    std::fs::write(&registry, content).expect("written");
    let running = Running::start(&[&driver], &["--verify", "--reg", &registry.to_string_lossy()]);
    assert_eq!(running.port(), free.port());
    running.ends_cleanly();
    let (_, errors, status) = run(&[&driver], &["--for", "0", "--reg", "/nonexistent.reg"]);
    assert_eq!(status, Some(2), "{errors}");
}

#[test]
fn sources_are_compiled_and_run_at_once() {
    let source = support::root().join("drivers/echo_functions.c");
    let running = Running::start(&[&source], &["--verify"]);
    echoes_many(running.port(), 4);
    running.ends_cleanly();
}

#[test]
fn gdb_gets_the_symbols_of_a_running_driver() {
    let directory = directory();
    for compiler in COMPILERS {
        let driver = build(&directory, "echo_callbacks.c", compiler, &[]);
        let (_, errors, status) = run(&[&driver], &["--for", "0", "--debugger"]);
        assert_eq!(status, Some(0), "{errors}");
        let line = errors.lines().find(|line| line.contains("add-symbol-file")).expect("the line for gdb");
        let command = line.split("-ex '").find_map(|part| part.strip_prefix("add-symbol-file")).expect("the command");
        let command = format!("add-symbol-file{}", command.trim_end_matches('\'').trim_end().trim_end_matches('\''));
        let gdb = std::process::Command::new("gdb")
            .args(["-batch", "-nx", "-ex", &command, "-ex", "info line AcceptEvent", "-ex", "info address Unload"])
            .output()
            .expect("gdb is installed: apt install gdb");
        let said = text(&gdb.stdout);
        assert!(said.contains("echo_callbacks.c") && said.contains("\"Unload\" is"), "{said}{}", text(&gdb.stderr));
    }
}
