//! Successor lists, as the seed writes them: round and round until there are m entries.

use std::fmt;

use chord_ring::{NodeName, RING_BITS_MAX};
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Most entries of a successor list that arrives: the seed sends one for each bit of the ring size.
pub const SUCCESSOR_LIST_MAX: usize = RING_BITS_MAX as usize;

/// The list that a seed node expects from `me`: `successors`, then `me`, then `successors` again and so on,
/// exactly `entries` of them.
pub fn fill_successor_list(me: &NodeName, successors: &[NodeName], entries: usize) -> Vec<NodeName> {
    successors.iter().take_while(|name| *name != me).chain([me]).cycle().take(entries).cloned().collect()
}

/// What a list says before it begins to repeat itself.
pub fn cut_at_repeat(mut names: Vec<NodeName>) -> Vec<NodeName> {
    let repeat =
        names.iter().enumerate().position(|(idx, name)| names.iter().take(idx).any(|old| old == name));
    names.truncate(repeat.unwrap_or(names.len()));
    names
}

/// The entries of a JSON array, unread; `None` if there are more than [`SUCCESSOR_LIST_MAX`].
pub(crate) fn entries(array: &str) -> Option<Vec<&RawValue>> {
    serde_json::Deserializer::from_str(array).deserialize_seq(Entries).ok()
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {SUCCESSOR_LIST_MAX} entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element()? {
            if entries.len() == SUCCESSOR_LIST_MAX {
                return Err(serde::de::Error::invalid_length(SUCCESSOR_LIST_MAX + 1, &self));
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(ports: &[u16]) -> Vec<NodeName> {
        ports.iter().map(|port| format!("h:{port}").parse().unwrap()).collect()
    }

    #[test]
    fn a_short_list_goes_round_until_it_has_all_entries() {
        let [me, ..] = &names(&[1])[..] else { unreachable!() };
        assert_eq!(fill_successor_list(me, &names(&[2, 3]), 7), names(&[2, 3, 1, 2, 3, 1, 2]));
        assert_eq!(fill_successor_list(me, &[], 3), names(&[1, 1, 1]));
        assert_eq!(fill_successor_list(me, &names(&[2, 3, 4]), 2), names(&[2, 3]));
        assert_eq!(fill_successor_list(me, &names(&[2, 1, 3]), 4), names(&[2, 1, 2, 1]));
        assert_eq!(fill_successor_list(me, &names(&[2]), 0), []);
    }

    #[test]
    fn a_list_is_cut_where_it_begins_to_repeat() {
        assert_eq!(cut_at_repeat(names(&[2, 3, 1, 2, 4])), names(&[2, 3, 1]));
        assert_eq!(cut_at_repeat(names(&[1, 1, 1])), names(&[1]));
        assert_eq!(cut_at_repeat(names(&[1, 2])), names(&[1, 2]));
    }
}
