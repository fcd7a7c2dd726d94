//! Copies on their way to the members of a group: many in one message, and a few messages at a time where those are full.

use std::collections::{BTreeMap, VecDeque};

use chord_ring::{NodeName, Peer};

use super::message::{MESSAGE_BYTES_MAX, MESSAGE_RECORDS_MAX};
use crate::{Key, Record, Version};

/// Messages with copies that one peer is sent before it has answered: enough to keep it busy while answers travel. Only full
/// ones go beside others: what does not fill one waits for the answer to the last, so that many copies share a message.
pub const FLIGHTS_MAX: usize = 4;

/// Copies that wait for one peer, at most. More are left to repair.
pub const OUTBOX_MAX: usize = 16 << 10;

/// Bytes of copies that wait for one peer, at most, unless told otherwise.
pub const OUTBOX_BYTES_MAX: usize = 64 << 20;

/// The copies that wait for each peer.
#[derive(Debug)]
pub(super) struct Outboxes {
    of_peers: BTreeMap<NodeName, Outbox>,
    /// Bytes that wait for one peer, at most.
    bytes_max: usize,
}

#[derive(Debug)]
struct Outbox {
    peer: Peer,
    waiting: VecDeque<Record>,
    bytes: usize,
    in_flight: usize,
}

/// Copies in one message.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// The group that the message named.
    pub(super) group: Version,
    /// Which writes they are.
    pub(super) writes: Vec<(Key, Version)>,
}

impl Outboxes {
    /// Nothing waits; for one peer so many bytes may.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { of_peers: BTreeMap::new(), bytes_max }
    }

    /// One more copy for a peer. Returns `false` if too many wait already.
    pub(super) fn add(&mut self, peer: &Peer, record: Record) -> bool {
        let outbox = self.of_peers.entry(peer.name.clone()).or_insert_with(|| Outbox {
            peer: peer.clone(),
            waiting: VecDeque::new(),
            bytes: 0,
            in_flight: 0,
        });
        let bytes = outbox.bytes.saturating_add(record.size_bytes());
        if outbox.waiting.len() >= OUTBOX_MAX || bytes > self.bytes_max {
            return false;
        }
        outbox.bytes = bytes;
        outbox.waiting.push_back(record);
        true
    }

    /// Some peer to which a message can go now, and what is in it.
    pub(super) fn next(&mut self) -> Option<(Peer, Vec<Record>)> {
        let outbox = self.of_peers.values_mut().find(|outbox| outbox.may_send())?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(record) = outbox.waiting.front() {
            bytes += record.size_bytes();
            if records.len() >= MESSAGE_RECORDS_MAX || (bytes > MESSAGE_BYTES_MAX && !records.is_empty()) {
                break;
            }
            outbox.bytes -= record.size_bytes();
            records.extend(outbox.waiting.pop_front());
        }
        outbox.in_flight += 1;
        Some((outbox.peer.clone(), records))
    }

    /// A message to that peer has ended.
    pub(super) fn ended(&mut self, name: &NodeName) {
        if let Some(outbox) = self.of_peers.get_mut(name) {
            outbox.in_flight = outbox.in_flight.saturating_sub(1);
            if outbox.in_flight == 0 && outbox.waiting.is_empty() {
                self.of_peers.remove(name);
            }
        }
    }

    /// Whether nothing waits or is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.of_peers.is_empty()
    }

    /// Nothing more goes to those who are not in the group. What is on its way to them ends as it may.
    pub(super) fn keep_only(&mut self, is_member: impl Fn(&NodeName) -> bool) {
        for (name, outbox) in &mut self.of_peers {
            if !is_member(name) {
                outbox.waiting.clear();
                outbox.bytes = 0;
            }
        }
        self.of_peers.retain(|_, outbox| outbox.in_flight > 0 || !outbox.waiting.is_empty());
    }
}

impl Outbox {
    fn may_send(&self) -> bool {
        let is_full = self.waiting.len() >= MESSAGE_RECORDS_MAX || self.bytes >= MESSAGE_BYTES_MAX;
        !self.waiting.is_empty() && (self.in_flight == 0 || is_full && self.in_flight < FLIGHTS_MAX)
    }
}

impl Batch {
    pub(super) fn of(records: &[Record], group: Version) -> Self {
        Self { group, writes: records.iter().map(|record| (record.key.clone(), record.version)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use chord_ring::{Position, RingSize};

    use super::*;
    use crate::{VALUE_BYTES_DEFAULT, Value};

    fn record(number: usize) -> Record {
        let key = Key::new(number.to_string().as_bytes()).expect("a short key");
        Record {
            position: key.position(RingSize::DEFAULT),
            key,
            value: Some(Value::new(b"v", VALUE_BYTES_DEFAULT).expect("a short value")),
            version: Version::new(1, 0, Position::ZERO),
            expires_at_ms: None,
        }
    }

    #[test]
    fn no_more_bytes_wait_for_a_peer_than_are_allowed_and_each_peer_has_as_many() {
        let peer = |port: u16| {
            Peer::of_name(format!("127.0.0.1:{port}").parse().expect("a name"), RingSize::DEFAULT)
        };
        let mut outboxes = Outboxes::new(record(0).size_bytes() * 2);
        let added = [1, 1, 1, 2, 2, 2].map(|port| outboxes.add(&peer(port), record(0)));
        assert_eq!(added, [true, true, false, true, true, false]);
        assert_eq!(outboxes.next().map(|(_, records)| records.len()), Some(2));
        assert!(outboxes.add(&peer(1), record(0)), "what was sent gives its room back");
    }

    #[test]
    fn copies_that_fill_no_message_wait_for_the_answer_to_the_last_and_those_that_do_go_beside_it() {
        let peer = Peer::of_name("127.0.0.1:1".parse().expect("a name"), RingSize::DEFAULT);
        let mut outboxes = Outboxes::new(OUTBOX_BYTES_MAX);
        let sent = |outboxes: &mut Outboxes| outboxes.next().map(|(_, records)| records.len());
        outboxes.add(&peer, record(0));
        assert_eq!(sent(&mut outboxes), Some(1), "nothing is under way");
        for number in 1..MESSAGE_RECORDS_MAX {
            outboxes.add(&peer, record(number));
        }
        assert_eq!(sent(&mut outboxes), None, "one more fits");
        for number in 0..FLIGHTS_MAX * MESSAGE_RECORDS_MAX + 2 {
            outboxes.add(&peer, record(number));
        }
        for _ in 1..FLIGHTS_MAX {
            assert_eq!(sent(&mut outboxes), Some(MESSAGE_RECORDS_MAX));
        }
        assert_eq!(sent(&mut outboxes), None, "as many are under way as may be");
        for _ in 0..FLIGHTS_MAX {
            outboxes.ended(&peer.name);
        }
        assert_eq!(sent(&mut outboxes), Some(MESSAGE_RECORDS_MAX));
        assert_eq!(sent(&mut outboxes), Some(MESSAGE_RECORDS_MAX));
        assert_eq!(sent(&mut outboxes), None, "what is left fills none");
        outboxes.ended(&peer.name);
        outboxes.ended(&peer.name);
        assert!(sent(&mut outboxes).is_some_and(|n_records| n_records < MESSAGE_RECORDS_MAX));
    }
}
