//! The connection itself: greeting, names, and its end.

use chord_wire::Code;
use chord_wire::resp::Protocol;

use super::answer::Answer;
use super::call::{Begun, Call, NOT_AN_INTEGER, integer};
use super::session::{NAME_BYTES_MAX, Session, Subscribed};
use super::table::{ADMIN, KeyArgs, Row, command, wrong_number};
use crate::guard::Guard;
use crate::offence::Offence;
use crate::secret::Role;

pub(super) const ROWS: &[Row] = &[
    command("ping", -1, ADMIN, KeyArgs::None, ping),
    command("echo", 2, ADMIN, KeyArgs::None, echo),
    command("hello", -1, ADMIN, KeyArgs::None, hello),
    command("auth", -2, ADMIN, KeyArgs::None, auth),
    command("select", 2, ADMIN, KeyArgs::None, select),
    command("quit", -1, ADMIN, KeyArgs::None, quit),
    command("reset", 1, ADMIN, KeyArgs::None, reset),
    command("client", -2, ADMIN, KeyArgs::None, client),
];

fn ping(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let text = call.next().map(<[u8]>::to_vec);
    if call.left() > 0 {
        return Err(wrong_number("ping"));
    }
    if call.session.hears_only_subscriptions() {
        let text = Answer::Bytes(text.unwrap_or_default());
        return Ok(Answer::Array(vec![Answer::text("pong"), text]).into());
    }
    Ok(text.map_or(Answer::Simple("PONG"), Answer::Bytes).into())
}

fn echo(call: &mut Call<'_>) -> Result<Begun, Answer> {
    Ok(Answer::Bytes(call.bytes()?.to_vec()).into())
}

fn hello(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let mut protocol = call.session.protocol();
    let mut name = None;
    if let Some(version) = call.next() {
        protocol = match integer(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(Answer::error("NOPROTO", "unsupported protocol version")),
            None => return Err(Answer::mistake("Protocol version is not an integer or out of range")),
        };
    }
    while let Some(option) = call.option() {
        let syntax = || Answer::mistake("Syntax error in HELLO option");
        match &option[..] {
            b"AUTH" => {
                let user = call.next().ok_or_else(syntax)?;
                let password = call.next().ok_or_else(syntax)?;
                log_in(call, user, password)?;
            }
            b"SETNAME" => name = Some(checked_name(NAMES, call.next().ok_or_else(syntax)?)?),
            _ => return Err(syntax()),
        }
    }
    admit_to_hello(call)?;
    call.session.speak(protocol);
    if let Some(name) = name {
        call.session.name = name;
    }
    let version = if protocol == Protocol::Resp3 { 3 } else { 2 };
    Ok(Answer::Map(vec![
        ("server", Answer::text("redis")),
        ("version", Answer::text(super::server::REDIS_VERSION)),
        ("proto", Answer::Integer(version)),
        ("id", Answer::Integer(call.session.id)),
        ("mode", Answer::text("standalone")),
        ("role", Answer::text("master")),
        ("modules", Answer::Array(Vec::new())),
    ])
    .into())
}

