//! Strings: reading and writing values.

use chord_kv::replication::{
    Before, Change, Condition, Expiry, Operation, OperationError as Unable, Outcome as Kept,
};
use chord_kv::{Key, Value};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::answer::{Answer, Values};
use super::call::{Begun, Call, operate};
use super::expiry::{Unit, deadline, read_expiry};
use super::swap::{Decision, swap};
use super::table::{CHANGE, KeyArgs, READ, Row, WRITE, command};
use crate::OperationError;
use crate::door::share::Share;

pub(super) const ROWS: &[Row] = &[
    command("get", 2, READ, KeyArgs::First, get),
    command("set", -3, WRITE, KeyArgs::First, set),
    command("setnx", 3, WRITE, KeyArgs::First, setnx),
    command("setex", 4, WRITE, KeyArgs::First, setex),
    command("psetex", 4, WRITE, KeyArgs::First, psetex),
    command("getset", 3, WRITE, KeyArgs::First, getset),
    command("getdel", 2, CHANGE, KeyArgs::First, getdel),
    command("getex", -2, CHANGE, KeyArgs::First, getex),
    command("mget", -2, READ, KeyArgs::All, mget),
    command("mset", -3, WRITE, KeyArgs::EverySecond, mset),
    command("append", 3, WRITE, KeyArgs::First, append),
    command("strlen", 2, READ, KeyArgs::First, strlen),
    command("getrange", 4, READ, KeyArgs::First, getrange),
    command("substr", 4, READ, KeyArgs::First, getrange),
    command("setrange", 4, WRITE, KeyArgs::First, setrange),
];

/// Keys of one command that are asked for at the same time, at most.
pub(super) const KEYS_AT_ONCE: usize = 64;

/// A value under a key, however it was before.
fn put(value: Value, condition: Condition, expiry: Expiry) -> Operation {
    Operation::Change { change: Change::Set(value), condition, expiry }
}

fn get(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let key = call.key()?;
    Ok(call.run(key, Operation::Get, |kept| Answer::value(kept.record.and_then(|record| record.value))))
}

/// What SET is asked for beside its key and value.
struct SetOptions {
    condition: Condition,
    expiry: Expiry,
    tells_old: bool,
}

fn set_options(call: &mut Call<'_>) -> Result<SetOptions, Answer> {
    let syntax = || Answer::mistake("syntax error");
    let (mut condition, mut expiry, mut tells_old) = (None, None, false);
    while let Some(option) = call.option() {
        match &option[..] {
            b"NX" if condition.is_none() => condition = Some(Condition::Absent),
            b"XX" if condition.is_none() => condition = Some(Condition::Present),
            b"GET" => tells_old = true,
            b"KEEPTTL" if expiry.is_none() => expiry = Some(Expiry::Keep),
            other if expiry.is_none() => {
                expiry = Some(read_expiry(call, other)?.ok_or_else(syntax)?);
            }
            _ => return Err(syntax()),
        }
    }
    Ok(SetOptions {
        condition: condition.unwrap_or(Condition::Always),
        expiry: expiry.unwrap_or(Expiry::Never),
        tells_old,
    })
}

fn set(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let (key, value) = (call.key()?, call.value()?);
    let SetOptions { condition, expiry, tells_old } = set_options(call)?;
    if tells_old && condition != Condition::Always {
        return Ok(set_or_tell(call, key, value, condition, expiry));
    }
    let operation = put(value, condition, expiry);
    if tells_old {
        return Ok(call.run(key, operation, old_value));
    }
    Ok(call.run_and_judge(key, operation, |done| match done {
        Ok(_) => Answer::OK,
        Err(OperationError::Data(Unable::ConditionFailed { .. })) => Answer::Null,
        Err(error) => error.into(),
    }))
}

