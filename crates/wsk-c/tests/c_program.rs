//! A C program that links against the shared library, and talks to a server.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where cargo put the library: beside this test.
fn library_directory() -> PathBuf {
    let test = std::env::current_exe().expect("the test's path");
    test.parent().expect("a directory").to_path_buf()
}

#[test]
fn a_c_program_talks_through_the_library() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = directory.path().join("talk");
    let library = library_directory();
    let built = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-I"])
        .arg(root.join("include"))
        .arg(root.join("examples/c/talk.c"))
        .arg(format!("-L{}", library.display()))
        .arg("-lopenwsk")
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .arg("-o")
        .arg(&program)
        .output()
        .expect("a C compiler is installed: apt install gcc");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    for transport in ["uring", "epoll"] {
        talk(&program, transport);
    }
}

fn talk(program: &Path, transport: &str) {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a server");
    let port = server.local_addr().expect("bound").port();
    let answer = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().expect("a client");
        let mut line = String::new();
        stream.read_to_string(&mut line).expect("a line and the end");
        stream.write_all(line.to_uppercase().as_bytes()).expect("sent");
    });
    let output = Command::new(program)
        .args([&port.to_string(), "hello there"])
        .env("WSK_TRANSPORT", transport)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{transport}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "HELLO THERE");
    answer.join().expect("the server ends");
}
