//! A client of one node, in any language that the node speaks.

mod keys;
mod live;
mod rest;

use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chord_kv::replication::{
    AnswerBody, Consistency, Header, Operation, Outcome, PeerAnswer, PeerRequest, Proposal,
};
use chord_kv::{Cursor, Key, Range, VALUE_BYTES_LIMIT};
use chord_ring::{NodeName, RingTag, budget_onward};
use chord_wire::frame::{self, Asked};
use chord_wire::replica::{DataAnswer, DataRequest, Operate, ReplicaLimits, decode_answer, encode_request};
use chord_wire::{Code, Command, Context, seed};
use http::StatusCode;

use crate::links::{
    Answered, Connections, Exchange, Heard, NoAnswer, OPERATE_PATH, REPLICA_PATH, REPLICA_TYPE, Refused,
    Said, Sending, Spoken, Terms, Unanswered,
};
use crate::secret::{Holder, SecretFile};
use crate::tls::{ClientTls, Dialer};
use crate::{Language, Limits, SecretFileError};
pub use keys::{ClientKeys, KeysError};
pub use live::{LiveRing, RingEvent};

/// Talks to one node, on kept connections.
pub struct Client {
    node: NodeName,
    language: Language,
    connections: Connections,
    /// For what is asked in frames, as long as the node speaks them.
    frames: Spoken,
    /// The node's ring, once it was asked, and who this client is there.
    ring: OnceLock<(RingTag, Terms)>,
    /// By which it is let in.
    secrets: Option<Arc<SecretFile>>,
    tls: Option<ClientTls>,
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operated {
    /// What is under the key now and before, and how many copies there are.
    pub outcome: Outcome,
    /// The node that owns the key.
    pub owner: NodeName,
    /// How many times the request was forwarded.
    pub hops: u32,
}

/// Some of what a node keeps, in the order of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The records without their values, tombstones included.
    pub headers: Vec<Header>,
    /// Where to go on; `None` when there is no more.
    pub next: Option<Cursor>,
}

/// What a node answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The answer.
    pub answer: seed::Answer,
    /// What it says beside its body; empty from a seed node.
    pub context: Context,
}

/// Why a node did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody serves at that address. Nothing changed.
    #[error("nobody answers at {0}: is a node running there?")]
    Unreachable(NodeName),
    /// No connection came about: the name is unknown, the network is down, or this program has too many files open.
    /// Nothing changed.
    #[error("no connection to {node}: {reason}")]
    NoConnection {
        /// The node.
        node: NodeName,
        /// What the system said.
        reason: String,
    },
    /// TLS is not agreed on with who is there, or its certificate is not believed. Nothing was sent.
    #[error("no connection to {node} in TLS: {reason}")]
    NoTls {
        /// The node.
        node: NodeName,
        /// Why not.
        reason: String,
    },
    /// The deadline passed. A write may or may not have happened.
    #[error("{node} did not answer within {} s", .waited.as_secs_f64())]
    Silent {
        /// The node.
        node: NodeName,
        /// How long it was given.
        waited: Duration,
    },
    /// The node closed the connection. A write may or may not have happened.
    #[error(
        "{0} closed the connection without an answer: it may have stopped, or does not take a request so large"
    )]
    Closed(NodeName),
    /// The request holds what the language has no way to say. Nothing was sent.
    #[error("{0}")]
    Unsayable(String),
    /// The answer is not of this protocol.
    #[error("{node} does not speak the chord protocol: {reason}")]
    Garbled {
        /// The node.
        node: NodeName,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The answer is larger than any that a node gives. A write may have happened.
    #[error("the answer of {node} is too large: it has more than {limit} bytes")]
    TooLarge {
        /// The node.
        node: NodeName,
        /// How many bytes an answer may have.
        limit: usize,
    },
    /// The node is of another program: it can do what chord.py does, and no more. Nothing changed.
    #[error(
        "{0} is a node of chord.py, which can only put and get text: for anything else, ask a node of this program"
    )]
    OtherProgram(NodeName),
    /// The node refused.
    #[error("{node} answered: {sentence}")]
    Refused {
        /// The node.
        node: NodeName,
        /// Why, for programs; `None` from a seed node.
        code: Option<Code>,
        /// Why, for people.
        sentence: String,
    },
}

