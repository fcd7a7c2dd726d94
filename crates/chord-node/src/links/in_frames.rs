//! Asking a peer in frames, as long as it speaks them: whether it does, and what its answers mean.
//!
//! That it does the peer has said itself, in an answer by HTTP. If it turns out otherwise, it is asked by HTTP again, and in
//! frames when it says so anew and a pause is over: a peer whose frames are broken stays within reach.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chord_ring::{Answer, Failure, NodeName, Refusal, Request as RingRequest, budget_onward};
use chord_wire::Copies;
use chord_wire::frame::{self, Asked, Request, VERSIONS, Versions, Welcome};

use super::connection::{Answered, NoAnswer, Sending};
use super::dialogue::{Terms, Unanswered};
use super::lane::{Heard, Lane};
use super::{Asker, Link, Refused, lock};

/// Pause before frames are tried again with a peer with which they have failed: the first one, and the longest to which it
/// doubles. Trying costs a connection, and what is asked meanwhile some milliseconds.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Connections in a row that break without an answer before the peer is asked in other words: it may be what lies between
/// that breaks them.
const BREAKS_MAX: u32 = 3;

/// The frames that go to one peer. Each sort of request has a connection of its own, so that none queues behind another.
pub(super) struct InFrames {
    name: NodeName,
    terms: Arc<Terms>,
    by_itself: Lane,
    with_others: Lane,
    for_others: Lane,
    spoken: Mutex<Spoken>,
}

/// Whether the peer speaks frames.
struct Spoken {
    is_known: bool,
    breaks: u32,
    /// When they may be tried again.
    again_at: Option<Instant>,
    pause: Duration,
    /// What it has said of itself, when that was last looked at: how it keeps copies, and which version it speaks.
    met: Option<(Copies, u8)>,
}

impl InFrames {
    pub(super) fn new(name: NodeName, terms: Arc<Terms>) -> Self {
        let spoken = Spoken { is_known: false, breaks: 0, again_at: None, pause: PAUSE_MIN, met: None };
        Self {
            name,
            terms,
            by_itself: Lane::new(),
            with_others: Lane::new(),
            for_others: Lane::new(),
            spoken: Mutex::new(spoken),
        }
    }

    fn lanes(&self) -> [&Lane; 3] {
        [&self.by_itself, &self.with_others, &self.for_others]
    }

    /// The peer says that it speaks them.
    pub(super) fn are_spoken(&self, versions: Versions) {
        let mut spoken = lock(&self.spoken);
        let may_be = spoken.again_at.is_none_or(|at| at <= Instant::now());
        spoken.is_known |= may_be && versions.common(VERSIONS).is_some();
    }

    /// Whether the peer is asked in them.
    pub(super) fn may_ask(&self) -> bool {
        let is_spoken = lock(&self.spoken).is_known;
        // All lanes are looked at: one freeze counts once.
        if is_spoken && self.lanes().map(Lane::was_unheard).contains(&true) {
            self.give_up("no hello was answered in time");
            return false;
        }
        is_spoken
    }

    pub(super) fn close_idle(&self, idle: Duration) {
        for lane in self.lanes() {
            lane.close_idle(idle);
        }
    }

    /// The peer is asked in other words for a while.
    fn give_up(&self, why: &str) {
        let mut spoken = lock(&self.spoken);
        if !spoken.is_known {
            return;
        }
        let pause = spoken.pause;
        spoken.is_known = false;
        spoken.breaks = 0;
        spoken.again_at = Some(Instant::now() + pause);
        spoken.pause = (pause * 2).min(PAUSE_MAX);
        drop(spoken);
        tracing::info!(peer = %self.name, "asks by HTTP instead of in frames: {why}");
        for lane in self.lanes() {
            lane.leave();
        }
    }

    /// A connection broke without an answer. Returns whether it was one too many.
    fn has_broken(&self) -> bool {
        let mut spoken = lock(&self.spoken);
        spoken.breaks += 1;
        spoken.breaks >= BREAKS_MAX
    }

    /// It has answered.
    fn have_worked(&self) {
        let mut spoken = lock(&self.spoken);
        (spoken.breaks, spoken.pause) = (0, PAUSE_MIN);
    }

    /// Whether the peer says something else of itself than before.
    fn is_news(&self, welcome: &Welcome) -> bool {
        let met = Some((welcome.copies, welcome.version));
        std::mem::replace(&mut lock(&self.spoken).met, met) != met
    }

