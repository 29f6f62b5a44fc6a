//! The export format of the Registry Editor, version 5: `[HKEY_LOCAL_MACHINE\...]`, `"name"="text"`, `"name"=dword:0000002a`,
//! `"name"=hex(7):41,00,...\`, `@=` for the unnamed value, `=-` and `[-...]` for deletions.

use super::{REGISTRY, Tree};

const ROOTS: &[(&str, &str)] = &[
    ("HKEY_LOCAL_MACHINE", "\\Registry\\Machine"),
    ("HKLM", "\\Registry\\Machine"),
    ("HKEY_USERS", "\\Registry\\User"),
    ("HKEY_CURRENT_USER", "\\Registry\\User\\.Default"),
    ("HKEY_CLASSES_ROOT", "\\Registry\\Machine\\Software\\Classes"),
    ("\\Registry", "\\Registry"),
];

fn key_path(name: &str) -> Option<String> {
    ROOTS.iter().find_map(|(prefix, path)| {
        let head = name.get(..prefix.len())?;
        let rest = &name[prefix.len()..];
        (head.eq_ignore_ascii_case(prefix) && (rest.is_empty() || rest.starts_with('\\')))
            .then(|| format!("{path}{rest}"))
    })
}

/// A quoted string at the beginning: its content, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut characters = text.strip_prefix('"')?.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((out, &text[at + 2..])),
            '\\' => out.push(characters.next()?.1),
            c => out.push(c),
        }
    }
    None
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// Type and data of a value.
fn value(text: &str) -> Option<(u32, Vec<u8>)> {
    if text.starts_with('"') {
        let (content, rest) = quoted(text)?;
        return rest.trim().is_empty().then(|| (1, utf16(&content)));
    }
    let (head, body) = text.split_once(':')?;
    if head.eq_ignore_ascii_case("dword") {
        return Some((4, u32::from_str_radix(body.trim(), 16).ok()?.to_le_bytes().to_vec()));
    }
    if head.eq_ignore_ascii_case("qword") {
        return Some((11, u64::from_str_radix(body.trim(), 16).ok()?.to_le_bytes().to_vec()));
    }
    let kind = match head.strip_prefix("hex")? {
        "" => 3,
        kind => u32::from_str_radix(kind.strip_prefix('(')?.strip_suffix(')')?, 16).ok()?,
    };
    let bytes = body.split(',').map(str::trim).filter(|byte| !byte.is_empty());
    Some((kind, bytes.map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>().ok()?))
}

/// Loads text of the export format into the registry, over what is there.
///
/// # Errors
/// Names the first line that is not understood; the lines before it are loaded.
pub fn load_reg(text: &str) -> Result<(), String> {
    load(text, &mut REGISTRY.lock())
}

/// Whether text of the export format is understood; nothing is loaded.
///
/// # Errors
/// As [`load_reg`].
pub fn check_reg(text: &str) -> Result<(), String> {
    load(text, &mut Tree::new())
}

fn load(text: &str, registry: &mut Tree) -> Result<(), String> {
    let mut key = None;
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let mut header = false;
    while let Some((number, line)) = lines.next() {
        let wrong = |what: &str| format!("line {}: {what}: {}", number + 1, line.trim());
        let mut line = line.trim().to_owned();
        while line.ends_with('\\') && !line.starts_with('[') && !line.ends_with("\\\\\"") {
            line.pop();
            let Some((_, more)) = lines.next() else { break };
            line.push_str(more.trim());
        }
        if line.is_empty() || line.starts_with(';') {
            continue;
        }
        if !header && (line == "REGEDIT4" || line.starts_with("Windows Registry Editor")) {
            header = true;
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let (delete, name) = name.strip_prefix('-').map_or((false, name), |name| (true, name));
            let path = key_path(name).ok_or_else(|| wrong("unknown root"))?;
            if delete {
                key = None;
                if let Some(id) = registry.open(&path) {
                    registry.delete_all(id);
                }
            } else {
                key = Some(registry.create(&path));
            }
            continue;
        }
        let id = key.ok_or_else(|| wrong("a value without a key"))?;
        let parts = match line.strip_prefix('@') {
            Some(rest) => Some((String::new(), rest)),
            None => quoted(&line),
        };
        let (name, rest) = parts.ok_or_else(|| wrong("no name"))?;
        let rest = rest.trim_start().strip_prefix('=').ok_or_else(|| wrong("no ="))?.trim();
        if rest == "-" {
            registry.delete_value(id, &name);
            continue;
        }
        let (kind, data) = value(rest).ok_or_else(|| wrong("no value"))?;
        registry.set(id, &name, kind, data);
    }
    Ok(())
}
