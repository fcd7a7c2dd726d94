//! Histories: what clients did to one key, what they saw, and whether that can be.
//!
//! Each put writes a value of its own, so what a read saw names the write that it saw. A read that began after a write was
//! acknowledged must not see what was over before that write began: then the write was lost, or a deleted key came
//! back. Whatever overlaps may be in any order.

use std::collections::BTreeMap;
use std::time::Duration;

use chord_kv::replication::SOON;

use crate::world::Time;

/// Two operations that are no further apart count as overlapping: a version has no finer time.
pub(super) const TIE: Duration = Duration::from_millis(2);

/// How long after a write was acknowledged by some members of a quiet group all of them have made it durable, or their owner
/// knows that they have not: a disk takes 0.6 s at most, and a request 0.5 s.
const COPIED_WITHIN: Duration = Duration::from_secs(3);

/// One change of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deed {
    /// What it wrote, or added; `None` deletes.
    pub value: Option<String>,
    /// When it began.
    pub began: Time,
    /// When it was acknowledged, or given up.
    pub ended: Time,
    /// Whether it was acknowledged. One that was not may have taken effect.
    pub is_acknowledged: bool,
    /// How many copies of it were durable then.
    pub copies: usize,
    /// When what it wrote goes by itself.
    pub expiry: Option<Lapse>,
    /// When the first read that saw it had ended: it has taken effect by then.
    pub seen_at: Option<Time>,
    /// Since when it may be gone: as many processes as had made it durable have ended at once.
    pub in_doubt_since: Option<Time>,
}

/// When a key goes by itself: no earlier and no later, by clocks that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lapse {
    /// It is there before this.
    pub earliest: Time,
    /// It is not there after this.
    pub latest: Time,
}

/// Processes that ended at one instant, with what only they had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When.
    pub at: Time,
    /// How many.
    pub processes: usize,
}

impl Deed {
    /// When it is known to have taken effect, if it is.
    pub(super) fn known_by(&self) -> Option<Time> {
        let acknowledged_at = self.is_acknowledged.then_some(self.ended);
        acknowledged_at.into_iter().chain(self.seen_at).min()
    }

    /// Whether a read must see what it did, or something later.
    pub(super) fn binds(&self, saw: &Saw) -> bool {
        self.known_by().is_some_and(|at| at.after(TIE) < saw.began)
            && self.in_doubt_since.is_none_or(|since| saw.ended < since)
    }

    /// Whether it is sure to have taken effect and to stay.
    pub(super) fn is_firm(&self) -> bool {
        self.is_acknowledged && self.in_doubt_since.is_none()
    }

    /// A read saw it.
    pub(super) fn seen_by(&mut self, saw: &Saw) {
        self.seen_at = Some(self.seen_at.map_or(saw.ended, |at| at.min(saw.ended)));
    }

    /// Doubts it, if as many processes have ended as had it before the others could have it too.
    pub(super) fn doubt(&mut self, losses: &[Loss]) {
        let alone_until = self.known_by().unwrap_or(self.ended).after(COPIED_WITHIN);
        let takes_it =
            |loss: &&Loss| loss.processes >= self.copies && (self.began..=alone_until).contains(&loss.at);
        self.in_doubt_since = losses.iter().filter(takes_it).map(|loss| loss.at).min();
    }

    fn may_be_over(&self, at: Time) -> bool {
        self.expiry.is_some_and(|expiry| expiry.earliest <= at.after(TIE))
    }

    fn is_over(&self, at: Time) -> bool {
        self.expiry.is_some_and(|expiry| expiry.latest.after(TIE) < at)
    }
}

/// What a read saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saw {
    /// What was there.
    pub value: Option<String>,
    /// When the read began.
    pub began: Time,
    /// When it ended.
    pub ended: Time,
}

/// What was done to one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The writes that may have taken effect.
    pub deeds: Vec<Deed>,
    /// Whether a write that was given up may take effect at any later time, over later ones: versions are not made by
    /// clocks that agree.
    pub is_open_ended: bool,
}

impl History {
    /// Why a read cannot have seen that, if it cannot.
    ///
    /// # Errors
    /// One sentence.
    pub fn judge(&self, saw: &Saw) -> Result<(), String> {
        let is_source = |deed: &&Deed| {
            let shows = deed.value == saw.value && !deed.is_over(saw.began);
            let has_gone = saw.value.is_none() && deed.may_be_over(saw.ended);
            deed.began <= saw.ended && (shows || has_gone)
        };
        let mut lost = match (&saw.value, self.lost_before(None, saw)) {
            (None, None) => return Ok(()), // The key was never there, or nothing was acknowledged yet.
            (None, lost) => lost,
            (Some(_), _) => None,
        };
        for source in self.deeds.iter().filter(is_source) {
            lost = self.lost_before(Some(source), saw);
            if lost.is_none() {
                return Ok(());
            }
        }
        let what = saw.value.as_deref().unwrap_or("nothing");
        match lost {
            Some(lost) => Err(format!(
                "a read from {} to {} s saw {what}, but {} was written from {} to {} s and {}",
                saw.began,
                saw.ended,
                lost.value.as_deref().unwrap_or("a deletion"),
                lost.began,
                lost.ended,
                if lost.is_acknowledged { "acknowledged" } else { "seen by an earlier read" }
            )),
            None if self.deeds.iter().any(|deed| deed.value == saw.value && deed.is_over(saw.began)) => {
                Err(format!("a read from {} s saw {what}, which had expired", saw.began))
            }
            None => Err(format!("a read from {} s saw {what}, which nobody wrote", saw.began)),
        }
    }

