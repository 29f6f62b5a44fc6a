//! The bytes that are sent: a function of connection and position, so that an answer of another connection, or of another
//! place in the stream, is seen.

/// Length after which the bytes repeat; a prime, so that no power-of-two slip goes unnoticed.
const PERIOD: usize = 65521;

/// One period and a request's length more: every request is a slice of it, sent and compared without a copy.
pub struct Pattern(Box<[u8]>);

impl Pattern {
    /// For slices of up to `longest` bytes.
    pub fn new(longest: usize) -> Pattern {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let period: Vec<u8> = (0..PERIOD)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        Pattern(period.iter().copied().cycle().take(PERIOD + longest).collect())
    }

    /// `len` bytes at `position` of the stream of `connection`.
    pub fn at(&self, connection: usize, position: u64, len: usize) -> &[u8] {
        let start = (connection as u64 * 7919 + position) % PERIOD as u64;
        &self.0[start as usize..start as usize + len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_stream_of_its_own_per_connection() {
        let pattern = Pattern::new(128);
        let end = PERIOD as u64 - 10;
        assert_eq!(pattern.at(3, end, 64)[10..], *pattern.at(3, end + 10, 54), "contiguous over the end of a period");
        assert_ne!(pattern.at(1, 0, 64), pattern.at(2, 0, 64));
        assert_ne!(pattern.at(1, 0, 64), pattern.at(1, 64, 64));
    }
}
