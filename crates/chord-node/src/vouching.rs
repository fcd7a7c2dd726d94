//! Vouching: how this node comes to know that it may answer for its range, and how it notices that it was stopped.
//!
//! The rules are those of [`chord_kv::Custody`]. Here are the question to the predecessor and the clock.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

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

impl Shared {
    /// What this node knows about its range. If it was stopped for a while, it doubts that first.
    pub(crate) fn custody(&self) -> MutexGuard<'_, Custody> {
        let now = self.began.elapsed();
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