/// Sets a value if something is there, or if nothing is, and tells what was there either way: what is told and what is
/// decided by are the same.
fn set_or_tell(call: &Call<'_>, key: Key, value: Value, only: Condition, expiry: Expiry) -> Begun {
    swap(call.shared.clone(), key, move |record, _| {
        let old = Answer::value(record.and_then(|record| record.value.clone()));
        if record.is_some() == (only == Condition::Present) {
            Decision::Change(Change::Set(value.clone()), expiry, old)
        } else {
            Decision::Answer(old)
        }
    })
}

fn old_value(kept: Kept) -> Answer {
    match kept.before {
        Before::Nothing => Answer::Null,
        Before::Record(record) => Answer::value(record.value),
        Before::Unknown => Answer::error("UNCERTAIN", NOT_KNOWN),
    }
}

const NOT_KNOWN: &str =
    "the change is made, but what was there before it is not known: the first answer about it was lost";

fn setnx(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let (key, value) = (call.key()?, call.value()?);
    let operation = put(value, Condition::Absent, Expiry::Never);
    Ok(call.run_and_judge(key, operation, |done| match done {
        Ok(_) => Answer::yes(true),
        Err(OperationError::Data(Unable::ConditionFailed { .. })) => Answer::yes(false),
        Err(error) => error.into(),
    }))
}

fn setex(call: &mut Call<'_>) -> Result<Begun, Answer> {
    set_for(call, Unit::Seconds)
}

fn psetex(call: &mut Call<'_>) -> Result<Begun, Answer> {
    set_for(call, Unit::Milliseconds)
}

fn set_for(call: &mut Call<'_>, unit: Unit) -> Result<Begun, Answer> {
    let key = call.key()?;
    let at_ms = deadline(call.integer()?, unit, call.row.name)?;
    let value = call.value()?;
    Ok(call.run(key, put(value, Condition::Always, Expiry::At(at_ms)), |_| Answer::OK))
}

fn getset(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let (key, value) = (call.key()?, call.value()?);
    Ok(call.run(key, put(value, Condition::Always, Expiry::Never), old_value))
}

fn getdel(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let key = call.key()?;
    Ok(call.run(key, Operation::delete(), old_value))
}

fn getex(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let key = call.key()?;
    let syntax = || Answer::mistake("syntax error");
    let expiry = match call.option() {
        None => None,
        Some(option) if option == b"PERSIST" => Some(Expiry::Never),
        Some(option) => Some(read_expiry(call, &option)?.ok_or_else(syntax)?),
    };
    call.end()?;
    let operation = expiry.map_or(Operation::Get, |expiry| Operation::Change {
        change: Change::Keep,
        condition: Condition::Always,
        expiry,
    });
    let is_change = operation != Operation::Get;
    Ok(call.run(key, operation, move |kept| {
        // With a time that is over it is gone already, and was there.
        if is_change { old_value(kept) } else { Answer::value(kept.record.and_then(|record| record.value)) }
    }))
}

fn mget(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let (keys, shared) = (call.keys()?, call.shared.clone());
    Ok(Begun::Running(Box::pin(async move {
        let mut got =
            stream::iter(keys).map(|key| operate(&shared, key, Operation::Get)).buffered(KEYS_AT_ONCE);
        let (mut values, mut n_bytes, mut share) = (Vec::new(), 0, Share::of(&shared));
        while let Some(kept) = got.next().await {
            let value = match kept {
                Ok(kept) => kept.record.and_then(|record| record.value),
                Err(error) => return error.into(),
            };
            n_bytes += value.as_ref().map_or(0, |value| value.as_bytes().len());
            if share.fit(n_bytes).is_err() {
                return Answer::error("BUSY", TOO_MUCH);
            }
            values.push(value);
        }
        Answer::Values(Values { values, share })
    })))
}

const TOO_MUCH: &str = "the values of these keys are more than this node has room for now: ask for fewer keys, or try again later";

