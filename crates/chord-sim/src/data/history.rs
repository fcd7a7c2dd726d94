//! Histories: what clients did to one key, what they saw, and whether that can be.
//!
//! Each put writes a value of its own, so what a read saw names the write that it saw. A read that began after a write was
//! acknowledged must not see what was over before that write began: then the write was lost, or a deleted key came
//! back. Whatever overlaps may be in any order.

use std::time::Duration;

use crate::world::Time;

/// Two operations that are no further apart count as overlapping: a version has no finer time.
const TIE: Duration = Duration::from_millis(2);

/// One write to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// What it wrote; `None` deletes.
    pub value: Option<String>,
    /// When it began.
    pub began: Time,
    /// When it was acknowledged, or given up.
    pub ended: Time,
    /// Whether it was acknowledged. One that was not may have taken effect.
    pub is_acknowledged: bool,
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
        let sources = self.deeds.iter().filter(|deed| deed.value == saw.value && deed.began <= saw.ended);
        let mut lost = match (&saw.value, self.lost_before(None, saw)) {
            (None, None) => return Ok(()), // The key was never there, or nothing was acknowledged yet.
            (None, lost) => lost,
            (Some(_), _) => None,
        };
        for source in sources {
            lost = self.lost_before(Some(source), saw);
            if lost.is_none() {
                return Ok(());
            }
        }
        let what = saw.value.as_deref().unwrap_or("nothing");
        match lost {
            Some(lost) => Err(format!(
                "a read from {} to {} s saw {what}, but {} was written from {} to {} s and acknowledged",
                saw.began,
                saw.ended,
                lost.value.as_deref().unwrap_or("a deletion"),
                lost.began,
                lost.ended
            )),
            None => Err(format!("a read from {} s saw {what}, which nobody wrote", saw.began)),
        }
    }

    /// An acknowledged write that came after a source, the beginning if there is none, and before a read.
    fn lost_before(&self, source: Option<&Deed>, saw: &Saw) -> Option<&Deed> {
        let over_at = match source {
            None => Time::ZERO,
            Some(deed) if deed.is_acknowledged || !self.is_open_ended => deed.ended.after(TIE),
            Some(_) => return None,
        };
        let is_lost = |deed: &&Deed| {
            let is_later = source.is_none() || deed.began > over_at;
            deed.is_acknowledged && is_later && deed.ended.after(TIE) < saw.began && deed.value != saw.value
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
        Deed { value: value.map(str::to_owned), began: at(began), ended: at(ended), is_acknowledged }
    }

    fn judge(deeds: &[Deed], value: Option<&str>, began: u64) -> Result<(), String> {
        let history = History { deeds: deeds.to_vec(), is_open_ended: false };
        history.judge(&Saw { value: value.map(str::to_owned), began: at(began), ended: at(began + 1) })
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
        let later = [deeds[1].clone(), deed(Some("c"), 6, 7, true)];
        assert!(judge(&later, Some("b"), 9).is_err(), "it was over before c began");
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
}
