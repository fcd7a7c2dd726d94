//! Keys: whether they are there, and their end.

use chord_kv::replication::{Operation, Outcome as Kept};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::answer::Answer;
use super::call::{Begun, Call, operate};
use super::strings::KEYS_AT_ONCE;
use super::table::{CHANGE, KeyArgs, READ, Row, command};

pub(super) const ROWS: &[Row] = &[
    command("del", -2, CHANGE, KeyArgs::All, delete),
    command("unlink", -2, CHANGE, KeyArgs::All, delete),
    command("exists", -2, READ, KeyArgs::All, exists),
    command("touch", -2, READ, KeyArgs::All, exists),
    command("type", 2, READ, KeyArgs::First, kind),
];

/// A key that is named twice is gone when its turn comes again.
fn delete(call: &mut Call<'_>) -> Result<Begun, Answer> {
    count(call, &Operation::delete(), Kept::was_there)
}

/// A key that is named twice counts twice.
fn exists(call: &mut Call<'_>) -> Result<Begun, Answer> {
    count(call, &Operation::Get, |kept| kept.record.is_some())
}

/// Does the same to all keys, and counts for how many that holds.
fn count(call: &mut Call<'_>, operation: &Operation, holds: fn(&Kept) -> bool) -> Result<Begun, Answer> {
    let (keys, shared, operation) = (call.keys()?, call.shared.clone(), operation.clone());
    Ok(Begun::Running(Box::pin(async move {
        let done = stream::iter(keys).map(|key| operate(&shared, key, operation.clone()));
        let done = done.buffered(KEYS_AT_ONCE);
        let counted =
            done.try_fold(0, |count, kept| std::future::ready(Ok(count + usize::from(holds(&kept)))));
        counted.await.map_or_else(Answer::from, Answer::count)
    })))
}

/// There is but one.
fn kind(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let key = call.key()?;
    Ok(call.run(key, Operation::Get, |kept| {
        Answer::Simple(if kept.record.is_some() { "string" } else { "none" })
    }))
}
