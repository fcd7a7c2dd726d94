//! Commands that are one operation on one key each: those of a pipeline that have come begin together, with one turn at the
//! records for all of them.

use std::io;
use std::sync::Arc;

use chord_wire::resp::Request;

use super::Connection;
use super::answer::Answer;
use super::call::{Judge, Running};
use super::pipeline::Touched;
use super::table::{KeyArgs, Row};
use crate::OperationError;
use crate::door::share::Share;
use crate::metrics::Door;
use crate::operation::{Started, Ticket, Wish, Work};
use crate::shared::Shared;

/// Commands that begin together, at most: whoever else needs the records waits for them, a microsecond or two for each, and
/// with more of them it would win little to share the turn.
const TOGETHER_MAX: usize = 16;

/// Commands that are to begin, of which no two are about one key.
#[derive(Default)]
pub(super) struct Wanted {
    all: Vec<(Work, (Judge, Keep))>,
    /// What they bring with them, from when the first of them came.
    ticket: Option<Ticket>,
}

/// What becomes of the answer to a command.
pub(super) struct Keep {
    pub(super) share: Option<Share>,
    /// Its part of the budget for being under way beside others.
    pub(super) beside: Option<Share>,
    pub(super) is_heard: bool,
    pub(super) is_read: bool,
}

impl Keep {
    pub(super) fn keep(self, shared: &Arc<Shared>, answer: Answer) -> Answer {
        drop(self.share);
        let answer = if self.is_heard { answer.held(shared, self.is_read) } else { Answer::Nothing };
        match self.beside {
            Some(beside) => answer.held_beside(beside),
            None => answer,
        }
    }
}

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether these must have begun before a command does: it may be about one of their keys, or say how answers are written.
    pub(super) fn go_before(&self, row: &Row, request: &Request<'_>) -> bool {
        let is_full = self.all.len() >= TOGETHER_MAX;
        let is_wanted = |key: &[u8]| self.all.iter().any(|(work, _)| work.key().as_bytes() == key);
        !self.all.is_empty()
            && (is_full || row.keys != KeyArgs::First || request.args().next().is_none_or(is_wanted))
    }
}

/// A command that has begun.
enum Begun {
    Ended(Answer),
    GoesOn(Running, Touched, Keep),
}

impl Connection<'_> {
    pub(super) fn want(&mut self, wish: Wish, judge: Judge, keep: Keep) {
        let wait = self.shared.limits.operation;
        let ticket = self.wanted.ticket.get_or_insert_with(|| Ticket::new(Door::Redis, wait)).clone();
        self.wanted.all.push((self.shared.prepare(wish, ticket), (judge, keep)));
    }

    /// Begins what is wanted. Each that has ended is answered at once, or after those before it.
    pub(super) async fn begin_wanted(&mut self) -> io::Result<()> {
        if self.wanted.all.is_empty() {
            return Ok(());
        }
        let shared = &self.shared;
        self.wanted.ticket = None;
        // Each has its part of the budget before any is written, which may take a while.
        let mut all = Vec::with_capacity(self.wanted.all.len());
        shared.start_all(&mut self.wanted.all, |started, (judge, keep)| {
            all.push(begun(shared, started, judge, keep));
        });
        // While one answer is written, which may take a while, the others go on: what has come for them must not lie where
        // nobody counts it.
        let some_go_on = all.iter().any(|begun| matches!(begun, Begun::GoesOn(..)));
        for begun in all {
            match begun {
                Begun::Ended(answer) if some_go_on => self.pipeline.push_done(answer),
                Begun::Ended(answer) => self.answer_at_once(answer).await?,
                Begun::GoesOn(running, touched, keep) => {
                    let shared = self.shared.clone();
                    self.pipeline.push(running, touched, move |answer| keep.keep(&shared, answer));
                }
            }
        }
        Ok(())
    }
}

fn begun(shared: &Arc<Shared>, started: Started, judge: Judge, keep: Keep) -> Begun {
    match started {
        Started::Ended(_, result) => {
            Begun::Ended(keep.keep(shared, judge(result.map_err(OperationError::Data))))
        }
        Started::GoesOn(mut unfinished) => {
            let (shared, touched) = (shared.clone(), Touched::key(unfinished.key().as_bytes()));
            let running =
                Box::pin(
                    async move { judge(shared.go_on(&mut unfinished).await.map(|outcome| outcome.kept)) },
                );
            Begun::GoesOn(running, touched, keep)
        }
    }
}
