//! docs/spec/untested.md: the requirements that no test can break here, with the reason for each, as rows of tables.

use crate::project::File;
use crate::spec::requirement::{Requirement, Specification};

pub(super) const PATH: &str = "docs/spec/untested.md";

/// Requirements with their reasons, and what is wrong with the file.
pub(super) fn read<'a>(
    files: &[File],
    specification: &'a Specification,
) -> (Vec<(&'a Requirement, String)>, Vec<String>) {
    let (mut reasons, mut wrong) = (Vec::<(&Requirement, String)>::new(), Vec::new());
    let text = files.iter().find(|file| file.path == PATH).and_then(File::text).unwrap_or_default();
    for (index, line) in text.lines().enumerate() {
        let Some((names, reason)) = line.strip_prefix('|').and_then(|line| line.trim_end_matches('|').split_once('|'))
        else {
            continue;
        };
        let place = format!("{PATH}:{}", index + 1);
        let (found, unknown) = specification.cited(names);
        wrong.extend(unknown.into_iter().map(|name| format!("{place}: {name} is not in docs/spec/")));
        if !found.is_empty() && reason.trim().is_empty() {
            wrong.push(format!("{place}: say why {} has no test", names.trim()));
        }
        for requirement in found {
            if reasons.iter().any(|(other, _)| *other == requirement) {
                wrong.push(format!("{place}: {requirement} has a reason already"));
            } else {
                reasons.push((requirement, reason.trim().to_string()));
            }
        }
    }
    (reasons, wrong)
}
