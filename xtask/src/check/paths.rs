//! No file names a directory of one machine, be it text or compiled.

use super::Findings;
use crate::project::File;

/// In parts, so that this file does not find itself.
const FORBIDDEN: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

pub(super) fn check(files: &[File]) -> Findings {
    let mut findings = Findings::new();
    for file in files {
        for forbidden in FORBIDDEN {
            if let Some(at) = find(&file.bytes, forbidden.as_bytes()) {
                let line = 1 + file.bytes[..at].iter().filter(|&&byte| byte == b'\n').count();
                findings.push(format!("{}:{line}: holds {forbidden:?}, a path of one machine", file.path));
            }
        }
    }
    findings
}

/// Where an absolute path begins with `needle`: not in the middle of a longer path.
fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/~}$*".contains(&byte);
    (0..bytes.len()).find(|&at| bytes[at..].starts_with(needle) && (at == 0 || !inside(bytes[at - 1])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths_are_found() {
        for forbidden in FORBIDDEN {
            let found = check(&[File::sample("a.md", &format!("x\nsee `{forbidden}main`"))]);
            assert!(found[0].starts_with("a.md:2: "), "{found:?}");
        }
        let binary = File { path: "a.sys".into(), bytes: [b"\xff\0", FORBIDDEN[0].as_bytes()].concat() };
        assert_eq!(check(&[binary]).len(), 1);
    }

    #[test]
    fn parts_of_other_paths_are_not() {
        for text in ["docs{}x", "../..{}x", "$HOME{}x"] {
            let text = text.replace("{}", FORBIDDEN[0]);
            assert_eq!(check(&[File::sample("a.md", &text)]), Findings::new(), "{text}");
        }
    }
}
