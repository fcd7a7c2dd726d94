//! Counters: numbers that are added to.

use chord_kv::replication::{Change, Condition, Expiry, Operation};
use chord_kv::{Key, Value};

use super::answer::Answer;
use super::call::{Begun, Call, integer};
use super::swap::{Decision, swap};
use super::table::{KeyArgs, Row, WRITE, command};

pub(super) const ROWS: &[Row] = &[
    command("incr", 2, WRITE, KeyArgs::First, |call| add(call, Some(1))),
    command("decr", 2, WRITE, KeyArgs::First, |call| add(call, Some(-1))),
    command("incrby", 3, WRITE, KeyArgs::First, |call| add(call, None)),
    command("decrby", 3, WRITE, KeyArgs::First, decrby),
    command("incrbyfloat", 3, WRITE, KeyArgs::First, incrbyfloat),
];

fn add(call: &mut Call<'_>, addend: Option<i64>) -> Result<Begun, Answer> {
    let key = call.key()?;
    let addend = addend.map_or_else(|| call.integer(), Ok)?;
    Ok(sum(call, key, addend))
}

fn decrby(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let (key, subtrahend) = (call.key()?, call.integer()?);
    let addend = subtrahend.checked_neg().ok_or_else(|| Answer::mistake("decrement would overflow"))?;
    Ok(sum(call, key, addend))
}

fn sum(call: &Call<'_>, key: Key, addend: i64) -> Begun {
    let (change, condition, expiry) = (Change::Add(addend), Condition::Always, Expiry::Keep);
    call.run(key, Operation::Change { change, condition, expiry }, |kept| {
        let value = kept.record.and_then(|record| record.value);
        let number = value.and_then(|value| integer(value.as_bytes()));
        number
            .map_or_else(|| Answer::error("UNCERTAIN", "the sum expired before it was told"), Answer::Integer)
    })
}

fn incrbyfloat(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let key = call.key()?;
    let addend = float(call.bytes()?).ok_or_else(|| Answer::mistake(NOT_A_FLOAT))?;
    let limit = call.shared.limits.value_bytes;
    Ok(swap(call.shared.clone(), key, move |record, _| {
        let before = record.and_then(|record| record.value.as_ref());
        let Some(before) = before.map_or(Some(0.0), |value| float(value.as_bytes())) else {
            return Decision::Answer(Answer::mistake(NOT_A_FLOAT));
        };
        let sum = before + addend;
        if !sum.is_finite() {
            return Decision::Answer(Answer::mistake("increment would produce NaN or Infinity"));
        }
        let text = format!("{sum}");
        match Value::new(text.as_bytes(), limit) {
            Ok(value) => Decision::Change(Change::Set(value), Expiry::Keep, Answer::text(text)),
            Err(error) => Decision::Answer(Answer::mistake(error.to_string())),
        }
    }))
}

const NOT_A_FLOAT: &str = "value is not a valid float";

/// A number with a fraction, in decimal digits, or `inf`.
fn float(bytes: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.parse().ok().filter(|number: &f64| !number.is_nan())
}
