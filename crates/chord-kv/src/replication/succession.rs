//! Succession: a newcomer asks the owner before it what it had, so that it need not ask everybody.
//!
//! The owner of a position changes in an order that all agree on (`tenure`). Where a node has come between another and its
//! predecessor, and both have stayed next to each other since, nobody has owned the newcomer's range between the two. So what
//! the owner before has, if it had everything until then, is everything that the newcomer may lack.

use std::time::Duration;

use chord_ring::{Failure, Peer, Position};

use super::holdings::is_within;
use super::message::{AnswerBody, PeerRequest, Standing};
use super::tenure::Epoch;
use super::walk::Sources;
use super::{Purpose, Replicator};
use crate::{Key, Range};

/// How often the owner before is asked, at most: it may not know the newcomer yet, or a question may be long on its way.
const ATTEMPTS_MAX: u8 = 5;

/// Pause before it is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// The asking.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Succession {
    n_asked: u8,
    is_asking: bool,
    due_at: Duration,
}

impl Replicator {
    /// Asks the successor, if it may be the owner before.
    pub(super) fn seek_succession(&mut self) {
        let Succession { n_asked, is_asking, due_at } = self.succession;
        let now = self.now.elapsed;
        let is_due = !is_asking && n_asked < ATTEMPTS_MAX && due_at <= now;
        if !is_due || !self.tenure.may_inherit() || self.tenure.yielded().is_some() {
            return;
        }
        let Some(successor) = self.neighbours.successors.first().cloned() else { return };
        self.succession = Succession { n_asked: n_asked + 1, is_asking: true, due_at: now + PAUSE };
        let member_for = now.saturating_sub(self.member_since);
        let purpose = Purpose::Succeed(self.tenure.epoch());
        self.send(&successor, PeerRequest::Succeed { member_for }, purpose);
    }

    pub(super) fn heard_yielded(&mut self, peer: &Peer, epoch: Epoch, answer: &Result<AnswerBody, Failure>) {
        self.succession.is_asking = false;
        if let Ok(AnswerBody::Yielded(Some(range))) = answer
            && self.neighbours.successors.contains(peer)
        {
            self.tenure.inherit(epoch, peer, *range);
        }
    }

    /// What one that is gone had, it takes with it.
    pub(super) fn keep_only_a_successors_word(&mut self) {
        let successors = &self.neighbours.successors;
        if self.tenure.yielded().is_some_and(|(from, _)| !successors.contains(from)) {
            self.tenure.disinherit();
        }
    }

    /// One that does not have everything any more is no better than others.
    pub(super) fn heard_standing(&mut self, peer: &Peer, standing: &Standing) {
        if !standing.is_settled && self.tenure.yielded().is_some_and(|(from, _)| from == peer) {
            self.tenure.disinherit();
        }
    }

    /// Who may have something of that range which this node lacks.
    pub(super) fn who_may_have_copies_of(&self, range: Range) -> Sources {
        self.sources_if(|yielded| is_within(range, yielded))
    }

    /// Who may have something at that position which this node lacks.
    pub(super) fn who_may_have_copies_at(&self, position: Position) -> Sources {
        self.sources_if(|yielded| yielded.contains(position))
    }

    fn sources_if(&self, is_about: impl FnOnce(Range) -> bool) -> Sources {
        match self.tenure.yielded().filter(|(_, range)| is_about(*range)) {
            Some((peer, _)) => Sources { listed: vec![peer.clone()], recalled: Vec::new() },
            None => self.who_may_have_copies(),
        }
    }

