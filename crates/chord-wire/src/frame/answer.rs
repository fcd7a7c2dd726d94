//! Answers: what comes back.

use std::time::Duration;

use chord_kv::Version;
use chord_kv::replication::{Before, OperationError, Outcome, PeerAnswer};
use chord_ring::{Answer as RingAnswer, Found, NodeName, Peer, Pong, Position, RingTag, State};

use super::error::MessageError;
use super::field::{FieldWriter, Tag, read_fields, whole};
use super::hello::{read_name, read_reason, write_reason, writing};
use super::kind::Kind;
use super::request::{read_neighbours, read_peer, write_neighbours};
use crate::replica::part::Wire;
use crate::replica::reader::Reader;
use crate::replica::writer::Writer;
use crate::replica::{
    DataAnswer, ReplicaError, ReplicaLimits, decode_answer, write_operated, write_peer_answer,
};
use crate::rest::REPORT_BYTES_MAX;
use crate::{Code, PATH_NAMES_MAX};

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// About the ring.
    Ring(RingAnswer),
    /// About records.
    Records(PeerAnswer),
    /// What came of an operation.
    Operated {
        /// The outcome, or why there is none.
        result: Result<Outcome, OperationError>,
        /// Who owns the key, where the receiver of the request did not claim that.
        owner: Option<NodeName>,
        /// How often the request was forwarded.
        hops: Option<u32>,
    },
    /// What a node tells of itself, as it does in REST.
    Described(Vec<u8>),
    /// It is not done.
    Refused(Refused),
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// For programs; a word of a newer version counts as none.
    pub code: Option<Code>,
    /// For people.
    pub sentence: String,
}

/// Who answers, as it has said in its welcome: answers do not repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// The node.
    pub peer: Peer,
    /// Its ring.
    pub ring: RingTag,
}

impl Answer {
    /// The kind of its frame.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Ring(RingAnswer::Pong(_)) => Kind::Pong,
            Self::Ring(RingAnswer::State(_)) => Kind::State,
            Self::Ring(RingAnswer::Done) => Kind::Done,
            Self::Ring(RingAnswer::Found(_)) => Kind::Found,
            Self::Records(_) => Kind::Told,
            Self::Operated { .. } => Kind::Operated,
            Self::Described(_) => Kind::Described,
            Self::Refused(_) => Kind::Refused,
        }
    }

    /// Writes the content of its frame behind what is there.
    pub fn write(&self, to: &mut Vec<u8>) {
        writing(to, |to| {
            let mut fields = FieldWriter(to);
            if let Self::Operated { result, owner, hops } = self {
                if let Some(hops) = hops {
                    fields.count(Tag::Hops, (*hops).into());
                }
                if let Some(owner) = owner {
                    fields.bytes(Tag::Owner, owner.as_str().as_bytes());
                }
                if let Ok(Outcome { deleted: Some(version), .. }) = result {
                    fields.part(Tag::Deleted, |to| version.write(to));
                }
                let is_repeated = matches!(result, Ok(Outcome { before: Before::Unknown, .. }));
                fields.flag(Tag::Repeated, is_repeated);
            }
            if let Self::Ring(RingAnswer::Found(Found { after: Some(after), .. })) = self {
                fields.part(Tag::After, |to| to.position(*after));
            }
            if let Self::Ring(RingAnswer::Found(Found { took, .. })) = self
                && !took.is_empty()
            {
                fields.part(Tag::Took, |to| write_took(took, to));
            }
            #[cfg(feature = "next-protocol")]
            fields.flag(Tag::Next, true);
            fields.end();
            match self {
                Self::Ring(answer) => write_ring(answer, to),
                Self::Records(answer) => write_peer_answer(answer, to),
                Self::Operated { result, owner: _, hops: _ } => write_operated(result, to),
                Self::Described(report) => to.bytes(report),
                Self::Refused(Refused { code, sentence }) => write_reason(*code, sentence, to),
            }
        });
    }

    /// The answer of that kind, by `speaker`, that is the content of a frame.
    ///
    /// # Errors
    /// It is none that this node knows, or exceeds a limit.
    pub fn read(
        kind: u8,
        content: &[u8],
        limits: &ReplicaLimits,
        speaker: &Speaker,
    ) -> Result<Self, MessageError> {
        let unknown = MessageError::UnknownKind { kind };
        let kind = Kind::of(kind).ok_or(unknown)?;
        let mut from = Reader::new(content, *limits);
        let beside = Beside::read(&mut from)?;
        beside.check(kind)?;
        let Beside { hops, owner, deleted, is_repeated, after, took } = beside;
        let answer = match kind {
            Kind::Operated => {
                let answer = decode_answer(from.rest(), limits)?.with_deleted(deleted);
                return match answer.if_repeated(is_repeated).ok_or(Tag::Repeated.misplaced())? {
                    DataAnswer::Operated(Err(_)) if deleted.is_some() => Err(Tag::Deleted.misplaced()),
                    DataAnswer::Operated(result) => Ok(Self::Operated { result, owner, hops }),
                    DataAnswer::Peer(_) => Err(unknown),
                };
            }
            Kind::Described => return Ok(Self::Described(read_report(&mut from)?)),
            Kind::Told => match decode_answer(from.rest(), limits)? {
                DataAnswer::Peer(answer) => return Ok(Self::Records(answer)),
                DataAnswer::Operated(_) => return Err(unknown),
            },
            Kind::Refused => {
                let (code, sentence) = read_reason(&mut from)?;
                Self::Refused(Refused { code, sentence })
            }
            Kind::Pong => Self::Ring(RingAnswer::Pong(read_pong(&mut from, speaker)?)),
            Kind::State => Self::Ring(RingAnswer::State(read_state(&mut from, speaker)?)),
            Kind::Done => Self::Ring(RingAnswer::Done),
            Kind::Found => Self::Ring(RingAnswer::Found(Found {
                after,
                took: took.unwrap_or_default(),
                ..read_found(&mut from)?
            })),
            Kind::Hello
            | Kind::Welcome
            | Kind::Declined
            | Kind::Farewell
            | Kind::Announced
            | Kind::Piece
            | Kind::Proof
            | Kind::Ping
            | Kind::GetState
            | Kind::Notify
            | Kind::ForgetPredecessor
            | Kind::Leave
            | Kind::FindSuccessor
            | Kind::Records
            | Kind::Operate
            | Kind::Describe => return Err(unknown),
            #[cfg(feature = "next-protocol")]
            Kind::Greet | Kind::Remark => return Err(unknown),
        };
        from.end()?;
        Ok(answer)
    }
}

