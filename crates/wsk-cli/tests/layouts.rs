//! The headers of `include/`, as compilers see them, against an independent description of the interface: a generated C file
//! says the size of every type and the offset of every member.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use support::{COMPILERS, directory, root, run, text, wsk};

/// Headers that are the project's own: every type that they have on Windows must be in them.
const OWN: [&str; 5] = ["wsk.h", "netioddk.h", "netiodef.h", "ws2def.h", "ws2ipdef.h"];
/// Types of the compilers' headers that the interface hands to and fro.
const OTHERS: [&str; 9] =
    ["IRP", "IO_STATUS_BLOCK", "MDL", "KEVENT", "LIST_ENTRY", "UNICODE_STRING", "IN_ADDR", "IN6_ADDR", "GUID"];
/// Members that those headers are too old for, or that C leaves unnamed.
const SKIPPED: [&str; 2] = ["IoRing", "IssuingProcess"];

/// A type, or one of its members, and its size or offset.
type Numbers = BTreeMap<String, u64>;

/// What the description says.
fn described() -> Numbers {
    let path = root().join("crates/wsk-abi/tests/data/layouts.json");
    let layouts: Value = serde_json::from_slice(&std::fs::read(path).expect("the description")).expect("JSON");
    let mut numbers = Numbers::new();
    for layout in layouts.as_array().expect("a list") {
        let (name, header) = (layout["type"].as_str().expect("a name"), layout["header"].as_str().expect("a header"));
        if !OWN.contains(&header) && !OTHERS.contains(&name) {
            continue;
        }
        numbers.insert(name.to_owned(), layout["size"].as_u64().expect("a size"));
        for field in layout["fields"].as_array().into_iter().flatten() {
            let member = field["name"].as_str().expect("a name");
            if field["bits"].is_null() && !SKIPPED.iter().any(|skipped| member.contains(skipped)) {
                numbers.insert(format!("{name}.{member}"), field["offset"].as_u64().expect("an offset"));
            }
        }
    }
    numbers
}

/// A driver that prints them.
fn source(numbers: &Numbers) -> String {
    let mut source = String::from("#include <ntddk.h>\n#include <wsk.h>\n#include <stddef.h>\n\n");
    source += "static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) { (void)DriverObject; }\n\n";
    source += "NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)\n{\n    (void)RegistryPath;\n";
    source += "    DriverObject->DriverUnload = Unload;\n";
    for name in numbers.keys() {
        let value = match name.split_once('.') {
            None => format!("sizeof({name})"),
            Some((of, member)) => format!("offsetof({of}, {member})"),
        };
        let _ = writeln!(source, "    DbgPrint(\"{name} %d\\n\", (int){value});");
    }
    source + "    return STATUS_SUCCESS;\n}\n"
}

#[test]
fn the_headers_agree_with_the_description() {
    let described = described();
    assert!(described.len() > 350, "{} sizes and offsets are described", described.len());
    let directory = directory();
    let (c, driver) = (directory.path().join("print.c"), directory.path().join("print.sys"));
    std::fs::write(&c, source(&described)).expect("written");
    for compiler in COMPILERS {
        let built = wsk(&["build", "--compiler", compiler]).arg(&c).arg("-o").arg(&driver).output().expect("it starts");
        assert!(built.status.success(), "{compiler}: {}", text(&built.stderr));
        let (output, errors, status) = run(&[&driver], &["--for", "0"]);
        assert_eq!(status, Some(0), "{errors}");
        let compiled: Numbers = (output.lines())
            .filter_map(|line| line.strip_prefix("print: ")?.split_once(' '))
            .map(|(name, number)| (name.to_owned(), number.parse().expect("a number")))
            .collect();
        assert_eq!(compiled, described, "{compiler}");
    }
}
