//! Ids of requirements: C-, E-, F- or M- and a number, alone or as a range. Specification, sources and reports name them so.

use std::fmt;

/// The letter says the file of the specification, the number the requirement in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Id {
    pub(crate) letter: char,
    pub(crate) number: u32,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.letter, self.number)
    }
}

pub(crate) const LETTERS: [char; 4] = ['C', 'E', 'F', 'M'];
const BETWEEN: [&str; 7] = ["...", "..=", "..", "\u{2026}", "\u{2013}", "-", "to "];

/// Ids at the start of bold text; of a range all.
pub(crate) fn definitions(text: &str) -> Vec<Id> {
    let mut found = Vec::new();
    for bold in text.split("**").skip(1) {
        let Some((first, rest)) = id(bold) else { continue };
        let last = range_end(first, rest).map_or(first, |(last, _)| last);
        found.extend((first.number..=last.number).map(|number| Id { number, ..first }));
    }
    found
}

/// Ids in a text, as ranges from first to last; one alone is both.
pub(crate) fn cited(text: &str) -> Vec<(Id, Id)> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        let free = !before.is_some_and(|c: char| c.is_alphanumeric() || "_-".contains(c));
        match id(rest).filter(|_| free) {
            Some((first, after)) => {
                let (last, after) = range_end(first, after).unwrap_or((first, after));
                found.push((first, last));
                before = None;
                rest = after;
            }
            None => {
                before = Some(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    found
}

/// Ids that the name of a test begins with: `e75_e115_...`.
pub(crate) fn of_name(name: &str) -> Vec<Id> {
    let one = |part: &str| {
        let letter = part.chars().next()?.to_ascii_uppercase();
        let digits = part.get(1..).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        LETTERS.contains(&letter).then_some(Id { letter, number: digits.parse().ok()? })
    };
    name.split('_').map_while(one).collect()
}

/// The id that the text begins with, and what follows it.
fn id(text: &str) -> Option<(Id, &str)> {
    let letter = text.chars().next().filter(|letter| LETTERS.contains(letter))?;
    let (number, rest) = number(text[1..].strip_prefix('-')?)?;
    Some((Id { letter, number }, rest))
}

/// The digits that the text begins with, unless a word goes on.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (!rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')).then_some((digits.parse().ok()?, rest))
}

/// If the text goes on as a range from `first`: its last id, which may leave out the letter.
fn range_end(first: Id, text: &str) -> Option<(Id, &str)> {
    let text = text.trim_start();
    let after = BETWEEN.iter().find_map(|between| text.strip_prefix(between))?.trim_start();
    let letter = format!("{}-", first.letter);
    let (number, rest) = number(after.strip_prefix(&letter).unwrap_or(after))?;
    (number > first.number).then_some((Id { number, ..first }, rest))
}

/// Ids, and sections of control.md, for texts of tests: made, as the sources are searched for them.
#[cfg(test)]
pub(crate) fn made(text: &str) -> String {
    text.replace('#', "F-").replace('@', "E-").replace('$', "C ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f(number: u32) -> Id {
        Id { letter: 'F', number }
    }

    fn e(number: u32) -> Id {
        Id { letter: 'E', number }
    }

    #[test]
    fn in_texts() {
        let cited = |text: &str| cited(&made(text));
        assert_eq!(cited("// (#1, @22): #3."), [(f(1), f(1)), (e(22), e(22)), (f(3), f(3))]);
        assert_eq!(cited("UT#8 1@5 #7x #x x_#9 #0x10"), []);
    }

    #[test]
    fn ranges() {
        for text in ["#2 to #5", "#2..#5", "#2..5", "#2-5", "#2-#5", "#2\u{2013}#5", "#2...5"] {
            assert_eq!(cited(&made(text)), [(f(2), f(5))], "{text}");
            assert_eq!(definitions(&made(&format!("- **{text}** x"))).len(), 4, "{text}");
        }
        assert_eq!(cited(&made("#5 to @7")), [(f(5), f(5)), (e(7), e(7))]);
        assert_eq!(cited(&made("#12 to 3 of them")), [(f(12), f(12))]);
    }

    #[test]
    fn in_names() {
        assert_eq!(of_name("e75_f115_a_receive"), [e(75), f(115)]);
        assert_eq!(of_name("f243"), [f(243)]);
        for name in ["e_75", "e75x_y", "x75_y", "a_e75", "", "_"] {
            assert_eq!(of_name(name), [], "{name}");
        }
    }
}
