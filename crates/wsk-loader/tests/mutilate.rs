//! A corpus of mutilated images never crashes the host before DriverEntry: each is an error or loads. Bounded here; longer with
//! `WSK_MUTILATE=100000 cargo test --release -p wsk-loader --test mutilate`.
#![allow(unsafe_code)] // Functions that drivers call.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use common::{Clang, Gcc, build, build_with, bytes};
use wsk_loader::{LoadOptions, Loader};
use wsk_nt::export::{Export, Kind};

extern "win64" fn report(value: i32) -> i32 {
    value
}

static OWN: [Export; 1] = [Export { name: "TestReport", address: report as *const (), kind: Kind::Function }];

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Everything but running it.
fn load(loader: &Loader, name: &str, file: &[u8]) -> bool {
    let options = LoadOptions { allow_missing: true, ..LoadOptions::default() };
    let _ = loader.imports_of(file);
    match loader.load(name, file, &options) {
        Ok(driver) => {
            for at in [0, 0x1000, 0x1010, driver.size() - 1] {
                driver.symbolize(driver.base() + at);
            }
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

fn corpus() -> Vec<PathBuf> {
    let guarded = ["-fstack-protector-strong", "-Xclang", "-cfguard", "/guard:cf", "/guard:nolongjmp"];
    vec![
        build("cr8", Gcc),
        build("seh", Clang),
        build_with("guard", Clang, &guarded, &[]),
        build_with("library", Gcc, &["-DEXPORTS"], &[]),
        build("library", Clang),
    ]
}

/// Offsets in the file worth hitting: headers, and what the data directories and section headers point at.
fn interesting(file: &[u8]) -> Vec<usize> {
    let word = |at: usize| file.get(at..at + 4).map_or(0, |word| u32::from_le_bytes(word.try_into().unwrap()) as usize);
    let pe = word(0x3c);
    let sections: Vec<(usize, usize, usize)> = (0..word(pe + 6) & 0xffff)
        .map(|index| pe + 24 + (word(pe + 20) & 0xffff) + index * 40)
        .map(|at| (word(at + 12), word(at + 16), word(at + 20)))
        .collect();
    let mut offsets: Vec<usize> = (0..0x400.min(file.len())).collect();
    for directory in 0..16 {
        let (rva, size) = (word(pe + 24 + 112 + directory * 8), word(pe + 24 + 116 + directory * 8));
        let section = sections.iter().find(|(start, raw, _)| rva >= *start && rva < start + raw);
        if let Some((start, _, raw)) = section.filter(|_| rva != 0) {
            offsets.extend((0..size.min(0x400)).map(|at| raw + rva - start + at).filter(|&at| at < file.len()));
        }
    }
    offsets
}

#[test]
fn truncated_everywhere() {
    const NAME: &str = "truncated.sys";
    let loader = Loader::new(OWN.iter().chain(wsk_nt::export::all()));
    for path in corpus() {
        let file = bytes(&path);
        assert!(load(&loader, NAME, &file), "{}", path.display());
        let headers = (0..file.len().min(0x600)).step_by(16);
        for length in headers.chain((0x600..file.len()).step_by(509)) {
            load(&loader, NAME, &file[..length]);
        }
    }
}

#[test]
fn bytes_flipped() {
    const NAME: &str = "flipped.sys";
    let rounds: u64 = std::env::var("WSK_MUTILATE").map_or(1500, |rounds| rounds.parse().expect("a number"));
    let loader = Loader::new(OWN.iter().chain(wsk_nt::export::all()));
    let (mut loaded, mut refused) = (0, 0);
    for (index, path) in corpus().iter().enumerate() {
        let original = bytes(path);
        let offsets = interesting(&original);
        for seed in 1..=rounds {
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(index as u64));
            let mut file = original.clone();
            for _ in 0..=random.below(4) {
                let at = offsets[random.below(offsets.len())];
                match random.below(4) {
                    0 => file[at] ^= 1 << random.below(8),
                    1 => file[at] = [0, 0xff, 0x7f, 0x80, 1][random.below(5)],
                    2 => file[at] = random.next() as u8,
                    _ => {
                        let value = [0, u32::MAX, 0x7fff_ffff, 0x1000, random.next() as u32][random.below(5)];
                        let end = (at + 4).min(file.len());
                        file[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
                    }
                }
            }
            match catch_unwind(AssertUnwindSafe(|| load(&loader, NAME, &file))) {
                Ok(true) => loaded += 1,
                Ok(false) => refused += 1,
                Err(_) => panic!("seed {seed} of {}", path.display()),
            }
        }
    }
    println!("{loaded} loaded, {refused} refused");
    assert!(loaded > 0 && refused > 0);
}
