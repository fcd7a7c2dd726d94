//! Requests: what one side asks the other.

use std::time::Duration;

use chord_kv::replication::PeerRequest;
use chord_ring::{NodeName, Peer, Question, Request as RingRequest, SUCCESSORS_LIMIT};

use super::error::MessageError;
use super::field::{FieldWriter, Tag, read_fields, whole};
use super::hello::writing;
use super::kind::Kind;
use crate::replica::operation::REMAINING_MS_MAX;
use crate::replica::part::Wire;
use crate::replica::reader::Reader;
use crate::replica::writer::Writer;
use crate::replica::{
    DataRequest, Operate, ReplicaError, ReplicaLimits, decode_request, write_operate, write_peer_request,
};
use crate::{PATH_NAMES_MAX, REMAINING_MAX};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Something about the ring.
    Ring(RingRequest),
    /// Something about records, between those who keep copies, or may have kept some.
    Records(PeerRequest),
    /// Something is to be done to a key.
    Operate {
        /// What, to which.
        operate: Operate,
        /// Whether the receiver is named as the owner, so that it does it or refuses; else it sees to it that it is done.
        named: bool,
        /// The nodes that the request has passed.
        path: Vec<NodeName>,
    },
    /// What the receiver tells of itself.
    Describe,
}

/// A request, and how long its sender waits, if it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// How long somebody waits: whole milliseconds travel, and at most [`REMAINING_MAX`].
    pub remaining: Option<Duration>,
}

/// What may stand in front of a request.
#[derive(Default)]
struct Beside {
    remaining: Option<Duration>,
    named: bool,
    path: Vec<NodeName>,
}

impl Request {
    /// The kind of its frame, where that version is spoken.
    #[cfg_attr(
        not(feature = "next-protocol"),
        allow(unused_variables, reason = "there is one version so far")
    )]
    pub fn kind(&self, version: u8) -> Kind {
        match self {
            #[cfg(feature = "next-protocol")]
            Self::Ring(RingRequest::Ping) if version >= 2 => Kind::Greet,
            Self::Ring(RingRequest::Ping) => Kind::Ping,
            Self::Ring(RingRequest::GetState) => Kind::GetState,
            Self::Ring(RingRequest::Notify { .. }) => Kind::Notify,
            Self::Ring(RingRequest::ForgetPredecessor) => Kind::ForgetPredecessor,
            Self::Ring(RingRequest::Leave { .. }) => Kind::Leave,
            Self::Ring(RingRequest::FindSuccessor(_)) => Kind::FindSuccessor,
            Self::Records(_) => Kind::Records,
            Self::Operate { .. } => Kind::Operate,
            Self::Describe => Kind::Describe,
        }
    }
}

impl Asked {
    /// Writes the content of its frame behind what is there.
    pub fn write(&self, to: &mut Vec<u8>) {
        writing(to, |to| {
            self.write_beside(to);
            match &self.request {
                Request::Ring(request) => write_ring(request, to),
                Request::Records(request) => write_peer_request(request, to),
                Request::Operate { operate, named: _, path: _ } => write_operate(operate, to),
                Request::Describe => {}
            }
        });
    }

    fn write_beside(&self, to: &mut Writer) {
        let mut fields = FieldWriter(to);
        if let Some(remaining) = self.remaining {
            let ms = remaining.min(REMAINING_MAX).as_millis();
            fields.count(Tag::Remaining, u64::try_from(ms).unwrap_or(u64::MAX));
        }
        let (named, path) = match &self.request {
            Request::Ring(RingRequest::FindSuccessor(Question { named, path, target: _ }))
            | Request::Operate { named, path, operate: _ } => (*named, path.as_slice()),
            Request::Ring(
                RingRequest::Ping
                | RingRequest::GetState
                | RingRequest::Notify { from: _ }
                | RingRequest::ForgetPredecessor
                | RingRequest::Leave { from: _, predecessor: _, successors: _ },
            )
            | Request::Records(_)
            | Request::Describe => (false, &[][..]),
        };
        fields.flag(Tag::Named, named);
        if !path.is_empty() {
            fields.part(Tag::Path, |to| to.list(path));
        }
        #[cfg(feature = "next-protocol")]
        fields.flag(Tag::Next, true);
        fields.end();
    }

