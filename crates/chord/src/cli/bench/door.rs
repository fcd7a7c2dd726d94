//! The ways to ask a node, each behind the same few functions: bytes go out for a request, and answers are read from bytes.

mod etcd;
mod http;
mod peer;
mod redis;
mod rest;
mod xmlrpc;

use std::borrow::Cow;
use std::time::Duration;

use anyhow::Context;
use chord::NodeName;
use clap::ValueEnum;

use super::entry::Entry;
use super::keys::Sizes;
use super::workload::{Operation, Request};
pub(super) use redis::{Reply, reply};

/// How long a node may take to say what a door must know of it.
const TELL_WITHIN: Duration = Duration::from_secs(10);

/// Longest sentence of a node's that is repeated, in characters.
const SENTENCE_CHARS_MAX: usize = 200;

/// A way to speak to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Door {
    /// The seed's HTTP and JSON
    Http,
    /// The seed's XML-RPC, among the nodes too
    #[value(name = "xmlrpc")]
    XmlRpc,
    /// The protocol of Redis; with --node, a redis-server too
    Redis,
    /// HTTP below /v1
    Rest,
    /// The frames in which nodes ask each other
    Peer,
    /// The gRPC of etcd, which is another program: with --node
    Etcd,
}

/// What is said to one node, anew for each connection.
pub(super) type Speeches = Box<dyn Fn() -> Box<dyn Speech>>;

/// One connection's side of a door.
pub(super) trait Speech: Send {
    /// Puts what a connection begins with into what goes out.
    fn open(&mut self, _to: &mut Vec<u8>) {}

    /// Whether requests may be sent by now.
    fn is_open(&self) -> bool {
        true
    }

    /// Puts a request into what goes out. Where answers have numbers, this is the `number`th of the connection, from 1.
    fn ask(&mut self, request: Request, number: u32, to: &mut Vec<u8>);

    /// Reads what stands at the beginning of what came.
    ///
    /// # Errors
    /// It makes no sense: the connection cannot go on.
    fn hear<'a>(&mut self, heard: Came<'a>) -> anyhow::Result<Heard<'a>>;
}

/// What came and was not read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether no more will come.
    pub(super) is_all: bool,
    /// What the oldest request that has no answer wants.
    pub(super) asked: Operation,
}

/// What was read of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// Nothing: more must come.
    Part,
    /// Something that answers no request.
    Aside { n_bytes: usize },
    /// An answer.
    Answer {
        n_bytes: usize,
        /// To which request; `None` is the oldest.
        number: Option<u32>,
        answer: Answer<'a>,
        /// Whether the connection takes more requests.
        stays: bool,
    },
}

/// What a node says to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    Stored,
    Found(Cow<'a, [u8]>),
    Absent,
    /// It does not do it, and says why.
    Refused(String),
}

impl Door {
    /// The name by which users know it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::XmlRpc => "xmlrpc",
            Self::Redis => "redis",
            Self::Rest => "rest",
            Self::Peer => "peer",
            Self::Etcd => "etcd",
        }
    }

    /// The command that starts a node to be asked this way: nodes speak XML-RPC among themselves where clients do.
    pub(super) fn command(self) -> &'static str {
        match self {
            Self::XmlRpc => "xmlrpc",
            Self::Http | Self::Redis | Self::Rest | Self::Peer | Self::Etcd => "http",
        }
    }

    /// Why that cannot be asked there; `None` if it can.
    pub(super) fn refusal(self, starts_nodes: bool, sizes: Sizes, has_secret: bool) -> Option<String> {
        if has_secret && matches!(self, Self::Peer | Self::Etcd) {
            return Some(format!(
                "--door {} is measured without a secret: leave --secret-file out, or ask at another door",
                self.name()
            ));
        }
        if self != Self::Etcd {
            return None;
        }
        if starts_nodes {
            return Some(
                "only nodes of this program are started: give --door etcd the --node of an etcd".to_owned(),
            );
        }
        let limit = etcd::VALUE_BYTES_MAX;
        (sizes.high > limit).then(|| format!("a value for etcd has at most {limit} bytes here"))
    }

    /// How much larger a value may become on its way: the longest escape of one byte.
    pub(super) fn growth(self) -> usize {
        match self {
            Self::Http => r"\u0000".len(),
            Self::XmlRpc => "&quot;".len(),
            Self::Redis | Self::Rest | Self::Peer | Self::Etcd => 1,
        }
    }

    /// What one connection after another to that node says; asks the node first what must be known of it.
    pub(super) async fn speeches(
        self,
        node: &NodeName,
        sizes: Sizes,
        entry: &Entry,
    ) -> anyhow::Result<Speeches> {
        let ring = match self {
            Self::Peer => {
                let ring = entry.client(node)?.ring(TELL_WITHIN).await;
                Some(ring.with_context(|| format!("cannot ask {node} for its ring"))?)
            }
            Self::Http | Self::XmlRpc | Self::Redis | Self::Rest | Self::Etcd => None,
        };
        let node = node.clone();
        let secret = entry.secret(&node)?;
        let authorization =
            secret.as_ref().map(|secret| format!("Authorization: Bearer {secret}\r\n")).unwrap_or_default();
        Ok(Box::new(move || -> Box<dyn Speech> {
            match (self, &ring) {
                (Self::Http, _) => Box::new(http::Http::new(&node, &authorization, sizes)),
                (Self::XmlRpc, _) => Box::new(xmlrpc::XmlRpc::new(&node, &authorization, sizes)),
                (Self::Etcd, _) => Box::new(etcd::Etcd::new(&node, sizes)),
                (Self::Rest, _) => Box::new(rest::Rest::new(&node, &authorization, sizes)),
                (Self::Peer, Some(ring)) => Box::new(peer::Peer::new(ring.clone(), sizes)),
                (Self::Redis | Self::Peer, _) => Box::new(redis::Redis::new(secret.clone(), sizes)),
            }
        }))
    }
}

/// A sentence of a node's, as far as it is shown.
fn sentence(text: &str) -> String {
    text.chars().take(SENTENCE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
