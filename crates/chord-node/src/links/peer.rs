//! A peer for tests, which speaks frames as the test wants.

use std::time::Duration;

use chord_ring::{NodeName, Request as RingRequest, RingName, RingSize, RingTag};
use chord_wire::frame::{
    Answer, Arrived, Asked, Hello, Inbox, Kind, Outbox, Refused, Request, VERSIONS, Welcome,
};
use chord_wire::{Code, Copies};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::connection::{Answered, Sending};
use super::dialogue::Terms;
use super::lane::Lane;
use super::unanswered::Unanswered;

pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// A peer that speaks frames as a test wants.
pub(super) struct Peer {
    pub(super) listener: TcpListener,
    pub(super) name: NodeName,
}

/// A connection to it.
pub(super) struct Served {
    pub(super) stream: TcpStream,
    inbox: Inbox,
    arrived: Vec<u8>,
}

impl Peer {
    pub(super) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = listener.local_addr().unwrap().to_string().parse().unwrap();
        Self { listener, name }
    }

    /// Takes a connection and hears its hello.
    pub(super) async fn accept(&self) -> Served {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut served = Served { stream, inbox: Inbox::of_requests(1 << 20), arrived: Vec::new() };
        let (kind, _) = served.hear().await.unwrap();
        assert_eq!(kind, Kind::Hello.number());
        served
    }

    /// The same, and says welcome.
    pub(super) async fn welcome(&self) -> Served {
        let mut served = self.accept().await;
        served.say(true, Kind::Welcome, 0, |to| self.words(1).write(to)).await;
        served
    }

    pub(super) fn words(&self, version: u8) -> Welcome {
        let copies = Copies { replicas: 3, write_quorum: None };
        Welcome { version, name: self.name.clone(), ring: ring(), is_member: true, copies, challenge: None }
    }

    pub(super) async fn ask(&self, lane: &Lane, sending: &Sending) -> Result<Answer, Unanswered> {
        let asked = Asked { request: Request::Ring(RingRequest::ForgetPredecessor), remaining: None };
        let terms = terms();
        let asking = lane.ask(&self.name, &terms, sending, &asked);
        tokio::time::timeout(DEADLINE, asking).await.expect("an end in time").map(|heard| *heard.answer)
    }
}

impl Served {
    /// The next message, by its kind and its number; `None` at the end.
    pub(super) async fn hear(&mut self) -> Option<(u8, u32)> {
        loop {
            let mut rest = &self.arrived[..];
            let arrived = self.inbox.next(&mut rest).unwrap();
            let came = arrived.map(|arrived| match arrived {
                Arrived::Message(message) => Some((message.kind, message.id)),
                _ => None,
            });
            let n_rest = rest.len();
            self.arrived.drain(..self.arrived.len() - n_rest);
            match came {
                Some(Some(came)) => return Some(came),
                None if self.stream.read_buf(&mut self.arrived).await.unwrap_or(0) == 0 => return None,
                Some(None) | None => {}
            }
        }
    }

    pub(super) async fn say(&mut self, opens: bool, kind: Kind, id: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let mut outbox = Outbox::default();
        if opens {
            outbox.open();
        }
        outbox.put(kind, id, write);
        self.stream.write_all(outbox.unsent()).await.unwrap();
    }

    /// Refuses a request with that sentence.
    pub(super) async fn refuse(&mut self, id: u32, sentence: &str) {
        let refused = answer(sentence);
        self.say(false, Kind::Refused, id, |to| refused.write(to)).await;
    }
}

pub(super) fn ring() -> RingTag {
    RingTag { name: RingName::default(), size: RingSize::DEFAULT }
}

pub(super) fn terms() -> Terms {
    let hello = Hello { versions: VERSIONS, name: None, ring: Some(ring()), copies: None, challenge: None };
    Terms { hello, value_bytes: 1 << 20, secrets: None, tls: None, serving: Vec::new() }
}

pub(super) fn sending() -> Sending {
    Sending::new(Answered::WithOthers)
}

pub(super) fn answer(sentence: &str) -> Answer {
    Answer::Refused(Refused { code: Some(Code::Busy), sentence: sentence.to_owned() })
}
