//! What a connection remembers from one command to the next.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use chord_wire::resp::Protocol;

use super::answer::Answer;
use super::table::Row;
use super::transactions::Transaction;
use crate::door::Ends;
use crate::guard::Visitor;

/// The number of the next connection of this process, as CLIENT ID says it.
static NEXT_ID: AtomicI64 = AtomicI64::new(1);

/// Bytes of a name that a client gives itself or its library, at most.
pub(super) const NAME_BYTES_MAX: usize = 256;

/// What a client with subscriptions may call in the older protocol.
const BESIDE_SUBSCRIPTIONS: [&str; 7] =
    ["subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ping", "quit", "reset"];

/// Which answers a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    All,
    /// None to the next command.
    SkipNext,
    /// None to this command.
    SkipThis,
    Nothing,
}

/// What such a client is told that calls something else.
pub(super) fn not_allowed(row: &Row) -> Answer {
    Answer::mistake(format!(
        "Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
        row.name
    ))
}

/// To how much a connection is subscribed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscribed {
    pub(super) channels: usize,
    pub(super) patterns: usize,
}

impl Subscribed {
    pub(super) fn is_any(self) -> bool {
        self != Self::default()
    }
}

/// One connection's memory.
pub(super) struct Session {
    pub(super) ends: Ends,
    /// Who it is, by the secret that it has given.
    pub(super) visitor: Visitor,
    pub(super) id: i64,
    pub(super) began: Instant,
    pub(super) name: String,
    pub(super) library: String,
    pub(super) library_version: String,
    pub(super) transaction: Transaction,
    pub(super) subscribed: Subscribed,
    protocol: Protocol,
    hearing: Hearing,
    is_over: bool,
}

impl Session {
    pub(super) fn new(ends: Ends) -> Self {
        Self {
            visitor: ends.stranger(),
            ends,
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            began: Instant::now(),
            name: String::new(),
            library: String::new(),
            library_version: String::new(),
            transaction: Transaction::None,
            subscribed: Subscribed::default(),
            protocol: Protocol::Resp2,
            hearing: Hearing::All,
            is_over: false,
        }
    }

    /// As it was when it began.
    pub(super) fn reset(&mut self) {
        self.name.clear();
        self.visitor = self.ends.stranger();
        self.transaction = Transaction::None;
        self.subscribed = Subscribed::default();
        self.protocol = Protocol::Resp2;
        self.hearing = Hearing::All;
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(super) fn speak(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Whether the older protocol is spoken beside subscriptions: then clients take whatever comes for what these tell.
    pub(super) fn hears_only_subscriptions(&self) -> bool {
        self.subscribed.is_any() && self.protocol == Protocol::Resp2
    }

    /// Whether that command may not be called now.
    pub(super) fn may_not(&self, row: &Row) -> bool {
        self.hears_only_subscriptions() && !BESIDE_SUBSCRIPTIONS.contains(&row.name)
    }

    /// No more requests are taken.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn hear_all(&mut self) {
        self.hearing = Hearing::All;
    }

    pub(super) fn hear_nothing(&mut self) {
        self.hearing = Hearing::Nothing;
    }

    /// The answer to this command and the next is not sent.
    pub(super) fn skip_next(&mut self) {
        if self.hearing != Hearing::Nothing {
            self.hearing = Hearing::SkipNext;
        }
    }

    /// A command begins.
    pub(super) fn count_reply(&mut self) {
        self.hearing = match self.hearing {
            Hearing::SkipNext => Hearing::SkipThis,
            Hearing::SkipThis => Hearing::All,
            other => other,
        };
    }

    pub(super) fn is_heard(&self) -> bool {
        self.hearing == Hearing::All
    }

    /// The answer, if it is wanted.
    pub(super) fn heard(&self, answer: Answer) -> Answer {
        if self.is_heard() { answer } else { Answer::Nothing }
    }
}
