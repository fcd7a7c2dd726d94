//! Answers.

use chord_kv::Version;
use chord_kv::replication::{
    Account, AnswerBody, Comparison, Denial, INTERESTS_MAX, MESSAGE_RECORDS_MAX, OperationError, Outcome,
    PARTS, PeerAnswer, Reception, Standing, Verdict,
};

use super::part::{Wire, read_headers, read_records, write_records};
use super::reader::Reader;
use super::writer::Writer;
use super::{DataAnswer, ReplicaError, operation};

const VOUCHED: u8 = 0x81;
const STORED: u8 = 0x82;
const DONE: u8 = 0x83;
const COMPARED: u8 = 0x84;
const PAGE: u8 = 0x86;
const FETCHED: u8 = 0x87;
const JUDGED: u8 = 0x88;
const DELIVERED: u8 = 0x89;
const REFUSED: u8 = 0x8a;
const LISTED: u8 = 0x8b;
const YIELDED: u8 = 0x8c;
const WATCHED: u8 = 0x8d;
const NOTIFIED: u8 = 0x8e;
const OPERATED: u8 = 0x90;
const FAILED: u8 = 0x91;

pub(super) fn write_peer(answer: &PeerAnswer, to: &mut Writer) {
    let PeerAnswer { leaving, body } = answer;
    to.byte(kind(body));
    to.flag(*leaving);
    write_body(body, to);
}

pub(super) fn write_operated(result: &Result<Outcome, OperationError>, to: &mut Writer) {
    match result {
        Ok(outcome) => {
            to.byte(OPERATED);
            outcome.write(to);
        }
        Err(error) => {
            to.byte(FAILED);
            operation::write_error(error, to);
        }
    }
}

fn kind(body: &AnswerBody) -> u8 {
    match body {
        AnswerBody::Vouched(_) => VOUCHED,
        AnswerBody::Yielded(_) => YIELDED,
        AnswerBody::Watched { .. } => WATCHED,
        AnswerBody::Stored { .. } => STORED,
        AnswerBody::Done => DONE,
        AnswerBody::Compared { .. } => COMPARED,
        AnswerBody::Listed { .. } => LISTED,
        AnswerBody::Page { .. } => PAGE,
        AnswerBody::Fetched { .. } => FETCHED,
        AnswerBody::Judged(_) => JUDGED,
        AnswerBody::Delivered(_) => DELIVERED,
        AnswerBody::Notified(_) => NOTIFIED,
        AnswerBody::Refused(_) => REFUSED,
    }
}

fn write_body(body: &AnswerBody, to: &mut Writer) {
    match body {
        AnswerBody::Vouched(vouched) => to.flag(*vouched),
        AnswerBody::Yielded(range) => range.write(to),
        AnswerBody::Watched { range, subscribed } => {
            range.write(to);
            to.list(subscribed);
        }
        AnswerBody::Stored { newer } => to.list(newer),
        AnswerBody::Done => {}
        AnswerBody::Compared { standing, comparison } => {
            standing.write(to);
            comparison.write(to);
        }
        AnswerBody::Listed { account, headers, next } => {
            account.write(to);
            next.write(to);
            to.list(headers);
        }
        AnswerBody::Page { records, next } => {
            next.write(to);
            write_records(records, to);
        }
        AnswerBody::Fetched { standing, looked_at, records } => {
            standing.write(to);
            to.length(*looked_at);
            write_records(records, to);
        }
        AnswerBody::Judged(verdicts) => to.list(verdicts),
        AnswerBody::Delivered(count) => to.length(*count),
        AnswerBody::Notified(receptions) => to.list(receptions),
        AnswerBody::Refused(denial) => denial.write(to),
    }
}

pub(super) fn read(kind: u8, from: &mut Reader<'_>) -> Result<DataAnswer, ReplicaError> {
    match kind {
        OPERATED => Wire::read(from).map(|outcome| DataAnswer::Operated(Ok(outcome))),
        FAILED => operation::read_error(from).map(|error| DataAnswer::Operated(Err(error))),
        VOUCHED..=NOTIFIED => {
            let leaving = from.flag("whether the sender leaves")?;
            Ok(DataAnswer::Peer(PeerAnswer { leaving, body: read_body(kind, from)? }))
        }
        kind => Err(ReplicaError::UnknownKind { kind }),
    }
}

