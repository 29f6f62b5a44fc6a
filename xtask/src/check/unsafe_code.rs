//! Unsafe code: forbidden in the crates that think, elsewhere denied and opened per file or item with a written reason, and each
//! block and impl says why it is sound.

use std::collections::BTreeSet;

use super::Findings;
use crate::project::File;
use crate::source::{self, Line};

const FORBIDDEN_IN: [&str; 5] = ["wsk-abi", "wsk-core", "wsk", "wsk-sim", "wsk-cli"];

/// How many lines of code may lie between a SAFETY comment and the `unsafe` it is about: those of its own statement.
const REACH: usize = 4;

pub(super) fn check(files: &[File]) -> Findings {
    let mut findings = Findings::new();
    let crates: BTreeSet<&str> = files.iter().filter_map(|file| crate_of(&file.path)).collect();
    for name in crates {
        let roots: Vec<&File> = ["lib.rs", "main.rs"]
            .iter()
            .filter_map(|root| files.iter().find(|file| file.path == format!("crates/{name}/src/{root}")))
            .collect();
        let level = if FORBIDDEN_IN.contains(&name) { "forbid" } else { "deny" };
        let wanted = format!("#![{level}(unsafe_code)]");
        if roots.is_empty() {
            findings.push(format!("crates/{name}: neither src/lib.rs nor src/main.rs"));
        }
        for file in roots {
            let lines = source::lines(file.text().unwrap_or_default());
            if !lines.iter().any(|line| line.code.contains(&wanted)) {
                findings.push(format!("{}: needs `{wanted}`", file.path));
            }
        }
    }
    for (path, text) in files.iter().filter_map(File::rust) {
        let Some(name) = crate_of(path) else { continue };
        if !FORBIDDEN_IN.contains(&name) {
            opened_and_explained(path, &source::lines(text), &mut findings);
        }
    }
    findings
}

/// The crate a path belongs to, of those under `crates/`.
fn crate_of(path: &str) -> Option<&str> {
    Some(path.strip_prefix("crates/")?.split_once('/')?.0)
}

fn opened_and_explained(path: &str, lines: &[Line], findings: &mut Findings) {
    let mut opened = false;
    for (index, line) in lines.iter().enumerate() {
        if !line.code.contains("allow(unsafe_code)") {
            continue;
        }
        opened = true;
        let above = index.checked_sub(1).map(|above| &lines[above]);
        let plain = |line: &Line| line.comment.starts_with("// ") || line.comment.starts_with("/* ");
        if !plain(line) && !above.is_some_and(|above| above.is_comment() && plain(above)) {
            findings.push(format!("{path}:{}: allow(unsafe_code) without a `// reason` beside or above it", index + 1));
        }
    }
    let mut first = None;
    for (index, line) in lines.iter().enumerate() {
        for rest in line.after_word("unsafe") {
            first.get_or_insert(index + 1);
            let rest = rest.trim_start();
            let what = match rest {
                "" => {
                    lines.get(index + 1).is_some_and(|next| next.code.trim_start().starts_with('{')).then_some("block")
                }
                _ if rest.starts_with('{') => Some("block"),
                _ => rest.strip_prefix("impl").is_some_and(|rest| rest.starts_with([' ', '<'])).then_some("impl"),
            };
            if let Some(what) = what
                && !has_safety_comment(lines, index)
            {
                findings.push(format!("{path}:{}: unsafe {what} without a SAFETY: comment above", index + 1));
            }
        }
    }
    if let Some(line) = first
        && !opened
    {
        findings.push(format!(
            "{path}:{line}: unsafe code in a file that does not open it; add `#![allow(unsafe_code)] // reason`"
        ));
    }
}

fn has_safety_comment(lines: &[Line], index: usize) -> bool {
    let mut code = 0;
    for line in lines[..=index].iter().rev() {
        if line.comment.contains("SAFETY:") {
            return true;
        }
        // A comment may be as long as it likes.
        code += usize::from(!line.is_comment());
        if code > REACH {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Findings {
        let root = File::sample("crates/wsk-host/src/lib.rs", "#![deny(unsafe_code)]");
        check(&[root, File::sample("crates/wsk-host/src/pool.rs", text)])
    }

    #[test]
    fn opened_and_explained_is_right() {
        for text in [
            "fn f() {} // nothing unsafe here",
            "#![allow(unsafe_code)] // raw memory\n// SAFETY: fine\nunsafe impl Send for X {}\n",
            "// raw memory\n#[allow(unsafe_code)]\nmod m {\n// SAFETY: long\n// story\nlet x =\n    unsafe { f() };\n}",
            "#![allow(unsafe_code)] // tables\ntype F = unsafe extern \"C\" fn();\nunsafe fn f() {}",
        ] {
            assert_eq!(host(text), Findings::new(), "{text}");
        }
    }

    #[test]
    fn not_opened_is_found() {
        let found = host("// SAFETY: fine\nunsafe { f() }");
        assert!(found[0].contains("pool.rs:2: unsafe code in a file"), "{found:?}");
    }

    #[test]
    fn no_reason_is_found() {
        for text in ["#![allow(unsafe_code)]\n", "/// Doc.\n#[allow(unsafe_code)]\nfn f() {}"] {
            assert!(host(text)[0].contains("without a `// reason`"), "{text}");
        }
    }

    #[test]
    fn no_safety_comment_is_found() {
        for text in ["unsafe { f() }", "unsafe\n{ f() }", "unsafe impl<T> Send for X<T> {}"] {
            let found = host(&format!("#![allow(unsafe_code)] // x\nfn g() {{}}\n{text}"));
            assert!(found[0].contains("pool.rs:3: unsafe"), "{found:?}");
        }
        let far = format!("#![allow(unsafe_code)] // x\n// SAFETY: of another\n{}unsafe {{ f() }}", "g();\n".repeat(6));
        assert_eq!(host(&far).len(), 1);
    }

    #[test]
    fn a_root_that_does_not_forbid_is_found() {
        let found = check(&[File::sample("crates/wsk-core/src/lib.rs", "// #![forbid(unsafe_code)]")]);
        assert!(found[0].contains("needs `#![forbid(unsafe_code)]`"), "{found:?}");
        let found = check(&[File::sample("crates/wsk-nt/src/lib.rs", "")]);
        assert!(found[0].contains("needs `#![deny(unsafe_code)]`"), "{found:?}");
        assert_eq!(check(&[File::sample("crates/wsk-nt/src/ke.rs", "")]).len(), 1);
    }
}
