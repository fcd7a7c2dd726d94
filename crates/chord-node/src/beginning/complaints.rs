//! What is said of contacts that do not let a node in: each at once when its reason changes, and ever more seldom while it does
//! not.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chord_ring::{CommandError, NodeName};

/// Pause before the same is said again of a contact, at first and at most: a log of a day has some three hundred lines of each.
const SAID_AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(5 * 60));

/// What was said last, of each contact.
#[derive(Default)]
pub(super) struct Complaints(BTreeMap<NodeName, Said>);

struct Said {
    error: CommandError,
    again_at: Instant,
    pause: Duration,
}

impl Complaints {
    /// Whether this is to be said now. Counts as said then.
    pub(super) fn is_due(&mut self, contact: &NodeName, error: &CommandError, now: Instant) -> bool {
        let (pause, pause_max) = SAID_AGAIN;
        let pause = match self.0.get(contact).filter(|said| said.error == *error) {
            Some(said) if now < said.again_at => return false,
            Some(said) => (said.pause * 2).min(pause_max),
            None => pause,
        };
        let said = Said { error: error.clone(), again_at: now + pause, pause };
        self.0.insert(contact.clone(), said);
        true
    }
}

#[cfg(test)]
mod tests {
    use chord_ring::{Failure, JoinError};

    use super::*;

    fn failed(contact: &NodeName, failure: Failure) -> CommandError {
        JoinError::Contact { contact: contact.clone(), failure }.into()
    }

    #[test]
    fn the_same_is_said_ever_more_seldom_and_something_else_at_once() {
        let (contact, other): (NodeName, NodeName) = ("host1:1".parse().unwrap(), "host2:1".parse().unwrap());
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut complaints = Complaints::default();
        let unreachable = failed(&contact, Failure::Unreachable);
        let said: Vec<u64> =
            (0..2000).filter(|now| complaints.is_due(&contact, &unreachable, at(*now))).collect();
        assert_eq!(said, [0, 5, 15, 35, 75, 155, 315, 615, 915, 1215, 1515, 1815]);
        assert!(complaints.is_due(&other, &failed(&other, Failure::Unreachable), at(2000)));
        assert!(complaints.is_due(&contact, &failed(&contact, Failure::Silent), at(2000)));
        assert!(complaints.is_due(&contact, &unreachable, at(2001)), "as it was before is another reason");
        assert!(!complaints.is_due(&contact, &unreachable, at(2005)));
        assert!(complaints.is_due(&contact, &unreachable, at(2006)), "as after the first time");
    }
}
