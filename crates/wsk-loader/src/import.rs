//! What an image imports: descriptors, lookup tables and delay-load descriptors (spec/loader.md: HAL, ntoskrnl and NETIO are
//! bound by name whatever the DLL says).

use std::fmt;

use crate::image::{ImageError, malformed};
use crate::view::View;

/// How an import names what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// By name.
    Name(String),
    /// By ordinal.
    Ordinal(u16),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Name(name) => f.write_str(name),
            Wanted::Ordinal(ordinal) => write!(f, "#{ordinal}"),
        }
    }
}

/// An import of an image.
#[derive(Clone, Debug)]
pub(crate) struct Import {
    pub(crate) dll: String,
    pub(crate) wanted: Wanted,
    /// RVA of the slot in the import address table.
    pub(crate) slot: u32,
}

/// Most imports accepted.
const LIMIT: usize = 0x10000;
const DESCRIPTOR: u32 = 20;
const DELAY_DESCRIPTOR: u32 = 32;
/// Set in the attributes of a delay-load descriptor whose fields are RVAs.
const RVA_BASED: u32 = 1;

pub(crate) fn parse(
    view: View<'_>,
    (start, size): (u32, u32),
    (delay_start, delay_size): (u32, u32),
    base: u64,
) -> Result<Vec<Import>, ImageError> {
    let mut imports = Vec::new();
    // The directory's size is not reliable (GNU ld counts what follows); a descriptor of zeros ends it.
    let mut at = start;
    while start != 0 && (size >= DESCRIPTOR || at > start) {
        let outside = || malformed("the import descriptors run out of the image");
        let [lookup, name, table] = [0, 12, 16].map(|offset| at.checked_add(offset).and_then(|at| view.u32(at)));
        let (lookup, name, table) =
            (lookup.ok_or_else(outside)?, name.ok_or_else(outside)?, table.ok_or_else(outside)?);
        if name == 0 && table == 0 {
            break;
        }
        let lookup = if lookup == 0 { table } else { lookup };
        thunks(view, name, lookup, table, &mut imports)?;
        at += DESCRIPTOR;
    }
    let mut at = delay_start;
    while delay_start != 0 && at - delay_start + DELAY_DESCRIPTOR <= delay_size {
        let field = |offset: u32| at.checked_add(offset).and_then(|at| view.u32(at));
        let outside = || malformed("the delay-load descriptors run out of the image");
        let attributes = field(0).ok_or_else(outside)?;
        let rva = |offset: u32| -> Result<u32, ImageError> {
            let value = field(offset).ok_or_else(outside)?;
            Ok(if attributes & RVA_BASED != 0 { value } else { value.wrapping_sub(base as u32) })
        };
        if field(4) == Some(0) {
            break;
        }
        thunks(view, rva(4)?, rva(16)?, rva(12)?, &mut imports)?;
        at += DELAY_DESCRIPTOR;
    }
    Ok(imports)
}

fn thunks(view: View<'_>, name: u32, lookup: u32, table: u32, imports: &mut Vec<Import>) -> Result<(), ImageError> {
    let dll = view.name(name).ok_or_else(|| malformed("the name of an import descriptor"))?;
    let before = imports.len();
    for index in 0.. {
        let offset = index * 8;
        let outside = || malformed(format!("the import table of {dll} runs out of the image"));
        let thunk = lookup.checked_add(offset).and_then(|at| view.u64(at)).ok_or_else(outside)?;
        if thunk == 0 {
            break;
        }
        let slot = table.checked_add(offset).filter(|&at| view.u64(at).is_some()).ok_or_else(outside)?;
        let wanted = if thunk >> 63 != 0 {
            Wanted::Ordinal(thunk as u16)
        } else {
            let rva = u32::try_from(thunk).ok().and_then(|rva| rva.checked_add(2));
            let name = rva.and_then(|rva| view.name(rva));
            Wanted::Name(name.ok_or_else(|| malformed(format!("the name of import {index} of {dll}")))?.into())
        };
        if imports.len() == LIMIT {
            return Err(malformed(format!("more than {LIMIT} imports")));
        }
        imports.push(Import { dll: dll.into(), wanted, slot });
    }
    if imports.len() == before {
        return Err(ImageError::EmptyDescriptor(dll.into()));
    }
    Ok(())
}
