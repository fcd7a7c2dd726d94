//! How two sides come to know each other: what each says first, and which version they speak.

use std::fmt;
use std::str::FromStr;

use chord_ring::{NodeName, RingName, RingSize, RingTag};

use super::error::MessageError;
use super::field::{FieldWriter, Tag, read_fields, whole};
use super::proof::Challenge;
use crate::replica::operation::{read_sentence, write_sentence};
use crate::replica::reader::Reader;
use crate::replica::writer::Writer;
use crate::replica::{ReplicaError, ReplicaLimits};
use crate::{Code, Copies};

/// Longest word of a code, in bytes: longer than any that there is.
const WORD_BYTES_MAX: usize = 64;

/// The versions of this protocol that this program speaks.
pub const VERSIONS: Versions =
    Versions { lowest: 1, highest: if cfg!(feature = "next-protocol") { 2 } else { 1 } };

/// Versions that somebody speaks: these two and all between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The lowest.
    pub lowest: u8,
    /// The highest.
    pub highest: u8,
}

impl Versions {
    /// The version that two sides speak: the highest that both do.
    pub fn common(self, other: Self) -> Option<u8> {
        let highest = self.highest.min(other.highest);
        (highest >= self.lowest.max(other.lowest)).then_some(highest)
    }

    fn write(self, to: &mut Writer) {
        to.byte(self.lowest);
        to.byte(self.highest);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, MessageError> {
        Ok(Self { lowest: from.byte()?, highest: from.byte()? })
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.lowest, self.highest)
    }
}

/// A text that names no versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("versions are two numbers up to 255: LOWEST-HIGHEST")]
pub struct NoVersions;

impl FromStr for Versions {
    type Err = NoVersions;

    fn from_str(text: &str) -> Result<Self, NoVersions> {
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| digits).ok_or(NoVersions)
        };
        let (lowest, highest) = text.split_once('-').ok_or(NoVersions)?;
        Ok(Self { lowest: number(lowest)?, highest: number(highest)? })
    }
}

/// What the side that connected says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The versions that it speaks.
    pub versions: Versions,
    /// Which node it is; a client is none.
    pub name: Option<NodeName>,
    /// Its ring; a client need not know one.
    pub ring: Option<RingTag>,
    /// How it keeps copies.
    pub copies: Option<Copies>,
    /// What the other side is to make a proof of, if both are to show that they know a secret.
    pub challenge: Option<Challenge>,
}

/// What the other side answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that is spoken from here on.
    pub version: u8,
    /// Which node it is.
    pub name: NodeName,
    /// Its ring.
    pub ring: RingTag,
    /// Whether it is a member of its ring, and stays.
    pub is_member: bool,
    /// How it keeps copies.
    pub copies: Copies,
    /// What the side that connected is to make a proof of, before it asks anything; none if it need not.
    pub challenge: Option<Challenge>,
}

/// What it answers if it speaks no frames with whoever connected. The connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declined {
    /// The versions that it speaks.
    pub versions: Versions,
    /// Why, for programs; a word of a newer version counts as none.
    pub code: Option<Code>,
    /// Why, for people.
    pub sentence: String,
}

impl Hello {
    /// Writes the content of its frame behind what is there.
    pub fn write(&self, to: &mut Vec<u8>) {
        writing(to, |to| {
            self.versions.write(to);
            let speaker = Fields {
                name: self.name.clone(),
                ring: self.ring.clone(),
                copies: self.copies,
                is_member: false,
                challenge: self.challenge,
            };
            speaker.write(to);
        });
    }

    /// The hello that is the content of a frame.
    ///
    /// # Errors
    /// It is none.
    pub fn read(content: &[u8]) -> Result<Self, MessageError> {
        let mut from = reader(content);
        let versions = Versions::read(&mut from)?;
        let Fields { name, ring, copies, is_member, challenge } = Fields::read(&mut from)?;
        if is_member {
            return Err(Tag::Member.misplaced());
        }
        from.end()?;
        Ok(Self { versions, name, ring, copies, challenge })
    }
}

impl Welcome {
    /// Writes the content of its frame behind what is there.
    pub fn write(&self, to: &mut Vec<u8>) {
        let Self { version, name, ring, is_member, copies, challenge } = self.clone();
        writing(to, |to| {
            to.byte(version);
            let (name, ring, copies) = (Some(name), Some(ring), Some(copies));
            Fields { name, ring, copies, is_member, challenge }.write(to);
        });
    }

    /// The welcome that is the content of a frame.
    ///
    /// # Errors
    /// It is none.
    pub fn read(content: &[u8]) -> Result<Self, MessageError> {
        let mut from = reader(content);
        let version = from.byte()?;
        let Fields { name, ring, copies, is_member, challenge } = Fields::read(&mut from)?;
        from.end()?;
        Ok(Self {
            version,
            name: name.ok_or(Tag::Name.missing())?,
            ring: ring.ok_or(Tag::Ring.missing())?,
            is_member,
            copies: copies.ok_or(Tag::Copies.missing())?,
            challenge,
        })
    }
}

