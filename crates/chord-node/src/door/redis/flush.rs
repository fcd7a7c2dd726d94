//! FLUSHDB and FLUSHALL: all keys of the ring deleted, one after the other, where whoever runs the node allows it.

use std::sync::Arc;

use chord_kv::Range;
use chord_kv::replication::{Change, Condition, Expiry, Header, Operation, OperationError as Unable};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::answer::Answer;
use super::call::{Begun, Call, operate};
use super::scan::ROUND_WAIT;
use super::strings::KEYS_AT_ONCE;
use super::table::{KeyArgs, Row, command};
use crate::OperationError;
use crate::keys::{Keys, Round};
use crate::shared::Shared;

const SLOW: &[&str] = &["write"];

pub(super) const ROWS: &[Row] = &[
    command("flushdb", -1, SLOW, KeyArgs::Ring, flush),
    command("flushall", -1, SLOW, KeyArgs::Ring, flush),
];

fn flush(call: &mut Call<'_>) -> Result<Begun, Answer> {
    if !call.shared.may_flush {
        // A ring is shared, and there are no users yet whose right it could be.
        let sentence = format!(
            "User default has no permissions to run the '{}' command: a node that is started with --allow-flush deletes all keys of the ring, whoever wrote them",
            call.row.name
        );
        return Err(Answer::error("NOPERM", sentence));
    }
    // It is waited for in either case: what goes on unseen could delete what is written after it.
    if call.option().is_some_and(|option| !matches!(&option[..], b"SYNC" | b"ASYNC")) {
        return Err(Answer::mistake("syntax error"));
    }
    call.end()?;
    let shared = call.shared.clone();
    Ok(Begun::Running(Box::pin(async move {
        let mut has_begun = false;
        match tokio::time::timeout(ROUND_WAIT, delete_all(&shared, &mut has_begun)).await {
            Ok(Ok(())) => Answer::OK,
            Ok(Err(error)) if !has_begun => error.into(),
            Ok(Err(error)) => partly(&error.to_string()),
            Err(_) if !has_begun => {
                Answer::error("TRYAGAIN", "nothing was deleted: the node had other work for a minute")
            }
            Err(_) => partly("a minute was not enough"),
        }
    })))
}

fn partly(why: &str) -> Answer {
    Answer::error("UNCERTAIN", format!("some keys may be deleted, and others are not: flush again ({why})"))
}

async fn delete_all(shared: &Arc<Shared>, has_begun: &mut bool) -> Result<(), OperationError> {
    let _round = Round::begin(shared.clone()).await;
    let mut keys = Keys::new(shared.clone(), Range::ALL);
    while let Some(page) = keys.next_page().await? {
        *has_begun = true;
        let deleted =
            stream::iter(page.keys).map(|header| delete(shared, header)).buffer_unordered(KEYS_AT_ONCE);
        deleted.try_for_each(|()| std::future::ready(Ok(()))).await?;
    }
    Ok(())
}

/// Deletes what was listed, and nothing that was written since.
async fn delete(shared: &Arc<Shared>, Header { key, version, .. }: Header) -> Result<(), OperationError> {
    let condition = Condition::Version(version);
    let operation = Operation::Change { change: Change::Delete, condition, expiry: Expiry::Never };
    match operate(shared, key, operation).await {
        Ok(_) | Err(OperationError::Data(Unable::ConditionFailed { .. })) => Ok(()),
        Err(error) => Err(error),
    }
}
