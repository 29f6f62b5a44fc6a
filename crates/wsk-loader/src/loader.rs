//! Loading: from the bytes of a file to an image that is mapped, relocated and bound, with nothing of it run yet.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use thiserror::Error;
use wsk_nt::export::{Export, Kind};
use wsk_nt::mm::memory;

use crate::driver::Driver;
use crate::export::{ImageExport, Target};
use crate::image::{Image, ImageError};
use crate::import::{Import, Wanted};
use crate::map::{Mapping, PAGE, Protection};
use crate::module::{self, MissingImport, Module};
use crate::patch::{Moved, Plan};
use crate::trap::{self, shared_page};
use crate::{cookie, driver, patch, reloc, stub};

/// How to load a driver.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Load although imports are missing; calling one of them is a bug check that names it.
    pub allow_missing: bool,
    /// Rewrite nothing: every access to CR8 and to the shared page traps. For measurements, and to tell a patch from a bug.
    pub trap_only: bool,
    /// Where the file is, to look for its PDB beside it.
    pub directory: Option<PathBuf>,
}

/// An import that nobody exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The module the driver expects it in.
    pub dll: String,
    /// What it wants from it.
    pub wanted: Wanted,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}!{}", self.dll, self.wanted)
    }
}

/// Why a driver was not loaded. Nothing of it has run.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The image is bad.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Imports are missing, all of them listed.
    #[error("{} imported, but not there: {}", count(.0.len()), list(.0))]
    Unresolved(Vec<Missing>),
    /// A driver of that name is loaded.
    #[error("a driver named {0} is loaded already; give the copy another file name")]
    Duplicate(String),
    /// Too many drivers at a time.
    #[error("{} drivers are loaded already; unload one first", module::LIMIT)]
    TooMany,
    /// The kernel refuses memory.
    #[error("cannot map the image: {0}; check `ulimit -v` and the kernel's memory policy")]
    Map(#[from] io::Error),
}

fn count(number: usize) -> String {
    if number == 1 { "1 function or variable is".into() } else { format!("{number} functions or variables are") }
}

fn list(missing: &[Missing]) -> String {
    missing.iter().map(Missing::to_string).collect::<Vec<_>>().join(", ")
}

/// What an import is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// A function of OpenWSK.
    Function,
    /// A variable of OpenWSK.
    Data,
    /// An export of the driver of this name, loaded before.
    Driver(String),
    /// Nothing.
    Missing,
}

/// One line of a driver's import table, as [`Loader::imports_of`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportLine {
    /// The module the driver expects it in.
    pub dll: String,
    /// What it wants from it.
    pub wanted: Wanted,
    /// What it gets.
    pub binding: Binding,
}

/// The loader: what drivers can import, and the way to load one.
#[derive(Debug)]
pub struct Loader {
    exports: HashMap<&'static str, &'static Export>,
}

/// An address for a slot, and how to reach it.
enum Resolved {
    /// Called through a stub that notes the caller.
    Function(usize),
    /// The slot holds the address itself.
    Direct(usize),
    Driver(usize, Arc<Module>),
}

impl Loader {
    /// A loader that binds imports to `exports` and to the loader's own (structured exceptions, stack probes). Of two exports
    /// of one name the first counts.
    pub fn new(exports: impl IntoIterator<Item = &'static Export>) -> Loader {
        let mut table = HashMap::new();
        for export in crate::exports::all().chain(exports) {
            table.entry(export.name).or_insert(export);
        }
        trap::install();
        announce(&table);
        Loader { exports: table }
    }

    /// Maps and binds a driver. `name` is its file name: drivers loaded later import from it by that name.
    ///
    /// # Errors
    ///
    /// [`LoadError`] says why not; then nothing of the driver has run and nothing of it is left.
    pub fn load(&self, name: &str, bytes: &[u8], options: &LoadOptions) -> Result<Driver, LoadError> {
        let image = Image::parse(bytes)?;
        let loaded = module::all();
        if loaded.iter().any(|module| module.stem() == module::stem(name)) {
            return Err(LoadError::Duplicate(name.into()));
        }
        let resolved: Vec<(Import, Option<Resolved>)> =
            image.imports.iter().map(|import| (import.clone(), self.resolve(import, &loaded, 0))).collect();
        let missing: Vec<Missing> = (resolved.iter().filter(|(_, to)| to.is_none()))
            .map(|(import, _)| Missing { dll: import.dll.clone(), wanted: import.wanted.clone() })
            .collect();
        if !missing.is_empty() && !options.allow_missing {
            return Err(LoadError::Unresolved(missing));
        }
        let module = Arc::new(map(name, image, resolved, options)?);
        if !module::add(&module) {
            return Err(LoadError::TooMany);
        }
        Ok(Driver::new(module))
    }

