//! Who has left, by its own word, and is not back yet.

use std::collections::VecDeque;
use std::time::Instant;

use chord_disk::PEERS_MAX;
use chord_ring::NodeName;

/// Whose departure is kept in mind, at most: as many as have their names written down, from which these are left out.
const DEPARTED_MAX: usize = PEERS_MAX;

/// Those who have left, the latest first.
#[derive(Debug, Default)]
pub(crate) struct Departed(VecDeque<(NodeName, Word, Instant)>);

/// What it has said. The greater word stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    /// That it is no member. So does one that has crashed and is on its way back.
    NoMember,
    /// That it leaves, and then that it is no member.
    Farewell,
}

impl Departed {
    /// It has said farewell, and asked again, that it is no member.
    pub(crate) fn said_farewell(&mut self, name: &NodeName) {
        self.note(name, Word::Farewell);
    }

    /// It has said that it is no member.
    pub(crate) fn is_no_member(&mut self, name: &NodeName) {
        self.note(name, Word::NoMember);
    }

    /// It is in a ring again.
    pub(crate) fn is_back(&mut self, name: &NodeName) {
        self.0.retain(|(departed, ..)| departed != name);
    }

    /// Whether it left in good order: it has handed over what it had, and nobody need wait for it.
    pub(crate) fn has_left(&self, name: &NodeName) -> bool {
        self.word_of(name) == Some(Word::Farewell)
    }

    /// When it said farewell, the last time, if it left in good order.
    pub(crate) fn left_at(&self, name: &NodeName) -> Option<Instant> {
        let said = self.0.iter().find(|(departed, word, _)| departed == name && *word == Word::Farewell);
        said.map(|(.., at)| *at)
    }

    /// Those that left in good order, the latest first.
    pub(crate) fn those_who_left(&self) -> impl Iterator<Item = &NodeName> {
        self.0.iter().filter(|(_, word, _)| *word == Word::Farewell).map(|(name, ..)| name)
    }

    /// Whether it is in no ring, whatever it is about to do.
    pub(crate) fn is_out(&self, name: &NodeName) -> bool {
        self.word_of(name).is_some()
    }

    fn word_of(&self, name: &NodeName) -> Option<Word> {
        self.0.iter().find(|(departed, ..)| departed == name).map(|(_, word, _)| *word)
    }

    fn note(&mut self, name: &NodeName, word: Word) {
        let before = self.word_of(name);
        // What it says after its farewell is no later one.
        let at = self.left_at(name).filter(|_| word == Word::NoMember).unwrap_or_else(Instant::now);
        self.is_back(name);
        self.0.push_front((name.clone(), before.map_or(word, |before| before.max(word)), at));
        self.0.truncate(DEPARTED_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> NodeName {
        format!("host{number}:1").parse().unwrap()
    }

    #[test]
    fn one_that_only_says_that_it_is_no_member_may_have_crashed_and_has_not_left() {
        let mut departed = Departed::default();
        departed.is_no_member(&name(1));
        assert!(departed.is_out(&name(1)) && !departed.has_left(&name(1)));
        departed.said_farewell(&name(1));
        departed.is_no_member(&name(1));
        assert!(departed.has_left(&name(1)), "a farewell stands");
        assert!(!departed.is_out(&name(2)));
    }

    #[test]
    fn it_left_when_it_said_its_last_farewell() {
        let mut departed = Departed::default();
        departed.is_no_member(&name(1));
        assert_eq!(departed.left_at(&name(1)), None);
        departed.said_farewell(&name(1));
        let first = departed.left_at(&name(1)).unwrap();
        departed.is_no_member(&name(1));
        assert_eq!(departed.left_at(&name(1)), Some(first));
        departed.said_farewell(&name(1));
        assert!(departed.left_at(&name(1)).unwrap() > first);
    }

    #[test]
    fn one_that_is_back_has_not_left() {
        let mut departed = Departed::default();
        departed.said_farewell(&name(1));
        departed.is_back(&name(1));
        departed.is_no_member(&name(1));
        assert!(!departed.has_left(&name(1)));
    }

    #[test]
    fn beyond_the_limit_whoever_left_first_is_forgotten() {
        let mut departed = Departed::default();
        (0..=DEPARTED_MAX).for_each(|number| departed.said_farewell(&name(number)));
        assert!(!departed.has_left(&name(0)));
        assert!(departed.has_left(&name(1)) && departed.has_left(&name(DEPARTED_MAX)));
    }
}
