//! What messages about watching are made of.

use chord_kv::KEY_BYTES_MAX;
use chord_kv::replication::{Current, Delivery, Filter, Happened, Interest, NOTICES_MAX, Notice, Subscribed};

use super::ReplicaError;
use super::part::Wire;
use super::reader::Reader;
use super::writer::Writer;

impl Wire for Filter {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Key(key) => {
                to.byte(0);
                to.bytes(key.as_bytes());
            }
            Self::Prefix(prefix) => {
                to.byte(1);
                to.bytes(prefix);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        match from.byte()? {
            0 => from.key().map(Self::Key),
            1 => Ok(Self::Prefix(from.bytes("the bytes of a prefix", KEY_BYTES_MAX)?.to_vec())),
            tag => Err(ReplicaError::UnknownTag { what: "which keys are watched", tag }),
        }
    }
}

impl Wire for Interest {
    fn write(&self, to: &mut Writer) {
        to.number(self.id);
        self.filter.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        Ok(Self { id: from.number()?, filter: Filter::read(from)? })
    }
}

impl Wire for Subscribed {
    fn write(&self, to: &mut Writer) {
        to.number(self.id);
        self.began.write(to);
        self.current.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        Ok(Self { id: from.number()?, began: Wire::read(from)?, current: Wire::read(from)? })
    }
}

impl Wire for Current {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Unknown => to.byte(0),
            Self::Known(header) => {
                to.byte(1);
                header.write(to);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        match from.byte()? {
            0 => Ok(Self::Unknown),
            1 => Wire::read(from).map(Self::Known),
            tag => Err(ReplicaError::UnknownTag { what: "what is under a key", tag }),
        }
    }
}

impl Wire for Happened {
    fn write(&self, to: &mut Writer) {
        to.byte(match self {
            Self::Set => 0,
            Self::Deleted => 1,
            Self::Expired => 2,
        });
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        match from.byte()? {
            0 => Ok(Self::Set),
            1 => Ok(Self::Deleted),
            2 => Ok(Self::Expired),
            tag => Err(ReplicaError::UnknownTag { what: "what happened to a key", tag }),
        }
    }
}

impl Wire for Notice {
    fn write(&self, to: &mut Writer) {
        to.bytes(self.key.as_bytes());
        self.version.write(to);
        self.happened.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        Ok(Self { key: from.key()?, version: Wire::read(from)?, happened: Happened::read(from)? })
    }
}

impl Wire for Delivery {
    fn write(&self, to: &mut Writer) {
        to.number(self.id);
        self.began.write(to);
        to.number(self.first);
        to.list(&self.notices);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        Ok(Self {
            id: from.number()?,
            began: Wire::read(from)?,
            first: from.number()?,
            notices: from.list("the changes", NOTICES_MAX)?,
        })
    }
}
