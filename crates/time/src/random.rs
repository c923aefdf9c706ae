//! Seeded randomness.

/// A stream of random numbers that depends on its seed alone (SplitMix64).
///
/// Not for secrets: ids that a peer must not guess come from the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random {
    state: u64,
}

/// The increment of SplitMix64: 2^64 divided by the golden ratio, made odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A well-mixed 64-bit value that depends on every bit of `parts` and on their order.
///
/// With it a decision can depend on (seed, link, direction, packet index) alone, in whatever
/// order decisions are made.
pub const fn hash<const N: usize>(parts: [u64; N]) -> u64 {
    let mut state = 0;
    let mut index = 0;
    while index < N {
        state = mix(state ^ parts[index]).wrapping_add(STEP);
        index += 1;
    }
    mix(state)
}

const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    /// The stream that belongs to `seed`.
    pub const fn new(seed: u64) -> Self {
        Random { state: seed }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let out = mix(self.state);
        self.state = self.state.wrapping_add(STEP);
        out
    }

    /// The next number, evenly spread over 0 (included) to 1 (excluded).
    pub fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// The next number below `bound`, which must not be zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_stream_and_another_seed_another() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            [random.next_u64(), random.next_u64(), random.next_u64()]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn hashes_depend_on_order_and_on_every_part() {
        assert_ne!(hash([1, 2]), hash([2, 1]));
        assert_ne!(hash([1, 2, 3]), hash([1, 2, 4]));
        assert_ne!(hash([0, 0]), hash([0]));
    }

    #[test]
    fn draws_are_spread_evenly() {
        let mut random = Random::new(7);
        let mean = (0..100_000).map(|_| random.next_f64()).sum::<f64>() / 100_000.0;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        assert!((0..1000).all(|_| random.below(3) < 3));
    }
}
