//! Every requirement id that a source cites is defined in docs/spec/, where the definition is the place that has it in bold.

use std::collections::BTreeSet;

use super::Findings;
use crate::ids;
use crate::project::File;

pub(super) fn check(files: &[File]) -> Findings {
    let mut defined = BTreeSet::new();
    for file in files.iter().filter(|file| file.is_specification()) {
        defined.extend(ids::definitions(file.text().unwrap_or_default()));
    }
    let mut findings = Findings::new();
    if defined.is_empty() {
        findings.push("docs/spec/*.md define no requirement".into());
    }
    let sources = files.iter().filter(|file| [".rs", ".c", ".h"].iter().any(|end| file.path.ends_with(end)));
    for (path, text) in sources.filter_map(|file| Some((&file.path, file.text()?))) {
        for (index, line) in text.lines().enumerate() {
            let ends = ids::cited(line).into_iter().flat_map(|(first, last)| BTreeSet::from([first, last]));
            for id in ends.filter(|id| !defined.contains(id)) {
                findings.push(format!("{path}:{}: {id} is not in docs/spec/", index + 1));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::made;

    #[test]
    fn an_id_that_is_not_defined_is_found() {
        let spec = made("- **#1** one\nmentions #2\n- **@7 Title** seven");
        let spec = File::sample("docs/spec/functions.md", &spec);
        let rust = File::sample("crates/x/src/lib.rs", &made("\n// #2, @7, #1\n"));
        let c = File::sample("crates/x/tests/a.c", &made("/* #1 to #9 */"));
        let expected = [
            made("crates/x/src/lib.rs:2: #2 is not in docs/spec/"),
            made("crates/x/tests/a.c:1: #9 is not in docs/spec/"),
        ];
        assert_eq!(check(&[spec, rust, c]), expected);
    }

    #[test]
    fn a_specification_without_ids_is_found() {
        assert_eq!(check(&[]).len(), 1);
    }
}
