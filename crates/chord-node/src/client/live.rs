//! The whole ring as a node sees it, followed by a client.

use std::time::Duration;

use bytes::Bytes;
use chord_ring::RingTag;
use chord_wire::rest::{LIVE_PATH, PICTURE_BYTES_MAX, PictureRead};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::rest::Answering;
use super::{Client, ClientError};
use crate::links::NoAnswer;

/// Bytes of an event, at most: those of the nodes, and some for what stands around them and for the names of those that are
/// gone.
const EVENT_BYTES_MAX: usize = PICTURE_BYTES_MAX + (1 << 20);

/// How long a node of an older version may say nothing at all: it says something every fifteen seconds.
const SILENCE_UNTOLD: Duration = Duration::from_secs(35);

/// How long any node may take to show the ring at first: three seconds, and some for one that is busy.
const SILENCE_FIRST: Duration = Duration::from_secs(8);

/// How much later than it says that it would a node may be heard.
const LATE_MAX: Duration = Duration::from_millis(500);

/// The ring as one node shows it, for as long as it does.
pub struct LiveRing {
    client: Client,
    ring: RingTag,
    answering: Answering,
    /// What has come, and how much of it is taken.
    pending: Vec<u8>,
    taken: usize,
    /// Up to where in it no end of a line is.
    searched: usize,
    event: Event,
    /// How long it may say nothing, and since when it has: whoever waits for the next event may do so in parts.
    silence_max: Duration,
    heard_at: Instant,
}

/// What a node shows of the ring.
#[derive(Clone, Debug, PartialEq)]
pub enum RingEvent {
    /// The whole ring.
    Ring(PictureRead),
    /// Those nodes that have changed.
    Changes(PictureRead),
}

/// The event of which lines have come.
#[derive(Default)]
struct Event {
    name: String,
    data: Option<Vec<u8>>,
}

impl Client {
    /// Looks at the whole ring through the node; the stream goes on until it is dropped.
    ///
    /// # Errors
    /// As for [`Client::call`]; the deadline is for the beginning.
    pub async fn live_ring(self, deadline: Duration) -> Result<LiveRing, ClientError> {
        let began = async {
            let ring = self.ring(deadline).await?.clone();
            Ok((ring, self.get(LIVE_PATH, None).await?))
        };
        let (ring, answering) = self.within(deadline, began).await?;
        let event = Event::default();
        let (pending, silence_max, heard_at) = (Vec::new(), SILENCE_FIRST, Instant::now());
        Ok(LiveRing {
            client: self,
            ring,
            answering,
            pending,
            taken: 0,
            searched: 0,
            event,
            silence_max,
            heard_at,
        })
    }
}

impl LiveRing {
    /// The ring that is shown.
    pub fn ring(&self) -> &RingTag {
        &self.ring
    }

    /// The client of the node that shows the ring.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The next event. May be dropped at any point.
    ///
    /// # Errors
    /// The node shows nothing any more: it is gone, silent, leaves, or says what makes no sense.
    pub async fn next(&mut self) -> Result<RingEvent, ClientError> {
        loop {
            while let Some(line) = self.take_line() {
                if let Some(event) = self.hear(&line)? {
                    return Ok(event);
                }
            }
            self.pending.drain(..std::mem::take(&mut self.taken));
            self.searched = self.pending.len();
            if self.pending.len() > EVENT_BYTES_MAX {
                return Err(self.client.unanswered(NoAnswer::TooLarge { limit: EVENT_BYTES_MAX }));
            }
            let bytes = self.read().await?;
            self.pending.extend_from_slice(&bytes);
        }
    }

    async fn read(&mut self) -> Result<Bytes, ClientError> {
        let silent_at = self.heard_at + self.silence_max;
        let frame = tokio::time::timeout_at(silent_at, self.answering.body.frame());
        let node = self.client.node.clone();
        let frame = frame.await;
        self.heard_at = Instant::now();
        match frame {
            Ok(Some(Ok(frame))) => Ok(frame.into_data().unwrap_or_default()),
            Ok(Some(Err(_)) | None) => Err(ClientError::Closed(node)),
            Err(_) => Err(ClientError::Silent { node, waited: self.silence_max }),
        }
    }

