//! Several measurements of the same thing.

/// Measurements in order of their size.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spread(Vec<f64>);

impl Spread {
    pub fn new(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        Spread(values)
    }

    /// Of two things that were measured in the same rounds: what `a` is of `b` in each.
    pub fn of_ratios(a: &[f64], b: &[f64]) -> Spread {
        Spread::new(a.iter().zip(b).map(|(a, b)| a / b).collect())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    pub fn median(&self) -> f64 {
        let half = self.0.len() / 2;
        match self.0.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => self.0[half],
            _ => (self.0[half - 1] + self.0[half]) / 2.0,
        }
    }

    /// The value that `share` of all do not exceed.
    pub fn percentile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        let at = rank.clamp(1, self.0.len().max(1)) - 1;
        self.0.get(at).copied().unwrap_or(f64::NAN)
    }

    /// What a distribution is judged by, in one line.
    pub fn percentiles(&self) -> String {
        format!(
            "p50 {}, p99 {}, p99.9 {}, max {}, of {}",
            self.percentile(0.5),
            self.percentile(0.99),
            self.percentile(0.999),
            self.max(),
            self.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(Spread::new(vec![3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(Spread::new(vec![4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert!(Spread::new(Vec::new()).median().is_nan());
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred = Spread::new((1..=100).map(f64::from).collect());
        assert_eq!(hundred.percentile(0.5), 50.0);
        assert_eq!(hundred.percentile(0.99), 99.0);
        assert_eq!(hundred.percentile(0.999), 100.0);
        assert_eq!(Spread::new(vec![7.0]).percentile(0.5), 7.0);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let ratios = Spread::of_ratios(&[10.0, 40.0, 90.0], &[10.0, 20.0, 30.0]);
        assert_eq!(
            (ratios.min(), ratios.median(), ratios.max()),
            (1.0, 2.0, 3.0)
        );
    }
}
