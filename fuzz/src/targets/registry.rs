//! Text in the export format of the Registry Editor, as `wsk run --reg` reads it.

use super::{Target, outcome};

pub(super) const TARGET: Target =
    Target { name: "registry", what: "files of the Registry Editor (wsk run --reg)", seeds, run };

fn seeds() -> Vec<Vec<u8>> {
    let whole = "Windows Registry Editor Version 5.00\r\n\r\n; a comment\r\n[HKEY_LOCAL_MACHINE\\SYSTEM\\Services\\echo]\r\n\
                 \"Port\"=dword:00001f90\r\n\"Long\"=qword:1122334455667788\r\n\"Name\"=\"a \\\"quoted\\\" C:\\\\path\"\r\n\
                 \"Bytes\"=hex:41,42,\\\r\n  43,44\r\n\"Text\"=hex(7):41,00,00,00,00,00\r\n@=\"unnamed\"\r\n\"Port\"=-\r\n\
                 [-HKEY_LOCAL_MACHINE\\SYSTEM\\Services\\other]\r\n";
    vec![
        whole.into(),
        "REGEDIT4\n[HKCU]\n".into(),
        "\u{feff}[HKLM]\n@=-\n".into(),
        "[\\Registry\\User\\x]\n\"\u{e9}\"=\"\u{1f600}\"\n".into(),
    ]
}

fn run(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let checked = wsk_nt::zw::registry::check_reg(&text);
    // The line that is complained about, and how.
    outcome(checked.map_err(|error| error.splitn(3, ':').take(2).map(str::to_owned).collect::<Vec<_>>()))
}
