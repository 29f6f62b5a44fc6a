//! Drivers with a planted mistake: each is reported by its rule, with the function that made it, and the exit status says
//! what kind of end it was.

mod support;

use std::path::Path;

use support::{build, directory, output, run, text};

/// The run of `planted.c` with one mistake: its exit status and what it says on stderr.
fn planted(mistake: &str, compiler: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let directory = directory();
    let driver = build(&directory, "planted.c", compiler, &[mistake]);
    let (_, errors, status) = run(&[&driver], &[&["--for", "0"], arguments].concat());
    (status, errors)
}

/// With the verifier, the mistake is a violation of `rule` in the named function.
#[track_caller]
fn violates(mistake: &str, rule: &str, function: &str, words: &[&str]) {
    for compiler in support::COMPILERS {
        let (status, errors) = planted(mistake, compiler, &["--verify"]);
        assert_eq!(status, Some(4), "{compiler}: {errors}");
        let report = errors.lines().find(|line| line.starts_with(&format!("violation: {rule}: ")));
        let report = report.unwrap_or_else(|| panic!("no {rule}:\n{errors}"));
        assert!(report.contains(&format!("planted.sys!{function}")), "{compiler}: {report}");
        assert!(words.iter().all(|word| errors.contains(word)), "{compiler}: {errors}");
    }
}

#[test]
fn a_pool_leak() {
    violates("POOL_LEAK", "pool leak", "MakeMistake", &["tag 'Leak'", "size 123", "planted.c:"]);
}

#[test]
fn an_irp_leak() {
    violates("IRP_LEAK", "IRP leak", "MakeMistake", &[]);
}

#[test]
fn an_mdl_leak() {
    violates("MDL_LEAK", "MDL leak", "MakeMistake", &[]);
}

#[test]
fn a_use_after_free() {
    violates(
        "USE_AFTER_FREE",
        "use after free",
        "MakeMistake",
        &["tag 'Free'", "offset 10", "allocated in", "freed in"],
    );
}

#[test]
fn a_write_past_the_end() {
    violates("OVERRUN", "pool overrun", "MakeMistake", &["tag 'Over'", "0 bytes past its end"]);
}

#[test]
fn a_double_free() {
    violates("DOUBLE_FREE", "double free", "MakeMistake", &["tag 'Dubl'"]);
}

#[test]
fn an_irp_freed_twice() {
    violates("IRP_FREED_TWICE", "double free", "MakeMistake", &["IRP"]);
}

#[test]
fn a_wait_at_dispatch_level() {
    violates("WRONG_IRQL", "wrong IRQL", "MakeMistake", &["KeWaitForSingleObject", "DISPATCH_LEVEL"]);
}

#[test]
fn an_irp_completed_twice() {
    violates("COMPLETED_TWICE", "IRP completed twice", "MakeMistake", &[]);
}

#[test]
fn an_irp_touched_after_it_was_freed() {
    violates("IRP_TOUCHED", "use after free", "MakeMistake", &["freed IRP"]);
}

#[test]
fn a_handle_leak() {
    violates("HANDLE_LEAK", "handle leak", "MakeMistake", &[]);
}

#[test]
fn a_thread_that_outlives_its_driver() {
    violates("THREAD_LEFT", "thread leak", "MakeMistake", &["thread"]);
}

#[test]
fn a_timer_that_would_fire_into_nothing() {
    violates("TIMER_LEFT", "unload with work outstanding", "MakeMistake", &["timer"]);
}

#[test]
fn an_indication_that_is_never_released() {
    violates("INDICATION_LEAK", "indication leak", "KeepEvent", &["kept by a callback"]);
}

#[test]
fn a_socket_that_is_never_closed() {
    violates("SOCKET_LEAK", "socket leak", "", &["a listening socket", "registration leak"]);
}

/// What a driver left pending ends while its completion routine can still be called, not after its image has gone.
#[test]
fn a_pending_request_at_unload() {
    for (mistakes, status) in [(&["ACCEPT_LEFT"][..], Some(4)), (&["ACCEPT_LEFT", "REFUSE"], Some(1))] {
        let directory = directory();
        let driver = build(&directory, "planted.c", "gcc", mistakes);
        let (output, errors, exit) = run(&[&driver], &["--for", "0", "--verify"]);
        assert_eq!(exit, status, "{errors}");
        assert!(output.contains("the accept ends with 0xc0000120"), "{output}{errors}");
        assert!(errors.contains("violation: socket leak: a listening socket"), "{errors}");
    }
}