    /// One exchange; `None` if the peer is to be asked in other words.
    async fn exchange(&self, sending: &Sending, asked: &Asked) -> Result<Option<Heard>, Failure> {
        if !self.may_ask() {
            return Ok(None);
        }
        let lane = match sending.answered() {
            Answered::ByItself => &self.by_itself,
            Answered::WithOthers => &self.with_others,
            Answered::ForOthers => &self.for_others,
        };
        match lane.ask(&self.name, &self.terms, sending, asked).await {
            Ok(heard) => {
                self.have_worked();
                Ok(Some(heard))
            }
            Err(Unanswered::NotSpoken(why) | Unanswered::Wrong(why)) => {
                self.give_up(&why);
                if sending.is_over() { Err(Failure::Silent) } else { Ok(None) }
            }
            Err(Unanswered::NotSent) => Err(Failure::Silent),
            Err(Unanswered::NoAnswer(no_answer)) => {
                if matches!(no_answer, NoAnswer::Closed) && self.has_broken() {
                    self.give_up("its connections break");
                }
                tracing::debug!(peer = %self.name, "{no_answer}");
                Err(no_answer.failure())
            }
        }
    }
}

impl Link {
    /// Asks in frames for something that the peer answers by itself; `None` if it is to be asked in other words.
    pub(super) async fn ask_by_itself(&self, request: RingRequest) -> Result<Option<Heard>, Failure> {
        if !self.frames.may_ask() {
            return Ok(None);
        }
        let asked = Asked { request: Request::Ring(request), remaining: None };
        let sending = Sending::new(Answered::ByItself);
        self.time(self.frames.exchange(&sending, &asked)).await
    }

    /// The same, for something for which the peer may have to ask others.
    async fn ask_with_others(
        &self,
        sending: &Sending,
        asked: &Asked,
        budget: Duration,
    ) -> Result<Option<Heard>, Failure> {
        if !self.frames.may_ask() {
            return Ok(None);
        }
        self.await_others(budget, self.frames.exchange(sending, asked)).await
    }
}

impl Asker<'_> {
    /// Puts a request of the ring to a peer in frames; `None` if it is to be asked in other words.
    pub(super) async fn ask_in_frames(
        &self,
        to: &NodeName,
        link: &Link,
        request: &RingRequest,
        budget: Duration,
    ) -> Result<Option<Answer>, Failure> {
        if !link.frames.may_ask() {
            return Ok(None);
        }
        let heard = match request {
            RingRequest::FindSuccessor(question) if !chord_wire::path_fits(&question.path) => {
                return Err(Failure::Refused(Refusal::HopLimit));
            }
            RingRequest::FindSuccessor(_) => {
                let sending = Sending::new(Answered::WithOthers);
                let request = Request::Ring(request.clone());
                let asked = Asked { request, remaining: Some(budget_onward(budget)) };
                link.ask_with_others(&sending, &asked, budget).await?
            }
            request => link.ask_by_itself(request.clone()).await?,
        };
        match heard.map(|heard| self.understand(to, link, heard)).transpose()? {
            None => Ok(None),
            Some(Ok(frame::Answer::Ring(answer))) => Ok(Some(answer)),
            Some(Ok(_)) => Err(Failure::Garbled),
            Some(Err(refused)) => {
                link.report("a request of the ring", &refused.sentence);
                Err(Failure::Garbled)
            }
        }
    }

    /// Puts a request about records to a peer in frames; `None` if it is to be asked in other words.
    pub(super) async fn tell_in_frames(
        &self,
        to: &NodeName,
        link: &Link,
        sending: &Sending,
        asked: &Asked,
        budget: Duration,
    ) -> Result<Option<frame::Answer>, Failure> {
        let heard = link.ask_with_others(sending, asked, budget).await?;
        match heard.map(|heard| self.understand(to, link, heard)).transpose()? {
            None => Ok(None),
            Some(Ok(answer)) => Ok(Some(answer)),
            Some(Err(refused)) => {
                // It is one of ours, so it keeps records, whatever it says here.
                link.report("a request about records", &refused.sentence);
                Err(Failure::Silent)
            }
        }
    }

    /// What an answer means to the ring. The inner error is a refusal that is about something else.
    fn understand(
        &self,
        to: &NodeName,
        link: &Link,
        heard: Heard,
    ) -> Result<Result<frame::Answer, Refused>, Failure> {
        let Heard { answer, from } = heard;
        let welcome = &from.welcome;
        if link.frames.is_news(welcome) {
            link.is_ours();
            tracing::debug!(peer = %to, version = welcome.version, "speaks frames");
            if welcome.ring == self.links.ring {
                link.compare_copies(self.links.copies, welcome.copies);
            }
        }
        let frame::Answer::Refused(frame::Refused { code, sentence }) = answer else { return Ok(Ok(answer)) };
        let refused = Refused { code, sentence };
        match self.failure(to, &refused, Some(&welcome.ring)) {
            Some(failure) => Err(failure),
            None => Ok(Err(refused)),
        }
    }
}

#[cfg(test)]
mod tests;
