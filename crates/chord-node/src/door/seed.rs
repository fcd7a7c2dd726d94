//! The seed's commands: each turns a request into one question to the node and its answer into the seed's words.

use std::sync::Arc;

use chord_kv::replication::Operation;
use chord_kv::{Key, Value};
use chord_ring::{
    Answer as RingAnswer, Command as RingCommand, CommandError, NodeName, Question, Request as RingRequest,
};
use chord_wire::{Code, Command, Context, KnownPredecessor, seed};

use crate::OperationError;
pub(super) use crate::asked::Refused;
use crate::asked::Whom;
use crate::error::command_code;
use crate::guard::Visitor;
use crate::links::text;
use crate::metrics::Door;
use crate::operation::{Outcome, Ticket, Wish};
use crate::secret::Role;
use crate::shared::Shared;

/// An answer, in whatever language it will be said.
pub(super) struct Answered {
    pub(super) answer: seed::Answer,
    pub(super) context: Context,
}

/// Does what one request asks.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    (door, visitor): (Door, &Visitor),
    request: seed::Request,
    context: Context,
) -> Result<Answered, Refused> {
    let command = request.command();
    let desk = Desk { shared, door, whom: Whom::of(shared, &context), context };
    // Who names itself a node is believed more.
    let least = if desk.whom.peer.is_some() { Role::Node } else { Role::Read };
    shared.guard.admit(visitor, role(command).max(least))?;
    if command != Command::Node {
        shared.admit(desk.whom.ring.as_ref())?; // `node` is the ring's `Ping`: see `View::admit_request`.
    }
    match request {
        seed::Request::Node => Ok(desk.node()),
        seed::Request::GetPredecessor => desk.predecessor(),
        seed::Request::GetSuccessorList => desk.successor_list(),
        seed::Request::FindSuccessor { target } => desk.find_successor(&target).await,
        seed::Request::Get { key } => desk.get(&key).await,
        seed::Request::Put { key, value, no_redirect } => desk.put(&key, &value, no_redirect).await,
        seed::Request::Create => desk.command(RingCommand::Create).await,
        seed::Request::Join { remote } => desk.command(RingCommand::Join(remote)).await,
        seed::Request::Shutdown => Ok(desk.shutdown().await),
        seed::Request::Notify { remote } => {
            // A leaving seed node names its predecessor, or nobody; in a ring of two that is this very node.
            let before = remote.filter(|remote| *remote != shared.me.name);
            let request = before.map_or(RingRequest::ForgetPredecessor, |from| RingRequest::Notify {
                from: shared.peer(from),
            });
            desk.ring_request(request).await
        }
        seed::Request::Leave(leaving) => desk.leave(leaving).await,
    }
}

/// What somebody must be who gives that command.
const fn role(command: Command) -> Role {
    match command {
        Command::Node
        | Command::FindSuccessor
        | Command::GetPredecessor
        | Command::GetSuccessorList
        | Command::Get => Role::Read,
        Command::Put => Role::Write,
        Command::Create | Command::Join | Command::Shutdown => Role::Admin,
        Command::Notify | Command::Leave => Role::Node,
    }
}

/// One request at the door.
struct Desk<'a> {
    shared: &'a Arc<Shared>,
    door: Door,
    whom: Whom,
    context: Context,
}

