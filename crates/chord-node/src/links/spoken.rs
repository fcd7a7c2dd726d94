//! Whether a peer is asked in frames: as long as it says that it speaks them, and they work.
//!
//! That it does the peer has said itself, in an answer by HTTP. If it turns out otherwise, it is asked by HTTP again, and in
//! frames when it says so anew and a pause is over: a peer whose frames are broken stays within reach.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use chord_ring::NodeName;
use chord_wire::frame::{Asked, VERSIONS, Versions};

use super::connection::{Answered, NoAnswer, Sending};
use super::dialogue::Terms;
use super::lane::{Heard, Lane};
use super::lock;
use super::unanswered::Unanswered;

/// Pause before frames are tried again with a peer with which they have failed: the first one, and the longest to which it
/// doubles. Trying costs a connection, and what is asked meanwhile some milliseconds.
pub(super) const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Connections in a row that break without an answer before the peer is asked in other words: it may be what lies between
/// that breaks them.
pub(crate) const BREAKS_MAX: u32 = 3;

/// The frames that go to one peer. Each sort of request has connections of its own, so that none queues behind another.
pub(crate) struct Spoken {
    name: NodeName,
    by_itself: Lane,
    with_others: Lane,
    for_others: Lane,
    state: Mutex<State>,
    /// Nothing else is spoken with this peer: other words would say a secret, or do without.
    is_alone: bool,
}

/// Whether the peer speaks them.
struct State {
    is_known: bool,
    breaks: u32,
    /// When they may be tried again.
    again_at: Option<Instant>,
    pause: Duration,
}

impl State {
    /// They are not tried for a while, and for longer the next time.
    fn pause(&mut self) {
        self.is_known = false;
        self.breaks = 0;
        self.again_at = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    fn may_be_tried(&self) -> bool {
        self.again_at.is_none_or(|at| at <= Instant::now())
    }
}

impl Spoken {
    pub(crate) fn new(name: NodeName) -> Self {
        Self::with(name, false)
    }

    /// Those of a peer that is asked in nothing else.
    pub(crate) fn alone(name: NodeName) -> Self {
        Self::with(name, true)
    }

    fn with(name: NodeName, is_alone: bool) -> Self {
        let state = State { is_known: is_alone, breaks: 0, again_at: None, pause: PAUSE_MIN };
        Self {
            name,
            is_alone,
            by_itself: Lane::new(),
            with_others: Lane::new().of_clients(),
            for_others: Lane::new().of_clients(),
            state: Mutex::new(state),
        }
    }

    fn lanes(&self) -> [&Lane; 3] {
        [&self.by_itself, &self.with_others, &self.for_others]
    }

    /// The peer says that it speaks them.
    pub(crate) fn told(&self, versions: Versions) {
        let mut state = lock(&self.state);
        state.is_known |= state.may_be_tried() && versions.common(VERSIONS).is_some();
    }

    /// Whether the peer is asked in them.
    pub(crate) fn may_ask(&self) -> bool {
        let is_known = lock(&self.state).is_known;
        // All lanes are looked at: one freeze counts once.
        if is_known && self.lanes().map(Lane::was_unheard).contains(&true) {
            self.give_up("no hello was answered in time");
            return self.is_alone;
        }
        is_known
    }

    /// Whether the peer should be asked what it speaks, by one who does not hear it otherwise.
    pub(crate) fn wants_to_hear(&self) -> bool {
        let state = lock(&self.state);
        !state.is_known && state.may_be_tried()
    }

    /// The peer was asked, and says that it speaks them, or nothing of them.
    pub(crate) fn hears(&self, versions: Option<Versions>) {
        if let Some(versions) = versions {
            self.told(versions);
        }
        let mut state = lock(&self.state);
        if !state.is_known && state.may_be_tried() {
            state.pause();
        }
    }

    pub(super) fn close_idle(&self, idle: Duration) {
        for lane in self.lanes() {
            lane.close_idle(idle);
        }
    }

    /// Ends all that is under way: nothing is asked any more.
    pub(super) fn close(&self) {
        for lane in self.lanes() {
            lane.close();
        }
    }

    /// One exchange; `None` if the peer is to be asked in other words.
    ///
    /// # Errors
    /// There is no answer. That frames are not spoken, or make no sense, is an error only of a request that may be done and
    /// must not be done twice.
    pub(crate) async fn exchange(
        &self,
        terms: &Terms,
        sending: &Sending,
        asked: &Asked,
    ) -> Result<Option<Heard>, Unanswered> {
        if !self.may_ask() {
            return Ok(None);
        }
        let lane = match sending.answered() {
            Answered::ByItself => &self.by_itself,
            Answered::WithOthers => &self.with_others,
            Answered::ForOthers => &self.for_others,
        };
        let unanswered = match lane.ask(&self.name, terms, sending, asked).await {
            Ok(heard) => {
                self.have_worked();
                return Ok(Some(heard));
            }
            Err(unanswered) => unanswered,
        };
        match &unanswered {
            Unanswered::NotSpoken(why) | Unanswered::Strange(why) | Unanswered::Wrong(why) => {
                self.give_up(why);
                if !sending.is_over() && !self.is_alone {
                    return Ok(None);
                }
            }
            Unanswered::NoAnswer(NoAnswer::Closed) => self.have_broken(lane.take_breaks()),
            Unanswered::NotSent | Unanswered::NoAnswer(_) => {}
        }
        Err(unanswered)
    }

    /// The peer is asked in other words for a while.
    fn give_up(&self, why: &str) {
        if self.is_alone {
            for lane in self.lanes() {
                lane.leave();
            }
            return;
        }
        let mut state = lock(&self.state);
        if !state.is_known {
            return;
        }
        state.pause();
        drop(state);
        tracing::info!(event = "asks-by-http", peer = %self.name, "asks by HTTP instead of in frames: {why}");
        for lane in self.lanes() {
            lane.leave();
        }
    }

    /// So many connections broke without an answer.
    fn have_broken(&self, n_connections: u32) {
        let mut state = lock(&self.state);
        state.breaks = state.breaks.saturating_add(n_connections);
        let are_too_many = state.breaks >= BREAKS_MAX;
        drop(state);
        if are_too_many {
            self.give_up("its connections break");
        }
    }

    /// It has answered.
    fn have_worked(&self) {
        let mut state = lock(&self.state);
        (state.breaks, state.pause) = (0, PAUSE_MIN);
    }

    /// They are not tried for so long.
    #[cfg(test)]
    pub(crate) fn rest_for(&self, pause: Duration) {
        let mut state = lock(&self.state);
        state.pause = pause;
        state.pause();
    }
}
