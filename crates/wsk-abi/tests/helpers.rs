//! The few functions of the crate, against the figures of the specification.

use wsk_abi::cmsg::{CMSG_LEN, CMSG_SPACE};
use wsk_abi::mdl::{mdl_size, span_pages};
use wsk_abi::sockaddr::{IN_ADDR, IN6_ADDR, SCOPE_ID};

/// control.md 4.4: 16 + n, and 16 + n rounded up to 8.
#[test]
fn control_message_lengths() {
    assert_eq!([0, 1, 4, 8, 20].map(CMSG_LEN), [16, 17, 20, 24, 36]);
    assert_eq!([0, 1, 4, 8, 20].map(CMSG_SPACE), [16, 24, 24, 24, 40]);
}

#[test]
fn mdl_sizes_count_the_pages_spanned() {
    assert_eq!(span_pages(0, 0), 0);
    assert_eq!(span_pages(0, 4096), 1);
    assert_eq!(span_pages(1, 4096), 2);
    assert_eq!(span_pages(4096 + 4095, 1), 1);
    assert_eq!(mdl_size(2), 64);
}

#[test]
fn addresses_keep_the_order_of_their_bytes() {
    assert_eq!(IN_ADDR::from_octets([127, 0, 0, 1]).octets(), [127, 0, 0, 1]);
    assert_eq!(IN_ADDR::from_octets([127, 0, 0, 1]).S_un.S_addr, 0x0100_007F);
    let octets = std::array::from_fn(|i| i as u8);
    assert_eq!(IN6_ADDR::from_octets(octets).octets(), octets);
}

#[test]
fn scope_ids_split_into_zone_and_level() {
    let scope = SCOPE_ID { Value: 0x2000_0007 };
    assert_eq!((scope.zone(), scope.level()), (7, 2));
}
