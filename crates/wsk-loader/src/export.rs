//! What a loaded driver exports, for drivers loaded after it (import a driver's function by name or by ordinal).

use crate::image::{ImageError, malformed};
use crate::view::View;

/// An export of an image.
#[derive(Clone, Debug)]
pub(crate) struct ImageExport {
    pub(crate) name: Option<String>,
    pub(crate) ordinal: u32,
    pub(crate) target: Target,
}

/// Where an export leads.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// Into the image.
    Rva(u32),
    /// To another module's export, `DLL.Name` or `DLL.#ordinal`.
    Forward(String),
}

/// Most exports accepted.
const LIMIT: u32 = 0x10000;

pub(crate) fn parse(view: View<'_>, (start, size): (u32, u32)) -> Result<Vec<ImageExport>, ImageError> {
    if start == 0 {
        return Ok(Vec::new());
    }
    let field = |offset: u32| start.checked_add(offset).and_then(|at| view.u32(at));
    let directory = || -> Option<[u32; 6]> {
        // OrdinalBase, NumberOfFunctions, NumberOfNames, AddressOfFunctions, AddressOfNames, AddressOfNameOrdinals.
        Some([field(16)?, field(20)?, field(24)?, field(28)?, field(32)?, field(36)?])
    };
    let outside = || malformed("the export directory lies outside the image");
    let [base, functions, names, function_table, name_table, ordinal_table] = directory().ok_or_else(outside)?;
    if functions > LIMIT || names > LIMIT {
        return Err(malformed(format!("{functions} exports with {names} names; at most {LIMIT} are accepted")));
    }
    let entry = |table: u32, index: u32, width: u32| table.checked_add(index * width);
    let mut exports = Vec::new();
    for index in 0..functions {
        let rva = entry(function_table, index, 4).and_then(|at| view.u32(at)).ok_or_else(outside)?;
        if rva == 0 {
            continue;
        }
        let target = if rva.wrapping_sub(start) < size {
            Target::Forward(view.name(rva).ok_or_else(|| malformed("the name of a forwarded export"))?.into())
        } else if view.u8(rva).is_some() {
            Target::Rva(rva)
        } else {
            return Err(malformed(format!("export {index} at {rva:#x} is outside the image")));
        };
        exports.push((index, ImageExport { name: None, ordinal: base.wrapping_add(index), target }));
    }
    for index in 0..names {
        let name = entry(name_table, index, 4).and_then(|at| view.u32(at)).and_then(|rva| view.name(rva));
        let name = name.ok_or_else(|| malformed(format!("the name of export {index}")))?;
        let function = entry(ordinal_table, index, 2).and_then(|at| view.u16(at)).ok_or_else(outside)?;
        let at = exports.binary_search_by_key(&u32::from(function), |(index, _)| *index);
        let (_, export) = &mut exports[at.map_err(|_| malformed(format!("export {name} has no function")))?];
        export.name = Some(name.into());
    }
    Ok(exports.into_iter().map(|(_, export)| export).collect())
}
