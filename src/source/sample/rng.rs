//! A small random number generator with a fixed algorithm (SplitMix64): integers only, so
//! that every machine draws the same numbers.

/// Scrambles 64 bits; a bijection.
pub(super) const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of random numbers.
#[derive(Clone)]
pub(super) struct Rng(u64);

impl Rng {
    /// The stream number `index` of a family of streams.
    pub fn stream(family: u64, index: u64) -> Self {
        Self(mix(family ^ mix(index)))
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        let out = mix(self.0);
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        out
    }

    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        (((self.next() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// A number from `low` to `high`, both included.
    pub fn range(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in `n` of 1,000 draws.
    pub fn per_mille(&mut self, n: u32) -> bool {
        self.below(1000) < n
    }

    /// One of a list that is not empty.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u32) as usize]
    }

    /// A number with a long tail: half of the draws are at most `2 × scale`, one in `n` is
    /// above `n × scale`; never above `cap`.
    pub fn skewed(&mut self, scale: u32, cap: u32) -> u32 {
        let u = (self.next() >> 40) + 1;
        let value = (u64::from(scale) << 24) / u;
        value.min(u64::from(cap)) as u32
    }
}
