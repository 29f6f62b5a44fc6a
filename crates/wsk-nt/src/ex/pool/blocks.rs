//! The blocks behind pool, IRPs, MDLs and objects: who has which, and with the verifier on a guard page after each and a
//! quarantine of freed ones, so that an overrun or a use after free faults at once and can be named.
#![allow(unsafe_code)] // Maps, protects and fills memory.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::collections::VecDeque;
use std::ops::Range;
use std::ptr::null_mut;

use parking_lot::Mutex;

use super::tag_name;
use crate::addresses::{ADDRESS_HASH, AddressMap};
use crate::verify;

const PAGE: usize = 4096;
/// Bytes of freed memory that the verifier keeps out of reach.
const QUARANTINE_BYTES: usize = 64 << 20;
/// Blocks that it keeps.
const QUARANTINE_BLOCKS: usize = 8192;
/// Special blocks at a time: each costs mappings, of which a process may have some 65000.
const SPECIAL_BLOCKS: usize = 16384;
/// What the slack between a block and its guard page holds.
const SLACK: u8 = 0xB5;
/// What fresh memory holds that nobody asked to be zeroed.
const FRESH: u8 = 0xA5;

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Pool.
    Pool,
    /// An IRP.
    Irp,
    /// An MDL.
    Mdl,
    /// An object of the object manager.
    Object,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Pool => "pool block",
            Kind::Irp => "IRP",
            Kind::Mdl => "MDL",
            Kind::Object => "object",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Block {
    address: usize,
    size: usize,
    tag: u32,
    kind: Kind,
    caller: usize,
    /// Bytes mapped from `base` on, with the guard page; 0 for a block of the heap.
    mapped: usize,
    base: usize,
}

/// A block that was freed, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freed {
    /// The driver's address of the call that freed it.
    pub by: usize,
}

/// What lies at an address.
#[derive(Clone, Debug)]
pub struct AddressInfo {
    /// In words: `freed pool block, tag 'Echo', size 64, at offset 8`.
    pub text: String,
    /// What it is.
    pub kind: Kind,
    /// Its address.
    pub address: usize,
    /// Its size.
    pub size: usize,
    /// Its tag.
    pub tag: u32,
    /// The driver's address of the call that allocated it.
    pub allocated_by: usize,
    /// Set once it is freed.
    pub freed: Option<Freed>,
}

const SHARDS: usize = 16;
static LIVE: [Mutex<AddressMap<Block>>; SHARDS] = [const { Mutex::new(AddressMap::with_hasher(ADDRESS_HASH)) }; SHARDS];

struct Quarantine {
    blocks: VecDeque<(Block, Freed)>,
    bytes: usize,
    special: usize,
}

static QUARANTINE: Mutex<Quarantine> = Mutex::new(Quarantine { blocks: VecDeque::new(), bytes: 0, special: 0 });

fn shard(address: usize) -> &'static Mutex<AddressMap<Block>> {
    &LIVE[(address >> 4 ^ address >> 12) % SHARDS]
}

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.max(1), if size >= PAGE { PAGE } else { 16 }).ok()
}

fn map_special(size: usize) -> Option<(usize, usize, usize)> {
    let mut quarantine = QUARANTINE.lock();
    if quarantine.special >= SPECIAL_BLOCKS {
        return None;
    }
    let data = size.max(1).checked_next_multiple_of(PAGE)?;
    let mapped = data + PAGE;
    // SAFETY: a new private mapping, and the protection of its last page.
    let base = unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let base = libc::mmap(null_mut(), mapped, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        if base == libc::MAP_FAILED {
            return None;
        }
        libc::mprotect(base.byte_add(data), PAGE, libc::PROT_NONE);
        base as usize
    };
    quarantine.special += 1;
    let room = size.max(1).next_multiple_of(16);
    Some((if size >= PAGE { base } else { base + data - room }, base, mapped))
}

