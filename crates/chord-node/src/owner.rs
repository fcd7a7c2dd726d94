//! The owner task: the only one that touches the state machine of the ring. It feeds it and does what it says.

mod farewells;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chord_ring::{
    Answer, CommandError, Event, Failure, Input, Node, NodeName, Output, Purpose, Refusal, Request,
    RequestId, Token, View, Wake, jittered,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use farewells::Farewells;

use crate::links::lock;
use crate::pacing::Pacing;
use crate::shared::{Mail, Shared, Stage};

enum Waiting {
    Command(oneshot::Sender<Result<(), CommandError>>),
    Request(oneshot::Sender<Result<Answer, Refusal>>),
}

pub(crate) struct Owner {
    ring: Node,
    shared: Arc<Shared>,
    mailbox: mpsc::Receiver<Mail>,
    /// At most one timer for each reason.
    timers: BTreeMap<Wake, Instant>,
    /// Requests under way, at most one for each purpose.
    asking: JoinSet<Result<Answer, Failure>>,
    asked: HashMap<Id, RequestId>,
    waiting: HashMap<Token, Waiting>,
    tokens: u64,
    /// How fast it asks who comes before it: whoever notifies it decides when, and whom.
    rectify_pacing: Pacing,
    farewells: Farewells,
    was_member: bool,
    /// The neighbours that were told last.
    listed: Vec<NodeName>,
    /// What was logged last of whether the ring is small.
    said_small: Option<bool>,
}

impl Owner {
    pub(crate) fn new(ring: Node, shared: Arc<Shared>, mailbox: mpsc::Receiver<Mail>) -> Self {
        Self {
            ring,
            shared,
            mailbox,
            timers: BTreeMap::new(),
            asking: JoinSet::new(),
            asked: HashMap::new(),
            waiting: HashMap::new(),
            tokens: 0,
            rectify_pacing: Pacing::default(),
            farewells: Farewells::default(),
            was_member: false,
            listed: Vec::new(),
            said_small: None,
        }
    }

    /// Runs until the node stops.
    pub(crate) async fn run(mut self) {
        let shared = self.shared.clone();
        let closing = shared.reached(Stage::Closing);
        tokio::pin!(closing);
        loop {
            let timer = self.timers.iter().min_by_key(|(_, at)| **at).map(|(wake, at)| (*wake, *at));
            let input = tokio::select! {
                () = &mut closing => return,
                Some(mail) = self.mailbox.recv() => self.open(mail),
                Some(ended) = self.asking.join_next_with_id(), if !self.asking.is_empty() => {
                    match self.ended(ended) {
                        Some(input) => input,
                        None => continue,
                    }
                }
                Some(left) = self.farewells.next() => {
                    if let Some(name) = left {
                        lock(&self.shared.departed).said_farewell(&name);
                        self.shared.shortcuts.forget(&name);
                        self.introduce();
                    }
                    continue;
                }
                wake = due(timer) => {
                    self.timers.remove(&wake);
                    self.shared.metrics.wakes(wake);
                    Input::Wake(wake)
                }
            };
            self.ring.handle(input);
            let outputs: Vec<Output> = std::iter::from_fn(|| self.ring.poll()).collect();
            // Whoever hears that something is done must find it so in the view.
            if outputs.contains(&Output::ViewChanged) {
                self.publish();
            }
            for output in outputs {
                self.act(output);
            }
        }
    }

    fn open(&mut self, mail: Mail) -> Input {
        match mail {
            Mail::Command(command, reply) => Input::Command(self.wait(Waiting::Command(reply)), command),
            Mail::Request(ring, request, mut reply) => {
                if let Request::Leave { from, .. } = &request {
                    reply = self.farewells.check(&self.shared, &from.name, reply);
                }
                Input::Request(self.wait(Waiting::Request(reply)), ring, request)
            }
            Mail::Unreachable(name) => Input::Unreachable(name),
            Mail::AskedBy(peer) => Input::AskedBy(peer),
        }
    }

    fn wait(&mut self, waiting: Waiting) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.waiting.insert(token, waiting);
        token
    }

