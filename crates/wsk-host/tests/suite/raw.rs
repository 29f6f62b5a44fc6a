//! Raw sockets: for the privileged, without ports, with the header of IPv4 where it belongs.

use std::net::SocketAddr;
use std::sync::Arc;

use wsk_abi::NtStatus;
use wsk_core::control_data::ControlData;
use wsk_core::memory::Memory;
use wsk_core::option::{OptionName, OptionValue};
use wsk_core::transport::{Datagram, Endpoint, Event, Family, Operation, Protocol, ServiceKind, Token};

use crate::rig::Rig;

fn config() -> wsk_host::Config {
    wsk_host::Config::default()
}

/// `None`: not here.
pub(crate) fn raw(rig: &Rig, family: Family, protocol: u8) -> Option<Arc<dyn Endpoint>> {
    let listed = rig.transport.services().iter().any(|service| service.kind == ServiceKind::Raw);
    match rig.transport.create(family, Protocol::Raw(protocol)) {
        Ok(endpoint) => {
            assert!(listed, "what can be made is listed");
            Some(endpoint)
        }
        Err(status) => {
            eprintln!("=== NOT TESTED: raw sockets are not allowed here ===");
            assert_eq!((status, listed), (NtStatus::ACCESS_DENIED, false));
            None
        }
    }
}

fn datagram(rig: &mut Rig, token: Token, mut is_it: impl FnMut(&[u8]) -> bool) -> Datagram {
    rig.wait(token, |event| match event {
        Event::Datagram(datagram) if is_it(datagram.buffer.bytes()) => Ok(datagram),
        event => Err(event),
    })
}

/// The checksum of IP and ICMP.
pub(crate) fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum: u32 = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

arms! {
    fn a_ping_is_answered(rig: Rig) {
        for (family, local, protocol) in [(Family::V4, "127.0.0.1:0", 1), (Family::V6, "[::1]:0", 58)] {
            let Some(endpoint) = raw(&rig, family, protocol) else { return };
            let local: SocketAddr = local.parse().unwrap();
            let with_port = SocketAddr::new(local.ip(), 77);
            assert_eq!(endpoint.bind(with_port, false), Ok(local), "ports are 0");
            assert_eq!(endpoint.local_address(), Ok(local));
            let token = rig.attach(&endpoint);
            rig.submit(token, Operation::ReceiveFromStart);
            let (request, reply) = if family == Family::V4 { (8, 0) } else { (128, 129) };
            let id = (token.0 as u16 ^ std::process::id() as u16).to_be_bytes();
            let mut ping = [&[request, 0, 0, 0][..], &id, &[0, 1], b"ping?!"].concat();
            if family == Family::V4 {
                let sum = checksum(&ping);
                ping[2..4].copy_from_slice(&sum);
            }
            let messages = [Memory::Vec(ping)];
            assert_eq!(endpoint.try_send_to(&messages, 0, with_port, &ControlData::default()), Ok(1));
            let header = if family == Family::V4 { 20 } else { 0 };
            let is_reply = |bytes: &[u8]| bytes[header] == reply && bytes[header + 4..header + 6] == id;
            let got = datagram(&mut rig, token, is_reply);
            assert_eq!(got.source, local);
            assert!(got.buffer.bytes().ends_with(b"ping?!"));
            if header > 0 {
                assert_eq!(got.buffer.bytes()[0], 0x45, "the header of IPv4");
            }
        }
    }

    fn a_client_can_write_the_header(rig: Rig) {
        let Some(receiver) = raw(&rig, Family::V4, 254) else { return };
        receiver.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        receiver.set_option(OptionName::ReceiveHopLimit4, &OptionValue::Number(1)).unwrap();
        let token = rig.attach(&receiver);
        rig.submit(token, Operation::ReceiveFromStart);
        let sender = raw(&rig, Family::V4, 254).unwrap();
        sender.bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        sender.set_option(OptionName::HeaderIncluded4, &OptionValue::Number(1)).unwrap();
        assert_eq!(sender.option(OptionName::Type), Ok(OptionValue::Number(3)));
        let own = (token.0 as u32).to_be_bytes();
        let mut packet = [&[0x45, 0, 0, 28, 0, 0, 0, 0, 33, 254, 0, 0, 127, 0, 0, 9, 127, 0, 0, 1][..], b"mine", &own].concat();
        let sum = checksum(&packet[..20]);
        packet[10..12].copy_from_slice(&sum);
        rig.submit(token, crate::rig::send_to(1, Memory::None, "127.0.0.1:0".parse().unwrap()));
        let messages = [Memory::Vec(packet)];
        assert_eq!(sender.try_send_to(&messages, 0, "127.0.0.1:0".parse().unwrap(), &ControlData::default()), Ok(1));
        let got = datagram(&mut rig, token, |bytes| bytes.ends_with(&own));
        assert_eq!(got.source, "127.0.0.9:0".parse().unwrap());
        assert_eq!(got.control.hop_limit(), Some(33));
        rig.wait(token, |event| if let Event::SendToDone { result: Ok(()), .. } = event { Ok(()) } else { Err(event) });
    }
}
