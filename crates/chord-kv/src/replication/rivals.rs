//! Rivals: what an owner does whose copies are refused, since another one claims a part of its range by a later group.
//!
//! Group ids follow clocks, so a node that was taken for dead and does not know it may have the later one. Who is right says
//! the predecessor, which names one successor: if that is still this node, it surpasses its rival, and else it doubts itself.
//! Neighbours that do not hear each other may each be named by somebody; then each waits longer and longer before it does so again.

use std::time::Duration;

use chord_ring::{Failure, NodeName, Peer};

use super::message::{AnswerBody, PeerRequest};
use super::takeover::VOUCH_PAUSE;
use super::tenure::Epoch;
use super::{Event, Output, Purpose, Replicator};
use crate::Version;

/// Longest pause between two rivals that are surpassed: each time all is asked for that may be missing.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// After so long without a rival the next one is surpassed at once. As long as a member minds a group that it does not hear of.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// The rivals of one owner.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    /// The latest of their groups, because of which the predecessor is to be asked.
    latest: Option<Version>,
    /// When that may be.
    due_at: Duration,
    pause: Duration,
}

impl Rivals {
    /// The latest group, if it is time to ask because of it.
    pub(super) fn due(&self, now: Duration) -> Option<Version> {
        self.latest.filter(|_| self.due_at <= now)
    }

    /// The predecessor is asked. Whoever refuses copies because of a rival says so again.
    pub(super) fn asked(&mut self) {
        self.latest = None;
    }

    /// One was surpassed, and what was refused meanwhile was refused because of it. If the one before it was surpassed not long
    /// ago, the pause before the next is twice as long.
    fn surpassed(&mut self, now: Duration) {
        let is_again = now < self.due_at + FORGOTTEN_AFTER;
        let pause = if is_again { self.pause * 2 } else { Duration::ZERO };
        self.latest = None;
        self.pause = pause.clamp(VOUCH_PAUSE, PAUSE_MAX);
        self.due_at = now + self.pause;
    }
}

impl Purpose {
    /// The group that the request named, if it named one.
    pub(super) fn group(&self) -> Option<Version> {
        if let Self::Copies(batch) = self {
            return Some(batch.group);
        }
        if let Self::Sync(group) | Self::Confirm(group) | Self::Purge(group) | Self::Announce(group) = self {
            Some(*group)
        } else {
            None
        }
    }
}

impl Replicator {
    /// A peer refuses what it was asked as a member of group `refused`, since it knows a later one.
    pub(super) fn heard_of_later_group(&mut self, peer: &NodeName, refused: Option<Version>, known: Version) {
        let group = &self.group.group;
        if !known.is_plausible(self.now.wall_ms) {
            return; // Others would not take a later one for a group, either.
        }
        if known.writer() == self.me.position {
            // An earlier life of this node made it, by another clock perhaps.
            self.known_group_id = self.known_group_id.max(Some(known));
        } else if refused == Some(group.id) && group.has(peer) && known > group.id {
            self.rivals.latest = self.rivals.latest.max(Some(known));
        }
    }

    /// What the predecessor, which has vouched, says again because of a rival.
    pub(super) fn heard_of_rival(
        &mut self,
        rival: Version,
        predecessor: &Peer,
        asked: Epoch,
        answer: &Result<AnswerBody, Failure>,
    ) {
        if self.tenure.vouched_by() != Some((predecessor.clone(), asked)) {
            return;
        }
        match answer {
            Ok(AnswerBody::Vouched(true)) => self.surpass(rival),
            Ok(AnswerBody::Vouched(false)) => {
                self.tenure.doubt();
                self.has_doubted();
                self.recheck_all();
            }
            // One that keeps no records cannot tell.
            Ok(_) | Err(_) => {}
        }
    }

    fn surpass(&mut self, rival: Version) {
        self.rivals.surpassed(self.now.elapsed);
        self.tenure.was_claimed();
        self.known_group_id = self.known_group_id.max(Some(rival));
        self.regroup();
        self.recheck_all();
        self.outputs.push_back(Output::Event(Event::Surpassed(rival)));
        self.drive_takeover();
    }

    /// Tells the members at once which group they are of, so that they refuse another owner's copies from then on: what they take
    /// from it after they were asked what they have is missed. Nobody waits for their answers, so some may be.
    pub(super) fn announce_group(&mut self) {
        for peer in self.group.members.iter().map(|member| member.peer.clone()).collect::<Vec<_>>() {
            let group = self.group.group.clone();
            let purpose = Purpose::Announce(group.id);
            self.send(&peer, PeerRequest::Store { group, records: Vec::new() }, purpose);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rivals_one_after_the_other_are_surpassed_less_and_less_often_and_one_after_a_while_at_once() {
        let mut rivals = Rivals::default();
        let mut now = Duration::from_secs(100);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            rivals.latest = Some(Version::new(1, 0, 7.into()));
            now = now.max(rivals.due_at);
            assert!(rivals.due(now).is_some());
            rivals.asked();
            rivals.latest = Some(Version::new(1, 0, 7.into()));
            rivals.surpassed(now);
            pauses.push(rivals.due_at.saturating_sub(now));
        }
        assert_eq!(pauses[..3], [VOUCH_PAUSE, VOUCH_PAUSE * 2, VOUCH_PAUSE * 4]);
        assert_eq!(pauses[10..], [PAUSE_MAX, PAUSE_MAX]);
        assert!(rivals.due(now + PAUSE_MAX).is_none(), "what was refused before that is settled");
        rivals.latest = Some(Version::new(1, 0, 7.into()));
        assert!(rivals.due(now).is_none() && rivals.due(now + PAUSE_MAX).is_some());
        rivals.surpassed(now + PAUSE_MAX + FORGOTTEN_AFTER);
        assert_eq!(rivals.pause, VOUCH_PAUSE);
    }
}