fn read_body(kind: u8, from: &mut Reader<'_>) -> Result<AnswerBody, ReplicaError> {
    Ok(match kind {
        VOUCHED => AnswerBody::Vouched(from.flag("whether the sender vouches")?),
        YIELDED => AnswerBody::Yielded(Wire::read(from)?),
        WATCHED => AnswerBody::Watched {
            range: Wire::read(from)?,
            subscribed: from.list("the interests that are known", INTERESTS_MAX)?,
        },
        STORED => AnswerBody::Stored {
            newer: from.list::<(usize, Version)>("the newer versions", MESSAGE_RECORDS_MAX)?,
        },
        DONE => AnswerBody::Done,
        COMPARED => {
            AnswerBody::Compared { standing: Standing::read(from)?, comparison: Comparison::read(from)? }
        }
        LISTED => {
            let (account, next) = (Account::read(from)?, Wire::read(from)?);
            AnswerBody::Listed { account, headers: read_headers(from)?, next }
        }
        PAGE => {
            let next = Wire::read(from)?;
            AnswerBody::Page { records: read_records(from)?, next }
        }
        FETCHED => AnswerBody::Fetched {
            standing: Standing::read(from)?,
            looked_at: from.count_to("the keys that were looked at", MESSAGE_RECORDS_MAX)?,
            records: read_records(from)?,
        },
        JUDGED => AnswerBody::Judged(from.list("the verdicts", MESSAGE_RECORDS_MAX)?),
        DELIVERED => AnswerBody::Delivered(from.count_to("the records that are kept", MESSAGE_RECORDS_MAX)?),
        NOTIFIED => AnswerBody::Notified(from.list("what was heard", INTERESTS_MAX)?),
        REFUSED => AnswerBody::Refused(Denial::read(from)?),
        kind => return Err(ReplicaError::UnknownKind { kind }),
    })
}

impl Wire for Comparison {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Same => to.byte(0),
            Self::Short => to.byte(1),
            Self::Parts(digests) => {
                to.byte(2);
                to.list(digests);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        match from.byte()? {
            0 => Ok(Self::Same),
            1 => Ok(Self::Short),
            2 => from.list("the parts of a range", PARTS.into()).map(Self::Parts),
            tag => Err(ReplicaError::UnknownTag { what: "how a range compares", tag }),
        }
    }
}

impl Wire for Verdict {
    fn write(&self, to: &mut Writer) {
        to.byte(match self {
            Self::NotMine => 0,
            Self::Keep => 1,
            Self::Deliver => 2,
            Self::Drop => 3,
        });
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        match from.byte()? {
            0 => Ok(Self::NotMine),
            1 => Ok(Self::Keep),
            2 => Ok(Self::Deliver),
            3 => Ok(Self::Drop),
            tag => Err(ReplicaError::UnknownTag { what: "a verdict", tag }),
        }
    }
}

impl Wire for Reception {
    fn write(&self, to: &mut Writer) {
        to.byte(match self {
            Self::Heard => 0,
            Self::Early => 1,
            Self::Unwanted => 2,
        });
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        match from.byte()? {
            0 => Ok(Self::Heard),
            1 => Ok(Self::Early),
            2 => Ok(Self::Unwanted),
            tag => Err(ReplicaError::UnknownTag { what: "how something was heard", tag }),
        }
    }
}

impl Wire for Denial {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::NotMember => to.byte(0),
            Self::NotOwner => to.byte(1),
            Self::OldGroup { known } => {
                to.byte(2);
                known.write(to);
            }
            Self::Senseless => to.byte(3),
            Self::Store => to.byte(4),
            // One that is added has no number yet: the asker tries again later.
            _ => Self::Store.write(to),
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        match from.byte()? {
            0 => Ok(Self::NotMember),
            1 => Ok(Self::NotOwner),
            2 => Version::read(from).map(|known| Self::OldGroup { known }),
            3 => Ok(Self::Senseless),
            4 => Ok(Self::Store),
            tag => Err(ReplicaError::UnknownTag { what: "why it is refused", tag }),
        }
    }
}
