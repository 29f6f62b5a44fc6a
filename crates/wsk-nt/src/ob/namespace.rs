//! Names of objects: devices, symbolic links, events; a flat map with `\DosDevices`, `\GLOBAL??` and `\??` as one directory.
#![allow(unsafe_code)] // Entries are objects by address.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use wsk_abi::NtStatus;

/// What a name stands for.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// An object, by address; the name owns no reference: the object takes its name away when it goes.
    Object(usize),
    /// Another name.
    Link(String),
}

static NAMES: Mutex<BTreeMap<String, (String, Entry)>> = Mutex::new(BTreeMap::new());

/// A name as it is compared: lower case, one prefix for DOS devices.
fn key(name: &str) -> String {
    let lower = name.to_lowercase();
    for prefix in ["\\dosdevices\\global\\", "\\dosdevices\\", "\\global??\\", "\\??\\global\\"] {
        if let Some(rest) = lower.strip_prefix(prefix) {
            return format!("\\??\\{rest}");
        }
    }
    lower
}

/// Enters a name.
pub(crate) fn insert(name: &str, entry: Entry) -> Result<(), NtStatus> {
    if !name.starts_with('\\') {
        return Err(NtStatus::OBJECT_PATH_SYNTAX_BAD);
    }
    match NAMES.lock().entry(key(name)) {
        std::collections::btree_map::Entry::Occupied(_) => Err(NtStatus::OBJECT_NAME_COLLISION),
        std::collections::btree_map::Entry::Vacant(vacant) => {
            vacant.insert((name.to_owned(), entry));
            Ok(())
        }
    }
}

/// Removes a symbolic link.
pub(crate) fn remove_link(name: &str) -> Result<(), NtStatus> {
    let mut names = NAMES.lock();
    match names.get(&key(name)) {
        Some((_, Entry::Link(_))) => {
            names.remove(&key(name));
            Ok(())
        }
        Some(_) => Err(NtStatus::OBJECT_TYPE_MISMATCH),
        None => Err(NtStatus::OBJECT_NAME_NOT_FOUND),
    }
}

/// Removes the name of an object.
pub(crate) fn remove_object(object: *const u8) {
    NAMES.lock().retain(|_, (_, entry)| !matches!(entry, Entry::Object(address) if *address == object as usize));
}

/// The name of an object.
pub(crate) fn name_of(object: *const u8) -> Option<String> {
    let names = NAMES.lock();
    let mut named = names.values();
    named
        .find(|(_, entry)| matches!(entry, Entry::Object(address) if *address == object as usize))
        .map(|(name, _)| name.clone())
}

/// Finds an object by name, following links; what follows the object's own name (a path on a device) is the second result.
/// The object gets a reference.
pub(crate) fn look_up(name: &str) -> Result<(*mut u8, String), NtStatus> {
    let names = NAMES.lock();
    let mut name = name.to_owned();
    for _ in 0..16 {
        let mut rest = String::new();
        let mut head = name.clone();
        let (head, entry) = loop {
            if let Some((_, entry)) = names.get(&key(&head)) {
                break (head, entry.clone());
            }
            // Shorten by one component: \Device\Tcp\path is a path on \Device\Tcp.
            let Some(at) = head.rfind('\\').filter(|&at| at > 0) else { return Err(NtStatus::OBJECT_NAME_NOT_FOUND) };
            rest = format!("{}{rest}", &head[at..]);
            head.truncate(at);
        };
        match entry {
            Entry::Object(address) => {
                let _ = head;
                // SAFETY: objects take their names away before they go, under this lock.
                unsafe { super::reference(address as *mut u8) };
                return Ok((address as *mut u8, rest));
            }
            Entry::Link(target) => name = format!("{target}{rest}"),
        }
    }
    Err(NtStatus::OBJECT_NAME_NOT_FOUND)
}
