//! All keys of the ring: SCAN, KEYS, DBSIZE, RANDOMKEY.
//!
//! The cursor of SCAN says up to which position all keys were told, so that any node can go on from it, and none has to
//! remember anything.

use std::time::{Duration, Instant};

use chord_kv::replication::Header;
use chord_kv::{Key, Range};
use chord_ring::{Position, RingSize};

use super::answer::Answer;
use super::call::{Begun, Call};
use super::glob;
use super::table::{KeyArgs, Row, command};
use crate::keys::{Keys, Round};

const WALK: &[&str] = &["readonly"];

pub(super) const ROWS: &[Row] = &[
    command("scan", -2, WALK, KeyArgs::Ring, scan),
    command("keys", 2, WALK, KeyArgs::Ring, keys),
    command("dbsize", 1, WALK, KeyArgs::Ring, dbsize),
    command("randomkey", 1, WALK, KeyArgs::Ring, randomkey),
];

/// Binary digits of a cursor: as many as are exact in every language, in some of which all numbers are floating. Keys that
/// have all of them in common are told together; among a thousand million there are a few dozen such pairs.
const CURSOR_BITS: u16 = 53;

/// Keys that one SCAN looks for, unless it says otherwise, as of Redis.
const COUNT_DEFAULT: i64 = 10;

/// Keys that one SCAN looks for, at most: about a hundred pages of other nodes.
const COUNT_MAX: i64 = 10_000;

/// Pages without a key that one SCAN goes through, beside those that it needs for its count.
const PAGES_MAX: i64 = 64;

/// How long one SCAN looks for more, once it has come on: less than clients wait.
const SCAN_WAIT: Duration = Duration::from_secs(1);

/// Bytes of the keys that one SCAN tells, about: as long as a value.
const SCAN_BYTES: usize = 1 << 20;

/// Keys in one answer, at most, and their bytes: the whole of it is in memory.
const KEYS_MAX: usize = 100_000;
const KEYS_BYTES_MAX: usize = 16 << 20;

/// Bytes of a pattern, at most: with the longest keys a page of them then takes a fraction of a second at worst.
const PATTERN_BYTES_MAX: usize = 1024;

/// How long a command may go round the ring. The client waits, and with it all that it has asked for since.
pub(super) const ROUND_WAIT: Duration = Duration::from_secs(60);

/// What SCAN is asked for.
struct Wanted {
    cursor: u64,
    pattern: Option<Vec<u8>>,
    count: i64,
    /// Whether there are keys of that type.
    is_of_type: bool,
}

fn wanted(call: &mut Call<'_>) -> Result<Wanted, Answer> {
    let cursor = cursor(call.bytes()?).ok_or_else(|| Answer::mistake("invalid cursor"))?;
    let mut wanted = Wanted { cursor, pattern: None, count: COUNT_DEFAULT, is_of_type: true };
    while let Some(option) = call.option() {
        match &option[..] {
            b"MATCH" => wanted.pattern = Some(pattern(call)?),
            b"COUNT" => match call.integer()? {
                count @ 1.. => wanted.count = count.min(COUNT_MAX),
                _ => return Err(Answer::mistake("syntax error")),
            },
            b"TYPE" => wanted.is_of_type = call.bytes()?.eq_ignore_ascii_case(b"string"),
            _ => return Err(Answer::mistake("syntax error")),
        }
    }
    Ok(wanted)
}

fn pattern(call: &mut Call<'_>) -> Result<Vec<u8>, Answer> {
    match call.bytes()? {
        pattern if pattern.len() <= PATTERN_BYTES_MAX => Ok(pattern.to_vec()),
        _ => Err(Answer::mistake(format!("a pattern has at most {PATTERN_BYTES_MAX} bytes here"))),
    }
}

