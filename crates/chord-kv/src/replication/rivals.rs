//! Rivals: what an owner does whose copies are refused, since another one claims a part of its range by a later group.
//!
//! Group ids follow clocks, so a node that was taken for dead and does not know it may have the later one. Who is right says
//! the predecessor, which names one successor: if that is still this node, it surpasses its rival, and else it doubts itself.
//! Neighbours that do not hear each other may each be named by somebody; then each gives way to the other for longer and longer.

use std::time::Duration;

use chord_ring::{Failure, NodeName, Peer};

use super::message::{AnswerBody, PeerRequest};
use super::takeover::VOUCH_PAUSE;
use super::tenure::Epoch;
use super::{Event, Output, Purpose, Replicator};
use crate::Version;

/// Longest pause between two rivals that are surpassed: each time all is asked for that may be missing.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// After so long without a rival the next one is surpassed at once.
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

    /// One was surpassed: twice as long as the last time passes before another is, if that is not long ago.
    fn surpassed(&mut self, now: Duration) {
        let is_again = now < self.due_at + FORGOTTEN_AFTER;
        let pause = if is_again { self.pause * 2 } else { Duration::ZERO };
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
        if let Self::Confirm(group) | Self::Claim(group) = self { Some(*group) } else { None }
    }
}

impl Replicator {
    /// A peer refuses what it was asked as a member of group `refused`, since it knows a later one.
    pub(super) fn heard_of_later_group(&mut self, peer: &NodeName, refused: Version, known: Version) {
        let group = &self.group.group;
        if known.writer() == self.me.position && known.can_be_surpassed() {
            // An earlier life of this node made it, by another clock perhaps.
            self.known_group_id = self.known_group_id.max(Some(known));
        } else if refused == group.id
            && group.has(peer)
            && known > refused
            && known.is_plausible(self.now.wall_ms)
        {
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
        // Members hear of it before they are asked what they have: what they take from the rival later would be missed.
        for peer in self.group.members.iter().map(|member| member.peer.clone()).collect::<Vec<_>>() {
            let group = self.group.group.clone();
            let purpose = Purpose::Claim(group.id);
            self.send(&peer, PeerRequest::Store { group, records: Vec::new() }, purpose);
        }
        self.outputs.push_back(Output::Event(Event::Surpassed(rival)));
        self.drive_takeover();
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
            rivals.surpassed(now);
            pauses.push(rivals.due_at.saturating_sub(now));
        }
        assert_eq!(pauses[..3], [VOUCH_PAUSE, VOUCH_PAUSE * 2, VOUCH_PAUSE * 4]);
        assert_eq!(pauses[10..], [PAUSE_MAX, PAUSE_MAX]);
        rivals.latest = Some(Version::new(1, 0, 7.into()));
        assert!(rivals.due(now).is_none());
        rivals.surpassed(now + PAUSE_MAX + FORGOTTEN_AFTER);
        assert_eq!(rivals.pause, VOUCH_PAUSE);
    }
}
