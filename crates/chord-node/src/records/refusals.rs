//! What is said of a store that refuses records: one line when it begins, one now and then while it lasts, one when it is over.

use std::time::Duration;

use tokio::time::Instant;

/// How often it is said at most how many were refused, while it lasts.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// After how long without a refusal it is over, if the store is well: a disk with room for one record now and then is full.
const OVER_AFTER: Duration = Duration::from_secs(2);

/// Refusals that belong together.
#[derive(Default)]
pub(super) struct Refusals(Option<Lasting>);

struct Lasting {
    said_at: Instant,
    last_at: Instant,
    total: u64,
    unsaid: u64,
}

/// What is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Begun,
    /// So many more were refused.
    More(u64),
    /// So many were refused in all.
    Over(u64),
}

impl Refusals {
    /// So many records were refused; none, where the store only says that it would refuse them.
    pub(super) fn refused(&mut self, count: u64, now: Instant) -> Option<Word> {
        let Some(lasting) = &mut self.0 else {
            self.0 = Some(Lasting { said_at: now, last_at: now, total: count, unsaid: 0 });
            return Some(Word::Begun);
        };
        lasting.last_at = now;
        lasting.total += count;
        lasting.unsaid += count;
        let is_due = lasting.unsaid > 0 && now - lasting.said_at >= SAID_EVERY;
        is_due.then(|| {
            lasting.said_at = now;
            Word::More(std::mem::take(&mut lasting.unsaid))
        })
    }

    /// Time passes, and the store is well.
    pub(super) fn is_well(&mut self, now: Instant) -> Option<Word> {
        let over = self.0.take_if(|lasting| now - lasting.last_at >= OVER_AFTER)?;
        Some(Word::Over(over.total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_refusals_make_a_few_lines_and_a_last_one_when_they_are_over() {
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let mut refusals = Refusals::default();
        assert_eq!(refusals.is_well(at(0)), None);
        let words: Vec<Word> = (0..1000).filter_map(|n| refusals.refused(1, at(n * 25))).collect();
        assert_eq!(words, [Word::Begun, Word::More(400), Word::More(400)]);
        assert_eq!(refusals.is_well(at(25_000)), None, "a moment after the last");
        assert_eq!(refusals.is_well(at(27_000)), Some(Word::Over(1000)));
        assert_eq!(refusals.is_well(at(28_000)), None, "once");
        assert_eq!(refusals.refused(1, at(28_000)), Some(Word::Begun), "a new beginning");
    }

    #[test]
    fn a_store_that_would_refuse_is_said_once_though_nobody_writes() {
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let mut refusals = Refusals::default();
        let words: Vec<Word> = (0..300).filter_map(|n| refusals.refused(0, at(n * 100))).collect();
        assert_eq!(words, [Word::Begun]);
        assert_eq!(refusals.refused(1, at(30_000)), Some(Word::More(1)));
        assert_eq!(refusals.is_well(at(33_000)), Some(Word::Over(1)));
    }
}
