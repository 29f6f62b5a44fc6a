//! What is done to an input: a few changes of the kinds that parsers stumble over.

use crate::random::Random;

/// Inputs do not grow beyond this.
const LONGEST: usize = 4096;

/// Numbers at the edges of lengths, counts and offsets.
const EDGES: [u64; 16] = [
    0,
    1,
    7,
    8,
    15,
    16,
    17,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX - 7,
    u64::MAX,
];

/// An input made of one of `known`.
pub(crate) fn mutated(known: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = random.pick(known).clone();
    for _ in 0..=random.below(6) {
        change(&mut input, known, random);
    }
    input.truncate(LONGEST);
    input
}

fn change(input: &mut Vec<u8>, known: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    match random.below(10) {
        0 => flip(input, random),
        1 => overwrite(input, at, &[random.next() as u8]),
        2..=4 => {
            let width = *random.pick(&[1, 2, 4, 8]);
            // Lengths lie at multiples of their size more often than not.
            let at = if random.below(4) == 0 { at } else { at / width * width };
            let edge = random.pick(&EDGES).wrapping_add(random.below(3) as u64).wrapping_sub(1);
            overwrite(input, at, &edge.to_le_bytes()[..width]);
        }
        5 => input.truncate(at),
        6 => drop(input.drain(at..(at + random.below(24)).min(input.len()).max(at))),
        7 => {
            let piece: Vec<u8> = input[at..].iter().copied().take(random.below(48)).collect();
            insert(input, random, &piece);
        }
        8 => {
            let other = random.pick(known);
            let from = random.below(other.len() + 1);
            let piece: Vec<u8> = other[from..].iter().copied().take(1 + random.below(64)).collect();
            insert(input, random, &piece);
        }
        _ => {
            let piece: Vec<u8> = (0..random.below(16)).map(|_| random.next() as u8).collect();
            insert(input, random, &piece);
        }
    }
}

fn flip(input: &mut [u8], random: &mut Random) {
    let at = random.below(input.len());
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

fn overwrite(input: &mut [u8], at: usize, bytes: &[u8]) {
    input.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}

fn insert(input: &mut Vec<u8>, random: &mut Random, piece: &[u8]) {
    let at = random.below(input.len() + 1);
    input.splice(at..at, piece.iter().copied());
}
