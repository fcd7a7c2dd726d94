//! A call: one command as it begins, with the arguments that are still to be read.

use std::pin::Pin;
use std::sync::Arc;

use chord_kv::replication::{Operation, Outcome as Kept};
use chord_kv::{Key, Value};
use chord_wire::resp::Args;

use super::answer::{Answer, key_of};
use super::session::Session;
use super::subscriptions::Subscribing;
use super::table::Row;
use crate::OperationError;
use crate::metrics::Door;
use crate::operation::{Ticket, Wish};
use crate::shared::Shared;

/// What a command does, until it has its answer.
pub(super) type Running = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Makes an answer of what came of an operation.
pub(super) type Judge = Box<dyn FnOnce(Result<Kept, OperationError>) -> Answer + Send>;

/// A command that has begun.
pub(super) enum Begun {
    /// It has its answer.
    Done(Answer),
    /// It is one operation on one key, and this makes an answer of what comes of it.
    Wants(Wish, Judge),
    Running(Running),
    /// It changes what the connection is subscribed to.
    Subscription(Subscribing),
}

impl From<Answer> for Begun {
    fn from(answer: Answer) -> Self {
        Self::Done(answer)
    }
}

/// One command as it begins.
pub(super) struct Call<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) session: &'a mut Session,
    pub(super) row: &'static Row,
    args: Args<'a>,
}

pub(super) const NOT_AN_INTEGER: &str = "value is not an integer or out of range";

impl<'a> Call<'a> {
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        session: &'a mut Session,
        row: &'static Row,
        args: Args<'a>,
    ) -> Self {
        Self { shared, session, row, args }
    }

    /// How many arguments are left.
    pub(super) fn left(&self) -> usize {
        self.args.len()
    }

    /// The next argument, if there is one.
    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        self.args.next()
    }

    /// The next argument.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Answer> {
        self.args.next().ok_or_else(|| Answer::mistake("syntax error"))
    }

    pub(super) fn key(&mut self) -> Result<Key, Answer> {
        key_of(self.bytes()?)
    }

    /// All arguments that are left, as keys.
    pub(super) fn keys(&mut self) -> Result<Vec<Key>, Answer> {
        self.args.by_ref().map(key_of).collect()
    }

    pub(super) fn value(&mut self) -> Result<Value, Answer> {
        let limit = self.shared.limits.value_bytes;
        Value::new(self.bytes()?, limit).map_err(|error| Answer::mistake(error.to_string()))
    }

    /// A whole number, written as Redis writes such.
    pub(super) fn integer(&mut self) -> Result<i64, Answer> {
        integer(self.bytes()?).ok_or_else(|| Answer::mistake(NOT_AN_INTEGER))
    }

    /// The next argument in capital letters, as an option is compared; `None` if there is none.
    pub(super) fn option(&mut self) -> Option<Vec<u8>> {
        self.args.next().map(<[u8]>::to_ascii_uppercase)
    }

    /// Nothing is left.
    pub(super) fn end(&mut self) -> Result<(), Answer> {
        if self.args.len() == 0 { Ok(()) } else { Err(Answer::mistake("syntax error")) }
    }

    /// Has something done to a key, and makes an answer of what comes of it.
    pub(super) fn run(
        &self,
        key: Key,
        operation: Operation,
        answer: impl FnOnce(Kept) -> Answer + Send + 'static,
    ) -> Begun {
        self.run_and_judge(key, operation, |done| done.map_or_else(Answer::from, answer))
    }

    /// The same, where what went wrong may have an answer of its own.
    #[expect(
        clippy::unused_self,
        reason = "a command has done what it wants by its call, as it reads its arguments by it"
    )]
    pub(super) fn run_and_judge(
        &self,
        key: Key,
        operation: Operation,
        answer: impl FnOnce(Result<Kept, OperationError>) -> Answer + Send + 'static,
    ) -> Begun {
        Begun::Wants(Wish::new(key, operation), Box::new(answer))
    }
}

/// A whole number, in the one way of writing that Redis takes.
pub(super) fn integer(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

/// Has something done to a key, wherever its owner is.
pub(super) async fn operate(
    shared: &Arc<Shared>,
    key: Key,
    operation: Operation,
) -> Result<Kept, OperationError> {
    let ticket = Ticket::new(Door::Redis, shared.limits.operation);
    let outcome = shared.operate(Wish::new(key, operation), ticket).await?;
    Ok(outcome.kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_one_way() {
        assert_eq!(integer(b"-5"), Some(-5));
        for wrong in [&b"+5"[..], b"05", b"5 ", b"", b"9223372036854775808", b"\xff"] {
            assert_eq!(integer(wrong), None);
        }
    }
}
