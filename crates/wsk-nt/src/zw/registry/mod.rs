//! The registry: a tree in memory, filled from a text file of the Registry Editor's export format, read and written by
//! drivers. Nothing is written back.

use parking_lot::Mutex;

mod file;
pub mod keys;
pub mod query;
mod tree;
pub mod values;

pub use file::{check_reg, load_reg};
pub(crate) use tree::{Key, Tree, Value};

pub(crate) static REGISTRY: Mutex<Tree> = Mutex::new(Tree::new());

/// Loads a file of the export format; see [`load_reg`].
///
/// # Errors
/// The file cannot be read, or a line of it is not understood.
pub fn load_reg_file(path: &std::path::Path) -> Result<(), String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let text = match bytes.strip_prefix(&[0xff, 0xfe]) {
        Some(wide) => {
            let units: Vec<u16> = wide.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            String::from_utf16_lossy(&units)
        }
        None => String::from_utf8_lossy(&bytes).into_owned(),
    };
    load_reg(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Sets one value; the key (`\Registry\Machine\...`) is made if it is not there.
pub fn set_value(key: &str, name: &str, kind: u32, data: &[u8]) {
    let mut registry = REGISTRY.lock();
    let id = registry.create(key);
    registry.set(id, name, kind, data.to_vec());
}

pub(crate) const EXPORTS: &[&[crate::export::Export]] = &[keys::EXPORTS, values::EXPORTS, query::EXPORTS];

#[cfg(test)]
mod tests;