impl ClientError {
    /// The node that it is about; `None` of a request that was not sent.
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Unreachable(node)
            | Self::Closed(node)
            | Self::OtherProgram(node)
            | Self::NoConnection { node, .. }
            | Self::NoTls { node, .. }
            | Self::Silent { node, .. }
            | Self::Garbled { node, .. }
            | Self::TooLarge { node, .. }
            | Self::Refused { node, .. } => Some(node),
            Self::Unsayable(_) => None,
        }
    }
}

impl Client {
    /// A client of that node, which speaks JSON over HTTP to it. Connects when it is first used.
    pub fn new(node: NodeName) -> Self {
        Self::speaking(Language::Http, node)
    }

    /// A client of that node in that language. Connects when it is first used.
    pub fn speaking(language: Language, node: NodeName) -> Self {
        // A node may be told to accept the largest values, whatever this program would accept as a node.
        let limits = Limits { value_bytes: VALUE_BYTES_LIMIT, ..Limits::default() };
        let connections = Connections::new(node.clone(), limits.link_connections, limits.answer_bytes());
        let frames = Spoken::new(node.clone());
        Self { frames, node, language, connections, ring: OnceLock::new(), secrets: None, tls: None }
    }

    /// Is let in by a secret: the first one in that file, which is as a node has it (see
    /// [`Builder::secret_file`](crate::Builder::secret_file)), but for that one of any role will do.
    ///
    /// Operations on keys and [`Client::list`] show that it is known without saying it; what else is asked says it to the node, in
    /// a header.
    ///
    /// # Errors
    /// There is no secret in the file, or others can read it.
    pub fn with_secret_file(self, path: impl AsRef<Path>) -> Result<Self, SecretFileError> {
        Ok(self.with_secrets(Arc::new(SecretFile::open(path.as_ref(), Holder::Client)?)))
    }

    /// The secret by which it is let in, for programs that speak with the node in their own way too; `None` if it has none.
    pub fn secret(&self) -> Option<&[u8]> {
        self.connections.authorization().and_then(|said| said.as_bytes().strip_prefix(b"Bearer "))
    }

    fn with_secrets(self, secrets: Arc<SecretFile>) -> Self {
        let frames = Spoken::alone(self.node.clone());
        Self { connections: self.connections.with_secret(&secrets), frames, secrets: Some(secrets), ..self }
    }

    /// Speaks TLS with the node, and believes it only if it shows a certificate that is for the host of its name.
    pub fn with_tls(self, tls: ClientTls) -> Self {
        let connections = self.connections.in_tls(Some(tls.dialer().clone()));
        Self { connections, tls: Some(tls), ..self }
    }

    fn dialer(&self) -> Option<Dialer> {
        self.connections.dialer().cloned()
    }

    /// A client of another node of the same ring, which speaks with it as this one does and is let in as it is.
    #[must_use]
    pub fn of_other(&self, node: NodeName) -> Self {
        let other = Self::new(node);
        let other = match &self.tls {
            Some(tls) => other.with_tls(tls.clone()),
            None => other,
        };
        match &self.secrets {
            Some(secrets) => other.with_secrets(secrets.clone()),
            None => other,
        }
    }

    /// The node.
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// Asks, and waits for the answer until the deadline.
    ///
    /// # Errors
    /// The node is not there, too slow, not one of ours, or it refused.
    pub async fn call(&self, request: &seed::Request, deadline: Duration) -> Result<Reply, ClientError> {
        let said =
            self.language.say(request).map_err(|unsayable| ClientError::Unsayable(unsayable.to_string()))?;
        let sending = Sending::new(Answered::WithOthers);
        let sending = if is_question(request.command()) { sending } else { sending.once() };
        let exchange = self.exchange(&sending, &said, &Context::default(), deadline).await?;
        let reply =
            self.language.understand(request.command(), &exchange).map_err(|wrong| self.garbled(&wrong))?;
        match reply.answer {
            Ok(answer) => Ok(Reply { answer, context: reply.context }),
            Err(Refused { code, sentence }) => {
                Err(ClientError::Refused { node: self.node.clone(), code, sentence })
            }
        }
    }

