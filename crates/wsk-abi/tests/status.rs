//! How statuses print, and what their severities say.

use std::collections::BTreeSet;

use wsk_abi::NtStatus;

#[test]
fn a_status_prints_its_name_and_value() {
    assert_eq!(NtStatus::SUCCESS.to_string(), "STATUS_SUCCESS (0x00000000)");
    assert_eq!(NtStatus::INVALID_DEVICE_STATE.to_string(), "STATUS_INVALID_DEVICE_STATE (0xC0000184)");
    assert_eq!(NtStatus(0xDEAD_BEEF).to_string(), "0xDEADBEEF");
    assert_eq!(format!("{:?}", NtStatus::PENDING), "STATUS_PENDING");
    assert_eq!(format!("{:?}", NtStatus(0x1234)), "0x00001234");
}

#[test]
fn of_two_names_for_a_value_the_usual_one_prints() {
    assert_eq!(NtStatus::WAIT_0, NtStatus::SUCCESS);
    assert_eq!(NtStatus::WAIT_0.name(), Some("STATUS_SUCCESS"));
}

#[test]
fn severity_is_in_the_two_high_bits() {
    for (status, success, information, warning, error) in [
        (NtStatus::SUCCESS, true, false, false, false),
        (NtStatus::PENDING, true, false, false, false),
        (NtStatus::EVENT_PENDING, true, true, false, false),
        (NtStatus::BUFFER_OVERFLOW, false, false, true, false),
        (NtStatus::CANCELLED, false, false, false, true),
    ] {
        assert_eq!(status.is_success(), success, "{status}");
        assert_eq!(status.is_information(), information, "{status}");
        assert_eq!(status.is_warning(), warning, "{status}");
        assert_eq!(status.is_error(), error, "{status}");
    }
    assert!(NtStatus::PENDING.is_pending() && !NtStatus::EVENT_PENDING.is_pending());
    assert_eq!(NtStatus::default(), NtStatus::SUCCESS);
}

#[test]
fn statuses_are_listed_once_by_rising_value() {
    assert!(NtStatus::ALL.windows(2).all(|pair| pair[0].1 <= pair[1].1));
    let names: BTreeSet<&str> = NtStatus::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), NtStatus::ALL.len());
}
