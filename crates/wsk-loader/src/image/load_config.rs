//! The load configuration directory: where the security cookie and the control-flow-guard pointers are (spec/loader.md).

use super::{ImageError, malformed};
use crate::view::View;

/// RVAs of what the loader fills in before DriverEntry; 0 where the image has none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LoadConfig {
    /// The security cookie.
    pub(crate) cookie: u32,
    /// Pointer to the control-flow-guard check routine.
    pub(crate) guard_check: u32,
    /// Pointer to the control-flow-guard dispatch routine.
    pub(crate) guard_dispatch: u32,
    /// The pointers of the extended form (XFG).
    pub(crate) extended: [u32; 3],
}

/// IMAGE_LOAD_CONFIG_DIRECTORY64.
const COOKIE: u32 = 0x58;
const GUARD_CHECK: u32 = 0x70;
const GUARD_DISPATCH: u32 = 0x78;
/// GuardXFGCheckFunctionPointer, its dispatch and table dispatch.
const EXTENDED: [u32; 3] = [0x118, 0x120, 0x128];

impl LoadConfig {
    pub(crate) fn parse(view: View<'_>, (rva, size): (u32, u32), base: u64) -> Result<LoadConfig, ImageError> {
        if rva == 0 {
            return Ok(LoadConfig::default());
        }
        // The directory's own first word says how much of it there is; some linkers write an older size in the header.
        let size = view.u32(rva).unwrap_or(0).max(size);
        let pointer = |offset: u32, what: &str| -> Result<u32, ImageError> {
            if offset + 8 > size {
                return Ok(0);
            }
            let address = rva.checked_add(offset).and_then(|at| view.u64(at));
            let address = address.ok_or_else(|| malformed("the load configuration lies outside the image"))?;
            if address == 0 {
                return Ok(0);
            }
            let target = address.checked_sub(base).and_then(|rva| u32::try_from(rva).ok());
            target
                .filter(|&target| view.u64(target).is_some() && target % 8 == 0)
                .ok_or_else(|| malformed(format!("the load configuration's {what} {address:#x} is outside the image")))
        };
        Ok(LoadConfig {
            cookie: pointer(COOKIE, "security cookie")?,
            guard_check: pointer(GUARD_CHECK, "guard check pointer")?,
            guard_dispatch: pointer(GUARD_DISPATCH, "guard dispatch pointer")?,
            extended: [
                pointer(EXTENDED[0], "extended guard pointer")?,
                pointer(EXTENDED[1], "extended guard pointer")?,
                pointer(EXTENDED[2], "extended guard pointer")?,
            ],
        })
    }
}
