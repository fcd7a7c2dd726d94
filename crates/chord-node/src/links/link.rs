//! One peer: how long to wait for it, what it speaks, and whether it failed a moment ago.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chord_ring::{Failure, NodeName, Request as RingRequest, SUSPECT_FOR};
use chord_wire::{Code, Command, Context, Copies, seed};

use super::connection::{Answered, Connections, Exchange, IDLE_MAX, NoAnswer, Sending, within};
use super::dialogue::Terms;
use super::language::{Language, Misunderstood, Refused, Reply, Said};
use super::lock;
use super::round_trip::RoundTrip;
use super::spoken::Spoken;
use super::unsayable::Unsayable;
use crate::Limits;
use crate::metrics::LinkState;
use crate::network::Road;

/// How long a peer that answers wrongly is not reported again.
const REPORT_PAUSE: Duration = Duration::from_secs(60);

/// One peer as this node knows it.
pub(crate) struct Link {
    pub(super) name: NodeName,
    connections: Connections,
    /// The way there, if it may be cut.
    road: Option<Road>,
    pub(super) frames: Spoken,
    /// Who this node is in frames.
    pub(super) terms: Arc<Terms>,
    /// What the peer has said of itself there, when that was last looked at: how it keeps copies, and which version it speaks.
    pub(super) met: Mutex<Option<(Copies, u8)>>,
    trip: Mutex<RoundTrip>,
    suspect_until: Mutex<Option<Instant>>,
    last_used: Mutex<Instant>,
    known: Mutex<Known>,
    /// When it was last reported that the peer answers wrongly.
    reported: Mutex<Option<Instant>>,
    /// When this node and the peer last did not take each other for nodes of one ring, and why.
    parted: Mutex<Option<(Instant, String)>>,
    /// How it keeps copies, if that was reported for being another way than this node's.
    copies_reported: Mutex<Option<Copies>>,
    /// What it cannot be told, if it is a seed node.
    pub(super) unsayable: Mutex<Unsayable>,
    /// What is spoken to a peer of which nothing is known.
    first_language: Language,
    wait_max: Duration,
}

/// What a peer has shown of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    /// What it speaks. Found out again when an answer is not understood or nobody is there: another program may have
    /// taken its place.
    language: Option<Language>,
    /// Whether it says nothing beside the seed's bodies, once it has said something.
    is_seed: Option<bool>,
}

/// A request that brought no answer, and what came instead.
struct Wrong {
    failure: Failure,
    what: String,
    /// Whether it tells of the peer, which may not speak this language: without a connection nothing does.
    is_answer: bool,
}

impl From<Misunderstood> for Wrong {
    fn from(misunderstood: Misunderstood) -> Self {
        Self { failure: Failure::Garbled, what: misunderstood.to_string(), is_answer: true }
    }
}

impl From<NoAnswer> for Wrong {
    fn from(no_answer: NoAnswer) -> Self {
        let is_answer =
            !matches!(no_answer, NoAnswer::Refused | NoAnswer::NoConnection(_) | NoAnswer::NoTls(_));
        Self { failure: no_answer.failure(), what: no_answer.to_string(), is_answer }
    }
}

impl Link {
    pub(super) fn new(name: NodeName, limits: &Limits, first_language: Language, terms: Arc<Terms>) -> Self {
        Self {
            frames: if terms.secrets.is_some() || terms.tls.is_some() {
                Spoken::alone(name.clone())
            } else {
                Spoken::new(name.clone())
            },
            connections: Connections::new(name.clone(), limits.link_connections, limits.answer_bytes())
                .in_tls(terms.tls.clone()),
            terms,
            met: Mutex::default(),
            name,
            road: None,
            trip: Mutex::default(),
            suspect_until: Mutex::default(),
            last_used: Mutex::new(Instant::now()),
            known: Mutex::default(),
            reported: Mutex::default(),
            parted: Mutex::default(),
            copies_reported: Mutex::default(),
            unsayable: Mutex::default(),
            first_language,
            wait_max: limits.request,
        }
    }