    /// Why a value cannot have been read, then another one, then that value again: each write takes effect once.
    ///
    /// # Errors
    /// One sentence.
    pub fn judge_order(&self, saws: &[Saw]) -> Result<(), String> {
        let is_shaky = |value: &Option<String>| {
            let mut writes = self.deeds.iter().filter(|deed| deed.value == *value);
            writes.any(|deed| deed.in_doubt_since.is_some())
        };
        let mut spans: BTreeMap<&str, (Time, Time)> = BTreeMap::new();
        for saw in saws {
            let Some(value) = &saw.value else { continue };
            let span = spans.entry(value).or_insert((saw.ended, saw.began));
            *span = (span.0.min(saw.ended), span.1.max(saw.began));
        }
        // By clocks that differ, a key may go and be back: a lapse is judged on its own.
        let lapses = |value: &str| {
            self.deeds.iter().any(|deed| deed.value.as_deref() == Some(value) && deed.expiry.is_some())
        };
        for (value, (first, last)) in spans {
            let between = saws.iter().find(|saw| {
                saw.value.as_deref() != Some(value)
                    && first.after(TIE) < saw.began
                    && saw.ended.after(TIE) < last
            });
            let Some(other) = between else { continue };
            if !lapses(value) && !is_shaky(&Some(value.to_owned())) && !is_shaky(&other.value) {
                let what = other.value.as_deref().unwrap_or("nothing");
                return Err(format!(
                    "{value} was read by {first} s, then {what}, and {value} again at {last} s"
                ));
            }
        }
        Ok(())
    }