    /// What a driver imports, and what each import would be bound to now.
    ///
    /// # Errors
    ///
    /// [`ImageError`] if it is no driver.
    pub fn imports_of(&self, bytes: &[u8]) -> Result<Vec<ImportLine>, ImageError> {
        let image = Image::parse(bytes)?;
        let loaded = module::all();
        let line = |import: &Import| {
            let binding = match self.resolve(import, &loaded, 0) {
                None => Binding::Missing,
                Some(Resolved::Driver(_, module)) => Binding::Driver(module.name.clone()),
                Some(Resolved::Function(_)) => Binding::Function,
                Some(Resolved::Direct(_)) => match &import.wanted {
                    Wanted::Name(name) if self.exports.get(name.as_str()).is_some_and(|e| e.kind == Kind::Data) => {
                        Binding::Data
                    }
                    _ => Binding::Function,
                },
            };
            ImportLine { dll: import.dll.clone(), wanted: import.wanted.clone(), binding }
        };
        Ok(image.imports.iter().map(line).collect())
    }

    /// The address of a function or variable a driver can import by name (MmGetSystemRoutineAddress).
    pub fn address_of(&self, name: &str) -> Option<usize> {
        self.exports.get(name).map(|export| export.address as usize)
    }

    fn resolve(&self, import: &Import, loaded: &[Arc<Module>], depth: usize) -> Option<Resolved> {
        let wanted_stem = module::stem(&import.dll);
        if let Some(module) = loaded.iter().find(|module| module.stem() == wanted_stem) {
            let matches = |export: &&ImageExport| match &import.wanted {
                Wanted::Name(name) => export.name.as_deref() == Some(name),
                Wanted::Ordinal(ordinal) => export.ordinal == u32::from(*ordinal),
            };
            return match &module.image.exports.iter().find(matches)?.target {
                Target::Rva(rva) => Some(Resolved::Driver(module.base() + *rva as usize, module.clone())),
                Target::Forward(_) if depth > 8 => None,
                Target::Forward(to) => self.resolve(&forwarded(to)?, loaded, depth + 1),
            };
        }
        let Wanted::Name(name) = &import.wanted else { return None };
        let export = self.exports.get(name.as_str())?;
        let address = export.address as usize;
        Some(match export.kind {
            Kind::Function if !crate::exports::is_direct(export) => Resolved::Function(address),
            Kind::Function | Kind::Data => Resolved::Direct(address),
        })
    }
}

/// Maps an image, relocates and binds it, and protects its sections.
fn map(
    name: &str,
    image: Image,
    imports: Vec<(Import, Option<Resolved>)>,
    options: &LoadOptions,
) -> io::Result<Module> {
    let size = image.memory.len();
    let plan = if options.trap_only { Plan::default() } else { patch::plan(&image) };
    let stubs_size = (imports.len() * stub::NOTED_SIZE).next_multiple_of(PAGE);
    let patches_at = size + stubs_size;
    let mut mapping = Mapping::new(patches_at + plan.windows.len() * patch::AREA)?;
    let (base, end) = (mapping.base(), mapping.base() + mapping.size());
    let bytes = mapping.bytes();
    for (rva, part) in image.parts() {
        bytes[rva..rva + part.len()].copy_from_slice(part);
    }
    reloc::apply(&mut bytes[..size], &image.relocations, image.preferred_base, base as u64);
    let bound = bind(name, bytes, base, size, imports);
    cookie::set(bytes, &image);
    let moved = rewrite(bytes, base, &plan, patches_at);
    protect(name, &mapping, &image)?;
    mapping.protect(size, mapping.size() - size, Protection::CODE)?;
    Ok(Module {
        name: name.into(),
        image,
        mapping,
        stubs: bound.stubs,
        uses: bound.uses,
        _missing: bound.missing,
        moved,
        moved_range: base + patches_at..end,
        directory: options.directory.clone(),
        symbols: OnceLock::new(),
    })
}

/// What binding an image's imports leads to beside the addresses in their slots.
struct Bound {
    stubs: Vec<(usize, String)>,
    uses: Vec<Arc<Module>>,
    missing: Box<[MissingImport]>,
}