    /// Has something done to a key, of any bytes, and waits for the outcome until the deadline.
    ///
    /// # Errors
    /// As for [`Client::call`]. [`ClientError::Silent`] and [`ClientError::Closed`], and the codes [`Code::Uncertain`] and
    /// [`Code::TooFewCopies`], say that a change may have happened.
    pub async fn operate(
        &self,
        key: Key,
        operation: Operation,
        consistency: Consistency,
        deadline: Duration,
    ) -> Result<Operated, ClientError> {
        let is_read = operation == Operation::Get;
        let remaining = budget_onward(deadline);
        let proposal = Proposal::LeftToOwner; // That is for the node that is asked.
        let request = DataRequest::Operate(Operate { key, operation, proposal, consistency, remaining });
        let sending = Sending::new(Answered::WithOthers);
        let sending = if is_read { sending } else { sending.once() };
        let (answer, context) = self.ask_about_records(OPERATE_PATH, &sending, &request, deadline).await?;
        match answer {
            DataAnswer::Operated(Ok(outcome)) => Ok(Operated {
                outcome,
                owner: context.owner.unwrap_or_else(|| self.node.clone()),
                hops: context.hops.unwrap_or(0),
            }),
            DataAnswer::Operated(Err(_)) | DataAnswer::Peer(_) => Err(self.garbled(&"another answer")),
        }
    }

    /// What the node itself keeps of a range, whoever owns it: the next page after `cursor`.
    ///
    /// # Errors
    /// As for [`Client::call`].
    pub async fn list(
        &self,
        range: Range,
        cursor: Option<Cursor>,
        deadline: Duration,
    ) -> Result<Listed, ClientError> {
        match self.ask_as_peer(PeerRequest::List { range, cursor }, deadline).await?.body {
            AnswerBody::Listed { headers, next, account: _ } => Ok(Listed { headers, next }),
            _ => Err(self.garbled(&"another answer")),
        }
    }

    /// Asks what nodes ask each other, as far as that may be asked by one who is none.
    async fn ask_as_peer(&self, request: PeerRequest, deadline: Duration) -> Result<PeerAnswer, ClientError> {
        let sending = Sending::new(Answered::WithOthers);
        let request = DataRequest::Peer(request);
        match self.ask_about_records(REPLICA_PATH, &sending, &request, deadline).await?.0 {
            DataAnswer::Peer(PeerAnswer { body: AnswerBody::Refused(denial), .. }) => {
                let sentence = denial.to_string();
                Err(ClientError::Refused { node: self.node.clone(), code: None, sentence })
            }
            DataAnswer::Peer(answer) => Ok(answer),
            DataAnswer::Operated(_) => Err(self.garbled(&"another answer")),
        }
    }

    /// The ring that the node belongs to.
    ///
    /// # Errors
    /// As for [`Client::call`]; [`ClientError::OtherProgram`] of a node that knows no names of rings.
    pub async fn ring(&self, deadline: Duration) -> Result<RingTag, ClientError> {
        Ok(self.met(deadline).await?.0.clone())
    }

    /// The ring of the node, and who this client is there.
    async fn met(&self, deadline: Duration) -> Result<&(RingTag, Terms), ClientError> {
        match self.ring.get() {
            Some(met) => Ok(met),
            None => self.meet(deadline).await,
        }
    }

