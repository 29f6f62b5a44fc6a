//! Dependencies point down only. Development dependencies are free.

use std::path::Path;

use serde_json::Value;

use super::Findings;
use crate::cargo;

/// What each crate of the workspace may depend on, of the workspace: the layers of the design. `None`: anything.
const ALLOWED: [(&str, Option<&[&str]>); 13] = [
    ("wsk-abi", Some(&[])),
    ("wsk-core", Some(&["wsk-abi"])),
    ("wsk-host", Some(&["wsk-core", "wsk-abi"])),
    ("wsk-sim", Some(&["wsk-core", "wsk-abi"])),
    ("wsk", Some(&["wsk-core", "wsk-abi", "wsk-host"])),
    ("wsk-nt", Some(&["wsk-abi"])),
    ("wsk-npi", Some(&["wsk", "wsk-core", "wsk-abi", "wsk-nt"])),
    ("wsk-loader", Some(&["wsk-npi", "wsk-nt", "wsk", "wsk-core", "wsk-abi"])),
    ("wsk-c", Some(&["wsk-npi", "wsk-nt"])),
    ("wsk-cli", None),
    ("wsk-tdi", Some(&["wsk-core", "wsk-nt", "wsk-abi"])),
    ("examples", Some(&["wsk"])),
    ("xtask", Some(&[])),
];

/// Directories with a workspace of their own, whose dependencies are not the product's.
const OWN: [&str; 2] = ["bench", "fuzz"];

/// The workspace as cargo describes it.
pub(super) fn metadata(root: &Path) -> Result<Value, String> {
    let output = cargo(root)
        .args(["metadata", "--format-version=1", "--no-deps"])
        .output()
        .map_err(|error| format!("cannot run cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

pub(super) fn check(metadata: &Value) -> Findings {
    let mut findings = Findings::new();
    let root = metadata["workspace_root"].as_str().unwrap_or_default();
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    if packages.is_empty() {
        findings.push("cargo metadata lists no packages".into());
    }
    let is_member = |name: &str| packages.iter().any(|package| package["name"] == name);
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let path = Path::new(manifest).strip_prefix(root).unwrap_or(Path::new(manifest));
        if let Some(own) = OWN.iter().find(|own| path.starts_with(own)) {
            findings.push(format!("{name}: {own}/ is a workspace of its own; keep it in `exclude` of Cargo.toml"));
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            findings.push(format!(
                "{name}: unknown crate; say in ALLOWED of xtask/src/check/dependencies.rs, and in the design, what it may \
                 depend on"
            ));
            continue;
        };
        let Some(allowed) = allowed else { continue };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            if dependency["kind"] != "dev" && is_member(on) && !allowed.contains(&on) {
                let may = if allowed.is_empty() { "none of the workspace".into() } else { allowed.join(", ") };
                findings.push(format!("{name} depends on {on}; it may depend on: {may}"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn workspace(packages: Value) -> Value {
        json!({ "workspace_root": "/r", "packages": packages })
    }

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
        let dependencies: Vec<Value> =
            dependencies.iter().map(|(name, kind)| json!({ "name": name, "kind": kind })).collect();
        json!({ "name": name, "manifest_path": format!("/r/crates/{name}/Cargo.toml"), "dependencies": dependencies })
    }

    #[test]
    fn downwards_is_right() {
        let abi = package("wsk-abi", &[("bitflags", None)]);
        let core = package("wsk-core", &[("wsk-abi", None), ("wsk-sim", Some("dev"))]);
        let cli = package("wsk-cli", &[("wsk-core", None)]);
        let sim = package("wsk-sim", &[]);
        assert_eq!(check(&workspace(json!([abi, core, cli, sim]))), Findings::new());
    }

    #[test]
    fn upwards_is_found() {
        let core = package("wsk-core", &[("wsk-host", None)]);
        let host = package("wsk-host", &[("wsk", Some("build"))]);
        let found = check(&workspace(json!([core, host, package("wsk", &[])])));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("wsk-core depends on wsk-host"));
    }

    #[test]
    fn strangers_are_found() {
        let found = check(&workspace(json!([package("wsk-misc", &[])])));
        assert!(found[0].contains("unknown crate"), "{found:?}");
        for own in OWN {
            let inside = json!({ "name": own, "manifest_path": format!("/r/{own}/Cargo.toml"), "dependencies": [] });
            let found = check(&workspace(json!([inside])));
            assert!(found[0].contains("workspace of its own"), "{found:?}");
        }
        assert_eq!(check(&json!({})).len(), 1, "an empty answer is no success");
    }
}
