//! Small deterministic random numbers: the same `--seed` gives the same fleet.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). It is for
//! simulation only, not for secrets.

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A random number that belongs to (`seed`, `a`, `b`), without any state: one device at one beat.
pub fn pick(seed: u64, a: u64, b: u64) -> u64 {
    let first = scramble(seed.wrapping_add(STEP).wrapping_add(a.wrapping_mul(STEP)));
    scramble(first.wrapping_add(STEP).wrapping_add(b.wrapping_mul(STEP)))
}

/// As [`pick`], as a fraction: 0 (included) to 1 (not included).
pub fn fraction(seed: u64, a: u64, b: u64) -> f64 {
    unit(pick(seed, a, b))
}

fn unit(x: u64) -> f64 {
    (x >> 11) as f64 / (1u64 << 53) as f64
}

/// A sequence of random numbers.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        scramble(self.0)
    }

    /// 0 (included) to `bound` (not included); 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product. The bias is below bound / 2^64.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First outputs of the reference implementation for seed 1234567.
    #[test]
    fn is_splitmix64() {
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn below_stays_below_and_reaches_all() {
        let mut rng = Rng::new(1);
        let mut seen = [false; 7];
        for _ in 0..1_000 {
            seen[rng.below(7) as usize] = true;
        }
        assert_eq!(seen, [true; 7]);
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn picks_differ_by_every_argument() {
        let all = [
            pick(1, 1, 1),
            pick(2, 1, 1),
            pick(1, 2, 1),
            pick(1, 1, 2),
            pick(1, 2, 0),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
        assert!((0..100).all(|i| (0.0..1.0).contains(&fraction(9, i, 0))));
    }
}