    /// Asks the node who it is, and whether it speaks frames: it says so in no other answer that this client wants.
    async fn meet(&self, deadline: Duration) -> Result<&(RingTag, Terms), ClientError> {
        if self.secrets.is_some() {
            return self.meet_in_frames(deadline).await;
        }
        let reply = self.call(&seed::Request::Node, deadline).await?;
        let ring = reply.context.ring.ok_or_else(|| ClientError::OtherProgram(self.node.clone()))?;
        self.frames.hears(reply.context.frames);
        Ok(self.ring.get_or_init(|| (ring.clone(), Terms::of_client(Some(ring), None, self.dialer()))))
    }

    /// The same in frames, which say no secret.
    async fn meet_in_frames(&self, deadline: Duration) -> Result<&(RingTag, Terms), ClientError> {
        let terms = Terms::of_client(None, self.secrets.clone(), self.dialer());
        let ping = Asked { request: frame::Request::Ring(chord_ring::Request::Ping), remaining: None };
        let heard = self.hear_in_frames(&terms, &Sending::new(Answered::ByItself), &ping, deadline).await?;
        let heard = heard.ok_or_else(|| ClientError::OtherProgram(self.node.clone()))?;
        let ring = heard.from.welcome.ring.clone();
        let terms = Terms::of_client(Some(ring.clone()), self.secrets.clone(), self.dialer());
        Ok(self.ring.get_or_init(|| (ring, terms)))
    }

    async fn ask_about_records(
        &self,
        path: &'static str,
        sending: &Sending,
        request: &DataRequest,
        deadline: Duration,
    ) -> Result<(DataAnswer, Context), ClientError> {
        let started = Instant::now();
        // On the heap: it is seldom, and whoever asks often has room for all of this.
        let (ring, terms) = match self.ring.get().filter(|_| !self.frames.wants_to_hear()) {
            Some(met) => met,
            None => Box::pin(self.meet(deadline)).await?,
        };
        let left = || deadline.saturating_sub(started.elapsed());
        if self.frames.may_ask()
            && let Some(answered) = self.ask_in_frames(terms, sending, &asked(request), left()).await?
        {
            return Ok(answered);
        }
        let body = encode_request(request).into();
        let said = Said { path, content_type: REPLICA_TYPE, body };
        let context = Context { ring: Some(ring.clone()), ..Context::default() };
        let exchange = self.exchange(sending, &said, &context, left()).await?;
        let context = exchange.context().map_err(|bad| self.garbled(&bad))?;
        if exchange.status != StatusCode::OK {
            let sentence = chord_wire::decode_error(&exchange.body)
                .ok_or_else(|| self.garbled(&"the answer is an error that says nothing"))?;
            return Err(ClientError::Refused { node: self.node.clone(), code: context.code, sentence });
        }
        let limits = ReplicaLimits { size: ring.size, value_bytes: VALUE_BYTES_LIMIT };
        let answer = decode_answer(&exchange.body, &limits).map_err(|error| self.garbled(&error))?;
        let answer = answer.with_deleted(context.version).if_repeated(context.repeated);
        let contradicts = || self.garbled(&"the answer contradicts what is said beside it");
        Ok((answer.ok_or_else(contradicts)?, context))
    }

    /// Asks in frames; `None` if the node is to be asked in other words.
    async fn ask_in_frames(
        &self,
        terms: &Terms,
        sending: &Sending,
        asked: &Asked,
        deadline: Duration,
    ) -> Result<Option<(DataAnswer, Context)>, ClientError> {
        let Some(heard) = self.hear_in_frames(terms, sending, asked, deadline).await? else {
            return Ok(None);
        };
        match *heard.answer {
            frame::Answer::Records(answer) => Ok(Some((DataAnswer::Peer(answer), Context::default()))),
            frame::Answer::Operated { result, owner, hops } => {
                Ok(Some((DataAnswer::Operated(result), Context { owner, hops, ..Context::default() })))
            }
            frame::Answer::Refused(frame::Refused { code, sentence }) => {
                Err(ClientError::Refused { node: self.node.clone(), code, sentence })
            }
            frame::Answer::Ring(_) | frame::Answer::Described(_) => Err(self.garbled(&"another answer")),
        }
    }

