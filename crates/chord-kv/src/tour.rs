//! A tour: along an arc of the ring, or once round it, and which keys are there, in the order of their positions.
//!
//! A key that is there from the beginning of the tour to its end is told, whatever happens to the ring meanwhile. So each
//! stretch is asked of the node that owns it, and what that says counts alone only if it may answer for all of the stretch
//! and lacks nothing of it. While it still asks others for what it may lack, all of those are asked for the same stretch,
//! and the owner again after them, since whoever drops a record has left it with the owner before; the newest record of
//! each key counts. Nothing is left out unless whoever is on the tour says so, by [`Tour::skip`].
//!
//! A tour has no clock and sends nothing: [`Tour::next`] says what is to be done, and its outcome comes back by
//! [`Tour::found`] or [`Tour::answered`].

mod round;

use std::time::Duration;

use chord_ring::{Failure, NodeName, Peer, Position, RingSize};

use crate::replication::{Account, AnswerBody, Claim, Header, PeerAnswer, PeerRequest};
use crate::{Cursor, Range};
use round::{Page, Rest, Round, Turn};

/// Pause before somebody is asked again: the ring and its records change as fast as nodes answer each other.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// On its way along an arc.
#[derive(Clone, Debug)]
pub struct Tour {
    size: RingSize,
    /// Up to where everything was told.
    after: Position,
    /// Up to which record behind that, if not to the last one of a position.
    cursor: Option<Cursor>,
    up_to: Position,
    is_over: bool,
    /// Who owns what comes next, as somebody believes.
    owner: Option<Peer>,
    /// Who was believed so last.
    last_owner: Option<Peer>,
    /// What others than the owner have, while it needs them.
    round: Option<Round>,
    asked: Option<Peer>,
    again_at: Duration,
    /// Since when there is no page.
    since: Option<Duration>,
    patience: Duration,
    /// Who did not tell, last.
    untold: Option<NodeName>,
}

/// What is to be done for a tour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Look up who owns that position, and tell [`Tour::found`].
    FindOwner(Position),
    /// Ask that peer, and tell [`Tour::answered`].
    Ask(Peer, PeerRequest),
    /// Wait so long.
    Pause(Duration),
    /// The tour is over.
    End,
}

/// Some of what is there, which follows what was told before without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The owner.
    pub owner: NodeName,
    /// The newest record of each key, in the order of the ring; also where it says that nothing is there any more.
    pub headers: Vec<Header>,
    /// How many nodes have told: one, unless the owner may lack something.
    pub nodes: usize,
}

/// Why a tour does not go on. Whoever asks for the next step all the same has it try again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TourError {
    /// No node says that it owns what comes next.
    #[error("no node said in time that it owns the next part of the ring: try again when the ring is whole")]
    NoOwner,
    /// Somebody who may have some of what comes next did not tell.
    #[error(
        "{0} may have keys of the next part of the ring, and did not tell them in time: try again in a moment"
    )]
    Untold(NodeName),
    /// The owner of what comes next keeps no list.
    #[error("{0} owns the next part of the ring and cannot list its keys: it is a node of chord.py")]
    NoList(NodeName),
}

impl Tour {
    /// A tour along that arc, which takes no longer than `patience` from one page to the next.
    pub fn new(size: RingSize, arc: Range, patience: Duration) -> Self {
        Self {
            size,
            after: size.reduce(arc.after),
            cursor: None,
            up_to: size.reduce(arc.up_to),
            is_over: false,
            owner: None,
            last_owner: None,
            round: None,
            asked: None,
            again_at: Duration::ZERO,
            since: None,
            patience,
            untold: None,
        }
    }

    /// Somebody believes that this peer owns what comes next: it need not be looked up.
    pub fn expect(&mut self, owner: Option<Peer>) {
        self.last_owner.clone_from(&owner);
        self.owner = owner;
        self.round = None;
    }

    /// The last position up to which everything was told.
    pub fn reached(&self) -> Position {
        self.rest().after
    }

    /// Whether everything was told.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// What to do next, at `now` by a clock that never goes back.
    ///
    /// # Errors
    /// It took too long.
    pub fn next(&mut self, now: Duration) -> Result<Step, TourError> {
        if self.is_over {
            return Ok(Step::End);
        }
        let since = *self.since.get_or_insert(now);
        if now.saturating_sub(since) >= self.patience {
            let why = self.untold.take().map_or(TourError::NoOwner, TourError::Untold);
            return Err(self.fail(why));
        }
        let pause = self.again_at.saturating_sub(now);
        if !pause.is_zero() {
            return Ok(Step::Pause(pause));
        }
        let Some(owner) = self.owner.clone() else {
            return Ok(Step::FindOwner(self.first()));
        };
        let peer = match self.round.as_ref().map(|round| round.next(&owner.name)) {
            Some(Turn::Other(peer)) => peer,
            Some(Turn::Owner) | None => owner.clone(),
        };
        self.asked = Some(peer.clone());
        let Rest { range, cursor, .. } = self.rest_of(&owner);
        Ok(Step::Ask(peer, PeerRequest::List { range, cursor }))
    }

