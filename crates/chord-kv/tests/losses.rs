//! A store that finds records damaged: its node asks others before it says that nothing is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chord_kv::replication::{
    AnswerBody, Comparison, Consistency, Input, Neighbours, Now, Operation, Output, PeerAnswer, PeerRequest,
    Proposal, Replicator, Settings, Standing,
};
use chord_kv::{
    Applied, Cursor, Key, MemoryStore, Page, PageLimit, Range, Record, Sequence, Store, StoreError, Usage,
    Value, Version,
};
use chord_ring::{Peer, Position, RingSize, Token};

fn size() -> RingSize {
    RingSize::new(6).expect("a size")
}

fn peer(number: u8) -> Peer {
    Peer::of_name(format!("host{number}:1").parse().expect("a name"), size())
}

/// A store in which records turn out damaged.
struct Lossy {
    inner: MemoryStore,
    lost: AtomicU64,
}

impl Lossy {
    fn lose(&self, record: &Record) {
        let removed = self.inner.remove(record.position, &record.key, &record.version);
        assert_eq!(removed, Ok(true));
        self.lost.fetch_add(1, Ordering::Relaxed);
    }
}

impl Store for Lossy {
    fn read(&self, position: Position, key: &Key) -> Result<Option<Record>, StoreError> {
        self.inner.read(position, key)
    }

    fn apply(&self, batch: Vec<Record>) -> Result<Applied, StoreError> {
        self.inner.apply(batch)
    }

    fn durable(&self) -> Sequence {
        self.inner.durable()
    }

    fn range(&self, range: &Range, cursor: Option<&Cursor>, limit: PageLimit) -> Result<Page, StoreError> {
        self.inner.range(range, cursor, limit)
    }

    fn remove(&self, position: Position, key: &Key, version: &Version) -> Result<bool, StoreError> {
        self.inner.remove(position, key, version)
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }

    fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[test]
fn an_owner_that_has_lost_a_record_asks_the_others_before_it_says_that_nothing_is_there() {
    let store = Arc::new(Lossy { inner: MemoryStore::new(size(), 1 << 20), lost: AtomicU64::new(0) });
    let (me, other) = (peer(0), peer(1));
    let key = (0..).map(|idx: u32| Key::new(idx.to_string().as_bytes()).unwrap());
    let is_own = |key: &Key| chord_ring::owned(other.position, key.position(size()), me.position);
    let key = key.clone().find(is_own).unwrap();
    let record = Record {
        position: key.position(size()),
        key: key.clone(),
        value: Some(Value::new(b"value", 100).unwrap()),
        version: Version::new(1, 0, me.position),
        expires_at_ms: None,
    };
    store.apply(vec![record.clone()]).unwrap();
    let now = Now { elapsed: Duration::ZERO, wall_ms: 1000 };
    let mut node = Replicator::new(me, Settings::new(size()), store.clone(), now);
    let answers = |body| Ok(PeerAnswer { leaving: false, body });
    let polled = |node: &mut Replicator, input| {
        node.handle(now, input);
        std::iter::from_fn(|| node.poll()).collect::<Vec<Output>>()
    };
    let neighbours =
        Neighbours { is_member: true, predecessor: Some(other.clone()), successors: vec![other.clone()] };
    // Everything that it asks is answered as by one who has the same.
    let same = |request: &PeerRequest| match request {
        PeerRequest::Vouch => AnswerBody::Vouched(true),
        PeerRequest::Compare { .. } => {
            AnswerBody::Compared { standing: Standing::default(), comparison: Comparison::Same }
        }
        _ => AnswerBody::Done,
    };
    let mut asked = polled(&mut node, Input::Neighbours(neighbours));
    while let Some(output) = asked.pop() {
        if let Output::Send(id, _, request) = output {
            asked.extend(polled(&mut node, Input::Answer(id, answers(same(&request)))));
        }
    }
    let get = |token| Input::Operate {
        token: Token(token),
        key: key.clone(),
        position: record.position,
        operation: Operation::Get,
        proposal: Proposal::LeftToOwner,
        consistency: Consistency::Usual,
        until: Duration::from_secs(9),
    };
    let found = polled(&mut node, get(1));
    assert!(matches!(&found[..], [Output::Done(_, Ok(outcome))] if outcome.record.as_ref() == Some(&record)));
    store.lose(&record);
    let outputs = polled(&mut node, get(2));
    assert!(
        !outputs.iter().any(|output| matches!(output, Output::Done(..))),
        "not by its own word: {outputs:?}"
    );
    let fetch = outputs.iter().find_map(|output| match output {
        Output::Send(id, _, PeerRequest::Fetch { .. }) => Some(*id),
        _ => None,
    });
    let standing = Standing { is_settled: true, beyond: Vec::new() };
    let fetched = AnswerBody::Fetched { standing, looked_at: 1, records: vec![record.clone()] };
    let outputs = polled(&mut node, Input::Answer(fetch.expect("the other is asked"), answers(fetched)));
    let is_there = |output: &Output| matches!(output, Output::Done(Token(2), Ok(got)) if got.record.as_ref() == Some(&record));
    assert!(outputs.iter().any(is_there), "{outputs:?}");
}
