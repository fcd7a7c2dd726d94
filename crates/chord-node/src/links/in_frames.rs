//! Asking a peer in frames: what its answers mean to the ring.

use std::pin::pin;
use std::time::Duration;

use chord_ring::{Answer, Failure, NodeName, Refusal, Request as RingRequest, budget_onward};
use chord_wire::Code;
use chord_wire::frame::{self, Asked, Request, Welcome};
use chord_wire::rest::SeenAs;

use super::connection::{Answered, NoAnswer, Sending};
use super::lane::Heard;
use super::unanswered::Unanswered;
use super::{Asker, Link, Refused, lock};

impl Link {
    /// Asks in frames for something that the peer answers by itself; `None` if it is to be asked in other words.
    pub(super) async fn ask_by_itself(&self, request: RingRequest) -> Result<Option<Heard>, Failure> {
        if !self.frames.may_ask() {
            return Ok(None);
        }
        let asked = Asked { request: Request::Ring(request), remaining: None };
        let sending = Sending::new(Answered::ByItself);
        let exchange = pin!(self.exchange_in_frames(&sending, &asked));
        self.time(exchange).await
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
        let exchange = pin!(self.exchange_in_frames(sending, asked));
        self.await_others(budget, exchange).await
    }

    async fn exchange_in_frames(&self, sending: &Sending, asked: &Asked) -> Result<Option<Heard>, Failure> {
        self.frames.exchange(&self.terms, sending, asked).await.map_err(|unanswered| match unanswered {
            // By what it says nobody knows whether it is done.
            Unanswered::NotSpoken(_) | Unanswered::Wrong(_) | Unanswered::NotSent => Failure::Silent,
            // It may be one of ours that has not heard of the newest secret: nothing is known of what it keeps.
            Unanswered::Strange(why) => {
                self.part("who it is", &why);
                Failure::Silent
            }
            Unanswered::NoAnswer(NoAnswer::NoTls(why)) => {
                self.part("a connection in TLS", &why);
                Failure::Silent
            }
            Unanswered::NoAnswer(no_answer) => {
                tracing::debug!(peer = %self.name, "{no_answer}");
                no_answer.failure()
            }
        })
    }

    /// What the peer tells of itself.
    pub(crate) async fn describe(&self) -> Result<Vec<u8>, SeenAs> {
        let asked = Asked { request: Request::Describe, remaining: None };
        let sending = Sending::new(Answered::ByItself);
        let heard = self.frames.exchange(&self.terms, &sending, &asked).await;
        match heard.map(|heard| heard.map(|heard| heard.answer)) {
            Ok(Some(answer)) => match *answer {
                frame::Answer::Described(report) => Ok(report),
                frame::Answer::Refused(frame::Refused { code: Some(Code::UnknownCommand), .. }) => {
                    Err(SeenAs::OtherProgram)
                }
                _ => Err(SeenAs::Garbled),
            },
            Err(Unanswered::NoAnswer(NoAnswer::Refused)) => Err(SeenAs::Unreachable),
            Err(Unanswered::Wrong(_)) => Err(SeenAs::Garbled),
            Err(Unanswered::NotSpoken(_) | Unanswered::Strange(_)) => Err(SeenAs::OtherProgram),
            Ok(None) | Err(Unanswered::NoAnswer(_) | Unanswered::NotSent) => Err(SeenAs::Silent),
        }
    }

    /// Whether the peer says something else of itself than before.
    fn is_news(&self, welcome: &Welcome) -> bool {
        let met = Some((welcome.copies, welcome.version));
        std::mem::replace(&mut *lock(&self.met), met) != met
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
            Some(Ok(answer)) => match *answer {
                frame::Answer::Ring(answer) => Ok(Some(answer)),
                _ => Err(Failure::Garbled),
            },
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
    ) -> Result<Option<Box<frame::Answer>>, Failure> {
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
    ) -> Result<Result<Box<frame::Answer>, Refused>, Failure> {
        let Heard { answer, from } = heard;
        let welcome = &from.welcome;
        if link.is_news(welcome) {
            link.is_ours();
            tracing::debug!(peer = %to, version = welcome.version, "speaks frames");
            if welcome.ring == self.links.ring {
                link.compare_copies(self.links.copies, welcome.copies);
            }
        }
        let frame::Answer::Refused(frame::Refused { code, sentence }) = *answer else {
            return Ok(Ok(answer));
        };
        let refused = Refused { code, sentence };
        match self.failure(to, &refused, Some(&welcome.ring)) {
            Some(failure) => Err(failure),
            None => Ok(Err(refused)),
        }
    }
}

#[cfg(test)]
mod tests;