impl Declined {
    /// Writes the content of its frame behind what is there.
    pub fn write(&self, to: &mut Vec<u8>) {
        writing(to, |to| {
            self.versions.write(to);
            FieldWriter(to).end();
            write_reason(self.code, &self.sentence, to);
        });
    }

    /// The refusal that is the content of a frame.
    ///
    /// # Errors
    /// It is none.
    pub fn read(content: &[u8]) -> Result<Self, MessageError> {
        let mut from = reader(content);
        let versions = Versions::read(&mut from)?;
        read_fields(&mut from, |tag, _| Err(tag.misplaced()))?;
        let (code, sentence) = read_reason(&mut from)?;
        from.end()?;
        Ok(Self { versions, code, sentence })
    }
}

/// Writes behind what is there, into the same memory.
pub(super) fn writing(to: &mut Vec<u8>, write: impl FnOnce(&mut Writer)) {
    let mut writer = Writer::behind(std::mem::take(to));
    write(&mut writer);
    *to = writer.into_bytes();
}

/// Nothing in these messages depends on the ring.
pub(super) fn reader(content: &[u8]) -> Reader<'_> {
    Reader::new(content, ReplicaLimits { size: RingSize::DEFAULT, value_bytes: 0 })
}

pub(super) fn write_reason(code: Option<Code>, sentence: &str, to: &mut Writer) {
    to.bytes(code.map_or("", Code::as_str).as_bytes());
    write_sentence(sentence, to);
}

pub(super) fn read_reason(from: &mut Reader<'_>) -> Result<(Option<Code>, String), MessageError> {
    let word = from.bytes("the bytes of a word", WORD_BYTES_MAX)?;
    let code = std::str::from_utf8(word).ok().and_then(Code::from_token);
    Ok((code, read_sentence(from)?))
}

/// Who speaks.
struct Fields {
    name: Option<NodeName>,
    ring: Option<RingTag>,
    copies: Option<Copies>,
    is_member: bool,
    challenge: Option<Challenge>,
}

impl Fields {
    fn write(self, to: &mut Writer) {
        let mut fields = FieldWriter(to);
        if let Some(RingTag { name, size }) = &self.ring {
            fields.part(Tag::Ring, |to| {
                to.length(size.bits().into());
                to.fixed(name.as_str().as_bytes());
            });
        }
        if let Some(name) = &self.name {
            fields.bytes(Tag::Name, name.as_str().as_bytes());
        }
        fields.flag(Tag::Member, self.is_member);
        if let Some(Copies { replicas, write_quorum }) = self.copies {
            let both = [replicas, write_quorum.unwrap_or_default()];
            fields.bytes(Tag::Copies, if write_quorum.is_some() { &both } else { &both[..1] });
        }
        if let Some(Challenge(drawn)) = self.challenge {
            fields.bytes(Tag::Challenge, &drawn);
        }
        #[cfg(feature = "next-protocol")]
        fields.flag(Tag::Next, true);
        fields.end();
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, MessageError> {
        let mut this = Self { name: None, ring: None, copies: None, is_member: false, challenge: None };
        let limits = from.limits();
        read_fields(from, |tag, bytes| {
            match tag {
                Tag::Ring => this.ring = Some(whole(limits, bytes, read_ring)?),
                Tag::Name => this.name = Some(read_name(bytes)?),
                Tag::Member => this.is_member = whole(limits, bytes, |_| Ok(true))?,
                Tag::Copies => this.copies = Some(whole(limits, bytes, read_copies)?),
                Tag::Challenge => {
                    let drawn = whole(limits, bytes, Reader::fixed)?;
                    this.challenge = Some(Challenge(drawn));
                }
                #[cfg(feature = "next-protocol")]
                Tag::Next => {}
                Tag::Remaining
                | Tag::Named
                | Tag::Hops
                | Tag::Path
                | Tag::Owner
                | Tag::Deleted
                | Tag::After
                | Tag::Took
                | Tag::Repeated
                | Tag::Proof => return Err(tag.misplaced()),
            }
            Ok(())
        })?;
        Ok(this)
    }
}

/// The name of a node that is all of a field.
pub(super) fn read_name(bytes: &[u8]) -> Result<NodeName, ReplicaError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ReplicaError::BadText)?;
    Ok(text.parse()?)
}

fn read_ring(from: &mut Reader<'_>) -> Result<RingTag, ReplicaError> {
    let size = RingSize::new(from.count()?).map_err(|_| ReplicaError::OffRing)?;
    let name = std::str::from_utf8(from.take_rest()).ok().and_then(|text| RingName::from_str(text).ok());
    Ok(RingTag { name: name.ok_or(ReplicaError::BadText)?, size })
}

fn read_copies(from: &mut Reader<'_>) -> Result<Copies, ReplicaError> {
    let replicas = from.byte()?;
    let write_quorum = if from.rest().is_empty() { None } else { Some(from.byte()?) };
    Ok(Copies { replicas, write_quorum })
}