    /// The outcome of a search for the owner.
    pub fn found(&mut self, now: Duration, owner: Option<Peer>) {
        match owner {
            Some(owner) => self.expect(Some(owner)),
            None => self.pause(now),
        }
    }

    /// The outcome of a question; what was told by it, if it was enough. [`Failure::Garbled`] says that the peer keeps no
    /// list at all, as one of another program.
    ///
    /// # Errors
    /// What comes next cannot be listed.
    pub fn answered(
        &mut self,
        now: Duration,
        answer: Result<PeerAnswer, Failure>,
    ) -> Result<Option<Told>, TourError> {
        let (Some(peer), Some(owner)) = (self.asked.take(), self.owner.clone()) else { return Ok(None) };
        let rest = self.rest_of(&owner);
        match answer.map(|answer| answer.body) {
            Ok(AnswerBody::Listed { account, headers, next }) if rest.is_onward(next.as_ref()) => {
                let page = Page { headers, next };
                if account.claim == Claim::Whole {
                    return Ok(Some(self.arrive(&peer, &rest, [page], &account.near)));
                }
                if peer == owner {
                    return Ok(self.owner_told(now, &owner, &rest, page, account));
                }
                if let Some(round) = &mut self.round {
                    round.told(peer.name, page, account);
                }
                Ok(None)
            }
            Err(Failure::Garbled) if peer == owner => Err(self.fail(TourError::NoList(peer.name))),
            Err(Failure::Garbled) => {
                if let Some(round) = &mut self.round {
                    round.told(peer.name, Page::default(), Account::default());
                }
                Ok(None)
            }
            Ok(_) | Err(_) => {
                self.untold = Some(peer.name.clone());
                self.pause(now);
                match &mut self.round {
                    Some(round) if peer != owner => round.failed(),
                    Some(_) | None => self.lose_owner(),
                }
                Ok(None)
            }
        }
    }

    /// Leaves out what the last owner of what comes next is believed to own. Returns whether there was one.
    pub fn skip(&mut self) -> bool {
        let Some(owner) = self.last_owner.take() else { return false };
        let end = self.rest_of(&owner).range.up_to;
        self.lose_owner();
        self.go_to(end);
        true
    }

    /// The owner has told, and may lack something.
    fn owner_told(
        &mut self,
        now: Duration,
        owner: &Peer,
        rest: &Rest,
        page: Page,
        account: Account,
    ) -> Option<Told> {
        let Claim::Part(epoch) = account.claim else {
            self.lose_owner();
            self.pause(now);
            return None;
        };
        let next = account.near.clone();
        let mut round =
            self.round.take().filter(|round| round.is_of(epoch)).unwrap_or_else(|| Round::new(epoch));
        round.owner_told(account);
        if round.next(&owner.name) == Turn::Owner {
            // All others have told before this.
            let pages = round.into_pages().chain([page]);
            return Some(self.arrive(owner, rest, pages, &next));
        }
        self.round = Some(round);
        None
    }

    /// Together these pages are all that there is, as far as each of them goes.
    fn arrive(
        &mut self,
        owner: &Peer,
        rest: &Rest,
        pages: impl IntoIterator<Item = Page>,
        next: &[Peer],
    ) -> Told {
        let mut nodes = 0;
        let Page { headers, next: cursor } = rest.merge(pages.into_iter().inspect(|_| nodes += 1));
        if let Some(cursor) = cursor {
            self.cursor = Some(cursor);
            self.expect(Some(owner.clone()));
        } else {
            self.go_to(rest.range.up_to);
            self.expect(next.first().cloned());
        }
        (self.since, self.untold) = (None, None);
        Told { owner: owner.name.clone(), headers, nodes }
    }

    fn go_to(&mut self, end: Position) {
        (self.after, self.cursor) = (end, None);
        self.is_over = end == self.up_to;
    }

    fn lose_owner(&mut self) {
        (self.owner, self.round) = (None, None);
    }

    fn pause(&mut self, now: Duration) {
        self.again_at = now.saturating_add(RETRY_PAUSE);
    }

    fn fail(&mut self, why: TourError) -> TourError {
        self.lose_owner();
        (self.since, self.untold, self.again_at) = (None, None, Duration::ZERO);
        why
    }

    /// What comes next, from its first position on.
    fn rest(&self) -> Range {
        // Where some of the keys at a position were told, others may be left.
        let before = |cursor: &Cursor| self.size.before(cursor.position);
        Range { after: self.cursor.as_ref().map_or(self.after, before), up_to: self.up_to }
    }

    fn first(&self) -> Position {
        self.size.finger_start(self.rest().after, 0)
    }

    /// The part of what comes next that a peer owns if it owns the beginning.
    fn rest_of(&self, owner: &Peer) -> Rest {
        let rest = self.rest();
        let up_to = if rest.contains(owner.position) { owner.position } else { rest.up_to };
        let range = Range { after: rest.after, up_to };
        Rest { range, cursor: self.cursor.clone(), size: self.size }
    }
}

#[cfg(test)]
mod tests;
