//! Watching: the events of a stream that tells of changes, as `EventSource` and the HTML standard have them.

use std::fmt;

use chord_kv::replication::{Happened, Notice};
use chord_kv::{Range, Version};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{SpelledKey, json};

/// The content type of a stream of events.
pub const EVENTS_TYPE: &str = "text/event-stream";

/// The header by which a client says which event it has seen last.
pub const LAST_EVENT_ID_HEADER: &str = "last-event-id";

/// What is sent while nothing happens: a comment, which clients pass over.
pub const KEEP_ALIVE: &[u8] = b":\n\n";

/// After how many milliseconds a client is to come back.
const RETRY_MS: u32 = 1000;

/// The id of an event after which it is not known what was seen last.
const UNKNOWN: &str = "0";

/// Each thing that can happen to a key, and its name.
const NAMES: [(Happened, &str); 3] =
    [(Happened::Set, "set"), (Happened::Deleted, "deleted"), (Happened::Expired, "expired")];

/// What a client has seen last of what it watches, as the id of each event says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventId(Option<(Version, Happened)>);

impl EventId {
    /// After that change.
    pub const fn after(version: Version, happened: Happened) -> Self {
        Self(Some((version, happened)))
    }

    /// The id that is written so. One that nobody here has written says that nothing is known.
    pub fn read(text: &str) -> Self {
        let read = text.split_once('-').and_then(|(version, name)| {
            let (happened, _) = NAMES.iter().find(|(_, known)| *known == name)?;
            Some((version.parse().ok()?, *happened))
        });
        Self(read)
    }

    /// The last change that was seen, if that is known.
    pub const fn since(self) -> Option<(Version, Happened)> {
        self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some((version, happened)) => write!(f, "{version}-{}", name(*happened)),
            None => f.write_str(UNKNOWN),
        }
    }
}

const fn name(happened: Happened) -> &'static str {
    match happened {
        Happened::Set => "set",
        Happened::Deleted => "deleted",
        Happened::Expired => "expired",
    }
}

/// The data of `set`, `deleted` and `expired`: what was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChangeData {
    /// Of which key.
    #[serde(flatten)]
    key: SpelledKey,
    /// The write that did it, or that said when the value goes.
    version: String,
}

/// The data of `missed`: of which part of the ring changes may have been missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MissedData {
    /// It begins behind this position; if it ends there too, it is the whole ring.
    #[schema(pattern = "^[0-9]{1,78}$")]
    after: String,
    /// It ends with this position.
    #[schema(pattern = "^[0-9]{1,78}$")]
    up_to: String,
    /// What helps.
    detail: &'static str,
}

/// The first event: from now on nothing is missed without a word. It also says when to come back after a stream has ended.
pub fn watching_event(id: EventId) -> Vec<u8> {
    format!("retry: {RETRY_MS}\nid: {id}\nevent: watching\ndata: {{}}\n\n").into_bytes()
}

/// The event of a change.
pub fn change_event(Notice { key, version, happened }: &Notice) -> Vec<u8> {
    let data = ChangeData { key: key.into(), version: version.to_string() };
    event(EventId::after(*version, *happened), name(*happened), &data)
}

/// The event that says that changes may have been missed.
pub fn missed_event(Range { after, up_to }: Range) -> Vec<u8> {
    let detail = "changes may have been missed here: read anew what you need";
    let data = MissedData { after: after.to_string(), up_to: up_to.to_string(), detail };
    event(EventId::default(), "missed", &data)
}

fn event(id: EventId, name: &str, data: &impl Serialize) -> Vec<u8> {
    let mut bytes = format!("id: {id}\nevent: {name}\ndata: ").into_bytes();
    bytes.extend(json(data)); // with its line feed, and no other
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use chord_kv::Key;
    use proptest::prelude::*;

    use super::*;

    fn version() -> Version {
        Version::new(1_700_000_000_000, 3, 42.into())
    }

    #[test]
    fn an_event_is_a_few_lines_that_say_what_happened_and_where_to_go_on() {
        let notice =
            |key: &[u8]| Notice { key: Key::new(key).unwrap(), version: version(), happened: Happened::Set };
        let cases = [
            (
                watching_event(EventId::default()),
                "retry: 1000\nid: 0\nevent: watching\ndata: {}\n\n".to_owned(),
            ),
            (
                change_event(&notice(b"a\n\"b")),
                "id: 1700000000000.3.42-set\nevent: set\ndata: {\"key\":\"a\\n\\\"b\",\"version\":\"1700000000000.3.42\"}\n\n".to_owned(),
            ),
            (
                change_event(&notice(b"\0\xff")),
                "id: 1700000000000.3.42-set\nevent: set\ndata: {\"key_base64\":\"AP8=\",\"version\":\"1700000000000.3.42\"}\n\n".to_owned(),
            ),
            (
                missed_event(Range { after: 5.into(), up_to: 7.into() }),
                "id: 0\nevent: missed\ndata: {\"after\":\"5\",\"up_to\":\"7\",\"detail\":\"changes may have been missed here: read anew what you need\"}\n\n".to_owned(),
            ),
        ];
        for (event, expected) in cases {
            assert_eq!(String::from_utf8(event).unwrap(), expected);
        }
    }

    #[test]
    fn an_id_leads_back_to_what_was_seen_last() {
        for (happened, _) in NAMES {
            let id = EventId::after(version(), happened);
            assert_eq!(EventId::read(&id.to_string()), id);
            assert_eq!(id.since(), Some((version(), happened)));
        }
        for unknown in ["", "0", "1.2.3", "1.2.3-", "1.2.3-gone", "1.2-set", "-set", "x"] {
            assert_eq!(EventId::read(unknown).since(), None, "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn no_key_breaks_out_of_its_event(key: Vec<u8>) {
            let notice = Notice { key: Key::new(&key).unwrap(), version: version(), happened: Happened::Deleted };
            let text = String::from_utf8(change_event(&notice)).unwrap();
            prop_assert_eq!(text.split(['\n', '\r']).count(), 5, "{}", text);
        }
    }
}
