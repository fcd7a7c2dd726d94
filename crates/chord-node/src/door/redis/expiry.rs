//! Expiry: when keys go by themselves.

use chord_kv::Record;
use chord_kv::replication::{Change, Condition, Expiry, Operation};

use super::answer::Answer;
use super::call::{Begun, Call};
use super::swap::{Decision, swap};
use super::table::{CHANGE, KeyArgs, READ, Row, command};
use crate::age::now_ms;

pub(super) const ROWS: &[Row] = &[
    command("expire", -3, CHANGE, KeyArgs::First, |call| expire(call, Unit::Seconds, Since::Now)),
    command("pexpire", -3, CHANGE, KeyArgs::First, |call| expire(call, Unit::Milliseconds, Since::Now)),
    command("expireat", -3, CHANGE, KeyArgs::First, |call| expire(call, Unit::Seconds, Since::Epoch)),
    command("pexpireat", -3, CHANGE, KeyArgs::First, |call| expire(call, Unit::Milliseconds, Since::Epoch)),
    command("expiretime", 2, READ, KeyArgs::First, |call| tell(call, |at_ms, _| at_ms / 1000)),
    command("pexpiretime", 2, READ, KeyArgs::First, |call| tell(call, |at_ms, _| at_ms)),
    command("ttl", 2, READ, KeyArgs::First, |call| tell(call, |at_ms, now_ms| (at_ms - now_ms + 500) / 1000)),
    command("pttl", 2, READ, KeyArgs::First, |call| tell(call, |at_ms, now_ms| at_ms - now_ms)),
    command("persist", 2, CHANGE, KeyArgs::First, persist),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Now,
    Epoch,
}

/// So many of those units after that, in milliseconds since 1970; `None` if that is no time.
fn at_ms(count: i64, unit: Unit, since: Since) -> Option<i64> {
    let milliseconds = match unit {
        Unit::Seconds => count.checked_mul(1000)?,
        Unit::Milliseconds => count,
    };
    match since {
        Since::Epoch => Some(milliseconds),
        Since::Now => milliseconds.checked_add(i64::try_from(now_ms()).ok()?),
    }
}

fn invalid(command: &str) -> Answer {
    Answer::mistake(format!("invalid expire time in '{command}' command"))
}

/// The time in so many units from now, which is to be later than now.
pub(super) fn deadline(count: i64, unit: Unit, command: &str) -> Result<u64, Answer> {
    expiry_at(count, unit, Since::Now, command)
}

fn expiry_at(count: i64, unit: Unit, since: Since, command: &str) -> Result<u64, Answer> {
    let at_ms = at_ms(count, unit, since).filter(|_| count > 0);
    at_ms.and_then(|at_ms| u64::try_from(at_ms).ok()).ok_or_else(|| invalid(command))
}

/// What an option such as EX says, with the number that follows; `None` if it says nothing of a time.
pub(super) fn read_expiry(call: &mut Call<'_>, option: &[u8]) -> Result<Option<Expiry>, Answer> {
    let (unit, since) = match option {
        b"EX" => (Unit::Seconds, Since::Now),
        b"PX" => (Unit::Milliseconds, Since::Now),
        b"EXAT" => (Unit::Seconds, Since::Epoch),
        b"PXAT" => (Unit::Milliseconds, Since::Epoch),
        _ => return Ok(None),
    };
    let count = call.integer()?;
    expiry_at(count, unit, since, call.row.name).map(Expiry::At).map(Some)
}

/// Under which conditions a time is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Only {
    there: Option<There>,
    order: Option<Order>,
}

/// Whether a time is set already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    No,
    Yes,
}

/// How the new time is to be beside the one that is set; none is later than any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Later,
    Earlier,
}

