//! Adopting: records that come from nodes of another program, which knows no versions.

use chord_ring::Token;

use super::operation::{OperationError, Outcome};
use super::{Replicator, UNDURABLE_MAX, Undurable, repair};
use crate::{Key, Record, Value, Version};

impl Replicator {
    /// A node of another program leaves a record here: it goes, or this one has come to own the key. Nobody knows how old
    /// the record is, so it is stored only where nothing is that has a time.
    pub(super) fn adopt(&mut self, token: Token, key: Key, value: Value) {
        match self.try_adopt(key, value) {
            // The answer says that it is durable.
            Ok(outcome) if self.undurable.len() < UNDURABLE_MAX => {
                self.undurable.push_back((self.applied, token, Undurable::Adopted(Box::new(outcome))));
            }
            Ok(_) => self.done(token, Err(OperationError::Busy)),
            Err(error) => self.done(token, Err(error)),
        }
    }

    fn try_adopt(&mut self, key: Key, value: Value) -> Result<Outcome, OperationError> {
        if !self.neighbours.is_member {
            return Err(OperationError::NotOwner);
        }
        if self.leaving.is_some() {
            return Err(OperationError::Busy); // It would end with this node.
        }
        let position = key.position(self.settings.size);
        let stored = self.store.read(position, &key)?.map(|stored| stored.version);
        let version = Version::of_unknown_age(stored.as_ref(), self.me.position);
        let record = Record { position, key, value: Some(value), version, expires_at_ms: None };
        let applied = self.store.apply_one(&record)?;
        self.applied = self.applied.max(applied.sequence);
        if self.tenure.answers_for(position) {
            self.note_changes_found(std::slice::from_ref(&record));
            for member in &mut self.group.members {
                self.outboxes.add(&member.peer, record.clone());
                member.is_behind = true;
                member.due_at = member.due_at.min(self.now.elapsed + repair::RETRY_PAUSE);
            }
        } else {
            self.hasten_sweep();
        }
        Ok(Outcome { record: Some(record), copies: 1, ..Outcome::default() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use chord_ring::{Peer, RingSize};

    use super::super::{
        AnswerBody, Consistency, Input, Neighbours, Now, Operation, Output, PeerAnswer, PeerRequest,
        Proposal, RequestId, Settings,
    };
    use super::*;
    use crate::{MemoryStore, Store};

    const SIZE: RingSize = RingSize::DEFAULT;
    const NOW: Now = Now { elapsed: Duration::ZERO, wall_ms: 1_000_000 };

    fn value(text: &str) -> Value {
        Value::new(text.as_bytes(), 100).unwrap()
    }

    fn peer(name: &str) -> Peer {
        Peer::of_name(name.parse().unwrap(), SIZE)
    }

    /// A node between these.
    fn node(successors: &[Peer], predecessor: Option<Peer>) -> (Replicator, Arc<MemoryStore>) {
        let store = Arc::new(MemoryStore::new(SIZE, 1 << 20));
        let mut node = Replicator::new(peer("me:1"), Settings::new(SIZE), store.clone(), NOW);
        let successors = successors.to_vec();
        node.handle(NOW, Input::Neighbours(Neighbours { is_member: true, predecessor, successors }));
        while node.poll().is_some() {}
        (node, store)
    }

    fn outputs(node: &mut Replicator, input: Input) -> Vec<Output> {
        node.handle(NOW, input);
        std::iter::from_fn(|| node.poll()).collect()
    }

    fn adopt(key: &str, text: &str) -> Input {
        Input::Adopt { token: Token(7), key: Key::new(key.as_bytes()).unwrap(), value: value(text) }
    }

    fn stored(store: &MemoryStore, key: &str) -> Option<Value> {
        let key = Key::new(key.as_bytes()).unwrap();
        store.read(key.position(SIZE), &key).unwrap().and_then(|record| record.value)
    }

    #[test]
    fn a_record_of_unknown_age_counts_only_where_nothing_else_is() {
        let (mut node, store) = node(&[], None);
        for text in ["first", "second"] {
            outputs(&mut node, adopt("given", text));
            assert_eq!(stored(&store, "given"), Some(value(text)), "a later one is the newer one");
        }
        let (key, operation) = (Key::new(b"written").unwrap(), Operation::put(value("written")));
        let (proposal, consistency) = (Proposal::LeftToOwner, Consistency::Usual);
        let until = Duration::from_secs(1);
        let (token, position) = (Token(8), key.position(SIZE));
        outputs(&mut node, Input::Operate { token, key, position, operation, proposal, consistency, until });
        let outputs = outputs(&mut node, adopt("written", "old copy"));
        assert!(
            matches!(outputs[..], [Output::Done(Token(7), Ok(_))]),
            "its sender is done with it: {outputs:?}"
        );
        assert_eq!(stored(&store, "written"), Some(value("written")));
    }

    #[test]
    fn a_node_that_leaves_or_is_in_no_ring_takes_nothing() {
        let (mut node, _) = node(&[], None);
        node.handle(NOW, Input::Neighbours(Neighbours::default()));
        let refused = outputs(&mut node, adopt("given", "value"));
        assert_eq!(refused, [Output::Done(Token(7), Err(OperationError::NotOwner))]);
        let (mut node, store) = self::node(&[peer("next:1")], None);
        outputs(&mut node, Input::Leave);
        let refused = outputs(&mut node, adopt("given", "value"));
        assert_eq!(refused, [Output::Done(Token(7), Err(OperationError::Busy))]);
        assert_eq!(stored(&store, "given"), None);
    }

    #[test]
    fn the_owner_copies_what_it_adopts() {
        let before = peer("before:1");
        let (mut node, _) = node(std::slice::from_ref(&before), Some(before.clone()));
        // The one request under way is the first: whether the predecessor vouches.
        let vouched = PeerAnswer { leaving: false, body: AnswerBody::Vouched(true) };
        outputs(&mut node, Input::Answer(RequestId(1), Ok(vouched)));
        let mut keys = (0..).map(|idx| format!("key{idx}"));
        let is_own = |key: &String| node.answers_for(SIZE.position_of(key.as_bytes()));
        let key = keys.find(is_own).unwrap();
        let sent = outputs(&mut node, adopt(&key, "value"));
        let is_copy = |output: &Output| matches!(output, Output::Send(_, to, PeerRequest::Store { .. }) if *to == before);
        assert!(sent.iter().any(is_copy), "{sent:?}");
    }
}