    /// Whether this node has the newest that there is under a key, if it may answer for it.
    pub(super) fn has_newest(&self, position: Position, key: &Key) -> bool {
        self.tenure.has_newest(position, key) || self.has_taken_over(position)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chord_ring::RingSize;

    use super::super::{
        Consistency, Input, Neighbours, Now, Operation, Output, PeerAnswer, Proposal, RequestId, Settings,
    };
    use super::*;
    use crate::{Digest, MemoryStore, Record, Value, Version};

    fn peer(at: u64) -> Peer {
        Peer { position: at.into(), name: format!("host{at}:1").parse().unwrap() }
    }

    fn range(after: u64, up_to: u64) -> Range {
        Range { after: after.into(), up_to: up_to.into() }
    }

    /// A node at 40 of a ring of 64 that has just joined between 20 and 50, with its questions that are open.
    struct Newcomer {
        node: Replicator,
        now_ms: u64,
        open: Vec<(RequestId, Peer, PeerRequest)>,
    }

    impl Newcomer {
        fn new() -> Self {
            let size = RingSize::new(6).unwrap();
            let now = Now { elapsed: Duration::ZERO, wall_ms: 1 };
            let store = Arc::new(MemoryStore::new(size, 1 << 20));
            let node = Replicator::new(peer(40), Settings::new(size), store, now);
            let mut newcomer = Self { node, now_ms: 1000, open: Vec::new() };
            newcomer.has_neighbours(20, &[50, 60, 20]);
            newcomer
        }

        fn feed(&mut self, input: Input) {
            let now = Now { elapsed: Duration::from_millis(self.now_ms), wall_ms: self.now_ms };
            self.node.handle(now, input);
            while let Some(output) = self.node.poll() {
                if let Output::Send(id, peer, request) = output {
                    self.open.push((id, peer, request));
                }
            }
        }

        fn has_neighbours(&mut self, predecessor: u64, successors: &[u64]) {
            let successors = successors.iter().map(|at| peer(*at)).collect();
            let predecessor = Some(peer(predecessor));
            self.feed(Input::Neighbours(Neighbours { is_member: true, predecessor, successors }));
        }

        /// Answers the one question of that kind that is open.
        fn is_told(&mut self, is_it: impl Fn(&PeerRequest) -> bool, body: AnswerBody) {
            let idx = self.open.iter().position(|(_, _, request)| is_it(request)).expect("it has asked");
            let (id, ..) = self.open.swap_remove(idx);
            self.feed(Input::Answer(id, Ok(PeerAnswer { leaving: false, body })));
        }

        fn is_vouched(&mut self) {
            self.is_told(|request| *request == PeerRequest::Vouch, AnswerBody::Vouched(true));
        }

        fn is_yielded(&mut self, range: Option<Range>) {
            self.is_told(
                |request| matches!(request, PeerRequest::Succeed { .. }),
                AnswerBody::Yielded(range),
            );
        }

        /// Whom it asks for a key that it owns, when somebody reads that.
        fn asks_for(&mut self, key: &Key) -> Vec<Peer> {
            let until = Duration::from_millis(self.now_ms + 1000);
            let (operation, consistency) = (Operation::Get, Consistency::Usual);
            let token = chord_ring::Token(1);
            let key = key.clone();
            let (proposal, key_asked) = (Proposal::LeftToOwner, key.clone());
            let position = key.position(RingSize::new(6).unwrap());
            self.feed(Input::Operate {
                token,
                key: key_asked,
                position,
                operation,
                proposal,
                consistency,
                until,
            });
            let about_it = |request: &PeerRequest| {
                let PeerRequest::Fetch { keys } = request else { return false };
                keys.iter().any(|(_, asked)| *asked == key)
            };
            let asked = self.open.iter().filter(|(_, _, request)| about_it(request));
            asked.map(|(_, peer, _)| peer.clone()).collect()
        }
    }

    /// Some keys whose positions lie in a range, in the order of the ring.
    fn keys_in(range: Range) -> Vec<Key> {
        let size = RingSize::new(6).unwrap();
        let keys = (0..=u8::MAX).map(|byte| Key::new(&[byte]).unwrap());
        let mut keys: Vec<Key> = keys.filter(|key| range.contains(key.position(size))).collect();
        keys.sort_by_key(|key| size.distance(range.after, key.position(size)));
        keys
    }

    #[test]
    fn a_newcomer_asks_the_owner_before_it_alone_if_that_yields() {
        let key = keys_in(range(20, 40)).remove(0);
        let (mut all, mut heir, mut partial) = (Newcomer::new(), Newcomer::new(), Newcomer::new());
        for newcomer in [&mut all, &mut heir, &mut partial] {
            newcomer.is_vouched();
        }
        all.is_yielded(None);
        assert_eq!(all.asks_for(&key), [peer(50), peer(60), peer(20)]);
        heir.is_yielded(Some(range(20, 40)));
        assert_eq!(heir.asks_for(&key), [peer(50)]);
        partial.is_yielded(Some(range(38, 40)));
        assert_eq!(partial.asks_for(&key), [peer(50), peer(60), peer(20)], "of the rest it knows nothing");
    }

    #[test]
    fn a_newcomer_asks_everybody_when_the_owner_before_it_is_gone_or_has_lost_something() {
        let keys = keys_in(range(20, 40));
        let mut newcomer = Newcomer::new();
        newcomer.is_vouched();
        newcomer.is_yielded(Some(range(20, 40)));
        newcomer.has_neighbours(20, &[60, 20]);
        assert_eq!(newcomer.asks_for(&keys[0]), [peer(60), peer(20)]);
        let mut newcomer = Newcomer::new();
        newcomer.is_vouched();
        newcomer.is_yielded(Some(range(20, 40)));
        assert_eq!(newcomer.asks_for(&keys[0]), [peer(50)]);
        let body = AnswerBody::Fetched { standing: Standing::default(), looked_at: 1, records: Vec::new() };
        newcomer.is_told(|request| matches!(request, PeerRequest::Fetch { .. }), body);
        assert_eq!(newcomer.asks_for(&keys[1]), [peer(50), peer(60), peer(20)]);
    }

    #[test]
    fn the_owner_before_is_asked_a_few_times_until_it_knows_the_newcomer() {
        let mut newcomer = Newcomer::new();
        newcomer.is_vouched();
        for _ in 0..ATTEMPTS_MAX {
            newcomer.is_yielded(None);
            newcomer.now_ms += 100;
            newcomer.feed(Input::Tick);
        }
        let asks = newcomer.open.iter().any(|(_, _, request)| matches!(request, PeerRequest::Succeed { .. }));
        assert!(!asks);
    }

    #[test]
    fn nobody_is_asked_for_what_the_owner_before_has_told_already() {
        let size = RingSize::new(6).unwrap();
        let keys = keys_in(range(20, 40));
        let (first, last) = (keys.first().unwrap(), keys.last().unwrap());
        let mut newcomer = Newcomer::new();
        newcomer.is_vouched();
        newcomer.is_yielded(Some(range(20, 40)));
        let standing = Standing { is_settled: true, beyond: Vec::new() };
        let parts = vec![Digest::EMPTY; super::super::sync::divide(range(20, 40), size).len() - 1];
        let theirs = Digest::from_bytes([1; 40]);
        let comparison = super::super::Comparison::Parts(parts.into_iter().chain([theirs]).collect());
        let compared = AnswerBody::Compared { standing, comparison };
        newcomer.is_told(|request| matches!(request, PeerRequest::Compare { .. }), compared);
        assert_eq!(newcomer.asks_for(first), [], "nothing is there");
        assert_eq!(newcomer.asks_for(last), [peer(50)], "its part differs");
        let value = Some(Value::new(b"value", 100).unwrap());
        let position = last.position(size);
        let version = Version::new(1, 0, position);
        let record = Record { position, key: last.clone(), value, version, expires_at_ms: None };
        let page = AnswerBody::Page { records: vec![record], next: None };
        newcomer.is_told(|request| matches!(request, PeerRequest::Pull { .. }), page);
        newcomer.open.clear();
        assert_eq!(newcomer.asks_for(last), []);
    }
}
