//! Subscriptions: changes of keys as keyspace notifications, `__keyspace@0__:KEY` and `__keyevent@0__:EVENT`.
//!
//! Each channel or pattern that can tell of keys is one watch. Others are taken and never tell anything, since nobody can
//! publish. What Redis has no word for comes on a channel of ours: that something may have been missed.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use chord_kv::replication::{Filter, Happened, Notice, Seen, Since};
use chord_kv::{KEY_BYTES_MAX, Key};
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::{self, SelectAll, Stream, StreamExt};
use tokio::time::Instant;

use super::answer::Answer;
use super::call::{Begun, Call};
use super::glob;
use super::session::Subscribed;
use super::table::{KeyArgs, PUBSUB, Row, command};
use crate::guard::Visitor;
use crate::secret::Role;
use crate::shared::{Shared, Stage};

pub(super) const ROWS: &[Row] = &[
    command("subscribe", -2, PUBSUB, KeyArgs::None, |call| begun(call, Verb::Subscribe, Kind::Channel)),
    command("unsubscribe", -1, PUBSUB, KeyArgs::None, |call| begun(call, Verb::Unsubscribe, Kind::Channel)),
    command("psubscribe", -2, PUBSUB, KeyArgs::None, |call| begun(call, Verb::Subscribe, Kind::Pattern)),
    command("punsubscribe", -1, PUBSUB, KeyArgs::None, |call| begun(call, Verb::Unsubscribe, Kind::Pattern)),
];

/// What CONFIG GET says of notify-keyspace-events: both kinds of channels tell of deletions (g), of values that are set ($),
/// and of those whose time has come (x).
pub(super) const NOTIFIED: &str = "g$xKE";

/// Channels and patterns of one connection, at most: as many as a node watches for all its clients by default.
const NAMES_MAX: usize = 1024;

/// Bytes of a channel, at most: the longest key, and what stands before it.
const CHANNEL_BYTES_MAX: usize = KEY_BYTES_MAX + KEYSPACE.len();

/// Bytes of a pattern, at most: it is tried on every change.
const PATTERN_BYTES_MAX: usize = 1024;

/// Bytes of all patterns of one connection from their first `*` on, at most: to try these takes time by the product of
/// their length and that of the key. On the longest key that is less than a tenth of a second.
const TAILS_BYTES_MAX: usize = 16 << 10;

const KEYSPACE: &str = "__keyspace@0__:";
const KEYEVENT: &str = "__keyevent@0__:";

/// Where it is told that changes may have been missed; the message is the channel or pattern that missed them.
const MISSED: &[u8] = b"__chord__:missed";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Subscribe,
    Unsubscribe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Channel,
    Pattern,
}

/// What a command wants of the subscriptions of its connection.
pub(super) struct Subscribing {
    verb: Verb,
    kind: Kind,
    /// None at all are all.
    names: Vec<Vec<u8>>,
}

fn begun(call: &mut Call<'_>, verb: Verb, kind: Kind) -> Result<Begun, Answer> {
    let mut names = Vec::new();
    while let Some(name) = call.next() {
        names.push(name.to_vec());
    }
    Ok(Begun::Subscription(Subscribing { verb, kind, names }))
}

/// How much of a pattern may have to be tried at each byte of a key.
fn tail_bytes((kind, name): &Name) -> usize {
    let first = name.iter().position(|byte| *byte == b'*');
    first.filter(|_| *kind == Kind::Pattern).map_or(0, |first| name.len() - first)
}

/// A channel or a pattern.
type Name = (Kind, Arc<[u8]>);

/// What a watch tells; `None` when the node stops.
type Told = (Name, Option<Seen>);

/// All that one connection is subscribed to.
#[derive(Default)]
pub(super) struct Subscriptions {
    names: BTreeMap<Name, Subscription>,
    told: SelectAll<Pin<Box<dyn Stream<Item = Told> + Send>>>,
}

/// One channel or pattern. Its watch ends with it.
struct Subscription {
    watch: Option<AbortHandle>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

impl Subscriptions {
    /// How many channels, and how many patterns.
    pub(super) fn counts(&self) -> Subscribed {
        let patterns = self.names.keys().filter(|(kind, _)| *kind == Kind::Pattern).count();
        Subscribed { channels: self.names.len() - patterns, patterns }
    }

    /// Whether some of them can tell of keys. Nothing ever comes of the others, and nobody's place is kept for that.
    pub(super) fn watch_keys(&self) -> bool {
        self.names.values().any(|subscription| subscription.watch.is_some())
    }

    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.told.clear();
    }

