//! Where tests cite requirements: in names of test functions, and in any text of a test file, a test module or a test.

use crate::ids;
use crate::project::File;
use crate::source;
use crate::spec::requirement::{Requirement, Specification};

/// Helpers of tests lie in files of these names: they check nothing by being there.
const HELPERS: [&str; 3] = ["support", "common", "rig"];

/// A requirement and where it is cited, as path:line.
pub(super) type Citation<'a> = (&'a Requirement, String);

/// All citations in tests, and what seems to be one of nothing.
pub(super) fn all<'a>(files: &[File], specification: &'a Specification) -> (Vec<Citation<'a>>, Vec<String>) {
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for file in files {
        for (number, line) in test_lines(file) {
            let place = format!("{}:{number}", file.path);
            let (cited, wrong) = specification.cited(line);
            found.extend(cited.into_iter().map(|requirement| (requirement, place.clone())));
            unknown.extend(wrong.into_iter().map(|name| format!("{place}: {name} is not in docs/spec/")));
            for id in function_name(line).map_or_else(Vec::new, ids::of_name) {
                let known = specification.numbered(id, id).next();
                match known {
                    Some(requirement) => found.push((requirement, place.clone())),
                    None => unknown.push(format!("{place}: {id}, in a name, is not in docs/spec/")),
                }
            }
        }
    }
    (found, unknown)
}

/// The lines of a file that belong to tests, with their numbers.
fn test_lines(file: &File) -> Vec<(usize, &str)> {
    let Some(text) = file.text() else { return Vec::new() };
    let mut parts = file.path.split('/');
    let rust = file.path.ends_with(".rs");
    let ours = parts.next().is_some_and(|first| ["crates", "examples", "xtask"].contains(&first));
    if !ours || !(rust || file.path.ends_with(".c") || file.path.ends_with(".h")) {
        return Vec::new();
    }
    let stems = || file.path.split('/').map(|part| part.trim_end_matches(".rs"));
    let of_tests = stems().any(|part| part == "tests") && !stems().any(|part| HELPERS.contains(&part));
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    if of_tests {
        return lines.collect();
    }
    if !rust {
        return Vec::new();
    }
    let inside = inside_tests(text);
    lines.filter(|(number, _)| inside[number - 1]).collect()
}

/// For each line of a Rust source whether it belongs to a test or a module of tests, comments above it included.
fn inside_tests(text: &str) -> Vec<bool> {
    let lines = source::lines(text);
    let mut inside = vec![false; lines.len()];
    let belongs = |at: usize| lines[at].is_comment() || lines[at].code.trim_start().starts_with("#[");
    for at in 0..lines.len() {
        let code = lines[at].code.trim_start();
        if inside[at] || !(code.starts_with("#[test]") || code.starts_with("#[cfg(test)]")) {
            continue;
        }
        let first = (0..at).rev().take_while(|&above| belongs(above)).last().unwrap_or(at);
        let last = end_of_item(&lines, at);
        inside[first..=last].fill(true);
    }
    inside
}

/// The line where the item ends that an attribute in line `from` stands before.
fn end_of_item(lines: &[source::Line], from: usize) -> usize {
    let (mut depth, mut braces) = (0_i32, 0_i32);
    for (at, line) in lines.iter().enumerate().skip(from) {
        for c in line.code.chars() {
            match c {
                '(' | '[' => depth += 1,
                ')' | ']' => depth -= 1,
                '{' => braces += 1,
                '}' => braces -= 1,
                _ => {}
            }
            let ends = (c == '}' && braces == 0) || (c == ';' && braces == 0 && depth == 0);
            if ends {
                return at;
            }
        }
    }
    lines.len() - 1
}

/// The name of the function that a line declares.
fn function_name(line: &str) -> Option<&str> {
    let rest = line.trim_start().trim_start_matches("pub ").strip_prefix("fn ")?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::made;

    fn numbers(path: &str, text: &str) -> Vec<usize> {
        test_lines(&File::sample(path, text)).into_iter().map(|(number, _)| number).collect()
    }

    #[test]
    fn files_of_tests_count_whole() {
        for path in ["crates/a/tests/x.rs", "crates/a/tests/d/x.c", "crates/a/src/tests.rs", "crates/a/src/tests/x.rs"]
        {
            assert_eq!(numbers(path, "a\nb"), [1, 2], "{path}");
        }
        for path in
            ["crates/a/src/x.rs", "drivers/x.c", "bench/tests/x.rs", "crates/a/tests/x.json", "crates/a/benches/x.rs"]
        {
            assert!(numbers(path, "a\nb").is_empty(), "{path}");
        }
    }

    #[test]
    fn of_helpers_only_the_tests_count() {
        for path in ["crates/a/tests/support/x.rs", "crates/a/tests/laws/support.rs", "crates/a/tests/suite/rig.rs"] {
            assert_eq!(numbers(path, "// a\n\n// b\n#[test]\nfn c() {\n}\n// d"), [3, 4, 5, 6], "{path}");
        }
    }

    #[test]
    fn tests_in_sources() {
        let text =
            "fn a() {}\n/// b\n#[cfg(test)]\nmod tests {\n fn c() { \"}\" }\n}\nfn d() {}\n#[cfg(test)]\nmod e;\nx";
        assert_eq!(numbers("crates/a/src/x.rs", text), [2, 3, 4, 5, 6, 8, 9]);
    }

    #[test]
    fn names_and_texts_are_citations() {
        let control = "### 4.1\n|a|\n|-|\n|x|\n### 4.2\n|a|\n|-|\n|x|\n### 4.3\n|a|\n|-|\n|x|\n### 4.4\n|a|\n|-|\n|x|\n\
                       ### 4.5\n|a|\n|-|\n|x|\n## 7\n|a|b|\n|-|-|\n|x|y|\n## 10\n|a|\n|-|\n|x|\n";
        let spec = File::sample("docs/spec/events.md", &made("**@1** **@2** **@3**"));
        let spec = Specification::read(&[spec, File::sample("docs/spec/control.md", control)]).unwrap();
        let rust = File::sample("crates/a/tests/x.rs", &made("// @1\nfn e2_x(arm: Arm) {\nfn e9_x() {\nlet e3_x = 1;"));
        let c = File::sample("crates/a/tests/x.c", &made("CHECK(a); /* @3, @8 */"));
        let (found, unknown) = all(&[rust, c], &spec);
        let found: Vec<String> = found.into_iter().map(|(id, place)| format!("{place} {id}")).collect();
        assert_eq!(
            found,
            ["crates/a/tests/x.rs:1 @1", "crates/a/tests/x.rs:2 @2", "crates/a/tests/x.c:1 @3"].map(made)
        );
        assert_eq!(unknown.len(), 2, "{unknown:?}");
    }
}
