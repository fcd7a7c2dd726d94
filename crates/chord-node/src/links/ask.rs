//! The ring's messages in the seed's language: each request of [`chord_ring`] as an HTTP exchange, and back.

use std::time::Duration;

use bytes::Bytes;
use chord_ring::{Answer, Failure, Found, NodeName, Peer, Pong, Question, Refusal, Request, RingSize, State};
use chord_wire::{Code, Command, Context, KnownPredecessor, seed};
use http::StatusCode;

use super::{Exchange, Link, Links};

/// Asks peers on behalf of one node.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) me: &'a NodeName,
    pub(crate) links: &'a Links,
    pub(crate) incarnation: u64,
}

impl Asker<'_> {
    /// Puts one request of the ring to a peer. Ends within the longest wait of the limits, except that `FindSuccessor`
    /// ends within `budget` as well.
    pub(crate) async fn ask(
        &self,
        to: &NodeName,
        request: Request,
        budget: Duration,
    ) -> Result<Answer, Failure> {
        let link = self.links.to(to);
        match request {
            Request::Ping => self.ping(&link).await.map(Answer::Pong),
            Request::GetState => self.state(to, &link).await.map(Answer::State),
            Request::Notify { from } => self.notify(to, &link, Some(from.name)).await,
            Request::ForgetPredecessor => self.notify(to, &link, None).await,
            Request::Leave { from, predecessor, successors } => {
                if link.is_seed() {
                    return self.notify(to, &link, predecessor.map(|peer| peer.name)).await;
                }
                let leaving = seed::Leaving {
                    node: from.name,
                    predecessor: predecessor.map(|peer| peer.name),
                    successor_list: successors.into_iter().map(|peer| peer.name).collect(),
                };
                self.call(to, &link, &seed::Request::Leave(leaving)).await.map(|_| Answer::Done)
            }
            Request::FindSuccessor(question) => {
                self.find_successor(to, &link, question, budget).await.map(Answer::Found)
            }
        }
    }

    async fn ping(&self, link: &Link) -> Result<Pong, Failure> {
        let exchange = self.exchange(link, &seed::Request::Node).await?;
        let context = exchange.context()?;
        // A node of another ring still says who it is: the joiner wants to tell its operator.
        match self.understand(self.me, Command::Node, &exchange) {
            Ok(seed::Answer::Node { node, is_alive }) => Ok(Pong {
                peer: self.peer(node),
                member: is_alive && context.member.unwrap_or(true),
                ring: context.ring,
            }),
            Ok(_) => Err(Failure::Garbled),
            Err(failure) => Err(failure),
        }
    }

    /// Our own nodes say everything in one answer. A seed node is asked twice, its list last, since only that is copied.
    async fn state(&self, to: &NodeName, link: &Link) -> Result<State, Failure> {
        if !link.is_seed() {
            let exchange = self.exchange(link, &seed::Request::GetSuccessorList).await?;
            let list = self.understand(to, Command::GetSuccessorList, &exchange)?;
            let context = exchange.context()?;
            if let (Some(predecessor), seed::Answer::SuccessorList(list)) = (context.predecessor, list) {
                let predecessor = match predecessor {
                    KnownPredecessor::Nobody => None,
                    KnownPredecessor::Node(name) => Some(name),
                };
                let name = context.from.unwrap_or_else(|| to.clone());
                return Ok(self.state_of(name, predecessor, list, context.ring.map(|ring| ring.size)));
            }
            link.set_seed(true);
        }
        let seed::Answer::Predecessor(predecessor) =
            self.call(to, link, &seed::Request::GetPredecessor).await?
        else {
            return Err(Failure::Garbled);
        };
        let exchange = self.exchange(link, &seed::Request::GetSuccessorList).await?;
        link.set_seed(exchange.context()?.predecessor.is_none());
        let seed::Answer::SuccessorList(list) = self.understand(to, Command::GetSuccessorList, &exchange)?
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
        budget: Duration,
    ) -> Result<Found, Failure> {
        let request = seed::Request::FindSuccessor { target: seed::Target::Position(question.target) };
        let context = onward(self.context(), question.path, question.named, budget)?;
        let body = Bytes::from(seed::encode_request(&request));
        let exchange = link.call_onward(Command::FindSuccessor, &context, body, budget).await?;
        match self.understand(to, Command::FindSuccessor, &exchange)? {
            seed::Answer::FindSuccessor { node, hops } => {
                Ok(Found { owner: self.peer(node), hops, path: exchange.context()?.path })
            }
            _ => Err(Failure::Garbled),
        }
    }

    async fn call(
        &self,
        to: &NodeName,
        link: &Link,
        request: &seed::Request,
    ) -> Result<seed::Answer, Failure> {
        let exchange = self.exchange(link, request).await?;
        self.understand(to, request.command(), &exchange)
    }

    async fn exchange(&self, link: &Link, request: &seed::Request) -> Result<Exchange, Failure> {
        let body = Bytes::from(seed::encode_request(request));
        link.call(request.command(), &self.context(), body).await
    }

    /// What an exchange with a peer means.
    pub(crate) fn understand(
        &self,
        peer: &NodeName,
        command: Command,
        exchange: &Exchange,
    ) -> Result<seed::Answer, Failure> {
        if exchange.status == StatusCode::OK {
            return seed::decode_answer(command, &exchange.body).map_err(|bad| {
                tracing::warn!(%peer, "{bad}");
                Failure::Garbled
            });
        }
        let context = exchange.context()?;
        let refusal = match (context.code, context.ring) {
            (Some(Code::NotMember), _) => Refusal::NotMember,
            (Some(Code::NoRoute), _) => Refusal::NoRoute,
            (Some(Code::HopLimit), _) => Refusal::HopLimit,
            (Some(Code::PositionTaken), _) => {
                Refusal::PositionTaken { newcomer: self.me.clone(), member: peer.clone() }
            }
            (Some(Code::RingSizeDiffers), Some(ring)) => {
                Refusal::RingSizeDiffers { here: ring.size, there: self.links.ring.size }
            }
            (Some(Code::ForeignRing), Some(ring)) => {
                Refusal::ForeignRing { here: ring.name, there: self.links.ring.name.clone() }
            }
            (Some(Code::Busy | Code::Deadline | Code::TooSlow), _) => return Err(Failure::Silent),
            (code, _) => {
                let status = exchange.status.as_u16();
                tracing::warn!(%peer, %command, status, ?code, "a peer answered with an error");
                return Err(Failure::Garbled);
            }
        };
        Err(Failure::Refused(refusal))
    }

    fn context(&self) -> Context {
        Context {
            ring: Some(self.links.ring.clone()),
            from: Some(self.me.clone()),
            incarnation: Some(self.incarnation),
            ..Context::default()
        }
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
    Ok(Context { path, named, remaining: Some(budget * 9 / 10), ..context })
}