    /// Does what a command wants, and says so name by name: when it is said of one, nothing of it is missed any more.
    pub(super) async fn change(&mut self, shared: &Arc<Shared>, wanted: Subscribing) -> Vec<Answer> {
        let Subscribing { verb, kind, mut names } = wanted;
        if verb == Verb::Unsubscribe && names.is_empty() {
            let all = self.names.keys().filter(|(known, _)| *known == kind);
            names = all.map(|(_, name)| name.to_vec()).collect();
            if names.is_empty() {
                return vec![confirmation(verb, kind, Answer::Null, self.names.len())];
            }
        }
        let until = Instant::now() + shared.limits.operation;
        let mut answers = Vec::new();
        for name in names {
            let done = match verb {
                Verb::Subscribe => self.add(shared, (kind, name.as_slice().into()), until).await,
                Verb::Unsubscribe => {
                    self.remove(&(kind, name.as_slice().into()));
                    Ok(())
                }
            };
            answers.push(match done {
                Ok(()) => confirmation(verb, kind, Answer::Bytes(name), self.names.len()),
                Err(answer) => answer,
            });
        }
        answers
    }

    fn remove(&mut self, name: &Name) {
        self.names.remove(name);
        if self.names.is_empty() {
            self.told.clear(); // Nobody asks them any more, and they would not notice that they have ended.
        }
    }

    async fn add(&mut self, shared: &Arc<Shared>, name: Name, until: Instant) -> Result<(), Answer> {
        if self.names.contains_key(&name) {
            return Ok(());
        }
        if self.names.len() >= NAMES_MAX {
            let sentence = format!("a connection has {NAMES_MAX} subscriptions at most: use patterns");
            return Err(Answer::mistake(sentence));
        }
        let limit = if name.0 == Kind::Channel { CHANNEL_BYTES_MAX } else { PATTERN_BYTES_MAX };
        if name.1.len() > limit {
            return Err(Answer::mistake(format!("a channel or a pattern has {limit} bytes at most")));
        }
        let tails: usize = self.names.keys().map(tail_bytes).sum();
        if tails + tail_bytes(&name) > TAILS_BYTES_MAX {
            let sentence = format!(
                "the patterns of a connection have {TAILS_BYTES_MAX} bytes at most from their first * on: use others, or several connections"
            );
            return Err(Answer::mistake(sentence));
        }
        let Some(filter) = filter(&name) else {
            self.names.insert(name, Subscription { watch: None });
            return Ok(());
        };
        let try_again = |sentence: String| Answer::error("TRYAGAIN", sentence);
        let mut watch = shared.watch(filter, Since::Now).map_err(|error| try_again(error.to_string()))?;
        let begun = async {
            while let Some(seen) = watch.next().await {
                if seen == Seen::Watching {
                    return true;
                }
            }
            false
        };
        let is_watching = tokio::time::timeout_at(until, begun).await.unwrap_or(false);
        if !is_watching {
            return Err(try_again("not all owners of these keys have been found in time".to_owned()));
        }
        let named = name.clone();
        let seen = stream::unfold(Some(watch), move |watch| {
            let named = named.clone();
            async move {
                let mut watch = watch?;
                let seen = watch.next().await;
                let goes_on = seen.is_some().then_some(watch);
                Some(((named, seen), goes_on))
            }
        });
        let (handle, registration) = AbortHandle::new_pair();
        self.told.push(Box::pin(Abortable::new(seen, registration)));
        self.names.insert(name, Subscription { watch: Some(handle) });
        Ok(())
    }

    /// What is to be told next, perhaps nothing; `None` if nothing more will be, since the node leaves or the client's secret is no
    /// longer valid. May be dropped at any point. Never ends while there is no subscription.
    pub(super) async fn next(&mut self, shared: &Shared, client: &Visitor) -> Option<Vec<Answer>> {
        if self.names.is_empty() {
            return std::future::pending().await;
        }
        tokio::select! {
            biased;
            () = shared.reached(Stage::Departing) => None,
            () = shared.guard.dismissed(client, Role::Read) => None,
            Some((name, seen)) = self.told.next() => seen.map(|seen| self.messages(&name, seen)),
        }
    }

    fn messages(&self, name: &Name, seen: Seen) -> Vec<Answer> {
        match seen {
            Seen::Watching => Vec::new(),
            Seen::Changed(notice) => notifications(&notice)
                .into_iter()
                .filter_map(|(channel, message)| told(name, &channel, message))
                .collect(),
            Seen::Missed(_) => {
                let message = |to: &Name| told(to, MISSED, name.1.to_vec());
                self.names.keys().filter_map(message).collect()
            }
        }
    }
}

fn confirmation(verb: Verb, kind: Kind, name: Answer, count: usize) -> Answer {
    let word = match (verb, kind) {
        (Verb::Subscribe, Kind::Channel) => "subscribe",
        (Verb::Unsubscribe, Kind::Channel) => "unsubscribe",
        (Verb::Subscribe, Kind::Pattern) => "psubscribe",
        (Verb::Unsubscribe, Kind::Pattern) => "punsubscribe",
    };
    Answer::Push(vec![Answer::text(word), name, Answer::count(count)])
}

/// The channels on which Redis tells of a change, and what it says there.
fn notifications(Notice { key, happened, .. }: &Notice) -> [(Vec<u8>, Vec<u8>); 2] {
    let (key, event) = (key.as_bytes(), event(*happened));
    [
        ([KEYSPACE.as_bytes(), key].concat(), event.as_bytes().to_vec()),
        (format!("{KEYEVENT}{event}").into_bytes(), key.to_vec()),
    ]
}