    /// What comes back in frames; `None` if the node is to be asked in other words.
    async fn hear_in_frames(
        &self,
        terms: &Terms,
        sending: &Sending,
        asked: &Asked,
        deadline: Duration,
    ) -> Result<Option<Heard>, ClientError> {
        let exchange = pin!(self.frames.exchange(terms, sending, asked));
        match tokio::time::timeout(deadline, exchange).await {
            Ok(Ok(heard)) => Ok(heard),
            Ok(Err(Unanswered::NotSent)) => Err(ClientError::Closed(self.node.clone())),
            Ok(Err(Unanswered::NoAnswer(no_answer))) => Err(self.unanswered(no_answer)),
            Ok(Err(Unanswered::Strange(sentence))) => {
                Err(ClientError::Refused { node: self.node.clone(), code: Some(Code::NoSecret), sentence })
            }
            Ok(Err(unspoken @ (Unanswered::NotSpoken(_) | Unanswered::Wrong(_)))) => {
                Err(self.garbled(&unspoken))
            }
            Err(_) => Err(ClientError::Silent { node: self.node.clone(), waited: deadline }),
        }
    }

    async fn exchange(
        &self,
        sending: &Sending,
        said: &Said,
        context: &Context,
        deadline: Duration,
    ) -> Result<Exchange, ClientError> {
        let exchange = self.connections.exchange(sending, said, context);
        match tokio::time::timeout(deadline, exchange).await {
            Ok(exchange) => exchange.map_err(|no_answer| self.unanswered(no_answer)),
            Err(_) => Err(ClientError::Silent { node: self.node.clone(), waited: deadline }),
        }
    }

    fn unanswered(&self, no_answer: NoAnswer) -> ClientError {
        let node = self.node.clone();
        match no_answer {
            NoAnswer::Refused => ClientError::Unreachable(node),
            NoAnswer::NoConnection(error) => ClientError::NoConnection { node, reason: error.to_string() },
            NoAnswer::NoTls(reason) => ClientError::NoTls { node, reason },
            NoAnswer::Closed => ClientError::Closed(node),
            NoAnswer::TooLarge { limit } => ClientError::TooLarge { node, limit },
            broken @ NoAnswer::Broken => self.garbled(&broken),
        }
    }

    fn garbled(&self, reason: &impl ToString) -> ClientError {
        ClientError::Garbled { node: self.node.clone(), reason: reason.to_string() }
    }
}

/// What is asked, for a frame.
fn asked(request: &DataRequest) -> Asked {
    let request = match request.clone() {
        DataRequest::Peer(request) => frame::Request::Records(request),
        DataRequest::Operate(operate) => frame::Request::Operate { operate, named: false, path: Vec::new() },
    };
    Asked { request, remaining: None }
}

