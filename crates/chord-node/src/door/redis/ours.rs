//! What Redis does not have: owners, versions, the ring.

use chord_kv::Version;
use chord_kv::replication::{Change, Condition, Expiry, Operation, OperationError as Unable};

use super::answer::Answer;
use super::call::{Begun, Call};
use super::table::{KeyArgs, READ, Row, WRITE, command};
use crate::OperationError;
use crate::metrics::Door;
use crate::operation::Ticket;

pub(super) const ROWS: &[Row] = &[
    command("chord.owner", 2, READ, KeyArgs::First, owner),
    command("chord.ring", 1, READ, KeyArgs::None, ring),
    command("chord.getv", 2, READ, KeyArgs::First, getv),
    command("chord.cas", 4, WRITE, KeyArgs::First, cas),
];

/// The name of the node that owns a key.
fn owner(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let (key, shared) = (call.key()?, call.shared.clone());
    Ok(Begun::Running(Box::pin(async move {
        let ticket = Ticket::new(Door::Redis, shared.limits.operation);
        match shared.look_up(key.position(shared.ring.size), ticket).await {
            Ok(found) => Answer::text(found.owner.name.to_string()),
            Err(error) => error.into(),
        }
    })))
}

/// What this node believes of the ring.
fn ring(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let (view, me) = (call.shared.view(), &call.shared.me);
    let name = |peer: &chord_ring::Peer| Answer::text(peer.name.to_string());
    Ok(Answer::Map(vec![
        ("node", name(me)),
        ("position", Answer::text(me.position.to_string())),
        ("ring-size", Answer::Integer(call.shared.ring.size.bits().into())),
        ("predecessor", view.predecessor().map_or(Answer::Null, name)),
        ("successors", Answer::Array(view.successors().as_slice().iter().map(name).collect())),
    ])
    .into())
}

/// The value and its version.
fn getv(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let key = call.key()?;
    Ok(call.run(key, Operation::Get, |kept| match kept.record {
        Some(record) => {
            Answer::Array(vec![Answer::value(record.value), Answer::text(record.version.to_string())])
        }
        None => Answer::NullArray,
    }))
}

/// Sets a key if it has that version, or if nothing is there and the version is `-`. Answers the new version, or nothing.
fn cas(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let key = call.key()?;
    let text = std::str::from_utf8(call.bytes()?).unwrap_or_default();
    let condition = match (text, text.parse::<Version>()) {
        ("-", _) => Condition::Absent,
        (_, Ok(version)) => Condition::Version(version),
        (_, Err(error)) => return Err(Answer::mistake(error.to_string())),
    };
    let change = Change::Set(call.value()?);
    let operation = Operation::Change { change, condition, expiry: Expiry::Never };
    Ok(call.run_and_judge(key, operation, |done| match done {
        Ok(kept) => kept.record.map_or(Answer::Null, |record| Answer::text(record.version.to_string())),
        Err(OperationError::Data(Unable::ConditionFailed { .. })) => Answer::Null,
        Err(error) => error.into(),
    }))
}
