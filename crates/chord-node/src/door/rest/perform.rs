//! What a request wants done to a key, alone or as a line of a batch.

use chord_kv::replication::{Change, Condition, Expiry, Operation, OperationError as Unable};
use chord_wire::rest::{Action, Precondition, Wanted};
use chord_wire::{Code, Context};

use super::super::seed::{Refused, refused};
use crate::OperationError;
use crate::age::now_ms;
use crate::operation::{Outcome, Ticket, Wish};
use crate::shared::Shared;

/// Has it done. What is not there is an error too.
pub(super) async fn perform(shared: &Shared, wanted: Wanted, ticket: Ticket) -> Result<Outcome, Refused> {
    let Wanted { key, action, precondition, ttl, consistency } = wanted;
    let is_never = precondition == Precondition::Never;
    let is_deletion = action == Action::Delete;
    let operation = match precondition {
        Precondition::Is(condition) => operation(action, condition, ttl.map(|ttl| expiry(ttl.as_millis()))),
        // Whose tag that would have to be is told.
        Precondition::Never => Operation::Get,
    };
    let is_get = operation == Operation::Get;
    let outcome = shared.operate(Wish { key, operation, consistency }, ticket).await;
    let outcome = outcome.map_err(|error| because(&error))?;
    if is_never {
        let found = outcome.kept.record.map(|record| record.version);
        return Err(because(&OperationError::Data(Unable::ConditionFailed { found })));
    }
    if (is_get && outcome.kept.record.is_none()) || (is_deletion && !outcome.kept.was_there()) {
        return Err(absent(&outcome));
    }
    Ok(outcome)
}

fn operation(action: Action, condition: Condition, expiry: Option<Expiry>) -> Operation {
    let (change, usual) = match action {
        Action::Get => return Operation::Get,
        Action::Put(value) => (Change::Set(value), Expiry::Never),
        Action::Delete => (Change::Delete, Expiry::Never),
        Action::Incr(by) => (Change::Add(by), Expiry::Keep),
    };
    Operation::Change { change, condition, expiry: expiry.unwrap_or(usual) }
}

fn expiry(ttl_ms: u128) -> Expiry {
    Expiry::At(now_ms().saturating_add(u64::try_from(ttl_ms).unwrap_or(u64::MAX)))
}

/// Why it was not done. A condition that did not hold tells the version that is there.
fn because(error: &OperationError) -> Refused {
    let context = match error {
        OperationError::Data(Unable::ConditionFailed { found }) => {
            Context { version: *found, ..Context::default() }
        }
        _ => Context::default(),
    };
    refused(error).with(context)
}

fn absent(outcome: &Outcome) -> Refused {
    let context = Context { expires_at_ms: None, ..context_of(outcome) };
    Refused::new(Code::Absent, "nothing is stored under this key").with(context)
}

/// What is said beside the body about an operation that was done.
pub(super) fn context_of(outcome: &Outcome) -> Context {
    Context {
        owner: Some(outcome.owner.clone()),
        hops: Some(outcome.hops),
        copies: u32::try_from(outcome.kept.copies).ok().filter(|copies| *copies > 0),
        expires_at_ms: outcome.kept.record.as_ref().and_then(|record| record.expires_at_ms),
        ..Context::default()
    }
}

/// The number that an increment has made.
pub(super) fn number(outcome: &Outcome) -> Result<i64, Refused> {
    let text = outcome.value().and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| Refused::new(Code::Internal, "the owner answered with something else than a number"))
}
