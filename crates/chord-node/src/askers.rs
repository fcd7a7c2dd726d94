//! Who knows of this node, though this node need not know of them: whoever has its name asks it every few seconds whom it
//! knows.

use std::collections::VecDeque;

use chord_ring::NodeName;
use tokio::time::Instant;

use crate::pacing::Pacing;

/// How many are kept in mind: more than there are nodes in a ring where each was told to join through the same one. Of the
/// others, who have asked longest ago are forgotten, which costs them a wait when their ring is started again.
pub(crate) const ASKERS_MAX: usize = 128;

/// Those who have asked.
#[derive(Debug, Default)]
pub(crate) struct Askers {
    /// The latest first.
    names: VecDeque<NodeName>,
    /// How fast the node looks who follows it because somebody asked.
    pacing: Pacing,
    /// How fast it hears who comes before it from others than those themselves.
    hearsay: Pacing,
}

impl Askers {
    /// It has asked, or somebody in its name.
    pub(crate) fn note(&mut self, name: &NodeName) {
        if self.names.front() == Some(name) {
            return;
        }
        self.names.retain(|known| known != name);
        self.names.push_front(name.clone());
        self.names.truncate(ASKERS_MAX);
    }

    /// Whether the node may look now who follows it, since somebody asked.
    pub(crate) fn may_look(&self) -> bool {
        self.pacing.may_ask(Instant::now())
    }

    /// Whether the node may hear now, from somebody else, who comes before it.
    pub(crate) fn may_hear(&self) -> bool {
        self.hearsay.may_ask(Instant::now())
    }

    /// Their names, the latest first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &NodeName> {
        self.names.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_again_is_named_once_and_beyond_the_limit_who_asked_longest_ago_is_forgotten() {
        let name = |number: usize| -> NodeName { format!("host{number}:1").parse().unwrap() };
        let mut askers = Askers::default();
        (0..ASKERS_MAX).for_each(|number| askers.note(&name(number)));
        askers.note(&name(0));
        assert_eq!((askers.names().count(), askers.names().next()), (ASKERS_MAX, Some(&name(0))));
        askers.note(&name(ASKERS_MAX));
        assert_eq!(askers.names().count(), ASKERS_MAX);
        assert!(askers.names().all(|known| *known != name(1)));
    }
}
