//! Names from a PDB: that of MSVC and lld-link, found by the path in the image or beside the driver's file.

use std::fs::File;
use std::path::{Path, PathBuf};

use pdb::{FallibleIterator, PDB, SymbolData};

use crate::image::Image;

/// Functions and lines by RVA, each ascending.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) functions: Vec<(u32, String)>,
    /// RVA, index into `files`, line.
    pub(super) lines: Vec<(u32, usize, u32)>,
    pub(super) files: Vec<String>,
}

/// What the image says about its PDB.
struct Reference {
    guid: [u8; 16],
    path: String,
}

const CODEVIEW: u32 = 2;

fn reference(image: &Image) -> Option<Reference> {
    let view = image.view();
    let (start, size) = image.debug;
    for entry in (start..start.checked_add(size)?).step_by(28) {
        if view.u32(entry + 12)? != CODEVIEW {
            continue;
        }
        let (length, rva) = (view.u32(entry + 16)?, view.u32(entry + 20)?);
        let data = view.bytes(rva, length as usize)?;
        let (b"RSDS", rest) = data.split_first_chunk::<4>()? else { continue };
        let (guid, rest) = rest.split_first_chunk::<16>()?;
        let path = rest.get(4..)?.split(|&byte| byte == 0).next()?;
        return Some(Reference { guid: *guid, path: String::from_utf8_lossy(path).into_owned() });
    }
    None
}

/// Reads the PDB of an image, if it is there.
pub(super) fn read(image: &Image, directory: Option<&Path>) -> Option<Names> {
    let reference = reference(image)?;
    let file_name = reference.path.rsplit(['/', '\\']).next()?;
    let mut candidates: Vec<PathBuf> = directory.map(|directory| directory.join(file_name)).into_iter().collect();
    if reference.path.contains('/') {
        candidates.push(PathBuf::from(&reference.path));
    }
    candidates.iter().find_map(|path| parse(path, &reference).ok().flatten())
}

fn parse(path: &Path, reference: &Reference) -> Result<Option<Names>, pdb::Error> {
    let mut pdb = PDB::open(File::open(path)?)?;
    let guid = pdb.pdb_information()?.guid;
    if guid.to_bytes_le() != reference.guid {
        eprintln!("warning: {} is of another build; its names are not used", path.display());
        return Ok(None);
    }
    let map = pdb.address_map()?;
    let mut names = Names::default();
    let globals = pdb.global_symbols()?;
    let mut symbols = globals.iter();
    while let Some(symbol) = symbols.next()? {
        if let Ok(SymbolData::Public(public)) = symbol.parse()
            && public.function
            && let Some(rva) = public.offset.to_rva(&map)
        {
            names.functions.push((rva.0, public.name.to_string().into_owned()));
        }
    }
    let strings = pdb.string_table().ok();
    let modules = pdb.debug_information()?;
    let mut modules = modules.modules()?;
    while let Some(module) = modules.next()? {
        let Some(info) = pdb.module_info(&module)? else { continue };
        // The line iterator over a whole module of pdb 0.8 panics where functions lie in several sections.
        let program = info.line_program()?;
        let mut symbols = info.symbols()?;
        while let Some(symbol) = symbols.next()? {
            let Ok(SymbolData::Procedure(procedure)) = symbol.parse() else { continue };
            let Some(rva) = procedure.offset.to_rva(&map) else { continue };
            names.functions.push((rva.0, procedure.name.to_string().into_owned()));
            let Some(strings) = &strings else { continue };
            let mut lines = program.lines_for_symbol(procedure.offset);
            let mut last = None;
            while let Some(line) = lines.next()? {
                let Some(rva) = line.offset.to_rva(&map) else { continue };
                if last != Some(line.file_index) {
                    let file = program.get_file_info(line.file_index)?;
                    let name = file.name.to_string_lossy(strings)?.into_owned();
                    names.files.push(name.rsplit(['/', '\\']).next().unwrap_or_default().into());
                    last = Some(line.file_index);
                }
                names.lines.push((rva.0, names.files.len() - 1, line.line_start));
            }
        }
    }
    names.lines.sort_by_key(|(rva, ..)| *rva);
    Ok(Some(names))
}

impl Names {
    /// File and line of an RVA.
    pub(super) fn line(&self, rva: u32) -> Option<(&str, u32)> {
        let index = self.lines.partition_point(|(start, ..)| *start <= rva).checked_sub(1)?;
        let (_, file, line) = self.lines[index];
        Some((&self.files[file], line))
    }
}