/// A cursor as Redis reads it.
fn cursor(bytes: &[u8]) -> Option<u64> {
    let text =
        std::str::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

fn scan(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let wanted = wanted(call)?;
    let size = call.shared.ring.size;
    if wanted.cursor >> cursor_bits(size) > 0 {
        return Err(Answer::mistake("invalid cursor")); // None of ours: an answer would look like the end of a walk.
    }
    if !wanted.is_of_type {
        return Ok(page_of(0, Vec::new()).into());
    }
    let arc = Range { after: size.before(first_at(size, wanted.cursor)), up_to: size.reduce(Position::MAX) };
    let keys = Keys::new(call.shared.clone(), arc);
    Ok(Begun::Running(Box::pin(async move {
        scan_from(keys, size, &wanted).await.unwrap_or_else(|answer| answer)
    })))
}

async fn scan_from(mut keys: Keys, size: RingSize, wanted: &Wanted) -> Result<Answer, Answer> {
    let began = Instant::now();
    let pages_max = PAGES_MAX + wanted.count / 16;
    let (mut found, mut n_keys, mut n_pages) = (Found::default(), 0, 0);
    loop {
        let Some(page) = keys.next_page().await? else {
            return Ok(page_of(0, found.keys));
        };
        n_pages += 1;
        for header in &page.keys {
            n_keys += 1;
            found.add(header, wanted.pattern.as_deref())?;
        }
        let is_enough = n_keys >= wanted.count || n_pages >= pages_max || began.elapsed() >= SCAN_WAIT;
        let next = prefix(size, size.finger_start(keys.reached(), 0));
        if !keys.is_over() && next > wanted.cursor && (is_enough || found.bytes >= SCAN_BYTES) {
            // What lies at the cursor itself is told next time: the cursor cannot say how much of it was told.
            found.keys.retain(|(position, _)| prefix(size, *position) < next);
            return Ok(page_of(next, found.keys));
        }
    }
}

fn page_of(cursor: u64, keys: Vec<(Position, Key)>) -> Answer {
    Answer::Array(vec![Answer::text(cursor.to_string()), list(keys)])
}

fn list(keys: Vec<(Position, Key)>) -> Answer {
    Answer::Array(keys.into_iter().map(|(_, key)| Answer::Bytes(key.as_bytes().to_vec())).collect())
}

fn keys(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let pattern = pattern(call)?;
    Ok(round(call, async move |mut keys: Keys| {
        let mut found = Found::default();
        while let Some(page) = keys.next_page().await? {
            page.keys.iter().try_for_each(|header| found.add(header, Some(&pattern)))?;
        }
        Ok(list(found.keys))
    }))
}

fn dbsize(call: &mut Call<'_>) -> Result<Begun, Answer> {
    Ok(round(call, async |mut keys: Keys| {
        let mut n_keys = 0;
        while let Some(page) = keys.next_page().await? {
            n_keys += page.keys.len();
        }
        Ok(Answer::count(n_keys))
    }))
}

/// The first key behind a place that is drawn: one behind a large gap is drawn more often.
fn randomkey(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let place = call.shared.ring.size.reduce(Position::from_be_bytes(rand::random()));
    let arc = Range { after: place, up_to: place };
    Ok(along(call, arc, async |mut keys: Keys| {
        while let Some(page) = keys.next_page().await? {
            if let Some(header) = page.keys.first() {
                return Ok(Answer::Bytes(header.key.as_bytes().to_vec()));
            }
        }
        Ok(Answer::Null)
    }))
}

/// Goes round the whole ring.
fn round<F>(call: &Call<'_>, walk: impl FnOnce(Keys) -> F + Send + 'static) -> Begun
where
    F: Future<Output = Result<Answer, Answer>> + Send,
{
    along(call, Range::ALL, walk)
}

fn along<F>(call: &Call<'_>, arc: Range, walk: impl FnOnce(Keys) -> F + Send + 'static) -> Begun
where
    F: Future<Output = Result<Answer, Answer>> + Send,
{
    let shared = call.shared.clone();
    Begun::Running(Box::pin(async move {
        let walked = async {
            let _round = Round::begin(shared.clone()).await;
            walk(Keys::new(shared.clone(), arc)).await
        };
        let late = || Answer::error("TRYAGAIN", "going round the ring took more than a minute: use SCAN");
        let walked = tokio::time::timeout(ROUND_WAIT, walked).await;
        walked.unwrap_or_else(|_| Err(late())).unwrap_or_else(|answer| answer)
    }))
}

/// Keys for an answer.
#[derive(Default)]
struct Found {
    keys: Vec<(Position, Key)>,
    bytes: usize,
}

impl Found {
    /// Adds a key, if the pattern fits it.
    fn add(&mut self, header: &Header, pattern: Option<&[u8]>) -> Result<(), Answer> {
        let bytes = header.key.as_bytes();
        if pattern.is_some_and(|pattern| !glob::fits(pattern, bytes)) {
            return Ok(());
        }
        if self.keys.len() >= KEYS_MAX || self.bytes.saturating_add(bytes.len()) > KEYS_BYTES_MAX {
            return Err(Answer::mistake(format!(
                "the answer would have more than {KEYS_MAX} keys or {KEYS_BYTES_MAX} bytes: use SCAN, or a narrower pattern"
            )));
        }
        self.bytes += bytes.len();
        self.keys.push((header.position, header.key.clone()));
        Ok(())
    }
}

fn cursor_bits(size: RingSize) -> u16 {
    size.bits().min(CURSOR_BITS)
}

/// The first binary digits of a position, as many as a cursor has.
fn prefix(size: RingSize, position: Position) -> u64 {
    let bytes = position.to_be_bytes();
    let digit =
        |place: u16| bytes.iter().rev().nth(usize::from(place / 8)).map_or(0, |byte| byte >> (place % 8) & 1);
    let places = (size.bits() - cursor_bits(size)..size.bits()).rev();
    places.fold(0, |prefix, place| prefix << 1 | u64::from(digit(place)))
}

/// The first position that begins so.
fn first_at(size: RingSize, prefix: u64) -> Position {
    let places = size.bits() - cursor_bits(size)..size.bits();
    let set = places.zip(0..).filter(|(_, digit)| prefix >> digit & 1 == 1);
    set.fold(Position::ZERO, |position, (place, _)| size.finger_start(position, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_whole_number_without_sign() {
        assert_eq!(cursor(b"0"), Some(0));
        assert_eq!(cursor(b"18446744073709551615"), Some(u64::MAX));
        for wrong in [&b""[..], b"-1", b"+1", b" 1", b"1x", b"18446744073709551616", b"\xff"] {
            assert_eq!(cursor(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn the_beginning_of_a_position_is_a_number_in_the_order_of_the_ring() {
        for bits in [1, 7, 53, 54, 160, 256] {
            let size = RingSize::new(bits).unwrap();
            let last = size.reduce(Position::MAX);
            let most = (1 << cursor_bits(size)) - 1;
            assert_eq!((prefix(size, Position::ZERO), prefix(size, last)), (0, most), "{bits}");
            for number in [0, 1, most / 3, most - 1, most] {
                let first = first_at(size, number);
                assert_eq!(prefix(size, first), number, "{bits}");
                if number > 0 {
                    assert_eq!(prefix(size, size.before(first)), number - 1, "{bits}");
                }
            }
            assert_eq!(size.before(first_at(size, 0)), last, "the whole circle");
        }
    }
}
