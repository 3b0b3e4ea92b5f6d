//! Random numbers that a seed decides, so that a failure can be had again.

/// A linear congruential generator (Knuth's constants): good enough to pick commands.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        // Seeds are small numbers, whose first draws would be alike.
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// A number from 0 to `limit - 1`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % limit
    }

    /// True once in `n` draws.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