/// Fills the slots of the image in `bytes`, which is at `base`, and writes the stubs from `at` on.
fn bind(name: &str, bytes: &mut [u8], base: usize, at: usize, imports: Vec<(Import, Option<Resolved>)>) -> Bound {
    let notes = imports
        .iter()
        .filter(|(_, to)| to.is_none())
        .map(|(import, _)| MissingImport { name: format!("{}!{}", import.dll, import.wanted), driver: name.into() });
    let mut bound = Bound { stubs: Vec::new(), uses: Vec::new(), missing: notes.collect() };
    let mut notes = bound.missing.iter();
    let mut at = at;
    let mut stub = |code: &[u8], name: String, bytes: &mut [u8]| {
        bytes[at..at + code.len()].copy_from_slice(code);
        bound.stubs.push((base + at, name));
        at += code.len();
        base + at - code.len()
    };
    for (import, to) in imports {
        let address = match to {
            Some(Resolved::Direct(address)) => address,
            Some(Resolved::Driver(address, module)) => {
                if !bound.uses.iter().any(|used| Arc::ptr_eq(used, &module)) {
                    bound.uses.push(module);
                }
                address
            }
            Some(Resolved::Function(target)) => stub(&stub::to(target), import.wanted.to_string(), bytes),
            None => {
                let note = notes.next().map_or(0, |note| ptr::from_ref(note) as usize);
                let code = stub::noted(driver::missing_import as *const () as usize, note);
                stub(&code, format!("{} (missing)", import.wanted), bytes)
            }
        };
        bytes[import.slot as usize..][..8].copy_from_slice(&address.to_le_bytes());
    }
    bound
}

/// Has MmGetSystemRoutineAddress find what is not the executive's own.
fn announce(table: &HashMap<&'static str, &'static Export>) {
    static ANNOUNCED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let own: HashSet<&str> = wsk_nt::export::all().map(|export| export.name).collect();
    let mut announced = ANNOUNCED.lock();
    for (name, export) in table.iter().filter(|(name, _)| !own.contains(**name)) {
        if announced.insert(name) {
            memory::add_routine(name, export.address as usize);
        }
    }
}

/// Rewrites what would trap (see [`patch`]).
fn rewrite(bytes: &mut [u8], base: usize, plan: &Plan, area: usize) -> Vec<Moved> {
    // First: what a window takes goes out of line with its new address, and what is left in its place is no instruction of
    // the driver's any more.
    for &rva in &plan.shared {
        let word = &mut bytes[rva as usize..][..8];
        let address = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        word.copy_from_slice(&shared_page::mirror(address).to_le_bytes());
    }
    let mut moved = Vec::new();
    let mut left = plan.left;
    for (index, window) in plan.windows.iter().enumerate() {
        match patch::write(bytes, base, window, area + index * patch::AREA) {
            Some(instructions) => moved.extend(instructions),
            None => left += 1,
        }
    }
    if plan.reads_time {
        wsk_nt::ke::time::start_clock();
    }
    trap::PATCHED.fetch_add(u64::from(plan.accesses) + plan.shared.len() as u64, Ordering::Relaxed);
    trap::UNPATCHED.fetch_add(left.into(), Ordering::Relaxed);
    moved
}

/// The import that a forwarded export stands for: `DLL.Name` or `DLL.#7`.
fn forwarded(to: &str) -> Option<Import> {
    let (dll, name) = to.rsplit_once('.')?;
    let wanted = match name.strip_prefix('#') {
        Some(ordinal) => Wanted::Ordinal(ordinal.parse().ok()?),
        None => Wanted::Name(name.into()),
    };
    Some(Import { dll: dll.into(), wanted, slot: 0 })
}

/// Gives headers and sections the protection they ask for, at last: import tables lie in read-only sections (lld).
fn protect(name: &str, mapping: &Mapping, image: &Image) -> io::Result<()> {
    mapping.protect(0, image.memory.len(), Protection::NONE)?;
    mapping.protect(0, image.headers_size as usize, Protection::READ)?;
    for section in &image.sections {
        let protection = Protection { read: section.readable, write: section.writable, execute: section.executable };
        if section.writable && section.executable {
            eprintln!("warning: {name}: section {} is writable and executable", section.name);
        }
        mapping.protect(section.rva as usize, section.size as usize, protection)?;
    }
    Ok(())
}
