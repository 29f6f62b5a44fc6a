//! `cargo xtask spec`: which requirements of docs/spec/ a test cites, and which not. Each needs a test that cites it, or a reason
//! in docs/spec/untested.md; it fails where one has neither, or both.

mod citation;
mod requirement;
mod untested;

use std::path::Path;

use crate::project::{self, File};
use requirement::{Requirement, Specification};

/// How it stands with one requirement.
struct Standing<'a> {
    requirement: &'a Requirement,
    /// Where tests cite it.
    places: Vec<String>,
    /// Why none does.
    reason: Option<String>,
}

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let files = project::files(root)?;
    let specification = Specification::read(&files)?;
    let (standings, mut wrong) = standings(&files, &specification);
    match arguments {
        [] => {
            print!("{}", table(&standings));
            print!("{}", with_reasons(&standings));
        }
        [check] if check == "--check" => print!("{}", table(&standings)),
        names => return places(&specification, &standings, &names.join(" ")),
    }
    wrong.extend(contradictions(&standings));
    wrong.iter().for_each(|line| println!("{line}"));
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("let a test cite what it checks, or say in {} why none can", untested::PATH))
}

fn standings<'a>(files: &[File], specification: &'a Specification) -> (Vec<Standing<'a>>, Vec<String>) {
    let (citations, mut wrong) = citation::all(files, specification);
    let (reasons, wrong_reasons) = untested::read(files, specification);
    wrong.extend(wrong_reasons);
    let of = |requirement| Standing {
        requirement,
        places: citations.iter().filter(|(cited, _)| *cited == requirement).map(|(_, place)| place.clone()).collect(),
        reason: reasons.iter().find(|(other, _)| *other == requirement).map(|(_, reason)| reason.clone()),
    };
    (specification.0.iter().map(of).collect(), wrong)
}

