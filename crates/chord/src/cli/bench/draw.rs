//! Which key and which kind of request comes next.

use serde::Serialize;

use super::workload::{Operation, Request};

/// How keys are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Draw {
    /// Each as often as any other.
    Uniform,
    /// Some much more often than others.
    Zipf(Zipf),
}

/// Zipf's law: the key of rank k is chosen in proportion to 1 / k^exponent. Key 0 has rank 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Zipf {
    exponent: f64,
}

/// Numbers that look random: `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014, figure 13). The same in every run.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

/// One request after the other.
#[derive(Debug)]
pub(super) struct Drawing {
    random: Random,
    n_keys: u64,
    ranks: Option<Ranks>,
    reads_percent: u8,
}

/// A sampler of ranks by rejection-inversion, which needs neither a table nor a sum over all keys (Hörmann, Derflinger:
/// "Rejection-inversion to generate variates from monotone discrete distributions", TOMACS 6(3), 1996).
#[derive(Clone, Copy, Debug)]
struct Ranks {
    last: f64,
    exponent: f64,
    /// The integral at the left end, past the first rank, and at the right end.
    left: f64,
    right: f64,
    /// Within so much of a whole number the sample is taken without a look at its weight.
    sure: f64,
}

impl Random {
    /// A stream of its own for each seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to below `bound`, which is above 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number from 0 to below 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a number has")]
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl Zipf {
    /// The exponent of those who measure stores by it (YCSB and its heirs).
    pub(super) const USUAL: &str = "0.99";

    /// An exponent from above 0 to 10: then the second key has a thousandth of what the first has.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let exponent = text.parse().ok().filter(|exponent| *exponent > 0.0 && *exponent <= 10.0);
        let refused = || "the exponent of Zipf's law is a number above 0, up to 10, as in 0.99".to_owned();
        exponent.map(|exponent| Self { exponent }).ok_or_else(refused)
    }

    pub(super) fn exponent(self) -> f64 {
        self.exponent
    }
}

impl Drawing {
    pub(super) fn new(draw: Draw, n_keys: u64, reads_percent: u8, seed: u64) -> Self {
        let ranks = match draw {
            Draw::Uniform => None,
            Draw::Zipf(zipf) => Some(Ranks::new(n_keys, zipf.exponent)),
        };
        Self { random: Random::new(seed), n_keys, ranks, reads_percent }
    }

    /// What at least half of it is.
    pub(super) fn mostly(&self) -> Operation {
        if self.reads_percent > 50 { Operation::Get } else { Operation::Put }
    }

    pub(super) fn next(&mut self) -> Request {
        let key = match &self.ranks {
            None => self.random.below(self.n_keys),
            Some(ranks) => ranks.draw(&mut self.random) - 1,
        };
        let reads = match self.reads_percent {
            0 => false,
            100 => true,
            percent => self.random.below(100) < percent.into(),
        };
        Request { operation: if reads { Operation::Get } else { Operation::Put }, key }
    }
}

impl Ranks {
    #[expect(clippy::cast_precision_loss, reason = "keys are far fewer than 2^52")]
    fn new(n_ranks: u64, exponent: f64) -> Self {
        let mut ranks = Self { last: n_ranks as f64, exponent, left: 0.0, right: 0.0, sure: 0.0 };
        ranks.left = ranks.integral(1.5) - 1.0;
        ranks.right = ranks.integral(ranks.last + 0.5);
        ranks.sure = 2.0 - ranks.inverse(ranks.integral(2.5) - ranks.weight(2.0));
        ranks
    }

    /// A rank, from 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 1 to their number"
    )]
    fn draw(&self, random: &mut Random) -> u64 {
        loop {
            let at = self.right + random.fraction() * (self.left - self.right);
            let exact = self.inverse(at);
            let rank = exact.round().clamp(1.0, self.last);
            if rank - exact <= self.sure || at >= self.integral(rank + 0.5) - self.weight(rank) {
                return rank as u64;
            }
        }
    }

    fn weight(&self, rank: f64) -> f64 {
        (-self.exponent * rank.ln()).exp()
    }

    /// The integral of the weight from 1 to `rank`.
    fn integral(&self, rank: f64) -> f64 {
        let log = rank.ln();
        let grown = (1.0 - self.exponent) * log;
        // Near 0 the quotient loses its digits, and its limit is 1.
        if grown.abs() > 1e-8 { grown.exp_m1() / grown * log } else { log }
    }

    fn inverse(&self, integral: f64) -> f64 {
        let grown = (integral * (1.0 - self.exponent)).max(-1.0);
        let log = if grown.abs() > 1e-8 { grown.ln_1p() / grown * integral } else { integral };
        log.exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u32 = 200_000;

    /// How often each key came.
    fn counts(draw: Draw, n_keys: u64, seed: u64) -> Vec<u32> {
        let mut drawing = Drawing::new(draw, n_keys, 0, seed);
        let mut counts = vec![0; usize::try_from(n_keys).unwrap()];
        for _ in 0..DRAWS {
            counts[usize::try_from(drawing.next().key).unwrap()] += 1;
        }
        counts
    }

    fn zipf(exponent: &str) -> Draw {
        Draw::Zipf(Zipf::parse(exponent).unwrap())
    }

    #[test]
    fn uniform_keys_are_all_as_frequent() {
        let counts = counts(Draw::Uniform, 10, 1);
        assert!(counts.iter().all(|count| (19_000..21_000).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_share_of_the_first_keys_is_what_zipfs_law_says() {
        for exponent in ["0.5", "0.99", "1", "1.5"] {
            let counts = counts(zipf(exponent), 10_000, 7);
            let weight = |rank: u32| f64::from(rank).powf(-exponent.parse::<f64>().unwrap());
            let all: f64 = (1..=10_000).map(weight).sum();
            for n_first in [1, 10, 1000] {
                let theory = (1..=n_first).map(weight).sum::<f64>() / all;
                let drawn: u32 = counts.iter().take(usize::try_from(n_first).unwrap()).sum();
                let share = f64::from(drawn) / f64::from(DRAWS);
                // Five standard deviations of such a share.
                let slack = 5.0 * (theory * (1.0 - theory) / f64::from(DRAWS)).sqrt();
                assert!((share - theory).abs() < slack, "{exponent}, first {n_first}: {share}, not {theory}");
            }
        }
    }

    #[test]
    fn every_rank_is_there_even_if_there_is_one() {
        assert_eq!(counts(zipf("0.99"), 1, 3), [DRAWS]);
        assert!(counts(zipf("0.99"), 100, 3).iter().all(|count| *count > 0));
    }

    #[test]
    fn reads_have_the_share_that_they_are_given() {
        for (percent, wanted) in [(0, 0..=0), (30, 2_850..=3_150), (100, 10_000..=10_000)] {
            let mut drawing = Drawing::new(Draw::Uniform, 10, percent, 5);
            let n_reads = (0..10_000).filter(|_| drawing.next().operation == Operation::Get).count();
            assert!(wanted.contains(&n_reads), "{percent} %: {n_reads}");
        }
    }

    #[test]
    fn an_exponent_is_a_number_above_nothing() {
        assert_eq!(Zipf::parse(Zipf::USUAL), Ok(Zipf { exponent: 0.99 }));
        for wrong in ["", "0", "-1", "11", "x", "NaN", "inf"] {
            assert!(Zipf::parse(wrong).is_err(), "{wrong}");
        }
    }
}
