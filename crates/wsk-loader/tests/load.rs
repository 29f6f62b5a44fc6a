//! Loading, binding, running and unloading real drivers.
#![allow(unsafe_code)] // Functions that drivers call.

mod common;

use std::arch::naked_asm;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{Clang, Gcc, bug_check, build, build_with, bytes, load};
use wsk_abi::NtStatus;
use wsk_loader::{Binding, ImageError, LoadError, LoadOptions, Loader, UnloadError, Wanted};
use wsk_nt::export::{Export, Kind};

static ANSWER: AtomicI32 = AtomicI32::new(0);
static VARIABLE: AtomicI32 = AtomicI32::new(42);

extern "win64" fn report(value: i32) -> i32 {
    if value == 0 { ANSWER.load(Ordering::SeqCst) } else { value + 1 }
}

/// A variadic function, as the executive makes them: the registers' arguments go to their home space.
#[unsafe(naked)]
unsafe extern "win64" fn variadic() {
    naked_asm!("mov [rsp + 16], rdx", "mov [rsp + 24], r8", "mov [rsp + 32], r9", "lea rdx, [rsp + 16]", "jmp {sum}", sum = sym sum)
}

/// The numbers among (1, "two", 3, 4, 5).
unsafe extern "win64" fn sum(_format: *const u8, arguments: *const i64) -> i32 {
    // SAFETY: the driver passes five.
    let [one, _, three, four, five] = unsafe { arguments.cast::<[i64; 5]>().read() };
    (one + three) as i32 + four as i32 + five as i32
}

static OWN: [Export; 3] = [
    Export { name: "TestReport", address: report as *const (), kind: Kind::Function },
    Export { name: "TestVariable", address: (&raw const VARIABLE).cast(), kind: Kind::Data },
    Export { name: "TestVariadic", address: variadic as *const (), kind: Kind::Function },
];

fn loader() -> Loader {
    Loader::new(OWN.iter().chain(wsk_nt::export::all()))
}

/// One at a time: names of drivers, and the variables above, are the process's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_driver_starts_and_unloads() {
    for compiler in [Gcc, Clang] {
        let mut driver = load(&loader(), &build("plain", compiler));
        assert_eq!(driver.start(), NtStatus::SUCCESS, "{compiler:?}");
        driver.unload().unwrap();
        assert_eq!(driver.unload(), Err(UnloadError::NotRunning(driver.name().into())));
    }
}

#[test]
fn a_driver_imports_from_another() {
    let _alone = alone();
    let from: &[(&str, &[&str])] = &[("library.sys", &["LibraryAnswer", "LibraryOther"])];
    for (compiler, flags) in [(Gcc, &["-DEXPORTS"][..]), (Clang, &[])] {
        let library = bytes(&build_with("library", compiler, flags, &[]));
        let user = bytes(&build_with("user", compiler, &[], from));
        let loader = loader();
        let error = loader.load("user.sys", &user, &LoadOptions::default()).unwrap_err();
        assert!(error.to_string().contains("library.sys!LibraryAnswer"), "{error}");
        let mut library = loader.load("Library.SYS", &library, &LoadOptions::default()).unwrap();
        let imports = loader.imports_of(&user).unwrap();
        assert!(imports.iter().all(|line| line.binding == Binding::Driver("Library.SYS".into())), "{imports:?}");
        let mut driver = loader.load("user.sys", &user, &LoadOptions::default()).unwrap();
        assert_eq!(library.start(), NtStatus::SUCCESS, "{compiler:?}");
        assert_eq!(driver.start(), NtStatus::SUCCESS, "{compiler:?}");
        assert_eq!(library.unload(), Err(UnloadError::InUse("Library.SYS".into(), "user.sys".into())));
        driver.unload().unwrap();
        library.unload().unwrap();
    }
}

#[test]
fn imports_by_ordinal() {
    let _alone = alone();
    let from: &[(&str, &[&str])] = &[("library.sys", &["LibraryAnswer @1 NONAME", "LibraryOther @2 NONAME"])];
    let user = bytes(&build_with("user", Clang, &["-DORDINALS"], from));
    let loader = loader();
    assert_eq!(loader.imports_of(&user).unwrap()[0].wanted, Wanted::Ordinal(1));
    let error = loader.load("user.sys", &user, &LoadOptions::default()).unwrap_err();
    assert!(error.to_string().contains("library.sys!#1"), "{error}");
    let library = bytes(&build("library", Clang));
    let mut library = loader.load("library.sys", &library, &LoadOptions::default()).unwrap();
    let mut driver = loader.load("user.sys", &user, &LoadOptions::default()).unwrap();
    assert_eq!(driver.start(), NtStatus::SUCCESS);
    driver.unload().unwrap();
    assert_eq!(library.start(), NtStatus::SUCCESS);
    library.unload().unwrap();
}

#[test]
fn delay_loaded_imports() {
    let _alone = alone();
    let from: &[(&str, &[&str])] = &[("library.sys", &["LibraryAnswer", "LibraryOther"])];
    let user = bytes(&build_with("user", Clang, &["-DDELAYED", "/delayload:library.sys"], from));
    let loader = loader();
    let error = loader.load("user.sys", &user, &LoadOptions::default()).unwrap_err();
    assert!(error.to_string().contains("library.sys!LibraryAnswer"), "{error}");
    let mut library = loader.load("library.sys", &bytes(&build("library", Clang)), &LoadOptions::default()).unwrap();
    let mut driver = loader.load("user.sys", &user, &LoadOptions::default()).unwrap();
    assert_eq!((library.start(), driver.start()), (NtStatus::SUCCESS, NtStatus::SUCCESS));
    driver.unload().unwrap();
    library.unload().unwrap();
}

