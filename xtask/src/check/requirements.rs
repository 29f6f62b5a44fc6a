//! Every requirement id cited by a source (C-, E-, F- or M- and a number, or a range of them) is defined in docs/spec/, where
//! the definition is the place that has it in bold.

use std::collections::BTreeSet;

use super::{File, Findings};

/// Kind and number.
type Id = (char, u32);

const KINDS: [char; 4] = ['C', 'E', 'F', 'M'];
const BETWEEN: [&str; 7] = ["...", "..=", "..", "\u{2026}", "\u{2013}", "-", "to "];

pub(super) fn check(files: &[File]) -> Findings {
    let mut defined = BTreeSet::new();
    for file in files.iter().filter(|file| file.path.starts_with("docs/spec/") && file.path.ends_with(".md")) {
        defined.extend(definitions(file.text().unwrap_or_default()));
    }
    let mut findings = Findings::new();
    if defined.is_empty() {
        findings.push("docs/spec/*.md define no requirement".into());
    }
    for (path, text) in files.iter().filter_map(File::rust) {
        for (index, line) in text.lines().enumerate() {
            for (kind, number) in cited(line) {
                if !defined.contains(&(kind, number)) {
                    findings.push(format!("{path}:{}: {kind}-{number} is not in docs/spec/", index + 1));
                }
            }
        }
    }
    findings
}

/// Ids at the start of bold text; of a range all.
fn definitions(text: &str) -> Vec<Id> {
    let mut found = Vec::new();
    for bold in text.split("**").skip(1) {
        let Some((first, rest)) = id(bold) else { continue };
        let last = range_end(first, rest).map_or(first.1, |(last, _)| last);
        found.extend((first.1..=last).map(|number| (first.0, number)));
    }
    found
}

/// Ids in a line; of a range the two ends.
fn cited(line: &str) -> Vec<Id> {
    let mut found = Vec::new();
    let mut rest = line;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        let free = !before.is_some_and(|c: char| c.is_alphanumeric() || "_-".contains(c));
        match id(rest).filter(|_| free) {
            Some((first, after)) => {
                found.push(first);
                before = None;
                rest = after;
                if let Some((last, after)) = range_end(first, after) {
                    found.push((first.0, last));
                    rest = after;
                }
            }
            None => {
                before = Some(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    found
}

/// The id that the text begins with, and what follows it.
fn id(text: &str) -> Option<(Id, &str)> {
    let kind = text.chars().next().filter(|kind| KINDS.contains(kind))?;
    let (number, rest) = number(text[1..].strip_prefix('-')?)?;
    Some(((kind, number), rest))
}

/// The digits that the text begins with, unless a word goes on.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (!rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')).then_some((digits.parse().ok()?, rest))
}

/// If the text goes on as a range from `first`: its last number, with or without the kind.
fn range_end(first: Id, text: &str) -> Option<(u32, &str)> {
    let text = text.trim_start();
    let after = BETWEEN.iter().find_map(|between| text.strip_prefix(between))?.trim_start();
    let kind = format!("{}-", first.0);
    number(after.strip_prefix(&kind).unwrap_or(after)).filter(|&(last, _)| last > first.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids are made here, as the check reads this file too.
    fn made(text: &str) -> String {
        text.replace('#', "F-").replace('@', "E-")
    }

    fn spec(text: &str) -> File {
        File::sample("docs/spec/functions.md", &made(text))
    }

    #[test]
    fn cited_ids() {
        let cited = |text: &str| cited(&made(text));
        assert_eq!(cited("// (#1, @22): #3."), [('F', 1), ('E', 22), ('F', 3)]);
        assert_eq!(cited("UT#8 1@5 #7x #x x_#9 #0x10"), []);
    }

    #[test]
    fn ranges() {
        for text in ["#2 to #5", "#2..#5", "#2..5", "#2-5", "#2-#5", "#2\u{2013}#5", "#2...5"] {
            assert_eq!(cited(&made(text)), [('F', 2), ('F', 5)], "{text}");
            assert_eq!(definitions(&made(&format!("- **{text}** x"))).len(), 4, "{text}");
        }
        assert_eq!(cited(&made("#5 to @7")), [('F', 5), ('E', 7)]);
        assert_eq!(cited(&made("#12 to 3 of them")), [('F', 12)]);
    }

    #[test]
    fn an_id_that_is_not_defined_is_found() {
        let source = File::sample("crates/x/src/lib.rs", &made("\n// #2, @7, #1\n"));
        let found = check(&[spec("- **#1** one\nmentions #2\n- **@7 Title** seven"), source]);
        assert_eq!(found, [made("crates/x/src/lib.rs:2: #2 is not in docs/spec/")]);
    }

    #[test]
    fn a_specification_without_ids_is_found() {
        assert_eq!(check(&[]).len(), 1);
    }
}
