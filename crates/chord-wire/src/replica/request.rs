//! Requests.

use std::time::Duration;

use chord_kv::Digest;
use chord_kv::Range;
use chord_kv::replication::{Group, INTERESTS_MAX, PeerRequest};

use super::part::{Wire, read_headers, read_keys, read_records, write_records};
use super::reader::Reader;
use super::writer::Writer;
use super::{DataRequest, Operate, ReplicaError};

const VOUCH: u8 = 0x01;
const STORE: u8 = 0x02;
const CONFIRM: u8 = 0x03;
const COMPARE: u8 = 0x04;
const LIST: u8 = 0x05;
const PULL: u8 = 0x06;
const FETCH: u8 = 0x07;
const OFFER: u8 = 0x08;
const DELIVER: u8 = 0x09;
const PURGE: u8 = 0x0a;
const SUCCEED: u8 = 0x0b;
const WATCH: u8 = 0x0c;
const NOTIFY: u8 = 0x0d;
const OPERATE: u8 = 0x10;

pub(super) fn write_operate(operate: &Operate, to: &mut Writer) {
    to.byte(OPERATE);
    operate.write(to);
}

pub(super) fn write_peer(request: &PeerRequest, to: &mut Writer) {
    match request {
        PeerRequest::Vouch => to.byte(VOUCH),
        PeerRequest::Succeed { member_for } => {
            to.byte(SUCCEED);
            to.number(u64::try_from(member_for.as_micros()).unwrap_or(u64::MAX));
        }
        PeerRequest::Store { group, records } => {
            to.byte(STORE);
            group.write(to);
            write_records(records, to);
        }
        PeerRequest::Confirm { group } => {
            to.byte(CONFIRM);
            group.write(to);
        }
        PeerRequest::Compare { range, digest } => {
            to.byte(COMPARE);
            range.write(to);
            digest.write(to);
        }
        PeerRequest::List { range, cursor } => {
            to.byte(LIST);
            range.write(to);
            cursor.write(to);
        }
        PeerRequest::Pull { range, cursor } => {
            to.byte(PULL);
            range.write(to);
            cursor.write(to);
        }
        PeerRequest::Fetch { keys } => {
            to.byte(FETCH);
            to.list(keys);
        }
        PeerRequest::Offer { headers, leaving } => {
            to.byte(OFFER);
            to.flag(*leaving);
            to.list(headers);
        }
        PeerRequest::Deliver { records } => {
            to.byte(DELIVER);
            write_records(records, to);
        }
        PeerRequest::Watch { interests } => {
            to.byte(WATCH);
            to.list(interests);
        }
        PeerRequest::Notify { deliveries } => {
            to.byte(NOTIFY);
            to.list(deliveries);
        }
        PeerRequest::Purge { group, headers } => {
            to.byte(PURGE);
            group.write(to);
            to.list(headers);
        }
    }
}

pub(super) fn read(kind: u8, from: &mut Reader<'_>) -> Result<DataRequest, ReplicaError> {
    let request = match kind {
        VOUCH => PeerRequest::Vouch,
        SUCCEED => PeerRequest::Succeed { member_for: Duration::from_micros(from.number()?) },
        STORE => PeerRequest::Store { group: Group::read(from)?, records: read_records(from)? },
        CONFIRM => PeerRequest::Confirm { group: Group::read(from)? },
        COMPARE => PeerRequest::Compare { range: Range::read(from)?, digest: Digest::read(from)? },
        LIST => PeerRequest::List { range: Range::read(from)?, cursor: Wire::read(from)? },
        PULL => PeerRequest::Pull { range: Range::read(from)?, cursor: Wire::read(from)? },
        FETCH => PeerRequest::Fetch { keys: read_keys(from)? },
        OFFER => {
            let leaving = from.flag("whether the sender leaves")?;
            PeerRequest::Offer { headers: read_headers(from)?, leaving }
        }
        DELIVER => PeerRequest::Deliver { records: read_records(from)? },
        WATCH => PeerRequest::Watch { interests: from.list("the interests", INTERESTS_MAX)? },
        NOTIFY => {
            PeerRequest::Notify { deliveries: from.list("the interests that are told of", INTERESTS_MAX)? }
        }
        PURGE => PeerRequest::Purge { group: Group::read(from)?, headers: read_headers(from)? },
        OPERATE => return Operate::read(from).map(DataRequest::Operate),
        kind => return Err(ReplicaError::UnknownKind { kind }),
    };
    Ok(DataRequest::Peer(request))
}
