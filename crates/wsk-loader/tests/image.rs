//! Bad images get a clear error and nothing else.

mod common;

use common::{Clang, Gcc, build, bytes};
use wsk_loader::{Image, ImageError};

/// Where the PE header begins.
fn pe(file: &[u8]) -> usize {
    u32::from_le_bytes(file[0x3c..0x40].try_into().unwrap()) as usize
}

/// The image of a good driver, changed by `change`, which is given the offset of the PE header.
fn changed(change: impl Fn(&mut Vec<u8>, usize)) -> ImageError {
    let mut file = bytes(&build("hello", Gcc));
    assert!(Image::parse(&file).is_ok());
    let start = pe(&file);
    change(&mut file, start);
    Image::parse(&file).unwrap_err()
}

fn says(error: &ImageError, text: &str) {
    assert!(error.to_string().contains(text), "{error}");
}

#[test]
fn good_images() {
    for compiler in [Gcc, Clang] {
        for name in ["hello", "plain", "traps"] {
            Image::parse(&bytes(&build(name, compiler))).unwrap();
        }
    }
}

#[test]
fn not_a_pe_image() {
    says(&Image::parse(b"").unwrap_err(), "truncated");
    says(&Image::parse(&[0x7f; 4096]).unwrap_err(), "does not begin with MZ");
    says(&changed(|file, pe| file[pe] = b'N'), "no PE signature");
}

#[test]
fn another_machine() {
    let error = changed(|file, pe| file[pe + 4..pe + 6].copy_from_slice(&[0x4c, 0x01]));
    assert_eq!(error, ImageError::Machine(0x14c, "32-bit x86"));
    says(&error, "only x64");
    says(&changed(|file, pe| file[pe + 4..pe + 6].copy_from_slice(&[0x64, 0xaa])), "arm64");
}

#[test]
fn truncated() {
    let file = bytes(&build("hello", Clang));
    for length in 0..file.len() {
        let Err(error) = Image::parse(&file[..length]) else { continue };
        says(&error, if length < 2 { "truncated" } else { "" });
    }
    says(&Image::parse(&file[..file.len() / 2]).unwrap_err(), "truncated");
}

#[test]
fn no_relocations() {
    assert_eq!(changed(|file, pe| file[pe + 22] |= 1), ImageError::NoRelocations);
}

#[test]
fn thread_local_storage() {
    // Directory 9, with an address inside the image.
    let error = changed(|file, pe| file[pe + 24 + 112 + 9 * 8..][..8].copy_from_slice(&[0, 0x10, 0, 0, 0x28, 0, 0, 0]));
    assert_eq!(error, ImageError::Tls);
}

#[test]
fn absurd_sizes() {
    let word = |at: usize, value: u32| {
        changed(move |file, pe| file[pe + 24 + at..][..4].copy_from_slice(&value.to_le_bytes()))
    };
    says(&word(56, 0xffff_f000), "SizeOfImage is 0xfffff000");
    says(&word(56, 0), "SizeOfImage is 0x0");
    says(&word(60, 0x7fff_ffff), "SizeOfHeaders");
    says(&word(32, 16), "aligned to 0x10");
    says(&word(108, 0xffff_ffff), "data directories");
    says(&word(16, 0), "entry point");
    says(&word(16, 0x3fff_ffff), "entry point");
    says(&changed(|file, pe| file[pe + 6..pe + 8].copy_from_slice(&[0xff, 0xff])), "sections");
}

#[test]
fn not_a_driver() {
    says(&changed(|file, pe| file[pe + 24 + 68] = 3), "subsystem");
}