    /// The request of that kind that is the content of a frame.
    ///
    /// # Errors
    /// It is none that this node knows, or exceeds a limit.
    pub fn read(kind: u8, content: &[u8], limits: &ReplicaLimits) -> Result<Self, MessageError> {
        let unknown = MessageError::UnknownKind { kind };
        let kind = Kind::of(kind).ok_or(unknown)?;
        let mut from = Reader::new(content, *limits);
        let Beside { remaining, named, path } = Beside::read(&mut from)?;
        let is_sent_on = matches!(kind, Kind::Operate | Kind::FindSuccessor);
        if named && !is_sent_on {
            return Err(Tag::Named.misplaced());
        }
        if !path.is_empty() && !is_sent_on {
            return Err(Tag::Path.misplaced());
        }
        let request = match kind {
            Kind::Operate => match decode_request(from.rest(), limits)? {
                DataRequest::Operate(operate) => {
                    return Ok(Self { request: Request::Operate { operate, named, path }, remaining });
                }
                DataRequest::Peer(_) => return Err(unknown),
            },
            Kind::Records => match decode_request(from.rest(), limits)? {
                DataRequest::Peer(request) => {
                    return Ok(Self { request: Request::Records(request), remaining });
                }
                DataRequest::Operate(_) => return Err(unknown),
            },
            Kind::Describe => {
                from.end()?;
                return Ok(Self { request: Request::Describe, remaining });
            }
            Kind::FindSuccessor => {
                let target = from.position()?;
                RingRequest::FindSuccessor(Question { target, named, path })
            }
            Kind::Ping => RingRequest::Ping,
            #[cfg(feature = "next-protocol")]
            Kind::Greet => RingRequest::Ping,
            Kind::GetState => RingRequest::GetState,
            Kind::ForgetPredecessor => RingRequest::ForgetPredecessor,
            Kind::Notify => RingRequest::Notify { from: read_peer(&mut from)? },
            Kind::Leave => {
                let leaver = read_peer(&mut from)?;
                let (predecessor, successors) = read_neighbours(&mut from)?;
                RingRequest::Leave { from: leaver, predecessor, successors }
            }
            Kind::Hello
            | Kind::Welcome
            | Kind::Declined
            | Kind::Farewell
            | Kind::Announced
            | Kind::Piece
            | Kind::Proof
            | Kind::Pong
            | Kind::State
            | Kind::Done
            | Kind::Found
            | Kind::Told
            | Kind::Operated
            | Kind::Described
            | Kind::Refused => return Err(unknown),
            #[cfg(feature = "next-protocol")]
            Kind::Remark => return Err(unknown),
        };
        from.end()?;
        Ok(Self { request: Request::Ring(request), remaining })
    }
}

impl Beside {
    fn read(from: &mut Reader<'_>) -> Result<Self, MessageError> {
        let mut this = Self::default();
        let limits = from.limits();
        read_fields(from, |tag, bytes| {
            match tag {
                Tag::Remaining => {
                    let ms = whole(limits, bytes, |from| {
                        from.count_to("the milliseconds that somebody waits", REMAINING_MS_MAX)
                    })?;
                    this.remaining = Some(Duration::from_millis(ms as u64));
                }
                Tag::Named => this.named = whole(limits, bytes, |_| Ok(true))?,
                Tag::Path => {
                    this.path =
                        whole(limits, bytes, |from| from.list("the names of a path", PATH_NAMES_MAX))?;
                    if this.path.is_empty() {
                        return Err(ReplicaError::NotShortest { what: "a path" }.into());
                    }
                }
                #[cfg(feature = "next-protocol")]
                Tag::Next => {}
                Tag::Hops
                | Tag::Owner
                | Tag::Ring
                | Tag::Name
                | Tag::Member
                | Tag::Copies
                | Tag::Deleted
                | Tag::After
                | Tag::Repeated
                | Tag::Took
                | Tag::Challenge
                | Tag::Proof => return Err(tag.misplaced()),
            }
            Ok(())
        })?;
        Ok(this)
    }
}

fn write_ring(request: &RingRequest, to: &mut Writer) {
    match request {
        RingRequest::Ping | RingRequest::GetState | RingRequest::ForgetPredecessor => {}
        RingRequest::Notify { from } => from.name.write(to),
        RingRequest::Leave { from, predecessor, successors } => {
            from.name.write(to);
            write_neighbours(predecessor.as_ref(), successors, to);
        }
        RingRequest::FindSuccessor(question) => to.position(question.target),
    }
}

/// A node by its name. Where it lies is never told: the receiver computes it, so that nobody can lie about it.
pub(super) fn read_peer(from: &mut Reader<'_>) -> Result<Peer, ReplicaError> {
    Ok(Peer::of_name(NodeName::read(from)?, from.limits().size))
}

/// A predecessor and a successor list, by their names.
pub(super) fn write_neighbours(predecessor: Option<&Peer>, successors: &[Peer], to: &mut Writer) {
    predecessor.map(|peer| peer.name.clone()).write(to);
    to.length(successors.len());
    for successor in successors {
        successor.name.write(to);
    }
}

pub(super) fn read_neighbours(from: &mut Reader<'_>) -> Result<(Option<Peer>, Vec<Peer>), ReplicaError> {
    let size = from.limits().size;
    let predecessor = Option::<NodeName>::read(from)?;
    let successors = from.list::<NodeName>("the successors of a node", SUCCESSORS_LIMIT.into())?;
    let of_name = |name| Peer::of_name(name, size);
    Ok((predecessor.map(of_name), successors.into_iter().map(of_name).collect()))
}