/// Allocates a block; null if there is no memory.
pub(crate) fn allocate(kind: Kind, size: usize, tag: u32, zero: bool, caller: usize) -> *mut u8 {
    let mut block = Block { address: 0, size, tag, kind, caller, mapped: 0, base: 0 };
    if verify::is_on()
        && let Some((address, base, mapped)) = map_special(size)
    {
        block = Block { address, base, mapped, ..block };
        let slack = base + mapped - PAGE - address - size;
        // SAFETY: both lie in the fresh mapping, before its guard page.
        unsafe {
            if !zero {
                std::ptr::write_bytes(address as *mut u8, FRESH, size);
            }
            std::ptr::write_bytes((address + size) as *mut u8, SLACK, slack);
        }
    } else {
        let Some(layout) = layout(size) else { return null_mut() };
        // SAFETY: the layout is not empty.
        let memory = unsafe { if zero { alloc_zeroed(layout) } else { alloc(layout) } };
        if memory.is_null() {
            return memory;
        }
        block.address = memory as usize;
    }
    shard(block.address).lock().insert(block.address, block);
    block.address as *mut u8
}

/// Whether a block of the kind begins at the address.
pub(crate) fn is_live(kind: Kind, address: *const u8) -> bool {
    shard(address as usize).lock().get(&(address as usize)).is_some_and(|block| block.kind == kind)
}

/// Frees a block; reports one that is not there, or has another tag.
pub(crate) fn free(kind: Kind, address: *mut u8, tag: Option<u32>, caller: usize) {
    let address = address as usize;
    let removed = {
        let mut live = shard(address).lock();
        match live.get(&address) {
            Some(block) if block.kind == kind => live.remove(&address),
            _ => None,
        }
    };
    let Some(block) = removed else { return report_bad_free(kind, address, caller) };
    // The high bit once marked protected pool; it is no part of the name.
    if let Some(tag) = tag
        && (tag ^ block.tag) & 0x7fff_ffff != 0
    {
        let (given, real) = (tag_name(tag), tag_name(block.tag));
        let what = format!("a block of {} bytes with tag '{real}' is freed with tag '{given}'", block.size);
        verify::violation_by("wrong tag", what, caller);
    }
    forget_inside(&block, caller);
    release(block, Freed { by: caller });
}

/// Timers, DPCs and what is waited for must not outlive the memory they lie in. Without the verifier only blocks are looked
/// at that have room for a timer, while one is armed.
fn forget_inside(block: &Block, caller: usize) {
    const TIMER: usize = 64;
    const EVENT: usize = 24;
    // Device extensions are objects.
    if matches!(block.kind, Kind::Pool | Kind::Object) && crate::ke::wait::is_any_owned() {
        crate::ke::wait::lock().owned.forget(&(block.address..block.address + block.size));
    }
    if block.kind != Kind::Pool || block.size < if verify::is_on() { EVENT } else { TIMER } {
        return;
    }
    let range = block.address..block.address + block.size;
    let (mut timers, mut waited) = (Vec::new(), false);
    if verify::is_on() || crate::ke::timer::is_any_armed() {
        let mut held = crate::ke::wait::lock();
        timers = held.timers.forget(&range);
        waited = held.is_waited_for(range.clone());
    }
    let name = block.kind.name();
    for timer in timers {
        let what = format!("a {name} with an armed timer (at offset {}) is freed", timer - block.address);
        verify::violation_by("armed timer freed", what, caller);
    }
    if waited {
        verify::violation_by("waited-for object freed", format!("a {name} is freed in which a thread waits"), caller);
    }
    if crate::ke::dpc::forget(&range) > 0 {
        verify::violation_by("queued DPC freed", format!("a {name} with a queued DPC is freed"), caller);
    }
}

fn release(block: Block, freed: Freed) {
    let mut quarantine = QUARANTINE.lock();
    if block.mapped == 0 {
        if verify::is_on() {
            // SAFETY: the block is ours again.
            unsafe { std::ptr::write_bytes(block.address as *mut u8, 0xFE, block.size) };
        }
        if let Some(layout) = layout(block.size) {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(block.address as *mut u8, layout) };
        }
    } else {
        check_slack(&block, freed);
        // SAFETY: the whole mapping is ours again.
        unsafe { libc::mprotect(block.base as *mut _, block.mapped, libc::PROT_NONE) };
        quarantine.bytes += block.mapped;
    }
    quarantine.blocks.push_back((block, freed));
    while quarantine.bytes > QUARANTINE_BYTES || quarantine.blocks.len() > QUARANTINE_BLOCKS {
        let Some((old, _)) = quarantine.blocks.pop_front() else { break };
        if old.mapped != 0 {
            quarantine.bytes -= old.mapped;
            quarantine.special -= 1;
            // SAFETY: nobody may use it since it was freed.
            unsafe { libc::munmap(old.base as *mut _, old.mapped) };
        }
    }
}