impl Desk<'_> {
    fn node(&self) -> Answered {
        let is_alive = self.shared.is_staying();
        let member = Some(self.shared.view().is_member());
        let context = Context { member, ..self.shared.asker().description() };
        say(seed::Answer::Node { node: self.shared.me.name.clone(), is_alive }, context)
    }

    fn predecessor(&self) -> Result<Answered, Refused> {
        let state = self.shared.view().state().map_err(|refusal| self.shared.refuse(&refusal))?;
        let predecessor = state.predecessor.map(|peer| peer.name);
        let context = Context { predecessor: Some(known(predecessor.clone())), ..self.identity() };
        Ok(say(seed::Answer::Predecessor(predecessor), context))
    }

    /// Our own nodes get the list as it is, and the predecessor beside it; others get the seed's m entries.
    fn successor_list(&self) -> Result<Answered, Refused> {
        let state = self.shared.state_for(&self.whom)?;
        let mut list: Vec<NodeName> = state.successors.into_iter().map(|peer| peer.name).collect();
        if self.whom.peer.is_none() {
            let entries = usize::from(self.shared.ring.size.bits());
            list = seed::fill_successor_list(&self.shared.me.name, &list, entries);
        }
        let predecessor = known(state.predecessor.map(|peer| peer.name));
        let context = Context { predecessor: Some(predecessor), ..self.shared.asker().description() };
        Ok(say(seed::Answer::SuccessorList(list), context))
    }

    async fn find_successor(&self, target: &seed::Target) -> Result<Answered, Refused> {
        let target = target.position(self.shared.ring.size);
        let Context { named, path, remaining, .. } = self.context.clone();
        let question = RingRequest::FindSuccessor(Question { target, named, path });
        let RingAnswer::Found(found) = self.shared.answer_ring(&self.whom, question, remaining).await? else {
            return Err(Refused::new(Code::Internal, "a question about an owner brought another answer"));
        };
        let answer = seed::Answer::FindSuccessor { node: found.owner.name, hops: found.hops };
        Ok(say(answer, Context { path: found.path, ..self.identity() }))
    }

    async fn get(&self, key: &str) -> Result<Answered, Refused> {
        let outcome = self.operate(Wish::new(parse_key(key)?, Operation::Get)).await?;
        let value = outcome.value().map(as_text).transpose()?;
        let record = outcome.kept.record.as_ref();
        let context = Context {
            version: record.map(|record| record.version),
            expires_at_ms: record.and_then(|record| record.expires_at_ms),
            ..Context::default()
        };
        Ok(say(seed::Answer::Get { storage_node: outcome.owner, hops: outcome.hops, value }, context))
    }

    async fn put(&self, key: &str, value: &str, no_redirect: bool) -> Result<Answered, Refused> {
        let key = parse_key(key)?;
        let value = Value::new(value.as_bytes(), self.shared.limits.value_bytes)
            .map_err(|error| refused(&error.into()))?;
        if no_redirect {
            return self.adopt(key, value).await;
        }
        let outcome = self.operate(Wish::new(key, Operation::put(value))).await?;
        let version = outcome.kept.record.map(|record| record.version);
        let answer = seed::Answer::Put { storage_node: outcome.owner, hops: outcome.hops };
        Ok(say(answer, Context { version, ..Context::default() }))
    }

    /// Takes a record that a seed node leaves here.
    async fn adopt(&self, key: Key, value: Value) -> Result<Answered, Refused> {
        let until = self.ticket().until;
        let adopted = self.shared.records.adopt(key, value, until).await;
        match adopted {
            Some(Ok(_)) => {
                let storage_node = self.shared.me.name.clone();
                Ok(say(seed::Answer::Put { storage_node, hops: 0 }, Context::default()))
            }
            Some(Err(error)) => Err(refused(&error.into())),
            None => Err(Refused::new(Code::Busy, "this node is too busy at the moment: try again")),
        }
    }

    async fn operate(&self, wish: Wish) -> Result<Outcome, Refused> {
        self.shared.operate(wish, self.ticket()).await.map_err(|error| refused(&error))
    }

    async fn command(&self, command: RingCommand) -> Result<Answered, Refused> {
        let done = self.shared.command(command).await;
        done.map_err(|error: CommandError| Refused::new(command_code(&error), error.to_string()))?;
        Ok(say(seed::Answer::Done, Context::default()))
    }

    /// The answer goes out before the node ends: it closes its door when this connection has had it.
    async fn shutdown(&self) -> Answered {
        self.shared.shut_down().await;
        say(seed::Answer::Done, Context::default())
    }

    async fn leave(&self, leaving: seed::Leaving) -> Result<Answered, Refused> {
        let request = RingRequest::Leave {
            from: self.shared.peer(leaving.node),
            predecessor: leaving.predecessor.map(|name| self.shared.peer(name)),
            successors: leaving.successor_list.into_iter().map(|name| self.shared.peer(name)).collect(),
        };
        self.ring_request(request).await
    }

    async fn ring_request(&self, request: RingRequest) -> Result<Answered, Refused> {
        self.shared.answer_ring(&self.whom, request, None).await?;
        Ok(say(seed::Answer::Done, Context::default()))
    }

    fn identity(&self) -> Context {
        self.shared.asker().identity()
    }

    fn ticket(&self) -> Ticket {
        Ticket::of(self.door, &self.context, self.shared.limits.operation)
    }
}

fn known(predecessor: Option<NodeName>) -> KnownPredecessor {
    predecessor.map_or(KnownPredecessor::Nobody, KnownPredecessor::Node)
}

/// Refuses peers of other rings; plain clients and seed nodes say nothing of theirs.
pub(super) fn admit(shared: &Shared, context: &Context) -> Result<(), Refused> {
    shared.admit(context.ring.as_ref())
}

fn as_text(value: &Value) -> Result<String, Refused> {
    text(value.as_bytes()).ok_or_else(|| refused(&OperationError::NotText))
}

fn parse_key(key: &str) -> Result<Key, Refused> {
    Key::new(key.as_bytes()).map_err(|error| refused(&error.into()))
}

fn say(answer: seed::Answer, context: Context) -> Answered {
    Answered { answer, context }
}

pub(super) fn refused(error: &OperationError) -> Refused {
    error.into()
}
