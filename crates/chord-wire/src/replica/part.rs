//! What messages are made of: peers, versions, groups, records and lists of them.

use chord_kv::replication::{Account, Claim, Group, Header, MESSAGE_RECORDS_MAX, RECALLED_MAX, Standing};
use chord_kv::{Cursor, Digest, Key, Range, Record, Version};
use chord_ring::{NODE_NAME_BYTES_MAX, NodeName, Peer, Position, SUCCESSORS_LIMIT};

use super::reader::Reader;
use super::writer::Writer;
use super::{GROUP_MEMBERS_MAX, NEIGHBOURS_MAX, ReplicaError};

const HAS_VALUE: u8 = 1;
const EXPIRES: u8 = 2;

/// A part of a message: what [`Wire::write`] writes, [`Wire::read`] reads, and takes nothing else.
pub(crate) trait Wire: Sized {
    fn write(&self, to: &mut Writer);
    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError>;
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, to: &mut Writer) {
        to.flag(self.is_some());
        if let Some(part) = self {
            part.write(to);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        from.flag("whether something follows")?.then(|| T::read(from)).transpose()
    }
}

impl Wire for NodeName {
    fn write(&self, to: &mut Writer) {
        to.bytes(self.as_str().as_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        let bytes = from.bytes("the bytes of a node's name", NODE_NAME_BYTES_MAX)?;
        let text = std::str::from_utf8(bytes).map_err(|_| ReplicaError::BadText)?;
        Ok(text.parse()?)
    }
}

impl Wire for Peer {
    fn write(&self, to: &mut Writer) {
        to.position(self.position);
        self.name.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        Ok(Self { position: from.position()?, name: NodeName::read(from)? })
    }
}

/// Time and counter are one number, in whose order versions are. The writer may be from anywhere, since a client can name any
/// version in a condition.
impl Wire for Version {
    fn write(&self, to: &mut Writer) {
        to.number(self.time_ms() << 16 | u64::from(self.counter()));
        to.position(self.writer());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        let tick = from.number()?;
        let [.., high, low] = tick.to_be_bytes();
        Ok(Self::new(tick >> 16, u16::from_be_bytes([high, low]), from.any_position()?))
    }
}

impl Wire for Range {
    fn write(&self, to: &mut Writer) {
        to.position(self.after);
        to.position(self.up_to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        Ok(Self { after: from.position()?, up_to: from.position()? })
    }
}

impl Wire for Cursor {
    fn write(&self, to: &mut Writer) {
        to.bytes(self.key.as_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        let (position, key) = from.placed_key()?;
        Ok(Self { position, key })
    }
}

impl Wire for Digest {
    fn write(&self, to: &mut Writer) {
        to.fixed(&self.to_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        from.fixed().map(Self::from_bytes)
    }
}

impl Wire for Group {
    fn write(&self, to: &mut Writer) {
        self.owner.write(to);
        to.position(self.after);
        self.id.write(to);
        to.list(&self.members);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        Ok(Self {
            owner: Peer::read(from)?,
            after: from.position()?,
            id: Version::read(from)?,
            members: from.list("the members of a group", GROUP_MEMBERS_MAX)?,
        })
    }
}

impl Wire for Standing {
    fn write(&self, to: &mut Writer) {
        to.flag(self.is_settled);
        to.list(&self.beyond);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        Ok(Self {
            is_settled: from.flag("whether all is known")?,
            beyond: from.list("the successors of a node", SUCCESSORS_LIMIT.into())?,
        })
    }
}

impl Wire for Account {
    fn write(&self, to: &mut Writer) {
        self.claim.write(to);
        to.flag(self.is_settled);
        to.list(&self.near);
        to.list(&self.recalled);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        Ok(Self {
            claim: Claim::read(from)?,
            is_settled: from.flag("whether all is known")?,
            near: from.list("the neighbours of a node", NEIGHBOURS_MAX)?,
            recalled: from.list("those whom a node recalls", RECALLED_MAX)?,
        })
    }
}

impl Wire for Claim {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Whole => to.byte(0),
            Self::Part(epoch) => {
                to.byte(1);
                to.number(*epoch);
            }
            Self::Nothing => to.byte(2),
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        match from.byte()? {
            0 => Ok(Self::Whole),
            1 => from.number().map(Self::Part),
            2 => Ok(Self::Nothing),
            tag => Err(ReplicaError::UnknownTag { what: "whether a node answers for a range", tag }),
        }
    }
}

impl Wire for Record {
    fn write(&self, to: &mut Writer) {
        let Self { position: _, key, value, version, expires_at_ms } = self;
        let has_value = if value.is_some() { HAS_VALUE } else { 0 };
        let expires = if expires_at_ms.is_some() { EXPIRES } else { 0 };
        to.byte(has_value | expires);
        to.bytes(key.as_bytes());
        version.write(to);
        if let Some(at_ms) = expires_at_ms {
            to.number(*at_ms);
        }
        if let Some(value) = value {
            to.bytes(value.as_bytes());
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        let flags = from.byte()?;
        if flags & !(HAS_VALUE | EXPIRES) != 0 {
            return Err(ReplicaError::UnknownTag { what: "what a record has", tag: flags });
        }
        let (position, key) = from.placed_key()?;
        let version = Version::read(from)?;
        let expires_at_ms = (flags & EXPIRES != 0).then(|| from.number()).transpose()?;
        let value = (flags & HAS_VALUE != 0).then(|| from.value()).transpose()?;
        Ok(Self { position, key, value, version, expires_at_ms })
    }
}

impl Wire for Header {
    fn write(&self, to: &mut Writer) {
        let Self { position: _, key, version, over_at_ms } = self;
        to.byte(if over_at_ms.is_some() { EXPIRES } else { 0 });
        to.bytes(key.as_bytes());
        version.write(to);
        if let Some(at_ms) = over_at_ms {
            to.number(*at_ms);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        let flags = from.byte()?;
        if flags & !EXPIRES != 0 {
            return Err(ReplicaError::UnknownTag { what: "what a header has", tag: flags });
        }
        let (position, key) = from.placed_key()?;
        let version = Version::read(from)?;
        let over_at_ms = (flags & EXPIRES != 0).then(|| from.number()).transpose()?;
        Ok(Self { position, key, version, over_at_ms })
    }
}

impl Wire for (Position, Key) {
    fn write(&self, to: &mut Writer) {
        to.bytes(self.1.as_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        from.placed_key()
    }
}

/// The index of a record in the message that is answered, and a version.
impl Wire for (usize, Version) {
    fn write(&self, to: &mut Writer) {
        to.length(self.0);
        self.1.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        let idx = from.count_to("the records before one", MESSAGE_RECORDS_MAX - 1)?;
        Ok((idx, Version::read(from)?))
    }
}

pub(crate) fn write_records(records: &[Record], to: &mut Writer) {
    to.reserve(records.iter().map(Record::size_bytes).sum());
    to.list(records);
}

// What records weigh here is their keys and values alone. Senders count what a store needs for them too, which differs from
// version to version of this program, and so they always stay below this limit.

pub(crate) fn read_records(from: &mut Reader<'_>) -> Result<Vec<Record>, ReplicaError> {
    from.weighed_list("the records of a message", MESSAGE_RECORDS_MAX, |record: &Record| {
        record.key.as_bytes().len() + record.value.as_ref().map_or(0, |value| value.as_bytes().len())
    })
}

pub(crate) fn read_headers(from: &mut Reader<'_>) -> Result<Vec<Header>, ReplicaError> {
    from.weighed_list("the headers of a message", MESSAGE_RECORDS_MAX, |header: &Header| {
        header.key.as_bytes().len()
    })
}

pub(crate) fn read_keys(from: &mut Reader<'_>) -> Result<Vec<(Position, Key)>, ReplicaError> {
    from.weighed_list("the keys of a message", MESSAGE_RECORDS_MAX, |(_, key): &(Position, Key)| {
        key.as_bytes().len()
    })
}