    /// A write that must show and came after a source, the beginning if there is none, and before a read.
    fn lost_before(&self, source: Option<&Deed>, saw: &Saw) -> Option<&Deed> {
        let over_at = match source {
            None => Time::ZERO,
            Some(deed) if deed.is_acknowledged && (deed.is_firm() || !self.is_open_ended) => {
                deed.ended.after(TIE)
            }
            // Its last attempt may still be under way, and be one that the owner makes a version for.
            Some(deed) if !self.is_open_ended => deed.ended.after(SOON).after(TIE),
            Some(_) => return None,
        };
        let is_lost = |deed: &&Deed| {
            let is_later = source.is_none() || deed.began > over_at;
            let has_gone = saw.value.is_none() && deed.may_be_over(saw.ended);
            deed.binds(saw) && is_later && !has_gone && deed.value != saw.value
        };
        self.deeds.iter().filter(is_lost).max_by_key(|deed| deed.began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO.after(Duration::from_secs(seconds))
    }

    fn deed(value: Option<&str>, began: u64, ended: u64, is_acknowledged: bool) -> Deed {
        let value = value.map(str::to_owned);
        Deed { value, began: at(began), ended: at(ended), is_acknowledged, copies: 2, ..Deed::default() }
    }

    fn saw(value: Option<&str>, began: u64) -> Saw {
        Saw { value: value.map(str::to_owned), began: at(began), ended: at(began + 1) }
    }

    fn judge(deeds: &[Deed], value: Option<&str>, began: u64) -> Result<(), String> {
        let history = History { deeds: deeds.to_vec(), is_open_ended: false };
        history.judge(&saw(value, began))
    }

    #[test]
    fn a_read_sees_the_last_acknowledged_write() {
        let deeds = [deed(Some("a"), 1, 2, true), deed(Some("b"), 3, 4, true)];
        assert_eq!(judge(&deeds, Some("b"), 5), Ok(()));
        assert!(judge(&deeds, Some("a"), 5).unwrap_err().contains("b was written"));
        assert!(judge(&deeds, None, 5).is_err());
        assert!(judge(&deeds, Some("c"), 5).unwrap_err().contains("nobody wrote"));
    }

    #[test]
    fn writes_that_overlap_may_be_in_any_order() {
        let deeds = [deed(Some("a"), 1, 4, true), deed(Some("b"), 2, 3, true)];
        assert_eq!(judge(&deeds, Some("a"), 5), Ok(()));
        assert_eq!(judge(&deeds, Some("b"), 5), Ok(()));
        assert!(judge(&deeds, None, 5).is_err());
    }

    #[test]
    fn a_read_that_overlaps_a_write_sees_it_or_not() {
        let deeds = [deed(Some("a"), 1, 2, true), deed(Some("b"), 5, 7, true)];
        assert_eq!(judge(&deeds, Some("a"), 6), Ok(()));
        assert_eq!(judge(&deeds, Some("b"), 6), Ok(()));
    }

    #[test]
    fn a_write_that_was_given_up_takes_effect_or_not() {
        let deeds = [deed(Some("a"), 1, 2, true), deed(Some("b"), 3, 4, false)];
        assert_eq!(judge(&deeds, Some("a"), 9), Ok(()));
        assert_eq!(judge(&deeds, Some("b"), 9), Ok(()));
        let later = |began| [deeds[1].clone(), deed(Some("c"), began, 7, true)];
        assert!(judge(&later(6), Some("b"), 9).is_err(), "it was over before c began");
        assert_eq!(judge(&later(5), Some("b"), 9), Ok(()), "it may have come late");
    }

    #[test]
    fn a_deleted_key_does_not_come_back() {
        let deeds = [deed(Some("a"), 1, 2, true), deed(None, 3, 4, true)];
        assert_eq!(judge(&deeds, None, 5), Ok(()));
        assert!(judge(&deeds, Some("a"), 5).unwrap_err().contains("a deletion"));
        let again = [deeds[0].clone(), deeds[1].clone(), deed(Some("b"), 6, 7, true)];
        assert!(judge(&again, None, 8).is_err());
    }

    #[test]
    fn nothing_is_there_before_anything_was_written() {
        assert_eq!(judge(&[], None, 1), Ok(()));
        assert_eq!(judge(&[deed(Some("a"), 3, 4, false)], None, 9), Ok(()));
    }

    #[test]
    fn a_write_that_a_read_has_seen_stays_though_it_was_given_up() {
        let mut given_up = deed(Some("b"), 3, 4, false);
        given_up.seen_by(&saw(Some("b"), 5));
        let deeds = [deed(Some("a"), 1, 2, true), given_up];
        assert!(judge(&deeds, Some("a"), 7).unwrap_err().contains("seen by an earlier read"));
        assert_eq!(judge(&deeds, Some("a"), 4), Ok(()), "it did not begin after that read");
    }

    #[test]
    fn of_two_writes_that_overlap_the_one_that_went_does_not_come_back() {
        let deeds = vec![deed(Some("a"), 1, 9, true), deed(Some("b"), 1, 9, true)];
        let history = History { deeds, is_open_ended: false };
        let order = |values: [&str; 3]| {
            let reads = values.iter().zip([10, 12, 14]).map(|(value, began)| saw(Some(value), began));
            let saws: Vec<Saw> = reads.collect();
            history.judge_order(&saws)
        };
        assert_eq!(order(["a", "b", "b"]), Ok(()));
        assert!(order(["a", "b", "a"]).unwrap_err().contains("again"));
    }

    #[test]
    fn a_key_is_there_until_it_expires_and_not_after() {
        let mut mortal = deed(Some("b"), 3, 4, true);
        mortal.expiry = Some(Lapse { earliest: at(10), latest: at(12) });
        let deeds = [deed(Some("a"), 1, 2, true), mortal];
        assert_eq!(judge(&deeds, Some("b"), 8), Ok(()));
        assert!(judge(&deeds, None, 8).is_err(), "it is too early");
        assert_eq!(judge(&deeds, None, 11), Ok(()));
        assert_eq!(judge(&deeds, Some("b"), 12), Ok(()));
        assert!(judge(&deeds, Some("b"), 13).unwrap_err().contains("expired"));
        assert!(judge(&deeds, Some("a"), 13).is_err(), "what was before does not come back");
        let again = [deeds[1].clone(), deed(Some("c"), 5, 6, true)];
        assert!(judge(&again, None, 13).is_err(), "something later was written");
    }

    #[test]
    fn a_write_may_be_gone_when_as_many_processes_end_as_had_it() {
        let mut alone = deed(Some("b"), 3, 4, true);
        alone.doubt(&[Loss { at: at(5), processes: 1 }]);
        assert_eq!(alone.in_doubt_since, None, "another process has it");
        alone.doubt(&[Loss { at: at(8), processes: 2 }]);
        assert_eq!(alone.in_doubt_since, None, "by then all have it");
        alone.doubt(&[Loss { at: at(6), processes: 2 }]);
        let deeds = [deed(Some("a"), 1, 2, true), alone];
        assert!(judge(&deeds, Some("a"), 4 + 1).is_ok(), "it ended after that");
        assert_eq!(judge(&deeds, Some("a"), 9), Ok(()));
        assert_eq!(judge(&deeds, Some("b"), 9), Ok(()));
    }
}
