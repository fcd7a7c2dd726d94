//! The frames in which nodes ask each other, as `docs/protocol.md` has them. This side is a client, and no member.

use std::borrow::Cow;
use std::time::Duration;

use anyhow::{anyhow, bail};
use chord::{Consistency, Key, Operation as Asked, Outcome, VALUE_BYTES_LIMIT, Value};
use chord_kv::replication::Proposal;
use chord_ring::RingTag;
use chord_wire::frame::{
    self, Arrived, Class, Declined, HELLO_BYTES_MAX, Hello, Inbox, Kind, Message, Outbox, Speaker,
};
use chord_wire::replica::{Operate, ReplicaLimits};

use super::{Answer, Came, Heard, Speech, sentence};
use crate::cli::bench::keys::{Sizes, key, write_value};
use crate::cli::bench::lane::ANSWER_WITHIN;
use crate::cli::bench::workload::{Operation, Request};

/// One connection that speaks them.
pub(super) struct Peer {
    ring: RingTag,
    sizes: Sizes,
    outbox: Outbox,
    inbox: Inbox,
    /// Who is there, and the version that is spoken, once it has said so.
    met: Option<(Speaker, u8)>,
}

impl Peer {
    pub(super) fn new(ring: RingTag, sizes: Sizes) -> Self {
        Self { ring, sizes, outbox: Outbox::default(), inbox: Inbox::of_answers(HELLO_BYTES_MAX), met: None }
    }

    fn limits(&self) -> ReplicaLimits {
        ReplicaLimits { size: self.ring.size, value_bytes: VALUE_BYTES_LIMIT }
    }

    /// Puts all that waits into what goes out.
    fn flush(&mut self, to: &mut Vec<u8>) {
        loop {
            self.outbox.cut();
            let unsent = self.outbox.unsent();
            if unsent.is_empty() {
                return;
            }
            to.extend_from_slice(unsent);
            self.outbox.sent(unsent.len());
        }
    }

    fn hear_message(&mut self, message: &Message<'_>, n_bytes: usize) -> anyhow::Result<Heard<'static>> {
        let Some((speaker, _)) = &self.met else {
            self.met = Some(welcome(message)?);
            self.inbox.allow(self.limits().message_bytes());
            return Ok(Heard::Aside { n_bytes });
        };
        match Class::of(message.kind) {
            Class::Notice => Ok(Heard::Aside { n_bytes }),
            Class::Answer => {
                let answer = frame::Answer::read(message.kind, &message.content, &self.limits(), speaker)?;
                let answer = to_answer(answer)?;
                Ok(Heard::Answer { n_bytes, number: Some(message.id), answer, stays: true })
            }
            Class::Connection if message.kind == Kind::Farewell.number() => bail!("the node says farewell"),
            Class::Connection | Class::Request => bail!("the node sends what it should not"),
        }
    }
}

impl Speech for Peer {
    fn open(&mut self, to: &mut Vec<u8>) {
        *self = Self::new(self.ring.clone(), self.sizes);
        let hello = Hello {
            versions: frame::VERSIONS,
            name: None,
            ring: Some(self.ring.clone()),
            copies: None,
            challenge: None,
        };
        self.outbox.open();
        self.outbox.put(Kind::Hello, 0, |to| hello.write(to));
        self.flush(to);
    }

    fn is_open(&self) -> bool {
        self.met.is_some()
    }

    fn ask(&mut self, request: Request, number: u32, to: &mut Vec<u8>) {
        let Some((_, version)) = self.met else { return };
        let operate = operate(request, self.sizes, ANSWER_WITHIN);
        let request = frame::Request::Operate { operate, named: false, path: Vec::new() };
        let asked = frame::Asked { request, remaining: None };
        self.outbox.put(asked.request.kind(version), number, |to| asked.write(to));
        self.flush(to);
    }

    fn hear<'a>(&mut self, came: Came<'a>) -> anyhow::Result<Heard<'a>> {
        let mut rest = came.bytes;
        let arrived = self.inbox.next(&mut rest)?;
        let n_bytes = came.bytes.len() - rest.len();
        match arrived {
            None if n_bytes == 0 => Ok(Heard::Part),
            // The opening alone.
            None | Some(Arrived::Begun { .. } | Arrived::Piece) => Ok(Heard::Aside { n_bytes }),
            Some(Arrived::TooLarge { .. }) => bail!("the answer is larger than any right one"),
            Some(Arrived::Message(message)) => self.hear_message(&message, n_bytes),
        }
    }
}

/// Who is there, and the version that is spoken.
fn welcome(message: &Message<'_>) -> anyhow::Result<(Speaker, u8)> {
    if message.kind == Kind::Declined.number() {
        bail!("no frames are spoken: {}", sentence(&Declined::read(&message.content)?.sentence));
    }
    if message.kind != Kind::Welcome.number() {
        bail!("the node does not say welcome");
    }
    let welcome = frame::Welcome::read(&message.content)?;
    let peer = chord::Peer::of_name(welcome.name, welcome.ring.size);
    Ok((Speaker { peer, ring: welcome.ring }, welcome.version))
}

fn operate(request: Request, sizes: Sizes, remaining: Duration) -> Operate {
    let operation = match request.operation {
        Operation::Get => Asked::Get,
        Operation::Put => {
            let (n_value, mut value) = (sizes.of_key(request.key), Vec::new());
            write_value(request.key, n_value, &mut value);
            Asked::put(Value::new(&value, VALUE_BYTES_LIMIT).expect("no value that is measured is longer"))
        }
    };
    Operate {
        key: Key::new(&key(request.key)).expect("a key of nine bytes is short enough"),
        operation,
        proposal: Proposal::LeftToOwner,
        consistency: Consistency::Usual,
        remaining,
    }
}

fn to_answer(answer: frame::Answer) -> anyhow::Result<Answer<'static>> {
    match answer {
        frame::Answer::Operated { result: Ok(outcome), .. } => Ok(found(&outcome)),
        frame::Answer::Operated { result: Err(error), .. } => Ok(Answer::Refused(error.to_string())),
        frame::Answer::Refused(refused) => Ok(Answer::Refused(sentence(&refused.sentence))),
        frame::Answer::Ring(_) | frame::Answer::Records(_) | frame::Answer::Described(_) => {
            Err(anyhow!("the answer is to another request"))
        }
    }
}

/// What is under the key now; after a put that is what was written.
fn found(outcome: &Outcome) -> Answer<'static> {
    match outcome.record.as_ref().and_then(|record| record.value.as_ref()) {
        Some(value) => Answer::Found(Cow::Owned(value.as_bytes().to_vec())),
        None => Answer::Absent,
    }
}