/// Who reads what drivers print may go; the drivers do not.
#[test]
fn a_reader_that_goes_away() {
    let directory = directory();
    let driver = build(&directory, "planted.c", "gcc", &["POOL_LEAK"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = support::wsk(&["run", "--for", "0"]);
    let output = command.arg(&driver).stdout(writer).stderr(std::process::Stdio::piped()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn a_time_that_is_none() {
    for time in ["inf", "NaN", "1e300", "soon"] {
        let output = output(&["run", "--for", time, "x.sys"]);
        assert_eq!(output.status.code(), Some(2), "{time}");
        assert!(text(&output.stderr).contains("write a number of seconds"), "{}", text(&output.stderr));
    }
}

#[test]
fn a_socket_used_after_its_close() {
    violates("CLOSED_SOCKET", "use of a closed socket", "MakeMistake", &[]);
}

#[test]
fn a_wait_inside_a_callback() {
    violates("WAIT_IN_CALLBACK", "wait inside a callback", "ReceiveFromEvent", &["WskReceiveFromEvent"]);
}

/// Without the verifier a leak is nobody's business.
/// It keeps a thread of the transport, and still the run ends.
#[test]
fn a_callback_that_never_returns() {
    violates("STUCK_IN_CALLBACK", "wait inside a callback", "StuckEvent", &["socket leak", "WskReceiveFromEvent"]);
}

#[test]
fn no_verifier_no_verdict() {
    let (status, errors) = planted("POOL_LEAK", "gcc", &[]);
    assert_eq!(status, Some(0), "{errors}");
}

#[test]
fn a_null_dereference_is_a_bug_check_with_names() {
    for compiler in support::COMPILERS {
        for arguments in [&[][..], &["--verify"]] {
            let (status, errors) = planted("NULL_DEREFERENCE", compiler, arguments);
            assert_eq!(status, Some(3), "{errors}");
            assert!(errors.contains("bug check 0x0000001e KMODE_EXCEPTION_NOT_HANDLED (0xc0000005"), "{errors}");
            let frames: Vec<&str> = errors.lines().filter(|line| line.trim_start().starts_with('#')).collect();
            for function in ["ReadThrough", "Middle", "MakeMistake", "DriverEntry"] {
                let named = frames.iter().any(|frame| frame.contains(&format!("planted.sys!{function}")));
                assert!(named, "{compiler}: no {function} in {frames:#?}");
            }
            assert!(frames[0].contains("planted.c:"), "{frames:?}");
            assert!(errors.contains("registers:") && errors.contains("rip "), "{errors}");
        }
    }
}

#[test]
fn a_refusing_driver_ends_with_its_status() {
    let (status, errors) = planted("REFUSE", "gcc", &[]);
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("STATUS_DEVICE_NOT_READY"), "{errors}");
}

#[test]
fn unusable_images_are_refused() {
    let directory = directory();
    for (name, content) in [("text.sys", &b"not a driver"[..]), ("empty.sys", b""), ("stub.sys", b"MZ")] {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("written");
        let (_, errors, status) = run(&[&path], &["--for", "0"]);
        assert_eq!(status, Some(2), "{name}: {errors}");
        assert!(errors.contains(name) && errors.contains("next: "), "{errors}");
    }
    let (_, errors, status) = run(&[Path::new("/nonexistent/x.sys")], &[]);
    assert_eq!(status, Some(2), "{errors}");
}

/// `wsk imports` and `wsk run` name what is not there; `--allow-missing` goes on until it is called.
#[test]
fn an_unknown_import_is_named() {
    let directory = directory();
    let driver = build(&directory, "unknown_import.c", "gcc", &[]);
    let path = driver.to_string_lossy();
    let listed = output(&["imports", &path]);
    assert_eq!(listed.status.code(), Some(1));
    let table = text(&listed.stdout);
    assert!(table.lines().any(|line| line.contains("CcFlushCache") && line.contains("MISSING")), "{table}");
    assert!(table.lines().any(|line| line.contains("DbgPrint") && line.contains("OpenWSK")), "{table}");
    let (_, errors, status) = run(&[&driver], &["--for", "0"]);
    assert_eq!(status, Some(2), "{errors}");
    assert!(errors.contains("CcFlushCache"), "{errors}");
    let (output, errors, status) = run(&[&driver], &["--for", "0", "--allow-missing"]);
    assert_eq!(status, Some(3), "{output}{errors}");
    assert!(output.contains("before"), "{output}");
    assert!(errors.contains("CcFlushCache, which nobody exports"), "{errors}");
    let clean = build(&directory, "planted.c", "clang", &["REFUSE"]);
    assert_eq!(imports_status(&clean), Some(0));
}

fn imports_status(driver: &Path) -> Option<i32> {
    output(&["imports", &driver.to_string_lossy()]).status.code()
}

#[test]
fn wrong_arguments_say_what_is_right() {
    for (arguments, said) in [
        (&["run"][..], "required"),
        (&["run", "x.sys", "--irql", "1"], "possible values"),
        (&["run", "x.sys", "--ioctl", "\\Device\\X", "nonsense"], "control code"),
        (&["run", "x.sys", "--ioctl", "\\Device\\X", "0x222000=abc"], "hexadecimal"),
        (&["build", "x.c"], "--output"),
        (&["build", "/nonexistent.c", "-o", "/tmp/x.sys"], "no file"),
        (&["imports", "/nonexistent.sys"], "cannot read"),
    ] {
        let result = output(arguments);
        assert_eq!(result.status.code(), Some(2), "{arguments:?}");
        assert!(text(&result.stderr).contains(said), "{arguments:?}: {}", text(&result.stderr));
    }
}
