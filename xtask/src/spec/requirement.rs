//! What the specification requires: the numbered requirements, and the rows of those tables of control.md that have no ids of
//! their own and are named by section and first cell (`C 4.1 SO_RCVBUF`), the matrix by both (`C 7 D-W/R-S`).

use std::collections::BTreeSet;
use std::fmt;

use crate::ids::{self, Id};
use crate::project::File;

/// Sections of control.md whose rows are counted.
const SECTIONS: [&str; 7] = ["4.1", "4.2", "4.3", "4.4", "4.5", "7", "10"];
/// The one whose cells are counted.
const MATRIX: &str = "7";
/// In place of a name: all of the table.
const EVERY: &str = "(every row)";

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Requirement {
    Numbered(Id),
    Row { section: &'static str, name: String },
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Requirement::Numbered(id) => id.fmt(f),
            Requirement::Row { section, name } => write!(f, "C {section} {name}"),
        }
    }
}

impl Requirement {
    /// What it is counted under.
    pub(super) fn group(&self) -> String {
        match self {
            Requirement::Numbered(id) => format!("{}-n", id.letter),
            Requirement::Row { section, .. } => format!("C {section}"),
        }
    }
}

/// All requirements, in the order of the text.
#[derive(Default)]
pub(super) struct Specification(pub(super) Vec<Requirement>);

impl Specification {
    pub(super) fn read(files: &[File]) -> Result<Specification, String> {
        let texts = || files.iter().filter(|file| file.is_specification());
        let mut numbered: Vec<Id> =
            texts().flat_map(|file| ids::definitions(file.text().unwrap_or_default())).collect();
        numbered.sort();
        numbered.dedup();
        let control = texts().find(|file| file.path.ends_with("/control.md")).and_then(File::text).unwrap_or_default();
        let mut all: Vec<Requirement> = numbered.into_iter().map(Requirement::Numbered).collect();
        for section in SECTIONS {
            let rows = rows(control, section);
            if rows.is_empty() {
                return Err(format!("control.md has no table in section {section}; see SECTIONS of xtask/src/spec"));
            }
            all.extend(rows.into_iter().map(|name| Requirement::Row { section, name }));
        }
        Ok(Specification(all))
    }

    /// What a text cites, and what it seems to cite but the specification does not have.
    pub(super) fn cited(&self, text: &str) -> (Vec<&Requirement>, Vec<String>) {
        let (mut found, mut unknown) = self.cited_rows(text);
        for (first, last) in ids::cited(text) {
            unknown.extend(BTreeSet::from([first, last]).iter().filter(|&&id| !self.has(id)).map(Id::to_string));
            found.extend(self.numbered(first, last));
        }
        (found, unknown)
    }

    /// The requirements from one id to another.
    pub(super) fn numbered(&self, first: Id, last: Id) -> impl Iterator<Item = &Requirement> {
        self.0.iter().filter(move |item| matches!(item, Requirement::Numbered(id) if (first..=last).contains(id)))
    }

    fn has(&self, id: Id) -> bool {
        self.numbered(id, id).next().is_some()
    }

    fn cited_rows(&self, text: &str) -> (Vec<&Requirement>, Vec<String>) {
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        for (at, _) in text.match_indices("C ") {
            if text[..at].ends_with(is_word) {
                continue;
            }
            let rest = &text[at + 2..];
            let section =
                SECTIONS.iter().find_map(|section| Some((*section, rest.strip_prefix(section)?.strip_prefix(' ')?)));
            let Some((section, mut names)) = section else { continue };
            let of_section = || {
                self.0
                    .iter()
                    .filter(move |item| matches!(item, Requirement::Row { section: its, .. } if *its == section))
            };
            if names.starts_with(EVERY) {
                found.extend(of_section());
                continue;
            }
            let before = found.len();
            while let Some((rows, rest)) = row(of_section(), names) {
                found.extend(rows);
                match [", ", " / ", " and "].iter().find_map(|between| rest.strip_prefix(between)) {
                    Some(rest) => names = rest,
                    None => break,
                }
            }
            if found.len() == before && names.starts_with(|c: char| c.is_ascii_uppercase() || c == '_') {
                let name: String = names.chars().take_while(|&c| is_word(c)).collect();
                unknown.push(format!("C {section} {name}"));
            }
        }
        (found, unknown)
    }
}

