//! The verifier's memory: guard pages, quarantine, what is told about an address. A process of its own, as the verifier cannot
//! be switched off. Faults are provoked in a child process.
#![allow(unsafe_code)] // Calls exports by name, as drivers do.
#![allow(clippy::multiple_unsafe_ops_per_block)] // Each block is one call or one touch, with what leads to it.

use std::ffi::c_void;

use wsk_nt::ex::pool;
use wsk_nt::{caller, export, verify};

fn address_of(name: &str) -> *const () {
    export::find(name).unwrap_or_else(|| panic!("{name} is exported")).address
}

fn allocate(size: usize) -> *mut u8 {
    type Allocate = unsafe extern "win64" fn(u32, usize, u32) -> *mut u8;
    // SAFETY: the export, by its signature.
    unsafe { std::mem::transmute::<*const (), Allocate>(address_of("ExAllocatePoolWithTag"))(512, size, 0x7453_6554) }
}

fn free(block: *mut u8) {
    // SAFETY: the export, by its signature.
    unsafe { std::mem::transmute::<*const (), unsafe extern "win64" fn(*mut u8)>(address_of("ExFreePool"))(block) };
}

fn count(rule: &str, caller: usize) -> usize {
    verify::violations().iter().filter(|violation| violation.rule == rule && violation.caller == caller).count()
}

/// Whether a child process dies of SIGSEGV when it runs `body`, which must not allocate.
fn faults(body: impl Fn()) -> bool {
    // SAFETY: the child only runs the body, which touches memory, and exits.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::signal(libc::SIGSEGV, libc::SIG_DFL);
            body();
            libc::_exit(0);
        }
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV
    }
}

#[test]
fn overruns_and_uses_after_free_fault_and_are_named() {
    verify::enable();
    caller::note(0x7070_0001);
    let block = allocate(48);
    // SAFETY: in the block, or in a child that is to fault.
    unsafe {
        assert_eq!((block as usize + 48) % 4096, 0);
        block.add(47).write_volatile(1);
        assert!(faults(|| block.add(48).write_volatile(1)));
    }
    let past = pool::describe_address(block as usize + 50).expect("the guard page is known");
    assert!(past.text.contains("size 48, 2 bytes past its end"), "{}", past.text);
    caller::note(0x7070_0002);
    free(block);
    // SAFETY: in a child that is to fault.
    assert!(faults(|| unsafe { block.add(8).write_volatile(1) }));
    let freed = pool::describe_address(block as usize + 8).expect("freed blocks are known");
    assert_eq!((freed.allocated_by, freed.freed.map(|freed| freed.by)), (0x7070_0001, Some(0x7070_0002)));
    assert!(freed.text.starts_with("freed pool block, tag 'TeSt', size 48, at offset 8"), "{}", freed.text);
    caller::note(0x7070_0003);
    free(block);
    assert_eq!(count("double free", 0x7070_0003), 1);

    // The slack up to the next 16 bytes is checked at the free.
    let block = allocate(20);
    // SAFETY: in the slack.
    unsafe { block.add(21).write_volatile(0) };
    caller::note(0x7070_0004);
    free(block);
    assert_eq!(count("pool overrun", 0x7070_0004), 1);

    // A timer that is armed in freed memory.
    type Initialize = unsafe extern "win64" fn(*mut u8);
    type Set = unsafe extern "win64" fn(*mut u8, i64, *mut c_void) -> u8;
    let timer = allocate(64);
    // SAFETY: the exports, by their signatures.
    unsafe {
        std::mem::transmute::<*const (), Initialize>(address_of("KeInitializeTimer"))(timer);
        std::mem::transmute::<*const (), Set>(address_of("KeSetTimer"))(timer, -1_000_000_000, std::ptr::null_mut());
    }
    caller::note(0x7070_0005);
    free(timer);
    assert_eq!(count("armed timer freed", 0x7070_0005), 1);

    // Many blocks: the quarantine and the number of mappings are bounded.
    for round in 0..40_000 {
        free(allocate(round % 100));
    }
    let blocks: Vec<_> = (0..20_000).map(|_| allocate(16)).collect();
    blocks.into_iter().for_each(free);
}

#[test]
fn names_are_unique_and_found() {
    let mut names: Vec<&str> = export::all().map(|export| export.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(export::find("KeSetEvent").is_some());
    assert!(export::find("NoSuchRoutine").is_none());
}
