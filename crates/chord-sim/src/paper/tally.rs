//! Counting what was measured: whole numbers, so that the order of adding changes nothing.

use std::collections::BTreeMap;

/// How often each value was seen.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tally {
    counts: BTreeMap<u64, u64>,
    n_values: u64,
}

impl Tally {
    /// Counts a value once.
    pub fn add(&mut self, value: u64) {
        self.add_times(value, 1);
    }

    /// Counts all that another tally did.
    pub fn merge(&mut self, other: &Self) {
        for (value, n_times) in &other.counts {
            self.add_times(*value, *n_times);
        }
    }

    fn add_times(&mut self, value: u64, n_times: u64) {
        *self.counts.entry(value).or_default() += n_times;
        self.n_values += n_times;
    }

    /// How many values were counted.
    pub fn n_values(&self) -> u64 {
        self.n_values
    }

    /// The sum of all values.
    pub fn sum(&self) -> u64 {
        self.counts.iter().map(|(value, n_times)| value * n_times).sum()
    }

    /// The mean; 0 of nothing.
    pub fn mean(&self) -> f64 {
        ratio(self.sum(), self.n_values)
    }

    /// The smallest value that at least `percent` in a hundred values do not exceed; 0 of nothing.
    pub fn percentile(&self, percent: u64) -> u64 {
        let wanted = (self.n_values * percent).div_ceil(100).max(1);
        let mut n_below = 0;
        for (value, n_times) in &self.counts {
            n_below += n_times;
            if n_below >= wanted {
                return *value;
            }
        }
        0
    }

    /// The part of all values that are this one: 0 to 1.
    pub fn part(&self, value: u64) -> f64 {
        ratio(self.counts.get(&value).copied().unwrap_or_default(), self.n_values)
    }

    /// The value seen most often; 0 of nothing.
    pub fn mode(&self) -> u64 {
        self.counts.iter().max_by_key(|(_, n_times)| **n_times).map_or(0, |(value, _)| *value)
    }

    /// The largest value; 0 of nothing.
    pub fn max(&self) -> u64 {
        self.counts.last_key_value().map_or(0, |(value, _)| *value)
    }
}

impl FromIterator<u64> for Tally {
    fn from_iter<I: IntoIterator<Item = u64>>(values: I) -> Self {
        let mut tally = Self::default();
        values.into_iter().for_each(|value| tally.add(value));
        tally
    }
}

/// `count` as a real number.
#[expect(clippy::cast_precision_loss, reason = "counts of an experiment are far below 2^52")]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

/// One count to another; 0 to nothing.
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { real(part) / real(whole) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let tally: Tally = (1..=200).collect();
        assert_eq!([0, 1, 50, 99, 100].map(|percent| tally.percentile(percent)), [1, 2, 100, 198, 200]);
        assert_eq!((tally.sum(), tally.max(), tally.n_values()), (20_100, 200, 200));
        assert_eq!(Tally::default().percentile(50), 0);
    }

    #[test]
    fn two_tallies_together_are_one_of_all_values() {
        let mut even: Tally = (0..100).step_by(2).collect();
        even.merge(&(1..100).step_by(2).collect());
        assert_eq!(even, (0..100).collect());
    }
}