/// The rows that a text begins to name, and what follows: as printed, with the family's prefix (IP_TTL for TTL), or the row of
/// a matrix for all its cells.
fn row<'a>(rows: impl Iterator<Item = &'a Requirement>, text: &str) -> Option<(Vec<&'a Requirement>, &str)> {
    let rows: Vec<(&Requirement, &str)> = rows
        .filter_map(|row| match row {
            Requirement::Row { name, .. } => Some((row, name.as_str())),
            Requirement::Numbered(_) => None,
        })
        .collect();
    let whole = |length: usize| !text[length..].starts_with(is_word);
    let printed = rows.iter().filter(|(_, name)| text.starts_with(name) && whole(name.len()));
    if let Some((row, name)) = printed.max_by_key(|(_, name)| name.len()) {
        return Some((vec![row], &text[name.len()..]));
    }
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let prefixed = rows.iter().filter(|(_, name)| {
        word.strip_suffix(name)
            .is_some_and(|prefix| !prefix.is_empty() && (prefix.ends_with('_') || name.starts_with('_')))
    });
    if let Some((row, _)) = prefixed.max_by_key(|(_, name)| name.len()) {
        return Some((vec![row], rest));
    }
    let end = text.find(|c| !is_word(c) && c != '-').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let cells: Vec<&Requirement> = rows
        .iter()
        .filter(|(_, name)| name.strip_prefix(word).is_some_and(|rest| !word.is_empty() && rest.starts_with('/')))
        .map(|(row, _)| *row)
        .collect();
    (!cells.is_empty()).then_some((cells, rest))
}

/// The names of a section's rows: each name of the first cells, or row and column of the matrix.
fn rows(control: &str, section: &str) -> Vec<String> {
    let heading = |line: &str| {
        let number = line.starts_with('#').then(|| line.trim_start_matches('#').split_whitespace().next()).flatten()?;
        Some(number.trim_end_matches('.') == section)
    };
    let lines = control.lines().skip_while(|line| heading(line) != Some(true)).skip(1);
    let table: Vec<Vec<&str>> = lines
        .take_while(|line| heading(line).is_none())
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let Some((head, body)) = table.split_first() else { return Vec::new() };
    // Behind the header comes the line of dashes.
    let body = body.iter().skip(1);
    if section == MATRIX {
        return body.flat_map(|row| head[1..].iter().map(|column| format!("{}/{column}", row[0]))).collect();
    }
    body.flat_map(|row| names(row[0])).collect()
}