impl Only {
    fn read(call: &mut Call<'_>) -> Result<Self, Answer> {
        let mut only = Self::default();
        while let Some(named) = call.next() {
            let option = named.to_ascii_uppercase();
            let told = match &option[..] {
                b"NX" => only.there.replace(There::No).is_some_and(|there| there != There::No),
                b"XX" => only.there.replace(There::Yes).is_some_and(|there| there != There::Yes),
                b"GT" => only.order.replace(Order::Later) == Some(Order::Earlier),
                b"LT" => only.order.replace(Order::Earlier) == Some(Order::Later),
                _ => return Err(unsupported(named)),
            };
            let is_odd = only.there == Some(There::No) && only.order.is_some();
            match (told, option.first()) {
                (true, Some(b'G' | b'L')) => {
                    return Err(Answer::mistake("GT and LT options at the same time are not compatible"));
                }
                _ if told || is_odd => {
                    let sentence = "NX and XX, GT or LT options at the same time are not compatible";
                    return Err(Answer::mistake(sentence));
                }
                _ => {}
            }
        }
        Ok(only)
    }

    fn holds(self, at_ms: Option<u64>, new_ms: u64) -> bool {
        let is_there = self.there.is_none_or(|there| (there == There::Yes) == at_ms.is_some());
        is_there
            && match self.order {
                None => true,
                Some(Order::Later) => at_ms.is_some_and(|at_ms| new_ms > at_ms),
                Some(Order::Earlier) => at_ms.is_none_or(|at_ms| new_ms < at_ms),
            }
    }
}

fn unsupported(option: &[u8]) -> Answer {
    let graphic = option.iter().filter(|byte| byte.is_ascii_graphic()).take(16);
    let name: String = graphic.map(|byte| char::from(*byte)).collect();
    Answer::mistake(format!("Unsupported option {name}"))
}

fn expire(call: &mut Call<'_>, unit: Unit, since: Since) -> Result<Begun, Answer> {
    let (key, count) = (call.key()?, call.integer()?);
    let only = Only::read(call)?;
    let at_ms = at_ms(count, unit, since).ok_or_else(|| invalid(call.row.name))?;
    // Before 1970 it is over as well.
    let at_ms = u64::try_from(at_ms).unwrap_or(0);
    let expiry = Expiry::At(at_ms);
    if only == Only::default() {
        let (change, condition) = (Change::Keep, Condition::Always);
        let operation = Operation::Change { change, condition, expiry };
        return Ok(call.run(key, operation, |kept| Answer::yes(kept.was_there())));
    }
    Ok(swap(call.shared.clone(), key, move |record, _| match record {
        Some(record) if only.holds(record.expires_at_ms, at_ms) => {
            Decision::Change(Change::Keep, expiry, Answer::yes(true))
        }
        _ => Decision::Answer(Answer::yes(false)),
    }))
}

fn persist(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let key = call.key()?;
    Ok(swap(call.shared.clone(), key, |record, _| match record {
        Some(Record { expires_at_ms: Some(_), .. }) => {
            Decision::Change(Change::Keep, Expiry::Never, Answer::yes(true))
        }
        _ => Decision::Answer(Answer::yes(false)),
    }))
}

/// -2 if nothing is there, -1 if it never goes.
fn tell(call: &mut Call<'_>, shown: fn(i64, i64) -> i64) -> Result<Begun, Answer> {
    let key = call.key()?;
    Ok(call.run(key, Operation::Get, move |kept| {
        let Some(record) = kept.record else { return Answer::Integer(-2) };
        let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let at_ms = record.expires_at_ms.map(ms);
        Answer::Integer(at_ms.map_or(-1, |at_ms| shown(at_ms, ms(now_ms())).max(0)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_set_where_its_conditions_hold() {
        let only = |there, order| Only { there, order };
        let cases = [
            (only(None, None), [true, true, true]),
            (only(Some(There::No), None), [true, false, false]),
            (only(Some(There::Yes), None), [false, true, true]),
            (only(None, Some(Order::Later)), [false, false, true]),
            (only(None, Some(Order::Earlier)), [true, true, false]),
            (only(Some(There::Yes), Some(Order::Earlier)), [false, true, false]),
        ];
        for (only, holds) in cases {
            let held = [None, Some(300), Some(100)].map(|at_ms| only.holds(at_ms, 200));
            assert_eq!(held, holds, "{only:?}");
        }
    }
}
