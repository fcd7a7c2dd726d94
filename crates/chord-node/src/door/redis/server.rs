//! The server: what it is, and what it knows.

use std::fmt::Write as _;

use super::answer::Answer;
use super::call::{Begun, Call};
use super::glob;
use super::subscriptions::NOTIFIED;
use super::table::{self, ADMIN, KeyArgs, Row, command, wrong_number};

pub(super) const ROWS: &[Row] = &[
    command("command", -1, ADMIN, KeyArgs::None, commands),
    command("config", -2, ADMIN, KeyArgs::None, config),
    command("info", -1, ADMIN, KeyArgs::None, info),
    command("debug", -1, ADMIN, KeyArgs::None, debug),
    command("cluster", -1, ADMIN, KeyArgs::None, cluster),
    command("time", 1, ADMIN, KeyArgs::None, time),
];

/// Clients ask for it to see which commands they may use. Those that are here work as in this version.
pub(super) const REDIS_VERSION: &str = "7.2.0";

fn commands(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let part = call.option();
    match part.as_deref() {
        None => Ok(Answer::Array(table::all().map(told).collect()).into()),
        Some(b"COUNT") if call.left() > 0 => Err(wrong_number("command|count")),
        Some(b"COUNT") => Ok(Answer::count(table::all().count()).into()),
        Some(b"DOCS") => Ok(Answer::Map(Vec::new()).into()),
        Some(b"LIST") => names(call),
        Some(b"INFO") if call.left() == 0 => Ok(Answer::Array(table::all().map(told).collect()).into()),
        Some(b"INFO") => {
            let mut answers = Vec::new();
            while let Some(name) = call.next() {
                answers.push(table::named(name).map_or(Answer::NullArray, told));
            }
            Ok(Answer::Array(answers).into())
        }
        Some(_) => {
            Err(Answer::mistake("unknown subcommand of COMMAND: there are COUNT, DOCS, INFO and LIST"))
        }
    }
}

/// The names of commands, of all or of some.
fn names(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let syntax = || Answer::mistake("syntax error");
    let told = |rows: &mut dyn Iterator<Item = &'static Row>| {
        Ok(Answer::Array(rows.map(|row| Answer::text(row.name)).collect()).into())
    };
    if call.left() == 0 {
        return told(&mut table::all());
    }
    if call.left() != 3 || call.option().as_deref() != Some(b"FILTERBY") {
        return Err(syntax());
    }
    match (call.option().as_deref(), call.bytes()?) {
        (Some(b"PATTERN"), pattern) => told(
            &mut table::all().filter(|row| glob::fits(&pattern.to_ascii_lowercase(), row.name.as_bytes())),
        ),
        // Redis has its commands in categories too; of these a client asks to be kept from some, which a role does here.
        (Some(b"MODULE" | b"ACLCAT"), _) => told(&mut std::iter::empty()),
        _ => Err(syntax()),
    }
}

/// A command as COMMAND tells it.
fn told(row: &'static Row) -> Answer {
    let none = || Answer::Array(Vec::new());
    let mut parts = vec![
        Answer::text(row.name),
        Answer::Integer(row.arity.into()),
        Answer::Set(row.flags.iter().map(|flag| Answer::Simple(flag)).collect()),
    ];
    parts.extend(row.keys.places().map(Answer::Integer));
    parts.extend([Answer::Set(Vec::new()), none(), none(), none()]);
    Answer::Array(parts)
}

fn config(call: &mut Call<'_>) -> Result<Begun, Answer> {
    if call.option().as_deref() != Some(b"GET") {
        return Err(Answer::mistake(
            "unknown subcommand of CONFIG: there is GET; settings are given to chord serve",
        ));
    }
    if call.left() == 0 {
        return Err(wrong_number("config|get"));
    }
    let limits = &call.shared.limits;
    let settings: [(&'static str, String); 9] = [
        ("appendonly", if call.shared.disk.is_some() { "yes" } else { "no" }.to_owned()),
        ("databases", "1".to_owned()),
        ("maxclients", limits.connections.to_string()),
        ("maxmemory", limits.store_bytes.to_string()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("notify-keyspace-events", NOTIFIED.to_owned()),
        ("proto-max-bulk-len", limits.value_bytes.to_string()),
        ("save", String::new()),
        ("timeout", "0".to_owned()),
    ];
    let mut patterns = Vec::new();
    while let Some(pattern) = call.next() {
        patterns.push(pattern.to_ascii_lowercase());
    }
    let is_asked = |name: &str| patterns.iter().any(|pattern| glob::fits(pattern, name.as_bytes()));
    let asked = settings.into_iter().filter(|(name, _)| is_asked(name));
    Ok(Answer::Map(asked.map(|(name, value)| (name, Answer::text(value))).collect()).into())
}

fn info(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let mut wanted = Vec::new();
    while let Some(section) = call.option() {
        wanted.push(section);
    }
    let is_all = |section: &Vec<u8>| matches!(&section[..], b"ALL" | b"DEFAULT" | b"EVERYTHING");
    let has = |name: &str| {
        wanted.is_empty()
            || wanted.iter().any(|section| is_all(section) || section.eq_ignore_ascii_case(name.as_bytes()))
    };
    let (shared, mut text) = (call.shared, String::new());
    let (view, usage) = (shared.view(), shared.store.usage());
    let mut section = |name: &str, lines: &[(&str, String)]| {
        if has(name) {
            let _ = write!(text, "{}# {name}\r\n", if text.is_empty() { "" } else { "\r\n" });
            for (key, value) in lines {
                let _ = write!(text, "{key}:{value}\r\n");
            }
        }
    };
    let port = shared.me.name.as_str().rsplit(':').next().unwrap_or_default().to_owned();
    section(
        "Server",
        &[
            ("redis_version", REDIS_VERSION.to_owned()),
            ("chord_version", env!("CARGO_PKG_VERSION").to_owned()),
            ("redis_mode", "standalone".to_owned()),
            ("os", std::env::consts::OS.to_owned()),
            ("arch_bits", usize::BITS.to_string()),
            ("process_id", std::process::id().to_string()),
            ("tcp_port", port),
        ],
    );
    section("Clients", &[("maxclients", shared.limits.connections.to_string())]);
    section(
        "Memory",
        &[("used_memory", usage.bytes.to_string()), ("maxmemory", shared.limits.store_bytes.to_string())],
    );
    section("Persistence", &[("loading", "0".to_owned())]);
    section("Replication", &[("role", "master".to_owned()), ("connected_slaves", "0".to_owned())]);
    section("Cluster", &[("cluster_enabled", "0".to_owned())]);
    section(
        "Chord",
        &[
            ("chord_node", shared.me.name.to_string()),
            ("chord_position", shared.me.position.to_string()),
            ("chord_is_member", u8::from(view.is_member()).to_string()),
            ("chord_successors", view.successors().as_slice().len().to_string()),
            ("chord_records_here", usage.records.to_string()),
            ("chord_ready", shared.readiness().map_or_else(|why| why, |()| "yes".to_owned())),
        ],
    );
    Ok(Answer::Verbatim(text).into())
}

fn debug(_: &mut Call<'_>) -> Result<Begun, Answer> {
    Err(Answer::mistake(
        "DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
    ))
}

fn cluster(_: &mut Call<'_>) -> Result<Begun, Answer> {
    Err(Answer::mistake("This instance has cluster support disabled"))
}

fn time(_: &mut Call<'_>) -> Result<Begun, Answer> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let parts = [now.as_secs().to_string(), now.subsec_micros().to_string()];
    Ok(Answer::Array(parts.map(Answer::text).into()).into())
}