const fn event(happened: Happened) -> &'static str {
    match happened {
        Happened::Set => "set",
        Happened::Deleted => "del",
        Happened::Expired => "expired",
    }
}

/// A message of a channel to one who is subscribed so, if it is for it.
fn told((kind, name): &Name, channel: &[u8], message: Vec<u8>) -> Option<Answer> {
    let bytes = |bytes: &[u8]| Answer::Bytes(bytes.to_vec());
    match kind {
        Kind::Channel => (**name == *channel)
            .then(|| Answer::Push(vec![Answer::text("message"), bytes(channel), Answer::Bytes(message)])),
        Kind::Pattern => glob::fits(name, channel).then(|| {
            Answer::Push(vec![Answer::text("pmessage"), bytes(name), bytes(channel), Answer::Bytes(message)])
        }),
    }
}

/// Which keys are to be watched for a channel or a pattern; `None` if it can tell of none.
fn filter((kind, name): &Name) -> Option<Filter> {
    let all = || Filter::Prefix(Vec::new());
    match kind {
        Kind::Channel => match name.strip_prefix(KEYSPACE.as_bytes()) {
            Some(key) => Key::new(key).ok().map(Filter::Key),
            None => [Happened::Set, Happened::Deleted, Happened::Expired]
                .into_iter()
                .any(|happened| format!("{KEYEVENT}{}", event(happened)).as_bytes() == &**name)
                .then(all),
        },
        Kind::Pattern => {
            let is_plain = |byte: &&u8| !b"*?[\\".contains(byte);
            let plain: Vec<u8> = name.iter().take_while(is_plain).copied().collect();
            if let Some(prefix) = plain.strip_prefix(KEYSPACE.as_bytes()) {
                return (prefix.len() <= KEY_BYTES_MAX).then(|| Filter::Prefix(prefix.to_vec()));
            }
            let is_way_to = |channel: &str| {
                let channel = channel.as_bytes();
                channel.starts_with(&plain) || plain.starts_with(channel)
            };
            (is_way_to(KEYSPACE) || is_way_to(KEYEVENT)).then(all)
        }
    }
}

#[cfg(test)]
mod tests {
    use chord_kv::Version;

    use super::*;

    fn wanted(kind: Kind, name: &str) -> Option<Filter> {
        filter(&(kind, name.as_bytes().into()))
    }

    #[test]
    fn only_the_keys_that_a_channel_can_tell_of_are_watched() {
        let prefix = |text: &str| Some(Filter::Prefix(text.as_bytes().to_vec()));
        let key = Some(Filter::Key(Key::new(b"a*").unwrap()));
        let long = format!("{KEYSPACE}{}", "a".repeat(KEY_BYTES_MAX + 1));
        let cases = [
            (Kind::Channel, "__keyspace@0__:a*", key),
            (Kind::Channel, "__keyspace@1__:a", None),
            (Kind::Channel, &long, None),
            (Kind::Channel, "__keyevent@0__:expired", prefix("")),
            (Kind::Channel, "__keyevent@0__:lpush", None),
            (Kind::Channel, "news", None),
            (Kind::Pattern, "__keyspace@0__:user:*", prefix("user:")),
            (Kind::Pattern, "__keyspace@0__:user", prefix("user")),
            (Kind::Pattern, "__keyspace@0__:a\\*", prefix("a")),
            (Kind::Pattern, "__keyspace@*__:user:*", prefix("")),
            (Kind::Pattern, "__keyevent@0__:*", prefix("")),
            (Kind::Pattern, "*", prefix("")),
            (Kind::Pattern, "news.*", None),
            (Kind::Pattern, "__chord__:*", None),
        ];
        for (kind, name, expected) in cases {
            assert_eq!(wanted(kind, name), expected, "{name}");
        }
    }

    #[test]
    fn a_change_is_told_to_those_whose_channel_or_pattern_it_is() {
        let key = Key::new(b"user:1").unwrap();
        let notice = Notice { key, version: Version::new(1, 0, 0.into()), happened: Happened::Deleted };
        let count = |kind, name: &str| {
            let name = (kind, name.as_bytes().into());
            let subscriptions = Subscriptions::default();
            subscriptions.messages(&name, Seen::Changed(notice.clone())).len()
        };
        assert_eq!(count(Kind::Channel, "__keyspace@0__:user:1"), 1);
        assert_eq!(count(Kind::Channel, "__keyevent@0__:del"), 1);
        assert_eq!(count(Kind::Channel, "__keyevent@0__:set"), 0);
        assert_eq!(count(Kind::Pattern, "__keyspace@0__:user:[12]"), 1);
        assert_eq!(count(Kind::Pattern, "__keyspace@0__:user:[23]"), 0);
        assert_eq!(count(Kind::Pattern, "__key*"), 2);
    }
}
