//! The project's files, as git has them or would take them.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A file of the project: path from the root, with `/`, and contents.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
}

impl File {
    /// The contents, unless they are not text.
    pub(crate) fn text(&self) -> Option<&str> {
        str::from_utf8(&self.bytes).ok()
    }

    /// Path and text of a Rust source.
    pub(crate) fn rust(&self) -> Option<(&str, &str)> {
        let text = self.text()?;
        self.path.ends_with(".rs").then_some((&self.path, text))
    }

    /// Whether it is a text of the specification.
    pub(crate) fn is_specification(&self) -> bool {
        self.path.starts_with("docs/spec/") && self.path.ends_with(".md")
    }

    #[cfg(test)]
    pub(crate) fn sample(path: &str, text: &str) -> File {
        File { path: path.into(), bytes: text.into() }
    }
}

/// All of them.
pub(crate) fn files(root: &Path) -> Result<Vec<File>, String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cannot run git: {error}"))?;
    if !output.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let names = String::from_utf8(output.stdout).map_err(|_| "a file name is not UTF-8")?;
    let files = names.split_terminator('\0').filter_map(|path| {
        // One that is deleted but not committed, or a submodule, cannot be read.
        fs::read(root.join(path)).ok().map(|bytes| File { path: path.into(), bytes })
    });
    Ok(files.collect())
}