    /// The same, by a road that may be cut.
    pub(super) fn by(self, road: Option<Road>) -> Self {
        Self { road, ..self }
    }

    /// Has an exchange by way of the road.
    async fn travel<T>(&self, exchange: Pin<&mut impl Future<Output = T>>) -> T {
        match &self.road {
            Some(road) => Box::pin(road.travel(exchange)).await,
            None => exchange.await,
        }
    }

    /// The link is used.
    pub(super) fn touch(&self) {
        *lock(&self.last_used) = Instant::now();
    }

    /// Closes connections that were not used for a while: the peer has closed its end, or will soon.
    pub(super) fn close_idle(&self) {
        self.connections.close_idle(IDLE_MAX);
        self.frames.close_idle(IDLE_MAX);
    }

    /// Nothing is asked any more.
    pub(super) fn close(&self) {
        self.connections.close_idle(Duration::ZERO);
        self.frames.close();
    }

    pub(super) fn last_used(&self) -> Instant {
        *lock(&self.last_used)
    }

    /// How long to wait for something that the peer answers by itself.
    fn wait(&self) -> Duration {
        lock(&self.trip).wait(self.wait_max)
    }

    /// Asks for something that the peer answers by itself, and learns from how long that took.
    pub(crate) async fn call(&self, request: &seed::Request, context: &Context) -> Result<Reply, Failure> {
        let sending = Sending::new(Answered::ByItself);
        self.time(self.converse(&sending, request, context)).await
    }

    /// Waits for what the peer answers by itself, and learns from how long that took.
    pub(super) async fn time<T>(
        &self,
        exchange: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let exchange = pin!(exchange);
        let answer = within(self.wait(), self.travel(exchange)).await;
        match &answer {
            Ok(_) => lock(&self.trip).answered(started.elapsed()),
            Err(Failure::Silent) => lock(&self.trip).missed(started, Instant::now()),
            Err(_) => {}
        }
        self.judge(answer.as_ref().err());
        answer
    }

    /// Asks for something for which the peer may have to ask others, within `budget`.
    pub(crate) async fn call_onward(
        &self,
        request: &seed::Request,
        context: &Context,
        budget: Duration,
    ) -> Result<Reply, Failure> {
        self.send_onward(&Sending::new(Answered::WithOthers), request, context, budget).await
    }

    /// The same, for those who must know whether the request may be done when no answer comes.
    ///
    /// When it takes longer than the peer itself should, the peer is asked whether it lives: so a slow lookup behind it
    /// is waited for, and a frozen peer is not.
    pub(crate) async fn send_onward(
        &self,
        sending: &Sending,
        request: &seed::Request,
        context: &Context,
        budget: Duration,
    ) -> Result<Reply, Failure> {
        self.await_others(budget, Box::pin(self.converse(sending, request, context))).await
    }

    /// Has one exchange for which the peer may have to ask others, in words that are no language of the seed's.
    pub(super) async fn exchange_onward(
        &self,
        sending: &Sending,
        said: &Said,
        context: &Context,
        budget: Duration,
    ) -> Result<Exchange, Failure> {
        let exchange = Box::pin(async {
            self.connections.exchange(sending, said, context).await.map_err(|no_answer| {
                tracing::debug!(peer = %self.name, "{no_answer}");
                match no_answer.failure() {
                    Failure::Garbled => Failure::Silent, // It says nothing about what the peer is.
                    failure => failure,
                }
            })
        });
        self.await_others(budget, exchange).await
    }

