//! The loaded images of this process: found by address from anywhere, signal handlers included.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::RwLock;
use wsk_nt::ke::context::CONTEXT;

use crate::image::Image;
use crate::map::Mapping;
use crate::patch::Moved;
use crate::symbol::Symbols;

/// A loaded image.
#[derive(Debug)]
pub(crate) struct Module {
    /// The file's name.
    pub(crate) name: String,
    pub(crate) image: Image,
    pub(crate) mapping: Mapping,
    /// Where its import stubs are, by name.
    pub(crate) stubs: Vec<(usize, String)>,
    /// The modules it imports from: they stay as long as it does.
    pub(crate) uses: Vec<Arc<Module>>,
    /// What the stubs of its missing imports point at, kept alive here.
    pub(crate) _missing: Box<[MissingImport]>,
    /// Instructions that patches moved behind the image, by their new address, and where that is.
    pub(crate) moved: Vec<Moved>,
    pub(crate) moved_range: Range<usize>,
    /// Where the file is, if known.
    pub(crate) directory: Option<PathBuf>,
    /// Read when the first address is to be named.
    pub(crate) symbols: OnceLock<Symbols>,
}

/// An import that nobody exports.
#[derive(Debug)]
pub(crate) struct MissingImport {
    pub(crate) name: String,
    pub(crate) driver: String,
}

impl Module {
    pub(crate) fn base(&self) -> usize {
        self.mapping.base()
    }

    /// The image, without the stubs behind it.
    pub(crate) fn range(&self) -> Range<usize> {
        self.base()..self.base() + self.image.memory.len()
    }

    /// Its names, read at the first use.
    pub(crate) fn symbols(&self) -> &Symbols {
        self.symbols.get_or_init(|| Symbols::read(&self.image, self.directory.as_deref()))
    }

    /// The address that code moved out of line stands for.
    pub(crate) fn original(&self, address: usize) -> Option<usize> {
        if !self.moved_range.contains(&address) {
            return None;
        }
        let index = self.moved.partition_point(|moved| moved.to <= address);
        index.checked_sub(1).map(|index| self.moved[index].from)
    }

    /// The RVA of an address of the image.
    pub(crate) fn rva(&self, address: usize) -> Option<u32> {
        self.range().contains(&address).then(|| (address - self.base()) as u32)
    }

    /// The name without its extension, in lower case: what import tables mean.
    pub(crate) fn stem(&self) -> String {
        stem(&self.name)
    }
}

/// A file's name without its extension, in lower case.
pub(crate) fn stem(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.rsplit_once('.') {
        Some((stem, "sys" | "dll" | "exe")) => stem.into(),
        _ => name,
    }
}

/// Most drivers loaded at a time.
pub(crate) const LIMIT: usize = 64;

static LOADED: RwLock<Vec<Arc<Module>>> = RwLock::new(Vec::new());

/// The mappings of the loaded modules, readable without a lock. An end of 0 marks a free entry.
static RANGES: [(AtomicUsize, AtomicUsize); LIMIT] = [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; LIMIT];

/// An image that is gone, for reports of calls into it.
#[derive(Clone, Debug)]
pub(crate) struct Unloaded {
    pub(crate) name: String,
    /// Its symbols, as long as someone keeps the driver.
    pub(crate) module: Weak<Module>,
    pub(crate) range: Range<usize>,
}

static UNLOADED: RwLock<VecDeque<Unloaded>> = RwLock::new(VecDeque::new());
const UNLOADED_LIMIT: usize = 50;

/// The images that were unloaded last, readable without a lock; the next entry to write.
static GONE: [(AtomicUsize, AtomicUsize); UNLOADED_LIMIT] =
    [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; UNLOADED_LIMIT];
static NEXT_GONE: AtomicUsize = AtomicUsize::new(0);

fn holds((start, end): &(AtomicUsize, AtomicUsize), address: usize) -> bool {
    let end = end.load(Ordering::Acquire);
    (start.load(Ordering::Relaxed)..end).contains(&address)
}

/// Whether a driver was at an address that has been unloaded lately. Takes no lock.
pub(crate) fn covered(address: usize) -> bool {
    GONE.iter().any(|range| holds(range, address))
}

/// Enters a module; false if there are too many.
pub(crate) fn add(module: &Arc<Module>) -> bool {
    let mut loaded = LOADED.write();
    let Some((start, end)) = RANGES.iter().find(|(_, end)| end.load(Ordering::Relaxed) == 0) else { return false };
    start.store(module.base(), Ordering::Relaxed);
    end.store(module.base() + module.mapping.size(), Ordering::Release);
    loaded.push(module.clone());
    true
}

/// Takes a module out.
pub(crate) fn remove(module: &Arc<Module>) {
    let mut loaded = LOADED.write();
    loaded.retain(|other| !Arc::ptr_eq(other, module));
    if let Some((_, end)) = RANGES
        .iter()
        .find(|(start, end)| end.load(Ordering::Relaxed) != 0 && start.load(Ordering::Relaxed) == module.base())
    {
        end.store(0, Ordering::Release);
    }
    let (start, end) = &GONE[NEXT_GONE.fetch_add(1, Ordering::Relaxed) % UNLOADED_LIMIT];
    end.store(0, Ordering::Relaxed);
    start.store(module.base(), Ordering::Relaxed);
    end.store(module.range().end, Ordering::Release);
    let mut unloaded = UNLOADED.write();
    if unloaded.len() == UNLOADED_LIMIT {
        unloaded.pop_front();
    }
    unloaded.push_back(Unloaded { name: module.name.clone(), module: Arc::downgrade(module), range: module.range() });
}

/// Whether an address lies in a loaded module's mapping: image, stubs or patches. Takes no lock.
pub(crate) fn covers(address: usize) -> bool {
    RANGES.iter().any(|range| holds(range, address))
}

/// The module whose mapping holds an address.
pub(crate) fn find(address: usize) -> Option<Arc<Module>> {
    let holds = |module: &&Arc<Module>| address.wrapping_sub(module.base()) < module.mapping.size();
    LOADED.read_recursive().iter().find(holds).cloned()
}

/// The loaded modules, in the order of loading.
pub(crate) fn all() -> Vec<Arc<Module>> {
    LOADED.read_recursive().clone()
}

/// The image that lay at an address until it was unloaded, if none is there now.
pub(crate) fn unloaded_at(address: usize) -> Option<Unloaded> {
    if covers(address) {
        return None;
    }
    UNLOADED.read_recursive().iter().rev().find(|unloaded| unloaded.range.contains(&address)).cloned()
}

/// If the code at `context` was moved by a patch: names the place it was moved from, which unwind codes know.
pub(crate) fn to_original(context: &mut CONTEXT) {
    if let Some(module) = find(context.Rip as usize)
        && let Some(original) = module.original(context.Rip as usize)
    {
        context.Rip = original as u64;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn stems() {
        assert_eq!(super::stem("NETIO.SYS"), "netio");
        assert_eq!(super::stem("a.b"), "a.b");
        assert_eq!(super::stem("hal"), "hal");
    }
}
