//! Security descriptors in their self-relative form.

use wsk_core::security::{Entry, SHARE, SecurityDescriptor, Sid, Subject};

use super::{Target, outcome};

pub(super) const TARGET: Target =
    Target { name: "security", what: "security descriptors (WSK_CACHE_SD, SO_WSK_SECURITY)", seeds, run };

fn seeds() -> Vec<Vec<u8>> {
    let deny = Entry { trustee: Sid::new(5, &[21, 1, 2, 3, 1001]), rights: SHARE, allow: false };
    let entries = |list: Vec<Entry>| SecurityDescriptor { owner: Some(Sid::local_system()), entries: Some(list) };
    let allow = Entry { trustee: Sid::everyone(), allow: true, ..deny.clone() };
    [
        SecurityDescriptor::default(),
        SecurityDescriptor::sharing_with([Sid::everyone(), Sid::local_system()]),
        entries(Vec::new()),
        entries(vec![deny, allow]),
    ]
    .map(|descriptor| descriptor.encode())
    .into()
}

fn run(input: &[u8]) -> u64 {
    let parsed = SecurityDescriptor::parse(input);
    if let Ok(descriptor) = &parsed {
        assert_eq!(
            SecurityDescriptor::parse(&descriptor.encode()).as_ref(),
            Ok(descriptor),
            "what was written is read again"
        );
        let _ = descriptor.lets_share(&Subject::default());
    }
    let list = SecurityDescriptor::parse_list(input).map(|entries| entries.len());
    let of = |descriptor: &SecurityDescriptor| {
        let entries = descriptor.entries.as_ref().map(|entries| entries.len());
        (descriptor.owner.is_some(), entries, descriptor.lets_share(&Subject::default()))
    };
    outcome((parsed.as_ref().map(of).ok(), list.is_ok(), Sid::parse(input).is_ok()))
}