/// Whether a command changes nothing, so that it may be sent twice.
const fn is_question(command: Command) -> bool {
    match command {
        Command::Node
        | Command::FindSuccessor
        | Command::GetPredecessor
        | Command::GetSuccessorList
        | Command::Get => true,
        Command::Create
        | Command::Join
        | Command::Notify
        | Command::Put
        | Command::Shutdown
        | Command::Leave => false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::Node;

    const DEADLINE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_value_that_only_a_node_with_higher_limits_stores_can_be_read() {
        let limits = Limits { value_bytes: 2 << 20, ..Limits::default() };
        let node = Node::builder().listen("127.0.0.1:0").limits(limits).start().await.unwrap();
        // As JSON each byte is six: more than a node of default limits accepts.
        let value = "\0".repeat(2 << 20);
        node.put(b"key", value.as_bytes()).await.unwrap();
        let client = Client::new(node.name().clone());
        let reply = client.call(&seed::Request::Get { key: "key".to_owned() }, DEADLINE).await.unwrap();
        let seed::Answer::Get { value: got, .. } = reply.answer else { panic!("another answer") };
        assert!(got == Some(value), "another value");
        node.shutdown().await;
    }

    #[tokio::test]
    async fn a_client_speaks_frames_with_a_node_that_says_that_it_does_and_else_http() {
        let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
        node.put(b"key", b"value").await.unwrap();
        let client = Client::new(node.name().clone());
        let key = || Key::new(b"key").unwrap();
        let get = || client.operate(key(), Operation::Get, Consistency::Usual, DEADLINE);
        for speaks_frames in [true, false] {
            let got = get().await.unwrap();
            assert_eq!((&got.owner, got.hops), (node.name(), 0));
            let value = got.outcome.record.and_then(|record| record.value).expect("it is there");
            assert_eq!(value.as_bytes(), b"value");
            assert_eq!(client.frames.may_ask(), speaks_frames);
            client.frames.rest_for(DEADLINE);
        }
        let range = Range { after: node.view().me().position, up_to: node.view().me().position };
        let in_http = client.list(range, None, DEADLINE).await.unwrap();
        let in_frames = Client::new(node.name().clone());
        assert_eq!(in_frames.list(range, None, DEADLINE).await.unwrap(), in_http);
        let condition = chord_kv::replication::Condition::Absent;
        let change = chord_kv::replication::Change::Delete;
        let expiry = chord_kv::replication::Expiry::Never;
        let delete = Operation::Change { change, condition, expiry };
        for (client, speaks_frames) in [(in_frames, true), (client, false)] {
            let deleted = client.operate(key(), delete.clone(), Consistency::Usual, DEADLINE).await;
            let Err(ClientError::Refused { code, .. }) = deleted else { panic!("{deleted:?}") };
            assert_eq!(code, Some(Code::ConditionFailed));
            assert_eq!(client.frames.may_ask(), speaks_frames);
        }
        node.shutdown().await;
    }

    #[tokio::test]
    async fn a_client_whose_frames_failed_goes_back_to_them_after_a_pause_if_the_node_still_speaks_them() {
        let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
        let client = Client::new(node.name().clone());
        let get = || client.operate(Key::new(b"key").unwrap(), Operation::Get, Consistency::Usual, DEADLINE);
        for (pause, speaks_frames) in [(Duration::ZERO, true), (DEADLINE, false), (Duration::ZERO, true)] {
            client.frames.rest_for(pause);
            get().await.unwrap();
            assert_eq!(client.frames.may_ask(), speaks_frames);
        }
        node.shutdown().await;
    }

    #[tokio::test]
    async fn a_client_leaves_frames_when_its_connections_break_again_and_again() {
        let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
        node.put(b"key", b"value").await.unwrap();
        let breaks = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(breaks.local_addr().unwrap().to_string().parse().unwrap());
        // Passes on what is asked in HTTP, and closes what is asked in frames.
        let passes_on = async {
            loop {
                let (mut stream, _) = breaks.accept().await.unwrap();
                let to = node.name().as_str().to_owned();
                tokio::spawn(async move {
                    let mut first = [0];
                    if stream.peek(&mut first).await.is_ok() && first[0] != frame::OPENING[0] {
                        let mut there = tokio::net::TcpStream::connect(to).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
                    }
                });
            }
        };
        let asks = async {
            let get =
                || client.operate(Key::new(b"key").unwrap(), Operation::Get, Consistency::Usual, DEADLINE);
            let mut n_failed = 0;
            while get().await.is_err() {
                n_failed += 1;
            }
            n_failed
        };
        tokio::select! {
            () = passes_on => {}
            n_failed = asks => assert_eq!(n_failed, crate::links::BREAKS_MAX),
        }
        node.shutdown().await;
    }

    #[tokio::test]
    async fn an_answer_without_end_is_called_too_large() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(listener.local_addr().unwrap().to_string().parse().unwrap());
        let serves = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n").await.unwrap();
            stream
        };
        let asks = async {
            let error = client.call(&seed::Request::Node, DEADLINE).await.unwrap_err();
            assert!(error.to_string().contains("is too large"), "{error}");
        };
        tokio::join!(serves, asks);
    }
}