/// What a node tells of itself, which is all that is left.
fn read_report(from: &mut Reader<'_>) -> Result<Vec<u8>, MessageError> {
    let report = from.bytes("the bytes of a report", REPORT_BYTES_MAX)?.to_vec();
    from.end()?;
    Ok(report)
}

/// What stands beside an answer.
#[derive(Default)]
struct Beside {
    hops: Option<u32>,
    owner: Option<NodeName>,
    deleted: Option<Version>,
    after: Option<Position>,
    took: Option<Vec<Duration>>,
    is_repeated: bool,
}

impl Beside {
    /// Whether an answer of that kind may have what stands beside it.
    fn check(&self, kind: Kind) -> Result<(), MessageError> {
        let (is_operated, is_found) = (kind == Kind::Operated, kind == Kind::Found);
        let fields = [
            (Tag::Hops, self.hops.is_some(), is_operated),
            (Tag::Owner, self.owner.is_some(), is_operated),
            (Tag::Deleted, self.deleted.is_some(), is_operated),
            (Tag::After, self.after.is_some(), is_found),
            (Tag::Repeated, self.is_repeated, is_operated),
            (Tag::Took, self.took.is_some(), is_found),
        ];
        match fields.into_iter().find(|(_, is_there, may_be)| *is_there && !may_be) {
            Some((tag, ..)) => Err(tag.misplaced()),
            None => Ok(()),
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, MessageError> {
        let mut this = Self::default();
        let limits = from.limits();
        read_fields(from, |tag, bytes| {
            match tag {
                Tag::Hops => {
                    let n_hops = whole(limits, bytes, |from| from.count_to("hops", u32::MAX as usize))?;
                    this.hops = u32::try_from(n_hops).ok();
                }
                Tag::Owner => this.owner = Some(read_name(bytes)?),
                Tag::Deleted => this.deleted = Some(whole(limits, bytes, Version::read)?),
                Tag::Took => this.took = Some(whole(limits, bytes, read_took)?),
                Tag::After => this.after = Some(whole(limits, bytes, Reader::position)?),
                Tag::Repeated => this.is_repeated = whole(limits, bytes, |_| Ok(true))?,
                #[cfg(feature = "next-protocol")]
                Tag::Next => {}
                Tag::Remaining
                | Tag::Named
                | Tag::Path
                | Tag::Ring
                | Tag::Name
                | Tag::Member
                | Tag::Copies
                | Tag::Challenge
                | Tag::Proof => return Err(tag.misplaced()),
            }
            Ok(())
        })?;
        Ok(this)
    }
}

fn write_ring(answer: &RingAnswer, to: &mut Writer) {
    match answer {
        RingAnswer::Pong(pong) => to.flag(pong.member),
        RingAnswer::State(state) => write_neighbours(state.predecessor.as_ref(), &state.successors, to),
        RingAnswer::Done => {}
        RingAnswer::Found(Found { owner, hops, path, after: _, took: _ }) => {
            owner.name.write(to);
            to.count((*hops).into());
            to.list(path);
        }
    }
}

/// In microseconds.
fn write_took(took: &[Duration], to: &mut Writer) {
    to.length(took.len());
    for time in took {
        to.count(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
}

fn read_took(from: &mut Reader<'_>) -> Result<Vec<Duration>, ReplicaError> {
    let count = from.count_to("the times of a path", PATH_NAMES_MAX + 1)?;
    (0..count).map(|_| from.count().map(Duration::from_micros)).collect()
}

fn read_pong(from: &mut Reader<'_>, speaker: &Speaker) -> Result<Pong, MessageError> {
    let member = from.flag("whether the sender is a member")?;
    Ok(Pong { peer: speaker.peer.clone(), member, ring: Some(speaker.ring.clone()) })
}

fn read_state(from: &mut Reader<'_>, speaker: &Speaker) -> Result<State, MessageError> {
    let (predecessor, successors) = read_neighbours(from)?;
    let ring_size = Some(speaker.ring.size);
    Ok(State { peer: speaker.peer.clone(), predecessor, successors, ring_size })
}

fn read_found(from: &mut Reader<'_>) -> Result<Found, MessageError> {
    let owner = read_peer(from)?;
    let hops = from.count_to("hops", u32::MAX as usize)?;
    let path = from.list("the names of a path", PATH_NAMES_MAX + 1)?;
    Ok(Found { owner, hops: u32::try_from(hops).unwrap_or(u32::MAX), path, after: None, took: Vec::new() })
}