#[test]
fn forwarded_exports() {
    let _alone = alone();
    let library = build_with("library", Clang, &["/export:TestReport=ntoskrnl.TestReport"], &[]);
    let user = bytes(&build_with("plain", Clang, &["-DFORWARDED"], &[("library.sys", &["TestReport"])]));
    let loader = loader();
    let mut library = loader.load("library.sys", &bytes(&library), &LoadOptions::default()).unwrap();
    let import = &loader.imports_of(&user).unwrap()[0];
    assert_eq!((import.dll.as_str(), &import.binding), ("library.sys", &Binding::Function));
    let mut driver = loader.load("user.sys", &user, &LoadOptions::default()).unwrap();
    assert_eq!((library.start(), driver.start()), (NtStatus::SUCCESS, NtStatus::SUCCESS));
    driver.unload().unwrap();
    library.unload().unwrap();
}

#[test]
fn missing_imports_are_listed() {
    let _alone = alone();
    let loader = loader();
    let missing = bytes(&build("missing", Gcc));
    let Err(LoadError::Unresolved(list)) = loader.load("missing-again.sys", &missing, &LoadOptions::default()) else {
        panic!("nobody exports it");
    };
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].to_string(), "ntoskrnl.exe!TestNobodyHasThis");
}

#[test]
fn a_call_of_a_missing_import_stops() {
    let report = bug_check("a_call_of_a_missing_import_stops", || {
        let options = LoadOptions { allow_missing: true, ..LoadOptions::default() };
        let mut driver = loader().load("missing.sys", &bytes(&build("missing", Gcc)), &options).unwrap();
        ANSWER.store(1, Ordering::SeqCst);
        driver.start();
    });
    assert!(report.contains("missing.sys called ntoskrnl.exe!TestNobodyHasThis, which nobody exports"), "{report}");
    assert!(report.contains("!DriverEntry+"), "{report}");
}

#[test]
fn a_missing_import_that_is_not_called_is_harmless() {
    let _alone = alone();
    ANSWER.store(0, Ordering::SeqCst);
    let options = LoadOptions { allow_missing: true, ..LoadOptions::default() };
    let mut driver = loader().load("missing.sys", &bytes(&build("missing", Clang)), &options).unwrap();
    assert_eq!(driver.start(), NtStatus::SUCCESS);
    assert_eq!(driver.unload(), Err(UnloadError::NoUnload("missing.sys".into())));
}

#[test]
fn initialization_code_is_discarded() {
    let report = bug_check("initialization_code_is_discarded", || {
        let mut driver = load(&loader(), &build_with("init", Clang, &["/section:INIT,ERD"], &[]));
        assert_eq!(driver.start(), NtStatus::SUCCESS);
        let _ = driver.unload();
    });
    assert!(report.contains("section INIT: discarded after DriverEntry"), "{report}");
    assert!(report.contains("bug check 0x000000ce"), "{report}");
}

#[test]
fn variables_and_variadic_functions() {
    let _alone = alone();
    let from: &[(&str, &[&str])] = &[("hal.dll", &["TestVariable DATA", "TestVariadic"])];
    for compiler in [Gcc, Clang] {
        VARIABLE.store(42, Ordering::SeqCst);
        let mut driver = load(&loader(), &build_with("data", compiler, &[], from));
        assert_eq!(driver.start(), NtStatus::SUCCESS, "{compiler:?}");
        assert_eq!(VARIABLE.load(Ordering::SeqCst), 43);
        assert!(matches!(driver.unload(), Err(UnloadError::NoUnload(_))));
    }
}

const GUARDED: [&str; 5] = ["-fstack-protector-strong", "-Xclang", "-cfguard", "/guard:cf", "/guard:nolongjmp"];

#[test]
fn cookie_and_control_flow_guard() {
    let _alone = alone();
    ANSWER.store(0, Ordering::SeqCst);
    let path = build_with("guard", Clang, &GUARDED, &[]);
    assert_eq!(load(&loader(), &path).start(), NtStatus::SUCCESS);
}

#[test]
fn a_smashed_cookie_stops() {
    let report = bug_check("a_smashed_cookie_stops", || {
        ANSWER.store(1, Ordering::SeqCst);
        load(&loader(), &build_with("guard", Clang, &GUARDED, &[])).start();
    });
    assert!(report.contains("bug check 0x00000139") && report.contains("stack cookie"), "{report}");
}

#[test]
fn an_empty_import_descriptor_is_an_error() {
    // An import library of llvm-dlltool given to GNU ld.
    let directory = tempfile::tempdir().unwrap();
    let library = common::import_library(directory.path(), "ntoskrnl.exe", &["TestReport"]);
    let flag = format!("-Wl,{}", library.display());
    let path = common::build_plainly("plain", &[&flag]);
    assert_eq!(
        loader().load("plain.sys", &bytes(&path), &LoadOptions::default()).unwrap_err().to_string(),
        ImageError::EmptyDescriptor("ntoskrnl.exe".into()).to_string()
    );
}

#[test]
fn names_are_unique() {
    let _alone = alone();
    let loader = loader();
    let file = bytes(&build("plain", Gcc));
    let first = loader.load("twin.sys", &file, &LoadOptions::default()).unwrap();
    let error = loader.load("TWIN.sys", &file, &LoadOptions::default()).unwrap_err();
    assert!(matches!(error, LoadError::Duplicate(_)), "{error}");
    drop(first);
    loader.load("twin.sys", &file, &LoadOptions::default()).unwrap();
}
