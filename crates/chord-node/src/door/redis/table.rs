//! The table of all commands: how each is called, which arguments are keys, and how it begins.

use std::collections::HashMap;
use std::sync::LazyLock;

use chord_wire::resp::Request;

use super::answer::Answer;
use super::call::{Begun, Call};
use super::pipeline::{Touched, hash};
use super::{
    connection, counters, expiry, flush, keys, ours, scan, server, strings, subscriptions, transactions,
};
use crate::secret::Role;

/// How a command is called, and how it begins.
pub(super) struct Row {
    /// In small letters.
    pub(super) name: &'static str,
    /// With the name: so many arguments exactly, or below 0 at least so many.
    pub(super) arity: i8,
    pub(super) flags: &'static [&'static str],
    pub(super) keys: KeyArgs,
    pub(super) begin: fn(&mut Call<'_>) -> Result<Begun, Answer>,
}

impl Row {
    /// Whether it changes nothing.
    pub(super) fn is_read(&self) -> bool {
        self.flags.contains(&"readonly")
    }

    /// What somebody must be who calls it; nothing of what lets somebody in or out.
    pub(super) fn role(&self) -> Option<Role> {
        match self.name {
            "auth" | "hello" | "quit" | "reset" => None,
            "flushdb" | "flushall" => Some(Role::Admin),
            _ if self.flags.contains(&"write") => Some(Role::Write),
            _ => Some(Role::Read),
        }
    }

    /// Whether all answers before it are to be written first: what is written after it may look different.
    pub(super) fn is_turn(&self) -> bool {
        matches!(self.name, "hello" | "reset") || self.flags == PUBSUB
    }
}

/// Which arguments are keys, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyArgs {
    None,
    /// The first.
    First,
    /// All.
    All,
    /// The first, the third and so on.
    EverySecond,
    /// None, and the answer tells of all keys that there are.
    Ring,
}

pub(super) const READ: &[&str] = &["readonly", "fast"];
/// Those that may need more room.
pub(super) const WRITE: &[&str] = &["write", "denyoom", "fast"];
/// Those that never need more.
pub(super) const CHANGE: &[&str] = &["write", "fast"];
pub(super) const ADMIN: &[&str] = &["noscript", "loading", "stale", "fast"];
pub(super) const PUBSUB: &[&str] = &["pubsub", "noscript", "loading", "stale"];

/// A row of a family's table.
pub(super) const fn command(
    name: &'static str,
    arity: i8,
    flags: &'static [&'static str],
    keys: KeyArgs,
    begin: fn(&mut Call<'_>) -> Result<Begun, Answer>,
) -> Row {
    Row { name, arity, flags, keys, begin }
}

const FAMILIES: [&[Row]; 11] = [
    strings::ROWS,
    counters::ROWS,
    expiry::ROWS,
    keys::ROWS,
    scan::ROWS,
    flush::ROWS,
    connection::ROWS,
    subscriptions::ROWS,
    server::ROWS,
    transactions::ROWS,
    ours::ROWS,
];

/// No name of a command is longer.
const NAME_BYTES_MAX: usize = 32;

static BY_NAME: LazyLock<HashMap<&'static [u8], &'static Row>> =
    LazyLock::new(|| all().map(|row| (row.name.as_bytes(), row)).collect());

/// All commands.
pub(super) fn all() -> impl Iterator<Item = &'static Row> {
    FAMILIES.into_iter().flatten()
}

/// The command of that name, in letters of any size.
pub(super) fn named(name: &[u8]) -> Option<&'static Row> {
    let mut small = [0; NAME_BYTES_MAX];
    let small = small.get_mut(..name.len())?;
    small.copy_from_slice(name);
    small.make_ascii_lowercase();
    BY_NAME.get(&*small).copied()
}

/// What a request calls, if it does so rightly. `last` was called before it, and is called again as a rule.
pub(super) fn row(request: &Request<'_>, last: Option<&'static Row>) -> Result<&'static Row, Answer> {
    let name = request.command();
    let again = last.filter(|last| name.eq_ignore_ascii_case(last.name.as_bytes()));
    let row = again.or_else(|| named(name)).ok_or_else(|| unknown(name))?;
    let n_args = request.all().len();
    let wanted = usize::from(row.arity.unsigned_abs());
    let fits = if row.arity < 0 { n_args >= wanted } else { n_args == wanted };
    let pairs_up = row.keys != KeyArgs::EverySecond || n_args % 2 == 1;
    if fits && pairs_up { Ok(row) } else { Err(wrong_number(row.name)) }
}

/// Whether a line begins as one of an HTTP request does.
pub(super) fn is_of_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// As Redis says it; a name that is none is not repeated.
fn unknown(name: &[u8]) -> Answer {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-|".contains(byte);
    match std::str::from_utf8(name) {
        Ok(text) if name.len() <= NAME_BYTES_MAX && name.iter().all(is_plain) => {
            Answer::mistake(format!("unknown command '{text}'"))
        }
        _ => Answer::mistake("unknown command"),
    }
}

pub(super) fn wrong_number(name: &str) -> Answer {
    Answer::mistake(format!("wrong number of arguments for '{name}' command"))
}

impl KeyArgs {
    /// The keys of a request, as the pipeline tells them apart.
    pub(super) fn touched(self, request: &Request<'_>) -> Touched {
        let (n_keys, step) = match self {
            Self::None => return Touched::NOTHING,
            Self::Ring => return Touched::All,
            Self::First => (1, 1),
            Self::All => (usize::MAX, 1),
            Self::EverySecond => (usize::MAX, 2),
        };
        Touched::Keys(request.args().step_by(step).take(n_keys).map(hash).collect())
    }

    /// The first key, the last one, and the step between them, as COMMAND tells them.
    pub(super) fn places(self) -> [i64; 3] {
        match self {
            Self::None | Self::Ring => [0, 0, 0],
            Self::First => [1, 1, 1],
            Self::All => [1, -1, 1],
            Self::EverySecond => [1, -1, 2],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_command_has_a_name_of_its_own_in_small_letters() {
        let names: BTreeSet<&str> = all().map(|row| row.name).collect();
        assert_eq!(names.len(), all().count());
        for row in all() {
            assert!(
                row.name.len() <= NAME_BYTES_MAX && row.name == row.name.to_ascii_lowercase(),
                "{}",
                row.name
            );
            assert_eq!(named(row.name.to_ascii_uppercase().as_bytes()).map(|row| row.name), Some(row.name));
        }
        assert!(named(b"nonsense").is_none() && named(&[b'x'; 100]).is_none() && named(b"").is_none());
    }
}
