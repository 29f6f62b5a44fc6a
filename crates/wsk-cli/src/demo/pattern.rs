//! The bytes of the demo: each is a function of its connection and its position in that connection's stream, so that bytes
//! that are lost, repeated, moved or of another connection are noticed.

/// `len` bytes of a connection's stream, from `position`.
pub(super) fn bytes(connection: usize, position: u64, len: usize) -> Vec<u8> {
    Stream::new(connection, position).take(len).collect()
}

/// The position of the first of `bytes`, which start at `position` of the stream, that is not as it should be.
pub(super) fn first_difference(connection: usize, position: u64, bytes: &[u8]) -> Option<u64> {
    let difference = Stream::new(connection, position).zip(bytes).position(|(expected, byte)| expected != *byte);
    difference.map(|at| position + at as u64)
}

/// The stream from some position on; eight bytes are drawn at a time.
struct Stream {
    seed: u64,
    position: u64,
    word: [u8; 8],
}

impl Stream {
    fn new(connection: usize, position: u64) -> Self {
        let seed = mix(connection as u64 + 1);
        Self { seed, position, word: mix(seed ^ (position / 8)).to_le_bytes() }
    }
}

impl Iterator for Stream {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let byte = self.word[(self.position % 8) as usize];
        self.position += 1;
        if self.position.is_multiple_of(8) {
            self.word = mix(self.seed ^ (self.position / 8)).to_le_bytes();
        }
        Some(byte)
    }
}

/// Spreads every bit of `value` over the whole word.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let value = (value ^ (value >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    value ^ (value >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_stream_however_it_is_cut() {
        let whole = bytes(3, 0, 1000);
        for cut in [1, 7, 8, 9, 64, 999] {
            assert_eq!(bytes(3, cut as u64, 1000 - cut), whole[cut..]);
            assert_eq!(first_difference(3, cut as u64, &whole[cut..]), None);
        }
    }

    #[test]
    fn tells_connections_and_places_apart() {
        let whole = bytes(3, 0, 64);
        assert_ne!(whole, bytes(4, 0, 64));
        assert_ne!(whole, bytes(3, 64, 64));
        let mut spoilt = whole;
        spoilt[20] ^= 1;
        assert_eq!(first_difference(3, 0, &spoilt), Some(20));
    }
}
