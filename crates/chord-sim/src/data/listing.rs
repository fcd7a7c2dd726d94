//! Lists that only grow, by appends or by changes of the version that was read: whether what was read of one can be.
//!
//! Each item is added by one change, so a list says which changes took effect, and in which order.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Deed, Saw, TIE};
use crate::world::Time;

/// What was added to one list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The changes that may have taken effect; the value of each is its item.
    pub deeds: Vec<Deed>,
}

impl Listing {
    /// Why a read cannot have seen that, whatever was lost: nothing is there that nobody added, and nothing twice.
    ///
    /// # Errors
    /// One sentence.
    pub fn judge_items(&self, saw: &Saw) -> Result<(), String> {
        let added: BTreeMap<&str, &Deed> =
            self.deeds.iter().filter_map(|deed| Some((deed.value.as_deref()?, deed))).collect();
        let mut before = BTreeSet::new();
        for item in items(saw) {
            if added.get(item).is_none_or(|deed| deed.began > saw.ended) {
                return Err(format!("a read from {} s saw {item}, which nobody had added", saw.began));
            }
            if !before.insert(item) {
                return Err(format!("a read from {} s saw {item} twice", saw.began));
            }
        }
        Ok(())
    }

    /// Why it cannot, where nothing is lost: everything is there that was acknowledged before, or seen, in an order that
    /// it can have come in.
    ///
    /// # Errors
    /// One sentence.
    pub fn judge_whole(&self, saw: &Saw) -> Result<(), String> {
        let seen: BTreeSet<&str> = items(saw).collect();
        let is_missing =
            |deed: &&Deed| deed.binds(saw) && deed.value.as_deref().is_some_and(|item| !seen.contains(item));
        if let Some(lost) = self.deeds.iter().find(is_missing) {
            let item = lost.value.as_deref().unwrap_or_default();
            return Err(format!(
                "a read from {} s did not see {item}, added from {} to {} s",
                saw.began, lost.began, lost.ended
            ));
        }
        let added: BTreeMap<&str, &Deed> =
            self.deeds.iter().filter_map(|deed| Some((deed.value.as_deref()?, deed))).collect();
        let mut latest = Time::ZERO;
        for deed in items(saw).filter_map(|item| added.get(item)) {
            if deed.known_by().is_some_and(|at| at.after(TIE) < latest) {
                let item = deed.value.as_deref().unwrap_or_default();
                return Err(format!(
                    "{item}, there by {} s, comes after what began at {latest} s",
                    deed.ended
                ));
            }
            latest = latest.max(deed.began);
        }
        Ok(())
    }

    /// Why two reads cannot both be: one of them has seen the beginning of what the other has.
    ///
    /// # Errors
    /// One sentence.
    pub fn judge_together(&self, saws: &[Saw]) -> Result<(), String> {
        if self.deeds.iter().any(|deed| deed.in_doubt_since.is_some()) {
            return Ok(()); // What came after the end that was lost stands in its place.
        }
        let mut texts: Vec<&str> = saws.iter().map(|saw| saw.value.as_deref().unwrap_or_default()).collect();
        texts.sort_unstable_by_key(|text| text.len());
        match texts.windows(2).find(|pair| !pair[1].starts_with(pair[0])) {
            Some(pair) => Err(format!("one read saw {:?}, another one {:?}", pair[0], pair[1])),
            None => Ok(()),
        }
    }
}

/// What a read saw in a list, in order.
pub(super) fn items(saw: &Saw) -> impl Iterator<Item = &str> {
    saw.value.as_deref().unwrap_or_default().split_whitespace()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO.after(Duration::from_secs(seconds))
    }

    fn listing() -> Listing {
        let deed = |item: &str, began, is_acknowledged| Deed {
            value: Some(item.to_owned()),
            began: at(began),
            ended: at(began + 1),
            is_acknowledged,
            copies: 2,
            ..Deed::default()
        };
        Listing { deeds: vec![deed("a", 1, true), deed("b", 3, false), deed("c", 5, true)] }
    }

    fn saw(list: &str, began: u64) -> Saw {
        Saw { value: Some(list.to_owned()), began: at(began), ended: at(began + 1) }
    }

    #[test]
    fn each_acknowledged_item_is_there_and_each_unknown_one_may_be() {
        let listing = listing();
        for list in ["a c ", "a b c "] {
            assert_eq!(listing.judge_items(&saw(list, 9)), Ok(()));
            assert_eq!(listing.judge_whole(&saw(list, 9)), Ok(()));
        }
        assert!(listing.judge_whole(&saw("a b ", 9)).unwrap_err().contains("did not see c"));
        assert_eq!(listing.judge_whole(&saw("a b ", 5)), Ok(()), "c was under way");
    }

    #[test]
    fn no_item_is_there_twice_or_before_it_was_added() {
        assert!(listing().judge_items(&saw("a c a ", 9)).unwrap_err().contains("twice"));
        assert!(listing().judge_items(&saw("a c ", 2)).unwrap_err().contains("nobody"));
        assert!(listing().judge_items(&saw("d ", 9)).unwrap_err().contains("nobody"));
    }

    #[test]
    fn items_come_in_the_order_in_which_they_were_added_one_after_the_other() {
        assert!(listing().judge_whole(&saw("c a ", 9)).unwrap_err().contains("comes after"));
        assert_eq!(listing().judge_whole(&saw("a c b ", 9)), Ok(()), "b was given up and may come late");
    }

    #[test]
    fn of_two_reads_one_saw_the_beginning_of_what_the_other_did() {
        assert_eq!(listing().judge_together(&[saw("a b c ", 9), saw("", 1), saw("a b ", 4)]), Ok(()));
        assert!(listing().judge_together(&[saw("a b ", 4), saw("a c ", 9)]).is_err());
    }
}