fn check_slack(block: &Block, freed: Freed) {
    let slack = block.base + block.mapped - PAGE - block.address - block.size;
    // SAFETY: between the block and its guard page, still mapped.
    let slack = unsafe { std::slice::from_raw_parts((block.address + block.size) as *const u8, slack) };
    if let Some(at) = slack.iter().position(|&byte| byte != SLACK) {
        let (name, tag) = (block.kind.name(), tag_name(block.tag));
        let what =
            format!("a {name} of {} bytes, tag '{tag}', was written to at offset {}", block.size, block.size + at);
        verify::violation_by("pool overrun", what, freed.by);
    }
}

fn report_bad_free(kind: Kind, address: usize, caller: usize) {
    let name = kind.name();
    match describe_address(address) {
        Some(info) if info.freed.is_some() && info.address == address => {
            verify::violation_by(
                "double free",
                format!("{name} at {address:#x} is freed again: {}", info.text),
                caller,
            );
        }
        Some(info) => verify::violation_by("bad free", format!("{address:#x} is no {name}: {}", info.text), caller),
        None => verify::violation_by("bad free", format!("{address:#x} is no {name}"), caller),
    }
}

fn info(block: &Block, freed: Option<Freed>, address: usize) -> AddressInfo {
    let state = if freed.is_some() { "freed " } else { "" };
    let tag = match block.kind {
        Kind::Pool => format!(", tag '{}'", tag_name(block.tag)),
        _ => String::new(),
    };
    let place = match address.checked_sub(block.address) {
        Some(0) => String::new(),
        Some(offset) if offset >= block.size => format!(", {} bytes past its end", offset - block.size),
        Some(offset) => format!(", at offset {offset}"),
        None => format!(", {} bytes before it", block.address - address),
    };
    AddressInfo {
        text: format!("{state}{}{tag}, size {}{place}", block.kind.name(), block.size),
        kind: block.kind,
        address: block.address,
        size: block.size,
        tag: block.tag,
        allocated_by: block.caller,
        freed,
    }
}

/// What lies at an address, guard pages and recently freed blocks among it. Never blocks: it serves fault handlers.
pub fn describe_address(address: usize) -> Option<AddressInfo> {
    let covers = |block: &Block| {
        let whole = if block.mapped == 0 {
            block.address..block.address + block.size.max(1)
        } else {
            block.base..block.base + block.mapped
        };
        whole.contains(&address)
    };
    for shard in &LIVE {
        if let Some(live) = shard.try_lock()
            && let Some(block) = live.values().find(|block| covers(block))
        {
            return Some(info(block, None, address));
        }
    }
    let quarantine = QUARANTINE.try_lock()?;
    quarantine
        .blocks
        .iter()
        .rev()
        .find(|(block, _)| covers(block))
        .map(|(block, freed)| info(block, Some(*freed), address))
}

/// What begins at an address, for reports.
pub fn describe(address: usize) -> String {
    describe_address(address).map_or_else(|| format!("{address:#x}"), |info| info.text)
}

/// Blocks of a kind that code in the range allocated: description and caller.
pub(crate) fn allocated_in(kind: Kind, range: &Range<usize>) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for shard in &LIVE {
        for block in shard.lock().values().filter(|block| block.kind == kind && range.contains(&block.caller)) {
            found.push((info(block, None, block.address).text, block.caller));
        }
    }
    found
}

/// Blocks of pool in use, and their bytes.
pub fn totals() -> (usize, usize) {
    LIVE.iter().fold((0, 0), |(count, bytes), shard| {
        let live = shard.lock();
        let pool = live.values().filter(|block| block.kind == Kind::Pool);
        pool.fold((count, bytes), |(count, bytes), block| (count + 1, bytes + block.size))
    })
}