/// The names in a first cell, without emphasis, remarks and codes.
fn names(cell: &str) -> Vec<String> {
    let mut plain = cell.replace("**", "");
    while let Some((open, close)) = plain.find('(').and_then(|open| Some((open, open + plain[open..].find(')')?))) {
        plain.replace_range(open..=close, "");
    }
    let parts = plain.split(", ").flat_map(|part| part.split(" / "));
    let is_code = |(at, _): &(usize, &str), part: &str| part[at + 1..].starts_with(|c: char| c.is_ascii_digit());
    let without_code = |part: &str| {
        let code = part.match_indices(' ').find(|space| is_code(space, part));
        code.map_or(part, |(at, _)| &part[..at]).trim().to_string()
    };
    parts.map(|part| without_code(part.trim())).filter(|name| !name.is_empty()).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::made;

    const CONTROL: &str = "\
### 4.1 Level
| Name | Code |
|---|---|
| SO_A | 1 |
| **SO_B** (= SO_C) | 2 |
| SO_D 1, SO_E 0x10 (USHORT,USHORT), SO_FF 3/4 | |
text
| no | row |
### 4.2 x
| Option | v4 |
|---|---|
| TTL / UNICAST_HOPS | 4 |
| ADD/DROP SOURCE, BLOCK, UNBLOCK | |
### 4.3 x
| TCP | |
|---|---|
| TCP_CONGESTION / FASTOPEN | |
### 4.4 x
| cmsg | |
|---|---|
| IP_PKTINFO | |
### 4.5 x
| Name | |
|---|---|
| SIO_RSS_INFO / _SCALE / SET_.. | |
## 7. Sharing
| 2nd | D-W | R-S |
|---|---|---|
| D-W | ok | no |
| R-S | ok | no |
## 10. errno
| errno | |
|---|---|
| EPERM, EACCES | |
| any other | |
";

    fn specification() -> Specification {
        let functions = File::sample("docs/spec/functions.md", &made("**#1** x\n- **#2 to #4** y\n**#9**"));
        Specification::read(&[functions, File::sample("docs/spec/control.md", CONTROL)]).unwrap()
    }

    fn cited(text: &str) -> Vec<String> {
        let text = made(text);
        let specification = specification();
        let (found, unknown) = specification.cited(&text);
        assert_eq!(unknown, Vec::<String>::new(), "{text}");
        found.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let expected: Vec<String> = expected.iter().map(|text| made(text)).collect();
        assert_eq!(cited(text), expected, "{text}");
    }

    #[test]
    fn names_of_rows() {
        let all: Vec<String> = specification().0.iter().skip(5).map(ToString::to_string).collect();
        let expected = [
            "$4.1 SO_A",
            "$4.1 SO_B",
            "$4.1 SO_D",
            "$4.1 SO_E",
            "$4.1 SO_FF",
            "$4.2 TTL",
            "$4.2 UNICAST_HOPS",
            "$4.2 ADD/DROP SOURCE",
            "$4.2 BLOCK",
            "$4.2 UNBLOCK",
            "$4.3 TCP_CONGESTION",
            "$4.3 FASTOPEN",
            "$4.4 IP_PKTINFO",
            "$4.5 SIO_RSS_INFO",
            "$4.5 _SCALE",
            "$4.5 SET_..",
            "$7 D-W/D-W",
            "$7 D-W/R-S",
            "$7 R-S/D-W",
            "$7 R-S/R-S",
            "$10 EPERM",
            "$10 EACCES",
            "$10 any other",
        ];
        assert_eq!(all, expected.map(made));
    }

    #[test]
    fn ids() {
        check("(#1), #9.", &["#1", "#9"]);
        check("#2 to 4", &["#2", "#3", "#4"]);
        check("#1 to #9", &["#1", "#2", "#3", "#4", "#9"]);
    }

    #[test]
    fn rows_by_name() {
        check("/* $4.1 SO_A */", &["$4.1 SO_A"]);
        check("$4.1 SO_A, SO_B and SO_FF; $10 EACCES", &["$4.1 SO_A", "$4.1 SO_B", "$4.1 SO_FF", "$10 EACCES"]);
        check("$4.2 UNBLOCK, $4.2 ADD/DROP SOURCE", &["$4.2 UNBLOCK", "$4.2 ADD/DROP SOURCE"]);
        check("$10 any other.", &["$10 any other"]);
        check("as $4.1 says, and AC 4.1 SO_A", &[]);
    }

    #[test]
    fn rows_by_their_full_name() {
        check("$4.2 IP_TTL", &["$4.2 TTL"]);
        check("$4.2 IPV6_UNICAST_HOPS", &["$4.2 UNICAST_HOPS"]);
        check("$4.3 TCP_FASTOPEN", &["$4.3 FASTOPEN"]);
        check("$4.5 SIO_RSS_SCALE", &["$4.5 _SCALE"]);
    }

    #[test]
    fn cells_and_whole_tables() {
        check("$7 D-W/R-S", &["$7 D-W/R-S"]);
        check("$7 R-S: the row", &["$7 R-S/D-W", "$7 R-S/R-S"]);
        check("$10 (every row)", &["$10 EPERM", "$10 EACCES", "$10 any other"]);
    }

    #[test]
    fn what_does_not_exist() {
        let text = made("#7, #2 to #8, $4.1 SO_X, $7 X-Y/D-W, $4.1 SO_FFF");
        let specification = specification();
        let (found, unknown) = specification.cited(&text);
        assert_eq!(unknown, ["$4.1 SO_X", "$7 X", "$4.1 SO_FFF", "#7", "#8"].map(made));
        assert_eq!(found.len(), 3, "what lies between");
    }

    #[test]
    fn a_table_that_went_away_is_noticed() {
        assert!(Specification::read(&[]).is_err());
    }
}