    /// Waits for what the peer may have to ask others, for as long as it lives.
    pub(super) async fn await_others<T>(
        &self,
        budget: Duration,
        exchange: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let exchange = pin!(exchange);
        let mut exchange = pin!(self.travel(exchange));
        let (until, wait) = (Instant::now() + budget.min(self.wait_max), self.wait());
        // One clock at a time: nearly always the answer comes before the first has run out.
        let first = tokio::time::timeout(wait.min(budget), &mut exchange).await;
        let left = || until.saturating_duration_since(Instant::now());
        let answer = match first {
            Ok(answer) => answer,
            Err(_) if left().is_zero() => Err(Failure::Silent),
            Err(_) => {
                let lives = async {
                    tokio::select! {
                        answer = &mut exchange => answer,
                        failure = self.dies() => Err(failure),
                    }
                };
                // On the heap: it is seldom.
                Box::pin(within(left(), lives)).await
            }
        };
        self.judge(answer.as_ref().err());
        answer
    }

    /// Asks in the peer's language, which is found out first if it is not known.
    async fn converse(
        &self,
        sending: &Sending,
        request: &seed::Request,
        context: &Context,
    ) -> Result<Reply, Failure> {
        let known = lock(&self.known).language;
        let language = known.unwrap_or(self.first_language);
        let said = self.say(language, sending, request, context).await;
        let is_understood = said.as_ref().is_ok_and(|reply| known.is_some() || reply.shows_language());
        if is_understood || matches!(&said, Err(Wrong { is_answer: false, .. })) {
            return said.map_err(|wrong| {
                tracing::debug!(peer = %self.name, command = %request.command(), "{}", wrong.what);
                wrong.failure
            });
        }
        // Whoever answers one language with nonsense and another properly has not done what it was asked in the first.
        let other = language.other();
        let is_who = Sending::new(Answered::ByItself);
        if known.is_none()
            && !sending.is_over()
            && let Ok(Reply { answer: Ok(_), .. }) =
                self.say(other, &is_who, &seed::Request::Node, context).await
            && let Ok(reply) = self.say(other, sending, request, context).await
        {
            return Ok(reply);
        }
        said.map_err(|wrong| {
            self.report(&request.command().to_string(), &wrong.what);
            wrong.failure
        })
    }

    /// One exchange in one language, and what it shows of the peer.
    async fn say(
        &self,
        language: Language,
        sending: &Sending,
        request: &seed::Request,
        context: &Context,
    ) -> Result<Reply, Wrong> {
        let (language, said) = match language.say(request) {
            Ok(said) => (language, said),
            Err(unsayable) => match Language::Http.say(request) {
                // Our own nodes speak every language, so they are told in the one that can say it.
                Ok(said) if !self.is_seed() => (Language::Http, said),
                _ => {
                    let sentence = format!("{} speaks XML-RPC only: {unsayable}", self.name);
                    let refused = Refused { code: Some(Code::NotText), sentence };
                    return Ok(Reply { answer: Err(refused), context: Context::default() });
                }
            },
        };
        let exchange = self.connections.exchange(sending, &said, context).await;
        let understood = exchange
            .map_err(Wrong::from)
            .and_then(|exchange| language.understand(request.command(), &exchange).map_err(Wrong::from));
        let mut known = lock(&self.known);
        match &understood {
            Ok(reply) => {
                if reply.shows_language() {
                    known.language.get_or_insert(language);
                }
                if reply.answer.is_ok() && says_its_ring(request.command()) {
                    known.is_seed = Some(reply.context.ring.is_none());
                }
                if let Some(versions) = reply.context.frames {
                    self.frames.told(versions);
                }
            }
            Err(_) => known.language = None,
        }
        understood
    }

    /// Says that a peer answers wrongly: once in a while, since it may do so at every request.
    pub(super) fn report(&self, asked: &str, what: &str) {
        let mut reported = lock(&self.reported);
        if reported.is_none_or(|at| at.elapsed() >= REPORT_PAUSE) {
            *reported = Some(Instant::now());
            tracing::warn!(event = "peer-wrong", peer = %self.name, asked, "a peer answered wrongly: {what}");
        } else {
            tracing::debug!(peer = %self.name, asked, "a peer answered wrongly: {what}");
        }
    }

    /// The peer is there, and it or this node does not take the other for a node of its ring.
    pub(super) fn part(&self, asked: &str, why: &str) {
        *lock(&self.parted) = Some((Instant::now(), why.to_owned()));
        self.report(asked, why);
    }