    /// The next line that has come whole.
    fn take_line(&mut self) -> Option<Vec<u8>> {
        let end =
            self.searched + self.pending.get(self.searched..)?.iter().position(|byte| *byte == b'\n')?;
        let line = self.pending.get(self.taken..end)?;
        let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
        (self.taken, self.searched) = (end + 1, end + 1);
        Some(line)
    }

    /// Takes one line. What is no part of an event that is known is passed over, as comments are.
    fn hear(&mut self, line: &[u8]) -> Result<Option<RingEvent>, ClientError> {
        if let Some(name) = line.strip_prefix(b"event: ") {
            self.event.name = String::from_utf8_lossy(name.get(..16).unwrap_or(name)).into_owned();
        } else if let Some(data) = line.strip_prefix(b"data: ") {
            self.event.data = Some(data.to_vec());
        } else if line.is_empty() {
            let Event { name, data } = std::mem::take(&mut self.event);
            let event = match name.as_str() {
                "ring" => RingEvent::Ring,
                "changes" => RingEvent::Changes,
                _ => return Ok(None),
            };
            let picture =
                PictureRead::decode(&data.unwrap_or_default(), self.ring.name.as_str(), self.ring.size);
            let picture = picture.map_err(|bad| self.client.garbled(&bad))?;
            self.silence_max = silence_max(picture.beat_ms);
            return Ok(Some(event(picture)));
        }
        Ok(None)
    }
}

/// How long a node may say nothing that says something so often.
fn silence_max(beat_ms: Option<u64>) -> Duration {
    let beats = beat_ms.map(|ms| Duration::from_millis(ms).saturating_mul(2).saturating_add(LATE_MAX));
    beats.map_or(SILENCE_UNTOLD, |beats| beats.min(SILENCE_UNTOLD))
}

#[cfg(test)]
mod tests {
    use chord_wire::rest::{BEAT_PAUSE, SeenAs};

    use super::*;
    use crate::Node;

    const DEADLINE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_client_sees_the_whole_ring_and_what_becomes_of_it() {
        let first = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
        let second = Node::builder().listen("127.0.0.1:0").join(first.name().clone()).start().await.unwrap();
        tokio::time::timeout(DEADLINE, second.ready()).await.unwrap().unwrap();
        let mut live = Client::new(first.name().clone()).live_ring(DEADLINE).await.unwrap();
        let name = second.name().to_string();
        let mut until = async |answer: SeenAs| {
            let shows = async {
                loop {
                    let (RingEvent::Ring(picture) | RingEvent::Changes(picture)) = live.next().await.unwrap();
                    if picture.nodes.iter().any(|seen| seen.node == name && seen.answer == answer) {
                        return;
                    }
                }
            };
            tokio::time::timeout(DEADLINE, shows).await.expect("it is shown");
        };
        until(SeenAs::Answered).await;
        second.shutdown().await;
        until(SeenAs::Unreachable).await;
        first.shutdown().await;
        let gone = async { while live.next().await.is_ok() {} };
        tokio::time::timeout(DEADLINE, gone).await.expect("a node that leaves shows nothing more");
    }

    #[test]
    fn a_node_is_silent_after_less_than_five_seconds_unless_it_is_of_an_older_version() {
        let beat = u64::try_from(BEAT_PAUSE.as_millis()).unwrap();
        assert!(silence_max(Some(beat)) < Duration::from_secs(5));
        assert!(silence_max(Some(beat)) > BEAT_PAUSE.saturating_mul(2), "one beat may be late");
        assert_eq!([silence_max(None), silence_max(Some(u64::MAX))], [SILENCE_UNTOLD; 2]);
    }

    #[tokio::test]
    async fn a_client_is_told_the_way_to_a_key_and_what_a_node_tells_of_itself() {
        let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
        node.put(b"a/\xff", b"value").await.unwrap();
        let client = Client::new(node.name().clone());
        assert_eq!(client.report(DEADLINE).await.unwrap().records, 1);
        let trace = client.trace(&chord_kv::Key::new(b"a/\xff").unwrap(), DEADLINE).await.unwrap();
        assert_eq!((trace.hops, trace.steps.len(), trace.copies.len(), trace.do_agree), (0, 1, 1, true));
        assert_eq!(trace.owner.node, node.name().as_str());
        node.shutdown().await;
    }
}