/// The command, if this client may call it; if not, why, in the words of Redis.
pub(super) fn admit(guard: &Guard, session: &Session, row: &'static Row) -> Result<&'static Row, Answer> {
    // Without secrets all may call what the node allows at all.
    let Some(role) = row.role().filter(|_| guard.secrets().is_some()) else { return Ok(row) };
    guard.admit(&session.visitor, role).map(|()| row).map_err(|refused| match refused.code {
        Code::NoSecret => Answer::error("NOAUTH", "Authentication required."),
        _ => Answer::error(
            "NOPERM",
            format!("User default has no permissions to run the '{}' command", row.name),
        ),
    })
}

/// A greeting may let in, and otherwise is for those who are in.
fn admit_to_hello(call: &Call<'_>) -> Result<(), Answer> {
    let guard = &call.shared.guard;
    if guard.secrets().is_none() || guard.allows(&call.session.visitor, Role::Read) {
        return Ok(());
    }
    Err(Answer::error("NOAUTH", NOT_GREETED))
}

const NOT_GREETED: &str = "HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";

/// Lets a client in by a secret, whatever it calls itself; without secrets, as a Redis does whose one user has no password.
fn log_in(call: &mut Call<'_>, user: &[u8], password: &[u8]) -> Result<(), Answer> {
    let wrong = || Answer::error("WRONGPASS", "invalid username-password pair or user is disabled.");
    let guard = &call.shared.guard;
    if guard.secrets().is_none() {
        return if user == b"default" { Ok(()) } else { Err(wrong()) };
    }
    let known = guard.recognize(password).ok_or_else(|| {
        guard.offences().note(Offence::Secret, call.session.ends.from());
        wrong()
    })?;
    call.session.visitor = call.session.visitor.known_by(Some(known));
    Ok(())
}

fn auth(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let first = call.bytes()?;
    match (call.left(), call.next()) {
        (0, _) if call.shared.guard.secrets().is_none() => Err(Answer::mistake(
            "AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        )),
        (0, _) => log_in(call, b"default", first).map(|()| Answer::OK.into()),
        (1, Some(password)) => log_in(call, first, password).map(|()| Answer::OK.into()),
        _ => Err(Answer::mistake("syntax error")),
    }
}

fn select(call: &mut Call<'_>) -> Result<Begun, Answer> {
    match integer(call.bytes()?) {
        Some(0) => Ok(Answer::OK.into()),
        Some(_) => Err(Answer::mistake("DB index is out of range")),
        None => Err(Answer::mistake(NOT_AN_INTEGER)),
    }
}

fn quit(call: &mut Call<'_>) -> Result<Begun, Answer> {
    call.session.end();
    Ok(Answer::OK.into())
}

fn reset(call: &mut Call<'_>) -> Result<Begun, Answer> {
    call.session.reset();
    Ok(Answer::Simple("RESET").into())
}

fn client(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let Some(part) = call.option() else { return Err(wrong_number("client")) };
    match (&part[..], call.left()) {
        (b"ID", 0) => Ok(Answer::Integer(call.session.id).into()),
        (b"GETNAME", 0) => Ok(if call.session.name.is_empty() {
            Answer::Null.into()
        } else {
            Answer::text(call.session.name.clone()).into()
        }),
        (b"SETNAME", 1) => {
            call.session.name = checked_name(NAMES, call.bytes()?)?;
            Ok(Answer::OK.into())
        }
        (b"SETINFO", 2) => set_info(call),
        (b"INFO", 0) => Ok(Answer::Verbatim(description(call.session, "info")).into()),
        (b"LIST", _) => list(call),
        (b"NO-EVICT" | b"NO-TOUCH", 1) => match call.option().as_deref() {
            Some(b"ON" | b"OFF") => Ok(Answer::OK.into()),
            _ => Err(Answer::mistake("syntax error")),
        },
        (b"REPLY", 1) => reply(call),
        (
            b"ID" | b"GETNAME" | b"SETNAME" | b"SETINFO" | b"INFO" | b"NO-EVICT" | b"NO-TOUCH" | b"REPLY",
            _,
        ) => Err(wrong_number(&format!("client|{}", String::from_utf8_lossy(&part).to_ascii_lowercase()))),
        _ => Err(Answer::mistake(
            "unknown subcommand of CLIENT: there are ID, GETNAME, SETNAME, SETINFO, INFO, LIST, NO-EVICT, NO-TOUCH and REPLY",
        )),
    }
}

/// Of the other connections of this node none is told.
fn list(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let is_told = match call.option().as_deref() {
        None => true,
        Some(b"TYPE") => match call.option().as_deref() {
            Some(b"NORMAL") => !call.session.subscribed.is_any(),
            Some(b"PUBSUB") => call.session.subscribed.is_any(),
            Some(b"MASTER" | b"REPLICA" | b"SLAVE") => false,
            _ => return Err(Answer::mistake("Unknown client type")),
        },
        Some(b"ID") if call.left() > 0 => {
            let mut is_named = false;
            while let Some(id) = call.next() {
                let id = integer(id).ok_or_else(|| Answer::mistake("Invalid client ID"))?;
                is_named |= id == call.session.id;
            }
            is_named
        }
        Some(_) => return Err(Answer::mistake("syntax error")),
    };
    call.end()?;
    let told = if is_told { description(call.session, "list") } else { String::new() };
    Ok(Answer::Verbatim(told).into())
}

fn set_info(call: &mut Call<'_>) -> Result<Begun, Answer> {
    let (which, text) = (call.option(), call.bytes()?);
    match which.as_deref() {
        Some(b"LIB-NAME") => call.session.library = checked_name("lib-name", text)?,
        Some(b"LIB-VER") => call.session.library_version = checked_name("lib-ver", text)?,
        _ => return Err(Answer::mistake("Unrecognized option: LIB-NAME and LIB-VER are known")),
    }
    Ok(Answer::OK.into())
}

fn reply(call: &mut Call<'_>) -> Result<Begun, Answer> {
    match call.option().as_deref() {
        Some(b"ON") => {
            call.session.hear_all();
            Ok(Answer::OK.into())
        }
        Some(b"OFF") => {
            call.session.hear_nothing();
            Ok(Answer::Nothing.into())
        }
        Some(b"SKIP") => {
            call.session.skip_next();
            Ok(Answer::Nothing.into())
        }
        _ => Err(Answer::mistake("syntax error")),
    }
}

/// What CLIENT SETNAME calls what it sets.
const NAMES: &str = "Client names";

/// A name without blanks and what cannot be printed.
fn checked_name(what: &str, bytes: &[u8]) -> Result<String, Answer> {
    if bytes.len() > NAME_BYTES_MAX {
        return Err(Answer::mistake(format!("{what} cannot have more than {NAME_BYTES_MAX} bytes here.")));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(u8::is_ascii_graphic) => Ok(text.to_owned()),
        _ => Err(Answer::mistake(format!("{what} cannot contain spaces, newlines or special characters."))),
    }
}

/// A connection as CLIENT tells it: what is known of it here.
fn description(session: &Session, command: &str) -> String {
    let Session { id, name, library, library_version, began, subscribed, .. } = session;
    let Subscribed { channels, patterns } = subscribed;
    let flags = if subscribed.is_any() { 'P' } else { 'N' };
    let (peer, local) = session.ends.addresses();
    let version = if session.protocol() == Protocol::Resp3 { 3 } else { 2 };
    format!(
        "id={id} addr={peer} laddr={local} name={name} age={} idle=0 flags={flags} db=0 sub={channels} psub={patterns} multi=-1 cmd=client|{command} user=default redir=-1 resp={version} lib-name={library} lib-ver={library_version}\n",
        began.elapsed().as_secs()
    )
}