    /// Why the two have parted, if that is as new.
    pub(crate) fn parted_since(&self, since: Instant) -> Option<String> {
        lock(&self.parted).as_ref().filter(|(at, _)| *at >= since).map(|(_, why)| why.clone())
    }

    /// Says that the peer was told to keep copies in another way than this node: once, and again when it is another way again.
    /// It is no reason to part, since nodes are told otherwise one after the other.
    pub(super) fn compare_copies(&self, ours: Copies, theirs: Copies) {
        let differing = (theirs != ours).then_some(theirs);
        let reported = std::mem::replace(&mut *lock(&self.copies_reported), differing);
        if differing.is_some() && reported != differing {
            tracing::warn!(
                event = "peer-differs", peer = %self.name,
                "a peer was started with {}, this node with {}: a key is kept as its owner was told, so start all nodes of the \
                 ring, one after the other, with the same",
                options(theirs),
                options(ours),
            );
        }
    }

    /// Ends when the peer does not answer a ping.
    async fn dies(&self) -> Failure {
        loop {
            let started = Instant::now();
            if let Err(failure) = self.pings().await {
                return failure;
            }
            tokio::time::sleep(self.wait().saturating_sub(started.elapsed())).await;
        }
    }

    async fn pings(&self) -> Result<(), Failure> {
        // On the heap: a ping may be part of what waits for it.
        match Box::pin(self.ask_by_itself(RingRequest::Ping)).await? {
            Some(_) => Ok(()),
            None => Box::pin(self.call(&seed::Request::Node, &Context::default())).await.map(drop),
        }
    }

    /// It has answered as a node of ours.
    pub(super) fn is_ours(&self) {
        lock(&self.known).is_seed = Some(false);
    }

    /// The peer was given up, though no single wait for it was over.
    pub(super) fn gave_up(&self) {
        self.judge(Some(&Failure::Silent));
    }

    fn judge(&self, failure: Option<&Failure>) {
        let until = match failure {
            Some(Failure::Silent | Failure::Unreachable) => Some(Instant::now() + SUSPECT_FOR),
            Some(_) | None => None,
        };
        *lock(&self.suspect_until) = until;
    }

    /// Whether it failed, and has not answered since. When it may be well again it is pinged: so nobody who could go round
    /// it has to wait in order to find that out.
    pub(super) fn is_suspect(self: &Arc<Self>) -> bool {
        let mut suspect_until = lock(&self.suspect_until);
        let Some(until) = *suspect_until else { return false };
        let now = Instant::now();
        if until <= now {
            // One ping at a time.
            *suspect_until = Some(now + self.wait_max);
            let link = self.clone();
            tokio::spawn(async move { link.pings().await });
        }
        true
    }

    /// Whether it failed a moment ago, for those who only look.
    pub(super) fn state(&self) -> LinkState {
        if lock(&self.suspect_until).is_some() { LinkState::Suspect } else { LinkState::Well }
    }

    /// How long its answers take, smoothed, if any came.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        lock(&self.trip).smoothed()
    }

    /// Whether the peer speaks the seed's words alone.
    pub(crate) fn is_seed(&self) -> bool {
        self.shown_seed().unwrap_or(false)
    }

    /// The same; `None` of a peer that has said nothing yet.
    pub(super) fn shown_seed(&self) -> Option<bool> {
        lock(&self.known).is_seed
    }
}

/// The options of the command line that say so.
fn options(Copies { replicas, write_quorum }: Copies) -> String {
    match write_quorum {
        Some(copies) => format!("--replicas {replicas} --write-quorum {copies}"),
        None => format!("--replicas {replicas} and no --write-quorum"),
    }
}

/// Whether our own nodes name their ring in an answer to that command.
const fn says_its_ring(command: Command) -> bool {
    matches!(
        command,
        Command::Node | Command::GetPredecessor | Command::GetSuccessorList | Command::FindSuccessor
    )
}
