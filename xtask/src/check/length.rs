//! Long files want a second look. A note, not a failure.

use crate::project::File;

const LONG: usize = 500;

pub(super) fn notes(files: &[File]) -> Vec<String> {
    let sources = files.iter().filter_map(File::rust).filter(|(path, _)| path.contains("/src/"));
    let mut long: Vec<(usize, &str)> =
        sources.map(|(path, text)| (text.lines().count(), path)).filter(|&(lines, _)| lines > LONG).collect();
    long.sort_by(|a, b| b.cmp(a));
    long.into_iter().map(|(lines, path)| format!("{path} has {lines} lines")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sources_are_noted() {
        let long = "\n".repeat(LONG + 1);
        let files = [
            File::sample("crates/a/src/long.rs", &long),
            File::sample("crates/a/src/short.rs", &"\n".repeat(LONG)),
            File::sample("crates/a/tests/long.rs", &long),
        ];
        assert_eq!(notes(&files), ["crates/a/src/long.rs has 501 lines"]);
    }
}