/// What has neither test nor reason, one line for each table; and what has both.
fn contradictions(standings: &[Standing<'_>]) -> Vec<String> {
    let mut open: Vec<(String, String)> = Vec::new();
    let mut both = Vec::new();
    for Standing { requirement, places, reason } in standings {
        match (places.first(), reason, open.last_mut()) {
            (None, None, Some((group, names))) if *group == requirement.group() => {
                *names += &format!(", {requirement}")
            }
            (None, None, _) => open.push((requirement.group(), format!("no test: {requirement}"))),
            (Some(place), Some(_), _) => {
                both.push(format!("{requirement} has a test ({place}): take its reason out of {}", untested::PATH));
            }
            _ => {}
        }
    }
    both.into_iter().chain(open.into_iter().map(|(_, names)| names)).collect()
}

fn table(standings: &[Standing<'_>]) -> String {
    let mut groups: Vec<(String, [usize; 4])> = Vec::new();
    for standing in standings {
        let group = standing.requirement.group();
        let at = groups.iter().position(|(name, _)| *name == group).unwrap_or_else(|| {
            groups.push((group, [0; 4]));
            groups.len() - 1
        });
        let column = if !standing.places.is_empty() {
            1
        } else if standing.reason.is_some() {
            2
        } else {
            3
        };
        groups[at].1[0] += 1;
        groups[at].1[column] += 1;
    }
    let mut sum = [0; 4];
    groups.iter().flat_map(|(_, counts)| counts.iter().enumerate()).for_each(|(column, count)| sum[column] += count);
    groups.push(("all".into(), sum));
    let line = |(name, [all, tested, reason, open]): &(String, [usize; 4])| {
        format!("{name:<8} {all:>6} {tested:>7} {reason:>12} {open:>6}\n")
    };
    let head = format!("{:<8} {:>6} {:>7} {:>12} {:>6}\n", "", "total", "tested", "with reason", "open");
    head + &groups.iter().map(line).collect::<String>()
}

/// The untested with their reasons; neighbours with the same reason on one line.
fn with_reasons(standings: &[Standing<'_>]) -> String {
    let mut lines: Vec<(String, &str)> = Vec::new();
    for standing in standings.iter().filter(|standing| standing.places.is_empty()) {
        let Some(reason) = &standing.reason else { continue };
        match lines.last_mut() {
            Some((names, last)) if last == reason => *names += &format!(", {}", standing.requirement),
            _ => lines.push((standing.requirement.to_string(), reason)),
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.into_iter().map(|(names, reason)| format!("  {names}: {reason}\n")).collect();
    format!("\nwithout a test, with a reason:\n{lines}\n")
}

/// `cargo xtask spec E-75 ...`: where the named ones are cited.
fn places(specification: &Specification, standings: &[Standing<'_>], names: &str) -> Result<(), String> {
    let (asked, unknown) = specification.cited(names);
    if asked.is_empty() || !unknown.is_empty() {
        return Err(format!("no such requirement: {names}; say for example E-75, \"C 4.1 SO_RCVBUF\", or --check"));
    }
    for standing in standings.iter().filter(|standing| asked.contains(&standing.requirement)) {
        println!("{}", standing.requirement);
        standing.places.iter().chain(&standing.reason).for_each(|line| println!("  {line}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::made;

    const TABLES: &str = "### 4.1\n|a|\n|-|\n|x|\n### 4.2\n|a|\n|-|\n|x|\n### 4.3\n|a|\n|-|\n|x|\n### 4.4\n|a|\n|-|\n|x|\n\
                          ### 4.5\n|a|\n|-|\n|x|\n## 7\n|a|b|\n|-|-|\n|x|y|\n## 10\n|a|\n|-|\n|x|\n";

    /// Findings when tests hold one text and the reasons another.
    fn findings(tests: &str, reasons: &str) -> (Vec<String>, String) {
        let rows = "$4.1 x $4.2 x $4.3 x $4.4 x $4.5 x $7 x/b $10 x ";
        let files = [
            File::sample("docs/spec/functions.md", &made("**#1** **#2** **#3**")),
            File::sample("docs/spec/control.md", TABLES),
            File::sample("crates/a/tests/x.rs", &made(&format!("{rows}{tests}"))),
            File::sample(untested::PATH, &made(reasons)),
        ];
        let specification = Specification::read(&files).unwrap();
        let (standings, mut wrong) = standings(&files, &specification);
        wrong.extend(contradictions(&standings));
        (wrong, table(&standings) + &with_reasons(&standings))
    }

    #[test]
    fn each_has_a_test_or_a_reason() {
        let (wrong, report) = findings("#1", "| Ids | Reason |\n|---|---|\n| #2 to #3 | a definition |\n");
        assert_eq!(wrong, Vec::<String>::new());
        assert!(report.contains(&made("  #2, #3: a definition")), "{report}");
        let counts: Vec<&str> =
            report.lines().find(|line| line.starts_with(&made("#n"))).unwrap().split_whitespace().collect();
        assert_eq!(counts[1..], ["3", "1", "2", "0"]);
    }

    #[test]
    fn neither_or_both_is_found() {
        let (wrong, _) = findings("#1", "| #1, #2 | so |");
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].starts_with(&made("#1 has a test (crates/a/tests/x.rs:1)")), "{wrong:?}");
        assert_eq!(wrong[1], made("no test: #3"));
    }

    #[test]
    fn bad_reasons_are_found() {
        let (wrong, _) = findings("#1", "| #2 | so |\n| #2 to #3 | so |\n| #7 | so |\n");
        let expected =
            ["docs/spec/untested.md:2: #2 has a reason already", "docs/spec/untested.md:3: #7 is not in docs/spec/"];
        assert_eq!(wrong, expected.map(made));
        let (wrong, _) = findings("#1 #2", "| #3 | |");
        assert_eq!(wrong, [made("docs/spec/untested.md:1: say why #3 has no test")]);
    }
}
