//! Changes that depend on what is there in a way that owners do not know: what is there is read, and changed if it is
//! still that.

use std::sync::Arc;

use chord_kv::replication::{Change, Condition, Expiry, Operation, OperationError as Unable};
use chord_kv::{Key, Record};
use tokio::time::Instant;

use super::answer::Answer;
use super::call::{Begun, operate};
use crate::OperationError;
use crate::age::now_ms;
use crate::shared::Shared;

/// What is to be done about what is there.
pub(super) enum Decision {
    /// Nothing; this is the answer.
    Answer(Answer),
    /// This; then that is the answer.
    Change(Change, Expiry, Answer),
}

/// Changes a key as `decide` says of what is there, and of the time in milliseconds since 1970. Others may change it
/// meanwhile; then it is decided anew.
pub(super) fn swap(
    shared: Arc<Shared>,
    key: Key,
    decide: impl Fn(Option<&Record>, u64) -> Decision + Send + 'static,
) -> Begun {
    Begun::Running(Box::pin(async move {
        let until = Instant::now() + shared.limits.operation;
        while Instant::now() < until {
            let kept = match operate(&shared, key.clone(), Operation::Get).await {
                Ok(kept) => kept,
                Err(error) => return error.into(),
            };
            let (change, expiry, answer) = match decide(kept.record.as_ref(), now_ms()) {
                Decision::Answer(answer) => return answer,
                Decision::Change(change, expiry, answer) => (change, expiry, answer),
            };
            let condition =
                kept.record.map_or(Condition::Absent, |record| Condition::Version(record.version));
            let operation = Operation::Change { change, condition, expiry };
            match operate(&shared, key.clone(), operation).await {
                Ok(_) => return answer,
                Err(OperationError::Data(Unable::ConditionFailed { .. })) => {}
                Err(error) => return error.into(),
            }
        }
        Answer::error("TRYAGAIN", "others changed this key all the time: try again")
    }))
}
