//! Vouching: how this node comes to know that it may answer for its range, and how it notices that it was stopped.
//!
//! The rules are those of [`chord_kv::Custody`]. Here are the question to the predecessor and the clock.

use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use chord_kv::{Custody, STOPPED_AFTER};
use chord_ring::{Answer, Peer, Position, Request};

use crate::links::lock;
use crate::shared::{Shared, Stage};

/// Pause between two beats: short enough that a few may be late on a busy machine.
const BEAT_PAUSE: Duration = Duration::from_millis(100);
const _: () = assert!(BEAT_PAUSE.as_millis() * 4 <= STOPPED_AFTER.as_millis(), "a late beat is no stop");

/// Pause before a predecessor is asked again that does not vouch, at first and at most. The first question makes it look
/// for a new successor, which takes it a round trip or two.
const ASK_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

/// How long the node has existed, for others as well as for itself.
///
/// The clock that never goes back stands still while a machine is suspended, and the clock on the wall may be set: the
/// one that went further since the last look counts. To be told of a pause that was none costs one question.
pub(crate) struct Age {
    lived: Duration,
    looked: Instant,
    looked_on_wall: SystemTime,
}

impl Age {
    pub(crate) fn zero() -> Self {
        Self { lived: Duration::ZERO, looked: Instant::now(), looked_on_wall: SystemTime::now() }
    }

    /// The age at that moment, of which both clocks tell.
    fn at(&mut self, now: Instant, now_on_wall: SystemTime) -> Duration {
        let ran = now.saturating_duration_since(self.looked);
        let passed = now_on_wall.duration_since(self.looked_on_wall).unwrap_or_default();
        self.lived = self.lived.saturating_add(ran.max(passed));
        (self.looked, self.looked_on_wall) = (now.max(self.looked), now_on_wall);
        self.lived
    }
}

impl Shared {
    /// What this node knows about its range. If it was stopped for a while, it doubts that first.
    pub(crate) fn custody(&self) -> MutexGuard<'_, Custody> {
        // Two that look at once may tell the custody in either order: the age holds all that passed before.
        let now = lock(&self.age).at(Instant::now(), SystemTime::now());
        let mut custody = lock(&self.custody);
        if custody.beat(now) {
            tracing::info!(node = %self.me.name, "this node was stopped for a while: it asks before it answers");
            self.unvouched.notify_one();
        }
        custody
    }

    /// Whether this node may answer for a position now.
    pub(crate) fn answers_for(&self, position: Position) -> bool {
        let answers = self.custody().answers_for(position);
        if !answers {
            self.unvouched.notify_one();
        }
        answers
    }

    /// Whether a predecessor names this node as its successor. A seed node is believed to: it cannot tell.
    async fn is_named_by(&self, predecessor: &Peer) -> bool {
        let link = self.links.to(&predecessor.name);
        if link.is_seed() {
            return true;
        }
        match self.asker().ask(&predecessor.name, Request::GetState, self.limits.request).await {
            Ok(Answer::State(state)) => {
                link.is_seed() || (state.peer == *predecessor && state.successors.first() == Some(&self.me))
            }
            Ok(_) => false,
            Err(failure) => {
                tracing::debug!(peer = %predecessor.name, "the predecessor does not vouch: {failure}");
                false
            }
        }
    }
}

/// Asks each predecessor until it vouches.
pub(crate) async fn seek_vouching(shared: Arc<Shared>) {
    let mut views = shared.view_changed.subscribe();
    let (first, longest) = ASK_PAUSE;
    let mut pause = first;
    loop {
        let question = shared.custody().question();
        let wait = match &question {
            Some(question) if shared.is_named_by(&question.predecessor).await => {
                shared.custody().vouch(question);
                shared.lacking.notify_one();
                pause = first;
                continue;
            }
            Some(_) => Some(pause),
            None => None,
        };
        pause = if wait.is_some() { (pause * 2).min(longest) } else { first };
        let waited = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => shared.unvouched.notified().await,
            }
        };
        tokio::select! {
            view = views.changed() => match view {
                Ok(()) => pause = first,
                Err(_) => return,
            },
            () = waited => {}
            () = shared.reached(Stage::Closing) => return,
        }
    }
}

/// Tells this node again and again that it runs.
pub(crate) async fn beat(shared: Arc<Shared>) {
    loop {
        drop(shared.custody());
        tokio::select! {
            () = tokio::time::sleep(BEAT_PAUSE) => {}
            () = shared.reached(Stage::Closing) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use chord_ring::{Peer, RingSize};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_node_ages_by_the_clock_that_went_further() {
        let mut age = Age::zero();
        let (start, wall) = (age.looked, age.looked_on_wall);
        assert_eq!(age.at(start + SECOND, wall + SECOND), SECOND);
        assert_eq!(age.at(start + 2 * SECOND, wall + 9 * SECOND), 9 * SECOND, "the machine was suspended");
        assert_eq!(age.at(start + 3 * SECOND, wall), 10 * SECOND, "the wall's clock was set back");
        assert_eq!(age.at(start + 4 * SECOND, wall + SECOND), 11 * SECOND);
    }

    #[test]
    fn a_node_whose_machine_was_suspended_asks_before_it_answers() {
        let [me, other] = ["127.0.0.1:1", "127.0.0.1:2"]
            .map(|name| Peer::of_name(name.parse().unwrap(), RingSize::DEFAULT));
        let mut custody = Custody::new(me.position);
        custody.join(Some(&other), Some(&other));
        let question = custody.question().unwrap();
        custody.vouch(&question);
        assert!(custody.answers_for(me.position));
        let mut age = Age::zero();
        let (start, wall) = (age.looked, age.looked_on_wall);
        assert!(!custody.beat(age.at(start + STOPPED_AFTER / 2, wall + STOPPED_AFTER / 2)));
        assert!(custody.beat(age.at(start + STOPPED_AFTER, wall + 2 * STOPPED_AFTER)));
        assert!(!custody.answers_for(me.position));
    }
}
