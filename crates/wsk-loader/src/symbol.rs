//! Names of addresses in drivers: functions and lines from DWARF (mingw, clang) and from a PDB (MSVC, lld-link), functions from
//! the COFF symbol table and from exports.

mod program_database;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use gimli::{EndianArcSlice, LittleEndian};
use object::read::pe::PeFile64;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use parking_lot::Mutex;

use self::program_database::Names;
use crate::export::Target;
use crate::image::Image;
use crate::module;
use crate::unwind;

type Reader = EndianArcSlice<LittleEndian>;

/// The debug information of an image.
pub(crate) struct Symbols {
    /// Functions by RVA, ascending.
    functions: Vec<(u32, String)>,
    lines: Option<Mutex<addr2line::Context<Reader>>>,
    program_database: Option<Names>,
    preferred_base: u64,
}

impl fmt::Debug for Symbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Symbols").field("functions", &self.functions.len()).finish_non_exhaustive()
    }
}

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) function: Option<String>,
    pub(crate) line: Option<(String, u32)>,
}

impl Symbols {
    pub(crate) fn read(image: &Image, directory: Option<&Path>) -> Symbols {
        let file = PeFile64::parse(&*image.file).ok();
        let mut functions = Vec::new();
        for export in &image.exports {
            if let (Some(name), Target::Rva(rva)) = (&export.name, &export.target) {
                functions.push((*rva, name.clone()));
            }
        }
        let sections = file
            .iter()
            .flat_map(|file| file.symbols())
            .filter(|symbol| !matches!(symbol.kind(), SymbolKind::Section | SymbolKind::File));
        for symbol in sections {
            let rva = symbol.address().checked_sub(image.preferred_base).and_then(|rva| u32::try_from(rva).ok());
            let name = symbol.name().unwrap_or_default();
            let in_code = |rva: &u32| image.section_at(*rva).is_some_and(|section| section.executable);
            if let Some(rva) = rva.filter(in_code)
                && !name.is_empty()
                && !name.starts_with('.')
            {
                functions.push((rva, name.into()));
            }
        }
        let mut program_database = program_database::read(image, directory);
        functions.extend(program_database.iter_mut().flat_map(|names| std::mem::take(&mut names.functions)));
        // The exported name first: it is the one the driver's users know.
        functions.sort_by_key(|(rva, _)| *rva);
        functions.dedup_by_key(|(rva, _)| *rva);
        let lines = file.and_then(|file| dwarf(&file)).map(Mutex::new);
        Symbols { functions, lines, program_database, preferred_base: image.preferred_base }
    }

    /// The function at an RVA and the distance from its start.
    fn function(&self, image: &Image, rva: u32) -> Option<(&str, u32)> {
        let from = unwind::table::find(&image.functions, rva).map_or(0, |function| function.begin);
        let index = self.functions.partition_point(|(start, _)| *start <= rva).checked_sub(1)?;
        let (start, name) = &self.functions[index];
        // A name before the function that the address lies in is another's.
        (*start >= from).then(|| (&**name, rva - start))
    }

    /// The places an RVA stands for, innermost first: more than one where functions were inlined.
    fn places(&self, rva: u32) -> Vec<Place> {
        let Some(lines) = &self.lines else {
            let line = self.program_database.as_ref().and_then(|names| names.line(rva));
            return line
                .map(|(file, line)| Place { function: None, line: Some((file.into(), line)) })
                .into_iter()
                .collect();
        };
        let lines = lines.lock();
        let mut places = Vec::new();
        let Ok(mut frames) = lines.find_frames(self.preferred_base + u64::from(rva)).skip_all_loads() else {
            return places;
        };
        while let Ok(Some(frame)) = frames.next() {
            let function = frame.function.and_then(|name| name.raw_name().ok().map(|name| name.into_owned()));
            let line = frame.location.and_then(|location| {
                let file = location.file?.rsplit(['/', '\\']).next()?.to_owned();
                Some((file, location.line?))
            });
            places.push(Place { function, line });
        }
        places
    }
}

fn dwarf(file: &PeFile64<'_>) -> Option<addr2line::Context<Reader>> {
    file.section_by_name(".debug_info")?;
    let load = |id: gimli::SectionId| -> Result<Reader, gimli::Error> {
        let data = file.section_by_name(id.name()).and_then(|section| section.uncompressed_data().ok());
        Ok(EndianArcSlice::new(Arc::from(&*data.unwrap_or_default()), LittleEndian))
    };
    addr2line::Context::from_dwarf(gimli::Dwarf::load(load).ok()?).ok()
}

/// An address in words: `echo.sys!Accept+0x1c (echo.c:120)`; what was inlined there is named first.
pub(crate) fn describe(address: usize) -> String {
    describe_at(address, 0)
}

/// As [`describe`], for the address a call returns to: the call lies just before it.
pub(crate) fn describe_return(address: usize) -> String {
    describe_at(address, 1)
}

/// As [`describe_return`], for an address that may also be a routine's: violations name either.
pub(crate) fn describe_caller(address: usize) -> String {
    let is_routine = module::find(address).is_some_and(|module| {
        let symbols = module.symbols();
        module.rva(address).is_some_and(|rva| matches!(symbols.function(&module.image, rva), Some((_, 0))))
    });
    describe_at(address, u32::from(!is_routine))
}

fn describe_at(address: usize, back: u32) -> String {
    let gone = module::unloaded_at(address);
    let Some(module) = module::find(address).or_else(|| gone.as_ref()?.module.upgrade()) else {
        return match gone {
            Some(gone) => format!("{}+{:#x} (unloaded)", gone.name, address - gone.range.start),
            None => format!("{address:#x}"),
        };
    };
    let address = module.original(address).unwrap_or(address);
    let Some(rva) = module.rva(address) else {
        let stub = module.stubs.iter().rev().find(|(start, _)| *start <= address);
        return match stub {
            Some((_, name)) => format!("{}!{name} (import)", module.name),
            None => format!("{}+{:#x}", module.name, address - module.base()),
        };
    };
    let symbols = module.symbols();
    let probe = rva.saturating_sub(back);
    let mut text = match symbols.function(&module.image, probe) {
        Some((name, 0)) if back == 0 => format!("{}!{name}", module.name),
        Some((name, offset)) => format!("{}!{name}+{:#x}", module.name, offset + back),
        None => format!("{}+{rva:#x}", module.name),
    };
    let places = symbols.places(probe);
    for (index, place) in places.iter().enumerate() {
        let Some((file, line)) = &place.line else { continue };
        match &place.function {
            Some(function) if places.len() > 1 && index + 1 < places.len() => {
                text += &format!(" ({function} at {file}:{line}, inlined)");
            }
            _ => text += &format!(" ({file}:{line})"),
        }
    }
    text
}
