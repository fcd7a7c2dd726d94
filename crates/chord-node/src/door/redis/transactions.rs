//! Transactions, which a ring does not have: keys of one have different owners, which take no step together.
//!
//! Each is refused as a whole, in the way of a Redis that finds a mistake in each of its commands. If MULTI were refused
//! itself, clients that send all of it without waiting would have its commands done nevertheless.

use super::answer::Answer;
use super::call::{Begun, Call};
use super::table::{ADMIN, KeyArgs, Row, command};

pub(super) const ROWS: &[Row] = &[
    command("multi", 1, ADMIN, KeyArgs::None, multi),
    command("exec", 1, ADMIN, KeyArgs::None, exec),
    command("discard", 1, ADMIN, KeyArgs::None, discard),
];

/// How far a connection is with a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Transaction {
    /// It is in none.
    #[default]
    None,
    /// In one without commands.
    Empty,
    /// In one of which a command was refused.
    Refused,
}

impl Transaction {
    /// Lets a command pass that is in no transaction, or ends one.
    pub(super) fn admit(self, row: &'static Row) -> Result<&'static Row, Answer> {
        let is_about_it = || matches!(row.name, "multi" | "exec" | "discard" | "quit" | "reset");
        if self == Self::None || is_about_it() {
            return Ok(row);
        }
        Err(Answer::mistake(
            "a ring has no transactions: send these commands without MULTI, as a pipeline, or use CHORD.CAS",
        ))
    }

    /// A command was refused.
    pub(super) fn refuse(&mut self) {
        if *self == Self::Empty {
            *self = Self::Refused;
        }
    }
}

fn multi(call: &mut Call<'_>) -> Result<Begun, Answer> {
    if call.session.transaction != Transaction::None {
        return Err(Answer::mistake("MULTI calls can not be nested"));
    }
    call.session.transaction = Transaction::Empty;
    Ok(Answer::OK.into())
}

fn exec(call: &mut Call<'_>) -> Result<Begun, Answer> {
    match std::mem::take(&mut call.session.transaction) {
        Transaction::None => Err(Answer::mistake("EXEC without MULTI")),
        Transaction::Empty => Ok(Answer::Array(Vec::new()).into()),
        Transaction::Refused => {
            Err(Answer::error("EXECABORT", "Transaction discarded because of previous errors."))
        }
    }
}

fn discard(call: &mut Call<'_>) -> Result<Begun, Answer> {
    match std::mem::take(&mut call.session.transaction) {
        Transaction::None => Err(Answer::mistake("DISCARD without MULTI")),
        Transaction::Empty | Transaction::Refused => Ok(Answer::OK.into()),
    }
}
