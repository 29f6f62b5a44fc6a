//! The function table (.pdata): which function an address lies in and where its unwind codes are.

use crate::image::{ImageError, malformed};
use crate::view::View;

/// RUNTIME_FUNCTION.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) begin: u32,
    pub(crate) end: u32,
    pub(crate) unwind: u32,
}

/// Most functions accepted.
const LIMIT: u32 = 1 << 20;

pub(crate) fn parse(view: View<'_>, (start, size): (u32, u32)) -> Result<Vec<Function>, ImageError> {
    let count = size / 12;
    if count > LIMIT {
        return Err(malformed(format!("{count} functions; at most {LIMIT} are accepted")));
    }
    let mut functions: Vec<Function> = Vec::with_capacity(count as usize);
    for index in 0..count {
        let at = start + index * 12;
        let [begin, end, unwind] = [at, at + 4, at + 8].map(|at| view.u32(at).unwrap_or(0));
        if (begin, end) == (0, 0) {
            break;
        }
        let last = functions.last().map_or(0, |function| function.end);
        if begin < last || end <= begin || view.u8(end - 1).is_none() || view.u32(unwind & !1).is_none() {
            return Err(malformed(format!("function {index} of the function table ({begin:#x} to {end:#x})")));
        }
        functions.push(Function { begin, end, unwind });
    }
    Ok(functions)
}

/// The function that holds an RVA.
pub(crate) fn find(functions: &[Function], rva: u32) -> Option<Function> {
    let index = functions.partition_point(|function| function.end <= rva);
    functions.get(index).copied().filter(|function| function.begin <= rva)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookup() {
        let f = |begin, end| Function { begin, end, unwind: 0 };
        let functions = [f(0x1000, 0x1010), f(0x1020, 0x1030)];
        assert_eq!(find(&functions, 0x1000), Some(functions[0]));
        assert_eq!(find(&functions, 0x100f), Some(functions[0]));
        assert_eq!(find(&functions, 0x1010), None);
        assert_eq!(find(&functions, 0x102f), Some(functions[1]));
        assert_eq!(find(&functions, 0xfff), None);
        assert_eq!(find(&functions, 0x1030), None);
    }
}
