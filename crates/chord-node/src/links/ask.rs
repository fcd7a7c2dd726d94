//! The ring's messages in the seed's words: each request of [`chord_ring`] as one or two of the seed's, and back.

use std::time::Duration;

use chord_ring::{
    Answer, Failure, Found, NodeName, Peer, Pong, Position, Question, Refusal, Request, RingSize, RingTag,
    State, budget_onward, owner_by_range,
};
use chord_wire::frame::VERSIONS;
use chord_wire::{Code, Command, Context, KnownPredecessor, seed};

use super::sent::Purpose;
use super::{Budget, Link, Links, Refused, Reply};

/// Asks peers on behalf of one node.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) me: &'a NodeName,
    pub(crate) links: &'a Links,
}

impl Asker<'_> {
    /// Puts one request of the ring to a peer. Ends within the longest wait of the limits and within `budget`, however many
    /// requests it takes in the peer's language.
    pub(crate) async fn ask(
        &self,
        to: &NodeName,
        request: Request,
        budget: Duration,
    ) -> Result<Answer, Failure> {
        let purpose = Purpose::of_ring(&request);
        self.links.sent.count(purpose);
        let link = self.links.to(to);
        let wait = budget.min(self.links.limits.request);
        let answer = tokio::time::timeout(wait, self.ask_peer(to, &link, request, wait)).await;
        let answer = answer.unwrap_or_else(|_| {
            link.gave_up();
            Err(Failure::Silent)
        });
        answer.inspect_err(|failure| self.links.sent.ended(purpose, failure))
    }

    async fn ask_peer(
        &self,
        to: &NodeName,
        link: &Link,
        request: Request,
        budget: Duration,
    ) -> Result<Answer, Failure> {
        let budget = Budget::new(budget);
        if let Some(answer) = self.ask_in_frames(to, link, &request, budget.left()).await? {
            return Ok(answer);
        }
        // On the heap: it is seldom, and whoever asks often has room for all of this.
        Box::pin(self.ask_in_seeds_words(to, link, request, budget)).await
    }

    async fn ask_in_seeds_words(
        &self,
        to: &NodeName,
        link: &Link,
        request: Request,
        budget: Budget,
    ) -> Result<Answer, Failure> {
        match request {
            Request::Ping => self.ping(to, link).await.map(Answer::Pong),
            Request::GetState => self.state(to, link).await.map(Answer::State),
            Request::Notify { from } => self.notify(to, link, Some(from.name)).await,
            Request::ForgetPredecessor => self.notify(to, link, None).await,
            Request::Leave { from, predecessor, successors } => {
                let before = predecessor.map(|peer| peer.name);
                if link.is_seed() {
                    // A seed node is told by its predecessor alone; its successor's end it finds out by itself.
                    return match before {
                        Some(before) if before == *to => Ok(Answer::Done),
                        before => self.notify(to, link, before).await,
                    };
                }
                let leaving = seed::Leaving {
                    node: from.name,
                    predecessor: before,
                    successor_list: successors.into_iter().map(|peer| peer.name).collect(),
                };
                self.call(to, link, &seed::Request::Leave(leaving)).await.map(|_| Answer::Done)
            }
            Request::FindSuccessor(question) => {
                self.find_successor(to, link, question, budget).await.map(Answer::Found)
            }
        }
    }

    pub(super) async fn ping(&self, to: &NodeName, link: &Link) -> Result<Pong, Failure> {
        let budget = self.links.limits.request;
        if let Some(Answer::Pong(pong)) = self.ask_in_frames(to, link, &Request::Ping, budget).await? {
            return Ok(pong);
        }
        let reply = link.call(&seed::Request::Node, &self.identity()).await?;
        // A node of another ring still says who it is: the joiner wants to tell its operator.
        match self.granted(to, Command::Node, reply)? {
            (seed::Answer::Node { node, is_alive }, context) => Ok(Pong {
                peer: self.peer(node),
                member: is_alive && context.member.unwrap_or(true),
                ring: context.ring,
            }),
            _ => Err(Failure::Garbled),
        }
    }

    /// Our own nodes say everything in one answer. A seed node is asked twice, its list last, since only that is copied.
    async fn state(&self, to: &NodeName, link: &Link) -> Result<State, Failure> {
        if !link.is_seed() {
            let (answer, context) = self.call(to, link, &seed::Request::GetSuccessorList).await?;
            if let (Some(predecessor), seed::Answer::SuccessorList(list)) = (context.predecessor, answer) {
                let predecessor = match predecessor {
                    KnownPredecessor::Nobody => None,
                    KnownPredecessor::Node(name) => Some(name),
                };
                let name = context.from.unwrap_or_else(|| to.clone());
                return Ok(self.state_of(name, predecessor, list, context.ring.map(|ring| ring.size)));
            }
        }
        let (seed::Answer::Predecessor(predecessor), _) =
            self.call(to, link, &seed::Request::GetPredecessor).await?
        else {
            return Err(Failure::Garbled);
        };
        let (seed::Answer::SuccessorList(list), _) =
            self.call(to, link, &seed::Request::GetSuccessorList).await?
        else {
            return Err(Failure::Garbled);
        };
        let size = u64::try_from(list.len()).ok().and_then(|bits| RingSize::new(bits).ok());
        let size = size.filter(|_| link.is_seed());
        Ok(self.state_of(to.clone(), predecessor, list, size))
    }

    fn state_of(
        &self,
        name: NodeName,
        predecessor: Option<NodeName>,
        list: Vec<NodeName>,
        ring_size: Option<RingSize>,
    ) -> State {
        // A seed node's list goes round and round: through the node itself, and the successors again.
        let list = seed::cut_at_repeat(list).into_iter().take_while(|successor| *successor != name);
        let successors = list.map(|name| self.peer(name)).collect();
        let predecessor = predecessor.filter(|predecessor| *predecessor != name).map(|name| self.peer(name));
        State { peer: self.peer(name), predecessor, successors, ring_size }
    }

    async fn notify(&self, to: &NodeName, link: &Link, remote: Option<NodeName>) -> Result<Answer, Failure> {
        self.call(to, link, &seed::Request::Notify { remote }).await.map(|_| Answer::Done)
    }

    async fn find_successor(
        &self,
        to: &NodeName,
        link: &Link,
        question: Question,
        budget: Budget,
    ) -> Result<Found, Failure> {
        if question.named {
            if link.shown_seed().is_none() {
                self.ping(to, link).await?;
            }
            if link.is_seed() {
                return self.seed_owner(to, link, question.target).await;
            }
        }
        let request = seed::Request::FindSuccessor { target: seed::Target::Position(question.target) };
        let left = budget.left();
        let context = onward(self.identity(), question.path, question.named, left)?;
        let reply = link.call_onward(&request, &context, left).await?;
        match self.granted(to, Command::FindSuccessor, reply)? {
            (seed::Answer::FindSuccessor { node, hops }, context) => {
                Ok(Found { owner: self.peer(node), hops, path: context.path, after: None, took: Vec::new() })
            }
            _ => Err(Failure::Garbled),
        }
    }

    /// A seed node that is named as the owner is asked what its range is. Asked for the owner, it would go round the ring
    /// and back to this node, since it answers only for its successor's range (TON 2003, figure 5).
    async fn seed_owner(&self, to: &NodeName, link: &Link, target: Position) -> Result<Found, Failure> {
        if !self.ping(to, link).await?.member {
            return Err(Failure::Refused(Refusal::NotMember));
        }
        let (seed::Answer::Predecessor(before), _) =
            self.call(to, link, &seed::Request::GetPredecessor).await?
        else {
            return Err(Failure::Garbled);
        };
        let before = before.map(|before| self.peer(before));
        owner_by_range(self.peer(to.clone()), before.as_ref(), target).map_err(Failure::Refused)
    }

    async fn call(
        &self,
        to: &NodeName,
        link: &Link,
        request: &seed::Request,
    ) -> Result<(seed::Answer, Context), Failure> {
        let reply = link.call(request, &self.identity()).await?;
        self.granted(to, request.command(), reply)
    }

    /// What a peer answered, unless it refused.
    pub(crate) fn granted(
        &self,
        peer: &NodeName,
        command: Command,
        reply: Reply,
    ) -> Result<(seed::Answer, Context), Failure> {
        let Reply { answer, context } = reply;
        let refused = match answer {
            Ok(answer) => {
                if let Some(copies) =
                    context.keeping.filter(|_| context.ring.as_ref() == Some(&self.links.ring))
                {
                    self.links.to(peer).compare_copies(self.links.copies, copies);
                }
                return Ok((answer, context));
            }
            Err(refused) => refused,
        };
        Err(self.failure(peer, &refused, context.ring.as_ref()).unwrap_or_else(|| {
            let code = refused.code.map_or("without a code", Code::as_str);
            let what = format!("it says, as an error ({code}): {}", refused.sentence);
            let (link, asked) = (self.links.to(peer), command.to_string());
            // A node of ours tells everybody who it is but those whom it does not let in.
            match (command, refused.code) {
                (Command::Node, Some(_)) => link.part(&asked, &what),
                _ => link.report(&asked, &what),
            }
            Failure::Garbled
        }))
    }

    /// What a refusal means to the ring; `None` if it is about something else. `theirs` is the peer's ring.
    pub(crate) fn failure(
        &self,
        peer: &NodeName,
        refused: &Refused,
        theirs: Option<&RingTag>,
    ) -> Option<Failure> {
        let refusal = match (refused.code, theirs) {
            (Some(Code::NotMember), _) => Refusal::NotMember,
            (Some(Code::NoRoute), _) => Refusal::NoRoute,
            (Some(Code::HopLimit), _) => Refusal::HopLimit,
            (Some(Code::PositionTaken), _) => {
                Refusal::PositionTaken { newcomer: self.me.clone(), member: peer.clone() }
            }
            (Some(Code::RingSizeDiffers), Some(theirs)) => {
                Refusal::RingSizeDiffers { here: theirs.size, there: self.links.ring.size }
            }
            (Some(Code::ForeignRing), Some(theirs)) => {
                Refusal::ForeignRing { here: theirs.name.clone(), there: self.links.ring.name.clone() }
            }
            (Some(Code::Busy | Code::Deadline | Code::Uncertain | Code::TooSlow), _) => {
                return Some(Failure::Silent);
            }
            (Some(Code::NoSecret), _) => {
                self.links.to(peer).part("who this node is", &format!("it says: {}", refused.sentence));
                return Some(Failure::Silent);
            }
            _ => return None,
        };
        Some(Failure::Refused(refusal))
    }

    /// Who this node is, for the context of what it says.
    pub(crate) fn identity(&self) -> Context {
        Context { ring: Some(self.links.ring.clone()), from: Some(self.me.clone()), ..Context::default() }
    }

    /// The same, for the answers in which a node tells of itself.
    pub(crate) fn description(&self) -> Context {
        Context { keeping: Some(self.links.copies), frames: Some(VERSIONS), ..self.identity() }
    }

    /// The least that a request between two nodes says: which ring it is about.
    pub(crate) fn of_ring(&self) -> Context {
        Context { ring: Some(self.links.ring.clone()), ..Context::default() }
    }

    fn peer(&self, name: NodeName) -> Peer {
        Peer::of_name(name, self.links.ring.size)
    }
}

/// The context of a request that the receiver may have to send on: it must be back before `budget` is spent here.
pub(crate) fn onward(
    context: Context,
    path: Vec<NodeName>,
    named: bool,
    budget: Duration,
) -> Result<Context, Failure> {
    if !chord_wire::path_fits(&path) {
        return Err(Failure::Refused(Refusal::HopLimit));
    }
    Ok(Context { path, named, remaining: Some(budget_onward(budget)), ..context })
}