fn mset(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let mut pairs: std::collections::BTreeMap<Key, Value> = std::collections::BTreeMap::new();
    while call.left() > 0 {
        let key = call.key()?;
        // Of a key that is named twice the last value counts.
        pairs.insert(key, call.value()?);
    }
    let shared = call.shared.clone();
    Ok(Begun::Running(Box::pin(async move {
        let set = stream::iter(pairs).map(|(key, value)| operate(&shared, key, Operation::put(value)));
        let done = set.buffered(KEYS_AT_ONCE).try_for_each(|_| std::future::ready(Ok(())));
        done.await.map_or_else(Answer::from, |()| Answer::OK)
    })))
}

fn append(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let (key, tail) = (call.key()?, call.value()?);
    let operation = Operation::Change {
        change: Change::Append(tail),
        condition: Condition::Always,
        expiry: Expiry::Keep,
    };
    Ok(call.run(key, operation, |kept| length(kept.record.and_then(|record| record.value).as_ref())))
}

fn strlen(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let key = call.key()?;
    Ok(call.run(key, Operation::Get, |kept| length(kept.record.and_then(|record| record.value).as_ref())))
}

fn length(value: Option<&Value>) -> Answer {
    Answer::count(value.map_or(0, |value| value.as_bytes().len()))
}

fn getrange(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let (key, first, last) = (call.key()?, call.integer()?, call.integer()?);
    Ok(call.run(key, Operation::Get, move |kept| {
        let value = kept.record.and_then(|record| record.value);
        Answer::Bytes(value.map_or_else(Vec::new, |value| part(value.as_bytes(), first, last).to_vec()))
    }))
}

/// The bytes from one index to another, both counted from the end if they are below 0.
fn part(bytes: &[u8], first: i64, last: i64) -> &[u8] {
    let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let index = |at: i64| if at < 0 { at.saturating_add(length).max(0) } else { at };
    if first < 0 && last < 0 && first > last {
        return &[];
    }
    let (first, last) = (index(first), index(last).min(length - 1));
    let (Ok(first), Ok(end)) = (usize::try_from(first), usize::try_from(last.saturating_add(1))) else {
        return &[];
    };
    bytes.get(first..end).unwrap_or_default()
}

fn setrange(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let key = call.key()?;
    let offset = call.integer()?;
    let piece = call.bytes()?.to_vec();
    let Ok(offset) = usize::try_from(offset) else {
        return Err(Answer::mistake("offset is out of range"));
    };
    let limit = call.shared.limits.value_bytes;
    if !piece.is_empty() && offset.saturating_add(piece.len()) > limit {
        return Err(Answer::mistake("string exceeds maximum allowed size (proto-max-bulk-len)"));
    }
    Ok(swap(call.shared.clone(), key, move |record, _| {
        let before = record.and_then(|record| record.value.as_ref()).map_or(&[][..], Value::as_bytes);
        if piece.is_empty() {
            return Decision::Answer(Answer::count(before.len()));
        }
        let mut bytes = before.to_vec();
        bytes.resize(bytes.len().max(offset + piece.len()), 0);
        if let Some(place) = bytes.get_mut(offset..offset + piece.len()) {
            place.copy_from_slice(&piece);
        }
        let answer = Answer::count(bytes.len());
        match Value::new(&bytes, limit) {
            Ok(value) => Decision::Change(Change::Set(value), Expiry::Keep, answer),
            Err(error) => Decision::Answer(Answer::mistake(error.to_string())),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_value_is_counted_from_either_end() {
        let cases: [(i64, i64, &str); 12] = [
            (0, 3, "This"),
            (-3, -1, "ing"),
            (0, -1, "This is a string"),
            (10, 100, "string"),
            (5, 3, ""),
            (-1, -3, ""),
            (100, 200, ""),
            (-100, 3, "This"),
            (-100, -100, "T"),
            (0, i64::MAX, "This is a string"),
            (i64::MIN, i64::MAX, "This is a string"),
            (i64::MAX, i64::MIN, ""),
        ];
        for (first, last, wanted) in cases {
            assert_eq!(part(b"This is a string", first, last), wanted.as_bytes(), "{first} {last}");
        }
        assert_eq!(part(b"", 0, -1), b"");
    }
}