    /// A request that ended, however it did: even a panic in it is an answer, so that the machine never waits in vain.
    fn ended(
        &mut self,
        ended: Result<(Id, Result<Answer, Failure>), tokio::task::JoinError>,
    ) -> Option<Input> {
        let (id, answer) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(event = "request-broke", %error, "a request to a peer broke");
                (error.id(), Err(Failure::Silent))
            }
        };
        let member = match &answer {
            Ok(Answer::State(state)) => Some(&state.peer.name),
            Ok(Answer::Pong(pong)) => Some(&pong.peer.name).filter(|_| pong.member),
            Ok(Answer::Done | Answer::Found(_)) | Err(_) => None,
        };
        if let Some(member) = member {
            lock(&self.shared.departed).is_back(member);
            if lock(&self.shared.unmet).remove(member) {
                self.introduce();
            }
        }
        self.asked.remove(&id).map(|request| Input::Answer(request, answer))
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Send(id, to, request) => {
                let shared = self.shared.clone();
                let budget = shared.limits.request;
                let is_paced = id.purpose == Purpose::Rectify;
                let wait = is_paced.then(|| self.rectify_pacing.wait(Instant::now()));
                let task = self.asking.spawn(async move {
                    if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
                        tokio::time::sleep(wait).await;
                    }
                    shared.asker().ask(&to, request, budget).await
                });
                self.asked.insert(task.id(), id);
            }
            Output::Reply(token, answer) => {
                if let Some(Waiting::Request(reply)) = self.waiting.remove(&token) {
                    let _ = reply.send(answer); // Whoever asked may have gone.
                }
            }
            Output::Done(token, result) => {
                if let Some(Waiting::Command(reply)) = self.waiting.remove(&token) {
                    let _ = reply.send(result);
                }
            }
            Output::Wake(wake, after) => {
                self.timers.insert(wake, Instant::now() + jittered(after, rand::random()));
            }
            Output::ViewChanged => {} // Published before all else.
            Output::Event(event) => Self::log(&self.shared, &event),
        }
    }

    fn publish(&mut self) {
        let view = self.ring.view().clone();
        // Whoever finds the new neighbours in the view finds what is lacking with them too.
        self.shared.records.tell(&view);
        self.log_membership(&view);
        if !view.is_member() {
            self.shared.shortcuts.forget_all(); // The next ring is another one, perhaps.
        }
        self.log_smallness(&view);
        self.introduce();
        self.shared.view.store(Arc::new(view));
        self.shared.view_changed.send_replace(());
    }

    /// Tells whom this node knows, its neighbours first, and leaves out who has left for good, and while it has neighbours
    /// those of whom it was told and who were never in its ring: they have nothing of it. Before it is a member it knows only
    /// what it was told: what an earlier life wrote down stands.
    fn introduce(&mut self) {
        let view = self.ring.view();
        self.was_member |= view.is_member();
        if !self.was_member {
            return;
        }
        let listed = view.successors().as_slice().iter().chain(view.predecessor());
        let listed: Vec<NodeName> = listed.map(|peer| peer.name.clone()).collect();
        let recalled = self.shared.records.recalled();
        let mut departed = lock(&self.shared.departed);
        let mut unmet = lock(&self.shared.unmet);
        unmet.retain(|name| !listed.contains(name));
        // Others know that it is back, though it has not said so here.
        listed.iter().filter(|name| !self.listed.contains(name)).for_each(|name| departed.is_back(name));
        // Those of the last life come next: should this one end before it has heard of them, the next has to ask them too.
        let further = recalled
            .iter()
            .map(|peer| &peer.name)
            .chain(self.ring.remembered().names())
            .filter(|name| !departed.has_left(name) && (listed.is_empty() || !unmet.contains(name)));
        let mut names: Vec<NodeName> = Vec::new();
        // One that is alone says so by its own name, and does not forget those with whom it was.
        if view.is_member() && view.successors().is_empty() {
            names.push(self.shared.me.name.clone());
        }
        for name in listed.iter().chain(further) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        drop((departed, unmet));
        self.listed = listed;
        self.shared.acquaintances.send_if_modified(|known| {
            let is_news = *known != names;
            *known = names;
            is_news
        });
    }

    /// Says when the node becomes a member of a ring, and when it is one no more.
    fn log_membership(&self, view: &View) {
        let (node, was_member) = (&self.shared.me.name, self.shared.view.load().is_member());
        match (was_member, view.is_member()) {
            (false, true) => {
                tracing::info!(event = "joined", %node, "is a member of the ring {}", view.ring().name);
            }
            (true, false) => tracing::info!(event = "left", %node, "is a member no more"),
            _ => {}
        }
    }

    /// Says whether the ring is small when that becomes known. A list that is neither full nor comes round, as that of a
    /// newcomer or after a failure, tells nothing.
    fn log_smallness(&mut self, view: &View) {
        let (node, length) = (&self.shared.me.name, view.config().successors());
        let is_small = view.is_small();
        let is_known = is_small || view.successors().as_slice().len() >= length;
        if !view.is_member() {
            self.said_small = None;
        } else if is_known && self.said_small.replace(is_small) != Some(is_small) {
            if is_small {
                tracing::info!(event = "ring-small", %node, "the ring is small: it has at most {length} members");
            } else {
                tracing::info!(event = "ring-large", %node, "the ring has more than {length} members");
            }
        }
    }

    pub(crate) fn log(shared: &Shared, event: &Event) {
        let node = &shared.me.name;
        shared.metrics.happened(event);
        match event {
            Event::SuccessorChanged(Some(peer)) => {
                tracing::info!(event = "successor", %node, "successor is now {peer}");
            }
            Event::SuccessorChanged(None) => {
                tracing::info!(event = "alone", %node, "no successor: this node is alone");
            }
            Event::PredecessorChanged(Some(peer)) => {
                tracing::info!(event = "predecessor", %node, "predecessor is now {peer}");
            }
            Event::PredecessorChanged(None) => {
                tracing::info!(event = "predecessor-unknown", %node, "predecessor unknown");
            }
            Event::Dropped(peer, Failure::Refused(Refusal::NotMember)) => {
                lock(&shared.departed).is_no_member(&peer.name);
                tracing::info!(event = "peer-left", %node, "{} has left", peer.name);
            }
            Event::Dropped(peer, failure) => {
                tracing::warn!(event = "peer-dropped", %node, "dropped {peer}: {failure}");
            }
            Event::Merging(peer) => {
                tracing::warn!(event = "merging", %node, "merging with the ring of {peer}");
            }
            Event::Violation { rule, view } => {
                shared.violations.fetch_add(1, Ordering::Relaxed);
                tracing::error!(event = "ring-violation", %node, ?view, "a defect of this program: {rule}; what broke the rule is let go of");
            }
            Event::PositionTaken(peer) => tracing::error!(
                event = "position-taken", %node,
                "left the ring: {peer} has the same position; give one of them another address"
            ),
            other => tracing::info!(event = "ring-event", %node, ?other, "ring event"),
        }
    }
}

/// Ends when the next timer is due; never if there is none.
async fn due(timer: Option<(Wake, Instant)>) -> Wake {
    match timer {
        Some((wake, at)) => {
            tokio::time::sleep_until(at).await;
            wake
        }
        None => std::future::pending().await,
    }
}
